/* The brake of a whole server: one secret that many logins share must not be refused so often that a
 * directory locks its owner, and a certificate that fails for all users is one fault, not one a user.
 * Shared by all hubs of a batch; any thread may call. Knows neither connections nor clocks.
 */
#ifndef ENGINE_MOVE_BRAKE_H
#define ENGINE_MOVE_BRAKE_H

#include <stdbool.h>
#include <stdint.h>

/* Refusals in a row that stop the run: before the shared secret has ever worked, and after (when it
 * is rather the users that are wrong), then within BRAKE_WINDOW_MS. */
#define BRAKE_FIRST     3u
#define BRAKE_LATER     10u
#define BRAKE_WINDOW_MS 60000u
/* Users whose TLS fails for good while none has got through. */
#define BRAKE_TLS 3u

struct brake;

/* side: 0 or 1 below. shared: an administrator's secret logs all users in there. */
struct brake *brake_create(const bool shared[2]);
void brake_destroy(struct brake **brake);

/* May a login begin? With a shared secret that has not worked yet, one at a time: the caller whose
 * *scout_r is set must end it by one of the calls below. */
bool brake_may_login(struct brake *brake, unsigned side, bool *scout_r);
void brake_logged_in(struct brake *brake, unsigned side);
/* The scout came to no answer: the next one may try. */
void brake_given_up(struct brake *brake, unsigned side);

/* True once for the refusal, or the TLS fault, with which the server is to be left alone. */
bool brake_refused(struct brake *brake, unsigned side, bool scout, uint64_t now_ms);
bool brake_tls_failed(struct brake *brake, unsigned side);

#endif
