#include "engine/message/follow_merge.h"

#include <stdio.h>
#include <string.h>

static bool is_among(struct slice word, struct slice words)
{
    struct slice one;

    while (slice_split(&words, ' ', &one))
        if (slice_equal_nocase(one, word))
            return true;
    return false;
}

/* Each of `words` is among `others`. */
static bool are_among(struct slice words, struct slice others)
{
    struct slice one;

    while (slice_split(&words, ' ', &one))
        if (one.size && !is_among(one, others))
            return false;
    return true;
}

struct follow_keeps follow_keeps_of(const struct imap_selected *selected)
{
    if (!selected->has_permanent)
        return (struct follow_keeps){ .system = 0x1f, .any_keyword = true };
    return (struct follow_keeps){ .system = selected->permanent.system & 0x1f,
                                  .any_keyword = selected->permanent.system & IMAP_FLAG_WILDCARD,
                                  .keywords = selected->permanent.keywords };
}

bool follow_differs(const struct follow_flags *base, const struct follow_flags *source)
{
    return ((unsigned)(base->system ^ source->system) & FOLLOW_FLAGS) || !are_among(base->keywords, source->keywords) ||
           !are_among(source->keywords, base->keywords);
}

static void add_word(char *text, size_t cap, struct slice word)
{
    size_t size = strlen(text);

    if (size + word.size + 2 > cap)
        return;
    snprintf(text + size, cap - size, "%s%.*s", size ? " " : "", (int)(word.size & 0xffff), word.data);
}

static void add_system(char *text, size_t cap, unsigned flags)
{
    static const struct {
        unsigned flag;
        const char *name;
    } names[] = { { IMAP_FLAG_SEEN, "\\Seen" },
                  { IMAP_FLAG_ANSWERED, "\\Answered" },
                  { IMAP_FLAG_FLAGGED, "\\Flagged" },
                  { IMAP_FLAG_DRAFT, "\\Draft" } };

    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (flags & names[i].flag)
            add_word(text, cap, slice_cstr(names[i].name));
}

static bool keeps_word(const struct follow_keeps *keeps, struct slice word)
{
    return keeps->any_keyword || is_among(word, keeps->keywords);
}

/* What the source has and base has not; what the target has already needs no STORE. */
static void words_added(const struct follow_flags *base, const struct follow_flags *source,
                        const struct follow_flags *target, const struct follow_keeps *keeps, struct follow_merge *m)
{
    struct slice rest = source->keywords, word;

    while (slice_split(&rest, ' ', &word)) {
        if (!keyword_is_atom(word) || is_among(word, base->keywords) || is_among(word, target->keywords))
            continue;
        if (keeps_word(keeps, word))
            add_word(m->add, sizeof m->add, word);
        else
            m->unkept = true;
    }
}

static void words_taken(const struct follow_flags *base, const struct follow_flags *source,
                        const struct follow_flags *target, const struct follow_keeps *keeps, struct follow_merge *m)
{
    struct slice rest = target->keywords, word;

    while (slice_split(&rest, ' ', &word))
        if (keyword_is_atom(word) && is_among(word, base->keywords) && !is_among(word, source->keywords) &&
            keeps_word(keeps, word))
            add_word(m->take, sizeof m->take, word);
}

/* The target has what neither base nor the source has, or lacks what both have. */
static bool words_stay(const struct follow_flags *base, const struct follow_flags *source,
                       const struct follow_flags *target, const struct follow_keeps *keeps)
{
    struct slice rest = target->keywords, word;

    while (slice_split(&rest, ' ', &word))
        if (word.size && !is_among(word, base->keywords) && !is_among(word, source->keywords))
            return true;
    rest = base->keywords;
    while (slice_split(&rest, ' ', &word))
        if (word.size && is_among(word, source->keywords) && !is_among(word, target->keywords) &&
            keeps_word(keeps, word))
            return true;
    return false;
}

void follow_merge(const struct follow_flags *base, const struct follow_flags *source, const struct follow_flags *target,
                  const struct follow_keeps *keeps, struct follow_merge *m)
{
    unsigned changed = (unsigned)(base->system ^ source->system) & FOLLOW_FLAGS;

    m->add[0] = m->take[0] = '\0';
    m->unkept = changed & source->system & ~keeps->system;
    add_system(m->add, sizeof m->add, changed & source->system & ~(unsigned)target->system & keeps->system);
    add_system(m->take, sizeof m->take, changed & ~(unsigned)source->system & target->system & keeps->system);
    words_added(base, source, target, keeps, m);
    words_taken(base, source, target, keeps, m);
    m->stays = ((unsigned)(target->system ^ base->system) & ~changed & keeps->system & FOLLOW_FLAGS) ||
               words_stay(base, source, target, keeps);
}

struct follow_flags follow_base(const struct message_record *m, const struct follow_record *follow)
{
    if (follow && follow->followed)
        return follow->now;
    return (struct follow_flags){ .system = m->flags, .keywords = m->keywords };
}
