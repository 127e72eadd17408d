/* What of a text may be shown to people as it is. Everything else changes how what follows is read: controls of
 * terminals (C0, DEL, C1), line and paragraph separators, marks that turn the direction of writing, invisible tags; or
 * has no width and no meaning of its own, so that two names would look the same (joiners, which scripts need, may
 * stay). The one place that decides; err_printable, JSON and CSV go by it.
 */
#ifndef IO_BASE_SHOWN_H
#define IO_BASE_SHOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Length of the well-formed UTF-8 sequence at the front of text[0..size), size >= 1, and its code; 0 when there is
 * none (RFC 3629 4). */
size_t shown_sequence(const char *text, size_t size, uint32_t *code_r);
bool shown_is_safe(uint32_t code);

#endif
