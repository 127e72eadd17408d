#include "store/keys.h"

#include "store/pack.h"

#include <assert.h>

static void put_be64(uint8_t *out, uint64_t v)
{
    put_be32(out, (uint32_t)(v >> 32));
    put_be32(out + 4, (uint32_t)v);
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

bool key_read_follow(struct slice key, uint32_t *user_r, uint32_t *folder_r, uint32_t *uid_r)
{
    if (key.size != 12 || !key_read_folder(slice_first(key, 8), user_r, folder_r))
        return false;
    *uid_r = get_be32(key.data + 8);
    return true;
}

bool key_read_message(struct slice key, uint32_t *user_r, uint32_t *folder_r, uint32_t *uid_r)
{
    return key_read_follow(key, user_r, folder_r, uid_r) && *uid_r != 0;
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
