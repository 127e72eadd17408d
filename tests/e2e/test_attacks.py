"""Servers that attack (tests/support/hostile.py): each user of a batch in another way, all at once, as source and as target.
What one does costs that user and nobody else; memory, time of the processor and the log have bounds.

MAILHAUL_ATTACK_BYTES: how much each flood sends over one connection before it breaks off; the usual number keeps this
test short, 100000000 lets mailhaul find out."""

import os
import resource
import time

from haul import Case
import hostile
from hostile import Hostile

FLOOD_BYTES = int(os.environ.get("MAILHAUL_ATTACK_BYTES", "1500000"))
SANITIZED = "MAILHAUL_SANITIZED" in os.environ
ATTACKS = {n: a for n, a in hostile.ATTACKS.items() if FLOOD_BYTES > 10_000_000 or n not in hostile.SLOW}
GOOD = ("anna", "ben", "carl")


def piece_of_work(clock=time.process_time):
    """Seconds that a script takes to look at 2 MB of text a line at a time, the best of three: 0.015 on a usual machine."""
    def once():
        began = clock()
        for line in lines:
            words = line.split()
            int(words[1]), int(words[4]), words[-1].rstrip(b")").isdigit()
        return clock() - began
    lines = [b"* %d FETCH (UID %d FLAGS (\\Seen) RFC822.SIZE 300)" % (i, i) for i in range(40000)]
    return min(once() for _ in range(3))


class Attacked(Case):
    def job(self, source, target, users):
        batch = self.batch(source, target, users)
        for side in ("source", "target"):
            batch.sections[side].pop("tls-ca", None)
            batch.set(side, "tls", "none")
            batch.set(side, "compress", "yes")
            batch.set(side, "connections", "100")
            # Two seconds where the servers of this test have a processor; what is slow for want of one is no stall.
            batch.set(side, "stall-limit", "%dms" % min(60000, max(2000, 2000 * piece_of_work(time.monotonic) / 0.02)))
        batch.set("policy", "retry-wait", "20ms")
        batch.set("policy", "transient-failure-limit", "2")
        return batch

    def addresses(self, users):
        return ["%s@target.example" % u for u in users]

    @staticmethod
    def calm(server):
        """It serves everybody well."""
        server.session = type("Calm", (server.session,), {"attacked": lambda s, verb, real, rest: real(*rest)})
        return server


