#include "engine/cli/unmatched.h"

#include "engine/folders/names_lines.h"
#include "engine/folders/names_match.h"
#include "engine/folders/names_text.h"
#include "engine/folders/roles.h"
#include "engine/report/format.h"
#include "engine/report/report.h"
#include "io/base/mem.h"
#include "store/reader.h"
#include "store/writer.h"

#include <stdlib.h>

#define TEXT_MAX 60000u /* of all warnings */

/* One pattern, or one line of [folders]. */
struct wanted {
    const char *key, *text; /* borrowed */
    struct names_patterns *pattern;
    char *folded; /* of a line */
    bool met;
};

struct unmatched {
    struct wanted *all;
    size_t count;
};

/* Through the journal. */
struct search {
    struct unmatched *wanted;
    uint32_t *users;
    unsigned user_count, listed; /* with folders */
    bool any;
};

static void want_patterns(struct unmatched *s, const char *key, const struct settings_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct settings_list one = { .items = &list->items[i], .count = 1 };

        /* Within a folder that is there may be nothing yet: that is no slip. */
        s->all[s->count++] =
            (struct wanted){ .key = key, .text = list->items[i], .pattern = names_patterns_create(&one, true) };
    }
}

struct unmatched *unmatched_create(const struct settings *settings)
{
    const struct settings_policy *p = &settings->policy;
    struct unmatched *s = mem_zero(1, sizeof *s);

    s->all = mem_zero(p->exclude_folders.count + p->include_folders.count + settings->folder_count, sizeof *s->all);
    want_patterns(s, "exclude-folders", &p->exclude_folders);
    want_patterns(s, "include-folders", &p->include_folders);
    for (size_t i = 0; i < settings->folder_count; i++) {
        char *source = settings->folders[i].source;
        const struct settings_list one = { .items = &settings->folders[i].source, .count = 1 };
        bool pattern = names_line_is_pattern(source);

        s->all[s->count++] = (struct wanted){ .key = "[folders]",
                                              .text = source,
                                              .pattern = pattern ? names_patterns_create(&one, true) : NULL,
                                              .folded = pattern ? NULL : names_folded_whole(source) };
    }
    return s;
}

void unmatched_destroy(struct unmatched **unmatched)
{
    struct unmatched *s = *unmatched;

    for (size_t i = 0; s && i < s->count; i++) {
        names_patterns_destroy(&s->all[i].pattern);
        free(s->all[i].folded);
    }
    if (s)
        free(s->all);
    free(s);
    *unmatched = NULL;
}

void unmatched_meet(struct unmatched *s, const char *name, const char *role_word)
{
    char *folded = names_folded_whole(name);
    enum role role = roles_of_word(role_word);
    unsigned bits = role == ROLE_NONE ? 0 : 1u << role;

    for (size_t i = 0; i < s->count; i++) {
        struct wanted *w = &s->all[i];

        if (!w->met)
            w->met = w->pattern ? names_patterns_match(w->pattern, slice_cstr(folded), bits, bits, NULL)
                                : strcmp(w->folded, folded) == 0;
    }
    free(folded);
}

void unmatched_each(const struct unmatched *s, const char *where, void (*tell)(void *context, const char *text),
                    void *context)
{
    for (size_t i = 0; i < s->count; i++) {
        char *text;

        if (s->all[i].met)
            continue;
        text = mem_format("%s: \"%.200s\" matches no folder of %s; is it spelt as the server names it?", s->all[i].key,
                          s->all[i].text, where);
        tell(context, text);
        free(text);
    }
}

static bool add_user(void *context, const struct user_record *user)
{
    struct search *s = context;

    s->users = mem_resize(s->users, s->user_count + 1u, sizeof *s->users);
    s->users[s->user_count++] = user->id;
    return true;
}

static bool meet(void *context, const struct folder_record *f)
{
    struct search *s = context;
    char *name = slice_dup(f->source_name);

    s->any = true;
    unmatched_meet(s->wanted, name, f->role);
    free(name);
    return true;
}

static bool met_all(struct search *s, struct spool *spool, struct err *err_r)
{
    struct reader *reader = NULL;
    bool ok = reader_create(spool, &reader, err_r) && reader_users(reader, add_user, s, err_r);

    for (unsigned i = 0; ok && i < s->user_count; i++) {
        s->any = false;
        ok = reader_folders(reader, s->users[i], meet, s, err_r);
        s->listed += s->any;
    }
    reader_destroy(&reader);
    return ok;
}

/* Also nothing is kept: an earlier slip is mended. */
static bool kept(struct spool *spool, struct buf *text, struct err *err_r)
{
    struct slice all = buf_slice(text), before;
    struct writer *writer;
    bool same;

    if (!spool_meta_get(spool, REPORT_WARNINGS_NAME, &before, err_r))
        return false;
    same = slice_equal(before, all);
    free((char *)before.data);
    if (same)
        return true;
    writer = writer_create(spool);
    writer_submit(writer, store_op_meta(REPORT_WARNINGS_NAME, slice_dup(all), all.size));
    writer_stop(writer);
    writer_run(writer, NULL, NULL, 1000);
    writer_destroy(&writer);
    return true;
}

struct telling {
    struct buf text;
    FILE *out;
    bool full;
};

static void tell(void *context, const char *text)
{
    struct telling *t = context;

    t->full |= !buf_append_format(&t->text, "%s\n", text);
    if (t->out && !t->full)
        fprintf(t->out, "mailhaul: warning: %s\n", text);
}

bool unmatched_tell(struct spool *spool, const struct settings *settings, FILE *out, struct err *err_r)
{
    struct search s = { .wanted = unmatched_create(settings) };
    struct telling t = { .out = out };
    bool ok;

    buf_init(&t.text, TEXT_MAX);
    ok = met_all(&s, spool, err_r);
    if (ok && s.listed)
        unmatched_each(s.wanted, "any mailbox", tell, &t);
    ok = ok && kept(spool, &t.text, err_r);
    unmatched_destroy(&s.wanted);
    free(s.users);
    buf_deinit(&t.text);
    return ok;
}
