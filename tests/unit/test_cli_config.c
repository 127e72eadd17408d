/* test: config */
#include "engine/config/config.h"
#include "engine/config/table.h"
#include "io/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/mailhaul-config-XXXXXX";

static void put(const char *name, const char *text, size_t size, mode_t mode)
{
    FILE *f;

    unlink(name);
    f = fopen(name, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(name, mode), 0);
}

static int enter(void **state)
{
    (void)state;
    if (!mkdtemp(folder) || chdir(folder) != 0)
        return -1;
    put("secret", "s3cret\n", 7, 0600);
    put("open", "s3cret\n", 7, 0644);
    put("empty", "\n", 1, 0600);
    put("a.pem", "x", 1, 0600);
    return mkdir("dir", 0700);
}

static int leave(void **state)
{
    static const char *const names[] = { "secret", "open", "empty", "a.pem", "night.ini" };

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(names[i]);
    rmdir("dir");
    return chdir("/") || rmdir(folder);
}

/* What every batch needs; cases add to its end, or stand alone. */
#define SOURCE "[batch]\nusers=u.csv\n[source]\nurl = imaps://old.example.edu\n"
#define IMAP   SOURCE "[target]\npreset = imap\nurl = imaps://new.example.edu\n"
#define CLOUD  SOURCE "[target]\ntenant = contoso.onmicrosoft.com\nclient-id = 1-2\n"

static bool load(const char *text, size_t size, const char *override, struct settings **s,
                 struct settings_list *warnings, struct err *e)
{
    struct settings_list overrides = { NULL, 0 };
    struct config_request request = { .batch_file = "night.ini", .overrides = &overrides };
    bool ok;

    put("night.ini", text, size, 0600);
    if (override)
        settings_list_add(&overrides, slice_cstr(override));
    ok = config_load(&request, s, warnings, e);
    settings_list_deinit(&overrides);
    return ok;
}

