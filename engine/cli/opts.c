#include "engine/cli/opts.h"

#include "engine/config/nearest.h"
#include "engine/config/table.h"
#include "engine/config/text.h"
#include "engine/config/value.h"
#include "io/base/mem.h"

#include <assert.h>
#include <stdlib.h>

#define SHOWN_MAX 60

static const struct {
    const char *name;
    enum settings_mode mode;
    bool several_files;
    const char *help;
} commands[] = {
    [OPTS_CHECK] = { "check", SETTINGS_MODE_OTHER, false, "connect to source and target, one line a step" },
    [OPTS_SIGN_IN] = { "sign-in", SETTINGS_MODE_OTHER, false,
                       "sign in by a code that a person types into a browser; for device-code = yes" },
    [OPTS_FOLDERS] = { "folders", SETTINGS_MODE_OTHER, false, "show a user's folders and what they map to" },
    [OPTS_PLAN] = { "plan", SETTINGS_MODE_PLAN, false, "say what would move and how long it takes" },
    [OPTS_RUN] = { "run", SETTINGS_MODE_RUN, false, "fetch, spool and upload until every user is Synced or Failed" },
    [OPTS_FETCH] = { "fetch", SETTINGS_MODE_FETCH, false, "source to spool only" },
    [OPTS_UPLOAD] = { "upload", SETTINGS_MODE_UPLOAD, false, "spool to target only" },
    [OPTS_RETRY] = { "retry", SETTINGS_MODE_RETRY, false, "put failed users and items back in the queue, then run" },
    [OPTS_VERIFY] = { "verify", SETTINGS_MODE_VERIFY, false, "read both sides again and compare" },
    [OPTS_STATUS] = { "status", SETTINGS_MODE_OTHER, true, "one line a user, while it runs or afterwards" },
    [OPTS_REPORT] = { "report", SETTINGS_MODE_OTHER, true,
                      "the account of the batch; several batch files or state folders are merged" },
    [OPTS_EXPORT] = { "export", SETTINGS_MODE_OTHER, false, "write messages as Maildir, mbox or .eml with an index" },
    [OPTS_TIDY] = { "tidy", SETTINGS_MODE_OTHER, false,
                    "list second copies that this program stored, and remove them when told so" },
    [OPTS_BENCH] = { "bench", SETTINGS_MODE_OTHER, false, "measure the source server, read-only" },
    [OPTS_REHEARSE] = { "rehearse", SETTINGS_MODE_OTHER, false,
                        "run against a simulated Exchange Online in place of the target" },
    [OPTS_SPOOL_CHECK] = { "spool-check", SETTINGS_MODE_OTHER, true, "prove the state folder sound" },
    [OPTS_INIT] = { "init", SETTINGS_MODE_OTHER, false,
                    "write a batch file with all keys, a users.csv, and the PowerShell for Exchange Online" },
    [OPTS_USER] = { "user", SETTINGS_MODE_OTHER, false,
                    "user pause|resume|drop ADDRESS: take one user out of a run and back, also while it works" },
    [OPTS_CUTOVER] = { "cutover", SETTINGS_MODE_RUN, false,
                       "the last delta, verify, and a line a user: those who are proved are Completed" },
};
_Static_assert(sizeof commands / sizeof *commands == OPTS_COMMAND_COUNT, "a row a command");

enum option_kind {
    OPTION_FLAG,    /* bool */
    OPTION_TEXT,    /* const char * */
    OPTION_LIST,    /* struct settings_list, one item each time */
    OPTION_NUMBER,  /* unsigned, min..max */
    OPTION_WORD,    /* unsigned, place in words */
    OPTION_LEVEL,   /* const char *, one of words */
    OPTION_SHARD,   /* shard_number, shard_count */
    OPTION_NUMBERS, /* connections, connections_count */
    OPTION_THREADS, /* has_threads, threads */
    OPTION_DURATION /* uint64_t ms, whole seconds */
};

