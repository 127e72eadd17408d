#include "engine/imap/list.h"

#include "engine/imap/token.h"

static const struct {
    const char *name;
    unsigned bits;
} attributes[] = {
    { "\\Noselect", IMAP_MAILBOX_NOSELECT },
    { "\\NonExistent", IMAP_MAILBOX_NONEXISTENT | IMAP_MAILBOX_NOSELECT },
    { "\\Noinferiors", IMAP_MAILBOX_NOINFERIORS },
    { "\\Subscribed", IMAP_MAILBOX_SUBSCRIBED },
    { "\\HasChildren", IMAP_MAILBOX_HAS_CHILDREN },
    { "\\HasNoChildren", IMAP_MAILBOX_HAS_NO_CHILDREN },
    { "\\All", IMAP_MAILBOX_ALL },
    { "\\AllMail", IMAP_MAILBOX_ALL },
    { "\\Archive", IMAP_MAILBOX_ARCHIVE },
    { "\\Drafts", IMAP_MAILBOX_DRAFTS },
    { "\\Flagged", IMAP_MAILBOX_FLAGGED },
    { "\\Starred", IMAP_MAILBOX_FLAGGED },
    { "\\Junk", IMAP_MAILBOX_JUNK },
    { "\\Spam", IMAP_MAILBOX_JUNK },
    { "\\Sent", IMAP_MAILBOX_SENT },
    { "\\Trash", IMAP_MAILBOX_TRASH },
    { "\\Important", IMAP_MAILBOX_IMPORTANT },
    { "\\Inbox", IMAP_MAILBOX_INBOX },
};

static struct slice plain(const struct token_string *string, struct buf *scratch)
{
    char *at;

    if (!string->escaped)
        return string->bytes;
    buf_clear(scratch);
    at = buf_reserve(scratch, string->bytes.size + 1);
    if (!at)
        return string->bytes;
    buf_commit(scratch, token_unescape(string, at, string->bytes.size));
    return buf_slice(scratch);
}

/* Quoted and literal names end where they say; a bare one runs to the end of the line, since some
 * servers leave spaces and tabs in it unquoted (N15, N16). */
static bool name_parse(struct slice *name_r, struct token *t, struct buf *scratch)
{
    struct token_string string;
    size_t extended;

    if (token_peek(t) == '*' && t->end - t->at > 1 && (t->at[1] == '"' || t->at[1] == ' '))
        t->at++;
    if (token_peek(t) == '"' || token_peek(t) == '{' || token_peek(t) == '~') {
        struct token before = *t;

        if (token_string(t, &string)) {
            *name_r = plain(&string, scratch);
            return string.kind != TOKEN_STREAMED;
        }
        *t = before;
    }
    *name_r = token_rest(t);
    extended = slice_find_nocase(*name_r, SLICE(" (\"CHILDINFO\""));
    *name_r = slice_first(*name_r, extended);
    while (name_r->size && (name_r->data[name_r->size - 1] == ' ' || name_r->data[name_r->size - 1] == '\r'))
        name_r->size--;
    if (slice_equal_nocase(*name_r, SLICE("NIL")))
        name_r->size = 0;
    return true;
}

static bool delimiter_parse(char *delimiter_r, struct token *t)
{
    struct token_string string;
    char text[2];

    *delimiter_r = '\0';
    /* "\" is meant to be written "\\", but not all do (N19). */
    if (token_peek(t) == '"' && t->end - t->at >= 3 && t->at[1] == '\\' && t->at[2] == '"' &&
        (t->end - t->at == 3 || t->at[3] == ' ')) {
        *delimiter_r = '\\';
        t->at += 3;
        return true;
    }
    if (!token_string(t, &string))
        return false;
    if (string.kind != TOKEN_NIL && token_unescape(&string, text, sizeof text) >= 1)
        *delimiter_r = text[0];
    return true;
}

bool list_root_parse(struct imap_list_row *row_r, struct slice rest, struct buf *scratch)
{
    struct token t = token_of(rest);
    struct slice inside, word;

    *row_r = (struct imap_list_row){ .attributes = 0 };
    if (token_list(&t, &inside)) {
        struct token a = token_of(inside);

        while (!token_done(&a)) {
            if (!token_word(&a, &word)) {
                if (!token_skip(&a))
                    break;
                continue;
            }
            for (unsigned i = 0; i < sizeof attributes / sizeof *attributes; i++)
                if (slice_equal_nocase(word, slice_cstr(attributes[i].name)))
                    row_r->attributes |= attributes[i].bits;
        }
    } else if (token_peek(&t) != '"' && (!token_word(&t, &word) || !slice_equal_nocase(word, SLICE("NIL")))) {
        return false;
    }
    return delimiter_parse(&row_r->delimiter, &t) && name_parse(&row_r->name, &t, scratch);
}

bool list_row_parse(struct imap_list_row *row_r, struct slice rest, struct buf *scratch)
{
    if (!list_root_parse(row_r, rest, scratch) || row_r->name.size == 0)
        return false;
    return row_r->name.size != 1 || row_r->delimiter == '\0' || row_r->name.data[0] != row_r->delimiter;
}

