/* Names to addresses off the loop: getaddrinfo on helper threads, answers kept for a minute and
 * posted to the loop that asked. Equal questions under way are asked once.
 */
#ifndef IO_RESOLVE_H
#define IO_RESOLVE_H

#include "io/base/err.h"
#include "io/loop.h"

#include <netinet/in.h>

#define RESOLVE_ADDRESSES_MAX 8

/* In the order of preference of getaddrinfo (RFC 6724), families alternating (RFC 8305 4). */
struct resolve_list {
    unsigned count;
    union resolve_address {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } addresses[RESOLVE_ADDRESSES_MAX];
};

struct resolve_request;

/* Fills *list_r at once for an IPv4 or IPv6 address in digits; false for anything else. */
bool resolve_numeric(const char *host, uint16_t port, struct resolve_list *list_r) ERR_CHECK;
/* Asks; `answered` comes on the loop's thread, not inside this call: list, or NULL and err
 * (TRANSIENT/SESSION or, for a name that does not exist, PERMANENT/ACCOUNT; origin DNS). The
 * request ends with that call. Threads are started when first needed. */
struct resolve_request *resolve_begin(struct loop *loop, const char *host, uint16_t port,
                                      void (*answered)(void *context, const struct resolve_list *list,
                                                       const struct err *err),
                                      void *context);
/* `answered` does not come. The loop may be destroyed afterwards. */
void resolve_cancel(struct resolve_request *request);

/* A name that needs no asking, for tests and rehearsals: comma-separated addresses in digits, tried
 * in this order, until resolve_forget. False when they are no addresses. */
bool resolve_know(const char *host, const char *addresses) ERR_CHECK;
void resolve_forget(void);

socklen_t resolve_address_size(const union resolve_address *address);
/* "192.0.2.1:993" or "[2001:db8::1]:993" into out[cap >= 64]; returns out. */
const char *resolve_address_text(const union resolve_address *address, char *out, size_t cap);

#endif
