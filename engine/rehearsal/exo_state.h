/* What the parts of the simulated Exchange Online share: the server, its mailboxes and messages,
 * its budgets. Only bench/exo_*.c include this.
 *
 * Locks, in this order: exo.map_lock, exo_mailbox.lock, exo.lock. None is held over I/O.
 */
#ifndef ENGINE_REHEARSAL_EXO_STATE_H
#define ENGINE_REHEARSAL_EXO_STATE_H

#include "engine/rehearsal/exo.h"
#include "engine/rehearsal/exo_text.h"

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

#define EXO_FAULTS_MAX        32
#define EXO_MAP_SIZE          4096 /* buckets of the address table; a power of two */
#define EXO_MAILBOXES_MAX     200000
#define EXO_FOLDERS_MAX       10000
#define EXO_NAME_MAX          1024 /* bytes of a folder name */
#define EXO_HEADER_MAX        (256 * 1024)
#define EXO_SECONDS_MAX       172800 /* rows of history: two days */
#define EXO_LOGINS_REMEMBERED 32
#define EXO_GRANTS_MAX        256 /* refresh tokens, device codes, used assertions remembered */

struct exo_message {
    uint32_t uid, flags;
    int64_t date;
    uint64_t size;
    uint8_t sha256[32];
    char *text; /* what is kept: header, or header and body, or the Message-ID */
    size_t text_bytes;
    uint32_t header_bytes; /* of text, with its empty line; 0 when only the Message-ID is kept */
    uint32_t id_at, id_bytes;
};

struct exo_folder {
    char *name;                      /* modified UTF-7 */
    const char *special;             /* "\\Sent" ..., or NULL */
    bool not_mail, subscribed, dead; /* dead: deleted, kept for the sessions that have it open */
    uint32_t uidvalidity, uidnext;
    struct exo_message **messages; /* by UID */
    size_t count, room;
    uint32_t *expunged; /* UIDs in the order they went, for sessions to tell their clients */
    size_t expunged_count, expunged_room;
};

/* Tokens of cost. */
struct exo_bucket {
    double balance;
    uint64_t at_ms; /* 0: full, never used */
};

struct exo_mailbox {
    pthread_mutex_t lock; /* of all below but address and next */
    struct exo_mailbox *next, *next_listed;
    char *address;
    bool permitted, enabled;
    uint64_t quota_bytes, message_bytes_max; /* 0: as for all */
    uint32_t connections_limit;
    double rate, burst, cutoff;
    struct exo_folder **folders;
    size_t folder_count, folder_room;
    uint64_t bytes, message_count;
    uint32_t uidvalidity_next;

    struct exo_bucket bucket;
    uint64_t gate_ms;                     /* its own bucket cut: until then */
    uint64_t hint_from_ms, hint_until_ms; /* what its client was told */
    uint64_t tenant_cut;                  /* number of the tenant cut it was last told of */
    uint64_t login_ms[EXO_LOGINS_REMEMBERED];
    size_t login_at;
    bool word_turn;

    uint64_t connections, connections_max, logins, appends, append_bytes, throttled, violations;
    double cost;
    uint64_t revoked; /* sessions that logged in at an older count are ended */
};

struct exo_second {
    uint32_t appends, throttled, connects, connections;
    uint64_t bytes;
    double cost;
};

struct exo_grant {
    char code[64]; /* refresh token, device code or jti; "" free */
    char user[128];
    uint32_t polls;
    int64_t until;                /* wall seconds */
    uint64_t last_ms;             /* device code: of the last poll, or when it was given */
    uint32_t interval_ms, slowed; /* device code: least time between polls; slow_downs told */
};

struct exo_listener {
    int fd; /* -1: not open */
    uint16_t port;
    const struct exo_service *service;
    bool tls;
};

struct exo {
    pthread_mutex_t config_lock;
    struct exo_config config;
    _Atomic uint64_t generation; /* of config; workers copy it anew when it moved */

    pthread_mutex_t map_lock;
    struct exo_mailbox *map[EXO_MAP_SIZE], *listed, **listed_end;
    size_t mailbox_count;

