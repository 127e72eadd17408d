/* A user's folder tree as the `folders` command shows it: what LIST of the source tells, what each
 * folder holds, what it becomes on the target, and what is wrong with it. Reads only; no state
 * folder. Both sides are visited, the target only for its folders: without it (no password, not
 * reachable) names are mapped as for an empty mailbox.
 *
 * Single-threaded: tree_read makes a loop of its own and runs it.
 */
#ifndef ENGINE_INSPECT_TREE_H
#define ENGINE_INSPECT_TREE_H

#include "engine/folders/names.h"
#include "engine/move/visit.h"

struct tree_problem {
    unsigned folder; /* index in folders */
    char type[40], text[256], remedy[256];
};

struct tree_folder {
    struct names_source names;               /* described and mapped */
    uint64_t messages, bytes, largest_bytes; /* RFC822.SIZE, an estimate on some servers */
};

struct tree {
    struct tree_folder *folders;
    unsigned count;
    struct tree_problem *problems;
    unsigned problem_count;
    bool target_known;     /* the target's folders were read */
    struct err target_err; /* why not, when they were asked for */
};

#define TREE_TYPE_BYTES 40

/* with_target: visit the target too. False with the source's error and its report type when the source
 * could not be read; tree_deinit is due either way. */
bool tree_read(const struct visit_house *house, const struct settings_user *user, bool with_target, struct tree *tree_r,
               char type_r[TREE_TYPE_BYTES], struct err *err_r) ERR_CHECK;
void tree_deinit(struct tree *tree);

#endif
