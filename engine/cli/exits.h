/* The exit codes of interface.md, in one place. */
#ifndef ENGINE_CLI_EXITS_H
#define ENGINE_CLI_EXITS_H

enum exit_code {
    EXIT_DONE = 0,         /* every user Synced and every folder balances */
    EXIT_STOPPED = 2,      /* early and clean: run again to go on */
    EXIT_FAILED_USERS = 3, /* finished, at least one user Failed */
    EXIT_DOUBTS = 4,       /* finished, nobody Failed, at least one user SyncedWithDoubts */
    EXIT_USAGE = 64,
    EXIT_USERS_FILE = 65,
    EXIT_UNREACHABLE = 69,
    EXIT_INTERNAL = 70,
    EXIT_DISK = 74,
    EXIT_STATE_HELD = 75,
    EXIT_LOGIN_REFUSED = 77,
    EXIT_BATCH_FILE = 78
};

#endif
