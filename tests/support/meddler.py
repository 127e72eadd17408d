"""Stands between mailhaul and a real server on plain TCP and meddles with chosen commands.

    with a rule: Meddler(server, [Rule(r"STATUS", close=True, times=2)]).start()

A rule is about a client's command line (without its tag; a literal's bytes are no line). The first
rule that matches and has times left acts; everything else passes as it is. It has the fields of a
server that haul.Batch needs, so it can be a batch's source or target.
"""

import re
import socket
import threading
import time

import servers


class Rule:
    """close: the connection ends in place of the command. answer: this line, after the tag, in
    place of the server's ("NO no"); a LITERAL+ body is read and dropped. untagged: before that answer, or, without
    one, in its place. after: the server gets the
    command and answers, but the client never hears it: the connection goes. then: with after, is
    called as soon as the server has the command. times: so often, -1 without end. skip: the first
    so many pass. wait: the server gets the command so many seconds later. until: it gets it once
    this, called again and again, says True; with answer that is given then. late: the connection goes
    once the whole command has come, and the server gets it only when this says True: what is stored long after it was lost."""

    def __init__(self, pattern, answer=None, untagged=(), close=False, after=False, times=-1, skip=0,
                 then=None, wait=0, until=None, late=None):
        self.pattern, self.answer, self.untagged = re.compile(pattern, re.I), answer, untagged
        self.close, self.after, self.times, self.skip = close, after, times, skip
        self.then, self.wait, self.until, self.late = then, wait, until, late
        self.done = 0

    def takes(self, line):
        if self.times == 0 or not self.pattern.search(line):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        self.done += 1
        return True


class Meddler:
    kind = "meddler"

    def __init__(self, server, rules, answers=None):
        """answers: is given each answer of the server, its literals in it, and tells what is sent in
        its place."""
        self.change = answers
        self.server, self.rules, self.users = server, rules, server.users
        self.host, self.ca = server.host, server.ca
        self.lock = threading.Lock()
        self.lines = []  # what clients sent, without tags and literals
        self.refuses = False  # new connections are closed at once
        self.peers = set()

    def url(self, tls=False):
        return "imap://%s:%d" % (self.host, self.port)

    def connect(self, user, **options):
        return self.server.connect(user, **options)

    def start(self):
        self.listener = socket.create_server((servers.HOST, 0), backlog=100)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def stop(self):
        self.listener.close()
        for peer in list(self.peers):
            self.end(peer)

    @staticmethod
    def end(*peers):
        for peer in peers:
            try:
                peer.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def asked(self, pattern):
        return sum(1 for line in self.lines if re.search(pattern, line, re.I))

    def accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            if self.refuses:
                peer.close()
                continue
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        try:
            inner = socket.create_connection((servers.HOST, self.server.port_plain))
        except OSError:
            peer.close()
            return
        for one in (peer, inner):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.peers.add(one)
        talk = Talk(self, peer, inner)
        answers = threading.Thread(target=talk.answers, daemon=True)
        answers.start()
        talk.commands()
        answers.join()
        for one in (peer, inner):
            self.peers.discard(one)
            one.close()


class Talk:
    def __init__(self, meddler, peer, inner):
        self.meddler, self.peer, self.inner = meddler, peer, inner
        self.whole = threading.Lock()  # held while one answer, literals and all, goes out
        self.deaf = False

    @staticmethod
    def parts(file):
        """(bytes, is the end of a logical line): a literal's bytes belong to its line."""
        while True:
            line = file.readline()
            if not line:
                return
            literal = re.search(rb"\{(\d+)\+?\}\r?\n$", line)
            yield line, not literal
            left = int(literal.group(1)) if literal else 0
            while left:
                data = file.read1(min(left, 65536))
                if not data:
                    return
                left -= len(data)
                yield data, False

    def answers(self):
        try:
            held, line = False, b""
            for data, ends in self.parts(self.inner.makefile("rb")):
                if self.meddler.change:
                    line += data
                    if not ends:
                        continue
                    data, line = self.meddler.change(line), b""
                if not held:
                    self.whole.acquire()
                    held = True
                if not self.deaf:
                    self.peer.sendall(data)
                if ends:
                    self.whole.release()
                    held = False
        except (OSError, ValueError):
            pass
        self.meddler.end(self.peer, self.inner)

    def deliver_late(self, data, parts, late):
        """The rest of the command is read, its client cut off, and the server has it afterwards."""
        for more, ends in parts:
            data += more
            if ends:
                break
        with self.whole:
            self.deaf = True
        self.meddler.end(self.peer)
        while not late():
            time.sleep(0.02)
        self.inner.sendall(data)
        time.sleep(0.5)  # the server does it

    def commands(self):
        begins, last, then = True, False, None
        try:
            parts = self.parts(self.peer.makefile("rb"))
            for data, ends in parts:
                rule = self.rule(data) if begins else None
                if rule and rule.late:
                    self.deliver_late(data, parts, rule.late)
                    break
                if rule and rule.after:
                    last, then = True, rule.then
                if rule and rule.wait:
                    time.sleep(rule.wait)
                elif rule and rule.until:
                    while not rule.until():
                        time.sleep(0.5)
                if rule and not rule.after and (rule.until and rule.answer or not (rule.wait or rule.until)):
                    self.meddle(rule, data)
                    if not ends and data.endswith(b"+}\r\n"):
                        next((True for _, over in parts if over), None)
                    continue
                if last and ends:
                    with self.whole:
                        self.deaf = True
                self.inner.sendall(data)
                if last and ends:
                    if then:
                        then()
                    time.sleep(0.5)  # the server does it
                    break
                begins = ends
        except (OSError, ValueError):
            pass
        self.meddler.end(self.peer, self.inner)

    def rule(self, data):
        line = data.decode("utf-8", "replace").rstrip("\r\n").partition(" ")[2]
        with self.meddler.lock:
            self.meddler.lines.append(line)
            return next((r for r in self.meddler.rules if r.takes(line)), None)

    def meddle(self, rule, data):
        tag = data.partition(b" ")[0].decode("ascii", "replace")
        if rule.close:
            raise OSError("closed on purpose")
        with self.whole:
            for text in rule.untagged:
                self.peer.sendall(text.encode() + b"\r\n")
            if rule.answer:
                self.peer.sendall(("%s %s\r\n" % (tag, rule.answer)).encode())
