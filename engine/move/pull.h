/* Source to spool: lists a folder into the journal, then fetches what policy lets pass, newest
 * first, several commands in flight, each literal streamed through zstd as it arrives.
 */
#ifndef ENGINE_MOVE_PULL_H
#define ENGINE_MOVE_PULL_H

#include "engine/move/account.h"

/* The worker's link is ready: sets up what pull keeps for it. */
void pull_begin(struct worker *worker);
/* The link is gone: what was in flight is wanted again. After all commands have ended. */
void pull_end(struct worker *worker);
/* Gives the worker its next step, if there is one and it is free. */
void pull_go(struct worker *worker);
/* Nothing is left to list or fetch for this account (folders refused count as done). */
bool pull_finished(const struct account *account);
/* Each folder has its state of this pass: they are chosen from here on. */
void pull_folders_placed(struct account *account);
/* A folder that was done has bodies to be fetched again. */
void pull_undone(struct folder *folder);
/* Some folder is not listed yet. */
bool pull_is_listing(const struct account *account);
/* One more connection would find a folder to work on, and at least so many messages (those of a folder that is not
 * listed by what it tells of itself, and 20 for the listing). */
bool pull_has_room(const struct account *account, uint64_t messages);
/* Messages that are still to be fetched, as far as is known, and in *folders_r how many folders are still to be
 * opened for that. */
uint64_t pull_left(const struct account *account, unsigned *folders_r);
/* Round trips that a message costs a connection, times 64: bodies are asked for in advance. */
#define PULL_ROUNDS_X64 1u

/* pull_less: at the verdict: mail is gone that was not moved, and the source shows none in any folder. */
void pull_tell_emptied(struct account *account);

#endif
