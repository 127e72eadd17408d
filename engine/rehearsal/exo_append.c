#include "engine/rehearsal/exo_imap.h"

#include "io/base/mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* More than any limit of Exchange, so that even "no limit" stays bounded. */
#define LITERAL_MAX (1024ull * 1024 * 1024)

static struct exo_session *session(struct exo_conn *c)
{
    return c->state;
}

bool exo_append_is(struct slice command)
{
    struct exo_args args = { command };
    struct slice tag;
    char name[EXO_NAME_MAX];

    /* Its mailbox name may itself be the literal that was just announced; then the name does not
     * parse yet. */
    return exo_arg_atom(&args, &tag) && tag.size < EXO_TAG_MAX && exo_arg_space(&args) &&
           exo_arg_word(&args, "APPEND") && exo_arg_space(&args) && exo_arg_string(&args, name, sizeof name);
}

static void append_free(struct exo_conn *c)
{
    struct exo_session *s = session(c);
    struct exo_append *a = s->append;

    if (!a)
        return;
    if (a->counted) {
        atomic_fetch_sub(&c->worker->exo->inflight, 1);
        atomic_fetch_add(&c->worker->exo->inflight_ms, exo_clock_ms() - a->counted_ms);
    }
    EVP_MD_CTX_free(a->digest);
    buf_deinit(&a->text);
    free(a);
    s->append = NULL;
}

/* ---- the line ---- */

/* What is wrong with the arguments, or NULL. */
static const char *arguments_parse(struct exo_conn *c, struct slice command, struct exo_append *a)
{
    const struct exo_config *config = &c->worker->config;
    struct exo_session *s = session(c);
    struct exo_args args = { command };
    char name[EXO_NAME_MAX], date[64];
    struct slice atom;
    bool unknown = false;

    a->date = time(NULL);
    if (!exo_arg_atom(&args, &atom) || !exo_arg_space(&args) || !exo_arg_atom(&args, &atom) || !exo_arg_space(&args) ||
        !exo_arg_string(&args, name, sizeof name) || !exo_arg_space(&args))
        return "BAD Command Argument Error. 11";
    if (args.rest.size && args.rest.data[0] == '(' &&
        (!exo_flags_parse(&args, &a->flags, &unknown) || !exo_arg_space(&args)))
        return "BAD Command Argument Error. 11";
    if (unknown && config->keywords_refused)
        return "BAD Command Argument Error. 11";
    if (args.rest.size && args.rest.data[0] == '"' &&
        (!exo_arg_string(&args, date, sizeof date) || !exo_date_parse(slice_cstr(date), &a->date) ||
         !exo_arg_space(&args)))
        return "BAD Command Argument Error. 11";
    if (!args.rest.size || args.rest.data[0] != '{')
        return "BAD Command Argument Error. 11";
    pthread_mutex_lock(&s->mailbox->lock);
    a->folder = exo_folder_find(s->mailbox, slice_cstr(name));
    pthread_mutex_unlock(&s->mailbox->lock);
    if (!a->folder)
        return config->trycreate ? "NO [TRYCREATE] Mailbox doesn't exist." : "NO Mailbox doesn't exist.";
    return NULL;
}

static bool quota_full(struct exo_conn *c, uint64_t size)
{
    struct exo_mailbox *m = session(c)->mailbox;
    uint64_t quota, held;

    pthread_mutex_lock(&m->lock);
    quota = m->quota_bytes ? m->quota_bytes : c->worker->config.quota_bytes;
    held = m->bytes;
    pthread_mutex_unlock(&m->lock);
    return quota && (size > quota || held > quota - size);
}

static uint64_t size_limit(struct exo_conn *c)
{
    struct exo_mailbox *m = session(c)->mailbox;
    uint64_t limit;

    pthread_mutex_lock(&m->lock);
    limit = m->message_bytes_max ? m->message_bytes_max : c->worker->config.message_bytes_max;
    pthread_mutex_unlock(&m->lock);
    return limit && limit < LITERAL_MAX ? limit : LITERAL_MAX;
}

static void plus_send(struct exo_conn *c)
{
    exo_conn_send(c, SLICE("+ Ready for additional command text.\r\n"));
    session(c)->state = EXO_STATE_BODY;
}

