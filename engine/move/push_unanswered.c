/* Messages whose APPEND got no answer. They alone wait, and with them those of the same key, of which a look could not
 * tell which is which; their folder goes on. In the journal they are spooled as before, and what was lost holds the
 * floor: so a run that is killed or stopped meanwhile looks for them like for any APPEND without an answer. When the
 * user has nothing else left to send, the folder stops and is looked at (push_open), and they come back into its
 * queue. */
#include "engine/move/pull.h"
#include "engine/move/push_private.h"
#include "io/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* So many wait at most in one folder: each message that is sent meanwhile is compared with all of them. */
#define WAITING_MAX 1024u

static void join(struct folder *f)
{
    struct push_queue *q = &f->account->pushes;

    f->place.next_unanswered = q->unanswered;
    q->unanswered = f;
}

static void leave(struct folder *f)
{
    struct folder **at = &f->account->pushes.unanswered;

    while (*at != f)
        at = &(*at)->place.next_unanswered;
    *at = f->place.next_unanswered;
    f->place.next_unanswered = NULL;
}

static void put(struct folder *f, struct folder_item *item)
{
    if (f->unanswered_count == f->unanswered_room) {
        f->unanswered_room = f->unanswered_room ? f->unanswered_room * 2 : 8;
        f->unanswered = mem_resize(f->unanswered, f->unanswered_room, sizeof *f->unanswered);
    }
    if (f->unanswered_count == 0)
        join(f);
    f->unanswered[f->unanswered_count++] = *item;
    item->keywords = NULL;
    if (f->unanswered_count >= WAITING_MAX)
        push_stop_sending(f);
    push_touch(f);
}

void push_unanswered_put(struct folder *f, struct folder_item *item)
{
    item->unanswered = true;
    put(f, item);
}

bool push_unanswered_waits(struct folder *f, struct folder_item *item)
{
    for (unsigned i = 0; i < f->unanswered_count; i++)
        if (memcmp(f->unanswered[i].header_key, item->header_key, MATCH_KEY_BYTES) == 0) {
            item->unanswered = false;
            put(f, item);
            return true;
        }
    return false;
}

void push_unanswered_return(struct folder *f)
{
    if (f->unanswered_count == 0)
        return;
    for (unsigned i = f->unanswered_count; i-- > 0;) {
        f->unanswered[i].unanswered = f->unanswered[i].alone = false;
        push_put_back(f, &f->unanswered[i]);
    }
    f->unanswered_count = 0;
    leave(f);
}

void push_unanswered_drop(struct folder *f)
{
    for (unsigned i = 0; i < f->unanswered_count; i++)
        item_deinit(&f->unanswered[i]);
    free(f->unanswered);
    f->unanswered = NULL;
    f->unanswered_count = f->unanswered_room = 0;
}

static int by_key(const void *a, const void *b)
{
    return memcmp(((const struct folder_item *)a)->header_key, ((const struct folder_item *)b)->header_key,
                  MATCH_KEY_BYTES);
}

unsigned push_unanswered_found(struct folder *f)
{
    unsigned found = 0, end;

    if (f->unanswered_count)
        qsort(f->unanswered, f->unanswered_count, sizeof *f->unanswered, by_key);
    for (unsigned at = 0; at < f->unanswered_count; at = end) {
        size_t copies = matcher_left_of(f->matcher, f->unanswered[at].header_key);
        unsigned lost = 0;

        for (end = at; end < f->unanswered_count && by_key(&f->unanswered[at], &f->unanswered[end]) == 0; end++)
            lost += f->unanswered[end].unanswered;
        found += copies < lost ? (unsigned)copies : lost;
    }
    return found;
}

void push_unanswered_lives(struct account *account, uint64_t asked_ms)
{
    for (struct folder *f = account->pushes.unanswered; f; f = f->place.next_unanswered)
        if (f->settle_from_ms == 0 && asked_ms > f->lost_ms)
            f->settle_from_ms = loop_now_ms(account->reactor->loop);
}

/* No more comes from the source, for now or for good. */
static bool source_is_done(const struct account *account)
{
    struct spool_fill fill;

    if (!account_uses(account, SIDE_SOURCE) ||
        (account->sides[SIDE_SOURCE].listed && account->incoming == 0 && pull_finished(account)))
        return true;
    spool_fill(account->reactor->spool, &fill);
    return fill.high || fill.disk_full;
}

struct folder *push_unanswered_due(struct account *account)
{
    struct folder *f = account->pushes.unanswered;

    if (!f || account->day_over[SIDE_TARGET] || !source_is_done(account))
        return NULL;
    while (f && (f->push != PUSH_OPEN || f->sending || f->pushers))
        f = f->place.next_unanswered;
    if (f)
        push_stop_sending(f);
    return f;
}

void push_stop_sending(struct folder *f)
{
    if (f->push != PUSH_OPEN && f->push != PUSH_CLOSED)
        return;
    f->has_target_status = false;
    f->uncertain |= f->unanswered_count > 0;
    folder_set_push(f, f->uncertain ? PUSH_SETTLING : PUSH_CLOSED);
}
