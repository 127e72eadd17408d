/* The accounts' half of the governor: on each account's own loop. */
#include "engine/move/batch.h"
#include "engine/move/governor_private.h"
#include "engine/move/limits.h"
#include "io/base/mem.h"

#include <stdlib.h>
#include <string.h>

bool governor_is_exchange(const struct governor *g)
{
    return g->settings->target.preset == SETTINGS_PRESET_EXCHANGE_ONLINE;
}

static bool join_peers(struct governor *g, struct err *err_r)
{
    enum settings_mode mode = g->settings->mode;

    if (!g->settings->ledger_folder || mode == SETTINGS_MODE_FETCH || mode == SETTINGS_MODE_PLAN)
        return true;
    return peers_create(g->settings->ledger_folder, limits_server_of(&g->settings->target), &g->peers, err_r);
}

bool governor_create(const struct settings *settings, struct spool *spool, struct governor **governor_r,
                     struct err *err_r)
{
    struct governor *g = mem_zero(1, sizeof *g);

    g->settings = settings;
    g->spool = spool;
    g->accounts = mem_zero(settings->user_count, sizeof *g->accounts);
    governor_owner_init(g);
    atomic_store(&g->active, governor_is_exchange(g));
    if (!join_peers(g, err_r)) {
        governor_destroy(&g);
        return false;
    }
    *governor_r = g;
    return true;
}

bool governor_take(struct governor *g, bool *taken_r, struct err *err_r)
{
    size_t count = g->settings->user_count;
    struct slice *addresses;
    bool ok;

    memset(taken_r, true, count * sizeof *taken_r);
    if (!g->peers)
        return true;
    addresses = mem_zero(count + 1, sizeof *addresses);
    for (size_t i = 0; i < count; i++)
        addresses[i] = slice_cstr(g->settings->users[i].email_address);
    ok = peers_take(g->peers, g->settings->state_folder, addresses, count, taken_r, err_r);
    free(addresses);
    return ok;
}

void governor_destroy(struct governor **governor)
{
    struct governor *g = *governor;

    if (!g)
        return;
    peers_destroy(&g->peers);
    governor_owner_deinit(g);
    free(g->accounts);
    free(g);
    *governor = NULL;
}

static struct order *order_new(struct account *account, enum govern_kind kind)
{
    struct order *o = mem_zero(1, sizeof *o);

    o->message.deliver = governor_owner_order_arrives;
    o->governor = batch_governor(account->reactor->batch);
    o->reactor = account->reactor;
    o->kind = kind;
    o->index = account->index;
    o->id = account->id;
    return o;
}

static void send(struct order *o)
{
    loop_post(o->governor->owner->loop, &o->message);
}

static bool active(const struct account *account)
{
    return atomic_load_explicit(&batch_governor(account->reactor->batch)->active, memory_order_relaxed);
}

/* ---- permits that are not used ------------------------------------------------------------- */

static void return_one(struct account *account, unsigned place)
{
    struct governed *g = account->governed;
    struct order *o = order_new(account, GOVERN_GAVE_BACK);

    o->bytes = g->permits[place].bytes;
    o->permits = 1;
    g->permits[place] = g->permits[--g->permit_count];
    send(o);
}

static void return_all(struct account *account)
{
    while (account->governed->permit_count > 0)
        return_one(account, 0);
}

/* The mailbox or the tenant rests: what was granted before must not be used now. */
static bool rests(const struct account *account)
{
    const struct governor *g = batch_governor(account->reactor->batch);

    return account_held(account, SIDE_TARGET) || atomic_load(&g->gate_ms) > loop_now_ms(account->reactor->loop);
}

/* Something that was asked since the tick before was answered: the target lives. */
static void tell_of_life(struct account *account)
{
    struct governed *g = account->governed;
    bool heard = false;

    for (struct worker *w = account->sides[SIDE_TARGET].workers; w; w = w->next) {
        uint64_t answers = w->link && link_is_ready(w->link) ? session_answer_count(link_session(w->link)) : 0;

        heard |= answers > w->answers;
        w->answers = answers;
    }
    if (g->listens && heard)
        send(order_new(account, GOVERN_HEARD));
    g->listens = atomic_load_explicit(&batch_governor(account->reactor->batch)->listens, memory_order_relaxed);
}

void governor_tick(struct account *account)
{
    struct governed *g = account->governed;
    uint64_t now = loop_now_ms(account->reactor->loop);

    if (!g)
        return;
    tell_of_life(account);
    for (unsigned i = g->permit_count; i-- > 0;)
        if (now >= g->permits[i].since_ms + GOVERN_PERMIT_KEPT_MS)
            return_one(account, i);
    if (g->may_connect && now >= g->may_connect_ms + GOVERN_CONNECT_KEPT_MS)
        g->may_connect = false;
    if (g->asked > 0 && !g->cancelling &&
        (account->phase != ACCOUNT_WORKING || account->stopping || account->target_dead)) {
        g->cancelling = true;
        send(order_new(account, GOVERN_CANCEL));
    }
}

void governor_answer_arrives(struct loop_message *message)
{
    struct order *o = (struct order *)message;
    struct account *account = o->governor->accounts[o->index];
    struct governed *g = account ? account->governed : NULL;
    uint64_t now = loop_now_ms(o->reactor->loop);

    /* Of an account that has left nothing is owed: its lane went with it. */
    if (g) {
        if (o->kind == GOVERN_GRANTED) {
            g->asked--;
            g->permits[g->permit_count++] = (struct permit){ o->bytes, now };
            if (rests(account))
                return_all(account);
        } else if (o->kind == GOVERN_CANCELLED) {
            g->asked -= o->permits;
            g->cancelling = false;
        } else {
            g->may_connect = true;
            g->may_connect_ms = now;
            g->connect_asked = false;
        }
        account_poke(account);
    }
    free(o);
}

