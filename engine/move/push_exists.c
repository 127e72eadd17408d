/* CREATE was refused because the folder exists. That says this one exists only where it is listed by its very name: a
 * server that makes no difference between "Lists" and "lists", or between two forms of an accent, means another one,
 * and two folders of the source would become one without a word. */
#include "engine/folders/names_text.h"
#include "engine/move/push_private.h"
#include "io/base/log.h"
#include "io/base/mem.h"

#include <stdio.h>
#include <stdlib.h>

static char *folded(struct slice raw, char delimiter)
{
    char *name = names_display(raw, delimiter), *text = names_folded(name);

    free(name);
    return text;
}

/* Another name for what people see as the same. */
static bool is_spelt_otherwise(const struct folder *f, struct slice raw)
{
    char delimiter = f->account->sides[SIDE_TARGET].folder_list.delimiter;
    struct slice ours = slice_cstr(f->target_raw);
    char *a, *b;
    bool same;

    if (slice_equal(raw, ours))
        return false;
    a = folded(raw, delimiter);
    b = folded(ours, delimiter);
    same = strcmp(a, b) == 0;
    free(a);
    free(b);
    return same;
}

static void listed(void *context, const struct imap_list_row *row)
{
    struct worker *w = context;
    struct push *p = w->work;
    struct folder *f = w->folder;

    if (slice_equal(row->name, slice_cstr(f->target_raw)))
        p->shown = true;
    else if (!p->other && is_spelt_otherwise(f, row->name))
        p->other = slice_dup(row->name);
}

/* What the server had listed before, and what this run has made or is to make. */
static const char *find_other(const struct folder *f)
{
    const struct account *account = f->account;
    const struct folder_list *folder_list = &account->sides[SIDE_TARGET].folder_list;

    for (unsigned i = 0; i < folder_list->count; i++)
        if (is_spelt_otherwise(f, slice_cstr(folder_list->rows[i].raw)))
            return folder_list->rows[i].raw;
    for (unsigned i = 0; i < account->folder_count; i++)
        if (account->folders[i]->target_raw && account->folders[i]->exists_on_target &&
            is_spelt_otherwise(f, slice_cstr(account->folders[i]->target_raw)))
            return account->folders[i]->target_raw;
    return NULL;
}

static void ended(void *context, const struct err *err)
{
    struct worker *w = context;
    struct push *p = w->work;
    struct folder *f = w->folder;
    char *heard = p->other;
    const char *other = p->shown ? NULL : heard ? heard : find_other(f);
    struct err clash;

    p->other = NULL;
    if (err) {
        p->exists_ended(w, err);
    } else if (!other) {
        p->exists_ended(w, NULL); /* listed, or hidden */
    } else {
        err_set(&clash, ERR_CLASS_PERMANENT, ERR_SCOPE_FOLDER, ERR_ORIGIN_NO, 0,
                "the target takes it for \"%.200s\", which is another folder", other);
        err_doing(&clash, "CREATE %s", f->target_name);
        snprintf(clash.resp_code, sizeof clash.resp_code, "ALREADYEXISTS");
        p->exists_ended(w, &clash);
    }
    free(heard);
}

void push_exists_ask(struct worker *w, void (*told)(struct worker *w, const struct err *err))
{
    struct push *p = w->work;

    p->shown = false;
    p->exists_ended = told;
    session_list(link_session(w->link), SESSION_LIST_PLAIN, w->folder->record.target_raw, 0, listed, NULL, ended, w);
}
