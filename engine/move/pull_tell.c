/* What a listing found out of the folder, in words. */
#include "engine/imap/keyword.h"
#include "engine/move/pull_private.h"

#include <inttypes.h>
#include <stdio.h>

void pull_tell_keywords(struct worker *w)
{
    const struct pull *p = w->work;
    char text[200];

    if (!p->keywords_dropped)
        return;
    snprintf(text, sizeof text,
             "UID %" PRIu32 ", and maybe others, have keywords that are not copied: they are no words of "
             "letters, digits and marks as IMAP wants them, or more than %u bytes on one message",
             p->keywords_dropped, KEYWORDS_BYTES_MAX);
    account_problem(w->account, w->folder->record.folder, "KeywordsDropped", text,
                    "nothing to do; the messages are copied with all else");
}

void pull_tell_unreadable(struct worker *w)
{
    struct folder *f = w->folder;
    struct err err;

    err_set(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_FOLDER, ERR_ORIGIN_PROTOCOL, 0,
            "the server tells numbers of this folder that are none (a UID is 1 to 4294967294): "
            "what they stand "
            "for cannot be asked for, and is not copied");
    err_doing(&err, "UID FETCH %s", f->source_name);
    account_failure(w->account, FAILURE_SOURCE, TROUBLE_FETCH, "ParseError", &err, f, 0);
    account_fail(w->account, "ParseError", true);
}
