#include "engine/rehearsal/exo_state.h"

#include <math.h>

/* A cut is known to be the tenant's once so many mailboxes were told of it. */
#define TENANT_SIGNS 3
/* Or it is that of equal mailboxes: so many that were not told may ask, one message each, to find out. */
#define TENANT_WITNESSES 3

struct law {
    double rate, burst, cutoff;
};

static struct law mailbox_law(const struct exo_mailbox *m, const struct exo_config *c)
{
    return (struct law){ m->rate > 0 ? m->rate : c->mailbox_rate, m->burst > 0 ? m->burst : c->mailbox_burst,
                         m->cutoff > 0 ? m->cutoff : c->mailbox_cutoff };
}

static struct law tenant_law(const struct exo_config *c)
{
    return (struct law){ c->tenant_rate, c->tenant_burst, c->tenant_cutoff };
}

static void refill(struct exo_bucket *b, struct law law, uint64_t now_ms)
{
    if (b->at_ms == 0)
        b->balance = law.burst;
    else if (now_ms > b->at_ms)
        b->balance = fmin(law.burst, b->balance + law.rate * (double)(now_ms - b->at_ms) / 1000);
    b->at_ms = now_ms;
}

static uint32_t hint_for(const struct exo_bucket *b, struct law law, const struct exo_config *c)
{
    double ms;

    if (c->hint_ms)
        return c->hint_ms;
    ms = ceil((law.burst / 2 - b->balance) / law.rate * 1000);
    return (uint32_t)fmax(c->hint_min_ms, fmin(ms, c->hint_max_ms));
}

/* Micro-delay: nothing above the share of the burst, all of it at the cut. */
static double strain(const struct exo_bucket *b, struct law law, const struct exo_config *c)
{
    double from = law.burst * c->delay_from, room = from + law.cutoff;

    if (law.rate <= 0 || room <= 0 || b->balance >= from)
        return 0;
    return fmin(1, (from - b->balance) / room);
}

static bool mailbox_closed(struct exo_mailbox *m, const struct exo_config *c, uint64_t now_ms, bool cut,
                           uint32_t *hint_ms_r)
{
    struct law law = mailbox_law(m, c);

    if (now_ms >= m->gate_ms && cut && law.rate > 0) {
        refill(&m->bucket, law, now_ms);
        if (m->bucket.balance < -law.cutoff)
            m->gate_ms = now_ms + hint_for(&m->bucket, law, c);
    }
    if (now_ms >= m->gate_ms)
        return false;
    *hint_ms_r = (uint32_t)(m->gate_ms - now_ms);
    return true;
}

/* With exo->lock held. */
static bool tenant_closed(struct exo *exo, const struct exo_config *c, uint64_t now_ms, bool cut, uint32_t *hint_ms_r)
{
    struct law law = tenant_law(c);

    if (now_ms >= exo->gate_ms && cut && law.rate > 0) {
        refill(&exo->bucket, law, now_ms);
        if (exo->bucket.balance < -law.cutoff) {
            exo->gate_ms = now_ms + hint_for(&exo->bucket, law, c);
            exo->cut++;
            exo->hinted = 0;
            exo->witnesses = 0;
        }
    }
    if (now_ms >= exo->gate_ms)
        return false;
    *hint_ms_r = (uint32_t)(exo->gate_ms - now_ms);
    return true;
}

