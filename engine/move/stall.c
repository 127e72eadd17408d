#include "engine/move/stall.h"

#include <assert.h>
#include <inttypes.h>

static const struct {
    const char *name, *words;
} causes[] = {
    [STALL_NONE] = { "", "" },
    [STALL_SLOW_ANSWER] = { "SlowAnswer", "no byte of an answer for more than 5 s" },
    [STALL_RECONNECT] = { "Reconnect", "waiting before connecting again" },
    [STALL_RETRY] = { "Retry", "waiting before trying again" },
    [STALL_CONNECTION_LIMIT] = { "ConnectionLimit", "no connection free" },
    [STALL_TOKEN] = { "Token", "waiting for an access token" },
    [STALL_FIRST_LOGIN] = { "FirstLogin", "another user's login tries the shared password first" },
    [STALL_PACE] = { "Pace", "kept below the rate that the target allows" },
    [STALL_LOST_ANSWER] = { "LostAnswer", "finding out what an APPEND without an answer did" },
    [STALL_SPOOL_FULL] = { "SpoolFull", "the spool is full" },
    [STALL_DISK] = { "Disk", "the disk under the spool is slower than the source" },
    [STALL_DISK_FULL] = { "DiskFull", "the disk of the state folder is full" },
};
_Static_assert(sizeof causes / sizeof *causes == STALL_CAUSE_COUNT, "one a cause");

const char *stall_name(enum stall_cause cause)
{
    assert((unsigned)cause < STALL_CAUSE_COUNT);
    return causes[cause].name;
}

const char *stall_words(enum stall_cause cause)
{
    assert((unsigned)cause < STALL_CAUSE_COUNT);
    return causes[cause].words;
}

bool stall_is_here(enum stall_cause cause)
{
    return cause == STALL_SPOOL_FULL || cause == STALL_DISK || cause == STALL_DISK_FULL;
}

void stalls_add(struct stalls *sum, const struct stalls *stalls)
{
    for (unsigned side = 0; side < SIDE_COUNT; side++)
        for (unsigned i = 0; i < STALL_CAUSE_COUNT; i++)
            sum->ms[side][i] += stalls->ms[side][i];
}

void stalls_put(struct buf *out, const struct stalls *stalls)
{
    for (unsigned side = 0; side < SIDE_COUNT; side++)
        for (unsigned i = STALL_NONE + 1; i < STALL_CAUSE_COUNT; i++)
            if (stalls->ms[side][i]) {
                bool fits = buf_append_format(out, "%c%s=%" PRIu64 " ", side == SIDE_SOURCE ? 's' : 't', causes[i].name,
                                              stalls->ms[side][i]);

                assert(fits);
                (void)fits;
            }
}

void stalls_read(struct slice text, struct stalls *stalls_r)
{
    struct slice word, name;
    uint64_t ms;

    *stalls_r = (struct stalls){ 0 };
    while (slice_split(&text, ' ', &word)) {
        enum side side = word.size && word.data[0] == 's' ? SIDE_SOURCE : SIDE_TARGET;

        if (word.size == 0 || (word.data[0] != 's' && word.data[0] != 't'))
            continue;
        word = slice_from(word, 1);
        if (!slice_split(&word, '=', &name) || !slice_u64(word, &ms))
            continue;
        for (unsigned i = STALL_NONE + 1; i < STALL_CAUSE_COUNT; i++)
            if (slice_equal(name, slice_cstr(causes[i].name)))
                stalls_r->ms[side][i] = ms;
    }
}
