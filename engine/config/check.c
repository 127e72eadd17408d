#include "engine/config/state.h"
#include "engine/config/text.h"
#include "engine/config/value.h"
#include "engine/config/value_network.h"
#include "engine/folders/names_match.h"
#include "io/base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CREDENTIALS "client-secret-file, certificate, refresh-token-file or device-code = yes"

static bool has(const struct config_state *c, enum config_section section, const char *key)
{
    return config_given_value(c, section, key) != NULL;
}

static struct settings_endpoint *endpoint(const struct config_state *c, enum config_section section)
{
    return config_section_base(section, c->settings);
}

/* Both written: the second is named, with the place of the first. */
static bool not_both(const struct config_state *c, enum config_section section, const char *first, const char *second,
                     struct err *err_r)
{
    if (has(c, section, first) && has(c, section, second))
        return config_fail(c, section, second, err_r, "contradicts %s; keep one of them", first);
    return true;
}

static bool only_with(const struct config_state *c, enum config_section section, const char *key, const char *needs,
                      struct err *err_r)
{
    if (has(c, section, key) && !has(c, section, needs))
        return config_fail(c, section, key, err_r, "has no meaning without %s", needs);
    return true;
}

/* [batch] */

static char *without_ini(const char *path)
{
    const char *slash = strrchr(path, '/');
    struct slice name = slice_cstr(slash ? slash + 1 : path);

    if (name.size > 4 && slice_ends(name, SLICE(".ini")))
        name.size -= 4;
    return slice_dup(name);
}

/* Each shard has a spool of its own, so that the tasks of a job array share nothing but a ledger.
 */
static void name_state(const struct config_state *c)
{
    struct settings *s = c->settings;
    char *name, *state, ending[SETTINGS_SHARD_ENDING_BYTES];

    if (!s->state_folder) {
        name = mem_format("%s.state", s->batch_name);
        s->state_folder = config_text_beside(c->request->batch_file, slice_cstr(name));
        free(name);
    }
    for (size_t size = strlen(s->state_folder); size > 1 && s->state_folder[size - 1] == '/'; size--)
        s->state_folder[size - 1] = '\0';
    s->sign_in_folder = mem_text(s->state_folder);
    if (s->shard_count > 1) {
        state = mem_format("%s%s", s->state_folder, settings_shard_ending(s->shard_number, s->shard_count, ending));
        free(s->state_folder);
        s->state_folder = state;
        if (s->status_file) {
            char *own =
                mem_format("%s%s", s->status_file, settings_shard_ending(s->shard_number, s->shard_count, ending));

            free(s->status_file);
            s->status_file = own;
        }
    }
}

/* Beside the batch file and called after it: the division is of the batch, whatever its state folders are called. */
static void name_split(const struct config_state *c)
{
    char *stem = without_ini(c->request->batch_file), *name = mem_format("%s.shards", stem);

    c->settings->split_file = config_text_beside(c->request->batch_file, slice_cstr(name));
    free(name);
    free(stem);
}

static bool check_batch(const struct config_state *c, struct err *err_r)
{
    struct settings *s = c->settings;

    if (!s->batch_name)
        s->batch_name = without_ini(c->request->batch_file);
    if (strchr(s->batch_name, '/') || strlen(s->batch_name) > 100)
        return config_fail(c, CONFIG_BATCH, "name", err_r, "expected at most 100 bytes without a slash");
    if (!s->users_file)
        return config_fail(c, CONFIG_BATCH, "users", err_r, "missing; expected a file of users");
    if (c->request->shard_count) {
        s->shard_number = c->request->shard_number;
        s->shard_count = c->request->shard_count;
        if (s->shards && s->shards != s->shard_count)
            return config_refuse(err_r, CONFIG_EXIT_USAGE, "--shard %u/%u: the batch file fixes the count: shards = %u",
                                 s->shard_number, s->shard_count, s->shards);
    } else if (s->shards > 1 && !c->request->local && !c->request->any_shard) {
        return config_refuse(err_r, CONFIG_EXIT_USAGE, "%s: shards = %u: say which one with --shard I/%u", c->name,
                             s->shards, s->shards);
    }
    name_state(c);
    name_split(c);
    return true;
}

