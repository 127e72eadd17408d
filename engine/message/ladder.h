/* In which form a message's body is asked for, and in which next where that did not give it (quirks B5): one way for
 * all that read bodies, a run, verify, export and bench. Each form at most once; of a size that differs from the told
 * one another form is asked, and the first size that comes twice, or in the end whatever comes, is taken. Pure.
 */
#ifndef ENGINE_MESSAGE_LADDER_H
#define ENGINE_MESSAGE_LADDER_H

#include "engine/message/assembly.h"

/* How far a message has come; zero: it was not asked for yet. */
struct ladder {
    uint8_t tries;        /* forms that did not give it */
    bool any_size;        /* in whatever size it comes now it is taken */
    uint64_t other_bytes; /* another size than the told one, in which it came; 0: none */
    uint64_t torn_bytes;  /* the most that came of it where not all did */
};

/* The form to ask in now. writable: the folder was opened by SELECT, where the forms that would set \Seen are left
 * out. */
enum session_body_form ladder_form(const struct ladder *ladder, bool writable);
/* The same, and what a message in parts is put together by. bytes: its size as told, 0: it was not. */
enum session_body_form ladder_begin(const struct ladder *ladder, bool writable, uint64_t bytes, enum size_trust trust,
                                    struct assembly *parts_r);
/* The form that was asked in did not give it. */
void ladder_failed(struct ladder *ladder);
/* Of it so many bytes came, and not all. */
void ladder_tore(struct ladder *ladder, uint64_t bytes);
/* A whole body of `got` bytes came. False: it is asked for in another form first; ladder_failed is still to be called.
 */
bool ladder_takes(struct ladder *ladder, uint64_t bytes, uint64_t got, enum size_trust trust);
/* Every form was asked. */
bool ladder_is_through(const struct ladder *ladder, bool writable);
/* Is there another form to ask in? False: it cannot be had. */
bool ladder_goes_on(struct ladder *ladder, bool writable);

#endif
