/* Where mail is read from. Read this header first: it is all that what copies, lists, compares or exports mail knows
 * of the place the mail is in. engine/mailbox/imap reads from an IMAP session, engine/mailbox/disk from a Maildir
 * tree on a disk; another kind of place is one more table of operations, and traits.
 *
 * What a source has is what IMAP has (RFC 9051 2.3): folders with raw names, and in each folder messages with numbers
 * (UIDs) that only grow, are never given twice and stay the same as long as the folder's UIDVALIDITY does. Who has
 * read a message under its number need not read it again, in this run or a later one: that is what a migration that
 * goes on the next night is built upon, so a kind of place without such numbers has to make them, and keep them.
 *
 * A source is one connection: at most one folder is open in it, and what is asked of that folder waits until what was
 * asked of the one before has ended. Each `ended` is called exactly once: err NULL, or why it failed, with class and
 * scope as engine/failure/trouble judges them. Everything belongs to one loop's thread, and
 * nothing here blocks. Slices are borrowed for the call, in both directions; events until `ended`.
 *
 * Both sides of a migration can be read so: `verify` compares a target with what it was filled from.
 */
#ifndef ENGINE_MAILBOX_SOURCE_H
#define ENGINE_MAILBOX_SOURCE_H

#include "engine/imap/session.h"

struct source;

/* What the source is like, once it is there; nothing else of its kind is asked about. */
struct source_traits {
    enum session_list_form list_form; /* the richest form of a list of folders that it takes */
    uint32_t set_max;                 /* messages that one command may be about, 0: any number (RFC 9738) */
    bool modseq;                      /* what changed since a MODSEQ can be asked for (RFC 7162) */
    bool labels;                      /* folders are labels: a message may be in several of them (Gmail's X-GM-EXT-1) */
};

struct source_ops {
    /* ---- folders --------------------------------------------------------------------------- */

    /* Where the user's own folders begin, and which are others': one row a namespace. */
    void (*namespaces)(struct source *source, void (*row)(void *context, const struct session_namespace *ns),
                       session_ended *ended, void *context);
    /* Folders by a pattern of LIST: "*", "A/%", or one name. status may be NULL; else it is called for rows whose
     * numbers are told with them (items: IMAP_STATUS_ bits). */
    void (*list)(struct source *source, enum session_list_form form, struct slice pattern, unsigned status_items,
                 void (*row)(void *context, const struct imap_list_row *row),
                 void (*status)(void *context, struct slice name, const struct imap_status *status),
                 session_ended *ended, void *context);
    /* Numbers of a folder that is not open. */
    void (*status)(struct source *source, struct slice name, unsigned status_items,
                   void (*answer)(void *context, const struct imap_status *status), session_ended *ended,
                   void *context);
    /* Opens a folder in place of the one that is open. read_only false: as a last resort, for one that does not open
     * otherwise; nothing is changed in it by what follows. answer comes before ended. */
    void (*open)(struct source *source, struct slice name, bool read_only,
                 void (*answer)(void *context, const struct imap_selected *selected), session_ended *ended,
                 void *context);

    /* ---- messages of the open folder --------------------------------------------------------- */

    /* UIDs, flags, dates and sizes of a set ("1:500", "7:*", "*" for the highest), in ascending order where the place
     * knows one; with header_fields ("MESSAGE-ID DATE") also these. */
    void (*rows)(struct source *source, struct slice set, struct slice header_fields,
                 void (*row)(void *context, const struct imap_message_row *row), session_ended *ended, void *context);
    /* UIDs and flags of a set, of those alone that changed after changed_since where that is not 0 (only with the trait
     * modseq). NULL: `rows` tells them as cheaply. */
    void (*flags)(struct source *source, struct slice set, uint64_t changed_since,
                  void (*row)(void *context, const struct imap_message_row *row), session_ended *ended, void *context);
    /* Which messages of the set are there, as ranges. set "": the whole folder. */
    void (*search)(struct source *source, struct slice set, void (*range)(void *context, uint32_t first, uint32_t last),
                   session_ended *ended, void *context);
    /* SESSION_SEARCH_ bits, inside search's ended. */
    unsigned (*search_told)(const struct source *source);
    /* Bodies of a set of at most 1,000 bytes, streamed in pieces; first and count: of which part, for the form
     * PARTIAL. A source that has a body in one form has it in all. */
    void (*bodies)(struct source *source, struct slice set, enum session_body_form form, uint64_t first, uint64_t count,
                   const struct session_body_events *events, session_ended *ended, void *context);
    /* Inside events' end: there was no body, rather than an empty one. */
    bool (*body_nil)(const struct source *source);
    /* Rows that could not be read so far: each cost itself alone. */
    unsigned (*damaged_count)(const struct source *source);

