/* test: move
 * The token server's answer, and a token's claims. */
#include "engine/oauth/oauth.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int statuses[] = { 200, 400, 401, 429, 503 };
    struct slice body = slice_of((const char *)data, size);
    struct oauth_token token;
    struct oauth_claims claims;
    struct err err;
    int status;

    if (size == 0)
        return 0;
    status = statuses[data[0] % 5];
    body = slice_from(body, 1);
    if (oauth_answer(status, body, data[0], &token, &err)) {
        if (!token.access || secret_peek(token.access).size == 0 || token.life_s == 0)
            abort();
        oauth_claims(secret_peek(token.access), &claims);
        oauth_token_deinit(&token);
    } else if (err.origin != ERR_ORIGIN_TOKEN || err.class == ERR_CLASS_NONE) {
        abort();
    }
    oauth_claims(body, &claims);
    return 0;
}
