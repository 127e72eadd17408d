#include "engine/move/tls_probe.h"

#include "io/base/mem.h"
#include "io/base/slice.h"

#include <stdlib.h>

#define PATIENCE_MS 5000u

struct tls_probe {
    struct stream *stream;
    void (*told)(void *context, bool speaks_tls); /* NULL: nobody waits any more */
    void *context;
    char *host;
};

static void tell(struct tls_probe *tls_probe, bool speaks_tls)
{
    void (*told)(void *context, bool answer) = tls_probe->told;

    tls_probe->told = NULL;
    if (told)
        told(tls_probe->context, speaks_tls);
}

static void opened(void *context)
{
    struct tls_probe *tls_probe = context;

    tell(tls_probe, true);
    stream_close(tls_probe->stream);
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
    struct tls_probe *tls_probe = context;

    tell(tls_probe, err && err->origin == ERR_ORIGIN_TLS &&
                        slice_find_nocase(slice_cstr(err->server_text), SLICE("is not TLS")) == SIZE_MAX);
    free(tls_probe->host);
    free(tls_probe);
}

static const struct stream_events events = {
    .opened = opened,
    .received = received,
    .writable = writable,
    .closed = closed,
};

struct tls_probe *tls_probe_begin(struct loop *loop, const struct stream_target *target,
                                  void (*told)(void *context, bool speaks_tls), void *context)
{
    struct tls_probe *tls_probe = mem_zero(1, sizeof *tls_probe);
    struct stream_target tls = *target;

    tls_probe->told = told;
    tls_probe->context = context;
    tls.host = tls_probe->host = mem_text(target->host);
    tls.security = STREAM_TLS;
    tls.connect_timeout_ms = PATIENCE_MS;
    tls_probe->stream = stream_open(loop, &tls, &events, tls_probe);
    return tls_probe;
}

void tls_probe_cancel(struct tls_probe **tls_probe)
{
    if (*tls_probe) {
        (*tls_probe)->told = NULL;
        stream_close((*tls_probe)->stream);
    }
    *tls_probe = NULL;
}
