/* Who logs in, and as whom: the LOGIN command, the mechanisms of SASL, and an administrator who becomes the user.
 * RFC 9051 6.2.2, 6.2.3; RFC 4959. */
#include "engine/imap/login_private.h"
#include "engine/imap/quote.h"
#include "engine/imap/scram.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Puts out the text up to the next synchronizing literal. */
static void command_part(struct session *s)
{
    struct login *login = &s->login;
    size_t start = login->stop_next ? login->stops[login->stop_next - 1] : 0;
    size_t end = login->stop_next < login->stop_count ? login->stops[login->stop_next] : login->text.size;

    output_put(s, slice_of(login->text.data + start, end - start));
    login->stop_next++;
}

static bool command_string(struct session *s, struct slice text)
{
    struct login *login = &s->login;
    bool waits = false;

    if (quote_form(text) == QUOTE_QUOTED)
        return quote_append(&login->text, text);
    if (!quote_literal_head(&login->text, text, session_nonsync(s, text.size), &waits))
        return false;
    if (waits)
        login->stops[login->stop_count++] = login->text.size;
    return buf_append(&login->text, text);
}

void login_wipe_text(struct login *login)
{
    if (login->text.data)
        secret_wipe(login->text.data, login->text.room);
    buf_deinit(&login->text);
}

/* Starts a command whose arguments may be literals. Reserved whole, so that no copy of a password is
 * left behind by growth. */
static bool command_begin(struct session *s, const char *verb)
{
    struct login *login = &s->login;

    login_wipe_text(login);
    login->stop_count = login->stop_next = 0;
    login->in_command = true;
    login->tag = session_tag(s);
    login->capabilities = false;
    return buf_reserve(&login->text, 8192) && buf_append_format(&login->text, "a%u %s ", login->tag, verb);
}

/* The LOGIN command, RFC 9051 6.2.3. */
static enum login_state command_send(struct session *s)
{
    struct login *login = &s->login;
    struct buf name, password;
    bool fits;

    buf_init(&name, 1024);
    buf_init(&password, 2048);
    fits = buf_reserve(&password, 2047) && auth_login_name(&s->config.auth, &name) &&
           auth_password(&s->config.auth, &password) && command_begin(s, "LOGIN") &&
           command_string(s, buf_slice(&name)) && buf_append(&login->text, SLICE(" ")) &&
           command_string(s, buf_slice(&password)) && buf_append(&login->text, SLICE("\r\n"));
    if (password.data)
        secret_wipe(password.data, password.room);
    buf_deinit(&password);
    buf_deinit(&name);
    if (!fits)
        return login_refuse(s, "user name or password too long");
    command_part(s);
    return login->state;
}

enum login_state login_auth_begin(struct session *s)
{
    struct login *login = &s->login;
    struct err err;
    struct buf line;
    bool fits;

    login->in_command = login->client_first_due = login->canceled = false;
    auth_destroy(&login->auth);
    if (!auth_choose(&s->config.auth, &s->caps, s->tls, s->ssl, s->config.auth.tried, &login->way, &err))
        return login_fail(s, &err);
    login->tried = s->config.auth.tried | 1u << login->way;
    if (login->way == AUTH_WAY_COMMAND)
        return command_send(s);
    if (!auth_create(&s->config.auth, login->way, &s->caps, s->ssl, &login->auth, &err))
        return login_fail(s, &err);
    if (!auth_client_first(login->auth) || !caps_has(&s->caps, CAP_SASL_IR)) {
        login->client_first_due = auth_client_first(login->auth);
        login_send(s, "%s", auth_way_command(login->way));
        return login->state;
    }
    login->tag = session_tag(s);
    login->capabilities = false;
    buf_init(&line, SESSION_OUTPUT_MAX / 2);
    fits = buf_reserve(&line, SESSION_OUTPUT_MAX / 4) &&
           buf_append_format(&line, "a%u %s ", login->tag, auth_way_command(login->way));
    if (fits) {
        size_t before = line.size;

        fits = auth_step(login->auth, slice_of(NULL, 0), &line, &err);
        if (!fits) {
            buf_deinit(&line);
            return login_fail(s, &err);
        }
        /* An empty initial response is "=" (RFC 4959 3). */
        fits = (line.size > before || buf_append(&line, SLICE("="))) && buf_append(&line, SLICE("\r\n"));
        output_put(s, buf_slice(&line));
    }
    secret_wipe(line.data, line.room);
    buf_deinit(&line);
    return fits ? login->state : login_refuse(s, "credentials too long");
}

static void auth_answer(struct session *s, struct slice challenge)
{
    struct login *login = &s->login;
    struct buf line;
    struct err err;

    buf_init(&line, SESSION_OUTPUT_MAX / 2);
    buf_reserve(&line, SESSION_OUTPUT_MAX / 4);
    if (!auth_step(login->auth, challenge, &line, &err)) {
        /* RFC 9051 6.2.2: "*" makes the server answer BAD, and then the other ways are open. */
        login->canceled = true;
        login->why = err;
        output_put(s, SLICE("*\r\n"));
    } else if (buf_append(&line, SLICE("\r\n"))) {
        output_put(s, buf_slice(&line));
    }
    secret_wipe(line.data, line.room);
    buf_deinit(&line);
}

