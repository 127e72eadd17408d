/* Signing in by code (RFC 8628, Microsoft's device code flow), without a network and without a
 * clock: makes the forms, reads the answers, and says how long to wait before the next poll. A
 * person opens an address in a browser of their own and types a short code; mailhaul polls until
 * that is done and gets a refresh token. Codes that are secrets never reach a log or an error's
 * text.
 */
#ifndef ENGINE_OAUTH_DEVICE_H
#define ENGINE_OAUTH_DEVICE_H

#include "engine/oauth/oauth.h"

/* The form that asks for a code. Errors: PERMANENT/RUN, origin TOKEN. RFC 8628 3.1 */
bool oauth_device_form(const struct settings_oauth *oauth, struct buf *form, struct err *err_r) ERR_CHECK;

struct oauth_device {
    struct secret *code; /* the device code: the program's half */
    char user_code[64];  /* what the person types, printable */
    char address[256];   /* where, https://, printable */
    uint32_t life_s;     /* of both codes */
    uint32_t wait_s;     /* before the next poll: 1..300; grows as the server asks */
};
void oauth_device_deinit(struct oauth_device *device);

/* Reads the answer. Errors as oauth_answer. RFC 8628 3.2 */
bool oauth_device_answer(int status, struct slice body, uint32_t retry_after_s, struct oauth_device *device_r,
                         struct err *err_r) ERR_CHECK;

/* The form of a poll. RFC 8628 3.4 */
bool oauth_device_poll_form(const struct settings_oauth *oauth, const struct oauth_device *device, struct buf *form,
                            struct err *err_r) ERR_CHECK;

enum oauth_poll {
    OAUTH_POLL_DONE,   /* token_r holds what was given */
    OAUTH_POLL_AGAIN,  /* after device->wait_s */
    OAUTH_POLL_REFUSED /* err_r: PERMANENT/RUN, origin TOKEN: declined, run out, or what else */
};
/* What a poll's answer means; device->wait_s is set for the next one. RFC 8628 3.5 */
enum oauth_poll oauth_device_poll(int status, struct slice body, uint32_t retry_after_s, struct oauth_device *device,
                                  struct oauth_token *token_r, struct err *err_r);
/* The same for a poll to which no answer came: waits grow, as RFC 8628 3.5 wants. */
void oauth_device_unanswered(struct oauth_device *device);

#endif
