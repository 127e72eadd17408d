/* A cursor over one logical line of server output (as `scan` cut it: text with its literals in
 * place), which takes it apart by structure. Tolerates what servers really send: runs of spaces,
 * any kind of string where a string is meant, NIL anywhere, unescaped quotes (quirk F15), numbers
 * that are none (F18, F19, F22). Slices point into the line. Owns nothing. RFC 9051 9.
 */
#ifndef ENGINE_IMAP_TOKEN_H
#define ENGINE_IMAP_TOKEN_H

#include "io/base/slice.h"

#define TOKEN_DEPTH_MAX 64 /* nested lists; deeper ones make the line unreadable */

/* In a logical line a literal is "{n}" CR LF and n bytes; one that went elsewhere as a stream, or
 * was over its cap, is this mark. No server can send it, since CR LF ends a line. */
#define TOKEN_GONE "{!}\r\n"

struct token {
    const char *at, *end;
};

enum token_kind {
    TOKEN_NIL,    /* the atom NIL */
    TOKEN_ATOM,   /* text up to a space or parenthesis */
    TOKEN_QUOTED, /* content between quotes, backslashes still inside when escaped */
    TOKEN_LITERAL,
    TOKEN_STREAMED, /* TOKEN_GONE */
};
struct token_string {
    enum token_kind kind;
    struct slice bytes;
    bool escaped; /* a quoted string that holds backslashes: see token_unescape */
};

struct token token_of(struct slice line);
bool token_done(struct token *t); /* nothing but spaces and line ends is left */
/* Takes byte c when it is next, after spaces. */
bool token_take(struct token *t, char c);
char token_peek(struct token *t); /* next byte after spaces, '\0' at the end */
struct slice token_rest(struct token *t);

/* Any string, atom or NIL. False at the end of the line, at a parenthesis, or when a literal is cut
 * off. */
bool token_string(struct token *t, struct token_string *string_r);
/* Atom characters up to space, parentheses or the line's end; brackets stay inside when balanced,
 * with what they hold ("BODY[HEADER.FIELDS (DATE)]<0>"). False when there is none. */
bool token_item(struct token *t, struct slice *word_r);
/* Up to the next space or parenthesis; may hold anything else. */
bool token_word(struct token *t, struct slice *word_r);
/* Number, quoted number or NIL: true when something was taken; *known_r false when it was no
 * number. -1 is 0. */
bool token_number(struct token *t, uint64_t *value_r, bool *known_r);
/* A parenthesised list: its inside (borrowed). False when none starts here or it does not end. */
bool token_list(struct token *t, struct slice *inside_r);
/* Skips one value: string, number, list. */
bool token_skip(struct token *t);

/* Writes the bytes of a string into out without its escapes; returns how many, cut at cap. */
size_t token_unescape(const struct token_string *string, char *out, size_t cap);

#endif
