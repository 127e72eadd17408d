#include "engine/folders/names_text.h"
#include "engine/move/gmail.h"
#include "engine/move/pull_private.h"
#include "io/base/log.h"
#include "io/base/mem.h"
#include "io/base/now.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* A server's internal error is tried again after 5 s, a minute and ten minutes (imap-quirks C6), in
 * units of retry-wait's second; the other folders go on meanwhile. */
static const uint32_t waits_s[] = { 5, 60, 600 };
#define OPEN_TRIES (sizeof waits_s / sizeof *waits_s + 1)

/* ---- names that end in their delimiter (C1) -------------------------------------------------- */

static struct slice bare_name(const struct folder *f)
{
    return names_bare(f->record.source_raw, (char)f->record.delimiter);
}

/* "Junk/" and "Junk" are one folder when both are listed. */
static bool has_match(const struct folder *f)
{
    const struct folder *twin = account_find_folder(f->account, bare_name(f));

    return twin && !twin->gone;
}

static void tell_bare(struct folder *f, bool twin)
{
    struct slice bare = bare_name(f);
    char *text = mem_format(twin ? "the server refuses to open it (%s) and lists \"%.*s\" too: it is the same folder, "
                                   "which "
                                   "is copied once"
                                 : "the server lists it with its delimiter at the end and refuses to open it so (%s); "
                                   "opened as \"%.*s\" instead",
                            f->refused_words, (int)(bare.size & 0xffff), bare.data);

    account_problem(f->account, f->record.folder, "TrailingDelimiter", text, "nothing to do");
    free(text);
}

/* It has one, and is not asked for by it yet. */
static bool has_bare(const struct folder *f)
{
    return !f->bare && bare_name(f).size > 0;
}

/* Tries the name without its delimiter, or leaves the folder to the one of the same name. True: nothing is lost
 * yet. */
static bool try_bare(struct worker *w, const struct err *err)
{
    struct folder *f = w->folder;

    if (!has_bare(f))
        return false;
    err_printable(f->refused_words, sizeof f->refused_words, err->server_text, strlen(err->server_text));
    if (has_match(f)) {
        tell_bare(f, true);
        folder_set_pull(f, PULL_DONE);
        pull_folder_release(w);
        account_poke(f->account);
    } else {
        f->bare = true;
        pull_folder_release(w);
    }
    worker_idle(w);
    return true;
}

/* ---- a server that fails inside (C6) --------------------------------------------------------- */

/* Where the administrator of the source is to look: its own clock's time of the fault, if it told.
 */
static void server_stamp(const char *text, char out[24])
{
    static const char form[] = "[dddd-dd-dd dd:dd:dd]";

    out[0] = '\0';
    for (const char *at = strchr(text, '['); at; at = strchr(at + 1, '[')) {
        size_t i = 0;

        while (form[i] && (form[i] == 'd' ? at[i] >= '0' && at[i] <= '9' : at[i] == form[i]))
            i++;
        if (form[i] == '\0') {
            snprintf(out, 24, "%.19s", at + 1);
            return;
        }
    }
}

void pull_tell_bug(const struct folder *f, const struct err *err)
{
    const char *user = f->account->user->user_name;
    char stamp[24], ours[40], *text, *remedy;

    server_stamp(err->server_text, stamp);
    now_rfc3339(now_wall_ms(), ours, sizeof ours);
    text = mem_format("to the administrator of %s: opening \"%s\" as user %s fails with an internal "
                      "error; the server's log has the cause at %s%s%s",
                      f->account->reactor->settings->source.host, f->source_name, user, stamp,
                      stamp[0] ? ", our clock " : "", ours);
    remedy = mem_format("forward this (Dovecot: doveadm force-resync -u %s \"%s\" often repairs it), then "
                        "run retry; the other folders were copied",
                        user, f->source_name);
    account_problem(f->account, f->record.folder, "ServerBug", text, remedy);
    free(text);
    free(remedy);
}

