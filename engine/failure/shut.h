/* Does a server open folders for nobody at the moment, or is it one mailbox that it opens none of? The mailbox that is
 * refused cannot tell; the other mailboxes of this process can. While several are refused and none is opened, it is
 * the server, and each of them is waited for longer than one alone would be. Pure: no clock, no connection.
 */
#ifndef ENGINE_FAILURE_SHUT_H
#define ENGINE_FAILURE_SHUT_H

#include <stdbool.h>
#include <stdint.h>

/* Waits at the end of each of which no mailbox had been opened since the one before: it is the server. */
#define SHUT_SILENT 3u
/* Tries that the server's being shut gives from each wait on: the one behind it, and one more, since it may open for
 * another mailbox first. */
#define SHUT_GIVES 2u
/* Tries at most that a folder has in a server that is shut, in words that do not say that it passes. With the usual
 * waits that is about an hour. */
#define SHUT_ROUNDS 16u

/* Of one mailbox, or of one of its folders, since it was refused first. All zero: not refused. */
struct shut {
    uint32_t opened; /* folders that the server had opened for anybody, at the last wait */
    uint8_t silent;  /* waits in a row without one */
    uint8_t tries;   /* that it has from the server's being shut; 0: what it has by itself */
};

/* A wait begins, behind so many tries. opened: folders that the server has opened for this process so far. refused:
 * mailboxes of it that are refused now, this one among them. most: tries that it has at most. Returns whether the
 * server is shut. */
bool shut_waits(struct shut *s, unsigned tries, uint32_t opened, unsigned refused, unsigned most);

#endif
