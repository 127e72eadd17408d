/* The one line on standard error by which every command says what went wrong. */
#ifndef ENGINE_CLI_COMPLAIN_H
#define ENGINE_CLI_COMPLAIN_H

#include "io/base/err.h"

/* Prints "mailhaul: " and the error; returns code, so that a command can end in it. */
int complain(const struct err *err, int code);

#endif