static void open_again(void *context)
{
    struct folder *f = context;

    folder_park(f, false);
    account_poke(f->account);
}

/* Parks the folder and ends the connection: a broken index is often met by one process only. False
 * when it was tried often enough. */
static bool try_later(struct worker *w, const struct err *err, const char *type)
{
    struct folder *f = w->folder;
    struct account *account = f->account;
    uint64_t wait_ms;

    if (err->class != ERR_CLASS_TRANSIENT || err->scope > ERR_SCOPE_FOLDER || ++f->open_failures >= OPEN_TRIES)
        return false;
    wait_ms = (uint64_t)waits_s[f->open_failures - 1] * account->reactor->settings->policy.retry_wait_ms;
    account_failure(account, FAILURE_SOURCE, TROUBLE_SELECT, type, err, f, 0);
    log_line(LOG_INFO, "folder.parked", "user=%s folder=%s tries=%u wait_ms=%" PRIu64, account->user->email_address,
             f->source_name, f->open_failures, wait_ms);
    folder_park(f, true);
    loop_timer_set(account->reactor->loop, &f->again, wait_ms, open_again, f);
    pull_folder_release(w);
    link_finish(w->link);
    account_poke(account);
    return true;
}

/* What is tried of a folder alone: its other name; and what a server that fails inside has in store, by waits that
 * outlast an outage. */
static bool has_own_way(const struct folder *f, const struct err *err, const char *type)
{
    return (trouble_is_about_name(err) && has_bare(f)) || strcmp(type, "ServerBug") == 0 || f->open_failures > 0;
}

/* It is there, and does not open. */
static void open_refused(struct worker *w, const struct err *err)
{
    struct pull *p = w->work;
    struct folder *f = w->folder;
    const char *type = trouble_type(TROUBLE_SELECT, FAILURE_SOURCE, err);
    bool lists = f->pull == PULL_LISTING;

    if (!(lists && has_own_way(f, err, type)) && !pull_open_is_own(w, err))
        return;
    if (!lists) {
        pull_step_failed(w, TROUBLE_SELECT, err);
        return;
    }
    p->step = PULL_STEP_FREE;
    w->busy = false;
    folder_set_pull(f, PULL_UNLISTED);
    if ((trouble_is_about_name(err) && try_bare(w, err)) || try_later(w, err, type))
        return;
    if (strcmp(type, "ServerBug") == 0)
        pull_tell_bug(f, err);
    account_failure(f->account, FAILURE_SOURCE, TROUBLE_SELECT, type, err, f, 0);
    folder_set_pull(f, PULL_REFUSED);
    account_fail(f->account, type, true);
    pull_folder_release(w);
    worker_idle(w);
}

static void open_failed(struct worker *w, const struct err *err)
{
    if (!link_is_ready(w->link) || err->class == ERR_CLASS_THROTTLED)
        pull_step_failed(w, TROUBLE_SELECT, err);
    else if (!pull_search_gone(w, err, open_refused))
        open_refused(w, err);
}

/* ---- opening --------------------------------------------------------------------------------- */

/* The folder is another than the journal knows: forget it, and look on the target before sending.
 */
static void start_anew(struct folder *f, const char *why)
{
    /* A folder is listed before its first body is asked for, and never again in the same run: so no
     * answer for a message of the old one can come after this. */
    assert(f->fetching == 0 && f->storing == 0 && f->sending == 0);
    log_line(LOG_INFO, "folder.uidvalidity", "user=%s folder=%s was=%u", f->account->user->email_address,
             f->source_name, f->record.uidvalidity);
    f->unmoved_before = f->record.tally.waiting + f->record.tally.spooled;
    folder_forget(f);
    queue_deinit(&f->wanted);
    queue_deinit(&f->ready);
    queue_init(&f->wanted, f);
    queue_init(&f->ready, f);
    gmail_folder_anew(f);
    account_problem(f->account, f->record.folder, "UidValidityChanged", why, "nothing to do");
}

