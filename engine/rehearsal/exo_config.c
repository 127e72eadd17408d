#include "engine/rehearsal/exo.h"
#include "engine/rehearsal/exo_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { TEXT, U16, U32, U64, REAL, BOOL, WORD };

struct row {
    const char *key;
    enum kind kind;
    bool live;
    size_t offset, size;
    const char *words; /* WORD: in the order of the enum */
    const char *meaning;
};

#define ROW(kind, live, name, key, meaning)                                                                            \
    {                                                                                                                  \
        key, kind, live, offsetof(struct exo_config, name), sizeof((struct exo_config *)0)->name, NULL, meaning        \
    }
#define ROW_WORD(name, key, words, meaning)                                                                            \
    {                                                                                                                  \
        key, WORD, true, offsetof(struct exo_config, name), sizeof((struct exo_config *)0)->name, words, meaning       \
    }

static const struct row rows[] = {
    ROW(TEXT, false, folder, "folder", "where ca.pem is written"),
    ROW(TEXT, false, certificate, "certificate", "PEM file of the server; made when absent"),
    ROW(TEXT, false, key, "key", "PEM file of its key"),
    ROW(TEXT, false, ca, "ca", "PEM file of the CA that signed it"),
    ROW(U16, false, imap_port, "imap-port", "IMAP over TLS; 0 any"),
    ROW(U16, false, imap_plain_port, "imap-plain-port", "IMAP without TLS; -1 none"),
    ROW(U16, false, token_port, "token-port", "token endpoint, HTTPS; 0 any"),
    ROW(U16, false, control_port, "control-port", "control endpoint, HTTP; -1 none"),
    ROW(U32, false, threads, "threads", "1..64"),
    ROW(U64, false, seed, "seed", "of every random choice"),
    ROW(TEXT, false, tenant, "tenant", "name"),
    ROW(TEXT, false, tenant_id, "tenant-id", "GUID"),
    ROW(TEXT, false, client_id, "client-id", "of the registered application"),
    ROW(TEXT, false, client_secret, "client-secret", "value; empty: none"),
    ROW(TEXT, false, client_certificate, "client-certificate", "PEM file assertions verify with"),
    ROW(TEXT, false, domain, "domain", "of generated mailboxes"),
    ROW(U32, false, mailbox_count, "mailbox-count", "user0001@domain ... at start"),
    ROW(BOOL, true, mailbox_auto, "mailbox-auto", "a login makes the mailbox"),
    ROW(TEXT, true, language, "language", "en de fr es it nl pl ru ja ko tr"),
    ROW_WORD(front_end, "front-end", "classic 2026", "classic or 2026"),
    ROW_WORD(refusal, "refusal", "swallow desync close", "of a LITERAL+ body"),
    ROW_WORD(keep, "keep", "id header body", "of messages, in memory"),
    ROW_WORD(view, "view", "noop command live", "when a selected folder shows new mail"),
    ROW(BOOL, true, special_use, "special-use", "LIST carries \\Sent and the like"),
    ROW(BOOL, true, appenduid, "appenduid", "in the OK of APPEND"),
    ROW_WORD(appendlimit, "appendlimit", "no yes bare", "message-bytes-max told: all at once, or by STATUS"),
    ROW(BOOL, true, literal_plus, "literal-plus", "offered and accepted"),
    ROW(BOOL, true, idle, "idle", "IDLE offered"),
    ROW(BOOL, true, trycreate, "trycreate", "[TRYCREATE] for a missing folder"),
    ROW(BOOL, true, keywords_refused, "keywords-refused", "in APPEND; else dropped"),
    ROW(BOOL, true, rewrite, "rewrite", "messages read back regenerated"),
    ROW(BOOL, true, auth_json, "auth-json", "JSON challenge before NO"),
    ROW(BOOL, true, plain_auth, "plain-auth", "LOGIN and PLAIN with plain-password"),
    ROW(TEXT, true, plain_password, "plain-password", "of every mailbox"),
    ROW(U32, true, append_ms, "append-ms", "latency of an APPEND"),
    ROW(U32, true, append_ms_per_mb, "append-ms-per-mb", "more, per million bytes"),
    ROW(U32, true, plus_ms, "plus-ms", "latency of a continuation"),
    ROW(U32, true, command_ms, "command-ms", "latency of other commands"),
    ROW(U32, true, login_ms, "login-ms", "latency of a login"),
    ROW(U32, true, jitter_percent, "jitter-percent", "0..100"),
    ROW(U32, true, knee_inflight, "knee-inflight", "APPENDs at once before latency grows"),
    ROW(U32, true, line_max, "line-max", "bytes of a command line"),
    ROW(U32, true, body_line_max, "body-line-max", "bytes of a line of a message; 0 off"),
    ROW(BOOL, true, nul_refused, "nul-refused", "messages with NUL"),
    ROW(BOOL, true, bare_refused, "bare-refused", "messages with bare LF or CR"),
    ROW(BOOL, true, header_bytes_refused, "header-bytes-refused", "messages with an 8-bit header"),
    ROW(U64, true, message_bytes_max, "message-bytes-max", "size limit"),
    ROW(U64, true, quota_bytes, "quota-bytes", "per mailbox; 0 off"),
    ROW(U32, true, connections_max, "connections-max", "per mailbox; 0 off"),
    ROW(U32, true, reconnect_window_ms, "reconnect-window-ms", "0 off"),
    ROW(U32, true, reconnect_max, "reconnect-max", "logins in the window before punishment"),
    ROW(U32, true, errors_max, "errors-max", "NO and BAD before BYE 14; 0 off"),
    ROW(U32, true, idle_ms, "idle-ms", "silence before BYE 13; 0 off"),
    ROW(U32, true, preauth_ms, "preauth-ms", "the same before login"),
    ROW(REAL, true, tenant_rate, "tenant-rate", "cost a second; 0 no limit"),
    ROW(REAL, true, tenant_burst, "tenant-burst", "cost"),
    ROW(REAL, true, tenant_cutoff, "tenant-cutoff", "debt before the cut"),
    ROW(REAL, true, mailbox_rate, "mailbox-rate", "cost a second; 0 no limit"),
    ROW(REAL, true, mailbox_burst, "mailbox-burst", "cost"),
    ROW(REAL, true, mailbox_cutoff, "mailbox-cutoff", "debt before the cut"),
    ROW(U32, true, cost_bytes, "cost-bytes", "a message costs 1 + bytes over this"),
    ROW(REAL, true, delay_from, "delay-from", "share of the burst below which delays begin"),
    ROW(U32, true, delay_max_ms, "delay-max-ms", "delay just before the cut; 0 off"),
    ROW(U32, true, hint_ms, "hint-ms", "0: computed from the bucket"),
    ROW(U32, true, hint_min_ms, "hint-min-ms", "of a computed hint"),
    ROW(U32, true, hint_max_ms, "hint-max-ms", "of a computed hint"),
    ROW(U32, true, hint_grace_ms, "hint-grace-ms", "sends so soon after are no violation"),
    ROW_WORD(hint_word, "hint-word", "no bad both", "of throttle replies"),
    ROW(BOOL, true, hint_every_command, "hint-every-command", "else only APPEND"),
    ROW(U32, true, token_life_s, "token-life-s", "of access tokens"),
    ROW(U32, true, token_jitter_ms, "token-jitter-ms", "sessions outlive the token by up to"),
    ROW(U32, true, token_ms, "token-ms", "latency of the token endpoint"),
    ROW(TEXT, true, token_audience, "token-audience", "aud of tokens"),
    ROW(TEXT, true, token_role, "token-role", "in place of IMAP.AccessAsApp; none"),
    ROW(U32, true, date_ahead_s, "date-ahead-s", "the Date header is ahead by"),
    ROW(BOOL, true, principal, "principal", "Exchange knows the application"),
    ROW(U32, true, token_errors, "token-errors", "so many next answers fail"),
    ROW(U32, true, token_status, "token-status", "with this 5xx, or 0 and"),
    ROW(U32, true, token_aadsts, "token-aadsts", "this AADSTS number"),
    ROW(U32, true, device_polls, "device-polls", "authorization_pending so often"),
    ROW(BOOL, true, device_declined, "device-declined", "and then declined"),
    ROW(U32, true, device_life_s, "device-life-s", "of a code"),
    ROW(U32, true, device_slow, "device-slow", "so many polls are told slow_down"),
    ROW(TEXT, true, device_user, "device-user", "who signs in by code"),
    ROW(BOOL, true, refresh_once, "refresh-once", "a used refresh token is void"),
};

