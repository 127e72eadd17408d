/* test: config */
#include "engine/config/users.h"

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

#define HEAD "EmailAddress,UserName,Password\n"

static struct settings *cloud_settings(void)
{
    struct settings *s = settings_create();

    s->users_file = mem_text("users.csv");
    s->target.oauth.grant = SETTINGS_GRANT_CLIENT_SECRET;
    s->target.oauth.tenant = mem_text("a.b");
    return s;
}

static bool parse(struct settings *s, const char *text, size_t size, struct settings_list *warnings,
                  struct users_place *place, struct err *e)
{
    /* Exactly as long as the text, so that the sanitizer sees a byte read past it. */
    char *copy = mem_alloc(size);
    bool ok, has_passwords;

    memcpy(copy, text, size);
    ok = users_parse(s, copy, size, "users.csv", (struct users_need){ true, true }, warnings, &has_passwords, place, e);
    free(copy);
    return ok;
}

static const struct {
    const char *name, *text;
    unsigned line, column;
    const char *expected;
} bad[] = {
    { "an unknown column and the nearest one", "EmailAdress,UserName\n", 1, 1,
      "EmailAdress: unknown column; did you mean EmailAddress?" },
    { "a column that nothing resembles", "EmailAddress,UserName,Shoe\n", 1, 23,
      "Shoe: unknown column; those there are: EmailAddress, UserName, Password, UserRoot, TargetUserName, "
      "TargetPassword, PasswordFile, MaxMessageSize, ExcludeFolders, Wave" },
    { "a column twice", "EmailAddress,UserName,username\n", 1, 23, "UserName: the column is there twice" },
    { "a column without name", "EmailAddress,UserName,\n", 1, 23, "a column without a name" },
    { "semicolons and no row", "EmailAddress;UserName;Password\n", 2, 1, "no users after the header" },
    { "a cell too many between semicolons", "EmailAddress;UserName;Password\na@b.c;a;p;q\n", 2, 1,
      "the row has 4 cells, the header 3; a cell with a semicolon within stands in quotes" },
    { "no header, and the first line is not repeated", "hunter2SECRET,ann,ann@x.org\n", 1, 1,
      "line 1 must be the header: EmailAddress,UserName,Password,..." },
    { "no header below an empty line", "\nhunter2SECRET,ann\n", 2, 1,
      "line 2 must be the header: EmailAddress,UserName,Password,..." },
    { "no header, and words of it for a password", "hunter2,username,ann@x.org\n", 1, 1,
      "line 1 must be the header: EmailAddress,UserName,Password,..." },
    { "no header, and Password for a password", "ann,ann,Password\n", 1, 1,
      "line 1 must be the header: EmailAddress,UserName,Password,..." },
    { "no header and semicolons", "ann;ann;hunter2\n", 1, 1,
      "line 1 must be the header: EmailAddress,UserName,Password,..." },
    { "no EmailAddress", "UserName,Password\nx,y\n", 1, 1, "EmailAddress: the column is missing from the header" },
    { "no UserName", "EmailAddress,Password\nx@y.z,y\n", 1, 1, "UserName: the column is missing from the header" },
    { "a header and nothing more", HEAD "\n", 3, 1, "no users after the header" },
    { "a cell too few", HEAD "a@b.c,a,p\nd@e.f,d\n", 3, 1, "the row has 2 cells, the header 3" },
    { "one cell alone", HEAD "ann\n", 2, 1, "the row has 1 cell, the header 3" },
    { "a cell too many", HEAD "a@b.c,a,p,\n", 2, 1,
      "the row has 4 cells, the header 3; a cell with a comma within stands in quotes" },
    { "a hundred cells", HEAD ",,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,\n", 2, 1,
      "the row has 60 cells, the header 3; a cell with a comma within stands in quotes" },
    { "two faulty rows", HEAD "ann,a,p\nd@e.f,d,p\ng@h.i\n", 2, 1,
      "EmailAddress: ann: expected an address such as ann@x.org" },
    { "many faulty rows, and a quote that ends the reading",
      HEAD "a,a,p\nb,b,p\nc,c,p\nd,d,p\ne,e,p\nf,f,p\ng@h.i,g,p\n\"h", 2, 1,
      "EmailAddress: a: expected an address such as ann@x.org" },
    { "a quote that never ends below a faulty row", HEAD "a,a,p\nb@c.d,b,\"p\nc@d.e,c,p\n", 2, 1,
      "EmailAddress: a: expected an address such as ann@x.org" },
    { "a row of quoted nothing", HEAD "\"\",,\n", 2, 1, "EmailAddress: the cell is empty" },
    { "rows of commas alone", HEAD ",,\n \n,,,,\n", 5, 1, "no users after the header" },
    { "no address in its cell", HEAD ",a,p\n", 2, 1, "EmailAddress: the cell is empty" },
    { "no user name in its cell", HEAD "a@b.c,  ,p\n", 2, 1, "UserName: the cell is empty" },
    { "no password at all", HEAD "a@b.c,a,\n", 2, 1,
      "a@b.c: no Password and no PasswordFile; without them the batch file needs admin-user or a "
      "way to get tokens" },
    { "an address without @", "UserName,EmailAddress,Password\na,ann,p\n", 2, 3,
      "EmailAddress: ann: expected an address such as ann@x.org" },
    { "an address with two @", HEAD "a@b@c,a,p\n", 2, 1, "EmailAddress: a@b@c: expected an address such as ann@x.org" },
    { "an address with a blank within", HEAD "a b@c.d,a,p\n", 2, 1,
      "EmailAddress: a b@c.d: expected an address such as ann@x.org" },
    { "a no-break space within a login", HEAD "a@b.c,anna\xC2\xA0lang,p\n", 2, 7,
      "UserName: anna\xC2\xA0lang: has a character within that is not seen (U+00A0); type it anew" },
    { "a zero width space within an address",
      HEAD "a@\xE2\x80\x8B"
           "b.c,a,p\n",
      2, 1, "EmailAddress: a@.b.c: has a character within that is not seen (U+200B); type it anew" },
    { "a soft hyphen within a target's login", "EmailAddress,UserName,Password,TargetUserName\na@b.c,a,p,x\xC2\xADy\n",
      2, 11, "TargetUserName: x.y: has a character within that is not seen (U+00AD); type it anew" },
    { "nothing that is seen for a user name", HEAD "a@b.c,\xC2\xA0\xEF\xBB\xBF,p\n", 2, 1,
      "UserName: the cell is empty" },
    { "an address that is a list", HEAD "\"a@b.c,d\",a,p\n", 2, 1,
      "EmailAddress: a@b.c,d: expected an address such as ann@x.org" },
    { "a mailbox twice, case aside", HEAD "a@b.c,a,p\nx@y.z,x,p\nA@B.c,d,p\n", 4, 1,
      "EmailAddress: A@B.c: is there twice, first in line 2" },
    { "of many duplicates the first is named",
      "UserName,EmailAddress,Password\nz,z@z.z,p\na,a@b.c,p\nz,z@z.z,p\na,a@b.c,p\n", 4, 3,
      "EmailAddress: z@z.z: is there twice, first in line 2" },
    { "two people, one target mailbox", "EmailAddress,UserName,Password,TargetUserName\na@b.c,a,p,\nd@e.f,d,p,A@B.C\n",
      3, 11,
      "TargetUserName: A@B.C: is the target mailbox of line 2 too, so that the mail of two people would lie in "
      "one mailbox; if that is meant, write accept-shared = yes under [target]" },
    { "an address that is another row's target mailbox",
      "TargetUserName,UserName,Password,EmailAddress\nx@y.z,a,p,a@b.c\n,d,p,x@y.z\n", 3, 6,
      "EmailAddress: x@y.z: is the target mailbox of line 2 too, so that the mail of two people would lie in one "
      "mailbox; if that is meant, write accept-shared = yes under [target]" },
    { "the same in its own words three times: the second is named",
      "EmailAddress,UserName,Password,TargetUserName\na@b.c,a,p,t\nd@e.f,d,p,u\ng@h.i,g,p,T\nj@k.l,j,p,t\n", 4, 11,
      "TargetUserName: T: is the target mailbox of line 2 too, so that the mail of two people would lie in one "
      "mailbox; if that is meant, write accept-shared = yes under [target]" },
    { "a quote that never ends", HEAD "a@b.c,\"a,p\nx@y.z,b,c\n", 2, 7, "a quote begins here and never ends" },
    { "a quote at the very end", HEAD "a@b.c,a,\"", 2, 9, "a quote begins here and never ends" },
    { "a quote inside a cell", HEAD "a@b.c,a,pa\"ss\n", 2, 11,
      "a quote inside a cell; put the cell in quotes and write it \"\"" },
    { "text after a quote", HEAD "a@b.c,\"a\"b,p\n", 2, 10,
      "text after the closing quote; a quote within is written \"\"" },
    { "a carriage return alone", HEAD "a@b.c,a\rb,p\n", 2, 8, "a carriage return without line feed" },
    { "columns count characters, not bytes", HEAD "a@b.c,\xC3\xA9\xC3\xA9\",p\n", 2, 9,
      "a quote inside a cell; put the cell in quotes and write it \"\"" },
    { "lines within quotes count", HEAD "a@b.c,a,\"p\nq\"\nd@e.f,d\n", 4, 1, "the row has 2 cells, the header 3" },
    { "Latin-1", HEAD "a@b.c,J\xFCrgen,p\n", 2, 8,
      "not UTF-8"
      ": most likely in a Windows or ISO code page. Save it as UTF-8 (Excel: CSV UTF-8), or convert it: "
      "iconv -f WINDOWS-1252 -t UTF-8 OLD >NEW" },
    { "an overlong slash", HEAD "a@b.c,\xC0\xAF,p\n", 2, 7,
      "not UTF-8"
      ": most likely in a Windows or ISO code page. Save it as UTF-8 (Excel: CSV UTF-8), or convert it: "
      "iconv -f WINDOWS-1252 -t UTF-8 OLD >NEW" },
    { "a login with a line end", HEAD "a@b.c,\"a\r\nb\",p\n", 2, 7,
      "UserName: has a line end within; is a quote missing?" },
    { "a login with a control character", HEAD "a@b.c,a\x01z,p\n", 2, 7,
      "UserName: has a control character within; is a quote missing?" },
    { "a folder prefix with a line end", "EmailAddress,UserName,Password,UserRoot\na@b.c,a,p,\"x\ny\"\n", 2, 11,
      "UserRoot: has a line end within; is a quote missing?" },
    { "a password twice over", "EmailAddress,UserName,Password,PasswordFile\na@b.c,a,p,f\n", 2, 11,
      "PasswordFile: contradicts Password; keep one of them" },
    { "a password file that is not there", "EmailAddress,UserName,PasswordFile\na@b.c,a,no/such\n", 2, 9,
      "PasswordFile: no/such: No such file or directory" },
    { "a role that is none", "EmailAddress,UserName,Password,ExcludeFolders\na@b.c,a,p,#Jnk#\n", 2, 11,
      "ExcludeFolders: #Jnk#: no such role" },
    { "a size that is none", "EmailAddress,UserName,Password,MaxMessageSize\na@b.c,a,p,big\n", 2, 11,
      "MaxMessageSize: big: expected a size such as 35MB, at most 150MB" },
    { "a size past the cap", "EmailAddress,UserName,Password,MaxMessageSize\na@b.c,a,p,1GB\n", 2, 11,
      "MaxMessageSize: 1GB: expected a size such as 35MB, at most 150MB" },
    { "a list with an empty name",
      "EmailAddress,UserName,Password,ExcludeFolders\n"
      "a@b.c,a,p,\"x,,y\"\n",
      2, 11, "ExcludeFolders: expected names separated by commas" },
};

