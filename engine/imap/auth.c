#include "engine/imap/auth.h"

#include "engine/imap/auth_message.h"
#include "engine/imap/scram.h"
#include "engine/imap/windows1252.h"
#include "io/base/mem.h"

#include <assert.h>
#include <gsasl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#define RESPONSE_MAX (64u * 1024) /* an OAuth token is a few KiB */

struct auth {
    const struct auth_config *config;
    enum auth_way way;
    Gsasl *gsasl; /* of CRAM-MD5; else NULL */
    Gsasl_session *exchange;
    struct scram *scram;     /* likewise of SCRAM */
    struct scram_work *work; /* its hashing, once it was done */
    unsigned step;
    bool proven; /* the mechanism is at its end */
    bool spent;
    char refusal[256];
};

static const char *const mechanism_names[AUTH_MECHANISM_COUNT] = {
    [AUTH_AUTO] = "auto",
    [AUTH_PLAIN] = "plain",
    [AUTH_LOGIN] = "login",
    [AUTH_CRAM_MD5] = "cram-md5",
    [AUTH_SCRAM_SHA_1] = "scram-sha-1",
    [AUTH_SCRAM_SHA_256] = "scram-sha-256",
    [AUTH_XOAUTH2] = "xoauth2",
    [AUTH_OAUTHBEARER] = "oauthbearer",
    [AUTH_EXTERNAL] = "external",
    [AUTH_KERIO_MASTER] = "kerio-master",
    [AUTH_PROXYAUTH] = "proxyauth",
    [AUTH_GROUPWISE] = "groupwise",
};

enum { NEEDS_PASSWORD = 1, NEEDS_TOKEN = 2, CLEAR = 4, CLIENT_FIRST = 8, GSASL = 16, PLUS = 32, AUTHZID = 64, SCRAM = 128 };

static const struct {
    const char *name;
    enum auth_mechanism mechanism;
    enum cap cap;
    unsigned traits;
} ways[AUTH_WAY_COUNT] = {
    [AUTH_WAY_NONE] = { "", AUTH_AUTO, CAP_AUTH_OTHER, 0 },
    [AUTH_WAY_XOAUTH2] = { "XOAUTH2", AUTH_XOAUTH2, CAP_AUTH_XOAUTH2, NEEDS_TOKEN | CLEAR | CLIENT_FIRST },
    [AUTH_WAY_OAUTHBEARER] = { "OAUTHBEARER", AUTH_OAUTHBEARER, CAP_AUTH_OAUTHBEARER,
                               NEEDS_TOKEN | CLEAR | CLIENT_FIRST },
    [AUTH_WAY_EXTERNAL] = { "EXTERNAL", AUTH_EXTERNAL, CAP_AUTH_EXTERNAL, CLIENT_FIRST | AUTHZID },
    [AUTH_WAY_SCRAM_SHA_256_PLUS] = { "SCRAM-SHA-256-PLUS", AUTH_SCRAM_SHA_256,
                                      CAP_AUTH_SCRAM_SHA_256_PLUS,
                                      NEEDS_PASSWORD | CLIENT_FIRST | SCRAM | PLUS | AUTHZID },
    [AUTH_WAY_SCRAM_SHA_256] = { "SCRAM-SHA-256", AUTH_SCRAM_SHA_256, CAP_AUTH_SCRAM_SHA_256,
                                 NEEDS_PASSWORD | CLIENT_FIRST | SCRAM | AUTHZID },
    [AUTH_WAY_SCRAM_SHA_1_PLUS] = { "SCRAM-SHA-1-PLUS", AUTH_SCRAM_SHA_1, CAP_AUTH_SCRAM_SHA_1_PLUS,
                                    NEEDS_PASSWORD | CLIENT_FIRST | SCRAM | PLUS | AUTHZID },
    [AUTH_WAY_SCRAM_SHA_1] = { "SCRAM-SHA-1", AUTH_SCRAM_SHA_1, CAP_AUTH_SCRAM_SHA_1,
                               NEEDS_PASSWORD | CLIENT_FIRST | SCRAM | AUTHZID },
    [AUTH_WAY_CRAM_MD5] = { "CRAM-MD5", AUTH_CRAM_MD5, CAP_AUTH_CRAM_MD5, NEEDS_PASSWORD | GSASL },
    [AUTH_WAY_PLAIN] = { "PLAIN", AUTH_PLAIN, CAP_AUTH_PLAIN, NEEDS_PASSWORD | CLEAR | CLIENT_FIRST | AUTHZID },
    [AUTH_WAY_COMMAND] = { "LOGIN", AUTH_LOGIN, CAP_IMAP4REV1, NEEDS_PASSWORD | CLEAR },
    [AUTH_WAY_LOGIN] = { "LOGIN", AUTH_LOGIN, CAP_AUTH_LOGIN, NEEDS_PASSWORD | CLEAR },
    [AUTH_WAY_KERIO] = { "X-MASTERAUTH", AUTH_KERIO_MASTER, CAP_AUTH_OTHER, NEEDS_PASSWORD },
    [AUTH_WAY_GROUPWISE] = { "XGWTRUSTEDAPP", AUTH_GROUPWISE, CAP_AUTH_OTHER, NEEDS_PASSWORD | CLEAR },
};

