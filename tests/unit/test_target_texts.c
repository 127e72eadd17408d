/* test: move */
/* Every text of section 2 of the collected facts on Exchange Online: from the line on the wire to what
 * is done, what it is called and what is advised. docs/exchange-online.md has the same list for people;
 * tests/e2e/test_texts.py sends each of them at its place. */
#include "engine/failure/advice.h"
#include "engine/failure/trouble.h"
#include "engine/imap/verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

enum when { BEFORE, WORKED };

struct row {
    const char *line;
    enum verdict_doing heard; /* what it answers */
    enum trouble_doing doing; /* what the judge is told */
    enum when when;
    enum err_class class;
    enum err_scope scope;
    uint32_t wait_ms; /* THROTTLED: what is obeyed */
    enum trouble_action action;
    const char *type, *advice; /* advice: some words of it */
};

#define THROTTLE    "Request is throttled. Suggested Backoff Time: "
#define UNCONNECTED "a1 BAD User is authenticated but not connected."

/* clang-format off */
static const struct row rows[] = {
    /* 1, 2: the budget is spent. Whatever was asked, NO and BAD alike, to the millisecond. */
    { "a1 BAD " THROTTLE "92415 milliseconds", VERDICT_FETCH, TROUBLE_FETCH, WORKED,
      ERR_CLASS_THROTTLED, ERR_SCOPE_ACCOUNT, 92415, TROUBLE_HOLD, "TargetThrottled", "Nothing to do" },
    { "a1 BAD " THROTTLE "178755 milliseconds", VERDICT_SELECT, TROUBLE_SELECT, WORKED,
      ERR_CLASS_THROTTLED, ERR_SCOPE_ACCOUNT, 178755, TROUBLE_HOLD, "TargetThrottled", "Nothing to do" },
    { "a1 BAD " THROTTLE "201317 milliseconds", VERDICT_LIST, TROUBLE_LIST, BEFORE,
      ERR_CLASS_THROTTLED, ERR_SCOPE_ACCOUNT, 201317, TROUBLE_HOLD, "TargetThrottled", "Nothing to do" },
    { "a1 NO " THROTTLE "299609 milliseconds", VERDICT_APPEND, TROUBLE_APPEND, WORKED,
      ERR_CLASS_THROTTLED, ERR_SCOPE_ACCOUNT, 299609, TROUBLE_HOLD, "TargetThrottled", "no message is lost" },
    { "a1 NO " THROTTLE "299961 milliseconds", VERDICT_CREATE, TROUBLE_CREATE, WORKED,
      ERR_CLASS_THROTTLED, ERR_SCOPE_ACCOUNT, 299961, TROUBLE_HOLD, "TargetThrottled", "Nothing to do" },
    /* 3: fifty minutes are waited out; weeks are a slip. */
    { "a1 NO " THROTTLE "3000000 milliseconds", VERDICT_APPEND, TROUBLE_APPEND, WORKED,
      ERR_CLASS_THROTTLED, ERR_SCOPE_ACCOUNT, 3000000, TROUBLE_HOLD, "TargetThrottled", "Nothing to do" },
    { "a1 NO " THROTTLE "999999999999 milliseconds", VERDICT_APPEND, TROUBLE_APPEND, WORKED,
      ERR_CLASS_THROTTLED, ERR_SCOPE_ACCOUNT, 3600000, TROUBLE_HOLD, "TargetThrottled", "Nothing to do" },
    { "a1 NO Request is throttled.", VERDICT_APPEND, TROUBLE_APPEND, WORKED,
      ERR_CLASS_THROTTLED, ERR_SCOPE_ACCOUNT, 30000, TROUBLE_HOLD, "TargetThrottled", "Nothing to do" },
    /* 4, 5: the connection is over; reconnect, when no hold runs. */
    { "* BYE Connection closed. 14", VERDICT_LIST, TROUBLE_LIST, WORKED,
      ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, 0, TROUBLE_RETRY, "TargetUnavailable", "Run again" },
    { "* BYE Connection is closed. 13", VERDICT_LIST, TROUBLE_LIST, WORKED,
      ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, 0, TROUBLE_RETRY, "TargetUnavailable", "Run again" },
    /* 6: the first command of a mailbox, then one of a mailbox that had been open. */
    { UNCONNECTED, VERDICT_LIST, TROUBLE_LIST, BEFORE,
      ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, 0, TROUBLE_STOP_ACCOUNT, "PermissionMissing", "Add-MailboxPermission" },
    { UNCONNECTED, VERDICT_LIST, TROUBLE_LIST, WORKED,
      ERR_CLASS_THROTTLED, ERR_SCOPE_SESSION, 30000, TROUBLE_FEWER, "ConnectionLimit", "fewer are used" },
    { UNCONNECTED, VERDICT_SELECT, TROUBLE_LIST, WORKED,
      ERR_CLASS_THROTTLED, ERR_SCOPE_SESSION, 30000, TROUBLE_FEWER, "ConnectionLimit", "fewer are used" },
    { UNCONNECTED, VERDICT_APPEND, TROUBLE_APPEND, WORKED,
      ERR_CLASS_THROTTLED, ERR_SCOPE_SESSION, 30000, TROUBLE_FEWER, "ConnectionLimit", "fewer are used" },
    /* 7, 8: the session ended with its token. */
    { "* BYE Session invalidated - AccessTokenExpired", VERDICT_LIST, TROUBLE_LIST, WORKED,
      ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, 0, TROUBLE_RETRY, "TargetUnavailable", "Run again" },
    { "* BYE Session invalidated - Invalid", VERDICT_LIST, TROUBLE_LIST, WORKED,
      ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, 0, TROUBLE_RETRY, "TargetUnavailable", "Run again" },
    /* 9, 10: the login. */
    { "a1 NO AUTHENTICATE failed.", VERDICT_LOGIN, TROUBLE_LOGIN, BEFORE,
      ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, 0, TROUBLE_STOP_ACCOUNT, "LoginFailed", "retry" },
    { "a1 NO LOGIN failed.", VERDICT_LOGIN, TROUBLE_LOGIN, BEFORE,
      ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, 0, TROUBLE_STOP_ACCOUNT, "LoginFailed", "retry" },
    /* 11: one alone is an outage. (In a row, to APPEND only: push_full, test_texts.py.) */
    { "a1 NO Server Unavailable. 15", VERDICT_SELECT, TROUBLE_SELECT, WORKED,
      ERR_CLASS_TRANSIENT, ERR_SCOPE_FOLDER, 0, TROUBLE_RETRY, "TargetUnavailable", "Run again" },
    { "a1 NO Server Unavailable. 15", VERDICT_APPEND, TROUBLE_APPEND, WORKED,
      ERR_CLASS_TRANSIENT, ERR_SCOPE_MESSAGE, 0, TROUBLE_RETRY, "TargetUnavailable", "it is probably full" },
    { "a1 NO Server Unavailable. 15", VERDICT_LIST, TROUBLE_LIST, BEFORE,
      ERR_CLASS_TRANSIENT, ERR_SCOPE_FOLDER, 0, TROUBLE_RETRY, "TargetUnavailable", "Run again" },
    { "a1 NO Server Unavailable. 15", VERDICT_FETCH, TROUBLE_FETCH, WORKED,
      ERR_CLASS_TRANSIENT, ERR_SCOPE_MESSAGE, 0, TROUBLE_OTHER_FORM, "TargetUnavailable", "Run again" },
    /* 12: without a tag; the BYE behind it ends the connection. */
    { "* BYE Connection closed.", VERDICT_LIST, TROUBLE_LIST, WORKED,
      ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, 0, TROUBLE_RETRY, "TargetUnavailable", "Run again" },
    /* 13: the stream is out of step, or, to AUTHENTICATE, the token is none. */
    { "a1 BAD Command Error. 10", VERDICT_APPEND, TROUBLE_APPEND, WORKED,
      ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, 0, TROUBLE_RETRY, "TargetUnavailable", "Run again" },
    { "a1 BAD Command Error. 10", VERDICT_LIST, TROUBLE_LIST, WORKED,
      ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, 0, TROUBLE_RETRY, "TargetUnavailable", "Run again" },
    { "a1 BAD Command Error. 10", VERDICT_LOGIN, TROUBLE_LOGIN, BEFORE,
      ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, 0, TROUBLE_STOP_ACCOUNT, "LoginFailed", "retry" },
    /* 14: the message's fault, or the folder name's. */
    { "a1 BAD Command Argument Error. 11", VERDICT_APPEND, TROUBLE_APPEND, WORKED,
      ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, 0, TROUBLE_SKIP_MESSAGE, "MessageRejected", "export --what failed" },
    { "a1 BAD Command Argument Error. 11", VERDICT_CREATE, TROUBLE_CREATE, WORKED,
      ERR_CLASS_PERMANENT, ERR_SCOPE_FOLDER, 0, TROUBLE_SKIP_FOLDER, "InvalidMailboxName", "[folders]" },
    { "a1 BAD Command Argument Error. 11", VERDICT_SELECT, TROUBLE_SELECT, WORKED,
      ERR_CLASS_PERMANENT, ERR_SCOPE_FOLDER, 0, TROUBLE_SKIP_FOLDER, "SelectFailed", "retry" },
    /* 15: not now. */
    { "a1 BAD Command Error. 12", VERDICT_SELECT, TROUBLE_LIST, WORKED,
      ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, 0, TROUBLE_RETRY, "TargetUnavailable", "Run again" },
    { "a1 BAD Command Argument Error. 12", VERDICT_SELECT, TROUBLE_LIST, WORKED,
      ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, 0, TROUBLE_RETRY, "TargetUnavailable", "Run again" },
    /* 16 */
    { "a1 BAD Command received in Invalid state.", VERDICT_SELECT, TROUBLE_LIST, WORKED,
      ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, 0, TROUBLE_RETRY, "TargetUnavailable", "Run again" },
    /* 17 */
    { "a1 NO Maximum size of appendable message has been exceeded", VERDICT_APPEND, TROUBLE_APPEND, WORKED,
      ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, 0, TROUBLE_SKIP_MESSAGE, "MessageTooLarge",
      "Set-Mailbox {mailbox} -MaxReceiveSize 150MB" },
    /* 18: push takes it for created. 19: names renames before it is asked for. */
    { "a1 NO Mailbox already exists", VERDICT_CREATE, TROUBLE_CREATE, WORKED,
      ERR_CLASS_PERMANENT, ERR_SCOPE_FOLDER, 0, TROUBLE_SKIP_FOLDER, "InvalidMailboxName", "[folders]" },
    { "a1 NO Folder name is reserved", VERDICT_CREATE, TROUBLE_CREATE, WORKED,
      ERR_CLASS_PERMANENT, ERR_SCOPE_FOLDER, 0, TROUBLE_SKIP_FOLDER, "InvalidMailboxName", "[folders]" },
    /* 20 */
    { "a1 NO [SERVERBUG] Internal server error", VERDICT_LIST, TROUBLE_LIST, WORKED,
      ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, 0, TROUBLE_RETRY, "TargetUnavailable", "Run again" },
    /* 22: not seen on this wire; what they mean is known. */
    { "a1 NO [UNAVAILABLE] later", VERDICT_APPEND, TROUBLE_APPEND, WORKED,
      ERR_CLASS_TRANSIENT, ERR_SCOPE_MESSAGE, 0, TROUBLE_RETRY, "TargetUnavailable", "Run again" },
    { "a1 NO [OVERQUOTA] no room", VERDICT_APPEND, TROUBLE_APPEND, WORKED,
      ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, 0, TROUBLE_STOP_ACCOUNT, "QuotaExceeded", "Set-Mailbox {mailbox}" },
    { "a1 NO [LIMIT] no more", VERDICT_APPEND, TROUBLE_APPEND, WORKED,
      ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, 0, TROUBLE_SKIP_MESSAGE, "MessageRejected", "export --what failed" },
    { "a1 NO [LIMIT] APPEND Command exceeds 26214400 bytes", VERDICT_APPEND, TROUBLE_APPEND, WORKED,
      ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, 0, TROUBLE_SKIP_MESSAGE, "MessageTooLarge", "MaxReceiveSize" },
    /* The size, in other servers' words. */
    { "a1 NO [LIMIT] Message too big", VERDICT_APPEND, TROUBLE_APPEND, WORKED,
      ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, 0, TROUBLE_SKIP_MESSAGE, "MessageTooLarge", "MaxReceiveSize" },
    { "a1 NO Message size exceeding limit", VERDICT_APPEND, TROUBLE_APPEND, WORKED,
      ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, 0, TROUBLE_SKIP_MESSAGE, "MessageTooLarge", "MaxReceiveSize" },
    { "a1 BAD command line limit exceeded", VERDICT_APPEND, TROUBLE_APPEND, WORKED,
      ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, 0, TROUBLE_SKIP_MESSAGE, "MessageTooLarge", "MaxReceiveSize" },
    { "a1 NO Message exceeds the size limit of this mailbox", VERDICT_APPEND, TROUBLE_APPEND, WORKED,
      ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, 0, TROUBLE_SKIP_MESSAGE, "MessageTooLarge", "MaxReceiveSize" },
    /* What is behind the login is out of order: the password is not judged. */
    { "a1 NO Temporary authentication failure.", VERDICT_LOGIN, TROUBLE_LOGIN, BEFORE,
      ERR_CLASS_TRANSIENT, ERR_SCOPE_ACCOUNT, 0, TROUBLE_RETRY, "LoginUnavailable", "may well be right" },
    { "a1 NO [UNAVAILABLE] Temporary authentication failure. [host:2026]", VERDICT_LOGIN, TROUBLE_LOGIN, BEFORE,
      ERR_CLASS_TRANSIENT, ERR_SCOPE_ACCOUNT, 0, TROUBLE_RETRY, "LoginUnavailable", "may well be right" },
    { "a1 NO Service unavailable", VERDICT_LOGIN, TROUBLE_LOGIN, BEFORE,
      ERR_CLASS_TRANSIENT, ERR_SCOPE_ACCOUNT, 0, TROUBLE_RETRY, "LoginUnavailable", "may well be right" },
    { "a1 NO [AUTHENTICATIONFAILED] Invalid credentials, please try again", VERDICT_LOGIN, TROUBLE_LOGIN, BEFORE,
      ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, 0, TROUBLE_STOP_ACCOUNT, "LoginFailed", "retry" },
    { "a1 NO [LIMIT] slower", VERDICT_SELECT, TROUBLE_SELECT, WORKED,
      ERR_CLASS_THROTTLED, ERR_SCOPE_ACCOUNT, 60000, TROUBLE_HOLD, "TargetThrottled", "Nothing to do" },
    { "a1 NO OverBudgetException", VERDICT_APPEND, TROUBLE_APPEND, WORKED,
      ERR_CLASS_THROTTLED, ERR_SCOPE_ACCOUNT, 30000, TROUBLE_HOLD, "TargetThrottled", "Nothing to do" },
    { "a1 NO TooManyConnections", VERDICT_LOGIN, TROUBLE_LOGIN, BEFORE,
      ERR_CLASS_THROTTLED, ERR_SCOPE_ACCOUNT, 60000, TROUBLE_FEWER, "ConnectionLimit", "fewer are used" },
    { "a1 NO APPEND failed", VERDICT_APPEND, TROUBLE_APPEND, WORKED,
      ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, 0, TROUBLE_SKIP_MESSAGE, "MessageRejected", "export --what failed" },
    /* Another limit than that of the size. */
    { "a1 NO Time limit exceeded", VERDICT_APPEND, TROUBLE_APPEND, WORKED,
      ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, 0, TROUBLE_SKIP_MESSAGE, "MessageRejected", "export --what failed" },
    { "a1 NO Rate limit exceeded", VERDICT_APPEND, TROUBLE_APPEND, WORKED,
      ERR_CLASS_THROTTLED, ERR_SCOPE_ACCOUNT, 60000, TROUBLE_HOLD, "TargetThrottled", "Nothing to do" },
    { "a1 NO LimitExceeded", VERDICT_APPEND, TROUBLE_APPEND, WORKED,
      ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, 0, TROUBLE_SKIP_MESSAGE, "MessageRejected", "export --what failed" },
    /* 23: what Microsoft's own migration says of a full mailbox. */
    { "a1 NO This mailbox is full. Please free up some space so that email can be downloaded.", VERDICT_APPEND,
      TROUBLE_APPEND, WORKED, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, 0, TROUBLE_STOP_ACCOUNT, "QuotaExceeded",
      "Set-Mailbox {mailbox}" },
};
/* clang-format on */

