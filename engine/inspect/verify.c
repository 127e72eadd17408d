#include "engine/inspect/verify.h"

#include "engine/inspect/verify_user.h"
#include "engine/move/batch.h"
#include "io/base/mem.h"
#include "io/team.h"

#include <pthread.h>
#include <stdlib.h>

/* Users at once on a loop: each holds a folder's rows of both sides in memory. */
#define USERS_AT_ONCE 16u
#define TICK_MS       250

struct verify;

/* One loop's part. */
struct part {
    struct verifier verifier;
    struct verify *verify;
    struct exam *exams[USERS_AT_ONCE];
    unsigned active, most;
    bool stopping;
    struct loop_timer tick;
};

struct verify {
    const struct verify_config *config;
    struct visit_house house;
    struct part *parts;
    _Atomic unsigned next_user;
    pthread_mutex_t lock; /* told, count, err */
    unsigned told;
    bool failed;
    struct err err;
};

static void take_users(struct part *part)
{
    const struct settings *settings = part->verify->config->settings;

    part->stopping |= batch_stopping(NULL);
    while (!part->stopping && part->active < part->most) {
        unsigned index = atomic_fetch_add(&part->verify->next_user, 1), free_at = 0;

        if (index >= settings->user_count)
            break;
        while (part->exams[free_at])
            free_at++;
        part->active++;
        part->exams[free_at] = exam_start(&part->verifier, &settings->users[index]);
    }
    if (part->active == 0) {
        loop_timer_clear(part->verifier.loop, &part->tick);
        loop_stop(part->verifier.loop);
    }
}

static void done(struct verifier *verifier, struct exam *exam, struct verify_user *result)
{
    struct part *part = verifier->context;
    struct verify *v = part->verify;

    for (unsigned i = 0; i < USERS_AT_ONCE; i++)
        if (part->exams[i] == exam)
            part->exams[i] = NULL;
    part->active--;
    pthread_mutex_lock(&v->lock);
    v->told++;
    v->config->told(v->config->context, result);
    pthread_mutex_unlock(&v->lock);
    verify_user_free(&result);
    take_users(part);
}

static void tick(void *context)
{
    struct part *part = context;

    loop_timer_set(part->verifier.loop, &part->tick, TICK_MS, tick, part);
    if (part->stopping || !batch_stopping(NULL))
        return;
    part->stopping = true;
    for (unsigned i = 0; i < USERS_AT_ONCE; i++)
        if (part->exams[i])
            exam_stop(part->exams[i]);
}

static bool read_all(struct verifier *verifier, struct err *err_r)
{
    const struct verify_config *config = verifier->config;
    bool ok = true;

    verifier->readers = mem_zero(config->spool_count, sizeof(struct reader *));
    for (unsigned i = 0; ok && i < config->spool_count; i++)
        ok = reader_create(config->spools[i], &verifier->readers[i], err_r);
    return ok;
}

static void run_part(struct verify *v, struct part *part)
{
    struct verifier *verifier = &part->verifier;
    struct err err;

    verifier->config = v->config;
    verifier->done = done;
    verifier->context = part;
    if (!loop_create(&verifier->loop, &err) || !read_all(verifier, &err)) {
        pthread_mutex_lock(&v->lock);
        v->failed = true;
        v->err = err;
        pthread_mutex_unlock(&v->lock);
    } else {
        verifier->visits = visits_create(&v->house, verifier->loop);
        loop_timer_set(verifier->loop, &part->tick, TICK_MS, tick, part);
        take_users(part);
        loop_run(verifier->loop);
        visits_destroy(&verifier->visits);
    }
    for (unsigned i = 0; verifier->readers && i < v->config->spool_count; i++)
        reader_destroy(&verifier->readers[i]);
    free(verifier->readers);
    loop_destroy(&verifier->loop);
}

/* Thread 0 has nothing to write. */
static void run_thread(void *context, unsigned thread)
{
    struct verify *v = context;

    if (thread > 0)
        run_part(v, &v->parts[thread - 1]);
}

bool verify_run(const struct verify_config *config, unsigned *told_r, struct err *err_r)
{
    const struct settings *s = config->settings;
    struct verify v = { .config = config };
    unsigned loops = config->loops < s->user_count ? config->loops : (unsigned)s->user_count;
    unsigned links = s->source.connections < s->target.connections ? s->source.connections : s->target.connections;
    bool ok = true;

    *told_r = 0;
    if (loops == 0)
        return true;
    loops = loops < links ? loops : links;
    pthread_mutex_init(&v.lock, NULL);
    v.parts = mem_zero(loops, sizeof *v.parts);
    for (unsigned i = 0; i < loops; i++) {
        unsigned share = links / loops + (i < links % loops);

        v.parts[i].verify = &v;
        v.parts[i].most = share < USERS_AT_ONCE ? share : USERS_AT_ONCE;
    }
    ok = visit_house_open(&v.house, s, err_r);
    if (ok) {
        stream_resolver_start();
        ok = team_run(loops, run_thread, &v, err_r);
        stream_resolver_stop();
    }
    visit_house_close(&v.house);
    if (ok && v.failed)
        *err_r = v.err;
    *told_r = v.told;
    pthread_mutex_destroy(&v.lock);
    free(v.parts);
    return ok && !v.failed;
}
