/* The io_uring body of io/backend.h: one ring, bound to the thread that created it. */
#include "io/backend.h"
#include "io/base/mem.h"
#include "io/base/now.h"
#include "io/bufring.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SQ_ENTRIES     256
#define SQ_ENTRIES_MIN 32
#define CQ_PER_SQ      16
#define BATCH_COUNT    64
#define TURN_BATCHES   32
/* Every buffer is lent again within the turn that filled it, so the pool bounds how many
 * connections are served a turn, not how many there are. 4 MiB stay in a processor's cache. */
#define BUFFER_COUNT 64

enum op { OP_CONNECT, OP_RECEIVE, OP_SEND, OP_CANCEL, OP_WAKE };

#define BIT(op) (1u << (op))

/* Where user_data points: a late completion of a slot used again has the wrong generation. */
struct slot {
    struct backend_socket *socket;
    uint32_t generation;
    uint32_t next_free;
};

#define NO_SLOT         UINT32_MAX
#define OP_BITS         3
#define GENERATION_MASK 0x1fffffffu

struct backend {
    struct io_uring ring;
    struct bufring buffers;
    bool ring_open;
    int wake_fd;
    uint64_t wake_count;
    bool wake_armed;
    struct slot *slots;
    uint32_t slot_count, free_slot;
    struct backend_socket *wanted;  /* sockets with operations to start */
    struct backend_socket *starved; /* receives that found no buffer */
};

static int ring_setup(struct backend *b, unsigned entries)
{
    static const unsigned flags[] = {
        /* Without deferred or cooperative task-run every packet interrupts the thread: 2.2 times
         * the processor time per byte. Kernel 6.1, then 5.19. */
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL,
        IORING_SETUP_COOP_TASKRUN,
    };
    int rc = -EINVAL;

    for (size_t i = 0; i < sizeof flags / sizeof *flags && rc == -EINVAL; i++) {
        struct io_uring_params params = { .flags = flags[i] | IORING_SETUP_CQSIZE, .cq_entries = entries * CQ_PER_SQ };

        rc = io_uring_queue_init_params(entries, &b->ring, &params);
    }
    if (rc < 0)
        return -rc;
    b->ring_open = true;
    /* Saves a descriptor look-up per call; an older kernel merely refuses. */
    (void)io_uring_register_ring_fd(&b->ring);
    return bufring_init(&b->buffers, &b->ring, BUFFER_COUNT, BACKEND_RECEIVE_BYTES);
}

static void ring_teardown(struct backend *b)
{
    if (b->ring_open)
        io_uring_queue_exit(&b->ring);
    b->ring_open = false;
    bufring_deinit(&b->buffers);
}

static bool ring_create(int wake_fd, struct backend **backend_r, struct err *err_r)
{
    struct backend *b = mem_zero(1, sizeof *b);
    int error = ENOMEM;

    b->wake_fd = wake_fd;
    b->free_slot = NO_SLOT;
    /* Ring memory counts against RLIMIT_MEMLOCK for ordinary users, so smaller rings may pass. */
    for (unsigned entries = SQ_ENTRIES; error == ENOMEM && entries >= SQ_ENTRIES_MIN; entries /= 2) {
        error = ring_setup(b, entries);
        if (error)
            ring_teardown(b);
    }
    if (error) {
        free(b);
        return err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, error, "io_uring_setup");
    }
    *backend_r = b;
    return true;
}

static void ring_destroy(struct backend *b)
{
    ring_teardown(b);
    free(b->slots);
    free(b);
}

static void want(struct backend *b, struct backend_socket *s, enum op op)
{
    s->wanted |= BIT(op);
    if (!s->queued) {
        s->queued = true;
        s->next = b->wanted;
        b->wanted = s;
    }
}

static int ring_open(struct backend *b, struct backend_socket *s, int family)
{
    /* Blocking: on a non-blocking socket io_uring answers EAGAIN instead of waiting. */
    int fd = backend_socket_create(family, 0);

    if (fd < 0)
        return -fd;
    if (b->free_slot == NO_SLOT) {
        uint32_t count = b->slot_count ? b->slot_count * 2 : 64;

        b->slots = mem_resize(b->slots, count, sizeof *b->slots);
        for (uint32_t i = b->slot_count; i < count; i++)
            b->slots[i] = (struct slot){ .next_free = i + 1 < count ? i + 1 : NO_SLOT };
        b->free_slot = b->slot_count;
        b->slot_count = count;
    }
    s->fd = fd;
    s->slot = b->free_slot;
    b->free_slot = b->slots[s->slot].next_free;
    b->slots[s->slot].socket = s;
    return 0;
}

