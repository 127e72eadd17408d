#!/usr/bin/python3
"""What mailhaul asks of the two servers: commands, turns, TLS records and bytes, counted on the line.

    bench/commands.py [--users N] [--folders N] [--messages N] [--one-connection] [--no-multiappend]
                      [--lines FOLDER]

Every user has --messages small ones, dealt over --folders. Between mailhaul and each Dovecot stands a proxy
that ends the TLS and counts. Four commands one after the other: a copy, a night with nothing new, a plan (with
a state folder of its own), a verify. Prints one JSON line; for each of them and each side:
  connections, commands by name (all users together), commands a folder;
  turns: how often a connection's client sent again after its server had spoken, which is what a long line costs;
  records: TLS records with application data from the client, and small_records, those below 1 KB of them;
  sent and received: bytes inside of TLS.
Counts only, no times: other work on the machine changes them little (the number of turns, where more comes at once).
--lines: writes the command lines into FOLDER, a file for each step and side, without literals and without what
somebody logs in by, in the order in which they came.
"""

import argparse
import collections
import os
import re
import shutil
import socket
import ssl
import threading

import sides
import haul
import mail
import servers

PIECE = 256 << 10
SMALL_RECORD = 1024
APPLICATION_DATA = 23
RECORD_HEADER = 5
STEPS = ("copy", "nothing new", "plan", "verify")


class Records:
    """Counts TLS records in a stream of bytes that comes in pieces."""

    def __init__(self):
        self.held, self.lengths = b"", []

    def add(self, data):
        self.held += data
        at = 0
        while at + RECORD_HEADER <= len(self.held):
            length = int.from_bytes(self.held[at + 3:at + RECORD_HEADER], "big")
            if at + RECORD_HEADER + length > len(self.held):
                break
            if self.held[at] == APPLICATION_DATA:
                self.lengths.append(length)
            at += RECORD_HEADER + length
        self.held = self.held[at:]


class Lines:
    """A client's lines without the bytes of its literals. add() returns those that a piece completed, and
    for each whether it begins a command."""

    def __init__(self):
        self.held, self.literal, self.inside = b"", 0, False

    def add(self, data):
        found = []
        self.held += data
        while self.held:
            if self.literal:
                taken = min(self.literal, len(self.held))
                self.held, self.literal = self.held[taken:], self.literal - taken
                continue
            line, end, rest = self.held.partition(b"\r\n")
            if not end:
                break
            found.append((line.decode("latin-1"), not self.inside))
            literal = re.search(rb"\{(\d+)\+?\}$", line)
            self.literal, self.inside = (int(literal.group(1)), True) if literal else (0, False)
            self.held = rest
        return found


class Tally:
    """What one side was asked for in one step."""

    def __init__(self):
        self.commands, self.lines = collections.Counter(), []
        self.connections = self.turns = self.records = self.small = self.sent = self.received = 0

    def line(self, line, begins):
        named = re.match(r"\S+ ((?:UID )?[A-Za-z]+)", line) if begins else None
        if named:  # not so the answer to a challenge, nor what ends an IDLE
            name = named.group(1).upper()
            self.commands[name] += 1
            # Nothing that somebody logs in by is kept.
            self.lines.append(named.group(0) if name in ("AUTHENTICATE", "LOGIN") else line)

    def figures(self, folders):
        return {"connections": self.connections, "commands": dict(sorted(self.commands.items())),
                "commands_a_folder": round(self.commands.total() / folders, 2), "turns": self.turns,
                "records": self.records, "small_records": self.small, "sent": self.sent,
                "received": self.received}


class Counted:
    """Stands before a server and has the fields of one that haul.Batch needs."""

    kind = "counted"

    def __init__(self, server):
        self.server, self.users, self.host, self.ca = server, server.users, server.host, server.ca
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(server.folder + "/server.pem", server.folder + "/server.key")
        self.lock, self.tally = threading.Lock(), Tally()

    def url(self, tls=True):
        assert tls, "the proxy speaks TLS only"
        return "imaps://%s:%d" % (self.host, self.port)

    def start(self):
        self.listener = socket.create_server((servers.HOST, 0), backlog=1000)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def stop(self):
        self.listener.close()

    def take(self):
        """The tally so far; a new one begins."""
        with self.lock:
            taken, self.tally = self.tally, Tally()
        return taken

    def accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        inner = socket.create_connection((servers.HOST, self.server.port_plain))
        for end in (peer, inner):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        talk = Talk(self, peer, inner)
        try:
            talk.greet()
            answers = threading.Thread(target=talk.answers, daemon=True)
            answers.start()
            talk.commands()
            answers.join()
        except OSError:
            pass  # the client went; what it had sent is counted
        finally:
            peer.close()
            inner.close()


