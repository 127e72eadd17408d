/* The files that a command line lets this program write. A slip such as `--csv users.csv` must not cost the
 * passwords of a whole batch. */
#ifndef ENGINE_CLI_OUTPUTS_H
#define ENGINE_CLI_OUTPUTS_H

#include "engine/cli/opts.h"
#include "io/base/err.h"

/* Whether --html, --csv, --log and --to may be written: none of them is a file that the batch needs (batch
 * files and reports on the command line, users.csv, certificates, keys and other secrets, the password files
 * of users.csv), by whatever name or link; none lies in a state folder, also of another batch, or in the ledger;
 * no two are one file; and what --html and --csv write over is a page or report of this program. Nothing is
 * opened for writing. loaded: the batch file with its users.csv; NULL: the command has not loaded all of it, so it is
 * read here. Errors: PERMANENT/RUN, origin CONFIG, code 64, with the option and what to do. */
bool outputs_check(const struct opts *o, const struct settings *loaded, struct err *err_r) ERR_CHECK;

#endif
