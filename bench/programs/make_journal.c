/* mailhaul-journal: makes the state folder of a batch that never was, so that reports of thousands
 * of users can be looked at and measured without moving their mail.
 *
 *   mailhaul-journal STATE [--users N] [--messages M] [--hostile]
 *
 * The same numbers give the same journal but for its dates, which end a few minutes ago. --messages:
 * so many about, for every user, instead of a few dozen. All goes through the store's own writer, so
 * the account balances as a real one does. --hostile: a user whose every text tries to become
 * markup, script or a formula.
 */
#include "engine/failure/advice.h"
#include "engine/move/sample.h"
#include "engine/move/stall.h"
#include "io/base/mem.h"
#include "io/base/now.h"
#include "store/spool.h"
#include "store/writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define USERS_MAX       100000u
#define USERS_AT_ONCE   100u   /* between two turns of the writer: bounds what waits in memory */
#define ROWS_AT_ONCE    1000u  /* of a folder in one operation */
#define ROWS_WAIT_MAX   20000u /* then the writer has its turn */
#define NIGHT_MS        (9 * 3600 * 1000)
#define SAMPLES         1800u
#define FOLDERS_A_USER  11u
#define MESSAGES_LEAST  8u
#define MESSAGES_SPREAD 90u
#define MESSAGES_MAX    1000000u
#define HOSTILE                                                                                                        \
    "</script><script>document.title='owned'</script><img src=x "                                                      \
    "onerror=\"document.title='owned'\">"                                                                              \
    "&amp;'\"` \xe2\x80\xae"                                                                                           \
    "evil\xe2\x80\xac ${7*7} {{7*7}}"

struct maker {
    struct spool *spool;
    struct writer *writer;
    uint64_t random;
    int64_t begun_ms;
    unsigned users, messages;
    unsigned rows_waiting;
    bool hostile;
};

static uint32_t draw(struct maker *m, uint32_t below)
{
    m->random = m->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((m->random >> 33) % below);
}

static void flush(struct maker *m)
{
    writer_stop(m->writer);
    writer_run(m->writer, NULL, NULL, 1000);
    m->rows_waiting = 0;
}

static void put_meta(struct maker *m, const char *name, const char *value)
{
    writer_submit(m->writer, store_op_meta_text(name, value));
}

static void put_number(struct maker *m, const char *name, int64_t value)
{
    char text[32];

    snprintf(text, sizeof text, "%" PRId64, value);
    put_meta(m, name, text);
}

/* ---- folders and messages ------------------------------------------------------------------- */

static const struct {
    const char *source, *target, *role;
    unsigned share; /* of a user's messages, per cent */
} folders[FOLDERS_A_USER] = {
    { "INBOX", "INBOX", "inbox", 34 },
    { "Sent Messages", "Sent Items", "sent", 18 },
    { "Drafts", "Drafts", "drafts", 2 },
    { "Trash", "", "trash", 8 },
    { "Junk", "Junk Email", "junk", 3 },
    { "Archive/2023", "Archive/2023", "", 12 },
    { "Archive/2024", "Archive/2024", "", 10 },
    { "Projekte/Übung & Prüfung", "Projekte/Übung & Prüfung", "", 6 },
    { "Lists/announce", "Lists/announce", "", 4 },
    { "Calendar", "Calendar (mail)", "", 1 },
    { "Notes", "Notes", "", 2 },
};

/* finished: a run has read all its messages, and the target has counted them. */
static void put_folder(struct maker *m, uint32_t user, uint32_t folder, unsigned messages, bool finished, bool hostile)
{
    struct store_op *op = store_op_new(STORE_OP_FOLDER, user, folder);
    struct folder_record *r = &op->folder_record;
    const char *source = hostile && folder == 2 ? HOSTILE : folders[folder - 1].source;
    const char *target = hostile && folder == 2 ? HOSTILE "2" : folders[folder - 1].target;
    size_t n = strlen(source), k = strlen(target);

    op->text = mem_alloc(n + k + 1);
    memcpy(op->text, source, n);
    memcpy(op->text + n, target, k);
    r->user = user;
    r->folder = folder;
    r->uidvalidity = 1;
    r->delimiter = '/';
    r->excluded = target[0] == '\0';
    r->target_scanned = r->target_counted = finished;
    if (finished) {
        r->status_messages = messages;
        r->uidnext_listed = r->status_uidnext = messages + 1;
    }
    r->source_raw = r->source_name = slice_of(op->text, n);
    r->target_raw = r->target_name = slice_of(op->text + n, k);
    snprintf(r->role, sizeof r->role, "%s", folders[folder - 1].role);
    writer_submit(m->writer, op);
}

