#include "engine/cli/ahead.h"

#include "engine/cli/shards.h"
#include "engine/report/format.h"
#include "io/base/mem.h"

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

void ahead_tell_other_states(const struct settings *settings, FILE *out)
{
    const char *base = settings->sign_in_folder; /* the same whatever the shard */
    char *count, names[600] = "";
    bool sharded = settings->shard_count > 1;
    unsigned others = 0;
    size_t used = 0;
    glob_t found;

    shards_find(base, &found);
    count = mem_format("-of-%u", settings->shard_count);
    if (sharded && shards_used(base)) {
        others++;
        used = (size_t)snprintf(names, sizeof names, "%.250s", base);
    }
    for (size_t i = 0; i < found.gl_pathc; i++) {
        const char *of = strstr(found.gl_pathv[i] + strlen(base), "-of-");

        if (!of || (sharded && strcmp(of, count) == 0) || !shards_used(found.gl_pathv[i]))
            continue;
        if (others++ < NAMED_MAX && used < sizeof names)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%.250s", used ? ", " : "",
                                     found.gl_pathv[i]);
    }
    if (others)
        fprintf(out,
                "mailhaul: warning: this batch was run %s before: %s%s. This run has a state folder of its own, %s: "
                "what is on the target is recognised and not doubled, but what the other%s know%s of failures, "
                "and bodies that wait there, are not looked at\n",
                sharded ? "without --shard, or in another number of shards," : "in shards", names,
                others > NAMED_MAX ? ", ..." : "", settings->state_folder, format_s(others),
                others == 1 ? "s" : "");
    globfree(&found);
    free(count);
}
