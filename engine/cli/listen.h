/* --listen: a small HTTP server beside a run, on a thread of its own: the live page, its data,
 * Prometheus metrics and /healthz. It reads the display's sample and nothing else, writes nothing,
 * and knows no secret but its own token. Off unless asked for; beyond this computer only with a
 * token and TLS.
 */
#ifndef ENGINE_CLI_LISTEN_H
#define ENGINE_CLI_LISTEN_H

#include "engine/cli/progress.h"
#include "engine/settings/settings.h"

struct listen;

/* Takes the address, before the process gives up its rights. Errors: PERMANENT/RUN; origin CONFIG
 * when the address, the token or the certificate will not do. settings are borrowed until
 * listen_stop. */
bool listen_open(const char *address, const struct settings *settings, struct listen **listen_r,
                 struct err *err_r) ERR_CHECK;
/* Answers from now on, out of progress (borrowed until listen_stop). What fails is warned of: the
 * run goes on without. */
void listen_start(struct listen *l, struct progress *progress);
/* Frees and nulls; NULL is fine. */
void listen_stop(struct listen **l);

#endif
