"""What the campaign of fault rounds (tests/campaigns/once) found, each as one scenario; and a few of its rounds."""

import collections
import os
import signal
import tempfile
import time
import unittest

import faulty
import mail
import rounds
from faulty import Append, Faulty, Plan, digest_of
from haul import DOMAIN, Case

ADDRESS = "anna@" + DOMAIN


class Scenario(Case):
    """Six messages into a Dovecot, one APPEND each; what becomes of each is chosen."""

    MESSAGES = [mail.tiny(i) for i in range(6)]

    def plan(self, acts, **options):
        """acts: {message: act}."""
        plan = Plan(drops=["MULTIAPPEND", "LITERAL+"],
                    chosen={digest_of(self.MESSAGES[i].body): act for i, act in acts.items()}, **options)
        plan.late = "after"
        return plan

    def run_with(self, plan, before_act=None, messages=None, start=False):
        """start: it is left to before_act to end the run."""
        self.wanted = messages or self.MESSAGES
        source = self.dovecot(["anna"])
        source.seed("anna", {("INBOX",): self.wanted})
        self.target = self.target_for(["anna"], mechanisms="plain")
        self.proxy = self._started(Faulty(self.target, plan))
        self.proxy.before_act = before_act
        batch = self.batch(source, self.proxy, ["anna"])
        batch.sections["target"] = {"preset": "imap", "url": self.proxy.url(), "tls": "none", "settle-time": "200ms",
                                    "connections-per-mailbox": "1"}
        batch.set("policy", "retry-wait", "20ms")
        self.running = batch.start("run")
        self.done = None if start else self.running.wait()
        if start:
            limit = time.monotonic() + 60
            while not self.running.process.returncode and time.monotonic() < limit:
                time.sleep(0.02)
            self.proxy.all_gone()
        self.assertIsNone(self.proxy.broken)
        return batch

    def there(self):
        with self.target.connect(ADDRESS) as mailbox:
            found = collections.Counter(item.digest for item in mailbox.read(("INBOX",)))
        wanted = collections.Counter(digest_of(m.body) for m in self.wanted)
        return found, wanted

    def other(self, append):
        """Somebody else's mail comes into the folder."""
        body = b"Message-ID: <other@x>\r\nSubject: Other\r\n\r\nOf somebody else.\r\n"
        self.proxy.store(ADDRESS, Append(append.folder, [(b"", body)], b"", None))

    def is_doubled_and_named(self, batch, foreign=0, words="second cop"):
        found, wanted = self.there()
        self.assertEqual((sum((found - wanted).values()) - foreign, wanted - found), (1, {}), "doubled, missing")
        self.assertEqual([(d["type"], d["count"]) for d in batch.report()["users"][0]["doubts"]], [("LateCopy", 1)])
        self.assertIn(words, batch.report()["users"][0]["doubts"][0]["text"])
        self.ends(self.done, 4)


