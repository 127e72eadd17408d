#include "engine/failure/shut.h"

bool shut_waits(struct shut *s, unsigned tries, uint32_t opened, unsigned refused, unsigned most)
{
    bool shut;

    if (s->opened != opened)
        s->silent = 0;
    else if (s->silent < UINT8_MAX)
        s->silent++;
    s->opened = opened;
    shut = s->silent >= SHUT_SILENT && refused > 1;
    if (shut) {
        if (most > UINT8_MAX)
            most = UINT8_MAX;
        s->tries = (uint8_t)(tries + SHUT_GIVES < most ? tries + SHUT_GIVES : most);
    }
    return shut;
}
