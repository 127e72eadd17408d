#include "engine/cli/listen.h"

#include "engine/cli/listen_address.h"
#include "engine/cli/listen_metrics.h"
#include "engine/cli/listen_page.h"
#include "engine/cli/progress_json.h"
#include "engine/config/text.h"
#include "engine/report/page.h"
#include "io/base/log.h"
#include "io/base/mem.h"
#include "io/base/now.h"
#include "io/base/secret.h"

#include <errno.h>
#include <microhttpd.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLIENTS_MAX   32u
#define CLIENT_BYTES  (32u * 1024)
#define IDLE_S        10u
#define PEM_BYTES_MAX (256u * 1024)
#define STALE_MS      30000u /* without a sample: thread 0 hangs */

struct listen {
    struct listen_address address;
    int socket; /* -1: the daemon has it */
    const struct settings *settings;
    char *certificate, *key; /* PEM; NULL: no TLS */
    struct MHD_Daemon *daemon;
    struct progress *progress;
};

static bool read_pem(const char *path, char **text_r, struct err *err_r)
{
    FILE *f = fopen(path, "re");
    size_t size = 0;
    int error = errno;

    *text_r = mem_zero(PEM_BYTES_MAX + 1, 1);
    if (f) {
        size = fread(*text_r, 1, PEM_BYTES_MAX, f);
        error = ferror(f) ? EIO : 0;
        fclose(f);
    }
    if (error)
        return err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, error, path);
    return size > 0 || config_refuse(err_r, CONFIG_EXIT_BATCH, "%.200s: is empty", path);
}

/* Somebody else's computer sees addresses of people: only with a token, and not in the clear. */
static bool may_be_there(const struct listen *l, const char *address, struct err *err_r)
{
    if (l->address.is_local || (l->settings->listen_token && l->settings->listen_certificate))
        return true;
    return config_refuse(err_r, CONFIG_EXIT_BATCH,
                         "listen %.100s: is not this computer alone: that needs listen-token-file "
                         "and listen-certificate",
                         address);
}

static bool prepare(struct listen *l, const char *address, struct err *err_r)
{
    const struct settings *s = l->settings;

    return listen_address_parse(address, &l->address, err_r) && may_be_there(l, address, err_r) &&
           (!s->listen_certificate || read_pem(s->listen_certificate, &l->certificate, err_r)) &&
           (!s->listen_certificate ||
            read_pem(s->listen_key ? s->listen_key : s->listen_certificate, &l->key, err_r)) &&
           listen_address_bind(&l->address, &l->socket, err_r);
}

bool listen_open(const char *address, const struct settings *settings, struct listen **listen_r, struct err *err_r)
{
    struct listen *l = mem_zero(1, sizeof *l);

    l->socket = -1;
    l->settings = settings;
    *listen_r = l;
    if (prepare(l, address, err_r))
        return true;
    listen_stop(listen_r);
    return false;
}

/* ---- who may ask --------------------------------------------------------------------------- */

static bool same_secret(struct slice said, struct slice token)
{
    return said.size == token.size && CRYPTO_memcmp(said.data, token.data, token.size) == 0;
}

/* "Basic": any user, the token as its password; browsers ask a person for it. */
static bool is_basic(struct slice base64, struct slice token)
{
    unsigned char text[768];
    struct slice rest, user;
    size_t padding = 0;
    int size;
    bool good;

    if (base64.size == 0 || base64.size > 1000 || base64.size % 4 ||
        (size = EVP_DecodeBlock(text, (const unsigned char *)base64.data, (int)base64.size)) < 0)
        return false;
    /* It counts what "=" stands for, of which there are two at most: more is no base64. */
    for (size_t i = base64.size; i && base64.data[i - 1] == '='; i--)
        padding++;
    rest = slice_of((const char *)text, padding <= 2 && (size_t)size >= padding ? (size_t)size - padding : 0);
    good = slice_split(&rest, ':', &user) && same_secret(rest, token);
    secret_wipe(text, sizeof text);
    return good;
}

