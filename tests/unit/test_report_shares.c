/* test: report */
#include "engine/report/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/report/shards.h"
#include "engine/report/share.h"
#include "engine/report/status.h"
#include "io/base/now.h"
#include "tests/unit/test_report_fake.h"

#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW  1764000000000
#define EVIL "</script>\"'&\xc3\x9c"

/* A folder of the test's own, with the files a, b ... in it. */
static char home[64];

static int make_home(void **state)
{
    (void)state;
    snprintf(home, sizeof home, "/tmp/mailhaul-shares-XXXXXX");
    now_fake(1, NOW);
    return mkdtemp(home) ? 0 : -1;
}

static int remove_home(void **state)
{
    char command[100];

    (void)state;
    now_real();
    snprintf(command, sizeof command, "rm -rf %s", home);
    return system(command);
}

static const char *file(const char *name)
{
    static char paths[8][128];
    static unsigned next;
    char *path = paths[next++ % 8];

    snprintf(path, sizeof paths[0], "%s/%s", home, name);
    return path;
}

static void put(const char *path, const char *text, size_t size)
{
    FILE *out = fopen(path, "w");

    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, size, out), size);
    fclose(out);
}

/* --- what there is to report of --- */

static void add_user(struct spool *s, const char *address, enum user_state state, int64_t started_ms, uint64_t found)
{
    unsigned id = s->user_count + 1;
    struct user_record u = { .id = id,
                             .state = state,
                             .started_ms = started_ms,
                             .syncs = 1,
                             .throttled = id,
                             .reconnects = 2,
                             .time_ms = { 1000, 2000, 3500, 0, 10, 20 },
                             .opaque = slice_cstr("source SlowAnswer 4000\n"),
                             .address = slice_cstr(address),
                             .user_name = slice_cstr("login") };
    struct folder_record f = { .user = id,
                               .folder = 1,
                               .source_name = SLICE("INBOX"),
                               .target_name = SLICE("Inbox"),
                               .role = "inbox",
                               .tally = { .found = found,
                                          .uploaded = found,
                                          .bytes_found = 10 * found,
                                          .bytes_fetched = 10 * found,
                                          .bytes_uploaded = 9 * found } };

    if (state == USER_FAILED)
        snprintf(u.failure, sizeof u.failure, "TooManyBadItems");
    FAKE_ADD(s->users, s->user_count, u);
    FAKE_ADD(s->folders, s->folder_count, f);
}

static void add_facts(struct spool *s, const char *state, const char *started, const char *finished, const char *code)
{
    FAKE_ADD(s->metas, s->meta_count, ((struct fake_meta){ "batch.name", "night" }));
    FAKE_ADD(s->metas, s->meta_count, ((struct fake_meta){ "batch.state", state }));
    FAKE_ADD(s->metas, s->meta_count, ((struct fake_meta){ "batch.started_ms", started }));
    if (code) {
        FAKE_ADD(s->metas, s->meta_count, ((struct fake_meta){ "batch.finished_ms", finished }));
        FAKE_ADD(s->metas, s->meta_count, ((struct fake_meta){ "batch.exit_code", code }));
    }
}

