/* test: cli */
#include "engine/cli/progress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/report/format.h"
#include "io/base/log.h"

#include <stdlib.h>

static struct progress_view sample(void)
{
    struct progress_view v = {
        .users = 10,
        .queued = 2,
        .working = 4,
        .synced = 3,
        .failed = 1,
        .folders_done = 40,
        .folders = 120,
        .found = 40000,
        .uploaded = 12000,
        .present = 300,
        .skipped = 40,
        .failed_messages = 5,
        .pending = 27655,
        .fetched = 15000,
        .bytes_fetched = 1000000000,
        .bytes_uploaded = 800000000,
        .bytes_left = 2400000000,
        .spool_held = 1200000000,
        .spool_budget = 200000000000,
        .throttled_mailboxes = 2,
        .throttled_s = 92,
        .state = "Syncing",
        .active_count = 2,
    };

    strcpy(v.active[0].address, "anna.schäfer@contoso.example");
    strcpy(v.active[0].folder, "Archiv/Übungen 日本語");
    v.active[0].doing = "uploading";
    v.active[0].done = 500;
    v.active[0].total = 1000;
    strcpy(v.active[1].address, "bernd@contoso.example");
    v.active[1].throttled_s = 61;
    v.active[1].total = 10;
    return v;
}

static void every_line_fits_every_width(void **state)
{
    struct progress_view v = sample();
    struct progress_rates r = { 85e6, 60e6, 1200, 900, 240, 65 };

    for (unsigned columns = 20; columns <= 240; columns++)
        for (int utf8 = 0; utf8 < 2; utf8++) {
            struct progress_style style = { PROGRESS_LIVE, columns, false, utf8, NULL, 0 };
            unsigned allowed = columns > 200 ? 200 : columns, lines = 0;
            struct slice rest, line;
            struct buf b;

            buf_init(&b, 65536);
            progress_draw(&v, &r, &style, &b);
            rest = buf_slice(&b);
            while (slice_split(&rest, '\n', &line)) {
                assert_true(format_width(line) <= allowed);
                for (size_t i = 0; i < line.size && !utf8; i++)
                    assert_true(line.data[i] >= 0x20 && line.data[i] < 0x7f);
                lines++;
            }
            assert_in_range(lines, 8, columns < 80 ? 30 : 14);
            buf_deinit(&b);
        }
}

static unsigned lines_drawn(const struct progress_view *v, unsigned columns, unsigned rows, const char *words,
                            bool *there_r)
{
    struct progress_rates r = { .left_s = 3, .elapsed_s = 60 };
    struct progress_style style = { PROGRESS_LIVE, columns, false, true, NULL, rows };
    struct slice rest, line;
    unsigned lines = 0;
    struct buf b;

    buf_init(&b, 65536);
    progress_draw(v, &r, &style, &b);
    rest = buf_slice(&b);
    *there_r = slice_find_nocase(rest, slice_cstr(words)) != SIZE_MAX;
    while (slice_split(&rest, '\n', &line))
        lines++;
    buf_deinit(&b);
    return lines;
}

/* As many users as the terminal has lines for, and how many more there are. */
static void the_block_fits_the_height(void **state)
{
    struct progress_view v = sample();
    bool there;

    v.working = 20;
    v.active_count = 20;
    for (unsigned i = 0; i < 20; i++)
        strcpy(v.active[i].address, "somebody@contoso.example");
    for (unsigned rows = 10; rows < 40; rows++)
        assert_true(lines_drawn(&v, 100, rows, "more", &there) <= rows);
    assert_int_equal(lines_drawn(&v, 100, 20, "and 8 more", &there), 20);
    assert_true(there);
    (void)lines_drawn(&v, 100, 40, " more", &there);
    assert_false(there);
    v.working = 30;
    (void)lines_drawn(&v, 100, 40, "and 10 more", &there);
    assert_true(there);
}

static void nothing_is_lost_on_a_narrow_terminal(void **state)
{
    static const char *const words[] = { "3 synced",    "1 failed of 10", "27,655 pending",  "60 MB/s",
                                         "2 mailboxes", "bernd@",         "throttled, 1 min" };
    struct progress_view v = sample();
    struct progress_rates r = { 85e6, 60e6, 1200, 900, 240, 65 };

    for (unsigned columns = 40; columns < 90; columns++) {
        struct progress_style style = { PROGRESS_LIVE, columns, false, true, NULL, 0 };
        struct buf b;

        buf_init(&b, 65536);
        progress_draw(&v, &r, &style, &b);
        for (unsigned i = 0; i + (columns < 50) < sizeof words / sizeof *words; i++)
            assert_true(slice_find_nocase(buf_slice(&b), slice_cstr(words[i])) != SIZE_MAX);
        buf_deinit(&b);
    }
}

