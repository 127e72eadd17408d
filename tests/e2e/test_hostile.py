"""What a hostile server, or the owner of a mailbox, may try: commands in the target's session, the end of the
whole batch, memory without bound. Real Dovecots where they can be had, tests/support/quirky.py for the rest."""

import mail
from haul import Case
from quirky import Mail, Quirky
from test_quirks import Odd, message, messages

INJECTION = "x{%d}\r\n" + ("\r\nz1 DELETE Precious\r\nz2 CREATE OWNED-BY-SOURCE\r\n"
                           "z3 SELECT Precious\r\nz4 UID STORE 1:* +FLAGS (\\Deleted)\r\nz5 EXPUNGE\r\na7 NOOP\r\nz6 ")


def flagged(uid, *flags):
    plain = message(uid)
    return Mail(uid, plain.body, plain.date, flags)


class Keywords(Odd):
    def flags_of(self, batch, path, user="anna"):
        with batch.target.connect(batch.login(user, "%s@target.example" % user)) as mailbox:
            return [sorted(i.flags) for i in mailbox.read(path)]

    def told(self, report):
        return [p for f in report["users"][0]["folders"] for p in f["problems"] if p["type"] == "KeywordsDropped"]

    def test_nothing_of_a_keyword_is_a_command_at_the_target(self):
        """Whatever the source calls one: the target's session runs what we wrote, and no more."""
        injection = INJECTION % (len(INJECTION) - len("x{%d}\r\n"))
        inbox = [flagged(1, "\\Seen", "$Forwarded"), flagged(2, "kw", injection, "$after"),
                 flagged(3, '"a)\rb"', 'odd"word', "a]b", "{9}", "tab\tbed", "\x1b[2J"),
                 flagged(4, "NonJunk", "\\Flagged")]
        source = self.source({"INBOX": inbox})
        batch = self.job(source)
        with batch.target.connect("anna@target.example") as mailbox:
            mailbox.create(("Precious",))
            mailbox.append(("Precious",), [mail.tiny(1)])
        _, report = self.run_to(batch)
        self.arrived(batch, ("INBOX",), inbox)
        with batch.target.connect("anna@target.example") as mailbox:
            self.assertEqual(set(mailbox.folders()) - {("Drafts",), ("Junk",), ("Sent",), ("Trash",)},
                             {("INBOX",), ("Precious",)})
            self.assertEqual(len(mailbox.uids(("Precious",))), 1)
        self.assertEqual(self.flags_of(batch, ("INBOX",)),
                         [["$forwarded", "\\seen"], ["$after", "kw"], [], ["\\flagged", "nonjunk"]])
        self.assertEqual(len(self.told(report)), 1)
        self.assertIn("UID 2", self.told(report)[0]["text"])

    def test_many_keywords_on_one_message(self):
        """The owner of a mailbox can set them on an ordinary server; nobody else's mail must wait for that."""
        words = ["keyword-%02d-%s" % (i, "x" * 36) for i in range(30)]
        server = self.dovecot(["anna", "ben", "anna@target.example", "ben@target.example"])
        for user in ("anna", "ben"):
            server.seed(user, {("INBOX",): [mail.tiny(i) for i in range(3)]})
        server.doveadm("flags", "add", "-u", "anna", " ".join(words), "mailbox", "INBOX", "2")
        batch = self.batch(server, server, ["anna", "ben"])
        for _ in range(2):
            _, report = self.run_to(batch)
            self.assertEqual([u["state"][-6:] for u in report["users"]], ["Synced", "Synced"])
        self.assertEqual([u["uploaded"] for u in report["users"]], [3, 3])
        kept = [len([f for f in flags if f.startswith("keyword-")]) for flags in self.flags_of(batch, ("INBOX",))]
        self.assertEqual(kept, [0, 1024 // 48, 0])
        self.assertIn("UID 2", self.told(report)[0]["text"])
        self.ends(batch.call("plan"), 0)
        self.ends(batch.call("verify"), 0)

    def test_a_target_that_refuses_what_goes_with_a_message(self):
        """Sent again with less of it: what is odd, then the rest; told as a repair. A real Dovecot refuses keywords of
        300 letters."""
        inbox = [flagged(1, "$Forwarded"), flagged(2, "good", "x" * 300, "\\Flagged"), flagged(3, "\\Seen")]
        batch = self.job(self.source({"INBOX": inbox}))
        _, report = self.run_to(batch)
        self.arrived(batch, ("INBOX",), inbox)
        self.assertEqual(sorted(self.flags_of(batch, ("INBOX",))), [["$forwarded"], ["\\flagged", "good"], ["\\seen"]])
        self.assertEqual(self.failures(report), [])
        told = report["users"][0]["repaired_items"]
        self.assertEqual([(m["uid"], m["repairs"]) for m in told], [(2, ["odd-keywords"])])


class Names(Odd):
    """Rows of LIST whose names, or whose parents' names, no command can hold."""
    LONG = {"long": "p" * 9000 + "/child", "quotes": '"' * 40000 + "/child", "plain": "q" * 9000}

    def every_command(self, batch, code):
        batch.set("policy", "retry-wait", "20ms")
        self.ends(batch.call("run"), code)
        self.balanced(batch.report())
        for command in (["plan"], ["verify"], ["folders", "--user", batch.users[0][1]], ["check", "--all"]):
            done = batch.call(*command)
            self.assertGreaterEqual(done.code, 0, "%s: %s" % (command, done))
            self.assertNotIn("Assertion", done.err)

    def test_from_the_source(self):
        folders = {"INBOX": messages(3)}
        folders.update((name, []) for name in self.LONG.values())
        source = self.source(folders)
        batch = self.job(source)
        self.every_command(batch, 4)  # what they hold is not known: NamesLeftOut
        self.arrived(batch, ("INBOX",), messages(3))

    def test_names_that_a_terminal_would_obey(self):
        names = ["a\x1b[2Jb", "t\x1b]0;owned\x07", "&AJs-2J", "x&IC4-fdp"]
        batch = self.job(self.source({"INBOX": [], **{name: [] for name in names}}))
        for options in ([], ["--json"]):
            done = self.ends(batch.call("folders", *options), 0)
            self.assertNotRegex(done.out + done.err, "[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]")
        self.assertIn("a.[2Jb", self.ends(batch.call("folders"), 0).out)

    def test_hidden_parents_without_end(self):
        """More than can be asked for: what is not is told."""
        batch = self.job(self.source({"INBOX": [], "/".join("d" * 20000): []}))
        done = self.ends(batch.call("folders", "--json"), 0)
        self.assertIn("more than 500 folders that lie above others are not shown", done.out)

    def test_from_the_target(self):
        folders = {"INBOX": []}
        folders.update((name, []) for name in self.LONG.values())
        target = self._started(Quirky({"anna@target.example": folders}))
        source = self.source({"INBOX": messages(3), "A": []})
        batch = self.batch(source, target, ["anna"])
        for side in ("source", "target"):
            del batch.sections[side]["tls-ca"]
            batch.set(side, "tls", "none")
        # It knows no APPEND.
        batch.set("policy", "transient-failure-limit", "2")
        batch.set("policy", "retry-wait", "20ms")
        for command in (["plan"], ["check", "--all"], ["verify"], ["run"]):
            done = batch.call(*command)
            self.assertGreaterEqual(done.code, 0, "%s: %s" % (command, done))
            self.assertNotIn("Assertion", done.err)


class Numbers(Case):
    """UIDs that are far apart: a folder's numbers are walked through by what it holds, not by how many there may be."""

    def test_a_target_whose_numbers_are_nearly_spent(self):
        source, target = self.dovecot(["anna"]), self.target_for(["anna"])
        both = {("INBOX",): [mail.tiny(i) for i in range(5)]}
        source.seed("anna", both)
        target.seed("anna@target.example", both)
        for server, user in ((source, "anna"), (target, "anna@target.example")):
            server.doveadm("mailbox", "update", "-u", user, "--min-next-uid", "4000000000", "INBOX")
        more = {("INBOX",): [mail.tiny(100 + i) for i in range(3)]}
        source.seed("anna", more)
        target.seed("anna@target.example", more)
        batch = self.batch(source, target, ["anna"])
        self.ends(batch.call("run", limit_s=60), 0)
        totals = self.balanced(batch.report())["totals"]
        self.assertEqual((totals["present"], totals["uploaded"]), (8, 0))
        self.ends(batch.call("verify", limit_s=60), 0)