/* One user who has something of everything. */
static void add_rich_user(struct spool *s, const char *address)
{
    struct fake_message m = { .folder = 2,
                              .record = { .uid = 5,
                                          .state = MESSAGE_SKIPPED,
                                          .reason = SKIP_LARGER_THAN_LIMIT,
                                          .listed_bytes = 40000000,
                                          .date_known = true,
                                          .date_seconds = 1500000000 },
                              .note = { .subject = EVIL, .message_id = "<a\"b>" } };
    struct fake_failure f = { .record = { .first_ms = NOW - 5000,
                                          .last_ms = NOW - 4000,
                                          .count = 3,
                                          .uid = 9,
                                          .folder = 2,
                                          .class = ERR_CLASS_PERMANENT,
                                          .side = FAILURE_TARGET,
                                          .type = "MessageRejected",
                                          .server_text = "NO " EVIL,
                                          .doing = "APPEND",
                                          .folder_name = EVIL } };
    struct fake_problem p = { .record = { .folder = 2, .type = "FolderRenamed", .text = EVIL, .remedy = "none" } };
    struct folder_record folder = { .folder = 2,
                                    .source_name = slice_cstr(EVIL),
                                    .target_name = SLICE("Else"),
                                    .tally = { .found = 8,
                                               .uploaded = 2,
                                               .skipped = 1,
                                               .failed = 2,
                                               .waiting = 1,
                                               .spooled = 1,
                                               .present = 1,
                                               .bytes_found = 900 } };
    struct folder_record trash = { .folder = 3,
                                   .source_name = SLICE("Trash"),
                                   .excluded = true,
                                   .tally = { .found = 7, .skipped = 7, .bytes_found = 70 } };

    add_user(s, address, USER_FAILED, NOW - 50000, 4);
    m.user = f.user = p.user = folder.user = trash.user = s->user_count;
    FAKE_ADD(s->folders, s->folder_count, folder);
    FAKE_ADD(s->folders, s->folder_count, trash);
    FAKE_ADD(s->messages, s->message_count, m);
    m.record.state = MESSAGE_FAILED;
    m.record.uid = 6;
    FAKE_ADD(s->messages, s->message_count, m);
    m.record.uid = 7;
    m.record.state = MESSAGE_UPLOADED;
    m.record.repairs = 5;
    FAKE_ADD(s->messages, s->message_count, m);
    FAKE_ADD(s->failures, s->failure_count, f);
    f.record.class = ERR_CLASS_TRANSIENT;
    snprintf(f.record.type, sizeof f.record.type, "TargetUnavailable");
    FAKE_ADD(s->failures, s->failure_count, f);
    FAKE_ADD(s->problems, s->problem_count, p);
    p.record = (struct problem_record){ .folder = 2, .type = "LateCopy", .text = "two", .doubt = true, .count = 2 };
    FAKE_ADD(s->problems, s->problem_count, p);
    p.record = (struct problem_record){ .type = "NamesLeftOut", .text = "all", .doubt = true };
    FAKE_ADD(s->problems, s->problem_count, p);
    for (unsigned i = 0; i < 9; i++)
        FAKE_ADD(s->samples, s->sample_count,
                 ((struct fake_sample){ NOW - 90000 + 10000 * (int64_t)i,
                                        { 10 * i, 1000 * i, 9 * i, 900 * i, 50, 60, 1, 2, 3, i, 0, 4 } }));
    FAKE_ADD(s->metas, s->meta_count, ((struct fake_meta){ REPORT_WARNINGS_NAME, "[policy] says nothing\n" }));
}

static struct report_state of_spool(struct spool *s, const char *folder, unsigned number, unsigned of)
{
    return (struct report_state){ .spool = s, .folder = folder, .number = number, .of = of };
}

static struct report_state of_share(struct share *share)
{
    return (struct report_state){ .share = share, .folder = share->path };
}

static struct report *load(const struct report_state *states, unsigned count)
{
    struct report *r;
    struct err err;

    if (!report_load(states, count, &r, &err))
        fail_msg("%s", err.server_text);
    return r;
}

enum form { JSON, CSV, HTML, TEXT };

static char *written(struct report *r, enum form form)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    struct err err;

    assert_non_null(out);
    assert_true(form == JSON   ? report_write_json(r, out, &err)
                : form == CSV  ? report_write_csv(r, out, &err)
                : form == HTML ? report_write_html(r, out, &err)
                               : report_write_text(r, REPORT_WHOLE, NULL, out, &err));
    fclose(out);
    return text;
}

/* What `report --json --shard` leaves of that state folder. */
static struct share *shared(struct spool *s, const char *name, const char *folder, unsigned number, unsigned of)
{
    struct report_state state = of_spool(s, folder, number, of);
    struct report *r = load(&state, 1);
    char *text = written(r, JSON);
    struct share *share;
    struct err err;

    put(file(name), text, strlen(text));
    free(text);
    report_free(&r);
    if (!share_open(file(name), &share, &err))
        fail_msg("%s", err.server_text);
    return share;
}

static json_t *parsed(struct report *r)
{
    char *text = written(r, JSON);
    json_t *json = json_loads(text, 0, NULL);

    assert_non_null(json);
    free(text);
    return json;
}

static void says(struct report *r, const char *words, bool does)
{
    char text[700];

    report_verdict(r, text, sizeof text);
    if (!strstr(text, words) == does)
        fail_msg("%s", text);
}

static void notes(struct report *r, unsigned note, const char *words)
{
    assert_true(note < r->note_count);
    if (!strstr(r->notes[note], words))
        fail_msg("%s", r->notes[note]);
}

/* What a run left of the source: connections to it, and a limit of the first user's. */
struct learnt_lines {
    char server[LIMITS_LINE_BYTES], user[LIMITS_LINE_BYTES], user_name[LIMITS_NAME_BYTES];
};

