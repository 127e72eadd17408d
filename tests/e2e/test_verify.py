"""`verify`: both sides are read again, and every kind of difference is found and named."""

import os

import exchange
import mail
from haul import Case, DOMAIN
from quirky import Mail
from test_quirks import Odd, message, messages

ADDRESS = "anna@" + DOMAIN


class Verify(Case):
    def migrated(self, folders=None, target=None, **options):
        self.source = self.dovecot(["anna"], format="maildir", separator=".")
        self.folders = folders or {
            ("INBOX",): [mail.tiny(i, flags=("\\Seen",) if i % 2 else ()) for i in range(200)],
            ("Archive", "2019"): [mail.tiny(1000 + i) for i in range(30)]}
        self.source.seed("anna", self.folders)
        self.target = target or self.target_for(["anna"], format="maildir")
        self.one = self.batch(self.source, self.target, ["anna"])
        for section, key, value in options.pop("settings", ()):
            self.one.set(section, key, value)
        self.ends(self.one.call("run"), 0)
        return self.one

    def verify(self, code, *arguments):
        done = self.ends(self.one.call("verify", "--json", *arguments), code)
        self.assertEqual(done.json()["schema"], "mailhaul.verify.v1")
        return done.json()["users"][0]

    def what(self, user):
        return sorted((d["what"], d["folder"]) for d in user["differences"])

    def test_equal_sides_are_perfect_and_every_body_is_compared(self):
        self.migrated()
        anna = self.verify(0)
        self.assertEqual((anna["grade"], anna["source"], anna["target"]), ("Perfect", 230, 230))
        self.assertEqual(anna["bodies_compared"], 230)
        self.assertEqual(anna["differences"], [])
        anna = self.verify(0, "--sample", "7")
        self.assertEqual((anna["grade"], anna["bodies_compared"]), ("Perfect", 14))
        plain = self.ends(self.one.call("verify"), 0).out
        self.assertIn(ADDRESS, plain)
        self.assertIn("Perfect", plain)

    def test_flags_and_dates_are_good_only(self):
        self.migrated()
        with self.target.connect(ADDRESS) as mailbox:
            mailbox.imap.select("INBOX")
            mailbox.imap.uid("STORE", "3", "+FLAGS", "(\\Flagged)")
            # The same message with another INTERNALDATE in place of the first.
            again = mail.tiny(199, date=self.folders[("INBOX",)][199].date + 86400)
            mailbox.append(("INBOX",), [again])
            mailbox.imap.select("INBOX")
            uids = mailbox.imap.uid("SEARCH", "HEADER", "Message-ID", "<tiny.199@")[1][0].split()
            mailbox.imap.uid("STORE", uids[0], "+FLAGS", "(\\Deleted)")
            mailbox.imap.expunge()
        anna = self.verify(0)
        self.assertEqual(anna["grade"], "Good")
        self.assertEqual(self.what(anna), [("date", "INBOX"), ("flags", "INBOX")])
        self.assertEqual((anna["missing"], anna["doubled"], anna["differing"]), (0, 0, 2))

    def test_a_changed_body_is_content(self):
        self.migrated()
        inbox = os.path.join(self.target.home(ADDRESS), "Maildir", "cur")
        name = sorted(os.listdir(inbox))[17]
        path = os.path.join(inbox, name)
        date = os.stat(path)
        with open(path, "r+b") as f:
            text = f.read()
            f.seek(text.index(b"This is message"))
            f.write(b"That")
        os.utime(path, ns=(date.st_atime_ns, date.st_mtime_ns))  # Maildir's INTERNALDATE
        anna = self.verify(3)
        self.assertEqual(anna["grade"], "Investigate")
        self.assertEqual(self.what(anna), [("content", "INBOX")])
        self.assertRegex(anna["differences"][0]["message_id"], r"<tiny\.\d+@mail\.example>")

    def test_what_was_there_before_is_compared_too(self):
        """The run counts it as present, by its name, date and size; whether it is the same mail is told here. Part of
        a message is not counted: the message is sent, and the part is told as doubled."""
        folders = {("INBOX",): [mail.tiny(i) for i in range(1, 11)]}
        there = [mail.tiny(i) for i in range(1, 6)]
        there[1].body = there[1].body.replace(b"This is", b"That is")
        there[2].body = there[2].body[:there[2].body.index(b"\r\n\r\n") + 4]
        target = self.target_for(["anna"])
        target.seed(ADDRESS, {("INBOX",): there})
        self.migrated(folders, target)
        self.assertEqual(self.one.report()["totals"]["present"], 4)
        anna = self.verify(3)
        self.assertEqual((anna["missing"], anna["bodies_compared"]), (0, 10))
        self.assertEqual(sorted(self.what(anna)), [("content", "INBOX"), ("doubled", "INBOX")])
        self.assertNotEqual(anna["grade"], "Perfect")

    def test_missing_folder_and_doubled_mail(self):
        self.migrated()
        with self.target.connect(ADDRESS) as mailbox:
            mailbox.imap.delete('"Archive/2019"')
            mailbox.append(("INBOX",), self.folders[("INBOX",)][:2])
        anna = self.verify(3)
        self.assertEqual((anna["missing"], anna["doubled"], anna["grade"]), (30, 2, "Poor"))
        # The next run has nothing to say to this; the folder was Synced. What was there is known.
        self.assertEqual(len(anna["differences"]), 32)

    def test_policy_new_mail_and_mail_deleted_since_are_no_differences(self):
        large = mail.tiny(7, extra=(b"y" * 76 + b"\r\n") * 3000)
        self.migrated({("INBOX",): [mail.tiny(i) for i in range(40)] + [large],
                       ("Trash",): [mail.tiny(500)]},
                      settings=[("policy", "max-message-size", "100KB"),
                                ("policy", "large-item-limit", "unlimited"),
                                ("policy", "exclude-folders", "Trash")])
        with self.source.connect("anna") as mailbox:
            mailbox.append(("INBOX",), [mail.tiny(900), mail.tiny(901)])
            mailbox.create(("New",))
            mailbox.append(("New",), [mail.tiny(902)])
            mailbox.imap.select("INBOX")
            mailbox.imap.uid("STORE", "5", "+FLAGS", "(\\Deleted)")
            mailbox.imap.expunge()
        anna = self.verify(0)
        self.assertEqual((anna["grade"], anna["missing"], anna["new"], anna["skipped"]),
                         ("Perfect", 0, 3, 1))
        self.ends(self.one.call("run"), 0)
        self.assertEqual(self.verify(0)["new"], 0)

    def test_who_never_ran_is_not_judged(self):
        """What nobody counted is no number: not 0 on the target, and nothing is missing there."""
        self.source = self.dovecot(["anna", "ben"], format="maildir", separator=".")
        self.target = self.target_for(["anna", "ben"])
        for user in ("anna", "ben"):
            self.source.seed(user, {("INBOX",): [mail.tiny(i) for i in range(5)]})
        self.one = self.batch(self.source, self.target, ["anna", "ben"])
        self.ends(self.one.call("verify"), 64)  # no state folder yet
        self.ends(self.one.call("run", "--user", "anna@" + DOMAIN), 0)
        self.target.seed("ben@" + DOMAIN, {("INBOX",): [mail.tiny(i) for i in range(5)]})
        for command in (None, "plan", "fetch"):
            if command:
                self.ends(self.one.call(command), 0)
            done = self.ends(self.one.call("verify", "--json"), 3)
            users = {u["address"]: u for u in done.json()["users"]}
            self.assertEqual(users["anna@" + DOMAIN]["grade"], "Perfect")
            ben = users["ben@" + DOMAIN]
            self.assertEqual([ben[k] for k in ("target", "missing", "doubled", "differing")], [None] * 4, command)
            self.assertEqual((ben["grade"], ben["source"], ben["not_judged"]), ("not judged", 5, 5), command)
            self.assertEqual([(d["what"], d["folder"]) for d in ben["differences"]], [("not judged", "INBOX")])
            told = self.ends(self.one.call("verify"), 3).out
            self.assertRegex(told, r"ben@\S+ +not judged +5 at the source; no run has begun with it yet")
            self.assertNotRegex(told, "MISSING|0 on the target")
            self.assertIn("1 Perfect, 0 Good, 0 Investigate, 0 Poor, 1 not judged; of 5 messages at the source", told)
        self.ends(self.one.call("upload"), 0)
        users = self.ends(self.one.call("verify", "--json"), 0).json()["users"]
        self.assertEqual([(u["grade"], u["target"]) for u in users], [("Perfect", 5)] * 2)

    def test_a_side_that_cannot_be_read_is_told(self):
        self.migrated()
        self.one.passwords = {"anna": "totally wrong"}
        done = self.ends(self.one.call("verify", "--json"), 77)
        anna = done.json()["users"][0]
        self.assertEqual((anna["failure"], anna["complete"]), ("LoginFailed", False))
        self.assertNotEqual(anna["grade"], "Perfect")
        told = self.ends(self.one.call("verify"), 77).out
        self.assertIn("could not look: LoginFailed", told)
        self.assertIn("1 user: 1 could not be looked at", told)
        self.assertNotRegex(told, r"\d at the source")
        self.assertNotIn("totally wrong", done.out + done.err)
        self.one.passwords = {}
        self.target.halt()
        self.ends(self.one.call("verify", "--set", "policy.transient-failure-limit=2"), 69)

    def test_a_server_that_rewrites_mail_is_no_fault(self):
        # Cyrus makes its own line ends and header; what is told may only be content.
        target = self.cyrus(["anna"])
        self.source = self.dovecot(["anna"], format="maildir", separator=".")
        self.folders = mail.mailbox(5, 150)
        self.source.seed("anna", self.folders)
        self.one = self.batch(self.source, target, [("anna", ADDRESS)])
        self.one.target_logins = {"anna": "anna"}
        self.one.extra_columns = {"TargetUserName": {"anna": "anna"}}
        self.ends(self.one.call("run"), 0)
        anna = self.verify(0)
        self.assertEqual((anna["missing"], anna["doubled"]), (0, 0), anna["differences"])
        self.assertEqual(anna["source"], sum(map(len, self.folders.values())))


