#include "engine/cli/do_every.h"

#include "engine/cli/exits.h"
#include "engine/cli/load.h"
#include "engine/cli/offspring.h"
#include "engine/config/users.h"
#include "engine/report/format.h"
#include "store/wishes.h"

#include <stdio.h>
#include <time.h>

#define LOOK_EVERY_S 5

struct every {
    const struct opts *opts;
    int (*once)(const struct opts *o);
};

static int work(void *context)
{
    const struct every *e = context;

    return e->once(e->opts);
}

/* The batch file and its users as they are now. false: they are not to be had, which the next run tells. */
static bool look(const struct opts *o, struct settings **settings_r)
{
    struct settings_list unsaid = { 0 };
    struct users_place place;
    struct err err;
    bool ok = load_settings(o, (struct load_need){ .local = true }, NULL, settings_r, &unsaid, &err) &&
              users_load(*settings_r, (struct users_need){ 0 }, &unsaid, &place, &err) &&
              load_choice(o, *settings_r, &unsaid, &err);

    settings_list_deinit(&unsaid);
    return ok;
}

static bool is_completed(const struct settings *s)
{
    struct wishes wishes;
    struct err err;
    bool all = s->user_count > 0 && wishes_read(s->state_folder, &wishes, &err);

    for (size_t i = 0; all && i < s->user_count; i++) {
        enum wish wish = wishes_of(&wishes, slice_cstr(s->users[i].email_address));

        all = wish == WISH_COMPLETED || wish == WISH_DROPPED;
    }
    if (s->user_count > 0)
        wishes_free(&wishes);
    return all;
}

static bool window_open(const struct settings *s, time_t now)
{
    struct tm tm;

    return !localtime_r(&now, &tm) || settings_window_open(&s->window, (unsigned)(tm.tm_hour * 60 + tm.tm_min));
}

/* Is it time? *over_r: and all is completed. */
static bool may_begin(const struct opts *o, time_t due, bool *over_r)
{
    struct settings *s = NULL;
    bool known = look(o, &s), may = time(NULL) >= due && (!known || window_open(s, time(NULL)));

    *over_r = o->until_cutover && known && is_completed(s);
    settings_destroy(&s);
    return may;
}

static void sleep_a_while(time_t due)
{
    time_t left = due - time(NULL);
    struct timespec some = { .tv_sec = left > 0 && left < LOOK_EVERY_S ? left : LOOK_EVERY_S };

    (void)nanosleep(&some, NULL); /* a signal ends it */
}

/* What no wait mends, at the first time; later somebody is amid a change, most likely. */
static bool is_hopeless(int code, bool first)
{
    return first && (code == EXIT_USAGE || code == EXIT_USERS_FILE || code == EXIT_BATCH_FILE);
}

static void tell_next(const struct opts *o, time_t due, int code)
{
    char at[64] = "";
    struct tm tm;

    if (o->quiet || !localtime_r(&due, &tm) || strftime(at, sizeof at, "%Y-%m-%d %H:%M %Z", &tm) == 0)
        return;
    fprintf(stderr, "mailhaul: this run ended with exit code %d; the next one begins %s%s\n", code,
            due <= time(NULL) ? "at once" : "at ", due <= time(NULL) ? "" : at);
}

int do_every(const struct opts *o, int (*once)(const struct opts *o))
{
    struct every e = { o, once };
    bool over = false;
    int code = EXIT_DONE;
    time_t due = 0;

    offspring_catch_signals();
    for (bool first = true; !offspring_is_stopped(); first = false) {
        /* The first one tells by itself where the window is closed. */
        while (!offspring_is_stopped() && !may_begin(o, due, &over) && !over && !first)
            sleep_a_while(due);
        if (over || offspring_is_stopped())
            break;
        due = time(NULL) + (time_t)(o->every_ms / 1000);
        if (!offspring_run(work, &e, -1, &code))
            return EXIT_INTERNAL;
        if (is_hopeless(code, first))
            return code;
        if (!offspring_is_stopped())
            tell_next(o, due, code);
    }
    if (over && !o->quiet)
        fprintf(stderr, "mailhaul: all users are Completed: no further run\n");
    return over ? EXIT_DONE : code;
}
