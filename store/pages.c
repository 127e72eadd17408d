#include "store/pages.h"

#include "io/base/mem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define META_MAGIC     0xBEEFC0DEu
#define META_VERSION   1u
#define PAGE_HEADER    16u
#define NODE_HEADER    8u
#define KEY_MAX        511u
#define DEPTH_MAX      32u
#define NO_PAGE        UINT64_MAX
#define LONG_BYTES_MAX (64u << 20) /* a value that is read; the list of free pages has the longest */

enum { PAGE_BRANCH = 1, PAGE_LEAF = 2, PAGE_OVERFLOW = 4, PAGE_META = 8, PAGE_DIRTY = 16 };
enum { NODE_BIG = 1, NODE_TABLE = 2 };

/* As in the file. */
#define TABLE_INTEGER_KEY 0x08u /* MDB_INTEGERKEY */
#define TABLE_KIND_FLAGS  0x7Eu /* MDB_REVERSEKEY to MDB_REVERSEDUP */

struct table_root {
    uint32_t pad;
    uint16_t flags, depth;
    uint64_t branch_pages, leaf_pages, overflow_pages, entries, root;
};

struct meta {
    uint32_t magic, version;
    uint64_t address, map_bytes;
    struct table_root roots[2]; /* free pages, tables */
    uint64_t last_page, transaction;
};

struct page {
    uint64_t number;
    uint16_t pad, flags;
    uint16_t lower, upper;
};

struct walk {
    int fd;
    uint64_t page_bytes, end, there; /* pages below `end` may be in use, below `there` are in the file */
    uint8_t *used;                   /* bits */
    pages_record *record;
    const char *unread;
    struct pages_result *result;
    const struct meta *meta;
    /* The table that is walked: */
    const char *table;
    enum { TABLE_TABLES, TABLE_FREE, TABLE_OTHER } kind;
    unsigned depth;
    uint64_t entries;
    bool any; /* last holds a key */
    size_t last_size, fence_size;
    uint8_t last[KEY_MAX], fence[KEY_MAX]; /* the next key must be above one, and not below the other */
    char *pages;                           /* one for each level */
    struct table_root *tables;             /* found in TABLE_TABLES */
    char (*names)[KEY_MAX + 1];
    unsigned table_count;
};

__attribute__((format(printf, 2, 3))) static int wrong(struct walk *w, const char *format, ...)
{
    size_t at;
    va_list args;

    at = (size_t)snprintf(w->result->what, sizeof w->result->what, "%s%s: ", w->kind == TABLE_OTHER ? "table " : "",
                          w->table);
    if (at < sizeof w->result->what) {
        va_start(args, format);
        vsnprintf(w->result->what + at, sizeof w->result->what - at, format, args);
        va_end(args);
    }
    return MDB_CORRUPTED;
}

/* 0, an errno, or MDB_CORRUPTED when the file ends before. */
static int read_at(int fd, void *out, uint64_t size, uint64_t at)
{
    char *to = out;

    while (size > 0) {
        ssize_t n = pread(fd, to, size, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0)
            return MDB_CORRUPTED;
        to += n;
        at += (uint64_t)n;
        size -= (uint64_t)n;
    }
    return 0;
}

static int taken(struct walk *w, uint64_t page, uint64_t count)
{
    if (page < 2 || page >= w->end || count > w->end - page)
        return wrong(w, "page %llu is not one of the file's", (unsigned long long)page);
    for (; count > 0; count--, page++) {
        if (w->used[page / 8] >> page % 8 & 1)
            return wrong(w, "page %llu is used twice", (unsigned long long)page);
        w->used[page / 8] |= (uint8_t)(1u << page % 8);
    }
    return 0;
}

static int missing(struct walk *w, uint64_t number)
{
    return wrong(w, "page %llu is missing, the file is cut short", (unsigned long long)number);
}

static int page_read(struct walk *w, uint64_t number, char *bytes, uint64_t size)
{
    int rc = read_at(w->fd, bytes, size, number * w->page_bytes);

    return rc == MDB_CORRUPTED ? missing(w, number) : rc;
}

static int compared(const struct walk *w, const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    size_t least = a_size < b_size ? a_size : b_size;
    uint64_t x, y;
    int diff;

    if (w->kind == TABLE_FREE) {
        memcpy(&x, a, sizeof x);
        memcpy(&y, b, sizeof y);
        return x < y ? -1 : x > y;
    }
    diff = least ? memcmp(a, b, least) : 0;
    return diff ? diff : a_size < b_size ? -1 : a_size > b_size;
}

