#include "store/codec.h"

#include "store/pack.h"

#include <assert.h>

/* At most max bytes, without a part of a word at the end. */
static struct slice whole_words(struct slice words, size_t max)
{
    size_t size = max;

    if (words.size <= max)
        return words;
    while (size && words.data[size] != ' ')
        size--;
    return slice_first(words, size);
}

/* At most max bytes, without a part of a UTF-8 sequence at the end. */
static struct slice whole_characters(struct slice text, size_t max)
{
    size_t size = max;

    if (text.size <= max)
        return text;
    while (size && ((unsigned char)text.data[size] & 0xC0) == 0x80)
        size--;
    return slice_first(text, size);
}

static void pack_shown(struct packing *w, struct slice name)
{
    pack_slice(w, whole_characters(name, CODEC_NAME_BYTES_MAX), CODEC_NAME_BYTES_MAX);
}

size_t encode_user(uint8_t *out, const struct key *key, const struct user_record *u)
{
    struct packing w = pack_begin(out);

    assert((unsigned)u->state < USER_STATE_COUNT);
    pack_byte(&w, u->state);
    pack_text(&w, u->failure, sizeof u->failure);
    pack_signed(&w, u->started_ms);
    pack_signed(&w, u->finished_ms);
    pack_number(&w, u->syncs);
    pack_number(&w, u->throttled);
    pack_number(&w, u->reconnects);
    for (unsigned i = 0; i < 6; i++)
        pack_number(&w, u->time_ms[i]);
    pack_number(&w, u->policy);
    pack_slice(&w, u->address, KEYS_ADDRESS_BYTES_MAX);
    pack_slice(&w, u->user_name, CODEC_USER_NAME_BYTES_MAX);
    pack_slice(&w, u->opaque, CODEC_OPAQUE_BYTES_MAX);
    return pack_end(&w, key_slice(key));
}

bool decode_user(struct slice key, struct slice value, struct user_record *u)
{
    struct unpacking r = unpack_begin(key, value);

    *u = (struct user_record){ 0 };
    if (!key_read_user(key, &u->id))
        return false;
    u->state = unpack_below(&r, USER_STATE_COUNT);
    unpack_text(&r, u->failure, sizeof u->failure);
    u->started_ms = unpack_signed(&r);
    u->finished_ms = unpack_signed(&r);
    u->syncs = unpack_u32(&r);
    u->throttled = unpack_number(&r);
    u->reconnects = unpack_number(&r);
    for (unsigned i = 0; i < 6; i++)
        u->time_ms[i] = unpack_number(&r);
    u->policy = unpack_number(&r);
    u->address = unpack_slice(&r, KEYS_ADDRESS_BYTES_MAX);
    u->user_name = unpack_slice(&r, CODEC_USER_NAME_BYTES_MAX);
    u->opaque = unpack_slice(&r, CODEC_OPAQUE_BYTES_MAX);
    return unpack_end(&r);
}

static uint64_t *const *tally_fields(struct tally *t, uint64_t *fields[10])
{
    uint64_t *all[10] = { &t->found,   &t->uploaded, &t->present,     &t->skipped,       &t->failed,
                          &t->waiting, &t->spooled,  &t->bytes_found, &t->bytes_fetched, &t->bytes_uploaded };

    memcpy(fields, all, sizeof all);
    return fields;
}

