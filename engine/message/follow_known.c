#include "engine/message/follow_known.h"
#include "io/base/mem.h"

#include <stdlib.h>

struct follow_known {
    struct follow_record *all; /* keywords are malloc'ed */
    size_t count, room;
};

static struct slice kept(struct slice words)
{
    return words.size ? slice_of(slice_dup(words), words.size) : slice_of(NULL, 0);
}

static bool keep(void *context, const struct follow_record *f)
{
    struct follow_known *k = context;
    struct follow_record *one;

    if (f->uid == 0)
        return true;
    if (k->count == k->room) {
        k->room = k->room ? k->room * 2 : 64;
        k->all = mem_resize(k->all, k->room, sizeof *k->all);
    }
    one = &k->all[k->count++];
    *one = *f;
    one->now.keywords = kept(f->now.keywords);
    one->next.keywords = kept(f->next.keywords);
    return true;
}

bool follow_known_load(struct reader *reader, uint32_t user, uint32_t folder, struct follow_known **known_r,
                       struct err *err_r)
{
    *known_r = mem_zero(1, sizeof **known_r);
    if (reader_follows(reader, user, folder, 0, keep, *known_r, err_r))
        return true;
    follow_known_free(known_r);
    return false;
}

void follow_known_free(struct follow_known **known)
{
    if (!*known)
        return;
    for (size_t i = 0; i < (*known)->count; i++) {
        free((char *)(uintptr_t)(*known)->all[i].now.keywords.data);
        free((char *)(uintptr_t)(*known)->all[i].next.keywords.data);
    }
    free((*known)->all);
    free(*known);
    *known = NULL;
}

static int by_uid(const void *a, const void *b)
{
    const struct follow_record *x = a, *y = b;

    return (x->uid > y->uid) - (x->uid < y->uid);
}

const struct follow_record *follow_known_at(const struct follow_known *known, uint32_t uid)
{
    struct follow_record wanted = { .uid = uid };

    return known->count ? bsearch(&wanted, known->all, known->count, sizeof wanted, by_uid) : NULL;
}
