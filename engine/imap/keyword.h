/* Keywords of messages: what a server, a journal or a mailbox's owner calls one, and what may stand in
 * a command, where nothing quotes them. RFC 9051 9: flag-keyword is an atom.
 */
#ifndef ENGINE_IMAP_KEYWORD_H
#define ENGINE_IMAP_KEYWORD_H

#include "io/base/slice.h"

#define KEYWORDS_BYTES_MAX     1024u  /* of one message, with the spaces between; no more go into a command */
#define KEYWORDS_ALL_BYTES_MAX 16384u /* of a mailbox, as PERMANENTFLAGS lists them */

/* Printable ASCII without ( ) { % * " \ ] and space, at least one byte. */
bool keyword_is_atom(struct slice word);

/* Copies those of `words` (separated by spaces) that are atoms to out[max], each behind one space
 * but the first; one that does not fit any more is left out whole. Returns the bytes written;
 * *dropped_r grows by the number of those left out. */
size_t keywords_clean(struct slice words, size_t max, char *out, unsigned *dropped_r);

/* What every server takes: letters, digits, "$", "_", "-", "." and "+", no word longer than 50
 * bytes, no more than 200 bytes of them. Others may be refused, so that nothing must be on its way behind them. */
bool keywords_are_plain(struct slice words);

#endif