/* With TLS around it, a password in PLAIN is as safe as the store that checks it, and works with
 * every store; CRAM-MD5 needs one that keeps clear passwords. */
static const enum auth_way order_tls[] = {
    AUTH_WAY_XOAUTH2,           AUTH_WAY_OAUTHBEARER, AUTH_WAY_SCRAM_SHA_256_PLUS, AUTH_WAY_SCRAM_SHA_256,
    AUTH_WAY_SCRAM_SHA_1_PLUS,  AUTH_WAY_SCRAM_SHA_1, AUTH_WAY_PLAIN,              AUTH_WAY_COMMAND,
    AUTH_WAY_LOGIN,             AUTH_WAY_CRAM_MD5,    AUTH_WAY_EXTERNAL,
};
static const enum auth_way order_clear[] = {
    AUTH_WAY_SCRAM_SHA_256, AUTH_WAY_SCRAM_SHA_1,  AUTH_WAY_CRAM_MD5,    AUTH_WAY_PLAIN, AUTH_WAY_COMMAND,
    AUTH_WAY_LOGIN,         AUTH_WAY_XOAUTH2, AUTH_WAY_OAUTHBEARER, AUTH_WAY_EXTERNAL,
};
/* GNU Mailutils' imap4d offers whatever its SASL library has a name for, also what signs in through a web
 * browser, and does none of it by the table of users that it is set up with: a challenge made from a
 * password would be taken for a wrong one (L25). */
static const enum auth_way order_library[] = {
    AUTH_WAY_PLAIN,       AUTH_WAY_COMMAND,           AUTH_WAY_LOGIN,       AUTH_WAY_SCRAM_SHA_256_PLUS,
    AUTH_WAY_SCRAM_SHA_256, AUTH_WAY_SCRAM_SHA_1_PLUS, AUTH_WAY_SCRAM_SHA_1, AUTH_WAY_CRAM_MD5,
    AUTH_WAY_EXTERNAL,
};
/* A combined name is understood by the plain checks only; Exchange wants the command (A5). */
static const enum auth_way order_form[] = { AUTH_WAY_COMMAND, AUTH_WAY_PLAIN, AUTH_WAY_LOGIN };
/* An administrator's authorization identity is known best with PLAIN (A5). */
static const enum auth_way order_authzid[] = { AUTH_WAY_PLAIN, AUTH_WAY_SCRAM_SHA_256_PLUS,
                                               AUTH_WAY_SCRAM_SHA_256, AUTH_WAY_SCRAM_SHA_1_PLUS,
                                               AUTH_WAY_SCRAM_SHA_1, AUTH_WAY_EXTERNAL };
