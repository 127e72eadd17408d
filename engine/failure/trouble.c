#include "engine/failure/trouble.h"

#include "engine/imap/verdict.h"
#include "io/base/slice.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

/* Waits between attempts grow from the first to the last and stay there. */
#define WAIT_GROWTH 300u
/* A hint outside these is a slip of the server's: 10^12 ms would park a user for weeks. */
#define HINT_LEAST_MS        1000u
#define HINT_MOST_MS         3600000u
#define HOLD_WITHOUT_HINT_MS 30000u
#define SELECT_ATTEMPTS      3u
/* A folder of the target that does not open is most often a target with trouble, not the folder. */
#define SELECT_ATTEMPTS_TARGET 8u
#define MESSAGE_ATTEMPTS       3u
#define UNAVAILABLE            "server unavailable"
#define NOT_CONNECTED          "authenticated but not connected"
/* Memory that others hold may be free a little later. */
#define LISTS_ATTEMPTS 3u
/* A host that refuses TCP from the start is not there; later it is a reboot worth waiting for. */
#define CONNECT_ATTEMPTS_QUICK 5u

static bool says(const struct err *err, const char *words)
{
    return words && slice_find_nocase(slice_cstr(err->server_text), slice_cstr(words)) != SIZE_MAX;
}

static bool coded(const struct err *err, const char *code)
{
    return slice_equal_nocase(slice_cstr(err->resp_code), slice_cstr(code));
}

