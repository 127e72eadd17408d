/* SEARCH, RFC 9051 7.3.4 and RFC 3501 7.2.5: either form of answer may come, whatever was asked (F26). */
#include "engine/imap/session_private.h"
#include "engine/imap/token.h"
#include "engine/imap/uidset.h"

/* Of a range, in an array that is moved when it grows. */
#define RANGE_KEPT_BYTES 16u

static void answered(struct session *s, struct cmd *cmd)
{
    if (!cmd->got_data) {
        s->search_told = 0;
        s->searched = (struct searched){ 0 };
    }
    cmd->got_data = true;
    s->search_told |= SESSION_SEARCH_ANSWERED;
}

/* No folder has more messages than may be listed, and none is named twice but by a server that goes on and on: what
 * stands behind the highest so far is new, all else may be again. False: the session fails. */
static bool tell(struct session *s, struct cmd *cmd, uint32_t first, uint32_t last)
{
    struct searched *so_far = &s->searched;

    if (first <= so_far->highest)
        so_far->again += (last < so_far->highest ? last : so_far->highest) - first + 1ull;
    if (last > so_far->highest)
        so_far->highest = last;
    if (++so_far->ranges > SESSION_ROWS_MAX || so_far->again > SESSION_ROWS_MAX)
        return session_fail_protocol(s, "SEARCH names more messages than a folder can hold");
    if (!session_keeps(s, cmd, RANGE_KEPT_BYTES))
        return false;
    cmd->u.range(cmd->context, first, last);
    return true;
}

void replies_search(struct session *s, struct cmd *cmd, const struct resp *resp)
{
    struct token t = token_of(resp->rest);
    struct slice word;
    uint32_t uid, first = 0, last = 0;

    if (!cmd)
        return;
    answered(s, cmd);
    while (token_word(&t, &word)) {
        if (!slice_u32(word, &uid) || uid == 0 || uid > SESSION_UID_MAX) {
            if (!slice_equal_nocase(word, SLICE("NIL")))
                s->search_told |= SESSION_SEARCH_UNREAD;
            continue;
        }
        if (first && last != UINT32_MAX && uid == last + 1) {
            last = uid;
            continue;
        }
        if (first && !tell(s, cmd, first, last))
            return;
        first = last = uid;
    }
    if (first)
        (void)tell(s, cmd, first, last);
}

struct telling {
    struct session *session;
    struct cmd *cmd;
};

static bool esearch_range(void *context, struct uidset_range range)
{
    struct telling *telling = context;

    return range.last <= SESSION_UID_MAX && tell(telling->session, telling->cmd, range.first, range.last);
}

void replies_esearch(struct session *s, struct cmd *cmd, const struct resp *resp)
{
    struct telling telling = { s, cmd };
    struct token t = token_of(resp->rest);
    struct slice word;

    if (!cmd)
        return;
    answered(s, cmd);
    while (!token_done(&t)) {
        if (token_peek(&t) == '(') {
            if (!token_skip(&t))
                return;
            continue;
        }
        if (!token_word(&t, &word))
            return;
        if (slice_equal_nocase(word, SLICE("ALL")) && token_word(&t, &word)) {
            s->search_told |= uidset_each(word, esearch_range, &telling) ? 0 : SESSION_SEARCH_UNREAD;
            return;
        }
    }
}
