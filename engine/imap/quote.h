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
/* Appends the head of text's literal, `{n}` or `{n+}` and CR LF. *waits_r: the server has to ask for the literal before
 * it goes. It does not where nonsync says that literals of this size need not be asked for (session_nonsync); text that
 * holds a line end always waits, for a server that refuses the command must not read the rest as another. False when
 * the cap is passed. RFC 7888. */
bool quote_literal_head(struct buf *out, struct slice text, bool nonsync, bool *waits_r) ERR_CHECK;

#endif
