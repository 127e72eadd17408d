#include "engine/move/visit.h"

#include "engine/move/login.h"
#include "engine/move/tokens.h"
#include "engine/settings/side.h"
#include "io/base/mem.h"
#include "io/https.h"

#include <stdio.h>
#include <stdlib.h>

/* A person waits for the end of it, and no mail is at stake. */
#define ATTEMPTS_MAX  6u
#define TOKEN_LOOK_MS 200u
/* Of memory-max: the rest is for bodies on their way, connections and the program itself. */
#define LISTS_SHARE 2u

struct visits {
    struct reactor reactor; /* as far as tokens need one */
};

struct visit {
    struct visits *visits;
    enum side side;
    const struct settings_user *user;
    const struct visit_events *events;
    void *context;
    struct link *link;
    struct quota_part *memory;
    struct secret *token;
    struct loop_timer again;
    unsigned failures;  /* in a row */
    unsigned came_seen; /* see reactor_turned_away */
    bool ending;
    bool waits; /* the link is closed for a wait of wait_ms */
    uint32_t wait_ms;
    bool given_up;
    struct err err;
    char type[40];
};

/* ---- what is shared ------------------------------------------------------------------------ */

static bool make_tls(struct visit_house *house, enum side side, struct err *err_r)
{
    const struct settings_endpoint *e = settings_endpoint(house->settings, side);
    struct tls_config config;

    if (e->tls.mode == SETTINGS_TLS_NONE)
        return true;
    settings_tls_config(&e->tls, &config);
    return tls_role_create(&config, &house->tls[side], err_r);
}

bool visit_house_open(struct visit_house *house, const struct settings *settings, struct err *err_r)
{
    *house = (struct visit_house){ .settings = settings };
    house->presence = mem_zero(SIDE_COUNT, sizeof *house->presence);
    house->memory = quota_create(settings->memory_max_bytes / LISTS_SHARE);
    house->bandwidth = mem_zero(1, sizeof *house->bandwidth);
    bandwidth_init(house->bandwidth, &settings->bandwidth_max);
    if (!make_tls(house, SIDE_SOURCE, err_r) || !make_tls(house, SIDE_TARGET, err_r))
        return false;
    if (settings->source.oauth.grant == SETTINGS_GRANT_NONE && settings->target.oauth.grant == SETTINGS_GRANT_NONE)
        return true;
    return https_create(&house->https, err_r);
}

void visit_house_close(struct visit_house *house)
{
    https_destroy(&house->https);
    for (unsigned side = 0; side < SIDE_COUNT; side++)
        tls_role_destroy(&house->tls[side]);
    free(house->presence);
    house->presence = NULL;
    free(house->bandwidth);
    house->bandwidth = NULL;
    quota_destroy(&house->memory);
}

void visit_house_reactor(const struct visit_house *house, struct loop *loop, struct reactor *reactor_r)
{
    *reactor_r = (struct reactor){ .settings = house->settings,
                                   .loop = loop,
                                   .presence = house->presence,
                                   .memory = house->memory,
                                   .bandwidth = house->bandwidth,
                                   .https = house->https };
    for (unsigned side = 0; side < SIDE_COUNT; side++)
        reactor_r->tls[side] = house->tls[side];
    reactor_r->tokens = tokens_create(reactor_r);
}

struct visits *visits_create(const struct visit_house *house, struct loop *loop)
{
    struct visits *visits = mem_zero(1, sizeof *visits);

    visit_house_reactor(house, loop, &visits->reactor);
    return visits;
}

void visits_destroy(struct visits **visits)
{
    if (!*visits)
        return;
    tokens_destroy(&(*visits)->reactor.tokens);
    free(*visits);
    *visits = NULL;
}

/* ---- one connection ------------------------------------------------------------------------ */

static void connect_now(void *context);

static void over(struct visit *v)
{
    struct loop *loop = v->visits->reactor.loop;

    loop_timer_clear(loop, &v->again);
    secret_destroy(&v->token);
    quota_leave(&v->memory);
    v->events->over(v->context, v->given_up ? &v->err : NULL, v->type);
    free(v);
}

static void over_later(void *context)
{
    over(context);
}

static void give_up(struct visit *v, const char *type, const struct err *err)
{
    v->given_up = true;
    v->err = *err;
    snprintf(v->type, sizeof v->type, "%s", type);
}

/* Whether it comes back, and after which wait. */
static bool patient(struct visit *v, enum trouble_doing doing, const struct err *err, bool turned_away)
{
    struct trouble_verdict verdict;
    enum failure_side side = v->side == SIDE_SOURCE ? FAILURE_SOURCE : FAILURE_TARGET;

    trouble_judge(doing, side, err, v->failures, ATTEMPTS_MAX, (uint32_t)(uintptr_t)v >> 4, &verdict);
    v->wait_ms = verdict.wait_ms;
    /* Its turn comes when one of those that get in has ended. */
    if (verdict.action == TROUBLE_FEWER && (turned_away || v->visits->reactor.presence[v->side].now > 0)) {
        v->failures = 1;
        return true;
    }
    v->failures++;
    if (verdict.action == TROUBLE_STOP_ACCOUNT || verdict.action == TROUBLE_STOP_RUN || v->failures >= ATTEMPTS_MAX) {
        give_up(v, trouble_type(doing, side, err), err);
        return false;
    }
    return true;
}

