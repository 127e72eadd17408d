#include "engine/move/incoming.h"

#include "engine/imap/date.h"
#include "engine/move/pull_private.h"
#include "io/base/mem.h"
#include "io/base/now.h"

#include <stdlib.h>

/* No body is longer than this, whatever a server says. */
#define BODY_BYTES_MAX (2ull * 1024 * 1024 * 1024)

struct stored {
    struct folder *folder;
    struct folder_item item;
};

static struct store_op *new_op(const struct incoming *in, enum store_op_kind kind)
{
    struct store_op *op = store_op_new(kind, in->folder->record.user, in->folder->record.folder);

    op->body.body = in->body;
    return op;
}

void incoming_drop(struct incoming *in)
{
    if (!in->active)
        return;
    if (in->blob.chunk > 0)
        reactor_submit_unwaited(in->folder->account->reactor, new_op(in, STORE_OP_DROP_BODY));
    blob_end(&in->blob);
    in->active = false;
}

void incoming_start(struct incoming *in, struct folder *folder, uint32_t uid, uint64_t expected_bytes)
{
    struct reactor *reactor = folder->account->reactor;

    incoming_drop(in);
    *in = (struct incoming){ .folder = folder, .active = true, .uid = uid };
    in->body = spool_next_body(reactor->spool);
    blob_begin(&in->blob, reactor->kit, in->body, expected_bytes);
}

struct slice incoming_raw(const struct incoming *in)
{
    return in->blob.chunk > 0 ? SLICE("") : slice_of(in->blob.raw, in->blob.raw_size);
}

void incoming_id(const struct incoming *in, struct header_id *id_r)
{
    if (in->blob.chunk > 0)
        *id_r = in->id;
    else
        header_id(incoming_raw(in), id_r);
}

static struct imap_date header_date(struct slice header)
{
    char text[128];

    header_text(header_field(header, SLICE("Date")), text, sizeof text);
    return date_parse(slice_cstr(text));
}

/* The header's key is taken from the first chunk, while it is still raw. */
static void note_header(struct incoming *in)
{
    struct slice header = incoming_raw(in);

    if (in->blob.chunk > 0)
        return;
    match_key(header, in->header_key);
    in->date = header_date(header);
}

static void put_chunk(struct incoming *in)
{
    struct store_op *op = new_op(in, STORE_OP_CHUNK);

    note_header(in);
    incoming_id(in, &in->id);
    op->body.chunk = in->blob.chunk;
    blob_chunk(&in->blob, &op->body.data, &op->body.size);
    reactor_submit_unwaited(in->folder->account->reactor, op);
}

void incoming_add(struct incoming *in, struct slice bytes)
{
    if (!in->active || in->broken)
        return;
    in->got += bytes.size;
    if (in->got > BODY_BYTES_MAX) {
        in->broken = true;
        return;
    }
    while (bytes.size) {
        size_t taken;

        if (blob_chunk_full(&in->blob))
            put_chunk(in);
        blob_add(&in->blob, bytes, &taken);
        bytes = slice_from(bytes, taken);
    }
}

/* Every message is sent with a date, by which it is known again on the target: where the source has
 * none that of its header, else the time it was read. Durable with the body, so it stays the same.
 */
static void give_date(struct incoming *in, struct folder_item *item, struct store_op *op)
{
    if (item->date_known)
        return;
    if (!in->date.known)
        in->date = (struct imap_date){ .seconds = now_wall_ms() / 1000, .known = true };
    item->date_known = op->body.dated = true;
    item->date_seconds = op->body.date_seconds = in->date.seconds;
    item->zone_minutes = op->body.zone_minutes = in->date.zone_minutes;
}

static void body_stored(void *context, struct store_op *op, const struct err *err)
{
    struct stored *s = context;
    struct folder *f = s->folder;

    folder_count_storing(f, -1);
    if (err) {
        item_deinit(&s->item);
        reactor_abort_run(f->account->reactor, err);
    } else {
        folder_count_end(f, MESSAGE_FOUND, MESSAGE_SPOOLED, s->item.body_bytes, 1);
        pull_progressed(f->account);
        queue_forget(&f->wanted, s->item.uid);
        s->item.body = op->body.kept;
        s->item.tries = 0; /* of the source; the target has refused it never yet */
        queue_push_back(&f->ready, &s->item);
        pull_settle_if_done(f);
    }
    account_poke(f->account);
    free(s);
}

void incoming_finish(struct incoming *in, struct folder_item *item)
{
    struct folder *f = in->folder;
    struct store_op *op = new_op(in, STORE_OP_SPOOLED);
    struct stored *s = mem_zero(1, sizeof *s);

    note_header(in);
    blob_finish(&in->blob, op->body.digest, &op->body.body_bytes);
    op->body.uid = item->uid;
    op->body.last = true;
    op->body.chunk = in->blob.chunk;
    memcpy(op->body.header_key, in->header_key, MATCH_KEY_BYTES);
    give_date(in, item, op);
    item->body = in->body;
    item->body_bytes = op->body.body_bytes;
    memcpy(&item->digest, op->body.digest, sizeof item->digest);
    memcpy(item->header_key, in->header_key, MATCH_KEY_BYTES);
    blob_chunk(&in->blob, &op->body.data, &op->body.size);
    blob_end(&in->blob);
    in->active = false;
    s->folder = f;
    s->item = *item;
    s->item.tries = s->item.losses = 0; /* those of the source */
    item->keywords = NULL;
    folder_count_fetching(f, -1);
    folder_count_storing(f, 1);
    reactor_submit(f->account->reactor, op, body_stored, s);
}
