#include "io/base/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As the kernel's interface has them, so that an older header does. The numbers are the same on every
 * architecture. */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule       445
#define SYS_landlock_restrict_self  446
#endif

#define QUERY_VERSION     1u
#define RULE_PATH_BENEATH 1

struct ruleset {
    uint64_t files, net, scoped;
};

struct path_beneath {
    uint64_t allowed;
    int32_t fd;
} __attribute__((packed));

enum {
    FS_EXECUTE = 1 << 0,
    FS_WRITE_FILE = 1 << 1,
    FS_REMOVE_DIR = 1 << 4,
    FS_REMOVE_FILE = 1 << 5,
    FS_MAKE_CHAR = 1 << 6,
    FS_MAKE_DIR = 1 << 7,
    FS_MAKE_REG = 1 << 8,
    FS_MAKE_SOCK = 1 << 9,
    FS_MAKE_FIFO = 1 << 10,
    FS_MAKE_BLOCK = 1 << 11,
    FS_MAKE_SYM = 1 << 12,
    FS_REFER = 1 << 13,             /* ABI 2: a rename from one folder to another; denied altogether before */
    FS_TRUNCATE = 1 << 14,          /* ABI 3 */
    NET_BIND_TCP = 1 << 0,          /* ABI 4 */
    SCOPE_ABSTRACT_SOCKET = 1 << 0, /* ABI 6 */
    SCOPE_SIGNAL = 1 << 1,
};

#define FS_ABI_2                                                                                                       \
    (FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_CHAR | FS_MAKE_DIR | FS_MAKE_REG | FS_MAKE_SOCK |        \
     FS_MAKE_FIFO | FS_MAKE_BLOCK | FS_MAKE_SYM | FS_REFER)
#define FS_OF_FILE   (FS_WRITE_FILE | FS_TRUNCATE)
#define FS_OF_FOLDER (FS_OF_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG | FS_REFER)

/* A sanitizer runs a program that turns its addresses into names. */
#ifdef __SANITIZE_ADDRESS__
#define RUNS_PROGRAMS 1
#else
#define RUNS_PROGRAMS 0
#endif

unsigned landlock_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, QUERY_VERSION);

    return abi >= 2 ? (unsigned)abi : 0;
}

bool landlock_no_new_privileges(void)
{
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

static struct ruleset ruleset_of(unsigned abi)
{
    struct ruleset all = { .files = FS_ABI_2 };

    if (!RUNS_PROGRAMS)
        all.files |= FS_EXECUTE;
    if (abi >= 3)
        all.files |= FS_TRUNCATE;
    if (abi >= 4)
        all.net = NET_BIND_TCP;
    if (abi >= 6)
        all.scoped = SCOPE_ABSTRACT_SOCKET | SCOPE_SIGNAL;
    return all;
}

/* An older kernel takes a shorter structure only. */
static size_t ruleset_size(unsigned abi)
{
    return abi >= 6   ? sizeof(struct ruleset)
           : abi >= 4 ? offsetof(struct ruleset, scoped)
                      : offsetof(struct ruleset, net);
}

/* What is not there needs no right. */
static bool allow(int ruleset, uint64_t handled, const struct landlock_place *place)
{
    struct path_beneath rule;
    struct stat st;
    bool ok;

    if (!place->path)
        return true;
    rule.fd = open(place->path, O_PATH | O_CLOEXEC);
    if (rule.fd < 0)
        return errno == ENOENT || errno == ENOTDIR;
    ok = fstat(rule.fd, &st) == 0;
    rule.allowed = place->remove_folders ? FS_REMOVE_DIR
                   : S_ISDIR(st.st_mode) ? FS_OF_FOLDER & handled
                                         : FS_OF_FILE & handled;
    ok = ok && syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0) == 0;
    close(rule.fd);
    return ok;
}

/* Gives the ruleset (-1: none yet) back. */
static bool failed(struct err *err_r, const char *doing, int error, int ruleset)
{
    if (ruleset >= 0)
        close(ruleset);
    err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, error, doing);
    return false;
}

bool landlock_sandbox(const struct landlock_place *places, unsigned count, struct err *err_r)
{
    static const struct landlock_place nowhere = { .path = "/dev/null" };
    unsigned abi = landlock_abi();
    struct ruleset all = ruleset_of(abi);
    int ruleset;

    if (abi == 0)
        return failed(err_r, "Landlock", ENOSYS, -1);
    ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, ruleset_size(abi), 0u);
    if (ruleset < 0)
        return failed(err_r, "Landlock", errno, -1);
    for (unsigned i = 0; i <= count; i++) {
        const struct landlock_place *place = i < count ? &places[i] : &nowhere;

        if (!allow(ruleset, all.files, place))
            return failed(err_r, place->path, errno, ruleset);
    }
    if (!landlock_no_new_privileges() || syscall(SYS_landlock_restrict_self, ruleset, 0u) != 0)
        return failed(err_r, "Landlock", errno, ruleset);
    close(ruleset);
    return true;
}
