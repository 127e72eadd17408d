/* test: inspect */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/inspect/forecast.h"
#include "io/base/mem.h"

#include <stdlib.h>

#define GB UINT64_C(1000000000)

static struct settings *settings(bool exchange)
{
    struct settings *s = settings_create();

    s->source.host = mem_text("imap.source.example");
    s->target.preset = exchange ? SETTINGS_PRESET_EXCHANGE_ONLINE : SETTINGS_PRESET_IMAP;
    s->target.connections = 10;
    return s;
}

/* One sample; values that the forecast does not read are noise. */
static void sample(struct sample_rates *r, int64_t second, uint64_t fetched, uint64_t fetched_bytes, uint64_t uploaded,
                   uint64_t uploaded_bytes)
{
    uint64_t values[SAMPLE_VALUES] = { [SAMPLE_SPOOL_HELD] = 77, [SAMPLE_TENANT_RATE] = 5 };

    values[SAMPLE_MESSAGES_FETCHED] = fetched;
    values[SAMPLE_BYTES_FETCHED] = fetched_bytes;
    values[SAMPLE_MESSAGES_UPLOADED] = uploaded;
    values[SAMPLE_BYTES_UPLOADED] = uploaded_bytes;
    sample_rates_add(r, 1700000000000 + second * 1000, values);
}

static void assert_near(double value, double expected)
{
    if (value < expected * 0.999 || value > expected * 1.001)
        fail_msg("%g, not %g", value, expected);
}

static struct forecast_user mail(uint64_t messages, uint64_t bytes)
{
    return (struct forecast_user){ messages, bytes, messages, bytes };
}

static void a_sides_time_is_from_its_first_message_to_its_last(void **state)
{
    struct sample_rates r = { 0 };

    (void)state;
    sample(&r, 0, 0, 0, 0, 0);
    sample(&r, 5, 100, 1000, 0, 0);
    sample(&r, 10, 200, 2000, 50, 500); /* uploading began between 5 and 10 */
    sample(&r, 15, 200, 2000, 50, 500); /* throttled: that is its time too */
    sample(&r, 20, 200, 2000, 100, 1000);
    sample(&r, 25, 200, 2000, 100, 1000);
    /* the next night */
    sample(&r, 90000, 0, 0, 0, 0);
    sample(&r, 90005, 10, 100, 0, 0);
    sample_rates_end(&r);
    assert_int_equal(r.fetched.ms, 15000);
    assert_int_equal(r.fetched.messages, 210);
    assert_int_equal(r.fetched.bytes, 2100);
    assert_int_equal(r.uploaded.ms, 15000);
    assert_int_equal(r.uploaded.messages, 100);
    assert_int_equal(r.uploaded.bytes, 1000);
}

static void a_run_that_moved_nothing_ends_where_its_samples_end(void **state)
{
    struct sample_rates r = { 0 };

    (void)state;
    sample(&r, 0, 0, 0, 0, 0);
    sample(&r, 5, 0, 0, 0, 0);
    sample(&r, 40000, 7, 700, 0, 0); /* another run; its first sample came late */
    sample(&r, 40005, 17, 1700, 0, 0);
    sample_rates_end(&r);
    assert_int_equal(r.fetched.ms, 5000);
    assert_int_equal(r.fetched.messages, 10);
}

static void nothing_to_move_takes_no_night(void **state)
{
    struct settings *s = settings(false);
    struct sample_rates none = { 0 };
    struct forecast_user nobody = { 0 };
    struct forecast f;

    (void)state;
    forecast_begin(&f, s, &none, 0);
    assert_int_equal(forecast_add(&f, &nobody), 0);
    forecast_end(&f);
    assert_int_equal(f.users, 0);
    assert_int_equal(f.nights, 0);
    assert_true(f.seconds == 0);
    settings_destroy(&s);
}

static void what_is_not_known_is_assumed_and_said(void **state)
{
    struct settings *s = settings(true);
    struct sample_rates none = { 0 };
    struct forecast_user u = mail(100, GB / 2), many = mail(72000, 1000);
    struct forecast f;

    (void)state;
    forecast_begin(&f, s, &none, 0);
    assert_int_equal(f.source.basis, FORECAST_ASSUMED);
    assert_int_equal(f.target.basis, FORECAST_ASSUMED);
    for (unsigned i = 0; i < 4; i++)
        forecast_add(&f, &u);
    forecast_end(&f);
    /* four mailboxes side by side */
    assert_near(f.seconds, 3600);
    assert_int_equal(f.nights, 1);
    forecast_begin(&f, s, &none, 0);
    for (unsigned i = 0; i < 20; i++)
        forecast_add(&f, &u);
    forecast_end(&f);
    /* ten at once, twice */
    assert_near(f.seconds, 7200);
    /* small messages cost, too; and no mailbox is faster than one may be */
    forecast_begin(&f, s, &none, 0);
    forecast_add(&f, &many);
    for (unsigned i = 0; i < 9; i++)
        forecast_add(&f, &(struct forecast_user){ 1, 1, 1, 1 });
    forecast_end(&f);
    assert_near(f.seconds, 7200);
    settings_destroy(&s);
}