static const struct {
    const char *name, *text, *override, *expected;
} bad[] = {
    { "a slip in a key names the line and the nearest key", IMAP "\n[source]\nconections = 3\n", NULL,
      "night.ini:10: [source] conections: unknown key; did you mean connections?" },
    { "a key that nothing resembles", IMAP "zzzzzz = 3\n", NULL, "night.ini:8: [target] zzzzzz: unknown key" },
    { "a key of another section", IMAP "max-message-size = 3MB\n", NULL,
      "night.ini:8: [target] max-message-size: unknown key here; it belongs to [policy]" },
    { "a slip in a section", IMAP "[polizy]\n", NULL,
      "night.ini:8: [polizy]: unknown section; did you mean [policy]?" },
    { "a section without its bracket", IMAP "[policy\n", NULL, "night.ini:8: expected [section]; ] is missing" },
    { "text after a section", IMAP "[policy] x = 1\n", NULL,
      "night.ini:8: text after [section]; a comment begins with ;" },
    { "a section name of 300 letters is not cut and taken for another",
      IMAP "[policypolicypolicypolicypolicypolicypolicypolicypolicypolicypolicy]\n", NULL,
      "night.ini:8: [policypolicypolicypolicypolicypolicypolicypolicypolicypolicy]: "
      "unknown section" },
    { "a line without =", IMAP "[policy]\nsince 2020-01-01\n", NULL, "night.ini:9: expected key = value" },
    { "a colon in place of =", IMAP "[policy]\nsince: 2020-01-01\n", NULL, "night.ini:9: expected key = value" },
    { "no key before =", IMAP "= 3\n", NULL, "night.ini:8: expected key = value; the key is missing" },
    { "a key before the first section", "name = x\n" IMAP, NULL, "night.ini:1: a key before the first [section]" },
    { "a key given twice", IMAP "[policy]\nsince=2020-01-01\nsince=2021-01-01\n", NULL,
      "night.ini:10: [policy] since: given twice, first in line 9" },
    { "a folder mapped twice", IMAP "[folders]\nA = B\nA = C\n", NULL,
      "night.ini:10: [folders] A: given twice, first in line 9" },
    { "a folder mapped to nothing", IMAP "[folders]\nA =\n", NULL,
      "night.ini:9: [folders] A: expected the name of a target folder" },
    { "a number with a letter", IMAP "[policy]\nmax-message-size = 20x\n", NULL,
      "night.ini:9: [policy] max-message-size: 20x: expected a size such as 35MB or 2GiB, from 1B "
      "to 150MB" },
    { "a message size past the cap", IMAP "[policy]\nmax-message-size = 151MB\n", NULL,
      "night.ini:9: [policy] max-message-size: 151MB: expected a size such as 35MB or 2GiB, from "
      "1B to 150MB" },
    { "no connections at all", IMAP "connections = 0\n", NULL,
      "night.ini:8: [target] connections: 0: expected a number from 1 to 10000" },
    { "a negative number", IMAP "connections = -4\n", NULL,
      "night.ini:8: [target] connections: -4: expected a number from 1 to 10000" },
    { "a number that overflows", IMAP "connections = 99999999999999999999999\n", NULL,
      "night.ini:8: [target] connections: 99999999999999999999999: expected a number from 1 to "
      "10000" },
    { "a limit that is no number", IMAP "[policy]\nbad-item-limit = many\n", NULL,
      "night.ini:9: [policy] bad-item-limit: many: expected a number or unlimited" },
    { "a day that does not exist", IMAP "[policy]\nsince = 2023-02-29\n", NULL,
      "night.ini:9: [policy] since: 2023-02-29: expected a date such as 2020-01-31" },
    { "a window of no length", IMAP "[batch]\nwindow = 20:00-20:00\n", NULL,
      "night.ini:9: [batch] window: 20:00-20:00: expected two different times of day such as "
      "20:00-06:00" },
    { "a wait of nothing", IMAP "[policy]\nretry-wait = 0\n", NULL,
      "night.ini:9: [policy] retry-wait: 0: expected a duration such as 90s or 500ms, from 1ms to 1h" },
    { "a bare number for a time", IMAP "[batch]\ntime-limit = 90\n", NULL,
      "night.ini:9: [batch] time-limit: 90: expected a duration in whole seconds such as 7h30m, 90s or 2d, at most "
      "1000d" },
    { "neither yes nor no", IMAP "[policy]\ndisarm-read-receipts = maybe\n", NULL,
      "night.ini:9: [policy] disarm-read-receipts: maybe: expected yes or no" },
    { "a list with an empty item", IMAP "[policy]\nexclude-folders = a,,b\n", NULL,
      "night.ini:9: [policy] exclude-folders: a,,b: expected names separated by commas; one that "
      "holds a comma stands in quotes" },
    { "a list with a quote without end", IMAP "[policy]\nexclude-folders = \"a ; b\n", NULL,
      "night.ini:9: [policy] exclude-folders: \"a ; b: the quote is not closed" },
    { "a folder with a quote without end", IMAP "[folders]\nA = \"unclosed\n", NULL,
      "night.ini:9: [folders] A: the quote is not closed" },
    { "a text with a quote without end", IMAP "[batch]\nname = \"a \"\"b\"\"\n", NULL,
      "night.ini:9: [batch] name: \"a \"\"b\"\": the quote is not closed" },
    { "a proxy of the wrong kind, and its password is not repeated", IMAP "proxy = https://ann:pa55w0rd@proxy:3128\n",
      NULL,
      "night.ini:8: [target] proxy: https://***@proxy:3128: expected socks5://host:port or http://host:port, with "
      "user:password@ before the host where it wants a login" },
    { "one password for all users", IMAP "password-command = pass show mail\n", NULL,
      "night.ini:8: [target] password-command: would give one password for all users: put {user} or {address} in it, "
      "or "
      "name admin-user" },
    { "each user's password where an administrator logs in", IMAP "admin-user = root\npassword-command = pass {user}\n",
      NULL,
      "night.ini:9: [target] password-command: asks for each user's password, though the administrator logs in for "
      "all; "
      "leave {user} out, or admin-user" },
    { "two ways to a password", IMAP "admin-user = root\nadmin-password-file = open\npassword-command = pass x\n", NULL,
      "night.ini:10: [target] password-command: contradicts admin-password-file; keep one of them" },
    { "a command in a cloud", CLOUD "client-secret-file = open\npassword-command = pass {user}\n", NULL,
      "night.ini:9: [target] password-command: has no meaning where a token logs in" },
    { "braces that mean nothing", IMAP "password-command = pass {usr}\n", NULL,
      "night.ini:8: [target] password-command: pass {usr}: expected a program and its arguments; what has blanks "
      "within "
      "stands in quotes, and in braces only {user} or {address}" },
    { "a limit that is too low", IMAP "[batch]\nbandwidth-max = 20KB\n", NULL,
      "night.ini:9: [batch] bandwidth-max: 20KB: expected bytes a second such as 20MB, or with times of day "
      "08:00-18:00 "
      "2MB, 20MB; at least 100KB, or 0" },
    { "a slip in a login form's braces", IMAP "login-form = {user}@{domian}\n", NULL,
      "night.ini:8: [target] login-form: {user}@{domian}: expected a login form in which braces hold only {user}, "
      "{domain} "
      "or {admin}" },
    { "a pattern that ends in one folder", IMAP "[folders]\nA/* = B\n", NULL,
      "night.ini:9: [folders] A/*: a pattern needs a * in its target too: what the first one stands for goes there" },
    { "an order that does not exist", IMAP "[policy]\norder = random\n", NULL,
      "night.ini:9: [policy] order: random: expected one of newest-first, oldest-first" },
    { "a url of the web", SOURCE "[target]\npreset = imap\nurl = https://x\n", NULL,
      "night.ini:7: [target] url: https://x: expected a server such as imaps://imap.example.edu or "
      "imap://imap.example.edu:143" },
    { "a url with a user", SOURCE "[target]\npreset = imap\nurl = imaps://me@x\n", NULL,
      "night.ini:7: [target] url: imaps://***@x: no user name or password belongs here; expected a server "
      "such as imaps://imap.example.edu" },
    { "a url with a password is not repeated",
      SOURCE "[target]\npreset = imap\nurl = imaps://me:pa55/w@rd@localhost:1993\n", NULL,
      "night.ini:7: [target] url: imaps://***@localhost:1993: no user name or password belongs here; "
      "expected a server such as imaps://imap.example.edu" },
    { "nor is one that is too long to be shown whole",
      SOURCE "[target]\npreset = imap\nurl = "
             "imaps://me:pa55w0rdpa55w0rdpa55w0rdpa55w0rdpa55w0rdpa55w0rdpa55w0rd@x\n",
      NULL,
      "night.ini:7: [target] url: imaps://***@x: no user name or password belongs here; expected a server "
      "such as imaps://imap.example.edu" },
    { "nor one of a token address", IMAP "token-url = https://me:pa55w0rd@a.b/t\n", NULL,
      "night.ini:8: [target] token-url: https://***@a.b/t: expected an address that begins with https:// "
      "and has no user name" },
    { "nor one of --set", IMAP, "source.url=imaps://me:pa55w0rd@x",
      "--set source.url=imaps://***@x: no user name or password belongs here; expected a server such as "
      "imaps://imap.example.edu" },
    { "nor one of --set with a slip", IMAP, "source.ulr=imaps://me:pa55w0rd@x",
      "--set source.ulr=imaps://***@x: [source] ulr: unknown key; did you mean url?" },
    { "a url with a folder", SOURCE "[target]\npreset = imap\nurl = imaps://x/INBOX\n", NULL,
      "night.ini:7: [target] url: imaps://x/INBOX: no folder belongs behind the server; include-folders and "
      "UserRoot name folders" },
    { "a url without server", SOURCE "[target]\npreset = imap\nurl = imaps://:993\n", NULL,
      "night.ini:7: [target] url: imaps://:993: expected the name or address of a server behind ://, such "
      "as imaps://imap.example.edu or imaps://[2001:db8::1]:993" },
    { "a url with nothing", SOURCE "[target]\npreset = imap\nurl = imaps://\n", NULL,
      "night.ini:7: [target] url: imaps://: expected the name or address of a server behind ://, such "
      "as imaps://imap.example.edu or imaps://[2001:db8::1]:993" },
    { "an address of IPv6 with port 0", SOURCE "[target]\npreset = imap\nurl = imaps://[::1]:0\n", NULL,
      "night.ini:7: [target] url: imaps://[::1]:0: expected a port from 1 to 65535 behind the server, such "
      "as imaps://imap.example.edu:993" },
    { "port 65536", SOURCE "[target]\npreset = imap\nurl = imap://x:65536\n", NULL,
      "night.ini:7: [target] url: imap://x:65536: expected a port from 1 to 65535 behind the server, such "
      "as imaps://imap.example.edu:993" },
    { "a short fingerprint", IMAP "tls-fingerprint = 00:11\n", NULL,
      "night.ini:8: [target] tls-fingerprint: 00:11: expected a certificate's SHA-256 in 64 "
      "hexadecimal digits" },
    { "a login form without user", IMAP "login-form = {admin}\n", NULL,
      "night.ini:8: [target] login-form: {admin}: expected a login form with {user} in it, such "
      "as {user}*{admin}" },
    { "a token url without TLS", IMAP "token-url = http://login.example.com/t\n", NULL,
      "night.ini:8: [target] token-url: http://login.example.com/t: expected an address that "
      "begins with https:// and has no user name" },
    { "no users", "[source]\nurl=imaps://a\n", NULL, "night.ini: [batch] users: missing; expected a file of users" },
    { "no source", "[batch]\nusers=u.csv\n[target]\npreset=imap\nurl=imaps://a\n", NULL,
      "night.ini: [source] url: missing; expected a server such as imaps://imap.example.edu" },
    { "no target for preset imap", SOURCE "[target]\npreset=imap\n", NULL,
      "night.ini: [target] url: missing; expected a server such as imaps://imap.example.edu" },
    { "a cloud without tenant", SOURCE "[target]\n", NULL,
      "night.ini: [target] tenant: missing; preset = exchange-online, which is the default (preset = imap: another "
      "server), needs it, such as contoso.onmicrosoft.com" },
    { "a cloud by name without tenant", SOURCE "[target]\npreset = exchange-online\n", NULL,
      "night.ini: [target] tenant: missing; preset = exchange-online needs it, such as contoso.onmicrosoft.com" },
    { "a cloud without application", SOURCE "[target]\ntenant = a.b\n", NULL,
      "night.ini: [target] client-id: missing; preset = exchange-online needs the application's "
      "ID" },
    { "a cloud without credentials", CLOUD, NULL,
      "night.ini: [target] client-secret-file: missing; preset = exchange-online needs "
      "client-secret-file, certificate, refresh-token-file or device-code = yes" },
    { "a person and a certificate", CLOUD "certificate=a.pem\ndevice-code=yes\n", NULL,
      "night.ini:9: [target] device-code: contradicts certificate; keep one of them" },
    { "a device address without a person", CLOUD "client-secret-file=s\ndevice-url=https://a\n", NULL,
      "night.ini:9: [target] device-url: has no meaning without device-code" },
    { "a person without an application", IMAP "device-code=yes\n", NULL,
      "night.ini: [target] client-id: missing; device-code = yes needs it" },
    { "a person of no tenant", IMAP "client-id=1\ndevice-code=yes\n", NULL,
      "night.ini: [target] tenant: missing; device-code = yes needs it" },
    { "a token address that says nothing of codes", CLOUD "device-code=yes\ntoken-url=https://a.b/give\n", NULL,
      "night.ini: [target] device-url: missing; it does not follow from this token-url" },
    { "a secret and a certificate", CLOUD "client-secret-file=secret\ncertificate=a.pem\n", NULL,
      "night.ini:9: [target] certificate: contradicts client-secret-file; keep one of them" },
    { "a key without certificate", CLOUD "client-secret-file=secret\nkey=a.pem\n", NULL,
      "night.ini:9: [target] key: has no meaning without certificate" },
    { "a tenant that would end up in another path",
      SOURCE "[target]\nclient-id=1\nclient-secret-file=secret\ntenant = a/b\n", NULL,
      "night.ini:8: [target] tenant: expected a domain such as contoso.onmicrosoft.com or a GUID" },
    { "an administrator at a cloud", CLOUD "client-secret-file=secret\nadmin-user=root\n", NULL,
      "night.ini:9: [target] admin-user: has no meaning with preset = exchange-online" },
    { "a password mechanism at a cloud", CLOUD "client-secret-file=secret\nauth=plain\n", NULL,
      "night.ini:9: [target] auth: preset = exchange-online takes auto or xoauth2 only" },
    { "a password mechanism with tokens", IMAP "[source]\nauth=login\nservice-account-file=a.pem\n", NULL,
      "night.ini:9: [source] auth: contradicts the service account that gives tokens; take auto, "
      "xoauth2 or oauthbearer" },
    { "an administrator without password", IMAP "admin-user = root\n", NULL,
      "night.ini: [target] admin-password-file: missing; admin-user needs a password" },
    { "an administrator's password alone", IMAP "admin-password-file = secret\n", NULL,
      "night.ini:8: [target] admin-password-file: has no meaning without admin-user" },
    { "a form with nobody to fill it", IMAP "login-form = {user}*{admin}\n", NULL,
      "night.ini:8: [target] login-form: has {admin}, which needs admin-user" },
    { "external without certificate", IMAP "auth = external\n", NULL,
      "night.ini: [target] tls-certificate: missing; auth = external shows a client certificate" },
    { "a fingerprint that nobody looks at",
      IMAP "tls = no-verify\ntls-fingerprint = "
           "0000000000000000000000000000000000000000000000000000000000000000\n",
      NULL, "night.ini:9: [target] tls-fingerprint: contradicts tls = no-verify" },
    { "dates that leave nothing", IMAP "[policy]\nsince=2021-01-01\nbefore=2021-01-01\n", NULL,
      "night.ini:10: [policy] before: is not after since, so that no message would move" },
    { "a role that is none", IMAP "[policy]\nexclude-folders=Trash, #Junk Mail#/*\n", NULL,
      "night.ini:9: [policy] exclude-folders: #Junk Mail#/*: no such role; there are Inbox "
      "SentItems Drafts DeletedItems JunkEmail Archive All Flagged Important Calendar Contacts "
      "Journal Notes Tasks Outbox; for a name write \\#" },
    { "a secret that is not there", CLOUD "client-secret-file = nowhere\n", NULL,
      "night.ini:8: [target] client-secret-file: nowhere: No such file or directory" },
    { "an empty secret", CLOUD "client-secret-file = empty\n", NULL,
      "night.ini:8: [target] client-secret-file: empty: the first line is empty; it must hold the "
      "secret" },
    { "a certificate that is not there", CLOUD "certificate = nowhere.pem\n", NULL,
      "night.ini:8: [target] certificate: nowhere.pem: No such file or directory" },
    { "a credential without its folder", CLOUD "client-secret-file = credential:x\n", NULL,
      "night.ini:8: [target] client-secret-file: credential:x: expected a file, or "
      "credential:NAME where CREDENTIALS_DIRECTORY is set" },
    { "Latin-1", IMAP "[folders]\nEntw\xFCrfe = Drafts\n", NULL,
      "night.ini:9: not UTF-8 at column 5: most likely in a Windows or ISO code page. Save it as UTF-8 (Excel: CSV "
      "UTF-8), or convert it: iconv -f WINDOWS-1252 -t UTF-8 OLD >NEW" },
    { "a control byte", IMAP "[folders]\nA\x01 = B\n", NULL, "night.ini:9: a control byte, which no batch file has" },
    { "an override of nothing known", IMAP, "source.conections=3",
      "--set source.conections=3: [source] conections: unknown key; did you mean connections?" },
    { "an override without section", IMAP, "connections=3", "--set connections=3: expected section.key=value" },
    { "an override of an unknown section", IMAP, "sorce.url=imap://x",
      "--set sorce.url=imap://x: [sorce]: unknown section; did you mean [source]?" },
    { "an override with a wrong value", IMAP, "source.connections=x",
      "--set source.connections=x: expected a number from 1 to 10000" },
    { "an override without a value", IMAP, "batch.users=", "--set batch.users=: the value is empty; expected a path" },
    { "more bytes than can be counted", IMAP, "source.bytes-per-day=99999999TB",
      "--set source.bytes-per-day=99999999TB: expected a size such as 35MB or 2GiB, at most 9000000TB" },
    { "an override that contradicts", IMAP, "target.admin-user=root",
      "night.ini: [target] admin-password-file: missing; admin-user needs a password" },
    { "an empty file", " \n\n", NULL, "night.ini: is empty" },
};

