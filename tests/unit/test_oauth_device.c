/* test: move
 * Signing in by code: what each answer of the server means, and how long to wait.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/oauth/device.h"

#include <string.h>

static struct settings_oauth person(void)
{
    return (struct settings_oauth){
        .grant = SETTINGS_GRANT_REFRESH_TOKEN,
        .token_url = (char *)"https://login.example/t/oauth2/v2.0/token",
        .scope = (char *)"https://outlook.office.com/IMAP.AccessAsUser.All offline_access",
        .client_id = (char *)"app 1",
    };
}

static void forms_are_encoded(void **state)
{
    struct settings_oauth oauth = person();
    struct oauth_device device = { .code = secret_create(SLICE("de&vice")) };
    struct buf form;
    struct err err;

    buf_init(&form, 4096);
    assert_true(oauth_device_form(&oauth, &form, &err));
    assert_true(slice_equal(buf_slice(&form),
                            SLICE("client_id=app%201&scope=https%3A%2F%2Foutlook.office.com%2FIMAP.AccessAsUser.All%20"
                                  "offline_access")));
    assert_true(oauth_device_poll_form(&oauth, &device, &form, &err));
    assert_true(slice_equal(buf_slice(&form),
                            SLICE("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&client_id=app%201&"
                                  "device_code=de%26vice")));
    buf_deinit(&form);
    oauth_device_deinit(&device);
}

static void a_code_is_read(void **state)
{
    struct oauth_device device;
    struct err err;

    assert_true(oauth_device_answer(200,
                                    SLICE("{\"device_code\":\"D\",\"user_code\":\"AB\\u0007C\",\"verification_uri\":"
                                          "\"https://microsoft.com/devicelogin\",\"expires_in\":900,\"interval\":7}"),
                                    0, &device, &err));
    assert_true(slice_equal(secret_peek(device.code), SLICE("D")));
    assert_string_equal(device.user_code, "AB.C");
    assert_string_equal(device.address, "https://microsoft.com/devicelogin");
    assert_int_equal(device.life_s, 900);
    assert_int_equal(device.wait_s, 7);
    oauth_device_deinit(&device);
    /* No interval: five seconds. Numbers as strings, and absurd ones. */
    assert_true(oauth_device_answer(200,
                                    SLICE("{\"device_code\":\"D\",\"user_code\":\"A\","
                                          "\"verification_url\":\"https://g.co\",\"expires_in\":"
                                          "\"99999999\"}"),
                                    0, &device, &err));
    assert_int_equal(device.life_s, 3600);
    assert_int_equal(device.wait_s, 5);
    oauth_device_deinit(&device);
}

static void what_is_no_code_is_refused(void **state)
{
    static const char *const bodies[] = {
        "",
        "[]",
        "{}",
        "{\"device_code\":\"D\",\"user_code\":\"A\"}",
        "{\"device_code\":\"D\",\"user_code\":\"A\",\"verification_uri\":\"http://clear.example\"}",
    };
    struct oauth_device device;
    struct err err;

    for (unsigned i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        assert_false(oauth_device_answer(200, slice_cstr(bodies[i]), 0, &device, &err));
        assert_int_equal(err.class, ERR_CLASS_PERMANENT);
        assert_int_equal(err.origin, ERR_ORIGIN_TOKEN);
        assert_null(device.code);
    }
    assert_false(oauth_device_answer(503, SLICE("busy"), 0, &device, &err));
    assert_int_equal(err.class, ERR_CLASS_TRANSIENT);
    assert_false(
        oauth_device_answer(400,
                            SLICE("{\"error\":\"unauthorized_client\",\"error_codes\":[700016],\"correlation_id\":"
                                  "\"c-1\"}"),
                            0, &device, &err));
    assert_int_equal(err.code, 700016);
    assert_non_null(strstr(err.server_text, "c-1"));
}

static void polls_wait_as_the_server_asks(void **state)
{
    static const struct {
        const char *what;
        int status;
        const char *body;
        uint32_t retry_after_s;
        enum oauth_poll poll;
        uint32_t wait_s; /* afterwards; 5 before */
        const char *words;
    } rows[] = {
        { "pending", 400, "{\"error\":\"authorization_pending\"}", 0, OAUTH_POLL_AGAIN, 5, NULL },
        { "slow down adds five", 400, "{\"error\":\"slow_down\"}", 0, OAUTH_POLL_AGAIN, 10, NULL },
        { "server trouble doubles", 503, "no JSON", 0, OAUTH_POLL_AGAIN, 10, NULL },
        { "a hint is kept", 429, "{}", 42, OAUTH_POLL_AGAIN, 42, NULL },
        { "declined", 400, "{\"error\":\"access_denied\"}", 0, OAUTH_POLL_REFUSED, 5, "declined" },
        { "declined, Microsoft", 400, "{\"error\":\"authorization_declined\",\"error_codes\":[70000]}", 0,
          OAUTH_POLL_REFUSED, 5, "declined" },
        { "run out", 400, "{\"error\":\"expired_token\"}", 0, OAUTH_POLL_REFUSED, 5, "nobody typed the code" },
        { "unknown code", 400, "{\"error\":\"bad_verification_code\"}", 0, OAUTH_POLL_REFUSED, 5,
          "does not know the code" },
        { "anything else", 400, "{\"error\":\"invalid_client\",\"error_codes\":[7000218]}", 0, OAUTH_POLL_REFUSED, 5,
          "AADSTS7000218" },
        { "given", 200, "{\"access_token\":\"A\",\"refresh_token\":\"R\",\"expires_in\":3599}", 0, OAUTH_POLL_DONE, 5,
          NULL },
    };

    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct oauth_device device = { .wait_s = 5 };
        struct oauth_token token;
        struct err err;

        assert_int_equal(
            oauth_device_poll(rows[i].status, slice_cstr(rows[i].body), rows[i].retry_after_s, &device, &token, &err),
            rows[i].poll);
        assert_int_equal(device.wait_s, rows[i].wait_s);
        if (rows[i].words) {
            assert_non_null(strstr(err.server_text, rows[i].words));
            assert_int_equal(err.class, ERR_CLASS_PERMANENT);
        }
        if (rows[i].poll == OAUTH_POLL_DONE) {
            assert_true(slice_equal(secret_peek(token.access), SLICE("A")));
            assert_true(slice_equal(secret_peek(token.refresh), SLICE("R")));
        }
        oauth_token_deinit(&token);
    }
}

static void waits_are_bounded(void **state)
{
    struct oauth_device device = { .wait_s = 5 };

    for (int i = 0; i < 20; i++)
        oauth_device_unanswered(&device);
    assert_int_equal(device.wait_s, 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_are_encoded),          cmocka_unit_test(a_code_is_read),
        cmocka_unit_test(what_is_no_code_is_refused), cmocka_unit_test(polls_wait_as_the_server_asks),
        cmocka_unit_test(waits_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
