#include "store/keys.h"

#include <assert.h>

#define CHECK_BYTES 4

static void put_be32(uint8_t *out, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(v >> (24 - 8 * i));
}

static void put_be64(uint8_t *out, uint64_t v)
{
    put_be32(out, (uint32_t)(v >> 32));
    put_be32(out + 4, (uint32_t)v);
}

static uint32_t get_be32(const char *in)
{
    const uint8_t *p = (const uint8_t *)in;

    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint64_t get_be64(const char *in)
{
    return (uint64_t)get_be32(in) << 32 | get_be32(in + 4);
}

struct slice key_slice(const struct key *key)
{
    return slice_of((const char *)key->bytes, key->size);
}

void key_user(struct key *key_r, uint32_t user)
{
    put_be32(key_r->bytes, user);
    key_r->size = 4;
}

void key_folder(struct key *key_r, uint32_t user, uint32_t folder)
{
    put_be32(key_r->bytes, user);
    put_be32(key_r->bytes + 4, folder);
    key_r->size = 8;
}

void key_message(struct key *key_r, uint32_t user, uint32_t folder, uint32_t uid)
{
    key_folder(key_r, user, folder);
    put_be32(key_r->bytes + 8, uid);
    key_r->size = 12;
}

void key_body(struct key *key_r, uint64_t body)
{
    put_be64(key_r->bytes, body);
    key_r->size = 8;
}

void key_chunk(struct key *key_r, uint64_t body, uint32_t chunk)
{
    put_be64(key_r->bytes, body);
    put_be32(key_r->bytes + 8, chunk);
    key_r->size = 12;
}

void key_digest(struct key *key_r, const uint8_t digest[16], uint64_t body_bytes)
{
    memcpy(key_r->bytes, digest, 16);
    put_be64(key_r->bytes + 16, body_bytes);
    key_r->size = 24;
}

void key_address(struct key *key_r, struct slice address)
{
    assert(address.size <= KEYS_ADDRESS_BYTES_MAX);
    for (size_t i = 0; i < address.size; i++) {
        char c = address.data[i];

        key_r->bytes[i] = (uint8_t)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    key_r->size = address.size;
}

void key_failure(struct key *key_r, uint32_t user, uint32_t sequence)
{
    put_be32(key_r->bytes, user);
    key_r->bytes[4] = 1;
    put_be32(key_r->bytes + 5, sequence);
    key_r->size = 9;
}

void key_failure_index(struct key *key_r, uint32_t user, uint64_t hash)
{
    put_be32(key_r->bytes, user);
    key_r->bytes[4] = 0;
    put_be64(key_r->bytes + 5, hash);
    key_r->size = 13;
}

void key_problem(struct key *key_r, uint32_t user, uint32_t folder, uint64_t hash)
{
    key_folder(key_r, user, folder);
    put_be64(key_r->bytes + 8, hash);
    key_r->size = 16;
}

void key_sample(struct key *key_r, int64_t wall_ms)
{
    put_be64(key_r->bytes, wall_ms > 0 ? (uint64_t)wall_ms : 0);
    key_r->size = 8;
}

bool key_read_user(struct slice key, uint32_t *user_r)
{
    if (key.size != 4)
        return false;
    *user_r = get_be32(key.data);
    return *user_r != 0;
}

bool key_read_folder(struct slice key, uint32_t *user_r, uint32_t *folder_r)
{
    if (key.size != 8)
        return false;
    *user_r = get_be32(key.data);
    *folder_r = get_be32(key.data + 4);
    return *user_r != 0 && *folder_r != 0;
}

bool key_read_message(struct slice key, uint32_t *user_r, uint32_t *folder_r, uint32_t *uid_r)
{
    if (key.size != 12 || !key_read_folder(slice_first(key, 8), user_r, folder_r))
        return false;
    *uid_r = get_be32(key.data + 8);
    return *uid_r != 0;
}

bool key_read_body(struct slice key, uint64_t *body_r)
{
    if (key.size != 8)
        return false;
    *body_r = get_be64(key.data);
    return *body_r != 0;
}

bool key_read_chunk(struct slice key, uint64_t *body_r, uint32_t *chunk_r)
{
    if (key.size != 12 || !key_read_body(slice_first(key, 8), body_r))
        return false;
    *chunk_r = get_be32(key.data + 8);
    return true;
}

bool key_read_sample(struct slice key, int64_t *wall_ms_r)
{
    if (key.size != 8 || get_be64(key.data) > INT64_MAX)
        return false;
    *wall_ms_r = (int64_t)get_be64(key.data);
    return true;
}

uint64_t keys_hash(uint64_t seed, struct slice bytes)
{
    uint64_t h = seed ? seed : 0xcbf29ce484222325ull;

    for (size_t i = 0; i < bytes.size; i++)
        h = (h ^ (uint8_t)bytes.data[i]) * 0x100000001b3ull;
    return h;
}

/* FNV-1a, 32 bits: each step is a bijection of the sum, so any change of one byte shows for certain,
 * and records are too short (tens of bytes) for anything faster to matter. LMDB 0.9 itself has no
 * page checksums. */
static uint32_t check_of(struct slice key, const uint8_t *data, size_t size)
{
    uint32_t h = 0x811c9dc5u;

    for (size_t i = 0; i < key.size; i++)
        h = (h ^ (uint8_t)key.data[i]) * 0x01000193u;
    for (size_t i = 0; i < size; i++)
        h = (h ^ data[i]) * 0x01000193u;
    return h;
}

struct writing {
    uint8_t *out;
    size_t size;
};

static void put_byte(struct writing *w, unsigned v)
{
    assert(v <= 255 && w->size < RECORD_BYTES_MAX - CHECK_BYTES);
    w->out[w->size++] = (uint8_t)v;
}

static void put_number(struct writing *w, uint64_t v)
{
    while (v >= 0x80) {
        put_byte(w, (unsigned)(v & 0x7F) | 0x80);
        v >>= 7;
    }
    put_byte(w, (unsigned)v);
}

/* Zigzag: small negative numbers stay short. */
static void put_signed(struct writing *w, int64_t v)
{
    put_number(w, (uint64_t)v << 1 ^ (uint64_t)(v < 0 ? -1 : 0));
}

static void put_bytes(struct writing *w, const void *data, size_t size)
{
    assert(size <= RECORD_BYTES_MAX - CHECK_BYTES - w->size);
    if (size)
        memcpy(w->out + w->size, data, size);
    w->size += size;
}

static void put_slice(struct writing *w, struct slice s, size_t max)
{
    assert(s.size <= max);
    put_number(w, s.size);
    put_bytes(w, s.data, s.size);
}

static void put_text(struct writing *w, const char *text, size_t cap)
{
    put_slice(w, slice_of(text, strnlen(text, cap - 1)), cap - 1);
}

static struct writing encode_begin(uint8_t *out)
{
    struct writing w = { out, 0 };

    put_byte(&w, KEYS_VERSION);
    return w;
}

static size_t encode_end(struct writing *w, const struct key *key)
{
    put_be32(w->out + w->size, check_of(key_slice(key), w->out, w->size));
    return w->size + CHECK_BYTES;
}

/* Reading past the end, or a bad value, clears ok; what is read then is zero. */
struct reading {
    const uint8_t *at;
    size_t left;
    bool ok;
};

static unsigned get_byte(struct reading *r)
{
    if (!r->ok || r->left == 0) {
        r->ok = false;
        return 0;
    }
    r->left--;
    return *r->at++;
}

static uint64_t get_number(struct reading *r)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        unsigned b = get_byte(r);

        if (shift == 63 && b > 1)
            break;
        v |= (uint64_t)(b & 0x7F) << shift;
        if (!(b & 0x80))
            return r->ok ? v : 0;
    }
    r->ok = false;
    return 0;
}

