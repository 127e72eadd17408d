#include "engine/inspect/probe.h"

#include "engine/failure/advice.h"
#include "engine/folders/names.h"
#include "engine/move/login.h"
#include "engine/move/tokens.h"
#include "engine/oauth/diagnose.h"
#include "io/base/mem.h"
#include "io/base/now.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define EXPIRY_WARNING_S (21 * 86400)
#define TOKEN_LOOK_MS    100u
#define WAIT_TELL_MS     3000u /* so long a wait is told */
/* A token server that does not answer is told of after this; a run would be more patient. */
#define TOKEN_PATIENCE_MS 15000u

/* In the order of a good connection. */
enum at {
    AT_DNS,
    AT_TCP,
    AT_PROXY,
    AT_TLS,
    AT_GREETING,
    AT_CAPABILITY,
    AT_TOKEN,
    AT_LOGIN,
    AT_NAMESPACE,
    AT_LIST,
    AT_SELECT
};
static const char *const names[] = { "dns",   "tcp",   "proxy",     "tls",  "greeting", "capability",
                                     "token", "login", "namespace", "list", "select" };

struct probe {
    struct reactor *reactor;
    struct link *link;
    const struct settings_endpoint *endpoint;
    const struct settings_user *row;
    struct secret *token;
    struct oauth_claims claims;
    bool token_refused;
    struct err token_err;
    double token_ms;
    struct loop_timer look;  /* whether the token is there */
    struct loop_timer still; /* a wait that is long enough to be told */
    enum side of_reactor;
    enum failure_side side;
    const struct probe_events *events;
    void *context;
    char user[256];
    enum at at;        /* the step that is being taken */
    uint64_t began_ns; /* of that step */
    struct folder_list folder_list;
    char prefix[128];
    char delimiter;
    uint32_t inbox_messages;
    bool failed, told_connection;
};

static void tell(struct probe *p, enum at at, double ms, const char *detail)
{
    struct probe_step step = { .step = names[at], .ok = true, .ms = ms };

    snprintf(step.detail, sizeof step.detail, "%s", detail);
    p->events->step(p->context, &step);
}

static void still_waiting(void *context);

static double lap_ms(struct probe *p)
{
    uint64_t now = now_ns();
    double ms = (double)(now - p->began_ns) / 1e6;

    p->began_ns = now;
    if (p->events->waits)
        loop_timer_set(p->reactor->loop, &p->still, WAIT_TELL_MS, still_waiting, p);
    return ms;
}

static void tell_tls(struct probe *p, const struct stream_facts *facts)
{
    struct tls_certificate c;
    char detail[480], day[32] = "";
    struct ssl_st *ssl = link_ssl(p->link);

    if (p->endpoint->tls.mode == SETTINGS_TLS_NONE) {
        tell(p, AT_TLS, 0, "none: passwords and mail cross the network in clear");
        return;
    }
    if (!ssl || !tls_peer_certificate(ssl, &c)) {
        tell(p, AT_TLS, facts->tls_ms, facts->tls_version);
        return;
    }
    now_rfc3339(c.not_after * 1000, day, sizeof day);
    snprintf(detail, sizeof detail, "%s %s, certificate of %.100s, expires %.10s%s, sha256 %.64s", facts->tls_version,
             facts->tls_cipher, c.names[0] ? c.names : c.subject, day,
             c.not_after - time(NULL) < EXPIRY_WARNING_S ? " (soon)" : "", c.sha256);
    tell(p, AT_TLS, facts->tls_ms, detail);
}

static bool with_proxy(const struct probe *p)
{
    return p->endpoint->proxy.kind != PROXY_NONE;
}

static const char *proxy_kind(const struct probe *p)
{
    return p->endpoint->proxy.kind == PROXY_SOCKS5 ? "SOCKS 5" : "HTTP";
}

static void tell_proxy(struct probe *p, const struct stream_facts *facts)
{
    const struct proxy_way *way = &p->endpoint->proxy;
    char detail[480];

    snprintf(detail, sizeof detail, "the %s proxy %.150s:%u opened the way to %.150s:%u", proxy_kind(p), way->host,
             way->port, p->endpoint->host, p->endpoint->port);
    tell(p, AT_PROXY, facts->proxy_ms, detail);
}

