/* What `plan` knows of a batch: the state folder's inventory, and what was asked of the targets. In
 * order: plan_open, for each user plan_meet or plan_meet_nobody, plan_read, plan_print_...
 */
#ifndef ENGINE_CLI_PLAN_H
#define ENGINE_CLI_PLAN_H

#include "engine/inspect/forecast.h"
#include "engine/inspect/survey.h"
#include "engine/move/batch.h"
#include "store/reader.h"

#include <jansson.h>

/* Warnings of so many kinds about one user are cut when they come by the hundred. */
#define PLAN_KINDS_MAX 12

struct plan_user {
    const struct settings_user *user;
    uint32_t id; /* in the journal; 0: not there */
    uint64_t found, move, bytes_move;
    uint64_t done; /* moved by earlier runs, or recognised on the target by them */
    uint64_t skip[SKIP_REASON_COUNT];
    struct forecast_user work;
    unsigned days;                 /* that a daily limit alone makes it take; 0: no limit */
    const struct batch_look *look; /* what this plan saw of the mailbox at the source */
    json_t *warnings;              /* [{ type, text }] */
    struct {
        char type[40];
        unsigned count;
    } kinds[PLAN_KINDS_MAX];
    /* the target's mailbox, as far as known */
    bool known, counted, has_free_bytes, has_free_messages;
    uint64_t target_messages, free_bytes, free_messages;
    uint64_t message_bytes_max; /* APPENDLIMIT; 0: not told */
    uint64_t too_large;         /* messages to be moved that are larger */
};

struct plan_split;

struct plan {
    const struct settings *settings;
    struct spool *spool;
    struct reader *reader;
    struct plan_user *users; /* as settings->users */
    struct forecast forecast;
    const char *why_ended;
    unsigned unplanned;             /* users; known when plan_read has run */
    json_t *warnings;               /* [text], about the batch file, as unmatched_tell left them */
    const struct plan_split *split; /* borrowed; NULL: no division was asked for */
};

/* Finds the users. looks: of batch_run, borrowed; why_ended: what stopped it before all were looked at, or
 * NULL. plan_deinit is due either way. All errors: as store/reader's. */
bool plan_open(struct plan *plan, struct spool *spool, const struct settings *settings, const struct batch_look *looks,
               const char *why_ended, struct err *err_r) ERR_CHECK;
void plan_deinit(struct plan *plan);

/* What a user's target mailbox is, and what the folders will be called there. */
bool plan_meet(struct plan *plan, const struct survey_mailbox *box, struct err *err_r) ERR_CHECK;
/* The target is not asked: names are as for an empty mailbox. */
bool plan_meet_nobody(struct plan *plan, unsigned index, struct err *err_r) ERR_CHECK;

/* Counts messages, warns, and forecasts. */
bool plan_read(struct plan *plan, struct err *err_r) ERR_CHECK;

void plan_print_json(const struct plan *plan);
void plan_print_text(const struct plan *plan);

#endif
