/* Strings out: which form a string needs on the wire, and the quoted form. RFC 9051 4.3. */
#ifndef ENGINE_IMAP_QUOTE_H
#define ENGINE_IMAP_QUOTE_H

#include "io/base/buf.h"

enum quote_form {
    QUOTE_QUOTED, /* quoted string: 7-bit without CR, LF, NUL */
    QUOTE_LITERAL /* 8-bit or control bytes: only a literal carries them safely */
};

enum quote_form quote_form(struct slice text);
/* Appends the quoted string; text must have that form. False when the cap is passed. */
bool quote_append(struct buf *out, struct slice text) ERR_CHECK;

#endif
