#!/usr/bin/python3
"""A run over a journal of millions of messages: how long until the first byte moves.

    bench/resume.py [--rounds N] [--users N] [--messages N]

mailhaul-journal makes the state folder of a batch with so many users and messages. Its users are
there on the source (Dovecot), with the journal's UIDVALIDITY and UIDNEXT and no message any more; one
user more is new and has mail. Timed is the start of `run` until the new user's first message is stored on
the target; then the run is stopped. Also: its peak memory by then, and `status` and `report --json`
on the same journal. Prints one JSON line of medians; memory is the worst.
"""

import argparse
import glob
import os
import resource
import shutil
import signal
import statistics
import subprocess
import time

import sides
import haul
import mail
import maildir
import servers

FIRST = ["anna", "ben", "chiara", "david", "emre", "fatima", "georg", "hana", "ines", "jonas",
         "klara", "luis", "mei", "noor", "olga", "paul", "quinn", "rosa", "sven", "tara"]
LAST = ["adler", "bauer", "costa", "demir", "evans", "fischer", "garcia", "huber", "ivanova",
        "jansen", "kim", "lang", "meyer", "novak", "olsen", "petrov", "rossi", "sato", "tran",
        "weber"]
FOLDERS = [("INBOX",), ("Sent Messages",), ("Drafts",), ("Trash",), ("Junk",), ("Archive/2023",),
           ("Archive/2024",), ("Lists/announce",), ("Calendar",), ("Notes",)]
NEW = "zoe"


def name(i):
    """What mailhaul-journal calls its user i."""
    return "%s.%s%d" % (FIRST[i % 20], LAST[i // 20 % 20], i // 400)


def emptied(source, user, uidnext):
    """The user's folders as the journal knows them, all messages deleted."""
    root = source.home(user) + "/Maildir"
    maildir.write(root, {tuple(path[0].split("/")): [] for path in FOLDERS})
    for path in FOLDERS:
        folder = maildir.folder_name(root, tuple(path[0].split("/")))
        with open(folder + "/dovecot-uidlist", "w") as f:
            f.write("3 V1 N%d G%032x\n" % (uidnext, hash((user, path)) & ((1 << 128) - 1)))
    servers.hand_over(source.home(user))


def measured(command):
    """Wall and CPU seconds of a command that must succeed."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"wall_s": time.monotonic() - began,
            "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}


def resumed(batch, target, address):
    """Until the first message of address is stored; the run is stopped then."""
    pattern = glob.escape(target.home(address)) + "/sdbox/mailboxes/INBOX/dbox-Mails/u.*"
    running = batch.start("run")
    began = time.monotonic()
    while not glob.glob(pattern):
        if running.ended():
            raise SystemExit("it ended without a message: %s" % running.text())
        time.sleep(0.002)
    seconds, memory = time.monotonic() - began, running.memory()
    running.signal(signal.SIGTERM)
    running.account = None
    running.wait()
    return {"first_message_s": seconds, "rss_mb": memory / 1e6}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--messages", type=int, default=5100)
    options = parser.parse_args()
    folder = sides.folder()
    names = [NEW] + [name(i) for i in range(options.users)]
    source = servers.Dovecot({n: "password" for n in names}, format="maildir", separator="/",
                             special_use={}).start()
    target = None
    try:
        source.seed(NEW, {("INBOX",): [mail.tiny(i) for i in range(50)]})
        for user in names[1:]:
            emptied(source, user, options.messages + 1)
        pairs = [(n, "%s@contoso.example" % n) for n in names]
        made = os.path.join(folder, "made.state")
        subprocess.run([haul.program("mailhaul-journal"), made, "--users", str(options.users),
                        "--messages", str(options.messages)], check=True)
        reading = {
            "status": [measured([haul.BINARY, "status", made]) for _ in range(options.rounds)],
            "report": [measured([haul.BINARY, "report", "--json", made])
                       for _ in range(options.rounds)]}
        totals = subprocess.run([haul.BINARY, "report", "--json", made], check=True,
                                stdout=subprocess.PIPE).stdout
        rows = []
        for i in range(options.rounds):
            target = servers.Dovecot({a: "password" for _, a in pairs}).start()
            batch = haul.Batch(os.path.join(folder, "haul%d" % i), source, target, pairs)
            batch.set("policy", "exclude-folders", "Trash")  # as in the journal
            shutil.copytree(made, batch.state)
            rows.append(resumed(batch, target, pairs[0][1]))
            target.stop()
            shutil.rmtree(batch.folder)
    finally:
        source.stop()
        if target:
            target.stop()
        shutil.rmtree(folder, True)
    sides.tell("run over a large journal", users=options.users,
               messages=haul.json.loads(totals)["totals"]["found"], rounds=options.rounds,
               first_message_s=round(statistics.median(r["first_message_s"] for r in rows), 2),
               rss_mb=round(max(r["rss_mb"] for r in rows), 1),
               **{what: sides.medians(figures) for what, figures in reading.items()})


if __name__ == "__main__":
    main()
