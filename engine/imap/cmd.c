#include "engine/imap/cmd.h"

#include "engine/imap/date.h"
#include "engine/imap/keyword.h"
#include "engine/imap/quote.h"
#include "io/base/mem.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* What a kind does to the others on the wire. */
enum {
    USES_SELECTED = 1, /* needs the mailbox that is selected */
    SELECTS = 2,       /* changes which mailbox is selected */
    ALONE = 4,         /* waits until all others have ended, and others wait for it */
    ONE_LIST = 8,      /* its rows carry no tag: one of these at a time */
    ONE_OF_KIND = 16,  /* likewise, among its own kind */
    AFTER_CREATE = 32, /* names a mailbox that a CREATE on the wire may be making */
};

static const struct {
    const char *name;
    enum verdict_doing doing;
    uint32_t patience_ms;
    unsigned rules;
} kinds[CMD_KIND_COUNT] = {
    [CMD_NAMESPACE] = { "NAMESPACE", VERDICT_LIST, 300000, ONE_OF_KIND },
    [CMD_ROOT] = { "LIST", VERDICT_LIST, 300000, ONE_LIST },
    [CMD_LIST] = { "LIST", VERDICT_LIST, 300000, ONE_LIST },
    /* S21: minutes of silence on large mailboxes. */
    [CMD_STATUS] = { "STATUS", VERDICT_SELECT, 600000, AFTER_CREATE },
    /* Answers name the root, not the mailbox. */
    [CMD_QUOTA] = { "GETQUOTAROOT", VERDICT_LIST, 300000, ONE_OF_KIND },
    [CMD_SELECT] = { "SELECT", VERDICT_SELECT, 600000, SELECTS | AFTER_CREATE },
    [CMD_UNSELECT] = { "UNSELECT", VERDICT_SELECT, 300000, SELECTS },
    [CMD_ROWS] = { "FETCH", VERDICT_FETCH, 300000, USES_SELECTED },
    [CMD_SEARCH] = { "SEARCH", VERDICT_FETCH, 600000, USES_SELECTED | ONE_OF_KIND },
    [CMD_BODIES] = { "FETCH", VERDICT_FETCH, 300000, USES_SELECTED },
    [CMD_CREATE] = { "CREATE", VERDICT_CREATE, 300000, 0 },
    [CMD_SUBSCRIBE] = { "SUBSCRIBE", VERDICT_CREATE, 300000, AFTER_CREATE },
    [CMD_STORE] = { "STORE", VERDICT_FETCH, 300000, USES_SELECTED },
    [CMD_EXPUNGE] = { "EXPUNGE", VERDICT_FETCH, 300000, USES_SELECTED },
    [CMD_MOVE] = { "MOVE", VERDICT_FETCH, 300000, USES_SELECTED },
    [CMD_NOOP] = { "NOOP", VERDICT_LIST, 300000, 0 },
    [CMD_APPEND] = { "APPEND", VERDICT_APPEND, 300000, AFTER_CREATE },
    [CMD_LOGOUT] = { "LOGOUT", VERDICT_LIST, 60000, ALONE },
};

const char *cmd_name(enum cmd_kind kind)
{
    return kinds[kind].name;
}

enum verdict_doing cmd_doing(enum cmd_kind kind)
{
    return kinds[kind].doing;
}

uint32_t cmd_patience_ms(enum cmd_kind kind)
{
    return kinds[kind].patience_ms;
}

static unsigned flying(const struct cmd_flight *flight, unsigned rule)
{
    unsigned count = 0;

    for (unsigned i = 0; i < CMD_KIND_COUNT; i++)
        if (kinds[i].rules & rule)
            count += flight->by_kind[i];
    return count;
}

bool cmd_may_send(const struct cmd *cmd, const struct cmd_flight *flight)
{
    unsigned rules = kinds[cmd->kind].rules;
    unsigned appends = flight->by_kind[CMD_APPEND];

    /* LOGOUT's BYE would end what is still unanswered. RFC 9051 6.1.3 */
    if ((rules & ALONE) && flight->count)
        return false;
    if (flying(flight, ALONE))
        return false;
    /* A server may run pipelined commands in any order where it sees no ambiguity; a command on the
     * selected mailbox must not meet a SELECT on its way. RFC 9051 5.5 */
    if ((rules & USES_SELECTED) && flying(flight, SELECTS))
        return false;
    if ((rules & SELECTS) && (flying(flight, SELECTS) || flying(flight, USES_SELECTED)))
        return false;
    /* LIST and SEARCH rows do not say which command they answer. RFC 9051 7.3.1, 7.3.4 */
    if ((rules & ONE_LIST) && flying(flight, ONE_LIST))
        return false;
    if ((rules & ONE_OF_KIND) && flight->by_kind[cmd->kind])
        return false;
    /* The mailbox may be the one that CREATE makes. RFC 9051 5.5 */
    if ((rules & AFTER_CREATE) && flight->by_kind[CMD_CREATE])
        return false;
    /* Geary met a limit of about ten at Exchange (P09); uploads are many and small, and a server
     * reads them one after the other anyway. */
    if (cmd->kind == CMD_APPEND)
        return appends < flight->append_inflight_max;
    return flight->count - appends < flight->inflight_max;
}