/* [source], [target]: the way there */

static bool check_tls(const struct config_state *c, enum config_section section, struct err *err_r)
{
    struct settings_endpoint *e = endpoint(c, section);
    const char *choice = config_given_value(c, section, "tls");
    struct slice word = slice_cstr(choice ? choice : "verify");

    if (!only_with(c, section, "tls-key", "tls-certificate", err_r) ||
        !not_both(c, section, "tls-fingerprint", "tls-crl", err_r))
        return false;
    if (slice_equal_nocase(word, SLICE("verify")))
        return true;
    if (e->tls.has_pin)
        return config_fail(c, section, "tls-fingerprint", err_r, "contradicts tls = %s", choice);
    if (has(c, section, "tls-ca") && e->preset == SETTINGS_PRESET_IMAP)
        return config_fail(c, section, "tls-ca", err_r, "contradicts tls = %s", choice);
    e->tls.verify = false;
    if (slice_equal_nocase(word, SLICE("none")) && e->tls.mode == SETTINGS_TLS_STARTTLS) {
        e->tls.mode = SETTINGS_TLS_NONE;
        config_warn(c, section, "tls", "mail and passwords cross the network in plain text");
    } else {
        config_warn(c, section, "tls",
                    "the certificate is not verified; whoever is in between can read mail and "
                    "passwords");
    }
    return true;
}

static bool is_oauth(enum auth_mechanism auth)
{
    return auth == AUTH_XOAUTH2 || auth == AUTH_OAUTHBEARER;
}

/* Logins of an administrator who then names the user: what they need is another word than
 * admin-user and login-form alone. */
static bool check_become(const struct config_state *c, enum config_section section, struct err *err_r)
{
    const struct settings_endpoint *e = endpoint(c, section);
    const char *word = auth_mechanism_name(e->auth);

    if (e->auth != AUTH_KERIO_MASTER && e->auth != AUTH_PROXYAUTH && e->auth != AUTH_GROUPWISE)
        return true;
    if (e->login_form)
        return config_fail(c, section, "login-form", err_r, "has no meaning with auth = %s", word);
    if (e->auth == AUTH_KERIO_MASTER && e->admin_user)
        return config_fail(c, section, "admin-user", err_r,
                           "has no meaning with auth = %s: the master password has no name", word);
    if (e->auth != AUTH_KERIO_MASTER && !e->admin_user)
        return config_fail(c, section, "admin-user", err_r, "missing; auth = %s needs it", word);
    if (!has(c, section, "admin-password-file") && !e->password_command)
        return config_fail(c, section, "admin-password-file", err_r, "missing; auth = %s needs it", word);
    return true;
}

/* One command for all users gives the administrator's password; one that names the user, each one's own. */
static bool check_command(const struct config_state *c, enum config_section section, struct err *err_r)
{
    const struct settings_endpoint *e = endpoint(c, section);
    bool each;

    if (!e->password_command)
        return true;
    if (e->oauth.grant != SETTINGS_GRANT_NONE || e->auth == AUTH_EXTERNAL)
        return config_fail(c, section, "password-command", err_r, "has no meaning where %s logs in",
                           e->auth == AUTH_EXTERNAL ? "a certificate" : "a token");
    if (!not_both(c, section, "admin-password-file", "password-command", err_r))
        return false;
    each = value_names_user(slice_cstr(e->password_command));
    if (each && settings_admin_logs_in(e))
        return config_fail(c, section, "password-command", err_r,
                           "asks for each user's password, though the administrator logs in for all; leave {user} out, "
                           "or admin-user");
    return each || settings_admin_logs_in(e) ||
           config_fail(c, section, "password-command", err_r,
                       "would give one password for all users: put {user} or {address} in it, or name admin-user");
}

