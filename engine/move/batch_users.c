/* Which user is worked on next: in the order of user-order, but for those whom a person has paused or dropped
 * (store/wishes), also while the run goes on. */
#include "engine/move/batch_private.h"

#include "engine/settings/turns.h"
#include "io/base/log.h"
#include "io/base/mem.h"
#include "io/base/now.h"
#include "store/reader.h"

#include <stdlib.h>

#define LOOK_EVERY_MS 1000u

/* ---- before the team starts ---- */

static bool add_folder(void *context, const struct folder_record *f)
{
    tally_add(context, &f->tally);
    return true;
}

static bool known_so_far(struct batch *batch, struct turn_facts *facts, struct err *err_r)
{
    struct reader *reader = NULL;
    bool ok = reader_create(batch->spool, &reader, err_r);

    for (size_t i = 0; ok && i < batch->settings->user_count; i++) {
        struct tally tally = { 0 };

        ok = reader_folders(reader, batch->ids[i], add_folder, &tally, err_r);
        tally_add(&batch->earlier, &tally);
        facts[i] = turns_of(&tally);
    }
    reader_destroy(&reader);
    return ok;
}

static void recount(struct batch *batch)
{
    unsigned waiting = 0;

    for (size_t i = 0; i < batch->settings->user_count; i++)
        waiting += !batch->queue.begun[i] && atomic_load(&batch->queue.wishes[i]) == WISH_NONE;
    batch->queue.next = 0;
    atomic_store(&batch->queue.waiting, waiting);
}

/* Who is completed still gets what arrives late. */
static enum wish aside(enum wish wish)
{
    return wish == WISH_COMPLETED ? WISH_NONE : wish;
}

/* The file as it is now; unreadable: false, and nothing changes. */
static bool take_wishes(struct batch *batch, struct err *err_r)
{
    const struct settings *s = batch->settings;
    struct wishes wishes;
    bool ok = wishes_read(s->state_folder, &wishes, err_r);

    for (size_t i = 0; ok && i < s->user_count; i++)
        atomic_store(&batch->queue.wishes[i], aside(wishes_of(&wishes, slice_cstr(s->users[i].email_address))));
    wishes_free(&wishes);
    return ok;
}

bool batch_users_open(struct batch *batch, struct err *err_r)
{
    size_t count = batch->settings->user_count;
    struct slice *addresses = mem_zero(count, sizeof *addresses);
    struct slice *names = mem_zero(count, sizeof *names);
    struct turn_facts *facts = mem_zero(count, sizeof *facts);
    bool ok;

    for (size_t i = 0; i < count; i++) {
        addresses[i] = slice_cstr(batch->settings->users[i].email_address);
        names[i] = slice_cstr(batch->settings->users[i].user_name);
    }
    ok = spool_register_users(batch->spool, addresses, names, (unsigned)count, batch->ids, err_r) &&
         known_so_far(batch, facts, err_r);
    if (ok) {
        turns_order(facts, count, batch->settings->user_order, batch->queue.order);
        (void)wishes_changed(batch->settings->state_folder, &batch->queue.stamp);
        /* A look at what there is tells of all. */
        ok = batch_only_looks(batch) || take_wishes(batch, err_r);
        recount(batch);
    }
    free(facts);
    free(addresses);
    free(names);
    return ok;
}

/* ---- while it runs ---- */

bool batch_next_user(struct batch *batch, unsigned *index_r, uint32_t *id_r)
{
    struct batch_queue *q = &batch->queue;
    bool found = false;

    pthread_mutex_lock(&q->lock);
    while (!batch_stopping(batch) && !found && q->next < batch->settings->user_count) {
        unsigned index = q->order[q->next++];

        found = !q->begun[index] && atomic_load(&q->wishes[index]) == WISH_NONE;
        if (!found)
            continue;
        q->begun[index] = true;
        atomic_fetch_sub(&q->waiting, 1);
        *index_r = index;
        *id_r = batch->ids[index];
    }
    pthread_mutex_unlock(&q->lock);
    return found;
}

bool batch_user_waits(const struct batch *batch)
{
    return atomic_load(&batch->queue.waiting) > 0;
}

bool batch_user_is_set_aside(const struct batch *batch, unsigned index)
{
    return atomic_load_explicit(&batch->queue.wishes[index], memory_order_relaxed) != WISH_NONE;
}

void batch_user_put_aside(struct batch *batch, unsigned index)
{
    pthread_mutex_lock(&batch->queue.lock);
    batch->queue.begun[index] = false;
    recount(batch);
    pthread_mutex_unlock(&batch->queue.lock);
}

void batch_users_look(struct batch *batch)
{
    uint64_t now = now_ms();
    struct err err;

    if (batch_only_looks(batch) || now - batch->queue.looked_ms < LOOK_EVERY_MS)
        return;
    batch->queue.looked_ms = now;
    if (!wishes_changed(batch->settings->state_folder, &batch->queue.stamp))
        return;
    pthread_mutex_lock(&batch->queue.lock);
    if (take_wishes(batch, &err))
        recount(batch);
    else
        log_err(LOG_WARN, "run.wishes", &err);
    pthread_mutex_unlock(&batch->queue.lock);
}

/* ---- when it has ended ---- */

unsigned batch_users_aside(const struct batch *batch, unsigned *dropped_r)
{
    unsigned paused = 0;

    *dropped_r = 0;
    for (size_t i = 0; i < batch->settings->user_count; i++) {
        int wish = batch->queue.begun[i] ? WISH_NONE : atomic_load(&batch->queue.wishes[i]);

        paused += wish == WISH_PAUSED;
        *dropped_r += wish == WISH_DROPPED;
    }
    return paused;
}
