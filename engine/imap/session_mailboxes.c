/* Untagged data about mailboxes: LIST, LSUB, STATUS, NAMESPACE. */
#include "engine/imap/session_private.h"

#include "engine/imap/list.h"

/* More than these is no list of a mailbox's folders: who goes on is waited for as for one who says nothing of use. */
#define LIST_ROWS_USEFUL  200000u
#define LIST_BYTES_USEFUL (128u << 20) /* of names */

void replies_list(struct session *s, const struct resp *resp)
{
    struct cmd *cmd = session_oldest(s, CMD_LIST);
    struct imap_list_row row;

    if (!cmd && (cmd = session_oldest(s, CMD_ROOT))) {
        /* LIST "" "": the root, whose delimiter is everybody's. */
        struct session_namespace ns = { .kind = SESSION_NAMESPACE_PERSONAL };

        if (list_root_parse(&row, resp->rest, &s->scratch) && !cmd->got_data) {
            cmd->got_data = true;
            ns.delimiter = row.delimiter;
            cmd->u.namespaces.row(cmd->context, &ns);
        }
        return;
    }
    if (!cmd || !cmd->u.list.row)
        return;
    if (!list_row_parse(&row, resp->rest, &s->scratch))
        return;
    if (resp->data == RESP_LSUB)
        row.attributes |= IMAP_MAILBOX_SUBSCRIBED;
    cmd->got_data = true;
    cmd->u.list.bytes += row.name.size;
    if (cmd->u.list.rows++ < LIST_ROWS_USEFUL && cmd->u.list.bytes <= LIST_BYTES_USEFUL)
        session_useful(s);
    cmd->u.list.row(cmd->context, &row);
    /* Counted by the list itself, which outlives the command. */
    (void)session_keeps(s, cmd, 0);
}

static bool same_mailbox(struct slice a, struct slice b)
{
    return slice_equal(a, b) || (slice_equal_nocase(a, SLICE("INBOX")) && slice_equal_nocase(b, SLICE("INBOX")));
}

/* A STATUS answers the command that named the mailbox, else LIST-STATUS; a name that nobody can have
 * asked for in this form (F30) answers the oldest STATUS. */
void replies_status_row(struct session *s, const struct resp *resp)
{
    struct imap_status status;
    struct slice name;
    struct cmd *cmd;

    if (!list_status_parse(&name, &status, resp->rest, &s->scratch))
        return;
    for (cmd = s->flight.by_kind[CMD_STATUS] ? s->flight_first : NULL; cmd; cmd = cmd->next)
        if (cmd->kind == CMD_STATUS && !cmd->got_data && same_mailbox(cmd->name, name))
            break;
    if (!cmd) {
        struct cmd *list = session_oldest(s, CMD_LIST);

        if (list && list->u.list.status) {
            list->u.list.status(list->context, name, &status);
            return;
        }
        cmd = session_oldest(s, CMD_STATUS);
        if (!cmd || cmd->got_data || s->flight.by_kind[CMD_STATUS] > 1)
            return;
    }
    cmd->got_data = true;
    cmd->u.status(cmd->context, &status);
}

static void namespace_row(void *context, unsigned kind, struct slice prefix, char delimiter)
{
    struct cmd *cmd = context;
    struct session_namespace ns = { .prefix = prefix, .delimiter = delimiter };

    ns.kind = kind == 0 ? SESSION_NAMESPACE_PERSONAL : kind == 1 ? SESSION_NAMESPACE_OTHERS : SESSION_NAMESPACE_SHARED;
    cmd->got_data = true;
    cmd->u.namespaces.row(cmd->context, &ns);
}

void replies_namespace(struct session *s, const struct resp *resp)
{
    struct cmd *cmd = session_oldest(s, CMD_NAMESPACE);

    if (cmd)
        list_namespace_each(resp->rest, namespace_row, cmd);
}

void replies_namespace_none(struct cmd *cmd)
{
    namespace_row(cmd, 0, slice_of(NULL, 0), '\0');
}
