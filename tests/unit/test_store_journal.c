/* test: store */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/journal.h"
#include "tests/fault/store_kit.h"

static void only_the_legal_changes_are_allowed(void **state)
{
    /* Rows: from (0: new); columns: to. F S U P K X as in enum message_state. */
    static const char *const table[MESSAGE_STATE_COUNT] = {
        [0] = "F---K-",
        [MESSAGE_FOUND] = "FS-PKX",
        [MESSAGE_SPOOLED] = "F-UPKX",
        [MESSAGE_UPLOADED] = "F---K-",
        [MESSAGE_PRESENT] = "F-----",
        [MESSAGE_SKIPPED] = "F---K-",
        [MESSAGE_FAILED] = "FSUPK-",
    };

    for (int from = 0; from < MESSAGE_STATE_COUNT; from++)
        for (int to = MESSAGE_FOUND; to < MESSAGE_STATE_COUNT; to++)
            if (journal_transition_allowed(from, to) != (table[from][to - 1] != '-'))
                fail_msg("from %d to %d", from, to);
    assert_false(journal_transition_allowed(MESSAGE_FOUND, 0));
    assert_false(journal_transition_allowed(MESSAGE_STATE_COUNT, MESSAGE_FOUND));
}

static void spool_message(struct kit *kit, uint32_t user, uint32_t uid, uint64_t seed, size_t size)
{
    char *data = kit_body(seed, size);

    kit_do(kit, kit_spooled_op(kit, user, 1, uid, data, size, NULL));
    free(data);
}

static void the_tally_follows_every_change(void **state)
{
    struct kit kit;
    struct tally t;
    uint32_t user;

    kit_folder(&kit);
    kit_open(&kit);
    user = kit_user(&kit, "a@example.edu");
    kit_unwaited(&kit, kit_folder_op(user, 1));
    kit_do(&kit, kit_found_op(user, 1, 1, 6));
    t = kit_tally(&kit, user, 1);
    assert_int_equal(t.found, 6);
    assert_int_equal(t.waiting, 6);
    assert_int_equal(t.bytes_found, 600);
    for (uint32_t uid = 1; uid <= 4; uid++)
        spool_message(&kit, user, uid, uid, 1000);
    t = kit_tally(&kit, user, 1);
    assert_int_equal(t.waiting, 2);
    assert_int_equal(t.spooled, 4);
    assert_int_equal(t.bytes_fetched, 4000);
    kit_do(&kit, kit_end_op(user, 1, 1, MESSAGE_UPLOADED));
    kit_do(&kit, kit_end_op(user, 1, 2, MESSAGE_PRESENT));
    kit_do(&kit, kit_end_op(user, 1, 3, MESSAGE_FAILED));
    kit_do(&kit, kit_end_op(user, 1, 5, MESSAGE_FAILED));
    kit_do(&kit, kit_end_op(user, 1, 6, MESSAGE_SKIPPED));
    t = kit_tally(&kit, user, 1);
    assert_int_equal(t.uploaded, 1);
    assert_int_equal(t.bytes_uploaded, 1000);
    assert_int_equal(t.present, 1);
    assert_int_equal(t.failed, 2);
    assert_int_equal(t.skipped, 1);
    assert_int_equal(t.spooled, 1);
    assert_int_equal(t.waiting, 0);
    /* A retry: the one with a body is uploaded from the spool, the other is fetched again. */
    kit_do(&kit, kit_end_op(user, 1, 3, MESSAGE_SPOOLED));
    kit_do(&kit, kit_end_op(user, 1, 5, MESSAGE_FOUND));
    t = kit_tally(&kit, user, 1);
    assert_int_equal(t.failed, 0);
    assert_int_equal(t.spooled, 2);
    assert_int_equal(t.waiting, 1);
    assert_int_equal(kit_faults(&kit, NULL), 0);
    kit_deinit(&kit);
}

static void a_row_told_twice_counts_once(void **state)
{
    struct kit kit;
    uint32_t user;

    kit_folder(&kit);
    kit_open(&kit);
    user = kit_user(&kit, "a@example.edu");
    kit_unwaited(&kit, kit_folder_op(user, 1));
    kit_do(&kit, kit_found_op(user, 1, 1, 10));
    spool_message(&kit, user, 3, 3, 500);
    kit_do(&kit, kit_found_op(user, 1, 1, 12));
    assert_int_equal(kit_tally(&kit, user, 1).found, 12);
    assert_int_equal(kit_message(&kit, user, 1, 3).state, MESSAGE_SPOOLED);
    assert_int_equal(kit_faults(&kit, NULL), 0);
    kit_deinit(&kit);
}

