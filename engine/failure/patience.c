#include "engine/failure/patience.h"

#include <errno.h>

/* A whole line may take this many times the longest silence. */
#define RESPONSE_PATIENCE 4u
/* And a command this many times, however much a server says in place of an answer ("* OK Still here"). */
#define ANSWER_PATIENCE 12u

void patience_begin(struct patience *p, struct crawl *crawl, uint64_t now_ms)
{
    *p = (struct patience){ .crawl = crawl, .seen.now_ms = now_ms };
    patience_renew(p, now_ms);
}

void patience_received(struct patience *p, uint64_t now_ms, uint64_t bytes)
{
    p->byte_ms = now_ms;
    p->received_bytes += bytes;
}

void patience_renew(struct patience *p, uint64_t now_ms)
{
    p->byte_ms = p->response_ms = p->use_ms = now_ms;
}

void patience_end(struct patience *p)
{
    if (p->silence_ms)
        crawl_again(p->crawl, p->silence_ms);
}

static uint64_t later(uint64_t then_ms, uint64_t now_ms, uint64_t slept_ms)
{
    return then_ms + (slept_ms < now_ms - then_ms ? slept_ms : now_ms - then_ms);
}

/* Returns how much of the time since the last look counts. */
static uint64_t leave_out_sleep(struct patience *p, uint64_t now_ms)
{
    uint64_t gone = now_ms - p->seen.now_ms, slept = gone > PATIENCE_LOOK_MS ? gone - PATIENCE_LOOK_MS : 0;

    p->byte_ms = later(p->byte_ms, now_ms, slept);
    p->response_ms = later(p->response_ms, now_ms, slept);
    p->use_ms = later(p->use_ms, now_ms, slept);
    return gone - slept;
}

/* What was under way at the last look still is: the rest of a response, or bytes of ours. */
static bool is_amid_the_same(const struct patience *p, const struct patience_view *view)
{
    uint64_t acknowledged = view->acknowledged_bytes - p->seen.acknowledged_bytes;

    return (p->seen.amid && view->amid && view->responses == p->seen.responses) || acknowledged < p->seen.unsent_bytes;
}

static void count(struct patience *p, const struct patience_view *view, uint64_t passed_ms)
{
    uint64_t acknowledged = view->acknowledged_bytes - p->seen.acknowledged_bytes;

    if (view->silence_ms == 0)
        patience_renew(p, view->now_ms);
    else
        p->silence_ms = view->silence_ms;
    crawl_pass(p->crawl, view->silence_ms && is_amid_the_same(p, view) ? passed_ms : 0,
               p->received_bytes + acknowledged);
    /* How long what is long may take is for the crawl to judge. */
    if (view->unsent_bytes && acknowledged)
        patience_renew(p, view->now_ms);
    if (view->responses != p->seen.responses || view->in_literal)
        p->response_ms = view->now_ms;
    if (view->uses != p->seen.uses)
        p->use_ms = view->now_ms;
    p->received_bytes = 0;
    p->seen = *view;
}

bool patience_look(struct patience *p, const struct patience_view *view, struct err *err_r)
{
    uint64_t now = view->now_ms, passed_ms = leave_out_sleep(p, now), silence = view->silence_ms;
    const char *what, *more = "";
    uint64_t ms;

    count(p, view, passed_ms);
    if (silence == 0)
        return false;
    if (now - p->byte_ms > silence) {
        what = "no byte from the server";
        ms = silence;
    } else if (crawl_is_over(p->crawl, view->silence_ms)) {
        what =
            view->unsent_bytes ? "the server takes fewer than 128 bytes/s" : "the server gives fewer than 128 bytes/s";
        ms = silence * CRAWL_PATIENCE;
    } else if (now - p->response_ms > silence * RESPONSE_PATIENCE) {
        what = "no whole answer from the server";
        ms = silence * RESPONSE_PATIENCE;
    } else if (now - p->use_ms > silence * ANSWER_PATIENCE) {
        what = "no answer from the server";
        more = ", whatever else it says";
        ms = silence * ANSWER_PATIENCE;
    } else {
        return false;
    }
    err_set(err_r, ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, ERR_ORIGIN_OS, ETIMEDOUT, "%s for %llu s%s", what,
            (unsigned long long)(ms / 1000), more);
    return true;
}
