"""Exactly once: answers to APPEND that are lost, and mail that is stored long after they were."""

import collections
import hashlib
import os
import re
import signal
import socket
import subprocess
import time
import unittest

import exchange
import faulty
import imap
import mail
from haul import DOMAIN, Case
from meddler import Meddler, Rule

ADDRESS = "anna@" + DOMAIN


class AtDovecot(Case):
    """Few messages into one folder of a Dovecot that is meddled with."""

    MESSAGES = 5
    SETTLE = "200ms"

    def soon_after(self, pattern):
        """True a moment after the target was asked this once more than when it was asked for first."""
        began = []

        def late():
            if not began:
                began.append(self.meddler.asked(pattern))
            if self.meddler.asked(pattern) == began[0]:
                return False
            time.sleep(0.3)  # it answers
            return True
        return late

    def batch_with(self, source, rules, answers=None):
        self.meddler = self._started(Meddler(self.target_for(["anna"]), list(rules), answers))
        batch = self.batch(source, self.meddler, ["anna"])
        if isinstance(source, Meddler):
            batch.sections["source"] = {"url": source.url(), "tls": "none"}
        batch.sections["target"] = {"preset": "imap", "url": self.meddler.url(), "tls": "none",
                                    "settle-time": self.SETTLE}
        return batch.set("policy", "retry-wait", "20ms")

    def run_with(self, *rules, code=0, answers=None, source=None):
        if not source:
            source = self.dovecot(["anna"])
            source.seed("anna", {("INBOX",): [mail.tiny(i) for i in range(self.MESSAGES)]})
        batch = self.batch_with(source, rules, answers)
        self.ends(batch.call("run"), code)
        self.balanced(batch.report())
        return batch


class Late(AtDovecot):
    """It is given an APPEND long after its client was cut off."""

    SETTLE = "2s"

    def test_what_is_stored_between_the_two_looks_is_found(self):
        """The second look asks for the folder anew: a selected one shows what it held before."""
        self.moved(self.run_with(Rule("^APPEND", late=self.soon_after("^EXAMINE"), times=1)))

    def test_a_look_from_before_the_loss_is_none_of_the_two(self):
        self.moved(self.run_with(Rule("^APPEND", close=True, times=1),
                                 Rule("^APPEND", late=self.soon_after("^EXAMINE"), times=1)))

    def test_a_server_that_stood_still_has_its_time_from_its_first_answer_on(self):
        still = Rule("^STATUS", wait=3, times=0)

        def late():
            if not still.done:
                still.times = 1
                return False
            time.sleep(3 + 1.5)  # it answers, and after less than the settle time from then on it stores
            return True
        self.moved(self.run_with(still, Rule("^APPEND", late=late, times=1)))

    @unittest.skipIf(os.environ.get("MAILHAUL_SANITIZED"), "a sanitizer wants to be loaded first")
    def test_no_clock_tells_how_long_ago_a_killed_run_sent_its_last(self):
        """An hour is over by the clock on the wall, which was set; what was sent is on its way still."""
        library = os.path.join(self.folder, "late_clock.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-o", library,
                        os.path.join(mail.ROOT, "tests", "support", "late_clock.c")], check=True)
        source, before, self.SETTLE = self.dovecot(["anna"]), [], "3s"
        source.seed("anna", {("INBOX",): [mail.tiny(1)]})

        def late():
            return before and self.meddler.asked("^(STATUS|SELECT|EXAMINE)") > before[0]
        lost = Rule("^APPEND", late=late, times=1)
        batch = self.batch_with(source, [lost])
        running = batch.start("run")
        while not lost.done:
            time.sleep(0.01)
        running.signal(signal.SIGKILL)
        running.wait()
        before.append(self.meddler.asked("^(STATUS|SELECT|EXAMINE)"))
        batch.environment = {"LD_PRELOAD": library}
        self.ends(batch.call("run"), 0)
        self.moved(batch)


