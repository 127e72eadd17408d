#include "engine/rules/names_parents.h"

static bool is_listed(struct names_index *listed, struct slice raw, size_t size)
{
    return names_index_find(listed, slice_first(raw, size)) != NAMES_INDEX_NONE ||
           names_index_find(listed, slice_first(raw, size + 1)) != NAMES_INDEX_NONE;
}

void names_parents_missing(struct names_index *listed, struct slice raw, char delimiter,
                           struct names_index *asked, struct settings_list *parents_r)
{
    if (!delimiter)
        return;
    /* A delimiter at the end (error C1) ends no parent, and one at the beginning (N02) names none.
     */
    while (raw.size && raw.data[raw.size - 1] == delimiter)
        raw.size--;
    for (size_t size = 1; size < raw.size; size++) {
        struct slice parent = slice_first(raw, size);

        if (raw.data[size] != delimiter || raw.data[size - 1] == delimiter ||
            slice_equal_nocase(parent, SLICE("INBOX")) || is_listed(listed, raw, size) ||
            !names_index_add(asked, parent, parents_r->count))
            continue;
        settings_list_add(parents_r, parent);
    }
}
