/* The examination of one user, for engine/inspect/verify: both sides' folders side by side. */
#ifndef ENGINE_INSPECT_VERIFY_USER_H
#define ENGINE_INSPECT_VERIFY_USER_H

#include "engine/inspect/verify.h"
#include "engine/move/visit.h"
#include "store/reader.h"

struct exam;

/* One loop's. */
struct verifier {
    const struct verify_config *config;
    struct loop *loop;
    struct reader **readers; /* one a spool */
    struct visits *visits;
    /* The user is done; result is the callee's to free with verify_user_free. */
    void (*done)(struct verifier *verifier, struct exam *exam, struct verify_user *result);
    void *context;
};

/* Starts; ends by verifier->done, after which the exam is gone. */
struct exam *exam_start(struct verifier *verifier, const struct settings_user *user);
/* Ends early: done follows, with what was compared until then. */
void exam_stop(struct exam *exam);
void verify_user_free(struct verify_user **user);

#endif
