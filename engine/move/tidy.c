/* tidy: user by user, and what the journal is told. */
#include "engine/move/tidy_private.h"

#include "engine/failure/advice.h"
#include "engine/folders/names_index.h"
#include "engine/move/batch.h"
#include "io/base/mem.h"
#include "io/stream.h"
#include "store/writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A connection may go while a folder is tidied; more often than this it is left. */
#define TRIES_MAX 3u

/* ---- the journal --------------------------------------------------------------------------- */

struct putting {
    bool failed;
    struct err err;
};

static void put_done(struct store_op *op, const struct err *err)
{
    struct putting *p = op->context;

    if (err && !p->failed) {
        p->failed = true;
        p->err = *err;
    }
    store_op_free(op);
}

/* In their order, and durable when it returns. */
static bool put(struct tidy *t, struct store_op **ops, unsigned count)
{
    struct writer *writer = writer_create(t->config->spool);
    struct putting p = { 0 };

    for (unsigned i = 0; i < count; i++) {
        ops[i]->context = &p;
        ops[i]->done = put_done;
        writer_submit(writer, ops[i]);
    }
    writer_stop(writer);
    writer_run(writer, NULL, NULL, 1000);
    writer_destroy(&writer);
    if (p.failed)
        t->err = p.err;
    return !p.failed;
}

bool tidy_put_doom(struct tidy *t, uint32_t folder, uint32_t message, uint32_t doomed_uid, bool removed)
{
    struct store_op *op = store_op_new(STORE_OP_DOOM, t->id, folder);

    op->doom.uid = message;
    op->doom.doomed_uid = doomed_uid;
    op->doom.removed = removed;
    return put(t, &op, 1);
}

struct removals {
    uint32_t folder;
    uint64_t count;
};

static bool count_removed(void *context, const struct problem_record *p)
{
    struct removals *r = context;

    if (p->folder == r->folder && strcmp(p->type, "LateCopyRemoved") == 0)
        r->count += strtoull(p->text, NULL, 10);
    return true;
}

static struct store_op *problem_op(const struct tidy *t, enum store_op_kind kind, uint32_t folder, const char *type)
{
    struct store_op *op = store_op_new(kind, t->id, folder);

    op->problem.folder = folder;
    snprintf(op->problem.type, sizeof op->problem.type, "%s", type);
    advice_line(type, slice_cstr(t->user->email_address), op->problem.remedy, sizeof op->problem.remedy);
    return op;
}

/* One remark a folder, whose number grows; it stays in the account over all runs. */
bool tidy_put_removed(struct tidy *t, uint32_t folder, uint64_t count, const char *example)
{
    struct removals r = { .folder = folder };
    struct store_op *ops[2] = { problem_op(t, STORE_OP_DOUBT, folder, "LateCopyRemoved"), /* the one of before goes */
                                problem_op(t, STORE_OP_PROBLEM, folder, "LateCopyRemoved") };

    if (!reader_problems(t->reader, t->id, count_removed, &r, &t->err)) {
        store_op_free(ops[0]);
        store_op_free(ops[1]);
        return false;
    }
    r.count += count;
    snprintf(ops[1]->problem.text, sizeof ops[1]->problem.text,
             "%llu second cop%s that this program had stored %s removed by tidy; the last was %s",
             (unsigned long long)r.count, r.count == 1 ? "y" : "ies", r.count == 1 ? "was" : "were", example);
    return put(t, ops, 2);
}

static bool count_doubts(void *context, const struct problem_record *p)
{
    *(unsigned *)context += advice_is_doubt(p);
    return true;
}

static bool copy_user(void *context, const struct user_record *u)
{
    struct store_op *op = context;
    size_t at = 0;

    op->user_record = *u;
    op->text = mem_alloc(u->address.size + u->user_name.size + u->opaque.size);
    for (unsigned i = 0; i < 3; i++) {
        struct slice *s = i == 0   ? &op->user_record.address
                          : i == 1 ? &op->user_record.user_name
                                   : &op->user_record.opaque;

        if (s->size)
            memcpy(op->text + at, s->data, s->size);
        s->data = op->text + at;
        at += s->size;
    }
    return false;
}

