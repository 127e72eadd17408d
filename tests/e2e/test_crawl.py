"""Servers that give or take a byte now and then, and lines that are only slow."""

import io
import socket
import time

from haul import Case
from hostile import ATTACKS, Attacked, Hostile, message


class SlowReader(io.RawIOBase):
    """Reads as a machine behind a slow line does."""

    def __init__(self, peer, piece, pause_s):
        self.peer, self.piece, self.pause_s = peer, piece, pause_s

    def readable(self):
        return True

    def readinto(self, buffer):
        time.sleep(self.pause_s)
        return self.peer.recv_into(memoryview(buffer)[:self.piece])


class SlowSession(Attacked):
    def __init__(self, server, peer, number):
        super().__init__(server, peer, number)
        self.lines = io.BufferedReader(SlowReader(peer, server.piece, server.pause_s), server.piece)


class SlowTarget(Hostile):
    """Its kernel takes no more than it has read, so that ours sees what it sees of a slow line."""
    session = SlowSession
    piece, pause_s = 4096, 0.25

    def start(self):
        create = socket.create_server

        def small(*address, **more):
            listener = create(*address, **more)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)  # as on a line, not on a loopback
            return listener
        socket.create_server = small
        try:
            return super().start()
        finally:
            socket.create_server = create


class Crawl(Case):
    def job(self, source, target, users):
        batch = self.batch(source, target, users)
        for side in ("source", "target"):
            batch.sections[side].pop("tls-ca", None)
            batch.set(side, "tls", "none")
        batch.set("policy", "retry-wait", "20ms")
        batch.set("policy", "transient-failure-limit", "2")
        return batch

    def target(self, users, kind=Hostile):
        target = self._started(kind(["%s@target.example" % u for u in users]))
        for folders in target.messages.values():
            folders["INBOX"].mails.clear()
            folders.pop("Other")
        return target

    def test_a_source_that_crawls(self):
        # A body that is announced so large that its size is no bound; rows of a list; the answer to SELECT.
        users = ["anna", *(u for u in ATTACKS if u.startswith("crawl-"))]
        self.assertGreater(len(users), 3)
        source = self._started(Hostile(users))
        batch = self.job(source, self.target(users), users)
        batch.set("source", "stall-limit", "1s")
        self.ends(batch.call("run"), 3)
        report = self.balanced(batch.report())
        for user in report["users"]:
            if user["address"].startswith("crawl-"):
                self.assertEqual(user["state"], "Failed", user)
                self.assertIn("the server gives fewer than 128 bytes/s", str(user["failures"]))
            else:
                self.assertEqual(user["state"], "Synced")

    def test_a_target_behind_a_slow_line(self):
        # All of it is in our kernel's buffer at once, and goes out long after the longest silence.
        source = self._started(Hostile(["anna"]))
        source.messages["anna"] = {"INBOX": type(source.messages["anna"]["INBOX"])([message(1, 120000)])}
        target = self.target(["anna"], SlowTarget)
        batch = self.job(source, target, ["anna"])
        batch.set("target", "stall-limit", "4s")
        self.ends(batch.call("run"), 0)
        self.assertEqual(self.balanced(batch.report())["users"][0]["state"], "Synced")
        self.assertEqual(len(target.messages["anna@target.example"]["INBOX"].mails), 1)
        self.assertEqual(target.asked("APPEND"), 1)
