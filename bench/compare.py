#!/usr/bin/python3
"""Whole copies between two Dovecots over TLS: mailhaul against mbsync, side by side.

    bench/compare.py [--rounds N] [--set small|mixed|tiny]

Each round makes a new target for each side and copies the same source; the sides take turns. mbsync
(package isync) runs once a user, one after the other, and two at once; its fsync is off. Prints one
JSON line: medians of wall seconds and of the client's CPU seconds, and the ratios of the medians.
Both servers share the machine's processors with the client.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))

import haul  # noqa: E402
import mail  # noqa: E402
import servers  # noqa: E402

SETS = {"small": (20, 500, "small"), "mixed": (8, 400, "mixed"), "tiny": (4, 100, "small")}


def cpu_of_children():
    now = os.times()
    return now.children_user + now.children_system


def timed(work):
    cpu, began = cpu_of_children(), time.monotonic()
    work()
    return {"wall_s": time.monotonic() - began, "cpu_s": cpu_of_children() - cpu}


def count(server, users):
    total = 0
    for user in users:
        with server.connect(user) as mailbox:
            total += sum(len(mailbox.uids(path)) for path in mailbox.folders())
    return total


def mailhaul(folder, source, target, pairs):
    batch = haul.Batch(os.path.join(folder, "haul"), source, target, pairs)
    batch.write()
    subprocess.run([haul.BINARY, "run", "--quiet", batch.path], check=True, cwd=batch.folder)


def mbsync(folder, source, target, pairs, at_once):
    state = os.path.join(folder, "state")
    os.makedirs(state)
    path = os.path.join(folder, "mbsyncrc")
    with open(path, "w") as f:
        f.write("FSync no\n")
        for user, address in pairs:
            for side, server, login in (("far", source, user), ("near", target, address)):
                f.write('IMAPAccount %s-%s\nHost localhost\nPort %d\nUser "%s"\nPass "%s"\n'
                        "SSLType IMAPS\nCertificateFile %s\nAuthMechs PLAIN\n\n"
                        "IMAPStore %s-%s\nAccount %s-%s\n\n" % (
                            side, user, server.port_tls, login, server.users[login], server.ca,
                            side, user, side, user))
            f.write("Channel %s\nFar :far-%s:\nNear :near-%s:\nPatterns *\nCreate Near\nSync Pull\n"
                    "CopyArrivalDate yes\nSyncState %s/%s/\n\n" % (user, user, user, state, user))
            os.makedirs(os.path.join(state, user))
    with ThreadPoolExecutor(at_once) as pool:
        for done in pool.map(lambda pair: subprocess.run(
                ["mbsync", "-q", "-c", path, pair[0]], stdout=subprocess.DEVNULL), pairs):
            if done.returncode != 0:
                raise SystemExit("mbsync ended with %d" % done.returncode)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--set", choices=SETS, default="small")
    options = parser.parse_args()
    if not shutil.which("mbsync"):
        raise SystemExit("mbsync is missing: scripts/packages bench")
    users, messages, kind = SETS[options.set]
    names = ["u%02d" % i for i in range(users)]
    pairs = [(n, "%s@%s" % (n, haul.DOMAIN)) for n in names]
    source = servers.Dovecot({n: "password" for n in names}).start()
    size = 0
    for i, name in enumerate(names):
        folders = mail.mailbox(i, messages, kind)
        size += sum(len(m.body) for box in folders.values() for m in box)
        source.seed(name, folders)
    wanted = count(source, names)
    sides = {
        "mailhaul": ({}, lambda f, t: mailhaul(f, source, t, pairs)),
        "mailhaul, no MULTIAPPEND": ({"capability_drop": ("MULTIAPPEND",)},
                                     lambda f, t: mailhaul(f, source, t, pairs)),
        "mbsync": ({}, lambda f, t: mbsync(f, source, t, pairs, 1)),
        "mbsync, two at once": ({}, lambda f, t: mbsync(f, source, t, pairs, 2)),
    }
    figures = {name: [] for name in sides}
    for _ in range(options.rounds):
        for name, (more, work) in sides.items():
            target = servers.Dovecot({a: "password" for _, a in pairs}, **more).start()
            folder = tempfile.mkdtemp(prefix="mhbench")
            try:
                figures[name].append(timed(lambda: work(folder, target)))
                held = count(target, [a for _, a in pairs])
                if held != wanted:
                    raise SystemExit("%s: %d of %d messages arrived" % (name, held, wanted))
            finally:
                target.stop()
                shutil.rmtree(folder, True)
    source.stop()
    medians = {name: {key: round(statistics.median(row[key] for row in rows), 2)
                      for key in ("wall_s", "cpu_s")} for name, rows in figures.items()}
    best = min(medians[n]["wall_s"] for n in medians if n.startswith("mbsync"))
    print(json.dumps({
        "scenario": "whole copy, " + options.set, "users": users, "messages": wanted,
        "mb": round(size / 1e6, 1), "rounds": options.rounds, "processors": os.cpu_count(),
        "machine": platform.machine(), "medians": medians,
        "one_mbsync_after_the_other_to_ours": round(
            medians["mbsync"]["wall_s"] / medians["mailhaul"]["wall_s"], 2),
        "best_mbsync_to_ours": round(best / medians["mailhaul"]["wall_s"], 2),
        "best_mbsync_to_ours_without_multiappend": round(
            best / medians["mailhaul, no MULTIAPPEND"]["wall_s"], 2)}))


if __name__ == "__main__":
    main()
