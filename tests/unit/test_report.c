/* test: cli */
#include "engine/report/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/report/emit.h"
#include "engine/report/intern.h"
#include "engine/report/shards.h"
#include "engine/report/status.h"
#include "engine/report/table.h"
#include "engine/report/timeline.h"
#include "io/base/now.h"
#include "tests/unit/test_report_fake.h"

#include <jansson.h>
#include <math.h>

#define NOW  1764000000000
#define EVIL "</script><script>alert(1)</script>\"'&\xe2\x80\xa8\xff\x01"

static void add_user(struct spool *s, uint32_t id, const char *address, enum user_state state, const char *failure)
{
    struct user_record u = { .id = id,
                             .state = state,
                             .started_ms = NOW - 60000,
                             .throttled = 2,
                             .reconnects = 1,
                             .time_ms = { 1000, 2000, 3500, 0, 0, 10 },
                             .address = slice_cstr(address),
                             .user_name = slice_cstr("login") };

    snprintf(u.failure, sizeof u.failure, "%s", failure);
    FAKE_ADD(s->users, s->user_count, u);
}

static void add_folder(struct spool *s, uint32_t user, uint32_t id, const char *source, const char *target,
                       struct tally tally, bool excluded)
{
    struct folder_record f = { .user = user,
                               .folder = id,
                               .tally = tally,
                               .excluded = excluded,
                               .source_name = slice_cstr(source),
                               .target_name = slice_cstr(target) };

    FAKE_ADD(s->folders, s->folder_count, f);
}

static void add_facts(struct spool *s, const char *name, const char *state, const char *code)
{
    FAKE_ADD(s->metas, s->meta_count, ((struct fake_meta){ "batch.name", name }));
    FAKE_ADD(s->metas, s->meta_count, ((struct fake_meta){ "batch.state", state }));
    FAKE_ADD(s->metas, s->meta_count, ((struct fake_meta){ "batch.started_ms", "1763999000000" }));
    if (code) {
        FAKE_ADD(s->metas, s->meta_count, ((struct fake_meta){ "batch.finished_ms", "1763999500000" }));
        FAKE_ADD(s->metas, s->meta_count, ((struct fake_meta){ "batch.exit_code", code }));
    }
}

static void hostile(struct spool *s)
{
    struct fake_message m = {
        .user = 1,
        .folder = 1,
        .record = { .uid = 5, .state = MESSAGE_SKIPPED, .reason = SKIP_LARGER_THAN_LIMIT, .listed_bytes = 40000000 },
        .note = { .subject = EVIL, .message_id = "<a\"b>", .date = "1 Jan" }
    };
    struct fake_failure f = { .user = 1,
                              .record = { .first_ms = NOW,
                                          .last_ms = NOW,
                                          .count = 3,
                                          .uid = 9,
                                          .folder = 1,
                                          .class = ERR_CLASS_TRANSIENT,
                                          .side = FAILURE_TARGET,
                                          .type = "TargetUnavailable",
                                          .server_text = EVIL,
                                          .doing = EVIL,
                                          .folder_name = EVIL } };
    struct fake_problem p = { .user = 1,
                              .record = { .folder = 1, .type = "FolderRenamed", .text = EVIL, .remedy = "none" } };

    add_user(s, 1, EVIL "@x", USER_SYNCED, "");
    add_folder(s, 1, 1, EVIL, "Inbox",
               (struct tally){ .found = 10,
                               .uploaded = 6,
                               .skipped = 1,
                               .failed = 1,
                               .waiting = 1,
                               .spooled = 1,
                               .bytes_found = 1000,
                               .bytes_uploaded = 600 },
               false);
    add_folder(s, 1, 2, "Trash", "", (struct tally){ .found = 7, .skipped = 7 }, true);
    FAKE_ADD(s->messages, s->message_count, m);
    FAKE_ADD(s->failures, s->failure_count, f);
    FAKE_ADD(s->problems, s->problem_count, p);
    add_facts(s, EVIL, "Stopped", "2");
    FAKE_ADD(s->metas, s->meta_count,
             ((struct fake_meta){ SAMPLE_LIVE_NAME, "live1 1764000000000\n1 2500 1764000300000\n" }));
}

static struct report *load(struct spool *const *spools, unsigned count)
{
    struct report_state states[8] = { { 0 } };
    struct report *r;
    struct err err;

    assert_true(count <= 8);
    for (unsigned i = 0; i < count; i++)
        states[i] = (struct report_state){ .spool = spools[i], .folder = "night.state" };
    if (!report_load(states, count, &r, &err))
        fail_msg("%s", err.server_text);
    return r;
}

enum form { JSON, CSV, HTML, TEXT, TERMINAL, STATUS, STATUS_JSON };

static char *written(struct report *r, struct spool *s, enum form form)
{
    struct status_style style = { .columns = 100, .utf8 = true };
    struct report_state state = { .spool = s, .folder = "night.state" };
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    struct err err;
    bool good = false;

    assert_non_null(out);
    switch (form) {
    case JSON:
        good = report_write_json(r, out, &err);
        break;
    case CSV:
        good = report_write_csv(r, out, &err);
        break;
    case HTML:
        good = report_write_html(r, out, &err);
        break;
    case TEXT:
        good = report_write_text(r, REPORT_WHOLE, NULL, out, &err);
        break;
    case TERMINAL:
        good = report_write_terminal(r, &style, out, &err);
        break;
    case STATUS:
        good = status_write_text(&state, 1, &style, out, &err);
        break;
    case STATUS_JSON:
        good = status_write_json(&state, 1, out, &err);
        break;
    }
    assert_true(good);
    fclose(out);
    assert_int_equal(strlen(text), size);
    return text;
}

static json_int_t number(json_t *in, const char *name)
{
    json_t *value = json_object_get(in, name);

    if (!json_is_integer(value))
        fail_msg("%s is no integer", name);
    return json_integer_value(value);
}

static const char *word(json_t *in, const char *name)
{
    json_t *value = json_object_get(in, name);

    if (!json_is_string(value))
        fail_msg("%s is no string", name);
    return json_string_value(value);
}

