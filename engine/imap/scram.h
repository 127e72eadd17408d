/* SCRAM-SHA-1 and SCRAM-SHA-256, with and without -PLUS: the client's part (RFC 5802, RFC 7677, RFC
 * 9266). Hashing the password, which a server can make as costly as a quarter of a second, is a
 * piece of work of its own that any thread may do.
 */
#ifndef ENGINE_IMAP_SCRAM_H
#define ENGINE_IMAP_SCRAM_H

#include "io/base/buf.h"

struct ssl_st;

/* RFC 7677 asks for 4,096 at least, of fewer the answer is a gift to who stands in the middle and
 * guesses passwords; stores in use go to some 600,000. */
#define SCRAM_ROUNDS_MIN 4096
#define SCRAM_ROUNDS_MAX 1000000

/* Both sides of the handshake are bound to this one: TLS 1.3, or below it with RFC 7627, without
 * which tls-unique can be made equal on two connections. RFC 9266 4. ssl may be NULL: no TLS. */
bool scram_can_bind(const struct ssl_st *ssl);

/* ---- the hashing ---- */

struct scram_work; /* holds a copy of the password; belongs to one thread at a time */

/* challenge: the server's first message, base64. sha1: else SHA-256. NULL when it cannot be read
 * (*rounds_r is 0) or wants a number of rounds that is not computed (*rounds_r). */
struct scram_work *scram_work_create(struct slice challenge, struct slice password, bool sha1, long *rounds_r);
/* What it costs to run, in rounds. */
unsigned scram_work_rounds(const struct scram_work *work);
/* Computes; on any thread, and without a look at anything else. */
void scram_work_run(struct scram_work *work);
/* Wipes, frees and nulls; NULL is fine. */
void scram_work_destroy(struct scram_work **work);

/* ---- one exchange ---- */

struct scram;

/* Whether the exchange is bound to TLS, and what the server is told of it, RFC 5802 6. */
enum scram_binding {
    SCRAM_UNBOUND, /* "n": we cannot, or it is broken at this server */
    SCRAM_WOULD,   /* "y": we could, and think that the server cannot: one that can, and whose offer
                      somebody took out,   refuses */
    SCRAM_BOUND    /* "p": with -PLUS */
};

/* authzid: NULL for none. ssl: not for SCRAM_UNBOUND. NULL when the name is none by SASLprep, or
 * TLS gives nothing to bind to. */
struct scram *scram_create(struct slice user, const char *authzid, bool sha1, enum scram_binding binding,
                           struct ssl_st *ssl);
/* Wipes, frees and nulls; NULL is fine. */
void scram_destroy(struct scram **scram);

/* The three messages, in this order; each returns NULL, or what is wrong (a text without an end of
 * its own). They append base64 to out, never the password or what it could be guessed from more
 * easily than RFC 5802 has it. */
const char *scram_first(struct scram *scram, struct buf *out);
/* challenge: as for work, which has run. */
const char *scram_final(struct scram *scram, struct slice challenge, const struct scram_work *work, struct buf *out);
/* challenge: the server's last message; it knows the password when this returns NULL. */
const char *scram_verify(struct scram *scram, struct slice challenge);

/* The word of a server that refuses in place of its first message ("e=...", RFC 5802 7), printable;
 * "" of any other. */
void scram_refusal(struct slice challenge, char text_r[96]);
/* The refusal of a server that can bind, and reads that we think it cannot. */
#define SCRAM_CAN_BIND "server-does-support-channel-binding"

#endif
