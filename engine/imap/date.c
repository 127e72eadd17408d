#include "engine/imap/date.h"

#include <assert.h>
#include <stdio.h>

#define SECONDS_MOST (INT64_C(1) << 40) /* far beyond what four digits of a year can say */

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

/* Days since 1970-01-01 of a civil date (Howard Hinnant's era arithmetic). month 1..12. */
static int64_t days_of(int64_t year, unsigned month, unsigned day)
{
    int64_t era;
    unsigned yoe, doy;

    year -= month <= 2;
    era = (year >= 0 ? year : year - 399) / 400;
    yoe = (unsigned)(year - era * 400);
    doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + (int64_t)(yoe * 365 + yoe / 4 - yoe / 100 + doy) - 719468;
}

static void civil_of(int64_t days, int *year_r, unsigned *month_r, unsigned *day_r)
{
    int64_t era;
    unsigned doe, yoe, doy, mp;

    days += 719468;
    era = (days >= 0 ? days : days - 146096) / 146097;
    doe = (unsigned)(days - era * 146097);
    yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    mp = (5 * doy + 2) / 153;
    *day_r = doy - (153 * mp + 2) / 5 + 1;
    *month_r = mp < 10 ? mp + 3 : mp - 9;
    *year_r = (int)((int64_t)yoe + era * 400 + (*month_r <= 2));
}

static void skip(struct slice *s, const char *these)
{
    while (s->size && s->data[0] && strchr(these, s->data[0]))
        *s = slice_from(*s, 1);
}

/* 1..max digits; false when there is none. */
static bool digits(struct slice *s, unsigned max, unsigned *value_r)
{
    unsigned n = 0;

    *value_r = 0;
    while (n < max && s->size && s->data[0] >= '0' && s->data[0] <= '9') {
        *value_r = *value_r * 10 + (unsigned)(s->data[0] - '0');
        *s = slice_from(*s, 1);
        n++;
    }
    return n != 0;
}

static bool month_name(struct slice *s, unsigned *month_r)
{
    for (unsigned i = 0; i < 12; i++) {
        if (slice_starts_nocase(*s, slice_of(months + 3 * i, 3))) {
            *month_r = i + 1;
            *s = slice_from(*s, 3);
            while (s->size && ((s->data[0] | 0x20) >= 'a' && (s->data[0] | 0x20) <= 'z'))
                *s = slice_from(*s, 1);
            return true;
        }
    }
    return false;
}

/* "+0100", "+01:00", "GMT"; none at all is UTC. Absurd ones are cut (F24). */
static int zone_minutes(struct slice s)
{
    unsigned hours, minutes = 0;
    int sign, value;

    skip(&s, " ");
    if (s.size == 0 || (s.data[0] != '+' && s.data[0] != '-'))
        return 0;
    sign = s.data[0] == '-' ? -1 : 1;
    s = slice_from(s, 1);
    if (!digits(&s, 2, &hours))
        return 0;
    skip(&s, ":");
    if (!digits(&s, 2, &minutes))
        minutes = 0;
    value = (int)(hours * 60 + (minutes > 59 ? 59 : minutes));
    return sign * (value > 840 ? 840 : value);
}

struct imap_date date_parse(struct slice text)
{
    static const unsigned char month_days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    struct imap_date none = { .known = false };
    unsigned day, month, year, hour = 0, minute = 0, second = 0;
    struct slice s = slice_trim(text), before;
    size_t comma = slice_find(s, ',');
    int zone;

    /* RFC 5322 form: the weekday is dropped. */
    if (comma != SIZE_MAX && comma <= 9)
        s = slice_from(s, comma + 1);
    skip(&s, " ");
    if (!digits(&s, 2, &day))
        return none;
    skip(&s, "- ");
    if (!month_name(&s, &month))
        return none;
    skip(&s, "- ");
    before = s;
    if (!digits(&s, 4, &year))
        return none;
    if (before.size - s.size == 2)
        year += year < 70 ? 2000 : 1900;
    skip(&s, " ");
    if (digits(&s, 2, &hour)) {
        skip(&s, ":");
        if (!digits(&s, 2, &minute))
            return none;
        if (s.size && s.data[0] == ':') {
            s = slice_from(s, 1);
            if (!digits(&s, 2, &second))
                return none;
        }
    }
    if (second == 60)
        second = 59; /* a leap second has no number of its own */
    if (year < 1900 || day == 0 || day > month_days[month - 1] || hour > 23 || minute > 59 || second > 59)
        return none;
    if (month == 2 && day == 29 && (year % 4 || (year % 100 == 0 && year % 400)))
        return none;
    zone = zone_minutes(s);
    return (struct imap_date){
        .seconds = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - zone * 60,
        .zone_minutes = (int16_t)zone,
        .known = true,
    };
}

bool date_is_writable(const struct imap_date *date)
{
    int64_t local;

    if (!date->known || date->zone_minutes < -840 || date->zone_minutes > 840 || date->seconds < -SECONDS_MOST ||
        date->seconds > SECONDS_MOST)
        return false;
    local = date->seconds + date->zone_minutes * 60;
    return local >= days_of(0, 1, 1) * 86400 && local < days_of(10000, 1, 1) * 86400;
}

const char *date_format(const struct imap_date *date, char out[DATE_TEXT_SIZE])
{
    int64_t local = date->seconds + date->zone_minutes * 60;
    int64_t days = local / 86400, rest = local % 86400;
    unsigned month, day, zone;
    int year;

    assert(date_is_writable(date));
    if (rest < 0) {
        rest += 86400;
        days--;
    }
    civil_of(days, &year, &month, &day);
    zone = (unsigned)(date->zone_minutes < 0 ? -date->zone_minutes : date->zone_minutes);
    snprintf(out, DATE_TEXT_SIZE, "%2u-%.3s-%04u %02u:%02u:%02u %c%02u%02u", day % 100, months + 3 * (month - 1),
             (unsigned)year % 10000, (unsigned)(rest / 3600) % 100, (unsigned)(rest / 60 % 60), (unsigned)(rest % 60),
             date->zone_minutes < 0 ? '-' : '+', zone / 60 % 100, zone % 60);
    return out;
}
