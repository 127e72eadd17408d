/* What a share's report tells of one user, as the records that store/reader would give. */
#include "engine/report/share_private.h"

#include "engine/message/repair.h"
#include "io/base/mem.h"

#include <stdlib.h>

/* Texts and numbers of a record; false: a number is none. */
static bool tally_of(const json_t *folder, struct tally *t)
{
    return share_number(folder, "found", &t->found) && share_number(folder, "uploaded", &t->uploaded) &&
           share_number(folder, "present", &t->present) && share_number(folder, "skipped", &t->skipped) &&
           share_number(folder, "failed", &t->failed) && share_number(folder, "pending", &t->waiting) &&
           share_number(folder, "bytes_found", &t->bytes_found) &&
           share_number(folder, "bytes_fetched", &t->bytes_fetched) &&
           share_number(folder, "bytes_uploaded", &t->bytes_uploaded);
}

static struct slice copied(const json_t *object, const char *name)
{
    struct slice text = slice_cstr(share_text(object, name));

    return slice_of(slice_dup(text), text.size);
}

static struct problem_record *add_problem(struct report_folders *list, const json_t *told, uint32_t folder)
{
    struct problem_record *p;

    list->problems = mem_resize(list->problems, list->problem_count + 1u, sizeof *list->problems);
    p = &list->problems[list->problem_count++];
    *p = (struct problem_record){ .folder = folder };
    share_copy(p->type, sizeof p->type, told, "type");
    share_copy(p->text, sizeof p->text, told, "text");
    share_copy(p->remedy, sizeof p->remedy, told, "remedy");
    return p;
}

/* There is one doubt of a type and folder. */
static bool is_doubt(const json_t *doubts, const json_t *folder, const json_t *problem)
{
    const json_t *one;
    size_t i;

    json_array_foreach(doubts, i,
                       one) if (strcmp(share_text(one, "type"), share_text(problem, "type")) == 0 &&
                                strcmp(share_text(one, "folder"), share_text(folder, "source")) == 0) return true;
    return false;
}

/* A doubt of a folder stands among its problems and among the doubts. */
static void add_problems(struct report_folders *list, const json_t *folder, uint32_t number, const json_t *doubts)
{
    const json_t *one, *problems = json_object_get(folder, "problems");
    size_t i;

    json_array_foreach(problems, i, one) if (!is_doubt(doubts, folder, one)) add_problem(list, one, number);
}

static bool add_doubts(struct report_folders *list, const json_t *doubts)
{
    const json_t *one;
    size_t i;

    json_array_foreach(doubts, i, one)
    {
        struct problem_record *p = add_problem(list, one, 0);

        p->doubt = true;
        for (unsigned k = 0; k < list->count && p->folder == 0; k++)
            if (slice_equal(list->rows[k].source_name, slice_cstr(share_text(one, "folder"))))
                p->folder = list->rows[k].folder;
        if (!share_number(one, "count", &p->count))
            return false;
    }
    return true;
}

bool share_folders(struct share *share, unsigned user, struct report_folders *list_r, struct err *err_r)
{
    const json_t *object, *folders, *doubts, *one;
    size_t i;

    *list_r = (struct report_folders){ 0 };
    if (!share_user(share, user, &object, err_r))
        return false;
    folders = json_object_get(object, "folders");
    doubts = json_object_get(object, "doubts");
    list_r->room = (unsigned)json_array_size(folders);
    list_r->rows = mem_zero(list_r->room, sizeof *list_r->rows);
    json_array_foreach(folders, i, one)
    {
        struct folder_record *row = &list_r->rows[i];

        if (!tally_of(one, &row->tally))
            return share_damaged(share, err_r, "is damaged: a number of %.100s is none", share->users[user].address);
        row->user = share->users[user].id;
        row->folder = (uint32_t)i + 1;
        row->excluded = share_is_true(one, "excluded");
        share_copy(row->role, sizeof row->role, one, "role");
        row->source_name = copied(one, "source");
        row->target_name = copied(one, "target");
        list_r->count++;
        add_problems(list_r, one, row->folder, doubts);
    }
    if (!add_doubts(list_r, doubts))
        return share_damaged(share, err_r, "is damaged: a number of %.100s is none", share->users[user].address);
    return true;
}

/* --- items --- */

static enum skip_reason reason_of(const char *word)
{
    for (unsigned i = SKIP_NONE + 1; i < SKIP_REASON_COUNT; i++)
        if (strcmp(skip_reason_name(i), word) == 0)
            return i;
    return SKIP_NONE;
}

static unsigned repairs_of(const json_t *words)
{
    const json_t *one;
    unsigned bits = 0;
    size_t i;

    json_array_foreach(words, i, one) for (unsigned bit = 0; bit < REPAIR_COUNT;
                                           bit++) if (json_is_string(one) &&
                                                      strcmp(repair_word(1u << bit), json_string_value(one)) == 0)
        bits |= 1u << bit;
    return bits;
}

static bool item_of(const json_t *item, enum share_list list, struct message_record *m, struct message_note *note)
{
    static const enum message_state states[] = { MESSAGE_SKIPPED, MESSAGE_FAILED, MESSAGE_UPLOADED };
    uint64_t uid;

    *m = (struct message_record){ .state = states[list] };
    if (!share_number(item, "uid", &uid) || uid > UINT32_MAX || !share_number(item, "bytes", &m->listed_bytes))
        return false;
    m->uid = (uint32_t)uid;
    m->date_seconds = share_time(item, "date") / 1000;
    m->date_known = m->date_seconds != 0;
    m->reason = reason_of(share_text(item, "reason"));
    m->repairs = (uint8_t)repairs_of(json_object_get(item, "repairs"));
    share_copy(note->subject, sizeof note->subject, item, "subject");
    share_copy(note->message_id, sizeof note->message_id, item, "message_id");
    share_copy(note->date, sizeof note->date, item, "date");
    return true;
}

