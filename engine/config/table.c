#include "engine/config/table.h"

#include "engine/config/text.h"
#include "engine/config/value.h"
#include "engine/config/value_network.h"
#include "io/base/mem.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define IN_BATCH       (1u << CONFIG_BATCH)
#define IN_SOURCE      (1u << CONFIG_SOURCE)
#define IN_TARGET      (1u << CONFIG_TARGET)
#define IN_POLICY      (1u << CONFIG_POLICY)
#define IN_EITHER      (IN_SOURCE | IN_TARGET)
#define OF_BATCH(f)    offsetof(struct settings, f)
#define OF_ENDPOINT(f) offsetof(struct settings_endpoint, f)
#define OF_POLICY(f)   offsetof(struct settings_policy, f)

static const char *const section_names[] = { "batch", "source", "target", "policy", "folders", "rehearse" };
_Static_assert(sizeof section_names / sizeof *section_names == CONFIG_SECTION_COUNT, "a name a section");

static const char *const auth_words[] = { "auto",          "plain",     "login",       "cram-md5", "scram-sha-1",
                                          "scram-sha-256", "xoauth2",   "oauthbearer", "external", "kerio-master",
                                          "proxyauth",     "groupwise", NULL };
_Static_assert(sizeof auth_words / sizeof *auth_words == AUTH_MECHANISM_COUNT + 1, "a word a mechanism");
static const char *const preset_words[] = { "imap", "exchange-online", NULL };
static const char *const cloud_words[] = { "global", "us-gov", "us-dod", "china", NULL };
static const char *const signing_words[] = { "ps256", "rs256", NULL };
static const char *const labels_words[] = { "one-copy", "every-folder", NULL };
static const char *const follow_flags_words[] = { "yes", "changes", "no", NULL };
static const char *const follow_deletions_words[] = { "no", "report", "yes", NULL };
static const char *const order_words[] = { "newest-first", "oldest-first", NULL };
static const char *const user_order_words[] = { "as-listed", "closest-to-done", "smallest-first", NULL };
static const char *const tls_words[] = { "verify", "no-verify", "none", NULL };
static const char *const tls_level_words[] = { "system", "0", "1", "2", "3", "4", "5", NULL };
static const char *const read_only_words[] = { "usual", "strict", NULL };
static const char *const tls_min_words[] = { "1.0", "1.1", "1.2", "1.3", NULL };

