#include "engine/rehearsal/exo_imap.h"

#include <stdio.h>
#include <time.h>

static const char gmail_like_challenge[] = "+ eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiQmVhcmVyIiwic2NvcGUiOiIifQ==\r\n";

static struct exo_session *session(struct exo_conn *c)
{
    return c->state;
}

void exo_cmd_capability(struct exo_conn *c, struct exo_args args)
{
    const struct exo_config *config = &c->worker->config;
    char limit[40] = "";
    bool new_front = config->front_end == EXO_FRONT_2026, in = session(c)->authenticated;

    if (config->appendlimit == EXO_APPENDLIMIT_BARE)
        snprintf(limit, sizeof limit, " APPENDLIMIT");
    else if (config->appendlimit == EXO_APPENDLIMIT_ALL)
        snprintf(limit, sizeof limit, " APPENDLIMIT=%llu", (unsigned long long)config->message_bytes_max);
    exo_conn_format(c,
                    "* CAPABILITY IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2%s SASL-IR UIDPLUS%s"
                    " ID UNSELECT%s%s%s CHILDREN%s NAMESPACE%s%s\r\n",
                    new_front && !in && !config->plain_auth ? " LOGINDISABLED" : "", new_front ? " MOVE" : "",
                    in && new_front ? " ENABLE IMAP4rev2" : "",
                    in ? " CLIENTACCESSRULES CLIENTNETWORKPRESENCELOCATION BACKENDAUTHENTICATE" : "",
                    in && new_front ? " BACKENDAUTHENTICATE-IR" : "", config->idle ? " IDLE" : "",
                    config->literal_plus ? " LITERAL+" : "", limit);
    exo_reply(c, "OK CAPABILITY completed.");
}

void exo_cmd_id(struct exo_conn *c, struct exo_args args)
{
    char word[1024];

    if (!exo_arg_space(&args))
        goto bad;
    if (exo_arg_word(&args, "NIL")) {
        if (!exo_arg_end(&args))
            goto bad;
    } else {
        if (!exo_arg_is(&args, '(') || exo_arg_is(&args, ')'))
            goto bad;
        do {
            if (!exo_arg_string(&args, word, sizeof word))
                goto bad;
        } while (exo_arg_space(&args));
        if (!exo_arg_is(&args, ')') || !exo_arg_end(&args))
            goto bad;
    }
    exo_conn_send(c, SLICE("* ID (\"name\" \"Microsoft.Exchange.Imap4.Imap4Server\" \"version\" "
                           "\"15.20\")\r\n"));
    exo_reply(c, "OK ID completed");
    return;
bad:
    exo_reply(c, "BAD Command Argument Error. 11");
}

void exo_cmd_enable(struct exo_conn *c, struct exo_args args)
{
    if (c->worker->config.front_end != EXO_FRONT_2026) {
        exo_reply(c, "BAD Command Error. 10");
        return;
    }
    if (!exo_arg_space(&args)) {
        exo_reply(c, "BAD Command Argument Error. 11");
        return;
    }
    if (exo_arg_word(&args, "IMAP4rev2")) {
        session(c)->rev2 = true;
        exo_conn_send(c, SLICE("* ENABLED IMAP4rev2\r\n"));
    } else {
        exo_conn_send(c, SLICE("* ENABLED\r\n"));
    }
    exo_reply(c, "OK ENABLE completed.");
}

static void refused(struct exo_conn *c, const char *text, bool json)
{
    struct exo *exo = c->worker->exo;

    pthread_mutex_lock(&exo->lock);
    exo->stats.logins_refused++;
    pthread_mutex_unlock(&exo->lock);
    if (json && c->worker->config.auth_json) {
        exo_conn_send(c, slice_cstr(gmail_like_challenge));
        session(c)->state = EXO_STATE_SASL_END;
        return;
    }
    exo_reply(c, text);
}

