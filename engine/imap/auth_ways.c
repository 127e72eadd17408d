/* Which ways of logging in there are, in which order they are tried, and which name is logged in with. */
#include "engine/imap/auth_private.h"

#include "engine/imap/auth_message.h"
#include "engine/imap/scram.h"
#include "engine/imap/windows1252.h"

#include <assert.h>

static const char *const mechanism_names[AUTH_MECHANISM_COUNT] = {
    [AUTH_AUTO] = "auto",
    [AUTH_PLAIN] = "plain",
    [AUTH_LOGIN] = "login",
    [AUTH_CRAM_MD5] = "cram-md5",
    [AUTH_SCRAM_SHA_1] = "scram-sha-1",
    [AUTH_SCRAM_SHA_256] = "scram-sha-256",
    [AUTH_XOAUTH2] = "xoauth2",
    [AUTH_OAUTHBEARER] = "oauthbearer",
    [AUTH_EXTERNAL] = "external",
    [AUTH_KERIO_MASTER] = "kerio-master",
    [AUTH_PROXYAUTH] = "proxyauth",
    [AUTH_GROUPWISE] = "groupwise",
};

static const struct {
    const char *name;
    enum auth_mechanism mechanism;
    enum cap cap;
    unsigned traits;
} ways[AUTH_WAY_COUNT] = {
    [AUTH_WAY_NONE] = { "", AUTH_AUTO, CAP_AUTH_OTHER, 0 },
    [AUTH_WAY_XOAUTH2] = { "XOAUTH2", AUTH_XOAUTH2, CAP_AUTH_XOAUTH2,
                           AUTH_NEEDS_TOKEN | AUTH_IN_CLEAR | AUTH_CLIENT_FIRST },
    [AUTH_WAY_OAUTHBEARER] = { "OAUTHBEARER", AUTH_OAUTHBEARER, CAP_AUTH_OAUTHBEARER,
                               AUTH_NEEDS_TOKEN | AUTH_IN_CLEAR | AUTH_CLIENT_FIRST },
    [AUTH_WAY_EXTERNAL] = { "EXTERNAL", AUTH_EXTERNAL, CAP_AUTH_EXTERNAL, AUTH_CLIENT_FIRST | AUTH_TAKES_AUTHZID },
    [AUTH_WAY_SCRAM_SHA_256_PLUS] = { "SCRAM-SHA-256-PLUS", AUTH_SCRAM_SHA_256, CAP_AUTH_SCRAM_SHA_256_PLUS,
                                      AUTH_NEEDS_PASSWORD | AUTH_CLIENT_FIRST | AUTH_BY_SCRAM | AUTH_PLUS |
                                          AUTH_TAKES_AUTHZID },
    [AUTH_WAY_SCRAM_SHA_256] = { "SCRAM-SHA-256", AUTH_SCRAM_SHA_256, CAP_AUTH_SCRAM_SHA_256,
                                 AUTH_NEEDS_PASSWORD | AUTH_CLIENT_FIRST | AUTH_BY_SCRAM | AUTH_TAKES_AUTHZID },
    [AUTH_WAY_SCRAM_SHA_1_PLUS] = { "SCRAM-SHA-1-PLUS", AUTH_SCRAM_SHA_1, CAP_AUTH_SCRAM_SHA_1_PLUS,
                                    AUTH_NEEDS_PASSWORD | AUTH_CLIENT_FIRST | AUTH_BY_SCRAM | AUTH_PLUS |
                                        AUTH_TAKES_AUTHZID },
    [AUTH_WAY_SCRAM_SHA_1] = { "SCRAM-SHA-1", AUTH_SCRAM_SHA_1, CAP_AUTH_SCRAM_SHA_1,
                               AUTH_NEEDS_PASSWORD | AUTH_CLIENT_FIRST | AUTH_BY_SCRAM | AUTH_TAKES_AUTHZID },
    [AUTH_WAY_CRAM_MD5] = { "CRAM-MD5", AUTH_CRAM_MD5, CAP_AUTH_CRAM_MD5, AUTH_NEEDS_PASSWORD | AUTH_BY_GSASL },
    [AUTH_WAY_PLAIN] = { "PLAIN", AUTH_PLAIN, CAP_AUTH_PLAIN,
                         AUTH_NEEDS_PASSWORD | AUTH_IN_CLEAR | AUTH_CLIENT_FIRST | AUTH_TAKES_AUTHZID },
    [AUTH_WAY_COMMAND] = { "LOGIN", AUTH_LOGIN, CAP_IMAP4REV1, AUTH_NEEDS_PASSWORD | AUTH_IN_CLEAR },
    [AUTH_WAY_LOGIN] = { "LOGIN", AUTH_LOGIN, CAP_AUTH_LOGIN, AUTH_NEEDS_PASSWORD | AUTH_IN_CLEAR },
    [AUTH_WAY_KERIO] = { "X-MASTERAUTH", AUTH_KERIO_MASTER, CAP_AUTH_OTHER, AUTH_NEEDS_PASSWORD },
    [AUTH_WAY_GROUPWISE] = { "XGWTRUSTEDAPP", AUTH_GROUPWISE, CAP_AUTH_OTHER, AUTH_NEEDS_PASSWORD | AUTH_IN_CLEAR },
};

