#include "engine/cli/check_local.h"

#include "engine/cli/complain.h"
#include "engine/cli/exits.h"
#include "engine/config/text.h"
#include "engine/report/format.h"
#include "io/base/mem.h"
#include "store/reader.h"
#include "store/spool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/timex.h>
#include <time.h>

#define DISK_LEAST_BYTES   134217728u /* less is a full disk before the first body */
#define MEMORY_LEAST_BYTES 268435456u
#define SPACE_LEAST_BYTES  1073741824u /* of addresses: stacks, libraries and the journal's map beside the memory */
#define FILES_BESIDE       64u         /* that are no connections */
#define LINE_MAX_BYTES     480         /* of a step's detail */

struct local {
    const struct settings *settings;
    void (*tell)(void *context, const struct probe_step *step);
    void *context;
    int code;
};

static void good(struct local *l, const char *name, const char *detail)
{
    struct probe_step step = { .step = name, .ok = true };

    snprintf(step.detail, sizeof step.detail, "%s", detail);
    l->tell(l->context, &step);
}

static void bad(struct local *l, const char *name, int code, const char *detail, const char *cause, const char *remedy)
{
    struct probe_step step = { .step = name, .type = "SpoolError" };

    snprintf(step.detail, sizeof step.detail, "%s", detail);
    snprintf(step.cause, sizeof step.cause, "%s", cause);
    snprintf(step.remedy, sizeof step.remedy, "%s", remedy);
    l->tell(l->context, &step);
    if (l->code == EXIT_DONE)
        l->code = code;
}

/* What a run begins with all the same: it holds, and says what to do. */
static void doubtful(struct local *l, const char *name, const char *detail, const char *cause, const char *remedy)
{
    struct probe_step step = { .step = name, .ok = true };

    snprintf(step.detail, sizeof step.detail, "%s", detail);
    snprintf(step.cause, sizeof step.cause, "%s", cause);
    snprintf(step.remedy, sizeof step.remedy, "%s", remedy);
    l->tell(l->context, &step);
}

/* ---- state and disk ---- */

struct users {
    uint32_t *ids;
    unsigned count;
};

static bool add_user(void *context, const struct user_record *user)
{
    struct users *users = context;

    users->ids = mem_resize(users->ids, users->count + 1u, sizeof *users->ids);
    users->ids[users->count++] = user->id;
    return true;
}

static bool add_folder(void *context, const struct folder_record *f)
{
    tally_add(context, &f->tally);
    return true;
}

/* Bytes of mail that plan or earlier runs found and that have not come yet. */
static bool bytes_to_come(const struct settings *s, uint64_t *bytes_r)
{
    struct spool_config config = { .folder = s->state_folder, .key = s->spool_key, .read_only = true };
    struct users users = { 0 };
    struct tally sum = { 0 };
    struct reader *reader = NULL;
    struct spool *spool = NULL;
    struct err err;
    bool ok = spool_open(&config, &spool, &err) && reader_create(spool, &reader, &err) &&
              reader_users(reader, add_user, &users, &err);

    for (unsigned i = 0; ok && i < users.count; i++)
        ok = reader_folders(reader, users.ids[i], add_folder, &sum, &err);
    free(users.ids);
    reader_destroy(&reader);
    spool_close(&spool);
    *bytes_r = sum.found ? (uint64_t)((double)sum.bytes_found * (double)sum.waiting / (double)sum.found) : 0;
    return ok && sum.found > 0;
}

static void look_at_state(struct local *l, struct spool_trial *trial, bool *usable)
{
    const struct settings *s = l->settings;
    struct spool_config config = { .folder = s->state_folder, .budget_bytes = s->spool_max_bytes, .key = s->spool_key };
    char line[LINE_MAX_BYTES];
    struct err err;

    *usable = spool_try(&config, trial, &err);
    if (!*usable) {
        bad(l, "state", complain_code_of_state(&err), err_line(&err, line, sizeof line),
            "A run could not begin: its state folder cannot be used.",
            "Name another folder under state in [batch], on a local disk of this machine, or mend this one.");
        return;
    }
    snprintf(line, sizeof line, "%.300s %s", s->state_folder,
             trial->held      ? "is held by a run at work"
             : trial->is_used ? "holds what earlier runs did"
                              : "can be made");
    good(l, "state", line);
}