/* clang-format off */
const struct config_key config_keys[] = {
    { "name", IN_BATCH, CONFIG_TEXT, OF_BATCH(batch_name), .value_name = "TEXT",
      .otherwise = "the batch file's name without .ini",
      .help = "what reports call this migration" },
    { "users", IN_BATCH, CONFIG_PATH, OF_BATCH(users_file), .value_name = "FILE",
      .otherwise = "none: it must be given",
      .help = "the users, one a row of CSV" },
    { "state", IN_BATCH, CONFIG_PATH, OF_BATCH(state_folder), .value_name = "FOLDER",
      .otherwise = "NAME.state beside the batch file",
      .help = "spool, journal and lock; made with mode 0700; must be on a local disk" },
    { "threads", IN_BATCH, CONFIG_NUMBER, OF_BATCH(threads), 0, 256, .value_name = "N",
      .fallback = "0", .help = "event loops; 0: as many as processors this process may use" },
    { "memory-max", IN_BATCH, CONFIG_SIZE, OF_BATCH(memory_max_bytes), 64000000, INT64_MAX,
      .value_name = "SIZE", .fallback = "2GB", .help = "memory for buffers, in all" },
    { "spool-max", IN_BATCH, CONFIG_SIZE, OF_BATCH(spool_max_bytes), 1000000, INT64_MAX,
      .value_name = "SIZE", .fallback = "200GB",
      .help = "compressed mail that may wait on disk; fetching waits when it is full" },
    { "spool-key-file", IN_BATCH, CONFIG_SECRET, OF_BATCH(spool_key), .value_name = "FILE",
      .otherwise = "none: bodies are stored as they are",
      .help = "its first line encrypts bodies in the spool" },
    { "window", IN_BATCH, CONFIG_WINDOW, OF_BATCH(window), .value_name = "HH:MM-HH:MM",
      .otherwise = "none", .help = "local time of day outside which a run stops cleanly" },
    { "time-limit", IN_BATCH, CONFIG_SECONDS, OF_BATCH(time_limit_s), .value_name = "DURATION",
      .otherwise = "none", .help = "a run stops cleanly after this time; 0: no limit" },
    { "shards", IN_BATCH, CONFIG_NUMBER, OF_BATCH(shards), 0, SETTINGS_SHARDS_MAX,
      .value_name = "N", .fallback = "0",
      .help = "how many shards the users are split in; --shard must agree; 0: --shard decides" },
    { "ledger", IN_BATCH, CONFIG_PATH, OF_BATCH(ledger_folder), .value_name = "FOLDER",
      .otherwise = "none",
      .help = "folder in which processes that fill the same tenant share its pace" },
    { "status-file", IN_BATCH, CONFIG_PATH, OF_BATCH(status_file), .value_name = "FILE", .otherwise = "none",
      .help = "how the run stands, as one JSON object, written anew every 10 s while it works, whole, by rename; with "
              "--shard I/N it is FILE.I-of-N" },
    { "listen", IN_BATCH, CONFIG_TEXT, OF_BATCH(listen), .value_name = "ADDRESS:PORT", .otherwise = "none",
      .help = "a live page, Prometheus metrics and /healthz while a run works: 127.0.0.1:PORT, [::1]:PORT or unix:PATH; "
              "other addresses only with listen-token-file and listen-certificate" },
    { "listen-token-file", IN_BATCH, CONFIG_SECRET, OF_BATCH(listen_token), .value_name = "FILE", .otherwise = "none",
      .help = "its first line is what a client of listen has to send: as a bearer token, or as the password of any user" },
    { "listen-certificate", IN_BATCH, CONFIG_FILE, OF_BATCH(listen_certificate), .value_name = "FILE",
      .otherwise = "none: clients of listen speak without TLS",
      .help = "PEM file of the certificate, with its chain, that is shown to clients of listen" },
    { "listen-key", IN_BATCH, CONFIG_FILE, OF_BATCH(listen_key), .value_name = "FILE",
      .otherwise = "in listen-certificate", .help = "PEM file of its key" },
    { "bandwidth-max", IN_BATCH, CONFIG_BANDWIDTH, OF_BATCH(bandwidth_max), .value_name = "SIZE[, HH:MM-HH:MM SIZE, ...]",
      .fallback = "0",
      .help = "bytes a second of all connections together, both sides; with times of day (local) the first that is "
              "open counts, and a size alone stands for all others; 0: no limit" },
    { "user-order", IN_BATCH, CONFIG_WORD, OF_BATCH(user_order), .words = user_order_words, .value_name = "WORD",
      .fallback = "as-listed",
      .help = "which users go first, by what plan and earlier runs know: those with the least mail left, or the "
              "smallest mailboxes; unknown ones come last" },

    { "preset", IN_TARGET, CONFIG_WORD, OF_ENDPOINT(preset), .words = preset_words,
      .value_name = "WORD", .fallback = "exchange-online",
      .help = "what kind of server the target is" },
    { "url", IN_EITHER, CONFIG_URL, 0, .value_name = "URL",
      .otherwise = "the cloud's server with preset = exchange-online, else it must be given",
      .help = "imaps:// is TLS from the first byte, imap:// is STARTTLS; a source may be maildir:/srv/mail/{user} or mbox:/srv/mail/{user}" },
    { "auth", IN_EITHER, CONFIG_WORD, OF_ENDPOINT(auth), .words = auth_words,
      .value_name = "WORD", .fallback = "auto",
      .help = "how to log in; auto takes the strongest way that the server offers; kerio-master, "
              "proxyauth and groupwise are an administrator's ways to become the user" },
    { "admin-user", IN_EITHER, CONFIG_TEXT, OF_ENDPOINT(admin_user), .value_name = "NAME",
      .otherwise = "none", .help = "one administrator logs in for all users" },
    { "login-form", IN_EITHER, CONFIG_FORM, OF_ENDPOINT(login_form), .value_name = "FORM",
      .otherwise = "none: the user is SASL PLAIN's authorization identity",
      .help = "login name made of {user}, {domain} and {admin}, such as {user}*{admin}" },
    { "admin-password-file", IN_EITHER, CONFIG_SECRET, OF_ENDPOINT(admin_password),
      .value_name = "FILE", .otherwise = "none",
      .help = "its first line is the administrator's password" },
    { "password-command", IN_EITHER, CONFIG_COMMAND, OF_ENDPOINT(password_command), .value_name = "COMMAND",
      .otherwise = "none",
      .help = "a program whose first line of output is the administrator's password, or, with {user} or {address} in "
              "it, each user's; run without a shell" },
    { "proxy", IN_EITHER, CONFIG_PROXY, OF_ENDPOINT(proxy), .value_name = "URL", .otherwise = "none",
      .help = "socks5://[user:password@]host:port or http://...: the way of the IMAP connections to this server" },
    { "tls", IN_EITHER, CONFIG_CHOICE, 0, .words = tls_words, .value_name = "WORD",
      .fallback = "verify",
      .help = "no-verify encrypts without knowing to whom; none with imap:// is plain text" },
    { "tls-ca", IN_EITHER, CONFIG_FILE, OF_ENDPOINT(tls.ca_file), .value_name = "FILE",
      .otherwise = "the system's", .help = "PEM file of the authorities to trust" },
    { "tls-crl", IN_EITHER, CONFIG_FILE, OF_ENDPOINT(tls.crl_file), .value_name = "FILE",
      .otherwise = "none: revocation is not looked at",
      .help = "PEM file of the revocation lists of every issuer in the server's chain" },
    { "tls-fingerprint", IN_EITHER, CONFIG_PIN, OF_ENDPOINT(tls), .value_name = "SHA256",
      .otherwise = "none",
      .help = "trust this certificate and no other, once the server's administrator read its fingerprint to you" },
    { "tls-min", IN_EITHER, CONFIG_TLS_MIN, OF_ENDPOINT(tls.min_version), .words = tls_min_words,
      .value_name = "VERSION", .fallback = "1.2", .help = "oldest TLS version to speak" },
    { "tls-security-level", IN_EITHER, CONFIG_WORD, OF_ENDPOINT(tls.security_level), .words = tls_level_words,
      .value_name = "LEVEL", .fallback = "system",
      .help = "OpenSSL's measure of keys and hashes (2 on Debian); 1 or 0 for a server with old ones" },
    { "tls-certificate", IN_EITHER, CONFIG_FILE, OF_ENDPOINT(tls.certificate_file),
      .value_name = "FILE", .otherwise = "none",
      .help = "PEM file of the client certificate to show, for auth = external" },
    { "tls-key", IN_EITHER, CONFIG_FILE, OF_ENDPOINT(tls.key_file), .value_name = "FILE",
      .otherwise = "in tls-certificate", .help = "PEM file of its key" },
    { "connections", IN_EITHER, CONFIG_NUMBER, OF_ENDPOINT(connections), 1, 10000,
      .value_name = "N", .otherwise = "64, or 512 with preset = exchange-online",
      .help = "connections to the server at once; it adapts below" },
    { "connections-per-user", IN_SOURCE, CONFIG_NUMBER, OF_ENDPOINT(connections_per_user), 1, 1000,
      .value_name = "N", .fallback = "4",
      .help = "of these, for one user at most: it gets a second one only where that pays" },
    { "connections-per-mailbox", IN_TARGET, CONFIG_NUMBER, OF_ENDPOINT(connections_per_user), 1,
      1000, .value_name = "N", .fallback = "4",
      .help = "of these, for one mailbox at most: it gets a second one only where that pays" },
    { "accept-shared", IN_TARGET, CONFIG_BOOL, OF_ENDPOINT(accept_shared), .value_name = "yes|no",
      .fallback = "no",
      .help = "whether two rows of users.csv may name one target mailbox, which then holds the mail of both" },
    { "compress", IN_EITHER, CONFIG_BOOL, OF_ENDPOINT(compress), .value_name = "yes|no",
      .fallback = "no",
      .help = "COMPRESS=DEFLATE where the server offers it; for slow lines, it costs processor time" },
    { "read-only", IN_SOURCE, CONFIG_WORD, OF_ENDPOINT(read_only), .words = read_only_words, .value_name = "WORD",
      .fallback = "usual",
      .help = "strict: a folder that the server gives only where it is opened for writing fails" },
    { "bytes-per-day", IN_EITHER, CONFIG_SIZE, OF_ENDPOINT(bytes_per_day), 0, INT64_MAX,
      .value_name = "SIZE", .fallback = "0",
      .help = "what one user may move in any 24 hours; 0: no limit; a Gmail source: 2500MB" },
    { "stall-limit", IN_EITHER, CONFIG_MILLISECONDS, OF_ENDPOINT(stall_ms), 0, 3600000,
      .value_name = "DURATION", .otherwise = "120s within a message, 10m for SELECT and SEARCH, else 5m",
      .help = "a connection that stays silent for longer than this while an answer is due is given up, and one that gives or takes "
              "fewer than 128 bytes a second for four times as long; 0: the default" },
    { "tenant", IN_EITHER, CONFIG_TEXT, OF_ENDPOINT(oauth.tenant), .value_name = "NAME",
      .otherwise = "none: preset = exchange-online needs it",
      .help = "Microsoft tenant, such as contoso.onmicrosoft.com, or its GUID" },
    { "client-id", IN_EITHER, CONFIG_TEXT, OF_ENDPOINT(oauth.client_id), .value_name = "ID",
      .otherwise = "none: preset = exchange-online needs it",
      .help = "the registered application" },
    { "client-secret-file", IN_EITHER, CONFIG_SECRET, OF_ENDPOINT(oauth.client_secret),
      .value_name = "FILE", .otherwise = "none",
      .help = "its first line is the application's secret (its value, not its ID)" },
    { "certificate", IN_EITHER, CONFIG_FILE, OF_ENDPOINT(oauth.certificate_file),
      .value_name = "FILE", .otherwise = "none",
      .help = "PEM file of the application's certificate, in place of a secret" },
    { "key", IN_EITHER, CONFIG_FILE, OF_ENDPOINT(oauth.key_file), .value_name = "FILE",
      .otherwise = "in certificate", .help = "PEM file of the certificate's key" },
    { "signing", IN_EITHER, CONFIG_WORD, OF_ENDPOINT(oauth.signing), .words = signing_words,
      .value_name = "WORD", .fallback = "ps256",
      .help = "how the certificate signs token requests" },
    { "refresh-token-file", IN_EITHER, CONFIG_FILE, OF_ENDPOINT(oauth.refresh_token_file),
      .value_name = "FILE", .otherwise = "none",
      .help = "log in as a person who consented; a new token is written back" },
    { "device-code", IN_EITHER, CONFIG_BOOL, OF_ENDPOINT(oauth.device_code), .value_name = "yes|no",
      .fallback = "no",
      .help = "a person signs in with mailhaul sign-in; what that gives is kept in the state folder" },
    { "device-url", IN_EITHER, CONFIG_HTTPS, OF_ENDPOINT(oauth.device_url), .value_name = "URL",
      .otherwise = "token-url with devicecode in place of its last word",
      .help = "where a code to sign in with is asked for" },
    { "service-account-file", IN_EITHER, CONFIG_FILE, OF_ENDPOINT(oauth.service_account_file),
      .value_name = "FILE", .otherwise = "none",
      .help = "JSON key of a Google service account with domain-wide delegation" },
    { "cloud", IN_EITHER, CONFIG_WORD, OF_ENDPOINT(cloud), .words = cloud_words,
      .value_name = "WORD", .fallback = "global", .help = "Microsoft's cloud" },
    { "token-url", IN_EITHER, CONFIG_HTTPS, OF_ENDPOINT(oauth.token_url), .value_name = "URL",
      .otherwise = "the cloud's, or Google's without tenant",
      .help = "where tokens are asked for" },
    { "scope", IN_EITHER, CONFIG_TEXT, OF_ENDPOINT(oauth.scope), .value_name = "TEXT",
      .otherwise = "the cloud's, or Google's without tenant", .help = "scope of the token" },
    { "settle-time", IN_TARGET, CONFIG_MILLISECONDS, OF_ENDPOINT(settle_ms), 0, 3600000,
      .value_name = "DURATION", .otherwise = "60s, or 5s with preset = imap",
      .help = "wait after a lost connection before looking whether a message arrived",
      .hidden = true },
    { "append-pipeline", IN_TARGET, CONFIG_NUMBER, OF_ENDPOINT(append_pipeline), 0, 1024,
      .value_name = "N", .fallback = "0",
      .help = "APPEND commands in flight on a connection; 0: automatic", .hidden = true },

    { "max-message-size", IN_POLICY, CONFIG_SIZE, OF_POLICY(max_message_bytes), 1,
      SETTINGS_MESSAGE_BYTES_MAX, .value_name = "SIZE", .fallback = "35MB",
      .help = "larger messages are skipped; at most 150MB" },
    { "large-item-limit", IN_POLICY, CONFIG_LIMIT, OF_POLICY(large_item_limit),
      .value_name = "N|unlimited", .fallback = "0",
      .help = "a user with more larger messages than this is Failed; the rest is moved" },
    { "bad-item-limit", IN_POLICY, CONFIG_LIMIT, OF_POLICY(bad_item_limit),
      .value_name = "N|unlimited", .fallback = "0",
      .help = "a user with more messages that cannot be read or are refused is Failed; the rest is moved" },
    { "transient-failure-limit", IN_POLICY, CONFIG_LIMIT, OF_POLICY(transient_failure_limit),
      .value_name = "N|unlimited", .fallback = "60",
      .help = "a user with so many failures of one cause in a row is Failed; 0: by the first one" },
    { "retry-wait", IN_POLICY, CONFIG_MILLISECONDS, OF_POLICY(retry_wait_ms), 1, 3600000,
      .value_name = "DURATION", .fallback = "1s",
      .help = "wait before a first failure is tried again; later waits grow to 300 times this" },
    { "exclude-folders", IN_POLICY, CONFIG_LIST, OF_POLICY(exclude_folders), .value_name = "LIST",
      .otherwise = "none", .help = "folders to leave out: NAME, NAME/* (what is within it), *PART*, #Role#, #Role#/*" },
    { "include-folders", IN_POLICY, CONFIG_LIST, OF_POLICY(include_folders), .value_name = "LIST",
      .otherwise = "all", .help = "only these folders, by the same patterns" },
    { "since", IN_POLICY, CONFIG_DATE, OF_POLICY(since_s), .value_name = "DATE",
      .otherwise = "none", .help = "only messages that arrived on this day or later" },
    { "before", IN_POLICY, CONFIG_DATE, OF_POLICY(before_s), .value_name = "DATE",
      .otherwise = "none", .help = "only messages that arrived before this day" },
    { "order", IN_POLICY, CONFIG_WORD, OF_POLICY(order), .words = order_words,
      .value_name = "WORD", .fallback = "newest-first", .help = "which messages go first" },
    { "gmail-labels", IN_POLICY, CONFIG_WORD, OF_POLICY(gmail_labels), .words = labels_words,
      .value_name = "WORD", .fallback = "one-copy",
      .help = "where Gmail shows a message in several folders: one copy, or one in each" },
    { "label-priority", IN_POLICY, CONFIG_LIST, OF_POLICY(label_priority), .value_name = "LIST",
      .otherwise = "INBOX, drafts, sent mail, labels, and All Mail last",
      .help = "folders that have the one copy before others, the first before the second" },
    { "disarm-read-receipts", IN_POLICY, CONFIG_BOOL, OF_POLICY(disarm_read_receipts),
      .value_name = "yes|no", .fallback = "no",
      .help = "take out of unread messages what asks for a receipt; this alters them" },
    { "follow-flags", IN_POLICY, CONFIG_WORD, OF_POLICY(follow_flags), .words = follow_flags_words,
      .value_name = "WORD", .fallback = "yes",
      .help = "later runs bring flags to the target that changed at the source; changes: only where it tells them" },
    { "follow-deletions", IN_POLICY, CONFIG_WORD, OF_POLICY(follow_deletions), .words = follow_deletions_words,
      .value_name = "WORD", .fallback = "no",
      .help = "messages deleted at the source after the copy: told, or moved into the target's deleted items" },
    { "deletions-max", IN_POLICY, CONFIG_LIMIT, OF_POLICY(deletions_max), .value_name = "N|unlimited", .fallback = "50",
      .help = "more deletions in a folder than this, and than deletions-percent-max, are not followed" },
    { "deletions-percent-max", IN_POLICY, CONFIG_LIMIT, OF_POLICY(deletions_percent_max), .value_name = "N|unlimited",
      .fallback = "20", .help = "of the folder's messages; see deletions-max" },
};
/* clang-format on */
#define KEY_COUNT (sizeof config_keys / sizeof *config_keys)
_Static_assert(KEY_COUNT <= CONFIG_KEYS_MAX, "given values fit");