static void equal_bodies_are_stored_once_until_the_last_goes(void **state)
{
    struct spool_fill one, two;
    struct kit kit;
    uint32_t user;

    kit_folder(&kit);
    kit_open(&kit);
    user = kit_user(&kit, "a@example.edu");
    kit_unwaited(&kit, kit_folder_op(user, 1));
    kit_do(&kit, kit_found_op(user, 1, 1, 3));
    spool_message(&kit, user, 1, 5, 700000);
    spool_fill(kit.spool, &one);
    spool_message(&kit, user, 2, 5, 700000);
    spool_fill(kit.spool, &two);
    assert_int_equal(one.held_bytes, two.held_bytes);
    assert_int_equal(kit_message(&kit, user, 1, 1).body, kit_message(&kit, user, 1, 2).body);
    kit_do(&kit, kit_end_op(user, 1, 1, MESSAGE_UPLOADED));
    assert_int_equal(kit_faults(&kit, NULL), 0);
    spool_fill(kit.spool, &two);
    assert_int_equal(one.held_bytes, two.held_bytes);
    kit_do(&kit, kit_end_op(user, 1, 2, MESSAGE_UPLOADED));
    spool_fill(kit.spool, &two);
    assert_int_equal(two.held_bytes, 0);
    assert_int_equal(kit_faults(&kit, NULL), 0);
    kit_deinit(&kit);
}

static void a_forgotten_folder_leaves_nothing(void **state)
{
    struct spool_fill fill;
    struct kit kit;
    uint32_t user;

    kit_folder(&kit);
    kit_open(&kit);
    user = kit_user(&kit, "a@example.edu");
    kit_unwaited(&kit, kit_folder_op(user, 1));
    /* More than one transaction takes. */
    kit_do(&kit, kit_found_op(user, 1, 1, 30000));
    spool_message(&kit, user, 7, 7, 300000);
    kit_do(&kit, store_op_new(STORE_OP_FORGET, user, 1));
    assert_int_equal(kit_tally(&kit, user, 1).found, 0);
    assert_int_equal(kit_message(&kit, user, 1, 7).state, 0);
    spool_fill(kit.spool, &fill);
    assert_int_equal(fill.held_bytes, 0);
    assert_int_equal(kit_faults(&kit, NULL), 0);
    kit_deinit(&kit);
}

static struct store_op *open_op(uint32_t user, uint32_t uidvalidity, uint32_t floor, bool empty)
{
    struct store_op *op = store_op_new(STORE_OP_OPEN, user, 1);

    op->open.uidvalidity = uidvalidity;
    op->open.floor = floor;
    op->open.highest_seen = floor - 1;
    op->open.scanned = true;
    op->open.empty = empty;
    return op;
}

static struct store_op *uploaded_op(uint32_t user, uint32_t uid, uint32_t target_uid)
{
    struct store_op *op = kit_end_op(user, 1, uid, MESSAGE_UPLOADED);

    op->end.ends[0].target_uid = target_uid;
    return op;
}

static void what_was_sent_in_doubt_says_so(void **state)
{
    struct kit kit;
    struct store_op *op;
    uint32_t user;

    kit_folder(&kit);
    kit_open(&kit);
    user = kit_user(&kit, "a@example.edu");
    kit_unwaited(&kit, kit_folder_op(user, 1));
    kit_do(&kit, kit_found_op(user, 1, 1, 2));
    kit_do(&kit, open_op(user, 7, 50, false));
    spool_message(&kit, user, 1, 1, 1000);
    spool_message(&kit, user, 2, 2, 1000);
    op = uploaded_op(user, 1, 50);
    op->end.ends[0].in_doubt = true;
    kit_do(&kit, op);
    kit_do(&kit, uploaded_op(user, 2, 51));
    assert_true(kit_message(&kit, user, 1, 1).in_doubt);
    assert_false(kit_message(&kit, user, 1, 2).in_doubt);
    kit_do(&kit, kit_end_op(user, 1, 1, MESSAGE_FOUND)); /* it is to be moved again */
    assert_false(kit_message(&kit, user, 1, 1).in_doubt);
    kit_deinit(&kit);
}

