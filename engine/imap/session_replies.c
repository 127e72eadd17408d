/* Untagged data to the command that it is for; body literals to their owner. The number of commands
 * in flight costs nothing here: rows go to the one command of their kind, FETCH responses to the
 * oldest FETCH first, which servers answer in order. */
#include "engine/imap/session_private.h"

#include "engine/imap/fetchitem.h"
#include "engine/imap/keyword.h"
#include "engine/imap/list.h"
#include "engine/imap/token.h"

#include <stdio.h>

#define ROWS_SLACK 1000u
#define OPEN_SLACK 100000u /* a server may know of more than it told */
/* Fields of a header and keywords of a message: more, in the mean of many, are no answer to a listing either. */
#define ROW_BYTES_USEFUL (8u << 10)
#define ROWS_SLACK_BYTES (16u << 20)
/* Of a row, in an array that is moved when it grows. */
#define ROW_KEPT_BYTES 256u

/* The FETCH of kind that asked for uid; uid 0: the oldest. */
static struct cmd *fetch_of(const struct session *s, enum cmd_kind kind, uint32_t uid)
{
    unsigned left = s->flight.by_kind[kind];

    for (struct cmd *cmd = s->flight_first; cmd && left; cmd = cmd->next) {
        if (cmd->kind != kind)
            continue;
        if (uid == 0 || uidset_holds(cmd->u.fetch.ranges, cmd->u.fetch.range_count, uid))
            return cmd;
        left--;
    }
    return NULL;
}

void replies_forget(struct session *s, const struct cmd *cmd)
{
    if (s->receiving.cmd == cmd)
        s->receiving.cmd = NULL;
    if (s->doubt.cmd == cmd)
        s->doubt.cmd = NULL;
}

/* As many answers as the messages that were asked for; with "*" it may be all, and what came since. */
static uint64_t most_of(const struct session *s, const struct cmd_fetch *fetch)
{
    uint64_t most = fetch->closed + (fetch->open ? (uint64_t)s->exists + 1 : 0);

    if (fetch->open)
        most += OPEN_SLACK;
    return most < SESSION_ROWS_MAX ? most : SESSION_ROWS_MAX;
}

/* ---- body literals ---- */

/* The body of uid is not to be believed. */
static void disbelieve(struct cmd *cmd, uint32_t uid)
{
    if (cmd && uid == 0)
        uid = cmd->u.fetch.only;
    if (cmd && uid && uidset_holds(cmd->u.fetch.ranges, cmd->u.fetch.range_count, uid))
        cmd->u.fetch.events->end(cmd->context, uid, true, true);
}

static void framing_lost(struct session *s)
{
    session_fail_protocol(s, "what follows a body makes no sense: its size was announced wrong");
}

/* The literal's count was wrong (B01, B03), and where the next response starts is unknown. */
static void suspect(struct session *s, uint32_t uid)
{
    disbelieve(s->receiving.cmd, uid);
    s->receiving = (struct receiving){ .active = false };
    framing_lost(s);
}

void replies_literal_suspect(void *context, struct slice line)
{
    struct session *s = context;

    (void)line;
    s->receiving.junk = true;
}

/* What followed the body makes no sense. Where it ends the line as a FETCH response ends, the next line
 * tells whether the body had the size that was announced. */
static void doubt(struct session *s, uint32_t uid, struct slice rest)
{
    rest = slice_trim(rest);
    if (rest.size == 0 || rest.data[rest.size - 1] != ')') {
        suspect(s, uid);
        return;
    }
    s->doubt = (struct doubt){ .pending = true, .cmd = s->receiving.cmd, .uid = uid };
    s->receiving = (struct receiving){ .active = false };
}

/* A line that nothing but a server says at this place: an answer to what is under way, or numbered data. */
static bool is_answer(const struct session *s, const struct resp *resp)
{
    const struct cmd *cmd = s->table[resp->tag % SESSION_TABLE];

    if (resp->kind == RESP_TAGGED)
        return cmd && cmd->tag == resp->tag;
    return resp->kind == RESP_DATA && resp->data != RESP_OTHER && resp->has_number;
}

bool replies_settle(struct session *s, const struct resp *resp)
{
    struct doubt d = s->doubt;
    bool framed;

    if (!d.pending)
        return true;
    framed = is_answer(s, resp);
    s->doubt = (struct doubt){ .pending = false };
    disbelieve(d.cmd, d.uid);
    if (!framed)
        framing_lost(s);
    return framed;
}

