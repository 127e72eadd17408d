/* A message that the target refused: looked at for what servers refuse, and mended by one step more.
 * The spooled original stays as it is; the journal has the repairs durably, and the key by which the
 * mended message is known again on the target, before it is sent. */
#include "engine/message/header.h"
#include "engine/message/repair.h"
#include "engine/move/push_private.h"
#include "io/base/buf.h"
#include "io/base/log.h"
#include "io/base/mem.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Read on one turn of the loop; then others have theirs. */
#define TURN_BYTES (1u << 20)
#define PIECE      32768u
#define HEADER_MAX 262144u

struct mend {
    struct folder *folder;
    struct folder_item item;
    struct err refusal;
    struct loop_timer turn;
    struct body_reader *body;
    struct repair_scan *scan; /* the first pass: what has it? */
    struct repair *repair;    /* the second: how long does it become, and what is its key? */
    struct buf header;        /* of the mended message */
    uint64_t bytes;           /* of it */
    uint16_t before;          /* the repairs that it was refused with, durable */
    char piece[PIECE];
};

static void mend_free(struct mend *m)
{
    struct repair_found found;

    body_close(&m->body);
    if (m->scan)
        repair_scan_end(&m->scan, &found);
    repair_destroy(&m->repair);
    buf_deinit(&m->header);
    item_deinit(&m->item);
    free(m);
}

static void mend_over(struct mend *m)
{
    struct account *account = m->folder->account;

    account->told--;
    mend_free(m);
    account_poke(account);
}

static void fails(struct mend *m, const struct err *err, enum trouble_doing doing)
{
    push_message_fails(m->folder, &m->item, err, doing);
    mend_over(m);
}

/* Another run, or this one once it may send again, goes on with it. */
static void requeue(struct mend *m)
{
    push_give_back(m->folder, &m->item);
    m->item.keywords = NULL;
    mend_over(m);
}

static void repair_stored(void *context, struct store_op *op, const struct err *err)
{
    struct mend *m = context;

    (void)op;
    if (err)
        reactor_abort_run(m->folder->account->reactor, err);
    requeue(m);
}

static void words_of(unsigned repairs, char *out, size_t cap)
{
    size_t used = 0;

    out[0] = '\0';
    for (unsigned i = 0; i < REPAIR_COUNT; i++)
        if (repairs & 1u << i && used < cap)
            used += (size_t)snprintf(out + used, cap - used, "%s%s", used ? "," : "", repair_word(1u << i));
}

static struct store_op *repair_op(const struct folder *f, const struct folder_item *item, struct slice header)
{
    struct store_op *op = store_op_new(STORE_OP_REPAIR, f->record.user, f->record.folder);

    op->repair.uid = item->uid;
    op->repair.repairs = item->repairs;
    op->repair.repaired_bytes = item->repaired_bytes;
    memcpy(op->repair.header_key, item->header_key, sizeof op->repair.header_key);
    op->repair.note = mem_zero(1, sizeof *op->repair.note);
    header_note(header, op->repair.note);
    return op;
}

/* Measured: durable first, then it may be sent. */
static void measured(struct mend *m)
{
    struct folder *f = m->folder;
    char words[128];

    m->item.repaired_bytes = m->bytes;
    m->item.tries = 1;
    match_key(buf_slice(&m->header), m->item.header_key);
    words_of(m->item.repairs, words, sizeof words);
    log_line(LOG_INFO, "message.repaired", "user=%s folder=%s uid=%" PRIu32 " repairs=%s said=%s",
             f->account->user->email_address, f->source_name, m->item.uid, words, m->refusal.server_text);
    reactor_submit(f->account->reactor, repair_op(f, &m->item, buf_slice(&m->header)), repair_stored, m);
}

/* Takes what is mended: all of it counts in the result, its beginning is kept. */
static uint64_t take_mended(struct repair *repair, struct buf *header)
{
    char mended[8192];
    uint64_t taken = 0;
    size_t n;

    while ((n = repair_take(repair, mended, sizeof mended)) > 0) {
        bool fits = buf_append(header, slice_first(slice_of(mended, n), HEADER_MAX - header->size));

        assert(fits);
        taken += n;
    }
    return taken;
}

static void pass_begin(struct mend *m);

static unsigned envelope_next(const struct mend *m, enum repair_when when)
{
    const struct folder_item *item = &m->item;
    struct repair_envelope envelope = { .keywords = slice_cstr(item->keywords),
                                        .flags = item->flags,
                                        .dated = item->date_known,
                                        .date_seconds = item->date_seconds };

    return repair_envelope_next(item->repairs, &envelope, slice_cstr(m->refusal.server_text), when);
}

/* What the server names first, then the message, then whatever goes with it; 0: nothing is left that could help. */
static unsigned next_of(const struct mend *m, const struct repair_found *found)
{
    unsigned next = envelope_next(m, REPAIR_NAMED);

    if (!next)
        next = repair_next(m->item.repairs, found, slice_cstr(m->refusal.server_text));
    return next ? next : envelope_next(m, REPAIR_ANYTHING);
}

