#include "engine/cli/progress.h"

#include "engine/cli/progress_json.h"
#include "engine/report/format.h"
#include "io/base/log.h"
#include "io/base/mem.h"
#include "io/base/now.h"

#include <langinfo.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define FRAME_MS           250u
#define LINE_MS            30000u
#define FRAME_BYTES        65536u
#define CLEAR_REST_OF_LINE "\x1b[K"
#define CLEAR_BELOW        "\x1b[J"
#define ROWS_MAX           (PROGRESS_ACTIVE + 16u)

struct progress {
    pthread_mutex_t lock;
    enum progress_mode mode;
    FILE *out;
    bool color, utf8;
    bool stopped;
    bool painted_once;
    uint64_t painted_ms;
    struct progress_look look;
    struct progress_meter meter;
    unsigned widths[ROWS_MAX], rows; /* of the block that stands on the terminal */
    struct buf block;                /* the block's lines */
    struct buf frame;
};

enum progress_mode progress_mode_for(FILE *out, const char *word)
{
    const char *term = getenv("TERM");
    bool paints = isatty(fileno(out)) && term && term[0] && strcmp(term, "dumb") != 0;

    if (strcmp(word, "never") == 0)
        return PROGRESS_NONE;
    if (strcmp(word, "json") == 0)
        return PROGRESS_JSON;
    if (strcmp(word, "always") == 0)
        return paints || !isatty(fileno(out)) ? PROGRESS_LIVE : PROGRESS_LINES;
    return paints ? PROGRESS_LIVE : PROGRESS_LINES;
}

static unsigned columns(const struct progress *p, unsigned *rows_r)
{
    struct winsize size;
    bool known = ioctl(fileno(p->out), TIOCGWINSZ, &size) == 0 && size.ws_col;

    *rows_r = known && size.ws_row ? size.ws_row : 24;
    return known ? size.ws_col : 80;
}

static void add(struct buf *out, const char *text)
{
    bool fits = buf_append(out, slice_cstr(text));

    (void)fits;
}

/* Moves to the first line of the block; what stands there is written over, line by line, and cleared
 * behind the last: clearing it all first flickers, and makes tmux keep every block in its history. A
 * terminal that became narrower has folded the lines that no longer fit. */
static void unpaint(struct progress *p, unsigned width)
{
    unsigned rows = 0;

    for (unsigned i = 0; i < p->rows; i++)
        rows += p->widths[i] > width && width ? (p->widths[i] + width - 1) / width : 1;
    if (rows) {
        bool fits = buf_append_format(&p->frame, "\r\x1b[%uA", rows);

        (void)fits;
    }
    p->rows = 0;
}

static unsigned plain_width(struct slice line)
{
    unsigned width = 0;
    struct slice part;

    /* Colours are the only escapes in a line: ESC [ ... m. */
    while (slice_split(&line, '\x1b', &part)) {
        width += format_width(part);
        if (line.size) {
            size_t end = slice_find(line, 'm');

            line = slice_from(line, end == SIZE_MAX ? line.size : end + 1);
        }
    }
    return width;
}

static void paint(struct progress *p, unsigned width, unsigned height)
{
    /* The line with the cursor, below the block, is one too. */
    struct progress_style style = { PROGRESS_LIVE, width > 1 ? width - 1 : width,   p->color, p->utf8,
                                    NULL,          height > 2 ? height - 1 : height };
    struct slice rest, line;

    buf_clear(&p->block);
    progress_draw(&p->look.view, &p->look.rates, &style, &p->block);
    rest = buf_slice(&p->block);
    while (p->rows < ROWS_MAX && slice_split(&rest, '\n', &line)) {
        bool fits = buf_append(&p->frame, line);

        (void)fits;
        add(&p->frame, CLEAR_REST_OF_LINE "\n");
        p->widths[p->rows++] = plain_width(line);
    }
}

static void send(struct progress *p)
{
    struct slice frame = buf_slice(&p->frame);

    fwrite(frame.data, 1, frame.size, p->out);
    fflush(p->out);
    buf_clear(&p->frame);
}

static void show_line(struct progress *p)
{
    struct progress_style style = { .mode = PROGRESS_LINES, .utf8 = p->utf8 };
    char clock[16];
    time_t now = (time_t)(now_wall_ms() / 1000);
    struct tm tm;

    if (!localtime_r(&now, &tm) || strftime(clock, sizeof clock, "%H:%M:%S", &tm) == 0)
        clock[0] = '\0';
    style.clock = clock;
    progress_draw(&p->look.view, &p->look.rates, &style, &p->frame);
    send(p);
}

static void show_json(struct progress *p)
{
    progress_json(&p->look, p->out);
    fflush(p->out);
}

