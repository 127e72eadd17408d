#include "engine/cli/do_rehearse.h"

#include "engine/cli/do_run.h"
#include "engine/cli/exits.h"
#include "engine/cli/json_out.h"
#include "engine/cli/load.h"
#include "engine/rehearsal/exo.h"
#include "io/base/mem.h"
#include "io/base/secret.h"

#include <errno.h>
#include <ftw.h>
#include <jansson.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define TENANT "rehearsal.onmicrosoft.com"

/* What is assumed of a tenant where [rehearse] says nothing: 80 ms an APPEND, 4 connections a
 * mailbox, 36 MB a message, and a budget a mailbox of what people report (0.5 GB an hour at 100 kB
 * a cost). */
static const char *const assumed[][2] = {
    { "mailbox-rate", "1.4" },   { "mailbox-burst", "300" },
    { "mailbox-cutoff", "60" },  { "message-bytes-max", "36000000" },
    { "connections-max", "20" }, { "errors-max", "10" },
    { "delay-max-ms", "400" },   { "keep", "id" },
};

struct rehearsal {
    char folder[64]; /* the CA and the secret; gone at the end */
    /* Of this rehearsal alone: who else is on this host can reach the simulated tenant. */
    char client[40], secret[72];
    struct exo *exo;
    struct settings *settings;
    struct settings_list overrides, warnings;
};

static int removed(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)ftw;
    /* remove() would try a folder as a file first, which is denied by then. */
    return type == FTW_DP ? rmdir(path) : unlink(path);
}

static void add(struct rehearsal *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct rehearsal *r, const char *format, ...)
{
    char line[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    settings_list_add(&r->overrides, slice_cstr(line));
}

static bool secret_drawn(struct rehearsal *r, struct err *err_r)
{
    unsigned char bytes[48];

    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_OS, 0, "no random numbers to be had");
    for (unsigned i = 0; i < 32; i++)
        snprintf(r->secret + 2 * i, 3, "%02x", bytes[i]);
    snprintf(r->client, sizeof r->client, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
             bytes[32], bytes[33], bytes[34], bytes[35], bytes[36], bytes[37], bytes[38], bytes[39], bytes[40],
             bytes[41], bytes[42], bytes[43], bytes[44], bytes[45], bytes[46], bytes[47]);
    secret_wipe(bytes, sizeof bytes);
    return true;
}

static bool folder_made(struct rehearsal *r, struct err *err_r)
{
    char path[128];
    FILE *f;

    snprintf(r->folder, sizeof r->folder, "/tmp/mailhaul-rehearse-XXXXXX");
    if (!mkdtemp(r->folder)) {
        r->folder[0] = '\0';
        return err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, errno, "/tmp");
    }
    snprintf(path, sizeof path, "%s/secret", r->folder);
    f = fopen(path, "wex");
    if (!f || fprintf(f, "%s\n", r->secret) < 0 || fclose(f) != 0)
        return err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, errno, path);
    return true;
}

/* The rehearsal's own state, beside the batch file: the batch's is not touched. */
static void name_state(struct rehearsal *r, const char *batch_file)
{
    const char *slash = strrchr(batch_file, '/');
    struct slice name = slice_cstr(slash ? slash + 1 : batch_file);

    if (slice_ends(name, SLICE(".ini")))
        name = slice_first(name, name.size - 4);
    add(r, "batch.state=%.*s.rehearsal.state", (int)name.size, name.data);
}

static bool server_started(struct rehearsal *r, const struct settings_list *wishes, struct err *err_r)
{
    struct exo_config *config = mem_zero(1, sizeof *config);
    bool ok = true;

    exo_config_init(config);
    snprintf(config->folder, sizeof config->folder, "%s", r->folder);
    snprintf(config->tenant, sizeof config->tenant, TENANT);
    snprintf(config->client_id, sizeof config->client_id, "%s", r->client);
    snprintf(config->client_secret, sizeof config->client_secret, "%s", r->secret);
    config->mailbox_auto = true;
    config->imap_plain_port = config->control_port = -1;
    for (unsigned i = 0; ok && i < sizeof assumed / sizeof *assumed; i++)
        ok = exo_config_set(config, assumed[i][0], assumed[i][1], err_r);
    for (size_t i = 0; ok && i < wishes->count; i++) {
        struct slice wish = slice_cstr(wishes->items[i]);
        size_t equals = slice_find(wish, '=');
        char *key = slice_dup(slice_first(wish, equals));

        ok = exo_config_set(config, key, wishes->items[i] + equals + 1, err_r);
        free(key);
    }
    ok = ok && exo_start(config, &r->exo, err_r);
    free(config);
    return ok;
}

