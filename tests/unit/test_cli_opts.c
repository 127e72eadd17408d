/* test: cli */
#include "engine/cli/opts.h"
#include "engine/config/config.h"
#include "engine/config/nearest.h"
#include "engine/config/users.h"
#include "engine/config/value.h"
#include "io/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ARGS_MAX 24

/* Words separated by one blank; "" stays empty. */
static bool parse(const char *line, struct opts *o, char *words, size_t cap, struct err *e)
{
    char *argv[ARGS_MAX] = { (char *)(uintptr_t) "mailhaul" };
    int argc = 1;

    snprintf(words, cap, "%s", line);
    for (char *at = words; *at;) {
        char *end = strchr(at, ' ');

        assert_true(argc < ARGS_MAX - 1);
        argv[argc++] = at;
        if (!end)
            break;
        *end = '\0';
        at = end + 1;
    }
    return opts_parse(o, argc, argv, e);
}

static const struct {
    const char *line, *expected;
} bad[] = {
    { "", "a command is missing; mailhaul --help lists them" },
    { "rnu a.ini", "rnu: unknown command; did you mean run?" },
    { "frobnicate a.ini", "frobnicate: unknown command; mailhaul --help lists them" },
    { "spool-chekc a.ini", "spool-chekc: unknown command; did you mean spool-check?" },
    { "run --user= a.ini", "--user: the value is empty (U: only this EmailAddress or UserName; repeatable)" },
    { "run", "run: the batch file is missing" },
    { "run --threads 2 --threads 3 a.ini", "--threads is given twice; give it once" },
    { "run --log a --log=b a.ini", "--log is given twice; give it once" },
    { "run --shard 1/2 --shard 1/2 a.ini", "--shard is given twice; give it once" },
    { "bench --connections 1 --connections 2 a.ini", "--connections is given twice; give it once" },
    { "export --what all --what failed --to d a.ini", "--what is given twice; give it once" },
    { "user a.ini", "user: expected user pause|resume|drop ADDRESS BATCH.ini, not a.ini" },
    { "user", "user: expected user pause|resume|drop ADDRESS BATCH.ini" },
    { "user pause", "user pause: the address is missing" },
    { "user pause a@b.c", "user: the batch file is missing" },
    { "run --every 500ms a.ini", "--every 500ms: expected a duration such as 24h or 30m, at least 1s" },
    { "run --until-cutover a.ini", "--until-cutover: has no meaning without --every" },
    { "export --wave 2 --to d a.ini",
      "--wave: not an option of export; it is one of check, folders, plan, run, fetch, upload, "
      "retry, verify, status, report, tidy, bench, rehearse, cutover" },
    { "run a.ini b.ini", "b.ini: run takes one batch file, and there is one already" },
    { "run --thread 3 a.ini", "--thread: unknown option; did you mean --threads?" },
    { "run --tarce a.ini", "--tarce: unknown option" },
    { "run --time-limit 3h a.ini",
      "--time-limit: unknown option; it is a key of the batch file: --set batch.time-limit=..." },
    { "run --url=imaps://u:pa55w0rd@x a.ini",
      "--url: unknown option; it is a key of the batch file: --set source.url=..." },
    { "run --max-message-size a.ini",
      "--max-message-size: unknown option; it is a key of the batch file: --set policy.max-message-size=..." },
    { "report --csv - --html - a.ini", "--html, --csv, --json and --text: only one of them can be standard output" },
    { "report --json --csv - a.ini", "--html, --csv, --json and --text: only one of them can be standard output" },
    { "bench --html - a.ini", "--html -: standard output has the results already; name a file" },
    { "run a.ini --user", "--user: the value is missing (--user U: only this EmailAddress or UserName; repeatable)" },
    { "run -x a.ini", "-x: unknown option; options begin with --" },
    { "run --json a.ini", "--json: not an option of run; it is one of check, folders, plan, verify, status, report, "
                          "tidy, bench, rehearse, cutover" },
    { "run a.ini --watch", "--watch: not an option of run; it is one of status" },
    { "--sample 3 plan a.ini", "--sample: not an option of plan; it is one of verify" },
    { "plan a.ini --sample", "--sample: not an option of plan; it is one of verify" },
    { "a.ini run", "a.ini: the command comes before the batch file; mailhaul --help lists them" },
    { "--json a.ini report", "a.ini: the command comes before the batch file; mailhaul --help lists them" },
    { "run a.ini --threads", "--threads: the value is missing (--threads N: event loops; 0: the processors)" },
    { "run --threads=x a.ini", "--threads x: expected a number from 0 to 256" },
    { "run --threads= a.ini", "--threads : expected a number from 0 to 256" },
    { "run --threads 257 a.ini", "--threads 257: expected a number from 0 to 256" },
    { "run --quiet=yes a.ini", "--quiet: takes no value" },
    { "run --shard 0/3 a.ini", "--shard 0/3: expected I/N with I from 1 to N, such as 3/10; N at most 100000" },
    { "run --shard 4/3 a.ini", "--shard 4/3: expected I/N with I from 1 to N, such as 3/10; N at most 100000" },
    { "run --shard 1 a.ini", "--shard 1: expected I/N with I from 1 to N, such as 3/10; N at most 100000" },
    { "run --shard 1/100001 a.ini",
      "--shard 1/100001: expected I/N with I from 1 to N, such as 3/10; N at most 100000" },
    { "run --progress sometimes a.ini", "--progress sometimes: expected auto|always|never|json" },
    { "run --log-level loud a.ini", "--log-level loud: expected error|warn|info|debug|trace" },
    { "run --log= a.ini", "--log: the value is empty (FILE: append log lines to FILE)" },
    { "run --set= a.ini", "--set: the value is empty (section.key=value: override the batch file; repeatable)" },
    { "verify --sample 0 a.ini", "--sample 0: expected a number from 1 to 1000000000" },
    { "bench --connections 1,,2 a.ini", "--connections 1,,2: expected numbers from 1 to 10000 such as 1,2,4,8" },
    { "bench --connections 1,2, a.ini", "--connections 1,2,: expected numbers from 1 to 10000 such as 1,2,4,8" },
    { "bench --connections 1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1 a",
      "--connections 1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,: expected "
      "numbers from 1 to 10000 such as 1,2,4,8" },
    { "bench --seconds -1 a.ini", "--seconds -1: expected a number from 1 to 86400" },
    { "export --what skipped a.ini", "export: --to DIR is missing" },
    { "export --to d --what some a.ini", "--what some: expected skipped|failed|all" },
};

