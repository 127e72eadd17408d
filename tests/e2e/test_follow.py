"""What changed at the source after the copy, followed by later runs: flags."""

import collections
import os
import re
import signal

import exchange
import imap
import mail
import nights
from haul import DOMAIN, Case
from meddler import Meddler, Rule

ADDRESS = "anna@" + DOMAIN
INBOX = ("INBOX",)
SENT = ("Sent",)


class Follow(Case):
    def begin(self, source=None, target=None, messages=6, folders=(INBOX, SENT)):
        self.source = source or self.dovecot(["anna"])
        self.target = target or self.target_for(["anna"])
        self.source.seed("anna", {folder: [mail.tiny(i + 100 * n) for i in range(1, messages + 1)]
                                  for n, folder in enumerate(folders)})
        self.it = self.batch(self.source, self.target, ["anna"])
        return self.it

    def rows(self, server, user, path):
        """{number in the subject: (uid, flags)} of the folder."""
        with server.connect(user) as mailbox:
            mailbox.imap.select(mailbox.wire_name(path), readonly=True)
            rows, head = {}, None
            for part in mailbox.imap.uid("FETCH", "1:*", "(UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]:
                text = b" ".join(part) if isinstance(part, tuple) else part or b""
                head = text if isinstance(part, tuple) else (head or b"") + text
                uid, subject = re.search(rb"UID (\d+)", head), re.search(rb"Message (\d+)", head)
                flags = re.search(rb"FLAGS \(([^)]*)\)", head)
                if uid and subject and flags:
                    rows[int(subject.group(1))] = (int(uid.group(1)), frozenset(flags.group(1).decode().lower().split())
                                                   - {"\\recent"})
            return rows

    def store(self, server, user, path, number, change, flags):
        """number: that of the subject."""
        uid = self.rows(server, user, path)[number][0]
        with server.connect(user) as mailbox:
            mailbox.imap.select(mailbox.wire_name(path))
            answer = mailbox.imap.uid("STORE", str(uid), change, "(%s)" % flags)
            self.assertEqual(answer[0], "OK", answer)
            return mailbox.imap.expunge() if "Deleted" in flags else None

    def at_source(self, path, number, change, flags):
        self.store(self.source, "anna", path, number, change, flags)

    def at_target(self, path, number, change, flags):
        self.store(self.target, ADDRESS, path, number, change, flags)

    def flags(self, server, user, path):
        return {number: flags for number, (uid, flags) in self.rows(server, user, path).items()}

    def equal_flags(self, *paths):
        for path in paths or (INBOX, SENT):
            self.assertEqual(self.flags(self.target, ADDRESS, path), self.flags(self.source, "anna", path), path)

    def user(self):
        return self.balanced(self.it.report())["users"][0]


class Flags(Follow):
    """The first night copies; then flags change, and the next nights bring them over."""

    def follows(self, source=None, target=None, words=True):
        self.begin(source, target)
        self.ends(self.it.call("run"), 0)
        self.at_source(INBOX, 1, "+FLAGS", "\\Flagged")
        self.at_source(INBOX, 2, "FLAGS", "\\Seen \\Answered \\Draft")
        self.at_source(INBOX, 3, "FLAGS", "")
        self.at_source(SENT, 102, "+FLAGS", "\\Flagged" + (" work $Label1" if words else ""))
        self.ends(self.it.call("run"), 0)
        self.equal_flags()
        self.assertEqual(self.user()["doubts"], [])
        self.at_source(INBOX, 1, "-FLAGS", "\\Flagged")
        if words:
            self.at_source(SENT, 102, "-FLAGS", "work")
        self.ends(self.it.call("run"), 0)
        self.equal_flags()
        self.assertEqual(self.it.call("verify", "--json").json()["users"][0]["flags"], 0)
        self.assertEqual([(n["new"], n["flags"], n["deleted"], n["left"]) for n in self.user()["nights"]],
                         [(12, 0, 0, 0), (0, 4, 0, 0), (0, 2 if words else 1, 0, 0)])

    def test_dovecot(self):
        self.follows()

    def test_cyrus(self):
        self.follows(source=self.cyrus(["anna"]))

    def test_a_source_without_modseq(self):
        self.follows(source=self.courier(["anna"]))

    def test_a_target_that_tells_no_uids(self):
        self.follows(target=self.mailutils([ADDRESS]), words=False)

    def test_numbers_of_the_target_that_are_others_by_now(self):
        """Its mail stayed, its UIDVALIDITY did not: the headers tell which message it is."""
        self.begin(target=self.dovecot([ADDRESS], format="maildir", separator="."), folders=(INBOX,))
        self.ends(self.it.call("run"), 0)
        self.target.halt()
        home = self.target.home(ADDRESS)
        for folder, _, names in os.walk(home):
            for name in names:
                if name.startswith("dovecot"):
                    os.unlink(os.path.join(folder, name))
        self.target.start()
        self.at_source(INBOX, 1, "+FLAGS", "\\Flagged")
        self.ends(self.it.call("run"), 0)
        self.equal_flags(INBOX)

    def test_who_uses_the_target_decides(self):
        self.begin(folders=(INBOX,))
        lines = self.through_meddlers()[1].lines
        self.ends(self.it.call("run"), 0)
        self.at_target(INBOX, 1, "FLAGS", "\\Flagged mine")
        self.at_target(INBOX, 2, "FLAGS", "\\Seen \\Flagged")
        self.at_target(INBOX, 3, "+FLAGS", "\\Deleted")
        self.at_source(INBOX, 1, "FLAGS", "\\Seen \\Answered")
        self.at_source(INBOX, 2, "FLAGS", "\\Seen \\Flagged")
        self.at_source(INBOX, 3, "FLAGS", "\\Answered")
        before = self.flags(self.target, ADDRESS, INBOX)
        self.ends(self.it.call("run"), 0)
        after = self.flags(self.target, ADDRESS, INBOX)
        self.assertEqual(after, {**before, 1: before[1] | {"\\answered"}})
        told = [p for f in self.user()["folders"] for p in f["problems"] if p["type"] == "ChangedOnTarget"]
        self.assertEqual(len(told), 1, self.user())
        self.assertIn("1 had been given other flags", told[0]["text"])
        self.assertIn("1 is not there any more", told[0]["text"])
        # Told once, and no reason to open the target again.
        del lines[:]
        self.ends(self.it.call("run"), 0)
        self.assertEqual(lines, [])

    def through_meddlers(self, *rules):
        """The batch's source and target, through ones that know what was said."""
        source, target = self._started(Meddler(self.source, [])), self._started(Meddler(self.target, list(rules)))
        self.it.sections["source"] = {"url": source.url(), "tls": "none"}
        self.it.sections["target"] = {"preset": "imap", "url": target.url(), "tls": "none"}
        return source, target

    def test_a_night_without_changes_asks_for_none(self):
        self.begin()
        source, target = self.through_meddlers()
        self.ends(self.it.call("run"), 0)
        self.at_source(INBOX, 1, "+FLAGS", "\\Flagged")
        self.ends(self.it.call("run"), 0)
        del source.lines[:], target.lines[:]
        self.ends(self.it.call("run"), 0)
        self.assertEqual(target.lines, [])
        self.assertEqual([l for l in source.lines if re.match("(EXAMINE|SELECT|UID|FETCH)", l, re.I)], [])

    def test_not_followed_where_it_is_not_wanted(self):
        self.begin(folders=(INBOX,)).set("policy", "follow-flags", "no")
        self.ends(self.it.call("run"), 0)
        before = self.flags(self.target, ADDRESS, INBOX)
        self.at_source(INBOX, 1, "FLAGS", "\\Flagged \\Draft")
        self.ends(self.it.call("run"), 0)
        self.assertEqual(self.flags(self.target, ADDRESS, INBOX), before)
        # Wanted later, all that was missed is followed.
        self.it.set("policy", "follow-flags", "changes")
        self.ends(self.it.call("run"), 0)
        self.equal_flags(INBOX)

    def test_a_run_that_is_killed_in_between_is_done_again(self):
        self.begin(folders=(INBOX,))
        self.ends(self.it.call("run"), 0)
        for number in range(1, 7):
            self.at_source(INBOX, number, "FLAGS", "\\Flagged" if number % 2 else "\\Answered \\Seen")
        for pattern in ("^UID STORE", "^UID FETCH .*FLAGS", "^UID STORE"):
            running = []
            rule = Rule(pattern, after=True, times=1, then=lambda: running[0].signal(signal.SIGKILL))
            meddler = self._started(Meddler(self.target, [rule]))
            self.it.sections["target"] = {"preset": "imap", "url": meddler.url(), "tls": "none"}
            running.append(self.it.start("run"))
            running[0].wait()
            self.assertEqual(rule.done, 1)
        self.ends(self.it.call("run"), 0)
        self.equal_flags(INBOX)
        self.assertEqual(self.user()["doubts"], [])

    def test_what_the_target_refuses_is_a_doubt_until_it_does_not(self):
        self.begin(folders=(INBOX,))
        self.ends(self.it.call("run"), 0)
        self.at_source(INBOX, 1, "+FLAGS", "\\Flagged")
        refusing = Rule("^UID STORE", answer="NO not today")
        meddler = self._started(Meddler(self.target, [refusing]))
        self.it.sections["target"] = {"preset": "imap", "url": meddler.url(), "tls": "none"}
        self.ends(self.it.call("run"), 4)
        self.assertEqual([(d["type"], d["count"]) for d in self.user()["doubts"]], [("NotFollowed", 1)])
        # What the source takes back needs nothing.
        self.at_source(INBOX, 1, "-FLAGS", "\\Flagged")
        self.ends(self.it.call("run"), 0)
        self.assertEqual(self.user()["doubts"], [])
        self.at_source(INBOX, 1, "+FLAGS", "\\Flagged")
        self.ends(self.it.call("run"), 4)
        refusing.times = 0
        self.ends(self.it.call("run"), 0)
        self.equal_flags(INBOX)
        self.assertEqual(self.user()["doubts"], [])

    def test_an_answer_that_is_not_true_is_seen(self):
        self.begin(folders=(INBOX,))
        self.ends(self.it.call("run"), 0)
        self.at_source(INBOX, 1, "+FLAGS", "\\Flagged")
        meddler = self._started(Meddler(self.target, [Rule("^UID STORE", answer="OK done")]))
        self.it.sections["target"] = {"preset": "imap", "url": meddler.url(), "tls": "none"}
        self.ends(self.it.call("run"), 4)
        self.assertEqual([(d["type"], d["count"]) for d in self.user()["doubts"]], [("NotFollowed", 1)])


class Deletions(Follow):
    """Messages that were deleted at the source after the copy."""

    TRASH = ("Trash",)

    def begin(self, policy="yes", **options):
        super().begin(folders=(INBOX, SENT, self.TRASH), **options)
        return self.it.set("policy", "follow-deletions", policy)

    def delete(self, *numbers, path=INBOX):
        rows = self.rows(self.source, "anna", path)
        with self.source.connect("anna") as mailbox:
            mailbox.imap.select(mailbox.wire_name(path))
            for number in numbers:
                mailbox.imap.uid("STORE", str(rows[number][0]), "+FLAGS", "(\\Deleted)")
            mailbox.imap.expunge()

    def there(self, path=INBOX):
        return sorted(self.rows(self.target, ADDRESS, path))

    def problems(self):
        return {p["type"]: p["text"] for f in self.user()["folders"] for p in f["problems"]}

    def follows(self, **options):
        self.begin(**options)
        self.ends(self.it.call("run"), 0)
        self.delete(2, 4)
        self.ends(self.it.call("run"), 0)
        self.assertEqual((self.there(), self.there(self.TRASH)), ([1, 3, 5, 6], [2, 4, *range(201, 207)]), self.problems())
        user = self.user()
        self.assertEqual((user["found"], user["uploaded"], user["skipped"], user["doubts"]), (18, 16, 2, []))
        self.assertEqual(sorted((i["subject"], i["reason"]) for i in user["skipped_items"]),
                         [("Message 2", "DeletedAtSource"), ("Message 4", "DeletedAtSource")])
        self.assertIn("DeletionsFollowed", self.problems())
        # All is as it is to be: verify, and a run after it, find nothing to do.
        verified = self.it.call("verify", "--json").json()["users"][0]
        self.assertEqual((verified["missing"], verified["flags"]), (0, 0))
        self.ends(self.it.call("run"), 0)
        self.assertEqual(self.there(), [1, 3, 5, 6])

    def test_dovecot(self):
        self.follows()

    def test_cyrus(self):
        self.follows(source=self.cyrus(["anna"]))

    def test_courier(self):
        self.follows(source=self.courier(["anna"]))

    def test_told_and_left_where_that_is_wanted(self):
        self.begin("report")
        self.ends(self.it.call("run"), 0)
        self.delete(2, 4)
        for _ in range(2):
            self.ends(self.it.call("run"), 0)
            self.assertEqual(self.there(), [1, 2, 3, 4, 5, 6])
            self.assertIn("2 copied messages are not at the source any more", self.problems()["DeletedAtSource"])
        self.it.set("policy", "follow-deletions", "yes")
        self.ends(self.it.call("run"), 0)
        self.assertEqual(self.there(), [1, 3, 5, 6])

    def test_what_somebody_changed_on_the_target_stays(self):
        self.begin()
        self.ends(self.it.call("run"), 0)
        self.at_target(INBOX, 2, "+FLAGS", "\\Flagged")
        self.delete(2, 4)
        self.ends(self.it.call("run"), 0)
        self.assertEqual(self.there(), [1, 2, 3, 5, 6])
        self.assertIn("1 that somebody changed on the target", self.problems()["DeletionsFollowed"])

    def test_what_the_mailbox_has_elsewhere_is_not_deleted(self):
        self.begin()
        self.ends(self.it.call("run"), 0)
        rows = self.rows(self.source, "anna", INBOX)
        with self.source.connect("anna") as mailbox:
            mailbox.imap.select("INBOX")
            mailbox.imap.uid("COPY", str(rows[2][0]), mailbox.wire_name(SENT))
        self.delete(2, 4)
        self.ends(self.it.call("run"), 0)
        self.assertEqual(self.there(), [1, 2, 3, 5, 6])

    def test_so_many_that_it_may_be_a_fault_are_held(self):
        self.begin().set("policy", "deletions-max", "3")
        self.ends(self.it.call("run"), 0)
        self.delete(1, 2, 3, 4, 5, 6)
        self.ends(self.it.call("run"), 0)
        self.assertEqual(self.there(), [1, 2, 3, 4, 5, 6])
        self.assertIn("6 of 6 copied messages", self.problems()["DeletionsHeld"])
        self.ends(self.it.call("run", "--accept-deletions", "anna"), 0)
        self.assertEqual((self.there(), len(self.there(self.TRASH))), ([], 12))

    def test_a_source_that_shows_nothing_at_all_is_not_believed(self):
        self.begin()
        self.ends(self.it.call("run"), 0)
        for path, first in ((INBOX, 1), (SENT, 101), (self.TRASH, 201)):
            self.delete(*range(first, first + 6), path=path)
        self.it.call("run")
        self.assertEqual(self.there(), [1, 2, 3, 4, 5, 6])

    def test_an_answer_that_names_too_few_proves_nothing(self):
        self.begin()
        self.ends(self.it.call("run"), 0)
        self.delete(2)
        lying = Rule("^UID SEARCH", answer="OK done", untagged=["* SEARCH 1"])
        meddler = self._started(Meddler(self.source, [lying]))
        self.it.sections["source"] = {"url": meddler.url(), "tls": "none"}
        self.ends(self.it.call("run"), 0)
        self.assertGreater(lying.done, 0)
        self.assertEqual(self.there(), [1, 2, 3, 4, 5, 6])
        lying.times = 0
        with self.source.connect("anna") as mailbox:  # so that the folder is looked at again
            mailbox.append(INBOX, [mail.tiny(9)])
        self.ends(self.it.call("run"), 0)
        self.assertEqual(self.there(), [1, 3, 4, 5, 6, 9])

    def test_a_run_that_is_killed_after_the_move_finds_it_done(self):
        self.begin()
        self.ends(self.it.call("run"), 0)
        self.delete(2, 4)
        running = []
        rule = Rule("^UID MOVE", after=True, times=1, then=lambda: running[0].signal(signal.SIGKILL))
        meddler = self._started(Meddler(self.target, [rule]))
        self.it.sections["target"] = {"preset": "imap", "url": meddler.url(), "tls": "none"}
        running.append(self.it.start("run"))
        running[0].wait()
        self.assertEqual(rule.done, 1)
        self.ends(self.it.call("run"), 0)
        self.assertEqual((self.there(), self.there(self.TRASH)), ([1, 3, 5, 6], [2, 4, *range(201, 207)]))
        self.assertEqual((self.user()["skipped"], self.user()["doubts"]), (2, []))



class Nights(Case):
    """Random nights and days; tests/campaigns/nights plays many more of them."""

    def play(self, source, seed, count=3):
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        nights.Nights(self, batch, ADDRESS, seed).play(count)

    def test_on_dovecot(self):
        self.play(self.dovecot(["anna"]), 1)

    def test_on_cyrus(self):
        self.play(self.cyrus(["anna"]), 2)


class IntoExchange(exchange.Into):
    def test_flags_that_it_keeps(self):
        batch, target, _ = self.into(["anna"], 6)
        self.ends(batch.call("run"), 0)
        flagged = [m["flags"] & 4 for m in target.messages("anna@" + DOMAIN)].count(4)
        with batch.source.connect("anna") as mailbox:
            path = max(mailbox.folders(), key=lambda p: len(mailbox.uids(p)))
            uids = [i.uid for i in mailbox.read(path) if "\\flagged" not in i.flags]
            mailbox.imap.select(imap.quoted(mailbox.wire_name(path)))
            mailbox.imap.uid("STORE", "1:*", "FLAGS", "(\\Flagged work)")
            mailbox.imap.close()
        self.ends(batch.call("run"), 0)
        self.assertEqual([m["flags"] & 4 for m in target.messages("anna@" + DOMAIN)].count(4), flagged + len(uids))
        self.assertEqual(batch.report()["users"][0]["doubts"], [])

    def test_deletions_go_into_its_deleted_items(self):
        batch, target, _ = self.into(["anna"], 30, **{"front-end": "2026"})
        batch.set("policy", "follow-deletions", "yes").set("policy", "deletions-max", "unlimited")
        self.ends(batch.call("run"), 0)
        before = collections.Counter(m["folder"] for m in target.messages("anna@" + DOMAIN))
        with batch.source.connect("anna") as mailbox:
            path = max((p for p in mailbox.folders() if "Trash" not in p and "Deleted" not in str(p)),
                       key=lambda p: len(mailbox.uids(p)))
            uids = mailbox.uids(path)
            mailbox.imap.select(imap.quoted(mailbox.wire_name(path)))
            mailbox.imap.uid("STORE", str(uids[0]), "+FLAGS", "(\\Deleted)")
            mailbox.imap.expunge()
        self.ends(batch.call("run"), 0)
        after = collections.Counter(m["folder"] for m in target.messages("anna@" + DOMAIN))
        self.assertEqual(after["Deleted Items"], before["Deleted Items"] + 1,
                         [p for f in batch.report()["users"][0]["folders"] for p in f["problems"]])
        self.assertEqual(sum(after.values()), sum(before.values()))
        self.assertEqual(batch.report()["users"][0]["skipped"], 1)