class Earlier(Odd):
    """What earlier versions may have left on the target, and called Synced."""

    def differences(self, batch, code=3):
        anna = self.ends(batch.call("verify", "--json"), code).json()["users"][0]
        self.assertNotEqual(anna["grade"], "Perfect")
        return sorted((d["what"], d["uid"]) for d in anna["differences"])

    def half(self, inbox, uid):
        """The source holds more of the message than came: what was fetched is its header alone."""
        whole = inbox[uid - 1].body
        inbox[uid - 1].body = whole[:whole.index(b"\r\n\r\n") + 4]
        return whole

    def test_a_copy_that_is_the_header_alone(self):
        inbox = messages(12)
        whole = self.half(inbox, 5)
        batch = self.job(self.source({"INBOX": inbox}))
        self.run_to(batch)
        inbox[4].body = whole
        self.assertEqual(self.differences(batch), [("content", 5)])

    def test_a_copy_that_is_the_header_alone_where_mail_is_rewritten(self):
        inbox = messages(12)
        whole = self.half(inbox, 5)
        source = self.source({"INBOX": inbox})
        target = self._started(exchange.Exchange({"anna@" + DOMAIN: 12}))
        batch = target.take(self.batch(source, target, ["anna"]))
        del batch.sections["source"]["tls-ca"]
        batch.set("source", "tls", "none")
        self.run_to(batch)
        self.ends(batch.call("verify"), 0)
        inbox[4].body = whole
        self.assertEqual(self.differences(batch), [("content", 5)])

    def test_a_doubled_copy_and_a_twin_in_place_of_another(self):
        """Two different mails of one Message-ID and date: one of them is there twice, the other is not."""
        inbox = [message(uid) for uid in range(1, 9)]
        other = Mail(9, inbox[3].body + b"To the list: one line more.\r\n", inbox[3].date)
        batch = self.job(self.source({"INBOX": inbox + [other]}))
        self.run_to(batch)
        self.ends(batch.call("verify"), 0)
        with batch.target.connect(batch.login("anna", "anna@target.example")) as there:
            there.imap.select("INBOX")
            uid = there.imap.uid("SEARCH", "BODY", '"To the list"')[1][0].decode()
            self.assertNotIn(" ", uid)
            there.imap.uid("STORE", uid, "+FLAGS", "(\\Deleted)")
            there.imap.expunge()
            for m in (inbox[3], inbox[0]):
                there.append(("INBOX",), [m])
        self.assertEqual([what for what, _ in self.differences(batch)], ["content", "doubled"])
