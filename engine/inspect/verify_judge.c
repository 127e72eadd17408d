#include "engine/inspect/verify_private.h"
#include "engine/message/follow_known.h"
#include "engine/message/follow_merge.h"
#include "engine/message/policy.h"
#include "engine/message/repair.h"
#include "io/base/mem.h"

#include <stdlib.h>

bool exam_rewrites(const struct exam *exam)
{
    return exam->verifier->config->settings->target.preset == SETTINGS_PRESET_EXCHANGE_ONLINE;
}

static void exam_tell(struct exam *exam, enum verify_what what, const char *folder, uint32_t uid,
                      struct slice message_id)
{
    struct verify_user *r = exam->result;
    struct verify_difference *d;

    switch (what) {
    case VERIFY_MISSING:
        r->missing++;
        break;
    case VERIFY_DOUBLED:
        r->doubled++;
        break;
    case VERIFY_FLAGS:
        r->flags++;
        break;
    case VERIFY_DATE:
        r->date++;
        break;
    case VERIFY_CONTENT:
        r->content++;
        break;
    case VERIFY_UNJUDGED:
        r->unjudged++;
        break;
    case VERIFY_WHAT_COUNT:
        break;
    }
    if (r->difference_count == VERIFY_DIFFERENCES_MAX) {
        r->more++;
        return;
    }
    r->differences = mem_resize(r->differences, r->difference_count + 1u, sizeof *r->differences);
    d = &r->differences[r->difference_count++];
    *d = (struct verify_difference){ .what = what, .uid = uid };
    err_printable(d->folder, sizeof d->folder, folder, strlen(folder));
    err_printable(d->message_id, sizeof d->message_id, message_id.data, message_id.size);
}

/* What was told last is such a copy as `tidy` is for. */
static void exam_told_late(struct exam *exam)
{
    struct verify_user *r = exam->result;

    r->late++;
    if (r->more == 0 && r->difference_count)
        r->differences[r->difference_count - 1].late = true;
}

void exam_tell_unjudged(struct exam *exam, const char *folder, uint64_t messages)
{
    if (messages == 0)
        return;
    exam_tell(exam, VERIFY_UNJUDGED, folder, 0, SLICE(""));
    exam->result->source += messages;
    exam->result->unjudged += messages - 1;
}

bool exam_is_placed(const struct exam *exam)
{
    return exam->folders[exam->at].record.target_raw.size > 0;
}

static const char *folder_name(const struct exam *exam)
{
    return exam->folders[exam->at].record.source_name.data;
}

static struct slice id_of(const struct exam *exam, uint32_t source)
{
    uint32_t from = source ? exam->id_ends[source - 1] : 0;

    if (source >= exam->known_at)
        return SLICE("");
    return slice_first(slice_from(buf_slice(&exam->ids), from), exam->id_ends[source] - from);
}

/* ---- what should be there ------------------------------------------------------------------ */

