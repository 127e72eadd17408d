#include "engine/move/link_private.h"

#include "engine/imap/scram.h"
#include "io/base/log.h"
#include "io/base/mem.h"
#include "io/base/now.h"
#include "io/chore.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Notices of one connection that are told; of the rest only how many there were. */
#define NOTICES_MAX 20u
/* bandwidth-max does not make a connection wait for what is shorter. */
#define BANDWIDTH_SHORT_BYTES 2048u
#define LOGOUT_PATIENCE_MS    5000

static void remember(struct link *link, const struct err *err)
{
    if (!link->has_error) {
        link->error = *err;
        link->has_error = true;
    }
}

void link_end(struct link *link, const struct err *err)
{
    remember(link, err);
    if (!link->closing) {
        link->closing = true;
        stream_close(link->stream);
    }
}

static void hold(struct link *link, size_t bytes, bool *holds);

static void pump(struct link *link)
{
    if (link->pumping || link->closing)
        return;
    link->pumping = true;
    while (!link->closing && !link->holds_writing) {
        struct slice out = session_output(link->session);
        size_t taken;

        if (out.size == 0 || link->closing)
            break;
        out = slice_first(out, bandwidth_piece(link->config.bandwidth, now_ms()));
        taken = stream_write(link->stream, out);
        hold(link, taken, &link->holds_writing);
        session_output_taken(link->session, taken);
        if (taken && !link->ready && !link->asked_ns)
            link->asked_ns = now_ns();
        if (taken < out.size)
            break;
    }
    link->pumping = false;
}

/* Reading goes on where nobody asked for a pause. */
static void want_read(struct link *link)
{
    if (link->stream)
        stream_want_read(link->stream, !link->paused && !link->holds_reading);
}

bool link_is_held(const struct link *link)
{
    return link->holds_reading || link->holds_writing;
}

static void booked(void *context)
{
    struct link *link = context;

    link->holds_reading = link->holds_writing = false;
    if (link->closing)
        return;
    patience_renew(&link->patience, loop_now_ms(link->loop));
    want_read(link);
    pump(link);
}

/* After a great piece no other one of its kind follows before its turn. What is short only counts: an answer to what
 * was sent, or the command that asks for more. holds: of the link. */
static void hold(struct link *link, size_t bytes, bool *holds)
{
    uint32_t wait_ms = bandwidth_book(link->config.bandwidth, bytes, now_ns());

    if (wait_ms == 0 || bytes < BANDWIDTH_SHORT_BYTES || !link->ready)
        return;
    *holds = link->held = true;
    want_read(link);
    loop_timer_set(link->loop, &link->booked, wait_ms, booked, link);
}

static void output_ready(void *context)
{
    struct link *link = context;

    if (!link->feeding)
        pump(link);
}

static void start_tls(void *context)
{
    struct link *link = context;

    stream_start_tls(link->stream);
}

static void start_deflate(void *context)
{
    struct link *link = context;

    stream_start_deflate(link->stream);
}

static void session_ready(void *context)
{
    struct link *link = context;

    link->ready = true;
    imap_source_ready(&link->source);
    if (link->by_line)
        stream_by_line(link->stream, false);
    log_line(LOG_DEBUG, "link.ready", "%s caps=%s", link->label, session_caps(link->session)->text);
    link->events->ready(link->context);
}

static void session_failed(void *context, const struct err *err)
{
    struct link *link = context;

    /* Before anything else may use the link's config: what comes next is another way. */
    link->config.session.auth.tried = session_ways_tried(link->session);
    link->another_way = link->config.session.auth.tried != 0;
    link_end(link, err);
}

static void notice(void *context, struct slice text)
{
    struct link *link = context;

    if (++link->notices > NOTICES_MAX)
        return;
    log_line(LOG_INFO, "link.notice", "%s text=%.*s", link->label, (int)(text.size & 0xfff),
             text.data ? text.data : "");
    if (link->events->notice)
        link->events->notice(link->context, text);
}

static void slow_down(void *context)
{
    struct link *link = context;

    if (link->events->slow_down)
        link->events->slow_down(link->context);
}

static void hash(void *work)
{
    scram_work_run(work);
}

static void hashed(void *context, void *work)
{
    struct link *link = context;

    link->hashing = NULL;
    session_computed(link->session, work);
    pump(link);
}

static void drop_hash(void *context)
{
    struct scram_work *work = context;

    scram_work_destroy(&work);
}

