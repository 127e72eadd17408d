/* test: folders */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/folders/names.h"
#include "engine/folders/roles.h"
#include "io/base/mem.h"

#include <stdlib.h>

struct told {
    unsigned count;
    char types[32][40];
    size_t index[32];
};

static void tell(void *context, size_t index, const char *type, const char *text, const char *remedy)
{
    struct told *t = context;

    assert_true(text[0] && remedy[0]);
    if (t->count < 32) {
        strcpy(t->types[t->count], type);
        t->index[t->count++] = index;
    }
}

static bool was_told(const struct told *t, size_t index, const char *type)
{
    for (unsigned i = 0; i < t->count; i++)
        if (t->index[i] == index && strcmp(t->types[i], type) == 0)
            return true;
    return false;
}

struct in {
    const char *raw;
    char delimiter;
    unsigned attributes;
    const char *name, *role, *target; /* expected; target NULL: none */
};

static void run(const struct in *in, size_t count, const struct names_target *targets, size_t target_count,
                struct names_rules *rules, struct told *told)
{
    struct names_source *rows = mem_zero(count, sizeof *rows);
    struct settings *settings = rules->settings ? NULL : settings_create();
    struct settings_user user = { 0 };

    if (settings)
        rules->settings = settings;
    if (!rules->user)
        rules->user = &user;
    for (size_t i = 0; i < count; i++) {
        rows[i].raw = mem_text(in[i].raw);
        rows[i].delimiter = in[i].delimiter;
        rows[i].attributes = in[i].attributes;
    }
    *told = (struct told){ 0 };
    names_describe(rows, count, rules, tell, told);
    names_map(rows, count, targets, target_count, rules, tell, told);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(rows[i].name, in[i].name);
        assert_string_equal(rows[i].role, in[i].role);
        if (in[i].target)
            assert_string_equal(rows[i].target_raw, in[i].target);
        else
            assert_null(rows[i].target_raw);
        names_source_deinit(&rows[i]);
    }
    free(rows);
    if (settings) {
        settings_destroy(&settings);
        rules->settings = NULL;
    }
    if (rules->user == &user)
        rules->user = NULL;
}

static void prefixes_and_delimiters_of_both_sides(void **state)
{
    static const struct in in[] = {
        { "INBOX", '.', 0, "INBOX", "inbox", "INBOX" },
        { "INBOX.Sent", '.', IMAP_MAILBOX_SENT, "Sent", "sent", "Sent Items" },
        { "INBOX.Sent.2019", '.', 0, "Sent/2019", "", "Sent Items/2019" },
        { "INBOX.Projects", '.', 0, "Projects", "", "Projects" },
        { "INBOX.Projects.a/b", '.', 0, "Projects/a∕b", "", "Projects/a&IhU-b" },
        { "INBOX.Entw&APw-rfe", '.', 0, "Entwürfe", "drafts", "Drafts" },
    };
    static const struct names_target targets[] = {
        { (char *)"INBOX", '/', 0 },
        { (char *)"Sent Items", '/', IMAP_MAILBOX_SENT },
        { (char *)"Drafts", '/', 0 },
    };
    struct names_rules rules = { .source_prefix = "INBOX.", .target_prefix = "", .target_delimiter = '/' };
    struct told told;

    (void)state;
    run(in, sizeof in / sizeof *in, targets, 3, &rules, &told);
}

static void nothing_outside_the_users_root_is_moved(void **state)
{
    static const struct in courier[] = {
        { "INBOX", '/', 0, "INBOX", "", NULL },
        { "users", '/', 0, "users", "", NULL },
        { "users/terry.adams", '/', 0, "INBOX", "inbox", "INBOX" },
        { "users/terry.adams/Sent", '/', 0, "Sent", "sent", "Sent Items" },
        { "users/terry.adams2", '/', 0, "users/terry.adams2", "", NULL },
        { "users/anna/Sent", '/', 0, "users/anna/Sent", "", NULL },
    };
    static const struct in cyrus[] = {
        { "user.anna", '.', 0, "INBOX", "inbox", "INBOX" },
        { "user.anna.Archive.2019", '.', 0, "Archive/2019", "", "Archive/2019" },
        { "user.annabel", '.', 0, "user/annabel", "", NULL },
        { "user.ben.Archive", '.', 0, "user/ben/Archive", "", NULL },
    };
    static const struct names_target targets[] = {
        { (char *)"INBOX", '/', 0 },
        { (char *)"Sent Items", '/', IMAP_MAILBOX_SENT },
    };
    struct settings_user terry = { .user_root = (char *)"/users/terry.adams" };
    struct settings_user anna = { .user_root = (char *)"user/anna/" };
    struct names_rules rules = { .source_prefix = "", .target_prefix = "", .target_delimiter = '/' };
    struct told told;

    (void)state;
    rules.user = &terry;
    run(courier, sizeof courier / sizeof *courier, targets, 2, &rules, &told);
    rules.user = &anna;
    rules.settings = NULL;
    run(cyrus, sizeof cyrus / sizeof *cyrus, targets, 2, &rules, &told);
}

