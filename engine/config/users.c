#include "engine/config/users.h"

#include "engine/config/invisible.h"
#include "engine/config/text.h"
#include "engine/config/users_header.h"
#include "engine/config/users_rows.h"
#include "engine/config/users_twice.h"
#include "engine/config/value.h"
#include "engine/folders/names_match.h"
#include "io/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_MAX 60

/* Where two cells of a row stand; 0: the cell is not there. */
struct row_columns {
    unsigned address, target;
};

struct csv {
    struct users_rows in;
    const char *path; /* PasswordFile goes by it */
    struct settings *settings;
    struct users_need need;
    struct settings_list *warnings;
    struct users_header header;
    struct row_columns *columns; /* by user */
    size_t first_user;           /* of this file in settings->users */
    bool has_passwords;
    size_t open_files; /* password files that others may read */
    size_t blanks;     /* passwords without quotes that begin or end with a blank */
    size_t line_ends;  /* passwords with a line end within */
    struct users_place first_blank, first_line_end, first_tiny;
    struct users_place first_twice; /* of rows that name one thing */
    unsigned tiny_bytes;            /* the first MaxMessageSize below 1 KB; 0: none */
    bool target_password_unused;
};

static int shown(struct slice text)
{
    return (int)(text.size < SHOWN_MAX ? text.size : SHOWN_MAX);
}

/* A row */

static bool source_needs_password(const struct csv *f)
{
    const struct settings_endpoint *e = &f->settings->source;

    if (!f->need.source || e->disk || settings_admin_logs_in(e) || e->password_command || e->auth == AUTH_EXTERNAL)
        return false;
    if (e->oauth.grant == SETTINGS_GRANT_REFRESH_TOKEN)
        return !e->oauth.refresh_token_file;
    return e->oauth.grant == SETTINGS_GRANT_NONE;
}

static bool target_needs_password(const struct csv *f)
{
    const struct settings_endpoint *e = &f->settings->target;

    return f->need.target && e->preset == SETTINGS_PRESET_IMAP && !settings_admin_logs_in(e) && !e->password_command &&
           e->auth != AUTH_EXTERNAL &&
           (e->oauth.grant == SETTINGS_GRANT_NONE ||
            (e->oauth.grant == SETTINGS_GRANT_REFRESH_TOKEN && !e->oauth.refresh_token_file));
}

/* Many rows may name one file. */
static void keep_input(struct settings *s, const char *path)
{
    size_t count = s->input_files.count;

    if (path && (count == 0 || strcmp(s->input_files.items[count - 1], path) != 0))
        settings_list_add(&s->input_files, slice_cstr(path));
}

static bool store_password_file(struct csv *f, struct settings_user *user, const struct users_cell *cell)
{
    bool by_others = false;
    struct err why;

    user->password_file = config_text_beside(f->path, slice_trim(cell->text));
    keep_input(f->settings, user->password_file);
    if (!f->need.source)
        return true;
    if (!secret_read_file(user->password_file, &user->password, &by_others, &why))
        return users_refuse(&f->in, cell->at, "PasswordFile: %s", why.server_text);
    f->open_files += by_others;
    return true;
}

static bool store_exclude(struct csv *f, struct settings_user *user, const struct users_cell *cell)
{
    struct settings_list list = { NULL, 0 };
    const char *fault;

    if (!value_list(slice_trim(cell->text), &list))
        return users_refuse(&f->in, cell->at, "ExcludeFolders: expected names separated by commas");
    fault = names_pattern_fault(&list);
    if (fault) {
        (void)users_refuse(&f->in, cell->at, "ExcludeFolders: %.80s: no such role", fault);
        settings_list_deinit(&list);
        return false;
    }
    user->exclude_folders = mem_alloc(sizeof list);
    *user->exclude_folders = list;
    return true;
}

/* It is part of the password all the same: such a password there may be. In quotes it is meant. */
static void count_blanks(struct csv *f, const struct users_cell *cell)
{
    if (cell->quoted || invisible_trim(cell->text).size == cell->text.size)
        return;
    if (f->blanks++ == 0)
        f->first_blank = cell->at;
}

static void count_line_ends(struct csv *f, const struct users_cell *cell)
{
    if (!slice_has_line_end(cell->text))
        return;
    if (f->line_ends++ == 0)
        f->first_line_end = cell->at;
}

