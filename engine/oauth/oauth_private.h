/* Between oauth.c and oauth_device.c. Included by these two only.
 */
#ifndef ENGINE_OAUTH_OAUTH_PRIVATE_H
#define ENGINE_OAUTH_OAUTH_PRIVATE_H

#include "engine/oauth/oauth.h"

#include <jansson.h>

/* Appends "&name=value", percent-encoded; without & at the form's beginning. False when it does not
 * fit. */
bool oauth_append_field(struct buf *form, const char *name, struct slice value) ERR_CHECK;
/* An answer that is a refusal, in words; answer may be NULL. Returns false. */
bool oauth_refused(int status, const json_t *answer, uint32_t retry_after_s, struct err *err_r);
/* Some servers send their numbers as text; 0 when it is neither. */
json_int_t oauth_number(const json_t *value);

#endif