size_t encode_folder(uint8_t *out, const struct key *key, const struct folder_record *f)
{
    struct packing w = pack_begin(out);
    struct tally tally = f->tally;
    uint64_t *fields[10];

    pack_number(&w, f->uidvalidity);
    pack_number(&w, f->uidnext_listed);
    pack_number(&w, f->status_uidnext);
    pack_number(&w, f->status_messages);
    pack_number(&w, f->status_modseq);
    pack_byte(&w, (f->excluded ? 1u : 0u) | (f->target_open ? 2u : 0u) | (f->target_scanned ? 4u : 0u) |
                      (f->target_counted ? 8u : 0u) | (f->target_uids_lie ? 16u : 0u) |
                      (f->target_sends_unknown ? 32u : 0u));
    pack_number(&w, f->target_uidvalidity);
    pack_number(&w, f->target_uid_floor);
    pack_number(&w, f->target_highest_seen);
    tally_fields(&tally, fields);
    for (unsigned i = 0; i < 10; i++)
        pack_number(&w, *fields[i]);
    pack_byte(&w, (uint8_t)f->delimiter);
    pack_text(&w, f->role, sizeof f->role);
    pack_slice(&w, f->source_raw, CODEC_NAME_BYTES_MAX);
    pack_shown(&w, f->source_name);
    pack_slice(&w, f->target_raw, CODEC_NAME_BYTES_MAX);
    pack_shown(&w, f->target_name);
    if (f->target_lost_from) /* few have it: its being there says so */
        pack_number(&w, f->target_lost_from);
    if (f->target_lost_from && f->target_late_seen)
        pack_number(&w, f->target_late_seen);
    return pack_end(&w, key_slice(key));
}

bool decode_folder(struct slice key, struct slice value, struct folder_record *f)
{
    struct unpacking r = unpack_begin(key, value);
    uint64_t *fields[10];
    unsigned bits;

    *f = (struct folder_record){ 0 };
    if (!key_read_folder(key, &f->user, &f->folder))
        return false;
    f->uidvalidity = unpack_u32(&r);
    f->uidnext_listed = unpack_u32(&r);
    f->status_uidnext = unpack_u32(&r);
    f->status_messages = unpack_u32(&r);
    f->status_modseq = unpack_number(&r);
    bits = unpack_below(&r, 64);
    f->excluded = bits & 1;
    f->target_open = bits & 2;
    f->target_scanned = bits & 4;
    f->target_counted = bits & 8;
    f->target_uids_lie = bits & 16;
    f->target_sends_unknown = bits & 32;
    f->target_uidvalidity = unpack_u32(&r);
    f->target_uid_floor = unpack_u32(&r);
    f->target_highest_seen = unpack_u32(&r);
    tally_fields(&f->tally, fields);
    for (unsigned i = 0; i < 10; i++)
        *fields[i] = unpack_number(&r);
    f->delimiter = (char)unpack_byte(&r);
    unpack_text(&r, f->role, sizeof f->role);
    f->source_raw = unpack_slice(&r, CODEC_NAME_BYTES_MAX);
    f->source_name = unpack_slice(&r, CODEC_NAME_BYTES_MAX);
    f->target_raw = unpack_slice(&r, CODEC_NAME_BYTES_MAX);
    f->target_name = unpack_slice(&r, CODEC_NAME_BYTES_MAX);
    if (r.ok && r.left)
        f->target_lost_from = unpack_u32(&r);
    if (r.ok && r.left)
        f->target_late_seen = unpack_u32(&r);
    return unpack_end(&r) && tally_balanced(&f->tally);
}

static bool all_zero(const uint8_t bytes[16])
{
    static const uint8_t zero[16];

    return memcmp(bytes, zero, 16) == 0;
}

enum {
    HAS_DATE = 1,
    HAS_BODY = 2,
    HAS_DIGEST = 4,
    HAS_HEADER_KEY = 8,
    HAS_TARGET = 16,
    HAS_TRIES = 32,
    HAS_KEYWORDS = 64,
    HAS_SOURCE_ID = 128,
    HAS_LIMIT = 256
};

