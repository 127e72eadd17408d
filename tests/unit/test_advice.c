/* test: move */
#include "engine/failure/advice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "engine/failure/trouble.h"
#include "engine/move/sample.h"

/* The types that interface.md fixes. */
static const char *const fixed[] = {
    "LoginFailed",        "ImapDisabled",
    "ConnectFailed",      "TlsFailed",
    "InvalidMailboxName", "MultipleRoots",
    "FolderNameClash",    "SelectFailed",
    "ServerBug",          "ParseError",
    "TruncatedMessage",   "TooManyLargeItems",
    "TooManyBadItems",    "TooManyTransientFailures",
    "ConnectionLimit",    "TargetThrottled",
    "TargetUnavailable",  "QuotaExceeded",
    "MessageTooLarge",    "MessageRejected",
    "TokenFailed",        "MailboxNotFound",
    "PermissionMissing",  "SpoolError",
    "HiddenMessages",     "SizeDiffers",
    "LateCopy",           "TwoSenders",
    "TargetHoldsLess",    "TargetNotCounted",
    "NamesLeftOut",       "NotFollowed",
    "SourceHoldsLess",
};

static void every_fixed_type_has_advice(void **state)
{
    for (unsigned i = 0; i < sizeof fixed / sizeof *fixed; i++)
        assert_string_equal(advice_find(fixed[i])->type, fixed[i]);
}

static void every_type_that_trouble_gives_has_advice(void **state)
{
    static const char *const words[] = { "",
                                         "too many simultaneous connections",
                                         "not enabled for IMAP use",
                                         "User is authenticated but not connected",
                                         "Internal error occurred",
                                         "Invalid mailbox name",
                                         "Folder name is reserved",
                                         "Permission denied",
                                         "Quota exceeded",
                                         "Maximum size of appendable message",
                                         "mailbox is full" };

    for (int doing = 0; doing < TROUBLE_COUNT; doing++)
        for (int side = FAILURE_SOURCE; side <= FAILURE_LOCAL; side++)
            for (int error_class = 0; error_class < ERR_CLASS_COUNT; error_class++)
                for (int origin = 0; origin < ERR_ORIGIN_COUNT; origin++)
                    for (unsigned w = 0; w < sizeof words / sizeof *words; w++) {
                        struct err err;
                        const char *type;

                        err_set(&err, (enum err_class)error_class, ERR_SCOPE_MESSAGE, (enum err_origin)origin, 0, "%s",
                                words[w]);
                        type = trouble_type((enum trouble_doing)doing, (enum failure_side)side, &err);
                        assert_string_equal(advice_find(type)->type, type);
                    }
}

static void an_unknown_type_gets_general_advice(void **state)
{
    char line[256];

    assert_string_equal(advice_find("NoSuchThing")->type, "");
    assert_string_equal(advice_find("")->type, "");
    advice_line("NoSuchThing", SLICE("a@b.example"), line, sizeof line);
    assert_true(strlen(line) > 20);
}

static void rows_are_whole_unique_and_fit_the_journal(void **state)
{
    char address[65], line[512];
    const struct advice *a;

    memset(address, 'a', sizeof address - 1);
    address[64] = '\0';
    for (unsigned i = 0; (a = advice_at(i)); i++) {
        assert_true(a->type[0] && a->meaning[0] && a->remedy[0]);
        assert_int_equal(a->meaning[strlen(a->meaning) - 1], '.');
        assert_true(strlen(a->type) < 40);
        assert_ptr_equal(advice_find(a->type), a);
        advice_line(a->type, slice_cstr(address), line, sizeof line);
        if (strlen(line) > 255)
            fail_msg("%s: %zu bytes", a->type, strlen(line));
        assert_null(strstr(line, "{mailbox}"));
        assert_true(!a->command == (a->remedy[strlen(a->remedy) - 1] != ':'));
    }
}

static void an_address_stands_in_a_command_only_when_it_is_harmless(void **state)
{
    static const struct {
        const char *address;
        bool taken;
    } cases[] = {
        { "ann@contoso.example", true },
        { "o'neil@contoso.example", false },
        { "a b@contoso.example", false },
        { "$(rm)@x.example", false },
        { "-Force@x.example", false },
        { "a;b@x.example", false },
        { "", false },
        { "a\xe2\x80\x99@x.example", false },
        { "@splat", false },
        { "a+b.c_d-e@x.example", true },
    };
    char line[256];

    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        advice_line("ImapDisabled", slice_cstr(cases[i].address), line, sizeof line);
        if (cases[i].taken)
            assert_non_null(strstr(line, cases[i].address));
        else
            assert_non_null(strstr(line, "Set-CASMailbox <mailbox> -ImapEnabled"));
    }
}

static void live_numbers_come_back_as_they_went(void **state)
{
    struct buf b;
    struct slice rest;
    struct sample_live live;
    int64_t wall;

    buf_init(&b, SAMPLE_LIVE_BYTES);
    sample_live_begin(&b, 1764000000123);
    assert_true(sample_live_add(&b, &(struct sample_live){ 7, 1234567, 1764000300000, { 0, 13000 } }));
    assert_true(sample_live_add(&b, &(struct sample_live){ UINT32_MAX, UINT64_MAX, 0, { UINT64_MAX, 0 } }));
    assert_true(sample_live_open(buf_slice(&b), &wall, &rest));
    assert_true(wall == 1764000000123);
    assert_true(sample_live_next(&rest, &live));
    assert_true(live.user == 7 && live.bytes_per_s == 1234567);
    assert_true(live.throttled_until_ms == 1764000300000);
    assert_true(sample_live_next(&rest, &live));
    assert_true(live.user == UINT32_MAX && live.bytes_per_s == UINT64_MAX);
    assert_false(sample_live_next(&rest, &live));
    buf_deinit(&b);
}

static void a_full_or_damaged_live_value_is_refused(void **state)
{
    static const char *const bad[] = { "",          "live1",       "live2 5\n",
                                       "live1 x\n", "live1 5 6\n", "live1 99999999999999999999\n" };
    struct buf b;
    struct slice rest;
    struct sample_live live;
    int64_t wall;
    unsigned n = 0;

    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(sample_live_open(slice_cstr(bad[i]), &wall, &rest));
    rest = SLICE("1 2\n");
    assert_false(sample_live_next(&rest, &live));
    rest = SLICE("1 2 3 4\n");
    assert_false(sample_live_next(&rest, &live));
    buf_init(&b, 100);
    sample_live_begin(&b, 1);
    while (n < 100 && sample_live_add(&b, &(struct sample_live){ 1, 2, 3, { 0, 0 } }))
        n++;
    assert_true(n > 1 && n < 100 && b.size <= 100);
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fixed_type_has_advice),
        cmocka_unit_test(every_type_that_trouble_gives_has_advice),
        cmocka_unit_test(an_unknown_type_gets_general_advice),
        cmocka_unit_test(rows_are_whole_unique_and_fit_the_journal),
        cmocka_unit_test(an_address_stands_in_a_command_only_when_it_is_harmless),
        cmocka_unit_test(live_numbers_come_back_as_they_went),
        cmocka_unit_test(a_full_or_damaged_live_value_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
