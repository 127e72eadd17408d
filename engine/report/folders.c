#include "engine/report/folders.h"

#include "io/base/mem.h"

#include <stdlib.h>

static struct slice keep(struct slice s)
{
    return slice_of(slice_dup(s), s.size);
}

static bool each_folder(void *context, const struct folder_record *folder)
{
    struct report_folders *list = context;
    struct folder_record *row;

    if (list->count == list->room) {
        list->room = list->room ? list->room * 2 : 16;
        list->rows = mem_resize(list->rows, list->room, sizeof *list->rows);
    }
    row = &list->rows[list->count++];
    *row = *folder;
    row->source_raw = keep(folder->source_raw);
    row->source_name = keep(folder->source_name);
    row->target_raw = keep(folder->target_raw);
    row->target_name = keep(folder->target_name);
    return true;
}

static bool each_problem(void *context, const struct problem_record *problem)
{
    struct report_folders *list = context;

    if (list->problem_count == list->problem_room) {
        list->problem_room = list->problem_room ? list->problem_room * 2 : 8;
        list->problems = mem_resize(list->problems, list->problem_room, sizeof *list->problems);
    }
    list->problems[list->problem_count++] = *problem;
    return true;
}

bool report_folders_load(struct reader *reader, uint32_t user, bool problems, struct report_folders *list_r,
                         struct err *err_r)
{
    *list_r = (struct report_folders){ 0 };
    return reader_folders(reader, user, each_folder, list_r, err_r) &&
           (!problems || reader_problems(reader, user, each_problem, list_r, err_r));
}

void report_folders_free(struct report_folders *list)
{
    for (unsigned i = 0; i < list->count; i++) {
        free((char *)list->rows[i].source_raw.data);
        free((char *)list->rows[i].source_name.data);
        free((char *)list->rows[i].target_raw.data);
        free((char *)list->rows[i].target_name.data);
    }
    free(list->rows);
    free(list->problems);
    *list = (struct report_folders){ 0 };
}

struct slice report_folder_name(const struct report_folders *list, uint32_t folder)
{
    for (unsigned i = 0; i < list->count; i++)
        if (list->rows[i].folder == folder)
            return list->rows[i].source_name;
    return SLICE("");
}

bool report_folder_renamed(const struct folder_record *folder)
{
    if (folder->target_name.size == 0 || slice_equal(folder->source_name, folder->target_name))
        return false;
    return !(slice_equal_nocase(folder->source_name, SLICE("INBOX")) &&
             slice_equal_nocase(folder->target_name, SLICE("INBOX")));
}
