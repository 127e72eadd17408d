#include "engine/mailbox/maildir/job.h"

#include "io/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define RAW_BYTES (JOB_BYTES / 2) /* of the file at once: a line end may become two bytes */

struct job *job_create(enum job_kind kind, const struct maildir_config *config)
{
    struct job *job = mem_zero(1, sizeof *job);

    job->kind = kind;
    job->pattern = mem_text(config->pattern);
    job->user = mem_text(config->user);
    job->state_folder = config->state_folder ? mem_text(config->state_folder) : NULL;
    job->keeps_numbers = config->keeps_numbers;
    job->fd = -1;
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
    maildir_rows_deinit(&job->rows);
    maildir_view_drop(&job->view);
    maildir_view_drop(&job->found);
    if (job->fd >= 0)
        close(job->fd);
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

static struct maildir_view *look(struct job *job, int tree, struct slice name)
{
    int folder = maildir_open_folder(tree, name, &job->err);
    struct maildir_view *view = NULL;
    char *path = NULL;

    if (folder < 0)
        return NULL;
    if (maildir_path(job->pattern, job->user, &path, &job->err)) {
        struct maildir_numbers numbers = { job->state_folder, path, name, job->keeps_numbers };

        view = maildir_look(folder, &numbers, &job->err);
    } else {
        close(folder);
    }
    free(path);
    return view;
}

static void status_of(const struct maildir_view *view, struct imap_status *status_r)
{
    *status_r = (struct imap_status){ .has = IMAP_STATUS_MESSAGES | IMAP_STATUS_UIDNEXT | IMAP_STATUS_UIDVALIDITY,
                                      .messages = view->count,
                                      .uidnext = view->uidnext,
                                      .uidvalidity = view->uidvalidity };
}

/* A folder whose numbers cannot be had has none in the list: what is wrong with it is told when it is opened. */
static void list(struct job *job, int tree)
{
    bool all = slice_equal(job->name, SLICE("*"));

    job->failed = !maildir_list(tree, &job->rows, &job->err);
    job->statuses = mem_zero(job->rows.count + 1ul, sizeof *job->statuses);
    for (unsigned i = 0; i < job->rows.count && job->with_status && !job->failed; i++) {
        struct slice name = slice_cstr(job->rows.all[i].name);
        struct maildir_view *view = all || slice_equal(name, job->name) ? look(job, tree, name) : NULL;

        if (view)
            status_of(view, &job->statuses[i]);
        else if (job->err.scope == ERR_SCOPE_RUN && job->err.class != ERR_CLASS_NONE)
            job->failed = true;
        maildir_view_drop(&view);
    }
}

static void with_tree(struct job *job)
{
    int tree = maildir_open_tree(job->pattern, job->user, &job->err);

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
    const struct maildir_view *v = job->view;
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
        for (uint32_t at = maildir_view_at(v, first); at < v->count && v->all[at].uid <= last; at++)
            if (job->wanted_count < v->count &&
                (job->wanted_count == 0 || job->wanted[job->wanted_count - 1] < at))
                job->wanted[job->wanted_count++] = at;
    }
}

/* ---- files ----------------------------------------------------------------------------------------- */

/* As IMAP sends it: each line ends in CR LF. */
static size_t with_line_ends(const char *in, size_t size, bool *after_cr, char *out)
{
    size_t used = 0;

    for (size_t i = 0; i < size; i++) {
        if (in[i] == '\n' && !*after_cr)
            out[used++] = '\r';
        out[used++] = in[i];
        *after_cr = in[i] == '\r';
    }
    return used;
}

static ssize_t read_whole(int fd, char *out, size_t size, off_t from)
{
    size_t got = 0;

    while (got < size) {
        ssize_t more = pread(fd, out + got, size - got, from + (off_t)got);

        if (more < 0 && errno == EINTR)
            continue;
        if (more < 0)
            return -1;
        if (more == 0)
            break;
        got += (size_t)more;
    }
    return (ssize_t)got;
}

/* The file's size as IMAP counts it; false: it cannot be read. */
static bool count_bytes(int fd, uint64_t *bytes_r)
{
    char *raw = mem_alloc(RAW_BYTES);
    bool after_cr = false;
    off_t at = 0;
    ssize_t got;

    *bytes_r = 0;
    while ((got = read_whole(fd, raw, RAW_BYTES, at)) > 0) {
        *bytes_r += (uint64_t)got;
        for (ssize_t i = 0; i < got; i++) {
            *bytes_r += raw[i] == '\n' && !after_cr;
            after_cr = raw[i] == '\r';
        }
        at += got;
    }
    free(raw);
    return got == 0;
}

