/* A process that gives up what it does not need: writing outside of its own folders, running other programs,
 * listening. Landlock of the Linux kernel, from its version 5.19 (ABI 2) on; what is older, built without
 * it, or started without it goes on as it was.
 */
#ifndef IO_BASE_LANDLOCK_H
#define IO_BASE_LANDLOCK_H

#include "io/base/err.h"

/* The kernel's ABI, 0 where there is none that serves. */
unsigned landlock_abi(void);

/* Neither this thread nor what it starts gains rights by running a program (setuid, setgid, file
 * capabilities). Cannot be taken back. False where the kernel knows no such thing. */
bool landlock_no_new_privileges(void);

struct landlock_place {
    const char *path;    /* a folder, with all below it, or a file; NULL or not there: left out */
    bool remove_folders; /* no more than to remove empty folders below it */
};

/* From now on this thread, and whatever it starts, writes only into these places and into /dev/null; renames from one
 * folder to another stay possible below a place. No program can be run, no TCP port be bound, no process outside
 * be signalled, as far as the kernel can deny it. What is open stays as it is, and reading is not restricted.
 * To be called while there is one thread. Cannot be taken back; a second call narrows further. PERMANENT/RUN,
 * origin OS, when it cannot be done: then nothing is restricted. */
bool landlock_sandbox(const struct landlock_place *places, unsigned count, struct err *err_r) ERR_CHECK;

#endif
