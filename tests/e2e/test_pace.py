"""The target's rate: back-offs are kept to the millisecond, by every connection and every process.

The simulated Exchange Online counts each APPEND that comes to a mailbox inside its own hint
(violations), and each to the tenant once three mailboxes were told of a tenant-wide cut
(violations_tenant).
"""

import os
import re
import signal
import struct
import time

import exchange
import haul
import mail
from meddler import Meddler, Rule


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

    @haul.lasting
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
        self.restart(signal.SIGTERM, 2)

    def test_a_kill_inside_a_back_off_changes_nothing(self):
        """Nobody could say goodbye: what was asked for is on disk by then all the same."""
        self.restart(signal.SIGKILL, -signal.SIGKILL)

    def restart(self, number, code):
        batch, target, counts = self.into(
            ["anna"], 30, **{"mailbox-rate": 1, "mailbox-burst": 4, "mailbox-cutoff": 1,
                             "hint-ms": 9000, "append-ms": 20})
        batch.set("target", "settle-time", "1s")
        running = batch.start("run")
        self.until(lambda: target.stats()["throttled"] > 0, running)
        time.sleep(0.5)  # the reply is on its way, and into the journal
        running.signal(number)
        self.ends(running.wait(limit_s=20), code)
        before = target.stats()
        target.set("mailbox-rate", 1000)
        target.set("mailbox-burst", 1000)
        self.ends(batch.call("run"), 0)
        stats = target.stats()
        self.assertGreater(stats["appends"], before["appends"])
        self.obeyed(stats)
        self.each_once(target, counts)

    @haul.lasting
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

    def servers(self, batch, command="status"):
        """{side: what was learnt of its server}, as `status` and `report` have it."""
        told = self.ends(batch.call(command, "--json"), 0).json()["servers"]
        return {one["side"]: one for one in told}

    def test_what_was_learnt_of_a_target_is_shown_and_kept_for_that_target(self):
        users = ["user%d" % i for i in range(8)]
        batch, target, counts = self.into(
            users, 16, **{"tenant-rate": 6, "tenant-burst": 25, "tenant-cutoff": 2, "hint-ms": 1500,
                          "append-ms": 40})
        done = self.ends(batch.call("run"), 0)
        stats = target.stats()
        learnt = self.servers(batch)["target"]
        self.assertEqual(learnt["server"], "contoso.onmicrosoft.com")
        self.assertEqual(learnt["throttled"], stats["throttled"])
        self.assertGreater(learnt["tenant_cuts"], 0)
        self.assertGreater(learnt["rate_learnt"], 0)
        self.assertGreater(learnt["rate"], 0)
        self.assertEqual(self.servers(batch, "report")["target"], learnt)
        self.assertEqual(sum(m["throttled"] for m in learnt["mailboxes"]), stats["throttled"])
        line = "contoso.onmicrosoft.com: %.1f/s allowed" % learnt["rate"]
        self.assertIn(line, done.err + done.out)
        self.assertIn("Target " + line, self.ends(batch.call("status"), 0).out)
        page = os.path.join(batch.folder, "page.html")
        self.ends(batch.call("report", "--html", page), 0)
        with open(page) as f:
            self.assertIn("%.1f/s allowed" % learnt["rate"], f.read())
        # The next night begins with it.
        self.ends(batch.call("run"), 0)
        again = self.servers(batch)["target"]
        self.assertEqual((again["rate_learnt"], again["phase"]), (learnt["rate_learnt"], "limited"))
        self.assertEqual(again["throttled"], 0)
        # What one tenant bears says nothing of another.
        batch.set("target", "tenant", "fabrikam.onmicrosoft.com")
        self.ends(batch.call("run"), 0)
        other = self.servers(batch)["target"]
        self.assertEqual((other["server"], other["rate_learnt"], other["mailboxes"]),
                         ("fabrikam.onmicrosoft.com", None, []))
        batch.set("target", "tenant", "contoso.onmicrosoft.com")
        self.ends(batch.call("run"), 0)
        self.assertEqual(self.servers(batch)["target"]["rate_learnt"], learnt["rate_learnt"])

    def each_has(self, users, messages, **options):
        """As into, with so many small messages in the INBOX of each."""
        users = ["user%d" % i for i in range(users)]
        source = self.dovecot(users, format="maildir", separator=".")
        for i, user in enumerate(users):
            source.seed(user, {("INBOX",): [mail.tiny(100 * i + k) for k in range(messages)]})
        counts = {"%s@%s" % (user, haul.DOMAIN): messages for user in users}
        target = self._started(exchange.Exchange(counts, **options))
        return target.take(self.batch(source, target, users)), target, counts

    def test_lost_answers_are_no_back_off_while_logins_are_answered(self):
        """Each mailbox loses its first answer, with the connection. Everything else is answered: nobody was
        asked to wait, and what all rest to learn whether the server lives is seconds, not minutes."""
        batch, target, counts = self.each_has(
            9, 2, **{"append-ms": 20, "fault": "point=stored action=close limit=9"})
        batch.set("target", "settle-time", "300ms")
        log = os.path.join(batch.folder, "log")
        self.ends(batch.call("run", "--log", log, "--log-level", "debug"), 0)
        stats = target.stats()
        self.assertEqual((stats["faults"], stats["throttled"]), (9, 0))
        self.each_once(target, counts)
        report = self.balanced(batch.report())
        self.assertEqual((report["totals"]["failed"], report["totals"]["failed_users"]), (0, 0))
        self.assertEqual(report["totals"]["time"]["throttled_s"], 0, "the target asked for nothing")
        learnt = self.servers(batch)["target"]
        self.assertEqual((learnt["phase"], learnt["rate_learnt"], learnt["tenant_cuts"]), ("start", None, 0))
        self.assertGreaterEqual(learnt["rate"], 2)
        with open(log) as f:
            rested = [int(ms) for ms in re.findall(r" pace phase=.* lost_ms=(\d+)", f.read())]
        # Three times three connections were lost. Doubling, 35 s: 5, 10 and 20.
        self.assertLess(rested[-1], 20000)

    def test_equal_mailboxes_with_budgets_of_their_own_are_no_limit_of_the_tenant(self):
        """They are used up together, three within seconds and then all: each has its own limit all the same."""
        batch, target, counts = self.each_has(
            8, 12, **{"cost-bytes": 50, "mailbox-rate": 3, "mailbox-burst": 5, "mailbox-cutoff": 3,
                      "hint-ms": 1500, "append-ms": 20})
        running = batch.start("run")
        self.until(lambda: target.stats()["throttled"] >= 6 or running.ended(), running)
        target.set("mailbox-rate", 1000)  # enough was seen
        self.ends(running.wait(), 0)
        stats = target.stats()
        refused = sum(m["throttled"] > 0 for m in stats["by_mailbox"])
        self.assertGreaterEqual(refused, 3, "hardly a mailbox met its limit")
        self.obeyed(stats)
        self.each_once(target, counts)
        learnt = self.servers(batch)["target"]
        self.assertEqual((learnt["tenant_cuts"], learnt["rate_learnt"]), (0, None))
        self.assertEqual(sum(m["throttled"] > 0 for m in learnt["mailboxes"]), refused)

    def meddled(self, messages, *rules):
        """A batch of one user from a source with rules; it is stopped and run again."""
        source = self.dovecot(["anna"], format="maildir", separator=".")
        source.seed("anna", {("INBOX",): [mail.tiny(i) for i in range(messages)]})
        meddler = self._started(Meddler(source, list(rules)))
        batch = self.batch(meddler, self.target_for(["anna"]), ["anna"])
        batch.sections["source"] = {"url": meddler.url(), "tls": "none"}
        return batch, meddler

    def test_a_source_that_asks_for_rest_gets_it_from_the_next_run_too(self):
        batch, meddler = self.meddled(
            30, Rule("^UID FETCH .*BODY", "NO Request is throttled. Suggested Backoff Time: 3000000 "
                     "milliseconds", times=1))
        running = batch.start("run")
        self.until(lambda: '"rests_until":"' in batch.call("status", "--json").out, running)
        running.signal(signal.SIGTERM)
        self.ends(running.wait(limit_s=20), 2)
        learnt = self.servers(batch)["source"]
        self.assertEqual(learnt["throttled"], 1)
        rests = learnt["mailboxes"][0]["rests_until"]
        self.assertIsNotNone(rests)
        asked = len(meddler.lines)
        running = batch.start("run")
        # It runs, and says for whom it waits and until when. (That stands in the state folder from before,
        # too: first the folder must be this run's.)
        self.until(lambda: open(os.path.join(batch.state, "lock")).read().startswith(
            "pid %d " % running.pid), running)
        self.until(lambda: self.ends(batch.call("status", "--json"), 0)
                   .json()["users"][0]["throttled_until"] == rests, running)
        running.signal(signal.SIGTERM)
        self.ends(running.wait(limit_s=20), 2)
        self.assertEqual(meddler.lines[asked:], [], "the source was not left alone")

    def test_a_source_that_bears_few_connections_is_not_asked_for_more_the_next_night(self):
        users = ["user%d" % i for i in range(6)]
        source = self.dovecot(users, format="maildir", separator=".")
        for i, user in enumerate(users):
            source.seed(user, {("INBOX",): [mail.tiny(100 * i + k) for k in range(20)]})
        meddler = self._started(Meddler(source, [
            Rule("^(LOGIN|AUTHENTICATE)", "NO [LIMIT] too many connections. Suggested Backoff Time: "
                 "1500 milliseconds", skip=2, times=4)]))
        batch = self.batch(meddler, self.target_for(users), users)
        batch.sections["source"] = {"url": meddler.url(), "tls": "none"}
        batch.set("policy", "retry-wait", "1s")
        done = self.ends(batch.call("run", "--threads", "1"), 0)
        learnt = self.servers(batch)["source"]
        self.assertEqual(learnt["connections"], 2, done.err)
        self.assertIn("2 connections at most", self.ends(batch.call("status"), 0).out)
        asked, sessions, most = len(meddler.lines), 0, 0
        self.ends(batch.call("run", "--threads", "1"), 0)
        # A connection ends with LOGOUT before its place is given to another.
        for line in meddler.lines[asked:]:
            sessions += bool(re.match("LOGIN|AUTHENTICATE", line)) - line.startswith("LOGOUT")
            most = max(most, sessions)
        self.assertIn(most, (1, 2), "more connections than the source bore")
        self.moved(batch)

    def test_a_ledger_that_cannot_be_written_is_said_before_anything_is_moved(self):
        batch, target, _ = self.into(["anna"], 3)
        batch.set("batch", "ledger", "users.csv/ledger")
        done = self.ends(batch.call("run"), 78)
        self.assertIn("users.csv/ledger: Not a directory; the key ledger of [batch] names it", done.err)
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
