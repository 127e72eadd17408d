/* A journal in memory behind the names of store/reader and store/spool, so that reports can be tested
 * with texts and numbers that no server would give easily. Include it in one source only; the linker
 * then takes these instead of the library's.
 */
#ifndef TESTS_UNIT_TEST_REPORT_FAKE_H
#define TESTS_UNIT_TEST_REPORT_FAKE_H

#include "io/base/mem.h"
#include "store/reader.h"

#include <stdio.h>
#include <stdlib.h>

struct fake_message {
    uint32_t user, folder;
    struct message_record record;
    struct message_note note;
    const char *body;
};
struct fake_failure {
    uint32_t user;
    struct failure_record record;
};
struct fake_problem {
    uint32_t user;
    struct problem_record record;
};
struct fake_sample {
    int64_t wall_ms;
    uint64_t values[12];
};
struct fake_meta {
    const char *name, *value;
};
struct spool {
    struct user_record *users;
    struct folder_record *folders; /* grouped by user, ascending */
    struct fake_message *messages;
    struct fake_failure *failures;
    struct fake_problem *problems;
    struct fake_sample *samples;
    struct fake_meta *metas;
    unsigned user_count, folder_count, message_count, failure_count, problem_count, sample_count, meta_count;
    const char *every_meta; /* of any name that is not in metas */
    int64_t last_commit_ms;
    enum spool_holder holder;
    bool broken_bodies, broken_reader;
};
struct reader {
    struct spool *spool;
    bool busy; /* a callback must not call the same reader */
};
struct body_reader {
    const char *rest;
};

#define FAKE_ADD(array, count, value)                                                                                  \
    do {                                                                                                               \
        (array) = mem_resize((array), (count) + 1u, sizeof *(array));                                                  \
        (array)[(count)++] = (value);                                                                                  \
    } while (0)

static inline void fake_free(struct spool *s)
{
    free(s->users);
    free(s->folders);
    free(s->messages);
    free(s->failures);
    free(s->problems);
    free(s->samples);
    free(s->metas);
    *s = (struct spool){ 0 };
}

static inline bool fake_enter(struct reader *r, struct err *err_r)
{
    if (r->busy)
        abort();
    if (r->spool->broken_reader)
        return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_STORE, 5, "broken");
    r->busy = true;
    return true;
}

bool reader_create(struct spool *spool, struct reader **reader_r, struct err *err_r)
{
    *reader_r = mem_zero(1, sizeof **reader_r);
    (*reader_r)->spool = spool;
    return true;
}

bool reader_hold(struct reader *reader, struct err *err_r)
{
    (void)reader;
    (void)err_r;
    return true;
}

void reader_destroy(struct reader **reader)
{
    free(*reader);
    *reader = NULL;
}

#define FAKE_EACH(count, condition, call)                                                                              \
    do {                                                                                                               \
        if (!fake_enter(reader, err_r))                                                                                \
            return false;                                                                                              \
        for (unsigned i = 0; i < (count); i++)                                                                         \
            if ((condition) && !(call))                                                                                \
                break;                                                                                                 \
        reader->busy = false;                                                                                          \
        return true;                                                                                                   \
    } while (0)

bool reader_users(struct reader *reader, bool (*each)(void *, const struct user_record *), void *context,
                  struct err *err_r)
{
    const struct spool *s = reader->spool;

    FAKE_EACH(s->user_count, true, each(context, &s->users[i]));
}

bool reader_folders(struct reader *reader, uint32_t user, bool (*each)(void *, const struct folder_record *),
                    void *context, struct err *err_r)
{
    const struct spool *s = reader->spool;

    FAKE_EACH(s->folder_count, s->folders[i].user == user, each(context, &s->folders[i]));
}

bool reader_messages(struct reader *reader, uint32_t user, uint32_t folder, unsigned states, uint32_t from_uid,
                     bool descending, unsigned limit, bool (*each)(void *, const struct message_record *),
                     void *context, struct err *err_r)
{
    const struct spool *s = reader->spool;
    unsigned given = 0;

    if (descending)
        abort(); /* nothing here asks for it */
    FAKE_EACH(s->message_count,
              s->messages[i].user == user && s->messages[i].folder == folder && s->messages[i].record.uid >= from_uid &&
                  (states & 1u << s->messages[i].record.state) && (!limit || given < limit),
              (given++, each(context, &s->messages[i].record)));
}