unsigned config_key_count(void)
{
    return KEY_COUNT;
}

const char *config_section_name(enum config_section section)
{
    assert((unsigned)section < CONFIG_SECTION_COUNT);
    return section_names[section];
}

bool config_section_find(struct slice name, enum config_section *section_r)
{
    for (unsigned i = 0; i < CONFIG_SECTION_COUNT; i++)
        if (slice_equal(name, slice_cstr(section_names[i]))) {
            *section_r = (enum config_section)i;
            return true;
        }
    return false;
}

const struct config_key *config_key_find(enum config_section section, struct slice name)
{
    for (size_t i = 0; i < KEY_COUNT; i++)
        if ((config_keys[i].sections & 1u << section) && slice_equal_nocase(name, slice_cstr(config_keys[i].name)))
            return &config_keys[i];
    return NULL;
}

void *config_section_base(enum config_section section, struct settings *s)
{
    switch (section) {
    case CONFIG_SOURCE:
        return &s->source;
    case CONFIG_TARGET:
        return &s->target;
    case CONFIG_POLICY:
        return &s->policy;
    case CONFIG_BATCH:
    case CONFIG_FOLDERS:
    case CONFIG_REHEARSE:
    case CONFIG_SECTION_COUNT:
        break;
    }
    return s;
}

