#include "engine/cli/json_out.h"

#include "engine/report/emit.h"
#include "io/base/secret.h"

#include <malloc.h>
#include <stdlib.h>

static void wipe_and_free(void *block)
{
    if (block)
        secret_wipe(block, malloc_usable_size(block));
    free(block);
}

void json_wipes(void)
{
    json_set_alloc_funcs(malloc, wipe_and_free);
}

void json_out(json_t *all)
{
    char *text = json_dumps(all, JSON_INDENT(1));

    emit_whole(stdout, slice_cstr(text));
    free(text);
    json_decref(all);
}
