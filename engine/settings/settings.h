/* What drives the engine: the batch file, users.csv and the choices of the command line as plain
 * values. engine/cli fills it; tests and bench may fill it by hand from settings_create on. Nothing
 * here reads a file, and nothing changes once the team has started, so any thread may read it.
 *
 * Every char * is a terminated copy that settings_destroy frees (mem_text or malloc); file names
 * are already relative to the working folder or absolute.
 */
#ifndef ENGINE_SETTINGS_SETTINGS_H
#define ENGINE_SETTINGS_SETTINGS_H

#include "engine/imap/auth.h"
#include "io/base/err.h"
#include "io/base/secret.h"
#include "io/base/slice.h"
#include "io/proxy.h"
#include "io/tls.h"

#define SETTINGS_MESSAGE_BYTES_MAX 150000000ull /* max-message-size never exceeds this */
#define SETTINGS_UNLIMITED         UINT64_MAX   /* large-item-limit, bad-item-limit */
#define SETTINGS_NO_SINCE          INT64_MIN
#define SETTINGS_NO_BEFORE         INT64_MAX
#define SETTINGS_SETTLE_AUTO       UINT32_MAX /* until settings_finish */
#define SETTINGS_SHARDS_MAX        100000u
#define SETTINGS_LOGIN_BYTES_MAX   2048u /* of a login, as the journal takes it */

/* Texts in the order in which they were written. */
struct settings_list {
    char **items;
    size_t count;
};

enum settings_preset {
    SETTINGS_PRESET_IMAP,           /* any IMAP server; the source always */
    SETTINGS_PRESET_EXCHANGE_ONLINE /* OAuth, learnt rate, Exchange's rules for names and flags */
};

/* Exchange Online's national clouds. exchange-online.md 3.5 */
enum settings_cloud {
    SETTINGS_CLOUD_GLOBAL,
    SETTINGS_CLOUD_US_GOV,
    SETTINGS_CLOUD_US_DOD,
    SETTINGS_CLOUD_CHINA,
    SETTINGS_CLOUD_COUNT
};

enum settings_tls_mode {
    SETTINGS_TLS_IMPLICIT, /* imaps:// */
    SETTINGS_TLS_STARTTLS, /* imap://, and refused when the server does not offer it */
    SETTINGS_TLS_NONE      /* imap:// with tls = none: plain text, passwords included */
};

struct settings_tls {
    enum settings_tls_mode mode;
    bool verify;             /* false only when the user wrote so */
    bool has_pin;            /* pin replaces the chain */
    unsigned char pin[32];   /* SHA-256 of the server's DER certificate */
    unsigned min_version;    /* as tls_config.min_version: 0x0301 TLS 1.0 .. 0x0304 TLS 1.3 */
    unsigned security_level; /* as tls_config.security_level */
    char *ca_file;           /* PEM bundle, or NULL: the system's */
    char *crl_file;          /* PEM revocation lists, or NULL: not looked at */
    char *certificate_file;  /* client certificate, PEM, or NULL */
    char *key_file;          /* its key, or NULL: in certificate_file */
};

/* How access tokens are come by. */
enum settings_grant {
    SETTINGS_GRANT_NONE,            /* not OAuth; with auth = xoauth2 or oauthbearer the user's
                                       password is the access token itself */
    SETTINGS_GRANT_CLIENT_SECRET,   /* client credentials with client_secret */
    SETTINGS_GRANT_CERTIFICATE,     /* client credentials with a signed assertion */
    SETTINGS_GRANT_REFRESH_TOKEN,   /* delegated; refresh_token_file, or NULL: the user's password
                                       is that user's first refresh token */
    SETTINGS_GRANT_SERVICE_ACCOUNT, /* Google: JWT of service_account_file, sub = the user's login
                                     */
    SETTINGS_GRANT_COUNT
};

enum settings_signing { SETTINGS_SIGN_PS256, SETTINGS_SIGN_RS256 };

