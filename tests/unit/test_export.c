/* test: cli */
#include "engine/cli/export.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/cli/export_file.h"
#include "engine/imap/values.h"
#include "tests/unit/test_report_fake.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], path[512];

static void fresh_folder(void)
{
    strcpy(folder, "/tmp/mailhaul-export-XXXXXX");
    assert_non_null(mkdtemp(folder));
}

static void remove_folder(void)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
}

/* The content of a file below the folder, or NULL; the test frees it. */
static char *content(const char *name)
{
    FILE *in;
    char *text = mem_zero(1, 65536);

    snprintf(path, sizeof path, "%s/%s", folder, name);
    in = fopen(path, "r");
    if (!in) {
        free(text);
        return NULL;
    }
    text[fread(text, 1, 65535, in)] = '\0';
    fclose(in);
    return text;
}

static void expect_file(const char *name, const char *text)
{
    struct stat st;
    char *got = content(name);

    if (!got)
        fail_msg("no file %s", name);
    assert_string_equal(got, text);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    free(got);
}

static void add(struct spool *s, uint32_t folder_id, uint32_t uid, enum message_state state, const char *body)
{
    struct fake_message m = { .user = 1,
                              .folder = folder_id,
                              .record = { .uid = uid,
                                          .state = state,
                                          .flags = IMAP_FLAG_SEEN | IMAP_FLAG_FLAGGED,
                                          .date_known = true,
                                          .date_seconds = 1600000000,
                                          .listed_bytes = 42,
                                          .body = body ? s->message_count + 1u : 0,
                                          .body_bytes = body ? strlen(body) : 0 },
                              .body = body };

    if (state == MESSAGE_SKIPPED) {
        m.record.reason = SKIP_LARGER_THAN_LIMIT;
        strcpy(m.note.subject, "=cmd|'/c calc'!A0 \"quoted\"");
        strcpy(m.note.message_id, "<1@x>");
    }
    FAKE_ADD(s->messages, s->message_count, m);
}

static void fill(struct spool *s)
{
    static const struct {
        const char *name;
        struct tally tally;
        bool excluded;
    } folders[] = { { "INBOX", { .found = 4, .skipped = 1, .failed = 2, .uploaded = 1 }, false },
                    { "../../etc/x", { .found = 1, .failed = 1 }, false },
                    { "Trash", { .found = 9, .skipped = 9 }, true },
                    { "a/b", { .found = 1, .failed = 1 }, false },
                    { "A/B", { .found = 1, .failed = 1 }, false } };
    struct user_record u = { .id = 1, .address = SLICE("ann@contoso.example"), .user_name = SLICE("ann") };
    struct fake_failure f = { .user = 1, .record = { .folder = 1, .uid = 8, .type = "MessageRejected" } };

    FAKE_ADD(s->users, s->user_count, u);
    u.id = 2;
    u.address = SLICE("bob@contoso.example");
    FAKE_ADD(s->users, s->user_count, u);
    for (unsigned i = 0; i < sizeof folders / sizeof *folders; i++) {
        struct folder_record r = { .user = 1,
                                   .folder = i + 1,
                                   .excluded = folders[i].excluded,
                                   .tally = folders[i].tally,
                                   .source_name = slice_cstr(folders[i].name) };

        FAKE_ADD(s->folders, s->folder_count, r);
    }
    FAKE_ADD(s->failures, s->failure_count, f);
    add(s, 1, 7, MESSAGE_SKIPPED, NULL);
    add(s, 1, 8, MESSAGE_FAILED,
        "Subject: Hello\r\n\tfolded\r\nMessage-ID: <8@x>\r\n\r\nFrom here\r\n>From there\r\n"
        "Fro\r\n>>x\r\nlast");
    add(s, 1, 9, MESSAGE_FAILED, "BROKEN");
    add(s, 1, 10, MESSAGE_UPLOADED, NULL);
    add(s, 2, 1, MESSAGE_FAILED, "a: b\r\n\r\nclimber\r\n");
    add(s, 4, 1, MESSAGE_FAILED, "a: b\r\n\r\nlower\r\n");
    add(s, 5, 1, MESSAGE_FAILED, "a: b\r\n\r\nupper\r\n");
}

static struct export_result run(struct spool *s, enum export_format format, enum export_what what)
{
    struct export_options o = { .format = format, .what = what, .to = folder };
    struct export_result result;
    struct err err;

    if (!export_run(&s, 1, &o, &result, &err))
        fail_msg("%s: %s", err.doing, err.server_text);
    return result;
}

static void mbox_quotes_from_lines_and_leaves_out_what_broke(void **state)
{
    struct spool s = { 0 };
    struct export_result r;
    char *index;

    fresh_folder();
    fill(&s);
    r = run(&s, EXPORT_MBOX, EXPORT_FAILED);
    assert_int_equal(r.written, 4);
    assert_int_equal(r.without_body, 1);
    assert_int_equal(r.users, 1);
    expect_file("ann@contoso.example/INBOX.mbox",
                "From MAILER-DAEMON Sun Sep 13 12:26:40 2020 +0000\n"
                "Subject: Hello\n\tfolded\nMessage-ID: <8@x>\n\n>From here\n>>From there\nFro\n>>x\n"
                "last\n\n");
    index = content("index.csv");
    assert_non_null(index);
    assert_non_null(strstr(index, "\"ann@contoso.example\",\"INBOX\",8,\"2020-09-13T12:26:40Z\","
                                  "\"Hello folded\",\"<8@x>\",failed,\"MessageRejected\","));
    assert_non_null(strstr(index, "not exported: checksum does not hold"));
    free(index);
    fake_free(&s);
    remove_folder();
}