    pthread_mutex_t lock; /* of all below up to `workers` */
    struct exo_fault faults[EXO_FAULTS_MAX];
    struct {
        uint64_t seen, fired;
    } fault_state[EXO_FAULTS_MAX];
    _Atomic size_t fault_count; /* written under lock */
    uint64_t random;
    struct exo_bucket bucket; /* the tenant's */
    uint64_t gate_ms, cut, hinted, hinted_third_ms;
    uint64_t witnesses; /* mailboxes that asked though three others knew of the running cut */
    struct exo_stats stats;
    struct exo_second *seconds;
    size_t second_count, second_room;
    struct exo_grant grants[EXO_GRANTS_MAX];
    size_t grant_at;
    _Atomic uint64_t inflight, inflight_ms; /* APPENDs that wait for their answer; of those that had it */

    struct exo_worker *workers;
    size_t worker_count;
    struct exo_listener listeners[4]; /* IMAP, plain IMAP, token, control */
    uint64_t started_ms;
    _Atomic bool stopping;
    SSL_CTX *tls;
    char *ca_pem;
    char ca_file[512];
    EVP_PKEY *client_key; /* of the registered certificate, or NULL */
    uint8_t client_sha1[20], client_sha256[32];
    uint8_t token_key[32];
    char server_name[64]; /* base64 of UTF-16, in the greeting */
};

/* ---- exo_store.c ---- */

/* Case-blind; NULL when there is none. */
struct exo_mailbox *exo_mailbox_find(struct exo *exo, const char *address);
/* Finds or makes it, with its special folders; NULL when there are too many. */
struct exo_mailbox *exo_mailbox_make(struct exo *exo, const char *address, const char *language);
void exo_mailboxes_free(struct exo *exo);
/* All of these with the mailbox's lock held. */
struct exo_folder *exo_folder_find(struct exo_mailbox *m, struct slice name);
/* NULL when there are too many. Parents are made too. */
struct exo_folder *exo_folder_make(struct exo_mailbox *m, struct slice name);
/* Gives the message its UID and takes it over. */
void exo_folder_add(struct exo_mailbox *m, struct exo_folder *f, struct exo_message *message);
/* Index of the first message with at least this UID. */
size_t exo_folder_index(const struct exo_folder *f, uint32_t uid);
void exo_folder_expunge(struct exo_mailbox *m, struct exo_folder *f, size_t index);
/* text: what is kept of the literal, taken over; finds the Message-ID in its header. */
struct exo_message *exo_message_create(enum exo_keep keep, char *text, size_t text_bytes, size_t header_bytes);
/* The value of a header field, unfolded no further; empty when there is none. */
struct slice exo_header_value(struct slice header, const char *name);
/* End of the header (behind its empty line), or SIZE_MAX when it is not all there. */
size_t exo_header_end(struct slice text);

/* ---- exo_budget.c ---- */

/* May an APPEND begin? False: *hint_ms_r is what to tell. Counts reply and violation. */
bool exo_budget_admit(struct exo *exo, struct exo_mailbox *m, const struct exo_config *config, uint64_t now_ms,
                      uint32_t *hint_ms_r);
/* True while the mailbox or tenant is cut, for commands that are not charged. */
bool exo_budget_closed(struct exo *exo, struct exo_mailbox *m, const struct exo_config *config, uint64_t now_ms,
                       uint32_t *hint_ms_r);
/* Takes the cost of one message and gives the micro-delay to add. */
uint32_t exo_budget_charge(struct exo *exo, struct exo_mailbox *m, const struct exo_config *config, uint64_t now_ms,
                           uint64_t bytes);
/* Brings every bucket up to now under the old rates, before they change. */
void exo_budget_settle(struct exo *exo, const struct exo_config *old, uint64_t now_ms);

/* ---- exo_stats.c ---- */

/* The row of the present second, with exo->lock held; never NULL. */
struct exo_second *exo_second_now(struct exo *exo, uint64_t now_ms);

/* ---- exo_token.c ---- */

enum exo_token_verdict { EXO_TOKEN_GOOD, EXO_TOKEN_REFUSED };
/* Judges an access token for a login to `address`. Delegated tokens name their user in
 * user_r[cap] ("" for an application). */
enum exo_token_verdict exo_token_judge(struct exo *exo, struct slice token, int64_t *expires_r, char *user_r,
                                       size_t cap);

/* ---- exo_tls.c ---- */

bool exo_tls_start(struct exo *exo, struct err *err_r) ERR_CHECK;
void exo_tls_stop(struct exo *exo);

/* ---- services ---- */

extern const struct exo_service exo_imap_service, exo_token_service, exo_control_service;

#endif
