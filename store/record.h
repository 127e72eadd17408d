/* What the journal remembers: users, folders, messages, failures, as plain values. Encoding with a
 * version byte is store/pack; legal changes of a message's state are store/journal.
 *
 * Identity of a message: user, folder (with its UIDVALIDITY) and UID. A folder whose UIDVALIDITY
 * changed is forgotten and listed anew; what its target holds is then found by looking there.
 */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include "io/base/slice.h"

enum message_state {
    MESSAGE_FOUND = 1, /* listed; body not in the spool */
    MESSAGE_SPOOLED,   /* body durable in the spool; may have been sent when the folder is open */
    MESSAGE_UPLOADED,  /* the target answered OK, or it was found there after a lost answer */
    MESSAGE_PRESENT,   /* the target had it before we came */
    MESSAGE_SKIPPED,   /* policy; reason says which */
    MESSAGE_FAILED,    /* a failure record says why */
    MESSAGE_STATE_COUNT
};

enum skip_reason {
    SKIP_NONE,
    SKIP_LARGER_THAN_LIMIT,
    SKIP_EXCLUDED_FOLDER,
    SKIP_OUTSIDE_DATES,
    SKIP_DUPLICATE,
    SKIP_VANISHED, /* gone from the source between listing and fetching */
    SKIP_DELETED,  /* it was uploaded, deleted at the source since, and moved to the target's deleted items */
    SKIP_REASON_COUNT
};
/* "LargerThanLimit" ...; "" for SKIP_NONE. */
const char *skip_reason_name(enum skip_reason reason);

enum user_state {
    USER_QUEUED,
    USER_VALIDATING,
    USER_SYNCING,
    USER_SYNCED,
    USER_INCREMENTAL_SYNCING,
    USER_INCREMENTAL_SYNCED,
    USER_STOPPED,
    USER_FAILED,
    USER_SYNCED_WITH_DOUBTS,
    USER_PAUSED,    /* in no record: status and report say so of one who is not Synced and whom a person paused */
    USER_COMPLETED, /* likewise: of one who is Synced, and whom cutover completed */
    USER_STATE_COUNT
};
const char *user_state_name(enum user_state state); /* "IncrementalSyncing" ... */

/* Counts by state. In a folder: found = uploaded + present + skipped + failed + pending holds after
 * every transaction, pending = waiting + spooled. */
struct tally {
    uint64_t found, uploaded, present, skipped, failed;
    uint64_t waiting;        /* MESSAGE_FOUND */
    uint64_t spooled;        /* MESSAGE_SPOOLED */
    uint64_t bytes_found;    /* RFC822.SIZE as listed */
    uint64_t bytes_fetched;  /* bodies received */
    uint64_t bytes_uploaded; /* bodies answered OK */
};
bool tally_balanced(const struct tally *t);
void tally_add(struct tally *sum, const struct tally *t);
/* What tally_add added. */
void tally_take(struct tally *sum, const struct tally *t);

struct user_record {
    uint32_t id; /* 1.. */
    enum user_state state;
    char failure[40];                /* report type ("TooManyLargeItems") or "" */
    int64_t started_ms, finished_ms; /* wall clock; 0: not yet */
    uint32_t syncs;                  /* how often it was Synced: > 0 makes the next pass incremental */
    uint64_t throttled;              /* throttle answers */
    uint64_t reconnects;
    uint64_t time_ms[6];             /* enum time_kind */
    uint64_t policy;                 /* engine's fingerprint of the rules the last pass judged by; 0: none */
    struct slice address, user_name; /* UTF-8; borrowed from the reader or the caller */
    struct slice opaque;             /* engine's own bytes (how long what stalled it), <= 4 KiB */
};
enum time_kind { TIME_SOURCE, TIME_TARGET, TIME_THROTTLED, TIME_STALLED_SOURCE, TIME_STALLED_TARGET, TIME_IDLE };

/* Everything is moved, and that is proved. */
static inline bool user_state_is_proved(enum user_state state)
{
    return state == USER_SYNCED || state == USER_INCREMENTAL_SYNCED || state == USER_COMPLETED;
}

/* Nothing is left to move; whether all of it is proved is another question. */
static inline bool user_state_is_synced(enum user_state state)
{
    return user_state_is_proved(state) || state == USER_SYNCED_WITH_DOUBTS;
}

struct folder_record {
    uint32_t user, folder;                    /* ids, 1.. */
    uint32_t uidvalidity;                     /* source; 0: not known yet */
    uint32_t uidnext_listed;                  /* every UID below is in the journal */
    uint32_t status_uidnext, status_messages; /* source STATUS at the end of the last listing */
    uint64_t status_modseq;
    bool excluded;             /* counted by STATUS only: its found is all skipped */
    bool target_open;          /* from here on APPENDs may have been sent: durable before the first */
    bool target_scanned;       /* mail that the target held before is known to be paired or absent */
    bool target_counted;       /* since the last upload the target was asked for its count, which agreed */
    bool target_uids_lie;      /* APPENDUID told numbers that are not those of the messages: nothing here that was made
                                * of such numbers, nor in a message's row, is to be built on; from then on they are not
                                * taken over */
    bool target_sends_unknown; /* messages were sent without an answer, and their rows are forgotten: whichever second
                                * copy is there at or above target_lost_from may be theirs */
    uint32_t target_uidvalidity;
    uint32_t target_uid_floor; /* our unanswered APPENDs can only have UIDs at or above */
    uint32_t
        target_highest_seen; /* up to this UID it is known what the folder holds: looked at, or told by APPENDUID */
    uint32_t
        target_lost_from; /* at or above this UID a copy may come that was looked for in vain; 0: none is waited for */
    uint32_t target_late_seen; /* the UIDNEXT when such copies were last looked for; 0: not yet */
    struct tally tally;        /* kept by the journal alone */
    char delimiter;            /* source, '\0' for NIL */
    char role[16];             /* "inbox" "sent" ... or "" */
    struct slice source_raw;   /* bytes for SELECT */
    struct slice source_name;  /* UTF-8 */
    struct slice target_raw, target_name;
};

