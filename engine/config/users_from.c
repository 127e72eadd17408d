#include "engine/config/users_from.h"

#include "engine/config/invisible.h"
#include "engine/config/text.h"
#include "io/base/mem.h"

#include <stdlib.h>

static struct slice without_comment(struct slice line)
{
    for (size_t i = 0; i < line.size; i++)
        if (line.data[i] == '#' && (i == 0 || line.data[i - 1] == ' ' || line.data[i - 1] == '\t'))
            return slice_first(line, i);
    return line;
}

static void add(struct users_from *from, struct slice name, unsigned line)
{
    size_t count = from->names.count;

    if ((count & (count - 1)) == 0)
        from->lines = mem_resize(from->lines, count ? 2 * count : 1, sizeof *from->lines);
    from->lines[count] = line;
    settings_list_add(&from->names, name);
}

static bool read_lines(struct users_from *from, struct slice text, struct err *err_r)
{
    const char *name = config_text_name(from->path);
    size_t fault = config_text_fault(text);
    unsigned number = 0;
    struct slice line;

    if (fault != SIZE_MAX) {
        unsigned column;

        config_text_position(text, fault, &number, &column);
        return config_refuse(err_r, CONFIG_EXIT_USAGE, "%s:%u: %s", name, number,
                             text.data[fault] ? "not UTF-8" CONFIG_TEXT_CONVERT : "a NUL byte");
    }
    while (slice_split(&text, '\n', &line)) {
        number++;
        line = invisible_trim(without_comment(line));
        if (line.size == 0)
            continue;
        if (invisible_in(line))
            return config_refuse(err_r, CONFIG_EXIT_USAGE,
                                 "%s:%u: has a character within that is not seen (U+%04X); type it anew", name, number,
                                 (unsigned)invisible_in(line));
        add(from, line, number);
    }
    return from->names.count > 0 || config_refuse(err_r, CONFIG_EXIT_USAGE, "%s: names no user", name);
}

bool users_from_read(struct users_from *from, const char *path, struct err *err_r)
{
    struct config_text text;
    bool ok;

    *from = (struct users_from){ .path = path };
    if (!config_text_read(path, USERS_FROM_BYTES_MAX, CONFIG_EXIT_USAGE, &text, err_r))
        return false;
    ok = read_lines(from, slice_of(text.data, text.size), err_r);
    config_text_deinit(&text);
    return ok;
}

void users_from_deinit(struct users_from *from)
{
    settings_list_deinit(&from->names);
    free(from->lines);
    *from = (struct users_from){ 0 };
}
