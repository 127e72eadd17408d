/* test: io */
/* Streams against server threads in this process, each case on io_uring and on epoll. */
#include "io/base/now.h"
#include "io/resolve.h"
#include "tests/unit/test_io_peer.h"

static struct pair ca, good;
static char *ca_file;
static SSL_CTX *good_ctx;

static struct tls_role *role_make(const char *ca_path)
{
    struct tls_config config = { .ca_file = ca_path, .verify = true };
    struct tls_role *role;
    struct err err;

    if (!tls_role_create(&config, &role, &err))
        fail_msg("%s", err.server_text);
    return role;
}

static void serve_echo(struct peer *peer, int fd)
{
    SSL *ssl = peer->ctx ? peer_tls(peer, fd) : NULL;
    char bytes[16384];
    int n;

    if (peer->ctx && !ssl)
        return;
    for (;;) {
        n = ssl ? SSL_read(ssl, bytes, sizeof bytes) : (int)recv(fd, bytes, sizeof bytes, 0);
        if (n <= 0)
            break;
        if (ssl ? SSL_write(ssl, bytes, n) != n : !fd_write(fd, bytes, (size_t)n))
            break;
    }
    if (ssl) {
        SSL_shutdown(ssl);
        SSL_free(ssl);
    }
}

static void write_hello(struct client *c)
{
    assert_int_equal(stream_write(c->stream, SLICE("a1 NOOP\r\n")), 9);
    assert_int_equal(stream_write(c->stream, SLICE("a2 NOOP\r\n")), 9);
}

static bool got_hellos(struct client *c)
{
    return c->got.size == 18;
}

static void echo(struct client *c, enum stream_security security)
{
    struct peer peer = { 0 };
    struct loop *loop = loop_make();
    struct tls_role *role = security == STREAM_TLS ? role_make(ca_file) : NULL;

    peer_start(&peer, role ? good_ctx : NULL, serve_echo);
    c->on_opened = write_hello;
    c->done = got_hellos;
    client_open(c, loop, "127.0.0.1", peer.port, security, role);
    client_run(c);
    if (c->has_err)
        fail_msg("%s: %s", c->err.doing, c->err.server_text);
    assert_int_equal(c->opened, 1);
    assert_true(slice_equal(buf_slice(&c->got), SLICE("a1 NOOP\r\na2 NOOP\r\n")));
    client_end(c);
    loop_destroy(&loop);
    peer_stop(&peer);
    tls_role_destroy(&role);
}

static void test_plain_echo(void **state)
{
    struct client c = { 0 };

    echo(&c, STREAM_PLAIN);
    assert_string_equal(c.last.tls_version, "");
    assert_false(c.last.unsent);
    assert_true(slice_starts(slice_cstr(c.address), SLICE("127.0.0.1:")));
}

static void test_tls_echo(void **state)
{
    struct client c = { 0 };

    echo(&c, STREAM_TLS);
    assert_string_equal(c.last.tls_version, "TLSv1.3");
    assert_int_equal(c.writable, 1);
}

static void test_connect_refused(void **state)
{
    struct client c = { 0 };
    struct loop *loop = loop_make();
    uint16_t port = 0;
    int fd = listen_on(AF_INET, &port);

    close(fd);
    client_open(&c, loop, "127.0.0.1", port, STREAM_PLAIN, NULL);
    client_run(&c);
    assert_int_equal(c.err.origin, ERR_ORIGIN_OS);
    assert_int_equal(c.err.code, ECONNREFUSED);
    assert_int_equal(c.err.class, ERR_CLASS_TRANSIENT);
    assert_non_null(strstr(c.err.doing, "connecting to 127.0.0.1:"));
    client_end(&c);
    loop_destroy(&loop);
}

static void test_name_not_found(void **state)
{
    struct client c = { 0 };
    struct loop *loop = loop_make();

    client_open(&c, loop, "no-such-host.invalid", 993, STREAM_PLAIN, NULL);
    client_run(&c);
    /* A machine without any DNS server says EAI_AGAIN instead, or lets the time pass. */
    assert_true(c.has_err);
    assert_true(c.err.origin == ERR_ORIGIN_DNS || c.err.code == ETIMEDOUT);
    assert_non_null(strstr(c.err.server_text[0] ? c.err.server_text : "", " "));
    client_end(&c);
    loop_destroy(&loop);
}

static void close_when_opened(struct client *c)
{
    stream_close(c->stream);
}