/* Counts the login against the mailbox's limits; true when it is over the cap. */
static bool over_cap(struct exo_conn *c, struct exo_mailbox *m, bool *punished_r)
{
    const struct exo_config *config = &c->worker->config;
    struct exo *exo = c->worker->exo;
    uint64_t now_ms = c->worker->now_ms;
    uint32_t cap, recent = 0;
    bool over;

    pthread_mutex_lock(&m->lock);
    cap = m->connections_limit ? m->connections_limit : config->connections_max;
    for (size_t i = 0; i < EXO_LOGINS_REMEMBERED; i++)
        recent += m->login_ms[i] && now_ms - m->login_ms[i] < config->reconnect_window_ms;
    m->login_ms[m->login_at++ % EXO_LOGINS_REMEMBERED] = now_ms;
    m->logins++;
    if (++m->connections > m->connections_max)
        m->connections_max = m->connections;
    over = cap && m->connections > cap;
    session(c)->revoked = m->revoked;
    pthread_mutex_unlock(&m->lock);
    *punished_r = config->reconnect_window_ms && recent >= config->reconnect_max;
    pthread_mutex_lock(&exo->lock);
    exo->stats.logins++;
    exo->stats.over_connections += over;
    exo->stats.punished += *punished_r;
    pthread_mutex_unlock(&exo->lock);
    return over;
}

static void logged_in(struct exo_conn *c, struct exo_mailbox *m, bool permitted)
{
    struct exo_session *s = session(c);
    bool over;

    s->authenticated = true;
    s->mailbox = m;
    over = over_cap(c, m, &s->punished);
    pthread_mutex_lock(&m->lock);
    s->not_connected = over || !m->enabled || !permitted;
    pthread_mutex_unlock(&m->lock);
}

static void authenticated(struct exo_conn *c)
{
    exo_reply(c, "OK AUTHENTICATE completed.");
}

static void logged_in_reply(struct exo_conn *c)
{
    exo_reply(c, "OK LOGIN completed.");
}

static struct exo_mailbox *mailbox_for(struct exo_conn *c, const char *address)
{
    struct exo_mailbox *m = exo_mailbox_find(c->worker->exo, address);

    if (!m && c->worker->config.mailbox_auto && strchr(address, '@'))
        m = exo_mailbox_make(c->worker->exo, address, c->worker->config.language);
    return m;
}

/* user=...^Aauth=Bearer ...^A^A */
static bool xoauth2_parse(struct slice text, char *user, size_t cap, struct slice *token_r)
{
    size_t end = slice_find(text, '\1');

    if (!slice_starts_nocase(text, SLICE("user=")) || end == SIZE_MAX || end - 5 >= cap)
        return false;
    memcpy(user, text.data + 5, end - 5);
    user[end - 5] = '\0';
    text = slice_from(text, end + 1);
    if (!slice_starts_nocase(text, SLICE("auth=Bearer ")) || !slice_ends(text, SLICE("\1\1")))
        return false;
    *token_r = slice_of(text.data + 12, text.size - 14);
    return true;
}

static void xoauth2(struct exo_conn *c, struct slice text)
{
    struct exo_session *s = session(c);
    char user[256], delegate[256];
    struct exo_mailbox *m;
    struct slice token;
    int64_t expires;
    bool permitted;

    if (!xoauth2_parse(text, user, sizeof user, &token) ||
        exo_token_judge(c->worker->exo, token, &expires, delegate, sizeof delegate) != EXO_TOKEN_GOOD ||
        !(m = mailbox_for(c, user))) {
        refused(c, "NO AUTHENTICATE failed.", true);
        return;
    }
    pthread_mutex_lock(&m->lock);
    permitted = m->permitted;
    pthread_mutex_unlock(&m->lock);
    /* A delegated token opens its own user's mailbox always. */
    if (delegate[0] && slice_equal_nocase(slice_cstr(delegate), slice_cstr(user)))
        permitted = true;
    logged_in(c, m, permitted);
    s->token_end_ms = c->worker->now_ms + (uint64_t)(expires - time(NULL)) * 1000;
    if (c->worker->config.token_jitter_ms)
        s->token_end_ms += exo_random(&c->worker->random) % c->worker->config.token_jitter_ms;
    exo_conn_wait(c, exo_jitter(c->worker, c->worker->config.login_ms), authenticated);
}

