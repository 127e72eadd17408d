#include "io/base/mem.h"
#include "store/reader_private.h"

#include <stdlib.h>

struct body_reader {
    struct reader *reader;
    uint64_t body, body_bytes;
    uint64_t given;  /* bytes handed out */
    uint64_t opened; /* bytes of the chunks decompressed so far */
    uint32_t chunk;  /* the next one to open */
    char *kept;      /* a chunk that the caller's buffer was too small for */
    size_t kept_size, kept_given;
};

static bool broken(const struct body_reader *b, struct err *err_r, const char *what)
{
    err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, ERR_ORIGIN_STORE, MDB_CORRUPTED, "body %llu, chunk %u: %s",
            (unsigned long long)b->body, b->chunk, what);
    return err_doing(err_r, "read a body from the spool");
}

bool body_open(struct reader *reader, uint64_t body, uint64_t body_bytes, struct body_reader **body_r,
               struct err *err_r)
{
    struct body_reader *b;

    if (body == 0)
        return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, ERR_ORIGIN_STORE, MDB_NOTFOUND,
                       "the message has no body in the spool");
    if (!reader->opener)
        reader->opener = blob_opener_create(reader->spool);
    b = mem_zero(1, sizeof *b);
    b->reader = reader;
    b->body = body;
    b->body_bytes = body_bytes;
    *body_r = b;
    return true;
}

/* Opens the next chunk into out[cap], cap >= what is left of the body or BLOB_CHUNK_BYTES. */
static bool chunk_opened(struct body_reader *b, char *out, size_t cap, size_t *size_r, struct err *err_r)
{
    struct reader *reader = b->reader;
    struct key key;
    MDB_val k, v;
    bool good = false;
    int rc;

    if (!reader_begin(reader, err_r))
        return false;
    key_chunk(&key, b->body, b->chunk);
    k = env_val(key_slice(&key));
    rc = mdb_get(reader->txn, reader->spool->tables[TABLE_BODY], &k, &v);
    if (rc == 0)
        good = blob_opener_take(reader->opener, env_slice(v), b->body, b->chunk, out, cap, size_r);
    reader_rest(reader);
    if (rc == 0 && (reader->touched += v.mv_size) > ENV_LET_GO_BYTES) {
        reader->touched = 0;
        env_let_go(reader->spool);
    }
    if (rc && rc != MDB_NOTFOUND)
        return env_error(reader->spool, err_r, rc, "read a body from the spool");
    if (rc)
        return broken(b, err_r, "is missing");
    if (!good)
        return broken(b, err_r, "is damaged");
    if (*size_r == 0 || *size_r > b->body_bytes - b->opened)
        return broken(b, err_r, "does not have the size it should");
    b->opened += *size_r;
    b->chunk++;
    return true;
}

bool body_read(struct body_reader *b, char *out, size_t cap, size_t *got_r, struct err *err_r)
{
    uint64_t left = b->body_bytes - b->given;
    size_t size;

    *got_r = 0;
    if (left == 0 || cap == 0)
        return true;
    if (b->kept_given == b->kept_size) {
        if (cap >= BLOB_CHUNK_BYTES || cap >= left) {
            if (!chunk_opened(b, out, cap, &size, err_r))
                return false;
            b->given += size;
            *got_r = size;
            return true;
        }
        if (!b->kept)
            b->kept = mem_alloc(left < BLOB_CHUNK_BYTES ? (size_t)left : BLOB_CHUNK_BYTES);
        b->kept_given = b->kept_size = 0;
        if (!chunk_opened(b, b->kept, left < BLOB_CHUNK_BYTES ? (size_t)left : BLOB_CHUNK_BYTES, &size, err_r))
            return false;
        b->kept_size = size;
    }
    size = b->kept_size - b->kept_given;
    if (size > cap)
        size = cap;
    memcpy(out, b->kept + b->kept_given, size);
    b->kept_given += size;
    b->given += size;
    *got_r = size;
    return true;
}

void body_close(struct body_reader **body)
{
    if (!*body)
        return;
    free((*body)->kept);
    free(*body);
    *body = NULL;
}