char *config_file_path(struct slice value, const char *batch_file)
{
    struct slice prefix = SLICE("credential:");
    const char *folder;

    if (!slice_starts(value, prefix))
        return config_text_beside(batch_file, value);
    folder = getenv("CREDENTIALS_DIRECTORY");
    value = slice_from(value, prefix.size);
    if (!folder || value.size == 0 || slice_find(value, '/') != SIZE_MAX)
        return NULL;
    return mem_format("%s/%.*s", folder, (int)value.size, value.data);
}

/* Storing: one short function a shape of value. Each returns false when value is none. */

static void replace(char **field, char *text)
{
    free(*field);
    *field = text;
}

static bool store_text(char **field, struct slice value)
{
    char *text;

    if (!value_text(value, &text))
        return false;
    if (!*text) {
        free(text);
        return false;
    }
    replace(field, text);
    return true;
}

static bool store_path(const struct config_key *key, char **field, struct slice value, const char *batch_file)
{
    char *text, *path;

    if (!value_text(value, &text))
        return false;
    path = !*text                     ? NULL
           : key->kind == CONFIG_PATH ? config_text_beside(batch_file, slice_cstr(text))
                                      : config_file_path(slice_cstr(text), batch_file);
    free(text);
    if (!path)
        return false;
    if (key->kind == CONFIG_SECRET) /* read when all is known */
        free(path);
    else
        replace(field, path);
    return true;
}