static void look_at_disk(struct local *l, const struct spool_trial *trial)
{
    char line[LINE_MAX_BYTES];
    uint64_t coming;
    size_t used;

    if (trial->disk_bytes == 0)
        return;
    used = (size_t)snprintf(line, sizeof line, "%s free of %s", format_bytes(trial->disk_free_bytes).text,
                            format_bytes(trial->disk_bytes).text);
    if (!bytes_to_come(l->settings, &coming))
        snprintf(line + used, sizeof line - used, "; how much mail comes is not known before plan");
    else if (coming <= trial->disk_free_bytes)
        snprintf(line + used, sizeof line - used, "; %s of mail are still to come", format_bytes(coming).text);
    else
        snprintf(
            line + used, sizeof line - used,
            "; %s of mail are still to come: fetching waits for uploads when the spool is full, and fetch alone does "
            "not get through",
            format_bytes(coming).text);
    if (trial->disk_free_bytes < DISK_LEAST_BYTES)
        bad(l, "disk", EXIT_DISK, line, "The disk of the state folder is all but full.",
            "Free some gigabytes there, or name a state folder on another disk.");
    else
        good(l, "disk", line);
}

/* ---- the process ---- */

static void look_at_files(struct local *l)
{
    const struct settings *s = l->settings;
    unsigned need = s->source.connections + s->target.connections + FILES_BESIDE;
    struct rlimit limit;
    char line[LINE_MAX_BYTES], remedy[256];

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= need) {
        snprintf(line, sizeof line, "%u connections at most, and room for them", need - FILES_BESIDE);
        good(l, "files", line);
        return;
    }
    snprintf(line, sizeof line, "the limit of open files is %llu; %u connections need %u",
             (unsigned long long)limit.rlim_cur, need - FILES_BESIDE, need);
    snprintf(remedy, sizeof remedy,
             "Raise it before the start (ulimit -n %u, or LimitNOFILE=%u in a unit), or lower "
             "connections in [source] and [target].",
             need, need);
    doubtful(l, "files", line, "Connections above the limit fail, and that looks like a fault of the server.", remedy);
}

/* "MemAvailable:    1234 kB", or a number alone. */
static bool read_number(const char *path, const char *name, uint64_t scale, uint64_t *bytes_r)
{
    char text[256];
    FILE *file = fopen(path, "re");
    bool found = false;

    while (file && !found && fgets(text, sizeof text, file)) {
        size_t size = name ? strlen(name) : 0;
        struct slice rest = slice_cstr(text), number;

        if (name && strncmp(text, name, size) != 0)
            continue;
        rest = slice_trim(slice_from(rest, size));
        found = slice_split(&rest, ' ', &number) && slice_u64(number, bytes_r);
        if (!name)
            break;
    }
    if (file)
        fclose(file);
    if (found)
        *bytes_r *= scale;
    return found;
}

