/* What a report tells of a user beside the sums, from where it is kept: the state folder, or the
 * JSON report that was made of one.
 */
#ifndef ENGINE_REPORT_DETAILS_H
#define ENGINE_REPORT_DETAILS_H

#include "engine/report/folders.h"
#include "engine/report/report.h"

/* All as the reader's functions of the same names (store/reader.h); errors too, and those of
 * share_open. */
bool report_details_folders(struct report *report, const struct report_user *user, bool problems,
                            struct report_folders *list_r, struct err *err_r) ERR_CHECK;
/* state: MESSAGE_SKIPPED or MESSAGE_FAILED. */
bool report_details_notes(struct report *report, const struct report_user *user, const struct folder_record *folder,
                          enum message_state state,
                          bool (*each)(void *context, const struct message_record *message,
                                       const struct message_note *note),
                          void *context, struct err *err_r) ERR_CHECK;
bool report_details_repaired(struct report *report, const struct report_user *user, const struct folder_record *folder,
                             bool (*each)(void *context, const struct message_record *message,
                                          const struct message_note *note),
                             void *context, struct err *err_r) ERR_CHECK;
/* Skipped messages without their notes. */
bool report_details_skipped(struct report *report, const struct report_user *user, const struct folder_record *folder,
                            bool (*each)(void *context, const struct message_record *message), void *context,
                            struct err *err_r) ERR_CHECK;
bool report_details_problems(struct report *report, const struct report_user *user,
                             bool (*each)(void *context, const struct problem_record *problem), void *context,
                             struct err *err_r) ERR_CHECK;
bool report_details_failures(struct report *report, const struct report_user *user,
                             bool (*each)(void *context, const struct failure_record *failure), void *context,
                             struct err *err_r) ERR_CHECK;

#endif