static void ring_connect(struct backend *b, struct backend_socket *s, const struct sockaddr *address,
                         socklen_t address_size)
{
    s->address = address;
    s->address_size = address_size;
    want(b, s, OP_CONNECT);
}

static void ring_receive(struct backend *b, struct backend_socket *s)
{
    want(b, s, OP_RECEIVE);
}

static void ring_send(struct backend *b, struct backend_socket *s, const char *data, size_t size)
{
    s->send_data = data;
    s->send_size = size;
    want(b, s, OP_SEND);
}

static void ring_close(struct backend *b, struct backend_socket *s)
{
    s->closing = true;
    s->wanted = 0;
    want(b, s, OP_CANCEL);
}

static struct io_uring_sqe *sqe_take(struct backend *b, struct backend_socket *s, enum op op)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&b->ring);

    /* Full: hand over what is there. That fails only while completions wait to be taken, and then
     * the operation stays wanted until the next turn. */
    if (!sqe && io_uring_submit(&b->ring) >= 0)
        sqe = io_uring_get_sqe(&b->ring);
    if (sqe && s) {
        s->wanted &= ~BIT(op);
        s->flying |= BIT(op);
    }
    return sqe;
}

static void sqe_mark(struct backend *b, struct io_uring_sqe *sqe, const struct backend_socket *s, enum op op)
{
    uint64_t slot = s ? s->slot : NO_SLOT;
    uint64_t generation = s ? b->slots[s->slot].generation & GENERATION_MASK : 0;

    sqe->user_data = slot << 32 | generation << OP_BITS | op;
}

/* The second step of closing: nothing of the kernel's points at the socket any more. */
static void socket_finish(struct backend *b, struct backend_socket *s)
{
    struct slot *slot = &b->slots[s->slot];

    slot->generation++;
    slot->socket = NULL;
    slot->next_free = b->free_slot;
    b->free_slot = s->slot;
    close(s->fd);
    s->fd = -1;
    s->events->closed(s);
}

static bool start_op(struct backend *b, struct backend_socket *s, enum op op)
{
    struct io_uring_sqe *sqe;

    if (!(s->wanted & BIT(op)))
        return true;
    sqe = sqe_take(b, s, op);
    if (!sqe)
        return false;
    switch (op) {
    case OP_CONNECT:
        io_uring_prep_connect(sqe, s->fd, s->address, s->address_size);
        break;
    case OP_RECEIVE:
        io_uring_prep_recv(sqe, s->fd, NULL, BACKEND_RECEIVE_BYTES, 0);
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->buf_group = BUFRING_GROUP;
        break;
    case OP_SEND:
        io_uring_prep_send(sqe, s->fd, s->send_data, s->send_size, MSG_NOSIGNAL | MSG_WAITALL);
        break;
    case OP_CANCEL:
    case OP_WAKE:
        io_uring_prep_cancel_fd(sqe, s->fd, IORING_ASYNC_CANCEL_ALL);
        break;
    }
    sqe_mark(b, sqe, s, op);
    return true;
}

static void start_wanted(struct backend *b)
{
    struct backend_socket *list = b->wanted, *s;

    b->wanted = NULL;
    while ((s = list)) {
        list = s->next;
        s->queued = false;
        if (s->closing && !s->flying) {
            socket_finish(b, s);
            continue;
        }
        for (enum op op = OP_CONNECT; op <= OP_CANCEL; op++)
            if (!start_op(b, s, op)) {
                want(b, s, op);
                break;
            }
    }
    if (!b->wake_armed) {
        struct io_uring_sqe *sqe = sqe_take(b, NULL, OP_WAKE);

        if (sqe) {
            io_uring_prep_read(sqe, b->wake_fd, &b->wake_count, sizeof b->wake_count, 0);
            sqe_mark(b, sqe, NULL, OP_WAKE);
            b->wake_armed = true;
        }
    }
}