/* Words and codes that name the trouble wherever they come. First match wins. */
static const struct {
    enum trouble_doing from, to; /* range of what was being done */
    enum failure_side side;      /* FAILURE_LOCAL: either */
    const char *code, *words;    /* NULL: not looked at; one of them must match */
    const char *type;
} named[] = {
    { TROUBLE_CONNECT, TROUBLE_LOGIN, FAILURE_LOCAL, "LIMIT", NULL, "ConnectionLimit" },
    { TROUBLE_CONNECT, TROUBLE_APPEND, FAILURE_LOCAL, NULL, "too many simultaneous", "ConnectionLimit" },
    { TROUBLE_CONNECT, TROUBLE_APPEND, FAILURE_LOCAL, NULL, "toomanyconnections", "ConnectionLimit" },
    { TROUBLE_CONNECT, TROUBLE_APPEND, FAILURE_LOCAL, NULL, "maximum number of connections", "ConnectionLimit" },
    { TROUBLE_CONNECT, TROUBLE_APPEND, FAILURE_LOCAL, NULL, "too many connections", "ConnectionLimit" },
    { TROUBLE_CONNECT, TROUBLE_APPEND, FAILURE_LOCAL, NULL, "too many open connections", "ConnectionLimit" },
    { TROUBLE_CONNECT, TROUBLE_LOGIN, FAILURE_LOCAL, "PRIVACYREQUIRED", "plaintext authentication", "PrivacyRequired" },
    { TROUBLE_CONNECT, TROUBLE_LOGIN, FAILURE_LOCAL, NULL, "application-specific password", "AppPasswordRequired" },
    { TROUBLE_CONNECT, TROUBLE_LOGIN, FAILURE_LOCAL, NULL, "answer/185833", "AppPasswordRequired" },
    { TROUBLE_CONNECT, TROUBLE_LOGIN, FAILURE_LOCAL, NULL, "app password", "AppPasswordRequired" },
    { TROUBLE_CONNECT, TROUBLE_LOGIN, FAILURE_LOCAL, "WEBALERT", "web login required", "WebLoginRequired" },
    { TROUBLE_CONNECT, TROUBLE_LOGIN, FAILURE_LOCAL, "CONTACTADMIN", "via your web browser", "WebLoginRequired" },
    { TROUBLE_CONNECT, TROUBLE_LOGIN, FAILURE_LOCAL, "EXPIRED", "password has expired", "WebLoginRequired" },
    { TROUBLE_CONNECT, TROUBLE_LOGIN, FAILURE_LOCAL, NULL, "too many invalid logon", "AccountLocked" },
    { TROUBLE_CONNECT, TROUBLE_LOGIN, FAILURE_LOCAL, NULL, "too many login failures", "AccountLocked" },
    { TROUBLE_CONNECT, TROUBLE_LOGIN, FAILURE_LOCAL, NULL, "too many failed", "AccountLocked" },
    { TROUBLE_CONNECT, TROUBLE_LOGIN, FAILURE_LOCAL, NULL, "account is locked", "AccountLocked" },
    { TROUBLE_CONNECT, TROUBLE_LOGIN, FAILURE_LOCAL, NULL, "temporarily blocked", "AccountLocked" },
    { TROUBLE_CONNECT, TROUBLE_LOGIN, FAILURE_LOCAL, NULL, "imap is disabled", "ImapDisabled" },
    { TROUBLE_CONNECT, TROUBLE_LOGIN, FAILURE_LOCAL, NULL, "protocol disabled", "ImapDisabled" },
    { TROUBLE_CONNECT, TROUBLE_LOGIN, FAILURE_LOCAL, NULL, "not enabled for imap", "ImapDisabled" },
    { TROUBLE_CONNECT, TROUBLE_LOGIN, FAILURE_LOCAL, NULL, "imap access is disabled", "ImapDisabled" },
    { TROUBLE_CONNECT, TROUBLE_LOGIN, FAILURE_LOCAL, NULL, "enable imap", "ImapDisabled" },
    { TROUBLE_CONNECT, TROUBLE_LIST, FAILURE_TARGET, NULL, NOT_CONNECTED, "PermissionMissing" },
    { TROUBLE_CONNECT, TROUBLE_LIST, FAILURE_SOURCE, NULL, NOT_CONNECTED, "ImapDisabled" },
    /* Whoever may log in here, or become another: this address has no mailbox. */
    { TROUBLE_LOGIN, TROUBLE_LOGIN, FAILURE_TARGET, NULL, "user does not exist", "MailboxNotFound" },
    { TROUBLE_LOGIN, TROUBLE_LOGIN, FAILURE_TARGET, NULL, "mailbox does not exist", "MailboxNotFound" },
    { TROUBLE_LOGIN, TROUBLE_LOGIN, FAILURE_TARGET, NULL, "mailbox doesn't exist", "MailboxNotFound" },
    { TROUBLE_LOGIN, TROUBLE_LOGIN, FAILURE_TARGET, NULL, "no such mailbox", "MailboxNotFound" },
    { TROUBLE_LOGIN, TROUBLE_LOGIN, FAILURE_TARGET, NULL, "no such user", "MailboxNotFound" },
    { TROUBLE_LOGIN, TROUBLE_LOGIN, FAILURE_TARGET, NULL, "unknown user", "MailboxNotFound" },
    { TROUBLE_LOGIN, TROUBLE_LOGIN, FAILURE_TARGET, NULL, "user not found", "MailboxNotFound" },
    { TROUBLE_LIST, TROUBLE_FETCH, FAILURE_SOURCE, "SERVERBUG", "internal error", "ServerBug" },
    { TROUBLE_LIST, TROUBLE_CREATE, FAILURE_TARGET, "SERVERBUG", "internal server error", "TargetUnavailable" },
    { TROUBLE_LIST, TROUBLE_CREATE, FAILURE_LOCAL, NULL, "invalid mailbox name", "InvalidMailboxName" },
    { TROUBLE_LIST, TROUBLE_APPEND, FAILURE_LOCAL, NULL, "mailbox name is too long", "InvalidMailboxName" },
    { TROUBLE_CREATE, TROUBLE_CREATE, FAILURE_LOCAL, NULL, "folder name is reserved", "InvalidMailboxName" },
    { TROUBLE_CREATE, TROUBLE_CREATE, FAILURE_LOCAL, "NOPERM", "permission denied", "PermissionMissing" },
    { TROUBLE_APPEND, TROUBLE_APPEND, FAILURE_LOCAL, "OVERQUOTA", "quota", "QuotaExceeded" },
    { TROUBLE_APPEND, TROUBLE_APPEND, FAILURE_LOCAL, NULL, "mailbox is full", "QuotaExceeded" },
    { TROUBLE_APPEND, TROUBLE_APPEND, FAILURE_LOCAL, NULL, "storage limit", "QuotaExceeded" },
    { TROUBLE_APPEND, TROUBLE_APPEND, FAILURE_LOCAL, "TOOBIG", "maximum size", "MessageTooLarge" },
    { TROUBLE_APPEND, TROUBLE_APPEND, FAILURE_LOCAL, NULL, "message size exceed", "MessageTooLarge" },
    { TROUBLE_APPEND, TROUBLE_APPEND, FAILURE_LOCAL, NULL, "size limit", "MessageTooLarge" },
    { TROUBLE_APPEND, TROUBLE_APPEND, FAILURE_LOCAL, NULL, "line limit exceeded", "MessageTooLarge" },
    { TROUBLE_APPEND, TROUBLE_APPEND, FAILURE_LOCAL, NULL, "too large", "MessageTooLarge" },
    { TROUBLE_APPEND, TROUBLE_APPEND, FAILURE_LOCAL, NULL, "too big", "MessageTooLarge" },
    { TROUBLE_APPEND, TROUBLE_APPEND, FAILURE_LOCAL, NULL, "append command exceeds", "MessageTooLarge" },
    { TROUBLE_LIST, TROUBLE_APPEND, FAILURE_TARGET, NULL, UNAVAILABLE, "TargetUnavailable" },
};

