#include "engine/mailbox/disk/courier.h"

#include "engine/mailbox/disk/numbers.h"
#include "io/base/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define LIST_BYTES_MAX  (64u << 20)
#define WORDS_BYTES_MAX 4096u /* of one message */
#define WORDS_MAX       1000u

struct entry {
    char *base, *words;
    uint64_t time; /* of its own file, from 1 on; 0: by the list */
};

struct courier_keywords {
    struct entry *all; /* by base; the latest of one first */
    size_t count;
};

static void add(struct courier_keywords *k, struct slice base, char *words, uint64_t time)
{
    if ((k->count & (k->count - 1)) == 0)
        k->all = mem_resize(k->all, k->count ? 2 * k->count : 1, sizeof *k->all);
    k->all[k->count++] = (struct entry){ slice_dup(base), words, time };
}

static char *with_word(char *words, struct slice word)
{
    char *longer;

    if (word.size == 0 || slice_find(word, ' ') != SIZE_MAX || strlen(words) + word.size > WORDS_BYTES_MAX)
        return words;
    longer = mem_format("%s%s%.*s", words, words[0] ? " " : "", (int)word.size, word.data);
    free(words);
    return longer;
}

static void read_list(struct courier_keywords *k, int folder)
{
    char *text = numbers_read_file(folder, ":list", LIST_BYTES_MAX);
    struct slice rest = slice_cstr(text), line, words[WORDS_MAX], base, number;
    unsigned count = 0;
    uint32_t at;

    while (slice_split(&rest, '\n', &line) && line.size)
        if (count < WORDS_MAX)
            words[count++] = line;
    while (slice_split(&rest, '\n', &line)) {
        char *own = mem_text("");

        /* A base name may hold a colon of its own on no system that has Courier. */
        if (!slice_split(&line, ':', &base)) {
            free(own);
            continue;
        }
        while (slice_split(&line, ' ', &number))
            if (slice_u32(number, &at) && at < count)
                own = with_word(own, words[at]);
        add(k, base, own, 0);
    }
    free(text);
}

static void read_own(struct courier_keywords *k, int folder, const char *name)
{
    struct slice base = slice_cstr(name + 1), time, rest, line;
    uint64_t when;
    char *text, *own;

    if (!slice_split(&base, '.', &time) || !slice_u64(time, &when) || base.size == 0)
        return;
    text = numbers_read_file(folder, name, WORDS_BYTES_MAX);
    own = mem_text("");
    rest = slice_cstr(text);
    while (slice_split(&rest, '\n', &line))
        own = with_word(own, line);
    add(k, base, own, when + 1);
    free(text);
}

static int by_base(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = strcmp(x->base, y->base);

    return order ? order : (x->time < y->time) - (x->time > y->time);
}

struct courier_keywords *courier_keywords_read(int folder)
{
    int inner = openat(folder, "courierimapkeywords", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *dir = inner >= 0 ? fdopendir(inner) : NULL;
    struct courier_keywords *k;
    const struct dirent *entry;

    if (!dir) {
        if (inner >= 0)
            close(inner);
        return NULL;
    }
    k = mem_zero(1, sizeof *k);
    read_list(k, inner);
    while ((entry = readdir(dir)))
        if (entry->d_name[0] == '.' && entry->d_name[1] >= '0' && entry->d_name[1] <= '9')
            read_own(k, inner, entry->d_name);
    closedir(dir);
    if (k->count)
        qsort(k->all, k->count, sizeof *k->all, by_base);
    return k;
}

void courier_keywords_destroy(struct courier_keywords **keywords)
{
    struct courier_keywords *k = *keywords;

    *keywords = NULL;
    for (size_t i = 0; k && i < k->count; i++) {
        free(k->all[i].base);
        free(k->all[i].words);
    }
    if (k)
        free(k->all);
    free(k);
}

struct slice courier_keywords_of(const struct courier_keywords *k, struct slice base)
{
    size_t low = 0, high = k ? k->count : 0;

    /* The first of its entries. */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct slice other = slice_cstr(k->all[middle].base);

        if (numbers_base_order(other, base) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return k && low < k->count && slice_equal(slice_cstr(k->all[low].base), base) ? slice_cstr(k->all[low].words)
                                                                                  : SLICE("");
}