static void aim(struct rehearsal *r)
{
    struct exo_ports ports = exo_ports(r->exo);

    add(r, "target.preset=exchange-online");
    add(r, "target.tenant=%s", TENANT);
    add(r, "target.client-id=%s", r->client);
    add(r, "target.client-secret-file=%s/secret", r->folder);
    add(r, "target.url=imaps://localhost:%u", ports.imap);
    add(r, "target.token-url=https://localhost:%u/%s/oauth2/v2.0/token", ports.token, TENANT);
    add(r, "target.tls-ca=%s", exo_ca_file(r->exo));
}

static void tell(const struct opts *o, const struct exo_stats *s)
{
    double hours = s->seconds > 0 ? s->seconds / 3600 : 1;

    if (o->json) {
        json_t *all = json_pack(
            "{s:s,s:f,s:I,s:I,s:f,s:f,s:I,s:f,s:I,s:I,s:I,s:f}", "schema", "mailhaul.rehearse.v1", "seconds",
            s->seconds, "messages", (json_int_t)s->appends, "bytes", (json_int_t)s->append_bytes, "messages_per_s",
            (double)s->appends / s->seconds, "gb_per_hour", (double)s->append_bytes / 1e9 / hours, "throttled",
            (json_int_t)s->throttled, "throttled_per_minute", (double)s->throttled * 60 / s->seconds, "violations",
            (json_int_t)(s->violations + s->violations_tenant), "connects", (json_int_t)s->connects, "connections_max",
            (json_int_t)s->connections_max, "jain", s->jain);

        json_out(all);
        return;
    }
    printf("\nRehearsed against a simulated tenant, not against Microsoft's:\n"
           "  took            %llu messages, %.1f MB in %.0f s: %.1f messages/s, %.2f GB an hour\n"
           "  throttle answers %llu (%.2f a minute); sent before a wait was over: %llu\n"
           "  connections     %llu at most, %llu in all; fairness over mailboxes %.2f\n",
           (unsigned long long)s->appends, (double)s->append_bytes / 1e6, s->seconds, (double)s->appends / s->seconds,
           (double)s->append_bytes / 1e9 / hours, (unsigned long long)s->throttled,
           (double)s->throttled * 60 / s->seconds, (unsigned long long)(s->violations + s->violations_tenant),
           (unsigned long long)s->connections_max, (unsigned long long)s->connects, s->jain);
}

static bool prepared(const struct opts *o, struct rehearsal *r, struct err *err_r)
{
    struct load_need first = { .local = true, .other_target = true },
                     whole = { .users = true, .source = true, .target = true, .other_target = true };
    struct settings *wishes = NULL;
    bool ok;

    if (!secret_drawn(r, err_r) || !folder_made(r, err_r))
        return false;
    /* Once for [rehearse], which the server is started by, and then with the server in its place.
     */
    add(r, "target.preset=imap");
    add(r, "target.url=imaps://localhost:1");
    ok = load_settings(o, first, &r->overrides, &wishes, &r->warnings, err_r) &&
         server_started(r, &wishes->rehearse, err_r);
    settings_destroy(&wishes);
    settings_list_deinit(&r->overrides);
    settings_list_deinit(&r->warnings);
    if (!ok)
        return false;
    aim(r);
    name_state(r, o->batch_files.items[0]);
    if (!load_settings(o, whole, &r->overrides, &r->settings, &r->warnings, err_r))
        return false;
    r->settings->mode = SETTINGS_MODE_RUN;
    return true;
}

int do_rehearse(const struct opts *o, const struct settings *settings)
{
    struct rehearsal r = { .folder = "" };
    struct exo_stats stats;
    struct err err;
    int code;

    (void)settings;
    if (!prepared(o, &r, &err)) {
        code = load_complain(&err);
    } else {
        for (size_t i = 0; i < r.warnings.count && !o->quiet; i++)
            fprintf(stderr, "mailhaul: warning: %s\n", r.warnings.items[i]);
        code = do_run_beside(o, r.settings, r.folder);
        exo_stats(r.exo, &stats);
        if (code == EXIT_DONE || code == EXIT_STOPPED || code == EXIT_FAILED_USERS || code == EXIT_DOUBTS)
            tell(o, &stats);
    }
    exo_stop(&r.exo);
    settings_destroy(&r.settings);
    settings_list_deinit(&r.overrides);
    settings_list_deinit(&r.warnings);
    if (r.folder[0])
        nftw(r.folder, removed, 8, FTW_DEPTH | FTW_PHYS);
    return code;
}
