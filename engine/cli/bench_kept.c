#include "engine/cli/bench_kept.h"

#include "engine/cli/outfile.h"
#include "io/base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BYTES_MAX (64u << 20)
#define ENDING    ".bench.json"

char *bench_kept_path(const struct settings *s)
{
    size_t size = strlen(s->batch_file);

    if (size > 4 && strcmp(s->batch_file + size - 4, ".ini") == 0)
        size -= 4;
    return mem_format("%.*s" ENDING, (int)size, s->batch_file);
}

/* The result, or NULL. */
static json_t *load(const char *path)
{
    struct stat st;
    json_t *all;

    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0 || st.st_size > BYTES_MAX)
        return NULL;
    all = json_load_file(path, 0, NULL);
    if (all && (!json_is_object(all) || !json_is_string(json_object_get(all, "schema")) ||
                strcmp(json_string_value(json_object_get(all, "schema")), "mailhaul.bench.v1") != 0)) {
        json_decref(all);
        all = NULL;
    }
    return all;
}

bool bench_kept_may_write(const char *path)
{
    struct stat st;
    json_t *old;

    if (lstat(path, &st) != 0) {
        char *folder = mem_text(path), *slash = strrchr(folder, '/');
        bool may;

        if (slash)
            slash[slash == folder] = '\0';
        may = errno == ENOENT && access(slash ? folder : ".", W_OK | X_OK) == 0;
        free(folder);
        return may;
    }
    if (!S_ISREG(st.st_mode) || access(path, W_OK) != 0)
        return false;
    if (st.st_size == 0)
        return true;
    old = load(path);
    json_decref(old);
    return old != NULL;
}

void bench_kept_write(const char *path, const json_t *result, bool quiet)
{
    char *text = json_dumps(result, JSON_INDENT(1));
    struct outfile to;
    struct err err;
    int error = text ? outfile_begin(&to, path) : ENOMEM;

    if (!error) {
        fputs(text, to.out);
        fputc('\n', to.out);
        error = outfile_end(&to, true, &err) ? 0 : err.code ? err.code : EIO;
    }
    free(text);
    if (error)
        fprintf(stderr, "mailhaul: warning: %s: the result is not kept for plan and run: %s\n", path, strerror(error));
    else if (!quiet)
        fprintf(stderr, "mailhaul: kept in %s for plan and run\n", path);
}

static double number(const json_t *of, const char *name)
{
    double value = json_number_value(json_object_get(of, name));

    return value > 0 && value < 1e15 ? value : 0;
}

static bool is_of_server(const json_t *all, const struct settings_endpoint *e)
{
    const json_t *server = json_object_get(all, "server");
    const char *host = json_string_value(json_object_get(server, "host"));

    return host && strcmp(host, e->host) == 0 && (unsigned)number(server, "port") == e->port;
}

static void use(struct settings *s, const json_t *all, const char *path, bool quiet)
{
    const json_t *advice = json_object_get(all, "recommendation"), *knee = json_object_get(all, "knee");
    const json_t *step = json_array_get(json_object_get(all, "steps"), (size_t)number(knee, "step"));
    const char *began = json_string_value(json_object_get(all, "began"));
    double connections = number(advice, "source.connections"), each = number(advice, "source.connections-per-user");
    char said[120] = "";

    if (connections < 1 || connections > 10000 || each < 1 || each > 1000)
        return;
    if (!s->source.connections_said) {
        s->source.connections = (unsigned)connections;
        snprintf(said, sizeof said, "connections = %u", s->source.connections);
    }
    if (!s->source.per_user_said) {
        s->source.connections_per_user = (unsigned)each;
        snprintf(said + strlen(said), sizeof said - strlen(said), "%sconnections-per-user = %u", said[0] ? ", " : "",
                 s->source.connections_per_user);
    }
    s->bench_bytes_per_s = number(step, "mb_per_s") * 1e6;
    s->bench_messages_per_s = number(step, "messages_per_s");
    if (said[0] && !quiet)
        fprintf(stderr, "mailhaul: [source] %s: as measured by the bench of %.20s (%s)\n", said, began ? began : "?",
                path);
}

void bench_kept_use(struct settings *s, bool quiet)
{
    char *path = bench_kept_path(s);
    json_t *all = load(path);

    if (all && is_of_server(all, &s->source) && json_is_true(json_object_get(json_object_get(all, "knee"), "known")))
        use(s, all, path, quiet);
    json_decref(all);
    free(path);
}
