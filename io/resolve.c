#include "io/resolve.h"

#include "io/base/mem.h"
#include "io/base/now.h"
#include "io/base/slice.h"
#include "io/stream.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define THREAD_COUNT   3
#define NAME_COUNT_MAX 256
#define KEEP_MS        60000
#define STOP_WAIT_S    2

struct resolve_request {
    struct loop_message message; /* first */
    struct loop *loop;
    struct resolve_request *next; /* others that wait for the same name */
    uint16_t port;
    bool canceled, posted;
    void (*answered)(void *context, const struct resolve_list *list, const struct err *err);
    void *context;
    bool ok;
    struct resolve_list list;
    struct err err;
};

enum name_state { NAME_QUEUED, NAME_ASKING, NAME_KNOWN, NAME_FIXED };

struct name {
    struct name *next;
    char *host;
    enum name_state state;
    uint64_t until_ms;
    struct resolve_list list;
    struct resolve_request *waiting;
};

/* Held for a few instructions only, never across a system call that may wait: loops take it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t asked = PTHREAD_COND_INITIALIZER;
static struct name *names;
static unsigned name_count;
static pthread_t threads[THREAD_COUNT];
static unsigned thread_count;
static bool stopping;
static uint64_t epoch; /* threads of an earlier start that were stuck leave when they see another */

socklen_t resolve_address_size(const union resolve_address *address)
{
    return address->any.sa_family == AF_INET6 ? sizeof address->in6 : sizeof address->in;
}

const char *resolve_address_text(const union resolve_address *address, char *out, size_t cap)
{
    char digits[INET6_ADDRSTRLEN] = "";

    if (address->any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &address->in6.sin6_addr, digits, sizeof digits);
        snprintf(out, cap, "[%s]:%u", digits, ntohs(address->in6.sin6_port));
    } else {
        inet_ntop(AF_INET, &address->in.sin_addr, digits, sizeof digits);
        snprintf(out, cap, "%s:%u", digits, ntohs(address->in.sin_port));
    }
    return out;
}

static void set_port(struct resolve_list *list, uint16_t port)
{
    for (unsigned i = 0; i < list->count; i++)
        if (list->addresses[i].any.sa_family == AF_INET6)
            list->addresses[i].in6.sin6_port = htons(port);
        else
            list->addresses[i].in.sin_port = htons(port);
}

static bool list_add(struct resolve_list *list, const struct sockaddr *address)
{
    union resolve_address *to = &list->addresses[list->count];

    if (list->count == RESOLVE_ADDRESSES_MAX)
        return false;
    if (address->sa_family == AF_INET)
        memcpy(&to->in, address, sizeof to->in);
    else if (address->sa_family == AF_INET6)
        memcpy(&to->in6, address, sizeof to->in6);
    else
        return true;
    list->count++;
    return true;
}

/* The system's order, but families alternate, beginning with the family it prefers. */
static void interleave(const struct addrinfo *all, struct resolve_list *list_r)
{
    const struct addrinfo *one = all, *other = all;
    int family = all ? all->ai_family : AF_UNSPEC;

    list_r->count = 0;
    while (one || other) {
        while (one && one->ai_family != family)
            one = one->ai_next;
        if (one) {
            if (!list_add(list_r, one->ai_addr))
                return;
            one = one->ai_next;
        }
        while (other && other->ai_family == family)
            other = other->ai_next;
        if (other) {
            if (!list_add(list_r, other->ai_addr))
                return;
            other = other->ai_next;
        }
    }
}

static int ask(const char *host, int flags, struct resolve_list *list_r)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = flags }, *all = NULL;
    int rc = getaddrinfo(host, NULL, &hints, &all);

    if (rc == 0) {
        interleave(all, list_r);
        freeaddrinfo(all);
        if (list_r->count == 0)
            rc = EAI_NONAME;
    }
    return rc;
}

bool resolve_numeric(const char *host, uint16_t port, struct resolve_list *list_r)
{
    if (ask(host, AI_NUMERICHOST, list_r) != 0)
        return false;
    set_port(list_r, port);
    return true;
}

static void deliver(struct loop_message *message)
{
    struct resolve_request *r = (struct resolve_request *)message;

    if (!r->canceled)
        r->answered(r->context, r->ok ? &r->list : NULL, &r->err);
    free(r);
}

/* Under the lock, so that a request cannot be canceled, and its loop destroyed, in between. */
static void answer(struct resolve_request *r, const char *host, int rc, const struct resolve_list *list)
{
    if (r->canceled) {
        free(r);
        return;
    }
    r->ok = rc == 0;
    if (r->ok) {
        r->list = *list;
        set_port(&r->list, r->port);
    } else if (rc == EAI_NONAME) {
        err_set(&r->err, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_DNS, rc,
                "the name %s has no address; check its spelling and the DNS of this computer", host);
    } else {
        err_set(&r->err, ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, ERR_ORIGIN_DNS, rc, "looking up %s: %s", host,
                gai_strerror(rc));
    }
    r->posted = true;
    loop_post(r->loop, &r->message);
}

static void name_drop(struct name **link)
{
    struct name *n = *link;

    *link = n->next;
    name_count--;
    free(n->host);
    free(n);
}

static struct name **name_find(const char *host)
{
    struct name **link = &names;

    while (*link && !slice_equal_nocase(slice_cstr((*link)->host), slice_cstr(host)))
        link = &(*link)->next;
    return link;
}

static struct name *name_add(const char *host, enum name_state state)
{
    struct name *n;

