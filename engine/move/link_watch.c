/* How long a connection takes, and when it is waited for no longer. */
#include "engine/move/link_private.h"

#include "io/base/now.h"

/* A server that has not greeted by now may be waiting for TLS: that is found out. */
#define GREETING_MS 5000

void link_measure(struct link *link)
{
    uint64_t us = (now_ns() - link->asked_ns) / 1000;

    if (!link->asked_ns || link->ready)
        return;
    link->asked_ns = 0;
    if (us < UINT32_MAX && (link->round_trip_us == 0 || us < link->round_trip_us))
        link->round_trip_us = us ? (uint32_t)us : 1;
}

static void knocked(void *context, bool speaks_tls)
{
    struct link *link = context;
    struct err err;

    link->tls_probe = NULL;
    if (!speaks_tls || link->heard || link->closing)
        return;
    err_set(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_TLS, 0,
            "no greeting in plain text, but an answer in TLS: port %u wants imaps:// in the url (TLS from "
            "the first byte), not imap://",
            link->config.target.port);
    err_doing(&err, "waiting for the greeting of %s", link->config.target.host);
    link_end(link, &err);
}

/* Its certificate says nothing of a server that would not talk without TLS, so only who has a tls
 * for STARTTLS asks. */
static void maybe_tls_probe(struct link *link, uint64_t now)
{
    if (!link->starttls || link->heard || link->knocked || !link->open || link->closing ||
        now - link->patience.byte_ms < GREETING_MS)
        return;
    link->knocked = true;
    link->tls_probe = tls_probe_begin(link->loop, &link->config.target, knocked, link);
}

void link_watch(void *context)
{
    struct link *link = context;
    const struct session *session = link->session;
    struct patience_view view = { .now_ms = loop_now_ms(link->loop), .silence_ms = session_patience_ms(session) };
    struct err err;

    if (link->stall_ms && view.silence_ms > link->stall_ms)
        view.silence_ms = link->stall_ms;
    if (link->paused || link->held)
        view.silence_ms = 0;
    link->held = link_is_held(link);
    view.amid = session_amid_response(session, &view.in_literal);
    view.responses = session_responses(session);
    view.uses = session_uses(session);
    stream_sending(link->stream, &view.unsent_bytes, &view.acknowledged_bytes);
    if (patience_look(&link->patience, &view, &err)) {
        err_doing(&err, "waiting for %s", session_waiting_for(session));
        link_end(link, &err);
        return;
    }
    maybe_tls_probe(link, view.now_ms);
    loop_timer_set(link->loop, &link->watch, PATIENCE_LOOK_MS, link_watch, link);
}

uint64_t link_silent_ms(const struct link *link)
{
    uint64_t now = loop_now_ms(link->loop);

    if (link->disk || link->paused || link_is_held(link) || session_patience_ms(link->session) == 0 ||
        now < link->patience.byte_ms)
        return 0;
    return now - link->patience.byte_ms;
}
