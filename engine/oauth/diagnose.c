#include "engine/oauth/diagnose.h"

#include "engine/failure/advice.h"
#include "io/base/now.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define APP_RIGHT  "IMAP.AccessAsApp"
#define USER_RIGHT "IMAP.AccessAsUser.All"

#define GOOGLE_SCOPE "https://mail.google.com/"

static bool is_microsoft(const struct settings_endpoint *e)
{
    return e->oauth.tenant != NULL;
}

/* What stands in a line to paste must need no quotes. */
static const char *plain_or(const char *text, const char *otherwise)
{
    return text && advice_is_plain(slice_cstr(text)) ? text : otherwise;
}

static const char *app_id(const struct diagnosis_facts *f)
{
    return plain_or(f->claims && f->claims->application[0] ? f->claims->application : f->endpoint->oauth.client_id,
                    "<client-id>");
}

/* An application's oid is the object ID of its enterprise application, which is what Exchange
 * wants. */
static const char *principal(const struct diagnosis_facts *f)
{
    return plain_or(f->claims && f->claims->application_own ? f->claims->object_id : "",
                    "<object ID of the enterprise application>");
}

static const char *mailbox(const struct diagnosis_facts *f)
{
    return plain_or(f->login, "<mailbox>");
}

static bool has_word(const char *words, const char *word)
{
    struct slice rest = slice_cstr(words), one;

    while (slice_split(&rest, ' ', &one))
        if (slice_equal_nocase(one, slice_cstr(word)))
            return true;
    return false;
}

static bool says(const struct err *err, const char *words)
{
    return slice_find_nocase(slice_cstr(err->server_text), slice_cstr(words)) != SIZE_MAX;
}

static void consent(const struct diagnosis_facts *f, char *out, size_t cap)
{
    snprintf(out, cap,
             "In the Entra admin centre, App registrations, API permissions: add Office 365 Exchange "
             "Online, %s permissions, %s; then grant admin consent, also by "
             "https://login.microsoftonline.com/%s/adminconsent?client_id=%s",
             f->endpoint->oauth.grant == SETTINGS_GRANT_REFRESH_TOKEN ? "delegated" : "application",
             f->endpoint->oauth.grant == SETTINGS_GRANT_REFRESH_TOKEN ? USER_RIGHT : APP_RIGHT,
             plain_or(f->endpoint->oauth.tenant, "<tenant>"), app_id(f));
}

/* ---- step 1: registration ------------------------------------------------------------------- */

static void google_refused(const struct diagnosis_facts *f, const struct err *err, struct diagnosis *d)
{
    if (says(err, "unauthorized_client"))
        snprintf(d->remedy, sizeof d->remedy,
                 "In Google's Admin console, Security, API controls, Domain-wide delegation: add the "
                 "service account's client ID with the scope %s, and enable the Gmail API in its "
                 "project.",
                 GOOGLE_SCOPE);
    else if (says(err, "JWT") || says(err, "iat"))
        snprintf(d->remedy, sizeof d->remedy,
                 "Set this computer's clock, and take a key of the service account that has not been "
                 "deleted.");
    else if (f->endpoint->oauth.grant == SETTINGS_GRANT_SERVICE_ACCOUNT)
        snprintf(d->remedy, sizeof d->remedy,
                 "Is %s a user of the Workspace domain that the service account may act for? Look at "
                 "UserName in users.csv and at the key file.",
                 f->login);
    else
        snprintf(d->remedy, sizeof d->remedy,
                 "The refresh token is no longer good: have the user consent again and put the new "
                 "one into users.csv.");
}

static void skewed(const struct diagnosis_facts *f, char *out, size_t cap)
{
    if (f->skew_known && llabs(f->skew_s) > DIAGNOSE_SKEW_MAX_S)
        snprintf(out, cap, " This computer's clock is %lld seconds %s: set it first.", llabs(f->skew_s),
                 f->skew_s > 0 ? "ahead" : "behind");
    else if (cap)
        out[0] = '\0';
}

