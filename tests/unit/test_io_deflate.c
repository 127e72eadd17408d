/* test: io */
/* DEFLATE (RFC 4978) by itself and under a stream. */
#include "io/compression.h"
#include "tests/unit/test_io_peer.h"

#include <zlib.h>

static void test_bytes_come_back_in_any_pieces(void **state)
{
    static const size_t out_caps[] = { 7, 100, 65536 };

    for (size_t i = 0; i < 3; i++) {
        struct compression *ours = compression_create(), *theirs = compression_create();
        char text[5000], out[65536], back[65536];
        size_t total = 0;
        struct slice in;
        struct err err;

        for (size_t at = 0; at < sizeof text; at++)
            text[at] = (char)(at % 97 ? 'a' + at * at % 23 : '\n');
        in = slice_of(text, sizeof text);
        for (bool flushing = false;;) {
            size_t size =
                flushing ? compression_flush(ours, out, out_caps[i]) : compression_deflate(ours, &in, out, out_caps[i]);
            struct slice packed = slice_of(out, size);

            if (!size && flushing)
                break;
            flushing = in.size == 0;
            while (packed.size) {
                size_t got;

                assert_true(compression_inflate(theirs, &packed, back + total, sizeof back - total, &got, &err));
                total += got;
            }
        }
        assert_int_equal(total, sizeof text);
        assert_memory_equal(back, text, sizeof text);
        compression_destroy(&ours);
        compression_destroy(&theirs);
    }
}

static void test_rubbish_is_an_error(void **state)
{
    struct compression *s = compression_create();
    struct slice in = SLICE("\xff\xff\xff\xff these are no blocks");
    char out[100];
    size_t size;
    struct err err;

    assert_false(compression_inflate(s, &in, out, sizeof out, &size, &err));
    assert_int_equal(err.class, ERR_CLASS_PERMANENT);
    assert_int_equal(err.origin, ERR_ORIGIN_PROTOCOL);
    compression_destroy(&s);
}

/* Zeros shrink a thousandfold: far beyond the largest mail, somebody means harm. */
static void test_a_bomb_is_refused_but_a_large_mail_is_not(void **state)
{
    struct compression *s = compression_create();
    static char zeros[65536], packed[4096], out[65536];
    z_stream z = { 0 };
    size_t total = 0;
    bool ok = true;
    struct err err;

    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (unsigned char *)zeros;
    z.avail_in = sizeof zeros;
    z.next_out = (unsigned char *)packed;
    z.avail_out = sizeof packed;
    /* A full flush makes the piece independent, so one piece serves again and again. */
    deflate(&z, Z_FULL_FLUSH);
    while (ok && total < (size_t)1 << 30) {
        struct slice in = slice_of(packed, sizeof packed - z.avail_out);
        size_t size;

        do {
            ok = compression_inflate(s, &in, out, sizeof out, &size, &err);
            total += size;
        } while (ok && (in.size || size == sizeof out));
    }
    assert_false(ok);
    assert_true(total > (size_t)150 << 20);
    assert_non_null(strstr(err.server_text, "grow"));
    deflateEnd(&z);
    compression_destroy(&s);
}

/* The server answers COMPRESS, and at once, in the same packet, starts to send compressed. */

#define LINES 300000