/* What stands before the first empty line, and that line. */
static void read_header(int fd, struct job_row *r)
{
    char *raw = mem_alloc(JOB_HEADER);
    ssize_t got = read_whole(fd, raw, JOB_HEADER, 0);
    bool after_cr = false;
    size_t size = 0, end = 0;

    if (got > 0) {
        r->header = mem_alloc(2 * (size_t)got);
        size = with_line_ends(raw, (size_t)got, &after_cr, r->header);
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

static bool read_row(struct job *job, const struct maildir_message *m, struct job_row *r)
{
    char *name = NULL;
    struct stat st;
    uint64_t bytes = m->bytes;
    int fd = maildir_view_open(job->view, m, &name);
    bool ok;

    *r = (struct job_row){ .row.uid = m->uid };
    if (fd < 0)
        return false;
    ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (bytes || count_bytes(fd, &bytes));
    if (ok) {
        char words[MAILDIR_WORDS_BYTES];

        maildir_flags(job->view, name, words, &r->row.flags);
        r->words = slice_dup(r->row.flags.keywords);
        r->row.flags.keywords.data = r->words;
        r->row.has_flags = r->row.has_size = true;
        r->row.size_bytes = bytes;
        r->row.date = (struct imap_date){ .seconds = st.st_mtime, .known = true };
        if (job->with_header)
            read_header(fd, r);
    }
    close(fd);
    free(name);
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
        const struct maildir_message *m = &job->view->all[job->wanted[job->at]];
        int fd = maildir_view_open(job->view, m, NULL);

        if (fd < 0 && errno == ENOENT)
            continue;
        if (fd >= 0)
            close(fd);
        job->ranges[job->range_count++] = (struct uidset_range){ m->uid, m->uid };
    }
}

/* ---- bodies ---------------------------------------------------------------------------------------- */

static void body_open(struct job *job)
{
    const struct maildir_message *m = &job->view->all[job->wanted[job->at]];
    struct stat st;

    job->begins = true;
    job->given = job->raw_at = 0;
    job->after_cr = false;
    job->fd = maildir_view_open(job->view, m, NULL);
    job->gone = job->fd < 0 && errno == ENOENT;
    job->failed = job->fd >= 0 ? fstat(job->fd, &st) != 0 || !S_ISREG(st.st_mode) || !count_bytes(job->fd, &job->size)
                               : !job->gone;
    job->ends = job->gone;
    if (job->fd >= 0 && !job->failed)
        job->raw_size = (uint64_t)st.st_size;
    if (job->failed) {
        err_set(&job->err, ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, ERR_ORIGIN_MAILDIR, errno, "%.180s: %s", m->name,
                strerror(errno));
        err_doing(&job->err, "read a file of the Maildir");
    }
}

/* Its bytes at once are those that it had when it was counted: one that changes meanwhile is not believed. */
static void body_piece(struct job *job)
{
    struct stat st;
    uint64_t left = job->raw_size - job->raw_at;
    size_t want = left < RAW_BYTES ? (size_t)left : RAW_BYTES;
    char *raw = mem_alloc(RAW_BYTES);
    ssize_t got;

    if (!job->out)
        job->out = mem_alloc(JOB_BYTES);
    got = fstat(job->fd, &st) == 0 ? read_whole(job->fd, raw, want, (off_t)job->raw_at) : -1;
    if (got != (ssize_t)want) {
        err_set(&job->err, ERR_CLASS_TRANSIENT, ERR_SCOPE_MESSAGE, ERR_ORIGIN_MAILDIR, got < 0 ? errno : 0, "%.180s: %s",
                job->view->all[job->wanted[job->at]].name, got < 0 ? strerror(errno) : "changed while it was read");
        err_doing(&job->err, "read a file of the Maildir");
        job->failed = true;
    } else {
        job->out_size = with_line_ends(raw, want, &job->after_cr, job->out);
        job->raw_at += want;
        job->given += job->out_size;
        if (job->raw_at == job->raw_size) {
            job->ends = true;
            job->failed = job->given != job->size || (uint64_t)st.st_size != job->raw_size;
            if (job->failed)
                err_set(&job->err, ERR_CLASS_TRANSIENT, ERR_SCOPE_MESSAGE, ERR_ORIGIN_MAILDIR, 0,
                        "%.180s: changed while it was read", job->view->all[job->wanted[job->at]].name);
        }
    }
    free(raw);
}

static void bodies(struct job *job)
{
    job->out_size = 0;
    job->begins = false;
    if (job->ends) {
        if (job->fd >= 0)
            close(job->fd);
        job->fd = -1;
        job->at++;
        job->ends = job->gone = false;
    }
    if (job->at == job->wanted_count)
        return;
    if (job->fd < 0)
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
