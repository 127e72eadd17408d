/* test: move
 * Numbers of the files of a Maildir folder, and the paths that lead to it. */
#include "engine/mailbox/disk/job.h"
#include "engine/mailbox/disk/maildir_tree.h"
#include "engine/mailbox/disk/numbers.h"
#include "io/base/mem.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct kit {
    char root[64], state[80];
    int tree;
};

static void make_folder(const char *root, const char *name)
{
    char *path = mem_format("%s/%s", root, name);

    assert_int_equal(mkdir(path, 0700), 0);
    free(path);
}

static void make_file(const struct kit *kit, const char *name, const char *text)
{
    char *path = mem_format("%s/ann/%s", kit->root, name);
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    free(path);
}

static int begin(void **state)
{
    struct kit *kit = mem_zero(1, sizeof *kit);

    snprintf(kit->root, sizeof kit->root, "/tmp/mhmaildirXXXXXX");
    assert_non_null(mkdtemp(kit->root));
    snprintf(kit->state, sizeof kit->state, "%s/state", kit->root);
    make_folder(kit->root, "state");
    make_folder(kit->root, "ann");
    make_folder(kit->root, "ann/cur");
    make_folder(kit->root, "ann/new");
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

static struct disk_view *look(const struct kit *kit, bool keeps)
{
    char *pattern = mem_format("%s/{user}", kit->root), *path = NULL;
    struct disk_numbers numbers = { kit->state, NULL, SLICE("INBOX"), keeps };
    struct disk_view *view;
    struct err err;
    int tree = maildir_layout.open(pattern, "ann", &err);

    assert_true(tree >= 0);
    assert_true(disk_path(&maildir_layout, pattern, "ann", &path, &err));
    numbers.path = path;
    view = maildir_layout.look(tree, SLICE("inbox"), &numbers, &err);
    assert_non_null(view);
    close(tree);
    free(path);
    free(pattern);
    return view;
}

/* The number of the file with this base name, 0: none. */
static uint32_t uid_of(const struct disk_view *view, const char *base)
{
    for (uint32_t i = 0; i < view->count; i++)
        if (strncmp(view->all[i].name, base, strlen(base)) == 0)
            return view->all[i].uid;
    return 0;
}

static void rename_file(const struct kit *kit, const char *from, const char *to)
{
    char *a = mem_format("%s/ann/%s", kit->root, from), *b = mem_format("%s/ann/%s", kit->root, to);

    assert_int_equal(rename(a, b), 0);
    free(a);
    free(b);
}

static void remove_file(const struct kit *kit, const char *name)
{
    char *path = mem_format("%s/ann/%s", kit->root, name);

    assert_int_equal(unlink(path), 0);
    free(path);
}

static void numbers_stay_whatever_happens_to_the_files(void **state)
{
    const struct kit *kit = *state;
    struct disk_view *view;
    uint32_t validity;

    make_file(kit, "cur/200.b:2,S", "b");
    make_file(kit, "new/100.a", "a");
    make_file(kit, "cur/300.line\nend:2,", "c");
    view = look(kit, true);
    validity = view->uidvalidity;
    assert_int_equal(view->count, 3);
    assert_int_equal(uid_of(view, "100.a"), 1);
    assert_int_equal(uid_of(view, "200.b"), 2);
    assert_int_equal(uid_of(view, "300.line"), 3);
    assert_int_equal(view->uidnext, 4);
    disk_view_drop(&view);

    /* Read, flagged, deleted; and mail whose name is older than all that is there. */
    rename_file(kit, "new/100.a", "cur/100.a:2,FS");
    remove_file(kit, "cur/200.b:2,S");
    make_file(kit, "new/050.older", "d");
    view = look(kit, true);
    assert_int_equal(view->uidvalidity, validity);
    assert_int_equal(view->count, 3);
    assert_int_equal(uid_of(view, "100.a"), 1);
    assert_int_equal(uid_of(view, "300.line"), 3);
    assert_int_equal(uid_of(view, "050.older"), 4);
    disk_view_drop(&view);

    /* What was away comes back under its own number. */
    make_file(kit, "cur/200.b:2,", "b");
    view = look(kit, true);
    assert_int_equal(uid_of(view, "200.b"), 2);
    assert_int_equal(view->uidnext, 5);
    disk_view_drop(&view);
}

/* Other numbers in their place would be those of other messages. */
static void numbers_that_cannot_be_read_are_none_to_begin_anew(void **state)
{
    const struct kit *kit = *state;
    struct disk_numbers numbers = { kit->state, NULL, SLICE("INBOX"), true };
    char *pattern = mem_format("%s/{user}", kit->root), *path = NULL, *file;
    struct disk_view *view;
    struct err err;
    FILE *f;
    int tree;

    make_file(kit, "cur/100.a:2,", "a");
    view = look(kit, true);
    disk_view_drop(&view);
    assert_true(disk_path(&maildir_layout, pattern, "ann", &path, &err));
    numbers.path = path;
    file = numbers_file(&numbers);
    f = fopen(file, "w");
    fputs("not a list\n", f);
    fclose(f);
    tree = maildir_layout.open(pattern, "ann", &err);
    assert_null(maildir_layout.look(tree, SLICE("INBOX"), &numbers, &err));
    assert_int_equal(err.scope, ERR_SCOPE_RUN);
    assert_int_equal(err.origin, ERR_ORIGIN_STORE);
    assert_non_null(strstr(err.server_text, file));

    /* Nor where something else is in its place. */
    assert_int_equal(unlink(file), 0);
    assert_int_equal(mkdir(file, 0700), 0);
    assert_null(maildir_layout.look(tree, SLICE("INBOX"), &numbers, &err));
    close(tree);
    assert_int_equal(rmdir(file), 0);
    free(file);
    free(path);
    free(pattern);
}

static void who_may_not_write_gives_numbers_for_itself(void **state)
{
    const struct kit *kit = *state;
    struct disk_view *view;

    make_file(kit, "cur/100.a:2,", "a");
    view = look(kit, true);
    disk_view_drop(&view);
    make_file(kit, "cur/200.b:2,", "b");
    view = look(kit, false);
    assert_int_equal(uid_of(view, "200.b"), 2);
    disk_view_drop(&view);
    /* So a run may give that number to another. */
    make_file(kit, "cur/150.c:2,", "c");
    view = look(kit, true);
    assert_int_equal(uid_of(view, "150.c"), 2);
    assert_int_equal(uid_of(view, "200.b"), 3);
    disk_view_drop(&view);
}

static void dovecots_numbers_are_taken_over_once(void **state)
{
    const struct kit *kit = *state;
    struct disk_view *view;

    make_file(kit, "dovecot-uidlist", "3 V777 N50 G0123\n12 W9 :200.b\n7 :100.a:2,S\n");
    make_file(kit, "cur/100.a:2,S", "a");
    make_file(kit, "cur/200.b:2,", "b");
    make_file(kit, "new/010.c", "c");
    view = look(kit, true);
    assert_int_equal(view->uidvalidity, 777);
    assert_int_equal(uid_of(view, "100.a"), 7);
    assert_int_equal(uid_of(view, "200.b"), 12);
    /* 13 to 49 were others' before. */
    assert_int_equal(uid_of(view, "010.c"), 50);
    disk_view_drop(&view);

    /* The server lives, and numbers it otherwise: ours stay. */
    make_file(kit, "dovecot-uidlist", "3 V778 N60 G0123\n12 :200.b\n7 :100.a\n50 :300.d\n51 :010.c\n");
    make_file(kit, "cur/300.d:2,", "d");
    view = look(kit, true);
    assert_int_equal(view->uidvalidity, 777);
    assert_int_equal(uid_of(view, "010.c"), 50);
    assert_int_equal(uid_of(view, "300.d"), 51);
    disk_view_drop(&view);
}

static void couriers_numbers_too(void **state)
{
    const struct kit *kit = *state;
    struct disk_view *view;

    make_file(kit, "courierimapuiddb", "1 1234567 9\n3 100.a\n8 200.b\n");
    make_file(kit, "cur/100.a:2,S", "a");
    make_file(kit, "cur/200.b:2,", "b");
    view = look(kit, true);
    assert_int_equal(view->uidvalidity, 1234567);
    assert_int_equal(uid_of(view, "100.a"), 3);
    assert_int_equal(uid_of(view, "200.b"), 8);
    assert_int_equal(view->uidnext, 9);
    disk_view_drop(&view);
}

static void flags_are_in_the_name_and_keywords_in_a_file(void **state)
{
    const struct kit *kit = *state;
    char words[DISK_WORDS_BYTES];
    struct disk_part part;
    struct disk_view *view;
    struct imap_flags flags;

    make_file(kit, "dovecot-keywords", "0 $Forwarded\n2 Work\n");
    make_file(kit, "cur/100.a,S=3,W=5:2,FRSacz", "a");
    view = look(kit, false);
    assert_int_equal(view->all[0].bytes, 5);
    assert_true(maildir_layout.message(view, &view->all[0], &part, words, &flags));
    close(part.fd);
    assert_int_equal(flags.system, IMAP_FLAG_FLAGGED | IMAP_FLAG_ANSWERED | IMAP_FLAG_SEEN);
    assert_true(slice_equal(flags.keywords, SLICE("$Forwarded Work")));
    assert_int_equal(flags.dropped, 1);
    disk_view_drop(&view);
}

static void a_file_is_found_under_its_new_flags(void **state)
{
    const struct kit *kit = *state;
    char words[DISK_WORDS_BYTES];
    struct imap_flags flags;
    struct disk_view *view;
    struct disk_part part;

    make_file(kit, "new/100.a", "a");
    view = look(kit, false);
    rename_file(kit, "new/100.a", "cur/100.a:2,RS");
    assert_true(maildir_layout.message(view, &view->all[0], &part, words, &flags));
    assert_int_equal(flags.system, IMAP_FLAG_ANSWERED | IMAP_FLAG_SEEN);
    assert_int_equal(part.raw_bytes, 1);
    close(part.fd);
    remove_file(kit, "cur/100.a:2,RS");
    assert_false(maildir_layout.message(view, &view->all[0], &part, NULL, NULL));
    disk_view_drop(&view);
}

static void a_user_name_leads_nowhere_else(void **state)
{
    const struct kit *kit = *state;
    static const char *const bad[] = { "../ann", "..", ".", "", "a/b", ".hidden", "x\ny" };
    char *pattern = mem_format("%s/{user}", kit->root), *link = mem_format("%s/linked", kit->root), *path;
    struct err err;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(maildir_layout.open(pattern, bad[i], &err), -1);
        assert_int_equal(err.class, ERR_CLASS_PERMANENT);
        assert_int_equal(err.scope, ERR_SCOPE_ACCOUNT);
    }
    assert_int_equal(symlink("/etc", link), 0);
    assert_int_equal(maildir_layout.open(pattern, "linked", &err), -1);
    assert_int_equal(maildir_layout.open(pattern, "nobody", &err), -1);
    assert_true(disk_path(&maildir_layout, "/v/{domain}/{local}/{x}", "ann@new.example", &path, &err));
    assert_string_equal(path, "/v/new.example/ann/{x}");
    free(path);
    assert_false(disk_path(&maildir_layout, "/v/{domain}/{local}", "ann", &path, &err));
    free(link);
    free(pattern);
}

