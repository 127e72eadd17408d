/* test: move
 * The three steps: whose fault it is that a sign-in by token fails, and the line that mends it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/oauth/diagnose.h"

#include <stdio.h>
#include <string.h>

static struct settings_endpoint endpoint(enum settings_grant grant)
{
    return (struct settings_endpoint){
        .oauth = { .grant = grant, .tenant = (char *)"contoso.onmicrosoft.com", .client_id = (char *)"1111-2222" },
    };
}

static struct err token_err(int aadsts)
{
    struct err err;

    err_set(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_TOKEN, aadsts, "AADSTS%d", aadsts);
    return err;
}

static struct oauth_claims good_claims(void)
{
    return (struct oauth_claims){
        .audience = "https://outlook.office365.com",
        .roles = "IMAP.AccessAsApp",
        .application = "1111-2222",
        .object_id = "3333-4444",
        .application_own = true,
        .expires_s = 4000,
    };
}

static void every_known_refusal_has_a_remedy(void **state)
{
    static const int numbers[] = { 7000215, 7000222, 7000218, 700027, 700030, 700025, 700016, 7000112,
                                   90002,   50194,   900382,  65001,  90094,  650056, 70011,  70000,
                                   70008,   50173,   50076,   53003,  530032, 0 };
    struct settings_endpoint e = endpoint(SETTINGS_GRANT_CLIENT_SECRET);
    struct diagnosis_facts facts = { .endpoint = &e, .login = "ann@x.example" };
    struct diagnosis d;

    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct err err = token_err(numbers[i]);

        assert_true(diagnose_token(&facts, &err, &d));
        assert_string_equal(d.type, "TokenFailed");
        assert_non_null(strstr(d.cause, "Step 1 of 3"));
        assert_in_range(strlen(d.cause), 30, sizeof d.cause - 2);
        assert_in_range(strlen(d.remedy), 30, sizeof d.remedy - 2);
    }
}

static void a_wrong_clock_is_named_where_it_hurts(void **state)
{
    struct settings_endpoint e = endpoint(SETTINGS_GRANT_CERTIFICATE);
    struct diagnosis_facts facts = { .endpoint = &e, .login = "a@x", .skew_known = true };
    struct err err = token_err(700027);
    struct diagnosis d;

    facts.skew_s = 301;
    assert_true(diagnose_token(&facts, &err, &d));
    assert_non_null(strstr(d.cause, "301 seconds ahead"));
    facts.skew_s = -301;
    assert_true(diagnose_token(&facts, &err, &d));
    assert_non_null(strstr(d.cause, "301 seconds behind"));
    facts.skew_s = 299;
    assert_true(diagnose_token(&facts, &err, &d));
    assert_null(strstr(d.cause, "seconds"));
}

static void server_trouble_is_no_fault_of_the_registration(void **state)
{
    struct settings_endpoint e = endpoint(SETTINGS_GRANT_CLIENT_SECRET);
    struct diagnosis_facts facts = { .endpoint = &e, .login = "a@x" };
    struct diagnosis d;
    struct err err;

    err_set(&err, ERR_CLASS_TRANSIENT, ERR_SCOPE_RUN, ERR_ORIGIN_TOKEN, 0, "HTTP 503");
    assert_true(diagnose_token(&facts, &err, &d));
    assert_string_equal(d.type, "ConnectFailed");
    assert_null(strstr(d.cause, "Step 1"));
}

static void claims_are_judged(void **state)
{
    static const struct {
        const char *audience, *roles;
        enum settings_grant grant;
        const char *words; /* of the cause; NULL: nothing is wrong */
    } rows[] = {
        { "https://outlook.office365.com", "IMAP.AccessAsApp", SETTINGS_GRANT_CLIENT_SECRET, NULL },
        { "https://outlook.office.com/", "Mail.Read IMAP.AccessAsApp", SETTINGS_GRANT_CERTIFICATE, NULL },
        { "00000002-0000-0ff1-ce00-000000000000", "IMAP.AccessAsApp", SETTINGS_GRANT_CERTIFICATE, NULL },
        { "https://partner.outlook.cn", "imap.accessasuser.all", SETTINGS_GRANT_REFRESH_TOKEN, NULL },
        { "https://graph.microsoft.com", "IMAP.AccessAsApp", SETTINGS_GRANT_CLIENT_SECRET,
          "is for https://graph.microsoft.com" },
        { "https://outlook.office365.com", "", SETTINGS_GRANT_CLIENT_SECRET, "lacks IMAP.AccessAsApp:" },
        { "https://outlook.office365.com", "IMAP.AccessAsUser.All", SETTINGS_GRANT_CLIENT_SECRET,
          "has only IMAP.AccessAsUser.All" },
        { "https://outlook.office365.com", "IMAP.AccessAsApp2", SETTINGS_GRANT_CLIENT_SECRET,
          "lacks IMAP.AccessAsApp and" },
        { "https://outlook.office365.com", "Mail.Send", SETTINGS_GRANT_REFRESH_TOKEN, "lacks IMAP.AccessAsUser.All" },
        /* Opaque: nothing can be said. */
        { "", "", SETTINGS_GRANT_REFRESH_TOKEN, NULL },
    };

    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct settings_endpoint e = endpoint(rows[i].grant);
        struct oauth_claims claims = good_claims();
        struct diagnosis_facts facts = { .endpoint = &e, .login = "a@x", .claims = &claims };
        struct diagnosis d;

        snprintf(claims.audience, sizeof claims.audience, "%s", rows[i].audience);
        snprintf(claims.roles, sizeof claims.roles, "%s", rows[i].roles);
        assert_int_equal(diagnose_claims(&facts, &d), rows[i].words != NULL);
        if (rows[i].words) {
            assert_non_null(strstr(d.cause, rows[i].words));
            assert_true(d.remedy[0] != '\0');
        }
    }
}

