/* Which message of the target one of the journal is, where no UID was told: one whose header no
 * other has, here or there. */
#include "engine/move/follow_private.h"
#include "engine/move/headers.h"
#include "io/base/mem.h"

#include <stdlib.h>
#include <string.h>

struct follow_lacking {
    uint8_t key[MATCH_KEY_BYTES];
    unsigned item, rows, hits;
    uint32_t uid;
};

static int by_key(const void *a, const void *b)
{
    return memcmp(a, b, MATCH_KEY_BYTES);
}

static struct follow_lacking *lacking_at(const struct follow_job *j, const uint8_t key[MATCH_KEY_BYTES])
{
    return j->lacking_count ? bsearch(key, j->lacking, j->lacking_count, sizeof *j->lacking, by_key) : NULL;
}

/* A key that several have is told once, and has as many rows as the journal knows. */
static void lacking_sort(struct follow_job *j)
{
    unsigned kept = 0;

    j->lacking = mem_zero(j->count + 1u, sizeof *j->lacking);
    j->lacking_count = 0;
    for (unsigned i = 0; i < j->count; i++)
        if (j->items[i].target_uid == 0 && j->items[i].key[0] && j->items[i].key[0] != 'E') {
            memcpy(j->lacking[j->lacking_count].key, j->items[i].key, MATCH_KEY_BYTES);
            j->lacking[j->lacking_count++].item = i;
        }
    if (j->lacking_count)
        qsort(j->lacking, j->lacking_count, sizeof *j->lacking, by_key);
    for (unsigned i = 0; i < j->lacking_count; i++)
        if (kept == 0 || by_key(&j->lacking[kept - 1], &j->lacking[i]) != 0)
            j->lacking[kept++] = j->lacking[i];
    j->lacking_count = kept;
}

static bool count_row(void *context, const struct message_record *m)
{
    struct follow_lacking *l = lacking_at(context, m->header_key);

    if (l)
        l->rows++;
    return true;
}

static void header_opened(void *context, const struct imap_selected *selected)
{
    (void)context;
    (void)selected;
}

static void header_told(void *context, const struct imap_message_row *row)
{
    struct follow_job *j = context;
    uint8_t key[MATCH_KEY_BYTES];
    struct follow_lacking *l;

    match_key(row->header, key);
    l = lacking_at(j, key);
    if (!l || l->uid == row->uid)
        return;
    l->hits++;
    l->uid = row->uid;
}

static void headers_ended(void *context, const struct err *err)
{
    struct follow_job *j = context;

    if (err) {
        follow_fails(j, err);
        return;
    }
    /* One message here, one there: that is the same. */
    for (unsigned i = 0; i < j->lacking_count; i++)
        if (j->lacking[i].rows == 1 && j->lacking[i].hits == 1)
            j->items[j->lacking[i].item].target_uid = j->lacking[i].uid;
    for (unsigned i = 0; i < j->count; i++)
        if (j->items[i].target_uid == 0)
            j->items[i].end = FOLLOW_UNKNOWN;
    j->located = true;
    follow_select(j);
}

void follow_locate(struct follow_job *j)
{
    static const struct headers_events events = { header_opened, header_told, headers_ended };
    const struct folder_record *r = &j->folder->record;
    struct reactor *reactor = j->folder->account->reactor;
    struct err err;

    lacking_sort(j);
    if (!reader_messages(reactor->reader, r->user, r->folder, FOLLOW_ON_TARGET, 0, false, 0, count_row, j, &err)) {
        reactor_abort_run(reactor, &err);
        follow_over(j);
        return;
    }
    headers_list(link_source(j->worker->link), r->target_raw, 1, &events, j);
}
