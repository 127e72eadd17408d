/* One connection tried step by step, as `check` shows it: DNS, TCP, TLS, greeting, capabilities, with
 * OAuth the token, login, namespace, list, select. Each step with its time; the one that fails with
 * cause and remedy. Runs on a loop of the caller; contacts the one server and the token endpoint,
 * changes nothing at either.
 */
#ifndef ENGINE_INSPECT_PROBE_H
#define ENGINE_INSPECT_PROBE_H

#include "engine/failure/trouble.h"
#include "engine/move/folder_list.h"
#include "engine/move/link.h"
#include "engine/move/reactor.h"

struct probe;

struct probe_step {
    const char *step; /* "dns" "tcp" "proxy" "tls" "greeting" "capability" "token" "login" "namespace"
                         "list" "select" */
    bool ok;
    double ms;        /* how long it took; 0 when it cannot be told */
    char detail[480]; /* what was found, printable; never a token */
    char type[40];    /* of a failure, or "" */
    char cause[480], remedy[640];
};

struct probe_events {
    /* A step is known; borrowed for the call. */
    void (*step)(void *context, const struct probe_step *step);
    /* Nothing came for some seconds, and this is waited for: "its greeting". Told again while it lasts. May be NULL. */
    void (*waits)(void *context, const char *what, double seconds);
    /* The folders, as a run would see them; borrowed for the call. May be NULL. */
    void (*folders)(void *context, struct folder_list *folder_list);
    /* It is over and frees itself; ok: every step held. */
    void (*done)(void *context, bool ok);
};

/* reactor: its settings, loop, tls and, with OAuth, https and tokens; the rest is not looked at. All is
 * borrowed until done. */
void probe_start(struct reactor *reactor, enum side side, const struct settings_user *user,
                 const struct probe_events *events, void *context);

#endif