/* What a message does not have yet takes no room: a journal of millions is mostly short rows. */
size_t encode_message(uint8_t *out, const struct key *key, const struct message_record *m)
{
    struct packing w = pack_begin(out);
    struct slice keywords = whole_words(m->keywords, CODEC_KEYWORDS_BYTES_MAX);
    unsigned has = (m->date_known ? HAS_DATE : 0u) | (m->body || m->body_bytes ? HAS_BODY : 0u) |
                   (all_zero(m->digest) ? 0u : HAS_DIGEST) | (all_zero(m->header_key) ? 0u : HAS_HEADER_KEY) |
                   (m->target_uid ? HAS_TARGET : 0u) | (m->tries ? HAS_TRIES : 0u) |
                   (keywords.size ? HAS_KEYWORDS : 0u) | (m->source_id ? HAS_SOURCE_ID : 0u);
    bool copies = m->unanswered || m->doomed_uid || m->in_doubt;

    assert(m->state >= MESSAGE_FOUND && m->state < MESSAGE_STATE_COUNT && (unsigned)m->reason < SKIP_REASON_COUNT);
    pack_byte(&w, m->state);
    pack_byte(&w, m->reason);
    pack_byte(&w, m->flags);
    pack_byte(&w, has);
    pack_number(&w, m->listed_bytes);
    if (has & HAS_DATE) {
        pack_signed(&w, m->date_seconds);
        pack_signed(&w, m->zone_minutes);
    }
    if (has & HAS_BODY) {
        pack_number(&w, m->body);
        pack_number(&w, m->body_bytes);
    }
    if (has & HAS_DIGEST)
        pack_bytes(&w, m->digest, 16);
    if (has & HAS_HEADER_KEY)
        pack_bytes(&w, m->header_key, 16);
    if (has & HAS_TARGET)
        pack_number(&w, m->target_uid);
    if (has & HAS_TRIES)
        pack_number(&w, m->tries);
    if (has & HAS_KEYWORDS)
        pack_slice(&w, keywords, CODEC_KEYWORDS_BYTES_MAX);
    if (has & HAS_SOURCE_ID)
        pack_number(&w, m->source_id);
    /* Few have any of these: their being there says so. */
    if (m->repairs || m->target_uid_from || copies) {
        pack_byte(&w, m->repairs & 0xFF);
        pack_number(&w, m->repaired_bytes);
        if (m->repairs > 0xFF || m->target_uid_from || copies)
            pack_byte(&w, m->repairs >> 8);
    }
    if (m->target_uid_from || copies)
        pack_number(&w, m->target_uid_from);
    if (copies) {
        pack_byte(&w, m->unanswered);
        pack_number(&w, m->doomed_uid);
    }
    if (m->in_doubt)
        pack_byte(&w, 1);
    return pack_end(&w, key_slice(key));
}

bool decode_message(struct slice key, struct slice value, struct message_record *m)
{
    struct unpacking r = unpack_begin(key, value);
    uint32_t user, folder;
    unsigned has;

    *m = (struct message_record){ 0 };
    if (!key_read_message(key, &user, &folder, &m->uid))
        return false;
    m->state = unpack_below(&r, MESSAGE_STATE_COUNT);
    m->reason = unpack_below(&r, SKIP_REASON_COUNT);
    m->flags = (uint8_t)unpack_byte(&r);
    has = unpack_below(&r, HAS_LIMIT);
    m->listed_bytes = unpack_number(&r);
    if (has & HAS_DATE) {
        int64_t zone;

        m->date_known = true;
        m->date_seconds = unpack_signed(&r);
        zone = unpack_signed(&r);
        if (zone < INT16_MIN || zone > INT16_MAX)
            return false;
        m->zone_minutes = (int16_t)zone;
    }
    if (has & HAS_BODY) {
        m->body = unpack_number(&r);
        m->body_bytes = unpack_number(&r);
    }
    if (has & HAS_DIGEST)
        unpack_bytes(&r, m->digest, 16);
    if (has & HAS_HEADER_KEY)
        unpack_bytes(&r, m->header_key, 16);
    if (has & HAS_TARGET)
        m->target_uid = unpack_u32(&r);
    if (has & HAS_TRIES)
        m->tries = unpack_u32(&r);
    if (has & HAS_KEYWORDS)
        m->keywords = unpack_slice(&r, CODEC_KEYWORDS_BYTES_MAX);
    if (has & HAS_SOURCE_ID)
        m->source_id = unpack_number(&r);
    if (r.ok && r.left) {
        m->repairs = (uint16_t)unpack_byte(&r);
        m->repaired_bytes = unpack_number(&r);
        if (r.ok && r.left)
            m->repairs = (uint16_t)(m->repairs | unpack_byte(&r) << 8);
    }
    if (r.ok && r.left)
        m->target_uid_from = unpack_u32(&r);
    if (r.ok && r.left) {
        m->unanswered = (uint8_t)unpack_byte(&r);
        m->doomed_uid = unpack_u32(&r);
    }
    if (r.ok && r.left)
        m->in_doubt = unpack_below(&r, 2);
    return unpack_end(&r) && m->state != 0;
}

