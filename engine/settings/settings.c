#include "engine/settings/settings.h"

#include "io/base/mem.h"
#include "store/codec.h"

#include <assert.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

_Static_assert(SETTINGS_LOGIN_BYTES_MAX == CODEC_USER_NAME_BYTES_MAX, "what is taken can be kept");

#define TLS_1_2 0x0303

#define SETTLE_EXCHANGE_MS 60000 /* a dropped APPEND shows up in a mailbox late */
#define SETTLE_IMAP_MS     5000

#define CONNECTIONS_IMAP     64
#define CONNECTIONS_EXCHANGE 512

struct cloud_hosts {
    const char *login_host;
    const char *imap_host;
    const char *app_scope;
    const char *user_scope;
};

static const struct cloud_hosts clouds[] = {
    [SETTINGS_CLOUD_GLOBAL] = { "login.microsoftonline.com", "outlook.office365.com",
                                "https://outlook.office365.com/.default",
                                "https://outlook.office.com/IMAP.AccessAsUser.All offline_access" },
    [SETTINGS_CLOUD_US_GOV] = { "login.microsoftonline.us", "outlook.office365.us",
                                "https://outlook.office365.us/.default",
                                "https://outlook.office365.us/IMAP.AccessAsUser.All "
                                "offline_access" },
    [SETTINGS_CLOUD_US_DOD] = { "login.microsoftonline.us", "outlook-dod.office365.us",
                                "https://outlook-dod.office365.us/.default",
                                "https://outlook-dod.office365.us/IMAP.AccessAsUser.All "
                                "offline_access" },
    [SETTINGS_CLOUD_CHINA] = { "login.partner.microsoftonline.cn", "partner.outlook.cn",
                               "https://partner.outlook.cn/.default",
                               "https://partner.outlook.cn/IMAP.AccessAsUser.All offline_access" },
};
_Static_assert(sizeof clouds / sizeof *clouds == SETTINGS_CLOUD_COUNT, "a row a cloud");

static const char *const grant_names[] = { "none", "client secret", "certificate", "refresh token", "service account" };
_Static_assert(sizeof grant_names / sizeof *grant_names == SETTINGS_GRANT_COUNT, "a name a grant");

const char *settings_grant_name(enum settings_grant grant)
{
    assert((unsigned)grant < SETTINGS_GRANT_COUNT);
    return grant_names[grant];
}

/* Creation and destruction */

static void endpoint_init(struct settings_endpoint *e)
{
    e->tls.verify = true;
    e->tls.min_version = TLS_1_2;
    e->connections_per_user = 4;
    e->settle_ms = SETTINGS_SETTLE_AUTO;
}

struct settings *settings_create(void)
{
    struct settings *s = mem_zero(1, sizeof *s);

    s->memory_max_bytes = 2000000000;
    s->spool_max_bytes = 200000000000;
    endpoint_init(&s->source);
    endpoint_init(&s->target);
    s->source.preset = SETTINGS_PRESET_IMAP;
    s->target.preset = SETTINGS_PRESET_EXCHANGE_ONLINE;
    s->policy.max_message_bytes = 35000000;
    s->policy.transient_failure_limit = 60;
    s->policy.deletions_max = 50;
    s->policy.deletions_percent_max = 20;
    s->policy.retry_wait_ms = 1000;
    s->policy.since_s = SETTINGS_NO_SINCE;
    s->policy.before_s = SETTINGS_NO_BEFORE;
    s->shard_number = 1;
    s->shard_count = 1;
    return s;
}

static void endpoint_deinit(struct settings_endpoint *e)
{
    free(e->host);
    free(e->disk);
    free(e->tls.ca_file);
    free(e->tls.crl_file);
    free(e->tls.certificate_file);
    free(e->tls.key_file);
    free(e->admin_user);
    free(e->login_form);
    free(e->password_command);
    free(e->proxy.host);
    secret_destroy(&e->proxy.user);
    secret_destroy(&e->proxy.password);
    secret_destroy(&e->admin_password);
    free(e->oauth.token_url);
    free(e->oauth.scope);
    free(e->oauth.tenant);
    free(e->oauth.client_id);
    secret_destroy(&e->oauth.client_secret);
    free(e->oauth.certificate_file);
    free(e->oauth.key_file);
    free(e->oauth.refresh_token_file);
    free(e->oauth.service_account_file);
    free(e->oauth.device_url);
}

