/* The second copies of one folder: each is proved to be ours, and removed, or told with what speaks against that.
 *
 * The order of a removal keeps a mail whatever happens, also where two of these programs tidy each other's copies: the
 * journal names the copy; it is marked; in a new view of the folder the copy that stays is there and not marked (of two
 * that mark each other's, one at least sees the other's mark); then it alone is expunged. */
#include "engine/message/repair.h"
#include "engine/move/batch.h"
#include "engine/move/tidy_private.h"
#include "io/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the journal says of the message that the copies are of. */
struct sent {
    uint32_t message, target_uid, doomed_uid;
    uint8_t key[MATCH_KEY_BYTES];
    int64_t seconds;
    unsigned flags;
    char keywords[RECORD_KEYWORDS_BYTES_MAX + 1];
};

static const char *const why_unsure =
    "there are more copies than this program may have stored, so nobody can say which "
    "of them is its own";
static const char *const why_old = "an earlier version moved it, whose journal does not say which messages were sent "
                                   "more than once";
static const char *const why_no_uid = "the target tells no UIDs, so the journal does not say which copy is which";
static const char *const why_unlike = "its header, size or date is not that of the copy that stays";
static const char *const why_flags = "its flags are not those it was sent with: somebody changed it";
static const char *const why_uidplus =
    "the target does not offer UIDPLUS: a plain EXPUNGE would also remove what others "
    "have marked";
static const char *const why_kept = "the copy that stays is marked as deleted";
static const char *const why_changed = "it, or the copy that stays, changed at this moment";
static const char *const why_stayed = "the target answered OK and did not remove it";

/* ---- what it was sent with ----------------------------------------------------------------- */

static bool take_sent(void *context, const struct message_record *m)
{
    struct sent *s = context;
    if (m->uid != s->message)
        return false;
    s->target_uid = m->target_uid;
    s->doomed_uid = m->doomed_uid;
    memcpy(s->key, m->header_key, sizeof s->key);
    s->seconds = m->date_known && !(m->repairs & REPAIR_DATE) ? m->date_seconds : INT64_MIN;
    s->flags = repair_flags_sent(m->repairs, m->flags);
    if (m->keywords.size && m->keywords.size < sizeof s->keywords)
        memcpy(s->keywords, m->keywords.data, m->keywords.size);
    return false;
}

static bool read_sent(struct tidy *t, const struct folder_record *f, uint32_t message, struct sent *s)
{
    *s = (struct sent){ .message = message };
    return reader_messages(t->reader, f->user, f->folder, 1u << MESSAGE_UPLOADED | 1u << MESSAGE_PRESENT, message,
                           false, 1, take_sent, s, &t->err);
}

static bool is_among(struct slice word, struct slice words)
{
    struct slice one;

    while (slice_split(&words, ' ', &one))
        if (slice_equal_nocase(one, word))
            return true;
    return false;
}

/* The keywords that the target shows are those that were sent, as far as it keeps any. */
static bool keywords_as_sent(const struct tidy *t, const struct sent *s, const char *shown)
{
    bool any = t->has_permanent && (t->permanent.system & IMAP_FLAG_WILDCARD);
    struct slice rest, word;

    rest = slice_cstr(shown);
    while (slice_split(&rest, ' ', &word))
        if (word.size && !is_among(word, slice_cstr(s->keywords)))
            return false;
    rest = slice_cstr(s->keywords);
    while (slice_split(&rest, ' ', &word))
        if (word.size && !is_among(word, slice_cstr(shown)) &&
            (any || (t->has_permanent && is_among(word, t->permanent.keywords))))
            return false;
    return true;
}

static bool flags_as_sent(const struct tidy *t, const struct sent *s, const struct tidy_row *row, bool marked)
{
    unsigned kept = t->has_permanent ? t->permanent.system & 0x1fu : 0x1fu;
    unsigned shown = marked ? row->flags & ~(unsigned)IMAP_FLAG_DELETED : row->flags;

    return shown == (s->flags & kept) && keywords_as_sent(t, s, row->keywords);
}

/* "": the first of the two rows is our second copy of the message, and the other one stays. marked: by us, as deleted.
 */