/* A part that was not asked for does not stand for the one that was. RFC 9051 7.5.2 */
static bool is_asked_for(const struct cmd *cmd, enum fetchitem_section section, uint64_t origin)
{
    switch (cmd->u.fetch.form) {
    case SESSION_BODY_HEADER:
        return section == FETCHITEM_HEAD && origin == 0;
    case SESSION_BODY_TEXT:
        return section == FETCHITEM_TEXT && origin == 0;
    case SESSION_BODY_PARTIAL:
        return section == FETCHITEM_WHOLE;
    case SESSION_BODY_PEEK:
    case SESSION_BODY_RFC822_PEEK:
    case SESSION_BODY_UNPEEKED:
    case SESSION_BODY_RFC822:
        break;
    }
    return section == FETCHITEM_WHOLE && origin == 0;
}

enum scan_literal replies_literal_begins(void *context, struct slice line, uint64_t size_bytes)
{
    struct session *s = context;
    struct fetchitem item;
    struct resp resp;
    uint64_t origin;

    resp_parse(&resp, line);
    if (!replies_settle(s, &resp))
        return SCAN_KEEP;
    if (s->receiving.junk) {
        suspect(s, s->receiving.uid);
        return SCAN_KEEP;
    }
    if (resp.kind != RESP_DATA || (resp.data != RESP_FETCH && resp.data != RESP_UIDFETCH))
        return SCAN_KEEP;
    if (!fetchitem_parse(&item, resp.rest, true, &s->scratch))
        return SCAN_KEEP;
    if (fetchitem_is_header(item.pending))
        return SCAN_CUT;
    if (!fetchitem_is_body(item.pending, &origin))
        return SCAN_KEEP;
    if (resp.data == RESP_UIDFETCH && resp.number <= SESSION_UID_MAX)
        item.row.uid = (uint32_t)resp.number;
    s->receiving.streaming = false;
    if (s->receiving.active || s->life != SESSION_ALIVE)
        return SCAN_STREAM; /* a second body in one response goes nowhere */
    s->receiving = (struct receiving){ .active = true, .uid = item.row.uid };
    s->receiving.cmd = fetch_of(s, CMD_BODIES, item.row.uid);
    if (s->receiving.cmd && is_asked_for(s->receiving.cmd, fetchitem_section(item.pending), origin)) {
        s->receiving.streaming = s->receiving.begun = true;
        s->receiving.cmd->u.fetch.events->begin(s->receiving.cmd->context, item.row.uid, size_bytes, origin);
    }
    return SCAN_STREAM;
}

void replies_literal_bytes(void *context, struct slice bytes)
{
    struct session *s = context;

    struct cmd *cmd = s->receiving.streaming ? s->receiving.cmd : NULL;

    if (!cmd || s->life != SESSION_ALIVE)
        return;
    if (cmd->u.fetch.bodies < most_of(s, &cmd->u.fetch))
        session_useful(s);
    cmd->u.fetch.events->bytes(cmd->context, bytes);
}

/* ---- FETCH ---- */

static void body_received(struct session *s, struct cmd *cmd, const struct fetchitem *item, bool streamed)
{
    const struct session_body_events *events = cmd->u.fetch.events;
    bool got = streamed;

    cmd->got_data = true;
    if (cmd->u.fetch.bodies++ < most_of(s, &cmd->u.fetch))
        session_useful(s);
    s->body_nil = !streamed && item->body == FETCHITEM_BODY_NIL;
    if (!streamed && (item->body == FETCHITEM_BODY_BYTES || item->body == FETCHITEM_BODY_NIL) &&
        is_asked_for(cmd, item->section, item->origin)) {
        got = true;
        struct slice bytes = slice_first(item->body_bytes, s->body_nil ? 0 : item->body_bytes.size);

        events->begin(cmd->context, item->row.uid, bytes.size, item->origin);
        if (bytes.size)
            events->bytes(cmd->context, bytes);
    }
    events->end(cmd->context, item->row.uid, got, false);
}

/* A message may come twice, since its flags changed meanwhile; not again and again. */
static void row_received(struct session *s, struct cmd *cmd, const struct imap_message_row *row)
{
    uint64_t most = most_of(s, &cmd->u.fetch);

    cmd->got_data = true;
    cmd->u.fetch.row_bytes += row->header.size + row->flags.keywords.size;
    if (cmd->u.fetch.rows++ < most && cmd->u.fetch.row_bytes <= ROWS_SLACK_BYTES + cmd->u.fetch.rows * ROW_BYTES_USEFUL)
        session_useful(s);
    else if (cmd->u.fetch.rows > 2 * most + ROWS_SLACK) {
        session_fail_protocol(s, "the server sends more rows than there are messages");
        return;
    }
    if (session_keeps(s, cmd, ROW_KEPT_BYTES + row->flags.keywords.size))
        cmd->u.fetch.row(cmd->context, row);
}

