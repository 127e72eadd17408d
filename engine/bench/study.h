/* A whole benchmark: one set of mail, read once as it is found (cold), then by each step several times, the steps in a
 * random order within each repeat; at the end, where more connections gained nothing, what limits. Passes are
 * engine/bench/read_bench's, the set is engine/bench/corpus's, the words are engine/bench/verdict's.
 */
#ifndef ENGINE_BENCH_STUDY_H
#define ENGINE_BENCH_STUDY_H

#include "engine/bench/read_bench.h"
#include "engine/bench/stats.h"
#include "engine/bench/verdict.h"

#define STUDY_STEPS_MAX   32u
#define STUDY_REPEATS_MAX 100u
#define STUDY_SECONDS_MAX 3600u /* that are kept for the course; then every second one is */

struct study_spec {
    unsigned connections, per_user, depth, per_fetch;
    bool compress;
};

struct study_pass {
    unsigned step, repeat;
    double began_s; /* since the study began */
    enum read_bench_end end;
    double seconds, bytes_per_s, messages_per_s;
    uint64_t messages, bytes, again, missed, errors, turned_away;
    unsigned connected;
    double cpu_s, wait_s, machine, login_s, held_s;
};

struct study_step {
    struct study_spec spec;
    bool left_out;                            /* the accounts cannot have so many connections */
    unsigned passes;                          /* with something measured */
    unsigned connected;                       /* fewest of a pass */
    struct stats bytes_per_s, messages_per_s; /* of its passes */
    struct read_bench_result *total;
    double cpu_s, wait_s, machine; /* machine: mean of the passes; below 0: not known */
};

/* A second of some pass. */
struct study_second {
    double at_s; /* since the study began */
    unsigned step;
    struct read_bench_second of;
};

extern const char study_interrupted[];

enum study_phase { STUDY_CALIBRATING, STUDY_COLD, STUDY_STEPS, STUDY_CONTRAST };

struct study_config {
    const struct visit_house *house;
    const struct settings_user *const *users;
    unsigned user_count;
    struct study_spec specs[STUDY_STEPS_MAX];
    unsigned step_count, repeats;
    double seconds;         /* longest pass; the set is so large that the first step needs about four fifths of it */
    double rate;            /* open loop: messages a second; 0: closed */
    double seconds_max;     /* of all; 0: no bound; below 0: it is over */
    uint64_t bytes_max;     /* of all; 0: no bound */
    uint64_t set_bytes_max; /* 0: by the time alone */
    uint64_t seed;
    double round_trip_s; /* 0: not known */
    unsigned loops;
    struct polite_config polite;
    bool (*stop)(void);
    /* All may be NULL. pass: begins; ended: with what it gave, before it is merged. second: on another thread. */
    void (*pass)(void *context, enum study_phase phase, unsigned step, unsigned repeat);
    void (*second)(void *context, const struct read_bench_second *second);
    void (*ended)(void *context, enum study_phase phase, unsigned step, unsigned repeat,
                  const struct read_bench_result *result);
    void *context;
};

struct study {
    struct study_config config;
    struct corpus corpus;         /* the caller puts it in */
    struct corpus_piece *cut;     /* the corpus's pieces, cut so that all connections have some */
    struct corpus_piece **pieces; /* of cut: the set */
    unsigned cut_count, piece_count;
    struct corpus_shape set;
    struct study_step steps[STUDY_STEPS_MAX];
    unsigned cold_step;
    struct read_bench_result *cold; /* the first reading of the set, by that step */
    struct study_pass *passes;
    unsigned pass_count;
    struct study_second *course;
    unsigned course_count, course_every;
    struct read_bench_result *scratch;
    struct polite *polite;
    double began_s;
    uint64_t bytes_read;
    const char *ended; /* NULL: it ran to its end; else study_interrupted, "max-time", "max-bytes" */
    double held_p95_ms;
    struct verdict_knee knee;
    enum verdict_limit limit;
    char limit_text[VERDICT_TEXT_BYTES];
    struct verdict_facts facts;
    unsigned now_step; /* for the course */
};

/* study: zeroed, with config and corpus; study_deinit is due either way (it frees the corpus). False when the team
 * could not be had. */
bool study_run(struct study *study, struct err *err_r) ERR_CHECK;
void study_deinit(struct study *study);
/* The step as its spec says it beside the first one: "8", "8, depth 1", "8, COMPRESS". */
const char *study_step_name(const struct study *study, unsigned step, char out[80]);

#endif
