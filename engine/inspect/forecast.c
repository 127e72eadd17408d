#include "engine/inspect/forecast.h"

#include "engine/pace/pace.h"

/* Where nothing was measured. Reports for Exchange Online go from 0.2 to 3 GB an hour for a
 * mailbox; ten messages a second are what four connections do that each wait 400 ms for an answer.
 * Other servers are as fast as their disks; the least that the benchmarks of docs/benchmarks.md saw
 * is more. */
#define EXCHANGE_BYTES_S    (500e6 / 3600)
#define EXCHANGE_MESSAGES_S 10.0
#define IMAP_BYTES_S        30e6
#define IMAP_MESSAGES_S     1000.0
/* Google's limit for one user and day of IMAP download. */
#define GMAIL_DAY_BYTES UINT64_C(2500000000)
/* A shorter or smaller run tells more of its beginning than of the servers. */
#define MEASURED_MS_LEAST       2000u
#define MEASURED_MESSAGES_LEAST 50u
#define DAY_S                   86400.0

static bool measure(struct forecast_rate *r, const struct sample_side *side)
{
    double seconds = (double)side->ms / 1000;

    if (side->ms < MEASURED_MS_LEAST || side->messages < MEASURED_MESSAGES_LEAST || side->bytes == 0)
        return false;
    *r = (struct forecast_rate){ .basis = FORECAST_MEASURED,
                                 .bytes_per_s = (double)side->bytes / seconds,
                                 .messages_per_s = (double)side->messages / seconds,
                                 .measured_s = seconds };
    return true;
}

static bool is_gmail(const char *host)
{
    struct slice h = slice_cstr(host);

    return slice_equal_nocase(h, SLICE("imap.gmail.com")) || slice_equal_nocase(h, SLICE("imap.googlemail.com"));
}

/* Seconds that a night has. */
static double night_of(const struct settings *s)
{
    double night = DAY_S;

    if (s->window.set) {
        int minutes = (int)s->window.closes_minute - (int)s->window.opens_minute;

        night = (minutes > 0 ? minutes : minutes + 1440) * 60.0;
    }
    return s->time_limit_s && s->time_limit_s < night ? s->time_limit_s : night;
}

void forecast_begin(struct forecast *f, const struct settings *settings, const struct sample_rates *rates,
                    double cost_per_s)
{
    bool exchange = settings->target.preset == SETTINGS_PRESET_EXCHANGE_ONLINE;

    *f = (struct forecast){ .settings = settings,
                            .source_day_bytes = settings->source.bytes_per_day,
                            .target_day_bytes = settings->target.bytes_per_day,
                            .night_s = night_of(settings) };
    if (!f->source_day_bytes && is_gmail(settings->source.host)) {
        f->source_day_bytes = GMAIL_DAY_BYTES;
        f->day_assumed = true;
    }
    if (measure(&f->source, &rates->fetched))
        ;
    else if (settings->bench_bytes_per_s > 0 && settings->bench_messages_per_s > 0)
        f->source = (struct forecast_rate){ .basis = FORECAST_BENCH,
                                            .bytes_per_s = settings->bench_bytes_per_s,
                                            .messages_per_s = settings->bench_messages_per_s };
    else
        f->source = (struct forecast_rate){ .bytes_per_s = IMAP_BYTES_S, .messages_per_s = IMAP_MESSAGES_S };
    if (cost_per_s > 0)
        f->target = (struct forecast_rate){ .basis = FORECAST_LEARNT, .cost_per_s = cost_per_s };
    else if (!measure(&f->target, &rates->uploaded))
        f->target = (struct forecast_rate){
            .bytes_per_s = exchange ? EXCHANGE_BYTES_S : IMAP_BYTES_S,
            .messages_per_s = exchange ? EXCHANGE_MESSAGES_S : IMAP_MESSAGES_S,
            .per_mailbox = exchange,
        };
}

/* Whichever is scarcer, bytes or messages. */
static double time_of(const struct forecast_rate *r, uint64_t messages, uint64_t bytes)
{
    double by_bytes, by_messages;

    if (r->basis == FORECAST_LEARNT) {
        struct pace_config config;

        pace_config_init(&config, PACE_MODE_EXCHANGE);
        return ((double)messages + (double)bytes / config.cost_bytes) / r->cost_per_s;
    }
    by_bytes = (double)bytes / r->bytes_per_s;
    by_messages = (double)messages / r->messages_per_s;
    return by_bytes > by_messages ? by_bytes : by_messages;
}

static unsigned days_of(uint64_t bytes, uint64_t day_bytes)
{
    uint64_t days = day_bytes ? bytes / day_bytes + (bytes % day_bytes != 0) : 0;

    return days > UINT32_MAX ? UINT32_MAX : (unsigned)days;
}

unsigned forecast_add(struct forecast *f, const struct forecast_user *u)
{
    unsigned there = days_of(u->fetch_bytes, f->source_day_bytes);
    unsigned here = days_of(u->send_bytes, f->target_day_bytes);
    unsigned days = there > here ? there : here;
    double alone;

    if (u->send_messages == 0)
        return 0;
    f->users++;
    f->fetch_messages += u->fetch_messages;
    f->fetch_bytes += u->fetch_bytes;
    f->send_messages += u->send_messages;
    f->send_bytes += u->send_bytes;
    alone = f->target.per_mailbox ? time_of(&f->target, u->send_messages, u->send_bytes) : 0;
    f->longest_s = alone > f->longest_s ? alone : f->longest_s;
    f->days = days > f->days ? days : f->days;
    return days;
}

static unsigned nights_of(double seconds, double night_s)
{
    double nights = seconds / night_s;

    if (nights >= (double)UINT32_MAX)
        return UINT32_MAX;
    return (unsigned)nights + ((double)(unsigned)nights < nights);
}

void forecast_end(struct forecast *f)
{
    unsigned at_once = f->settings->target.connections;

    f->source_s = time_of(&f->source, f->fetch_messages, f->fetch_bytes);
    f->target_s = time_of(&f->target, f->send_messages, f->send_bytes);
    if (f->target.per_mailbox && f->users)
        f->target_s /= f->users < at_once ? f->users : at_once;
    /* No mailbox is faster than one mailbox may be. */
    if (f->longest_s > f->target_s)
        f->target_s = f->longest_s;
    f->seconds = f->source_s > f->target_s ? f->source_s : f->target_s;
    f->nights = nights_of(f->seconds, f->night_s);
    if (f->days > f->nights)
        f->nights = f->days;
}