static void the_namespaces_of_others_are_left_alone(void **state)
{
    static const struct in in[] = {
        { "INBOX", '.', 0, "INBOX", "inbox", "INBOX" },
        { "Shared", '.', 0, "Shared", "", NULL },
        { "Shared.Sales", '.', 0, "Shared/Sales", "", NULL },
        { "SharedByMe", '.', 0, "SharedByMe", "", "SharedByMe" },
        { "user.ben.Sent", '.', 0, "user/ben/Sent", "", NULL },
    };
    char *prefixes[] = { (char *)"Shared.", (char *)"user." };
    const struct settings_list foreign = { prefixes, 2 };
    struct names_rules rules = {
        .source_prefix = "", .target_prefix = "", .target_delimiter = '/', .source_foreign = &foreign
    };
    struct told told;

    (void)state;
    run(in, sizeof in / sizeof *in, NULL, 0, &rules, &told);
}

static void a_target_with_a_prefix_of_its_own(void **state)
{
    static const struct in in[] = {
        { "INBOX", '/', 0, "INBOX", "inbox", "INBOX" },
        { "Work/v1.2", '/', 0, "Work/v1.2", "", "INBOX.Work.v1&ICQ-2" },
        { "Work", '/', 0, "Work", "", "INBOX.Work" },
    };
    struct names_rules rules = { .source_prefix = "", .target_prefix = "INBOX.", .target_delimiter = '.' };
    struct told told;

    (void)state;
    run(in, sizeof in / sizeof *in, NULL, 0, &rules, &told);
    assert_true(was_told(&told, 1, "FolderRenamed"));
    assert_false(was_told(&told, 2, "FolderRenamed"));
}

static void two_names_never_become_one(void **state)
{
    static const struct in in[] = {
        { "Archive", '/', 0, "Archive", "archive", "Archive" },
        { "archive", '/', 0, "archive", "", "archive (2)" },
        { "Files", '/', 0, "Files", "", "Files (IMAP)" },
        { "Calendar", '/', 0, "Calendar", "", "Calendar (IMAP)" },
        { "Calendar/Old", '/', 0, "Calendar/Old", "", "Calendar (IMAP)/Old" },
        { " spaced ", '/', 0, " spaced ", "", "spaced" },
        { "spaced", '/', 0, "spaced", "", "spaced (2)" },
        { "Work/Files", '/', 0, "Work/Files", "", "Work/Files" },
    };
    struct names_rules rules = { .source_prefix = "", .target_prefix = "", .target_delimiter = '/', .exchange = true };
    struct told told;

    (void)state;
    run(in, sizeof in / sizeof *in, NULL, 0, &rules, &told);
    assert_true(was_told(&told, 1, "FolderNameClash"));
    assert_true(was_told(&told, 2, "ReservedName"));
    assert_true(was_told(&told, 7, "MultipleRoots"));
}

/* A target without levels writes a/b as a-b, and a folder of that name may be there. */
static void where_there_are_no_levels_no_two_become_one(void **state)
{
    static const struct in in[] = {
        { "a/b", '/', 0, "a/b", "", "a-b (2)" },       { "a-b", '/', 0, "a-b", "", "a-b" },
        { "a/b/c", '/', 0, "a/b/c", "", "a-b (2)-c" }, { "a/b-c", '/', 0, "a/b-c", "", "a-b-c (2)" },
        { "a-b/c", '/', 0, "a-b/c", "", "a-b-c" },
    };
    struct names_rules rules = { .source_prefix = "", .target_prefix = "", .target_delimiter = '\0' };
    struct told told;

    (void)state;
    run(in, sizeof in / sizeof *in, NULL, 0, &rules, &told);
    assert_true(was_told(&told, 0, "FolderNameClash"));
}

/* Two namespaces may write one path in two ways. Whichever LIST shows first, what lies below goes to the same place. */
static void the_order_of_list_decides_nothing(void **state)
{
    static const struct in first[] = {
        { "p.q", '.', 0, "p/q", "", "p/q" },
        { "p/q", '/', 0, "p/q", "", "p/q (2)" },
        { "p/q/c", '/', 0, "p/q/c", "", "p/q/c" },
    };
    static const struct in second[] = {
        { "p/q/c", '/', 0, "p/q/c", "", "p/q/c" },
        { "p/q", '/', 0, "p/q", "", "p/q (2)" },
        { "p.q", '.', 0, "p/q", "", "p/q" },
    };
    struct names_rules rules = { .source_prefix = "", .target_prefix = "", .target_delimiter = '/' };
    struct told told;

    (void)state;
    run(first, 3, NULL, 0, &rules, &told);
    run(second, 3, NULL, 0, &rules, &told);
}

static void on_a_case_sensitive_target_both_keep_their_names(void **state)
{
    static const struct in in[] = {
        { "Stuff", '/', 0, "Stuff", "", "Stuff" },
        { "stuff", '/', 0, "stuff", "", "stuff" },
        { "Junk/", '/', 0, "Junk", "junk", "Junk" },
        { "/", '/', IMAP_MAILBOX_NOSELECT, "", "", NULL },
        { "flat/name", '\0', 0, "flat∕name", "", "flat&IhU-name" },
        { "shown", '/', IMAP_MAILBOX_NOSELECT, "shown", "", NULL },
    };
    struct names_rules rules = { .source_prefix = "", .target_prefix = "", .target_delimiter = '/' };
    struct told told;

    (void)state;
    run(in, sizeof in / sizeof *in, NULL, 0, &rules, &told);
}

