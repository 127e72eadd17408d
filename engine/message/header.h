/* The few header fields that matter to a copier: found without parsing the rest, and made readable
 * for reports. Pure; any bytes are fine.
 */
#ifndef ENGINE_MESSAGE_HEADER_H
#define ENGINE_MESSAGE_HEADER_H

#include "store/record.h"

/* The raw value (folding kept, without the colon) of the first field of that name, or an empty
 * slice. Looks no further than the empty line that ends the header. */
struct slice header_field(struct slice header, struct slice name);
/* Subject, Message-ID and Date as people read them: unfolded, encoded words decoded (RFC 2047),
 * printable UTF-8, cut to the note's sizes. */
void header_note(struct slice header, struct message_note *note_r);
/* What a message is known by; "": not told. Printable, cut to fit; the Message-ID without its brackets. */
struct header_id {
    char message_id[256], date[64];
};
void header_id(struct slice header, struct header_id *id_r);
/* The two cannot be of one message: where both tell a Message-ID those differ, else where both tell a Date
 * that can be read (a server may write it anew), those to the second. */
bool header_differs(const struct header_id *a, const struct header_id *b);
/* Unfolds and decodes one value into out[cap]; always terminated, printable UTF-8. */
void header_text(struct slice value, char *out, size_t cap);

#endif
