/* A server that says nothing to a plain connection may be waiting for TLS. One more connection,
 * with TLS from the first byte, finds out. One loop's thread.
 */
#ifndef ENGINE_MOVE_TLS_PROBE_H
#define ENGINE_MOVE_TLS_PROBE_H

#include "io/stream.h"

struct tls_probe;

/* target: as for stream_open, with a tls; its security does not count; copied but for what it
 * borrows. told is called once, unless tls_probe_cancel comes first: the server answers in TLS, with
 * whatever certificate, or it does not. */
struct tls_probe *tls_probe_begin(struct loop *loop, const struct stream_target *target,
                                  void (*told)(void *context, bool speaks_tls), void *context);
/* Nulls; NULL is fine. The connection ends by itself later. */
void tls_probe_cancel(struct tls_probe **tls_probe);

#endif
