#include "engine/move/tokens.h"

#include "engine/move/account.h"
#include "engine/oauth/oauth.h"
#include "engine/settings/side.h"
#include "io/base/log.h"
#include "io/base/mem.h"
#include "io/base/now.h"
#include "io/https.h"
#include "store/secret_file.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define FORM_BYTES_MAX   262144u
#define REFUSED_PAUSE_MS 60000u
#define WAIT_FIRST_MS    1000u
#define WAIT_LAST_MS     60000u
/* Another loop or process is using the same refresh token. */
#define TURN_MS 100u
/* Used to its last quarter at most, and never in its last half minute (or tenth, if it is short). */
#define RENEW_BEFORE_MS (10u * 60 * 1000)
#define LAST_MS         30000u

struct entry {
    struct tokens *tokens;
    struct entry *next;
    enum side side;
    const struct settings_user *user; /* NULL: the application's own */
    struct secret *access;
    char *keep_file;           /* where the refresh token is, or will be once it was rotated; or NULL */
    int turn;                  /* secret_file_lock while asking, else -1 */
    uint64_t from_ms, ends_ms; /* loop time */
    bool asking, refused;
    bool skew_known;
    int64_t skew_s;
    struct err err;
    unsigned failures;
    uint64_t not_before_ms;
    struct loop_timer again;
};

struct tokens {
    struct reactor *reactor;
    struct entry *entries;
};

static const struct settings_endpoint *endpoint(const struct entry *e)
{
    return settings_endpoint(e->tokens->reactor->settings, e->side);
}

struct tokens *tokens_create(struct reactor *reactor)
{
    struct tokens *t = mem_zero(1, sizeof *t);

    t->reactor = reactor;
    return t;
}

