"""A state folder that version 0.1.0 (commit e1ea065) wrote, with the mail of its source and target as both were then: nine messages
uploaded, one above the limit, three fetched and not uploaded yet. tests/support/state-0.1.0.tar.xz was made by that program."""

import os
import shutil
import subprocess

import mail
import servers
from haul import DOMAIN, Case

ADDRESS = "anna@" + DOMAIN
FIXTURE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support", "state-0.1.0.tar.xz")


class FromTheFirst(Case):
    def setUp(self):
        super().setUp()
        left = os.path.join(self.folder, "left")
        os.mkdir(left)
        subprocess.run(["tar", "-xJf", FIXTURE, "-C", left], check=True)
        self.source = self.dovecot(["anna"], format="maildir", separator=".")
        self.target = self.dovecot([ADDRESS], format="maildir", separator=".")
        for server, user, name in ((self.source, "anna", "source"), (self.target, ADDRESS, "target")):
            server.halt()
            shutil.rmtree(server.home(user), ignore_errors=True)
            os.makedirs(os.path.dirname(server.home(user)), exist_ok=True)
            os.rename(os.path.join(left, name), server.home(user))
            servers.hand_over(server.home(user))
            server.start()
        self.job = self.batch(self.source, self.target, ["anna"])
        self.job.set("policy", "max-message-size", "30 KB")
        os.rename(os.path.join(left, "state"), self.job.state)

    def counts(self, report):
        totals = self.balanced(report)["totals"]
        return {name: totals[name] for name in ("found", "uploaded", "present", "skipped", "failed", "pending")}

    def test_it_is_read_as_it_was_meant(self):
        self.ends(self.job.call("spool-check"), 0)
        before = self.counts(self.job.report())
        self.assertEqual((before["found"], before["uploaded"], before["pending"]), (13, 9, 3))
        self.assertIn("anna@", self.job.call("status").out)

    def test_it_goes_on(self):
        """What was fetched is uploaded from the old spool, what is new is moved, what changed meanwhile is followed, and nothing else."""
        with self.source.connect("anna") as mailbox:
            mailbox.imap.select("INBOX")
            self.assertEqual(mailbox.imap.uid("STORE", "1", "+FLAGS", "(\\Flagged)")[0], "OK")
        self.source.seed("anna", {("Work", "Old"): [mail.tiny(40)]})
        done = self.job.call("run")
        after = self.counts(self.job.report())
        self.assertEqual((after["found"], after["uploaded"], after["present"], after["pending"]), (14, 13, 0, 0), str(done))
        with self.source.connect("anna") as mailbox:
            wanted = sorted((path, item.digest, sorted(item.flags - {"\\recent"}), item.date) for path in (("INBOX",), ("Work", "Old"))
                            for item in mailbox.read(path) if item.size < 30000)
        with self.target.connect(ADDRESS) as mailbox:
            there = sorted((path, item.digest, sorted(item.flags - {"\\recent"}), item.date) for path in (("INBOX",), ("Work", "Old"))
                           for item in mailbox.read(path))
        self.assertEqual(there, wanted)
        again = self.job.call("run")
        self.assertEqual(self.counts(self.job.report()), after, str(again))
        self.ends(self.job.call("spool-check"), 0)
