/* test: folders */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/folders/names.h"
#include "engine/folders/names_index.h"
#include "engine/folders/names_text.h"
#include "io/base/mem.h"

#include <stdio.h>
#include <stdlib.h>

/* A mailbox under test: rows are added raw, then described and mapped for Exchange. */
struct box {
    struct names_source *rows;
    size_t count, room, told, clashes, renamed, roots;
    struct settings *settings;
    struct settings_user user;
    uint64_t work;
};

static void tell(void *context, size_t index, const char *type, const char *text, const char *remedy)
{
    struct box *b = context;

    assert_true(index < b->count && text[0] && remedy[0]);
    b->told++;
    b->clashes += strcmp(type, "FolderNameClash") == 0;
    b->renamed += strcmp(type, "FolderRenamed") == 0;
    b->roots += strcmp(type, "MultipleRoots") == 0;
}

static void add_with(struct box *b, const char *raw, char delimiter, unsigned attributes)
{
    if (b->count == b->room) {
        b->room = b->room ? b->room * 2 : 64;
        b->rows = mem_resize(b->rows, b->room, sizeof *b->rows);
    }
    b->rows[b->count++] =
        (struct names_source){ .raw = mem_text(raw), .delimiter = delimiter, .attributes = attributes };
}

static void add(struct box *b, const char *raw)
{
    add_with(b, raw, '/', 0);
}

static void map_with(struct box *b, const struct names_target *targets, size_t count, struct names_rules rules)
{
    if (!b->settings)
        b->settings = settings_create();
    rules.settings = b->settings;
    rules.user = &b->user;
    rules.work = &b->work;
    if (!rules.source_prefix)
        rules.source_prefix = "";
    if (!rules.target_prefix)
        rules.target_prefix = "";
    names_describe(b->rows, b->count, &rules, tell, b);
    names_map(b->rows, b->count, targets, count, &rules, tell, b);
}

static void map(struct box *b)
{
    map_with(b, NULL, 0, (struct names_rules){ .target_delimiter = '/', .exchange = true });
}

static const char *target(const struct box *b, const char *raw)
{
    for (size_t i = 0; i < b->count; i++)
        if (strcmp(b->rows[i].raw, raw) == 0)
            return b->rows[i].target_name;
    fail_msg("there is no %s", raw);
    return NULL;
}

/* No two rows go to one place. */
static void assert_apart(const struct box *b)
{
    struct names_index seen;

    names_index_init(&seen);
    for (size_t i = 0; i < b->count; i++)
        if (b->rows[i].target_name) {
            char *key = names_folded(b->rows[i].target_name);

            if (!names_index_add(&seen, slice_cstr(key), i))
                fail_msg("two rows go to %s", b->rows[i].target_name);
            free(key);
        }
    names_index_deinit(&seen);
}

static void done(struct box *b)
{
    for (size_t i = 0; i < b->count; i++)
        names_source_deinit(&b->rows[i]);
    free(b->rows);
    settings_destroy(&b->settings);
    *b = (struct box){ 0 };
}

#define MANY 100000u

static void a_hundred_thousand_folders_side_by_side(void **state)
{
    struct box b = { 0 };
    char raw[64];

    (void)state;
    add(&b, "INBOX");
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(raw, sizeof raw, "Folder %u", i);
        add(&b, raw);
    }
    map(&b);
    assert_int_equal(b.told, 0);
    assert_string_equal(target(&b, "Folder 99999"), "Folder 99999");
    assert_true(b.work < 40 * (uint64_t)b.count);
    done(&b);
}

static void a_hundred_thousand_names_that_are_one_to_exchange(void **state)
{
    struct box b = { 0 };
    char raw[32];

    (void)state;
    /* every way to write 17 letters large or small, but for 2 to the 17th there is less room */
    for (unsigned i = 0; i < MANY; i++) {
        for (unsigned k = 0; k < 17; k++)
            raw[k] = (char)((i >> k & 1 ? 'A' : 'a') + (char)k);
        raw[17] = '\0';
        add(&b, raw);
    }
    map(&b);
    assert_int_equal(b.clashes, MANY - 1);
    assert_apart(&b);
    assert_true(b.work < 60 * (uint64_t)b.count);
    done(&b);
}

static void a_hundred_thousand_children_of_parents_that_are_hidden(void **state)
{
    struct box b = { 0 };
    char raw[64];

    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(raw, sizeof raw, "Hidden/%u/deep/er/%u", i % 10, i);
        add(&b, raw);
    }
    b.settings = settings_create();
    settings_list_add(&b.settings->policy.exclude_folders, SLICE("#JunkEmail#/*"));
    settings_list_add(&b.settings->policy.exclude_folders, SLICE("*a*b*c*d*e*f*g*"));
    map(&b);
    assert_int_equal(b.roots, 10); /* one remark a parent, not one a child */
    assert_true(b.work < 400 * (uint64_t)b.count);
    done(&b);
}

