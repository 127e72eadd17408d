#include "engine/rules/refusals.h"

void refusals_took(struct refusals *r, uint32_t seen_at_send)
{
    if (seen_at_send > r->vouched)
        r->vouched = seen_at_send;
    r->row_from = r->seen;
    r->row = r->rounds = 0;
    r->rests = false;
}

/* What is refused in words about itself may still be one of a whole folder's that is out of order. */
static enum refusal judge_words(const struct refusals *r)
{
    return r->row < REFUSALS_ROW_WORDS || r->rounds >= REFUSALS_ROUNDS_WORDS ? REFUSAL_OWN : REFUSAL_REST;
}

enum refusal refusals_judge(struct refusals *r, struct refused *m, bool words, bool others, unsigned most)
{
    bool counted = m->at > r->row_from;

    m->witnessed += m->at && r->vouched >= m->at && m->witnessed < UINT8_MAX;
    m->times += m->times < UINT8_MAX;
    m->at = ++r->seen;
    r->row += !counted;
    if (words)
        return judge_words(r);
    if (m->witnessed >= REFUSALS_WITNESSED)
        return REFUSAL_OWN;
    if (r->row < REFUSALS_ROW && others)
        return REFUSAL_LATER;
    return r->row < REFUSALS_ROW && m->times >= most ? REFUSAL_OWN : REFUSAL_REST;
}

enum refusal refusals_judge_last(const struct refusals *r, const struct refused *m, bool others, unsigned most)
{
    if (m->witnessed || r->vouched >= m->at || r->rounds >= REFUSALS_ROUNDS_WORDS)
        return REFUSAL_OWN;
    if (r->row < REFUSALS_ROW && others)
        return REFUSAL_LATER;
    return r->row < REFUSALS_ROW && m->times >= most ? REFUSAL_OWN : REFUSAL_REST;
}

unsigned refusals_rests(struct refusals *r, const struct refused *m)
{
    r->rests = true;
    return r->row < REFUSALS_ROW ? m->times - 1u : r->rounds++;
}

bool refusals_may_try(const struct refusals *r, const struct refused *m)
{
    return r->row == 0 && r->vouched >= m->at;
}
