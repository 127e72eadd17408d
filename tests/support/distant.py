"""A server that is far away: a TCP proxy in a process of its own that delays each byte, both ways.

    far = Distant(server, delay_s=0.02).start()

One way takes delay_s, so that an answer comes after twice that. Like a long line it delays only: what
is on its way at once is not limited but by the ends' own windows (WINDOW bytes here). TLS passes
through. It has the fields of a server that haul.Batch and the benchmarks need.
"""

import asyncio
import collections
import multiprocessing
import socket

import servers

WINDOW = 16 << 20
PIECE = 256 << 10


async def pipe(reader, writer, delay_s):
    """Until the reader's end; then the writer is closed, after the same delay."""
    clock, way, changed = asyncio.get_running_loop(), collections.deque(), asyncio.Event()
    held = 0

    async def arrive():
        nonlocal held
        while True:
            while not way:
                changed.clear()
                await changed.wait()
            due, data = way[0]
            now = clock.time()
            if due > now:
                await asyncio.sleep(due - now)
            way.popleft()
            if not data:
                return
            writer.write(data)
            await writer.drain()
            held -= len(data)
            changed.set()

    arriving = asyncio.ensure_future(arrive())
    try:
        while not arriving.done():
            data = await reader.read(PIECE)
            way.append((clock.time() + delay_s, data))
            held += len(data)
            changed.set()
            if not data:
                break
            while held > WINDOW and not arriving.done():
                await asyncio.sleep(0.001)
        await arriving
    except OSError:
        arriving.cancel()
    writer.close()


async def serve(listener, port, delay_s):
    async def one(reader, writer):
        await asyncio.sleep(2 * delay_s)  # TCP's own handshake
        try:
            far_reader, far_writer = await asyncio.open_connection(servers.HOST, port)
        except OSError:
            writer.close()
            return
        for end in (writer, far_writer):
            end.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            end.transport.set_write_buffer_limits(high=WINDOW)
        await asyncio.gather(pipe(reader, far_writer, delay_s), pipe(far_reader, writer, delay_s),
                             return_exceptions=True)

    server = await asyncio.start_server(one, sock=listener, limit=PIECE)
    await server.serve_forever()


class Distant:
    kind = "distant"

    def __init__(self, server, delay_s):
        self.server, self.delay_s, self.users = server, delay_s, server.users
        self.host, self.ca = server.host, server.ca

    def start(self):
        listener = socket.create_server((servers.HOST, 0), backlog=1000)
        self.port_tls = listener.getsockname()[1]
        self.process = multiprocessing.Process(
            target=lambda: asyncio.run(serve(listener, self.server.port_tls, self.delay_s)), daemon=True)
        self.process.start()
        listener.close()
        return self

    def stop(self):
        self.process.kill()
        self.process.join()

    def url(self, tls=True):
        assert tls, "only TLS passes through"
        return "imaps://%s:%d" % (self.host, self.port_tls)
