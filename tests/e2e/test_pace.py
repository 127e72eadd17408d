"""The target's rate: back-offs are kept to the millisecond, by every connection and every process.

The simulated Exchange Online counts each APPEND that comes to a mailbox inside its own hint
(violations), and each to the tenant once three mailboxes were told of a tenant-wide cut
(violations_tenant).
"""

import os
import signal
import struct
import time

import exchange
import mail


def records(folder):
    """The processes' records in a ledger folder (engine/pace/ledger.c)."""
    names = ("process", "heartbeat_ms", "gate_ms", "event_ms", "rate", "rate_hat", "measured",
             "weight")
    found = []
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        if not name.endswith(".rec"):
            continue
        try:
            with open(os.path.join(folder, name), "rb") as f:
                data = f.read()
        except FileNotFoundError:
            continue
        if len(data) == 80 and data[0] == 1:
            found.append(dict(zip(names, struct.unpack_from("<Qqqqdddd", data, 1))))
    return found


class Pace(exchange.Into):
    def obeyed(self, stats):
        self.assertEqual((stats["violations"], stats["violations_tenant"]), (0, 0))

    def until(self, what, running, limit_s=60):
        limit = time.monotonic() + limit_s
        while not what():
            self.assertFalse(running.ended(), running.text())
            self.assertLess(time.monotonic(), limit, running.text())
            time.sleep(0.02)

    def test_a_cut_of_the_tenant_stops_every_mailbox_and_nobody_storms_back(self):
        users = ["user%d" % i for i in range(12)]
        # Logins are cheap here and each throttle reply is followed by BYE: whoever comes back comes
        # through the governor.
        batch, target, counts = self.into(
            users, 12, **{"tenant-rate": 6, "tenant-burst": 4, "tenant-cutoff": 2, "hint-ms": 2500,
                          "hint-word": "both", "append-ms": 60, "errors-max": 1})
        self.ends(batch.call("run"), 0)
        stats = target.stats()
        self.assertGreaterEqual(stats["throttled_tenant"], 3, "the tenant's budget was never met")
        self.obeyed(stats)
        self.assertLessEqual(stats["connects_per_s_max"], 7, "a storm of connects")
        self.each_once(target, counts)
        report = self.balanced(batch.report())
        self.assertEqual(report["totals"]["failed"], 0)

    def test_a_restart_inside_a_back_off_stays_silent(self):
        batch, target, counts = self.into(
            ["anna"], 30, **{"mailbox-rate": 1, "mailbox-burst": 4, "mailbox-cutoff": 1,
                             "hint-ms": 9000, "append-ms": 20})
        running = batch.start("run")
        self.until(lambda: target.stats()["throttled"] > 0, running)
        time.sleep(0.2)  # the reply is on its way
        running.signal(signal.SIGTERM)
        self.ends(running.wait(limit_s=20), 2)
        before = target.stats()
        target.set("mailbox-rate", 1000)
        target.set("mailbox-burst", 1000)
        self.ends(batch.call("run"), 0)
        stats = target.stats()
        self.assertGreater(stats["appends"], before["appends"])
        self.obeyed(stats)
        self.each_once(target, counts)

    def test_two_processes_share_a_tenant_through_the_ledger(self):
        users = ["user%d" % i for i in range(10)]
        batch, target, counts = self.into(
            users, 12, **{"tenant-rate": 5, "tenant-burst": 6, "tenant-cutoff": 2, "hint-ms": 8000,
                          "append-ms": 30})
        batch.set("batch", "ledger", "ledger")
        batch.write()
        shards = [batch.start("run", "--shard", "%d/2" % n, write=False) for n in (1, 2)]
        ledger = os.path.join(batch.folder, "ledger", "contoso.onmicrosoft.com")
        gates = []

        def both_rest():
            gates[:] = [r["gate_ms"] for r in records(ledger)]
            return len(gates) == 2 and min(gates) > 0 and max(gates) - min(gates) < 1000

        # Each process's record names the gate that one of them met.
        self.until(both_rest, shards[0])
        for running in shards:
            self.ends(running.wait(), 0)
        self.assertEqual(os.listdir(ledger), [], "who has left takes no share")
        stats = target.stats()
        self.assertEqual(stats["violations"], 0)
        self.assertGreaterEqual(stats["throttled_tenant"], 3)
        self.each_once(target, counts)

    def test_a_ledger_that_cannot_be_written_is_said_before_anything_is_moved(self):
        batch, target, _ = self.into(["anna"], 3)
        batch.set("batch", "ledger", "users.csv/ledger")
        done = self.ends(batch.call("run"), 74)
        self.assertIn("ledger", done.err)
        self.assertEqual(target.stats()["connects"], 0)

    def test_bytes_per_day_stops_a_user_and_another_day_goes_on(self):
        for side in ("source", "target"):
            with self.subTest(side=side):
                users = ["anna", "ben"]
                source = self.dovecot(users, format="maildir", separator=".")
                target = self.target_for(users)
                source.seed("anna", {("INBOX",): [mail.tiny(i, extra=b"x" * 5000 + b"\r\n")
                                                  for i in range(40)]})
                source.seed("ben", {("INBOX",): [mail.tiny(99)]})
                batch = self.batch(source, target, users)
                batch.set(side, "bytes-per-day", "100KB")
                done = self.ends(batch.call("run"), 2)
                self.assertIn("bytes-per-day", done.err)
                report = self.balanced(batch.report())
                anna, ben = report["users"]
                self.assertEqual((anna["state"], ben["state"]), ("Stopped", "Synced"))
                moved = anna["bytes_fetched" if side == "source" else "bytes_uploaded"]
                self.assertGreater(moved, 50000)
                self.assertLessEqual(moved, 100000)
                told = [f for f in anna["failures"] if f["type"] == "DailyLimit"]
                self.assertEqual([(f["class"], f["side"]) for f in told], [("throttled", side)])
                # The same day again: nothing more is moved, and that is no failure.
                self.ends(batch.call("run"), 2)
                again = batch.report()["users"][0]
                self.assertEqual(again["uploaded"], anna["uploaded"])
                # Another day: the allowance is there again (here: a larger one).
                batch.set(side, "bytes-per-day", "10MB")
                self.ends(batch.call("run"), 0)
                self.moved(batch)
