#include "engine/imap/verdict.h"

#include <stdio.h>

/* Which statuses a row is about. */
enum { NO = 1 << RESP_NO, BAD = 1 << RESP_BAD, BYE = 1 << RESP_BYE, ANY = NO | BAD | BYE };
/* Which tasks. */
enum {
    LOGIN = 1 << VERDICT_LOGIN,
    LIST = 1 << VERDICT_LIST,
    SELECT = 1 << VERDICT_SELECT,
    FETCH = 1 << VERDICT_FETCH,
    CREATE = 1 << VERDICT_CREATE,
    APPEND = 1 << VERDICT_APPEND,
    ALL = (1 << VERDICT_DOING_COUNT) - 1
};

#define TRANSIENT ERR_CLASS_TRANSIENT
#define THROTTLED ERR_CLASS_THROTTLED
#define PERMANENT ERR_CLASS_PERMANENT
#define FINE      ERR_CLASS_NONE
/* The scope that the task has by itself. */
#define OWN ERR_SCOPE_COUNT

/* First match wins; a row matches by code or by text (case-blind part of it). Codes stand before
 * texts where both are sent. */
static const struct row {
    unsigned status, doing;
    const char *code, *text;
    enum err_class class;
    enum err_scope scope;
    uint32_t wait_ms;
} rows[] = {
    /* Slow down. A full mailbox and a spent day share the code OVERQUOTA (T02, T20). */
    { ANY, ALL, NULL, "suggested backoff time", THROTTLED, ERR_SCOPE_ACCOUNT, 0 },
    { ANY, ALL, NULL, "request is throttled", THROTTLED, ERR_SCOPE_ACCOUNT, 0 },
    { ANY, ALL, NULL, "exceeded command or bandwidth limits", THROTTLED, ERR_SCOPE_ACCOUNT, 3600000 },
    { ANY, ALL, "THROTTLED", "[throttled]", THROTTLED, ERR_SCOPE_ACCOUNT, 0 },
    { ANY, ALL, NULL, "rate limit", THROTTLED, ERR_SCOPE_ACCOUNT, 60000 },
    { ANY, ALL, NULL, "too many simultaneous connections", THROTTLED, ERR_SCOPE_ACCOUNT, 60000 },
    { ANY, ALL, NULL, "maximum number of connections", THROTTLED, ERR_SCOPE_ACCOUNT, 60000 },
    { ANY, ALL, NULL, "too many open connections", THROTTLED, ERR_SCOPE_ACCOUNT, 60000 },
    { ANY, ALL, NULL, "too many connections", THROTTLED, ERR_SCOPE_ACCOUNT, 60000 },
    { ANY, ALL, NULL, "too many requests", THROTTLED, ERR_SCOPE_ACCOUNT, 60000 },
    { ANY, ALL, NULL, "toomanyconnections", THROTTLED, ERR_SCOPE_ACCOUNT, 60000 },
    { ANY, ALL, NULL, "overbudgetexception", THROTTLED, ERR_SCOPE_ACCOUNT, 0 },
    /* A message that is too large is not a rate (T21). */
    { NO | BAD, APPEND, "TOOBIG", "maximum size of appendable message", PERMANENT, ERR_SCOPE_MESSAGE, 0 },
    { NO | BAD, APPEND, NULL, "append command exceeds", PERMANENT, ERR_SCOPE_MESSAGE, 0 },
    { NO | BAD, APPEND, NULL, "message size exceed", PERMANENT, ERR_SCOPE_MESSAGE, 0 },
    { NO | BAD, APPEND, NULL, "message too large", PERMANENT, ERR_SCOPE_MESSAGE, 0 },
    { NO | BAD, APPEND, NULL, "message too big", PERMANENT, ERR_SCOPE_MESSAGE, 0 },
    { NO | BAD, APPEND, NULL, "command line limit exceeded", PERMANENT, ERR_SCOPE_MESSAGE, 0 },
    /* Logging in (T14-T19, L18, L20). Text names what the code does not. */
    { ANY, LOGIN, NULL, "accesstokenexpired", TRANSIENT, ERR_SCOPE_SESSION, 0 },
    { ANY, LOGIN, NULL, "too many invalid logon", THROTTLED, ERR_SCOPE_ACCOUNT, 1800000 },
    { ANY, LOGIN, NULL, "too many login failures", THROTTLED, ERR_SCOPE_ACCOUNT, 1800000 },
    { ANY, LOGIN, NULL, "too many failed", THROTTLED, ERR_SCOPE_ACCOUNT, 1800000 },
    { ANY, LOGIN, NULL, "account is locked", THROTTLED, ERR_SCOPE_ACCOUNT, 1800000 },
    { ANY, LOGIN, NULL, "temporarily blocked", THROTTLED, ERR_SCOPE_ACCOUNT, 1800000 },
    /* What is behind the login is out of order, which says nothing of the password. */
    { NO | BAD, LOGIN, NULL, "temporary authentication", TRANSIENT, ERR_SCOPE_ACCOUNT, 0 },
    { NO | BAD, LOGIN, NULL, "temporary login", TRANSIENT, ERR_SCOPE_ACCOUNT, 0 },
    { NO | BAD, LOGIN, NULL, "temporary failure", TRANSIENT, ERR_SCOPE_ACCOUNT, 0 },
    { NO | BAD, LOGIN, NULL, "temporary error", TRANSIENT, ERR_SCOPE_ACCOUNT, 0 },
    { NO | BAD, LOGIN, NULL, "temporary problem", TRANSIENT, ERR_SCOPE_ACCOUNT, 0 },
    { NO | BAD, LOGIN, NULL, "temporarily unavailable", TRANSIENT, ERR_SCOPE_ACCOUNT, 0 },
    { NO | BAD, LOGIN, NULL, "temporarily unable", TRANSIENT, ERR_SCOPE_ACCOUNT, 0 },
    { NO | BAD, LOGIN, NULL, "service unavailable", TRANSIENT, ERR_SCOPE_ACCOUNT, 0 },
    { NO | BAD, LOGIN, NULL, "server is busy", TRANSIENT, ERR_SCOPE_ACCOUNT, 0 },
    { NO | BAD, LOGIN, NULL, "server busy", TRANSIENT, ERR_SCOPE_ACCOUNT, 0 },
    { NO | BAD, LOGIN, NULL, "server too busy", TRANSIENT, ERR_SCOPE_ACCOUNT, 0 },
    { ANY, LOGIN, "PRIVACYREQUIRED", "plaintext authentication", PERMANENT, ERR_SCOPE_ACCOUNT, 0 },
    { ANY, LOGIN, "WEBALERT", "web login required", PERMANENT, ERR_SCOPE_ACCOUNT, 0 },
    { ANY, LOGIN, "CONTACTADMIN", "via your web browser", PERMANENT, ERR_SCOPE_ACCOUNT, 0 },
    { ANY, LOGIN, "EXPIRED", "not enabled for imap", PERMANENT, ERR_SCOPE_ACCOUNT, 0 },
    { ANY, LOGIN, "AUTHENTICATIONFAILED", "application-specific password", PERMANENT, ERR_SCOPE_ACCOUNT, 0 },
    { ANY, LOGIN, "AUTHORIZATIONFAILED", "invalid credentials", PERMANENT, ERR_SCOPE_ACCOUNT, 0 },
    /* Exchange Online: the budget, the token, the ten errors. */
    { ANY, ALL, NULL, "session invalidated", TRANSIENT, ERR_SCOPE_SESSION, 0 },
    { ANY, ALL, NULL, "session expired", TRANSIENT, ERR_SCOPE_SESSION, 0 },
    { ANY, ALL, NULL, "accesstokenexpired", TRANSIENT, ERR_SCOPE_SESSION, 0 },
    { BYE, ALL, NULL, "connection closed. 14", TRANSIENT, ERR_SCOPE_SESSION, 0 },
    { BYE, ALL, NULL, "connection is closed. 1", TRANSIENT, ERR_SCOPE_SESSION, 0 },
    { NO | BAD, ALL, NULL, "server unavailable", TRANSIENT, OWN, 0 },
    { NO | BAD, ALL, NULL, "command received in invalid state", TRANSIENT, ERR_SCOPE_SESSION, 0 },
    /* To AUTHENTICATE: a token that is not one, or no longer. Elsewhere the server reads something else
     * than was sent: nothing more may go this way. */
    { NO | BAD, LOGIN, NULL, "command error. 10", PERMANENT, ERR_SCOPE_ACCOUNT, 0 },
    { NO | BAD, ALL, NULL, "command error. 10", TRANSIENT, ERR_SCOPE_SESSION, 0 },
    { NO | BAD, ALL, NULL, "error. 12", TRANSIENT, ERR_SCOPE_SESSION, 0 },
    { NO | BAD, ALL, NULL, "command argument error", PERMANENT, OWN, 0 },
    { NO | BAD, LIST | SELECT | CREATE, NULL, "internal server error", TRANSIENT, ERR_SCOPE_SESSION, 0 },
    /* No failure at all (B23). */
    { NO, FETCH, "EXPUNGEISSUED", "no longer exist", FINE, ERR_SCOPE_MESSAGE, 0 },
    /* The mailbox is full (T20). */
    { NO | BAD, APPEND | CREATE, "OVERQUOTA", "quota exceeded", PERMANENT, ERR_SCOPE_ACCOUNT, 0 },
    { NO | BAD, APPEND | CREATE, NULL, "storage limit has been exceeded", PERMANENT, ERR_SCOPE_ACCOUNT, 0 },
    { NO | BAD, APPEND | CREATE, NULL, "mailbox is full", PERMANENT, ERR_SCOPE_ACCOUNT, 0 },
    { ANY, LOGIN | LIST | SELECT | FETCH, "OVERQUOTA", NULL, THROTTLED, ERR_SCOPE_ACCOUNT, 3600000 },
    { ANY, LOGIN | LIST | SELECT | FETCH, "LIMIT", NULL, THROTTLED, ERR_SCOPE_ACCOUNT, 60000 },
    { NO | BAD, APPEND | CREATE, "LIMIT", NULL, PERMANENT, OWN, 0 },
    /* RFC 5530 */
    { ANY, ALL, "UNAVAILABLE", NULL, TRANSIENT, OWN, 0 },
    { ANY, ALL, "INUSE", "[tempfail]", TRANSIENT, OWN, 0 },
    { ANY, ALL, "TEMPFAIL", "try again later", TRANSIENT, OWN, 0 },
    { ANY, ALL, "SERVERBUG", "internal error occurred", TRANSIENT, OWN, 0 },
    { ANY, ALL, "CORRUPTION", "serious error while processing", TRANSIENT, OWN, 0 },
    { ANY, ALL, NULL, "databaseerror", TRANSIENT, OWN, 0 },
    { NO | BAD, FETCH, NULL, "could not be fetched", TRANSIENT, ERR_SCOPE_MESSAGE, 0 },
    { NO | BAD, APPEND, "TRYCREATE", "mailbox doesn't exist", PERMANENT, ERR_SCOPE_FOLDER, 0 },
    { NO | BAD, APPEND, "NONEXISTENT", "no such mailbox", PERMANENT, ERR_SCOPE_FOLDER, 0 },
    { NO | BAD, APPEND, "NOPERM", "permission denied", PERMANENT, ERR_SCOPE_FOLDER, 0 },
    { NO | BAD, ALL, "NONEXISTENT", "mailbox doesn't exist", PERMANENT, OWN, 0 },
    { NO | BAD, ALL, "NOPERM", "permission denied", PERMANENT, OWN, 0 },
    { NO | BAD, ALL, "CANNOT", "invalid mailbox name", PERMANENT, OWN, 0 },
    { NO | BAD, ALL, "ALREADYEXISTS", "mailbox already exists", PERMANENT, OWN, 0 },
    { NO | BAD, ALL, "CLIENTBUG", "folder name is reserved", PERMANENT, OWN, 0 },
    { NO | BAD, ALL, "BADCHARSET", "isn't selectable", PERMANENT, OWN, 0 },
    /* Ours: too many errors on one connection (T13). */
    { BYE, ALL, NULL, "too many invalid imap commands", TRANSIENT, ERR_SCOPE_SESSION, 0 },
};