/* Frees what the row holds. */
static void settings_user_deinit(struct settings_user *user)
{
    free(user->email_address);
    free(user->user_name);
    secret_destroy(&user->password);
    free(user->user_root);
    free(user->target_user_name);
    secret_destroy(&user->target_password);
    free(user->password_file);
    free(user->wave);
    if (user->exclude_folders) {
        settings_list_deinit(user->exclude_folders);
        free(user->exclude_folders);
    }
    memset(user, 0, sizeof *user);
}

void settings_destroy(struct settings **s_r)
{
    struct settings *s = *s_r;

    if (!s)
        return;
    free(s->batch_name);
    free(s->batch_file);
    free(s->users_file);
    free(s->split_file);
    free(s->state_folder);
    free(s->sign_in_folder);
    free(s->ledger_folder);
    free(s->status_file);
    free(s->listen);
    free(s->listen_certificate);
    free(s->listen_key);
    secret_destroy(&s->listen_token);
    secret_destroy(&s->spool_key);
    endpoint_deinit(&s->source);
    endpoint_deinit(&s->target);
    settings_list_deinit(&s->rehearse);
    settings_list_deinit(&s->input_files);
    settings_list_deinit(&s->policy.exclude_folders);
    settings_list_deinit(&s->policy.include_folders);
    settings_list_deinit(&s->policy.label_priority);
    for (size_t i = 0; i < s->folder_count; i++) {
        free(s->folders[i].source);
        free(s->folders[i].target);
    }
    free(s->folders);
    for (size_t i = 0; i < s->user_count; i++)
        settings_user_deinit(&s->users[i]);
    free(s->users);
    settings_list_deinit(&s->user_faults);
    settings_list_deinit(&s->only_users);
    settings_list_deinit(&s->but_users);
    settings_list_deinit(&s->waves);
    settings_list_deinit(&s->accept_counts);
    settings_list_deinit(&s->accept_deletions);
    free(s);
    *s_r = NULL;
}

/* Lists and rows */

/* Room is a power of two that follows from the count, so that no field holds it. */
static bool is_full(size_t count)
{
    return (count & (count - 1)) == 0;
}

static size_t next_room(size_t count)
{
    return count ? 2 * count : 1;
}

void settings_list_add(struct settings_list *list, struct slice item)
{
    if (is_full(list->count))
        list->items = mem_resize(list->items, next_room(list->count), sizeof *list->items);
    list->items[list->count++] = slice_dup(item);
}

bool settings_list_has_user(const struct settings_list *list, const struct settings_user *user)
{
    for (size_t i = 0; i < list->count; i++)
        if (slice_equal_nocase(slice_cstr(list->items[i]), slice_cstr(user->email_address)) ||
            strcmp(list->items[i], user->user_name) == 0)
            return true;
    return false;
}

void settings_list_deinit(struct settings_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct settings_list){ NULL, 0 };
}

struct settings_user *settings_user_add(struct settings *s)
{
    if (is_full(s->user_count))
        s->users = mem_resize(s->users, next_room(s->user_count), sizeof *s->users);
    memset(&s->users[s->user_count], 0, sizeof *s->users);
    return &s->users[s->user_count++];
}

void settings_users_keep(struct settings *s, bool (*keep)(void *context, const struct settings_user *user),
                         void *context)
{
    size_t kept = 0;

    for (size_t i = 0; i < s->user_count; i++) {
        if (keep(context, &s->users[i]))
            s->users[kept++] = s->users[i];
        else
            settings_user_deinit(&s->users[i]);
    }
    s->user_count = kept;
    /* Restores "room follows from the count" for the next settings_user_add. */
    if (kept) {
        size_t room = 1;

        while (room < kept)
            room *= 2;
        s->users = mem_resize(s->users, room, sizeof *s->users);
    } else {
        free(s->users);
        s->users = NULL;
    }
}

/* Decisions */

