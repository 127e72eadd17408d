/* Happy eyeballs (RFC 8305 5): tries the addresses of a server 250 ms apart, or at once when one
 * fails, and keeps the first connection that stands.
 */
#ifndef IO_DIAL_H
#define IO_DIAL_H

#include "io/conn.h"
#include "io/resolve.h"

#define DIAL_STAGGER_MS 250

struct dial;

/* connected: conn is the receiver's from then on, which hands its own events over at once. failed:
 * no address answered; err is TRANSIENT/SESSION, origin OS, with the first address's fault. Either
 * ends the dial, never inside dial_begin. */
struct dial_events {
    void (*connected)(void *context, struct conn *conn, const union resolve_address *address);
    void (*failed)(void *context, const struct err *err);
};

struct dial *dial_begin(struct loop *loop, const struct resolve_list *list, const struct dial_events *events,
                        void *context);
/* No event follows. Nulls; NULL is fine. */
void dial_cancel(struct dial **dial);

#endif
