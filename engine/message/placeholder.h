/* What Exchange sends in place of a message that it cannot convert: a mail of its own, of some 736
 * octets, that names the real one. To move it as if it were the message would lose the message
 * without a word (quirk B10). Pure; any bytes are fine.
 */
#ifndef ENGINE_MESSAGE_PLACEHOLDER_H
#define ENGINE_MESSAGE_PLACEHOLDER_H

#include "io/base/slice.h"

#define PLACEHOLDER_BYTES_MAX 4096u /* a longer message is none */

/* message: header and text. On true, subject[cap] is the real message's subject, printable UTF-8, or
 * empty when it is not told. */
bool placeholder_is(struct slice message, char *subject, size_t cap);

#endif
