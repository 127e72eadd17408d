/* test: folders */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/folders/names.h"
#include "engine/folders/names_match.h"
#include "engine/folders/names_parents.h"
#include "engine/folders/names_text.h"
#include "engine/folders/roles.h"
#include "io/base/mem.h"

#include <stdio.h>
#include <stdlib.h>

/* A mailbox for all patterns; the row's number is its place in a picture of what is matched. */
static const struct {
    const char *raw;
    unsigned attributes;
} mailbox[] = {
    { "INBOX", 0 },            /* 0 */
    { "INBOX/Bills", 0 },      /* 1 */
    { "INBOX/Bills/2019", 0 }, /* 2 */
    { "Gesendete Elemente", 0 },
    { "Gesendete Elemente/Alt", 0 }, /* 4 */
    { "Werbung", IMAP_MAILBOX_JUNK },
    { "Werbung/B&APw-cher", 0 }, /* 6 */
    { "Lists", 0 },
    { "Lists/&ANw-bung", 0 }, /* 8: Übung */
    { "Lists old", 0 },
    { "#Notes#", 0 }, /* 10 */
    { "Notes", 0 },
    { "Notes/a", 0 },    /* 12 */
    { "Stra&AN8-e", 0 }, /* Straße */
};
#define ROWS (sizeof mailbox / sizeof *mailbox)

/* "x" for an excluded row, "." for another. */
static void picture(const char *exclude, const char *include, char out[ROWS + 1])
{
    struct settings *settings = settings_create();
    struct settings_user user = { 0 };
    struct names_source rows[ROWS];
    struct names_rules rules = {
        .settings = settings, .user = &user, .source_prefix = "", .target_prefix = "", .target_delimiter = '/'
    };

    memset(rows, 0, sizeof rows);
    if (exclude)
        settings_list_add(&settings->policy.exclude_folders, slice_cstr(exclude));
    if (include)
        settings_list_add(&settings->policy.include_folders, slice_cstr(include));
    for (size_t i = 0; i < ROWS; i++) {
        rows[i].raw = mem_text(mailbox[i].raw);
        rows[i].delimiter = '/';
        rows[i].attributes = mailbox[i].attributes;
    }
    names_describe(rows, ROWS, &rules, NULL, NULL);
    for (size_t i = 0; i < ROWS; i++) {
        out[i] = rows[i].excluded ? 'x' : '.';
        names_source_deinit(&rows[i]);
    }
    out[ROWS] = '\0';
    settings_destroy(&settings);
}

static void each_form_of_a_pattern(void **state)
{
    static const struct {
        const char *pattern, *excluded;
    } rows[] = {
        /* a name: that folder alone */
        { "Lists", ".......x......" },
        { "Lists/Übung", "........x....." },
        { "Nowhere", ".............." },
        /* what is within */
        { "Lists/*", "........x....." },
        { "INBOX/*", ".xx..........." },
        { "Inbox/Bills/*", "..x..........." },
        /* wildcards */
        { "Lists*", ".......xxx...." },
        { "*i*s*", ".xx....xxx...." },
        { "*2019", "..x..........." },
        { "*", "xxxxxxxxxxxxxx" },
        { "**", "xxxxxxxxxxxxxx" },
        { "*/*", ".xx.x.x.x...x." },
        { "L*s/*g", "........x....." },
        /* roles, whatever the folder's name */
        { "#Inbox#", "x............." },
        { "#Inbox#/*", "xxx..........." },
        { "#SentItems#", "...x.........." },
        { "#sentitems#/*", "...xx........." },
        { "#JunkEmail#", ".....x........" },
        { "#JunkEmail#/*", ".....xx......." },
        { "#Trash#/*", ".............." },
        /* what is no mail at Exchange is known by its name */
        { "#Notes#", "...........x.." },
        { "#Notes#/*", "...........xx." },
        { "#Calendar#", ".............." },
        /* a real # in a name */
        { "\\#Notes#", "..........x..." },
        /* case does not count, in any alphabet */
        { "lists/ÜBUNG", "........x....." },
        { "STRASSE", ".............x" },
        { "strasse", ".............x" },
        { "gesendete ELEMENTE/*", "....x........." },
        /* decomposed letters are the same name */
        { "Lists/U\xCC\x88"
          "bung",
          "........x....." },
        { "werbung/bücher", "......x......." },
    };
    char seen[ROWS + 1];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        picture(rows[i].pattern, NULL, seen);
        if (strcmp(seen, rows[i].excluded) != 0)
            fail_msg("%s excludes %s, not %s", rows[i].pattern, seen, rows[i].excluded);
    }
}