static void the_users_word_comes_first(void **state)
{
    static const struct in in[] = {
        { "Sent Messages", '/', 0, "Sent Messages", "sent", "Old/Sent" },
        { "Sent Messages/2018", '/', 0, "Sent Messages/2018", "", "Old/Sent/2018" },
        { "Trash", '/', 0, "Trash", "trash", NULL },
        { "Spam", '/', 0, "Spam", "junk", NULL },
        { "Keep", '/', 0, "Keep", "", "Keep" },
        { "Lists/a", '/', 0, "Lists/a", "", NULL },
        { "Lists", '/', 0, "Lists", "", "Lists" },
    };
    struct settings *settings = settings_create();
    struct names_rules rules = {
        .settings = settings, .source_prefix = "", .target_prefix = "", .target_delimiter = '/'
    };
    struct told told;

    (void)state;
    settings->folders = mem_zero(1, sizeof *settings->folders);
    settings->folders[0].source = mem_text("sent messages");
    settings->folders[0].target = mem_text("Old/Sent");
    settings->folder_count = 1;
    settings_list_add(&settings->policy.exclude_folders, SLICE("trash"));
    settings_list_add(&settings->policy.exclude_folders, SLICE("#JunkEmail#"));
    settings_list_add(&settings->policy.exclude_folders, SLICE("Lists/*"));
    run(in, sizeof in / sizeof *in, NULL, 0, &rules, &told);
    settings_destroy(&settings);
}

static void all_mail_of_gmail_is_the_archive(void **state)
{
    static const struct in in[] = {
        { "INBOX", '/', 0, "INBOX", "inbox", "INBOX" },
        { "[Gmail]/All Mail", '/', IMAP_MAILBOX_ALL, "[Gmail]/All Mail", "all", "Archive" },
        { "[Gmail]/Sent Mail", '/', IMAP_MAILBOX_SENT, "[Gmail]/Sent Mail", "sent", "Sent Items" },
    };
    static const struct in with_archive[] = {
        { "Archive", '/', 0, "Archive", "archive", "Archive" },
        { "[Gmail]/Alle", '/', IMAP_MAILBOX_ALL, "[Gmail]/Alle", "all", "[Gmail]/Alle" },
    };
    static const struct in no_gmail[] = {
        { "virtual/All", '/', IMAP_MAILBOX_ALL, "virtual/All", "all", "virtual/All" },
    };
    static const struct names_target targets[] = {
        { (char *)"INBOX", '/', 0 },
        { (char *)"Sent Items", '/', IMAP_MAILBOX_SENT },
        { (char *)"Archive", '/', IMAP_MAILBOX_ARCHIVE },
    };
    struct names_rules rules = { .source_prefix = "", .target_prefix = "", .target_delimiter = '/' };
    struct told told;

    (void)state;
    run(in, 3, targets, 3, &rules, &told);
    run(in, 3, targets, 2, &rules, &told); /* a target without one gets it */
    run(with_archive, 2, targets, 3, &rules, &told);
    run(no_gmail, 1, targets, 3, &rules, &told);
}

static void roles_by_attribute_then_by_name(void **state)
{
    static const struct {
        unsigned attributes;
        const char *name, *role;
    } rows[] = {
        { IMAP_MAILBOX_SENT, "Whatever", "sent" },
        { 0, "gesendete elemente", "sent" },
        { 0, "Éléments supprimés", "trash" },
        { 0, "送信済みアイテム", "sent" },
        { 0, "Черновики", "drafts" },
        { 0, "JUNK E-MAIL", "junk" },
        { 0, "Projects", "" },
        { 0, "Projects/Sent", "" },
        { 0, "inbox", "inbox" },
        { IMAP_MAILBOX_ALL, "All Mail", "all" },
        /* decomposed accents are the same name */
        { 0, "E\xCC\x81le\xCC\x81ments envoye\xCC\x81s", "sent" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(roles_find(rows[i].attributes, rows[i].name), rows[i].role);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefixes_and_delimiters_of_both_sides),
        cmocka_unit_test(nothing_outside_the_users_root_is_moved),
        cmocka_unit_test(the_namespaces_of_others_are_left_alone),
        cmocka_unit_test(a_target_with_a_prefix_of_its_own),
        cmocka_unit_test(two_names_never_become_one),
        cmocka_unit_test(where_there_are_no_levels_no_two_become_one),
        cmocka_unit_test(the_order_of_list_decides_nothing),
        cmocka_unit_test(on_a_case_sensitive_target_both_keep_their_names),
        cmocka_unit_test(the_users_word_comes_first),
        cmocka_unit_test(all_mail_of_gmail_is_the_archive),
        cmocka_unit_test(roles_by_attribute_then_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
