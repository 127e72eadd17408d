/* test: store
 * A spool's records, as they would come from a damaged or a foreign file. */
#include "store/codec.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t sum;

static void touch(struct slice s)
{
    for (size_t i = 0; i < s.size; i++)
        sum += (unsigned char)s.data[i];
}

static void text(const char *s, size_t cap)
{
    if (memchr(s, '\0', cap) == NULL)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t key_size = size ? (data[0] & 0x7f) % 24 : 0;
    union {
        struct user_record user;
        struct folder_record folder;
        struct message_record message;
        struct message_note note;
        struct failure_record failure;
        struct problem_record problem;
        struct share_record share;
        uint64_t samples[12], number;
    } u;
    struct slice key, value;
    uint32_t check = 0x811c9dc5u;
    char *copy;

    if (size < 1 + key_size || size > 65536)
        return 0;
    copy = malloc(size + 4);
    memcpy(copy, data + 1, size - 1);
    key = slice_of(copy, key_size);
    value = slice_of(copy + key_size, size - 1 - key_size);
    if (data[0] & 0x80) {
        /* With the checksum that the record would have, or none would pass. */
        for (size_t i = 0; i < size - 1; i++)
            check = (check ^ (uint8_t)copy[i]) * 0x01000193u;
        for (unsigned i = 0; i < 4; i++)
            copy[size - 1 + i] = (char)(check >> (24 - 8 * i));
        value.size += 4;
    }
    if (decode_user(key, value, &u.user)) {
        text(u.user.failure, sizeof u.user.failure);
        touch(u.user.address);
        touch(u.user.user_name);
        touch(u.user.opaque);
    }
    if (decode_folder(key, value, &u.folder)) {
        text(u.folder.role, sizeof u.folder.role);
        touch(u.folder.source_raw);
        touch(u.folder.source_name);
        touch(u.folder.target_raw);
        touch(u.folder.target_name);
    }
    if (decode_message(key, value, &u.message)) {
        if (u.message.state == 0 || u.message.state >= MESSAGE_STATE_COUNT || u.message.reason >= SKIP_REASON_COUNT)
            abort();
        touch(u.message.keywords);
    }
    if (decode_note(key, value, &u.note)) {
        text(u.note.subject, sizeof u.note.subject);
        text(u.note.message_id, sizeof u.note.message_id);
        text(u.note.date, sizeof u.note.date);
    }
    if (decode_failure(key, value, &u.failure)) {
        text(u.failure.type, sizeof u.failure.type);
        text(u.failure.doing, sizeof u.failure.doing);
        text(u.failure.server_text, sizeof u.failure.server_text);
        text(u.failure.advice, sizeof u.failure.advice);
        text(u.failure.folder_name, sizeof u.failure.folder_name);
    }
    if (decode_problem(key, value, &u.problem)) {
        text(u.problem.type, sizeof u.problem.type);
        text(u.problem.text, sizeof u.problem.text);
        text(u.problem.remedy, sizeof u.problem.remedy);
    }
    if (decode_share(key, value, &u.share))
        sum++;
    if (decode_number(key, value, &u.number))
        sum++;
    if (decode_sample(key, value, u.samples))
        sum++;
    free(copy);
    return 0;
}