static void the_json_is_what_the_interface_says(void **state)
{
    struct spool s = { 0 }, *one = &s;
    struct report *r;
    char *text;
    json_t *root, *user, *folder, *item, *part;
    json_error_t error;

    now_fake(1, NOW);
    hostile(&s);
    r = load(&one, 1);
    text = written(r, NULL, JSON);
    root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        fail_msg("%s at %d", error.text, error.position);
    assert_string_equal(word(root, "schema"), "mailhaul.report.v1");
    part = json_object_get(root, "batch");
    assert_string_equal(word(part, "state"), "Stopped");
    assert_string_equal(word(part, "started"), "2025-11-24T15:43:20Z");
    assert_int_equal(number(part, "exit_code"), 2);
    assert_true(json_number_value(json_object_get(part, "seconds")) == 500.0);
    part = json_object_get(root, "totals");
    assert_int_equal(number(part, "users"), 1);
    assert_int_equal(number(part, "found"), 17);
    assert_int_equal(number(part, "skipped"), 8);
    assert_int_equal(number(part, "pending"), 2);
    assert_true(json_is_true(json_object_get(part, "balanced")));
    user = json_array_get(json_object_get(root, "users"), 0);
    assert_true(json_is_null(json_object_get(user, "failure")));
    assert_int_equal(number(user, "found"), number(user, "uploaded") + number(user, "present") +
                                                number(user, "skipped") + number(user, "failed") +
                                                number(user, "pending"));
    part = json_object_get(user, "time");
    assert_true(json_number_value(json_object_get(part, "throttled_s")) == 3.5);
    folder = json_array_get(json_object_get(user, "folders"), 0);
    assert_string_equal(word(folder, "target"), "Inbox");
    item = json_array_get(json_object_get(folder, "problems"), 0);
    assert_string_equal(word(item, "type"), "FolderRenamed");
    part = json_object_get(user, "skipped_items");
    assert_int_equal(json_array_size(part), 2);
    item = json_array_get(part, 0);
    assert_int_equal(number(item, "uid"), 5);
    assert_string_equal(word(item, "reason"), "LargerThanLimit");
    assert_string_equal(word(item, "date"), "1 Jan");
    assert_non_null(strstr(word(item, "subject"), "</script><script>alert(1)</script>\"'&"));
    item = json_array_get(part, 1);
    assert_string_equal(word(item, "reason"), "ExcludedFolder");
    assert_int_equal(number(item, "count"), 7);
    item = json_array_get(json_object_get(user, "failures"), 0);
    assert_string_equal(word(item, "class"), "transient");
    assert_string_equal(word(item, "side"), "target");
    assert_int_equal(number(item, "count"), 3);
    assert_true(strlen(word(item, "advice")) > 10);
    json_decref(root);
    free(text);
    report_free(&r);
    fake_free(&s);
    now_real();
}

