"""Refusals that pass, and messages that a target never takes: an outage costs no message, and one bad message
costs itself alone."""

import re
import threading

import mail
from exchange import Exchange
from haul import DOMAIN, Case
from meddler import Meddler, Rule

ADDRESS = "anna@" + DOMAIN


class AtExchange(Case):
    """The simulated Exchange, without its pace."""

    def run_with(self, fault, messages, code=0):
        source = self.dovecot(["anna"], format="maildir", separator=".")
        source.seed("anna", {("INBOX",): messages})
        target = self._started(Exchange([ADDRESS], **{"plain-auth": "yes", "plain-password": "secret",
                                                      "fault": fault}))
        target.users = {ADDRESS: "secret"}
        batch = self.batch(source, target, ["anna"])
        batch.sections["target"] = {"preset": "imap", "url": target.url(), "tls-ca": target.ca,
                                    "settle-time": "200ms"}
        batch.set("policy", "retry-wait", "20ms")
        self.ends(batch.call("run"), code)
        user = self.balanced(batch.report())["users"][0]
        self.assertEqual(len(target.messages(ADDRESS)), user["uploaded"])
        return user

    def test_it_takes_nothing_for_a_while(self):
        user = self.run_with("point=before-plus action=reply limit=11 text=NO Temporary unavailable",
                             [mail.tiny(i) for i in range(40)])
        self.assertEqual((user["uploaded"], user["failed"], user["repaired"]), (40, 0, 0))
        self.assertTrue(user["failures"], "it is told")

    def test_one_message_that_it_never_takes(self):
        for action in ("bye", "reset", "reply text=BAD Command Error. 10", "reply text=NO Not this one"):
            with self.subTest(action=action):
                user = self.run_with("point=last-byte over=10000 action=" + action,
                                     [mail.tiny(i) for i in range(12)] + [mail.tiny(99, extra=b"x" * 70 * 300)] +
                                     [mail.tiny(100 + i) for i in range(12)], 3)
                self.assertEqual((user["uploaded"], user["failed"], user["failure"]), (24, 1, "TooManyBadItems"))
                self.assertIn("MessageRejected", [f["type"] for f in user["failures"] if f["uid"]])


class AtDovecot(Case):
    """A Dovecot that is sent to in a pipeline, and meddled with."""

    MESSAGES = 60
    limit = None # transient-failure-limit
    WAIT = "20ms"

    @staticmethod
    def too_big(place, at):
        return mail.tiny(900 + place + 100 * at, extra=b"x" * (70 * 300 + at))

    def run_with(self, *rules, code=0, bad=(), flags=None, answers=None, **keys):
        """flags: of the message of this number."""
        source = self.dovecot(["anna"])
        self.bad = [self.too_big(i, at) for at, i in enumerate(bad)]
        messages = [mail.tiny(i) for i in range(self.MESSAGES)]
        if flags:
            messages = [mail.Message(m.body, m.date, flags(i)) for i, m in enumerate(messages)]
        for place, message in zip(bad, self.bad):
            messages.insert(place, message)
        source.seed("anna", {("INBOX",): messages})
        self.meddler = self._started(Meddler(
            self.target_for(["anna"]), list(rules),
            lambda line: (answers or bytes)(line.replace(b" MULTIAPPEND", b""))))
        batch = self.job = self.batch(source, self.meddler, ["anna"])
        batch.sections["target"] = {"preset": "imap", "url": self.meddler.url(), "tls": "none",
                                    "settle-time": "200ms", **keys}
        batch.set("policy", "retry-wait", self.WAIT)
        if self.limit:
            batch.set("policy", "transient-failure-limit", self.limit)
        self.ends(batch.call("run"), code)
        return self.balanced(batch.report())

    def each_once(self, count):
        with self.meddler.connect(ADDRESS) as mailbox:
            self.assertEqual(len(mailbox.uids(("INBOX",))), count)

    def named(self, report, count=1):
        user = report["users"][0]
        self.assertEqual((user["failed"], user["failure"]), (count, "TooManyBadItems"))
        self.assertEqual(user["uploaded"], self.MESSAGES)
        self.each_once(self.MESSAGES)
        failures = [f for f in user["failures"] if f["uid"]]
        self.assertIn("MessageRejected", {f["type"] for f in failures}, failures)
        return [f for f in failures if f["type"] == "MessageRejected"]

    # A line of a command that carries the bad message.
    BIG = r"^APPEND .*\{2\d{4}\+?\}"


