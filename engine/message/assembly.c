#include "engine/message/assembly.h"

#include <string.h>

/* More parts than these have no message behind them. */
#define PARTS_MAX 20000u

/* A server's sizes are exact where so many were, and at most one for WRONG_SHARE of those was not. */
#define SIZES_TOLD  10u
#define WRONG_SHARE 4u

enum size_trust size_trust_of(uint64_t right, uint64_t wrong)
{
    if (wrong * WRONG_SHARE > right)
        return wrong >= WRONG_SHARE ? SIZES_ESTIMATES : SIZES_UNKNOWN;
    return right >= SIZES_TOLD ? SIZES_EXACT : SIZES_UNKNOWN;
}

void assembly_init(struct assembly *a, enum session_body_form form, uint64_t listed_bytes, enum size_trust trust)
{
    *a = (struct assembly){ .form = form, .listed_bytes = listed_bytes, .trust = trust };
}

enum session_body_form assembly_form(const struct assembly *a)
{
    return a->text ? SESSION_BODY_TEXT : a->form;
}

bool assembly_part(struct assembly *a, uint64_t size_bytes, uint64_t origin)
{
    a->taking = false;
    if (a->part_came)
        return false; /* answered twice */
    if (a->form == SESSION_BODY_PARTIAL && origin != a->part_from) {
        /* Answered by something else, which is no part (quirk B16): where it is as long as all that came, it
         * is the same once more. */
        if (size_bytes == 0)
            return true;
        if (origin == 0 && size_bytes == a->got)
            a->again = true;
        else
            a->wrong = true;
        return false;
    }
    a->taking = true;
    return true;
}

bool assembly_bytes(struct assembly *a, struct slice bytes)
{
    size_t n = bytes.size;

    if (!a->taking)
        return false;
    a->got += n;
    a->part_got += n;
    if (a->form == SESSION_BODY_HEADER && !a->text && n) {
        size_t keep = n < sizeof a->last ? n : sizeof a->last;

        memmove(a->last, a->last + keep, sizeof a->last - keep);
        memcpy(a->last + sizeof a->last - keep, bytes.data + n - keep, keep);
    }
    return true;
}

void assembly_part_ended(struct assembly *a, bool good, bool damaged)
{
    a->taking = false;
    a->part_came |= good && !damaged;
    a->wrong |= damaged;
}

static enum assembly_answer more(struct assembly *a)
{
    if (++a->parts == PARTS_MAX)
        return ASSEMBLY_TORN;
    a->part_from = a->got;
    a->part_got = 0;
    a->part_came = false;
    return ASSEMBLY_MORE;
}

/* The server says that this is the end: where it listed another size that is believed only if its sizes
 * are known to be estimates. */
static enum assembly_answer at_end(const struct assembly *a)
{
    return a->listed_bytes == 0 || a->got == a->other_bytes || a->trust == SIZES_ESTIMATES ? ASSEMBLY_WHOLE
                                                                                           : ASSEMBLY_TORN;
}

static bool is_as_listed(const struct assembly *a)
{
    return a->got && a->got == a->listed_bytes && !a->wrong;
}

static enum assembly_answer part_of_whole(struct assembly *a)
{
    bool first = a->part_from == 0;

    if (is_as_listed(a) && a->trust != SIZES_ESTIMATES)
        return ASSEMBLY_WHOLE;
    if (a->wrong || !a->part_came)
        return a->got ? ASSEMBLY_TORN : ASSEMBLY_NOTHING;
    if (a->got == 0)
        return ASSEMBLY_NOTHING;
    /* More than was asked for: the whole message came instead (quirk B16). */
    if (a->part_got > ASSEMBLY_PART_BYTES)
        return first ? at_end(a) : ASSEMBLY_TORN;
    if (a->again || a->part_got == 0)
        return at_end(a);
    /* Some servers give less than was asked for at once: only an empty part is the end (quirk B18). */
    return more(a);
}

static bool header_is_closed(const struct assembly *a)
{
    return memcmp(a->last, "\r\n\r\n", 4) == 0 || memcmp(a->last + 2, "\n\n", 2) == 0 ||
           (a->got == 2 && memcmp(a->last + 2, "\r\n", 2) == 0);
}

/* An empty text is none, unless the header alone is as long as the message. */
static enum assembly_answer text_of_whole(const struct assembly *a)
{
    if (is_as_listed(a))
        return ASSEMBLY_WHOLE;
    return a->part_got ? at_end(a) : ASSEMBLY_TORN;
}

static enum assembly_answer header_and_text(struct assembly *a)
{
    enum assembly_answer answer;

    if (a->text)
        return a->part_came && !a->wrong ? text_of_whole(a) : ASSEMBLY_TORN;
    /* An empty header is none: what came behind it would not be the message. */
    if (!a->part_came || a->got == 0)
        return ASSEMBLY_NOTHING;
    if (!header_is_closed(a) && !is_as_listed(a))
        return ASSEMBLY_TORN;
    answer = more(a);
    a->text = true;
    return answer;
}

enum assembly_answer assembly_ended(struct assembly *a)
{
    return a->form == SESSION_BODY_PARTIAL ? part_of_whole(a) : header_and_text(a);
}