struct settings_oauth {
    enum settings_grant grant;
    enum settings_signing signing; /* of the certificate's assertion */
    char *token_url;               /* https://...; never NULL after settings_finish with a grant */
    char *scope;                   /* likewise */
    char *tenant;                  /* Exchange Online: domain name or GUID, else NULL */
    char *client_id;               /* NULL with GRANT_SERVICE_ACCOUNT */
    struct secret *client_secret;  /* also beside a refresh token, where the server wants one */
    char *certificate_file;        /* PEM */
    char *key_file;                /* PEM, or NULL: in certificate_file */
    char *refresh_token_file;      /* re-read at each request; a rotated token is written back */
    bool device_code;              /* a person signs in by code; refresh_token_file is then in
                                      sign_in_folder, and sealed by the spool's key if there is one */
    char *device_url;              /* where a code is asked for; with device_code never NULL after
                                      settings_finish */
    char *service_account_file;    /* JSON as Google hands it out */
};

enum side { SIDE_SOURCE, SIDE_TARGET, SIDE_COUNT };

/* One server. [source] and [target] have the same fields. */
/* What is done with a folder that a server does not give as it is under EXAMINE. */
enum settings_read_only {
    SETTINGS_READ_ONLY_USUAL, /* it is opened by SELECT, and told */
    SETTINGS_READ_ONLY_STRICT /* it fails: some servers write into a mailbox that is opened so */
};

struct settings_endpoint {
    enum settings_preset preset;
    enum settings_cloud cloud; /* Exchange Online only */
    char *host;                /* name or address without brackets */
    uint16_t port;             /* 1..65535 */
    char *disk;        /* source: "/srv/mail/{user}", what is read in place of a server, or NULL; host is then the
                          whole url, and port 0 */
    bool disk_is_mbox; /* mbox files, else Maildir trees */
    struct settings_tls tls;
    enum auth_mechanism auth;
    char *admin_user;              /* one login for all users, or NULL */
    char *password_command;        /* prints a password: the administrator's, or with {user} or {address} in it each
                                      user's; words as value_words parts them; or NULL */
    struct proxy_way proxy;        /* through which connections go */
    char *login_form;              /* "{user}*{admin}"; NULL with admin_user: SASL PLAIN authzid */
    struct secret *admin_password; /* with admin_user or auth = kerio-master, else NULL */
    struct settings_oauth oauth;
    unsigned connections;                 /* at once to this server, 1..10000 */
    unsigned connections_per_user;        /* at once for one mailbox, 1..1000 */
    bool connections_said, per_user_said; /* the two above stand in the batch file; else a bench may tell them */
    bool compress;                        /* COMPRESS=DEFLATE where offered */
    uint64_t bytes_per_day;               /* of one user, 0: no limit */
    uint32_t settle_ms;                   /* target: after a lost connection, how long to wait before
                                             looking whether a message arrived */
    uint32_t stall_ms;                    /* longest silence while an answer is due; 0: by kind of wait */
    unsigned append_pipeline;             /* target: APPENDs in flight on a connection, 0: automatic */
    bool accept_shared;                   /* target: two users may have one mailbox */
    unsigned read_only;                   /* source: enum settings_read_only */
};

/* The administrator's credentials log in, not each user's own. */
static inline bool settings_admin_logs_in(const struct settings_endpoint *e)
{
    return e->admin_user || e->auth == AUTH_KERIO_MASTER;
}

/* Whether the target can be logged in to for this user, without asking anybody. */
struct settings;
struct settings_user;
bool settings_reaches_target(const struct settings *s, const struct settings_user *user);

/* Local time of day; a window may pass midnight. */
struct settings_window {
    bool set;               /* false: always open */
    unsigned opens_minute;  /* 0..1439 since midnight */
    unsigned closes_minute; /* 0..1439, differs from opens_minute; not itself inside */
};

/* The most that may be moved, by time of day: the first that is open counts, and none is no limit. */
#define SETTINGS_BANDWIDTHS_MAX 8u
struct settings_bandwidth {
    struct settings_window window; /* not set: at all other times */
    uint64_t bytes_per_s;          /* 0: no limit */
};
struct settings_bandwidths {
    unsigned count;
    struct settings_bandwidth all[SETTINGS_BANDWIDTHS_MAX];
};

/* What becomes of a message with several labels, where folders are labels (Gmail). */
enum settings_labels {
    SETTINGS_LABELS_ONE_COPY, /* in the first of its folders by rank */
    SETTINGS_LABELS_EVERY_FOLDER
};

enum settings_order { SETTINGS_NEWEST_FIRST, SETTINGS_OLDEST_FIRST };