static const enum err_scope own_scope[VERDICT_DOING_COUNT] = {
    [VERDICT_LOGIN] = ERR_SCOPE_ACCOUNT, [VERDICT_LIST] = ERR_SCOPE_FOLDER,   [VERDICT_SELECT] = ERR_SCOPE_FOLDER,
    [VERDICT_FETCH] = ERR_SCOPE_MESSAGE, [VERDICT_CREATE] = ERR_SCOPE_FOLDER, [VERDICT_APPEND] = ERR_SCOPE_MESSAGE,
};

/* A NO of no known form. A listing or a folder may work a minute later; a name or a message that is
 * refused will be refused again; a fetch has other forms to try. */
static const enum err_class plain_no[VERDICT_DOING_COUNT] = {
    [VERDICT_LOGIN] = PERMANENT, [VERDICT_LIST] = TRANSIENT,   [VERDICT_SELECT] = TRANSIENT,
    [VERDICT_FETCH] = TRANSIENT, [VERDICT_CREATE] = PERMANENT, [VERDICT_APPEND] = PERMANENT,
};

/* "Suggested Backoff Time: N milliseconds" anywhere in text: N, at most UINT32_MAX; 0 when there is
 * none or it is garbled. */
static uint32_t verdict_backoff_ms(struct slice text)
{
    static const struct slice words = { "suggested backoff time", 22 };
    size_t at = slice_find_nocase(text, words);
    uint64_t value = 0;
    bool any = false;

    if (at == SIZE_MAX)
        return 0;
    text = slice_from(text, at + words.size);
    while (text.size && (text.data[0] == ' ' || text.data[0] == ':' || text.data[0] == '='))
        text = slice_from(text, 1);
    while (text.size && text.data[0] >= '0' && text.data[0] <= '9') {
        value = value < 1000000000000u ? value * 10 + (uint64_t)(text.data[0] - '0') : value;
        any = true;
        text = slice_from(text, 1);
    }
    return !any ? 0 : value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

bool verdict_is_login_refusal(struct slice text)
{
    return slice_find_nocase(text, SLICE("too many invalid logon")) != SIZE_MAX ||
           slice_find_nocase(text, SLICE("too many login failures")) != SIZE_MAX ||
           slice_find_nocase(text, SLICE("account is locked")) != SIZE_MAX;
}

bool verdict_is_busy(struct slice text)
{
    static const char *const words[] = { "busy",      "overload", "temporar",       "try again",
                                         "try later", "too many", "come back later" };

    if (slice_starts_nocase(text, SLICE("HTTP/")))
        return false; /* another service, whatever it says */
    if (slice_starts(text, SLICE("421")) || slice_starts(text, SLICE("450")) || slice_starts(text, SLICE("454")))
        return true;
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        if (slice_find_nocase(text, slice_cstr(words[i])) != SIZE_MAX)
            return true;
    return false;
}

static bool says(const struct resp *resp, const char *text)
{
    return text && slice_find_nocase(resp->text, slice_cstr(text)) != SIZE_MAX;
}

static bool matches(const struct row *row, const struct resp *resp, const struct verdict_about *about)
{
    return (row->status & (1u << resp->status)) && (row->doing & (1u << about->doing)) &&
           ((row->code && resp_has_code(resp, row->code)) || says(resp, row->text));
}

/* Of a refused login: whether the words are about name and password (T14), or about the mechanism
 * itself, which then says nothing about the password. Neither: the server does not tell. */
static bool verdict_is_about_password(const struct resp *resp)
{
    static const char *const words[] = {
        "credential",           "password",      "login fail",   "login error",  "authentication fail",
        "authentication error", "invalid login", "invalid user", "unknown user", "user not found",
        "access denied",        "not connected"
    };

    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        if (says(resp, words[i]))
            return true;
    return false;
}

static bool verdict_is_about_mechanism(const struct resp *resp)
{
    static const char *const words[] = { "mechanism",       "not supported", "unsupported",
                                         "not implemented", "not available", "unrecognized authentication" };

    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        if (says(resp, words[i]))
            return true;
    return false;
}

/* Another way is tried only where this one was broken, never because the password was wrong: every
 * try counts towards a lock-out. A mechanism that was refused before anything made from the
 * password was sent has judged nothing (a server that keeps only hashes refuses SCRAM so); BAD says
 * that the server could not read us; and a NO may say in so many words that it is about the
 * mechanism. */
bool verdict_is_about_way(const struct resp *resp, const struct err *err, bool spent)
{
    if (err->class != ERR_CLASS_PERMANENT)
        return false;
    if (!spent)
        return !err->resp_code[0] || resp_has_code(resp, "AUTHENTICATIONFAILED") || resp_has_code(resp, "CANNOT");
    if (resp_has_code(resp, "AUTHENTICATIONFAILED") || verdict_is_about_password(resp))
        return false;
    return resp->status == RESP_BAD || verdict_is_about_mechanism(resp);
}

static void judge(struct err *e, const struct resp *resp, const struct verdict_about *about)
{
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (matches(&rows[i], resp, about)) {
            e->class = rows[i].class;
            e->scope = rows[i].scope == OWN ? own_scope[about->doing] : rows[i].scope;
            e->wait_ms = rows[i].wait_ms;
            return;
        }
    }
    e->scope = own_scope[about->doing];
    e->class = resp->status == RESP_NO ? plain_no[about->doing] : ERR_CLASS_PERMANENT;
    if (resp->status == RESP_BYE) {
        e->class = ERR_CLASS_TRANSIENT;
        e->scope = ERR_SCOPE_SESSION;
    }
}

