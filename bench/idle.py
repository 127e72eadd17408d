#!/usr/bin/python3
"""How much of the time the target's connections stand idle while mail waits for them.

    bench/idle.py [--mailboxes 64] [--connections 4] [--append-ms 80] [--seconds 20] [--messages 1500]
                  [--set KEY=VALUE]... [--first] [--check]

Everything is fetched first, so that the source has no part in it; then `mailhaul upload` sends it to the
simulated Exchange Online: TLS, literals that wait for the server's "+", no budget. An APPEND takes
--append-ms there from its last byte to its answer, and that alone counts as work: the way of the
message, and whatever client and server do before and after, are idle time. Measured over --seconds, from
when all connections stand; the run is stopped then, while every mailbox still has mail. Prints one JSON
line: idle (share of the time of all --connections x --mailboxes), appends a second, the CPU seconds of
client and server in the same time, and how long their threads were ready to run and had no processor. That
they wait for other work on the machine is no fault of theirs: with --first (root only) both go before it
while it is measured. --check: exit code 1 unless idle <= 0.05.
"""

import argparse
import os
import shutil
import signal
import sys
import time

import sides
import exchange
import haul
import mail
import servers

PASSWORD = "password"


def measure(target, upload, options):
    allowed = options.mailboxes * options.connections
    limit = time.monotonic() + 120
    while target.stats()["connections"] < allowed:
        if upload.ended() or time.monotonic() > limit:
            raise SystemExit("only %d of %d connections came to stand\n%s" % (
                target.stats()["connections"], allowed, upload.text()[-3000:]))
        time.sleep(0.1)
    pids = upload.pid, target.process.pid
    if options.first:
        for pid in pids:
            sides.run_first(pid)
    time.sleep(2)
    first, began = target.stats(), time.monotonic()
    cpu, waited = [sides.cpu_of(pid) for pid in pids], [sides.waited_of(pid) for pid in pids]
    time.sleep(options.seconds)
    last, seconds = target.stats(), time.monotonic() - began
    cpu = [round(sides.cpu_of(pid) - before, 2) for pid, before in zip(pids, cpu)]
    waited = [round(sides.waited_of(pid) - before, 2) for pid, before in zip(pids, waited)]
    left = min(options.messages - m["messages"] for m in last["by_mailbox"])
    if left < 2 * options.connections:
        raise SystemExit("a mailbox ran dry: more --messages are needed")
    return {"idle": round(1 - (last["inflight_ms"] - first["inflight_ms"]) / 1000 /
                          (allowed * seconds), 4),
            "appends_per_s": round((last["appends"] - first["appends"]) / seconds),
            "seconds": round(seconds, 1), "client_cpu_s": cpu[0], "server_cpu_s": cpu[1],
            "client_waited_s": waited[0], "server_waited_s": waited[1]}


def run(options, folder):
    users = ["user%03d" % (i + 1) for i in range(options.mailboxes)]
    source = servers.Dovecot({user: PASSWORD for user in users}, format="maildir", separator=".")
    source.start()
    for i, user in enumerate(users):
        source.seed(user, {("INBOX",): [mail.tiny(i * options.messages + k)
                                        for k in range(options.messages)]})
    target = exchange.Exchange(
        ["%s@%s" % (user, haul.DOMAIN) for user in users],
        **{"append-ms": options.append_ms, "literal-plus": "no", "keep": "id", "plain-auth": "yes",
           "plain-password": PASSWORD, **dict(pair.split("=", 1) for pair in options.set)})
    target.users = {address: PASSWORD for address in target.users}
    target.start()
    try:
        batch = haul.Batch(os.path.join(folder, "b"), source, target, users)
        batch.sections["target"] = {"preset": "imap", "url": target.url(), "tls-ca": target.ca,
                                    "connections": options.mailboxes * options.connections,
                                    "connections-per-mailbox": options.connections}
        done = batch.call("fetch", limit_s=1800)
        if done.code != 0:
            raise SystemExit("mailhaul fetch: %s" % done)
        upload = batch.start("upload")
        try:
            return measure(target, upload, options)
        finally:
            if not upload.ended():
                upload.signal(signal.SIGTERM)
            upload.wait(30)
    finally:
        target.stop()
        source.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mailboxes", type=int, default=64)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--append-ms", type=int, default=80)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--messages", type=int, default=1500)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--first", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    folder = sides.folder()
    try:
        result = run(options, folder)
    finally:
        haul.kill_leftovers()
        shutil.rmtree(folder, True)
    sides.tell("idle", mailboxes=options.mailboxes, connections=options.connections,
               append_ms=options.append_ms, **result)
    sys.exit(1 if options.check and result["idle"] > 0.05 else 0)


if __name__ == "__main__":
    main()