static struct verify_entry *find(struct exam_side *side, uint32_t uid, uint32_t count)
{
    uint32_t low = 0, high = count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (side->entries[middle].uid < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && side->entries[low].uid == uid ? &side->entries[low] : NULL;
}

static bool each_known(void *context, const struct message_record *m)
{
    struct exam *exam = context;
    struct exam_side *source = &exam->sides[SIDE_SOURCE];
    struct verify_entry *e = find(source, m->uid, exam->known_at);

    if (e) {
        struct exam_known *k = &exam->known[e - source->entries];
        const struct follow_record *followed;
        struct follow_flags base;

        k->state = (uint8_t)m->state;
        followed = follow_known_at(exam->follows, m->uid);
        base = follow_base(m, followed);
        k->flags = (uint8_t)repair_flags_sent(followed && followed->followed ? 0 : m->repairs, base.system);
        k->keywords = verify_keywords(base.keywords);
        k->unanswered = m->unanswered;
        memcpy(k->digest, m->digest, sizeof k->digest);
        k->repairs = (uint8_t)(m->repairs & REPAIR_BODY_BITS);
        k->listed = e->size;
        k->fetched = m->body_bytes;
        if (m->body_bytes)
            e->size = message_sent_bytes(m);
        if (e->seconds == INT64_MIN && m->date_known)
            e->seconds = m->date_seconds; /* what it was sent with */
        /* What is on the target is the mended message. */
        if (m->repairs & ~REPAIR_RECEIPTS) {
            memcpy(e->key, m->header_key, sizeof e->key);
            if (m->header_key[0] != 'M')
                memcpy(e->date_key, m->header_key, sizeof e->date_key);
        }
        if (m->state == MESSAGE_SKIPPED) {
            e->want = VERIFY_OPTIONAL;
            exam->result->skipped++;
        }
        return true;
    }
    /* Deleted at the source since: it explains its copy on the target. */
    if ((m->state != MESSAGE_UPLOADED && m->state != MESSAGE_PRESENT) || m->header_key[0] == 0)
        return true;
    if (source->count == source->room) {
        source->room = source->room * 2 + 64;
        source->entries = mem_resize(source->entries, source->room, sizeof *source->entries);
    }
    e = &source->entries[source->count++];
    *e = (struct verify_entry){ .seconds = m->date_known ? m->date_seconds : INT64_MIN,
                                .size = m->body_bytes,
                                .want = VERIFY_OPTIONAL };
    memcpy(e->key, m->header_key, sizeof e->key);
    memcpy(e->date_key, m->header_key, sizeof e->date_key);
    return true;
}

/* A message that the journal does not know: would a run have copied it by now? */
static void judge_unknown(struct exam *exam, struct verify_entry *e, bool same_folder)
{
    const struct folder_record *f = &exam->folders[exam->at].record;
    struct message_record m = { .uid = e->uid,
                                .listed_bytes = e->size,
                                .date_known = e->seconds != INT64_MIN,
                                .date_seconds = e->seconds,
                                .flags = e->flags };

    if (policy_judge(exam->verifier->config->settings, exam->user, &m) != SKIP_NONE) {
        e->want = VERIFY_OPTIONAL;
        exam->result->skipped++;
    } else if (exam->was_synced && same_folder && e->uid >= f->uidnext_listed) {
        e->want = VERIFY_OPTIONAL;
        exam->result->fresh++;
    }
}

static bool load_known(struct exam *exam, struct err *err_r)
{
    struct exam_side *source = &exam->sides[SIDE_SOURCE];
    const struct folder_record *f = &exam->folders[exam->at].record;
    bool same = !f->uidvalidity || !source->uidvalidity || f->uidvalidity == source->uidvalidity;
    unsigned all = 0;
    bool read;

    for (unsigned s = MESSAGE_FOUND; s < MESSAGE_STATE_COUNT; s++)
        all |= 1u << s;
    exam->known_at = source->count;
    free(exam->known);
    exam->known = mem_zero(source->count, sizeof *exam->known);
    if (!follow_known_load(exam->reader, exam->id, f->folder, &exam->follows, err_r))
        return false;
    read = !same || reader_messages(exam->reader, exam->id, f->folder, all, 0, false, 0, each_known, exam, err_r);
    follow_known_free(&exam->follows);
    if (!read)
        return false;
    for (uint32_t i = 0; i < exam->known_at; i++)
        if (exam->known[i].state == 0)
            judge_unknown(exam, &source->entries[i], same);
    for (uint32_t i = 0; i < exam->known_at; i++)
        exam->result->required += source->entries[i].want == VERIFY_REQUIRED;
    return true;
}

/* ---- comparing ----------------------------------------------------------------------------- */

static void matched(void *context, enum verify_what what, uint32_t index)
{
    struct exam *exam = context;
    const struct verify_entry *e = &exam->sides[what == VERIFY_DOUBLED ? SIDE_TARGET : SIDE_SOURCE].entries[index];
    struct slice id = SLICE("");
    bool late = false;

    if (what != VERIFY_DOUBLED) {
        id = id_of(exam, index);
    } else {
        /* The source's folder of that name lends it the name. */
        const struct exam_side *source = &exam->sides[SIDE_SOURCE];
        const struct folder_record *folder = &exam->folders[exam->at].record;
        uint32_t lost_from = folder->target_lost_from;

        for (uint32_t i = 0; i < exam->known_at && (id.size == 0 || (lost_from && !late)) &&
                             exam->result->difference_count < VERIFY_DIFFERENCES_MAX;
             i++)
            if (memcmp(source->entries[i].key, e->key, sizeof e->key) == 0) {
                id = id_of(exam, i);
                late |= lost_from && e->uid >= lost_from && (exam->known[i].unanswered || folder->target_sends_unknown);
            }
    }
    exam_tell(exam, what, folder_name(exam), e->uid, id);
    if (late)
        exam_told_late(exam);
}

/* What a run set is compared with what is there; who changed a flag at the source afterwards has
 * not found a fault of the migration. */
static void compare_flags(struct exam *exam, uint32_t i)
{
    const struct verify_entry *s = &exam->sides[SIDE_SOURCE].entries[i];
    const struct verify_entry *t = &exam->sides[SIDE_TARGET].entries[s->pair];
    const struct exam_known *k = &exam->known[i];
    unsigned mask = IMAP_FLAG_SEEN | IMAP_FLAG_ANSWERED | IMAP_FLAG_FLAGGED | IMAP_FLAG_DRAFT;
    bool words = exam->sides[SIDE_TARGET].keeps_keywords;

    if (!exam_rewrites(exam))
        mask |= IMAP_FLAG_DELETED;
    if (((t->flags ^ s->flags) & mask && (t->flags ^ k->flags) & mask) ||
        (words && t->keywords != s->keywords && t->keywords != k->keywords))
        exam_tell(exam, VERIFY_FLAGS, folder_name(exam), s->uid, id_of(exam, i));
}

static int by_uid(const void *a, const void *b)
{
    const struct hash_item *x = a, *y = b;

    return (x->uid > y->uid) - (x->uid < y->uid);
}

static void choose_bodies(struct exam *exam)
{
    struct exam_side *source = &exam->sides[SIDE_SOURCE], *target = &exam->sides[SIDE_TARGET];
    uint32_t all = 0, taken = 0, seen = 0;
    unsigned sample = exam->verifier->config->sample;

    for (unsigned pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < exam->known_at; i++) {
            const struct verify_entry *s = &source->entries[i];

            if ((exam->known[i].state != MESSAGE_UPLOADED && exam->known[i].state != MESSAGE_PRESENT) ||
                s->pair == VERIFY_UNPAIRED)
                continue;
            if (pass == 0) {
                all++;
                continue;
            }
            /* Evenly over the folder. */
            if (sample && (uint64_t)seen++ * sample / all < taken)
                continue;
            target->items[taken++] =
                (struct hash_item){ .uid = target->entries[s->pair].uid, .index = i, .size = s->size };
        }
        if (pass == 0) {
            free(target->items);
            target->items = mem_zero(all, sizeof *target->items);
        }
    }
    if (taken)
        qsort(target->items, taken, sizeof *target->items, by_uid);
    target->hashing.count = taken;
}