static const char *objection(const struct tidy *t, const struct sent *s, const struct tidy_row rows[2], bool marked)
{
    const struct match_row *copy = &rows[0].twin, *kept = &rows[1].twin;

    if (!copy->uid || !kept->uid)
        return why_changed;
    if (memcmp(copy->key, kept->key, sizeof copy->key) != 0 || memcmp(copy->key, s->key, sizeof s->key) != 0 ||
        copy->bytes != kept->bytes || copy->seconds != kept->seconds || copy->seconds != s->seconds ||
        copy->seconds == INT64_MIN)
        return why_unlike;
    if (rows[1].flags & IMAP_FLAG_DELETED)
        return why_kept;
    return flags_as_sent(t, s, &rows[0], marked) ? "" : why_flags;
}

/* ---- one copy ------------------------------------------------------------------------------ */

/* Only what was not marked by somebody else too, before or as sent. */
static bool unmark(struct tidy *t, const struct folder_record *f, const struct sent *s, uint32_t uid)
{
    return ((s->flags & IMAP_FLAG_DELETED) || tidy_mark(t, uid, false)) &&
           tidy_put_doom(t, f->folder, s->message, 0, false);
}

/* *why_r "": it is gone. */
static bool remove_one(struct tidy *t, const struct folder_record *f, const struct sent *s, uint32_t uid,
                       const char **why_r)
{
    struct tidy_row rows[2];
    struct imap_status status;

    *why_r = "";
    if (!tidy_put_doom(t, f->folder, s->message, uid, false) || !tidy_mark(t, uid, true) ||
        !tidy_select(t, f->target_raw, &status) || !tidy_fetch(t, uid, s->target_uid, rows))
        return false;
    if (f->target_uidvalidity && (status.has & IMAP_STATUS_UIDVALIDITY) &&
        status.uidvalidity != f->target_uidvalidity) {
        *why_r = why_changed; /* and the mark went with the folder */
        return tidy_put_doom(t, f->folder, s->message, 0, false);
    }
    *why_r = objection(t, s, rows, true);
    if (**why_r)
        return unmark(t, f, s, uid);
    if (!tidy_expunge(t, uid) || !tidy_fetch(t, uid, s->target_uid, rows))
        return false;
    if (!rows[0].twin.uid)
        return tidy_put_doom(t, f->folder, s->message, 0, true);
    *why_r = why_stayed;
    return unmark(t, f, s, uid);
}

static const char *told_against(const struct surplus_copy *copy)
{
    return copy->kind == SURPLUS_UNSURE   ? why_unsure
           : copy->kind == SURPLUS_OTHERS ? why_old
           : copy->kept_uid == 0          ? why_no_uid
           : !copy->alike                 ? why_unlike
                                          : "";
}

static bool judge(struct tidy *t, const struct folder_record *f, const struct surplus_copy *copy, struct sent *s,
                  const char **why_r)
{
    struct tidy_row rows[2];

    *why_r = told_against(copy);
    if (**why_r)
        return true;
    if (!read_sent(t, f, copy->message, s) || !tidy_fetch(t, copy->seen.uid, copy->kept_uid, rows))
        return false;
    *why_r = s->target_uid == copy->kept_uid ? objection(t, s, rows, s->doomed_uid == copy->seen.uid) : why_changed;
    if (!**why_r && !tidy_may_expunge(t))
        *why_r = why_uidplus;
    return true;
}

static void example_of(uint32_t uid, uint32_t kept_uid, char *out, size_t cap)
{
    if (kept_uid)
        snprintf(out, cap, "UID %" PRIu32 " beside UID %" PRIu32, uid, kept_uid);
    else
        snprintf(out, cap, "UID %" PRIu32, uid);
}

static bool one(struct tidy *t, const struct folder_record *f, const char *name, struct late_look *look,
                const struct surplus_copy *copy, uint64_t *left)
{
    const struct late_seen *seen = late_seen_at(look, copy->seen.uid);
    struct tidy_copy told = {
        .user = t->user,
        .folder = name,
        .message_id = seen ? seen->message_id : "",
        .uid = copy->seen.uid,
        .kept_uid = copy->kept_uid,
        .message = copy->message,
        .bytes = copy->seen.bytes,
        .seconds = copy->seen.seconds,
    };
    char example[64];
    struct sent s;

    if (!judge(t, f, copy, &s, &told.why))
        return false;
    if (t->config->removes && !*told.why) {
        if (!remove_one(t, f, &s, copy->seen.uid, &told.why))
            return false;
        told.removed = !*told.why;
        example_of(told.uid, told.kept_uid, example, sizeof example);
        if (told.removed && !tidy_put_removed(t, f->folder, 1, example))
            return false;
    }
    *left += !told.removed;
    t->result->removed += told.removed;
    t->config->copy(t->config->context, &told);
    return true;
}

