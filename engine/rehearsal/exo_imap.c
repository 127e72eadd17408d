#include "engine/rehearsal/exo_imap.h"

#include "io/base/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define GATHER_MAX    65536 /* bytes of a literal that is no message */
#define SASL_LINE_MAX 65536

static struct exo_session *session(struct exo_conn *c)
{
    return c->state;
}

/* {n} or {n+} at the end of a line. */
static bool literal_announced(struct slice line, uint64_t *size_r, bool *plus_r)
{
    size_t open = line.size;
    struct slice number;

    if (!line.size || line.data[line.size - 1] != '}')
        return false;
    while (open && line.data[open - 1] != '{')
        open--;
    if (!open)
        return false;
    number = slice_of(line.data + open, line.size - open - 1);
    *plus_r = number.size && number.data[number.size - 1] == '+';
    number.size -= *plus_r;
    return slice_u64(number, size_r);
}

static void line_complete(struct exo_conn *c)
{
    struct exo_session *s = session(c);
    struct slice command = buf_slice(&s->cmd);
    struct slice line = slice_from(command, s->line_at);
    uint64_t size;
    bool plus;

    if (!literal_announced(line, &size, &plus)) {
        if (c->worker->config.command_ms)
            exo_conn_wait(c, exo_jitter(c->worker, c->worker->config.command_ms), exo_command_run);
        else
            exo_command_run(c);
        return;
    }
    if (exo_append_is(command)) {
        if (!exo_command_refused(c)) {
            exo_append_begin(c, command, size, !plus);
        } else if (plus && s->state == EXO_STATE_LINE && c->worker->config.refusal == EXO_REFUSAL_SWALLOW) {
            s->gather = size;
            s->state = EXO_STATE_SWALLOW;
        }
        return;
    }
    if (size > GATHER_MAX || !buf_append(&s->cmd, SLICE("\r\n"))) {
        exo_command_tag(c);
        exo_reply(c, "BAD Command Argument Error. 11");
        return;
    }
    s->gather = size;
    s->state = EXO_STATE_GATHER;
    if (!plus)
        exo_conn_send(c, SLICE("+ Ready for additional command text.\r\n"));
}

/* The next whole line of the input, taken off it, or false. Too long: *long_r. */
static bool line_take(struct exo_conn *c, struct buf *into, size_t max, bool *long_r)
{
    struct slice in = buf_slice(&c->in);
    size_t end = slice_find(in, '\n');
    size_t size = end == SIZE_MAX ? in.size : end;

    *long_r = false;
    if (size > max) {
        *long_r = true;
        return false;
    }
    if (end == SIZE_MAX)
        return false;
    if (size && in.data[size - 1] == '\r')
        size--;
    if (!buf_append(into, slice_first(in, size))) {
        *long_r = true;
        return false;
    }
    buf_consume(&c->in, end + 1);
    return true;
}

static bool step_line(struct exo_conn *c)
{
    struct exo_session *s = session(c);
    bool too_long;

    if (!line_take(c, &s->cmd, c->worker->config.line_max, &too_long)) {
        if (!too_long)
            return false;
        if (s->line_at == 0) {
            buf_clear(&s->cmd);
            if (!buf_append(&s->cmd, slice_first(buf_slice(&c->in), 256)))
                c->closing = EXO_RESET;
        }
        exo_command_tag(c);
        exo_reply(c, "BAD command line limit exceeded");
        s->state = EXO_STATE_SKIP_LINE;
        return true;
    }
    if (s->cmd.size == 0)
        return true; /* an empty line: the end of an APPEND that was answered early */
    line_complete(c);
    return true;
}

static bool step_gather(struct exo_conn *c)
{
    struct exo_session *s = session(c);
    struct slice part = slice_first(buf_slice(&c->in), s->gather);

    if (!part.size && s->gather)
        return false;
    if (!buf_append(&s->cmd, part)) {
        c->closing = EXO_RESET;
        return true;
    }
    buf_consume(&c->in, part.size);
    s->gather -= part.size;
    if (!s->gather) {
        s->line_at = s->cmd.size;
        s->state = EXO_STATE_LINE;
    }
    return true;
}

static bool step_swallow(struct exo_conn *c)
{
    struct exo_session *s = session(c);
    struct slice part = slice_first(buf_slice(&c->in), s->gather);

    buf_consume(&c->in, part.size);
    s->gather -= part.size;
    if (!s->gather)
        s->state = EXO_STATE_LINE;
    return part.size || !s->gather;
}

static bool step_skip(struct exo_conn *c)
{
    size_t end = slice_find(buf_slice(&c->in), '\n');

    if (end == SIZE_MAX) {
        bool any = c->in.size > 0;

        buf_clear(&c->in);
        return any;
    }
    buf_consume(&c->in, end + 1);
    exo_command_done(c);
    return true;
}