class Passes(AtDovecot):
    """A pipeline that is refused for a while; the words say this and that."""

    def passes(self, text, times=36):
        report = self.run_with(Rule("^APPEND", answer=text, times=times))
        self.assertEqual((report["totals"]["uploaded"], report["totals"]["repaired"]), (self.MESSAGES, 0))
        self.each_once(self.MESSAGES)

    def test_in_words_that_nobody_knows(self):
        self.passes("NO System I/O error")

    def test_in_words_that_tell_of_a_state(self):
        self.passes("NO [INUSE] Unable to lock mailbox")

    def test_in_words_about_the_message(self):
        self.passes("NO [CANNOT] Access denied")


class Own(AtDovecot):
    """Several messages that are refused each time, in one pipeline, each in words of its own."""

    MESSAGES = 400
    WAIT = "1ms"

    def test_each_is_told_with_its_own(self):
        words = ["[SERVERBUG] That one, %d, went wrong" % at for at in range(4)]
        rules = [Rule(r"^APPEND .*\{%d\+?\}" % len(self.too_big(390, at).body), answer="NO " + text)
                 for at, text in enumerate(words)]
        report = self.run_with(*rules, code=3, bad=[390] * 4)
        user = report["users"][0]
        self.assertEqual((user["uploaded"], user["failed"]), (self.MESSAGES, 4))
        self.assertEqual({f["server_text"]: f["count"] for f in user["failures"] if f["type"] == "MessageRejected"},
                         {text: 1 for text in words})


class Passing(AtDovecot):
    """Some messages are refused each time, in words that say that it passes; the others are taken."""

    WORDS = "NO Message rejected, try again later"

    def named_as_passing(self, bad, words):
        report = self.run_with(Rule(self.BIG, answer=words), code=3, bad=bad)
        user = report["users"][0]
        self.assertEqual((user["uploaded"], user["failed"], user["pending"], user["failure"]),
                         (self.MESSAGES, len(bad), 0, "TooManyBadItems"))
        self.each_once(self.MESSAGES)
        self.assertEqual(len({i["uid"] for i in user["failed_items"]}), len(bad), user["failed_items"])
        said = [f["server_text"] for f in user["failures"] if f["type"] == "MessageRejected" and f["uid"]]
        self.assertEqual(said, [words[3:]])

    def test_among_the_others(self):
        # On a slow machine the others may all be taken before these have had their turns, and nothing is left to show
        # that the folder takes mail: then they are waited for as often as the limit says.
        self.limit = 6
        self.named_as_passing([5, 14, 23, 32, 41, 50], self.WORDS)

    def test_a_state_of_the_server_before_the_others(self):
        self.limit = 6
        self.named_as_passing([54, 55, 56, 57, 58, 59], "NO [UNAVAILABLE] Backend is away")

    def test_when_nothing_else_is_left(self):
        self.limit = 6
        self.named_as_passing([0, 0, 0, 0, 0, 0], self.WORDS)

    def test_it_passes(self):
        """Refused three times each, and then taken: nothing has failed."""
        report = self.run_with(Rule(self.BIG, answer=self.WORDS, times=18), bad=[5, 14, 23, 32, 41, 50])
        self.assertEqual((report["totals"]["uploaded"], report["totals"]["failed"]), (self.MESSAGES + 6, 0))
        self.each_once(self.MESSAGES + 6)