/* What is on the target may be what was fetched and yet not the message: a part of it, or another one. */
static bool came_otherwise(const struct exam_known *k)
{
    return k->listed && k->fetched && k->listed != k->fetched;
}

/* A server may count a little more than it sends; a body that did not come is a good part of the mail. */
static bool came_short(const struct exam_known *k)
{
    return k->listed && k->fetched && k->fetched < k->listed - k->listed / 8;
}

static void choose_short(struct exam *exam)
{
    struct exam_side *source = &exam->sides[SIDE_SOURCE];
    uint32_t count = 0;

    free(source->items);
    source->items = mem_zero(exam->known_at, sizeof *source->items);
    for (uint32_t i = 0; i < exam->known_at; i++)
        if (source->entries[i].pair != VERIFY_UNPAIRED && came_short(&exam->known[i]))
            source->items[count++] = (struct hash_item){ .uid = source->entries[i].uid,
                                                         .index = i,
                                                         .size = exam->known[i].listed,
                                                         .expected = exam->known[i].listed };
    source->hashing.count = count;
}

bool exam_judge_folder(struct exam *exam, struct err *err_r)
{
    struct exam_side *source = &exam->sides[SIDE_SOURCE], *target = &exam->sides[SIDE_TARGET];

    if (!exam_is_placed(exam)) {
        exam_tell_unjudged(exam, folder_name(exam), source->exists);
        return true;
    }
    exam->result->compared++;
    /* Messages that it counts and did not list were not compared. */
    if (source->exists_told && source->exists > source->count)
        exam_tell_unjudged(exam, folder_name(exam), source->exists - source->count);
    exam->result->source += source->count;
    exam->result->target += target->count;
    if (!load_known(exam, err_r))
        return false;
    verify_match(source->entries, source->count, target->entries, target->count, exam_rewrites(exam), matched, exam);
    for (uint32_t i = 0; i < exam->known_at; i++)
        if (source->entries[i].pair != VERIFY_UNPAIRED && exam->known[i].state == MESSAGE_UPLOADED)
            compare_flags(exam, i);
    if (exam_rewrites(exam))
        choose_short(exam);
    else
        choose_bodies(exam);
    return true;
}

