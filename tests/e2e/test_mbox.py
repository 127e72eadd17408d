"""mbox files as the source: what `export` writes, what servers left, what an MTA delivered."""

import hashlib
import os
import signal
import time

import mail
from haul import DOMAIN, Case, core

FROM = b"From a@mail.example Thu Jan  2 03:04:%02d 2014\n"


def text_of(messages, extra=b""):
    """As an MTA writes them."""
    return b"".join(FROM % (i % 60) + extra + m.body.replace(b"\r\n", b"\n").replace(b"\nFrom ", b"\n>From ") + b"\n"
                    for i, m in enumerate(messages))


def digest(message):
    return hashlib.sha256(message.body).hexdigest()


class FromFiles(Case):
    def setUp(self):
        super().setUp()
        self.root = os.path.join(self.folder, "mail")
        os.mkdir(self.root)

    def from_files(self, users, target=None, root=None):
        batch = self.batch(self.dovecot(["x"]), target or self.target_for(users), users)
        del batch.sections["source"]["tls-ca"]
        batch.passwords = {user: "" for user in users}  # a disk asks for none
        return batch.set("source", "url", "mbox:%s/{user}" % (root or self.root))

    def write(self, name, data):
        path = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data)

    def there(self, batch, path, user="anna"):
        with batch.target.connect("%s@%s" % (user, DOMAIN)) as mailbox:
            return list(mailbox.read(path))

    @core
    def test_what_export_writes(self):
        source = self.dovecot(["anna"], format="maildir", separator=".")
        folders = {("INBOX",): [mail.tiny(i) for i in range(5)] +
                   [mail.tiny(9, extra=b"\r\nFrom the start\r\n>From it\r\n\r\n")],
                   ("Work", "Süd"): [mail.tiny(50, 86400 * 365 * 40)]}
        source.seed("anna", folders)
        first = self.batch(source, self.target_for(["anna"]), ["anna"])
        self.ends(first.call("fetch"), 0)
        self.ends(first.call("export", "--what", "all", "--format", "mbox", "--to", self.root + "/out"), 0)
        batch = self.from_files(["anna"], root=self.root + "/out").set(
            "source", "url", "mbox:%s/out/{user}@%s" % (self.root, DOMAIN))
        self.assertIn("mbox", self.ends(batch.call("check"), 0).out)
        self.ends(batch.call("plan"), 0)
        self.ends(batch.call("run"), 0)
        self.assertEqual(self.balanced(batch.report())["totals"]["uploaded"], 7)
        for path, messages in folders.items():
            self.assertEqual(sorted((m.digest, m.date) for m in self.there(batch, path)),
                             sorted((digest(m), m.date) for m in messages))
        self.ends(batch.call("verify"), 0)

    def test_what_dovecot_left(self):
        """Its flags, keywords and numbers are in headers of its own, which it does not show."""
        source = self.dovecot(["anna"], format="mbox")
        # A file holds mail or is a folder of files.
        folders = {path[-1:]: messages for path, messages in mail.mailbox(3, 40).items()}
        source.seed("anna", folders)
        living = self.batch(source, self.target_for(["anna"]), ["anna"])
        self.ends(living.call("run"), 0)
        count = self.balanced(living.report())["totals"]["uploaded"]
        source.halt()
        batch = self.from_files(["anna"], living.target)
        batch.set("source", "url", "mbox:%s" % os.path.join(os.path.dirname(source.home("x")), "{user}", "mbox"))
        batch.folder, batch.path, batch.state = living.folder, living.path, living.state
        self.ends(batch.call("run"), 0)
        totals = self.balanced(batch.report())["totals"]
        self.assertEqual((totals["uploaded"], totals["present"]), (count, 0), "numbers are those of the server")
        batch.drop_state()
        self.ends(batch.call("run"), 0)
        totals = self.balanced(batch.report())["totals"]
        self.assertEqual((totals["uploaded"], totals["present"]), (0, count), "dates and bytes, too")
        fresh = self.from_files(["anna"]).set("source", "url", batch.sections["source"]["url"])
        self.ends(fresh.call("run"), 0)
        fresh.source = source
        source.start()
        try:
            self.moved(fresh)
        finally:
            source.halt()

    def test_nights_of_a_spool(self):
        """A file alone is the INBOX; mail comes, goes, and is read, and nothing is fetched twice."""
        messages = [mail.tiny(i, extra=b"From here on nothing.\r\n") for i in range(20)]
        self.write("anna", text_of(messages))
        batch = self.from_files(["anna"])
        self.ends(batch.call("run"), 0)
        self.assertEqual(sorted(m.digest for m in self.there(batch, ("INBOX",))), sorted(map(digest, messages)))
        self.write("anna", text_of(messages[5:], b"Status: RO\n") + text_of([mail.tiny(99)]))
        self.ends(batch.call("run"), 0)
        totals = self.balanced(batch.report())["totals"]
        self.assertEqual((totals["uploaded"], totals["present"]), (21, 0))
        batch.drop_state()
        self.ends(batch.call("run"), 0)
        totals = self.balanced(batch.report())["totals"]
        self.assertEqual((totals["uploaded"], totals["present"]), (0, 16))

    def test_flags_of_servers_and_what_is_no_mbox(self):
        known = mail.tiny(1)
        self.write("anna/INBOX", b"From x Thu Jan  2 03:04:05 2014\nX-IMAP: 7 9\nSubject: FOLDER INTERNAL DATA\n\nx\n\n" +
                   text_of([known], b"Status: RO\nX-Status: AF\nX-Keywords: Work\n"))
        self.write("anna/Lists/linux.kernel", text_of([mail.tiny(2)]))
        self.write("anna/notes", b"no mail at all")
        os.symlink("/etc/passwd", os.path.join(self.root, "anna", "evil"))
        os.mkfifo(os.path.join(self.root, "anna", "pipe"))
        batch = self.from_files(["anna", "nobody"])
        self.ends(batch.call("run"), 3)
        users = {u["address"].split("@")[0]: u for u in self.balanced(batch.report())["users"]}
        self.assertEqual((users["nobody"]["state"], users["nobody"]["failure"]), ("Failed", "MboxUnreadable"))
        self.assertEqual(users["anna"]["uploaded"], 2)
        self.assertEqual([(f["type"], f["folder"]) for f in users["anna"]["failures"]], [("MboxUnreadable", "notes")])
        there = self.there(batch, ("INBOX",))
        self.assertEqual([m.digest for m in there], [digest(known)])
        self.assertLessEqual({"\\seen", "\\answered", "\\flagged"}, set(there[0].flags))
        with batch.target.connect("anna@" + DOMAIN) as mailbox:
            self.assertIn(("Lists", "linux.kernel"), mailbox.folders())

    def test_killed_at_any_moment(self):
        self.write("anna/INBOX", text_of(mail.tiny(i) for i in range(150)))
        self.write("anna/Work.mbox", text_of(mail.tiny(i) for i in range(150, 300)))
        batch = self.from_files(["anna"])
        for wait_s in (0.1, 0.4, 0.8):
            running = batch.start("run")
            time.sleep(wait_s)
            running.signal(signal.SIGKILL)
            running.wait()
        self.ends(batch.call("run"), 0)
        totals = self.balanced(batch.report())["totals"]
        self.assertEqual((totals["found"], totals["uploaded"] + totals["present"]), (300, 300))
        self.assertEqual([len(self.there(batch, (name,))) for name in ("INBOX", "Work")], [150, 150])