static uint32_t get_u32(struct reading *r)
{
    uint64_t v = get_number(r);

    if (v > UINT32_MAX) {
        r->ok = false;
        return 0;
    }
    return (uint32_t)v;
}

static int64_t get_signed(struct reading *r)
{
    uint64_t v = get_number(r);

    return (int64_t)(v >> 1 ^ (v & 1 ? UINT64_MAX : 0));
}

static unsigned get_below(struct reading *r, unsigned limit)
{
    unsigned v = get_byte(r);

    if (v >= limit) {
        r->ok = false;
        return 0;
    }
    return v;
}

static void get_bytes(struct reading *r, void *out, size_t size)
{
    if (!r->ok || r->left < size) {
        r->ok = false;
        memset(out, 0, size);
        return;
    }
    memcpy(out, r->at, size);
    r->at += size;
    r->left -= size;
}

static struct slice get_slice(struct reading *r, size_t max)
{
    uint64_t size = get_number(r);
    struct slice s;

    if (!r->ok || size > max || size > r->left) {
        r->ok = false;
        return slice_of(NULL, 0);
    }
    s = slice_of((const char *)r->at, (size_t)size);
    r->at += size;
    r->left -= size;
    return s;
}

static void get_text(struct reading *r, char *out, size_t cap)
{
    struct slice s = get_slice(r, cap - 1);

    if (slice_find(s, '\0') != SIZE_MAX)
        r->ok = false;
    if (s.size)
        memcpy(out, s.data, s.size);
    out[s.size] = '\0';
}

