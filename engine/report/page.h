/* The constant parts of the HTML report; report_html joins them with the data. */
#ifndef ENGINE_REPORT_PAGE_H
#define ENGINE_REPORT_PAGE_H

extern const char report_style[], report_body[], report_script[];

#endif
