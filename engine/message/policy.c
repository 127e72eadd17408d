#include "engine/message/policy.h"

/* The message's own limit in bytes: the user's when given, else the policy's. */
static uint64_t policy_message_bytes_max(const struct settings *settings, const struct settings_user *user)
{
    return user->max_message_bytes ? user->max_message_bytes : settings->policy.max_message_bytes;
}

enum skip_reason policy_judge(const struct settings *settings, const struct settings_user *user,
                              const struct message_record *message)
{
    const struct settings_policy *p = &settings->policy;

    if (message->date_known && (message->date_seconds < p->since_s || message->date_seconds >= p->before_s))
        return SKIP_OUTSIDE_DATES;
    if (message->listed_bytes > policy_message_bytes_max(settings, user))
        return SKIP_LARGER_THAN_LIMIT;
    return SKIP_NONE;
}

static uint64_t mix(uint64_t h, uint64_t value)
{
    h = (h ^ value) * 0x9E3779B97F4A7C15u;
    return h ^ (h >> 29);
}

uint64_t policy_fingerprint(const struct settings *settings, const struct settings_user *user)
{
    uint64_t h = mix(0x6d61696c6861756cu, policy_message_bytes_max(settings, user));

    h = mix(h, (uint64_t)settings->policy.since_s);
    return mix(h, (uint64_t)settings->policy.before_s);
}