/* Only where the user named them. */
static const enum auth_way order_kerio[] = { AUTH_WAY_KERIO };
static const enum auth_way order_groupwise[] = { AUTH_WAY_GROUPWISE };

const char *auth_mechanism_name(enum auth_mechanism mechanism)
{
    assert((unsigned)mechanism < AUTH_MECHANISM_COUNT);
    return mechanism_names[mechanism];
}

bool auth_mechanism_parse(const char *name, enum auth_mechanism *mechanism_r)
{
    for (unsigned i = 0; i < AUTH_MECHANISM_COUNT; i++) {
        if (slice_equal_nocase(slice_cstr(name), slice_cstr(mechanism_names[i]))) {
            *mechanism_r = (enum auth_mechanism)i;
            return true;
        }
    }
    return false;
}

const char *auth_way_name(enum auth_way way)
{
    assert((unsigned)way < AUTH_WAY_COUNT);
    return ways[way].name;
}

const char *auth_way_command(enum auth_way way)
{
    static const char *const commands[AUTH_WAY_COUNT] = {
        [AUTH_WAY_XOAUTH2] = "AUTHENTICATE XOAUTH2",
        [AUTH_WAY_OAUTHBEARER] = "AUTHENTICATE OAUTHBEARER",
        [AUTH_WAY_EXTERNAL] = "AUTHENTICATE EXTERNAL",
        [AUTH_WAY_SCRAM_SHA_256_PLUS] = "AUTHENTICATE SCRAM-SHA-256-PLUS",
        [AUTH_WAY_SCRAM_SHA_256] = "AUTHENTICATE SCRAM-SHA-256",
        [AUTH_WAY_SCRAM_SHA_1_PLUS] = "AUTHENTICATE SCRAM-SHA-1-PLUS",
        [AUTH_WAY_SCRAM_SHA_1] = "AUTHENTICATE SCRAM-SHA-1",
        [AUTH_WAY_CRAM_MD5] = "AUTHENTICATE CRAM-MD5",
        [AUTH_WAY_PLAIN] = "AUTHENTICATE PLAIN",
        [AUTH_WAY_LOGIN] = "AUTHENTICATE LOGIN",
        [AUTH_WAY_KERIO] = "X-MASTERAUTH",
        [AUTH_WAY_GROUPWISE] = "AUTHENTICATE XGWTRUSTEDAPP",
    };

    assert((unsigned)way < AUTH_WAY_COUNT && commands[way]);
    return commands[way];
}

const char *auth_become(const struct auth_config *config)
{
    return config->mechanism == AUTH_KERIO_MASTER ? "X-SETUSER"
           : config->mechanism == AUTH_PROXYAUTH  ? "PROXYAUTH"
           : config->mechanism == AUTH_GROUPWISE  ? "LOGIN"
                                                  : NULL;
}

static bool has_admin(const struct auth_config *config)
{
    return config->admin_user && config->admin_user[0];
}

static bool has_form(const struct auth_config *config)
{
    return has_admin(config) && config->login_form && config->login_form[0] && !auth_become(config);
}

bool auth_has_authzid(const struct auth_config *config)
{
    return has_admin(config) && !has_form(config) && !auth_become(config);
}

static bool offered(enum auth_way way, const struct caps *caps)
{
    if (way == AUTH_WAY_COMMAND)
        return !caps_has(caps, CAP_LOGINDISABLED);
    /* These two are asked for by name, and not every version lists them. */
    if (way == AUTH_WAY_KERIO || way == AUTH_WAY_GROUPWISE)
        return true;
    return caps_has(caps, ways[way].cap);
}