static void bad_batches(void **state)
{
    (void)state;
    unsetenv("CREDENTIALS_DIRECTORY");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct settings_list warnings = { NULL, 0 };
        struct settings *s = NULL;
        struct err e;

        if (load(bad[i].text, strlen(bad[i].text), bad[i].override, &s, &warnings, &e))
            fail_msg("%s: was taken", bad[i].name);
        if (strcmp(e.server_text, bad[i].expected) != 0)
            fail_msg("%s:\n  %s\nexpected\n  %s", bad[i].name, e.server_text, bad[i].expected);
        /* A fault in an option is a usage error, not one of the batch file. */
        assert_int_equal(e.code, strncmp(bad[i].expected, "--set", 5) == 0 ? 64 : 78);
        assert_int_equal(e.origin, ERR_ORIGIN_CONFIG);
        assert_null(s);
        settings_list_deinit(&warnings);
    }
}

static void files_that_are_none(void **state)
{
    struct config_request request = { .batch_file = "dir" };
    struct settings_list warnings = { NULL, 0 };
    struct settings *s = NULL;
    struct err e;
    char *text;

    (void)state;
    assert_false(config_load(&request, &s, &warnings, &e));
    assert_string_equal(e.server_text, "dir: is a folder; expected a file");
    request.batch_file = "nowhere.ini";
    assert_false(config_load(&request, &s, &warnings, &e));
    assert_string_equal(e.server_text, "nowhere.ini: No such file or directory");
    request.batch_file = "/dev/null";
    assert_false(config_load(&request, &s, &warnings, &e));
    assert_string_equal(e.server_text, "/dev/null: is not a plain file");
    if (geteuid() != 0) {
        put("night.ini", "[batch]\n", 8, 0);
        request.batch_file = "night.ini";
        assert_false(config_load(&request, &s, &warnings, &e));
        assert_string_equal(e.server_text, "night.ini: Permission denied");
    }
    assert_false(load("[batch]\0\n", 9, NULL, &s, &warnings, &e));
    assert_string_equal(e.server_text, "night.ini:1: a NUL byte at column 8");

    assert_false(load("[\0b\0", 4, NULL, &s, &warnings, &e));
    assert_string_equal(e.server_text, "night.ini: is UTF-16: save it as UTF-8");

    text = mem_alloc(CONFIG_BYTES_MAX + 1);
    memset(text, 'a', CONFIG_BYTES_MAX + 1);
    assert_false(load(text, CONFIG_BYTES_MAX + 1, NULL, &s, &warnings, &e));
    assert_string_equal(e.server_text, "night.ini: larger than 1048576 bytes");
    assert_false(load(text, 8001, NULL, &s, &warnings, &e));
    assert_string_equal(e.server_text, "night.ini:1: the line is too long");
    free(text);
    settings_list_deinit(&warnings);
}

