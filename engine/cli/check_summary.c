#include "engine/cli/check_summary.h"

#include "engine/report/format.h"

#include <string.h>

#define NAMED_MAX 10u /* users named for one type */

static const char *side_name(bool source)
{
    return source ? "source" : "target";
}

/* What is wrong when nobody gets through for one and the same reason. */
static const struct {
    const char *type;
    bool shared_only;
    const char *words;
} common[] = {
    { "TlsFailed", false, "a certificate or TLS fault of the server, not of the users: mend it once, for all" },
    { "ConnectFailed", false, "the server is not reached at all: look at host, port and firewall" },
    { "TokenFailed", false, "the application gets no token that is good: mend its registration once" },
    { "PermissionMissing", true,
      "the application is let into no mailbox: Add-MailboxPermission has to be run for all of "
      "them" },
    { "ImapDisabled", false, "IMAP is off for all: look at the mailbox plan or the server's setting" },
    { "LoginFailed", true,
      "one secret signs in for all, and it is refused: look at the administrator's name, password "
      "and "
      "login-form (or, for Exchange Online, at New-ServicePrincipal), not at the users" },
    { "LoginFailed", false,
      "not one password is taken: probably the form of the login name is wrong (user, or "
      "user@domain?), or the file of passwords is not this server's" },
    { "AppPasswordRequired", false, "this server takes app passwords or OAuth only: no normal password will do" },
};

static const char *common_words(const char *type, bool shared)
{
    for (unsigned i = 0; i < sizeof common / sizeof *common; i++)
        if (strcmp(common[i].type, type) == 0 && (shared || !common[i].shared_only))
            return common[i].words;
    return "the same fault for all: look at the server, not at the users";
}

static const char *single_words(const char *type)
{
    return strcmp(type, "LoginFailed") == 0         ? "their passwords or login names"
           : strcmp(type, "PermissionMissing") == 0 ? "these mailboxes' permissions"
           : strcmp(type, "ImapDisabled") == 0      ? "IMAP of these mailboxes"
           : strcmp(type, "TokenFailed") == 0       ? "these users' tokens"
                                                    : "these users";
}

/* Of one side. shared: one secret, or one application, signs in for all users. False when no user
 * of this side was to be checked. */
static bool check_judge(const struct check_result *results, size_t count, bool source, bool shared,
                        struct check_verdict *v)
{
    const struct check_result *first = NULL;
    size_t same = 0;

    *v = (struct check_verdict){ 0 };
    for (size_t i = 0; i < count; i++) {
        const struct check_result *r = &results[i];

        if (r->source != source)
            continue;
        v->users++;
        v->ok += r->end == CHECK_OK;
        v->not_tried += r->end == CHECK_NOT_TRIED;
        if (r->end != CHECK_FAILED)
            continue;
        v->failed++;
        if (!first)
            first = r;
        same += strcmp(r->type, first->type) == 0;
    }
    if (v->users == 0)
        return false;
    v->server = v->failed > 0 && v->ok == 0 && same == v->failed && v->users > 1;
    if (v->failed == 0)
        snprintf(v->text, sizeof v->text, "%s: %s%zu user%s get%s through", side_name(source),
                 v->users > 1 ? "all " : "", v->users, v->users > 1 ? "s" : "", v->users > 1 ? "" : "s");
    else if (v->server)
        snprintf(v->text, sizeof v->text, "%s: all %zu users that were tried fail alike (%s, %s): %s%s",
                 side_name(source), v->failed, first->step, first->type, common_words(first->type, shared),
                 v->not_tried ? "; the others were left alone, so that nobody is locked out" : "");
    else
        snprintf(v->text, sizeof v->text, "%s: %zu of %zu user%s fail%s, %zu get%s through: look at %s%s",
                 side_name(source), v->failed, v->users, format_s(v->users), v->failed == 1 ? "s" : "", v->ok,
                 v->ok == 1 ? "s" : "", same == v->failed ? single_words(first->type) : "these users",
                 v->not_tried ? "; the others were not tried" : "");
    return true;
}

/* Is this the first failure of its type on its side? */
static bool is_first(const struct check_result *results, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (results[i].source == results[index].source && results[i].end == CHECK_FAILED &&
            strcmp(results[i].type, results[index].type) == 0)
            return false;
    return true;
}

static void print_type(const struct check_result *results, size_t count, size_t first, FILE *out)
{
    size_t all = 0;

    for (size_t i = first; i < count; i++)
        all += results[i].source == results[first].source && results[i].end == CHECK_FAILED &&
               strcmp(results[i].type, results[first].type) == 0;
    fprintf(out, "  %s (%s), %zu:", results[first].type, results[first].step, all);
    for (size_t i = first, named = 0; i < count && named < NAMED_MAX; i++)
        if (results[i].source == results[first].source && results[i].end == CHECK_FAILED &&
            strcmp(results[i].type, results[first].type) == 0)
            fprintf(out, "%s %s", named++ ? "," : "", results[i].address);
    fprintf(out, "%s\n", all > NAMED_MAX ? ", ..." : "");
}

void check_print_summary(const struct check_result *results, size_t count, bool source, bool shared, FILE *out)
{
    struct check_verdict v;

    if (!check_judge(results, count, source, shared, &v) || v.users < 2)
        return;
    fprintf(out, "%s\n", v.text);
    for (size_t i = 0; i < count && !v.server; i++)
        if (results[i].source == source && results[i].end == CHECK_FAILED && is_first(results, i))
            print_type(results, count, i, out);
}

json_t *check_summary_json(const struct check_result *results, size_t count, bool source, bool shared)
{
    struct check_verdict v;

    if (!check_judge(results, count, source, shared, &v))
        return NULL;
    return json_pack("{s:s,s:I,s:I,s:I,s:I,s:b,s:s}", "side", side_name(source), "users", (json_int_t)v.users, "ok",
                     (json_int_t)v.ok, "failed", (json_int_t)v.failed, "not_tried", (json_int_t)v.not_tried,
                     "server_fault", v.server, "text", v.text);
}
