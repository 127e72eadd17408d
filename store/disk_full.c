#include "store/disk_full.h"

bool disk_full_inserts(const struct store_op *op)
{
    return op->kind == STORE_OP_FOUND || op->kind == STORE_OP_CHUNK || op->kind == STORE_OP_SPOOLED ||
           op->kind == STORE_OP_SAMPLE;
}

static bool ends_contain(const struct store_op *op, uint32_t uid)
{
    for (unsigned i = 0; i < op->end.count; i++)
        if (op->end.ends[i].uid == uid)
            return true;
    return false;
}

static bool end_blocked_by(const struct store_op *op, const struct store_op *earlier)
{
    switch (earlier->kind) {
    case STORE_OP_SPOOLED:
        return ends_contain(op, earlier->body.uid);
    case STORE_OP_FOUND:
        for (unsigned i = 0; i < earlier->found.count; i++)
            if (ends_contain(op, earlier->found.rows[i].uid))
                return true;
        return false;
    case STORE_OP_CHUNK:
    case STORE_OP_DROP_BODY:
        return false;
    default:
        return true;
    }
}

bool disk_full_blocked_by(const struct store_op *op, const struct store_op *earlier)
{
    bool same_folder = op->user == earlier->user && op->folder == earlier->folder;

    switch (op->kind) {
    case STORE_OP_FOUND:
    case STORE_OP_CHUNK:
    case STORE_OP_SPOOLED:
    case STORE_OP_SAMPLE:
    case STORE_OP_FLUSH: /* "all before me is durable" */
        return true;
    case STORE_OP_USER: /* a state may speak of what waits */
        return op->user == earlier->user;
    case STORE_OP_FOLDER:
    case STORE_OP_FORGET:
    case STORE_OP_COUNT:
        return same_folder;
    case STORE_OP_DROP_BODY:
        return earlier->kind == STORE_OP_CHUNK && earlier->body.body == op->body.body;
    case STORE_OP_OPEN:
        return same_folder && !disk_full_inserts(earlier);
    case STORE_OP_REPAIR:
    case STORE_OP_UNANSWERED:
    case STORE_OP_DOOM:
    case STORE_OP_FOLLOW:
        return same_folder;
    case STORE_OP_END:
        return same_folder && end_blocked_by(op, earlier);
    case STORE_OP_FAILURE:
    case STORE_OP_PROBLEM:
    case STORE_OP_DOUBT:
    case STORE_OP_CLEAR_REMARKS:
    case STORE_OP_CLEAR_PROBLEMS:
        return op->user == earlier->user && !disk_full_inserts(earlier);
    case STORE_OP_META:
        return earlier->kind == STORE_OP_META;
    }
    return true;
}

bool disk_full_outlives_loss(const struct store_op *op)
{
    switch (op->kind) {
    case STORE_OP_USER: /* what was lost may be what the verdict stands on */
        return !user_state_is_synced(op->user_record.state);
    case STORE_OP_END:
    case STORE_OP_META:
    case STORE_OP_FAILURE:
    case STORE_OP_PROBLEM:
    case STORE_OP_DOUBT:
    case STORE_OP_CLEAR_REMARKS:
    case STORE_OP_CLEAR_PROBLEMS:
        return true;
    case STORE_OP_FOLDER:
    case STORE_OP_FORGET:
    case STORE_OP_COUNT:
    case STORE_OP_FOUND:
    case STORE_OP_CHUNK:
    case STORE_OP_SPOOLED:
    case STORE_OP_DROP_BODY:
    case STORE_OP_OPEN:
    case STORE_OP_REPAIR:
    case STORE_OP_UNANSWERED:
    case STORE_OP_DOOM:
    case STORE_OP_FOLLOW:
    case STORE_OP_SAMPLE:
    case STORE_OP_FLUSH:
        return false;
    }
    return false;
}