static void uids_go_with_the_target_folder(void **state)
{
    struct kit kit;
    uint32_t user;

    kit_folder(&kit);
    kit_open(&kit);
    user = kit_user(&kit, "a@example.edu");
    kit_unwaited(&kit, kit_folder_op(user, 1));
    kit_do(&kit, kit_found_op(user, 1, 1, 9000)); /* more than one transaction takes */
    kit_do(&kit, open_op(user, 7, 50, false));
    for (uint32_t uid = 1; uid <= 3; uid++)
        spool_message(&kit, user, uid, uid, 1000);
    kit_do(&kit, uploaded_op(user, 1, 50));
    kit_do(&kit, uploaded_op(user, 2, 0));
    for (uint32_t uid = 4; uid <= 9000; uid++)
        kit_unwaited(&kit, kit_end_op(user, 1, uid, MESSAGE_PRESENT));
    kit_flush(&kit);
    assert_int_equal(kit_message(&kit, user, 1, 1).target_uid, 50);
    assert_int_equal(kit_message(&kit, user, 1, 2).target_uid, 0);
    assert_int_equal(kit_message(&kit, user, 1, 2).target_uid_from, 50);
    /* Opened again it is still the same. */
    kit_do(&kit, open_op(user, 7, 60, true));
    assert_int_equal(kit_message(&kit, user, 1, 1).target_uid, 50);
    /* Another one that holds mail: the copies may be there, under other UIDs. */
    kit_do(&kit, open_op(user, 8, 60, false));
    assert_int_equal(kit_message(&kit, user, 1, 1).target_uid, 0);
    assert_int_equal(kit_message(&kit, user, 1, 2).target_uid_from, 0);
    /* Another one that is empty: they are not. What is sent now is. */
    kit_do(&kit, open_op(user, 9, 1, true));
    kit_do(&kit, uploaded_op(user, 3, 0));
    assert_int_equal(kit_message(&kit, user, 1, 1).target_uid_from, MESSAGE_NOT_THERE);
    assert_int_equal(kit_message(&kit, user, 1, 2).target_uid_from, MESSAGE_NOT_THERE);
    assert_int_equal(kit_message(&kit, user, 1, 9000).target_uid_from, MESSAGE_NOT_THERE);
    assert_int_equal(kit_message(&kit, user, 1, 3).target_uid_from, 1);
    assert_int_equal(kit_faults(&kit, NULL), 0);
    kit_deinit(&kit);
}

static void what_was_sent_without_an_answer(void **state)
{
    struct store_op *op;
    struct kit kit;
    uint32_t user;

    kit_folder(&kit);
    kit_open(&kit);
    user = kit_user(&kit, "a@example.edu");
    kit_unwaited(&kit, kit_folder_op(user, 1));
    kit_do(&kit, kit_found_op(user, 1, 1, 3));
    for (uint32_t uid = 1; uid <= 2; uid++)
        spool_message(&kit, user, uid, uid, 1000);
    for (unsigned i = 0; i < 2; i++) {
        op = store_op_new(STORE_OP_UNANSWERED, user, 1);
        op->unanswered.count = 4; /* one that is not sent, and one that is not known */
        op->unanswered.uids = mem_zero(4, sizeof *op->unanswered.uids);
        for (uint32_t uid = 1; uid <= 4; uid++)
            op->unanswered.uids[uid - 1] = uid;
        kit_do(&kit, op);
    }
    assert_int_equal(kit_message(&kit, user, 1, 1).unanswered, 2);
    assert_int_equal(kit_message(&kit, user, 1, 3).unanswered, 0);
    kit_do(&kit, uploaded_op(user, 1, 50));
    assert_int_equal(kit_message(&kit, user, 1, 1).unanswered, 2);
    op = uploaded_op(user, 2, 51);
    op->end.ends[0].found = true;
    kit_do(&kit, op);
    assert_int_equal(kit_message(&kit, user, 1, 2).unanswered, 1);
    for (unsigned i = 0; i < 2; i++) {
        op = store_op_new(STORE_OP_DOOM, user, 1);
        op->doom.uid = 1;
        op->doom.doomed_uid = i ? 0 : 52;
        op->doom.removed = i;
        kit_do(&kit, op);
        assert_int_equal(kit_message(&kit, user, 1, 1).doomed_uid, i ? 0 : 52);
        assert_int_equal(kit_message(&kit, user, 1, 1).unanswered, i ? 1 : 2);
        assert_int_equal(kit_message(&kit, user, 1, 1).target_uid, 50);
    }
    assert_int_equal(kit_faults(&kit, NULL), 0);
    kit_deinit(&kit);
}

static void follow(struct kit *kit, uint32_t user, uint32_t uid, enum store_follow_what what, unsigned flags,
                   const char *keywords, uint64_t modseq)
{
    struct store_op *op = store_op_new(STORE_OP_FOLLOW, user, 1);

    op->text = mem_text(keywords);
    op->follow.all = mem_zero(1, sizeof *op->follow.all);
    op->follow.count = uid ? 1 : 0;
    op->follow.all[0] =
        (struct store_follow){ uid, what, { .system = (uint8_t)flags, .keywords = slice_cstr(op->text) } };
    op->follow.modseq = modseq;
    kit_do(kit, op);
}

