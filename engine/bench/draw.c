#include "engine/bench/draw.h"

#include "io/base/mem.h"
#include "io/team.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS     50u
#define FOLDERS_MAX 10000u

struct part;

struct lister {
    struct part *part;
    unsigned user;
    struct visit *visit;
    struct corpus_sieve *sieve;
    char **folders;
    unsigned folder_count, folder_at;
    struct quota_hold held;
    bool listed, failed, empty;
};

struct part {
    struct draw *draw;
    unsigned index;
    struct loop *loop;
    struct visits *visits;
    struct lister *listers;
    unsigned count, open;
    struct loop_timer tick;
    bool ending;
};

struct draw {
    const struct draw_plan *plan;
    struct corpus *corpus;
    struct draw_result *result;
    unsigned loops, keep;
    atomic_uint next; /* user */
    struct part *parts;
    pthread_mutex_t lock; /* of corpus, result and what follows */
    bool broken;
    struct err err;
};

static void folder_next(struct lister *l);

static void note(struct lister *l, const struct err *err, const char *type, bool whole_user)
{
    struct draw_result *r = l->part->draw->result;

    if (l->part->ending)
        return;
    pthread_mutex_lock(&l->part->draw->lock);
    if (!whole_user)
        r->folders_failed++;
    else if (!l->failed)
        r->failed++;
    r->err = *err;
    snprintf(r->type, sizeof r->type, "%s", type);
    pthread_mutex_unlock(&l->part->draw->lock);
    l->failed |= whole_user;
}

static bool is_out(const struct lister *l)
{
    return l->part->ending || !l->visit || !visit_is_ready(l->visit);
}

static void folders_drop(struct lister *l)
{
    for (unsigned i = 0; i < l->folder_count; i++)
        free(l->folders[i]);
    free(l->folders);
    l->folders = NULL;
    l->folder_count = l->folder_at = 0;
}

static void drop(struct lister *l)
{
    quota_let_go(&l->held);
    corpus_sieve_destroy(&l->sieve);
    folders_drop(l);
}

/* True when the visit comes back later, or ends, because of it. */
static bool hurt(struct lister *l, enum trouble_doing doing, const struct err *err)
{
    if (err->class != ERR_CLASS_THROTTLED)
        return false;
    visit_failed(l->visit, doing, err);
    return true;
}

static void row(void *context, const struct imap_message_row *r)
{
    struct lister *l = context;

    corpus_sieve_row(l->sieve, r->uid, r->size_bytes);
}

static void rows_ended(void *context, const struct err *err)
{
    struct lister *l = context;

    if (err)
        corpus_sieve_void(l->sieve);
    if (is_out(l))
        return;
    if (err) {
        if (hurt(l, TROUBLE_FETCH, err))
            return;
        note(l, err, trouble_type(TROUBLE_FETCH, FAILURE_SOURCE, err), trouble_is_memory(err));
    }
    quota_hold(&l->held, source_memory(visit_source(l->visit)), corpus_sieve_memory(l->sieve));
    l->folder_at++;
    visit_went_well(l->visit);
    folder_next(l);
}

static void selected(void *context, const struct imap_selected *told)
{
    struct lister *l = context;

    l->empty = told->status.messages == 0;
}

static void select_ended(void *context, const struct err *err)
{
    struct lister *l = context;

    if (is_out(l))
        return;
    if (err && hurt(l, TROUBLE_SELECT, err))
        return;
    if (err || l->empty) {
        if (err)
            note(l, err, trouble_type(TROUBLE_SELECT, FAILURE_SOURCE, err), false);
        l->folder_at++;
        folder_next(l);
        return;
    }
    corpus_sieve_folder(l->sieve, slice_cstr(l->folders[l->folder_at]));
    source_rows(visit_source(l->visit), SLICE("1:*"), SLICE(""), row, rows_ended, l);
}

