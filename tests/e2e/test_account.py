"""The account of a batch is true: nobody is Synced unproven, and no run leaves an account that does
not balance (haul.Batch checks that after every run of every test)."""

import csv
import datetime
import mailbox
import os
import pty
import signal
import subprocess
import time
import unittest

import exchange
import haul
import mail
from haul import Case, DOMAIN, lasting
from meddler import Meddler, Rule


class Account(Case):
    def meddled_target(self, *rules, messages=6):
        """(batch, meddler): anna's mail through a meddler into a Dovecot."""
        source = self.dovecot(["anna"], format="maildir", separator=".")
        source.seed("anna", {("INBOX",): [mail.tiny(i) for i in range(1, messages + 1)],
                             ("Work",): [mail.tiny(100)]})
        meddler = self._started(Meddler(self.target_for(["anna"]), list(rules)))
        batch = self.batch(source, meddler, ["anna"])
        # One connection: a target that is slow, as on a busy machine, gets a second one, and the order is another.
        batch.sections["target"] = {"preset": "imap", "url": meddler.url(), "tls": "none",
                                    "connections-per-mailbox": "1"}
        batch.set("policy", "retry-wait", "20ms")
        return batch, meddler

    def user(self, batch):
        return self.balanced(batch.report())["users"][0]


class Exists(Account):
    """CREATE is refused because the folder exists."""

    def test_another_that_differs_by_case_only_is_not_the_folder(self):
        batch, meddler = self.meddled_target(Rule(r'CREATE "?Work"?$', answer="NO [ALREADYEXISTS] Mailbox exists", times=1))
        with batch.target.connect("anna@" + DOMAIN) as mailbox:
            mailbox.create(("WORK",))
            mailbox.append(("WORK",), [mail.tiny(500)])
        self.ends(batch.call("run"), 3)
        user = self.user(batch)
        self.assertEqual(user["failure"], "FolderNameClash", user["failures"])
        self.assertIn('takes it for "WORK"', "".join(f["server_text"] for f in user["failures"]))
        with batch.target.connect("anna@" + DOMAIN) as mailbox:
            self.assertEqual(len(mailbox.uids(("WORK",))), 1)
            self.assertEqual(len(mailbox.uids(("INBOX",))), 6)
            self.assertEqual(mailbox.imap.rename("WORK", "Older")[0], "OK")
        self.ends(batch.call("retry"), 0)
        with batch.target.connect("anna@" + DOMAIN) as mailbox:
            self.assertEqual([len(mailbox.uids((name,))) for name in ("Older", "Work")], [1, 1])

    def test_the_folder_itself_that_somebody_made_meanwhile(self):
        def make():
            with batch.target.connect("anna@" + DOMAIN) as mailbox:
                mailbox.create(("Work",))
            return True

        batch, meddler = self.meddled_target(Rule(r'CREATE "?Work"?$', until=make, times=1))
        self.ends(batch.call("run"), 0)
        self.assertEqual(sum("CREATE" in line for line in meddler.lines), 1, meddler.lines)
        self.assertTrue(any(line.startswith("LIST") and "Work" in line for line in meddler.lines), meddler.lines)
        with batch.target.connect("anna@" + DOMAIN) as mailbox:
            self.assertEqual(len(mailbox.uids(("Work",))), 1)


