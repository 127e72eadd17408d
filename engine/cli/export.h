/* `export`: messages out of the spool, or out of the source by a callback, as Maildir, mbox or .eml
 * files with an index.csv. Files are mode 0600, folders 0700; nothing that exists is ever written
 * over, and all is on the disk when export_run returns true.
 *
 * DIR/index.csv
 * DIR/ann@contoso.example/{cur,new,tmp}, .Archive.2019/{cur,new,tmp}   Maildir++, bodies as they are
 * DIR/ann@contoso.example/Archive.2019.mbox                            mboxrd, LF line ends
 * DIR/ann@contoso.example/Archive.2019/00000812.eml                    bodies as they are
 */
#ifndef ENGINE_CLI_EXPORT_H
#define ENGINE_CLI_EXPORT_H

#include "store/reader.h"

enum export_format { EXPORT_MAILDIR, EXPORT_MBOX, EXPORT_EML };
enum export_what { EXPORT_SKIPPED, EXPORT_FAILED, EXPORT_ALL };

/* Takes the next piece of a body; one without data says that what was given before is void. False (with err_r) when it
 * could not be written: stop then. */
typedef bool export_sink(void *sink_context, struct slice bytes, struct err *err_r);

struct export_options {
    enum export_format format;
    enum export_what what;
    const char *to;            /* folder; made when missing, must be empty; its parent exists */
    const struct slice *users; /* addresses, compared without case; user_count 0: everybody */
    unsigned user_count;
    bool *known; /* user_count of them, set for those of users that a spool knows; NULL when empty */
    /* Gives a body that is not in the spool to sink, in pieces of any size, and returns when all was
     * given. False: err_r says why this message could not be had; scope RUN or ACCOUNT ends the
     * export or the user's part. NULL: such messages are only listed in the index. */
    bool (*fetch_body)(void *context, const struct user_record *user, const struct folder_record *folder,
                       const struct message_record *message, export_sink *sink, void *sink_context, struct err *err_r);
    void *context;
};

struct export_result {
    uint64_t written, bytes; /* messages and their raw bytes */
    uint64_t without_body;   /* listed in the index only */
    uint64_t unlisted;       /* in excluded folders, of which only the count is known */
    unsigned users;          /* that had anything to export */
    unsigned users_known;    /* in the spools, or of options->users those that are */
};

/* Errors: PERMANENT/RUN origin OS (EEXIST when the folder is not empty), or as reader's. What was
 * written until then stays. */
bool export_run(struct spool *const *spools, unsigned count, const struct export_options *options,
                struct export_result *result_r, struct err *err_r) ERR_CHECK;

/* A name for a file out of any text: UTF-8 kept, what file systems and shells trip over replaced,
 * 1..120 bytes, never "." or ".." or one of Windows's device names. Returns out[cap >= 128]. */
const char *export_safe_name(struct slice text, char *out, size_t cap);

#endif