static void a_chain_as_deep_as_names_go(void **state)
{
    struct box b = { 0 };
    char raw[2001] = "";

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        strcat(raw, i ? "/a" : "a");
        add(&b, raw);
    }
    map(&b);
    assert_apart(&b);
    for (size_t i = 0; i < b.count; i++) {
        unsigned levels = 1;

        for (const char *c = b.rows[i].target_name; *c; c++)
            levels += *c == '/';
        assert_true(levels <= 300); /* what Exchange takes */
    }
    done(&b);
}

static void long_names_are_cut_and_stay_apart(void **state)
{
    struct box b = { 0 };
    char raw[1400], again[1400];

    (void)state;
    memset(raw, 'x', 300);
    strcpy(raw + 300, "1");
    add(&b, raw);
    memcpy(again, raw, sizeof again);
    strcpy(again + 300, "2");
    add(&b, again);
    /* 200 times U+1F4E7, each of which is two units of a name */
    raw[0] = again[0] = '\0';
    for (unsigned i = 0; i < 100; i++)
        strcat(again, "&2D3c59g93Oc-");
    memcpy(raw, again, 1399);
    raw[1399] = '\0';
    add(&b, raw);
    map(&b);
    assert_apart(&b);
    assert_int_equal(b.renamed, 3);
    for (size_t i = 0; i < b.count; i++) {
        size_t units = 0;

        for (const unsigned char *c = (const unsigned char *)b.rows[i].target_name; *c; c++)
            units += ((*c & 0xC0) != 0x80) + (*c >= 0xF0);
        assert_true(units > 200 && units <= 255);
    }
    done(&b);
}

static void a_path_too_long_for_the_target_gets_a_place_of_its_own(void **state)
{
    struct box b = { 0 };
    char raw[4096] = "", longer[5000];

    (void)state;
    for (unsigned i = 0; i < 30; i++) {
        char level[128];

        memset(level, 'a' + (char)(i % 26), 120);
        level[120] = i < 29 ? '/' : '\0';
        level[121] = '\0';
        strcat(raw, level);
    }
    add(&b, raw);
    memset(longer, 'x', sizeof longer);
    longer[4999] = '\0';
    add(&b, longer); /* nobody could even ask for it */
    map_with(&b, NULL, 0, (struct names_rules){ .target_delimiter = '.' });
    assert_true(strlen(b.rows[0].target_raw) < 300 && !strchr(b.rows[0].target_name, '/'));
    assert_int_equal(b.renamed, 1);
    assert_null(b.rows[1].target_raw);
    assert_int_equal(b.told, 3); /* also: its parent is not shown */
    done(&b);
}

static void characters_that_the_target_cannot_hold_look_alike(void **state)
{
    struct box b = { 0 };

    (void)state;
    add(&b, "tab\there");
    add(&b, "star*and%");
    add(&b, " blanks ");
    add_with(&b, "a/b", '.', 0);
    add_with(&b, "c.d", '/', 0);
    map(&b);
    assert_string_equal(target(&b, "tab\there"), "tab␉here");
    assert_string_equal(target(&b, "star*and%"), "star∗and％");
    assert_string_equal(target(&b, " blanks "), "blanks");
    assert_string_equal(target(&b, "a/b"), "a∕b");
    assert_string_equal(target(&b, "c.d"), "c.d");
    assert_int_equal(b.renamed, 4);
    done(&b);
}

static void what_exchange_keeps_is_never_a_target(void **state)
{
    static const char *const names[] = { "Calendar", "Kalender", "Contacts", "Notizen",   "TASKS",
                                         "Outbox",   "files",    "Journal",  "&Tohbmoho-" };
    enum { COUNT = sizeof names / sizeof *names };
    struct box b = { 0 };

    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        add(&b, names[i]);
    add(&b, "Notizen/alt");
    add(&b, "Work/Calendar");
    add(&b, "Sent");
    b.settings = settings_create();
    b.settings->folders = mem_zero(1, sizeof *b.settings->folders);
    b.settings->folders[0].source = mem_text("Sent");
    b.settings->folders[0].target = mem_text("calendar"); /* not even by the user's word */
    b.settings->folder_count = 1;
    map(&b);
    assert_apart(&b);
    assert_string_equal(target(&b, "Notizen/alt"), "Notizen (IMAP)/alt");
    assert_string_equal(target(&b, "Work/Calendar"), "Work/Calendar");
    assert_string_equal(target(&b, "Sent"), "calendar (IMAP)");
    assert_string_equal(target(&b, "Calendar"), "Calendar (IMAP) (2)");
    for (size_t i = 0; i < COUNT; i++)
        assert_non_null(strstr(b.rows[i].target_name, " (IMAP)"));
    done(&b);
}

