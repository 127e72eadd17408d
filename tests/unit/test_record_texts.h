/* Every text field of the records in store/record.h, in one table: what a server, a mail or an old journal may fill.
 * record_texts_are_all holds the table against the header, so that a new field is not forgotten. Include after
 * cmocka.h; every function is static.
 */
#ifndef TESTS_UNIT_TEST_RECORD_TEXTS_H
#define TESTS_UNIT_TEST_RECORD_TEXTS_H

#include "io/base/mem.h"
#include "store/codec.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#pragma GCC diagnostic ignored "-Wunused-function"

/* Past its bound a text is cut, or there is no record. */
enum text_fate { TEXT_CUT, TEXT_REFUSED };

struct record_text {
    const char *record, *field;
    size_t offset;
    size_t cap; /* of char field[cap]; 0: a slice */
    size_t max; /* bytes that are kept */
    enum text_fate fate;
};

#define TEXT_FIXED(record, field)                                                                                      \
    {                                                                                                                  \
#record, #field, offsetof(struct record, field), sizeof(((struct record *)0)->field),                          \
            sizeof(((struct record *)0)->field) - 1, TEXT_CUT                                                          \
    }
#define TEXT_SLICE(record, field, max, fate)                                                                           \
    {                                                                                                                  \
#record, #field, offsetof(struct record, field), 0, max, fate                                                  \
    }

static const struct record_text record_texts[] = {
    TEXT_FIXED(user_record, failure),
    TEXT_SLICE(user_record, address, KEYS_ADDRESS_BYTES_MAX, TEXT_REFUSED),
    TEXT_SLICE(user_record, user_name, CODEC_USER_NAME_BYTES_MAX, TEXT_REFUSED),
    TEXT_SLICE(user_record, opaque, CODEC_OPAQUE_BYTES_MAX, TEXT_REFUSED),
    TEXT_FIXED(folder_record, role),
    TEXT_SLICE(folder_record, source_raw, CODEC_NAME_BYTES_MAX, TEXT_REFUSED),
    TEXT_SLICE(folder_record, source_name, CODEC_NAME_BYTES_MAX, TEXT_CUT),
    TEXT_SLICE(folder_record, target_raw, CODEC_NAME_BYTES_MAX, TEXT_REFUSED),
    TEXT_SLICE(folder_record, target_name, CODEC_NAME_BYTES_MAX, TEXT_CUT),
    TEXT_SLICE(message_record, keywords, CODEC_KEYWORDS_BYTES_MAX, TEXT_CUT),
    TEXT_SLICE(follow_flags, keywords, CODEC_KEYWORDS_BYTES_MAX, TEXT_CUT),
    TEXT_FIXED(message_note, subject),
    TEXT_FIXED(message_note, message_id),
    TEXT_FIXED(message_note, date),
    TEXT_FIXED(failure_record, type),
    TEXT_FIXED(failure_record, doing),
    TEXT_FIXED(failure_record, server_text),
    TEXT_FIXED(failure_record, advice),
    TEXT_FIXED(failure_record, folder_name),
    TEXT_FIXED(problem_record, type),
    TEXT_FIXED(problem_record, text),
    TEXT_FIXED(problem_record, remedy),
};
#define RECORD_TEXTS        (sizeof record_texts / sizeof *record_texts)
#define EACH_RECORD_TEXT(t) (const struct record_text *t = record_texts; t < record_texts + RECORD_TEXTS; t++)

/* Sets the field of *record to text[0..size): a slice borrows it, a fixed field takes what it holds, its last byte
 * as well. */
static void record_text_set(void *record, const struct record_text *t, const char *text, size_t size)
{
    struct slice slice = slice_of(text, size);
    char *at = (char *)record + t->offset;

    if (t->cap) {
        memset(at, 0, t->cap);
        memcpy(at, text, size < t->cap ? size : t->cap);
    } else {
        memcpy(at, &slice, sizeof slice);
    }
}

static struct slice record_text_get(const void *record, const struct record_text *t)
{
    const char *at = (const char *)record + t->offset;
    struct slice slice;

    if (t->cap)
        return slice_of(at, strnlen(at, t->cap));
    memcpy(&slice, at, sizeof slice);
    return slice;
}

static bool record_text_is_known(const char *record, struct slice field)
{
    for
        EACH_RECORD_TEXT(t)
    if (strcmp(t->record, record) == 0 && slice_equal(slice_cstr(t->field), field))
        return true;
    return false;
}

/* Looks at the declarators "a, b[40], c;" behind char or struct slice; returns how many are texts. */
static unsigned record_declared(const char *record, bool slices, const char *at)
{
    unsigned count = 0;

    while (*at && *at != ';') {
        size_t n = 0;

        while (*at == ' ' || *at == ',' || *at == '*')
            at++;
        while (isalnum((unsigned char)at[n]) || at[n] == '_')
            n++;
        if (n == 0)
            break;
        if (slices || at[n] == '[') {
            if (!record_text_is_known(record, slice_of(at, n)))
                fail_msg("%s.%.*s is not in the table of texts", record, (int)n, at);
            count++;
        }
        at += n + strcspn(at + n, ",;");
    }
    return count;
}

/* Every char array and slice of every struct in store/record.h stands in the table, and nothing else. */
static void record_texts_are_all(void **state)
{
    FILE *file = fopen(TESTS_FOLDER "/../store/record.h", "r");
    char line[512], record[64] = "";
    unsigned count = 0;

    (void)state;
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "struct %63[a-z_] {", record) == 1 && strchr(line, '{'))
            continue;
        if (line[0] == '}')
            record[0] = '\0';
        if (record[0] && strncmp(line, "    char ", 9) == 0)
            count += record_declared(record, false, line + 9);
        if (record[0] && strncmp(line, "    struct slice ", 17) == 0)
            count += record_declared(record, true, line + 17);
    }
    fclose(file);
    assert_int_equal(count, RECORD_TEXTS);
}

#endif
