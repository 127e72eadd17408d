"""Courier on either side: INBOX. before all names, dots between them, and its own grammar."""

import os

import mail
import servers
from haul import DOMAIN, Case, core


class FromCourier(Case):
    def source(self, users=("anna", "ben"), count=100, **options):
        source = self.courier(users, **options)
        self.messages = 0
        for seed, user in enumerate(users):
            folders = mail.mailbox(seed, count)
            # Courier has no name with a slash in it.
            folders = {tuple(part.replace("/", "-") for part in path): m
                       for path, m in folders.items()}
            self.messages += sum(len(m) for m in folders.values())
            source.seed(user, folders)
        return source

    def again(self, batch):
        """A second run moves nothing, and writes nothing to the source."""
        self.ends(batch.call("run"), 0)
        self.moved(batch)
        report = self.balanced(batch.report())
        self.assertEqual(report["totals"]["failed"], 0)
        return report

    @core
    def test_all_of_it_once(self):
        source = self.source()
        batch = self.batch(source, self.target_for(["anna", "ben"]), ["anna", "ben"])
        self.ends(batch.call("run"), 0)
        self.assertEqual(self.moved(batch).source, self.messages)
        first = self.balanced(batch.report())["totals"]
        self.assertEqual(first["uploaded"], self.messages)
        self.assertEqual(self.again(batch)["totals"]["uploaded"], first["uploaded"])
        source.seed("anna", {("INBOX",): [mail.tiny(1)], ("New", "one"): [mail.tiny(2)]})
        self.assertEqual(self.again(batch)["totals"]["uploaded"], first["uploaded"] + 2)
        batch.drop_state()
        report = self.again(batch)
        self.assertEqual(report["totals"]["uploaded"], 0)
        self.assertEqual(report["totals"]["present"], self.messages + 2)
        self.ends(batch.call("verify"), 0)

    def test_ways_of_logging_in(self):
        source = self.source(["anna"], 30)
        target = self.target_for(["anna"])
        for way, tls in (("cram-md5", False), ("plain", True), ("login", True), ("auto", False)):
            with self.subTest(way=way):
                batch = self.batch(source, target, ["anna"], source_tls=tls)  # False: STARTTLS
                batch.set("source", "auth", way)
                self.ends(batch.call("run"), 0)
                self.moved(batch)

    def test_a_wrong_password(self):
        source = self.source(["anna", "ben"], 20)
        batch = self.batch(source, self.target_for(["anna", "ben"]), ["anna", "ben"])
        batch.passwords["anna"] = "wrong"
        self.ends(batch.call("run"), 3)
        states = {u["address"]: u for u in self.balanced(batch.report())["users"]}
        self.assertEqual(states["ben@" + DOMAIN]["state"], "Synced")
        self.assertEqual(states["anna@" + DOMAIN]["failure"], "LoginFailed")

    def test_check_and_folders(self):
        source = self.source(["anna"], 60)
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        checked = self.ends(batch.call("check"), 0).out
        self.assertIn("Courier", checked)
        tree = self.ends(batch.call("folders", "--json"), 0).json()
        names = {f["source"]: f for f in tree["folders"]}
        self.assertEqual(names["Archive/2020/Q4"]["target"], "Archive/2020/Q4")
        self.assertEqual(sum(f["messages"] for f in tree["folders"]), self.messages)
        self.ends(batch.call("run"), 0)
        report = batch.report()["users"][0]
        self.assertEqual({f["source"]: f["target"] for f in tree["folders"]
                          if f["messages"]},
                         {f["source"]: f["target"] for f in report["folders"] if f["found"]})

    def on_disk(self, source, name, serial):
        """A folder as it lies in the Maildir, and a message in it."""
        folder = os.path.join(os.fsencode(source.home("anna")), b"Maildir", b"." + name)
        for part in (b"cur", b"new", b"tmp"):
            os.makedirs(os.path.join(folder, part))
        open(folder + b"/maildirfolder", "w").close()
        path = os.path.join(folder, b"cur", b"%d.seed:2,S" % serial)
        with open(path, "wb") as f:
            f.write(mail.tiny(serial).body.replace(b"\r\n", b"\n"))
        os.utime(path, (1577880000, 1577880000))
        servers.hand_over(os.fsdecode(folder))

    def test_names_that_other_programs_made(self):
        """Children of the INBOX beside a folder of that name, controls, blanks, wildcards; and
        names that Courier neither lists nor opens, which nobody can see."""
        source = self.source(["anna"], 20)
        names = [b"INBOX.Child", b"Child", b"inbox", b"x y ", b'q"uote', b"back\\slash", b"*star",
                 "Entw\u00fcrfe".encode(), b"tab\there", b"a.b.c", b"no&-sense"]
        for serial, name in enumerate(names):
            self.on_disk(source, name, serial)
        self.on_disk(source, b"two..dots", 99)
        target = self.target_for(["anna"], format="mdbox")
        batch = self.batch(source, target, ["anna"])
        self.ends(batch.call("run"), 0)
        report = self.balanced(batch.report())
        self.assertEqual(report["totals"]["uploaded"], self.messages + len(names))
        goals = {("inbox",): ("INBOX", "inbox"), ("tab\there",): ("tab\u2409here",)}
        self.moved(batch, target_path=lambda p: goals.get(p, p))
        # EXAMINE made up a UIDVALIDITY for folders that Courier had never opened and did not keep it
        # (S03): they are read again, and recognised.
        self.ends(batch.call("run"), 0)
        totals = self.balanced(batch.report())["totals"]
        self.assertEqual(totals["uploaded"] + totals["present"], self.messages + len(names))
        self.moved(batch, target_path=lambda p: goals.get(p, p))

    def test_a_name_over_which_list_ends_the_session(self):
        """A folder with a byte that is no UTF-8, as some old client made it (N21): Courier goes away
        at LIST, also at that of its level. The INBOX is not lost with it, and the report says that
        there may be more."""
        source = self.source(["anna"], 20)
        self.on_disk(source, b"brevl\x8cdor", 1)
        batch = self.batch(source, self.target_for(["anna"], format="mdbox"), ["anna"])
        batch.set("policy", "retry-wait", "20ms")
        self.ends(batch.call("run"), 3)
        user = self.balanced(batch.report())["users"][0]
        self.assertEqual(user["failure"], "FolderListIncomplete")
        self.assertEqual([f["source"] for f in user["folders"]], ["INBOX"])
        self.assertGreater(user["uploaded"], 0)
        with source.connect("anna") as there, batch.target.connect("anna@" + DOMAIN) as here:
            self.assertEqual(sorted(i.digest for i in there.read(("INBOX",))),
                             sorted(i.digest for i in here.read(("INBOX",))))

    def test_a_connection_limit(self):
        """MAXPERIP: the connection closes before a word is said."""
        users = ["anna", "ben"]
        source = self.source(users, 60, per_address=1)
        batch = self.batch(source, self.target_for(users), users)
        batch.set("policy", "retry-wait", "500ms")
        self.ends(batch.call("run"), 0)
        self.assertEqual(self.balanced(batch.report())["totals"]["uploaded"], self.messages)
        self.assertIn("Maximum connection limit reached", source.log_text(10000))

    def test_who_is_turned_away_for_long_is_not_given_up(self):
        """One place for four users, and a patience that silent closes would have used up. It is long enough for the
        first one's login, on a busy machine too: before that nobody knows that the server lets anybody in."""
        users = ["anna", "ben", "carl", "dora"]
        source = self.source(users, 80, per_address=1)
        for tls in (False, True):  # False: STARTTLS, so that it is closed before a greeting; True: amid the handshake
            with self.subTest(tls=tls):
                batch = self.batch(source, self.target_for(users), users, source_tls=tls)
                batch.set("policy", "retry-wait", "250ms")
                self.ends(batch.call("run"), 0)
                report = self.balanced(batch.report())
                self.assertEqual(report["totals"]["uploaded"], self.messages)
                told = {f["type"] for u in report["users"] for f in u["failures"]}
                self.assertIn("ConnectionLimit", told)
                self.ends(batch.call("verify"), 0)