/* Fits configuration and credentials, whatever the server offers. */
static bool fits(enum auth_way way, const struct auth_config *config, bool tls, const struct ssl_st *ssl)
{
    unsigned traits = ways[way].traits;

    bool any = config->mechanism == AUTH_AUTO || config->mechanism == AUTH_PROXYAUTH;

    if (!any && config->mechanism != ways[way].mechanism)
        return false;
    if (any && way == AUTH_WAY_EXTERNAL && (config->password || config->token))
        return false;
    if (((traits & NEEDS_PASSWORD) && !config->password) || ((traits & NEEDS_TOKEN) && !config->token))
        return false;
    if ((traits & CLEAR) && !tls && !config->plaintext_allowed)
        return false;
    if ((traits & PLUS) && !scram_can_bind(ssl))
        return false;
    return !auth_has_authzid(config) || (traits & AUTHZID) || (traits & NEEDS_TOKEN);
}

struct order {
    const enum auth_way *ways;
    unsigned count;
};
#define ORDER(ways) ((struct order){ ways, sizeof ways / sizeof *ways })

static bool offers_its_library(const struct caps *caps)
{
    return slice_find_nocase(slice_cstr(caps->text), SLICE("AUTH=OPENID20")) != SIZE_MAX ||
           slice_find_nocase(slice_cstr(caps->text), SLICE("AUTH=SAML20")) != SIZE_MAX;
}

static struct order order_of(const struct auth_config *config, const struct caps *caps, bool tls)
{
    if (config->mechanism == AUTH_KERIO_MASTER)
        return ORDER(order_kerio);
    if (config->mechanism == AUTH_GROUPWISE)
        return ORDER(order_groupwise);
    if (config->mechanism == AUTH_AUTO && !config->token && has_form(config))
        return ORDER(order_form);
    if (config->mechanism == AUTH_AUTO && !config->token && auth_has_authzid(config) && tls)
        return ORDER(order_authzid);
    if (config->mechanism == AUTH_AUTO && !config->token && tls && offers_its_library(caps))
        return ORDER(order_library);
    return tls ? ORDER(order_tls) : ORDER(order_clear);
}

bool auth_choose(const struct auth_config *config, const struct caps *caps, bool tls,
                 const struct ssl_st *ssl, unsigned tried, enum auth_way *way_r, struct err *err_r)
{
    struct order order = order_of(config, caps, tls);
    bool fitting = false;

    for (unsigned i = 0; i < order.count; i++) {
        enum auth_way way = order.ways[i];

        if (!fits(way, config, tls, ssl))
            continue;
        fitting = true;
        if (!(tried & (1u << way)) && offered(way, caps)) {
            *way_r = way;
            return true;
        }
    }
    if (!tls && !config->plaintext_allowed && !fitting)
        return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_CONFIG, 0,
                       "no way to log in without TLS that keeps the password secret");
    if (!fitting)
        return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_CONFIG, 0,
                       "no credentials for auth = %s", mechanism_names[config->mechanism]);
    return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_CONFIG, 0,
                   "the server offers no login for auth = %s%s; it offers: %s",
                   mechanism_names[config->mechanism], tried ? " that is left to try" : "", caps->text);
}

bool auth_append_text(const struct auth_config *config, struct slice text, struct buf *out)
{
    return config->windows_1252 ? windows1252_append(text, out) : buf_append(out, text);
}

bool auth_password(const struct auth_config *config, struct buf *out)
{
    return auth_append_text(config, secret_peek(config->password), out);
}

bool auth_login_name(const struct auth_config *config, struct buf *out)
{
    struct slice user = slice_cstr(config->user), admin = slice_cstr(config->admin_user);
    struct slice form = slice_cstr(config->login_form), domain;
    size_t at = slice_find(user, '@');

    if (!has_form(config))
        return auth_append_text(config, has_admin(config) ? admin : user, out);
    domain = at == SIZE_MAX ? SLICE("") : slice_from(user, at + 1);
    /* Where the form writes the domain itself, the user is what stands before it. */
    if (slice_find_nocase(form, SLICE("{domain}")) != SIZE_MAX)
        user = slice_first(user, at);
    while (form.size) {
        static const char *const names[] = { "{user}", "{admin}", "{domain}" };
        const struct slice values[] = { user, admin, domain };
        unsigned i;

        for (i = 0; i < 3; i++)
            if (slice_starts_nocase(form, slice_cstr(names[i])))
                break;
        if (!auth_append_text(config, i < 3 ? values[i] : slice_first(form, 1), out))
            return false;
        form = slice_from(form, i < 3 ? strlen(names[i]) : 1);
    }
    return true;
}

