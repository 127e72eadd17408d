/* The one line on standard error by which every command says what went wrong. */
#ifndef ENGINE_CLI_COMPLAIN_H
#define ENGINE_CLI_COMPLAIN_H

#include "io/base/err.h"
#include "io/base/slice.h"

/* Prints "mailhaul: " and the error; returns code, so that a command can end in it. */
int complain(const struct err *err, int code);
/* A state folder could not be opened: the code says whose fault that is (another run has it, the batch file,
 * nothing was run yet, or the disk). */
int complain_of_state(const struct err *err);
/* That code alone. */
int complain_code_of_state(const struct err *err);
/* The state folder is not there, or not to be looked at; error: the errno of stat. */
int complain_not_there(const char *folder, int error);
/* A user whom --user names and no state folder knows. */
int complain_unknown_user(struct slice user);
/* A run, a plan or a tidying cannot be set up: what the batch file names may not do. */
int complain_of_start(const struct err *err);
/* A file that the command line names cannot be written; option: as "--html", or NULL. */
int complain_of_file(const char *option, const char *file, int error);
/* A server could not be read at all. of: a user, or what was wanted of it; type: the report's. Prints the
 * error and what `address` (a user's) is to do; returns the exit code, EXIT_LOGIN_REFUSED or
 * EXIT_UNREACHABLE. */
int complain_of_server(const char *of, const char *type, const char *address, const struct err *err);

#endif
