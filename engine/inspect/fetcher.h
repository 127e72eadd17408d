/* Single bodies out of the source, one call each, for `export`: read-only, a connection a user, kept
 * while the same user is asked for. Blocks; belongs to the thread that made it.
 */
#ifndef ENGINE_INSPECT_FETCHER_H
#define ENGINE_INSPECT_FETCHER_H

#include "engine/move/visit.h"

struct fetcher;

/* house must outlive it. */
bool fetcher_create(const struct visit_house *house, struct fetcher **fetcher_r, struct err *err_r) ERR_CHECK;
void fetcher_destroy(struct fetcher **fetcher);

struct fetcher_ask {
    struct slice folder; /* the raw name */
    char delimiter;      /* its own, '\0' for none */
    uint32_t uidvalidity, uid;
    uint64_t expected_bytes; /* as a run had it, or as it was listed; 0: whatever comes */
};

/* Gives the body of one message to sink, in pieces, in whatever form the server gives it (body_read). A piece
 * without data: what was given before is void, and it begins anew. user is borrowed until another
 * is asked for, or fetcher_destroy. Errors: scope MESSAGE when this one could not be had whole (sink may
 * have been given a part), FOLDER when the folder does not open or is another by now, ACCOUNT when
 * there is no way in for this user; sink's own. */
bool fetcher_body(struct fetcher *fetcher, const struct settings_user *user, const struct fetcher_ask *ask,
                  bool (*sink)(void *context, struct slice bytes, struct err *err_r), void *context,
                  struct err *err_r) ERR_CHECK;

#endif
