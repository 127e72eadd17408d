/* Plots as SVG for the page of `bench`: readable at the width of a phone, colours by the page's style. */
#ifndef ENGINE_CLI_BENCH_PLOT_H
#define ENGINE_CLI_BENCH_PLOT_H

#include <stdbool.h>
#include <stdio.h>

#define BENCH_PLOT_LINES 3u

/* One point of a line; NAN is none. */
struct bench_point {
    double x, y;
    double half; /* of its interval; NAN or 0: none is drawn */
};

struct bench_line {
    const char *name;
    const struct bench_point *points;
    unsigned count;
};

struct bench_plot {
    const char *title, *x_title, *y_title;
    struct bench_line lines[BENCH_PLOT_LINES];
    unsigned line_count;
    bool log_x, log_y; /* values of 0 and below are left out */
    bool bars;         /* the first line as bars that touch */
    /* The x axis has these names at 0, 1, 2 ... in place of numbers; NULL: numbers. */
    const char *const *names;
    unsigned name_count;
};

/* Texts are escaped. Nothing is written where no point can be drawn. */
void bench_plot_write(FILE *out, const struct bench_plot *plot);
/* Text in HTML. */
void bench_plot_escape(FILE *out, const char *text);

#endif
