#include "io/proxy.h"

#include "io/base/mem.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#define ANSWER_MAX 16384u
#define SHOWN_MAX  100

enum state { SOCKS_METHOD, SOCKS_LOGIN, SOCKS_REPLY, HTTP_HEADER };

struct proxy {
    const struct proxy_way *way;
    char *host;
    uint16_t port;
    enum state state;
    unsigned char out[PROXY_OUT_MAX];
    size_t out_size;
    unsigned char in[ANSWER_MAX]; /* an answer that is not whole yet */
    size_t in_size;
};

static void put(struct proxy *p, const void *bytes, size_t size)
{
    assert(p->out_size + size <= sizeof p->out);
    memcpy(p->out + p->out_size, bytes, size);
    p->out_size += size;
}

static void put_byte(struct proxy *p, unsigned byte)
{
    unsigned char one = (unsigned char)byte;

    put(p, &one, 1);
}

static void put_slice(struct proxy *p, struct slice text)
{
    put(p, text.data, text.size);
}

/* ---- SOCKS 5 ---- */

static void socks_greet(struct proxy *p)
{
    p->state = SOCKS_METHOD;
    put_byte(p, 5);
    put_byte(p, p->way->user ? 2 : 1);
    put_byte(p, 0);
    if (p->way->user)
        put_byte(p, 2);
}

/* RFC 1929 */
static void socks_login(struct proxy *p)
{
    struct slice user = secret_peek(p->way->user), password = secret_peek(p->way->password);

    p->state = SOCKS_LOGIN;
    put_byte(p, 1);
    put_byte(p, (unsigned)user.size);
    put_slice(p, user);
    put_byte(p, (unsigned)password.size);
    put_slice(p, password);
}

static void socks_request(struct proxy *p)
{
    struct in_addr four;
    struct in6_addr six;

    p->state = SOCKS_REPLY;
    put(p, "\x05\x01\x00", 3);
    if (inet_pton(AF_INET, p->host, &four) == 1) {
        put_byte(p, 1);
        put(p, &four, sizeof four);
    } else if (inet_pton(AF_INET6, p->host, &six) == 1) {
        put_byte(p, 4);
        put(p, &six, sizeof six);
    } else {
        put_byte(p, 3);
        put_byte(p, (unsigned)strlen(p->host));
        put(p, p->host, strlen(p->host));
    }
    put_byte(p, p->port >> 8);
    put_byte(p, p->port & 0xFF);
}

static enum proxy_step refuse(struct proxy *p, bool for_good, int code, const char *what, struct err *err_r)
{
    err_set(err_r, for_good ? ERR_CLASS_PERMANENT : ERR_CLASS_TRANSIENT,
            for_good ? ERR_SCOPE_ACCOUNT : ERR_SCOPE_SESSION, ERR_ORIGIN_OS, code, "the proxy %s", what);
    err_doing(err_r, "asking the proxy for %.60s:%u", p->host, p->port);
    return PROXY_REFUSED;
}

static enum proxy_step socks_replied(struct proxy *p, unsigned reply, struct err *err_r)
{
    char what[64];

    switch (reply) {
    case 1:
        return refuse(p, false, EIO, "has a fault of its own (general SOCKS server failure)", err_r);
    case 2:
        return refuse(p, true, EPERM, "does not allow this connection", err_r);
    case 3:
        return refuse(p, false, ENETUNREACH, "cannot reach the server's network", err_r);
    case 4:
        return refuse(p, false, EHOSTUNREACH, "cannot reach or find the server", err_r);
    case 5:
        return refuse(p, false, ECONNREFUSED, "was refused by the server", err_r);
    case 6:
        return refuse(p, false, ETIMEDOUT, "had no answer from the server", err_r);
    case 7:
        return refuse(p, true, EPERM, "takes no CONNECT", err_r);
    case 8:
        return refuse(p, true, EPERM, "takes no address of this kind", err_r);
    default:
        snprintf(what, sizeof what, "refuses with the unknown reply %u", reply);
        return refuse(p, true, EPROTO, what, err_r);
    }
}