static bool store_number(const struct config_key *key, unsigned *field, struct slice value)
{
    uint32_t number;

    if (!slice_u32(value, &number) || number < key->min || number > key->max)
        return false;
    *field = number;
    return true;
}

static bool store_limit(uint64_t *field, struct slice value)
{
    if (slice_equal_nocase(value, SLICE("unlimited"))) {
        *field = SETTINGS_UNLIMITED;
        return true;
    }
    return slice_u64(value, field);
}

static bool store_size(const struct config_key *key, uint64_t *field, struct slice value)
{
    uint64_t bytes;

    if (!value_size(value, &bytes) || bytes < key->min || bytes > key->max)
        return false;
    *field = bytes;
    return true;
}

static bool store_duration(const struct config_key *key, uint32_t *field, struct slice value)
{
    uint64_t ms;

    if (!value_duration(value, &ms))
        return false;
    if (key->kind == CONFIG_MILLISECONDS) {
        if (ms < key->min || ms > key->max)
            return false;
        *field = (uint32_t)ms;
    } else {
        if (ms % 1000)
            return false;
        *field = (uint32_t)(ms / 1000);
    }
    return true;
}

static bool store_list(struct settings_list *field, struct slice value)
{
    struct settings_list list = { NULL, 0 };

    if (!value_list(value, &list))
        return false;
    settings_list_deinit(field);
    *field = list;
    return true;
}