static void test_closed_before_the_name_is_known(void **state)
{
    struct client c = { 0 };
    struct loop *loop = loop_make();

    client_open(&c, loop, "no-such-host.invalid", 993, STREAM_PLAIN, NULL);
    client_end(&c);
    assert_false(c.has_err);
    loop_destroy(&loop);
}

/* The name has an IPv6 address where nobody listens first, then the server's. */
static void test_falls_back_to_the_other_family(void **state)
{
    struct peer peer = { 0 };
    struct client c = { .on_opened = close_when_opened };
    struct loop *loop = loop_make();

    peer_start(&peer, NULL, serve_echo);
    assert_true(resolve_know("two.example", "::1,127.0.0.1"));
    client_open(&c, loop, "TWO.example", peer.port, STREAM_PLAIN, NULL);
    client_run(&c);
    assert_int_equal(c.opened, 1);
    assert_true(slice_starts(slice_cstr(c.address), SLICE("127.0.0.1:")));
    client_end(&c);
    loop_destroy(&loop);
    resolve_forget();
    peer_stop(&peer);
}

/* An address whose listener's queue is full answers nothing: the next one is tried meanwhile. */
static void test_a_silent_address_delays_but_does_not_block(void **state)
{
    struct peer peer = { 0 };
    struct client c = { .on_opened = close_when_opened };
    struct loop *loop = loop_make();
    struct sockaddr_in silent = { .sin_family = AF_INET };
    int fd, fillers[8];

    peer_start(&peer, NULL, serve_echo);
    silent.sin_port = htons(peer.port);
    inet_pton(AF_INET, "127.0.0.2", &silent.sin_addr);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&silent, sizeof silent), 0);
    assert_int_equal(listen(fd, 0), 0);
    for (size_t i = 0; i < 8; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(fillers[i], (struct sockaddr *)&silent, sizeof silent);
    }
    assert_true(resolve_know("slow.example", "127.0.0.2,127.0.0.1"));
    client_open(&c, loop, "slow.example", peer.port, STREAM_PLAIN, NULL);
    client_run(&c);
    assert_int_equal(c.opened, 1);
    assert_true(slice_starts(slice_cstr(c.address), SLICE("127.0.0.1:")));
    client_end(&c);

    struct client late = { 0 };
    struct stream_target target = {
        .host = "127.0.0.2", .port = peer.port, .security = STREAM_PLAIN, .connect_timeout_ms = 50
    };

    late.loop = loop;
    buf_init(&late.got, 1024);
    late.stream = stream_open(loop, &target, &client_events, &late);
    client_run(&late);
    assert_int_equal(late.err.code, ETIMEDOUT);
    assert_int_equal(late.err.class, ERR_CLASS_TRANSIENT);
    client_end(&late);
    for (size_t i = 0; i < 8; i++)
        close(fillers[i]);
    close(fd);
    loop_destroy(&loop);
    resolve_forget();
    peer_stop(&peer);
}

/* Bulk: the server sends `size` bytes of a pattern and reads as many. */
static char pattern(size_t at)
{
    return (char)(at * 31 + (at >> 11));
}

static void serve_source(struct peer *peer, int fd)
{
    SSL *ssl = peer->ctx ? peer_tls(peer, fd) : NULL;
    char bytes[16384];

    for (size_t at = 0; at < peer->size; at += sizeof bytes) {
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = pattern(at + i);
        if (ssl ? SSL_write(ssl, bytes, sizeof bytes) <= 0 : !fd_write(fd, bytes, sizeof bytes))
            break;
        atomic_fetch_add(&peer->seen, sizeof bytes);
    }
    if (ssl) {
        SSL_shutdown(ssl);
        SSL_free(ssl);
    }
}

static void resume_reading(void *context)
{
    struct client *c = context;

    stream_want_read(c->stream, true);
}

static void check_and_pause(struct client *c, struct slice bytes)
{
    for (size_t i = 0; i < bytes.size; i++)
        if (bytes.data[i] != pattern(c->count + i))
            fail_msg("byte %zu is wrong", c->count + i);
    if (c->count == 0) {
        stream_want_read(c->stream, false);
        loop_timer_set(c->loop, &c->timer, 200, resume_reading, c);
    }
    assert_true(c->sent == 0); /* nothing arrives while paused */
    c->count += bytes.size;
}

