#include "engine/message/follow_identity.h"
#include "io/base/mem.h"

#include <stdlib.h>
#include <string.h>

#define KINDS 4u /* of what it is known by */

struct gone {
    uint32_t folder, uid;
    bool elsewhere;
    uint8_t known[KINDS][16]; /* zero: not known */
};

struct by {
    uint8_t known[16];
    uint32_t index;
};

struct follow_identity {
    struct gone *all;
    struct by *by[KINDS]; /* sorted by `known`, once the first is seen */
    size_t by_count[KINDS];
    size_t count, room;
    bool sorted;
};

static const uint8_t zero[16];

static bool is_known(const uint8_t known[16])
{
    return memcmp(known, zero, 16) != 0;
}

enum { BY_SOURCE_ID, BY_DIGEST, BY_HEADER, BY_SIZE };

static void known_of(const struct message_record *m, uint8_t known_r[KINDS][16])
{
    memset(known_r, 0, 16 * KINDS);
    memcpy(known_r[BY_SOURCE_ID], &m->source_id, sizeof m->source_id);
    memcpy(known_r[BY_DIGEST], m->digest, 16);
    memcpy(known_r[BY_HEADER], m->header_key, 16);
    if (m->date_known && m->listed_bytes) {
        memcpy(known_r[BY_SIZE], &m->listed_bytes, 8);
        memcpy(known_r[BY_SIZE] + 8, &m->date_seconds, 8);
    }
}

struct follow_identity *follow_identity_create(void)
{
    return mem_zero(1, sizeof(struct follow_identity));
}

void follow_identity_destroy(struct follow_identity **identity)
{
    if (!*identity)
        return;
    for (unsigned kind = 0; kind < KINDS; kind++)
        free((*identity)->by[kind]);
    free((*identity)->all);
    free(*identity);
    *identity = NULL;
}

void follow_identity_add(struct follow_identity *f, uint32_t folder, const struct message_record *m)
{
    if (f->count == f->room) {
        f->room = f->room ? f->room * 2 : 64;
        f->all = mem_resize(f->all, f->room, sizeof *f->all);
    }
    f->all[f->count] = (struct gone){ .folder = folder, .uid = m->uid };
    known_of(m, f->all[f->count++].known);
}

static int by_known(const void *a, const void *b)
{
    return memcmp(a, b, 16);
}

static int by_place(const void *a, const void *b)
{
    const struct gone *x = a, *y = b;

    return x->folder != y->folder ? (x->folder > y->folder) - (x->folder < y->folder)
                                  : (x->uid > y->uid) - (x->uid < y->uid);
}

static void sort(struct follow_identity *f)
{
    f->sorted = true;
    if (f->count)
        qsort(f->all, f->count, sizeof *f->all, by_place);
    for (unsigned kind = 0; kind < KINDS; kind++) {
        f->by[kind] = mem_zero(f->count + 1, sizeof *f->by[kind]);
        for (size_t i = 0; i < f->count; i++)
            if (is_known(f->all[i].known[kind])) {
                memcpy(f->by[kind][f->by_count[kind]].known, f->all[i].known[kind], 16);
                f->by[kind][f->by_count[kind]++].index = (uint32_t)i;
            }
        if (f->by_count[kind])
            qsort(f->by[kind], f->by_count[kind], sizeof *f->by[kind], by_known);
    }
}

static void mark(struct follow_identity *f, unsigned kind, const uint8_t known[16])
{
    size_t low = 0, high = f->by_count[kind];

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (memcmp(f->by[kind][middle].known, known, 16) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < f->by_count[kind] && memcmp(f->by[kind][low].known, known, 16) == 0; low++)
        f->all[f->by[kind][low].index].elsewhere = true;
}

/* The best that is known of it decides; a digest says more than a header, and both more than a
 * size. */
void follow_identity_see(struct follow_identity *f, const struct message_record *m)
{
    uint8_t known[KINDS][16];

    if (!f->sorted)
        sort(f);
    known_of(m, known);
    if (is_known(known[BY_SOURCE_ID]))
        mark(f, BY_SOURCE_ID, known[BY_SOURCE_ID]);
    for (unsigned kind = BY_DIGEST; kind < KINDS; kind++)
        if (is_known(known[kind])) {
            mark(f, kind, known[kind]);
            return;
        }
}

bool follow_identity_is_elsewhere(struct follow_identity *f, uint32_t folder, uint32_t uid)
{
    struct gone wanted = { .folder = folder, .uid = uid }, *found;

    if (!f->sorted)
        sort(f);
    found = f->count ? bsearch(&wanted, f->all, f->count, sizeof wanted, by_place) : NULL;
    return found && found->elsewhere;
}