static void pass_done(struct mend *m)
{
    struct repair_found found;
    unsigned next;

    body_close(&m->body);
    if (m->repair) {
        repair_end(m->repair);
        m->bytes += take_mended(m->repair, &m->header);
        measured(m);
        return;
    }
    repair_scan_end(&m->scan, &found);
    next = next_of(m, &found);
    if (!next && !push_later_is_last(m->folder, &m->item, &m->refusal)) {
        mend_over(m);
        return;
    }
    /* Others are taken, and this one is not, again: what would be taken from it for nothing else goes now. */
    if (!next)
        next = envelope_next(m, REPAIR_LAST);
    if (!next) {
        fails(m, &m->refusal, TROUBLE_APPEND);
        return;
    }
    if (m->folder->account->reactor->settings->policy.disarm_read_receipts)
        next |= REPAIR_RECEIPTS;
    m->item.repairs = (uint16_t)next;
    m->repair = repair_create(next);
    pass_begin(m);
}

static void pass_turn(void *context)
{
    struct mend *m = context;
    struct account *account = m->folder->account;
    size_t read = 0, got;
    struct err err;

    if (account->stopping) {
        m->item.repairs = m->before; /* nothing of the new ones is durable yet */
        requeue(m);
        return;
    }
    while (read < TURN_BYTES) {
        if (!body_read(m->body, m->piece, sizeof m->piece, &got, &err)) {
            err_doing(&err, "reading the spooled body of UID %" PRIu32, m->item.uid);
            fails(m, &err, TROUBLE_SPOOL);
            return;
        }
        if (got == 0) {
            pass_done(m);
            return;
        }
        read += got;
        if (m->repair) {
            repair_add(m->repair, slice_of(m->piece, got));
            m->bytes += take_mended(m->repair, &m->header);
        } else {
            repair_scan_add(m->scan, slice_of(m->piece, got));
        }
    }
    loop_timer_set(account->reactor->loop, &m->turn, 0, pass_turn, m);
}

static void pass_begin(struct mend *m)
{
    struct reactor *reactor = m->folder->account->reactor;
    struct err err;

    if (!body_open(reactor->reader, m->item.body, m->item.body_bytes, &m->body, &err)) {
        err_doing(&err, "reading the spooled body of UID %" PRIu32, m->item.uid);
        fails(m, &err, TROUBLE_SPOOL);
        return;
    }
    loop_timer_set(reactor->loop, &m->turn, 0, pass_turn, m);
}

void push_mend(struct folder *f, struct folder_item *item, const struct err *refusal)
{
    struct mend *m = mem_zero(1, sizeof *m);

    m->folder = f;
    m->item = *item;
    item->keywords = NULL;
    m->before = m->item.repairs;
    m->refusal = *refusal;
    m->scan = repair_scan_create();
    buf_init(&m->header, HEADER_MAX);
    f->account->told++;
    pass_begin(m);
}

static void disarm_stored(void *context, struct store_op *op, const struct err *err)
{
    struct mend *m = context;

    m->folder->disarming--;
    repair_stored(m, op, err);
}

/* Reads the beginning of a body, as far as requests can be; what the mended one is longer by. */
static uint64_t disarmed_by(struct body_reader *body, struct repair *repair, struct buf *header)
{
    char piece[4096];
    uint64_t read = 0, made = 0;
    size_t got = 0;
    struct err err;

    do {
        if (!body_read(body, piece, sizeof piece, &got, &err))
            return 0;
        if (got == 0)
            repair_end(repair);
        repair_add(repair, slice_of(piece, got));
        read += got;
        made += take_mended(repair, header);
    } while (got && !repair_is_done(repair));
    return made - read;
}

bool push_disarm(struct folder *f, struct folder_item *item)
{
    struct reactor *reactor = f->account->reactor;
    struct body_reader *body;
    struct mend *m;
    uint64_t longer;
    struct err err;

    item->looked = true;
    /* What cannot be read is met, and told, when it is sent. */
    if (!body_open(reactor->reader, item->body, item->body_bytes, &body, &err))
        return false;
    m = mem_zero(1, sizeof *m);
    m->folder = f;
    m->body = body;
    m->repair = repair_create(REPAIR_RECEIPTS);
    buf_init(&m->header, HEADER_MAX);
    longer = disarmed_by(m->body, m->repair, &m->header);
    if (longer == 0) {
        mend_free(m);
        return false;
    }
    m->item = *item;
    item->keywords = NULL;
    m->item.repairs |= REPAIR_RECEIPTS;
    m->item.repaired_bytes = item->body_bytes + longer;
    f->account->told++;
    f->disarming++;
    reactor_submit(reactor, repair_op(f, &m->item, buf_slice(&m->header)), disarm_stored, m);
    return true;
}