static void whole_batch_is_read(void **state)
{
    static const char text[] = "\xEF\xBB\xBF; night\r\n"
                               "[batch]\r\n"
                               "users = sub/users.csv ; who\r\n"
                               "  time-limit = 7h30m\r\n"
                               "window=20:00-06:00\n"
                               "[source]\n"
                               "url = imap://[::1]:1143/\n"
                               "  tls = none\n"
                               "admin-user =          ; nobody\n"
                               "bytes-per-day = 2.5GB\n"
                               "[target]\n"
                               "tenant=contoso.onmicrosoft.com\n"
                               "client-id=1\n"
                               "client-secret-file=open\n"
                               "cloud = china\n"
                               "[policy]\n"
                               "exclude-folders = Trash, Junk/*, #JunkEmail#, \"a, \"\"b\"\" ; c\"\n"
                               "large-item-limit = unlimited\n"
                               "since = 2020-01-01\n"
                               "[folders]\n"
                               "Sent Messages = Sent Items\n"
                               "Entw\xC3\xBCrfe:alt = Drafts;1\n"
                               "\"a=b; c\" = \" x \"\n";
    struct settings_list warnings = { NULL, 0 };
    struct settings *s = NULL;
    struct err e;

    (void)state;
    if (!load(text, sizeof text - 1, "source.connections=7", &s, &warnings, &e))
        fail_msg("%s", e.server_text);
    assert_string_equal(s->batch_name, "night");
    assert_string_equal(s->state_folder, "night.state");
    assert_string_equal(s->users_file, "sub/users.csv");
    assert_int_equal(s->time_limit_s, 27000);
    assert_int_equal(s->window.opens_minute, 1200);
    assert_int_equal(s->window.closes_minute, 360);
    assert_string_equal(s->source.host, "::1");
    assert_int_equal(s->source.port, 1143);
    assert_int_equal(s->source.tls.mode, SETTINGS_TLS_NONE);
    assert_null(s->source.admin_user);
    assert_int_equal(s->source.bytes_per_day, 2500000000);
    assert_int_equal(s->source.connections, 7);
    assert_int_equal(s->target.oauth.grant, SETTINGS_GRANT_CLIENT_SECRET);
    assert_true(slice_equal(secret_peek(s->target.oauth.client_secret), SLICE("s3cret")));
    assert_string_equal(s->target.host, "partner.outlook.cn");
    assert_int_equal(s->target.port, 993);
    assert_string_equal(s->target.oauth.token_url,
                        "https://login.partner.microsoftonline.cn/contoso.onmicrosoft.com/oauth2/v2.0/token");
    assert_string_equal(s->target.oauth.scope, "https://partner.outlook.cn/.default");
    assert_int_equal(s->target.auth, AUTH_XOAUTH2);
    assert_int_equal(s->target.settle_ms, 60000);
    assert_int_equal(s->policy.exclude_folders.count, 4);
    assert_string_equal(s->policy.exclude_folders.items[1], "Junk/*");
    assert_string_equal(s->policy.exclude_folders.items[3], "a, \"b\" ; c");
    assert_true(s->policy.large_item_limit == SETTINGS_UNLIMITED);
    assert_int_equal(s->policy.since_s, 1577836800);
    assert_int_equal(s->folder_count, 3);
    assert_string_equal(s->folders[0].source, "Sent Messages");
    assert_string_equal(s->folders[0].target, "Sent Items");
    assert_string_equal(s->folders[1].source, "Entw\xC3\xBCrfe:alt");
    assert_string_equal(s->folders[1].target, "Drafts;1");
    assert_string_equal(s->folders[2].source, "a=b; c");
    assert_string_equal(s->folders[2].target, " x ");
    assert_int_equal(s->folders[2].line, 23);
    assert_int_equal(warnings.count, 2);
    assert_string_equal(warnings.items[0], "night.ini:8: [source] tls: mail and passwords cross "
                                           "the network in plain text");
    assert_string_equal(warnings.items[1], "night.ini:14: [target] client-secret-file: open: others may read this "
                                           "secret; chmod 600 helps");
    settings_list_deinit(&warnings);
    settings_destroy(&s);
}