static bool check_login(const struct config_state *c, enum config_section section, struct err *err_r)
{
    const struct settings_endpoint *e = endpoint(c, section);
    bool form_has_admin = false;

    if (e->auth != AUTH_KERIO_MASTER && !only_with(c, section, "admin-password-file", "admin-user", err_r))
        return false;
    if (!check_become(c, section, err_r))
        return false;
    if (e->admin_user && !has(c, section, "admin-password-file") && !e->password_command && e->auth != AUTH_EXTERNAL &&
        !is_oauth(e->auth) && e->oauth.grant == SETTINGS_GRANT_NONE)
        return config_fail(c, section, "admin-password-file", err_r, "missing; admin-user needs a password");
    if (e->login_form && !value_login_form(slice_cstr(e->login_form), &form_has_admin))
        form_has_admin = false;
    if (form_has_admin && !e->admin_user)
        return config_fail(c, section, "login-form", err_r, "has {admin}, which needs admin-user");
    if (e->login_form && e->admin_user && !form_has_admin)
        return config_fail(c, section, "login-form", err_r, "lacks {admin}, though admin-user = %s", e->admin_user);
    if (e->auth == AUTH_EXTERNAL && !e->tls.certificate_file)
        return config_fail(c, section, "tls-certificate", err_r, "missing; auth = external shows a client certificate");
    return true;
}

/* [source], [target]: tokens */

static bool check_tenant(const struct config_state *c, enum config_section section, struct err *err_r)
{
    const char *tenant = endpoint(c, section)->oauth.tenant;

    if (tenant && tenant[strspn(tenant, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                        "0123456789.-")])
        return config_fail(c, section, "tenant", err_r, "expected a domain such as contoso.onmicrosoft.com or a GUID");
    return true;
}

/* A person signs in once; what that gave lies beside the batch's state. */
static bool choose_device_code(const struct config_state *c, enum config_section section, struct err *err_r)
{
    static const char *const others[] = { "certificate", "service-account-file", "refresh-token-file" };
    struct settings_oauth *o = &endpoint(c, section)->oauth;

    if (!only_with(c, section, "device-url", "device-code", err_r))
        return false;
    if (!o->device_code)
        return true;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (!not_both(c, section, others[i], "device-code", err_r))
            return false;
    if (!o->client_id)
        return config_fail(c, section, "client-id", err_r, "missing; device-code = yes needs it");
    if (!o->tenant && !o->token_url)
        return config_fail(c, section, "tenant", err_r, "missing; device-code = yes needs it");
    if (o->token_url && !o->device_url && !slice_ends(slice_cstr(o->token_url), SLICE("/token")))
        return config_fail(c, section, "device-url", err_r, "missing; it does not follow from this token-url");
    o->refresh_token_file =
        mem_format("%s/refresh-token.%s", c->settings->sign_in_folder, config_section_name(section));
    return true;
}

static bool choose_grant(const struct config_state *c, enum config_section section, struct err *err_r)
{
    struct settings_oauth *o = &endpoint(c, section)->oauth;

    if (!not_both(c, section, "client-secret-file", "certificate", err_r) ||
        !not_both(c, section, "refresh-token-file", "certificate", err_r) ||
        !not_both(c, section, "refresh-token-file", "service-account-file", err_r) ||
        !not_both(c, section, "certificate", "service-account-file", err_r) ||
        !not_both(c, section, "client-secret-file", "service-account-file", err_r) ||
        !only_with(c, section, "key", "certificate", err_r) ||
        !only_with(c, section, "signing", "certificate", err_r) ||
        !only_with(c, section, "client-secret-file", "client-id", err_r) ||
        !only_with(c, section, "certificate", "client-id", err_r) ||
        !only_with(c, section, "refresh-token-file", "client-id", err_r) || !check_tenant(c, section, err_r))
        return false;
    if (!choose_device_code(c, section, err_r))
        return false;
    if (has(c, section, "service-account-file"))
        o->grant = SETTINGS_GRANT_SERVICE_ACCOUNT;
    else if (has(c, section, "refresh-token-file") || o->device_code)
        o->grant = SETTINGS_GRANT_REFRESH_TOKEN;
    else if (has(c, section, "certificate"))
        o->grant = SETTINGS_GRANT_CERTIFICATE;
    else if (has(c, section, "client-secret-file") && o->tenant)
        o->grant = SETTINGS_GRANT_CLIENT_SECRET;
    else if (o->client_id)
        o->grant = SETTINGS_GRANT_REFRESH_TOKEN; /* each user's, in users.csv */
    if (o->grant == SETTINGS_GRANT_CERTIFICATE && !o->tenant && !o->token_url)
        return config_fail(c, section, "tenant", err_r, "missing; certificate needs it");
    return true;
}

