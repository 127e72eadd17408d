#include "io/base/mem.h"
#include "store/blob.h"
#include "store/env.h"
#include "store/gc.h"

#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* A body as its messages see it; sorted by number, these are compared with the chunks there are. */
struct owner {
    uint64_t body, body_bytes, refs;
    uint8_t digest[16];
    uint32_t user, folder, uid;
};

struct check {
    struct spool *spool;
    MDB_txn *txn;
    bool full;
    void (*tell)(void *context, const char *fault);
    void *context;
    uint64_t faults;
    struct owner *owners;
    size_t owner_count, owner_room;
    uint64_t held;
    struct blob_opener *opener;
    EVP_MD_CTX *digest;
    EVP_MD *sha256;
    char *raw;
};

__attribute__((format(printf, 2, 3))) static void fault(struct check *c, const char *format, ...)
{
    char text[400];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    c->faults++;
    if (c->tell)
        c->tell(c->context, text);
}

static int each(struct check *c, enum table table, void (*entry)(struct check *c, struct slice key, struct slice value))
{
    MDB_cursor *cursor;
    MDB_val k, v;
    int rc = mdb_cursor_open(c->txn, c->spool->tables[table], &cursor);

    if (rc)
        return rc;
    while ((rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0)
        entry(c, env_slice(k), env_slice(v));
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static bool there(struct check *c, enum table table, struct slice key, struct slice *value_r)
{
    MDB_val k = env_val(key), v;

    if (mdb_get(c->txn, c->spool->tables[table], &k, &v) != 0)
        return false;
    *value_r = env_slice(v);
    return true;
}

static void user_checked(struct check *c, struct slice key, struct slice value)
{
    struct user_record user;
    struct slice found;
    struct key address;
    uint64_t id;

    if (!decode_user(key, value, &user)) {
        fault(c, "a user's record is damaged");
        return;
    }
    key_address(&address, user.address);
    if (!there(c, TABLE_ADDRESS, key_slice(&address), &found) || !decode_number(key_slice(&address), found, &id) ||
        id != user.id)
        fault(c, "user %u is not found by the address %.*s", user.id, (int)user.address.size, user.address.data);
}

static void owner_added(struct check *c, uint32_t user, uint32_t folder, const struct message_record *m)
{
    struct owner *o;

    if (c->owner_count == c->owner_room) {
        c->owner_room = c->owner_room ? c->owner_room * 2 : 256;
        c->owners = mem_resize(c->owners, c->owner_room, sizeof *c->owners);
    }
    o = &c->owners[c->owner_count++];
    *o = (struct owner){
        .body = m->body, .body_bytes = m->body_bytes, .refs = 1, .user = user, .folder = folder, .uid = m->uid
    };
    memcpy(o->digest, m->digest, sizeof o->digest);
}

static void message_checked(struct check *c, uint32_t user, uint32_t folder, const struct message_record *m,
                            struct tally *sum)
{
    sum->found++;
    sum->bytes_found += m->listed_bytes;
    sum->bytes_fetched += m->body_bytes;
    sum->waiting += m->state == MESSAGE_FOUND;
    sum->spooled += m->state == MESSAGE_SPOOLED;
    sum->present += m->state == MESSAGE_PRESENT;
    sum->skipped += m->state == MESSAGE_SKIPPED;
    sum->failed += m->state == MESSAGE_FAILED;
    if (m->state == MESSAGE_UPLOADED) {
        sum->uploaded++;
        sum->bytes_uploaded += m->body_bytes;
    }
    if (m->state == MESSAGE_SPOOLED && m->body == 0)
        fault(c, "user %u folder %u uid %u: spooled, but without a body", user, folder, m->uid);
    if (m->body && m->state != MESSAGE_SPOOLED && m->state != MESSAGE_FAILED)
        fault(c, "user %u folder %u uid %u: keeps a body it no longer needs", user, folder, m->uid);
    if (m->body)
        owner_added(c, user, folder, m);
}

static void tally_compared(struct check *c, const struct folder_record *f, const struct tally *sum)
{
    const struct tally *t = &f->tally;
    bool same = t->uploaded == sum->uploaded && t->present == sum->present && t->failed == sum->failed &&
                t->waiting == sum->waiting && t->spooled == sum->spooled && t->bytes_uploaded == sum->bytes_uploaded &&
                t->bytes_fetched >= sum->bytes_fetched;

    if (f->excluded)
        same = same && t->skipped >= sum->skipped;
    else
        same = same && t->found == sum->found && t->skipped == sum->skipped && t->bytes_found == sum->bytes_found;
    if (!same)
        fault(c, "user %u folder %u: counters and rows differ (found %llu, rows %llu)", f->user, f->folder,
              (unsigned long long)t->found, (unsigned long long)sum->found);
    if (!tally_balanced(t))
        fault(c, "user %u folder %u: does not balance", f->user, f->folder);
}

static void folder_checked(struct check *c, struct slice key, struct slice value)
{
    struct folder_record f;
    struct message_record m;
    struct tally sum = { 0 };
    struct slice found;
    struct key from;
    MDB_cursor *cursor;
    MDB_val k, v;
    int rc;

    if (!decode_folder(key, value, &f)) {
        fault(c, "a folder's record is damaged");
        return;
    }
    key_user(&from, f.user);
    if (!there(c, TABLE_USER, key_slice(&from), &found))
        fault(c, "folder %u belongs to user %u, who is not there", f.folder, f.user);
    if (mdb_cursor_open(c->txn, c->spool->tables[TABLE_MESSAGE], &cursor) != 0) {
        fault(c, "messages cannot be read");
        return;
    }
    key_message(&from, f.user, f.folder, 0);
    k = env_val(key_slice(&from));
    for (rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE); rc == 0; rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
        if (k.mv_size != 12 || memcmp(k.mv_data, from.bytes, 8) != 0)
            break;
        if (decode_message(env_slice(k), env_slice(v), &m))
            message_checked(c, f.user, f.folder, &m, &sum);
        else
            fault(c, "user %u folder %u: a message's record is damaged", f.user, f.folder);
    }
    mdb_cursor_close(cursor);
    tally_compared(c, &f, &sum);
}

static void message_has_folder(struct check *c, struct slice key, struct slice value)
{
    struct slice found;

    if (key.size != 12 || !there(c, TABLE_FOLDER, slice_first(key, 8), &found))
        fault(c, "a message belongs to a folder that is not there");
}

static void note_checked(struct check *c, struct slice key, struct slice value)
{
    struct message_note note;
    struct slice found;

    if (!decode_note(key, value, &note))
        fault(c, "a note is damaged");
    else if (!there(c, TABLE_MESSAGE, key, &found))
        fault(c, "a note belongs to a message that is not there");
}

static void follow_checked(struct check *c, struct slice key, struct slice value)
{
    struct follow_record follow;
    struct slice found;

    if (!decode_follow(key, value, &follow))
        fault(c, "a record of what became of a message is damaged");
    else if (follow.uid ? !there(c, TABLE_MESSAGE, key, &found) : !there(c, TABLE_FOLDER, slice_first(key, 8), &found))
        fault(c, "what became of a message is told of none that is there");
}

static int by_body(const void *a, const void *b)
{
    const struct owner *x = a, *y = b;

    return x->body < y->body ? -1 : x->body > y->body;
}

/* Messages that share a body become one owner with their count. */
static void owners_joined(struct check *c)
{
    size_t kept = 0;

    if (c->owner_count)
        qsort(c->owners, c->owner_count, sizeof *c->owners, by_body);
    for (size_t i = 0; i < c->owner_count; i++) {
        struct owner *o = &c->owners[i], *last = kept ? &c->owners[kept - 1] : NULL;

        if (!last || last->body != o->body) {
            c->owners[kept++] = *o;
            continue;
        }
        last->refs++;
        if (last->body_bytes != o->body_bytes || memcmp(last->digest, o->digest, 16) != 0)
            fault(c, "body %llu is shared by messages that differ", (unsigned long long)o->body);
    }
    c->owner_count = kept;
}

static struct owner *owner_of(struct check *c, uint64_t body)
{
    struct owner wanted = { .body = body };

    return c->owner_count ? bsearch(&wanted, c->owners, c->owner_count, sizeof *c->owners, by_body) : NULL;
}

static void chunk_has_owner(struct check *c, struct slice key, struct slice value)
{
    struct slice found;
    uint64_t body;
    uint32_t chunk;

    c->held += value.size;
    if (!key_read_chunk(key, &body, &chunk)) {
        fault(c, "a body has a damaged key");
        return;
    }
    if (!owner_of(c, body) && !there(c, TABLE_PARTIAL, slice_first(key, 8), &found))
        fault(c, "body %llu chunk %u belongs to no message", (unsigned long long)body, chunk);
}

/* Returns false when the next chunk is missing or damaged; it has been told. */
static bool chunk_checked(struct check *c, const struct owner *o, uint32_t chunk, uint64_t *sum)
{
    struct slice value;
    struct key key;
    size_t size;

    key_chunk(&key, o->body, chunk);
    if (!there(c, TABLE_BODY, key_slice(&key), &value)) {
        fault(c, "user %u folder %u uid %u: chunk %u of its body is missing", o->user, o->folder, o->uid, chunk);
        return false;
    }
    if (!c->full) {
        *sum = o->body_bytes - *sum > BLOB_CHUNK_BYTES ? *sum + BLOB_CHUNK_BYTES : o->body_bytes;
        return true;
    }
    if (!blob_opener_take(c->opener, value, o->body, chunk, c->raw, BLOB_CHUNK_BYTES, &size) || size == 0 ||
        EVP_DigestUpdate(c->digest, c->raw, size) != 1) {
        fault(c, "user %u folder %u uid %u: chunk %u of its body is damaged", o->user, o->folder, o->uid, chunk);
        return false;
    }
    *sum += size;
    return true;
}

static void body_checked(struct check *c, const struct owner *o)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    uint64_t sum = 0;

    if (c->full && EVP_DigestInit_ex(c->digest, c->sha256, NULL) != 1) {
        fault(c, "OpenSSL refused SHA-256");
        return;
    }
    for (uint32_t chunk = 0; sum < o->body_bytes; chunk++)
        if (!chunk_checked(c, o, chunk, &sum))
            return;
    if (sum != o->body_bytes)
        fault(c, "user %u folder %u uid %u: its body has %llu bytes, not %llu", o->user, o->folder, o->uid,
              (unsigned long long)sum, (unsigned long long)o->body_bytes);
    else if (c->full && (EVP_DigestFinal_ex(c->digest, digest, NULL) != 1 || memcmp(digest, o->digest, 16) != 0))
        fault(c, "user %u folder %u uid %u: its body does not match its digest", o->user, o->folder, o->uid);
}