static uint64_t pages_of(const struct walk *w, uint64_t value_bytes)
{
    return (PAGE_HEADER - 1 + value_bytes) / w->page_bytes + 1;
}

static int free_list(struct walk *w, struct slice value)
{
    uint64_t count, before = NO_PAGE, page;

    if (value.size < sizeof count || value.size % sizeof count != 0)
        return wrong(w, "its length is wrong");
    memcpy(&count, value.data, sizeof count);
    if (count > value.size / sizeof count - 1)
        return wrong(w, "its length is wrong");
    for (uint64_t i = 1; i <= count; i++, before = page) {
        int rc;

        memcpy(&page, value.data + i * sizeof page, sizeof page);
        if (page >= before)
            return wrong(w, "it is not in order");
        rc = taken(w, page, 1);
        if (rc)
            return rc;
    }
    return 0;
}

static int table_noted(struct walk *w, struct slice key, struct slice value)
{
    if (value.size != sizeof *w->tables || w->table_count >= 64)
        return wrong(w, "a table's record is damaged");
    w->tables = mem_resize(w->tables, w->table_count + 1, sizeof *w->tables);
    w->names = mem_resize(w->names, w->table_count + 1, sizeof *w->names);
    memcpy(&w->tables[w->table_count], value.data, value.size);
    memcpy(w->names[w->table_count], key.data, key.size);
    w->names[w->table_count++][key.size] = '\0';
    return 0;
}

static int entry_judged(struct walk *w, struct slice key, struct slice value, bool is_table)
{
    if ((w->kind == TABLE_TABLES) != is_table)
        return wrong(w, "an entry is of the wrong kind");
    if (w->kind == TABLE_TABLES)
        return table_noted(w, key, value);
    if (w->kind == TABLE_FREE)
        return free_list(w, value);
    if (!w->result->record[0] && !w->record(w->table, key, value))
        snprintf(w->result->record, sizeof w->result->record, "a record of the table %s", w->table);
    return 0;
}

/* A value in pages of its own. */
static int big_entry(struct walk *w, struct slice key, const uint8_t *node, uint64_t size)
{
    struct page head;
    uint64_t number, count = pages_of(w, size);
    uint32_t there;
    char *bytes;
    int rc;

    memcpy(&number, node, sizeof number);
    rc = taken(w, number, count);
    if (rc)
        return rc;
    if (number + count > w->there)
        return missing(w, number + count - 1);
    if (w->kind == TABLE_OTHER && strcmp(w->table, w->unread) == 0)
        return 0;
    if (size > LONG_BYTES_MAX && w->kind != TABLE_FREE)
        return wrong(w, "page %llu: its length is wrong", (unsigned long long)number);
    bytes = mem_alloc(PAGE_HEADER + size);
    rc = page_read(w, number, bytes, PAGE_HEADER + size);
    if (!rc) {
        memcpy(&head, bytes, PAGE_HEADER);
        memcpy(&there, bytes + 12, sizeof there);
        if (head.number != number || head.flags != PAGE_OVERFLOW || there < count || there > w->end - number)
            rc = wrong(w, "page %llu is damaged", (unsigned long long)number);
    }
    if (!rc)
        rc = entry_judged(w, key, slice_of(bytes + PAGE_HEADER, size), false);
    free(bytes);
    return rc;
}

static int key_judged(struct walk *w, const uint8_t *key, size_t size, uint64_t page)
{
    if (w->kind == TABLE_FREE ? size != 8 : size == 0 || size > KEY_MAX)
        return wrong(w, "page %llu: a key's length is wrong", (unsigned long long)page);
    if ((w->any && compared(w, key, size, w->last, w->last_size) <= 0) ||
        (w->fence_size && compared(w, key, size, w->fence, w->fence_size) < 0))
        return wrong(w, "page %llu: keys are not in order", (unsigned long long)page);
    return 0;
}

static int leaf_node(struct walk *w, const uint8_t *node, uint64_t page)
{
    uint16_t lo, hi, flags, key_size;
    uint64_t size;
    struct slice key;
    int rc;

    memcpy(&lo, node, 2);
    memcpy(&hi, node + 2, 2);
    memcpy(&flags, node + 4, 2);
    memcpy(&key_size, node + 6, 2);
    size = (uint64_t)hi << 16 | lo;
    node += NODE_HEADER;
    rc = key_judged(w, node, key_size, page);
    if (rc)
        return rc;
    memcpy(w->last, node, key_size);
    w->last_size = key_size;
    w->any = true;
    w->fence_size = 0;
    w->entries++;
    key = slice_of((const char *)node, key_size);
    if (flags == NODE_BIG)
        return big_entry(w, key, node + key_size, size);
    return entry_judged(w, key, slice_of((const char *)node + key_size, size), flags == NODE_TABLE);
}