static bool failed(struct err *err_r, const char *mechanism, const char *why)
{
    return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_PROTOCOL, 0, "%s: %s",
                   mechanism, why);
}

static bool encode(struct slice bytes, struct buf *out)
{
    char *at;

    if (bytes.size > RESPONSE_MAX)
        return false;
    at = buf_reserve(out, (bytes.size + 2) / 3 * 4 + 1);
    if (!at)
        return false;
    if (bytes.size)
        buf_commit(out, (size_t)EVP_EncodeBlock((unsigned char *)at, (const unsigned char *)bytes.data,
                                                (int)bytes.size));
    return true;
}

/* ---- SCRAM ---- */

static bool offers_plus(const struct caps *caps)
{
    return caps_has(caps, CAP_AUTH_SCRAM_SHA_1_PLUS) || caps_has(caps, CAP_AUTH_SCRAM_SHA_256_PLUS);
}

static bool scram_begin(struct auth *auth, const struct caps *caps, struct ssl_st *ssl,
                        struct err *err_r)
{
    const struct auth_config *config = auth->config;
    enum scram_binding binding = ways[auth->way].traits & PLUS               ? SCRAM_BOUND
                                 : scram_can_bind(ssl) && !offers_plus(caps) ? SCRAM_WOULD
                                                                             : SCRAM_UNBOUND;
    struct buf name;

    buf_init(&name, 1024);
    if (auth_login_name(config, &name))
        auth->scram = scram_create(buf_slice(&name), auth_has_authzid(config) ? config->user : NULL,
                                   ways[auth->way].mechanism == AUTH_SCRAM_SHA_1, binding, ssl);
    buf_deinit(&name);
    return auth->scram || failed(err_r, ways[auth->way].name,
                                 "the user name is too long, or none that SASLprep (RFC 4013) takes");
}

static bool wants_work(const struct auth *auth)
{
    return auth->scram && auth->step == 1 && !auth->work;
}

static struct scram_work *work_of(const struct auth *auth, struct slice challenge, long *rounds_r)
{
    return scram_work_create(challenge, secret_peek(auth->config->password),
                             ways[auth->way].mechanism == AUTH_SCRAM_SHA_1, rounds_r);
}

struct scram_work *auth_work(const struct auth *auth, struct slice challenge)
{
    long rounds;

    return wants_work(auth) ? work_of(auth, challenge, &rounds) : NULL;
}

void auth_worked(struct auth *auth, struct scram_work *work)
{
    assert(wants_work(auth));
    auth->work = work;
}

/* The server refuses in SCRAM's own words. */
static bool refused_in_words(struct auth *auth, const char *word, struct err *err_r)
{
    if (strcmp(word, SCRAM_CAN_BIND) != 0)
        return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_PROTOCOL, 0,
                       "%s: the server refuses: %s", ways[auth->way].name, word);
    auth->spent = true; /* no other way is tried: it would be told to whoever is in between */
    return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_TLS, 0,
                   "%s: the server can bind a login to its TLS connection, and its offer to do so "
                   "did not come here: "
                   "somebody in between may have taken it out. No password was sent",
                   ways[auth->way].name);
}

