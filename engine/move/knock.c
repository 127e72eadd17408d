#include "engine/move/knock.h"

#include "io/base/mem.h"
#include "io/base/slice.h"

#include <stdlib.h>

#define PATIENCE_MS 5000u

struct knock {
    struct stream *stream;
    void (*told)(void *context, bool speaks_tls); /* NULL: nobody waits any more */
    void *context;
    char *host;
};

static void tell(struct knock *knock, bool speaks_tls)
{
    void (*told)(void *context, bool answer) = knock->told;

    knock->told = NULL;
    if (told)
        told(knock->context, speaks_tls);
}

static void opened(void *context)
{
    struct knock *knock = context;

    tell(knock, true);
    stream_close(knock->stream);
}

static void received(void *context, struct slice bytes)
{
}

static void writable(void *context)
{
}

/* A certificate that is not trusted was sent by TLS all the same. */
static void closed(void *context, const struct err *err)
{
    struct knock *knock = context;

    tell(knock,
         err && err->origin == ERR_ORIGIN_TLS &&
             slice_find_nocase(slice_cstr(err->server_text), SLICE("is not TLS")) == SIZE_MAX);
    free(knock->host);
    free(knock);
}

static const struct stream_events events = {
    .opened = opened,
    .received = received,
    .writable = writable,
    .closed = closed,
};

struct knock *knock_begin(struct loop *loop, const struct stream_target *target,
                          void (*told)(void *context, bool speaks_tls), void *context)
{
    struct knock *knock = mem_zero(1, sizeof *knock);
    struct stream_target tls = *target;

    knock->told = told;
    knock->context = context;
    tls.host = knock->host = mem_text(target->host);
    tls.security = STREAM_TLS;
    tls.connect_timeout_ms = PATIENCE_MS;
    knock->stream = stream_open(loop, &tls, &events, knock);
    return knock;
}

void knock_cancel(struct knock **knock)
{
    if (*knock) {
        (*knock)->told = NULL;
        stream_close((*knock)->stream);
    }
    *knock = NULL;
}
