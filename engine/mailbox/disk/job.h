/* One piece of work on mail on a disk, as a helper thread does it: what it needs, and what it found. Internal to
 * engine/mailbox/disk: disk.c makes jobs and tells what they found; job.c does them, and touches nothing else.
 */
#ifndef ENGINE_MAILBOX_DISK_JOB_H
#define ENGINE_MAILBOX_DISK_JOB_H

#include "engine/imap/uidset.h"
#include "engine/mailbox/disk/disk.h"
#include "engine/mailbox/disk/layout.h"

/* Rows told at once, and bytes of a body. */
#define JOB_ROWS   500u
#define JOB_BYTES  ((256u << 10) + DISK_FILTER_MORE)
#define JOB_HEADER (64u << 10) /* of a row's header */

enum job_kind { JOB_NAMESPACES, JOB_LIST, JOB_STATUS, JOB_OPEN, JOB_ROWS_OF, JOB_SEARCH, JOB_BODIES };

struct job_row {
    struct imap_message_row row; /* its texts are in words and header */
    char *words, *header;
};

struct job {
    enum job_kind kind;
    const struct disk_layout *layout;
    /* what is asked */
    char *pattern, *user, *state_folder;
    bool keeps_numbers;
    struct slice name;        /* folder, or pattern of a list; ours */
    bool with_status;         /* LIST */
    bool with_header;         /* ROWS */
    struct uidset_range *set; /* of UIDs; UINT32_MAX at an end: the highest */
    uint32_t set_count;
    struct disk_view *view;             /* held */
    uint32_t *wanted, wanted_count, at; /* places in view; the next one */
    /* what was found */
    bool failed;
    struct err err;
    struct disk_rows rows;
    struct imap_status *statuses; /* with_status: one a row */
    struct imap_status status;
    struct disk_view *found; /* OPEN */
    struct job_row *messages;
    uint32_t message_count, damaged;
    struct uidset_range *ranges;
    uint32_t range_count;
    /* a body */
    bool reads; /* part is of the message at `at` */
    struct disk_part part;
    struct disk_filter filter;
    uint64_t size, given, raw_at; /* as it is sent; so far; read of the part */
    bool begins, ends, gone;
    char *out;
    size_t out_size;
};

struct job *job_create(enum job_kind kind, const struct disk_config *config);
/* Any thread. */
void job_destroy(struct job *job);
/* A helper thread: as much as is told at once. */
void job_run(struct job *job);
/* It is to be run again: there is more of what it is about. */
bool job_goes_on(const struct job *job);

#endif