static void eml_keeps_bytes_and_no_name_leaves_the_folder(void **state)
{
    struct spool s = { 0 };

    fresh_folder();
    fill(&s);
    run(&s, EXPORT_EML, EXPORT_FAILED);
    expect_file("ann@contoso.example/INBOX/00000008.eml", s.messages[1].body);
    expect_file("ann@contoso.example/__.__.etc.x/00000001.eml", s.messages[4].body);
    expect_file("ann@contoso.example/a.b/00000001.eml", s.messages[5].body);
    expect_file("ann@contoso.example/A.B~5/00000001.eml", s.messages[6].body);
    assert_null(content("ann@contoso.example/INBOX/00000009.eml"));
    assert_null(content("bob@contoso.example"));
    fake_free(&s);
    remove_folder();
}

static void maildir_carries_flags(void **state)
{
    struct spool s = { 0 };

    fresh_folder();
    fill(&s);
    run(&s, EXPORT_MAILDIR, EXPORT_FAILED);
    expect_file("ann@contoso.example/cur/1600000000.U8N1.mailhaul:2,FS", s.messages[1].body);
    expect_file("ann@contoso.example/.a.b/cur/1600000000.U1N4.mailhaul:2,FS", s.messages[5].body);
    assert_null(content("ann@contoso.example/tmp/2"));
    fake_free(&s);
    remove_folder();
}

static bool fetched(void *context, const struct user_record *user, const struct folder_record *f,
                    const struct message_record *m, export_sink *give, void *sink_context, struct err *err_r)
{
    unsigned *calls = context;

    (*calls)++;
    return m->uid == 7 ? give(sink_context, SLICE("Subject: big\r\n\r\n"), err_r) &&
                             give(sink_context, SLICE("body\r\n"), err_r)
                       : err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_NO, 0, "login refused");
}

static void what_is_not_in_the_spool_comes_by_the_callback(void **state)
{
    struct spool s = { 0 }, *one = &s;
    unsigned calls = 0;
    bool known[2] = { false, false };
    struct slice users[] = { SLICE("ANN@contoso.example"), SLICE("nobody@contoso.example") };
    struct export_options o = { .format = EXPORT_EML,
                                .what = EXPORT_SKIPPED,
                                .to = folder,
                                .users = users,
                                .user_count = 2,
                                .known = known,
                                .fetch_body = fetched,
                                .context = &calls };
    struct export_result r;
    struct err err;
    char *index;

    fresh_folder();
    fill(&s);
    assert_true(export_run(&one, 1, &o, &r, &err));
    assert_int_equal(calls, 1);
    assert_int_equal(r.written, 1);
    assert_int_equal(r.unlisted, 9);
    assert_int_equal(r.users_known, 1);
    assert_int_equal(known[0] + known[1], 1);
    expect_file("ann@contoso.example/INBOX/00000007.eml", "Subject: big\r\n\r\nbody\r\n");
    index = content("index.csv");
    assert_non_null(strstr(index, ",\"'=cmd|'/c calc'!A0 \"\"quoted\"\"\",\"<1@x>\",skipped,"
                                  "\"LargerThanLimit\",22,"));
    free(index);
    /* A second export never touches the first. */
    assert_false(export_run(&one, 1, &o, &r, &err));
    assert_int_equal(err.code, EEXIST);
    remove_folder();
    fresh_folder();
    o.what = EXPORT_ALL;
    assert_true(export_run(&one, 1, &o, &r, &err));
    /* 7 came, 8 was in the spool, 9 is broken, 10 ends the user. */
    assert_int_equal(calls, 3);
    assert_int_equal(r.written, 2);
    assert_int_equal(r.without_body, 2);
    fake_free(&s);
    remove_folder();
}

static void safe_names(void **state)
{
    static const struct {
        const char *from, *to;
    } cases[] = { { "", "_" },
                  { ".", "_" },
                  { "..", "_" },
                  { "a/b", "a_b" },
                  { "con", "_con" },
                  { "COM1.txt", "_COM1.txt" },
                  { "com", "com" },
                  { "x. ", "x" },
                  { "-rf", "_rf" },
                  { "a\x01\xff"
                    "b",
                    "a..b" },
                  { "Übung", "Übung" },
                  { "a:b*c?", "a_b_c_" } };
    char out[160], big[600];

    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(export_safe_name(slice_cstr(cases[i].from), out, sizeof out), cases[i].to);
    memset(big, 'x', sizeof big);
    assert_int_equal(strlen(export_safe_name(slice_of(big, sizeof big), out, sizeof out)), 120);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mbox_quotes_from_lines_and_leaves_out_what_broke),
        cmocka_unit_test(eml_keeps_bytes_and_no_name_leaves_the_folder),
        cmocka_unit_test(maildir_carries_flags),
        cmocka_unit_test(what_is_not_in_the_spool_comes_by_the_callback),
        cmocka_unit_test(safe_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