/* Who was in doubt for these copies alone is not any more; who is found to have some is. */
static bool put_verdict(struct tidy *t)
{
    struct store_op *op = store_op_new(STORE_OP_USER, t->id, 0);
    unsigned doubts = 0;
    enum user_state state;

    if (!reader_problems(t->reader, t->id, count_doubts, &doubts, &t->err) ||
        !reader_user(t->reader, t->id, copy_user, op, &t->err)) {
        store_op_free(op);
        return false;
    }
    state = op->user_record.state;
    if (user_state_is_synced(state))
        state = doubts                             ? USER_SYNCED_WITH_DOUBTS
                : state != USER_SYNCED_WITH_DOUBTS ? state
                : op->user_record.syncs > 1        ? USER_INCREMENTAL_SYNCED
                                                   : USER_SYNCED;
    if (state == op->user_record.state) {
        store_op_free(op);
        return true;
    }
    op->user_record.state = state;
    return put(t, &op, 1);
}

bool tidy_put_left(struct tidy *t, uint32_t folder, const char *folder_name, uint64_t count, bool late,
                   const char *example)
{
    struct store_op *op = problem_op(t, STORE_OP_DOUBT, folder, "LateCopy");

    op->problem.doubt = count > 0;
    op->problem.count = count;
    snprintf(op->problem.text, sizeof op->problem.text, "%.100s holds %llu second cop%s of messages that %s: %s%s",
             folder_name, (unsigned long long)count, count == 1 ? "y" : "ies", surplus_words(late), example,
             count == 1 ? "" : " is the first");
    return put(t, &op, 1) && put_verdict(t);
}

/* ---- the batch's verdict ------------------------------------------------------------------- */

struct standing {
    unsigned all, proved, synced;
};

static bool count_user(void *context, const struct user_record *u)
{
    struct standing *s = context;

    s->all++;
    s->proved += user_state_is_proved(u->state);
    s->synced += user_state_is_synced(u->state);
    return true;
}

/* The batch is what its users are. What it ended with follows where that said no more than their doubts. */
static bool put_batch(struct tidy *t)
{
    struct standing s = { 0 };
    struct slice before = { 0 };
    bool clean, ok;

    if (!reader_users(t->reader, count_user, &s, &t->err) ||
        !spool_meta_get(t->config->spool, "batch.state", &before, &t->err))
        return false;
    clean = slice_equal(before, SLICE("Synced"));
    ok = !clean && !slice_equal(before, SLICE("SyncedWithErrors"));
    free((char *)before.data);
    if (ok || s.all == 0 || s.synced < s.all || clean == (s.proved == s.all))
        return true;
    struct store_op *ops[2] = { store_op_meta_text("batch.state", clean ? "SyncedWithErrors" : "Synced"),
                                store_op_meta_text("batch.exit_code", clean ? "4" : "0") };

    return put(t, ops, 2);
}

/* ---- users --------------------------------------------------------------------------------- */

struct marked {
    struct folder_record *all; /* with texts of their own */
    size_t count;
};

static bool add_marked(void *context, const struct folder_record *f)
{
    struct marked *m = context;
    struct folder_record *r;

    if (!f->target_lost_from || !f->target_raw.size || f->excluded)
        return true;
    m->all = mem_resize(m->all, m->count + 1, sizeof *m->all);
    r = &m->all[m->count++];
    *r = *f;
    r->target_raw = slice_of(slice_dup(f->target_raw), f->target_raw.size);
    r->target_name = slice_of(slice_dup(f->target_name), f->target_name.size);
    r->source_raw = r->source_name = SLICE("");
    return true;
}

static void free_marked(struct marked *m)
{
    for (size_t i = 0; i < m->count; i++) {
        free((char *)m->all[i].target_raw.data);
        free((char *)m->all[i].target_name.data);
    }
    free(m->all);
}

static void tell_unseen(struct tidy *t, const char *folder)
{
    t->result->unseen++;
    t->config->unseen(t->config->context, t->user, folder, t->lost ? t->type : "SelectFailed", &t->err);
}

