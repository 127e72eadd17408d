/* The folders of one user with the remarks about them, copied out of the journal. */
#ifndef ENGINE_REPORT_FOLDERS_H
#define ENGINE_REPORT_FOLDERS_H

#include "store/reader.h"

struct report_folders {
    struct folder_record *rows; /* slices point into blocks of their own, freed with the list */
    unsigned count, room;
    struct problem_record *problems; /* in the journal's order */
    unsigned problem_count, problem_room;
};

/* problems: read them too. *list_r is freed by report_folders_free also when this fails. */
bool report_folders_load(struct reader *reader, uint32_t user, bool problems, struct report_folders *list_r,
                         struct err *err_r) ERR_CHECK;
void report_folders_free(struct report_folders *list);
/* The source's name of the folder with this number; empty where none has it. */
struct slice report_folder_name(const struct report_folders *list, uint32_t folder);
/* Source and target names differ in more than INBOX's spelling. */
bool report_folder_renamed(const struct folder_record *folder);

#endif
