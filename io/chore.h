/* Computing that is too long for a loop, on helper threads: the cheapest first, so that what
 * somebody made costly does not hold up the rest. No more threads than two, whatever is asked for.
 */
#ifndef IO_CHORE_H
#define IO_CHORE_H

#include "io/loop.h"

struct chore;

struct chore_kind {
    void (*run)(void *work);                 /* on a helper thread; touches nothing but work */
    void (*done)(void *context, void *work); /* on the loop's thread, not inside chore_begin; owns work from here on */
    void (*drop)(void *work);                /* frees it in place of done, on any thread */
};

/* kind and context are borrowed until done or chore_cancel, kind also while a canceled one runs
 * (static); work is the chore's. cost: in any unit, the same for all. The chore ends with `done`.
 */
struct chore *chore_begin(struct loop *loop, const struct chore_kind *kind, uint64_t cost, void *work, void *context);
/* `done` does not come, and the loop may be destroyed afterwards. Nulls; NULL is fine. */
void chore_cancel(struct chore **chore);

#endif
