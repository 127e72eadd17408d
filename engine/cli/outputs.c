#include "engine/cli/outputs.h"

#include "engine/config/config.h"
#include "engine/config/text.h"
#include "engine/config/users.h"
#include "io/base/mem.h"
#include "store/spool.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define HEAD_BYTES 4096

/* What the command line and its batch files need, so that it must stay as it is. */
struct kept {
    struct settings_list files, folders;
};

struct output {
    const char *option, *path;
    const char *begins; /* what a file of this kind begins with; NULL: any text may be appended to */
    const char *kind;
};

static void keep(struct settings_list *list, const char *path)
{
    if (path)
        settings_list_add(list, slice_cstr(path));
}

static void keep_settings(struct kept *kept, const struct settings *s)
{
    keep(&kept->files, s->users_file);
    keep(&kept->files, s->split_file);
    for (size_t i = 0; i < s->input_files.count; i++)
        keep(&kept->files, s->input_files.items[i]);
    keep(&kept->folders, s->state_folder);
    keep(&kept->folders, s->sign_in_folder);
    keep(&kept->folders, s->ledger_folder);
}

/* A batch file that does not load is told by the command itself, which then writes nothing. Of a faulty users.csv
 * the rows before the fault count. */
static void keep_batch(struct kept *kept, const struct opts *o, const char *file)
{
    struct config_request request = { .batch_file = file,
                                      .overrides = &o->overrides,
                                      .shard_number = o->shard_number,
                                      .shard_count = o->shard_count,
                                      .any_shard = true,
                                      .local = true };
    struct settings_list unsaid = { 0 };
    struct settings *s = NULL;
    struct users_place place;
    struct err err;
    bool loaded = config_load(&request, &s, &unsaid, &err);

    if (!loaded) {
        settings_destroy(&s);
        request.other_target = true; /* a rehearsal needs nothing of [target] */
        loaded = config_load(&request, &s, &unsaid, &err);
    }
    if (loaded)
        loaded = users_load(s, (struct users_need){ 0 }, &unsaid, &place, &err);
    if (s)
        keep_settings(kept, s);
    settings_list_deinit(&unsaid);
    settings_destroy(&s);
}

static void keep_all(struct kept *kept, const struct opts *o, const struct settings *loaded)
{
    for (size_t i = 0; i < o->batch_files.count; i++) {
        const char *file = o->batch_files.items[i];
        struct stat st;

        if (stat(file, &st) != 0)
            continue;
        keep(S_ISDIR(st.st_mode) ? &kept->folders : &kept->files, file);
        if (loaded)
            keep_settings(kept, loaded);
        else if (S_ISREG(st.st_mode))
            keep_batch(kept, o, file);
    }
}

/* The path without links and dots; the last name may not be there yet. NULL: its folder is not there. The
 * caller frees it. */
static char *canonical(const char *path)
{
    char *whole = realpath(path, NULL), *folder, *copy, *slash;

    if (whole)
        return whole;
    copy = mem_text(path);
    while ((slash = strrchr(copy, '/')) && slash != copy && slash[1] == '\0')
        *slash = '\0';
    if (slash)
        *slash = '\0';
    folder = realpath(!slash ? "." : *copy ? copy : "/", NULL);
    if (folder)
        whole = mem_format("%s/%s", strcmp(folder, "/") == 0 ? "" : folder, slash ? slash + 1 : copy);
    free(folder);
    free(copy);
    return whole;
}

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    char *m, *n;
    bool same;

    if (stat(a, &x) == 0 && stat(b, &y) == 0)
        return x.st_dev == y.st_dev && x.st_ino == y.st_ino && !S_ISCHR(x.st_mode);
    m = canonical(a);
    n = canonical(b);
    same = m && n && strcmp(m, n) == 0;
    free(m);
    free(n);
    return same;
}

/* path is canonical. */
static bool lies_in(const char *path, const char *folder)
{
    char *top = canonical(folder);
    size_t size = top ? strlen(top) : 0;
    bool in = top && strncmp(path, top, size) == 0 && (path[size] == '/' || path[size] == '\0');

    free(top);
    return in;
}

/* A state folder of any batch above it; path is canonical and ends up cut. */
static bool has_state_above(char *path)
{
    for (char *slash; (slash = strrchr(path, '/')) && slash != path;) {
        *slash = '\0';
        if (spool_is_used(path))
            return true;
    }
    return false;
}