static void bad_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct settings *s = cloud_settings();
        struct settings_list warnings = { NULL, 0 };
        struct users_place place;
        char expected[400];
        struct err e;

        snprintf(expected, sizeof expected, "users.csv:%u:%u: %s", bad[i].line, bad[i].column, bad[i].expected);
        if (parse(s, bad[i].text, strlen(bad[i].text), &warnings, &place, &e))
            fail_msg("%s: was taken", bad[i].name);
        if (strcmp(e.server_text, expected) != 0)
            fail_msg("%s:\n  %s\nexpected\n  %s", bad[i].name, e.server_text, expected);
        assert_int_equal(e.code, 65);
        assert_int_equal(place.line, bad[i].line);
        assert_int_equal(place.column, bad[i].column);
        settings_destroy(&s);
    }
}

static void a_zero_byte_is_refused(void **state)
{
    static const char text[] = HEAD "a@b.c,a\0b,p\n";
    struct settings *s = cloud_settings();
    struct settings_list warnings = { NULL, 0 };
    struct users_place place;
    struct err e;

    (void)state;
    assert_false(parse(s, text, sizeof text - 1, &warnings, &place, &e));
    assert_string_equal(e.server_text, "users.csv:2:8: a NUL byte");
    settings_destroy(&s);
}