static void the_page_holds_no_text_that_could_become_markup(void **state)
{
    struct spool s = { 0 }, *one = &s;
    struct report *r;
    char *text, *data, *end;
    unsigned scripts = 0;
    json_t *root;

    now_fake(1, NOW);
    hostile(&s);
    r = load(&one, 1);
    text = written(r, NULL, HTML);
    for (char *at = text; (at = strstr(at, "<script")); at++)
        scripts++;
    assert_int_equal(scripts, 2);
    assert_null(strstr(text, "alert(1)</"));
    assert_null(strstr(text, "\xe2\x80\xa8"));
    assert_null(strstr(text, "src="));
    assert_null(strstr(text, "href="));
    assert_non_null(strstr(text, "default-src 'none'; style-src 'sha256-"));
    data = strstr(text, "id='data'>");
    assert_non_null(data);
    data += strlen("id='data'>");
    end = strchr(data, '<');
    assert_non_null(end);
    root = json_loadb(data, (size_t)(end - data), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    assert_int_equal(json_array_size(json_object_get(root, "folders")), 2);
    assert_int_equal(json_array_size(json_object_get(root, "skipped")), 1);
    assert_int_equal(json_array_size(json_object_get(root, "excluded")), 1);
    assert_int_equal(json_array_size(json_object_get(root, "failures")), 1);
    assert_int_equal(number(json_object_get(root, "more"), "skipped"), 0);
    json_decref(root);
    free(text);
    report_free(&r);
    fake_free(&s);
    now_real();
}

static void a_page_tells_what_it_leaves_out(void **state)
{
    struct spool s = { 0 }, *one = &s;
    struct fake_message m = { .user = 1,
                              .folder = 1,
                              .record = { .state = MESSAGE_SKIPPED, .reason = SKIP_OUTSIDE_DATES } };
    struct fake_failure f = { .user = 1, .record = { .type = "ParseError", .count = 1 } };
    struct report *r;
    char *text;

    add_user(&s, 1, "a@x", USER_SYNCED, "");
    add_folder(&s, 1, 1, "INBOX", "Inbox", (struct tally){ .found = 250, .skipped = 250 }, false);
    for (m.record.uid = 1; m.record.uid <= 250; m.record.uid++)
        FAKE_ADD(s.messages, s.message_count, m);
    for (unsigned i = 0; i < 130; i++)
        FAKE_ADD(s.failures, s.failure_count, f);
    r = load(&one, 1);
    assert_int_equal(r->skips.messages[SKIP_OUTSIDE_DATES], 250);
    text = written(r, NULL, HTML);
    assert_non_null(strstr(text, "\"failures\":30,\"skipped\":150,"));
    free(text);
    report_free(&r);
    fake_free(&s);
}

/* One type at both servers: each with its own words, and of each user whose password it is. */
static void a_failure_is_told_of_the_side_where_it_happened(void **state)
{
    static const struct {
        uint8_t side;
        const char *said;
    } failures[] = { { FAILURE_SOURCE, "NO wrong at the old one" },
                     { FAILURE_TARGET, "NO wrong at the new one" },
                     { FAILURE_TARGET, "NO the same again" } };
    struct spool s = { 0 }, *one = &s;
    struct fake_failure f = { .record = { .type = "LoginFailed", .count = 1, .class = ERR_CLASS_PERMANENT } };
    struct report *r;
    char *text;

    add_user(&s, 1, "ann@x.org", USER_FAILED, "LoginFailed");
    add_user(&s, 2, "bob@x.org", USER_FAILED, "LoginFailed");
    add_user(&s, 3, "eve@x.org", USER_FAILED, "LoginFailed");
    for (unsigned i = 0; i < 3; i++) {
        f.user = i + 1;
        f.record.side = failures[i].side;
        snprintf(f.record.server_text, sizeof f.record.server_text, "%s", failures[i].said);
        FAKE_ADD(s.failures, s.failure_count, f);
    }
    f.user = 2;
    snprintf(f.record.type, sizeof f.record.type, "ConnectFailed");
    snprintf(f.record.server_text, sizeof f.record.server_text, "connection refused");
    f.record.side = FAILURE_SOURCE;
    FAKE_ADD(s.failures, s.failure_count, f);
    r = load(&one, 1);
    text = written(r, NULL, TERMINAL);
    assert_non_null(strstr(text, "LoginFailed  3 users (1 at the source, 2 at the target), 3 failed by it\n"));
    assert_non_null(strstr(text, "The source said: NO wrong at the old one\n"));
    assert_non_null(strstr(text, "The target said: NO wrong at the new one\n"));
    assert_non_null(strstr(text, "ConnectFailed  1 user at the source\n"));
    assert_null(strstr(text, "the same again"));
    for (unsigned i = 1; i <= 3; i++) {
        char *line = strstr(text, i == 1 ? "\n  ann@x.org" : i == 2 ? "\n  bob@x.org" : "\n  eve@x.org");

        assert_non_null(line);
        line[1 + strcspn(line + 1, "\n")] = '\0';
        assert_non_null(strstr(line, i == 1 ? "LoginFailed (source)" : "LoginFailed (target)"));
        line[strlen(line)] = '\n';
    }
    free(text);
    text = written(r, NULL, TEXT);
    assert_non_null(strstr(text, "LoginFailed: 3 times, 3 users (1 at the source, 2 at the target). The server"));
    free(text);
    text = written(r, NULL, HTML);
    assert_non_null(strstr(text, "\"where\":\" (1 at the source, 2 at the target)\""));
    free(text);
    report_free(&r);
    fake_free(&s);
}

static void csv_has_a_line_a_user_and_no_formula(void **state)
{
    struct spool s = { 0 }, *one = &s;
    struct report *r;
    char *text;

    add_user(&s, 1, "=cmd|x", USER_FAILED, "LoginFailed");
    add_user(&s, 2, "a\"b,c@x", USER_SYNCED, "");
    add_folder(&s, 2, 1, "INBOX", "Inbox", (struct tally){ .found = 2, .uploaded = 2 }, false);
    r = load(&one, 1);
    text = written(r, NULL, CSV);
    assert_non_null(strstr(text, "\r\n\"'=cmd|x\",\"login\",Failed,LoginFailed,0,0,"));
    assert_non_null(strstr(text, "\r\n\"a\"\"b,c@x\",\"login\",Synced,,2,2,0,0,0,0,"));
    free(text);
    report_free(&r);
    fake_free(&s);
}

/* Read as CSV with ',' and with ';' between cells: no cell is a formula, and nothing is a control. */
static void no_cell_of_a_field_is_a_formula(void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        { "plain - text + more", "plain - text + more" },
        { "=1+1", "'=1+1" },
        { "x;=cmd|' /C calc'!A0;y", "x;'=cmd|' /C calc'!A0;y" },
        { "x; @SUM(A1)", "x; '@SUM(A1)" },
        { "a,-2;+3|=4", "a,'-2;'+3|'=4" },
        { "x;\"=1+1\"", "x;\"\"'=1+1\"\"" },
        { "\t=1", ".=1" },
        { "\xef\xbc\x9d"
          "1",
          "'\xef\xbc\x9d"
          "1" },
        { ";\xef\xbc\x8b"
          "1;\xef\xbc\x8d"
          "2;\xef\xbc\xa0"
          "3",
          ";'\xef\xbc\x8b"
          "1;'\xef\xbc\x8d"
          "2;'\xef\xbc\xa0"
          "3" },
        { "a\r\n=1\x1b[2J\xc2\x9b\x7f\xff", "a..=1.[2J..." },
        { "x\xe2\x80\xae"
          "fdp",
          "x.fdp" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[200] = "", wanted[200];
        FILE *f = fmemopen(text, sizeof text, "w");

        report_csv_field(f, slice_cstr(rows[i].in), true);
        fclose(f);
        snprintf(wanted, sizeof wanted, "\"%s\"\r\n", rows[i].out);
        assert_string_equal(text, wanted);
    }
}

static void json_has_nothing_that_a_terminal_obeys(void **state)
{
    char text[400] = "";
    FILE *f = fmemopen(text, sizeof text, "w");
    struct emit e;

    emit_init(&e, f, false);
    emit_cstr(&e, NULL, "a\x1b\x7f\xc2\x9b\xe2\x80\xae\xe2\x80\xa8\xf3\xa0\x81\x81\xc3\xa9\xff<\"\\");
    fclose(f);
    assert_string_equal(text, "\"a\\u001b\\u007f\\u009b\\u202e\\u2028\\udb40\\udc41\xc3\xa9\\ufffd\\u003c\\\"\\\\\"");
    memset(text, 0, sizeof text);
    f = fmemopen(text, sizeof text, "w");
    emit_whole(f, SLICE("{\n \"a\": \"\xc2\x9b\x7f\xc3\xa9\\n\"\n}"));
    fclose(f);
    assert_string_equal(text, "{\n \"a\": \"\\u009b\\u007f\xc3\xa9\\n\"\n}\n");
}

static void shards_are_merged(void **state)
{
    struct spool a = { 0 }, b = { 0 }, *both[] = { &a, &b };
    struct report *r;
    char text[600];

    now_fake(1, NOW);
    add_user(&a, 1, "a@x", USER_SYNCED, "");
    add_folder(&a, 1, 1, "I", "I", (struct tally){ .found = 3, .uploaded = 3 }, false);
    add_facts(&a, "night", "Synced", "0");
    add_user(&b, 1, "b@x", USER_SYNCING, "");
    add_folder(&b, 1, 1, "I", "I", (struct tally){ .found = 4, .waiting = 4 }, false);
    add_facts(&b, "night", "Stopped", "2");
    r = load(both, 2);
    assert_int_equal(r->user_count, 2);
    assert_int_equal(r->totals.found, 7);
    assert_string_equal(r->batch.name, "night");
    assert_string_equal(r->batch.state, "Stopped");
    assert_int_equal(r->batch.exit_code, 2);
    assert_int_equal(report_verdict_level(r), 1);
    report_free(&r);
    /* One still runs: no end, no exit code. */
    b.metas[1].value = "Syncing";
    b.meta_count = 3;
    b.last_commit_ms = NOW - 1000;
    b.holder = SPOOL_HELD_BY_RUN;
    r = load(both, 2);
    assert_true(r->batch.running && !r->batch.has_exit_code && r->batch.finished_ms == 0);
    assert_string_equal(r->batch.state, "Syncing");
    assert_int_equal(r->by_state[USER_SYNCING], 1);
    report_free(&r);
    /* One that nobody holds any more was killed, however young its last sign of life is. */
    b.holder = SPOOL_HELD_BY_NONE;
    r = load(both, 2);
    assert_true(!r->batch.running && r->batch.killed_ms == NOW - 1000);
    assert_string_equal(r->batch.state, "Stopped");
    assert_int_equal(r->by_state[USER_STOPPED], 1);
    report_verdict(r, text, sizeof text);
    assert_non_null(strstr(text, "was killed, or could not write any more, at 2025-11-24T15:59:59Z"));
    assert_non_null(strstr(text, "nothing is lost, run the same command again to go on."));
    assert_int_equal(r->batch.until_ms, NOW - 1000);
    report_free(&r);
    /* Nor is it hidden by a user who failed, or by users who are all done with an earlier run. */
    a.users[0].state = USER_FAILED;
    r = load(both, 2);
    report_verdict(r, text, sizeof text);
    assert_non_null(strstr(text, "A run was killed, or could not write any more, at 2025-11-24T15:59:59Z"));
    assert_non_null(strstr(text, ". 1 of 2 users failed"));
    report_free(&r);
    a.users[0].state = USER_SYNCED;
    r = load((struct spool *[]){ &b }, 1);
    assert_true(r->batch.killed_ms);
    report_verdict(r, text, sizeof text);
    assert_non_null(strstr(text, "The run was killed"));
    report_free(&r);
    /* Where the lock cannot be looked at, the last sign of life decides. */
    b.holder = SPOOL_HELD_UNKNOWN;
    r = load(both, 2);
    assert_true(r->batch.running && !r->batch.killed_ms);
    report_free(&r);
    b.last_commit_ms = NOW - 31000;
    r = load(both, 2);
    assert_true(!r->batch.running && r->batch.killed_ms);
    report_free(&r);
    fake_free(&a);
    fake_free(&b);
    now_real();
}

/* --user: their rows, and sums of these alone. */
static void only_users_that_are_asked_for(void **state)
{
    struct spool a = { 0 };
    struct settings_list only = { 0 };
    struct report_state states[1] = { { .spool = &a, .folder = "night.state", .only = &only } };
    struct report *r;
    struct err err;
    char *json;

    (void)state;
    now_fake(1, NOW);
    add_user(&a, 1, "a@x", USER_SYNCED, "");
    add_user(&a, 2, "b@x", USER_FAILED, "LoginFailed");
    add_user(&a, 3, "c@x", USER_SYNCED, "");
    a.users[2].user_name = slice_cstr("Cat");
    add_folder(&a, 1, 1, "I", "I", (struct tally){ .found = 3, .uploaded = 3 }, false);
    add_folder(&a, 2, 1, "I", "I", (struct tally){ .found = 5, .failed = 5 }, false);
    add_folder(&a, 3, 1, "I", "I", (struct tally){ .found = 9, .uploaded = 9 }, false);
    add_facts(&a, "night", "Failed", "3");

    assert_true(report_load(states, 1, &r, &err));
    assert_int_equal(r->user_count, 3);
    assert_int_equal(r->totals.found, 17);
    report_free(&r);

    settings_list_add(&only, SLICE("A@X")); /* an address in any case, a login as it is written */
    settings_list_add(&only, SLICE("Cat"));
    assert_true(report_load(states, 1, &r, &err));
    for (unsigned i = 0; i < r->user_count; i++)
        assert_string_not_equal(r->users[i].address, "b@x");
    assert_int_equal(r->users[r->user_count - 1].id, 3);
    assert_int_equal(r->totals.found, 12);
    assert_int_equal(r->failed_users, 0);
    assert_int_equal(r->parts[0].users, 2);
    report_free(&r);
    settings_list_deinit(&only);
    settings_list_add(&only, SLICE("b@x"));
    json = NULL;
    {
        size_t size;
        FILE *out = open_memstream(&json, &size);

        assert_non_null(out);
        assert_true(status_write_json(states, 1, out, &err));
        fclose(out);
    }
    assert_non_null(strstr(json, "b@x"));
    assert_null(strstr(json, "a@x"));
    free(json);
    settings_list_deinit(&only);
    fake_free(&a);
    now_real();
}

/* The account of a part is never taken for that of the whole. */
static void shards_that_are_not_there_are_told(void **state)
{
    struct spool a = { 0 }, b = { 0 }, c = { 0 };
    struct report_state states[9] = { { .folder = "n.state.1-of-9" }, { .folder = "n.state.2-of-9", .spool = &a },
                                      { .folder = "n.state.3-of-9" }, { .folder = "n.state.4-of-9", .spool = &b },
                                      { .folder = "n.state.5-of-9" }, { .folder = "n.state.6-of-9" },
                                      { .folder = "n.state.7-of-9" }, { .folder = "n.state.8-of-9", .spool = &c },
                                      { .folder = "n.state.9-of-9" } };
    struct report *r;
    struct err err;
    char text[700];

    now_fake(1, NOW);
    for (unsigned i = 0; i < 9; i++) {
        states[i].number = i + 1;
        states[i].of = 9;
    }
    add_user(&a, 1, "a@x", USER_SYNCED, "");
    add_folder(&a, 1, 1, "I", "I", (struct tally){ .found = 3, .uploaded = 3 }, false);
    add_facts(&a, "night", "Synced", "0");
    add_user(&b, 1, "b@x", USER_SYNCED, "");
    add_facts(&b, "night", "Synced", "0");
    add_facts(&c, "night", "Synced", "0");
    assert_true(report_load(states, 9, &r, &err));
    report_verdict(r, text, sizeof text);
    assert_non_null(strstr(text, "Of the shards that are here all 2 users are synced"));
    assert_non_null(strstr(text, " Shards 1, 3, 5-7, 9 of 9 have no state folder here: their users are in none "
                                 "of these numbers."));
    assert_int_equal(report_verdict_level(r), 1);
    assert_string_equal(r->batch.state, "Stopped");
    assert_false(r->batch.has_exit_code);
    assert_string_equal(report_shards_line(r, 0, text, sizeof text),
                        "9: 3 ended, 6 without a state folder (1, 3, 5-7, 9)");
    report_free(&r);
    /* One at work, one killed, one that was only planned, and the others are not asked for. */
    a.metas[1].value = b.metas[1].value = "Syncing";
    c.metas[1].value = "Created";
    a.meta_count = b.meta_count = c.meta_count = 3;
    a.last_commit_ms = b.last_commit_ms = NOW - 1000;
    a.holder = SPOOL_HELD_BY_RUN;
    b.holder = SPOOL_HELD_BY_NONE;
    states[0] = states[7];
    states[2] = states[3];
    assert_true(report_load(states, 3, &r, &err));
    assert_string_equal(report_shards_line(r, 0, text, sizeof text),
                        "9: 1 at work (2), 1 stopped before the end (4), 1 only planned (8), 6 not named here "
                        "(1, 3, 5-7, 9)");
    assert_string_equal(r->batch.state, "Syncing");
    report_free(&r);
    /* What was done in one is not nothing. */
    a.holder = SPOOL_HELD_BY_NONE;
    a.metas[1].value = "Synced";
    assert_true(report_load(states, 2, &r, &err));
    assert_string_equal(r->batch.state, "Stopped");
    report_verdict(r, text, sizeof text);
    assert_null(strstr(text, "Nothing has been moved yet"));
    report_free(&r);
    /* One alone is what was asked for. */
    assert_true(report_load(states + 1, 1, &r, &err));
    assert_int_equal(r->division_count, 0);
    report_verdict(r, text, sizeof text);
    assert_null(strstr(text, "hard"));
    report_free(&r);
    fake_free(&a);
    fake_free(&b);
    fake_free(&c);
    now_real();
}

static void verdicts(void **state)
{
    static const struct {
        enum user_state state;
        struct tally tally;
        int level;
        const char *says;
    } cases[] = {
        { USER_SYNCED,
          { .found = 3, .uploaded = 2, .present = 1 },
          0,
          "The one user is synced and every folder balances: of 3 messages 2 were uploaded, 1 was "
          "present and 0 were skipped by policy." },
        { USER_SYNCED, { .found = 3, .uploaded = 2, .failed = 1 }, 2, "but 1 message failed: see" },
        { USER_FAILED, { .found = 3, .uploaded = 3 }, 2, "1 of 1 user failed (LoginFailed)" },
        { USER_STOPPED, { .found = 3, .waiting = 3 }, 1, "Run the same command again" },
        { USER_SYNCED, { .found = 3, .uploaded = 2 }, 2, "1 folder does not balance" },
    };

    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct spool s = { 0 }, *one = &s;
        struct report *r;
        char text[600];

        add_user(&s, 1, "a@x", cases[i].state, cases[i].state == USER_FAILED ? "LoginFailed" : "");
        add_folder(&s, 1, 1, "I", "I", cases[i].tally, false);
        r = load(&one, 1);
        report_verdict(r, text, sizeof text);
        if (!strstr(text, cases[i].says))
            fail_msg("%s", text);
        assert_int_equal(report_verdict_level(r), cases[i].level);
        report_free(&r);
        fake_free(&s);
    }
}

