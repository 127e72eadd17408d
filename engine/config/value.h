/* The values that a batch file, users.csv and options are written in. Each function reads the whole
 * slice (already without blanks at its ends) and returns false, with *_r untouched, when it is not
 * such a value; what was expected is the caller's sentence.
 */
#ifndef ENGINE_CONFIG_VALUE_H
#define ENGINE_CONFIG_VALUE_H

#include "engine/settings/settings.h"

/* "yes" "no", also "true" "false" "on" "off", any case. */
bool value_bool(struct slice text, bool *value_r) ERR_CHECK;
/* "35MB", "1.5 GiB", "0", "1048576": units B KB MB GB TB (decimal) KiB MiB GiB TiB (binary), any
 * case; fractions are cut to whole bytes; at most INT64_MAX. */
bool value_size(struct slice text, uint64_t *bytes_r) ERR_CHECK;
/* "7h30m", "90s", "2d", "500ms", "0": units d h m s ms in that order, each at most once; at most
 * 1000 days. */
bool value_duration(struct slice text, uint64_t *ms_r) ERR_CHECK;
/* "20:00-06:00"; 24:00 is 00:00; both ends differ. */
bool value_window(struct slice text, struct settings_window *window_r) ERR_CHECK;
/* "2020-01-01", years 1900 to 9999: 00:00 UTC in seconds since 1970. */
bool value_date(struct slice text, int64_t *seconds_r) ERR_CHECK;
/* "Trash, Junk/" + "*, " + quoted "a, b" with "" for a quote: appends to *list_r, which it leaves
 * empty when it returns false (a quote without end, text after a quote, an empty item). */
bool value_list(struct slice text, struct settings_list *list_r) ERR_CHECK;
/* The text itself, or what stands between its quotes; a fresh string. */
bool value_text(struct slice text, char **text_r) ERR_CHECK;
/* Whether a quote that begins the text, or an item of a list, is not closed. */
bool value_quote_is_open(struct slice text);
/* SHA-256 in hexadecimal, any case, with or without colons. */
bool value_pin(struct slice text, unsigned char pin_r[32]) ERR_CHECK;
/* "3/10": 1 <= number <= count <= SETTINGS_SHARDS_MAX. */
bool value_shard(struct slice text, unsigned *number_r, unsigned *count_r) ERR_CHECK;

/* "maildir:/srv/mail/{user}", "mbox:/srv/mail/{user}": *path_r is what stands behind the colon, malloc'ed: an absolute
 * path in which {user} or {local} stands, else all users would have one tree. */
bool value_disk_url(struct slice text, char **path_r, bool *is_mbox_r) ERR_CHECK;
/* "imaps://host", "imap://[::1]:1143": no user, no path but "/". host_r is fresh, without
 * brackets; port_r 0 when none was written. */
bool value_imap_url(struct slice text, bool *implicit_tls_r, char **host_r, uint16_t *port_r) ERR_CHECK;
/* What is wrong with a text that value_imap_url refused, in words that repeat nothing of it: it may hold a
 * password. */
const char *value_imap_url_fault(struct slice text);
/* "https://host[:port]/path"; http:// only to 127.0.0.1, [::1] and localhost, for tests of the
 * user's own. No blanks or control bytes. */
bool value_https_url(struct slice text) ERR_CHECK;
/* A login form: has {user}; {domain} and {admin} besides; no other braces. has_admin_r tells of
 * {admin}. */
bool value_login_form(struct slice text, bool *has_admin_r) ERR_CHECK;
/* What a name or path in one cell cannot have, as "a line end within"; NULL when it is fine. At most
 * SETTINGS_LOGIN_BYTES_MAX bytes. */
const char *value_line_fault(struct slice text);
/* something@something, no blanks, control bytes, quotes, or brackets; at most 320 bytes. */
bool value_address(struct slice text) ERR_CHECK;

#endif
