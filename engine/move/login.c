#include "engine/move/login.h"

#include "engine/move/governor.h"
#include "engine/move/tokens.h"

bool login_ready(struct worker *w)
{
    struct account *account = w->account;
    const struct settings *settings = account->hub->settings;
    const struct settings_endpoint *endpoint =
        w->side == SIDE_SOURCE ? &settings->source : &settings->target;
    struct err err;

    if (endpoint->oauth.grant != SETTINGS_GRANT_NONE && !w->token)
        switch (tokens_get(account->hub->tokens, w->side, account->user, &w->token,
                           &w->token_ends_ms, &err)) {
        case TOKENS_READY:
            w->token_life_ms = w->token_ends_ms - loop_now_ms(account->hub->loop);
            break;
        case TOKENS_WAIT:
            return false;
        case TOKENS_REFUSED:
            account_failure(account, failure_side_of(w->side), TROUBLE_LOGIN, NULL, &err, NULL, 0);
            account_fail(account, "TokenFailed", false);
            return false;
        }
    return w->side == SIDE_SOURCE || governor_may_connect(account);
}

void login_over(struct worker *w)
{
    secret_destroy(&w->token);
    w->token_ends_ms = 0;
    w->draining = false;
}

void login_endpoint(const struct settings_endpoint *endpoint, struct tls_role *tls,
                    struct link_config *config_r)
{
    *config_r = (struct link_config){
        .target = {
            .host = endpoint->host,
            .port = endpoint->port,
            .security = endpoint->tls.mode == SETTINGS_TLS_IMPLICIT   ? STREAM_TLS
                        : endpoint->tls.mode == SETTINGS_TLS_STARTTLS ? STREAM_STARTTLS
                                                                      : STREAM_PLAIN,
            .tls = tls,
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

void login_describe(struct worker *w, struct link_config *config_r)
{
    const struct account *account = w->account;
    const struct settings *settings = account->hub->settings;
    bool source = w->side == SIDE_SOURCE;
    const struct settings_endpoint *endpoint = source ? &settings->source : &settings->target;
    const struct settings_user *user = account->user;
    const struct secret *own = source ? user->password : user->target_password;
    struct auth_config *auth;

    login_endpoint(endpoint, account->hub->tls[w->side], config_r);
    auth = &config_r->session.auth;
    auth->user = source ? user->user_name : user->target_user_name;
    if (w->token)
        auth->token = w->token;
    else if (endpoint->auth == AUTH_XOAUTH2 || endpoint->auth == AUTH_OAUTHBEARER)
        auth->token = own; /* users.csv holds the access tokens themselves */
    else
        auth->password = settings_admin_logs_in(endpoint) ? endpoint->admin_password : own;
    auth->tried = account->hub->broken_ways[w->side];
}