/* Bytes of the answer that is being read; 0: not known yet. */
static size_t socks_size(const struct proxy *p)
{
    if (p->state != SOCKS_REPLY)
        return 2;
    /* A refusal may end before the address. */
    if (p->in_size >= 2 && p->in[1] != 0)
        return 2;
    if (p->in_size < 5)
        return 0;
    return p->in[3] == 1   ? 10
           : p->in[3] == 4 ? 22
           : p->in[3] == 3 ? 7u + p->in[4]
                           : 5; /* no such kind: judged as it is */
}

static enum proxy_step socks_answered(struct proxy *p, struct err *err_r)
{
    unsigned version = p->in[0], word = p->in[1];

    if (version != (p->state == SOCKS_LOGIN ? 1 : 5))
        return refuse(p, true, EPROTO, "does not speak SOCKS 5", err_r);
    switch (p->state) {
    case SOCKS_METHOD:
        if (word == 0)
            socks_request(p);
        else if (word == 2 && p->way->user)
            socks_login(p);
        else
            return refuse(p, true, EACCES, p->way->user ? "takes neither this kind of login nor none" : "wants a login",
                          err_r);
        return PROXY_GOES_ON;
    case SOCKS_LOGIN:
        if (word != 0)
            return refuse(p, true, EACCES, "refuses the user or the password", err_r);
        socks_request(p);
        return PROXY_GOES_ON;
    case SOCKS_REPLY:
        if (word != 0)
            return socks_replied(p, word, err_r);
        if (p->in[3] != 1 && p->in[3] != 3 && p->in[3] != 4)
            return refuse(p, true, EPROTO, "answers with an address of no kind", err_r);
        return PROXY_STANDS;
    case HTTP_HEADER:
        break;
    }
    return PROXY_REFUSED;
}

static enum proxy_step socks_feed(struct proxy *p, struct slice *bytes, struct err *err_r)
{
    enum proxy_step step = PROXY_GOES_ON;

    while (step == PROXY_GOES_ON && bytes->size) {
        p->in[p->in_size++] = (unsigned char)bytes->data[0];
        *bytes = slice_from(*bytes, 1);
        if (p->in_size != socks_size(p))
            continue;
        step = socks_answered(p, err_r);
        p->in_size = 0;
    }
    return step;
}

/* ---- HTTP CONNECT ---- */

static void put_basic(struct proxy *p)
{
    struct slice user = secret_peek(p->way->user), password = secret_peek(p->way->password);
    unsigned char plain[2 * PROXY_LOGIN_MAX + 1], coded[4 * ((sizeof plain + 2) / 3) + 1];
    size_t size = user.size + 1 + password.size;
    int coded_size;

    assert(size <= sizeof plain);
    memcpy(plain, user.data, user.size);
    plain[user.size] = ':';
    memcpy(plain + user.size + 1, password.data, password.size);
    coded_size = EVP_EncodeBlock(coded, plain, (int)size);
    put_slice(p, SLICE("Proxy-Authorization: Basic "));
    put(p, coded, (size_t)coded_size);
    put_slice(p, SLICE("\r\n"));
    secret_wipe(plain, sizeof plain);
    secret_wipe(coded, sizeof coded);
}

static void http_ask(struct proxy *p)
{
    bool six = strchr(p->host, ':') != NULL;
    char *line = mem_format("CONNECT %s%s%s:%u HTTP/1.1\r\nHost: %s%s%s:%u\r\n", six ? "[" : "", p->host,
                            six ? "]" : "", p->port, six ? "[" : "", p->host, six ? "]" : "", p->port);

    p->state = HTTP_HEADER;
    put_slice(p, slice_cstr(line));
    free(line);
    if (p->way->user)
        put_basic(p);
    put_slice(p, SLICE("\r\n"));
}

