/* The file of a share: its outermost object, member by member, and its users one by one. */
#include "engine/report/share_private.h"

#include "io/base/mem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>

#define PATH_TOLD 130 /* bytes of a path that an error has room for */

/* --- errors --- */

static bool fault(const struct share *share, struct err *err_r, enum err_origin origin, const char *format,
                  va_list args)
{
    size_t size = strlen(share->path);
    char text[256];

    vsnprintf(text, sizeof text, format, args);
    return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, origin, 0, "%s%s: %s", size > PATH_TOLD ? "..." : "",
                   share->path + (size > PATH_TOLD ? size - PATH_TOLD : 0), text);
}

bool share_damaged(const struct share *share, struct err *err_r, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fault(share, err_r, ERR_ORIGIN_STORE, format, args);
    va_end(args);
    return false;
}

static bool share_foreign(const struct share *share, struct err *err_r, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fault(share, err_r, ERR_ORIGIN_CONFIG, format, args);
    va_end(args);
    return false;
}

static bool unreadable(const struct share *share, struct err *err_r, int error)
{
    err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, error, share->path);
    return false;
}

/* --- signs and values --- */

static bool is_blank(int c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The next sign that is no blank; EOF at the end. */
static int next(FILE *file)
{
    int c;

    do
        c = getc_unlocked(file);
    while (is_blank(c));
    return c;
}

static bool broken_off(const struct share *share, struct err *err_r)
{
    if (ferror(share->private->file))
        return unreadable(share, err_r, EIO);
    return share_damaged(share, err_r, "ends in the middle: it was cut, or is still being written");
}

static bool unexpected(const struct share *share, struct err *err_r, int c, const char *wanted)
{
    if (c == EOF)
        return broken_off(share, err_r);
    return share_damaged(share, err_r, "is damaged at byte %lld: %s was expected",
                         (long long)ftello(share->private->file), wanted);
}

struct pull {
    FILE *file;
    uint64_t left;
};

/* One byte at a time, so that nothing behind the value is taken. */
static size_t one_byte(void *buffer, size_t size, void *context)
{
    struct pull *pull = context;
    int c;

    (void)size;
    if (pull->left == 0 || (c = getc_unlocked(pull->file)) == EOF)
        return 0;
    pull->left--;
    *(char *)buffer = (char)c;
    return 1;
}

/* The value that begins here: an object, a list or a text. */
static bool value(const struct share *share, json_t **value_r, struct err *err_r)
{
    struct pull pull = { share->private->file, SHARE_VALUE_BYTES };
    json_error_t error;

    *value_r =
        json_load_callback(one_byte, &pull, JSON_DISABLE_EOF_CHECK | JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
    if (*value_r)
        return true;
    if (pull.left == 0)
        return share_damaged(share, err_r, "a single value of it is larger than %u MB: it is no report of a share",
                             SHARE_VALUE_BYTES >> 20);
    if (feof(share->private->file) || ferror(share->private->file))
        return broken_off(share, err_r);
    return share_damaged(share, err_r, "is damaged at byte %lld: %.80s", (long long)ftello(share->private->file),
                         error.text);
}

/* Of a member that is not asked for. */
static bool pass_over(const struct share *share, struct err *err_r)
{
    FILE *file = share->private->file;
    int c = getc_unlocked(file);
    json_t *passed;

    if (c != EOF)
        ungetc(c, file);
    if (c == '{' || c == '[' || c == '"') {
        if (!value(share, &passed, err_r))
            return false;
        json_decref(passed);
        return true;
    }
    /* A number or a word: jansson would take the sign behind it. */
    while ((c = getc_unlocked(file)) != EOF && c != ',' && c != '}' && !is_blank(c))
        if (!strchr("+-.0123456789abcdefghijklmnopqrstuvwxyzE", c))
            return unexpected(share, err_r, c, "a value");
    if (c != EOF)
        ungetc(c, file);
    return true;
}

/* --- the members --- */

static bool take_schema(struct share *share, const json_t *schema, struct err *err_r)
{
    const char *text = json_string_value(schema);

    if (strcmp(text, "mailhaul.report.v1") == 0)
        share->private->is_report = true;
    else if (strncmp(text, "mailhaul.report.", 16) == 0)
        return share_foreign(share, err_r,
                             "is a report in a form that this version cannot read (%.40s): merge with the "
                             "version that wrote it",
                             text);
    else
        return share_foreign(share, err_r, "is no report but %.60s: `mailhaul report --json` writes one",
                             text[0] ? text : "without a schema");
    return true;
}

static bool take_users(struct share *share, bool (*take)(struct share *, const json_t *, struct err *),
                       struct err *err_r)
{
    struct share_private *p = share->private;
    int c = getc_unlocked(p->file);
    bool ok = true;

    if (c != '[')
        return unexpected(share, err_r, c, "a list of users");
    if ((c = next(p->file)) == ']')
        return true;
    do {
        json_t *user;

        if (c != '{')
            return unexpected(share, err_r, c, "a user");
        ungetc(c, p->file);
        if (p->at_count == p->room) {
            p->room = p->room ? p->room * 2 : 64;
            p->at = mem_resize(p->at, p->room, sizeof *p->at);
        }
        p->at[p->at_count++] = ftello(p->file);
        if (!value(share, &user, err_r))
            return false;
        ok = take(share, user, err_r);
        json_decref(user);
        c = next(p->file);
    } while (ok && c == ',' && ((c = next(p->file)) != EOF));
    return ok && (c == ']' || unexpected(share, err_r, c, "a comma or the end of the users"));
}

static bool member(struct share *share, const char *name, bool (*take)(struct share *, const json_t *, struct err *),
                   struct err *err_r)
{
    static const char opens[] = { '{', '[', '{', '"', '[' };
    static const char *const names[] = { "batch", "servers", "timeline", "schema", "users" };
    struct share_private *p = share->private;
    json_t **places[] = { &p->batch, &p->servers, &p->timeline }, *schema;
    unsigned i = 0;
    bool ok;
    int c;

    while (i < sizeof names / sizeof *names && strcmp(name, names[i]) != 0)
        i++;
    if (i == sizeof names / sizeof *names)
        return pass_over(share, err_r);
    c = getc_unlocked(p->file);
    if (c != opens[i])
        return unexpected(share, err_r, c, names[i]);
    ungetc(c, p->file);
    if (i < 3)
        return *places[i] ? share_damaged(share, err_r, "is damaged: \"%s\" is in it twice", name)
                          : value(share, places[i], err_r);
    if (i == 4)
        return p->at_count ? share_damaged(share, err_r, "is damaged: \"users\" is in it twice")
                           : take_users(share, take, err_r);
    if (!value(share, &schema, err_r))
        return false;
    ok = take_schema(share, schema, err_r);
    json_decref(schema);
    return ok;
}

static bool members(struct share *share, bool (*take)(struct share *, const json_t *, struct err *), struct err *err_r)
{
    FILE *file = share->private->file;
    int c = next(file);

    if (c == 0xEF && getc_unlocked(file) == 0xBB && getc_unlocked(file) == 0xBF)
        c = next(file);
    if (c == EOF)
        return ferror(file) ? unreadable(share, err_r, EIO) : share_damaged(share, err_r, "is empty");
    if (c != '{')
        return share_foreign(share, err_r, "is no report that `mailhaul report --json` wrote");
    for (c = next(file); c != '}'; c = next(file)) {
        json_t *name;
        bool ok;

        if (c != '"')
            return unexpected(share, err_r, c, "a name");
        ungetc(c, file);
        if (!value(share, &name, err_r))
            return false;
        c = next(file);
        ok = c == ':' || unexpected(share, err_r, c, "a colon");
        if (ok && (c = next(file)) != EOF)
            ungetc(c, file);
        ok = ok && member(share, json_string_value(name), take, err_r);
        json_decref(name);
        if (!ok)
            return false;
        c = next(file);
        if (c == '}')
            break;
        if (c != ',')
            return unexpected(share, err_r, c, "a comma");
    }
    return (c = next(file)) == EOF || unexpected(share, err_r, c, "its end");
}

bool share_is(const char *path)
{
    struct stat st;
    FILE *file;
    int c;

    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    if (slice_ends(slice_cstr(path), SLICE(".json")))
        return true;
    file = fopen(path, "re");
    if (!file)
        return false;
    c = next(file);
    fclose(file);
    return c == '{';
}

bool share_read(struct share *share, bool (*take)(struct share *, const json_t *, struct err *), struct err *err_r)
{
    struct share_private *p = share->private;

    p->file = fopen(share->path, "re");
    if (!p->file)
        return unreadable(share, err_r, errno);
    if (!members(share, take, err_r))
        return false;
    if (!p->is_report)
        return share_foreign(share, err_r, "is no report that `mailhaul report --json` wrote: it names no schema");
    if (!p->batch)
        return share_damaged(share, err_r, "is damaged: \"batch\" is missing");
    return true;
}

bool share_user(struct share *share, unsigned user, const json_t **user_r, struct err *err_r)
{
    struct share_private *p = share->private;

    if (!p->current || p->current_index != user) {
        json_decref(p->current);
        p->current = NULL;
        if (fseeko(p->file, p->at[user], SEEK_SET) != 0)
            return unreadable(share, err_r, errno);
        if (!value(share, &p->current, err_r))
            return false;
        p->current_index = user;
        if (!json_is_object(p->current) || strcmp(share_text(p->current, "address"), "") == 0) {
            json_decref(p->current);
            p->current = NULL;
            return share_damaged(share, err_r, "was changed while it was read");
        }
    }
    *user_r = p->current;
    return true;
}
