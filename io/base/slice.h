/* Text that is somebody else's: a pointer and a length, never terminated, any byte allowed.
 * ASCII case rules only, because that is what IMAP's grammar has. Owns nothing.
 */
#ifndef IO_BASE_SLICE_H
#define IO_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *data; /* borrowed; may be NULL when size is 0 */
    size_t size;      /* bytes */
};

#define SLICE(literal) ((struct slice){ "" literal, sizeof(literal) - 1 })

static inline struct slice slice_of(const char *data, size_t size)
{
    return (struct slice){ data, size };
}

/* text: a C string, or NULL for the empty slice. */
static inline struct slice slice_cstr(const char *text)
{
    return (struct slice){ text, text ? strlen(text) : 0 };
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* The bytes from `from` on; empty when from is past the end. */
static inline struct slice slice_from(struct slice s, size_t from)
{
    return from >= s.size ? (struct slice){ s.data, 0 } : (struct slice){ s.data + from, s.size - from };
}

/* At most the first `size` bytes. */
static inline struct slice slice_first(struct slice s, size_t size)
{
    return (struct slice){ s.data, size < s.size ? size : s.size };
}

/* Equality and order that fold A-Z only. */
bool slice_equal_nocase(struct slice a, struct slice b);
bool slice_starts(struct slice s, struct slice prefix);
bool slice_starts_nocase(struct slice s, struct slice prefix);
bool slice_ends(struct slice s, struct slice suffix);

/* Position of the first `byte` or `needle`, or SIZE_MAX. An empty needle is found at 0. */
size_t slice_find(struct slice s, char byte);
/* It holds CR or LF: it is no part of one line. */
static inline bool slice_has_line_end(struct slice s)
{
    return slice_find(s, '\r') != SIZE_MAX || slice_find(s, '\n') != SIZE_MAX;
}
size_t slice_find_nocase(struct slice s, struct slice needle);

/* Without blanks (space, tab, CR, LF) at both ends. */
struct slice slice_trim(struct slice s);

/* Reads a run of 1..20 decimal digits that is the whole slice. False when there is any other byte,
 * none at all, or the value does not fit; *value_r is then untouched. Leading zeros are fine. */
bool slice_u64(struct slice s, uint64_t *value_r);
bool slice_u32(struct slice s, uint32_t *value_r);

/* Splits off what precedes the first `byte` into *head_r and leaves what follows it in *rest.
 * False at the end, when *rest is empty; a missing separator gives all that is left. */
bool slice_split(struct slice *rest, char byte, struct slice *head_r);

/* A terminated copy from malloc, the caller's to free; ends the process when memory is out. */
char *slice_dup(struct slice s);
/* The same with A-Z folded: texts that slice_equal_nocase takes for equal become equal. */
char *slice_dup_folded(struct slice s);

#endif