static void selected(void *context, const struct imap_selected *s)
{
    struct worker *w = context;
    struct pull *p = w->work;

    p->exists = s->status.messages;
    p->exists_told = s->exists_told;
    p->uidnext = s->status.has & IMAP_STATUS_UIDNEXT ? s->status.uidnext : 0;
    p->modseq = s->status.has & IMAP_STATUS_HIGHESTMODSEQ ? s->status.highestmodseq : 0;
    p->uidvalidity = s->status.has & IMAP_STATUS_UIDVALIDITY ? s->status.uidvalidity : 0;
}

/* The folder became another one while its bodies are fetched: what is on its way is finished, and the
 * next run starts it anew. */
static void changed_meanwhile(struct worker *w)
{
    struct folder *f = w->folder;
    struct err err;

    err_set(&err, ERR_CLASS_TRANSIENT, ERR_SCOPE_FOLDER, ERR_ORIGIN_PROTOCOL, 0,
            "the folder got new message numbers while it was read");
    err_doing(&err, "SELECT %s", f->source_name);
    account_failure(w->account, FAILURE_SOURCE, TROUBLE_SELECT, "SelectFailed", &err, f, 0);
    folder_set_pull(f, PULL_REFUSED);
    account_fail(w->account, "SelectFailed", true);
    pull_folder_release(w);
    worker_idle(w);
}

static bool is_strict(const struct folder *f)
{
    return f->account->reactor->settings->source.read_only == SETTINGS_READ_ONLY_STRICT;
}

/* The batch file forbids SELECT. */
static void refuse_writable(struct worker *w, const char *why)
{
    struct folder *f = w->folder;
    struct err err;

    err_set(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_FOLDER, ERR_ORIGIN_PROTOCOL, 0,
            "%s, and [source] read-only = strict forbids to open the folder in another way", why);
    err_doing(&err, "EXAMINE %s", f->source_name);
    account_failure(w->account, FAILURE_SOURCE, TROUBLE_SELECT, "SelectFailed", &err, f, 0);
    folder_set_pull(f, PULL_REFUSED);
    account_fail(w->account, "SelectFailed", true);
    pull_folder_release(w);
    worker_idle(w);
}

static void tell_writable(struct folder *f, const char *why)
{
    char *text = mem_format("opened read-only (EXAMINE) %s; opened by SELECT instead, without a command that changes "
                            "anything",
                            why);

    account_problem(
        f->account, f->record.folder, "OpenedForWriting", text,
        "nothing to do; some servers keep notes of their own (X-UID lines) in a mailbox file that is opened so");
    free(text);
}

/* Its UIDVALIDITY stays the same under SELECT only. */
static void selects_from_now_on(struct folder *f)
{
    if (!f->selects)
        tell_writable(f, "the server tells another UIDVALIDITY each time");
    f->selects = true;
}

/* A server that does not know EXAMINE answers BAD; asked once, and not again for this folder. */
static bool try_select(struct worker *w, const struct err *err)
{
    struct folder *f = w->folder;

    if (err->origin != ERR_ORIGIN_BAD || err->class != ERR_CLASS_PERMANENT || !link_is_ready(w->link) ||
        ((const struct pull *)w->work)->writable || f->opens_writable || is_strict(f))
        return false;
    f->opens_writable = true;
    tell_writable(f, "the server does not understand it");
    pull_select_folder(w);
    return true;
}

/* Courier's EXAMINE makes a UIDVALIDITY up each time, and SELECT tells the one that is kept (quirk
 * S03). So another one than the journal's is asked for by SELECT, and where that differs too by
 * EXAMINE once more: twice the same is the truth. Returns whether the folder is being opened again.
 */
