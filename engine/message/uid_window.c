#include "engine/message/uid_window.h"

#include <inttypes.h>
#include <stdio.h>

#define WIDTH_MAX (UINT32_MAX / 8)

static void place(struct uid_window *w)
{
    if (w->uidnext == 0 || w->from >= w->uidnext || w->uidnext - w->from <= w->width)
        w->to = UINT32_MAX;
    else
        w->to = w->from + w->width - 1;
}

void uid_window_begin(struct uid_window *w, uint32_t from, uint32_t uidnext, uint32_t messages)
{
    uint64_t spread = messages && uidnext ? uidnext / messages : 1;

    spread = (spread ? spread : 1) * UID_WINDOW_ROWS;
    *w = (struct uid_window){ .from = from,
                              .uidnext = uidnext,
                              .width = spread > WIDTH_MAX ? WIDTH_MAX : (uint32_t)spread };
    place(w);
}

void uid_window_next(struct uid_window *w, uint64_t rows)
{
    if (rows < UID_WINDOW_ROWS / 4)
        w->width = w->width < WIDTH_MAX / 4 ? w->width * 4 : WIDTH_MAX;
    else if (rows > UID_WINDOW_ROWS * 2)
        w->width = w->width / 4 > UID_WINDOW_ROWS ? w->width / 4 : UID_WINDOW_ROWS;
    w->from = w->to + 1;
    place(w);
}

void uid_window_text(const struct uid_window *w, char text_r[32])
{
    if (uid_window_is_last(w))
        snprintf(text_r, 32, "%" PRIu32 ":*", w->from);
    else
        snprintf(text_r, 32, "%" PRIu32 ":%" PRIu32, w->from, w->to);
}
