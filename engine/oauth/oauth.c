#include "engine/oauth/oauth_private.h"

#include "io/base/mem.h"

#include <ctype.h>
#include <jansson.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

#define ASSERTION_LIFE_S 600
#define TOKEN_BYTES_MAX  65536u

void oauth_token_deinit(struct oauth_token *token)
{
    secret_destroy(&token->access);
    secret_destroy(&token->refresh);
}

static bool refuse(struct err *err_r, const char *file, const char *why)
{
    return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_TOKEN, 0, "%s: %s", file, why);
}

/* ---- forms --------------------------------------------------------------------------------- */

bool oauth_append_field(struct buf *form, const char *name, struct slice value)
{
    bool ok = buf_append_format(form, "%s%s=", buf_slice(form).size ? "&" : "", name);

    for (size_t i = 0; ok && i < value.size; i++) {
        unsigned char c = (unsigned char)value.data[i];

        if (isalnum(c) || c == '-' || c == '.' || c == '_' || c == '~')
            ok = buf_append(form, slice_of((const char *)&c, 1));
        else
            ok = buf_append_format(form, "%%%02X", c);
    }
    return ok;
}

/* base64url without padding, as RFC 7515 2 wants it. */
static bool append_base64url(struct buf *out, const unsigned char *data, size_t size)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    bool ok = true;

    for (size_t i = 0; ok && i < size; i += 3) {
        size_t left = size - i;
        unsigned v =
            (unsigned)data[i] << 16 | (left > 1 ? (unsigned)data[i + 1] << 8 : 0) | (left > 2 ? data[i + 2] : 0);
        char four[4] = { letters[v >> 18], letters[v >> 12 & 63], letters[v >> 6 & 63], letters[v & 63] };

        ok = buf_append(out, slice_of(four, left > 2 ? 4 : left + 1));
    }
    return ok;
}

static EVP_PKEY *read_key(const char *file, struct err *err_r)
{
    BIO *bio = BIO_new_file(file, "r");
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)"") : NULL;

    BIO_free(bio);
    if (!key)
        refuse(err_r, file,
               bio ? "holds no private key in PEM that can be read without a password" : "cannot be opened");
    return key;
}

static bool sign(EVP_PKEY *key, bool pss, struct slice text, struct buf *out, const char *file, struct err *err_r)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_PKEY_CTX *ctx;
    unsigned char signature[1024];
    size_t size = sizeof signature;
    bool ok = EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA && EVP_DigestSignInit(md, &ctx, EVP_sha256(), NULL, key) == 1 &&
              (!pss || (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
                        EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1)) &&
              EVP_DigestSign(md, signature, &size, (const unsigned char *)text.data, text.size) == 1 &&
              append_base64url(out, signature, size);

    EVP_MD_CTX_free(md);
    return ok || refuse(err_r, file, "the key cannot sign; an RSA key of 2048 to 8192 bits is wanted");
}

/* header.claims.signature */
static bool make_jwt(const json_t *header, const json_t *claims, EVP_PKEY *key, bool pss, const char *file,
                     struct buf *jwt, struct err *err_r)
{
    char *head = json_dumps(header, JSON_COMPACT), *body = json_dumps(claims, JSON_COMPACT);
    struct buf signature;
    bool ok;

    buf_init(&signature, 4096);
    ok = append_base64url(jwt, (unsigned char *)head, strlen(head)) && buf_append(jwt, SLICE(".")) &&
         append_base64url(jwt, (unsigned char *)body, strlen(body));
    if (ok)
        ok = sign(key, pss, buf_slice(jwt), &signature, file, err_r) && buf_append(jwt, SLICE(".")) &&
             buf_append(jwt, buf_slice(&signature));
    else
        refuse(err_r, file, "the assertion is too long");
    buf_deinit(&signature);
    free(head);
    free(body);
    return ok;
}

static bool random_id(char out[37])
{
    unsigned char r[16];

    if (RAND_bytes(r, sizeof r) != 1)
        return false;
    r[6] = (r[6] & 0x0f) | 0x40;
    r[8] = (r[8] & 0x3f) | 0x80;
    snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", r[0], r[1], r[2], r[3],
             r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13], r[14], r[15]);
    return true;
}

