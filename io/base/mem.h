/* Allocation that cannot fail: out of memory prints one line and ends the process with status 70,
 * which is safe at any instant because the journal is. Sizes chosen by a server are checked against
 * their caps before they reach this module.
 */
#ifndef IO_BASE_MEM_H
#define IO_BASE_MEM_H

#include <stddef.h>

/* size bytes, uninitialised; size 0 gives a pointer that may be freed. */
void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));
/* count * size bytes, zeroed; an overflow of the product counts as out of memory. */
void *mem_zero(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
/* Like realloc for count * size bytes; the old block is gone. */
void *mem_resize(void *old, size_t count, size_t size) __attribute__((returns_nonnull));
/* Like strdup; text is not NULL. */
char *mem_text(const char *text) __attribute__((malloc, returns_nonnull));
/* A printf-style string. */
char *mem_format(const char *format, ...) __attribute__((format(printf, 1, 2), returns_nonnull));

#endif
