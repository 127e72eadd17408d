/* What is copied and what is left behind by choice: decided from the listing, before a byte of a
 * body is fetched. Pure.
 */
#ifndef ENGINE_MESSAGE_POLICY_H
#define ENGINE_MESSAGE_POLICY_H

#include "engine/settings/settings.h"
#include "store/record.h"

/* SKIP_NONE: copy it. A message whose date is not known passes the date limits. */
enum skip_reason policy_judge(const struct settings *settings, const struct settings_user *user,
                              const struct message_record *message);
/* A number that changes when any rule that policy_judge looks at changes. */
uint64_t policy_fingerprint(const struct settings *settings, const struct settings_user *user);

#endif