class Folders(Case):
    """A folder that the target will not make, in words that say that it passes."""

    def run_with(self, *rules, code=0):
        source = self.dovecot(["anna"])
        source.seed("anna", {("INBOX",): [mail.tiny(i) for i in range(3)],
                             ("Bad",): [mail.tiny(20 + i) for i in range(20)],
                             ("Good",): [mail.tiny(50 + i) for i in range(8)]})
        self.meddler = self._started(Meddler(self.target_for(["anna"]), list(rules)))
        batch = self.batch(source, self.meddler, ["anna"])
        batch.sections["target"] = {"preset": "imap", "url": self.meddler.url(), "tls": "none", "settle-time": "200ms",
                                    "connections-per-mailbox": "1"}
        batch.set("policy", "retry-wait", "10ms")
        self.ends(batch.call("run"), code)
        return self.balanced(batch.report())["users"][0]

    def test_never(self):
        user = self.run_with(Rule(r'^CREATE "?Bad', answer="NO Try again later"), code=3)
        self.assertEqual((user["uploaded"], user["pending"]), (11, 20))
        self.assertEqual(user["failure"], "TargetUnavailable")
        self.assertIn(("Bad", "Try again later"), {(f["folder"], f["server_text"]) for f in user["failures"]})
        made = [i for i, line in enumerate(self.meddler.lines) if line.startswith("CREATE") and "Bad" in line]
        self.assertLessEqual(len(made), 10)
        sent = [i for i, line in enumerate(self.meddler.lines) if line.startswith("APPEND") and "Good" in line]
        self.assertLess(sent[0], made[-2], "the others do not wait for it")

    def test_not_at_first(self):
        user = self.run_with(Rule(r'^CREATE "?Bad', answer="NO [UNAVAILABLE] Try again later", times=3))
        self.assertEqual((user["uploaded"], user["state"]), (31, "Synced"))


class Opens(Case):
    """A source, or a target, that opens no folder for a while; and a folder that is never opened."""

    PATHS = ("INBOX", "A", "B", "C", "D", "E", "F", "G")

    def run_with(self, *rules, code=0, at="source", **keys):
        inner = self.dovecot(["anna"])
        inner.seed("anna", {(path,): [mail.tiny(10 * i + n) for n in range(2)] for i, path in enumerate(self.PATHS)})
        source, target = inner, self.target_for(["anna"])
        self.meddler = self._started(Meddler(source if at == "source" else target, list(rules)))
        if at == "source":
            source = self.meddler
        else:
            target = self.meddler
        batch = self.batch(source, target, ["anna"])
        batch.sections["source"] = {"url": source.url(False), "tls": "none"}
        batch.sections["target"] = {"preset": "imap", "url": target.url(False), "tls": "none",
                                    "connections-per-mailbox": "1", "settle-time": "200ms"}
        batch.set("policy", "retry-wait", "10ms")
        self.ends(batch.call("run"), code)
        user = self.balanced(batch.report())["users"][0]
        self.failed = {f["folder"] for f in user["failures"] if f["folder"]}
        return user

    def passes(self, *rules, **keys):
        user = self.run_with(*rules, **keys)
        self.assertEqual((user["state"], user["uploaded"], user["pending"]), ("Synced", 16, 0), user["failures"])
        self.assertTrue(all(rule.times == 0 for rule in rules), [rule.times for rule in rules])

    def test_the_source_opens_none_for_a_while(self):
        self.passes(Rule("^(EXAMINE|SELECT)", answer="NO [CANNOT] Access denied", times=15))

    def test_nor_when_they_were_listed(self):
        """They are opened once more for their bodies, since connections go."""
        self.passes(Rule(Source.BODY % r"\S+", close=True, times=4),
                    Rule("^(EXAMINE|SELECT)", answer="NO [UNAVAILABLE] Try again later", skip=8, times=16))

    def opens_all_but(self, folder, words):
        one = r'^(EXAMINE|SELECT) "?%s"?$' % folder
        user = self.run_with(Rule(one, answer=words), code=3)
        self.assertEqual((user["uploaded"], user["failure"]), (14, "SelectFailed"))
        self.assertEqual(self.failed, {folder})
        self.assertLess(self.meddler.asked(one), 9)

    def test_one_that_the_source_never_opens(self):
        self.opens_all_but("D", "NO [NOPERM] Permission denied")

    def test_an_inbox_that_the_source_never_opens(self):
        self.opens_all_but("INBOX", "NO System I/O error")

    def test_a_source_that_never_opens_any(self):
        user = self.run_with(Rule("^(EXAMINE|SELECT)", answer="NO System I/O error"), code=3)
        self.assertEqual((user["uploaded"], set(self.PATHS) - self.failed), (0, set()))

    def test_the_target_opens_and_makes_none_for_a_while(self):
        self.passes(Rule("^(EXAMINE|SELECT|STATUS|CREATE)", answer="NO System I/O error", times=25), at="target")

    def test_one_that_the_target_never_makes(self):
        user = self.run_with(Rule(r'^CREATE "?D"?$', answer="NO System I/O error"), code=3, at="target")
        self.assertEqual((user["uploaded"], self.failed), (14, {"D"}))
        self.assertLess(self.meddler.asked(r'^CREATE "?D"?$'), 12)