static void download(SSL_CTX *ctx)
{
    struct peer peer = { .size = (size_t)32 << 20 };
    struct client c = { .on_received = check_and_pause };
    struct loop *loop = loop_make();
    struct tls_role *role = ctx ? role_make(ca_file) : NULL;

    peer_start(&peer, ctx, serve_source);
    client_open(&c, loop, "127.0.0.1", peer.port, role ? STREAM_TLS : STREAM_PLAIN, role);
    client_run(&c);
    assert_int_equal(c.count, peer.size);
    /* Ended in order, yet the end of a server that was not asked to is told as an error. */
    assert_true(c.has_err);
    assert_int_equal(c.err.code, 0);
    assert_string_equal(c.err.server_text, "the server closed the connection");
    client_end(&c);
    loop_destroy(&loop);
    peer_stop(&peer);
    tls_role_destroy(&role);
}

static void test_large_download_plain(void **state)
{
    download(NULL);
}

static void test_large_download_tls(void **state)
{
    download(good_ctx);
}

static void pause_for_good(struct client *c, struct slice bytes)
{
    stream_want_read(c->stream, false);
    c->count += bytes.size;
}

static struct peer *watched;

static void look_if_stalled(void *context)
{
    struct client *c = context;
    size_t seen = atomic_load(&watched->seen);

    /* The server could go on for 512 MiB; once it stands still, the kernel pushes back. */
    if (seen && seen == c->sent)
        loop_stop(c->loop);
    else
        loop_timer_set(c->loop, &c->timer, 50, look_if_stalled, c);
    c->sent = seen;
}

static void test_a_paused_reader_stops_the_server(void **state)
{
    struct peer peer = { .size = (size_t)512 << 20 };
    struct client c = { .on_received = pause_for_good };
    struct loop *loop = loop_make();
    struct tls_role *role = role_make(ca_file);

    watched = &peer;
    peer_start(&peer, good_ctx, serve_source);
    client_open(&c, loop, "127.0.0.1", peer.port, STREAM_TLS, role);
    loop_timer_set(loop, &c.timer, 50, look_if_stalled, &c);
    client_run(&c);
    assert_true(atomic_load(&peer.seen) < peer.size / 2);
    assert_true(c.count <= 65536);
    client_end(&c);
    loop_destroy(&loop);
    peer_stop(&peer);
    tls_role_destroy(&role);
}

static void serve_sink(struct peer *peer, int fd)
{
    SSL *ssl = peer->ctx ? peer_tls(peer, fd) : NULL;
    char bytes[16384];
    size_t at = 0;

    while (at < peer->size) {
        int n = ssl ? SSL_read(ssl, bytes, sizeof bytes) : (int)recv(fd, bytes, sizeof bytes, 0);

        if (n <= 0)
            break;
        for (int i = 0; i < n; i++)
            if (bytes[i] != pattern(at + (size_t)i))
                abort();
        at += (size_t)n;
    }
    if (ssl)
        SSL_write(ssl, "done\n", 5);
    else
        fd_write(fd, "done\n", 5);
    if (ssl) {
        SSL_shutdown(ssl);
        SSL_free(ssl);
    }
}

static void write_more(struct client *c)
{
    char bytes[40000];

    while (c->sent < c->count) {
        /* Odd sizes, so that pieces do not fall together with records. */
        size_t size = c->sent % 3 ? 777 : sizeof bytes, taken, space;

        if (size > c->count - c->sent)
            size = c->count - c->sent;
        for (size_t i = 0; i < size; i++)
            bytes[i] = pattern(c->sent + i);
        space = stream_write_space(c->stream);
        taken = stream_write(c->stream, slice_of(bytes, size));
        assert_int_equal(taken, size < space ? size : space);
        c->sent += taken;
        if (taken < size)
            break;
    }
}

static bool got_done(struct client *c)
{
    return slice_equal(buf_slice(&c->got), SLICE("done\n"));
}

static void upload(SSL_CTX *ctx)
{
    struct peer peer = { .size = (size_t)32 << 20 };
    struct client c = { .on_opened = write_more, .on_writable = write_more, .done = got_done, .count = peer.size };
    struct loop *loop = loop_make();
    struct tls_role *role = ctx ? role_make(ca_file) : NULL;

    peer_start(&peer, ctx, serve_sink);
    client_open(&c, loop, "127.0.0.1", peer.port, role ? STREAM_TLS : STREAM_PLAIN, role);
    client_run(&c);
    assert_true(got_done(&c));
    assert_true(c.stream == NULL || !c.has_err);
    client_end(&c);
    loop_destroy(&loop);
    peer_stop(&peer);
    tls_role_destroy(&role);
}

static void test_large_upload_plain(void **state)
{
    upload(NULL);
}

