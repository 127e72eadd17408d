/* Finds a message that may already have arrived: a multiset of what a target folder holds, keyed by
 * what survives a server that rewrites mail (Message-ID, or Date, From and Subject, with
 * INTERNALDATE), never by size or digest alone. engineering.md A6.2-3.
 */
#ifndef ENGINE_RULES_TWIN_H
#define ENGINE_RULES_TWIN_H

#include "engine/imap/values.h"

#define TWIN_KEY_BYTES 16

/* The key of a message's header (its beginning up to the first empty line, at most 256 KiB are looked
 * at). Two copies of one message have equal keys, whatever line folding or blanks a server changed.
 * The first byte tells the kind: 'M' by Message-ID, 'D' by Date, From and Subject, 'E' none of them. */
void twin_key(struct slice header, uint8_t key_r[TWIN_KEY_BYTES]);

struct twins; /* a folder's candidates; about 40 bytes each */

struct twins *twins_create(void);
void twins_destroy(struct twins **twins);
/* Adds a message of the target. */
void twins_add(struct twins *twins, const uint8_t key[TWIN_KEY_BYTES], const struct imap_date *date,
               uint64_t size_bytes, uint32_t uid);
/* Takes away the candidate with this UID; false when there is none. */
bool twins_drop_uid(struct twins *twins, uint32_t uid);
/* Takes the candidate that pairs with a message, if any: equal key and INTERNALDATE (to the second);
 * among several the one nearest in size, so that equal mails pair one to one. exact_size: the target
 * does not rewrite mail, so a message without any identifying header must also have its very size.
 * *uid_r is the candidate's UID. */
bool twins_take(struct twins *twins, const uint8_t key[TWIN_KEY_BYTES], const struct imap_date *date,
                uint64_t size_bytes, bool exact_size, uint32_t *uid_r);
size_t twins_count(const struct twins *twins);
/* True when both hold the same UIDs: two looks at a folder agree. */
bool twins_same(struct twins *a, struct twins *b);

#endif
