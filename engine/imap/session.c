/* The life of a session: bytes in, lines to their handlers, ends. */
#include "engine/imap/session_private.h"

#include "io/base/log.h"
#include "io/base/mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define INFLIGHT_DEFAULT        8
#define APPEND_INFLIGHT_DEFAULT 32

static void line_received(void *context, struct slice line);

static const struct scan_events scan_events = {
    .literal_begins = replies_literal_begins,
    .literal_bytes = replies_literal_bytes,
    .literal_suspect = replies_literal_suspect,
    .line = line_received,
};

static char *copy_text(const char *text)
{
    return text ? mem_text(text) : NULL;
}

struct session *session_create(const struct session_config *config, const struct session_events *events, void *context)
{
    struct session *s = mem_zero(1, sizeof *s);
    struct auth_config *auth = &s->config.auth;

    s->config = *config;
    auth->user = copy_text(config->auth.user ? config->auth.user : "");
    auth->admin_user = copy_text(config->auth.admin_user);
    auth->login_form = copy_text(config->auth.login_form);
    auth->host = copy_text(config->auth.host);
    s->events = events;
    s->context = context;
    s->tls = config->tls;
    s->worked = config->mailbox_worked;
    s->next_tag = 1;
    s->flight.inflight_max = config->inflight_max ? config->inflight_max : INFLIGHT_DEFAULT;
    s->flight.append_inflight_max = config->append_inflight_max ? config->append_inflight_max : APPEND_INFLIGHT_DEFAULT;
    if (s->flight.inflight_max > SESSION_TABLE / 4)
        s->flight.inflight_max = SESSION_TABLE / 4;
    if (s->flight.append_inflight_max > SESSION_TABLE / 4)
        s->flight.append_inflight_max = SESSION_TABLE / 4;
    scan_init(&s->scan, &scan_events, s);
    buf_init(&s->scratch, SCAN_LINE_MAX + SCAN_KEPT_MAX + 64);
    buf_init(&s->keywords, SCAN_LINE_MAX);
    caps_clear(&s->caps);
    login_init(s);
    return s;
}

uint32_t session_tag(struct session *s)
{
    return s->next_tag++;
}

void session_notify(struct session *s)
{
    if (s->notified || s->feeding || s->in_output || s->life != SESSION_ALIVE)
        return;
    if (s->out.size == 0 && !s->writing && !s->queue_first)
        return;
    s->notified = true;
    s->events->output_ready(s->context);
}

static void session_notice(struct session *s, struct slice text)
{
    if (s->events->notice && text.size)
        s->events->notice(s->context, text);
}

/* ---- commands begin and end ---- */

void session_start(struct session *s, struct cmd *cmd)
{
    cmd->next = NULL;
    if (s->queue_last)
        s->queue_last->next = cmd;
    else
        s->queue_first = cmd;
    s->queue_last = cmd;
    session_notify(s);
}

static void unlink_flight(struct session *s, struct cmd *cmd)
{
    *(cmd->prev ? &cmd->prev->next : &s->flight_first) = cmd->next;
    *(cmd->next ? &cmd->next->prev : &s->flight_last) = cmd->prev;
    s->table[cmd->tag % SESSION_TABLE] = NULL;
    s->flight.count--;
    s->flight.by_kind[cmd->kind]--;
    if (s->writing == cmd)
        s->writing = NULL;
    if (s->stray.cmd == cmd)
        s->stray.cmd = NULL;
    replies_forget(s, cmd);
}

void session_end_cmd(struct session *s, struct cmd *cmd, const struct err *err)
{
    struct err copy;

    if (cmd->tag)
        unlink_flight(s, cmd);
    if (err) {
        copy = *err;
        cmd_tell_doing(cmd, &copy);
    } else {
        s->worked = true;
    }
    if (cmd->ended)
        cmd->ended(cmd->context, err ? &copy : NULL);
    cmd_destroy(cmd);
}

/* Whether the last byte of one of an APPEND's literals may have reached the server: some store the messages of a
 * MULTIAPPEND as they come, though RFC 3502 wants all or nothing. */
static bool is_uncertain(const struct session *s, const struct cmd *cmd)
{
    return cmd->kind == CMD_APPEND && cmd->u.append.item > 0 && cmd->u.append.first_whole <= s->out.given &&
           !cmd->answered;
}

