/* test: cli */
#include "engine/config/ini.h"
#include "engine/config/table.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Keys are stored as config does, but nothing is opened: whole files are the unit test's. */
static bool entry_read(void *context, const struct config_entry *e, struct err *err_r)
{
    struct settings *s = context;
    enum config_section section;
    const struct config_key *key;
    char expected[160];

    (void)err_r;
    if (!e->key.data || !config_section_find(e->section, &section))
        return true;
    key = config_key_find(section, e->key);
    if (key && e->value.size &&
        !config_key_store(key, config_section_base(section, s), e->value, "b.ini", expected, sizeof expected) &&
        expected[0] == '\0')
        abort();
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings *s = settings_create();
    struct config_faults faults = { .others = NULL };
    struct err e;

    config_ini_read(slice_of((const char *)data, size), "b.ini", entry_read, s, &faults);
    if (!config_faults_end(&faults, &e) && e.code != 78)
        abort();
    settings_finish(s);
    settings_destroy(&s);
    return 0;
}
