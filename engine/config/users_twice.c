#include "engine/config/users_twice.h"

#include "io/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_MAX 60

struct by_name {
    const struct settings_user *users;
    users_name *name;
};

const char *users_address(const struct settings_user *user)
{
    return user->email_address;
}

const char *users_target_mailbox(const struct settings_user *user)
{
    return user->target_user_name ? user->target_user_name : user->email_address;
}

static const char *source_login(const struct settings_user *user)
{
    return user->user_name;
}

static int compare_folded(const char *a, const char *b)
{
    for (;; a++, b++) {
        unsigned char x = (unsigned char)(*a >= 'A' && *a <= 'Z' ? *a + 32 : *a);
        unsigned char y = (unsigned char)(*b >= 'A' && *b <= 'Z' ? *b + 32 : *b);

        if (x != y)
            return x < y ? -1 : 1;
        if (x == '\0')
            return 0;
    }
}

static bool same_name(const char *a, const char *b)
{
    return compare_folded(a, b) == 0;
}

/* By name, then by row. */
static int compare_rows(const void *a, const void *b, void *context)
{
    const struct by_name *by = context;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    int order = compare_folded(by->name(&by->users[x]), by->name(&by->users[y]));

    return order ? order : x < y ? -1 : x > y;
}

/* Rows in the order of their names; malloc'ed. */
static uint32_t *rows_by_name(const struct settings_user *users, size_t count, users_name *name)
{
    struct by_name by = { users, name };
    uint32_t *order = mem_zero(count, sizeof *order);

    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    qsort_r(order, count, sizeof *order, compare_rows, &by);
    return order;
}

static int compare_pairs(const void *a, const void *b)
{
    const struct users_pair *x = a, *y = b;

    return x->second < y->second ? -1 : x->second > y->second;
}

struct users_pair *users_all_twice(const struct settings_user *users, size_t count, users_name *name, size_t *pairs_r)
{
    uint32_t *order = rows_by_name(users, count, name);
    struct users_pair *pairs = mem_zero(count, sizeof *pairs);
    size_t used = 0;

    for (size_t i = 1; i < count; i++)
        if (same_name(name(&users[order[i - 1]]), name(&users[order[i]])))
            pairs[used++] = (struct users_pair){ order[i - 1], order[i] };
    free(order);
    qsort(pairs, used, sizeof *pairs, compare_pairs);
    *pairs_r = used;
    return pairs;
}

static bool lies_within(const char *root, const char *other)
{
    size_t size = root ? strlen(root) : 0;

    return size == 0 || (other && strncmp(root, other, size) == 0);
}

/* One account may hold the mail of many people, each below a root of his own. */
static bool reads_the_same(const struct settings_user *a, const struct settings_user *b)
{
    return lies_within(a->user_root, b->user_root) || lies_within(b->user_root, a->user_root);
}

static void warn_of_login(const struct settings_user *users, size_t count, const char *name,
                          struct settings_list *warnings)
{
    const struct settings_user *first = NULL, *second = NULL;
    size_t pair_count, rows = 0;
    struct users_pair *pairs = users_all_twice(users, count, source_login, &pair_count);
    char text[512];

    for (size_t i = pair_count; i-- > 0;)
        if (reads_the_same(&users[pairs[i].first], &users[pairs[i].second])) {
            first = &users[pairs[i].first];
            second = &users[pairs[i].second];
            rows++;
        }
    free(pairs);
    if (!first)
        return;
    snprintf(text, sizeof text, "%s:%u: UserName: %.*s: is in line %u too: the same mail goes to %.*s and %.*s%s", name,
             second->line, SHOWN_MAX, second->user_name, first->line, SHOWN_MAX, users_target_mailbox(first), SHOWN_MAX,
             users_target_mailbox(second), rows > 1 ? "; other rows share a UserName too" : "");
    settings_list_add(warnings, slice_cstr(text));
}

static void warn_of_itself(const struct settings *s, size_t begin, const char *name, struct settings_list *warnings)
{
    const struct settings_user *first = NULL;
    size_t rows = 0;
    char text[512];

    if (!s->source.host || !s->target.host || !same_name(s->source.host, s->target.host) ||
        s->source.port != s->target.port)
        return;
    for (size_t i = s->user_count; i-- > begin;)
        if (same_name(s->users[i].user_name, users_target_mailbox(&s->users[i]))) {
            first = &s->users[i];
            rows++;
        }
    if (!first)
        return;
    snprintf(text, sizeof text, "%s:%u: %.*s: source and target are the same mailbox%s", name, first->line, SHOWN_MAX,
             first->user_name, rows > 1 ? "; so they are in other rows" : "");
    settings_list_add(warnings, slice_cstr(text));
}

void users_warn_of_source(const struct settings *s, size_t first, const char *name, struct settings_list *warnings)
{
    warn_of_login(s->users + first, s->user_count - first, name, warnings);
    warn_of_itself(s, first, name, warnings);
}
