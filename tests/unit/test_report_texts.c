/* test: cli */
#include "engine/report/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/report/share.h"
#include "engine/report/status.h"
#include "io/base/now.h"
#include "io/base/shown.h"
#include "tests/unit/test_record_texts.h"
#include "tests/unit/test_report_fake.h"

#include <jansson.h>
#include <sys/mman.h>
#include <unistd.h>

/* Each text that a report is made of, by itself, as long as it can be and of what it may hold at worst: every form of
 * the report is still whole, and nothing in it is obeyed by a terminal, a browser or a spreadsheet. */

#define NOW 1764000000000

/* Repeated up to the size that is wanted. A cut may fall anywhere into the last one. */
static const char *const fills[] = {
    "x",
    "\"",
    "\\",
    "<script>",
    "&",
    "'",
    "\n",
    "\r\n",
    "\x1b[2J",
    "\xc2\x9b",
    "\xe2\x80\xae",
    "\xc3\xa4",
    "\xf0\x9f\x98\x80",
    "\xff",
    "=cmd|' /C calc'!A0",
    ",=1+1,",
    ";@SUM(A1);",
    "%s%n",
    "  ",
    "{mailbox}",
    "]]>-->",
    "\xe2\x80\xa8",
};
#define EACH_FILL(f) (unsigned f = 0; f < sizeof fills / sizeof *fills; f++)

static char *filled(const char *with, size_t size)
{
    char *text = mem_alloc(size + 1);
    size_t n = strlen(with);

    for (size_t i = 0; i < size; i++)
        text[i] = with[i % n];
    text[size] = '\0';
    return text;
}

/* --- what a report has to be --- */

enum form { JSON, CSV, HTML, TEXT, TERMINAL, STATUS, STATUS_JSON, FORMS };
static const char *const form_names[] = { "json", "csv", "html", "text", "terminal", "status", "status json" };

struct tried {
    const char *what, *fill;
};

static char *written(struct report *r, const struct report_state *state, enum form form, size_t *size_r)
{
    struct status_style style = { .columns = 80, .utf8 = true };
    char *text = NULL;
    FILE *out = open_memstream(&text, size_r);
    struct err err;

    assert_non_null(out);
    if (!(form == JSON       ? report_write_json(r, out, &err)
          : form == CSV      ? report_write_csv(r, out, &err)
          : form == HTML     ? report_write_html(r, out, &err)
          : form == TEXT     ? report_write_text(r, REPORT_WHOLE, NULL, out, &err)
          : form == TERMINAL ? report_write_terminal(r, &style, out, &err)
          : form == STATUS   ? status_write_text(state, 1, &style, out, &err)
                             : status_write_json(state, 1, out, &err)))
        fail_msg("%s: %s", form_names[form], err.server_text);
    fclose(out);
    return text;
}

static void nothing_is_obeyed(const struct tried *t, enum form form, const char *text, size_t size)
{
    for (size_t i = 0; i < size;) {
        uint32_t code = 0;
        size_t n = shown_sequence(text + i, size - i, &code);

        if (n == 0 || (!shown_is_safe(code) && code != '\n' && !(form == CSV && code == '\r')))
            fail_msg("%s filled with \"%s\": %s has the byte %02x at %zu", t->what, t->fill, form_names[form],
                     (unsigned char)text[i], i);
        i += n;
    }
}

static void is_json(const struct tried *t, enum form form, const char *text, size_t size)
{
    json_error_t error;
    json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);

    if (!json)
        fail_msg("%s filled with \"%s\": %s: %s", t->what, t->fill, form_names[form], error.text);
    json_decref(json);
}

/* The page: two scripts of its own, and its data as JSON in one piece. */
static void is_a_page(const struct tried *t, const char *text)
{
    const char *data = strstr(text, "id='data'>");
    unsigned scripts = 0;

    for (const char *at = text; (at = strstr(at, "<script")); at++)
        scripts++;
    if (scripts != 2 || !data)
        fail_msg("%s filled with \"%s\": %u scripts", t->what, t->fill, scripts);
    data += strlen("id='data'>");
    is_json(t, HTML, data, strcspn(data, "<"));
}

