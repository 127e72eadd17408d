#include "engine/message/ladder.h"

/* A message in a set counts as the first. */
static const enum session_body_form forms[] = {
    SESSION_BODY_PEEK,        SESSION_BODY_PEEK,     SESSION_BODY_PARTIAL, SESSION_BODY_HEADER,
    SESSION_BODY_RFC822_PEEK, SESSION_BODY_UNPEEKED, SESSION_BODY_RFC822,
};
#define FORMS (sizeof forms / sizeof *forms)
/* Those that leave \Seen alone in a folder that was opened by SELECT. */
#define FORMS_THAT_PEEK 5u

static unsigned count_of(bool writable)
{
    return writable ? FORMS_THAT_PEEK : FORMS;
}

enum session_body_form ladder_form(const struct ladder *l, bool writable)
{
    unsigned last = count_of(writable) - 1;

    return forms[l->tries < last ? l->tries : last];
}

enum session_body_form ladder_begin(const struct ladder *l, bool writable, uint64_t bytes, enum size_trust trust,
                                    struct assembly *parts_r)
{
    enum session_body_form form = ladder_form(l, writable);

    assembly_init(parts_r, form, bytes, trust);
    parts_r->other_bytes = l->other_bytes;
    return form;
}

void ladder_failed(struct ladder *l)
{
    l->tries += l->tries < UINT8_MAX;
}

void ladder_tore(struct ladder *l, uint64_t bytes)
{
    if (l->torn_bytes < bytes)
        l->torn_bytes = bytes;
}

bool ladder_takes(struct ladder *l, uint64_t bytes, uint64_t got, enum size_trust trust)
{
    if (bytes == 0 || got == bytes || trust == SIZES_ESTIMATES || l->any_size || got == l->other_bytes)
        return true;
    if (l->other_bytes == 0)
        l->other_bytes = got;
    if (l->tries == 0)
        l->tries = 1; /* alone, the same form gives the same */
    return false;
}

bool ladder_is_through(const struct ladder *l, bool writable)
{
    return l->tries >= count_of(writable);
}

bool ladder_goes_on(struct ladder *l, bool writable)
{
    /* It came, and in no form of the size that was told: it is asked for once more, alone, and taken as it comes. */
    if (ladder_is_through(l, writable) && l->other_bytes && !l->any_size) {
        l->any_size = true;
        l->tries = 1;
    }
    return !ladder_is_through(l, writable);
}