struct followed {
    struct follow_record all[8];
    char now[8][40], next[8][40];
    unsigned count;
};

static bool followed_one(void *context, const struct follow_record *f)
{
    struct followed *all = context;

    snprintf(all->now[all->count], 40, "%.*s", (int)f->now.keywords.size, f->now.keywords.data);
    snprintf(all->next[all->count], 40, "%.*s", (int)f->next.keywords.size, f->next.keywords.data);
    all->all[all->count++] = *f;
    return true;
}

static struct followed followed(struct kit *kit, uint32_t user)
{
    struct followed all = { .count = 0 };
    struct err err;

    assert_true(reader_follows(kit->reader, user, 1, 0, followed_one, &all, &err));
    return all;
}

static void what_became_of_messages(void **state)
{
    struct message_record m;
    struct followed f;
    struct kit kit;
    uint32_t user;

    kit_folder(&kit);
    kit_open(&kit);
    user = kit_user(&kit, "a@example.edu");
    kit_unwaited(&kit, kit_folder_op(user, 1));
    kit_do(&kit, kit_found_op(user, 1, 1, 4));
    spool_message(&kit, user, 1, 1, 1000);
    kit_do(&kit, uploaded_op(user, 1, 50));
    assert_int_equal(followed(&kit, user).count, 0);
    /* Wanted, of the message and of one that is not there yet; not of one that is unknown. */
    follow(&kit, user, 1, STORE_FOLLOW_WANTS, 1, "work", 0);
    follow(&kit, user, 2, STORE_FOLLOW_WANTS, 2, "", 7);
    follow(&kit, user, 9, STORE_FOLLOW_WANTS, 2, "", 0);
    f = followed(&kit, user);
    assert_int_equal(f.count, 3);
    assert_int_equal(f.all[0].modseq, 7);
    assert_true(f.all[1].wanted && !f.all[1].followed && f.all[1].next.system == 1);
    assert_string_equal(f.next[1], "work");
    /* The target has what was wanted once; the source has changed it again. */
    follow(&kit, user, 1, STORE_FOLLOW_WANTS, 3, "work home", 0);
    follow(&kit, user, 1, STORE_FOLLOW_DONE, 1, "work", 0);
    f = followed(&kit, user);
    assert_true(f.all[1].wanted && f.all[1].followed && f.all[1].now.system == 1 && f.all[1].next.system == 3);
    assert_string_equal(f.now[1], "work");
    follow(&kit, user, 1, STORE_FOLLOW_DONE, 3, "work home", 0);
    f = followed(&kit, user);
    assert_true(!f.all[1].wanted && f.all[1].now.system == 3);
    /* It goes back to be sent again: with the newest flags. */
    assert_int_equal(kit_message(&kit, user, 1, 1).flags, 0);
    kit_do(&kit, kit_end_op(user, 1, 1, MESSAGE_FOUND));
    m = kit_message(&kit, user, 1, 1);
    assert_int_equal(m.flags, 3);
    assert_int_equal(followed(&kit, user).count, 2);
    /* What is as it was needs no record; one that is left behind has none. */
    follow(&kit, user, 2, STORE_FOLLOW_SAME, 0, "", 0);
    follow(&kit, user, 3, STORE_FOLLOW_WANTS, 2, "", 0);
    kit_do(&kit, kit_end_op(user, 1, 3, MESSAGE_SKIPPED));
    follow(&kit, user, 3, STORE_FOLLOW_WANTS, 2, "", 0);
    assert_int_equal(followed(&kit, user).count, 1);
    follow(&kit, user, 2, STORE_FOLLOW_GONE, 0, "", 0);
    f = followed(&kit, user);
    assert_true(f.count == 2 && f.all[1].gone && f.all[1].uid == 2);
    assert_int_equal(kit_faults(&kit, NULL), 0);
    /* The folder is forgotten, and all of this with it. */
    kit_do(&kit, store_op_new(STORE_OP_FORGET, user, 1));
    assert_int_equal(followed(&kit, user).count, 0);
    assert_int_equal(kit_faults(&kit, NULL), 0);
    kit_deinit(&kit);
}

/* ---- commits that fail ------------------------------------------------------------------------
 */

struct fault {
    int left, rc; /* commits that still pass; what the others get */
};

static int strike(void *context)
{
    struct fault *fault = context;

    return fault->left-- > 0 ? 0 : fault->rc;
}

/* Opens a new spool in which one user's folder has UIDs 1 to 5; returns the user. */
static uint32_t five_rows(struct kit *kit)
{
    uint32_t user;

    kit_folder(kit);
    kit_open(kit);
    user = kit_user(kit, "a@example.edu");
    kit_do(kit, kit_folder_op(user, 1));
    kit_do(kit, kit_found_op(user, 1, 1, 5));
    return user;
}

