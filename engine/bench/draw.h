/* The listing pass of a benchmark: logs in to the accounts one after the other, lists all their mail by EXAMINE and UID
 * FETCH (no body), and draws the set (engine/bench/corpus). Memory is bounded by the set, whatever the mailboxes hold.
 */
#ifndef ENGINE_BENCH_DRAW_H
#define ENGINE_BENCH_DRAW_H

#include "engine/bench/corpus.h"
#include "engine/move/visit.h"

#define DRAW_MESSAGES_MAX 200000u /* that are kept of all accounts together */

struct draw_plan {
    const struct visit_house *house;
    const struct settings_user *const *users;
    unsigned user_count;
    uint64_t seed;
    unsigned connections; /* accounts listed at once, 1.. */
    unsigned loops;
    bool (*stop)(void); /* may be NULL */
    /* An account is listed; of how many; one at a time, on any thread. May be NULL. */
    void (*told)(void *context, unsigned done, unsigned of);
    void *context;
};

struct draw_result {
    unsigned listed; /* accounts */
    unsigned failed; /* accounts that could not be listed, or not whole */
    unsigned folders_failed;
    bool stopped;
    struct err err; /* the last one, with failed or folders_failed */
    char type[40];
    char id[480];           /* the server's answer to ID, printable, or "" */
    uint32_t round_trip_us; /* the shortest; 0: not known */
};

/* corpus_r: corpus_deinit is due either way. False when the team could not be had. */
bool draw_run(const struct draw_plan *plan, struct corpus *corpus_r, struct draw_result *result_r,
              struct err *err_r) ERR_CHECK;

/* Which accounts: `count` of `of`, chosen by the seed alone; ascending indexes. count is cut to of. */
unsigned draw_accounts(uint64_t seed, const struct settings *settings, unsigned count, unsigned *chosen_r);

#endif
