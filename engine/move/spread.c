#include "engine/move/spread.h"

/* Opening a folder costs a connection so many round trips before mail flows: EXAMINE, the listing, the first bodies. */
#define FOLDER_ROUNDS 3u
/* Mail that is moved by another connection is work all the same, and both ends may be at work already: only what
 * saves a login's time so often is worth one. */
#define LOGIN_TIMES 5u
/* A mailbox is the last one when each of its connections has so many times what one of the others has. */
#define LAST_TIMES 2u
/* What a message takes before any has moved. */
#define MESSAGE_US 1000u
/* Of what spread_moved was told before, each call keeps so much. */
#define FADES 0.9

static void keep_least(uint32_t *least, uint64_t us)
{
    uint32_t capped = us == 0 ? 1 : us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;

    if (*least == 0 || capped < *least)
        *least = capped;
}

void spread_logged_in(struct spread_line *line, uint32_t round_trip_us, uint32_t login_us)
{
    if (round_trip_us)
        keep_least(&line->round_trip_us, round_trip_us);
    keep_least(&line->login_us, login_us);
}

void spread_answered(struct spread_line *line, uint64_t answer_us)
{
    keep_least(&line->window_us, answer_us);
    keep_least(&line->answer_us, answer_us);
    if (++line->answers < SPREAD_ANSWERS)
        return;
    line->answer_us = line->window_us;
    line->window_us = 0;
    line->answers = 0;
}

void spread_moved(struct spread_line *line, uint64_t busy_us, uint64_t messages)
{
    line->busy_us = line->busy_us * FADES + (double)busy_us;
    line->messages = line->messages * FADES + (double)messages;
}

/* What the mailbox's connections would spend waiting, were there but one. */
static uint64_t waiting_us(const struct spread_line *line, const struct spread_mailbox *m)
{
    uint64_t round = line->round_trip_us >= SPREAD_FAR_US ? line->round_trip_us : 0;
    uint64_t message = round * m->rounds_x64 / 64;

    if (line->answer_us >= SPREAD_LATE_US && line->answer_us > message)
        message = line->answer_us;
    return m->ready * message + m->folders * FOLDER_ROUNDS * round;
}

static uint64_t working_us(const struct spread_line *line, const struct spread_mailbox *m)
{
    double message = line->messages >= 1 ? line->busy_us / line->messages : MESSAGE_US;

    return (uint64_t)((double)m->ready * message);
}

/* What takes us on one connection ends so much earlier on links + 1 of them than on links. */
static uint64_t saved(uint64_t us, unsigned links)
{
    return us / links / (links + 1);
}

enum spread_why spread_another(const struct spread_line *line, const struct spread_mailbox *m,
                               const struct spread_others *others)
{
    uint64_t login = line->login_us;

    if (m->links >= m->most || login == 0)
        return SPREAD_NOT;
    if (saved(waiting_us(line, m), m->links) >= login)
        return SPREAD_WAITS;
    /* What spread_moved told is of one message on one connection, with the others at work beside it. */
    if (saved(working_us(line, m), m->links) < login * LOGIN_TIMES)
        return SPREAD_NOT;
    if (others->links + m->links < m->most)
        return SPREAD_FEW;
    if (others->unknown == 0 && m->left / m->links > LAST_TIMES * (others->left / (others->links ? others->links : 1)))
        return SPREAD_LAST;
    return SPREAD_NOT;
}

const char *spread_name(enum spread_why why)
{
    static const char *const names[] = {
        [SPREAD_NOT] = "not", [SPREAD_WAITS] = "waits", [SPREAD_FEW] = "few", [SPREAD_LAST] = "last"
    };

    return names[why];
}
