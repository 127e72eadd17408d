#include "engine/failure/advice.h"

#include <assert.h>
#include <stdio.h>

#define PLACE "{mailbox}"

/* Remedies speak to the administrator who runs the migration; they and their command must fit the
 * 255 bytes that the journal keeps (a test counts). exchange-online.md 2, 3.4; imap-quirks.md C. */
/* clang-format off */
static const struct advice rows[] = {
    /* Getting in. */
    { "LoginFailed", "The server refused the user name or the password.",
      "Check the login and password in users.csv (or the administrator's and login-form), then run "
      "`retry`. Nothing is tried twice, so that no account gets locked.", NULL, false },
    { "LoginUnavailable", "The server could not check the login for now.",
      "The password may well be right: run again later. What the server asks for it (directory, database) is out of "
      "order; its administrator finds the reason in its log.", NULL, true },
    { "AppPasswordRequired", "The account takes an app password or OAuth only; the normal password "
      "is never accepted.",
      "Make an app password for the account (Google, Yahoo, iCloud, Zoho, Fastmail) or configure "
      "OAuth, put it into users.csv and run `retry`.", NULL, false },
    { "AccountLocked", "The server has locked or paused logins for this account.",
      "Wait until the lock ends (often 30 minutes) or have the server's administrator lift it, then "
      "run `retry`. Use fewer connections if it comes back.", NULL, true },
    { "WebLoginRequired", "The server wants a person to log in by web browser first.",
      "Log in to the account's webmail once, confirm what it asks, then run `retry`.", NULL, false },
    { "ImapDisabled", "The account exists, but IMAP is switched off for it.",
      "Switch IMAP on for this mailbox, wait up to an hour, run `retry`. Exchange:",
      "Set-CASMailbox {mailbox} -ImapEnabled $true", false },
    { "ConnectFailed", "No connection to the server came about.",
      "Check host name, port and firewall; when the server was only down or too busy to answer, run "
      "again.", NULL, true },
    { "TlsFailed", "The encrypted connection failed: certificate, name or TLS version.",
      "By its words: mend the url (imaps:// or imap://), renew the certificate, name its CA with tls-ca, or itself with "
      "tls-fingerprint once the server's administrator read it to you; for an old server tls-min or "
      "tls-security-level.", NULL, false },
    { "PrivacyRequired", "The server takes passwords over TLS only.",
      "Use imaps:// or imap:// with STARTTLS in the batch file's url.", NULL, false },
    { "ConnectionLimit", "The server allows no more connections for this account or address.",
      "Nothing to do: fewer are used from then on. To go faster, lower connections-per-user or have "
      "the limit raised (Dovecot: mail_max_userip_connections).", NULL, true },
    { "DailyLimit", "What this user may move in a day (bytes-per-day) is used up.",
      "Nothing to do: run again from the time named, and it goes on.", NULL, true },
    { "SourceThrottled", "The source asked to slow down (rate or daily volume).",
      "Nothing to do: the wait it named is kept. With a daily quota set bytes-per-day (Gmail: "
      "2500MB) and run again the next day.", NULL, true },
    { "TokenFailed", "Microsoft or Google issued no access token.",
      "Look up the AADSTS number in the server's words: wrong or expired secret, missing admin "
      "consent, wrong tenant. `mailhaul check --target` shows which.", NULL, false },
    { "PermissionMissing", "The application may not open this mailbox, or IMAP is off for it.",
      "Grant it, or switch IMAP on with Set-CASMailbox; `check --target --user` writes both lines; "
      "wait an hour, then `retry`:",
      "Add-MailboxPermission {mailbox} -User <ObjectId> -AccessRights FullAccess",
      false },
    { "MaildirUnreadable", "The Maildir tree of this user, or a folder of it, is not there or cannot be read.",
      "Compare the path in the failure with the disk: UserName in users.csv, the path in url, and the rights of the user "
      "that runs mailhaul; then run `retry`.", NULL, false },
    { "MboxUnreadable", "The mbox files of this user, or one of them, are not there or cannot be read.",
      "Compare the path in the failure with the disk: UserName in users.csv, the path in url, and the rights of the user "
      "that runs mailhaul; a file that is no mbox belongs elsewhere, or into exclude-folders; then run `retry`.", NULL, false },
    { "MailboxNotFound", "The target has no mailbox of this address.",
      "Create it or give it a licence, or correct EmailAddress in users.csv. Look with:",
      "Get-Mailbox {mailbox}", false },

    /* Folders of the source. */
    { "InvalidMailboxName", "A server refuses a folder by its name.",
      "Rename the folder on the source, map it in [folders], or name it in exclude-folders; the "
      "other folders were copied.", NULL, false },
    { "OpenedForWriting", "The source does not give the folder as it is where it is opened read-only.",
      "Nothing to do: it was opened for writing, and nothing was written.", NULL, false },
    { "TrailingDelimiter", "The server lists the folder with a delimiter at its end.",
      "It is opened without it. If that fails too, rename the folder on the source or name it in "
      "exclude-folders.", NULL, true },
    { "MultipleRoots", "The folder tree has several roots: parents are hidden or not listed.",
      "The missing parents are made on the target. Mail inside a hidden parent cannot be seen by "
      "IMAP: ask the source's administrator for the right to it.", NULL, true },
    { "FolderNameClash", "Two source folders would have the same name on the target, which ignores "
      "case.",
      "One got a suffix; or, where the target said so only when it was made, is not copied: rename it "
      "at the source or the other one on the target, and run `retry`.",
      NULL, true },
    { "ReservedName", "Exchange keeps this folder name for itself.",
      "The folder got a suffix on the target; its messages are complete. Choose another name in "
      "[folders] if you like.", NULL, true },
    { "FolderRenamed", "The folder has another name on the target.",
      "Nothing to do; tell the user, or choose the name in [folders] before the first run.", NULL,
      true },
    { "NotSelectable", "The folder only holds subfolders and cannot be opened.",
      "Nothing to do: it is made on the target so that its subfolders have a place.", NULL, true },
    { "FolderGone", "The folder was deleted or renamed while it was being copied.",
      "Run again: the folder list is read anew.", NULL, true },
    { "UidValidityChanged", "The source gave the folder new message numbers.",
      "Nothing to do: the folder is read anew, and what the target already holds is recognised "
      "there.", NULL, true },
    { "TargetUidsWrong", "The target names wrong numbers for the messages that it stored.",
      "Nothing to do: messages are known again by their headers instead.", NULL, true },
    { "TargetDatesOwn", "The target gives messages dates of its own.",
      "Nothing to do: messages are known again by their Message-ID and size instead. Mail programs may sort "
      "moved mail by the day it was moved.", NULL, true },
    { "HiddenMessages", "The source lists fewer messages than it says the folder holds.",
      "Run again later; if it stays, look at the folder in the source's webmail: it may be copied "
      "incompletely.", NULL, true },
    { "MayBeIncomplete", "The source shows a number of messages that is a limit of some servers.",
      "Compare with the count in the source's webmail. Gmail: the user's setting \"folder size limits\". Yahoo "
      "and AOL: their servers show the newest 10,000 where they do not let UIDONLY be turned on.", NULL, true },
    { "KeywordsDropped", "Some keywords of messages are not copied.",
      "Nothing to do: they are no words that IMAP allows as keywords, or too many on one message. The messages "
      "are copied with all else.", NULL, true },
    { "FlagsNotKept", "The target does not keep some flags of messages.",
      "Nothing to do: its mailboxes have no place for such a flag. The messages are copied with all else.", NULL, true },
    { "ChangedOnTarget", "Messages whose flags changed at the source had been changed on the target, too.",
      "Nothing to do: who uses the target decides. What changed only at the source was followed.", NULL, true },
    { "DeletedAtSource", "Messages that were copied were deleted at the source since; they stay on the target.",
      "Nothing to do. With follow-deletions = yes they are moved into the target's folder of deleted items.", NULL, true },
    { "DeletionsFollowed", "Messages that were copied were deleted at the source since, and moved to the target's deleted items.",
      "Nothing to do. What is wanted back is in the target's folder of deleted items; the report lists it as skipped "
      "(DeletedAtSource).", NULL, true },
    { "DeletionsHeld", "Messages that were copied were deleted at the source since, and nothing was removed on the target.",
      "See the reason. So many that it may be a fault of the source: look there, and when it is right, `run "
      "--accept-deletions USER`.", NULL, true },
    { "SelectFailed", "The server refuses to open the folder.",
      "Open it in webmail to see whether it works there; then run `retry`. The other folders were "
      "copied.", NULL, true },
    { "ServerBug", "The source reports an internal error of its own.",
      "Forward the server's words and time to its administrator (Dovecot: doveadm force-resync -u "
      "USER FOLDER often repairs it), then run `retry`.", NULL, true },

    { "FolderListIncomplete", "The source does not list all of the user's folders.",
      "Look at the named folder in webmail: a share or link to what is gone is best removed there; "
      "then run again. All folders that were listed are copied.", NULL, true },

    { "ListTooLarge", "A server's lists take more memory than memory-max leaves for lists.",
      "So many folders or messages are hardly real: look at the mailbox. If they are, raise memory-max in the batch "
      "file and run again. The other users and folders were copied.", NULL, true },

    /* Messages of the source. */
    { "ParseError", "The source's answer breaks the IMAP rules at this message or folder.",
      "Open the message in webmail, move or forward it, then run `retry`. All other messages were "
      "copied.", NULL, true },
    { "TruncatedMessage", "The source sent less of the message than it announced.",
      "Run `retry`; if it stays, open the message in webmail and forward or move it.", NULL, true },
    { "WrongMessage", "The source gives the body of another message under this one's number.",
      "Open the message in webmail, move it to another folder, then run `retry`. Run `verify`: the server "
      "mixes messages up, and one of the same size is not noticed while it moves.", NULL, true },
    { "MessageUnreadable", "The source refuses this message in every form of asking, or sends a "
      "text of its own in its place.",
      "Its mail store is damaged there: open the message in webmail; have the folder repaired "
      "(reconstruct, force-resync), then run `retry`.", NULL, true },
    { "MessageVanished", "The message was deleted at the source before it was fetched.",
      "Nothing to do: it was deleted by its owner or a filter.", NULL, true },
    { "TooManyLargeItems", "More messages than large-item-limit are over the size limit.",
      "Raise max-message-size (up to 150MB) or large-item-limit and run `retry`. Exchange:",
      "Set-Mailbox {mailbox} -MaxReceiveSize 150MB -MaxSendSize 150MB", false },
    { "TooManyBadItems", "More messages than bad-item-limit could not be read or were refused.",
      "Look at this user's other failures; repair the source, or raise bad-item-limit, then run "
      "`retry`.", NULL, false },
    { "TooManyTransientFailures", "The same passing fault came too often in a row.",
      "See the fault before it in the list: a server that is down or overloaded. Run `retry` when it "
      "is well, with fewer connections.", NULL, true },

    /* The target. */
    { "TargetThrottled", "Exchange asked to slow down.",
      "Nothing to do: the wait it named is kept and no message is lost. Many of these only mean that "
      "the migration goes at the speed the tenant allows.", NULL, true },
    { "TargetUnavailable", "The target was not reachable, broke off or could not do it for now.",
      "Run again. When a single mailbox stays so (`Server Unavailable. 15`), it is probably full:",
      "Get-MailboxStatistics {mailbox} | fl TotalItemSize,StorageLimitStatus", true },
    { "TargetCountDiffers", "The target holds fewer messages than it acknowledged.",
      "Run `verify --user` to see which are missing (a rule, a retention policy or a person may have "
      "removed them). `retry` moves those again; `retry --accept-counts USER` takes it as it is.", NULL, false },
    { "MovedAgain", "Messages that had been moved were not on the target any more.",
      "Nothing to do: `retry` looked for each, and moved again what was not there.", NULL, true },

    { "MailboxHeld", "Another run that shares the ledger is moving this mailbox.",
      "A user belongs to one batch at a time. Run again when the other run has ended, or take the user out of one of "
      "the two batches.", NULL, true },

    /* Doubts: nothing failed, and not everything could be proved. */
    { "TargetNotCounted", "The target could not be asked what it holds in the end.",
      "Everything was acknowledged, but the proof is missing: open the folder in the target's "
      "webmail, then run again.", NULL, true },
    { "TargetHoldsLess", "The target holds fewer messages than were moved there.",
      "Run `verify --user` to see which are missing: a person, a rule or a retention policy may have removed "
      "them, or `--accept-counts` took it so. Wanted back: run with a new state folder, which "
      "recognises what is there.", NULL, true },
    { "SourceHoldsLess", "The source does not show mail any more that it had listed and that was not moved.",
      "Look whether the source's storage is there. When it is, run again; what was deleted on purpose is no loss.", NULL,
      true },
    { "LateCopy", "There are two copies of a message that was sent again: the target stored it late, or it was not recognised.",
      "Nothing is lost. `verify --user` names the surplus copies; `tidy` lists those that this program stored, "
      "and `tidy --remove` removes them.", NULL, true },
    { "TwoSenders", "Somebody else moved the same mail into the folder while this run did: there are two copies.",
      "End the other run: a user belongs to one batch at a time (a `ledger` that both batches name sees to that). "
      "Nothing is lost; `verify --user` names the second copies, which are the other's and not removed by `tidy`.",
      NULL, true },
    { "CopiesUnclear", "Different messages that only their content tells apart, of which the target held some before.",
      "Nothing is lost: all of them were sent, and some may be there twice. `verify --user` names these; remove one "
      "of each two by hand, then `retry` looks again.", NULL, true },
    { "LateCopyRemoved", "Second copies that this program had stored were removed.",
      "Nothing to do: `tidy --remove` proved each to be one of two, and the other one is there.", NULL, true },
    { "SizeDiffers", "The source sent another number of bytes than it announced for the message.",
      "Compare the message in the source's webmail with the copy: where that is short, `export` or forward it. "
      "Where it is whole, the source only counts wrongly.", NULL, true },
    { "NamesLeftOut", "Folders were left out because their names cannot be used.",
      "Rename these folders on the source (shorter, fewer levels) and run again: their mail has not been "
      "copied.", NULL, true },
    { "NotFollowed", "A change at the source was seen and could not be carried to the target.",
      "The mail itself is there. Compare flags and folders of this user by `verify --user`, then run again.",
      NULL, true },
    { "QuotaExceeded", "The target mailbox is full.",
      "Free space, raise its quota or enable its archive, then run `retry`:",
      "Set-Mailbox {mailbox} -IssueWarningQuota 98GB -ProhibitSendQuota 99GB "
      "-ProhibitSendReceiveQuota 100GB", false },
    { "MessageTooLarge", "The target refuses the message for its size.",
      "Raise the limit and run `retry`, or take the message with `export --what failed`:",
      "Set-Mailbox {mailbox} -MaxReceiveSize 150MB -MaxSendSize 150MB", false },
    { "MessageRejected", "The target refuses the message for its content.",
      "`export --what failed` writes it as .eml; import that by Outlook, or forward it. Very long "
      "lines and broken headers are the usual causes.", NULL, false },

    /* Here. */
    { "SpoolError", "The spool could not be written or read.",
      "Check free space and rights of the state folder and the disk's health, then run again; "
      "nothing acknowledged is lost.", NULL, true },
    { "Canceled", "The run was stopped here.", "Run again to go on.", NULL, true },
    { "InternalError", "A fault of this program.",
      "Please report it with the log; run again in the meantime.", NULL, true },
    { "More", "More different failures than the report keeps for one user.",
      "Deal with those listed, then run `retry`; what remains shows up.", NULL, true },
};
/* clang-format on */

