/* One login: the answers to the server's challenges. */
#include "engine/imap/auth_private.h"

#include "engine/imap/auth_message.h"
#include "engine/imap/scram.h"
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

static bool failed(struct err *err_r, const char *mechanism, const char *why)
{
    return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_PROTOCOL, 0, "%s: %s", mechanism, why);
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
        buf_commit(out,
                   (size_t)EVP_EncodeBlock((unsigned char *)at, (const unsigned char *)bytes.data, (int)bytes.size));
    return true;
}

/* ---- SCRAM ---- */

static bool offers_plus(const struct caps *caps)
{
    return caps_has(caps, CAP_AUTH_SCRAM_SHA_1_PLUS) || caps_has(caps, CAP_AUTH_SCRAM_SHA_256_PLUS);
}

static bool scram_begin(struct auth *auth, const struct caps *caps, struct ssl_st *ssl, struct err *err_r)
{
    const struct auth_config *config = auth->config;
    enum scram_binding binding = auth_way_traits(auth->way) & AUTH_PLUS      ? SCRAM_BOUND
                                 : scram_can_bind(ssl) && !offers_plus(caps) ? SCRAM_WOULD
                                                                             : SCRAM_UNBOUND;
    struct buf name;

    buf_init(&name, 1024);
    if (auth_login_name(config, &name))
        auth->scram = scram_create(buf_slice(&name), auth_has_authzid(config) ? config->user : NULL,
                                   auth_way_mechanism(auth->way) == AUTH_SCRAM_SHA_1, binding, ssl);
    buf_deinit(&name);
    return auth->scram ||
           failed(err_r, auth_way_name(auth->way), "the user name is too long, or none that SASLprep (RFC 4013) takes");
}

static bool wants_work(const struct auth *auth)
{
    return auth->scram && auth->step == 1 && !auth->work;
}

static struct scram_work *work_of(const struct auth *auth, struct slice challenge, long *rounds_r)
{
    return scram_work_create(challenge, secret_peek(auth->config->password),
                             auth_way_mechanism(auth->way) == AUTH_SCRAM_SHA_1, rounds_r);
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
                       "%s: the server refuses: %s", auth_way_name(auth->way), word);
    auth->spent = true; /* no other way is tried: it would be told to whoever is in between */
    return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_TLS, 0,
                   "%s: the server can bind a login to its TLS connection, and its offer to do so "
                   "did not come here: "
                   "somebody in between may have taken it out. No password was sent",
                   auth_way_name(auth->way));
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
        return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_PROTOCOL, 0,
                       "%s: the server asks for %ld rounds of hashing; from %d (RFC 7677) to %d are computed",
                       auth_way_name(auth->way), rounds, SCRAM_ROUNDS_MIN, SCRAM_ROUNDS_MAX);
    scram_refusal(challenge, word);
    if (word[0])
        return refused_in_words(auth, word, err_r);
    return failed(err_r, auth_way_name(auth->way), "the server's first message cannot be read");
}

static bool scram_next(struct auth *auth, struct slice challenge, struct buf *out, struct err *err_r)
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
    return !wrong || failed(err_r, auth_way_name(auth->way), wrong);
}

/* ---- libgsasl's CRAM-MD5 ---- */

static bool gsasl_begin(struct auth *auth, struct err *err_r)
{
    struct slice password = secret_peek(auth->config->password);
    struct buf name;
    int rc = gsasl_init(&auth->gsasl);

    if (rc == GSASL_OK)
        rc = gsasl_client_start(auth->gsasl, auth_way_name(auth->way), &auth->exchange);
    if (rc != GSASL_OK)
        return failed(err_r, auth_way_name(auth->way), gsasl_strerror(rc));
    buf_init(&name, 1024);
    if (!auth_login_name(auth->config, &name)) {
        buf_deinit(&name);
        return failed(err_r, auth_way_name(auth->way), "user name too long");
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
        return failed(err_r, auth_way_name(auth->way), gsasl_strerror(rc));
    }
    done = answer == NULL || buf_append(out, slice_cstr(answer));
    if (answer && answer[0])
        auth->spent = true;
    auth->proven = rc == GSASL_OK;
    gsasl_free(answer);
    return done || failed(err_r, auth_way_name(auth->way), "answer too long");
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
        return failed(err_r, auth_way_name(auth->way), "the server asks without end");
    if (auth->step == 0 && auth->way == AUTH_WAY_KERIO) {
        auth->spent = true;
        return auth_message_kerio(config, slice_trim(challenge), out) ||
               failed(err_r, auth_way_name(auth->way), "MD5 is not to be had here");
    }
    if (auth->step > 0 && (auth->way == AUTH_WAY_XOAUTH2 || auth->way == AUTH_WAY_OAUTHBEARER))
        return refused(auth, challenge, out) || failed(err_r, auth_way_name(auth->way), "answer too long");
    buf_init(&message, RESPONSE_MAX);
    if (auth->way == AUTH_WAY_LOGIN) {
        /* The first prompt is for the name, the second for the password, whatever they say (L07). */
        if (auth->step > 1)
            good = false;
        else
            good = auth->step == 0 ? auth_login_name(config, &message) : auth_password(config, &message);
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
    return good || failed(err_r, auth_way_name(auth->way), "a question too many, or too long an answer");
}

bool auth_create(const struct auth_config *config, enum auth_way way, const struct caps *caps, struct ssl_st *ssl,
                 struct auth **auth_r, struct err *err_r)
{
    struct auth *auth = mem_zero(1, sizeof *auth);

    assert(way != AUTH_WAY_NONE && way != AUTH_WAY_COMMAND);
    auth->config = config;
    auth->way = way;
    auth->proven = !(auth_way_traits(way) & (AUTH_BY_GSASL | AUTH_BY_SCRAM));
    if (((auth_way_traits(way) & AUTH_BY_GSASL) && !gsasl_begin(auth, err_r)) ||
        ((auth_way_traits(way) & AUTH_BY_SCRAM) && !scram_begin(auth, caps, ssl, err_r))) {
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
    return auth_way_traits(auth->way) & AUTH_CLIENT_FIRST;
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
    return auth->proven ||
           failed(err_r, auth_way_name(auth->way), "the server did not prove that it knows the password");
}

bool auth_spent(const struct auth *auth)
{
    return auth->spent;
}

const char *auth_refusal(const struct auth *auth)
{
    return auth->refusal;
}
