/* The largest message that a target mailbox takes, learnt from what it refused: larger ones are then not
 * fetched. Kept in the state folder for the next run (engine/move/limits).
 */
#ifndef ENGINE_MOVE_SIZE_LIMIT_H
#define ENGINE_MOVE_SIZE_LIMIT_H

#include "engine/move/limits.h"

struct account;

/* No limit of a mail server is below this (Exchange Online: 1 to 150 MB): what a smaller message is
 * refused for is its own matter. */
#define SIZE_LIMIT_LEAST_BYTES 1000000u

struct size_limit {
    struct limits_size learnt;
    /* Of this run: the largest that was taken, and the smallest of those refused without a word about size that are
     * larger. */
    uint64_t taken_most_bytes, suspect_bytes;
    unsigned taken, suspects;
    uint64_t offered_bytes; /* APPENDLIMIT of the capabilities (RFC 7889): no message may be larger;
                               0: not told. Not kept: each session tells it. */
};

/* What earlier runs learnt; a retry forgets it, since somebody may have raised the limit. */
void size_limit_begin(struct account *account);
/* The session tells APPENDLIMIT for all mailboxes; 0: it does not. */
void size_limit_offered(struct account *account, uint64_t bytes);
/* A message of so many bytes was refused for its size / was taken. */
void size_limit_refused(struct account *account, uint64_t bytes);
void size_limit_taken(struct account *account, uint64_t bytes);
/* One was refused for good, and nothing was said of its size. True: its size is why, for three or more that were
 * refused so are larger than all of the ten or more that were taken; words_r says so, in its cap bytes, and the limit
 * is learnt. */
bool size_limit_is_why(struct account *account, uint64_t bytes, char *words_r, size_t cap);
/* Would one of so many bytes be refused, as far as is known? mailbox_bytes: the limit of the mailbox it goes
 * to, where the server has one for each (RFC 7889 2.2); 0: not told. */
bool size_limit_forbids(const struct account *account, uint64_t mailbox_bytes, uint64_t bytes);
/* Why, in words for the report; into out[cap]; returns out. */
const char *size_limit_words(const struct account *account, uint64_t mailbox_bytes, char *out, size_t cap);

#endif
