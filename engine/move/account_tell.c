#include "engine/move/account_private.h"

#include "engine/failure/advice.h"
#include "engine/move/batch.h"
#include "engine/move/pull.h"
#include "engine/move/sample.h"
#include "io/base/log.h"
#include "io/base/now.h"

#include <stdio.h>

void account_tell_end(const struct account *account)
{
    const struct tally *t = &account->total;

    log_line(LOG_INFO, "user.end",
             "user=%s state=%s failure=%s found=%llu uploaded=%llu present=%llu skipped=%llu failed=%llu pending=%llu "
             "doubts=%u bytes_fetched=%llu bytes_uploaded=%llu seconds=%.1f",
             account->user->email_address, user_state_name(account->record.state), account->record.failure,
             (unsigned long long)t->found, (unsigned long long)t->uploaded, (unsigned long long)t->present,
             (unsigned long long)t->skipped, (unsigned long long)t->failed,
             (unsigned long long)(t->waiting + t->spooled), account->doubts.count,
             (unsigned long long)account->fetched_bytes, (unsigned long long)account->uploaded_bytes,
             (double)(loop_now_ms(account->reactor->loop) - account->begun_ms) / 1000);
}

/* The server's words with their code, cut to fit. */
static void said(const struct err *err, char *out, size_t cap)
{
    char text[sizeof err->resp_code + sizeof err->server_text + 4];

    snprintf(text, sizeof text, "%s%s%s%s", err->resp_code[0] ? "[" : "", err->resp_code, err->resp_code[0] ? "] " : "",
             err->server_text);
    err_printable(out, cap, text, strlen(text));
}

void account_failure(struct account *account, enum failure_side side, enum trouble_doing doing, const char *type,
                     const struct err *err, const struct folder *folder, uint32_t uid)
{
    struct store_op *op = store_op_new(STORE_OP_FAILURE, account->id, folder ? folder->record.folder : 0);
    struct failure_record *r = &op->failure;
    char line[512];
    enum log_level level = err->class == ERR_CLASS_THROTTLED ? LOG_INFO : LOG_WARN;

    if (!type)
        type = trouble_type(doing, side, err);
    r->first_ms = r->last_ms = now_wall_ms();
    r->count = 1;
    r->folder = folder ? folder->record.folder : 0;
    r->uid = uid;
    r->class = (uint8_t)err->class;
    r->side = (uint8_t)side;
    snprintf(r->type, sizeof r->type, "%s", type);
    snprintf(r->doing, sizeof r->doing, "%s", err->doing);
    said(err, r->server_text, sizeof r->server_text);
    advice_line(type, slice_cstr(account->user->email_address), r->advice, sizeof r->advice);
    if (folder)
        snprintf(r->folder_name, sizeof r->folder_name, "%s", folder->source_name);
    if (log_enabled(level) && (folder || uid))
        log_line(level, "trouble", "user=%s side=%s type=%s class=%s folder=%s uid=%u %s", account->user->email_address,
                 failure_side_name(side), type, err_class_name(err->class), folder ? folder->source_name : "", uid,
                 err_line(err, line, sizeof line));
    else
        log_line(level, "trouble", "user=%s side=%s type=%s class=%s %s", account->user->email_address,
                 failure_side_name(side), type, err_class_name(err->class), err_line(err, line, sizeof line));
    if (account_only_looks(account)) {
        if (!account->failed)
            account->trouble = *err;
        store_op_free(op);
        return;
    }
    reactor_submit_unwaited(account->reactor, op);
}

void account_tell_throttled(struct account *account, enum side side, const struct err *err)
{
    struct err *first = &account->sides[side].throttle;

    if (first->class == ERR_CLASS_NONE)
        *first = *err;
    account_failure(account, failure_side_of(side), TROUBLE_APPEND, NULL, first, NULL, 0);
}

void account_problem(struct account *account, uint32_t folder, const char *type, const char *text, const char *remedy)
{
    struct problem_record record = { .folder = folder };
    struct store_op *op;

    snprintf(record.type, sizeof record.type, "%s", type);
    snprintf(record.text, sizeof record.text, "%s", text);
    snprintf(record.remedy, sizeof record.remedy, "%s", remedy);
    if (advice_is_doubt(&record)) {
        account_doubt_put(account, &record);
        return;
    }
    op = store_op_new(STORE_OP_PROBLEM, account->id, folder);
    op->problem = record;
    reactor_submit_unwaited(account->reactor, op);
}