static void append_refuse(struct exo_conn *c, const char *text)
{
    struct exo_append *a = session(c)->append;

    if (a->synchronizing || c->worker->config.refusal == EXO_REFUSAL_DESYNC) {
        append_free(c);
        exo_reply(c, text);
    } else if (c->worker->config.refusal == EXO_REFUSAL_CLOSE) {
        append_free(c);
        exo_reply(c, text);
        if (c->closing == EXO_OPEN)
            exo_bye(c, "Connection closed. 14");
    } else {
        a->refused = true;
        snprintf(a->refusal, sizeof a->refusal, "%s", text);
        session(c)->state = EXO_STATE_BODY;
    }
}

void exo_append_begin(struct exo_conn *c, struct slice command, uint64_t size, bool synchronizing)
{
    const struct exo_config *config = &c->worker->config;
    struct exo_session *s = session(c);
    struct exo_append *a = mem_zero(1, sizeof *a);
    struct exo_fault fault;
    const char *wrong;
    char text[160];
    uint32_t hint_ms;
    bool ok;

    assert(!s->append);
    s->append = a;
    *a = (struct exo_append){ .size = size, .synchronizing = synchronizing, .cut_at = UINT64_MAX };
    buf_init(&a->text, LITERAL_MAX);
    if (!exo_budget_admit(c->worker->exo, s->mailbox, config, c->worker->now_ms, &hint_ms)) {
        exo_throttle_text(c, hint_ms, text, sizeof text);
        append_refuse(c, text);
        return;
    }
    wrong = arguments_parse(c, command, a);
    if (!wrong && size > size_limit(c))
        wrong = "NO Maximum size of appendable message has been exceeded";
    if (!wrong && !synchronizing && !config->literal_plus)
        wrong = "BAD Command Argument Error. 11";
    if (!wrong && quota_full(c, size))
        wrong = "NO Server Unavailable. 15";
    if (wrong) {
        append_refuse(c, wrong);
        return;
    }
    if (exo_fault_strikes(c, EXO_POINT_BEFORE_PLUS, NULL, &fault)) {
        if (fault.action == EXO_ACTION_REPLY) {
            append_refuse(c, fault.text);
            return;
        }
        append_free(c);
        exo_fault_act(c, &fault);
        return;
    }
    if (exo_fault_strikes(c, EXO_POINT_MID_LITERAL, NULL, &a->cut))
        a->cut_at = a->cut.at && a->cut.at < size ? a->cut.at : size / 2;
    a->digest = EVP_MD_CTX_new();
    ok = a->digest && EVP_DigestInit_ex(a->digest, EVP_sha256(), NULL) == 1;
    assert(ok);
    if (!synchronizing)
        s->state = EXO_STATE_BODY;
    else if (config->plus_ms)
        exo_conn_wait(c, exo_jitter(c->worker, config->plus_ms), plus_send);
    else
        plus_send(c);
}

/* ---- the body ---- */

static void lines_measure(struct exo_append *a, struct slice part)
{
    const char *at = part.data, *end = part.data + part.size;

    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));

        a->line_bytes += (size_t)((line_end ? line_end : end) - at);
        if (a->line_bytes > a->line_bytes_max)
            a->line_bytes_max = a->line_bytes;
        if (!line_end)
            break;
        a->line_bytes = 0;
        at = line_end + 1;
    }
    a->nul |= memchr(part.data, '\0', part.size) != NULL;
}

/* Byte by byte: only when somebody asks for these refusals. */
static void bytes_examine(struct exo_append *a, struct slice part, size_t before)
{
    size_t line = before;

    for (size_t i = 0; i < part.size; i++) {
        char c = part.data[i];

        a->bare |= (c == '\n') != a->returned;
        if (c == '\n') {
            a->header_read |= line == 0;
            line = 0;
        } else if (c != '\r') {
            line++;
        }
        a->header_bytes |= !a->header_read && (unsigned char)c >= 0x80;
        a->returned = c == '\r';
    }
}

static void text_keep(struct exo_append *a, enum exo_keep keep, struct slice part)
{
    size_t from = a->text.size > 3 ? a->text.size - 3 : 0, end;
    struct slice all;
    bool fits;

    if (keep != EXO_KEEP_BODY)
        part = slice_first(part, a->header_whole ? 0 : EXO_HEADER_MAX - a->text.size);
    if (!part.size)
        return;
    fits = buf_append(&a->text, part);
    assert(fits);
    if (keep == EXO_KEEP_BODY)
        return;
    /* The empty line may straddle two parts; a line end inside is no empty header. */
    all = buf_slice(&a->text);
    if (from && all.data[from] == '\r')
        from++;
    end = exo_header_end(slice_from(all, from));
    if (end != SIZE_MAX) {
        a->header_whole = true;
        a->text.size = from + end;
    }
}

