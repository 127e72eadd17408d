"""No option that writes a file writes over what a batch needs, whatever name it goes by."""

import os
import subprocess

import mail
from haul import BINARY, Case, DOMAIN


class Outputs(Case):
    """Without a server: the slip is told before anything is opened, and every file stays as it was."""

    INI = ("[batch]\nusers = users.csv\nspool-key-file = spool.key\n"
           "[source]\nurl = imaps://127.0.0.1:1\ntls-ca = ca.pem\n"
           "[target]\npreset = exchange-online\ntenant = t.example\nclient-id = c\n"
           "client-secret-file = client-secret\n")
    CSV = "EmailAddress,UserName,PasswordFile\na@x.example,a,a.pw\n"

    def setUp(self):
        super().setUp()
        self.files = {"batch.ini": self.INI, "users.csv": self.CSV, "spool.key": "k" * 40 + "\n",
                      "ca.pem": "not read\n", "client-secret": "secret\n", "a.pw": "pw\n",
                      "other-users.csv": "UserName,EmailAddress,Password\nx,x@y.example,p\n",
                      "id_rsa": "-----BEGIN PRIVATE KEY-----\n"}
        for name, text in self.files.items():
            self.put(name, text)
        for name in ("batch.state", "batch.state.1-of-2", "elsewhere.state"):
            os.mkdir(self.path(name), 0o700)
        # What makes a folder a state folder, of whatever batch.
        for name in ("batch.state.1-of-2", "elsewhere.state"):
            self.put(name + "/data.mdb", "")
        os.symlink("users.csv", self.path("link.csv"))
        os.link(self.path("users.csv"), self.path("hard.csv"))

    def path(self, name):
        return os.path.join(self.folder, name)

    def put(self, name, text):
        with open(os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
            f.write(text)

    def call(self, *arguments):
        return subprocess.run([BINARY, *arguments], stdin=subprocess.DEVNULL, cwd=self.folder, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)

    def listing(self):
        return sorted(os.path.join(where, name) for where, _, names in os.walk(self.folder) for name in names)

    def refused(self, words, *arguments):
        before = self.listing()
        done = self.call(*arguments)
        self.assertEqual(done.returncode, 64, "%s: %s" % (arguments, done.stderr))
        self.assertIn(words, done.stderr)
        for name, text in self.files.items():
            with open(self.path(name)) as f:
                self.assertEqual(f.read(), text, "%s is not what it was after %s" % (name, arguments))
        self.assertEqual(self.listing(), before, arguments)

    def test_inputs_stay(self):
        needed = "is a file that the batch needs"
        for name in ("batch.ini", "users.csv", "spool.key", "ca.pem", "client-secret", "a.pw", "link.csv", "hard.csv",
                     "./batch.state/../users.csv", self.path("users.csv")):
            self.refused(needed, "report", "batch.ini", "--csv", name)
        self.refused(needed, "report", "--html", "link.csv", "batch.ini")
        self.refused(needed, "bench", "--html", "users.csv", "batch.ini")
        for command in ("run", "check", "status", "verify", "rehearse"):
            self.refused(needed, command, "--log", "users.csv", "batch.ini")
        # The file that is named on the command line counts, not only the one that the batch file names.
        self.put("more.csv", "UserName,EmailAddress\n")
        self.refused(needed, "run", "--set", "batch.users=more.csv", "--log", "more.csv", "batch.ini")
        # Who is not among those that are asked for has secrets too.
        self.put("b.pw", "pw\n")
        self.put("two.csv", self.CSV + "b@x.example,b,b.pw\n")
        for command in ("run", "check", "report"):
            self.refused(needed, command, "--set", "batch.users=two.csv", "--user", "a@x.example", "--log", "b.pw",
                         "batch.ini")
        # [target] may be nonsense: a rehearsal does not read it.
        self.put("half.ini", self.INI.replace("tenant", "tennant"))
        self.refused(needed, "rehearse", "--log", "a.pw", "half.ini")

    def test_state_folders_stay(self):
        words = "lies in a state folder"
        for name in ("batch.state/report.html", "batch.state", "batch.state.1-of-2/../batch.state.1-of-2/r.html",
                     "elsewhere.state/r.html"):
            self.refused(words, "report", "--html", name, "batch.ini")
            self.refused(words, "run", "--log", name, "batch.ini")
        os.mkdir(self.path("batch.state/deep"))
        self.refused(words, "report", "--csv", "batch.state/deep/r.csv", "batch.ini")
        self.refused(words, "export", "--to", "batch.state/mail", "batch.ini")
        self.refused(words, "report", "--csv", "elsewhere.state/r.csv", "elsewhere.state")
        

    def test_what_is_no_report_stays(self):
        for name in ("other-users.csv", "id_rsa"):
            self.refused("exists and is no CSV report", "report", "--csv", name, "batch.ini")
            self.refused("exists and is no page", "report", "--html", name, "batch.ini")
            self.refused("holds a batch file, a list of users or a key", "run", "--log", name, "batch.ini")
        self.refused("is named by another option too", "report", "--html", "r", "--csv", "r", "batch.ini")

    def test_a_batch_that_is_not_right_costs_nothing(self):
        self.put("bad.ini", "[batch]\nusers = users.csv\nuzers = 1\n")
        done = self.call("run", "--log", "bad.ini", "bad.ini")
        self.assertEqual(done.returncode, 64, done.stderr)
        done = self.call("report", "--csv", "users.csv", "bad.ini")
        self.assertEqual(done.returncode, 64, done.stderr)
        with open(self.path("users.csv")) as f:
            self.assertEqual(f.read(), self.CSV)


class Good(Case):
    """What may be written is written, and again."""

    def test_written_twice(self):
        source = self.dovecot(["anna"])
        source.seed("anna", {("INBOX",): [mail.tiny(i) for i in range(3)]})
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        html, csv, log = (os.path.join(batch.folder, name) for name in ("r.html", "r.csv", "r.log"))

        open(csv, "w").close()  # an empty file holds nothing that could be lost
        for _ in range(2):
            self.ends(batch.call("run", "--log", log), 0)
            self.ends(batch.call("report", "--html", html, "--csv", csv, "--log", log), 0)
            with open(html) as f:
                self.assertTrue(f.read().lower().startswith("<!doctype html>"))
            with open(csv) as f:
                self.assertEqual(len(f.readlines()), 2)
        self.ends(batch.call("report", "--csv", "/dev/stdout", "--html", "/dev/null"), 0)
        self.assertGreater(os.stat(log).st_size, 0)
        self.whole_or_not_at_all(batch, html, csv)

    def whole_or_not_at_all(self, batch, html, csv):
        """What stood there stays when the new one does not find room, also where it is written over in place."""
        import resource
        import signal

        def no_room():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

        os.chmod(html, 0o640)
        link = os.path.join(batch.folder, "link.html")
        os.symlink("r.html", link)
        names = sorted(os.listdir(batch.folder))
        with open(html) as f:
            old = f.read()
        self.assertGreater(len(old), 4096)
        for path in (html, link):
            done = self.ends(batch.call("report", "--html", path, limits=no_room), 74)
            self.assertIn("File too large", str(done))
            with open(html) as f:
                self.assertEqual(f.read(), old)
            self.assertEqual(sorted(os.listdir(batch.folder)), names)
        # A new one has the old one's permissions, and a link stays a link.
        self.ends(batch.call("report", "--html", link), 0)
        self.assertTrue(os.path.islink(link))
        self.assertEqual(os.stat(html).st_mode & 0o777, 0o640)
        self.assertEqual(sorted(os.listdir(batch.folder)), names)
        if os.geteuid() == 0:
            return
        folder = os.stat(batch.folder).st_mode
        os.chmod(batch.folder, 0o500)
        self.addCleanup(os.chmod, batch.folder, folder)
        self.ends(batch.call("report", "--html", html, limits=no_room), 74)
        with open(html) as f:
            self.assertEqual(f.read(), old)


class Shared(Case):
    """Two rows of users.csv with one mailbox behind them."""

    def test_two_people_in_one_target_mailbox(self):
        source = self.dovecot(["anna", "bert"])
        for k, user in enumerate(("anna", "bert")):
            source.seed(user, {("INBOX",): [mail.tiny(100 * k + i) for i in range(20)],
                               ("Work",): [mail.tiny(100 * k + 50)]})
        target = self.target_for(["anna"])
        batch = self.batch(source, target, ["anna", "bert"])
        batch.target_logins = {"bert": "anna@" + DOMAIN}
        batch.extra_columns = {"TargetUserName": {"bert": "Anna@" + DOMAIN}}
        for command in ("check", "plan", "run", "fetch"):
            done = self.ends(batch.call(command), 65)
            self.assertIn("is the target mailbox of line 2 too", done.err)
        self.assertFalse(os.path.exists(batch.state))
        # Meant so: both arrive, once, also over a second run and without the state folder.
        batch.extra_columns = {"TargetUserName": {"bert": "anna@" + DOMAIN}}
        batch.set("target", "accept-shared", "yes")
        for drop in (False, False, True):
            if drop:
                batch.drop_state()
            self.ends(batch.call("run"), 0)
            with target.connect("anna@" + DOMAIN) as mailbox:
                counts = {name: len(mailbox.uids(name)) for name in (("INBOX",), ("Work",))}
            self.assertEqual(counts, {("INBOX",): 40, ("Work",): 2})

    def test_one_source_mailbox_for_two_people(self):
        source = self.dovecot(["anna"])
        source.seed("anna", {("INBOX",): [mail.tiny(i) for i in range(3)]})
        target = self.dovecot(["a@" + DOMAIN, "b@" + DOMAIN])
        batch = self.batch(source, target, [("anna", "a@" + DOMAIN), ("anna", "b@" + DOMAIN)])
        for command in ("check", "plan", "run"):
            done = self.ends(batch.call(command), 0)
            self.assertIn("UserName: anna: is in line 2 too: the same mail goes to a@%s and b@%s" % (DOMAIN, DOMAIN),
                          done.err)
