/* The command line: one table of commands and one of options make parsing, --help and the manual's
 * test. Prints only in opts_help; reads no file.
 */
#ifndef ENGINE_CLI_OPTS_H
#define ENGINE_CLI_OPTS_H

#include "engine/settings/settings.h"

#include <stdio.h>

enum opts_command {
    OPTS_CHECK,
    OPTS_SIGN_IN,
    OPTS_FOLDERS,
    OPTS_PLAN,
    OPTS_RUN,
    OPTS_FETCH,
    OPTS_UPLOAD,
    OPTS_RETRY,
    OPTS_VERIFY,
    OPTS_STATUS,
    OPTS_REPORT,
    OPTS_EXPORT,
    OPTS_TIDY,
    OPTS_BENCH,
    OPTS_REHEARSE,
    OPTS_SPOOL_CHECK,
    OPTS_INIT,
    OPTS_USER,
    OPTS_CUTOVER,
    OPTS_COMMAND_COUNT
};

enum opts_when { OPTS_AUTO, OPTS_ALWAYS, OPTS_NEVER, OPTS_JSON }; /* JSON: of --progress alone */
enum opts_log_format { OPTS_LOG_TEXT, OPTS_LOG_JSON };
enum opts_side { OPTS_BOTH_SIDES, OPTS_SOURCE_ONLY, OPTS_TARGET_ONLY };
enum opts_what { OPTS_WHAT_SKIPPED, OPTS_WHAT_FAILED, OPTS_WHAT_ALL };
enum opts_format { OPTS_MAILDIR, OPTS_MBOX, OPTS_EML };

enum opts_compress { OPTS_COMPRESS_OFF, OPTS_COMPRESS_ON, OPTS_COMPRESS_BOTH, OPTS_COMPRESS_AS_SAID };

#define OPTS_STEPS_MAX 32 /* of --connections */

/* Texts are borrowed from argv. */
struct opts {
    enum opts_command command;
    bool verbose;                     /* -v, with version only */
    bool help, version;               /* then nothing else counts; help without command is OPTS_COMMAND_COUNT */
    struct settings_list batch_files; /* for report also state folders */
    char *const *arguments;           /* all of them, the command first */
    size_t argument_count;

    /* common */
    bool has_threads;
    unsigned threads;                   /* 0: automatic */
    unsigned shard_number, shard_count; /* count 0: not given */
    unsigned split;                     /* plan: into so many shards; 0: not asked for */
    struct settings_list users;         /* --user */
    struct settings_list but_users;     /* --exclude-user */
    struct settings_list waves;         /* --wave */
    const char *users_from;             /* or NULL */
    struct settings_list overrides;     /* --set, as written */
    const char *log_file;               /* or NULL */
    const char *log_level;              /* "error" .. "trace", or NULL */
    unsigned log_format;                /* enum opts_log_format */
    bool quiet;
    bool no_sandbox;
    unsigned progress, color; /* enum opts_when */

    /* of single commands */
    bool all_users;      /* check */
    bool source, target; /* check, sign-in; see opts_sides */
    bool json, watch;
    bool text;                                   /* report */
    const char *html_file, *csv_file;            /* or NULL */
    unsigned sample;                             /* verify: messages a folder; 0: everything */
    unsigned what;                               /* export: enum opts_what */
    unsigned format;                             /* export: enum opts_format */
    const char *to;                              /* export: folder */
    unsigned connections[OPTS_STEPS_MAX];        /* bench */
    unsigned connections_count;                  /* 0: not given */
    struct settings_list accept_deletions;       /* run, retry, cutover */
    struct settings_list accept_counts;          /* retry */
    const char *listen;                          /* run, fetch, upload, retry, rehearse; NULL: the batch file's */
    const char *notify_command;                  /* run, fetch, upload, retry; or NULL */
    unsigned seconds;                            /* bench: of a pass; 0: not given */
    unsigned repeats, accounts, per_fetch, rate; /* bench; 0: not given */
    unsigned compress;                           /* bench: enum opts_compress */
    const char *seed, *depth, *per_user;         /* bench; or NULL */
    const char *max_rate, *latency_limit, *max_time, *max_bytes; /* bench; or NULL */
    const char *kept_file; /* bench: where its result is kept for plan and run, or NULL; not an option */
    bool remove;           /* tidy */
    uint64_t every_ms;     /* run; 0: not given */
    bool until_cutover;    /* run */
    bool dry_run;          /* run, fetch: the command is plan then */
    bool full;             /* spool-check: bodies too */
    const char *source_url, *target_url, *preset, *tenant, *client_id, *client_secret_file,
        *users_file;                  /* init; or NULL */
    const char *what_to_do, *address; /* user: "pause" "resume" "drop", and whom */
};

/* Reads argv[1..]. Errors: PERMANENT/RUN, origin CONFIG, code 64; opts_deinit is due either way. */
bool opts_parse(struct opts *o, int argc, char *const *argv, struct err *err_r) ERR_CHECK;
void opts_deinit(struct opts *o);

enum opts_side opts_sides(const struct opts *o);
/* `bench compare A.json B.json...`: the files behind the first are results. */
bool opts_compares(const struct opts *o);
/* "run"; the mode that the engine is told. */
const char *opts_command_name(enum opts_command command);
enum settings_mode opts_mode(enum opts_command command);

/* Does the command take the option (its name without dashes)? For completions. */
bool opts_takes(enum opts_command command, const char *option);
/* Help of one command, or of the program with OPTS_COMMAND_COUNT. */
void opts_help(FILE *out, enum opts_command command);

/* Each command and each option, for the manual's test. option is without dashes; value_name NULL
 * for a flag. */
void opts_describe(void (*command)(void *context, const char *name, const char *help),
                   void (*option)(void *context, const char *name, const char *value_name, const char *help),
                   void *context);

#endif
