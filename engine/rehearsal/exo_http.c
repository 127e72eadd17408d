#include "engine/rehearsal/exo_http.h"

#include <stdio.h>
#include <time.h>

#define SILENCE_MS 60000

bool exo_http_take(struct exo_conn *c, struct exo_request *r, size_t *bytes_r)
{
    struct slice in = buf_slice(&c->in), head, line, target, length;
    size_t end = exo_header_end(in), question;
    uint64_t body = 0;

    if (end == SIZE_MAX) {
        if (in.size > EXO_HTTP_MAX)
            goto bad;
        return false;
    }
    head = slice_first(in, end);
    length = exo_header_value(head, "Content-Length");
    if (length.size && (!slice_u64(length, &body) || body > EXO_HTTP_MAX))
        goto bad;
    if (in.size - end < body)
        return false;
    if (!slice_split(&head, '\n', &line) || !slice_split(&line, ' ', &r->method) || !slice_split(&line, ' ', &target))
        goto bad;
    question = slice_find(target, '?');
    r->path = slice_first(target, question);
    r->query = question == SIZE_MAX ? slice_of(NULL, 0) : slice_from(target, question + 1);
    r->body = slice_of(in.data + end, body);
    *bytes_r = end + body;
    return true;
bad:
    exo_http_answer(c, 400, SLICE("{\"error\":\"bad request\"}"));
    c->closing = EXO_CLOSING;
    return false;
}

void exo_http_answer(struct exo_conn *c, unsigned status, struct slice body)
{
    char date[64];
    time_t now = time(NULL) + (time_t)c->worker->config.date_ahead_s;
    struct tm tm;

    gmtime_r(&now, &tm);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    exo_conn_format(c,
                    "HTTP/1.1 %u %s\r\nDate: %s\r\nContent-Type: application/json; charset=utf-8"
                    "\r\nCache-Control: no-store, no-cache\r\nContent-Length: %zu\r\n\r\n",
                    status, status == 200 ? "OK" : "Error", date, body.size);
    exo_conn_send(c, body);
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

bool exo_form_field(struct slice form, const char *name, char *out, size_t cap)
{
    struct slice pair;

    while (slice_split(&form, '&', &pair)) {
        size_t equals = slice_find(pair, '='), n = 0;

        if (equals == SIZE_MAX || !slice_equal(slice_first(pair, equals), slice_cstr(name)))
            continue;
        for (size_t i = equals + 1; i < pair.size; i++) {
            char byte = pair.data[i] == '+' ? ' ' : pair.data[i];

            if (byte == '%') {
                int high = i + 2 < pair.size ? hex_digit(pair.data[i + 1]) : -1;
                int low = high >= 0 ? hex_digit(pair.data[i + 2]) : -1;

                if (low < 0)
                    return false;
                byte = (char)(high * 16 + low);
                i += 2;
            }
            if (n + 1 >= cap || byte == '\0')
                return false;
            out[n++] = byte;
        }
        out[n] = '\0';
        return true;
    }
    return false;
}

void exo_http_opened(struct exo_conn *c)
{
}

uint64_t exo_http_deadline(const struct exo_conn *c)
{
    return c->closing == EXO_OPEN && c->wait == EXO_WAIT_NONE ? c->active_ms + SILENCE_MS : UINT64_MAX;
}

void exo_http_late(struct exo_conn *c, uint64_t now_ms)
{
    c->closing = EXO_CLOSING;
}

void exo_http_gone(struct exo_conn *c)
{
}
