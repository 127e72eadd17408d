#include "engine/imap/auth.h"

#include "engine/imap/windows1252.h"
#include "io/base/mem.h"

#include <assert.h>
#include <gsasl.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

#define RESPONSE_MAX (64u * 1024) /* an OAuth token is a few KiB */

/* RFC 7677 asks for 4,096 at least, and stores in use go to some 600,000. A loop stands still while
 * they are computed, and the server is who names the number. */
#define SCRAM_ROUNDS_MAX 1000000
/* And of fewer the answer is a gift to who stands in the middle and guesses passwords. */
#define SCRAM_ROUNDS_MIN 4096

struct auth {
    const struct auth_config *config;
    enum auth_way way;
    Gsasl *gsasl; /* NULL for ways done by hand */
    Gsasl_session *exchange;
    unsigned step;
    bool proven; /* the mechanism is at its end */
    bool spent;
    long rounds_asked; /* by a SCRAM server, when too many or too few */
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

enum { NEEDS_PASSWORD = 1, NEEDS_TOKEN = 2, CLEAR = 4, CLIENT_FIRST = 8, GSASL = 16, PLUS = 32, AUTHZID = 64 };

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
    [AUTH_WAY_SCRAM_SHA_256_PLUS] = { "SCRAM-SHA-256-PLUS", AUTH_SCRAM_SHA_256, CAP_AUTH_SCRAM_SHA_256_PLUS,
                                      NEEDS_PASSWORD | CLIENT_FIRST | GSASL | PLUS | AUTHZID },
    [AUTH_WAY_SCRAM_SHA_256] = { "SCRAM-SHA-256", AUTH_SCRAM_SHA_256, CAP_AUTH_SCRAM_SHA_256,
                                 NEEDS_PASSWORD | CLIENT_FIRST | GSASL | AUTHZID },
    [AUTH_WAY_SCRAM_SHA_1_PLUS] = { "SCRAM-SHA-1-PLUS", AUTH_SCRAM_SHA_1, CAP_AUTH_SCRAM_SHA_1_PLUS,
                                    NEEDS_PASSWORD | CLIENT_FIRST | GSASL | PLUS | AUTHZID },
    [AUTH_WAY_SCRAM_SHA_1] = { "SCRAM-SHA-1", AUTH_SCRAM_SHA_1, CAP_AUTH_SCRAM_SHA_1,
                               NEEDS_PASSWORD | CLIENT_FIRST | GSASL | AUTHZID },
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

static bool has_authzid(const struct auth_config *config)
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

/* Both sides of the handshake are bound to this one: TLS 1.3, or below it with RFC 7627, without which
 * tls-unique can be made equal on two connections. RFC 9266 4. */
static bool can_bind(const struct ssl_st *ssl)
{
    return ssl && (SSL_version(ssl) >= TLS1_3_VERSION || SSL_get_extms_support((SSL *)(uintptr_t)ssl) == 1);
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
    if ((traits & PLUS) && !can_bind(ssl))
        return false;
    return !has_authzid(config) || (traits & AUTHZID) || (traits & NEEDS_TOKEN);
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
    if (config->mechanism == AUTH_AUTO && !config->token && has_authzid(config) && tls)
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

static bool append_text(const struct auth_config *config, struct slice text, struct buf *out)
{
    return config->windows_1252 ? windows1252_append(text, out) : buf_append(out, text);
}

bool auth_password(const struct auth_config *config, struct buf *out)
{
    return append_text(config, secret_peek(config->password), out);
}

bool auth_login_name(const struct auth_config *config, struct buf *out)
{
    struct slice user = slice_cstr(config->user), admin = slice_cstr(config->admin_user);
    struct slice form = slice_cstr(config->login_form), domain;
    size_t at = slice_find(user, '@');

    if (!has_form(config))
        return append_text(config, has_admin(config) ? admin : user, out);
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
        if (!append_text(config, i < 3 ? values[i] : slice_first(form, 1), out))
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

/* ---- libgsasl's mechanisms ---- */

/* RFC 9266 for TLS 1.3, RFC 5929 3 below it. */
static void bind_channel(struct auth *auth, struct ssl_st *ssl)
{
    unsigned char bytes[64];
    char text[128];
    size_t size = 0;
    Gsasl_property property = GSASL_CB_TLS_EXPORTER;

    if (SSL_version(ssl) >= TLS1_3_VERSION) {
        static const char label[] = "EXPORTER-Channel-Binding";

        size = 32;
        if (SSL_export_keying_material(ssl, bytes, size, label, sizeof label - 1, NULL, 0, 1) != 1)
            return;
    } else {
        property = GSASL_CB_TLS_UNIQUE;
        size = SSL_session_reused(ssl) ? SSL_get_peer_finished(ssl, bytes, sizeof bytes)
                                       : SSL_get_finished(ssl, bytes, sizeof bytes);
        if (size == 0 || size > sizeof bytes)
            return;
    }
    EVP_EncodeBlock((unsigned char *)text, bytes, (int)size);
    gsasl_property_set(auth->exchange, property, text);
}

static void wipe_property(Gsasl_session *exchange, Gsasl_property property)
{
    char *copy = (char *)(uintptr_t)gsasl_property_fast(exchange, property);

    if (copy)
        secret_wipe(copy, strlen(copy));
}

/* RFC 5802 3, Hi(): the salted password, for which gsasl asks before it would compute it itself, some
 * eight times slower. GSASL_NO_CALLBACK: it has to ask otherwise. */
static int salted_password(struct auth *auth, Gsasl_session *exchange)
{
    bool sha1 = ways[auth->way].mechanism == AUTH_SCRAM_SHA_1;
    const char *salt64 = gsasl_property_fast(exchange, GSASL_SCRAM_SALT);
    const char *rounds_text = gsasl_property_fast(exchange, GSASL_SCRAM_ITER);
    const char *clear = gsasl_property_fast(exchange, GSASL_PASSWORD);
    char *salt = NULL, *password = NULL, hex[2 * EVP_MAX_MD_SIZE + 1];
    unsigned char key[EVP_MAX_MD_SIZE];
    size_t salt_size, key_size = sha1 ? 20 : 32;
    long rounds = rounds_text ? strtol(rounds_text, NULL, 10) : 0;
    int rc = GSASL_NO_CALLBACK;

    if (!salt64 || !clear || rounds <= 0)
        return GSASL_NO_CALLBACK;
    if (rounds > SCRAM_ROUNDS_MAX || rounds < SCRAM_ROUNDS_MIN) {
        auth->rounds_asked = rounds;
        wipe_property(exchange, GSASL_PASSWORD);
        return gsasl_property_set(exchange, GSASL_PASSWORD, NULL); /* or gsasl computes them */
    }
    if (gsasl_base64_from(salt64, strlen(salt64), &salt, &salt_size) == GSASL_OK &&
        salt_size <= RESPONSE_MAX &&
        gsasl_saslprep(clear, (Gsasl_saslprep_flags)0, &password, NULL) == GSASL_OK &&
        PKCS5_PBKDF2_HMAC(password, (int)strlen(password), (const unsigned char *)salt,
                          (int)salt_size, (int)rounds, sha1 ? EVP_sha1() : EVP_sha256(),
                          (int)key_size, key) == 1) {
        for (size_t i = 0; i < key_size; i++)
            snprintf(hex + 2 * i, 3, "%02x", key[i]);
        rc = gsasl_property_set(exchange, GSASL_SCRAM_SALTED_PASSWORD, hex);
        secret_wipe(hex, sizeof hex);
    }
    secret_wipe(key, sizeof key);
    if (password)
        secret_wipe(password, strlen(password));
    gsasl_free(password);
    gsasl_free(salt);
    return rc;
}

static int gsasl_asks(Gsasl *gsasl, Gsasl_session *exchange, Gsasl_property property)
{
    struct auth *auth = gsasl_callback_hook_get(gsasl);

    return property == GSASL_SCRAM_SALTED_PASSWORD ? salted_password(auth, exchange)
                                                   : GSASL_NO_CALLBACK;
}

static bool gsasl_begin(struct auth *auth, struct ssl_st *ssl, struct err *err_r)
{
    const struct auth_config *config = auth->config;
    struct slice password = secret_peek(config->password);
    struct buf name;
    int rc = gsasl_init(&auth->gsasl);

    if (rc != GSASL_OK)
        return failed(err_r, ways[auth->way].name, gsasl_strerror(rc));
    gsasl_callback_set(auth->gsasl, gsasl_asks);
    gsasl_callback_hook_set(auth->gsasl, auth);
    rc = gsasl_client_start(auth->gsasl, ways[auth->way].name, &auth->exchange);
    if (rc != GSASL_OK)
        return failed(err_r, ways[auth->way].name, gsasl_strerror(rc));
    buf_init(&name, 1024);
    if (!auth_login_name(config, &name)) {
        buf_deinit(&name);
        return failed(err_r, ways[auth->way].name, "user name too long");
    }
    gsasl_property_set_raw(auth->exchange, GSASL_AUTHID, name.data ? name.data : "", name.size);
    buf_deinit(&name);
    if (has_authzid(config))
        gsasl_property_set(auth->exchange, GSASL_AUTHZID, config->user);
    gsasl_property_set_raw(auth->exchange, GSASL_PASSWORD, password.data, password.size);
    gsasl_property_set(auth->exchange, GSASL_SERVICE, "imap");
    gsasl_property_set(auth->exchange, GSASL_HOSTNAME, config->host ? config->host : "localhost");
    if ((ways[auth->way].traits & PLUS) && ssl)
        bind_channel(auth, ssl);
    return true;
}

static bool gsasl_next(struct auth *auth, struct slice challenge, struct buf *out, struct err *err_r)
{
    char *question = slice_dup(challenge), *answer = NULL;
    bool done;
    int rc = gsasl_step64(auth->exchange, question, &answer);

    free(question);
    if (auth->rounds_asked) {
        gsasl_free(answer);
        return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_PROTOCOL, 0,
                       "%s: the server asks for %ld rounds of hashing; from %d (RFC 7677) to %d are computed",
                       ways[auth->way].name, auth->rounds_asked, SCRAM_ROUNDS_MIN, SCRAM_ROUNDS_MAX);
    }
    if (rc != GSASL_OK && rc != GSASL_NEEDS_MORE) {
        gsasl_free(answer);
        return failed(err_r, ways[auth->way].name, gsasl_strerror(rc));
    }
    done = answer == NULL || buf_append(out, slice_cstr(answer));
    if (answer && answer[0] && (auth->step > 0 || !(ways[auth->way].traits & CLIENT_FIRST)))
        auth->spent = true; /* SCRAM's first message holds no secret */
    auth->proven = rc == GSASL_OK;
    gsasl_free(answer);
    return done || failed(err_r, ways[auth->way].name, "answer too long");
}

/* ---- mechanisms by hand ---- */

static bool join(struct buf *b, struct slice text)
{
    return buf_append(b, text);
}

static bool plain_message(const struct auth_config *config, struct buf *message)
{
    return (!has_authzid(config) || append_text(config, slice_cstr(config->user), message)) &&
           join(message, SLICE("\0")) && auth_login_name(config, message) &&
           join(message, SLICE("\0")) && auth_password(config, message);
}

/* Name and key of a trusted application; the mechanism's name stands before it (A5). */
static bool application_message(const struct auth_config *config, struct buf *message)
{
    return auth_login_name(config, message) && join(message, SLICE("\0")) && auth_password(config, message);
}

/* The certificate says who asks, the message whom it is for: one certificate may serve all users. */
static bool external_message(const struct auth_config *config, struct buf *message)
{
    return join(message, slice_cstr(config->user));
}

/* The challenge is no base64: hex MD5 of it and the master password goes back as it is (A5). */
static bool kerio_answer(const struct auth_config *config, struct slice challenge, struct buf *out)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    struct slice password = secret_peek(config->password);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool good = md && EVP_DigestInit_ex(md, EVP_md5(), NULL) &&
                EVP_DigestUpdate(md, challenge.data ? challenge.data : "", challenge.size) &&
                EVP_DigestUpdate(md, password.data ? password.data : "", password.size) &&
                EVP_DigestFinal_ex(md, digest, &size);

    EVP_MD_CTX_free(md);
    for (unsigned i = 0; good && i < size; i++)
        good = buf_append_format(out, "%02x", digest[i]);
    return good;
}

static bool xoauth2_message(const struct auth_config *config, struct buf *message)
{
    return join(message, SLICE("user=")) && join(message, slice_cstr(config->user)) &&
           join(message, SLICE("\001auth=Bearer ")) && join(message, secret_peek(config->token)) &&
           join(message, SLICE("\001\001"));
}

/* RFC 7628 3.1; "=" and "," of the name are escaped as in RFC 5801 4. */
static bool oauthbearer_message(const struct auth_config *config, struct buf *message)
{
    bool good = join(message, SLICE("n,a="));

    for (const char *p = config->user; good && p && *p; p++)
        good = *p == '=' ? join(message, SLICE("=3D"))
               : *p == ',' ? join(message, SLICE("=2C"))
                           : join(message, slice_of(p, 1));
    return good && join(message, SLICE(",\001host=")) && join(message, slice_cstr(config->host)) &&
           buf_append_format(message, "\001port=%u", config->port) &&
           join(message, SLICE("\001auth=Bearer ")) && join(message, secret_peek(config->token)) &&
           join(message, SLICE("\001\001"));
}

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
        return kerio_answer(config, slice_trim(challenge), out) ||
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
        good = auth->way == AUTH_WAY_PLAIN          ? plain_message(config, &message)
               : auth->way == AUTH_WAY_XOAUTH2      ? xoauth2_message(config, &message)
               : auth->way == AUTH_WAY_OAUTHBEARER  ? oauthbearer_message(config, &message)
               : auth->way == AUTH_WAY_GROUPWISE    ? application_message(config, &message) &&
                                                       buf_append(out, SLICE("XGWTRUSTEDAPP "))
                                                    : external_message(config, &message);
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

bool auth_create(const struct auth_config *config, enum auth_way way, struct ssl_st *ssl,
                 struct auth **auth_r, struct err *err_r)
{
    struct auth *auth = mem_zero(1, sizeof *auth);

