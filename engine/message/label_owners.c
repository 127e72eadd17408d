#include "engine/message/label_owners.h"

#include "io/base/mem.h"

#include <assert.h>
#include <stdlib.h>

void label_owners_deinit(struct label_owners *label_owners)
{
    free(label_owners->all);
    *label_owners = (struct label_owners){ 0 };
}

/* Where id is, or the free place where it would be. */
static uint32_t place_of(const struct label_owners *label_owners, uint64_t id)
{
    uint32_t at = (uint32_t)((id * 0x9E3779B97F4A7C15u) >> 32) & (label_owners->room - 1);

    while (label_owners->all[at].id && label_owners->all[at].id != id)
        at = (at + 1) & (label_owners->room - 1);
    return at;
}

static void grow(struct label_owners *label_owners)
{
    struct label_owners wider = { .room = label_owners->room ? label_owners->room * 2 : 256 };

    assert(wider.room);
    wider.all = mem_zero(wider.room, sizeof *wider.all);
    for (uint32_t i = 0; i < label_owners->room; i++)
        if (label_owners->all[i].id && label_owners->all[i].folder) {
            wider.all[place_of(&wider, label_owners->all[i].id)] = label_owners->all[i];
            wider.count++;
        }
    free(label_owners->all);
    *label_owners = wider;
}

bool label_owners_take(struct label_owners *label_owners, uint64_t id, uint32_t folder)
{
    struct label_owner *claim;

    assert(id && folder);
    if ((label_owners->count + 1) * 4ull > label_owners->room * 3ull)
        grow(label_owners);
    claim = &label_owners->all[place_of(label_owners, id)];
    if (claim->id && claim->folder)
        return claim->folder == folder;
    label_owners->count += claim->id == 0;
    *claim = (struct label_owner){ id, folder };
    return true;
}

uint32_t label_owners_holder(const struct label_owners *label_owners, uint64_t id)
{
    return label_owners->room && id ? label_owners->all[place_of(label_owners, id)].folder : 0;
}

/* What is given up keeps its place: others may have been put behind it. */
void label_owners_release(struct label_owners *label_owners, uint64_t id, uint32_t folder)
{
    if (folder && label_owners_holder(label_owners, id) == folder)
        label_owners->all[place_of(label_owners, id)].folder = 0;
}

void label_owners_release_folder(struct label_owners *label_owners, uint32_t folder)
{
    for (uint32_t i = 0; i < label_owners->room; i++)
        if (label_owners->all[i].folder == folder)
            label_owners->all[i].folder = 0;
}