/* Which users go first. */
enum settings_user_order {
    SETTINGS_USERS_AS_LISTED,
    SETTINGS_USERS_CLOSEST_TO_DONE, /* the least mail left first */
    SETTINGS_USERS_SMALLEST_FIRST   /* the smallest mailbox first */
};

/* Flags that changed at the source after the copy. */
enum settings_follow_flags {
    SETTINGS_FOLLOW_FLAGS_YES,     /* followed */
    SETTINGS_FOLLOW_FLAGS_CHANGES, /* likewise, but only where the source tells what changed (CONDSTORE) */
    SETTINGS_FOLLOW_FLAGS_NO
};

/* Messages that were deleted at the source after the copy. */
enum settings_follow_deletions {
    SETTINGS_FOLLOW_DELETIONS_NO,     /* not looked for */
    SETTINGS_FOLLOW_DELETIONS_REPORT, /* told */
    SETTINGS_FOLLOW_DELETIONS_YES     /* moved into the target's folder of deleted items */
};

struct settings_policy {
    uint64_t max_message_bytes;           /* larger ones are skipped; a user's own value goes first */
    uint64_t large_item_limit;            /* more larger items than this fail the user */
    uint64_t bad_item_limit;              /* more unreadable or refused items than this fail the user */
    uint64_t transient_failure_limit;     /* of one user, in a row */
    uint32_t retry_wait_ms;               /* before the first repetition; later ones wait longer */
    struct settings_list exclude_folders; /* "Trash", "Junk/" + "*", "#JunkEmail#", as written */
    struct settings_list include_folders; /* empty: all */
    int64_t since_s;                      /* INTERNALDATE >= this moves; 00:00 UTC of the date, seconds
                                             since 1970, or SETTINGS_NO_SINCE */
    int64_t before_s;                     /* INTERNALDATE < this moves; or SETTINGS_NO_BEFORE */
    enum settings_order order;
    enum settings_labels gmail_labels;
    struct settings_list label_priority; /* patterns as above; which label's folder has the copy */
    bool disarm_read_receipts;
    enum settings_follow_flags follow_flags;
    enum settings_follow_deletions follow_deletions;
    uint64_t deletions_max;         /* of one folder in one run; more, and ... */
    uint64_t deletions_percent_max; /* ... more than this of what it has: none is followed */
};

/* One line of [folders]. */
struct settings_folder {
    char *source, *target; /* UTF-8, as written; case is kept */
    unsigned line;
};

/* One row of users.csv. Optional texts are NULL when the column is missing or the cell empty. */
struct settings_user {
    char *email_address;     /* the target mailbox, case as written */
    char *user_name;         /* login at the source */
    struct secret *password; /* from Password or PasswordFile; NULL with an admin or a token */
    char *user_root;         /* folder prefix at the source */
    char *target_user_name;  /* never NULL: EmailAddress when not given */
    struct secret *target_password;
    char *password_file;                   /* resolved; its secret is in password */
    uint64_t max_message_bytes;            /* 0: the policy's */
    struct settings_list *exclude_folders; /* in place of the policy's, or NULL: the policy's */
    unsigned line;                         /* of users.csv, 1-based; where the row begins */
    char *wave;                            /* which wave of the migration he goes with */
};

/* What this process was started for. */
enum settings_mode {
    SETTINGS_MODE_RUN,    /* fetch, spool, upload */
    SETTINGS_MODE_FETCH,  /* source to spool */
    SETTINGS_MODE_UPLOAD, /* spool to target */
    SETTINGS_MODE_RETRY,  /* failed users and items back into the queue, then as RUN */
    SETTINGS_MODE_PLAN,   /* inventory only */
    SETTINGS_MODE_VERIFY, /* both sides read again */
    SETTINGS_MODE_OTHER   /* check, folders, status, report, export, bench */
};

struct settings {
    /* [batch] */
    char *batch_name;
    char *batch_file; /* as given, for messages */
    char *users_file;
    char *state_folder;                    /* of this shard: with a shard count above 1 it ends in ".I-of-N" */
    char *sign_in_folder;                  /* the same for all shards: what a person's sign-in gave */
    char *status_file;                     /* how the run stands, renewed while it works, or NULL */
    char *listen;                          /* as in engine/cli/listen_address, or NULL */
    char *listen_certificate, *listen_key; /* PEM files, or NULL; the key may be in the certificate's */
    struct secret *listen_token;           /* what a client has to know, or NULL */
    char *ledger_folder;                   /* shared between processes that fill one tenant, or NULL */
    struct secret *spool_key;              /* encryption at rest, or NULL */
    unsigned threads;                      /* 0: the processors this process may use */
    uint64_t memory_max_bytes;
    uint64_t spool_max_bytes;
    struct settings_window window;
    uint32_t time_limit_s; /* 0: none */
    unsigned shards;       /* the count that --shard must name; 0: not fixed */
    enum settings_user_order user_order;
    struct settings_bandwidths bandwidth_max;

