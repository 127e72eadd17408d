#include "engine/rehearsal/exo_imap.h"

#include <stdio.h>
#include <stdlib.h>

#define FLAGS_ALL "\\Seen \\Answered \\Flagged \\Deleted \\Draft $MDNSent"

static struct exo_session *session(struct exo_conn *c)
{
    return c->state;
}

/* SP name END; answers BAD otherwise. */
static bool name_only(struct exo_conn *c, struct exo_args *args, char *name)
{
    if (exo_arg_space(args) && exo_arg_string(args, name, EXO_NAME_MAX) && exo_arg_end(args))
        return true;
    exo_reply(c, "BAD Command Argument Error. 11");
    return false;
}

void exo_cmd_namespace(struct exo_conn *c, struct exo_args args)
{
    exo_conn_send(c, SLICE("* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n"));
    exo_reply(c, "OK NAMESPACE completed.");
}

/* '*' any, '%' any but '/'; names fold as Exchange's do. `budget` bounds what a hostile pattern
 * may cost. */
static bool matches(struct slice pattern, struct slice name, unsigned *budget)
{
    while (pattern.size) {
        char p = pattern.data[0];

        if (*budget == 0)
            return false;
        --*budget;
        if (p == '*' || p == '%') {
            pattern = slice_from(pattern, 1);
            for (size_t i = 0; i <= name.size; i++) {
                if (matches(pattern, slice_from(name, i), budget))
                    return true;
                if (p == '%' && i < name.size && name.data[i] == '/')
                    return false;
            }
            return false;
        }
        if (!name.size || !exo_name_equal(slice_first(pattern, 1), slice_first(name, 1)))
            return false;
        pattern = slice_from(pattern, 1);
        name = slice_from(name, 1);
    }
    return name.size == 0;
}

static bool has_children(const struct exo_mailbox *m, const struct exo_folder *parent)
{
    struct slice name = slice_cstr(parent->name);

    for (size_t i = 0; i < m->folder_count; i++) {
        struct slice other = slice_cstr(m->folders[i]->name);

        if (!m->folders[i]->dead && other.size > name.size + 1 && other.data[name.size] == '/' &&
            exo_name_equal(slice_first(other, name.size), name))
            return true;
    }
    return false;
}

static void name_send(struct exo_conn *c, const char *name)
{
    if (strpbrk(name, "\"\\"))
        exo_conn_format(c, "{%zu}\r\n%s", strlen(name), name);
    else if (strpbrk(name, " (){%*/&"))
        exo_conn_format(c, "\"%s\"", name);
    else
        exo_conn_format(c, "%s", name);
}

static void list(struct exo_conn *c, struct exo_args args, const char *verb, bool subscribed)
{
    struct exo_session *s = session(c);
    char reference[EXO_NAME_MAX], pattern[2 * EXO_NAME_MAX];
    struct exo_mailbox *m = s->mailbox;
    size_t n;

    if (!exo_arg_space(&args) || !exo_arg_string(&args, reference, sizeof reference) || !exo_arg_space(&args))
        goto bad;
    n = strlen(reference);
    memcpy(pattern, reference, n);
    if (!exo_arg_string(&args, pattern + n, EXO_NAME_MAX) || !exo_arg_end(&args))
        goto bad;
    if (!pattern[n] && !subscribed) {
        exo_conn_send(c, SLICE("* LIST (\\Noselect \\HasChildren) \"/\" \"\"\r\n"));
        exo_replyf(c, "OK %s completed.", verb);
        return;
    }
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->folder_count; i++) {
        const struct exo_folder *f = m->folders[i];
        unsigned budget = 100000;

        if (f->dead || (subscribed && !f->subscribed) || !matches(slice_cstr(pattern), slice_cstr(f->name), &budget))
            continue;
        exo_conn_format(c, "* %s (%s%s%s) \"/\" ", verb, has_children(m, f) ? "\\HasChildren" : "\\HasNoChildren",
                        f->special && c->worker->config.special_use ? " " : "",
                        f->special && c->worker->config.special_use ? f->special : "");
        name_send(c, f->name);
        exo_conn_send(c, SLICE("\r\n"));
    }
    pthread_mutex_unlock(&m->lock);
    exo_replyf(c, "OK %s completed.", verb);
    return;