/* ---- removals that were broken off --------------------------------------------------------- */

struct dooms {
    struct doom {
        uint32_t message, uid, kept_uid;
    } * all;
    size_t count;
};

static bool add_doom(void *context, const struct message_record *m)
{
    struct dooms *d = context;

    if (!m->doomed_uid)
        return true;
    d->all = mem_resize(d->all, d->count + 1, sizeof *d->all);
    d->all[d->count++] = (struct doom){ m->uid, m->doomed_uid, m->target_uid };
    return true;
}

static bool is_still_surplus(struct late_look *look, const struct doom *doom)
{
    const struct surplus_copy *copies;
    size_t count;

    copies = surplus_copies(late_surplus(look), &count);
    for (size_t i = 0; i < count; i++)
        if (copies[i].seen.uid == doom->uid && copies[i].message == doom->message)
            return true;
    return false;
}

/* It went, or it is no second copy any more: then the mark is taken back. */
static bool settle_doom(struct tidy *t, const struct folder_record *f, const char *name, struct late_look *look,
                        const struct doom *doom)
{
    struct tidy_copy told = { .user = t->user,
                              .folder = name,
                              .message_id = "",
                              .uid = doom->uid,
                              .kept_uid = doom->kept_uid,
                              .message = doom->message,
                              .seconds = INT64_MIN,
                              .removed = true,
                              .why = "" };
    char example[64];
    struct sent s;

    if (!late_seen_at(look, doom->uid)) {
        example_of(doom->uid, doom->kept_uid, example, sizeof example);
        if (!tidy_put_doom(t, f->folder, doom->message, 0, true) || !tidy_put_removed(t, f->folder, 1, example))
            return false;
        t->result->removed++;
        t->config->copy(t->config->context, &told);
        return true;
    }
    if (is_still_surplus(look, doom))
        return true;
    return read_sent(t, f, doom->message, &s) && unmark(t, f, &s, doom->uid);
}

/* ---- the folder ---------------------------------------------------------------------------- */

static bool each_problem(void *context, const struct problem_record *p)
{
    struct problem_record *wanted = context;

    if (p->folder != wanted->folder || strcmp(p->type, "LateCopy") != 0)
        return true;
    wanted->doubt = true;
    return false;
}

static bool all_copies(struct tidy *t, const struct folder_record *f, const char *name, struct late_look *look)
{
    struct problem_record before = { .folder = f->folder };
    const struct surplus_copy *copies, *first = NULL;
    char example[64] = "";
    uint64_t left = 0;
    bool ok = true, late = true;
    size_t count;

    copies = surplus_copies(late_surplus(look), &count);
    if (!reader_problems(t->reader, f->user, each_problem, &before, &t->err))
        return false;
    for (size_t i = 0; ok && i < count; i++) {
        uint64_t then = left;

        if (batch_stopping(NULL)) {
            t->result->stopped = true;
            return true;
        }
        if (!late_is_ours(f, late_surplus(look), &copies[i], before.doubt))
            continue;
        ok = one(t, f, name, look, &copies[i], &left);
        if (left > then && !first)
            first = &copies[i];
        late &= left == then || surplus_came_late(&copies[i]);
    }
    if (!ok)
        return false;
    if (first)
        example_of(first->seen.uid, first->kept_uid, example, sizeof example);
    t->result->left += left;
    return tidy_put_left(t, f->folder, name, left, late, example);
}

bool tidy_folder(struct tidy *t, const struct folder_record *f, const char *name)
{
    struct late_look *look = NULL;
    struct dooms d = { 0 };
    bool ok = reader_messages(t->reader, f->user, f->folder, 1u << MESSAGE_UPLOADED | 1u << MESSAGE_PRESENT, 0, false,
                              0, add_doom, &d, &t->err) &&
              tidy_look(t, f, &look);

    if (ok && late_is_another(look)) {
        /* It was made anew, and what was in it went. */
        ok = tidy_put_left(t, f->folder, name, 0, true, "");
    } else if (ok) {
        for (size_t i = 0; ok && i < d.count; i++)
            ok = settle_doom(t, f, name, look, &d.all[i]);
        ok = ok && all_copies(t, f, name, look);
    }
    late_look_free(&look);
    free(d.all);
    return ok;
}
