#include "engine/move/gmail.h"
#include "engine/move/push_private.h"

/* ---- what holds for a folder --------------------------------------------------------------- */

/* In a run the source has the first word on a folder: its UIDVALIDITY may make all we hold of it
 * worthless. */
static bool source_agrees(const struct folder *f)
{
    return f->account->reactor->settings->mode == SETTINGS_MODE_UPLOAD || f->pull >= PULL_BODIES;
}

bool push_has_mail(const struct folder *f)
{
    return !f->account->day_over[SIDE_TARGET] && !push_later_pauses(f) &&
           (f->ready.count > 0 || f->ready.more || push_pair_is_due(f) || push_later_is_due(f));
}

bool push_must_make(const struct folder *f)
{
    return f->target_raw && !f->exists_on_target && !gmail_is_view(f);
}

static bool wants_folder(const struct folder *f)
{
    return f->target_raw && f->push == PUSH_CLOSED && f->pushers == 0 && f->sending == 0 &&
           !loop_timer_is_set(&f->refused_again) && source_agrees(f) && (push_has_mail(f) || push_must_make(f));
}

/* An APPEND without an answer: when all others have theirs, one worker looks. */
static bool wants_look(const struct folder *f)
{
    return f->push == PUSH_SETTLING && f->sending == 0 && f->pushers == 0 && !loop_timer_is_set(&f->refused_again);
}

/* A target that tells no UIDs keeps a folder in one file, most often, and a simple one loses mail that it has
 * acknowledged where two connections append to it (quirk P13). It gets one connection a folder. */
static bool takes_another(const struct folder *f)
{
    return f->account->tells_uids || (f->pushers == 0 && f->sending == 0);
}

static bool wants_worker(const struct folder *f)
{
    return wants_folder(f) || wants_look(f) || (f->push == PUSH_OPEN && push_has_mail(f) && takes_another(f));
}

static bool is_finished(const struct folder *f)
{
    if (!f->target_raw || f->push == PUSH_REFUSED)
        return f->sending == 0;
    if (f->account->day_over[SIDE_TARGET] || (f->account->day_over[SIDE_SOURCE] && !source_agrees(f)))
        return f->sending == 0 && f->push != PUSH_OPENING && f->push != PUSH_SETTLING;
    return (f->exists_on_target || gmail_is_view(f)) && f->sending == 0 && f->record.tally.spooled == 0 &&
           f->push != PUSH_OPENING && f->push != PUSH_SETTLING;
}

/* All of it that the source has told of is on the target, paired and counted. */
static bool rests(const struct folder *f)
{
    const struct folder_record *r = &f->record;

    return r->excluded || (f->target_raw && r->target_scanned && !r->target_lost_from && folder_pending(f) == 0 &&
                           (r->tally.uploaded == 0 || r->target_counted));
}

static unsigned line_of(const struct folder *f)
{
    uint64_t left = (f->record.tally.spooled + 1) / (f->pushers + 1u) + 1;
    unsigned line = 63u - (unsigned)__builtin_clzll(left);

    return line < PUSH_LINES ? line : PUSH_LINES - 1;
}

/* ---- its place ----------------------------------------------------------------------------- */

static void leave_line(struct push_queue *q, struct folder *f)
{
    struct push_place *p = &f->place;
    unsigned line = p->line - 1u;

    if (p->previous)
        p->previous->place.next = p->next;
    else
        q->first[line] = p->next;
    if (p->next)
        p->next->place.previous = p->previous;
    else
        q->last[line] = p->previous;
    if (!q->first[line])
        q->filled &= ~(1u << line);
    p->next = p->previous = NULL;
    p->line = 0;
}

static void join_line(struct push_queue *q, struct folder *f, unsigned line)
{
    struct push_place *p = &f->place;

    p->line = (uint8_t)(line + 1);
    p->previous = q->last[line];
    if (p->previous)
        p->previous->place.next = f;
    else
        q->first[line] = f;
    q->last[line] = f;
    q->filled |= 1u << line;
}

static void recount(unsigned *count, bool *was, bool is)
{
    *count += is;
    *count -= *was;
    *was = is;
}

static void look_at(struct push_queue *q, struct folder *f)
{
    struct push_place *p = &f->place;
    unsigned wanted = wants_worker(f) ? line_of(f) + 1 : 0;

    q->looks++;
    recount(&q->unfinished, &p->unfinished, !is_finished(f));
    recount(&q->restless, &p->restless, !rests(f));
    recount(&q->settling, &p->settling, f->push == PUSH_SETTLING);
    recount(&q->refused, &p->refused, loop_timer_is_set(&f->refused_again));
    if (wanted == p->line)
        return;
    if (p->line)
        leave_line(q, f);
    if (wanted)
        join_line(q, f, wanted - 1);
}

static struct push_queue *settled(struct account *account)
{
    struct push_queue *q = &account->pushes;
    struct folder *f;

    while ((f = q->touched) != NULL) {
        q->touched = f->place.next_touched;
        f->place.touched = false;
        look_at(q, f);
    }
    return q;
}

void push_touch(struct folder *f)
{
    struct push_queue *q = &f->account->pushes;

    if (f->place.touched)
        return;
    f->place.touched = true;
    f->place.next_touched = q->touched;
    q->touched = f;
}

void push_touch_all(struct account *account)
{
    /* The last first: they are looked at in their order, and stand so in their lines. */
    for (unsigned i = account->folder_count; i-- > 0;)
        push_touch(account->folders[i]);
}

void push_folders_placed(struct account *account)
{
    struct push_queue *q = &account->pushes;

    q->unmade = NULL;
    for (unsigned i = account->folder_count; i-- > 0;) {
        struct folder *f = account->folders[i];

        f->place.next_unmade = q->unmade;
        q->unmade = f;
    }
    push_touch_all(account);
}

/* ---- what is asked ------------------------------------------------------------------------- */

bool push_finished(struct account *account)
{
    if (!account->mapped)
        return false;
    if (account->target_dead)
        return account->pushes.sending == 0;
    return settled(account)->unfinished == 0;
}

bool push_rests(struct account *account)
{
    return settled(account)->restless == 0;
}

bool push_settles(struct account *account)
{
    return settled(account)->settling > 0;
}

bool push_waits(struct account *account)
{
    return settled(account)->refused > 0;
}

bool push_has_room(struct account *account, uint64_t messages)
{
    return account->mapped && !account->target_dead && settled(account)->filled && account->total.spooled >= messages;
}

struct folder *push_choose(struct account *account)
{
    struct push_queue *q;

    if (!account->mapped || account->target_dead)
        return NULL;
    q = settled(account);
    if (!q->filled)
        return push_unanswered_due(account);
    return q->first[31u - (unsigned)__builtin_clz(q->filled)];
}

struct folder *push_next_unmade(struct account *account, struct folder *after)
{
    struct push_queue *q = &account->pushes;
    struct folder **at = after ? &after->place.next_unmade : &q->unmade, *f;

    while ((f = *at) != NULL) {
        q->looks++;
        if (push_must_make(f) && !f->made_alone && f->push != PUSH_REFUSED)
            break;
        *at = f->place.next_unmade;
    }
    return f;
}