/* base64url(SHA-256 of the certificate's DER): how the server finds its public half. */
static bool thumbprint(const char *file, struct buf *out, struct err *err_r)
{
    BIO *bio = BIO_new_file(file, "r");
    X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    unsigned char digest[32];
    unsigned size = sizeof digest;
    bool ok = certificate && X509_digest(certificate, EVP_sha256(), digest, &size) == 1 &&
              append_base64url(out, digest, size);

    X509_free(certificate);
    BIO_free(bio);
    return ok || refuse(err_r, file, "holds no certificate in PEM");
}

static bool append_assertion(const struct settings_oauth *oauth, int64_t now_s, struct buf *form, struct err *err_r)
{
    bool pss = oauth->signing == SETTINGS_SIGN_PS256;
    const char *key_file = oauth->key_file ? oauth->key_file : oauth->certificate_file;
    EVP_PKEY *key = read_key(key_file, err_r);
    struct buf print, jwt;
    json_t *header = NULL, *claims = NULL;
    char id[37];
    bool ok = false;

    buf_init(&print, 256);
    buf_init(&jwt, 16384);
    if (key && thumbprint(oauth->certificate_file, &print, err_r)) {
        struct slice p = buf_slice(&print);

        if (!random_id(id)) {
            refuse(err_r, oauth->certificate_file, "no random numbers to be had");
        } else {
            header =
                json_pack("{s:s,s:s,s:s%}", "alg", pss ? "PS256" : "RS256", "typ", "JWT", "x5t#S256", p.data, p.size);
            claims = json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:I}", "aud", oauth->token_url, "iss", oauth->client_id, "sub",
                               oauth->client_id, "jti", id, "nbf", (json_int_t)(now_s - 60), "iat", (json_int_t)now_s,
                               "exp", (json_int_t)(now_s + ASSERTION_LIFE_S));
            ok = make_jwt(header, claims, key, pss, key_file, &jwt, err_r) &&
                 (oauth_append_field(form, "client_assertion_type",
                                     SLICE("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")) &&
                          oauth_append_field(form, "client_assertion", buf_slice(&jwt))
                      ? true
                      : refuse(err_r, key_file, "the assertion is too long"));
        }
    }
    json_decref(header);
    json_decref(claims);
    EVP_PKEY_free(key);
    buf_deinit(&print);
    buf_deinit(&jwt);
    return ok;
}

/* Google: the service account's own key signs for a user of its domain. */
static bool google_form(const struct settings_oauth *oauth, const char *user, int64_t now_s, struct buf *form,
                        struct err *err_r)
{
    const char *file = oauth->service_account_file;
    json_t *account = json_load_file(file, 0, NULL), *header = NULL, *claims = NULL;
    const char *email = json_string_value(json_object_get(account, "client_email"));
    const char *pem = json_string_value(json_object_get(account, "private_key"));
    const char *id = json_string_value(json_object_get(account, "private_key_id"));
    BIO *bio = pem ? BIO_new_mem_buf(pem, -1) : NULL;
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)"") : NULL;
    struct buf jwt;
    bool ok = false;

    buf_init(&jwt, 16384);
    if (!email || !key) {
        refuse(err_r, file, "is not the JSON key of a service account (client_email, private_key)");
    } else {
        header = json_pack("{s:s,s:s,s:s*}", "alg", "RS256", "typ", "JWT", "kid", id);
        claims = json_pack("{s:s,s:s,s:s,s:s,s:I,s:I}", "iss", email, "sub", user, "scope", oauth->scope, "aud",
                           oauth->token_url, "iat", (json_int_t)now_s, "exp", (json_int_t)(now_s + 3600));
        ok = make_jwt(header, claims, key, false, file, &jwt, err_r) &&
             (oauth_append_field(form, "grant_type", SLICE("urn:ietf:params:oauth:grant-type:jwt-bearer")) &&
                      oauth_append_field(form, "assertion", buf_slice(&jwt))
                  ? true
                  : refuse(err_r, file, "the assertion is too long"));
    }
    json_decref(header);
    json_decref(claims);
    json_decref(account);
    EVP_PKEY_free(key);
    BIO_free(bio);
    buf_deinit(&jwt);
    return ok;
}

