/* Is data.mdb a sound LMDB file? LMDB follows every page number and offset that it finds in the file
 * without a look at it, so that bytes another program overwrote, or a copy that broke off, end in an
 * assertion, a signal or an answer that is wrong. This reads the file with read(2), before LMDB maps
 * it, and believes nothing. Internal to store/.
 *
 * Proven: lengths and offsets within their pages, keys in order, each page used once, no page past
 * the end of the file, the list of free pages apart from those in use. Bodies are not read: they have
 * checksums of their own. The layout is that of LMDB 0.9 (data version 1) on a 64-bit machine.
 */
#ifndef STORE_PAGES_H
#define STORE_PAGES_H

#include "io/base/slice.h"

#include <lmdb.h>

/* Asked for each entry of the tables it is for: false when the record cannot be right. */
typedef bool pages_record(const char *table, struct slice key, struct slice value);

struct pages_result {
    uint64_t transaction; /* the last one committed; 0: none is known */
    uint64_t page_bytes;
    char what[96];   /* with MDB_CORRUPTED: what is wrong and where, for a person */
    char record[96]; /* the first record refused, "" when all are right; structure is sound then */
};

/* fd: the file, open for reading. Values of the table `unread` are not read. Returns 0, an errno, or
 * MDB_CORRUPTED, MDB_INVALID (not an LMDB file), MDB_VERSION_MISMATCH. */
int pages_check(int fd, const char *unread, pages_record *record, struct pages_result *result_r);

/* The last transaction alone; 0 when it cannot be told. */
uint64_t pages_transaction(int fd);

/* Is what LMDB keeps of a value that is in pages of its own (an overflow page's header) right? For a
 * value just got from it, before it is deleted: LMDB frees as many pages as stand there. */
bool pages_value_sound(struct slice key, struct slice value, uint64_t page_bytes);

#endif
