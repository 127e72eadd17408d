#include "engine/move/account_inner.h"

#include "io/base/mem.h"

#include <stdlib.h>

struct proof {
    struct account *account;
    struct folder *folder;
    struct worker *worker;
    struct link *link;
    bool told, again;
    uint32_t messages;
};

static void proof_ended(void *context, const struct err *err);

static void proof_told(void *context, const struct imap_status *status)
{
    struct proof *proof = context;

    proof->told = (status->has & IMAP_STATUS_MESSAGES) != 0;
    proof->messages = status->messages;
}

static void proof_selected(void *context, const struct imap_selected *selected)
{
    proof_told(context, &selected->status);
}

static bool link_stands(const struct proof *proof)
{
    return proof->worker->link == proof->link && link_is_ready(proof->link);
}

/* A server may answer STATUS from what it remembers: after a killed run, Dovecot did so with one
 * message less than it held (1 run in 60). EXAMINE looks. */
static bool looks_again(struct proof *proof)
{
    if (proof->again || !link_stands(proof))
        return false;
    proof->again = true;
    proof->told = false;
    session_select(link_session(proof->link), proof->folder->record.target_raw, true,
                   proof_selected, proof_ended, proof);
    return true;
}

static void proof_ended(void *context, const struct err *err)
{
    struct proof *proof = context;
    struct account *account = proof->account;
    struct folder *f = proof->folder;
    uint64_t expected = f->target_before + f->uploaded_now;
    bool differs = !err && proof->told && proof->messages < expected;

    if (differs && looks_again(proof))
        return;
    account->proving--;
    if (differs) {
        struct err error;

        err_set(&error, ERR_CLASS_PERMANENT, ERR_SCOPE_FOLDER, ERR_ORIGIN_PROTOCOL, 0,
                "the target counts %u messages, %llu were there or answered OK", proof->messages,
                (unsigned long long)expected);
        err_doing(&error, "EXAMINE %s", f->target_name);
        account_failure(account, FAILURE_TARGET, TROUBLE_LIST, "TargetCountDiffers", &error, f, 0);
        account_fail(account, "TargetCountDiffers", true);
    }
    free(proof);
    account_poke(account);
}

void account_prove(struct account *account)
{
    struct worker *w = NULL;

    account->phase = ACCOUNT_PROVING;
    for (struct worker *each = account->sides[SIDE_TARGET].workers; each; each = each->next)
        if (each->link && link_is_ready(each->link) && !each->busy)
            w = each;
    for (unsigned i = 0; w && i < account->folder_count; i++) {
        struct folder *f = account->folders[i];
        struct proof *proof;

        if (!f->counted_before || f->uploaded_now == 0 || f->push == PUSH_REFUSED)
            continue;
        proof = mem_zero(1, sizeof *proof);
        proof->account = account;
        proof->folder = f;
        proof->worker = w;
        proof->link = w->link;
        account->proving++;
        session_status(link_session(w->link), f->record.target_raw, IMAP_STATUS_MESSAGES,
                       proof_told, proof_ended, proof);
    }
    account_poke(account);
}