/* "Already there" beside a target that counts less would be two accounts of one thing. */
static void a_verdict_says_what_the_target_holds_no_more(void **state)
{
    struct spool s = { 0 }, *one = &s;
    struct report *r;
    char text[600];

    add_user(&s, 1, "a@x", USER_FAILED, "TargetCountDiffers");
    add_folder(&s, 1, 1, "I", "I", (struct tally){ .found = 3, .present = 3 }, false);
    add_user(&s, 2, "b@x", USER_FAILED, "LoginFailed");
    /* It went once; that user is all right again. */
    add_user(&s, 3, "c@x", USER_SYNCED, "TargetCountDiffers");
    r = load(&one, 1);
    report_verdict(r, text, sizeof text);
    assert_non_null(strstr(text, " The target holds less of 1 user than was moved there: what is called uploaded or "
                                 "present is how it was then."));
    report_free(&r);
    snprintf(s.users[0].failure, sizeof s.users[0].failure, "LoginFailed");
    r = load(&one, 1);
    assert_null(strstr(report_verdict(r, text, sizeof text), "holds less"));
    report_free(&r);
    fake_free(&s);
}

static void add_doubt(struct spool *s, uint32_t user, uint32_t folder, const char *type, uint64_t count, bool marked)
{
    struct fake_problem p = {
        .user = user, .record = { .folder = folder, .text = EVIL, .remedy = "look", .doubt = marked, .count = count }
    };

    snprintf(p.record.type, sizeof p.record.type, "%s", type);
    FAKE_ADD(s->problems, s->problem_count, p);
}

