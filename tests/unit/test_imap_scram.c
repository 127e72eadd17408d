/* test: imap */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/imap/auth.h"
#include "io/base/mem.h"

#include <gsasl.h>
#include <stdlib.h>
#include <string.h>

static int served(Gsasl *gsasl, Gsasl_session *session, Gsasl_property property)
{
    (void)gsasl;
    switch (property) {
    case GSASL_SCRAM_ITER:
        return gsasl_property_set(session, property, "4096");
    case GSASL_SCRAM_SALT:
        return gsasl_property_set(session, property, "QSXCR+Q6sek8bf92");
    case GSASL_PASSWORD:
        return gsasl_property_set(session, property, "pencil");
    default:
        return GSASL_NO_CALLBACK;
    }
}

struct client {
    struct secret *password;
    struct auth_config config;
    struct auth *auth;
    struct buf out;
};

static void client_begin(struct client *c, enum auth_way way, const char *password)
{
    struct err err;

    *c = (struct client){ .password = secret_create(slice_cstr(password)) };
    c->config = (struct auth_config){ .user = "anna", .password = c->password, .host = "localhost" };
    buf_init(&c->out, 65536);
    assert_true(auth_create(&c->config, way, NULL, &c->auth, &err));
}

static void client_end(struct client *c)
{
    auth_destroy(&c->auth);
    secret_destroy(&c->password);
    buf_deinit(&c->out);
}

/* The client's answer, base64, NUL-terminated; freed by the caller. */
static char *answered(struct client *c, const char *challenge)
{
    struct err err;

    buf_clear(&c->out);
    assert_true(auth_step(c->auth, slice_cstr(challenge), &c->out, &err));
    return slice_dup(buf_slice(&c->out));
}

/* Speaks with libgsasl's server; its code at the end. */
static int spoken(enum auth_way way, const char *mechanism, const char *password)
{
    Gsasl *gsasl;
    Gsasl_session *server;
    struct client c;
    struct err err;
    char *said = NULL, *asked = NULL;
    int rc;

    assert_int_equal(gsasl_init(&gsasl), GSASL_OK);
    gsasl_callback_set(gsasl, served);
    assert_int_equal(gsasl_server_start(gsasl, mechanism, &server), GSASL_OK);
    client_begin(&c, way, password);
    said = answered(&c, "");
    assert_false(auth_spent(c.auth));
    while ((rc = gsasl_step64(server, said, &asked)) == GSASL_NEEDS_MORE) {
        free(said);
        said = answered(&c, asked);
        gsasl_free(asked);
    }
    if (rc == GSASL_OK) {
        free(said);
        said = answered(&c, asked);
        gsasl_free(asked);
        assert_true(auth_finish(c.auth, &err));
    }
    assert_true(auth_spent(c.auth));
    free(said);
    client_end(&c);
    gsasl_finish(server);
    gsasl_done(gsasl);
    return rc;
}

static void the_server_agrees_with_the_salted_password(void **state)
{
    (void)state;
    assert_int_equal(spoken(AUTH_WAY_SCRAM_SHA_1, "SCRAM-SHA-1", "pencil"), GSASL_OK);
    assert_int_equal(spoken(AUTH_WAY_SCRAM_SHA_256, "SCRAM-SHA-256", "pencil"), GSASL_OK);
    /* SASLprep maps a soft hyphen to nothing. */
    assert_int_equal(spoken(AUTH_WAY_SCRAM_SHA_256, "SCRAM-SHA-256", "pen\u00adcil"), GSASL_OK);
}

static void another_password_is_refused(void **state)
{
    (void)state;
    assert_int_equal(spoken(AUTH_WAY_SCRAM_SHA_1, "SCRAM-SHA-1", "pencils"),
                     GSASL_AUTHENTICATION_ERROR);
    assert_int_equal(spoken(AUTH_WAY_SCRAM_SHA_256, "SCRAM-SHA-256", "pencils"),
                     GSASL_AUTHENTICATION_ERROR);
}

/* The answer to the client's first words, with so many rounds. */
static char *challenge(const char *said, const char *rounds)
{
    char *first, *nonce, *bytes, *asked;
    size_t size;

    assert_int_equal(gsasl_base64_from(said, strlen(said), &first, &size), GSASL_OK);
    bytes = mem_alloc(size + 1);
    memcpy(bytes, first, size);
    bytes[size] = '\0';
    gsasl_free(first);
    nonce = strstr(bytes, "r=");
    assert_non_null(nonce);
    first = mem_format("%sserver,s=QSXCR+Q6sek8bf92,i=%s", nonce, rounds);
    assert_int_equal(gsasl_base64_to(first, strlen(first), &asked, &size), GSASL_OK);
    free(first);
    free(bytes);
    return asked;
}

static void no_server_keeps_the_loop_busy(void **state)
{
    static const char *const rounds[] = { "1000001", "2147483647", "99999999999999999999", "1", "4095" };

    (void)state;
    for (unsigned i = 0; i < sizeof rounds / sizeof *rounds; i++) {
        struct client c;
        struct err err;
        char *said, *asked;

        client_begin(&c, AUTH_WAY_SCRAM_SHA_256, "pencil");
        said = answered(&c, "");
        asked = challenge(said, rounds[i]);
        buf_clear(&c.out);
        assert_false(auth_step(c.auth, slice_cstr(asked), &c.out, &err));
        assert_int_equal(err.class, ERR_CLASS_PERMANENT);
        assert_false(auth_spent(c.auth));
        gsasl_free(asked);
        free(said);
        client_end(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_server_agrees_with_the_salted_password),
        cmocka_unit_test(another_password_is_refused),
        cmocka_unit_test(no_server_keeps_the_loop_busy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