static void slips_that_are_allowed_are_told(void **state)
{
    static const char text[] = IMAP "admin-user =\nconnections =\n[policy]\nmax-message-size = 35\n"
                                    "include-folders =\norder =\n[source]\nbytes-per-day = 0\n";
    struct settings_list warnings = { NULL, 0 };
    struct settings *s = NULL;
    struct err e;

    (void)state;
    if (!load(text, sizeof text - 1, NULL, &s, &warnings, &e))
        fail_msg("%s", e.server_text);
    assert_int_equal(s->policy.max_message_bytes, 35);
    assert_int_equal(warnings.count, 3);
    assert_string_equal(warnings.items[0], "night.ini:9: [target] connections: the value is empty; the default "
                                           "holds: 64, or 512 with preset = exchange-online");
    assert_string_equal(warnings.items[1], "night.ini:11: [policy] max-message-size: 35 bytes; was 35MB meant?");
    assert_string_equal(warnings.items[2],
                        "night.ini:13: [policy] order: the value is empty; the default holds: newest-first");
    settings_list_deinit(&warnings);
    settings_destroy(&s);
}

/* Who may change the file decides where the mail goes. */
static void a_batch_file_that_others_may_change_is_told(void **state)
{
    static const mode_t modes[] = { 0620, 0602, 0666 };
    struct config_request request = { .batch_file = "night.ini" };

    (void)state;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        struct settings_list warnings = { NULL, 0 };
        struct settings *s = NULL;
        struct err e;

        put("night.ini", IMAP, strlen(IMAP), modes[i]);
        assert_true(config_load(&request, &s, &warnings, &e));
        assert_int_equal(warnings.count, 1);
        assert_non_null(strstr(warnings.items[0], "night.ini: others may change it"));
        settings_list_deinit(&warnings);
        settings_destroy(&s);
    }
}