static void add_learnt(struct spool *s, uint32_t connections, struct learnt_lines *lines)
{
    struct limits source = {
        .server = "imap.example.edu", .told_ms = NOW, .connections = connections, .connections_ms = NOW - 3600000
    };
    struct limits_user limit = { .connections = 2, .connections_ms = NOW };

    FAKE_ADD(s->metas, s->meta_count, ((struct fake_meta){ LIMITS_SOURCE, limits_encode(&source, lines->server) }));
    FAKE_ADD(s->metas, s->meta_count,
             ((struct fake_meta){ limits_name(LIMITS_USER_SOURCE, source.server, s->users[0].id, lines->user_name),
                                  limits_user_encode(&limit, lines->user) }));
}

/* --- the account --- */

/* From the reports of the shards the same comes as from their state folders. */
/* A page is long: what is shown of a difference is where it begins. */
static void assert_same(const char *one, const char *other)
{
    size_t at = 0, back;

    while (one[at] && one[at] == other[at])
        at++;
    back = at < 100 ? at : 100;
    if (one[at] != other[at])
        fail_msg("they differ from byte %zu on:\n%.300s\nand\n%.300s", at, one + at - back, other + at - back);
}

static void reports_are_as_good_as_state_folders(void **state)
{
    struct spool a = { .last_commit_ms = NOW - 2000 }, b = { .last_commit_ms = NOW - 3000 };
    struct report_state spools[] = { of_spool(&a, "n.state.1-of-2", 1, 2), of_spool(&b, "n.state.2-of-2", 2, 2) };
    struct report_state shares[2], mixed[2];
    struct report *whole, *merged;
    struct learnt_lines lines[2];

    (void)state;
    add_user(&a, "a@x", USER_SYNCED, NOW - 60000, 3);
    add_rich_user(&a, "b@x");
    add_facts(&a, "SyncedWithErrors", "1763999000000", "1763999500000", "3");
    add_user(&b, EVIL "c@x", USER_INCREMENTAL_SYNCED, NOW - 40000, 5);
    add_facts(&b, "Synced", "1763998000000", "1763999900000", "0");
    FAKE_ADD(b.metas, b.meta_count, ((struct fake_meta){ REPORT_WARNINGS_NAME, "[policy] says nothing\n" }));
    add_learnt(&a, 12, &lines[0]);
    add_learnt(&b, 7, &lines[1]);
    whole = load(spools, 2);
    assert_int_equal(whole->batch.warning_count, 1);
    assert_int_equal(whole->learnt.mailbox_count, 2);
    shares[0] = of_share(shared(&a, "a", "n.state.1-of-2", 1, 2));
    shares[1] = of_share(shared(&b, "b", "n.state.2-of-2", 2, 2));
    mixed[0] = spools[0];
    mixed[1] = shares[1];
    for (unsigned round = 0; round < 2; round++) {
        merged = load(round ? mixed : shares, 2);
        for (enum form form = CSV; form <= TEXT; form++) {
            char *one, *other;

            /* The course is told in steps, and comes out a little smoother. */
            whole->course.active_ms = merged->course.active_ms = 80000;
            merged->course = whole->course;
            one = written(whole, form);
            other = written(merged, form);
            assert_same(one, other);
            free(one);
            free(other);
        }
        assert_int_equal(merged->missing, 0);
        assert_int_equal(merged->note_count, 0);
        {
            json_t *one = parsed(whole), *other = parsed(merged);

            assert_true(json_equal(json_object_get(one, "users"), json_object_get(other, "users")));
            assert_true(json_equal(json_object_get(one, "totals"), json_object_get(other, "totals")));
            assert_true(json_equal(json_object_get(one, "servers"), json_object_get(other, "servers")));
            json_decref(one);
            json_decref(other);
        }
        report_free(&merged);
    }
    /* A merged report can be merged again. */
    merged = load(shares, 2);
    {
        char *text = written(merged, JSON);
        struct report_state again;
        struct share *share;
        struct err err;

        put(file("both"), text, strlen(text));
        assert_true(share_open(file("both"), &share, &err));
        assert_int_equal(share->part_count, 2);
        again = of_share(share);
        report_free(&merged);
        merged = load(&again, 1);
        assert_int_equal(merged->user_count, 3);
        assert_int_equal(merged->missing, 0);
        assert_int_equal(merged->totals.found, whole->totals.found);
        assert_int_equal(merged->parts[0].users, 2);
        assert_int_equal(merged->parts[1].users, 1);
        {
            json_t *one = parsed(whole), *other = parsed(merged);

            assert_true(json_equal(json_object_get(one, "servers"), json_object_get(other, "servers")));
            json_decref(one);
            json_decref(other);
        }
        report_free(&merged);
        share_close(&share);
        free(text);
    }
    report_free(&whole);
    share_close(&shares[0].share);
    share_close(&shares[1].share);
    fake_free(&a);
    fake_free(&b);
}