bad:
    exo_reply(c, "BAD Command Argument Error. 11");
}

void exo_cmd_list(struct exo_conn *c, struct exo_args args)
{
    if (session(c)->lsub_refused)
        exo_reply(c, "NO [SERVERBUG] Internal server error");
    else
        list(c, args, "LIST", false);
}

void exo_cmd_lsub(struct exo_conn *c, struct exo_args args)
{
    if (session(c)->rev2) {
        session(c)->lsub_refused = true;
        exo_reply(c, "BAD Command Error. 10");
    } else {
        list(c, args, "LSUB", true);
    }
}

void exo_cmd_status(struct exo_conn *c, struct exo_args args)
{
    static const char items[6][12] = { "MESSAGES", "RECENT", "UIDNEXT", "UIDVALIDITY", "UNSEEN", "APPENDLIMIT" };
    const struct exo_config *config = &c->worker->config;
    size_t count = config->appendlimit == EXO_APPENDLIMIT_BARE ? 6 : 5;
    struct exo_mailbox *m = session(c)->mailbox;
    char name[EXO_NAME_MAX], text[256] = "";
    struct exo_folder *f;
    uint64_t values[6] = { 0 };
    size_t n = 0;

    if (!exo_arg_space(&args) || !exo_arg_string(&args, name, sizeof name) || !exo_arg_space(&args) ||
        !exo_arg_is(&args, '('))
        goto bad;
    pthread_mutex_lock(&m->lock);
    f = exo_folder_find(m, slice_cstr(name));
    if (f) {
        values[0] = f->count;
        values[2] = f->uidnext;
        values[3] = f->uidvalidity;
        for (size_t i = 0; i < f->count; i++)
            values[4] += !(f->messages[i]->flags & EXO_SEEN);
        values[5] = config->message_bytes_max;
    }
    pthread_mutex_unlock(&m->lock);
    while (!exo_arg_is(&args, ')')) {
        size_t i = 0;

        while (i < count && !exo_arg_word(&args, items[i]))
            i++;
        if (i == count || n > 200)
            goto bad;
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s %llu", n ? " " : "", items[i],
                              (unsigned long long)values[i]);
        (void)exo_arg_space(&args);
    }
    if (!exo_arg_end(&args))
        goto bad;
    if (!f) {
        exo_reply(c, "NO Mailbox doesn't exist.");
        return;
    }
    exo_conn_send(c, SLICE("* STATUS "));
    pthread_mutex_lock(&m->lock);
    name_send(c, f->name);
    pthread_mutex_unlock(&m->lock);
    exo_conn_format(c, " (%s)\r\n", text);
    exo_reply(c, "OK STATUS completed.");
    return;
bad:
    exo_reply(c, "BAD Command Argument Error. 11");
}

size_t exo_seen_count(struct exo_conn *c)
{
    struct exo_session *s = session(c);

    return c->worker->config.view == EXO_VIEW_LIVE ? s->folder->count : exo_folder_index(s->folder, s->seen_uidnext);
}

static void tell(struct exo_conn *c, bool news)
{
    struct exo_session *s = session(c);
    struct exo_folder *f = s->folder;
    uint32_t exists;

    if (!f)
        return;
    pthread_mutex_lock(&s->mailbox->lock);
    while (s->expunges_told < f->expunged_count && c->closing == EXO_OPEN) {
        uint32_t uid = f->expunged[s->expunges_told++];
        size_t number = exo_folder_index(f, uid) + 1;

        for (size_t i = s->expunges_told; i < f->expunged_count; i++)
            number += f->expunged[i] < uid;
        if (number > s->exists)
            continue; /* the client never heard of it */
        exo_conn_format(c, "* %zu EXPUNGE\r\n", number);
        s->exists--;
    }
    if (news || c->worker->config.view != EXO_VIEW_NOOP)
        s->seen_uidnext = f->uidnext;
    exists = (uint32_t)exo_seen_count(c);
    pthread_mutex_unlock(&s->mailbox->lock);
    if (exists != s->exists) {
        exo_conn_format(c, "* %u EXISTS\r\n* 0 RECENT\r\n", exists);
        s->exists = exists;
    }
}

