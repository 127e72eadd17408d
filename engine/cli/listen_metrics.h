/* The sample as Prometheus metrics, text format 0.0.4. Names are the manual's and stay. */
#ifndef ENGINE_CLI_LISTEN_METRICS_H
#define ENGINE_CLI_LISTEN_METRICS_H

#include "engine/cli/progress.h"

void listen_metrics(const struct progress_look *look, FILE *out);

#endif
