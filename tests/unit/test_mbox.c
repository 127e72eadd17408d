/* test: move
 * mbox files: where one message ends and the next begins, what is quoted, what is hidden, and numbers that stay. */

#include "engine/mailbox/disk/mbox.h"
#include "io/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define FROM "From a@b Thu Jan  1 00:00:10 1970\n"

struct kit {
    char root[64], state[80];
};

static int begin(void **state)
{
    struct kit *kit = mem_zero(1, sizeof *kit);
    char path[100];

    snprintf(kit->root, sizeof kit->root, "/tmp/mhmboxXXXXXX");
    assert_non_null(mkdtemp(kit->root));
    snprintf(kit->state, sizeof kit->state, "%s/state", kit->root);
    assert_int_equal(mkdir(kit->state, 0700), 0);
    snprintf(path, sizeof path, "%s/ann", kit->root);
    assert_int_equal(mkdir(path, 0700), 0);
    *state = kit;
    return 0;
}

static int end(void **state)
{
    struct kit *kit = *state;
    char *command = mem_format("rm -rf %s", kit->root);

    assert_int_equal(system(command), 0);
    free(command);
    free(kit);
    return 0;
}

static void make_file(const struct kit *kit, const char *name, struct slice text)
{
    char *path = mem_format("%s/ann/%s", kit->root, name);
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(text.data, 1, text.size, f), text.size);
    fclose(f);
    free(path);
}

static void make_folder(const struct kit *kit, const char *name)
{
    char *path = mem_format("%s/ann/%s", kit->root, name);

    assert_int_equal(mkdir(path, 0700), 0);
    free(path);
}

static int open_file(const struct kit *kit, const char *name)
{
    char *path = mem_format("%s/ann/%s", kit->root, name);
    int fd = open(path, O_RDONLY);

    free(path);
    assert_true(fd >= 0);
    return fd;
}

static struct mbox_scan scan_of(const struct kit *kit, struct slice text)
{
    struct mbox_scan scan;
    int fd;

    make_file(kit, "x", text);
    fd = open_file(kit, "x");
    assert_true(mbox_scan(fd, text.size, &scan));
    close(fd);
    return scan;
}

/* The message's bytes as IMAP would send them, given to the filter in pieces of so many. */
static struct slice shown(struct slice raw, size_t piece)
{
    char *out = mem_alloc(2 * raw.size + DISK_FILTER_MORE);
    struct disk_filter filter = { 0 };
    size_t used = 0;

    do {
        struct slice part = slice_first(raw, piece < raw.size ? piece : raw.size);

        raw = slice_from(raw, part.size);
        used += mbox_filter(&filter, part.data, part.size, raw.size == 0, out + used);
    } while (raw.size);
    return slice_of(out, used);
}

static void assert_shown(const char *raw, const char *wanted)
{
    for (size_t piece = 1; piece < strlen(raw) + 2; piece++) {
        struct slice got = shown(slice_cstr(raw), piece);

        if (!slice_equal(got, slice_cstr(wanted)))
            fail_msg("in pieces of %zu: \"%.*s\"", piece, (int)got.size, got.data);
        free((char *)(uintptr_t)got.data);
    }
}

/* ---- the filter ------------------------------------------------------------------------------------- */

