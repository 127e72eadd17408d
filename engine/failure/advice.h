/* What a person is told about each type of failure and folder problem: what it means, what to do,
 * and, where Exchange's administrator is the one to do it, the PowerShell line. The one table of
 * types; trouble, check and the reports read it. Pure.
 */
#ifndef ENGINE_FAILURE_ADVICE_H
#define ENGINE_FAILURE_ADVICE_H

#include "store/record.h"

struct advice {
    const char *type;    /* "TooManyLargeItems" */
    const char *meaning; /* one sentence: what happened */
    const char *remedy;  /* one or two sentences: what to do */
    const char *command; /* PowerShell with {mailbox} for the address, or NULL */
    bool rerun;          /* running again may do, without anybody having changed something */
};

/* Never NULL: a type that is not in the table gets a general row, whose type is "". */
const struct advice *advice_find(const char *type);
/* Is it a doubt: nothing failed, but something could not be proved, so that the user is SyncedWithDoubts?
 * Earlier versions wrote some of them as plain remarks. */
bool advice_is_doubt(const struct problem_record *problem);
/* Row 0.. of the table, NULL past the end. */
const struct advice *advice_at(unsigned row);

/* May stand in a shell line unquoted: an address or an ID of plain letters, up to 64 bytes. */
bool advice_is_plain(struct slice address);

/* Remedy and command as one line into out[cap], cut at whole characters; returns out. With the
 * remedies of the table and an address of up to 64 bytes 256 bytes suffice. address: put in place
 * of {mailbox} when it is plain enough to stand in a shell line unquoted, else "<mailbox>" is; may be
 * empty. */
const char *advice_line(const char *type, struct slice address, char *out, size_t cap);

#endif