/* The hashing, where nobody did it before, and why there is none to do. */
static bool work_now(struct auth *auth, struct slice challenge, struct err *err_r)
{
    char word[96];
    long rounds;

    auth->work = work_of(auth, challenge, &rounds);
    if (auth->work) {
        scram_work_run(auth->work);
        return true;
    }
    if (rounds)
        return err_set(
            err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_PROTOCOL, 0,
            "%s: the server asks for %ld rounds of hashing; from %d (RFC 7677) to %d are computed",
            ways[auth->way].name, rounds, SCRAM_ROUNDS_MIN, SCRAM_ROUNDS_MAX);
    scram_refusal(challenge, word);
    if (word[0])
        return refused_in_words(auth, word, err_r);
    return failed(err_r, ways[auth->way].name, "the server's first message cannot be read");
}

static bool scram_next(struct auth *auth, struct slice challenge, struct buf *out,
                       struct err *err_r)
{
    const char *wrong;

    if (wants_work(auth) && !work_now(auth, challenge, err_r))
        return false;
    if (auth->step == 0) {
        wrong = scram_first(auth->scram, out);
    } else if (auth->step == 1) {
        wrong = scram_final(auth->scram, challenge, auth->work, out);
        auth->spent = !wrong;
        scram_work_destroy(&auth->work);
    } else {
        wrong = scram_verify(auth->scram, challenge);
        auth->proven = !wrong;
    }
    return !wrong || failed(err_r, ways[auth->way].name, wrong);
}

/* ---- libgsasl's CRAM-MD5 ---- */

static bool gsasl_begin(struct auth *auth, struct err *err_r)
{
    struct slice password = secret_peek(auth->config->password);
    struct buf name;
    int rc = gsasl_init(&auth->gsasl);

    if (rc == GSASL_OK)
        rc = gsasl_client_start(auth->gsasl, ways[auth->way].name, &auth->exchange);
    if (rc != GSASL_OK)
        return failed(err_r, ways[auth->way].name, gsasl_strerror(rc));
    buf_init(&name, 1024);
    if (!auth_login_name(auth->config, &name)) {
        buf_deinit(&name);
        return failed(err_r, ways[auth->way].name, "user name too long");
    }
    gsasl_property_set_raw(auth->exchange, GSASL_AUTHID, name.data ? name.data : "", name.size);
    buf_deinit(&name);
    gsasl_property_set_raw(auth->exchange, GSASL_PASSWORD, password.data, password.size);
    return true;
}

static bool gsasl_next(struct auth *auth, struct slice challenge, struct buf *out, struct err *err_r)
{
    char *question = slice_dup(challenge), *answer = NULL;
    bool done;
    int rc = gsasl_step64(auth->exchange, question, &answer);

    free(question);
    if (rc != GSASL_OK && rc != GSASL_NEEDS_MORE) {
        gsasl_free(answer);
        return failed(err_r, ways[auth->way].name, gsasl_strerror(rc));
    }
    done = answer == NULL || buf_append(out, slice_cstr(answer));
    if (answer && answer[0])
        auth->spent = true;
    auth->proven = rc == GSASL_OK;
    gsasl_free(answer);
    return done || failed(err_r, ways[auth->way].name, "answer too long");
}

/* ---- mechanisms by hand ---- */

/* An OAuth server explains its refusal before it says NO; the empty answer lets it. */
static bool refused(struct auth *auth, struct slice challenge, struct buf *out)
{
    unsigned char json[sizeof auth->refusal * 2];
    struct slice part = slice_first(challenge, sizeof json / 4 * 4);
    int n;

    part.size -= part.size % 4;
    n = part.size ? EVP_DecodeBlock(json, (const unsigned char *)part.data, (int)part.size) : -1;
    while (n > 0 && json[n - 1] == '\0')
        n--;
    if (n > 0)
        err_printable(auth->refusal, sizeof auth->refusal, (const char *)json, (size_t)n);
    return auth->way != AUTH_WAY_OAUTHBEARER || buf_append(out, SLICE("AQ=="));
}

