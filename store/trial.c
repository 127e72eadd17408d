/* A look at a state folder before a run (spool_try): the judgement is store/state_dir's and store/spool's own. */
#include "store/run_mark.h"
#include "store/spool.h"
#include "store/state_dir.h"

#include "io/base/mem.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_there(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

/* What the trial made goes; a run that took the folder meanwhile has made more than the lock, and rmdir leaves it. */
static void undo(const char *folder, const char *lock, bool had_folder, bool had_lock)
{
    if (!had_lock)
        (void)unlink(lock);
    if (!had_folder)
        (void)rmdir(folder);
}

static bool try_place(const struct spool_config *config, bool beside, struct spool_trial *t, struct err *err_r)
{
    struct state_dir state_dir;
    bool ok = state_dir_open(&state_dir, config->folder, beside, err_r);

    if (!ok)
        return false;
    (void)state_dir_disk(&state_dir, &t->disk_free_bytes, &t->disk_bytes);
    if (beside) {
        ok = place_may_lock(&state_dir, err_r);
        if (!state_dir_is_held(&state_dir, &t->held))
            t->held = false;
    }
    state_dir_close(&state_dir);
    return ok;
}

/* A run's data is read as status reads it: nothing is held that would keep a run out. */
static bool try_contents(const struct spool_config *config, struct err *err_r)
{
    struct spool_config reading = *config;
    struct spool *spool = NULL;
    bool ok;

    reading.read_only = true;
    ok = spool_open(&reading, &spool, err_r);
    spool_close(&spool);
    return ok;
}

bool spool_try(const struct spool_config *config, struct spool_trial *t, struct err *err_r)
{
    char *lock = mem_format("%s/lock", config->folder);
    bool had_folder = is_there(config->folder), had_lock = is_there(lock), ok;

    *t = (struct spool_trial){ .is_used = had_folder && spool_is_used(config->folder) };
    ok = try_place(config, t->is_used, t, err_r);
    undo(config->folder, lock, had_folder, had_lock);
    free(lock);
    return ok && (!t->is_used || try_contents(config, err_r));
}
