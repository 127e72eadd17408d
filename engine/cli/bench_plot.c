#include "engine/cli/bench_plot.h"

#include <math.h>

/* In units of a phone's pixels. */
#define WIDTH  380.0
#define HEIGHT 250.0
#define LEFT   46.0
#define RIGHT  10.0
#define TOP    26.0
#define BOTTOM 42.0

struct axis {
    double low, high, from, to; /* values, and where they are drawn */
    bool log;
};

void bench_plot_escape(FILE *out, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            fputc(*text, out);
        }
}

static double at(const struct axis *a, double value)
{
    double part = a->log ? log(value / a->low) / log(a->high / a->low) : (value - a->low) / (a->high - a->low);

    return a->from + (a->to - a->from) * (part < 0 ? 0 : part > 1 ? 1 : part);
}

static bool shown(const struct bench_plot *p, const struct bench_point *point)
{
    return isfinite(point->x) && isfinite(point->y) && (!p->log_x || point->x > 0) && (!p->log_y || point->y > 0);
}

static double half_of(const struct bench_point *point)
{
    return isfinite(point->half) ? point->half : 0;
}

/* 1, 2 or 5 times a power of ten, so that at most about `parts` of them make `whole`. */
static double round_step(double whole, double parts)
{
    double power = pow(10, floor(log10(whole / parts))), times = whole / parts / power;

    return power * (times <= 1 ? 1 : times <= 2 ? 2 : times <= 5 ? 5 : 10);
}

static void widen(struct axis *a)
{
    if (a->log) {
        a->low = pow(10, floor(log10(a->low)));
        a->high = pow(10, ceil(log10(a->high)));
        if (a->high <= a->low)
            a->high = a->low * 10;
        return;
    }
    if (a->high <= a->low)
        a->high = a->low + 1;
}

static bool find_range(const struct bench_plot *p, struct axis *x, struct axis *y)
{
    bool any = false;

    for (unsigned k = 0; k < p->line_count; k++)
        for (unsigned i = 0; i < p->lines[k].count; i++) {
            const struct bench_point *q = &p->lines[k].points[i];

            if (!shown(p, q))
                continue;
            x->low = !any || q->x < x->low ? q->x : x->low;
            x->high = !any || q->x > x->high ? q->x : x->high;
            y->low = !any || q->y < y->low ? q->y : y->low;
            y->high = !any || q->y + half_of(q) > y->high ? q->y + half_of(q) : y->high;
            any = true;
        }
    if (!p->log_y)
        y->low = 0;
    if (p->names) {
        x->low = -0.5;
        x->high = p->name_count - 0.5;
    } else {
        widen(x);
    }
    if (!p->log_y && y->high > 0)
        y->high = ceil(y->high / round_step(y->high, 5) * 1.0001) * round_step(y->high, 5);
    widen(y);
    return any;
}

static void tick_y(FILE *out, const struct axis *x, const struct axis *y, double value)
{
    fprintf(out, "<line class=grid x1=%.1f x2=%.1f y1=%.1f y2=%.1f /><text x=%.1f y=%.1f text-anchor=end>%g</text>",
            x->from, x->to, at(y, value), at(y, value), x->from - 5, at(y, value) + 4, value);
}

static void ticks_y(FILE *out, const struct axis *x, const struct axis *y)
{
    double step = round_step(y->high - y->low, 5);
    unsigned tens = y->log ? (unsigned)lround(log10(y->high / y->low)) : 0, every = tens > 5 ? 2 : 1;

    for (unsigned i = 0; y->log && i <= tens; i += every)
        tick_y(out, x, y, y->low * pow(10, i));
    for (double v = y->low; !y->log && v <= y->high * 1.0001; v += step)
        tick_y(out, x, y, v);
}

static void tick_x(FILE *out, const struct axis *x, const struct axis *y, double value, const char *name)
{
    fprintf(out, "<text x=%.1f y=%.1f text-anchor=middle>", at(x, value), y->from + 16);
    if (name)
        bench_plot_escape(out, name);
    else
        fprintf(out, "%g", value);
    fputs("</text>", out);
}

