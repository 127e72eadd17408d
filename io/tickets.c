#include "io/tickets.h"

#include <stdio.h>
#include <string.h>

void tickets_put(struct tickets *t, uint64_t role, const char *server, SSL_SESSION *session)
{
    struct ticket *entry = &t->entries[t->next];

    t->next = (t->next + 1) % TICKETS_COUNT;
    SSL_SESSION_free(entry->session);
    entry->role = role;
    entry->session = session;
    snprintf(entry->server, sizeof entry->server, "%s", server);
}

SSL_SESSION *tickets_take(struct tickets *t, uint64_t role, const char *server)
{
    for (unsigned i = 1; i <= TICKETS_COUNT; i++) {
        struct ticket *entry = &t->entries[(t->next + TICKETS_COUNT - i) % TICKETS_COUNT];
        SSL_SESSION *session = entry->session;

        if (session && entry->role == role && strcmp(entry->server, server) == 0) {
            entry->session = NULL;
            entry->role = 0;
            return session;
        }
    }
    return NULL;
}

void tickets_deinit(struct tickets *t)
{
    for (unsigned i = 0; i < TICKETS_COUNT; i++)
        SSL_SESSION_free(t->entries[i].session);
    *t = (struct tickets){ 0 };
}