/* By what its answer meant. */
static void diagnose_proxy(const struct probe *p, const struct err *err, struct diagnosis *d_r)
{
    const struct proxy_way *way = &p->endpoint->proxy;

    *d_r = (struct diagnosis){ .type = "ConnectFailed" };
    snprintf(d_r->cause, sizeof d_r->cause, "The %s proxy %.150s:%u did not open the way to %.150s:%u.", proxy_kind(p),
             way->host, way->port, p->endpoint->host, p->endpoint->port);
    if (err->code == EACCES)
        snprintf(
            d_r->remedy, sizeof d_r->remedy,
            "Write its user and password before the host: proxy = %s://USER:PASSWORD@%.150s:%u (an @ in them is %%40).",
            way->kind == PROXY_SOCKS5 ? "socks5" : "http", way->host, way->port);
    else if (err->code == EPERM)
        snprintf(d_r->remedy, sizeof d_r->remedy,
                 "Check that the proxy allows connections to %.150s port %u; many allow port 443 alone.",
                 p->endpoint->host, p->endpoint->port);
    else if (err->code == EPROTO)
        snprintf(d_r->remedy, sizeof d_r->remedy,
                 "Check the port and the kind of the proxy: socks5:// or http:// under proxy.");
    else
        snprintf(d_r->remedy, sizeof d_r->remedy,
                 "Check that %.150s:%u is right and can be reached from the proxy; run again when the proxy or the "
                 "server was down.",
                 p->endpoint->host, p->endpoint->port);
}

/* What is known of the connection up to the step that stands or failed. */
static void tell_connection(struct probe *p, enum at until)
{
    struct stream_facts facts;
    struct session *session = link_session(p->link);
    char detail[480];

    if (p->told_connection || !session)
        return;
    p->told_connection = true;
    link_facts(p->link, &facts);
    if (until > AT_DNS)
        tell(p, AT_DNS, facts.dns_ms, with_proxy(p) ? p->endpoint->proxy.host : p->endpoint->host);
    if (until > AT_TCP)
        tell(p, AT_TCP, facts.tcp_ms, facts.address);
    if (until > AT_PROXY && with_proxy(p))
        tell_proxy(p, &facts);
    if (until > AT_TLS)
        tell_tls(p, &facts);
    if (until > AT_GREETING)
        tell(p, AT_GREETING, 0, session_greeting(session));
    if (until > AT_CAPABILITY) {
        const char *all = session_caps(session)->text;
        size_t size = strlen(all) < sizeof detail - 5 ? strlen(all) : sizeof detail - 5;

        /* Whole words. */
        while (all[size] && size > 0 && all[size] != ' ')
            size--;
        snprintf(detail, sizeof detail, "%.*s%s", (int)size, all, all[size] ? " ..." : "");
        tell(p, AT_CAPABILITY, 0, detail);
    }
}

static enum trouble_doing doing_of(enum at at)
{
    return at < AT_CAPABILITY ? TROUBLE_CONNECT
           : at <= AT_LOGIN   ? TROUBLE_LOGIN
           : at == AT_SELECT  ? TROUBLE_SELECT
                              : TROUBLE_LIST;
}

static bool with_token(const struct probe *p)
{
    return p->endpoint->oauth.grant != SETTINGS_GRANT_NONE;
}

static void gather(struct probe *p, struct diagnosis_facts *f)
{
    *f = (struct diagnosis_facts){
        .endpoint = p->endpoint,
        .login = p->user,
        .claims = p->token ? &p->claims : NULL,
    };
    if (with_token(p))
        f->skew_known = tokens_skew(p->reactor->tokens, p->of_reactor, p->row, &f->skew_s);
}

/* With a token, whose fault it is can often be told better than by the type alone. */
static bool diagnosed(struct probe *p, enum at at, const struct err *err, struct diagnosis *d)
{
    struct diagnosis_facts facts;

    if (at == AT_PROXY) {
        diagnose_proxy(p, err, d);
        return true;
    }
    if (!with_token(p))
        return false;
    gather(p, &facts);
    if (at == AT_TOKEN)
        return diagnose_token(&facts, err, d);
    if (at < AT_LOGIN)
        return false;
    /* A login that names what it was doing got as far as the mailbox. */
    if ((at > AT_LOGIN || err->doing[0] != '\0') && diagnose_mailbox(&facts, err, d))
        return true;
    return at == AT_LOGIN && diagnose_login(&facts, err, d);
}