static bool knows_token(const struct listen *l, struct MHD_Connection *c)
{
    const char *said = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
    struct slice all = slice_cstr(said ? said : ""), token = secret_peek(l->settings->listen_token);

    if (slice_starts_nocase(all, SLICE("Bearer ")))
        return same_secret(slice_trim(slice_from(all, 7)), token);
    return slice_starts_nocase(all, SLICE("Basic ")) && is_basic(slice_trim(slice_from(all, 6)), token);
}

/* What is reached from elsewhere has names that are not known here; there the token keeps others'
 * pages out. */
static bool is_meant(const struct listen *l, struct MHD_Connection *c)
{
    const char *host = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);

    return !host || !l->address.is_local || listen_address_is_meant(&l->address, host);
}

/* ---- answers ------------------------------------------------------------------------------- */

struct answer {
    unsigned status;
    const char *type;
    const char *text; /* constant */
    char *made;       /* in place of it; the response frees it */
    size_t size;
};

static enum MHD_Result reply(struct MHD_Connection *c, const struct answer *a)
{
    static const char *const headers[][2] = {
        { "Cache-Control", "no-store" },
        { "X-Content-Type-Options", "nosniff" },
        { "Referrer-Policy", "no-referrer" },
        { "Cross-Origin-Resource-Policy", "same-origin" },
        { "Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                                     "frame-ancestors 'none'; base-uri 'none'; form-action 'none'" },
    };
    /* The library promises to change nothing of a persistent text. */
    struct MHD_Response *r =
        a->made ? MHD_create_response_from_buffer(a->size, a->made, MHD_RESPMEM_MUST_FREE)
                : MHD_create_response_from_buffer(strlen(a->text), (void *)a->text, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result result = MHD_NO;

    if (!r)
        return MHD_NO;
    (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, a->type);
    for (unsigned i = 0; i < sizeof headers / sizeof *headers; i++)
        (void)MHD_add_response_header(r, headers[i][0], headers[i][1]);
    if (a->status == MHD_HTTP_UNAUTHORIZED)
        (void)MHD_add_response_header(r, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Basic realm=\"mailhaul\"");
    if (a->status == MHD_HTTP_METHOD_NOT_ALLOWED)
        (void)MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    result = MHD_queue_response(c, a->status, r);
    MHD_destroy_response(r);
    return result;
}

#define PLAIN "text/plain; charset=utf-8"

static enum MHD_Result refuse(struct MHD_Connection *c, unsigned status, const char *text)
{
    return reply(c, &(struct answer){ .status = status, .type = PLAIN, .text = text });
}

/* Made out of the sample; memory that cannot be had ends the answer, not the run. */
static enum MHD_Result made(struct MHD_Connection *c, const struct progress_look *look, const char *type,
                            void (*write)(const struct progress_look *look, FILE *out))
{
    struct answer a = { .status = MHD_HTTP_OK, .type = type };
    FILE *out = open_memstream(&a.made, &a.size);

    if (!out)
        return MHD_NO;
    write(look, out);
    if (fclose(out) != 0) {
        free(a.made);
        return MHD_NO;
    }
    return reply(c, &a);
}

static enum MHD_Result health(struct MHD_Connection *c, const struct progress_look *look)
{
    uint64_t now = now_ms();
    bool alive = look->there && now - look->at_ms < STALE_MS;

    return refuse(c, alive || !look->there ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE,
                  alive          ? "ok\n"
                  : !look->there ? "starting\n"
                                 : "no sign of life for more than 30 s\n");
}

static enum MHD_Result answer(struct listen *l, struct MHD_Connection *c, const char *path)
{
    struct progress_look *look;
    enum MHD_Result result;

    if (strcmp(path, "/") == 0)
        return reply(c, &(struct answer){ MHD_HTTP_OK, "text/html; charset=utf-8", listen_page, NULL, 0 });
    if (strcmp(path, "/live.js") == 0)
        return reply(c, &(struct answer){ MHD_HTTP_OK, "text/javascript; charset=utf-8", listen_script, NULL, 0 });
    if (strcmp(path, "/live.css") == 0)
        return reply(c, &(struct answer){ MHD_HTTP_OK, "text/css; charset=utf-8", report_style, NULL, 0 });
    look = mem_zero(1, sizeof *look);
    progress_look(l->progress, look);
    if (strcmp(path, "/healthz") == 0)
        result = health(c, look);
    else if (strcmp(path, "/metrics") == 0)
        result = made(c, look, "text/plain; version=0.0.4; charset=utf-8", listen_metrics);
    else if (strcmp(path, "/live.json") == 0)
        result = made(c, look, "application/json", progress_json);
    else
        result = refuse(c, MHD_HTTP_NOT_FOUND, "there are /, /metrics, /healthz and /live.json\n");
    free(look);
    return result;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *c, const char *path, const char *method,
                              const char *version, const char *body, size_t *body_size, void **state)
{
    struct listen *l = context;

    (void)version;
    (void)body;
    /* Before a body is read: nothing here takes one. */
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return refuse(c, MHD_HTTP_METHOD_NOT_ALLOWED, "nothing can be changed here\n");
    if (!*state) {
        *state = l; /* all of the header is there at the next call */
        return MHD_YES;
    }
    *body_size = 0;
    if (!is_meant(l, c))
        return refuse(c, 421, "this is not the host that you name\n");
    if (l->settings->listen_token && !knows_token(l, c))
        return refuse(c, MHD_HTTP_UNAUTHORIZED, "a token is needed\n");
    return answer(l, c, path);
}

static void complain(void *context, const char *format, va_list args)
{
    char text[300];

    (void)context;
    vsnprintf(text, sizeof text, format, args);
    log_line(LOG_DEBUG, "listen.http", "said=%s", text);
}

void listen_start(struct listen *l, struct progress *progress)
{
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG | (l->certificate ? MHD_USE_TLS : 0);
    struct MHD_OptionItem tls[] = {
        { MHD_OPTION_HTTPS_MEM_CERT, 0, l->certificate },
        { MHD_OPTION_HTTPS_MEM_KEY, 0, l->key },
        { MHD_OPTION_END, 0, NULL },
    };

    l->progress = progress;
    l->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, handle, l, MHD_OPTION_EXTERNAL_LOGGER, complain, NULL, MHD_OPTION_LISTEN_SOCKET,
        l->socket, MHD_OPTION_CONNECTION_LIMIT, CLIENTS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CLIENT_BYTES,
        MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S, MHD_OPTION_ARRAY, l->certificate ? tls : tls + 2, MHD_OPTION_END);
    if (!l->daemon) {
        log_line(LOG_WARN, "listen.off", "why=%s", "the HTTP server does not start; is the certificate one?");
        return;
    }
    l->socket = -1;
    if (l->address.is_unix)
        log_line(LOG_INFO, "listen.on", "socket=%s", l->address.at.local.sun_path);
    else
        log_line(LOG_INFO, "listen.on", "url=%s://%s:%u/", l->certificate ? "https" : "http", l->address.host,
                 l->address.port);
}

void listen_stop(struct listen **listen)
{
    struct listen *l = *listen;

    if (!l)
        return;
    if (l->daemon)
        MHD_stop_daemon(l->daemon);
    if (l->socket >= 0)
        close(l->socket);
    /* Confined, the process may not; the next one finds that nobody is there, and replaces it. */
    if (l->address.is_unix && (l->daemon || l->socket >= 0))
        (void)unlink(l->address.at.local.sun_path);
    if (l->key)
        secret_wipe(l->key, strlen(l->key));
    free(l->certificate);
    free(l->key);
    free(l);
    *listen = NULL;
}