struct cmd *cmd_create(enum cmd_kind kind, session_ended *ended, void *context)
{
    struct cmd *cmd = mem_zero(1, sizeof *cmd);

    cmd->kind = kind;
    cmd->ended = ended;
    cmd->context = context;
    buf_init(&cmd->text, CMD_TEXT_MAX);
    return cmd;
}

void cmd_destroy(struct cmd *cmd)
{
    if (cmd->kind == CMD_ROWS || cmd->kind == CMD_BODIES)
        free(cmd->u.fetch.ranges);
    if (cmd->kind == CMD_APPEND) {
        for (unsigned i = 0; i < cmd->u.append.count; i++)
            free((char *)(uintptr_t)cmd->u.append.items[i].flags.keywords.data);
        free(cmd->u.append.items);
    }
    free((char *)(uintptr_t)cmd->name.data);
    buf_deinit(&cmd->text);
    quota_let_go(&cmd->held);
    free(cmd);
}

void cmd_set_name(struct cmd *cmd, struct slice name)
{
    cmd->name = slice_of(slice_dup(name), name.size);
}

void cmd_tell_doing(const struct cmd *cmd, struct err *err)
{
    if (cmd->name.size)
        err_doing(err, "%s %s%.*s", kinds[cmd->kind].name, cmd->kind == CMD_APPEND ? "to " : "",
                  (int)(cmd->name.size & 0xfff), cmd->name.data);
    else
        err_doing(err, "%s", kinds[cmd->kind].name);
}

void cmd_refuse(struct cmd *cmd, const char *why)
{
    if (cmd->unsendable)
        return;
    cmd->unsendable = true;
    err_set(&cmd->answer, ERR_CLASS_PERMANENT, ERR_SCOPE_FOLDER, ERR_ORIGIN_PROTOCOL, 0, "%s", why);
}

static void cannot_hold(struct cmd *cmd)
{
    cmd_refuse(cmd, CMD_NAME_TOO_LONG);
}

void cmd_text(struct cmd *cmd, struct slice text)
{
    if (!buf_append(&cmd->text, text))
        cannot_hold(cmd);
}

void cmd_format(struct cmd *cmd, const char *format, ...)
{
    va_list args;
    char text[256];
    int n;

    va_start(args, format);
    n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    assert(n >= 0 && (size_t)n < sizeof text);
    cmd_text(cmd, slice_of(text, (size_t)n));
}

void cmd_quoted(struct cmd *cmd, struct slice text)
{
    if (!quote_append(&cmd->text, text))
        cannot_hold(cmd);
}

void cmd_string(struct cmd *cmd, struct slice text, bool nonsync)
{
    bool waits;

    if (quote_form(text) == QUOTE_QUOTED) {
        cmd_quoted(cmd, text);
        return;
    }
    if (!quote_literal_head(&cmd->text, text, nonsync, &waits))
        cannot_hold(cmd);
    if (waits) {
        assert(cmd->stop_count < CMD_STOPS_MAX);
        cmd->stops[cmd->stop_count++] = cmd->text.size;
    }
    cmd_text(cmd, text);
}

void cmd_end_text(struct cmd *cmd)
{
    cmd_text(cmd, SLICE("\r\n"));
}

/* Whether a server may not take the line that an APPEND's literal follows: one that passes what servers read as a
 * line (A5), a name with more than printable ASCII, or keywords that not everybody has. */
static bool is_doubtful(const struct cmd *cmd, struct slice keywords)
{
    struct slice line = buf_slice(&cmd->text);

    if (line.size > CMD_LINE_PLAIN_MAX || !keywords_are_plain(keywords))
        return true;
    for (size_t i = 0; i < line.size; i++)
        if ((unsigned char)line.data[i] < ' ' || (unsigned char)line.data[i] >= 0x7F)
            return true;
    return false;
}

bool cmd_append_head(struct cmd *cmd, bool nonsync)
{
    static const struct {
        unsigned bit;
        const char *text;
    } flags[] = {
        { IMAP_FLAG_SEEN, "\\Seen" },       { IMAP_FLAG_ANSWERED, "\\Answered" }, { IMAP_FLAG_FLAGGED, "\\Flagged" },
        { IMAP_FLAG_DELETED, "\\Deleted" }, { IMAP_FLAG_DRAFT, "\\Draft" },
    };
    const struct session_append_item *item = &cmd->u.append.items[cmd->u.append.item];
    const char *before = " (";
    char date[DATE_TEXT_SIZE];

    for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++) {
        if (item->flags.system & flags[i].bit) {
            cmd_format(cmd, "%s%s", before, flags[i].text);
            before = " ";
        }
    }
    if (item->flags.keywords.size) {
        cmd_text(cmd, slice_cstr(before));
        cmd_text(cmd, item->flags.keywords);
        before = " ";
    }
    if (before[1] == '\0')
        cmd_text(cmd, SLICE(")"));
    if (item->date.known)
        cmd_format(cmd, " \"%s\"", date_format(&item->date, date));
    nonsync = nonsync && !is_doubtful(cmd, item->flags.keywords);
    cmd_format(cmd, " {%llu%s}\r\n", (unsigned long long)item->size_bytes, nonsync ? "+" : "");
    if (!nonsync)
        cmd->stops[cmd->stop_count++] = cmd->text.size;
    return nonsync;
}
