#include "io/stream_private.h"

#include "io/base/mem.h"
#include "io/base/secret.h"

#include <errno.h>
#include <stdlib.h>

/* One stream that inflates a thousandfold must not keep the others of its loop waiting. */
#define TURN_BYTES_MAX ((size_t)1 << 20)

static void aside_put(struct aside *a, struct slice bytes)
{
    assert(!a->data);
    if (bytes.size == 0)
        return;
    a->data = mem_alloc(bytes.size);
    memcpy(a->data, bytes.data, bytes.size);
    a->at = 0;
    a->size = bytes.size;
}

static void aside_drop(struct aside *a)
{
    free(a->data);
    *a = (struct aside){ 0 };
}

void stream_fail_injected(struct stream *s)
{
    struct err err;

    err_set(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_SESSION, ERR_ORIGIN_PROTOCOL, 0,
            "bytes in clear follow the answer to STARTTLS; somebody between here and the server "
            "may have put them there");
    stream_fail(s, &err);
}

static bool may_deliver(const struct stream *s)
{
    return !stream_over(s) && s->want_read && !s->start_tls && s->state == STREAM_OPEN &&
           s->turn_bytes < TURN_BYTES_MAX;
}

static void hand(struct stream *s, struct slice bytes)
{
    s->turn_bytes += bytes.size;
    wire_received(s->wire, bytes);
    s->events->received(s->context, bytes);
}

static void inflate_some(struct stream *s, struct slice *bytes)
{
    char *out = loop_scratch(&s->loop->inflated);
    size_t size = 0;
    struct err err;
    bool ok = compression_inflate(s->compression, bytes, out, LOOP_SCRATCH_BYTES, &size, &err);

    s->inflate_more = ok && size == LOOP_SCRATCH_BYTES;
    if (size)
        hand(s, slice_of(out, size));
    if (!ok)
        stream_fail(s, &err);
}

/* Delivers as far as the user takes it; returns the rest. */
static struct slice deliver(struct stream *s, struct slice bytes)
{
    while ((bytes.size || s->inflate_more) && may_deliver(s)) {
        if (s->compression) {
            inflate_some(s, &bytes);
        } else {
            size_t line = s->by_line ? slice_find(bytes, '\n') : SIZE_MAX;
            struct slice part = slice_first(bytes, line == SIZE_MAX ? line : line + 1);

            bytes = slice_from(bytes, part.size);
            hand(s, part);
        }
    }
    if (s->start_tls && bytes.size)
        stream_fail_injected(s);
    return bytes;
}

/* Whole records while there is room for one of full size, so that nothing decrypted stays inside.
 */
static enum tls_step decrypt(struct stream *s, char *out, size_t *total_r, struct err *err_r)
{
    enum tls_step step = TLS_STEP_DONE;

    *total_r = 0;
    while (step == TLS_STEP_DONE && LOOP_SCRATCH_BYTES - *total_r >= TLS_RECORD_BYTES) {
        size_t size = 0;

        step = tls_session_read(s->tls, out + *total_r, LOOP_SCRATCH_BYTES - *total_r, &size, err_r);
        if (step == TLS_STEP_DONE)
            *total_r += size;
    }
    return step;
}

static void tls_input(struct stream *s, struct slice ciphertext)
{
    char *plain = loop_scratch(&s->loop->plain);
    enum tls_step step = TLS_STEP_DONE;
    struct slice left;
    size_t size;
    struct err err;

    tls_session_feed(s->tls, ciphertext);
    s->input_more = true;
    while (!stream_over(s) && step == TLS_STEP_DONE && !s->squeezed.data) {
        if (s->state == STREAM_HANDSHAKE) {
            step = tls_session_handshake(s->tls, &err);
            if (step == TLS_STEP_DONE)
                stream_handshake_stands(s);
        } else {
            if (!may_deliver(s))
                break;
            step = decrypt(s, plain, &size, &err);
            if (size)
                aside_put(&s->squeezed, deliver(s, slice_of(plain, size)));
        }
    }
    left = tls_session_left(s->tls);
    if (step == TLS_STEP_FAIL) {
        stream_fail(s, &err);
    } else if (step == TLS_STEP_END) {
        s->tls_ended = true;
    } else if (step == TLS_STEP_AGAIN) {
        /* Ciphertext left over means that OpenSSL wanted room for an answer of its own. */
        s->input_more = left.size > 0;
    }
    if (step == TLS_STEP_FAIL || step == TLS_STEP_END)
        s->input_more = false;
    else if (!stream_over(s))
        aside_put(&s->cipher, left);
    tls_session_feed_end(s->tls);
}