static void including_leaves_all_others_behind(void **state)
{
    static const struct {
        const char *pattern, *excluded;
    } rows[] = {
        { "Lists", "xxxxxxx.xxxxxx" },
        /* who wants what is within a folder wants the folder */
        { "Lists/*", "xxxxxxx..xxxxx" },
        { "#Inbox#/*", "...xxxxxxxxxxx" },
        { "#SentItems#", "xxx.xxxxxxxxxx" },
        { "*", ".............." },
    };
    char seen[ROWS + 1];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        picture(NULL, rows[i].pattern, seen);
        if (strcmp(seen, rows[i].excluded) != 0)
            fail_msg("%s leaves %s, not %s", rows[i].pattern, seen, rows[i].excluded);
    }
    /* excluding wins */
    picture("Lists", "Lists/*", seen);
    assert_string_equal(seen, "xxxxxxxx.xxxxx");
}

static bool matches(const char *pattern, const char *name, uint64_t *steps)
{
    struct settings_list list = { 0 };
    struct names_patterns *patterns;
    bool match;

    settings_list_add(&list, slice_cstr(pattern));
    patterns = names_patterns_create(&list, false);
    match = names_patterns_match(patterns, slice_cstr(name), 0, 0, steps);
    names_patterns_destroy(&patterns);
    settings_list_deinit(&list);
    return match;
}