/* The rate of before tells nothing then. */
static void a_server_that_does_not_answer_is_named(void **state)
{
    struct progress_view v = sample();
    bool there;

    (void)lines_drawn(&v, 100, 0, "3.0 s left", &there);
    assert_true(there);
    v.silent_s[1] = 13;
    v.active[0].silent_s[0] = 7;
    (void)lines_drawn(&v, 100, 0, "waiting   no answer from the target for 13 s\n", &there);
    assert_true(there);
    (void)lines_drawn(&v, 100, 0, "source silent for 7.0 s", &there);
    assert_true(there);
    (void)lines_drawn(&v, 100, 0, "3.0 s left", &there);
    assert_false(there);
}

static void json_is_one_object_a_line_and_ends_with_the_code(void **state)
{
    char *text = NULL, *line, *rest = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    struct progress *p = progress_create(PROGRESS_JSON, out, false);
    struct progress_view v = sample();
    struct progress_look look;
    unsigned lines = 0;

    strcpy(v.active[0].folder, "a\"b\\c");
    v.silent_s[1] = 13;
    v.failure_count = 1;
    strcpy(v.failures[0].type, "LoginFailed");
    v.failures[0].users = 2;
    progress_name(p, "night-1", "run");
    for (uint64_t ms = 0; ms <= 60000; ms += 500)
        progress_update(p, &v, ms);
    progress_note(p, "a line\nof words");
    progress_stop(p);
    progress_over(p, 3);
    progress_look(p, &look);
    assert_true(look.there && look.over && look.exit_code == 3 && look.view.found == 40000);
    progress_destroy(&p);
    fclose(out);
    for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), lines++) {
        assert_ptr_equal(strstr(line, "{\"schema\":\"mailhaul.progress.v1\",\"type\":\""), line);
        assert_int_equal(line[strlen(line) - 1], '}');
        if (lines == 3) {
            assert_non_null(strstr(line, "\"type\":\"note\""));
            continue;
        }
        assert_non_null(strstr(line, lines == 4 ? "\"type\":\"end\"" : "\"type\":\"progress\""));
        assert_non_null(strstr(line, lines == 4 ? "\"exit_code\":3," : "\"exit_code\":null,"));
        assert_non_null(strstr(line, "\"no_answer_s\":{\"source\":0,\"target\":13}"));
        assert_non_null(strstr(line, "\"failures\":[{\"type\":\"LoginFailed\",\"users\":2}]"));
    }
    assert_int_equal(lines, 5); /* at 0, 30 and 60 s, the note, the end */
    free(text);
}

static void colours_come_only_when_allowed(void **state)
{
    struct progress_view v = sample();
    struct progress_rates r = { 0 };
    struct progress_style style = { PROGRESS_LIVE, 100, false, true, NULL, 0 };
    struct buf b;

    buf_init(&b, 65536);
    progress_draw(&v, &r, &style, &b);
    assert_true(slice_find(buf_slice(&b), '\x1b') == SIZE_MAX);
    buf_clear(&b);
    style.color = true;
    progress_draw(&v, &r, &style, &b);
    assert_true(slice_find(buf_slice(&b), '\x1b') != SIZE_MAX);
    buf_deinit(&b);
}

static void the_single_line_reads_as_promised(void **state)
{
    struct progress_view v = sample();
    struct progress_rates r = { 85e6, 60e6, 1200, 900, 240, 65 };
    struct progress_style style = { PROGRESS_LINES, 80, true, true, "12:31:05", 0 };
    struct buf b;

    buf_init(&b, 65536);
    progress_draw(&v, &r, &style, &b);
    assert_true(buf_append(&b, slice_of("", 1)));
    assert_string_equal(buf_slice(&b).data,
                        "12:31:05 users 3/10 synced, 1 failed, 12,345 of 40,000 messages found so far, "
                        "85 MB/s in, 60 MB/s out, spool 1.2 GB of 200 GB (0 %), "
                        "2 mailboxes throttled, at least 4 min left\n");
    buf_deinit(&b);
}