class Everybody(Case):
    """A server that opens no folder of any mailbox for a while, longer than one mailbox alone would be waited for."""

    USERS = ("anna", "bert", "cara", "dora")

    def run_with(self, rules, at):
        inner = self.dovecot(self.USERS)
        for user in self.USERS:
            inner.seed(user, {("INBOX",): [mail.tiny(i) for i in range(2)]})
        source, target = inner, self.target_for(self.USERS)
        self.meddler = self._started(Meddler(source if at == "source" else target, rules))
        if at == "source":
            source = self.meddler
        else:
            target = self.meddler
        batch = self.batch(source, target, self.USERS)
        batch.sections["source"] = {"url": source.url(False), "tls": "none", "connections-per-user": "1"}
        batch.sections["target"] = {"preset": "imap", "url": target.url(False), "tls": "none",
                                    "connections-per-mailbox": "1", "settle-time": "200ms"}
        batch.set("policy", "retry-wait", "2ms")
        self.ran = batch.call("run")
        return {u["address"].split("@")[0]: u for u in self.balanced(batch.report())["users"]}

    def passes(self, pattern, times, at, words="NO System I/O error"):
        """As often as all of them together would be asked for, each alone; all begin at once."""
        begin = threading.Barrier(len(self.USERS), timeout=60)
        first = Rule(pattern, answer=words, times=len(self.USERS), until=lambda: begin.wait() >= 0)
        rule = Rule(pattern, answer=words, times=times * len(self.USERS))
        users = self.run_with([first, rule], at)
        self.ends(self.ran, 0)
        self.assertEqual({u["state"] for u in users.values()}, {"Synced"}, [u["failures"] for u in users.values()])
        self.assertEqual(rule.times, 0)
        self.assertEqual(self.ran.err.count("folders.open-none"), 1, "told once")

    def test_the_source(self):
        self.passes("^(EXAMINE|SELECT)", 21, "source", "NO [CANNOT] Access denied")

    def test_the_target(self):
        self.passes("^(EXAMINE|SELECT|STATUS)", 12, "target")


class Costly(AtDovecot):
    """One message ends the connection each time that it is sent."""

    def test_a_connection_that_goes(self):
        failures = self.named(self.run_with(Rule(self.BIG, close=True), code=3, bad=[30]))
        self.assertIn("at last alone", failures[0]["server_text"])

    def test_two_of_them(self):
        self.named(self.run_with(Rule(self.BIG, close=True), code=3, bad=[10, 50]), 2)

    def test_no_answer_but_without_a_tag(self):
        report = self.run_with(Rule(self.BIG, untagged=["* BAD command line limit exceeded"]), code=3, bad=[30],
                               **{"stall-limit": "300ms"})
        self.assertIn("command line limit exceeded", self.named(report)[0]["server_text"])

    def test_one_that_was_stored_each_time_is_none(self):
        """It is looked for after each loss."""
        report = self.run_with(Rule(self.BIG, after=True), bad=[30])
        self.assertEqual(report["totals"]["failed"], 0)
        self.each_once(self.MESSAGES + 1)


