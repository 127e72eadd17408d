/* test: config */
#include "engine/config/password_command.h"
#include "engine/config/users.h"
#include "engine/config/users_from.h"
#include "engine/config/value_network.h"
#include "io/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/mailhaul-values-XXXXXX";

static int enter(void **state)
{
    (void)state;
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int leave(void **state)
{
    char *remove = mem_format("rm -rf %s", folder);
    int code = chdir("/") == 0 ? system(remove) : -1;

    (void)state;
    free(remove);
    return code;
}

static void put(const char *name, const char *text, mode_t mode)
{
    FILE *f = fopen(name, "we");

    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(name, mode), 0);
}

/* ---- proxies, limits, command lines ---- */

static void proxies(void **state)
{
    static const struct {
        const char *text;
        enum proxy_kind kind;
        const char *host;
        unsigned port;
        const char *user, *password;
    } good[] = {
        { "socks5://proxy.example.edu:1080", PROXY_SOCKS5, "proxy.example.edu", 1080, NULL, NULL },
        { "SOCKS5H://[2001:db8::1]:1080/", PROXY_SOCKS5, "2001:db8::1", 1080, NULL, NULL },
        { "http://ann:s3%40cret@127.0.0.1:3128", PROXY_HTTP, "127.0.0.1", 3128, "ann", "s3@cret" },
    };
    static const char *const bad[] = { "",
                                       "proxy:3128",
                                       "https://proxy:3128",
                                       "socks4://proxy:1",
                                       "http://proxy",
                                       "http://proxy:0",
                                       "http://proxy:65536",
                                       "http://:3128",
                                       "http://a b:3128",
                                       "http://2001:db8::1:3128",
                                       "http://ann@proxy:3128",
                                       "http://:x@proxy:3128",
                                       "http://ann:@proxy:3128",
                                       "http://ann:%4@proxy:3128",
                                       "http://proxy:3128/x" };
    struct proxy_way way = { .kind = PROXY_NONE };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(value_proxy(slice_cstr(good[i].text), &way)); /* frees the one before */
        assert_int_equal(way.kind, good[i].kind);
        assert_string_equal(way.host, good[i].host);
        assert_int_equal(way.port, good[i].port);
        assert_true(slice_equal(secret_peek(way.user), slice_cstr(good[i].user ? good[i].user : "")));
        assert_true(slice_equal(secret_peek(way.password), slice_cstr(good[i].password ? good[i].password : "")));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (value_proxy(slice_cstr(bad[i]), &way))
            fail_msg("%s: was taken", bad[i]);
    assert_string_equal(way.host, "127.0.0.1"); /* untouched */
    free(way.host);
    secret_destroy(&way.user);
    secret_destroy(&way.password);
}

static void limits_by_time_of_day(void **state)
{
    static const char *const bad[] = { "",
                                       "20",
                                       "99KB",
                                       "20MB,",
                                       "20MB, 08:00-18:00 2MB",
                                       "8-18 2MB",
                                       "08:00-18:00",
                                       "08:00-18:00, 2MB",
                                       "2MB 08:00-18:00",
                                       "-1MB" };
    struct settings_bandwidths limits;

    (void)state;
    assert_true(value_bandwidths(SLICE("0"), &limits));
    assert_int_equal(limits.count, 0);
    assert_true(value_bandwidths(SLICE("20MB"), &limits));
    assert_int_equal(limits.count, 1);
    assert_int_equal(limits.all[0].bytes_per_s, 20000000);
    assert_false(limits.all[0].window.set);
    assert_true(value_bandwidths(SLICE("08:00-18:00 2MB, 22:00-04:00 0, 100KB"), &limits));
    assert_int_equal(limits.count, 3);
    assert_int_equal(limits.all[0].window.closes_minute, 1080);
    assert_int_equal(limits.all[1].bytes_per_s, 0);
    assert_int_equal(limits.all[2].bytes_per_s, 100000);
    assert_true(value_bandwidths(SLICE("08:00-18:00 2MB, 0"), &limits));
    assert_int_equal(limits.count, 2);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (value_bandwidths(slice_cstr(bad[i]), &limits))
            fail_msg("%s: was taken", bad[i]);
}

