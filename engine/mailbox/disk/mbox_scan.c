#include "engine/mailbox/disk/mbox.h"

#include "engine/imap/session.h"
#include "io/base/mem.h"
#include "io/base/whole.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROOM           (256u << 10) /* of the file at once; a longer line has pieces */
#define FROM_LINE_MAX  1000u
#define KEPT_WORDS_MAX 4096u /* of one message's keywords */

/* ---- the line between two messages ---------------------------------------------------------------- */

static const char *const week_days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
static const char *const month_names[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

/* The place of the word's first three letters; -1: it is none of them. */
static int name_in(struct slice word, const char *const *names, int count)
{
    for (int i = 0; word.size >= 3 && i < count; i++)
        if (slice_equal_nocase(slice_first(word, 3), slice_cstr(names[i])))
            return i;
    return -1;
}

static bool next_word(struct slice *rest, struct slice *word_r)
{
    while (rest->size && (rest->data[0] == ' ' || rest->data[0] == '\t'))
        *rest = slice_from(*rest, 1);
    if (rest->size == 0)
        return false;
    *word_r = slice_first(*rest, slice_find(*rest, ' '));
    *rest = slice_from(*rest, word_r->size);
    return true;
}

/* "12:34" or "12:34:56" */
static bool clock_of(struct slice word, struct tm *tm)
{
    struct slice part;
    uint32_t n[3] = { 0, 0, 0 };
    unsigned count = 0;

    while (slice_split(&word, ':', &part))
        if (count == 3 || part.size == 0 || part.size > 2 || !slice_u32(part, &n[count++]))
            return false;
    tm->tm_hour = (int)n[0];
    tm->tm_min = (int)n[1];
    tm->tm_sec = (int)n[2];
    return count >= 2 && n[0] < 24 && n[1] < 60 && n[2] < 61;
}

/* "+0200": seconds east of UTC. Of names only those are sure that mean UTC. */
static bool zone_of(struct slice word, int *east_r)
{
    uint32_t n;

    *east_r = 0;
    if (slice_equal(word, SLICE("UTC")) || slice_equal(word, SLICE("GMT")) || slice_equal(word, SLICE("UT")))
        return true;
    if (word.size != 5 || (word.data[0] != '+' && word.data[0] != '-') || !slice_u32(slice_from(word, 1), &n) ||
        n % 100 > 59 || n > 1500)
        return false;
    *east_r = (int)(n / 100 * 3600 + n % 100 * 60) * (word.data[0] == '-' ? -1 : 1);
    return true;
}

/* What follows the name of a week day: "Jan  2 12:34:56 2020", a zone before or behind the year. */
static bool date_of(struct slice rest, int64_t *seconds_r)
{
    struct tm tm = { .tm_isdst = -1 };
    struct slice word;
    uint32_t n, year = 0;
    bool zoned = false;
    int east = 0;

    if (!next_word(&rest, &word) || (tm.tm_mon = name_in(word, month_names, 12)) < 0 || word.size != 3)
        return false;
    if (!next_word(&rest, &word) || word.size > 2 || !slice_u32(word, &n) || n == 0 || n > 31)
        return false;
    tm.tm_mday = (int)n;
    if (!next_word(&rest, &word) || !clock_of(word, &tm))
        return false;
    for (unsigned i = 0; i < 4 && next_word(&rest, &word); i++) {
        if (word.size == 4 && year == 0 && slice_u32(word, &n) && n >= 1900)
            year = n;
        else if (!zoned) /* another word is a zone's name, or of "remote from" */
            zoned = zone_of(word, &east);
    }
    if (year == 0)
        return false;
    tm.tm_year = (int)year - 1900;
    *seconds_r = zoned ? (int64_t)timegm(&tm) - east : (int64_t)mktime(&tm);
    return true;
}

bool mbox_is_from_line(struct slice line, int64_t *seconds_r)
{
    struct slice word;

    if (line.size && line.data[line.size - 1] == '\r')
        line.size--;
    if (line.size > FROM_LINE_MAX || !slice_starts(line, SLICE("From ")))
        return false;
    line = slice_from(line, 5);
    /* The sender comes first, and may have blanks in it. */
    while (next_word(&line, &word))
        if (word.size == 3 && name_in(word, week_days, 7) >= 0 && date_of(line, seconds_r))
            return true;
    return false;
}

/* ---- one message ------------------------------------------------------------------------------------ */

struct reading {
    struct mbox_scan *scan;
    struct mbox_found *now; /* NULL: none has begun */
    struct disk_filter filter;
    EVP_MD_CTX *hash;
    char *out;
    uint64_t blank_at; /* of an empty line that may part this one from the next */
    unsigned blank;    /* its bytes; 0: none is held back */
    bool header, hashed_well;
};

static void take(struct reading *r, struct slice bytes, bool last)
{
    size_t size = mbox_filter(&r->filter, bytes.data, bytes.size, last, r->out);

    r->now->bytes += size;
    r->hashed_well &= EVP_DigestUpdate(r->hash, r->out, size) == 1;
}

static void message_ends(struct reading *r, uint64_t at)
{
    unsigned char digest[EVP_MAX_MD_SIZE] = { 0 };

    if (!r->now)
        return;
    take(r, SLICE(""), true);
    r->now->raw_bytes = (r->blank ? r->blank_at : at) - r->now->at;
    r->hashed_well &= EVP_DigestFinal_ex(r->hash, digest, NULL) == 1;
    disk_hex(digest, r->now->digest);
    r->blank = 0;
    if (r->now->internal) {
        free(r->now->words);
        r->scan->count--;
    }
    r->now = NULL;
}

static void message_begins(struct reading *r, uint64_t at, int64_t seconds)
{
    struct mbox_scan *s = r->scan;

    if ((s->count & (s->count - 1)) == 0)
        s->all = mem_resize(s->all, s->count ? s->count * 2ul : 1, sizeof *s->all);
    r->now = &s->all[s->count++];
    *r->now = (struct mbox_found){ .at = at, .seconds = seconds };
    r->filter = (struct disk_filter){ 0 };
    r->header = true;
    r->hashed_well &= EVP_DigestInit_ex(r->hash, EVP_sha256(), NULL) == 1;
}

/* ---- what servers keep in headers ----------------------------------------------------------------------- */

static void letters(struct mbox_found *m, struct slice value)
{
    static const struct {
        char letter;
        unsigned flag;
    } flags[] = { { 'R', IMAP_FLAG_SEEN },
                  { 'A', IMAP_FLAG_ANSWERED },
                  { 'F', IMAP_FLAG_FLAGGED },
                  { 'D', IMAP_FLAG_DELETED },
                  { 'T', IMAP_FLAG_DRAFT } };

    for (size_t i = 0; i < value.size; i++)
        for (size_t k = 0; k < sizeof flags / sizeof *flags; k++)
            if (value.data[i] == flags[k].letter)
                m->system |= flags[k].flag;
}

static void keywords(struct mbox_found *m, struct slice value)
{
    struct slice word;

    while (next_word(&value, &word)) {
        size_t used = m->words ? strlen(m->words) : 0;
        char *longer;

        if (used + word.size + 1 > KEPT_WORDS_MAX)
            return;
        longer = mem_format("%s%s%.*s", used ? m->words : "", used ? " " : "", (int)word.size, word.data);
        free(m->words);
        m->words = longer;
    }
}

/* Thunderbird's, in hexadecimal. */
static void mozilla(struct mbox_found *m, struct slice value)
{
    char text[9];
    unsigned long bits;

    snprintf(text, sizeof text, "%.*s", (int)(value.size < 8 ? value.size : 8), value.data ? value.data : "");
    bits = strtoul(text, NULL, 16);
    m->system |= (bits & 0x1 ? IMAP_FLAG_SEEN : 0u) | (bits & 0x2 ? IMAP_FLAG_ANSWERED : 0u) |
                 (bits & 0x4 ? IMAP_FLAG_FLAGGED : 0u) | (bits & 0x8 ? IMAP_FLAG_DELETED : 0u);
}

/* "UIDVALIDITY HIGHEST-UID keyword ..." */
static void base(struct mbox_scan *s, struct slice value)
{
    struct slice word;
    uint32_t validity, highest;

    if (s->uidvalidity || !next_word(&value, &word) || !slice_u32(word, &validity) || !next_word(&value, &word) ||
        !slice_u32(word, &highest) || highest >= SESSION_UID_MAX)
        return;
    s->uidvalidity = validity;
    s->uidnext = highest + 1;
}

static void header_line(struct reading *r, struct slice line)
{
    struct mbox_found *m = r->now;
    size_t colon = slice_find(line, ':');
    struct slice name = slice_first(line, colon), value;
    uint32_t uid;

    if (colon == SIZE_MAX || !mbox_is_hidden(name))
        return;
    value = slice_trim(slice_from(line, colon + 1));
    if (slice_equal_nocase(name, SLICE("Status")) || slice_equal_nocase(name, SLICE("X-Status")))
        letters(m, value);
    else if (slice_equal_nocase(name, SLICE("X-Keywords")) || slice_equal_nocase(name, SLICE("X-Mozilla-Keys")))
        keywords(m, value);
    else if (slice_equal_nocase(name, SLICE("X-Mozilla-Status")))
        mozilla(m, value);
    else if (slice_equal_nocase(name, SLICE("X-UID")) && slice_u32(value, &uid) && uid <= SESSION_UID_MAX)
        m->uid = uid;
    else if (slice_equal_nocase(name, SLICE("X-IMAPbase")) || slice_equal_nocase(name, SLICE("X-IMAP")))
        base(r->scan, value);
    /* The first message of UW IMAP and Pine: "DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA". */
    m->internal |= slice_equal_nocase(name, SLICE("X-IMAP"));
}

/* ---- the file ---------------------------------------------------------------------------------------------- */

/* A line with its end, or a piece of a long one (begins false: not its first). False: the file is no mbox. */
static bool line_seen(struct reading *r, struct slice line, uint64_t at, bool begins, bool ends)
{
    struct slice text = ends ? slice_first(line, line.size - 1) : line;
    bool empty = begins && ends && (text.size == 0 || slice_equal(text, SLICE("\r")));
    int64_t seconds;

    if (begins && ends && mbox_is_from_line(text, &seconds)) {
        message_ends(r, at);
        message_begins(r, at + line.size, seconds);
        return true;
    }
    if (!r->now)
        return false;
    if (r->blank) {
        take(r, r->blank == 2 ? SLICE("\r\n") : SLICE("\n"), false);
        r->blank = 0;
    }
    if (empty) {
        r->header = false;
        r->blank = (unsigned)line.size;
        r->blank_at = at;
        return true;
    }
    if (r->header && begins)
        header_line(r, text);
    take(r, line, false);
    return true;
}

static bool lines(struct reading *r, int fd, uint64_t bytes)
{
    char *room = mem_alloc(ROOM);
    size_t have = 0;
    uint64_t at = 0; /* of room[0] */
    bool begins = true, good = true;

    while (good && at < bytes) {
        size_t want = bytes - at - have < ROOM - have ? (size_t)(bytes - at - have) : ROOM - have, used = 0;
        ssize_t got = whole_pread(fd, room + have, want, at + have);

        if (got != (ssize_t)want) { /* shorter than it was */
            errno = got < 0 ? errno : ESTALE;
            good = false;
            break;
        }
        have += want;
        while (good && used < have) {
            const char *end = memchr(room + used, '\n', have - used);
            size_t size = end ? (size_t)(end - room) + 1 - used : have - used;

            if (!end && at + have < bytes && (used > 0 || have < ROOM))
                break; /* the rest of the line is still to come */
            good = line_seen(r, slice_of(room + used, size), at + used, begins, end != NULL);
            errno = good ? errno : 0;
            begins = end != NULL;
            used += size;
        }
        have -= used;
        at += used;
        memmove(room, room + used, have);
    }
    free(room);
    return good;
}

bool mbox_scan(int fd, uint64_t bytes, struct mbox_scan *scan_r)
{
    struct reading r = { .scan = scan_r, .hash = EVP_MD_CTX_new(), .hashed_well = true };
    bool ok;

    *scan_r = (struct mbox_scan){ 0 };
    r.out = mem_alloc(2ul * ROOM + DISK_FILTER_MORE);
    ok = r.hash && lines(&r, fd, bytes);
    if (ok) {
        message_ends(&r, bytes);
        ok = r.hashed_well;
        errno = ok ? errno : EIO;
    }
    EVP_MD_CTX_free(r.hash);
    free(r.out);
    if (!ok)
        mbox_scan_deinit(scan_r);
    return ok;
}

void mbox_scan_deinit(struct mbox_scan *scan)
{
    int error = errno;

    for (uint32_t i = 0; i < scan->count; i++)
        free(scan->all[i].words);
    free(scan->all);
    *scan = (struct mbox_scan){ 0 };
    errno = error;
}

bool mbox_digest(int fd, uint64_t at, uint64_t raw_bytes, char digest_r[33])
{
    char *raw = mem_alloc(ROOM), *out = mem_alloc(2ul * ROOM + DISK_FILTER_MORE);
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    unsigned char digest[EVP_MAX_MD_SIZE];
    struct disk_filter filter = { 0 };
    uint64_t done = 0;
    bool ok = hash && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1;

    do {
        size_t want = raw_bytes - done < ROOM ? (size_t)(raw_bytes - done) : ROOM;
        ssize_t got = whole_pread(fd, raw, want, at + done);

        if (got != (ssize_t)want) {
            errno = got < 0 ? errno : ESTALE;
            ok = false;
            break;
        }
        done += want;
        ok = ok && EVP_DigestUpdate(hash, out, mbox_filter(&filter, raw, want, done == raw_bytes, out)) == 1;
    } while (ok && done < raw_bytes);
    if (ok && EVP_DigestFinal_ex(hash, digest, NULL) == 1)
        disk_hex(digest, digest_r);
    else
        ok = false;
    EVP_MD_CTX_free(hash);
    free(raw);
    free(out);
    return ok;
}
