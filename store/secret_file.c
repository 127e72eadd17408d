#include "store/secret_file.h"

#include "io/base/buf.h"
#include "io/base/mem.h"
#include "store/durable.h"
#include "store/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC      "mailhaul sealed 1\n"
#define MAGIC_SIZE (sizeof MAGIC - 1)
#define VALUE_MAX  65000u
#define FILE_MAX   (MAGIC_SIZE + SEAL_SALT_BYTES + VALUE_MAX + SEAL_EXTRA_BYTES)

static bool refuse(struct err *err_r, const char *path, const char *why)
{
    return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_CONFIG, 0, "%s: %s", path, why);
}

static void make_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder;

    if (!slash || slash == path)
        return;
    folder = slice_dup(slice_of(path, (size_t)(slash - path)));
    (void)mkdir(folder, 0700); /* what matters is whether the file can be made */
    free(folder);
}

static bool replace_file(const char *path, const uint8_t *data, size_t size, struct err *err_r)
{
    char *next = mem_format("%s.new", path);
    int fd, error;
    bool ok;

    make_folder(path);
    fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    ok = durable_replace(path, next, fd, data, size);
    error = errno;
    free(next);
    return ok || err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, error, path);
}

static bool write_sealed(const char *path, struct slice value, struct slice key, struct err *err_r)
{
    uint8_t *file = mem_alloc(FILE_MAX), *salt = file + MAGIC_SIZE;
    struct seal_key seal = { 0 };
    struct seal_kit kit;
    bool ok;

    memcpy(file, MAGIC, MAGIC_SIZE);
    /* A key of its own each time, so that number 0 never comes twice under one. */
    ok = RAND_bytes(salt, SEAL_SALT_BYTES) == 1 ? seal_derive(&seal, key, salt, err_r)
                                                : refuse(err_r, path, "no random numbers to be had");
    if (ok) {
        size_t head = MAGIC_SIZE + SEAL_SALT_BYTES;

        memcpy(file + head + SEAL_HEAD_BYTES, value.data, value.size);
        seal_kit_init(&kit, &seal);
        ok = replace_file(path, file, head + seal_close(&kit, file + head, value.size, 0, 0), err_r);
        seal_kit_deinit(&kit);
    }
    seal_wipe(&seal);
    secret_wipe(file, FILE_MAX);
    free(file);
    return ok;
}

bool secret_file_write(const char *path, const struct secret *secret, const struct secret *key, struct err *err_r)
{
    struct slice value = secret_peek(secret);
    struct buf line;
    bool ok;

    if (value.size == 0 || value.size > VALUE_MAX || slice_find(value, '\n') != SIZE_MAX)
        return refuse(err_r, path, "what is to be kept is empty, too long or no single line");
    if (key)
        return write_sealed(path, value, secret_peek(key), err_r);
    buf_init(&line, VALUE_MAX + 2);
    /* All the room at once: growing would leave a copy behind. */
    ok = buf_reserve(&line, value.size + 2) && buf_append(&line, value) && buf_append(&line, SLICE("\n")) &&
         replace_file(path, (const uint8_t *)buf_slice(&line).data, buf_slice(&line).size, err_r);
    secret_wipe(line.data, line.room);
    buf_deinit(&line);
    return ok;
}

static bool open_sealed(const char *path, struct slice file, const struct secret *key, struct secret **value_r,
                        struct err *err_r)
{
    const uint8_t *salt = (const uint8_t *)file.data + MAGIC_SIZE;
    struct slice block;
    struct seal_key seal = { 0 };
    struct seal_kit kit;
    uint8_t *value;
    size_t size = 0;
    bool ok;

    if (!key)
        return refuse(err_r, path, "is sealed; name the key that sealed it by spool-key-file");
    if (file.size < MAGIC_SIZE + SEAL_SALT_BYTES + SEAL_TAIL_BYTES)
        return refuse(err_r, path, "is cut short");
    block = slice_from(file, MAGIC_SIZE + SEAL_SALT_BYTES);
    if (!seal_derive(&seal, secret_peek(key), salt, err_r))
        return false;
    value = mem_alloc(block.size);
    seal_kit_init(&kit, &seal);
    ok = seal_open(&kit, block, 0, 0, value, &size);
    seal_kit_deinit(&kit);
    seal_wipe(&seal);
    if (ok)
        *value_r = secret_create(slice_of((const char *)value, size));
    secret_wipe(value, block.size);
    free(value);
    return ok || refuse(err_r, path, "is damaged, or spool-key-file is not the key that sealed it");
}

bool secret_file_read(const char *path, const struct secret *key, struct secret **value_r, struct err *err_r)
{
    uint8_t *file = mem_alloc(FILE_MAX);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    size_t size = 0;
    ssize_t n = 0;
    bool by_others, ok;

    if (fd < 0) {
        free(file);
        return refuse(err_r, path, strerror(errno));
    }
    while (size < FILE_MAX && (n = read(fd, file + size, FILE_MAX - size)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        size += (size_t)n;
    }
    close(fd);
    if (n < 0)
        ok = refuse(err_r, path, strerror(errno));
    else if (size >= MAGIC_SIZE && memcmp(file, MAGIC, MAGIC_SIZE) == 0)
        ok = open_sealed(path, slice_of((const char *)file, size), key, value_r, err_r);
    else
        ok = secret_read_file(path, value_r, &by_others, err_r);
    secret_wipe(file, FILE_MAX);
    free(file);
    return ok;
}

bool secret_file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

enum secret_file_turn secret_file_lock(const char *path, int *lock_r)
{
    char *name = mem_format("%s.lock", path);
    bool busy;
    int fd;

    make_folder(path);
    fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    free(name);
    *lock_r = -1;
    if (fd < 0)
        return SECRET_FILE_NO_LOCK;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        *lock_r = fd;
        return SECRET_FILE_MINE;
    }
    busy = errno == EWOULDBLOCK;
    close(fd);
    return busy ? SECRET_FILE_BUSY : SECRET_FILE_NO_LOCK;
}

void secret_file_unlock(int *lock)
{
    if (*lock >= 0)
        close(*lock);
    *lock = -1;
}
