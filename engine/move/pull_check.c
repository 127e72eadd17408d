/* Is a body that of the message that was asked for? Some servers give another's under the right UID
 * (quirk S10). The listing told a size, which is most often the very one: a body of another size is
 * held back until the header of its UID was asked for once more, and the two are compared. Where
 * sizes turn out to be estimates (B11), that would be a question a message: so no more of them are
 * asked than CHECKS_FREE and one for each CHECKS_EVERY bodies of the right size. Once a server gave
 * the body of another message, each of the user's further ones is checked.
 */
#include "engine/move/pull_private.h"
#include "io/base/log.h"
#include "io/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECKS_FREE  20u
#define CHECKS_EVERY 100u

/* A whole body whose header is asked for. Counts as fetching. */
struct check {
    struct worker *worker;
    struct folder_item item;
    struct incoming in;
    struct header_id told;
    bool has_told;
};

enum size_trust pull_size_trust(const struct reactor *reactor)
{
    return size_trust_of(reactor->sizes_right, reactor->sizes_wrong);
}

bool pull_doubts_body(struct worker *w, const struct folder_item *item, uint64_t got_bytes)
{
    struct account *account = w->account;
    struct reactor *reactor = account->reactor;

    bool differs = item->listed_bytes && item->listed_bytes != got_bytes;

    reactor->sizes_wrong += differs && item->ladder.other_bytes == 0;
    reactor->sizes_right += item->listed_bytes == got_bytes;
    if (!link_is_ready(w->link))
        return false;
    if (account->gives_others)
        return true;
    if (!differs)
        return false;
    if (reactor->sizes_doubted >= CHECKS_FREE + reactor->sizes_right / CHECKS_EVERY)
        return false;
    reactor->sizes_doubted++;
    return true;
}

static void check_row(void *context, const struct imap_message_row *row)
{
    struct check *check = context;

    if (row->uid != check->item.uid || row->header.size == 0)
        return;
    header_id(row->header, &check->told);
    check->has_told = true;
}

/* All that goes on on this connection may be of another message: the next try is on a new one. */
static void is_another(struct check *check)
{
    struct worker *w = check->worker;
    struct account *account = w->account;
    struct header_id id;
    struct err err;

    incoming_id(&check->in, &id);
    err_set(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, ERR_ORIGIN_PROTOCOL, 0,
            "the server gives the body of another message: %.90s in place of %.90s",
            id.message_id[0] ? id.message_id : id.date,
            check->told.message_id[0] ? check->told.message_id : check->told.date);
    err_doing(&err, "UID FETCH %" PRIu32, check->item.uid);
    log_line(LOG_WARN, "body.another", "user=%s folder=%s uid=%" PRIu32 " %s", account->user->email_address,
             check->in.folder->source_name, check->item.uid, err.server_text);
    if (!account->gives_others && account->reactor->sizes_doubted)
        account->reactor->sizes_doubted--;
    account->gives_others = true;
    w->draining = true;
    incoming_drop(&check->in);
    pull_body_refused(w, check->in.folder, &check->item, "WrongMessage", &err);
}

static void check_ended(void *context, const struct err *err)
{
    struct check *check = context;
    struct worker *w = check->worker;
    struct folder *f = check->in.folder;
    struct header_id id;

    (void)err; /* a server that does not tell gives no reason to doubt its body */
    w->inflight--;
    incoming_id(&check->in, &id);
    if (check->has_told && header_differs(&check->told, &id))
        is_another(check);
    else
        pull_body_came(w, &check->in, &check->item);
    free(check);
    pull_settle_if_done(f);
    if (link_is_ready(w->link))
        worker_idle(w);
}

void pull_check_body(struct worker *w, struct incoming *in, struct folder_item *item)
{
    struct check *check = mem_zero(1, sizeof *check);
    char set[16];

    check->worker = w;
    check->item = *item;
    check->in = *in;
    *in = (struct incoming){ .folder = in->folder };
    item->keywords = NULL;
    log_line(LOG_DEBUG, "body.doubted", "user=%s folder=%s uid=%" PRIu32 " told=%" PRIu64 " came=%" PRIu64,
             w->account->user->email_address, check->in.folder->source_name, check->item.uid, check->item.listed_bytes,
             check->in.got);
    snprintf(set, sizeof set, "%" PRIu32, check->item.uid);
    w->inflight++;
    source_rows(link_source(w->link), slice_cstr(set), SLICE("DATE MESSAGE-ID"), check_row, check_ended, check);
}
