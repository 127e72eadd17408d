/* test: cli */
/* What stood in a file stays until the new text is whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/cli/outfile.h"
#include "io/base/mem.h"
#include "io/base/whole.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static char *path_of(const char *name)
{
    return mem_format("%s/%s", folder, name);
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void assert_text(const char *path, const char *text)
{
    char bytes[256] = "";
    FILE *file = fopen(path, "r");

    assert_non_null(file);
    (void)!fread(bytes, 1, sizeof bytes - 1, file);
    fclose(file);
    assert_string_equal(bytes, text);
}

static unsigned names_in_folder(void)
{
    DIR *dir = opendir(folder);
    unsigned count = 0;

    while (readdir(dir))
        count++;
    closedir(dir);
    return count - 2;
}

/* How much more a file may hold than it should; fits in what is buffered, so that it shows at the end only. */
static void limit(rlim_t bytes)
{
    struct rlimit max;

    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &max);
    max.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &max), 0);
}

static void a_file_is_new_or_as_it_was(void **state)
{
    char *path = path_of("r.html");
    struct outfile f;
    struct err err;
    struct stat st;

    (void)state;
    /* Nothing stood there. */
    assert_int_equal(outfile_begin(&f, path), 0);
    fputs("one", f.out);
    assert_int_equal(access(path, F_OK), -1);
    assert_true(outfile_end(&f, true, &err));
    assert_text(path, "one");
    chmod(path, 0604);
    /* The old one is whole until the new one is. */
    assert_int_equal(outfile_begin(&f, path), 0);
    fputs("two and more", f.out);
    fflush(f.out);
    assert_text(path, "one");
    assert_true(outfile_end(&f, true, &err));
    assert_text(path, "two and more");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0604);
    /* Given up. */
    assert_int_equal(outfile_begin(&f, path), 0);
    fputs("three", f.out);
    assert_true(outfile_end(&f, false, &err));
    assert_text(path, "two and more");
    /* No room. */
    assert_int_equal(outfile_begin(&f, path), 0);
    fputs("too long for the limit", f.out);
    limit(4);
    assert_false(outfile_end(&f, true, &err));
    limit(RLIM_INFINITY);
    assert_int_equal(err.code, EFBIG);
    assert_text(path, "two and more");
    assert_int_equal(names_in_folder(), 1);
    free(path);
}

/* As behind Landlock, or in a folder of somebody else's: nothing can be made beside it. A name with no room for a
 * longer one has the same effect, also for root. */
static void a_file_that_must_be_written_over_is_only_when_there_is_room(void **state)
{
    char name[256], *path;
    struct outfile f;
    struct err err;

    (void)state;
    memset(name, 'n', 255);
    name[255] = '\0';
    path = path_of(name);
    assert_true(outfile_begin(&f, path) != 0); /* and nothing stands there */
    write_text(path, "old text");
    assert_int_equal(outfile_begin(&f, path), 0);
    fputs("too long for the limit", f.out);
    limit(8);
    assert_false(outfile_end(&f, true, &err));
    limit(RLIM_INFINITY);
    assert_int_equal(err.code, EFBIG);
    assert_text(path, "old text");
    assert_int_equal(outfile_begin(&f, path), 0);
    fputs("new", f.out);
    assert_text(path, "old text");
    assert_true(outfile_end(&f, true, &err));
    assert_text(path, "new");
    assert_int_equal(unlink(path), 0);
    free(path);
}

static void links_and_devices_stay_what_they_are(void **state)
{
    char *path = path_of("file"), *link = path_of("link");
    struct outfile f;
    struct err err;
    struct stat st;

    (void)state;
    write_text(path, "old");
    assert_int_equal(symlink("file", link), 0);
    assert_int_equal(outfile_begin(&f, link), 0);
    fputs("new", f.out);
    assert_true(outfile_end(&f, true, &err));
    assert_text(path, "new");
    assert_int_equal(lstat(link, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(outfile_begin(&f, "/dev/null"), 0);
    fputs("new", f.out);
    assert_true(outfile_end(&f, true, &err));
    assert_int_equal(outfile_begin(&f, "/dev/full"), 0);
    fputs("new", f.out);
    assert_false(outfile_end(&f, true, &err));
    assert_int_equal(err.code, ENOSPC);
    assert_int_equal(outfile_begin(&f, folder), EISDIR);
    assert_int_equal(outfile_begin(&f, "/nowhere/at/all"), ENOENT);
    unlink(link);
    unlink(path);
    free(path);
    free(link);
}

static int begin(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/outfile-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int end(void **state)
{
    char *path = path_of("r.html");

    (void)state;
    unlink(path);
    free(path);
    return rmdir(folder);
}

/* Whoever can put one in the report's place could else hold the program up for ever. */
static void a_pipe_that_nobody_reads_is_not_waited_for(void **state)
{
    char *path = path_of("pipe"), got[8] = "";
    struct outfile f;
    struct err err;
    int reader;

    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(outfile_begin(&f, path), EPIPE);
    assert_int_equal(whole_open(path, true), -1);
    reader = open(path, O_RDONLY | O_NONBLOCK);
    assert_int_equal(outfile_begin(&f, path), 0);
    fputs("text", f.out);
    assert_true(outfile_end(&f, true, &err));
    assert_int_equal(read(reader, got, sizeof got), 4);
    close(reader);
    unlink(path);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_new_or_as_it_was),
        cmocka_unit_test(a_file_that_must_be_written_over_is_only_when_there_is_room),
        cmocka_unit_test(links_and_devices_stay_what_they_are),
        cmocka_unit_test(a_pipe_that_nobody_reads_is_not_waited_for),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