bool share_items(struct share *share, unsigned user, enum share_list list, const struct folder_record *folder,
                 bool (*each)(void *, const struct message_record *, const struct message_note *), void *context,
                 struct err *err_r)
{
    static const char *const names[] = { "skipped_items", "failed_items", "repaired_items" };
    const json_t *object, *items, *one;
    size_t i;

    if (!share_user(share, user, &object, err_r))
        return false;
    items = json_object_get(object, names[list]);
    json_array_foreach(items, i, one)
    {
        struct message_record message;
        struct message_note note;

        /* One that stands for a whole folder is none. */
        if (json_object_get(one, "count") || !slice_equal(slice_cstr(share_text(one, "folder")), folder->source_name))
            continue;
        if (!item_of(one, list, &message, &note))
            return share_damaged(share, err_r, "is damaged: a number of %.100s is none", share->users[user].address);
        if (!each(context, &message, &note))
            break;
    }
    return true;
}

/* --- failures --- */

static uint8_t class_of(const char *word)
{
    for (unsigned i = 0; i < ERR_CLASS_COUNT; i++)
        if (strcmp(err_class_name(i), word) == 0)
            return (uint8_t)i;
    return ERR_CLASS_NONE;
}

static uint8_t side_of(const char *word)
{
    for (unsigned i = FAILURE_SOURCE; i < FAILURE_LOCAL; i++)
        if (strcmp(failure_side_name(i), word) == 0)
            return (uint8_t)i;
    return FAILURE_LOCAL;
}

bool share_failures(struct share *share, unsigned user, bool (*each)(void *, const struct failure_record *),
                    void *context, struct err *err_r)
{
    const json_t *object, *failures, *one;
    size_t i;

    if (!share_user(share, user, &object, err_r))
        return false;
    failures = json_object_get(object, "failures");
    json_array_foreach(failures, i, one)
    {
        struct failure_record f = { .first_ms = share_time(one, "time"), .last_ms = share_time(one, "last") };
        uint64_t uid, count;

        if (!share_number(one, "uid", &uid) || uid > UINT32_MAX || !share_number(one, "count", &count) ||
            count > UINT32_MAX)
            return share_damaged(share, err_r, "is damaged: a number of %.100s is none", share->users[user].address);
        f.uid = (uint32_t)uid;
        f.count = (uint32_t)count;
        f.class = class_of(share_text(one, "class"));
        f.side = side_of(share_text(one, "side"));
        share_copy(f.type, sizeof f.type, one, "type");
        share_copy(f.doing, sizeof f.doing, one, "doing");
        share_copy(f.server_text, sizeof f.server_text, one, "server_text");
        share_copy(f.advice, sizeof f.advice, one, "advice");
        share_copy(f.folder_name, sizeof f.folder_name, one, "folder");
        if (!each(context, &f))
            break;
    }
    return true;
}

/* --- passing it on --- */

static void emit_value(struct emit *e, const char *name, const json_t *value)
{
    const json_t *one;
    const char *key;
    size_t i;

    switch (json_typeof(value)) {
    case JSON_OBJECT:
        emit_object(e, name);
        json_object_foreach((json_t *)value, key, one) emit_value(e, key, one);
        emit_end_object(e);
        break;
    case JSON_ARRAY:
        emit_array(e, name);
        json_array_foreach(value, i, one) emit_value(e, NULL, one);
        emit_end_array(e);
        break;
    case JSON_STRING:
        emit_text(e, name, slice_of(json_string_value(value), json_string_length(value)));
        break;
    case JSON_INTEGER:
        emit_integer(e, name, json_integer_value(value));
        break;
    case JSON_REAL:
        emit_real(e, name, json_real_value(value));
        break;
    case JSON_NULL:
        emit_null(e, name);
        break;
    default:
        emit_bool(e, name, json_is_true(value));
    }
}

/* How deep lists and objects lie in each other. */
static unsigned depth_of(const json_t *value, unsigned most)
{
    unsigned deepest = 0;
    const json_t *one;
    const char *key;
    size_t i;

    if (most == 0 || (!json_is_object(value) && !json_is_array(value)))
        return 0;
    if (json_is_object(value)) {
        json_object_foreach((json_t *)value, key, one)
        {
            unsigned depth = depth_of(one, most - 1);

            deepest = depth > deepest ? depth : deepest;
        }
    } else {
        json_array_foreach(value, i, one)
        {
            unsigned depth = depth_of(one, most - 1);

            deepest = depth > deepest ? depth : deepest;
        }
    }
    return deepest + 1;
}

bool share_emit_user(struct share *share, unsigned user, struct emit *e, unsigned state_index, struct err *err_r)
{
    const json_t *object, *one;
    const char *key;

    if (!share_user(share, user, &object, err_r))
        return false;
    if (e->depth + depth_of(object, EMIT_DEPTH) >= EMIT_DEPTH)
        return share_damaged(share, err_r, "is damaged: lists of %.100s lie too deep in each other",
                             share->users[user].address);
    emit_object(e, NULL);
    json_object_foreach((json_t *)object, key, one) if (strcmp(key, "state_index") != 0) emit_value(e, key, one);
    emit_number(e, "state_index", state_index);
    emit_end_object(e);
    return true;
}