static void measured_rates_go_before_assumptions(void **state)
{
    struct settings *s = settings(true);
    struct sample_rates r = { 0 };
    struct forecast_user u = mail(1000, GB);
    struct forecast f;

    (void)state;
    sample(&r, 0, 0, 0, 0, 0);
    sample(&r, 10, 1000, 100000000, 100, 10000000);
    sample_rates_end(&r);
    forecast_begin(&f, s, &r, 0);
    forecast_add(&f, &u);
    forecast_end(&f);
    assert_int_equal(f.source.basis, FORECAST_MEASURED);
    assert_int_equal(f.target.basis, FORECAST_MEASURED);
    assert_near(f.source.measured_s, 10);
    assert_near(f.source_s, 100);  /* 10 MB/s */
    assert_near(f.target_s, 1000); /* 1 MB/s */
    assert_near(f.seconds, 1000);  /* side by side */
    /* what the spool holds is not fetched again */
    u.fetch_messages = u.fetch_bytes = 0;
    forecast_begin(&f, s, &r, 0);
    forecast_add(&f, &u);
    forecast_end(&f);
    assert_true(f.source_s == 0);
    settings_destroy(&s);
}

static void a_run_too_short_tells_nothing(void **state)
{
    struct settings *s = settings(false);
    struct sample_rates r = { 0 };
    struct forecast f;

    (void)state;
    sample(&r, 0, 0, 0, 0, 0);
    sample(&r, 1, 1000, 100000000, 1000, 100000000);
    sample_rates_end(&r);
    forecast_begin(&f, s, &r, 0);
    assert_int_equal(f.source.basis, FORECAST_ASSUMED);
    r = (struct sample_rates){ 0 };
    sample(&r, 0, 0, 0, 0, 0);
    sample(&r, 60, 3, 100, 3, 100);
    sample_rates_end(&r);
    forecast_begin(&f, s, &r, 0);
    assert_int_equal(f.target.basis, FORECAST_ASSUMED);
    settings_destroy(&s);
}

static void what_pace_has_learnt_goes_first(void **state)
{
    struct settings *s = settings(true);
    struct sample_rates r = { 0 };
    struct forecast_user u = mail(1000, 100000000);
    struct forecast f;

    (void)state;
    sample(&r, 0, 0, 0, 0, 0);
    sample(&r, 10, 1000, 100000000, 1000, 100000000);
    sample_rates_end(&r);
    forecast_begin(&f, s, &r, 4);
    forecast_add(&f, &u);
    forecast_end(&f);
    assert_int_equal(f.target.basis, FORECAST_LEARNT);
    /* 1,000 messages and 1,000 times 100 kB, at a cost of 4 a second */
    assert_near(f.target_s, 500);
    settings_destroy(&s);
}

static void windows_and_limits_make_nights(void **state)
{
    struct settings *s = settings(false);
    struct sample_rates none = { 0 };
    struct forecast_user u = mail(1, 30000000ull * 7200); /* two hours, as assumed */
    struct forecast f;

    (void)state;
    s->window = (struct settings_window){ true, 22 * 60, 60 }; /* three hours, over midnight */
    forecast_begin(&f, s, &none, 0);
    forecast_add(&f, &u);
    forecast_end(&f);
    assert_near(f.night_s, 10800);
    assert_int_equal(f.nights, 1);
    s->time_limit_s = 3600; /* exactly twice */
    forecast_begin(&f, s, &none, 0);
    forecast_add(&f, &u);
    forecast_end(&f);
    assert_int_equal(f.nights, 2);
    forecast_add(&f, &(struct forecast_user){ 1, 30000000, 1, 30000000 });
    forecast_end(&f);
    assert_int_equal(f.nights, 3);
    settings_destroy(&s);
}

static void daily_limits_hold_a_mailbox_back(void **state)
{
    struct settings *s = settings(false);
    struct sample_rates none = { 0 };
    struct forecast_user u = mail(10, 10 * GB), small = mail(10, GB);
    struct forecast f;

    (void)state;
    s->source.bytes_per_day = 5 * GB / 2;
    forecast_begin(&f, s, &none, 0);
    assert_int_equal(forecast_add(&f, &small), 1);
    assert_int_equal(forecast_add(&f, &u), 4);
    forecast_end(&f);
    assert_int_equal(f.days, 4);
    assert_int_equal(f.nights, 4);
    assert_false(f.day_assumed);
    s->target.bytes_per_day = GB; /* whichever is stricter */
    forecast_begin(&f, s, &none, 0);
    assert_int_equal(forecast_add(&f, &u), 10);
    /* one byte more is a day more, and what is in the spool already is not fetched */
    u.fetch_messages = u.fetch_bytes = 0;
    u.send_bytes++;
    assert_int_equal(forecast_add(&f, &u), 11);
    settings_destroy(&s);
}

static void gmail_has_a_limit_also_where_nobody_set_it(void **state)
{
    struct settings *s = settings(false);
    struct sample_rates none = { 0 };
    struct forecast_user u = mail(10, 5 * GB + 1);
    struct forecast f;

    (void)state;
    free(s->source.host);
    s->source.host = mem_text("IMAP.gmail.com");
    forecast_begin(&f, s, &none, 0);
    assert_true(f.day_assumed);
    assert_int_equal(forecast_add(&f, &u), 3);
    s->source.bytes_per_day = 6 * GB;
    forecast_begin(&f, s, &none, 0);
    assert_false(f.day_assumed);
    assert_int_equal(forecast_add(&f, &u), 1);
    settings_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sides_time_is_from_its_first_message_to_its_last),
        cmocka_unit_test(a_run_that_moved_nothing_ends_where_its_samples_end),
        cmocka_unit_test(nothing_to_move_takes_no_night),
        cmocka_unit_test(what_is_not_known_is_assumed_and_said),
        cmocka_unit_test(measured_rates_go_before_assumptions),
        cmocka_unit_test(a_run_too_short_tells_nothing),
        cmocka_unit_test(what_pace_has_learnt_goes_first),
        cmocka_unit_test(windows_and_limits_make_nights),
        cmocka_unit_test(daily_limits_hold_a_mailbox_back),
        cmocka_unit_test(gmail_has_a_limit_also_where_nobody_set_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
