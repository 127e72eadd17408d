/* What a check of many users means: a fault that all share is the server's, its certificate's, its
 * application's or its administrator's; a fault of some is theirs. Pure but for printing.
 */
#ifndef ENGINE_CLI_CHECK_SUMMARY_H
#define ENGINE_CLI_CHECK_SUMMARY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum check_end { CHECK_NOT_TRIED, CHECK_OK, CHECK_FAILED };

/* One user on one side. */
struct check_result {
    bool source;
    enum check_end end;
    const char *address; /* borrowed */
    char step[16];       /* the first that failed */
    char type[40];
};

struct check_verdict {
    size_t users, ok, failed, not_tried;
    bool server; /* the fault is not the users' */
    char text[480];
};

/* A line or two for people; users that fail by the same type stand together. */
void check_print_summary(const struct check_result *results, size_t count, bool source, bool shared, FILE *out);
/* {"side","users","ok","failed","not_tried","server_fault","text"}; NULL as check_judge's false. */
json_t *check_summary_json(const struct check_result *results, size_t count, bool source, bool shared);

#endif
