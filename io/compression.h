/* DEFLATE both ways over a byte stream (RFC 4978), as arithmetic: no socket, no buffer of its own.
 * Memory per stream: 43 KiB to inflate (the peer may use a 32 KiB window), 32 KiB to deflate (what
 * we send is commands, or mail that is compressed already, so a 4 KiB window loses little).
 */
#ifndef IO_COMPRESSION_H
#define IO_COMPRESSION_H

#include "io/base/err.h"
#include "io/base/slice.h"

struct compression;

struct compression *compression_create(void);
void compression_destroy(struct compression **s);
/* Inflates from *in, which is moved past what was used, into out[0..cap); *size_r bytes came out;
 * fewer than cap means that *in is used up. Errors: PERMANENT/SESSION, origin PROTOCOL, for bytes
 * that are no DEFLATE, or that inflate so far beyond any mail (256 MiB more than 256 times what
 * came in) that only an attack explains them. */
bool compression_inflate(struct compression *s, struct slice *in, char *out, size_t cap, size_t *size_r,
                         struct err *err_r) ERR_CHECK;
/* Deflates from *in, likewise; the last bytes may stay inside until compression_flush. */
size_t compression_deflate(struct compression *s, struct slice *in, char *out, size_t cap);
/* Brings out what is inside, so that the peer can read all of it; fewer than cap bytes: done. */
size_t compression_flush(struct compression *s, char *out, size_t cap);
/* Whether a flush would bring anything out. */
bool compression_holds(const struct compression *s);

#endif
