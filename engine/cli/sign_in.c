#include "engine/cli/sign_in.h"

#include "engine/cli/exits.h"
#include "engine/oauth/device.h"
#include "engine/settings/side.h"
#include "io/base/now.h"
#include "io/https.h"
#include "store/secret_file.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define FORM_BYTES_MAX 65536u
/* Of asking for a code: a person waits for it. */
#define ASK_ATTEMPTS 4u

static int complain(const char *side, const struct err *err)
{
    char line[512];

    fprintf(stderr, "mailhaul: %s: %s\n", side, err_line(err, line, sizeof line));
    return err->class == ERR_CLASS_PERMANENT && err->origin == ERR_ORIGIN_TOKEN ? EXIT_LOGIN_REFUSED
           : err->origin == ERR_ORIGIN_CONFIG                                   ? EXIT_BATCH_FILE
                                                                                : EXIT_UNREACHABLE;
}

static void pause_s(uint32_t seconds)
{
    struct timespec left = { .tv_sec = (time_t)seconds };

    while (nanosleep(&left, &left) != 0)
        ;
}

static void post(const struct settings_endpoint *e, const char *url, const struct buf *form,
                 struct https_answer *answer_r)
{
    struct https_request request = {
        .url = url,
        .form = buf_slice(form),
        .ca_file = e->tls.ca_file,
    };

    https_now(&request, answer_r);
}

static bool ask_for_code(const struct settings_endpoint *e, struct buf *form, struct oauth_device *device,
                         struct err *err_r)
{
    bool ok = oauth_device_form(&e->oauth, form, err_r);

    for (unsigned attempt = 1; ok; attempt++) {
        struct https_answer answer;
        bool got;

        post(e, e->oauth.device_url, form, &answer);
        got = answer.ok &&
              oauth_device_answer(answer.status, buf_slice(&answer.body), answer.retry_after_s, device, err_r);
        if (!answer.ok)
            *err_r = answer.err;
        https_answer_deinit(&answer);
        if (got)
            return true;
        ok = err_r->class != ERR_CLASS_PERMANENT && attempt < ASK_ATTEMPTS;
        if (ok)
            pause_s(1u << attempt);
    }
    return false;
}

static bool poll_until_done(const struct settings_endpoint *e, struct buf *form, struct oauth_device *device,
                            struct oauth_token *token, struct err *err_r)
{
    uint64_t end_ms = now_ms() + device->life_s * 1000ull;

    while (now_ms() + device->wait_s * 1000ull < end_ms) {
        struct https_answer answer;
        enum oauth_poll poll = OAUTH_POLL_AGAIN;

        pause_s(device->wait_s);
        if (!oauth_device_poll_form(&e->oauth, device, form, err_r))
            return false;
        post(e, e->oauth.token_url, form, &answer);
        if (answer.ok) {
            poll =
                oauth_device_poll(answer.status, buf_slice(&answer.body), answer.retry_after_s, device, token, err_r);
        } else if (answer.err.class == ERR_CLASS_PERMANENT) {
            *err_r = answer.err;
            poll = OAUTH_POLL_REFUSED;
        } else {
            oauth_device_unanswered(device);
        }
        https_answer_deinit(&answer);
        if (poll != OAUTH_POLL_AGAIN)
            return poll == OAUTH_POLL_DONE;
    }
    err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_TOKEN, 0,
            "nobody typed the code in time; run mailhaul sign-in again");
    return err_doing(err_r, "sign-in by code");
}

static bool keep(const struct settings *settings, const struct settings_endpoint *e, const struct oauth_token *token,
                 struct err *err_r)
{
    const char *path = e->oauth.refresh_token_file;

    if (!token->refresh)
        return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_TOKEN, 0,
                       "the server gave no refresh token; has scope offline_access in it?");
    return secret_file_write(path, token->refresh, settings->spool_key, err_r);
}

static int sign_in(const struct settings *settings, enum side which)
{
    const struct settings_endpoint *e = settings_endpoint(settings, which);
    const char *side = side_name(which);
    struct oauth_device device = { 0 };
    struct oauth_token token = { 0 };
    struct oauth_claims claims;
    struct buf form;
    struct err err;
    int code = EXIT_DONE;

    buf_init(&form, FORM_BYTES_MAX);
    if (!ask_for_code(e, &form, &device, &err)) {
        code = complain(side, &err);
    } else {
        fprintf(stderr,
                "mailhaul: sign in for the %s: open\n\n    %s\n\nin a browser, type the code\n\n    "
                "%s\n\nand sign in as whoever may open the mailboxes. Waiting, %u minutes at "
                "most...\n",
                side, device.address, device.user_code, device.life_s / 60);
        if (!poll_until_done(e, &form, &device, &token, &err) || !keep(settings, e, &token, &err))
            code = complain(side, &err);
    }
    if (code == EXIT_DONE) {
        oauth_claims(secret_peek(token.access), &claims);
        printf("%s: signed in%s%s; renewed from %s from now on\n", side, claims.user[0] ? " as " : "", claims.user,
               e->oauth.refresh_token_file);
    }
    if (form.data)
        secret_wipe(form.data, form.room);
    buf_deinit(&form);
    oauth_device_deinit(&device);
    oauth_token_deinit(&token);
    return code;
}

int do_sign_in(const struct opts *o, const struct settings *settings)
{
    enum opts_side sides = opts_sides(o);
    bool any = false;
    int code = EXIT_DONE;

    for (enum side side = SIDE_SOURCE; side < SIDE_COUNT && code == EXIT_DONE; side++) {
        bool source = side == SIDE_SOURCE;
        const struct settings_endpoint *e = settings_endpoint(settings, side);

        if (!e->oauth.device_code || sides == (source ? OPTS_TARGET_ONLY : OPTS_SOURCE_ONLY))
            continue;
        any = true;
        code = sign_in(settings, side);
    }
    if (!any) {
        fprintf(stderr, "mailhaul: sign-in: no side of this batch file has device-code = yes\n");
        return EXIT_BATCH_FILE;
    }
    return code;
}

int sign_in_if_needed(const struct settings *settings, bool source, bool target, bool quiet)
{
    int code = EXIT_DONE;

    if (quiet || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return code;
    for (enum side side = SIDE_SOURCE; side < SIDE_COUNT && code == EXIT_DONE; side++) {
        const struct settings_oauth *oauth = &settings_endpoint(settings, side)->oauth;

        if ((side == SIDE_SOURCE ? source : target) && oauth->device_code &&
            !secret_file_exists(oauth->refresh_token_file))
            code = sign_in(settings, side);
    }
    return code;
}
