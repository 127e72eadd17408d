/* The pieces of a set, handed out to connections: each connection is one account's at a time, reads its folders one
 * after the other, and goes over to the account with the most left when its own has no more. Any thread.
 */
#ifndef ENGINE_BENCH_QUEUE_H
#define ENGINE_BENCH_QUEUE_H

#include "engine/bench/corpus.h"

struct queue;
/* users: how many accounts there are; per_user: connections of one at a time. pieces are borrowed, and handed out in an
 * order by account and folder that does not depend on who asks. */
struct queue *queue_create(struct corpus_piece *const *pieces, unsigned count, unsigned users, unsigned per_user);
void queue_destroy(struct queue **queue);

/* An account for a connection that has none: the one with the most messages left for each of its connections. False:
 * none has anything left that one more connection may take. first: in the beginning a connection has its account also
 * when others will have read all of it; false only when each account has per_user connections. */
bool queue_join(struct queue *queue, bool first, unsigned *user_r);
void queue_leave(struct queue *queue, unsigned user);
/* The next piece of this account, or NULL; of the folder that is open (raw name, NULL: none) while it has one. */
struct corpus_piece *queue_next(struct queue *queue, unsigned user,
                                const char *open_folder); /* Pieces that are not handed out. */
unsigned queue_left(struct queue *queue);

#endif