static void status_number(struct imap_status *status, struct slice name, uint64_t number)
{
    static const struct {
        const char *name;
        unsigned bit;
    } items[] = {
        { "MESSAGES", IMAP_STATUS_MESSAGES },
        { "UIDNEXT", IMAP_STATUS_UIDNEXT },
        { "UIDVALIDITY", IMAP_STATUS_UIDVALIDITY },
        { "HIGHESTMODSEQ", IMAP_STATUS_HIGHESTMODSEQ },
        { "SIZE", IMAP_STATUS_SIZE },
        { "APPENDLIMIT", IMAP_STATUS_APPENDLIMIT },
    };
    unsigned bit = 0;

    for (unsigned i = 0; i < sizeof items / sizeof *items; i++)
        if (slice_equal_nocase(name, slice_cstr(items[i].name)))
            bit = items[i].bit;
    switch ((enum imap_status_item)bit) {
    case IMAP_STATUS_MESSAGES:
        if (number > UINT32_MAX)
            return;
        status->messages = (uint32_t)number;
        break;
    case IMAP_STATUS_UIDNEXT:
    case IMAP_STATUS_UIDVALIDITY:
        if (number == 0 || number > UINT32_MAX) /* F20 */
            return;
        *(bit == IMAP_STATUS_UIDNEXT ? &status->uidnext : &status->uidvalidity) = (uint32_t)number;
        break;
    case IMAP_STATUS_HIGHESTMODSEQ:
        if (number == 0) /* F19 */
            return;
        status->highestmodseq = number;
        break;
    case IMAP_STATUS_SIZE:
        status->size_bytes = number;
        break;
    case IMAP_STATUS_APPENDLIMIT:
        status->appendlimit_bytes = number;
        break;
    default:
        return;
    }
    status->has |= bit;
}

bool list_status_parse(struct slice *name_r, struct imap_status *status_r, struct slice rest, struct buf *scratch)
{
    struct token t = token_of(rest), items;
    struct slice inside, name;
    struct token_string string;
    uint64_t number;
    bool known;

    *status_r = (struct imap_status){ .has = 0 };
    if ((token_peek(&t) == '"' || token_peek(&t) == '{') && token_string(&t, &string) && token_peek(&t) == '(') {
        *name_r = plain(&string, scratch);
    } else {
        /* F30: an unquoted name with spaces; the list is the last thing on the line, and may hold
         * others (MAILBOXID). */
        size_t open = rest.size;
        unsigned depth = 0;

        for (; open; open--) {
            depth += rest.data[open - 1] == ')';
            if (rest.data[open - 1] == '(' && (depth <= 1 || --depth == 0))
                break;
        }
        if (open == 0)
            return false;
        *name_r = slice_trim(slice_first(rest, open - 1));
        t = token_of(slice_from(rest, open - 1));
    }
    if (!token_list(&t, &inside))
        return false;
    items = token_of(inside);
    while (token_word(&items, &name)) {
        if (token_peek(&items) == '(') { /* MAILBOXID (F1) */
            if (!token_skip(&items))
                break;
            continue;
        }
        if (!token_number(&items, &number, &known))
            break;
        if (known)
            status_number(status_r, name, number);
    }
    return true;
}

bool list_namespace_each(struct slice rest,
                         void (*row)(void *context, unsigned kind, struct slice prefix, char delimiter), void *context)
{
    struct token t = token_of(rest);
    struct slice group, one;
    struct token_string string;

    for (unsigned kind = 0; kind < 3; kind++) {
        if (token_list(&t, &group)) {
            struct token g = token_of(group);

            while (token_list(&g, &one)) {
                struct token o = token_of(one);
                char prefix[1024], delimiter;
                size_t size;

                if (!token_string(&o, &string) || !delimiter_parse(&delimiter, &o))
                    return false;
                size = token_unescape(&string, prefix, sizeof prefix);
                row(context, kind, slice_of(prefix, size), delimiter);
            }
        } else if (!token_string(&t, &string) || string.kind != TOKEN_NIL) {
            return kind > 0; /* the shorter forms of old servers */
        }
    }
    return true;
}

bool list_quota_parse(struct imap_quota *quota_r, struct slice rest)
{
    struct token t = token_of(rest);
    struct token_string root;
    struct slice inside, word;

    *quota_r = (struct imap_quota){ 0 };
    if (!token_string(&t, &root) || !token_list(&t, &inside))
        return false;
    t = token_of(inside);
    while (!token_done(&t)) {
        uint64_t used, limit;
        bool known[2];

        if (!token_word(&t, &word) || !token_number(&t, &used, &known[0]) || !token_number(&t, &limit, &known[1]))
            return false;
        if (!known[0] || !known[1])
            continue;
        if (slice_equal_nocase(word, SLICE("MESSAGE"))) {
            quota_r->has |= IMAP_QUOTA_MESSAGES;
            quota_r->used_messages = used;
            quota_r->limit_messages = limit;
        } else if (slice_equal_nocase(word, SLICE("STORAGE"))) {
            /* Units of 1024 octets; a limit beyond all numbers is none. */
            if (limit > UINT64_MAX / 1024 || used > UINT64_MAX / 1024)
                continue;
            quota_r->has |= IMAP_QUOTA_STORAGE;
            quota_r->used_bytes = used * 1024;
            quota_r->limit_bytes = limit * 1024;
        }
    }
    return true;
}