bool reader_notes(struct reader *reader, uint32_t user, uint32_t folder, unsigned states, uint32_t from_uid,
                  bool (*each)(void *, const struct message_record *, const struct message_note *), void *context,
                  struct err *err_r)
{
    const struct spool *s = reader->spool;

    FAKE_EACH(s->message_count,
              s->messages[i].user == user && s->messages[i].folder == folder && s->messages[i].record.uid >= from_uid &&
                  (states & 1u << s->messages[i].record.state),
              each(context, &s->messages[i].record, &s->messages[i].note));
}

bool reader_repaired(struct reader *reader, uint32_t user, uint32_t folder,
                     bool (*each)(void *, const struct message_record *, const struct message_note *), void *context,
                     struct err *err_r)
{
    const struct spool *s = reader->spool;

    FAKE_EACH(s->message_count,
              s->messages[i].user == user && s->messages[i].folder == folder &&
                  s->messages[i].record.state == MESSAGE_UPLOADED && s->messages[i].record.repairs,
              each(context, &s->messages[i].record, &s->messages[i].note));
}

bool reader_failures(struct reader *reader, uint32_t user, bool (*each)(void *, const struct failure_record *),
                     void *context, struct err *err_r)
{
    const struct spool *s = reader->spool;

    FAKE_EACH(s->failure_count, s->failures[i].user == user, each(context, &s->failures[i].record));
}

bool reader_problems(struct reader *reader, uint32_t user, bool (*each)(void *, const struct problem_record *),
                     void *context, struct err *err_r)
{
    const struct spool *s = reader->spool;

    FAKE_EACH(s->problem_count, s->problems[i].user == user, each(context, &s->problems[i].record));
}

bool reader_samples(struct reader *reader, bool (*each)(void *, int64_t, const uint64_t[12]), void *context,
                    struct err *err_r)
{
    const struct spool *s = reader->spool;

    FAKE_EACH(s->sample_count, true, each(context, s->samples[i].wall_ms, s->samples[i].values));
}

bool spool_meta_get(struct spool *spool, const char *name, struct slice *value_r, struct err *err_r)
{
    *value_r = spool->every_meta ? slice_cstr(mem_text(spool->every_meta)) : slice_of(NULL, 0);
    for (unsigned i = 0; i < spool->meta_count; i++)
        if (strcmp(spool->metas[i].name, name) == 0)
            *value_r = slice_cstr(mem_text(spool->metas[i].value));
    return true;
}

enum spool_holder spool_holder(const struct spool *spool)
{
    return spool->holder;
}

int64_t spool_last_commit_ms(const struct spool *spool)
{
    return spool->last_commit_ms;
}

/* body: index + 1 of the message. */
bool body_open(struct reader *reader, uint64_t body, uint64_t body_bytes, struct body_reader **body_r,
               struct err *err_r)
{
    if (body == 0 || body > reader->spool->message_count)
        return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, ERR_ORIGIN_STORE, 0, "no body");
    *body_r = mem_zero(1, sizeof **body_r);
    (*body_r)->rest = reader->spool->messages[body - 1].body;
    if (reader->spool->broken_bodies && strlen((*body_r)->rest) != body_bytes)
        abort();
    return true;
}

bool body_read(struct body_reader *body, char *out, size_t cap, size_t *got_r, struct err *err_r)
{
    size_t n = strlen(body->rest);

    /* Short pieces, so that every seam is tried. */
    n = n > 7 ? 7 : n;
    n = n > cap ? cap : n;
    if (strncmp(body->rest, "BROKEN", 6) == 0)
        return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, ERR_ORIGIN_STORE, 0, "checksum does not hold");
    memcpy(out, body->rest, n);
    body->rest += n;
    *got_r = n;
    return true;
}

void body_close(struct body_reader **body)
{
    free(*body);
    *body = NULL;
}

#endif