static bool check_exchange(const struct config_state *c, struct err *err_r)
{
    static const char *const meaningless[] = { "admin-user", "login-form", "admin-password-file",
                                               "service-account-file" };
    const struct settings_endpoint *e = &c->settings->target;

    for (size_t i = 0; i < sizeof meaningless / sizeof *meaningless; i++)
        if (has(c, CONFIG_TARGET, meaningless[i]))
            return config_fail(c, CONFIG_TARGET, meaningless[i], err_r, "has no meaning with preset = exchange-online");
    if (e->auth != AUTH_AUTO && e->auth != AUTH_XOAUTH2)
        return config_fail(c, CONFIG_TARGET, "auth", err_r, "preset = exchange-online takes auto or xoauth2 only");
    if (c->request->local)
        return true;
    if (!e->oauth.tenant)
        return config_fail(c, CONFIG_TARGET, "tenant", err_r,
                           "missing; preset = exchange-online%s needs it, such as contoso.onmicrosoft.com",
                           has(c, CONFIG_TARGET, "preset") ? ""
                                                           : ", which is the default (preset = imap: another server),");
    if (!e->oauth.client_id)
        return config_fail(c, CONFIG_TARGET, "client-id", err_r,
                           "missing; preset = exchange-online needs the application's ID");
    if (!has(c, CONFIG_TARGET, "client-secret-file") && !has(c, CONFIG_TARGET, "certificate") &&
        !has(c, CONFIG_TARGET, "refresh-token-file") && !e->oauth.device_code)
        return config_fail(c, CONFIG_TARGET, "client-secret-file", err_r,
                           "missing; preset = exchange-online needs " CREDENTIALS);
    return true;
}

/* There is nobody to log in to, and no line to be encrypted. */
static bool check_disk(const struct config_state *c, enum config_section section, struct err *err_r)
{
    static const char *const of_disks[] = { "url", "connections", "connections-per-user", "bytes-per-day",
                                            "read-only" };

    if (section == CONFIG_TARGET)
        return config_fail(c, section, "url", err_r, "mail on a disk can only be read: it is no target");
    for (unsigned i = 0; i < config_key_count(); i++) {
        bool fits = !c->given[section][i].value;

        for (size_t k = 0; k < sizeof of_disks / sizeof *of_disks; k++)
            fits |= strcmp(config_keys[i].name, of_disks[k]) == 0;
        if (!fits)
            return config_fail(c, section, config_keys[i].name, err_r, "is of a server; the url names a disk");
    }
    return true;
}

static bool check_endpoint(const struct config_state *c, enum config_section section, struct err *err_r)
{
    const struct settings_endpoint *e = endpoint(c, section);
    bool exchange = e->preset == SETTINGS_PRESET_EXCHANGE_ONLINE;

    if (!exchange && !e->host && !c->request->local)
        return config_fail(c, section, "url", err_r, "missing; expected a server such as imaps://imap.example.edu");
    if (e->disk)
        return check_disk(c, section, err_r);
    if (!choose_grant(c, section, err_r) || (exchange && !check_exchange(c, err_r)))
        return false;
    if (e->oauth.grant != SETTINGS_GRANT_NONE && e->auth != AUTH_AUTO && !is_oauth(e->auth))
        return config_fail(c, section, "auth", err_r,
                           "contradicts the %s that gives tokens; take auto, xoauth2 or "
                           "oauthbearer",
                           settings_grant_name(e->oauth.grant));
    return check_tls(c, section, err_r) && check_login(c, section, err_r) && check_command(c, section, err_r);
}

