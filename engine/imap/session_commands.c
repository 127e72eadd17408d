/* The public calls: each writes one command and queues it. */
#include "engine/imap/date.h"
#include "engine/imap/keyword.h"
#include "engine/imap/session_private.h"

#include "io/base/mem.h"

#include <assert.h>
#include <stdio.h>

#define NAME_MAX_BYTES 8192

static struct cmd *begin(struct session *s, enum cmd_kind kind, session_ended *ended, void *context)
{
    (void)s;
    return cmd_create(kind, ended, context);
}

static void finish(struct session *s, struct cmd *cmd)
{
    cmd_end_text(cmd);
    session_start(s, cmd);
}

static bool fits(struct cmd *cmd, struct slice raw)
{
    if (raw.size <= NAME_MAX_BYTES)
        return true;
    cmd_refuse(cmd, CMD_NAME_TOO_LONG);
    return false;
}

/* Adds a mailbox name. With UTF8=ACCEPT on, 8-bit bytes travel quoted (RFC 9755 3). */
static void name(struct session *s, struct cmd *cmd, struct slice raw)
{
    cmd_set_name(cmd, slice_first(raw, NAME_MAX_BYTES));
    if (!fits(cmd, raw))
        return;
    if (s->enabled_utf8 && !slice_has_line_end(raw) && slice_find(raw, '\0') == SIZE_MAX)
        cmd_quoted(cmd, raw);
    else
        cmd_string(cmd, raw, session_nonsync(s, raw.size));
}

void session_root(struct session *s, void (*row)(void *context, const struct session_namespace *ns),
                  session_ended *ended, void *context)
{
    struct cmd *cmd = begin(s, CMD_ROOT, ended, context);

    cmd->u.namespaces.row = row;
    cmd_text(cmd, SLICE("LIST \"\" \"\""));
    finish(s, cmd);
}

void session_namespaces(struct session *s, void (*row)(void *context, const struct session_namespace *ns),
                        session_ended *ended, void *context)
{
    struct cmd *cmd;

    if (!caps_has(&s->caps, CAP_NAMESPACE)) {
        session_root(s, row, ended, context);
        return;
    }
    cmd = begin(s, CMD_NAMESPACE, ended, context);
    cmd->u.namespaces.row = row;
    cmd_text(cmd, SLICE("NAMESPACE"));
    finish(s, cmd);
}

/* "MESSAGES UIDNEXT ..." of the items that are wanted and offered. */
static void status_items(struct session *s, struct cmd *cmd, unsigned items)
{
    static const struct {
        unsigned bit;
        const char *name;
        enum cap cap; /* CAP_COUNT: always there */
    } names[] = {
        { IMAP_STATUS_MESSAGES, "MESSAGES", CAP_COUNT },
        { IMAP_STATUS_UIDNEXT, "UIDNEXT", CAP_COUNT },
        { IMAP_STATUS_UIDVALIDITY, "UIDVALIDITY", CAP_COUNT },
        { IMAP_STATUS_HIGHESTMODSEQ, "HIGHESTMODSEQ", CAP_CONDSTORE },
        { IMAP_STATUS_SIZE, "SIZE", CAP_STATUS_SIZE },
        { IMAP_STATUS_APPENDLIMIT, "APPENDLIMIT", CAP_APPENDLIMIT },
    };
    const char *before = "";

    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (!(items & names[i].bit) || (names[i].cap != CAP_COUNT && !caps_has(&s->caps, names[i].cap)))
            continue;
        /* One limit for all mailboxes is told already; without it each has its own (RFC 7889 2). */
        if (names[i].cap == CAP_APPENDLIMIT && s->caps.appendlimit_bytes)
            continue;
        cmd_format(cmd, "%s%s", before, names[i].name);
        before = " ";
    }
    if (!before[0])
        cmd_text(cmd, SLICE("MESSAGES"));
}

