#include "engine/mailbox/disk/job.h"

#include "io/base/mem.h"
#include "io/base/whole.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of the file at once: a line end may become two bytes. */
#define RAW_BYTES (128u << 10)
#define CHANGED   "changed while it was read"

struct job *job_create(enum job_kind kind, const struct disk_config *config)
{
    struct job *job = mem_zero(1, sizeof *job);

    job->kind = kind;
    job->layout = config->is_mbox ? &mbox_layout : &maildir_layout;
    job->pattern = mem_text(config->pattern);
    job->user = mem_text(config->user);
    job->state_folder = config->state_folder ? mem_text(config->state_folder) : NULL;
    job->keeps_numbers = config->keeps_numbers;
    return job;
}

static void drop_messages(struct job *job)
{
    for (uint32_t i = 0; i < job->message_count; i++) {
        free(job->messages[i].words);
        free(job->messages[i].header);
    }
    free(job->messages);
    job->messages = NULL;
    job->message_count = 0;
}

void job_destroy(struct job *job)
{
    drop_messages(job);
    disk_rows_deinit(&job->rows);
    disk_view_drop(&job->view);
    disk_view_drop(&job->found);
    if (job->reads)
        close(job->part.fd);
    free(job->pattern);
    free(job->user);
    free(job->state_folder);
    free((char *)(uintptr_t)job->name.data);
    free(job->set);
    free(job->wanted);
    free(job->statuses);
    free(job->ranges);
    free(job->out);
    free(job);
}

/* ---- folders ------------------------------------------------------------------------------------- */

static bool where_of(const struct job *job, struct slice name, char **path_r, struct disk_numbers *where_r,
                     struct err *err_r)
{
    bool ok = disk_path(job->layout, job->pattern, job->user, path_r, err_r);

    *where_r = (struct disk_numbers){ job->state_folder, *path_r, name, job->keeps_numbers };
    return ok;
}

static struct disk_view *look(struct job *job, int tree, struct slice name)
{
    struct disk_numbers where;
    struct disk_view *view = NULL;
    char *path = NULL;

    if (where_of(job, name, &path, &where, &job->err))
        view = job->layout->look(tree, name, &where, &job->err);
    free(path);
    return view;
}

static void status_of(const struct disk_view *view, struct imap_status *status_r)
{
    *status_r = (struct imap_status){ .has = IMAP_STATUS_MESSAGES | IMAP_STATUS_UIDNEXT | IMAP_STATUS_UIDVALIDITY,
                                      .messages = view->count,
                                      .uidnext = view->uidnext,
                                      .uidvalidity = view->uidvalidity };
}

static bool told_status(struct job *job, int tree, struct slice name, struct imap_status *status_r)
{
    struct disk_numbers where;
    struct disk_view *view;
    char *path = NULL;
    bool ok = job->layout->numbers && where_of(job, name, &path, &where, &job->err) &&
              job->layout->numbers(tree, name, &where, status_r);

    free(path);
    if (ok)
        return true;
    view = look(job, tree, name);
    if (view)
        status_of(view, status_r);
    ok = view != NULL;
    disk_view_drop(&view);
    return ok;
}

/* A folder whose numbers cannot be had has none in the list: what is wrong with it is told when it is opened. */
static void list(struct job *job, int tree)
{
    bool all = slice_equal(job->name, SLICE("*"));

    job->failed = !job->layout->list(tree, &job->rows, &job->err);
    job->statuses = mem_zero(job->rows.count + 1ul, sizeof *job->statuses);
    for (unsigned i = 0; i < job->rows.count && job->with_status && !job->failed; i++) {
        struct slice name = slice_cstr(job->rows.all[i].name);

        if ((all || slice_equal(name, job->name)) && !told_status(job, tree, name, &job->statuses[i]) &&
            job->err.scope == ERR_SCOPE_RUN && job->err.class != ERR_CLASS_NONE)
            job->failed = true;
    }
}

static void with_tree(struct job *job)
{
    int tree = job->layout->open(job->pattern, job->user, &job->err);

    job->failed = tree < 0;
    if (job->failed)
        return;
    if (job->kind == JOB_LIST) {
        list(job, tree);
    } else if (job->kind == JOB_STATUS || job->kind == JOB_OPEN) {
        job->found = look(job, tree, job->name);
        job->failed = !job->found;
        if (job->found)
            status_of(job->found, &job->status);
    }
    close(tree);
}