/* "HTTP/1.1 407 Proxy Authentication Required" */
static enum proxy_step http_answered(struct proxy *p, struct err *err_r)
{
    struct slice head = slice_of((const char *)p->in, p->in_size), line = { 0 }, word;
    char what[SHOWN_MAX + 80], shown[SHOWN_MAX];
    uint32_t code = 0;

    (void)slice_split(&head, '\n', &line);
    line = slice_trim(line);
    err_printable(shown, sizeof shown, line.data, line.size);
    if (!slice_starts(line, SLICE("HTTP/1.")) || !slice_split(&line, ' ', &word) || !slice_split(&line, ' ', &word) ||
        word.size != 3 || !slice_u32(word, &code) || code < 100)
        return refuse(p, true, EPROTO, "does not speak HTTP", err_r);
    if (code >= 200 && code < 300)
        return PROXY_STANDS;
    snprintf(what, sizeof what, "answers \"%s\"", shown);
    if (code == 407)
        return refuse(p, true, EACCES, p->way->user ? "refuses the user or the password (407)" : "wants a login (407)",
                      err_r);
    if (code == 429 || code >= 500)
        return refuse(p, false, code == 504 ? ETIMEDOUT : EHOSTUNREACH, what, err_r);
    return refuse(p, true, EPERM, what, err_r);
}

static bool header_ends(const struct proxy *p)
{
    size_t n = p->in_size;

    return n >= 2 && p->in[n - 1] == '\n' &&
           (p->in[n - 2] == '\n' || (n >= 3 && p->in[n - 2] == '\r' && p->in[n - 3] == '\n'));
}

/* An interim answer (1xx) is followed by another one. */
static bool is_interim(const struct proxy *p)
{
    return p->in_size > 12 && memcmp(p->in, "HTTP/1.", 7) == 0 && p->in[8] == ' ' && p->in[9] == '1';
}

static enum proxy_step http_feed(struct proxy *p, struct slice *bytes, struct err *err_r)
{
    while (bytes->size) {
        if (p->in_size == sizeof p->in)
            return refuse(p, true, EPROTO, "answers with a header that does not end", err_r);
        p->in[p->in_size++] = (unsigned char)bytes->data[0];
        *bytes = slice_from(*bytes, 1);
        /* What does not begin so is no HTTP: a mail server, or a proxy of another kind. */
        if (p->in_size <= 5 && memcmp(p->in, "HTTP/", p->in_size) != 0)
            return refuse(p, true, EPROTO, "does not speak HTTP", err_r);
        if (!header_ends(p))
            continue;
        if (!is_interim(p))
            return http_answered(p, err_r);
        p->in_size = 0;
    }
    return PROXY_GOES_ON;
}

/* ---- both ---- */

struct proxy *proxy_create(const struct proxy_way *way, const char *host, uint16_t port)
{
    struct proxy *p = mem_zero(1, sizeof *p);

    assert(way->kind != PROXY_NONE && strlen(host) <= 253);
    assert(secret_peek(way->user).size <= PROXY_LOGIN_MAX && secret_peek(way->password).size <= PROXY_LOGIN_MAX);
    p->way = way;
    p->host = mem_text(host);
    p->port = port;
    if (way->kind == PROXY_SOCKS5)
        socks_greet(p);
    else
        http_ask(p);
    return p;
}

void proxy_destroy(struct proxy **proxy)
{
    struct proxy *p = *proxy;

    *proxy = NULL;
    if (!p)
        return;
    secret_wipe(p->out, sizeof p->out);
    free(p->host);
    free(p);
}

struct slice proxy_output(const struct proxy *p)
{
    return slice_of((const char *)p->out, p->out_size);
}

void proxy_output_taken(struct proxy *p)
{
    secret_wipe(p->out, p->out_size);
    p->out_size = 0;
}

enum proxy_step proxy_feed(struct proxy *p, struct slice *bytes, struct err *err_r)
{
    return p->way->kind == PROXY_SOCKS5 ? socks_feed(p, bytes, err_r) : http_feed(p, bytes, err_r);
}
