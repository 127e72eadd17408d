/* INTERNALDATE both ways. Reads also what servers send instead (quirk F24): one-digit days, RFC 5322
 * dates, missing or absurd zones; what is no date is "not known". RFC 9051 2.3.3, 9 (date-time).
 */
#ifndef ENGINE_IMAP_DATE_H
#define ENGINE_IMAP_DATE_H

#include "engine/imap/values.h"

#define DATE_TEXT_SIZE 27 /* "dd-Mon-yyyy hh:mm:ss +zzzz" with its terminator */

/* known is false when text is no date between 1900 and 9999 (30-Dec-1899 and 00-Jan-0000 are the
 * zero of some servers). Zones beyond +-14:00 are cut to that; the written clock time stays. */
struct imap_date date_parse(struct slice text);
/* Known, and one that can be written: between the years 0 and 9999, its zone within +-14:00. What a
 * server says always is (date_parse); what a journal says may be anything. */
bool date_is_writable(const struct imap_date *date);
/* Two-character day, space padded; date_is_writable must hold. Returns out. */
const char *date_format(const struct imap_date *date, char out[DATE_TEXT_SIZE]);

#endif