/* ---- which messages -------------------------------------------------------------------------------- */

static void choose(struct job *job)
{
    const struct disk_view *v = job->view;
    uint32_t highest = v->count ? v->all[v->count - 1].uid : 0;

    job->wanted = mem_zero(v->count + 1ul, sizeof *job->wanted);
    for (uint32_t i = 0; i < job->set_count; i++) {
        uint32_t first = job->set[i].first, last = job->set[i].last;

        first = first == UINT32_MAX ? highest : first;
        last = last == UINT32_MAX ? highest : last;
        if (first > last) { /* "7:*" of a folder whose highest is 5 means 5:7 (RFC 9051 9) */
            uint32_t other = first;

            first = last;
            last = other;
        }
        for (uint32_t at = disk_view_at(v, first); at < v->count && v->all[at].uid <= last; at++)
            if (job->wanted_count < v->count && (job->wanted_count == 0 || job->wanted[job->wanted_count - 1] < at))
                job->wanted[job->wanted_count++] = at;
    }
}

/* ---- files ----------------------------------------------------------------------------------------- */

/* The message's size as IMAP counts it; false: it cannot be read. */
static bool count_bytes(const struct disk_layout *layout, const struct disk_part *part, uint64_t *bytes_r)
{
    char *raw = mem_alloc(RAW_BYTES), *out = mem_alloc(JOB_BYTES);
    struct disk_filter filter = { 0 };
    uint64_t at = 0;
    bool ok = true;

    *bytes_r = 0;
    do {
        size_t want = part->raw_bytes - at < RAW_BYTES ? (size_t)(part->raw_bytes - at) : RAW_BYTES;

        ok = whole_pread(part->fd, raw, want, part->at + at) == (ssize_t)want;
        at += want;
        if (ok)
            *bytes_r += layout->filter(&filter, raw, want, at == part->raw_bytes, out);
    } while (ok && at < part->raw_bytes);
    free(raw);
    free(out);
    return ok;
}

/* What stands before the first empty line, and that line. */
static void read_header(const struct disk_layout *layout, const struct disk_part *part, struct job_row *r)
{
    size_t want = part->raw_bytes < JOB_HEADER ? (size_t)part->raw_bytes : JOB_HEADER, size, end;
    char *raw = mem_alloc(JOB_HEADER);
    ssize_t got = whole_pread(part->fd, raw, want, part->at);
    struct disk_filter filter = { 0 };

    if (got > 0) {
        r->header = mem_alloc(2 * (size_t)got + DISK_FILTER_MORE);
        size = layout->filter(&filter, raw, (size_t)got, (uint64_t)got == part->raw_bytes, r->header);
        for (end = 0; end + 3 < size && memcmp(r->header + end, "\r\n\r\n", 4) != 0; end++)
            ;
        size = end + 3 < size ? end + 4 : size;
        if (size > JOB_HEADER)
            size = JOB_HEADER;
        r->row.has_header = true;
        r->row.header = slice_of(r->header, size);
    }
    free(raw);
}

static bool read_row(struct job *job, const struct disk_message *m, struct job_row *r)
{
    char words[DISK_WORDS_BYTES];
    uint64_t bytes = m->bytes;
    struct disk_part part;
    bool ok;

    *r = (struct job_row){ .row.uid = m->uid };
    if (!job->layout->message(job->view, m, &part, words, &r->row.flags))
        return false;
    ok = bytes || count_bytes(job->layout, &part, &bytes);
    if (ok) {
        r->words = slice_dup(r->row.flags.keywords);
        r->row.flags.keywords.data = r->words;
        r->row.has_flags = r->row.has_size = true;
        r->row.size_bytes = bytes;
        r->row.date = (struct imap_date){ .seconds = part.seconds, .known = part.seconds != INT64_MIN };
        if (job->with_header)
            read_header(job->layout, &part, r);
    } else {
        r->row = (struct imap_message_row){ .uid = m->uid };
    }
    close(part.fd);
    errno = EIO;
    return ok;
}

/* One that is gone is not there; one that cannot be read is shown by its number alone: its body will tell why. */
static void rows(struct job *job)
{
    drop_messages(job);
    job->messages = mem_zero(JOB_ROWS, sizeof *job->messages);
    for (; job->at < job->wanted_count && job->message_count < JOB_ROWS; job->at++) {
        struct job_row *r = &job->messages[job->message_count];

        if (read_row(job, &job->view->all[job->wanted[job->at]], r) || errno != ENOENT)
            job->message_count++;
    }
}

