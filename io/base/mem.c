#include "io/base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_INTERNAL 70

__attribute__((noreturn)) static void out_of_memory(void)
{
    static const char text[] = "mailhaul: out of memory; nothing is lost, run again to go on\n";

    if (write(STDERR_FILENO, text, sizeof text - 1) < 0) {
        /* nobody is left to tell */
    }
    _exit(EXIT_INTERNAL);
}

void *mem_alloc(size_t size)
{
    void *p = malloc(size ? size : 1);

    if (!p)
        out_of_memory();
    return p;
}

void *mem_zero(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size ? size : 1);

    if (!p)
        out_of_memory();
    return p;
}

void *mem_resize(void *old, size_t count, size_t size)
{
    void *p;

    if (count == 0 || size == 0)
        count = size = 1;
    p = reallocarray(old, count, size);
    if (!p)
        out_of_memory();
    return p;
}

char *mem_text(const char *text)
{
    size_t size = strlen(text) + 1;

    return memcpy(mem_alloc(size), text, size);
}

char *mem_format(const char *format, ...)
{
    va_list args;
    char *text = NULL;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        out_of_memory();
    va_end(args);
    return text;
}
