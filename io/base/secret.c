#include "io/base/secret.h"

#include "io/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_FILE_MAX 65536

struct secret {
    size_t size;
    char bytes[];
};

struct secret *secret_create(struct slice value)
{
    struct secret *s = mem_alloc(sizeof *s + value.size + 1);

    s->size = value.size;
    if (value.size)
        memcpy(s->bytes, value.data, value.size);
    s->bytes[value.size] = '\0';
    return s;
}

void secret_destroy(struct secret **s)
{
    if (*s) {
        OPENSSL_cleanse(*s, sizeof **s + (*s)->size);
        free(*s);
        *s = NULL;
    }
}

struct slice secret_peek(const struct secret *s)
{
    return s ? slice_of(s->bytes, s->size) : SLICE("");
}

void secret_wipe(void *data, size_t size)
{
    OPENSSL_cleanse(data, size);
}

static bool file_refused(struct err *err_r, const char *path, const char *why)
{
    return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_CONFIG, 0, "%s: %s", path,
                   why);
}

bool secret_read_file(const char *path, struct secret **secret_r, bool *readable_by_others_r,
                      struct err *err_r)
{
    char text[SECRET_FILE_MAX];
    struct stat st;
    size_t size = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = false;

    if (fd < 0)
        return file_refused(err_r, path, strerror(errno));
    if (fstat(fd, &st) != 0 || S_ISDIR(st.st_mode)) {
        close(fd);
        return file_refused(err_r, path, "not a file that can be read");
    }
    for (;;) {
        ssize_t n = read(fd, text + size, sizeof text - size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            file_refused(err_r, path, strerror(errno));
            break;
        }
        if (n == 0) {
            ok = true;
            break;
        }
        size += (size_t)n;
        if (size == sizeof text) {
            file_refused(err_r, path, "longer than 64 KiB, which no password or token is");
            break;
        }
    }
    close(fd);
    if (ok) {
        struct slice line = slice_first(slice_of(text, size), slice_find(slice_of(text, size), '\n'));

        if (line.size && line.data[line.size - 1] == '\r')
            line.size--;
        if (line.size == 0)
            ok = file_refused(err_r, path, "the first line is empty; it must hold the secret");
        else
            *secret_r = secret_create(line);
        *readable_by_others_r = (st.st_mode & (S_IRGRP | S_IROTH | S_IWGRP | S_IWOTH)) != 0;
    }
    OPENSSL_cleanse(text, sizeof text);
    return ok;
}

void secret_harden_process(void)
{
    struct rlimit none = { 0, 0 };

    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}