static bool password_good(struct exo_conn *c, const char *password)
{
    return c->worker->config.plain_auth && strcmp(password, c->worker->config.plain_password) == 0;
}

/* authzid NUL authcid NUL password; the mailbox is the authzid when there is one. */
static void plain(struct exo_conn *c, struct slice text)
{
    char part[3][256];
    struct exo_mailbox *m;

    for (size_t i = 0; i < 3; i++) {
        size_t end = i < 2 ? slice_find(text, '\0') : text.size;

        if (end == SIZE_MAX || end >= sizeof part[i]) {
            refused(c, "NO AUTHENTICATE failed.", false);
            return;
        }
        memcpy(part[i], text.data, end);
        part[i][end] = '\0';
        text = slice_from(text, end + 1);
    }
    if (!password_good(c, part[2]) || !(m = mailbox_for(c, part[0][0] ? part[0] : part[1]))) {
        refused(c, "NO AUTHENTICATE failed.", false);
        return;
    }
    logged_in(c, m, true);
    exo_conn_wait(c, exo_jitter(c->worker, c->worker->config.login_ms), authenticated);
}

void exo_sasl_line(struct exo_conn *c, struct slice line)
{
    struct buf text;

    if (slice_equal(line, SLICE("*"))) {
        exo_reply(c, "BAD AUTHENTICATE cancelled.");
        return;
    }
    buf_init(&text, 65536);
    if (slice_equal(line, SLICE("=")))
        line.size = 0;
    if (!exo_base64_decode(&text, line))
        exo_reply(c, "BAD Command Argument Error. 11");
    else if (session(c)->sasl == EXO_SASL_XOAUTH2)
        xoauth2(c, buf_slice(&text));
    else
        plain(c, buf_slice(&text));
    buf_deinit(&text);
}

void exo_cmd_authenticate(struct exo_conn *c, struct exo_args args)
{
    struct exo_session *s = session(c);

    if (!exo_arg_space(&args))
        goto bad;
    if (exo_arg_word(&args, "XOAUTH2"))
        s->sasl = EXO_SASL_XOAUTH2;
    else if (exo_arg_word(&args, "PLAIN"))
        s->sasl = EXO_SASL_PLAIN;
    else
        goto bad;
    if (exo_arg_space(&args)) {
        exo_sasl_line(c, args.rest);
        return;
    }
    if (!exo_arg_end(&args))
        goto bad;
    s->state = EXO_STATE_SASL;
    exo_conn_send(c, SLICE("+ \r\n"));
    return;
bad:
    exo_reply(c, "BAD Command Argument Error. 11");
}

void exo_cmd_login(struct exo_conn *c, struct exo_args args)
{
    char user[256], password[256];
    struct exo_mailbox *m;

    if (!exo_arg_space(&args) || !exo_arg_string(&args, user, sizeof user) || !exo_arg_space(&args) ||
        !exo_arg_string(&args, password, sizeof password) || !exo_arg_end(&args)) {
        exo_reply(c, "BAD Command Argument Error. 11");
        return;
    }
    if (!password_good(c, password) || !(m = mailbox_for(c, user))) {
        refused(c, "NO LOGIN failed.", false);
        return;
    }
    logged_in(c, m, true);
    exo_conn_wait(c, exo_jitter(c->worker, c->worker->config.login_ms), logged_in_reply);
}

void exo_login_gone(struct exo_conn *c)
{
    struct exo_mailbox *m = session(c)->mailbox;

    if (!m)
        return;
    pthread_mutex_lock(&m->lock);
    m->connections--;
    pthread_mutex_unlock(&m->lock);
}
