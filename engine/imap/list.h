/* Rows about mailboxes: LIST, LSUB, XLIST, STATUS, QUOTA, NAMESPACE, with the forms of quirks B3 and F30.
 * `rest` is what follows the keyword. Slices point into the line or into scratch.
 * RFC 9051 7.3.1, 7.3.4; RFC 2342; RFC 6154.
 */
#ifndef ENGINE_IMAP_LIST_H
#define ENGINE_IMAP_LIST_H

#include "engine/imap/values.h"
#include "io/base/buf.h"

/* False when there is no usable name: missing, NIL, or the delimiter alone (N16, N26). */
bool list_row_parse(struct imap_list_row *row_r, struct slice rest, struct buf *scratch);
/* "" as a name is fine here (LIST "" "" names the root). */
bool list_root_parse(struct imap_list_row *row_r, struct slice rest, struct buf *scratch);

/* *name_r: as written, unquoted (F30 names with spaces whole). False when there is no list. */
bool list_status_parse(struct slice *name_r, struct imap_status *status_r, struct slice rest, struct buf *scratch);

/* "root (STORAGE 10 512 MESSAGE 3 100)": resources in any order, others skipped. RFC 9208 4.2.1, 5.1.
 * False when the structure does not hold. */
bool list_quota_parse(struct imap_quota *quota_r, struct slice rest);

/* Calls row for each; kind 0 personal, 1 others', 2 shared. False when the structure does not hold. */
bool list_namespace_each(struct slice rest,
                         void (*row)(void *context, unsigned kind, struct slice prefix, char delimiter), void *context);

#endif
