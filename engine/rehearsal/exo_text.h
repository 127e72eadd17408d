/* Text of the simulated Exchange Online: base64, IMAP dates, folder names, argument scanning.
 * Written apart from engine/imap on purpose: a shared reader would share its faults.
 */
#ifndef ENGINE_REHEARSAL_EXO_TEXT_H
#define ENGINE_REHEARSAL_EXO_TEXT_H

#include "io/base/buf.h"

/* Monotonic milliseconds, never the replaceable clock of io/base/now: a test that fakes its own
 * time must not stop the server's. */
uint64_t exo_clock_ms(void);

/* Appends; base64url without padding when url. */
bool exo_base64_encode(struct buf *out, struct slice bytes, bool url) ERR_CHECK;
/* Accepts both alphabets and missing padding. False for anything else; out may then hold a part. */
bool exo_base64_decode(struct buf *out, struct slice text) ERR_CHECK;

/* "17-Jul-1996 02:44:25 -0700", the day may be blank-padded. RFC 9051 9 date-time. */
bool exo_date_parse(struct slice text, int64_t *seconds_r) ERR_CHECK;
/* The same in UTC, with quotes, into out[32]. */
void exo_date_format(int64_t seconds, char *out);
/* "17-Jul-1996", as the start of that day in UTC. */
bool exo_day_parse(struct slice text, int64_t *seconds_r) ERR_CHECK;

/* UTF-8 to modified UTF-7 (RFC 3501 5.1.3); cut when out is too small. */
void exo_utf7_encode(const char *utf8, char *out, size_t cap);
/* Equality as Exchange sees it: ASCII case folds, except inside a base64 run. */
bool exo_name_equal(struct slice a, struct slice b);

void exo_hex(const uint8_t *bytes, size_t count, char *out);

/* Random numbers of one owner; any seed. */
uint64_t exo_random(uint64_t *state);
double exo_random_unit(uint64_t *state); /* [0, 1) */

/* ---- Arguments of one command: rest is what is still unread ---- */

struct exo_args {
    struct slice rest;
};

bool exo_arg_space(struct exo_args *a);
bool exo_arg_is(struct exo_args *a, char byte); /* takes it when it is next */
/* Up to the next blank, parenthesis, brace, quote or end; at least one byte. */
bool exo_arg_atom(struct exo_args *a, struct slice *atom_r);
/* atom, quoted string, or literal whose bytes stand in the text; copied to out and terminated.
 * False when there is none or it does not fit. */
bool exo_arg_string(struct exo_args *a, char *out, size_t cap);
bool exo_arg_end(const struct exo_args *a);
/* The next word equals `word` (any case) and is taken. */
bool exo_arg_word(struct exo_args *a, const char *word);

/* A set of UIDs or sequence numbers: sorted ranges that do not touch. */
struct exo_set {
    struct exo_range {
        uint32_t first, last;
    } * ranges;
    size_t count;
};
/* max: what '*' stands for. False for bad syntax. */
bool exo_set_parse(struct slice text, uint32_t max, struct exo_set *set_r) ERR_CHECK;
void exo_set_deinit(struct exo_set *set);
bool exo_set_has(const struct exo_set *set, uint32_t number);

#endif
