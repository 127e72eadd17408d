#!/usr/bin/python3
"""One mailbox of very many folders: what a copy and the runs after it cost the client.

    bench/folders.py [--folders N,N,...] [--messages N] [--rounds N] [--wrap COMMAND]

One user of that many folders with so many small messages each, in lists of 100 side by side under one
root. Copied into the simulated Exchange Online, told to be fast, over TLS; then run again with nothing
new, then once more after a message came into every tenth folder. The source is the tests' own server,
without TLS: a Dovecot that lists and opens so many Maildirs takes all the time there is. Prints one
JSON line for each number of folders: medians of wall seconds and of the client's CPU seconds of each
of the three runs, and CPU milliseconds a folder, which stay the same when the work grows with the
folders and no faster. `--wrap` is put before the command, so that `perf record` can look at it.
"""

import argparse
import os
import shlex
import shutil
import subprocess

import sides
import exchange
import haul
import mail
import quirky

LIST = 100
MORE = 10
ROOT = "Public"


def name(i):
    return "%s/List %03d/Folder %02d" % (ROOT, i // LIST, i % LIST)


def tree(folders, messages):
    found = {"INBOX": [], ROOT: []}
    for i in range(folders):
        found.setdefault("%s/List %03d" % (ROOT, i // LIST), [])
        found[name(i)] = [quirky.Mail(k + 1, mail.tiny(i * messages + k).body) for k in range(messages)]
    return found


def measured(batch, wrap):
    batch.write()
    return sides.timed(lambda: subprocess.run(
        [*wrap, haul.BINARY, "run", "--quiet", batch.path], check=True, cwd=batch.folder))


def copied(folders, messages, wrap):
    address = "anna@" + haul.DOMAIN
    source = quirky.Quirky({"anna": tree(folders, messages)}).start()
    target = exchange.Exchange([address], **{"append-ms": 0, "login-ms": 0}).start()
    folder = sides.folder()
    batch = target.take(haul.Batch(os.path.join(folder, "haul"), source, target, [("anna", address)]))
    batch.sections["target"].update({"preset": "imap"})
    del batch.sections["source"]["tls-ca"]
    batch.set("source", "tls", "none")
    try:
        figures = {"first": measured(batch, wrap), "nothing new": measured(batch, wrap)}
        more = range(0, folders, MORE)
        for i in more:
            source.messages["anna"][name(i)].mails.append(
                quirky.Mail(messages + 1, mail.tiny(folders * messages + i).body))
        figures["some new"] = measured(batch, wrap)
        totals = batch.report()["totals"]
        if totals["uploaded"] != folders * messages + len(more) or totals["pending"]:
            raise SystemExit("not all arrived: %s" % totals)
    finally:
        source.stop()
        target.stop()
        shutil.rmtree(folder, True)
    return {"%s: %s" % (run, key): value for run, row in figures.items()
            for key, value in row.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folders", default="1000,2000,4000,8000")
    parser.add_argument("--messages", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--wrap", default="")
    options = parser.parse_args()
    for folders in [int(n) for n in options.folders.split(",")]:
        medians = sides.medians([copied(folders, options.messages, shlex.split(options.wrap))
                                 for _ in range(options.rounds)])
        sides.tell("one mailbox of many folders", folders=folders, messages=options.messages,
                   rounds=options.rounds, medians=medians,
                   cpu_ms_a_folder={key.partition(":")[0]: round(1000 * value / folders, 3)
                                    for key, value in medians.items() if key.endswith("cpu_s")})


if __name__ == "__main__":
    main()