void exo_config_init(struct exo_config *c)
{
    *c = (struct exo_config){
        .imap_plain_port = -1,
        .control_port = -1,
        .threads = 1,
        .seed = 1,
        .tenant = "contoso.onmicrosoft.com",
        .tenant_id = "8d3f1c52-5b0e-4c0a-9f53-2f6a6f1d7c11",
        .client_id = "0f5c8b1e-7a44-4a55-8f0a-6b1f2d3c4e5f",
        .client_secret = "exo-simulated-secret",
        .domain = "contoso.example",
        .language = "en",
        .keep = EXO_KEEP_HEADER,
        .appenduid = true,
        .literal_plus = true,
        .idle = true,
        .keywords_refused = true,
        .append_ms = 80,
        .line_max = 10240,
        .body_line_max = 10000,
        .nul_refused = true,
        .message_bytes_max = 37748736,
        .connections_max = 20,
        .errors_max = 10,
        .idle_ms = 1800000,
        .preauth_ms = 60000,
        .tenant_burst = 600,
        .tenant_cutoff = 60,
        .mailbox_burst = 120,
        .mailbox_cutoff = 12,
        .cost_bytes = 100000,
        .delay_from = 0.5,
        .hint_min_ms = 1000,
        .hint_max_ms = 300000,
        .hint_grace_ms = 250,
        .token_life_s = 3599,
        .device_life_s = 900,
        .refresh_once = true,
        .principal = true,
    };
}

