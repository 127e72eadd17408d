#include "engine/folders/names_parents.h"

#include "engine/folders/names_text.h"

static bool is_listed(struct names_index *listed, struct slice raw, size_t size)
{
    return names_index_find(listed, slice_first(raw, size)) != NAMES_INDEX_NONE ||
           names_index_find(listed, slice_first(raw, size + 1)) != NAMES_INDEX_NONE;
}

/* The next level above the first `size` bytes of raw that is one; 0: none. */
static size_t level_above(struct slice raw, char delimiter, size_t size)
{
    while (size > 1) {
        size--;
        if (raw.data[size] == delimiter && raw.data[size - 1] != delimiter)
            return size;
    }
    return 0;
}

bool names_parents_missing(struct names_index *listed, struct slice raw, char delimiter, struct names_index *asked,
                           size_t most, struct settings_list *parents_r)
{
    size_t size, known = 0;

    if (!delimiter)
        return true;
    /* A delimiter at the end (error C1) ends no parent, and one at the beginning (N02) names none.
     */
    while (raw.size && raw.data[raw.size - 1] == delimiter)
        raw.size--;
    /* Upwards to one that is a row itself, or was asked for: what lies above it was, or will be, looked at
     * with that. */
    for (size = raw.size; (size = level_above(raw, delimiter, size)) > 0;) {
        if (size > NAMES_KEPT_BYTES_MAX)
            continue;
        if (is_listed(listed, raw, size) || names_index_find(asked, slice_first(raw, size)) != NAMES_INDEX_NONE) {
            known = size;
            break;
        }
    }
    for (size = known + 1; size < raw.size && size <= NAMES_KEPT_BYTES_MAX; size++) {
        struct slice parent = slice_first(raw, size);

        if (raw.data[size] != delimiter || raw.data[size - 1] == delimiter ||
            slice_equal_nocase(parent, SLICE("INBOX")))
            continue;
        if (parents_r->count >= most)
            return false;
        if (names_index_add(asked, parent, parents_r->count))
            settings_list_add(parents_r, parent);
    }
    return true;
}
