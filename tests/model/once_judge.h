/* The model of once.h: what is right, and what the proof at the end notices. Every function is static.
 */
#ifndef TESTS_MODEL_ONCE_JUDGE_H
#define TESTS_MODEL_ONCE_JUDGE_H

#include "tests/model/once_look.h"

/* Does the proof at the end notice that something lacks? The number of messages tells it, or each message does. */
static bool once_noticed(const struct once_search *s, const struct once_state *t)
{
    unsigned there = 0, done = 0, least = t->before + (unsigned)t->since;

    for (unsigned i = 0; i < t->stored_count; i++)
        there += t->stored[i] != ONCE_GONE;
    for (unsigned m = 0; m < s->rules.messages; m++)
        done += t->disk.rows[m].done;
    if (s->rules.proves_all && done > least)
        least = done;
    /* An OK without the UID that others tell, an earlier run that proved nothing, a copy that came late. */
    return there < least || (s->rules.proves_header && (t->withheld || t->lates || t->kills || t->stops));
}

/* Which mail is there too often, or was answered for and is not there at all. */
static void once_judge(struct once_search *s, const struct once_state *t)
{
    bool all_done = t->limbo_count == 0 && t->late_count == 0 && once_idle(s, t);

    for (unsigned m = 0; m < s->rules.messages; m++)
        all_done &= t->disk.rows[m].done;
    for (unsigned m = 0; m < s->rules.messages; m++) {
        unsigned wanted = 0, there = 0, named = 0;

        for (unsigned k = 0; k < s->rules.messages; k++)
            if (once_mail(s, (uint8_t)k) == once_mail(s, (uint8_t)m)) {
                wanted++;
                named += t->lates ? t->mind.rows[k].noted : 0u;
            }
        for (unsigned i = 0; i < t->stored_count; i++)
            there += once_mail(s, t->stored[i]) == once_mail(s, (uint8_t)m);
        s->doubled |= there > wanted + named;
        /* Of what was not stored or was removed nobody can do more than tell. */
        s->lost |= all_done && there < wanted && !((t->unstored || t->removals || t->anew) && once_noticed(s, t));
    }
}

#endif
