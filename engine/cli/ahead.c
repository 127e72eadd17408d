#include "engine/cli/ahead.h"

#include "engine/cli/shards.h"
#include "engine/move/batch.h"
#include "engine/report/format.h"
#include "engine/settings/side.h"
#include "store/spool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAMED_MAX 3u

bool ahead_window_closed(const struct settings *settings, int64_t now, FILE *out)
{
    const struct settings_window *w = &settings->window;
    time_t clock = (time_t)now;
    unsigned minute, wait;
    struct tm tm;

    if (!localtime_r(&clock, &tm))
        return false;
    minute = (unsigned)(tm.tm_hour * 60 + tm.tm_min);
    if (settings_window_open(w, minute))
        return false;
    wait = (w->opens_minute + 1440 - minute) % 1440;
    fprintf(out,
            "mailhaul: outside the window %02u:%02u-%02u:%02u: it opens at %02u:%02u, in %s. Nothing is read or "
            "uploaded before; run again then\n",
            w->opens_minute / 60, w->opens_minute % 60, w->closes_minute / 60, w->closes_minute % 60,
            w->opens_minute / 60, w->opens_minute % 60, format_seconds(wait * 60.0).text);
    return true;
}

/* Something of it could be missed: more than a `plan` was made of it. */
static bool was_run(const char *folder, const struct settings *settings)
{
    struct err err;
    int64_t last_ms;
    bool ran;

    if (!spool_is_used(folder))
        return false;
    return shards_judge(folder, settings->spool_key, &ran, &last_ms, &err) ? ran : err.code != ENOENT;
}

void ahead_tell_other_states(const struct settings *settings, FILE *out)
{
    const char *base = settings->sign_in_folder; /* the same whatever the shard */
    bool sharded = settings->shard_count > 1;
    char names[600] = "";
    unsigned others = 0;
    size_t used = 0;
    struct shards found;

    shards_find(base, &found);
    if (sharded && was_run(base, settings)) {
        others++;
        used = (size_t)snprintf(names, sizeof names, "%.250s", base);
    }
    for (size_t i = 0; i < found.count; i++) {
        const struct shard_folder *f = &found.list[i];

        if ((sharded && f->of == settings->shard_count) || !was_run(f->path, settings))
            continue;
        if (others++ < NAMED_MAX && used < sizeof names)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%.250s", used ? ", " : "", f->path);
    }
    shards_deinit(&found);
    if (others)
        fprintf(out,
                "mailhaul: warning: this batch was run %s before: %s%s. This run has a state folder of its own, %s: "
                "what is on the target is recognised and not doubled, but what the other%s know%s of failures, "
                "and bodies that wait there, are not looked at\n",
                sharded ? "without --shard, or in another number of shards," : "in shards", names,
                others > NAMED_MAX ? ", ..." : "", settings->state_folder, format_s(others), others == 1 ? "s" : "");
}

void ahead_tell_other_batch(struct spool *spool, const struct settings *settings, FILE *out)
{
    struct slice name = { 0 };
    struct err err;
    char *shown;

    if (spool_meta_get(spool, "batch.name", &name, &err) && name.size &&
        !slice_equal(name, slice_cstr(settings->batch_name))) {
        shown = format_printable(name);
        fprintf(
            out,
            "mailhaul: warning: the state folder %s was of the batch \"%s\" so far, and this one is \"%s\". If that is "
            "another batch, name another state: one folder belongs to one batch and one target\n",
            settings->state_folder, shown, settings->batch_name);
        free(shown);
    }
    free((char *)name.data);
}

/* One server at its two usual ports: with and without STARTTLS. */
static bool is_usual_port(struct slice port)
{
    return slice_equal(port, SLICE("143")) || slice_equal(port, SLICE("993"));
}

static bool is_other_port(const char *known, const struct settings_endpoint *e)
{
    char port[16];
    struct slice host = slice_cstr(known);
    const char *colon = strrchr(known, ':');

    if (!colon || !e->host || e->oauth.tenant)
        return false;
    host.size = (size_t)(colon - known);
    snprintf(port, sizeof port, "%u", e->port);
    return slice_equal_nocase(host, slice_cstr(e->host)) && is_usual_port(slice_cstr(colon + 1)) &&
           is_usual_port(slice_cstr(port));
}

void ahead_tell_other_server(struct spool *spool, const struct settings *settings, enum side side, FILE *out)
{
    const struct settings_endpoint *e = settings_endpoint(settings, side);
    char *known = batch_known_server(spool, settings, side), *shown, *now;

    if (known && !is_other_port(known, e)) {
        shown = format_printable(slice_cstr(known));
        now = batch_server_name(settings, side);
        fprintf(
            out,
            "mailhaul: warning: the state folder %s is of mail that was %s %s, and the %s is %s now. The same server "
            "under another name: nothing is lost or doubled. Another server: name another state; %s\n",
            settings->state_folder, side == SIDE_SOURCE ? "read from" : "moved to", shown, side_name(side), now,
            side == SIDE_SOURCE
                ? "a folder there with the UIDVALIDITY of one here counts as that one, and its mail as moved"
                : "what was moved is not moved there again, and its users end as TargetCountDiffers");
        free(now);
        free(shown);
    }
    free(known);
}