class Attacks(Attacked):
    def settle(self, batch, server, others):
        """Runs it; every user has a verdict, and the good ones all of their mail."""
        log = os.path.join(batch.folder, "run.log")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = batch.call("run", "--log", log, limit_s=600)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.assertIn(done.code, (3, 4), done)
        for words in ("Assertion", "ERROR: ", "runtime error", "InternalError"):
            self.assertNotIn(words, done.err)
        report = self.balanced(batch.report())
        states = {u["address"].partition("@")[0]: u["state"] for u in report["users"]}
        self.assertEqual(set(states), set(others) | set(GOOD))
        for user in GOOD:
            self.assertEqual(states[user], "Synced", done)
        self.assertEqual([n for n, s in states.items() if s not in ("Synced", "SyncedWithDoubts", "Failed")], [])
        # Measured by a piece of work on the same machine in the same minute: eight for each user, who logs in and is tried
        # again, and one for each 300 KB of attacks. A tenth of it is spent.
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.assertLess(spent / piece_of_work(), (8 * len(states) + server.sent / 300e3) * (10 if SANITIZED else 1))
        self.assertLess(os.path.getsize(log), 3_000_000)
        if not SANITIZED:
            self.assertLess(done.peak_rss, 400_000_000)
        return report, states

    def test_as_a_source(self):
        users = [*GOOD, *(n for n, (verb, _) in ATTACKS.items() if verb not in ("create", "append"))]
        source = self._started(Hostile(users, flood_bytes=FLOOD_BYTES))
        target = self.calm(self._started(Hostile(self.addresses(users))))
        for user in self.addresses(users):  # nothing is there, and nobody attacks
            target.messages[user] = {"INBOX": type(target.messages[user]["INBOX"])()}
        batch = self.job(source, target, users)
        _, states = self.settle(batch, source, users[3:])
        self.assertGreaterEqual(len(source.tried), 60)
        self.assertGreater(list(states.values()).count("Failed"), 20)
        for user in self.addresses(GOOD):
            self.assertEqual([len(target.messages[user][n].mails) for n in ("INBOX", "Other")], [3, 3])

    def test_namespaces_without_end(self):
        users = ["anna", "namespace-many", "namespace-foreign"]
        source = self._started(Hostile(users))
        target = self.calm(self._started(Hostile(self.addresses(users))))
        for user in self.addresses(users):
            target.messages[user] = {"INBOX": type(target.messages[user]["INBOX"])()}
        batch = self.job(source, target, users).set("source", "stall-limit", "60s")
        self.ends(batch.call("run"), 3)
        report = self.balanced(batch.report())
        failed = {u["address"].partition("@")[0]: u["failure"] for u in report["users"]}
        self.assertEqual((failed["anna"], failed["namespace-foreign"]), (None, "FolderListIncomplete"))
        foreign = next(u for u in report["users"] if u["address"].startswith("namespace-foreign@"))
        self.assertIn("more than 1000 namespaces", "".join(f["server_text"] for f in foreign["failures"]))

    def test_as_a_target(self):
        # Nothing but `verify` and a look at what has no UIDs reads bodies of a target.
        users = [*GOOD, *(n for n, (verb, _) in ATTACKS.items() if verb not in ("bodies",))]
        source = self.calm(self._started(Hostile(users)))
        target = self._started(Hostile(self.addresses(users), flood_bytes=FLOOD_BYTES))
        for user in self.addresses(users):
            del target.messages[user]["Other"]
            target.messages[user]["INBOX"].mails.pop()
        batch = self.job(source, target, users)
        _, states = self.settle(batch, target, users[3:])
        self.assertGreaterEqual(len(target.tried), 50)
        for user in self.addresses(GOOD):
            self.assertEqual([len(target.messages[user][n].mails) for n in ("INBOX", "Other")], [3, 3])


class Memory(Attacked):
    """memory-max is what lists of all servers together may take."""
    MAX = 64_000_000
    # The program, its threads, the writer's share and the connections.
    REST = 60_000_000

    def bounded(self, attacks, **more):
        users = [*GOOD, *attacks]
        source = self._started(Hostile(users, **more))
        target = self.calm(self._started(Hostile(self.addresses(users))))
        for user in self.addresses(users):
            target.messages[user] = {"INBOX": type(target.messages[user]["INBOX"])()}
        batch = self.job(source, target, users)
        batch.set("batch", "memory-max", str(self.MAX))
        running = batch.start("run")
        peak = 0
        while not running.ended():
            peak = max(peak, self.anonymous(running.pid))
        done = running.wait(120)
        self.assertEqual(done.code, 3, done)
        report = self.balanced(batch.report())
        for user in report["users"]:
            if user["address"].partition("@")[0] in GOOD:
                self.assertEqual(user["state"][:6], "Synced", done)
            else:
                self.assertIn("ListTooLarge", [f["type"] for f in user["failures"]], user)
        if not SANITIZED:
            self.assertLess(peak, self.MAX + self.REST)

    def anonymous(self, pid):
        """Without the journal's pages, which are the kernel's to drop."""
        try:
            with open("/proc/%d/status" % pid, encoding="ascii") as f:
                return next((int(line.split()[1]) * 1024 for line in f if line.startswith("RssAnon")), 0)
        except OSError:
            return 0

    def test_folders(self):
        self.bounded(["list-new", "list-new-long"])

    def test_rows(self):
        self.bounded(["rows-new"], exists={"INBOX": "4000000000", "Other": "4000000000"})
