#include "engine/cli/export.h"

#include "engine/cli/export_file.h"
#include "engine/message/header.h"
#include "engine/report/folders.h"
#include "engine/report/table.h"
#include "io/base/buf.h"
#include "io/base/mem.h"
#include "io/base/now.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK        4096u  /* messages whose records and notes are in memory at once */
#define HEADER_BYTES 32768u /* of a body that are searched for Subject and Message-ID */

struct entry {
    struct message_record message;
    struct message_note note;
};
struct type_of {
    uint32_t folder, uid;
    char type[40];
};

struct export
{
    const struct export_options *options;
    struct export_result *result;
    struct reader *reader;
    FILE *index;
    struct export_file file;
    uint64_t number;
    /* of the user */
    struct user_record user;
    char user_folder[160];
    struct type_of *types;
    unsigned type_count;
    char(*names)[200]; /* taken folder names */
    unsigned name_count;
    bool user_has_any;
    /* of the folder */
    const struct folder_record *folder;
    struct entry *entries;
    unsigned entry_count;
    /* of the message */
    const struct message_record *message;
    struct buf header;
    bool sink_failed; /* the fault is ours, not the message's */
    char reason[300];
};

/* --- reading --- */

static bool each_entry(void *context, const struct message_record *m, const struct message_note *note)
{
    struct export *x = context;
    struct entry *e = &x->entries[x->entry_count++];

    memset(e, 0, sizeof *e);
    e->message = *m;
    e->message.keywords = slice_of(NULL, 0);
    e->note = *note;
    return x->entry_count < CHUNK;
}

static bool each_failure(void *context, const struct failure_record *f)
{
    struct export *x = context;

    if (f->uid == 0)
        return true;
    x->types = mem_resize(x->types, x->type_count + 1u, sizeof *x->types);
    x->types[x->type_count] = (struct type_of){ f->folder, f->uid, "" };
    err_printable(x->types[x->type_count].type, sizeof x->types->type, f->type, strnlen(f->type, sizeof f->type));
    x->type_count++;
    return true;
}

/* --- names --- */

static bool is_taken(const struct export *x, const char *name)
{
    for (unsigned i = 0; i < x->name_count; i++)
        if (slice_equal_nocase(slice_cstr(x->names[i]), slice_cstr(name)))
            return true;
    return false;
}

/* One level for the whole path, so that no depth of the source meets a limit here. Dots separate, as
 * in Maildir++. */
static void name_folder(struct export *x)
{
    struct slice source = x->folder->source_name;
    char *flat = slice_dup(source), safe[160], name[200], path[EXPORT_PATH_BYTES];
    const char *ending = x->options->format == EXPORT_MBOX ? ".mbox" : "";

    for (size_t i = 0; i < source.size; i++)
        flat[i] = flat[i] == '.' ? '_' : flat[i] == '/' ? '.' : flat[i];
    export_safe_name(slice_of(flat, source.size), safe, sizeof safe);
    free(flat);
    snprintf(name, sizeof name, "%s%s", safe, ending);
    if (is_taken(x, name))
        snprintf(name, sizeof name, "%s~%" PRIu32 "%s", safe, x->folder->folder, ending);
    x->names = mem_resize(x->names, x->name_count + 1u, sizeof *x->names);
    memcpy(x->names[x->name_count++], name, sizeof name);
    if (x->options->format != EXPORT_MAILDIR)
        snprintf(path, sizeof path, "%s/%s", x->user_folder, name);
    else if (slice_equal_nocase(source, SLICE("INBOX")))
        snprintf(path, sizeof path, "%s", x->user_folder);
    else
        snprintf(path, sizeof path, "%s/.%s", x->user_folder, name);
    export_file_folder(&x->file, path);
}

/* --- one message --- */

static bool sink(void *context, struct slice bytes, struct err *err_r)
{
    struct export *x = context;
    size_t room = buf_space(&x->header);

    if (!bytes.data) {
        export_file_abandon(&x->file);
        buf_clear(&x->header);
        x->sink_failed = !export_file_begin(&x->file, x->message, x->number, err_r);
        return !x->sink_failed;
    }
    if (!buf_append(&x->header, slice_first(bytes, room < bytes.size ? room : bytes.size)))
        room = 0;
    if (export_file_add(&x->file, bytes, err_r))
        return true;
    x->sink_failed = true;
    return false;
}

