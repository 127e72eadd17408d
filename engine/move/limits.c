#include "engine/move/limits.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define FIRST_WORD      "learnt1"
#define USER_FIRST_WORD "learnt-user1"
#define SIZE_FIRST_WORD "learnt-size1"
#define RATE_MAX        UINT64_C(1000000000000) /* thousandths */

const char *limits_server_of(const struct settings_endpoint *endpoint)
{
    return endpoint->oauth.tenant ? endpoint->oauth.tenant : endpoint->host ? endpoint->host : "";
}

const char *limits_name(const char *kind, const char *server, uint32_t id, char out[LIMITS_NAME_BYTES])
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    int used;

    for (; *server; server++) {
        unsigned char c = (unsigned char)*server;

        hash = (hash ^ (c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c)) * UINT64_C(1099511628211);
    }
    used = snprintf(out, LIMITS_NAME_BYTES, "%.16s.%016" PRIx64, kind, hash);
    if (id)
        snprintf(out + used, LIMITS_NAME_BYTES - (size_t)used, ".%" PRIu32, id);
    return out;
}

static int64_t past_zero(int64_t ms)
{
    return ms > 0 ? ms : 0;
}

static uint64_t thousandths(double rate)
{
    return isfinite(rate) && rate > 0 ? (uint64_t)fmin(round(rate * 1000), (double)RATE_MAX) : 0;
}

const char *limits_encode(const struct limits *l, char *out)
{
    snprintf(out, LIMITS_LINE_BYTES,
             FIRST_WORD " %" PRId64 " %" PRIu32 " %" PRId64 " %" PRIu64 " %u %" PRIu64 " %" PRIu64 " %" PRIu64
                        " %" PRId64 " %" PRIu64 " %s\n",
             past_zero(l->told_ms), l->connections, past_zero(l->connections_ms), l->throttle_replies,
             (unsigned)l->phase, thousandths(l->rate), thousandths(l->rate_hat), thousandths(l->measured),
             past_zero(l->gate_ms), l->cuts, l->server);
    return out;
}

const char *limits_user_encode(const struct limits_user *u, char *out)
{
    snprintf(out, LIMITS_LINE_BYTES, USER_FIRST_WORD " %" PRIu32 " %" PRId64 " %" PRId64 "\n", u->connections,
             past_zero(u->connections_ms), past_zero(u->hold_ms));
    return out;
}

const char *limits_size_encode(const struct limits_size *s, char *out)
{
    snprintf(out, LIMITS_LINE_BYTES, SIZE_FIRST_WORD " %" PRIu64 " %" PRId64 "\n", s->refused_bytes,
             past_zero(s->refused_ms));
    return out;
}

/* A line of the named kind: the first word, then `count` numbers up to their bounds. */
static bool numbers(struct slice *line, const char *first, const uint64_t *bounds, unsigned count, uint64_t *values_r)
{
    struct slice word;

    if (!slice_split(line, ' ', &word) || !slice_equal(word, slice_cstr(first)))
        return false;
    for (unsigned i = 0; i < count; i++)
        if (!slice_split(line, ' ', &word) || !slice_u64(word, &values_r[i]) || values_r[i] > bounds[i])
            return false;
    return true;
}

bool limits_decode(struct slice value, struct limits *learnt_r)
{
    static const uint64_t bounds[] = { INT64_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX, PACE_PHASE_COUNT - 1,
                                       RATE_MAX,  RATE_MAX,   RATE_MAX,  INT64_MAX,  UINT64_MAX };
    uint64_t v[sizeof bounds / sizeof *bounds];
    struct slice line;

    if (!slice_split(&value, '\n', &line) || !numbers(&line, FIRST_WORD, bounds, sizeof bounds / sizeof *bounds, v) ||
        line.size >= LIMITS_SERVER_BYTES)
        return false;
    *learnt_r = (struct limits){
        .told_ms = (int64_t)v[0],
        .connections = (uint32_t)v[1],
        .connections_ms = (int64_t)v[2],
        .throttle_replies = v[3],
        .phase = (enum pace_phase)v[4],
        .rate = (double)v[5] / 1000,
        .rate_hat = (double)v[6] / 1000,
        .measured = (double)v[7] / 1000,
        .gate_ms = (int64_t)v[8],
        .cuts = v[9],
    };
    memcpy(learnt_r->server, line.data, line.size);
    return true;
}

bool limits_user_decode(struct slice value, struct limits_user *user_r)
{
    static const uint64_t bounds[] = { UINT32_MAX, INT64_MAX, INT64_MAX };
    uint64_t v[sizeof bounds / sizeof *bounds];
    struct slice line;

    if (!slice_split(&value, '\n', &line) ||
        !numbers(&line, USER_FIRST_WORD, bounds, sizeof bounds / sizeof *bounds, v) || line.size)
        return false;
    *user_r = (struct limits_user){ (uint32_t)v[0], (int64_t)v[1], (int64_t)v[2] };
    return true;
}

bool limits_size_decode(struct slice value, struct limits_size *size_r)
{
    static const uint64_t bounds[] = { UINT64_MAX, INT64_MAX };
    uint64_t v[sizeof bounds / sizeof *bounds];
    struct slice line;

    if (!slice_split(&value, '\n', &line) ||
        !numbers(&line, SIZE_FIRST_WORD, bounds, sizeof bounds / sizeof *bounds, v) || line.size)
        return false;
    *size_r = (struct limits_size){ v[0], (int64_t)v[1] };
    return true;
}

bool limits_size_holds(const struct limits_size *size, int64_t wall_ms)
{
    return size->refused_bytes && wall_ms >= size->refused_ms && wall_ms - size->refused_ms < LIMITS_SIZE_OLD_MS;
}

uint32_t limits_connections(const struct limits *learnt, const char *server, uint32_t configured, int64_t wall_ms)
{
    if (learnt->connections == 0 || learnt->connections >= configured ||
        wall_ms - learnt->connections_ms > LIMITS_OLD_MS ||
        !slice_equal_nocase(slice_cstr(server), slice_cstr(learnt->server)))
        return configured;
    return learnt->connections;
}