static void fill(char **field, const char *value)
{
    if (!*field)
        *field = mem_text(value);
}

/* Microsoft's two addresses differ in their last word. */
static char *device_url_beside(const char *token_url)
{
    struct slice url = slice_cstr(token_url);

    return slice_ends(url, SLICE("/token")) ? mem_format("%.*sdevicecode", (int)(url.size - 5), url.data)
                                            : mem_text(token_url);
}

static void finish_oauth(struct settings_endpoint *e)
{
    struct settings_oauth *o = &e->oauth;
    const struct cloud_hosts *cloud = &clouds[e->cloud];

    if (o->grant == SETTINGS_GRANT_NONE)
        return;
    if (o->tenant && o->grant != SETTINGS_GRANT_SERVICE_ACCOUNT) {
        if (!o->token_url)
            o->token_url = mem_format("https://%s/%s/oauth2/v2.0/token", cloud->login_host, o->tenant);
        fill(&o->scope, o->grant == SETTINGS_GRANT_REFRESH_TOKEN ? cloud->user_scope : cloud->app_scope);
    } else {
        fill(&o->token_url, "https://oauth2.googleapis.com/token");
        fill(&o->scope, "https://mail.google.com/");
    }
    if (o->device_code && !o->device_url)
        o->device_url = device_url_beside(o->token_url);
}

static void finish_endpoint(struct settings_endpoint *e)
{
    bool exchange = e->preset == SETTINGS_PRESET_EXCHANGE_ONLINE;

    if (exchange) {
        fill(&e->host, clouds[e->cloud].imap_host);
        if (e->auth == AUTH_AUTO)
            e->auth = AUTH_XOAUTH2;
    }
    if (e->port == 0)
        e->port = e->tls.mode == SETTINGS_TLS_IMPLICIT ? 993 : 143;
    if (e->connections == 0)
        e->connections = exchange ? CONNECTIONS_EXCHANGE : CONNECTIONS_IMAP;
    if (e->settle_ms == SETTINGS_SETTLE_AUTO)
        e->settle_ms = exchange ? SETTLE_EXCHANGE_MS : SETTLE_IMAP_MS;
    finish_oauth(e);
}

void settings_finish(struct settings *s)
{
    finish_endpoint(&s->source);
    finish_endpoint(&s->target);
    for (size_t i = 0; i < s->user_count; i++)
        if (s->users[i].email_address)
            fill(&s->users[i].target_user_name, s->users[i].email_address);
}

const char *settings_shard_ending(unsigned number, unsigned of, char out[SETTINGS_SHARD_ENDING_BYTES])
{
    snprintf(out, SETTINGS_SHARD_ENDING_BYTES, ".%u-of-%u", number, of);
    return out;
}

bool settings_user_in_shard(struct slice email_address, unsigned number, unsigned count)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    uint64_t value = 0;
    char *folded;

    assert(count >= 1 && number >= 1 && number <= count);
    if (count == 1)
        return true;
    folded = slice_dup_folded(email_address);
    SHA256((const unsigned char *)folded, email_address.size, digest);
    free(folded);
    for (int i = 0; i < 8; i++)
        value = value << 8 | digest[i];
    return value % count == number - 1;
}

bool settings_window_open(const struct settings_window *window, unsigned minute)
{
    if (!window->set)
        return true;
    if (window->opens_minute < window->closes_minute)
        return minute >= window->opens_minute && minute < window->closes_minute;
    return minute >= window->opens_minute || minute < window->closes_minute;
}

void settings_tls_config(const struct settings_tls *tls, struct tls_config *config_r)
{
    *config_r = (struct tls_config){
        .ca_file = tls->ca_file,
        .crl_file = tls->crl_file,
        .pin = tls->has_pin ? tls->pin : NULL,
        .certificate_file = tls->certificate_file,
        .key_file = tls->key_file,
        .min_version = tls->min_version,
        .security_level = tls->security_level,
        .verify = tls->verify,
    };
}

bool settings_reaches_target(const struct settings *s, const struct settings_user *user)
{
    return user->target_password || s->target.admin_password || s->target.password_command ||
           s->target.oauth.grant != SETTINGS_GRANT_NONE;
}
