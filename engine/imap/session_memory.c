/* What a session, and who keeps what it tells, may hold: io/base/quota asked where lines come in. */
#include "engine/imap/session_private.h"

#include <inttypes.h>

#define USUAL_LINE_BYTES 65536

struct quota_part *session_memory(const struct session *s)
{
    return s->config.memory;
}

static bool has_room(struct session *s)
{
    struct err err;

    if (!quota_is_over(s->config.memory))
        return true;
    err_set(&err, ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, ERR_ORIGIN_CONFIG, 0,
            "what the server lists takes more memory than memory-max leaves for lists: %" PRIu64
            " MB are held for this user",
            quota_part_used(s->config.memory) / 1000000);
    session_fail(s, &err);
    return false;
}

bool session_keeps(struct session *s, struct cmd *cmd, size_t bytes)
{
    quota_hold_more(&cmd->held, s->config.memory, bytes);
    return has_room(s);
}

/* Counts the line under way; one of usual length is no reason to end anything. */
void session_hold_line(struct session *s)
{
    size_t bytes = s->scan.line.room + s->scratch.room + s->keywords.room;

    if (bytes == s->held.bytes)
        return;
    quota_hold(&s->held, s->config.memory, bytes);
    if (bytes > USUAL_LINE_BYTES && s->life == SESSION_ALIVE)
        (void)has_room(s);
}