static void put_count(struct maker *m, uint32_t user, uint32_t folder, unsigned messages)
{
    struct store_op *op = store_op_new(STORE_OP_COUNT, user, folder);

    op->count.messages = messages;
    op->count.bytes = messages * 52000ull;
    writer_submit(m->writer, op);
}

static void end_messages(struct maker *m, uint32_t user, uint32_t folder, unsigned from, unsigned count,
                         enum message_state state)
{
    struct store_op *op = store_op_new(STORE_OP_END, user, folder);

    op->end.ends = mem_zero(count, sizeof *op->end.ends);
    op->end.count = count;
    for (unsigned i = 0; i < count; i++)
        op->end.ends[i] = (struct store_end){ .uid = from + i, .state = state };
    writer_submit(m->writer, op);
}

static void spool_message(struct maker *m, uint32_t user, uint32_t folder, unsigned uid, uint64_t bytes)
{
    struct store_op *op = store_op_new(STORE_OP_SPOOLED, user, folder);

    op->body.body = spool_next_body(m->spool);
    op->body.last = true;
    op->body.data = mem_text("-"); /* never read */
    op->body.size = 1;
    op->body.uid = uid;
    op->body.body_bytes = bytes;
    writer_submit(m->writer, op);
}

static const char *const subjects[] = { "Quarterly report and all slides", "AW: Fotos vom Betriebsausflug",
                                        "Backup of the old website",       "Re: Drawings, revision 7",
                                        "Video: Aufzeichnung der Sitzung", "Scans" };

/* How a user ends. */
struct fate {
    enum user_state state;
    const char *failure;
    unsigned large, failed, present; /* messages in INBOX */
    unsigned moved;                  /* per cent of the messages that got their end */
};

/* Of one folder, in the order of UIDs: moved, present, failed, large, and what is left waits. */
struct share {
    unsigned moved, present, failed, large;
};

/* How many of [from, to) lie within [begin, begin + count)? *first_r is the first of them. */
static unsigned within(unsigned from, unsigned to, unsigned begin, unsigned count, unsigned *first_r)
{
    unsigned end = begin + count < to ? begin + count : to;

    *first_r = begin > from ? begin : from;
    return end > *first_r ? end - *first_r : 0;
}

/* The messages [from, to) of a folder, counted from 0. */
static void fill_rows(struct maker *m, uint32_t user, uint32_t folder, const struct share *share, unsigned from,
                      unsigned to, bool hostile)
{
    struct store_op *op = store_op_new(STORE_OP_FOUND, user, folder);
    unsigned count = to - from, large_from = share->moved + share->present + share->failed, first, n;
    uint64_t *sizes = mem_zero(count, sizeof *sizes);

    op->found.rows = mem_zero(count, sizeof *op->found.rows);
    op->found.notes = mem_zero(count, sizeof *op->found.notes);
    op->found.count = count;
    op->found.uidnext_listed = to + 1;
    for (unsigned i = 0; i < count; i++) {
        struct message_record *row = &op->found.rows[i];
        bool is_large = from + i >= large_from && from + i - large_from < share->large;

        row->uid = from + i + 1;
        row->state = is_large ? MESSAGE_SKIPPED : MESSAGE_FOUND;
        row->reason = is_large ? SKIP_LARGER_THAN_LIMIT : SKIP_NONE;
        row->date_known = true;
        row->date_seconds = 1500000000 + (int64_t)draw(m, 200000000);
        row->listed_bytes = is_large ? 36000000 + draw(m, 90000000) : 2000 + draw(m, 160000);
        sizes[i] = row->listed_bytes;
        if (is_large)
            snprintf(op->found.notes[i].subject, sizeof op->found.notes[i].subject, "%s",
                     hostile ? HOSTILE : subjects[draw(m, 6)]);
    }
    writer_submit(m->writer, op);
    n = within(from, to, 0, share->moved, &first);
    for (unsigned i = 0; i < n; i++)
        spool_message(m, user, folder, first + i + 1, sizes[first + i - from]);
    if (n)
        end_messages(m, user, folder, first + 1, n, MESSAGE_UPLOADED);
    if ((n = within(from, to, share->moved, share->present, &first)))
        end_messages(m, user, folder, first + 1, n, MESSAGE_PRESENT);
    if ((n = within(from, to, share->moved + share->present, share->failed, &first)))
        end_messages(m, user, folder, first + 1, n, MESSAGE_FAILED);
    free(sizes);
    m->rows_waiting += count;
    if (m->rows_waiting >= ROWS_WAIT_MAX)
        flush(m);
}

