#include "engine/imap/caps.h"

#include "io/base/err.h"

static const char *const names[CAP_COUNT] = {
    [CAP_IMAP4REV1] = "IMAP4rev1",
    [CAP_IMAP4REV2] = "IMAP4rev2",
    [CAP_STARTTLS] = "STARTTLS",
    [CAP_LOGINDISABLED] = "LOGINDISABLED",
    [CAP_SASL_IR] = "SASL-IR",
    [CAP_ID] = "ID",
    [CAP_ENABLE] = "ENABLE",
    [CAP_NAMESPACE] = "NAMESPACE",
    [CAP_CHILDREN] = "CHILDREN",
    [CAP_LIST_EXTENDED] = "LIST-EXTENDED",
    [CAP_LIST_STATUS] = "LIST-STATUS",
    [CAP_SPECIAL_USE] = "SPECIAL-USE",
    [CAP_XLIST] = "XLIST",
    [CAP_STATUS_SIZE] = "STATUS=SIZE",
    [CAP_OBJECTID] = "OBJECTID",
    [CAP_ACL] = "ACL",
    [CAP_QUOTA] = "QUOTA",
    [CAP_UIDPLUS] = "UIDPLUS",
    [CAP_UNSELECT] = "UNSELECT",
    [CAP_CONDSTORE] = "CONDSTORE",
    [CAP_QRESYNC] = "QRESYNC",
    [CAP_ESEARCH] = "ESEARCH",
    [CAP_LITERAL_PLUS] = "LITERAL+",
    [CAP_LITERAL_MINUS] = "LITERAL-",
    [CAP_MULTIAPPEND] = "MULTIAPPEND",
    [CAP_APPENDLIMIT] = "APPENDLIMIT",
    [CAP_COMPRESS_DEFLATE] = "COMPRESS=DEFLATE",
    [CAP_BINARY] = "BINARY",
    [CAP_UTF8_ACCEPT] = "UTF8=ACCEPT",
    [CAP_UTF8_ONLY] = "UTF8=ONLY",
    [CAP_IDLE] = "IDLE",
    [CAP_MOVE] = "MOVE",
    [CAP_PARTIAL] = "PARTIAL",
    [CAP_UIDONLY] = "UIDONLY",
    [CAP_MESSAGELIMIT] = "MESSAGELIMIT",
    [CAP_INPROGRESS] = "INPROGRESS",
    [CAP_X_GM_EXT_1] = "X-GM-EXT-1",
    [CAP_AUTH_PLAIN] = "AUTH=PLAIN",
    [CAP_AUTH_LOGIN] = "AUTH=LOGIN",
    [CAP_AUTH_CRAM_MD5] = "AUTH=CRAM-MD5",
    [CAP_AUTH_SCRAM_SHA_1] = "AUTH=SCRAM-SHA-1",
    [CAP_AUTH_SCRAM_SHA_1_PLUS] = "AUTH=SCRAM-SHA-1-PLUS",
    [CAP_AUTH_SCRAM_SHA_256] = "AUTH=SCRAM-SHA-256",
    [CAP_AUTH_SCRAM_SHA_256_PLUS] = "AUTH=SCRAM-SHA-256-PLUS",
    [CAP_AUTH_XOAUTH2] = "AUTH=XOAUTH2",
    [CAP_AUTH_OAUTHBEARER] = "AUTH=OAUTHBEARER",
    [CAP_AUTH_EXTERNAL] = "AUTH=EXTERNAL",
    [CAP_AUTH_OTHER] = "AUTH=",
    [CAP_UNAUTHENTICATE] = "UNAUTHENTICATE",
    [CAP_PROXYAUTH] = "PROXYAUTH",
    [CAP_XAPPLEPUSHSERVICE] = "XAPPLEPUSHSERVICE",
};

const char *caps_name(enum cap cap)
{
    return names[cap];
}

void caps_clear(struct caps *caps)
{
    *caps = (struct caps){ .text = "" };
}

static void add(struct caps *caps, enum cap cap)
{
    caps->bits[cap / 64] |= (uint64_t)1 << (cap % 64);
}

static void word_parse(struct caps *caps, struct slice word)
{
    size_t equals = slice_find(word, '=');
    struct slice value = equals == SIZE_MAX ? SLICE("") : slice_from(word, equals + 1);
    struct slice name = slice_first(word, equals);

    if (slice_equal_nocase(word, SLICE("X-UIDONLY"))) {
        caps->uidonly_is_x = !caps_has(caps, CAP_UIDONLY); /* S19 */
        add(caps, CAP_UIDONLY);
        return;
    }
    if (slice_equal_nocase(name, SLICE("APPENDLIMIT"))) {
        add(caps, CAP_APPENDLIMIT);
        if (!slice_u64(value, &caps->appendlimit_bytes))
            caps->appendlimit_bytes = 0;
        return;
    }
    if (slice_equal_nocase(name, SLICE("MESSAGELIMIT"))) {
        add(caps, CAP_MESSAGELIMIT);
        if (!slice_u32(value, &caps->messagelimit))
            caps->messagelimit = 0;
        return;
    }
    for (unsigned i = 0; i < CAP_COUNT; i++) {
        if (slice_equal_nocase(word, slice_cstr(names[i]))) {
            add(caps, (enum cap)i);
            caps->uidonly_is_x &= i != CAP_UIDONLY;
            return;
        }
    }
    if (slice_starts_nocase(word, SLICE("AUTH=")))
        add(caps, CAP_AUTH_OTHER);
}

void caps_parse(struct caps *caps, struct slice words)
{
    struct slice word;

    caps_clear(caps);
    words = slice_trim(words);
    err_printable(caps->text, sizeof caps->text, words.data ? words.data : "", words.size);
    while (slice_split(&words, ' ', &word))
        if (word.size)
            word_parse(caps, slice_trim(word));
}