static void shards_have_folders_of_their_own(void **state)
{
    struct config_request request = { .batch_file = "night.ini", .shard_number = 3, .shard_count = 10 };
    struct settings_list warnings = { NULL, 0 };
    struct settings *s = NULL;
    struct err e;

    (void)state;
    put("night.ini", IMAP, strlen(IMAP), 0600);
    assert_true(config_load(&request, &s, &warnings, &e));
    assert_string_equal(s->state_folder, "night.state.3-of-10");
    settings_destroy(&s);

    put("night.ini", IMAP "[batch]\nshards=8\n", strlen(IMAP) + 17, 0600);
    assert_false(config_load(&request, &s, &warnings, &e));
    assert_string_equal(e.server_text, "--shard 3/10: the batch file fixes the count: shards = 8");
    request.shard_count = 0;
    assert_false(config_load(&request, &s, &warnings, &e));
    assert_string_equal(e.server_text, "night.ini: shards = 8: say which one with --shard I/8");
    request.local = true;
    assert_true(config_load(&request, &s, &warnings, &e));
    settings_destroy(&s);
}

static void local_commands_need_no_secrets(void **state)
{
    struct config_request request = { .batch_file = "night.ini", .local = true };
    struct settings_list warnings = { NULL, 0 };
    struct settings *s = NULL;
    struct err e;

    (void)state;
    put("night.ini", CLOUD "client-secret-file=gone\n", strlen(CLOUD) + 24, 0600);
    assert_true(config_load(&request, &s, &warnings, &e));
    assert_null(s->target.oauth.client_secret);
    settings_destroy(&s);
}