bool oauth_form(const struct settings_oauth *oauth, const char *user, const struct secret *refresh, int64_t now_s,
                struct buf *form, struct err *err_r)
{
    bool ok = true;

    buf_clear(form);
    if (oauth->grant == SETTINGS_GRANT_SERVICE_ACCOUNT)
        return google_form(oauth, user, now_s, form, err_r);
    if (oauth->client_id)
        ok = oauth_append_field(form, "client_id", slice_cstr(oauth->client_id));
    if (ok && oauth->scope)
        ok = oauth_append_field(form, "scope", slice_cstr(oauth->scope));
    if (ok && oauth->client_secret)
        ok = oauth_append_field(form, "client_secret", secret_peek(oauth->client_secret));
    if (ok && oauth->grant == SETTINGS_GRANT_REFRESH_TOKEN)
        ok = oauth_append_field(form, "grant_type", SLICE("refresh_token")) &&
             oauth_append_field(form, "refresh_token", secret_peek(refresh));
    else if (ok)
        ok = oauth_append_field(form, "grant_type", SLICE("client_credentials"));
    if (!ok)
        return refuse(err_r, "token request", "too long");
    if (oauth->grant == SETTINGS_GRANT_CERTIFICATE)
        return append_assertion(oauth, now_s, form, err_r);
    return true;
}

/* ---- answers ------------------------------------------------------------------------------- */

enum meaning { MEANS_PERMANENT, MEANS_TRANSIENT, MEANS_THROTTLED };
static const struct {
    int number;
    enum meaning meaning;
    const char *advice;
} numbers[] = {
    { 7000215, MEANS_PERMANENT, "the client secret is wrong; take its Value, not its Secret ID" },
    { 7000222, MEANS_PERMANENT, "the client secret has expired; make a new one in the app registration" },
    { 7000218, MEANS_PERMANENT, "neither secret nor certificate was sent, or the app is a public client" },
    { 700027, MEANS_PERMANENT,
      "the certificate is not the one uploaded to the app registration, or this computer's clock is wrong" },
    { 700030, MEANS_PERMANENT, "the certificate is not valid (expired?)" },
    { 700025, MEANS_PERMANENT, "the app is a public client; it must not send a secret" },
    { 700016, MEANS_PERMANENT, "no such client-id in this tenant: look at client-id and tenant" },
    { 700011, MEANS_PERMANENT, "no such client-id in this tenant: look at client-id and tenant" },
    { 7000112, MEANS_PERMANENT, "the application is disabled in this tenant" },
    { 70001, MEANS_PERMANENT, "the application is unknown or disabled in this tenant" },
    { 90002, MEANS_PERMANENT, "no such tenant: look at tenant and cloud" },
    { 50194, MEANS_PERMANENT, "tenant must be the tenant's own name or id, not common" },
    { 9001023, MEANS_PERMANENT, "tenant must be the tenant's own name or id, not common" },
    { 900382, MEANS_PERMANENT, "the tenant is in another national cloud: set cloud" },
    { 900432, MEANS_PERMANENT, "the tenant is in another national cloud: set cloud" },
    { 90038, MEANS_PERMANENT, "the tenant is in another national cloud: set cloud" },
    { 1000104, MEANS_PERMANENT, "the tenant is in another national cloud: set cloud" },
    { 65001, MEANS_PERMANENT, "consent is missing: an administrator must grant IMAP.AccessAsApp" },
    { 90094, MEANS_PERMANENT, "consent of an administrator is missing" },
    { 650052, MEANS_PERMANENT, "the tenant has no Exchange Online, or consent is missing" },
    { 650056, MEANS_PERMANENT, "the app registration lacks the permission IMAP.AccessAsApp" },
    { 650057, MEANS_PERMANENT, "the app registration lacks the permission for this resource" },
    { 70011, MEANS_PERMANENT, "the scope is wrong; app-only needs https://outlook.office365.com/.default" },
    { 1002012, MEANS_PERMANENT, "the scope must end in /.default" },
    { 70000, MEANS_PERMANENT, "the refresh token is no longer good: sign in again (mailhaul sign-in)" },
    { 70008, MEANS_PERMANENT, "the refresh token has expired: sign in again (mailhaul sign-in)" },
    { 700082, MEANS_PERMANENT, "the refresh token has expired by disuse: sign in again (mailhaul sign-in)" },
    { 50173, MEANS_PERMANENT, "the password was changed since: sign in again (mailhaul sign-in)" },
    { 70043, MEANS_PERMANENT, "the refresh token has expired by policy: sign in again (mailhaul sign-in)" },
    { 50076, MEANS_PERMANENT, "the user must pass multi-factor authentication; use app-only access" },
    { 50079, MEANS_PERMANENT, "the user must enrol for multi-factor authentication; use app-only access" },
    { 53000, MEANS_PERMANENT, "Conditional Access forbids it; exempt the app or use app-only access" },
    { 53001, MEANS_PERMANENT, "Conditional Access forbids it; exempt the app or use app-only access" },
    { 53002, MEANS_PERMANENT, "Conditional Access forbids it; exempt the app or use app-only access" },
    { 53003, MEANS_PERMANENT, "Conditional Access forbids it; exempt the app or use app-only access" },
    { 530032, MEANS_PERMANENT, "security defaults forbid it; use app-only access" },
    { 530035, MEANS_PERMANENT, "security defaults forbid it; use app-only access" },
    { 50196, MEANS_THROTTLED, "the token server sees a loop: it is asked again later" },
    { 90055, MEANS_THROTTLED, "the tenant asks for too many tokens: it is asked again later" },
    { 90006, MEANS_TRANSIENT, "" },
    { 90012, MEANS_TRANSIENT, "" },
    { 90024, MEANS_TRANSIENT, "" },
    { 90033, MEANS_TRANSIENT, "" },
    { 90090, MEANS_TRANSIENT, "" },
};

