#!/usr/bin/python3
"""A thousand connections: the memory and the processor time of an upload that holds them all.

    bench/crowd.py [--mailboxes N] [--messages N] [--append-ms N]

Every mailbox has a connection of its own to the simulated Exchange Online (mailhaul-exo), TLS and
OAuth included, whose APPENDs take --append-ms each, so that all connections are open and busy at
once. The mail comes from a spool that an untimed fetch filled. Prints one JSON line: the peak memory,
how many sockets were open at most, wall and CPU seconds of the upload; also the seconds of CPU a
second while the crowd was complete.
"""

import argparse
import os
import shutil
import time

import sides
import exchange
import haul
import mail
import servers


def sockets(pid):
    """How many sockets the process has; 0 when it is gone."""
    count = 0
    try:
        for name in os.listdir("/proc/%d/fd" % pid):
            try:
                count += os.readlink("/proc/%d/fd/%s" % (pid, name)).startswith("socket:")
            except OSError:
                pass
    except OSError:
        pass
    return count


def cpu_seconds(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mailboxes", type=int, default=1000)
    parser.add_argument("--messages", type=int, default=20)
    parser.add_argument("--append-ms", type=int, default=2000)
    options = parser.parse_args()
    names = ["u%04d" % i for i in range(options.mailboxes)]
    folder = sides.folder()
    source = servers.Dovecot({n: "password" for n in names}, format="maildir", separator="/",
                             mechanisms="plain login").start()
    target = None
    try:
        for i, name in enumerate(names):
            source.seed(name, {("INBOX",): [mail.tiny(i * options.messages + k)
                                            for k in range(options.messages)]})
        target = exchange.Exchange(["%s@%s" % (n, haul.DOMAIN) for n in names],
                                   **{"append-ms": options.append_ms}).start()
        batch = target.take(haul.Batch(os.path.join(folder, "haul"), source, target, names))
        batch.sections["target"].update({"preset": "imap", "connections": options.mailboxes,
                                         "connections-per-mailbox": 1})
        batch.set("source", "connections", "16")
        done = batch.call("fetch", limit_s=3000)
        if done.code:
            raise SystemExit(str(done))
        running = batch.start("upload")
        running.account = None
        peak, most, full = 0, 0, []
        while not running.ended():
            now = sockets(running.pid)
            most, peak = max(most, now), max(peak, running.memory())
            used = cpu_seconds(running.pid)
            if now >= options.mailboxes and used is not None:
                full.append((time.monotonic(), used))
            time.sleep(0.2)
        before = os.times()
        done = running.wait()
        after = os.times()
        if done.code:
            raise SystemExit(str(done))
        cpu = (after.children_user + after.children_system - before.children_user -
               before.children_system)
        there = target.stats()["appends"]
    finally:
        source.stop()
        if target:
            target.stop()
        shutil.rmtree(folder, True)
    rate = (full[-1][1] - full[0][1]) / (full[-1][0] - full[0][0]) if len(full) > 1 else None
    sides.tell("connections", mailboxes=options.mailboxes, messages=there,
               append_ms=options.append_ms, sockets=most, rss_mb=round(max(peak, done.peak_rss) / 1e6, 1),
               wall_s=round(done.seconds, 1), cpu_s=round(cpu, 1),
               cpu_s_per_s_when_all_stand=round(rate, 3) if rate is not None else None)


if __name__ == "__main__":
    main()