/* Servers list in an order of their own, and not always in the same. */
static void the_order_of_rows_changes_nothing(void **state)
{
    static const char *const names[] = { "INBOX",   "Sent",    "Sent Items", "Sent Messages", "archive",
                                         "Archive", "ARCHIVE", "a/B",        "A/b",           "spaced",
                                         "spaced ", "Junk",    "Junk/",      "Spam",          "inbox" };
    enum { COUNT = sizeof names / sizeof *names };
    struct box b = { 0 };
    char *first[COUNT] = { 0 };

    (void)state;
    for (unsigned turn = 0; turn < COUNT; turn++) {
        for (unsigned i = 0; i < COUNT; i++)
            add(&b, names[(i * 4 + turn) % COUNT]); /* 4 and 15 share no divisor */
        map(&b);
        assert_apart(&b);
        for (unsigned i = 0; i < COUNT; i++) {
            const char *now = target(&b, names[i]);

            if (turn == 0)
                first[i] = now ? mem_text(now) : NULL;
            else if ((now == NULL) != (first[i] == NULL) || (now && strcmp(now, first[i]) != 0))
                fail_msg("%s is %s, was %s", names[i], now ? now : "-", first[i] ? first[i] : "-");
        }
        done(&b);
    }
    assert_string_equal(first[0], "INBOX");
    assert_string_equal(first[2], "Sent Items"); /* its name has the better claim */
    assert_string_equal(first[1], "Sent");
    assert_null(first[12]); /* Junk/ is Junk */
    assert_null(first[14]); /* inbox is INBOX */
    for (unsigned i = 0; i < COUNT; i++)
        free(first[i]);
}

static void inbox_is_one_in_any_spelling(void **state)
{
    struct box b = { 0 };

    (void)state;
    add(&b, "Inbox");
    add(&b, "INBOX");
    add(&b, "inbox/Work");
    map(&b);
    assert_null(target(&b, "Inbox"));
    assert_string_equal(target(&b, "INBOX"), "INBOX");
    assert_string_equal(target(&b, "inbox/Work"), "INBOX/Work");
    done(&b);
    /* alone, any spelling is it */
    add(&b, "Inbox");
    map(&b);
    assert_string_equal(target(&b, "Inbox"), "INBOX");
    done(&b);
    /* XLIST shows it by a name of the user's language; LIST adds INBOX */
    add_with(&b, "Posteingang", '/', IMAP_MAILBOX_INBOX);
    add(&b, "INBOX");
    map(&b);
    assert_null(target(&b, "Posteingang"));
    assert_string_equal(target(&b, "INBOX"), "INBOX");
    done(&b);
    /* within a namespace it is a folder of that name */
    add_with(&b, "INBOX.inbox", '.', 0);
    add_with(&b, "INBOX", '.', 0);
    map_with(&b, NULL, 0, (struct names_rules){ .target_delimiter = '/', .exchange = true, .source_prefix = "INBOX." });
    assert_string_equal(target(&b, "INBOX"), "INBOX");
    assert_string_equal(target(&b, "INBOX.inbox"), "INBOX/inbox");
    done(&b);
}

static void children_follow_their_parent_to_where_its_role_leads(void **state)
{
    static const struct names_target targets[] = {
        { (char *)"INBOX", '/', 0 },
        { (char *)"Gesendete Elemente", '/', 0 },
        { (char *)"Gel&APY-schte Elemente", '/', 0 },
        { (char *)"Kalender", '/', 0 },
    };
    struct box b = { 0 };

    (void)state;
    add(&b, "Sent");
    add(&b, "Sent/2019");
    add(&b, "Trash");
    add(&b, "Trash/old");
    add(&b, "Drafts");
    b.settings = settings_create();
    settings_list_add(&b.settings->policy.exclude_folders, SLICE("Trash"));
    map_with(&b, targets, 4, (struct names_rules){ .target_delimiter = '/', .exchange = true });
    assert_string_equal(target(&b, "Sent"), "Gesendete Elemente");
    assert_string_equal(target(&b, "Sent/2019"), "Gesendete Elemente/2019");
    /* also where the parent itself is not moved */
    assert_null(target(&b, "Trash"));
    assert_string_equal(target(&b, "Trash/old"), "Gelöschte Elemente/old");
    /* Exchange's own name where the mailbox shows none */
    assert_string_equal(target(&b, "Drafts"), "Drafts");
    assert_int_equal(b.clashes, 0);
    done(&b);
}

