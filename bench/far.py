#!/usr/bin/python3
"""Whole copies between two servers that are far away: mailhaul against mbsync, side by side.

    bench/far.py [--rounds N] [--users N] [--messages N] [--folders N] [--delay-ms N]
                 [--first]

As bench/compare.py, but both Dovecots are behind a proxy that delays every byte by --delay-ms one way
(tests/support/distant.py). Every user has --messages in --folders. mbsync runs once a user, one after
the other, and all users at once. What counts is waiting for the line, so other work on the machine must
not count: with --first (root only) servers, proxies and clients all go before it. Prints one JSON line of
medians and their ratios.
"""

import argparse
import os

import sides
import distant
import haul
import mail
import servers


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--users", type=int, default=2)
    parser.add_argument("--messages", type=int, default=150)
    parser.add_argument("--folders", type=int, default=12)
    parser.add_argument("--delay-ms", type=float, default=20)
    parser.add_argument("--first", action="store_true")
    options = parser.parse_args()
    if options.first:
        sides.run_first(os.getpid())
    sides.need_mbsync()
    names = ["u%02d" % i for i in range(options.users)]
    pairs = [(n, "%s@%s" % (n, haul.DOMAIN)) for n in names]
    offers = {"mechanisms": "plain login"}
    source = servers.Dovecot({n: "password" for n in names}, **offers).start()
    for i, name in enumerate(names):
        boxes = {("INBOX",) if f == 0 else ("Box %02d" % f,): [] for f in range(options.folders)}
        paths = list(boxes)
        for k, message in enumerate(m for box in mail.mailbox(i, options.messages).values()
                                    for m in box):
            boxes[paths[k % len(paths)]].append(message)
        source.seed(name, boxes)
    wanted = sides.count(source, names)
    far_source = distant.Distant(source, options.delay_ms / 1000).start()
    try:
        figures = sides.whole_copies(
            options.rounds, far_source, pairs, wanted, ("mbsync, all at once", options.users),
            near=lambda target: distant.Distant(target, options.delay_ms / 1000), **offers)
    finally:
        far_source.stop()
        source.stop()
    medians = {name: sides.medians(rows) for name, rows in figures.items()}
    wall = {name: row["wall_s"] for name, row in medians.items()}
    sides.tell("whole copy, far away", users=options.users, messages=wanted,
               folders=options.folders, delay_ms=options.delay_ms, rounds=options.rounds,
               medians=medians,
               mbsync_to_ours=round(wall["mbsync"] / wall["mailhaul"], 2),
               mbsyncs_at_once_to_ours=round(wall["mbsync, all at once"] / wall["mailhaul"], 2),
               mbsync_to_ours_without_multiappend=round(
                   wall["mbsync"] / wall["mailhaul, no MULTIAPPEND"], 2),
               mbsyncs_at_once_to_ours_without_multiappend=round(
                   wall["mbsync, all at once"] / wall["mailhaul, no MULTIAPPEND"], 2))


if __name__ == "__main__":
    main()