/* One doubt is known by its mark, one of an earlier version by its type alone; a plain remark is none. */
static void who_is_in_doubt_is_not_called_synced(void **state)
{
    static const enum form texts[] = { TEXT, STATUS, HTML };
    struct spool s = { 0 }, *one = &s;
    struct report *r;
    char *text, verdict[600];
    json_t *root, *totals, *user, *doubt;

    now_fake(1, NOW);
    add_user(&s, 1, "a@x", USER_SYNCED, "");
    add_user(&s, 2, "b@x", USER_INCREMENTAL_SYNCED, "");
    add_user(&s, 3, "c@x", USER_SYNCED, "");
    for (uint32_t u = 1; u <= 3; u++)
        add_folder(&s, u, 1, "Work", "Work", (struct tally){ .found = 2, .uploaded = 2 }, false);
    add_doubt(&s, 1, 1, "LateCopy", 3, true);
    add_doubt(&s, 1, 0, "NamesLeftOut", 2, true);
    add_doubt(&s, 2, 1, "HiddenMessages", 0, false);
    add_doubt(&s, 3, 1, "FolderRenamed", 0, false);
    add_facts(&s, "night", "SyncedWithErrors", "4");
    r = load(&one, 1);
    assert_int_equal(r->users[0].state, USER_SYNCED_WITH_DOUBTS);
    assert_int_equal(r->users[1].state, USER_SYNCED_WITH_DOUBTS);
    assert_int_equal(r->users[2].state, USER_SYNCED);
    report_verdict(r, verdict, sizeof verdict);
    assert_non_null(strstr(verdict, "All 3 users are synced and nothing failed, but of 2 of them not everything"));
    assert_int_equal(report_verdict_level(r), 2);

    text = written(r, NULL, JSON);
    root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    assert_int_equal(number(json_object_get(root, "batch"), "exit_code"), 4);
    totals = json_object_get(root, "totals");
    assert_int_equal(number(totals, "synced"), 1);
    assert_int_equal(number(totals, "synced_with_doubts"), 2);
    assert_int_equal(number(totals, "doubts"), 3);
    assert_int_equal(number(totals, "doubled"), 3);
    user = json_array_get(json_object_get(root, "users"), 0);
    assert_string_equal(word(user, "state"), "SyncedWithDoubts");
    assert_int_equal(json_array_size(json_object_get(user, "doubts")), 2);
    doubt = json_array_get(json_object_get(user, "doubts"), 0);
    assert_string_equal(word(doubt, "type"), "LateCopy");
    assert_string_equal(word(doubt, "folder"), "Work");
    assert_int_equal(number(doubt, "count"), 3);
    assert_string_equal(word(doubt, "remedy"), "look");
    doubt = json_array_get(json_object_get(user, "doubts"), 1);
    assert_string_equal(word(doubt, "folder"), "");
    json_decref(root);
    free(text);

    text = written(r, NULL, CSV);
    assert_non_null(strstr(text, ",repaired,doubts,doubled\r\n"));
    assert_non_null(strstr(text, ",0,2,3\r\n"));
    assert_non_null(strstr(text, ",0,1,0\r\n"));
    assert_non_null(strstr(text, ",0,0,0\r\n"));
    free(text);
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
        text = written(r, &s, texts[i]);
        assert_non_null(strstr(text, texts[i] == STATUS ? "SyncedWithDoubts" : "HiddenMessages"));
        assert_non_null(strstr(text, texts[i] == STATUS ? "DOUBTS" : "not everything could be proved"));
        free(text);
    }
    report_free(&r);
    fake_free(&s);
    now_real();
}