static bool check_patterns(const struct config_state *c, const char *key, const struct settings_list *list,
                           struct err *err_r)
{
    const char *fault = names_pattern_fault(list);

    return !fault || config_fail(c, CONFIG_POLICY, key, err_r,
                                 "%.60s: no such role; there are " NAMES_PATTERN_ROLES "; for a name write \\#", fault);
}

static bool check_policy(const struct config_state *c, struct err *err_r)
{
    const struct settings_policy *p = &c->settings->policy;

    if (!check_patterns(c, "exclude-folders", &p->exclude_folders, err_r) ||
        !check_patterns(c, "include-folders", &p->include_folders, err_r))
        return false;
    if (p->since_s != SETTINGS_NO_SINCE && p->before_s != SETTINGS_NO_BEFORE && p->since_s >= p->before_s)
        return config_fail(c, CONFIG_POLICY, "before", err_r, "is not after since, so that no message would move");
    if (p->since_s != SETTINGS_NO_SINCE && p->since_s > time(NULL))
        config_warn(c, CONFIG_POLICY, "since", "is in the future, so that no message moves before it");
    return true;
}

/* Files */

static bool read_secret(const struct config_state *c, enum config_section section, const struct config_key *key,
                        const char *path, struct err *err_r)
{
    struct secret **field = (void *)((char *)config_section_base(section, c->settings) + key->offset);
    bool by_others = false;
    struct err why;

    secret_destroy(field);
    if (!secret_read_file(path, field, &by_others, &why))
        return config_fail(c, section, key->name, err_r, "%s", why.server_text);
    if (by_others)
        config_warn(c, section, key->name, "%s: others may read this secret; chmod 600 helps", config_text_name(path));
    return true;
}

/* needed: it is going to be read. */
static bool check_file(const struct config_state *c, enum config_section section, const struct config_key *key,
                       const char *value, bool needed, struct err *err_r)
{
    char *text, *path;
    struct stat st;
    bool ok = true;

    if (!value_text(slice_cstr(value), &text))
        return !needed || config_fail(c, section, key->name, err_r, "expected a file");
    path = config_file_path(slice_cstr(text), c->request->batch_file);
    free(text);
    if (path)
        settings_list_add(&c->settings->input_files, slice_cstr(path));
    if (!path)
        ok = !needed || config_fail(c, section, key->name, err_r, "expected a file");
    else if (!needed)
        ok = true;
    else if (key->kind == CONFIG_SECRET)
        ok = read_secret(c, section, key, path, err_r);
    else if (access(path, R_OK) != 0)
        ok = config_fail(c, section, key->name, err_r, "%s: %s", config_text_name(path), strerror(errno));
    else if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) /* a pipe can be read once, and may never give anything */
        ok = config_fail(c, section, key->name, err_r, "%s: not a file that can be read again", config_text_name(path));
    free(path);
    return ok;
}

static bool check_files(const struct config_state *c, struct err *err_r)
{
    for (unsigned section = 0; section < CONFIG_FOLDERS; section++)
        for (unsigned i = 0; i < config_key_count(); i++) {
            const struct config_key *key = &config_keys[i];
            const char *value = c->given[section][i].value;
            /* The spool's key is needed wherever the spool is read. */
            bool needed = !c->request->local || section == CONFIG_BATCH;

            if (value && (key->kind == CONFIG_FILE || key->kind == CONFIG_SECRET) &&
                !check_file(c, (enum config_section)section, key, value, needed, err_r))
                return false;
        }
    return true;
}

bool config_check(struct config_state *c, struct err *err_r)
{
    if (!check_batch(c, err_r) || !check_endpoint(c, CONFIG_SOURCE, err_r) ||
        !check_endpoint(c, CONFIG_TARGET, err_r) || !check_policy(c, err_r) || !check_files(c, err_r))
        return false;
    c->settings->source.connections_said = config_given_value(c, CONFIG_SOURCE, "connections") != NULL;
    c->settings->source.per_user_said = config_given_value(c, CONFIG_SOURCE, "connections-per-user") != NULL;
    settings_finish(c->settings);
    return true;
}