static struct reading decode_begin(struct slice key, struct slice value)
{
    struct reading r = { (const uint8_t *)value.data, 0, false };

    if (value.size < 1 + CHECK_BYTES || value.size > RECORD_BYTES_MAX)
        return r;
    r.left = value.size - CHECK_BYTES;
    r.ok = check_of(key, r.at, r.left) == get_be32(value.data + r.left);
    if (get_byte(&r) != KEYS_VERSION)
        r.ok = false;
    return r;
}

static bool decode_end(const struct reading *r)
{
    return r->ok && r->left == 0;
}

size_t encode_user(uint8_t *out, const struct key *key, const struct user_record *u)
{
    struct writing w = encode_begin(out);

    assert((unsigned)u->state < USER_STATE_COUNT);
    put_byte(&w, u->state);
    put_text(&w, u->failure, sizeof u->failure);
    put_signed(&w, u->started_ms);
    put_signed(&w, u->finished_ms);
    put_number(&w, u->syncs);
    put_number(&w, u->throttled);
    put_number(&w, u->reconnects);
    for (unsigned i = 0; i < 6; i++)
        put_number(&w, u->time_ms[i]);
    put_number(&w, u->policy);
    put_slice(&w, u->address, KEYS_ADDRESS_BYTES_MAX);
    put_slice(&w, u->user_name, KEYS_USER_NAME_BYTES_MAX);
    put_slice(&w, u->opaque, KEYS_OPAQUE_BYTES_MAX);
    return encode_end(&w, key);
}

bool decode_user(struct slice key, struct slice value, struct user_record *u)
{
    struct reading r = decode_begin(key, value);

    *u = (struct user_record){ 0 };
    if (!key_read_user(key, &u->id))
        return false;
    u->state = get_below(&r, USER_STATE_COUNT);
    get_text(&r, u->failure, sizeof u->failure);
    u->started_ms = get_signed(&r);
    u->finished_ms = get_signed(&r);
    u->syncs = get_u32(&r);
    u->throttled = get_number(&r);
    u->reconnects = get_number(&r);
    for (unsigned i = 0; i < 6; i++)
        u->time_ms[i] = get_number(&r);
    u->policy = get_number(&r);
    u->address = get_slice(&r, KEYS_ADDRESS_BYTES_MAX);
    u->user_name = get_slice(&r, KEYS_USER_NAME_BYTES_MAX);
    u->opaque = get_slice(&r, KEYS_OPAQUE_BYTES_MAX);
    return decode_end(&r);
}

