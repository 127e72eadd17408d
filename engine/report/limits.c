#include "engine/report/limits.h"

#include "engine/report/format.h"
#include "engine/report/merge.h"
#include "engine/report/report.h"
#include "engine/report/share.h"
#include "io/base/mem.h"
#include "io/base/now.h"

#include <stdarg.h>
#include <stdlib.h>

/* --- reading --- */

static bool user_line(struct report *r, const struct report_server *s, uint32_t id, struct report_mailbox *m,
                      struct err *err_r)
{
    struct limits_user line;
    struct slice value;
    char name[LIMITS_NAME_BYTES];

    limits_name(s->source ? LIMITS_USER_SOURCE : LIMITS_USER_TARGET, s->learnt.server, id, name);
    if (!spool_meta_get(r->spools[s->shard], name, &value, err_r))
        return false;
    if (limits_user_decode(value, &line)) {
        m->hold_ms = line.hold_ms;
        if (r->made_ms - line.connections_ms <= LIMITS_OLD_MS)
            m->connections = line.connections;
    }
    free((char *)value.data);
    return true;
}

static bool lane_line(struct report *r, const struct report_server *s, uint32_t id, struct report_mailbox *m,
                      struct err *err_r)
{
    struct pace_lane_saved lane;
    struct slice value;
    char name[LIMITS_NAME_BYTES];

    limits_name(LIMITS_PACE_LANE, s->learnt.server, id, name);
    if (!spool_meta_get(r->spools[s->shard], name, &value, err_r))
        return false;
    if (pace_lane_saved_decode((const uint8_t *)value.data, value.size, &lane)) {
        if (lane.hold_ms > m->hold_ms)
            m->hold_ms = lane.hold_ms;
        if (r->made_ms - lane.saved_ms <= PACE_RATE_OLD_MS) {
            m->rate = lane.rate;
            m->rate_hat = lane.rate_hat;
        }
        m->throttle_replies = lane.throttle_replies;
    }
    free((char *)value.data);
    return true;
}

static bool size_line(struct report *r, const struct report_server *s, uint32_t id, struct report_mailbox *m,
                      struct err *err_r)
{
    struct limits_size limit;
    struct slice value;
    char name[LIMITS_NAME_BYTES];

    limits_name(LIMITS_SIZE, s->learnt.server, id, name);
    if (!spool_meta_get(r->spools[s->shard], name, &value, err_r))
        return false;
    if (limits_size_decode(value, &limit) && limits_size_holds(&limit, r->made_ms)) {
        m->size_bytes = limit.refused_bytes;
        m->size_ms = limit.refused_ms;
    }
    free((char *)value.data);
    return true;
}

static bool load_mailboxes(struct report *r, unsigned server, struct err *err_r)
{
    struct report_limits *l = &r->learnt;
    struct report_server *s = &l->servers[server];

    for (unsigned i = 0; i < r->user_count; i++) {
        struct report_mailbox m = { .server = server, .user = i };

        if (r->users[i].shard != s->shard)
            continue;
        if (!user_line(r, s, r->users[i].id, &m, err_r) ||
            (!s->source &&
             (!lane_line(r, s, r->users[i].id, &m, err_r) || !size_line(r, s, r->users[i].id, &m, err_r))))
            return false;
        if (m.hold_ms <= r->made_ms)
            m.hold_ms = 0;
        if (m.connections == 0 && m.rate <= 0 && m.hold_ms == 0 && m.throttle_replies == 0 && m.size_bytes == 0)
            continue;
        l->mailboxes = mem_resize(l->mailboxes, l->mailbox_count + 1u, sizeof *l->mailboxes);
        l->mailboxes[l->mailbox_count++] = m;
        s->mailboxes += m.connections != 0 || m.rate > 0;
        if (m.size_bytes) {
            s->sized_bytes = s->sized && s->sized_bytes < m.size_bytes ? s->sized_bytes : m.size_bytes;
            s->sized++;
        }
    }
    return true;
}

static bool load_server(struct report *r, unsigned shard, bool source, struct err *err_r)
{
    struct report_limits *l = &r->learnt;
    struct report_server s = { .shard = shard, .source = source };
    struct slice value;
    bool good;

    if (!spool_meta_get(r->spools[shard], source ? LIMITS_SOURCE : LIMITS_TARGET, &value, err_r))
        return false;
    good = limits_decode(value, &s.learnt);
    free((char *)value.data);
    if (!good)
        return true;
    if (s.learnt.gate_ms <= r->made_ms)
        s.learnt.gate_ms = 0;
    if (r->made_ms - s.learnt.connections_ms > LIMITS_OLD_MS)
        s.learnt.connections = 0;
    /* What the next run will not begin with is not told either. */
    if (r->made_ms - s.learnt.told_ms > PACE_RATE_OLD_MS)
        s.learnt.rate = s.learnt.rate_hat = s.learnt.measured = 0;
    l->servers = mem_resize(l->servers, l->server_count + 1u, sizeof *l->servers);
    l->servers[l->server_count] = s;
    return load_mailboxes(r, l->server_count++, err_r);
}

bool report_limits_load(struct report *r, struct err *err_r)
{
    for (unsigned i = 0; i < r->shards; i++) {
        struct share *share = r->parts[i].given.share;

        if (share && report_merge_is_first(r, i))
            share_learnt(share, r, i);
        if (share || r->parts[i].left_out)
            continue;
        if (!load_server(r, i, true, err_r) || !load_server(r, i, false, err_r))
            return false;
    }
    return true;
}

