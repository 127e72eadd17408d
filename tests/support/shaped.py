"""A line of a certain speed before a server: so many bytes a second and so much delay each way, for all its connections
together, as a leased line has them."""

import queue
import socket
import threading
import time

import servers

PIECE = 16 << 10


class Shaped:
    """.url() leads through the line. bytes_per_s: of what the server sends, 0: no bound. delay_s: of one way."""

    def __init__(self, server, bytes_per_s=0, delay_s=0.0):
        self.server, self.bytes_per_s, self.delay_s = server, bytes_per_s, delay_s
        self.users, self.ca = server.users, server.ca
        self.lock, self.free_at = threading.Lock(), 0.0

    def start(self):
        self.listener = socket.create_server((servers.HOST, 0), backlog=100)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def stop(self):
        self.listener.close()

    def url(self, tls=True):
        return "imaps://localhost:%d" % self.port

    def accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            inner = socket.create_connection((servers.HOST, self.server.port_tls))
            for one in (peer, inner):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for source, sink, rate in ((inner, peer, self.bytes_per_s), (peer, inner, 0)):
                pieces = queue.Queue(64)
                threading.Thread(target=self.take, args=(source, pieces, rate), daemon=True).start()
                threading.Thread(target=self.give, args=(sink, pieces), daemon=True).start()

    def slot(self, size, rate):
        """When a piece of this size has gone through the narrow place."""
        with self.lock:
            self.free_at = max(self.free_at, time.monotonic()) + size / rate
            return self.free_at

    def take(self, source, pieces, rate):
        try:
            while data := source.recv(PIECE):
                now = time.monotonic()
                pieces.put((data, (self.slot(len(data), rate) if rate else now) + self.delay_s))
        except OSError:
            pass
        pieces.put((b"", 0))

    @staticmethod
    def give(sink, pieces):
        broken = False
        while True:
            data, at = pieces.get()
            if not data:
                break
            if broken:
                continue
            time.sleep(max(0.0, at - time.monotonic()))
            try:
                sink.sendall(data)
            except OSError:
                broken = True
        try:
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass
