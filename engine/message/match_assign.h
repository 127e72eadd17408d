/* Which messages of ours are already on the target: the messages that have one key, all of them
 * together, against the copies of that key which no other message claims. Pure.
 *
 * A message is given a copy only where that copy can be no other's: with exact sizes one of its
 * very size, else one of a size that a copy of it may have, and of none but those that are like it.
 * Of what is in doubt nothing is given: it is sent, which may double it; taken for another's copy
 * it would be lost.
 */
#ifndef ENGINE_MESSAGE_MATCH_ASSIGN_H
#define ENGINE_MESSAGE_MATCH_ASSIGN_H

#include "engine/message/match_fidelity.h"

#include <stddef.h>

#define MATCH_UNPAIRED UINT32_MAX

/* A message of ours; sorted as match_assign wants them by match_message_order. */
struct match_message {
    int64_t seconds; /* INTERNALDATE, INT64_MIN: none */
    uint64_t bytes;  /* as sent */
    uint64_t digest; /* of its content, 0: not known */
    bool sent;       /* and nobody knows what became of it */
    bool decided;    /* it is sent; a copy that may be its own is nobody else's, unless that is like it */
    uint32_t uid;
    uint32_t pair; /* written: index of its copy, or MATCH_UNPAIRED */
    bool doubtful; /* written: a copy may be its own as well as another's */
};
int match_message_order(const void *a, const void *b);

/* A copy on the target, sorted by date, then size. */
struct match_copy {
    int64_t seconds;
    uint64_t bytes;
    bool ours; /* it came after the first message was sent that nobody knows the end of */
};

struct match_rules {
    const struct match_fidelity *fidelity;
    bool dates_kept; /* copies have the message's INTERNALDATE */
    bool dates_open; /* that is not known: what is ours may be of a message that was sent, whatever its date */
    bool sizes_exact;
    bool named; /* the key is a Message-ID: it may pair by itself where dates are not kept */
};

/* Writes pair of each message. Returns how many messages have none though there is a copy that
 * might be theirs: what more were known of the target's sizes could decide. */
size_t match_assign(struct match_message *messages, size_t message_count, const struct match_copy *copies,
                    size_t copy_count, const struct match_rules *rules);

#endif
