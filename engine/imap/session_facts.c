/* What a session tells of itself. Nothing here changes it. */
#include "engine/imap/session_private.h"

#define LITERAL_PATIENCE_MS 120000
/* Of the time for an answer, what is still waited once the server has said something that may have been it. */
#define STRAY_SHARE 20u

const struct caps *session_caps(const struct session *s)
{
    return &s->caps;
}

const char *session_greeting(const struct session *s)
{
    return s->greeting;
}

bool session_was_greeted(const struct session *s)
{
    return s->login.state != LOGIN_GREETING;
}

const char *session_server_id(const struct session *s)
{
    return s->server_id;
}

unsigned session_ways_tried(const struct session *s)
{
    if (s->login.state == LOGIN_READY)
        return s->config.auth.tried;
    return s->login.again ? s->login.tried : 0;
}

unsigned session_inflight(const struct session *s)
{
    unsigned count = s->flight.count;

    for (const struct cmd *cmd = s->queue_first; cmd; cmd = cmd->next)
        count++;
    return count;
}

uint64_t session_answer_count(const struct session *s)
{
    return s->answer_count;
}

unsigned session_error_count(const struct session *s)
{
    return s->errors;
}

unsigned session_damaged_count(const struct session *s)
{
    return s->damaged;
}

unsigned session_search_told(const struct session *s)
{
    return s->search_told;
}

bool session_body_nil(const struct session *s)
{
    return s->body_nil;
}

const char *session_waiting_for(const struct session *s)
{
    if (s->life != SESSION_ALIVE)
        return "";
    if (s->login.state != LOGIN_READY)
        return login_state_name(s->login.state);
    return s->flight_first ? cmd_name(s->flight_first->kind) : "";
}

uint64_t session_responses(const struct session *s)
{
    return s->responses;
}

uint64_t session_uses(const struct session *s)
{
    return s->uses;
}

bool session_amid_response(const struct session *s, bool *in_literal_r)
{
    *in_literal_r = scan_in_literal(&s->scan);
    return scan_pending(&s->scan);
}

uint32_t session_patience_ms(const struct session *s)
{
    if (s->life != SESSION_ALIVE)
        return 0;
    if (s->login.state != LOGIN_READY)
        return login_patience_ms(&s->login);
    if (scan_in_literal(&s->scan))
        return LITERAL_PATIENCE_MS;
    if (!s->flight_first)
        return 0;
    return cmd_patience_ms(s->flight_first->kind) / (s->stray.came ? STRAY_SHARE : 1);
}