/* The course of shares is that of their samples. */
static void the_course_is_kept(void **state)
{
    struct spool a = { .last_commit_ms = NOW };
    struct report_state one = of_spool(&a, "n.state.1-of-2", 1, 2), other;
    struct report *whole, *merged;

    (void)state;
    add_rich_user(&a, "b@x");
    add_facts(&a, "Synced", "1763999000000", "1763999500000", "0");
    whole = load(&one, 1);
    other = of_share(shared(&a, "a", "n.state.1-of-2", 1, 2));
    merged = load(&other, 1);
    assert_int_equal(merged->course.active_ms, whole->course.active_ms);
    assert_int_equal(merged->course.points, whole->course.points);
    for (unsigned i = 0; i < whole->course.points; i++)
        for (unsigned v = 0; v < SAMPLE_VALUES; v++)
            assert_float_equal(merged->course.values[i][v], whole->course.values[i][v], 0.01);
    report_free(&whole);
    report_free(&merged);
    share_close(&other.share);
    fake_free(&a);
}

static void an_address_in_two_of_them_counts_once(void **state)
{
    struct spool old = { .last_commit_ms = NOW - 90000 }, new = { .last_commit_ms = NOW };
    struct report_state spools[] = { of_spool(&old, "job-5/state", 0, 0), of_spool(&new, "job-9/state", 0, 0) };
    struct report_state mixed[2], twice[2];
    struct report *r;
    json_t *json;

    (void)state;
    add_user(&old, "a@x", USER_STOPPED, NOW - 90000, 3);
    add_user(&old, "b@x", USER_SYNCED, NOW - 80000, 4);
    add_facts(&old, "Stopped", "1763999000000", "1763999500000", "2");
    add_user(&new, "A@x", USER_SYNCED, NOW - 10000, 5);
    add_user(&new, "b@x", USER_QUEUED, 0, 0);
    new.users[1].finished_ms = NOW; /* planned, into another state folder */
    new.users[1].syncs = 0;
    add_user(&new, "c@x", USER_SYNCED, NOW - 9000, 6);
    add_facts(&new, "Synced", "1763999600000", "1763999700000", "0");
    mixed[0] = of_share(shared(&old, "old", "job-5/state", 0, 0));
    mixed[1] = spools[1];
    for (unsigned round = 0; round < 4; round++) {
        struct report_state given[2];

        given[0] = (round < 2 ? spools : mixed)[round % 2];
        given[1] = (round < 2 ? spools : mixed)[1 - round % 2];
        r = load(given, 2);
        assert_int_equal(r->user_count, 3);
        assert_int_equal(r->totals.found, 5 + 4 + 6);
        assert_int_equal(r->synced, 3);
        notes(r, 0, "@x are in both ");
        notes(r, 0, "each is counted once, as the newer has it: 1 as the one, 1 as the other");
        json = parsed(r);
        assert_int_equal(json_array_size(json_object_get(json_object_get(json, "batch"), "duplicates")), 2);
        json_decref(json);
        report_free(&r);
    }
    /* Who has nobody left counts for nothing: the batch is not Stopped for ever. */
    new.users[1].state = USER_SYNCED;
    new.users[1].started_ms = NOW - 10000;
    r = load(spools, 2);
    assert_string_equal(r->batch.state, "Synced");
    assert_int_equal(r->batch.exit_code, 0);
    assert_int_equal(report_verdict_level(r), 0);
    notes(r, 0,
          "A@x, b@x are in both job-9/state and job-5/state: counted once, as job-9/state has "
          "them, which is "
          "newer");
    says(r, "All 3 users are synced", true);
    report_free(&r);
    /* Of three the newest counts for all, whichever stands first. */
    {
        struct spool newest = { .last_commit_ms = NOW };
        struct report_state three[] = { spools[0], spools[1], of_spool(&newest, "job-12/state", 0, 0) };

        add_user(&newest, "b@x", USER_SYNCED, NOW + 5000, 7);
        add_user(&newest, "B@x", USER_SYNCED, NOW + 9000, 8);
        add_facts(&newest, "Synced", "1763999800000", "1763999900000", "0");
        r = load(three, 3);
        assert_int_equal(r->user_count, 3);
        assert_int_equal(r->totals.found, 5 + 6 + 8);
        assert_int_equal(r->duplicate_count, 4);
        for (unsigned i = 0; i < r->duplicate_count; i++)
            assert_int_equal(r->duplicates[i].counted, strcmp(r->duplicates[i].address, "A@x") == 0 ? 1 : 2);
        notes(r, r->note_count - 1, "B@x is twice in job-12/state: counted once");
        report_free(&r);
        fake_free(&newest);
    }
    /* The report of a state folder beside the folder itself is a copy: the folder knows more. */
    twice[1] = spools[1];
    twice[0] = of_share(shared(&new, "new", "job-9/state", 0, 0));
    r = load(twice, 2);
    assert_int_equal(r->user_count, 3);
    assert_int_equal(r->users[0].shard, 1);
    assert_int_equal(r->duplicate_count, 3);
    report_free(&r);
    share_close(&mixed[0].share);
    share_close(&twice[0].share);
    fake_free(&old);
    fake_free(&new);
}