static void fetch_received(struct session *s, const struct resp *resp)
{
    struct receiving receiving = s->receiving;
    struct fetchitem item;
    struct cmd *cmd;

    if (!fetchitem_parse(&item, resp->rest, false, &s->scratch) || receiving.junk) {
        if (receiving.active)
            doubt(s, item.row.uid ? item.row.uid : receiving.uid, resp->rest);
        else
            s->damaged++;
        return;
    }
    s->receiving = (struct receiving){ .active = false };
    if (resp->data == RESP_UIDFETCH && resp->number && resp->number <= SESSION_UID_MAX)
        item.row.uid = (uint32_t)resp->number;
    if (item.row.uid == 0) {
        /* Without a UID it is news about flags; with a bad one it is damaged (F23, S15). */
        if (item.present & ~(unsigned)FETCHITEM_FLAGS)
            s->damaged++;
        return;
    }
    if (item.present & FETCHITEM_BODY) {
        cmd = receiving.active ? receiving.cmd : fetch_of(s, CMD_BODIES, item.row.uid);
        if (cmd && uidset_holds(cmd->u.fetch.ranges, cmd->u.fetch.range_count, item.row.uid))
            body_received(s, cmd, &item, receiving.begun);
        return; /* else nobody asked for it (S09) */
    }
    cmd = fetch_of(s, CMD_ROWS, item.row.uid);
    if (!(item.present & (FETCHITEM_SIZE | FETCHITEM_DATE | FETCHITEM_HEADER)) && (item.present & FETCHITEM_FLAGS) &&
        !(cmd && cmd->u.fetch.flags_only))
        return; /* news about flags */
    if (cmd)
        row_received(s, cmd, &item.row);
}

/* ---- the rest ---- */

static void flags_received(struct session *s, const struct resp *resp)
{
    struct slice rest = resp->rest;

    /* FLAGS stands for PERMANENTFLAGS where that does not come. RFC 9051 6.3.2 */
    if (s->flight.by_kind[CMD_SELECT] && !s->selected.has_permanent) {
        buf_clear(&s->keywords);
        fetchitem_flags(&rest, &s->selected.permanent, &s->keywords, KEYWORDS_ALL_BYTES_MAX);
    }
}

static void id_received(struct session *s, const struct resp *resp)
{
    struct token t = token_of(resp->rest);
    struct slice inside;
    char text[sizeof s->server_id];
    size_t used = 0;

    if (!token_list(&t, &inside))
        return;
    for (size_t i = 0; i < inside.size && used + 1 < sizeof text; i++)
        if (inside.data[i] != '"')
            text[used++] = inside.data[i];
    err_printable(s->server_id, sizeof s->server_id, text, used);
}

void replies_data(struct session *s, const struct resp *resp)
{
    struct imap_quota quota;
    struct cmd *cmd;

    switch (resp->data) {
    case RESP_FETCH:
    case RESP_UIDFETCH:
        fetch_received(s, resp);
        break;
    case RESP_EXISTS:
        if (resp->has_number && resp->number <= UINT32_MAX)
            s->exists = (uint32_t)resp->number;
        if (s->flight.by_kind[CMD_SELECT]) {
            /* The last one counts (S01). */
            s->selected.exists_told = resp->has_number && resp->number <= UINT32_MAX;
            s->selected.status.messages = s->selected.exists_told ? (uint32_t)resp->number : 0;
        }
        break;
    case RESP_LIST:
    case RESP_LSUB:
    case RESP_XLIST:
        replies_list(s, resp);
        break;
    case RESP_MAILBOX_STATUS:
        replies_status_row(s, resp);
        break;
    case RESP_SEARCH:
        replies_search(s, session_oldest(s, CMD_SEARCH), resp);
        break;
    case RESP_ESEARCH:
        replies_esearch(s, session_oldest(s, CMD_SEARCH), resp);
        break;
    case RESP_FLAGS:
        flags_received(s, resp);
        break;
    case RESP_CAPABILITY:
        caps_parse(&s->caps, resp->rest);
        s->login.capabilities = true;
        break;
    case RESP_NAMESPACE:
        replies_namespace(s, resp);
        break;
    case RESP_QUOTA:
        cmd = session_oldest(s, CMD_QUOTA);
        if (cmd && list_quota_parse(&quota, resp->rest))
            cmd->u.quota(cmd->context, &quota);
        break;
    case RESP_ENABLED:
        s->enabled_utf8 |= slice_find_nocase(resp->rest, SLICE("UTF8=")) != SIZE_MAX;
        s->enabled_uidonly |= slice_find_nocase(resp->rest, SLICE("UIDONLY")) != SIZE_MAX;
        break;
    case RESP_ID:
        id_received(s, resp);
        break;
    case RESP_RECENT:
    case RESP_EXPUNGE:
        break;
    case RESP_OTHER:
        if (resp->number == 0 && s->login.state != LOGIN_GREETING)
            err_printable(s->last_words, sizeof s->last_words, resp->text.data, resp->text.size);
        break;
    }
}