class Other(Account):
    """A state folder belongs to one target."""

    def test_a_server_of_which_there_is_no_mail_is_no_news(self):
        source = self.dovecot(["anna"])
        source.seed("anna", {("INBOX",): [mail.tiny(1)]})
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        right = {side: batch.sections[side]["url"] for side in ("source", "target")}
        for side, url in right.items():
            batch.sections[side]["url"] = url.replace("localhost", "127.0.0.1")
        batch.passwords["anna"] = "not this one"
        self.ends(batch.call("run"), 77)
        for side, url in right.items():
            batch.sections[side]["url"] = url
        batch.passwords.clear()
        done = self.ends(batch.call("run"), 0)
        self.assertNotIn("warning", done.err)
        self.moved(batch)

    def test_another_server_is_told(self):
        source = self.dovecot(["anna"])
        source.seed("anna", {("INBOX",): [mail.tiny(i) for i in range(6)], ("Work",): [mail.tiny(10)]})
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        self.ends(batch.call("run"), 0)
        first = batch.target
        # Nothing new; then something new, which goes to the other one: neither says that all is there.
        batch.target = self.target_for(["anna"])
        batch.sections["target"].update({"url": batch.target.url(True), "tls-ca": batch.target.ca})
        for new in (0, 1):
            with source.connect("anna") as mailbox:
                mailbox.append(("INBOX",), [mail.tiny(100 + i) for i in range(new)])
            done = self.ends(batch.call("run"), 3)
            self.assertIn("name another state folder", done.err)
            self.assertIn("localhost:%d" % first.port_tls, done.err)
            self.assertEqual(self.user(batch)["failure"], "TargetCountDiffers")
        self.ends(batch.call("retry"), 3)
        # The first one again, under another name, and with more than it had, is no other.
        batch.sections["target"].update({"url": first.url(True).replace("localhost", "127.0.0.1"),
                                         "tls-ca": first.ca})
        batch.target, there = first, batch.target
        batch.sections["batch"]["state"] = "new.state"
        batch.state = os.path.join(batch.folder, "new.state")
        self.ends(batch.call("run"), 0)
        self.moved(batch)
        # Which of the two it is nobody can know but the administrator, who is told, until all is moved there.
        other = "was moved to 127.0.0.1:%d, and the target is localhost:%d now" % (
            first.port_tls, first.port_tls)
        batch.sections["target"]["url"] = first.url(True)
        self.assertIn(other, self.ends(batch.call("verify"), 0).err)
        for told in (True, False):
            done = self.ends(batch.call("run"), 0)
            self.assertEqual(other in done.err, told, done.err)
            self.moved(batch)
        other = "was read from localhost:%d, and the source is 127.0.0.1:%d now" % (
            source.port_tls, source.port_tls)
        batch.sections["source"]["url"] = source.url(True).replace("localhost", "127.0.0.1")
        for told in (True, False):
            done = self.ends(batch.call("run"), 0)
            self.assertEqual(other in done.err, told, done.err)
        # A folder belongs to one batch too: another's name is told, once.
        batch.set("batch", "name", "other")
        for told in (True, False):
            done = self.ends(batch.call("run"), 0)
            self.assertEqual('was of the batch "night-1" so far, and this one is "other"' in done.err, told, done.err)


