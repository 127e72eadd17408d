#include "engine/imap/scan.h"

#include "engine/imap/token.h"

#include <assert.h>
#include <stdio.h>

void scan_init(struct scan *scan, const struct scan_events *events, void *context)
{
    *scan = (struct scan){ .events = events, .context = context, .state = SCAN_TEXT };
    buf_init(&scan->line, SCAN_LINE_MAX + SCAN_KEPT_MAX);
}

void scan_deinit(struct scan *scan)
{
    buf_deinit(&scan->line);
}

void scan_stop(struct scan *scan)
{
    scan->stop = true;
}

bool scan_pending(const struct scan *scan)
{
    return scan->state != SCAN_TEXT || scan->line.size != 0;
}

bool scan_in_literal(const struct scan *scan)
{
    return scan->literal_left > 0;
}

static bool broken(struct scan *scan, struct err *err_r, const char *why)
{
    scan->state = SCAN_BROKEN;
    return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_SESSION, ERR_ORIGIN_PROTOCOL, 0, "%s", why);
}

/* Only data may hold literals; in "* OK see {50}" and "a1 NO {5}" the braces are text (B05). */
static bool may_hold_literal(struct slice line)
{
    static const char *const texts[] = { "OK", "NO", "BAD", "BYE", "PREAUTH" };
    struct token t = token_of(line);
    struct slice word;

    if (!token_take(&t, '*') || !token_word(&t, &word))
        return false;
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++)
        if (slice_equal_nocase(word, slice_cstr(texts[i])))
            return false;
    return true;
}

/* Whether a quoted string is open at the end of text (B05), unless a sloppy quote (F15) closes it:
 * a literal always follows a space or "(", so an open quote with an escaped one before a delimiter
 * is taken for closed. */
static bool in_quotes(struct slice text)
{
    bool open = false, sloppy = false;

    if (slice_find(text, '"') == SIZE_MAX)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i], next = i + 1 < text.size ? text.data[i + 1] : '\0';

        if (!open) {
            open = c == '"';
            sloppy = false;
        } else if (c == '\\') {
            i++;
            if (next == '"' && i + 1 < text.size && (text.data[i + 1] == ' ' || text.data[i + 1] == ')'))
                sloppy = true;
        } else if (c == '"' && (i + 1 == text.size || next == ' ' || next == ')' || next == ']')) {
            open = false;
        }
    }
    return open && !sloppy;
}

/* Whether text (one physical line, no line end) ends in "{n}", "{n+}" or "~{n}", spaces behind it
 * allowed (F09). *head_r: what stands before. False in *fits_r when n is absurd. */
static bool ends_in_literal(struct slice text, size_t *head_r, uint64_t *size_r, bool *fits_r)
{
    size_t end = text.size, at;
    struct slice digits;

    *fits_r = true;
    while (end && (text.data[end - 1] == ' ' || text.data[end - 1] == '\t'))
        end--;
    if (end < 3 || text.data[end - 1] != '}')
        return false;
    at = end - 1;
    while (at && text.data[at - 1] != '{' && end - at < 32)
        at--;
    if (at == 0 || text.data[at - 1] != '{')
        return false;
    digits = slice_of(text.data + at, end - 1 - at);
    *head_r = at - 1;
    if (*head_r && text.data[*head_r - 1] == '~')
        --*head_r;
    if (digits.size && digits.data[digits.size - 1] == '+')
        digits.size--;
    if (digits.size > 1 && digits.data[0] == '-') {
        *size_r = 0; /* F10 */
        return true;
    }
    for (size_t i = 0; i < digits.size; i++)
        if (digits.data[i] < '0' || digits.data[i] > '9')
            return false;
    if (digits.size == 0)
        return false;
    *fits_r = slice_u64(digits, size_r) && *size_r <= INT64_MAX;
    return true;
}

/* What separates the numbers of a line that may be of any length; '\0': it is no such line. */
static char number_separator(struct slice line)
{
    struct token t = token_of(line);
    struct slice word;

    if (!token_take(&t, '*') || !token_word(&t, &word))
        return '\0';
    return slice_equal_nocase(word, SLICE("SEARCH")) ? ' ' : slice_equal_nocase(word, SLICE("ESEARCH")) ? ',' : '\0';
}

