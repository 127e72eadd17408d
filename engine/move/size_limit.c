#include "engine/move/size_limit.h"

#include "engine/move/account.h"
#include "io/base/log.h"
#include "io/base/now.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* What is common to fewer may be chance. */
#define SUSPECTS_LEAST 3u
#define TAKEN_LEAST    10u

static const char *name_of(const struct account *account, char *out)
{
    return limits_name(LIMITS_SIZE, limits_server_of(&account->reactor->settings->target), account->id, out);
}

static void keep(const struct account *account)
{
    char name[LIMITS_NAME_BYTES], line[LIMITS_LINE_BYTES];

    reactor_submit_unwaited(
        account->reactor,
        store_op_meta_text(name_of(account, name), limits_size_encode(&account->size_limit.learnt, line)));
}

void size_limit_begin(struct account *account)
{
    struct limits_size *learnt = &account->size_limit.learnt;
    char name[LIMITS_NAME_BYTES];
    struct slice value;
    struct err err;

    /* What cannot be read is learnt anew, for the price of one message. */
    if (!spool_meta_get(account->reactor->spool, name_of(account, name), &value, &err) ||
        !limits_size_decode(value, learnt))
        *learnt = (struct limits_size){ 0 };
    free((char *)value.data);
    if (account->reactor->settings->mode == SETTINGS_MODE_RETRY && learnt->refused_bytes) {
        *learnt = (struct limits_size){ 0 };
        keep(account);
    }
}

void size_limit_offered(struct account *account, uint64_t bytes)
{
    account->size_limit.offered_bytes = bytes;
}

void size_limit_refused(struct account *account, uint64_t bytes)
{
    struct limits_size *learnt = &account->size_limit.learnt;
    int64_t now_ms = now_wall_ms();

    if (bytes < SIZE_LIMIT_LEAST_BYTES)
        return;
    if (!limits_size_holds(learnt, now_ms) || bytes < learnt->refused_bytes) {
        learnt->refused_bytes = bytes;
        log_line(LOG_INFO, "size_limit.learnt", "user=%s refused=%" PRIu64, account->user->email_address, bytes);
    }
    learnt->refused_ms = now_ms;
    keep(account);
}

bool size_limit_is_why(struct account *account, uint64_t bytes, char *words_r, size_t cap)
{
    struct size_limit *limit = &account->size_limit;

    if (bytes < SIZE_LIMIT_LEAST_BYTES || bytes <= limit->taken_most_bytes)
        return false;
    if (limit->suspects++ == 0 || bytes < limit->suspect_bytes)
        limit->suspect_bytes = bytes;
    if (limit->suspects < SUSPECTS_LEAST || limit->taken < TAKEN_LEAST)
        return false;
    snprintf(words_r, cap,
             "all %u that it refused so have %" PRIu64 " bytes or more, and all %u that it took %" PRIu64 " at most",
             limit->suspects, limit->suspect_bytes, limit->taken, limit->taken_most_bytes);
    size_limit_refused(account, limit->suspect_bytes);
    return true;
}

void size_limit_taken(struct account *account, uint64_t bytes)
{
    struct size_limit *limit = &account->size_limit;
    struct limits_size *learnt = &limit->learnt;

    limit->taken++;
    if (bytes > limit->taken_most_bytes)
        limit->taken_most_bytes = bytes;
    if (bytes >= limit->suspect_bytes)
        limit->suspects = 0;
    if (!learnt->refused_bytes || bytes < learnt->refused_bytes)
        return;
    log_line(LOG_INFO, "size_limit.lifted", "user=%s taken=%" PRIu64, account->user->email_address, bytes);
    *learnt = (struct limits_size){ 0 };
    keep(account);
}

static uint64_t offered(const struct account *account, uint64_t mailbox_bytes)
{
    return mailbox_bytes ? mailbox_bytes : account->size_limit.offered_bytes;
}

bool size_limit_forbids(const struct account *account, uint64_t mailbox_bytes, uint64_t bytes)
{
    const struct size_limit *limit = &account->size_limit;

    if (offered(account, mailbox_bytes) && bytes > offered(account, mailbox_bytes))
        return true;
    return limit->learnt.refused_bytes && bytes >= limit->learnt.refused_bytes &&
           limits_size_holds(&limit->learnt, now_wall_ms());
}

const char *size_limit_words(const struct account *account, uint64_t mailbox_bytes, char *out, size_t cap)
{
    const struct size_limit *limit = &account->size_limit;

    if (offered(account, mailbox_bytes))
        snprintf(out, cap, "not fetched: the target takes %" PRIu64 " bytes at most (APPENDLIMIT)",
                 offered(account, mailbox_bytes));
    else
        snprintf(out, cap, "not fetched: the target refused one of %" PRIu64 " bytes for its size",
                 limit->learnt.refused_bytes);
    return out;
}