class Proof(Account):
    """After the last upload the target is asked for its own count."""

    # The listing at the start asks LIST with STATUS in it. A folder that was made is asked before the
    # first upload into it too; of INBOX, which is there, a STATUS command is the proof.
    ASKS = r"^STATUS .*\(MESSAGES UIDNEXT UIDVALIDITY\)$"
    INBOX = r"^STATUS \"?INBOX\"? \(MESSAGES UIDNEXT UIDVALIDITY\)$"

    def test_a_lost_connection_is_no_proof(self):
        batch, meddler = self.meddled_target(Rule(self.ASKS, close=True, times=1))
        self.ends(batch.call("run"), 0)
        self.assertEqual(meddler.rules[0].done, 1)
        self.assertGreaterEqual(meddler.asked(self.ASKS), 2, "it was asked again")
        self.assertEqual(self.user(batch)["state"], "Synced")
        self.moved(batch)

    def test_a_target_that_never_answers_leaves_the_user_unproven(self):
        batch, meddler = self.meddled_target(Rule(self.INBOX, close=True))
        batch.set("policy", "transient-failure-limit", "5")
        self.ends(batch.call("run"), 3)
        user = self.user(batch)
        self.assertEqual((user["state"], user["failure"]), ("Failed", "TooManyTransientFailures"))
        self.assertEqual(user["uploaded"], 7, "everything arrived all the same")
        meddler.rules.clear()
        # What an earlier run uploaded is proven by the next one, which has nothing to send.
        self.ends(batch.call("run"), 0)
        self.assertEqual(meddler.asked(self.INBOX), 5 + 1)
        self.assertEqual(self.user(batch)["state"], "Synced")
        self.moved(batch)
        # And once proven, it is not asked again.
        meddler.lines.clear()
        self.ends(batch.call("run"), 0)
        self.assertEqual(meddler.asked(self.ASKS), 0)

    def test_a_target_with_nothing_to_take_is_left_alone(self):
        batch, meddler = self.meddled_target()
        self.ends(batch.call("run"), 0)
        meddler.lines.clear()
        self.ends(batch.call("run"), 0)
        self.assertEqual(meddler.lines, [], "nothing is new: no login")
        self.assertEqual(self.user(batch)["state"], "IncrementalSynced")
        self.moved(batch)
        with batch.source.connect("anna") as mailbox:
            mailbox.create(("Later",))
        self.ends(batch.call("run"), 0)
        self.assertEqual(meddler.asked("^CREATE"), 1, "a new folder without mail is new, too")
        with batch.source.connect("anna") as mailbox:
            mailbox.append(("Work",), [mail.tiny(101)])
        self.ends(batch.call("run"), 0)
        self.assertEqual(meddler.asked("^APPEND"), 1)
        self.moved(batch)
        self.assertEqual(self.user(batch)["uploaded"], 8)
        meddler.lines.clear()
        with batch.source.connect("anna") as mailbox:
            mailbox.imap.select("INBOX")
            mailbox.imap.uid("STORE", "1:2", "+FLAGS", "(\\Deleted)")
            mailbox.imap.expunge()
        self.ends(batch.call("run"), 0)
        self.assertEqual(meddler.lines, [], "the folder was read, but nothing in it is new")

    def test_a_refused_question_is_asked_in_another_way(self):
        batch, meddler = self.meddled_target(Rule(self.ASKS, "NO STATUS is switched off"))
        self.ends(batch.call("run"), 0)
        self.assertGreaterEqual(meddler.asked("^EXAMINE"), 2)

    def test_an_answer_without_a_number_is_no_proof(self):
        batch, meddler = self.meddled_target(Rule(self.INBOX, "OK nothing to say"),
                                             Rule("^EXAMINE \"?INBOX", "NO not today"))
        self.ends(batch.call("run"), 4)
        user = self.user(batch)
        self.assertEqual((user["state"], user["failure"]), ("SyncedWithDoubts", None))
        self.assertEqual([(d["type"], d["folder"]) for d in user["doubts"]], [("TargetNotCounted", "INBOX")])
        # The doubt is looked at again, though the source has nothing new.
        self.ends(batch.call("run"), 4)
        self.assertEqual(self.user(batch)["state"], "SyncedWithDoubts")
        meddler.rules.clear()
        self.ends(batch.call("run"), 0)
        self.assertEqual((self.user(batch)["state"], self.user(batch)["doubts"]), ("IncrementalSynced", []))

    def test_a_busy_target_is_asked_again(self):
        batch, meddler = self.meddled_target(
            Rule(self.INBOX, "NO [UNAVAILABLE] busy, try again", times=3),
            Rule("^EXAMINE \"?INBOX", "NO [UNAVAILABLE] busy, try again", times=3))
        self.ends(batch.call("run"), 0)
        self.assertEqual([r.done for r in meddler.rules], [3, 3])

    def test_a_target_that_counts_fewer_is_told_until_it_is_looked_at(self):
        batch, _ = self.lacking([])
        self.ends(batch.call("run"), 0)
        self.assertEqual(self.user(batch)["state"], "Synced")
        self.moved(batch)

    def lacking(self, uids, messages=None):
        """(batch, meddler): INBOX was moved, the target counts too few, and a person deletes these there."""
        batch, meddler = self.meddled_target()
        if messages:
            with batch.source.connect("anna") as mailbox:
                mailbox.append(("INBOX",), messages)
        meddler.rules += [Rule(r"^STATUS \"?INBOX\"? \(MESSAGES UIDNEXT UIDVALIDITY\)", "OK done",
                               untagged=["* STATUS INBOX (MESSAGES 4)"]),
                          Rule(r"^EXAMINE \"?INBOX", "OK done", untagged=["* 4 EXISTS"])]
        for _ in range(2):
            self.ends(batch.call("run"), 3)
            user = self.user(batch)
            self.assertEqual(user["failure"], "TargetCountDiffers")
            self.assertIn("counts 4 messages, %d were" % (6 + len(messages or ())),
                          user["failures"][0]["server_text"])
        meddler.rules.clear()
        self.delete(batch.target.server, "anna@" + DOMAIN, uids)
        return batch, meddler

    def delete(self, server, user, uids):
        with server.connect(user) as mailbox:
            mailbox.imap.select("INBOX")
            for uid in uids:
                mailbox.imap.uid("STORE", str(uid), "+FLAGS", "(\\Deleted)")
            mailbox.imap.expunge()

    def problems(self, user):
        return [p["type"] for f in user["folders"] for p in f["problems"]]

    def test_a_retry_moves_again_what_is_not_there(self):
        # Two of the same mail: one of them is gone.
        batch, _ = self.lacking([2, 8], [mail.tiny(7), mail.tiny(7)])
        self.ends(batch.call("run"), 3)
        self.ends(batch.call("retry"), 0)
        self.moved(batch)
        user = self.user(batch)
        self.assertEqual((user["state"], user["uploaded"], user["doubts"]), ("Synced", 9, []))
        self.assertIn("MovedAgain", self.problems(user))
        self.ends(batch.call("verify"), 0)

    def test_a_lower_count_is_taken_for_who_is_named_only(self):
        batch, meddler = self.lacking([2, 3])
        self.ends(batch.call("retry", "--accept-counts", "nobody@" + DOMAIN), 64)
        self.ends(batch.call("run"), 3)
        meddler.lines.clear()
        self.ends(batch.call("retry", "--accept-counts", "Anna@" + DOMAIN.upper()), 4)
        for code in (4, None):
            if code:
                self.ends(batch.call("run"), code)
            user = self.user(batch)
            self.assertEqual((user["state"], user["uploaded"]), ("SyncedWithDoubts", 7))
            self.assertEqual([(d["type"], d["folder"], d["count"]) for d in user["doubts"]],
                             [("TargetHoldsLess", "INBOX", 2)])
        self.assertEqual(meddler.asked("^APPEND"), 0)

    def test_a_look_that_is_told_no_number_is_none(self):
        batch, meddler = self.lacking([])
        # It opens, and does not say what it holds.
        meddler.rules.append(Rule(r"^EXAMINE \"?INBOX", "OK done", untagged=["* FLAGS ()"], times=2))
        self.ends(batch.call("retry"), 0)
        self.assertEqual((meddler.rules[0].done, meddler.asked("^APPEND")), (2, 2))
        self.moved(batch)

    def test_who_was_taken_as_he_is_goes_on(self):
        for uids in ([2, 3], [1, 2, 3, 4, 5, 6]):
            with self.subTest(uids=uids):
                batch, _ = self.lacking(uids)
                self.ends(batch.call("retry", "--accept-counts", "anna@" + DOMAIN), 4)
                for new in range(2):
                    with batch.source.connect("anna") as mailbox:
                        mailbox.append(("INBOX",), [mail.tiny(50 + new)])
                    self.ends(batch.call("run"), 4)
                    user = self.user(batch)
                    self.assertEqual((user["state"], user["uploaded"]), ("SyncedWithDoubts", 8 + new))
                    self.assertEqual([(d["type"], d["folder"], d["count"]) for d in user["doubts"]],
                                     [("TargetHoldsLess", "INBOX", len(uids))])

    def test_what_neither_side_has_any_more_is_in_doubt(self):
        batch, _ = self.lacking([2, 3])
        self.delete(batch.source, "anna", [2])
        self.ends(batch.call("retry"), 4)
        for _ in range(2):
            user = self.user(batch)
            self.assertEqual((user["state"], user["uploaded"], user["skipped"]), ("SyncedWithDoubts", 6, 1))
            self.assertEqual([(d["type"], d["folder"], d["count"]) for d in user["doubts"]],
                             [("TargetHoldsLess", "INBOX", 1)])
            self.ends(batch.call("run"), 4)

    def test_a_run_stopped_before_the_proof_is_proven_by_the_next(self):
        batch, meddler = self.meddled_target()
        meddler.rules += [Rule(self.ASKS, "NO [UNAVAILABLE] busy"),
                          Rule("^EXAMINE", "NO [UNAVAILABLE] busy")]
        batch.set("policy", "retry-wait", "1s")
        run = batch.start("run")
        while not run.ended() and not all(meddler.asked("^EXAMINE \"?" + name) for name in ("INBOX", "Work")):
            time.sleep(0.01)
        run.signal(signal.SIGTERM)
        self.ends(run.wait(), 2)
        user = self.user(batch)
        self.assertEqual((user["state"], user["uploaded"]), ("Stopped", 7))
        meddler.rules.clear()
        before = meddler.asked(self.ASKS)
        self.ends(batch.call("run"), 0)
        self.assertEqual(meddler.asked(self.ASKS) - before, 2)
        self.moved(batch)


