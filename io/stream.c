#include "io/stream_private.h"

#include "io/base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_DEFAULT_MS 30000

void stream_wake(struct stream *s)
{
    if (!s->finished)
        loop_task_queue(s->loop, &s->task);
}

static void finish(struct stream *s)
{
    bool failed = s->failed && !s->closing;

    stream_facts(s, &s->last);
    /* close_notify, or the alert that tells the server why, when nothing was cut off before it. */
    if (s->conn && s->tls && !s->pending_size && !s->packed_size && !s->send_error) {
        if (!s->failed)
            tls_session_shutdown(s->tls);
        conn_flush_now(s->conn);
        /* That may have taken along what was still held; the alert itself does not count. */
        s->last.unsent &= stream_withheld(s);
    }
    s->finished = true;
    s->closing = true;
    loop_task_cancel(s->loop, &s->task);
    loop_timer_clear(s->loop, &s->deadline);
    if (s->resolve)
        resolve_cancel(s->resolve);
    dial_cancel(&s->dial);
    stream_bytes_drop(s);
    conn_close(&s->conn);
    proxy_destroy(&s->proxy);
    s->events->closed(s->context, failed ? &s->err : NULL);
    tls_session_destroy(&s->tls);
    compression_destroy(&s->compression);
    wire_destroy(&s->wire);
    free(s->near);
    free(s->host);
    free(s);
}

void stream_fail(struct stream *s, const struct err *err)
{
    if (stream_over(s))
        return;
    s->failed = true;
    s->err = *err;
    if (!s->err.doing[0])
        err_doing(&s->err, "%s", s->server);
    stream_wake(s);
}

static const char *const phase_names[] = {
    [STREAM_RESOLVING] = "looking up",
    [STREAM_DIALLING] = "connecting to",
    [STREAM_ASKING_PROXY] = "asking the proxy for",
    [STREAM_HANDSHAKE] = "TLS handshake with",
    [STREAM_OPEN] = "talking to",
};

static void deadline_passed(void *context)
{
    struct stream *s = context;
    struct err err;

    err_set(&err, ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, ERR_ORIGIN_OS, ETIMEDOUT, "no answer within %u ms",
            s->timeout_ms);
    err_doing(&err, "%s %s", phase_names[s->state], s->state <= STREAM_DIALLING ? s->near : s->server);
    stream_fail(s, &err);
}

static void opened(struct stream *s)
{
    s->state = STREAM_OPEN;
    loop_timer_clear(s->loop, &s->deadline);
    s->events->opened(s->context);
}

