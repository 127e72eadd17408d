/* UIDs that a source gave a second time, its UIDVALIDITY the same, as after a mailbox was put back from a backup: mail
 * that came since has numbers that the journal knows of other mail, and would be passed over. Before more of a known
 * folder is listed, the last messages that it can still hold are compared with what the journal says of them. */
#include "engine/imap/uidset.h"
#include "engine/message/match.h"
#include "engine/move/pull_private.h"
#include "io/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* So many of the highest UIDs: some may have been deleted. */
#define COMPARED 8u

struct compared {
    uint32_t uid;
    bool date_known;
    int64_t seconds;
    uint64_t listed_bytes;
    uint8_t key[MATCH_KEY_BYTES]; /* zero: not known */
};

struct reused {
    struct worker *worker;
    struct compared all[COMPARED];
    unsigned count;
    bool another; /* one of them is another message */
    void (*told)(struct worker *w, bool reused);
};

static bool take_one(void *context, const struct message_record *m)
{
    struct reused *r = context;
    struct compared *c = &r->all[r->count++];

    *c = (struct compared){ m->uid, m->date_known, m->date_seconds, m->listed_bytes, { 0 } };
    /* A mended message has the key of what was sent. */
    if (m->repairs == 0)
        memcpy(c->key, m->header_key, sizeof c->key);
    return true;
}

/* Two of date, size and header differ, of those that are known of both: one alone may be a server's whim. */
static bool is_another(const struct compared *c, const struct imap_message_row *row)
{
    unsigned differ = 0;
    uint8_t key[MATCH_KEY_BYTES];

    differ += c->date_known && row->date.known && c->seconds != row->date.seconds;
    differ += row->has_size && c->listed_bytes != row->size_bytes;
    if (c->key[0] && row->has_header) {
        match_key(row->header, key);
        differ += key[0] != 'E' && memcmp(key, c->key, sizeof key) != 0;
    }
    return differ >= 2;
}

static void row_told(void *context, const struct imap_message_row *row)
{
    struct reused *r = context;

    for (unsigned i = 0; i < r->count; i++)
        if (r->all[i].uid == row->uid)
            r->another |= is_another(&r->all[i], row);
}

static void ended(void *context, const struct err *err)
{
    struct reused *r = context;
    struct worker *w = r->worker;
    void (*told)(struct worker * w, bool reused) = r->told;
    bool another = r->another;

    free(r);
    if (err && (!link_is_ready(w->link) || err->class == ERR_CLASS_THROTTLED || err->scope > ERR_SCOPE_FOLDER))
        pull_step_failed(w, TROUBLE_FETCH, err);
    else
        told(w, !err && another); /* what it does not tell of those says nothing */
}

void pull_search_reused(struct worker *w, void (*told)(struct worker *w, bool reused))
{
    const struct pull *p = w->work;
    const struct folder_record *f = &w->folder->record;
    struct reused *r;
    unsigned all = 0;
    char text[COMPARED * 12 + 8];
    struct uidset set;
    struct err err;

    if (w->folder->list_began || f->uidnext_listed <= 1 || f->tally.found == 0 || p->uidnext <= 1 || p->exists == 0) {
        told(w, false);
        return;
    }
    for (unsigned s = MESSAGE_FOUND; s < MESSAGE_STATE_COUNT; s++)
        all |= 1u << s;
    r = mem_zero(1, sizeof *r);
    r->worker = w;
    r->told = told;
    if (!reader_messages(w->account->reactor->reader, f->user, f->folder, all, p->uidnext - 1, true, COMPARED, take_one,
                         r, &err)) {
        free(r);
        reactor_abort_run(w->account->reactor, &err);
        return;
    }
    if (r->count == 0) {
        free(r);
        told(w, false);
        return;
    }
    uidset_init(&set, text, sizeof text);
    for (unsigned i = r->count; i-- > 0;)
        (void)uidset_add(&set, r->all[i].uid);
    source_rows(link_source(w->link), uidset_finish(&set), SLICE("MESSAGE-ID DATE FROM SUBJECT"), row_told, ended, r);
}