    assert(way != AUTH_WAY_NONE && way != AUTH_WAY_COMMAND);
    /* gsasl takes text as UTF-8 and prepares it itself. */
    auth->config = config;
    auth->way = way;
    auth->proven = !(ways[way].traits & GSASL);
    if ((ways[way].traits & GSASL) && !gsasl_begin(auth, ssl, err_r)) {
        auth_destroy(&auth);
        return false;
    }
    *auth_r = auth;
    return true;
}

void auth_destroy(struct auth **auth)
{
    if (!*auth)
        return;
    if ((*auth)->exchange) {
        wipe_property((*auth)->exchange, GSASL_PASSWORD);
        wipe_property((*auth)->exchange, GSASL_SCRAM_SALTED_PASSWORD);
        gsasl_finish((*auth)->exchange);
    }
    if ((*auth)->gsasl)
        gsasl_done((*auth)->gsasl);
    free(*auth);
    *auth = NULL;
}

bool auth_client_first(const struct auth *auth)
{
    return ways[auth->way].traits & CLIENT_FIRST;
}

bool auth_step(struct auth *auth, struct slice challenge, struct buf *out, struct err *err_r)
{
    bool good = auth->gsasl ? gsasl_next(auth, challenge, out, err_r) : hand_next(auth, challenge, out, err_r);

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
