/* The header of users.csv: which columns there are, in which order, and what stands between two cells. */
#include "engine/config/users_header.h"

#include "engine/config/invisible.h"
#include "engine/config/nearest.h"
#include "engine/config/users.h"

#include <stdio.h>
#include <string.h>

#define SHOWN_MAX 60

static const struct {
    const char *name;
    const char *help;
} columns[USERS_COLUMN_COUNT] = {
    { "EmailAddress", "the target mailbox; each at most once" },
    { "UserName", "the login name at the source" },
    { "Password", "the password at the source" },
    { "UserRoot", "folder prefix at the source" },
    { "TargetUserName", "the login name at the target; EmailAddress when empty" },
    { "TargetPassword", "the password at the target, for preset = imap" },
    { "PasswordFile", "in place of Password: a file whose first line is the password" },
    { "MaxMessageSize", "in place of the policy's max-message-size" },
    { "ExcludeFolders", "in place of the policy's exclude-folders" },
    { "Wave", "the group that moves together, such as 1 or physics; --wave takes it alone" },
};

const char *users_column_name(enum users_column column)
{
    return columns[column].name;
}

/* Such a name makes a row a header; a cell of data may be "Password", and often is one. */
static bool names_column(struct slice text)
{
    text = invisible_trim(text);
    for (unsigned i = 0; i < USERS_COLUMN_COUNT; i++)
        if (i != USERS_COLUMN_PASSWORD && i != USERS_COLUMN_TARGET_PASSWORD &&
            slice_equal_nocase(text, slice_cstr(columns[i].name)))
            return true;
    return false;
}

/* Whether the first row is a header at all. If it is not, it is a user's, and nothing of it may be shown. */
static bool is_header(const struct users_cell *cells, unsigned count)
{
    bool known = false;

    for (unsigned i = 0; i < count; i++) {
        if (slice_find(cells[i].text, '@') != SIZE_MAX)
            return false;
        known |= names_column(cells[i].text);
    }
    return known;
}

static const char *column_names(char *out, size_t cap)
{
    size_t used = 0;

    for (unsigned i = 0; i < USERS_COLUMN_COUNT && used < cap; i++)
        used += (size_t)snprintf(out + used, cap - used, "%s%s", i ? ", " : "; those there are: ", columns[i].name);
    return out;
}

static bool read_column(struct users_header *h, struct users_rows *in, const struct users_cell *cell)
{
    struct slice name = invisible_trim(cell->text);
    struct nearest near;
    char hint[80], all[200];

    nearest_init(&near, name);
    for (unsigned i = 0; i < USERS_COLUMN_COUNT; i++) {
        if (slice_equal_nocase(name, slice_cstr(columns[i].name))) {
            if (h->has[i])
                return users_refuse(in, cell->at, "%s: the column is there twice", columns[i].name);
            h->has[i] = true;
            h->order[h->width++] = (enum users_column)i;
            return true;
        }
        nearest_offer(&near, columns[i].name);
    }
    if (name.size == 0)
        return users_refuse(in, cell->at, "a column without a name");
    nearest_text(&near, "", "", hint, sizeof hint);
    return users_refuse(in, cell->at, "%.*s: unknown column%s", (int)(name.size < SHOWN_MAX ? name.size : SHOWN_MAX),
                        name.data, hint[0] ? hint : column_names(all, sizeof all));
}

/* How many columns the line has when it is divided so. A header has neither quotes within nor line ends. */
static unsigned columns_of(struct slice line, char between)
{
    struct slice part;
    unsigned known = 0;

    while (slice_split(&line, between, &part)) {
        part = invisible_trim(part);
        if (part.size > 1 && part.data[0] == '"' && part.data[part.size - 1] == '"')
            part = slice_from(slice_first(part, part.size - 1), 1);
        known += names_column(part);
    }
    return known;
}

static struct slice line_here(const struct users_rows *in)
{
    struct slice rest = slice_of(in->data + in->at, in->size - in->at);

    return slice_trim(slice_first(rest, slice_find(rest, '\n')));
}

/* By the header: spreadsheets write what is usual in their country. Excel's first line "sep=;" says it in words, and is
 * no row. */
static void find_comma(struct users_rows *in)
{
    static const char all[] = { ',', ';', '\t' };
    struct slice line = line_here(in);
    unsigned most = 0;

    in->comma = ',';
    if (line.size == 5 && slice_starts_nocase(line, SLICE("sep=")) && memchr(all, line.data[4], sizeof all)) {
        users_skip_line(in);
        users_skip_blank(in);
        in->comma = line.data[4];
        line = line_here(in);
    }
    for (unsigned i = 0; i < sizeof all; i++) {
        unsigned count = columns_of(line, all[i]);

        if (count > most) {
            most = count;
            in->comma = all[i];
        }
    }
}

bool users_header_read(struct users_header *h, struct users_rows *in)
{
    struct users_cell cells[USERS_COLUMN_COUNT + 1];
    struct users_place begin;
    unsigned count;

    users_skip_blank(in);
    find_comma(in);
    begin = in->here;
    if (!users_read_row(in, cells, USERS_COLUMN_COUNT + 1, &count))
        return false;
    if (!is_header(cells, count <= USERS_COLUMN_COUNT ? count : USERS_COLUMN_COUNT + 1))
        return users_refuse(in, begin, "line %u must be the header: EmailAddress,UserName,Password,...", begin.line);
    for (unsigned i = 0; i < count && i <= USERS_COLUMN_COUNT; i++)
        if (!read_column(h, in, &cells[i]))
            return false;
    for (unsigned i = USERS_COLUMN_ADDRESS; i <= USERS_COLUMN_USER_NAME; i++)
        if (!h->has[i])
            return users_refuse(in, begin, "%s: the column is missing from the header", columns[i].name);
    return true;
}

void users_describe(void (*tell)(void *context, const char *column, const char *help), void *context)
{
    for (unsigned i = 0; i < USERS_COLUMN_COUNT; i++)
        tell(context, columns[i].name, columns[i].help);
}
