/* A message that the target refuses for what goes with it: keywords, flags, a date. Less of it is sent, by steps. */
#include "engine/imap/keyword.h"
#include "engine/message/repair.h"

static bool says(struct slice text, const char *words)
{
    return slice_find_nocase(text, slice_cstr(words)) != SIZE_MAX;
}

#define MARKS (IMAP_FLAG_ANSWERED | IMAP_FLAG_FLAGGED | IMAP_FLAG_DRAFT)

unsigned repair_flags_sent(unsigned repairs, unsigned flags)
{
    unsigned left_out = (repairs & REPAIR_DELETED ? IMAP_FLAG_DELETED : 0u) | (repairs & REPAIR_FLAGS ? MARKS : 0u) |
                        (repairs & REPAIR_SEEN ? IMAP_FLAG_SEEN : 0u);

    return flags & 0x1fu & ~left_out;
}

/* The repairs that leave out what the words name by its very name. */
static unsigned named_exactly(struct slice text)
{
    return (says(text, "\\Deleted") ? REPAIR_DELETED : 0u) | (says(text, "\\Seen") ? REPAIR_SEEN : 0u) |
           (says(text, "\\Answered") || says(text, "\\Flagged") || says(text, "\\Draft") ? REPAIR_FLAGS : 0u);
}

unsigned repair_envelope_next(unsigned repairs, const struct repair_envelope *envelope, struct slice text,
                              enum repair_when when)
{
    static const unsigned order[] = { REPAIR_ODD_KEYWORDS, REPAIR_KEYWORDS, REPAIR_DELETED,
                                      REPAIR_FLAGS,        REPAIR_SEEN,     REPAIR_DATE };
    bool odd = envelope->keywords.size && !keywords_are_plain(envelope->keywords);
    unsigned there = (odd ? REPAIR_ODD_KEYWORDS : 0u) | (envelope->keywords.size ? REPAIR_KEYWORDS : 0u) |
                     (envelope->flags & IMAP_FLAG_DELETED ? REPAIR_DELETED : 0u) |
                     (envelope->flags & MARKS ? REPAIR_FLAGS : 0u) |
                     (envelope->flags & IMAP_FLAG_SEEN ? REPAIR_SEEN : 0u) | (envelope->dated ? REPAIR_DATE : 0u);
    unsigned exactly = named_exactly(text);
    unsigned named =
        exactly | (says(text, "keyword") ? REPAIR_ODD_KEYWORDS | REPAIR_KEYWORDS : 0u) |
        (says(text, "flag") ? REPAIR_ODD_KEYWORDS | REPAIR_KEYWORDS | REPAIR_DELETED | REPAIR_FLAGS | REPAIR_SEEN
                            : 0u) |
        (says(text, "date") && !says(text, "updat") && !says(text, "validat") ? REPAIR_DATE : 0u);

    if (envelope->date_seconds >= 0 && envelope->date_seconds <= INT32_MAX && !(named & REPAIR_DATE))
        there &= ~(unsigned)REPAIR_DATE;
    there &= ~repairs;
    /* Nearly every message has some: a refusal that passes would take them from all that it meets. */
    if (when != REPAIR_LAST)
        there &= ~((REPAIR_FLAGS | REPAIR_SEEN) & ~named);
    if (when == REPAIR_NAMED)
        there &= named | REPAIR_ODD_KEYWORDS;
    else if (there & named)
        there &= named;
    if (there & exactly)
        there &= exactly;
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (there & order[i])
            /* Where nobody names a flag, all of them are one step: a try each would be two more of every bad message.
             */
            return repairs | order[i] |
                   (order[i] == REPAIR_FLAGS && !(named & REPAIR_FLAGS) ? there & REPAIR_SEEN : 0u);
    return 0;
}