static void end_all(struct session *s, const struct err *err)
{
    struct cmd *queued, *cmd;

    while ((cmd = s->flight_first)) {
        struct err e = cmd->answered ? cmd->answer : cmd == s->stray.cmd ? s->stray.answer : *err;

        if (is_uncertain(s, cmd))
            e.class = ERR_CLASS_UNCERTAIN;
        session_end_cmd(s, cmd, &e);
    }
    /* Those begun meanwhile, by callbacks, too. */
    queued = s->queue_first;
    s->queue_first = s->queue_last = NULL;
    while ((cmd = queued)) {
        queued = cmd->next;
        session_end_cmd(s, cmd, err);
    }
}

/* What the server said outside the grammar is often the reason of what follows (F04, L13). */
void session_explain(const struct session *s, struct err *err)
{
    size_t n = strlen(err->server_text);

    if (s->last_words[0] && !strstr(err->server_text, s->last_words) &&
        n + strlen(s->last_words) + 24 < sizeof err->server_text)
        snprintf(err->server_text + n, sizeof err->server_text - n, " (the server had said: %s)", s->last_words);
}

void session_fail(struct session *s, const struct err *err)
{
    if (s->life == SESSION_ALIVE) {
        s->life = SESSION_FAILING;
        s->error = *err;
        session_explain(s, &s->error);
        scan_stop(&s->scan);
    }
    if (s->feeding || s->in_output || s->life != SESSION_FAILING)
        return;
    s->life = SESSION_OVER;
    end_all(s, &s->error);
    s->events->failed(s->context, &s->error);
}

bool session_fail_protocol(struct session *s, const char *why)
{
    struct err err;

    err_set(&err, ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, ERR_ORIGIN_PROTOCOL, 0, "%s", why);
    session_fail(s, &err);
    return false;
}

void session_fail_tls(struct session *s, const char *what)
{
    struct err err;

    err_set(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_TLS, 0,
            "%s: somebody between here and the server may be changing what it says; no password was sent. A url with "
            "imaps:// leaves no such gap",
            what);
    err_doing(&err, "STARTTLS");
    session_fail(s, &err);
}

void session_useful(struct session *s)
{
    s->barren_bytes = 0;
    s->uses++;
    s->stray = (struct stray){ .came = false };
}

void session_give_up(struct session *s, const char *why)
{
    session_fail_protocol(s, why);
}

bool session_is_over(const struct session *s)
{
    return s->life == SESSION_FAILING || s->life == SESSION_OVER;
}

void session_abort(struct session *s, const struct err *err, bool unsent)
{
    struct err copy = *err;

    if (s->life == SESSION_FAILING)
        return;
    if (s->life == SESSION_OVER) {
        /* Begun after the end, by one who did not look: never sent. */
        err_set(&copy, ERR_CLASS_CANCELED, ERR_SCOPE_SESSION, ERR_ORIGIN_OS, 0, "session closed");
        end_all(s, &copy);
        return;
    }
    s->life = SESSION_OVER;
    session_explain(s, &copy);
    /* What the stream still holds back may be no more than the CR LF behind a literal, which a server
     * might do without: it proves nothing, and a look costs less than a doubled message. */
    (void)unsent;
    end_all(s, &copy);
}

void session_destroy(struct session **session)
{
    struct session *s = *session;
    struct err err;

    if (!s)
        return;
    assert(!s->feeding && !s->in_output);
    s->life = SESSION_OVER;
    err_set(&err, ERR_CLASS_CANCELED, ERR_SCOPE_SESSION, ERR_ORIGIN_OS, 0, "session closed");
    while (s->flight_first || s->queue_first)
        end_all(s, &err);
    login_deinit(s);
    quota_let_go(&s->held);
    scan_deinit(&s->scan);
    output_deinit(&s->out);
    buf_deinit(&s->scratch);
    buf_deinit(&s->keywords);
    free((char *)(uintptr_t)s->config.auth.user);
    free((char *)(uintptr_t)s->config.auth.admin_user);
    free((char *)(uintptr_t)s->config.auth.login_form);
    free((char *)(uintptr_t)s->config.auth.host);
    free(s);
    *session = NULL;
}

