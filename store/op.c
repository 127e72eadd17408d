#include "io/base/mem.h"
#include "store/writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct store_op *store_op_new(enum store_op_kind kind, uint32_t user, uint32_t folder)
{
    struct store_op *op = mem_zero(1, sizeof *op);

    op->kind = kind;
    op->user = user;
    op->folder = folder;
    return op;
}

struct store_op *store_op_meta(const char *name, char *data, size_t size)
{
    struct store_op *op = store_op_new(STORE_OP_META, 0, 0);

    snprintf(op->meta.name, sizeof op->meta.name, "%s", name);
    op->meta.data = data;
    op->meta.size = size;
    return op;
}

struct store_op *store_op_meta_text(const char *name, const char *text)
{
    return store_op_meta(name, mem_text(text), strlen(text));
}

void store_op_free(struct store_op *op)
{
    if (!op)
        return;
    switch (op->kind) {
    case STORE_OP_FOUND:
        free(op->found.rows);
        free(op->found.notes);
        break;
    case STORE_OP_CHUNK:
    case STORE_OP_SPOOLED:
    case STORE_OP_DROP_BODY:
        free(op->body.data);
        break;
    case STORE_OP_END:
        for (unsigned i = 0; i < op->end.count; i++)
            free(op->end.ends[i].note);
        free(op->end.ends);
        break;
    case STORE_OP_REPAIR:
        free(op->repair.note);
        break;
    case STORE_OP_UNANSWERED:
        free(op->unanswered.uids);
        break;
    case STORE_OP_FOLLOW:
        free(op->follow.all);
        break;
    case STORE_OP_META:
        free(op->meta.data);
        break;
    case STORE_OP_USER:
    case STORE_OP_FOLDER:
    case STORE_OP_FORGET:
    case STORE_OP_COUNT:
    case STORE_OP_OPEN:
    case STORE_OP_DOOM:
    case STORE_OP_FAILURE:
    case STORE_OP_PROBLEM:
    case STORE_OP_DOUBT:
    case STORE_OP_CLEAR_REMARKS:
    case STORE_OP_CLEAR_PROBLEMS:
    case STORE_OP_SAMPLE:
    case STORE_OP_FLUSH:
        break;
    }
    free(op->text);
    free(op);
}
