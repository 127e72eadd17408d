#include "engine/rehearsal/exo_imap.h"

bool exo_fault_strikes(struct exo_conn *c, enum exo_point point, const char *command, struct exo_fault *fault_r)
{
    struct exo *exo = c->worker->exo;
    struct exo_session *s = c->state;
    bool strikes = false;

    if (!atomic_load_explicit(&exo->fault_count, memory_order_acquire))
        return false;
    pthread_mutex_lock(&exo->lock);
    for (size_t i = 0; i < exo->fault_count && !strikes; i++) {
        const struct exo_fault *f = &exo->faults[i];

        if (f->point != point || (f->limit && exo->fault_state[i].fired >= f->limit))
            continue;
        if (f->command[0] && (!command || !slice_equal_nocase(slice_cstr(f->command), slice_cstr(command))))
            continue;
        if (f->mailbox[0] &&
            (!s->mailbox || !slice_equal_nocase(slice_cstr(f->mailbox), slice_cstr(s->mailbox->address))))
            continue;
        if (f->over && (!s->append || s->append->size <= f->over))
            continue;
        exo->fault_state[i].seen++;
        if (f->every ? exo->fault_state[i].seen % f->every != 0
                     : f->share > 0 && exo_random_unit(&exo->random) >= f->share)
            continue;
        exo->fault_state[i].fired++;
        exo->stats.faults++;
        *fault_r = *f;
        strikes = true;
    }
    pthread_mutex_unlock(&exo->lock);
    return strikes;
}

void exo_fault_act(struct exo_conn *c, const struct exo_fault *f)
{
    switch (f->action) {
    case EXO_ACTION_CLOSE:
        c->closing = EXO_CLOSING;
        return;
    case EXO_ACTION_RESET:
        c->closing = EXO_RESET;
        return;
    case EXO_ACTION_HANG:
        c->wait = EXO_WAIT_HANG;
        return;
    case EXO_ACTION_REPLY:
        exo_reply(c, f->text);
        return;
    case EXO_ACTION_GARBAGE:
        exo_conn_send(c, SLICE("Server Unavailable. 15\r\n"));
        exo_bye(c, "Connection closed.");
        return;
    case EXO_ACTION_BYE:
        exo_bye(c, f->text[0] ? f->text : "Connection closed. 14");
        return;
    }
}
