#include "engine/cli/states.h"

#include "engine/cli/complain.h"
#include "engine/cli/exits.h"
#include "engine/cli/load.h"
#include "engine/cli/shards.h"
#include "engine/config/config.h"
#include "engine/config/users.h"
#include "engine/config/users_from.h"
#include "engine/report/format.h"
#include "engine/report/share.h"
#include "io/base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

/* What one argument stands for. */
struct states_origin {
    char *folder;             /* of > 1: without the shard's ending */
    unsigned of;              /* all shards of so many; 0: this folder alone */
    const struct secret *key; /* borrowed */
};

/* One way in which the batch's users are divided. */
struct division {
    unsigned of;        /* 1: not at all */
    const char *folder; /* of it */
    bool ran;
    int64_t last_ms;
};

static void add(struct states *s, struct spool *spool, const char *folder, unsigned number, unsigned of)
{
    s->list = mem_resize(s->list, s->count + 1u, sizeof *s->list);
    s->list[s->count++] = (struct report_state){
        .spool = spool, .folder = mem_text(folder), .number = number, .of = of, .only = &s->only, .but = &s->but
    };
    if (spool) {
        s->spools = mem_resize(s->spools, s->opened + 1u, sizeof(struct spool *));
        s->spools[s->opened++] = spool;
    }
}

static bool open_one(struct states *s, const struct states_origin *origin, const char *folder, unsigned number,
                     unsigned of, struct err *err_r)
{
    struct spool_config config = { .folder = folder, .key = origin->key, .read_only = true, .distrust = s->distrust };
    struct spool *spool;

    if (!spool_open(&config, &spool, err_r))
        return false;
    add(s, spool, folder, number, of);
    return true;
}

/* Those without a spool are found anew at each look. */
static void drop_missing(struct states *s)
{
    while (s->count > s->opened)
        free((char *)s->list[--s->count].folder);
}

