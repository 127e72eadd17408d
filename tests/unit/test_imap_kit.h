/* A session in memory that is logged in, for unit tests. Include after cmocka.h; every function is static. */
#ifndef TESTS_UNIT_TEST_IMAP_KIT_H
#define TESTS_UNIT_TEST_IMAP_KIT_H

#include "engine/imap/session.h"
#include "io/base/buf.h"

#include <stdlib.h>

#pragma GCC diagnostic ignored "-Wunused-function"

struct one {
    struct session *session;
    unsigned ended, failed;
    struct err err;
    struct quota_part *memory;
};

static void nothing(void *context)
{
}

static void failed(void *context, const struct err *err)
{
    ((struct one *)context)->failed++;
}

static void ended(void *context, const struct err *err)
{
    struct one *one = context;

    one->ended++;
    if (err)
        one->err = *err;
}

static const struct session_events events = {
    .ready = nothing, .start_tls = nothing, .start_deflate = nothing, .output_ready = nothing, .failed = failed
};

static void feed(struct one *one, const char *text)
{
    session_feed(one->session, slice_cstr(text));
}

/* All that goes out now; malloc'ed. */
static char *said(struct one *one, size_t *size_r)
{
    struct buf all;
    char *text;

    buf_init(&all, 1u << 22);
    for (;;) {
        struct slice out = session_output(one->session);

        if (out.size == 0)
            break;
        assert_true(buf_append(&all, out));
        session_output_taken(one->session, out.size);
    }
    *size_r = all.size;
    text = slice_dup(buf_slice(&all));
    buf_deinit(&all);
    return text;
}

static void begin_within(struct one *one, struct quota_part *memory)
{
    struct session_config config = {
        .tls = true, .auth.user = "anna", .auth.mechanism = AUTH_EXTERNAL, .memory = memory
    };
    size_t size;

    *one = (struct one){ .memory = memory };
    one->session = session_create(&config, &events, one);
    feed(one, "* PREAUTH hello\r\n");
    free(said(one, &size));
    feed(one, "* CAPABILITY IMAP4rev1 UIDPLUS MOVE LITERAL+ LIST-EXTENDED QUOTA\r\na1 OK\r\n");
    free(said(one, &size));
}

static void begin(struct one *one)
{
    begin_within(one, NULL);
}

#endif
