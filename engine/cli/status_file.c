#include "engine/cli/status_file.h"

#include "engine/cli/outfile.h"
#include "engine/cli/progress_json.h"
#include "io/base/log.h"
#include "io/base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EVERY_MS 10000
#define FIRST_MS 200 /* until there is a first sample */
#define LAST_S   5   /* for the last one, on a file system that hangs */

struct status_file {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping;
    char *path;
    struct progress *progress;
};

static void write_it(struct status_file *f, const struct progress_look *look)
{
    struct outfile to;
    struct err err;
    int error = outfile_begin(&to, f->path);
    bool ok = error == 0;

    if (!ok) {
        err_set_os(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, error, f->path);
    } else {
        progress_json(look, to.out);
        ok = outfile_end(&to, true, &err);
    }
    if (!ok)
        log_err(LOG_WARN, "status_file.lost", &err);
}

static void wait_ms(struct status_file *f, int64_t ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (!f->stopping && pthread_cond_timedwait(&f->wake, &f->lock, &until) == 0)
        ;
}

static void *work(void *context)
{
    struct status_file *f = context;
    struct progress_look *look = mem_zero(1, sizeof *look);
    bool last;

    do {
        pthread_mutex_lock(&f->lock);
        wait_ms(f, look->there ? EVERY_MS : FIRST_MS);
        last = f->stopping;
        pthread_mutex_unlock(&f->lock);
        progress_look(f->progress, look);
        if (look->there || last)
            write_it(f, look);
    } while (!last);
    free(look);
    return NULL;
}

struct status_file *status_file_start(const char *path, struct progress *progress)
{
    struct status_file *f = mem_zero(1, sizeof *f);
    pthread_condattr_t monotonic;
    int error;

    f->path = mem_text(path);
    f->progress = progress;
    pthread_mutex_init(&f->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&f->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if ((error = pthread_create(&f->thread, NULL, work, f)) != 0) {
        log_line(LOG_WARN, "status_file.lost", "why=%s", strerror(error));
        free(f->path);
        free(f);
        return NULL;
    }
    return f;
}

bool status_file_stop(struct status_file **file)
{
    struct status_file *f = *file;
    struct timespec until;

    *file = NULL;
    if (!f)
        return true;
    pthread_mutex_lock(&f->lock);
    f->stopping = true;
    pthread_cond_signal(&f->wake);
    pthread_mutex_unlock(&f->lock);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LAST_S;
    /* One that hangs keeps what it uses: the process ends soon. */
    if (pthread_timedjoin_np(f->thread, NULL, &until) != 0) {
        log_line(LOG_WARN, "status_file.lost", "why=%s", "its file system does not answer");
        return false;
    }
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->wake);
    free(f->path);
    free(f);
    return true;
}