static void good_rows_are_read(void **state)
{
    static const char text[] = "\r\nusername, EMAILADDRESS ,Password,UserRoot,TargetUserName,MaxMessageSize,"
                               "ExcludeFolders\r\n"
                               "ann,Ann@Example.org,\" p,\"\"w\"\"\n2 \",,,,\r\n"
                               "\n"
                               "b\xC3\xB6, bob@example.org , s p ,INBOX.,admin@example.org,1.5MB,\"Trash,\"\"a,b\"\"\"";
    struct settings *s = cloud_settings();
    struct settings_list warnings = { NULL, 0 };
    struct users_place place;
    struct err e;

    (void)state;
    if (!parse(s, text, sizeof text - 1, &warnings, &place, &e))
        fail_msg("%s", e.server_text);
    assert_int_equal(s->user_count, 2);
    assert_string_equal(s->users[0].email_address, "Ann@Example.org");
    assert_string_equal(s->users[0].user_name, "ann");
    assert_true(slice_equal(secret_peek(s->users[0].password), SLICE(" p,\"w\"\n2 ")));
    assert_null(s->users[0].user_root);
    assert_string_equal(s->users[0].target_user_name, "Ann@Example.org");
    assert_int_equal(s->users[0].line, 3);
    assert_string_equal(s->users[1].email_address, "bob@example.org");
    assert_true(slice_equal(secret_peek(s->users[1].password), SLICE(" s p ")));
    assert_string_equal(s->users[1].user_root, "INBOX.");
    assert_string_equal(s->users[1].target_user_name, "admin@example.org");
    assert_int_equal(s->users[1].max_message_bytes, 1500000);
    assert_int_equal(s->users[1].exclude_folders->count, 2);
    assert_string_equal(s->users[1].exclude_folders->items[1], "a,b");
    assert_int_equal(s->users[1].line, 6);
    assert_int_equal(warnings.count, 2); /* of the blanks in quotes none */
    assert_string_equal(warnings.items[0],
                        "users.csv:6:22: a password begins or ends with a blank or with what is not seen; that "
                        "counts as part of it. If it is meant, put it in quotes; if not, take it out");
    assert_string_equal(warnings.items[1], "users.csv:3:21: a password has a line end within; is a quote missing?");
    settings_list_deinit(&warnings);
    settings_destroy(&s);
}

