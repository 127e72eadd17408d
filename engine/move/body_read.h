/* One message's body from a selected folder, by the ladder of forms that a run asks in (message/ladder): for those
 * that read outside a run, where a message that only a later form gives is had, too. A try that broke off is
 * void, and the next one begins anew. Of a size that differs from the expected one another form is asked, and the
 * first size that comes twice, or the best there is, is taken.
 */
#ifndef ENGINE_MOVE_BODY_READ_H
#define ENGINE_MOVE_BODY_READ_H

#include "engine/mailbox/source.h"

struct body_read_events {
    void (*begin)(void *context); /* a try: what was given before is void */
    void (*bytes)(void *context, struct slice bytes);
    /* err NULL: it is whole. Else why not; class THROTTLED, or the session's end, says nothing of the message.
     * The read is freed before. */
    void (*ended)(void *context, const struct err *err);
};

struct body_read_ask {
    uint32_t uid;
    uint64_t expected_bytes; /* 0: whatever comes */
    bool tried;              /* it was asked for in a set, and did not come */
    bool writable;           /* the folder was opened by SELECT */
};

/* events and context are borrowed until ended, which is called exactly once, maybe at once. */
void body_read_start(struct source *source, const struct body_read_ask *ask, const struct body_read_events *events,
                     void *context);

#endif