static uint32_t phase_us(const struct stream *s)
{
    uint64_t us = now_ns() / 1000 - s->phase_since_us;

    return us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

void stream_handshake_stands(struct stream *s)
{
    s->tls_us = phase_us(s);
    s->by_line = s->by_line_asked;
    opened(s);
}

static size_t tls_out(void *context, struct slice bytes)
{
    struct stream *s = context;

    return conn_put(s->conn, bytes);
}

static void handshake_begin(struct stream *s)
{
    s->state = STREAM_HANDSHAKE;
    s->phase_since_us = now_ns() / 1000;
    s->start_tls = false;
    s->tls = tls_session_create(s->role, s->host, s->server, &s->loop->tickets, tls_out, s);
    s->input_more = true; /* the client speaks first */
}

static void way_stands(struct stream *s)
{
    if (s->security == STREAM_TLS)
        handshake_begin(s);
    else
        opened(s);
}

/* ---- the proxy ---- */

/* It is spoken to before anything else, so there is room. */
static void proxy_say(struct stream *s)
{
    size_t put = conn_put(s->conn, proxy_output(s->proxy));

    assert(put == proxy_output(s->proxy).size);
    (void)put;
    proxy_output_taken(s->proxy);
    conn_flush(s->conn);
}

static void proxy_begin(struct stream *s)
{
    s->state = STREAM_ASKING_PROXY;
    s->phase_since_us = now_ns() / 1000;
    s->proxy = proxy_create(s->way, s->host, s->port);
    proxy_say(s);
    conn_receive(s->conn);
}

static void proxy_ended(struct stream *s, int error)
{
    struct err err;

    if (error)
        err_set_os(&err, ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, error, "");
    else
        err_set(&err, ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, ERR_ORIGIN_OS, ECONNRESET,
                "the proxy ends the connection without an answer");
    err_doing(&err, "asking the proxy %.30s for %.40s", s->near, s->server);
    stream_fail(s, &err);
}

/* What stands behind its answer is the server's. */
static void proxy_answered(struct stream *s, struct slice bytes)
{
    struct err err;

    switch (proxy_feed(s->proxy, &bytes, &err)) {
    case PROXY_GOES_ON:
        if (proxy_output(s->proxy).size)
            proxy_say(s);
        conn_receive(s->conn);
        return;
    case PROXY_REFUSED:
        stream_fail(s, &err);
        return;
    case PROXY_STANDS:
        break;
    }
    proxy_destroy(&s->proxy);
    s->proxied = true;
    s->proxy_us = phase_us(s);
    way_stands(s);
    if (bytes.size && !stream_over(s))
        stream_input_bytes(s, bytes);
}

/* Everything that may be possible now, then the end if it has come. */
static void advance(void *context)
{
    struct stream *s = context;

    s->turn_bytes = 0;
    if (s->proxy && !stream_over(s))
        return;
    if (s->conn && s->start_tls && !stream_over(s)) {
        if (stream_input_held(s))
            stream_fail_injected(s);
        else
            handshake_begin(s);
    }
    if (s->conn && !stream_over(s))
        stream_input(s);
    if (s->conn && !stream_over(s))
        stream_output(s);
    if (stream_over(s))
        finish(s);
}

static void conn_connected(void *context, int error)
{
    /* The dial saw it; a connection is handed over after this event. */
}

static void conn_received(void *context, struct slice bytes, int error)
{
    struct stream *s = context;

    s->bytes_in += bytes.size;
    s->turn_bytes = 0;
    if (s->proxy && !stream_over(s)) {
        if (bytes.size)
            proxy_answered(s, bytes);
        else
            proxy_ended(s, error);
    } else if (bytes.size == 0) {
        s->ended = true;
        s->end_error = error;
    } else if (!stream_over(s)) {
        if (s->start_tls)
            stream_fail_injected(s);
        else
            stream_input_bytes(s, bytes);
    }
    advance(s);
}

static void conn_sent(void *context, int error)
{
    struct stream *s = context;

    /* Not the end yet: the server may have said why it hung up, and that is read first. */
    if (error)
        s->send_error = error;
    advance(s);
}

static const struct conn_events conn_events = { conn_connected, conn_received, conn_sent };

static void dial_connected(void *context, struct conn *conn, const union resolve_address *address)
{
    struct stream *s = context;

    s->dial = NULL;
    s->conn = conn;
    conn_hand_over(conn, &conn_events, s);
    if (s->drops_unsent)
        conn_drop_at_close(conn, true);
    if (s->unacknowledged_ms)
        conn_unacknowledged_limit(conn, s->unacknowledged_ms);
    resolve_address_text(address, s->address, sizeof s->address);
    s->tcp_us = phase_us(s);
    if (s->way)
        proxy_begin(s);
    else
        way_stands(s);
    advance(s);
}

static void dial_failed(void *context, const struct err *err)
{
    struct stream *s = context;

    s->dial = NULL;
    stream_fail(s, err);
}

static const struct dial_events dial_events = { dial_connected, dial_failed };

static void answered(void *context, const struct resolve_list *list, const struct err *err)
{
    struct stream *s = context;

    s->resolve = NULL;
    s->dns_us = phase_us(s);
    if (!list) {
        stream_fail(s, err);
        return;
    }
    s->state = STREAM_DIALLING;
    s->phase_since_us = now_ns() / 1000;
    s->dial = dial_begin(s->loop, list, &dial_events, s);
}

struct stream *stream_open(struct loop *loop, const struct stream_target *target, const struct stream_events *events,
                           void *context)
{
    struct stream *s = mem_zero(1, sizeof *s);
    struct resolve_list list;
    struct err err;

    s->loop = loop;
    s->events = events;
    s->context = context;
    s->host = mem_text(target->host);
    snprintf(s->server, sizeof s->server, "%.255s:%u", target->host, target->port);
    s->way = target->proxy && target->proxy->kind != PROXY_NONE ? target->proxy : NULL;
    s->port = target->port;
    s->near = s->way ? mem_format("the proxy %.200s:%u", s->way->host, s->way->port) : mem_text(s->server);
    s->security = target->security;
    s->drops_unsent = target->drops_unsent;
    s->unacknowledged_ms = target->unacknowledged_ms;
    s->role = target->tls;
    s->timeout_ms = target->connect_timeout_ms ? target->connect_timeout_ms : TIMEOUT_DEFAULT_MS;
    s->want_read = true;
    s->by_line = target->security == STREAM_STARTTLS;
    s->task.run = advance;
    s->task.context = s;
    s->wire = wire_create(s->server);
    s->phase_since_us = now_ns() / 1000;
    loop_timer_set(loop, &s->deadline, s->timeout_ms, deadline_passed, s);
    if (strlen(target->host) > 253) {
        err_set(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_DNS, 0,
                "a host name has at most 253 characters");
        stream_fail(s, &err);
    } else if (resolve_numeric(s->way ? s->way->host : s->host, s->way ? s->way->port : s->port, &list)) {
        answered(s, &list, NULL);
    } else {
        s->resolve = resolve_begin(loop, s->way ? s->way->host : s->host, s->way ? s->way->port : s->port, answered, s);
    }
    return s;
}

void stream_close(struct stream *s)
{
    s->closing = true;
    stream_wake(s);
}

void stream_keep_unsent(struct stream *s)
{
    if (s->conn && s->drops_unsent)
        conn_drop_at_close(s->conn, false);
    s->drops_unsent = false;
}

void stream_want_read(struct stream *s, bool on)
{
    s->want_read = on;
    if (on)
        stream_wake(s);
}

void stream_by_line(struct stream *s, bool on)
{
    s->by_line_asked = on;
    s->by_line = on || (s->security == STREAM_STARTTLS && !s->tls);
}

void stream_start_tls(struct stream *s)
{
    assert(s->security == STREAM_STARTTLS && s->role && !s->tls);
    s->start_tls = true;
    loop_timer_set(s->loop, &s->deadline, s->timeout_ms, deadline_passed, s);
    stream_wake(s);
}

void stream_start_deflate(struct stream *s)
{
    assert(!s->compression);
    s->compression = compression_create();
}

void stream_facts(const struct stream *s, struct stream_facts *facts_r)
{
    SSL *ssl = s->tls ? tls_session_ssl(s->tls) : NULL;
    bool stands = ssl && SSL_is_init_finished(ssl);

    if (s->finished) {
        *facts_r = s->last;
        return;
    }
    *facts_r = (struct stream_facts){
        .address = s->address,
        .tls_version = stands ? SSL_get_version(ssl) : "",
        .tls_cipher = stands ? SSL_get_cipher_name(ssl) : "",
        .dns_ms = s->dns_us / 1000,
        .dns_us = s->dns_us,
        .tcp_ms = s->tcp_us / 1000,
        .tcp_us = s->tcp_us,
        .proxy_ms = s->proxy_us / 1000,
        .proxied = s->proxied,
        .tls_ms = s->tls_us / 1000,
        .tls_us = s->tls_us,
        .resumed = stands && SSL_session_reused(ssl),
        .unsent = stream_withheld(s),
        .bytes_in = s->bytes_in,
        .bytes_out = s->conn ? conn_sent_bytes(s->conn) : 0,
    };
}

void stream_sending(const struct stream *s, uint64_t *unsent_bytes_r, uint64_t *acknowledged_bytes_r)
{
    *unsent_bytes_r = *acknowledged_bytes_r = 0;
    if (s->conn && !s->finished)
        conn_sending(s->conn, unsent_bytes_r, acknowledged_bytes_r);
}

struct ssl_st *stream_ssl(struct stream *s)
{
    return s->tls ? tls_session_ssl(s->tls) : NULL;
}
