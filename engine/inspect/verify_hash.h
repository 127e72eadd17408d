/* Digests of messages' bodies, read from a selected folder by a visit: several commands under way,
 * a batch of messages each, bodies hashed as they come.
 */
#ifndef ENGINE_INSPECT_VERIFY_HASH_H
#define ENGINE_INSPECT_VERIFY_HASH_H

#include "engine/move/visit.h"

struct hash_item {
    uint32_t uid;       /* ascending */
    uint32_t index;     /* the caller's */
    uint64_t size;      /* about; how many go into a batch */
    uint64_t expected;  /* bytes, as its server says; 0: whatever comes */
    uint8_t digest[16]; /* first half of the SHA-256 */
    uint8_t repairs;    /* REPAIR_ bits to hash it with, as it was sent; read alone then */
    bool had;           /* digest is known */
    bool laddered;      /* not had with others: it is asked for alone, in all forms (body_read) */
    bool tried;         /* the server gave no body for it */
};

struct hashing {
    struct visit *visit;
    struct hash_item *items; /* owned by the caller */
    uint32_t count, next;
    unsigned inflight;
    bool plain;                        /* without CR and NUL: equal for copies that differ in line ends only */
    bool single;                       /* a batch was refused: one by one */
    uint64_t sizes_right, sizes_wrong; /* of those expected */
    bool broken;                       /* the connection went: hashing_resume is due */
    void (*done)(void *context);       /* every item was had or tried; may be called from hashing_go */
    void *context;
};

/* After the visit came back and the folder is selected again. */
void hashing_resume(struct hashing *hashing);

#endif