static bool draws(const struct progress_view *v, enum progress_mode mode, const char *words)
{
    struct progress_rates r = { 0 };
    struct progress_style style = { mode, 100, false, true, NULL, 0 };
    struct buf b;
    bool there;

    buf_init(&b, 65536);
    progress_draw(v, &r, &style, &b);
    there = slice_find_nocase(buf_slice(&b), slice_cstr(words)) != SIZE_MAX;
    buf_deinit(&b);
    return there;
}

/* Not before all folders are listed, and done not before each user is proved. */
static void a_share_is_told_of_a_whole_only(void **state)
{
    struct progress_view v = sample();

    v.pending = 0;
    v.failed_messages = 0;
    assert_false(draws(&v, PROGRESS_LINES, "messages (")); /* "100 %" of what is found so far */
    assert_true(draws(&v, PROGRESS_LIVE, "4 of 10 users; 40,000 messages found so far"));
    v.found_final = true;
    assert_true(draws(&v, PROGRESS_LINES, "(100 %, being proved)"));
    assert_true(draws(&v, PROGRESS_LIVE, "100 % of 40,000 messages, being proved"));
    v.synced = v.users - v.failed;
    assert_true(draws(&v, PROGRESS_LINES, "(100 %)"));
    assert_false(draws(&v, PROGRESS_LIVE, "being proved"));
}

static void a_steady_stream_is_measured_from_the_first_seconds_on(void **state)
{
    struct progress_meter m = { 0 };
    struct progress_rates r;
    struct progress_view v = { .found = 1000000, .pending = 1 };

    for (uint64_t ms = 0; ms <= 60000; ms += 250) {
        v.bytes_fetched = ms * 1000;
        v.bytes_uploaded = ms * 500;
        v.bytes_left = 500000 * 100;
        progress_measure(&m, &v, 5000 + ms, &r);
        if (ms >= 250) {
            assert_true(r.in_bytes_s > 0.99e6 && r.in_bytes_s < 1.01e6);
            assert_true(r.out_bytes_s > 0.49e6 && r.out_bytes_s < 0.51e6);
        }
    }
    assert_true(r.left_s >= 98 && r.left_s <= 102);
    assert_int_equal(r.elapsed_s, 60);
    /* It stands still: the average falls by half in ten seconds, and never below nothing. */
    for (uint64_t ms = 60250; ms <= 70000; ms += 250)
        progress_measure(&m, &v, 5000 + ms, &r);
    assert_true(r.out_bytes_s < 0.3e6 && r.out_bytes_s > 0.2e6);
    v.bytes_uploaded = 0;
    progress_measure(&m, &v, 80000, &r);
    assert_true(r.out_bytes_s >= 0);
}

static void repaints_are_bounded_and_notes_stand_above(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = tmpfile();
    struct progress *p;
    struct progress_view v = sample();
    unsigned frames = 0;

    (void)size;
    assert_non_null(out);
    strcpy(v.active[0].folder, "\x1b]0;owned\x07 folder");
    p = progress_create(PROGRESS_LIVE, out, false);
    for (uint64_t ms = 0; ms < 2000; ms += 10)
        progress_update(p, &v, 1000 + ms);
    progress_note(p, "a line \x1b[2J of the log");
    progress_stop(p);
    progress_destroy(&p);
    assert_null(p);
    size = (size_t)ftell(out);
    rewind(out);
    text = malloc(size + 1);
    assert_int_equal(fread(text, 1, size, out), size);
    text[size] = '\0';
    for (char *at = text; (at = strstr(at, "\x1b[?25l")); at++)
        frames++;
    assert_int_equal(frames, 8 + 2);
    assert_non_null(strstr(text, "a line .[2J of the log\x1b[K\n"));
    assert_null(strstr(text, "\x1b]0"));
    assert_null(strstr(text, "\x1b[2J"));
    /* The last thing said to the terminal shows the cursor again. */
    assert_string_equal(text + size - 6, "\x1b[?25h");
    free(text);
    fclose(out);
}

