#include "engine/move/body_read.h"

#include "engine/message/ladder.h"
#include "engine/message/placeholder.h"
#include "io/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct body_read {
    struct source *source;
    const struct body_read_events *events;
    void *context;
    struct body_read_ask ask;
    /* of the message */
    struct ladder ladder;
    struct err why; /* why the last try did not give it */
    /* of the try */
    enum session_body_form form;
    struct assembly parts;
    uint64_t got;
    bool began, whole;
    char first[PLACEHOLDER_BYTES_MAX];
};

static bool assembles(const struct body_read *r)
{
    return r->form == SESSION_BODY_PARTIAL || r->form == SESSION_BODY_HEADER;
}

static void begin(struct body_read *r)
{
    r->began = true;
    r->got = 0;
    r->events->begin(r->context);
}

static void body_begin(void *context, uint32_t uid, uint64_t size_bytes, uint64_t origin)
{
    struct body_read *r = context;

    (void)uid;
    if (assembles(r) && (!assembly_part(&r->parts, size_bytes, origin) || r->parts.got > 0))
        return;
    if (!r->whole)
        begin(r);
}

static void body_bytes(void *context, struct slice bytes)
{
    struct body_read *r = context;

    if (r->whole || !r->began || (assembles(r) && !assembly_bytes(&r->parts, bytes)))
        return;
    if (r->got < sizeof r->first) {
        size_t room = sizeof r->first - (size_t)r->got;

        memcpy(r->first + r->got, bytes.data, bytes.size < room ? bytes.size : room);
    }
    r->got += bytes.size;
    r->events->bytes(r->context, bytes);
}

/* All of it came; is it the message? */
static bool is_message(struct body_read *r)
{
    char subject[200];

    if (r->got <= sizeof r->first && placeholder_is(slice_of(r->first, (size_t)r->got), subject, sizeof subject)) {
        err_set(&r->why, ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, ERR_ORIGIN_PROTOCOL, 0,
                "the server sends a placeholder: it cannot give the message \"%s\"", subject);
        return false;
    }
    if (ladder_takes(&r->ladder, r->ask.expected_bytes, r->got, SIZES_UNKNOWN))
        return true;
    err_set(&r->why, ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, ERR_ORIGIN_PROTOCOL, 0,
            "%" PRIu64 " bytes came of %" PRIu64, r->got, r->ask.expected_bytes);
    return false;
}

static void body_end(void *context, uint32_t uid, bool got_body, bool suspect)
{
    struct body_read *r = context;

    if (assembles(r)) {
        assembly_part_ended(&r->parts, uid == r->ask.uid && got_body && !source_body_nil(r->source), suspect);
        return;
    }
    if (uid == r->ask.uid && got_body && !suspect && r->began && r->got > 0 && !r->whole)
        r->whole = is_message(r);
}

static const struct session_body_events body_events = {
    .begin = body_begin,
    .bytes = body_bytes,
    .end = body_end,
};

static void over(struct body_read *r, const struct err *err)
{
    const struct body_read_events *events = r->events;
    void *context = r->context;
    struct err copy;

    if (err)
        copy = *err;
    free(r);
    events->ended(context, err ? &copy : NULL);
}

static void part_ended(void *context, const struct err *err);

static void ask_part(struct body_read *r)
{
    char set[16];

    snprintf(set, sizeof set, "%" PRIu32, r->ask.uid);
    source_bodies(r->source, slice_cstr(set), assembles(r) ? assembly_form(&r->parts) : r->form, r->parts.part_from,
                  r->form == SESSION_BODY_PARTIAL ? ASSEMBLY_PART_BYTES : 0, &body_events, part_ended, r);
}

static void next_try(struct body_read *r)
{
    if (!ladder_goes_on(&r->ladder, r->ask.writable)) {
        err_doing(&r->why, "UID FETCH %" PRIu32, r->ask.uid);
        over(r, &r->why);
        return;
    }
    r->form = ladder_begin(&r->ladder, r->ask.writable, r->ask.expected_bytes, SIZES_UNKNOWN, &r->parts);
    r->began = r->whole = false;
    r->got = 0;
    ask_part(r);
}

static void part_ended(void *context, const struct err *err)
{
    struct body_read *r = context;

    if (err && (source_is_over(r->source) || err->class == ERR_CLASS_THROTTLED || err->class == ERR_CLASS_CANCELED ||
                err->class == ERR_CLASS_UNCERTAIN)) {
        over(r, err);
        return;
    }
    if (!err && assembles(r)) {
        enum assembly_answer answer = assembly_ended(&r->parts);

        if (answer == ASSEMBLY_MORE) {
            ask_part(r);
            return;
        }
        r->whole = answer == ASSEMBLY_WHOLE && r->began && is_message(r);
    }
    if (r->whole) {
        over(r, NULL);
        return;
    }
    if (err)
        r->why = *err;
    ladder_failed(&r->ladder);
    next_try(r);
}

void body_read_start(struct source *source, const struct body_read_ask *ask, const struct body_read_events *events,
                     void *context)
{
    struct body_read *r = mem_zero(1, sizeof *r);

    r->source = source;
    r->events = events;
    r->context = context;
    r->ask = *ask;
    r->ladder.tries = ask->tried ? 1 : 0;
    err_set(&r->why, ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, ERR_ORIGIN_PROTOCOL, 0,
            "the source has no such message any more, or does not give it whole");
    next_try(r);
}
