#include "engine/cli/init_text.h"

#include "engine/config/config.h"
#include "engine/config/table.h"
#include "io/base/mem.h"

#include <stdlib.h>
#include <string.h>

#define FAULT_BYTES 200

const char *init_fault(const char *section, const char *key, const char *value, char *room, size_t cap)
{
    struct settings *scratch = settings_create();
    enum config_section in = CONFIG_BATCH;
    const struct config_key *row;
    bool ok = config_section_find(slice_cstr(section), &in);

    row = ok ? config_key_find(in, slice_cstr(key)) : NULL;
    ok = row && config_key_store(row, config_section_base(in, scratch), slice_cstr(value), "x.ini", room, cap);
    settings_destroy(&scratch);
    if (ok && strpbrk(value, ";\"\n\r")) {
        snprintf(room, cap, "has a character that only a person should write into a batch file");
        ok = false;
    }
    return ok ? NULL : room;
}

struct writing {
    const struct init_answers *answers;
    FILE *out;
    const char *section; /* at work */
};

static const char *answer_to(const struct init_answers *a, const char *section, const char *key)
{
    const struct {
        const char *section, *key, *value;
    } all[] = {
        { "batch", "users", a->users },
        { "source", "url", a->source_url },
        { "target", "preset", a->exchange ? "exchange-online" : "imap" },
        { "target", "url", a->exchange ? NULL : a->target_url },
        { "target", "tenant", a->exchange ? a->tenant : NULL },
        { "target", "client-id", a->exchange ? a->client_id : NULL },
        { "target", "client-secret-file", a->exchange ? a->secret_file : NULL },
    };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i].section, section) == 0 && strcmp(all[i].key, key) == 0)
            return all[i].value;
    return NULL;
}

/* Tokens are no matter of a server that takes passwords. */
static bool is_beside_the_point(const struct init_answers *a, const struct config_key_info *key)
{
    static const char *const oauth[] = { "tenant",
                                         "client-id",
                                         "client-secret-file",
                                         "certificate",
                                         "key",
                                         "signing",
                                         "refresh-token-file",
                                         "device-code",
                                         "device-url",
                                         "service-account-file",
                                         "cloud",
                                         "token-url",
                                         "scope" };
    static const char *const imap[] = { "admin-user", "login-form", "admin-password-file", "password-command", "auth" };
    bool cloud = strcmp(key->section, "target") == 0 && a->exchange;

    for (size_t i = 0; !cloud && i < sizeof oauth / sizeof *oauth; i++)
        if (strcmp(key->name, oauth[i]) == 0)
            return true;
    for (size_t i = 0; cloud && i < sizeof imap / sizeof *imap; i++)
        if (strcmp(key->name, imap[i]) == 0)
            return true;
    return key->hidden;
}

/* In lines that fit a terminal. */
static void write_help(FILE *out, const char *help)
{
    struct slice rest = slice_cstr(help), word;
    size_t column = 0;

    while (slice_split(&rest, ' ', &word)) {
        if (column && column + 1 + word.size > 96) {
            fputc('\n', out);
            column = 0;
        }
        column += (size_t)fprintf(out, column ? " %.*s" : "; %.*s", (int)word.size, word.data);
    }
    fputc('\n', out);
}

static void write_key(void *context, const struct config_key_info *key)
{
    struct writing *w = context;
    const char *value = answer_to(w->answers, key->section, key->name);

    if (!w->section || strcmp(w->section, key->section) != 0) {
        fprintf(w->out, "%s[%s]\n", w->section ? "\n" : "", key->section);
        w->section = key->section;
    }
    if (!value && is_beside_the_point(w->answers, key))
        return;
    write_help(w->out, key->help);
    if (value)
        fprintf(w->out, "%s = %s\n", key->name, value);
    else
        fprintf(w->out, ";%s = %s\n", key->name, key->fallback ? key->fallback : key->value_name);
}

void init_write_batch(const struct init_answers *answers, FILE *out)
{
    struct writing w = { answers, out, NULL };

    fputs("; A batch of mailhaul: one migration. `man mailhaul` has all of this at length.\n"
          "; A line that begins with ; is a comment: take it away to set the key. Paths are relative to this file.\n\n",
          out);
    config_describe(write_key, &w);
    fputs("\n[folders]\n"
          "; Source folder = target folder, where it is to have another name than by itself.\n"
          ";Sent Messages = Sent Items\n"
          ";Archive/* = Old mail/*\n",
          out);
}

void init_write_users(const struct init_answers *answers, FILE *out)
{
    fprintf(out, "EmailAddress,UserName,Password%s\n", answers->exchange ? "" : ",TargetPassword");
}

/* A name as PowerShell takes it literally. */
static void write_quoted(FILE *out, const char *text)
{
    fputc('\'', out);
    for (; *text; text++) {
        if (*text == '\'')
            fputc('\'', out);
        fputc(*text, out);
    }
    fputc('\'', out);
}

void init_write_powershell(const struct init_answers *a, FILE *out)
{
    fputs("# Once, in Exchange Online PowerShell, as an administrator of the tenant.\n"
          "# The object ID is that of the ENTERPRISE application (Entra admin centre, Enterprise applications, "
          "Overview),\n"
          "# not that of the app registration.\n"
          "$application = ",
          out);
    write_quoted(out, a->client_id ? a->client_id : "<client-id>");
    fputs("\n$object = Read-Host 'Object ID of the enterprise application'\n"
          "Connect-ExchangeOnline",
          out);
    if (a->tenant && strchr(a->tenant, '.')) {
        fputs(" -Organization ", out);
        write_quoted(out, a->tenant);
    }
    fputs("\nNew-ServicePrincipal -AppId $application -ObjectId $object -DisplayName mailhaul\n"
          "Import-Csv ",
          out);
    write_quoted(out, a->users);
    fputs(
        " | ForEach-Object {\n"
        "  Add-MailboxPermission -Identity $_.EmailAddress -User $object -AccessRights FullAccess -AutoMapping $false\n"
        "  Set-CASMailbox -Identity $_.EmailAddress -ImapEnabled $true\n"
        "}\n",
        out);
}