static void list_return(struct session *s, struct cmd *cmd, unsigned items)
{
    bool extended = caps_has(&s->caps, CAP_LIST_EXTENDED) || caps_has(&s->caps, CAP_IMAP4REV2);
    bool special = extended && caps_has(&s->caps, CAP_SPECIAL_USE);
    bool status = items && caps_has(&s->caps, CAP_LIST_STATUS);

    if (s->config.exchange || (!extended && !status))
        return;
    cmd_text(cmd, SLICE(" RETURN ("));
    if (extended)
        cmd_text(cmd, SLICE("SUBSCRIBED CHILDREN"));
    if (special)
        cmd_text(cmd, SLICE(" SPECIAL-USE"));
    if (status) {
        cmd_format(cmd, "%sSTATUS (", extended ? " " : "");
        status_items(s, cmd, items);
        cmd_text(cmd, SLICE(")"));
    }
    cmd_text(cmd, SLICE(")"));
}

void session_list(struct session *s, enum session_list_form form, struct slice pattern, unsigned items,
                  void (*row)(void *context, const struct imap_list_row *row),
                  void (*status)(void *context, struct slice name, const struct imap_status *status),
                  session_ended *ended, void *context)
{
    struct cmd *cmd = begin(s, CMD_LIST, ended, context);

    cmd->u.list.form = form;
    cmd->u.list.row = row;
    cmd->u.list.status = status;
    /* The reference is always "" (N10). */
    cmd_format(cmd, "%s \"\" ", form == SESSION_LIST_LSUB ? "LSUB" : form == SESSION_LIST_XLIST ? "XLIST" : "LIST");
    if (fits(cmd, pattern))
        cmd_string(cmd, pattern, session_nonsync(s, pattern.size));
    if (form == SESSION_LIST_EXTENDED)
        list_return(s, cmd, status ? items : 0);
    finish(s, cmd);
}

void session_status(struct session *s, struct slice raw, unsigned items,
                    void (*answer)(void *context, const struct imap_status *status), session_ended *ended,
                    void *context)
{
    struct cmd *cmd = begin(s, CMD_STATUS, ended, context);

    cmd->u.status = answer;
    cmd_text(cmd, SLICE("STATUS "));
    name(s, cmd, raw);
    cmd_text(cmd, SLICE(" ("));
    status_items(s, cmd, items);
    cmd_text(cmd, SLICE(")"));
    finish(s, cmd);
}

void session_quota(struct session *s, struct slice raw, void (*answer)(void *context, const struct imap_quota *quota),
                   session_ended *ended, void *context)
{
    struct cmd *cmd = begin(s, CMD_QUOTA, ended, context);

    cmd->u.quota = answer;
    cmd_text(cmd, SLICE("GETQUOTAROOT "));
    name(s, cmd, raw);
    finish(s, cmd);
}

void session_select(struct session *s, struct slice raw, bool read_only,
                    void (*answer)(void *context, const struct imap_selected *selected), session_ended *ended,
                    void *context)
{
    struct cmd *cmd = begin(s, CMD_SELECT, ended, context);

    cmd->u.selected = answer;
    cmd_text(cmd, read_only ? SLICE("EXAMINE ") : SLICE("SELECT "));
    name(s, cmd, raw);
    finish(s, cmd);
}

void session_unselect(struct session *s, session_ended *ended, void *context)
{
    struct cmd *cmd;

    if (!caps_has(&s->caps, CAP_UNSELECT) && !caps_has(&s->caps, CAP_IMAP4REV2)) {
        ended(context, NULL);
        return;
    }
    cmd = begin(s, CMD_UNSELECT, ended, context);
    cmd_text(cmd, SLICE("UNSELECT"));
    finish(s, cmd);
}

/* Reads the set that is asked for, so that answers can be held against it. */
static void fetch_set(struct cmd *cmd, struct slice set)
{
    struct cmd_fetch *fetch = &cmd->u.fetch;
    unsigned parts = 1;

    assert(set.size >= 1 && set.size <= 1000);
    for (size_t i = 0; i < set.size; i++)
        parts += set.data[i] == ',';
    fetch->ranges = mem_zero(parts, sizeof *fetch->ranges);
    fetch->range_count = uidset_parse(set, fetch->ranges, parts);
    assert(fetch->range_count);
    for (unsigned i = 0; i < fetch->range_count; i++)
        if (fetch->ranges[i].last == UINT32_MAX)
            fetch->open = true;
        else
            fetch->closed += (uint64_t)fetch->ranges[i].last - fetch->ranges[i].first + 1;
    if (fetch->range_count == 1 && fetch->ranges[0].first == fetch->ranges[0].last)
        fetch->only = fetch->ranges[0].first;
    cmd_text(cmd, SLICE("UID FETCH "));
    cmd_text(cmd, set);
}

