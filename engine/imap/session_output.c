/* Bytes out: commands in the order they were started, as far as cmd_may_send allows, bodies pulled
 * straight into the output. */
#include "engine/imap/session_private.h"

#include "io/base/mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define ROOM_FIRST 1024u
/* Of a literal that goes without being asked for. */
#define NONSYNC_MAX          (1u << 20)
#define NONSYNC_EXCHANGE_MAX (64u << 10)

void output_deinit(struct output *out)
{
    if (out->data)
        secret_wipe(out->data, out->room);
    free(out->data);
    out->data = NULL;
    out->head = out->size = out->room = 0;
}

/* Free bytes behind what is held, at least `want` (<= SESSION_OUTPUT_MAX) if they can be had. */
static size_t make_room(struct output *out, size_t want)
{
    if (out->head && out->room - out->head - out->size < want) {
        memmove(out->data, out->data + out->head, out->size);
        out->head = 0;
    }
    if (out->room - out->size < want && out->room < SESSION_OUTPUT_MAX) {
        size_t room = out->room ? out->room : ROOM_FIRST;

        while (room < out->size + want && room < SESSION_OUTPUT_MAX)
            room *= 2;
        if (room > out->room) {
            char *data = mem_alloc(room);

            if (out->size)
                memcpy(data, out->data + out->head, out->size);
            if (out->data)
                secret_wipe(out->data, out->room); /* passwords went through it */
            free(out->data);
            out->data = data;
            out->room = room;
            out->head = 0;
        }
    }
    return out->room - out->head - out->size;
}

static size_t put(struct output *out, struct slice text)
{
    size_t room = make_room(out, text.size < SESSION_OUTPUT_MAX ? text.size : SESSION_OUTPUT_MAX);
    size_t n = text.size < room ? text.size : room;

    if (n)
        memcpy(out->data + out->head + out->size, text.data, n);
    out->size += n;
    return n;
}

bool output_put(struct session *s, struct slice text)
{
    size_t n = put(&s->out, text);

    session_notify(s);
    return n == text.size || session_fail_protocol(s, "login command longer than the output");
}

bool session_nonsync(const struct session *s, uint64_t size_bytes)
{
    /* A refusal must cost no more than this much upload; Exchange answers an APPEND by "request is throttled" in
     * place of "+". */
    if (size_bytes > (s->config.exchange ? NONSYNC_EXCHANGE_MAX : NONSYNC_MAX))
        return false;
    if (caps_has(&s->caps, CAP_LITERAL_PLUS))
        return true;
    return size_bytes <= 4096 && caps_has(&s->caps, CAP_LITERAL_MINUS);
}

static void unqueue_first(struct session *s)
{
    s->queue_first = s->queue_first->next;
    if (!s->queue_first)
        s->queue_last = NULL;
}

/* The next queued command begins, if it may; one that cannot be written ends. */
static bool begin_next(struct session *s)
{
    struct cmd *cmd = s->queue_first;
    char tag[16];
    int n;

    if (!cmd || !cmd_may_send(cmd, &s->flight) || s->login.state != LOGIN_READY)
        return false;
    if (cmd->unsendable) {
        unqueue_first(s);
        session_end_cmd(s, cmd, &cmd->answer);
        return true;
    }
    n = snprintf(tag, sizeof tag, "a%u ", s->next_tag);
    if (make_room(&s->out, (size_t)n) < (size_t)n)
        return false;
    unqueue_first(s);
    cmd->tag = session_tag(s);
    put(&s->out, slice_of(tag, (size_t)n));
    cmd->next = NULL;
    cmd->prev = s->flight_last;
    if (s->flight_last)
        s->flight_last->next = cmd;
    else
        s->flight_first = cmd;
    s->flight_last = cmd;
    s->table[cmd->tag % SESSION_TABLE] = cmd;
    s->flight.count++;
    s->flight.by_kind[cmd->kind]++;
    if (cmd->kind == CMD_SELECT) {
        s->selected = (struct imap_selected){ .read_only = false };
        s->exists = 0;
        buf_clear(&s->keywords);
    }
    cmd->phase = CMD_TEXT;
    s->writing = cmd;
    return true;
}

static void text_done(struct session *s, struct cmd *cmd)
{
    struct cmd_append *append = &cmd->u.append;

    buf_clear(&cmd->text);
    cmd->written = 0;
    cmd->stop_count = cmd->stop_next = 0;
    if (cmd->kind == CMD_APPEND && append->item < append->count) {
        cmd->phase = CMD_BODY;
        append->left = append->items[append->item].size_bytes;
        return;
    }
    cmd->phase = CMD_SENT;
    s->writing = NULL;
    buf_deinit(&cmd->text);
    if (cmd->answered)
        session_end_cmd(s, cmd, &cmd->answer);
}