static bool hand_next(struct auth *auth, struct slice challenge, struct buf *out, struct err *err_r)
{
    const struct auth_config *config = auth->config;
    struct buf message;
    bool good = true;

    if (auth->step >= 8)
        return failed(err_r, ways[auth->way].name, "the server asks without end");
    if (auth->step == 0 && auth->way == AUTH_WAY_KERIO) {
        auth->spent = true;
        return auth_message_kerio(config, slice_trim(challenge), out) ||
               failed(err_r, ways[auth->way].name, "MD5 is not to be had here");
    }
    if (auth->step > 0 && (auth->way == AUTH_WAY_XOAUTH2 || auth->way == AUTH_WAY_OAUTHBEARER))
        return refused(auth, challenge, out) || failed(err_r, ways[auth->way].name, "answer too long");
    buf_init(&message, RESPONSE_MAX);
    if (auth->way == AUTH_WAY_LOGIN) {
        /* The first prompt is for the name, the second for the password, whatever they say (L07). */
        if (auth->step > 1)
            good = false;
        else
            good = auth->step == 0 ? auth_login_name(config, &message)
                                   : auth_password(config, &message);
        auth->spent = auth->step >= 1;
    } else if (auth->step == 0) {
        if (auth->way == AUTH_WAY_GROUPWISE)
            good = buf_append(out, SLICE("XGWTRUSTEDAPP "));
        good = good && auth_message(config, auth->way, &message);
        auth->spent = auth->way != AUTH_WAY_EXTERNAL;
    } else {
        good = false;
    }
    good = good && encode(buf_slice(&message), out);
    if (message.data)
        secret_wipe(message.data, message.room);
    buf_deinit(&message);
    return good || failed(err_r, ways[auth->way].name, "a question too many, or too long an answer");
}

bool auth_create(const struct auth_config *config, enum auth_way way, const struct caps *caps,
                 struct ssl_st *ssl, struct auth **auth_r, struct err *err_r)
{
    struct auth *auth = mem_zero(1, sizeof *auth);

    assert(way != AUTH_WAY_NONE && way != AUTH_WAY_COMMAND);
    auth->config = config;
    auth->way = way;
    auth->proven = !(ways[way].traits & (GSASL | SCRAM));
    if (((ways[way].traits & GSASL) && !gsasl_begin(auth, err_r)) ||
        ((ways[way].traits & SCRAM) && !scram_begin(auth, caps, ssl, err_r))) {
        auth_destroy(&auth);
        return false;
    }
    *auth_r = auth;
    return true;
}

void auth_destroy(struct auth **auth)
{
    char *password;

    if (!*auth)
        return;
    if ((*auth)->exchange) {
        password = (char *)(uintptr_t)gsasl_property_fast((*auth)->exchange, GSASL_PASSWORD);
        if (password)
            secret_wipe(password, strlen(password));
        gsasl_finish((*auth)->exchange);
    }
    if ((*auth)->gsasl)
        gsasl_done((*auth)->gsasl);
    scram_destroy(&(*auth)->scram);
    scram_work_destroy(&(*auth)->work);
    free(*auth);
    *auth = NULL;
}

bool auth_client_first(const struct auth *auth)
{
    return ways[auth->way].traits & CLIENT_FIRST;
}

bool auth_step(struct auth *auth, struct slice challenge, struct buf *out, struct err *err_r)
{
    bool good = auth->scram   ? scram_next(auth, challenge, out, err_r)
                : auth->gsasl ? gsasl_next(auth, challenge, out, err_r)
                              : hand_next(auth, challenge, out, err_r);

    auth->step++;
    return good;
}

bool auth_finish(struct auth *auth, struct err *err_r)
{
    /* CRAM-MD5 has no proof by the server, and gsasl ends it with the client's answer. */
    return auth->proven || failed(err_r, ways[auth->way].name, "the server did not prove that it knows the password");
}

bool auth_spent(const struct auth *auth)
{
    return auth->spent;
}

const char *auth_refusal(const struct auth *auth)
{
    return auth->refusal;
}
