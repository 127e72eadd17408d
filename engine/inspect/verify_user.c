#include "engine/failure/advice.h"
#include "engine/failure/trouble.h"
#include "engine/folders/names_text.h"
#include "engine/inspect/verify_private.h"
#include "engine/message/header.h"
#include "io/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ROWS_MOST 8000000u /* of a folder; more are not compared */
#define IDS_MAX   (256u << 20)
#define ID_BYTES  200u

static void exam_go(struct exam *exam);

bool exam_side_lost(const struct exam_side *side)
{
    return side->exam->phase == EXAM_OVER || !visit_is_ready(side->visit);
}

static void fail(struct exam *exam, enum side side, const struct err *err, const char *type)
{
    if (exam->result->complete) {
        exam->result->complete = false;
        exam->result->err = *err;
        exam->result->failed_side = side;
        snprintf(exam->result->type, sizeof exam->result->type, "%s", type);
    }
    exam_stop(exam);
}

/* ---- one side of a folder ------------------------------------------------------------------ */

static void side_window(struct exam_side *side);

static void side_row(void *context, const struct imap_message_row *row)
{
    struct exam_side *side = context;
    struct verify_entry *e;

    if (row->uid < side->window.from)
        return;
    if (side->count == ROWS_MOST) {
        source_give_up(visit_source(side->visit), "the server sends more rows than can be kept");
        return;
    }
    if (side->count == side->room) {
        side->room = side->room ? side->room * 2 : 256;
        side->entries = mem_resize(side->entries, side->room, sizeof *side->entries);
        if (side->side == SIDE_SOURCE)
            side->exam->id_ends = mem_resize(side->exam->id_ends, side->room, sizeof *side->exam->id_ends);
    }
    e = &side->entries[side->count++];
    *e = (struct verify_entry){
        .seconds = row->date.known ? row->date.seconds : INT64_MIN,
        .size = row->has_size ? row->size_bytes : 0,
        .keywords = verify_keywords(row->flags.keywords),
        .uid = row->uid,
        .flags = (uint8_t)(row->flags.system & 0x1f),
    };
    verify_keys(row->header, e);
    if (side->side == SIDE_SOURCE) {
        struct exam *exam = side->exam;
        struct slice id = slice_trim(header_field(row->header, SLICE("Message-ID")));

        if (!buf_append(&exam->ids, slice_first(id, ID_BYTES)))
            id.size = 0; /* the names of so many are not kept */
        exam->id_ends[side->count - 1] = (uint32_t)exam->ids.size;
    }
    /* With what judging them takes. */
    quota_hold(&side->held, source_memory(visit_source(side->visit)),
               2 * side->room * sizeof *side->entries + (side->side == SIDE_SOURCE ? side->exam->ids.room : 0));
}

static bool ascending(const struct exam_side *side)
{
    for (uint32_t i = 1; i < side->count; i++)
        if (side->entries[i].uid <= side->entries[i - 1].uid)
            return false;
    return true;
}

static int by_uid_then_place(const void *a, const void *b, void *entries)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    uint32_t m = ((const struct verify_entry *)entries)[x].uid, n = ((const struct verify_entry *)entries)[y].uid;

    return m != n ? (m > n) - (m < n) : (x > y) - (x < y);
}

/* Servers may answer in any order and twice: sorted, each once. Names of Message-IDs move along. */
static void put_in_order(struct exam_side *side)
{
    struct exam *exam = side->exam;
    uint32_t *order, kept = 0;
    struct verify_entry *entries;

    if (ascending(side))
        return;
    entries = mem_zero(side->count, sizeof *entries);
    order = mem_zero(side->count, sizeof *order);
    for (uint32_t i = 0; i < side->count; i++)
        order[i] = i;
    qsort_r(order, side->count, sizeof *order, by_uid_then_place, side->entries);
    for (uint32_t i = 0; i < side->count; i++) {
        if (kept && entries[kept - 1].uid == side->entries[order[i]].uid)
            continue;
        entries[kept] = side->entries[order[i]];
        order[kept++] = order[i];
    }
    free(side->entries);
    side->entries = entries;
    side->room = side->count;
    side->count = kept;
    if (side->side == SIDE_SOURCE) {
        struct buf ids;
        uint32_t *ends = mem_zero(side->room, sizeof *ends);

        buf_init(&ids, IDS_MAX);
        for (uint32_t i = 0; i < kept; i++) {
            uint32_t from = order[i] ? exam->id_ends[order[i] - 1] : 0;
            bool fits =
                buf_append(&ids, slice_first(slice_from(buf_slice(&exam->ids), from), exam->id_ends[order[i]] - from));

            (void)fits; /* the same bytes in another order */
            ends[i] = (uint32_t)ids.size;
        }
        buf_deinit(&exam->ids);
        exam->ids = ids;
        free(exam->id_ends);
        exam->id_ends = ends;
    }
    free(order);
}