static void compute(void *context, struct scram_work *work)
{
    static const struct chore_kind kind = { hash, hashed, drop_hash };
    struct link *link = context;

    link->hashing = chore_begin(link->loop, &kind, scram_work_rounds(work), work, link);
}

static const struct session_events session_events = {
    .ready = session_ready,
    .start_tls = start_tls,
    .start_deflate = start_deflate,
    .output_ready = output_ready,
    .failed = session_failed,
    .notice = notice,
    .slow_down = slow_down,
    .compute = compute,
};

static void stream_opened(void *context)
{
    struct link *link = context;
    struct ssl_st *ssl = stream_ssl(link->stream);

    link->open = true;
    patience_received(&link->patience, loop_now_ms(link->loop), 0);
    if (link->starttls && ssl)
        session_tls_started(link->session, ssl);
    else
        session_set_ssl(link->session, ssl);
    pump(link);
}

static void stream_received(void *context, struct slice bytes)
{
    struct link *link = context;

    patience_received(&link->patience, loop_now_ms(link->loop), bytes.size);
    link->heard = true;
    link_measure(link);
    link->feeding = true;
    session_feed(link->session, bytes);
    link->feeding = false;
    if (!link->closing)
        hold(link, bytes.size, &link->holds_reading);
    pump(link);
}

static void stream_writable(void *context)
{
    struct link *link = context;

    /* What goes out in great pieces is no wait for an answer. */
    patience_renew(&link->patience, loop_now_ms(link->loop));
    pump(link);
}

static void free_link(struct link *link)
{
    session_destroy(&link->session);
    free((char *)(uintptr_t)link->config.target.host);
    free((char *)(uintptr_t)link->config.session.auth.user);
    free((char *)(uintptr_t)link->config.session.auth.admin_user);
    free((char *)(uintptr_t)link->config.session.auth.login_form);
    free((char *)(uintptr_t)link->config.session.auth.host);
    free(link);
}

static void open_stream(struct link *link);

static void open_again(void *context)
{
    struct link *link = context;

    session_destroy(&link->session);
    link->closing = link->has_error = link->another_way = false;
    open_stream(link);
}

static void stream_closed(void *context, const struct err *err)
{
    struct link *link = context;
    struct stream_facts facts;

    stream_facts(link->stream, &facts);
    link->closing = true;
    patience_end(&link->patience);
    tls_probe_cancel(&link->tls_probe);
    chore_cancel(&link->hashing);
    if (link->another_way) {
        log_line(LOG_INFO, "link.another_way", "%s why=%s", link->label, link->error.server_text);
        loop_timer_clear(link->loop, &link->watch);
        link->stream = NULL;
        loop_timer_set(link->loop, &link->again, 0, open_again, link);
        return;
    }
    /* After our LOGOUT the server's end is the one asked for. */
    if (err && !link->finishing)
        remember(link, err);
    if (!link->has_error)
        err_set(&link->error, ERR_CLASS_CANCELED, ERR_SCOPE_SESSION, ERR_ORIGIN_OS, 0, "closed");
    loop_timer_clear(link->loop, &link->watch);
    loop_timer_clear(link->loop, &link->finish);
    loop_timer_clear(link->loop, &link->booked);
    session_explain(link->session, &link->error);
    session_abort(link->session, &link->error, facts.unsent);
    if (link->notices > NOTICES_MAX)
        log_line(LOG_INFO, "link.notices", "%s not_told=%u", link->label, link->notices - NOTICES_MAX);
    log_line(LOG_DEBUG, "link.closed", "%s why=%s", link->label, link->error.server_text);
    link->events->closed(link->context, &link->error, link->ready);
    free_link(link);
}

static const struct stream_events stream_events = {
    .opened = stream_opened,
    .received = stream_received,
    .writable = stream_writable,
    .closed = stream_closed,
};

static void open_stream(struct link *link)
{
    struct session_config session = link->config.session;

    link->starttls = link->config.target.security == STREAM_STARTTLS;
    session.tls = link->config.target.security == STREAM_TLS;
    session.starttls = link->starttls;
    link->session = session_create(&session, &session_events, link);
    imap_source_init(&link->source, link->session);
    patience_begin(&link->patience, link->config.crawl ? link->config.crawl : &link->crawl, loop_now_ms(link->loop));
    link->stall_ms = link->config.stall_ms;
    link->asked_ns = 0;
    link->open = link->heard = false;
    link->stream = stream_open(link->loop, &link->config.target, &stream_events, link);
    /* Compressed bytes may follow the OK to COMPRESS in the same packet. */
    link->by_line = session.compress;
    stream_by_line(link->stream, link->by_line);
    if (link->paused)
        stream_want_read(link->stream, false);
    loop_timer_set(link->loop, &link->watch, PATIENCE_LOOK_MS, link_watch, link);
}

