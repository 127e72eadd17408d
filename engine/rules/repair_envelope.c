/* A message that the target refuses for what goes with it: keywords, flags, a date. Less of it is sent, by steps. */
#include "engine/imap/keyword.h"
#include "engine/rules/repair.h"

static bool says(struct slice text, const char *words)
{
    return slice_find_nocase(text, slice_cstr(words)) != SIZE_MAX;
}

unsigned repair_envelope_next(unsigned repairs, const struct repair_envelope *envelope, struct slice text,
                              enum repair_when when)
{
    static const unsigned order[] = { REPAIR_ODD_KEYWORDS, REPAIR_KEYWORDS, REPAIR_DELETED, REPAIR_DATE };
    bool odd = envelope->keywords.size && !keywords_are_plain(envelope->keywords);
    unsigned there = (odd ? REPAIR_ODD_KEYWORDS : 0u) | (envelope->keywords.size ? REPAIR_KEYWORDS : 0u) |
                     (envelope->deleted ? REPAIR_DELETED : 0u) | (envelope->dated ? REPAIR_DATE : 0u);
    unsigned named = (says(text, "keyword") ? REPAIR_ODD_KEYWORDS | REPAIR_KEYWORDS : 0u) |
                     (says(text, "flag") ? REPAIR_ODD_KEYWORDS | REPAIR_KEYWORDS | REPAIR_DELETED : 0u) |
                     (says(text, "\\Deleted") ? REPAIR_DELETED : 0u) |
                     (says(text, "date") && !says(text, "updat") && !says(text, "validat") ? REPAIR_DATE : 0u);

    if (envelope->date_seconds >= 0 && envelope->date_seconds <= INT32_MAX && !(named & REPAIR_DATE))
        there &= ~(unsigned)REPAIR_DATE;
    there &= ~repairs;
    if (when == REPAIR_NAMED)
        there &= named | REPAIR_ODD_KEYWORDS;
    else if (there & named)
        there &= named;
    if (says(text, "\\Deleted") && (there & REPAIR_DELETED))
        there = REPAIR_DELETED;
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (there & order[i])
            return repairs | order[i];
    return 0;
}