static void side_listed(struct exam_side *side)
{
    put_in_order(side);
    side->listed = true;
    exam_go(side->exam);
}

static void window_ended(void *context, const struct err *err)
{
    struct exam_side *side = context;

    side->busy = false;
    if (exam_side_lost(side))
        return;
    if (err) {
        visit_failed(side->visit, TROUBLE_FETCH, err);
        return;
    }
    visit_went_well(side->visit);
    if (!uid_window_is_last(&side->window)) {
        uid_window_next(&side->window, side->count - side->rows_before);
        side_window(side);
    } else {
        side_listed(side);
    }
}

static void side_window(struct exam_side *side)
{
    char set[32];

    side->rows_before = side->count;
    uid_window_text(&side->window, set);
    side->busy = true;
    source_rows(visit_source(side->visit), slice_cstr(set), SLICE("MESSAGE-ID DATE FROM SUBJECT"), side_row,
                window_ended, side);
}

static void side_selected(void *context, const struct imap_selected *s)
{
    struct exam_side *side = context;

    side->exists = s->status.messages;
    side->exists_told = s->exists_told;
    side->uidnext = s->status.has & IMAP_STATUS_UIDNEXT ? s->status.uidnext : 0;
    side->uidvalidity = s->status.has & IMAP_STATUS_UIDVALIDITY ? s->status.uidvalidity : 0;
    side->keeps_keywords = s->has_permanent && (s->permanent.system & IMAP_FLAG_WILDCARD);
}

static void side_list(struct exam_side *side)
{
    side->count = 0;
    uid_window_begin(&side->window, 1, side->uidnext, side->exists);
    if (side->side == SIDE_SOURCE)
        buf_clear(&side->exam->ids);
    if ((side->exists_told && side->exists == 0) || !exam_is_placed(side->exam))
        side_listed(side);
    else
        side_window(side);
}

static void side_select(struct exam_side *side);

/* As pull_open does: a name that ends in its delimiter is opened without it. */
static bool other_name(struct exam_side *side)
{
    const struct folder_record *f = &side->exam->folders[side->exam->at].record;

    if (side->side != SIDE_SOURCE || side->bare_at == side->exam->at + 1 ||
        names_bare(f->source_raw, (char)f->delimiter).size == 0)
        return false;
    side->bare_at = (unsigned)side->exam->at + 1;
    return true;
}

static void select_ended(void *context, const struct err *err)
{
    struct exam_side *side = context;

    side->busy = false;
    if (exam_side_lost(side))
        return;
    if (err && trouble_is_about_name(err) && other_name(side)) {
        side_select(side);
        return;
    }
    if (err && err->class == ERR_CLASS_PERMANENT) {
        /* Not there, or not for us: then nothing of it is, and that is what is told. */
        side->absent = true;
        side->exists = 0;
        side->count = 0;
        if (side->side == SIDE_SOURCE)
            buf_clear(&side->exam->ids);
        side_listed(side);
        return;
    }
    if (err) {
        visit_failed(side->visit, TROUBLE_SELECT, err);
        return;
    }
    side->selected = true;
    if (!side->listed)
        side_list(side);
    else if (side->hashing.broken)
        hashing_resume(&side->hashing);
    else
        exam_go(side->exam);
}

static void side_select(struct exam_side *side)
{
    const struct folder_record *f = &side->exam->folders[side->exam->at].record;
    struct slice raw = side->side == SIDE_SOURCE ? f->source_raw : f->target_raw;

    if (raw.size == 0) {
        side->absent = true;
        side->exists = 0;
        side->count = 0;
        side_listed(side);
        return;
    }
    if (side->side == SIDE_SOURCE && side->bare_at == side->exam->at + 1)
        raw = names_bare(raw, (char)f->delimiter);
    side->busy = true;
    source_open(visit_source(side->visit), raw, true, side_selected, select_ended, side);
}

/* ---- the folder's phases ------------------------------------------------------------------- */

static void hash_begin(struct exam_side *side, bool plain);