struct cmd *session_oldest(const struct session *s, enum cmd_kind kind)
{
    if (s->flight.by_kind[kind] == 0)
        return NULL;
    for (struct cmd *cmd = s->flight_first; cmd; cmd = cmd->next)
        if (cmd->kind == kind)
            return cmd;
    return NULL;
}

/* ---- bytes in ---- */

static void refused(struct session *s, struct cmd *cmd, const struct resp *resp)
{
    struct verdict_about about = { cmd_doing(cmd->kind), s->worked };
    struct err err;

    s->errors++;
    if (!verdict_of(resp, &about, &err)) {
        session_end_cmd(s, cmd, NULL);
        return;
    }
    if (cmd->kind == CMD_NAMESPACE && err.class == ERR_CLASS_PERMANENT && err.scope == ERR_SCOPE_FOLDER) {
        /* Refused where it was offered (A2): the root tells the delimiter. */
        session_root(s, cmd->u.namespaces.row, cmd->ended, cmd->context);
        cmd->ended = NULL;
        session_end_cmd(s, cmd, &err);
        return;
    }
    if (err.scope == ERR_SCOPE_SESSION) {
        /* Nothing more is sent on it; its callers see that it is over before this command ends. */
        session_fail(s, &err);
        session_end_cmd(s, cmd, &err);
        return;
    }
    if (cmd->phase == CMD_BODY || cmd->phase == CMD_TEXT) {
        /* The server reads what we announced to its end (RFC 7888 4); so the rest must go. */
        cmd->answered = true;
        cmd->answer = err;
        return;
    }
    session_end_cmd(s, cmd, &err);
}

static void tagged(struct session *s, const struct resp *resp)
{
    struct cmd *cmd = s->table[resp->tag % SESSION_TABLE];

    if (resp->throttled && s->events->slow_down)
        s->events->slow_down(s->context);
    if (!cmd || cmd->tag != resp->tag) {
        session_fail_protocol(s, "answer to a command that was not sent");
        return;
    }
    s->answer_count++;
    if (resp->status != RESP_OK) {
        session_useful(s);
        refused(s, cmd, resp);
        return;
    }
    session_useful(s);
    s->last_words[0] = '\0';
    if (cmd->phase != CMD_SENT || cmd->answered) {
        session_fail_protocol(s, "OK to a command that was not sent whole");
        return;
    }
    replies_tagged_ok(s, cmd, resp);
}

/* `* BAD`, a tag that we never sent or a line of no form says that a command failed and not which (RFC 9051
 * 7.1.3). The right answer may still follow; where none does, this was it. */
static void stray(struct session *s, const struct resp *resp)
{
    struct cmd *cmd = s->flight.count == 1 ? s->flight_first : NULL;
    struct verdict_about about = { cmd ? cmd_doing(cmd->kind) : VERDICT_LIST, s->worked };
    struct resp answer = *resp;

    if (!s->flight_first)
        return;
    s->stray = (struct stray){ .came = true };
    if (answer.kind == RESP_UNKNOWN && (!answer.foreign || answer.status == RESP_OK))
        return;
    if (cmd && verdict_of(&answer, &about, &s->stray.answer))
        s->stray.cmd = cmd;
}

/* Remembers what came outside the grammar: it is often the reason of what comes next (F04). */
static void unknown(struct session *s, const struct resp *resp)
{
    err_printable(s->last_words, sizeof s->last_words, resp->text.data, resp->text.size);
    session_notice(s, resp->text);
}

static void bye(struct session *s, const struct resp *resp)
{
    struct verdict_about about = { s->login.state == LOGIN_READY ? VERDICT_LIST : VERDICT_LOGIN, s->worked };
    struct cmd *logout = s->flight_last;
    struct err err;

    if (logout && logout->kind == CMD_LOGOUT) {
        s->life = SESSION_LEAVING;
        session_end_cmd(s, logout, NULL);
        return;
    }
    verdict_of(resp, &about, &err);
    if (err.scope < ERR_SCOPE_SESSION)
        err.scope = ERR_SCOPE_SESSION;
    session_fail(s, &err); /* at the first BYE (L19) */
}

