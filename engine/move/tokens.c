#include "engine/move/tokens.h"

#include "engine/move/account.h"
#include "engine/move/oauth.h"
#include "io/base/log.h"
#include "io/base/mem.h"
#include "io/base/now.h"
#include "io/https.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FORM_BYTES_MAX 262144u
#define REFUSED_PAUSE_MS 60000u
#define WAIT_FIRST_MS 1000u
#define WAIT_LAST_MS 60000u
/* Used to its last quarter at most, and never in its last half minute (or tenth, if it is short). */
#define RENEW_BEFORE_MS (10u * 60 * 1000)
#define LAST_MS 30000u

struct entry {
    struct tokens *tokens;
    struct entry *next;
    enum side side;
    const struct settings_user *user; /* NULL: the application's own */
    struct secret *access, *refresh;
    uint64_t from_ms, ends_ms; /* loop time */
    bool asking, refused;
    struct err err;
    unsigned failures;
    uint64_t not_before_ms;
    struct loop_timer again;
};

struct tokens {
    struct hub *hub;
    struct entry *entries;
};

static const struct settings_endpoint *endpoint(const struct entry *e)
{
    return e->side == SIDE_SOURCE ? &e->tokens->hub->settings->source
                                  : &e->tokens->hub->settings->target;
}

struct tokens *tokens_create(struct hub *hub)
{
    struct tokens *t = mem_zero(1, sizeof *t);

    t->hub = hub;
    return t;
}

void tokens_destroy(struct tokens **tokens)
{
    struct entry *e;

    if (!*tokens)
        return;
    while ((e = (*tokens)->entries) != NULL) {
        (*tokens)->entries = e->next;
        loop_timer_clear((*tokens)->hub->loop, &e->again);
        secret_destroy(&e->access);
        secret_destroy(&e->refresh);
        free(e);
    }
    free(*tokens);
    *tokens = NULL;
}

/* A grant that is each user's own makes a token a user. */
static bool per_user(const struct settings_oauth *oauth)
{
    return oauth->grant == SETTINGS_GRANT_SERVICE_ACCOUNT ||
           (oauth->grant == SETTINGS_GRANT_REFRESH_TOKEN && !oauth->refresh_token_file);
}

static struct entry *find(struct tokens *t, enum side side, const struct settings_user *user)
{
    struct entry *e;
    const struct settings_oauth *oauth =
        side == SIDE_SOURCE ? &t->hub->settings->source.oauth : &t->hub->settings->target.oauth;

    if (!per_user(oauth))
        user = NULL;
    for (e = t->entries; e; e = e->next)
        if (e->side == side && e->user == user)
            return e;
    e = mem_zero(1, sizeof *e);
    e->tokens = t;
    e->side = side;
    e->user = user;
    e->next = t->entries;
    t->entries = e;
    return e;
}

static void poke_all(struct hub *hub)
{
    for (struct account *a = hub->accounts; a; a = a->next)
        account_poke(a);
}

static void ask(struct entry *e);

static void ask_again(void *context)
{
    ask(context);
}

static void failed(struct entry *e, const struct err *err)
{
    struct hub *hub = e->tokens->hub;
    uint64_t now = loop_now_ms(hub->loop);

    e->err = *err;
    log_err(LOG_WARN, "token.refused", err);
    if (err->class == ERR_CLASS_PERMANENT ||
        e->failures >= hub->settings->policy.transient_failure_limit) {
        e->refused = true;
        e->not_before_ms = now + REFUSED_PAUSE_MS;
    } else {
        uint32_t wait = e->failures > 6 ? WAIT_LAST_MS : WAIT_FIRST_MS << e->failures;

        if (err->wait_ms > wait)
            wait = err->wait_ms;
        e->failures++;
        loop_timer_set(hub->loop, &e->again, wait, ask_again, e);
    }
    poke_all(hub);
}

/* A refresh token that the server rotated goes back into its file, whole or not at all. */
static void keep_refresh(const struct settings_oauth *oauth, const struct secret *refresh)
{
    struct slice value = secret_peek(refresh);
    char *next = mem_format("%s.new", oauth->refresh_token_file);
    int fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, value.data, value.size) == (ssize_t)value.size &&
              write(fd, "\n", 1) == 1 && fsync(fd) == 0;

    if (fd >= 0)
        close(fd);
    if (!ok || rename(next, oauth->refresh_token_file) != 0)
        log_line(LOG_ERROR, "token.rotate", "file=%s why=%s the old refresh token stays in it",
                 oauth->refresh_token_file, strerror(errno));
    free(next);
}