class LateAnd(Scenario):
    """A message that is stored after both looks, and something else besides."""

    def test_a_foreign_delivery_is_not_taken_for_the_message_that_was_lost(self):
        """As many new messages as were lost are no proof that these are they."""
        self.is_doubled_and_named(self.run_with(
            self.plan({2: "late-cut"}), lambda act, user, append: self.other(append)), foreign=1)

    def test_nor_where_the_folder_is_looked_at_again_for_another(self):
        """By then the other's mail is nothing new."""
        def deliver(act, user, append):
            if act == "late-cut":
                self.other(append)
        self.is_doubled_and_named(self.run_with(self.plan({4: "late-cut", 1: "stored-refused"}), deliver), foreign=1)

    def test_uids_that_lie_do_not_hide_the_copy(self):
        self.is_doubled_and_named(self.run_with(self.plan({2: "late-cut"}, uids="high")))

    def test_uids_of_another_folder_do_not_hide_the_copy(self):
        self.is_doubled_and_named(self.run_with(self.plan({2: "late-cut"}, uids="other")))

    def test_uids_that_nobody_tells_do_not_hide_the_copy(self):
        self.is_doubled_and_named(self.run_with(self.plan({2: "late-cut"}, uids="absent")))

    def test_dates_of_its_own_do_not_hide_the_copy(self):
        self.is_doubled_and_named(self.run_with(self.plan({2: "late-cut"}, own_dates=True)))

    def test_dates_of_its_own_do_not_hide_the_copy_of_mail_without_a_name(self):
        messages = [*self.MESSAGES[:4], rounds.odd(7, mail.FIRST_S, b"no name", False)]
        plan = self.plan({}, own_dates=True)
        plan.chosen = {digest_of(messages[4].body): "late-cut"}
        self.is_doubled_and_named(self.run_with(plan, messages=messages))

    def test_mail_without_a_name_is_known_by_its_size(self):
        """It was stored and its answer lost; the target gave it a date of its own."""
        messages = [*self.MESSAGES[:4], rounds.odd(7, mail.FIRST_S, b"no name", False)]
        plan = self.plan({}, own_dates=True)
        plan.chosen = {digest_of(messages[4].body): "stored-cut"}
        self.run_with(plan, messages=messages)
        self.ends(self.done, 0)

    def test_mail_with_nothing_that_tells_it_apart_is_named(self):
        """Likewise, and it has no Date, From and Subject either: it is sent again."""
        messages = [*self.MESSAGES[:4], mail.Message(b"X-Mark: 7\r\n\r\nText.\r\n", mail.FIRST_S, ("\\Seen",))]
        plan = self.plan({}, own_dates=True)
        plan.chosen = {digest_of(messages[4].body): "stored-cut"}
        self.is_doubled_and_named(self.run_with(plan, messages=messages), words="was not recognised")

    def test_equal_mail_without_a_name_does_not_hide_the_copy(self):
        """Two of the same are wanted, three are there."""
        messages = [*self.MESSAGES[:4], *[rounds.odd(7, mail.FIRST_S, b"no name, twice", False)] * 2]
        plan = self.plan({})
        plan.chosen = {digest_of(messages[4].body): "late-cut"}
        self.is_doubled_and_named(self.run_with(plan, messages=messages))

    def test_equal_mail_and_uids_that_lie_do_not_hide_the_copy(self):
        """Where it is not known which UID is whose, a look at a part of the folder says nothing of equal mail."""
        messages = [*self.MESSAGES[:4], *[rounds.odd(7, mail.FIRST_S, b"same")] * 2]
        plan = self.plan({2: "never-cut"}, uids="high")
        plan.chosen[digest_of(messages[4].body)] = "late-cut"
        self.is_doubled_and_named(self.run_with(plan, messages=messages))

    def test_a_retry_names_the_copy_of_what_it_moves_again(self):
        """It looks for second copies once before it moves anything again, and has to look once more."""
        batch = self.run_with(self.plan({2: ["never-ok", "late-cut"]}))
        self.ends(self.done, 3)
        self.done = batch.call("retry")
        self.is_doubled_and_named(batch)

    def comes_after_the_run(self, messages=None, **options):
        """The next run, which sends nothing and so learns nothing of the target, names the copy."""
        plan = self.plan({2: "late-cut"}, **options)
        plan.late = "ended"
        if messages:
            plan.chosen = {digest_of(messages[2].body): "late-cut"}
        batch = self.run_with(plan, messages=messages)
        self.ends(self.done, 0)
        self.proxy.release()
        self.done = batch.call("run")
        self.is_doubled_and_named(batch, words="second cop" if options else "were stored late")

    def test_what_comes_after_the_run_is_named_by_the_next(self):
        self.comes_after_the_run()

    def test_what_comes_after_the_run_where_uids_are_told_by_nobody(self):
        self.comes_after_the_run(uids="absent")

    def test_what_comes_after_the_run_where_no_uid_and_no_date_tells_it(self):
        for name in (True, False):
            with self.subTest(message_id=name):
                messages = [*self.MESSAGES[:2], rounds.odd(7, mail.FIRST_S, b"after", name), *self.MESSAGES[3:]]
                self.comes_after_the_run(messages, uids="absent", own_dates=True)

    def test_what_comes_after_the_run_where_uids_lie(self):
        self.comes_after_the_run(uids="high")

    def test_what_comes_after_the_run_where_uids_are_of_another_folder(self):
        self.comes_after_the_run(uids="other")

    def test_what_comes_after_the_source_renumbered_the_folder(self):
        """Its rows are forgotten then, and with them which messages were sent without an answer."""
        plan = self.plan({2: "late-cut"})
        plan.late = "ended"
        batch = self.run_with(plan)
        self.ends(self.done, 0)
        batch.source.doveadm("mailbox", "update", "-u", "anna", "--uid-validity", "1700000001", "INBOX")
        self.done = self.ends(batch.call("run"), 0)
        self.assertEqual(self.proxy.messages, 7, "all of it was recognised")
        self.proxy.release()
        for _ in range(2):
            self.done = batch.call("run")
            self.is_doubled_and_named(batch)

    def test_what_a_killed_run_sent_before_the_source_renumbered_the_folder(self):
        """Nothing had been sent twice then."""
        def kill(act, user, append):
            self.running.signal(signal.SIGKILL)
            self.running.wait()
        plan = self.plan({2: "late-cut"})
        plan.late = "ended"
        batch = self.run_with(plan, kill, start=True)
        batch.source.doveadm("mailbox", "update", "-u", "anna", "--uid-validity", "1700000001", "INBOX")
        self.ends(batch.call("run"), 0)
        self.proxy.release()
        for _ in range(2):
            self.done = batch.call("run")
            self.is_doubled_and_named(batch)

    def test_a_floor_that_was_made_of_uids_that_lie_does_not_hide_the_copy(self):
        """The run is killed after such UIDs were told, and goes on; mail of others keeps the floor where it was. The
        third of two equal messages comes when all is over, and the next run, which sends nothing, has to know what the
        earlier ones learnt."""
        equal = rounds.odd(7, mail.FIRST_S, b"same")
        killed = []

        def kill(act, user, append):
            if act == "stored-cut" and not killed:
                killed.append(act)
                self.running.signal(signal.SIGKILL)
                self.running.wait()
                self.other(append)
        plan = self.plan({3: "stored-cut"}, uids="high")
        plan.late = "ended"
        plan.chosen[digest_of(equal.body)] = "late-cut"
        batch = self.run_with(plan, kill, messages=[*self.MESSAGES, equal, equal], start=True)
        self.assertEqual(killed, ["stored-cut"])
        self.ends(batch.call("run"), 0)
        self.proxy.release()
        for _ in range(2):
            self.done = batch.call("run")
            self.is_doubled_and_named(batch, foreign=1)