static void folders_are_shown_and_links_are_not_followed(void **state)
{
    const struct kit *kit = *state;
    char *pattern = mem_format("%s/{user}", kit->root), *link = mem_format("%s/ann/.evil", kit->root);
    struct disk_rows rows;
    struct err err;
    int tree;

    make_folder(kit->root, "ann/.Sent");
    make_folder(kit->root, "ann/.Sent/cur");
    make_folder(kit->root, "ann/.inbox");
    make_folder(kit->root, "ann/.inbox/new");
    make_folder(kit->root, "ann/.nomail");
    make_file(kit, "subscriptions", "Sent\nGone\n");
    assert_int_equal(symlink(kit->state, link), 0);
    make_folder(kit->state, "cur");
    tree = maildir_layout.open(pattern, "ann", &err);
    assert_true(maildir_list(tree, &rows, &err));
    assert_int_equal(rows.count, 4);
    assert_string_equal(rows.all[0].name, "INBOX");
    assert_string_equal(rows.all[1].name, "INBOX.inbox");
    assert_string_equal(rows.all[2].name, "Sent");
    assert_int_equal(rows.all[2].attributes, IMAP_MAILBOX_SUBSCRIBED);
    assert_string_equal(rows.all[3].name, "evil");
    assert_true(maildir_open_folder(tree, SLICE("Sent"), &err) >= 0);
    assert_true(maildir_open_folder(tree, SLICE("INBOX.inbox"), &err) >= 0);
    assert_int_equal(maildir_open_folder(tree, SLICE("evil"), &err), -1);
    assert_int_equal(maildir_open_folder(tree, SLICE("./state"), &err), -1);
    assert_int_equal(maildir_open_folder(tree, SLICE("x/../../state"), &err), -1);
    assert_int_equal(err.scope, ERR_SCOPE_FOLDER);
    disk_rows_deinit(&rows);
    free(link);
    free(pattern);
}