/* Where the nodes of a page stand: all within it, and as many bytes of them as the page counts. */
static int nodes_judged(struct walk *w, const char *bytes, const struct page *head, unsigned *count_r)
{
    bool leaf = head->flags == PAGE_LEAF;
    uint64_t sum = 0;
    unsigned count;

    if (head->lower < PAGE_HEADER + 2 || head->lower % 2 != 0 || head->lower > head->upper ||
        head->upper > w->page_bytes)
        return MDB_CORRUPTED;
    count = (head->lower - PAGE_HEADER) / 2;
    for (unsigned i = 0; i < count; i++) {
        uint16_t at, lo, hi, flags, key_size;
        uint64_t size;

        memcpy(&at, bytes + PAGE_HEADER + 2 * i, 2);
        if (at < head->upper || at % 2 != 0 || at + NODE_HEADER > w->page_bytes)
            return MDB_CORRUPTED;
        memcpy(&lo, bytes + at, 2);
        memcpy(&hi, bytes + at + 2, 2);
        memcpy(&flags, bytes + at + 4, 2);
        memcpy(&key_size, bytes + at + 6, 2);
        if (leaf && flags != 0 && flags != NODE_BIG && flags != NODE_TABLE)
            return MDB_CORRUPTED;
        size = NODE_HEADER + key_size;
        if (leaf)
            size += flags == NODE_BIG ? 8 : (uint64_t)hi << 16 | lo;
        size += size % 2;
        if (size > w->page_bytes - at)
            return MDB_CORRUPTED;
        sum += size;
    }
    if (sum != w->page_bytes - head->upper)
        return MDB_CORRUPTED;
    *count_r = count;
    return 0;
}

static int tree(struct walk *w, uint64_t number, unsigned level);

static int branch_node(struct walk *w, const uint8_t *node, unsigned i, uint64_t page, unsigned level)
{
    uint16_t parts[3], key_size;
    uint64_t child;
    int rc;

    memcpy(parts, node, sizeof parts);
    memcpy(&key_size, node + 6, 2);
    child = parts[0] | (uint64_t)parts[1] << 16 | (uint64_t)parts[2] << 32;
    if (i > 0) { /* the first has no key, or one that does not count */
        rc = key_judged(w, node + NODE_HEADER, key_size, page);
        if (rc)
            return rc;
        memcpy(w->fence, node + NODE_HEADER, key_size);
        w->fence_size = key_size;
    }
    return tree(w, child, level + 1);
}

static int tree(struct walk *w, uint64_t number, unsigned level)
{
    char *bytes = w->pages + level * w->page_bytes;
    unsigned kind = level + 1 == w->depth ? PAGE_LEAF : PAGE_BRANCH, count = 0;
    struct page head;
    int rc = taken(w, number, 1);

    if (!rc)
        rc = page_read(w, number, bytes, w->page_bytes);
    if (rc)
        return rc;
    memcpy(&head, bytes, PAGE_HEADER);
    if (head.number != number || head.flags != kind || nodes_judged(w, bytes, &head, &count) != 0)
        return wrong(w, "page %llu is damaged", (unsigned long long)number);
    for (unsigned i = 0; i < count && !rc; i++) {
        uint16_t at;

        memcpy(&at, bytes + PAGE_HEADER + 2 * i, 2);
        rc = kind == PAGE_LEAF ? leaf_node(w, (const uint8_t *)bytes + at, number)
                               : branch_node(w, (const uint8_t *)bytes + at, i, number, level);
    }
    return rc;
}

static int table_walked(struct walk *w, const struct table_root *root)
{
    int rc = 0;

    w->any = false;
    w->fence_size = 0;
    w->entries = 0;
    w->depth = root->depth;
    /* How keys are ordered and what a value is: as this program makes its tables, else LMDB would read them so. */
    if ((root->flags & TABLE_KIND_FLAGS) != (w->kind == TABLE_FREE ? TABLE_INTEGER_KEY : 0u))
        return wrong(w, "its keys are marked to be of another kind");
    if ((root->root == NO_PAGE) != (root->depth == 0) || root->depth > DEPTH_MAX)
        return wrong(w, "its root is damaged");
    if (root->depth)
        rc = tree(w, root->root, 0);
    if (!rc && w->entries != root->entries)
        rc = wrong(w, "%llu entries are there, %llu should be", (unsigned long long)w->entries,
                   (unsigned long long)root->entries);
    return rc;
}