    /* Full: what is out of date goes first, then anything nobody waits for. */
    for (unsigned pass = 0; pass < 2 && name_count >= NAME_COUNT_MAX; pass++)
        for (struct name **link = &names; *link;)
            if ((*link)->state == NAME_KNOWN && (pass || (*link)->until_ms <= now_ms()))
                name_drop(link);
            else
                link = &(*link)->next;
    n = mem_zero(1, sizeof *n);
    n->host = mem_text(host);
    n->state = state;
    n->next = names;
    names = n;
    name_count++;
    return n;
}

static void *helper(void *context)
{
    uint64_t mine = *(uint64_t *)context;

    free(context);
    pthread_mutex_lock(&lock);
    while (epoch == mine && !stopping) {
        struct name *n = names;
        struct resolve_list list;
        char *host;
        int rc;

        while (n && n->state != NAME_QUEUED)
            n = n->next;
        if (!n) {
            pthread_cond_wait(&asked, &lock);
            continue;
        }
        n->state = NAME_ASKING;
        host = mem_text(n->host);
        pthread_mutex_unlock(&lock);
        rc = ask(host, AI_ADDRCONFIG, &list);
        pthread_mutex_lock(&lock);
        n = *name_find(host);
        if (n && n->state == NAME_ASKING) {
            struct resolve_request *waiting = n->waiting, *r;

            n->waiting = NULL;
            n->state = NAME_KNOWN;
            n->list = list;
            n->until_ms = now_ms() + KEEP_MS;
            if (rc != 0)
                name_drop(name_find(host));
            while ((r = waiting)) {
                waiting = r->next;
                answer(r, host, rc, &list);
            }
        }
        free(host);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void start_locked(void)
{
    stopping = false;
    while (thread_count < THREAD_COUNT) {
        uint64_t *mine = mem_alloc(sizeof *mine);

        *mine = epoch;
        if (pthread_create(&threads[thread_count], NULL, helper, mine) != 0) {
            free(mine);
            break;
        }
        thread_count++;
    }
}

struct resolve_request *resolve_begin(struct loop *loop, const char *host, uint16_t port,
                                      void (*answered)(void *, const struct resolve_list *, const struct err *),
                                      void *context)
{
    struct resolve_request *r = mem_zero(1, sizeof *r);
    struct name **link, *n;

    r->message.deliver = deliver;
    r->loop = loop;
    r->port = port;
    r->answered = answered;
    r->context = context;
    pthread_mutex_lock(&lock);
    link = name_find(host);
    if (*link && (*link)->state == NAME_KNOWN && (*link)->until_ms <= now_ms())
        name_drop(link);
    n = *name_find(host);
    if (n && n->state >= NAME_KNOWN) {
        answer(r, host, 0, &n->list);
    } else {
        start_locked();
        if (thread_count == 0) {
            answer(r, host, EAI_AGAIN, NULL);
        } else {
            if (!n)
                n = name_add(host, NAME_QUEUED);
            r->next = n->waiting;
            n->waiting = r;
            pthread_cond_signal(&asked);
        }
    }
    pthread_mutex_unlock(&lock);
    return r;
}

void resolve_cancel(struct resolve_request *request)
{
    pthread_mutex_lock(&lock);
    request->canceled = true;
    pthread_mutex_unlock(&lock);
}

bool resolve_know(const char *host, const char *addresses)
{
    struct resolve_list list = { 0 };
    struct slice rest = slice_cstr(addresses), part;
    struct name *n;

    while (slice_split(&rest, ',', &part)) {
        struct resolve_list one;
        char *text = slice_dup(part);
        bool ok = resolve_numeric(text, 0, &one) && list_add(&list, &one.addresses[0].any);

        free(text);
        if (!ok)
            return false;
    }
    if (list.count == 0)
        return false;
    pthread_mutex_lock(&lock);
    n = name_add(host, NAME_FIXED);
    n->list = list;
    pthread_mutex_unlock(&lock);
    return true;
}

void resolve_forget(void)
{
    pthread_mutex_lock(&lock);
    for (struct name **link = &names; *link;)
        if ((*link)->state >= NAME_KNOWN)
            name_drop(link);
        else
            link = &(*link)->next;
    pthread_mutex_unlock(&lock);
}

void stream_resolver_start(void)
{
    pthread_mutex_lock(&lock);
    start_locked();
    pthread_mutex_unlock(&lock);
}

void stream_resolver_stop(void)
{
    struct timespec limit;
    unsigned count;

    pthread_mutex_lock(&lock);
    stopping = true;
    epoch++;
    count = thread_count;
    thread_count = 0;
    pthread_cond_broadcast(&asked);
    pthread_mutex_unlock(&lock);
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += STOP_WAIT_S;
    /* getaddrinfo cannot be interrupted; a thread stuck in it is left to end by itself. */
    for (unsigned i = 0; i < count; i++)
        if (pthread_timedjoin_np(threads[i], NULL, &limit) != 0)
            pthread_detach(threads[i]);
    pthread_mutex_lock(&lock);
    for (struct name **link = &names; *link;) {
        struct name *n = *link;
        struct resolve_request *waiting = n->waiting, *r;

        n->waiting = NULL;
        while ((r = waiting)) {
            waiting = r->next;
            answer(r, n->host, EAI_AGAIN, NULL);
        }
        if (n->state == NAME_FIXED)
            link = &n->next;
        else
            name_drop(link);
    }
    pthread_mutex_unlock(&lock);
}
