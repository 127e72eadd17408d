/* What batch file and users.csv share: a whole file of UTF-8 text in memory, and where in it
 * something stands. Knows neither format.
 */
#ifndef ENGINE_CONFIG_TEXT_H
#define ENGINE_CONFIG_TEXT_H

#include "engine/settings/settings.h"
#include "io/base/err.h"
#include "io/base/slice.h"

/* Exit codes; the errors of engine/cli carry them in err.code with origin CONFIG. */
#define CONFIG_EXIT_USAGE 64
#define CONFIG_EXIT_USERS 65
#define CONFIG_EXIT_BATCH 78

struct config_text {
    char *data; /* owned; a byte-order mark is already left out; terminated */
    size_t size;
    bool readable_by_others;
    bool writable_by_others; /* or another user's who is not root */
};

/* Reads a file of at most cap_bytes. Refused, in words that name the file: missing, no permission,
 * a folder or device, empty, UTF-16, longer than the cap. `exit_code` becomes err.code. */
bool config_text_read(const char *path, size_t cap_bytes, int exit_code, struct config_text *text_r,
                      struct err *err_r) ERR_CHECK;
/* Wipes and frees. */
/* A warning where others than this user and root decide what it says. */
void config_text_warn(const struct config_text *text, const char *path, struct settings_list *warnings);
void config_text_deinit(struct config_text *text);

/* What to do with a file in an 8-bit encoding, behind "not UTF-8". */
#define CONFIG_TEXT_CONVERT                                                                                            \
    ": most likely in a Windows or ISO code page. Save it as UTF-8 (Excel: CSV UTF-8), or convert it: "                \
    "iconv -f WINDOWS-1252 -t UTF-8 OLD >NEW"

/* Offset of the first byte that is not UTF-8 text (malformed, or NUL), or SIZE_MAX. */
size_t config_text_fault(struct slice text);
/* Line and column of an offset, both from 1; columns count characters, not bytes. */
void config_text_position(struct slice text, size_t offset, unsigned *line_r, unsigned *column_r);

/* The file's name for messages: as given, or its last part when it is long, so that the sentence
 * that follows fits into an err. Borrowed from path. */
const char *config_text_name(const char *path);

/* A value as a message may show it: at most CONFIG_SHOWN_MAX bytes, and with *** for what stands between ://
 * and the last @, where an address holds a user's name and password. Returns out. */
#define CONFIG_SHOWN_MAX 60
const char *config_text_shown(struct slice value, char out[CONFIG_SHOWN_MAX + 1]);

/* Where a relative path leads that was written in the file `from`; a fresh string. */
char *config_text_beside(const char *from, struct slice path);

/* All faults of a file are told at once, up to CONFIG_FAULTS_MAX of them. */
#define CONFIG_FAULTS_MAX 20u
struct config_faults {
    struct err first;
    struct settings_list *others; /* borrowed: a sentence each; NULL: they are not wanted */
    unsigned count;
};
/* One more. Returns true, so that reading goes on. */
bool config_fault(struct config_faults *faults, const struct err *err);
/* True when there was none. Else *err_r is the first, and how many were left out stands last in others. */
bool config_faults_end(struct config_faults *faults, struct err *err_r) ERR_CHECK;

/* Sets PERMANENT/RUN, origin CONFIG, code exit_code. Returns false. */
bool config_refuse(struct err *err_r, int exit_code, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
