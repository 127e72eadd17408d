/* What is no longer needed: bodies of messages that are done, chunks of bodies that never became
 * whole, and a file that is mostly free pages. Internal to store/.
 */
#ifndef STORE_GC_H
#define STORE_GC_H

#include "store/env.h"

/* Results are LMDB's, 0 for done. *freed_r: compressed bytes. */

/* Drops all chunks of a body. */
int gc_drop_chunks(struct spool *spool, MDB_txn *txn, uint64_t body, uint64_t *freed_r);
/* A message no longer needs its body: drops it unless other messages share it. */
int gc_release(struct spool *spool, MDB_txn *txn, const struct message_record *message, uint64_t *freed_r);
/* After a crash: bodies that were not whole. Several transactions if there are many. */
int gc_orphans(struct spool *spool);

/* Bodies below this many raw bytes are not shared: their index entry would cost more writes than the
 * rare equal body saves. */
#define GC_SHARE_BYTES_LEAST 16384u

/* At a clean start, before anybody uses the spool: rewrites the file without its free pages when more
 * than half of it is free and it is over GC_COMPACT_BYTES_LEAST. The environment is closed and
 * opened again. Leaves things as they are when the disk is short or somebody reads beside. False
 * only when the spool cannot be opened any more. */
#define GC_COMPACT_BYTES_LEAST (256ull << 20)
bool gc_compact(struct spool *spool, uint64_t file_bytes_least, struct err *err_r) ERR_CHECK;

/* Whether the spool holds a body that is whole, so that uploading can make room. False also when it cannot be
 * read. */
bool gc_holds_whole(struct spool *spool);

#endif
