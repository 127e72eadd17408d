/* What nobody sees in a cell that was pasted from a web page or a mail: no-break spaces, zero width spaces, byte-order
 * marks. By Unicode's properties White_Space and Default_Ignorable_Code_Point.
 */
#ifndef ENGINE_CONFIG_INVISIBLE_H
#define ENGINE_CONFIG_INVISIBLE_H

#include "io/base/slice.h"

/* Without what is not seen, blanks among it, at both ends. text: UTF-8. */
struct slice invisible_trim(struct slice text);
/* The first character that is not seen and is no ASCII blank; 0 when there is none. */
uint32_t invisible_in(struct slice text);

/* The first typographic quote or apostrophe, which a word processor puts in place of a plain one; 0 when there is none.
 */
uint32_t invisible_quote_in(struct slice text);

#endif
