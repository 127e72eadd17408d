/* The constant parts of the live page; its style sheet is the report's. */
#ifndef ENGINE_CLI_LISTEN_PAGE_H
#define ENGINE_CLI_LISTEN_PAGE_H

extern const char listen_page[], listen_script[];

#endif
