"""Second copies that this program stored: noticed in each later run, told by verify, removed by tidy and nothing else."""

import re
import signal
import threading
import time

import exchange
import imap
import mail
from haul import DOMAIN, Case
from meddler import Meddler, Rule

ADDRESS = "anna@" + DOMAIN


class Late(Case):
    """A Dovecot that is given an APPEND when the test says so, long after its client was cut off."""

    MESSAGES = 3

    def begin(self, *rules, answers=None):
        self.late, self.lost = threading.Event(), Rule("^APPEND", late=lambda: self.late.is_set(), times=1)
        source = self.dovecot(["anna"])
        source.seed("anna", {("INBOX",): [mail.tiny(i) for i in range(self.MESSAGES)]})
        self.meddler = self._started(Meddler(self.target_for(["anna"]), [self.lost, *rules], answers))
        batch = self.batch(source, self.meddler, ["anna"])
        batch.sections["target"] = {"preset": "imap", "url": self.meddler.url(), "tls": "none",
                                    "settle-time": "200ms", "connections-per-mailbox": "1"}
        batch.set("policy", "retry-wait", "20ms")
        return batch

    def there(self):
        """{uid: Item} of the target's INBOX."""
        with self.meddler.connect(ADDRESS) as mailbox:
            return {item.uid: item for item in mailbox.read(("INBOX",))}

    def stored_late(self):
        """What was lost arrives: a second copy of each message."""
        before = set(self.there())
        self.late.set()
        while len(self.there()) < 2 * self.MESSAGES:
            time.sleep(0.05)
        return sorted(set(self.there()) - before)

    def doubled(self, *rules, **options):
        """(batch, UIDs of the second copies) after a run that knew nothing of them."""
        batch = self.begin(*rules, **options)
        self.ends(batch.call("run"), 0)
        return batch, self.stored_late()

    def user(self, batch):
        report = self.balanced(batch.report())
        self.assertEqual(report["totals"]["doubled"], sum(d["count"] for d in report["users"][0]["doubts"]))
        return report["users"][0]

    def doubts(self, batch):
        return [(d["type"], d["folder"], d["count"]) for d in self.user(batch)["doubts"]]

    def remarks(self, batch):
        return [p["text"] for f in self.user(batch)["folders"] for p in f["problems"] if p["type"] == "LateCopyRemoved"]

    def tidy(self, batch, code, *arguments):
        told = self.ends(batch.call("tidy", "--json", *arguments), code).json()
        self.assertEqual(told["schema"], "mailhaul.tidy.v1")
        return told["copies"]

    def change(self, command, *arguments):
        with self.meddler.connect(ADDRESS) as mailbox:
            mailbox.imap.select("INBOX")
            self.assertEqual(mailbox.imap.uid(command, *arguments)[0], "OK")

    # -- noticed --

    def test_each_later_run_looks_and_verify_names_it(self):
        batch = self.begin()
        for _ in range(3):  # the second finds nothing, and the third looks all the same
            self.ends(batch.call("run"), 0)
        self.stored_late()
        found = self.ends(batch.call("verify", "--json"), 3).json()["users"][0]
        self.assertEqual([(d["what"], d["type"]) for d in found["differences"]], [("doubled", "LateCopy")] * 3)
        self.ends(batch.call("run"), 4)
        self.assertEqual(self.doubts(batch), [("LateCopy", "INBOX", 3)])
        self.ends(batch.call("run"), 4)

    def test_a_killed_runs_message_that_comes_late_is_our_own(self):
        batch = self.begin()
        running = batch.start("run")
        while not self.lost.done:
            time.sleep(0.01)
        running.signal(signal.SIGKILL)
        running.wait()
        self.ends(batch.call("run"), 0)
        self.stored_late()
        self.ends(batch.call("run"), 4)
        self.assertEqual(self.doubts(batch), [("LateCopy", "INBOX", 3)])
        self.assertEqual([c["removed"] for c in self.tidy(batch, 0, "--remove")], [True] * 3)
        self.moved(batch)

    # -- removed --

    def test_told_then_removed_and_the_account_is_put_right(self):
        batch, late = self.doubled()
        before = self.there()
        copies = self.tidy(batch, 3)
        self.assertEqual([(c["uid"], c["removed"], c["why"]) for c in copies], [(uid, False, None) for uid in late])
        for copy in copies:
            self.assertEqual((copy["address"], copy["folder"]), (ADDRESS, "INBOX"))
            self.assertEqual(before[copy["uid"]].digest, before[copy["kept_uid"]].digest)
            self.assertRegex(copy["message_id"], "@")
        self.assertEqual(self.there(), before, "a list changes nothing")
        self.assertEqual(self.doubts(batch), [("LateCopy", "INBOX", 3)])
        copies = self.tidy(batch, 0, "--remove")
        self.assertEqual([(c["uid"], c["removed"]) for c in copies], [(uid, True) for uid in late])
        self.moved(batch)
        self.assertEqual(self.meddler.asked("^EXPUNGE|^CLOSE"), 0)
        for _ in range(2):
            self.assertEqual(self.doubts(batch), [])
            report = batch.report()
            self.assertEqual((report["totals"]["synced"], report["batch"]["exit_code"]), (1, 0))
            self.assertRegex(self.remarks(batch)[0], "^3 second copies")
            self.ends(batch.call("run"), 0)  # and the removal stays in the account
        self.assertEqual(self.tidy(batch, 0, "--remove"), [])

    def test_nobody_elses_mail_is_touched(self):
        """What was changed, marked, put there or moved by a person stays, and what has no other copy."""
        batch, late = self.doubled()
        read, alone, ours = late
        items = self.there()
        kept = next(u for u, i in items.items() if i.digest == items[alone].digest and u != alone)
        self.change("STORE", "%d" % read, "+FLAGS", "(\\Flagged)")
        with self.meddler.connect(ADDRESS) as mailbox:
            mailbox.append(("INBOX",), [mail.Message(mail.tiny(77).body, mail.tiny(77).date, ["\\Deleted"])])
        self.change("STORE", "%d" % kept, "+FLAGS", "(\\Deleted)")
        self.change("EXPUNGE", "%d" % kept)
        before = self.there()
        copies = self.tidy(batch, 3, "--remove")
        self.assertEqual({c["uid"]: c["removed"] for c in copies}, {read: False, ours: True})
        self.assertIn("flags", next(c["why"] for c in copies if c["uid"] == read))
        del before[ours]
        self.assertEqual(self.there(), before)
        self.assertEqual(self.doubts(batch), [("LateCopy", "INBOX", 1)])

    def test_a_copy_that_a_person_made_is_not_ours(self):
        """Of one that was sent once, and of one of which there are more than were sent."""
        batch = self.begin()
        self.ends(batch.call("run"), 0)
        new = [mail.tiny(50)]
        with batch.source.connect("anna") as mailbox:
            mailbox.append(("INBOX",), new)
        self.ends(batch.call("run"), 0)
        late = self.stored_late_beside(len(new))
        before = self.there()
        once = next(u for u, i in before.items() if mail.tiny(50).date == i.date)
        self.change("COPY", "%d" % once, "INBOX")
        self.change("COPY", "%d" % late[0], "INBOX")
        copies = self.tidy(batch, 3, "--remove")
        self.assertEqual(sorted(c["removed"] for c in copies), [False, False, True, True])
        self.assertEqual(len({c["why"] for c in copies if not c["removed"]}), 1)
        left = self.there()
        self.assertEqual(len([i for i in left.values() if i.date == mail.tiny(50).date]), 2)
        self.assertEqual(len([i for i in left.values() if i.digest == before[late[0]].digest]), 3)

    def stored_late_beside(self, others):
        before = set(self.there())
        self.late.set()
        while len(self.there()) < 2 * self.MESSAGES + others:
            time.sleep(0.05)
        return sorted(set(self.there()) - before)

    def test_without_uidplus_nothing_is_removed(self):
        batch, _ = self.doubled(answers=lambda line: re.sub(rb" UIDPLUS\b", b"", line))
        copies = self.tidy(batch, 3, "--remove")
        self.assertEqual([c["removed"] for c in copies], [False] * 3)
        self.assertIn("UIDPLUS", copies[0]["why"])
        self.assertEqual(self.meddler.asked("EXPUNGE|STORE"), 0)

    # -- broken off --

    def killed_at(self, batch, rule, *arguments):
        running = batch.start("tidy", "--remove", *arguments)
        while not rule.done:
            time.sleep(0.01)
        running.signal(signal.SIGKILL)
        running.wait()

    def test_killed_between_its_mark_and_the_removal(self):
        held = Rule("^UID EXPUNGE", until=lambda: False, times=1)
        batch, late = self.doubled(held)
        self.killed_at(batch, held)
        self.assertIn("\\deleted", self.there()[late[0]].flags)
        self.ends(batch.call("run"), 4)
        self.assertEqual([c["why"] for c in self.tidy(batch, 3)], [None] * 3)
        self.assertEqual([c["removed"] for c in self.tidy(batch, 0, "--remove")], [True] * 3)
        self.moved(batch)

    def test_killed_between_the_removal_and_the_journal(self):
        gone = Rule("^UID EXPUNGE", after=True, times=1, then=lambda: self.running.signal(signal.SIGKILL))
        batch, late = self.doubled(gone)
        self.running = batch.start("tidy", "--remove")
        self.running.wait()
        while late[0] in self.there():
            time.sleep(0.05)
        copies = self.tidy(batch, 3)
        self.assertEqual([(c["uid"], c["removed"]) for c in copies],
                         [(late[0], True), (late[1], False), (late[2], False)])
        self.assertRegex(self.remarks(batch)[0], "^1 second copy")
        self.tidy(batch, 0, "--remove")
        self.assertRegex(self.remarks(batch)[0], "^3 second copies")
        self.moved(batch)

    def test_a_connection_that_goes_at_the_removal(self):
        batch, _ = self.doubled(Rule("^UID EXPUNGE", after=True, times=1))
        self.assertEqual([c["removed"] for c in self.tidy(batch, 0, "--remove")], [True] * 3)
        self.moved(batch)

    def test_the_other_copy_goes_at_that_moment(self):
        """Between the mark and the removal: the mark is taken back, and the mail is there."""
        def removes():
            items = self.there()
            marked = self.late_uids[0]
            kept = next(u for u, i in items.items() if i.digest == items[marked].digest and u != marked)
            self.change("STORE", "%d" % kept, "+FLAGS", "(\\Deleted)")
            self.change("EXPUNGE", "%d" % kept)
            return True
        batch, self.late_uids = self.doubled(Rule("^UID STORE", until=removes, times=1))
        copies = self.tidy(batch, 3, "--remove")
        self.assertEqual([c["removed"] for c in copies], [False, True, True])
        items = self.there()
        self.assertEqual((len(items), items[self.late_uids[0]].flags & {"\\deleted"}), (3, set()))
        self.assertEqual(self.tidy(batch, 0), [])

    def test_beside_a_run_it_is_refused(self):
        batch = self.begin(Rule("^APPEND", until=lambda: self.late.is_set(), times=1))
        running = batch.start("run")
        while not self.lost.done:
            time.sleep(0.01)
        self.ends(batch.call("tidy", "--json"), 75)
        running.signal(signal.SIGTERM)
        running.wait()
        self.late.set()


