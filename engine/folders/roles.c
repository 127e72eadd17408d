#include "engine/folders/roles.h"

#include "io/base/mem.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <unicase.h>
#include <uninorm.h>

static const struct {
    unsigned attribute;
    enum role role;
} by_attribute[] = {
    { IMAP_MAILBOX_INBOX, ROLE_INBOX },
    { IMAP_MAILBOX_SENT, ROLE_SENT },
    { IMAP_MAILBOX_DRAFTS, ROLE_DRAFTS },
    { IMAP_MAILBOX_TRASH, ROLE_TRASH },
    { IMAP_MAILBOX_JUNK, ROLE_JUNK },
    { IMAP_MAILBOX_ARCHIVE, ROLE_ARCHIVE },
    { IMAP_MAILBOX_ALL, ROLE_ALL },
    { IMAP_MAILBOX_FLAGGED, ROLE_FLAGGED },
    { IMAP_MAILBOX_IMPORTANT, ROLE_IMPORTANT },
};

bool roles_by_attribute(unsigned attributes)
{
    for (unsigned i = 0; i < sizeof by_attribute / sizeof *by_attribute; i++)
        if (attributes & by_attribute[i].attribute)
            return true;
    return false;
}

/* Case and form folded; NFKC, because some servers write these names in full-width letters. */
static char *plain(struct slice name)
{
    size_t size = 0;
    uint8_t *out = u8_casefold((const uint8_t *)name.data, name.size, NULL, UNINORM_NFKC, NULL, &size);
    char *text;

    if (!out)
        return slice_dup(name);
    text = slice_dup(slice_of((const char *)out, size));
    free(out);
    return text;
}

/* The tables folded and sorted once: thousands of mailboxes are looked up in them. */
struct known {
    char *name;
    enum role role;
    unsigned rank;
};
struct table {
    struct known *all;
    size_t count;
};
static struct table mail, kept;
static pthread_once_t made = PTHREAD_ONCE_INIT;

static int known_order(const void *a, const void *b)
{
    const struct known *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    return order ? order : (x->rank > y->rank) - (x->rank < y->rank);
}

static void add_words(struct table *t, enum role role)
{
    for (unsigned k = 0; roles_words[role].names && roles_words[role].names[k]; k++) {
        t->all = mem_resize(t->all, t->count + 1, sizeof *t->all);
        t->all[t->count++] = (struct known){ plain(slice_cstr(roles_words[role].names[k])), role, k };
    }
}

static void make(void)
{
    for (enum role role = 0; role < ROLES_COUNT; role++)
        add_words(role <= ROLE_MAIL_LAST ? &mail : &kept, role);
    qsort(mail.all, mail.count, sizeof *mail.all, known_order);
    qsort(kept.all, kept.count, sizeof *kept.all, known_order);
}

static int name_order(const void *key, const void *row)
{
    return strcmp(key, ((const struct known *)row)->name);
}

static const struct known *look_in(const struct table *t, struct slice name)
{
    const struct known *found;
    char *folded;

    pthread_once(&made, make);
    folded = plain(name);
    found = bsearch(folded, t->all, t->count, sizeof *t->all, name_order);
    free(folded);
    return found;
}

/* Gmail keeps its own folders below one that cannot be opened; its name depends on the country. */
static const char *gmail_part(const char *name)
{
    static const char *const parents[] = { "[Gmail]/", "[Google Mail]/" };

    for (unsigned i = 0; i < sizeof parents / sizeof *parents; i++)
        if (slice_starts_nocase(slice_cstr(name), slice_cstr(parents[i])))
            return name + strlen(parents[i]);
    return NULL;
}

static const struct known *look_up(const char *name)
{
    const char *own = gmail_part(name);
    const struct known *found;

    /* Only top-level names: "Projects/Sent" is somebody's own. */
    if (strchr(own ? own : name, '/'))
        return NULL;
    found = look_in(&mail, slice_cstr(own ? own : name));
    /* "Important" and "Starred" are the server's own views only there. */
    if (found && !own && found->role >= ROLE_ALL)
        return NULL;
    return found;
}

const char *roles_find(unsigned attributes, const char *name)
{
    const struct known *found;

    if (slice_equal_nocase(slice_cstr(name), SLICE("INBOX")))
        return "inbox";
    for (unsigned i = 0; i < sizeof by_attribute / sizeof *by_attribute; i++)
        if (attributes & by_attribute[i].attribute)
            return roles_words[by_attribute[i].role].word;
    found = look_up(name);
    return found ? roles_words[found->role].word : "";
}

unsigned roles_rank(const char *name)
{
    const struct known *found = look_up(name);

    return found ? found->rank : UINT_MAX;
}

enum role roles_of_word(const char *word)
{
    for (enum role role = 0; role < ROLES_COUNT; role++)
        if (strcmp(roles_words[role].word, word) == 0)
            return role;
    return ROLE_NONE;
}

enum role roles_of_well_known(struct slice word)
{
    static const struct {
        const char *word;
        enum role role;
    } words[] = {
        { "Inbox", ROLE_INBOX },        { "SentItems", ROLE_SENT },      { "Drafts", ROLE_DRAFTS },
        { "DeletedItems", ROLE_TRASH }, { "JunkEmail", ROLE_JUNK },      { "Archive", ROLE_ARCHIVE },
        { "AllItems", ROLE_ALL },       { "Trash", ROLE_TRASH },         { "Sent", ROLE_SENT },
        { "Junk", ROLE_JUNK },          { "Spam", ROLE_JUNK },           { "All", ROLE_ALL },
        { "Flagged", ROLE_FLAGGED },    { "Important", ROLE_IMPORTANT }, { "Calendar", ROLE_CALENDAR },
        { "Contacts", ROLE_CONTACTS },  { "Journal", ROLE_JOURNAL },     { "Notes", ROLE_NOTES },
        { "Tasks", ROLE_TASKS },        { "Outbox", ROLE_OUTBOX },
    };

    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        if (slice_equal_nocase(word, slice_cstr(words[i].word)))
            return words[i].role;
    return ROLE_NONE;
}

const char *roles_exchange_name(enum role role)
{
    switch (role) {
    case ROLE_SENT:
        return "Sent Items";
    case ROLE_DRAFTS:
        return "Drafts";
    case ROLE_TRASH:
        return "Deleted Items";
    case ROLE_JUNK:
        return "Junk Email";
    case ROLE_ARCHIVE:
        return "Archive";
    default:
        return NULL;
    }
}

enum role roles_reserved(struct slice name)
{
    const struct known *found = look_in(&kept, name);

    return found ? found->role : ROLE_NONE;
}
