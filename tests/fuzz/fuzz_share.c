/* test: report
 * A report of a shard that was written as JSON, from anybody: read and merged it is a report, or one error that names
 * the file; and what is written of it a parser reads, and read again it is a report as well. */
#include "engine/report/report.h"
#include "engine/report/share.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void written_as(struct report *report, unsigned form)
{
    char *out = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&out, &size);
    struct err err;
    bool good;

    if (!file)
        abort();
    good = form == 0   ? report_write_json(report, file, &err)
           : form == 1 ? report_write_csv(report, file, &err)
                       : report_write_html(report, file, &err);
    fclose(file);
    if (form == 0 && good) {
        json_error_t error;
        json_t *back = json_loadb(out, size, JSON_ALLOW_NUL, &error);

        if (!back)
            abort();
        json_decref(back);
    }
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct share *share;
    struct report *report;
    struct err err = { 0 };
    char path[64];
    int fd;

    if (size > 65536)
        return 0;
    fd = memfd_create("fuzz-share.json", MFD_CLOEXEC);
    if (fd < 0 || (size && write(fd, data, size) != (ssize_t)size))
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    (void)share_is(path);
    if (share_open(path, &share, &err)) {
        struct report_state one = { .share = share, .folder = share->path };

        if (report_load(&one, 1, &report, &err)) {
            for (unsigned form = 0; form < 3; form++)
                written_as(report, form);
            report_free(&report);
        } else if (err.class == ERR_CLASS_NONE) {
            abort();
        }
        share_close(&share);
    } else if (err.class == ERR_CLASS_NONE || !strstr(err.server_text, path)) {
        abort();
    }
    close(fd);
    return 0;
}
