/* Commands of an IMAP session: which there are, in which state each is allowed, who carries it out. */
#include "engine/rehearsal/exo_imap.h"

#include <stdio.h>
#include <string.h>

static struct exo_session *session(struct exo_conn *c)
{
    return c->state;
}

bool exo_flags_parse(struct exo_args *args, uint32_t *flags_r, bool *unknown_r)
{
    static const struct {
        const char *name;
        uint32_t flag;
    } known[] = { { "\\Seen", EXO_SEEN },       { "\\Answered", EXO_ANSWERED }, { "\\Flagged", EXO_FLAGGED },
                  { "\\Deleted", EXO_DELETED }, { "\\Draft", EXO_DRAFT },       { "$MDNSent", EXO_MDNSENT } };
    struct slice atom;

    *flags_r = 0;
    *unknown_r = false;
    if (!exo_arg_is(args, '('))
        return false;
    while (!exo_arg_is(args, ')')) {
        size_t i;

        if (!exo_arg_atom(args, &atom))
            return false;
        for (i = 0; i < sizeof known / sizeof *known; i++)
            if (slice_equal_nocase(atom, slice_cstr(known[i].name)))
                break;
        if (i < sizeof known / sizeof *known)
            *flags_r |= known[i].flag;
        else
            *unknown_r = true;
        (void)exo_arg_space(args);
    }
    return true;
}

static void cmd_noop(struct exo_conn *c, struct exo_args args)
{
    exo_tell_news(c);
    exo_reply(c, "OK NOOP completed.");
}

static void cmd_logout(struct exo_conn *c, struct exo_args args)
{
    exo_conn_send(c, SLICE("* BYE Microsoft Exchange Server IMAP4 server signing off.\r\n"));
    exo_reply(c, "OK LOGOUT completed.");
    if (c->closing == EXO_OPEN)
        c->closing = EXO_CLOSING;
}

static void cmd_close(struct exo_conn *c, struct exo_args args)
{
    struct exo_session *s = session(c);

    if (!s->read_only)
        exo_expunge(c, NULL);
    s->folder = NULL;
    exo_reply(c, "OK CLOSE completed.");
}

static void cmd_unselect(struct exo_conn *c, struct exo_args args)
{
    session(c)->folder = NULL;
    exo_reply(c, "OK UNSELECT completed.");
}

static void cmd_idle(struct exo_conn *c, struct exo_args args)
{
    if (!c->worker->config.idle || !exo_arg_end(&args)) {
        exo_reply(c, "BAD Command Error. 10");
        return;
    }
    exo_tell_news(c);
    exo_conn_send(c, SLICE("+ IDLE accepted, awaiting DONE command.\r\n"));
    session(c)->state = EXO_STATE_IDLE;
}

static void cmd_fetch(struct exo_conn *c, struct exo_args args)
{
    exo_cmd_fetch(c, args, false);
}

static void cmd_store(struct exo_conn *c, struct exo_args args)
{
    exo_cmd_store(c, args, false);
}

static void cmd_search(struct exo_conn *c, struct exo_args args)
{
    exo_cmd_search(c, args, false);
}

static void cmd_expunge(struct exo_conn *c, struct exo_args args)
{
    exo_cmd_expunge(c, args, false);
}

static void cmd_copy(struct exo_conn *c, struct exo_args args)
{
    exo_cmd_copy(c, args, false, false);
}

static void cmd_move(struct exo_conn *c, struct exo_args args)
{
    exo_cmd_copy(c, args, false, true);
}

static void cmd_uid(struct exo_conn *c, struct exo_args args)
{
    struct slice verb;

    if (!exo_arg_space(&args) || !exo_arg_atom(&args, &verb))
        exo_reply(c, "BAD Command Argument Error. 11");
    else if (slice_equal_nocase(verb, SLICE("FETCH")))
        exo_cmd_fetch(c, args, true);
    else if (slice_equal_nocase(verb, SLICE("STORE")))
        exo_cmd_store(c, args, true);
    else if (slice_equal_nocase(verb, SLICE("SEARCH")))
        exo_cmd_search(c, args, true);
    else if (slice_equal_nocase(verb, SLICE("COPY")))
        exo_cmd_copy(c, args, true, false);
    else if (slice_equal_nocase(verb, SLICE("MOVE")))
        exo_cmd_copy(c, args, true, true);
    else if (slice_equal_nocase(verb, SLICE("EXPUNGE")))
        exo_cmd_expunge(c, args, true);
    else
        exo_reply(c, "BAD Command Error. 10");
}

/* An APPEND that announces no literal ends up here. */
static void cmd_append(struct exo_conn *c, struct exo_args args)
{
    exo_reply(c, "BAD Command Argument Error. 11");
}

enum needs { ANY, BEFORE_LOGIN, LOGIN, SELECTED };

