#include "engine/bench/corpus.h"

#include "io/base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Upper ends, in bytes; the last class has none. */
static const uint64_t class_ends[CORPUS_CLASSES - 1] = { 10000, 100000, 1000000, 10000000 };
const char *const corpus_class_names[CORPUS_CLASSES] = { "<10KB", "10-100KB", "100KB-1MB", "1-10MB", ">=10MB" };

struct row {
    uint64_t order, bytes;
    uint32_t folder, uid;
};

struct corpus_sieve {
    uint64_t seed;
    unsigned keep;
    char **folders;
    unsigned folder_count;
    uint64_t folder_hash;
    struct row *rows;
    unsigned count, room;
    uint64_t limit;                    /* blocks with a larger number are out */
    struct corpus_shape found, before; /* before: this folder */
};

unsigned corpus_class(uint64_t bytes)
{
    unsigned size_class = 0;

    while (size_class < CORPUS_CLASSES - 1 && bytes >= class_ends[size_class])
        size_class++;
    return size_class;
}

uint64_t corpus_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* FNV-1a, mixed. */
uint64_t corpus_number(uint64_t seed, struct slice text)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325) ^ seed;

    for (size_t i = 0; i < text.size; i++)
        h = (h ^ (unsigned char)text.data[i]) * UINT64_C(0x100000001b3);
    return corpus_random(&h);
}

struct corpus_sieve *corpus_sieve_create(uint64_t seed, struct slice name, unsigned keep_messages)
{
    struct corpus_sieve *s = mem_zero(1, sizeof *s);

    s->seed = corpus_number(seed, name);
    s->keep = keep_messages ? keep_messages : 1;
    s->limit = UINT64_MAX;
    s->found.users = 1;
    return s;
}

void corpus_sieve_folder(struct corpus_sieve *s, struct slice folder)
{
    s->before = s->found;
    s->found.folders++;
    s->folders = mem_resize(s->folders, s->folder_count + 1u, sizeof *s->folders);
    s->folders[s->folder_count++] = slice_dup(folder);
    s->folder_hash = corpus_number(s->seed, folder);
}

static int by_order(const void *a, const void *b)
{
    const struct row *x = a, *y = b;

    return x->order != y->order     ? x->order < y->order ? -1 : 1
           : x->folder != y->folder ? x->folder < y->folder ? -1 : 1
           : x->uid != y->uid       ? x->uid < y->uid ? -1 : 1
                                    : (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

/* In order, each message once (the larger of two sizes counts), and whole blocks up to the number that is kept. */
static void sift(struct corpus_sieve *s)
{
    unsigned kept = 0;

    if (s->count == 0)
        return;
    if (s->count)
        qsort(s->rows, s->count, sizeof *s->rows, by_order);
    for (unsigned i = 1; i < s->count; i++)
        if (s->rows[i].uid != s->rows[kept].uid || s->rows[i].folder != s->rows[kept].folder)
            s->rows[++kept] = s->rows[i];
    s->count = kept + 1;
    if (s->count <= s->keep)
        return;
    kept = s->keep;
    while (kept < s->count && s->rows[kept].order == s->rows[kept - 1].order)
        kept++;
    s->count = kept;
    s->limit = s->rows[kept - 1].order;
}

void corpus_sieve_row(struct corpus_sieve *s, uint32_t uid, uint64_t bytes)
{
    uint64_t state = s->folder_hash ^ uid / CORPUS_BLOCK, order = corpus_random(&state);
    unsigned class = corpus_class(bytes);

    assert(s->folder_count > 0);
    s->found.messages++;
    s->found.bytes += bytes;
    s->found.class_messages[class]++;
    s->found.class_bytes[class] += bytes;
    if (order > s->limit)
        return;
    if (s->count == s->room && s->count >= 2 * s->keep + CORPUS_BLOCK)
        sift(s);
    if (s->count == s->room) {
        s->room = s->room ? s->room * 2 : 256;
        s->rows = mem_resize(s->rows, s->room, sizeof *s->rows);
    }
    s->rows[s->count++] = (struct row){ order, bytes, s->folder_count - 1, uid };
}

void corpus_sieve_void(struct corpus_sieve *s)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < s->count; i++)
        if (s->rows[i].folder + 1 != s->folder_count)
            s->rows[kept++] = s->rows[i];
    s->count = kept;
    s->found = s->before;
}

uint64_t corpus_sieve_memory(const struct corpus_sieve *s)
{
    return s->room * sizeof *s->rows + s->folder_count * (sizeof *s->folders + 64);
}