static void fill_folder(struct maker *m, uint32_t user, uint32_t folder, unsigned count, const struct fate *fate,
                        bool hostile)
{
    struct share share = { 0 };

    if (folder == 1) {
        share.large = fate->large < count ? fate->large : 0;
        share.failed = fate->failed + share.large < count ? fate->failed : 0;
        share.present = fate->present + share.failed + share.large < count ? fate->present : 0;
    }
    share.moved = (unsigned)((uint64_t)(count - share.large - share.failed - share.present) * fate->moved / 100);
    for (unsigned from = 0; from < count; from += ROWS_AT_ONCE)
        fill_rows(m, user, folder, &share, from, count - from > ROWS_AT_ONCE ? from + ROWS_AT_ONCE : count, hostile);
}

/* ---- users ---------------------------------------------------------------------------------- */

static void put_failure(struct maker *m, uint32_t user, const char *address, const char *type, enum err_class class,
                        enum failure_side side, const char *doing, const char *text, const char *folder, uint32_t uid,
                        uint32_t count)
{
    struct store_op *op = store_op_new(STORE_OP_FAILURE, user, 1);
    struct failure_record *f = &op->failure;

    f->first_ms = m->begun_ms + draw(m, NIGHT_MS / 2);
    f->last_ms = f->first_ms + (count > 1 ? draw(m, NIGHT_MS / 3) : 0);
    f->count = count;
    f->folder = folder[0] ? 1 : 0;
    f->uid = uid;
    f->class = (uint8_t) class;
    f->side = (uint8_t)side;
    snprintf(f->type, sizeof f->type, "%s", type);
    snprintf(f->doing, sizeof f->doing, "%s", doing);
    snprintf(f->server_text, sizeof f->server_text, "%s", text);
    snprintf(f->folder_name, sizeof f->folder_name, "%s", folder);
    advice_line(type, slice_cstr(address), f->advice, sizeof f->advice);
    writer_submit(m->writer, op);
}

static void put_problem(struct maker *m, uint32_t user, uint32_t folder, const char *type, const char *text)
{
    struct store_op *op = store_op_new(STORE_OP_PROBLEM, user, folder);
    const struct advice *advice = advice_find(type);

    op->problem.folder = folder;
    snprintf(op->problem.type, sizeof op->problem.type, "%s", type);
    snprintf(op->problem.text, sizeof op->problem.text, "%s", text);
    snprintf(op->problem.remedy, sizeof op->problem.remedy, "%s", advice->remedy);
    writer_submit(m->writer, op);
}

static struct fate fate_of(struct maker *m, uint32_t user)
{
    struct fate fate = { .state = USER_SYNCED, .failure = "", .moved = 100 };
    unsigned lot = draw(m, 1000);

    if (lot < 4)
        fate = (struct fate){ USER_FAILED, "LoginFailed", 0, 0, 0, 0 };
    else if (lot < 8)
        fate = (struct fate){ USER_FAILED, "TooManyLargeItems", 1 + lot % 4, 0, 0, 100 };
    else if (lot < 10)
        fate = (struct fate){ USER_FAILED, "TooManyBadItems", 0, 2, 0, 100 };
    else if (lot < 12)
        fate = (struct fate){ USER_FAILED, "QuotaExceeded", 0, 0, 0, 60 };
    else if (lot < 13)
        fate = (struct fate){ USER_FAILED, "MailboxNotFound", 0, 0, 0, 0 };
    else if (lot < 14)
        fate = (struct fate){ USER_FAILED, "InvalidMailboxName", 0, 0, 0, 100 };
    else if (lot < 26)
        fate = (struct fate){ USER_STOPPED, "", 0, 0, 0, 20 + draw(m, 70) };
    else if (lot < 60)
        fate.present = 3 + draw(m, 8);
    if (user > m->users - m->users / 100)
        fate = (struct fate){ USER_QUEUED, "", 0, 0, 0, 0 };
    return fate;
}