/* A cell with a line end is two that a lost quote made one, most often. A password may hold what it likes. */
static bool text_sane(struct csv *f, enum users_column column, struct slice text, struct users_place at)
{
    const char *fault =
        column == USERS_COLUMN_PASSWORD || column == USERS_COLUMN_TARGET_PASSWORD ? NULL : value_line_fault(text);

    return !fault || users_refuse(&f->in, at, "%s: has %s; is a quote missing?", users_column_name(column), fault);
}

static bool store_cell(struct csv *f, struct settings_user *user, enum users_column column,
                       const struct users_cell *cell)
{
    struct slice text = invisible_trim(cell->text);

    /* A password keeps its blanks; one of blanks alone is a slip. */
    if (text.size == 0)
        return true;
    if ((column <= USERS_COLUMN_USER_NAME || column == USERS_COLUMN_TARGET_USER_NAME) && invisible_in(text))
        return users_refuse(&f->in, cell->at,
                            "%s: %.*s: has a character within that is not seen (U+%04X); type it anew",
                            users_column_name(column), shown(text), text.data, (unsigned)invisible_in(text));
    if (!text_sane(f, column, text, cell->at))
        return false;
    switch (column) {
    case USERS_COLUMN_ADDRESS:
        if (invisible_quote_in(text))
            return users_refuse(&f->in, cell->at,
                                "EmailAddress: %.*s: has a typographic quote (U+%04X) within; type it anew",
                                shown(text), text.data, (unsigned)invisible_quote_in(text));
        if (!value_address(text))
            return users_refuse(&f->in, cell->at, "EmailAddress: %.*s: expected an address such as ann@x.org",
                                shown(text), text.data);
        user->email_address = slice_dup(text);
        break;
    case USERS_COLUMN_USER_NAME:
        user->user_name = slice_dup(text);
        break;
    case USERS_COLUMN_PASSWORD:
        count_blanks(f, cell);
        count_line_ends(f, cell);
        user->password = secret_create(cell->text);
        f->has_passwords = true;
        break;
    case USERS_COLUMN_USER_ROOT:
        user->user_root = slice_dup(text);
        break;
    case USERS_COLUMN_TARGET_USER_NAME:
        user->target_user_name = slice_dup(text);
        break;
    case USERS_COLUMN_TARGET_PASSWORD:
        count_blanks(f, cell);
        count_line_ends(f, cell);
        user->target_password = secret_create(cell->text);
        f->has_passwords = true;
        f->target_password_unused |= f->settings->target.preset != SETTINGS_PRESET_IMAP;
        break;
    case USERS_COLUMN_PASSWORD_FILE:
        if (user->password)
            return users_refuse(&f->in, cell->at, "PasswordFile: contradicts Password; keep one of them");
        return store_password_file(f, user, cell);
    case USERS_COLUMN_MAX_MESSAGE_SIZE:
        if (!value_size(text, &user->max_message_bytes) || user->max_message_bytes == 0 ||
            user->max_message_bytes > SETTINGS_MESSAGE_BYTES_MAX)
            return users_refuse(&f->in, cell->at, "MaxMessageSize: %.*s: expected a size such as 35MB, at most 150MB",
                                shown(text), text.data);
        if (user->max_message_bytes < 1000 && f->tiny_bytes == 0) {
            f->tiny_bytes = (unsigned)user->max_message_bytes;
            f->first_tiny = cell->at;
        }
        break;
    case USERS_COLUMN_EXCLUDE_FOLDERS:
        return store_exclude(f, user, cell);
    case USERS_COLUMN_WAVE:
        user->wave = slice_dup(text);
        break;
    case USERS_COLUMN_COUNT:
        break;
    }
    return true;
}

static bool check_row(struct csv *f, const struct settings_user *user, struct users_place begin)
{
    const char *missing = !user->email_address ? "EmailAddress" : !user->user_name ? "UserName" : NULL;

    if (missing)
        return users_refuse(&f->in, begin, "%s: the cell is empty", missing);
    if (!user->password && !user->password_file && source_needs_password(f))
        return users_refuse(&f->in, begin,
                            "%s: no Password and no PasswordFile; without them the batch file "
                            "needs admin-user or a way to get tokens",
                            user->email_address);
    if (!user->target_password && target_needs_password(f))
        return users_refuse(&f->in, begin, "%s: no TargetPassword; without it [target] needs admin-user",
                            user->email_address);
    return true;
}