#define BIT(command) (1u << OPTS_##command)
#define ALL          ((1u << OPTS_COMMAND_COUNT) - 1)
#define OF(field)    offsetof(struct opts, field)
/* Those that choose among users. */
#define CHOOSES (ALL & ~(BIT(SIGN_IN) | BIT(EXPORT) | BIT(SPOOL_CHECK) | BIT(INIT) | BIT(USER)))

static const char *const when_words[] = { "auto", "always", "never", NULL };
static const char *const level_words[] = { "error", "warn", "info", "debug", "trace", NULL };
static const char *const log_format_words[] = { "text", "json", NULL };
static const char *const progress_words[] = { "auto", "always", "never", "json", NULL };
static const char *const what_words[] = { "skipped", "failed", "all", NULL };
static const char *const preset_words[] = { "exchange-online", "imap", NULL };
static const char *const compress_words[] = { "off", "on", "both", NULL };
static const char *const format_words[] = { "maildir", "mbox", "eml", NULL };

struct option {
    const char *name;
    enum option_kind kind;
    const char *value_name; /* NULL: a flag */
    size_t offset;
    unsigned commands; /* bits that take it */
    const char *help;
    const char *const *words;
    unsigned min, max;
};

/* clang-format off */
static const struct option options[] = {
    { .name = "all", OPTION_FLAG, NULL, OF(all_users), BIT(CHECK) | BIT(BENCH),
      "check: every user, not only the first; bench: every account" },
    { .name = "source", OPTION_FLAG, NULL, OF(source),
      BIT(CHECK) | BIT(SIGN_IN) | BIT(PLAN), "the source side only" },
    { .name = "target", OPTION_FLAG, NULL, OF(target), BIT(CHECK) | BIT(SIGN_IN), "the target side only" },
    { .name = "json", OPTION_FLAG, NULL, OF(json),
      BIT(CHECK) | BIT(FOLDERS) | BIT(PLAN) | BIT(VERIFY) | BIT(STATUS) | BIT(REPORT) | BIT(TIDY) | BIT(BENCH) |
      BIT(REHEARSE) | BIT(CUTOVER),
      "print JSON (report: the default unless standard output is a terminal)" },
    { .name = "html", OPTION_TEXT, "FILE", OF(html_file), BIT(REPORT) | BIT(BENCH),
      "write a self-contained page (report: - is standard output)" },
    { .name = "csv", OPTION_TEXT, "FILE", OF(csv_file), BIT(REPORT),
      "write one row a user; - is standard output" },
    { .name = "text", OPTION_FLAG, NULL, OF(text), BIT(REPORT),
      "print the report for people (the default on a terminal)" },
    { .name = "watch", OPTION_FLAG, NULL, OF(watch), BIT(STATUS), "go on showing it until all is done, the run has ended, or interrupted" },
    { .name = "sample", OPTION_NUMBER, "N", OF(sample), BIT(VERIFY),
      "compare the bodies of N messages a folder, not of all", NULL, 1, 1000000000 },
    { .name = "what", OPTION_WORD, "skipped|failed|all", OF(what), BIT(EXPORT),
      "which messages: skipped (the default), failed, or all that were found",
      what_words },
    { .name = "format", OPTION_WORD, "maildir|mbox|eml", OF(format), BIT(EXPORT),
      "how to write them (default maildir)", format_words },
    { .name = "to", OPTION_TEXT, "DIR", OF(to), BIT(EXPORT), "the folder to write to" },
    { .name = "connections", OPTION_NUMBERS, "N,N,...", 0, BIT(BENCH), "the steps (default 1,2,4,8,16)",
      NULL, 1, 10000 },
    { .name = "seconds", OPTION_NUMBER, "N", OF(seconds), BIT(BENCH), "no pass over the set is longer (default 5)",
      NULL, 1, 86400 },
    { .name = "split", OPTION_NUMBER, "N", OF(split), BIT(PLAN),
      "divide the users into N shards of like work, and write that down beside the batch file", NULL, 2,
      SETTINGS_SHARDS_MAX },
    { .name = "repeats", OPTION_NUMBER, "N", OF(repeats), BIT(BENCH), "passes of each step (default 5)", NULL, 1, 100 },
    { .name = "accounts", OPTION_NUMBER, "N", OF(accounts), BIT(BENCH),
      "how many accounts, drawn by the seed (default 20)", NULL, 1, 1000000 },
    { .name = "seed", OPTION_TEXT, "N", OF(seed), BIT(BENCH), "draw the same accounts, mail and order again" },
    { .name = "depth", OPTION_TEXT, "N,N,...", OF(depth), BIT(BENCH), "FETCHes in flight on a connection (default 4)" },
    { .name = "per-fetch", OPTION_NUMBER, "N", OF(per_fetch), BIT(BENCH), "messages a FETCH asks for (default 20)", NULL,
      1, 1000 },
    { .name = "per-user", OPTION_TEXT, "N,N,...", OF(per_user), BIT(BENCH),
      "connections of one account at most (default: no bound)" },
    { .name = "compress", OPTION_WORD, "off|on|both", OF(compress), BIT(BENCH),
      "COMPRESS=DEFLATE (default: as the batch file says)", compress_words },
    { .name = "rate", OPTION_NUMBER, "N", OF(rate), BIT(BENCH),
      "messages a second, one by one, each timed from when it was due", NULL, 1, 1000000 },
    { .name = "max-rate", OPTION_TEXT, "SIZE/s|N/s", OF(max_rate), BIT(BENCH),
      "never read faster: bytes (20MB/s) or messages (100/s)" },
    { .name = "latency-limit", OPTION_TEXT, "DURATION", OF(latency_limit), BIT(BENCH),
      "back off while the p95 of SELECT or login is above this, such as 200ms" },
    { .name = "max-time", OPTION_TEXT, "DURATION", OF(max_time), BIT(BENCH), "end the whole after this time" },
    { .name = "max-bytes", OPTION_TEXT, "SIZE", OF(max_bytes), BIT(BENCH), "end the whole after so many bytes of mail" },
    { .name = "remove", OPTION_FLAG, NULL, OF(remove), BIT(TIDY),
      "remove the copies that the journal proves to be this program's own" },
    { .name = "full", OPTION_FLAG, NULL, OF(full), BIT(SPOOL_CHECK), "read the bodies too" },

    { .name = "every", OPTION_DURATION, "DURATION", OF(every_ms), BIT(RUN), "begin anew after this time, until stopped" },
    { .name = "until-cutover", OPTION_FLAG, NULL, OF(until_cutover), BIT(RUN),
      "with --every: end when all users are Completed" },
    { .name = "dry-run", OPTION_FLAG, NULL, OF(dry_run), BIT(RUN) | BIT(FETCH),
      "move nothing: say what would be moved, as plan does" },
    { .name = "source-url", OPTION_TEXT, "URL", OF(source_url), BIT(INIT), "the source server, such as imaps://imap.example.edu" },
    { .name = "preset", OPTION_LEVEL, "exchange-online|imap", OF(preset), BIT(INIT), "what the target is", preset_words },
    { .name = "target-url", OPTION_TEXT, "URL", OF(target_url), BIT(INIT), "the target server of preset imap" },
    { .name = "tenant", OPTION_TEXT, "NAME", OF(tenant), BIT(INIT), "the Microsoft tenant, such as contoso.onmicrosoft.com" },
    { .name = "client-id", OPTION_TEXT, "ID", OF(client_id), BIT(INIT), "the registered application" },
    { .name = "client-secret-file", OPTION_TEXT, "FILE", OF(client_secret_file), BIT(INIT),
      "the file that holds its secret (default client-secret)" },
    { .name = "users", OPTION_TEXT, "FILE", OF(users_file), BIT(INIT), "the list of users (default users.csv)" },
    { .name = "notify-command", OPTION_TEXT, "COMMAND", OF(notify_command),
      BIT(RUN) | BIT(FETCH) | BIT(UPLOAD) | BIT(RETRY),
      "run this at the end, with the summary on its standard input" },
    { .name = "listen", OPTION_TEXT, "ADDRESS:PORT", OF(listen),
      BIT(RUN) | BIT(FETCH) | BIT(UPLOAD) | BIT(RETRY) | BIT(REHEARSE),
      "a live page, metrics and /healthz: 127.0.0.1:PORT, [::1]:PORT or unix:PATH" },
    { .name = "accept-counts", OPTION_LIST, "U", OF(accept_counts), BIT(RETRY),
      "for this user take what the target lacks as it is, with a doubt; repeatable" },
    { .name = "accept-deletions", OPTION_LIST, "U", OF(accept_deletions), BIT(RUN) | BIT(RETRY),
      "for this user follow deletions however many there are; repeatable" },
    { .name = "user", OPTION_LIST, "U", OF(users), ALL, "only this EmailAddress or UserName; repeatable" },
    { .name = "users-from", OPTION_TEXT, "FILE", OF(users_from), CHOOSES,
      "only the users whom FILE names, one EmailAddress or UserName a line; # begins a comment" },
    { .name = "exclude-user", OPTION_LIST, "U", OF(but_users), CHOOSES, "all but this EmailAddress or UserName; repeatable" },
    { .name = "wave", OPTION_LIST, "W", OF(waves), CHOOSES, "only the users of this Wave of users.csv; repeatable" },
    { .name = "shard", OPTION_SHARD, "I/N", 0, ALL, "only the users of part I of N" },
    { .name = "threads", OPTION_THREADS, "N", 0, ALL, "event loops; 0: the processors", NULL, 0, 256 },
    { .name = "set", OPTION_LIST, "section.key=value", OF(overrides), ALL,
      "override the batch file; repeatable" },
    { .name = "log", OPTION_TEXT, "FILE", OF(log_file), ALL, "append log lines to FILE" },
    { .name = "log-level", OPTION_LEVEL, "error|warn|info|debug|trace", OF(log_level), ALL,
      "which log lines", level_words },
    { .name = "log-format", OPTION_WORD, "text|json", OF(log_format), ALL,
      "how to write log lines; json: one object a line", log_format_words },
    { .name = "quiet", OPTION_FLAG, NULL, OF(quiet), ALL, "no progress, only results and errors" },
    { .name = "progress", OPTION_WORD, "auto|always|never|json", OF(progress), ALL,
      "live display; auto: on a terminal; json: an object a line every 30 s", progress_words },
    { .name = "color", OPTION_WORD, "auto|always|never", OF(color), ALL, "colors; auto: on a terminal",
      when_words },
    { .name = "help", OPTION_FLAG, NULL, OF(help), ALL, "print this" },
    { .name = "no-sandbox", OPTION_FLAG, NULL, OF(no_sandbox), ALL,
      "let the process write wherever its user may (Landlock)" },
    { .name = "version", OPTION_FLAG, NULL, OF(version), ALL, "print the version; with -v also what it is built with" },
};
/* clang-format on */
#define OPTION_COUNT (sizeof options / sizeof *options)
_Static_assert(OPTION_COUNT <= 64, "a bit each of those that were given");

