#include "engine/move/login.h"

#include "engine/move/batch.h"
#include "engine/move/governor.h"
#include "engine/move/login_guard.h"
#include "engine/move/tokens.h"
#include "engine/settings/side.h"
#include "io/base/log.h"
#include "io/base/now.h"

#include <ctype.h>

bool login_ready(struct worker *w)
{
    struct account *account = w->account;
    const struct settings *settings = account->reactor->settings;
    const struct settings_endpoint *endpoint = settings_endpoint(settings, w->side);
    struct err err;

    /* It was taken before the wait for leave to connect, and that may have outlived it. */
    if (w->token && endpoint->oauth.grant != SETTINGS_GRANT_NONE &&
        loop_now_ms(account->reactor->loop) + w->token_life_ms / 6 >= w->token_ends_ms)
        secret_destroy(&w->token);
    if (endpoint->oauth.grant != SETTINGS_GRANT_NONE && !w->token)
        switch (tokens_get(account->reactor->tokens, w->side, account->user, &w->token, &w->token_ends_ms, &err)) {
        case TOKENS_READY:
            w->token_life_ms = w->token_ends_ms - loop_now_ms(account->reactor->loop);
            break;
        case TOKENS_WAIT:
            w->waits = STALL_TOKEN;
            return false;
        case TOKENS_REFUSED:
            account_failure(account, failure_side_of(w->side), TROUBLE_LOGIN, NULL, &err, NULL, 0);
            account_fail(account, "TokenFailed", false);
            return false;
        }
    if (!login_guard_may_login(batch_login_guard(account->reactor->batch), w->side, &w->scout)) {
        w->waits = STALL_FIRST_LOGIN; /* another user's login is to show that the secret works */
        return false;
    }
    if (w->side == SIDE_SOURCE || governor_may_connect(account))
        return true;
    w->waits = STALL_PACE;
    if (w->scout)
        login_guard_given_up(batch_login_guard(account->reactor->batch), w->side);
    w->scout = false;
    return false;
}

void login_stands(struct worker *w)
{
    struct reactor *reactor = w->account->reactor;

    login_guard_logged_in(batch_login_guard(reactor->batch), w->side);
    if (w->scout)
        for (struct account *a = reactor->accounts; a; a = a->next)
            account_poke(a);
    w->scout = false;
    reactor->broken_ways[w->side] = link_broken_ways(w->link);
}

/* The administrator's login stood, and only this user could not be become. */
static bool secret_worked(const struct err *err)
{
    return strstr(err->doing, "PROXYAUTH") || strstr(err->doing, "X-SETUSER");
}

void login_refused(struct worker *w, const struct err *err, const char *type)
{
    struct batch *batch = w->account->reactor->batch;
    bool scout = w->scout;

    w->scout = false;
    if (secret_worked(err)) {
        login_guard_logged_in(batch_login_guard(batch), w->side);
    } else if (strcmp(type, "TlsFailed") == 0) {
        if (scout)
            login_guard_given_up(batch_login_guard(batch), w->side);
        if (err->class == ERR_CLASS_PERMANENT && login_guard_tls_failed(batch_login_guard(batch), w->side))
            batch_leave_server(batch, BATCH_UNREACHABLE,
                               w->side == SIDE_SOURCE
                                   ? "the source's TLS fails for all users alike, so the others were not tried"
                                   : "the target's TLS fails for all users alike, so the others were not tried");
    } else if (trouble_is_login(type)) {
        if (login_guard_refused(batch_login_guard(batch), w->side, scout, loop_now_ms(w->account->reactor->loop)))
            batch_leave_server(batch, BATCH_REFUSED,
                               w->side == SIDE_SOURCE
                                   ? "the source refuses the administrator's login, so the other users were not tried"
                                   : "the target refuses the administrator's login, so the other users were not tried");
    } else if (scout) {
        login_guard_given_up(batch_login_guard(batch), w->side);
    }
}

/* "(mail_max_userip_connections=16)": the number behind the equals sign, or 0. */
static unsigned limit_named(const struct err *err)
{
    struct slice text = slice_cstr(err->server_text);
    size_t at = slice_find_nocase(text, SLICE("connections="));
    unsigned limit = 0;

    if (at == SIZE_MAX)
        return 0;
    text = slice_from(text, at + sizeof "connections=" - 1);
    while (text.size && isdigit((unsigned char)text.data[0]) && limit < 100000) {
        limit = limit * 10 + (unsigned)(text.data[0] - '0');
        text = slice_from(text, 1);
    }
    return limit;
}

