/* A short run of a fuzzer where there is no libFuzzer: NAME [-count=N] [-seed=S] [-only=K] [-dict=FILE] [FOLDER]...
 * Each file of the folders as it is, then N inputs made from them: cut, spliced, bytes changed, words of the dictionary
 * put in. The same seed makes the same inputs. What fails is written to NAME-failed in the working folder, and its
 * number told: -only=K runs it alone. The long runs are scripts/fuzz.
 */

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INPUT_MAX 65536u
#define SEEDS_MAX 4096u
#define WORDS_MAX 1024u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

struct bytes {
    uint8_t *data;
    size_t size;
};

static struct bytes seeds[SEEDS_MAX], words[WORDS_MAX];
static unsigned seed_count, word_count;
static uint8_t input[INPUT_MAX];
static size_t input_size;
static unsigned long number;
static uint64_t state;
static char failed_name[300];

static void died(void)
{
    int fd = open(failed_name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    char line[100];
    int size = snprintf(line, sizeof line, "input %lu failed; it is in the working folder\n", number);

    if (fd >= 0 && write(fd, input, input_size) == (ssize_t)input_size)
        (void)!write(2, line, (size_t)size);
}

static void signaled(int signal_number)
{
    died();
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static uint64_t draw(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return below ? state % below : 0;
}

static bool read_file(const char *path, struct bytes *bytes_r)
{
    FILE *f = fopen(path, "rb");

    if (!f)
        return false;
    bytes_r->data = malloc(INPUT_MAX);
    bytes_r->size = bytes_r->data ? fread(bytes_r->data, 1, INPUT_MAX, f) : 0;
    fclose(f);
    return bytes_r->data != NULL;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void read_folder(const char *folder)
{
    struct dirent **names;
    int count = scandir(folder, &names, NULL, by_name);

    for (int i = 0; i < count; i++) {
        char path[1000];

        snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
        if (names[i]->d_name[0] != '.' && seed_count < SEEDS_MAX && read_file(path, &seeds[seed_count]))
            seed_count++;
        free(names[i]);
    }
    if (count >= 0)
        free(names);
}

/* libFuzzer's form: name="text", with \xAB, \\ and \" in it. */
static void read_words(const char *path)
{
    char line[1000];
    FILE *f = fopen(path, "r");

    if (!f) {
        fprintf(stderr, "%s cannot be read\n", path);
        exit(2);
    }
    while (fgets(line, sizeof line, f) && word_count < WORDS_MAX) {
        const char *at = strchr(line, '"'), *end = strrchr(line, '"');
        struct bytes *w = &words[word_count];

        if (line[0] == '#' || !at || end <= at + 1)
            continue;
        w->data = malloc((size_t)(end - at));
        w->size = 0;
        for (at++; w->data && at < end; at++) {
            unsigned value = (unsigned char)*at;

            if (*at == '\\' && at[1] == 'x' && sscanf(at + 2, "%2x", &value) == 1)
                at += 3;
            else if (*at == '\\')
                value = (unsigned char)*++at;
            w->data[w->size++] = (uint8_t)value;
        }
        word_count++;
    }
    fclose(f);
}

static void put(size_t at, size_t instead, const uint8_t *data, size_t size)
{
    size_t rest = input_size - at - instead;

    if (at + size + rest > INPUT_MAX)
        return;
    memmove(input + at + size, input + at + instead, rest);
    if (size)
        memmove(input + at, data, size);
    input_size = at + size + rest;
}

static void change(void)
{
    static const char *const numbers[] = { "0",          "-1",  "4294967295", "4294967296", "18446744073709551616",
                                           "2147483648", "{3}", "\r\n" };
    size_t at = (size_t)draw(input_size + 1), left = input_size - at, some = (size_t)draw(left < 64 ? left + 1 : 64);
    uint8_t copy[64];

    switch (draw(8)) {
    case 0:
        if (left)
            input[at] ^= (uint8_t)(1u << draw(8));
        break;
    case 1:
        if (left)
            input[at] = (uint8_t)draw(256);
        break;
    case 2:
        put(at, some, NULL, 0);
        break;
    case 3:
        memcpy(copy, input + at, some);
        put((size_t)draw(input_size + 1), 0, copy, some);
        break;
    case 4:
        if (word_count) {
            const struct bytes *w = &words[draw(word_count)];

            put(at, draw(2) ? some : 0, w->data, w->size);
        }
        break;
    case 5: {
        const char *text = numbers[draw(sizeof numbers / sizeof *numbers)];

        put(at, draw(2) ? some : 0, (const uint8_t *)text, strlen(text));
        break;
    }
    case 6:
        if (seed_count) {
            const struct bytes *s = &seeds[draw(seed_count)];
            size_t from = (size_t)draw(s->size + 1);

            put(at, left, s->data + from, s->size - from);
        }
        break;
    default:
        copy[0] = (uint8_t)draw(256);
        put(at, 0, copy, 1);
        break;
    }
}

static void make(unsigned long from)
{
    input_size = 0;
    state = (from + 1) * 0x9e3779b97f4a7c15u;
    for (unsigned i = 0; i < 4; i++)
        (void)draw(0);
    if (seed_count) {
        const struct bytes *s = &seeds[draw(seed_count)];

        put(0, 0, s->data, s->size);
    }
    for (uint64_t times = 1 + draw(8); times; times--)
        change();
}

int main(int argc, char **argv)
{
    unsigned long count = 3000, seed = 1, only = 0;
    const char *slash = strrchr(argv[0], '/');

    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], "-dict=", 6) == 0)
            read_words(argv[i] + 6);
        else if (argv[i][0] != '-')
            read_folder(argv[i]);
        else if (sscanf(argv[i], "-count=%lu", &count) != 1 && sscanf(argv[i], "-seed=%lu", &seed) != 1 &&
                 sscanf(argv[i], "-only=%lu", &only) != 1) {
            fprintf(stderr, "%s [-count=N] [-seed=S] [-only=K] [-dict=FILE] [FOLDER]...\n", argv[0]);
            return 2;
        }
    snprintf(failed_name, sizeof failed_name, "%.250s-failed", slash ? slash + 1 : argv[0]);
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(died);
    else
        signal(SIGSEGV, signaled);
    signal(SIGABRT, signaled);
    for (number = 1; number <= seed_count + count; number++) {
        if (only && number != only)
            continue;
        if (number <= seed_count) {
            input_size = seeds[number - 1].size;
            memcpy(input, seeds[number - 1].data, input_size);
        } else {
            make(seed * 1000003u + number);
        }
        (void)LLVMFuzzerTestOneInput(input, input_size);
    }
    printf("%u seeds and %lu inputs, %u words\n", seed_count, count, word_count);
    return 0;
}