const char *opts_command_name(enum opts_command command)
{
    assert((unsigned)command < OPTS_COMMAND_COUNT);
    return commands[command].name;
}

enum settings_mode opts_mode(enum opts_command command)
{
    assert((unsigned)command < OPTS_COMMAND_COUNT);
    return commands[command].mode;
}

bool opts_compares(const struct opts *o)
{
    return o->command == OPTS_BENCH && o->batch_files.count > 0 && strcmp(o->batch_files.items[0], "compare") == 0;
}

enum opts_side opts_sides(const struct opts *o)
{
    return o->source == o->target ? OPTS_BOTH_SIDES : o->source ? OPTS_SOURCE_ONLY : OPTS_TARGET_ONLY;
}

void opts_deinit(struct opts *o)
{
    settings_list_deinit(&o->batch_files);
    settings_list_deinit(&o->users);
    settings_list_deinit(&o->but_users);
    settings_list_deinit(&o->waves);
    settings_list_deinit(&o->accept_counts);
    settings_list_deinit(&o->accept_deletions);
    settings_list_deinit(&o->overrides);
}

/* Parsing */

static bool refuse_value(const struct option *option, const char *value, const char *expected, struct err *err_r)
{
    return config_refuse(err_r, CONFIG_EXIT_USAGE, "--%s %.*s: expected %s", option->name, SHOWN_MAX, value, expected);
}