class IntoExchange(exchange.Into):
    def test_removed_at_exchange(self):
        source = self.dovecot(["anna"], format="maildir", separator=".")
        source.seed("anna", {("INBOX",): [mail.tiny(i) for i in range(3)]})
        target = self._started(exchange.Exchange(
            [ADDRESS], **{"keep": "body", "plain-auth": "yes", "plain-password": "secret",
                          "fault": "point=last-byte action=close every=2 limit=1"}))
        batch = target.take(self.batch(source, target, ["anna"]))
        batch.set("target", "settle-time", "200ms").set("policy", "retry-wait", "20ms")
        self.ends(batch.call("run"), 0)
        with imap.Mailbox("localhost", target.imap_port, ADDRESS, "secret", target.ca) as mailbox:
            mailbox.append(("INBOX",), [mail.tiny(1)])  # the second that was sent, the newest first
        self.ends(batch.call("run"), 4)
        self.assertEqual(batch.report()["totals"]["doubled"], 1)
        copy, = self.ends(batch.call("tidy", "--json", "--remove"), 0).json()["copies"]
        self.assertTrue(copy["removed"], copy)
        self.assertEqual(len({m["sha256"] for m in target.messages(ADDRESS)}), len(target.messages(ADDRESS)))
        report = self.balanced(batch.report())
        self.assertEqual((report["totals"]["doubled"], report["users"][0]["state"]), (0, "IncrementalSynced"))
        self.ends(batch.call("run"), 0)
