/* The endpoint that gives tokens: grants, and the answers of Microsoft's to them. */
#include "engine/rehearsal/exo_http.h"
#include "engine/rehearsal/exo_jwt.h"

#include "io/base/mem.h"
#include "io/base/now.h"

#include <jansson.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DEVICE_INTERVAL_MS 1000u
#define DEVICE_SLOWER_MS   5000u /* RFC 8628 3.5 */
#define DEVICE_GRACE_MS    100u  /* of a client's timer */

static void guid(char *out)
{
    uint8_t bytes[16];
    char hex[33];

    if (RAND_bytes(bytes, sizeof bytes) != 1)
        abort();
    exo_hex(bytes, sizeof bytes, hex);
    snprintf(out, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

/* ---- grants: refresh tokens, device codes, used assertions ---- */

static bool grant_add(struct exo *exo, const char *code, const char *user, int64_t life_s)
{
    struct exo_grant *g;
    bool fresh = true;

    pthread_mutex_lock(&exo->lock);
    for (size_t i = 0; i < EXO_GRANTS_MAX; i++)
        fresh &= strcmp(exo->grants[i].code, code) != 0;
    g = &exo->grants[exo->grant_at % EXO_GRANTS_MAX];
    if (fresh) {
        exo->grant_at++;
        snprintf(g->code, sizeof g->code, "%s", code);
        snprintf(g->user, sizeof g->user, "%s", user);
        g->polls = g->slowed = 0;
        g->interval_ms = DEVICE_INTERVAL_MS;
        g->last_ms = now_ms();
        g->until = time(NULL) + life_s;
    }
    pthread_mutex_unlock(&exo->lock);
    return fresh;
}

/* False when unknown. Counts the use in copy->polls; past polls_max it is used up. */
static bool grant_use(struct exo *exo, const char *code, uint32_t polls_max, struct exo_grant *copy)
{
    bool found = false;

    pthread_mutex_lock(&exo->lock);
    for (size_t i = 0; i < EXO_GRANTS_MAX && code[0]; i++) {
        struct exo_grant *g = &exo->grants[i];

        if (strcmp(g->code, code) != 0)
            continue;
        found = true;
        g->polls++;
        *copy = *g;
        if (g->polls > polls_max)
            g->code[0] = '\0';
        break;
    }
    pthread_mutex_unlock(&exo->lock);
    return found;
}

/* ---- answers ---- */

static void answer_json(struct exo_conn *c, unsigned status, json_t *o)
{
    char *text = json_dumps(o, JSON_COMPACT);

    exo_http_answer(c, status, slice_cstr(text));
    free(text);
    json_decref(o);
}

static void refuse(struct exo_conn *c, unsigned aadsts, const char *error, const char *text)
{
    struct exo *exo = c->worker->exo;
    char trace[40], correlation[40], stamp[40], all[512], uri[128];
    time_t now = time(NULL);
    struct tm tm;

    guid(trace);
    guid(correlation);
    gmtime_r(&now, &tm);
    strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%SZ", &tm);
    snprintf(all, sizeof all, "AADSTS%u: %s Trace ID: %s Correlation ID: %s Timestamp: %s", aadsts, text, trace,
             correlation, stamp);
    snprintf(uri, sizeof uri, "https://login.microsoftonline.com/error?code=%u", aadsts);
    pthread_mutex_lock(&exo->lock);
    exo->stats.tokens_refused++;
    pthread_mutex_unlock(&exo->lock);
    answer_json(c, strcmp(error, "invalid_client") == 0 ? 401 : 400,
                json_pack("{s:s, s:s, s:[i], s:s, s:s, s:s, s:s}", "error", error, "error_description", all,
                          "error_codes", (int)aadsts, "timestamp", stamp, "trace_id", trace, "correlation_id",
                          correlation, "error_uri", uri));
}

static void refuse_known(struct exo_conn *c, unsigned aadsts)
{
    static const struct {
        unsigned aadsts;
        const char *error, *text;
    } rows[] = {
        { 7000215, "invalid_client",
          "Invalid client secret provided. Ensure the secret being sent in the request is the "
          "client secret value, not the client secret ID." },
        { 7000222, "invalid_client", "The provided client secret keys are expired." },
        { 7000218, "invalid_client",
          "The request body must contain the following parameter: 'client_assertion' or "
          "'client_secret'." },
        { 700016, "unauthorized_client", "Application was not found in the directory." },
        { 700027, "invalid_client", "Client assertion failed signature validation." },
        { 90002, "invalid_request", "Tenant not found." },
        { 65001, "invalid_grant", "The user or administrator has not consented." },
        { 1002012, "invalid_scope", "The provided value for scope is not valid." },
        { 70011, "invalid_scope", "The provided value for the scope is not valid." },
        { 70008, "invalid_grant", "The refresh token has expired." },
        { 50196, "invalid_grant", "The server terminated an operation: client request loop." },
        { 90055, "invalid_request", "The tenant has been throttled." },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].aadsts == aadsts) {
            refuse(c, aadsts, rows[i].error, rows[i].text);
            return;
        }
    }
    refuse(c, aadsts, "invalid_request", "Refused as configured.");
}

