/* Transcript of one IMAP connection for the log at LOG_TRACE: lines both ways, literals as their
 * size only, credentials never. What follows LOGIN or AUTHENTICATE on a line, the lines of the
 * dialogue after it, appear as "[hidden]".
 */
#ifndef IO_WIRE_H
#define IO_WIRE_H

#include "io/base/slice.h"

struct wire;

/* NULL unless the log takes LOG_TRACE; every call takes NULL. name is copied ("host:port"). */
struct wire *wire_create(const char *name);
void wire_destroy(struct wire **w);
void wire_sent(struct wire *w, struct slice bytes);
void wire_received(struct wire *w, struct slice bytes);

#endif
