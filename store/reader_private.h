/* The inside of a reader, shared by iteration (reader.c) and bodies (body.c). Internal to store/. */
#ifndef STORE_READER_PRIVATE_H
#define STORE_READER_PRIVATE_H

#include "store/blob.h"
#include "store/env.h"
#include "store/reader.h"

struct reader {
    size_t touched; /* bytes of bodies read since the map's pages were let go */
    struct spool *spool;
    MDB_txn *txn; /* reset between calls: pins no page */
    struct blob_opener *opener;
    bool busy; /* a callback runs */
    bool held; /* txn stays as it is between calls */
};

/* A fresh snapshot until reader_rest, or the one that is held. */
bool reader_begin(struct reader *reader, struct err *err_r) ERR_CHECK;
void reader_rest(struct reader *reader);

#endif