static uint64_t *const *tally_fields(struct tally *t, uint64_t *fields[10])
{
    uint64_t *all[10] = { &t->found,   &t->uploaded,    &t->present,       &t->skipped,
                          &t->failed,  &t->waiting,     &t->spooled,       &t->bytes_found,
                          &t->bytes_fetched, &t->bytes_uploaded };

    memcpy(fields, all, sizeof all);
    return fields;
}

size_t encode_folder(uint8_t *out, const struct key *key, const struct folder_record *f)
{
    struct writing w = encode_begin(out);
    struct tally tally = f->tally;
    uint64_t *fields[10];

    put_number(&w, f->uidvalidity);
    put_number(&w, f->uidnext_listed);
    put_number(&w, f->status_uidnext);
    put_number(&w, f->status_messages);
    put_number(&w, f->status_modseq);
    put_byte(&w, (f->excluded ? 1u : 0u) | (f->target_open ? 2u : 0u) |
                     (f->target_scanned ? 4u : 0u) | (f->target_counted ? 8u : 0u));
    put_number(&w, f->target_uidvalidity);
    put_number(&w, f->target_uid_floor);
    put_number(&w, f->target_highest_seen);
    tally_fields(&tally, fields);
    for (unsigned i = 0; i < 10; i++)
        put_number(&w, *fields[i]);
    put_byte(&w, (uint8_t)f->delimiter);
    put_text(&w, f->role, sizeof f->role);
    put_slice(&w, f->source_raw, KEYS_NAME_BYTES_MAX);
    put_slice(&w, f->source_name, KEYS_NAME_BYTES_MAX);
    put_slice(&w, f->target_raw, KEYS_NAME_BYTES_MAX);
    put_slice(&w, f->target_name, KEYS_NAME_BYTES_MAX);
    return encode_end(&w, key);
}

bool decode_folder(struct slice key, struct slice value, struct folder_record *f)
{
    struct reading r = decode_begin(key, value);
    uint64_t *fields[10];
    unsigned bits;

    *f = (struct folder_record){ 0 };
    if (!key_read_folder(key, &f->user, &f->folder))
        return false;
    f->uidvalidity = get_u32(&r);
    f->uidnext_listed = get_u32(&r);
    f->status_uidnext = get_u32(&r);
    f->status_messages = get_u32(&r);
    f->status_modseq = get_number(&r);
    bits = get_below(&r, 16);
    f->excluded = bits & 1;
    f->target_open = bits & 2;
    f->target_scanned = bits & 4;
    f->target_counted = bits & 8;
    f->target_uidvalidity = get_u32(&r);
    f->target_uid_floor = get_u32(&r);
    f->target_highest_seen = get_u32(&r);
    tally_fields(&f->tally, fields);
    for (unsigned i = 0; i < 10; i++)
        *fields[i] = get_number(&r);
    f->delimiter = (char)get_byte(&r);
    get_text(&r, f->role, sizeof f->role);
    f->source_raw = get_slice(&r, KEYS_NAME_BYTES_MAX);
    f->source_name = get_slice(&r, KEYS_NAME_BYTES_MAX);
    f->target_raw = get_slice(&r, KEYS_NAME_BYTES_MAX);
    f->target_name = get_slice(&r, KEYS_NAME_BYTES_MAX);
    return decode_end(&r);
}

static bool all_zero(const uint8_t bytes[16])
{
    static const uint8_t zero[16];

    return memcmp(bytes, zero, 16) == 0;
}

enum { HAS_DATE = 1, HAS_BODY = 2, HAS_DIGEST = 4, HAS_HEADER_KEY = 8, HAS_TARGET = 16,
       HAS_TRIES = 32, HAS_KEYWORDS = 64, HAS_SOURCE_ID = 128, HAS_LIMIT = 256 };