static bool select_again(struct worker *w)
{
    struct pull *p = w->work;
    struct folder *f = w->folder;

    if (f->selects)
        return false;
    if (is_strict(f) && p->doubt == PULL_DOUBT_NONE) {
        p->doubt = PULL_DOUBT_EXAMINED;
        p->doubted_validity = p->uidvalidity;
    } else if (is_strict(f) && p->uidvalidity != p->doubted_validity) {
        p->doubt = PULL_DOUBT_NONE;
        refuse_writable(w, "the server tells another UIDVALIDITY each time");
        return true;
    } else if (p->doubt == PULL_DOUBT_NONE) {
        p->doubt = PULL_DOUBT_SELECTED;
    } else if (p->doubt == PULL_DOUBT_SELECTED) {
        p->doubt = PULL_DOUBT_EXAMINED;
        p->doubted_validity = p->uidvalidity;
    } else if (p->uidvalidity != p->doubted_validity) {
        selects_from_now_on(f);
    } else {
        return false;
    }
    pull_select_folder(w);
    return true;
}

static void reuse_told(struct worker *w, bool reused)
{
    if (reused)
        start_anew(w->folder,
                   "the source gave message numbers a second time, as a mailbox does that was put back from a backup; "
                   "the folder is read anew and what the target already holds is recognised there");
    pull_list_folder(w);
}

static void select_ended(void *context, const struct err *err)
{
    struct worker *w = context;
    struct pull *p = w->work;
    struct folder *f = w->folder;

    if (err) {
        p->doubt = PULL_DOUBT_NONE;
        if (!try_select(w, err))
            open_failed(w, err);
        return;
    }
    w->selected = true;
    w->busy = false;
    p->step = PULL_STEP_FREE;
    pull_opened(f);
    if (f->bare && f->pull == PULL_LISTING && p->doubt == PULL_DOUBT_NONE)
        tell_bare(f, false);
    if (f->record.uidvalidity && p->uidvalidity && f->record.uidvalidity != p->uidvalidity) {
        if (select_again(w))
            return;
        if (f->pull == PULL_LISTING) {
            start_anew(f, "the source gave the folder new message numbers; it is read anew and what the "
                          "target already holds is recognised there");
        } else if (f->selects) {
            /* Numbers that the server makes up say nothing. */
            f->record.uidvalidity = p->uidvalidity;
        } else {
            p->doubt = PULL_DOUBT_NONE;
            changed_meanwhile(w);
            return;
        }
    } else if (p->doubt == PULL_DOUBT_SELECTED) {
        selects_from_now_on(f);
    }
    p->doubt = PULL_DOUBT_NONE;
    if (f->pull != PULL_LISTING) {
        f->losses = 0;
        worker_idle(w);
        return;
    }
    if (p->uidvalidity)
        f->record.uidvalidity = p->uidvalidity;
    w->busy = true;
    p->step = PULL_STEP_LISTING;
    pull_search_reused(w, reuse_told);
}

void pull_select_folder(struct worker *w)
{
    struct pull *p = w->work;
    struct folder *f = w->folder;

    w->busy = true;
    p->step = PULL_STEP_SELECTING;
    if (f->pull == PULL_UNLISTED)
        folder_set_pull(f, PULL_LISTING);
    /* Some broken indexes open for writing only (quirk S03): every other try is a SELECT, under
     * which nothing is asked for that would mark a message. */
    p->writable = !is_strict(f) &&
                  (f->open_failures % 2 == 1 || f->selects || f->opens_writable || p->doubt == PULL_DOUBT_SELECTED);
    source_open(link_source(w->link), f->bare ? bare_name(f) : f->record.source_raw, !p->writable, selected,
                select_ended, w);
}

void pull_select_again(struct worker *w, void (*answer)(void *context, const struct imap_selected *selected),
                       session_ended *ended, void *context)
{
    const struct folder *f = w->folder;

    source_open(link_source(w->link), f->bare ? bare_name(f) : f->record.source_raw,
                !((const struct pull *)w->work)->writable, answer, ended, context);
}

bool pull_try_writable(const struct worker *w, struct folder *f)
{
    if (((const struct pull *)w->work)->writable || !link_is_ready(w->link) || is_strict(f))
        return false;
    if (f->opens_writable)
        return true;
    f->opens_writable = true;
    tell_writable(f, "the server says OK and gives nothing of this folder's messages");
    return true;
}
