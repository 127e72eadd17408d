/* The mail that a benchmark reads: a set drawn once from what the accounts hold, by a seed, so that each step reads the
 * same. Messages are drawn in blocks that lie beside each other in their folder, as a migration reads them; each block
 * has a number that only seed, account, folder and UIDs decide, and the blocks with the smallest numbers are the set.
 * So the draw is the same whatever order the mail is listed in, and each block of all accounts is as likely as any
 * other.
 */
#ifndef ENGINE_BENCH_CORPUS_H
#define ENGINE_BENCH_CORPUS_H

#include "io/base/slice.h"

#include <stdbool.h>
#include <stdint.h>

#define CORPUS_BLOCK 64u /* UIDs */
/* Classes of size. */
#define CORPUS_CLASSES 5u
extern const char *const corpus_class_names[CORPUS_CLASSES]; /* "<10KB" ... */
unsigned corpus_class(uint64_t bytes);

struct corpus_shape {
    uint64_t messages, bytes, folders, users;
    uint64_t class_messages[CORPUS_CLASSES], class_bytes[CORPUS_CLASSES];
};

struct corpus_message {
    uint64_t bytes; /* as listed */
    uint32_t uid;
    uint16_t reads; /* in this benchmark, up to 65,535; written by the one connection that reads its piece */
};

/* Messages that one connection reads after one SELECT; ascending UIDs. */
struct corpus_piece {
    uint64_t order; /* the block's number */
    uint64_t bytes;
    unsigned user;      /* as given to corpus_keep */
    const char *folder; /* raw name; the corpus's */
    struct corpus_message *messages;
    unsigned count;
};

struct corpus {
    struct corpus_piece *pieces; /* by order */
    unsigned count, room;
    struct corpus_shape found; /* all that was listed */
};

/* One account's mail while it is listed; one thread's. */
struct corpus_sieve;
/* seed and name (the account's) decide; at most keep_messages are kept (rounded up to blocks). */
struct corpus_sieve *corpus_sieve_create(uint64_t seed, struct slice name, unsigned keep_messages);
/* Rows of this folder follow, in any order; one may come twice. */
void corpus_sieve_folder(struct corpus_sieve *sieve, struct slice folder);
void corpus_sieve_row(struct corpus_sieve *sieve, uint32_t uid, uint64_t bytes);
/* The folder's listing broke off: its rows are not used. */
void corpus_sieve_void(struct corpus_sieve *sieve);
/* Bytes that it holds. */
uint64_t corpus_sieve_memory(const struct corpus_sieve *sieve);
/* Its blocks become the corpus's; frees and nulls. One thread at a time. */
void corpus_keep(struct corpus *corpus, struct corpus_sieve **sieve, unsigned user);
void corpus_sieve_destroy(struct corpus_sieve **sieve);

/* By order. After the last corpus_keep. */
void corpus_sort(struct corpus *corpus);
/* The first pieces that hold so many bytes and messages (0: no bound), at least one; from `first` on. Returns how many.
 */
unsigned corpus_take(const struct corpus *corpus, unsigned first, uint64_t bytes, uint64_t messages);
/* What pieces[0 .. count) hold. */
void corpus_shape_of(const struct corpus_piece *pieces, unsigned count, struct corpus_shape *shape_r);
void corpus_deinit(struct corpus *corpus);

/* Mixes: the next number of a sequence that a seed decides (SplitMix64, after Steele et al., 2014). */
uint64_t corpus_random(uint64_t *state);
/* A number that only seed and text decide. */
uint64_t corpus_number(uint64_t seed, struct slice text);

#endif