    struct settings_endpoint source;
    struct settings_endpoint target;
    struct settings_policy policy;
    struct settings_folder *folders;
    size_t folder_count;
    struct settings_list rehearse;    /* "key=value" of the simulated target, for `rehearse` */
    struct settings_list input_files; /* paths of all files that the batch file and users.csv name, secrets included,
                                         but users_file: nothing may be written over them */

    /* users.csv; after users_select only those of this shard and of --user, in file order */
    struct settings_user *users;
    size_t user_count;
    char *split_file; /* owned: where the division into shards is written down, whether it is there or not; NULL without
                         a batch file */

    struct settings_list user_faults; /* the other faults, a sentence each, when users_load failed */

    /* command line */
    enum settings_mode mode;
    unsigned shard_number, shard_count;    /* 1/1 without --shard */
    struct settings_list only_users;       /* --user and --users-from: addresses, compared without case; empty: all */
    struct settings_list but_users;        /* --exclude-user: as those */
    struct settings_list waves;            /* --wave: compared without case; empty: all */
    struct settings_list accept_deletions; /* --accept-deletions: users, as those */
    struct settings_list accept_counts;    /* --accept-counts: users, as those */

    /* what the newest bench of this source measured, or 0 */
    double bench_bytes_per_s, bench_messages_per_s;
};

/* The command line names users or waves: what is left out was meant to be. */
static inline bool settings_names_users(const struct settings *s)
{
    return s->only_users.count > 0 || s->waves.count > 0;
}

/* Not all users of the batch are meant, whatever the shard. */
static inline bool settings_is_narrowed(const struct settings *s)
{
    return settings_names_users(s) || s->but_users.count > 0;
}

static inline const struct settings_endpoint *settings_endpoint(const struct settings *s, enum side side)
{
    return side == SIDE_SOURCE ? &s->source : &s->target;
}

/* The general defaults; what depends on the preset waits for settings_finish. */
struct settings *settings_create(void);
/* Frees all and nulls; secrets are wiped. NULL and half-filled settings are fine. */
void settings_destroy(struct settings **s);
/* Decides, once all is read, what was left open: by preset and cloud the target's host, port,
 * token_url, scope, TLS, auth, settle_ms and connections, and each user's target_user_name. The
 * one place that knows the presets. Calling it twice changes nothing. */
void settings_finish(struct settings *s);

/* What io/tls needs of an endpoint; borrows from tls. */
void settings_tls_config(const struct settings_tls *tls, struct tls_config *config_r);

/* Appends a copy. */
void settings_list_add(struct settings_list *list, struct slice item);
void settings_list_deinit(struct settings_list *list);
/* Is the user in the list, by EmailAddress (case does not count) or by UserName? */
bool settings_list_has_user(const struct settings_list *list, const struct settings_user *user);
/* Adds an empty row, which the caller fills; valid until the next call. */
struct settings_user *settings_user_add(struct settings *s);
/* Frees and drops the rows for which keep says no; the others stay in order. */
void settings_users_keep(struct settings *s, bool (*keep)(void *context, const struct settings_user *user),
                         void *context);

/* What stands behind a batch's own state folder in the name of a shard's: ".3-of-10". Returns out. */
#define SETTINGS_SHARD_ENDING_BYTES 32
const char *settings_shard_ending(unsigned number, unsigned of, char out[SETTINGS_SHARD_ENDING_BYTES]);
/* Whether a mailbox belongs to shard number (1..count) of count. Depends on the address alone
 * (A-Z folded), on every machine and in every version: SHA-256 mod count. */
bool settings_user_in_shard(struct slice email_address, unsigned number, unsigned count);

/* True when minute (0..1439 of the local day) is inside. */
bool settings_window_open(const struct settings_window *window, unsigned minute);

const char *settings_grant_name(enum settings_grant grant); /* "client secret", for people */

#endif
