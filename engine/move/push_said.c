/* What was said of messages that have failed unless a look finds them. There are few at a time: those that were under
 * way together, and those that cost connections. */
#include "engine/move/push_private.h"
#include "io/base/mem.h"

#include <stdlib.h>

struct said {
    uint32_t uid;
    struct err err;
};

static struct said *said_of(const struct folder *f, uint32_t uid)
{
    for (unsigned i = 0; i < f->said_count; i++)
        if (f->said[i].uid == uid)
            return &f->said[i];
    return NULL;
}

void push_said_keep(struct folder *f, uint32_t uid, const struct err *err)
{
    struct said *said = said_of(f, uid);

    if (!said) {
        f->said = mem_resize(f->said, f->said_count + 1u, sizeof *f->said);
        said = &f->said[f->said_count++];
        said->uid = uid;
    }
    said->err = *err;
}

const struct err *push_said(const struct folder *f, uint32_t uid)
{
    const struct said *said = said_of(f, uid);

    return said ? &said->err : NULL;
}

void push_said_forget(struct folder *f, uint32_t uid)
{
    struct said *said = said_of(f, uid);

    if (said)
        *said = f->said[--f->said_count];
}

void push_said_drop(struct folder *f)
{
    free(f->said);
    f->said = NULL;
    f->said_count = 0;
}