static bool refuse_empty(const struct option *option, struct err *err_r)
{
    return config_refuse(err_r, CONFIG_EXIT_USAGE, "--%s: the value is empty (%s: %s)", option->name,
                         option->value_name, option->help);
}

static bool number_in(const struct option *option, struct slice text, unsigned *value_r)
{
    uint32_t value;

    if (!slice_u32(text, &value) || value < option->min || value > option->max)
        return false;
    *value_r = value;
    return true;
}

static bool find_word(const struct option *option, const char *value, unsigned *index_r)
{
    for (unsigned i = 0; option->words[i]; i++)
        if (strcmp(value, option->words[i]) == 0) {
            *index_r = i;
            return true;
        }
    return false;
}

static bool store_numbers(struct opts *o, const struct option *option, struct slice rest)
{
    struct slice item;

    if (rest.size == 0 || rest.data[rest.size - 1] == ',')
        return false;
    o->connections_count = 0;
    while (slice_split(&rest, ',', &item))
        if (o->connections_count == OPTS_STEPS_MAX ||
            !number_in(option, slice_trim(item), &o->connections[o->connections_count++]))
            return false;
    return true;
}

static bool store(struct opts *o, const struct option *option, const char *value, struct err *err_r)
{
    void *field = (char *)o + option->offset;
    char expected[80];
    unsigned index;

    switch (option->kind) {
    case OPTION_FLAG:
        *(bool *)field = true;
        return true;
    case OPTION_TEXT:
        if (*value == '\0')
            return refuse_empty(option, err_r);
        *(const char **)field = value;
        return true;
    case OPTION_LIST:
        if (*value == '\0')
            return refuse_empty(option, err_r);
        settings_list_add(field, slice_cstr(value));
        return true;
    case OPTION_NUMBER:
    case OPTION_THREADS:
        snprintf(expected, sizeof expected, "a number from %u to %u", option->min, option->max);
        if (option->kind == OPTION_THREADS) {
            o->has_threads = true;
            field = &o->threads;
        }
        return number_in(option, slice_cstr(value), field) || refuse_value(option, value, expected, err_r);
    case OPTION_DURATION:
        return (value_duration(slice_cstr(value), field) && *(uint64_t *)field >= 1000) ||
               refuse_value(option, value, "a duration such as 24h or 30m, at least 1s", err_r);
    case OPTION_WORD:
        if (!find_word(option, value, field))
            return refuse_value(option, value, option->value_name, err_r);
        return true;
    case OPTION_LEVEL:
        if (!find_word(option, value, &index))
            return refuse_value(option, value, option->value_name, err_r);
        *(const char **)field = value;
        return true;
    case OPTION_SHARD:
        snprintf(expected, sizeof expected, "I/N with I from 1 to N, such as 3/10; N at most %u", SETTINGS_SHARDS_MAX);
        return value_shard(slice_cstr(value), &o->shard_number, &o->shard_count) ||
               refuse_value(option, value, expected, err_r);
    case OPTION_NUMBERS:
        return store_numbers(o, option, slice_cstr(value)) ||
               refuse_value(option, value, "numbers from 1 to 10000 such as 1,2,4,8", err_r);
    }
    return true;
}

