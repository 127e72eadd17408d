/* Text in Windows' western character set, for the one kind of server that reads names and passwords
 * so (quirk L24).
 */
#ifndef ENGINE_IMAP_WINDOWS1252_H
#define ENGINE_IMAP_WINDOWS1252_H

#include "io/base/buf.h"

/* Appends UTF-8 text translated; text that has a character which the set lacks, or that is no
 * UTF-8, is appended as it is. False when it passes the cap. */
bool windows1252_append(struct slice text, struct buf *out) ERR_CHECK;

#endif