static void hashed(void *context)
{
    struct exam *exam = ((struct exam_side *)context)->exam;

    if (exam->phase == EXAM_SHORT) {
        exam_judge_short(exam);
        exam_folder_next(exam);
    } else if (exam->phase == EXAM_BODIES) {
        exam_judge_bodies(exam);
        exam->phase = EXAM_DOUBTS;
        if (exam->sides[SIDE_TARGET].hashing.count == 0) {
            exam_folder_next(exam);
            return;
        }
        for (unsigned side = 0; side < SIDE_COUNT; side++)
            hash_begin(&exam->sides[side], true);
        exam_go(exam);
    } else {
        for (unsigned side = 0; side < SIDE_COUNT; side++) {
            const struct hashing *h = &exam->sides[side].hashing;

            if (h->inflight || h->broken || h->next < h->count)
                return;
        }
        exam_judge_doubts(exam);
        exam_folder_next(exam);
    }
}

static void hash_begin(struct exam_side *side, bool plain)
{
    uint32_t count = side->hashing.count;

    side->hashing = (struct hashing){
        .visit = side->visit, .items = side->items, .count = count, .plain = plain, .done = hashed, .context = side
    };
    /* On a turn of its own by exam_go: the other side's must be set up before this one ends. */
    side->hashing.broken = true;
}

static void sides_clear(struct exam *exam)
{
    for (unsigned i = 0; i < SIDE_COUNT; i++) {
        struct exam_side *side = &exam->sides[i];

        side->count = 0;
        side->uidvalidity = 0;
        side->listed = side->selected = side->absent = false;
        side->hashing = (struct hashing){ 0 };
        free(side->items);
        side->items = NULL;
    }
}

void exam_folder_next(struct exam *exam)
{
    exam->phase = EXAM_LISTING;
    do
        exam->at = exam->at == UINT32_MAX ? 0 : exam->at + 1;
    while (exam->at < exam->folder_count && exam->folders[exam->at].record.excluded);
    sides_clear(exam);
    if (exam->at >= exam->folder_count)
        exam_stop(exam);
    else
        exam_go(exam);
}

static void judge(struct exam *exam)
{
    struct err err;

    if (!exam_judge_folder(exam, &err)) {
        fail(exam, SIDE_COUNT, &err, "SpoolError");
    } else if (exam->sides[SIDE_SOURCE].hashing.count) {
        exam->phase = EXAM_SHORT;
        hash_begin(&exam->sides[SIDE_SOURCE], false);
        exam_go(exam);
    } else if (exam->sides[SIDE_TARGET].hashing.count == 0) {
        exam_folder_next(exam);
    } else {
        exam->phase = EXAM_BODIES;
        hash_begin(&exam->sides[SIDE_TARGET], false);
        exam_go(exam);
    }
}

static void side_go(struct exam_side *side)
{
    enum exam_phase phase = side->exam->phase;

    if (!side->visit || !visit_is_ready(side->visit) || side->busy)
        return;
    if (phase == EXAM_FOLDERS) {
        if (side->side == SIDE_SOURCE)
            exam_strange_begin(side->exam);
    } else if (phase == EXAM_LISTING && !side->listed) {
        side_select(side);
    } else if (phase >= EXAM_BODIES && phase < EXAM_OVER && side->hashing.broken && side->hashing.inflight == 0) {
        if (side->selected)
            hashing_resume(&side->hashing);
        else
            side_select(side);
    }
}

static void exam_go(struct exam *exam)
{
    if (exam->phase == EXAM_LISTING && exam->sides[SIDE_SOURCE].listed && exam->sides[SIDE_TARGET].listed) {
        judge(exam);
        return;
    }
    for (unsigned i = 0; i < SIDE_COUNT && exam->phase != EXAM_OVER; i++)
        side_go(&exam->sides[i]);
}

/* ---- begin and end ------------------------------------------------------------------------- */

static void ready(void *context)
{
    struct exam_side *side = context;

    side->selected = false;
    side->busy = false;
    exam_go(side->exam);
}

static void exam_free(struct exam *exam)
{
    for (unsigned i = 0; i < exam->folder_count; i++) {
        struct folder_record *f = &exam->folders[i].record;

        free((char *)f->source_raw.data);
        free((char *)f->source_name.data);
        free((char *)f->target_raw.data);
        free((char *)f->target_name.data);
    }
    free(exam->folders);
    sides_clear(exam);
    for (unsigned i = 0; i < SIDE_COUNT; i++) {
        free(exam->sides[i].entries);
        quota_let_go(&exam->sides[i].held);
    }
    exam_strange_end(exam);
    folder_list_deinit(&exam->folder_list);
    names_index_deinit(&exam->folders_by_raw);
    buf_deinit(&exam->ids);
    free(exam->id_ends);
    free(exam->known);
    free(exam);
}