/* Its messages are forgotten: what the record says of them goes. What was sent without an answer may still come, or has
 * come, and is waited for. */
void folder_record_forget(struct folder_record *folder);

#define RECORD_KEYWORDS_BYTES_MAX 1024u
#define MESSAGE_NOT_THERE         UINT32_MAX

struct message_record {
    uint32_t uid;
    enum message_state state;
    enum skip_reason reason;
    uint8_t flags; /* system flag bits as engine/imap has them */
    bool date_known;
    int16_t zone_minutes;
    int64_t date_seconds;     /* INTERNALDATE */
    uint64_t listed_bytes;    /* RFC822.SIZE */
    uint64_t body;            /* spool sequence number, 0: none */
    uint64_t body_bytes;      /* exact, 0 until spooled */
    uint8_t digest[16];       /* first half of the body's SHA-256 */
    uint8_t header_key[16];   /* engine's match key of what is sent, zero until spooled; see message_was_lost */
    uint32_t target_uid;      /* 0: not told */
    uint32_t target_uid_from; /* not told: it is not below; 0: not known; MESSAGE_NOT_THERE: it went with the target
                               * folder that it was sent to */
    bool in_doubt;            /* uploaded though what the target held then may have been its copy */
    uint8_t unanswered;       /* how often it was sent without an answer and not found since: so many copies of it may
                               * still come, or have come, that nobody claims */
    uint32_t doomed_uid;      /* of the target: a second copy of it that is being removed; 0: none */
    uint32_t tries;
    uint64_t source_id;      /* what the source calls the message in every folder (X-GM-MSGID), 0: none */
    uint16_t repairs;        /* engine's bits of what is mended on the way to the target */
    uint64_t repaired_bytes; /* what is sent then; 0 without repairs */
    struct slice keywords;   /* space separated, <= RECORD_KEYWORDS_BYTES_MAX; more are cut at a word's end */
};

/* What its APPEND carries, or carried. */
static inline uint64_t message_sent_bytes(const struct message_record *m)
{
    return m->repairs ? m->repaired_bytes : m->body_bytes;
}

/* It was on the target once, and is neither there nor at the source any more. */
static inline bool message_was_lost(const struct message_record *m)
{
    return m->state == MESSAGE_SKIPPED && m->reason == SKIP_VANISHED && m->header_key[0] != 0;
}

/* Its copy went with the target folder that it was sent to. */
static inline bool message_went(const struct message_record *m)
{
    return m->target_uid == 0 && m->target_uid_from == MESSAGE_NOT_THERE;
}

/* Its copy on the target may have this UID or a higher one. Of a row of which nothing is known, since its folder was
 * made anew, that holds for the whole folder alone: what is in it came before all that has been told since. */
static inline bool message_may_be_from(const struct message_record *m, uint32_t target_uid)
{
    if (m->target_uid)
        return m->target_uid >= target_uid;
    return m->target_uid_from != MESSAGE_NOT_THERE &&
           (m->target_uid_from ? m->target_uid_from >= target_uid : target_uid <= 1);
}

/* Flags of a message: IMAP_FLAG_ bits as engine/imap has them, and keywords with a space between. */
struct follow_flags {
    uint8_t system;
    struct slice keywords; /* <= RECORD_KEYWORDS_BYTES_MAX */
};
bool follow_flags_equal(const struct follow_flags *a, const struct follow_flags *b);

/* What became of a message, or of all of a folder, at the source after it was listed. A message that stayed as it was
 * has none. */
struct follow_record {
    uint32_t user, folder;
    uint32_t uid; /* 0: it is about the folder */
    uint64_t
        modseq; /* of a folder: each change of flags up to this MODSEQ (RFC 7162) is in the journal; 0: not known */
    uint64_t absent; /* of a folder: so many of its messages were not at the source when it was last asked for all */
    bool gone;       /* the source does not have it any more, and that was proved */
    bool kept;       /* gone, and judged: it stays on the target */
    bool followed;   /* `now` are the flags that the target was last brought to; else those of its row were sent */
    bool wanted;     /* `next` are those that the source has, and the target was not brought to them yet */
    struct follow_flags now, next;
};

/* What people are told about a skipped, failed or repaired message. */
struct message_note {
    char subject[256], message_id[256], date[64]; /* printable UTF-8 */
};

/* One line of the failures list; equal ones are counted. */
struct failure_record {
    int64_t first_ms, last_ms; /* wall clock */
    uint32_t count;
    uint32_t folder, uid; /* 0: none; uid of the first */
    char type[40];        /* report type */
    uint8_t class;        /* enum err_class */
    uint8_t side;         /* enum failure_side */
    char doing[96], server_text[256], advice[256], folder_name[256];
};
enum failure_side { FAILURE_SOURCE, FAILURE_TARGET, FAILURE_LOCAL };
/* "source", "target" or "local". */
static inline const char *failure_side_name(unsigned side)
{
    return side == FAILURE_SOURCE ? "source" : side == FAILURE_TARGET ? "target" : "local";
}

/* A remark about a folder that is not a failure (renamed, parent made, name clash), or a doubt: what
 * could not be proved of the folder, or with folder 0 of the user. */
struct problem_record {
    uint32_t folder;
    char type[40], text[256], remedy[256];
    bool doubt;     /* there is one of its type and folder, and only STORE_OP_DOUBT changes it */
    uint64_t count; /* of a doubt: how many messages or folders it is about, 0: not known */
};

#endif
