"""What becomes of the target when folders of the source change between two runs: docs/nights.md says it, row by row."""

import collections

import mail
from haul import DOMAIN, Case

ADDRESS = "anna@" + DOMAIN
OLD, BOX, OTHER = ("Old",), ("Box",), ("Other",)


def some(first, count):
    return [mail.tiny(i, mail.FIRST_S + i) for i in range(first, first + count)]


class Changes(Case):
    """One user with mail in two folders, moved once; then the source changes, and runs follow until one has nothing to do."""

    def first(self, source=None):
        self.source = source or self.dovecot(["anna"])
        self.source.seed("anna", {BOX: some(0, 6), OTHER: some(20, 4)})
        self.target = self.target_for(["anna"])
        self.job = self.batch(self.source, self.target, ["anna"])
        self.job.set("target", "settle-time", "0")
        self.ends(self.job.call("run"), 0)
        self.moved(self.job)

    def next(self, code=0):
        """Another run, whose account is kept; and one after it, in which nothing comes to the target. What the target holds."""
        self.ends(self.job.call("run"), code)
        held = self.held()
        self.user = self.balanced(self.job.report())["users"][0]
        self.ends(self.job.call("run"), code)
        self.assertEqual(self.held(), held, "a run without news changed the target")
        return held

    def held(self, server=None, user=ADDRESS):
        """{folder: how often it holds each message} of the folders that hold any."""
        with (server or self.target).connect(user) as mailbox:
            found = {path: collections.Counter(item.digest for item in mailbox.read(path))
                     for path in mailbox.folders()}
        return {path: counts for path, counts in found.items() if counts}

    def of_source(self):
        return self.held(self.job.source, "anna")

    def row(self, name):
        return next(f for f in self.user["folders"] if f["target"] == name)

    def told(self, name):
        return {p["type"] for p in self.row(name)["problems"]}

    def renumbered(self, name):
        """Its messages were recognised on the target, none was uploaded again, and it was told."""
        self.assertEqual(self.row(name)["uploaded"], 0)
        self.assertEqual(self.row(name)["present"], self.row(name)["found"])
        self.assertIn("UidValidityChanged", self.told(name))

    def ask(self, *commands):
        with self.job.source.connect("anna") as mailbox:
            for name, *arguments in commands:
                self.assertEqual(getattr(mailbox.imap, name)(*arguments)[0], "OK", (name, arguments))

    def test_other_message_numbers(self):
        self.first()
        before = self.held()
        self.source.doveadm("mailbox", "update", "-u", "anna", "--uid-validity", "4242", "Box")
        self.assertEqual(self.next(), before)
        self.renumbered("Box")

    def deleted(self):
        before = self.held()
        self.ask(("delete", self.wire("Box")))
        self.assertEqual(self.next(), before, "nothing is removed from the target")
        self.assertEqual(self.row("Box")["uploaded"], 6)

    def made_again(self):
        """With half of what it had, and something new."""
        before = self.held()
        self.ask(("delete", self.wire("Box")))
        self.source.seed("anna", {BOX: some(0, 3) + some(40, 2)})
        after = self.next()
        self.assertEqual(after[BOX] - before[BOX], self.of_source()[BOX] - before[BOX])
        self.assertEqual(before[BOX] - after[BOX], collections.Counter())
        self.assertEqual(sum(after[BOX].values()), 8)

    def emptied(self):
        before = self.held()
        self.ask(("select", self.wire("Box")), ("store", "1:*", "+FLAGS", "\\Deleted"), ("expunge",))
        self.assertEqual(self.next(), before)
        self.assertEqual(self.row("Box")["uploaded"], 6)

    def split(self):
        before = self.held()
        self.ask(("create", self.wire("Old")), ("select", self.wire("Box")),
                 ("uid", "COPY", "1:3", self.wire("Old")), ("store", "1:3", "+FLAGS", "\\Deleted"), ("expunge",))
        after = self.next()
        self.assertEqual(after[BOX], before[BOX])
        self.assertEqual(after[OLD], self.of_source()[OLD])
        self.assertEqual([self.row(name)["uploaded"] for name in ("Box", "Old")], [6, 3])

    def merged(self):
        before = self.held()
        self.ask(("select", self.wire("Other")), ("copy", "1:*", self.wire("Box")), ("close",),
                 ("delete", self.wire("Other")))
        after = self.next()
        self.assertEqual(after[OTHER], before[OTHER])
        self.assertEqual(after[BOX], self.of_source()[BOX])
        self.assertEqual([self.row(name)["uploaded"] for name in ("Box", "Other")], [10, 4])

    def renamed(self):
        before = self.held()
        self.ask(("rename", self.wire("Box"), self.wire("Old")))
        after = self.next()
        self.assertEqual(after[BOX], before[BOX])
        self.assertEqual(after[OLD], before[BOX])
        self.assertEqual([self.row(name)["uploaded"] for name in ("Box", "Old")], [6, 6])

    def wire(self, name):
        return "INBOX." + name if self.source.kind == "cyrus" else name

    def test_a_folder_is_deleted(self):
        self.first()
        self.deleted()

    def test_a_folder_is_made_again(self):
        self.first()
        self.made_again()
        self.assertIn("UidValidityChanged", self.told("Box"))

    def test_a_folder_is_emptied(self):
        self.first()
        self.emptied()

    def test_a_folder_is_split(self):
        self.first()
        self.split()

    def test_folders_are_merged(self):
        self.first()
        self.merged()

    def test_a_folder_is_renamed(self):
        self.first()
        self.renamed()

    def test_a_mailbox_is_moved_to_another_server(self):
        """The same mail, other UIDVALIDITYs, another address in the batch file; one message is new."""
        self.first()
        before = self.held()
        other = self.dovecot(["anna"])
        other.seed("anna", {BOX: some(0, 6) + some(60, 1), OTHER: some(20, 4)})
        for name in ("Box", "Other"):
            other.doveadm("mailbox", "update", "-u", "anna", "--uid-validity", "4242", name)
        self.job.source = other
        self.job.set("source", "url", other.url(True)).set("source", "tls-ca", other.ca)
        after = self.next()
        self.assertEqual(sum((after[BOX] - before[BOX]).values()), 1)
        self.assertEqual(after, self.of_source())
        self.assertEqual((self.row("Box")["present"], self.row("Box")["uploaded"]), (6, 1))
        self.renumbered("Other")

    def test_all_of_it_at_a_cyrus(self):
        self.first(self.cyrus(["anna"]))
        self.split()
        self.ask(("delete", self.wire("Old")))
        self.made_again()