class Source(Case):
    """A source that refuses bodies, in every form of asking."""

    MESSAGES = 60

    def run_with(self, rule, code=0):
        inner = self.dovecot(["anna"])
        inner.seed("anna", {("INBOX",): [mail.tiny(i) for i in range(self.MESSAGES)]})
        self.meddler = self._started(Meddler(inner, [rule]))
        batch = self.batch(self.meddler, self.target_for(["anna"]), ["anna"])
        batch.sections["source"] = {"url": self.meddler.url(), "tls": "none"}
        batch.set("policy", "retry-wait", "20ms")
        self.ends(batch.call("run"), code)
        return self.balanced(batch.report())["users"][0]

    def passes(self, times, text):
        rule = Rule(self.BODY % r"\S+", answer=text, times=times)
        user = self.run_with(rule)
        self.assertEqual((user["state"], user["uploaded"], user["failed"]), ("Synced", self.MESSAGES, 0))
        self.assertEqual(rule.times, 0)
        self.assertIn(("ServerBug", text[3:]), {(f["type"], f["server_text"]) for f in user["failures"]})
        # It is asked in no way that would leave marks.
        self.assertEqual([p["type"] for f in user["folders"] for p in f["problems"]], [])

    # A command that asks for bodies of these messages.
    BODY = r"^UID FETCH %s \(?.*(BODY|RFC822)(?!\.SIZE)"

    def test_it_gives_nothing_for_a_while(self):
        self.passes(200, "NO [UNAVAILABLE] Try again later")

    def test_nor_in_words_that_nobody_knows(self):
        self.passes(150, "NO System I/O error")

    def test_it_gives_nothing_ever(self):
        """Then each of them has failed by name."""
        user = self.run_with(Rule(self.BODY % r"\S+", answer="NO System I/O error"), code=3)
        self.assertEqual((user["failed"], len({i["uid"] for i in user["failed_items"]})), (self.MESSAGES,) * 2)

    def test_one_that_it_never_gives(self):
        class Names31:
            """Alone or in a set."""

            @staticmethod
            def search(line):
                asked = re.match(Source.BODY % r"(\S+)", line)
                ranges = [part.partition(":") for part in asked.group(1).split(",")] if asked else []
                return any(int(first) <= 31 <= int(last or first) for first, _, last in ranges)
        rule = Rule("", answer="NO [UNAVAILABLE] Try again later")
        rule.pattern = Names31
        user = self.run_with(rule, code=3)
        self.assertEqual((user["uploaded"], [i["uid"] for i in user["failed_items"]]), (self.MESSAGES - 1, [31]))


class Flags(AtDovecot):
    """A target that does not take system flags, or does not keep them: the messages come without."""

    def refused(self, flags, words, repairs):
        report = self.run_with(Rule(r"^APPEND \S+ \([^)]*\\(Flagged|Answered|Draft|Seen)", answer=words), flags=flags)
        having = [i for i in range(self.MESSAGES) if flags(i)]
        self.assertEqual((report["totals"]["uploaded"], report["totals"]["failed"]), (self.MESSAGES, 0))
        self.assertEqual(report["totals"]["repaired"], len(having))
        self.assertEqual({tuple(m["repairs"]) for m in report["users"][0]["repaired_items"]}, {repairs})
        self.assertEqual(report["users"][0]["state"], "Synced")
        self.each_once(self.MESSAGES)
        with self.meddler.connect(ADDRESS) as mailbox:
            self.assertEqual({tuple(i.flags) for i in mailbox.read(("INBOX",))}, {()})
        verify = self.ends(self.job.call("verify", "--json"), 0).json()["users"][0]
        self.assertEqual((verify["missing"], verify["differences"]), (0, []))

    def test_some_are_refused_by_name(self):
        self.refused(lambda i: ("\\Flagged", "\\Answered") if i % 10 == 3 else (), r"NO [CANNOT] \Flagged is not allowed",
                     ("flags",))

    def test_some_are_refused_in_words_that_name_no_flag(self):
        self.refused(lambda i: ("\\Seen", "\\Draft") if i % 10 == 3 else (), "NO [CANNOT] Not this one", ("flags", "seen"))

    def test_none_is_taken_with_any(self):
        self.MESSAGES = 12
        self.refused(lambda i: ("\\Seen",), "NO Invalid flag", ("seen",))

    def test_they_are_not_kept(self):
        """The target says so, and takes them; nothing is refused, and nothing is a repair."""
        report = self.run_with(flags=lambda i: ("\\Flagged",) if i % 10 == 3 else ("\\Seen",),
                               answers=lambda line: line.replace(b"\\Flagged ", b"")
                               if b"[PERMANENTFLAGS" in line else line)
        self.assertEqual((report["totals"]["uploaded"], report["totals"]["repaired"]), (self.MESSAGES, 0))
        told = [p["text"] for f in report["users"][0]["folders"] for p in f["problems"] if p["type"] == "FlagsNotKept"]
        self.assertEqual(len(told), 1, told)
        self.assertIn("\\Flagged", told[0])
        self.assertEqual(report["users"][0]["state"], "Synced")
