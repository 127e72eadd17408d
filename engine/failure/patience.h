/* How long a server is waited for while an answer is due: it is looked at now and then, and the look judges. Pure; the
 * caller has the clock and the connection.
 */
#ifndef ENGINE_FAILURE_PATIENCE_H
#define ENGINE_FAILURE_PATIENCE_H

#include "engine/failure/crawl.h"
#include "io/base/err.h"

#define PATIENCE_LOOK_MS 1000u /* from one look to the next */

/* What a look sees. */
struct patience_view {
    uint64_t now_ms;
    uint32_t silence_ms;         /* the longest silence; 0: nothing is due */
    bool amid;                   /* of an answer some has come, and not its end */
    bool in_literal;             /* likewise, of a literal */
    uint64_t responses;          /* whole ones so far */
    uint64_t uses;               /* what a command waited for, so far */
    uint64_t unsent_bytes;       /* of ours, without an acknowledgement of the other side's kernel */
    uint64_t acknowledged_bytes; /* so far */
};

/* Fields are the module's own. */
struct patience {
    struct crawl *crawl;
    uint64_t byte_ms;          /* when a byte came last */
    uint64_t response_ms;      /* when the response at hand began */
    uint64_t use_ms;           /* when something of use came last */
    uint64_t received_bytes;   /* since the last look */
    uint32_t silence_ms;       /* the longest, as it was when something was due last */
    struct patience_view seen; /* at the last look */
};

/* A connection begins; crawl is borrowed. */
void patience_begin(struct patience *p, struct crawl *crawl, uint64_t now_ms);
void patience_received(struct patience *p, uint64_t now_ms, uint64_t bytes);
/* Nothing was due until now, or ours is still going out. */
void patience_renew(struct patience *p, uint64_t now_ms);
/* True: the server is given up, with the reason. While this process did nothing (it was halted, or its processor was
 * another's) nobody looked whether bytes had come: that is no silence of the server. */
bool patience_look(struct patience *p, const struct patience_view *view, struct err *err_r);
/* The connection is over: the crawl is left as the next one to that server is to find it. */
void patience_end(struct patience *p);

#endif