static void command_lines_are_parted_without_a_shell(void **state)
{
    static const char *const bad[] = { "",        " ",   "\"\"",    "a \"b",      "a 'b",
                                       "a {usr}", "a }", "a {user", "a {user} }", "a\nb" };
    struct settings_list words = { NULL, 0 };

    (void)state;
    assert_true(value_words(SLICE(" pass  show 'my mail/{user}' \"a'b\"c $HOME;x --as={address} ''"), &words));
    assert_int_equal(words.count, 7);
    assert_string_equal(words.items[2], "my mail/{user}");
    assert_string_equal(words.items[3], "a'bc");
    assert_string_equal(words.items[4], "$HOME;x");
    assert_string_equal(words.items[6], "");
    settings_list_deinit(&words);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (value_words(slice_cstr(bad[i]), &words))
            fail_msg("%s: was taken", bad[i]);
}

/* ---- users.csv as spreadsheets write it ---- */

static bool parse(struct settings *s, const char *text, struct settings_list *warnings, struct err *e)
{
    char *copy = mem_text(text);
    struct users_place place;
    bool ok, has_passwords;

    s->target.oauth.grant = SETTINGS_GRANT_CLIENT_SECRET;
    ok = users_parse(s, copy, strlen(text), "users.csv", (struct users_need){ true, true }, warnings, &has_passwords,
                     &place, e);
    free(copy);
    return ok;
}

static void semicolons_and_tabs_are_read(void **state)
{
    static const char *const texts[] = {
        "EmailAddress;UserName;Password;Wave;ExcludeFolders\na@b.c;ann;p,q;1;A,B\nd@e.f;dan;\"p;q\";;\n",
        "EmailAddress\tUserName\tPassword\tWave\tExcludeFolders\r\na@b.c\tann\tp,q\t1\tA,B\r\nd@e.f\tdan\tp;q\t\t\r\n",
        "sep=;\r\n\"EmailAddress\";\"UserName\";Password;Wave;ExcludeFolders\r\na@b.c;ann;p,q;1;A,B\r\nd@e.f;dan;\"p;"
        "q\";;\r\n",
        "sep=,\nEmailAddress,UserName,Password,Wave,ExcludeFolders\na@b.c,ann,\"p,q\",1,\"A,B\"\nd@e.f,dan,p;q,,\n",
        "sep=,\nEmailAddress;UserName;Password;Wave;ExcludeFolders\na@b.c;ann;p,q;1;A,B\nd@e.f;dan;\"p;q\";;\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct settings_list warnings = { NULL, 0 };
        struct settings *s = settings_create();
        struct err e;

        if (!parse(s, texts[i], &warnings, &e))
            fail_msg("%zu: %s", i, e.server_text);
        assert_int_equal(s->user_count, 2);
        assert_string_equal(s->users[0].user_name, "ann");
        assert_true(slice_equal(secret_peek(s->users[0].password), SLICE("p,q")));
        assert_true(slice_equal(secret_peek(s->users[1].password), SLICE("p;q")));
        assert_string_equal(s->users[0].wave, "1");
        assert_null(s->users[1].wave);
        assert_int_equal(s->users[0].exclude_folders->count, 2);
        settings_list_deinit(&warnings);
        settings_destroy(&s);
    }
}

static void all_faults_are_told_at_once(void **state)
{
    struct settings_list warnings = { NULL, 0 };
    struct settings *s = settings_create();
    char text[4000] = "EmailAddress,UserName,Password\n";
    size_t used = strlen(text);
    struct err e;

    (void)state;
    for (unsigned i = 0; i < 40; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, i % 2 ? "u%u,u,p\n" : "u%u@x.org\n", i);
    assert_false(parse(s, text, &warnings, &e));
    assert_string_equal(e.server_text, "users.csv:2:1: the row has 1 cell, the header 3");
    assert_int_equal(s->user_faults.count, 20);
    assert_string_equal(s->user_faults.items[0],
                        "users.csv:3:1: EmailAddress: u1: expected an address such as ann@x.org");
    assert_string_equal(s->user_faults.items[19], "and 20 more faults");
    settings_destroy(&s);
    s = settings_create();
    assert_false(parse(s, "EmailAddress,UserName,Password\na@b.c,a,p\nA@b.c,b,p\nd@e.f,d,p\na@B.c,x,p\nd@e.f,y,p\n",
                       &warnings, &e));
    assert_string_equal(e.server_text, "users.csv:3:1: EmailAddress: A@b.c: is there twice, first in line 2");
    assert_int_equal(s->user_faults.count, 2);
    assert_string_equal(s->user_faults.items[1], "users.csv:6:1: EmailAddress: d@e.f: is there twice, first in line 4");
    settings_list_deinit(&warnings);
    settings_destroy(&s);
}