static bool unknown_option(const struct opts *o, struct slice name, struct err *err_r)
{
    struct nearest near;
    char hint[80];

    for (unsigned section = 0; section < CONFIG_FOLDERS; section++)
        if (config_key_find((enum config_section)section, name))
            return config_refuse(err_r, CONFIG_EXIT_USAGE,
                                 "--%.*s: unknown option; it is a key of the batch file: --set %s.%.*s=...",
                                 (int)name.size, name.data, config_section_name((enum config_section)section),
                                 (int)name.size, name.data);
    nearest_init(&near, name);
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (o->command == OPTS_COMMAND_COUNT || options[i].commands & 1u << o->command)
            nearest_offer(&near, options[i].name);
    return config_refuse(err_r, CONFIG_EXIT_USAGE, "--%.*s: unknown option%s",
                         (int)(name.size < SHOWN_MAX ? name.size : SHOWN_MAX), name.data,
                         nearest_text(&near, "--", "", hint, sizeof hint));
}

/* With the commands that take it: most often one option of a few was meant for another of them. */
static bool refuse_option(const struct option *option, enum opts_command command, struct err *err_r)
{
    char takers[120];
    size_t used = 0;

    for (unsigned i = 0; i < OPTS_COMMAND_COUNT && used < sizeof takers; i++)
        if (option->commands & 1u << i)
            used += (size_t)snprintf(takers + used, sizeof takers - used, "%s%s", used ? ", " : "", commands[i].name);
    return config_refuse(err_r, CONFIG_EXIT_USAGE, "--%s: not an option of %s; it is one of %s", option->name,
                         commands[command].name, takers);
}

