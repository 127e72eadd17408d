"""What administrators, backups and neighbours do to a mailbox between two runs."""

import os
import shutil
import subprocess

import mail
from haul import DOMAIN, Case

ADDRESS = "anna@" + DOMAIN


def some(first, count, size=0):
    return [mail.tiny(i, mail.FIRST_S + i, extra=b"x" * (size + i)) for i in range(first, first + count)]


class Restored(Case):
    """A mailbox is put back from a backup: its UIDVALIDITY is the same, and UIDs are given a second time."""

    def setUp(self):
        super().setUp()
        self.source = self.dovecot(["anna"], format="maildir", separator=".")
        self.source.seed("anna", {("INBOX",): some(0, 10)})
        self.target = self.target_for(["anna"])
        self.job = self.batch(self.source, self.target, ["anna"])
        self.job.set("target", "settle-time", "0")

    def put_back(self, server, user, work):
        """As it was before work."""
        home = server.home(user)
        subprocess.run(["cp", "-a", home, home + ".copy"], check=True)
        work()
        shutil.rmtree(home)
        os.rename(home + ".copy", home)

    def lost_and_new(self, lost, new):
        self.ends(self.job.call("run"), 0)

        def work():
            self.source.seed("anna", {("INBOX",): some(100, lost)})
            self.ends(self.job.call("run"), 0)
        self.put_back(self.source, "anna", work)
        self.source.seed("anna", {("INBOX",): some(200, new)})
        self.ends(self.job.call("run"), 0)
        with self.target.connect(ADDRESS) as mailbox:
            there = sorted(item.digest for item in mailbox.read(("INBOX",)))
        with self.source.connect("anna") as mailbox:
            wanted = sorted(item.digest for item in mailbox.read(("INBOX",)))
        self.assertEqual([d for d in wanted if d not in there], [], "lost")
        self.assertEqual(len(there), len(set(there)), "doubled")
        self.assertEqual(len(there), 10 + lost + new)
        self.balanced(self.job.report())

    def test_fewer_came_since(self):
        self.lost_and_new(5, 2)

    def test_more_came_since(self):
        self.lost_and_new(3, 6)

    def target_put_back(self, new):
        """Its owner has new mail under the UIDs that moved mail had."""
        self.target.seed(ADDRESS, {("INBOX",): some(300, 4)})
        self.put_back(self.target, ADDRESS, lambda: self.ends(self.job.call("run"), 0))
        self.target.seed(ADDRESS, {("INBOX",): some(400, new)})
        self.source.seed("anna", {("INBOX",): some(100, 1)})
        self.ends(self.job.call("run"), 0)
        with self.target.connect(ADDRESS) as mailbox:
            there = [item.digest for item in mailbox.read(("INBOX",))]
        with self.source.connect("anna") as mailbox:
            wanted = {item.digest for item in mailbox.read(("INBOX",))}
        self.assertEqual(wanted - set(there), set(), "lost")
        self.assertEqual(len(there), len(set(there)), "doubled")
        report = self.balanced(self.job.report())
        self.assertIn("MovedAgain", {p["type"] for f in report["users"][0]["folders"] for p in f["problems"]})

    def test_a_target_with_more_since(self):
        self.target_put_back(12)

    def test_a_target_with_less_since(self):
        self.target_put_back(7)


class Unmounted(Case):
    """The source's storage is away, and an empty mailbox stands in its place."""

    def test_mail_that_waits(self):
        source = self.dovecot(["anna"], format="maildir", separator=".")
        source.seed("anna", {("INBOX",): some(0, 10), ("Work",): some(50, 20)})
        target = self.target_for(["anna"])
        job = self.batch(source, target, ["anna"])
        self.ends(job.call("plan"), 0)
        home = source.home("anna")
        os.rename(home, home + ".away")
        self.ends(job.call("run"), 4)
        user = self.balanced(job.report())["users"][0]
        self.assertEqual(sorted((d["folder"], d["count"]) for d in user["doubts"] if d["type"] == "SourceHoldsLess"),
                         [("", 20), ("INBOX", 10)], user["doubts"])
        shutil.rmtree(home)
        os.rename(home + ".away", home)
        self.ends(job.call("run"), 0)
        user = self.balanced(job.report())["users"][0]
        self.assertEqual((user["uploaded"], user["doubts"]), (30, []))


class Removed(Case):
    def test_a_retry_fills_a_folder_that_is_gone(self):
        """Somebody removed it after the user was Synced. A run that sends nothing there does not look; a retry does."""
        source = self.dovecot(["anna"], format="maildir", separator=".")
        source.seed("anna", {("INBOX",): some(0, 3), ("Work",): some(10, 5)})
        job = self.batch(source, self.target_for(["anna"]), ["anna"])
        self.ends(job.call("run"), 0)
        with job.target.connect(ADDRESS) as mailbox:
            mailbox.imap.delete("Work")
        self.ends(job.call("run"), 0)
        self.ends(job.call("retry"), 0)
        self.moved(job)
        self.balanced(job.report())
        self.ends(job.call("retry"), 0)
        self.moved(job)