/* False: the store failed, and t->err says how. */
static bool tidy_one_folder(struct tidy *t, const struct folder_record *f)
{
    const char *name = f->target_name.data;

    for (unsigned tries = 0; tries < TRIES_MAX && tidy_is_in(t); tries++) {
        if (tidy_folder(t, f, name))
            return true;
        if (t->err.origin == ERR_ORIGIN_STORE)
            return false;
        if (t->err.class == ERR_CLASS_PERMANENT)
            break;
        if (t->err.class == ERR_CLASS_THROTTLED && t->visit)
            visit_failed(t->visit, TROUBLE_FETCH, &t->err);
    }
    if (!t->lost)
        tell_unseen(t, name);
    return true;
}

static bool tidy_user(struct tidy *t)
{
    struct marked m = { 0 };
    bool ok = reader_folders(t->reader, t->id, add_marked, &m, &t->err);

    if (ok && m.count && !batch_stopping(NULL)) {
        t->result->users++;
        if (tidy_is_in(t))
            for (size_t i = 0; ok && !t->lost && i < m.count; i++)
                ok = tidy_one_folder(t, &m.all[i]);
        if (t->lost && !t->result->stopped)
            tell_unseen(t, NULL);
        tidy_leave(t);
    }
    t->result->stopped |= batch_stopping(NULL);
    free_marked(&m);
    return ok;
}

struct finding {
    struct names_index places; /* folded addresses */
    uint32_t *ids;             /* parallel to the settings' users; 0: the state folder does not know them */
};

static bool find_user(void *context, const struct user_record *u)
{
    struct finding *f = context;
    char *folded = slice_dup_folded(u->address);
    size_t at = names_index_find(&f->places, slice_cstr(folded));

    if (at != NAMES_INDEX_NONE)
        f->ids[at] = u->id;
    free(folded);
    return true;
}

static bool find_users(struct tidy *t, uint32_t *ids)
{
    const struct settings *s = t->config->settings;
    char **folded = mem_zero(s->user_count + 1, sizeof *folded);
    struct finding f = { .ids = ids };
    bool ok;

    names_index_init(&f.places);
    for (size_t i = 0; i < s->user_count; i++) {
        folded[i] = slice_dup_folded(slice_cstr(s->users[i].email_address));
        (void)names_index_add(&f.places, slice_cstr(folded[i]), i);
    }
    ok = reader_users(t->reader, find_user, &f, &t->err);
    names_index_deinit(&f.places);
    for (size_t i = 0; i < s->user_count; i++)
        free(folded[i]);
    free(folded);
    return ok;
}

static bool tidy_users(struct tidy *t)
{
    const struct settings *s = t->config->settings;
    uint32_t *ids = mem_zero(s->user_count + 1, sizeof *ids);
    bool ok = find_users(t, ids);

    for (size_t i = 0; ok && i < s->user_count && !t->result->stopped; i++) {
        t->user = &s->users[i];
        t->id = ids[i];
        if (t->id)
            ok = tidy_user(t);
    }
    free(ids);
    return ok && put_batch(t);
}

bool tidy_run(const struct tidy_config *config, struct tidy_result *result, struct err *err_r)
{
    struct tidy *t = mem_zero(1, sizeof *t);
    struct visit_house house;
    bool ok;

    t->config = config;
    t->result = result;
    t->fidelity.rewrites = config->settings->target.preset == SETTINGS_PRESET_EXCHANGE_ONLINE;
    ok = visit_house_open(&house, config->settings, &t->err) && loop_create(&t->loop, &t->err) &&
         reader_create(config->spool, &t->reader, &t->err);
    if (ok) {
        t->visits = visits_create(&house, t->loop);
        stream_resolver_start();
        ok = tidy_users(t);
        tidy_leave(t);
        stream_resolver_stop();
        visits_destroy(&t->visits);
    }
    if (!ok)
        *err_r = t->err;
    if (t->reader)
        reader_destroy(&t->reader);
    loop_destroy(&t->loop);
    visit_house_close(&house);
    free(t);
    return ok;
}
