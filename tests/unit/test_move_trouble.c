/* test: failure */
#include "engine/failure/advice.h"
#include "engine/failure/trouble.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct row {
    const char *what;
    enum trouble_doing doing;
    enum failure_side side;
    enum err_class class;
    enum err_scope scope;
    enum err_origin origin;
    const char *code, *text;
    unsigned attempts;
    enum trouble_action action;
    const char *type;
};

static const struct row rows[] = {
    { "a refused TCP connect is tried again", TROUBLE_CONNECT, FAILURE_SOURCE, ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION,
      ERR_ORIGIN_OS, "", "Connection refused", 0, TROUBLE_RETRY, "ConnectFailed" },
    { "but not for ever", TROUBLE_CONNECT, FAILURE_SOURCE, ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, ERR_ORIGIN_OS, "",
      "Connection refused", 4, TROUBLE_STOP_ACCOUNT, "ConnectFailed" },
    { "a bad certificate ends the user at once", TROUBLE_CONNECT, FAILURE_TARGET, ERR_CLASS_PERMANENT,
      ERR_SCOPE_ACCOUNT, ERR_ORIGIN_TLS, "", "certificate has expired", 0, TROUBLE_STOP_ACCOUNT, "TlsFailed" },
    { "a wrong password ends the user at once", TROUBLE_LOGIN, FAILURE_SOURCE, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT,
      ERR_ORIGIN_NO, "AUTHENTICATIONFAILED", "Authentication failed.", 0, TROUBLE_STOP_ACCOUNT, "LoginFailed" },
    { "IMAP switched off has a name of its own", TROUBLE_LOGIN, FAILURE_SOURCE, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT,
      ERR_ORIGIN_NO, "", "Your account is not enabled for IMAP use", 0, TROUBLE_STOP_ACCOUNT, "ImapDisabled" },
    { "Gmail wants an app password", TROUBLE_LOGIN, FAILURE_SOURCE, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT,
      ERR_ORIGIN_NO, "ALERT",
      "Application-specific password required: https://support.google.com/accounts/answer/185833 (Failure)", 0,
      TROUBLE_STOP_ACCOUNT, "AppPasswordRequired" },
    { "Gmail wants a person", TROUBLE_LOGIN, FAILURE_SOURCE, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_NO,
      "ALERT", "Please log in via your web browser: https://support.google.com/mail (Failure)", 0, TROUBLE_STOP_ACCOUNT,
      "WebLoginRequired" },
    { "a locked account waits", TROUBLE_LOGIN, FAILURE_SOURCE, ERR_CLASS_THROTTLED, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_BYE,
      "", "* Too many invalid logon attempts.", 0, TROUBLE_HOLD, "AccountLocked" },
    { "passwords want TLS", TROUBLE_LOGIN, FAILURE_SOURCE, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_NO,
      "PRIVACYREQUIRED", "Plaintext authentication disallowed on non-secure connections.", 0, TROUBLE_STOP_ACCOUNT,
      "PrivacyRequired" },
    { "Exchange's user without IMAP", TROUBLE_LOGIN, FAILURE_SOURCE, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT,
      ERR_ORIGIN_BAD, "", "User is authenticated but not connected.", 0, TROUBLE_STOP_ACCOUNT, "ImapDisabled" },
    { "Cyrus's limit means fewer", TROUBLE_LOGIN, FAILURE_SOURCE, ERR_CLASS_THROTTLED, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_NO,
      "", "Too many open connections from this host", 0, TROUBLE_FEWER, "ConnectionLimit" },
    { "no way to log in is a matter of login", TROUBLE_LOGIN, FAILURE_SOURCE, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT,
      ERR_ORIGIN_CONFIG, "", "the server offers no login for auth = scram-sha-256", 0, TROUBLE_STOP_ACCOUNT,
      "LoginFailed" },
    { "Dovecot's connection limit means fewer", TROUBLE_LOGIN, FAILURE_SOURCE, ERR_CLASS_THROTTLED, ERR_SCOPE_ACCOUNT,
      ERR_ORIGIN_NO, "UNAVAILABLE",
      "Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)", 0, TROUBLE_FEWER,
      "ConnectionLimit" },
    { "a throttle reply is no attempt", TROUBLE_APPEND, FAILURE_TARGET, ERR_CLASS_THROTTLED, ERR_SCOPE_ACCOUNT,
      ERR_ORIGIN_NO, "", "Request is throttled.", 50, TROUBLE_HOLD, "TargetThrottled" },
    { "a lost answer is looked for first", TROUBLE_APPEND, FAILURE_TARGET, ERR_CLASS_UNCERTAIN, ERR_SCOPE_SESSION,
      ERR_ORIGIN_OS, "", "Connection reset by peer", 0, TROUBLE_LOOK_FIRST, "TargetUnavailable" },
    { "too large costs the message", TROUBLE_APPEND, FAILURE_TARGET, ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE,
      ERR_ORIGIN_NO, "", "Maximum size of appendable message has been exceeded", 0, TROUBLE_SKIP_MESSAGE,
      "MessageTooLarge" },
    { "a refused message costs the message", TROUBLE_APPEND, FAILURE_TARGET, ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE,
      ERR_ORIGIN_NO, "", "Message contains NUL characters", 0, TROUBLE_SKIP_MESSAGE, "MessageRejected" },
    { "a full mailbox ends the user", TROUBLE_APPEND, FAILURE_TARGET, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT,
      ERR_ORIGIN_NO, "OVERQUOTA", "Quota exceeded", 0, TROUBLE_STOP_ACCOUNT, "QuotaExceeded" },
    { "one folder that does not open costs the folder", TROUBLE_SELECT, FAILURE_SOURCE, ERR_CLASS_PERMANENT,
      ERR_SCOPE_FOLDER, ERR_ORIGIN_NO, "", "Invalid mailbox name: Junk/", 0, TROUBLE_SKIP_FOLDER,
      "InvalidMailboxName" },
    { "a server bug is asked again", TROUBLE_SELECT, FAILURE_SOURCE, ERR_CLASS_TRANSIENT, ERR_SCOPE_FOLDER,
      ERR_ORIGIN_NO, "SERVERBUG", "Internal error occurred.", 0, TROUBLE_RETRY, "ServerBug" },
    { "three times", TROUBLE_SELECT, FAILURE_SOURCE, ERR_CLASS_TRANSIENT, ERR_SCOPE_FOLDER, ERR_ORIGIN_NO, "SERVERBUG",
      "Internal error occurred.", 2, TROUBLE_SKIP_FOLDER, "ServerBug" },
    { "a message that cannot be fetched is asked for in another form", TROUBLE_FETCH, FAILURE_SOURCE,
      ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, ERR_ORIGIN_NO, "", "cannot read", 0, TROUBLE_OTHER_FORM,
      "MessageUnreadable" },
    { "less of it than announced is another matter", TROUBLE_FETCH, FAILURE_SOURCE, ERR_CLASS_TRANSIENT,
      ERR_SCOPE_SESSION, ERR_ORIGIN_OS, "", "no more bytes", 0, TROUBLE_RETRY, "TruncatedMessage" },
    { "an address without a mailbox ends the user", TROUBLE_LOGIN, FAILURE_TARGET, ERR_CLASS_PERMANENT,
      ERR_SCOPE_ACCOUNT, ERR_ORIGIN_NO, "", "user does not exist", 0, TROUBLE_STOP_ACCOUNT, "MailboxNotFound" },
    { "at the source that is a wrong name", TROUBLE_LOGIN, FAILURE_SOURCE, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT,
      ERR_ORIGIN_NO, "", "user does not exist", 0, TROUBLE_STOP_ACCOUNT, "LoginFailed" },
    { "a full disk ends the run", TROUBLE_FETCH, FAILURE_LOCAL, ERR_CLASS_TRANSIENT, ERR_SCOPE_RUN, ERR_ORIGIN_STORE,
      "", "No space left on device", 0, TROUBLE_STOP_RUN, "SpoolError" },
    { "a body that the spool lost costs the message", TROUBLE_APPEND, FAILURE_LOCAL, ERR_CLASS_PERMANENT,
      ERR_SCOPE_MESSAGE, ERR_ORIGIN_STORE, "", "checksum", 0, TROUBLE_SKIP_MESSAGE, "SpoolError" },
    { "an APPEND that may have arrived when a neighbour's body was lost is looked for", TROUBLE_APPEND, FAILURE_TARGET,
      ERR_CLASS_UNCERTAIN, ERR_SCOPE_SESSION, ERR_ORIGIN_STORE, "", "cannot be read", 0, TROUBLE_LOOK_FIRST,
      "SpoolError" },
    { "one that was not sent then is sent again", TROUBLE_APPEND, FAILURE_TARGET, ERR_CLASS_CANCELED, ERR_SCOPE_SESSION,
      ERR_ORIGIN_STORE, "", "cannot be read", 0, TROUBLE_RETRY, "SpoolError" },
    { "a token that is refused ends the user", TROUBLE_LOGIN, FAILURE_TARGET, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN,
      ERR_ORIGIN_TOKEN, "", "AADSTS7000215", 0, TROUBLE_STOP_ACCOUNT, "TokenFailed" },
    { "connected but not allowed is a missing permission on the target", TROUBLE_LIST, FAILURE_TARGET,
      ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_BAD, "", "User is authenticated but not connected.", 0,
      TROUBLE_STOP_ACCOUNT, "PermissionMissing" },
    { "sixty lost connections in a row are enough", TROUBLE_LIST, FAILURE_SOURCE, ERR_CLASS_TRANSIENT,
      ERR_SCOPE_SESSION, ERR_ORIGIN_BYE, "", "later", 59, TROUBLE_STOP_ACCOUNT, "TooManyTransientFailures" },
};

