/* The state folder on its disk: made, judged, locked against a second run, with a ballast file that
 * is given up when the disk is full so that deletes can still commit. Internal to store/.
 */
#ifndef STORE_STATE_DIR_H
#define STORE_STATE_DIR_H

#include "io/base/err.h"

#define STATE_DIR_BALLAST_BYTES (64ull << 20)

struct state_dir {
    char *folder;
    int lock_fd;            /* -1: not held */
    int folder_fd;          /* the folder, locked with it; -1: not held */
    uint64_t ballast_bytes; /* what the file should have; 0: none on this disk */
};

/* Makes the folder (0700), refuses one of another user's, one with other things in it and file systems that LMDB cannot
 * live on, takes the lock. read_only: makes and locks nothing. On failure nothing is held, and a folder that was
 * refused is as it was. */
bool state_dir_open(struct state_dir *state_dir, const char *folder, bool read_only, struct err *err_r) ERR_CHECK;
/* May a run lock this folder, which state_dir_open opened read_only: in the words of state_dir_open. Locks nothing. */
bool place_may_lock(const struct state_dir *state_dir, struct err *err_r) ERR_CHECK;
/* Does somebody hold the lock? For who did not take it; false when it cannot be told. */
bool state_dir_is_held(const struct state_dir *state_dir, bool *held_r);
void state_dir_close(struct state_dir *state_dir);
/* Opens a file of the folder, or makes it (0600); -1 with errno, EPERM where it is a link, has other names, is no plain
 * file or another user's. */
int state_dir_file(const struct state_dir *state_dir, const char *name, int flags);
/* A path in the folder, from malloc. */
char *state_dir_path(const struct state_dir *state_dir, const char *name);

/* The name of a network or user-space file system by statfs's f_type, or NULL for a local one. */
const char *state_dir_remote_name(unsigned long f_type);

/* Free bytes for this user and the size of the disk; false when it cannot be told. */
bool state_dir_disk(const struct state_dir *state_dir, uint64_t *free_bytes_r, uint64_t *disk_bytes_r);
/* Looks whether the disk (or a quota) refuses to grow a file by bytes. */
bool state_dir_is_full(const struct state_dir *state_dir, uint64_t bytes);
/* Makes the ballast when there is comfortably room for it. Returns whether it is there. */
bool state_dir_ballast_load(struct state_dir *state_dir, uint64_t budget_bytes);
/* Gives the room back. Returns whether there was any. */
bool state_dir_ballast_drop(struct state_dir *state_dir);

/* For tests: from now on state_dir_is_full answers this. */
enum state_dir_disk_answer { STATE_DIR_DISK_REAL, STATE_DIR_DISK_FULL, STATE_DIR_DISK_ROOMY };
void state_dir_pretend(enum state_dir_disk_answer answer);

#endif