static bool find_word(const struct config_key *key, struct slice value, unsigned *index_r)
{
    for (unsigned i = 0; key->words[i]; i++)
        if (slice_equal_nocase(value, slice_cstr(key->words[i]))) {
            *index_r = i;
            return true;
        }
    return false;
}

static bool store_url(struct settings_endpoint *e, struct slice value)
{
    bool implicit;
    char *host;
    uint16_t port;

    if (value_disk_url(value, &host, &e->disk_is_mbox)) {
        replace(&e->disk, host);
        replace(&e->host, slice_dup(value));
        e->port = 0;
        e->tls.mode = SETTINGS_TLS_NONE;
        return true;
    }
    if (!value_imap_url(value, &implicit, &host, &port))
        return false;
    replace(&e->disk, NULL);
    replace(&e->host, host);
    e->port = port;
    e->tls.mode = implicit ? SETTINGS_TLS_IMPLICIT : SETTINGS_TLS_STARTTLS;
    return true;
}

/* As it is written: its words keep their quotes until it is run. */
static bool store_command(char **field, struct slice value)
{
    struct settings_list words = { NULL, 0 };
    bool ok = value_words(value, &words);

    settings_list_deinit(&words);
    if (ok)
        replace(field, slice_dup(value));
    return ok;
}