void session_fetch_rows(struct session *s, struct slice set, struct slice header_fields,
                        void (*row)(void *context, const struct imap_message_row *row), session_ended *ended,
                        void *context)
{
    struct cmd *cmd = begin(s, CMD_ROWS, ended, context);

    cmd->u.fetch.row = row;
    fetch_set(cmd, set);
    cmd_text(cmd, SLICE(" (UID FLAGS INTERNALDATE RFC822.SIZE"));
    if (caps_has(&s->caps, CAP_X_GM_EXT_1))
        cmd_text(cmd, SLICE(" X-GM-MSGID X-GM-THRID X-GM-LABELS"));
    if (caps_has(&s->caps, CAP_OBJECTID))
        cmd_text(cmd, SLICE(" EMAILID"));
    if (header_fields.size) {
        cmd_text(cmd, SLICE(" BODY.PEEK[HEADER.FIELDS ("));
        cmd_text(cmd, header_fields);
        cmd_text(cmd, SLICE(")]"));
    }
    cmd_text(cmd, SLICE(")"));
    finish(s, cmd);
}

void session_fetch_flags(struct session *s, struct slice set, uint64_t changed_since,
                         void (*row)(void *context, const struct imap_message_row *row), session_ended *ended,
                         void *context)
{
    struct cmd *cmd = begin(s, CMD_ROWS, ended, context);

    assert(changed_since == 0 || caps_has(&s->caps, CAP_CONDSTORE));
    cmd->u.fetch.row = row;
    cmd->u.fetch.flags_only = true;
    fetch_set(cmd, set);
    cmd_text(cmd, SLICE(" (UID FLAGS)"));
    if (changed_since)
        cmd_format(cmd, " (CHANGEDSINCE %llu)", (unsigned long long)changed_since);
    finish(s, cmd);
}

void session_search(struct session *s, struct slice criteria,
                    void (*range)(void *context, uint32_t first, uint32_t last), session_ended *ended, void *context)
{
    struct cmd *cmd = begin(s, CMD_SEARCH, ended, context);

    cmd->u.range = range;
    cmd_text(cmd, SLICE("UID SEARCH "));
    if (caps_has(&s->caps, CAP_ESEARCH) && !s->config.exchange)
        cmd_text(cmd, SLICE("RETURN (ALL) "));
    cmd_text(cmd, criteria);
    finish(s, cmd);
}

void session_fetch_bodies(struct session *s, struct slice set, enum session_body_form form, uint64_t first,
                          uint64_t count, const struct session_body_events *events, session_ended *ended, void *context)
{
    static const char *const items[] = {
        [SESSION_BODY_PEEK] = "BODY.PEEK[]",
        [SESSION_BODY_PARTIAL] = "BODY.PEEK[]<%llu.%llu>",
        [SESSION_BODY_HEADER] = "BODY.PEEK[HEADER]",
        [SESSION_BODY_TEXT] = "BODY.PEEK[TEXT]",
        [SESSION_BODY_RFC822_PEEK] = "RFC822.PEEK",
        [SESSION_BODY_UNPEEKED] = "BODY[]",
        [SESSION_BODY_RFC822] = "RFC822",
    };
    struct cmd *cmd = begin(s, CMD_BODIES, ended, context);

    cmd->u.fetch.events = events;
    cmd->u.fetch.form = form;
    fetch_set(cmd, set);
    cmd_text(cmd, SLICE(" ("));
    if (form == SESSION_BODY_PARTIAL)
        cmd_format(cmd, "BODY.PEEK[]<%llu.%llu>", (unsigned long long)first, (unsigned long long)count);
    else
        cmd_text(cmd, slice_cstr(items[form]));
    cmd_text(cmd, SLICE(")"));
    finish(s, cmd);
}

static void on_name(struct session *s, enum cmd_kind kind, struct slice raw, session_ended *ended, void *context)
{
    struct cmd *cmd = begin(s, kind, ended, context);

    cmd_format(cmd, "%s ", cmd_name(kind));
    name(s, cmd, raw);
    finish(s, cmd);
}