static const struct row *row_find(const char *key)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].key, key) == 0)
            return &rows[i];
    return NULL;
}

const char *exo_config_key(size_t i, bool *live_r)
{
    if (i >= sizeof rows / sizeof *rows)
        return NULL;
    *live_r = rows[i].live;
    return rows[i].key;
}

const char *exo_config_meaning(const char *key)
{
    const struct row *row = row_find(key);

    return row ? row->meaning : "";
}

bool exo_config_live(const char *key)
{
    const struct row *row = row_find(key);

    return row && row->live;
}

static bool bool_parse(const char *value, bool *bool_r)
{
    static const char yes[][5] = { "yes", "true", "on", "1" }, no[][6] = { "no", "false", "off", "0" };

    for (size_t i = 0; i < 4; i++) {
        if (strcmp(value, yes[i]) == 0 || strcmp(value, no[i]) == 0) {
            *bool_r = strcmp(value, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

static bool row_parse(const struct row *row, char *field, const char *value)
{
    struct slice rest = slice_cstr(row->words), word, text = slice_cstr(value);
    char *end;

    switch (row->kind) {
    case TEXT:
        if (text.size >= row->size)
            return false;
        memset(field, 0, row->size);
        memcpy(field, value, text.size);
        return true;
    case U16: {
        uint32_t port;

        if (strcmp(value, "-1") == 0) {
            *(int *)field = -1;
            return true;
        }
        if (!slice_u32(text, &port) || port > 65535)
            return false;
        *(int *)field = (int)port;
        return true;
    }
    case U32:
        return slice_u32(text, (uint32_t *)field);
    case U64:
        return slice_u64(text, (uint64_t *)field);
    case REAL: {
        double number = strtod(value, &end);

        if (end == value || *end || !isfinite(number) || number < 0 || number > 1e12)
            return false;
        *(double *)field = number;
        return true;
    }
    case BOOL:
        return bool_parse(value, (bool *)field);
    case WORD:
        for (unsigned i = 0; slice_split(&rest, ' ', &word); i++) {
            if (slice_equal(word, text)) {
                *(unsigned *)field = i;
                return true;
            }
        }
        return false;
    }
    return false;
}

bool exo_config_set(struct exo_config *config, const char *key, const char *value, struct err *err_r)
{
    const struct row *row = row_find(key);

    if (!row)
        return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_CONFIG, 0, "unknown key %s", key);
    if (!row_parse(row, (char *)config + row->offset, value))
        return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_CONFIG, 0, "%s: not %s: %s", key,
                       row->kind == TEXT   ? "short enough"
                       : row->kind == BOOL ? "yes or no"
                       : row->kind == WORD ? row->words
                                           : "a number in range",
                       value);
    return true;
}

static const char *const point_words = "before-plus mid-literal last-byte stored delayed ok command "
                                       "greeting";
static const char *const action_words = "close reset hang reply garbage bye";

static bool word_index(const char *words, struct slice word, unsigned *index_r)
{
    struct slice rest = slice_cstr(words), one;

    for (unsigned i = 0; slice_split(&rest, ' ', &one); i++) {
        if (slice_equal(one, word)) {
            *index_r = i;
            return true;
        }
    }
    return false;
}

static bool copy_text(char *out, size_t cap, struct slice text)
{
    if (text.size >= cap)
        return false;
    memcpy(out, text.data, text.size);
    out[text.size] = '\0';
    return true;
}

static bool fault_word(struct exo_fault *f, struct slice key, struct slice value)
{
    unsigned index;
    char number[32], *end;

    if (slice_equal(key, SLICE("point"))) {
        if (!word_index(point_words, value, &index))
            return false;
        f->point = index;
        return true;
    }
    if (slice_equal(key, SLICE("action"))) {
        if (!word_index(action_words, value, &index))
            return false;
        f->action = index;
        return true;
    }
    if (slice_equal(key, SLICE("command")))
        return copy_text(f->command, sizeof f->command, value);
    if (slice_equal(key, SLICE("mailbox")))
        return copy_text(f->mailbox, sizeof f->mailbox, value);
    if (slice_equal(key, SLICE("every")))
        return slice_u32(value, &f->every);
    if (slice_equal(key, SLICE("limit")))
        return slice_u32(value, &f->limit);
    if (slice_equal(key, SLICE("at")))
        return slice_u64(value, &f->at);
    if (slice_equal(key, SLICE("over")))
        return slice_u64(value, &f->over);
    if (slice_equal(key, SLICE("delay")))
        return slice_u32(value, &f->delay_ms);
    if (!slice_equal(key, SLICE("share")) || !copy_text(number, sizeof number, value))
        return false;
    f->share = strtod(number, &end);
    return end != number && !*end && f->share >= 0 && f->share <= 1;
}

bool exo_fault_parse(const char *text, struct exo_fault *fault_r, struct err *err_r)
{
    struct slice rest = slice_trim(slice_cstr(text)), word;
    struct exo_fault f = { 0 };
    bool point = false;

    while (rest.size) {
        size_t equals;

        if (slice_starts(rest, SLICE("text="))) {
            if (!copy_text(f.text, sizeof f.text, slice_from(rest, 5)))
                goto bad;
            break;
        }
        if (!slice_split(&rest, ' ', &word))
            break;
        if (!word.size)
            continue;
        equals = slice_find(word, '=');
        if (equals == SIZE_MAX || !fault_word(&f, slice_first(word, equals), slice_from(word, equals + 1)))
            goto bad;
        point |= slice_starts(word, SLICE("point="));
    }
    if (!point || (f.action == EXO_ACTION_REPLY && !f.text[0]))
        goto bad;
    *fault_r = f;
    return true;
bad:
    return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_CONFIG, 0, "not a fault: %s", text);
}
