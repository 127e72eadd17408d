/* What the journal has of a folder's messages besides their rows, kept while it is worked with.
 */
#ifndef ENGINE_MESSAGE_FOLLOW_KNOWN_H
#define ENGINE_MESSAGE_FOLLOW_KNOWN_H

#include "store/reader.h"

struct follow_known;
/* False: the journal cannot be read, *known_r is NULL. */
bool follow_known_load(struct reader *reader, uint32_t user, uint32_t folder, struct follow_known **known_r,
                       struct err *err_r) ERR_CHECK;
void follow_known_free(struct follow_known **known);
/* NULL: nothing is known of the message but its row. Borrowed. */
const struct follow_record *follow_known_at(const struct follow_known *known, uint32_t uid);

#endif