void stream_input_bytes(struct stream *s, struct slice bytes)
{
    if (s->tls_ended)
        return; /* nothing that follows close_notify counts */
    if (s->tls)
        tls_input(s, bytes);
    else
        aside_put(&s->squeezed, deliver(s, bytes));
}

bool stream_input_held(const struct stream *s)
{
    return s->squeezed.data || s->cipher.data;
}

static void end_told(struct stream *s)
{
    struct err err;
    int error = s->send_error ? s->send_error : s->end_error;

    if (error)
        err_set_os(&err, ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, error, "");
    else if (s->state == STREAM_HANDSHAKE)
        err_set(&err, ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, ERR_ORIGIN_TLS, 0,
                "the server closed the connection during the TLS handshake");
    else if (s->tls && !s->tls_ended)
        /* A connection that is lost, as one without TLS: nothing is wrong with a certificate. */
        err_set(&err, ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, ERR_ORIGIN_OS, 0,
                "the connection ended without TLS close_notify, so its last bytes may be missing");
    else
        err_set(&err, ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, ERR_ORIGIN_OS, 0, "the server closed the connection");
    stream_fail(s, &err);
}

void stream_input(struct stream *s)
{
    if (s->squeezed.data || s->inflate_more) {
        struct aside a = s->squeezed;

        s->squeezed = (struct aside){ 0 };
        aside_put(&s->squeezed, deliver(s, slice_of(a.data ? a.data + a.at : NULL, a.size - a.at)));
        aside_drop(&a);
    }
    if (!stream_over(s) && !s->squeezed.data && !s->inflate_more && !s->tls_ended &&
        (s->cipher.data || s->input_more) && (s->state == STREAM_HANDSHAKE || may_deliver(s))) {
        struct aside a = s->cipher;

        s->cipher = (struct aside){ 0 };
        tls_input(s, slice_of(a.data, a.size));
        aside_drop(&a);
    }
    if (stream_over(s))
        return;
    if (stream_input_held(s) || s->inflate_more) {
        /* Stopped by the turn's bound, not by the user. */
        if (s->want_read && s->state == STREAM_OPEN && s->turn_bytes >= TURN_BYTES_MAX)
            stream_wake(s);
        return;
    }
    if (s->ended || s->tls_ended) {
        end_told(s);
    } else if (s->send_error && !s->want_read) {
        end_told(s);
    } else if (s->want_read || s->state == STREAM_HANDSHAKE) {
        conn_receive(s->conn);
    }
}

static bool stream_unsent(const struct stream *s)
{
    return stream_withheld(s) || (s->conn && conn_unsent(s->conn));
}

bool stream_withheld(const struct stream *s)
{
    return s->pending_size || s->packed_size || (s->compression && compression_holds(s->compression)) ||
           (s->conn && conn_held(s->conn));
}

/* Encrypts what is pending when there is room for the record. */
static void pending_move(struct stream *s)
{
    size_t taken;
    struct err err;

    if (!s->pending_size || conn_space(s->conn) < s->pending_size + TLS_RECORD_OVERHEAD)
        return;
    taken = tls_session_write(s->tls, slice_of(s->pending, s->pending_size));
    if (taken < s->pending_size) {
        /* There was room, so the session itself is broken. */
        err_set(&err, ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, ERR_ORIGIN_TLS, 0, "the TLS session takes no more bytes");
        stream_fail(s, &err);
        return;
    }
    secret_wipe(s->pending, s->pending_size); /* small pieces, and logins are among them */
    s->pending_size = 0;
}

static size_t pending_put(struct stream *s, struct slice bytes)
{
    struct slice part = slice_first(bytes, TLS_RECORD_BYTES - s->pending_size);

    if (part.size == 0)
        return 0;
    if (!s->pending)
        s->pending = blocks_lend(&s->loop->blocks);
    memcpy(s->pending + s->pending_size, part.data, part.size);
    s->pending_size += part.size;
    return part.size;
}