/* One literal is out whole: the next item's head, or the end of the command. */
static void body_done(struct session *s, struct cmd *cmd)
{
    struct cmd_append *append = &cmd->u.append;

    append->item++;
    if (append->item == 1)
        append->first_whole = s->out.taken + s->out.size;
    if (append->item == append->count) {
        cmd_end_text(cmd);
    } else {
        bool nonsync = cmd_append_head(cmd, session_nonsync(s, append->items[append->item].size_bytes));

        if (cmd->answered && !nonsync) {
            /* The server has refused and waits for no further literal: where it is in its reading
             * cannot be known. */
            session_fail_protocol(s, "APPEND was refused amid its literals");
            return;
        }
    }
    cmd->phase = CMD_TEXT;
}

/* Returns false when the output is full, or something is waited for. */
static bool write_body(struct session *s, struct cmd *cmd)
{
    struct cmd_append *append = &cmd->u.append;
    size_t room, n;

    if (append->left == 0) {
        body_done(s, cmd);
        return s->life == SESSION_ALIVE;
    }
    room = make_room(&s->out, append->left < SESSION_OUTPUT_MAX ? (size_t)append->left : SESSION_OUTPUT_MAX);
    if (room == 0)
        return false;
    if (room > append->left)
        room = (size_t)append->left;
    n = append->events->pull(cmd->context, append->item, s->out.data + s->out.head + s->out.size, room);
    assert(n <= room);
    if (n == 0) {
        struct err err;

        /* No fault of the server's nor of the other commands on the session. */
        err_set(&err, ERR_CLASS_CANCELED, ERR_SCOPE_SESSION, ERR_ORIGIN_STORE, 0, "the body to upload cannot be read");
        session_fail(s, &err);
        return false;
    }
    s->out.size += n;
    append->left -= n;
    return true;
}

static bool write_text(struct session *s, struct cmd *cmd)
{
    size_t end = cmd->stop_next < cmd->stop_count ? cmd->stops[cmd->stop_next] : cmd->text.size;
    struct slice part = slice_of(cmd->text.data + cmd->text.head + cmd->written, end - cmd->written);

    cmd->written += put(&s->out, part);
    if (cmd->written < end)
        return false;
    if (cmd->stop_next < cmd->stop_count) {
        if (cmd->answered)
            return session_fail_protocol(s, "a command was refused amid its literals");
        cmd->phase = CMD_WAIT;
        return false;
    }
    text_done(s, cmd);
    return true;
}

static void output_fill(struct session *s)
{
    bool going = true;

    while (going && s->life == SESSION_ALIVE) {
        struct cmd *cmd = s->writing;

        if (!cmd) {
            going = begin_next(s);
            continue;
        }
        switch (cmd->phase) {
        case CMD_TEXT:
            going = write_text(s, cmd);
            break;
        case CMD_BODY:
            going = write_body(s, cmd);
            break;
        case CMD_QUEUED:
        case CMD_WAIT:
        case CMD_SENT:
            going = false;
            break;
        }
    }
}

struct slice session_output(struct session *s)
{
    struct output *out = &s->out;

    if (s->life != SESSION_ALIVE)
        return slice_of(NULL, 0);
    /* What is still held goes first; filling up behind it would only move it about. */
    if (out->size < SESSION_OUTPUT_MAX / 2 && !s->in_output) {
        s->in_output = true;
        output_fill(s);
        s->in_output = false;
        if (s->life == SESSION_FAILING && !s->feeding)
            session_fail(s, &s->error);
        if (s->life != SESSION_ALIVE)
            return slice_of(NULL, 0);
    }
    if (out->size == 0)
        s->notified = false;
    out->given = out->taken + out->size;
    return slice_of(out->size ? out->data + out->head : NULL, out->size);
}

void session_output_taken(struct session *s, size_t bytes)
{
    struct output *out = &s->out;

    assert(bytes <= out->size);
    if (bytes && s->login.state != LOGIN_READY)
        secret_wipe(out->data + out->head, bytes);
    out->size -= bytes;
    out->head = out->size ? out->head + bytes : 0;
    out->taken += bytes;
    /* What was handed out and not taken never went. */
    out->given = out->taken;
    if (out->size)
        return;
    s->notified = false;
    if (s->flight.count == 0 && out->room > ROOM_FIRST)
        output_deinit(out);
}
