/* Parents of folders that a list does not show (quirk N03, error C2). */
#ifndef ENGINE_FOLDERS_NAMES_PARENTS_H
#define ENGINE_FOLDERS_NAMES_PARENTS_H

#include "engine/folders/names_index.h"
#include "engine/settings/settings.h"

/* Adds to parents_r, outermost first, what raw lies below and `listed` (raw names) does not have,
 * neither as it is nor with the delimiter at its end. INBOX in any case and empty levels are no
 * parents to look for, nor is a name that no folder of the journal could have (NAMES_KEPT_BYTES_MAX).
 * asked remembers what was added, so that one that many folders lie below comes once. Nothing without a
 * delimiter. False when parents_r would have become longer than `most`, and some were left out. The work
 * grows with the number of names, whatever the number of their levels. */
bool names_parents_missing(struct names_index *listed, struct slice raw, char delimiter, struct names_index *asked,
                           size_t most, struct settings_list *parents_r);

#endif