static void fail_as(struct probe *p, enum at at, const char *type, const char *detail, const struct diagnosis *d)
{
    struct probe_step step = { .step = names[at], .ms = at == AT_TOKEN ? p->token_ms : lap_ms(p) };

    p->failed = true;
    snprintf(step.detail, sizeof step.detail, "%s", detail);
    snprintf(step.type, sizeof step.type, "%s", type);
    snprintf(step.cause, sizeof step.cause, "%s", d ? d->cause : advice_find(type)->meaning);
    if (d)
        snprintf(step.remedy, sizeof step.remedy, "%s", d->remedy);
    else
        advice_line(type, slice_cstr(p->user), step.remedy, sizeof step.remedy);
    p->events->step(p->context, &step);
}

static void fail(struct probe *p, enum at at, const struct err *err)
{
    struct diagnosis d;
    bool known = diagnosed(p, at, err, &d);
    char detail[480];

    fail_as(p, at, known ? d.type : trouble_type(doing_of(at), p->side, err), err_line(err, detail, sizeof detail),
            known ? &d : NULL);
}

/* The token as it is, once the connection has come so far that the login can be judged. What is wrong
 * in it is only told when the login fails: our knowledge of audiences may be older than Exchange. */
static void tell_token(struct probe *p, bool login_refused)
{
    struct diagnosis_facts facts;
    struct diagnosis d;
    char detail[480];

    if (!with_token(p) || !p->token)
        return;
    gather(p, &facts);
    diagnose_describe(&facts, now_wall_ms() / 1000, detail, sizeof detail);
    if (login_refused && diagnose_claims(&facts, &d))
        fail_as(p, AT_TOKEN, d.type, detail, &d);
    else
        tell(p, AT_TOKEN, p->token_ms, detail);
}

/* Which step a connection that never got ready had reached. */
static enum at reached(struct probe *p, const struct err *err)
{
    struct stream_facts facts;

    link_facts(p->link, &facts);
    if (err->origin == ERR_ORIGIN_DNS)
        return AT_DNS;
    if (facts.address[0] && with_proxy(p) && !facts.proxied)
        return AT_PROXY;
    if (err->origin == ERR_ORIGIN_TLS && err->class == ERR_CLASS_PERMANENT)
        return AT_TLS;
    if (facts.address[0] == '\0')
        return AT_TCP;
    if (p->endpoint->tls.mode == SETTINGS_TLS_IMPLICIT && facts.tls_version[0] == '\0')
        return AT_TLS;
    if (session_greeting(link_session(p->link))[0] == '\0')
        return AT_GREETING;
    if (err->origin == ERR_ORIGIN_TLS)
        return AT_TLS;
    return err->origin == ERR_ORIGIN_NO || err->origin == ERR_ORIGIN_BAD || err->origin == ERR_ORIGIN_BYE ||
                   err->origin == ERR_ORIGIN_CONFIG ||
                   /* A server that cannot prove that it knows the password. */
                   (err->class == ERR_CLASS_PERMANENT && !strstr(err->doing, "capability") &&
                    strncmp(err->doing, "login", 5) == 0)
               ? AT_LOGIN
               : AT_CAPABILITY;
}

static const char *waited_for(struct probe *p)
{
    static const char *const answers[] = { [AT_NAMESPACE] = "its answer to NAMESPACE",
                                           [AT_LIST] = "its answer to LIST",
                                           [AT_SELECT] = "its answer to EXAMINE INBOX" };
    struct err none = { .class = ERR_CLASS_NONE };

    if (!p->link)
        return "a token";
    if (p->at >= AT_NAMESPACE)
        return answers[p->at];
    switch (reached(p, &none)) {
    case AT_DNS:
    case AT_TCP:
        return "its address, or the connection to be taken";
    case AT_PROXY:
        return "the proxy's answer";
    case AT_TLS:
        return "its part of the TLS handshake";
    case AT_GREETING:
        return "its greeting";
    default:
        return "its answer to STARTTLS, CAPABILITY or the login";
    }
}

static void still_waiting(void *context)
{
    struct probe *p = context;

    p->events->waits(p->context, waited_for(p), (double)(now_ns() - p->began_ns) / 1e9);
    loop_timer_set(p->reactor->loop, &p->still, 2 * WAIT_TELL_MS, still_waiting, p);
}

static void over(struct probe *p)
{
    loop_timer_clear(p->reactor->loop, &p->look);
    loop_timer_clear(p->reactor->loop, &p->still);
    secret_destroy(&p->token);
    folder_list_deinit(&p->folder_list);
    p->events->done(p->context, !p->failed);
    free(p);
}