/* As cells come that were pasted from a web page. */
static void what_is_not_seen_at_the_ends_is_left_out(void **state)
{
    static const char text[] = "\xC2\xA0"
                               "EmailAddress,UserName\xE2\x80\x8B,Password\n"
                               "\xEF\xBB\xBF"
                               "a@b.c\xC2\xA0, \xE2\x81\xA0"
                               "ann\xE3\x80\x80 ,\xC2\xA0p\n";
    struct settings *s = cloud_settings();
    struct settings_list warnings = { NULL, 0 };
    struct users_place place;
    struct err e;

    (void)state;
    if (!parse(s, text, sizeof text - 1, &warnings, &place, &e))
        fail_msg("%s", e.server_text);
    assert_string_equal(s->users[0].email_address, "a@b.c");
    assert_string_equal(s->users[0].user_name, "ann");
    assert_true(slice_equal(secret_peek(s->users[0].password), SLICE("\xC2\xA0p"))); /* told, not changed */
    assert_int_equal(warnings.count, 1);
    assert_non_null(strstr(warnings.items[0], "with what is not seen"));
    settings_list_deinit(&warnings);
    settings_destroy(&s);
}

static void slips_that_are_allowed_are_told_once(void **state)
{
    static const char text[] = "EmailAddress, UserName, Password, MaxMessageSize\n"
                               "a@b.c, a, p, 35\n"
                               "d@e.f, d, q, 35MB\n"
                               "g@h.i, g, \"r\",20\n";
    struct settings *s = cloud_settings();
    struct settings_list warnings = { NULL, 0 };
    struct users_place place;
    struct err e;

    (void)state;
    assert_false(parse(s, text, sizeof text - 1, &warnings, &place, &e)); /* a quote behind a blank */
    settings_destroy(&s);
    s = cloud_settings();
    if (!parse(s, text, sizeof text - 19, &warnings, &place, &e))
        fail_msg("%s", e.server_text);
    assert_true(slice_equal(secret_peek(s->users[0].password), SLICE(" p")));
    assert_string_equal(s->users[0].user_name, "a");
    assert_int_equal(warnings.count, 2);
    assert_string_equal(warnings.items[0],
                        "users.csv:2:10: a password begins or ends with a blank or with what is not seen, and "
                        "others do; that counts as part of it. If it is meant, put it in quotes; if not, take it out");
    assert_string_equal(warnings.items[1], "users.csv:2:13: MaxMessageSize: 35 bytes; was 35MB meant?");
    settings_list_deinit(&warnings);
    settings_destroy(&s);
}