static const struct verb {
    const char *name;
    enum needs needs;
    void (*run)(struct exo_conn *c, struct exo_args args);
} verbs[] = {
    { "CAPABILITY", ANY, exo_cmd_capability },
    { "NOOP", ANY, cmd_noop },
    { "LOGOUT", ANY, cmd_logout },
    { "ID", ANY, exo_cmd_id },
    { "AUTHENTICATE", BEFORE_LOGIN, exo_cmd_authenticate },
    { "LOGIN", BEFORE_LOGIN, exo_cmd_login },
    { "ENABLE", LOGIN, exo_cmd_enable },
    { "NAMESPACE", LOGIN, exo_cmd_namespace },
    { "LIST", LOGIN, exo_cmd_list },
    { "LSUB", LOGIN, exo_cmd_lsub },
    { "STATUS", LOGIN, exo_cmd_status },
    { "SELECT", LOGIN, exo_cmd_select },
    { "EXAMINE", LOGIN, exo_cmd_examine },
    { "CREATE", LOGIN, exo_cmd_create },
    { "DELETE", LOGIN, exo_cmd_delete },
    { "RENAME", LOGIN, exo_cmd_rename },
    { "SUBSCRIBE", LOGIN, exo_cmd_subscribe },
    { "UNSUBSCRIBE", LOGIN, exo_cmd_unsubscribe },
    { "APPEND", LOGIN, cmd_append },
    { "IDLE", LOGIN, cmd_idle },
    { "CHECK", SELECTED, cmd_noop },
    { "CLOSE", SELECTED, cmd_close },
    { "UNSELECT", SELECTED, cmd_unselect },
    { "EXPUNGE", SELECTED, cmd_expunge },
    { "UID", SELECTED, cmd_uid },
    { "FETCH", SELECTED, cmd_fetch },
    { "STORE", SELECTED, cmd_store },
    { "SEARCH", SELECTED, cmd_search },
    { "COPY", SELECTED, cmd_copy },
    { "MOVE", SELECTED, cmd_move },
};

static bool revoked(struct exo_session *s)
{
    bool is;

    if (!s->mailbox)
        return false;
    pthread_mutex_lock(&s->mailbox->lock);
    is = s->mailbox->revoked != s->revoked;
    pthread_mutex_unlock(&s->mailbox->lock);
    return is;
}

/* Everything that can stand before a verb's own work. True: it was answered here. */
static bool command_refused(struct exo_conn *c, const struct verb *v, struct exo_args args)
{
    struct exo_session *s = session(c);
    struct exo_fault fault;
    struct slice second;
    char name[16], text[160];
    uint32_t hint_ms;

    if (s->authenticated && revoked(s)) {
        exo_bye(c, "Session invalidated - Invalid");
        return true;
    }
    snprintf(name, sizeof name, "%s", v->name);
    if (strcmp(name, "UID") == 0 && exo_arg_space(&args) && exo_arg_atom(&args, &second))
        snprintf(name, sizeof name, "%.*s", (int)(second.size < 15 ? second.size : 15), second.data);
    if (exo_fault_strikes(c, EXO_POINT_COMMAND, name, &fault)) {
        exo_fault_act(c, &fault);
        return true;
    }
    if (v->needs == ANY)
        return false;
    if ((v->needs == BEFORE_LOGIN) == s->authenticated) {
        exo_reply(c, "BAD Command received in Invalid state.");
        return true;
    }
    if (v->needs == BEFORE_LOGIN)
        return false;
    if (s->not_connected) {
        exo_reply(c, "BAD User is authenticated but not connected.");
        return true;
    }
    if (v->needs == SELECTED && !s->folder) {
        exo_reply(c, "BAD Command Error. 12");
        return true;
    }
    if (c->worker->config.hint_every_command &&
        exo_budget_closed(c->worker->exo, s->mailbox, &c->worker->config, c->worker->now_ms, &hint_ms)) {
        exo_throttle_text(c, hint_ms, text, sizeof text);
        exo_reply(c, text);
        return true;
    }
    return false;
}

/* Tag and verb of the collected command; NULL when it is none. args: what follows the verb. */
static const struct verb *command_verb(struct exo_conn *c, struct exo_args *args)
{
    struct exo_session *s = session(c);
    struct slice tag, verb;

    *args = (struct exo_args){ buf_slice(&s->cmd) };
    if (!exo_arg_atom(args, &tag) || tag.size >= sizeof s->tag) {
        snprintf(s->tag, sizeof s->tag, "*");
        return NULL;
    }
    memcpy(s->tag, tag.data, tag.size);
    s->tag[tag.size] = '\0';
    if (!exo_arg_space(args) || !exo_arg_atom(args, &verb))
        return NULL;
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (slice_equal_nocase(verb, slice_cstr(verbs[i].name)))
            return &verbs[i];
    return NULL;
}

void exo_command_run(struct exo_conn *c)
{
    struct exo_args args;
    const struct verb *v = command_verb(c, &args);
    struct exo *exo = c->worker->exo;

    pthread_mutex_lock(&exo->lock);
    exo->stats.commands++;
    pthread_mutex_unlock(&exo->lock);
    if (!v)
        exo_reply(c, "BAD Command Error. 10");
    else if (!command_refused(c, v, args))
        v->run(c, args);
}

bool exo_command_refused(struct exo_conn *c)
{
    struct exo_args args;
    const struct verb *v = command_verb(c, &args);

    return !v || command_refused(c, v, args);
}

void exo_command_tag(struct exo_conn *c)
{
    struct exo_args args;

    (void)command_verb(c, &args);
}
