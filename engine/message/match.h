/* Finds a message that may already have arrived: a multiset of what a target folder holds, keyed by
 * what survives a server that rewrites mail (Message-ID, or Date, From and Subject, with
 * INTERNALDATE). Which message a copy is of is decided for all messages of a key together, by their
 * sizes (match_assign). engineering.md A6.2-3.
 */
#ifndef ENGINE_MESSAGE_MATCH_H
#define ENGINE_MESSAGE_MATCH_H

#include "engine/imap/values.h"
#include "engine/message/match_fidelity.h"
#include "io/base/quota.h"

#define MATCH_KEY_BYTES 16

/* The key of a message's header (its beginning up to the first empty line, at most 256 KiB are
 * looked at). Two copies of one message have equal keys, whatever line folding or blanks a server
 * changed. The first byte tells the kind: 'M' by Message-ID, 'D' by Date, From and Subject, 'E'
 * none of them. */
void match_key(struct slice header, uint8_t key_r[MATCH_KEY_BYTES]);

struct matcher; /* a folder's candidates; about 40 bytes each, and 24 for each message that waits to
                 be fetched */

/* Counts what it takes in memory from now on; NULL: nobody counts. */
struct matcher *matcher_create(struct quota_part *memory);
void matcher_destroy(struct matcher **matcher);
/* Adds a message of the target; all of them before the first that is expected to be there. */
void matcher_add(struct matcher *matcher, const uint8_t key[MATCH_KEY_BYTES], const struct imap_date *date,
                 uint64_t size_bytes, uint32_t uid);
/* A message: of ours, or as the target shows it. */
struct match_row {
    uint8_t key[MATCH_KEY_BYTES];
    int64_t seconds; /* INTERNALDATE, INT64_MIN: none */
    uint64_t bytes;  /* as sent; of the target: as told */
    uint64_t digest; /* the first 8 bytes of that of its content, 0: not known */
    uint32_t uid;
    bool sent; /* of ours: it was sent, and nobody knows what became of it */
};

/* The candidate with this UID; false when there is none, or it is taken. */
bool matcher_at(struct matcher *matcher, uint32_t uid, struct match_row *row_r);
/* Takes away the candidate with this UID; false when there is none. */
bool matcher_drop_uid(struct matcher *matcher, uint32_t uid);

/* A message that is on the target under a UID that nobody told; from: that is at least this. */
struct match_claim {
    struct match_row row;
    uint32_t from;
    bool done;
};
/* Learns what sizes the target tells, and whether it keeps dates, where nothing has shown that yet, from those of them
 * that are alone in their key, with one copy: as a run knows it that has sent nothing yet, or to a target whose UIDs
 * nobody knows. Before matcher_claim; orders the claims. */
void matcher_learn(struct matcher *matcher, struct match_claim *claims, size_t count, struct match_fidelity *fidelity);
/* Takes away what these messages may be: those of their very sizes first, for all of them, then the
 * nearest. The UIDs that are known are to be dropped before. Orders the claims. */
void matcher_claim(struct matcher *matcher, struct match_claim *claims, size_t count,
                   const struct match_fidelity *fidelity);

/* Candidates with this UID and higher ones came after the first message was sent that nobody knows the end of: one of
 * the key of such a message may be its copy whatever its date, where that is not known to stay. */
void matcher_ours_from(struct matcher *matcher, uint32_t uid);
/* A message that waits to be sent, with its key: it has its part in matcher_pair's decisions from
 * here on. One of another key or size than before takes its place. */
void matcher_expect(struct matcher *matcher, const struct match_row *row);
/* One that was sent in doubt, and is told to be there: what is left of its key may be its copy as well. */
void matcher_expect_sent(struct matcher *matcher, const struct match_row *row);
/* A message that waits to be fetched: any key is possible. seconds as in match_row; bytes as listed.
 */
void matcher_expect_unread(struct matcher *matcher, uint32_t uid, int64_t seconds, uint64_t bytes);

/* What more is known of the messages that wait to be fetched. */
struct match_unread {
    /* Reads the message. False: it waits to be fetched still. True: it does not; row_r->uid is 0
     * when it is not one to be paired, either. */
    bool (*read)(void *context, uint32_t uid, struct match_row *row_r);
    void *context;
    bool any;         /* there are some in the folder */
    bool sizes_exact; /* their sizes as listed are right */
    bool last;        /* nothing more is going to be known: it must be decided */
};

enum match_verdict {
    MATCH_NONE,  /* it is not there: it is to be sent */
    MATCH_DOUBT, /* nobody can say whether one of those that are there is its copy: it is to be sent, and none of them
                  * is to be taken for the copy of a message that it is told from by its content only */
    MATCH_FOUND,
    MATCH_WAIT /* others must be known before: asked again then; never where unread->last */
};
/* Takes the candidate that is the message's copy, if any; *uid_r is its UID. Learns from it. */
enum match_verdict matcher_pair(struct matcher *matcher, const struct match_row *row, struct match_fidelity *fidelity,
                                const struct match_unread *unread, uint32_t *uid_r);

size_t matcher_count(const struct matcher *matcher);
/* How many of the key are left. */
size_t matcher_left_of(struct matcher *matcher, const uint8_t key[MATCH_KEY_BYTES]);
/* True when both hold the same UIDs: two looks at a folder agree. */
bool matcher_same(struct matcher *a, struct matcher *b);

#endif