void exo_tell_changes(struct exo_conn *c)
{
    tell(c, false);
}

void exo_tell_news(struct exo_conn *c)
{
    tell(c, true);
}

static void folder_open(struct exo_conn *c, struct exo_args args, bool read_only)
{
    struct exo_session *s = session(c);
    struct exo_mailbox *m = s->mailbox;
    char name[EXO_NAME_MAX];
    struct exo_folder *f;
    size_t unseen = 0;

    if (!name_only(c, &args, name))
        return;
    s->folder = NULL;
    /* Half of what a session asks that came too soon after others fails. */
    if (s->punished && s->selects++ % 2 == 0) {
        exo_reply(c, "BAD Command Error. 12");
        return;
    }
    for (const char *p = name; *p; p++) {
        if ((unsigned char)*p < ' ') {
            exo_reply(c, "BAD Command Argument Error. 11");
            return;
        }
    }
    pthread_mutex_lock(&m->lock);
    f = exo_folder_find(m, slice_cstr(name));
    if (f) {
        while (unseen < f->count && f->messages[unseen]->flags & EXO_SEEN)
            unseen++;
        exo_conn_format(c, "* %zu EXISTS\r\n* 0 RECENT\r\n* FLAGS (" FLAGS_ALL ")\r\n", f->count);
        exo_conn_format(c, "* OK [PERMANENTFLAGS (%s)] Permanent flags\r\n", read_only ? "" : FLAGS_ALL);
        if (unseen < f->count)
            exo_conn_format(c, "* OK [UNSEEN %zu] Is the first unseen message\r\n", unseen + 1);
        exo_conn_format(c,
                        "* OK [UIDVALIDITY %u] UIDVALIDITY value\r\n"
                        "* OK [UIDNEXT %u] The next unique identifier value\r\n",
                        f->uidvalidity, f->uidnext);
        s->folder = f;
        s->read_only = read_only;
        s->exists = (uint32_t)f->count;
        s->seen_uidnext = f->uidnext;
        s->expunges_told = f->expunged_count;
    }
    pthread_mutex_unlock(&m->lock);
    if (!f)
        exo_reply(c, "NO Mailbox doesn't exist.");
    else
        exo_reply(c, read_only ? "OK [READ-ONLY] EXAMINE completed." : "OK [READ-WRITE] SELECT completed.");
}

void exo_cmd_select(struct exo_conn *c, struct exo_args args)
{
    folder_open(c, args, false);
}

void exo_cmd_examine(struct exo_conn *c, struct exo_args args)
{
    folder_open(c, args, true);
}

static bool name_valid(struct slice name)
{
    if (!name.size || name.data[0] == '/' || slice_find_nocase(name, SLICE("//")) != SIZE_MAX)
        return false;
    for (size_t i = 0; i < name.size; i++)
        if ((unsigned char)name.data[i] < ' ' || (unsigned char)name.data[i] > '~' || name.data[i] == '*' ||
            name.data[i] == '%')
            return false;
    return true;
}

/* Why a folder of this name cannot be made, or NULL. Mailbox lock held. */
static const char *create_refusal(struct exo_mailbox *m, struct slice name)
{
    if (!name_valid(name))
        return "BAD Command Argument Error. 11";
    if (slice_equal_nocase(name, SLICE("Files")))
        return "NO Folder name is reserved";
    return exo_folder_find(m, name) ? "NO Mailbox already exists" : NULL;
}

