/* The two sides' words, as logs, reports and people have them. */
#ifndef ENGINE_SETTINGS_SIDE_H
#define ENGINE_SETTINGS_SIDE_H

#include "engine/settings/settings.h"

static inline const char *side_name(enum side side)
{
    return side == SIDE_SOURCE ? "source" : "target";
}

#endif