const char *trouble_type(enum trouble_doing doing, enum failure_side side, const struct err *err)
{
    /* What names a pace is no full mailbox and no large message, with whatever code it comes. */
    bool throttled = err->class == ERR_CLASS_THROTTLED;

    if (err->origin == ERR_ORIGIN_STORE || doing == TROUBLE_SPOOL)
        return "SpoolError";
    if (err->origin == ERR_ORIGIN_TOKEN)
        return "TokenFailed";
    if (err->origin == ERR_ORIGIN_MAILDIR)
        return doing == TROUBLE_FETCH ? "MessageUnreadable" : "MaildirUnreadable";
    if (err->origin == ERR_ORIGIN_MBOX)
        return doing == TROUBLE_FETCH ? "MessageUnreadable" : "MboxUnreadable";
    if (err->origin == ERR_ORIGIN_TLS && doing <= TROUBLE_LOGIN)
        return "TlsFailed";
    if (trouble_is_memory(err))
        return "ListTooLarge";
    /* Of a mailbox that was open before: too many or too frequent connections. */
    if (throttled && says(err, NOT_CONNECTED))
        return "ConnectionLimit";
    for (unsigned i = 0; i < sizeof named / sizeof *named; i++)
        if (doing >= named[i].from && doing <= named[i].to && !(throttled && named[i].from == TROUBLE_APPEND) &&
            (named[i].side == FAILURE_LOCAL || named[i].side == side) &&
            ((named[i].code && coded(err, named[i].code)) || says(err, named[i].words)))
            return named[i].type;
    if (throttled)
        return side == FAILURE_TARGET ? "TargetThrottled" : "SourceThrottled";
    if (err->origin == ERR_ORIGIN_OS && doing == TROUBLE_FETCH)
        return "TruncatedMessage"; /* broken off, or silence, amid a body */
    if (err->origin == ERR_ORIGIN_OS || err->origin == ERR_ORIGIN_DNS)
        return side == FAILURE_TARGET && doing > TROUBLE_LOGIN ? "TargetUnavailable" : "ConnectFailed";
    switch (doing) {
    case TROUBLE_CONNECT:
        return "ConnectFailed";
    case TROUBLE_LOGIN:
        return err->class == ERR_CLASS_TRANSIENT ? "LoginUnavailable" : "LoginFailed";
    case TROUBLE_LIST:
        return side == FAILURE_TARGET ? "TargetUnavailable" : "ServerBug";
    case TROUBLE_SELECT:
        return "SelectFailed";
    case TROUBLE_FETCH:
        if (err->origin == ERR_ORIGIN_NO || err->origin == ERR_ORIGIN_BAD)
            return "MessageUnreadable";
        return err->origin == ERR_ORIGIN_PROTOCOL ? "ParseError" : "TruncatedMessage";
    case TROUBLE_CREATE:
        return err->class == ERR_CLASS_TRANSIENT ? "TargetUnavailable" : "InvalidMailboxName";
    case TROUBLE_APPEND:
        return err->class != ERR_CLASS_TRANSIENT && (err->origin == ERR_ORIGIN_NO || err->origin == ERR_ORIGIN_BAD)
                   ? "MessageRejected"
                   : "TargetUnavailable";
    case TROUBLE_SPOOL:
    case TROUBLE_COUNT:
        break;
    }
    return "SpoolError";
}

