/* test: imap
 * A session fed with anything. The first line chooses: 'g' from the greeting on or 'r' logged in,
 * then letters of what is asked (tests/dialogue/play.c). The seeds are the dialogues. */
#include "tests/dialogue/play.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CAPABILITIES                                                                                                   \
    "IMAP4rev1 UIDPLUS LITERAL+ MULTIAPPEND NAMESPACE LIST-EXTENDED LIST-STATUS STATUS=SIZE "                          \
    "SPECIAL-USE UNSELECT ESEARCH OBJECTID X-GM-EXT-1"

static void play(enum play_way way, struct slice plan, struct slice server)
{
    struct play p;
    bool logged_in = plan.size && plan.data[0] == 'r';

    play_init(&p, way, (unsigned)server.size);
    p.config.starttls = !logged_in && server.size % 3 == 0;
    p.config.tls = !p.config.starttls;
    p.config.send_id = p.config.compress = !logged_in;
    p.config.exchange = plan.size % 5 == 4;
    if (logged_in)
        p.config.send_id = p.config.compress = false;
    play_begin(&p, logged_in ? CAPABILITIES : NULL);
    if (!logged_in) {
        /* The handshake starts where the session asks for it, if it ever does. */
        if (!buf_append(&p.pending, server))
            abort();
        play_feed(&p);
        play_drain(&p);
        play_deinit(&p);
        return;
    }
    for (size_t i = 1; i < plan.size && i < 40 && !p.over; i++) {
        if (plan.data[i] != 'T' && plan.data[i] != 'z')
            (void)play_do_letter(&p, plan.data[i]);
        play_drain(&p);
    }
    /* In three parts, with what the client may say in between. */
    for (unsigned part = 0; part < 3 && !p.over; part++) {
        size_t n = part == 2 ? server.size : server.size / 3;

        if (!buf_append(&p.pending, slice_first(server, n)))
            abort();
        server = slice_from(server, n);
        play_feed(&p);
        play_drain(&p);
    }
    if (!p.over && plan.size % 2)
        (void)play_do_letter(&p, 'z');
    play_deinit(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = slice_of((const char *)data, size), plan;

    if (size > 16 * 1024 || !slice_split(&all, '\n', &plan))
        return 0;
    play(PLAY_WHOLE, plan, all);
    play(PLAY_RANDOM, plan, all);
    return 0;
}
