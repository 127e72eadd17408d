/* Texts that repeat (folder names, failure types, server words) as numbers, so that a page for
 * 5,000 users stays small; and pairs of them, counted. */
#ifndef ENGINE_REPORT_INTERN_H
#define ENGINE_REPORT_INTERN_H

#include "io/base/slice.h"

struct intern {
    struct slice *texts; /* owned copies, in order of first appearance */
    unsigned count, room;
    unsigned *slots, slot_count; /* index + 1 */
};

/* The number of text, the same for equal texts. */
unsigned intern_text(struct intern *in, struct slice text);
void intern_deinit(struct intern *in);

/* A source name that became a target name: for how many users and messages. */
struct intern_pair {
    unsigned from, to, users;
    uint64_t messages;
};
struct intern_pairs {
    struct intern_pair *rows;
    unsigned count, room;
    unsigned *slots, slot_count;
};
void intern_pair_add(struct intern_pairs *pairs, unsigned from, unsigned to, uint64_t messages);
/* Most users first; ends the adding. */
void intern_pairs_sort(struct intern_pairs *pairs);
void intern_pairs_deinit(struct intern_pairs *pairs);

#endif