/* What a message does not have yet takes no room: a journal of millions is mostly short rows. */
size_t encode_message(uint8_t *out, const struct key *key, const struct message_record *m)
{
    struct writing w = encode_begin(out);
    unsigned has = (m->date_known ? HAS_DATE : 0u) | (m->body || m->body_bytes ? HAS_BODY : 0u) |
                   (all_zero(m->digest) ? 0u : HAS_DIGEST) |
                   (all_zero(m->header_key) ? 0u : HAS_HEADER_KEY) |
                   (m->target_uid ? HAS_TARGET : 0u) | (m->tries ? HAS_TRIES : 0u) |
                   (m->keywords.size ? HAS_KEYWORDS : 0u) |
                   (m->source_id ? HAS_SOURCE_ID : 0u);

    assert(m->state >= MESSAGE_FOUND && m->state < MESSAGE_STATE_COUNT &&
           (unsigned)m->reason < SKIP_REASON_COUNT);
    put_byte(&w, m->state);
    put_byte(&w, m->reason);
    put_byte(&w, m->flags);
    put_byte(&w, has);
    put_number(&w, m->listed_bytes);
    if (has & HAS_DATE) {
        put_signed(&w, m->date_seconds);
        put_signed(&w, m->zone_minutes);
    }
    if (has & HAS_BODY) {
        put_number(&w, m->body);
        put_number(&w, m->body_bytes);
    }
    if (has & HAS_DIGEST)
        put_bytes(&w, m->digest, 16);
    if (has & HAS_HEADER_KEY)
        put_bytes(&w, m->header_key, 16);
    if (has & HAS_TARGET)
        put_number(&w, m->target_uid);
    if (has & HAS_TRIES)
        put_number(&w, m->tries);
    if (has & HAS_KEYWORDS)
        put_slice(&w, m->keywords, KEYS_KEYWORDS_BYTES_MAX);
    if (has & HAS_SOURCE_ID)
        put_number(&w, m->source_id);
    if (m->repairs) { /* few have any: their being there says so */
        put_byte(&w, m->repairs);
        put_number(&w, m->repaired_bytes);
    }
    return encode_end(&w, key);
}

bool decode_message(struct slice key, struct slice value, struct message_record *m)
{
    struct reading r = decode_begin(key, value);
    uint32_t user, folder;
    unsigned has;

    *m = (struct message_record){ 0 };
    if (!key_read_message(key, &user, &folder, &m->uid))
        return false;
    m->state = get_below(&r, MESSAGE_STATE_COUNT);
    m->reason = get_below(&r, SKIP_REASON_COUNT);
    m->flags = (uint8_t)get_byte(&r);
    has = get_below(&r, HAS_LIMIT);
    m->listed_bytes = get_number(&r);
    if (has & HAS_DATE) {
        int64_t zone;

        m->date_known = true;
        m->date_seconds = get_signed(&r);
        zone = get_signed(&r);
        if (zone < INT16_MIN || zone > INT16_MAX)
            return false;
        m->zone_minutes = (int16_t)zone;
    }
    if (has & HAS_BODY) {
        m->body = get_number(&r);
        m->body_bytes = get_number(&r);
    }
    if (has & HAS_DIGEST)
        get_bytes(&r, m->digest, 16);
    if (has & HAS_HEADER_KEY)
        get_bytes(&r, m->header_key, 16);
    if (has & HAS_TARGET)
        m->target_uid = get_u32(&r);
    if (has & HAS_TRIES)
        m->tries = get_u32(&r);
    if (has & HAS_KEYWORDS)
        m->keywords = get_slice(&r, KEYS_KEYWORDS_BYTES_MAX);
    if (has & HAS_SOURCE_ID)
        m->source_id = get_number(&r);
    if (r.ok && r.left) {
        m->repairs = (uint8_t)get_byte(&r);
        m->repaired_bytes = get_number(&r);
    }
    return decode_end(&r) && m->state != 0;
}

size_t encode_note(uint8_t *out, const struct key *key, const struct message_note *n)
{
    struct writing w = encode_begin(out);

    put_text(&w, n->subject, sizeof n->subject);
    put_text(&w, n->message_id, sizeof n->message_id);
    put_text(&w, n->date, sizeof n->date);
    return encode_end(&w, key);
}

