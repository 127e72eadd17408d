/* The files of an export: one message at a time goes into a Maildir, an mbox or an .eml file; what
 * broke off leaves nothing behind. */
#ifndef ENGINE_CLI_EXPORT_FILE_H
#define ENGINE_CLI_EXPORT_FILE_H

#include "engine/cli/export.h"

#define EXPORT_PATH_BYTES  600u
#define EXPORT_PIECE_BYTES 65536u

struct export_file {
    enum export_format format;
    int root;                       /* DIR */
    char folder[EXPORT_PATH_BYTES]; /* below root: "user", "user/.Folder", "user/Folder(.mbox)" */
    bool made;                      /* the folder's directories or file are there */
    int mbox;                       /* open mbox of this folder, or -1 */
    /* the message being written */
    int fd;
    int64_t mbox_start;
    char temporary[EXPORT_PATH_BYTES], path[EXPORT_PATH_BYTES];
    int64_t date_seconds;
    char piece[EXPORT_PIECE_BYTES];
    size_t piece_size;
    uint64_t bytes;
    bool line_start, held_cr;
    unsigned quotes;       /* '>' at the start of the line, held back */
    unsigned from_matched; /* of "From " behind them */
};

/* path below root; the folder itself is made with its first message. */
void export_file_folder(struct export_file *f, const char *folder);
/* number: makes the name unique within the folder. flags: IMAP_FLAG_ bits. */
bool export_file_begin(struct export_file *f, const struct message_record *message, uint64_t number,
                       struct err *err_r) ERR_CHECK;
bool export_file_add(struct export_file *f, struct slice bytes, struct err *err_r) ERR_CHECK;
/* f->path is then where it is, below root. */
bool export_file_end(struct export_file *f, struct err *err_r) ERR_CHECK;
/* Instead of end. */
void export_file_abandon(struct export_file *f);
/* Before the next export_file_folder and at the end. */
bool export_file_close(struct export_file *f, struct err *err_r) ERR_CHECK;

#endif