static void bad_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char words[256];
        struct opts o;
        struct err e;

        if (parse(bad[i].line, &o, words, sizeof words, &e))
            fail_msg("%s: was taken", bad[i].line);
        if (strcmp(e.server_text, bad[i].expected) != 0)
            fail_msg("%s:\n  %s\nexpected\n  %s", bad[i].line, e.server_text, bad[i].expected);
        assert_int_equal(e.code, 64);
        opts_deinit(&o);
    }
}

static void good_lines(void **state)
{
    char words[256];
    struct opts o;
    struct err e;

    (void)state;
    assert_true(parse("help bench", &o, words, sizeof words, &e));
    assert_true(o.help);
    assert_int_equal(o.command, OPTS_BENCH);
    opts_deinit(&o);
    assert_true(parse("run --dry-run a.ini", &o, words, sizeof words, &e));
    assert_int_equal(o.command, OPTS_PLAN);
    opts_deinit(&o);
    assert_true(parse("run --shard=3/10 --user a@b --user=c@d --set source.url=imap://x "
                      "--threads 0 --quiet --color never --log-level debug -- --x.ini",
                      &o, words, sizeof words, &e));
    assert_int_equal(o.command, OPTS_RUN);
    assert_int_equal(opts_mode(o.command), SETTINGS_MODE_RUN);
    assert_int_equal(o.shard_number, 3);
    assert_int_equal(o.shard_count, 10);
    assert_int_equal(o.users.count, 2);
    assert_string_equal(o.users.items[1], "c@d");
    assert_string_equal(o.overrides.items[0], "source.url=imap://x");
    assert_true(o.has_threads && o.threads == 0 && o.quiet);
    assert_int_equal(o.color, OPTS_NEVER);
    assert_int_equal(o.progress, OPTS_AUTO);
    assert_string_equal(o.log_level, "debug");
    assert_string_equal(o.batch_files.items[0], "--x.ini");
    opts_deinit(&o);

    assert_true(parse("bench a.ini --connections 1,2,64", &o, words, sizeof words, &e));
    assert_int_equal(o.connections_count, 3);
    assert_int_equal(o.connections[2], 64);
    opts_deinit(&o);

    assert_true(parse("report a.ini b.state --html x.html", &o, words, sizeof words, &e));
    assert_int_equal(o.batch_files.count, 2);
    opts_deinit(&o);

    assert_true(parse("check --source a.ini", &o, words, sizeof words, &e));
    assert_int_equal(opts_sides(&o), OPTS_SOURCE_ONLY);
    opts_deinit(&o);
    assert_true(parse("check --source --target a.ini", &o, words, sizeof words, &e));
    assert_int_equal(opts_sides(&o), OPTS_BOTH_SIDES);
    opts_deinit(&o);

    assert_true(parse("plan -h", &o, words, sizeof words, &e));
    assert_true(o.help && o.command == OPTS_PLAN);
    opts_deinit(&o);
    assert_true(parse("--version", &o, words, sizeof words, &e));
    assert_true(o.version && o.command == OPTS_COMMAND_COUNT);
    opts_deinit(&o);
}

