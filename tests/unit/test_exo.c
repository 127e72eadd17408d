/* test: rehearsal */
#include "engine/rehearsal/exo.h"
#include "io/base/mem.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define LOGIN "l LOGIN anna@contoso.example pw\r\n"
#define BODY  "Message-ID: <a@b>\r\nSubject: s\r\n\r\nbody\r\n" /* 39 bytes */

/* ---- a blocking client ---- */

struct client {
    int fd;
    char text[65536]; /* all that came */
    size_t size;
};

static struct exo *server_start(const char *const *settings)
{
    struct exo_config config;
    struct exo *exo;
    struct err err;

    exo_config_init(&config);
    config.imap_plain_port = 0;
    config.control_port = 0;
    config.threads = 2;
    config.append_ms = 0;
    config.plain_auth = true;
    snprintf(config.plain_password, sizeof config.plain_password, "pw");
    assert_true(exo_start(&config, &exo, &err));
    assert_true(exo_mailbox_set(exo, "anna@contoso.example", &err));
    for (; settings && settings[0]; settings += 2)
        assert_true(exo_set(exo, settings[0], settings[1], &err));
    return exo;
}

static int port_open(uint16_t port)
{
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons(port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval limit = { .tv_sec = 20 };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void client_open(struct client *c, struct exo *exo)
{
    c->fd = port_open(exo_ports(exo).imap_plain);
    c->size = 0;
    c->text[0] = '\0';
}

static void client_send(struct client *c, const char *bytes, size_t size)
{
    while (size) {
        ssize_t n = send(c->fd, bytes, size, MSG_NOSIGNAL);

        if (n <= 0)
            return;
        bytes += n;
        size -= (size_t)n;
    }
}

static void client_say(struct client *c, const char *text)
{
    client_send(c, text, strlen(text));
}

/* Reads until `want` is in the text, or the end; false at the end. */
static bool client_await(struct client *c, const char *want)
{
    while (!strstr(c->text, want)) {
        ssize_t n = recv(c->fd, c->text + c->size, sizeof c->text - 1 - c->size, 0);

        if (n <= 0)
            return false;
        c->size += (size_t)n;
        c->text[c->size] = '\0';
    }
    return true;
}

static void client_close(struct client *c)
{
    close(c->fd);
}

/* ---- tests ---- */

struct dialogue {
    const char *name;
    const char *settings[9];
    const char *say; /* all at once: pipelined */
    const char *want;
};

static const struct dialogue dialogues[] = {
    { "a greeting names Exchange", { NULL }, "", "* OK The Microsoft Exchange IMAP4 service is" },
    { "the 2026 greeting is another",
      { "front-end", "2026", NULL },
      "",
      "* OK Microsoft Exchange IMAP4 service ready. " },
    { "capabilities grow after login",
      { NULL },
      LOGIN "a CAPABILITY\r\n",
      "CLIENTACCESSRULES CLIENTNETWORKPRESENCELOCATION BACKENDAUTHENTICATE CHILDREN" },
    { "rev2 is offered by the 2026 front end",
      { "front-end", "2026", NULL },
      LOGIN "a CAPABILITY\r\n",
      "UNSELECT ENABLE IMAP4rev2 CLIENT" },
    { "LSUB breaks LIST in rev2",
      { "front-end", "2026", NULL },
      LOGIN "a ENABLE IMAP4rev2\r\nb LSUB \"\" *\r\nc LIST \"\" *\r\n",
      "c NO [SERVERBUG] Internal server error\r\n" },
    { "ID () is not understood", { NULL }, "a ID ()\r\n", "a BAD Command Argument Error. 11\r\n" },
    { "ID NIL is", { NULL }, "a ID NIL\r\n", "Microsoft.Exchange.Imap4.Imap4Server" },
    { "a wrong password", { NULL }, "a LOGIN anna@contoso.example no\r\n", "a NO LOGIN failed.\r\n" },
    { "a bad token", { NULL }, "a AUTHENTICATE XOAUTH2 dXNlcj1h\r\n", "a NO AUTHENTICATE failed.\r\n" },
    { "a JSON challenge on demand", { "auth-json", "yes", NULL }, "a AUTHENTICATE XOAUTH2 dXNlcj1h\r\n\r\n", "+ eyJ" },
    { "IMAP switched off",
      { "mailbox", "anna@contoso.example,enabled=no", NULL },
      LOGIN "a NAMESPACE\r\n",
      "a BAD User is authenticated but not connected.\r\n" },
    { "SELECT before login", { NULL }, "a SELECT INBOX\r\n", "a BAD Command received in Invalid state." },
    { "FETCH before SELECT", { NULL }, LOGIN "a FETCH 1 FLAGS\r\n", "a BAD Command Error. 12\r\n" },
    { "an unknown command", { NULL }, "a FROB\r\n", "a BAD Command Error. 10\r\n" },
    { "a keyword is refused",
      { NULL },
      LOGIN "s SELECT INBOX\r\na UID SEARCH KEYWORD x\r\n",
      "a BAD Command Argument Error. 11\r\n" },
    { "CREATE folds case", { NULL }, LOGIN "a CREATE drafts\r\n", "a NO Mailbox already exists\r\n" },
    { "Files is reserved", { NULL }, LOGIN "a CREATE Files\r\n", "a NO Folder name is reserved\r\n" },
    { "PERMANENTFLAGS has no star", { NULL }, LOGIN "a SELECT inbox\r\n", "\\Draft $MDNSent)] Permanent flags\r\n" },
    { "LIST may carry special use",
      { "special-use", "yes", NULL },
      LOGIN "a LIST \"\" *\r\n",
      "* LIST (\\HasNoChildren \\Trash) \"/\" \"Deleted Items\"\r\n" },
    { "names follow the language",
      { "mailbox", "eve@contoso.example,language=ru", NULL },
      "l LOGIN eve@contoso.example pw\r\na LIST \"\" *\r\n",
      "\"&BB4EQgQ,BEAEMAQyBDsENQQ9BD0ESwQ1-\"" },
    { "the error limit",
      { "errors-max", "2", NULL },
      "a X\r\nb X\r\n",
      "b BAD Command Error. 10\r\n* BYE Connection closed. 14\r\n" },
    { "silence", { "preauth-ms", "1", NULL }, "", "* BYE Connection is closed. 13\r\n" },
    { "a long line",
      { "line-max", "20", NULL },
      "a NOOP 345678901234567890\r\n",
      "a BAD command line limit exceeded\r\n" },
    { "APPEND with LITERAL+",
      { NULL },
      LOGIN "a APPEND INBOX {39+}\r\n" BODY "\r\nb NOOP\r\n",
      "a OK [APPENDUID 14 1] APPEND completed.\r\nb OK" },
    { "no APPENDUID on demand",
      { "appenduid", "no", NULL },
      LOGIN "a APPEND INBOX {39+}\r\n" BODY "\r\n",
      "a OK APPEND completed.\r\n" },
    { "too large, instead of the continuation",
      { "message-bytes-max", "38", NULL },
      LOGIN "a APPEND INBOX {39}\r\n",
      "a NO Maximum size of appendable message has been exceeded\r\n" },
    { "too large with LITERAL+ keeps the stream",
      { "message-bytes-max", "38", NULL },
      LOGIN "a APPEND INBOX {39+}\r\n" BODY "\r\nb NOOP\r\n",
      "exceeded\r\nb OK" },
    { "or loses it on demand",
      { "message-bytes-max", "38", "refusal", "desync", NULL },
      LOGIN "a APPEND INBOX {39+}\r\n" BODY "\r\n",
      "Subject: BAD Command Error. 10\r\n" },
    { "a full mailbox",
      { "quota-bytes", "10", NULL },
      LOGIN "a APPEND INBOX {39}\r\n",
      "a NO Server Unavailable. 15\r\n" },
    { "a missing folder", { NULL }, LOGIN "a APPEND None {39}\r\n", "a NO Mailbox doesn't exist." },
    { "a bad date",
      { NULL },
      LOGIN "a APPEND INBOX \"1-Foo-2020 00:00:00 +0000\" {39}\r\n",
      "a BAD Command Argument Error. 11\r\n" },
    { "a bad flag", { NULL }, LOGIN "a APPEND INBOX (\\Seen foo) {39}\r\n", "a BAD Command Argument Error. 11\r\n" },
    { "a long body line",
      { "body-line-max", "12", NULL },
      LOGIN "a APPEND INBOX {39+}\r\n" BODY "\r\n",
      "a BAD Command Argument Error. 11\r\n" },
    { "a mailbox name as a literal",
      { NULL },
      LOGIN "a APPEND {5+}\r\nINBOX {39+}\r\n" BODY "\r\n",
      "a OK [APPENDUID 14 1]" },
    { "a wrong count makes commands of the body",
      { NULL },
      LOGIN "a APPEND INBOX {10+}\r\n" BODY "\r\n",
      "Subject: BAD Command Error. 10\r\n" },
    { "the connection cap",
      { "mailbox", "anna@contoso.example,connections=1", "mailbox", "x@y", NULL },
      LOGIN "a NAMESPACE\r\n",
      "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n" },
    { "haste is punished",
      { "reconnect-window-ms", "60000", "reconnect-max", "0", NULL },
      LOGIN "a SELECT INBOX\r\nb SELECT INBOX\r\n",
      "a BAD Command Error. 12\r\n* 0 EXISTS" },
    { "a selected folder shows new mail after NOOP",
      { NULL },
      LOGIN "s SELECT INBOX\r\na APPEND INBOX {39+}\r\n" BODY "\r\nb UID FETCH 1:* UID\r\nc NOOP\r\n"
            "d UID FETCH 1:* UID\r\n",
      "\r\nb OK FETCH completed.\r\n* 1 EXISTS\r\n* 0 RECENT\r\nc OK NOOP completed.\r\n"
      "* 1 FETCH (UID 1)\r\n" },
    { "or after any command that may tell of it",
      { "view", "command", NULL },
      LOGIN "s SELECT INBOX\r\na APPEND INBOX {39+}\r\n" BODY "\r\nb UID FETCH 1:* UID\r\n",
      "* 1 EXISTS\r\n* 0 RECENT\r\na OK [APPENDUID 14 1] APPEND completed.\r\n* 1 FETCH (UID 1)\r\n" },
    { "a fault may answer anything",
      { "fault", "point=command command=FETCH action=reply text=OK FETCH completed.", NULL },
      LOGIN "s SELECT INBOX\r\na UID FETCH 1 FLAGS\r\n",
      "a OK FETCH completed.\r\n" },
    { "garbage without a tag",
      { "fault", "point=command command=SELECT action=garbage", NULL },
      LOGIN "a SELECT INBOX\r\n",
      "\r\nServer Unavailable. 15\r\n* BYE Connection closed.\r\n" },
};

static void says_what_exchange_says(void **state)
{
    struct client c;

    for (size_t i = 0; i < sizeof dialogues / sizeof *dialogues; i++) {
        const struct dialogue *d = &dialogues[i];
        struct exo *exo;

        exo = server_start(d->settings);
        client_open(&c, exo);
        client_say(&c, d->say);
        if (!client_await(&c, d->want))
            fail_msg("%s: wanted %s, got %s", d->name, d->want, c.text);
        client_close(&c);
        exo_stop(&exo);
        assert_null(exo);
    }
}

static bool message_check(void *context, const struct exo_message_view *v)
{
    assert_string_equal(v->folder, "INBOX");
    assert_int_equal(v->size, 39);
    assert_true(slice_equal(v->message_id, SLICE("<a@b>")));
    assert_int_equal(v->flags, EXO_SEEN | EXO_FLAGGED);
    assert_int_equal(v->date, 837596665);
    ++*(size_t *)context;
    return true;
}

static void literals_may_be_cut_anywhere(void **state)
{
    static const char say[] = LOGIN "a APPEND {5+}\r\nINBOX (\\Seen \\Flagged) "
                                    "\"17-Jul-1996 02:44:25 -0700\" {39+}\r\n" BODY "\r\nb NOOP\r\n";
    static const char *const settings[] = { "errors-max", "0", "connections-max", "0", NULL };
    struct exo *exo = server_start(settings);
    size_t count = 0;
    struct client c;

    for (size_t cut = 1; cut < sizeof say - 1; cut++) {
        client_open(&c, exo);
        assert_true(client_await(&c, "ready"));
        client_send(&c, say, cut);
        client_send(&c, say + cut, sizeof say - 1 - cut);
        assert_true(client_await(&c, "b OK NOOP"));
        assert_non_null(strstr(c.text, "APPEND completed."));
        client_close(&c);
    }
    assert_true(exo_mailbox_messages(exo, "ANNA@contoso.example", message_check, &count));
    assert_int_equal(count, sizeof say - 2);
    exo_stop(&exo);
}

static void sync_literals_wait_for_the_plus(void **state)
{
    struct exo *exo = server_start(NULL);
    struct client c;

    client_open(&c, exo);
    client_say(&c, LOGIN "a APPEND INBOX {39}\r\n");
    assert_true(client_await(&c, "\r\n+ "));
    client_say(&c, BODY "\r\n");
    assert_true(client_await(&c, "a OK [APPENDUID"));
    client_send(&c, "n APPEND INBOX {3+}\r\na\0b\r\n", 26);
    assert_true(client_await(&c, "n NO Message contains NUL characters\r\n"));
    client_close(&c);
    exo_stop(&exo);
}

static void budgets_cut_and_count_violations(void **state)
{
    static const char *const settings[] = { "mailbox-rate",
                                            "0.001",
                                            "mailbox-burst",
                                            "1",
                                            "mailbox-cutoff",
                                            "0.5",
                                            "hint-ms",
                                            "92415",
                                            "hint-grace-ms",
                                            "0",
                                            "hint-word",
                                            "both",
                                            NULL };
    struct exo *exo = server_start(settings);
    struct exo_stats stats;
    struct err err;
    struct client c;

    client_open(&c, exo);
    client_say(&c,
               LOGIN "a APPEND INBOX {39+}\r\n" BODY "\r\nb APPEND INBOX {39+}\r\n" BODY "\r\nc APPEND INBOX {39}\r\n");
    assert_true(client_await(&c, "\r\nc NO Request is throttled. Suggested Backoff Time: 92415 "
                                 "milliseconds\r\n"));
    exo_stats(exo, &stats);
    assert_int_equal(stats.violations, 0);
    assert_int_equal(stats.appends, 2);
    client_say(&c, "d APPEND INBOX {39}\r\n");
    assert_true(client_await(&c, "\r\nd BAD Request is throttled. Suggested Backoff Time: "));
    exo_stats(exo, &stats);
    assert_int_equal(stats.violations, 1);
    assert_int_equal(stats.throttled, 2);
    assert_true(exo_set(exo, "hint-every-command", "yes", &err));
    /* The change reaches the connection's thread by message; until then SELECT is answered OK. */
    for (unsigned i = 0; i < 1000 && !strstr(c.text, "e NO Request is throttled."); i++) {
        client_say(&c, "e SELECT INBOX\r\nf NOOP\r\n");
        c.size = 0;
        c.text[0] = '\0';
        assert_true(client_await(&c, "\r\nf "));
    }
    assert_non_null(strstr(c.text, "e NO Request is throttled."));
    client_close(&c);
    exo_stop(&exo);
}

struct fault_case {
    const char *fault;
    size_t stored;
    bool answered;
};

static void faults_strike_at_every_point(void **state)
{
    static const struct fault_case cases[] = {
        { "point=before-plus action=reset", 0, false },     { "point=mid-literal action=close", 0, false },
        { "point=last-byte action=reset", 0, false },       { "point=stored action=close", 1, false },
        { "point=delayed action=close delay=1", 1, false }, { "point=ok action=close", 1, true },
        { "point=stored action=reset every=2", 1, true },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const settings[] = { "fault", cases[i].fault, NULL };
        struct exo *exo = server_start(settings);
        struct exo_mailbox_stats stats;
        struct client c;

        client_open(&c, exo);
        client_say(&c, LOGIN "a APPEND INBOX {39+}\r\n" BODY "\r\n");
        assert_int_equal(client_await(&c, "a OK"), cases[i].answered);
        client_close(&c);
        do
            assert_true(exo_mailbox_stats(exo, "anna@contoso.example", &stats));
        while (stats.messages < cases[i].stored);
        assert_int_equal(stats.messages, cases[i].stored);
        exo_stop(&exo);
    }
}

static void tokens_open_mailboxes_and_expire(void **state)
{
    static const struct {
        struct exo_token token;
        const char *want;
    } cases[] = {
        { { .life_s = 600 }, "a OK AUTHENTICATE completed.\r\n" },
        { { .life_s = -1 }, "a NO AUTHENTICATE failed.\r\n" },
        { { .life_s = 600, .audience = "https://graph.microsoft.com" }, "a NO AUTHENTICATE failed." },
        { { .life_s = 600, .role = "" }, "a NO AUTHENTICATE failed." },
        { { .life_s = 600, .user = "anna@contoso.example" }, "a OK AUTHENTICATE completed." },
        { { .life_s = 2 }, "* BYE Session invalidated - AccessTokenExpired\r\n" },
    };
    struct exo *exo = server_start(NULL);
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *token = exo_token_create(exo, &cases[i].token), text[4096], line[8192];
        int fd = port_open(exo_ports(exo).imap), n = 0, size = 0;
        SSL *ssl = SSL_new(tls);

        SSL_set_fd(ssl, fd);
        assert_int_equal(SSL_connect(ssl), 1);
        n = snprintf(text, sizeof text, "user=anna@contoso.example\1auth=Bearer %s\1\1", token);
        size = snprintf(line, sizeof line, "a AUTHENTICATE XOAUTH2\r\n");
        size += EVP_EncodeBlock((unsigned char *)line + size, (unsigned char *)text, n);
        size += snprintf(line + size, sizeof line - (size_t)size, "\r\n");
        assert_int_equal(SSL_write(ssl, line, size), size);
        size = 0;
        text[0] = '\0';
        while (!strstr(text, cases[i].want)) {
            n = SSL_read(ssl, text + size, (int)sizeof text - 1 - size);
            if (n <= 0)
                fail_msg("wanted %s, got %s", cases[i].want, text);
            size += n;
            text[size] = '\0';
        }
        SSL_free(ssl);
        close(fd);
        free(token);
    }
    SSL_CTX_free(tls);
    exo_stop(&exo);
}

static void the_cap_counts_connections(void **state)
{
    static const char *const settings[] = { "connections-max", "1", NULL };
    struct exo *exo = server_start(settings);
    struct client a, b;
    char *json;

    client_open(&a, exo);
    client_say(&a, LOGIN);
    assert_true(client_await(&a, "l OK"));
    client_open(&b, exo);
    client_say(&b, LOGIN "x NAMESPACE\r\n");
    assert_true(client_await(&b, "x BAD User is authenticated but not connected.\r\n"));
    exo_revoke(exo, "anna@contoso.example");
    client_say(&a, "y NOOP\r\n");
    assert_true(client_await(&a, "* BYE Session invalidated - Invalid\r\n"));
    json = exo_stats_json(exo);
    assert_non_null(strstr(json, "\"over_connections\":1"));
    free(json);
    client_close(&a);
    client_close(&b);
    exo_stop(&exo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_exchange_says),         cmocka_unit_test(literals_may_be_cut_anywhere),
        cmocka_unit_test(sync_literals_wait_for_the_plus), cmocka_unit_test(budgets_cut_and_count_violations),
        cmocka_unit_test(faults_strike_at_every_point),    cmocka_unit_test(tokens_open_mailboxes_and_expire),
        cmocka_unit_test(the_cap_counts_connections),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