/* Every line has as many cells as the first, and none begins a formula, whichever sign divides the cells. */
static void is_a_table(const struct tried *t, const char *text)
{
    unsigned columns = 0, cells = 1, lines = 0;
    bool in_quotes = false, begins = true;

    for (const char *at = text; *at; at++) {
        if (*at == '"') {
            in_quotes = !in_quotes;
            continue;
        }
        if (begins && strchr("=+@", *at))
            fail_msg("%s filled with \"%s\": a formula: %.40s", t->what, t->fill, at);
        begins = strchr(";,|\n", *at);
        cells += !in_quotes && *at == ',';
        if (in_quotes || *at != '\n')
            continue;
        columns = lines++ == 0 ? cells : columns;
        if (cells != columns)
            fail_msg("%s filled with \"%s\": %u cells of %u", t->what, t->fill, cells, columns);
        cells = 1;
    }
    if (lines != 2 || in_quotes)
        fail_msg("%s filled with \"%s\": %u lines", t->what, t->fill, lines);
}

static void is_whole_in_each_form(const struct tried *t, const struct report_state *state)
{
    struct report *r;
    struct err err;

    if (!report_load(state, 1, &r, &err))
        fail_msg("%s filled with \"%s\": %s", t->what, t->fill, err.server_text);
    for (enum form form = JSON; form < FORMS; form++) {
        char *text;
        size_t size;

        if (!state->spool && form >= STATUS)
            break;
        text = written(r, state, form, &size);
        nothing_is_obeyed(t, form, text, size);
        if (form == JSON || form == STATUS_JSON)
            is_json(t, form, text, size);
        if (form == HTML)
            is_a_page(t, text);
        if (form == CSV)
            is_a_table(t, text);
        free(text);
    }
    report_free(&r);
}

/* --- from a state folder --- */

/* A user with something of everything. */
static void fill_spool(struct spool *s)
{
    struct user_record user = { .id = 1,
                                .state = USER_FAILED,
                                .failure = "TooManyBadItems",
                                .started_ms = NOW - 60000,
                                .time_ms = { 1000, 2000, 3500, 0, 10, 20 },
                                .address = SLICE("a@x.example"),
                                .user_name = SLICE("a"),
                                .opaque = SLICE("source SlowAnswer 4000\n") };
    struct folder_record folder = { .user = 1,
                                    .folder = 1,
                                    .role = "inbox",
                                    .source_name = SLICE("INBOX"),
                                    .target_name = SLICE("Inbox"),
                                    .tally = { .found = 3, .uploaded = 1, .skipped = 1, .failed = 1 } };
    struct fake_message m = { .user = 1,
                              .folder = 1,
                              .record = { .uid = 1, .state = MESSAGE_SKIPPED, .reason = SKIP_LARGER_THAN_LIMIT },
                              .note = { .subject = "s", .message_id = "<m>" } };
    struct fake_failure f = { .user = 1,
                              .record = { .first_ms = NOW,
                                          .last_ms = NOW,
                                          .count = 1,
                                          .folder = 1,
                                          .class = ERR_CLASS_PERMANENT,
                                          .type = "MessageRejected",
                                          .server_text = "NO" } };
    struct fake_problem p = { .user = 1, .record = { .folder = 1, .type = "LateCopy", .text = "one", .doubt = true } };

    FAKE_ADD(s->users, s->user_count, user);
    FAKE_ADD(s->folders, s->folder_count, folder);
    FAKE_ADD(s->messages, s->message_count, m);
    m.record.uid = 2;
    m.record.state = MESSAGE_FAILED;
    FAKE_ADD(s->messages, s->message_count, m);
    m.record.uid = 3;
    m.record.state = MESSAGE_UPLOADED;
    m.record.repairs = 5;
    FAKE_ADD(s->messages, s->message_count, m);
    FAKE_ADD(s->failures, s->failure_count, f);
    FAKE_ADD(s->problems, s->problem_count, p);
    FAKE_ADD(s->metas, s->meta_count, ((struct fake_meta){ "batch.name", "night" }));
    FAKE_ADD(s->metas, s->meta_count, ((struct fake_meta){ "batch.state", "SyncedWithErrors" }));
}

/* Into every record of its kind. What a decoder gives always has an end. */
static void set(struct spool *s, const struct record_text *t, const char *text, size_t size)
{
    if (t->cap && size >= t->cap)
        size = t->cap - 1;
#define INTO(name, record_)                                                                                            \
    if (strcmp(t->record, name) == 0)                                                                                  \
    record_text_set(record_, t, text, size)
    INTO("user_record", &s->users[0]);
    INTO("folder_record", &s->folders[0]);
    INTO("failure_record", &s->failures[0].record);
    INTO("problem_record", &s->problems[0].record);
    for (unsigned i = 0; i < s->message_count; i++) {
        INTO("message_record", &s->messages[i].record);
        INTO("message_note", &s->messages[i].note);
    }
#undef INTO
}