static void help_lists_what_a_command_takes(void **state)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    opts_help(out, OPTS_BENCH);
    fclose(out);
    assert_non_null(strstr(text, "--connections N,N,..."));
    assert_non_null(strstr(text, "--set section.key=value"));
    assert_null(strstr(text, "--sample"));
    free(text);
    out = open_memstream(&text, &size);
    opts_help(out, OPTS_COMMAND_COUNT);
    fclose(out);
    assert_non_null(strstr(text, "\n  verify "));
    assert_non_null(strstr(text, "\n  spool-check  "));
    free(text);
}

/* Values that configs, users and options share. */
static void sizes_and_durations(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        uint64_t value;
    } sizes[] = {
        { "0", true, 0 },
        { "35MB", true, 35000000 },
        { "1.5 gib", true, 1610612736 },
        { "9223372036854775807", false, 0 },
        { "922337203685477580", true, 922337203685477580 },
        { "8388608TiB", false, 0 },
        { "8388607TiB", true, 9223370937343148032u },
        { "1.5", false, 0 },
        { "1.5B", false, 0 },
        { ".5MB", false, 0 },
        { "1.MB", false, 0 },
        { "35M", false, 0 },
        { "-1MB", false, 0 },
        { "", false, 0 },
        { "1e3", false, 0 },
    };
    static const struct {
        const char *text;
        bool ok;
        uint64_t value;
    } durations[] = {
        { "0", true, 0 },
        { "7h30m", true, 27000000 },
        { "90s", true, 90000 },
        { "2d", true, 172800000 },
        { "1s500ms", true, 1500 },
        { "1000d", true, 86400000000 },
        { "1000d1s", false, 0 },
        { "30m7h", false, 0 },
        { "7h7h", false, 0 },
        { "7", false, 0 },
        { "h", false, 0 },
        { "", false, 0 },
        { "99999999999999999d", false, 0 },
    };
    uint64_t value;

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (value_size(slice_cstr(sizes[i].text), &value) != sizes[i].ok)
            fail_msg("%s", sizes[i].text);
        assert_true(!sizes[i].ok || value == sizes[i].value);
    }
    for (size_t i = 0; i < sizeof durations / sizeof *durations; i++) {
        if (value_duration(slice_cstr(durations[i].text), &value) != durations[i].ok)
            fail_msg("%s", durations[i].text);
        assert_true(!durations[i].ok || value == durations[i].value);
    }
}

static void nearest_finds_slips_and_nothing_far(void **state)
{
    static const struct {
        const char *word, *best;
    } cases[] = {
        { "tls-ac", "tls-ca" }, { "TLS-CA", "tls-ca" }, { "conections", "connections" },
        { "xyz", NULL },        { "", NULL },           { "connections-per", "connections-per-user" },
    };
    static const char *const names[] = { "tls-ca", "connections", "connections-per-user" };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nearest n;

        nearest_init(&n, slice_cstr(cases[i].word));
        for (size_t j = 0; j < sizeof names / sizeof *names; j++)
            nearest_offer(&n, names[j]);
        if (cases[i].best)
            assert_string_equal(n.best, cases[i].best);
        else
            assert_null(n.best);
    }
}

static void names_of_one_line(void **state)
{
    char *longest = mem_alloc(SETTINGS_LOGIN_BYTES_MAX + 1);

    (void)state;
    memset(longest, 'a', SETTINGS_LOGIN_BYTES_MAX + 1);
    assert_null(value_line_fault(slice_of(longest, SETTINGS_LOGIN_BYTES_MAX)));
    assert_non_null(
        strstr(value_line_fault(slice_of(longest, SETTINGS_LOGIN_BYTES_MAX + 1)), "more than the 2048 bytes"));
    assert_null(value_line_fault(SLICE("J\xC3\xBCrgen \\ O'Neil")));
    assert_string_equal(value_line_fault(SLICE("a\rb")), "a line end within");
    assert_string_equal(value_line_fault(SLICE("\x7F")), "a control character within");
    free(longest);
}

