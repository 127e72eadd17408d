"""What the benchmarks share: servers' mail, mailhaul and mbsync as timed sides, medians.

Both servers and the client share the machine's processors; cpu_s are the client's own seconds of CPU.
"""

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
import servers  # noqa: E402

# Sets of mail: users, messages a user, kind of mail.mailbox.
SETS = {"small": (20, 500, "small"), "mixed": (8, 400, "mixed"), "tiny": (4, 100, "small")}


def need_mbsync():
    if not shutil.which("mbsync"):
        raise SystemExit("mbsync is missing: scripts/packages bench")


def cpu_of_children():
    now = os.times()
    return now.children_user + now.children_system


def cpu_of(pid):
    """Seconds of CPU that a process has used so far."""
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_of_server(server):
    """Seconds of CPU of all processes of a tests/support server so far, those that have ended too."""
    used = 0
    for pid in server.processes():
        try:
            with open("/proc/%d/stat" % pid) as f:
                fields = f.read().rpartition(")")[2].split()
        except OSError:
            continue
        used += sum(int(field) for field in fields[11:15])  # its own, and of children that have ended
    return used / os.sysconf("SC_CLK_TCK")


def waited_of(pid):
    """Seconds that threads of a process were ready to run and had no processor, so far."""
    waited = 0
    for thread in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/schedstat" % (pid, thread)) as f:
            waited += int(f.read().split()[1])
    return waited / 1e9


def run_first(pid):
    """All threads of a process go before whatever else the machine does (SCHED_FIFO, for root only)."""
    for thread in os.listdir("/proc/%d/task" % pid):
        os.sched_setscheduler(int(thread), os.SCHED_FIFO, os.sched_param(1))


def timed(work):
    cpu, began = cpu_of_children(), time.monotonic()
    work()
    return {"wall_s": time.monotonic() - began, "cpu_s": cpu_of_children() - cpu}


def medians(rows):
    """Of the figures of one side's rounds, each a dictionary."""
    return {key: round(statistics.median(row[key] for row in rows), 2) for key in rows[0]}


def interleaved(rounds, sides):
    """{name: a list of figures} of sides {name: function that returns figures}, taking turns."""
    figures = {name: [] for name in sides}
    for _ in range(rounds):
        for name, work in sides.items():
            figures[name].append(work())
    return figures


def tell(scenario, **figures):
    """The one JSON line a benchmark prints."""
    print(json.dumps({"scenario": scenario, "processors": os.cpu_count(),
                      "machine": platform.machine(), **figures}))


def folder():
    return tempfile.mkdtemp(prefix="mhbench")


def mailhaul(batch):
    """Runs it over the batch; anything but success ends the benchmark."""
    batch.write()
    subprocess.run([haul.BINARY, "run", "--quiet", batch.path], check=True,
                   cwd=batch.folder, env={**os.environ, **batch.environment})


class Mbsync:
    """mbsync's configuration and state for pairs (source user, target address)."""

    def __init__(self, where, source, target, pairs):
        self.pairs, self.path = pairs, os.path.join(where, "mbsyncrc")
        state = os.path.join(where, "state")
        os.makedirs(state)
        with open(self.path, "w") as f:
            f.write("FSync no\n")
            for user, address in pairs:
                for side, server, login in (("far", source, user), ("near", target, address)):
                    f.write('IMAPAccount %s-%s\nHost localhost\nPort %d\nUser "%s"\nPass "%s"\n'
                            "SSLType IMAPS\nCertificateFile %s\nAuthMechs PLAIN\n\n"
                            "IMAPStore %s-%s\nAccount %s-%s\n\n" % (
                                side, user, server.port_tls, login, server.users[login], server.ca,
                                side, user, side, user))
                f.write("Channel %s\nFar :far-%s:\nNear :near-%s:\nPatterns *\nCreate Near\n"
                        "Sync Pull\nCopyArrivalDate yes\nSyncState %s/%s/\n\n" % (
                            user, user, user, state, user))
                os.makedirs(os.path.join(state, user))

    def run(self, at_once=1):
        with ThreadPoolExecutor(at_once) as pool:
            for done in pool.map(lambda pair: subprocess.run(
                    ["mbsync", "-q", "-c", self.path, pair[0]], stdout=subprocess.DEVNULL),
                    self.pairs):
                if done.returncode != 0:
                    raise SystemExit("mbsync ended with %d" % done.returncode)


def count(server, users):
    """Messages that the server holds for these users."""
    total = 0
    for user in users:
        with server.connect(user) as mailbox:
            total += sum(len(mailbox.uids(path)) for path in mailbox.folders())
    return total


def whole_copies(rounds, source, pairs, wanted, several, near=None, **offers):
    """{name: figures} of copies of all of source into a new Dovecot each, the sides taking turns:
    mailhaul, where MULTIAPPEND is offered, where not, and there with one connection a mailbox on each
    side; mbsync one user after the other, and `several`, (name, how many at once), of it. near: makes
    what stands before the target. Ends the benchmark when not `wanted` messages arrive."""
    source_itself = getattr(source, "server", source)

    def copied(work, **server):
        target = servers.Dovecot({a: "password" for _, a in pairs}, **offers, **server).start()
        before = near(target).start() if near else None
        where = folder()
        try:
            cpu = [cpu_of_server(server) for server in (source_itself, target)]
            figures = timed(lambda: work(where, before or target))
            time.sleep(0.2)  # the servers' sessions end a moment after the client
            for key, server, began in zip(("source_cpu_s", "target_cpu_s"), (source_itself, target), cpu):
                figures[key] = cpu_of_server(server) - began
            held = count(target, [a for _, a in pairs])
            if held != wanted:
                raise SystemExit("%d of %d messages arrived" % (held, wanted))
            return figures
        finally:
            if before:
                before.stop()
            target.stop()
            shutil.rmtree(where, True)

    def ours(where, target, most=None):
        batch = haul.Batch(os.path.join(where, "haul"), source, target, pairs)
        if most:
            batch.set("source", "connections-per-user", most)
            batch.set("target", "connections-per-mailbox", most)
        mailhaul(batch)

    def theirs(at_once):
        return lambda where, target: Mbsync(where, source, target, pairs).run(at_once)

    return interleaved(rounds, {
        "mailhaul": lambda: copied(ours),
        "mailhaul, no MULTIAPPEND": lambda: copied(ours, capability_drop=("MULTIAPPEND",)),
        "mailhaul, no MULTIAPPEND, one connection a mailbox": lambda: copied(
            lambda where, target: ours(where, target, 1), capability_drop=("MULTIAPPEND",)),
        "mbsync": lambda: copied(theirs(1)),
        several[0]: lambda: copied(theirs(several[1])),
    })