static void share_of_owner(struct check *c, const struct owner *o)
{
    struct share_record share;
    struct slice value;
    struct key key;

    if (o->body_bytes < GC_SHARE_BYTES_LEAST) {
        if (o->refs != 1)
            fault(c, "body %llu has %llu messages, but is not a shared one", (unsigned long long)o->body,
                  (unsigned long long)o->refs);
        return;
    }
    key_digest(&key, o->digest, o->body_bytes);
    if (!there(c, TABLE_SHARE, key_slice(&key), &value) || !decode_share(key_slice(&key), value, &share) ||
        share.body != o->body || share.refs != o->refs)
        fault(c, "body %llu: its count of messages is wrong", (unsigned long long)o->body);
}

static void share_has_owner(struct check *c, struct slice key, struct slice value)
{
    struct share_record share;

    if (!decode_share(key, value, &share))
        fault(c, "a shared body's record is damaged");
    else if (!owner_of(c, share.body))
        fault(c, "shared body %llu belongs to no message", (unsigned long long)share.body);
}

static void failure_checked(struct check *c, struct slice key, struct slice value)
{
    struct failure_record failure;
    uint64_t number;

    if (key.size == 13 ? !decode_number(key, value, &number) : key.size != 9 || !decode_failure(key, value, &failure))
        fault(c, "a failure's record is damaged");
}