static void answered(void *context, const struct https_answer *answer)
{
    struct entry *e = context;
    struct hub *hub = e->tokens->hub;
    const struct settings_oauth *oauth = &endpoint(e)->oauth;
    struct oauth_token token;
    struct err err;

    e->asking = false;
    if (!answer->ok) {
        err = answer->err;
        err.origin = ERR_ORIGIN_TOKEN;
        err_doing(&err, "token request");
        failed(e, &err);
        return;
    }
    if (!oauth_answer(answer->status, buf_slice(&answer->body), answer->retry_after_s, &token,
                      &err)) {
        failed(e, &err);
        return;
    }
    secret_destroy(&e->access);
    e->access = token.access;
    e->from_ms = loop_now_ms(hub->loop);
    e->ends_ms = e->from_ms + token.life_s * 1000ull;
    e->failures = 0;
    e->refused = false;
    if (token.refresh) {
        secret_destroy(&e->refresh);
        e->refresh = token.refresh;
        if (oauth->refresh_token_file)
            keep_refresh(oauth, e->refresh);
    }
    log_line(LOG_INFO, "token.got", "side=%s life_s=%u",
             e->side == SIDE_SOURCE ? "source" : "target", token.life_s);
    poke_all(hub);
}

static void ask(struct entry *e)
{
    struct hub *hub = e->tokens->hub;
    const struct settings_endpoint *to = endpoint(e);
    const struct secret *refresh = e->refresh;
    struct secret *from_file = NULL;
    struct buf form;
    struct err err;
    bool by_others, ok = true;

    if (e->asking)
        return;
    buf_init(&form, FORM_BYTES_MAX);
    if (to->oauth.grant == SETTINGS_GRANT_REFRESH_TOKEN && !refresh) {
        if (to->oauth.refresh_token_file) {
            ok = secret_read_file(to->oauth.refresh_token_file, &from_file, &by_others, &err);
            refresh = from_file;
        } else {
            refresh = e->side == SIDE_SOURCE ? e->user->password : e->user->target_password;
        }
    }
    if (ok)
        ok = oauth_form(&to->oauth,
                        e->user ? (e->side == SIDE_SOURCE ? e->user->user_name
                                                          : e->user->target_user_name)
                                : "",
                        refresh, now_wall_ms() / 1000, &form, &err);
    if (ok) {
        struct https_request request = {
            .url = to->oauth.token_url,
            .form = buf_slice(&form),
            .ca_file = to->tls.ca_file,
        };

        e->asking = true;
        https_send(hub->https, &request, hub->loop, answered, e);
    } else {
        failed(e, &err);
    }
    if (buf_slice(&form).size)
        secret_wipe(form.data, form.room);
    buf_deinit(&form);
    secret_destroy(&from_file);
}

static uint64_t margin(const struct entry *e, uint64_t most, unsigned part)
{
    uint64_t share = (e->ends_ms - e->from_ms) / part;

    return share < most ? share : most;
}

enum tokens_answer tokens_get(struct tokens *t, enum side side, const struct settings_user *user,
                              struct secret **token_r, uint64_t *ends_ms_r, struct err *err_r)
{
    struct entry *e = find(t, side, user);
    uint64_t now = loop_now_ms(t->hub->loop);

    if (e->refused) {
        if (now < e->not_before_ms) {
            *err_r = e->err;
            return TOKENS_REFUSED;
        }
        e->refused = false;
        e->failures = 0;
    }
    if ((!e->access || now + margin(e, RENEW_BEFORE_MS, 4) >= e->ends_ms) && !e->asking &&
        !loop_timer_is_set(&e->again))
        ask(e);
    if (e->refused) {
        *err_r = e->err;
        return TOKENS_REFUSED;
    }
    if (!e->access || now + margin(e, LAST_MS, 10) >= e->ends_ms)
        return TOKENS_WAIT;
    *token_r = secret_create(secret_peek(e->access));
    *ends_ms_r = e->ends_ms;
    return TOKENS_READY;
}

void tokens_forget(struct tokens *t, enum side side, const struct settings_user *user)
{
    struct entry *e = find(t, side, user);

    secret_destroy(&e->access);
    e->ends_ms = e->from_ms = 0;
}