static void look_at_memory(struct local *l)
{
    uint64_t most = l->settings->memory_max_bytes, available = 0, group = 0, space = UINT64_MAX;
    struct rlimit limit;
    char line[LINE_MAX_BYTES];
    bool known = read_number("/proc/meminfo", "MemAvailable:", 1024, &available);

    if (read_number("/sys/fs/cgroup/memory.max", NULL, 1, &group) && (!known || group < available)) {
        available = group;
        known = true;
    }
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
        space = limit.rlim_cur;
        if (!known || space < available)
            available = space;
        known = true;
    }
    if (!known)
        return;
    snprintf(line, sizeof line, "%s available; memory-max is %s", format_bytes(available).text,
             format_bytes(most).text);
    if (available < MEMORY_LEAST_BYTES)
        bad(l, "memory", EXIT_DISK, line, "There is hardly memory for the program itself.",
            "Give the job more memory, or lower memory-max in [batch] (64MB is the least), threads and connections.");
    else if (space < SPACE_LEAST_BYTES)
        doubtful(
            l, "memory", line,
            "The process may have so many addresses at most (ulimit -v), and needs more of them than of memory: a run "
            "may end with \"out of memory\".",
            "Raise the limit before the start to 1 GB or more (ulimit -v 1048576), or take it away (ulimit -v "
            "unlimited).");
    else
        good(l, "memory", line);
}

/* ---- time and ways out ---- */

static void look_at_clock(struct local *l)
{
    const struct settings_window *w = &l->settings->window;
    struct timex state = { .modes = 0 };
    time_t now = time(NULL);
    int kernel = adjtimex(&state);
    char line[LINE_MAX_BYTES], local[64] = "";
    struct tm tm;
    size_t used;

    if (!localtime_r(&now, &tm) || strftime(local, sizeof local, "%Y-%m-%d %H:%M %Z (UTC%z)", &tm) == 0)
        return;
    used = (size_t)snprintf(line, sizeof line, "%s%s", local,
                            kernel < 0 || kernel == TIME_ERROR ? "; nothing tells whether it is kept by NTP"
                                                               : ", kept by NTP");
    if (w->set)
        snprintf(line + used, sizeof line - used, "; the window %02u:%02u-%02u:%02u is %s", w->opens_minute / 60,
                 w->opens_minute % 60, w->closes_minute / 60, w->closes_minute % 60,
                 settings_window_open(w, (unsigned)(tm.tm_hour * 60 + tm.tm_min)) ? "open" : "closed");
    good(l, "clock", line);
}

static size_t add_proxy(char *line, size_t used, size_t cap, const char *of, const struct proxy_way *way)
{
    if (way->kind == PROXY_NONE || used >= cap)
        return used;
    return used + (size_t)snprintf(line + used, cap - used, "%s%s by %s %.100s:%u", used ? "; " : "", of,
                                   way->kind == PROXY_SOCKS5 ? "SOCKS 5" : "HTTP", way->host, way->port);
}

static bool wants_tokens(const struct settings *s)
{
    return s->source.oauth.grant != SETTINGS_GRANT_NONE || s->target.oauth.grant != SETTINGS_GRANT_NONE;
}

static void look_at_proxies(struct local *l)
{
    const struct settings *s = l->settings;
    const char *tokens = getenv("https_proxy");
    char line[LINE_MAX_BYTES] = "", shown[CONFIG_SHOWN_MAX + 1];
    size_t used = add_proxy(line, 0, sizeof line, "the source", &s->source.proxy);

    used = add_proxy(line, used, sizeof line, "the target", &s->target.proxy);
    if (!tokens)
        tokens = getenv("HTTPS_PROXY");
    if (tokens && *tokens && wants_tokens(s) && used < sizeof line)
        snprintf(line + used, sizeof line - used, "%stokens by https_proxy %s", used ? "; " : "",
                 config_text_shown(slice_cstr(tokens), shown));
    good(l, "proxy", line[0] ? line : "none");
}

int check_local(const struct settings *settings, void (*tell)(void *context, const struct probe_step *step),
                void *context)
{
    struct local l = { .settings = settings, .tell = tell, .context = context, .code = EXIT_DONE };
    struct spool_trial trial = { 0 };
    bool usable;

    look_at_state(&l, &trial, &usable);
    if (usable)
        look_at_disk(&l, &trial);
    look_at_files(&l);
    look_at_memory(&l);
    look_at_clock(&l);
    look_at_proxies(&l);
    return l.code;
}
