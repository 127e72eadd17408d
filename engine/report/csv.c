#include "engine/report/report.h"

#include "engine/report/table.h"
#include "engine/report/time.h"
#include "io/base/now.h"

#include <errno.h>
#include <inttypes.h>

void report_csv_field(FILE *out, struct slice text, bool last)
{
    /* Excel and its kin run what begins so, whoever wrote it into a subject. */
    bool formula = text.size && memchr("=+-@\t\r", text.data[0], 6);

    putc('"', out);
    if (formula)
        putc('\'', out);
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"')
            putc('"', out);
        putc(text.data[i], out);
    }
    fputs(last ? "\"\r\n" : "\",", out);
}

/* "source SlowAnswer 12.0; target SpoolFull 3.1", the longest first. */
static void stalled_by(FILE *out, const struct stalls *stalls)
{
    struct report_stall list[REPORT_STALLS_MAX];
    unsigned n = report_stalls_sorted(stalls, list);

    for (unsigned i = 0; i < n; i++)
        fprintf(out, "%s%s %s %.1f", i ? "; " : "", list[i].side == SIDE_SOURCE ? "source" : "target",
                stall_name(list[i].cause), (double)list[i].ms / 1000.0);
}

bool report_write_csv(const struct report *r, FILE *out, struct err *err_r)
{
    fputs("address,user_name,state,failure,found,uploaded,present,skipped,failed,pending,"
          "bytes_found,bytes_fetched,bytes_uploaded,balanced,throttled,reconnects,retries",
          out);
    for (unsigned i = 0; i < 6; i++)
        fprintf(out, ",%s", report_time_name(i));
    fputs(",started,finished,stalled_by,repaired,doubts,doubled\r\n", out);
    for (unsigned i = 0; i < r->user_count; i++) {
        const struct report_user *u = &r->users[i];
        const struct tally *t = &u->tally;
        char started[32], finished[32];

        report_csv_field(out, slice_cstr(u->address), false);
        report_csv_field(out, slice_cstr(u->user_name), false);
        fprintf(out, "%s,%s,", user_state_name(u->state), u->failure);
        fprintf(out, "%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",",
                t->found, t->uploaded, t->present, t->skipped, t->failed, t->waiting + t->spooled);
        fprintf(out, "%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%s,%" PRIu64 ",%" PRIu64 ",%" PRIu64,
                t->bytes_found, t->bytes_fetched, t->bytes_uploaded, u->unbalanced ? "false" : "true",
                u->throttled, u->reconnects, u->retries);
        for (unsigned k = 0; k < 6; k++)
            fprintf(out, ",%.1f", (double)u->time_ms[k] / 1000.0);
        fprintf(out, ",%s,%s,", now_rfc3339(u->started_ms, started, sizeof started),
                now_rfc3339(u->finished_ms, finished, sizeof finished));
        stalled_by(out, &u->stalls);
        fprintf(out, ",%" PRIu64 ",%u,%" PRIu64 "\r\n", u->repaired, u->doubts, u->doubled);
    }
    if (fflush(out) != 0 || ferror(out))
        return err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, errno, "write the CSV");
    return true;
}
