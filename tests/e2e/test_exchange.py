"""Whole migrations into the simulated Exchange Online."""

import signal
import time

import exchange
import quirky
from haul import DOMAIN, lasting
from test_quirks import messages


class Exchange(exchange.Into):
    def arrived(self, batch, target, counts):
        """Every message once, and the account says so."""
        report = self.balanced(batch.report())
        self.assertEqual(report["totals"]["uploaded"] + report["totals"]["present"],
                         sum(counts.values()))
        self.each_once(target, counts)
        return report

    def test_all_mail_arrives_once_and_a_second_run_moves_nothing(self):
        batch, target, counts = self.into(["anna", "ben"], 40)
        self.ends(batch.call("run"), 0)
        self.arrived(batch, target, counts)
        before = target.stats()
        self.ends(batch.call("run"), 0)
        self.arrived(batch, target, counts)
        after = target.stats()
        self.assertEqual(before["appends"], after["appends"])
        self.assertEqual(after["appends_not_mail"], 0)

    def test_a_hidden_budget_is_obeyed_and_costs_no_message(self):
        batch, target, counts = self.into(
            ["anna"], 60, **{"mailbox-rate": 3, "mailbox-burst": 5, "mailbox-cutoff": 2,
                              "hint-ms": 1500, "hint-word": "both"})
        self.ends(batch.call("run"), 0)
        report = self.arrived(batch, target, counts)
        stats = target.stats()
        self.assertGreater(stats["throttled"], 0, "the budget was never met")
        self.assertEqual(stats["violations"], 0)
        self.assertEqual(report["totals"]["failed"], 0)
        self.assertEqual(report["totals"]["throttled"], stats["throttled"])

    @lasting
    def test_tokens_that_end_amid_the_run_are_routine(self):
        users = ["anna", "ben", "cora"]
        batch, target, counts = self.into(users, 30, **{"token-life-s": 6, "append-ms": 400})
        self.ends(batch.call("run"), 0)
        report = self.arrived(batch, target, counts)
        # One token serves all mailboxes, and each gets through the run on several, one after another.
        self.assertGreaterEqual(target.stats()["tokens"], 4, "too few tokens: little was tried")
        self.assertEqual([u["failures"] for u in report["users"]], [[], [], []])
        self.assertEqual((report["totals"]["failed"], report["totals"]["throttled"]), (0, 0))

    def test_a_wrong_secret_ends_with_advice(self):
        batch, target, _ = self.into(["anna"], 3)
        target.set("token-aadsts", 7000215)
        target.set("token-errors", 1000)
        done = self.ends(batch.call("run"), 77)
        report = batch.report()
        failure = report["users"][0]["failures"][0]
        self.assertEqual(failure["type"], "TokenFailed")
        self.assertIn("7000215", failure["server_text"])
        self.assertIn("secret", failure["advice"])
        self.assertNotIn(exchange.SECRET, done.out + done.err)

    def test_no_right_on_a_mailbox_fails_that_user_alone(self):
        batch, target, counts = self.into(["anna", "ben"], 20)
        target.set("mailbox", "ben@%s,permitted=no" % DOMAIN)
        self.ends(batch.call("run"), 3)
        report = self.balanced(batch.report())
        states = {u["address"]: u["state"] for u in report["users"]}
        self.assertEqual(states, {"anna@" + DOMAIN: "Synced", "ben@" + DOMAIN: "Failed"})
        self.assertEqual(len(target.messages("anna@" + DOMAIN)), counts["anna@" + DOMAIN])

    def test_a_message_over_the_mailbox_limit_costs_that_message(self):
        batch, target, counts = self.into(["anna"], 40, **{"message-bytes-max": 30000})
        done = batch.call("run")
        self.assertIn(done.code, (0, 3), str(done))
        report = self.balanced(batch.report())
        totals = report["totals"]
        self.assertEqual(totals["uploaded"] + totals["failed"] + totals["skipped"], totals["found"])

    @lasting
    def test_connections_cut_at_every_point_of_an_append(self):
        for point in ("before-plus", "mid-literal", "last-byte", "stored", "delayed", "ok"):
            with self.subTest(point=point):
                batch, target, counts = self.into(
                    ["anna"], 8,
                    fault="point=%s action=reset every=5 limit=2 delay=200" % point)
                batch.set("target", "settle-time", "1s")
                self.ends(batch.call("run"), 0)
                self.arrived(batch, target, counts)
                self.assertGreater(target.stats()["faults"], 0)

    def test_what_a_killed_run_sent_last_is_waited_for_from_the_next_runs_start(self):
        """Nobody knows when a killed run sent its last: its last commit may be older."""
        batch, target, counts = self.into(["anna"], 1,
                                          fault="point=delayed action=hang limit=1 delay=5500")
        batch.set("target", "settle-time", "2s")
        running = batch.start("run")
        while target.stats()["faults"] == 0 and not running.ended():
            time.sleep(0.02)
        running.signal(signal.SIGKILL)
        running.wait()
        time.sleep(3)
        self.ends(batch.call("run"), 0)
        self.arrived(batch, target, counts)

    def test_only_mail_goes_in_and_only_the_flags_that_exchange_keeps(self):
        """Folders that Exchange has for other things, or keeps the names of, are never written to:
        theirs gets another name. $MDNSent, which would show as a category, is dropped."""
        others = ["Calendar", "Contacts", "Notes", "Tasks", "Journal", "Outbox", "Files"]
        flags = ("\\Seen", "\\Flagged", "$MDNSent", "$Forwarded", "Work")
        folders = {"INBOX": [quirky.Mail(m.uid, m.body, m.date, flags) for m in messages(3)],
                   "Work/Files": messages(1), **{name: messages(2) for name in others}}
        source = self._started(quirky.Quirky({"anna": folders}))
        address = "anna@" + DOMAIN
        target = self._started(exchange.Exchange([address]))
        batch = target.take(self.batch(source, target, ["anna"]))
        del batch.sections["source"]["tls-ca"]
        batch.set("source", "tls", "none")
        self.ends(batch.call("run"), 0)
        report = self.arrived(batch, target, {address: 3 + 1 + 2 * len(others)})
        there = target.messages(address)
        self.assertEqual({m["folder"] for m in there},
                         {"INBOX", "Work/Files", *("%s (IMAP)" % name for name in others)})
        self.assertEqual(target.stats()["appends_not_mail"], 0)
        seen, flagged = 1, 4
        self.assertEqual({m["flags"] for m in there if m["folder"] == "INBOX"}, {seen | flagged})
        self.assertEqual(target.stats()["errors"], 0, "no flag was refused")
        renamed = {f["source"]: f["target"] for f in report["users"][0]["folders"]
                   for p in f["problems"] if p["type"] == "ReservedName"}
        self.assertEqual(renamed, {name: "%s (IMAP)" % name for name in others})