void session_create_mailbox(struct session *s, struct slice raw, session_ended *ended, void *context)
{
    on_name(s, CMD_CREATE, raw, ended, context);
}

void session_subscribe(struct session *s, struct slice raw, session_ended *ended, void *context)
{
    on_name(s, CMD_SUBSCRIBE, raw, ended, context);
}

static void store_flags(struct session *s, struct slice set, char sign, struct slice flags_text, session_ended *ended,
                        void *context)
{
    struct cmd *cmd = begin(s, CMD_STORE, ended, context);

    cmd_text(cmd, SLICE("UID STORE "));
    cmd_text(cmd, set);
    cmd_format(cmd, " %cFLAGS.SILENT (", sign);
    cmd_text(cmd, flags_text);
    cmd_text(cmd, SLICE(")"));
    finish(s, cmd);
}

void session_store_flags(struct session *s, struct slice set, struct slice flags_text, session_ended *ended,
                         void *context)
{
    store_flags(s, set, '+', flags_text, ended, context);
}

void session_clear_flags(struct session *s, struct slice set, struct slice flags_text, session_ended *ended,
                         void *context)
{
    store_flags(s, set, '-', flags_text, ended, context);
}

void session_expunge(struct session *s, struct slice set, session_ended *ended, void *context)
{
    struct cmd *cmd = begin(s, CMD_EXPUNGE, ended, context);

    assert(caps_have_uidplus(&s->caps));
    cmd_text(cmd, SLICE("UID EXPUNGE "));
    cmd_text(cmd, set);
    finish(s, cmd);
}

void session_move(struct session *s, struct slice set, struct slice into, session_ended *ended, void *context)
{
    struct cmd *cmd = begin(s, CMD_MOVE, ended, context);

    assert(caps_has(&s->caps, CAP_MOVE) || caps_has(&s->caps, CAP_IMAP4REV2));
    cmd_text(cmd, SLICE("UID MOVE "));
    cmd_text(cmd, set);
    cmd_text(cmd, SLICE(" "));
    name(s, cmd, into);
    finish(s, cmd);
}

static void bare(struct session *s, enum cmd_kind kind, session_ended *ended, void *context)
{
    struct cmd *cmd = begin(s, kind, ended, context);

    cmd_text(cmd, slice_cstr(cmd_name(kind)));
    finish(s, cmd);
}

void session_noop(struct session *s, session_ended *ended, void *context)
{
    bare(s, CMD_NOOP, ended, context);
}

void session_logout(struct session *s, session_ended *ended, void *context)
{
    bare(s, CMD_LOGOUT, ended, context);
}

/* They stand in the line as they are, wherever they come from: what could be read as more than a word is left out. */
static struct slice keywords_copied(struct slice keywords)
{
    unsigned dropped = 0;
    char *copy;

    if (keywords.size == 0)
        return slice_of(NULL, 0);
    copy = mem_alloc(KEYWORDS_BYTES_MAX);
    return slice_of(copy, keywords_clean(keywords, KEYWORDS_BYTES_MAX, copy, &dropped));
}

void session_append(struct session *s, struct slice raw, const struct session_append_item *items, unsigned count,
                    const struct session_append_events *events, session_ended *ended, void *context)
{
    struct cmd *cmd = begin(s, CMD_APPEND, ended, context);
    struct cmd_append *append = &cmd->u.append;

    assert(count >= 1 && count <= CMD_APPEND_ITEMS_MAX);
    assert(count == 1 || caps_has(&s->caps, CAP_MULTIAPPEND));
    append->items = mem_zero(count, sizeof *append->items);
    append->count = count;
    append->events = events;
    for (unsigned i = 0; i < count; i++) {
        append->items[i] = items[i];
        append->items[i].flags.keywords = keywords_copied(items[i].flags.keywords);
        append->items[i].date.known = date_is_writable(&items[i].date);
    }
    cmd_text(cmd, SLICE("APPEND "));
    name(s, cmd, raw);
    cmd_append_head(cmd, session_nonsync(s, items[0].size_bytes));
    session_start(s, cmd);
}
