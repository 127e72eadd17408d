/* What a target makes of the mail it is given, as far as copies tell by which a message is known
 * again: does it tell the exact size of a message, and keep its INTERNALDATE? Taken for granted
 * from the preset at first, then learnt from our own copies there, whose UID is known, and from
 * messages of which there can be no other copy.
 */
#ifndef ENGINE_MESSAGE_MATCH_FIDELITY_H
#define ENGINE_MESSAGE_MATCH_FIDELITY_H

#include <stdbool.h>
#include <stdint.h>

#define MATCH_SAMPLES 64u

struct match_fidelity {
    bool rewrites; /* the preset: a target that makes its own of a mail, and estimates sizes */
    uint32_t size_same, size_other, date_same, date_other;
    struct {
        uint64_t sent, told;
    } samples[MATCH_SAMPLES]; /* the last pairs of sizes, a ring */
    unsigned sample_count;
};

/* A copy on the target: our_own: its UID was told for this very message; else it only can be no
 * other's. */
void match_fidelity_size(struct match_fidelity *m, uint64_t sent_bytes, uint64_t told_bytes, bool our_own);
void match_fidelity_date(struct match_fidelity *m, bool same, bool our_own);

/* The sizes it tells are those of what was sent. last: no more is going to be learnt before it must be decided. */
bool match_sizes_exact(const struct match_fidelity *m, bool last);
/* Nothing was seen that supports what match_sizes_exact says. */
bool match_sizes_assumed(const struct match_fidelity *m);
/* INTERNALDATE stays as it was sent. last: no more is going to be learnt before it must be decided.
 */
bool match_dates_kept(const struct match_fidelity *m, bool last);
bool match_dates_assumed(const struct match_fidelity *m);
/* It is not known to stay: nothing has shown that it does, or it does not. */
bool match_dates_open(const struct match_fidelity *m);

/* Sizes that a copy of a message may have. */
struct match_range {
    uint64_t least, most;
};
/* Of any copy that is whole, where sizes are not exact: a target that makes its own of a mail, from half of what was
 * sent on; others, near to it. */
struct match_range match_sizes_of(const struct match_fidelity *m, uint64_t sent_bytes);
/* What was sent may have had, where a copy has this size: the same question from the other side. */
struct match_range match_sent_of(const struct match_fidelity *m, uint64_t told_bytes);
/* Of a copy that deviates as those do that are known; false when too few are known. */
bool match_sizes_learnt(const struct match_fidelity *m, uint64_t sent_bytes, struct match_range *range_r);

#endif
