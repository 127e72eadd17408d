/* Mailbox names between UTF-8 and modified UTF-7. Reading is lenient, since names only have to be
 * shown: what cannot be decoded stays as it is (quirks N20, N21); SELECT always uses the raw bytes.
 * RFC 3501 5.1.3.
 */
#ifndef ENGINE_IMAP_UTF7_H
#define ENGINE_IMAP_UTF7_H

#include "io/base/buf.h"

/* Appends name as UTF-8. Runs that are no modified UTF-7 are copied as written; bytes that are
 * no UTF-8 either are taken for windows-1252. strict_r (may be NULL) tells whether name was
 * well-formed throughout, so that utf7_encode gives it back. False when the cap is passed. */
bool utf7_decode(struct buf *out, struct slice name, bool *strict_r) ERR_CHECK;
/* Appends UTF-8 text as modified UTF-7. Bytes that are no UTF-8 become U+FFFD. False when the cap
 * is passed. */
bool utf7_encode(struct buf *out, struct slice text) ERR_CHECK;

#endif
