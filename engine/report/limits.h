/* What was learnt of the servers (engine/move/limits, engine/pace), as reports and status show it: read
 * from the state folders, a line a server and side, and what single mailboxes had of their own.
 */
#ifndef ENGINE_REPORT_LIMITS_H
#define ENGINE_REPORT_LIMITS_H

#include "engine/move/limits.h"
#include "engine/report/emit.h"
#include "store/spool.h"

struct report;

/* A server of one state folder. */
struct report_server {
    unsigned shard;
    bool source;
    struct limits learnt;
    unsigned mailboxes;   /* that have something of their own */
    unsigned sized;       /* of them: that refuse messages for their size */
    uint64_t sized_bytes; /* from so many bytes on, the smallest of theirs */
};

/* A mailbox with a limit or a back-off of its own, on one side. Times are wall time, 0 none. */
struct report_mailbox {
    unsigned server, user; /* index in the report */
    uint32_t connections;  /* 0: no limit known */
    double rate, rate_hat; /* 0: none of its own */
    int64_t hold_ms;       /* back-off that still runs */
    uint64_t throttle_replies;
    uint64_t size_bytes; /* target: messages of so many bytes and more are refused; 0: not known */
    int64_t size_ms;     /* when that was learnt */
};

struct report_limits {
    struct report_server *servers;
    unsigned server_count;
    struct report_mailbox *mailboxes; /* by server, then user */
    unsigned mailbox_count;
};

/* Into report->learnt, once its users are loaded. Errors: as spool_meta_get's. */
bool report_limits_load(struct report *report, struct err *err_r) ERR_CHECK;
void report_limits_deinit(struct report_limits *learnt);

/* "servers": [ ... ] for JSON. */
void report_limits_emit(struct emit *e, const struct report *report);
/* Is there anything to say of that server? */
bool report_limits_tells(const struct report_server *server);
/* What people are told of it, in a line without its name; into out[cap], returns out. 300 bytes suffice. */
const char *report_limits_line(const struct report_server *server, char *out, size_t cap);

#endif