bool diagnose_token(const struct diagnosis_facts *f, const struct err *err, struct diagnosis *d)
{
    const struct settings_oauth *oauth = &f->endpoint->oauth;
    const char *advice = oauth_advice(err->code);
    char clock[120];

    *d = (struct diagnosis){ .type = "TokenFailed" };
    skewed(f, clock, sizeof clock);
    if (err->class != ERR_CLASS_PERMANENT) {
        snprintf(d->type, sizeof d->type, "ConnectFailed");
        snprintf(d->cause, sizeof d->cause,
                 "The token server gave no answer that tells anything; about the registration "
                 "nothing is known yet.");
        snprintf(d->remedy, sizeof d->remedy,
                 "Look at token-url and at the firewall or proxy between here and there; then check "
                 "again.");
        return true;
    }
    if (err->origin != ERR_ORIGIN_TOKEN)
        return false;
    snprintf(d->cause, sizeof d->cause, "Step 1 of 3, registration: no token is given%s%s.%s", advice[0] ? ": " : "",
             advice, clock);
    if (!is_microsoft(f->endpoint)) {
        google_refused(f, err, d);
        return true;
    }
    switch (err->code) {
    case 7000215:
    case 7000222:
        snprintf(d->remedy, sizeof d->remedy,
                 "Make a new secret (its Value goes into client-secret-file), in Microsoft Graph "
                 "PowerShell: Add-MgApplicationPassword -ApplicationId (Get-MgApplication -Filter "
                 "\"appId eq '%s'\").Id",
                 app_id(f));
        break;
    case 700027:
    case 700030:
        snprintf(d->remedy, sizeof d->remedy,
                 "Upload the certificate that certificate names to the app registration %s, "
                 "Certificates & secrets; key must be its private key.%s",
                 app_id(f), clock);
        break;
    case 65001:
    case 90094:
    case 650052:
    case 650056:
    case 650057:
        consent(f, d->remedy, sizeof d->remedy);
        break;
    case 700016:
    case 700011:
    case 7000112:
    case 70001:
        snprintf(d->remedy, sizeof d->remedy,
                 "Compare client-id and tenant with the app registration's overview page; in Microsoft "
                 "Graph PowerShell: Get-MgServicePrincipal -Filter \"appId eq '%s'\"",
                 app_id(f));
        break;
    case 7000218:
    case 700025:
        snprintf(d->remedy, sizeof d->remedy, "%s",
                 oauth->device_code ? "In the app registration, Authentication: Allow public client flows, yes."
                                    : "Give the application a secret or a certificate, and the batch file the same.");
        break;
    case 70000:
    case 70008:
    case 700082:
    case 50173:
    case 70043:
        snprintf(d->remedy, sizeof d->remedy, "%s",
                 oauth->device_code ? "Run mailhaul sign-in with this batch file."
                                    : "Put a new refresh token into refresh-token-file.");
        break;
    default:
        if (oauth->device_code && says(err, "sign-in"))
            snprintf(d->remedy, sizeof d->remedy, "Run mailhaul sign-in with this batch file.");
        else
            snprintf(d->remedy, sizeof d->remedy,
                     "Look at tenant, client-id, cloud and scope in the batch file; with the "
                     "correlation id, the tenant's sign-in log tells more.%s",
                     clock);
    }
    return true;
}

/* ---- step 2: permission --------------------------------------------------------------------- */

/* Exchange Online by address, in every cloud, and by its application ID. */
static bool is_exchange(const char *audience)
{
    static const char *const audiences[] = {
        "https://outlook.office365.com",        "https://outlook.office.com",       "https://ps.outlook.com",
        "https://outlook.office365.us",         "https://outlook-dod.office365.us", "https://partner.outlook.cn",
        "00000002-0000-0ff1-ce00-000000000000",
    };
    struct slice a = slice_cstr(audience);

    if (slice_ends(a, SLICE("/")))
        a.size--;
    for (unsigned i = 0; i < sizeof audiences / sizeof *audiences; i++)
        if (slice_equal_nocase(a, slice_cstr(audiences[i])))
            return true;
    return false;
}

bool diagnose_claims(const struct diagnosis_facts *f, struct diagnosis *d)
{
    const struct oauth_claims *c = f->claims;
    const char *right;

    *d = (struct diagnosis){ .type = "TokenFailed" };
    /* Google's tokens are opaque, and so are some of Microsoft's for persons. */
    if (!is_microsoft(f->endpoint) || !c || !c->audience[0])
        return false;
    if (!is_exchange(c->audience)) {
        snprintf(d->cause, sizeof d->cause, "Step 2 of 3, permission: the token is for %s, not for Exchange Online.",
                 c->audience);
        snprintf(d->remedy, sizeof d->remedy,
                 "Leave scope out of the batch file, or for an application write scope = "
                 "https://outlook.office365.com/.default");
        return true;
    }
    right = f->endpoint->oauth.grant == SETTINGS_GRANT_REFRESH_TOKEN ? USER_RIGHT : APP_RIGHT;
    if (!has_word(c->roles, right)) {
        snprintf(d->cause, sizeof d->cause,
                 "Step 2 of 3, permission: the token lacks %s%s%s: it was not added to the app "
                 "registration, or nobody granted admin consent.",
                 right, c->roles[0] ? " and has only " : "", c->roles);
        consent(f, d->remedy, sizeof d->remedy);
        return true;
    }
    return false;
}