/* Codes of untagged OK while SELECT is in flight. */
void replies_status(struct session *s, const struct resp *resp)
{
    struct imap_selected *selected = &s->selected;
    uint64_t number;
    struct token t;
    bool known;

    if (resp->throttled && s->events->slow_down)
        s->events->slow_down(s->context);
    if (!s->flight.by_kind[CMD_SELECT])
        return;
    if (resp_has_code(resp, "PERMANENTFLAGS")) {
        struct slice rest = resp->code_args;

        buf_clear(&s->keywords);
        selected->has_permanent = fetchitem_flags(&rest, &selected->permanent, &s->keywords, KEYWORDS_ALL_BYTES_MAX);
        return;
    }
    if (resp_has_code(resp, "UIDNOTSTICKY")) {
        selected->uid_not_sticky = true;
        return;
    }
    t = token_of(resp->code_args);
    if (!token_number(&t, &number, &known) || !known || number == 0)
        return; /* F20 */
    if (resp_has_code(resp, "UIDVALIDITY") && number <= UINT32_MAX) {
        selected->status.uidvalidity = (uint32_t)number;
        selected->status.has |= IMAP_STATUS_UIDVALIDITY;
    } else if (resp_has_code(resp, "UIDNEXT") && number <= UINT32_MAX) {
        selected->status.uidnext = (uint32_t)number;
        selected->status.has |= IMAP_STATUS_UIDNEXT;
    } else if (resp_has_code(resp, "HIGHESTMODSEQ")) {
        selected->status.highestmodseq = number;
        selected->status.has |= IMAP_STATUS_HIGHESTMODSEQ;
    }
}

static void append_uids(struct cmd *cmd, const struct resp *resp)
{
    uint32_t uids[CMD_APPEND_ITEMS_MAX], uidvalidity;
    struct slice args = resp->code_args, word;

    if (!resp_has_code(resp, "APPENDUID") || !cmd->u.append.events->uids)
        return;
    if (slice_split(&args, ' ', &word) && slice_u32(word, &uidvalidity) && uidvalidity &&
        uidset_expand(slice_trim(args), uids, cmd->u.append.count))
        cmd->u.append.events->uids(cmd->context, uidvalidity, uids, cmd->u.append.count);
}

void replies_tagged_ok(struct session *s, struct cmd *cmd, const struct resp *resp)
{
    if (cmd->kind == CMD_SEARCH && !cmd->got_data)
        s->search_told = 0;
    if (resp_has_code(resp, "MESSAGELIMIT") &&
        (cmd->kind == CMD_ROWS || cmd->kind == CMD_BODIES || cmd->kind == CMD_SEARCH)) {
        /* Only a part was done: an OK that is none (RFC 9738 3.1). */
        struct err err;

        err_set(&err, ERR_CLASS_TRANSIENT, ERR_SCOPE_FOLDER, ERR_ORIGIN_PROTOCOL, 0, "%.*s",
                (int)(resp->code_args.size & 0xff), resp->code_args.data);
        snprintf(err.resp_code, sizeof err.resp_code, "MESSAGELIMIT");
        session_end_cmd(s, cmd, &err);
        return;
    }
    if (cmd->kind == CMD_SELECT) {
        s->selected.read_only = resp_has_code(resp, "READ-ONLY");
        if (s->selected.exists_told)
            s->selected.status.has |= IMAP_STATUS_MESSAGES;
        s->selected.permanent.keywords =
            s->selected.permanent.keywords.size ? buf_slice(&s->keywords) : slice_of(NULL, 0);
        if (cmd->u.selected)
            cmd->u.selected(cmd->context, &s->selected);
    }
    if (cmd->kind == CMD_APPEND)
        append_uids(cmd, resp);
    if (cmd->kind == CMD_NAMESPACE && !cmd->got_data)
        replies_namespace_none(cmd);
    if (cmd->kind == CMD_LOGOUT)
        s->life = SESSION_LEAVING;
    session_end_cmd(s, cmd, NULL);
}
