/* Compares what a source folder holds with what its target folder holds, as multisets: pairs each
 * message with one of the target by what survives a server that rewrites mail (engine/message/match),
 * and tells what has no partner and what has one too many. Pure.
 */
#ifndef ENGINE_MESSAGE_VERIFY_MATCH_H
#define ENGINE_MESSAGE_VERIFY_MATCH_H

#include "engine/message/match.h"

#define VERIFY_UNPAIRED UINT32_MAX

/* A message of either side; about 80 bytes. */
struct verify_entry {
    uint8_t key[MATCH_KEY_BYTES];      /* match_key of its header */
    uint8_t date_key[MATCH_KEY_BYTES]; /* match_key as if it had no Message-ID */
    int64_t seconds;                   /* INTERNALDATE, INT64_MIN: not known */
    uint64_t size;                     /* source: exact when the journal knows it; else as listed */
    uint64_t keywords;                 /* verify_keywords of it */
    uint32_t uid;
    uint32_t pair; /* index on the other side or VERIFY_UNPAIRED; written here */
    uint8_t flags; /* IMAP_FLAG_ bits */
    uint8_t want;  /* source: enum verify_want */
};

enum verify_want {
    VERIFY_REQUIRED, /* should be on the target */
    VERIFY_OPTIONAL  /* may be there (skipped by policy, or deleted at the source since): it explains
                        a message of the target, but is not missed */
};

enum verify_what {
    VERIFY_MISSING,
    VERIFY_DOUBLED, /* index is the target's */
    VERIFY_FLAGS,
    VERIFY_DATE,
    VERIFY_CONTENT,
    VERIFY_UNJUDGED, /* could not be compared: nothing is known of its place on the target, or no side gave it */
    VERIFY_WHAT_COUNT
};
/* "missing" ... */
const char *verify_what_name(enum verify_what what);

/* Fills both keys from the header fields that were listed. */
void verify_keys(struct slice header, struct verify_entry *entry);
/* A number that equal sets of keywords share, whatever their order and case. */
uint64_t verify_keywords(struct slice keywords);

/* Pairs both sides (writes pair) and tells what is missing, doubled, or has another date; index is
 * that of the source entry, for doubled ones that of the target entry. rewrites: the target makes
 * its own of a mail (Exchange): sizes say nothing, a Message-ID may be new. */
void verify_match(struct verify_entry *sources, uint32_t source_count, struct verify_entry *targets,
                  uint32_t target_count, bool rewrites,
                  void (*tell)(void *context, enum verify_what what, uint32_t index), void *context);

enum verify_grade { VERIFY_PERFECT, VERIFY_GOOD, VERIFY_INVESTIGATE, VERIFY_POOR, VERIFY_NOT_JUDGED };
/* Microsoft's words: Perfect: no difference. Good: only flags and dates differ. Investigate: mail
 * is missing, doubled or changed, up to a hundredth of it. Poor: more than that. Never given here: not
 * judged, of whom nothing was compared. */
enum verify_grade verify_grade_of(uint64_t required, uint64_t missing, uint64_t doubled, uint64_t content,
                                  uint64_t other);
const char *verify_grade_name(enum verify_grade grade);

#endif