class Killed(AtDovecot):
    """What the kernel has not sent goes with the program: else it went on with a message that nobody waits for."""

    def unsent(self):
        """Bytes that the kernel keeps for a connection to the meddler."""
        with open("/proc/net/tcp") as f:
            rows = [line.split() for line in f][1:]
        return max((int(row[4].split(":")[0], 16) for row in rows if row[2].endswith(":%04X" % self.meddler.port)),
                   default=0)

    def test_a_message_that_the_target_has_not_read(self):
        source, killed = self.dovecot(["anna"]), []
        message = mail.tiny(1, extra=b"0123456789 123456789 123456789 123456789\r\n" * 5000)
        source.seed("anna", {("INBOX",): [message]})
        batch = self.batch_with(source, [Rule("^APPEND", until=lambda: killed, times=1)])
        self.meddler.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        running = batch.start("run")
        while self.unsent() < len(message.body) - 65536 and not running.ended():
            time.sleep(0.01)
        running.signal(signal.SIGKILL)
        running.wait()
        killed.append(True)
        while self.meddler.peers:
            time.sleep(0.01)
        with self.meddler.connect(ADDRESS) as mailbox:
            self.assertEqual(len(mailbox.uids(("INBOX",))), 0)
        self.ends(batch.call("run"), 0)
        self.moved(batch)


def never():
    """In place of `late`: the whole command has come, and nothing is made of it."""
    raise OSError("lost on purpose")


class OneByOne(AtDovecot):
    SETTLE = "500ms"

    def batch_with(self, source, rules, answers=None):
        return super().batch_with(source, rules, answers).set("target", "append-pipeline", "1")

    def alone(self, line):
        """One message in each command; and one command at a time."""
        return line.replace(b" MULTIAPPEND", b"") if b"CAPABILITY" in line else line

    def told_nothing(self, line):
        return re.sub(rb"\[APPENDUID [^]]*\] ", b"", self.alone(line))

    def asked(self):
        """The APPENDs, as A, and the looks, as E, in their order."""
        verbs = (line.split(" ")[0].upper() for line in self.meddler.lines)
        return "".join(verb[0] for verb in verbs if verb in ("APPEND", "EXAMINE"))


class Waits(OneByOne):
    """Only the message whose answer is missing waits for the looks; all else of the folder is sent before."""

    MESSAGES = 200

    def test_the_rest_goes_on_when_an_answer_is_lost(self):
        self.moved(self.run_with(Rule("^APPEND", after=True, skip=4, times=1), answers=self.alone))
        self.assertRegex(self.asked(), "^A{200}EE+$", "none is sent again, and none waits for the looks")

    def test_what_is_not_there_is_sent_again_after_two_looks(self):
        self.moved(self.run_with(Rule("^APPEND", late=never, skip=4, times=1), answers=self.alone))
        self.assertRegex(self.asked(), "^A{200}EEAE*$")

    def test_several_that_are_lost_are_looked_for_together(self):
        self.moved(self.run_with(Rule("^APPEND", late=never, skip=4, times=2),
                                 Rule("^APPEND", after=True, skip=30, times=2), answers=self.alone))
        self.assertRegex(self.asked(), "^A{200}EEAAE*$")

    def test_one_that_is_lost_again_is_looked_for_again(self):
        self.moved(self.run_with(Rule("^APPEND", late=never, skip=4, times=1),
                                 Rule("^APPEND", late=never, skip=199, times=1), answers=self.alone))
        self.assertRegex(self.asked(), "^A{200}EEAEEAE*$")

    def test_no_UID_is_told(self):
        self.moved(self.run_with(Rule("^APPEND", after=True, skip=4, times=1),
                                 Rule("^APPEND", late=never, skip=30, times=1), answers=self.told_nothing))
        self.assertRegex(self.asked(), "^A{200}EEAE*$")

    def test_several_in_one_command(self):
        batch = self.run_with(Rule("^APPEND", after=True, skip=1, times=1))
        self.moved(batch)
        self.assertRegex(self.asked(), "^A{3,}EE+$")

    def test_a_refusal_in_doubt_looks_for_what_waits_as_well(self):
        """A folder that must be looked at for another reason is looked at for all of it, after the settle time."""
        left = [40]

        def answers(line):
            if b"APPENDUID" in line:
                left[0] -= 1
                if left[0] == 0:
                    return line.split(b" ")[0] + b" NO [SERVERBUG] Internal error\r\n"
            return self.alone(line)
        self.moved(self.run_with(Rule("^APPEND", after=True, skip=4, times=1), answers=answers))
        self.assertRegex(self.asked(), "^A{40,41}EEA{159,160}E*$")


