"""GNU Mailutils' imap4d on either side: mbox files, and a grammar of its own."""

import os
import re

import imap
import mail
import servers
from haul import DOMAIN, Case, core

SOURCE = "source.example"


def user_of(name):
    return "%s@%s" % (name, SOURCE)


class Mailutils(Case):
    def setUp(self):
        super().setUp()
        # imap4d keeps its books in the header of a mail, and hands them out: UIDNEXT in the first
        # of a mailbox, flags and UID in each.
        imap.Mailbox.books = re.compile(
            rb"(?im)^(?:X-IMAPbase|X-UID|Status|X-Status|X-UIDValidity): .*\r\n")
        self.addCleanup(setattr, imap.Mailbox, "books", None)


class FromMailutils(Mailutils):
    def source(self, names=("anna", "ben"), count=100, **options):
        source = self.mailutils([user_of(n) for n in names], **options)
        self.messages = 0
        for seed, name in enumerate(names):
            # An mbox holds either mail or other mailboxes, and imap4d knows no keyword.
            folders = {path if len(path) < 3 else (path[0], " ".join(path[1:])): [
                mail.Message(m.body, m.date, [f for f in m.flags if f.startswith("\\")])
                for m in messages] for path, messages in mail.mailbox(seed, count).items()}
            self.messages += sum(len(m) for m in folders.values())
            source.seed(user_of(name), folders)
        return source

    def job(self, source, names=("anna", "ben"), **options):
        return self.batch(source, self.target_for(names), [
            (user_of(n), "%s@%s" % (n, DOMAIN)) for n in names], **options)

    def all_of_it_once(self, differ=(), **options):
        """differ: (folder, UID) of messages that the source gives with other bytes the next time."""
        source = self.source(**options)
        batch = self.job(source)
        self.ends(batch.call("run"), 0)
        self.assertEqual(self.moved(batch).source, self.messages)
        self.assertEqual(self.balanced(batch.report())["totals"]["uploaded"], self.messages)
        self.ends(batch.call("run"), 0)
        self.moved(batch)
        source.seed(user_of("anna"), {("INBOX",): [mail.tiny(1)], ("New", "one"): [mail.tiny(2)]})
        self.ends(batch.call("run"), 0)
        self.moved(batch)
        self.assertEqual(self.balanced(batch.report())["totals"]["found"], self.messages + 2)
        batch.drop_state()
        self.ends(batch.call("run"), 0)
        self.moved(batch)
        totals = self.balanced(batch.report())["totals"]
        self.assertEqual((totals["uploaded"], totals["present"]), (0, self.messages + 2))
        checked = self.ends(batch.call("verify", "--json"), 3 if differ else 0).json()
        self.assertEqual([(d["folder"], d["uid"], d["what"]) for u in checked["users"] for d in u["differences"]],
                         [(*d, "content") for d in differ])

    @core
    def test_mbox(self):
        """imap4d keeps its own notes in the header of a mailbox's first message, and gives them as part of it."""
        self.all_of_it_once(differ=[("INBOX", 1)])

    def test_maildir(self):
        self.all_of_it_once(format="maildir")

    def test_ways_of_logging_in(self):
        """It offers SCRAM, CRAM-MD5 and a dozen others, and can do none of them."""
        source = self.source(["anna"], 30)
        target = self.target_for(["anna"])
        for way, tls in (("auto", True), ("auto", False), ("plain", False), ("login", True)):
            with self.subTest(way=way, tls=tls):
                batch = self.job(source, ["anna"], source_tls=tls)
                batch.set("source", "auth", way)
                self.ends(batch.call("run"), 0)
                self.moved(batch)
        del target

    def test_a_wrong_password_is_one_attempt(self):
        source = self.source(["anna", "ben"], 20)
        batch = self.job(source)
        batch.passwords[user_of("anna")] = "wrong"
        self.ends(batch.call("run", "--threads", "1"), 3)
        states = {u["address"]: u for u in self.balanced(batch.report())["users"]}
        self.assertEqual(states["ben@" + DOMAIN]["state"], "Synced")
        self.assertEqual(states["anna@" + DOMAIN]["failure"], "LoginFailed")
        refused = re.findall("Error authenticating|login.*fail", source.log_text(10000))
        self.assertEqual(len(refused), 1, source.log_text(200))

    def test_check_and_folders(self):
        source = self.source(["anna"], 60)
        batch = self.job(source, ["anna"])
        self.ends(batch.call("check"), 0)
        tree = self.ends(batch.call("folders", "--json"), 0).json()
        self.assertEqual(sum(f["messages"] for f in tree["folders"]), self.messages)
        self.ends(batch.call("run"), 0)
        report = batch.report()["users"][0]
        self.assertEqual({f["source"]: f["target"] for f in tree["folders"] if f["messages"]},
                         {f["source"]: f["target"] for f in report["folders"] if f["found"]})

    def test_mail_that_was_delivered(self):
        """mbox files as an MTA leaves them: never opened, no UID and no UIDVALIDITY in them."""
        source = self.mailutils([user_of("anna")])
        home = source.home(user_of("anna"))
        os.makedirs(home + "/mail", exist_ok=True)
        for name in ("INBOX", "mail/Old"):
            with open(os.path.join(home, name), "wb") as f:
                for serial in range(30):
                    body = mail.tiny(serial, extra=b"From here on nothing.\r\n\r\nr\xe9sum\xe9\r\n").body
                    body = body.replace(b"\r\n", b"\n").replace(b"\nFrom ", b"\n>From ")
                    f.write(b"From a@mail.example Thu Jan  2 03:04:%02d 2014\n%s\n" % (serial, body))
        servers.hand_over(home)
        batch = self.job(source, ["anna"])
        for round in range(3):
            self.ends(batch.call("run"), 0)
            self.assertEqual(self.moved(batch).source, 60)
        batch.drop_state()
        self.ends(batch.call("run"), 0)
        self.moved(batch)
        self.assertEqual(self.balanced(batch.report())["totals"]["present"], 60)