static void every_row_gets_its_action(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        struct trouble_verdict verdict;
        struct err err;

        err_set(&err, r->class, r->scope, r->origin, 0, "%s", r->text);
        snprintf(err.resp_code, sizeof err.resp_code, "%s", r->code);
        trouble_judge(r->doing, r->side, &err, r->attempts, 60, 7, &verdict);
        if (verdict.action != r->action || strcmp(verdict.type, r->type) != 0)
            fail_msg("%s: action %d type %s", r->what, verdict.action, verdict.type);
        assert_string_equal(advice_find(verdict.type)->type, verdict.type);
    }
}

/* Is it a refusal of the message, after which it need not be looked for? */
static void words_about_the_message_are_words_of_their_own(void **state)
{
    static const struct {
        const char *text;
        bool about;
    } says[] = {
        { "Message contains bare newlines", true },
        { "Message contains NUL characters", true },
        { "Message contains NULs", true },
        { "Line too long", true },
        { "too many lines", true },
        { "Invalid header", true },
        { "Badly formatted message", true },
        { "ErrorMessageSizeExceeded", true },
        { "[ILLEGAL]", true },
        { "mailbox full", true },
        { "Backend is offline", false },
        { "Deadline exceeded", false },
        { "pipeline stalled", false },
        { "the information store is not there", false },
        { "not successfully completed", false },
        { "null pointer", false },
        { "Time limit exceeded", false },
        { "That went wrong.", false },
        { "", false },
    };

    for (size_t i = 0; i < sizeof says / sizeof *says; i++) {
        struct trouble_verdict verdict;
        struct err err;

        err_set(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, ERR_ORIGIN_NO, 0, "%s", says[i].text);
        if (trouble_may_have_stored(&err) == says[i].about)
            fail_msg("%s", says[i].text);
        trouble_judge(TROUBLE_APPEND, FAILURE_TARGET, &err, 0, 60, 7, &verdict);
        if (!says[i].about)
            assert_string_equal(verdict.type, "MessageRejected");
    }
}

