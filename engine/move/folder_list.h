/* One side's folders, however its server has to be asked for them: NAMESPACE, then LIST in the
 * richest form that the server takes, in a plainer one where that is refused or shows nothing
 * (quirks N07, N09), and level by level where the whole cannot be had (N08: Zimbra fails the whole
 * LIST for one broken link). A branch that cannot be listed costs that branch. INBOX is there
 * whether it is shown or not (N12); a row that comes twice is one (N28).
 *
 * The list is its owner's and outlives connections: after one was lost, folder_list_ask goes on with
 * the next one, and remembers which question ended it.
 */
#ifndef ENGINE_MOVE_FOLDER_LIST_H
#define ENGINE_MOVE_FOLDER_LIST_H

#include "engine/folders/names.h"
#include "engine/folders/names_index.h"
#include "engine/mailbox/source.h"

/* More are not kept: quirk rule 11. */
#define FOLDER_LIST_ROWS_MAX  100000u
#define FOLDER_LIST_BYTES_MAX (64u << 20) /* of their names */
/* LIST commands of one descent. */
#define FOLDER_LIST_ASKS_MAX 20000u
#define FOLDER_LIST_GAPS_MAX 100u

struct folder_list_row {
    char *raw; /* bytes for SELECT */
    char delimiter;
    unsigned attributes;       /* IMAP_MAILBOX_ bits */
    struct imap_status status; /* has 0: not told */
};

/* What the rows do not show. */
struct folder_list_gap {
    char *raw;      /* the folder below which something may be missing; "": anywhere */
    struct err err; /* why, with the server's words */
};

struct folder_list {
    struct folder_list_row *rows;
    unsigned count, room;
    size_t bytes;                 /* of their names */
    struct quota_hold held;       /* by all that is made of the rows */
    char *prefix;                 /* personal namespace, raw; NULL: not told */
    char delimiter;               /* the namespace's, else the first row's */
    struct settings_list foreign; /* prefixes of other users' and shared namespaces, raw */
    struct folder_list_gap *gaps;
    unsigned gap_count;
    bool inbox_supposed; /* no LIST showed INBOX, which is among the rows all the same */
    bool cut;            /* there are more than FOLDER_LIST_ROWS_MAX or FOLDER_LIST_BYTES_MAX; a gap says so */
    bool foreign_cut;    /* more namespaces were told than are kept; a gap says so */
    uint64_t looks;      /* table slots looked at so far, for tests that count work */

    /* how it is asked: folder_list.c's own */
    struct source *source;
    bool (*usable)(void *context);
    void (*ended)(void *context, const struct err *err);
    void *context;
    bool exchange, thorough, plain;
    bool no_namespaces; /* a connection ended at NAMESPACE (L02) */
    enum { FOLDER_LIST_WHOLE, FOLDER_LIST_REPAIR, FOLDER_LIST_DESCENT, FOLDER_LIST_PARENTS } shape;
    unsigned status_items, asks, at, losses;
    unsigned *branches; /* REPAIR: rows that say they have children, of which none was shown */
    unsigned branch_count;
    unsigned barren_sought;       /* among so many rows */
    struct settings_list parents; /* PARENTS: raw names that lie above rows and are not among them */
    bool by_status;               /* PARENTS: the one at `at` is not listed alone either */
    unsigned inbox;               /* 1 + the row that is INBOX in any case; 0: none */
    struct names_index raws;
};

/* Empty. exchange: the server is Exchange Online, which takes the plain form alone. thorough: a
 * folder that says it has children and shows none is asked once more, and a parent that is not shown is asked
 * for by its name, by LIST, then by STATUS (the right to see it is another than the one to read it, RFC 4314
 * section 4), for no mail may be missed.
 * status_items: IMAP_STATUS_ bits wanted beside the rows, where the server has LIST-STATUS; 0:
 * none. */
void folder_list_init(struct folder_list *folder_list, bool exchange, bool thorough, unsigned status_items);
void folder_list_deinit(struct folder_list *folder_list);

/* Begins, or goes on after a lost connection, on a session that is ready. usable: whether commands
 * may still be started on it; asked between two commands, and told from it whether an error was the
 * connection's. ended is called once: err NULL, all is there but what `gaps` names; else nothing of
 * it is to be used, and err is the server's answer or the connection's end. */
void folder_list_ask(struct folder_list *folder_list, struct source *source, bool (*usable)(void *context),
                     void (*ended)(void *context, const struct err *err), void *context);

/* By its very bytes; INBOX in any case. NULL: none. */
struct folder_list_row *folder_list_find(struct folder_list *folder_list, struct slice raw);

/* What names_describe takes; the rows' texts are copies. malloc'ed, names_source_deinit each. */
struct names_source *folder_list_sources(const struct folder_list *folder_list);
/* What names_map takes, borrowed from the folder_list; malloc'ed. */
struct names_target *folder_list_targets(const struct folder_list *folder_list);

#endif
