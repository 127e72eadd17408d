#include "engine/failure/refusals.h"

void refusals_took(struct refusals *r, uint32_t seen_at_send)
{
    if (seen_at_send > r->vouched)
        r->vouched = seen_at_send;
    r->row_from = r->seen;
    r->row = r->rounds = 0;
    r->rests = false;
    r->took = true;
}

/* What is refused in words about itself may still be one of a whole folder's that is out of order. */
static enum refusal judge_words(const struct refusals *r)
{
    return r->row < REFUSALS_ROW_WORDS || r->rounds >= REFUSALS_ROUNDS_WORDS ? REFUSAL_OWN : REFUSAL_REST;
}

/* A server that says that it passes is given time; others are taken meanwhile. */
static bool is_proved(const struct refused *m, enum refusal_words words, unsigned most)
{
    return m->witnessed >= REFUSALS_WITNESSED && (words != REFUSAL_WORDS_PASSING || m->times >= most);
}

enum refusal refusals_judge(struct refusals *r, struct refused *m, enum refusal_words words, bool others, unsigned most)
{
    bool counted = m->at > r->row_from;

    m->witnessed += m->at && r->vouched >= m->at && m->witnessed < UINT8_MAX;
    m->times += m->times < UINT8_MAX;
    m->at = ++r->seen;
    /* One that is refused while others are taken says little of the folder. */
    r->row += !counted && (m->witnessed == 0 || words == REFUSAL_WORDS_OWN);
    if (words == REFUSAL_WORDS_OWN)
        return judge_words(r);
    if (is_proved(m, words, most))
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

void refusals_unread_first(const struct refusals *r, struct refused *m)
{
    m->times = (uint8_t)r->rounds;
}

enum refusal refusals_judge_unread(struct refusals *r, struct refused *m, bool others, unsigned row, unsigned rounds)
{
    bool counted = m->at > r->row_from, given_since = m->at && r->vouched >= m->at;

    m->at = ++r->seen;
    r->row += !counted;
    if (given_since)
        return REFUSAL_OWN;
    /* Most of its forms were refused before the last wait. */
    if (m->times != (uint8_t)r->rounds)
        return REFUSAL_LATER;
    if (r->rounds >= rounds)
        return REFUSAL_OWN;
    return r->row < row && others ? REFUSAL_LATER : REFUSAL_REST;
}

unsigned refusals_rests(struct refusals *r, const struct refused *m)
{
    r->rests = true;
    r->waited = r->seen;
    return r->row < REFUSALS_ROW ? m->times - 1u : r->rounds++;
}

bool refusals_has_turn(const struct refusals *r, const struct refused *m)
{
    return m->at && m->at <= r->waited;
}

bool refusals_may_try(const struct refusals *r, const struct refused *m)
{
    return r->row == 0 && r->vouched >= m->at;
}
