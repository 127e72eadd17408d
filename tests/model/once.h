/* A model of how mail goes into one target folder exactly once (docs/architecture.md, steps 4 to 7), searched
 * exhaustively: every order of sending, storing, answering, losing, refusing, committing, looking, stopping and being
 * killed, on some connections that carry several messages each, pipelined or in one MULTIAPPEND. What the target was
 * sent is stored before the look for it, or never; but for some (`lates`) that it stores at any time after: those may
 * be doubled, and have to be named. Each rule of the protocol is a switch; without it the search finds a message that
 * is doubled, and not named, or lost. What was answered OK and not stored, or was removed, is lost in any case, and has
 * to be told: the model has the proof at the end for that. Every function is static.
 *
 * No matter of it, since they are not about the order of things in one folder: a second program that sends the same
 * mail (test_tidy, test_account), bytes that a closed socket goes on sending (test_stop; here it is the rule
 * `settles`), what of the journal is on the disk after a power loss (unit store_crash, store_durable), `retry`, which
 * is one more proof (test_account), and how near two estimated sizes are (unit move_twin, twin_assign).
 */
#ifndef TESTS_MODEL_ONCE_H
#define TESTS_MODEL_ONCE_H

#include "tests/model/once_steps.h"

/* Searches all of it; the result is in s. */
static void once_search(struct once_search *s, const struct once_rules *rules)
{
    struct once_state first;

    *s = (struct once_search){ .rules = *rules };
    memset(&first, 0, sizeof first);
    first.lost_above = first.snapshot = ONCE_NONE;
    first.running = 1;
    /* What holds mail is looked at before it is sent to. */
    first.closed = rules->prefilled > 0;
    for (unsigned i = 0; i < rules->prefilled; i++)
        first.stored[first.stored_count++] = (uint8_t)(i + 1 + (rules->cut ? ONCE_CUT : 0));
    once_push(s, &first);
    while (s->stack_count && !s->doubled && !s->lost && !s->full) {
        struct once_state at = s->stack[--s->stack_count];

        once_judge(s, &at);
        once_steps(s, &at);
    }
    free(s->seen);
    free(s->stack);
}

#endif
