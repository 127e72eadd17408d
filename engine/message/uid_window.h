/* By which pieces of its numbers a folder is listed: some thousand messages at a time, however far apart their UIDs
 * are. Pure. */
#ifndef ENGINE_MESSAGE_UID_WINDOW_H
#define ENGINE_MESSAGE_UID_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#define UID_WINDOW_ROWS 2000u /* wanted of one */

struct uid_window {
    uint32_t from, to; /* of the window at hand; to is UINT32_MAX for the last, "from:*" */
    uint32_t width, uidnext;
};

/* Stands at the first window. uidnext, messages: what the server says of the folder, 0: it does not. */
void uid_window_begin(struct uid_window *w, uint32_t from, uint32_t uidnext, uint32_t messages);
/* The next one; so many rows came of the one before, which was not the last. Where there were few it is wider, so that
 * a UIDNEXT of any size is some dozens of windows away. */
void uid_window_next(struct uid_window *w, uint64_t rows);
static inline bool uid_window_is_last(const struct uid_window *w)
{
    return w->to == UINT32_MAX;
}
/* "1:2000" or "2001:*" */
void uid_window_text(const struct uid_window *w, char text_r[32]);

#endif