/* Rows above of what is no failure: it could not be proved. */
static const char *const doubts[] = { "HiddenMessages", "SizeDiffers",     "LateCopy",         "TwoSenders",
                                      "CopiesUnclear",  "TargetHoldsLess", "TargetNotCounted", "NamesLeftOut",
                                      "NotFollowed",    "SourceHoldsLess" };

static const struct advice general = { "", "Something failed that has no advice of its own.",
                                       "Read the server's words, run again, and if it stays, report it with the log.",
                                       NULL, true };

const struct advice *advice_at(unsigned row)
{
    return row < sizeof rows / sizeof *rows ? &rows[row] : NULL;
}

const struct advice *advice_find(const char *type)
{
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].type, type) == 0)
            return &rows[i];
    return &general;
}

/* No quoting rule covers PowerShell, cmd and a mail to a colleague at once, so what would need
 * quotes is not put in. */
bool advice_is_plain(struct slice address)
{
    if (address.size == 0 || address.size > 64 || address.data[0] == '-')
        return false;
    for (size_t i = 0; i < address.size; i++) {
        char c = address.data[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            (c == '\0' || !strchr("._+-@", c) || (c == '@' && i == 0)))
            return false;
    }
    return true;
}

bool advice_is_doubt(const struct problem_record *problem)
{
    for (size_t i = 0; i < sizeof doubts / sizeof *doubts; i++)
        if (strcmp(doubts[i], problem->type) == 0)
            return true;
    return problem->doubt;
}

const char *advice_line(const char *type, struct slice address, char *out, size_t cap)
{
    const struct advice *advice = advice_find(type);
    struct slice command = slice_cstr(advice->command);
    size_t at = slice_find_nocase(command, SLICE(PLACE));

    assert(cap >= 1);
    if (!advice_is_plain(address))
        address = SLICE("<mailbox>");
    if (!advice->command)
        snprintf(out, cap, "%s", advice->remedy);
    else if (at == SIZE_MAX)
        snprintf(out, cap, "%s %s", advice->remedy, advice->command);
    else
        snprintf(out, cap, "%s %.*s%.*s%s", advice->remedy, (int)at, command.data, (int)address.size, address.data,
                 command.data + at + sizeof PLACE - 1);
    return out;
}
