#include "io/https.h"

#include "io/base/log.h"
#include "io/base/mem.h"
#include "io/base/secret.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define TIMEOUT_DEFAULT_MS 30000
#define WAIT_MS            60000

struct call {
    struct loop_message message; /* back to the loop */
    struct loop *loop;           /* NULL: nobody waits any more */
    bool started;
    void (*answered)(void *context, const struct https_answer *answer);
    void *context;
    CURL *easy;
    struct curl_slist *headers;
    char *url, *form;
    size_t form_size;
    char curl_text[CURL_ERROR_SIZE];
    bool too_long;
    struct https_answer answer;
    struct call *next;
};

struct https {
    pthread_t thread;
    CURLM *multi;
    _Atomic bool stop;
    pthread_mutex_t lock; /* of calls, and of each one's loop until it is posted */
    struct call *calls;   /* sent and not answered */
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void curl_init(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        abort();
}

static size_t body_came(char *data, size_t one, size_t size, void *context)
{
    struct call *call = context;

    if (!buf_append(&call->answer.body, slice_of(data, size))) {
        call->too_long = true;
        return 0;
    }
    return size;
}

static size_t header_came(char *data, size_t one, size_t size, void *context)
{
    struct call *call = context;
    struct slice value = slice_of(data, size), name;

    /* A redirect or an interim answer starts over. */
    if (slice_starts(value, SLICE("HTTP/")))
        call->answer.date[0] = '\0';
    if (slice_split(&value, ':', &name)) {
        value = slice_trim(value);
        if (slice_equal_nocase(name, SLICE("Date")))
            err_printable(call->answer.date, sizeof call->answer.date, value.data, value.size);
        else if (slice_equal_nocase(name, SLICE("Retry-After")))
            (void)slice_u32(value, &call->answer.retry_after_s);
    }
    return size;
}

static void header_add(struct call *call, const char *name, const char *value)
{
    char *line = mem_format("%s: %s", name, value);

    call->headers = curl_slist_append(call->headers, line);
    secret_wipe(line, strlen(line));
    free(line);
}

static bool url_is_local(const char *url)
{
    static const char *const hosts[] = { "http://127.0.0.1", "http://[::1]", "http://localhost" };

    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        size_t size = strlen(hosts[i]);

        if (strncmp(url, hosts[i], size) == 0 && (url[size] == ':' || url[size] == '/' || url[size] == '\0'))
            return true;
    }
    return false;
}

static struct call *call_create(const struct https_request *request)
{
    struct call *call = mem_zero(1, sizeof *call);
    CURL *easy;

    pthread_once(&curl_once, curl_init);
    buf_init(&call->answer.body, HTTPS_ANSWER_BYTES_MAX);
    call->url = mem_text(request->url);
    call->easy = easy = curl_easy_init();
    if (!easy)
        abort(); /* out of memory is all that can be */
    curl_easy_setopt(easy, CURLOPT_URL, request->url);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->curl_text);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, url_is_local(request->url) ? "http" : "https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "mailhaul/" MAILHAUL_VERSION);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(request->timeout_ms ? request->timeout_ms : TIMEOUT_DEFAULT_MS));
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, body_came);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, header_came);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    if (request->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, request->ca_file);
    if (request->form.data) {
        call->form_size = request->form.size;
        call->form = slice_dup(request->form);
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->form);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->form_size);
        if (request->content_type)
            header_add(call, "Content-Type", request->content_type);
    }
    if (request->authorization)
        header_add(call, "Authorization", request->authorization);
    if (call->headers)
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
    return call;
}

static void call_destroy(struct call *call)
{
    curl_easy_cleanup(call->easy);
    for (struct curl_slist *header = call->headers; header; header = header->next)
        secret_wipe(header->data, strlen(header->data));
    curl_slist_free_all(call->headers);
    if (call->form)
        secret_wipe(call->form, call->form_size);
    free(call->form);
    free(call->url);
    https_answer_deinit(&call->answer);
    free(call);
}

static bool refused(struct err *err, CURLcode code, const char *text, long os_error)
{
    switch (code) {
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_SSL_CACERT_BADFILE:
        return err_set(err, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_CONFIG, 0, "%s", text);
    case CURLE_PEER_FAILED_VERIFICATION:
        return err_set(err, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_TLS, 0,
                       "%s; if a proxy of your own re-signs TLS, name its CA file with tls-ca", text);
    case CURLE_SSL_CONNECT_ERROR:
        return err_set(err, ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, ERR_ORIGIN_TLS, 0, "%s", text);
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return err_set(err, ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, ERR_ORIGIN_DNS, EAI_AGAIN, "%s", text);
    case CURLE_OPERATION_TIMEDOUT:
        return err_set(err, ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, ERR_ORIGIN_OS, ETIMEDOUT, "%s", text);
    default:
        return err_set(err, ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, ERR_ORIGIN_OS, (int)os_error, "%s", text);
    }
}