/* One cause of all is named; several are not told by one of them. */
static void a_verdict_names_the_failure_that_all_share(void **state)
{
    static const char *const second[] = { "LoginFailed", "ConnectFailed" };
    static const char *const says[] = { "2 of 2 users failed (LoginFailed) and need attention",
                                        "2 of 2 users failed (see the failures) and need attention" };

    for (unsigned i = 0; i < 2; i++) {
        struct spool s = { 0 }, *one = &s;
        struct report *r;
        char text[600];

        add_user(&s, 1, "a@x", USER_FAILED, "LoginFailed");
        add_user(&s, 2, "b@x", USER_FAILED, second[i]);
        r = load(&one, 1);
        report_verdict(r, text, sizeof text);
        if (!strstr(text, says[i]))
            fail_msg("%s", text);
        report_free(&r);
        fake_free(&s);
    }
}

static void the_summary_has_the_labels(void **state)
{
    static const char *const labels[] = { "Messages uploaded       6",
                                          ("Messages skipped        8  "
                                           "(LargerThanLimit 1, ExcludedFolder 7)"),
                                          "Message rate",
                                          "Average bandwidth rate",
                                          "Throttled time",
                                          "Retries                 3  (1 reconnect)",
                                          "Errors by type          TargetUnavailable: 3 times" };
    struct spool s = { 0 }, *one = &s;
    struct report *r;
    char *text;

    hostile(&s);
    r = load(&one, 1);
    text = written(r, NULL, TEXT);
    for (unsigned i = 0; i < sizeof labels / sizeof *labels; i++)
        if (!strstr(text, labels[i]))
            fail_msg("no '%s' in\n%s", labels[i], text);
    free(text);
    report_free(&r);
    fake_free(&s);
}

static void status_tells_rate_and_throttling_while_they_are_fresh(void **state)
{
    struct spool s = { 0 };
    json_t *root, *user;
    char *text;

    now_fake(1, NOW + 5000);
    hostile(&s);
    text = written(NULL, &s, STATUS_JSON);
    root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    assert_string_equal(word(root, "schema"), "mailhaul.status.v1");
    user = json_array_get(json_object_get(root, "users"), 0);
    assert_int_equal(number(user, "bytes_per_s"), 2500);
    assert_string_equal(word(user, "throttled_until"), "2025-11-24T16:05:00Z");
    assert_int_equal(number(user, "eta_s"), 0);
    assert_int_equal(number(user, "pending"), 2);
    json_decref(root);
    free(text);
    text = written(NULL, &s, STATUS);
    assert_non_null(strstr(text, "2.5 KB/s"));
    assert_null(strchr(text, '\x01'));
    assert_null(strchr(text, '\x1b'));
    free(text);
    now_fake(1, NOW + 60000);
    text = written(NULL, &s, STATUS_JSON);
    assert_non_null(strstr(text, "\"bytes_per_s\":0,\"eta_s\":null,\"throttled_until\":null"));
    free(text);
    fake_free(&s);
    now_real();
}