static void a_broken_disk_acknowledges_nothing_and_ends_the_spool(void **state)
{
    struct fault fault = { .left = 1, .rc = EIO };
    struct kit kit;
    struct err err;
    uint32_t user;

    kit_folder(&kit);
    kit_open(&kit);
    user = kit_user(&kit, "a@example.edu");
    kit_do(&kit, kit_folder_op(user, 1));
    state_dir_pretend(STATE_DIR_DISK_ROOMY);
    journal_fault(strike, &fault);
    kit_do(&kit, kit_found_op(user, 1, 1, 5));
    assert_false(kit_try(&kit, kit_found_op(user, 1, 6, 5), &err));
    assert_int_equal(err.class, ERR_CLASS_PERMANENT);
    assert_int_equal(err.scope, ERR_SCOPE_RUN);
    /* All that comes later is refused too: nothing may overtake what was lost. */
    journal_fault(NULL, NULL);
    assert_false(kit_try(&kit, kit_end_op(user, 1, 1, MESSAGE_SKIPPED), &err));
    state_dir_pretend(STATE_DIR_DISK_REAL);
    kit_close(&kit);
    kit_open(&kit);
    assert_int_equal(kit_tally(&kit, user, 1).found, 5);
    assert_int_equal(kit_message(&kit, user, 1, 1).state, MESSAGE_FOUND);
    assert_int_equal(kit_faults(&kit, NULL), 0);
    kit_deinit(&kit);
}

static void a_full_disk_lets_uploads_free_room_and_then_goes_on(void **state)
{
    struct fault fault = { .left = 0, .rc = ENOSPC };
    struct kit_answer answer = { .lock = PTHREAD_MUTEX_INITIALIZER, .told = PTHREAD_COND_INITIALIZER };
    struct store_op *op;
    struct kit kit;
    uint32_t user;

    user = five_rows(&kit);
    spool_message(&kit, user, 1, 1, 5000);
    journal_fault(strike, &fault);
    op = kit_found_op(user, 1, 6, 5);
    op->context = &answer;
    op->done = kit_told;
    writer_submit(kit.writer, op);
    /* Until the writer has seen that the disk is full. */
    while (!atomic_load(&kit.spool->draining))
        usleep(1000);
    journal_fault(NULL, NULL);
    kit_do(&kit, kit_end_op(user, 1, 1, MESSAGE_UPLOADED));
    pthread_mutex_lock(&answer.lock);
    while (!answer.done)
        pthread_cond_wait(&answer.told, &answer.lock);
    pthread_mutex_unlock(&answer.lock);
    assert_false(answer.failed);
    assert_int_equal(kit_tally(&kit, user, 1).found, 10);
    assert_int_equal(kit_tally(&kit, user, 1).uploaded, 1);
    assert_int_equal(kit_faults(&kit, NULL), 0);
    kit_deinit(&kit);
}

static void a_disk_that_stays_full_is_told_and_loses_nothing(void **state)
{
    struct fault fault = { .left = 0, .rc = ENOSPC };
    struct kit kit;
    struct err err;
    uint32_t user;

    user = five_rows(&kit);
    writer_set_patience(kit.writer, 50);
    journal_fault(strike, &fault);
    assert_false(kit_try(&kit, kit_found_op(user, 1, 6, 5), &err));
    assert_int_equal(err.class, ERR_CLASS_TRANSIENT);
    assert_int_equal(err.code, ENOSPC);
    assert_non_null(strstr(err.server_text, "no space left"));
    assert_non_null(strstr(err.server_text, kit.state));
    journal_fault(NULL, NULL);
    kit_close(&kit);
    kit_open(&kit);
    assert_int_equal(kit_tally(&kit, user, 1).found, 5);
    kit_do(&kit, kit_found_op(user, 1, 6, 5));
    assert_int_equal(kit_tally(&kit, user, 1).found, 10);
    assert_int_equal(kit_faults(&kit, NULL), 0);
    kit_deinit(&kit);
}

static struct store_op *user_op(uint32_t user, enum user_state state)
{
    struct store_op *op = store_op_new(STORE_OP_USER, user, 0);

    op->text = mem_text("a@example.edu");
    op->user_record.address = op->user_record.user_name = slice_cstr(op->text);
    op->user_record.id = user;
    op->user_record.state = state;
    return op;
}

static bool take_state(void *context, const struct user_record *user)
{
    *(enum user_state *)context = user->state;
    return true;
}