class Lacking(Account):
    """A count that agrees, or is not asked for, proves nothing where others have been."""

    ASKS = r"^STATUS \"?INBOX\"? \(MESSAGES UIDNEXT UIDVALIDITY\)"
    ADDRESS = "anna@" + DOMAIN

    def there(self, batch):
        return batch.target.server.connect(self.ADDRESS)

    def delete(self, batch, uids):
        with self.there(batch) as mailbox:
            mailbox.imap.select("INBOX")
            mailbox.imap.uid("STORE", uids, "+FLAGS", "(\\Deleted)")
            mailbox.imap.expunge()

    def new(self, batch, serial, path=("INBOX",)):
        with batch.source.connect("anna") as mailbox:
            mailbox.append(path, [mail.tiny(serial)])

    def doubts(self, user):
        return [(d["type"], d["folder"], d["count"]) for d in user["doubts"]]

    def test_one_that_is_gone_beside_one_that_was_delivered(self):
        batch, meddler = self.meddled_target()

        def swap():
            self.delete(batch, "3")
            with self.there(batch) as mailbox:
                mailbox.append(("INBOX",), [mail.tiny(900)])
            return True

        meddler.rules.append(Rule(self.ASKS, until=swap, times=1))
        self.ends(batch.call("run"), 3)
        user = self.user(batch)
        self.assertEqual((user["state"], user["failure"]), ("Failed", "TargetCountDiffers"))
        self.assertIn("1 messages that were there or answered OK are not there", user["failures"][0]["server_text"])
        self.ends(batch.call("retry"), 0)
        self.assertEqual((self.user(batch)["state"], self.user(batch)["uploaded"]), ("Synced", 7))
        verify = self.ends(batch.call("verify", "--json"), 0).json()["users"][0]
        self.assertEqual((verify["grade"], verify["target"]), ("Perfect", 8))

    def test_what_others_deliver_is_no_fault(self):
        batch, meddler = self.meddled_target()

        def deliver():
            with self.there(batch) as mailbox:
                mailbox.append(("INBOX",), [mail.tiny(900)])
            return True

        meddler.rules.append(Rule(self.ASKS, until=deliver, times=1))
        self.ends(batch.call("run"), 0)
        # The UIDs prove it; of headers only the stranger's is asked for, which might be a second copy.
        self.assertEqual((meddler.asked("^UID SEARCH"), meddler.asked("^UID FETCH"), meddler.asked(r"^UID FETCH \d+ ")),
                         (2, 1, 1))

    def test_a_target_that_was_emptied_before_the_user_was_done(self):
        batch, meddler = self.meddled_target()
        meddler.rules += [Rule(self.ASKS, "OK done", untagged=["* STATUS INBOX (MESSAGES 4)"]),
                          Rule(r"^EXAMINE \"?INBOX", "OK done", untagged=["* 4 EXISTS"])]
        self.ends(batch.call("run"), 3)
        meddler.rules.clear()
        self.delete(batch, "1:6")
        self.new(batch, 50)
        self.ends(batch.call("run"), 3)
        user = self.user(batch)
        self.assertEqual((user["state"], user["failure"]), ("Failed", "TargetCountDiffers"))
        self.assertEqual(self.doubts(user), [("TargetHoldsLess", "INBOX", 6)])
        self.ends(batch.call("retry"), 0)
        self.assertEqual((self.user(batch)["state"], self.doubts(self.user(batch))), ("Synced", []))
        self.moved(batch)

    def test_a_target_that_lacks_mail_after_the_user_was_done(self):
        batch, _ = self.meddled_target()
        self.ends(batch.call("run"), 0)
        self.delete(batch, "2:3")
        self.new(batch, 50)
        self.ends(batch.call("run"), 4)
        user = self.user(batch)
        self.assertEqual((user["state"], self.doubts(user)), ("SyncedWithDoubts", [("TargetHoldsLess", "INBOX", 2)]))
        self.delete(batch, "1:*")
        self.new(batch, 51)
        for _ in range(2):
            self.ends(batch.call("run"), 3)
            self.assertEqual(self.user(batch)["failure"], "TargetCountDiffers")
        self.ends(batch.call("retry"), 0)
        self.moved(batch)

    def test_mail_that_was_put_back_is_no_doubt_any_more(self):
        batch, _ = self.meddled_target()
        self.ends(batch.call("run"), 0)
        with self.there(batch) as mailbox:
            mailbox.imap.create("Aside")
            mailbox.imap.select("INBOX")
            mailbox.imap.uid("MOVE", "2:3", "Aside")
        self.new(batch, 50)
        self.ends(batch.call("run"), 4)
        with self.there(batch) as mailbox:
            mailbox.imap.select("Aside")
            mailbox.imap.uid("MOVE", "1:2", "INBOX")
        self.new(batch, 51)
        self.ends(batch.call("run"), 0)
        self.assertEqual(self.doubts(self.user(batch)), [])

    def test_a_folder_that_is_removed_midway(self):
        batch, meddler = self.meddled_target()
        with batch.source.connect("anna") as mailbox:
            mailbox.append(("Work",), [mail.tiny(1000 + i) for i in range(200)])
        meddler.rules.append(Rule("^APPEND \"?Work", until=lambda: self.removed(batch), skip=1, times=1))
        self.ends(batch.call("run"), 0)
        self.assertEqual(meddler.rules[0].done, 1)
        self.moved(batch)

    def removed(self, batch):
        with self.there(batch) as mailbox:
            mailbox.imap.delete("Work")
        return True

    def test_a_copy_that_is_stored_late_is_told(self):
        batch, meddler = self.meddled_target(messages=1)
        batch.set("target", "settle-time", "200ms")

        def again():
            return meddler.asked("^APPEND \"?INBOX") > 1

        def doubled():
            with self.there(batch) as mailbox:
                return not again() or len(mailbox.uids(("INBOX",))) == 2

        meddler.rules += [Rule("^APPEND \"?INBOX", late=again, times=1),
                          Rule("^EXAMINE \"?INBOX", until=doubled)]
        self.ends(batch.call("run"), 4)
        self.assertEqual(self.doubts(self.user(batch)), [("LateCopy", "INBOX", 1)])
        self.assertEqual(batch.report()["totals"]["doubled"], 1)
        self.ends(batch.call("run"), 4)
        self.delete(batch, "2")
        meddler.rules.clear()
        self.ends(batch.call("run"), 0)
        self.assertEqual(self.doubts(self.user(batch)), [])