/* With TLS around it, a password in PLAIN is as safe as the store that checks it, and works with
 * every store; CRAM-MD5 needs one that keeps clear passwords. */
static const enum auth_way order_tls[] = {
    AUTH_WAY_XOAUTH2,       AUTH_WAY_OAUTHBEARER,      AUTH_WAY_SCRAM_SHA_256_PLUS,
    AUTH_WAY_SCRAM_SHA_256, AUTH_WAY_SCRAM_SHA_1_PLUS, AUTH_WAY_SCRAM_SHA_1,
    AUTH_WAY_PLAIN,         AUTH_WAY_COMMAND,          AUTH_WAY_LOGIN,
    AUTH_WAY_CRAM_MD5,      AUTH_WAY_EXTERNAL,
};
static const enum auth_way order_clear[] = {
    AUTH_WAY_SCRAM_SHA_256, AUTH_WAY_SCRAM_SHA_1, AUTH_WAY_CRAM_MD5,    AUTH_WAY_PLAIN,    AUTH_WAY_COMMAND,
    AUTH_WAY_LOGIN,         AUTH_WAY_XOAUTH2,     AUTH_WAY_OAUTHBEARER, AUTH_WAY_EXTERNAL,
};
/* GNU Mailutils' imap4d offers whatever its SASL library has a name for, also what signs in through a web
 * browser, and does none of it by the table of users that it is set up with: a challenge made from a
 * password would be taken for a wrong one (L25). */
static const enum auth_way order_library[] = {
    AUTH_WAY_PLAIN,         AUTH_WAY_COMMAND,          AUTH_WAY_LOGIN,       AUTH_WAY_SCRAM_SHA_256_PLUS,
    AUTH_WAY_SCRAM_SHA_256, AUTH_WAY_SCRAM_SHA_1_PLUS, AUTH_WAY_SCRAM_SHA_1, AUTH_WAY_CRAM_MD5,
    AUTH_WAY_EXTERNAL,
};
/* A combined name is understood by the plain checks only; Exchange wants the command (A5). */
static const enum auth_way order_form[] = { AUTH_WAY_COMMAND, AUTH_WAY_PLAIN, AUTH_WAY_LOGIN };
/* An administrator's authorization identity is known best with PLAIN (A5). */
static const enum auth_way order_authzid[] = { AUTH_WAY_PLAIN,         AUTH_WAY_SCRAM_SHA_256_PLUS,
                                               AUTH_WAY_SCRAM_SHA_256, AUTH_WAY_SCRAM_SHA_1_PLUS,
                                               AUTH_WAY_SCRAM_SHA_1,   AUTH_WAY_EXTERNAL };
/* Only where the user named them. */
static const enum auth_way order_kerio[] = { AUTH_WAY_KERIO };
static const enum auth_way order_groupwise[] = { AUTH_WAY_GROUPWISE };

const char *auth_mechanism_name(enum auth_mechanism mechanism)
{
    assert((unsigned)mechanism < AUTH_MECHANISM_COUNT);
    return mechanism_names[mechanism];
}