/* A killed run may have disarmed one without the journal's knowing. */
static uint8_t repairs_of(const struct exam *exam, uint32_t index)
{
    bool disarms = exam->verifier->config->settings->policy.disarm_read_receipts;

    return (uint8_t)(exam->known[index].repairs | (disarms ? REPAIR_RECEIPTS : 0));
}

void exam_judge_bodies(struct exam *exam)
{
    struct exam_side *source = &exam->sides[SIDE_SOURCE], *target = &exam->sides[SIDE_TARGET];
    uint32_t doubts = 0;

    free(source->items);
    source->items = mem_zero(target->hashing.count, sizeof *source->items);
    for (uint32_t i = 0; i < target->hashing.count; i++) {
        struct hash_item item = target->items[i];
        uint32_t index = item.index;

        exam->result->bodies += item.had;
        if (!item.had) {
            exam_tell(exam, VERIFY_UNJUDGED, folder_name(exam), source->entries[index].uid, id_of(exam, index));
            continue;
        }
        if (memcmp(item.digest, exam->known[index].digest, sizeof item.digest) == 0 &&
            !came_otherwise(&exam->known[index]))
            continue;
        target->items[doubts] = (struct hash_item){ .uid = item.uid, .index = index, .size = item.size };
        source->items[doubts++] = (struct hash_item){ .uid = source->entries[index].uid,
                                                      .index = index,
                                                      .size = item.size,
                                                      .expected = exam->known[index].listed,
                                                      .repairs = repairs_of(exam, index) };
    }
    if (doubts)
        qsort(source->items, doubts, sizeof *source->items, by_uid);
    source->hashing.count = target->hashing.count = doubts;
}

static int by_index(const void *a, const void *b)
{
    const struct hash_item *x = a, *y = b;

    return (x->index > y->index) - (x->index < y->index);
}

void exam_judge_doubts(struct exam *exam)
{
    struct exam_side *source = &exam->sides[SIDE_SOURCE], *target = &exam->sides[SIDE_TARGET];
    uint32_t count = source->hashing.count;

    if (count == 0)
        return;
    qsort(source->items, count, sizeof *source->items, by_index);
    qsort(target->items, count, sizeof *target->items, by_index);
    for (uint32_t i = 0; i < count; i++) {
        const struct hash_item *s = &source->items[i], *t = &target->items[i];

        if (!s->had || !t->had || memcmp(s->digest, t->digest, sizeof s->digest) != 0)
            exam_tell(exam, s->had && t->had ? VERIFY_CONTENT : VERIFY_UNJUDGED, folder_name(exam),
                      source->entries[s->index].uid, id_of(exam, s->index));
    }
}

void exam_judge_short(struct exam *exam)
{
    struct exam_side *source = &exam->sides[SIDE_SOURCE];

    for (uint32_t i = 0; i < source->hashing.count; i++) {
        const struct hash_item *s = &source->items[i];

        exam->result->bodies += s->had;
        if (!s->had || memcmp(s->digest, exam->known[s->index].digest, sizeof s->digest) != 0)
            exam_tell(exam, s->had ? VERIFY_CONTENT : VERIFY_UNJUDGED, folder_name(exam), s->uid,
                      id_of(exam, s->index));
    }
}