bool diagnose_login(const struct diagnosis_facts *f, const struct err *err, struct diagnosis *d)
{
    *d = (struct diagnosis){ .type = "LoginFailed" };
    if (!f->claims || err->class != ERR_CLASS_PERMANENT || err->origin != ERR_ORIGIN_NO)
        return false;
    if (!is_microsoft(f->endpoint)) {
        snprintf(d->cause, sizeof d->cause, "The token is given, but the mail server does not take it for %s.",
                 f->login);
        snprintf(d->remedy, sizeof d->remedy,
                 "Is IMAP on for this user (Google's Admin console, Apps, Gmail, End User Access)? Is "
                 "UserName the user's primary address?");
    } else if (f->claims->application_own) {
        snprintf(d->cause, sizeof d->cause,
                 "Step 2 of 3, permission: the registration is right and the token carries " APP_RIGHT
                 ", but Exchange does not know the application, or has no mailbox %s in this tenant.",
                 f->login);
        snprintf(d->remedy, sizeof d->remedy,
                 "New-ServicePrincipal -AppId %s -ObjectId %s -DisplayName mailhaul   (if "
                 "Get-ServicePrincipal shows another ObjectId for it, Remove-ServicePrincipal "
                 "first). Is "
                 "the mailbox there? Get-Mailbox %s",
                 app_id(f), principal(f), mailbox(f));
    } else {
        snprintf(d->cause, sizeof d->cause,
                 "Step 2 of 3, permission: the sign-in of %s is right, but Exchange does not take it "
                 "for %s: there is no such mailbox in this tenant, or a policy forbids IMAP.",
                 f->claims->user[0] ? f->claims->user : "the person", f->login);
        snprintf(d->remedy, sizeof d->remedy,
                 "Get-Mailbox %s   shows whether it is there; Get-AuthenticationPolicy and the sign-in "
                 "log, whether a policy forbids it.",
                 mailbox(f));
    }
    return true;
}

/* ---- step 3: the mailbox -------------------------------------------------------------------- */

bool diagnose_mailbox(const struct diagnosis_facts *f, const struct err *err, struct diagnosis *d)
{
    const char *who;

    *d = (struct diagnosis){ .type = "PermissionMissing" };
    if (!is_microsoft(f->endpoint) || !f->claims || !says(err, "authenticated but not connected"))
        return false;
    if (!f->claims->application_own && f->claims->user[0] &&
        slice_equal_nocase(slice_cstr(f->claims->user), slice_cstr(f->login))) {
        snprintf(d->type, sizeof d->type, "ImapDisabled");
        snprintf(d->cause, sizeof d->cause,
                 "Step 3 of 3, mailbox: it is the person's own, so no permission can be missing: IMAP "
                 "is switched off for it.");
        snprintf(d->remedy, sizeof d->remedy, "Set-CASMailbox %s -ImapEnabled $true", mailbox(f));
        return true;
    }
    who = f->claims->application_own ? principal(f) : plain_or(f->claims->user, "<the person who signed in>");
    snprintf(d->cause, sizeof d->cause,
             "Step 3 of 3, mailbox: registration and token are right and Exchange takes them, but not "
             "into this mailbox: FullAccess is missing, or IMAP is switched off for it; Exchange says "
             "the same for both.");
    snprintf(d->remedy, sizeof d->remedy,
             "Add-MailboxPermission -Identity %s -User %s -AccessRights FullAccess   and, where "
             "Get-CASMailbox %s shows ImapEnabled False,   Set-CASMailbox %s -ImapEnabled $true   Both "
             "take up to an hour.",
             mailbox(f), who, mailbox(f), mailbox(f));
    return true;
}

/* ---- in words ------------------------------------------------------------------------------- */

void diagnose_describe(const struct diagnosis_facts *f, int64_t now_s, char *out, size_t cap)
{
    const struct oauth_claims *c = f->claims;
    char when[40] = "", clock[96] = "clock not compared";
    int64_t left = c->expires_s - now_s;

    if (f->skew_known && llabs(f->skew_s) <= 2)
        snprintf(clock, sizeof clock, "clock agrees with the server's");
    else if (f->skew_known)
        snprintf(clock, sizeof clock, "this clock is %lld s %s the server's%s", llabs(f->skew_s),
                 f->skew_s > 0 ? "ahead of" : "behind", llabs(f->skew_s) > DIAGNOSE_SKEW_MAX_S ? " (set it)" : "");
    if (!c->audience[0]) {
        snprintf(out, cap, "given (%s), opaque; %s", settings_grant_name(f->endpoint->oauth.grant), clock);
        return;
    }
    now_rfc3339(c->expires_s * 1000, when, sizeof when);
    snprintf(out, cap, "for %s, %s %s%s%s, tenant %s, expires %s (in %" PRId64 " min), %s", c->audience,
             c->application_own ? "roles" : "scp", c->roles[0] ? c->roles : "none", c->user[0] ? ", of " : "", c->user,
             c->tenant[0] ? c->tenant : "not told", when, left / 60, clock);
}
