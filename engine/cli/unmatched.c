#include "engine/cli/unmatched.h"

#include "engine/report/format.h"
#include "engine/report/report.h"
#include "engine/rules/names_match.h"
#include "engine/rules/names_text.h"
#include "engine/rules/roles.h"
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

struct search {
    struct wanted *all;
    size_t count;
    uint32_t *users;
    unsigned user_count, listed; /* with folders */
    bool any;
};

static void want_patterns(struct search *s, const char *key, const struct settings_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct settings_list one = { .items = &list->items[i], .count = 1 };

        /* Within a folder that is there may be nothing yet: that is no slip. */
        s->all[s->count++] = (struct wanted){ .key = key,
                                              .text = list->items[i],
                                              .pattern = names_patterns_create(&one, true) };
    }
}

static void want(struct search *s, const struct settings *settings)
{
    const struct settings_policy *p = &settings->policy;

    s->all = mem_zero(p->exclude_folders.count + p->include_folders.count + settings->folder_count,
                      sizeof *s->all);
    want_patterns(s, "exclude-folders", &p->exclude_folders);
    want_patterns(s, "include-folders", &p->include_folders);
    for (size_t i = 0; i < settings->folder_count; i++)
        s->all[s->count++] = (struct wanted){ .key = "[folders]",
                                              .text = settings->folders[i].source,
                                              .folded = names_folded(settings->folders[i].source) };
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
    char *name = slice_dup(f->source_name), *folded = names_folded(name);
    enum role role = roles_of_word(f->role);
    unsigned bits = role == ROLE_NONE ? 0 : 1u << role;

    s->any = true;
    for (size_t i = 0; i < s->count; i++) {
        struct wanted *w = &s->all[i];

        if (!w->met)
            w->met = w->pattern ? names_patterns_match(w->pattern, slice_cstr(folded), bits, bits, NULL)
                                : strcmp(w->folded, folded) == 0;
    }
    free(folded);
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

bool unmatched_tell(struct spool *spool, const struct settings *settings, FILE *out, struct err *err_r)
{
    struct search s = { 0 };
    struct buf text;
    bool ok;

    buf_init(&text, TEXT_MAX);
    want(&s, settings);
    ok = met_all(&s, spool, err_r);
    for (size_t i = 0; ok && s.listed && i < s.count; i++) {
        size_t before = buf_slice(&text).size;

        if (s.all[i].met)
            continue;
        if (!buf_append_format(&text, "%s: \"%.200s\" matches no folder of any mailbox; is it spelt as the "
                               "server names it?\n", s.all[i].key, s.all[i].text))
            break;
        if (out)
            fprintf(out, "mailhaul: warning: %.*s", (int)(buf_slice(&text).size - before),
                    buf_slice(&text).data + before);
    }
    ok = ok && kept(spool, &text, err_r);
    for (size_t i = 0; i < s.count; i++) {
        names_patterns_destroy(&s.all[i].pattern);
        free(s.all[i].folded);
    }
    free(s.all);
    free(s.users);
    buf_deinit(&text);
    return ok;
}