static void lines_can_be_pasted_and_nothing_else(void **state)
{
    struct settings_endpoint e = endpoint(SETTINGS_GRANT_CLIENT_SECRET);
    struct oauth_claims claims = good_claims();
    struct diagnosis_facts facts = { .endpoint = &e, .login = "ann@x.example", .claims = &claims };
    struct diagnosis d;
    struct err err;

    err_set(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_NO, 0, "AUTHENTICATE failed.");
    assert_true(diagnose_login(&facts, &err, &d));
    assert_non_null(strstr(d.remedy, "New-ServicePrincipal -AppId 1111-2222 -ObjectId 3333-4444 -Display"));
    assert_false(diagnose_mailbox(&facts, &err, &d));

    err_set(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_BAD, 0,
            "User is authenticated but not connected.");
    assert_true(diagnose_mailbox(&facts, &err, &d));
    assert_string_equal(d.type, "PermissionMissing");
    assert_non_null(strstr(d.remedy, "Add-MailboxPermission -Identity ann@x.example -User 3333-4444 -AccessRights"));
    assert_non_null(strstr(d.remedy, "Set-CASMailbox ann@x.example -ImapEnabled $true"));

    /* What would need quotes, or would do something else, is not put into a line. */
    facts.login = "ann@x.example; Remove-Mailbox ben";
    snprintf(claims.object_id, sizeof claims.object_id, "$(evil)");
    assert_true(diagnose_mailbox(&facts, &err, &d));
    assert_null(strstr(d.remedy, "Remove-Mailbox"));
    assert_null(strstr(d.remedy, "evil"));
    assert_non_null(strstr(d.remedy, "-Identity <mailbox> -User <object ID"));
}

static void a_persons_own_mailbox_lacks_no_permission(void **state)
{
    struct settings_endpoint e = endpoint(SETTINGS_GRANT_REFRESH_TOKEN);
    struct oauth_claims claims = good_claims();
    struct diagnosis_facts facts = { .endpoint = &e, .login = "Ann@x.example", .claims = &claims };
    struct diagnosis d;
    struct err err;

    claims.application_own = false;
    snprintf(claims.user, sizeof claims.user, "ann@x.example");
    err_set(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_BAD, 0,
            "User is authenticated but not connected.");
    assert_true(diagnose_mailbox(&facts, &err, &d));
    assert_string_equal(d.type, "ImapDisabled");
    facts.login = "ben@x.example";
    assert_true(diagnose_mailbox(&facts, &err, &d));
    assert_string_equal(d.type, "PermissionMissing");
    assert_non_null(strstr(d.remedy, "-Identity ben@x.example -User ann@x.example "));
}

static void google_has_other_places(void **state)
{
    struct settings_endpoint e = { .oauth = { .grant = SETTINGS_GRANT_SERVICE_ACCOUNT } };
    struct diagnosis_facts facts = { .endpoint = &e, .login = "ann@school.example" };
    struct diagnosis d;
    struct err err = token_err(0);

    snprintf(err.server_text, sizeof err.server_text, "HTTP 401 unauthorized_client: Client is ...");
    assert_true(diagnose_token(&facts, &err, &d));
    assert_non_null(strstr(d.remedy, "Domain-wide delegation"));
    snprintf(err.server_text, sizeof err.server_text, "HTTP 400 invalid_grant: Invalid JWT: iat");
    assert_true(diagnose_token(&facts, &err, &d));
    assert_non_null(strstr(d.remedy, "clock"));
    snprintf(err.server_text, sizeof err.server_text, "HTTP 400 invalid_grant: Invalid email");
    assert_true(diagnose_token(&facts, &err, &d));
    assert_non_null(strstr(d.remedy, "ann@school.example"));
}

static void tokens_are_described_without_themselves(void **state)
{
    struct settings_endpoint e = endpoint(SETTINGS_GRANT_CLIENT_SECRET);
    struct oauth_claims claims = good_claims();
    struct diagnosis_facts facts = { .endpoint = &e, .login = "a@x", .claims = &claims, .skew_known = true };
    char out[480];

    diagnose_describe(&facts, 400, out, sizeof out);
    assert_string_equal(out, "for https://outlook.office365.com, roles IMAP.AccessAsApp, tenant not "
                             "told, expires 1970-01-01T01:06:40Z (in 60 min), clock agrees with the "
                             "server's");
    claims = (struct oauth_claims){ 0 };
    facts.skew_known = false;
    diagnose_describe(&facts, 400, out, sizeof out);
    assert_string_equal(out, "given (client secret), opaque; clock not compared");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_known_refusal_has_a_remedy),
        cmocka_unit_test(a_wrong_clock_is_named_where_it_hurts),
        cmocka_unit_test(server_trouble_is_no_fault_of_the_registration),
        cmocka_unit_test(claims_are_judged),
        cmocka_unit_test(lines_can_be_pasted_and_nothing_else),
        cmocka_unit_test(a_persons_own_mailbox_lacks_no_permission),
        cmocka_unit_test(google_has_other_places),
        cmocka_unit_test(tokens_are_described_without_themselves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
