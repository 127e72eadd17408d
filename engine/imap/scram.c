#include "engine/imap/scram.h"

#include "io/base/err.h"
#include "io/base/mem.h"
#include "io/base/secret.h"

#include <gsasl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

#define SALT_MAX    1024u        /* stores in use have 12 to 64 bytes */
#define MESSAGE_MAX (16u * 1024) /* a server's, as it was sent */
#define NONCE_SIZE  18u          /* random bytes */

struct scram_work {
    char *password; /* as SASLprep made it, or NULL */
    bool sha1, done;
    int rounds;
    size_t salt_size;
    unsigned char salt[SALT_MAX], key[EVP_MAX_MD_SIZE];
};

struct scram {
    bool sha1, finished;
    struct buf binding; /* gs2-header, and with -PLUS what is bound to */
    struct buf bare;    /* client-first-message-bare */
    size_t header_size; /* of the gs2-header */
    char nonce[NONCE_SIZE / 3 * 4 + 1];
    unsigned char signature[EVP_MAX_MD_SIZE]; /* the server's, as it has to be */
};

static const EVP_MD *hash_of(bool sha1)
{
    return sha1 ? EVP_sha1() : EVP_sha256();
}

static size_t size_of(bool sha1)
{
    return sha1 ? 20 : 32;
}

/* ---- what the server says ---- */

/* malloc'ed; false for what is no base64. */
static bool decoded(struct slice text, char **bytes_r, size_t *size_r)
{
    *bytes_r = NULL;
    return text.size && text.size <= MESSAGE_MAX &&
           gsasl_base64_from(text.data, text.size, bytes_r, size_r) == GSASL_OK;
}

/* The value of the attribute that text begins with, which is to be this one; text goes on behind
 * it. */
static bool attribute(struct slice *text, char name, struct slice *value_r)
{
    struct slice part;

    if (!slice_split(text, ',', &part) || part.size < 3 || part.data[0] != name || part.data[1] != '=')
        return false;
    *value_r = slice_from(part, 2);
    return true;
}

/* 0: no number. One that is larger than any is LONG_MAX. */
static long number(struct slice digits)
{
    char text[24];

    for (size_t i = 0; i < digits.size; i++)
        if (digits.data[i] < '0' || digits.data[i] > '9')
            return 0;
    snprintf(text, sizeof text, "%.*s", (int)(digits.size < 20 ? digits.size : 20), digits.data);
    return strtol(text, NULL, 10);
}

/* RFC 5802 7, server-first-message: nonce, salt, rounds, and what nobody has named yet. An
 * extension that has to be understood ("m=") stands first, and is not. */
static bool read_first(struct slice message, struct slice *nonce_r, struct slice *salt64_r, long *rounds_r)
{
    struct slice rounds;

    if (!attribute(&message, 'r', nonce_r) || !attribute(&message, 's', salt64_r) || !attribute(&message, 'i', &rounds))
        return false;
    *rounds_r = number(rounds);
    return *rounds_r > 0;
}

void scram_refusal(struct slice challenge, char text_r[96])
{
    struct slice text, value;
    char *message;
    size_t size;

    text_r[0] = '\0';
    if (decoded(challenge, &message, &size)) {
        text = slice_of(message, size);
        if (attribute(&text, 'e', &value))
            err_printable(text_r, 96, value.data, value.size);
    }
    gsasl_free(message);
}

/* ---- the hashing ---- */

static bool salt_of(struct slice salt64, struct scram_work *work)
{
    char *salt;
    size_t size = 0;
    bool good = decoded(salt64, &salt, &size) && size <= SALT_MAX;

    if (good) {
        memcpy(work->salt, salt, size);
        work->salt_size = size;
    }
    gsasl_free(salt);
    return good;
}

/* NULL: no text that SASLprep (RFC 4013) takes. Wiped by the caller. */
static char *prepared(struct slice text, Gsasl_saslprep_flags flags)
{
    char *copy = slice_dup(text), *out = NULL;

    if (gsasl_saslprep(copy, flags, &out, NULL) != GSASL_OK)
        out = NULL;
    secret_wipe(copy, text.size);
    free(copy);
    return out;
}

static void wipe_text(char *text)
{
    if (text)
        secret_wipe(text, strlen(text));
    gsasl_free(text);
}

struct scram_work *scram_work_create(struct slice challenge, struct slice password, bool sha1, long *rounds_r)
{
    struct scram_work *work = NULL;
    struct slice nonce, salt64;
    char *message;
    size_t size;

