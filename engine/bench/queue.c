#include "engine/bench/queue.h"

#include "io/base/mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct account {
    struct corpus_piece **pieces; /* by folder, then by order; NULL: handed out */
    unsigned count, left, first;  /* first: before it all are handed out */
    uint64_t messages;            /* left */
    unsigned connections;
};

struct queue {
    pthread_mutex_t lock;
    struct corpus_piece **pieces;
    struct account *accounts;
    unsigned users, per_user, left;
};

static int by_place(const void *a, const void *b)
{
    const struct corpus_piece *x = *(struct corpus_piece *const *)a, *y = *(struct corpus_piece *const *)b;
    int folder;

    if (x->user != y->user)
        return x->user < y->user ? -1 : 1;
    folder = strcmp(x->folder, y->folder);
    if (folder)
        return folder;
    if (x->order != y->order)
        return x->order < y->order ? -1 : 1;
    return (x->messages > y->messages) - (x->messages < y->messages); /* parts of one block */
}

struct queue *queue_create(struct corpus_piece *const *pieces, unsigned count, unsigned users, unsigned per_user)
{
    struct queue *q = mem_zero(1, sizeof *q);

    pthread_mutex_init(&q->lock, NULL);
    q->pieces = mem_zero(count + 1u, sizeof *q->pieces);
    if (count)
        memcpy(q->pieces, pieces, count * sizeof *q->pieces);
    if (count)
        qsort(q->pieces, count, sizeof *q->pieces, by_place);
    q->accounts = mem_zero(users + 1u, sizeof *q->accounts);
    q->users = users;
    q->per_user = per_user;
    q->left = count;
    for (unsigned i = 0; i < count; i++) {
        struct account *a = &q->accounts[q->pieces[i]->user];

        if (a->count++ == 0)
            a->pieces = &q->pieces[i];
        a->left++;
        a->messages += q->pieces[i]->count;
    }
    return q;
}

void queue_destroy(struct queue **queue)
{
    if (!*queue)
        return;
    pthread_mutex_destroy(&(*queue)->lock);
    free((*queue)->pieces);
    free((*queue)->accounts);
    free(*queue);
    *queue = NULL;
}

bool queue_join(struct queue *q, bool first, unsigned *user_r)
{
    double most = -1;

    pthread_mutex_lock(&q->lock);
    for (unsigned i = 0; i < q->users; i++) {
        const struct account *a = &q->accounts[i];
        double share = (double)a->messages / (a->connections + 1);

        if (a->connections < q->per_user && (a->left || (first && a->count)) && share > most) {
            most = share;
            *user_r = i;
        }
    }
    if (most >= 0)
        q->accounts[*user_r].connections++;
    pthread_mutex_unlock(&q->lock);
    return most >= 0;
}

void queue_leave(struct queue *q, unsigned user)
{
    pthread_mutex_lock(&q->lock);
    q->accounts[user].connections--;
    pthread_mutex_unlock(&q->lock);
}

/* One of the open folder; else the first of all. */
static unsigned find(const struct account *a, const char *open_folder)
{
    for (unsigned i = a->first; open_folder && i < a->count; i++)
        if (a->pieces[i] && strcmp(a->pieces[i]->folder, open_folder) == 0)
            return i;
    return a->first;
}

struct corpus_piece *queue_next(struct queue *q, unsigned user, const char *open_folder)
{
    struct account *a = &q->accounts[user];
    struct corpus_piece *piece = NULL;

    pthread_mutex_lock(&q->lock);
    while (a->first < a->count && !a->pieces[a->first])
        a->first++;
    if (a->left) {
        unsigned at = find(a, open_folder);

        piece = a->pieces[at];
        a->pieces[at] = NULL;
        a->left--;
        a->messages -= piece->count;
        q->left--;
    }
    pthread_mutex_unlock(&q->lock);
    return piece;
}

unsigned queue_left(struct queue *q)
{
    unsigned left;

    pthread_mutex_lock(&q->lock);
    left = q->left;
    pthread_mutex_unlock(&q->lock);
    return left;
}