static const char *copy_text(const char *text)
{
    return text ? mem_text(text) : NULL;
}

static void tree_ready(void *context)
{
    struct link *link = context;

    link->ready = true;
    link->events->ready(link->context);
}

static void tree_closed(void *context, const struct err *err, bool ready_before)
{
    struct link *link = context;

    link->events->closed(link->context, err, ready_before);
    free_link(link);
}

static const struct disk_events tree_events = { .ready = tree_ready, .closed = tree_closed };

struct link *link_open(struct loop *loop, const struct link_config *config, const struct link_events *events,
                       void *context)
{
    struct link *link = mem_zero(1, sizeof *link);
    struct auth_config *auth = &link->config.session.auth;

    link->loop = loop;
    link->events = events;
    link->context = context;
    snprintf(link->label, sizeof link->label, "%s", config->label);
    link->config = *config;
    link->config.label = link->label;
    link->config.target.host = copy_text(config->target.host);
    auth->user = copy_text(config->session.auth.user);
    auth->admin_user = copy_text(config->session.auth.admin_user);
    auth->login_form = copy_text(config->session.auth.login_form);
    auth->host = copy_text(config->session.auth.host);
    if (config->disk.pattern)
        link->disk = disk_open(loop, &config->disk, config->session.memory, &tree_events, link);
    else
        open_stream(link);
    return link;
}

struct source *link_source(struct link *link)
{
    return link->disk ? disk_source(link->disk) : &link->source.source;
}

bool link_was_greeted(const struct link *link)
{
    return link->disk || session_was_greeted(link->session);
}

struct session *link_session(struct link *link)
{
    return link->session;
}

bool link_is_ready(const struct link *link)
{
    if (link->disk)
        return disk_is_ready(link->disk);
    return link->ready && !link->closing && !session_is_over(link->session);
}

void link_facts(const struct link *link, struct stream_facts *facts_r)
{
    if (link->stream)
        stream_facts(link->stream, facts_r);
    else
        *facts_r = (struct stream_facts){ .address = "", .tls_version = "", .tls_cipher = "" };
}

uint32_t link_round_trip_us(const struct link *link)
{
    return link->round_trip_us;
}

struct ssl_st *link_ssl(struct link *link)
{
    return link->stream ? stream_ssl(link->stream) : NULL;
}

unsigned link_broken_ways(const struct link *link)
{
    return link->ready && !link->disk ? session_ways_tried(link->session) : 0;
}

static void closed_between(void *context)
{
    struct link *link = context;
    struct err err;

    err_set(&err, ERR_CLASS_CANCELED, ERR_SCOPE_SESSION, ERR_ORIGIN_OS, 0, "closed");
    link->events->closed(link->context, &err, false);
    free_link(link);
}

void link_close(struct link *link)
{
    if (link->disk) {
        disk_close(link->disk);
        return;
    }
    /* Between two connections there is no stream whose end would tell. */
    if (link->another_way) {
        link->another_way = link->has_error = false;
        if (!link->stream)
            loop_timer_set(link->loop, &link->again, 0, closed_between, link);
        return;
    }
    if (!link->closing) {
        link->closing = true;
        stream_close(link->stream);
    }
}

static void finish_late(void *context)
{
    link_close(context);
}

static void logged_out(void *context, const struct err *err)
{
    struct link *link = context;

    (void)err;
    /* Called from inside the session: end on a turn of its own. */
    if (!link->closing)
        loop_timer_set(link->loop, &link->finish, 0, finish_late, link);
}

void link_finish(struct link *link)
{
    if (link->disk) {
        disk_finish(link->disk);
        return;
    }
    if (link->closing || link->finishing)
        return;
    if (!link->ready) {
        link_close(link);
        return;
    }
    link->finishing = true;
    stream_keep_unsent(link->stream);
    loop_timer_set(link->loop, &link->finish, LOGOUT_PATIENCE_MS, finish_late, link);
    session_logout(link->session, logged_out, link);
}

void link_want_read(struct link *link, bool on)
{
    if (link->disk) {
        disk_want_read(link->disk, on);
        return;
    }
    link->paused = !on;
    patience_renew(&link->patience, loop_now_ms(link->loop));
    want_read(link);
}