static bool refuse(const struct output *out, struct err *err_r, const char *why)
{
    if (out->option[0] == '[') /* a key of the batch file */
        return config_refuse(err_r, CONFIG_EXIT_BATCH, "%s = %s: %s; name another file", out->option, out->path, why);
    return config_refuse(err_r, CONFIG_EXIT_USAGE, "--%s %s: %s; name another %s", out->option, out->path, why,
                         strcmp(out->option, "to") == 0 ? "folder" : "file");
}

static bool is_free(const struct output *out, const struct kept *kept, struct err *err_r)
{
    char *path = canonical(out->path);
    bool in_state = false;

    for (size_t i = 0; i < kept->files.count; i++)
        if (same_file(out->path, kept->files.items[i])) {
            free(path);
            return refuse(out, err_r, "is a file that the batch needs");
        }
    for (size_t i = 0; path && i < kept->folders.count && !in_state; i++)
        in_state = lies_in(path, kept->folders.items[i]);
    if (path && !in_state)
        in_state = spool_is_used(path) || has_state_above(path);
    free(path);
    return !in_state || refuse(out, err_r, "lies in a state folder");
}

/* What a file begins with, terminated; "" when it is not there, empty, or no regular file. */
static void head_of(const char *path, char head[HEAD_BYTES + 1])
{
    struct stat st;
    FILE *file = stat(path, &st) == 0 && S_ISREG(st.st_mode) ? fopen(path, "re") : NULL;
    size_t size = file ? fread(head, 1, HEAD_BYTES, file) : 0;

    head[size] = '\0';
    if (file)
        fclose(file);
}

/* A batch file, a users.csv, a key: of whatever batch. */
static bool is_an_input(const char *head)
{
    static const char *const sections[] = { "[batch]", "[source]", "[target]" };
    struct slice rest = slice_cstr(head), line;

    for (bool first = true; slice_split(&rest, '\n', &line); first = false) {
        line = slice_trim(line);
        if (first &&
            (slice_starts(line, SLICE("-----BEGIN ")) || slice_find_nocase(line, SLICE("EmailAddress,")) != SIZE_MAX ||
             slice_find_nocase(line, SLICE(",EmailAddress")) != SIZE_MAX))
            return true;
        for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
            if (slice_equal_nocase(line, slice_cstr(sections[i])))
                return true;
    }
    return false;
}

static bool may_replace(const struct output *out, struct err *err_r)
{
    char head[HEAD_BYTES + 1], why[160];

    head_of(out->path, head);
    if (out->begins && *head && !slice_starts_nocase(slice_cstr(head), slice_cstr(out->begins))) {
        snprintf(why, sizeof why, "exists and is no %s of this program: remove it first if it is not needed",
                 out->kind);
        return refuse(out, err_r, why);
    }
    if (!out->begins && is_an_input(head))
        return refuse(out, err_r, "holds a batch file, a list of users or a key");
    return true;
}

bool outputs_check(const struct opts *o, const struct settings *loaded, struct err *err_r)
{
    const struct output all[] = {
        { "html", o->html_file, "<!doctype html>", "page" },
        { "csv", o->csv_file, "address,user_name,", "CSV report" },
        { "log", o->log_file, NULL, NULL },
        { "to", o->to, NULL, NULL },
        { "[batch] status-file", loaded && opts_mode(o->command) != SETTINGS_MODE_OTHER ? loaded->status_file : NULL,
          "{\"schema\":\"mailhaul.progress.v1\"", "status file" },
    };
    struct kept kept = { 0 };
    bool ok = true, any = false;

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        any |= all[i].path && strcmp(all[i].path, "-") != 0;
    if (!any)
        return true;
    keep_all(&kept, o, loaded);
    for (size_t i = 0; ok && i < sizeof all / sizeof *all; i++) {
        if (!all[i].path || strcmp(all[i].path, "-") == 0)
            continue;
        ok = is_free(&all[i], &kept, err_r) && may_replace(&all[i], err_r);
        for (size_t k = 0; ok && k < i; k++)
            if (all[k].path && same_file(all[i].path, all[k].path))
                ok = refuse(&all[i], err_r, "is named by another option too");
    }
    settings_list_deinit(&kept.files);
    settings_list_deinit(&kept.folders);
    return ok;
}
