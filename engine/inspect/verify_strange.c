/* Which folders does the source have that the journal does not know? Their messages are counted. */
#include "engine/inspect/verify_private.h"
#include "io/base/mem.h"

#include <stdio.h>
#include <stdlib.h>

static bool is_known(struct exam *exam, const char *raw)
{
    return names_index_find(&exam->folders_by_raw, slice_cstr(raw)) != NAMES_INDEX_NONE;
}

static void strange_next(struct exam *exam);

static void strange_told(void *context, const struct imap_status *status)
{
    struct exam *exam = context;

    exam->row_messages = status->has & IMAP_STATUS_MESSAGES ? status->messages : 0;
}

static void strange_ended(void *context, const struct err *err)
{
    struct exam *exam = context;
    struct exam_side *side = &exam->sides[SIDE_SOURCE];
    struct verify_user *r = exam->result;

    side->busy = false;
    if (exam_side_lost(side))
        return;
    if (err && err->class == ERR_CLASS_THROTTLED) {
        visit_failed(side->visit, TROUBLE_LIST, err);
        return;
    }
    if (!err && exam->row_messages) {
        const char *name = exam->rows[exam->row_at - 1].name;

        if (exam->was_synced) {
            r->source += exam->row_messages;
            r->fresh += exam->row_messages;
        } else {
            exam_tell_unjudged(exam, name, exam->row_messages);
        }
    }
    strange_next(exam);
}

static void strange_next(struct exam *exam)
{
    struct exam_side *side = &exam->sides[SIDE_SOURCE];

    while (exam->row_at < exam->row_count) {
        const struct names_source *row = &exam->rows[exam->row_at++];

        if (!row->selectable || row->excluded || is_known(exam, row->raw))
            continue;
        exam->row_messages = 0;
        side->busy = true;
        source_status(visit_source(side->visit), slice_cstr(row->raw), IMAP_STATUS_MESSAGES, strange_told,
                      strange_ended, exam);
        return;
    }
    exam->at = UINT32_MAX;
    exam_folder_next(exam);
}

void exam_strange_end(struct exam *exam)
{
    for (unsigned i = 0; i < exam->row_count; i++)
        names_source_deinit(&exam->rows[i]);
    free(exam->rows);
    exam->rows = NULL;
    exam->row_count = exam->row_at = 0;
}

static bool usable(void *context)
{
    const struct exam *exam = context;

    return !exam_side_lost(&exam->sides[SIDE_SOURCE]);
}

/* Described as a whole: what a folder lies within, and whose it is, only the others tell. */
static void describe(struct exam *exam)
{
    const struct folder_list *folder_list = &exam->folder_list;
    struct names_rules rules = {
        .settings = exam->verifier->config->settings,
        .user = exam->user,
        .source_prefix = folder_list->prefix ? folder_list->prefix : "",
        .source_foreign = &folder_list->foreign,
        .target_prefix = "",
        .exchange = exam_rewrites(exam),
    };

    exam_strange_end(exam);
    exam->rows = folder_list_sources(folder_list);
    exam->row_count = folder_list->count;
    names_describe(exam->rows, exam->row_count, &rules, NULL, NULL);
    if (folder_list->gap_count && exam->result->complete) {
        exam->result->complete = false;
        exam->result->err = folder_list->gaps[0].err;
        snprintf(exam->result->type, sizeof exam->result->type, "FolderListIncomplete");
    }
}

static void folder_list_ready(void *context, const struct err *err)
{
    struct exam *exam = context;
    struct exam_side *side = &exam->sides[SIDE_SOURCE];

    side->busy = false;
    if (exam_side_lost(side))
        return;
    if (err) {
        visit_failed(side->visit, TROUBLE_LIST, err);
        return;
    }
    visit_went_well(side->visit);
    describe(exam);
    strange_next(exam);
}

void exam_strange_begin(struct exam *exam)
{
    struct exam_side *side = &exam->sides[SIDE_SOURCE];

    if (exam->rows) { /* the connection went while one of them was asked for its count */
        exam->row_at -= exam->row_at > 0;
        strange_next(exam);
        return;
    }
    side->busy = true;
    folder_list_ask(&exam->folder_list, visit_source(side->visit), usable, folder_list_ready, exam);
}