static void warned(struct settings *s, const char *text, const char *warning)
{
    struct settings_list warnings = { 0 };
    struct users_place place;
    struct err e;

    if (!parse(s, text, strlen(text), &warnings, &place, &e))
        fail_msg("%s", e.server_text);
    if (warnings.count != (warning ? 1 : 0))
        fail_msg("%zu warnings: %s", warnings.count, warnings.count ? warnings.items[0] : text);
    if (warning)
        assert_string_equal(warnings.items[0], warning);
    settings_list_deinit(&warnings);
    settings_destroy(&s);
}

static void rows_without_anything_are_none(void **state)
{
    static const char text[] = HEAD "a@b.c,a,p\n,,\n  \t\n\xC2\xA0,,\n,\nd@e.f,d,q\n,,,,\n";
    struct settings *s = cloud_settings();
    struct settings_list warnings = { NULL, 0 };
    struct users_place place;
    struct err e;

    if (!parse(s, text, sizeof text - 1, &warnings, &place, &e))
        fail_msg("%s", e.server_text);
    assert_int_equal(s->user_count, 2);
    assert_string_equal(s->users[1].email_address, "d@e.f");
    assert_int_equal(s->users[1].line, 7);
    assert_int_equal(warnings.count, 0);
    settings_destroy(&s);
}

static void a_password_over_two_lines_is_taken_and_told(void **state)
{
    warned(cloud_settings(), HEAD "a@b.c,a,\"p\nq\"\n",
           "users.csv:2:9: a password has a line end within; is a quote missing?");
    warned(cloud_settings(), HEAD "a@b.c,a,\"p\nq\"\nd@e.f,d,\"r\r\ns\"\n",
           "users.csv:2:9: a password has a line end within, and others do; is a quote missing?");
    warned(cloud_settings(), HEAD "a@b.c,a,\"p,\"\"q\"\n", NULL);
}

static struct settings *same_server(void)
{
    struct settings *s = cloud_settings();

    s->target.preset = SETTINGS_PRESET_IMAP;
    s->source.host = mem_text("imap.x.org");
    s->target.host = mem_text("IMAP.X.ORG");
    s->source.port = s->target.port = 993;
    return s;
}