static void hear(const struct row *row, enum failure_side side, unsigned attempts, struct err *err_r,
                 struct trouble_verdict *verdict_r)
{
    struct verdict_about about = { row->heard, row->when == WORKED };
    struct resp resp;

    resp_parse(&resp, slice_cstr(row->line));
    assert_true(verdict_of(&resp, &about, err_r));
    trouble_judge(row->doing, side, err_r, attempts, 60, 7, verdict_r);
}

static void each_text_has_its_reaction(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        const struct advice *advice;
        struct trouble_verdict v;
        char words[512];
        struct err err;

        hear(r, FAILURE_TARGET, 0, &err, &v);
        if (err.class != r->class || err.scope != r->scope || v.action != r->action || strcmp(v.type, r->type) != 0)
            fail_msg("%s: class %s scope %s action %d type %s", r->line, err_class_name(err.class),
                     err_scope_name(err.scope), v.action, v.type);
        if (r->wait_ms && v.wait_ms != r->wait_ms)
            fail_msg("%s: waits %u ms", r->line, v.wait_ms);
        advice = advice_find(v.type);
        assert_string_equal(advice->type, v.type);
        snprintf(words, sizeof words, "%s %s", advice->remedy, advice->command ? advice->command : "");
        if (!strstr(words, r->advice))
            fail_msg("%s: advises: %s", r->line, words);
    }
}

