/* Values of the batch file that have parts: a proxy, a limit by time of day, a command line. As engine/config/value. */
#ifndef ENGINE_CONFIG_VALUE_NETWORK_H
#define ENGINE_CONFIG_VALUE_NETWORK_H

#include "engine/settings/settings.h"

/* "socks5://user:password@host:1080", "http://[::1]:3128"; %XX in the login. What way_r held is freed. */
bool value_proxy(struct slice text, struct proxy_way *way_r) ERR_CHECK;

/* The least that bandwidth-max may be, but for 0. */
#define VALUE_BANDWIDTH_MIN 100000u
/* "20MB", "08:00-18:00 2MB, 20MB": times first, the rest of the day last; "0" alone is no limit at all. */
bool value_bandwidths(struct slice text, struct settings_bandwidths *limits_r) ERR_CHECK;

/* A command line in words, without a shell: blanks part them, and "..." and '...' keep what is within; no other
 * character means anything. Appends to *words_r, which it leaves empty when it returns false: no word, a quote that is
 * not closed, a control byte, or braces that are neither {user} nor {address}. */
bool value_words(struct slice text, struct settings_list *words_r) ERR_CHECK;
/* Has {user} or {address} in it. */
bool value_names_user(struct slice text);

#endif
