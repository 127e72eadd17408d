#include "engine/rules/claims.h"

#include "io/base/mem.h"

#include <assert.h>
#include <stdlib.h>

void claims_deinit(struct claims *claims)
{
    free(claims->all);
    *claims = (struct claims){ 0 };
}

/* Where id is, or the free place where it would be. */
static uint32_t place_of(const struct claims *claims, uint64_t id)
{
    uint32_t at = (uint32_t)((id * 0x9E3779B97F4A7C15u) >> 32) & (claims->room - 1);

    while (claims->all[at].id && claims->all[at].id != id)
        at = (at + 1) & (claims->room - 1);
    return at;
}

static void grow(struct claims *claims)
{
    struct claims wider = { .room = claims->room ? claims->room * 2 : 256 };

    assert(wider.room);
    wider.all = mem_zero(wider.room, sizeof *wider.all);
    for (uint32_t i = 0; i < claims->room; i++)
        if (claims->all[i].id && claims->all[i].folder) {
            wider.all[place_of(&wider, claims->all[i].id)] = claims->all[i];
            wider.count++;
        }
    free(claims->all);
    *claims = wider;
}

bool claims_take(struct claims *claims, uint64_t id, uint32_t folder)
{
    struct claim *claim;

    assert(id && folder);
    if ((claims->count + 1) * 4ull > claims->room * 3ull)
        grow(claims);
    claim = &claims->all[place_of(claims, id)];
    if (claim->id && claim->folder)
        return claim->folder == folder;
    claims->count += claim->id == 0;
    *claim = (struct claim){ id, folder };
    return true;
}

uint32_t claims_holder(const struct claims *claims, uint64_t id)
{
    return claims->room && id ? claims->all[place_of(claims, id)].folder : 0;
}

/* What is given up keeps its place: others may have been put behind it. */
void claims_release(struct claims *claims, uint64_t id, uint32_t folder)
{
    if (folder && claims_holder(claims, id) == folder)
        claims->all[place_of(claims, id)].folder = 0;
}

void claims_release_folder(struct claims *claims, uint32_t folder)
{
    for (uint32_t i = 0; i < claims->room; i++)
        if (claims->all[i].folder == folder)
            claims->all[i].folder = 0;
}