static void quotes_and_servers_headers_go_whatever_the_pieces(void **state)
{
    static const char *const cases[][2] = {
        { "Subject: x\n\nbody\n", "Subject: x\r\n\r\nbody\r\n" },
        { "Subject: x\r\n\r\nbody\r\n", "Subject: x\r\n\r\nbody\r\n" },
        { "Status: RO\nSubject: x\n\nStatus: RO\n", "Subject: x\r\n\r\nStatus: RO\r\n" },
        { "x-keywords: a\n b\n\tc\nTo: y\n z\n\n", "To: y\r\n z\r\n\r\n" },
        { "X-UID: 7\nX-UIDL: 7\nContent-Length: 3\n\n", "X-UIDL: 7\r\n\r\n" },
        { "A: b\n\n>From x\n>>From y\n> From\n>Fro\n>\n>>\n",
          "A: b\r\n\r\nFrom x\r\n>From y\r\n> From\r\n>Fro\r\n>\r\n>>\r\n" },
        { "A: b\n\n>Fro", "A: b\r\n\r\n>Fro" },
        { "A: b\n\n>>>", "A: b\r\n\r\n>>>" },
        { "Stat", "Stat" },
        { "A header without colon\nStatus: O\n\n", "A header without colon\r\n\r\n" },
        { "\nStatus: O\n", "\r\nStatus: O\r\n" },
        { "", "" },
        { "Status: O", "" },
        { "A name that is longer than what is held: x\nStatus: O\n\nx\ry\n",
          "A name that is longer than what is held: x\r\n\r\nx\ry\r\n" },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_shown(cases[i][0], cases[i][1]);
}

static void more_quotes_than_any_line_has_are_no_quotes(void **state)
{
    char *raw = mem_alloc(4000);
    struct slice got;

    memcpy(raw, "A: b\n\n", 6);
    memset(raw + 6, '>', 3000);
    memcpy(raw + 3006, "From x", 6);
    for (size_t piece = 1; piece < 3100; piece += 333) {
        got = shown(slice_of(raw, 3012), piece);
        assert_int_equal(got.size, 3014);
        free((char *)(uintptr_t)got.data);
    }
    free(raw);
}

/* ---- lines between -------------------------------------------------------------------------------------- */

static void from_lines_of_many_programs(void **state)
{
    static const struct {
        const char *line;
        int64_t seconds; /* -1: none */
    } cases[] = {
        { "From MAILER-DAEMON Thu Jan  1 00:00:00 1970", 0 },
        { "From a@b.example Thu Jan 01 00:01:00 1970\r", 60 },
        { "From \"a b\" <c> Thu Jan  1 01:00 1970", 3600 },
        { "From - Thu Jan  1 00:00:00 1970", 0 },
        { "From 1234@xxx Thu Jan 01 02:00:00 +0200 1970", 0 },
        { "From a@b Thu Jan  1 00:00:00 1970 -0100", 3600 },
        { "From a Thu Jan  1 00:00:00 GMT 1970 remote from x", 0 },
        { "From Thu Thu Jan  1 00:00:00 1970", 0 },
        { "From a@b Sat Feb 29 12:00:00 2020", 1582977600 },
        { "From ", -1 },
        { "From the start", -1 },
        { "From a@b Thu Jan  1 25:00:00 1970", -1 },
        { "From a@b Thu Jan 32 00:00:00 1970", -1 },
        { "From a@b Thu Jan  1 00:00:00", -1 },
        { "From a@b Thu Jan  1 00:00:00 19700", -1 },
        { ">From a@b Thu Jan  1 00:00:00 1970", -1 },
        { "from a@b Thu Jan  1 00:00:00 1970", -1 },
    };

    int64_t seconds;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        seconds = -1;

        if (mbox_is_from_line(slice_cstr(cases[i].line), &seconds) != (cases[i].seconds >= 0) ||
            (cases[i].seconds >= 0 && seconds != cases[i].seconds))
            fail_msg("%s: %lld", cases[i].line, (long long)seconds);
    }
    assert_int_equal(setenv("TZ", "EET-2", 1), 0);
    tzset();
    assert_true(mbox_is_from_line(SLICE("From a Thu Jan  1 02:00:00 1970"), &seconds));
    assert_int_equal(seconds, 0);
    assert_true(mbox_is_from_line(SLICE("From a Thu Jan  1 02:00:00 1970 +0000"), &seconds));
    assert_int_equal(seconds, 7200);
    assert_true(mbox_is_from_line(SLICE("From a Thu Jan  1 02:00:00 GMT 1970"), &seconds));
    assert_int_equal(seconds, 7200);
    assert_int_equal(setenv("TZ", "UTC0", 1), 0);
    tzset();
}

static void assert_piece(const struct mbox_scan *scan, const char *text, uint32_t at, const char *wanted)
{
    struct slice raw = slice_of(text + scan->all[at].at, scan->all[at].raw_bytes), got = shown(raw, 3);

    assert_true(at < scan->count);
    if (!slice_equal(got, slice_cstr(wanted)))
        fail_msg("message %u: \"%.*s\"", at, (int)got.size, got.data);
    assert_int_equal(scan->all[at].bytes, got.size);
    free((char *)(uintptr_t)got.data);
}

static void each_message_ends_before_the_empty_line_of_the_next(void **state)
{
    const char *text =
        FROM "A: 1\n\nx\n\n\n" FROM "A: 2\r\n\r\ny\r\n\r\n" FROM "\n" FROM "A: 3\n" FROM "A: 4\n\nFrom here\nz";
    struct mbox_scan scan = scan_of(*state, slice_cstr(text));

    assert_int_equal(scan.count, 5);
    assert_piece(&scan, text, 0, "A: 1\r\n\r\nx\r\n\r\n");
    assert_piece(&scan, text, 1, "A: 2\r\n\r\ny\r\n");
    assert_piece(&scan, text, 2, "");
    assert_piece(&scan, text, 3, "A: 3\r\n");
    assert_piece(&scan, text, 4, "A: 4\r\n\r\nFrom here\r\nz");
    assert_int_equal(scan.all[0].seconds, 10);
    mbox_scan_deinit(&scan);
}

