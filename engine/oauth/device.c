#include "engine/oauth/device.h"

#include "engine/oauth/oauth_private.h"

#include <stdlib.h>

#define WAIT_DEFAULT_S 5u /* RFC 8628 3.2 */
#define WAIT_LONGER_S  5u /* slow_down, RFC 8628 3.5 */
#define WAIT_MAX_S     300u
#define LIFE_MIN_S     30
#define LIFE_MAX_S     3600
#define CODE_BYTES_MAX 8192u

void oauth_device_deinit(struct oauth_device *device)
{
    secret_destroy(&device->code);
}

static bool refuse(struct err *err_r, const char *why)
{
    err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_TOKEN, 0, "%s", why);
    return err_doing(err_r, "sign-in by code");
}

bool oauth_device_form(const struct settings_oauth *oauth, struct buf *form, struct err *err_r)
{
    buf_clear(form);
    return (oauth_append_field(form, "client_id", slice_cstr(oauth->client_id)) &&
            oauth_append_field(form, "scope", slice_cstr(oauth->scope))) ||
           refuse(err_r, "client-id or scope is too long");
}

static uint32_t within(json_int_t value, json_int_t least, json_int_t most)
{
    return (uint32_t)(value < least ? least : value > most ? most : value);
}

static void copy(char *out, size_t cap, const char *text)
{
    err_printable(out, cap, text, strlen(text));
}

bool oauth_device_answer(int status, struct slice body, uint32_t retry_after_s, struct oauth_device *device_r,
                         struct err *err_r)
{
    json_t *answer = json_loadb(body.data ? body.data : "", body.size, 0, NULL);
    const char *code = json_string_value(json_object_get(answer, "device_code"));
    const char *user_code = json_string_value(json_object_get(answer, "user_code"));
    const char *address = json_string_value(json_object_get(answer, "verification_uri"));
    json_int_t wait = oauth_number(json_object_get(answer, "interval"));
    bool ok = false;

    *device_r = (struct oauth_device){ 0 };
    if (!address) /* Google's name for it */
        address = json_string_value(json_object_get(answer, "verification_url"));
    if (status != 200) {
        oauth_refused(status, answer, retry_after_s, err_r);
        err_doing(err_r, "sign-in by code");
    } else if (!code || !user_code || !address || strlen(code) > CODE_BYTES_MAX) {
        refuse(err_r, "the answer holds no code to sign in with; is device-url right?");
    } else if (strncmp(address, "https://", 8) != 0) {
        /* A person is about to type a password there. */
        refuse(err_r, "the server names an address that is not https://");
    } else {
        device_r->code = secret_create(slice_cstr(code));
        copy(device_r->user_code, sizeof device_r->user_code, user_code);
        copy(device_r->address, sizeof device_r->address, address);
        device_r->life_s = within(oauth_number(json_object_get(answer, "expires_in")), LIFE_MIN_S, LIFE_MAX_S);
        device_r->wait_s = within(wait ? wait : WAIT_DEFAULT_S, 1, WAIT_MAX_S);
        ok = true;
    }
    json_decref(answer);
    return ok;
}

bool oauth_device_poll_form(const struct settings_oauth *oauth, const struct oauth_device *device, struct buf *form,
                            struct err *err_r)
{
    bool ok;

    buf_clear(form);
    ok = oauth_append_field(form, "grant_type", SLICE("urn:ietf:params:oauth:grant-type:device_code")) &&
         oauth_append_field(form, "client_id", slice_cstr(oauth->client_id)) &&
         oauth_append_field(form, "device_code", secret_peek(device->code));
    if (ok && oauth->client_secret)
        ok = oauth_append_field(form, "client_secret", secret_peek(oauth->client_secret));
    return ok || refuse(err_r, "the codes are too long");
}

static void wait_longer(struct oauth_device *device, uint32_t wait_s)
{
    device->wait_s = wait_s > WAIT_MAX_S ? WAIT_MAX_S : wait_s;
}

void oauth_device_unanswered(struct oauth_device *device)
{
    wait_longer(device, device->wait_s * 2);
}

/* RFC 8628 3.5, and what Microsoft says in place of access_denied and of an unknown code. */
static const struct {
    const char *error, *words;
} ends[] = {
    { "access_denied", "the sign-in was declined; run mailhaul sign-in again" },
    { "authorization_declined", "the sign-in was declined; run mailhaul sign-in again" },
    { "expired_token", "nobody typed the code in time; run mailhaul sign-in again" },
    { "code_expired", "nobody typed the code in time; run mailhaul sign-in again" },
    { "bad_verification_code", "the server does not know the code that it gave; run mailhaul "
                               "sign-in again" },
};

enum oauth_poll oauth_device_poll(int status, struct slice body, uint32_t retry_after_s, struct oauth_device *device,
                                  struct oauth_token *token_r, struct err *err_r)
{
    json_t *answer;
    const char *error;
    enum oauth_poll poll = OAUTH_POLL_REFUSED;

    if (oauth_answer(status, body, retry_after_s, token_r, err_r))
        return OAUTH_POLL_DONE;
    answer = json_loadb(body.data ? body.data : "", body.size, 0, NULL);
    error = json_string_value(json_object_get(answer, "error"));
    if (!error)
        error = "";
    if (strcmp(error, "authorization_pending") == 0) {
        poll = OAUTH_POLL_AGAIN;
    } else if (strcmp(error, "slow_down") == 0) {
        wait_longer(device, device->wait_s + WAIT_LONGER_S);
        poll = OAUTH_POLL_AGAIN;
    } else if (err_r->class != ERR_CLASS_PERMANENT) {
        wait_longer(device, err_r->wait_ms / 1000 > device->wait_s ? err_r->wait_ms / 1000 : device->wait_s * 2);
        poll = OAUTH_POLL_AGAIN;
    } else {
        for (unsigned i = 0; i < sizeof ends / sizeof *ends; i++)
            if (strcmp(error, ends[i].error) == 0)
                refuse(err_r, ends[i].words);
        err_doing(err_r, "sign-in by code");
    }
    json_decref(answer);
    return poll;
}