static void failures_of(struct maker *m, uint32_t user, const char *address, const struct fate *fate)
{
    const char *type = fate->failure;

    if (strcmp(type, "LoginFailed") == 0)
        put_failure(m, user, address, type, ERR_CLASS_PERMANENT, FAILURE_SOURCE, "LOGIN",
                    "[AUTHENTICATIONFAILED] Authentication failed.", "", 0, 1);
    else if (strcmp(type, "QuotaExceeded") == 0)
        put_failure(m, user, address, type, ERR_CLASS_PERMANENT, FAILURE_TARGET, "APPEND to INBOX",
                    "[OVERQUOTA] Mailbox is full.", "INBOX", 40, 1);
    else if (strcmp(type, "MailboxNotFound") == 0)
        put_failure(m, user, address, type, ERR_CLASS_PERMANENT, FAILURE_TARGET, "LIST",
                    "User is authenticated but not connected.", "", 0, 1);
    else if (strcmp(type, "InvalidMailboxName") == 0)
        put_failure(m, user, address, type, ERR_CLASS_PERMANENT, FAILURE_SOURCE, "EXAMINE Junk/",
                    "Invalid mailbox name: Junk/", "Junk/", 0, 1);
    else if (strcmp(type, "TooManyBadItems") == 0)
        for (uint32_t i = 0; i < 2; i++)
            put_failure(m, user, address, i ? "TruncatedMessage" : "ParseError", ERR_CLASS_PERMANENT, FAILURE_SOURCE,
                        "UID FETCH 12",
                        i ? "connection closed after 4711 of 9000 bytes" : "unbalanced literal in BODY[]", "INBOX",
                        12 + i, 3);
    if (draw(m, 100) < 22)
        put_failure(m, user, address, "TargetThrottled", ERR_CLASS_THROTTLED, FAILURE_TARGET, "APPEND to INBOX",
                    "Request is throttled. Suggested Backoff Time: 298000 milliseconds", "INBOX", 0, 1 + draw(m, 12));
    if (draw(m, 1000) < 15)
        put_failure(m, user, address, "TargetUnavailable", ERR_CLASS_TRANSIENT, FAILURE_TARGET, "STATUS Archive/2024",
                    "[UNAVAILABLE] Server Unavailable. 15", "", 0, 1);
}

static void put_user(struct maker *m, uint32_t id, const char *address, const char *name, const struct fate *fate)
{
    struct store_op *op = store_op_new(STORE_OP_USER, id, 0);
    struct user_record *r = &op->user_record;
    size_t n = strlen(address), k = strlen(name);
    uint32_t seconds = 200 + draw(m, 2400);
    struct stalls stalls = { 0 };
    struct buf text;

    op->text = mem_alloc(n + k + STALLS_BYTES + 1);
    memcpy(op->text, address, n);
    memcpy(op->text + n, name, k);
    *r = (struct user_record){ .id = id, .state = fate->state };
    r->address = slice_of(op->text, n);
    r->user_name = slice_of(op->text + n, k);
    snprintf(r->failure, sizeof r->failure, "%s", fate->failure);
    if (fate->state != USER_QUEUED) {
        r->started_ms = m->begun_ms + draw(m, NIGHT_MS - 2700000);
        r->finished_ms = r->started_ms + seconds * 1000ll;
        r->syncs = fate->state == USER_SYNCED;
        r->throttled = draw(m, 6);
        r->reconnects = draw(m, 10) == 0;
        r->time_ms[TIME_SOURCE] = seconds * 140;
        r->time_ms[TIME_TARGET] = seconds * 520;
        r->time_ms[TIME_THROTTLED] = seconds * 190;
        r->time_ms[TIME_STALLED_SOURCE] = seconds * 20;
        r->time_ms[TIME_STALLED_TARGET] = seconds * 90;
        r->time_ms[TIME_IDLE] = seconds * 40;
        stalls.ms[SIDE_SOURCE][STALL_SLOW_ANSWER] = r->time_ms[TIME_STALLED_SOURCE];
        stalls.ms[SIDE_TARGET][STALL_SPOOL_FULL] = r->time_ms[TIME_STALLED_TARGET] / 3;
        stalls.ms[SIDE_TARGET][STALL_PACE] = r->time_ms[TIME_STALLED_TARGET] - stalls.ms[SIDE_TARGET][STALL_SPOOL_FULL];
        buf_init(&text, STALLS_BYTES);
        stalls_put(&text, &stalls);
        memcpy(op->text + n + k, buf_slice(&text).data, buf_slice(&text).size);
        r->opaque = slice_of(op->text + n + k, buf_slice(&text).size);
        buf_deinit(&text);
    }
    writer_submit(m->writer, op);
}