static void one_mailbox_under_two_names_is_told(void **state)
{
    struct settings *s = cloud_settings();

    (void)state;
    s->target.accept_shared = true;
    warned(s, "EmailAddress,UserName,Password,TargetUserName\na@b.c,a,p,t\nd@e.f,d,p,t\n", NULL);
    warned(cloud_settings(), HEAD "a@b.c,a,p\nd@e.f,b,p\ng@h.i,A,p\n",
           "users.csv:4: UserName: A: is in line 2 too: the same mail goes to a@b.c and g@h.i");
    warned(cloud_settings(), HEAD "a@b.c,a,p\nd@e.f,a,p\ng@h.i,a,p\n",
           "users.csv:3: UserName: a: is in line 2 too: the same mail goes to a@b.c and d@e.f; other rows share a "
           "UserName too");
    /* Each has a part of the account. */
    warned(cloud_settings(), "EmailAddress,UserName,Password,UserRoot\na@b.c,a,p,Ann\nd@e.f,a,p,Bob\n", NULL);
    warned(cloud_settings(), "EmailAddress,UserName,Password,UserRoot\na@b.c,a,p,\nd@e.f,a,p,Bob\n",
           "users.csv:3: UserName: a: is in line 2 too: the same mail goes to a@b.c and d@e.f");
    warned(same_server(), "EmailAddress,UserName,Password,TargetPassword\na@b.c,a,p,q\nd@e.f,D@E.F,p,q\n",
           "users.csv:3: D@E.F: source and target are the same mailbox");
    s = same_server();
    s->target.port = 143;
    warned(s, "EmailAddress,UserName,Password,TargetPassword\nd@e.f,d@e.f,p,q\n", NULL);
}

static void no_password_is_fine_with_an_administrator(void **state)
{
    static const char text[] = "EmailAddress,UserName\na@b.c,a\n";
    struct settings *s = cloud_settings();
    struct settings_list warnings = { NULL, 0 };
    struct users_place place;
    struct err e;

    (void)state;
    s->source.admin_user = mem_text("root");
    assert_true(parse(s, text, sizeof text - 1, &warnings, &place, &e));
    settings_destroy(&s);

    s = cloud_settings();
    s->source.admin_user = mem_text("root");
    s->target.preset = SETTINGS_PRESET_IMAP;
    s->target.oauth.grant = SETTINGS_GRANT_NONE;
    assert_false(parse(s, text, sizeof text - 1, &warnings, &place, &e));
    assert_string_equal(e.server_text, "users.csv:2:1: a@b.c: no TargetPassword; without it "
                                       "[target] needs admin-user");
    settings_destroy(&s);
}

/* The file on disk: its buffer, its warning, PasswordFile beside it. */
static void a_file_is_loaded(void **state)
{
    char folder[] = "/tmp/mailhaul-users-XXXXXX";
    struct settings *s = cloud_settings();
    struct settings_list warnings = { NULL, 0 };
    struct users_place place;
    struct err e;
    char csv[64], password[64];
    FILE *f;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(csv, sizeof csv, "%s/users.csv", folder);
    snprintf(password, sizeof password, "%s/ann.txt", folder);
    f = fopen(password, "w");
    assert_non_null(f);
    fputs("from file\n", f);
    fclose(f);
    chmod(password, 0644);
    f = fopen(csv, "w");
    assert_non_null(f);
    fputs("\xEF\xBB\xBF"
          "EmailAddress,UserName,Password,PasswordFile,TargetPassword\n"
          "ann@x.org,ann,,ann.txt,\nbob@x.org,bob,p,,t\n",
          f);
    fclose(f);
    chmod(csv, 0644);
    free(s->users_file);
    s->users_file = mem_text(csv);
    if (!users_load(s, (struct users_need){ true, true }, &warnings, &place, &e))
        fail_msg("%s", e.server_text);
    assert_true(slice_equal(secret_peek(s->users[0].password), SLICE("from file")));
    assert_int_equal(warnings.count, 3);
    assert_non_null(strstr(warnings.items[0], "others may read 1 of the password files"));
    assert_non_null(strstr(warnings.items[1], "TargetPassword is not used"));
    assert_non_null(strstr(warnings.items[2], "holds passwords and others may read it"));
    settings_destroy(&s);
    settings_list_deinit(&warnings);
    unlink(password);
    unlink(csv);

    s = cloud_settings();
    free(s->users_file);
    s->users_file = mem_text(csv);
    assert_false(users_load(s, (struct users_need){ true, true }, &warnings, &place, &e));
    assert_int_equal(e.code, 65);
    assert_int_equal(place.line, 0);
    f = fopen(csv, "w");
    assert_non_null(f);
    fwrite("\xFF\xFE"
           "E\0m\0a\0i\0l\0",
           1, 12, f);
    fclose(f);
    assert_false(users_load(s, (struct users_need){ true, true }, &warnings, &place, &e));
    assert_non_null(strstr(e.server_text, "users.csv: is UTF-16 (Excel's \"Unicode text\"): save it as CSV UTF-8"));
    assert_int_equal(e.code, 65);
    unlink(csv);
    settings_destroy(&s);
    rmdir(folder);
}