size_t encode_note(uint8_t *out, const struct key *key, const struct message_note *n)
{
    struct packing w = pack_begin(out);

    pack_text(&w, n->subject, sizeof n->subject);
    pack_text(&w, n->message_id, sizeof n->message_id);
    pack_text(&w, n->date, sizeof n->date);
    return pack_end(&w, key_slice(key));
}

bool decode_note(struct slice key, struct slice value, struct message_note *n)
{
    struct unpacking r = unpack_begin(key, value);

    unpack_text(&r, n->subject, sizeof n->subject);
    unpack_text(&r, n->message_id, sizeof n->message_id);
    unpack_text(&r, n->date, sizeof n->date);
    return unpack_end(&r);
}

size_t encode_failure(uint8_t *out, const struct key *key, const struct failure_record *f)
{
    struct packing w = pack_begin(out);

    pack_signed(&w, f->first_ms);
    pack_signed(&w, f->last_ms);
    pack_number(&w, f->count);
    pack_number(&w, f->folder);
    pack_number(&w, f->uid);
    pack_byte(&w, f->class);
    pack_byte(&w, f->side);
    pack_text(&w, f->type, sizeof f->type);
    pack_text(&w, f->doing, sizeof f->doing);
    pack_text(&w, f->server_text, sizeof f->server_text);
    pack_text(&w, f->advice, sizeof f->advice);
    pack_text(&w, f->folder_name, sizeof f->folder_name);
    return pack_end(&w, key_slice(key));
}

bool decode_failure(struct slice key, struct slice value, struct failure_record *f)
{
    struct unpacking r = unpack_begin(key, value);

    f->first_ms = unpack_signed(&r);
    f->last_ms = unpack_signed(&r);
    f->count = unpack_u32(&r);
    f->folder = unpack_u32(&r);
    f->uid = unpack_u32(&r);
    f->class = (uint8_t)unpack_below(&r, ERR_CLASS_COUNT);
    f->side = (uint8_t)unpack_below(&r, FAILURE_LOCAL + 1);
    unpack_text(&r, f->type, sizeof f->type);
    unpack_text(&r, f->doing, sizeof f->doing);
    unpack_text(&r, f->server_text, sizeof f->server_text);
    unpack_text(&r, f->advice, sizeof f->advice);
    unpack_text(&r, f->folder_name, sizeof f->folder_name);
    return unpack_end(&r);
}

size_t encode_problem(uint8_t *out, const struct key *key, const struct problem_record *p)
{
    struct packing w = pack_begin(out);

    pack_number(&w, p->folder);
    pack_text(&w, p->type, sizeof p->type);
    pack_text(&w, p->text, sizeof p->text);
    pack_text(&w, p->remedy, sizeof p->remedy);
    if (p->doubt)
        pack_number(&w, p->count);
    return pack_end(&w, key_slice(key));
}

bool decode_problem(struct slice key, struct slice value, struct problem_record *p)
{
    struct unpacking r = unpack_begin(key, value);

    p->folder = unpack_u32(&r);
    unpack_text(&r, p->type, sizeof p->type);
    unpack_text(&r, p->text, sizeof p->text);
    unpack_text(&r, p->remedy, sizeof p->remedy);
    p->doubt = r.ok && r.left > 0;
    p->count = p->doubt ? unpack_number(&r) : 0;
    return unpack_end(&r);
}

