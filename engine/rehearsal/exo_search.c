#include "engine/rehearsal/exo_imap.h"

#include <stdlib.h>

#define KEYS_MAX 64

static struct exo_session *session(struct exo_conn *c)
{
    return c->state;
}

struct key {
    enum {
        KEY_ALL,
        KEY_SET,
        KEY_UID,
        KEY_FLAG,
        KEY_HEADER,
        KEY_LARGER,
        KEY_SMALLER,
        KEY_SINCE,
        KEY_BEFORE,
        KEY_ON
    } kind;
    bool negated;
    uint32_t flag;
    uint64_t number;
    int64_t day;
    struct exo_set set;
    char name[64], value[1024];
};

static bool flag_key(struct exo_args *a, struct key *k)
{
    static const struct {
        const char *yes, *no;
        uint32_t flag;
    } flags[] = { { "SEEN", "UNSEEN", EXO_SEEN },
                  { "ANSWERED", "UNANSWERED", EXO_ANSWERED },
                  { "FLAGGED", "UNFLAGGED", EXO_FLAGGED },
                  { "DELETED", "UNDELETED", EXO_DELETED },
                  { "DRAFT", "UNDRAFT", EXO_DRAFT } };

    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        bool no = exo_arg_word(a, flags[i].no);

        if (!no && !exo_arg_word(a, flags[i].yes))
            continue;
        k->kind = KEY_FLAG;
        k->flag = flags[i].flag;
        k->negated ^= no;
        return true;
    }
    return false;
}

static bool number_key(struct exo_args *a, struct key *k, int kind)
{
    struct slice atom;

    k->kind = kind;
    return exo_arg_space(a) && exo_arg_atom(a, &atom) && slice_u64(atom, &k->number);
}

static bool day_key(struct exo_args *a, struct key *k, int kind)
{
    char text[32];

    k->kind = kind;
    return exo_arg_space(a) && exo_arg_string(a, text, sizeof text) && exo_day_parse(slice_cstr(text), &k->day);
}

static bool key_parse(struct exo_args *a, struct key *k, uint32_t last, uint32_t last_uid)
{
    struct slice atom;

    if (exo_arg_word(a, "NOT")) {
        k->negated = true;
        if (!exo_arg_space(a))
            return false;
    }
    if (exo_arg_word(a, "ALL")) {
        k->kind = KEY_ALL;
        return true;
    }
    if (flag_key(a, k))
        return true;
    if (exo_arg_word(a, "HEADER")) {
        k->kind = KEY_HEADER;
        return exo_arg_space(a) && exo_arg_string(a, k->name, sizeof k->name) && exo_arg_space(a) &&
               exo_arg_string(a, k->value, sizeof k->value);
    }
    if (exo_arg_word(a, "LARGER"))
        return number_key(a, k, KEY_LARGER);
    if (exo_arg_word(a, "SMALLER"))
        return number_key(a, k, KEY_SMALLER);
    if (exo_arg_word(a, "SINCE"))
        return day_key(a, k, KEY_SINCE);
    if (exo_arg_word(a, "BEFORE"))
        return day_key(a, k, KEY_BEFORE);
    if (exo_arg_word(a, "ON"))
        return day_key(a, k, KEY_ON);
    k->kind = exo_arg_word(a, "UID") ? KEY_UID : KEY_SET;
    if (k->kind == KEY_UID && !exo_arg_space(a))
        return false;
    return exo_arg_atom(a, &atom) && exo_set_parse(atom, k->kind == KEY_UID ? last_uid : last, &k->set);
}

static bool header_has(const struct exo_message *m, const struct key *k)
{
    struct slice value = slice_equal_nocase(slice_cstr(k->name), SLICE("Message-ID"))
                             ? slice_of(m->text + m->id_at, m->id_bytes)
                             : exo_header_value(slice_of(m->text, m->header_bytes), k->name);

    return value.data && slice_find_nocase(value, slice_cstr(k->value)) != SIZE_MAX && (value.size || k->value[0]);
}

static bool key_holds(const struct key *k, const struct exo_message *m, uint32_t number)
{
    int64_t day = m->date - ((m->date % 86400) + 86400) % 86400;
    bool holds = false;

    switch (k->kind) {
    case KEY_ALL:
        holds = true;
        break;
    case KEY_SET:
        holds = exo_set_has(&k->set, number);
        break;
    case KEY_UID:
        holds = exo_set_has(&k->set, m->uid);
        break;
    case KEY_FLAG:
        holds = m->flags & k->flag;
        break;
    case KEY_HEADER:
        holds = header_has(m, k);
        break;
    case KEY_LARGER:
        holds = m->size > k->number;
        break;
    case KEY_SMALLER:
        holds = m->size < k->number;
        break;
    case KEY_SINCE:
        holds = day >= k->day;
        break;
    case KEY_BEFORE:
        holds = day < k->day;
        break;
    case KEY_ON:
        holds = day == k->day;
        break;
    }
    return holds != k->negated;
}

void exo_cmd_search(struct exo_conn *c, struct exo_args args, bool by_uid)
{
    struct exo_session *s = session(c);
    struct key *keys = calloc(KEYS_MAX, sizeof *keys);
    size_t count = 0;
    struct slice charset;
    uint32_t last, last_uid;
    size_t end;
    bool bad = !keys || !exo_arg_space(&args);

    pthread_mutex_lock(&s->mailbox->lock);
    last = (uint32_t)exo_seen_count(c);
    last_uid = last ? s->folder->messages[last - 1]->uid : 1;
    pthread_mutex_unlock(&s->mailbox->lock);
    if (!bad && exo_arg_word(&args, "CHARSET")) {
        bad = !exo_arg_space(&args) || !exo_arg_atom(&args, &charset) || !exo_arg_space(&args);
        if (!bad && !slice_equal_nocase(charset, SLICE("US-ASCII"))) {
            free(keys);
            exo_reply(c, "NO [BADCHARSET (US-ASCII)] The specified charset is not supported.");
            return;
        }
    }
    while (!bad) {
        bad = count == KEYS_MAX || !key_parse(&args, &keys[count], last ? last : 1, last_uid);
        count += !bad;
        if (!bad && !exo_arg_space(&args))
            break;
    }
    if (!bad && exo_arg_end(&args)) {
        exo_conn_send(c, SLICE("* SEARCH"));
        pthread_mutex_lock(&s->mailbox->lock);
        end = exo_seen_count(c);
        for (size_t i = 0; i < end; i++) {
            struct exo_message *m = s->folder->messages[i];
            bool holds = true;

            for (size_t k = 0; k < count && holds; k++)
                holds = key_holds(&keys[k], m, (uint32_t)(i + 1));
            if (holds)
                exo_conn_format(c, " %u", by_uid ? m->uid : (uint32_t)(i + 1));
        }
        pthread_mutex_unlock(&s->mailbox->lock);
        exo_conn_send(c, SLICE("\r\n"));
        if (by_uid)
            exo_tell_changes(c);
        exo_reply(c, "OK SEARCH completed.");
    } else {
        exo_reply(c, "BAD Command Argument Error. 11");
    }
    for (size_t k = 0; keys && k < KEYS_MAX; k++)
        exo_set_deinit(&keys[k].set);
    free(keys);
}