/* The engine has uploaded everything and says so; the journal could not be told of two messages. */
static void nobody_is_synced_after_something_was_lost(void **state)
{
    struct fault fault = { .left = 0, .rc = ENOSPC };
    enum user_state was = USER_FAILED;
    struct kit kit;
    struct err err;
    uint32_t user;

    user = five_rows(&kit);
    writer_set_patience(kit.writer, 50);
    kit_do(&kit, user_op(user, USER_SYNCING));
    journal_fault(strike, &fault);
    assert_false(kit_try(&kit, kit_found_op(user, 1, 6, 5), &err));
    journal_fault(NULL, NULL);
    assert_false(kit_try(&kit, user_op(user, USER_SYNCED), &err));
    assert_int_equal(err.code, ENOSPC);
    assert_true(reader_users(kit.reader, take_state, &was, &err));
    assert_int_equal(was, USER_SYNCING);
    kit_do(&kit, user_op(user, USER_FAILED));
    assert_true(reader_users(kit.reader, take_state, &was, &err));
    assert_int_equal(was, USER_FAILED);
    kit_deinit(&kit);
}

struct order {
    enum store_op_kind kinds[4];
    bool failed[4];
    unsigned count;
};

static void orders(struct store_op *op, const struct err *err)
{
    struct order *order = op->context;

    order->failed[order->count] = err != NULL;
    order->kinds[order->count++] = op->kind;
    store_op_free(op);
}

static void kit_ordered(struct kit *kit, struct store_op *op, struct order *order)
{
    op->context = order;
    op->done = orders;
    writer_submit(kit->writer, op);
}

/* Who flushes before it goes is gone when it is answered: what it had under way must be answered
 * before, also where the flush itself is refused. */
static void after_a_loss_all_are_still_answered_in_order(void **state)
{
    struct fault fault = { .left = 0, .rc = ENOSPC };
    struct order order = { .count = 0 };
    struct kit kit;
    struct err err;
    uint32_t user;

    user = five_rows(&kit);
    writer_set_patience(kit.writer, 50);
    journal_fault(strike, &fault);
    assert_false(kit_try(&kit, kit_found_op(user, 1, 6, 5), &err));
    journal_fault(NULL, NULL);
    writer_stop(kit.writer);
    pthread_join(kit.thread, NULL);
    kit_ordered(&kit, store_op_meta_text("pace", "x"), &order);
    kit_ordered(&kit, kit_end_op(user, 1, 1, MESSAGE_SKIPPED), &order);
    kit_ordered(&kit, store_op_new(STORE_OP_FLUSH, 0, 0), &order);
    kit_writes(&kit);
    assert_int_equal(order.count, 3);
    assert_int_equal(order.kinds[2], STORE_OP_FLUSH);
    assert_false(order.failed[0] || order.failed[1]);
    assert_true(order.failed[2]);
    assert_int_equal(pthread_create(&kit.thread, NULL, kit_writes, &kit), 0);
    assert_int_equal(kit_tally(&kit, user, 1).skipped, 1);
    kit_deinit(&kit);
}

static int counts(void *context)
{
    (*(_Atomic unsigned *)context)++;
    return 0;
}

/* On a slow disk whoever waits would wait for two commits, and the first holds what nobody asked about. */
static void what_nobody_waits_for_starts_no_commit(void **state)
{
    const unsigned rounds = 20;
    _Atomic unsigned commits = 0;
    struct kit kit;

    kit_folder(&kit);
    kit_open(&kit);
    kit_flush(&kit);
    journal_fault(counts, &commits);
    for (unsigned i = 0; i < rounds; i++) {
        kit_unwaited(&kit, store_op_meta_text("status.live", "x"));
        usleep(20000); /* the writer has slept for longer than after a commit */
        kit_flush(&kit);
    }
    /* One each; a machine that stands still for half a second may make it one more. */
    assert_true(commits < rounds + rounds / 2);
    assert_true(commits >= rounds);
    kit_unwaited(&kit, store_op_meta_text("status.live", "y"));
    while (writer_pressure(kit.writer))
        usleep(1000);
    assert_true(commits > rounds);
    journal_fault(NULL, NULL);
    kit_deinit(&kit);
}

/* ---- the end ---------------------------------------------------------------------------------- */

struct talker {
    struct writer *writer;
    unsigned told;
};

static void tells(void *context)
{
    struct talker *t = context;

    if (t->told++ < 100)
        writer_submit(t->writer, store_op_meta_text("batch.live", "x"));
}