class ToCourier(Case):
    def moves(self, folders, goals, **options):
        """goals: {source path: target path} where they are not the same."""
        source = self.dovecot(["anna"], **options)
        source.seed("anna", folders)
        target = self.courier(["anna@" + DOMAIN])
        batch = self.batch(source, target, ["anna"])
        for round in ("at first", "again", "without the state"):
            with self.subTest(round):
                self.ends(batch.call("run"), 0)
                self.moved(batch, target_path=lambda p: goals.get(p, p))
                report = self.balanced(batch.report())
                self.assertEqual(report["totals"]["failed"], 0)
                if round == "again":
                    batch.drop_state()
        self.ends(batch.call("verify"), 0)
        return target, report["users"][0]

    def names(self, server, user="anna@" + DOMAIN):
        """As Courier has them."""
        with server.connect(user) as mailbox:
            return {mailbox.wire_name(p) for p in mailbox.folders()}

    @core
    def test_below_inbox(self):
        target, _ = self.moves(mail.mailbox(3, 100), {}, format="maildir", separator="/")
        self.assertIn("INBOX.Archive.2020.Q4", self.names(target))

    def test_children_of_the_inbox_and_names_it_cannot_hold(self):
        folders = {("INBOX",): [mail.tiny(1)], ("INBOX", "Child"): [mail.tiny(2)],
                   ("INBOX", "Child", "deep"): [mail.tiny(3)],
                   ("Child",): [mail.tiny(4)], ("v1.2", "notes"): [mail.tiny(5)],
                   ("a:b",): [mail.tiny(6)], ("x ",): [mail.tiny(7)]}
        target, user = self.moves(
            folders, {("v1.2", "notes"): ("v1\u20242", "notes")}, format="mdbox", separator="/")
        self.assertLessEqual({"INBOX", "INBOX.INBOX.Child", "INBOX.INBOX.Child.deep", "INBOX.Child",
                              "INBOX.v1&ICQ-2.notes", "INBOX.a:b", "INBOX.x "}, self.names(target))
        renamed = [f["source"] for f in user["folders"] for p in f["problems"]]
        self.assertEqual(renamed, ["v1.2/notes"])

    def test_the_way_back_is_the_same(self):
        """From one Courier to another: every name is what it was."""
        folders = {("INBOX",): [mail.tiny(1)], ("INBOX", "Child"): [mail.tiny(2)],
                   ("Child",): [mail.tiny(3)], ("Sent",): [mail.tiny(4)]}
        source = self.courier(["anna"])
        source.seed("anna", folders)
        batch = self.batch(source, self.courier(["anna@" + DOMAIN]), ["anna"])
        self.ends(batch.call("run"), 0)
        self.moved(batch)
        self.assertEqual(self.names(batch.source, "anna"), self.names(batch.target))
