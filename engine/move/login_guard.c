#include "engine/move/login_guard.h"

#include "io/base/mem.h"

#include <pthread.h>
#include <stdlib.h>

struct server {
    bool shared, worked, scouting, stopped;
    unsigned refusals, tls_faults;
    uint64_t since_ms; /* of the first of refusals */
};

struct login_guard {
    pthread_mutex_t lock;
    struct server servers[2];
};

struct login_guard *login_guard_create(const bool shared[2])
{
    struct login_guard *b = mem_zero(1, sizeof *b);

    pthread_mutex_init(&b->lock, NULL);
    b->servers[0].shared = shared[0];
    b->servers[1].shared = shared[1];
    return b;
}

void login_guard_destroy(struct login_guard **login_guard)
{
    if (*login_guard) {
        pthread_mutex_destroy(&(*login_guard)->lock);
        free(*login_guard);
        *login_guard = NULL;
    }
}

bool login_guard_may_login(struct login_guard *b, unsigned side, bool *scout_r)
{
    struct server *s = &b->servers[side];
    bool may;

    pthread_mutex_lock(&b->lock);
    may = !s->stopped && (!s->shared || s->worked || !s->scouting);
    *scout_r = may && s->shared && !s->worked;
    s->scouting |= *scout_r;
    pthread_mutex_unlock(&b->lock);
    return may;
}

void login_guard_logged_in(struct login_guard *b, unsigned side)
{
    struct server *s = &b->servers[side];

    pthread_mutex_lock(&b->lock);
    s->worked = true;
    s->scouting = false;
    s->refusals = 0;
    pthread_mutex_unlock(&b->lock);
}

void login_guard_given_up(struct login_guard *b, unsigned side)
{
    pthread_mutex_lock(&b->lock);
    b->servers[side].scouting = false;
    pthread_mutex_unlock(&b->lock);
}

bool login_guard_refused(struct login_guard *b, unsigned side, bool scout, uint64_t now_ms)
{
    struct server *s = &b->servers[side];
    bool stop;

    pthread_mutex_lock(&b->lock);
    if (scout)
        s->scouting = false;
    if (s->refusals == 0 || (s->worked && now_ms - s->since_ms > LOGIN_GUARD_WINDOW_MS)) {
        s->refusals = 0;
        s->since_ms = now_ms;
    }
    s->refusals++;
    stop = s->shared && !s->stopped && s->refusals >= (s->worked ? LOGIN_GUARD_LATER : LOGIN_GUARD_FIRST);
    s->stopped |= stop;
    pthread_mutex_unlock(&b->lock);
    return stop;
}

bool login_guard_tls_failed(struct login_guard *b, unsigned side)
{
    struct server *s = &b->servers[side];
    bool stop;

    pthread_mutex_lock(&b->lock);
    stop = ++s->tls_faults >= LOGIN_GUARD_TLS && !s->worked && !s->stopped;
    s->stopped |= stop;
    pthread_mutex_unlock(&b->lock);
    return stop;
}