static void receive_ended(struct backend *b, struct backend_socket *s, int result, unsigned flags)
{
    bool lent = flags & IORING_CQE_F_BUFFER;
    unsigned id = flags >> IORING_CQE_BUFFER_SHIFT;

    if (!s->closing) {
        if (result > 0) {
            assert(lent);
            s->events->received(s, bufring_data(&b->buffers, id), (size_t)result, 0);
        } else if (result == -ENOBUFS) {
            /* Asked again at once it would fail again at once; buffers are back after this turn. */
            s->wanted |= BIT(OP_RECEIVE);
            if (!s->queued) {
                s->queued = true;
                s->next = b->starved;
                b->starved = s;
            }
        } else if (result == -EINTR || result == -EAGAIN) {
            want(b, s, OP_RECEIVE);
        } else {
            s->events->received(s, NULL, 0, -result);
        }
    }
    if (lent)
        bufring_recycle(&b->buffers, id);
}

static void send_ended(struct backend *b, struct backend_socket *s, int result)
{
    if (s->closing)
        return;
    if (result == -EINTR || result == -EAGAIN)
        result = 0;
    if (result < 0) {
        s->events->sent(s, -result);
    } else if ((size_t)result < s->send_size) {
        s->send_data += result;
        s->send_size -= (size_t)result;
        want(b, s, OP_SEND);
    } else {
        s->events->sent(s, 0);
    }
}

static void completion(struct backend *b, const struct io_uring_cqe *cqe)
{
    uint32_t index = (uint32_t)(cqe->user_data >> 32);
    uint32_t generation = (uint32_t)cqe->user_data >> OP_BITS;
    enum op op = (enum op)(cqe->user_data & ((1u << OP_BITS) - 1));
    struct backend_socket *s;

    if (op == OP_WAKE) {
        b->wake_armed = false;
        return;
    }
    assert(index < b->slot_count);
    s = b->slots[index].socket;
    if (!s || (b->slots[index].generation & GENERATION_MASK) != generation) {
        if (cqe->flags & IORING_CQE_F_BUFFER)
            bufring_recycle(&b->buffers, cqe->flags >> IORING_CQE_BUFFER_SHIFT);
        return;
    }
    s->flying &= ~BIT(op);
    switch (op) {
    case OP_CONNECT:
        if (!s->closing)
            s->events->connected(s, cqe->res < 0 ? -cqe->res : 0);
        break;
    case OP_RECEIVE:
        receive_ended(b, s, cqe->res, cqe->flags);
        break;
    case OP_SEND:
        send_ended(b, s, cqe->res);
        break;
    case OP_CANCEL:
    case OP_WAKE:
        break;
    }
    /* A socket still in the list waits there for start_wanted to finish it. */
    if (s->closing && !s->flying && !s->queued)
        socket_finish(b, s);
}

static void ring_turn(struct backend *b, int64_t timeout_ms, uint64_t *clock_ms)
{
    struct __kernel_timespec limit = { .tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000 };
    struct io_uring_cqe *cqes[BATCH_COUNT], batch[BATCH_COUNT], *first;
    unsigned count;

    start_wanted(b);
    /* EBUSY, EINTR and ETIME need nothing: what matters is in the completion queue. */
    if (timeout_ms != 0 && b->wanted)
        limit = (struct __kernel_timespec){ 0 };
    (void)io_uring_submit_and_wait_timeout(&b->ring, &first, 1, timeout_ms < 0 && !b->wanted ? NULL : &limit, NULL);
    *clock_ms = now_ms();
    for (unsigned n = 0; n < TURN_BATCHES; n++) {
        count = io_uring_peek_batch_cqe(&b->ring, cqes, BATCH_COUNT);
        for (unsigned i = 0; i < count; i++)
            batch[i] = *cqes[i];
        io_uring_cq_advance(&b->ring, count);
        for (unsigned i = 0; i < count; i++)
            completion(b, &batch[i]);
        if (count < BATCH_COUNT)
            break;
    }
    while (b->starved) {
        struct backend_socket *s = b->starved;

        b->starved = s->next;
        s->next = b->wanted;
        b->wanted = s;
    }
}

const struct backend_ops backend_ring = {
    .name = "io_uring",
    .create = ring_create,
    .destroy = ring_destroy,
    .open = ring_open,
    .connect = ring_connect,
    .receive = ring_receive,
    .send = ring_send,
    .close = ring_close,
    .turn = ring_turn,
};
