#include "engine/imap/keyword.h"

#define PLAIN_WORD_BYTES_MAX 50u /* Dovecot's mail_max_keyword_length */
#define PLAIN_BYTES_MAX      200u

bool keyword_is_atom(struct slice word)
{
    for (size_t i = 0; i < word.size; i++) {
        unsigned char c = (unsigned char)word.data[i];

        if (c <= ' ' || c >= 0x7F || strchr("(){%*\"\\]", c))
            return false;
    }
    return word.size > 0;
}

size_t keywords_clean(struct slice words, size_t max, char *out, unsigned *dropped_r)
{
    struct slice word;
    size_t used = 0;

    while (slice_split(&words, ' ', &word)) {
        size_t space = used ? 1 : 0;

        if (word.size == 0)
            continue;
        if (!keyword_is_atom(word) || word.size + space > max - used) {
            ++*dropped_r;
            continue;
        }
        if (space)
            out[used++] = ' ';
        memcpy(out + used, word.data, word.size);
        used += word.size;
    }
    return used;
}

static bool is_plain(unsigned char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c && strchr("$_-.+", c));
}

bool keywords_are_plain(struct slice words)
{
    struct slice word;

    if (words.size > PLAIN_BYTES_MAX)
        return false;
    while (slice_split(&words, ' ', &word)) {
        if (word.size > PLAIN_WORD_BYTES_MAX)
            return false;
        for (size_t i = 0; i < word.size; i++)
            if (!is_plain((unsigned char)word.data[i]))
                return false;
    }
    return true;
}