static void shards_of_another_number_are_left_out(void **state)
{
    struct spool a = { .last_commit_ms = NOW }, b = { .last_commit_ms = NOW - 1000 };
    struct spool c = { .last_commit_ms = NOW - 9000000 }, d = { .last_commit_ms = NOW - 9000000 };
    struct report_state shares[4], few[3], spools[3];
    struct report *r;

    (void)state;
    add_user(&a, "a@x", USER_SYNCED, NOW - 1000, 1);
    add_user(&b, "b@x", USER_SYNCED, NOW - 1000, 1);
    add_user(&c, "a@x", USER_STOPPED, NOW - 900000, 1);
    add_user(&d, "gone@x", USER_STOPPED, NOW - 900000, 1);
    add_facts(&a, "Synced", "1763999600000", "1763999700000", "0");
    add_facts(&b, "Synced", "1763999600000", "1763999700000", "0");
    add_facts(&c, "Stopped", "1763999600000", "1763999700000", "2");
    add_facts(&d, "Stopped", "1763999600000", "1763999700000", "2");
    shares[0] = of_share(shared(&c, "night.share-3.json", "n/state.3-of-4", 3, 4));
    shares[1] = of_share(shared(&a, "night.share-1.json", "n/state.1-of-2", 1, 2));
    shares[2] = of_share(shared(&b, "night.share-2.json", "n/state.2-of-2", 2, 2));
    shares[3] = of_share(shared(&d, "night.share-4.json", "n/state.4-of-4", 4, 4));
    r = load(shares, 4);
    assert_int_equal(r->user_count, 2);
    assert_int_equal(r->missing, 0);
    assert_string_equal(r->batch.state, "Synced");
    assert_int_equal(r->note_count, 1);
    notes(r, 0,
          "night.share-4.json are left out: of shards of 4, and this batch was at work in another "
          "number of them "
          "since");
    assert_int_equal(r->division_count, 1);
    report_free(&r);
    /* The newest counts also while it is not complete. */
    few[0] = shares[0];
    few[1] = shares[1];
    few[2] = shares[3];
    r = load(few, 3);
    assert_int_equal(r->user_count, 1);
    says(r, "Shard 2 of 2 is not among what was named", true);
    says(r, "All", false);
    report_free(&r);
    /* State folders, and one from before the batch was divided. */
    spools[0] = of_spool(&d, "n/state.2-of-3", 2, 3);
    spools[1] = of_spool(&a, "n/state.1-of-1000", 1, 1000);
    spools[2] = of_spool(&c, "n/state", 0, 0);
    r = load(spools, 3);
    assert_int_equal(r->user_count, 1);
    assert_int_equal(r->note_count, 2);
    notes(r, 0, "n/state.2-of-3 is left out: of shards of 3");
    notes(r, 1, "n/state is left out: this batch was at work in shards of 1000 since");
    report_free(&r);
    /* Another batch of the same name lies elsewhere. */
    spools[2].folder = "m/state";
    c.users[0].address = SLICE("m@x");
    r = load(spools + 1, 2);
    assert_int_equal(r->user_count, 2);
    assert_int_equal(r->note_count, 0);
    report_free(&r);
    share_close(&shares[0].share);
    share_close(&shares[1].share);
    share_close(&shares[2].share);
    share_close(&shares[3].share);
    fake_free(&a);
    fake_free(&b);
    fake_free(&c);
    fake_free(&d);
}