/* What was learnt of the servers, as a run leaves it in the state folder. */
static void servers_are_told_in_every_form(void **state)
{
    struct limits source = {
        .server = "imap.example.edu", .told_ms = NOW, .connections = 12, .connections_ms = NOW - 3600000
    };
    struct limits target = { .server = "contoso.onmicrosoft.com",
                             .told_ms = NOW,
                             .throttle_replies = 3,
                             .phase = PACE_PHASE_LIMITED,
                             .rate = 36.8,
                             .rate_hat = 40,
                             .measured = 36.5,
                             .gate_ms = NOW + 60000,
                             .cuts = 1 };
    struct limits_user limit = { .connections = 2, .connections_ms = NOW, .hold_ms = NOW + 30000 };
    char source_line[LIMITS_LINE_BYTES], target_line[LIMITS_LINE_BYTES], line[LIMITS_LINE_BYTES],
        name[LIMITS_NAME_BYTES];
    struct spool s = { 0 };
    json_t *root, *servers, *one;
    struct limits_size size = { 36000001, NOW - 1000 };
    char size_line[LIMITS_LINE_BYTES], size_name[LIMITS_NAME_BYTES];
    const enum form jsons[] = { JSON, STATUS_JSON };
    char *text;

    now_fake(1, NOW + 5000);
    hostile(&s);
    FAKE_ADD(s.metas, s.meta_count, ((struct fake_meta){ LIMITS_SOURCE, limits_encode(&source, source_line) }));
    FAKE_ADD(s.metas, s.meta_count, ((struct fake_meta){ LIMITS_TARGET, limits_encode(&target, target_line) }));
    FAKE_ADD(s.metas, s.meta_count,
             ((struct fake_meta){ limits_name(LIMITS_USER_SOURCE, source.server, s.users[0].id, name),
                                  limits_user_encode(&limit, line) }));
    FAKE_ADD(s.metas, s.meta_count,
             ((struct fake_meta){ limits_name(LIMITS_SIZE, target.server, s.users[0].id, size_name),
                                  limits_size_encode(&size, size_line) }));
    for (unsigned i = 0; i < 2; i++) {
        struct spool *spools[] = { &s };
        struct report *r = jsons[i] == JSON ? load(spools, 1) : NULL;

        text = written(r, &s, jsons[i]);
        root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(root);
        servers = json_object_get(root, "servers");
        assert_int_equal(json_array_size(servers), 2);
        one = json_array_get(servers, 0);
        assert_string_equal(word(one, "side"), "source");
        assert_string_equal(word(one, "server"), "imap.example.edu");
        assert_int_equal(number(one, "connections"), 12);
        assert_int_equal(json_array_size(json_object_get(one, "mailboxes")), 1);
        one = json_array_get(json_object_get(one, "mailboxes"), 0);
        assert_int_equal(number(one, "connections"), 2);
        assert_string_equal(word(one, "rests_until"), "2025-11-24T16:00:30Z");
        one = json_array_get(servers, 1);
        assert_string_equal(word(one, "phase"), "limited");
        assert_string_equal(word(one, "rests_until"), "2025-11-24T16:01:00Z");
        assert_true(fabs(json_real_value(json_object_get(one, "rate")) - 36.8) < 1e-6);
        assert_int_equal(json_array_size(json_object_get(one, "mailboxes")), 1);
        one = json_array_get(json_object_get(one, "mailboxes"), 0);
        assert_int_equal(number(one, "refuses_bytes"), 36000001);
        assert_string_equal(word(one, "refuses_bytes_learnt"), "2025-11-24T15:59:59Z");
        json_decref(root);
        free(text);
        report_free(&r);
    }
    text = written(NULL, &s, STATUS);
    assert_non_null(strstr(text, "Source imap.example.edu: 12 connections at most"));
    assert_non_null(strstr(text, "Target contoso.onmicrosoft.com: 36.8/s allowed, 40.0/s learnt"));
    free(text);
    {
        struct spool *spools[] = { &s };
        struct report *r = load(spools, 1);
        char told[400];

        assert_non_null(strstr(report_limits_line(&r->learnt.servers[1], told, sizeof told),
                               "1 mailbox refuses messages of 36 MB and more "
                               "(Set-Mailbox -MaxReceiveSize)"));
        report_free(&r);
    }
    /* After a week it is what the next run will not begin with. */
    now_fake(1, NOW + 8 * INT64_C(86400000));
    text = written(NULL, &s, STATUS_JSON);
    assert_null(strstr(text, "36.8"));
    assert_non_null(strstr(text, "\"connections\":null"));
    free(text);
    fake_free(&s);
    now_real();
}

static void a_course_keeps_sums_and_gaps(void **state)
{
    struct report_sample samples[] = {
        { 1000, { [SAMPLE_BYTES_UPLOADED] = 0, [SAMPLE_SPOOL_HELD] = 10 } },
        { 11000, { [SAMPLE_BYTES_UPLOADED] = 5000, [SAMPLE_SPOOL_HELD] = 10 } },
        /* a new run after a night */
        { 1000000, { [SAMPLE_BYTES_UPLOADED] = 0, [SAMPLE_SPOOL_HELD] = 10 } },
        { 1010500, { [SAMPLE_BYTES_UPLOADED] = 7000, [SAMPLE_SPOOL_HELD] = 10 } },
    };
    struct report_timeline *c = mem_zero(1, sizeof *c);
    double sum = 0;

    report_timeline_range(c, 1000, 1010500);
    assert_in_range(c->points, 2, REPORT_POINTS_MAX);
    assert_int_equal(report_timeline_spread(c, samples, 4, 0), 20500);
    for (unsigned i = 0; i < c->points; i++)
        sum += c->values[i][SAMPLE_BYTES_UPLOADED] * (double)c->step_ms / 1000.0;
    assert_true(sum > 11999 && sum < 12001);
    assert_true(c->values[c->points / 2][SAMPLE_BYTES_UPLOADED] == 0);
    assert_true(c->values[1][SAMPLE_SPOOL_HELD] > 9.99 && c->values[1][SAMPLE_SPOOL_HELD] < 10.01);
    free(c);
}