/* As on a disk so slow that each commit lasts longer than a tick. */
static void a_stopped_writer_ends_although_its_ticks_write(void **state)
{
    struct talker t = { 0 };
    struct slice value;
    struct kit kit;
    struct err err;

    kit_folder(&kit);
    kit_open(&kit);
    t.writer = writer_create(kit.spool);
    writer_stop(kit.writer);
    pthread_join(kit.thread, NULL);
    writer_submit(t.writer, store_op_meta_text("batch.state", "Synced"));
    writer_stop(t.writer);
    writer_run(t.writer, tells, &t, 0);
    assert_int_equal(t.told, 0);
    assert_true(spool_meta_get(kit.spool, "batch.state", &value, &err));
    assert_true(slice_equal(value, SLICE("Synced")));
    free((char *)value.data);
    writer_destroy(&kit.writer);
    kit.writer = t.writer;
    assert_int_equal(pthread_create(&kit.thread, NULL, kit_writes, &kit), 0);
    kit_deinit(&kit);
}

/* ---- remarks ----------------------------------------------------------------------------------
 */

static bool count_failures(void *context, const struct failure_record *failure)
{
    uint64_t *sums = context;

    sums[0]++;
    sums[1] += failure->count;
    return true;
}

static void equal_failures_are_counted_and_their_number_is_bounded(void **state)
{
    uint64_t sums[2] = { 0 };
    struct kit kit;
    struct err err;
    uint32_t user;

    kit_folder(&kit);
    kit_open(&kit);
    user = kit_user(&kit, "a@example.edu");
    for (unsigned i = 0; i < REMARK_FAILURES_MAX + 500; i++) {
        struct store_op *op = store_op_new(STORE_OP_FAILURE, user, 0);

        snprintf(op->failure.type, sizeof op->failure.type, "ParseError");
        snprintf(op->failure.server_text, sizeof op->failure.server_text, "answer %u", i / 2);
        op->failure.count = 1;
        op->failure.uid = i + 1;
        kit_unwaited(&kit, op);
    }
    for (unsigned i = 0; i < REMARK_FAILURES_MAX; i++) {
        struct store_op *op = store_op_new(STORE_OP_FAILURE, user, 0);

        snprintf(op->failure.type, sizeof op->failure.type, "SelectFailed");
        snprintf(op->failure.server_text, sizeof op->failure.server_text, "other answer %u", i);
        op->failure.count = 1;
        kit_unwaited(&kit, op);
    }
    kit_flush(&kit);
    assert_true(reader_failures(kit.reader, user, count_failures, sums, &err));
    assert_true(sums[0] <= REMARK_FAILURES_MAX + 1);
    assert_int_equal(sums[1], REMARK_FAILURES_MAX * 2 + 500);
    assert_int_equal(kit_faults(&kit, NULL), 0);
    kit_deinit(&kit);
}

static void say(struct kit *kit, enum store_op_kind kind, uint32_t user, struct problem_record problem)
{
    struct store_op *op = store_op_new(kind, user, problem.folder);

    op->problem = problem;
    kit_unwaited(kit, op);
}

static bool spell_problem(void *context, const struct problem_record *p)
{
    char *out = context;

    sprintf(out + strlen(out), "%u %s %s %d %d;", p->folder, p->type, p->text, p->doubt, (int)p->count);
    return true;
}

static const char *problems(struct kit *kit, uint32_t user, char out[1000])
{
    struct err err;

    kit_flush(kit);
    out[0] = '\0';
    assert_true(reader_problems(kit->reader, user, spell_problem, out, &err));
    return out;
}

/* What a pass begins with drops remarks; a doubt goes only when that is said. */
static void a_doubt_outlives_runs_until_it_is_said_anew_or_cleared(void **state)
{
    struct kit kit;
    uint32_t user, other;
    char out[1000];

    kit_folder(&kit);
    kit_open(&kit);
    user = kit_user(&kit, "a@example.edu");
    other = kit_user(&kit, "b@example.edu");
    say(&kit, STORE_OP_PROBLEM, user,
        (struct problem_record){ 1, "LateCopy", "as an old version says it", "", false, 0 });
    say(&kit, STORE_OP_PROBLEM, user, (struct problem_record){ 1, "FolderRenamed", "x", "", false, 0 });
    say(&kit, STORE_OP_DOUBT, user, (struct problem_record){ 1, "LateCopy", "two", "", true, 2 });
    say(&kit, STORE_OP_DOUBT, user, (struct problem_record){ 2, "LateCopy", "one", "", true, 1 });
    say(&kit, STORE_OP_DOUBT, other, (struct problem_record){ 1, "LateCopy", "one", "", true, 1 });
    say(&kit, STORE_OP_CLEAR_REMARKS, user, (struct problem_record){ 0 });
    assert_string_equal(problems(&kit, user, out), "1 LateCopy two 1 2;2 LateCopy one 1 1;");
    say(&kit, STORE_OP_DOUBT, user, (struct problem_record){ 1, "LateCopy", "five", "", true, 5 });
    say(&kit, STORE_OP_CLEAR_PROBLEMS, user, (struct problem_record){ 0 });
    assert_string_equal(problems(&kit, user, out), "1 LateCopy five 1 5;2 LateCopy one 1 1;");
    say(&kit, STORE_OP_DOUBT, user, (struct problem_record){ 1, "LateCopy", "", "", false, 0 });
    assert_string_equal(problems(&kit, user, out), "2 LateCopy one 1 1;");
    assert_string_equal(problems(&kit, other, out), "1 LateCopy one 1 1;");
    assert_int_equal(kit_faults(&kit, NULL), 0);
    kit_deinit(&kit);
}