static void link_closed(void *context, const struct err *err, bool ready_before)
{
    struct probe *p = context;

    if (!ready_before) {
        enum at at = reached(p, err);

        /* Without a token there was nothing to log in with: that is the fault, not this end. */
        if (p->token_refused && at > AT_CAPABILITY)
            at = AT_TOKEN;
        tell_connection(p, at);
        if (at == AT_LOGIN)
            tell_token(p, err->class == ERR_CLASS_PERMANENT);
        fail(p, at, at == AT_TOKEN ? &p->token_err : err);
        if (p->token_refused && at < AT_TOKEN)
            fail(p, AT_TOKEN, &p->token_err);
    } else if (err->class != ERR_CLASS_CANCELED && !p->failed) {
        fail(p, p->at, err);
    }
    over(p);
}

static void selected(void *context, const struct imap_selected *s)
{
    struct probe *p = context;

    p->inbox_messages = s->status.messages;
}

static void select_ended(void *context, const struct err *err)
{
    struct probe *p = context;
    char detail[64];

    if (err && !link_is_ready(p->link))
        return; /* link_closed tells */
    if (err) {
        fail(p, AT_SELECT, err);
    } else {
        snprintf(detail, sizeof detail, "INBOX opens, %" PRIu32 " message%s", p->inbox_messages,
                 p->inbox_messages == 1 ? "" : "s");
        tell(p, AT_SELECT, lap_ms(p), detail);
    }
    link_finish(p->link);
}

static bool usable(void *context)
{
    const struct probe *p = context;

    return link_is_ready(p->link);
}

/* What would fail a run as soon as it has listed the folders. */
static bool root_holds(struct probe *p)
{
    const struct folder_list *r = &p->folder_list;
    struct names_rules rules = { .settings = p->reactor->settings,
                                 .user = p->row,
                                 .source_prefix = r->prefix ? r->prefix : "",
                                 .target_prefix = "",
                                 .source_foreign = &r->foreign };
    struct names_source *rows;
    char detail[480];
    struct err err;
    bool holds;

    if (p->side != FAILURE_SOURCE)
        return true;
    rows = folder_list_sources(r);
    names_describe(rows, r->count, &rules, NULL, NULL);
    holds = names_root_holds(rows, r->count, p->row, &err);
    for (unsigned i = 0; i < r->count; i++)
        names_source_deinit(&rows[i]);
    free(rows);
    if (!holds)
        fail_as(p, AT_LIST, NAMES_ROOT_TYPE, err_line(&err, detail, sizeof detail), NULL);
    return holds;
}

static void list_ended(void *context, const struct err *err)
{
    struct probe *p = context;
    const struct folder_list *r = &p->folder_list;
    unsigned folders = r->count - r->inbox_supposed, noselect = 0;
    char detail[400], line[200];
    size_t used;

    if (err && !link_is_ready(p->link))
        return;
    if (err) {
        fail(p, AT_LIST, err);
        link_finish(p->link);
        return;
    }
    if (!root_holds(p)) {
        link_finish(p->link);
        return;
    }
    for (unsigned i = 0; i < r->count; i++)
        noselect += (r->rows[i].attributes & IMAP_MAILBOX_NOSELECT) != 0;
    used = (size_t)snprintf(detail, sizeof detail, "%u folder%s", folders, folders == 1 ? "" : "s");
    if (noselect)
        used += (size_t)snprintf(detail + used, sizeof detail - used, ", %u of them without mail of %s own", noselect,
                                 noselect == 1 ? "its" : "their");
    if (r->gap_count)
        snprintf(detail + used, sizeof detail - used, "; there may be more that could not be listed: %.250s",
                 err_line(&r->gaps[0].err, line, sizeof line));
    tell(p, AT_LIST, lap_ms(p), detail);
    if (p->events->folders)
        p->events->folders(p->context, &p->folder_list);
    p->at = AT_SELECT;
    source_open(link_source(p->link), SLICE("INBOX"), true, selected, select_ended, p);
}

static void namespace_row(void *context, const struct session_namespace *ns)
{
    struct probe *p = context;

    if (ns->kind != SESSION_NAMESPACE_PERSONAL || p->delimiter)
        return;
    err_printable(p->prefix, sizeof p->prefix, ns->prefix.data, ns->prefix.size);
    p->delimiter = ns->delimiter;
}