static const char *comma_name(char comma)
{
    return comma == ',' ? "comma" : comma == ';' ? "semicolon" : "tab";
}

static bool store_row(struct csv *f, const struct users_cell *cells, unsigned count, struct users_place begin)
{
    struct settings *s = f->settings;
    size_t index = s->user_count - f->first_user;
    struct settings_user *user;

    if (count != f->header.width)
        return users_refuse(&f->in, begin, "the row has %u cell%s, the header %u%s%s%s", count, count == 1 ? "" : "s",
                            f->header.width, count > f->header.width ? "; a cell with a " : "",
                            count <= f->header.width ? "" : comma_name(f->in.comma),
                            count > f->header.width ? " within stands in quotes" : "");
    if (index >= USERS_ROWS_MAX)
        return users_refuse(&f->in, begin, "more than %u users; split the batch", USERS_ROWS_MAX);
    if ((index & (index - 1)) == 0)
        f->columns = mem_resize(f->columns, index ? 2 * index : 1, sizeof *f->columns);
    user = settings_user_add(s);
    user->line = begin.line;
    f->columns[index] = (struct row_columns){ begin.column, 0 };
    /* In the order of the table, so that Password comes before what contradicts it. */
    for (unsigned column = 0; column < USERS_COLUMN_COUNT; column++)
        for (unsigned i = 0; i < f->header.width; i++)
            if (f->header.order[i] == column) {
                if (column == USERS_COLUMN_ADDRESS)
                    f->columns[index].address = cells[i].at.column;
                else if (column == USERS_COLUMN_TARGET_USER_NAME)
                    f->columns[index].target = cells[i].at.column;
                if (!store_cell(f, user, f->header.order[i], &cells[i]))
                    return false;
            }
    return check_row(f, user, begin);
}

/* Rows that name one thing */

static struct users_place place_of(const struct csv *f, size_t row, bool target)
{
    const struct row_columns *at = &f->columns[row];

    return (struct users_place){ f->settings->users[f->first_user + row].line, target ? at->target : at->address };
}

/* All of them, as faults of their own. */
static void check_addresses(struct csv *f, struct config_faults *faults)
{
    const struct settings_user *users = f->settings->users + f->first_user;
    size_t count = f->settings->user_count - f->first_user, pairs;
    struct users_pair *all = users_all_twice(users, count, users_address, &pairs);

    for (size_t i = 0; i < pairs; i++) {
        (void)users_refuse(&f->in, place_of(f, all[i].second, false),
                           "EmailAddress: %.*s: is there twice, first in line %u", SHOWN_MAX,
                           users[all[i].second].email_address, users[all[i].first].line);
        if (faults->count == 0)
            f->first_twice = *f->in.place_r;
        config_fault(faults, f->in.err_r);
    }
    free(all);
}

static void check_mailboxes(struct csv *f, struct config_faults *faults)
{
    const struct settings_user *users = f->settings->users + f->first_user;
    size_t count = f->settings->user_count - f->first_user, pairs;
    struct users_pair *all = users_all_twice(users, count, users_target_mailbox, &pairs);

    for (size_t i = 0; i < pairs; i++) {
        const struct settings_user *user = &users[all[i].second];
        bool named = user->target_user_name != NULL;

        (void)users_refuse(&f->in, place_of(f, all[i].second, named),
                           "%s: %.*s: is the target mailbox of line %u too, so that the mail of two people would "
                           "lie in one mailbox; if that is meant, write accept-shared = yes under [target]",
                           named ? "TargetUserName" : "EmailAddress", SHOWN_MAX, users_target_mailbox(user),
                           users[all[i].first].line);
        if (faults->count == 0)
            f->first_twice = *f->in.place_r;
        config_fault(faults, f->in.err_r);
    }
    free(all);
}

/* The file */

