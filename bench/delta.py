#!/usr/bin/python3
"""A night on which nothing changed: mailhaul's second run against mbsync's, side by side.

    bench/delta.py [--rounds N] [--users N] [--folders N]

Every user has the same number of folders with one message each. Both sides copy once, untimed, then
run again over two Dovecots in which nothing has changed; the sides take turns. The servers offer what
Dovecot offers by default, so that both sides log in by PLAIN and no side pays for 4,096 rounds of
SHA-256 in each of its logins. Prints one JSON line: medians of wall seconds and of the client's CPU
seconds, and the ratio of the medians.
"""

import argparse
import os
import shutil

import sides
import haul
import mail
import servers


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--folders", type=int, default=50)
    options = parser.parse_args()
    sides.need_mbsync()
    names = ["u%03d" % i for i in range(options.users)]
    pairs = [(n, "%s@%s" % (n, haul.DOMAIN)) for n in names]
    offers = {"mechanisms": "plain login"}
    source = servers.Dovecot({n: "password" for n in names}, **offers).start()
    for i, name in enumerate(names):
        source.seed(name, {("INBOX",) if f == 0 else ("Box %02d" % f,):
                           [mail.tiny(i * options.folders + f)] for f in range(options.folders)})
    targets = [servers.Dovecot({a: "password" for _, a in pairs}, **offers).start()
               for _ in range(2)]
    folder = sides.folder()
    try:
        batch = haul.Batch(os.path.join(folder, "haul"), source, targets[0], pairs)
        mbsync = sides.Mbsync(folder, source, targets[1], pairs)
        sides.mailhaul(batch)
        mbsync.run(2)
        figures = sides.interleaved(options.rounds, {
            "mailhaul": lambda: sides.timed(lambda: sides.mailhaul(batch)),
            "mbsync": lambda: sides.timed(mbsync.run),
            "mbsync, two at once": lambda: sides.timed(lambda: mbsync.run(2)),
        })
        for target in targets:
            held = sides.count(target, [a for _, a in pairs])
            if held != options.users * options.folders:
                raise SystemExit("%d messages instead of %d" % (
                    held, options.users * options.folders))
    finally:
        for server in [source, *targets]:
            server.stop()
        shutil.rmtree(folder, True)
    medians = {name: sides.medians(rows) for name, rows in figures.items()}
    sides.tell("delta run, nothing changed", users=options.users, folders=options.folders,
               rounds=options.rounds, medians=medians,
               mbsync_to_ours=round(
                   medians["mbsync"]["wall_s"] / medians["mailhaul"]["wall_s"], 2),
               two_mbsyncs_to_ours=round(
                   medians["mbsync, two at once"]["wall_s"] / medians["mailhaul"]["wall_s"], 2))


if __name__ == "__main__":
    main()
