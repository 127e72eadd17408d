/* A body on its way from the wire to the writer: compressed chunk by chunk into the spool, with the
 * key and the date of its header; whole, it makes its message SPOOLED. Internal to the pull side of
 * engine/move.
 */
#ifndef ENGINE_MOVE_INCOMING_H
#define ENGINE_MOVE_INCOMING_H

#include "engine/imap/values.h"
#include "engine/message/header.h"
#include "engine/move/folder.h"
#include "store/blob.h"

/* Storage is the caller's; may be moved by assignment, the place it came from is then zeroed. */
struct incoming {
    struct folder *folder;
    bool active;
    bool broken;  /* more comes of it, and none of it counts */
    uint32_t uid; /* 0: not told yet */
    uint64_t body;
    uint64_t got; /* bytes */
    struct blob_writer blob;
    uint8_t header_key[MATCH_KEY_BYTES];
    struct imap_date date; /* of its Date field */
    struct header_id id;   /* once its first chunk is gone; see incoming_id */
};

/* Begins anew; what was under way is dropped. expected_bytes: as announced. */
void incoming_start(struct incoming *in, struct folder *folder, uint32_t uid, uint64_t expected_bytes);
/* Nothing when it is not active, or broken. */
void incoming_add(struct incoming *in, struct slice bytes);
/* The whole body as far as it is still raw (one chunk), else empty. */
struct slice incoming_raw(const struct incoming *in);
/* What its header says it is. */
void incoming_id(const struct incoming *in, struct header_id *id_r);
/* It is whole: into the journal, from where the item goes to what waits for its upload. The item's
 * keywords are taken over. It counts as fetching before and as storing after. */
void incoming_finish(struct incoming *in, struct folder_item *item);
/* It is not wanted: its chunks go. */
void incoming_drop(struct incoming *in);

#endif