/* Those that ship are taken as they are, but for the secrets, which are not there. */
static void the_examples_are_taken(void **state)
{
    char *names = mem_format("%s/../docs/examples/*.ini", TESTS_FOLDER);
    glob_t found;

    (void)state;
    assert_int_equal(glob(names, 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 4);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct config_request request = { .batch_file = found.gl_pathv[i], .local = true };
        struct settings_list warnings = { NULL, 0 };
        struct settings *s = NULL;
        struct err e;

        if (!config_load(&request, &s, &warnings, &e))
            fail_msg("%s", e.server_text);
        for (size_t k = 0; k < warnings.count; k++)
            if (!strstr(warnings.items[k], "others may change it"))
                fail_msg("%s", warnings.items[k]);
        settings_list_deinit(&warnings);
        settings_destroy(&s);
    }
    globfree(&found);
    free(names);
}

/* One look at a file tells all that is wrong in it, in whatever section. */
static void all_faults_are_told_at_once(void **state)
{
    static const char text[] =
        IMAP "tls-min = 1.9\nnonsense\n[polcy]\nsince = x\n[policy]\nmax-message-size = 35MB # limit\n"
             "[folders]\nA/* = B\n[source\nurl = x\n[batch]\nwindow = now\n";
    struct settings_list warnings = { NULL, 0 }, faults = { NULL, 0 };
    struct config_request request = { .batch_file = "night.ini", .faults = &faults };
    struct settings *s = NULL;
    struct err e;

    (void)state;
    put("night.ini", text, sizeof text - 1, 0600);
    assert_false(config_load(&request, &s, &warnings, &e));
    assert_non_null(strstr(e.server_text, "tls-min: 1.9: expected one of"));
    assert_int_equal(faults.count, 6);
    assert_non_null(strstr(faults.items[0], "expected key = value"));
    assert_non_null(strstr(faults.items[1], "[polcy]: unknown section; did you mean [policy]?"));
    assert_non_null(strstr(faults.items[2],
                           "35MB # limit: expected a size such as 35MB or 2GiB, from 1B to 150MB. A comment "
                           "behind a value begins with ; and not with #"));
    assert_non_null(strstr(faults.items[3], "A/*: a pattern needs a * in its target too"));
    assert_non_null(strstr(faults.items[4], "expected [section]; ] is missing"));
    assert_non_null(strstr(faults.items[5], "window: now: expected two different times"));
    settings_list_deinit(&faults);
    settings_list_deinit(&warnings);
}

