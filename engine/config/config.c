#include "engine/config/config.h"

#include "engine/config/ini.h"
#include "engine/config/nearest.h"
#include "engine/config/state.h"
#include "engine/config/text.h"
#include "engine/config/value.h"
#include "engine/folders/names_lines.h"
#include "engine/rehearsal/exo.h"
#include "io/base/mem.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define PLACE_MAX 200 /* bytes */
#define FAULT_MAX 200

/* Where a setting was written: a line of the file, or a --set. */
struct origin {
    const char *option; /* the whole --set text, or NULL */
    unsigned line;
};

static bool fail_at(const struct config_state *c, struct origin at, struct err *err_r, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static bool fail_at(const struct config_state *c, struct origin at, struct err *err_r, const char *format, ...)
{
    char text[sizeof err_r->server_text], option[CONFIG_SHOWN_MAX + 1];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (at.option)
        return config_refuse(err_r, CONFIG_EXIT_USAGE, "--set %s: %s", config_text_shown(slice_cstr(at.option), option),
                             text);
    return config_refuse(err_r, CONFIG_EXIT_BATCH, "%s:%u: %s", c->name, at.line, text);
}

static size_t key_index(const char *name, enum config_section section)
{
    const struct config_key *key = config_key_find(section, slice_cstr(name));

    assert(key);
    return (size_t)(key - config_keys);
}

const char *config_given_value(const struct config_state *c, enum config_section section, const char *key)
{
    return c->given[section][key_index(key, section)].value;
}

/* "night.ini:12: [source] url" */
static void place(const struct config_state *c, enum config_section section, const char *key, char out[PLACE_MAX])
{
    const struct config_given *given = &c->given[section][key_index(key, section)];

    if (given->value && given->line == 0)
        snprintf(out, PLACE_MAX, "--set %s.%s", config_section_name(section), key);
    else if (given->value)
        snprintf(out, PLACE_MAX, "%s:%u: [%s] %s", c->name, given->line, config_section_name(section), key);
    else
        snprintf(out, PLACE_MAX, "%s: [%s] %s", c->name, config_section_name(section), key);
}

bool config_fail(const struct config_state *c, enum config_section section, const char *key, struct err *err_r,
                 const char *format, ...)
{
    char at[PLACE_MAX], text[sizeof err_r->server_text];
    va_list args;

    place(c, section, key, at);
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return config_refuse(err_r, CONFIG_EXIT_BATCH, "%s: %s", at, text);
}

void config_warn(const struct config_state *c, enum config_section section, const char *key, const char *format, ...)
{
    char at[PLACE_MAX], text[256], line[PLACE_MAX + 260];
    va_list args;

    place(c, section, key, at);
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    snprintf(line, sizeof line, "%s: %s", at, text);
    settings_list_add(c->warnings, slice_cstr(line));
}

/* What is written */

static int shown(struct slice text)
{
    return (int)(text.size < CONFIG_SHOWN_MAX ? text.size : CONFIG_SHOWN_MAX);
}

static bool find_section(const struct config_state *c, struct origin at, struct slice name,
                         enum config_section *section_r, struct err *err_r)
{
    struct nearest near;
    char hint[80];

    if (config_section_find(name, section_r))
        return true;
    nearest_init(&near, name);
    for (unsigned i = 0; i < CONFIG_SECTION_COUNT; i++)
        nearest_offer(&near, config_section_name((enum config_section)i));
    return fail_at(c, at, err_r, "[%.*s]: unknown section%s", shown(name), name.data,
                   nearest_text(&near, "[", "]", hint, sizeof hint));
}

static bool unknown_key(const struct config_state *c, struct origin at, enum config_section section, struct slice name,
                        struct err *err_r)
{
    struct nearest near;
    char hint[80];

    for (unsigned other = 0; other < CONFIG_FOLDERS; other++)
        if (config_key_find((enum config_section)other, name))
            return fail_at(c, at, err_r, "[%s] %.*s: unknown key here; it belongs to [%s]",
                           config_section_name(section), shown(name), name.data,
                           config_section_name((enum config_section)other));
    nearest_init(&near, name);
    for (unsigned i = 0; i < config_key_count(); i++)
        if (config_keys[i].sections & 1u << section)
            nearest_offer(&near, config_keys[i].name);
    return fail_at(c, at, err_r, "[%s] %.*s: unknown key%s", config_section_name(section), shown(name), name.data,
                   nearest_text(&near, "", "", hint, sizeof hint));
}

/* [folders]: source = target, both as written. */
static bool give_folder(struct config_state *c, struct origin at, struct slice source, struct slice value,
                        struct err *err_r)
{
    struct settings *s = c->settings;
    struct settings_folder *row = NULL;
    char *target = NULL, *name;
    const char *fault;

    if (!value_text(value, &target) || *target == '\0') {
        free(target);
        return fail_at(c, at, err_r, "[folders] %.*s: %s", shown(source), source.data,
                       value_quote_is_open(value) ? "the quote is not closed" : "expected the name of a target folder");
    }
    name = slice_dup(source);
    fault = names_line_fault(name, target);
    free(name);
    if (fault) {
        free(target);
        return fail_at(c, at, err_r, "[folders] %.*s: %s", shown(source), source.data, fault);
    }
    for (size_t i = 0; i < s->folder_count; i++)
        if (slice_equal(source, slice_cstr(s->folders[i].source)))
            row = &s->folders[i];
    if (row && !at.option) {
        free(target);
        return fail_at(c, at, err_r, "[folders] %.*s: given twice, first in line %u", shown(source), source.data,
                       row->line);
    }
    if (row) {
        free(row->target);
    } else {
        s->folders = mem_resize(s->folders, s->folder_count + 1, sizeof *s->folders);
        row = &s->folders[s->folder_count++];
        row->source = slice_dup(source);
    }
    row->target = target;
    row->line = at.line;
    return true;
}

/* [rehearse]: the simulated server judges its own keys. */
static bool give_rehearsal(struct config_state *c, struct origin at, struct slice name, struct slice value,
                           struct err *err_r)
{
    char *key = slice_dup(name), *text = slice_dup(value), *line = mem_format("%s=%s", key, text);
    struct exo_config *scratch = mem_zero(1, sizeof *scratch);
    struct err fault;
    bool ok;

    exo_config_init(scratch);
    ok = exo_config_set(scratch, key, text, &fault);
    free(scratch);
    if (ok)
        settings_list_add(&c->settings->rehearse, slice_cstr(line));
    else
        fail_at(c, at, err_r, "[rehearse] %.150s", fault.server_text);
    free(line);
    free(text);
    free(key);
    return ok;
}

/* What is allowed, and hardly meant. */
static void warn_of_value(const struct config_state *c, enum config_section section, const struct config_key *key,
                          struct slice value)
{
    uint64_t bytes;

    if (key->kind == CONFIG_SIZE && value_size(value, &bytes) && bytes > 0 && bytes < 1000)
        config_warn(c, section, key->name, "%u bytes; was %uMB meant?", (unsigned)bytes, (unsigned)bytes);
}

/* `admin-user =` says that there is none, which is its default; `max-message-size =` is a slip. */
static void warn_of_empty(const struct config_state *c, struct origin at, enum config_section section,
                          const struct config_key *key)
{
    const char *stands = key->fallback ? key->fallback : key->otherwise;
    char line[400];

    if (strncmp(stands, "none", 4) == 0 || strcmp(stands, "all") == 0)
        return;
    snprintf(line, sizeof line, "%s:%u: [%s] %s: the value is empty; the default holds: %s", c->name, at.line,
             config_section_name(section), key->name, stands);
    settings_list_add(c->warnings, slice_cstr(line));
}

/* "35MB # limit" */
static bool has_comment(struct slice value)
{
    for (size_t i = 1; i < value.size; i++)
        if (value.data[i] == '#' && (value.data[i - 1] == ' ' || value.data[i - 1] == '\t'))
            return true;
    return false;
}

static bool give(struct config_state *c, struct origin at, enum config_section section, struct slice name,
                 struct slice value, struct err *err_r)
{
    const struct config_key *key;
    struct config_given *given;
    char fault[FAULT_MAX], value_shown[CONFIG_SHOWN_MAX + 1];

    if (section == CONFIG_FOLDERS)
        return give_folder(c, at, name, value, err_r);
    if (section == CONFIG_REHEARSE)
        return give_rehearsal(c, at, name, value, err_r);
    key = config_key_find(section, name);
    if (!key)
        return unknown_key(c, at, section, name, err_r);
    given = &c->given[section][key - config_keys];
    if (given->line && !at.option)
        return fail_at(c, at, err_r, "[%s] %s: given twice, first in line %u", config_section_name(section), key->name,
                       given->line);
    given->line = at.line;
    if (value.size == 0 && !at.option) {
        warn_of_empty(c, at, section, key);
        return true;
    }
    if (!config_key_store(key, config_section_base(section, c->settings), value, c->request->batch_file, fault,
                          sizeof fault)) {
        if (at.option)
            return fail_at(c, at, err_r, "%s", fault);
        return fail_at(c, at, err_r, "[%s] %s: %s: %s%s", config_section_name(section), key->name,
                       config_text_shown(value, value_shown), fault,
                       has_comment(value) ? ". A comment behind a value begins with ; and not with #" : "");
    }
    free(given->value);
    given->value = slice_dup(value);
    warn_of_value(c, section, key, value);
    return true;
}

static bool entry_read(void *context, const struct config_entry *e, struct err *err_r)
{
    struct config_state *c = context;
    struct origin at = { NULL, e->line };
    enum config_section section;

    if (!find_section(c, at, e->section, &section, err_r))
        return e->key.data != NULL; /* told at its own line */
    /* Who shares a mailbox is said of the users, not of the server. */
    if (section == CONFIG_TARGET && c->request->other_target && !slice_equal_nocase(e->key, SLICE("accept-shared")))
        return true;
    if (!e->key.data) {
        c->section_line[section] = e->line;
        return true;
    }
    return give(c, at, section, e->key, e->value, err_r);
}

static bool apply_override(struct config_state *c, const char *text, struct err *err_r)
{
    struct slice all = slice_cstr(text);
    size_t dot = slice_find(all, '.'), equals;
    struct origin at = { text, 0 };
    enum config_section section;

    if (config_text_fault(all) != SIZE_MAX)
        return fail_at(c, at, err_r, "not UTF-8");
    equals = slice_find(slice_from(all, dot == SIZE_MAX ? all.size : dot), '=');
    if (dot == SIZE_MAX || equals == SIZE_MAX)
        return fail_at(c, at, err_r, "expected section.key=value");
    if (!find_section(c, at, slice_trim(slice_first(all, dot)), &section, err_r))
        return false;
    return give(c, at, section, slice_trim(slice_first(slice_from(all, dot + 1), equals - 1)),
                slice_trim(slice_from(all, dot + equals + 1)), err_r);
}

static bool load(struct config_state *c, struct err *err_r)
{
    struct config_faults faults = { .others = c->request->faults };
    struct config_text text;
    struct err err;

    if (!config_text_read(c->request->batch_file, CONFIG_BYTES_MAX, CONFIG_EXIT_BATCH, &text, err_r))
        return false;
    config_text_warn(&text, c->request->batch_file, c->warnings);
    config_ini_read(slice_of(text.data, text.size), c->name, entry_read, c, &faults);
    config_text_deinit(&text);
    for (size_t i = 0; c->request->overrides && i < c->request->overrides->count; i++)
        if (!apply_override(c, c->request->overrides->items[i], &err))
            config_fault(&faults, &err);
    return config_faults_end(&faults, err_r) && config_check(c, err_r);
}

/* A proxy's password stands among them. */
static void wipe(char *value)
{
    if (value)
        secret_wipe(value, strlen(value));
    free(value);
}

bool config_load(const struct config_request *request, struct settings **settings_r, struct settings_list *warnings,
                 struct err *err_r)
{
    struct config_state *c = mem_zero(1, sizeof *c);
    bool ok;

    c->request = request;
    c->name = config_text_name(request->batch_file);
    c->settings = settings_create();
    c->settings->batch_file = mem_text(request->batch_file);
    c->warnings = warnings;
    ok = load(c, err_r);
    for (unsigned section = 0; section < CONFIG_FOLDERS; section++)
        for (unsigned i = 0; i < config_key_count(); i++)
            wipe(c->given[section][i].value);
    if (ok)
        *settings_r = c->settings;
    else
        settings_destroy(&c->settings);
    free(c);
    return ok;
}

void config_describe(void (*tell)(void *context, const struct config_key_info *key), void *context)
{
    for (unsigned section = 0; section < CONFIG_FOLDERS; section++)
        for (unsigned i = 0; i < config_key_count(); i++) {
            const struct config_key *key = &config_keys[i];

            if (key->sections & 1u << section)
                tell(context, &(struct config_key_info){
                                  config_section_name((enum config_section)section), key->name, key->value_name,
                                  key->fallback ? key->fallback : key->otherwise, key->help, key->hidden, key->words });
        }
}
