#!/usr/bin/python3
"""Whole copies between two Dovecots over TLS: mailhaul against mbsync, side by side.

    bench/compare.py [--rounds N] [--set small|mixed|tiny]

Each round makes a new target for each side and copies the same source; the sides take turns. mbsync
(package isync) runs once a user, one after the other, and two at once; its fsync is off. Prints one
JSON line: medians of wall seconds and of the CPU seconds of client, source and target, and the ratios
of the medians. Both servers share the machine's processors with the client. defaults_to_one_connection:
what mailhaul's defaults take, of the time and of the servers' CPU, to what they take with one connection
a mailbox.
"""

import argparse

import sides
import haul
import mail
import servers


def defaults_to_one(medians):
    ours = medians["mailhaul, no MULTIAPPEND"]
    one = medians["mailhaul, no MULTIAPPEND, one connection a mailbox"]

    def servers_cpu(row):
        return row["source_cpu_s"] + row["target_cpu_s"]

    return {"wall": round(ours["wall_s"] / one["wall_s"], 2),
            "servers_cpu": round(servers_cpu(ours) / servers_cpu(one), 2)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--set", choices=sides.SETS, default="small")
    options = parser.parse_args()
    sides.need_mbsync()
    users, messages, kind = sides.SETS[options.set]
    names = ["u%02d" % i for i in range(users)]
    pairs = [(n, "%s@%s" % (n, haul.DOMAIN)) for n in names]
    source = servers.Dovecot({n: "password" for n in names}).start()
    size = 0
    for i, name in enumerate(names):
        folders = mail.mailbox(i, messages, kind)
        size += sum(len(m.body) for box in folders.values() for m in box)
        source.seed(name, folders)
    wanted = sides.count(source, names)
    figures = sides.whole_copies(options.rounds, source, pairs, wanted, ("mbsync, two at once", 2))
    source.stop()
    medians = {name: sides.medians(rows) for name, rows in figures.items()}
    best = min(medians[n]["wall_s"] for n in medians if n.startswith("mbsync"))
    sides.tell(
        "whole copy, " + options.set, users=users, messages=wanted, mb=round(size / 1e6, 1),
        rounds=options.rounds, medians=medians,
        one_mbsync_after_the_other_to_ours=round(
            medians["mbsync"]["wall_s"] / medians["mailhaul"]["wall_s"], 2),
        best_mbsync_to_ours=round(best / medians["mailhaul"]["wall_s"], 2),
        best_mbsync_to_ours_without_multiappend=round(
            best / medians["mailhaul, no MULTIAPPEND"]["wall_s"], 2),
        defaults_to_one_connection=defaults_to_one(medians))


if __name__ == "__main__":
    main()
