#include "engine/imap/token.h"

struct token token_of(struct slice line)
{
    return (struct token){ line.data, line.data ? line.data + line.size : line.data };
}

static void token_spaces(struct token *t)
{
    while (t->at < t->end && (*t->at == ' ' || *t->at == '\t'))
        t->at++;
}

char token_peek(struct token *t)
{
    token_spaces(t);
    return t->at < t->end ? *t->at : '\0';
}

bool token_done(struct token *t)
{
    while (t->at < t->end && (*t->at == ' ' || *t->at == '\t' || *t->at == '\r' || *t->at == '\n'))
        t->at++;
    return t->at == t->end;
}

bool token_take(struct token *t, char c)
{
    token_spaces(t);
    if (t->at == t->end || *t->at != c)
        return false;
    t->at++;
    return true;
}

struct slice token_rest(struct token *t)
{
    token_spaces(t);
    return slice_of(t->at, (size_t)(t->end - t->at));
}

/* A quote ends the string only where something may follow a string (quirk F15). */
static bool quote_may_end(const char *next, const char *end)
{
    return next == end || *next == ' ' || *next == ')' || *next == ']' || *next == '\r' || *next == '\n' ||
           *next == '\t';
}

static bool quoted(struct token *t, struct token_string *string_r)
{
    const char *start = t->at + 1, *fallback = NULL, *p;
    bool escaped = false;

    for (p = start; p < t->end && *p != '\r' && *p != '\n'; p++) {
        if (*p == '\\' && p + 1 < t->end) {
            /* "qq.com\" is a string whose writer forgot to escape its last backslash: when no
             * better end comes, this one will do. */
            if (p[1] == '"' && !fallback && quote_may_end(p + 2, t->end))
                fallback = p + 1;
            escaped = true;
            p++;
        } else if (*p == '"' && quote_may_end(p + 1, t->end)) {
            break;
        }
    }
    if (p >= t->end || *p != '"') {
        if (!fallback)
            return false;
        p = fallback;
        escaped = false;
    }
    *string_r = (struct token_string){ TOKEN_QUOTED, slice_of(start, (size_t)(p - start)), escaped };
    t->at = p + 1;
    return true;
}

static bool literal(struct token *t, struct token_string *string_r)
{
    const char *p = t->at + (*t->at == '~') + 1;
    uint64_t size = 0;

    if ((size_t)(t->end - t->at) >= sizeof TOKEN_GONE - 1 && memcmp(t->at, TOKEN_GONE, sizeof TOKEN_GONE - 1) == 0) {
        *string_r = (struct token_string){ TOKEN_STREAMED, slice_of(t->at, 0), false };
        t->at += sizeof TOKEN_GONE - 1;
        return true;
    }
    while (p < t->end && *p >= '0' && *p <= '9' && size < UINT32_MAX)
        size = size * 10 + (uint64_t)(*p++ - '0');
    if (t->end - p < 3 || memcmp(p, "}\r\n", 3) != 0 || (uint64_t)(t->end - p - 3) < size)
        return false;
    *string_r = (struct token_string){ TOKEN_LITERAL, slice_of(p + 3, (size_t)size), false };
    t->at = p + 3 + size;
    return true;
}

static bool ends_word(char c)
{
    return c == ' ' || c == '(' || c == ')' || c == '\r' || c == '\n' || c == '\t';
}

bool token_word(struct token *t, struct slice *word_r)
{
    const char *p;

    token_spaces(t);
    for (p = t->at; p < t->end && !ends_word(*p); p++)
        ;
    if (p == t->at)
        return false;
    *word_r = slice_of(t->at, (size_t)(p - t->at));
    t->at = p;
    return true;
}

bool token_item(struct token *t, struct slice *word_r)
{
    const char *p;

    token_spaces(t);
    for (p = t->at; p < t->end && !ends_word(*p); p++) {
        if (*p == '[') {
            const char *close = memchr(p, ']', (size_t)(t->end - p));

            if (!close)
                return false;
            p = close;
        }
    }
    if (p == t->at)
        return false;
    *word_r = slice_of(t->at, (size_t)(p - t->at));
    t->at = p;
    return true;
}

bool token_string(struct token *t, struct token_string *string_r)
{
    struct slice word;

    token_spaces(t);
    if (t->at == t->end)
        return false;
    if (*t->at == '"')
        return quoted(t, string_r);
    if (*t->at == '{' || (*t->at == '~' && t->end - t->at > 1 && t->at[1] == '{'))
        if (literal(t, string_r))
            return true;
    if (!token_word(t, &word))
        return false;
    *string_r = (struct token_string){ TOKEN_ATOM, word, false };
    if (slice_equal_nocase(word, SLICE("NIL"))) {
        string_r->kind = TOKEN_NIL;
        string_r->bytes.size = 0;
    }
    return true;
}

bool token_number(struct token *t, uint64_t *value_r, bool *known_r)
{
    struct token_string string;

    if (!token_string(t, &string))
        return false;
    *known_r = slice_u64(string.bytes, value_r);
    if (!*known_r && string.bytes.size > 1 && string.bytes.data[0] == '-') {
        *value_r = 0;
        *known_r = true;
    }
    return true;
}

/* Skips a value whose lists are open; iterative, since depth is the server's choice. */
static bool skip_value(struct token *t)
{
    unsigned depth = 0;

    do {
        struct token_string string;
        char c = token_peek(t);

        if (c == '(') {
            if (++depth > TOKEN_DEPTH_MAX)
                return false;
            t->at++;
        } else if (c == ')') {
            if (depth == 0)
                return false;
            depth--;
            t->at++;
        } else {
            struct slice word;

            if (c == '"' || c == '{' || c == '~') {
                if (!token_string(t, &string))
                    return false;
            } else if (!token_word(t, &word)) {
                return false;
            }
        }
    } while (depth);
    return true;
}

bool token_list(struct token *t, struct slice *inside_r)
{
    const char *start;

    if (token_peek(t) != '(')
        return false;
    start = t->at + 1;
    if (!skip_value(t))
        return false;
    *inside_r = slice_of(start, (size_t)(t->at - 1 - start));
    return true;
}

bool token_skip(struct token *t)
{
    return skip_value(t);
}

size_t token_unescape(const struct token_string *string, char *out, size_t cap)
{
    size_t used = 0;

    for (size_t i = 0; i < string->bytes.size && used < cap; i++) {
        if (string->escaped && string->bytes.data[i] == '\\' && i + 1 < string->bytes.size)
            i++;
        out[used++] = string->bytes.data[i];
    }
    return used;
}
