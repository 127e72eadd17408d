#include "engine/message/placeholder.h"

#include "engine/message/header.h"

bool placeholder_is(struct slice message, char *subject, size_t cap)
{
    size_t at, end;

    subject[0] = '\0';
    if (message.size > PLACEHOLDER_BYTES_MAX ||
        slice_find_nocase(header_field(message, SLICE("Subject")),
                          SLICE("Retrieval using the IMAP4 protocol failed for the following message")) == SIZE_MAX ||
        slice_find_nocase(header_field(message, SLICE("From")), SLICE("Microsoft Exchange Server")) == SIZE_MAX)
        return false;
    at = slice_find_nocase(message, SLICE("\r\nSubject: \""));
    if (at != SIZE_MAX) {
        message = slice_from(message, at + sizeof "\r\nSubject: \"" - 1);
        end = slice_find_nocase(message, SLICE("\"\r\n"));
        if (end != SIZE_MAX)
            header_text(slice_first(message, end), subject, cap);
    }
    return true;
}