bool trouble_is_memory(const struct err *err)
{
    return err->origin == ERR_ORIGIN_CONFIG && err->class == ERR_CLASS_TRANSIENT;
}

static uint32_t first_wait_ms = 1000;

void trouble_set_first_wait(uint32_t wait_ms)
{
    assert(wait_ms >= 1 && wait_ms <= 3600000);
    first_wait_ms = wait_ms;
}

enum trouble_doing trouble_while_connecting(const struct err *err, bool greeted)
{
    if (err->origin == ERR_ORIGIN_TOKEN || err->origin == ERR_ORIGIN_CONFIG)
        return TROUBLE_LOGIN;
    return greeted && (err->origin == ERR_ORIGIN_NO || err->origin == ERR_ORIGIN_BAD || err->origin == ERR_ORIGIN_BYE)
               ? TROUBLE_LOGIN
               : TROUBLE_CONNECT;
}

bool trouble_turned_away(const struct err *err, bool greeted, unsigned attempts, unsigned standing, unsigned came,
                         struct err *err_r)
{
    unsigned others = standing ? standing : came;

    /* A server of which each tenth connection fails by chance is not taken for one with a limit. */
    if (greeted || attempts == 0 || others == 0 || err->class != ERR_CLASS_TRANSIENT ||
        (err->origin != ERR_ORIGIN_OS && err->origin != ERR_ORIGIN_TLS && err->origin != ERR_ORIGIN_PROTOCOL))
        return false;
    err_set(err_r, ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, ERR_ORIGIN_OS, 0,
            "%.120s: taken for the server's limit of connections, since %u other%s of this run %s", err->server_text,
            others, others == 1 ? "" : "s",
            standing == 0   ? "got in there meanwhile"
            : standing == 1 ? "stands there"
                            : "stand there");
    err_doing(err_r, "%s", err->doing);
    snprintf(err_r->resp_code, sizeof err_r->resp_code, "LIMIT");
    return true;
}