class WaitsForTheUser(OneByOne):
    """And all else of the user."""

    def test_mail_of_the_same_key_waits_with_it(self):
        """A look could not tell which of them it was that came."""
        source = self.dovecot(["anna"])
        one = mail.tiny(1)
        other = mail.Message(one.body.replace(b"\r\n\r\n", b"\r\n\r\nAnother text. ", 1), one.date)
        source.seed("anna", {("INBOX",): [other, one] + [mail.tiny(i) for i in range(2, 9)]})
        sizes = [len(other.body), len(one.body)]
        batch = self.run_with(Rule(r"^APPEND .*\{(%d|%d)\+?\}" % tuple(sizes), after=True, times=1), source=source,
                              answers=self.told_nothing)
        self.moved(batch)
        self.assertRegex(self.asked(), "^A{8}EEAE*$")

    def test_other_folders_come_before_the_looks(self):
        source = self.dovecot(["anna"])
        source.seed("anna", {("INBOX",): [mail.tiny(i) for i in range(20)],
                             ("Box",): [mail.tiny(100 + i) for i in range(10)]})
        self.moved(self.run_with(Rule('^APPEND "?INBOX', after=True, times=1), source=source, answers=self.alone))
        self.assertRegex(self.asked(), "^A{30}EE+$")

    def test_the_source_comes_before_the_looks(self):
        """Mail that is not fetched yet is sent before."""
        inner = self.dovecot(["anna"])
        inner.seed("anna", {("INBOX",): [mail.tiny(i) for i in range(20)]})
        source = self._started(Meddler(inner, [Rule("^UID FETCH .*BODY", skip=1, times=1,
                                                    until=lambda: self.meddler.asked("^APPEND") >= 2)]))
        self.moved(self.run_with(Rule("^APPEND", after=True, skip=1, times=1), source=source, answers=self.alone))
        self.assertRegex(self.asked(), "^A{20}EE+$")

    def test_a_run_that_ends_meanwhile_leaves_it_to_the_next(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            with self.subTest(number):
                source = self.dovecot(["anna"])
                source.seed("anna", {("INBOX",): [mail.tiny(i) for i in range(20)]})
                batch = self.batch_with(source, [Rule("^APPEND", after=True, skip=4, times=1),
                                                 Rule("^APPEND", skip=9, times=1, until=lambda: self.ending)],
                                        self.alone)
                self.ending = False
                running = batch.start("run")
                while self.meddler.asked("^APPEND") < 11:
                    time.sleep(0.01)
                running.signal(number)
                self.ending = True
                running.wait()
                self.assertNotIn("E", self.asked())
                self.ends(batch.call("run"), 0)
                self.moved(batch)
                self.assertRegex(self.asked(), "^A{11,20}EE.*$")

    def test_what_is_stored_after_the_looks_is_told(self):
        """Nobody can wait for ever: but the second copy is seen at the end."""
        def sent_again():
            return self.meddler.asked("^APPEND") > 20

        def stored():
            with self.meddler.connect(ADDRESS) as mailbox:
                return len(mailbox.uids(("INBOX",))) == 20
        source = self.dovecot(["anna"])
        source.seed("anna", {("INBOX",): [mail.tiny(i) for i in range(20)]})
        batch = self.run_with(Rule("^APPEND", late=sent_again, times=1),
                              Rule("^APPEND", until=stored, skip=19, times=1),
                              code=4, source=source, answers=self.alone)
        report = self.balanced(batch.report())
        self.assertEqual(report["totals"]["doubled"], 1)
        self.assertEqual([(d["type"], d["count"]) for d in report["users"][0]["doubts"]], [("LateCopy", 1)])


class Unreadable(AtDovecot):
    """Rows that a look does not get, or not so that they can be read: they are not taken for mail that
    is not there."""

    def look(self, change, times, code):
        """The answer to the first APPEND is lost; of the rows that follow `times` are changed."""
        left = [times]

        def answers(line):
            if left[0] and re.match(rb"\* \d+ FETCH .*\bUID 2\b", line):
                left[0] -= 1
                return change(line)
            return line
        batch = self.run_with(Rule("^APPEND", after=True, times=1), code=code, answers=answers)
        self.assertEqual(left[0] > 0, code == 3, "the look met it")
        return batch

    def test_a_row_that_is_left_out_is_asked_for_again(self):
        self.moved(self.look(lambda line: b"", 2, 0))

    def test_a_row_that_is_damaged_is_asked_for_again(self):
        self.moved(self.look(lambda line: line.replace(b"UID 2", b"UID ]"), 2, 0))

    def test_a_row_without_its_header_proves_nothing(self):
        batch = self.look(lambda line: re.sub(rb"\{\d+\}\r\n.*", b"NIL)\r\n", line, flags=re.S), 999, 3)
        with batch.target.connect(ADDRESS) as mailbox:
            self.assertEqual(len(mailbox.uids(("INBOX",))), self.MESSAGES)
        said = [failure["server_text"] for failure in batch.report()["users"][0]["failures"]]
        self.assertTrue(any("not known" in text for text in said), said)


class Refused(AtDovecot):
    def test_several_in_one_command_are_looked_for(self):
        """Some servers store what they can of a MULTIAPPEND that they refuse."""
        left = [1]

        def answers(line):
            if left[0] and b"APPENDUID" in line:
                left[0] -= 1
                return line.split(b" ")[0] + b" NO Message contains invalid header\r\n"
            return line
        self.moved(self.run_with(answers=answers))

    def amid(self, act):
        """The first of two was stored as it came; the second was not sent whole."""
        source = self.dovecot(["anna"])
        messages = [mail.tiny(i) for i in range(self.MESSAGES)]
        source.seed("anna", {("INBOX",): messages})
        plan = faulty.Plan(drops=["LITERAL+"], chosen={faulty.digest_of(m.body): act for m in messages})
        proxy = self._started(faulty.Faulty(self.target_for(["anna"], mechanisms="plain"), plan))
        batch = meddled(self, source, proxy)
        self.ends(batch.call("fetch"), 0)  # all of it waits, so that one command takes several
        done = batch.call("upload")
        self.assertIsNone(proxy.broken)
        self.moved(batch)
        self.ends(done, 0)
        self.assertGreater(proxy.acts[act], 0)

    def test_the_connection_goes_amid_several(self):
        self.amid("amid-cut")

    def test_refused_amid_several(self):
        self.amid("amid-refused")


def meddled(case, source, meddler):
    """A batch of anna that goes through the meddler, and does not wait long."""
    batch = case.batch(source, meddler, ["anna"])
    batch.sections["target"] = {"preset": "imap", "url": meddler.url(), "tls": "none",
                                "settle-time": "200ms"}
    batch.set("policy", "retry-wait", "20ms")
    return batch


class Anew(Case):
    """The target folder is made anew between two runs; its UIDs begin again."""

    def anew(self, meddler):
        time.sleep(1.1)  # its UIDVALIDITY is the second in which it was made
        with meddler.connect(ADDRESS) as mailbox:
            mailbox.imap.delete("Box")
            mailbox.create(("Box",))

    def test_what_was_in_the_folder_before_claims_nothing_of_the_new_one(self):
        source = self.dovecot(["anna"])
        source.seed("anna", {("Box",): [mail.tiny(i) for i in range(5)]})
        loses = Rule("^APPEND", after=True, times=0)
        meddler = self._started(Meddler(self.target_for(["anna"]), [loses]))
        batch = meddled(self, source, meddler)
        self.ends(batch.call("run"), 0)
        self.anew(meddler)
        new = [mail.tiny(100 + i) for i in range(3)]
        with source.connect("anna") as mailbox:
            mailbox.append(("Box",), new)
        loses.times = 1
        self.ends(batch.call("run"), 3)  # five are gone, and that is told
        with meddler.connect(ADDRESS) as mailbox:
            self.assertEqual(len(mailbox.uids(("Box",))), len(new))
        self.assertEqual(batch.report()["users"][0]["failure"], "TargetCountDiffers")

    def test_of_equal_mail_the_one_that_went_with_it_is_moved_again(self):
        """Without UIDs the copy in the new folder may be of either, and of either a second one may come, since each was
        sent once in vain; but only one of them has lost its own."""
        source = self.dovecot(["anna"])
        twin = mail.tiny(1)
        source.seed("anna", {("Box",): [twin] + [mail.tiny(i) for i in range(2, 5)]})
        loses = Rule("^APPEND", close=True, times=1)
        meddler = self._started(Meddler(self.target_for(["anna"]), [loses],
                                        lambda line: re.sub(rb"\[APPENDUID [^]]*\] ", b"", line)))
        batch = meddled(self, source, meddler)
        self.ends(batch.call("run"), 0)
        self.anew(meddler)
        with source.connect("anna") as mailbox:
            mailbox.append(("Box",), [twin])
        loses.times = 1
        self.ends(batch.call("run"), 3)  # four are gone, and that is told
        self.ends(batch.call("retry"), 0)
        self.moved(batch)
        user = self.balanced(batch.report())["users"][0]
        self.assertEqual(user["doubts"], [])
        self.ends(batch.call("run"), 0)
        self.assertEqual(batch.report()["totals"]["doubled"], 0)


class Twice(Case):
    """The same mail twice, where no UID is told."""

    def test_the_copy_of_an_earlier_opening_claims_none_of_a_later_one(self):
        source = self.dovecot(["anna"])
        source.seed("anna", {("INBOX",): [mail.tiny(1)]})
        loses = Rule("^APPEND", after=True, times=0)
        meddler = self._started(Meddler(self.target_for(["anna"]), [loses],
                                        lambda line: re.sub(rb"\[APPENDUID [^]]*\] ", b"", line)))
        batch = meddled(self, source, meddler)
        self.ends(batch.call("run"), 0)
        with source.connect("anna") as mailbox:
            mailbox.append(("INBOX",), [mail.tiny(1)])
        loses.times = 1
        self.ends(batch.call("run"), 0)
        self.moved(batch)


class TwoBatches(Case):
    """One user in two batches that run at the same time, each with a state folder of its own."""

    MESSAGES = 20

    def two(self, **target):
        """Two batches whose first APPENDs meet at the target, started."""
        source = self.dovecot(["anna"])
        source.seed("anna", {("INBOX",): [mail.tiny(i) for i in range(self.MESSAGES)]})
        server, meddlers, batches = self.target_for(["anna"]), [], []
        for _ in range(2):
            both = Rule("^APPEND", until=lambda: all(m.asked("^APPEND") or m.over for m in meddlers), times=1)
            meddlers.append(self._started(Meddler(server, [both])))
            meddlers[-1].over = False
            batch = self.batch(source, meddlers[-1], ["anna"])
            batch.sections["target"] = {"preset": "imap", "url": meddlers[-1].url(), "tls": "none", **target}
            batches.append(batch)
        return server, meddlers, batches

    def test_each_is_told_of_the_other_as_far_as_it_came_first(self):
        server, _, batches = self.two()
        running = [batch.start("run") for batch in batches]
        codes = [one.wait().code for one in running]
        with server.connect(ADDRESS) as mailbox:
            self.assertEqual(len(mailbox.uids(("INBOX",))), 2 * self.MESSAGES, "they met")
        self.assertIn(4, codes)
        self.assertLessEqual(set(codes), {0, 4})
        for code, batch in zip(codes, batches):
            report = self.balanced(batch.report())
            told = [(d["type"], d["count"]) for d in report["users"][0]["doubts"]]
            self.assertEqual(told, [("TwoSenders", self.MESSAGES)] if code == 4 else [])
            self.assertEqual(report["totals"]["doubled"], self.MESSAGES if code == 4 else 0)
            # It is not this program's own, by what either journal says.
            self.assertEqual(self.ends(batch.call("tidy", "--json", "--remove"), 0).json()["copies"], [])
        with server.connect(ADDRESS) as mailbox:
            self.assertEqual(len(mailbox.uids(("INBOX",))), 2 * self.MESSAGES)
        late = batches[codes.index(4)]
        self.ends(late.call("run"), 4)  # told until they are gone

    def test_with_a_ledger_the_second_one_leaves_the_user_alone(self):
        server, meddlers, (first, second) = self.two()
        for batch in (first, second):
            batch.set("batch", "ledger", os.path.join(self.folder, "ledger"))
        running = first.start("run")
        while not meddlers[0].asked("^APPEND"):
            time.sleep(0.01)
        self.ends(second.call("run"), 3)
        user = second.report()["users"][0]
        self.assertEqual((user["failure"], user["failures"][0]["type"]), ("MailboxHeld",) * 2)
        self.assertEqual(meddlers[1].lines, [], "it does not even connect")
        meddlers[1].over = True
        self.ends(running.wait(), 0)
        self.ends(second.call("run"), 0)
        with server.connect(ADDRESS) as mailbox:
            self.assertEqual(len(mailbox.uids(("INBOX",))), self.MESSAGES)


class Lost(exchange.Into):
    """The simulated Exchange, told to store and say nothing."""

    def into_one_folder(self, messages, connections, meanwhile=None, code=0, doubled=0, **options):
        """A run into a target that keeps bodies; every message is there once, but for those doubled."""
        source = self.dovecot(["anna"], format="maildir", separator=".")
        source.seed("anna", {("INBOX",): [mail.tiny(i) for i in range(messages)]})
        target = self._started(exchange.Exchange(
            [ADDRESS], **{"keep": "body", "plain-auth": "yes", "plain-password": "secret", **options}))
        target.users = {ADDRESS: "secret"}
        batch = self.batch(source, target, ["anna"])
        batch.set("target", "connections-per-mailbox", connections)
        batch.set("target", "settle-time", "400ms").set("policy", "retry-wait", "20ms")
        running = batch.start("run")
        if meanwhile:
            meanwhile(target, running)
        done = running.wait()
        there = collections.Counter(m["sha256"] for m in target.messages(ADDRESS))
        wanted = collections.Counter(hashlib.sha256(mail.tiny(i).body).hexdigest() for i in range(messages))
        self.assertEqual((sum((there - wanted).values()), wanted - there), (doubled, {}), "doubled, missing")
        self.ends(done, code)
        told = self.balanced(batch.report())["totals"].get("doubled", 0)
        self.assertEqual(told, doubled)
        return batch, target

    def test_several_connections_into_one_folder(self):
        """What others are told meanwhile does not hide the message whose answer was lost."""
        def lose(target, running):
            while target.stats()["connections"] < 2 and not running.ended():
                time.sleep(0.01)
            target.set("fault", "point=stored action=close every=100 limit=3")
        _, target = self.into_one_folder(600, 4, lose, **{"append-ms": 20})
        self.assertEqual(target.stats()["faults"], 3)

    def test_refused_and_stored_all_the_same(self):
        """A front end answers for a back end that goes on and stores the message."""
        texts = ["NO Server Unavailable. 15", "NO [SERVERBUG] Internal error occurred.",
                 "NO [UNAVAILABLE] Busy.", "NO That went wrong.", "BAD Command Error. 10",
                 "BAD Request is throttled. Suggested Backoff Time: 300 milliseconds"]
        _, target = self.into_one_folder(200, 2, **{
            "append-ms": 5, "fault": ["point=stored action=reply every=%d limit=1 text=%s" % (10 + 20 * i, text)
                                      for i, text in enumerate(texts)]})
        self.assertEqual(target.stats()["faults"], len(texts))

    def late(self, report):
        return [(d["type"], d["count"]) for d in report["users"][0]["doubts"]]

    def test_what_is_stored_while_the_rest_goes_on_is_found(self):
        """Long after the settle time, but the look is later still."""
        _, target = self.into_one_folder(150, 1, **{
            "append-ms": 20, "fault": "point=delayed action=close delay=1500 every=5 limit=1"})
        self.assertEqual(target.stats()["faults"], 1)

    def test_what_is_stored_after_the_run_is_told_by_the_next(self):
        batch, target = self.into_one_folder(3, 1, **{
            "fault": "point=delayed action=close delay=6000 every=2 limit=1"})
        while target.stats()["appends"] < 4:
            time.sleep(0.05)
        self.ends(batch.call("run"), 4)
        report = self.balanced(batch.report())
        self.assertEqual((report["totals"]["doubled"], self.late(report)), (1, [("LateCopy", 1)]))
        # It is told until the copy is gone.
        self.ends(batch.call("run"), 4)
        with imap.Mailbox("localhost", target.imap_port, ADDRESS, "secret", target.ca) as mailbox:
            last = max(mailbox.uids(("INBOX",)))
            mailbox.imap.select("INBOX")
            mailbox.imap.uid("STORE", "%d" % last, "+FLAGS", "(\\Deleted)")
            mailbox.imap.expunge()
        self.ends(batch.call("run"), 0)
        self.assertEqual(self.late(batch.report()), [])