static void deliver(struct scan *scan, struct slice line)
{
    while (line.size && line.data[0] == '\0')
        line = slice_from(line, 1);
    if (line.size)
        scan->events->line(scan->context, line);
}

/* The held line is complete. */
static void finish(struct scan *scan)
{
    struct buf done = scan->line;

    /* The callback may feed nothing, but the buffer must not move under it. */
    buf_init(&scan->line, scan->line.cap);
    scan->segment = scan->kept_bytes = 0;
    scan->literals = 0;
    scan->streamed = false;
    scan->state = SCAN_TEXT;
    deliver(scan, buf_slice(&done));
    assert(scan->line.data == NULL);
    scan->line = done;
    buf_clear(&scan->line);
    if (scan->line.room > 4096)
        buf_trim(&scan->line);
}

static size_t find_last(struct slice text, char c)
{
    size_t at = text.size;

    while (at && text.data[at - 1] != c)
        at--;
    return at ? at - 1 : SIZE_MAX;
}

/* A SEARCH or ESEARCH line that is held and goes on: what is whole of its numbers is delivered as a line, and the
 * line goes on with the others behind the same words. */
static void deliver_numbers(struct scan *scan)
{
    struct buf held = scan->line;
    struct slice line = buf_slice(&held);
    char separator = scan->literals ? '\0' : number_separator(line);
    size_t cut = separator ? find_last(line, separator) : SIZE_MAX, head;

    if (cut == SIZE_MAX)
        return;
    head = separator == ' ' ? slice_find_nocase(line, SLICE("SEARCH")) + strlen("SEARCH ")
                            : find_last(slice_first(line, cut), ' ') + 1;
    if (head == 0 || cut < head)
        return;
    buf_init(&scan->line, held.cap);
    deliver(scan, slice_first(line, cut));
    memmove(held.data + held.head + head, line.data + cut + 1, line.size - cut - 1);
    held.size = head + line.size - cut - 1;
    scan->line = held;
}

static bool hold(struct scan *scan, struct slice text, struct err *err_r)
{
    if (scan->line.size > SCAN_NUMBERS_MAX && scan->kept_bytes == 0)
        deliver_numbers(scan);
    if (scan->line.size + text.size > SCAN_LINE_MAX + scan->kept_bytes || !buf_append(&scan->line, text))
        return broken(scan, err_r, "line longer than its cap");
    return true;
}

/* text, appended to what is held, ends a physical line that announces a literal. */
static bool begin_literal(struct scan *scan, size_t head, uint64_t size, struct err *err_r)
{
    char mark[32];
    int n;
    enum scan_literal how;

    scan->line.size = head;
    how = scan->literals++ < SCAN_LITERALS_MAX
              ? scan->events->literal_begins(scan->context, buf_slice(&scan->line), size)
              : SCAN_KEEP;
    scan->literal_size = scan->literal_left = size;
    scan->drop_left = 0;
    scan->streamed = how == SCAN_STREAM;
    if (how == SCAN_CUT && size > SCAN_LITERAL_MAX)
        scan->drop_left = size - SCAN_LITERAL_MAX;
    else if (how == SCAN_KEEP && size > SCAN_LITERAL_MAX)
        scan->drop_left = size;
    if (how != SCAN_STREAM && scan->kept_bytes + (size - scan->drop_left) > SCAN_KEPT_MAX)
        scan->drop_left = size;
    if (how == SCAN_STREAM || (scan->drop_left == size && size)) {
        if (!buf_append(&scan->line, SLICE(TOKEN_GONE)))
            return broken(scan, err_r, "line longer than its cap");
        scan->state = how == SCAN_STREAM ? SCAN_STREAMING : SCAN_DROPPING;
    } else {
        n = snprintf(mark, sizeof mark, "{%llu}\r\n", (unsigned long long)(size - scan->drop_left));
        if (!buf_append(&scan->line, slice_of(mark, (size_t)n)))
            return broken(scan, err_r, "line longer than its cap");
        scan->kept_bytes += (size_t)(size - scan->drop_left);
        scan->state = SCAN_GATHERING;
    }
    if (size == 0) {
        scan->segment = scan->line.size;
        scan->state = SCAN_AFTER;
    }
    return true;
}

