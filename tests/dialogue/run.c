/* dialogues FILE...: plays every case of the files three ways; exit 0, or 1 and what differed.
 * dialogues --seeds FOLDER FILE...: writes each case's server bytes as input of fuzz_session. */
#include "tests/dialogue/play.h"

#include "io/base/log.h"

#include <stdio.h>
#include <stdlib.h>

#define LINE_MAX_BYTES 8192
#define RANDOM_ROUNDS  12

struct script {
    const char *path;
    char **lines; /* without line ends */
    unsigned count;
};

struct where {
    const struct script *script;
    unsigned line; /* 1-based */
    const char *title;
    enum play_way way;
    unsigned seed;
};

static bool complain(const struct where *at, const char *what, const char *want, const char *got)
{
    static const char *const ways[] = { "whole", "byte by byte", "random cuts" };

    fprintf(stderr, "%s:%u: %s (%s)\n  %s\n  expected: %s\n  got:      %s\n", at->script->path, at->line, at->title,
            ways[at->way], what, want ? want : "nothing", got ? got : "nothing");
    return false;
}

/* The next client line, or `size` bytes of it, escaped; the caller frees. NULL when it is not
 * there. */
static char *client_said(struct play *p, size_t size)
{
    struct slice all = buf_slice(&p->said);
    size_t end = size;
    struct buf text;

    if (size == SIZE_MAX) {
        for (end = 0; end + 1 < all.size && memcmp(all.data + end, "\r\n", 2) != 0; end++)
            ;
        if (end + 1 >= all.size)
            return NULL;
    } else if (all.size < size) {
        return NULL;
    }
    buf_init(&text, SIZE_MAX / 4);
    play_escape(&text, slice_first(all, end));
    if (!buf_append(&text, slice_of("", 1)))
        abort();
    buf_consume(&p->said, size == SIZE_MAX ? end + 2 : end);
    return text.data;
}

static char *canonical(const char *text, size_t *size_r)
{
    struct buf bytes, out;

    buf_init(&bytes, SIZE_MAX / 4);
    buf_init(&out, SIZE_MAX / 4);
    play_unescape(&bytes, text);
    *size_r = bytes.size;
    play_escape(&out, buf_slice(&bytes));
    if (!buf_append(&out, slice_of("", 1)))
        abort();
    buf_deinit(&bytes);
    return out.data;
}

static bool client_line(const struct where *at, struct play *p, const char *text, bool whole)
{
    size_t size;
    char *want = canonical(text, &size), *got;
    bool same;

    play_feed(p);
    play_drain(p);
    got = client_said(p, whole ? SIZE_MAX : size);
    same = got && strcmp(got, want) == 0;
    if (!same && !got) {
        struct buf rest;

        buf_init(&rest, SIZE_MAX / 4);
        play_escape(&rest, slice_first(buf_slice(&p->said), 300));
        (void)!buf_append(&rest, slice_of("", 1));
        complain(at, "the client says", want, rest.data);
        buf_deinit(&rest);
    } else if (!same) {
        complain(at, "the client says", want, got);
    }
    free(got);
    free(want);
    return same;
}

static bool expect(const struct where *at, struct play *p, const char *want)
{
    size_t size = strlen(want);
    bool part = size >= 3 && strcmp(want + size - 3, "...") == 0, same;
    char *got;

    play_feed(p);
    got = play_event(p);
    same = got && (part ? strncmp(got, want, size - 3) == 0 : strcmp(got, want) == 0);
    if (!same)
        complain(at, "the event", want, got);
    free(got);
    return same;
}

static bool check(const struct where *at, struct play *p, const char *text)
{
    char what[80], want[200] = "", got[300];

    play_feed(p);
    if (sscanf(text, "has %63s", want) == 1 || sscanf(text, "lacks %63s", want) == 1) {
        if (!play_look(p, text, got, sizeof got))
            return complain(at, "check:", text, "a word that is not known");
        want[strcspn(text, " ")] = '\0';
        memcpy(want, text, strcspn(text, " "));
    } else if (sscanf(text, "%79s %199[^\n]", what, want) < 1 || !play_look(p, what, got, sizeof got)) {
        return complain(at, "check:", text, "a word that is not known");
    }
    return strcmp(want, got) == 0 || complain(at, text, want, got);
}

static bool rest_is_empty(const struct where *at, struct play *p)
{
    char *event;

    play_feed(p);
    play_drain(p);
    if (p->said.size) {
        char *said = client_said(p, p->said.size);

        complain(at, "at the end the client says", NULL, said);
        free(said);
        return false;
    }
    event = play_event(p);
    if (event)
        complain(at, "at the end the event", NULL, event);
    free(event);
    return !event;
}

static const char *value(const char *line)
{
    const char *colon = strchr(line, ':');

    return colon[1] == ' ' ? colon + 2 : colon + 1;
}

static bool is(const char *line, const char *key)
{
    return strncmp(line, key, strlen(key)) == 0;
}

static bool server_line(struct play *p, const char *line)
{
    const char *text = value(line);
    unsigned times = 1;

    if (is(line, "S*:")) {
        char *end;

        times = (unsigned)strtoul(text, &end, 10);
        if (*end != ' ')
            return false;
        text = end + 1;
    }
    while (times-- > 0)
        play_unescape(&p->pending, text);
    return !is(line, "S:") || buf_append(&p->pending, SLICE("\r\n"));
}