/* Every user is in exactly one shard, and in the same one whatever the case and the order. */
static void a_comment_behind_the_name_is_recognised(void **state)
{
    struct settings *s = cloud_settings();
    struct settings_list warnings = { NULL, 0 };
    struct users_place place;
    struct err e;

    free(s->users_file);
    s->users_file = mem_text("no/such/u.csv # of Monday");
    assert_false(users_load(s, (struct users_need){ true, true }, &warnings, &place, &e));
    assert_string_equal(e.server_text,
                        "no/such/u.csv # of Monday: No such file or directory; the key users of [batch] names it. A "
                        "comment behind a value begins with ; and not with #");
    settings_destroy(&s);
}

static void shards_part_the_users(void **state)
{
    unsigned sizes[7] = { 0 };

    (void)state;
    for (unsigned i = 0; i < 2000; i++) {
        char lower[32], upper[32];
        unsigned owner = 0, owners = 0;

        snprintf(lower, sizeof lower, "user%u@example.org", i);
        snprintf(upper, sizeof upper, "USER%u@Example.ORG", i);
        for (unsigned number = 1; number <= 7; number++) {
            bool in = settings_user_in_shard(slice_cstr(lower), number, 7);

            assert_int_equal(in, settings_user_in_shard(slice_cstr(upper), number, 7));
            if (in) {
                owner = number;
                owners++;
            }
        }
        assert_int_equal(owners, 1);
        sizes[owner - 1]++;
    }
    for (unsigned i = 0; i < 7; i++) /* 286 are expected; 9 standard deviations either way */
        assert_in_range(sizes[i], 140, 430);
    /* Pinned: a change would move users between the spools of a running migration. */
    assert_true(settings_user_in_shard(SLICE("ann@example.org"), 256, 1000));
}

static void users_are_selected(void **state)
{
    static const char text[] = HEAD "ann@x.org,a,p\nbob@x.org,b,p\ncat@x.org,c,p\n";
    struct settings *s = cloud_settings();
    struct settings_list warnings = { NULL, 0 };
    struct users_place place;
    struct err e;

    (void)state;
    assert_true(parse(s, text, sizeof text - 1, &warnings, &place, &e));
    settings_list_add(&s->only_users, SLICE("bbo@x.org"));
    assert_false(users_select(s, NULL, &warnings, &e));
    assert_string_equal(e.server_text, "--user bbo@x.org: no such EmailAddress or UserName in users.csv; did "
                                       "you mean bob@x.org?");
    assert_int_equal(e.code, 64);
    settings_list_deinit(&s->only_users);
    settings_list_add(&s->only_users, SLICE("CAT@x.org"));
    settings_list_add(&s->only_users, SLICE("ann@x.org"));
    assert_true(users_select(s, NULL, &warnings, &e));
    assert_int_equal(s->user_count, 2);
    assert_string_equal(s->users[0].email_address, "ann@x.org");
    assert_string_equal(s->users[1].email_address, "cat@x.org");
    settings_user_add(s)->email_address = mem_text("dan@x.org");
    settings_user_add(s)->email_address = mem_text("eve@x.org");
    assert_int_equal(s->user_count, 4);
    settings_destroy(&s);
}

