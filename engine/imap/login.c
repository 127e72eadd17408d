/* From the greeting to `ready`: rows in the order of a good login. Every handler returns the next
 * state; login_go alone assigns it. RFC 9051 6.1, 6.2; RFC 2971, 4978, 5161. */
#include "engine/imap/quote.h"
#include "engine/imap/scram.h"
#include "engine/imap/session_private.h"
#include "engine/imap/token.h"
#include "io/base/log.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct login_row {
    const char *name;
    uint32_t limit_ms;
    /* Sends; may return another state to skip this one. */
    enum login_state (*enter)(struct session *s);
    /* A tagged answer, for the greeting the untagged one. */
    enum login_state (*answered)(struct session *s, const struct resp *resp);
};

static void go(struct session *s, enum login_state to);

static bool send_command(struct session *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool send_command(struct session *s, const char *format, ...)
{
    char text[512];
    va_list args;
    int n;

    s->login.tag = session_tag(s);
    s->login.capabilities = false;
    n = snprintf(text, sizeof text, "a%u ", s->login.tag);
    va_start(args, format);
    n += vsnprintf(text + n, sizeof text - (size_t)n - 2, format, args);
    va_end(args);
    assert(n > 0 && (size_t)n < sizeof text - 2);
    text[n++] = '\r';
    text[n++] = '\n';
    return output_put(s, slice_of(text, (size_t)n));
}

/* Ends the session: a refusal in the server's words, or one of ours. */
static enum login_state refused(struct session *s, const struct resp *resp)
{
    struct verdict_about about = { .doing = VERDICT_LOGIN, .worked_before = false };
    struct err err;

    verdict_of(resp, &about, &err);
    err_doing(&err, "login (%s)", login_state_name(s->login.state));
    session_fail(s, &err);
    return s->login.state;
}

static enum login_state refuse(struct session *s, const char *why)
{
    struct err err;

    err_set(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_PROTOCOL, 0, "%s", why);
    err_doing(&err, "login (%s)", login_state_name(s->login.state));
    session_fail(s, &err);
    return s->login.state;
}

static enum login_state fail(struct session *s, const struct err *err)
{
    struct err copy = *err;

    if (!copy.doing[0])
        err_doing(&copy, "login (%s)", login_state_name(s->login.state));
    session_fail(s, &copy);
    return s->login.state;
}

/* In clear, what no honest server says before it speaks TLS. */
static enum login_state in_the_middle(struct session *s, const char *what)
{
    session_fail_tls(s, what);
    return s->login.state;
}

/* ---- greeting ---- */

/* What the other side says tells a person what it is: "220 mail ESMTP", "HTTP/1.1 400". */
static enum login_state not_imap(struct session *s, struct slice said)
{
    struct resp bye = { .kind = RESP_STATUS, .status = RESP_BYE, .text = said };
    char shown[80], why[160];

    if (verdict_is_busy(said))
        return refused(s, &bye);
    err_printable(shown, sizeof shown, said.data ? said.data : "", said.size);
    snprintf(why, sizeof why, "the greeting is not IMAP: \"%s\"", shown);
    return refuse(s, why);
}

static enum login_state greeting_received(struct session *s, const struct resp *resp)
{
    bool preauth = resp->kind == RESP_STATUS && resp->status == RESP_PREAUTH;

    if (resp->kind != RESP_STATUS)
        return not_imap(s, resp->text);
    if (resp->status != RESP_OK && !preauth) {
        struct resp bye = *resp;

        bye.status = RESP_BYE; /* no other refusal can greet (RFC 9051 7.1) */
        return refused(s, &bye);
    }
    err_printable(s->greeting, sizeof s->greeting, resp->text.data ? resp->text.data : "", resp->text.size);
    if (preauth) {
        /* In clear nobody knows who greets, and STARTTLS is no longer possible (CVE-2021-39272). */
        if (!s->tls && !s->config.auth.plaintext_allowed)
            return in_the_middle(s, "PREAUTH before STARTTLS");
        /* Whose mailbox this is nobody said: all users might be given the same one. */
        if (s->config.auth.mechanism != AUTH_EXTERNAL)
            return refuse(s, "the server logs in by itself (PREAUTH), as somebody who was not named");
        return LOGIN_CAPABILITY_IN;
    }
    s->config.auth.windows_1252 =
        slice_find_nocase(resp->text, SLICE("kopano")) != SIZE_MAX ||
        slice_find_nocase(resp->text, SLICE("zarafa")) != SIZE_MAX; /* L24 */
    if (s->config.starttls && !s->tls)
        return LOGIN_STARTTLS; /* also where it is not listed (L10) */
    return s->login.capabilities ? LOGIN_AUTH : LOGIN_CAPABILITY;
}

/* ---- CAPABILITY, before login ---- */

static enum login_state capability_send(struct session *s)
{
    caps_clear(&s->caps);
    send_command(s, "CAPABILITY");
    return s->login.state;
}

static enum login_state capability_received(struct session *s, const struct resp *resp)
{
    return resp->status == RESP_OK ? LOGIN_AUTH : refused(s, resp);
}

/* ---- STARTTLS, RFC 9051 6.2.1 ---- */

static enum login_state starttls_send(struct session *s)
{
    send_command(s, "STARTTLS");
    return s->login.state;
}

static enum login_state starttls_answered(struct session *s, const struct resp *resp)
{
    if (resp->status != RESP_OK) {
        struct verdict_about about = { .doing = VERDICT_LIST, .worked_before = false };
        struct err err;

        /* A matter of TLS, not of the user who was to log in behind it. */
        verdict_of(resp, &about, &err);
        if (err.class == ERR_CLASS_PERMANENT || resp->status == RESP_NO)
            err_set(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_TLS, 0,
                    "the server refuses STARTTLS (%.*s); imaps:// may be what it wants",
                    (int)(resp->text.size < 120 ? resp->text.size : 120),
                    resp->text.data ? resp->text.data : "");
        err_doing(&err, "STARTTLS");
        return fail(s, &err);
    }
    /* Whatever stands behind the OK came in clear, from anybody: session_feed looks. */
    s->starting_tls = true;
    scan_stop(&s->scan);
    caps_clear(&s->caps);
    return LOGIN_TLS;
}

void login_tls_started(struct session *s)
{
    assert(s->login.state == LOGIN_TLS);
    go(s, LOGIN_CAPABILITY_TLS);
}

/* ---- authentication ---- */

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
    bool offered = caps_has(&s->caps, CAP_LITERAL_PLUS) || caps_has(&s->caps, CAP_LITERAL_MINUS);
    bool nonsync = offered && !slice_has_line_end(text); /* who refuses it must not read a line of it as a command */

    if (quote_form(text) == QUOTE_QUOTED)
        return quote_append(&login->text, text);
    if (!buf_append_format(&login->text, "{%zu%s}\r\n", text.size, nonsync ? "+" : ""))
        return false;
    if (!nonsync)
        login->stops[login->stop_count++] = login->text.size;
    return buf_append(&login->text, text);
}

