/* What repair and repair_header share. Internal to repairs.
 */
#ifndef ENGINE_MESSAGE_REPAIR_PRIVATE_H
#define ENGINE_MESSAGE_REPAIR_PRIVATE_H

#include "engine/message/repair.h"

/* The name that a header line starts with, without blanks before its colon; empty when it is no
 * field. RFC 5322 2.2. */
struct slice repair_field_name(struct slice line);
/* A field that mail has in its header and text rarely begins a line with. */
bool repair_field_known(struct slice name);
/* It asks the reader's program for a receipt. */
bool repair_field_asks(struct slice name);

/* Where 8-bit bytes stand in a field decides what they may become. */
enum repair_place {
    REPAIR_PLACE_TEXT,      /* Subject, Comments, unknown ones: encoded words anywhere */
    REPAIR_PLACE_ADDRESS,   /* From, To ...: encoded words in display names */
    REPAIR_PLACE_PARAMETER, /* Content-*: within their quotes, as all programs read them */
    REPAIR_PLACE_TOKEN      /* Message-ID, Date, Received ...: `?` for each */
};
enum repair_place repair_place_of(struct slice name);

/* Gives text to put (of the caller's context) with every byte over 0x7f replaced. Encoded words
 * that follow each other are folded onto lines of their own. */
void repair_header_bytes(enum repair_place place, struct slice text, void (*put)(void *context, struct slice bytes),
                         void *context);

#endif