static void make_user(struct maker *m, uint32_t id, const char *address, const char *name, bool hostile)
{
    struct fate fate = fate_of(m, id);
    unsigned few = MESSAGES_LEAST + draw(m, MESSAGES_SPREAD);
    unsigned messages = m->messages ? m->messages : few;

    if (hostile)
        fate = (struct fate){ USER_FAILED, "TooManyLargeItems", 2, 1, 0, 100 };
    put_user(m, id, address, name, &fate);
    if (fate.state == USER_QUEUED)
        return;
    for (uint32_t f = 1; f <= FOLDERS_A_USER && strcmp(fate.failure, "LoginFailed") != 0; f++) {
        unsigned count = (unsigned)((uint64_t)messages * folders[f - 1].share / 100) + (f == 1 ? 6 : draw(m, 2));

        put_folder(m, id, f, count, false, hostile);
        if (folders[f - 1].target[0] == '\0') {
            put_count(m, id, f, count);
            continue;
        }
        if (count)
            fill_folder(m, id, f, count, &fate, hostile);
        if (fate.state == USER_SYNCED)
            put_folder(m, id, f, count, true, hostile);
    }
    if (strcmp(fate.failure, "LoginFailed") != 0)
        put_problem(m, id, 10, "ReservedName",
                    "the target has a folder of its own called Calendar; the mail of this one goes to "
                    "\"Calendar (mail)\"");
    failures_of(m, id, address, &fate);
    if (hostile) {
        put_failure(m, id, address, HOSTILE, ERR_CLASS_PERMANENT, FAILURE_SOURCE, HOSTILE, HOSTILE, HOSTILE, 3, 1);
        put_problem(m, id, 2, "FolderRenamed", HOSTILE);
    }
}

static bool make_users(struct maker *m, struct err *err_r)
{
    static const char *const first[] = { "anna", "ben",  "chiara", "david", "emre", "fatima", "georg",
                                         "hana", "ines", "jonas",  "klara", "luis", "mei",    "noor",
                                         "olga", "paul", "quinn",  "rosa",  "sven", "tara" };
    static const char *const last[] = { "adler", "bauer",   "costa",  "demir", "evans", "fischer", "garcia",
                                        "huber", "ivanova", "jansen", "kim",   "lang",  "meyer",   "novak",
                                        "olsen", "petrov",  "rossi",  "sato",  "tran",  "weber" };

    for (uint32_t i = 0; i < m->users; i++) {
        char name[512], address[600];
        bool hostile = m->hostile && i == 0;
        struct slice address_slice, name_slice;
        uint32_t id;

        snprintf(name, sizeof name, "%s.%s%u", first[i % 20], last[i / 20 % 20], i / 400);
        snprintf(address, sizeof address, "%s@contoso.example", name);
        if (hostile) {
            snprintf(name, sizeof name, "%s", HOSTILE);
            snprintf(address, sizeof address, "%s@contoso.example", HOSTILE);
        }
        address_slice = slice_cstr(address);
        name_slice = slice_cstr(name);
        if (!spool_register_users(m->spool, &address_slice, &name_slice, 1, &id, err_r))
            return false;
        make_user(m, id, address, name, hostile);
        if (i % USERS_AT_ONCE == USERS_AT_ONCE - 1)
            flush(m);
    }
    return true;
}

/* ---- the course of the night ----------------------------------------------------------------- */