static void without_a_terminal_a_line_comes_every_half_minute(void **state)
{
    FILE *out = tmpfile();
    struct progress *p;
    struct progress_view v = sample();
    unsigned lines = 0;
    int c;

    assert_non_null(out);
    assert_int_equal(progress_mode_for(out, "auto"), PROGRESS_LINES);
    assert_int_equal(progress_mode_for(out, "never"), PROGRESS_NONE);
    p = progress_create(PROGRESS_LINES, out, false);
    for (uint64_t ms = 0; ms <= 120000; ms += 500)
        progress_update(p, &v, ms);
    progress_stop(p);
    progress_destroy(&p);
    rewind(out);
    while ((c = getc(out)) != EOF)
        lines += c == '\n';
    assert_int_equal(lines, 4 + 1);
    fclose(out);
}

static void numbers_read_well(void **state)
{
    assert_string_equal(format_count(0).text, "0");
    assert_string_equal(format_count(999).text, "999");
    assert_string_equal(format_count(1000).text, "1,000");
    assert_string_equal(format_count(UINT64_MAX).text, "18,446,744,073,709,551,615");
    assert_string_equal(format_bytes(999).text, "999 B");
    assert_string_equal(format_bytes(1000).text, "1.0 KB");
    assert_string_equal(format_bytes(999999).text, "1.0 MB");
    assert_string_equal(format_bytes(UINT64_MAX).text, "18 EB");
    assert_string_equal(format_rate(-1).text, "0 B/s");
    assert_string_equal(format_seconds(0).text, "0 s");
    assert_string_equal(format_seconds(59.6).text, "1 min");
    assert_string_equal(format_percent(999, 1000).text, "99 %");
    assert_string_equal(format_percent(9999999, 10000000).text, "99 %");
    assert_string_equal(format_percent(7, 0).text, "0 %");
    assert_int_equal(format_width(slice_cstr("日本")), 4);
    assert_int_equal(format_width(slice_cstr("\xff\xfe")), 2);
}

static void cells_are_exact_and_tame(void **state)
{
    static const char *const texts[] = { "",
                                         "a",
                                         "short",
                                         "日本語のフォルダ",
                                         "\xff\xfe\xc3",
                                         "e\xcc\x81",
                                         "a\x1b[31mb",
                                         ("\xe2\x80\xae"
                                          "evil"),
                                         "a very long text that has to be cut somewhere" };

    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++)
        for (unsigned columns = 0; columns < 50; columns++)
            for (int way = 0; way < 4; way++) {
                struct buf b;

                buf_init(&b, 4096);
                format_cell(&b, slice_cstr(texts[i]), columns, way & 1, way & 2);
                assert_int_equal(format_width(buf_slice(&b)), columns);
                assert_true(slice_find(buf_slice(&b), '\x1b') == SIZE_MAX);
                assert_true(slice_find_nocase(buf_slice(&b), SLICE("\xe2\x80\xae")) == SIZE_MAX);
                buf_deinit(&b);
            }
}

static void a_column_is_as_wide_as_it_looks(void **state)
{
    static const char *const texts[] = { "", "a", "j\xc3\xbcrgen@x.org", "日本@x.org", "longer than the column is" };
    char text[100];

    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
        unsigned width = format_width(slice_cstr(texts[i]));
        FILE *f = fmemopen(text, sizeof text, "w");

        format_left(f, slice_cstr(texts[i]), 20);
        fclose(f);
        assert_int_equal(strncmp(text, texts[i], strlen(texts[i])), 0);
        assert_int_equal(format_width(slice_cstr(text)), width < 20 ? 20 : width);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_line_fits_every_width),
        cmocka_unit_test(the_block_fits_the_height),
        cmocka_unit_test(nothing_is_lost_on_a_narrow_terminal),
        cmocka_unit_test(a_server_that_does_not_answer_is_named),
        cmocka_unit_test(json_is_one_object_a_line_and_ends_with_the_code),
        cmocka_unit_test(a_column_is_as_wide_as_it_looks),
        cmocka_unit_test(colours_come_only_when_allowed),
        cmocka_unit_test(the_single_line_reads_as_promised),
        cmocka_unit_test(a_share_is_told_of_a_whole_only),
        cmocka_unit_test(a_steady_stream_is_measured_from_the_first_seconds_on),
        cmocka_unit_test(repaints_are_bounded_and_notes_stand_above),
        cmocka_unit_test(without_a_terminal_a_line_comes_every_half_minute),
        cmocka_unit_test(numbers_read_well),
        cmocka_unit_test(cells_are_exact_and_tame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