static void a_run_that_moved_nothing_ends_all_the_same(void **state)
{
    struct report_sample samples[] = {
        { 1000, { [SAMPLE_USERS_WORKING] = 3, [SAMPLE_SOURCE_SESSIONS] = 3 } },
        { 2000, { [SAMPLE_USERS_WORKING] = 0 } },
        /* ten minutes later */
        { 602000, { [SAMPLE_USERS_WORKING] = 3, [SAMPLE_SOURCE_SESSIONS] = 3 } },
        { 612000, { [SAMPLE_USERS_WORKING] = 3, [SAMPLE_BYTES_UPLOADED] = 5000 } },
        /* thinned: somebody is at work */
        { 712000, { [SAMPLE_USERS_WORKING] = 3, [SAMPLE_BYTES_UPLOADED] = 9000 } },
    };
    struct report_timeline *c = mem_zero(1, sizeof *c);

    report_timeline_range(c, 1000, 712000);
    assert_int_equal(report_timeline_spread(c, samples, 5, 0), 10000 + 100000);
    assert_true(c->values[c->points / 3][SAMPLE_USERS_WORKING] == 0);
    /* What is known of the last run's beginning goes before any guess. */
    samples[2].wall_ms = 12000;
    report_timeline_range(c, 1000, 712000);
    assert_int_equal(report_timeline_spread(c, samples, 5, 11500), 600000 + 100000);
    free(c);
}

/* One night moved; the runs after it, minutes and seconds later, found nothing new. */
static void only_runs_that_moved_count_as_transfer(void **state)
{
    struct report_sample samples[] = {
        { 1000, { [SAMPLE_USERS_WORKING] = 0 } },
        { 11000, { [SAMPLE_MESSAGES_UPLOADED] = 7 } },
        { 13000, { [SAMPLE_USERS_WORKING] = 0 } },
        { 18000, { [SAMPLE_USERS_WORKING] = 2, [SAMPLE_TARGET_SESSIONS] = 2 } },
        { 20000, { [SAMPLE_USERS_WORKING] = 0 } },
        { 24000, { [SAMPLE_USERS_WORKING] = 0 } },
        { 25000, { [SAMPLE_USERS_WORKING] = 0 } },
    };
    struct report_timeline *c = mem_zero(1, sizeof *c);

    report_timeline_range(c, 1000, 25000);
    assert_int_equal(report_timeline_spread(c, samples, 7, 24000), 10000);
    /* The night after it moved one. */
    samples[6].values[SAMPLE_MESSAGES_UPLOADED] = 1;
    report_timeline_range(c, 1000, 25000);
    assert_int_equal(report_timeline_spread(c, samples, 7, 24000), 11000);
    free(c);
}

static void equal_texts_are_one(void **state)
{
    struct intern in = { 0 };
    struct intern_pairs pairs = { 0 };
    char text[32];

    for (int round = 0; round < 2; round++)
        for (unsigned i = 0; i < 5000; i++) {
            snprintf(text, sizeof text, "folder %u", i);
            assert_int_equal(intern_text(&in, slice_cstr(text)), i);
            intern_pair_add(&pairs, i, i + 1, 2);
        }
    assert_int_equal(in.count, 5000);
    assert_int_equal(pairs.count, 5000);
    intern_pair_add(&pairs, 7, 8, 1);
    intern_pairs_sort(&pairs);
    assert_int_equal(pairs.rows[0].from, 7);
    assert_int_equal(pairs.rows[0].users, 3);
    assert_int_equal(pairs.rows[0].messages, 5);
    intern_deinit(&in);
    intern_pairs_deinit(&pairs);
}

static void a_damaged_store_and_a_full_disk_are_told(void **state)
{
    struct spool s = { 0 }, *one = &s;
    struct report *r;
    struct err err;
    FILE *full;

    hostile(&s);
    r = load(&one, 1);
    full = fopen("/dev/full", "w");
    assert_non_null(full);
    assert_false(report_write_json(r, full, &err));
    assert_int_equal(err.origin, ERR_ORIGIN_OS);
    fclose(full);
    s.broken_reader = true;
    full = tmpfile();
    assert_false(report_write_json(r, full, &err));
    assert_false(report_write_html(r, full, &err));
    assert_int_equal(err.origin, ERR_ORIGIN_STORE);
    fclose(full);
    report_free(&r);
    assert_false(report_load(&(struct report_state){ .spool = one, .folder = "night.state" }, 1, &r, &err));
    fake_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_json_is_what_the_interface_says),
        cmocka_unit_test(the_page_holds_no_text_that_could_become_markup),
        cmocka_unit_test(a_page_tells_what_it_leaves_out),
        cmocka_unit_test(a_failure_is_told_of_the_side_where_it_happened),
        cmocka_unit_test(csv_has_a_line_a_user_and_no_formula),
        cmocka_unit_test(no_cell_of_a_field_is_a_formula),
        cmocka_unit_test(json_has_nothing_that_a_terminal_obeys),
        cmocka_unit_test(shards_are_merged),
        cmocka_unit_test(only_users_that_are_asked_for),
        cmocka_unit_test(shards_that_are_not_there_are_told),
        cmocka_unit_test(verdicts),
        cmocka_unit_test(a_verdict_says_what_the_target_holds_no_more),
        cmocka_unit_test(who_is_in_doubt_is_not_called_synced),
        cmocka_unit_test(a_verdict_names_the_failure_that_all_share),
        cmocka_unit_test(the_summary_has_the_labels),
        cmocka_unit_test(status_tells_rate_and_throttling_while_they_are_fresh),
        cmocka_unit_test(servers_are_told_in_every_form),
        cmocka_unit_test(a_course_keeps_sums_and_gaps),
        cmocka_unit_test(a_run_that_moved_nothing_ends_all_the_same),
        cmocka_unit_test(only_runs_that_moved_count_as_transfer),
        cmocka_unit_test(equal_texts_are_one),
        cmocka_unit_test(a_damaged_store_and_a_full_disk_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
