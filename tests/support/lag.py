"""Servers behind lines of random lag: what usually comes first comes last for once.

run.py --lag SEED calls install: from then on the URL of every server that a test writes into a batch file leads
through a proxy, each connection with a delay of its own. A test must hold whatever the order in which servers
answer; one that fails here and not without relies on an order that only usually comes. Tests that refuse, count or
reset connections may see that somebody stands between.
"""

import random
import socket
import threading
import time
import urllib.parse

import exchange
import faulty
import meddler
import quirky
import servers

DELAYS_S = (0, 0, 0.003, 0.02, 0.1)  # of one way
PIECE = 64 << 10


class Line:
    """A listener before one port."""

    def __init__(self, host, port, chance):
        self.inner, self.chance = (host, port), chance
        self.listener = socket.create_server((servers.HOST, 0), backlog=100)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            peer, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(peer, self.chance.choice(DELAYS_S)), daemon=True).start()

    def serve(self, peer, delay_s):
        try:
            inner = socket.create_connection(self.inner)
        except OSError:
            peer.close()
            return
        for one in (peer, inner):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=self.carry, args=(inner, peer, delay_s), daemon=True)
        back.start()
        self.carry(peer, inner, delay_s)
        back.join()
        peer.close()
        inner.close()

    @staticmethod
    def carry(source, sink, delay_s):
        try:
            while data := source.recv(PIECE):
                time.sleep(delay_s)
                sink.sendall(data)
        except OSError:
            pass
        for one in (source, sink):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def install(seed):
    chance, lines = random.Random(seed), {}

    def through(url):
        at = urllib.parse.urlsplit(url)
        if at.port not in lines:
            lines[at.port] = Line(servers.HOST, at.port, chance)
        return "%s://%s:%d" % (at.scheme, at.hostname, lines[at.port].port)

    def wrap(kind):
        plain = kind.url

        def url(self, *words, **named):
            return through(plain(self, *words, **named))
        kind.url = url

    for kind in (servers.Server, exchange.Exchange, faulty.Faulty, meddler.Meddler, quirky.Quirky):
        wrap(kind)