static void a_throttle_never_ends_a_user(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].class == ERR_CLASS_THROTTLED && rows[i].scope == ERR_SCOPE_ACCOUNT) {
            struct trouble_verdict v;
            struct err err;

            hear(&rows[i], FAILURE_TARGET, 100000, &err, &v);
            assert_true(v.action == TROUBLE_HOLD || v.action == TROUBLE_FEWER);
        }
}

/* The right to a mailbox may be taken away amid the run: then it is no overload any more. */
static void not_connected_for_ever_is_a_missing_right(void **state)
{
    struct row row = { UNCONNECTED, .heard = VERDICT_LIST, .doing = TROUBLE_LIST, .when = WORKED };
    struct trouble_verdict v;
    struct err err;

    hear(&row, FAILURE_TARGET, 58, &err, &v);
    assert_int_equal(v.action, TROUBLE_FEWER);
    hear(&row, FAILURE_TARGET, 59, &err, &v);
    assert_int_equal(v.action, TROUBLE_STOP_ACCOUNT);
    assert_string_equal(v.type, "PermissionMissing");
}

static void a_folder_of_the_target_is_given_up_late(void **state)
{
    struct row row = { "a1 NO Server Unavailable. 15", .heard = VERDICT_SELECT, .doing = TROUBLE_SELECT,
                       .when = WORKED };
    struct trouble_verdict v;
    struct err err;

    hear(&row, FAILURE_TARGET, 6, &err, &v);
    assert_int_equal(v.action, TROUBLE_RETRY);
    hear(&row, FAILURE_TARGET, 7, &err, &v);
    assert_int_equal(v.action, TROUBLE_SKIP_FOLDER);
    hear(&row, FAILURE_SOURCE, 2, &err, &v);
    assert_int_equal(v.action, TROUBLE_SKIP_FOLDER);
}

/* Part of an answer is no failure: "NO Some of the requested messages no longer exist." */
static void part_of_a_fetch_is_no_failure(void **state)
{
    struct verdict_about about = { VERDICT_FETCH, true };
    struct resp resp;
    struct err err;

    resp_parse(&resp, SLICE("a1 NO Some of the requested messages no longer exist."));
    assert_false(verdict_of(&resp, &about, &err));
}

/* A source that is throttled says with the same code what a target says of a full mailbox. */
static void a_spent_source_is_no_full_mailbox(void **state)
{
    static const enum verdict_doing heard[] = { VERDICT_LOGIN, VERDICT_LIST, VERDICT_SELECT, VERDICT_FETCH,
                                                VERDICT_APPEND };
    static const enum trouble_doing doing[] = { TROUBLE_LOGIN, TROUBLE_LIST, TROUBLE_SELECT, TROUBLE_FETCH,
                                                TROUBLE_APPEND };

    for (unsigned i = 0; i < sizeof doing / sizeof *doing; i++) {
        struct row row = { "a1 NO [OVERQUOTA] Account exceeded command or bandwidth limits.", .heard = heard[i],
                           .doing = doing[i], .when = WORKED };
        struct trouble_verdict v;
        struct err err;

        hear(&row, FAILURE_SOURCE, 0, &err, &v);
        assert_int_equal(v.action, TROUBLE_HOLD);
        assert_string_equal(v.type, "SourceThrottled");
        /* As a hold of the whole mailbox is told, wherever it was heard; and of a target. */
        assert_string_equal(trouble_type(TROUBLE_APPEND, FAILURE_SOURCE, &err), "SourceThrottled");
        assert_string_equal(trouble_type(doing[i], FAILURE_TARGET, &err), "TargetThrottled");
    }
}

