#include "engine/config/nearest.h"

#include <stdio.h>

#define WORD_MAX 48 /* longer words are not slips of any name we have */

static unsigned char fold(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Optimal string alignment distance; both at most WORD_MAX bytes. */
static unsigned slips_between(struct slice a, struct slice b)
{
    unsigned row[WORD_MAX + 1][WORD_MAX + 1];

    for (unsigned i = 0; i <= a.size; i++)
        row[i][0] = i;
    for (unsigned j = 0; j <= b.size; j++)
        row[0][j] = j;
    for (unsigned i = 1; i <= a.size; i++) {
        for (unsigned j = 1; j <= b.size; j++) {
            unsigned char x = fold(a.data[i - 1]), y = fold(b.data[j - 1]);
            unsigned slips = least(row[i - 1][j] + 1, row[i][j - 1] + 1);

            slips = least(slips, row[i - 1][j - 1] + (x != y));
            if (i > 1 && j > 1 && x == fold(b.data[j - 2]) && y == fold(a.data[i - 2]))
                slips = least(slips, row[i - 2][j - 2] + 1);
            row[i][j] = slips;
        }
    }
    return row[a.size][b.size];
}

void nearest_init(struct nearest *n, struct slice word)
{
    *n = (struct nearest){ word, NULL, 0 };
}

void nearest_offer(struct nearest *n, const char *candidate)
{
    struct slice name = slice_cstr(candidate);
    unsigned slips, allowed;

    if (n->word.size == 0 || n->word.size > WORD_MAX || name.size > WORD_MAX)
        return;
    /* A third of the letters may be wrong, so that "tsl" finds "tls" and "xyz" finds nothing. */
    allowed = (unsigned)(name.size < n->word.size ? name.size : n->word.size) / 3;
    if (allowed == 0)
        allowed = 1;
    slips = slips_between(n->word, name);
    /* A word that is the beginning of one name is near, however much is missing. */
    if (n->word.size >= 3 && slice_starts_nocase(name, n->word) && slips > allowed)
        slips = allowed;
    if (slips <= allowed && (!n->best || slips < n->slips)) {
        n->best = candidate;
        n->slips = slips;
    }
}

const char *nearest_text(const struct nearest *n, const char *prefix, const char *suffix, char *out, size_t cap)
{
    if (n->best)
        snprintf(out, cap, "; did you mean %s%s%s?", prefix, n->best, suffix);
    else
        out[0] = '\0';
    return out;
}
