#include "engine/config/split.h"

#include "engine/config/text.h"
#include "io/base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define HEADER  "EmailAddress,Shard,Of"
#define COLUMNS 3

/* ---- reading --------------------------------------------------------------------------------- */

struct reading {
    const char *name;
    unsigned line;
    struct split *split;
    struct err *err_r;
};

static bool refuse(const struct reading *r, const char *what)
{
    return config_refuse(r->err_r, CONFIG_EXIT_BATCH,
                         "%s:%u: %s; mailhaul plan --split N writes this file anew once it is removed", r->name,
                         r->line, what);
}

static bool name_user(struct reading *r, struct slice address, unsigned shard)
{
    char *folded = slice_dup_folded(address);
    bool news = names_index_add(&r->split->shard_of, slice_cstr(folded), shard) ||
                config_refuse(r->err_r, CONFIG_EXIT_BATCH, "%s: %.60s is named twice", r->name, folded);

    free(folded);
    return news;
}

/* The last two commas part the columns: an address may hold others, in quotes. */
static bool cells_of(struct slice line, struct slice cells[COLUMNS])
{
    for (unsigned i = COLUMNS - 1; i > 0; i--) {
        size_t at = line.size;

        while (at > 0 && line.data[at - 1] != ',')
            at--;
        if (at == 0)
            return false;
        cells[i] = slice_trim(slice_of(line.data + at, line.size - at));
        line.size = at - 1;
    }
    cells[0] = slice_trim(line);
    return cells[0].size > 0;
}

static bool read_line(struct reading *r, struct slice line)
{
    struct slice cells[COLUMNS];
    uint32_t shard, of;

    if (r->line == 1)
        return slice_equal_nocase(line, SLICE(HEADER)) || refuse(r, "expected the header " HEADER);
    if (line.size == 0)
        return true;
    if (!cells_of(line, cells) || !slice_u32(cells[1], &shard) || !slice_u32(cells[2], &of) || of == 0 ||
        of > SETTINGS_SHARDS_MAX || shard == 0 || shard > of)
        return refuse(
            r, "expected an address, the number of its shard and how many there are, such as anna@example.com,3,8");
    if (r->split->shards && of != r->split->shards)
        return refuse(r, "the number of shards is another one than in the lines above");
    r->split->shards = of;
    return name_user(r, cells[0], shard);
}

static bool read_text(struct reading *r, struct slice rest)
{
    struct slice line;

    while (slice_split(&rest, '\n', &line)) {
        r->line++;
        if (!read_line(r, slice_trim(line)))
            return false;
    }
    return true;
}

bool split_read(const char *path, struct split *split_r, struct settings_list *warnings, struct err *err_r)
{
    struct reading r = { .name = config_text_name(path), .split = split_r, .err_r = err_r };
    struct config_text text;
    struct stat st;
    bool ok;

    *split_r = (struct split){ 0 };
    /* Empty is what a plan leaves that was ended before it knew the division. */
    if (stat(path, &st) != 0 ? errno == ENOENT : S_ISREG(st.st_mode) && st.st_size == 0)
        return true;
    if (!config_text_read(path, SPLIT_BYTES_MAX, CONFIG_EXIT_BATCH, &text, err_r))
        return false;
    config_text_warn(&text, path, warnings);
    names_index_init(&split_r->shard_of);
    ok = read_text(&r, slice_of(text.data, text.size));
    config_text_deinit(&text);
    if (!ok)
        split_deinit(split_r);
    return ok;
}

void split_deinit(struct split *split)
{
    names_index_deinit(&split->shard_of);
    split->shards = 0;
}

unsigned split_shard_of(struct split *split, const char *email_address)
{
    size_t shard = names_index_find_folded(&split->shard_of, slice_cstr(email_address));

    return shard == NAMES_INDEX_NONE ? 0 : (unsigned)shard;
}

/* ---- dividing -------------------------------------------------------------------------------- */

static int largest_first(const void *a, const void *b)
{
    const struct split_share *x = a, *y = b;

    return x->work != y->work ? (x->work < y->work ? 1 : -1) : strcmp(x->address, y->address);
}

static int shares_by_address(const void *a, const void *b)
{
    return strcmp(((const struct split_share *)a)->address, ((const struct split_share *)b)->address);
}

static unsigned least(const uint64_t *work, const size_t *users, unsigned shards)
{
    unsigned best = 0;

    for (unsigned i = 1; i < shards; i++)
        if (work[i] < work[best] || (work[i] == work[best] && users[i] < users[best]))
            best = i;
    return best;
}

void split_balance(struct split_share *shares, size_t count, unsigned shards)
{
    uint64_t *work = mem_zero(shards, sizeof *work);
    size_t *users = mem_zero(shards, sizeof *users);

    for (size_t i = 0; i < count; i++)
        if (shares[i].shard) {
            work[shares[i].shard - 1] += shares[i].work;
            users[shares[i].shard - 1]++;
        }
    if (count)
        qsort(shares, count, sizeof *shares, largest_first);
    for (size_t i = 0; i < count; i++) {
        unsigned at;

        if (shares[i].shard)
            continue;
        at = least(work, users, shards);
        work[at] += shares[i].work;
        users[at]++;
        shares[i].shard = at + 1;
    }
    if (count)
        qsort(shares, count, sizeof *shares, shares_by_address);
    free(work);
    free(users);
}

void split_write(FILE *out, const struct split_share *shares, size_t count, unsigned shards)
{
    fprintf(out, HEADER "\n");
    for (size_t i = 0; i < count; i++)
        fprintf(out, "%s,%u,%u\n", shares[i].address, shares[i].shard, shards);
}