class WrongUids(Scenario):
    """APPENDUID that is wrong, always or now and then, and an answer that is lost."""

    MESSAGES = [mail.tiny(i) for i in range(14)]

    def each_once(self, uids, acts, deliver=None):
        with self.subTest(uids=uids, acts=acts):
            batch = self.run_with(self.plan(acts, uids=uids), deliver)
            self.ends(self.done, 0)
            found, wanted = self.there()
            self.assertEqual((found - wanted, wanted - found), ({}, {}), "doubled, missing")
            self.assertEqual(batch.report()["users"][0]["state"], "Synced")
            return batch

    def test_stored_and_the_answer_lost(self):
        for uids in ("high", "other", "next", "some", "once"):
            self.each_once(uids, {3: "stored-cut"})
        self.each_once("last", {8: "stored-cut"})

    def test_several_are_lost(self):
        for uids in ("next", "once"):
            self.each_once(uids, {2: "stored-cut", 6: "never-cut", 9: "stored-cut", 11: "stored-cut"})

    def test_a_foreign_delivery_hides_nothing(self):
        for uids in ("high", "once"):
            with self.subTest(uids=uids):
                self.run_with(self.plan({8: "never-ok"}, uids=uids), lambda act, user, append: self.other(append))
                found, wanted = self.there()
                self.assertEqual(sum((wanted - found).values()), 1)
                self.ends(self.done, 3)


