#include "tests/dialogue/play.h"

#include "io/base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SHOWN_WHOLE 64u
#define SHOWN_PART  24u

static void event(struct play *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct buf *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add_list(struct buf *out, const char *format, va_list args)
{
    char *text = NULL;

    if (vasprintf(&text, format, args) < 0 || !buf_append(out, slice_cstr(text)))
        abort();
    free(text);
}

static void add(struct buf *out, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add_list(out, format, args);
    va_end(args);
}

static void event(struct play *p, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add_list(&p->events, format, args);
    va_end(args);
    add(&p->events, "\n");
}

void play_escape(struct buf *out, struct slice bytes)
{
    for (size_t i = 0; i < bytes.size; i++) {
        unsigned char c = (unsigned char)bytes.data[i];

        if (c == '\r')
            add(out, "\\r");
        else if (c == '\n')
            add(out, "\\n");
        else if (c == '\t')
            add(out, "\\t");
        else if (c == '\0')
            add(out, "\\0");
        else if (c == '\\')
            add(out, "\\\\");
        else if (c < 0x20 || c >= 0x7F)
            add(out, "\\x%02x", c);
        else
            add(out, "%c", c);
    }
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

void play_unescape(struct buf *out, const char *text)
{
    for (; *text; text++) {
        char c = *text;

        if (c == '\\' && text[1]) {
            text++;
            c = *text == 'r' ? '\r' : *text == 'n' ? '\n' : *text == 't' ? '\t' : *text == '0' ? '\0' : *text;
            if (*text == 'x' && hex(text[1]) >= 0 && hex(text[2]) >= 0) {
                c = (char)(hex(text[1]) * 16 + hex(text[2]));
                text += 2;
            }
        }
        if (!buf_append(out, slice_of(&c, 1)))
            abort();
    }
}

/* "text", escaped. */
static void quoted(struct buf *out, struct slice bytes)
{
    add(out, "\"");
    play_escape(out, bytes);
    add(out, "\"");
}

static void error(struct buf *out, const struct err *err)
{
    add(out, "%s %s %s", err_class_name(err->class), err_scope_name(err->scope), err_origin_name(err->origin));
    if (err->wait_ms)
        add(out, " wait %u", err->wait_ms);
    if (err->resp_code[0])
        add(out, " [%s]", err->resp_code);
    add(out, " %s", err->server_text);
}

/* ---- events of the session ---- */

static void ready(void *context)
{
    event(context, "ready");
}

static void start_tls(void *context)
{
    event(context, "start tls");
}

static void start_deflate(void *context)
{
    event(context, "start deflate");
}

static void output_ready(void *context)
{
    (void)context;
}

static void failed(void *context, const struct err *err)
{
    struct play *p = context;

    add(&p->events, "failed ");
    error(&p->events, err);
    add(&p->events, "\n");
    p->over = true;
}

static void notice(void *context, struct slice text)
{
    struct play *p = context;

    add(&p->events, "notice ");
    play_escape(&p->events, text);
    add(&p->events, "\n");
}

static void slow_down(void *context)
{
    event(context, "slow down");
}

static const struct session_events session_events = {
    .ready = ready,
    .start_tls = start_tls,
    .start_deflate = start_deflate,
    .output_ready = output_ready,
    .failed = failed,
    .notice = notice,
    .slow_down = slow_down,
};

/* ---- events of commands ---- */

static void body_shown(struct play_command *c, const char *how)
{
    struct play *p = c->play;
    struct slice body = buf_slice(&c->body);

    add(&p->events, "%s %u %zu bytes", how, c->uid, body.size);
    if (c->announced != body.size)
        add(&p->events, " of %llu", (unsigned long long)c->announced);
    if (c->origin)
        add(&p->events, " at %llu", (unsigned long long)c->origin);
    add(&p->events, " ");
    if (body.size <= SHOWN_WHOLE) {
        quoted(&p->events, body);
    } else {
        quoted(&p->events, slice_first(body, SHOWN_PART));
        add(&p->events, " .. ");
        quoted(&p->events, slice_from(body, body.size - SHOWN_PART));
    }
    add(&p->events, "\n");
    c->open = false;
    buf_clear(&c->body);
}

static void ended(void *context, const struct err *err)
{
    struct play_command *c = context;

    if (c->ended++)
        abort();
    if (c->open)
        body_shown(c, "unfinished");
    add(&c->play->events, "%s ", c->name);
    if (err)
        error(&c->play->events, err);
    else
        add(&c->play->events, "ok");
    add(&c->play->events, "\n");
}

static void namespace_row(void *context, const struct session_namespace *ns)
{
    static const char *const kinds[] = { "personal", "others", "shared" };
    struct play_command *c = context;
    struct buf *out = &c->play->events;

    add(out, "namespace %s ", kinds[ns->kind]);
    quoted(out, ns->prefix);
    if (ns->delimiter)
        add(out, " %c\n", ns->delimiter);
    else
        add(out, " NIL\n");
}

static void list_row(void *context, const struct imap_list_row *row)
{
    static const char *const names[] = {
        "noselect", "noinferiors", "subscribed", "nonexistent", "children", "nochildren", "",          "",     "all",
        "archive",  "drafts",      "flagged",    "junk",        "sent",     "trash",      "important", "inbox"
    };
    struct play_command *c = context;
    struct buf *out = &c->play->events;

    add(out, "folder ");
    quoted(out, row->name);
    if (row->delimiter)
        add(out, " %c", row->delimiter);
    else
        add(out, " NIL");
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (row->attributes & (1u << i))
            add(out, " %s", names[i]);
    add(out, "\n");
}

static void numbers(struct buf *out, const struct imap_status *status)
{
    if (status->has & IMAP_STATUS_MESSAGES)
        add(out, " messages %u", status->messages);
    if (status->has & IMAP_STATUS_UIDNEXT)
        add(out, " uidnext %u", status->uidnext);
    if (status->has & IMAP_STATUS_UIDVALIDITY)
        add(out, " uidvalidity %u", status->uidvalidity);
    if (status->has & IMAP_STATUS_HIGHESTMODSEQ)
        add(out, " modseq %llu", (unsigned long long)status->highestmodseq);
    if (status->has & IMAP_STATUS_SIZE)
        add(out, " size %llu", (unsigned long long)status->size_bytes);
    if (status->has & IMAP_STATUS_APPENDLIMIT)
        add(out, " appendlimit %llu", (unsigned long long)status->appendlimit_bytes);
}

static void list_status(void *context, struct slice name, const struct imap_status *status)
{
    struct play_command *c = context;

    add(&c->play->events, "status ");
    quoted(&c->play->events, name);
    numbers(&c->play->events, status);
    add(&c->play->events, "\n");
}

static void status_answer(void *context, const struct imap_status *status)
{
    struct play_command *c = context;

    add(&c->play->events, "status");
    numbers(&c->play->events, status);
    add(&c->play->events, "\n");
}

static void quota_answer(void *context, const struct imap_quota *quota)
{
    struct play_command *c = context;

    add(&c->play->events, "quota");
    if (quota->has & IMAP_QUOTA_STORAGE)
        add(&c->play->events, " bytes %llu of %llu", (unsigned long long)quota->used_bytes,
            (unsigned long long)quota->limit_bytes);
    if (quota->has & IMAP_QUOTA_MESSAGES)
        add(&c->play->events, " messages %llu of %llu", (unsigned long long)quota->used_messages,
            (unsigned long long)quota->limit_messages);
    add(&c->play->events, "\n");
}

static void flags(struct buf *out, const struct imap_flags *f)
{
    static const char *const names[] = {
        "\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft", "\\Recent", "\\*"
    };

    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (f->system & (1u << i))
            add(out, " %s", names[i]);
    if (f->keywords.size) {
        add(out, " ");
        play_escape(out, f->keywords);
    }
}

static void selected(void *context, const struct imap_selected *s)
{
    struct play_command *c = context;
    struct buf *out = &c->play->events;

    add(out, "selected");
    numbers(out, &s->status);
    if (s->read_only)
        add(out, " read-only");
    if (s->uid_not_sticky)
        add(out, " uid-not-sticky");
    if (s->permanent.system || s->permanent.keywords.size) {
        add(out, " permanent");
        flags(out, &s->permanent);
    }
    add(out, "\n");
}

static void message_row(void *context, const struct imap_message_row *row)
{
    struct play_command *c = context;
    struct buf *out = &c->play->events;

    add(out, "row %u", row->uid);
    if (row->has_flags) {
        add(out, " flags");
        flags(out, &row->flags);
    }
    if (row->date.known)
        add(out, " date %lld %+d", (long long)row->date.seconds, row->date.zone_minutes);
    if (row->has_size)
        add(out, " size %llu", (unsigned long long)row->size_bytes);
    if (row->gm_msgid)
        add(out, " gm %llu", (unsigned long long)row->gm_msgid);
    if (row->gm_labels.size) {
        add(out, " labels ");
        quoted(out, row->gm_labels);
    }
    if (row->email_id.size) {
        add(out, " emailid ");
        quoted(out, row->email_id);
    }
    if (row->header.size) {
        add(out, " header ");
        quoted(out, row->header);
    }
    add(out, "\n");
}

static void range(void *context, uint32_t first, uint32_t last)
{
    struct play_command *c = context;

    event(c->play, first == last ? "found %u" : "found %u:%u", first, last);
}

static void body_begin(void *context, uint32_t uid, uint64_t size_bytes, uint64_t origin)
{
    struct play_command *c = context;

    if (c->open)
        body_shown(c, "unfinished");
    buf_clear(&c->body);
    c->open = true;
    c->uid = uid;
    c->announced = size_bytes;
    c->origin = origin;
}

static void body_bytes(void *context, struct slice bytes)
{
    struct play_command *c = context;

    if (!c->open || !buf_append(&c->body, bytes))
        abort();
}

static void body_end(void *context, uint32_t uid, bool got_body, bool suspect)
{
    struct play_command *c = context;

    if (!got_body) {
        event(c->play, "no body %u", uid);
        return;
    }
    c->uid = uid;
    body_shown(c, suspect ? "suspect" : "body");
}

static const struct session_body_events body_events = { body_begin, body_bytes, body_end };

/* Item i is the letter 'a' + i, over and over. */
static size_t pull(void *context, unsigned item, char *out, size_t cap)
{
    struct play_command *c = context;
    size_t n = c->play->way == PLAY_BYTES ? 1 : cap;

    memset(out, 'a' + (int)item % 26, n);
    c->sizes[item] += n;
    return n;
}

static void uids(void *context, uint32_t uidvalidity, const uint32_t *all, unsigned count)
{
    struct play_command *c = context;

    add(&c->play->events, "uids %u", uidvalidity);
    for (unsigned i = 0; i < count; i++)
        add(&c->play->events, " %u", all[i]);
    add(&c->play->events, "\n");
}

static const struct session_append_events append_events = { pull, uids };

/* ---- life ---- */

void play_init(struct play *p, enum play_way way, unsigned seed)
{
    *p = (struct play){ .way = way, .random = seed * 2654435761u + 1 };
    buf_init(&p->pending, SIZE_MAX / 4);
    buf_init(&p->said, SIZE_MAX / 4);
    buf_init(&p->events, SIZE_MAX / 4);
    p->config.tls = true;
    snprintf(p->user, sizeof p->user, "anna");
    p->password = secret_create(SLICE("secret"));
    p->config.auth.host = "localhost";
    p->config.auth.port = 993;
}

void play_deinit(struct play *p)
{
    session_destroy(&p->session);
    for (unsigned i = 0; i < p->command_count; i++) {
        if (p->commands[i].ended != 1)
            abort();
        buf_deinit(&p->commands[i].body);
    }
    secret_destroy(&p->password);
    secret_destroy(&p->token);
    buf_deinit(&p->pending);
    buf_deinit(&p->said);
    buf_deinit(&p->events);
}

static void replace(struct secret **secret, const char *text)
{
    struct buf plain;

    secret_destroy(secret);
    buf_init(&plain, 4096);
    play_unescape(&plain, text);
    *secret = secret_create(buf_slice(&plain));
    buf_deinit(&plain);
}

static void unescape_into(char *out, size_t cap, const char *text)
{
    struct buf plain;

    buf_init(&plain, 4096);
    play_unescape(&plain, text);
    snprintf(out, cap, "%.*s", (int)plain.size, plain.size ? plain.data : "");
    buf_deinit(&plain);
}

bool play_config(struct play *p, const char *line)
{
    char word[32], value[200];
    int n = 0;

    if (sscanf(line, "%31s %199[^\n]%n", word, value, &n) < 1)
        return false;
    if (n == 0)
        value[0] = '\0';
    if (strcmp(word, "mailbox-worked") == 0)
        p->config.mailbox_worked = true;
    else if (strcmp(word, "exchange") == 0)
        p->config.exchange = true;
    else if (strcmp(word, "id") == 0)
        p->config.send_id = true;
    else if (strcmp(word, "compress") == 0)
        p->config.compress = true;
    else if (strcmp(word, "starttls") == 0)
        p->config.starttls = !(p->config.tls = false);
    else if (strcmp(word, "clear") == 0)
        p->config.tls = false;
    else if (strcmp(word, "plaintext") == 0)
        p->config.auth.plaintext_allowed = true;
    else if (strcmp(word, "mechanism") == 0)
        return auth_mechanism_parse(value, &p->config.auth.mechanism);
    else if (strcmp(word, "tried") == 0) {
        for (unsigned i = 1; i < AUTH_WAY_COUNT; i++)
            if (strcmp(auth_way_name((enum auth_way)i), value) == 0)
                p->config.auth.tried |= 1u << i;
    } else if (strcmp(word, "user") == 0)
        unescape_into(p->user, sizeof p->user, value);
    else if (strcmp(word, "password") == 0)
        replace(&p->password, value);
    else if (strcmp(word, "token") == 0)
        replace(&p->token, value);
    else if (strcmp(word, "admin") == 0)
        snprintf(p->admin, sizeof p->admin, "%s", value);
    else if (strcmp(word, "form") == 0)
        snprintf(p->form, sizeof p->form, "%s", value);
    else if (strcmp(word, "appends") == 0)
        p->config.append_inflight_max = (uint32_t)atoi(value);
    else
        return false;
    return true;
}

void play_begin(struct play *p, const char *capabilities)
{
    struct auth_config *auth = &p->config.auth;
    char *got;

    auth->user = p->user;
    auth->admin_user = p->admin[0] ? p->admin : NULL;
    auth->login_form = p->form[0] ? p->form : NULL;
    auth->password = p->token ? NULL : p->password;
    auth->token = p->token;
    if (capabilities)
        auth->mechanism = AUTH_EXTERNAL; /* PREAUTH is believed with a client certificate only */
    p->session = session_create(&p->config, &session_events, p);
    if (!capabilities)
        return;
    add(&p->pending, "* PREAUTH hello\r\n");
    play_feed(p);
    play_drain(p);
    if (!slice_equal(buf_slice(&p->said), SLICE("a1 CAPABILITY\r\n")))
        abort();
    buf_clear(&p->said);
    add(&p->pending, "* CAPABILITY %s\r\na1 OK\r\n", capabilities);
    play_feed(p);
    got = play_event(p);
    if (!got || strcmp(got, "ready") != 0 || p->events.size)
        abort();
    free(got);
}

static uint64_t random_below(struct play *p, uint64_t limit)
{
    p->random ^= p->random << 13;
    p->random ^= p->random >> 7;
    p->random ^= p->random << 17;
    return p->random % limit;
}

void play_feed(struct play *p)
{
    struct slice left;

    while ((left = buf_slice(&p->pending)).size) {
        size_t n = p->way == PLAY_BYTES ? 1 : p->way == PLAY_RANDOM ? 1 + random_below(p, 40) : 65536;
        char *copy;

        if (n > left.size)
            n = left.size;
        /* A copy of its own, so that a sanitizer sees every byte read too far. */
        copy = mem_alloc(n);
        memcpy(copy, left.data, n);
        buf_consume(&p->pending, n);
        if (!p->over)
            session_feed(p->session, slice_of(copy, n));
        free(copy);
    }
}

void play_drain(struct play *p)
{
    if (p->over)
        return;
    for (;;) {
        struct slice out = session_output(p->session);
        size_t n = out.size;

        if (n == 0 || p->over)
            break;
        if (p->way == PLAY_BYTES)
            n = 1;
        else if (p->way == PLAY_RANDOM)
            n = 1 + random_below(p, out.size);
        if (!buf_append(&p->said, slice_first(out, n)))
            abort();
        session_output_taken(p->session, n);
    }
}

char *play_event(struct play *p)
{
    struct slice all = buf_slice(&p->events);
    size_t end = slice_find(all, '\n');
    char *line;

    if (end == SIZE_MAX)
        return NULL;
    line = slice_dup(slice_first(all, end));
    buf_consume(&p->events, end + 1);
    return line;
}

bool play_look(struct play *p, const char *what, char *out, size_t cap)
{
    char word[64];

    if (strcmp(what, "damaged") == 0)
        snprintf(out, cap, "%u", session_damaged_count(p->session));
    else if (strcmp(what, "errors") == 0)
        snprintf(out, cap, "%u", session_error_count(p->session));
    else if (strcmp(what, "searched") == 0)
        snprintf(out, cap, "%s",
                 session_search_told(p->session) & SESSION_SEARCH_UNREAD     ? "unread"
                 : session_search_told(p->session) & SESSION_SEARCH_ANSWERED ? "well"
                                                                             : "silent");
    else if (strcmp(what, "inflight") == 0)
        snprintf(out, cap, "%u", session_inflight(p->session));
    else if (strcmp(what, "patience") == 0)
        snprintf(out, cap, "%u", session_patience_ms(p->session));
    else if (strcmp(what, "another-way") == 0)
        snprintf(out, cap, "%s", session_ways_tried(p->session) ? "yes" : "no");
    else if (strcmp(what, "waiting") == 0)
        snprintf(out, cap, "%s", session_waiting_for(p->session));
    else if (strcmp(what, "last-words") == 0) {
        struct err err = { .server_text = "" };

        session_explain(p->session, &err);
        snprintf(out, cap, "%s", err.server_text[0] ? err.server_text + 1 : "");
    } else if (strcmp(what, "server-id") == 0)
        snprintf(out, cap, "%s", session_server_id(p->session));
    else if (sscanf(what, "has %63s", word) == 1 || sscanf(what, "lacks %63s", word) == 1) {
        snprintf(out, cap, "no such capability");
        for (unsigned i = 0; i < CAP_COUNT; i++)
            if (strcmp(caps_name((enum cap)i), word) == 0)
                snprintf(out, cap, "%s", caps_has(session_caps(p->session), (enum cap)i) ? "has" : "lacks");
    } else {
        return false;
    }
    return true;
}

/* ---- commands ---- */

static void append(struct play_command *c, char *rest)
{
    struct session_append_item items[64] = { 0 };
    struct buf name, words;
    char *sizes = strsep(&rest, " "), *size;
    unsigned count = 0;

    buf_init(&name, 4096);
    buf_init(&words, 4096);
    if (rest && *rest == '"') {
        rest++;
        play_unescape(&name, strsep(&rest, "\""));
        if (rest && *rest == ' ')
            rest++;
    } else if (rest) {
        play_unescape(&name, strsep(&rest, " "));
    }
    while ((size = strsep(&sizes, ",")) && count < 64) {
        items[count].size_bytes = strtoull(size, NULL, 10);
        if (rest && *rest) {
            items[count].flags.system = strstr(rest, "\\Seen") ? IMAP_FLAG_SEEN : 0;
            if (rest[0] == '$' && words.size == 0)
                play_unescape(&words, rest);
            items[count].flags.keywords = buf_slice(&words);
        }
        count++;
    }
    session_append(c->play->session, buf_slice(&name), items, count, &append_events, ended, c);
    buf_deinit(&name);
    buf_deinit(&words);
}

static bool bodies(struct play_command *c, char *rest)
{
    static const struct {
        const char *name;
        enum session_body_form form;
    } forms[] = {
        { "bodies", SESSION_BODY_PEEK },     { "header", SESSION_BODY_HEADER },
        { "text", SESSION_BODY_TEXT },       { "rfc822-peek", SESSION_BODY_RFC822_PEEK },
        { "body", SESSION_BODY_UNPEEKED },   { "rfc822", SESSION_BODY_RFC822 },
        { "partial", SESSION_BODY_PARTIAL },
    };

    for (unsigned i = 0; i < sizeof forms / sizeof *forms; i++) {
        unsigned long long first = 0, count = 0;
        char *set = rest;

        if (strcmp(c->name, forms[i].name) != 0)
            continue;
        if (forms[i].form == SESSION_BODY_PARTIAL) {
            set = strsep(&rest, " ");
            if (!rest || sscanf(rest, "%llu %llu", &first, &count) != 2)
                return false;
        }
        session_fetch_bodies(c->play->session, slice_cstr(set), forms[i].form, first, count, &body_events, ended, c);
        return true;
    }
    return false;
}

static bool start(struct play_command *c, char *rest)
{
    struct session *s = c->play->session;
    const char *name = c->name;
    struct buf raw;
    struct slice r;
    bool known = true;

    buf_init(&raw, 65536);
    play_unescape(&raw, rest);
    r = buf_slice(&raw);
    if (strcmp(name, "namespaces") == 0)
        session_namespaces(s, namespace_row, ended, c);
    else if (strcmp(name, "list") == 0)
        session_list(s, SESSION_LIST_PLAIN, r, 0, list_row, NULL, ended, c);
    else if (strcmp(name, "list-extended") == 0)
        session_list(s, SESSION_LIST_EXTENDED, r, IMAP_STATUS_MESSAGES | IMAP_STATUS_SIZE, list_row, list_status, ended,
                     c);
    else if (strcmp(name, "xlist") == 0)
        session_list(s, SESSION_LIST_XLIST, r, 0, list_row, NULL, ended, c);
    else if (strcmp(name, "lsub") == 0)
        session_list(s, SESSION_LIST_LSUB, r, 0, list_row, NULL, ended, c);
    else if (strcmp(name, "status") == 0)
        session_status(s, r, IMAP_STATUS_MESSAGES | IMAP_STATUS_UIDNEXT, status_answer, ended, c);
    else if (strcmp(name, "quota") == 0)
        session_quota(s, r, quota_answer, ended, c);
    else if (strcmp(name, "examine") == 0 || strcmp(name, "select") == 0)
        session_select(s, r, name[0] == 'e', selected, ended, c);
    else if (strcmp(name, "unselect") == 0)
        session_unselect(s, ended, c);
    else if (strcmp(name, "rows") == 0) {
        char *set = strsep(&rest, " ");

        session_fetch_rows(s, slice_cstr(set), slice_cstr(rest ? rest : ""), message_row, ended, c);
    } else if (strcmp(name, "search") == 0)
        session_search(s, r, range, ended, c);
    else if (strcmp(name, "create") == 0)
        session_create_mailbox(s, r, ended, c);
    else if (strcmp(name, "subscribe") == 0)
        session_subscribe(s, r, ended, c);
    else if (strcmp(name, "store") == 0) {
        char *set = strsep(&rest, " ");

        session_store_flags(s, slice_cstr(set), slice_cstr(rest ? rest : ""), ended, c);
    } else if (strcmp(name, "unstore") == 0) {
        char *set = strsep(&rest, " ");

        session_clear_flags(s, slice_cstr(set), slice_cstr(rest ? rest : ""), ended, c);
    } else if (strcmp(name, "expunge") == 0)
        session_expunge(s, r, ended, c);
    else if (strcmp(name, "noop") == 0)
        session_noop(s, ended, c);
    else if (strcmp(name, "append") == 0)
        append(c, rest);
    else if (strcmp(name, "logout") == 0)
        session_logout(s, ended, c);
    else
        known = bodies(c, rest);
    buf_deinit(&raw);
    return known;
}

bool play_do(struct play *p, const char *line)
{
    char copy[4096], *rest = copy, *name;
    struct play_command *c;
    struct err err;

    if (snprintf(copy, sizeof copy, "%s", line) >= (int)sizeof copy)
        return false;
    name = strsep(&rest, " ");
    if (strcmp(name, "tls") == 0) {
        session_tls_started(p->session, NULL);
        return true;
    }
    if (strcmp(name, "lost") == 0 || strcmp(name, "stall") == 0) {
        err_set(&err, ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, ERR_ORIGIN_OS, 0,
                name[0] == 'l' ? "connection lost" : "no byte came");
        session_abort(p->session, &err, false);
        p->over = true;
        return true;
    }
    if (p->command_count == PLAY_COMMANDS_MAX)
        return false;
    c = &p->commands[p->command_count++];
    c->play = p;
    snprintf(c->name, sizeof c->name, "%s", name);
    buf_init(&c->body, SIZE_MAX / 4);
    return start(c, rest ? rest : copy + strlen(copy));
}

static const struct {
    char letter;
    const char *line;
} letters[] = {
    { 'n', "namespaces" },
    { 'l', "list *" },
    { 'L', "list-extended *" },
    { 'x', "xlist *" },
    { 'u', "lsub *" },
    { 's', "status INBOX" },
    { 'k', "quota INBOX" },
    { 'e', "examine INBOX" },
    { 'E', "select Entw\\xc3\\xbcrfe" },
    { 'r', "rows 1:9" },
    { 'h', "rows 1:* SUBJECT" },
    { 'f', "search ALL" },
    { 'b', "bodies 5:7" },
    { 'p', "partial 5 4 4" },
    { 'H', "header 5" },
    { 't', "text 5" },
    { 'q', "rfc822-peek 5" },
    { 'B', "body 5" },
    { 'R', "rfc822 5" },
    { 'c', "create A" },
    { 'C', "subscribe A" },
    { 'F', "store 5 \\Seen" },
    { 'N', "noop" },
    { 'a', "append 5 INBOX" },
    { 'o', "logout" },
    { 'U', "unselect" },
    { 'T', "tls" },
    { 'z', "lost" },
};

bool play_do_letter(struct play *p, char letter)
{
    for (unsigned i = 0; i < sizeof letters / sizeof *letters; i++)
        if (letters[i].letter == letter)
            return play_do(p, letters[i].line);
    return false;
}

char play_letter(const char *line)
{
    size_t size = strcspn(line, " ");

    for (unsigned i = 0; i < sizeof letters / sizeof *letters; i++)
        if (strncmp(letters[i].line, line, size) == 0 && strcspn(letters[i].line, " ") == size)
            return letters[i].letter;
    return ' ';
}
