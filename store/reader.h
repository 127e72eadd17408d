/* Reads the journal and bodies beside the writer, on any thread, by short read transactions that
 * do not outlive a call unless reader_hold asks for it (a long one pins pages and makes the file grow).
 */
#ifndef STORE_READER_H
#define STORE_READER_H

#include "store/spool.h"

/* One per thread; cheap. Not shared. */
struct reader;
bool reader_create(struct spool *spool, struct reader **reader_r, struct err *err_r) ERR_CHECK;
void reader_destroy(struct reader **reader);

/* Until reader_destroy every call sees the journal as it is now, so that sums made in several calls agree while a
 * run goes on. The pages of this instant are pinned as long: not for what may take minutes. */
bool reader_hold(struct reader *reader, struct err *err_r) ERR_CHECK;

/* All iterations: each record is borrowed for the callback; returning false stops early. The
 * callback must not call the same reader. Errors: PERMANENT/RUN origin STORE. */
bool reader_users(struct reader *reader, bool (*each)(void *context, const struct user_record *user), void *context,
                  struct err *err_r) ERR_CHECK;
bool reader_user(struct reader *reader, uint32_t user, bool (*each)(void *context, const struct user_record *user),
                 void *context, struct err *err_r) ERR_CHECK;
bool reader_folders(struct reader *reader, uint32_t user,
                    bool (*each)(void *context, const struct folder_record *folder), void *context,
                    struct err *err_r) ERR_CHECK;
/* Messages of a folder whose state is in states (bits 1 << MESSAGE_x), UIDs descending from
 * from_uid (UINT32_MAX: the newest) or ascending from from_uid; at most limit (0: all). */
bool reader_messages(struct reader *reader, uint32_t user, uint32_t folder, unsigned states, uint32_t from_uid,
                     bool descending, unsigned limit, bool (*each)(void *context, const struct message_record *message),
                     void *context, struct err *err_r) ERR_CHECK;
/* Messages of a folder whose state is in states, ascending from from_uid, with what is told about them; a note is
 * empty where nothing is known but the record. */
bool reader_notes(struct reader *reader, uint32_t user, uint32_t folder, unsigned states, uint32_t from_uid,
                  bool (*each)(void *context, const struct message_record *message, const struct message_note *note),
                  void *context, struct err *err_r) ERR_CHECK;
/* Uploaded messages of a folder that were mended for it. Reads notes alone, which are few. */
bool reader_repaired(struct reader *reader, uint32_t user, uint32_t folder,
                     bool (*each)(void *context, const struct message_record *message, const struct message_note *note),
                     void *context, struct err *err_r) ERR_CHECK;
/* What became of messages of a folder, or with folder 0 of all of the user's, since they were listed; ascending, from
 * from_uid on in one folder. A folder's own record (uid 0) comes before its messages'. */
bool reader_follows(struct reader *reader, uint32_t user, uint32_t folder, uint32_t from_uid,
                    bool (*each)(void *context, const struct follow_record *follow), void *context,
                    struct err *err_r) ERR_CHECK;
bool reader_failures(struct reader *reader, uint32_t user,
                     bool (*each)(void *context, const struct failure_record *failure), void *context,
                     struct err *err_r) ERR_CHECK;
bool reader_problems(struct reader *reader, uint32_t user,
                     bool (*each)(void *context, const struct problem_record *problem), void *context,
                     struct err *err_r) ERR_CHECK;
bool reader_samples(struct reader *reader, bool (*each)(void *context, int64_t wall_ms, const uint64_t values[12]),
                    void *context, struct err *err_r) ERR_CHECK;

/* A body, decompressed as it is pulled; memory: one chunk (<= 256 KiB raw). Bodies of one chunk that
 * fit into out are decompressed straight into it. */
struct body_reader;
bool body_open(struct reader *reader, uint64_t body, uint64_t body_bytes, struct body_reader **body_r,
               struct err *err_r) ERR_CHECK;
/* Next 1..cap bytes; 0 in *got_r at the end. Errors: PERMANENT/MESSAGE origin STORE when a checksum
 * does not hold or a chunk is missing. */
bool body_read(struct body_reader *body, char *out, size_t cap, size_t *got_r, struct err *err_r) ERR_CHECK;
void body_close(struct body_reader **body);

#endif