class ToMailutils(Mailutils):
    def job(self, folders, **options):
        source = self.dovecot(["anna"], format="maildir", special_use={})
        source.seed("anna", folders)
        return self.batch(source, self.mailutils(["anna@" + DOMAIN], **options), ["anna"])

    def without_keywords(self, batch):
        return self.moved(batch, ignore_flags={k.lower() for k in mail.KEYWORDS})

    def test_all_of_it_once(self):
        folders = mail.mailbox(3, 100)
        del folders[("Archive", "2020", "Q4")]
        batch = self.job(folders)
        self.ends(batch.call("run"), 0)
        self.without_keywords(batch)
        self.ends(batch.call("run"), 0)
        self.without_keywords(batch)
        batch.drop_state()
        self.ends(batch.call("run"), 0)
        self.without_keywords(batch)

    def test_without_an_inbox(self):
        """APPEND is refused with TRYCREATE until there is one; CREATE INBOX makes it."""
        batch = self.job({("INBOX",): [mail.tiny(1)], ("Sent",): [mail.tiny(2)]}, inbox=False)
        self.ends(batch.call("run"), 0)
        self.without_keywords(batch)

    def test_a_mailbox_that_can_have_no_children(self):
        """An mbox is a file: below it there is no room. That folder alone is the cost, and a line
        under [folders] finds it a place."""
        batch = self.job({("INBOX",): [mail.tiny(1)], ("a",): [mail.tiny(2)],
                          ("a", "b"): [mail.tiny(3)], ("c",): [mail.tiny(4)]})
        self.ends(batch.call("run"), 3)
        report = self.balanced(batch.report())
        self.assertEqual({f["source"]: f["pending"] for f in report["users"][0]["folders"]},
                         {"INBOX": 0, "a": 0, "a/b": 1, "c": 0})
        self.assertEqual([(f["type"], f["folder"]) for f in report["users"][0]["failures"]],
                         [("InvalidMailboxName", "a/b")])
        batch.drop_state()
        batch.set("folders", "a/b", "a and b")
        self.ends(batch.call("run"), 0)
        self.moved(batch, target_path=lambda p: {("a", "b"): ("a and b",)}.get(p, p))