bool exo_append_body(struct exo_conn *c)
{
    struct exo_session *s = session(c);
    struct exo_append *a = s->append;
    struct slice part = slice_first(buf_slice(&c->in), a->size - a->got);

    if (!part.size && a->got < a->size)
        return false;
    if (a->got + part.size >= a->cut_at) {
        struct exo_fault cut = a->cut;

        append_free(c);
        exo_fault_act(c, &cut);
        return true;
    }
    if (part.size && !a->refused) {
        int ok = EVP_DigestUpdate(a->digest, part.data, part.size);

        assert(ok == 1);
        if (c->worker->config.bare_refused || c->worker->config.header_bytes_refused)
            bytes_examine(a, part, a->line_bytes - (a->line_bytes && a->returned));
        lines_measure(a, part);
        text_keep(a, c->worker->config.keep, part);
    }
    a->got += part.size;
    buf_consume(&c->in, part.size);
    if (a->got == a->size)
        s->state = EXO_STATE_BODY_END;
    return true;
}

/* ---- the end ---- */

/* What is stored, taken out of the append. */
static struct exo_message *message_take(struct exo_append *a, enum exo_keep keep)
{
    struct slice text = buf_slice(&a->text);
    size_t header = exo_header_end(text);
    char *copy = slice_dup(text);
    struct exo_message *message = exo_message_create(keep, copy, text.size, header == SIZE_MAX ? text.size : header);

    message->flags = a->flags;
    message->date = a->date;
    message->size = a->size;
    memcpy(message->sha256, a->sha256, 32);
    return message;
}

/* Puts it where clients see it; gives UID and UIDVALIDITY. */
static void message_store(struct exo *exo, struct exo_mailbox *m, struct exo_folder *f, struct exo_message *message,
                          uint64_t now_ms, uint32_t *uid_r, uint32_t *uidvalidity_r)
{
    uint64_t size = message->size;
    struct exo_second *second;

    pthread_mutex_lock(&m->lock);
    exo_folder_add(m, f, message);
    *uid_r = message->uid;
    *uidvalidity_r = f->uidvalidity;
    m->appends++;
    m->append_bytes += size;
    pthread_mutex_lock(&exo->lock);
    exo->stats.appends++;
    exo->stats.append_bytes += size;
    exo->stats.appends_not_mail += f->not_mail;
    second = exo_second_now(exo, now_ms);
    second->bytes += size;
    if (++second->appends > exo->stats.appends_per_s_max)
        exo->stats.appends_per_s_max = second->appends;
    pthread_mutex_unlock(&exo->lock);
    pthread_mutex_unlock(&m->lock);
}

/* A message that is stored after its connection has gone. */
struct delayed {
    struct exo_timer timer;
    struct exo_mailbox *mailbox;
    struct exo_folder *folder;
    struct exo_message *message;
};

static void delayed_fired(struct exo_worker *w, struct exo_timer *timer)
{
    struct delayed *d = (struct delayed *)((char *)timer - offsetof(struct delayed, timer));
    uint32_t uid, uidvalidity;

    message_store(w->exo, d->mailbox, d->folder, d->message, w->now_ms, &uid, &uidvalidity);
    free(d);
}

static void store_later(struct exo_conn *c, uint64_t at_ms)
{
    struct exo_append *a = session(c)->append;
    struct delayed *d = mem_zero(1, sizeof *d);

    d->timer.fire = delayed_fired;
    d->mailbox = session(c)->mailbox;
    d->folder = a->folder;
    d->message = message_take(a, c->worker->config.keep);
    exo_timer_set(c->worker, &d->timer, at_ms);
    append_free(c);
}

void exo_append_gone(struct exo_conn *c)
{
    struct exo_append *a = session(c)->append;

    if (a && a->store_on_loss)
        store_later(c, c->wake_ms);
    else
        append_free(c);
}