bool exo_budget_admit(struct exo *exo, struct exo_mailbox *m, const struct exo_config *c, uint64_t now_ms,
                      uint32_t *hint_ms_r)
{
    bool violation, own, tenant;
    uint32_t hint_ms = 0, tenant_hint_ms = 0;

    pthread_mutex_lock(&m->lock);
    pthread_mutex_lock(&exo->lock);
    violation = now_ms < m->hint_until_ms && now_ms >= m->hint_from_ms + c->hint_grace_ms;
    if (violation) {
        m->violations++;
        exo->stats.violations++;
    }
    if (now_ms < exo->gate_ms && exo->hinted >= TENANT_SIGNS && now_ms >= exo->hinted_third_ms + c->hint_grace_ms) {
        if (m->tenant_cut != exo->cut && exo->witnesses < TENANT_WITNESSES) {
            exo->witnesses++;
            exo->stats.witnesses++;
        } else
            exo->stats.violations_tenant++;
    }
    own = mailbox_closed(m, c, now_ms, true, &hint_ms);
    tenant = tenant_closed(exo, c, now_ms, true, &tenant_hint_ms);
    if (tenant_hint_ms > hint_ms)
        hint_ms = tenant_hint_ms;
    if (own || tenant) {
        if (now_ms >= m->hint_until_ms)
            m->hint_from_ms = now_ms;
        if (now_ms + hint_ms > m->hint_until_ms)
            m->hint_until_ms = now_ms + hint_ms;
        m->throttled++;
        exo->stats.throttled++;
        exo_second_now(exo, now_ms)->throttled++;
        if (tenant) {
            exo->stats.throttled_tenant++;
            if (m->tenant_cut != exo->cut) {
                m->tenant_cut = exo->cut;
                if (++exo->hinted == TENANT_SIGNS)
                    exo->hinted_third_ms = now_ms;
            }
        }
        *hint_ms_r = hint_ms;
    }
    pthread_mutex_unlock(&exo->lock);
    pthread_mutex_unlock(&m->lock);
    return !own && !tenant;
}

bool exo_budget_closed(struct exo *exo, struct exo_mailbox *m, const struct exo_config *c, uint64_t now_ms,
                       uint32_t *hint_ms_r)
{
    bool closed;

    pthread_mutex_lock(&m->lock);
    pthread_mutex_lock(&exo->lock);
    closed = mailbox_closed(m, c, now_ms, false, hint_ms_r) || tenant_closed(exo, c, now_ms, false, hint_ms_r);
    pthread_mutex_unlock(&exo->lock);
    pthread_mutex_unlock(&m->lock);
    /* The count is taken where it is answered. */
    return closed && exo_budget_admit(exo, m, c, now_ms, hint_ms_r) == false;
}

uint32_t exo_budget_charge(struct exo *exo, struct exo_mailbox *m, const struct exo_config *c, uint64_t now_ms,
                           uint64_t bytes)
{
    struct law own = mailbox_law(m, c), all = tenant_law(c);
    double cost = 1 + (double)bytes / (c->cost_bytes ? c->cost_bytes : 1), most;

    pthread_mutex_lock(&m->lock);
    pthread_mutex_lock(&exo->lock);
    refill(&m->bucket, own, now_ms);
    refill(&exo->bucket, all, now_ms);
    if (own.rate > 0)
        m->bucket.balance -= cost;
    if (all.rate > 0)
        exo->bucket.balance -= cost;
    m->cost += cost;
    exo->stats.cost += cost;
    exo_second_now(exo, now_ms)->cost += cost;
    most = fmax(strain(&m->bucket, own, c), strain(&exo->bucket, all, c));
    pthread_mutex_unlock(&exo->lock);
    pthread_mutex_unlock(&m->lock);
    return (uint32_t)(most * c->delay_max_ms);
}

void exo_budget_settle(struct exo *exo, const struct exo_config *old, uint64_t now_ms)
{
    pthread_mutex_lock(&exo->map_lock);
    for (struct exo_mailbox *m = exo->listed; m; m = m->next_listed) {
        pthread_mutex_lock(&m->lock);
        if (m->bucket.at_ms)
            refill(&m->bucket, mailbox_law(m, old), now_ms);
        pthread_mutex_unlock(&m->lock);
    }
    pthread_mutex_unlock(&exo->map_lock);
    pthread_mutex_lock(&exo->lock);
    if (exo->bucket.at_ms)
        refill(&exo->bucket, tenant_law(old), now_ms);
    pthread_mutex_unlock(&exo->lock);
}
