#include "engine/move/peers.h"

#include "engine/pace/holds.h"
#include "engine/pace/ledger_dir.h"
#include "io/base/log.h"
#include "io/base/mem.h"
#include "io/base/now.h"
#include "io/base/slice.h"

#include <errno.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>

struct peers {
    char *folder;
    uint64_t process;
    pthread_t thread;
    bool started;
    bool failing; /* the thread's: the last attempt failed, and that was told */

    pthread_mutex_t lock;
    pthread_cond_t told;
    /* under the lock */
    struct ledger_record record;
    bool has_record, ends;
    struct loop *loop; /* NULL: nobody listens */
    peers_heard *heard;
    void *context;
};

struct news {
    struct loop_message message;
    struct peers *peers;
    size_t count;
    struct ledger_record records[];
};

static void news_arrive(struct loop_message *message)
{
    struct news *news = (struct news *)message;

    /* Only the loop's own thread clears it, in peers_end. */
    if (news->peers->loop)
        news->peers->heard(news->peers->context, news->records, news->count);
    free(news);
}

static bool exchange(struct peers *m, const struct ledger_record *record, struct news **news_r, struct err *err_r)
{
    struct news *news = mem_zero(1, sizeof *news + LEDGER_PEERS_MAX * sizeof *news->records);

    if (!ledger_dir_write(m->folder, record, err_r) ||
        !ledger_dir_read(m->folder, now_wall_ms(), news->records, LEDGER_PEERS_MAX, &news->count, err_r)) {
        free(news);
        return false;
    }
    news->message.deliver = news_arrive;
    news->peers = m;
    *news_r = news;
    return true;
}

static void write_and_read(struct peers *m, const struct ledger_record *record)
{
    struct news *news;
    struct err err;

    if (exchange(m, record, &news, &err)) {
        if (m->failing)
            log_line(LOG_INFO, "ledger.back", "folder=%s", m->folder);
        m->failing = false;
        pthread_mutex_lock(&m->lock);
        if (m->loop) {
            loop_post(m->loop, &news->message);
            news = NULL;
        }
        pthread_mutex_unlock(&m->lock);
        free(news);
        return;
    }
    /* The others take this process for dead after a minute and share its part of the rate; it goes
     * on with the part it had. */
    if (!m->failing)
        log_err(LOG_WARN, "ledger.lost", &err);
    m->failing = true;
}

static void *run(void *context)
{
    struct peers *m = context;

    pthread_mutex_lock(&m->lock);
    for (;;) {
        while (!m->has_record && !m->ends)
            pthread_cond_wait(&m->told, &m->lock);
        if (m->ends)
            break;
        struct ledger_record record = m->record;

        m->has_record = false;
        pthread_mutex_unlock(&m->lock);
        write_and_read(m, &record);
        pthread_mutex_lock(&m->lock);
    }
    pthread_mutex_unlock(&m->lock);
    holds_leave(m->folder, m->process);
    ledger_dir_leave(m->folder, m->process);
    return NULL;
}

static bool folder_there(const char *path, struct err *err_r)
{
    if (mkdir(path, 0770) == 0 || errno == EEXIST)
        return true;
    return err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, errno, "make the folder");
}

/* The folder and the key that names it; a name that will not do is no trouble of the disk. */
static bool refuse(const char *folder, const struct err *why, struct err *err_r)
{
    bool misnamed = why->code == ENOTDIR || why->code == ENOENT || why->code == ENAMETOOLONG || why->code == ELOOP ||
                    why->code == EACCES;

    err_set(err_r, why->class, why->scope, misnamed ? ERR_ORIGIN_CONFIG : why->origin, why->code,
            "%.120s: %.80s; the key ledger of [batch] names it", folder, why->server_text);
    return err_doing(err_r, "preparing the ledger");
}

/* Names of hosts and tenants as they are; anything else is no part of a path. */
static char *folder_of(const char *ledger_folder, const char *tenant)
{
    char *path = mem_format("%s/%s", ledger_folder, tenant);

    for (char *at = path + strlen(ledger_folder) + 1; *at; at++) {
        if (*at >= 'A' && *at <= 'Z')
            *at = (char)(*at - 'A' + 'a');
        else if (!((*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9') || *at == '-' ||
                   (*at == '.' && at[-1] != '/')))
            *at = '_';
    }
    return path;
}

bool peers_create(const char *ledger_folder, const char *tenant, struct peers **peers_r, struct err *err_r)
{
    struct peers *m = mem_zero(1, sizeof *m);
    struct ledger_record first = { .weight = 1 };
    struct err why;
    int error;

    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->told, NULL);
    m->folder = folder_of(ledger_folder, tenant);
    if (RAND_bytes((unsigned char *)&m->process, sizeof m->process) != 1 || m->process == 0)
        m->process = now_ns() | 1;
    first.process = m->process;
    first.heartbeat_ms = now_wall_ms();
    if (!folder_there(ledger_folder, &why) || !folder_there(m->folder, &why) ||
        !ledger_dir_write(m->folder, &first, &why)) {
        (void)refuse(ledger_folder, &why, err_r);
        peers_destroy(&m);
        return false;
    }
    error = pthread_create(&m->thread, NULL, run, m);
    if (error) {
        ledger_dir_leave(m->folder, m->process);
        peers_destroy(&m);
        return err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, error, "start a thread");
    }
    m->started = true;
    *peers_r = m;
    return true;
}

void peers_destroy(struct peers **peers)
{
    struct peers *m = *peers;

    if (!m)
        return;
    *peers = NULL;
    if (m->started) {
        pthread_mutex_lock(&m->lock);
        m->ends = true;
        pthread_cond_signal(&m->told);
        pthread_mutex_unlock(&m->lock);
        pthread_join(m->thread, NULL);
    }
    pthread_cond_destroy(&m->told);
    pthread_mutex_destroy(&m->lock);
    free(m->folder);
    free(m);
}

uint64_t peers_process(const struct peers *m)
{
    return m->process;
}

void peers_begin(struct peers *m, struct loop *loop, peers_heard *heard, void *context)
{
    pthread_mutex_lock(&m->lock);
    m->heard = heard;
    m->context = context;
    m->loop = loop;
    pthread_mutex_unlock(&m->lock);
}

void peers_tell(struct peers *m, const struct ledger_record *record)
{
    pthread_mutex_lock(&m->lock);
    m->record = *record;
    m->has_record = true;
    pthread_cond_signal(&m->told);
    pthread_mutex_unlock(&m->lock);
}

void peers_end(struct peers *m)
{
    pthread_mutex_lock(&m->lock);
    m->loop = NULL;
    pthread_mutex_unlock(&m->lock);
}

bool peers_take(struct peers *m, const char *state_folder, const struct slice *addresses, size_t count, bool *taken_r,
                struct err *err_r)
{
    uint64_t *numbers = mem_zero(count + 1, sizeof *numbers);
    bool ok;

    for (size_t i = 0; i < count; i++)
        numbers[i] = holds_number(addresses[i]);
    ok = holds_take(m->folder, m->process, holds_place(state_folder), numbers, count, taken_r, err_r);
    free(numbers);
    return ok;
}