static void done(struct lister *l)
{
    struct draw *draw = l->part->draw;

    pthread_mutex_lock(&draw->lock);
    draw->result->listed++;
    corpus_keep(draw->corpus, &l->sieve, l->user);
    if (draw->plan->told)
        draw->plan->told(draw->plan->context, draw->result->listed + draw->result->failed, draw->plan->user_count);
    pthread_mutex_unlock(&draw->lock);
    visit_end(l->visit);
}

static void folder_next(struct lister *l)
{
    if (l->folder_at == l->folder_count) {
        done(l);
        return;
    }
    l->empty = false;
    source_open(visit_source(l->visit), slice_cstr(l->folders[l->folder_at]), true, selected, select_ended, l);
}

static void list_row(void *context, const struct imap_list_row *r)
{
    struct lister *l = context;

    if (r->attributes & (IMAP_MAILBOX_NOSELECT | IMAP_MAILBOX_NONEXISTENT) || r->name.size == 0 ||
        l->folder_count == FOLDERS_MAX)
        return;
    l->folders = mem_resize(l->folders, l->folder_count + 1u, sizeof *l->folders);
    l->folders[l->folder_count++] = slice_dup(r->name);
    quota_hold_more(&l->held, source_memory(visit_source(l->visit)), sizeof *l->folders + r->name.size + 1);
}

static void list_ended(void *context, const struct err *err)
{
    struct lister *l = context;

    if (is_out(l))
        return;
    if (err) {
        note(l, err, trouble_type(TROUBLE_LIST, FAILURE_SOURCE, err), true);
        visit_failed(l->visit, TROUBLE_LIST, err);
        return;
    }
    l->listed = true;
    folder_next(l);
}

static void note_server(struct lister *l)
{
    struct draw_result *r = l->part->draw->result;
    uint32_t us = visit_round_trip_us(l->visit);

    pthread_mutex_lock(&l->part->draw->lock);
    if (r->id[0] == '\0' && visit_session(l->visit)) /* a tree of files tells nothing of itself */
        snprintf(r->id, sizeof r->id, "%s", session_server_id(visit_session(l->visit)));
    if (us && (!r->round_trip_us || us < r->round_trip_us))
        r->round_trip_us = us;
    pthread_mutex_unlock(&l->part->draw->lock);
}

/* Again after a lost connection: from the folder that broke off. */
static void ready(void *context)
{
    struct lister *l = context;

    note_server(l);
    if (!l->sieve)
        l->sieve =
            corpus_sieve_create(l->part->draw->plan->seed,
                                slice_cstr(l->part->draw->plan->users[l->user]->email_address), l->part->draw->keep);
    if (l->listed) {
        folder_next(l);
        return;
    }
    folders_drop(l);
    source_list(visit_source(l->visit), SESSION_LIST_PLAIN, SLICE("*"), 0, list_row, NULL, list_ended, l);
}

static void over(void *context, const struct err *err, const char *type);
static const struct visit_events events = { .ready = ready, .over = over };

/* The next account. False: there is none. */
static bool begin(struct lister *l)
{
    struct draw *draw = l->part->draw;
    unsigned user = atomic_fetch_add(&draw->next, 1);

    if (l->part->ending || user >= draw->plan->user_count)
        return false;
    l->user = user;
    l->listed = l->failed = false;
    l->visit = visit_start(l->part->visits, SIDE_SOURCE, draw->plan->users[user], &events, l);
    return true;
}

static void over(void *context, const struct err *err, const char *type)
{
    struct lister *l = context;

    l->visit = NULL;
    if (err)
        note(l, err, type, true);
    drop(l);
    if (!begin(l) && --l->part->open == 0)
        loop_stop(l->part->loop);
}

static void tick(void *context)
{
    struct part *part = context;

    loop_timer_set(part->loop, &part->tick, TICK_MS, tick, part);
    if (part->ending || !part->draw->plan->stop || !part->draw->plan->stop())
        return;
    part->ending = true;
    for (unsigned i = 0; i < part->count; i++)
        if (part->listers[i].visit)
            visit_end(part->listers[i].visit);
}