static void add(struct corpus_shape *to, const struct corpus_shape *from)
{
    to->messages += from->messages;
    to->bytes += from->bytes;
    to->folders += from->folders;
    to->users += from->users;
    for (unsigned i = 0; i < CORPUS_CLASSES; i++) {
        to->class_messages[i] += from->class_messages[i];
        to->class_bytes[i] += from->class_bytes[i];
    }
}

static struct corpus_piece *new_piece(struct corpus *corpus)
{
    if (corpus->count == corpus->room) {
        corpus->room = corpus->room ? corpus->room * 2 : 64;
        corpus->pieces = mem_resize(corpus->pieces, corpus->room, sizeof *corpus->pieces);
    }
    return &corpus->pieces[corpus->count++];
}

void corpus_keep(struct corpus *corpus, struct corpus_sieve **sieve, unsigned user)
{
    struct corpus_sieve *s = *sieve;

    sift(s);
    for (unsigned i = 0, end; i < s->count; i = end) {
        struct corpus_piece *p = new_piece(corpus);

        for (end = i + 1;
             end < s->count && s->rows[end].order == s->rows[i].order && s->rows[end].folder == s->rows[i].folder;)
            end++;
        *p = (struct corpus_piece){ .order = s->rows[i].order,
                                    .user = user,
                                    .count = end - i,
                                    .folder = mem_text(s->folders[s->rows[i].folder]),
                                    .messages = mem_zero(end - i, sizeof *p->messages) };
        for (unsigned k = 0; k < p->count; k++) {
            p->messages[k] = (struct corpus_message){ .uid = s->rows[i + k].uid, .bytes = s->rows[i + k].bytes };
            p->bytes += p->messages[k].bytes;
        }
    }
    add(&corpus->found, &s->found);
    corpus_sieve_destroy(sieve);
}

void corpus_sieve_destroy(struct corpus_sieve **sieve)
{
    struct corpus_sieve *s = *sieve;

    if (!s)
        return;
    for (unsigned i = 0; i < s->folder_count; i++)
        free(s->folders[i]);
    free(s->folders);
    free(s->rows);
    free(s);
    *sieve = NULL;
}

static int pieces_by_order(const void *a, const void *b)
{
    const struct corpus_piece *x = a, *y = b;

    return x->order != y->order ? x->order < y->order ? -1 : 1
           : x->user != y->user ? x->user < y->user ? -1 : 1
                                : strcmp(x->folder, y->folder);
}

void corpus_sort(struct corpus *corpus)
{
    if (corpus->count)
        qsort(corpus->pieces, corpus->count, sizeof *corpus->pieces, pieces_by_order);
}

unsigned corpus_take(const struct corpus *corpus, unsigned first, uint64_t bytes, uint64_t messages)
{
    uint64_t b = 0, m = 0;
    unsigned at = first;

    while (at < corpus->count && (at == first || ((!bytes || b + corpus->pieces[at].bytes <= bytes) &&
                                                  (!messages || m + corpus->pieces[at].count <= messages)))) {
        b += corpus->pieces[at].bytes;
        m += corpus->pieces[at++].count;
    }
    return at - first;
}

static int by_place(const void *a, const void *b)
{
    const struct corpus_piece *x = *(const struct corpus_piece *const *)a, *y = *(const struct corpus_piece *const *)b;

    return x->user != y->user ? x->user < y->user ? -1 : 1 : strcmp(x->folder, y->folder);
}

void corpus_shape_of(const struct corpus_piece *pieces, unsigned count, struct corpus_shape *shape_r)
{
    struct corpus_shape *s = shape_r;
    const struct corpus_piece **sorted = mem_zero(count + 1u, sizeof(void *));

    *s = (struct corpus_shape){ 0 };
    for (unsigned i = 0; i < count; i++) {
        sorted[i] = &pieces[i];
        s->messages += pieces[i].count;
        s->bytes += pieces[i].bytes;
        for (unsigned k = 0; k < pieces[i].count; k++) {
            unsigned class = corpus_class(pieces[i].messages[k].bytes);

            s->class_messages[class]++;
            s->class_bytes[class] += pieces[i].messages[k].bytes;
        }
    }
    if (count)
        qsort(sorted, count, sizeof(void *), by_place);
    for (unsigned i = 0; i < count; i++) {
        s->users += i == 0 || sorted[i]->user != sorted[i - 1]->user;
        s->folders += i == 0 || by_place(&sorted[i], &sorted[i - 1]) != 0;
    }
    free(sorted);
}

void corpus_deinit(struct corpus *corpus)
{
    for (unsigned i = 0; i < corpus->count; i++) {
        free((char *)(uintptr_t)corpus->pieces[i].folder);
        free(corpus->pieces[i].messages);
    }
    free(corpus->pieces);
    *corpus = (struct corpus){ 0 };
}
