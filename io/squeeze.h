/* DEFLATE both ways over a byte stream (RFC 4978), as arithmetic: no socket, no buffer of its own.
 * Memory per stream: 43 KiB to inflate (the peer may use a 32 KiB window), 32 KiB to deflate (what
 * we send is commands, or mail that is compressed already, so a 4 KiB window loses little).
 */
#ifndef IO_SQUEEZE_H
#define IO_SQUEEZE_H

#include "io/base/err.h"
#include "io/base/slice.h"

struct squeeze;

struct squeeze *squeeze_create(void);
void squeeze_destroy(struct squeeze **s);
/* Inflates from *in, which is moved past what was used, into out[0..cap); *size_r bytes came out;
 * fewer than cap means that *in is used up. Errors: PERMANENT/SESSION, origin PROTOCOL, for bytes
 * that are no DEFLATE, or that inflate so far beyond any mail (256 MiB more than 256 times what
 * came in) that only an attack explains them. */
bool squeeze_inflate(struct squeeze *s, struct slice *in, char *out, size_t cap, size_t *size_r,
                     struct err *err_r) ERR_CHECK;
/* Deflates from *in, likewise; the last bytes may stay inside until squeeze_flush. */
size_t squeeze_deflate(struct squeeze *s, struct slice *in, char *out, size_t cap);
/* Brings out what is inside, so that the peer can read all of it; fewer than cap bytes: done. */
size_t squeeze_flush(struct squeeze *s, char *out, size_t cap);
/* Whether a flush would bring anything out. */
bool squeeze_holds(const struct squeeze *s);

#endif