static bool from_spool(struct export *x, const struct message_record *m, struct err *err_r)
{
    struct body_reader *body = NULL;
    char piece[16384];
    size_t got = 1;
    bool good = body_open(x->reader, m->body, m->body_bytes, &body, err_r);

    while (good && got) {
        good = body_read(body, piece, sizeof piece, &got, err_r);
        if (good && got)
            good = sink(x, slice_of(piece, got), err_r);
    }
    if (body)
        body_close(&body);
    return good;
}

static const char *state_word(enum message_state state)
{
    switch (state) {
    case MESSAGE_FOUND:
        return "found";
    case MESSAGE_SPOOLED:
        return "spooled";
    case MESSAGE_UPLOADED:
        return "uploaded";
    case MESSAGE_PRESENT:
        return "present";
    case MESSAGE_SKIPPED:
        return "skipped";
    case MESSAGE_FAILED:
        return "failed";
    case MESSAGE_STATE_COUNT:
        break;
    }
    return "";
}

static void index_row(struct export *x, const struct entry *e, bool written)
{
    const struct message_record *m = &e->message;
    char subject[256], id[256], stamp[32];
    struct slice header = buf_slice(&x->header);

    snprintf(subject, sizeof subject, "%s", e->note.subject);
    snprintf(id, sizeof id, "%s", e->note.message_id);
    if (!subject[0])
        header_text(header_field(header, SLICE("Subject")), subject, sizeof subject);
    if (!id[0])
        header_text(header_field(header, SLICE("Message-ID")), id, sizeof id);
    report_csv_field(x->index, x->user.address, false);
    report_csv_field(x->index, x->folder->source_name, false);
    fprintf(x->index, "%" PRIu32 ",", m->uid);
    report_csv_field(
        x->index, slice_cstr(m->date_known ? now_rfc3339(m->date_seconds * 1000, stamp, sizeof stamp) : e->note.date),
        false);
    report_csv_field(x->index, slice_cstr(subject), false);
    report_csv_field(x->index, slice_cstr(id), false);
    fprintf(x->index, "%s,", state_word(m->state));
    report_csv_field(x->index, slice_cstr(x->reason), false);
    fprintf(x->index, "%" PRIu64 ",", written ? x->file.bytes : m->listed_bytes);
    report_csv_field(x->index, slice_cstr(written ? x->file.path : ""), true);
}

static void reason(struct export *x, const struct message_record *m)
{
    snprintf(x->reason, sizeof x->reason, "%s", skip_reason_name(m->reason));
    if (m->state == MESSAGE_FAILED)
        for (unsigned i = 0; i < x->type_count; i++)
            if (x->types[i].folder == x->folder->folder && x->types[i].uid == m->uid)
                snprintf(x->reason, sizeof x->reason, "%s", x->types[i].type);
}

/* user_over_r: no more of this user can be had. False: the export ends. */
static bool message(struct export *x, const struct entry *e, bool *user_over_r, struct err *err_r)
{
    const struct message_record *m = &e->message;
    const struct export_options *o = x->options;
    struct err err;
    bool written = false;

    buf_clear(&x->header);
    x->message = m;
    reason(x, m);
    x->user_has_any = true;
    if (m->body || o->fetch_body) {
        bool good;

        if (!export_file_begin(&x->file, m, ++x->number, err_r))
            return false;
        good = m->body ? from_spool(x, m, &err) : o->fetch_body(o->context, &x->user, x->folder, m, sink, x, &err);
        if (good) {
            if (!export_file_end(&x->file, err_r))
                return false;
            written = true;
        } else {
            char line[256];

            export_file_abandon(&x->file);
            if (x->sink_failed || err.scope == ERR_SCOPE_RUN) {
                *err_r = err;
                return false;
            }
            *user_over_r = err.scope == ERR_SCOPE_ACCOUNT;
            snprintf(x->reason + strlen(x->reason), sizeof x->reason - strlen(x->reason), "%snot exported: %s",
                     x->reason[0] ? "; " : "", err_line(&err, line, sizeof line));
        }
    }
    if (written) {
        x->result->written++;
        x->result->bytes += x->file.bytes;
    } else {
        x->result->without_body++;
    }
    index_row(x, e, written);
    return true;
}