static void typographic_quotes_are_told(void **state)
{
    struct settings_list warnings = { NULL, 0 };
    struct settings *s = settings_create();
    struct err e;

    (void)state;
    assert_false(parse(s,
                       "EmailAddress,UserName,Password\n\xE2\x80\x9C"
                       "ann@x.org\xE2\x80\x9D,ann,p\n",
                       &warnings, &e));
    assert_non_null(strstr(e.server_text, "has a typographic quote (U+201C) within; type it anew"));
    settings_destroy(&s);
}

/* ---- choosing users ---- */

#define USERS                                                                                                          \
    "EmailAddress,UserName,Password,Wave\nann@x.org,a,p,1\nbob@x.org,b,p,2\ncat@x.org,shared,p,\ndan@x.org,shared,p,"  \
    "Two\n"

static void chosen(const char *only, const char *but, const char *wave, const char *from_text, const char *expected)
{
    struct settings_list warnings = { NULL, 0 };
    struct settings *s = settings_create();
    struct users_from from = { 0 };
    char got[256] = "";
    size_t used = 0;
    struct err e;
    bool ok = true;

    s->users_file = mem_text("users.csv");
    assert_true(parse(s, USERS, &warnings, &e));
    settings_list_deinit(&warnings);
    if (only)
        settings_list_add(&s->only_users, slice_cstr(only));
    if (but)
        settings_list_add(&s->but_users, slice_cstr(but));
    if (wave)
        settings_list_add(&s->waves, slice_cstr(wave));
    if (from_text) {
        put("some.txt", from_text, 0600);
        ok = users_from_read(&from, "some.txt", &e);
    }
    ok = ok && users_select(s, from_text ? &from : NULL, &warnings, &e);
    for (size_t i = 0; ok && i < s->user_count; i++)
        used += (size_t)snprintf(got + used, sizeof got - used, "%.3s ", s->users[i].email_address);
    if (strcmp(ok ? got : e.server_text, expected) != 0)
        fail_msg("%s\nexpected %s", ok ? got : e.server_text, expected);
    assert_true(ok || e.code == 64);
    users_from_deinit(&from);
    settings_destroy(&s);
}

static void users_are_chosen(void **state)
{
    (void)state;
    chosen(NULL, NULL, NULL, NULL, "ann bob cat dan ");
    chosen("shared", NULL, NULL, NULL, "cat dan ");
    chosen(NULL, "BOB@x.org", NULL, NULL, "ann cat dan ");
    chosen(NULL, "shared", "two", NULL,
           "no user of users.csv is left by --user, --users-from, --wave and --exclude-user together");
    chosen(NULL, NULL, "TWO", NULL, "dan ");
    chosen(NULL, NULL, "3", NULL, "--wave 3: no row of users.csv has this Wave; did you mean 1?");
    chosen(NULL, NULL, "Tow", NULL, "--wave Tow: no row of users.csv has this Wave; did you mean Two?");
    chosen(NULL, "bbo@x.org", NULL, NULL,
           "--exclude-user bbo@x.org: no such EmailAddress or UserName in users.csv; did you mean bob@x.org?");
    chosen("b", NULL, NULL, "\xEF\xBB\xBF# wave\r\nAnn@x.org # first\r\n\r\n  shared\t\r\n", "ann bob cat dan ");
    chosen(NULL, "shared", NULL, "ann@x.org\nshared\n", "ann ");
    chosen(NULL, NULL, NULL, "ann@x.org\n\nana@x.org\n",
           "some.txt:3: ana@x.org: no such EmailAddress or UserName in users.csv; did you mean ann@x.org?");
    chosen(NULL, NULL, NULL, "# nobody\n\n", "some.txt: names no user");
    chosen(NULL, NULL, NULL, "ann\xC2\xA0@x.org\n",
           "some.txt:1: has a character within that is not seen (U+00A0); type it anew");
    chosen(NULL, NULL, NULL, "ann@x.org\n\xff\n",
           "some.txt:2: not UTF-8: most likely in a Windows or ISO code page. Save it as UTF-8 (Excel: CSV UTF-8), or "
           "convert it: iconv -f WINDOWS-1252 -t UTF-8 OLD >NEW");
}

/* ---- passwords from a program ---- */