/* Hashing as often as the server says is not done on the loop. True: session_computed goes on. */
static bool auth_computes(struct session *s, struct slice challenge)
{
    struct scram_work *work = s->events->compute ? auth_work(s->login.auth, challenge) : NULL;

    if (!work)
        return false;
    s->login.challenge = slice_dup(challenge);
    s->events->compute(s->context, work);
    return true;
}

void login_computed(struct session *s, struct scram_work *work)
{
    struct login *login = &s->login;
    char *challenge = login->challenge;

    login->challenge = NULL;
    if (s->life == SESSION_ALIVE && challenge && login->auth && login->tag) {
        auth_worked(login->auth, work);
        auth_answer(s, slice_cstr(challenge));
    } else {
        scram_work_destroy(&work);
    }
    free(challenge);
}

void login_auth_continue(struct session *s, const struct resp *resp)
{
    struct login *login = &s->login;
    struct slice challenge = login->client_first_due ? slice_of(NULL, 0) : resp->text;

    if (login->in_command) {
        if (login->stop_next <= login->stop_count)
            command_part(s);
        return;
    }
    if (!login->auth || login->canceled || login->challenge)
        return; /* nothing waits for it (L04) */
    login->client_first_due = false;
    if (!auth_computes(s, challenge))
        auth_answer(s, challenge);
}

/* The next way goes on a connection of its own: with some servers a mechanism that failed makes every
 * later login on the same one fail (L22). */
static bool another_way(struct session *s)
{
    struct login *login = &s->login;
    enum auth_way way;
    struct err none;

    return (unsigned)__builtin_popcount(login->tried) < AUTH_TRIES_MAX &&
           auth_choose(&s->config.auth, &s->caps, s->tls, s->ssl, login->tried, &way, &none);
}

static bool is_spent(const struct login *login)
{
    return login->in_command || !login->auth || auth_spent(login->auth);
}

static enum login_state auth_refused(struct session *s, const struct resp *resp)
{
    struct login *login = &s->login;
    struct verdict_about about = { .doing = VERDICT_LOGIN, .worked_before = false };
    const char *name = login->in_command ? "LOGIN" : auth_way_name(login->way);
    struct err err;

    verdict_of(resp, &about, &err);
    if (login->canceled)
        err = login->why;
    err_doing(&err, "login (%s)", name);
    if (login->auth && auth_refusal(login->auth)[0] && !login->canceled) {
        char text[sizeof err.server_text];

        snprintf(text, sizeof text, "%.120s %.120s", err.server_text, auth_refusal(login->auth));
        memcpy(err.server_text, text, sizeof text);
    }
    if (login->canceled ? !auth_spent(login->auth) : verdict_is_about_way(resp, &err, is_spent(login)))
        login->again = another_way(s);
    return login_fail(s, &err);
}

enum login_state login_auth_answered(struct session *s, const struct resp *resp)
{
    struct login *login = &s->login;
    struct err err;
    bool suspicious;

    if (resp->status != RESP_OK)
        return auth_refused(s, resp);
    if (login->canceled || login->client_first_due || login->challenge ||
        (login->in_command && login->stop_next <= login->stop_count))
        return login_refuse(s, "OK to a login that was not finished");
    if (login->auth && !auth_finish(login->auth, &err))
        return login_fail(s, &err);
    auth_destroy(&login->auth);
    login_wipe_text(login);
    login->in_command = false;
    if (auth_become(&s->config.auth))
        return LOGIN_BECOME;
    /* A proxy of iCloud edits the word CAPABILITY in the data until the command was sent (L11). */
    suspicious = caps_has(&s->caps, CAP_XAPPLEPUSHSERVICE) ||
                 slice_find_nocase(slice_cstr(s->greeting), SLICE("Oracle Communications Messaging")) != SIZE_MAX;
    if (login->capabilities && !suspicious)
        return LOGIN_ENABLE;
    return LOGIN_CAPABILITY_IN;
}

/* ---- the administrator becomes the user ---- */

enum login_state login_become_send(struct session *s)
{
    struct login *login = &s->login;
    const struct auth_config *auth = &s->config.auth;

    if (!command_begin(s, auth_become(auth)) || !command_string(s, slice_cstr(auth->user)) ||
        !buf_append(&login->text, auth->mechanism == AUTH_GROUPWISE ? SLICE(" \"\"\r\n") : SLICE("\r\n")))
        return login_refuse(s, "user name too long");
    command_part(s);
    return login->state;
}

enum login_state login_become_answered(struct session *s, const struct resp *resp)
{
    struct login *login = &s->login;
    struct verdict_about about = { .doing = VERDICT_LOGIN, .worked_before = false };
    struct err err;

    if (resp->status != RESP_OK) {
        verdict_of(resp, &about, &err);
        err_doing(&err, "login (%s)", auth_become(&s->config.auth));
        return login_fail(s, &err);
    }
    if (login->stop_next <= login->stop_count)
        return login_refuse(s, "OK to a login that was not finished");
    login_wipe_text(login);
    login->in_command = false;
    return LOGIN_CAPABILITY_IN; /* another user may have others */
}
