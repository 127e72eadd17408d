/* Mailboxes that are alike, as those of one policy are: what some have learnt of their own budgets
 * is a good guess for the others, which then need not pay for learning it. A class is of mailboxes
 * that were told about the same pause; it has a rate once enough of them know theirs and these
 * agree. Never a cap: a mailbox that shows another rate leaves. Pure.
 */
#ifndef ENGINE_PACE_COHORT_H
#define ENGINE_PACE_COHORT_H

#include <stdbool.h>
#include <stdint.h>

#define COHORT_KEPT    32
#define COHORT_CLASSES 4
#define COHORT_FAR     1.25 /* a rate that differs by so much is another */

struct cohort_known {
    double rate;
    uint32_t lane;
};

struct cohort_class {
    struct cohort_known kept[COHORT_KEPT]; /* one a lane, newest first */
    uint32_t count;
    uint32_t members;
    uint64_t wait_ms;      /* the pause that its mailboxes are told */
    uint64_t heard_ms;     /* when anything was learnt last */
    double rate;           /* of each member; 0 they do not agree, or too few know */
    double lift;           /* grown by, since members were cut last; in `rate` */
    uint64_t made;         /* number of the agreement: a member of an older one is none */
    uint64_t grown_ms;     /* last look at growth */
    uint64_t rest_ms;      /* no agreement before */
    uint64_t cut_ms;       /* a member's last cut, or since when they agree */
    uint32_t cuts;         /* of members, lately */
    uint32_t confirmed;    /* times that growing ended at about the same rate */
    uint64_t try_ms;       /* a member whose rate was never measured tries more from then on */
    uint32_t tried, found; /* such members since they agree, and those that had more */
    uint32_t alike;        /* in a row that had not */
    bool below;            /* no members were cut yet: it grows soon */
};

struct cohort {
    struct cohort_class classes[COHORT_CLASSES];
    uint64_t made;
};

/* A lane that was told to wait wait_ms knows its rate (>= 0). */
void cohort_learnt(struct cohort *k, uint32_t lane, double rate, uint64_t wait_ms, uint64_t now);
/* The lane is gone, or its limit. */
void cohort_forget(struct cohort *k, uint32_t lane);
/* The class of lanes that were told this pause, if it agrees; NULL none. */
struct cohort_class *cohort_find(struct cohort *k, uint64_t wait_ms);
/* What counts as a minute where pauses are long: budgets are refilled slowly there. */
double cohort_minute_ms(const struct cohort_class *c);
/* A member uses its rate up: the class looks for more, soon at first, then as after any cut. */
void cohort_used(struct cohort_class *c, uint64_t now);
/* May a member try whether it has more? One after another, the rarer the more were alike. */
bool cohort_may_try(struct cohort_class *c, uint64_t now);
/* What a try has shown. Where many have more they do not agree any longer. */
void cohort_tried(struct cohort_class *c, bool more, uint64_t now);
/* A member was cut. One of many says little (sizes differ); several end the growth. */
void cohort_cut(struct cohort_class *c, uint64_t now);

#endif