static struct settings *asking(const char *command, bool admin)
{
    struct settings *s = settings_create();
    const char *const names[] = { "ann", "bob;x", "-c" };

    s->source.password_command = mem_text(command);
    if (admin)
        s->source.admin_user = mem_text("root");
    for (size_t i = 0; i < 2; i++) {
        struct settings_user *u = settings_user_add(s);

        u->user_name = mem_text(names[i]);
        u->email_address = mem_format("u%zu@x.org", i);
    }
    return s;
}

static void told(const char *command, bool admin, unsigned limit_s, const char *expected, size_t others)
{
    struct settings_list faults = { NULL, 0 };
    struct settings *s = asking(command, admin);
    struct err e;

    assert_false(password_commands_run(s, true, true, limit_s, &faults, &e));
    if (!strstr(e.server_text, expected))
        fail_msg("%s\nexpected %s", e.server_text, expected);
    assert_int_equal(e.code, 78);
    assert_int_equal(faults.count, others);
    settings_list_deinit(&faults);
    settings_destroy(&s);
}

static void a_program_tells_passwords(void **state)
{
    struct settings_list faults = { NULL, 0 };
    struct settings *s = asking("printf '%s of %s\\r\\nnot this\\n' {user} {address}", false);
    struct err e;

    (void)state;
    s->users[1].password = secret_create(SLICE("own"));
    if (!password_commands_run(s, true, true, 60, &faults, &e))
        fail_msg("%s", e.server_text);
    assert_true(slice_equal(secret_peek(s->users[0].password), SLICE("ann of u0@x.org")));
    assert_true(slice_equal(secret_peek(s->users[1].password), SLICE("own")));
    settings_destroy(&s);
    s = asking("printf '{user}\\n'", false);
    assert_true(password_commands_run(s, true, true, 60, &faults, &e));
    assert_true(slice_equal(secret_peek(s->users[1].password), SLICE("bob;x")));
    settings_destroy(&s);
    s = asking("echo one", true);
    assert_true(password_commands_run(s, true, true, 60, &faults, &e));
    assert_true(slice_equal(secret_peek(s->source.admin_password), SLICE("one")));
    assert_null(s->users[0].password);
    settings_destroy(&s);
    s = asking("false", true);
    assert_true(password_commands_run(s, false, true, 60, &faults, &e)); /* nobody logs in there */
    settings_destroy(&s);
    assert_int_equal(faults.count, 0);
}

static void a_program_fails(void **state)
{
    struct settings_list faults = { NULL, 0 };
    struct settings *s;
    struct err e;

    (void)state;
    told("no-such-program {user}", false, 60,
         "[source] password-command for u0@x.org: no-such-program cannot be run: No such file or directory", 1);
    told("sh -c 'exit 3' {user}", false, 60, "ended with exit code 3; run it by hand to see why", 1);
    told("true {user}", false, 60, "says nothing; its first line is to be the password", 1);
    told("printf '\\nx'", true, 60, "[source] password-command: says nothing", 0);
    told("head -c 70000 /dev/zero", true, 60, "says more than 64 KiB", 0);
    told("sleep 1000", true, 0, "has not ended after 0 s", 0);
    /* What it left behind holds its output open, and is not waited for. */
    s = asking("sh -c 'sleep 1000 & echo secret; echo $! >left'", true);
    if (!password_commands_run(s, true, false, 600, &faults, &e))
        fail_msg("%s", e.server_text);
    assert_true(slice_equal(secret_peek(s->source.admin_password), SLICE("secret")));
    settings_destroy(&s);
    assert_int_equal(system("kill $(cat left)"), 0);
    s = asking("printf {user}", false);
    free(s->users[0].user_name);
    s->users[0].user_name = mem_text("-c");
    assert_false(password_commands_run(s, true, false, 60, &faults, &e));
    assert_non_null(strstr(e.server_text, "begins with a dash"));
    settings_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(proxies),
        cmocka_unit_test(limits_by_time_of_day),
        cmocka_unit_test(command_lines_are_parted_without_a_shell),
        cmocka_unit_test(semicolons_and_tabs_are_read),
        cmocka_unit_test(all_faults_are_told_at_once),
        cmocka_unit_test(typographic_quotes_are_told),
        cmocka_unit_test(users_are_chosen),
        cmocka_unit_test(a_program_tells_passwords),
        cmocka_unit_test(a_program_fails),
    };

    return cmocka_run_group_tests(tests, enter, leave);
}