static void namespaces_ended(void *context, const struct err *err)
{
    struct probe *p = context;
    char detail[200];

    if (err && !link_is_ready(p->link))
        return;
    if (err) {
        /* Exchange says so here when the login may not use this mailbox; elsewhere it is harmless. */
        if (err->class == ERR_CLASS_PERMANENT && err->scope >= ERR_SCOPE_ACCOUNT) {
            fail(p, AT_NAMESPACE, err);
            link_finish(p->link);
            return;
        }
        snprintf(detail, sizeof detail, "none told (%.120s)", err->server_text);
    } else {
        snprintf(detail, sizeof detail, "prefix \"%s\", levels divided by %s%c", p->prefix,
                 p->delimiter ? "" : "nothing", p->delimiter ? p->delimiter : ' ');
    }
    tell(p, AT_NAMESPACE, lap_ms(p), detail);
    p->at = AT_LIST;
    /* As a run asks. */
    folder_list_ask(&p->folder_list, link_source(p->link), usable, list_ended, p);
}

static void link_ready(void *context)
{
    struct probe *p = context;
    const char *id = link_session(p->link) ? session_server_id(link_session(p->link)) : "";
    char detail[480];

    tell_connection(p, AT_LOGIN);
    tell_token(p, false);
    if (p->endpoint->disk)
        snprintf(detail, sizeof detail, "none: %.150s is read as it lies on the disk", p->endpoint->host);
    else
        snprintf(detail, sizeof detail, "as %.150s%s%.150s", p->user, id[0] ? ", server " : "", id);
    tell(p, AT_LOGIN, lap_ms(p), detail);
    p->at = AT_NAMESPACE;
    source_namespaces(link_source(p->link), namespace_row, namespaces_ended, p);
}

static const struct link_events events = { .ready = link_ready, .closed = link_closed };

/* A server whose token is not to be had is still looked at, up to where the token is due. */
static void connect_now(struct probe *p)
{
    struct link_config config;

    p->began_ns = now_ns();
    login_as(p->reactor->settings, p->of_reactor, p->row, p->reactor->tls[p->of_reactor], p->token, &config);
    config.label = "check";
    p->link = link_open(p->reactor->loop, &config, &events, p);
}

static void look_for_token(void *context)
{
    struct probe *p = context;
    uint64_t ends_ms;

    switch (tokens_get(p->reactor->tokens, p->of_reactor, p->row, &p->token, &ends_ms, &p->token_err)) {
    case TOKENS_WAIT:
        if (p->token_err.class != ERR_CLASS_NONE && now_ns() - p->began_ns > TOKEN_PATIENCE_MS * 1000000ull) {
            p->token_refused = true;
            break;
        }
        loop_timer_set(p->reactor->loop, &p->look, TOKEN_LOOK_MS, look_for_token, p);
        return;
    case TOKENS_READY:
        oauth_claims(secret_peek(p->token), &p->claims);
        break;
    case TOKENS_REFUSED:
        p->token_refused = true;
        break;
    }
    p->token_ms = lap_ms(p);
    connect_now(p);
}

static void start(void *context)
{
    struct probe *p = context;

    if (with_token(p))
        look_for_token(p);
    else
        connect_now(p);
}

void probe_start(struct reactor *reactor, enum side side, const struct settings_user *user,
                 const struct probe_events *probe_events, void *context)
{
    bool source = side == SIDE_SOURCE;
    struct probe *p = mem_zero(1, sizeof *p);

    p->reactor = reactor;
    p->of_reactor = side;
    p->row = user;
    p->endpoint = source ? &reactor->settings->source : &reactor->settings->target;
    p->side = source ? FAILURE_SOURCE : FAILURE_TARGET;
    p->events = probe_events;
    p->context = context;
    p->began_ns = now_ns();
    folder_list_init(&p->folder_list, !source && p->endpoint->preset == SETTINGS_PRESET_EXCHANGE_ONLINE, source, 0);
    snprintf(p->user, sizeof p->user, "%s", source ? user->user_name : user->target_user_name);
    if (probe_events->waits)
        loop_timer_set(reactor->loop, &p->still, WAIT_TELL_MS, still_waiting, p);
    /* From the loop, so that done never comes from inside this call. */
    loop_timer_set(reactor->loop, &p->look, 0, start, p);
}