const char *oauth_advice(int aadsts)
{
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i].number == aadsts)
            return numbers[i].advice;
    return "";
}

bool oauth_refused(int status, const json_t *answer, uint32_t retry_after_s, struct err *err_r)
{
    const char *error = json_string_value(json_object_get(answer, "error"));
    const char *words = json_string_value(json_object_get(answer, "error_description"));
    const char *correlation = json_string_value(json_object_get(answer, "correlation_id"));
    const char *stamp = json_string_value(json_object_get(answer, "timestamp"));
    int number = (int)json_integer_value(json_array_get(json_object_get(answer, "error_codes"), 0));
    enum err_class class = ERR_CLASS_PERMANENT;
    const char *advice;

    if (number == 0 && words && sscanf(words, "AADSTS%d", &number) != 1)
        number = 0;
    advice = oauth_advice(number);
    if (status >= 500 || status == 408)
        class = ERR_CLASS_TRANSIENT;
    if (status == 429)
        class = ERR_CLASS_THROTTLED;
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i].number == number && numbers[i].meaning != MEANS_PERMANENT)
            class = numbers[i].meaning == MEANS_THROTTLED ? ERR_CLASS_THROTTLED : ERR_CLASS_TRANSIENT;
    if (number)
        err_set(err_r, class, ERR_SCOPE_RUN, ERR_ORIGIN_TOKEN, number,
                "AADSTS%d%s%s (HTTP %d, correlation id %.40s%s%.24s)", number, advice[0] ? ": " : "", advice, status,
                correlation ? correlation : "not told", stamp ? ", " : "", stamp ? stamp : "");
    else
        err_set(err_r, class, ERR_SCOPE_RUN, ERR_ORIGIN_TOKEN, 0, "HTTP %d %s%s%.120s", status,
                error ? error : "without a reason", words ? ": " : "", words ? words : "");
    if (retry_after_s)
        err_r->wait_ms = retry_after_s > 3600 ? 3600000 : retry_after_s * 1000;
    return err_doing(err_r, "token request");
}

json_int_t oauth_number(const json_t *value)
{
    return json_is_string(value) ? atoll(json_string_value(value)) : json_integer_value(value);
}