static void wipe_text(struct login *login)
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

    wipe_text(login);
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
        return refuse(s, "user name or password too long");
    command_part(s);
    return login->state;
}

static enum login_state auth_begin(struct session *s)
{
    struct login *login = &s->login;
    struct err err;
    struct buf line;
    bool fits;

    login->in_command = login->client_first_due = login->canceled = false;
    auth_destroy(&login->auth);
    if (!auth_choose(&s->config.auth, &s->caps, s->tls, s->ssl, s->config.auth.tried, &login->way, &err))
        return fail(s, &err);
    login->tried = s->config.auth.tried | 1u << login->way;
    if (login->way == AUTH_WAY_COMMAND)
        return command_send(s);
    if (!auth_create(&s->config.auth, login->way, &s->caps, s->ssl, &login->auth, &err))
        return fail(s, &err);
    if (!auth_client_first(login->auth) || !caps_has(&s->caps, CAP_SASL_IR)) {
        login->client_first_due = auth_client_first(login->auth);
        send_command(s, "%s", auth_way_command(login->way));
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
            return fail(s, &err);
        }
        /* An empty initial response is "=" (RFC 4959 3). */
        fits = (line.size > before || buf_append(&line, SLICE("="))) && buf_append(&line, SLICE("\r\n"));
        output_put(s, buf_slice(&line));
    }
    secret_wipe(line.data, line.room);
    buf_deinit(&line);
    return fits ? login->state : refuse(s, "credentials too long");
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

