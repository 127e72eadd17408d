/* Small HTTPS requests (OAuth tokens, Graph look-ups) by libcurl on one helper thread, so that no
 * loop waits for a token server; several are under way at once. Answers are posted to the loop that
 * asked. Bodies, forms and headers are secrets: none is ever logged, and they are wiped when freed.
 * What the answers mean is for others to know.
 */
#ifndef IO_HTTPS_H
#define IO_HTTPS_H

#include "io/base/buf.h"
#include "io/base/err.h"
#include "io/base/slice.h"
#include "io/loop.h"

#define HTTPS_ANSWER_BYTES_MAX ((size_t)1 << 20)

struct https;

/* Everything is borrowed for the call that takes it, and copied. */
struct https_request {
    const char *url;           /* https:// only; http:// to 127.0.0.1, ::1 or localhost for tests */
    struct slice form;         /* POST this body as application/x-www-form-urlencoded; data NULL: GET */
    const char *content_type;  /* of the body instead of that, or NULL */
    const char *authorization; /* value of that header ("Bearer ..."), or NULL */
    const char *ca_file;       /* PEM bundle instead of the system's, or NULL */
    uint32_t timeout_ms;       /* for all of it; 0: 30,000 */
};

struct https_answer {
    bool ok;                /* an HTTP answer came, whatever its status; otherwise err says why not */
    struct err err;         /* TRANSIENT/SESSION, origin OS, DNS or TLS; PERMANENT/ACCOUNT for certificates;
                               PERMANENT/RUN, origin CONFIG, for the URL; CANCELED by https_destroy */
    int status;             /* 200, 400 ... */
    struct buf body;        /* at most HTTPS_ANSWER_BYTES_MAX */
    char date[40];          /* Date header as sent, or "": compared with this computer's clock */
    uint32_t retry_after_s; /* Retry-After in seconds, or 0 */
};

/* Starts the thread. Errors: PERMANENT/RUN, origin OS. */
bool https_create(struct https **https_r, struct err *err_r) ERR_CHECK;
/* Requests under way are answered with CANCELED, which is posted before this returns; the loops
 * that were not named to https_drop must still exist. Nulls; NULL is fine. */
void https_destroy(struct https **https);
/* Any thread. answered runs once on the loop's thread; answer is borrowed for that call. */
void https_send(struct https *https, const struct https_request *request, struct loop *loop,
                void (*answered)(void *context, const struct https_answer *answer), void *context);
/* On the loop's thread, before what its answers are about, and the loop itself, goes: answers that have come
 * are delivered, together with whatever else was posted to the loop; of the others none is told any more.
 * Does not wait. NULL is fine. */
void https_drop(struct https *https, struct loop *loop);
/* https_send in the calling thread, which waits: for commands that have no loop. The caller ends with
 * https_answer_deinit. */
void https_now(const struct https_request *request, struct https_answer *answer_r);
/* Wipes and frees the body. */
void https_answer_deinit(struct https_answer *answer);

#endif
