#include "engine/rehearsal/exo_http.h"

#include <stdio.h>
#include <stdlib.h>

static void error(struct exo_conn *c, unsigned status, const char *text)
{
    char json[512];

    snprintf(json, sizeof json, "{\"error\":\"%.400s\"}", text);
    for (char *p = json + 10; *p && p[1] && p[2]; p++)
        if (*p == '"' || *p == '\\')
            *p = '\'';
    exo_http_answer(c, status, slice_cstr(json));
}

/* key=value, one a line; the first that fails ends it. */
static void set(struct exo_conn *c, struct slice body)
{
    struct slice line;
    struct err err;

    while (slice_split(&body, '\n', &line)) {
        size_t equals;
        char *key, *value;
        bool ok;

        line = slice_trim(line);
        equals = slice_find(line, '=');
        if (!line.size)
            continue;
        if (equals == SIZE_MAX) {
            error(c, 400, "a line without =");
            return;
        }
        key = slice_dup(slice_trim(slice_first(line, equals)));
        value = slice_dup(slice_trim(slice_from(line, equals + 1)));
        ok = exo_set(c->worker->exo, key, value, &err);
        free(key);
        free(value);
        if (!ok) {
            error(c, 400, err.server_text);
            return;
        }
    }
    exo_http_answer(c, 200, SLICE("{\"ok\":true}"));
}

static void answer(struct exo_conn *c, const struct exo_request *r)
{
    struct exo *exo = c->worker->exo;
    bool get = slice_equal(r->method, SLICE("GET"));
    char address[256], *json = NULL;
    bool named = exo_form_field(r->query, "mailbox", address, sizeof address);

    if (get && slice_equal(r->path, SLICE("/stats"))) {
        json = exo_stats_json(exo);
    } else if (get && slice_equal(r->path, SLICE("/messages")) && named) {
        json = exo_messages_json(exo, address);
    } else if (!get && slice_equal(r->path, SLICE("/set"))) {
        set(c, r->body);
        return;
    } else if (!get && slice_equal(r->path, SLICE("/revoke"))) {
        exo_revoke(exo, named ? address : NULL);
        exo_http_answer(c, 200, SLICE("{\"ok\":true}"));
        return;
    }
    if (json)
        exo_http_answer(c, 200, slice_cstr(json));
    else
        error(c, 404, "no such thing");
    free(json);
}

static bool control_input(struct exo_conn *c)
{
    struct exo_request request;
    size_t bytes;

    if (!exo_http_take(c, &request, &bytes))
        return c->closing != EXO_OPEN;
    answer(c, &request);
    buf_consume(&c->in, bytes);
    return true;
}

const struct exo_service exo_control_service = {
    .out_max = 1024u * 1024 * 1024,
    .opened = exo_http_opened,
    .input = control_input,
    .deadline = exo_http_deadline,
    .late = exo_http_late,
    .gone = exo_http_gone,
};
