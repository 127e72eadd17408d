#include "engine/cli/bench_page.h"

#define PLOT_WIDTH  640.0
#define PLOT_HEIGHT 260.0
#define PLOT_LEFT   60.0
#define PLOT_BOTTOM 30.0

static void put_escaped(FILE *out, const char *text)
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

static double mb_per_s(const struct read_bench_step *s)
{
    return s->seconds > 0 ? (double)s->bytes / s->seconds / 1e6 : 0;
}

static void put_plot(FILE *out, const struct read_bench_step *steps, unsigned count, unsigned knee)
{
    double most = 1e-9, width = PLOT_WIDTH - PLOT_LEFT - 20,
           height = PLOT_HEIGHT - PLOT_BOTTOM - 20;

    for (unsigned i = 0; i < count; i++)
        if (mb_per_s(&steps[i]) > most)
            most = mb_per_s(&steps[i]);
    fprintf(
        out,
        "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"MB per second by connections\">"
        "<line class=axis x1=%.0f y1=%.0f x2=%.0f y2=%.0f /><line class=axis x1=%.0f y1=20 x2=%.0f "
        "y2=%.0f /><text x=%.0f y=16 text-anchor=end>%.1f MB/s</text><polyline points=\"",
        PLOT_WIDTH, PLOT_HEIGHT, PLOT_LEFT, 20 + height, PLOT_LEFT + width, 20 + height, PLOT_LEFT,
        PLOT_LEFT, 20 + height, PLOT_LEFT + 60, most);
    for (unsigned i = 0; i < count; i++)
        fprintf(out, "%.1f,%.1f ", PLOT_LEFT + width * (i + 0.5) / count,
                20 + height * (1 - mb_per_s(&steps[i]) / most));
    fputs("\"/>", out);
    for (unsigned i = 0; i < count; i++) {
        double x = PLOT_LEFT + width * (i + 0.5) / count;

        fprintf(out,
                "<circle cx=%.1f cy=%.1f r=%d %s/><text x=%.1f y=%.1f text-anchor=middle>%u</text>",
                x, 20 + height * (1 - mb_per_s(&steps[i]) / most),
                steps[i].connections == knee ? 7 : 4,
                steps[i].connections == knee ? "class=knee " : "", x, PLOT_HEIGHT - 10,
                steps[i].connections);
    }
    fputs("</svg>", out);
}

void bench_page_write(FILE *out, const char *server, const struct read_bench_step *steps, unsigned count,
                      unsigned knee, const char *reason)
{
    fputs("<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport "
          "content=\"width=device-width,initial-scale=1\"><title>mailhaul bench</title><style>"
          ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;"
          "margin:2rem auto;padding:0 "
          "1rem}table{border-collapse:collapse;width:100%}th,td{text-align:"
          "right;padding:.3rem .6rem;border-bottom:1px solid "
          "#8884}svg{width:100%;height:auto}text{font-size:"
          "13px;fill:currentColor}polyline{fill:none;stroke:#2a7de1;stroke-width:2}circle{fill:#"
          "2a7de1}"
          ".knee{fill:#d9480f}.axis{stroke:currentColor;opacity:.4}.scroll{overflow-x:auto}</style>"
          "<h1>How fast this source can be read</h1><p>",
          out);
    put_escaped(out, server);
    fputs("</p><p><strong>", out);
    put_escaped(out, reason);
    fprintf(out, "</strong></p><p>Recommended: <code>[source] connections = %u</code></p>",
            knee ? knee : 1);
    put_plot(out, steps, count, knee);
    fputs("<div class=scroll><table><tr><th>connections<th>seconds<th>messages/s<th>MB/s<th>errors"
          "<th>login ms<th>select ms<th>first byte ms<th>message ms (p50)<th>(p99)",
          out);
    for (unsigned i = 0; i < count; i++) {
        const struct read_bench_step *s = &steps[i];

        fprintf(
            out,
            "<tr><td>%u<td>%.1f<td>%.0f<td>%.1f<td>%llu<td>%.1f<td>%.1f<td>%.1f<td>%.2f<td>%.2f",
            s->connections, s->seconds, s->seconds > 0 ? (double)s->messages / s->seconds : 0,
            mb_per_s(s), (unsigned long long)s->errors, (double)hist_quantile(&s->login, 50) / 1000,
            (double)hist_quantile(&s->select, 50) / 1000,
            (double)hist_quantile(&s->first_byte, 50) / 1000,
            (double)hist_quantile(&s->message, 50) / 1000,
            (double)hist_quantile(&s->message, 99) / 1000);
    }
    fputs("</table></div></html>\n", out);
}