static void problem_checked(struct check *c, struct slice key, struct slice value)
{
    struct problem_record problem;

    if (key.size != 16 || !decode_problem(key, value, &problem))
        fault(c, "a problem's record is damaged");
}

static void sample_checked(struct check *c, struct slice key, struct slice value)
{
    uint64_t values[12];
    int64_t wall_ms;

    if (!key_read_sample(key, &wall_ms) || !decode_sample(key, value, values))
        fault(c, "a sample is damaged");
}

static int all_checked(struct check *c)
{
    uint64_t held;
    int rc = each(c, TABLE_USER, user_checked);

    if (!rc)
        rc = each(c, TABLE_FOLDER, folder_checked);
    if (!rc)
        rc = each(c, TABLE_MESSAGE, message_has_folder);
    if (!rc)
        rc = each(c, TABLE_NOTE, note_checked);
    owners_joined(c);
    if (!rc)
        rc = each(c, TABLE_BODY, chunk_has_owner);
    for (size_t i = 0; i < c->owner_count && !rc; i++) {
        body_checked(c, &c->owners[i]);
        share_of_owner(c, &c->owners[i]);
    }
    if (!rc)
        rc = each(c, TABLE_SHARE, share_has_owner);
    if (!rc)
        rc = each(c, TABLE_FAILURE, failure_checked);
    if (!rc)
        rc = each(c, TABLE_PROBLEM, problem_checked);
    if (!rc)
        rc = each(c, TABLE_SAMPLE, sample_checked);
    if (!rc && c->spool->tables[TABLE_FOLLOW] != TABLE_ABSENT)
        rc = each(c, TABLE_FOLLOW, follow_checked);
    if (!rc)
        rc = env_number_get(c->spool, c->txn, "held", &held);
    if (!rc && held != c->held)
        fault(c, "bodies take %llu bytes, the spool's counter says %llu", (unsigned long long)c->held,
              (unsigned long long)held);
    return rc;
}

bool spool_check(struct spool *spool, bool full, void (*tell)(void *context, const char *fault), void *context,
                 uint64_t *faults_r, struct err *err_r)
{
    struct check c = { .spool = spool, .full = full, .tell = tell, .context = context };
    int rc = mdb_txn_begin(spool->env, NULL, MDB_RDONLY, &c.txn);

    if (rc)
        return env_error(spool, err_r, rc, "check the spool");
    if (full) {
        c.opener = blob_opener_create(spool);
        c.digest = EVP_MD_CTX_new();
        c.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
        c.raw = mem_alloc(BLOB_CHUNK_BYTES);
    }
    rc = all_checked(&c);
    mdb_txn_abort(c.txn);
    blob_opener_destroy(&c.opener);
    EVP_MD_CTX_free(c.digest);
    EVP_MD_free(c.sha256);
    free(c.raw);
    free(c.owners);
    *faults_r = c.faults;
    return rc == 0 || env_error(spool, err_r, rc, "check the spool");
}