static void over(void *context, const struct err *err, const char *type)
{
    struct exam_side *side = context;
    struct exam *exam = side->exam;
    struct verify_user *r = exam->result;

    side->visit = NULL;
    if (err)
        fail(exam, side->side, err, type);
    if (exam->sides[SIDE_SOURCE].visit || exam->sides[SIDE_TARGET].visit)
        return;
    r->grade = verify_grade_of(r->required, r->missing, r->doubled, r->content, r->flags + r->date);
    if ((!r->complete || r->doubts || r->unjudged) && r->grade < VERIFY_INVESTIGATE)
        r->grade = VERIFY_INVESTIGATE;
    if (r->compared == 0)
        r->grade = VERIFY_NOT_JUDGED;
    exam->verifier->done(exam->verifier, exam, r);
    exam_free(exam);
}

static const struct visit_events visit_events = { .ready = ready, .over = over };

void exam_stop(struct exam *exam)
{
    bool before = exam->phase != EXAM_OVER;

    if (before && (exam->phase == EXAM_FOLDERS || exam->at < exam->folder_count) && exam->result->complete) {
        err_set(&exam->result->err, ERR_CLASS_CANCELED, ERR_SCOPE_RUN, ERR_ORIGIN_OS, 0,
                "stopped before all folders were compared");
        exam->result->failed_side = SIDE_COUNT;
        snprintf(exam->result->type, sizeof exam->result->type, "Canceled");
        exam->result->complete = false;
    }
    exam->phase = EXAM_OVER;
    for (unsigned i = 0; i < SIDE_COUNT; i++)
        if (exam->sides[i].visit)
            visit_end(exam->sides[i].visit);
}

static bool find_user(void *context, const struct user_record *record)
{
    struct exam *exam = context;

    if (!slice_equal_nocase(record->address, slice_cstr(exam->user->email_address)))
        return true;
    exam->id = record->id;
    exam->was_synced = record->syncs > 0;
    return false;
}

static bool each_doubt(void *context, const struct problem_record *problem)
{
    struct exam *exam = context;

    exam->result->doubts += advice_is_doubt(problem);
    return true;
}

static struct slice copied(struct slice s)
{
    return slice_of(slice_dup(s), s.size);
}

static bool add_folder(void *context, const struct folder_record *record)
{
    struct exam *exam = context;
    struct folder_record *f;

    exam->folders = mem_resize(exam->folders, exam->folder_count + 1u, sizeof *exam->folders);
    f = &exam->folders[exam->folder_count++].record;
    *f = *record;
    f->source_raw = copied(record->source_raw);
    (void)names_index_add(&exam->folders_by_raw, f->source_raw, exam->folder_count - 1);
    f->source_name = copied(record->source_name);
    f->target_raw = copied(record->target_raw);
    f->target_name = copied(record->target_name);
    return true;
}

struct exam *exam_start(struct verifier *verifier, const struct settings_user *user)
{
    struct exam *exam = mem_zero(1, sizeof *exam);
    struct err err;
    bool read = true;

    exam->verifier = verifier;
    exam->user = user;
    exam->result = mem_zero(1, sizeof *exam->result);
    exam->result->user = user;
    exam->result->complete = true;
    buf_init(&exam->ids, IDS_MAX);
    folder_list_init(&exam->folder_list, false, true, 0);
    names_index_init(&exam->folders_by_raw);
    for (unsigned i = 0; read && !exam->id && i < verifier->config->spool_count; i++) {
        exam->reader = verifier->readers[i];
        read = reader_users(exam->reader, find_user, exam, &err);
    }
    if (read && exam->id)
        read = reader_folders(exam->reader, exam->id, add_folder, exam, &err) &&
               reader_problems(exam->reader, exam->id, each_doubt, exam, &err);
    for (unsigned i = 0; i < SIDE_COUNT; i++) {
        exam->sides[i].exam = exam;
        exam->sides[i].side = (enum side)i;
        exam->sides[i].visit = visit_start(verifier->visits, (enum side)i, user, &visit_events, &exam->sides[i]);
    }
    if (!read)
        fail(exam, SIDE_COUNT, &err, "SpoolError");
    return exam;
}

void verify_user_free(struct verify_user **user)
{
    if (*user)
        free((*user)->differences);
    free(*user);
    *user = NULL;
}