static void give(struct exo_conn *c, const char *user)
{
    const struct exo_config *config = &c->worker->config;
    struct exo *exo = c->worker->exo;
    struct exo_token token = {
        .user = user,
        .life_s = config->token_life_s,
        .audience = config->token_audience[0] ? config->token_audience : NULL,
        .role = strcmp(config->token_role, "none") == 0 ? ""
                : config->token_role[0]                 ? config->token_role
                                                        : NULL,
    };
    char *text = exo_token_create(exo, &token), refresh[40];
    json_t *o =
        json_pack("{s:s, s:I, s:I, s:s}", "token_type", "Bearer", "expires_in", (json_int_t)config->token_life_s,
                  "ext_expires_in", (json_int_t)config->token_life_s, "access_token", text);

    if (user) {
        guid(refresh);
        (void)grant_add(exo, refresh, user, 90 * 86400);
        json_object_set_new(o, "refresh_token", json_string(refresh));
        json_object_set_new(o, "scope", json_string(EXO_JWT_AUDIENCE "/" EXO_JWT_SCOPE));
    }
    pthread_mutex_lock(&exo->lock);
    exo->stats.tokens++;
    pthread_mutex_unlock(&exo->lock);
    answer_json(c, 200, o);
    free(text);
}

/* ---- client credentials ---- */

static bool signature_good(EVP_PKEY *key, bool pss, struct slice text, const struct buf *signature)
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    EVP_PKEY_CTX *padding;
    struct slice bytes = buf_slice(signature);
    bool good = digest && EVP_DigestVerifyInit(digest, &padding, EVP_sha256(), NULL, key) == 1;

    if (good && pss)
        good = EVP_PKEY_CTX_set_rsa_padding(padding, RSA_PKCS1_PSS_PADDING) == 1 &&
               EVP_PKEY_CTX_set_rsa_pss_saltlen(padding, RSA_PSS_SALTLEN_DIGEST) == 1;
    good = good && EVP_DigestVerify(digest, (const unsigned char *)bytes.data, bytes.size,
                                    (const unsigned char *)text.data, text.size) == 1;
    EVP_MD_CTX_free(digest);
    return good;
}

static bool thumbprint_good(struct exo *exo, const json_t *header)
{
    const char *sha256 = exo_jwt_claim(header, "x5t#S256"), *sha1 = exo_jwt_claim(header, "x5t");
    struct buf bytes;
    bool good = false;

    buf_init(&bytes, 64);
    if (exo_base64_decode(&bytes, slice_cstr(sha256[0] ? sha256 : sha1)))
        good = sha256[0] ? slice_equal(buf_slice(&bytes), slice_of((char *)exo->client_sha256, 32))
                         : slice_equal(buf_slice(&bytes), slice_of((char *)exo->client_sha1, 20));
    buf_deinit(&bytes);
    return good;
}