static bool is_same_file(const char *a, const char *b)
{
    struct stat x, y;

    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* By whatever name. */
static bool is_open(const struct states *s, const char *folder)
{
    for (unsigned i = 0; i < s->opened; i++)
        if (strcmp(s->list[i].folder, folder) == 0 || is_same_file(s->list[i].folder, folder))
            return true;
    return false;
}

/* What is there of an origin, and not yet open. */
static bool open_origin(struct states *s, const struct states_origin *origin, struct err *err_r)
{
    unsigned number = 0, of = 0;
    struct shards found;
    bool ok = true;

    if (origin->of == 0) {
        if (!shards_of_name(origin->folder, &number, &of))
            number = of = 0;
        return is_open(s, origin->folder) || open_one(s, origin, origin->folder, number, of, err_r);
    }
    shards_find(origin->folder, &found);
    for (size_t i = 0; ok && i < found.count; i++) {
        const struct shard_folder *f = &found.list[i];

        if (f->of != origin->of || !spool_is_used(f->path) || is_open(s, f->path))
            continue;
        /* A shard's run may have begun this very moment. */
        ok = open_one(s, origin, f->path, f->number, f->of, err_r) || err_r->code == ENOENT;
    }
    shards_deinit(&found);
    return ok;
}

static void add_missing(struct states *s, const struct states_origin *origin)
{
    for (unsigned number = 1; number <= origin->of; number++) {
        char ending[SETTINGS_SHARD_ENDING_BYTES];
        char *folder = mem_format("%s%s", origin->folder, settings_shard_ending(number, origin->of, ending));

        if (!is_open(s, folder))
            add(s, NULL, folder, number, origin->of);
        free(folder);
    }
}

static void add_shares(struct states *s)
{
    for (unsigned i = 0; i < s->share_count; i++) {
        add(s, NULL, s->shares[i]->path, 0, 0);
        s->list[s->count - 1].share = s->shares[i];
    }
}

bool states_look(void *states, const struct report_state **list_r, unsigned *count_r, struct err *err_r)
{
    struct states *s = states;
    bool ok = true;

    drop_missing(s);
    for (unsigned i = 0; ok && i < s->origin_count; i++)
        ok = open_origin(s, &s->origins[i], err_r);
    add_shares(s);
    for (unsigned i = 0; ok && i < s->origin_count; i++)
        add_missing(s, &s->origins[i]);
    *list_r = s->list;
    *count_r = s->count;
    return ok;
}

static void add_origin(struct states *s, const char *folder, unsigned of, const struct secret *key)
{
    s->origins = mem_resize(s->origins, s->origin_count + 1u, sizeof *s->origins);
    s->origins[s->origin_count++] = (struct states_origin){ mem_text(folder), of, key };
}

static int folder_open(struct states *s, const char *folder, const struct secret *key)
{
    struct stat st;

    if (stat(folder, &st) != 0)
        return complain_not_there(folder, errno);
    add_origin(s, folder, 0, key);
    return EXIT_DONE;
}

/* Which of several divisions of one batch is meant: one in which mail was moved before one that was only
 * planned, and of these the last one that was at work. Each is judged by the shard of it that has come
 * farthest. */
static bool choose(struct division *divisions, size_t count, const struct shards *found,
                   const struct settings *settings, const struct division **chosen_r, struct err *err_r)
{
    *chosen_r = NULL;
    for (size_t i = 0; i < count; i++) {
        struct division *d = &divisions[i];

        for (size_t k = 0; k < (d->of == 1 ? 1 : found->count); k++) {
            const char *folder = d->of == 1 ? d->folder : found->list[k].path;
            int64_t last_ms = 0;
            bool ran = false;

            if ((d->of > 1 && found->list[k].of != d->of) || !spool_is_used(folder))
                continue;
            if (!shards_judge(folder, settings->spool_key, &ran, &last_ms, err_r) && err_r->code != ENOENT)
                return false;
            d->ran |= ran;
            d->last_ms = last_ms > d->last_ms ? last_ms : d->last_ms;
        }
        if (!*chosen_r || d->ran > (*chosen_r)->ran ||
            (d->ran == (*chosen_r)->ran && d->last_ms > (*chosen_r)->last_ms))
            *chosen_r = d;
    }
    return true;
}

static void tell_left_out(const struct division *divisions, size_t count, const struct division *chosen)
{
    for (size_t i = 0; i < count; i++) {
        const struct division *d = &divisions[i];

        if (d == chosen || !d->ran)
            continue;
        fprintf(stderr, "mailhaul: warning: %s", d->folder);
        if (d->of > 1)
            fprintf(stderr, " and the other shards of %u", d->of);
        fprintf(stderr,
                " %s left out: the batch was run %s since. Name a state folder in place of the batch "
                "file to look into it\n",
                d->of > 1 ? "are" : "is", chosen->of > 1 ? "in other shards" : "without --shard");
    }
}

/* A batch's state, or, where it was run in shards and none is named, those of all shards. */
static int batch_open(struct states *s, const struct settings *settings, bool quiet)
{
    const char *base = settings->state_folder;
    const struct division *chosen = NULL;
    struct division *divisions;
    struct shards found;
    size_t count = 0;
    struct err err;
    int code = EXIT_DONE;

    if (settings->shard_count > 1)
        return folder_open(s, base, settings->spool_key);
    shards_find(base, &found);
    divisions = mem_zero(found.count + 1, sizeof *divisions);
    if (settings->shards < 2 && spool_is_used(base))
        divisions[count++] = (struct division){ .of = 1, .folder = base };
    for (size_t i = 0; i < found.count; i++)
        if (spool_is_used(found.list[i].path) && (settings->shards == 0 || found.list[i].of == settings->shards) &&
            (count == 0 || divisions[count - 1].of != found.list[i].of))
            divisions[count++] = (struct division){ .of = found.list[i].of, .folder = found.list[i].path };
    if (count == 1)
        chosen = &divisions[0];
    else if (count > 1 && !choose(divisions, count, &found, settings, &chosen, &err))
        code = complain_of_state(&err);
    if (code == EXIT_DONE && chosen && chosen->of > 1)
        add_origin(s, base, chosen->of, settings->spool_key);
    else if (code == EXIT_DONE)
        code = folder_open(s, base, settings->spool_key);
    if (code == EXIT_DONE && chosen && !quiet)
        tell_left_out(divisions, count, chosen);
    shards_deinit(&found);
    free(divisions);
    return code;
}

static int look(struct states *s)
{
    const struct report_state *list;
    unsigned count;
    struct err err;

    return states_look(s, &list, &count, &err) ? EXIT_DONE : complain_of_state(&err);
}

/* A file that is no batch file; named twice it counts once. */
static int share_file(struct states *s, enum opts_command command, const char *path)
{
    struct err err;

    if (command != OPTS_REPORT) {
        fprintf(stderr,
                "mailhaul: %s is a report in JSON: only `report` reads those; name the batch file or a state "
                "folder\n",
                path);
        return EXIT_USAGE;
    }
    for (unsigned i = 0; i < s->share_count; i++)
        if (is_same_file(s->shares[i]->path, path))
            return EXIT_DONE;
    s->shares = mem_resize(s->shares, s->share_count + 1u, sizeof(struct share *));
    if (!share_open(path, &s->shares[s->share_count], &err))
        return err.origin == ERR_ORIGIN_OS ? complain_of_file(NULL, path, err.code) : complain_of_state(&err);
    s->share_count++;
    return EXIT_DONE;
}

struct asked {
    const struct settings_list *names;
    bool *known; /* a name each */
};

static bool each_user(void *context, const struct user_record *user)
{
    struct asked *asked = context;

    for (size_t i = 0; i < asked->names->count; i++) {
        struct settings_list one = { &asked->names->items[i], 1 };

        asked->known[i] |= report_is_asked(&one, user->address, user->user_name);
    }
    return true;
}

/* A name that no state folder knows is told. */
static int check_known(const struct states *s, const struct settings_list *names)
{
    struct asked asked = { names, NULL };
    struct err err;
    int code = EXIT_DONE;

    if (names->count == 0)
        return EXIT_DONE;
    asked.known = mem_zero(names->count, sizeof *asked.known);
    for (unsigned i = 0; code == EXIT_DONE && i < s->opened; i++) {
        struct reader *reader = NULL;

        if (!reader_create(s->spools[i], &reader, &err) || !reader_users(reader, each_user, &asked, &err))
            code = complain(&err, EXIT_DISK);
        if (reader)
            reader_destroy(&reader);
    }
    for (unsigned i = 0; i < s->share_count; i++)
        for (unsigned k = 0; k < s->shares[i]->user_count; k++) {
            struct user_record user = { .address = slice_cstr(s->shares[i]->users[k].address),
                                        .user_name = slice_cstr(s->shares[i]->users[k].user_name) };

            each_user(&asked, &user);
        }
    for (size_t i = 0; code != EXIT_DISK && i < names->count; i++)
        if (!asked.known[i])
            code = complain_unknown_user(slice_cstr(names->items[i]));
    free(asked.known);
    return code;
}

static void add_names(struct settings_list *to, const struct settings_list *from)
{
    for (size_t i = 0; i < from->count; i++)
        settings_list_add(to, slice_cstr(from->items[i]));
}

/* Waves are known to users.csv alone. */
static int add_wave(const struct opts *o, struct states *s, const char *batch_file)
{
    struct config_request request = {
        .batch_file = batch_file, .overrides = &o->overrides, .any_shard = true, .local = true
    };
    struct settings_list unsaid = { 0 };
    struct settings *settings = NULL;
    struct users_place place;
    struct err err;
    struct stat st;
    int code = EXIT_DONE;

    if ((stat(batch_file, &st) == 0 && S_ISDIR(st.st_mode)) || share_is(batch_file)) {
        fprintf(stderr, "mailhaul: --wave: %s knows no waves; name the batch file, whose users.csv does\n", batch_file);
        return EXIT_USAGE;
    }
    if (!config_load(&request, &settings, &unsaid, &err) ||
        !users_load(settings, (struct users_need){ 0 }, &unsaid, &place, &err) ||
        !load_choice(o, settings, &unsaid, &err))
        code = complain(&err, err.code);
    for (size_t i = 0; code == EXIT_DONE && i < settings->user_count; i++)
        settings_list_add(&s->only, slice_cstr(settings->users[i].email_address));
    settings_list_deinit(&unsaid);
    settings_destroy(&settings);
    return code;
}

/* Whom --user, --users-from, --wave and --exclude-user mean. */
static int choose_users(const struct opts *o, struct states *s)
{
    struct users_from from = { 0 };
    struct err err;
    int code = EXIT_DONE;

    add_names(&s->but, &o->but_users);
    if (o->waves.count) {
        for (size_t i = 0; code == EXIT_DONE && i < o->batch_files.count; i++)
            code = add_wave(o, s, o->batch_files.items[i]);
        return code;
    }
    add_names(&s->only, &o->users);
    if (o->users_from && !users_from_read(&from, o->users_from, &err))
        code = complain(&err, err.code);
    add_names(&s->only, &from.names);
    users_from_deinit(&from);
    return code;
}

int states_open_batch(const struct settings *settings, bool quiet, struct states *s)
{
    int code;

    *s = (struct states){ 0 };
    code = batch_open(s, settings, quiet);
    return code == EXIT_DONE ? look(s) : code;
}

int states_open(const struct opts *o, struct states *s)
{
    struct settings_list warnings = { 0 };
    struct err err;
    int code = EXIT_DONE;

    *s = (struct states){ .distrust = o->command == OPTS_SPOOL_CHECK };
    if (o->command == OPTS_STATUS || o->command == OPTS_REPORT)
        code = choose_users(o, s);
    s->settings = mem_zero(o->batch_files.count, sizeof(struct settings *));
    for (size_t i = 0; code == EXIT_DONE && i < o->batch_files.count; i++) {
        struct config_request request = {
            .batch_file = o->batch_files.items[i],
            .overrides = &o->overrides,
            .shard_number = o->shard_number,
            .shard_count = o->shard_count,
            .local = true,
        };
        struct stat st;

        if (stat(request.batch_file, &st) == 0 && S_ISDIR(st.st_mode))
            code = folder_open(s, request.batch_file, NULL);
        else if (share_is(request.batch_file))
            code = share_file(s, o->command, request.batch_file);
        else if (config_load(&request, &s->settings[s->settings_count++], &warnings, &err))
            code = batch_open(s, s->settings[s->settings_count - 1], o->quiet);
        else
            code = complain(&err, err.code);
    }
    settings_list_deinit(&warnings);
    if (code == EXIT_DONE)
        code = look(s);
    /* Who is in the wave and has no record yet was not looked at: that is no slip. */
    if (code == EXIT_DONE && o->waves.count == 0)
        code = check_known(s, &s->only);
    return code == EXIT_DONE ? check_known(s, &s->but) : code;
}

void states_close(struct states *s)
{
    for (unsigned i = 0; i < s->opened; i++)
        spool_close(&s->spools[i]);
    for (unsigned i = 0; i < s->count; i++)
        free((char *)s->list[i].folder);
    for (unsigned i = 0; i < s->origin_count; i++)
        free(s->origins[i].folder);
    for (unsigned i = 0; i < s->settings_count; i++)
        settings_destroy(&s->settings[i]);
    for (unsigned i = 0; i < s->share_count; i++)
        share_close(&s->shares[i]);
    settings_list_deinit(&s->only);
    settings_list_deinit(&s->but);
    free(s->shares);
    free(s->list);
    free(s->spools);
    free(s->origins);
    free(s->settings);
    *s = (struct states){ 0 };
}

void states_tell_missing(const struct states *s, const char *what, FILE *out)
{
    unsigned missing = s->count - s->opened;

    if (missing)
        fprintf(out, "mailhaul: warning: %s %s not there: %u shard%s %s not %s\n", s->list[s->opened].folder,
                missing > 1 ? "and others are" : "is", missing, format_s(missing), missing > 1 ? "are" : "is", what);
}
