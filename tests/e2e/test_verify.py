"""`verify`: both sides are read again, and every kind of difference is found and named."""

import os

import mail
from haul import Case, DOMAIN

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
        anna = self.verify(0)  # nothing is missing or doubled
        self.assertEqual(anna["grade"], "Investigate")
        self.assertEqual(self.what(anna), [("content", "INBOX")])
        self.assertRegex(anna["differences"][0]["message_id"], r"<tiny\.\d+@mail\.example>")

    def test_what_was_there_before_is_compared_too(self):
        """The run counts it as present, by its name and date; whether it is the same mail is told here."""
        folders = {("INBOX",): [mail.tiny(i) for i in range(1, 11)]}
        there = [mail.tiny(i) for i in range(1, 6)]
        there[1].body = there[1].body.replace(b"This is", b"That was")
        there[2].body = there[2].body[:there[2].body.index(b"\r\n\r\n") + 4]
        target = self.target_for(["anna"])
        target.seed(ADDRESS, {("INBOX",): there})
        self.migrated(folders, target)
        self.assertEqual(self.one.report()["totals"]["present"], 5)
        anna = self.verify(0)
        self.assertEqual((anna["missing"], anna["bodies_compared"]), (0, 10))
        self.assertEqual(self.what(anna), [("content", "INBOX")] * 2)
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

    def test_who_never_ran_misses_everything(self):
        self.source = self.dovecot(["anna", "ben"], format="maildir", separator=".")
        self.target = self.target_for(["anna", "ben"])
        for user in ("anna", "ben"):
            self.source.seed(user, {("INBOX",): [mail.tiny(i) for i in range(5)]})
        self.one = self.batch(self.source, self.target, ["anna", "ben"])
        self.ends(self.one.call("verify"), 64)  # no state folder yet
        self.ends(self.one.call("run", "--user", "anna@" + DOMAIN), 0)
        done = self.ends(self.one.call("verify", "--json"), 3)
        users = {u["address"]: u for u in done.json()["users"]}
        self.assertEqual(users["anna@" + DOMAIN]["grade"], "Perfect")
        self.assertEqual(users["ben@" + DOMAIN]["missing"], 5)
        told = self.ends(self.one.call("verify"), 3).out
        self.assertIn("no run has begun with this user yet: all that is to move counts as missing", told)
        self.assertIn("missing  INBOX, the whole folder", told)
        self.ends(self.one.call("plan"), 0)  # knows ben's folders, and moves nothing
        told = self.ends(self.one.call("verify"), 3).out
        self.assertEqual(told.count("no run has begun with this user yet"), 1)

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
        self.assertNotIn("at the source", told)
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