bool oauth_answer(int status, struct slice body, uint32_t retry_after_s, struct oauth_token *token_r, struct err *err_r)
{
    json_t *answer = json_loadb(body.data ? body.data : "", body.size, 0, NULL);
    const char *access = json_string_value(json_object_get(answer, "access_token"));
    const char *refresh = json_string_value(json_object_get(answer, "refresh_token"));
    json_int_t seconds = oauth_number(json_object_get(answer, "expires_in"));
    bool ok = false;

    *token_r = (struct oauth_token){ 0 };
    if (status != 200 || !access || !access[0]) {
        oauth_refused(status, answer, retry_after_s, err_r);
        if (status == 200)
            err_r->class = ERR_CLASS_TRANSIENT;
    } else if (strlen(access) > TOKEN_BYTES_MAX || (refresh && strlen(refresh) > TOKEN_BYTES_MAX)) {
        err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_TOKEN, 0, "the token is longer than 64 KiB");
        err_doing(err_r, "token request");
    } else {
        token_r->access = secret_create(slice_cstr(access));
        token_r->refresh = refresh ? secret_create(slice_cstr(refresh)) : NULL;
        token_r->life_s = seconds <= 0 ? 300 : seconds > 86400 * 2 ? 86400 * 2 : (uint32_t)seconds;
        ok = true;
    }
    json_decref(answer);
    return ok;
}

/* ---- claims -------------------------------------------------------------------------------- */

static size_t decode_base64url(struct slice text, char *out, size_t cap)
{
    size_t used = 0;
    unsigned value = 0, bits = 0;

    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        int v = c >= 'A' && c <= 'Z'   ? c - 'A'
                : c >= 'a' && c <= 'z' ? c - 'a' + 26
                : c >= '0' && c <= '9' ? c - '0' + 52
                : c == '-' || c == '+' ? 62
                : c == '_' || c == '/' ? 63
                                       : -1;

        if (v < 0)
            continue;
        value = (value << 6 | (unsigned)v) & 0xffffff;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            if (used == cap)
                return 0;
            out[used++] = (char)(value >> bits & 0xff);
        }
    }
    return used;
}

static void copy_claim(char *out, size_t cap, const json_t *value)
{
    const char *text = json_string_value(value);

    if (text)
        err_printable(out, cap, text, strlen(text));
}

void oauth_claims(struct slice token, struct oauth_claims *claims_r)
{
    static const char *const users[] = { "upn", "preferred_username", "unique_name", "email" };
    struct slice rest = token, head, body;
    char *plain;
    size_t size;
    json_t *claims, *roles;

    *claims_r = (struct oauth_claims){ 0 };
    if (!slice_split(&rest, '.', &head) || !slice_split(&rest, '.', &body) || body.size > TOKEN_BYTES_MAX)
        return;
    plain = mem_alloc(body.size);
    size = decode_base64url(body, plain, body.size);
    claims = json_loadb(plain, size, 0, NULL);
    free(plain);
    copy_claim(claims_r->audience, sizeof claims_r->audience, json_object_get(claims, "aud"));
    copy_claim(claims_r->tenant, sizeof claims_r->tenant, json_object_get(claims, "tid"));
    copy_claim(claims_r->application, sizeof claims_r->application, json_object_get(claims, "appid"));
    copy_claim(claims_r->object_id, sizeof claims_r->object_id, json_object_get(claims, "oid"));
    for (unsigned i = 0; i < sizeof users / sizeof *users && !claims_r->user[0]; i++)
        copy_claim(claims_r->user, sizeof claims_r->user, json_object_get(claims, users[i]));
    roles = json_object_get(claims, "roles");
    if (json_is_array(roles)) {
        size_t used = 0;

        claims_r->application_own = true;
        for (size_t i = 0; i < json_array_size(roles); i++) {
            const char *role = json_string_value(json_array_get(roles, i));

            if (role && used + strlen(role) + 2 < sizeof claims_r->roles)
                used += (size_t)snprintf(claims_r->roles + used, sizeof claims_r->roles - used, "%s%s", used ? " " : "",
                                         role);
        }
    } else {
        copy_claim(claims_r->roles, sizeof claims_r->roles, json_object_get(claims, "scp"));
    }
    claims_r->expires_s = json_integer_value(json_object_get(claims, "exp"));
    json_decref(claims);
}
