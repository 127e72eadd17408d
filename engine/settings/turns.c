#include "engine/settings/turns.h"

#include <stdlib.h>

struct queue {
    const struct turn_facts *users;
    enum settings_user_order order;
};

struct turn_facts turns_of(const struct tally *t)
{
    return (struct turn_facts){
        .known = t->found > 0, .messages = t->found, .bytes = t->bytes_found, .left = t->waiting + t->spooled
    };
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare(const void *a, const void *b, void *context)
{
    const struct queue *q = context;
    unsigned i = *(const unsigned *)a, k = *(const unsigned *)b;
    const struct turn_facts *x = &q->users[i], *y = &q->users[k];
    int order = 0;

    if (q->order != SETTINGS_USERS_AS_LISTED)
        order = (int)y->known - (int)x->known;
    if (!order && q->order == SETTINGS_USERS_CLOSEST_TO_DONE)
        order = compare_numbers(x->left, y->left);
    if (!order && q->order != SETTINGS_USERS_AS_LISTED)
        order = compare_numbers(x->bytes, y->bytes);
    if (!order && q->order != SETTINGS_USERS_AS_LISTED)
        order = compare_numbers(x->messages, y->messages);
    return order ? order : compare_numbers(i, k);
}

void turns_order(const struct turn_facts *users, size_t count, enum settings_user_order order, unsigned *order_r)
{
    struct queue queue = { users, order };

    for (size_t i = 0; i < count; i++)
        order_r[i] = (unsigned)i;
    qsort_r(order_r, count, sizeof *order_r, compare, &queue);
}
