#!/usr/bin/python3
"""How near `fetch` comes to a client that throws the bytes away, over the same connections.

    bench/fetch.py [--rounds N] [--set small|mixed|tiny] [--connections N] [--first]

`fetch` reads a Dovecot into a new, durable spool, logins and listing included; `bench` drains the
same source for a few seconds with as many connections, which only its transfer counts. The sides take
turns. --first (root only): server and clients go before other work on the machine, which is then left
little for half a minute. Prints one JSON line: medians of MB of mail a second and CPU seconds per GB, and the ratio.
"""

import argparse
import json
import os
import shutil
import subprocess

import sides
import haul
import mail
import servers


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--set", choices=sides.SETS, default="small")
    parser.add_argument("--connections", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--first", action="store_true")
    options = parser.parse_args()
    if options.first:
        sides.run_first(os.getpid())
    users, messages, kind = sides.SETS[options.set]
    names = ["u%02d" % i for i in range(users)]
    source = servers.Dovecot({n: "password" for n in names}, mechanisms="plain login").start()
    # Neither side connects to it: a batch has a target.
    target = servers.Dovecot({}, mechanisms="plain login")
    size = 0
    for i, name in enumerate(names):
        folders = mail.mailbox(i, messages, kind)
        size += sum(len(m.body) for box in folders.values() for m in box)
        source.seed(name, folders)

    def with_batch(work):
        folder = sides.folder()
        try:
            batch = haul.Batch(os.path.join(folder, "haul"), source, target, names)
            batch.set("source", "connections", str(options.connections))
            batch.write()
            return work(batch)
        finally:
            shutil.rmtree(folder, True)

    def fetched(batch):
        figures = sides.timed(lambda: subprocess.run(
            [haul.BINARY, "fetch", "--quiet", batch.path], check=True, cwd=batch.folder))
        return {"mb_per_s": size / 1e6 / figures["wall_s"],
                "cpu_s_per_gb": figures["cpu_s"] / (size / 1e9)}

    def drained(batch):
        told = {}

        def work():
            done = subprocess.run(
                [haul.BINARY, "bench", "--json", "--quiet", "--connections",
                 str(options.connections), "--seconds", str(options.seconds), batch.path],
                check=True, cwd=batch.folder, stdout=subprocess.PIPE)
            told.update(json.loads(done.stdout)["steps"][0])

        figures = sides.timed(work)
        return {"mb_per_s": told["mb_per_s"], "cpu_s_per_gb": figures["cpu_s"] / (told["bytes"] / 1e9)}

    try:
        figures = sides.interleaved(options.rounds, {
            "fetch": lambda: with_batch(fetched), "drain": lambda: with_batch(drained)})
    finally:
        source.stop()
        target.stop()
    medians = {name: sides.medians(rows) for name, rows in figures.items()}
    sides.tell("fetch, " + options.set, users=users, mb=round(size / 1e6, 1),
               connections=options.connections, rounds=options.rounds, medians=medians,
               fetch_to_drain=round(
                   medians["fetch"]["mb_per_s"] / medians["drain"]["mb_per_s"], 2))


if __name__ == "__main__":
    main()