static void serve_compressed(struct peer *peer, int fd)
{
    static const char ok[] = "a1 OK DEFLATE active\r\n";
    char line[128], packed[65536], text[8192];
    z_stream out = { 0 }, in = { 0 };
    size_t used = sizeof ok - 1, number = 0, bytes_in = 0;

    if (!fd_line(fd, line, sizeof line))
        return;
    if (deflateInit2(&out, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK || inflateInit2(&in, -15) != Z_OK)
        abort();
    memcpy(packed, ok, used);
    while (number < LINES) {
        size_t size = 0;

        while (number < LINES && size < sizeof text - 64)
            size += (size_t)sprintf(text + size, "* %zu FETCH (FLAGS (\\Seen))\r\n", ++number);
        out.next_in = (unsigned char *)text;
        out.avail_in = (unsigned)size;
        out.next_out = (unsigned char *)packed + used;
        out.avail_out = (unsigned)(sizeof packed - used);
        deflate(&out, Z_SYNC_FLUSH);
        if (!fd_write(fd, packed, sizeof packed - out.avail_out))
            break;
        used = 0;
    }
    /* The client's own bytes, until the last. */
    while (bytes_in < peer->size) {
        ssize_t n = recv(fd, packed, sizeof packed, 0);

        if (n <= 0)
            break;
        in.next_in = (unsigned char *)packed;
        in.avail_in = (unsigned)n;
        do {
            in.next_out = (unsigned char *)text;
            in.avail_out = sizeof text;
            if (inflate(&in, Z_SYNC_FLUSH) == Z_DATA_ERROR)
                abort();
            for (size_t i = 0; i < sizeof text - in.avail_out; i++)
                if (text[i] != (char)((bytes_in + i) % 251))
                    abort();
            bytes_in += sizeof text - in.avail_out;
        } while (in.avail_out == 0);
    }
    atomic_store(&peer->seen, bytes_in);
    deflateEnd(&out);
    inflateEnd(&in);
}

static void compress_ask(struct client *c)
{
    stream_by_line(c->stream, true);
    stream_write(c->stream, SLICE("a1 COMPRESS DEFLATE\r\n"));
}

static void upload_more(struct client *c)
{
    char bytes[10000];

    /* Before the OK nothing but the command may go. */
    while (c->opened == 2 && c->sent < c->count) {
        size_t size = sizeof bytes < c->count - c->sent ? sizeof bytes : c->count - c->sent, taken;

        for (size_t i = 0; i < size; i++)
            bytes[i] = (char)((c->sent + i) % 251);
        taken = stream_write(c->stream, slice_of(bytes, size));
        c->sent += taken;
        if (taken < size)
            break;
    }
}

static void resume(void *context)
{
    struct client *c = context;

    stream_want_read(c->stream, true);
}

static void compressed_came(struct client *c, struct slice bytes)
{
    if (c->opened == 1) {
        assert_true(slice_equal(bytes, SLICE("a1 OK DEFLATE active\r\n")));
        c->opened = 2;
        stream_by_line(c->stream, false);
        stream_start_deflate(c->stream);
        upload_more(c);
        return;
    }
    if (buf_space(&c->got) < bytes.size)
        fail_msg("more than was sent");
    assert_true(buf_append(&c->got, bytes));
    if (!loop_timer_is_set(&c->timer) && c->writable % 2 == 0) {
        stream_want_read(c->stream, false);
        loop_timer_set(c->loop, &c->timer, 2, resume, c);
    }
}

static void test_compression_both_ways(void **state)
{
    struct peer peer = { .size = (size_t)4 << 20 };
    struct client c = {
        .on_opened = compress_ask, .on_received = compressed_came, .on_writable = upload_more, .count = peer.size
    };
    struct loop *loop = loop_make();
    struct slice rest, line;
    size_t number = 0;

    peer_start(&peer, NULL, serve_compressed);
    client_open(&c, loop, "127.0.0.1", peer.port, STREAM_PLAIN, NULL);
    client_run(&c);
    rest = buf_slice(&c.got);
    while (slice_split(&rest, '\n', &line)) {
        char text[64];

        snprintf(text, sizeof text, "* %zu FETCH (FLAGS (\\Seen))\r", ++number);
        if (!slice_equal(line, slice_cstr(text)))
            fail_msg("line %zu differs", number);
    }
    assert_int_equal(number, LINES);
    assert_int_equal(c.sent, peer.size);
    client_end(&c);
    loop_destroy(&loop);
    peer_stop(&peer);
    assert_int_equal(atomic_load(&peer.seen), peer.size);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_come_back_in_any_pieces),
        cmocka_unit_test(test_rubbish_is_an_error),
        cmocka_unit_test(test_a_bomb_is_refused_but_a_large_mail_is_not),
        cmocka_unit_test(test_compression_both_ways),
    };

    return RUN_ON_BOTH(tests);
}
