#include "engine/cli/shards.h"

#include "engine/config/value.h"
#include "io/base/mem.h"
#include "store/spool.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Each character stands for itself. */
static char *glob_escaped(const char *path)
{
    char *out = mem_alloc(strlen(path) * 2 + 1), *at = out;

    for (; *path; path++) {
        if (strchr("*?[]\\", *path))
            *at++ = '\\';
        *at++ = *path;
    }
    *at = '\0';
    return out;
}

bool shards_of_name(const char *folder, unsigned *number_r, unsigned *of_r)
{
    const char *slash = strrchr(folder, '/'), *name = slash ? slash + 1 : folder;
    const char *ending = strrchr(name, '.'), *between = ending ? strstr(ending, "-of-") : NULL;
    char *text;
    bool is;

    if (!between)
        return false;
    text = mem_format("%.*s/%s", (int)(between - ending - 1), ending + 1, between + strlen("-of-"));
    is = value_shard(slice_cstr(text), number_r, of_r) && *of_r > 1;
    free(text);
    return is;
}

static int by_place(const void *a, const void *b)
{
    const struct shard_folder *x = a, *y = b;

    if (x->of != y->of)
        return x->of < y->of ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

void shards_find(const char *base, struct shards *found_r)
{
    char *start = glob_escaped(base), *pattern = mem_format("%s.*-of-*", start);
    size_t size = strlen(base);
    glob_t found;

    *found_r = (struct shards){ 0 };
    if (glob(pattern, 0, NULL, &found) == 0) {
        found_r->list = mem_zero(found.gl_pathc, sizeof *found_r->list);
        for (size_t i = 0; i < found.gl_pathc; i++) {
            const char *path = found.gl_pathv[i];
            struct shard_folder one;

            /* Nothing but the ending stands behind base: night.state.old.1-of-2 is another batch's. */
            if (!shards_of_name(path, &one.number, &one.of) || strrchr(path, '.') != path + size)
                continue;
            one.path = mem_text(path);
            found_r->list[found_r->count++] = one;
        }
    }
    globfree(&found);
    if (found_r->count)
        qsort(found_r->list, found_r->count, sizeof *found_r->list, by_place);
    free(pattern);
    free(start);
}

void shards_deinit(struct shards *found)
{
    for (size_t i = 0; i < found->count; i++)
        free(found->list[i].path);
    free(found->list);
    *found = (struct shards){ 0 };
}

bool shards_judge(const char *folder, const struct secret *key, bool *ran_r, int64_t *last_ms_r, struct err *err_r)
{
    struct spool_config config = { .folder = folder, .key = key, .read_only = true };
    struct spool *spool = NULL;
    struct slice state = { 0 };
    bool ok = spool_open(&config, &spool, err_r) && spool_meta_get(spool, "batch.state", &state, err_r);

    if (ok) {
        *ran_r = state.size && !slice_equal(state, SLICE("Created"));
        *last_ms_r = spool_last_commit_ms(spool);
    }
    free((char *)state.data);
    spool_close(&spool);
    return ok;
}
