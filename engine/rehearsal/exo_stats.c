#include "engine/rehearsal/exo_state.h"

#include "io/base/mem.h"

#include <jansson.h>

struct exo_second *exo_second_now(struct exo *exo, uint64_t now_ms)
{
    uint64_t at = now_ms > exo->started_ms ? (now_ms - exo->started_ms) / 1000 : 0;

    if (at >= EXO_SECONDS_MAX)
        at = EXO_SECONDS_MAX - 1;
    if (at >= exo->second_room) {
        size_t room = exo->second_room ? exo->second_room : 64;

        while (room <= at)
            room *= 2;
        exo->seconds = mem_resize(exo->seconds, room, sizeof *exo->seconds);
        exo->second_room = room;
    }
    while (exo->second_count <= at)
        exo->seconds[exo->second_count++] = (struct exo_second){ .connections = (uint32_t)exo->stats.connections };
    return &exo->seconds[at];
}

static struct exo_mailbox_stats mailbox_stats(struct exo_mailbox *m)
{
    struct exo_mailbox_stats s;
    uint64_t now_ms = exo_clock_ms();

    pthread_mutex_lock(&m->lock);
    s = (struct exo_mailbox_stats){
        .connections = m->connections,
        .connections_max = m->connections_max,
        .logins = m->logins,
        .appends = m->appends,
        .append_bytes = m->append_bytes,
        .messages = m->message_count,
        .throttled = m->throttled,
        .violations = m->violations,
        .cost = m->cost,
        .hint_left_ms = m->hint_until_ms > now_ms ? (int64_t)(m->hint_until_ms - now_ms) : 0,
    };
    pthread_mutex_unlock(&m->lock);
    return s;
}

bool exo_mailbox_stats(struct exo *exo, const char *address, struct exo_mailbox_stats *stats_r)
{
    struct exo_mailbox *m = exo_mailbox_find(exo, address);

    if (m)
        *stats_r = mailbox_stats(m);
    return m != NULL;
}

void exo_stats(struct exo *exo, struct exo_stats *stats_r)
{
    double sum = 0, squares = 0;
    uint64_t senders = 0, messages = 0, mailboxes = 0;

    pthread_mutex_lock(&exo->map_lock);
    for (struct exo_mailbox *m = exo->listed; m; m = m->next_listed) {
        struct exo_mailbox_stats s = mailbox_stats(m);

        mailboxes++;
        messages += s.messages;
        if (s.cost == 0 && s.throttled == 0)
            continue;
        senders++;
        sum += s.cost;
        squares += s.cost * s.cost;
    }
    pthread_mutex_unlock(&exo->map_lock);
    pthread_mutex_lock(&exo->lock);
    *stats_r = exo->stats;
    pthread_mutex_unlock(&exo->lock);
    stats_r->seconds = (double)(exo_clock_ms() - exo->started_ms) / 1000;
    stats_r->jain = squares > 0 ? sum * sum / ((double)senders * squares) : 1;
    stats_r->mailboxes = mailboxes;
    stats_r->messages = messages;
    stats_r->inflight_ms = atomic_load(&exo->inflight_ms);
}

#define NUMBER(name) json_object_set_new(o, #name, json_integer((json_int_t)s.name))
#define REAL(name)   json_object_set_new(o, #name, json_real(s.name))

static json_t *mailbox_row(struct exo_mailbox *m)
{
    struct exo_mailbox_stats s = mailbox_stats(m);
    json_t *o = json_object();

    json_object_set_new(o, "address", json_string_nocheck(m->address));
    NUMBER(connections), NUMBER(connections_max), NUMBER(logins), NUMBER(appends);
    NUMBER(append_bytes), NUMBER(messages), NUMBER(throttled), NUMBER(violations);
    NUMBER(hint_left_ms), REAL(cost);
    return o;
}

static json_t *totals(const struct exo_stats *stats)
{
    struct exo_stats s = *stats;
    json_t *o = json_object();

    REAL(seconds), REAL(cost), REAL(jain);
    NUMBER(connections), NUMBER(connections_max), NUMBER(connects), NUMBER(connects_per_s_max);
    NUMBER(logins), NUMBER(logins_refused), NUMBER(commands), NUMBER(appends);
    NUMBER(append_bytes), NUMBER(appends_per_s_max), NUMBER(inflight_max), NUMBER(inflight_ms);
    NUMBER(throttled);
    NUMBER(throttled_tenant), NUMBER(violations), NUMBER(violations_tenant), NUMBER(witnesses);
    NUMBER(errors);
    NUMBER(byes), NUMBER(faults), NUMBER(over_connections), NUMBER(punished);
    NUMBER(appends_not_mail), NUMBER(token_requests), NUMBER(tokens), NUMBER(tokens_refused), NUMBER(device_polls),
        NUMBER(device_polls_early);
    NUMBER(mailboxes), NUMBER(messages);
    return o;
}

char *exo_stats_json(struct exo *exo)
{
    struct exo_stats stats;
    json_t *root, *rows = json_array(), *seconds = json_array();
    char *text;

    exo_stats(exo, &stats);
    root = totals(&stats);
    pthread_mutex_lock(&exo->map_lock);
    for (struct exo_mailbox *m = exo->listed; m; m = m->next_listed)
        json_array_append_new(rows, mailbox_row(m));
    pthread_mutex_unlock(&exo->map_lock);
    pthread_mutex_lock(&exo->lock);
    for (size_t i = 0; i < exo->second_count; i++) {
        struct exo_second s = exo->seconds[i];
        json_t *o = json_object();

        NUMBER(appends), NUMBER(bytes), NUMBER(throttled), NUMBER(connects), NUMBER(connections);
        REAL(cost);
        json_array_append_new(seconds, o);
    }
    pthread_mutex_unlock(&exo->lock);
    json_object_set_new(root, "by_mailbox", rows);
    json_object_set_new(root, "by_second", seconds);
    text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    return text;
}

static bool message_row(void *context, const struct exo_message_view *v)
{
    json_t *o = json_object();
    char hex[65], id[512];

    exo_hex(v->sha256, 32, hex);
    err_printable(id, sizeof id, v->message_id.data, v->message_id.size);
    json_object_set_new(o, "folder", json_string_nocheck(v->folder));
    json_object_set_new(o, "uid", json_integer(v->uid));
    json_object_set_new(o, "uidvalidity", json_integer(v->uidvalidity));
    json_object_set_new(o, "flags", json_integer(v->flags));
    json_object_set_new(o, "date", json_integer(v->date));
    json_object_set_new(o, "sha256", json_string(hex));
    json_object_set_new(o, "size", json_integer((json_int_t)v->size));
    json_object_set_new(o, "message_id", json_string_nocheck(id));
    json_array_append_new(context, o);
    return true;
}

char *exo_messages_json(struct exo *exo, const char *address)
{
    json_t *rows = json_array(), *root;
    char *text = NULL;

    if (exo_mailbox_messages(exo, address, message_row, rows)) {
        root = json_pack("{s:O}", "messages", rows);
        text = json_dumps(root, JSON_COMPACT);
        json_decref(root);
    }
    json_decref(rows);
    return text;
}