static void what_is_missing_is_named(void **state)
{
    struct spool a = { .last_commit_ms = NOW }, b = { .last_commit_ms = NOW - 1000 };
    struct report_state given[5];
    struct report *r;
    char line[600];

    (void)state;
    add_user(&a, "a@x", USER_SYNCED, NOW - 1000, 1);
    add_user(&b, "b@x", USER_SYNCED, NOW - 1000, 1);
    add_facts(&a, "Synced", "1763999600000", "1763999700000", "0");
    add_facts(&b, "Synced", "1763999600000", "1763999700000", "0");
    /* One report alone may be all that a pattern found. */
    given[0] = of_share(shared(&a, "a", "/node/state.1-of-4", 1, 4));
    r = load(given, 1);
    says(r, "Shards 2-4 of 4 are not among what was named: their users are in none of these numbers.", true);
    assert_false(r->batch.has_exit_code);
    assert_string_equal(r->batch.state, "Stopped");
    assert_int_equal(report_verdict_level(r), 1);
    report_free(&r);
    /* What the batch's own place has not a report from another has. */
    given[1] = of_spool(&b, "here/state.2-of-4", 2, 4);
    given[2] = (struct report_state){ .folder = "here/state.1-of-4", .number = 1, .of = 4 };
    given[3] = (struct report_state){ .folder = "here/state.3-of-4", .number = 3, .of = 4 };
    given[4] = (struct report_state){ .folder = "here/state.4-of-4", .number = 4, .of = 4 };
    r = load(given, 5);
    assert_int_equal(r->missing, 2);
    says(r, "Shards 3, 4 of 4 have no state folder here", true);
    says(r, "not among", false);
    assert_string_equal(report_shards_line(r, 0, line, sizeof line), "4: 2 ended, 2 without a state folder (3, 4)");
    report_free(&r);
    share_close(&given[0].share);
    fake_free(&a);
    fake_free(&b);
}

/* A task that did not come to work leaves last night's report. */
static void a_report_of_another_night_is_told(void **state)
{
    struct spool a = { .last_commit_ms = NOW - 86400000 }, b = { .last_commit_ms = NOW };
    struct report_state given[2];
    struct report *r;

    (void)state;
    add_user(&a, "a@x", USER_SYNCED, NOW - 86400000, 1);
    add_facts(&a, "Synced", "1763913000000", "1763913600000", "0");
    add_user(&b, "b@x", USER_SYNCED, NOW - 1000, 1);
    add_facts(&b, "Synced", "1763999600000", "1763999700000", "0");
    given[0] = of_share(shared(&a, "a", "n/state.1-of-2", 1, 2));
    given[1] = of_share(shared(&b, "b", "n/state.2-of-2", 2, 2));
    r = load(given, 2);
    assert_int_equal(r->note_count, 1);
    notes(r, 0,
          "/a is of 2025-11-23T16:00:00Z, the night before others or earlier: shard 1 was not at "
          "work since");
    assert_int_equal(r->user_count, 2);
    report_free(&r);
    r = load(given, 1);
    assert_int_equal(r->note_count, 0);
    report_free(&r);
    share_close(&given[0].share);
    share_close(&given[1].share);
    fake_free(&a);
    fake_free(&b);
}

/* A report that was written while its run was at work says nothing of how that ended. */
static void what_was_not_heard_of_since_is_told(void **state)
{
    struct spool a = { .last_commit_ms = NOW - 1000, .holder = SPOOL_HELD_BY_RUN }, b = { .last_commit_ms = NOW };
    struct report_state given[2];
    struct report *r;
    json_t *json;
    char line[600];

    (void)state;
    add_user(&a, "a@x", USER_SYNCED, NOW - 1000, 1);
    add_facts(&a, "Syncing", "1763999600000", NULL, NULL);
    add_user(&b, "b@x", USER_SYNCED, NOW - 1000, 1);
    add_facts(&b, "Synced", "1763999600000", "1763999700000", "0");
    given[0] = of_share(shared(&a, "a", "n/state.1-of-2", 1, 2));
    given[1] = of_share(shared(&b, "b", "n/state.2-of-2", 2, 2));
    now_fake(1, NOW + 3600000);
    r = load(given, 2);
    assert_false(r->batch.running);
    assert_int_equal(report_verdict_level(r), 1);
    says(r,
         "Shard 1 of 2 was at work when its report was written: how it stands now is not in it. "
         "That was "
         "2025-11-24T16:00:00Z.",
         true);
    assert_string_equal(report_shards_line(r, 0, line, sizeof line), "2: 1 ended, 1 at work when last heard of (1)");
    json = parsed(r);
    assert_true(json_is_false(json_object_get(json_object_get(json, "batch"), "running")));
    json_decref(json);
    report_free(&r);
    now_fake(1, NOW);
    share_close(&given[0].share);
    share_close(&given[1].share);
    fake_free(&a);
    fake_free(&b);
}

/* --- what is no report --- */

