#include "engine/move/account_inner.h"

#include "io/base/mem.h"

#include <stdlib.h>

struct proof {
    struct account *account;
    struct folder *folder;
    bool told;
    struct imap_status status;
};

static void proof_told(void *context, const struct imap_status *status)
{
    struct proof *proof = context;

    proof->told = true;
    proof->status = *status;
}

static void proof_ended(void *context, const struct err *err)
{
    struct proof *proof = context;
    struct account *account = proof->account;
    struct folder *f = proof->folder;
    uint64_t expected = f->target_before + f->uploaded_now;

    account->proving--;
    if (!err && proof->told && (proof->status.has & IMAP_STATUS_MESSAGES) &&
        proof->status.messages < expected) {
        struct err differs;

        err_set(&differs, ERR_CLASS_PERMANENT, ERR_SCOPE_FOLDER, ERR_ORIGIN_PROTOCOL, 0,
                "the target counts %u messages, %llu were there or answered OK",
                proof->status.messages, (unsigned long long)expected);
        err_doing(&differs, "STATUS %s", f->target_name);
        account_failure(account, FAILURE_TARGET, TROUBLE_LIST, "TargetCountDiffers", &differs, f, 0);
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
        account->proving++;
        session_status(link_session(w->link), f->record.target_raw, IMAP_STATUS_MESSAGES, proof_told,
                       proof_ended, proof);
    }
    account_poke(account);
}