/* ---- bodies ------------------------------------------------------------------------------------ */

static struct job *reading(const struct kit *kit, struct disk_view *view)
{
    char *pattern = mem_format("%s/{user}", kit->root);
    struct disk_config config = { .pattern = pattern, .user = "ann" };
    struct job *job = job_create(JOB_BODIES, &config);

    job->view = disk_view_hold(view);
    job->set = mem_zero(1, sizeof *job->set);
    job->set[job->set_count++] = (struct uidset_range){ 1, UINT32_MAX };
    free(pattern);
    return job;
}

/* Lines of 1 to 90 bytes that end in LF, a CR LF at each seventh. */
static char *long_text(size_t lines)
{
    char *text = mem_alloc(lines * 100);
    size_t used = 0;

    for (size_t i = 0; i < lines; i++) {
        memset(text + used, 'x', i % 90);
        used += i % 90;
        if (i % 7 == 0)
            text[used++] = '\r';
        text[used++] = '\n';
    }
    text[used] = '\0';
    return text;
}

static void each_line_ends_in_cr_lf_wherever_a_piece_ends(void **state)
{
    const struct kit *kit = *state;
    char *text = long_text(20000);
    struct disk_view *view;
    uint64_t got = 0, lines = 0;
    struct job *job;
    char last = '\0';

    make_file(kit, "cur/100.a:2,", text);
    view = look(kit, false);
    job = reading(kit, view);
    do {
        job_run(job);
        assert_false(job->failed);
        for (size_t i = 0; i < job->out_size; i++) {
            if (job->out[i] == '\n') {
                assert_int_equal(last, '\r');
                lines++;
            }
            last = job->out[i];
        }
        got += job->out_size;
    } while (job_goes_on(job));
    assert_int_equal(lines, 20000);
    assert_int_equal(got, job->size);
    assert_int_equal(got, strlen(text) + 20000 - (20000 + 6) / 7);
    job_destroy(job);
    disk_view_drop(&view);
    free(text);
}

