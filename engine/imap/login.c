/* From the greeting to `ready`: rows in the order of a good login. Every handler returns the next
 * state; go() alone assigns it. Who logs in, and as whom, is login_auth.c. RFC 9051 6.1, 6.2; RFC 2971, 4978, 5161. */
#include "engine/imap/login_private.h"
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

bool login_send(struct session *s, const char *format, ...)
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

static enum login_state answered_no(struct session *s, const struct resp *resp)
{
    struct verdict_about about = { .doing = VERDICT_LOGIN, .worked_before = false };
    struct err err;

    verdict_of(resp, &about, &err);
    err_doing(&err, "login (%s)", login_state_name(s->login.state));
    session_fail(s, &err);
    return s->login.state;
}

enum login_state login_refuse(struct session *s, const char *why)
{
    struct err err;

    err_set(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_PROTOCOL, 0, "%s", why);
    err_doing(&err, "login (%s)", login_state_name(s->login.state));
    session_fail(s, &err);
    return s->login.state;
}

enum login_state login_fail(struct session *s, const struct err *err)
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
        return answered_no(s, &bye);
    err_printable(shown, sizeof shown, said.data ? said.data : "", said.size);
    snprintf(why, sizeof why, "the greeting is not IMAP: \"%s\"", shown);
    return login_refuse(s, why);
}

static enum login_state greeting_received(struct session *s, const struct resp *resp)
{
    bool preauth = resp->kind == RESP_STATUS && resp->status == RESP_PREAUTH;

    if (resp->kind != RESP_STATUS)
        return not_imap(s, resp->text);
    if (resp->status != RESP_OK && !preauth) {
        struct resp bye = *resp;

        bye.status = RESP_BYE; /* no other refusal can greet (RFC 9051 7.1) */
        return answered_no(s, &bye);
    }
    err_printable(s->greeting, sizeof s->greeting, resp->text.data ? resp->text.data : "", resp->text.size);
    if (preauth) {
        /* In clear nobody knows who greets, and STARTTLS is no longer possible (CVE-2021-39272). */
        if (!s->tls && !s->config.auth.plaintext_allowed)
            return in_the_middle(s, "PREAUTH before STARTTLS");
        /* Whose mailbox this is nobody said: all users might be given the same one. */
        if (s->config.auth.mechanism != AUTH_EXTERNAL)
            return login_refuse(s, "the server logs in by itself (PREAUTH), as somebody who was not named");
        return LOGIN_CAPABILITY_IN;
    }
    s->config.auth.windows_1252 = slice_find_nocase(resp->text, SLICE("kopano")) != SIZE_MAX ||
                                  slice_find_nocase(resp->text, SLICE("zarafa")) != SIZE_MAX; /* L24 */
    if (s->config.starttls && !s->tls)
        return LOGIN_STARTTLS; /* also where it is not listed (L10) */
    return s->login.capabilities ? LOGIN_AUTH : LOGIN_CAPABILITY;
}

/* ---- CAPABILITY, before login ---- */

static enum login_state capability_send(struct session *s)
{
    caps_clear(&s->caps);
    login_send(s, "CAPABILITY");
    return s->login.state;
}

static enum login_state capability_received(struct session *s, const struct resp *resp)
{
    return resp->status == RESP_OK ? LOGIN_AUTH : answered_no(s, resp);
}

/* ---- STARTTLS, RFC 9051 6.2.1 ---- */

static enum login_state starttls_send(struct session *s)
{
    login_send(s, "STARTTLS");
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
                    (int)(resp->text.size < 120 ? resp->text.size : 120), resp->text.data ? resp->text.data : "");
        err_doing(&err, "STARTTLS");
        return login_fail(s, &err);
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

/* ---- CAPABILITY, after login ---- */

static enum login_state capability_in_received(struct session *s, const struct resp *resp)
{
    if (resp->status == RESP_OK)
        return LOGIN_ENABLE;
    return answered_no(s, resp);
}

/* ---- ENABLE, ID, COMPRESS: none of them is needed ---- */

/* Only what is needed: raw UTF-8 names where nothing else is spoken, and UIDONLY where the server
 * shows no more than its newest messages without it (S19). */
static enum login_state enable_send(struct session *s)
{
    bool utf8 = caps_has(&s->caps, CAP_UTF8_ONLY);
    bool uidonly = caps_has(&s->caps, CAP_UIDONLY) && (s->caps.uidonly_is_x || caps_has(&s->caps, CAP_MESSAGELIMIT));

    if (s->config.exchange || (!utf8 && !uidonly))
        return LOGIN_ID;
    login_send(s, "ENABLE%s%s", utf8 ? " UTF8=ACCEPT" : "",
               !uidonly               ? ""
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
    login_send(s, "ID (\"name\" \"mailhaul\" \"version\" \"" MAILHAUL_VERSION "\" \"vendor\" \"mailhaul\")");
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
    login_send(s, "COMPRESS DEFLATE");
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
    [LOGIN_GREETING] = { "greeting", 60000, NULL, greeting_received },
    [LOGIN_CAPABILITY] = { "capability", 60000, capability_send, capability_received },
    [LOGIN_STARTTLS] = { "starttls", 60000, starttls_send, starttls_answered },
    [LOGIN_TLS] = { "tls", 60000, NULL, NULL },
    [LOGIN_CAPABILITY_TLS] = { "capability tls", 60000, capability_send, capability_received },
    [LOGIN_AUTH] = { "authenticate", 60000, login_auth_begin, login_auth_answered },
    [LOGIN_BECOME] = { "become", 60000, login_become_send, login_become_answered },
    [LOGIN_CAPABILITY_IN] = { "capability in", 60000, capability_send, capability_in_received },
    [LOGIN_ENABLE] = { "enable", 60000, enable_send, enable_answered },
    [LOGIN_ID] = { "id", 60000, id_send, id_answered },
    [LOGIN_COMPRESS] = { "compress", 60000, compress_send, compress_answered },
    [LOGIN_READY] = { "ready", 0, NULL, NULL },
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
    login_wipe_text(&s->login);
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
            login_auth_continue(s, resp);
        return;
    }
    /* "* Too many invalid logon attempts." has the form of data that nobody knows. */
    if ((resp->kind == RESP_UNKNOWN || (resp->kind == RESP_DATA && resp->data == RESP_OTHER)) &&
        verdict_is_login_refusal(resp->text)) {
        struct resp bye = { .kind = RESP_STATUS, .status = RESP_BYE, .text = resp->text };

        answered_no(s, &bye); /* L18 */
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
