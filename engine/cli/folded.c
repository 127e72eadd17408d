#include "engine/cli/folded.h"

#include "engine/report/wrap.h"
#include "io/base/buf.h"

#include <sys/ioctl.h>
#include <unistd.h>

#define COLUMNS_LEAST 40u
#define HELD_BYTES    (1u << 20)

static FILE *terminal;
static struct buf held; /* a line that has not ended yet */

/* 0: no terminal. */
static unsigned columns_of(FILE *out)
{
    struct winsize size;

    if (!isatty(fileno(out)) || ioctl(fileno(out), TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return 0;
    return size.ws_col < COLUMNS_LEAST ? COLUMNS_LEAST : size.ws_col;
}

void folded_write(struct slice text, FILE *out)
{
    wrap_lines(text, columns_of(out), out);
}

/* Whole lines only; what has colours stays as it is. */
static void pass(struct slice lines)
{
    if (slice_find(lines, '\x1b') != SIZE_MAX)
        fwrite(lines.data, 1, lines.size, terminal);
    else
        folded_write(lines, terminal);
}

static ssize_t take(void *context, const char *data, size_t size)
{
    struct slice text = slice_of(data, size);
    size_t whole = size;

    (void)context;
    while (whole && data[whole - 1] != '\n')
        whole--;
    if (!buf_append(&held, whole ? slice_first(text, whole) : text)) {
        pass(buf_slice(&held)); /* a line that ends nowhere */
        buf_clear(&held);
        fwrite(data, 1, size, terminal);
    } else if (whole) {
        pass(buf_slice(&held));
        buf_clear(&held);
        if (whole < size && !buf_append(&held, slice_from(text, whole)))
            fwrite(data + whole, 1, size - whole, terminal);
    }
    return fflush(terminal) == 0 ? (ssize_t)size : -1;
}

void folded_end(void)
{
    struct slice rest;

    if (!terminal || fflush(stdout) != 0)
        return;
    rest = buf_slice(&held);
    if (rest.size)
        fwrite(rest.data, 1, rest.size, terminal);
    fflush(terminal);
    buf_deinit(&held);
}

void folded_stdout(void)
{
    FILE *folded;

    if (columns_of(stdout) == 0)
        return;
    folded = fopencookie(NULL, "w", (cookie_io_functions_t){ .write = take });
    if (!folded)
        return;
    terminal = stdout;
    buf_init(&held, HELD_BYTES);
    setvbuf(folded, NULL, _IOLBF, 4096);
    stdout = folded;
}