/* Of what a plan does the user's record keeps the policy by which the messages were judged, and that
 * one who was Synced has mail to move again. */
static void record_to_put(const struct account *account, struct user_record *record_r)
{
    *record_r = account->record;
    if (!account_only_looks(account))
        return;
    *record_r = account->before;
    record_r->id = account->id;
    record_r->policy = account->record.policy;
    if (user_state_is_synced(record_r->state) && account->total.waiting + account->total.spooled > 0)
        record_r->state = USER_QUEUED;
    else if (user_state_is_proved(record_r->state) && account->doubts.count)
        record_r->state = USER_SYNCED_WITH_DOUBTS;
}

void account_found_mail(struct account *account)
{
    if (account_only_looks(account) && user_state_is_synced(account->before.state))
        account_put_user(account, NULL);
}

void account_put_user(struct account *account, reactor_told *told)
{
    struct store_op *op = store_op_new(STORE_OP_USER, account->id, 0);
    struct buf stalls;

    record_to_put(account, &op->user_record);
    op->user_record.address = slice_cstr(account->user->email_address);
    op->user_record.user_name = slice_cstr(account->user->user_name);
    buf_init(&stalls, STALLS_BYTES);
    stalls_put(&stalls, &account->stalls);
    op->text = slice_dup(buf_slice(&stalls));
    op->user_record.opaque = slice_of(op->text, buf_slice(&stalls).size);
    buf_deinit(&stalls);
    account->time_put_ms = loop_now_ms(account->reactor->loop);
    if (told) {
        account->told++;
        reactor_submit(account->reactor, op, told, account);
    } else {
        reactor_submit_unwaited(account->reactor, op);
    }
}

bool account_is_listing(const struct account *account)
{
    if (!account_uses(account, SIDE_SOURCE))
        return false;
    return !account->sides[SIDE_SOURCE].listed || pull_is_listing(account);
}

/* A server of either side asked to be left alone; loop time, past when none did. */
static uint64_t held_until(const struct account *account)
{
    uint64_t source = account->sides[SIDE_SOURCE].hold_until_ms;
    uint64_t target = account->sides[SIDE_TARGET].hold_until_ms;

    return source > target ? source : target;
}

void account_live(struct account *account, uint64_t now, struct sample_live *live_r)
{
    uint64_t bytes = account_uses(account, SIDE_TARGET) ? account->uploaded_bytes : account->fetched_bytes;
    uint64_t until = held_until(account);

    if (account->rate_ms && now > account->rate_ms)
        account->rate = (bytes - account->rate_bytes) * 1000 / (now - account->rate_ms);
    account->rate_bytes = bytes;
    account->rate_ms = now;
    *live_r = (struct sample_live){
        .user = account->id,
        .bytes_per_s = account->rate,
        .throttled_until_ms = until > now ? now_wall_ms() + (int64_t)(until - now) : 0,
    };
    for (unsigned side = 0; side < SIDE_COUNT; side++) {
        uint64_t silent = account_silent_ms(account, side);

        live_r->silent_ms[side] = silent == UINT64_MAX ? 0 : silent;
    }
}

void account_show(const struct account *account, struct batch_show *show_r)
{
    const struct tally *total = &account->total;
    const struct folder *at = NULL;

    for (unsigned side = 0; side < SIDE_COUNT; side++)
        for (const struct worker *w = account->sides[side].workers; w; w = w->next)
            if (w->folder)
                at = w->folder;
    snprintf(show_r->address, sizeof show_r->address, "%s", account->user->email_address);
    snprintf(show_r->folder, sizeof show_r->folder, "%s", at ? at->source_name : "");
    show_r->found = total->found;
    show_r->done = total->found - total->waiting - total->spooled;
    show_r->held_ms = account_held(account, SIDE_TARGET) || account_held(account, SIDE_SOURCE)
                          ? held_until(account) - loop_now_ms(account->reactor->loop)
                          : 0;
    for (unsigned side = 0; side < SIDE_COUNT; side++) {
        uint64_t silent = account_silent_ms(account, side);

        show_r->silent_ms[side] = silent == UINT64_MAX ? 0 : silent;
    }
    show_r->doing = account_held(account, SIDE_TARGET)    ? "waiting for the target"
                    : account_held(account, SIDE_SOURCE)  ? "waiting for the source"
                    : !account->sides[SIDE_SOURCE].listed ? "listing"
                    : total->waiting                      ? "moving"
                                                          : "uploading";
}
