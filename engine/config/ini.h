/* The batch file's lines: sections, keys, values, comments, quotes; libinih splits them. What a key
 * means is config_table's.
 *
 * A line is [section], key = value, or a comment that begins with ; or #. A ; after a blank begins
 * a comment too. Indentation means nothing, and : is an ordinary letter of a key, because folder
 * names have it. A key or an item that begins with a quote ends at the next one ("" is a quote in
 * it), and no ; or = inside counts.
 */
#ifndef ENGINE_CONFIG_INI_H
#define ENGINE_CONFIG_INI_H

#include "engine/config/text.h"
#include "io/base/err.h"
#include "io/base/slice.h"

#define CONFIG_INI_LINE_MAX 8000 /* bytes */

struct config_entry {
    struct slice section;
    struct slice key;   /* data NULL: the section begins here */
    struct slice value; /* quotes still in it; may be empty */
    unsigned line;      /* from 1 */
};

/* Calls entry for each section line and each key, in order. Slices are borrowed for the call. A line that entry
 * refuses, or that is none, becomes one of faults; what follows a section line that is none is passed over up to the
 * next one. Faults of its own: not UTF-8, a control byte, a line over the cap or
 * without =, a key before the first section; code 78, text "NAME:LINE: ...". Not for several
 * threads at once: libinih's line length is a global. */
void config_ini_read(struct slice text, const char *name,
                     bool (*entry)(void *context, const struct config_entry *e, struct err *err_r), void *context,
                     struct config_faults *faults);

#endif