static void test_large_upload_tls(void **state)
{
    upload(good_ctx);
}

static void serve_reset(struct peer *peer, int fd)
{
    struct linger hard = { 1, 0 };
    char byte;

    (void)recv(fd, &byte, 1, 0);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

static void test_peer_resets(void **state)
{
    struct peer peer = { .size = 1 };
    struct client c = { .on_opened = write_more, .count = 1 };
    struct loop *loop = loop_make();

    peer_start(&peer, NULL, serve_reset);
    client_open(&c, loop, "127.0.0.1", peer.port, STREAM_PLAIN, NULL);
    client_run(&c);
    assert_int_equal(c.err.code, ECONNRESET);
    assert_int_equal(c.err.class, ERR_CLASS_TRANSIENT);
    client_end(&c);
    loop_destroy(&loop);
    peer_stop(&peer);
}

static void serve_cut(struct peer *peer, int fd)
{
    SSL *ssl = peer_tls(peer, fd);

    SSL_write(ssl, "* 1 FETCH (BODY[] {9}\r\nhalf", 27);
    SSL_free(ssl); /* without close_notify */
}

static void test_an_end_without_close_notify_is_an_error(void **state)
{
    struct peer peer = { 0 };
    struct client c = { 0 };
    struct loop *loop = loop_make();
    struct tls_role *role = role_make(ca_file);

    peer_start(&peer, good_ctx, serve_cut);
    client_open(&c, loop, "127.0.0.1", peer.port, STREAM_TLS, role);
    client_run(&c);
    assert_int_equal(c.got.size, 27);
    assert_int_equal(c.err.origin, ERR_ORIGIN_OS); /* nothing of TLS is to be mended */
    assert_non_null(strstr(c.err.server_text, "without TLS close_notify"));
    client_end(&c);
    loop_destroy(&loop);
    peer_stop(&peer);
    tls_role_destroy(&role);
}

/* Whether an APPEND can have arrived: with more than the kernel takes it cannot, told at the end.
 */
static void write_and_stop(struct client *c)
{
    write_more(c);
    loop_timer_set(c->loop, &c->timer, 20, resume_reading, c);
}

static void serve_deaf(struct peer *peer, int fd)
{
    struct linger hard = { 1, 0 };
    int small = 4096;

    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    while (!atomic_load(&peer->seen))
        poll(NULL, 0, 1);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

static void let_it_reset(void *context)
{
    atomic_store(&watched->seen, 1);
}

static void test_what_never_left_is_known_at_the_end(void **state)
{
    struct peer peer = { 0 };
    struct client c = { .on_opened = write_and_stop, .on_writable = write_more, .count = (size_t)64 << 20 };
    struct loop *loop = loop_make();
    struct loop_timer later = { 0 };

    watched = &peer;
    peer_start(&peer, NULL, serve_deaf);
    client_open(&c, loop, "127.0.0.1", peer.port, STREAM_PLAIN, NULL);
    loop_timer_set(loop, &later, 100, let_it_reset, NULL);
    client_run(&c);
    assert_true(c.has_err);
    assert_true(c.last.unsent);
    assert_true(c.sent < c.count);
    client_end(&c);
    loop_destroy(&loop);
    peer_stop(&peer);
}

/* ---- what the kernel had not sent ---------------------------------------------------------- */

static _Atomic int read_error;

static void serve_reader_of_what_is_left(struct peer *peer, int fd)
{
    char bytes[65536];
    ssize_t n;

    while (!atomic_load(&peer->seen))
        poll(NULL, 0, 1);
    while ((n = recv(fd, bytes, sizeof bytes, 0)) > 0)
        ;
    atomic_store(&read_error, n < 0 ? errno : 0);
}

static void close_now(void *context)
{
    struct client *c = context;

    stream_close(c->stream);
}

/* How a slow server sees the end of a client that closed with much unsent: 0, or an errno. */
static int end_of_much_unsent(bool drops)
{
    struct peer peer = { 0 };
    struct client c = {
        .on_opened = write_more, .on_writable = write_more, .count = (size_t)64 << 20, .drops_unsent = drops
    };
    struct loop *loop = loop_make();

    peer_start(&peer, NULL, serve_reader_of_what_is_left);
    client_open(&c, loop, "127.0.0.1", peer.port, STREAM_PLAIN, NULL);
    loop_timer_set(loop, &c.timer, 100, close_now, &c);
    client_run(&c);
    client_end(&c);
    loop_destroy(&loop);
    atomic_store(&peer.seen, 1);
    peer_stop(&peer);
    return atomic_load(&read_error);
}

static void test_what_the_kernel_has_not_sent_goes_with_the_stream(void **state)
{
    assert_int_equal(end_of_much_unsent(true), ECONNRESET);
    assert_int_equal(end_of_much_unsent(false), 0);
}

static _Atomic uint64_t said_ms;

static void say_late(struct peer *peer, int fd)
{
    usleep(50000);
    atomic_store(&said_ms, now_ms());
    assert_true(fd_write(fd, "x", 1));
    (void)!read(fd, &(char){ 0 }, 1);
}

static void look_at_the_clock(struct client *c, struct slice bytes)
{
    assert_true(loop_now_ms(c->loop) >= atomic_load(&said_ms));
    c->count++;
}

static bool has_looked(struct client *c)
{
    return c->count > 0;
}

/* How long an answer took is told by this clock, also when nothing else woke the loop meanwhile. */
static void test_what_arrives_is_seen_at_its_time(void **state)
{
    struct client c = { .on_received = look_at_the_clock, .done = has_looked };
    struct peer peer = { 0 };
    struct loop *loop = loop_make();

    peer_start(&peer, NULL, say_late);
    client_open(&c, loop, "127.0.0.1", peer.port, STREAM_PLAIN, NULL);
    client_run(&c);
    assert_int_equal(c.has_err, false);
    client_end(&c);
    loop_destroy(&loop);
    peer_stop(&peer);
}

/* Closed from inside every kind of callback, with bytes under way in both directions. */
static void write_and_close(struct client *c)
{
    write_more(c);
    stream_close(c->stream);
}

static void close_when_received(struct client *c, struct slice bytes)
{
    assert_int_equal(c->sent, 0);
    c->sent = 1;
    stream_close(c->stream);
}

static void test_close_in_mid_flight(void **state)
{
    struct peer sink = { .size = (size_t)8 << 20 }, source = sink;
    struct client up = { .on_opened = write_more, .on_writable = write_and_close, .count = sink.size };
    struct client down = { .on_received = close_when_received };
    struct client soon = { .on_opened = write_and_close, .count = sink.size };
    struct loop *loop = loop_make();
    struct tls_role *role = role_make(ca_file);
    unsigned alive = 3;

    up.alive = down.alive = soon.alive = &alive;
    peer_start(&sink, good_ctx, serve_sink);
    peer_start(&source, good_ctx, serve_source);
    client_open(&up, loop, "127.0.0.1", sink.port, STREAM_TLS, role);
    client_open(&down, loop, "127.0.0.1", source.port, STREAM_TLS, role);
    client_open(&soon, loop, "127.0.0.1", sink.port, STREAM_TLS, role);
    client_run(&up);
    assert_false(up.has_err || down.has_err || soon.has_err);
    assert_int_equal(down.sent, 1);
    client_end(&up);
    client_end(&down);
    client_end(&soon);
    loop_destroy(&loop);
    peer_stop(&sink);
    peer_stop(&source);
    tls_role_destroy(&role);
}

#define CROWD 500

static void close_when_echoed(struct client *c, struct slice bytes)
{
    c->count += bytes.size;
    if (c->count == 18)
        stream_close(c->stream);
}

static void test_five_hundred_connections(void **state)
{
    struct peer peer = { 0 };
    struct client *crowd = mem_zero(CROWD, sizeof *crowd);
    struct loop *loop = loop_make();
    struct tls_role *role = role_make(ca_file);
    unsigned alive = CROWD;

    peer_start(&peer, good_ctx, serve_echo);
    for (size_t i = 0; i < CROWD; i++) {
        crowd[i].on_opened = write_hello;
        crowd[i].on_received = close_when_echoed;
        crowd[i].alive = &alive;
        client_open(&crowd[i], loop, "127.0.0.1", peer.port, STREAM_TLS, role);
    }
    client_run(&crowd[0]);
    for (size_t i = 0; i < CROWD; i++) {
        if (crowd[i].has_err)
            fail_msg("%zu: %s: %s", i, crowd[i].err.doing, crowd[i].err.server_text);
        assert_int_equal(crowd[i].count, 18);
        client_end(&crowd[i]);
    }
    free(crowd);

    struct client again = { .on_opened = close_when_opened };

    client_open(&again, loop, "127.0.0.1", peer.port, STREAM_TLS, role);
    client_run(&again);
    assert_true(again.last.resumed);
    client_end(&again);
    loop_destroy(&loop);
    peer_stop(&peer);
    tls_role_destroy(&role);
}

/* STARTTLS */

static void serve_starttls(struct peer *peer, int fd)
{
    char line[128];
    SSL *ssl;

    fd_write(fd, "* OK hello\r\n", 12);
    if (!fd_line(fd, line, sizeof line))
        return;
    if (peer->size) {
        fd_write(fd, "a1 OK go\r\n* CAPABILITY EVIL\r\n", 29);
        (void)fd_line(fd, line, sizeof line);
        return;
    }
    fd_write(fd, "a1 OK go\r\n", 10);
    ssl = peer_tls(peer, fd);
    if (ssl) {
        SSL_write(ssl, "* CAPABILITY GOOD\r\n", 19);
        SSL_shutdown(ssl);
        SSL_free(ssl);
    }
}

static void starttls_dialogue(struct client *c, struct slice bytes)
{
    assert_true(buf_append(&c->got, bytes));
    assert_int_equal(slice_find_nocase(bytes, SLICE("EVIL")), SIZE_MAX);
    if (slice_starts(bytes, SLICE("* OK")))
        stream_write(c->stream, SLICE("a1 STARTTLS\r\n"));
    if (slice_starts(bytes, SLICE("a1 OK")))
        stream_start_tls(c->stream);
}

static void starttls(struct client *c, bool inject)
{
    struct peer peer = { .size = inject };
    struct loop *loop = loop_make();
    struct tls_role *role = role_make(ca_file);

    c->on_received = starttls_dialogue;
    peer_start(&peer, good_ctx, serve_starttls);
    client_open(c, loop, "127.0.0.1", peer.port, STREAM_STARTTLS, role);
    client_run(c);
    loop_destroy(&loop);
    peer_stop(&peer);
    tls_role_destroy(&role);
}

static void test_starttls(void **state)
{
    struct client c = { 0 };

    starttls(&c, false);
    assert_int_equal(c.opened, 2);
    assert_string_equal(c.last.tls_version, "TLSv1.3");
    assert_true(slice_equal(buf_slice(&c.got), SLICE("* OK hello\r\na1 OK go\r\n* CAPABILITY GOOD\r\n")));
    client_end(&c);
}

static void test_starttls_injection_is_refused(void **state)
{
    struct client c = { 0 };

    starttls(&c, true);
    assert_int_equal(c.opened, 1);
    assert_int_equal(c.err.class, ERR_CLASS_PERMANENT);
    assert_int_equal(c.err.origin, ERR_ORIGIN_PROTOCOL);
    assert_non_null(strstr(c.err.server_text, "STARTTLS"));
    client_end(&c);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_echo),
        cmocka_unit_test(test_tls_echo),
        cmocka_unit_test(test_connect_refused),
        cmocka_unit_test(test_name_not_found),
        cmocka_unit_test(test_closed_before_the_name_is_known),
        cmocka_unit_test(test_falls_back_to_the_other_family),
        cmocka_unit_test(test_a_silent_address_delays_but_does_not_block),
        cmocka_unit_test(test_large_download_plain),
        cmocka_unit_test(test_large_download_tls),
        cmocka_unit_test(test_a_paused_reader_stops_the_server),
        cmocka_unit_test(test_large_upload_plain),
        cmocka_unit_test(test_large_upload_tls),
        cmocka_unit_test(test_what_arrives_is_seen_at_its_time),
        cmocka_unit_test(test_peer_resets),
        cmocka_unit_test(test_an_end_without_close_notify_is_an_error),
        cmocka_unit_test(test_what_never_left_is_known_at_the_end),
        cmocka_unit_test(test_what_the_kernel_has_not_sent_goes_with_the_stream),
        cmocka_unit_test(test_close_in_mid_flight),
        cmocka_unit_test(test_five_hundred_connections),
        cmocka_unit_test(test_starttls),
        cmocka_unit_test(test_starttls_injection_is_refused),
    };
    int failed_count;

    signal(SIGPIPE, SIG_DFL);
    ca = pair_make("Test CA", NULL, NULL, -1, 10, true);
    good = pair_make("good", "DNS:good.example,IP:127.0.0.1", &ca, -1, 10, false);
    ca_file = pair_file(&ca);
    good_ctx = server_ctx(&good);
    failed_count = RUN_ON_BOTH(tests);
    stream_resolver_stop();
    unlink(ca_file);
    free(ca_file);
    SSL_CTX_free(good_ctx);
    pair_free(&good);
    pair_free(&ca);
    return failed_count;
}
