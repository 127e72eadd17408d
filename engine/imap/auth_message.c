#include "engine/imap/auth_message.h"

#include <openssl/evp.h>

static bool plain(const struct auth_config *config, struct buf *message)
{
    return (!auth_has_authzid(config) || auth_append_text(config, slice_cstr(config->user), message)) &&
           buf_append(message, SLICE("\0")) && auth_login_name(config, message) && buf_append(message, SLICE("\0")) &&
           auth_password(config, message);
}

/* Name and key of a trusted application; the mechanism's name stands before it (A5). */
static bool application(const struct auth_config *config, struct buf *message)
{
    return auth_login_name(config, message) && buf_append(message, SLICE("\0")) && auth_password(config, message);
}

static bool xoauth2(const struct auth_config *config, struct buf *message)
{
    return buf_append(message, SLICE("user=")) && buf_append(message, slice_cstr(config->user)) &&
           buf_append(message, SLICE("\001auth=Bearer ")) && buf_append(message, secret_peek(config->token)) &&
           buf_append(message, SLICE("\001\001"));
}

/* RFC 7628 3.1; "=" and "," of the name are escaped as in RFC 5801 4. */
static bool oauthbearer(const struct auth_config *config, struct buf *message)
{
    bool good = buf_append(message, SLICE("n,a="));

    for (const char *p = config->user; good && p && *p; p++)
        good = buf_append(message, *p == '=' ? SLICE("=3D") : *p == ',' ? SLICE("=2C") : slice_of(p, 1));
    return good && buf_append(message, SLICE(",\001host=")) && buf_append(message, slice_cstr(config->host)) &&
           buf_append_format(message, "\001port=%u", config->port) && buf_append(message, SLICE("\001auth=Bearer ")) &&
           buf_append(message, secret_peek(config->token)) && buf_append(message, SLICE("\001\001"));
}

bool auth_message(const struct auth_config *config, enum auth_way way, struct buf *out)
{
    switch (way) {
    case AUTH_WAY_PLAIN:
        return plain(config, out);
    case AUTH_WAY_XOAUTH2:
        return xoauth2(config, out);
    case AUTH_WAY_OAUTHBEARER:
        return oauthbearer(config, out);
    case AUTH_WAY_GROUPWISE:
        return application(config, out);
    default:
        /* The certificate says who asks, the message whom it is for: one certificate may serve all
         * users. */
        return buf_append(out, slice_cstr(config->user));
    }
}

/* The challenge is no base64: hex MD5 of it and the master password goes back as it is (A5). */
bool auth_message_kerio(const struct auth_config *config, struct slice challenge, struct buf *out)
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
