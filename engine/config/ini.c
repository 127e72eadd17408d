#include "engine/config/ini.h"

#include "engine/config/text.h"
#include "io/base/mem.h"

#include <ini.h>
#include <stdio.h>
#include <stdlib.h>

/* Debian's libinih has this variable, others fix the length when they are built. */
extern int ini_max_line __attribute__((weak));

/* libinih knows no quotes and takes : for =. Bytes that mean nothing at their place travel through
 * it as control bytes, which the text itself never holds. */
static const char plain[] = ":;=";
static const char hidden[] = "\x01\x02\x03";

struct ini_reader_state {
    struct slice rest; /* of the text */
    const char *name;
    unsigned line;
    char section[CONFIG_INI_LINE_MAX + 1];
    size_t section_size;
    bool in_section, bad_section;
    bool (*entry)(void *context, const struct config_entry *e, struct err *err_r);
    void *context;
    struct config_faults *faults;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void fail(struct ini_reader_state *r, const char *what)
{
    struct err err;

    (void)config_refuse(&err, CONFIG_EXIT_BATCH, "%s:%u: %s", r->name, r->line, what);
    config_fault(r->faults, &err);
}

static void tell_entry(struct ini_reader_state *r, const struct config_entry *e)
{
    struct err err;

    if (!r->entry(r->context, e, &err))
        config_fault(r->faults, &err);
}

/* "[name]" and perhaps a comment; tells the owner. */
static void read_section(struct ini_reader_state *r, struct slice line)
{
    size_t end = slice_find(line, ']');
    struct slice after = slice_from(line, end == SIZE_MAX ? line.size : end + 1);
    struct slice name = slice_trim(slice_from(slice_first(line, end), 1));
    struct config_entry e = { .line = r->line };

    r->bad_section = true;
    if (end == SIZE_MAX) {
        fail(r, "expected [section]; ] is missing");
        return;
    }
    if (slice_trim(after).size && slice_trim(after).data[0] != ';') {
        fail(r, "text after [section]; a comment begins with ;");
        return;
    }
    memcpy(r->section, name.data, name.size);
    r->section_size = name.size;
    r->in_section = true;
    r->bad_section = false;
    e.section = slice_of(r->section, r->section_size);
    tell_entry(r, &e);
}

/* Copies line into out (room for its bytes), hiding what libinih must not see. False when no =
 * separates a key from a value. */
static bool hide(struct slice line, char *out)
{
    bool quoted = false, item_begins = true, separated = false, after_blank = false;

    for (size_t i = 0; i < line.size; i++) {
        char c = line.data[i];
        const char *special = memchr(plain, c, sizeof plain - 1);

        out[i] = c;
        if (quoted) {
            if (c == '"' && i + 1 < line.size && line.data[i + 1] == '"')
                out[++i] = '"';
            else if (c == '"')
                quoted = false;
            else if (special)
                out[i] = hidden[special - plain];
            continue;
        }
        if (c == '"' && item_begins) {
            quoted = true;
        } else if (c == ';' && after_blank) {
            memcpy(out + i, line.data + i, line.size - i); /* the comment, for libinih to drop */
            break;
        } else if (c == '=' && !separated) {
            separated = true;
            item_begins = true;
            after_blank = false;
            continue;
        } else if (special) {
            out[i] = hidden[special - plain];
        }
        after_blank = is_blank(c);
        if (!after_blank)
            item_begins = separated && c == ',';
    }
    return separated;
}

static void reveal(char *text)
{
    for (; *text; text++) {
        const char *special = memchr(hidden, *text, sizeof hidden - 1);

        if (special)
            *text = plain[special - hidden];
    }
}

static bool has_control_byte(struct slice line)
{
    for (size_t i = 0; i < line.size; i++)
        if (((unsigned char)line.data[i] < ' ' && line.data[i] != '\t') || line.data[i] == 0x7F)
            return true;
    return false;
}

/* libinih's fgets: the next line that holds a key, or NULL at the end. */
static char *next_line(char *out, int cap, void *stream)
{
    struct ini_reader_state *r = stream;
    struct slice line;

    while (slice_split(&r->rest, '\n', &line)) {
        r->line++;
        if (line.size && line.data[line.size - 1] == '\r')
            line.size--;
        line = slice_trim(line);
        if (line.size == 0 || line.data[0] == ';' || line.data[0] == '#')
            continue;
        if (has_control_byte(line)) {
            fail(r, "a control byte, which no batch file has");
            continue;
        }
        if (line.size > CONFIG_INI_LINE_MAX || line.size + 2 > (size_t)cap) {
            fail(r, "the line is too long");
            continue;
        }
        if (line.data[0] == '[') {
            read_section(r, line);
            continue;
        }
        if (r->bad_section)
            continue;
        if (!hide(line, out)) {
            fail(r, "expected key = value");
            continue;
        }
        if (!r->in_section) {
            fail(r, "a key before the first [section]");
            r->bad_section = true; /* and all up to one are */
            continue;
        }
        out[line.size] = '\n';
        out[line.size + 1] = '\0';
        return out;
    }
    return NULL;
}

/* "name" without its quotes, in place. False when they are not closed or text follows. */
static bool unquote_key(char *name)
{
    size_t used = 0, at = 1;

    if (name[0] != '"')
        return true;
    for (;; at++) {
        if (name[at] == '\0')
            return false;
        if (name[at] == '"' && name[++at] != '"')
            break;
        name[used++] = name[at];
    }
    name[used] = '\0';
    return name[at] == '\0';
}

static int one_key(void *user, const char *section, const char *name, const char *value)
{
    struct ini_reader_state *r = user;
    struct config_entry e = { .line = r->line };
    char *key, *text;

    (void)section; /* cut at 49 bytes there */
    key = mem_text(name);
    text = mem_text(value ? value : "");
    reveal(key);
    reveal(text);
    if (!unquote_key(key)) {
        fail(r, "a key that begins with a quote must end with one");
    } else if (!*key) {
        fail(r, "expected key = value; the key is missing");
    } else {
        e.section = slice_of(r->section, r->section_size);
        e.key = slice_cstr(key);
        e.value = slice_trim(slice_cstr(text));
        tell_entry(r, &e);
    }
    free(key);
    free(text);
    return 1;
}

void config_ini_read(struct slice text, const char *name,
                     bool (*entry)(void *context, const struct config_entry *e, struct err *err_r), void *context,
                     struct config_faults *faults)
{
    size_t fault = config_text_fault(text);
    struct ini_reader_state *r;

    if (fault != SIZE_MAX) {
        unsigned line, column;
        struct err err;

        config_text_position(text, fault, &line, &column);
        (void)config_refuse(&err, CONFIG_EXIT_BATCH, "%s:%u: %s at column %u%s", name, line,
                            text.data[fault] ? "not UTF-8" : "a NUL byte", column,
                            text.data[fault] ? CONFIG_TEXT_CONVERT : "");
        config_fault(faults, &err);
        return;
    }
    if (&ini_max_line)
        ini_max_line = CONFIG_INI_LINE_MAX + 3;
    r = mem_zero(1, sizeof *r);
    r->rest = text;
    r->name = name;
    r->entry = entry;
    r->context = context;
    r->faults = faults;
    if (ini_parse_stream(next_line, r, one_key, r) != 0 && faults->count == 0)
        fail(r, "cannot be read as key = value");
    free(r);
}