    *rounds_r = 0;
    if (decoded(challenge, &message, &size) && read_first(slice_of(message, size), &nonce, &salt64, rounds_r) &&
        *rounds_r >= SCRAM_ROUNDS_MIN && *rounds_r <= SCRAM_ROUNDS_MAX) {
        work = mem_zero(1, sizeof *work);
        work->rounds = (int)*rounds_r;
        work->sha1 = sha1;
        work->password = prepared(password, (Gsasl_saslprep_flags)0);
        if (!salt_of(salt64, work)) {
            *rounds_r = 0;
            scram_work_destroy(&work);
        }
    }
    gsasl_free(message);
    return work;
}

unsigned scram_work_rounds(const struct scram_work *work)
{
    return (unsigned)work->rounds;
}

void scram_work_run(struct scram_work *work)
{
    work->done = work->password &&
                 PKCS5_PBKDF2_HMAC(work->password, (int)strlen(work->password), work->salt, (int)work->salt_size,
                                   work->rounds, hash_of(work->sha1), (int)size_of(work->sha1), work->key) == 1;
}

void scram_work_destroy(struct scram_work **work)
{
    if (!*work)
        return;
    wipe_text((*work)->password);
    secret_wipe(*work, sizeof **work);
    free(*work);
    *work = NULL;
}

/* ---- TLS ---- */

bool scram_can_bind(const struct ssl_st *ssl)
{
    return ssl && (SSL_version(ssl) >= TLS1_3_VERSION || SSL_get_extms_support((SSL *)(uintptr_t)ssl) == 1);
}

/* RFC 9266 for TLS 1.3, RFC 5929 3 below it. 0: there is none. */
static size_t bound_to(struct ssl_st *ssl, unsigned char bytes_r[64])
{
    static const char label[] = "EXPORTER-Channel-Binding";
    size_t size;

    if (SSL_version(ssl) >= TLS1_3_VERSION)
        return SSL_export_keying_material(ssl, bytes_r, 32, label, sizeof label - 1, NULL, 0, 1) == 1 ? 32 : 0;
    size = SSL_session_reused(ssl) ? SSL_get_peer_finished(ssl, bytes_r, 64) : SSL_get_finished(ssl, bytes_r, 64);
    return size <= 64 ? size : 0;
}

/* ---- one exchange ---- */

/* RFC 5802 5.1, saslname. */
static bool append_name(struct buf *out, const char *name)
{
    bool good = true;

    for (; good && *name; name++)
        good = buf_append(out, *name == ',' ? SLICE("=2C") : *name == '=' ? SLICE("=3D") : slice_of(name, 1));
    return good;
}

static bool append_binding(struct scram *scram, const char *authzid, enum scram_binding binding, struct ssl_st *ssl)
{
    struct buf *b = &scram->binding;
    unsigned char bytes[64];
    size_t size = 0;
    bool good;

    if (binding == SCRAM_BOUND && (size = bound_to(ssl, bytes)) == 0)
        return false;
    good = buf_append(b, binding == SCRAM_UNBOUND             ? SLICE("n")
                         : binding == SCRAM_WOULD             ? SLICE("y")
                         : SSL_version(ssl) >= TLS1_3_VERSION ? SLICE("p=tls-exporter")
                                                              : SLICE("p=tls-unique")) &&
           buf_append(b, authzid ? SLICE(",a=") : SLICE(",")) && append_name(b, authzid ? authzid : "") &&
           buf_append(b, SLICE(","));
    scram->header_size = b->size;
    return good && buf_append(b, slice_of((const char *)bytes, size));
}

static bool append_bare(struct scram *scram, struct slice user)
{
    char *name = prepared(user, GSASL_ALLOW_UNASSIGNED);
    unsigned char bytes[NONCE_SIZE];
    bool good = name && name[0] && RAND_bytes(bytes, sizeof bytes) == 1;

    if (good) {
        /* The base64 alphabet has no comma, which a nonce must not have. */
        EVP_EncodeBlock((unsigned char *)scram->nonce, bytes, sizeof bytes);
        good = buf_append(&scram->bare, SLICE("n=")) && append_name(&scram->bare, name) &&
               buf_append_format(&scram->bare, ",r=%s", scram->nonce);
    }
    gsasl_free(name);
    return good;
}

struct scram *scram_create(struct slice user, const char *authzid, bool sha1, enum scram_binding binding,
                           struct ssl_st *ssl)
{
    struct scram *scram = mem_zero(1, sizeof *scram);

    scram->sha1 = sha1;
    buf_init(&scram->binding, 4096);
    buf_init(&scram->bare, 4096);
    if (!append_binding(scram, authzid, binding, ssl) || !append_bare(scram, user))
        scram_destroy(&scram);
    return scram;
}

void scram_destroy(struct scram **scram)
{
    if (!*scram)
        return;
    buf_deinit(&(*scram)->binding);
    buf_deinit(&(*scram)->bare);
    secret_wipe(*scram, sizeof **scram);
    free(*scram);
    *scram = NULL;
}