static void append_finish(struct exo_conn *c)
{
    struct exo_session *s = session(c);
    struct exo_append *a = s->append;
    struct exo_message *message = message_take(a, c->worker->config.keep);
    struct exo_fault fault;
    bool selected = a->folder == s->folder;
    uint32_t uid, uidvalidity;

    a->store_on_loss = false;
    message_store(c->worker->exo, s->mailbox, a->folder, message, c->worker->now_ms, &uid, &uidvalidity);
    append_free(c);
    if (exo_fault_strikes(c, EXO_POINT_STORED, NULL, &fault)) {
        exo_fault_act(c, &fault);
        return;
    }
    if (selected)
        exo_tell_changes(c);
    if (c->worker->config.appenduid)
        exo_replyf(c, "OK [APPENDUID %u %u] APPEND completed.", uidvalidity, uid);
    else
        exo_reply(c, "OK APPEND completed.");
    if (exo_fault_strikes(c, EXO_POINT_OK, NULL, &fault) && fault.action != EXO_ACTION_REPLY)
        exo_fault_act(c, &fault);
}

static const char *body_refusal(struct exo_conn *c, struct exo_append *a)
{
    const struct exo_config *config = &c->worker->config;

    if (a->nul && config->nul_refused)
        return "NO Message contains NUL characters";
    if (a->header_bytes && config->header_bytes_refused)
        return "NO Message contains invalid header";
    if ((a->bare || a->returned) && config->bare_refused)
        return "BAD Command Argument Error. 11";
    if (config->body_line_max && a->line_bytes_max > config->body_line_max)
        return "BAD Command Argument Error. 11";
    /* Others may have filled the mailbox meanwhile. */
    return quota_full(c, a->size) ? "NO Server Unavailable. 15" : NULL;
}

/* From the last byte to the OK. */
static uint32_t latency(struct exo_conn *c, const struct exo_append *a, uint64_t inflight)
{
    const struct exo_config *config = &c->worker->config;
    double ms = config->append_ms + (double)a->size * config->append_ms_per_mb / 1e6;

    if (config->knee_inflight && inflight > config->knee_inflight)
        ms *= (double)inflight / config->knee_inflight;
    return exo_jitter(c->worker, ms > 3600000 ? 3600000 : (uint32_t)ms);
}

void exo_append_end(struct exo_conn *c, struct slice rest)
{
    struct exo_session *s = session(c);
    struct exo_append *a = s->append;
    struct exo *exo = c->worker->exo;
    struct exo_fault fault;
    const char *wrong = NULL;
    uint64_t inflight;
    uint32_t wait_ms;
    int ok;

    if (a->refused) {
        char text[sizeof a->refusal];

        memcpy(text, a->refusal, sizeof text);
        append_free(c);
        exo_reply(c, text);
        return;
    }
    ok = EVP_DigestFinal_ex(a->digest, a->sha256, NULL);
    assert(ok == 1);
    if (rest.size)
        wrong = "BAD Command Argument Error. 11"; /* wrong count, or MULTIAPPEND */
    wait_ms = exo_budget_charge(exo, s->mailbox, &c->worker->config, c->worker->now_ms, wrong ? 0 : a->size);
    if (!wrong)
        wrong = body_refusal(c, a);
    if (wrong) {
        append_free(c);
        exo_reply(c, wrong);
        return;
    }
    if (exo_fault_strikes(c, EXO_POINT_LAST_BYTE, NULL, &fault)) {
        append_free(c);
        exo_fault_act(c, &fault);
        return;
    }
    if (exo_fault_strikes(c, EXO_POINT_DELAYED, NULL, &fault)) {
        store_later(c, c->worker->now_ms + fault.delay_ms);
        if (fault.action == EXO_ACTION_REPLY)
            fault.action = EXO_ACTION_CLOSE;
        exo_fault_act(c, &fault);
        return;
    }
    a->counted = true;
    a->counted_ms = exo_clock_ms();
    inflight = atomic_fetch_add(&exo->inflight, 1) + 1;
    pthread_mutex_lock(&exo->lock);
    if (inflight > exo->stats.inflight_max)
        exo->stats.inflight_max = inflight;
    pthread_mutex_unlock(&exo->lock);
    wait_ms += latency(c, a, inflight);
    if (!wait_ms) {
        append_finish(c);
        return;
    }
    a->store_on_loss = true;
    exo_conn_wait(c, wait_ms, append_finish);
}