/* Capabilities in a code; RFC 9051 7.1. */
static void codes(struct session *s, const struct resp *resp)
{
    if ((resp->kind == RESP_STATUS || resp->kind == RESP_TAGGED) && resp_has_code(resp, "CAPABILITY")) {
        caps_parse(&s->caps, resp->code_args);
        s->login.capabilities = true;
    }
    if (resp->kind == RESP_STATUS && s->login.state != LOGIN_GREETING && resp->status != RESP_BYE &&
        (resp_has_code(resp, "ALERT") || resp->status == RESP_NO || resp->status == RESP_BAD)) {
        err_printable(s->last_words, sizeof s->last_words, resp->text.data ? resp->text.data : "", resp->text.size);
        session_notice(s, resp->text);
    } else if (resp->kind == RESP_TAGGED && resp_has_code(resp, "ALERT")) {
        session_notice(s, resp->text);
    }
}

static void line_received(void *context, struct slice line)
{
    struct session *s = context;
    struct resp resp;

    if (s->life != SESSION_ALIVE)
        return;
    s->responses++;
    resp_parse(&resp, line);
    if (!replies_settle(s, &resp))
        return;
    codes(s, &resp);
    if (resp.kind == RESP_STATUS && resp.status == RESP_BYE) {
        bye(s, &resp);
        return;
    }
    if (resp.kind == RESP_DATA)
        replies_data(s, &resp);
    if (s->login.state != LOGIN_READY) {
        login_receive(s, &resp);
        return;
    }
    switch (resp.kind) {
    case RESP_TAGGED:
        tagged(s, &resp);
        break;
    case RESP_STATUS:
        if (resp.status == RESP_BAD)
            stray(s, &resp);
        replies_status(s, &resp);
        break;
    case RESP_CONTINUE:
        /* One that nobody waits for is ignored (L04). */
        if (s->writing && s->writing->phase == CMD_WAIT) {
            s->stray = (struct stray){ .came = false };
            s->writing->stop_next++;
            s->writing->phase = CMD_TEXT;
        }
        break;
    case RESP_UNKNOWN:
        stray(s, &resp);
        unknown(s, &resp);
        break;
    case RESP_DATA:
        break;
    }
}

/* Bytes behind the OK to STARTTLS may be anybody's (RFC 9051 11.1), and behind the one to COMPRESS
 * they are deflated already, which this session cannot undo. */
static bool boundary_is_clean(struct session *s)
{
    if (s->scan.left == 0 && !scan_pending(&s->scan))
        return true;
    if (!s->starting_tls)
        return session_fail_protocol(s, "bytes behind the answer to COMPRESS");
    session_fail_tls(s, "bytes in clear behind the answer to STARTTLS");
    return false;
}

void session_feed(struct session *s, struct slice bytes)
{
    struct err err;
    bool was_ready = s->login.state == LOGIN_READY, good;

    assert(bytes.size >= 1 && !s->feeding);
    if (s->life != SESSION_ALIVE)
        return;
    s->feeding = true;
    s->barren_bytes += bytes.size;
    good = scan_feed(&s->scan, bytes, &err);
    if (good && s->life == SESSION_ALIVE && (s->starting_tls || s->starting_deflate))
        boundary_is_clean(s);
    if (!good)
        session_fail(s, &err);
    else if (s->barren_bytes > SESSION_BARREN_MAX && s->life == SESSION_ALIVE)
        session_fail_protocol(s, "the server sends without end what was not asked for");
    session_hold_line(s);
    if (s->life == SESSION_ALIVE && s->starting_tls) {
        s->starting_tls = false;
        s->events->start_tls(s->context);
    }
    if (s->life == SESSION_ALIVE && s->starting_deflate) {
        s->starting_deflate = false;
        s->events->start_deflate(s->context);
    }
    if (s->life == SESSION_ALIVE && !was_ready && s->login.state == LOGIN_READY)
        s->events->ready(s->context);
    s->feeding = false;
    if (s->life == SESSION_FAILING)
        session_fail(s, &s->error);
    else
        session_notify(s);
}

void session_set_ssl(struct session *s, struct ssl_st *ssl)
{
    s->ssl = ssl;
}

void session_tls_started(struct session *s, struct ssl_st *ssl)
{
    s->tls = true;
    s->ssl = ssl;
    login_tls_started(s);
}

void session_computed(struct session *s, struct scram_work *work)
{
    login_computed(s, work);
}