static void what_is_no_mbox_is_told(void **state)
{
    static const char *const bad[] = { "x", "\n" FROM "A: 1\n", "From nobody\nA: 1\n\n", "PK\x03\x04" };
    struct mbox_scan scan = scan_of(*state, SLICE(""));

    assert_int_equal(scan.count, 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int fd;

        make_file(*state, "x", slice_cstr(bad[i]));
        fd = open_file(*state, "x");
        errno = 77;
        assert_false(mbox_scan(fd, strlen(bad[i]), &scan));
        assert_int_equal(errno, 0);
        assert_false(mbox_scan(fd, strlen(bad[i]) + 1, &scan));
        close(fd);
    }
}

/* Lines longer than what is read at once, and ends of messages at each place of it. */
static void whatever_is_read_at_once(void **state)
{
    for (size_t size = (256u << 10) - 60; size < (256u << 10) + 60; size += 7) {
        size_t used = 0, room = 3 * size + 1000;
        char *text = mem_alloc(room), digest[33];
        struct mbox_scan scan;

        used += (size_t)sprintf(text + used, FROM "A: 1\n\n");
        memset(text + used, 'x', size);
        used += size;
        used += (size_t)sprintf(text + used, "\n\n" FROM "A: 2\n\n");
        memset(text + used, 'y', 2 * size);
        used += 2 * size;
        scan = scan_of(*state, slice_of(text, used));
        assert_int_equal(scan.count, 2);
        assert_int_equal(scan.all[0].bytes, size + 10);
        assert_int_equal(scan.all[1].bytes, 2 * size + 8);
        for (unsigned i = 0; i < 2; i++) {
            int fd = open_file(*state, "x");

            assert_true(mbox_digest(fd, scan.all[i].at, scan.all[i].raw_bytes, digest));
            assert_string_equal(digest, scan.all[i].digest);
            close(fd);
        }
        mbox_scan_deinit(&scan);
        free(text);
    }
}

/* ---- flags ------------------------------------------------------------------------------------------------ */

static void servers_keep_flags_and_numbers_in_headers(void **state)
{
    struct mbox_scan scan = scan_of(
        *state,
        slice_cstr(FROM "X-IMAP: 55 9 Work\nSubject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n\nx\n\n" FROM
                        "Status: RO\nX-Status: AF\nX-Keywords: Work  $Forwarded\nX-UID: 4\nA: 1\n\nStatus: D\n\n" FROM
                        "X-Mozilla-Status: 0005\nX-UID: 9\nX-UID: 4294967295\n\n"));

    assert_int_equal(scan.count, 2);
    assert_int_equal(scan.uidvalidity, 55);
    assert_int_equal(scan.uidnext, 10);
    assert_int_equal(scan.all[0].system, IMAP_FLAG_SEEN | IMAP_FLAG_ANSWERED | IMAP_FLAG_FLAGGED);
    assert_string_equal(scan.all[0].words, "Work $Forwarded");
    assert_int_equal(scan.all[0].uid, 4);
    assert_int_equal(scan.all[1].system, IMAP_FLAG_SEEN | IMAP_FLAG_FLAGGED);
    assert_int_equal(scan.all[1].uid, 9);
    mbox_scan_deinit(&scan);
}

/* ---- views --------------------------------------------------------------------------------------------------- */

static struct disk_view *look(const struct kit *kit, const char *name, bool keeps)
{
    char *pattern = mem_format("%s/{user}", kit->root), *path = NULL;
    struct disk_numbers numbers = { kit->state, NULL, slice_cstr(name), keeps };
    struct disk_view *view;
    struct err err;
    int tree = mbox_layout.open(pattern, "ann", &err);

    assert_true(tree >= 0);
    assert_true(disk_path(&mbox_layout, pattern, "ann", &path, &err));
    numbers.path = path;
    view = mbox_layout.look(tree, slice_cstr(name), &numbers, &err);
    close(tree);
    free(path);
    free(pattern);
    return view;
}

/* Of the message that stands in the file behind so many others. */
static uint32_t uid_at(const struct disk_view *view, uint32_t place)
{
    for (uint32_t i = 0; i < view->count; i++) {
        uint32_t before = 0;

        for (uint32_t k = 0; k < view->count; k++)
            before += view->all[k].at < view->all[i].at;
        if (before == place)
            return view->all[i].uid;
    }
    return 0;
}

