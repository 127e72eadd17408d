/* Passwords from a program (password-command): run without a shell, a few at once, before anything else is given up or
 * contacted. Its standard input is empty, its standard error is this program's own; what it prints is kept nowhere but
 * in the secrets.
 */
#ifndef ENGINE_CONFIG_PASSWORD_COMMAND_H
#define ENGINE_CONFIG_PASSWORD_COMMAND_H

#include "engine/settings/settings.h"

#define PASSWORD_COMMAND_LIMIT_S 60u

/* Fills admin_password, or the password of each of s->users that has none yet, for the sides asked for. Each program
 * may take limit_s seconds; then it and its children are killed. Errors: PERMANENT/RUN, origin CONFIG, code 78: it
 * cannot be run, ends with another exit code than 0, or says nothing; faults gets a sentence for each one after the
 * first. */
bool password_commands_run(struct settings *s, bool source, bool target, unsigned limit_s, struct settings_list *faults,
                           struct err *err_r) ERR_CHECK;

#endif