static void link_ready(void *context)
{
    struct visit *v = context;

    reactor_stands(&v->visits->reactor, v->side);
    if (v->ending) {
        link_finish(v->link);
        return;
    }
    v->events->ready(v->context);
}

static void link_closed(void *context, const struct err *err, bool ready_before)
{
    struct visit *v = context;
    struct loop *loop = v->visits->reactor.loop;
    bool greeted = link_was_greeted(v->link);
    enum trouble_doing doing = ready_before ? TROUBLE_LIST : trouble_while_connecting(err, greeted);
    bool turned_away = false;
    struct err away;

    if (ready_before) {
        reactor_falls(&v->visits->reactor, v->side, &v->came_seen);
    } else if (reactor_turned_away(&v->visits->reactor, v->side, err, greeted, v->failures, &v->came_seen, &away)) {
        turned_away = true;
        err = &away;
    }
    v->link = NULL;
    secret_destroy(&v->token);
    if (v->ending || v->given_up) {
        over(v);
        return;
    }
    if (!v->waits && !patient(v, doing, err, turned_away)) {
        over(v);
        return;
    }
    if (slice_find_nocase(slice_cstr(err->server_text), SLICE("AccessTokenExpired")) != SIZE_MAX)
        tokens_forget(v->visits->reactor.tokens, v->side, v->user);
    v->waits = false;
    loop_timer_set(loop, &v->again, v->wait_ms, connect_now, v);
    if (v->events->waits)
        v->events->waits(v->context);
}

static const struct link_events link_events = { .ready = link_ready, .closed = link_closed };

static void connect_now(void *context)
{
    struct visit *v = context;
    struct reactor *reactor = &v->visits->reactor;
    const struct settings *settings = reactor->settings;
    const struct settings_endpoint *endpoint = settings_endpoint(settings, v->side);
    struct link_config config;
    char label[160];
    uint64_t ends_ms;
    struct err err;

    if (v->ending) {
        over(v);
        return;
    }
    if (endpoint->oauth.grant != SETTINGS_GRANT_NONE)
        switch (tokens_get(reactor->tokens, v->side, v->user, &v->token, &ends_ms, &err)) {
        case TOKENS_READY:
            break;
        case TOKENS_WAIT:
            loop_timer_set(reactor->loop, &v->again, TOKEN_LOOK_MS, connect_now, v);
            return;
        case TOKENS_REFUSED:
            give_up(v, "TokenFailed", &err);
            over(v);
            return;
        }
    snprintf(label, sizeof label, "%s user=%s", side_name(v->side), v->user->email_address);
    login_as(settings, v->side, v->user, reactor->tls[v->side], v->token, &config);
    config.session.memory = v->memory;
    config.bandwidth = reactor->bandwidth;
    config.label = label;
    v->link = link_open(reactor->loop, &config, &link_events, v);
}

struct visit *visit_start(struct visits *visits, enum side side, const struct settings_user *user,
                          const struct visit_events *events, void *context)
{
    struct visit *v = mem_zero(1, sizeof *v);

    v->visits = visits;
    v->side = side;
    v->user = user;
    v->events = events;
    v->context = context;
    v->memory = quota_join(visits->reactor.memory);
    loop_timer_set(visits->reactor.loop, &v->again, 0, connect_now, v);
    return v;
}

bool visit_is_ready(const struct visit *v)
{
    return v->link && link_is_ready(v->link) && !v->ending && !v->given_up && !v->waits;
}

struct source *visit_source(struct visit *v)
{
    return link_source(v->link);
}

struct session *visit_session(struct visit *v)
{
    return link_session(v->link);
}

void visit_facts(const struct visit *v, struct stream_facts *facts_r)
{
    if (v->link)
        link_facts(v->link, facts_r);
    else
        *facts_r = (struct stream_facts){ .address = "", .tls_version = "", .tls_cipher = "" };
}

uint32_t visit_round_trip_us(const struct visit *v)
{
    return v->link ? link_round_trip_us(v->link) : 0;
}

void visit_failed(struct visit *v, enum trouble_doing doing, const struct err *err)
{
    if (v->ending || v->given_up || v->waits)
        return;
    if (patient(v, doing, err, false))
        v->waits = true;
    if (v->link)
        link_finish(v->link);
}

void visit_went_well(struct visit *v)
{
    v->failures = 0;
}

void visit_end(struct visit *v)
{
    if (v->ending)
        return;
    v->ending = true;
    if (v->link)
        link_finish(v->link);
    else
        loop_timer_set(v->visits->reactor.loop, &v->again, 0, over_later, v);
}
