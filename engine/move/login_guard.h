/* Guards the logins of a whole server: one secret that many logins share must not be refused so often that a
 * directory locks its owner, and a certificate that fails for all users is one fault, not one a user.
 * Shared by all reactors of a batch; any thread may call. Knows neither connections nor clocks.
 */
#ifndef ENGINE_MOVE_LOGIN_GUARD_H
#define ENGINE_MOVE_LOGIN_GUARD_H

#include <stdbool.h>
#include <stdint.h>

/* Refusals in a row that stop the run: before the shared secret has ever worked, and after (when it
 * is rather the users that are wrong), then within LOGIN_GUARD_WINDOW_MS. */
#define LOGIN_GUARD_FIRST     3u
#define LOGIN_GUARD_LATER     10u
#define LOGIN_GUARD_WINDOW_MS 60000u
/* Users whose TLS fails for good while none has got through. */
#define LOGIN_GUARD_TLS 3u

struct login_guard;

/* side: 0 or 1 below. shared: an administrator's secret logs all users in there. */
struct login_guard *login_guard_create(const bool shared[2]);
void login_guard_destroy(struct login_guard **login_guard);

/* May a login begin? With a shared secret that has not worked yet, one at a time: the caller whose
 * *scout_r is set must end it by one of the calls below. */
bool login_guard_may_login(struct login_guard *login_guard, unsigned side, bool *scout_r);
void login_guard_logged_in(struct login_guard *login_guard, unsigned side);
/* The scout came to no answer: the next one may try. */
void login_guard_given_up(struct login_guard *login_guard, unsigned side);

/* True once for the refusal, or the TLS fault, with which the server is to be left alone. */
bool login_guard_refused(struct login_guard *login_guard, unsigned side, bool scout, uint64_t now_ms);
bool login_guard_tls_failed(struct login_guard *login_guard, unsigned side);

#endif