void report_limits_deinit(struct report_limits *learnt)
{
    free(learnt->servers);
    free(learnt->mailboxes);
    *learnt = (struct report_limits){ .servers = NULL };
}

/* --- telling --- */

/* null stands for "none" and for "not known". */
static void real_or_null(struct emit *e, const char *name, double value)
{
    if (value > 0)
        emit_real(e, name, value);
    else
        emit_null(e, name);
}

static void number_or_null(struct emit *e, const char *name, uint64_t value)
{
    if (value)
        emit_number(e, name, value);
    else
        emit_null(e, name);
}

static void time_or_null(struct emit *e, const char *name, int64_t wall_ms)
{
    if (wall_ms > 0)
        emit_time(e, name, wall_ms);
    else
        emit_null(e, name);
}

static void mailbox(struct emit *e, const struct report *r, const struct report_mailbox *m)
{
    emit_object(e, NULL);
    emit_cstr(e, "address", r->users[m->user].address);
    real_or_null(e, "rate", m->rate);
    real_or_null(e, "rate_learnt", m->rate_hat);
    number_or_null(e, "connections", m->connections);
    time_or_null(e, "rests_until", m->hold_ms);
    emit_number(e, "throttled", m->throttle_replies);
    number_or_null(e, "refuses_bytes", m->size_bytes);
    time_or_null(e, "refuses_bytes_learnt", m->size_ms);
    emit_end_object(e);
}

static void server(struct emit *e, const struct report *r, unsigned index)
{
    const struct report_server *s = &r->learnt.servers[index];
    const struct limits *l = &s->learnt;

    emit_object(e, NULL);
    emit_cstr(e, "side", s->source ? "source" : "target");
    emit_cstr(e, "server", l->server);
    emit_time(e, "told", l->told_ms);
    number_or_null(e, "connections", l->connections);
    time_or_null(e, "connections_learnt", l->connections ? l->connections_ms : 0);
    emit_number(e, "throttled", l->throttle_replies);
    if (!s->source) {
        emit_cstr(e, "phase", pace_phase_name(l->phase));
        real_or_null(e, "rate", l->rate);
        real_or_null(e, "rate_learnt", l->rate_hat);
        real_or_null(e, "rate_measured", l->measured);
        time_or_null(e, "rests_until", l->gate_ms);
        emit_number(e, "tenant_cuts", l->cuts);
    }
    emit_array(e, "mailboxes");
    for (unsigned i = 0; i < r->learnt.mailbox_count; i++)
        if (r->learnt.mailboxes[i].server == index)
            mailbox(e, r, &r->learnt.mailboxes[i]);
    emit_end_array(e);
    emit_end_object(e);
}

void report_limits_emit(struct emit *e, const struct report *r)
{
    emit_array(e, "servers");
    for (unsigned i = 0; i < r->learnt.server_count; i++)
        server(e, r, i);
    emit_end_array(e);
}

bool report_limits_tells(const struct report_server *s)
{
    return s->mailboxes || s->sized || s->learnt.connections || s->learnt.throttle_replies ||
           (!s->source && s->learnt.rate > 0);
}

static void part(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void part(struct buf *b, const char *format, ...)
{
    char text[160];
    va_list args;
    bool whole;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    /* What does not fit is left out: the JSON has it. */
    whole = buf_append_format(b, "%s%s", b->size ? ", " : "", text);
    (void)whole;
}

static void rate(struct buf *b, const struct limits *l)
{
    if (l->phase == PACE_PHASE_OPEN || l->rate <= 0)
        part(b, "no limit met");
    else if (l->rate_hat > 0)
        part(b, "%.1f/s allowed, %.1f/s learnt", l->rate, l->rate_hat);
    else
        part(b, "%.1f/s allowed, no limit met", l->rate);
    if (l->measured > 0)
        part(b, "%.1f/s measured", l->measured);
}

const char *report_limits_line(const struct report_server *s, char *out, size_t cap)
{
    const struct limits *l = &s->learnt;
    char until[24];
    struct buf b;

    buf_init(&b, 4096);
    if (!s->source)
        rate(&b, l);
    if (l->connections)
        part(&b, "%s connection%s at most", format_count(l->connections).text, format_s(l->connections));
    if (l->throttle_replies)
        part(&b, "%s throttle answer%s", format_count(l->throttle_replies).text, format_s(l->throttle_replies));
    if (s->mailboxes)
        part(&b, "%s mailbox%s with a limit of %s own", format_count(s->mailboxes).text, s->mailboxes == 1 ? "" : "es",
             s->mailboxes == 1 ? "its" : "their");
    if (s->sized)
        part(&b, "%s mailbox%s refuse%s messages of %s and more (Set-Mailbox -MaxReceiveSize)",
             format_count(s->sized).text, s->sized == 1 ? "" : "es", s->sized == 1 ? "s" : "",
             format_bytes(s->sized_bytes).text);
    if (!s->source && l->gate_ms)
        part(&b, "rests until %s", now_rfc3339(l->gate_ms, until, sizeof until));
    if (b.size == 0)
        part(&b, "no limit met");
    err_printable(out, cap, buf_slice(&b).data, buf_slice(&b).size);
    buf_deinit(&b);
    return out;
}