/* --- folders and users --- */

static unsigned wanted(enum export_what what)
{
    unsigned all = 0;

    for (int s = MESSAGE_FOUND; s < MESSAGE_STATE_COUNT; s++)
        all |= 1u << s;
    return what == EXPORT_SKIPPED ? 1u << MESSAGE_SKIPPED : what == EXPORT_FAILED ? 1u << MESSAGE_FAILED : all;
}

static bool folder(struct export *x, bool *user_over_r, struct err *err_r)
{
    unsigned states = wanted(x->options->what);
    uint64_t from = 0;

    name_folder(x);
    while (from <= UINT32_MAX && !*user_over_r) {
        unsigned count;

        x->entry_count = 0;
        if (!reader_notes(x->reader, x->user.id, x->folder->folder, states, (uint32_t)from, each_entry, x, err_r))
            return false;
        count = x->entry_count;
        if (count == 0)
            break;
        for (unsigned i = 0; i < count && !*user_over_r; i++)
            if (!message(x, &x->entries[i], user_over_r, err_r))
                return false;
        from = (uint64_t)x->entries[count - 1].message.uid + 1;
        if (count < CHUNK)
            break;
    }
    return export_file_close(&x->file, err_r);
}

static bool has_any(const struct export *x, const struct folder_record *f)
{
    const struct tally *t = &f->tally;

    switch (x->options->what) {
    case EXPORT_SKIPPED:
        return t->skipped > 0;
    case EXPORT_FAILED:
        return t->failed > 0;
    case EXPORT_ALL:
        break;
    }
    return t->found > 0;
}

static bool user(struct export *x, unsigned shard, struct err *err_r)
{
    char safe[160];
    struct report_folders list;
    bool over = false, good;

    export_safe_name(x->user.address, safe, sizeof safe);
    if (mkdirat(x->file.root, safe, 0700) == 0) {
        snprintf(x->user_folder, sizeof x->user_folder, "%s", safe);
    } else {
        snprintf(x->user_folder, sizeof x->user_folder, "%.130s~%u.%" PRIu32, safe, shard + 1, x->user.id);
        if (mkdirat(x->file.root, x->user_folder, 0700) != 0) {
            err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, errno, "mkdir");
            return err_doing(err_r, "mkdir %s", x->user_folder);
        }
    }
    x->type_count = x->name_count = 0;
    x->user_has_any = false;
    good = report_folders_load(x->reader, x->user.id, false, &list, err_r) &&
           reader_failures(x->reader, x->user.id, each_failure, x, err_r);
    for (unsigned i = 0; good && !over && i < list.count; i++) {
        x->folder = &list.rows[i];
        if (x->folder->excluded)
            x->result->unlisted += x->options->what == EXPORT_FAILED ? 0 : x->folder->tally.skipped;
        else if (has_any(x, x->folder))
            good = folder(x, &over, err_r);
    }
    x->result->users += x->user_has_any;
    /* A folder without anything in it would only puzzle. */
    if (good && !x->user_has_any && unlinkat(x->file.root, x->user_folder, AT_REMOVEDIR) != 0)
        errno = 0;
    report_folders_free(&list);
    return good;
}

struct found {
    const struct export_options *options;
    struct user_record *rows;
    unsigned count;
};

static bool each_user(void *context, const struct user_record *record)
{
    struct found *found = context;
    bool take = found->options->user_count == 0;

    for (unsigned i = 0; i < found->options->user_count; i++)
        if (slice_equal_nocase(found->options->users[i], record->address) ||
            slice_equal(found->options->users[i], record->user_name))
            take = found->options->known[i] = true;
    if (!take)
        return true;
    found->rows = mem_resize(found->rows, found->count + 1u, sizeof *found->rows);
    found->rows[found->count] = *record;
    found->rows[found->count].address = slice_of(slice_dup(record->address), record->address.size);
    found->rows[found->count].user_name = slice_of(slice_dup(record->user_name), record->user_name.size);
    found->rows[found->count++].opaque = slice_of(NULL, 0);
    return true;
}

