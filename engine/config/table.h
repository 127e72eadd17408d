/* The keys of the batch file, one row a key: parsing, `--set`, the manual and its test all go by
 * this table. What a default is, settings_create and settings_finish decide; the row repeats it as
 * text, and a test compares.
 */
#ifndef ENGINE_CONFIG_TABLE_H
#define ENGINE_CONFIG_TABLE_H

#include "engine/settings/settings.h"

enum config_section {
    CONFIG_BATCH,
    CONFIG_SOURCE,
    CONFIG_TARGET,
    CONFIG_POLICY,
    CONFIG_FOLDERS,  /* its keys are folder names, not rows */
    CONFIG_REHEARSE, /* its keys are those of the simulated server (engine/rehearsal/exo.h) */
    CONFIG_SECTION_COUNT
};

enum config_kind {
    CONFIG_TEXT,         /* char * */
    CONFIG_PATH,         /* char *, relative to the batch file */
    CONFIG_FILE,         /* the same, and it must be readable; "credential:NAME" too */
    CONFIG_SECRET,       /* struct secret *, the first line of such a file; read when all is known */
    CONFIG_NUMBER,       /* unsigned, min..max */
    CONFIG_LIMIT,        /* uint64_t, or "unlimited" */
    CONFIG_SIZE,         /* uint64_t bytes, min..max */
    CONFIG_SECONDS,      /* uint32_t from a duration */
    CONFIG_MILLISECONDS, /* uint32_t from a duration, max in ms */
    CONFIG_WINDOW,       /* struct settings_window */
    CONFIG_DATE,         /* int64_t */
    CONFIG_BOOL,         /* bool */
    CONFIG_LIST,         /* struct settings_list */
    CONFIG_WORD,         /* an enum whose members are 0.. in the order of words */
    CONFIG_CHOICE,       /* one of words, stored nowhere: what it means depends on other keys */
    CONFIG_TLS_MIN,      /* unsigned, as settings_tls.min_version */
    CONFIG_URL,          /* host, port and tls.mode of a struct settings_endpoint */
    CONFIG_HTTPS,        /* char * */
    CONFIG_PIN,          /* has_pin and pin of a struct settings_tls */
    CONFIG_FORM,         /* char *, a login form */
    CONFIG_COMMAND,      /* char *, words of a program's command line */
    CONFIG_PROXY,        /* struct proxy_way */
    CONFIG_BANDWIDTH     /* struct settings_bandwidths */
};

struct config_key {
    const char *name;
    unsigned sections; /* bits 1 << enum config_section */
    enum config_kind kind;
    size_t offset; /* in struct settings, settings_endpoint or settings_policy, by section */
    uint64_t min, max;
    const char *const *words; /* NULL-terminated */
    const char *value_name;   /* "SIZE", for the manual */
    const char *fallback;     /* the default as it would be written, or NULL */
    const char *otherwise;    /* the default in words when it depends on other things, or NULL */
    const char *help;         /* one sentence without full stop */
    bool hidden;              /* not in --help; in the manual under tuning */
};

extern const struct config_key config_keys[];
#define CONFIG_KEYS_MAX 80
/* How many rows there are, at most CONFIG_KEYS_MAX. */
unsigned config_key_count(void);

const char *config_section_name(enum config_section section);
/* Exact, lower case. */
bool config_section_find(struct slice name, enum config_section *section_r) ERR_CHECK;
/* NULL when the section has no such key. Case does not count. */
const struct config_key *config_key_find(enum config_section section, struct slice name);

/* Where the section's values live. */
void *config_section_base(enum config_section section, struct settings *s);

/* Stores value (not empty) through the row; frees what was there. batch_file: relative paths go by
 * it. False, and *fault_r says what is wrong or what was expected, when it is no such value. */
bool config_key_store(const struct config_key *key, void *base, struct slice value, const char *batch_file,
                      char *fault_r, size_t fault_cap) ERR_CHECK;

/* "a size such as 35MB": what the key takes, where this value is none. */
void config_key_expected(const struct config_key *key, struct slice value, char *out, size_t cap);

/* A CONFIG_FILE's or CONFIG_SECRET's path; "credential:NAME" is NAME in the folder that systemd
 * names in CREDENTIALS_DIRECTORY. NULL without such a folder, or when NAME has a slash. Fresh. */
char *config_file_path(struct slice value, const char *batch_file);

#endif