struct course {
    unsigned count;
    int64_t first, last;
};

static bool count_samples(void *context, int64_t wall_ms, const uint64_t values[12])
{
    struct course *course = context;

    if (course->count++ == 0)
        course->first = wall_ms;
    assert_true(wall_ms > course->last);
    assert_int_equal(values[0], (uint64_t)wall_ms);
    course->last = wall_ms;
    return true;
}

static void the_timeline_is_thinned_and_keeps_both_ends(void **state)
{
    const int64_t steps = 3 * REMARK_SAMPLES_MAX;
    struct course course = { 0 };
    struct kit kit;
    struct err err;

    kit_folder(&kit);
    kit_open(&kit);
    for (int64_t i = 1; i <= steps; i++) {
        struct store_op *op = store_op_new(STORE_OP_SAMPLE, 0, 0);

        op->sample.wall_ms = i * 1000;
        op->sample.values[0] = (uint64_t)i * 1000;
        kit_unwaited(&kit, op);
    }
    kit_flush(&kit);
    assert_true(reader_samples(kit.reader, count_samples, &course, &err));
    assert_true(course.count <= REMARK_SAMPLES_MAX);
    assert_true(course.count >= REMARK_SAMPLES_MAX / 4);
    assert_int_equal(course.last, steps * 1000);
    assert_true(course.first <= steps * 1000 / 50);
    kit_deinit(&kit);
}

static void a_reader_that_holds_sees_one_instant(void **state)
{
    struct kit kit;
    struct reader *fresh, *reader;
    struct tally t;
    struct err err;
    uint32_t user;

    (void)state;
    kit_folder(&kit);
    kit_open(&kit);
    user = kit_user(&kit, "a@example.edu");
    kit_unwaited(&kit, kit_folder_op(user, 1));
    kit_do(&kit, kit_found_op(user, 1, 1, 6));
    assert_true(reader_hold(kit.reader, &err));
    kit_do(&kit, kit_end_op(user, 1, 6, MESSAGE_SKIPPED));
    t = kit_tally(&kit, user, 1);
    assert_int_equal(t.skipped, 0);
    assert_int_equal(kit_message(&kit, user, 1, 6).state, MESSAGE_FOUND);
    reader = kit.reader;
    assert_true(reader_create(kit.spool, &fresh, &err));
    kit.reader = fresh;
    t = kit_tally(&kit, user, 1);
    assert_int_equal(t.skipped, 1);
    reader_destroy(&reader);
    kit_deinit(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_legal_changes_are_allowed),
        cmocka_unit_test(the_tally_follows_every_change),
        cmocka_unit_test(a_row_told_twice_counts_once),
        cmocka_unit_test(equal_bodies_are_stored_once_until_the_last_goes),
        cmocka_unit_test(a_forgotten_folder_leaves_nothing),
        cmocka_unit_test(what_was_sent_in_doubt_says_so),
        cmocka_unit_test(uids_go_with_the_target_folder),
        cmocka_unit_test(what_was_sent_without_an_answer),
        cmocka_unit_test(what_became_of_messages),
        cmocka_unit_test(a_broken_disk_acknowledges_nothing_and_ends_the_spool),
        cmocka_unit_test(a_full_disk_lets_uploads_free_room_and_then_goes_on),
        cmocka_unit_test(a_disk_that_stays_full_is_told_and_loses_nothing),
        cmocka_unit_test(nobody_is_synced_after_something_was_lost),
        cmocka_unit_test(after_a_loss_all_are_still_answered_in_order),
        cmocka_unit_test(what_nobody_waits_for_starts_no_commit),
        cmocka_unit_test(a_stopped_writer_ends_although_its_ticks_write),
        cmocka_unit_test(equal_failures_are_counted_and_their_number_is_bounded),
        cmocka_unit_test(a_doubt_outlives_runs_until_it_is_said_anew_or_cleared),
        cmocka_unit_test(the_timeline_is_thinned_and_keeps_both_ends),
        cmocka_unit_test(a_reader_that_holds_sees_one_instant),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