bool auth_mechanism_parse(const char *name, enum auth_mechanism *mechanism_r)
{
    for (unsigned i = 0; i < AUTH_MECHANISM_COUNT; i++) {
        if (slice_equal_nocase(slice_cstr(name), slice_cstr(mechanism_names[i]))) {
            *mechanism_r = (enum auth_mechanism)i;
            return true;
        }
    }
    return false;
}

const char *auth_way_name(enum auth_way way)
{
    assert((unsigned)way < AUTH_WAY_COUNT);
    return ways[way].name;
}

enum auth_mechanism auth_way_mechanism(enum auth_way way)
{
    assert((unsigned)way < AUTH_WAY_COUNT);
    return ways[way].mechanism;
}

unsigned auth_way_traits(enum auth_way way)
{
    assert((unsigned)way < AUTH_WAY_COUNT);
    return ways[way].traits;
}

const char *auth_way_command(enum auth_way way)
{
    static const char *const commands[AUTH_WAY_COUNT] = {
        [AUTH_WAY_XOAUTH2] = "AUTHENTICATE XOAUTH2",
        [AUTH_WAY_OAUTHBEARER] = "AUTHENTICATE OAUTHBEARER",
        [AUTH_WAY_EXTERNAL] = "AUTHENTICATE EXTERNAL",
        [AUTH_WAY_SCRAM_SHA_256_PLUS] = "AUTHENTICATE SCRAM-SHA-256-PLUS",
        [AUTH_WAY_SCRAM_SHA_256] = "AUTHENTICATE SCRAM-SHA-256",
        [AUTH_WAY_SCRAM_SHA_1_PLUS] = "AUTHENTICATE SCRAM-SHA-1-PLUS",
        [AUTH_WAY_SCRAM_SHA_1] = "AUTHENTICATE SCRAM-SHA-1",
        [AUTH_WAY_CRAM_MD5] = "AUTHENTICATE CRAM-MD5",
        [AUTH_WAY_PLAIN] = "AUTHENTICATE PLAIN",
        [AUTH_WAY_LOGIN] = "AUTHENTICATE LOGIN",
        [AUTH_WAY_KERIO] = "X-MASTERAUTH",
        [AUTH_WAY_GROUPWISE] = "AUTHENTICATE XGWTRUSTEDAPP",
    };

    assert((unsigned)way < AUTH_WAY_COUNT && commands[way]);
    return commands[way];
}

const char *auth_become(const struct auth_config *config)
{
    return config->mechanism == AUTH_KERIO_MASTER ? "X-SETUSER"
           : config->mechanism == AUTH_PROXYAUTH  ? "PROXYAUTH"
           : config->mechanism == AUTH_GROUPWISE  ? "LOGIN"
                                                  : NULL;
}

static bool has_admin(const struct auth_config *config)
{
    return config->admin_user && config->admin_user[0];
}

static bool has_form(const struct auth_config *config)
{
    return has_admin(config) && config->login_form && config->login_form[0] && !auth_become(config);
}

bool auth_has_authzid(const struct auth_config *config)
{
    return has_admin(config) && !has_form(config) && !auth_become(config);
}

static bool offered(enum auth_way way, const struct caps *caps)
{
    if (way == AUTH_WAY_COMMAND)
        return !caps_has(caps, CAP_LOGINDISABLED);
    /* These two are asked for by name, and not every version lists them. */
    if (way == AUTH_WAY_KERIO || way == AUTH_WAY_GROUPWISE)
        return true;
    return caps_has(caps, ways[way].cap);
}

/* Fits configuration and credentials, whatever the server offers. */
static bool fits(enum auth_way way, const struct auth_config *config, bool tls, const struct ssl_st *ssl)
{
    unsigned traits = ways[way].traits;

    bool any = config->mechanism == AUTH_AUTO || config->mechanism == AUTH_PROXYAUTH;

    if (!any && config->mechanism != ways[way].mechanism)
        return false;
    if (any && way == AUTH_WAY_EXTERNAL && (config->password || config->token))
        return false;
    if (((traits & AUTH_NEEDS_PASSWORD) && !config->password) || ((traits & AUTH_NEEDS_TOKEN) && !config->token))
        return false;
    if ((traits & AUTH_IN_CLEAR) && !tls && !config->plaintext_allowed)
        return false;
    if ((traits & AUTH_PLUS) && !scram_can_bind(ssl))
        return false;
    return !auth_has_authzid(config) || (traits & AUTH_TAKES_AUTHZID) || (traits & AUTH_NEEDS_TOKEN);
}