/* Small pieces gather to one record a turn; large ones are encrypted where they are. */
static size_t lower_write(struct stream *s, struct slice bytes)
{
    size_t total = 0;

    if (!s->tls)
        return conn_put(s->conn, bytes);
    while (total < bytes.size && !stream_over(s)) {
        struct slice rest = slice_from(bytes, total);
        size_t taken = 0;

        if (s->pending_size == TLS_RECORD_BYTES)
            pending_move(s);
        if (!s->pending_size && rest.size >= TLS_RECORD_BYTES &&
            conn_space(s->conn) >= TLS_RECORD_BYTES + TLS_RECORD_OVERHEAD)
            taken = tls_session_write(s->tls, rest);
        if (!taken)
            taken = pending_put(s, rest);
        if (!taken)
            break;
        total += taken;
    }
    return total;
}

static size_t lower_space(const struct stream *s)
{
    size_t room = conn_space(s->conn), one = TLS_RECORD_BYTES + TLS_RECORD_OVERHEAD;
    size_t records = room / one;

    if (!s->tls)
        return room;
    if (s->pending_size) {
        /* What is pending takes the first record's room once it is full. */
        return TLS_RECORD_BYTES - s->pending_size + records * TLS_RECORD_BYTES;
    }
    return (records + 1) * TLS_RECORD_BYTES;
}

/* Moves what is packed down; true when nothing is left of it. */
static bool packed_move(struct stream *s)
{
    if (s->packed_size) {
        size_t taken = lower_write(s, slice_of(s->packed + s->packed_at, s->packed_size));

        s->packed_at += taken;
        s->packed_size -= taken;
    }
    return s->packed_size == 0;
}

static size_t deflate_write(struct stream *s, struct slice bytes)
{
    struct slice rest = bytes;

    while (rest.size && packed_move(s)) {
        if (!s->packed)
            s->packed = blocks_lend(&s->loop->blocks);
        s->packed_at = 0;
        s->packed_size = compression_deflate(s->compression, &rest, s->packed, BLOCK_BYTES);
    }
    return bytes.size - rest.size;
}

static void deflate_flush(struct stream *s)
{
    while (packed_move(s)) {
        if (!s->packed)
            s->packed = blocks_lend(&s->loop->blocks);
        s->packed_at = 0;
        s->packed_size = compression_flush(s->compression, s->packed, BLOCK_BYTES);
        if (!s->packed_size)
            break;
    }
}

static bool may_write(const struct stream *s)
{
    return s->state == STREAM_OPEN && !s->start_tls && !stream_over(s) && !s->send_error;
}

size_t stream_write_space(const struct stream *s)
{
    if (!s->conn || !may_write(s) || (s->compression && s->packed_size))
        return 0;
    return lower_space(s);
}

size_t stream_write(struct stream *s, struct slice bytes)
{
    size_t taken = 0;

    if (s->conn && may_write(s)) {
        taken = s->compression ? deflate_write(s, bytes) : lower_write(s, bytes);
        wire_sent(s->wire, slice_first(bytes, taken));
    }
    s->short_write |= taken < bytes.size;
    s->written |= taken > 0;
    stream_wake(s);
    return taken;
}

static void block_release(struct stream *s, char **block, size_t size)
{
    if (*block && !size) {
        blocks_give_back(&s->loop->blocks, *block);
        *block = NULL;
    }
}

void stream_output(struct stream *s)
{
    if (!s->send_error) {
        if (s->compression && s->state == STREAM_OPEN)
            deflate_flush(s);
        pending_move(s);
        conn_flush(s->conn);
    }
    block_release(s, &s->packed, s->packed_size);
    block_release(s, &s->pending, s->pending_size);
    if (!may_write(s))
        return;
    if ((s->short_write && stream_write_space(s) >= TLS_RECORD_BYTES) || (s->written && !stream_unsent(s))) {
        s->short_write = false;
        if (!stream_unsent(s))
            s->written = false;
        s->events->writable(s->context);
    }
}

void stream_bytes_drop(struct stream *s)
{
    aside_drop(&s->cipher);
    aside_drop(&s->squeezed);
    if (s->pending)
        secret_wipe(s->pending, s->pending_size);
    block_release(s, &s->packed, 0);
    block_release(s, &s->pending, 0);
}