/* One argument that begins with "--"; *next is the one after, advanced when it is the value. */
static bool read_option(struct opts *o, const char *text, char *const **next, uint64_t *given_r, struct err *err_r)
{
    struct slice all = slice_cstr(text + 2);
    size_t equals = slice_find(all, '=');
    struct slice name = slice_first(all, equals);
    const char *value = equals == SIZE_MAX ? NULL : all.data + equals + 1;
    const struct option *option = NULL;

    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (slice_equal(name, slice_cstr(options[i].name)))
            option = &options[i];
    if (!option)
        return unknown_option(o, name, err_r);
    /* Before its value: that it has none is then beside the point. */
    if (o->command != OPTS_COMMAND_COUNT && !(option->commands & 1u << o->command))
        return refuse_option(option, o->command, err_r);
    if (!option->value_name && value)
        return config_refuse(err_r, CONFIG_EXIT_USAGE, "--%s: takes no value", option->name);
    if (option->value_name && !value) {
        if (!**next)
            return config_refuse(err_r, CONFIG_EXIT_USAGE, "--%s: the value is missing (--%s %s: %s)", option->name,
                                 option->name, option->value_name, option->help);
        value = *(*next)++;
    }
    /* A flag says the same twice; of two values one would be lost. */
    if (*given_r & UINT64_C(1) << (option - options) && option->kind != OPTION_FLAG && option->kind != OPTION_LIST)
        return config_refuse(err_r, CONFIG_EXIT_USAGE, "--%s is given twice; give it once", option->name);
    *given_r |= UINT64_C(1) << (option - options);
    return store(o, option, value, err_r);
}