/* A line that is no command: SASL, DONE, what follows a body. */
static bool step_other(struct exo_conn *c)
{
    struct exo_session *s = session(c);
    struct buf line;
    bool too_long, whole;

    buf_init(&line, SASL_LINE_MAX + 2);
    whole = line_take(c, &line, SASL_LINE_MAX, &too_long);
    if (too_long)
        exo_bye(c, "Connection closed. 14");
    else if (whole && s->state == EXO_STATE_BODY_END)
        exo_append_end(c, buf_slice(&line));
    else if (whole && s->state == EXO_STATE_SASL)
        exo_sasl_line(c, buf_slice(&line));
    else if (whole && s->state == EXO_STATE_SASL_END)
        exo_reply(c, "NO AUTHENTICATE failed.");
    else if (whole && slice_equal_nocase(buf_slice(&line), SLICE("DONE"))) {
        exo_tell_news(c);
        exo_reply(c, "OK IDLE completed.");
    } else if (whole) {
        exo_reply(c, "BAD Command Error. 10");
    }
    buf_deinit(&line);
    return whole || too_long;
}

static bool imap_input(struct exo_conn *c)
{
    switch (session(c)->state) {
    case EXO_STATE_LINE:
        return step_line(c);
    case EXO_STATE_GATHER:
        return step_gather(c);
    case EXO_STATE_SWALLOW:
        return step_swallow(c);
    case EXO_STATE_SKIP_LINE:
        return step_skip(c);
    case EXO_STATE_BODY:
        return exo_append_body(c);
    case EXO_STATE_FETCH:
        return exo_fetch_step(c);
    case EXO_STATE_SASL:
    case EXO_STATE_SASL_END:
    case EXO_STATE_IDLE:
    case EXO_STATE_BODY_END:
        return step_other(c);
    }
    return false;
}

static void imap_opened(struct exo_conn *c)
{
    struct exo_session *s = mem_zero(1, sizeof *s);
    struct exo *exo = c->worker->exo;
    struct exo_second *second;
    struct exo_fault fault;

    c->state = s;
    s->token_end_ms = UINT64_MAX;
    snprintf(s->tag, sizeof s->tag, "*");
    buf_init(&s->cmd, 2 * GATHER_MAX);
    pthread_mutex_lock(&exo->lock);
    exo->stats.connects++;
    if (++exo->stats.connections > exo->stats.connections_max)
        exo->stats.connections_max = exo->stats.connections;
    second = exo_second_now(exo, c->came_ms);
    if (++second->connects > exo->stats.connects_per_s_max)
        exo->stats.connects_per_s_max = second->connects;
    second = exo_second_now(exo, c->worker->now_ms);
    second->connections = (uint32_t)exo->stats.connections;
    pthread_mutex_unlock(&exo->lock);
    if (exo_fault_strikes(c, EXO_POINT_GREETING, NULL, &fault)) {
        exo_fault_act(c, &fault);
        return;
    }
    if (c->worker->config.front_end == EXO_FRONT_2026)
        exo_conn_format(c,
                        "* OK Microsoft Exchange IMAP4 service ready. "
                        "5d0b6e1c-3a52-4c8e-9a41-0f6f3c1b7e90 (tcpproxy/15.21.0406.000 "
                        "BACKENDAUTHENTICATE) [%s]\r\n",
                        exo->server_name);
    else
        exo_conn_format(c, "* OK The Microsoft Exchange IMAP4 service is ready. [%s]\r\n", exo->server_name);
}

static uint64_t imap_deadline(const struct exo_conn *c)
{
    const struct exo_session *s = c->state;
    const struct exo_config *config = &c->worker->config;
    uint32_t silence = s->authenticated ? config->idle_ms : config->preauth_ms;
    uint64_t at = UINT64_MAX;

    if (c->closing != EXO_OPEN || c->wait == EXO_WAIT_HANG)
        return UINT64_MAX;
    if (silence && c->wait == EXO_WAIT_NONE)
        at = c->active_ms + silence;
    return s->token_end_ms < at ? s->token_end_ms : at;
}

static void imap_late(struct exo_conn *c, uint64_t now_ms)
{
    struct exo_session *s = session(c);

    exo_bye(c, now_ms >= s->token_end_ms ? "Session invalidated - AccessTokenExpired" : "Connection is closed. 13");
    /* The last words of a session whose reply was still due must not be followed by that reply. */
    exo_append_gone(c);
    c->wait = EXO_WAIT_NONE;
}

static void imap_gone(struct exo_conn *c)
{
    struct exo_session *s = session(c);
    struct exo *exo = c->worker->exo;

    if (!s)
        return;
    exo_append_gone(c);
    exo_fetch_gone(c);
    exo_login_gone(c);
    pthread_mutex_lock(&exo->lock);
    exo->stats.connections--;
    exo_second_now(exo, c->worker->now_ms)->connections = (uint32_t)exo->stats.connections;
    pthread_mutex_unlock(&exo->lock);
    buf_deinit(&s->cmd);
    free(s);
    c->state = NULL;
}

/* A SEARCH over a folder of a million messages is one line of 8 MB; FETCH stops far below. A body
 * of the largest size is written whole. */
const struct exo_service exo_imap_service = {
    .out_max = 256u * 1024 * 1024,
    .opened = imap_opened,
    .input = imap_input,
    .deadline = imap_deadline,
    .late = imap_late,
    .gone = imap_gone,
};
