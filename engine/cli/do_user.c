#include "engine/cli/do_user.h"

#include "engine/cli/complain.h"
#include "engine/cli/exits.h"
#include "engine/cli/states.h"
#include "io/base/mem.h"
#include "store/reader.h"
#include "store/wishes.h"

#include <stdlib.h>
#include <string.h>

struct search {
    const struct settings_list *names; /* the one asked for */
    char *address;                     /* of whom it is; NULL: not found */
    bool several;
};

static bool each_user(void *context, const struct user_record *user)
{
    struct search *s = context;

    if (!report_is_asked(s->names, user->address, user->user_name))
        return true;
    if (s->address && !slice_equal_nocase(slice_cstr(s->address), user->address))
        s->several = true;
    free(s->address);
    s->address = slice_dup(user->address);
    return true;
}

static bool found_in(struct spool *spool, struct search *s, struct err *err_r)
{
    struct reader *reader = NULL;
    bool ok = reader_create(spool, &reader, err_r) && reader_users(reader, each_user, s, err_r);

    reader_destroy(&reader);
    return ok;
}

static enum wish wish_of(const char *what)
{
    return strcmp(what, "pause") == 0 ? WISH_PAUSED : strcmp(what, "drop") == 0 ? WISH_DROPPED : WISH_NONE;
}

static void tell(const struct opts *o, const char *address, enum wish before, enum wish wish, bool at_work)
{
    static const char *const done[] = {
        [WISH_NONE] = "is in the batch again", [WISH_PAUSED] = "is paused", [WISH_DROPPED] = "is dropped"
    };

    if (o->quiet)
        return;
    if (before == wish)
        printf("%s %s already\n", address, wish == WISH_NONE ? "is in the batch" : done[wish]);
    else
        printf("%s %s%s\n", address, done[wish],
               at_work ? ": the run at work follows within seconds; what it has under way is finished first"
                       : ": from the next run on");
}

/* In each folder of the batch's shards: what a shard does not know it does not heed. */
static int set_all(const struct opts *o, const struct states *s, const char *address)
{
    enum wish wish = wish_of(o->what_to_do), before = WISH_NONE, one;
    bool at_work = false;
    struct err err;

    for (unsigned i = 0; i < s->opened; i++) {
        if (!wishes_set(s->list[i].folder, address, wish, &one, &err))
            return complain(&err, EXIT_DISK);
        if (i == 0 || one != WISH_NONE)
            before = one;
        at_work |= spool_holder(s->spools[i]) == SPOOL_HELD_BY_RUN;
    }
    tell(o, address, before, wish, at_work);
    return EXIT_DONE;
}

int do_user(const struct opts *o, const struct settings *settings)
{
    char *name = mem_text(o->address);
    const struct settings_list names = { &name, 1 };
    struct search search = { .names = &names };
    struct states s;
    struct err err;
    int code = states_open(o, &s);

    (void)settings;
    for (unsigned i = 0; code == EXIT_DONE && i < s.opened; i++)
        if (!found_in(s.spools[i], &search, &err))
            code = complain(&err, EXIT_DISK);
    if (code == EXIT_DONE && search.several) {
        fprintf(stderr, "mailhaul: %s is the login of several users; name the EmailAddress\n", o->address);
        code = EXIT_USAGE;
    } else if (code == EXIT_DONE && !search.address) {
        code = complain_unknown_user(slice_cstr(o->address));
    }
    if (code == EXIT_DONE)
        code = set_all(o, &s, search.address);
    free(search.address);
    free(name);
    states_close(&s);
    return code;
}