static void refuses(const char *name, const char *text, size_t size, enum err_origin origin, const char *words)
{
    struct share *share = NULL;
    struct err err = { 0 };

    put(file(name), text, size);
    if (share_open(file(name), &share, &err))
        fail_msg("taken: %.*s", (int)size, text);
    if (err.origin != origin || !strstr(err.server_text, words) || !strstr(err.server_text, name))
        fail_msg("%d %s: %.*s", err.origin, err.server_text, (int)(size < 300 ? size : 300), text);
}

#define USER(rest)                                                                                                     \
    "{\"schema\":\"mailhaul.report.v1\",\"batch\":{\"name\":\"n\"},\"users\":[{\"address\":\"a@"                       \
    "x\","                                                                                                             \
    "\"state\":\"Synced\"," rest "}]}"
#define COUNTS "\"found\":1,\"uploaded\":1,\"present\":0,\"skipped\":0,\"failed\":0,\"pending\":0"

static void files_that_are_no_report_are_named(void **state)
{
    static const struct {
        const char *text;
        enum err_origin origin;
        const char *words;
    } cases[] = {
        { "", ERR_ORIGIN_STORE, "is empty" },
        { " \n", ERR_ORIGIN_STORE, "is empty" },
        { "[batch]\n", ERR_ORIGIN_CONFIG, "is no report" },
        { "{}", ERR_ORIGIN_CONFIG, "names no schema" },
        { "{\"name\":\"left-pad\",\"version\":1.5,\"private\":true}", ERR_ORIGIN_CONFIG, "names no schema" },
        { "{\"schema\":\"mailhaul.status.v1\"}", ERR_ORIGIN_CONFIG, "is no report but mailhaul.status.v1" },
        { "{\"schema\":\"mailhaul.report.v2\"}", ERR_ORIGIN_CONFIG, "cannot read (mailhaul.report.v2)" },
        { "{\"schema\":5}", ERR_ORIGIN_CONFIG, "schema was expected" },
        { "{\"schema\":\"mailhaul.report.v1\",\"users\":[]}", ERR_ORIGIN_STORE, "\"batch\" is missing" },
        { "{\"schema\":\"mailhaul.report.v1\",\"batch\":{},\"users\":[]} x", ERR_ORIGIN_STORE, "is damaged at byte" },
        { "{\"schema\":\"mailhaul.report.v1\",\"batch\":{},\"batch\":{}}", ERR_ORIGIN_STORE, "is in it twice" },
        { "{\"schema\":\"mailhaul.report.v1\",\"batch\":[]}", ERR_ORIGIN_STORE, "batch was expected" },
        { "{\"schema\":\"mailhaul.report.v1\",\"users\":{}}", ERR_ORIGIN_STORE, "users was expected" },
        { "{\"schema\":\"mailhaul.report.v1\",\"users\":[3]}", ERR_ORIGIN_STORE, "a user was expected" },
        { "{\"schema\":\"mailhaul.report.v1\",\"users\":[{}]}", ERR_ORIGIN_STORE, "users[0] has no address" },
        { "{\"schema\":\"mailhaul.report.v1\",\"batch\":{\"states\":[{\"shard\":\"5/"
          "4\",\"state\":\"Synced\"}]}}",
          ERR_ORIGIN_STORE, "names no shard" },
        { USER("\"found\":1"), ERR_ORIGIN_STORE, "users[0] has no number \"uploaded\"" },
        { USER(COUNTS), ERR_ORIGIN_STORE, "has no folders" },
        { USER("\"found\":-1,\"folders\":[]"), ERR_ORIGIN_STORE, "no number \"found\"" },
        { USER("\"found\":\"1\",\"folders\":[]"), ERR_ORIGIN_STORE, "no number \"found\"" },
        { USER("\"found\":9223372036854775807,\"folders\":[]"), ERR_ORIGIN_STORE, "no number \"found\"" },
        { USER("\"found\":99999999999999999999"), ERR_ORIGIN_STORE, "is damaged" },
    };
    char deep[6000];

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
        refuses("x.json", cases[i].text, strlen(cases[i].text), cases[i].origin, cases[i].words);
    refuses("x.json", "{\"schema\":\"mailhaul.report.v1\",\"verdict\":\"\0\"}", 46, ERR_ORIGIN_STORE, "is damaged");
    /* Lists in lists in lists. */
    snprintf(deep, sizeof deep, "{\"schema\":\"mailhaul.report.v1\",\"batch\":");
    memset(deep + strlen(deep), '[', 5000);
    refuses("x.json", deep, 5000, ERR_ORIGIN_STORE, "batch was expected");
    memcpy(strstr(deep, "batch"), "other", 5);
    refuses("x.json", deep, 5000, ERR_ORIGIN_STORE, "is damaged");
    assert_true(share_is(file("x.json")));
    put(file("report"), " {", 2);
    assert_true(share_is(file("report")));
    put(file("night.ini"), "[batch]", 7);
    assert_false(share_is(file("night.ini")));
    assert_false(share_is(home));
    assert_false(share_is(file("none.json")));
}