bool decode_note(struct slice key, struct slice value, struct message_note *n)
{
    struct reading r = decode_begin(key, value);

    get_text(&r, n->subject, sizeof n->subject);
    get_text(&r, n->message_id, sizeof n->message_id);
    get_text(&r, n->date, sizeof n->date);
    return decode_end(&r);
}

size_t encode_failure(uint8_t *out, const struct key *key, const struct failure_record *f)
{
    struct writing w = encode_begin(out);

    put_signed(&w, f->first_ms);
    put_signed(&w, f->last_ms);
    put_number(&w, f->count);
    put_number(&w, f->folder);
    put_number(&w, f->uid);
    put_byte(&w, f->class);
    put_byte(&w, f->side);
    put_text(&w, f->type, sizeof f->type);
    put_text(&w, f->doing, sizeof f->doing);
    put_text(&w, f->server_text, sizeof f->server_text);
    put_text(&w, f->advice, sizeof f->advice);
    put_text(&w, f->folder_name, sizeof f->folder_name);
    return encode_end(&w, key);
}

bool decode_failure(struct slice key, struct slice value, struct failure_record *f)
{
    struct reading r = decode_begin(key, value);

    f->first_ms = get_signed(&r);
    f->last_ms = get_signed(&r);
    f->count = get_u32(&r);
    f->folder = get_u32(&r);
    f->uid = get_u32(&r);
    f->class = (uint8_t)get_below(&r, ERR_CLASS_COUNT);
    f->side = (uint8_t)get_below(&r, FAILURE_LOCAL + 1);
    get_text(&r, f->type, sizeof f->type);
    get_text(&r, f->doing, sizeof f->doing);
    get_text(&r, f->server_text, sizeof f->server_text);
    get_text(&r, f->advice, sizeof f->advice);
    get_text(&r, f->folder_name, sizeof f->folder_name);
    return decode_end(&r);
}

size_t encode_problem(uint8_t *out, const struct key *key, const struct problem_record *p)
{
    struct writing w = encode_begin(out);

    put_number(&w, p->folder);
    put_text(&w, p->type, sizeof p->type);
    put_text(&w, p->text, sizeof p->text);
    put_text(&w, p->remedy, sizeof p->remedy);
    return encode_end(&w, key);
}

bool decode_problem(struct slice key, struct slice value, struct problem_record *p)
{
    struct reading r = decode_begin(key, value);

    p->folder = get_u32(&r);
    get_text(&r, p->type, sizeof p->type);
    get_text(&r, p->text, sizeof p->text);
    get_text(&r, p->remedy, sizeof p->remedy);
    return decode_end(&r);
}

size_t encode_share(uint8_t *out, const struct key *key, const struct share_record *s)
{
    struct writing w = encode_begin(out);

    put_number(&w, s->body);
    put_number(&w, s->refs);
    return encode_end(&w, key);
}

bool decode_share(struct slice key, struct slice value, struct share_record *s)
{
    struct reading r = decode_begin(key, value);

    s->body = get_number(&r);
    s->refs = get_number(&r);
    return decode_end(&r) && s->body && s->refs;
}

size_t encode_number(uint8_t *out, const struct key *key, uint64_t number)
{
    struct writing w = encode_begin(out);

    put_number(&w, number);
    return encode_end(&w, key);
}

bool decode_number(struct slice key, struct slice value, uint64_t *number_r)
{
    struct reading r = decode_begin(key, value);

    *number_r = get_number(&r);
    return decode_end(&r);
}

size_t encode_sample(uint8_t *out, const struct key *key, const uint64_t values[12])
{
    struct writing w = encode_begin(out);

    for (unsigned i = 0; i < 12; i++)
        put_number(&w, values[i]);
    return encode_end(&w, key);
}

bool decode_sample(struct slice key, struct slice value, uint64_t values_r[12])
{
    struct reading r = decode_begin(key, value);

    for (unsigned i = 0; i < 12; i++)
        values_r[i] = get_number(&r);
    return decode_end(&r);
}
