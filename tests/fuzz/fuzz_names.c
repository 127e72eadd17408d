/* test: folders
 * What a server calls its folders, and what they are to be called on the target: each that moves has a name there which
 * no other one has and a command can carry, and neither depends on the order of the rows. The first line is: the
 * target's delimiter, 'x' for Exchange, the source's prefix; then one row a line: 's' or 't' for its side, its
 * delimiter, its attributes as a letter, its name. */
#include "engine/folders/names.h"
#include "engine/folders/names_index.h"
#include "engine/folders/names_text.h"
#include "io/base/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define ROWS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    struct names_source rows[ROWS_MAX];
    struct names_target targets[ROWS_MAX];
    size_t count, target_count;
};

/* '0' stands for none, as a server's NIL does. */
static char delimiter_of(char c)
{
    return c == '0' || c < 0x20 || c == 0x7f ? '\0' : c;
}

static void take_row(struct input *in, struct slice line)
{
    char *raw;

    if (line.size < 4 || memchr(line.data, '\0', line.size))
        return;
    raw = slice_dup(slice_from(line, 3));
    /* As a folder_list does: a row that comes twice is one. */
    for (size_t i = 0; i < in->count && line.data[0] == 's'; i++)
        if (strcmp(in->rows[i].raw, raw) == 0) {
            free(raw);
            return;
        }
    if (line.data[0] == 's' && in->count < ROWS_MAX)
        in->rows[in->count++] = (struct names_source){ .raw = raw,
                                                       .delimiter = delimiter_of(line.data[1]),
                                                       .attributes = (1u << (line.data[2] & 31)) >> 1 & 0x1ffff };
    else if (line.data[0] == 't' && in->target_count < ROWS_MAX)
        in->targets[in->target_count++] =
            (struct names_target){ .raw = raw,
                                   .delimiter = delimiter_of(line.data[1]),
                                   .attributes = (1u << (line.data[2] & 31)) >> 1 & 0x1ffff };
    else
        free(raw);
}

static void map(struct input *in, const struct names_rules *rules)
{
    names_describe(in->rows, in->count, rules, NULL, NULL);
    names_map(in->rows, in->count, in->targets, in->target_count, rules, NULL, NULL);
}

static void input_deinit(struct input *in)
{
    for (size_t i = 0; i < in->count; i++)
        names_source_deinit(&in->rows[i]);
    for (size_t i = 0; i < in->target_count; i++)
        free(in->targets[i].raw);
}

static void read_rows(struct input *in, struct slice text, bool backwards)
{
    struct slice line;

    *in = (struct input){ 0 };
    while (slice_split(&text, '\n', &line))
        take_row(in, line);
    for (size_t i = 0; backwards && i < in->count / 2; i++) {
        struct names_source row = in->rows[i];

        in->rows[i] = in->rows[in->count - 1 - i];
        in->rows[in->count - 1 - i] = row;
    }
}

static void judge(const struct input *in, const struct names_rules *rules)
{
    struct names_index taken;

    names_index_init(&taken);
    for (size_t i = 0; i < in->count; i++) {
        const struct names_source *r = &in->rows[i];
        char *key;

        if (!r->name || (!r->target_raw) != (!r->selectable || r->excluded) || !r->target_raw != !r->target_name)
            abort();
        if (!r->target_raw)
            continue;
        key = names_raw_key(slice_cstr(r->target_raw), rules->target_delimiter, rules);
        if (!names_index_add(&taken, slice_cstr(key), i) || !r->target_raw[0] ||
            strlen(r->target_raw) > NAMES_KEPT_BYTES_MAX || strlen(r->target_name) > NAMES_KEPT_BYTES_MAX)
            abort();
        free(key);
    }
    names_index_deinit(&taken);
}

/* The same name for the same row, wherever it stood; rows that say the same of themselves may change places. */
static void compare(const struct input *a, const struct input *b)
{
    for (size_t i = 0; i < a->count; i++) {
        const struct names_source *x = &a->rows[i], *y = NULL;
        unsigned alike = 0;

        for (size_t k = 0; k < b->count; k++)
            if (strcmp(x->raw, b->rows[k].raw) == 0) {
                y = &b->rows[k];
                alike++;
            }
        if (alike == 1 &&
            (!x->target_raw != !y->target_raw || (x->target_raw && strcmp(x->target_raw, y->target_raw) != 0)))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct settings *settings;
    static const struct settings_user user;
    struct slice text = slice_of((const char *)data, size), head;
    struct names_rules rules = { .user = &user, .target_prefix = "" };
    struct input in, again;
    char *prefix;

    if (size > 16384 || !slice_split(&text, '\n', &head) || head.size < 2 || memchr(head.data, '\0', head.size))
        return 0;
    if (!settings)
        settings = settings_create();
    rules.settings = settings;
    rules.target_delimiter = delimiter_of(head.data[0]);
    rules.exchange = head.data[1] == 'x';
    if (rules.exchange)
        rules.target_delimiter = '/';
    rules.source_prefix = prefix = slice_dup(slice_from(head, 2));
    read_rows(&in, text, false);
    read_rows(&again, text, true);
    map(&in, &rules);
    map(&again, &rules);
    judge(&in, &rules);
    judge(&again, &rules);
    compare(&in, &again);
    input_deinit(&in);
    input_deinit(&again);
    free(prefix);
    return 0;
}