bool login_fewer(struct worker *w, const struct err *err)
{
    struct account_side *side = &w->account->sides[w->side];
    unsigned named = limit_named(err);

    if (side->ready_count == 0) {
        reactor_fewer_links(w->account->reactor, w->side);
        return false;
    }
    /* The number counts other clients' sessions too, so it is an upper limit only. */
    side->links_max = named && named < side->ready_count ? named : side->ready_count;
    side->links_max_wall_ms = now_wall_ms();
    side->links_max_until_ms = loop_now_ms(w->account->reactor->loop) + LOGIN_LIMIT_KEPT_MS;
    log_line(LOG_INFO, "connections.user", "user=%s side=%s now=%u", w->account->user->email_address,
             side_name(w->side), side->links_max);
    account_limits_keep(w->account, w->side);
    return true;
}

bool login_has_room(const struct account_side *side, uint64_t now_ms)
{
    return side->links_max == 0 || now_ms >= side->links_max_until_ms || side->ready_count < side->links_max;
}

void login_over(struct worker *w)
{
    secret_destroy(&w->token);
    w->token_ends_ms = 0;
    w->draining = false;
    if (w->scout)
        login_guard_given_up(batch_login_guard(w->account->reactor->batch), w->side);
    w->scout = false;
}

/* The part of login_describe that needs no account: for check, folders and bench. */
static void login_endpoint(const struct settings_endpoint *endpoint, struct tls_role *tls, struct link_config *config_r)
{
    *config_r = (struct link_config){
        .target = {
            .host = endpoint->host,
            .port = endpoint->port,
            .security = endpoint->tls.mode == SETTINGS_TLS_IMPLICIT   ? STREAM_TLS
                        : endpoint->tls.mode == SETTINGS_TLS_STARTTLS ? STREAM_STARTTLS
                                                                      : STREAM_PLAIN,
            .tls = tls,
            .proxy = &endpoint->proxy,
        },
        .stall_ms = endpoint->stall_ms,
        .session = {
            .send_id = true,
            .compress = endpoint->compress,
            .exchange = endpoint->preset == SETTINGS_PRESET_EXCHANGE_ONLINE,
            .auth = {
                .mechanism = endpoint->auth,
                .admin_user = endpoint->admin_user,
                .login_form = endpoint->login_form,
                .host = endpoint->host,
                .port = endpoint->port,
                .plaintext_allowed = endpoint->tls.mode == SETTINGS_TLS_NONE,
            },
        },
    };
}

void login_as(const struct settings *settings, enum side side, const struct settings_user *user, struct tls_role *tls,
              const struct secret *token, struct link_config *config_r)
{
    bool source = side == SIDE_SOURCE;
    const struct settings_endpoint *endpoint = settings_endpoint(settings, side);
    const struct secret *own = source ? user->password : user->target_password;
    struct auth_config *auth;

    login_endpoint(endpoint, tls, config_r);
    config_r->disk = (struct disk_config){
        .pattern = endpoint->disk,
        .is_mbox = endpoint->disk_is_mbox,
        .user = user->user_name,
        .state_folder = settings->state_folder,
        .keeps_numbers = settings->mode <= SETTINGS_MODE_PLAN,
    };
    auth = &config_r->session.auth;
    auth->user = source ? user->user_name : user->target_user_name;
    if (token)
        auth->token = token;
    else if (endpoint->auth == AUTH_XOAUTH2 || endpoint->auth == AUTH_OAUTHBEARER)
        auth->token = own;                                 /* users.csv holds the access tokens themselves */
    else if (endpoint->oauth.grant == SETTINGS_GRANT_NONE) /* else own may be a refresh token */
        auth->password = settings_admin_logs_in(endpoint) ? endpoint->admin_password : own;
}

void login_describe(struct worker *w, struct link_config *config_r)
{
    const struct account *account = w->account;

    login_as(account->reactor->settings, w->side, account->user, account->reactor->tls[w->side], w->token, config_r);
    /* What a killed run, or one that gave the server up, had not sent of an APPEND must not come later. */
    config_r->target.drops_unsent = w->side == SIDE_TARGET;
    config_r->target.unacknowledged_ms = w->side == SIDE_TARGET ? config_r->stall_ms : 0;
    config_r->session.auth.tried = account->reactor->broken_ways[w->side];
    config_r->session.mailbox_worked = account->sides[w->side].listed;
    config_r->session.memory = account->memory;
    config_r->crawl = &w->crawl;
    config_r->bandwidth = account->reactor->bandwidth;
}
