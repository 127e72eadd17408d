#include "engine/rehearsal/exo_loop.h"

#include "io/base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static bool listener_open(struct exo_listener *l, int port, struct err *err_r)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int one = 1;

    l->fd = -1;
    if (port < 0)
        return true;
    address.sin_port = htons((uint16_t)port);
    l->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0 || setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
        bind(l->fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(l->fd, 4096) < 0 ||
        getsockname(l->fd, (struct sockaddr *)&address, &size) < 0) {
        err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, errno, "listen");
        return err_doing(err_r, "listen on 127.0.0.1:%d", port);
    }
    l->port = ntohs(address.sin_port);
    return true;
}

static bool listeners_open(struct exo *exo, struct err *err_r)
{
    const struct exo_config *c = &exo->config;
    const int ports[4] = { c->imap_port, c->imap_plain_port, c->token_port, c->control_port };
    static const struct exo_service *const services[4] = { &exo_imap_service, &exo_imap_service, &exo_token_service,
                                                           &exo_control_service };

    for (size_t i = 0; i < 4; i++) {
        exo->listeners[i].service = services[i];
        exo->listeners[i].tls = i == 0 || i == 2;
        if (!listener_open(&exo->listeners[i], ports[i], err_r))
            return false;
    }
    return true;
}

static void server_name_make(struct exo *exo)
{
    static const char name[] = "DB9PR08CA0017.eurprd08.prod.contoso.example";
    char wide[2 * sizeof name] = { 0 };
    struct buf text;

    buf_init(&text, 256);
    /* As logged: base64 of UTF-16; the first letters do for a name that nobody reads. */
    for (size_t i = 0; i < 16; i++)
        wide[2 * i] = name[i];
    if (exo_base64_encode(&text, slice_of(wide, 32), false))
        snprintf(exo->server_name, sizeof exo->server_name, "%.*s", (int)text.size, text.data);
    buf_deinit(&text);
}

bool exo_start(const struct exo_config *config, struct exo **exo_r, struct err *err_r)
{
    struct exo *exo;
    char address[256];

    if (config->threads < 1 || config->threads > 64 || config->mailbox_count > EXO_MAILBOXES_MAX)
        return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_CONFIG, 0,
                       "threads: 1..64, mailbox-count: 0..%u", EXO_MAILBOXES_MAX);
    exo = mem_zero(1, sizeof *exo);
    exo->config = *config;
    exo->generation = 1;
    exo->listed_end = &exo->listed;
    exo->random = config->seed;
    exo->started_ms = exo_clock_ms();
    pthread_mutex_init(&exo->config_lock, NULL);
    pthread_mutex_init(&exo->map_lock, NULL);
    pthread_mutex_init(&exo->lock, NULL);
    for (size_t i = 0; i < 4; i++)
        exo->listeners[i].fd = -1;
    server_name_make(exo);
    for (uint32_t i = 0; i < config->mailbox_count; i++) {
        snprintf(address, sizeof address, "user%04u@%s", i + 1, config->domain);
        exo_mailbox_make(exo, address, config->language);
    }
    if (RAND_bytes(exo->token_key, sizeof exo->token_key) != 1) {
        err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_TLS, 0, "no random bytes");
    } else if (exo_tls_start(exo, err_r) && listeners_open(exo, err_r) && exo_workers_start(exo, err_r)) {
        *exo_r = exo;
        return true;
    }
    exo_stop(&exo);
    return false;
}

void exo_stop(struct exo **exo)
{
    struct exo *e = *exo;

    if (!e)
        return;
    exo_workers_stop(e);
    for (size_t i = 0; i < 4; i++)
        if (e->listeners[i].fd >= 0)
            close(e->listeners[i].fd);
    exo_tls_stop(e);
    exo_mailboxes_free(e);
    free(e->seconds);
    pthread_mutex_destroy(&e->config_lock);
    pthread_mutex_destroy(&e->map_lock);
    pthread_mutex_destroy(&e->lock);
    free(e);
    *exo = NULL;
}

struct exo_ports exo_ports(const struct exo *exo)
{
    return (struct exo_ports){ exo->listeners[0].port, exo->listeners[1].port, exo->listeners[2].port,
                               exo->listeners[3].port };
}

const char *exo_ca_file(const struct exo *exo)
{
    return exo->ca_file;
}

static bool set_live(struct exo *exo, const char *key, const char *value, struct err *err_r)
{
    struct exo_config old, config;

    if (!exo_config_live(key))
        return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_CONFIG, 0,
                       "%s cannot change while it runs", key);
    pthread_mutex_lock(&exo->config_lock);
    old = config = exo->config;
    pthread_mutex_unlock(&exo->config_lock);
    if (!exo_config_set(&config, key, value, err_r))
        return false;
    exo_budget_settle(exo, &old, exo_clock_ms());
    pthread_mutex_lock(&exo->config_lock);
    /* Anew: another thread may have set another key meanwhile. */
    if (!exo_config_set(&exo->config, key, value, err_r)) {
        pthread_mutex_unlock(&exo->config_lock);
        return false;
    }
    atomic_fetch_add(&exo->generation, 1);
    pthread_mutex_unlock(&exo->config_lock);
    return true;
}

/* At most 32. */
static bool fault_add(struct exo *exo, const struct exo_fault *fault, struct err *err_r)
{
    bool ok;

    pthread_mutex_lock(&exo->lock);
    ok = exo->fault_count < EXO_FAULTS_MAX;
    if (ok) {
        size_t i = exo->fault_count;

        exo->faults[i] = *fault;
        exo->fault_state[i].seen = exo->fault_state[i].fired = 0;
        atomic_store(&exo->fault_count, i + 1);
    }
    pthread_mutex_unlock(&exo->lock);
    return ok || err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_CONFIG, 0, "more than %u faults",
                         EXO_FAULTS_MAX);
}