static void the_root_may_be_written_as_people_write_it(void **state)
{
    struct box b = { 0 };

    (void)state;
    add_with(&b, "users.J&APw-rgen", '.', 0);
    add_with(&b, "users.J&APw-rgen.Sent", '.', 0);
    add_with(&b, "users.Other", '.', 0);
    b.user.user_root = (char *)"/users/Jürgen";
    map(&b);
    assert_string_equal(target(&b, "users.J&APw-rgen"), "INBOX");
    assert_string_equal(target(&b, "users.J&APw-rgen.Sent"), "Sent Items");
    assert_null(target(&b, "users.Other"));
    done(&b);
}

/* The base64 within a raw name is not text: case is folded behind it, where the target has no case. */
static void names_that_are_one_to_the_target(void **state)
{
    static const struct {
        const char *a, *b;
        char delimiter;
        bool exchange, imap; /* one mailbox? */
    } pairs[] = {
        { "Work", "WORK", '/', true, false },
        { "B&APw-ro", "b&ANw-RO", '/', true, false },  /* Büro, bÜRO */
        { "B&APw-ro", "B&apW-ro", '/', false, false }, /* other letters altogether */
        { "Inbox", "INBOX", '/', true, true },
        { "inbox/Work", "INBOX/Work", '/', true, true },
        { "inbox/Work", "INBOX/work", '/', true, false },
        { "inboxes", "INBOXES", '/', true, false },
        { "inbox.a", "INBOX.a", '.', true, true },
        { "inbox.a", "INBOX.a", '/', true, false },
        { "A&-B", "a&-b", '/', true, false },
        { "Work", "Work", '/', true, true },
    };
    struct names_rules rules = { .target_prefix = "" };

    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        for (unsigned exchange = 0; exchange < 2; exchange++) {
            char *a, *b;

            rules.exchange = exchange;
            a = names_raw_key(slice_cstr(pairs[i].a), pairs[i].delimiter, &rules);
            b = names_raw_key(slice_cstr(pairs[i].b), pairs[i].delimiter, &rules);
            if ((strcmp(a, b) == 0) != (exchange ? pairs[i].exchange : pairs[i].imap))
                fail_msg("%s and %s, %s: %s and %s", pairs[i].a, pairs[i].b, exchange ? "exchange" : "imap", a, b);
            free(a);
            free(b);
        }
}

static void what_is_listed_twice_is_the_users_own_all_the_same(void **state)
{
    static const char *const raws[] = { "INBOX", "Inbox", "Junk", "Junk/", "Work", "Work", "Team/x" };
    enum { COUNT = sizeof raws / sizeof *raws };
    struct settings_list foreign = { 0 };
    struct box b = { 0 };
    unsigned selectable = 0;

    (void)state;
    settings_list_add(&foreign, SLICE("Team/"));
    for (size_t i = 0; i < COUNT; i++)
        add(&b, raws[i]);
    map_with(&b, NULL, 0, (struct names_rules){ .target_delimiter = '/', .source_foreign = &foreign });
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(b.rows[i].outside, i == COUNT - 1);
        selectable += b.rows[i].selectable;
    }
    assert_int_equal(selectable, 3);
    done(&b);
    settings_list_deinit(&foreign);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hundred_thousand_folders_side_by_side),
        cmocka_unit_test(a_hundred_thousand_names_that_are_one_to_exchange),
        cmocka_unit_test(a_hundred_thousand_children_of_parents_that_are_hidden),
        cmocka_unit_test(a_chain_as_deep_as_names_go),
        cmocka_unit_test(long_names_are_cut_and_stay_apart),
        cmocka_unit_test(a_path_too_long_for_the_target_gets_a_place_of_its_own),
        cmocka_unit_test(characters_that_the_target_cannot_hold_look_alike),
        cmocka_unit_test(what_exchange_keeps_is_never_a_target),
        cmocka_unit_test(the_order_of_rows_changes_nothing),
        cmocka_unit_test(inbox_is_one_in_any_spelling),
        cmocka_unit_test(children_follow_their_parent_to_where_its_role_leads),
        cmocka_unit_test(the_root_may_be_written_as_people_write_it),
        cmocka_unit_test(names_that_are_one_to_the_target),
        cmocka_unit_test(what_is_listed_twice_is_the_users_own_all_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
