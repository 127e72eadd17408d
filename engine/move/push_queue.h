/* Which folder the target side goes on with, and whether anything is left for it to do: answered without a walk over
 * all folders, of which a public folder tree has tens of thousands. Whoever changes what these questions are decided by
 * touches the folder (the setters of folder.h do it for what they set). Before the next answer each touched folder is
 * looked at, once: it is put into the line of those that have about as much to send, and counted.
 */
#ifndef ENGINE_MOVE_PUSH_QUEUE_H
#define ENGINE_MOVE_PUSH_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

struct account;
struct folder;

/* Line i: from 2^i messages to send for each worker of the folder on. */
#define PUSH_LINES 32u

/* An account's. All zero: no folder. */
struct push_queue {
    struct folder *touched;
    struct folder *first[PUSH_LINES], *last[PUSH_LINES];
    uint32_t filled;           /* bits 1 << line: lines with a folder */
    unsigned unfinished;       /* folders for which something is to be done on the target, or under way */
    unsigned restless;         /* folders that are not as a target rests (account_target_rests) */
    unsigned settling;         /* folders with a lost answer */
    unsigned refused;          /* folders that wait after a refusal (push_later) */
    unsigned sending;          /* messages in APPENDs without an answer */
    struct folder *unanswered; /* those of which messages wait for a look (push_unanswered) */
    struct folder *unmade;     /* those to be made together with others, in the order of the folders */
    uint64_t looks;            /* how often a folder was looked at for any of this */
};

/* A folder's. All zero: not in a queue. */
struct push_place {
    struct folder *next_touched;
    struct folder *next, *previous; /* in its line */
    struct folder *next_unmade, *next_unanswered;
    uint8_t line; /* + 1; 0: in none */
    bool touched, unfinished, restless, settling, refused;
};

/* What decides over the folder's place has changed, or is about to in this turn. */
void push_touch(struct folder *f);
/* The same for all of them: what changed is the account's. */
void push_touch_all(struct account *account);
/* Each folder has its place on the target: they are chosen from here on. */
void push_folders_placed(struct account *account);

/* push_unanswered: forgets those that wait for a look; the journal has them. */
void push_unanswered_drop(struct folder *f);
/* push_said: likewise what was said of its messages. */
void push_said_drop(struct folder *f);

/* All that can be done on the target is done. */
bool push_finished(struct account *account);
/* All that the source has told of is on the target, paired and counted. */
bool push_rests(struct account *account);
/* Some folder waits for the answer that was lost. */
bool push_settles(struct account *account);
/* A folder waits after a refusal that may pass. */
bool push_waits(struct account *account);
/* One more connection would find a folder to work on, and at least so many messages. */
bool push_has_room(struct account *account, uint64_t messages);

#endif