static void ticks_x(FILE *out, const struct bench_plot *p, const struct axis *x, const struct axis *y)
{
    double step = round_step(x->high - x->low, 6);
    unsigned tens = x->log ? (unsigned)lround(log10(x->high / x->low)) : 0;
    unsigned every = p->name_count > 8 ? (p->name_count + 7) / 8 : 1;

    for (unsigned i = 0; p->names && i < p->name_count; i += every)
        tick_x(out, x, y, i, p->names[i]);
    if (p->names)
        return;
    for (unsigned i = 0; x->log && i <= tens; i++)
        tick_x(out, x, y, x->low * pow(10, i), NULL);
    for (double v = ceil(x->low / step) * step; !x->log && v <= x->high * 1.0001; v += step)
        tick_x(out, x, y, v, NULL);
}

static void bars(FILE *out, const struct bench_plot *p, const struct axis *x, const struct axis *y)
{
    const struct bench_line *line = &p->lines[0];
    double left = x->from;

    for (unsigned i = 0; i < line->count; i++) {
        double right = at(x, line->points[i].x), top = at(y, line->points[i].y);

        if (!shown(p, &line->points[i]))
            continue;
        if (i == 0 || right - left > 12)
            left = right - 6;
        fprintf(out, "<rect class=bars x=%.1f y=%.1f width=%.1f height=%.1f />", left, top,
                right - left > 0.6 ? right - left : 0.6, y->from - top);
        left = right;
    }
}

static void curve(FILE *out, const struct bench_plot *p, unsigned k, const struct axis *x, const struct axis *y)
{
    const struct bench_line *line = &p->lines[k];
    bool pen = false;

    fprintf(out, "<path class=s%u d=\"", k);
    for (unsigned i = 0; i < line->count; i++) {
        if (!shown(p, &line->points[i])) {
            pen = false;
            continue;
        }
        fprintf(out, "%c%.1f %.1f", pen ? 'L' : 'M', at(x, line->points[i].x), at(y, line->points[i].y));
        pen = true;
    }
    fputs("\"/>", out);
    for (unsigned i = 0; i < line->count && line->count <= 40; i++) {
        const struct bench_point *q = &line->points[i];
        double half = half_of(q);

        if (!shown(p, q))
            continue;
        if (half > 0)
            fprintf(out, "<path class=s%u d=\"M%.1f %.1fV%.1fm-4 0h8M%.1f %.1fh8\"/>", k, at(x, q->x),
                    at(y, q->y - half), at(y, q->y + half), at(x, q->x) - 4, at(y, q->y - half));
        fprintf(out, "<circle class=d%u cx=%.1f cy=%.1f r=3 />", k, at(x, q->x), at(y, q->y));
    }
}

void bench_plot_write(FILE *out, const struct bench_plot *p)
{
    struct axis x = { .from = LEFT, .to = WIDTH - RIGHT, .log = p->log_x };
    struct axis y = { .from = HEIGHT - BOTTOM, .to = TOP, .log = p->log_y };

    if (!find_range(p, &x, &y))
        return;
    fputs("<figure class='card plot'><h3>", out);
    bench_plot_escape(out, p->title);
    for (unsigned k = 0; k < p->line_count && p->line_count > 1; k++) {
        fprintf(out, " <span class='key s%u'>", k);
        bench_plot_escape(out, p->lines[k].name);
        fputs("</span>", out);
    }
    fprintf(out, "</h3><svg viewBox=\"0 0 %.0f %.0f\" role=img aria-label=\"", WIDTH, HEIGHT);
    bench_plot_escape(out, p->title);
    fprintf(out, "\"><text x=4 y=14>");
    bench_plot_escape(out, p->y_title);
    fprintf(out, "</text><text x=%.1f y=%.1f text-anchor=middle>", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6);
    bench_plot_escape(out, p->x_title);
    fputs("</text>", out);
    ticks_y(out, &x, &y);
    ticks_x(out, p, &x, &y);
    if (p->bars)
        bars(out, p, &x, &y);
    for (unsigned k = p->bars; k < p->line_count; k++)
        curve(out, p, k, &x, &y);
    fputs("</svg></figure>\n", out);
}
