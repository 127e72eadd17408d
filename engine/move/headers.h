/* The headers of one folder, whole or from a UID on: EXAMINE, then its rows window by window. A listing in
 * which a row is missing or damaged is no listing: it ends with an error, never with less than there is. */
#ifndef ENGINE_MOVE_HEADERS_H
#define ENGINE_MOVE_HEADERS_H

#include "engine/mailbox/source.h"

struct headers;
struct headers_events {
    /* The folder is open; before the first row. */
    void (*opened)(void *context, const struct imap_selected *selected);
    /* A message: UID, FLAGS, INTERNALDATE, RFC822.SIZE, and of its header what it is known again by. Servers may
     * name one twice. */
    void (*row)(void *context, const struct imap_message_row *row);
    /* Over; err NULL: all were told that the folder held when it was opened. */
    void (*ended)(void *context, const struct err *err);
};

/* from_uid: 1 for all. The session must stay until ended is called, which it is also when the
 * session ends; other commands on a selected folder would select another one in between. Nothing is left
 * afterwards. Errors: the server's; TRANSIENT/FOLDER origin PROTOCOL for rows that did not come, or an
 * EXISTS that did not. */
void headers_list(struct source *source, struct slice raw, uint32_t from_uid, const struct headers_events *events,
                  void *context);

#endif