/* The manual: every name of the three tables is in it. Its dashes are written "\-". */

static char *manual;

static void manual_has(const char *kind, const char *before, const char *name, const char *after)
{
    char wanted[200];
    size_t used = (size_t)snprintf(wanted, sizeof wanted, "%s", before);

    for (; *name; name++) {
        if (*name == '-')
            wanted[used++] = '\\';
        wanted[used++] = *name;
    }
    snprintf(wanted + used, sizeof wanted - used, "%s", after);
    if (!strstr(manual, wanted))
        fail_msg("docs/man/mailhaul.1 lacks the %s \"%s\"", kind, wanted);
}

static void has_command(void *context, const char *name, const char *help)
{
    (void)context;
    (void)help;
    manual_has("command", "\n.B ", name, "\n");
}

static void has_option(void *context, const char *name, const char *value_name, const char *help)
{
    (void)context;
    (void)help;
    manual_has("option", value_name ? "\n.BI \\-\\-" : "\n.B \\-\\-", name, value_name ? " " : "\n");
}

/* Each word that a key takes stands in a paragraph of that key. */
static void manual_has_word(const char *name, const char *word)
{
    char key[80], wanted[80];
    size_t used = 0;

    for (const char *at = name; *at; at++) {
        if (*at == '-')
            key[used++] = '\\';
        key[used++] = *at;
    }
    key[used] = '\0';
    used = 0;
    for (const char *at = word; *at; at++) {
        if (*at == '-')
            wanted[used++] = '\\';
        wanted[used++] = *at;
    }
    wanted[used] = '\0';
    for (const char *at = manual; (at = strstr(at, "\n.BI ")); at++) {
        const char *end = strstr(at, "\nDefault:"), *found;

        if (strncmp(at + 5, key, strlen(key)) != 0 || strncmp(at + 5 + strlen(key), " \" = ", 5) != 0)
            continue;
        for (found = at; end && (found = strstr(found, wanted)) && found < end; found++)
            if (strchr(" ,", found[-1]) && strchr(" ,.\n", found[strlen(wanted)]))
                return;
    }
    fail_msg("docs/man/mailhaul.1 does not name \"%s\", which %s takes", word, name);
}

static void has_key(void *context, const struct config_key_info *key)
{
    char *part = context;

    if (strcmp(part, key->section) != 0) {
        snprintf(part, 20, "%s", key->section);
        manual_has("section", "\n.SS [", key->section, "]\n");
    }
    manual_has("key", "\n.BI ", key->name, " \" = ");
    manual_has("default", "Default: ", key->fallback, ".\n");
    for (unsigned i = 0; key->words && key->words[i]; i++)
        manual_has_word(key->name, key->words[i]);
}

static void has_column(void *context, const char *column, const char *help)
{
    (void)context;
    (void)help;
    manual_has("column", "\n.B ", column, "\n");
}

static void the_manual_names_everything(void **state)
{
    char path[1024], section[20] = "";
    FILE *f;
    size_t size;

    (void)state;
    snprintf(path, sizeof path, "%s/../docs/man/mailhaul.1", TESTS_FOLDER);
    f = fopen(path, "r");
    assert_non_null(f);
    manual = mem_alloc(200000);
    size = fread(manual, 1, 199999, f);
    manual[size] = '\0';
    assert_int_equal(fclose(f), 0);
    opts_describe(has_command, has_option, NULL);
    config_describe(has_key, section);
    users_describe(has_column, NULL);
    for (unsigned code = 0; code < 9; code++) {
        static const char *const codes[] = { "0", "2", "3", "64", "65", "70", "75", "77", "78" };

        manual_has("exit code", "\n.B ", codes[code], "\n");
    }
    free(manual);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_lines),
        cmocka_unit_test(good_lines),
        cmocka_unit_test(help_lists_what_a_command_takes),
        cmocka_unit_test(sizes_and_durations),
        cmocka_unit_test(nearest_finds_slips_and_nothing_far),
        cmocka_unit_test(names_of_one_line),
        cmocka_unit_test(the_manual_names_everything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