/* "+": the next part of LOGIN, or the next step of SASL. */
static void auth_continue(struct session *s, const struct resp *resp)
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
    if (login->canceled ? !auth_spent(login->auth)
                        : verdict_is_about_way(resp, &err, is_spent(login)))
        login->again = another_way(s);
    return fail(s, &err);
}

static enum login_state auth_answered(struct session *s, const struct resp *resp)
{
    struct login *login = &s->login;
    struct err err;
    bool suspicious;

    if (resp->status != RESP_OK)
        return auth_refused(s, resp);
    if (login->canceled || login->client_first_due || login->challenge ||
        (login->in_command && login->stop_next <= login->stop_count))
        return refuse(s, "OK to a login that was not finished");
    if (login->auth && !auth_finish(login->auth, &err))
        return fail(s, &err);
    auth_destroy(&login->auth);
    wipe_text(login);
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

static enum login_state become_send(struct session *s)
{
    struct login *login = &s->login;
    const struct auth_config *auth = &s->config.auth;

    if (!command_begin(s, auth_become(auth)) || !command_string(s, slice_cstr(auth->user)) ||
        !buf_append(&login->text, auth->mechanism == AUTH_GROUPWISE ? SLICE(" \"\"\r\n") : SLICE("\r\n")))
        return refuse(s, "user name too long");
    command_part(s);
    return login->state;
}

static enum login_state become_answered(struct session *s, const struct resp *resp)
{
    struct login *login = &s->login;
    struct verdict_about about = { .doing = VERDICT_LOGIN, .worked_before = false };
    struct err err;

    if (resp->status != RESP_OK) {
        verdict_of(resp, &about, &err);
        err_doing(&err, "login (%s)", auth_become(&s->config.auth));
        return fail(s, &err);
    }
    if (login->stop_next <= login->stop_count)
        return refuse(s, "OK to a login that was not finished");
    wipe_text(login);
    login->in_command = false;
    return LOGIN_CAPABILITY_IN; /* another user may have others */
}

static enum login_state capability_in_received(struct session *s, const struct resp *resp)
{
    if (resp->status == RESP_OK)
        return LOGIN_ENABLE;
    return refused(s, resp);
}

/* ---- ENABLE, ID, COMPRESS: none of them is needed ---- */

/* Only what is needed: raw UTF-8 names where nothing else is spoken, and UIDONLY where the server
 * shows no more than its newest messages without it (S19). */
static enum login_state enable_send(struct session *s)
{
    bool utf8 = caps_has(&s->caps, CAP_UTF8_ONLY);
    bool uidonly = caps_has(&s->caps, CAP_UIDONLY) &&
                   (s->caps.uidonly_is_x || caps_has(&s->caps, CAP_MESSAGELIMIT));