bool trouble_is_unavailable(const struct err *err)
{
    return err->class == ERR_CLASS_TRANSIENT && err->origin == ERR_ORIGIN_NO && says(err, UNAVAILABLE);
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Says a word of its own that begins so, or (whole) is this: "offline", a "deadline" or an "information store" are no
 * words about a line or a format. */
static bool says_word(const struct err *err, const char *word, bool whole)
{
    struct slice text = slice_cstr(err->server_text), wanted = slice_cstr(word);
    size_t at;

    for (; (at = slice_find_nocase(text, wanted)) != SIZE_MAX; text = slice_from(text, at + 1)) {
        const char *begin = text.data + at, *end = begin + wanted.size;
        bool first = begin == err->server_text || !is_letter(begin[-1]) || (begin[0] <= 'Z' && begin[-1] >= 'a');

        if (first && (!whole || end == text.data + text.size || !is_letter(*end)))
            return true;
    }
    return false;
}

/* Words and codes by which a server says that it read the message, or the command, and does not want it. */
static bool is_about_message(const struct err *err)
{
    static const char *const codes[] = { "TOOBIG", "OVERQUOTA",   "CANNOT",     "NOPERM",    "TRYCREATE",
                                         "LIMIT",  "NONEXISTENT", "BADCHARSET", "CLIENTBUG", "PARSE" };
    static const char *const begin[] = { "argument", "invalid", "illegal",     "nuls",      "header", "8-bit",
                                         "8bit",     "line",    "size",        "too large", "quota",  "permission",
                                         "denied",   "exist",   "not allowed", "virus",     "spam",   "syntax",
                                         "parse",    "format",  "exceeds" };
    static const char *const whole[] = { "bare", "nul", "full" };

    for (unsigned i = 0; i < sizeof codes / sizeof *codes; i++)
        if (coded(err, codes[i]))
            return true;
    for (unsigned i = 0; i < sizeof begin / sizeof *begin; i++)
        if (says_word(err, begin[i], false))
            return true;
    for (unsigned i = 0; i < sizeof whole / sizeof *whole; i++)
        if (says_word(err, whole[i], true))
            return true;
    return false;
}

bool trouble_may_have_stored(const struct err *err)
{
    if (err->origin != ERR_ORIGIN_NO && err->origin != ERR_ORIGIN_BAD)
        return false;
    return err->class == ERR_CLASS_TRANSIENT || err->class == ERR_CLASS_THROTTLED ||
           (err->class == ERR_CLASS_PERMANENT && !is_about_message(err));
}

bool trouble_says_it_passes(const struct err *err)
{
    return coded(err, "UNAVAILABLE") || coded(err, "INUSE") || coded(err, "TEMPFAIL") || says(err, UNAVAILABLE) ||
           verdict_is_busy(slice_cstr(err->server_text));
}

bool trouble_is_login(const char *type)
{
    static const char *const types[] = { "LoginFailed",     "AppPasswordRequired", "WebLoginRequired", "AccountLocked",
                                         "PrivacyRequired", "ImapDisabled",        "TokenFailed" };

    for (unsigned i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(type, types[i]) == 0)
            return true;
    return false;
}

static uint32_t backoff_ms(unsigned attempts, uint32_t seed)
{
    uint64_t wait = (uint64_t)first_wait_ms << (attempts > 9 ? 9 : attempts);
    uint32_t mixed = (seed ^ (attempts * 2654435761u)) * 2246822519u;

    if (wait > (uint64_t)first_wait_ms * WAIT_GROWTH)
        wait = (uint64_t)first_wait_ms * WAIT_GROWTH;
    return (uint32_t)(wait + wait * (mixed >> 16) / 65536u / 2u);
}

void trouble_judge(enum trouble_doing doing, enum failure_side side, const struct err *err, unsigned attempts,
                   unsigned limit, uint32_t seed, struct trouble_verdict *verdict_r)
{
    const char *type = trouble_type(doing, side, err);
    bool is_limit = strcmp(type, "ConnectionLimit") == 0;

    *verdict_r = (struct trouble_verdict){ TROUBLE_RETRY, backoff_ms(attempts, seed), type };
    /* Whatever ended the session, an APPEND that may have arrived is looked for. */
    if (err->origin == ERR_ORIGIN_STORE && err->class != ERR_CLASS_UNCERTAIN && err->class != ERR_CLASS_CANCELED) {
        verdict_r->action = err->scope == ERR_SCOPE_MESSAGE ? TROUBLE_SKIP_MESSAGE : TROUBLE_STOP_RUN;
        return;
    }
    switch (err->class) {
    case ERR_CLASS_THROTTLED:
        /* For ever: the right was taken away while the mailbox was at work. */
        if (attempts + 1 >= limit && says(err, NOT_CONNECTED)) {
            verdict_r->action = TROUBLE_STOP_ACCOUNT;
            verdict_r->type = side == FAILURE_TARGET ? "PermissionMissing" : "ImapDisabled";
            return;
        }
        verdict_r->action = is_limit ? TROUBLE_FEWER : TROUBLE_HOLD;
        verdict_r->wait_ms = err->wait_ms ? err->wait_ms : HOLD_WITHOUT_HINT_MS;
        if (verdict_r->wait_ms < HINT_LEAST_MS)
            verdict_r->wait_ms = HINT_LEAST_MS;
        if (verdict_r->wait_ms > HINT_MOST_MS)
            verdict_r->wait_ms = HINT_MOST_MS;
        return;
    case ERR_CLASS_UNCERTAIN:
        verdict_r->action = TROUBLE_LOOK_FIRST;
        return;
    case ERR_CLASS_CANCELED:
        verdict_r->wait_ms = 0;
        return;
    case ERR_CLASS_PERMANENT:
        break;
    case ERR_CLASS_NONE:
    case ERR_CLASS_TRANSIENT:
    case ERR_CLASS_COUNT:
        if (is_limit) {
            verdict_r->action = TROUBLE_FEWER;
            return;
        }
        if (attempts + 1 >= limit || (trouble_is_memory(err) && attempts + 1 >= LISTS_ATTEMPTS))
            verdict_r->action = TROUBLE_STOP_ACCOUNT;
        if (trouble_is_memory(err))
            return;
        if (attempts + 1 >= limit)
            verdict_r->type = "TooManyTransientFailures";
        if (doing == TROUBLE_CONNECT && attempts + 1 >= CONNECT_ATTEMPTS_QUICK && err->origin != ERR_ORIGIN_BYE) {
            verdict_r->action = TROUBLE_STOP_ACCOUNT;
            verdict_r->type = type;
        }
        if (err->scope <= ERR_SCOPE_FOLDER && doing == TROUBLE_FETCH)
            verdict_r->action = attempts < MESSAGE_ATTEMPTS ? TROUBLE_OTHER_FORM : TROUBLE_SKIP_MESSAGE;
        else if (err->scope <= ERR_SCOPE_FOLDER && doing == TROUBLE_SELECT &&
                 attempts + 1 >= (side == FAILURE_TARGET ? SELECT_ATTEMPTS_TARGET : SELECT_ATTEMPTS))
            verdict_r->action = TROUBLE_SKIP_FOLDER;
        return;
    }
    /* Permanent: the narrowest thing that cannot work is given up. */
    verdict_r->wait_ms = 0;
    switch (doing) {
    case TROUBLE_CONNECT:
    case TROUBLE_LOGIN:
    case TROUBLE_LIST:
        verdict_r->action = TROUBLE_STOP_ACCOUNT;
        break;
    case TROUBLE_SELECT:
    case TROUBLE_CREATE:
        verdict_r->action = TROUBLE_SKIP_FOLDER;
        break;
    case TROUBLE_FETCH:
        verdict_r->action = TROUBLE_OTHER_FORM;
        break;
    case TROUBLE_APPEND:
        if (strcmp(type, "QuotaExceeded") == 0)
            verdict_r->action = TROUBLE_STOP_ACCOUNT;
        else if (err->scope == ERR_SCOPE_FOLDER)
            verdict_r->action = TROUBLE_SKIP_FOLDER;
        else
            verdict_r->action = TROUBLE_SKIP_MESSAGE;
        break;
    case TROUBLE_SPOOL:
    case TROUBLE_COUNT:
        verdict_r->action = TROUBLE_STOP_RUN;
        break;
    }
}

bool trouble_is_gone(const struct err *err)
{
    static const char *const words[] = { "doesn't exist", "does not exist", "no such mailbox", "unknown mailbox",
                                         "no such folder" };

    if ((err->origin != ERR_ORIGIN_NO && err->origin != ERR_ORIGIN_BAD) || err->class == ERR_CLASS_THROTTLED)
        return false;
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        if (says(err, words[i]))
            return true;
    return coded(err, "NONEXISTENT") || coded(err, "TRYCREATE");
}

bool trouble_is_about_name(const struct err *err)
{
    return (err->origin == ERR_ORIGIN_NO || err->origin == ERR_ORIGIN_BAD) && err->class != ERR_CLASS_THROTTLED &&
           strcmp(trouble_type(TROUBLE_SELECT, FAILURE_SOURCE, err), "ServerBug") != 0;
}