static bool assertion_good(struct exo *exo, struct slice jwt)
{
    json_t *header = NULL, *claims = NULL;
    struct slice body;
    struct buf signature;
    int64_t now = time(NULL);
    bool good;

    buf_init(&signature, EXO_JWT_MAX);
    good = exo_jwt_open(jwt, &header, &claims, &body, &signature);
    if (good) {
        const char *alg = exo_jwt_claim(header, "alg"), *id = exo->config.client_id;
        bool pss = strcmp(alg, "PS256") == 0;

        good = (pss || strcmp(alg, "RS256") == 0) && strcmp(exo_jwt_claim(claims, "iss"), id) == 0 &&
               strcmp(exo_jwt_claim(claims, "sub"), id) == 0 && exo_jwt_claim(claims, "jti")[0] &&
               strstr(exo_jwt_claim(claims, "aud"), "/oauth2/v2.0/token") &&
               json_integer_value(json_object_get(claims, "exp")) > now &&
               json_integer_value(json_object_get(claims, "nbf")) <= now + 300 &&
               (exo_jwt_claim(header, "x5t#S256")[0] || exo_jwt_claim(header, "x5t")[0]);
        if (good && exo->client_key)
            good = thumbprint_good(exo, header) && signature_good(exo->client_key, pss, body, &signature);
        /* A jti is good once. */
        good = good && grant_add(exo, exo_jwt_claim(claims, "jti"), "", 600);
    }
    buf_deinit(&signature);
    json_decref(header);
    json_decref(claims);
    return good;
}

static void credentials(struct exo_conn *c, struct slice form)
{
    struct exo *exo = c->worker->exo;
    char secret[256], scope[256] = "", *assertion = mem_alloc(EXO_JWT_MAX);

    (void)exo_form_field(form, "scope", scope, sizeof scope);
    if (strcmp(scope, EXO_JWT_AUDIENCE "/.default") != 0)
        refuse_known(c, 1002012);
    else if (exo_form_field(form, "client_assertion", assertion, EXO_JWT_MAX)) {
        if (assertion_good(exo, slice_cstr(assertion)))
            give(c, NULL);
        else
            refuse_known(c, 700027);
    } else if (!exo_form_field(form, "client_secret", secret, sizeof secret))
        refuse_known(c, 7000218);
    else if (!exo->config.client_secret[0] || strcmp(secret, exo->config.client_secret) != 0)
        refuse_known(c, 7000215);
    else
        give(c, NULL);
    free(assertion);
}

/* ---- device codes: RFC 8628 with Microsoft's words ---- */

static void device_start(struct exo_conn *c, struct slice form)
{
    const struct exo_config *config = &c->worker->config;
    char code[40], user[256], scope[512] = "";

    (void)exo_form_field(form, "scope", scope, sizeof scope);
    if (!strstr(scope, EXO_JWT_SCOPE)) {
        refuse_known(c, 70011);
        return;
    }
    guid(code);
    /* Nobody is there to choose who signs in. */
    snprintf(user, sizeof user, "%s%s%s", config->device_user[0] ? config->device_user : "user0001",
             config->device_user[0] ? "" : "@", config->device_user[0] ? "" : config->domain);
    (void)grant_add(c->worker->exo, code, user, config->device_life_s);
    answer_json(c, 200,
                json_pack("{s:s, s:s, s:s, s:i, s:i, s:s}", "device_code", code, "user_code", "EXOSIM123",
                          "verification_uri", "https://microsoft.com/devicelogin", "expires_in",
                          (int)config->device_life_s, "interval", (int)(DEVICE_INTERVAL_MS / 1000), "message",
                          "To sign in, open https://microsoft.com/devicelogin and enter EXOSIM123."));
}

/* Counts a poll: the code's grant as it is, *slow_r when the client did not wait its interval or
 * is to be slowed down once more. A code that was approved, declined or has run out is forgotten. */
static bool device_take(struct exo *exo, const struct exo_config *config, const char *code, struct exo_grant *grant_r,
                        bool *slow_r)
{
    uint64_t now = now_ms();
    bool found = false;

    pthread_mutex_lock(&exo->lock);
    exo->stats.device_polls++;
    for (size_t i = 0; i < EXO_GRANTS_MAX && code[0] && !found; i++) {
        struct exo_grant *g = &exo->grants[i];
        bool early;

        if (strcmp(g->code, code) != 0)
            continue;
        found = true;
        early = now + DEVICE_GRACE_MS < g->last_ms + g->interval_ms;
        exo->stats.device_polls_early += early;
        *slow_r = early || g->slowed < config->device_slow;
        g->last_ms = now;
        if (*slow_r) {
            g->slowed++;
            g->interval_ms += DEVICE_SLOWER_MS;
        } else {
            g->polls++;
        }
        *grant_r = *g;
        if (g->polls > config->device_polls || g->until < time(NULL))
            g->code[0] = '\0';
    }
    pthread_mutex_unlock(&exo->lock);
    return found;
}