struct order {
    const enum auth_way *ways;
    unsigned count;
};
#define ORDER(ways) ((struct order){ ways, sizeof ways / sizeof *ways })

static bool offers_its_library(const struct caps *caps)
{
    return slice_find_nocase(slice_cstr(caps->text), SLICE("AUTH=OPENID20")) != SIZE_MAX ||
           slice_find_nocase(slice_cstr(caps->text), SLICE("AUTH=SAML20")) != SIZE_MAX;
}

static struct order order_of(const struct auth_config *config, const struct caps *caps, bool tls)
{
    if (config->mechanism == AUTH_KERIO_MASTER)
        return ORDER(order_kerio);
    if (config->mechanism == AUTH_GROUPWISE)
        return ORDER(order_groupwise);
    if (config->mechanism == AUTH_AUTO && !config->token && has_form(config))
        return ORDER(order_form);
    if (config->mechanism == AUTH_AUTO && !config->token && auth_has_authzid(config) && tls)
        return ORDER(order_authzid);
    if (config->mechanism == AUTH_AUTO && !config->token && tls && offers_its_library(caps))
        return ORDER(order_library);
    return tls ? ORDER(order_tls) : ORDER(order_clear);
}

bool auth_choose(const struct auth_config *config, const struct caps *caps, bool tls, const struct ssl_st *ssl,
                 unsigned tried, enum auth_way *way_r, struct err *err_r)
{
    struct order order = order_of(config, caps, tls);
    bool fitting = false;

    for (unsigned i = 0; i < order.count; i++) {
        enum auth_way way = order.ways[i];

        if (!fits(way, config, tls, ssl))
            continue;
        fitting = true;
        if (!(tried & (1u << way)) && offered(way, caps)) {
            *way_r = way;
            return true;
        }
    }
    if (!tls && !config->plaintext_allowed && !fitting)
        return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_CONFIG, 0,
                       "no way to log in without TLS that keeps the password secret");
    if (!fitting)
        return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_CONFIG, 0,
                       "no credentials for auth = %s", mechanism_names[config->mechanism]);
    return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_CONFIG, 0,
                   "the server offers no login for auth = %s%s; it offers: %s", mechanism_names[config->mechanism],
                   tried ? " that is left to try" : "", caps->text);
}

bool auth_append_text(const struct auth_config *config, struct slice text, struct buf *out)
{
    return config->windows_1252 ? windows1252_append(text, out) : buf_append(out, text);
}

bool auth_password(const struct auth_config *config, struct buf *out)
{
    return auth_append_text(config, secret_peek(config->password), out);
}

bool auth_login_name(const struct auth_config *config, struct buf *out)
{
    struct slice user = slice_cstr(config->user), admin = slice_cstr(config->admin_user);
    struct slice form = slice_cstr(config->login_form), domain;
    size_t at = slice_find(user, '@');

    if (!has_form(config))
        return auth_append_text(config, has_admin(config) ? admin : user, out);
    domain = at == SIZE_MAX ? SLICE("") : slice_from(user, at + 1);
    /* Where the form writes the domain itself, the user is what stands before it. */
    if (slice_find_nocase(form, SLICE("{domain}")) != SIZE_MAX)
        user = slice_first(user, at);
    while (form.size) {
        static const char *const names[] = { "{user}", "{admin}", "{domain}" };
        const struct slice values[] = { user, admin, domain };
        unsigned i;

        for (i = 0; i < 3; i++)
            if (slice_starts_nocase(form, slice_cstr(names[i])))
                break;
        if (!auth_append_text(config, i < 3 ? values[i] : slice_first(form, 1), out))
            return false;
        form = slice_from(form, i < 3 ? strlen(names[i]) : 1);
    }
    return true;
}