static void search(struct job *job)
{
    job->ranges = mem_zero(job->wanted_count + 1ul, sizeof *job->ranges);
    for (; job->at < job->wanted_count; job->at++) {
        const struct disk_message *m = &job->view->all[job->wanted[job->at]];
        struct disk_part part;

        if (job->layout->message(job->view, m, &part, NULL, NULL))
            close(part.fd);
        else if (errno == ENOENT)
            continue;
        job->ranges[job->range_count++] = (struct uidset_range){ m->uid, m->uid };
    }
}

/* ---- bodies ---------------------------------------------------------------------------------------- */

static void body_failed(struct job *job, enum err_class class, int error, const char *why)
{
    job->failed = true;
    err_set(&job->err, class, ERR_SCOPE_MESSAGE, job->layout->origin, error, "%.180s: %s",
            job->view->all[job->wanted[job->at]].name, why);
    err_doing(&job->err, "read a message of the %s", job->layout->word);
}

static void body_open(struct job *job)
{
    const struct disk_message *m = &job->view->all[job->wanted[job->at]];
    bool there = job->layout->message(job->view, m, &job->part, NULL, NULL);

    job->begins = true;
    job->given = job->raw_at = 0;
    job->filter = (struct disk_filter){ 0 };
    job->reads = there;
    job->gone = !there && errno == ENOENT;
    job->ends = job->gone;
    if (!there && !job->gone)
        body_failed(job, errno == ESTALE ? ERR_CLASS_TRANSIENT : ERR_CLASS_PERMANENT, errno,
                    errno == ESTALE ? CHANGED : strerror(errno));
    else if (there && job->layout->sizes_exact)
        job->size = m->bytes;
    else if (there && !count_bytes(job->layout, &job->part, &job->size))
        body_failed(job, ERR_CLASS_PERMANENT, errno, strerror(errno));
}

/* Its bytes at once are those that it had when it was counted: one that changes meanwhile is not believed. */
static void body_piece(struct job *job)
{
    uint64_t left = job->part.raw_bytes - job->raw_at;
    size_t want = left < RAW_BYTES ? (size_t)left : RAW_BYTES;
    char *raw = mem_alloc(RAW_BYTES);
    ssize_t got = whole_pread(job->part.fd, raw, want, job->part.at + job->raw_at);

    if (!job->out)
        job->out = mem_alloc(JOB_BYTES);
    if (got != (ssize_t)want) {
        body_failed(job, ERR_CLASS_TRANSIENT, got < 0 ? errno : 0, got < 0 ? strerror(errno) : CHANGED);
    } else {
        job->raw_at += want;
        job->ends = job->raw_at == job->part.raw_bytes;
        job->out_size = job->layout->filter(&job->filter, raw, want, job->ends, job->out);
        job->given += job->out_size;
        if (job->ends && (job->given != job->size ||
                          !job->layout->same(job->view, &job->view->all[job->wanted[job->at]], &job->part)))
            body_failed(job, ERR_CLASS_TRANSIENT, 0, CHANGED);
    }
    free(raw);
}

static void bodies(struct job *job)
{
    job->out_size = 0;
    job->begins = false;
    if (job->ends) {
        if (job->reads)
            close(job->part.fd);
        job->reads = false;
        job->at++;
        job->ends = job->gone = false;
    }
    if (job->at == job->wanted_count)
        return;
    if (!job->reads)
        body_open(job);
    if (!job->ends && !job->failed)
        body_piece(job);
}

void job_run(struct job *job)
{
    job->err.class = ERR_CLASS_NONE;
    if (job->view && !job->wanted)
        choose(job);
    switch (job->kind) {
    case JOB_NAMESPACES:
    case JOB_LIST:
    case JOB_STATUS:
    case JOB_OPEN:
        with_tree(job);
        break;
    case JOB_ROWS_OF:
        rows(job);
        break;
    case JOB_SEARCH:
        search(job);
        break;
    case JOB_BODIES:
        bodies(job);
        break;
    }
}

bool job_goes_on(const struct job *job)
{
    return !job->failed && (job->kind == JOB_ROWS_OF || job->kind == JOB_BODIES) && job->at < job->wanted_count;
}