    /* ---- the connection ---------------------------------------------------------------------- */

    /* From inside a callback: ends the connection, since nobody can go on with what it gives. */
    void (*give_up)(struct source *source, const char *why);
    /* What is kept of its lists is counted in this, or NULL. */
    struct quota_part *(*memory)(const struct source *source);
    /* A command that ends now ends because the connection did. */
    bool (*is_over)(const struct source *source);
};

/* The head of each kind's own struct. */
struct source {
    const struct source_ops *ops;
    struct source_traits traits;
};

static inline void source_namespaces(struct source *source,
                                     void (*row)(void *context, const struct session_namespace *ns),
                                     session_ended *ended, void *context)
{
    source->ops->namespaces(source, row, ended, context);
}

static inline void source_list(struct source *source, enum session_list_form form, struct slice pattern,
                               unsigned status_items, void (*row)(void *context, const struct imap_list_row *row),
                               void (*status)(void *context, struct slice name, const struct imap_status *status),
                               session_ended *ended, void *context)
{
    source->ops->list(source, form, pattern, status_items, row, status, ended, context);
}

static inline void source_status(struct source *source, struct slice name, unsigned status_items,
                                 void (*answer)(void *context, const struct imap_status *status), session_ended *ended,
                                 void *context)
{
    source->ops->status(source, name, status_items, answer, ended, context);
}

static inline void source_open(struct source *source, struct slice name, bool read_only,
                               void (*answer)(void *context, const struct imap_selected *selected),
                               session_ended *ended, void *context)
{
    source->ops->open(source, name, read_only, answer, ended, context);
}

static inline void source_rows(struct source *source, struct slice set, struct slice header_fields,
                               void (*row)(void *context, const struct imap_message_row *row), session_ended *ended,
                               void *context)
{
    source->ops->rows(source, set, header_fields, row, ended, context);
}

static inline void source_flags(struct source *source, struct slice set, uint64_t changed_since,
                                void (*row)(void *context, const struct imap_message_row *row), session_ended *ended,
                                void *context)
{
    if (source->ops->flags)
        source->ops->flags(source, set, changed_since, row, ended, context);
    else
        source->ops->rows(source, set, SLICE(""), row, ended, context);
}

static inline void source_search(struct source *source, struct slice set,
                                 void (*range)(void *context, uint32_t first, uint32_t last), session_ended *ended,
                                 void *context)
{
    source->ops->search(source, set, range, ended, context);
}

static inline unsigned source_search_told(const struct source *source)
{
    return source->ops->search_told(source);
}

static inline void source_bodies(struct source *source, struct slice set, enum session_body_form form, uint64_t first,
                                 uint64_t count, const struct session_body_events *events, session_ended *ended,
                                 void *context)
{
    source->ops->bodies(source, set, form, first, count, events, ended, context);
}

static inline bool source_body_nil(const struct source *source)
{
    return source->ops->body_nil(source);
}

static inline unsigned source_damaged_count(const struct source *source)
{
    return source->ops->damaged_count(source);
}

static inline void source_give_up(struct source *source, const char *why)
{
    source->ops->give_up(source, why);
}

static inline struct quota_part *source_memory(const struct source *source)
{
    return source->ops->memory(source);
}

static inline bool source_is_over(const struct source *source)
{
    return source->ops->is_over(source);
}

#endif
