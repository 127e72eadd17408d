/* A folder that the target refuses by its name: '.' or a leading '~' where mailboxes are files, whatever the delimiter
 * is (Maildir++). It is made by a name that looks the same, which is told as a rename. */
#include "engine/folders/names_text.h"
#include "engine/move/listing.h"
#include "engine/move/push_private.h"
#include "io/base/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define NUMBERS_MAX 100u

/* Another folder of the user goes there. */
static bool is_taken(const struct folder *f, const char *raw, const struct names_rules *rules)
{
    const struct account *account = f->account;
    char *key = names_raw_key(slice_cstr(raw), rules->target_delimiter, rules);
    bool taken = false;

    for (unsigned i = 0; i < account->folder_count && !taken; i++) {
        const struct folder *other = account->folders[i];
        char *its;

        if (other == f || !other->target_raw)
            continue;
        its = names_raw_key(slice_cstr(other->target_raw), rules->target_delimiter, rules);
        taken = strcmp(its, key) == 0;
        free(its);
    }
    free(key);
    return taken;
}

static bool is_about_name(const struct err *err)
{
    return err->class == ERR_CLASS_PERMANENT && (err->origin == ERR_ORIGIN_NO || err->origin == ERR_ORIGIN_BAD) &&
           strcmp(trouble_type(TROUBLE_CREATE, FAILURE_TARGET, err), "InvalidMailboxName") == 0;
}

/* The look-alike to try after this refusal, malloc'ed, or NULL. */
static char *other_name(const struct folder *f, const struct err *err)
{
    return f->refused_raw || !is_about_name(err) ? NULL : names_cautious(f->target_name);
}

bool push_name_may_differ(const struct folder *f, const struct err *err)
{
    char *cautious = other_name(f, err);
    bool may = cautious != NULL;

    free(cautious);
    return may;
}

static void forget_refused(struct folder *f)
{
    free(f->refused_raw);
    free(f->refused_name);
    f->refused_raw = f->refused_name = NULL;
}

bool push_name_other(struct folder *f, const struct err *err)
{
    struct names_rules rules = listing_rules(f->account);
    struct names_place place = { 0 };
    char *cautious = other_name(f, err);

    if (f->refused_raw) {
        folder_set_names(f, NULL, NULL, f->refused_raw, f->refused_name);
        forget_refused(f);
    }
    if (!cautious)
        return false;
    for (unsigned number = 1; number < NUMBERS_MAX; number++) {
        free(place.raw);
        free(place.name);
        (void)names_to_target(NULL, cautious, number, &rules, &place);
        if (!is_taken(f, place.raw, &rules))
            break;
    }
    free(cautious);
    f->refused_raw = mem_text(f->target_raw);
    f->refused_name = mem_text(f->target_name);
    folder_set_names(f, NULL, NULL, place.raw, place.name);
    free(place.raw);
    free(place.name);
    return true;
}

void push_name_stands(struct folder *f)
{
    char text[256];

    if (!f->refused_raw)
        return;
    snprintf(text, sizeof text, "the target refuses the name \"%.60s\"; moved to \"%.100s\"", f->refused_name,
             f->target_name);
    account_problem(f->account, f->record.folder, "FolderRenamed", text,
                    "nothing to do; to choose another name, set it under [folders]");
    forget_refused(f);
    folder_put(f);
}