static int tables_walked(struct walk *w)
{
    int rc;

    w->table = "list of tables";
    w->kind = TABLE_TABLES;
    rc = table_walked(w, &w->meta->roots[1]);
    w->kind = TABLE_OTHER;
    for (unsigned i = 0; i < w->table_count && !rc; i++) {
        w->table = w->names[i];
        rc = table_walked(w, &w->tables[i]);
    }
    if (rc)
        return rc;
    /* Last: by now all that is in use is known. */
    w->table = "list of free pages";
    w->kind = TABLE_FREE;
    return table_walked(w, &w->meta->roots[0]);
}

/* The meta page of the last transaction, as LMDB chooses it. */
static int meta_read(int fd, struct meta *meta_r, uint64_t *page_bytes_r)
{
    uint64_t page_bytes = 0;

    memset(meta_r, 0, sizeof *meta_r);
    for (unsigned i = 0; i < 2; i++) {
        char bytes[PAGE_HEADER + sizeof(struct meta)];
        struct page head;
        struct meta meta;
        int rc = read_at(fd, bytes, sizeof bytes, i * page_bytes);

        if (rc)
            return rc;
        memcpy(&head, bytes, PAGE_HEADER);
        memcpy(&meta, bytes + PAGE_HEADER, sizeof meta);
        if (head.flags != PAGE_META || head.number != i || meta.magic != META_MAGIC)
            return MDB_INVALID;
        if (meta.version != META_VERSION)
            return MDB_VERSION_MISMATCH;
        if (i == 0)
            page_bytes = meta.roots[0].pad;
        if (page_bytes < 512 || page_bytes > 65536 || (page_bytes & (page_bytes - 1)) != 0 ||
            meta.roots[0].pad != page_bytes)
            return MDB_INVALID;
        if (i == 0 || meta.transaction > meta_r->transaction)
            *meta_r = meta;
    }
    *page_bytes_r = page_bytes;
    return 0;
}

int pages_check(int fd, const char *unread, pages_record *record, struct pages_result *result_r)
{
    struct walk w = { .fd = fd, .record = record, .unread = unread, .result = result_r };
    struct meta meta;
    struct stat st;
    int rc;

    memset(result_r, 0, sizeof *result_r);
    if (fstat(fd, &st) < 0)
        return errno;
    w.table = "the file";
    rc = meta_read(fd, &meta, &w.page_bytes);
    if (rc == MDB_CORRUPTED || rc == MDB_INVALID)
        (void)wrong(&w, "its first pages are not those of a spool");
    if (rc)
        return rc;
    result_r->transaction = meta.transaction;
    result_r->page_bytes = w.page_bytes;
    w.meta = &meta;
    w.end = meta.last_page + 1;
    w.there = ((uint64_t)st.st_size + w.page_bytes - 1) / w.page_bytes;
    /* Free pages at the end may never have been written, but hardly more than a large transaction. */
    if (meta.last_page < 1 || meta.last_page >= (1ull << 48) / w.page_bytes || w.end > w.there * 2 + (1u << 20))
        return wrong(&w, "it is cut short: %llu bytes, not %llu", (unsigned long long)st.st_size,
                     (unsigned long long)(w.end * w.page_bytes));
    w.used = mem_zero(w.end / 8 + 1, 1);
    w.pages = mem_alloc(DEPTH_MAX * w.page_bytes);
    rc = tables_walked(&w);
    free(w.used);
    free(w.pages);
    free(w.tables);
    free(w.names);
    return rc;
}

uint64_t pages_transaction(int fd)
{
    uint64_t page_bytes;
    struct meta meta;

    return meta_read(fd, &meta, &page_bytes) == 0 ? meta.transaction : 0;
}

bool pages_value_sound(struct slice key, struct slice value, uint64_t page_bytes)
{
    /* me_nodemax of LMDB: what is longer goes into pages of its own. */
    uint64_t node_max = ((page_bytes - PAGE_HEADER) / 2 & ~1ull) - 2;
    const char *head = value.data - PAGE_HEADER;
    uint16_t flags;
    uint32_t count;

    if (NODE_HEADER + key.size + value.size <= node_max)
        return true;
    memcpy(&flags, head + 10, sizeof flags);
    memcpy(&count, head + 12, sizeof count);
    return (flags & ~PAGE_DIRTY) == PAGE_OVERFLOW && count == (PAGE_HEADER - 1 + value.size) / page_bytes + 1;
}