static void faults_clear(struct exo *exo)
{
    pthread_mutex_lock(&exo->lock);
    atomic_store(&exo->fault_count, 0);
    pthread_mutex_unlock(&exo->lock);
}

bool exo_set(struct exo *exo, const char *key, const char *value, struct err *err_r)
{
    struct exo_fault fault;

    if (strcmp(key, "mailbox") == 0)
        return exo_mailbox_set(exo, value, err_r);
    if (strcmp(key, "fault") == 0)
        return exo_fault_parse(value, &fault, err_r) && fault_add(exo, &fault, err_r);
    if (strcmp(key, "faults") == 0 && strcmp(value, "clear") == 0) {
        faults_clear(exo);
        return true;
    }
    return set_live(exo, key, value, err_r);
}

static bool mailbox_word(struct exo_mailbox *m, struct slice key, const char *value)
{
    bool yes = strcmp(value, "yes") == 0;
    double *real = slice_equal(key, SLICE("rate"))     ? &m->rate
                   : slice_equal(key, SLICE("burst"))  ? &m->burst
                   : slice_equal(key, SLICE("cutoff")) ? &m->cutoff
                                                       : NULL;

    if (real) {
        char *end;
        double number = strtod(value, &end);

        if (end == value || *end || !(number >= 0 && number <= 1e12))
            return false;
        *real = number;
        return true;
    }
    if (slice_equal(key, SLICE("quota")))
        return slice_u64(slice_cstr(value), &m->quota_bytes);
    if (slice_equal(key, SLICE("max-message-bytes")))
        return slice_u64(slice_cstr(value), &m->message_bytes_max);
    if (slice_equal(key, SLICE("connections")))
        return slice_u32(slice_cstr(value), &m->connections_limit);
    if (!yes && strcmp(value, "no") != 0)
        return slice_equal(key, SLICE("language"));
    if (slice_equal(key, SLICE("permitted")))
        m->permitted = yes;
    else if (slice_equal(key, SLICE("enabled")))
        m->enabled = yes;
    else
        return false;
    return true;
}

bool exo_mailbox_set(struct exo *exo, const char *text, struct err *err_r)
{
    struct slice rest = slice_cstr(text), word, address = { 0 };
    char language[8], name[256];
    struct exo_mailbox *m;
    bool ok = true;

    pthread_mutex_lock(&exo->config_lock);
    memcpy(language, exo->config.language, sizeof language);
    pthread_mutex_unlock(&exo->config_lock);
    if (!slice_split(&rest, ',', &address) || !address.size || address.size >= sizeof name)
        goto bad;
    snprintf(name, sizeof name, "%.*s", (int)address.size, address.data);
    for (struct slice all = rest; slice_split(&all, ',', &word);)
        if (slice_starts(word, SLICE("language=")) && word.size - 9 < sizeof language)
            snprintf(language, sizeof language, "%.*s", (int)word.size - 9, word.data + 9);
    m = exo_mailbox_make(exo, name, language);
    if (!m)
        goto bad;
    pthread_mutex_lock(&m->lock);
    while (ok && slice_split(&rest, ',', &word)) {
        size_t equals = slice_find(word, '=');
        struct slice value = slice_from(word, equals == SIZE_MAX ? word.size : equals + 1);
        char copy[64];

        ok = equals != SIZE_MAX && value.size < sizeof copy;
        if (ok) {
            snprintf(copy, sizeof copy, "%.*s", (int)value.size, value.data);
            ok = mailbox_word(m, slice_first(word, equals), copy);
        }
    }
    pthread_mutex_unlock(&m->lock);
    if (ok)
        return true;
bad:
    return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_CONFIG, 0, "not a mailbox: %s", text);
}

void exo_revoke(struct exo *exo, const char *address)
{
    pthread_mutex_lock(&exo->map_lock);
    for (struct exo_mailbox *m = exo->listed; m; m = m->next_listed) {
        if (address && !slice_equal_nocase(slice_cstr(address), slice_cstr(m->address)))
            continue;
        pthread_mutex_lock(&m->lock);
        m->revoked++;
        pthread_mutex_unlock(&m->lock);
    }
    pthread_mutex_unlock(&exo->map_lock);
}

bool exo_mailbox_messages(struct exo *exo, const char *address,
                          bool (*message)(void *context, const struct exo_message_view *view), void *context)
{
    struct exo_mailbox *m = exo_mailbox_find(exo, address);
    bool go_on = true;

    if (!m)
        return false;
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->folder_count && go_on; i++) {
        const struct exo_folder *f = m->folders[i];

        for (size_t k = 0; k < f->count && go_on; k++) {
            const struct exo_message *one = f->messages[k];
            struct exo_message_view view = {
                .folder = f->name,
                .uid = one->uid,
                .uidvalidity = f->uidvalidity,
                .flags = one->flags,
                .date = one->date,
                .size = one->size,
                .message_id = slice_of(one->text + one->id_at, one->id_bytes),
                .header = slice_of(one->text, one->header_bytes),
                .body = slice_from(slice_of(one->text, one->text_bytes),
                                   one->header_bytes ? one->header_bytes : one->text_bytes),
            };

            memcpy(view.sha256, one->sha256, 32);
            go_on = message(context, &view);
        }
    }
    pthread_mutex_unlock(&m->lock);
    return true;
}