bool verdict_of(const struct resp *resp, const struct verdict_about *about, struct err *err_r)
{
    static const enum err_origin origins[] = {
        [RESP_OK] = ERR_ORIGIN_PROTOCOL,      [RESP_NO] = ERR_ORIGIN_NO,
        [RESP_BAD] = ERR_ORIGIN_BAD,          [RESP_BYE] = ERR_ORIGIN_BYE,
        [RESP_PREAUTH] = ERR_ORIGIN_PROTOCOL,
    };

    err_set(err_r, ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, origins[resp->status], 0, "%.*s",
            (int)(resp->text.size & 0xffff), resp->text.data ? resp->text.data : "");
    err_printable(err_r->resp_code, sizeof err_r->resp_code, resp->code.data ? resp->code.data : "", resp->code.size);
    if (slice_find_nocase(resp->text, SLICE("authenticated but not connected")) != SIZE_MAX) {
        err_r->class = about->worked_before ? ERR_CLASS_THROTTLED : ERR_CLASS_PERMANENT;
        err_r->scope = about->worked_before ? ERR_SCOPE_SESSION : ERR_SCOPE_ACCOUNT;
        return true;
    }
    judge(err_r, resp, about);
    if (err_r->class == ERR_CLASS_THROTTLED && verdict_backoff_ms(resp->text))
        err_r->wait_ms = verdict_backoff_ms(resp->text);
    return err_r->class != ERR_CLASS_NONE;
}
