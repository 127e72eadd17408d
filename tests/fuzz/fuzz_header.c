/* test: move
 * A message's header: its key for finding it again, and what people are told of it. */
#include "engine/message/header.h"
#include "engine/message/match.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void text(const char *s, size_t cap)
{
    if (memchr(s, '\0', cap) == NULL)
        abort();
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = calloc(1, size + !size);
    struct slice header = slice_of(copy, size);
    uint8_t key[MATCH_KEY_BYTES], again[MATCH_KEY_BYTES];
    struct message_note note;
    char out[100];

    if (size)
        memcpy(copy, data, size);
    match_key(header, key);
    match_key(header, again);
    if (memcmp(key, again, sizeof key) != 0 || (key[0] != 'M' && key[0] != 'D' && key[0] != 'E'))
        abort();
    header_note(header, &note);
    text(note.subject, sizeof note.subject);
    text(note.message_id, sizeof note.message_id);
    text(note.date, sizeof note.date);
    header_text(header, out, sizeof out);
    text(out, sizeof out);
    free(copy);
    return 0;
}