/* Text up to the next line end. Returns bytes used; *failed_r when the framing is lost. */
static size_t take_text(struct scan *scan, struct slice bytes, bool *failed_r, struct err *err_r)
{
    size_t end = slice_find(bytes, '\n');
    size_t used = end == SIZE_MAX ? bytes.size : end + 1;
    struct slice text, segment;
    uint64_t size;
    size_t head;
    bool fits;

    if (end == SIZE_MAX) {
        *failed_r = !hold(scan, bytes, err_r);
        return used;
    }
    text = slice_first(bytes, end);
    if (scan->line.size == 0) {
        if (text.size && text.data[text.size - 1] == '\r')
            text.size--;
        /* The common line: whole in the fed bytes, so that nothing is copied. */
        if (!ends_in_literal(text, &head, &size, &fits) || !may_hold_literal(text) ||
            in_quotes(slice_first(text, head))) {
            if (text.size > SCAN_LINE_MAX)
                *failed_r = !broken(scan, err_r, "line longer than its cap");
            else
                deliver(scan, text);
            return used;
        }
    }
    if (!hold(scan, text, err_r)) {
        *failed_r = true;
        return used;
    }
    if (scan->line.size > scan->segment && scan->line.data[scan->line.head + scan->line.size - 1] == '\r')
        scan->line.size--;
    assert(scan->line.head == 0);
    segment = slice_from(buf_slice(&scan->line), scan->segment);
    if (ends_in_literal(segment, &head, &size, &fits) && may_hold_literal(buf_slice(&scan->line)) &&
        !in_quotes(slice_first(segment, head))) {
        *failed_r = fits ? !begin_literal(scan, scan->segment + head, size, err_r)
                         : !broken(scan, err_r, "literal longer than its cap");
        return used;
    }
    finish(scan);
    return used;
}

static size_t take_literal(struct scan *scan, struct slice bytes, bool *failed_r, struct err *err_r)
{
    struct slice part = slice_first(bytes, scan->literal_left > SIZE_MAX ? SIZE_MAX : (size_t)scan->literal_left);
    size_t used = part.size;

    if (scan->state == SCAN_GATHERING) {
        uint64_t wanted = scan->literal_left - scan->drop_left;

        if (!buf_append(&scan->line, slice_first(part, (size_t)wanted)))
            *failed_r = !broken(scan, err_r, "literals longer than their cap");
        if (scan->literal_left - used < scan->drop_left)
            scan->drop_left = scan->literal_left - used;
    }
    scan->literal_left -= used;
    if (scan->state == SCAN_STREAMING)
        scan->events->literal_bytes(scan->context, part);
    if (scan->literal_left == 0 && !*failed_r) {
        scan->segment = scan->line.size;
        scan->state = SCAN_AFTER;
    }
    return used;
}

/* What follows a literal: a line end here is the literal's own sloppy one in FETCH, whose list is
 * still open (F11); otherwise it ends the line as usual. */
static size_t take_after(struct scan *scan, struct slice bytes)
{
    char c = bytes.data[0];

    if (c == '\r' && scan->streamed)
        return 1;
    if (c == '\n' && scan->streamed) {
        scan->state = SCAN_TEXT;
        return 1;
    }
    if (scan->streamed && c != ')' && c != ' ')
        scan->events->literal_suspect(scan->context, buf_slice(&scan->line));
    scan->state = SCAN_TEXT;
    return 0;
}

bool scan_feed(struct scan *scan, struct slice bytes, struct err *err_r)
{
    bool failed = false;

    if (scan->state == SCAN_BROKEN)
        return broken(scan, err_r, "framing was lost before");
    scan->stop = false;
    while (bytes.size && !scan->stop && !failed) {
        size_t used = 0;

        switch (scan->state) {
        case SCAN_TEXT:
            used = take_text(scan, bytes, &failed, err_r);
            break;
        case SCAN_GATHERING:
        case SCAN_STREAMING:
        case SCAN_DROPPING:
            used = take_literal(scan, bytes, &failed, err_r);
            break;
        case SCAN_AFTER:
            used = take_after(scan, bytes);
            break;
        case SCAN_BROKEN:
            return broken(scan, err_r, "framing was lost before");
        }
        bytes = slice_from(bytes, used);
        scan->left = bytes.size;
    }
    return !failed;
}
