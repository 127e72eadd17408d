#include "engine/mailbox/imap/imap_source.h"

#include <stdio.h>

/* A set of UIDs as the criterion of a search: at most the 1,000 bytes that a set has, and "UID ". */
#define CRITERIA_BYTES 1024

static struct session *session_of(const struct source *source)
{
    return ((const struct imap_source *)source)->session;
}

static void namespaces(struct source *source, void (*row)(void *context, const struct session_namespace *ns),
                       session_ended *ended, void *context)
{
    session_namespaces(session_of(source), row, ended, context);
}

static void list(struct source *source, enum session_list_form form, struct slice pattern, unsigned status_items,
                 void (*row)(void *context, const struct imap_list_row *row),
                 void (*status)(void *context, struct slice name, const struct imap_status *status),
                 session_ended *ended, void *context)
{
    session_list(session_of(source), form, pattern, status_items, row, status, ended, context);
}

static void status(struct source *source, struct slice name, unsigned status_items,
                   void (*answer)(void *context, const struct imap_status *status), session_ended *ended, void *context)
{
    session_status(session_of(source), name, status_items, answer, ended, context);
}

static void open(struct source *source, struct slice name, bool read_only,
                 void (*answer)(void *context, const struct imap_selected *selected), session_ended *ended,
                 void *context)
{
    session_select(session_of(source), name, read_only, answer, ended, context);
}

static void rows(struct source *source, struct slice set, struct slice header_fields,
                 void (*row)(void *context, const struct imap_message_row *row), session_ended *ended, void *context)
{
    session_fetch_rows(session_of(source), set, header_fields, row, ended, context);
}

static void flags(struct source *source, struct slice set, uint64_t changed_since,
                  void (*row)(void *context, const struct imap_message_row *row), session_ended *ended, void *context)
{
    session_fetch_flags(session_of(source), set, changed_since, row, ended, context);
}

static void search(struct source *source, struct slice set, void (*range)(void *context, uint32_t first, uint32_t last),
                   session_ended *ended, void *context)
{
    char criteria[CRITERIA_BYTES] = "ALL";

    if (set.size)
        snprintf(criteria, sizeof criteria, "UID %.*s", (int)(set.size & 0xfff), set.data);
    session_search(session_of(source), slice_cstr(criteria), range, ended, context);
}

static unsigned search_told(const struct source *source)
{
    return session_search_told(session_of(source));
}

static void bodies(struct source *source, struct slice set, enum session_body_form form, uint64_t first, uint64_t count,
                   const struct session_body_events *events, session_ended *ended, void *context)
{
    session_fetch_bodies(session_of(source), set, form, first, count, events, ended, context);
}

static bool body_nil(const struct source *source)
{
    return session_body_nil(session_of(source));
}

static unsigned damaged_count(const struct source *source)
{
    return session_damaged_count(session_of(source));
}

static void give_up(struct source *source, const char *why)
{
    session_give_up(session_of(source), why);
}

static struct quota_part *memory(const struct source *source)
{
    return session_memory(session_of(source));
}

static bool is_over(const struct source *source)
{
    return session_is_over(session_of(source));
}

static const struct source_ops imap_ops = {
    .namespaces = namespaces,
    .list = list,
    .status = status,
    .open = open,
    .rows = rows,
    .flags = flags,
    .search = search,
    .search_told = search_told,
    .bodies = bodies,
    .body_nil = body_nil,
    .damaged_count = damaged_count,
    .give_up = give_up,
    .memory = memory,
    .is_over = is_over,
};

void imap_source_init(struct imap_source *imap, struct session *session)
{
    *imap = (struct imap_source){ .source.ops = &imap_ops, .session = session };
}

void imap_source_ready(struct imap_source *imap)
{
    const struct caps *caps = session_caps(imap->session);

    imap->source.traits = (struct source_traits){
        .list_form = !caps_has(caps, CAP_LIST_EXTENDED) && caps_has(caps, CAP_XLIST) ? SESSION_LIST_XLIST
                                                                                     : SESSION_LIST_EXTENDED,
        .set_max = caps->messagelimit,
        .modseq = caps_has(caps, CAP_CONDSTORE),
        .labels = caps_has(caps, CAP_X_GM_EXT_1),
    };
}