static void part_run(struct part *part)
{
    struct err err;

    if (!loop_create(&part->loop, &err)) {
        pthread_mutex_lock(&part->draw->lock);
        part->draw->broken = true;
        part->draw->err = err;
        pthread_mutex_unlock(&part->draw->lock);
        return;
    }
    part->visits = visits_create(part->draw->plan->house, part->loop);
    for (unsigned i = 0; i < part->count; i++) {
        part->listers[i].part = part;
        part->open += begin(&part->listers[i]);
    }
    loop_timer_set(part->loop, &part->tick, TICK_MS, tick, part);
    if (part->open)
        loop_run(part->loop);
    loop_timer_clear(part->loop, &part->tick);
    if (part->ending) {
        pthread_mutex_lock(&part->draw->lock);
        part->draw->result->stopped = true;
        pthread_mutex_unlock(&part->draw->lock);
    }
    visits_destroy(&part->visits);
    loop_destroy(&part->loop);
}

static void run_thread(void *context, unsigned thread)
{
    struct draw *draw = context;

    if (thread > 0)
        part_run(&draw->parts[thread - 1]);
}

bool draw_run(const struct draw_plan *plan, struct corpus *corpus_r, struct draw_result *result_r, struct err *err_r)
{
    struct draw draw = { .plan = plan, .corpus = corpus_r, .result = result_r };
    unsigned connections = plan->connections < plan->user_count ? plan->connections : plan->user_count;
    bool ok;

    *corpus_r = (struct corpus){ 0 };
    *result_r = (struct draw_result){ 0 };
    draw.loops = plan->loops < connections ? plan->loops : connections;
    draw.keep = DRAW_MESSAGES_MAX / plan->user_count;
    if (draw.keep < CORPUS_BLOCK)
        draw.keep = CORPUS_BLOCK;
    pthread_mutex_init(&draw.lock, NULL);
    draw.parts = mem_zero(draw.loops, sizeof *draw.parts);
    for (unsigned i = 0; i < draw.loops; i++) {
        draw.parts[i].draw = &draw;
        draw.parts[i].index = i;
        draw.parts[i].count = connections / draw.loops + (i < connections % draw.loops);
        draw.parts[i].listers = mem_zero(draw.parts[i].count, sizeof *draw.parts[i].listers);
    }
    ok = team_run(draw.loops, run_thread, &draw, err_r);
    if (ok && draw.broken)
        *err_r = draw.err;
    for (unsigned i = 0; i < draw.loops; i++)
        free(draw.parts[i].listers);
    free(draw.parts);
    pthread_mutex_destroy(&draw.lock);
    corpus_sort(corpus_r);
    return ok && !draw.broken;
}

struct ticket {
    uint64_t number;
    unsigned index;
};

static int by_number(const void *a, const void *b)
{
    const struct ticket *x = a, *y = b;

    return x->number != y->number ? x->number < y->number ? -1 : 1 : (x->index > y->index) - (x->index < y->index);
}

static int by_index(const void *a, const void *b)
{
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

    return (x > y) - (x < y);
}

unsigned draw_accounts(uint64_t seed, const struct settings *settings, unsigned count, unsigned *chosen_r)
{
    unsigned of = (unsigned)settings->user_count;
    struct ticket *tickets = mem_zero(of + 1u, sizeof *tickets);

    if (count > of)
        count = of;
    for (unsigned i = 0; i < of; i++)
        tickets[i] = (struct ticket){ corpus_number(seed, slice_cstr(settings->users[i].email_address)), i };
    if (of)
        qsort(tickets, of, sizeof *tickets, by_number);
    for (unsigned i = 0; i < count; i++)
        chosen_r[i] = tickets[i].index;
    if (count)
        qsort(chosen_r, count, sizeof *chosen_r, by_index);
    free(tickets);
    return count;
}