enum {
    FOLLOW_GONE = 1,
    FOLLOW_MODSEQ = 2,
    FOLLOW_NOW = 4,
    FOLLOW_NEXT = 8,
    FOLLOW_KEPT = 16,
    FOLLOW_ABSENT = 32,
    FOLLOW_LIMIT = 64
};

static void pack_flags(struct packing *w, const struct follow_flags *f)
{
    pack_byte(w, f->system);
    pack_slice(w, whole_words(f->keywords, CODEC_KEYWORDS_BYTES_MAX), CODEC_KEYWORDS_BYTES_MAX);
}

static void unpack_flags(struct unpacking *r, struct follow_flags *f)
{
    f->system = (uint8_t)unpack_byte(r);
    f->keywords = unpack_slice(r, CODEC_KEYWORDS_BYTES_MAX);
}

size_t encode_follow(uint8_t *out, const struct key *key, const struct follow_record *f)
{
    struct packing w = pack_begin(out);

    pack_byte(&w, (f->gone ? FOLLOW_GONE : 0u) | (f->modseq ? FOLLOW_MODSEQ : 0u) | (f->followed ? FOLLOW_NOW : 0u) |
                      (f->wanted ? FOLLOW_NEXT : 0u) | (f->kept ? FOLLOW_KEPT : 0u) | (f->absent ? FOLLOW_ABSENT : 0u));
    if (f->modseq)
        pack_number(&w, f->modseq);
    if (f->followed)
        pack_flags(&w, &f->now);
    if (f->wanted)
        pack_flags(&w, &f->next);
    if (f->absent)
        pack_number(&w, f->absent);
    return pack_end(&w, key_slice(key));
}

bool decode_follow(struct slice key, struct slice value, struct follow_record *f)
{
    struct unpacking r = unpack_begin(key, value);
    unsigned bits;

    *f = (struct follow_record){ 0 };
    if (!key_read_follow(key, &f->user, &f->folder, &f->uid))
        return false;
    bits = unpack_below(&r, FOLLOW_LIMIT);
    f->gone = bits & FOLLOW_GONE;
    f->followed = bits & FOLLOW_NOW;
    f->wanted = bits & FOLLOW_NEXT;
    f->kept = bits & FOLLOW_KEPT;
    if (bits & FOLLOW_MODSEQ)
        f->modseq = unpack_number(&r);
    if (f->followed)
        unpack_flags(&r, &f->now);
    if (f->wanted)
        unpack_flags(&r, &f->next);
    if (bits & FOLLOW_ABSENT)
        f->absent = unpack_number(&r);
    return unpack_end(&r);
}

size_t encode_share(uint8_t *out, const struct key *key, const struct share_record *s)
{
    struct packing w = pack_begin(out);

    pack_number(&w, s->body);
    pack_number(&w, s->refs);
    return pack_end(&w, key_slice(key));
}

bool decode_share(struct slice key, struct slice value, struct share_record *s)
{
    struct unpacking r = unpack_begin(key, value);

    s->body = unpack_number(&r);
    s->refs = unpack_number(&r);
    return unpack_end(&r) && s->body && s->refs;
}

size_t encode_number(uint8_t *out, const struct key *key, uint64_t number)
{
    struct packing w = pack_begin(out);

    pack_number(&w, number);
    return pack_end(&w, key_slice(key));
}

bool decode_number(struct slice key, struct slice value, uint64_t *number_r)
{
    struct unpacking r = unpack_begin(key, value);

    *number_r = unpack_number(&r);
    return unpack_end(&r);
}

size_t encode_sample(uint8_t *out, const struct key *key, const uint64_t values[12])
{
    struct packing w = pack_begin(out);

    for (unsigned i = 0; i < 12; i++)
        pack_number(&w, values[i]);
    return pack_end(&w, key_slice(key));
}

bool decode_sample(struct slice key, struct slice value, uint64_t values_r[12])
{
    struct unpacking r = unpack_begin(key, value);

    for (unsigned i = 0; i < 12; i++)
        values_r[i] = unpack_number(&r);
    return unpack_end(&r);
}