/* One line after the session has begun. */
static bool play_line(const struct where *at, struct play *p, const char *line)
{
    if (is(line, "S:") || is(line, "S+:") || is(line, "S*:"))
        return server_line(p, line) || complain(at, "bad line", "S*: N TEXT", line);
    if (is(line, "C:") || is(line, "C+:"))
        return client_line(at, p, value(line), line[1] == ':');
    if (is(line, "C-:")) {
        play_feed(p);
        play_drain(p);
        return p->said.size == 0 || client_line(at, p, "", true);
    }
    if (is(line, "do:")) {
        play_feed(p);
        return play_do(p, value(line)) || complain(at, "bad line", "a command", line);
    }
    if (is(line, "expect:"))
        return expect(at, p, value(line));
    if (is(line, "check:"))
        return check(at, p, value(line));
    return complain(at, "bad line", "S: C: do: expect: check:", line);
}

/* Plays the case whose lines are first..end-1. */
static bool play_case(struct where *at, unsigned first, unsigned end)
{
    struct play p;
    bool good = true, begun = false;

    play_init(&p, at->way, at->seed);
    for (unsigned i = first; i < end && good; i++) {
        const char *line = at->script->lines[i];

        at->line = i + 1;
        if (line[0] == '\0' || line[0] == '#' || is(line, "quirk:") || is(line, "ways:"))
            continue;
        if (is(line, "config:")) {
            good = !begun && play_config(&p, value(line));
            if (!good)
                complain(at, "bad line", "config: before all else", line);
            continue;
        }
        if (!begun) {
            play_begin(&p, is(line, "ready:") ? value(line) : NULL);
            begun = true;
            if (is(line, "ready:"))
                continue;
        }
        good = play_line(at, &p, line);
    }
    good = good && (begun || complain(at, "an empty case", "lines", NULL)) && rest_is_empty(at, &p);
    play_deinit(&p);
    return good;
}

static bool only_whole(const struct script *script, unsigned first, unsigned end)
{
    for (unsigned i = first; i < end; i++)
        if (is(script->lines[i], "ways:"))
            return true;
    return false;
}

static bool run_case(const struct script *script, unsigned first, unsigned end)
{
    struct where at = { .script = script, .title = value(script->lines[first]), .way = PLAY_WHOLE };

    if (!play_case(&at, first + 1, end))
        return false;
    if (only_whole(script, first, end))
        return true;
    at.way = PLAY_BYTES;
    if (!play_case(&at, first + 1, end))
        return false;
    at.way = PLAY_RANDOM;
    for (at.seed = 1; at.seed <= RANDOM_ROUNDS; at.seed++)
        if (!play_case(&at, first + 1, end))
            return false;
    return true;
}

/* An input of fuzz_session: what is asked, as letters, and the server's bytes. */
static bool write_seed(const struct script *script, unsigned first, unsigned end, const char *folder, unsigned number)
{
    const char *base = strrchr(script->path, '/');
    char path[4096], start = 'g';
    struct play p;
    FILE *out;
    bool good = true;

    play_init(&p, PLAY_WHOLE, 1);
    snprintf(path, sizeof path, "%s/%s-%u", folder, base ? base + 1 : script->path, number);
    out = fopen(path, "wb");
    if (!out)
        return false;
    for (unsigned i = first; i < end; i++)
        if (is(script->lines[i], "ready:"))
            start = 'r';
    fputc(start, out);
    for (unsigned i = first; i < end && good; i++) {
        const char *line = script->lines[i];

        if (is(line, "do:"))
            fputc(play_letter(value(line)), out);
        else if (is(line, "S:") || is(line, "S+:") || is(line, "S*:"))
            good = server_line(&p, line);
    }
    fputc('\n', out);
    /* Long ones would only slow the fuzzer down. */
    if (p.pending.size && p.pending.size < 16384)
        fwrite(buf_slice(&p.pending).data, 1, p.pending.size, out);
    good = fclose(out) == 0 && good;
    play_deinit(&p);
    return good;
}

static bool read_script(struct script *script)
{
    FILE *in = fopen(script->path, "r");
    char line[LINE_MAX_BYTES];

    if (!in)
        return false;
    while (fgets(line, sizeof line, in)) {
        line[strcspn(line, "\n")] = '\0';
        script->lines = realloc(script->lines, (script->count + 1) * sizeof *script->lines);
        script->lines[script->count++] = strdup(line);
    }
    fclose(in);
    return script->count != 0;
}

static void forget_script(struct script *script)
{
    for (unsigned i = 0; i < script->count; i++)
        free(script->lines[i]);
    free(script->lines);
}

static bool file(const char *path, const char *seeds, unsigned *cases)
{
    struct script script = { .path = path };
    unsigned first = UINT32_MAX, number = 0;
    bool good = true;

    if (!read_script(&script)) {
        fprintf(stderr, "%s: cannot be read\n", path);
        return false;
    }
    for (unsigned i = 0; i <= script.count; i++) {
        if (i < script.count && !is(script.lines[i], "case:"))
            continue;
        if (first != UINT32_MAX) {
            good &= seeds ? write_seed(&script, first, i, seeds, number) : run_case(&script, first, i);
            number++;
        }
        first = i;
    }
    forget_script(&script);
    *cases += number;
    if (number == 0)
        fprintf(stderr, "%s: holds no case\n", path);
    return good && number;
}

int main(int argc, char **argv)
{
    const char *seeds = NULL;
    unsigned cases = 0;
    int first = 1;
    bool good = true;

    if (argc > 3 && strcmp(argv[1], "--seeds") == 0) {
        seeds = argv[2];
        first = 3;
    }
    if (first >= argc) {
        fprintf(stderr, "dialogues [--seeds FOLDER] FILE...\n");
        return 64;
    }
    for (int i = first; i < argc; i++)
        good &= file(argv[i], seeds, &cases);
    if (good)
        printf("%u cases\n", cases);
    return good ? 0 : 1;
}