static bool append_base64(struct buf *out, struct slice bytes)
{
    char *at = buf_reserve(out, (bytes.size + 2) / 3 * 4 + 1);

    if (at)
        buf_commit(out,
                   (size_t)EVP_EncodeBlock((unsigned char *)at, (const unsigned char *)bytes.data, (int)bytes.size));
    return at;
}

const char *scram_first(struct scram *scram, struct buf *out)
{
    struct buf message;
    bool good;

    buf_init(&message, 8192);
    good = buf_append(&message, slice_first(buf_slice(&scram->binding), scram->header_size)) &&
           buf_append(&message, buf_slice(&scram->bare)) && append_base64(out, buf_slice(&message));
    buf_deinit(&message);
    return good ? NULL : "the user name is too long";
}

/* RFC 5802 3: the client's proof, and the signature that the server has to give. */
static bool sign(struct scram *scram, const struct scram_work *work, struct slice text, unsigned char *proof_r)
{
    const EVP_MD *md = hash_of(scram->sha1);
    size_t size = size_of(scram->sha1);
    unsigned char key[EVP_MAX_MD_SIZE], stored[EVP_MAX_MD_SIZE], signature[EVP_MAX_MD_SIZE];
    const unsigned char *bytes = (const unsigned char *)text.data;
    bool good = HMAC(md, work->key, (int)size, (const unsigned char *)"Client Key", 10, key, NULL) &&
                EVP_Digest(key, size, stored, NULL, md, NULL) == 1 &&
                HMAC(md, stored, (int)size, bytes, text.size, signature, NULL);

    for (size_t i = 0; good && i < size; i++)
        proof_r[i] = key[i] ^ signature[i];
    good = good && HMAC(md, work->key, (int)size, (const unsigned char *)"Server Key", 10, key, NULL) &&
           HMAC(md, key, (int)size, bytes, text.size, scram->signature, NULL);
    secret_wipe(key, sizeof key);
    secret_wipe(stored, sizeof stored);
    return good;
}

/* out: client-final-message. */
static bool answer(struct scram *scram, struct slice first, struct slice nonce, const struct scram_work *work,
                   struct buf *out)
{
    unsigned char proof[EVP_MAX_MD_SIZE];
    struct buf signed_text;
    bool good;

    buf_init(&signed_text, 4 * MESSAGE_MAX);
    good = buf_append(out, SLICE("c=")) && append_base64(out, buf_slice(&scram->binding)) &&
           buf_append(out, SLICE(",r=")) && buf_append(out, nonce) &&
           buf_append(&signed_text, buf_slice(&scram->bare)) && buf_append(&signed_text, SLICE(",")) &&
           buf_append(&signed_text, first) && buf_append(&signed_text, SLICE(",")) &&
           buf_append(&signed_text, buf_slice(out)) && sign(scram, work, buf_slice(&signed_text), proof) &&
           buf_append(out, SLICE(",p=")) && append_base64(out, slice_of((const char *)proof, size_of(scram->sha1)));
    buf_deinit(&signed_text);
    return good;
}

const char *scram_final(struct scram *scram, struct slice challenge, const struct scram_work *work, struct buf *out)
{
    struct slice nonce, salt64, own = slice_cstr(scram->nonce);
    struct buf message;
    char *first;
    size_t size;
    long rounds;
    const char *wrong = NULL;

    buf_init(&message, 2 * MESSAGE_MAX);
    if (!decoded(challenge, &first, &size) || !read_first(slice_of(first, size), &nonce, &salt64, &rounds))
        wrong = "the server's first message cannot be read";
    else if (nonce.size <= own.size || !slice_equal(slice_first(nonce, own.size), own))
        wrong = "the server answers somebody else's login";
    else if (!work->done)
        wrong = "the password has characters that SASLprep (RFC 4013) forbids";
    else if (!answer(scram, slice_of(first, size), nonce, work, &message) || !append_base64(out, buf_slice(&message)))
        wrong = "answer too long";
    else
        scram->finished = true;
    gsasl_free(first);
    buf_deinit(&message);
    return wrong;
}

const char *scram_verify(struct scram *scram, struct slice challenge)
{
    struct slice text, value;
    char *message, *signature = NULL;
    size_t size, signature_size = 0;
    bool read, good;

    read = scram->finished && decoded(challenge, &message, &size);
    if (!read)
        return "a question too many";
    text = slice_of(message, size);
    good = attribute(&text, 'v', &value) && decoded(value, &signature, &signature_size) &&
           signature_size == size_of(scram->sha1) && CRYPTO_memcmp(signature, scram->signature, signature_size) == 0;
    scram->finished = false;
    gsasl_free(signature);
    gsasl_free(message);
    return good ? NULL : "the server did not prove that it knows the password";
}
