/* One byte stream to a server: DNS, TCP (IPv4 and IPv6, happy eyeballs, RFC 8305), a proxy, TLS or STARTTLS,
 * and optionally DEFLATE, seen by its user as plain bytes in and out.
 *
 * All calls and callbacks happen on the loop's thread. Callbacks never run inside a call to this
 * module, so a callback may call anything here, stream_close included.
 */
#ifndef IO_STREAM_H
#define IO_STREAM_H

#include "io/base/slice.h"
#include "io/loop.h"
#include "io/proxy.h"
#include "io/tls.h"

struct stream;

enum stream_security {
    STREAM_PLAIN,   /* no TLS, ever */
    STREAM_TLS,     /* TLS from the first byte */
    STREAM_STARTTLS /* plain until stream_start_tls */
};

struct stream_target {
    const char *host; /* name or address; also the name verified and sent as SNI */
    uint16_t port;
    enum stream_security security;
    struct tls_role *tls;          /* NULL only with STREAM_PLAIN; outlives the stream */
    uint32_t connect_timeout_ms;   /* DNS, TCP, proxy and TLS together; 0: 30,000 */
    const struct proxy_way *proxy; /* borrowed until `closed`; NULL or PROXY_NONE: none */
    bool drops_unsent;             /* what the kernel has not sent when the stream or the process ends is not sent */
    uint32_t
        unacknowledged_ms; /* it ends when what was sent had no acknowledgement for so long; 0: the kernel's time */
};

/* What a stream tells. context is the one given to stream_open. */
struct stream_events {
    /* TCP (and TLS with STREAM_TLS) stands; also after stream_start_tls succeeded. */
    void (*opened)(void *context);
    /* Plain bytes arrived, 1..65536, borrowed for the call. Not called while reading is paused. */
    void (*received)(void *context, struct slice bytes);
    /* All that was written has been handed to the kernel, or there is room again after
     * stream_write accepted less than it was given. */
    void (*writable)(void *context);
    /* The stream is over and frees itself after this call (stream_facts still answers in it),
     * exactly once for every stream_open; err is NULL after stream_close. A peer that ends without
     * TLS close_notify is an error, so that a cut literal is never taken for a whole one; so is one
     * that ends in order (origin OS, code 0). Errors: TRANSIENT/SESSION with origin OS, DNS or TLS;
     * PERMANENT/ACCOUNT for certificates that do not verify, names that do not exist and servers
     * without (allowed) TLS, with what is wrong in words; PERMANENT/SESSION, origin PROTOCOL, for
     * STARTTLS injection and broken DEFLATE. */
    void (*closed)(void *context, const struct err *err);
};

/* Facts for check, logs and reports. Strings are borrowed until the stream ends. */
struct stream_facts {
    const char *address;     /* "192.0.2.1:993", or "" before TCP stands; with a proxy, the proxy's */
    const char *tls_version; /* "TLSv1.3", or "" */
    const char *tls_cipher;
    uint32_t dns_ms, tcp_ms, proxy_ms, tls_ms;
    bool proxied;                    /* the proxy opened the way */
    uint32_t dns_us, tcp_us, tls_us; /* the same, finer; cut at 71 minutes */
    bool resumed;                    /* the TLS session was an earlier one's (RFC 8446 2.2) */
    /* The last byte written certainly never reached the kernel. False also while a send is under
     * way or was cut off by the end, when nobody can know. For the question whether an APPEND that
     * got no answer can have arrived; ask it in `closed`. */
    bool unsent;
    uint64_t bytes_in, bytes_out; /* on the wire, since open */
};

/* Starts connecting. Never fails at once: errors come by `closed`. target and its strings are
 * copied, events and tls are borrowed until `closed`. Returns the stream, the module's own. */
struct stream *stream_open(struct loop *loop, const struct stream_target *target, const struct stream_events *events,
                           void *context);

/* Ends the stream: `closed` follows with NULL, no other callback comes after this call. What was
 * not yet handed to the kernel is dropped, so let `writable` come first after a LOGOUT. */
void stream_close(struct stream *stream);

/* From here on the kernel sends what it has, also behind the end of the stream: what is written next is a farewell. */
void stream_keep_unsent(struct stream *stream);

/* Takes as much of bytes as fits (0..bytes.size) and returns the count. The first bytes not taken
 * must be offered again after `writable`. Bytes are sent in order, coalesced per loop turn. */
size_t stream_write(struct stream *stream, struct slice bytes);
/* Bytes that stream_write would take now. */
size_t stream_write_space(const struct stream *stream);

/* Pauses or resumes `received` (back-pressure goes through to TCP). At most the bytes of one
 * receive buffer already decrypted may be held inside while paused. */
void stream_want_read(struct stream *stream, bool on);

/* While on, every `received` ends at a line's end or where the bytes at hand do, so that what
 * stands behind a line is still inside when the user acts on that line. On by itself before
 * STARTTLS; the user switches it on before sending COMPRESS, whose OK compressed bytes may follow
 * at once, and off after the answer, because it costs a call a line. */
void stream_by_line(struct stream *stream, bool on);

/* STREAM_STARTTLS only, after the tagged OK: starts the handshake; `opened` follows, and until then
 * stream_write takes nothing. Bytes that arrived behind the OK in clear end the stream with
 * PERMANENT/SESSION (response injection, RFC 9051 11.1). */
void stream_start_tls(struct stream *stream);
/* Everything from here on is DEFLATE both ways (RFC 4978); call when the tagged OK to COMPRESS was
 * received. Inflated bytes beyond 64 KiB per call are delivered in pieces. */
void stream_start_deflate(struct stream *stream);

void stream_facts(const struct stream *stream, struct stream_facts *facts_r);
/* What was written, in bytes on the wire: how many the other side's kernel has acknowledged, and how many it has not,
 * those that were not yet handed to ours included. 0 and 0 where the kernel does not tell. */
void stream_sending(const struct stream *stream, uint64_t *unsent_bytes_r, uint64_t *acknowledged_bytes_r);
/* The live OpenSSL handle for channel binding and certificate details, NULL without TLS.
 * Borrowed until the stream ends. */
struct ssl_st *stream_ssl(struct stream *stream);

/* DNS answers are asked for on helper threads and kept for a minute; call once before the team
 * starts and once after it ended. */
void stream_resolver_start(void);
void stream_resolver_stop(void);

#endif
