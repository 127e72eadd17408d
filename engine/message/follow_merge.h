/* Flags that changed at the source after the copy, brought to a target that people use: which to
 * add, which to take. Three sides are known of a message: what the target was last brought to, what
 * the source has now, what the target has now. What the source changed is followed; what somebody
 * changed on the target stays. Pure.
 */
#ifndef ENGINE_MESSAGE_FOLLOW_MERGE_H
#define ENGINE_MESSAGE_FOLLOW_MERGE_H

#include "engine/imap/keyword.h"
#include "engine/imap/values.h"
#include "store/record.h"

/* Those that are followed. \Deleted is not: who empties the target's folder would lose mail that
 * the source has. */
#define FOLLOW_FLAGS (IMAP_FLAG_SEEN | IMAP_FLAG_ANSWERED | IMAP_FLAG_FLAGGED | IMAP_FLAG_DRAFT)

/* What the target keeps, by its PERMANENTFLAGS (RFC 9051 7.1); without these it keeps all. */
struct follow_keeps {
    unsigned system; /* IMAP_FLAG_ bits */
    bool any_keyword;
    struct slice keywords; /* else these; a space between */
};
struct follow_keeps follow_keeps_of(const struct imap_selected *selected);

/* Texts for STORE, a space between; "" for none. */
struct follow_merge {
    char add[KEYWORDS_BYTES_MAX + 64], take[KEYWORDS_BYTES_MAX + 64];
    bool stays;  /* somebody changed flags on the target that the source has as they were: they stay
                    so */
    bool unkept; /* the source has a flag that the target does not keep */
};

/* The source has other flags than these, as far as they are followed. */
bool follow_differs(const struct follow_flags *base, const struct follow_flags *source);
void follow_merge(const struct follow_flags *base, const struct follow_flags *source, const struct follow_flags *target,
                  const struct follow_keeps *keeps, struct follow_merge *merge_r);
/* What the target was last brought to: what was sent, or what was followed since. follow may be
 * NULL. */
struct follow_flags follow_base(const struct message_record *m, const struct follow_record *follow);

#endif
