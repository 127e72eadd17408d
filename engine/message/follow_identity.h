/* Is a message that is gone from its folder still in the mailbox, in another place? By what is the
 * same wherever it lies: the source's own number of it, its content's digest, its header, and where
 * none of these is known of the other one, its size and date. Pure; what it says serves deletions
 * (which must not be, then) and moves (which it is, then).
 *
 * follow_identity_add for each message that is gone, follow_identity_see for each one that is
 * there.
 */
#ifndef ENGINE_MESSAGE_FOLLOW_IDENTITY_H
#define ENGINE_MESSAGE_FOLLOW_IDENTITY_H

#include "store/record.h"

struct follow_identity;
struct follow_identity *follow_identity_create(void);
void follow_identity_destroy(struct follow_identity **identity);
/* Not after the first follow_identity_see. */
void follow_identity_add(struct follow_identity *identity, uint32_t folder, const struct message_record *m);
void follow_identity_see(struct follow_identity *identity, const struct message_record *m);
/* One that was seen is the same, or may be. False of what was not added. */
bool follow_identity_is_elsewhere(struct follow_identity *identity, uint32_t folder, uint32_t uid);

#endif