void exo_cmd_create(struct exo_conn *c, struct exo_args args)
{
    struct exo_mailbox *m = session(c)->mailbox;
    char name[EXO_NAME_MAX];
    struct slice bare;
    const char *wrong;

    if (!name_only(c, &args, name))
        return;
    bare = slice_cstr(name);
    if (bare.size > 1 && bare.data[bare.size - 1] == '/')
        bare.size--;
    pthread_mutex_lock(&m->lock);
    wrong = create_refusal(m, bare);
    if (!wrong && !exo_folder_make(m, bare))
        wrong = "NO Server Unavailable. 15";
    pthread_mutex_unlock(&m->lock);
    exo_reply(c, wrong ? wrong : "OK CREATE completed.");
}

void exo_cmd_delete(struct exo_conn *c, struct exo_args args)
{
    struct exo_mailbox *m = session(c)->mailbox;
    char name[EXO_NAME_MAX];
    struct exo_folder *f;

    if (!name_only(c, &args, name))
        return;
    pthread_mutex_lock(&m->lock);
    f = exo_folder_find(m, slice_cstr(name));
    if (f && (f->special || f->not_mail || slice_equal_nocase(slice_cstr(name), SLICE("INBOX"))))
        f = NULL;
    if (f) {
        while (f->count)
            exo_folder_expunge(m, f, f->count - 1);
        f->dead = true;
        if (session(c)->folder == f)
            session(c)->folder = NULL;
    }
    pthread_mutex_unlock(&m->lock);
    exo_reply(c, f ? "OK DELETE completed." : "NO DELETE failed.");
}

void exo_cmd_rename(struct exo_conn *c, struct exo_args args)
{
    struct exo_mailbox *m = session(c)->mailbox;
    char from[EXO_NAME_MAX], to[EXO_NAME_MAX];
    const char *wrong;
    struct exo_folder *f;

    if (!exo_arg_space(&args) || !exo_arg_string(&args, from, sizeof from) || !name_only(c, &args, to)) {
        if (session(c)->cmd.size)
            exo_reply(c, "BAD Command Argument Error. 11");
        return;
    }
    pthread_mutex_lock(&m->lock);
    f = exo_folder_find(m, slice_cstr(from));
    wrong = create_refusal(m, slice_cstr(to));
    if (!wrong && (!f || f->special || f->not_mail || f == m->folders[0]))
        wrong = "NO RENAME failed.";
    for (size_t i = 0; !wrong && i < m->folder_count; i++) {
        struct slice name = slice_cstr(m->folders[i]->name);
        size_t n = strlen(from);
        char renamed[2 * EXO_NAME_MAX];

        if (m->folders[i] != f &&
            !(name.size > n && name.data[n] == '/' && exo_name_equal(slice_first(name, n), slice_cstr(from))))
            continue;
        snprintf(renamed, sizeof renamed, "%s%.*s", to, (int)(name.size - n), name.data + n);
        free(m->folders[i]->name);
        m->folders[i]->name = slice_dup(slice_cstr(renamed));
    }
    pthread_mutex_unlock(&m->lock);
    exo_reply(c, wrong ? wrong : "OK RENAME completed.");
}

static void subscribe(struct exo_conn *c, struct exo_args args, const char *verb, bool on)
{
    struct exo_mailbox *m = session(c)->mailbox;
    char name[EXO_NAME_MAX];
    struct exo_folder *f;

    if (!name_only(c, &args, name))
        return;
    pthread_mutex_lock(&m->lock);
    f = exo_folder_find(m, slice_cstr(name));
    if (f)
        f->subscribed = on;
    pthread_mutex_unlock(&m->lock);
    exo_replyf(c, f ? "OK %s completed." : "NO %s failed.", verb);
}

void exo_cmd_subscribe(struct exo_conn *c, struct exo_args args)
{
    subscribe(c, args, "SUBSCRIBE", true);
}

void exo_cmd_unsubscribe(struct exo_conn *c, struct exo_args args)
{
    subscribe(c, args, "UNSUBSCRIBE", false);
}