static void stars_in_every_place(void **state)
{
    static const struct {
        const char *pattern, *name;
        bool match;
    } rows[] = {
        { "a*a", "a", false },
        { "a*a", "aa", true },
        { "a*b*c", "abc", true },
        { "a*b*c", "acb", false },
        { "*ab", "aab", true },
        { "*ab*", "xxabyy", true },
        { "ab*", "ab", true },
        { "*ab*ab", "abab", true },
        { "*ab*ab", "ab", false },
        { "", "", true },
        { "", "a", false },
        { "*", "", true },
        { "a**b", "ab", true },
        { "ab*ba", "aba", false },
        { "*b", "", false },
        /* with the delimiter that a server puts at the end, and without */
        { "a/", "a", true },
        { "a", "a/", true },
        { "a/", "a/", true },
        { "a/", "a/b", false },
        { "a/*", "a", false },
        { "/", "", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (matches(rows[i].pattern, rows[i].name, NULL) != rows[i].match)
            fail_msg("%s against %s", rows[i].pattern, rows[i].name);
}

/* "*a*a*a...*b" against "aaa...a" costs a matcher that goes back at each star more than the age of
 * the world. Here the bytes looked at are counted. */
static void a_pattern_full_of_stars_costs_no_more_than_its_length(void **state)
{
    enum { STARS = 2000, LETTERS = 4000 };
    char pattern[STARS * 2 + 8], name[LETTERS + 1];
    uint64_t steps = 0;

    (void)state;
    for (size_t i = 0; i < STARS; i++)
        memcpy(pattern + 2 * i, "*a", 2);
    strcpy(pattern + STARS * 2, "*b");
    memset(name, 'a', LETTERS);
    name[LETTERS] = '\0';
    assert_false(matches(pattern, name, &steps));
    name[LETTERS - 1] = 'b';
    assert_true(matches(pattern, name, &steps));
    assert_true(steps <= 2 * (sizeof pattern + sizeof name));
}

static void an_unknown_role_is_a_fault_of_the_batch_file(void **state)
{
    static const struct {
        const char *pattern;
        bool fault;
    } rows[] = {
        { "#Junkmail#", true }, { "#Junkmail#/*", true }, { "#JunkEmail#", false },
        { "#Tasks#/*", false }, { "#1 hits", false },     { "#1# of all", false },
        { "\\#Mine#", false },  { "Plain", false },       { "##", true },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct settings_list list = { 0 };

        settings_list_add(&list, slice_cstr(rows[i].pattern));
        if ((names_pattern_fault(&list) != NULL) != rows[i].fault)
            fail_msg("%s", rows[i].pattern);
        settings_list_deinit(&list);
    }
}

static void roles_in_many_languages(void **state)
{
    static const struct {
        const char *name, *role;
    } rows[] = {
        { "Sent Items", "sent" },
        { "Gesendete Elemente", "sent" },
        { "Éléments envoyés", "sent" },
        { "Elementos enviados", "sent" },
        { "Posta inviata", "sent" },
        { "Verzonden items", "sent" },
        { "Elementy wysłane", "sent" },
        { "Отправленные", "sent" },
        { "送信済みアイテム", "sent" },
        { "보낸 편지함", "sent" },
        { "Gönderilmiş Öğeler", "sent" },
        { "Sendte elementer", "sent" },
        { "Απεσταλμένα", "sent" },
        { "العناصر المرسلة", "sent" },
        { "פריטים שנשלחו", "sent" },
        { "已发送邮件", "sent" },
        { "寄件備份", "sent" },
        { "Gelöschte Elemente", "trash" },
        { "Éléments supprimés", "trash" },
        { "Posta eliminata", "trash" },
        { "Elementy usunięte", "trash" },
        { "Elemente șterse", "trash" },
        { "削除済みアイテム", "trash" },
        { "Удаленные", "trash" },
        { "Entwürfe", "drafts" },
        { "Brouillons", "drafts" },
        { "Borradores", "drafts" },
        { "Bozze", "drafts" },
        { "Concepten", "drafts" },
        { "Wersje robocze", "drafts" },
        { "Черновики", "drafts" },
        { "下書き", "drafts" },
        { "Taslaklar", "drafts" },
        { "Junk-E-Mail", "junk" },
        { "Courrier indésirable", "junk" },
        { "Correo no deseado", "junk" },
        { "Posta indesiderata", "junk" },
        { "Ongewenste e-mail", "junk" },
        { "Wiadomości-śmieci", "junk" },
        { "Нежелательная почта", "junk" },
        { "迷惑メール", "junk" },
        { "정크 메일", "junk" },
        { "Önemsiz E-posta", "junk" },
        { "Lixo Eletrônico", "junk" },
        { "Archiv", "archive" },
        { "Архив", "archive" },
        { "[Gmail]/Alle Nachrichten", "all" },
        { "[Gmail]/Wichtig", "important" },
        { "[Google Mail]/Sent Mail", "sent" },
        { "[Gmail]/Corbeille", "trash" },
        /* somebody's own */
        { "Wichtig", "" },
        { "Important", "" },
        { "Concept", "" },
        { "Projects/Sent", "" },
        { "ＪＵＮＫ", "junk" }, /* full width */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(roles_find(0, rows[i].name), rows[i].role);
    /* an attribute comes before any name */
    assert_string_equal(roles_find(IMAP_MAILBOX_TRASH, "Sent Items"), "trash");
}

static void what_exchange_keeps_is_known_in_many_languages(void **state)
{
    static const struct {
        const char *name;
        enum role role;
    } rows[] = {
        { "Calendar", ROLE_CALENDAR },   { "Kalender", ROLE_CALENDAR },    { "Calendrier", ROLE_CALENDAR },
        { "calendario", ROLE_CALENDAR }, { "予定表", ROLE_CALENDAR },      { "Kontakte", ROLE_CONTACTS },
        { "Contactos", ROLE_CONTACTS },  { "Контакты", ROLE_CONTACTS },    { "Tâches", ROLE_TASKS },
        { "Aufgaben", ROLE_TASKS },      { "Notizen", ROLE_NOTES },        { "Notas", ROLE_NOTES },
        { "Postausgang", ROLE_OUTBOX },  { "BOÎTE D'ENVOI", ROLE_OUTBOX }, { "Journal", ROLE_JOURNAL },
        { "Files", ROLE_FILES },         { "Sync Issues", ROLE_KEPT },     { "Projects", ROLE_NONE },
        { "Sent Items", ROLE_NONE },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(roles_reserved(slice_cstr(rows[i].name)), rows[i].role);
}

/* A name in both tables would send mail into what is no mail, or rename a role's folder. */
static void no_name_has_two_meanings(void **state)
{
    (void)state;
    for (enum role role = 0; role <= ROLE_MAIL_LAST; role++)
        for (size_t k = 0; roles_words[role].names && roles_words[role].names[k]; k++) {
            const char *name = roles_words[role].names[k];

            if (roles_reserved(slice_cstr(name)) != ROLE_NONE)
                fail_msg("%s is both", name);
            if (role < ROLE_ALL && strcmp(roles_find(0, name), roles_words[role].word) != 0)
                fail_msg("%s is %s and %s", name, roles_words[role].word, roles_find(0, name));
        }
}

static void parents_that_are_not_listed(void **state)
{
    static const char *const listed[] = { "INBOX",   "A",    "B/",    "inbox/x/y", "A/b/c", "B/z",
                                          "/lead/x", "C//d", "Junk/", "P/q/r/",    "P/q/s" };
    static const char *const wanted[] = { "inbox/x", "A/b", "/lead", "C", "P", "P/q" };
    struct names_index all, asked;
    struct settings_list parents = { 0 };

    (void)state;
    names_index_init(&all);
    names_index_init(&asked);
    for (size_t i = 0; i < sizeof listed / sizeof *listed; i++)
        assert_true(names_index_add(&all, slice_cstr(listed[i]), i));
    for (size_t i = 0; i < sizeof listed / sizeof *listed; i++)
        assert_true(names_parents_missing(&all, slice_cstr(listed[i]), '/', &asked, 100, &parents));
    assert_int_equal(parents.count, sizeof wanted / sizeof *wanted);
    for (size_t i = 0; i < parents.count; i++)
        assert_string_equal(parents.items[i], wanted[i]);
    names_parents_missing(&all, SLICE("x/y"), '\0', &asked, 100, &parents);
    names_parents_missing(&all, SLICE("///"), '/', &asked, 100, &parents);
    names_parents_missing(&all, SLICE(""), '/', &asked, 100, &parents);
    assert_int_equal(parents.count, sizeof wanted / sizeof *wanted);
    settings_list_deinit(&parents);
    names_index_deinit(&asked);
    names_index_deinit(&all);
}

/* Names of any number of levels: no more is kept than may be asked for, and each level is looked at once. */
static void parents_without_end_are_not_kept(void **state)
{
    enum { LEVELS = 200 };
    char *name = malloc(2 * 130000 + 1);
    struct names_index all, asked;
    struct settings_list parents = { 0 };
    unsigned row = 0;
    bool more = true;

    (void)state;
    names_index_init(&all);
    names_index_init(&asked);
    for (; row < 2000 && more; row++) {
        int n = sprintf(name, "%u", row);

        for (unsigned i = 0; i < LEVELS; i++)
            memcpy(name + n + 2 * i, "/x", 2);
        more = names_parents_missing(&all, slice_of(name, (size_t)n + 2 * LEVELS), '/', &asked, 500, &parents);
    }
    assert_false(more);
    assert_int_equal(row, 3);
    assert_int_equal(parents.count, 500);
    assert_int_equal(asked.count, 500);
    assert_true(all.looks + asked.looks < 10 * 3 * LEVELS);
    settings_list_deinit(&parents);
    names_index_deinit(&asked);
    /* Below what was asked for already, or is a row, each further one costs no more than a look. */
    names_index_init(&asked);
    for (row = 0; row < 2000; row++) {
        int n = 1;

        name[0] = 'p';
        for (unsigned i = 0; i < LEVELS; i++)
            memcpy(name + n + 2 * i, "/x", 2);
        n += 2 * LEVELS;
        n += sprintf(name + n, "/%u", row);
        assert_true(names_parents_missing(&all, slice_of(name, (size_t)n), '/', &asked, 500, &parents));
    }
    assert_int_equal(parents.count, LEVELS + 1);
    assert_true(all.looks + asked.looks < 10 * (2000 + 4 * LEVELS));
    settings_list_deinit(&parents);
    names_index_deinit(&asked);
    /* One of 130,000 levels: those that a folder of the journal could have, and no more. */
    names_index_init(&asked);
    for (size_t i = 0; i < 130000; i++)
        memcpy(name + 2 * i, "y/", 2);
    memcpy(name + 2 * 130000 - 1, "z", 2);
    assert_true(names_parents_missing(&all, slice_cstr(name), '/', &asked, 100000, &parents));
    assert_int_equal(parents.count, 2000);
    for (size_t i = 0; i < parents.count; i++)
        assert_int_equal(strlen(parents.items[i]), 2 * i + 1);
    settings_list_deinit(&parents);
    names_index_deinit(&asked);
    names_index_deinit(&all);
    free(name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_form_of_a_pattern),
        cmocka_unit_test(including_leaves_all_others_behind),
        cmocka_unit_test(stars_in_every_place),
        cmocka_unit_test(a_pattern_full_of_stars_costs_no_more_than_its_length),
        cmocka_unit_test(an_unknown_role_is_a_fault_of_the_batch_file),
        cmocka_unit_test(roles_in_many_languages),
        cmocka_unit_test(what_exchange_keeps_is_known_in_many_languages),
        cmocka_unit_test(no_name_has_two_meanings),
        cmocka_unit_test(parents_that_are_not_listed),
        cmocka_unit_test(parents_without_end_are_not_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
