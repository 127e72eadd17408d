/* Access tokens: made, sealed, judged. RFC 7519 */
#include "engine/rehearsal/exo_jwt.h"

#include "io/base/mem.h"

#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROLE "IMAP.AccessAsApp"

static void seal(struct exo *exo, struct slice signed_part, uint8_t mac[32])
{
    unsigned size = 32;

    HMAC(EVP_sha256(), exo->token_key, sizeof exo->token_key, (const unsigned char *)signed_part.data, signed_part.size,
         mac, &size);
}

char *exo_token_create(struct exo *exo, const struct exo_token *t)
{
    int64_t now = time(NULL);
    json_t *claims =
        json_pack("{s:s, s:s, s:I, s:I, s:I, s:s, s:s}", "aud", t->audience ? t->audience : EXO_JWT_AUDIENCE, "tid",
                  t->tenant_id ? t->tenant_id : exo->config.tenant_id, "iat", (json_int_t)now, "nbf", (json_int_t)now,
                  "exp", (json_int_t)(now + t->life_s), "appid", exo->config.client_id, "ver", "1.0");
    const char *role = t->role ? t->role : ROLE;
    uint8_t mac[32];
    struct buf out;
    char *text, *token;
    bool ok;

    if (t->user) {
        json_object_set_new(claims, "scp", json_string_nocheck(EXO_JWT_SCOPE));
        json_object_set_new(claims, "upn", json_string_nocheck(t->user));
    } else {
        json_object_set_new(claims, "oid", json_string_nocheck(EXO_PRINCIPAL_ID));
        if (role[0])
            json_object_set_new(claims, "roles", json_pack("[s]", role));
    }
    text = json_dumps(claims, JSON_COMPACT);
    buf_init(&out, EXO_JWT_MAX);
    ok = text && exo_base64_encode(&out, SLICE("{\"typ\":\"JWT\",\"alg\":\"RS256\",\"kid\":\"simulated\"}"), true) &&
         buf_append(&out, SLICE(".")) && exo_base64_encode(&out, slice_cstr(text), true);
    if (ok) {
        seal(exo, buf_slice(&out), mac);
        ok = buf_append(&out, SLICE(".")) && exo_base64_encode(&out, slice_of((char *)mac, 32), true);
    }
    token = ok ? slice_dup(buf_slice(&out)) : mem_text("");
    buf_deinit(&out);
    free(text);
    json_decref(claims);
    return token;
}

bool exo_jwt_open(struct slice jwt, json_t **header_r, json_t **claims_r, struct slice *signed_r, struct buf *signature)
{
    size_t first = slice_find(jwt, '.'), second;
    struct buf text;

    *header_r = *claims_r = NULL;
    if (first == SIZE_MAX || jwt.size > EXO_JWT_MAX)
        return false;
    second = slice_find(slice_from(jwt, first + 1), '.');
    if (second == SIZE_MAX)
        return false;
    second += first + 1;
    buf_init(&text, EXO_JWT_MAX);
    if (exo_base64_decode(&text, slice_first(jwt, first)))
        *header_r = json_loadb(text.data ? text.data : "", text.size, 0, NULL);
    buf_clear(&text);
    if (exo_base64_decode(&text, slice_of(jwt.data + first + 1, second - first - 1)))
        *claims_r = json_loadb(text.data ? text.data : "", text.size, 0, NULL);
    buf_deinit(&text);
    *signed_r = slice_first(jwt, second);
    return *header_r && *claims_r && exo_base64_decode(signature, slice_from(jwt, second + 1));
}

const char *exo_jwt_claim(const json_t *claims, const char *name)
{
    const char *text = json_string_value(json_object_get(claims, name));

    return text ? text : "";
}

enum exo_token_verdict exo_token_judge(struct exo *exo, struct slice token, int64_t *expires_r, char *user_r,
                                       size_t cap)
{
    json_t *header = NULL, *claims = NULL;
    struct slice body;
    struct buf signature;
    uint8_t mac[32];
    bool good, principal;

    pthread_mutex_lock(&exo->config_lock);
    principal = exo->config.principal;
    pthread_mutex_unlock(&exo->config_lock);
    buf_init(&signature, EXO_JWT_MAX);
    good = exo_jwt_open(token, &header, &claims, &body, &signature) && signature.size == 32;
    if (good) {
        const char *aud = exo_jwt_claim(claims, "aud");
        const char *role = json_string_value(json_array_get(json_object_get(claims, "roles"), 0));
        bool delegated = strcmp(exo_jwt_claim(claims, "scp"), EXO_JWT_SCOPE) == 0 && exo_jwt_claim(claims, "upn")[0];

        seal(exo, body, mac);
        *expires_r = json_integer_value(json_object_get(claims, "exp"));
        snprintf(user_r, cap, "%s", delegated ? exo_jwt_claim(claims, "upn") : "");
        good = memcmp(mac, signature.data + signature.head, 32) == 0 && *expires_r > time(NULL) &&
               (strcmp(aud, EXO_JWT_AUDIENCE) == 0 || strcmp(aud, "https://outlook.office.com") == 0) &&
               strcmp(exo_jwt_claim(claims, "tid"), exo->config.tenant_id) == 0 &&
               (delegated || (role && strcmp(role, ROLE) == 0 && principal));
    }
    buf_deinit(&signature);
    json_decref(header);
    json_decref(claims);
    return good ? EXO_TOKEN_GOOD : EXO_TOKEN_REFUSED;
}
