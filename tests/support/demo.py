"""The demonstration behind scripts/demo: two servers, ten users, one migration, one comparison."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import haul
import mail
import servers

USERS = ["anna.smith", "juergen.mueller", "elise.lefevre", "jose.nunez", "yamada.taro",
         "ivan.petrov", "ahmed.ali", "wang.xiaoming", "grace.hopper", "kaethe.gross"]
# Enough that the live display shows something for a while, and little enough to seed in seconds.
MESSAGES = int(os.environ.get("DEMO_MESSAGES", "900"))


class Failed(Exception):
    pass


def say(text):
    print("\ndemo: " + text, flush=True)


def make(job):
    number, user = job
    count = random.Random(number).randrange(MESSAGES * 2 // 3, MESSAGES * 4 // 3)
    return user, mail.mailbox(number, count, "small" if number % 3 else "mixed",
                              owner=user + "@source.example")


def mailhaul(batch, command, *arguments, codes=(0,)):
    """Runs mailhaul in the foreground, so that its live display reaches the terminal."""
    line = [haul.BINARY, command, *arguments, batch.path]
    print("$ mailhaul %s" % " ".join([command, *arguments, os.path.basename(batch.path)]),
          flush=True)
    # No preexec, no new group: Ctrl-C is for mailhaul first, which then stops clean.
    code = subprocess.call(line, stdin=subprocess.DEVNULL, cwd=batch.folder)
    if code not in codes:
        raise Failed("mailhaul %s ended with exit code %d" % (command, code))


def summary(report):
    totals = report["totals"]
    print("%-34s %-10s %7s %9s %8s %8s" % ("user", "state", "found", "uploaded", "present", "MB"))
    for user in report["users"]:
        print("%-34s %-10s %7d %9d %8d %8.1f" % (
            user["address"], user["state"], user["found"], user["uploaded"], user["present"],
            user["bytes_uploaded"] / 1e6))
    print("%d users, %d Synced, %d messages, %.1f MB uploaded, %.1f s, balanced: %s" % (
        totals["users"], totals["synced"], totals["found"], totals["bytes_uploaded"] / 1e6,
        report["batch"]["seconds"], "yes" if totals["balanced"] else "NO"))
    if not totals["balanced"] or totals["synced"] != totals["users"]:
        raise Failed("not every user is Synced, or a folder does not balance")


def target_uids(batch):
    found = {}
    for user, address in batch.users:
        with batch.target.connect(address) as mailbox:
            for path in mailbox.folders():
                found[address, path] = mailbox.uids(path)
    return found


def demo(folder, keep):
    if not os.access(haul.BINARY, os.X_OK):
        raise Failed("there is no %s" % haul.BINARY)
    began = time.monotonic()
    addresses = ["%s@%s" % (user, haul.DOMAIN) for user in USERS]
    source = servers.Dovecot({u: "old secret of " + u for u in USERS}, format="maildir",
                             separator=".", prefix="INBOX.").start()
    target = servers.Dovecot({a: "new secret of " + a for a in addresses}, format="sdbox").start()
    say("two Dovecots are up: source %s, target %s" % (source.url(), target.url()))
    messages = size = 0
    with ProcessPoolExecutor(2) as pool:
        for user, folders in pool.map(make, enumerate(USERS, 1)):
            source.seed(user, folders)
            messages += sum(len(m) for m in folders.values())
            size += sum(len(m.body) for box in folders.values() for m in box)
    say("%d users have %d messages, %.0f MB, in %d folders each, made in %.1f s" % (
        len(USERS), messages, size / 1e6, len(mail.TREE) + 1, time.monotonic() - began))

    batch = haul.Batch(folder, source, target, USERS, name="demo")
    batch.write()
    say("the batch file %s:" % batch.path)
    with open(batch.path) as f:
        print(f.read().rstrip())

    say("are both servers ready?")
    mailhaul(batch, "check")
    say("the migration:")
    mailhaul(batch, "run")
    report = batch.report()
    summary(report)
    if report["totals"]["found"] != messages:
        raise Failed("%d messages were made, %d found" % (messages, report["totals"]["found"]))

    say("once more: an incremental sync, with nothing new to move")
    before = target_uids(batch)
    mailhaul(batch, "run")
    if target_uids(batch) != before:
        raise Failed("the second run changed the target")
    print("the second run moved nothing")

    say("comparing both sides over IMAP (bodies by sha256, flags, keywords, dates) ...")
    result = batch.compare()
    print(result)
    if not result.equal() or result.missing or result.source != messages:
        raise Failed("the two sides differ")
    say("all is well, after %.0f s" % (time.monotonic() - began))
    if keep:
        say("left running; Ctrl-C ends the servers and removes everything")
        print("  batch   %s" % batch.path)
        print("  look    %s status %s" % (haul.BINARY, batch.path))
        print("  report  %s report --html /tmp/demo.html %s" % (haul.BINARY, batch.path))
        print("  mail    curl --cacert %s --user '%s:%s' %s/" % (
            target.ca, addresses[0], target.users[addresses[0]], target.url()))
        while True:
            signal.pause()


def main():
    keep = "--keep" in sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = servers.new_folder("mhdemo")
    try:
        demo(folder, keep)
    except KeyboardInterrupt:
        print("\ndemo: stopped", file=sys.stderr)
        return 0 if keep else 130
    except (Failed, servers.ServerError, AssertionError) as error:
        print("\ndemo: FAILED: %s" % error, file=sys.stderr)
        return 1
    finally:
        # Servers end in atexit; a second Ctrl-C must not leave them behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        haul.kill_leftovers()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