/* Tenant rates as the rate control shows them: a climb, a cut when the budget is met, a climb. */
static void make_course(struct maker *m)
{
    double rate = 20, fetched = 0, uploaded = 0, bytes_in = 0, bytes_out = 0, held = 0, answers = 0;

    for (unsigned i = 0; i < SAMPLES; i++) {
        struct store_op *op = store_op_new(STORE_OP_SAMPLE, 0, 0);
        uint64_t *v = op->sample.values;
        double step_s = NIGHT_MS / 1000.0 / SAMPLES, done = i / (double)SAMPLES;
        bool cut = rate > 60 + draw(m, 40);
        double in_rate = done < 0.62 ? 95 + draw(m, 30) : 0, out_rate;

        rate = cut ? rate * 0.7 : rate + 0.45;
        out_rate = rate * (0.93 + draw(m, 10) / 100.0);
        if (in_rate > 0 && held > 180e9)
            in_rate = out_rate * 0.9;
        if (held < 1e9 && in_rate < out_rate)
            out_rate = in_rate;
        answers += cut ? 3 + draw(m, 5) : draw(m, 20) == 0;
        fetched += in_rate * step_s;
        uploaded += out_rate * step_s;
        bytes_in += in_rate * step_s * 78000;
        bytes_out += out_rate * step_s * 78000;
        held = (bytes_in - bytes_out) * 0.62;
        op->sample.wall_ms = m->begun_ms + (int64_t)(NIGHT_MS / (double)SAMPLES * i);
        v[SAMPLE_MESSAGES_FETCHED] = (uint64_t)fetched;
        v[SAMPLE_BYTES_FETCHED] = (uint64_t)bytes_in;
        v[SAMPLE_MESSAGES_UPLOADED] = (uint64_t)uploaded;
        v[SAMPLE_BYTES_UPLOADED] = (uint64_t)bytes_out;
        v[SAMPLE_SPOOL_HELD] = held > 0 ? (uint64_t)held : 0;
        v[SAMPLE_SPOOL_BUDGET] = 200000000000;
        v[SAMPLE_SOURCE_SESSIONS] = in_rate > 0 ? 64 : 0;
        v[SAMPLE_TARGET_SESSIONS] = 180 + draw(m, 40);
        v[SAMPLE_USERS_WORKING] = 120;
        v[SAMPLE_THROTTLE_ANSWERS] = (uint64_t)answers;
        v[SAMPLE_MAILBOXES_HELD] = cut ? 10 + draw(m, 20) : draw(m, 4);
        v[SAMPLE_TENANT_RATE] = (uint64_t)(rate * 1000);
        writer_submit(m->writer, op);
    }
}

static void make_batch(struct maker *m)
{
    put_meta(m, "batch.name", m->hostile ? HOSTILE : "night-1");
    put_meta(m, "batch.state", "SyncedWithErrors");
    put_number(m, "batch.started_ms", m->begun_ms);
    put_number(m, "batch.finished_ms", m->begun_ms + NIGHT_MS);
    put_number(m, "batch.exit_code", 3);
}

int main(int argc, char **argv)
{
    struct maker m = { .random = 1, .users = 5000 };
    struct spool_config config = { 0 };
    struct err err;
    char line[512];
    bool ok = true;

    for (int i = 1; i < argc && ok; i++) {
        uint64_t number;

        if (strcmp(argv[i], "--hostile") == 0) {
            m.hostile = true;
        } else if (strcmp(argv[i], "--users") == 0 && i + 1 < argc) {
            ok = slice_u64(slice_cstr(argv[++i]), &number) && number >= 1 && number <= USERS_MAX;
            m.users = ok ? (unsigned)number : 0;
        } else if (strcmp(argv[i], "--messages") == 0 && i + 1 < argc) {
            ok = slice_u64(slice_cstr(argv[++i]), &number) && number >= 1 && number <= MESSAGES_MAX;
            m.messages = ok ? (unsigned)number : 0;
        } else if (argv[i][0] != '-' && !config.folder) {
            config.folder = argv[i];
        } else {
            ok = false;
        }
    }
    if (!ok || !config.folder) {
        fprintf(stderr, "usage: mailhaul-journal STATE [--users N] [--messages M] [--hostile]\n");
        return 64;
    }
    m.begun_ms = now_wall_ms() - NIGHT_MS - 300000;
    ok = spool_open(&config, &m.spool, &err);
    if (ok) {
        m.writer = writer_create(m.spool);
        make_batch(&m);
        make_course(&m);
        ok = make_users(&m, &err);
        flush(&m);
        writer_destroy(&m.writer);
    }
    spool_close(&m.spool);
    if (!ok)
        fprintf(stderr, "mailhaul-journal: %s\n", err_line(&err, line, sizeof line));
    return ok ? 0 : 74;
}
