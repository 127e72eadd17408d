#include "engine/cli/listen_metrics.h"

#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void about(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void label(FILE *out, const char *text)
{
    for (; *text; text++)
        if (*text == '\\' || *text == '"')
            fprintf(out, "\\%c", *text);
        else if (*text == '\n')
            fputs("\\n", out);
        else
            putc(*text, out);
}

static void one(FILE *out, const char *name, const char *type, const char *help, uint64_t value)
{
    about(out, name, type, help);
    fprintf(out, "%s %" PRIu64 "\n", name, value);
}

static void real(FILE *out, const char *name, const char *type, const char *help, double value)
{
    about(out, name, type, help);
    fprintf(out, "%s %.3f\n", name, value);
}

struct part {
    const char *label;
    uint64_t value;
};

static void parts(FILE *out, const char *name, const char *type, const char *help, const char *key,
                  const struct part *list, unsigned count)
{
    about(out, name, type, help);
    for (unsigned i = 0; i < count; i++)
        fprintf(out, "%s{%s=\"%s\"} %" PRIu64 "\n", name, key, list[i].label, list[i].value);
}

static void info(const struct progress_look *look, FILE *out)
{
    about(out, "mailhaul_build_info", "gauge", "Always 1; which program this is.");
    fprintf(out, "mailhaul_build_info{version=\"%s\"} 1\n", MAILHAUL_VERSION);
    about(out, "mailhaul_run_info", "gauge", "Always 1; which batch and command this is.");
    fputs("mailhaul_run_info{batch=\"", out);
    label(out, look->batch);
    fprintf(out, "\",command=\"%s\"} 1\n", look->command);
    real(out, "mailhaul_run_start_timestamp_seconds", "gauge", "When the run began, in seconds since 1970.",
         (double)look->started_ms / 1000);
    real(out, "mailhaul_sample_timestamp_seconds", "gauge", "Of when the numbers are, in seconds since 1970.",
         (double)look->wall_ms / 1000);
}

static void process(FILE *out)
{
    struct rusage used;
    FILE *statm = fopen("/proc/self/statm", "re");
    unsigned long size, resident;

    if (getrusage(RUSAGE_SELF, &used) == 0)
        real(out, "process_cpu_seconds_total", "counter", "Processor time of the process, in seconds.",
             (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                 (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
    if (statm && fscanf(statm, "%lu %lu", &size, &resident) == 2)
        one(out, "process_resident_memory_bytes", "gauge", "Memory of the process.",
            (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE));
    if (statm)
        fclose(statm);
}

static void failures(const struct progress_view *v, FILE *out)
{
    about(out, "mailhaul_failed_users", "gauge", "Users that failed in this run, by what they failed by.");
    for (unsigned i = 0; i < v->failure_count; i++) {
        fputs("mailhaul_failed_users{type=\"", out);
        label(out, v->failures[i].type);
        fprintf(out, "\"} %u\n", v->failures[i].users);
    }
}

void listen_metrics(const struct progress_look *look, FILE *out)
{
    const struct progress_view *v = &look->view;
    const struct part users[] = { { "queued", v->queued },
                                  { "working", v->working },
                                  { "synced", v->synced - v->doubted },
                                  { "doubted", v->doubted },
                                  { "failed", v->failed } };
    const struct part messages[] = { { "uploaded", v->uploaded },
                                     { "present", v->present },
                                     { "skipped", v->skipped },
                                     { "failed", v->failed_messages },
                                     { "pending", v->pending } };
    const struct part links[] = { { "source", v->links[0] }, { "target", v->links[1] } };
    const struct part silent[] = { { "source", v->silent_s[0] }, { "target", v->silent_s[1] } };
    const struct part folders[] = { { "done", v->folders_done },
                                    { "pending", v->folders > v->folders_done ? v->folders - v->folders_done : 0 } };

    info(look, out);
    process(out);
    if (!look->there)
        return;
    parts(out, "mailhaul_users", "gauge", "Users of the batch, by how they stand.", "state", users, 5);
    parts(out, "mailhaul_messages", "gauge",
          "Messages found, by how they stand, of all runs; the sum is all that were found.", "state", messages, 5);
    one(out, "mailhaul_found_final", "gauge", "1 when every folder is listed, so that no message is found any more.",
        v->found_final);
    one(out, "mailhaul_found_bytes", "gauge", "Size of the messages found, of all runs.", v->bytes_found);
    parts(out, "mailhaul_folders", "gauge", "Folders of this run's users, by how they stand.", "state", folders, 2);
    one(out, "mailhaul_fetched_messages_total", "counter", "Messages read from the source in this run.", v->fetched);
    one(out, "mailhaul_fetched_bytes_total", "counter", "Bytes of messages read from the source in this run.",
        v->bytes_fetched);
    one(out, "mailhaul_uploaded_messages_total", "counter", "Messages that the target took in this run.",
        v->uploaded_now);
    one(out, "mailhaul_uploaded_bytes_total", "counter", "Bytes of messages that the target took in this run.",
        v->bytes_uploaded);
    one(out, "mailhaul_throttle_replies_total", "counter",
        "Answers of either server that asked for patience, in this run.", v->throttle_answers);
    one(out, "mailhaul_reconnects_total", "counter", "Connections that were lost and opened again in this run.",
        v->reconnects);
    one(out, "mailhaul_throttled_mailboxes", "gauge", "Mailboxes that wait because a server asked for it.",
        v->throttled_mailboxes);
    real(out, "mailhaul_target_messages_per_second", "gauge",
         "What the target was learnt to take; 0 while nothing limits it.", v->pace);
    parts(out, "mailhaul_connections", "gauge", "Connections that stand.", "side", links, 2);
    parts(out, "mailhaul_no_answer_seconds", "gauge",
          "For how long nobody has had a byte of an answer that is due; 0 below five seconds.", "side", silent, 2);
    one(out, "mailhaul_spool_bytes", "gauge", "Compressed mail that waits in the spool.", v->spool_held);
    one(out, "mailhaul_spool_limit_bytes", "gauge", "How much of it may wait; 0 when nothing limits it.",
        v->spool_budget);
    failures(v, out);
}
