/* "did you mean ...?": the candidate with the fewest slips (a letter wrong, missing, too many, or
 * two swapped; case does not count) from what was typed, or none when all are far.
 */
#ifndef ENGINE_CONFIG_NEAREST_H
#define ENGINE_CONFIG_NEAREST_H

#include "io/base/slice.h"

struct nearest {
    struct slice word; /* borrowed */
    const char *best;  /* borrowed from nearest_offer, or NULL */
    unsigned slips;    /* of best */
};

void nearest_init(struct nearest *n, struct slice word);
/* candidate: a constant, or living as long as n. The first of equals wins. */
void nearest_offer(struct nearest *n, const char *candidate);
/* "; did you mean NAME?" with prefix and suffix around NAME, or "" when nothing is near. Returns
 * out. */
const char *nearest_text(const struct nearest *n, const char *prefix, const char *suffix, char *out, size_t cap);

#endif
