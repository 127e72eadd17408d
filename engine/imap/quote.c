#include "engine/imap/quote.h"

enum quote_form quote_form(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];

        if (c >= 0x80 || c == '\r' || c == '\n' || c == '\0')
            return QUOTE_LITERAL;
    }
    return QUOTE_QUOTED;
}

bool quote_append(struct buf *out, struct slice text)
{
    if (!buf_append(out, SLICE("\"")))
        return false;
    for (size_t i = 0; i < text.size; i++) {
        bool escape = text.data[i] == '"' || text.data[i] == '\\';

        if ((escape && !buf_append(out, SLICE("\\"))) || !buf_append(out, slice_of(text.data + i, 1)))
            return false;
    }
    return buf_append(out, SLICE("\""));
}

bool quote_literal_head(struct buf *out, struct slice text, bool nonsync, bool *waits_r)
{
    *waits_r = !nonsync || slice_has_line_end(text);
    return buf_append_format(out, "{%zu%s}\r\n", text.size, *waits_r ? "" : "+");
}