static void call_ended(struct call *call, CURLcode code)
{
    struct https_answer *answer = &call->answer;
    long status = 0, os_error = 0;

    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &os_error);
    answer->status = (int)status;
    answer->ok = code == CURLE_OK;
    if (call->too_long)
        err_set(&answer->err, ERR_CLASS_PERMANENT, ERR_SCOPE_SESSION, ERR_ORIGIN_PROTOCOL, 0,
                "the answer is longer than 1 MiB");
    else if (!answer->ok)
        refused(&answer->err, code, call->curl_text[0] ? call->curl_text : curl_easy_strerror(code), os_error);
    if (!answer->ok)
        /* Without the query, which may hold what only the server should see. */
        err_doing(&answer->err, "%s %.*s", call->form ? "POST" : "GET", (int)strcspn(call->url, "?"), call->url);
    log_line(LOG_DEBUG, "https.answered", "url=%.*s status=%ld bytes=%zu", (int)strcspn(call->url, "?"), call->url,
             status, answer->body.size);
}

static void deliver(struct loop_message *message)
{
    struct call *call = (struct call *)((char *)message - offsetof(struct call, message));

    call->answered(call->context, &call->answer);
    call_destroy(call);
}

static void call_finish(struct https *h, struct call *call)
{
    struct call **link = &h->calls;
    bool wanted;

    if (call->started)
        curl_multi_remove_handle(h->multi, call->easy);
    pthread_mutex_lock(&h->lock);
    while (*link != call)
        link = &(*link)->next;
    *link = call->next;
    wanted = call->loop != NULL;
    /* Under the lock: nothing is posted once https_drop has returned. */
    if (wanted)
        loop_post(call->loop, &call->message);
    pthread_mutex_unlock(&h->lock);
    if (!wanted)
        call_destroy(call);
}

static void take_new(struct https *h)
{
    pthread_mutex_lock(&h->lock);
    for (struct call *call = h->calls; call; call = call->next) {
        if (call->started)
            continue;
        call->started = true;
        if (curl_multi_add_handle(h->multi, call->easy) != CURLM_OK)
            abort(); /* out of memory is all that can be */
    }
    pthread_mutex_unlock(&h->lock);
}

static void *helper(void *context)
{
    struct https *h = context;

    while (!atomic_load(&h->stop)) {
        CURLMsg *message;
        int running, left;

        take_new(h);
        curl_multi_perform(h->multi, &running);
        while ((message = curl_multi_info_read(h->multi, &left)))
            if (message->msg == CURLMSG_DONE) {
                struct call *call;

                curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
                call_ended(call, message->data.result);
                call_finish(h, call);
            }
        curl_multi_poll(h->multi, NULL, 0, WAIT_MS, NULL);
    }
    for (;;) {
        struct call *call;

        pthread_mutex_lock(&h->lock);
        call = h->calls;
        pthread_mutex_unlock(&h->lock);
        if (!call)
            break;
        err_set(&call->answer.err, ERR_CLASS_CANCELED, ERR_SCOPE_SESSION, ERR_ORIGIN_OS, ECANCELED, "stopped");
        call_finish(h, call);
    }
    return NULL;
}

bool https_create(struct https **https_r, struct err *err_r)
{
    struct https *h = mem_zero(1, sizeof *h);
    int error;

    pthread_once(&curl_once, curl_init);
    pthread_mutex_init(&h->lock, NULL);
    atomic_init(&h->stop, false);
    h->multi = curl_multi_init();
    error = h->multi ? pthread_create(&h->thread, NULL, helper, h) : ENOMEM;
    if (error) {
        curl_multi_cleanup(h->multi);
        pthread_mutex_destroy(&h->lock);
        free(h);
        return err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, error, "starting the HTTPS thread");
    }
    *https_r = h;
    return true;
}

void https_destroy(struct https **https)
{
    struct https *h = *https;

    if (!h)
        return;
    atomic_store(&h->stop, true);
    curl_multi_wakeup(h->multi);
    pthread_join(h->thread, NULL);
    curl_multi_cleanup(h->multi);
    pthread_mutex_destroy(&h->lock);
    free(h);
    *https = NULL;
}

void https_send(struct https *h, const struct https_request *request, struct loop *loop,
                void (*answered)(void *context, const struct https_answer *answer), void *context)
{
    struct call *call = call_create(request);

    call->message.deliver = deliver;
    call->loop = loop;
    call->answered = answered;
    call->context = context;
    pthread_mutex_lock(&h->lock);
    call->next = h->calls;
    h->calls = call;
    pthread_mutex_unlock(&h->lock);
    curl_multi_wakeup(h->multi);
}

void https_drop(struct https *h, struct loop *loop)
{
    if (!h)
        return;
    pthread_mutex_lock(&h->lock);
    for (struct call *call = h->calls; call; call = call->next)
        if (call->loop == loop)
            call->loop = NULL;
    pthread_mutex_unlock(&h->lock);
    loop_deliver(loop);
}

void https_now(const struct https_request *request, struct https_answer *answer_r)
{
    struct call *call = call_create(request);

    call_ended(call, curl_easy_perform(call->easy));
    *answer_r = call->answer;
    buf_init(&call->answer.body, HTTPS_ANSWER_BYTES_MAX);
    call_destroy(call);
}

void https_answer_deinit(struct https_answer *answer)
{
    if (answer->body.data)
        secret_wipe(answer->body.data, answer->body.room);
    buf_deinit(&answer->body);
}
