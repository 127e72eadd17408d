/* One quoted CSV field (RFC 4180), made harmless for spreadsheets; shared by report and export. */
#ifndef ENGINE_REPORT_TABLE_H
#define ENGINE_REPORT_TABLE_H

#include "io/base/slice.h"

#include <stdio.h>

/* last: ends the line instead of the field. */
void report_csv_field(FILE *out, struct slice text, bool last);

#endif