    if (s->config.exchange || (!utf8 && !uidonly))
        return LOGIN_ID;
    send_command(s, "ENABLE%s%s", utf8 ? " UTF8=ACCEPT" : "",
                 !uidonly                ? ""
                 : s->caps.uidonly_is_x ? " X-UIDONLY"
                                        : " UIDONLY");
    return s->login.state;
}

static enum login_state enable_answered(struct session *s, const struct resp *resp)
{
    return LOGIN_ID; /* what is on was told by "* ENABLED" (L21) */
}

static enum login_state id_send(struct session *s)
{
    /* After login, before SELECT (L14); real fields, quoted (L16). */
    if (!s->config.send_id || !caps_has(&s->caps, CAP_ID))
        return LOGIN_COMPRESS;
    send_command(s, "ID (\"name\" \"mailhaul\" \"version\" \"" MAILHAUL_VERSION "\" \"vendor\" \"mailhaul\")");
    return s->login.state;
}

static enum login_state id_answered(struct session *s, const struct resp *resp)
{
    return LOGIN_COMPRESS; /* refused or not (L12, L16, L17) */
}

static enum login_state compress_send(struct session *s)
{
    if (!s->config.compress || !caps_has(&s->caps, CAP_COMPRESS_DEFLATE))
        return LOGIN_READY;
    send_command(s, "COMPRESS DEFLATE");
    return s->login.state;
}

static enum login_state compress_answered(struct session *s, const struct resp *resp)
{
    if (resp->status == RESP_OK) {
        s->starting_deflate = true;
        scan_stop(&s->scan);
    }
    return LOGIN_READY;
}

static const struct login_row rows[LOGIN_COUNT] = {
    /*                         name             limit   on entry          on answer             */
    [LOGIN_GREETING]       = { "greeting",       60000, NULL,             greeting_received },
    [LOGIN_CAPABILITY]     = { "capability",     60000, capability_send,  capability_received },
    [LOGIN_STARTTLS]       = { "starttls",       60000, starttls_send,    starttls_answered },
    [LOGIN_TLS]            = { "tls",            60000, NULL,             NULL },
    [LOGIN_CAPABILITY_TLS] = { "capability tls", 60000, capability_send,  capability_received },
    [LOGIN_AUTH]           = { "authenticate",   60000, auth_begin,       auth_answered },
    [LOGIN_BECOME]         = { "become",         60000, become_send,      become_answered },
    [LOGIN_CAPABILITY_IN]  = { "capability in",  60000, capability_send,  capability_in_received },
    [LOGIN_ENABLE]         = { "enable",         60000, enable_send,      enable_answered },
    [LOGIN_ID]             = { "id",             60000, id_send,          id_answered },
    [LOGIN_COMPRESS]       = { "compress",       60000, compress_send,    compress_answered },
    [LOGIN_READY]          = { "ready",              0, NULL,             NULL },
};

const char *login_state_name(enum login_state state)
{
    return rows[state].name;
}

uint32_t login_patience_ms(const struct login *login)
{
    return login->challenge ? 0 : rows[login->state].limit_ms;
}

static void go(struct session *s, enum login_state to)
{
    while (s->life == SESSION_ALIVE && s->login.state != to) {
        log_line(LOG_TRACE, "imap.login", "%s -> %s", rows[s->login.state].name, rows[to].name);
        s->login.state = to;
        if (rows[to].enter)
            to = rows[to].enter(s);
    }
    /* session_feed tells `ready` after deflate has begun. */
}

void login_init(struct session *s)
{
    s->login = (struct login){ .state = LOGIN_GREETING };
    buf_init(&s->login.text, 8192);
}

void login_deinit(struct session *s)
{
    auth_destroy(&s->login.auth);
    free(s->login.challenge);
    wipe_text(&s->login);
}

void login_receive(struct session *s, const struct resp *resp)
{
    struct login *login = &s->login;

    if (login->state == LOGIN_GREETING) {
        if (resp->kind != RESP_DATA) /* some proxies speak CAPABILITY first */
            go(s, greeting_received(s, resp));
        return;
    }
    if (resp->kind == RESP_CONTINUE) {
        if ((login->state == LOGIN_AUTH || login->state == LOGIN_BECOME) && login->tag)
            auth_continue(s, resp);
        return;
    }
    /* "* Too many invalid logon attempts." has the form of data that nobody knows. */
    if ((resp->kind == RESP_UNKNOWN || (resp->kind == RESP_DATA && resp->data == RESP_OTHER)) &&
        verdict_is_login_refusal(resp->text)) {
        struct resp bye = { .kind = RESP_STATUS, .status = RESP_BYE, .text = resp->text };

        refused(s, &bye); /* L18 */
        return;
    }
    if (resp->kind != RESP_TAGGED)
        return;
    if (resp->tag != login->tag || !rows[login->state].answered) {
        session_fail_protocol(s, "answer to a command that was not sent");
        return;
    }
    login->tag = 0;
    go(s, rows[login->state].answered(s, resp));
}