static bool read_command(struct opts *o, const char *text, struct err *err_r)
{
    struct nearest near;
    char hint[80];
    size_t size = strlen(text);

    if (size > 4 && strcmp(text + size - 4, ".ini") == 0)
        return config_refuse(err_r, CONFIG_EXIT_USAGE,
                             "%.*s: the command comes before the batch file; mailhaul --help lists them", SHOWN_MAX,
                             text);
    if (strcmp(text, "help") == 0) { /* of the command that may follow */
        o->help = true;
        return true;
    }
    nearest_init(&near, slice_cstr(text));
    for (unsigned i = 0; i < OPTS_COMMAND_COUNT; i++) {
        if (strcmp(text, commands[i].name) == 0) {
            o->command = (enum opts_command)i;
            return true;
        }
        nearest_offer(&near, commands[i].name);
    }
    return config_refuse(err_r, CONFIG_EXIT_USAGE, "%.*s: unknown command%s", SHOWN_MAX, text,
                         *nearest_text(&near, "", "", hint, sizeof hint) ? hint : "; mailhaul --help lists them");
}

static bool is_dash(const char *file)
{
    return file && strcmp(file, "-") == 0;
}

static bool is_thing_to_do(const char *text)
{
    return text && (strcmp(text, "pause") == 0 || strcmp(text, "resume") == 0 || strcmp(text, "drop") == 0);
}

/* What a command needs and what it does not take. */
static bool check_all(const struct opts *o, uint64_t given, struct err *err_r)
{
    const char *command;

    if (o->command == OPTS_COMMAND_COUNT)
        return config_refuse(err_r, CONFIG_EXIT_USAGE, "a command is missing; mailhaul --help lists them");
    command = commands[o->command].name;
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (given & UINT64_C(1) << i && !(options[i].commands & 1u << o->command))
            return refuse_option(&options[i], o->command, err_r);
    if (o->command == OPTS_USER && !is_thing_to_do(o->what_to_do))
        return config_refuse(err_r, CONFIG_EXIT_USAGE, "user: expected user pause|resume|drop ADDRESS BATCH.ini%s%.*s",
                             o->what_to_do ? ", not " : "", SHOWN_MAX, o->what_to_do ? o->what_to_do : "");
    if (o->command == OPTS_USER && !o->address)
        return config_refuse(err_r, CONFIG_EXIT_USAGE, "user %s: the address is missing", o->what_to_do);
    if (opts_compares(o))
        return o->batch_files.count > 2 ||
               config_refuse(err_r, CONFIG_EXIT_USAGE,
                             "bench compare: name two or more results (mailhaul bench --json BATCH.ini >A.json)");
    if (o->batch_files.count == 0)
        return config_refuse(err_r, CONFIG_EXIT_USAGE, "%s: the batch file is missing", command);
    for (size_t i = 0; i < o->batch_files.count; i++)
        if (*o->batch_files.items[i] == '\0')
            return config_refuse(err_r, CONFIG_EXIT_USAGE, "%s: the name of the batch file is empty", command);
    if (o->batch_files.count > 1 && !commands[o->command].several_files)
        return config_refuse(err_r, CONFIG_EXIT_USAGE, "%.*s: %s takes one batch file, and there is one already",
                             SHOWN_MAX, o->batch_files.items[1], command);
    if (is_dash(o->html_file) && o->command == OPTS_BENCH)
        return config_refuse(err_r, CONFIG_EXIT_USAGE,
                             "--html -: standard output has the results already; name a file");
    if (is_dash(o->html_file) + is_dash(o->csv_file) + o->json + o->text > 1 && o->command == OPTS_REPORT)
        return config_refuse(err_r, CONFIG_EXIT_USAGE,
                             "--html, --csv, --json and --text: only one of them can be standard output");
    if (o->until_cutover && !o->every_ms)
        return config_refuse(err_r, CONFIG_EXIT_USAGE, "--until-cutover: has no meaning without --every");
    if (o->command == OPTS_EXPORT && !o->to)
        return config_refuse(err_r, CONFIG_EXIT_USAGE, "export: --to DIR is missing");
    return true;
}

