#include "engine/report/report.h"

#include "engine/report/table.h"
#include "engine/report/time.h"
#include "engine/settings/side.h"
#include "io/base/now.h"
#include "io/base/shown.h"

#include <errno.h>
#include <inttypes.h>

/* Spreadsheets run a cell that begins so, whoever wrote it into a subject: also in the full-width forms. */
static bool begins_formula(uint32_t code)
{
    return code == '=' || code == '+' || code == '-' || code == '@' || code == 0xFF1D || code == 0xFF0B ||
           code == 0xFF0D || code == 0xFF20;
}

void report_csv_field(FILE *out, struct slice text, bool last)
{
    /* Where ';' separates lists, quotes count at a cell's beginning only, and this field may become several cells. */
    bool cell_begins = true;

    putc('"', out);
    while (text.size) {
        uint32_t code = 0;
        size_t n = shown_sequence(text.data, text.size, &code);

        if (cell_begins && n && begins_formula(code))
            putc('\'', out);
        if (code == '"')
            putc('"', out);
        if (n && shown_is_safe(code))
            fwrite(text.data, 1, n, out);
        else
            putc('.', out);
        cell_begins = (n && code < 0x80 && strchr(";,|", (int)code) && code) ||
                      (cell_begins && (code == '"' || code == ' ' || code == 0xA0));
        text = slice_from(text, n ? n : 1);
    }
    fputs(last ? "\"\r\n" : "\",", out);
}

/* "source SlowAnswer 12.0; target SpoolFull 3.1", the longest first. */
static void stalled_by(FILE *out, const struct stalls *stalls)
{
    struct report_stall list[REPORT_STALLS_MAX];
    unsigned n = report_stalls_sorted(stalls, list);

    for (unsigned i = 0; i < n; i++)
        fprintf(out, "%s%s %s %.1f", i ? "; " : "", side_name(list[i].side), stall_name(list[i].cause),
                (double)list[i].ms / 1000.0);
}

/* A word of ours stands as it is. A report that is read again may have any text in its place. */
static void failure_type(FILE *out, const char *type)
{
    if (type[strspn(type, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")])
        report_csv_field(out, slice_cstr(type), false);
    else
        fprintf(out, "%s,", type);
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
        fprintf(out, "%s,", user_state_name(u->state));
        failure_type(out, u->failure);
        fprintf(out, "%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",", t->found, t->uploaded,
                t->present, t->skipped, t->failed, t->waiting + t->spooled);
        fprintf(out, "%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%s,%" PRIu64 ",%" PRIu64 ",%" PRIu64, t->bytes_found,
                t->bytes_fetched, t->bytes_uploaded, u->unbalanced ? "false" : "true", u->throttled, u->reconnects,
                u->retries);
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