static void waits_grow_and_end_somewhere(void **state)
{
    struct trouble_verdict verdict;
    struct err err;
    uint32_t before = 0;

    (void)state;
    err_set(&err, ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, ERR_ORIGIN_BYE, 0, "bye");
    for (unsigned i = 0; i < 9; i++) {
        trouble_judge(TROUBLE_LIST, FAILURE_SOURCE, &err, i, 60, 0, &verdict);
        assert_true(verdict.wait_ms >= before / 2);
        before = verdict.wait_ms;
    }
    for (unsigned i = 0; i < 1000; i++) {
        trouble_judge(TROUBLE_LIST, FAILURE_SOURCE, &err, 100 + i, 100000, i * 977, &verdict);
        assert_in_range(verdict.wait_ms, 300000, 450000);
    }
    err_set(&err, ERR_CLASS_THROTTLED, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_NO, 0, "slow down");
    err.wait_ms = 123456;
    trouble_judge(TROUBLE_APPEND, FAILURE_TARGET, &err, 0, 60, 0, &verdict);
    assert_int_equal(verdict.wait_ms, 123456);
}

static void what_is_not_there_is_told_from_what_does_not_open(void **state)
{
    static const struct {
        const char *code, *text;
        enum err_origin origin;
        bool gone;
    } answers[] = {
        { "NONEXISTENT", "Unknown Mailbox: Old (Failure)", ERR_ORIGIN_NO, true },
        { "TRYCREATE", "no", ERR_ORIGIN_NO, true },
        { "", "Mailbox does not exist", ERR_ORIGIN_NO, true },
        { "", "Mailbox doesn't exist: Old", ERR_ORIGIN_BAD, true },
        { "", "Permission denied", ERR_ORIGIN_NO, false },
        { "SERVERBUG", "Internal error occurred.", ERR_ORIGIN_NO, false },
        { "", "the host does not exist", ERR_ORIGIN_OS, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct err err;

        err_set(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_FOLDER, answers[i].origin, 0, "%s", answers[i].text);
        snprintf(err.resp_code, sizeof err.resp_code, "%s", answers[i].code);
        assert_int_equal(trouble_is_gone(&err), answers[i].gone);
    }
}

/* What a limit is taken for, of which the server says nothing. */
static void turned_away(void **state)
{
    static const struct {
        enum err_class class;
        enum err_origin origin;
        bool greeted;
        unsigned attempts, standing, came;
        bool is;
    } cases[] = {
        { ERR_CLASS_TRANSIENT, ERR_ORIGIN_OS, false, 1, 3, 0, true },
        { ERR_CLASS_TRANSIENT, ERR_ORIGIN_TLS, false, 1, 1, 0, true },
        { ERR_CLASS_TRANSIENT, ERR_ORIGIN_PROTOCOL, false, 7, 1, 0, true },
        { ERR_CLASS_TRANSIENT, ERR_ORIGIN_OS, false, 0, 3, 0, false }, /* once is chance */
        { ERR_CLASS_TRANSIENT, ERR_ORIGIN_OS, false, 3, 0, 0, false }, /* nobody gets in */
        { ERR_CLASS_TRANSIENT, ERR_ORIGIN_OS, false, 3, 0, 2, true },  /* others did, and have left */
        { ERR_CLASS_TRANSIENT, ERR_ORIGIN_OS, false, 0, 0, 2, false },
        { ERR_CLASS_TRANSIENT, ERR_ORIGIN_OS, true, 3, 3, 0, false }, /* it was let in */
        { ERR_CLASS_PERMANENT, ERR_ORIGIN_TLS, false, 3, 3, 0, false },
        { ERR_CLASS_TRANSIENT, ERR_ORIGIN_DNS, false, 3, 3, 0, false },
        { ERR_CLASS_TRANSIENT, ERR_ORIGIN_BYE, false, 3, 3, 0, false }, /* it has words */
        { ERR_CLASS_TRANSIENT, ERR_ORIGIN_TOKEN, false, 3, 3, 0, false },
        { ERR_CLASS_CANCELED, ERR_ORIGIN_OS, false, 3, 3, 0, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err, away;
        struct trouble_verdict verdict;

        err_set(&err, cases[i].class, ERR_SCOPE_SESSION, cases[i].origin, 0, "the server closed the connection");
        assert_int_equal(
            trouble_turned_away(&err, cases[i].greeted, cases[i].attempts, cases[i].standing, cases[i].came, &away),
            cases[i].is);
        if (!cases[i].is)
            continue;
        trouble_judge(TROUBLE_CONNECT, FAILURE_SOURCE, &away, 70, 60, 1, &verdict);
        assert_int_equal(verdict.action, TROUBLE_FEWER);
        assert_string_equal(verdict.type, "ConnectionLimit");
        assert_non_null(strstr(away.server_text, "the server closed the connection: taken for"));
        assert_non_null(strstr(away.server_text, cases[i].came ? "2 others of this run got in there meanwhile"
                                                 : cases[i].standing == 1 ? "1 other of this run stands there"
                                                                          : "3 others of this run stand there"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turned_away),
        cmocka_unit_test(what_is_not_there_is_told_from_what_does_not_open),
        cmocka_unit_test(every_row_gets_its_action),
        cmocka_unit_test(words_about_the_message_are_words_of_their_own),
        cmocka_unit_test(waits_grow_and_end_somewhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
