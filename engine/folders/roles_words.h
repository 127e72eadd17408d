/* The names that servers, clients and Exchange give folders with a meaning, in many languages: what
 * roles looks up. Data only: what Exchange, Outlook, Thunderbird, Apple Mail, Gmail, Yahoo and Zimbra
 * write. Behind ROLE_MAIL_LAST is what Exchange fills with something else than mail, or keeps for
 * itself.
 */
#ifndef ENGINE_FOLDERS_ROLES_WORDS_H
#define ENGINE_FOLDERS_ROLES_WORDS_H

enum role {
    ROLE_INBOX,
    ROLE_SENT,
    ROLE_DRAFTS,
    ROLE_TRASH,
    ROLE_JUNK,
    ROLE_ARCHIVE,
    ROLE_ALL,
    ROLE_FLAGGED,
    ROLE_IMPORTANT,
    ROLE_MAIL_LAST = ROLE_IMPORTANT,
    ROLE_CALENDAR,
    ROLE_CONTACTS,
    ROLE_JOURNAL,
    ROLE_NOTES,
    ROLE_TASKS,
    ROLE_OUTBOX,
    ROLE_FILES,
    ROLE_KEPT,
    ROLES_COUNT,
    ROLE_NONE = ROLES_COUNT
};

/* names end with NULL; in a list the earlier name has the better claim when a mailbox holds
 * several. */
struct roles_words {
    const char *word;
    const char *const *names;
};
extern const struct roles_words roles_words[ROLES_COUNT];

#endif
