/* What runs learnt about the servers of a batch, as it is kept in the state folder for the next run and
 * shown by `status` and `report`: a server's line a side, and a line for each user whose own limit was
 * met. Everything is named for the server it was learnt from, so that a batch that is sent elsewhere
 * begins anew. Pure but for the clock that callers hand in.
 */
#ifndef ENGINE_MOVE_LIMITS_H
#define ENGINE_MOVE_LIMITS_H

#include "engine/pace/pace.h"
#include "engine/settings/settings.h"
#include "io/base/buf.h"

/* Limits change: one that was met longer ago is looked for again. */
#define LIMITS_OLD_MS PACE_RATE_OLD_MS
/* A back-off that was asked for never lasts longer, whatever a clock says. */
#define LIMITS_HOLD_MS INT64_C(3600000)

/* A refused size is tried again the next night: the limit may have been raised. */
#define LIMITS_SIZE_OLD_MS INT64_C(72000000)

#define LIMITS_SERVER_BYTES 256u
#define LIMITS_LINE_BYTES   640u
#define LIMITS_NAME_BYTES   48u
/* Names of a server's line, one a side. */
#define LIMITS_SOURCE "learnt.source"
#define LIMITS_TARGET "learnt.target"

/* Times are wall time in milliseconds, 0 never. */
struct limits {
    char server[LIMITS_SERVER_BYTES];
    int64_t told_ms;
    uint32_t connections;      /* all users together may have so many; 0: no limit was met */
    int64_t connections_ms;    /* when it was met last */
    uint64_t throttle_replies; /* this far, of all runs */
    /* the target's rate control; a source has none, and its phase is OPEN */
    enum pace_phase phase;
    double rate, rate_hat, measured; /* cost per second, to a thousandth; 0: none */
    int64_t gate_ms;                 /* the whole server rests until then */
    uint64_t cuts;                   /* refusals of the whole tenant, of this run */
};

struct limits_user {
    uint32_t connections;   /* the server allows this user no more; 0: not known */
    int64_t connections_ms; /* when that was learnt */
    int64_t hold_ms;        /* the server asked to be left alone by this user until then */
};

/* The largest message that a mailbox of the target takes. */
struct limits_size {
    uint64_t refused_bytes; /* the smallest message that was refused for its size; 0: none */
    int64_t refused_ms;     /* of the last such refusal */
};

/* Whose budget it is: the tenant's, or else the host's. */
const char *limits_server_of(const struct settings_endpoint *endpoint);
/* "KIND.HASH" or "KIND.HASH.ID": the named value of that server (upper and lower case are the same).
 * kind: at most 16 bytes. id 0: the server itself. Returns out. */
const char *limits_name(const char *kind, const char *server, uint32_t id, char out[LIMITS_NAME_BYTES]);
/* Kinds. */
#define LIMITS_PACE        "pace"
#define LIMITS_PACE_LANE   "pace.lane"
#define LIMITS_USER_SOURCE "learnt.source"
#define LIMITS_USER_TARGET "learnt.target"
#define LIMITS_SIZE        "learnt.size"

/* Into out[LIMITS_LINE_BYTES], NUL-terminated; returns out. */
const char *limits_encode(const struct limits *learnt, char *out);
const char *limits_user_encode(const struct limits_user *user, char *out);
const char *limits_size_encode(const struct limits_size *size, char *out);
/* False for anything else; then *_r is left as it is. */
bool limits_decode(struct slice value, struct limits *learnt_r) ERR_CHECK;
bool limits_user_decode(struct slice value, struct limits_user *user_r) ERR_CHECK;
bool limits_size_decode(struct slice value, struct limits_size *size_r) ERR_CHECK;
/* Is there a limit, and is it neither too old nor from ahead of this clock? */
bool limits_size_holds(const struct limits_size *size, int64_t wall_ms);

/* How many connections a run begins with where `configured` are allowed: fewer when the same server
 * bore no more within the last week. */
uint32_t limits_connections(const struct limits *learnt, const char *server, uint32_t configured, int64_t wall_ms);

#endif
