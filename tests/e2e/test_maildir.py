"""A Maildir tree as the source: the disk of a server that is not there any more."""

import os
import signal
import time

import mail
import maildir
from haul import DOMAIN, Case, core


class FromDisk(Case):
    def dead(self, source, users, target=None):
        """A batch that reads what the server left on its disk."""
        source.halt()
        batch = self.batch(source, target or self.target_for(users), users)
        del batch.sections["source"]["tls-ca"]
        batch.passwords = {user: "" for user in users}  # a disk asks for none
        return batch.set("source", "url", "maildir:" + os.path.join(os.path.dirname(source.home("x")), "{user}", "Maildir"))

    def same(self, batch, source, **options):
        """The server, awake for once, has what the target has."""
        source.start()
        try:
            return self.moved(batch, **options)
        finally:
            source.halt()

    @core
    def test_what_dovecot_left(self):
        source = self.dovecot(["anna", "ben"], format="maildir")
        folders = mail.mailbox(3, 60)
        source.seed("anna", folders)
        source.seed("ben", {("INBOX",): [mail.tiny(i) for i in range(5)]})
        batch = self.dead(source, ["anna", "ben"])
        self.assertIn("disk", self.ends(batch.call("check"), 0).out)
        tree = self.ends(batch.call("folders", "--user", "anna", "--json"), 0).json()
        count = sum(len(m) for m in folders.values())
        self.assertEqual(sum(f["messages"] for f in tree["folders"]), count)
        self.ends(batch.call("plan"), 0)
        self.ends(batch.call("run"), 0)
        self.same(batch, source)
        totals = self.balanced(batch.report())["totals"]
        self.assertEqual(totals["uploaded"], count + 5)
        self.ends(batch.call("verify"), 0)

        # The next night: flags changed, one is gone, one came, and the rest is as it was.
        inbox = os.path.join(source.home("ben"), "Maildir")
        first, second = sorted(os.listdir(inbox + "/cur") or os.listdir(inbox + "/new"))[:2]
        part = "cur" if os.listdir(inbox + "/cur") else "new"
        os.rename("%s/%s/%s" % (inbox, part, first), "%s/cur/%s:2,FRS" % (inbox, first.split(":")[0]))
        os.unlink("%s/%s/%s" % (inbox, part, second))
        with open(inbox + "/new/1234567890.new.mail", "wb") as f:
            f.write(mail.tiny(77).body.replace(b"\r\n", b"\n"))
        self.ends(batch.call("run"), 0)
        again = self.balanced(batch.report())["totals"]
        self.assertEqual(again["uploaded"], count + 6)

        out = os.path.join(batch.folder, "out")
        # Without the state: all of it is recognised.
        batch.drop_state()
        self.ends(batch.call("run"), 0)
        totals = self.balanced(batch.report())["totals"]
        self.assertEqual((totals["uploaded"], totals["present"]), (0, count + 5))
        done = self.ends(batch.call("export", "--user", "ben", "--what", "all", "--format", "eml", "--to", out), 0)
        self.assertEqual(sum(len(files) for _, _, files in os.walk(out) if files), 6, str(done))

        # What export writes is such a tree as well.
        out = os.path.join(batch.folder, "tree")
        self.ends(batch.call("export", "--user", "ben", "--what", "all", "--to", out), 0)
        from_export = self.batch(source, self.target_for(["ben"]), ["ben"])
        del from_export.sections["source"]["tls-ca"]
        from_export.set("source", "url", "maildir:%s/{user}@%s" % (out, DOMAIN))
        self.ends(from_export.call("run"), 0)
        self.assertEqual(self.balanced(from_export.report())["totals"]["uploaded"], 5)

    def test_what_courier_left(self):
        source = self.courier(["anna"])
        folders = {tuple(part.replace("/", "-") for part in path): m for path, m in mail.mailbox(1, 40).items()}
        source.seed("anna", folders)
        batch = self.dead(source, ["anna"])
        self.ends(batch.call("run"), 0)
        self.same(batch, source)
        self.assertEqual(self.balanced(batch.report())["totals"]["uploaded"], sum(len(m) for m in folders.values()))

    def test_the_server_was_migrated_from_before(self):
        """A run over IMAP, then the server dies: its numbers are on the disk, and nothing is read twice."""
        source = self.dovecot(["anna"], format="maildir")
        source.seed("anna", {("INBOX",): [mail.tiny(i) for i in range(7)], ("Work",): [mail.tiny(9)]})
        living = self.batch(source, self.target_for(["anna"]), ["anna"])
        self.ends(living.call("run"), 0)
        batch = self.dead(source, ["anna"], living.target)
        batch.folder, batch.path, batch.state = living.folder, living.path, living.state
        self.ends(batch.call("run"), 0)
        totals = self.balanced(batch.report())["totals"]
        self.assertEqual((totals["uploaded"], totals["present"]), (8, 0))
        self.same(batch, source)

    def test_names_flags_and_what_cannot_be_read(self):
        """Trees that no server made: names in UTF-8 and in modified UTF-7, keywords, LF line ends, a file that is a link,
        users that are not there or lead elsewhere."""
        root = os.path.join(self.folder, "mail")
        message = mail.tiny(1)
        message.flags = {"\\Seen", "$Forwarded"}
        maildir.write(os.path.join(root, "anna"), {("INBOX",): [message], ("F\u00f6rder",): [mail.tiny(2)]})
        for name in (os.path.join(root, "anna", ".M\u00fcll"), os.path.join(root, "anna", ".M\u00fcll", "cur")):
            os.mkdir(name)
        with open(os.path.join(root, "anna", ".M\u00fcll", "cur", "5.lf:2,S"), "wb") as f:
            f.write(mail.tiny(3).body.replace(b"\r\n", b"\n"))
        os.symlink("/etc/passwd", os.path.join(root, "anna", "cur", "6.link:2,S"))
        source = self.dovecot(["anna"], format="maildir")
        batch = self.dead(source, ["anna", "nobody", "../anna"])
        batch.set("source", "url", "maildir:%s/{user}" % root).set("policy", "bad-item-limit", "5")
        batch.users[2] = ("../anna", "ben@" + DOMAIN)
        batch.target.users.setdefault("ben@" + DOMAIN, "x")
        self.ends(batch.call("run"), 3)
        users = {u["address"].split("@")[0]: u for u in self.balanced(batch.report())["users"]}
        self.assertEqual((users["anna"]["uploaded"], users["anna"]["failed"]), (3, 1))
        for name in ("nobody", "ben"):
            self.assertEqual((users[name]["state"], users[name]["failure"]), ("Failed", "MaildirUnreadable"))
        self.assertEqual([(f["type"], f["folder"]) for f in users["anna"]["failures"]], [("MessageUnreadable", "INBOX")])
        with batch.target.connect("anna@" + DOMAIN) as there:
            self.assertEqual({path for path in there.folders() if path[0] in ("F\u00f6rder", "M\u00fcll")},
                             {("F\u00f6rder",), ("M\u00fcll",)})

    def test_killed_at_any_moment(self):
        """Each message once, whenever the run was killed; its numbers outlive it."""
        root = os.path.join(self.folder, "mail")
        maildir.write(os.path.join(root, "anna"), {("INBOX",): [mail.tiny(i) for i in range(150)],
                                                   ("Work",): [mail.tiny(i) for i in range(150, 300)]})
        batch = self.dead(self.dovecot(["anna"], format="maildir"), ["anna"])
        batch.set("source", "url", "maildir:%s/{user}" % root)
        for wait_s in (0.1, 0.4, 0.8):
            running = batch.start("run")
            time.sleep(wait_s)
            running.signal(signal.SIGKILL)
            running.wait()
        self.ends(batch.call("run"), 0)
        totals = self.balanced(batch.report())["totals"]
        self.assertEqual((totals["found"], totals["uploaded"] + totals["present"]), (300, 300))
        with batch.target.connect("anna@" + DOMAIN) as there:
            self.assertEqual([len(there.uids((name,))) for name in ("INBOX", "Work")], [150, 150])

    def test_a_disk_is_no_target_and_asks_for_no_login(self):
        source = self.dovecot(["anna"])
        batch = self.batch(source, source, ["anna"])
        batch.set("target", "url", "maildir:/srv/mail/{user}")
        self.assertIn("no target", self.ends(batch.call("check"), 78).err)
        batch.set("target", "url", source.url()).set("source", "url", "maildir:/srv/mail/{user}")
        self.assertIn("tls-ca", self.ends(batch.call("check"), 78).err)
        for url in ("maildir:/srv/mail", "maildir:relative/{user}", "maildir:/srv/../{user}"):
            batch.set("source", "url", url)
            self.assertIn("{user}", self.ends(batch.call("check"), 78).err)
