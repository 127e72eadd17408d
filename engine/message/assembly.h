/* Is a message whole that was asked for in several parts? A server with a damaged item gives the header
 * and no text, or stops short, and says OK all the same: so what came counts as the message only where
 * every part came and the end is known. Knows no connection. RFC 9051 6.4.5.
 */
#ifndef ENGINE_MESSAGE_ASSEMBLY_H
#define ENGINE_MESSAGE_ASSEMBLY_H

#include "engine/imap/session.h"

/* How the sizes that a server tells (RFC822.SIZE) compare with its bodies. */
enum size_trust { SIZES_UNKNOWN, SIZES_EXACT, SIZES_ESTIMATES };
/* By how many bodies had the size that was told, and had not. */
enum size_trust size_trust_of(uint64_t right, uint64_t wrong);

enum assembly_answer {
    ASSEMBLY_MORE, /* the next part is to be asked for: assembly_form, assembly_from */
    ASSEMBLY_WHOLE,
    ASSEMBLY_TORN,   /* some of it came, and it is not known to be all */
    ASSEMBLY_NOTHING /* none of it came */
};

/* One message in parts: SESSION_BODY_PARTIAL, or SESSION_BODY_HEADER with the text behind it. */
struct assembly {
    enum session_body_form form;
    uint64_t listed_bytes; /* 0: not told */
    uint64_t other_bytes;  /* what another form gave, which is as good where the end is told; 0: none */
    enum size_trust trust;
    uint64_t got; /* bytes, of all parts */
    uint64_t part_from, part_got;
    unsigned parts;
    bool part_came; /* the part at hand was answered well */
    bool taking;    /* what comes at the moment belongs to the message */
    bool again;     /* a part was answered by all that is there already: the server has no more */
    bool wrong;     /* an answer that cannot be put behind what is there */
    bool text;      /* the text is being read */
    char last[4];   /* the last bytes of the header */
};

/* The bytes that a part is asked for. */
#define ASSEMBLY_PART_BYTES (512u * 1024u)

/* listed_bytes: RFC822.SIZE, 0 where it was not told. */
void assembly_init(struct assembly *a, enum session_body_form form, uint64_t listed_bytes, enum size_trust trust);
/* What is to be asked for now. */
enum session_body_form assembly_form(const struct assembly *a);

/* An answer to the part begins, of so many bytes, at the origin that it names. Whether its bytes belong
 * to the message; those that do not are to be dropped. */
bool assembly_part(struct assembly *a, uint64_t size_bytes, uint64_t origin);
/* Whether bytes are to be kept. */
bool assembly_bytes(struct assembly *a, struct slice bytes);
/* The answer is over. good: it held the part that was asked for; damaged: its end made no sense. */
void assembly_part_ended(struct assembly *a, bool good, bool damaged);
/* The command ended well: what now? */
enum assembly_answer assembly_ended(struct assembly *a);

#endif