/* ---- taking part --------------------------------------------------------------------------- */

void governor_join(struct account *account)
{
    if (!account_uses(account, SIDE_TARGET))
        return;
    account->governed = mem_zero(1, sizeof *account->governed);
    batch_governor(account->reactor->batch)->accounts[account->index] = account;
    send(order_new(account, GOVERN_JOIN));
}

void governor_leave(struct account *account)
{
    if (!account->governed)
        return;
    batch_governor(account->reactor->batch)->accounts[account->index] = NULL;
    /* What they cost is the others'. */
    return_all(account);
    send(order_new(account, GOVERN_LEAVE));
    free(account->governed);
    account->governed = NULL;
}

/* ---- sending ------------------------------------------------------------------------------- */

static void use(struct account *account, uint64_t bytes)
{
    struct governed *g = account->governed;
    struct permit permit = g->permits[--g->permit_count];

    g->used++;
    if (permit.bytes != bytes) {
        struct order *o = order_new(account, GOVERN_RESIZE);

        o->bytes = permit.bytes;
        o->used_bytes = bytes;
        send(o);
    }
}

bool governor_allows(struct account *account, uint64_t bytes, bool retry)
{
    struct governed *g = account->governed;
    unsigned most = 0;
    struct order *o;

    if (!active(account))
        return true;
    if (g->permit_count > 0 && rests(account))
        return_all(account);
    if (g->permit_count > 0) {
        use(account, bytes);
        return true;
    }
    for (const struct worker *w = account->sides[SIDE_TARGET].workers; w; w = w->next)
        most += w->link != NULL;
    if (g->asked < most && g->asked < PACE_WANTS_MAX) {
        g->asked++;
        o = order_new(account, GOVERN_WANT);
        o->bytes = bytes;
        o->retry = retry;
        send(o);
    }
    return false;
}

bool governor_allows_more(struct account *account, uint64_t bytes)
{
    if (!active(account))
        return true;
    if (account->governed->permit_count == 0 || rests(account))
        return false;
    use(account, bytes);
    return true;
}

/* Ends used permits; what was sent without any has none to end. */
static unsigned end_used(struct account *account, unsigned messages)
{
    struct governed *g = account->governed;
    unsigned ended = g->used < messages ? g->used : messages;

    g->used -= ended;
    return ended;
}

static void tell(struct account *account, enum govern_kind kind, uint64_t bytes, unsigned permits, uint64_t latency_ms)
{
    struct order *o = order_new(account, kind);

    o->bytes = bytes;
    o->permits = permits;
    o->latency_ms = latency_ms;
    send(o);
}

void governor_answered(struct account *account, uint64_t bytes, uint64_t latency_ms, unsigned messages)
{
    unsigned permits = end_used(account, messages);

    if (permits > 0)
        tell(account, GOVERN_ANSWERED, bytes, permits, latency_ms);
}

void governor_refused(struct account *account, unsigned messages)
{
    unsigned permits = end_used(account, messages);

    if (permits > 0)
        tell(account, GOVERN_REFUSED, 0, permits, 0);
}

void governor_gave_back(struct account *account, uint64_t bytes, unsigned messages)
{
    unsigned permits = end_used(account, messages);

    if (permits > 0)
        tell(account, GOVERN_GAVE_BACK, bytes, permits, 0);
}

void governor_dropped(struct account *account, unsigned messages)
{
    if (account->governed)
        tell(account, GOVERN_DROPPED, 0, end_used(account, messages), 0);
}

void governor_throttled(struct account *account, unsigned messages, uint32_t hint_ms)
{
    struct order *o;

    if (!account->governed)
        return;
    o = order_new(account, GOVERN_THROTTLED);
    o->permits = end_used(account, messages);
    o->hint_ms = hint_ms;
    atomic_store(&o->governor->active, true);
    send(o);
    return_all(account);
}

/* ---- connecting ---------------------------------------------------------------------------- */

bool governor_may_connect(struct account *account)
{
    struct governed *g = account->governed;

    if (!active(account) || !g)
        return true;
    if (g->may_connect) {
        g->may_connect = false;
        /* Not in a back-off; but whether a server that broke off is there again only this tells. */
        if (!account_held(account, SIDE_TARGET) &&
            atomic_load(&batch_governor(account->reactor->batch)->asked_ms) <= loop_now_ms(account->reactor->loop))
            return true;
    }
    if (!g->connect_asked) {
        g->connect_asked = true;
        send(order_new(account, GOVERN_CONNECT));
    }
    return false;
}

void governor_connected(struct account *account)
{
    if (account->governed && active(account))
        send(order_new(account, GOVERN_CONNECTED));
}

bool governor_paces(const struct account *account, enum side side)
{
    return side == SIDE_TARGET && account->governed && active(account);
}

enum governor_wait governor_waits(const struct account *account)
{
    const struct governor *all = batch_governor(account->reactor->batch);
    const struct governed *g = account->governed;
    uint64_t now = loop_now_ms(account->reactor->loop);

    if (!g || !active(account) || (g->asked == 0 && !g->connect_asked))
        return GOVERNOR_WAITS_NOT;
    if (atomic_load(&all->asked_ms) > now)
        return GOVERNOR_WAITS_BACKOFF;
    return atomic_load(&all->gate_ms) > now && atomic_load(&all->listens) ? GOVERNOR_WAITS_LINE : GOVERNOR_WAITS_PACE;
}