static void numbers_stay_when_the_file_changes(void **state)
{
    struct disk_view *view;

    make_file(*state, "INBOX", slice_cstr(FROM "A: 1\n\n\n" FROM "A: 2\n\n\n" FROM "A: 2\n\n\n" FROM "A: 3\n\n\n"));
    view = look(*state, "INBOX", true);
    assert_non_null(view);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(uid_at(view, i), i + 1);
    disk_view_drop(&view);

    /* The first is gone, flags changed, one came, and they lie in another order. */
    make_file(*state, "INBOX",
              slice_cstr(FROM "A: 4\n\n\n" FROM "Status: RO\nA: 3\n\n\n" FROM "A: 2\nX-UID: 77\n\n\n"));
    view = look(*state, "INBOX", true);
    assert_int_equal(view->count, 3);
    assert_int_equal(uid_at(view, 0), 5);
    assert_int_equal(uid_at(view, 1), 4);
    assert_int_equal(uid_at(view, 2), 2);
    assert_int_equal(view->uidnext, 6);
    disk_view_drop(&view);
}

static void a_servers_numbers_are_taken_over_once(void **state)
{
    struct disk_view *view;

    make_file(*state, "INBOX", slice_cstr(FROM "X-IMAPbase: 55 20 Work\nX-UID: 7\nA: 1\n\n\n" FROM "A: 2\n\n\n"));
    view = look(*state, "INBOX", true);
    assert_int_equal(view->uidvalidity, 55);
    assert_int_equal(uid_at(view, 0), 7);
    assert_int_equal(uid_at(view, 1), 21);
    disk_view_drop(&view);
}

static void what_is_written_over_is_not_believed(void **state)
{
    struct disk_part part;
    struct disk_view *view;
    struct stat st;
    int fd;

    make_file(*state, "INBOX", slice_cstr(FROM "A: 1\n\nfirst\n\n"));
    view = look(*state, "INBOX", false);
    assert_true(mbox_layout.message(view, &view->all[0], &part, NULL, NULL));

    /* Put behind it: it is still itself. */
    make_file(*state, "INBOX", slice_cstr(FROM "A: 1\n\nfirst\n\n" FROM "A: 2\n\n\n"));
    assert_true(mbox_layout.same(view, &view->all[0], &part));
    make_file(*state, "INBOX", slice_cstr(FROM "A: 1\n\nother\n\n" FROM "A: 2\n\n\n"));
    assert_false(mbox_layout.same(view, &view->all[0], &part));
    close(part.fd);
    assert_false(mbox_layout.message(view, &view->all[0], &part, NULL, NULL));
    assert_int_equal(errno, ESTALE);
    fd = open_file(*state, "INBOX");
    assert_int_equal(fstat(fd, &st), 0);
    close(fd);
    make_file(*state, "INBOX", SLICE(""));
    assert_false(mbox_layout.message(view, &view->all[0], &part, NULL, NULL));
    disk_view_drop(&view);
}

static void one_that_is_locked_is_waited_for(void **state)
{
    const struct kit *kit = *state;
    struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    char *path = mem_format("%s/ann/INBOX", kit->root);
    struct disk_view *view;
    int fd;

    make_file(kit, "INBOX", slice_cstr(FROM "A: 1\n\n\n"));
    fd = open(path, O_RDWR);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &whole), 0);
    assert_null(look(kit, "INBOX", false));
    close(fd);
    make_file(kit, "INBOX.lock", SLICE(""));
    assert_null(look(kit, "INBOX", false));
    free(path);
    path = mem_format("%s/ann/INBOX.lock", kit->root);
    assert_int_equal(unlink(path), 0);
    view = look(kit, "INBOX", false);
    assert_non_null(view);
    disk_view_drop(&view);
    free(path);
}

/* ---- trees ---------------------------------------------------------------------------------------------------- */