/* Each row by itself: else each fault would cost a run. Rows that name one thing are looked for among good ones. */
static bool read_rows(struct csv *f)
{
    struct users_place *place_r = f->in.place_r, place, first = { 0, 0 };
    struct err *err_r = f->in.err_r, err;
    struct config_faults faults = { .others = &f->settings->user_faults };
    bool whole = true;

    f->in.place_r = &place;
    f->in.err_r = &err;
    while (whole && users_skip_blank(&f->in)) {
        struct users_place begin = f->in.here;
        struct users_cell cells[USERS_COLUMN_COUNT];
        unsigned count;

        whole = users_read_row(&f->in, cells, USERS_COLUMN_COUNT, &count);
        if (whole && (users_row_is_blank(cells, count, USERS_COLUMN_COUNT) || store_row(f, cells, count, begin)))
            continue;
        if (faults.count == 0)
            first = place;
        config_fault(&faults, &err); /* and where a row is not whole, nobody knows where the next one begins */
    }
    if (faults.count == 0) {
        check_addresses(f, &faults);
        if (faults.count == 0 && !f->settings->target.accept_shared)
            check_mailboxes(f, &faults);
        first = f->first_twice;
    }
    f->in.place_r = place_r;
    f->in.err_r = err_r;
    if (faults.count)
        *place_r = first;
    return config_faults_end(&faults, err_r);
}

static bool parse(struct csv *f)
{
    size_t fault = config_text_fault(slice_of(f->in.data, f->in.size));

    if (fault != SIZE_MAX) {
        struct users_place at;

        config_text_position(slice_of(f->in.data, f->in.size), fault, &at.line, &at.column);
        return users_refuse(&f->in, at, "%s", f->in.data[fault] ? "not UTF-8" CONFIG_TEXT_CONVERT : "a NUL byte");
    }
    if (!users_header_read(&f->header, &f->in) || !read_rows(f))
        return false;
    if (f->settings->user_count == f->first_user)
        return users_refuse(&f->in, f->in.here, "no users after the header");
    return true;
}

static void warn(struct csv *f)
{
    char text[256];

    users_warn_of_source(f->settings, f->first_user, f->in.name, f->warnings);
    if (f->blanks) {
        snprintf(text, sizeof text,
                 "%s:%u:%u: a password begins or ends with a blank or with what is not seen%s; that counts as part "
                 "of it. If it is meant, put it in quotes; if not, take it out",
                 f->in.name, f->first_blank.line, f->first_blank.column, f->blanks > 1 ? ", and others do" : "");
        settings_list_add(f->warnings, slice_cstr(text));
    }
    if (f->line_ends) {
        snprintf(text, sizeof text, "%s:%u:%u: a password has a line end within%s; is a quote missing?", f->in.name,
                 f->first_line_end.line, f->first_line_end.column, f->line_ends > 1 ? ", and others do" : "");
        settings_list_add(f->warnings, slice_cstr(text));
    }
    if (f->tiny_bytes) {
        snprintf(text, sizeof text, "%s:%u:%u: MaxMessageSize: %u bytes; was %uMB meant?", f->in.name,
                 f->first_tiny.line, f->first_tiny.column, f->tiny_bytes, f->tiny_bytes);
        settings_list_add(f->warnings, slice_cstr(text));
    }
    if (f->open_files) {
        snprintf(text, sizeof text, "%s: others may read %zu of the password files; chmod 600 helps", f->in.name,
                 f->open_files);
        settings_list_add(f->warnings, slice_cstr(text));
    }
    if (f->target_password_unused && f->need.target) {
        snprintf(text, sizeof text, "%s: TargetPassword is not used with preset = exchange-online", f->in.name);
        settings_list_add(f->warnings, slice_cstr(text));
    }
}

bool users_parse(struct settings *s, char *text, size_t size, const char *name, struct users_need need,
                 struct settings_list *warnings, bool *has_passwords_r, struct users_place *place_r, struct err *err_r)
{
    struct csv f = { .in = { .data = text,
                             .size = size,
                             .here = { 1, 1 },
                             .name = config_text_name(name),
                             .place_r = place_r,
                             .err_r = err_r },
                     .path = name,
                     .settings = s,
                     .need = need,
                     .warnings = warnings };
    bool ok;

    f.first_user = s->user_count;
    *place_r = (struct users_place){ 0, 0 };
    ok = parse(&f);
    free(f.columns);
    if (ok) {
        warn(&f);
        settings_finish(s);
    }
    *has_passwords_r = f.has_passwords;
    return ok;
}
