/* The contract of engine/mailbox/source on an IMAP session. */
#ifndef ENGINE_MAILBOX_IMAP_IMAP_SOURCE_H
#define ENGINE_MAILBOX_IMAP_IMAP_SOURCE_H

#include "engine/mailbox/source.h"

struct imap_source {
    struct source source;
    struct session *session; /* borrowed */
};

/* On a session that need not be logged in yet. */
void imap_source_init(struct imap_source *imap, struct session *session);
/* Once the session is ready: its capabilities are known. */
void imap_source_ready(struct imap_source *imap);

#endif
