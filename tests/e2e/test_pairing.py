"""What a target holds already is known again, each message by itself: none is lost, none doubled."""

import collections
import re

import mail
from haul import Case
from meddler import Meddler, Rule


def variant(text, extra, head=b"Message-ID: <one@list.example>\r\n", date=mail.FIRST_S):
    return mail.Message(head + b"Date: Sat, 1 Feb 2020 10:00:00 +0000\r\nFrom: a@b.example\r\n"
                        b"Subject: report\r\n\r\n" + text + b"x" * extra + b"\r\n", date)


# Of one Message-ID (or none), Date, From, Subject and INTERNALDATE.
PAIRS = {
    "direct copy and one from a list": (variant(b"direct", 10), variant(b"list", 300)),
    "cron mails": (variant(b"disk", 10, b""), variant(b"tape", 300, b"")),
    "of one size": (variant(b"disk", 10, b""), variant(b"tape", 10, b"")),
}


def without_uids(data):
    """Dovecot tells APPENDUID whatever it announces."""
    return re.sub(rb"\[APPENDUID[^]]*\] ", b"", data)


class Pairing(Case):
    def digests(self, server, user):
        """{folder: Counter of contents}"""
        with server.connect(user) as mailbox:
            return {path: collections.Counter(i.digest for i in mailbox.read(path))
                    for path in mailbox.folders()}

    def sides(self, batch):
        return (self.digests(batch.source, "anna"),
                self.digests(batch.target, "anna@target.example"))

    def servers(self, source, target, **options):
        """Both with what they hold."""
        one, other = self.dovecot(["anna"]), self.target_for(["anna"], **options)
        one.seed("anna", source)
        if target:
            other.seed("anna@target.example", target)
        return one, other

    def to(self, source, target, **policy):
        batch = self.batch(source, target, ["anna"])
        if isinstance(target, Meddler):
            batch.sections["target"] = {"preset": "imap", "url": target.url(), "tls": "none"}
        batch.set("target", "settle-time", "0")
        for key, value in policy.items():
            batch.set("policy", key, value)
        return batch

    def none_lost(self, batch, doubled=()):
        wanted, have = self.sides(batch)
        for path, contents in wanted.items():
            self.assertEqual(contents - have[path], collections.Counter(), "lost in %s" % (path,))
            if path not in doubled:
                self.assertEqual(have[path], contents, "doubled in %s" % (path,))

    def of_one_key(self, **policy):
        """Of two of one key one is there, whichever."""
        source, target, unknowable = {}, {}, set()
        for what, pair in PAIRS.items():
            for there in (0, 1):
                path = ("%s %d" % (what, there),)
                source[path], target[path] = list(pair), [pair[there]]
                if what == "of one size":
                    unknowable.add(path)
        batch = self.to(*self.servers(source, target), **policy)
        self.ends(batch.call("run"), 4)
        self.none_lost(batch, unknowable)
        doubts = batch.report()["users"][0]["doubts"]
        self.assertEqual({(d["folder"],) for d in doubts if d["type"] == "CopiesUnclear"}, unknowable)
        self.assertEqual({d["type"]: d["count"] for d in doubts}, {"CopiesUnclear": 2})
        return batch

    def test_two_of_one_key_and_one_of_them_there(self):
        batch = self.of_one_key(order="newest-first")
        batch.drop_state()
        self.ends(batch.call("run"), 0)
        self.assertEqual(self.balanced(batch.report())["totals"]["uploaded"], 0)

    def test_two_of_one_key_the_oldest_first(self):
        self.of_one_key(order="oldest-first")

    def test_two_of_one_key_fetched_before(self):
        pair = PAIRS["direct copy and one from a list"]
        for there in (0, 1):
            batch = self.to(*self.servers({("INBOX",): list(pair)}, {("INBOX",): [pair[there]]}))
            self.ends(batch.call("fetch"), 0)
            self.ends(batch.call("upload"), 0)
            self.none_lost(batch)

    def test_part_of_a_message_is_not_the_message(self):
        whole = mail.tiny(1, extra=b"0123456789abcdef\r\n" * 4000)
        part = mail.Message(whole.body[:18000], whole.date)
        source, target = self.servers({("INBOX",): [whole]}, {("INBOX",): [part]})
        batch = self.to(source, target)
        self.ends(batch.call("run"), 0)
        totals = self.balanced(batch.report())["totals"]
        self.assertEqual((totals["uploaded"], totals["present"]), (1, 0))

    def test_what_has_a_uid_is_not_what_lacks_one(self):
        """Of two equal messages there, APPENDUID was told of one; the third is not sent yet when a look is taken."""
        def tiny(serial):
            return mail.tiny(serial, mail.FIRST_S)

        twin = tiny(1)
        source, server = self.servers({("INBOX",): [twin, tiny(3), twin, twin, tiny(2)]}, None,
                                      capability_drop=("MULTIAPPEND", "LITERAL+"))
        told = iter((False, True, False))

        def edit(data):
            return data if b"[APPENDUID" not in data or next(told, True) else without_uids(data)

        target = self._started(Meddler(server, [Rule("^APPEND", after=True, skip=3, times=1)], answers=edit))
        batch = self.to(source, target, order="newest-first")
        self.ends(batch.call("fetch"), 0)
        self.ends(batch.call("upload"), 0)
        self.none_lost(batch)

    def test_the_same_mail_again_and_its_answer_lost(self):
        """Without APPENDUID: what an earlier run sent is below all that this one looks at, and claims nothing of it."""
        twin = mail.tiny(1)
        source, server = self.servers({("INBOX",): [twin]}, None)
        target = self._started(Meddler(server, [Rule("^APPEND", after=True, skip=1, times=1)], without_uids))
        batch = self.to(source, target)
        self.ends(batch.call("run"), 0)
        with source.connect("anna") as mailbox:
            mailbox.append(("INBOX",), [twin])
        self.ends(batch.call("run"), 0)
        self.none_lost(batch)

    DATE = re.compile(rb'INTERNALDATE "[^"]*"')

    def own_dates(self, data):
        """As of a server that keeps no INTERNALDATE."""
        return self.DATE.sub(b'INTERNALDATE " 2-Nov-2020 10:00:00 +0000"', data) if b" FETCH (" in data else data

    def test_a_target_that_gives_dates_of_its_own(self):
        """After a lost answer, and after a lost state folder; it is said once."""
        source, server = self.servers(
            {("INBOX",): [mail.tiny(i) for i in range(10)], ("Few",): [mail.tiny(20)]}, None,
            capability_drop=("MULTIAPPEND", "LITERAL+"))
        rule = Rule("^APPEND", after=True, skip=4, times=1)
        target = self._started(Meddler(server, [rule], self.own_dates))
        batch = self.to(source, target)
        self.ends(batch.call("run"), 0)
        self.none_lost(batch)
        self.assertEqual(rule.done, 1)
        batch.drop_state()
        self.ends(batch.call("run"), 0)
        self.none_lost(batch)
        problems = [p["type"] for u in batch.report()["users"] for f in u["folders"] for p in f.get("problems", ())]
        self.assertLessEqual(problems.count("TargetDatesOwn"), 1)

    def test_mail_without_a_name_where_dates_are_the_targets_own(self):
        """The first answer is lost, and no UID is told: nothing has shown yet that dates are not kept."""
        source, server = self.servers({("INBOX",): [variant(b"disk", 10 * i, b"") for i in range(6)]}, None,
                                      capability_drop=("MULTIAPPEND", "LITERAL+"))
        for lost in (0, 3):
            rule = Rule("^APPEND", after=True, skip=lost, times=1)
            target = self._started(Meddler(server, [rule], lambda data: self.own_dates(without_uids(data))))
            batch = self.to(source, target)
            self.ends(batch.call("run"), 0)
            self.assertEqual(rule.done, 1)
            self.none_lost(batch)
            with server.connect("anna@target.example") as mailbox:
                mailbox.imap.select("INBOX")
                mailbox.imap.store("1:*", "+FLAGS", "\\Deleted")
                mailbox.imap.expunge()
            batch.drop_state()

    def wrong_uids(self, edit):
        source, server = self.servers({("INBOX",): [mail.tiny(i) for i in range(10)]}, None,
                                      capability_drop=("MULTIAPPEND", "LITERAL+"))
        target = self._started(Meddler(server, [Rule("^APPEND", after=True, skip=4, times=1)], edit))
        batch = self.to(source, target)
        self.ends(batch.call("run"), 0)
        self.none_lost(batch)
        return batch

    def test_appenduids_that_are_too_high(self):
        """By far, and by one, which is the next message's."""
        for more in (100, 1):
            def edit(data):
                return re.sub(rb"(\[APPENDUID \d+ )(\d+)\]", lambda m: m[1] + b"%d]" % (int(m[2]) + more), data)

            self.assertIn("TargetUidsWrong", str(self.wrong_uids(edit).report()))

    def test_appenduids_of_another_folder(self):
        self.wrong_uids(lambda data: re.sub(rb"\[APPENDUID (\d+) (\d+)", rb"[APPENDUID 4711 1\2", data))
