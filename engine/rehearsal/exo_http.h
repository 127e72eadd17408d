/* HTTP/1.1 as the token and control endpoints need it: one request after the other, bodies with
 * Content-Length. RFC 9112.
 */
#ifndef ENGINE_REHEARSAL_EXO_HTTP_H
#define ENGINE_REHEARSAL_EXO_HTTP_H

#include "engine/rehearsal/exo_loop.h"

#define EXO_HTTP_MAX 131072 /* bytes of a request */

struct exo_request {
    struct slice method, path, query, body; /* in the connection's input */
};

/* The next whole request of the input; *bytes_r are to be consumed after its answer. False when it
 * is not all there; a request that is none is answered 400 and ends the connection. */
bool exo_http_take(struct exo_conn *c, struct exo_request *request_r, size_t *bytes_r);
void exo_http_answer(struct exo_conn *c, unsigned status, struct slice body);
/* The decoded value of a form or query field; false when it is missing or does not fit. */
bool exo_form_field(struct slice form, const char *name, char *out, size_t cap);

/* For struct exo_service. */
void exo_http_opened(struct exo_conn *c);
uint64_t exo_http_deadline(const struct exo_conn *c);
void exo_http_late(struct exo_conn *c, uint64_t now_ms);
void exo_http_gone(struct exo_conn *c);

#endif