void tokens_destroy(struct tokens **tokens)
{
    struct entry *e;

    if (!*tokens)
        return;
    if ((*tokens)->reactor->loop)
        https_drop((*tokens)->reactor->https, (*tokens)->reactor->loop);
    while ((e = (*tokens)->entries) != NULL) {
        (*tokens)->entries = e->next;
        loop_timer_clear((*tokens)->reactor->loop, &e->again);
        secret_destroy(&e->access);
        secret_file_unlock(&e->turn);
        free(e->keep_file);
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

/* A user's own refresh token stands in users.csv; what it was rotated to is kept in the state folder,
 * under a name that changes when users.csv gets another. */
static char *keep_file_of(const struct entry *e)
{
    const struct settings *settings = e->tokens->reactor->settings;
    const struct settings_oauth *oauth = &endpoint(e)->oauth;
    const struct secret *first;
    unsigned char digest[SHA256_DIGEST_LENGTH];

    if (oauth->grant != SETTINGS_GRANT_REFRESH_TOKEN)
        return NULL;
    if (!e->user)
        return mem_text(oauth->refresh_token_file);
    first = e->side == SIDE_SOURCE ? e->user->password : e->user->target_password;
    if (!first || !settings->sign_in_folder)
        return NULL;
    SHA256((const unsigned char *)secret_peek(first).data, secret_peek(first).size, digest);
    return mem_format("%s/refresh-token.%s.%02x%02x%02x%02x%02x%02x%02x%02x", settings->sign_in_folder,
                      side_name(e->side), digest[0], digest[1], digest[2], digest[3], digest[4], digest[5], digest[6],
                      digest[7]);
}

/* A file that the user wrote stays as readable as it was. */
static const struct secret *seal_of(const struct entry *e)
{
    return e->user || endpoint(e)->oauth.device_code ? e->tokens->reactor->settings->spool_key : NULL;
}

static struct entry *find(struct tokens *t, enum side side, const struct settings_user *user)
{
    struct entry *e;
    const struct settings_oauth *oauth = &settings_endpoint(t->reactor->settings, side)->oauth;

    if (!per_user(oauth))
        user = NULL;
    for (e = t->entries; e; e = e->next)
        if (e->side == side && e->user == user)
            return e;
    e = mem_zero(1, sizeof *e);
    e->tokens = t;
    e->side = side;
    e->user = user;
    e->turn = -1;
    e->keep_file = keep_file_of(e);
    e->next = t->entries;
    t->entries = e;
    return e;
}

static void poke_all(struct reactor *reactor)
{
    for (struct account *a = reactor->accounts; a; a = a->next)
        account_poke(a);
}

static void ask(struct entry *e);

static void ask_again(void *context)
{
    ask(context);
}

static void failed(struct entry *e, const struct err *err)
{
    struct reactor *reactor = e->tokens->reactor;
    uint64_t now = loop_now_ms(reactor->loop);

    e->err = *err;
    log_err(LOG_WARN, "token.refused", err);
    if (err->class == ERR_CLASS_PERMANENT || e->failures >= reactor->settings->policy.transient_failure_limit) {
        e->refused = true;
        e->not_before_ms = now + REFUSED_PAUSE_MS;
    } else {
        uint32_t wait = e->failures > 6 ? WAIT_LAST_MS : WAIT_FIRST_MS << e->failures;

        if (err->wait_ms > wait)
            wait = err->wait_ms;
        e->failures++;
        loop_timer_set(reactor->loop, &e->again, wait, ask_again, e);
    }
    poke_all(reactor);
}

/* A refresh token that the server rotated: the old one may be good for nothing from now on. */
static void keep_refresh(struct entry *e, const struct secret *refresh)
{
    struct err err;

    if (!e->keep_file) {
        log_line(LOG_WARN, "token.rotate", "why=there is no state folder to keep the new one in");
    } else if (!secret_file_write(e->keep_file, refresh, seal_of(e), &err)) {
        err_doing(&err, "keep the rotated refresh token");
        log_err(LOG_ERROR, "token.rotate", &err);
    }
}

/* The refresh token to ask with, the caller's. */
static bool read_refresh(const struct entry *e, struct secret **refresh_r, struct err *err_r)
{
    const struct settings_oauth *oauth = &endpoint(e)->oauth;
    const struct secret *first = NULL;

    if (e->user)
        first = e->side == SIDE_SOURCE ? e->user->password : e->user->target_password;
    if (first && (!e->keep_file || !secret_file_exists(e->keep_file))) {
        *refresh_r = secret_create(secret_peek(first));
        return true;
    }
    if (!e->keep_file || (oauth->device_code && !secret_file_exists(e->keep_file)))
        return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_TOKEN, 0, "%s",
                       oauth->device_code ? "nobody has signed in yet; run mailhaul sign-in with this batch file"
                                          : "there is no refresh token");
    if (secret_file_read(e->keep_file, seal_of(e), refresh_r, err_r))
        return true;
    err_r->origin = ERR_ORIGIN_TOKEN;
    return err_doing(err_r, "token request");
}

/* RFC 9110 5.6.7; only LC_CTYPE is ever set, so that the names of days and months are English. */
static void compare_clocks(struct entry *e, const char *date)
{
    struct tm tm = { 0 };
    const char *end = strptime(date, "%a, %d %b %Y %H:%M:%S GMT", &tm);

    e->skew_known = end && *end == '\0';
    if (e->skew_known)
        e->skew_s = now_wall_ms() / 1000 - timegm(&tm);
}

static void answered(void *context, const struct https_answer *answer)
{
    struct entry *e = context;
    struct reactor *reactor = e->tokens->reactor;
    const struct settings_oauth *oauth = &endpoint(e)->oauth;
    struct oauth_token token;
    struct err err;

    e->asking = false;
    if (!answer->ok) {
        secret_file_unlock(&e->turn);
        err = answer->err;
        err.origin = ERR_ORIGIN_TOKEN;
        err_doing(&err, "token request");
        failed(e, &err);
        return;
    }
    compare_clocks(e, answer->date);
    if (!oauth_answer(answer->status, buf_slice(&answer->body), answer->retry_after_s, &token, &err)) {
        secret_file_unlock(&e->turn);
        failed(e, &err);
        return;
    }
    secret_destroy(&e->access);
    e->access = token.access;
    e->from_ms = loop_now_ms(reactor->loop);
    e->ends_ms = e->from_ms + token.life_s * 1000ull;
    e->failures = 0;
    e->refused = false;
    if (token.refresh && oauth->grant == SETTINGS_GRANT_REFRESH_TOKEN)
        keep_refresh(e, token.refresh);
    secret_destroy(&token.refresh);
    secret_file_unlock(&e->turn);
    log_line(LOG_INFO, "token.got", "side=%s life_s=%u", side_name(e->side), token.life_s);
    poke_all(reactor);
}

static void ask(struct entry *e)
{
    struct reactor *reactor = e->tokens->reactor;
    const struct settings_endpoint *to = endpoint(e);
    struct secret *refresh = NULL;
    struct buf form;
    struct err err;
    bool ok = true;

    if (e->asking)
        return;
    /* One use at a time, and always of the newest: where tokens rotate, the one before is void. */
    if (e->keep_file && secret_file_lock(e->keep_file, &e->turn) == SECRET_FILE_BUSY) {
        loop_timer_set(reactor->loop, &e->again, TURN_MS, ask_again, e);
        return;
    }
    buf_init(&form, FORM_BYTES_MAX);
    if (to->oauth.grant == SETTINGS_GRANT_REFRESH_TOKEN)
        ok = read_refresh(e, &refresh, &err);
    if (ok)
        ok = oauth_form(&to->oauth,
                        e->user ? (e->side == SIDE_SOURCE ? e->user->user_name : e->user->target_user_name) : "",
                        refresh, now_wall_ms() / 1000, &form, &err);
    if (ok) {
        struct https_request request = {
            .url = to->oauth.token_url,
            .form = buf_slice(&form),
            .ca_file = to->tls.ca_file,
        };

        e->asking = true;
        https_send(reactor->https, &request, reactor->loop, answered, e);
    } else {
        secret_file_unlock(&e->turn);
        failed(e, &err);
    }
    if (buf_slice(&form).size)
        secret_wipe(form.data, form.room);
    buf_deinit(&form);
    secret_destroy(&refresh);
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
    uint64_t now = loop_now_ms(t->reactor->loop);

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
    if (!e->access || now + margin(e, LAST_MS, 10) >= e->ends_ms) {
        *err_r = e->failures && !e->asking ? e->err : (struct err){ .class = ERR_CLASS_NONE };
        return TOKENS_WAIT;
    }
    *token_r = secret_create(secret_peek(e->access));
    *ends_ms_r = e->ends_ms;
    return TOKENS_READY;
}

bool tokens_skew(struct tokens *t, enum side side, const struct settings_user *user, int64_t *skew_s_r)
{
    const struct entry *e = find(t, side, user);

    *skew_s_r = e->skew_s;
    return e->skew_known;
}

void tokens_forget(struct tokens *t, enum side side, const struct settings_user *user)
{
    struct entry *e = find(t, side, user);

    secret_destroy(&e->access);
    e->ends_ms = e->from_ms = 0;
}