static void each_text_of_the_journal(void **state)
{
    for
        EACH_RECORD_TEXT(t)
        for
            EACH_FILL(f)
            {
                struct tried tried = { t->field, fills[f] };
                struct spool s = { .last_commit_ms = NOW };
                struct report_state one = { .spool = &s, .folder = "night.state" };
                char *text = filled(fills[f], t->max);

                fill_spool(&s);
                set(&s, t, text, t->max);
                is_whole_in_each_form(&tried, &one);
                free(text);
                fake_free(&s);
            }
}

/* Whatever named value a report asks for, at the journal's bound. */
static void each_named_value(void **state)
{
    for
        EACH_FILL(f)
        {
            struct tried tried = { "a named value", fills[f] };
            struct spool s = { .last_commit_ms = NOW };
            struct report_state one = { .spool = &s, .folder = "night.state" };
            char *text = filled(fills[f], 65536);

            fill_spool(&s);
            s.meta_count = 0;
            s.every_meta = text;
            is_whole_in_each_form(&tried, &one);
            free(text);
            fake_free(&s);
        }
}

/* --- from a report that was written before --- */

static unsigned replaced; /* strings that were met */

/* Puts text in place of the string number `which` below json, and returns the name that it stands under. */
static const char *replace(json_t *json, unsigned which, const char *text)
{
    const char *name, *found = NULL;
    json_t *value;
    size_t i;

    if (json_is_object(json)) {
        json_object_foreach(json, name, value)
        {
            if (found)
                break;
            if (!json_is_string(value))
                found = replace(value, which, text);
            else if (replaced++ == which) {
                found = name;
                json_object_set_new(json, name, json_string_nocheck(text));
                return found;
            }
        }
    } else {
        json_array_foreach(json, i, value)
        {
            if (found)
                break;
            if (!json_is_string(value))
                found = replace(value, which, text);
            else if (replaced++ == which) {
                json_array_set_new(json, i, json_string_nocheck(text));
                return "an item";
            }
        }
    }
    return found;
}

static void try_share(const struct tried *tried, json_t *json)
{
    char *text = json_dumps(json, 0), path[64];
    int fd = memfd_create("report.json", MFD_CLOEXEC);
    struct share *share;
    struct err err;

    assert_non_null(text);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (share_open(path, &share, &err)) {
        struct report_state one = { .share = share, .folder = share->path };

        is_whole_in_each_form(tried, &one);
        share_close(&share);
    } else {
        assert_non_null(strstr(err.server_text, path));
    }
    close(fd);
    free(text);
}

/* Any string of it is anybody's, of any length. */
static void each_text_of_a_report_read_again(void **state)
{
    struct spool s = { .last_commit_ms = NOW };
    struct report_state one = { .spool = &s, .folder = "night.state" };
    struct report *r;
    struct err err;
    char *whole;
    size_t size;
    unsigned strings = 0;

    fill_spool(&s);
    assert_true(report_load(&one, 1, &r, &err));
    whole = written(r, &one, JSON, &size);
    report_free(&r);
    for (unsigned which = 0;; which++) {
        bool met = false;

        /* Every third fill for each: one string's are not another's. */
        for (unsigned f = which % 3; f < sizeof fills / sizeof *fills; f += 3) {
            json_t *json = json_loadb(whole, size, 0, NULL);
            size_t n = strlen(fills[f]);
            char *text = filled(strcmp(fills[f], "\xff") == 0 ? "\xc2\x85" : fills[f], /* it is UTF-8 */
                                (which % 7 == 0 ? 5000 : 700) / n / 2 * n * 2);
            struct tried tried = { .fill = fills[f] };

            replaced = 0;
            tried.what = replace(json, which, text);
            met = tried.what;
            if (met)
                try_share(&tried, json);
            json_decref(json);
            free(text);
            if (!met)
                break;
        }
        if (!met)
            break;
        strings++;
    }
    assert_true(strings > 30);
    free(whole);
    fake_free(&s);
}

static int begin_time(void **state)
{
    (void)state;
    now_fake(1, NOW);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(record_texts_are_all),
        cmocka_unit_test(each_text_of_the_journal),
        cmocka_unit_test(each_named_value),
        cmocka_unit_test(each_text_of_a_report_read_again),
    };

    return cmocka_run_group_tests(tests, begin_time, NULL);
}
