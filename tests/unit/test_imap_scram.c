/* test: imap */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/imap/auth.h"
#include "engine/imap/scram.h"
#include "engine/imap/session.h"
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
    struct caps caps;
    struct auth *auth;
    struct buf out;
};

static void client_begin(struct client *c, enum auth_way way, const char *password)
{
    struct err err;

    *c = (struct client){ .password = secret_create(slice_cstr(password)) };
    c->config = (struct auth_config){ .user = "anna", .password = c->password, .host = "localhost" };
    buf_init(&c->out, 65536);
    caps_clear(&c->caps);
    assert_true(auth_create(&c->config, way, &c->caps, NULL, &c->auth, &err));
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
    assert_int_equal(spoken(AUTH_WAY_SCRAM_SHA_1, "SCRAM-SHA-1", "pencils"), GSASL_AUTHENTICATION_ERROR);
    assert_int_equal(spoken(AUTH_WAY_SCRAM_SHA_256, "SCRAM-SHA-256", "pencils"), GSASL_AUTHENTICATION_ERROR);
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

/* ---- in a session: the hashing is handed out ---- */

struct hashed {
    struct session *session;
    struct scram_work *work;
    unsigned works, failed;
    struct err err;
};

static void nothing(void *context)
{
}

static void failed(void *context, const struct err *err)
{
    struct hashed *h = context;

    h->failed++;
    h->err = *err;
}

static void compute(void *context, struct scram_work *work)
{
    struct hashed *h = context;

    h->works++;
    h->work = work;
}

static const struct session_events events = { .ready = nothing,
                                              .start_tls = nothing,
                                              .start_deflate = nothing,
                                              .output_ready = nothing,
                                              .failed = failed,
                                              .compute = compute };

/* What the session says now, NUL-terminated; freed by the caller. */
static char *said(struct hashed *h)
{
    struct slice out = session_output(h->session);
    char *text = slice_dup(out);

    session_output_taken(h->session, out.size);
    return text;
}

static void feed(struct hashed *h, const char *text)
{
    session_feed(h->session, slice_cstr(text));
}

/* Up to the server's first message, which asks for so many rounds. */
static void asked(struct hashed *h, struct secret *password, const char *rounds)
{
    struct session_config config = {
        .tls = true,
        .auth = { .user = "anna", .password = password, .mechanism = AUTH_SCRAM_SHA_256, .host = "localhost" }
    };
    char *first, *question, *line;

    *h = (struct hashed){ 0 };
    h->session = session_create(&config, &events, h);
    feed(h, "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=SCRAM-SHA-256] hi\r\n");
    first = said(h);
    assert_non_null(strstr(first, "SCRAM-SHA-256 "));
    first[strcspn(first, "\r")] = '\0';
    question = challenge(strrchr(first, ' ') + 1, rounds);
    line = mem_format("+ %s\r\n", question);
    feed(h, line);
    free(line);
    gsasl_free(question);
    free(first);
}

static void hashing_is_not_done_on_the_loop(void **state)
{
    struct secret *password = secret_create(SLICE("pencil"));
    struct hashed h;
    char *text;

    (void)state;
    asked(&h, password, "1000000");
    assert_int_equal(h.works, 1);
    assert_int_equal(scram_work_rounds(h.work), 1000000);
    /* Nobody waits for the server meanwhile, and what it says now answers nothing. */
    assert_int_equal(session_patience_ms(h.session), 0);
    feed(&h, "+ again\r\n* OK still here\r\n");
    assert_int_equal(h.works, 1);
    text = said(&h);
    assert_string_equal(text, "");
    free(text);
    scram_work_run(h.work);
    session_computed(h.session, h.work);
    assert_true(session_patience_ms(h.session) > 0);
    text = said(&h);
    assert_true(strlen(text) > 40);
    free(text);
    feed(&h, "a1 NO [AUTHENTICATIONFAILED] no\r\n");
    assert_int_equal(h.failed, 1);
    session_destroy(&h.session);
    secret_destroy(&password);
}

static void a_session_may_end_while_it_is_hashed_for(void **state)
{
    static const char *const ends[] = { "a1 NO no\r\n", "a1 OK in\r\n", "* BYE\r\n", "a9 OK\r\n" };
    struct secret *password = secret_create(SLICE("pencil"));

    (void)state;
    for (unsigned i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct hashed h;

        asked(&h, password, "4096");
        feed(&h, ends[i]);
        assert_int_equal(h.failed, 1);
        scram_work_run(h.work);
        session_computed(h.session, h.work); /* frees it, and says nothing */
        assert_int_equal(h.failed, 1);
        session_destroy(&h.session);
    }
    secret_destroy(&password);
}

static void a_server_that_can_bind_after_all_is_told_by_name(void **state)
{
    struct client c;
    struct err err;
    char *first, *question;
    size_t size;

    (void)state;
    client_begin(&c, AUTH_WAY_SCRAM_SHA_256, "pencil");
    first = answered(&c, "");
    assert_int_equal(gsasl_base64_to("e=server-does-support-channel-binding", 37, &question, &size), GSASL_OK);
    assert_false(auth_step(c.auth, slice_cstr(question), &c.out, &err));
    assert_int_equal(err.origin, ERR_ORIGIN_TLS);
    assert_true(auth_spent(c.auth)); /* so no other way is tried */
    gsasl_free(question);
    free(first);
    client_end(&c);
}

static void names_and_nonces_are_escaped_and_compared(void **state)
{
    struct client c;
    struct err err;
    char *first, *question, *bytes;
    size_t size;

    (void)state;
    client_begin(&c, AUTH_WAY_SCRAM_SHA_1, "pencil");
    auth_destroy(&c.auth);
    c.config.user = "a,n=a";
    assert_true(auth_create(&c.config, AUTH_WAY_SCRAM_SHA_1, &c.caps, NULL, &c.auth, &err));
    first = answered(&c, "");
    assert_int_equal(gsasl_base64_from(first, strlen(first), &bytes, &size), GSASL_OK);
    assert_memory_equal(bytes, "n,,n=a=2Cn=3Da,r=", 17);
    gsasl_free(bytes);
    /* Somebody else's nonce. */
    assert_int_equal(gsasl_base64_to("r=another,s=QSXCR+Q6sek8bf92,i=4096", 35, &question, &size), GSASL_OK);
    assert_false(auth_step(c.auth, slice_cstr(question), &c.out, &err));
    assert_false(auth_spent(c.auth));
    gsasl_free(question);
    free(first);
    client_end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_server_agrees_with_the_salted_password),
        cmocka_unit_test(another_password_is_refused),
        cmocka_unit_test(no_server_keeps_the_loop_busy),
        cmocka_unit_test(hashing_is_not_done_on_the_loop),
        cmocka_unit_test(a_session_may_end_while_it_is_hashed_for),
        cmocka_unit_test(a_server_that_can_bind_after_all_is_told_by_name),
        cmocka_unit_test(names_and_nonces_are_escaped_and_compared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
