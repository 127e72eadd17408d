#include "engine/rehearsal/exo_imap.h"

#include "io/base/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define BATCH_BYTES (128 * 1024) /* of answers before the socket has its turn */

enum item { ITEM_UID = 1, ITEM_FLAGS = 2, ITEM_DATE = 4, ITEM_SIZE = 8 };

static struct exo_session *session(struct exo_conn *c)
{
    return c->state;
}

static void exo_flags_format(uint32_t flags, char *out, size_t cap)
{
    snprintf(out, cap, "%s%s%s%s%s%s", flags & EXO_SEEN ? " \\Seen" : "", flags & EXO_ANSWERED ? " \\Answered" : "",
             flags & EXO_FLAGGED ? " \\Flagged" : "", flags & EXO_DELETED ? " \\Deleted" : "",
             flags & EXO_DRAFT ? " \\Draft" : "", flags & EXO_MDNSENT ? " $MDNSent" : "");
    if (out[0])
        memmove(out, out + 1, strlen(out));
}

/* ---- what reads back ---- */

static bool field_dropped(struct slice line)
{
    static const char *const names[] = { "Lines:", "Status:",         "X-Status:",
                                         "X-UID:", "Content-Length:", "X-Mozilla-Status:" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (slice_starts_nocase(line, slice_cstr(names[i])))
            return true;
    return false;
}

/* The header as the server shows it: as it came, or regenerated, which drops some fields, unfolds
 * blanks at line ends and adds Exchange's own. */
static void header_show(const struct exo_message *m, bool rewrite, struct buf *out)
{
    struct slice header = slice_of(m->text, m->header_bytes), line;
    bool dropping = false, ok = true;

    if (!m->header_bytes && m->id_bytes) {
        ok = buf_append_format(out, "Message-ID: %.*s\r\n\r\n", (int)m->id_bytes, m->text + m->id_at);
    } else if (!rewrite) {
        ok = buf_append(out, header);
    } else {
        ok = buf_append_format(out,
                               "Received: from mail.contoso.example by exo.contoso.example with "
                               "mapi id 15.20.8.%u\r\n",
                               m->uid);
        while (ok && slice_split(&header, '\n', &line)) {
            while (line.size && (line.data[line.size - 1] == '\r' || line.data[line.size - 1] == ' '))
                line.size--;
            if (!line.size)
                continue;
            if (line.data[0] != ' ' && line.data[0] != '\t')
                dropping = field_dropped(line);
            if (!dropping)
                ok = buf_append(out, line) && buf_append(out, SLICE("\r\n"));
        }
        ok = ok && buf_append_format(out,
                                     "X-MS-Exchange-Organization-AuthAs: Internal\r\n"
                                     "X-MS-TNEF-Correlator: %08x\r\n\r\n",
                                     m->uid * 2654435761u);
    }
    if (!ok)
        buf_clear(out);
}

static struct slice body_show(const struct exo_message *m, char *stand_in, size_t cap)
{
    if (m->text_bytes > m->header_bytes && m->header_bytes)
        return slice_of(m->text + m->header_bytes, m->text_bytes - m->header_bytes);
    if (m->header_bytes == m->size)
        return slice_of(NULL, 0);
    snprintf(stand_in, cap, "(%llu bytes came; the simulated server keeps their digest only)\r\n",
             (unsigned long long)m->size);
    return slice_cstr(stand_in);
}

/* Exchange's RFC822.SIZE is an estimate. */
static uint64_t size_show(const struct exo_message *m, bool rewrite)
{
    return rewrite ? m->size + m->size / 50 + 137 : m->size;
}

static bool field_wanted(struct slice line, struct slice names)
{
    size_t colon = slice_find(line, ':');
    struct slice name;

    if (colon == SIZE_MAX)
        return false;
    while (slice_split(&names, ' ', &name)) {
        if (name.size > 2 && name.data[0] == '"')
            name = slice_of(name.data + 1, name.size - 2);
        if (name.size && slice_equal_nocase(name, slice_trim(slice_first(line, colon))))
            return true;
    }
    return false;
}

static void fields_pick(struct slice header, struct slice names, bool negate, struct buf *out)
{
    struct slice line;
    bool take = false;

    while (slice_split(&header, '\n', &line)) {
        if (!line.size || slice_equal(line, SLICE("\r")))
            break;
        if (line.data[0] != ' ' && line.data[0] != '\t')
            take = field_wanted(line, names) != negate;
        if (take && (!buf_append(out, line) || !buf_append(out, SLICE("\n"))))
            break;
    }
    if (!buf_append(out, SLICE("\r\n")))
        buf_clear(out);
}

/* text: "", HEADER, TEXT, HEADER.FIELDS (..), HEADER.FIELDS.NOT (..), 1 (as TEXT). */
static void section_show(struct exo_conn *c, const struct exo_message *m, const struct exo_section *section)
{
    bool rewrite = c->worker->config.rewrite;
    struct slice spec = slice_cstr(section->text), bytes, body;
    struct buf header, picked;
    char stand_in[96];

    buf_init(&header, 2 * EXO_HEADER_MAX);
    buf_init(&picked, 2 * EXO_HEADER_MAX);
    header_show(m, rewrite, &header);
    body = body_show(m, stand_in, sizeof stand_in);
    bytes = buf_slice(&header);
    if (slice_starts_nocase(spec, SLICE("HEADER.FIELDS"))) {
        size_t open = slice_find(spec, '(');

        fields_pick(bytes, slice_of(spec.data + open + 1, spec.size - open - 2),
                    slice_starts_nocase(spec, SLICE("HEADER.FIELDS.NOT")), &picked);
        bytes = buf_slice(&picked);
    } else if (slice_equal_nocase(spec, SLICE("TEXT")) || slice_equal(spec, SLICE("1"))) {
        bytes = body;
    } else if (!spec.size) {
        if (section->partial) {
            /* Joined, so that a part may span both. */
            struct buf whole;

            buf_init(&whole, SIZE_MAX / 2);
            if (buf_append(&whole, bytes) && buf_append(&whole, body)) {
                struct slice all = slice_first(slice_from(buf_slice(&whole), section->from), section->bytes);

                exo_conn_format(c, " BODY[]<%llu> {%zu}\r\n", (unsigned long long)section->from, all.size);
                exo_conn_send(c, all);
            }
            buf_deinit(&whole);
        } else {
            exo_conn_format(c, " BODY[] {%zu}\r\n", bytes.size + body.size);
            exo_conn_send(c, bytes);
            exo_conn_send(c, body);
        }
        goto done;
    }
    if (section->partial) {
        bytes = slice_first(slice_from(bytes, section->from), section->bytes);
        exo_conn_format(c, " BODY[%s]<%llu> {%zu}\r\n", section->text, (unsigned long long)section->from, bytes.size);
    } else {
        exo_conn_format(c, " BODY[%s] {%zu}\r\n", section->text, bytes.size);
    }
    exo_conn_send(c, bytes);
done:
    buf_deinit(&header);
    buf_deinit(&picked);
}

/* ---- the command ---- */

static bool section_parse(struct exo_args *a, struct exo_section *section)
{
    size_t close = slice_find(a->rest, ']');
    struct slice text, partial;

    if (close == SIZE_MAX || close >= sizeof section->text)
        return false;
    text = slice_first(a->rest, close);
    if (memchr(text.data, '\0', text.size))
        return false;
    a->rest = slice_from(a->rest, close + 1);
    memcpy(section->text, text.data, text.size);
    section->text[text.size] = '\0';
    if (slice_starts_nocase(text, SLICE("HEADER.FIELDS"))) {
        size_t open = slice_find(text, '(');

        if (open == SIZE_MAX || text.data[text.size - 1] != ')')
            return false;
    } else if (text.size && !slice_equal_nocase(text, SLICE("HEADER")) && !slice_equal_nocase(text, SLICE("TEXT")) &&
               !slice_equal(text, SLICE("1"))) {
        return false;
    }
    if (!exo_arg_is(a, '<'))
        return true;
    close = slice_find(a->rest, '>');
    if (close == SIZE_MAX)
        return false;
    partial = slice_first(a->rest, close);
    a->rest = slice_from(a->rest, close + 1);
    section->partial = true;
    close = slice_find(partial, '.');
    return close != SIZE_MAX && slice_u64(slice_first(partial, close), &section->from) &&
           slice_u64(slice_from(partial, close + 1), &section->bytes) && section->bytes > 0;
}

static bool item_parse(struct exo_args *a, struct exo_fetch *f)
{
    struct slice rest = a->rest;
    size_t n = 0;

    while (n < rest.size && !strchr(" ()[", rest.data[n]))
        n++;
    rest = slice_first(rest, n);
    a->rest = slice_from(a->rest, n);
    if (slice_equal_nocase(rest, SLICE("UID")))
        f->items |= ITEM_UID;
    else if (slice_equal_nocase(rest, SLICE("FLAGS")))
        f->items |= ITEM_FLAGS;
    else if (slice_equal_nocase(rest, SLICE("INTERNALDATE")))
        f->items |= ITEM_DATE;
    else if (slice_equal_nocase(rest, SLICE("RFC822.SIZE")))
        f->items |= ITEM_SIZE;
    else if (slice_equal_nocase(rest, SLICE("FAST")))
        f->items |= ITEM_FLAGS | ITEM_DATE | ITEM_SIZE;
    else if (slice_equal_nocase(rest, SLICE("BODY")) || slice_equal_nocase(rest, SLICE("BODY.PEEK"))) {
        struct exo_section *section;

        if (f->section_count == 8 || !exo_arg_is(a, '['))
            return false;
        section = &f->sections[f->section_count++];
        section->peek = rest.size > 4;
        return section_parse(a, section);
    } else {
        return false;
    }
    return true;
}

static bool items_parse(struct exo_args *a, struct exo_fetch *f)
{
    if (!exo_arg_is(a, '('))
        return item_parse(a, f) && exo_arg_end(a);
    do {
        if (!item_parse(a, f))
            return false;
    } while (exo_arg_space(a));
    return exo_arg_is(a, ')') && exo_arg_end(a);
}

/* SP set; '*' is the last message. */
static bool set_take(struct exo_conn *c, struct exo_args *a, bool by_uid, struct exo_set *set_r)
{
    struct exo_session *s = session(c);
    struct slice text;
    uint32_t last;

    pthread_mutex_lock(&s->mailbox->lock);
    last = (uint32_t)exo_seen_count(c);
    if (by_uid && last)
        last = s->folder->messages[last - 1]->uid;
    pthread_mutex_unlock(&s->mailbox->lock);
    return exo_arg_space(a) && exo_arg_atom(a, &text) && exo_set_parse(text, last ? last : 1, set_r);
}

void exo_cmd_fetch(struct exo_conn *c, struct exo_args args, bool by_uid)
{
    struct exo_session *s = session(c);
    struct exo_fetch *f = mem_zero(1, sizeof *f);

    f->by_uid = by_uid;
    if (!set_take(c, &args, by_uid, &f->set) || !exo_arg_space(&args) || !items_parse(&args, f)) {
        exo_set_deinit(&f->set);
        free(f);
        exo_reply(c, "BAD Command Argument Error. 11");
        return;
    }
    if (by_uid)
        f->items |= ITEM_UID;
    s->fetch = f;
    s->state = EXO_STATE_FETCH;
}

static void message_answer(struct exo_conn *c, struct exo_message *m, size_t number)
{
    struct exo_session *s = session(c);
    const struct exo_fetch *f = s->fetch;
    uint32_t items = f->items;
    char text[256] = "", flags[96], date[32];
    size_t n;

    for (size_t i = 0; i < f->section_count; i++) {
        if (!f->sections[i].peek && !s->read_only && !(m->flags & EXO_SEEN)) {
            m->flags |= EXO_SEEN;
            items |= ITEM_FLAGS;
        }
    }
    if (items & ITEM_UID)
        snprintf(text, sizeof text, " UID %u", m->uid);
    n = strlen(text);
    if (items & ITEM_FLAGS) {
        exo_flags_format(m->flags, flags, sizeof flags);
        snprintf(text + n, sizeof text - n, " FLAGS (%s)", flags);
        n += strlen(text + n);
    }
    if (items & ITEM_DATE) {
        exo_date_format(m->date, date);
        snprintf(text + n, sizeof text - n, " INTERNALDATE %s", date);
        n += strlen(text + n);
    }
    if (items & ITEM_SIZE)
        snprintf(text + n, sizeof text - n, " RFC822.SIZE %llu",
                 (unsigned long long)size_show(m, c->worker->config.rewrite));
    exo_conn_format(c, "* %zu FETCH (%s", number, text[0] ? text + 1 : "");
    for (size_t i = 0; i < f->section_count; i++) {
        if (i == 0 && !text[0]) {
            /* Nothing stands before: the blank that each section brings is dropped. */
            size_t before = c->out.size;

            section_show(c, m, &f->sections[i]);
            if (c->out.size > before)
                memmove(c->out.data + c->out.head + before, c->out.data + c->out.head + before + 1,
                        c->out.size-- - before - 1);
        } else {
            section_show(c, m, &f->sections[i]);
        }
    }
    exo_conn_send(c, SLICE(")\r\n"));
}

bool exo_fetch_step(struct exo_conn *c)
{
    struct exo_session *s = session(c);
    struct exo_fetch *f = s->fetch;
    struct exo_folder *folder = s->folder;
    size_t i, end, steps = 0;
    bool more;

    pthread_mutex_lock(&s->mailbox->lock);
    end = exo_seen_count(c);
    i = exo_folder_index(folder, f->next_uid);
    for (; i < end && c->out.size < BATCH_BYTES && steps < 100000; i++, steps++) {
        struct exo_message *m = folder->messages[i];

        if (exo_set_has(&f->set, f->by_uid ? m->uid : (uint32_t)(i + 1)))
            message_answer(c, m, i + 1);
        f->next_uid = m->uid + 1;
    }
    more = i < end;
    pthread_mutex_unlock(&s->mailbox->lock);
    if (more)
        return c->out.size < BATCH_BYTES;
    more = f->by_uid;
    exo_fetch_gone(c);
    if (more)
        exo_tell_changes(c);
    exo_reply(c, "OK FETCH completed.");
    return true;
}

void exo_fetch_gone(struct exo_conn *c)
{
    struct exo_session *s = session(c);

    if (s->fetch)
        exo_set_deinit(&s->fetch->set);
    free(s->fetch);
    s->fetch = NULL;
}

/* ---- STORE, COPY, MOVE, EXPUNGE ---- */

void exo_cmd_store(struct exo_conn *c, struct exo_args args, bool by_uid)
{
    struct exo_session *s = session(c);
    struct exo_set set = { NULL, 0 };
    struct slice verb;
    bool silent, unknown, bad = true;
    uint32_t flags = 0;

    if (!set_take(c, &args, by_uid, &set) || !exo_arg_space(&args) || !exo_arg_atom(&args, &verb) ||
        !exo_arg_space(&args) || !exo_flags_parse(&args, &flags, &unknown) || unknown || s->read_only)
        goto done;
    silent = slice_find_nocase(verb, SLICE(".SILENT")) != SIZE_MAX;
    if (slice_find_nocase(verb, SLICE("FLAGS")) > 1)
        goto done;
    bad = false;
    pthread_mutex_lock(&s->mailbox->lock);
    for (size_t i = 0; i < s->folder->count; i++) {
        struct exo_message *m = s->folder->messages[i];
        char text[96];

        if (!exo_set_has(&set, by_uid ? m->uid : (uint32_t)(i + 1)))
            continue;
        m->flags = verb.data[0] == '+' ? m->flags | flags : verb.data[0] == '-' ? m->flags & ~flags : flags;
        if (silent)
            continue;
        exo_flags_format(m->flags, text, sizeof text);
        if (by_uid)
            exo_conn_format(c, "* %zu FETCH (UID %u FLAGS (%s))\r\n", i + 1, m->uid, text);
        else
            exo_conn_format(c, "* %zu FETCH (FLAGS (%s))\r\n", i + 1, text);
    }
    pthread_mutex_unlock(&s->mailbox->lock);
done:
    exo_set_deinit(&set);
    exo_reply(c, bad ? "BAD Command Argument Error. 11" : "OK STORE completed.");
}

void exo_expunge(struct exo_conn *c, const struct exo_set *set)
{
    struct exo_session *s = session(c);

    pthread_mutex_lock(&s->mailbox->lock);
    for (size_t i = s->folder->count; i-- > 0;) {
        struct exo_message *m = s->folder->messages[i];

        if (m->flags & EXO_DELETED && (!set || exo_set_has(set, m->uid)))
            exo_folder_expunge(s->mailbox, s->folder, i);
    }
    pthread_mutex_unlock(&s->mailbox->lock);
}

void exo_cmd_expunge(struct exo_conn *c, struct exo_args args, bool by_uid)
{
    struct exo_set set = { NULL, 0 };

    if (session(c)->read_only || (by_uid && !set_take(c, &args, true, &set))) {
        exo_reply(c, "BAD Command Argument Error. 11");
        return;
    }
    exo_expunge(c, by_uid ? &set : NULL);
    exo_set_deinit(&set);
    exo_tell_changes(c);
    exo_reply(c, "OK EXPUNGE completed.");
}

static struct exo_message *message_copy(const struct exo_message *m)
{
    struct exo_message *copy = mem_alloc(sizeof *copy);

    *copy = *m;
    copy->text = slice_dup(slice_of(m->text, m->text_bytes));
    return copy;
}

void exo_cmd_copy(struct exo_conn *c, struct exo_args args, bool by_uid, bool move)
{
    struct exo_session *s = session(c);
    struct exo_set set = { NULL, 0 };
    char name[EXO_NAME_MAX];
    struct exo_folder *to;

    if (!set_take(c, &args, by_uid, &set) || !exo_arg_space(&args) || !exo_arg_string(&args, name, sizeof name) ||
        !exo_arg_end(&args) || (move && s->read_only)) {
        exo_set_deinit(&set);
        exo_reply(c, "BAD Command Argument Error. 11");
        return;
    }
    pthread_mutex_lock(&s->mailbox->lock);
    to = exo_folder_find(s->mailbox, slice_cstr(name));
    if (to) {
        size_t count = s->folder->count;

        for (size_t i = 0; i < count; i++)
            if (exo_set_has(&set, by_uid ? s->folder->messages[i]->uid : (uint32_t)(i + 1)))
                exo_folder_add(s->mailbox, to, message_copy(s->folder->messages[i]));
        for (size_t i = count; move && i-- > 0;)
            if (exo_set_has(&set, by_uid ? s->folder->messages[i]->uid : (uint32_t)(i + 1)))
                exo_folder_expunge(s->mailbox, s->folder, i);
    }
    pthread_mutex_unlock(&s->mailbox->lock);
    exo_set_deinit(&set);
    if (to)
        exo_tell_changes(c);
    exo_reply(c, !to ? "NO Mailbox doesn't exist." : move ? "OK MOVE completed." : "OK COPY completed.");
}