static void show_block(struct progress *p, const char *above)
{
    unsigned height, width = columns(p, &height);

    add(&p->frame, "\x1b[?25l");
    unpaint(p, width);
    if (above) {
        add(&p->frame, above);
        add(&p->frame, CLEAR_REST_OF_LINE "\n");
    }
    if (p->look.there && !p->stopped)
        paint(p, width, height);
    add(&p->frame, CLEAR_BELOW "\x1b[?25h");
    send(p);
}

static void write_line(void *context, const char *line)
{
    progress_note(context, line);
}

struct progress *progress_create(enum progress_mode mode, FILE *out, bool color)
{
    struct progress *p = mem_zero(1, sizeof *p);

    pthread_mutex_init(&p->lock, NULL);
    p->mode = mode;
    p->out = out;
    p->look.started_ms = now_wall_ms();
    p->look.batch = p->look.command = "";
    p->color = color;
    p->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    buf_init(&p->frame, FRAME_BYTES);
    buf_init(&p->block, FRAME_BYTES);
    if (mode != PROGRESS_NONE)
        log_through(write_line, p);
    return p;
}

/* Addresses and folders are other people's: no escape of theirs reaches the terminal. */
static void take(struct progress *p, const struct progress_view *view)
{
    p->look.view = *view;
    if (p->look.view.active_count > PROGRESS_ACTIVE)
        p->look.view.active_count = PROGRESS_ACTIVE;
    for (unsigned i = 0; i < p->look.view.active_count; i++) {
        const struct progress_active *from = &view->active[i];
        struct progress_active *to = &p->look.view.active[i];

        err_printable(to->address, sizeof to->address, from->address, strnlen(from->address, sizeof from->address));
        err_printable(to->folder, sizeof to->folder, from->folder, strnlen(from->folder, sizeof from->folder));
    }
    p->look.there = true;
    p->look.wall_ms = now_wall_ms();
}

void progress_update(struct progress *p, const struct progress_view *view, uint64_t at_ms)
{
    uint64_t every = p->mode == PROGRESS_LIVE ? FRAME_MS : LINE_MS;

    pthread_mutex_lock(&p->lock);
    take(p, view);
    p->look.at_ms = at_ms;
    progress_measure(&p->meter, &p->look.view, at_ms, &p->look.rates);
    if (p->mode == PROGRESS_NONE) {
        ;
    } else if (!p->painted_once && p->mode == PROGRESS_LINES) {
        /* The first line comes after the first half minute. */
        p->painted_once = true;
        p->painted_ms = at_ms;
    } else if (!p->painted_once || at_ms - p->painted_ms >= every) {
        p->painted_once = true;
        p->painted_ms = at_ms;
        if (p->mode == PROGRESS_LIVE)
            show_block(p, NULL);
        else if (p->mode == PROGRESS_JSON)
            show_json(p);
        else
            show_line(p);
    }
    pthread_mutex_unlock(&p->lock);
}

void progress_note(struct progress *p, const char *line)
{
    char text[2048];

    err_printable(text, sizeof text, line, strlen(line));
    pthread_mutex_lock(&p->lock);
    if (p->mode == PROGRESS_LIVE) {
        show_block(p, text);
    } else if (p->mode == PROGRESS_JSON && text[0] != '{') {
        progress_json_note(text, p->out);
        fflush(p->out);
    } else {
        fprintf(p->out, "%s\n", text);
        fflush(p->out);
    }
    pthread_mutex_unlock(&p->lock);
}

void progress_name(struct progress *p, const char *batch, const char *command)
{
    p->look.batch = batch;
    p->look.command = command;
}

void progress_look(struct progress *p, struct progress_look *look_r)
{
    pthread_mutex_lock(&p->lock);
    *look_r = p->look;
    pthread_mutex_unlock(&p->lock);
}

void progress_stop(struct progress *p)
{
    if (!p)
        return;
    if (p->mode != PROGRESS_NONE)
        log_through(NULL, NULL);
    pthread_mutex_lock(&p->lock);
    p->stopped = true;
    if (p->look.there && p->mode == PROGRESS_LIVE)
        show_block(p, NULL);
    else if (p->look.there && p->mode == PROGRESS_LINES)
        show_line(p);
    pthread_mutex_unlock(&p->lock);
}

void progress_over(struct progress *p, int exit_code)
{
    pthread_mutex_lock(&p->lock);
    p->look.over = true;
    p->look.exit_code = exit_code;
    p->look.wall_ms = now_wall_ms();
    if (p->mode == PROGRESS_JSON)
        show_json(p);
    pthread_mutex_unlock(&p->lock);
}

void progress_destroy(struct progress **progress)
{
    struct progress *p = *progress;

    if (!p)
        return;
    pthread_mutex_destroy(&p->lock);
    buf_deinit(&p->frame);
    buf_deinit(&p->block);
    free(p);
    *progress = NULL;
}