/* A whole one, cut anywhere, or with any byte turned to another: told, or harmless. */
static void a_cut_report_is_told_and_a_changed_one_does_no_harm(void **state)
{
    struct spool a = { .last_commit_ms = NOW };
    struct report_state one = of_spool(&a, "n.state.1-of-2", 1, 2);
    struct report *r;
    char *text;
    size_t size;

    (void)state;
    add_rich_user(&a, "b@x");
    add_user(&a, "a@x", USER_SYNCED, NOW - 1, 3);
    add_facts(&a, "Synced", "1763999000000", "1763999500000", "0");
    r = load(&one, 1);
    text = written(r, JSON);
    report_free(&r);
    size = strlen(text);
    while (size && text[size - 1] != '}')
        size--;
    for (size_t cut = 1; cut < size; cut += cut < 300 || cut + 300 > size ? 1 : 37)
        refuses("cut.json", text, cut, ERR_ORIGIN_STORE, "ends in the middle");
    for (size_t at = 0; at < size; at += 3) {
        static const char signs[] = { '\0', '"', '{', '}', '[', '9', '-', ',', '\x80' };
        struct share *share;
        struct err err;
        char before = text[at];

        text[at] = signs[at % sizeof signs];
        put(file("changed.json"), text, size);
        text[at] = before;
        if (!share_open(file("changed.json"), &share, &err)) {
            assert_non_null(strstr(err.server_text, "changed.json"));
            continue;
        }
        one = of_share(share);
        if (report_load(&one, 1, &r, &err)) {
            char *page = written(r, HTML);

            free(page);
            free(written(r, CSV));
            report_free(&r);
        } else {
            assert_non_null(strstr(err.server_text, "changed.json"));
        }
        share_close(&share);
    }
    free(text);
    fake_free(&a);
}

/* What another version wrote beside is passed on; what lies too deep is refused and not written. */
static void what_is_not_known_is_passed_on(void **state)
{
    static const char known[] = USER(COUNTS ",\"folders\":[],\"doubts\":[{\"type\":\"LateCopy\","
                                            "\"count\":2}],\"new\":1.5,\"huge\":1e300,\"minus\":-3");
    struct report_state one;
    struct share *share;
    struct report *r;
    struct err err;
    json_t *json, *whole;
    char deep[400] = USER(COUNTS ",\"folders\":[],\"deep\":[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]");

    (void)state;
    put(file("a"), known, strlen(known));
    assert_true(share_open(file("a"), &share, &err));
    one = of_share(share);
    r = load(&one, 1);
    whole = parsed(r);
    json = json_array_get(json_object_get(whole, "users"), 0);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(json_object_get(json, "doubts"), 0), "count")),
                     2);
    assert_int_equal(json_integer_value(json_object_get(json, "minus")), -3);
    assert_true(json_real_value(json_object_get(json, "new")) == 1.5);
    assert_true(json_real_value(json_object_get(json, "huge")) == 1e300);
    json_decref(whole);
    report_free(&r);
    share_close(&share);
    put(file("deep.json"), deep, strlen(deep));
    assert_true(share_open(file("deep.json"), &share, &err));
    one = of_share(share);
    r = load(&one, 1);
    {
        FILE *out = fopen("/dev/null", "w");

        assert_false(report_write_json(r, out, &err));
        assert_non_null(strstr(err.server_text, "deep.json: is damaged: lists of a@x"));
        fclose(out);
    }
    report_free(&r);
    share_close(&share);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_are_as_good_as_state_folders),
        cmocka_unit_test(the_course_is_kept),
        cmocka_unit_test(an_address_in_two_of_them_counts_once),
        cmocka_unit_test(shards_of_another_number_are_left_out),
        cmocka_unit_test(what_is_missing_is_named),
        cmocka_unit_test(what_was_not_heard_of_since_is_told),
        cmocka_unit_test(a_report_of_another_night_is_told),
        cmocka_unit_test(files_that_are_no_report_are_named),
        cmocka_unit_test(a_cut_report_is_told_and_a_changed_one_does_no_harm),
        cmocka_unit_test(what_is_not_known_is_passed_on),
    };

    return cmocka_run_group_tests(tests, make_home, remove_home);
}
