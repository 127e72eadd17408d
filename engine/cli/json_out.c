#include "engine/cli/json_out.h"

#include "engine/report/emit.h"

#include <stdlib.h>

void json_out(json_t *all)
{
    char *text = json_dumps(all, JSON_INDENT(1));

    emit_whole(stdout, slice_cstr(text));
    free(text);
    json_decref(all);
}