bool opts_parse(struct opts *o, int argc, char *const *argv, struct err *err_r)
{
    char *const *next = argv + (argc > 0);
    bool only_files = false;
    uint64_t given = 0;

    *o = (struct opts){ .command = OPTS_COMMAND_COUNT,
                        .compress = OPTS_COMPRESS_AS_SAID,
                        .arguments = next,
                        .argument_count = argc > 1 ? (size_t)argc - 1 : 0 };
    while (*next) {
        const char *text = *next++;
        bool ok = true;

        if (!only_files && strcmp(text, "--") == 0)
            only_files = true;
        else if (!only_files && strcmp(text, "-h") == 0)
            o->help = true;
        else if (!only_files && strcmp(text, "-v") == 0)
            o->verbose = true;
        else if (!only_files && strncmp(text, "--", 2) == 0)
            ok = read_option(o, text, &next, &given, err_r);
        else if (!only_files && text[0] == '-' && text[1])
            ok =
                config_refuse(err_r, CONFIG_EXIT_USAGE, "%.*s: unknown option; options begin with --", SHOWN_MAX, text);
        else if (o->command == OPTS_COMMAND_COUNT)
            ok = read_command(o, text, err_r);
        else if (o->command == OPTS_USER && !o->what_to_do)
            o->what_to_do = text;
        else if (o->command == OPTS_USER && !o->address)
            o->address = text;
        else
            settings_list_add(&o->batch_files, slice_cstr(text));
        if (!ok)
            return false;
    }
    if (o->verbose && !o->version)
        return config_refuse(err_r, CONFIG_EXIT_USAGE, "-v: goes with --version only; --log-level says more of a run");
    if (o->help || o->version)
        return true;
    if (!check_all(o, given, err_r))
        return false;
    if (o->dry_run)
        o->command = OPTS_PLAN;
    return true;
}

/* Help */

static void print_options(FILE *out, enum opts_command command, bool common)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *option = &options[i];
        char left[64];

        if ((option->commands == ALL) != common ||
            (command != OPTS_COMMAND_COUNT && !(option->commands & 1u << command)))
            continue;
        snprintf(left, sizeof left, "--%s%s%s", option->name, option->value_name ? " " : "",
                 option->value_name ? option->value_name : "");
        fprintf(out, "  %-28s  %s\n", left, option->help);
    }
}

void opts_help(FILE *out, enum opts_command command)
{
    if (command != OPTS_COMMAND_COUNT) {
        fprintf(out, "Usage: mailhaul %s%s [OPTIONS] BATCH.ini%s\n\n%s: %s.\n", commands[command].name,
                command == OPTS_USER ? " pause|resume|drop ADDRESS" : "", commands[command].several_files ? "..." : "",
                commands[command].name, commands[command].help);
        fputs("\nOptions:\n", out);
        print_options(out, command, false);
        print_options(out, command, true);
        return;
    }
    fputs("Usage: mailhaul COMMAND [OPTIONS] BATCH.ini\n\n"
          "Moves mail in bulk from IMAP servers to Exchange Online.\n\nCommands:\n",
          out);
    for (unsigned i = 0; i < OPTS_COMMAND_COUNT; i++)
        fprintf(out, "  %-11s  %s\n", commands[i].name, commands[i].help);
    fputs("\nOptions of all commands:\n", out);
    print_options(out, command, true);
    fputs("\nmailhaul COMMAND --help shows a command's own options; man mailhaul has the rest.\n", out);
}

bool opts_takes(enum opts_command command, const char *option)
{
    assert((unsigned)command < OPTS_COMMAND_COUNT);
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (strcmp(options[i].name, option) == 0)
            return options[i].commands & 1u << command;
    return false;
}

void opts_describe(void (*command)(void *context, const char *name, const char *help),
                   void (*option)(void *context, const char *name, const char *value_name, const char *help),
                   void *context)
{
    for (unsigned i = 0; i < OPTS_COMMAND_COUNT; i++)
        command(context, commands[i].name, commands[i].help);
    for (size_t i = 0; i < OPTION_COUNT; i++)
        option(context, options[i].name, options[i].value_name, options[i].help);
}
