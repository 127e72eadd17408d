/* One connection tried step by step, as `check` shows it: DNS, TCP, TLS, greeting, capabilities,
 * login, namespace, list, select. Each step with its time; the one that fails with cause and remedy.
 * Runs on a loop of the caller; contacts nothing but the one server, changes nothing there.
 */
#ifndef ENGINE_MOVE_PROBE_H
#define ENGINE_MOVE_PROBE_H

#include "engine/move/link.h"
#include "engine/move/settings.h"
#include "engine/move/trouble.h"

struct probe;

struct probe_step {
    const char *step;   /* "dns" "tcp" "tls" "greeting" "capability" "login" "namespace" "list" "select" */
    bool ok;
    double ms;          /* how long it took; 0 when it cannot be told */
    char detail[320];   /* what was found, printable */
    char type[40];      /* of a failure, or "" */
    char cause[320], remedy[320];
};

struct probe_events {
    /* A step is known; borrowed for the call. */
    void (*step)(void *context, const struct probe_step *step);
    /* It is over and frees itself; ok: every step held. */
    void (*done)(void *context, bool ok);
};

/* password: the login's own or its admin's; borrowed until done, like settings and events. */
void probe_start(struct loop *loop, const struct settings_endpoint *endpoint, struct tls_role *tls,
                 enum failure_side side, const char *user, const struct secret *password,
                 const struct probe_events *events, void *context);

#endif