static void one_that_grows_while_it_is_read_is_not_believed(void **state)
{
    const struct kit *kit = *state;
    char *text = long_text(20000), *path = mem_format("%s/ann/cur/100.a:2,", kit->root);
    struct disk_view *view;
    struct job *job;
    FILE *f;

    make_file(kit, "cur/100.a:2,", text);
    view = look(kit, false);
    job = reading(kit, view);
    job_run(job);
    assert_false(job->failed);
    assert_true(job_goes_on(job));
    f = fopen(path, "a");
    fputs("more", f);
    fclose(f);
    while (job_goes_on(job))
        job_run(job);
    assert_true(job->failed);
    assert_int_equal(job->err.scope, ERR_SCOPE_MESSAGE);
    assert_non_null(strstr(job->err.server_text, "changed while it was read"));
    job_destroy(job);
    disk_view_drop(&view);
    free(path);
    free(text);
}

static void one_that_went_away_is_left_out_and_the_next_is_read(void **state)
{
    const struct kit *kit = *state;
    struct disk_view *view;
    struct job *job;

    make_file(kit, "cur/100.a:2,", "a\n");
    make_file(kit, "cur/200.b:2,", "b\n");
    view = look(kit, false);
    remove_file(kit, "cur/100.a:2,");
    job = reading(kit, view);
    job_run(job);
    assert_true(job->gone);
    assert_int_equal(job->out_size, 0);
    assert_true(job_goes_on(job));
    job_run(job);
    assert_false(job->gone);
    assert_true(slice_equal(slice_of(job->out, job->out_size), SLICE("b\r\n")));
    job_destroy(job);
    disk_view_drop(&view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(numbers_stay_whatever_happens_to_the_files, begin, end),
        cmocka_unit_test_setup_teardown(numbers_that_cannot_be_read_are_none_to_begin_anew, begin, end),
        cmocka_unit_test_setup_teardown(who_may_not_write_gives_numbers_for_itself, begin, end),
        cmocka_unit_test_setup_teardown(dovecots_numbers_are_taken_over_once, begin, end),
        cmocka_unit_test_setup_teardown(couriers_numbers_too, begin, end),
        cmocka_unit_test_setup_teardown(flags_are_in_the_name_and_keywords_in_a_file, begin, end),
        cmocka_unit_test_setup_teardown(a_file_is_found_under_its_new_flags, begin, end),
        cmocka_unit_test_setup_teardown(each_line_ends_in_cr_lf_wherever_a_piece_ends, begin, end),
        cmocka_unit_test_setup_teardown(one_that_grows_while_it_is_read_is_not_believed, begin, end),
        cmocka_unit_test_setup_teardown(one_that_went_away_is_left_out_and_the_next_is_read, begin, end),
        cmocka_unit_test_setup_teardown(a_user_name_leads_nowhere_else, begin, end),
        cmocka_unit_test_setup_teardown(folders_are_shown_and_links_are_not_followed, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