/* Each default as text means what settings_create decided. */
static void defaults_in_the_table_are_true(void **state)
{
    (void)state;
    for (unsigned section = 0; section < CONFIG_FOLDERS; section++)
        for (unsigned i = 0; i < config_key_count(); i++) {
            const struct config_key *key = &config_keys[i];
            struct settings *fresh, *s;
            char expected[160];

            if (!(key->sections & 1u << section))
                continue;
            assert_true(!key->fallback != !key->otherwise);
            assert_non_null(key->help);
            assert_non_null(key->value_name);
            if (!key->fallback)
                continue;
            fresh = settings_create();
            s = settings_create();
            assert_true(config_key_store(key, config_section_base((enum config_section)section, s),
                                         slice_cstr(key->fallback), "b.ini", expected, sizeof expected));
            if (memcmp(s, fresh, sizeof *s) != 0)
                fail_msg("%s: the default is not %s", key->name, key->fallback);
            settings_destroy(&fresh);
            settings_destroy(&s);
        }
}

struct tried {
    size_t size;
    char fill;
    unsigned keys;
};

/* The key with a value of that size: taken, or refused in words that name the file. */
static void try_key(void *context, const struct config_key_info *key)
{
    struct tried *t = context;
    struct settings_list warnings = { NULL, 0 };
    struct settings *s = NULL;
    struct err e;
    size_t room = t->size + 1000, used;
    char *text = mem_alloc(room);
    bool good;

    t->keys++;
    used = (size_t)snprintf(text, room, "%s[%s]\n%s = ", strcmp(key->section, "folders") == 0 ? IMAP : CLOUD,
                            key->section, key->name);
    memset(text + used, t->fill, t->size);
    text[used + t->size] = '\n';
    good = load(text, used + t->size + 1, NULL, &s, &warnings, &e);
    if (!good) {
        if (e.origin != ERR_ORIGIN_CONFIG || (e.code != 78 && e.code != 64) || !strstr(e.server_text, "night.ini"))
            fail_msg("[%s] %s of %zu bytes: %s", key->section, key->name, t->size, e.server_text);
    } else {
        settings_destroy(&s);
    }
    settings_list_deinit(&warnings);
    free(text);
}

static void each_key_with_values_of_any_length(void **state)
{
    static const size_t sizes[] = { 0, 1, 255, 256, 2048, 2049, 7000, 8001, 100000 };
    static const char fills[] = { 'a', '9', '"', ',', '/', '\xff' };

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t f = 0; f < sizeof fills; f++) {
            struct tried t = { sizes[i], fills[f], 0 };

            config_describe(try_key, &t);
            assert_true(t.keys > 50);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_batches),
        cmocka_unit_test(files_that_are_none),
        cmocka_unit_test(whole_batch_is_read),
        cmocka_unit_test(slips_that_are_allowed_are_told),
        cmocka_unit_test(a_batch_file_that_others_may_change_is_told),
        cmocka_unit_test(shards_have_folders_of_their_own),
        cmocka_unit_test(local_commands_need_no_secrets),
        cmocka_unit_test(all_faults_are_told_at_once),
        cmocka_unit_test(the_examples_are_taken),
        cmocka_unit_test(defaults_in_the_table_are_true),
        cmocka_unit_test(each_key_with_values_of_any_length),
    };

    return cmocka_run_group_tests(tests, enter, leave);
}
