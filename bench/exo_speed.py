#!/usr/bin/python3
"""How many small APPENDs a second the simulated Exchange Online takes on one core.

    bench/exo_speed.py [--seconds 10] [--connections 8] [--bytes 400] [--plain] [--check]

The server has one thread and is held to one processor; no latency, no budget, over TLS (--plain:
without). A client here sends APPENDs with LITERAL+, sixteen at a time on each connection, on the other
processors. Prints one JSON line: APPENDs a second of the clock, and a second of the server's CPU time,
which is what one core does when no other work takes it away. --check: exit code 1 unless the latter is
at least 5,000.
"""

import argparse
import os
import socket
import ssl
import sys
import threading
import time

import sides
import exchange
import mail

AT_ONCE = 16
PASSWORD = "password"


def connect(target, address, plain):
    peer = socket.create_connection(("127.0.0.1", target.plain_port if plain else target.imap_port))
    if not plain:
        context = ssl.create_default_context(cafile=target.ca)
        peer = context.wrap_socket(peer, server_hostname="localhost")
    peer.settimeout(30)
    answers = peer.makefile("rb")
    answers.readline()
    peer.sendall(b'a LOGIN "%s" "%s"\r\n' % (address.encode(), PASSWORD.encode()))
    while not (line := answers.readline()).startswith(b"a "):
        pass
    if not line.startswith(b"a OK"):
        raise SystemExit("login: %r" % line)
    return peer, answers


def send(peer, answers, message, until, counts, place):
    one = b"t APPEND INBOX (\\Seen) {%d+}\r\n%s\r\n" % (len(message), message)
    while time.monotonic() < until:
        peer.sendall(one * AT_ONCE)
        for _ in range(AT_ONCE):
            line = answers.readline()
            while line.startswith(b"*"):
                line = answers.readline()
            if not line.startswith(b"t OK"):
                raise SystemExit("APPEND: %r" % line)
        counts[place] += AT_ONCE


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--bytes", type=int, default=400)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    message = mail.tiny(1).body
    message += b"x" * max(0, options.bytes - len(message) - 2) + b"\r\n"
    addresses = ["user%d@target.example" % i for i in range(options.connections)]
    more = {"imap-plain-port": 0} if options.plain else {}
    target = exchange.Exchange(addresses, **{
        "append-ms": 0, "login-ms": 0, "threads": 1, "keep": "id", "plain-auth": "yes",
        "plain-password": PASSWORD, **more})
    os.sched_setaffinity(0, cores[:1])  # the server's, by inheritance
    target.start()
    try:
        os.sched_setaffinity(0, cores[1:] or cores)
        peers = [connect(target, address, options.plain) for address in addresses]
        counts = [0] * len(peers)
        began, cpu = time.monotonic(), sides.cpu_of(target.process.pid)
        senders = [threading.Thread(target=send, args=(*peer, message, began + options.seconds,
                                                       counts, i))
                   for i, peer in enumerate(peers)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        seconds, cpu = time.monotonic() - began, sides.cpu_of(target.process.pid) - cpu
        stored = target.stats()["appends"]
    finally:
        target.stop()
    if stored != sum(counts):
        raise SystemExit("%d APPENDs were answered and %d stored" % (sum(counts), stored))
    sides.tell("exo_speed", tls=not options.plain, bytes=len(message), connections=options.connections,
               appends=stored, appends_per_s=round(stored / seconds),
               appends_per_cpu_s=round(stored / cpu), server_cpu_s=round(cpu, 2))
    sys.exit(1 if options.check and stored / cpu < 5000 else 0)


if __name__ == "__main__":
    main()
