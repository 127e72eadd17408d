#include "engine/imap/resp.h"

#include "engine/imap/token.h"

static const char *const status_names[] = { "OK", "NO", "BAD", "BYE", "PREAUTH" };

static const struct {
    const char *word;
    enum resp_data data;
} datas[] = {
    /* The ones that come by the thousand stand first. */
    { "FETCH", RESP_FETCH },
    { "UIDFETCH", RESP_UIDFETCH },
    { "EXISTS", RESP_EXISTS },
    { "RECENT", RESP_RECENT },
    { "EXPUNGE", RESP_EXPUNGE },
    { "LIST", RESP_LIST },
    { "LSUB", RESP_LSUB },
    { "XLIST", RESP_XLIST },
    { "STATUS", RESP_MAILBOX_STATUS },
    { "SEARCH", RESP_SEARCH },
    { "ESEARCH", RESP_ESEARCH },
    { "FLAGS", RESP_FLAGS },
    { "CAPABILITY", RESP_CAPABILITY },
    { "NAMESPACE", RESP_NAMESPACE },
    { "ENABLED", RESP_ENABLED },
    { "ID", RESP_ID },
    { "QUOTA", RESP_QUOTA },
};

bool resp_has_code(const struct resp *resp, const char *code)
{
    return slice_equal_nocase(resp->code, slice_cstr(code));
}

static bool status_of(struct slice word, enum resp_status *status_r)
{
    for (unsigned i = 0; i < sizeof status_names / sizeof *status_names; i++) {
        if (slice_equal_nocase(word, slice_cstr(status_names[i]))) {
            *status_r = (enum resp_status)i;
            return true;
        }
    }
    return false;
}

/* Where the code that starts at text[0] = '[' ends. Flags may hold brackets (F16), and codes that
 * nobody knows may hold anything (L05): there the last bracket counts. */
static size_t code_end(struct slice text, struct slice name)
{
    size_t first = slice_find(text, ']'), last = text.size;
    bool plain = true;

    for (size_t i = 0; i < name.size; i++)
        if (!((name.data[i] | 0x20) >= 'a' && (name.data[i] | 0x20) <= 'z') && name.data[i] != '-')
            plain = false;
    if (plain && !slice_equal_nocase(name, SLICE("PERMANENTFLAGS")))
        return first;
    while (last && text.data[last - 1] != ']')
        last--;
    return last ? last - 1 : SIZE_MAX;
}

static void text_parse(struct resp *resp, struct slice text)
{
    static const struct slice tail = { "[THROTTLED]", 11 };

    text = slice_trim(text);
    if (text.size && text.data[0] == '[') {
        struct slice name = slice_from(text, 1);
        size_t end = 0;

        while (end < name.size && name.data[end] != ' ' && name.data[end] != ']')
            end++;
        name = slice_first(name, end);
        end = code_end(text, name);
        if (end != SIZE_MAX && name.size && name.size < end) {
            resp->code = name;
            resp->code_args = slice_trim(slice_of(name.data + name.size, end - 1 - name.size));
            text = slice_trim(slice_from(text, end + 1));
        }
    }
    resp->text = text;
    resp->throttled = slice_equal_nocase(resp->code, SLICE("THROTTLED")) ||
                      (text.size >= tail.size && slice_equal_nocase(slice_from(text, text.size - tail.size), tail));
}

/* Digits beyond all numbers, or below 0, are a number too: UINT64_MAX, which is none of a message. What
 * stands behind them must not be overlooked. */
static bool number_of(struct slice word, uint64_t *number_r)
{
    struct slice digits = slice_from(word, word.size > 1 && word.data[0] == '-');

    if (slice_u64(word, number_r))
        return true;
    for (size_t i = 0; i < digits.size; i++)
        if (digits.data[i] < '0' || digits.data[i] > '9')
            return false;
    *number_r = UINT64_MAX;
    return digits.size > 0;
}

static void data_parse(struct resp *resp, struct slice line, struct token t)
{
    struct slice word;

    resp->kind = RESP_DATA;
    resp->data = RESP_OTHER;
    resp->text = line;
    if (!token_word(&t, &word))
        return;
    resp->has_number = number_of(word, &resp->number);
    if (resp->has_number && !token_word(&t, &word))
        return;
    for (unsigned i = 0; i < sizeof datas / sizeof *datas; i++) {
        if (slice_equal_nocase(word, slice_cstr(datas[i].word))) {
            resp->data = datas[i].data;
            resp->rest = token_rest(&t);
            return;
        }
    }
}

/* Our tags are "a" and a number; who makes a capital of it means them. */
static uint32_t tag_number(struct slice word)
{
    uint32_t number;

    if (word.size < 2 || (word.data[0] | 0x20) != 'a' || !slice_u32(slice_from(word, 1), &number))
        return 0;
    return number;
}

void resp_parse(struct resp *resp_r, struct slice line)
{
    struct token t = token_of(line);
    struct slice word;

    *resp_r = (struct resp){ .kind = RESP_UNKNOWN, .text = line };
    if (token_peek(&t) == '*') {
        struct token after;

        t.at++;
        after = t;
        if (token_peek(&t) == '[') {
            resp_r->kind = RESP_STATUS;
            text_parse(resp_r, token_rest(&t));
        } else if (token_word(&after, &word) && status_of(word, &resp_r->status)) {
            resp_r->kind = RESP_STATUS;
            text_parse(resp_r, token_rest(&after));
        } else {
            data_parse(resp_r, line, t);
        }
        return;
    }
    if (token_peek(&t) == '+') {
        t.at++;
        resp_r->kind = RESP_CONTINUE;
        text_parse(resp_r, token_rest(&t));
        return;
    }
    if (token_peek(&t) == '[') {
        resp_r->kind = RESP_STATUS;
        text_parse(resp_r, token_rest(&t));
        return;
    }
    if (!token_word(&t, &word))
        return;
    resp_r->tag = tag_number(word);
    if (!token_word(&t, &word) || !status_of(word, &resp_r->status) || resp_r->status > RESP_BAD) {
        resp_r->tag = 0;
    } else if (resp_r->tag) {
        resp_r->kind = RESP_TAGGED;
        text_parse(resp_r, token_rest(&t));
    } else {
        resp_r->foreign = true;
    }
}