/* users of the shard 1/2 by what that file says; -1: refused. */
static int selected_by(const char *split, enum settings_mode mode, unsigned shards, struct err *e_r)
{
    static const char text[] = HEAD "ann@x.org,a,p\nbob@x.org,b,p\ncat@x.org,c,p\n";
    struct settings *s = cloud_settings();
    struct settings_list warnings = { NULL, 0 };
    struct users_place place;
    char path[] = "/tmp/mailhaul-split-XXXXXX";
    int fd = mkstemp(path), count = -1;

    assert_int_equal(write(fd, split, strlen(split)), strlen(split));
    close(fd);
    assert_true(parse(s, text, sizeof text - 1, &warnings, &place, e_r));
    free(s->split_file);
    s->split_file = mem_text(path);
    s->shard_number = 1;
    s->shard_count = shards;
    s->mode = mode;
    if (users_select(s, NULL, &warnings, e_r))
        count = (int)s->user_count;
    unlink(path);
    settings_list_deinit(&warnings);
    settings_destroy(&s);
    return count;
}

static void a_written_division_decides(void **state)
{
    const char *all = "EmailAddress,Shard,Of\nANN@x.org,1,2\nbob@x.org,1,2\ncat@x.org,1,2\n";
    struct err e;

    (void)state;
    assert_int_equal(selected_by(all, SETTINGS_MODE_RUN, 2, &e), 3);
    assert_int_equal(
        selected_by("EmailAddress,Shard,Of\nann@x.org,2,2\nbob@x.org,2,2\ncat@x.org,2,2\n", SETTINGS_MODE_RUN, 2, &e),
        0);
    /* Whom it does not name is where the address says, as without a file. */
    assert_int_equal(selected_by("EmailAddress,Shard,Of\nzoe@x.org,2,2\n", SETTINGS_MODE_RUN, 2, &e),
                     selected_by("", SETTINGS_MODE_RUN, 2, &e));
    assert_int_equal(selected_by(all, SETTINGS_MODE_RUN, 3, &e), -1);
    assert_int_equal(e.code, 64);
    assert_non_null(strstr(e.server_text, "divides the users into 2 shards"));
    assert_true(selected_by(all, SETTINGS_MODE_OTHER, 3, &e) >= 0);
    assert_int_equal(selected_by("EmailAddress,Shard,Of\nann@x.org,3,2\n", SETTINGS_MODE_RUN, 2, &e), -1);
    assert_int_equal(e.code, 78);
}

static void a_window_may_pass_midnight(void **state)
{
    struct settings_window night = { true, 1200, 360 }, day = { true, 480, 1020 }, none = { 0 };

    (void)state;
    assert_true(settings_window_open(&night, 1200));
    assert_true(settings_window_open(&night, 0));
    assert_false(settings_window_open(&night, 360));
    assert_false(settings_window_open(&night, 1199));
    assert_true(settings_window_open(&day, 480));
    assert_false(settings_window_open(&day, 1020));
    assert_false(settings_window_open(&day, 0));
    assert_true(settings_window_open(&none, 700));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_files),
        cmocka_unit_test(a_zero_byte_is_refused),
        cmocka_unit_test(good_rows_are_read),
        cmocka_unit_test(what_is_not_seen_at_the_ends_is_left_out),
        cmocka_unit_test(slips_that_are_allowed_are_told_once),
        cmocka_unit_test(rows_without_anything_are_none),
        cmocka_unit_test(a_password_over_two_lines_is_taken_and_told),
        cmocka_unit_test(one_mailbox_under_two_names_is_told),
        cmocka_unit_test(no_password_is_fine_with_an_administrator),
        cmocka_unit_test(a_file_is_loaded),
        cmocka_unit_test(a_comment_behind_the_name_is_recognised),
        cmocka_unit_test(shards_part_the_users),
        cmocka_unit_test(users_are_selected),
        cmocka_unit_test(a_written_division_decides),
        cmocka_unit_test(a_window_may_pass_midnight),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