class Talk:
    """One connection. The TLS object is used by two threads, one at a time."""

    def __init__(self, counted, peer, inner):
        self.counted, self.peer, self.inner = counted, peer, inner
        self.incoming, self.outgoing, self.lock = ssl.MemoryBIO(), ssl.MemoryBIO(), threading.Lock()
        self.tls = counted.context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.records, self.lines, self.spoken = Records(), Lines(), True

    def flush(self):
        data = self.outgoing.read()
        if data:
            self.peer.sendall(data)

    def greet(self):
        with self.counted.lock:
            self.counted.tally.connections += 1
        while True:
            try:
                self.tls.do_handshake()
                self.flush()
                break
            except ssl.SSLWantReadError:
                self.flush()
                data = self.peer.recv(PIECE)
                if not data:
                    raise ConnectionError("gone in the handshake") from None
                self.records.add(data)
                self.incoming.write(data)
        # The client's Finished of TLS 1.3 looks like application data, and is none.
        self.records.lengths.clear()

    def commands(self):
        while True:
            with self.lock:
                data = self.decrypted()
            if data:
                self.count(data)
                self.inner.sendall(data)
            raw = self.peer.recv(PIECE)
            if not raw:
                break
            self.records.add(raw)
            self.incoming.write(raw)
        self.inner.shutdown(socket.SHUT_WR)

    def decrypted(self):
        whole = b""
        while True:
            try:
                data = self.tls.read(PIECE)
            except ssl.SSLWantReadError:
                return whole
            if not data:
                return whole
            whole += data

    def count(self, data):
        with self.counted.lock:
            tally = self.counted.tally
            tally.sent += len(data)
            tally.turns += self.spoken
            self.spoken = False
            tally.records += len(self.records.lengths)
            tally.small += sum(length < SMALL_RECORD for length in self.records.lengths)
            self.records.lengths.clear()
            for line, begins in self.lines.add(data):
                tally.line(line, begins)

    def answers(self):
        try:
            while True:
                data = self.inner.recv(PIECE)
                if not data:
                    self.peer.shutdown(socket.SHUT_WR)
                    return
                with self.counted.lock:
                    self.counted.tally.received += len(data)
                    self.spoken = True
                with self.lock:
                    self.tls.write(data)
                    self.flush()
        except OSError:
            pass  # the client went first


def run(options, folder):
    users = ["u%02d" % i for i in range(options.users)]
    dropped = ("MULTIAPPEND",) if options.no_multiappend else ()
    source = servers.Dovecot({u: "password" for u in users}).start()
    target = servers.Dovecot({"%s@%s" % (u, haul.DOMAIN): "password" for u in users},
                             capability_drop=dropped).start()
    for i, user in enumerate(users):
        boxes = {("INBOX",) if f == 0 else ("Box %02d" % f,): [] for f in range(options.folders)}
        paths = list(boxes)
        for k, message in enumerate(m for box in mail.mailbox(i, options.messages).values() for m in box):
            boxes[paths[k % len(paths)]].append(message)
        source.seed(user, boxes)
    wanted = sides.count(source, users)
    both = {"source": Counted(source).start(), "target": Counted(target).start()}
    # Dovecot makes four folders of its own in each mailbox: they are asked for as all others are.
    folders = options.users * (options.folders + 4)
    result = {}
    try:
        batch = haul.Batch(os.path.join(folder, "b"), both["source"], both["target"], users)
        plan = haul.Batch(os.path.join(folder, "p"), both["source"], both["target"], users, name="plan")
        for one in (batch, plan):
            if options.one_connection:
                one.set("source", "connections-per-user", 1).set("target", "connections-per-mailbox", 1)
        for step, one, command in zip(STEPS, (batch, batch, plan, batch), ("run", "run", "plan", "verify")):
            done = one.call(command)
            if done.code != 0:
                raise SystemExit("mailhaul %s: %s" % (command, done))
            result[step] = {}
            for side, counted in both.items():
                tally = counted.take()
                result[step][side] = tally.figures(folders)
                if options.lines:
                    os.makedirs(options.lines, exist_ok=True)
                    with open("%s/%s-%s" % (options.lines, step.replace(" ", "-"), side), "w") as f:
                        f.writelines(line + "\n" for line in tally.lines)
        held = sides.count(target, list(target.users))
        if held != wanted:
            raise SystemExit("%d of %d messages arrived" % (held, wanted))
    finally:
        for one in (*both.values(), source, target):
            one.stop()
    return wanted, folders, result


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--users", type=int, default=4)
    parser.add_argument("--folders", type=int, default=10)
    parser.add_argument("--messages", type=int, default=200)
    parser.add_argument("--one-connection", action="store_true")
    parser.add_argument("--no-multiappend", action="store_true")
    parser.add_argument("--lines", metavar="FOLDER")
    options = parser.parse_args()
    folder = sides.folder()
    try:
        messages, folders, result = run(options, folder)
    finally:
        haul.kill_leftovers()
        shutil.rmtree(folder, True)
    sides.tell("commands", users=options.users, folders=folders, messages=messages,
               one_connection=options.one_connection, multiappend=not options.no_multiappend, **result)


if __name__ == "__main__":
    main()