/* Before the server let the connection in, no login was refused. */
static void a_greeting_is_no_login(void **state)
{
    struct verdict_about about = { VERDICT_LOGIN, false };
    struct trouble_verdict v;
    struct resp resp;
    struct err err;

    resp_parse(&resp, SLICE("* BYE Server is going down"));
    assert_true(verdict_of(&resp, &about, &err));
    assert_int_equal(trouble_while_connecting(&err, false), TROUBLE_CONNECT);
    assert_int_equal(trouble_while_connecting(&err, true), TROUBLE_LOGIN);
    trouble_judge(TROUBLE_CONNECT, FAILURE_SOURCE, &err, 5, 60, 7, &v);
    assert_string_equal(v.type, "ConnectFailed");
    assert_int_equal(v.action, TROUBLE_RETRY); /* it is there: all the patience there is */
    trouble_judge(TROUBLE_LOGIN, FAILURE_SOURCE, &err, 0, 60, 7, &v);
    assert_string_equal(v.type, "LoginUnavailable");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_text_has_its_reaction),
        cmocka_unit_test(a_throttle_never_ends_a_user),
        cmocka_unit_test(a_spent_source_is_no_full_mailbox),
        cmocka_unit_test(a_greeting_is_no_login),
        cmocka_unit_test(not_connected_for_ever_is_a_missing_right),
        cmocka_unit_test(a_folder_of_the_target_is_given_up_late),
        cmocka_unit_test(part_of_a_fetch_is_no_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