class Missing(Scenario):
    """A message that was acknowledged and never stored, and something else that makes the number agree."""

    def is_told(self, batch):
        found, wanted = self.there()
        self.assertEqual(sum((wanted - found).values()), 1)
        self.ends(self.done, 3)
        self.assertEqual(batch.report()["users"][0]["failure"], "TargetCountDiffers")
        self.ends(batch.call("retry"), self.after)
        found, wanted = self.there()
        self.assertEqual(wanted - found, {})

    def test_a_second_copy_of_another_takes_its_place(self):
        self.after = 4  # that copy is there still
        self.is_told(self.run_with(self.plan({1: "late-cut", 4: "never-ok"})))

    def test_mail_that_came_before_the_run_was_stopped_takes_its_place(self):
        """What this run counts is not all that has to be there."""
        self.after = 0
        sent = []

        def stop(act, user, append):
            if act == "never-ok":
                self.other(append)
            else:
                sent.append(act)
                self.running.signal(signal.SIGKILL)
                self.running.wait()
        plan = self.plan({4: "never-ok", 1: "never-cut"})
        batch = self.run_with(plan, stop, start=True)
        self.assertEqual(sent, ["never-cut"])
        self.done = batch.call("run")
        self.is_told(batch)

    def test_others_mail_takes_its_place_where_the_target_has_no_uidplus(self):
        """Nothing shows that it is others': as many are there as were moved, and the next UID is as it should be."""
        plan = self.plan({4: "never-ok"}, uids="absent")
        plan.drops |= {"UIDPLUS"}
        self.after = 0
        self.is_told(self.run_with(plan, lambda act, user, append: self.other(append)))

    def test_nor_does_it_in_a_later_run(self):
        self.of_a_later_run(uids="absent", drops={"UIDPLUS"})

    def of_a_later_run(self, drops=(), **options):
        """The user was Synced before, so that only what this run sent has to be there."""
        plan = self.plan({}, **options)
        plan.drops |= set(drops)
        batch = self.run_with(plan, lambda act, user, append: self.other(append))
        self.ends(self.done, 0)
        new = mail.tiny(50)
        plan.chosen = {digest_of(new.body): "never-ok"}
        self.wanted = [*self.MESSAGES, new]
        with batch.source.connect("anna") as mailbox:
            mailbox.append(("INBOX",), [new])
        self.after = 0
        self.done = batch.call("run")
        self.is_told(batch)

    def test_others_mail_takes_its_place_in_a_later_run(self):
        self.of_a_later_run()

    def test_others_mail_takes_its_place_in_a_later_run_where_uids_are_told_by_nobody(self):
        self.of_a_later_run(uids="absent")

    def test_of_equal_mail_it_is_the_one_whose_uid_is_not_there(self):
        """Moved again in place of it, another one leaves a copy that is nobody's."""
        equal = rounds.odd(7, mail.FIRST_S, b"same")
        plan, sent = self.plan({}), []
        plan.act = lambda digest, number: ("never-ok" if digest == digest_of(equal.body) and sent.append(1) is None and
                                           len(sent) == 1 else None, plan.chance(digest))
        batch = self.run_with(plan, messages=[*self.MESSAGES[:3], equal, equal, equal])
        self.after = 0
        self.is_told(batch)
        self.assertEqual(batch.report()["users"][0]["doubts"], [])


class Rounds(unittest.TestCase):
    """A few small ones, so that the campaign itself goes on working."""

    def rounds(self, seeds, **setting):
        self.play(seeds, {"users": 1, "messages": 120, **setting})

    def play(self, seeds, setting):
        with rounds.Arena(os.path.join(tempfile.gettempdir(), "mailhaul-once")) as arena:
            for seed in seeds:
                result = arena.play(seed, setting)
                self.assertEqual(result.verdicts, [], "%s kept: %s" % (result.row(), result.kept))

    def test_into_dovecot(self):
        self.rounds([3, 7], target="dovecot", connections=4, own_dates=False, uids="true")

    def test_of_equal_mail_what_was_sent_later_than_all_copies_came_is_what_lacks(self):
        """Without UIDs, and sent in the opposite order over several runs that were killed."""
        self.play([710091], {})

    def test_into_the_simulated_exchange(self):
        self.rounds([5, 9], target="exo", drops=[], connections=4, own_dates=False, uids="true", preset="imap")