class Times(Case):
    """The time account of the report, and what is shown meanwhile."""

    def slow(self, users=("anna", "ben")):
        source = self.dovecot(list(users), format="maildir", separator=".")
        for user in users:
            source.seed(user, {("INBOX",): [mail.tiny(i) for i in range(40)]})
        target = self._started(exchange.Exchange(
            ["%s@%s" % (u, DOMAIN) for u in users],
            **{"mailbox-rate": 3, "mailbox-burst": 5, "mailbox-cutoff": 2, "hint-ms": 1500,
               "hint-word": "both"}))
        return target.take(self.batch(source, target, list(users)))

    def test_the_parts_are_the_whole(self):
        batch = self.slow()
        self.ends(batch.call("run"), 0)
        report = batch.report()
        for user in report["users"]:
            times = {k: v for k, v in user["time"].items() if k.endswith("_s")}
            begin, end = (datetime.datetime.fromisoformat(user[k].replace("Z", "+00:00"))
                          for k in ("started", "finished"))
            wall = (end - begin).total_seconds()
            # The ends are told in whole seconds.
            self.assertLessEqual(abs(sum(times.values()) - wall), 1.1, (times, wall))
            self.assertGreater(times["throttled_s"], 0)
            moving = times["source_s"] + times["target_s"]
            self.assertAlmostEqual(user["time"]["efficiency"],
                                   moving / (sum(times.values()) - times["idle_s"]), places=2)
        for key, value in report["totals"]["time"].items():
            if key.endswith("_s"):
                self.assertAlmostEqual(value, sum(u["time"][key] for u in report["users"]), places=1)

    def stalls(self, batch, side):
        """What the report says stalled on that side; all of its forms say the same."""
        report = self.balanced(batch.report())
        for one in (report["totals"], report["users"][0]):
            for name in ("source", "target"):
                self.assertAlmostEqual(one["time"]["stalled_%s_s" % name],
                                       sum(one["stalled_by"][name].values()), places=1)
        status = self.ends(batch.call("status", "--json"), 0).json()
        self.assertEqual(status["users"][0]["stalled_by"], report["users"][0]["stalled_by"])
        return set(report["totals"]["stalled_by"][side])

    @lasting
    def test_what_stalled_has_a_side_and_a_cause(self):
        cases = (
            ("target", Rule("^APPEND", wait=7, times=1), "SlowAnswer"),
            ("target", Rule("^CREATE", "NO [UNAVAILABLE] busy", times=1), "Retry"),
            ("target", Rule("^APPEND", after=True, times=1), "LostAnswer"),
            ("source", Rule("^UID FETCH", wait=7, times=1), "SlowAnswer"),
            ("source", Rule("^UID FETCH", close=True, times=2), "Reconnect"),
            ("source", Rule("^(LOGIN|AUTHENTICATE)", "NO [LIMIT] too many connections", times=1),
             "ConnectionLimit"))
        users = ["u%d" % i for i in range(len(cases))]
        source = self.dovecot(users, format="maildir", separator=".")
        target = self.target_for(users)
        for user, (side, rule, cause) in zip(users, cases):
            with self.subTest(side=side, cause=cause):
                source.seed(user, {("INBOX",): [mail.tiny(i) for i in range(6)],
                                   ("Work",): [mail.tiny(100)]})
                meddler = self._started(Meddler(target if side == "target" else source, [rule]))
                batch = self.batch(source if side == "target" else meddler,
                                   meddler if side == "target" else target, [user])
                batch.sections[side] = {"url": meddler.url(), "tls": "none"}
                if side == "target":
                    batch.sections[side].update({"preset": "imap", "settle-time": "2s"})
                batch.set("source", "connections-per-user", "1")
                batch.set("policy", "retry-wait", "1s")
                done = self.ends(batch.call("run"), 0)
                self.assertIn(cause, self.stalls(batch, side))
                self.assertIn("by the %s: " % side, done.err)
                self.assertIn("(%s)" % cause, done.err)
                self.moved(batch)

    def test_the_rate_that_is_allowed_is_a_cause(self):
        """Of a tenant that never throttled, so that nothing else holds anybody back."""
        users = ["u%d" % i for i in range(4)]
        source = self.dovecot(users, format="maildir", separator=".")
        for user in users:
            source.seed(user, {("INBOX",): [mail.tiny(i) for i in range(12)]})
        target = self._started(exchange.Exchange(["%s@%s" % (u, DOMAIN) for u in users]))
        batch = target.take(self.batch(source, target, users))
        self.ends(batch.call("run"), 0)
        self.assertIn("Pace", self.stalls(batch, "target"))
        self.assertEqual(batch.report()["totals"]["throttled"], 0)

    def test_a_token_that_is_slow_to_come_is_a_cause(self):
        source = self.dovecot(["anna"], format="maildir", separator=".")
        source.seed("anna", {("INBOX",): [mail.tiny(i) for i in range(3)]})
        target = self._started(exchange.Exchange(["anna@" + DOMAIN], **{"token-ms": 4000}))
        batch = target.take(self.batch(source, target, ["anna"]))
        self.ends(batch.call("run"), 0)
        self.assertIn("Token", self.stalls(batch, "target"))

    def test_another_users_first_login_is_a_cause(self):
        """The administrator's password is tried for one user, and the others wait for that."""
        users = ["anna", "ben", "cora"]
        source = self.dovecot(users, format="maildir", separator=".", masters={"root": "all of them"})
        for user in users:
            source.seed(user, {("INBOX",): [mail.tiny(i) for i in range(3)]})
        meddler = self._started(Meddler(source, [Rule("^(LOGIN|AUTHENTICATE)", wait=4, times=1)]))
        batch = self.batch(source, self.target_for(users), users)
        batch.sections["source"] = {"url": meddler.url(), "tls": "none", "auth": "plain", "admin-user": "root",
                                    "admin-password-file": "admin"}
        batch.passwords = {u: "" for u in users}
        with open(os.open(os.path.join(batch.folder, "admin"), os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
            f.write("all of them\n")
        self.ends(batch.call("run"), 0)
        self.assertIn("FirstLogin", self.stalls(batch, "source"))
        waited = [u["stalled_by"]["source"].get("FirstLogin", 0) for u in batch.report()["users"]]
        self.assertEqual(sum(w == 0 for w in waited), 1, "the one who tried it did not wait")
        self.moved(batch)

    @unittest.skipIf(os.environ.get("MAILHAUL_SANITIZED"), "a sanitizer wants to be loaded first")
    def test_a_slow_disk_is_a_cause(self):
        """The disk takes seconds for what LMDB wants written; the source gives more meanwhile."""
        library = os.path.join(self.folder, "slow_disk.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library,
                        os.path.join(mail.ROOT, "tests", "support", "slow_disk.c")], check=True)
        source = self.dovecot(["anna"], format="maildir", separator=".")
        source.seed("anna", {("INBOX",): [mail.big(i, 1500000) for i in range(30)]})
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        batch.set("batch", "memory-max", "64MB")
        batch.environment = {"LD_PRELOAD": library}
        self.ends(batch.call("run"), 0)
        batch.environment = {}
        self.assertIn("Disk", self.stalls(batch, "target"))
        self.moved(batch)

    def test_a_full_spool_stalls_who_has_nothing_to_upload(self):
        users = ["anna", "ben", "cora", "dora"]
        source = self.dovecot(users, format="maildir", separator=".")
        for k, user in enumerate(users):
            source.seed(user, {("INBOX",): [mail.big(k * 10 + i, 3000000) for i in range(3)]})
        limit = time.monotonic() + 100

        def told():
            """The target takes nothing before the time account has it, however slow this machine is."""
            done = batch.call("report", "--json", write=False)
            return time.monotonic() > limit or (
                done.code == 0 and "SpoolFull" in done.json()["totals"]["stalled_by"]["target"])

        meddler = self._started(Meddler(self.target_for(users), [Rule("^APPEND", until=told)]))
        batch = self.batch(source, meddler, users)
        batch.sections["target"] = {"preset": "imap", "url": meddler.url(), "tls": "none"}
        batch.set("batch", "spool-max", "4MB")
        # One user's mail more than fills it, so that the others come to a spool that has no room.
        done = batch.call("fetch", "--user", "anna")
        self.assertIn(done.code, (0, 2), str(done))
        self.ends(batch.call("run"), 0)
        self.assertIn("SpoolFull", self.stalls(batch, "target"))
        self.moved(batch)

    def test_the_summary_of_a_run(self):
        batch = self.slow(users=("anna",))
        done = self.ends(batch.call("run"), 0)
        text = done.out + done.err
        self.assertIn("The one user is synced and every folder balances", text)
        for label in ("Messages found", "Messages uploaded", "Messages skipped", "Message rate",
                      "Average bandwidth rate", "Throttled time", "Efficiency", "Retries",
                      "Errors by type"):
            self.assertIn(label, text)
        self.assertIn("TargetThrottled", text)

    def test_status_is_watched_while_it_runs(self):
        batch = self.slow()
        run = batch.start("run")
        while not run.ended() and not os.path.exists(os.path.join(batch.state, "data.mdb")):
            time.sleep(0.02)
        watch = batch.start("status", "--watch", write=False)
        run.wait()
        done = self.ends(watch.wait(), 0)  # by itself, into a pipe: a line each half minute, and of each change
        self.assertNotIn("\x1b", done.out)
        lines = done.out.splitlines()
        for line in lines:
            self.assertRegex(line, r"^\d\d:\d\d:\d\dZ \d of \d users? synced, 0 failed; [\d,]+ uploaded, 0 present, "
                                   r"0 skipped, 0 failed, [\d,]+ pending of [\d,]+")
        self.assertRegex(lines[-1], r"Z (\d) of \1 users? synced, .* 0 pending of")

    def test_status_is_painted_on_a_terminal_until_all_is_done(self):
        batch = self.slow()
        self.ends(batch.call("run"), 0)
        inside, outside = pty.openpty()
        watch = subprocess.Popen([haul.BINARY, "status", "--watch", batch.path], stdin=outside, stdout=outside,
                                 stderr=outside, env={**os.environ, "TERM": "xterm", "LANG": "C.UTF-8"})
        os.close(outside)
        text = b""
        try:
            while data := os.read(inside, 65536):
                text += data
        except OSError:  # nobody has the terminal any more
            pass
        os.close(inside)
        self.assertEqual(watch.wait(60), 0)
        self.assertIn(b"anna@", text)
        self.assertGreater(text.count(b"\x1b[H"), 1, "it was painted again")
        self.assertIn(b"users synced" if len(batch.users) > 1 else b"1 of 1 user synced", text)


class Export(Case):
    def test_each_format_holds_every_message(self):
        source = self.dovecot(["anna"], format="maildir", separator=".")
        mails = [mail.tiny(i) for i in range(5)] + [mail.tiny(9, extra=b"\r\nFrom the start\r\n")]
        source.seed("anna", {("INBOX",): mails, ("Work", "Süd"): [mail.tiny(50)]})
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        self.ends(batch.call("fetch"), 0)
        bodies = sorted(m.body for m in mails + [mail.tiny(50)])
        for option in ("--html", "--csv"):
            self.assertIn("mailhaul: %s .: Is a directory" % option, self.ends(batch.call("report", option, "."), 64).err)
        for to in ("no/such/folder", "users.csv", "users.csv/below", "x" * 300):
            self.assertIn("--to " + to[:60], self.ends(batch.call("export", "--to", to), 64).err)
        for form in ("eml", "maildir", "mbox"):
            with self.subTest(form):
                to = os.path.join(self.folder, form)
                self.ends(batch.call("export", "--what", "all", "--format", form, "--to", to), 0)
                files = [os.path.join(at, name) for at, _, names in os.walk(to) for name in names]
                index = [p for p in files if "index" in os.path.basename(p)]
                self.assertEqual(len(index), 1, files)
                with open(index[0], encoding="utf-8-sig", newline="") as f:
                    self.assertEqual(len(list(csv.reader(f))), 1 + len(bodies))
                files.remove(index[0])
                if form == "eml":
                    found = [open(p, "rb").read() for p in files]
                elif form == "maildir":
                    found = [open(p, "rb").read() for p in files
                             if os.path.basename(os.path.dirname(p)) in ("cur", "new")]
                else:
                    found = [m.as_bytes() for p in files for m in mailbox.mbox(p)]
                    self.assertTrue(any(b">From the start" in open(p, "rb").read() for p in files))
                crlf = sorted(mail.crlf(b).replace(b"\r\n>From", b"\r\nFrom") for b in found)
                self.assertEqual(crlf, bodies)


class Nothing(Account):
    """Where nothing was done nothing is called done."""

    def test_an_upload_before_anything_was_fetched(self):
        batch, meddler = self.meddled_target()
        done = self.ends(batch.call("upload"), 2)
        self.assertIn("fetch comes first", done.err)
        report = self.balanced(batch.report())
        self.assertEqual(report["batch"]["state"], "Created")
        self.assertEqual(report["users"][0]["state"], "Queued")
        self.assertNotIn("synced and every folder", done.err)
        self.ends(batch.call("run"), 0)
        self.assertEqual(self.user(batch)["state"], "Synced")

    def test_a_shard_without_users_says_so_and_ends(self):
        batch, meddler = self.meddled_target()
        told = [self.ends(batch.call(command, "--shard", shard), 0).err
                for command in ("run", "check") for shard in ("1/2", "2/2")]
        self.assertEqual([("no user falls into shard" in text) for text in told].count(True), 2, told)
        self.assertEqual([("There was no user to move." in text) for text in told].count(True), 1, told)
