/* What could not be proved of a user: kept in the journal, and here as far as the verdict needs it. */
#include "engine/move/account_private.h"

#include "engine/failure/advice.h"
#include "io/base/log.h"
#include "io/base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static struct account_doubt *find(const struct account *account, uint32_t folder, const char *type)
{
    for (unsigned i = 0; i < account->doubts.count; i++) {
        struct account_doubt *d = &account->doubts.all[i];

        if (d->folder == folder && strcmp(d->type, type) == 0)
            return d;
    }
    return NULL;
}

static void know(struct account *account, const struct problem_record *problem)
{
    struct account_doubt *d = find(account, problem->folder, problem->type);

    if (!d) {
        account->doubts.all = mem_resize(account->doubts.all, account->doubts.count + 1u, sizeof *account->doubts.all);
        d = &account->doubts.all[account->doubts.count++];
        *d = (struct account_doubt){ .folder = problem->folder };
        snprintf(d->type, sizeof d->type, "%s", problem->type);
    }
    d->count = problem->count;
}

static bool is_known(void *context, const struct problem_record *problem)
{
    if (advice_is_doubt(problem))
        know(context, problem);
    return true;
}

bool account_doubts_begin(struct account *account, struct err *err_r)
{
    return reader_problems(account->reactor->reader, account->id, is_known, account, err_r);
}

void account_doubts_end(struct account *account)
{
    free(account->doubts.all);
}

static void submit(struct account *account, const struct problem_record *problem)
{
    struct store_op *op = store_op_new(STORE_OP_DOUBT, account->id, problem->folder);

    op->problem = *problem;
    reactor_submit_unwaited(account->reactor, op);
}

void account_doubt_put(struct account *account, const struct problem_record *doubt)
{
    struct problem_record record = *doubt;

    record.doubt = true;
    know(account, &record);
    submit(account, &record);
}

void account_doubt(struct account *account, const struct folder *folder, const char *type, uint64_t count,
                   const char *format, ...)
{
    struct problem_record record = { .folder = folder ? folder->record.folder : 0, .count = count };
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    err_printable(record.text, sizeof record.text, text, strlen(text));
    snprintf(record.type, sizeof record.type, "%s", type);
    advice_line(type, slice_cstr(account->user->email_address), record.remedy, sizeof record.remedy);
    log_line(LOG_WARN, "doubt", "user=%s folder=%s type=%s count=%llu %s", account->user->email_address,
             folder ? folder->source_name : "", type, (unsigned long long)count, record.text);
    account_doubt_put(account, &record);
}

void account_doubt_clear(struct account *account, const struct folder *folder, const char *type)
{
    struct problem_record record = { .folder = folder ? folder->record.folder : 0 };
    struct account_doubt *d = find(account, record.folder, type);

    if (!d)
        return;
    *d = account->doubts.all[--account->doubts.count];
    snprintf(record.type, sizeof record.type, "%s", type);
    submit(account, &record);
}

bool account_doubts(const struct account *account, const struct folder *folder, const char *type, uint64_t *count_r)
{
    const struct account_doubt *d = find(account, folder ? folder->record.folder : 0, type);

    if (d && count_r)
        *count_r = d->count;
    return d != NULL;
}