static void files_are_folders(void **state)
{
    static const char *const wanted[] = { "Apple", "INBOX",     "Local",        "Local/Below",
                                          "Work",  "Work/2020", "linux.kernel", "noise" };
    const struct kit *kit = *state;
    char *pattern = mem_format("%s/{user}", kit->root);
    struct disk_rows rows;
    struct err err;
    int tree;

    make_file(kit, "inbox.mbox", slice_cstr(FROM "A: 1\n\n\n"));
    make_file(kit, "Work.mbox", SLICE(""));
    make_file(kit, "Work.2020.mbox", SLICE(""));
    make_file(kit, "linux.kernel", SLICE(""));
    make_file(kit, "noise", SLICE("no mail"));
    make_file(kit, "Local", SLICE(""));
    make_file(kit, "Local.msf", SLICE("x"));
    make_file(kit, ".subscriptions", SLICE("x"));
    make_folder(kit, "Local.sbd");
    make_file(kit, "Local.sbd/Below", SLICE(""));
    make_folder(kit, "Apple.mbox");
    make_file(kit, "Apple.mbox/mbox", SLICE(""));
    tree = mbox_layout.open(pattern, "ann", &err);
    assert_true(tree >= 0);
    assert_true(mbox_list(tree, &rows, &err));
    for (unsigned i = 0; i < rows.count && i < sizeof wanted / sizeof *wanted; i++)
        assert_string_equal(rows.all[i].name, wanted[i]);
    assert_int_equal(rows.count, sizeof wanted / sizeof *wanted);
    for (unsigned i = 0; i < rows.count; i++) {
        int fd = mbox_open(tree, slice_cstr(rows.all[i].name), &err);

        assert_true(fd >= 0);
        close(fd);
    }
    assert_int_equal(mbox_open(tree, SLICE("../../x"), &err), -1);
    assert_int_equal(mbox_open(tree, SLICE("work"), &err), -1);
    disk_rows_deinit(&rows);
    close(tree);
    free(pattern);
}

/* Whatever other files come and go. */
static void two_of_one_name_keep_their_names(void **state)
{
    const struct kit *kit = *state;
    char *pattern = mem_format("%s/{user}", kit->root);
    struct disk_rows rows;
    struct err err;
    int tree, fd;

    make_file(kit, "INBOX.mbox", slice_cstr(FROM "A: 1\n\n\n"));
    make_file(kit, "inbox", slice_cstr(FROM "A: 2\n\n\n" FROM "A: 3\n\n\n"));
    for (unsigned i = 0; i < 2; i++) {
        tree = mbox_layout.open(pattern, "ann", &err);
        assert_true(tree >= 0);
        assert_true(mbox_list(tree, &rows, &err));
        assert_int_equal(rows.count, 2 + i);
        assert_string_equal(rows.all[i].name, "INBOX");
        assert_string_equal(rows.all[1 + i].name, "inbox~2");
        fd = mbox_open(tree, SLICE("inbox~2"), &err);
        assert_true(fd >= 0);
        assert_int_equal(lseek(fd, 0, SEEK_END), 2 * (sizeof FROM "A: 2\n\n\n" - 1));
        close(fd);
        disk_rows_deinit(&rows);
        close(tree);
        make_file(kit, "A", SLICE(""));
    }
    free(pattern);
}

static void a_file_alone_is_the_inbox(void **state)
{
    const struct kit *kit = *state;
    char *pattern = mem_format("%s/ann/{user}", kit->root);
    struct disk_rows rows;
    struct err err;
    int tree, fd;

    make_file(kit, "joe", slice_cstr(FROM "A: 1\n\n\n"));
    tree = mbox_layout.open(pattern, "joe", &err);
    assert_true(tree >= 0);
    assert_true(mbox_list(tree, &rows, &err));
    assert_int_equal(rows.count, 1);
    assert_string_equal(rows.all[0].name, "INBOX");
    fd = mbox_open(tree, SLICE("INBOX"), &err);
    assert_true(fd >= 0);
    close(fd);
    disk_rows_deinit(&rows);
    close(tree);
    free(pattern);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quotes_and_servers_headers_go_whatever_the_pieces),
        cmocka_unit_test(more_quotes_than_any_line_has_are_no_quotes),
        cmocka_unit_test(from_lines_of_many_programs),
        cmocka_unit_test_setup_teardown(each_message_ends_before_the_empty_line_of_the_next, begin, end),
        cmocka_unit_test_setup_teardown(what_is_no_mbox_is_told, begin, end),
        cmocka_unit_test_setup_teardown(whatever_is_read_at_once, begin, end),
        cmocka_unit_test_setup_teardown(servers_keep_flags_and_numbers_in_headers, begin, end),
        cmocka_unit_test_setup_teardown(numbers_stay_when_the_file_changes, begin, end),
        cmocka_unit_test_setup_teardown(a_servers_numbers_are_taken_over_once, begin, end),
        cmocka_unit_test_setup_teardown(what_is_written_over_is_not_believed, begin, end),
        cmocka_unit_test_setup_teardown(one_that_is_locked_is_waited_for, begin, end),
        cmocka_unit_test_setup_teardown(files_are_folders, begin, end),
        cmocka_unit_test_setup_teardown(two_of_one_name_keep_their_names, begin, end),
        cmocka_unit_test_setup_teardown(a_file_alone_is_the_inbox, begin, end),
    };

    if (setenv("TZ", "UTC0", 1) != 0)
        return 1;
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