static bool store_any(const struct config_key *key, void *field, struct slice value, const char *batch_file)
{
    struct settings_tls *tls = field;
    unsigned index;
    bool ok = false;

    switch (key->kind) {
    case CONFIG_TEXT:
        return store_text(field, value);
    case CONFIG_PATH:
    case CONFIG_FILE:
    case CONFIG_SECRET:
        return store_path(key, field, value, batch_file);
    case CONFIG_NUMBER:
        return store_number(key, field, value);
    case CONFIG_LIMIT:
        return store_limit(field, value);
    case CONFIG_SIZE:
        return store_size(key, field, value);
    case CONFIG_SECONDS:
    case CONFIG_MILLISECONDS:
        return store_duration(key, field, value);
    case CONFIG_WINDOW:
        return value_window(value, field);
    case CONFIG_DATE:
        return value_date(value, field);
    case CONFIG_BOOL:
        return value_bool(value, field);
    case CONFIG_LIST:
        return store_list(field, value);
    case CONFIG_WORD:
        ok = find_word(key, value, &index);
        if (ok)
            *(unsigned *)field = index;
        return ok;
    case CONFIG_CHOICE:
        return find_word(key, value, &index);
    case CONFIG_TLS_MIN:
        ok = find_word(key, value, &index);
        if (ok)
            *(unsigned *)field = 0x0301 + index;
        return ok;
    case CONFIG_URL:
        return store_url(field, value);
    case CONFIG_HTTPS:
        return value_https_url(value) && store_text(field, value);
    case CONFIG_PIN:
        ok = value_pin(value, tls->pin);
        tls->has_pin = tls->has_pin || ok;
        return ok;
    case CONFIG_FORM:
        return value_login_form(value, &ok) && store_text(field, value);
    case CONFIG_COMMAND:
        return store_command(field, value);
    case CONFIG_PROXY:
        return value_proxy(value, field);
    case CONFIG_BANDWIDTH:
        return value_bandwidths(value, field);
    }
    return false;
}

bool config_key_store(const struct config_key *key, void *base, struct slice value, const char *batch_file,
                      char *fault_r, size_t fault_cap)
{
    char expected[160];

    if (store_any(key, (char *)base + key->offset, value, batch_file))
        return true;
    if (value_quote_is_open(value)) {
        snprintf(fault_r, fault_cap, "the quote is not closed");
    } else if (key->kind == CONFIG_URL) {
        snprintf(fault_r, fault_cap, "%s", value_imap_url_fault(value));
    } else {
        config_key_expected(key, value, expected, sizeof expected);
        snprintf(fault_r, fault_cap, "%sexpected %s", value.size ? "" : "the value is empty; ", expected);
    }
    return false;
}