static bool shard(struct export *x, struct spool *spool, unsigned number, struct err *err_r)
{
    struct found found = { .options = x->options };
    bool good = reader_create(spool, &x->reader, err_r);

    if (good) {
        good = reader_users(x->reader, each_user, &found, err_r);
        for (unsigned i = 0; good && i < found.count; i++) {
            x->user = found.rows[i];
            good = user(x, number, err_r);
        }
        reader_destroy(&x->reader);
    }
    x->result->users_known += found.count;
    for (unsigned i = 0; i < found.count; i++) {
        free((char *)found.rows[i].address.data);
        free((char *)found.rows[i].user_name.data);
    }
    free(found.rows);
    return good;
}

/* --- the folder of it all --- */

/* The option names a folder that will not do; of the disk it is nothing. */
static bool misnamed(struct err *err_r)
{
    switch (err_r->code) {
    case EACCES:
    case EEXIST:
    case EISDIR:
    case ELOOP:
    case ENAMETOOLONG:
    case ENOENT:
    case ENOTDIR:
    case EPERM:
        err_r->origin = ERR_ORIGIN_CONFIG;
        break;
    default:
        break;
    }
    return false;
}

static bool root_opened(struct export *x, struct err *err_r)
{
    const char *to = x->options->to;
    DIR *dir;
    struct dirent *entry;
    bool empty = true;
    struct stat st;
    int copy, fd;

    if (mkdir(to, 0700) != 0 && errno != EEXIST) {
        err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, errno, "mkdir");
        return err_doing(err_r, "make --to %s", to);
    }
    x->file.root = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (x->file.root >= 0 && (fstat(x->file.root, &st) != 0 || st.st_uid != geteuid())) {
        err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_OS, EPERM,
                "the folder is another user's; name one that does not exist yet");
        return err_doing(err_r, "export --to %s", to);
    }
    copy = x->file.root < 0 ? -1 : dup(x->file.root);
    dir = copy < 0 ? NULL : fdopendir(copy);
    if (!dir) {
        err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, errno, "open");
        if (copy >= 0)
            close(copy);
        return err_doing(err_r, "open --to %s", to);
    }
    while ((entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            empty = false;
    closedir(dir);
    if (!empty) {
        err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_OS, EEXIST,
                "the folder is not empty; an export never writes over anything");
        return err_doing(err_r, "export --to %s", to);
    }
    fd = openat(x->file.root, "index.csv", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    x->index = fd < 0 ? NULL : fdopen(fd, "w");
    if (!x->index) {
        err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, errno, "create index.csv");
        if (fd >= 0)
            close(fd);
        return false;
    }
    fputs("user,folder,uid,date,subject,message-id,state,reason,bytes,file\r\n", x->index);
    return true;
}

static bool open_root(struct export *x, struct err *err_r)
{
    return root_opened(x, err_r) || misnamed(err_r);
}

static bool finish(struct export *x, struct err *err_r)
{
    /* One flush of the file system instead of one a message. */
    if (fflush(x->index) != 0 || ferror(x->index) || fsync(fileno(x->index)) != 0 || syncfs(x->file.root) != 0)
        return err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, errno, "flush the export");
    return true;
}

bool export_run(struct spool *const *spools, unsigned count, const struct export_options *options,
                struct export_result *result_r, struct err *err_r)
{
    struct export *x = mem_zero(1, sizeof *x);
    bool good;
    struct err ignored;

    *result_r = (struct export_result){ 0 };
    x->options = options;
    x->result = result_r;
    x->file.format = options->format;
    x->file.root = x->file.mbox = x->file.fd = -1;
    x->entries = mem_zero(CHUNK, sizeof *x->entries);
    buf_init(&x->header, HEADER_BYTES);
    good = open_root(x, err_r);
    for (unsigned i = 0; good && i < count; i++)
        good = shard(x, spools[i], i, err_r);
    if (good)
        good = finish(x, err_r);
    if (!export_file_close(&x->file, &ignored) && good) {
        *err_r = ignored;
        good = false;
    }
    if (x->index)
        fclose(x->index);
    if (x->file.root >= 0)
        close(x->file.root);
    buf_deinit(&x->header);
    free(x->entries);
    free(x->types);
    free(x->names);
    free(x);
    return good;
}
