/* What the server says of a command, and last of all. */
#include "engine/rehearsal/exo_imap.h"

#include <stdarg.h>
#include <stdio.h>

void exo_command_done(struct exo_conn *c)
{
    struct exo_session *s = c->state;

    buf_clear(&s->cmd);
    buf_trim(&s->cmd);
    s->line_at = 0;
    s->state = EXO_STATE_LINE;
}

void exo_bye(struct exo_conn *c, const char *text)
{
    struct exo *exo = c->worker->exo;

    exo_conn_format(c, "* BYE %s\r\n", text);
    if (c->closing == EXO_OPEN)
        c->closing = EXO_CLOSING;
    pthread_mutex_lock(&exo->lock);
    exo->stats.byes++;
    pthread_mutex_unlock(&exo->lock);
}

void exo_reply(struct exo_conn *c, const char *text)
{
    struct exo_session *s = c->state;
    struct exo *exo = c->worker->exo;

    exo_conn_format(c, "%s %s\r\n", s->tag, text);
    exo_command_done(c);
    if (strncmp(text, "NO", 2) != 0 && strncmp(text, "BAD", 3) != 0)
        return;
    pthread_mutex_lock(&exo->lock);
    exo->stats.errors++;
    pthread_mutex_unlock(&exo->lock);
    s->errors++;
    if (c->worker->config.errors_max && s->errors >= c->worker->config.errors_max)
        exo_bye(c, "Connection closed. 14");
}

void exo_replyf(struct exo_conn *c, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    exo_reply(c, text);
}

void exo_throttle_text(struct exo_conn *c, uint32_t hint_ms, char *out, size_t cap)
{
    struct exo_session *s = c->state;
    struct exo_mailbox *m = s->mailbox;
    bool bad = c->worker->config.hint_word == EXO_WORD_BAD;

    if (c->worker->config.hint_word == EXO_WORD_BOTH) {
        pthread_mutex_lock(&m->lock);
        bad = m->word_turn;
        m->word_turn = !bad;
        pthread_mutex_unlock(&m->lock);
    }
    snprintf(out, cap, "%s Request is throttled. Suggested Backoff Time: %u milliseconds", bad ? "BAD" : "NO", hint_ms);
}