static void device_poll(struct exo_conn *c, struct slice form)
{
    const struct exo_config *config = &c->worker->config;
    struct exo_grant grant;
    bool slow = false;
    char code[64] = "";

    (void)exo_form_field(form, "device_code", code, sizeof code);
    if (!device_take(c->worker->exo, config, code, &grant, &slow))
        refuse(c, 70018, "bad_verification_code", "Bad verification code.");
    else if (grant.until < time(NULL))
        refuse(c, 70019, "expired_token", "Verification code expired.");
    else if (slow)
        refuse(c, 70016, "slow_down", "Polled too often.");
    else if (grant.polls <= config->device_polls)
        refuse(c, 70016, "authorization_pending", "Authorization is pending.");
    else if (config->device_declined)
        refuse(c, 70000, "authorization_declined", "The user declined.");
    else
        give(c, grant.user);
}

static void refresh(struct exo_conn *c, struct slice form)
{
    struct exo_grant grant;
    char code[64] = "";

    (void)exo_form_field(form, "refresh_token", code, sizeof code);
    if (grant_use(c->worker->exo, code, c->worker->config.refresh_once ? 0 : UINT32_MAX, &grant) &&
        grant.until >= time(NULL))
        give(c, grant.user);
    else
        refuse_known(c, 70008);
}

/* True when this answer is one of those that were told to fail. */
static bool told_to_fail(struct exo_conn *c)
{
    struct exo *exo = c->worker->exo;
    uint32_t status, aadsts;
    bool fail;

    pthread_mutex_lock(&exo->config_lock);
    fail = exo->config.token_errors > 0;
    exo->config.token_errors -= fail;
    status = exo->config.token_status;
    aadsts = exo->config.token_aadsts;
    pthread_mutex_unlock(&exo->config_lock);
    if (fail && status)
        exo_http_answer(c, status, SLICE("Service Unavailable"));
    else if (fail)
        refuse_known(c, aadsts);
    return fail;
}

static void answer(struct exo_conn *c, const struct exo_request *r)
{
    struct exo *exo = c->worker->exo;
    struct slice path = slice_from(r->path, 1), tenant;
    char grant[128] = "", client[128] = "";

    pthread_mutex_lock(&exo->lock);
    exo->stats.token_requests++;
    pthread_mutex_unlock(&exo->lock);
    if (told_to_fail(c))
        return;
    if (!slice_split(&path, '/', &tenant) || !slice_equal(r->method, SLICE("POST")) ||
        (!slice_equal(path, SLICE("oauth2/v2.0/token")) && !slice_equal(path, SLICE("oauth2/v2.0/devicecode")))) {
        exo_http_answer(c, 404, SLICE("{}"));
        return;
    }
    (void)exo_form_field(r->body, "client_id", client, sizeof client);
    (void)exo_form_field(r->body, "grant_type", grant, sizeof grant);
    if (!slice_equal_nocase(tenant, slice_cstr(exo->config.tenant)) &&
        !slice_equal_nocase(tenant, slice_cstr(exo->config.tenant_id)))
        refuse_known(c, 90002);
    else if (strcmp(client, exo->config.client_id) != 0)
        refuse_known(c, 700016);
    else if (slice_ends(path, SLICE("devicecode")))
        device_start(c, r->body);
    else if (strcmp(grant, "client_credentials") == 0)
        credentials(c, r->body);
    else if (strcmp(grant, "urn:ietf:params:oauth:grant-type:device_code") == 0)
        device_poll(c, r->body);
    else if (strcmp(grant, "refresh_token") == 0)
        refresh(c, r->body);
    else
        refuse(c, 70003, "unsupported_grant_type", "The grant type is not supported.");
}

static void answer_next(struct exo_conn *c)
{
    struct exo_request request;
    size_t bytes;

    if (exo_http_take(c, &request, &bytes)) {
        answer(c, &request);
        buf_consume(&c->in, bytes);
    }
}

static bool token_input(struct exo_conn *c)
{
    struct exo_request request;
    size_t bytes;

    if (!exo_http_take(c, &request, &bytes))
        return c->closing != EXO_OPEN;
    if (c->worker->config.token_ms)
        exo_conn_wait(c, c->worker->config.token_ms, answer_next);
    else
        answer_next(c);
    return true;
}

const struct exo_service exo_token_service = {
    .out_max = 4u * 1024 * 1024,
    .opened = exo_http_opened,
    .input = token_input,
    .deadline = exo_http_deadline,
    .late = exo_http_late,
    .gone = exo_http_gone,
};
