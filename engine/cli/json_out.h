/* JSON of a command to its standard output. */
#ifndef ENGINE_CLI_JSON_OUT_H
#define ENGINE_CLI_JSON_OUT_H

#include <jansson.h>

/* Writes all, safe for terminals, and a line end. Takes it over. */
void json_out(json_t *all);

/* To be called first of all: what the JSON library frees is wiped, for tokens and secrets go through it. */
void json_wipes(void);

#endif
