"""What goes wrong, and with which exit code and which words (interface.md, exit codes)."""

import os
import re
import socket
import stat
import subprocess
import threading

import mail
import servers
from haul import BINARY, Case, DOMAIN, core


class Config(Case):
    """Wrong files and options: told before anything is contacted."""

    def setUp(self):
        super().setUp()
        # A server that must not be asked: a listening socket on which nobody may connect.
        self.listener = socket.socket()
        self.addCleanup(self.listener.close)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.listener.setblocking(False)
        self.ini = os.path.join(self.folder, "batch.ini")
        self.csv = os.path.join(self.folder, "users.csv")
        url = "imaps://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.good_ini = ("[batch]\nname = n\nusers = users.csv\n[source]\nurl = %s\n"
                         "[target]\npreset = imap\nurl = %s\n" % (url, url))
        self.good_csv = ("EmailAddress,UserName,Password,TargetPassword\n"
                         "a@x.example,a,pw1,pw2\nb@x.example,b,pw3,pw4\n")
        self.put(self.ini, self.good_ini)
        self.put(self.csv, self.good_csv)

    def put(self, path, text):
        data = text if isinstance(text, bytes) else text.encode()
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as f:
            f.write(data)

    def call(self, *arguments):
        return subprocess.run([BINARY, *arguments], stdin=subprocess.DEVNULL, cwd=self.folder,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              errors="replace", timeout=60)

    def refused(self, code, *words, arguments=None):
        done = self.call(*(arguments or ("run", self.ini)))
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        for word in words:
            self.assertIn(word.lower(), done.stderr.lower())
        with self.assertRaises(BlockingIOError, msg="a server was contacted"):
            self.listener.accept()
        for secret in ("pw1", "pw2", "pw3", "pw4"):
            self.assertNotIn(secret, done.stdout + done.stderr)
        return done

    def test_usage(self):
        cases = [(), ("fly",), ("run",), ("run", "--no-such-option", self.ini),
                 ("run", "--threads", "many", self.ini), ("run", "--shard", "3/2", self.ini),
                 ("run", "--shard", "0/2", self.ini)]
        for arguments in cases:
            with self.subTest(arguments):
                done = self.call(*arguments)
                self.assertEqual(done.returncode, 64, done.stderr)
                self.assertTrue(done.stderr.strip())

    def test_help_and_version(self):
        for arguments in (("--help",), ("--version",), ("run", "--help"), ("report", "--help")):
            with self.subTest(arguments):
                done = self.call(*arguments)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn("mailhaul", done.stdout)

    def test_bad_batch_files(self):
        good = self.good_ini
        cases = [
            ("unknown key", good.replace("preset = imap", "presett = imap"), ["batch.ini:7", "preset"]),
            ("unknown section", good + "[polcy]\n", ["batch.ini:9", "policy"]),
            ("bad number", good + "[policy]\nmax-message-size = huge\n", ["batch.ini:10"]),
            ("limit too high", good + "[policy]\nmax-message-size = 151MB\n", ["batch.ini:10"]),
            ("bad url", good.replace("imaps://", "https://"), ["batch.ini:5"]),
            ("no source", good.replace("[source]\nurl", "[source]\n;url"), ["url"]),
            ("bad window", good.replace("[source]", "window = 25:00-06:00\n[source]"), ["batch.ini:4"]),
            ("missing file", None, ["batch.ini"]),
        ]
        for name, text, words in cases:
            with self.subTest(name):
                if text is None:
                    os.unlink(self.ini)
                else:
                    self.put(self.ini, text)
                self.refused(78, *words)

    def test_set_is_checked_like_the_file(self):
        # Wrong, but on the command line: a matter of usage.
        self.refused(64, "polcy", arguments=("run", "--set", "polcy.since=2020-01-01", self.ini))

    def test_bad_users_files(self):
        head = "EmailAddress,UserName,Password,TargetPassword\n"
        cases = [
            ("unknown column", self.good_csv.replace("TargetPassword", "Shoe"), ["Shoe"]),
            ("missing column", "EmailAddress,Password\nx@x.example,pw1\n", ["UserName"]),
            ("too few fields", head + "a@x.example,a,pw1\n", ["users.csv", "2"]),
            ("too many fields", head + "a@x.example,a,pw1,pw2,more\n", ["users.csv", "2"]),
            ("same mailbox twice", head + "a@x.example,a,pw1,pw2\nA@X.example,b,pw3,pw4\n",
             ["users.csv", "3"]),
            ("open quote", head + 'a@x.example,"a,pw1,pw2\n', ["users.csv"]),
            ("not UTF-8", head.encode() + b"a@x.example,\xff\xfe,pw1,pw2\n", ["users.csv", "2"]),
            ("no users", head, ["users.csv"]),
            ("empty file", "", ["users.csv"]),
        ]
        for name, text, words in cases:
            with self.subTest(name):
                self.put(self.csv, text)
                self.refused(65, *words)

    def test_missing_users_file(self):
        os.unlink(self.csv)
        self.refused(65, "users.csv: No such file or directory; the key users of [batch] names it")

    def test_names_that_will_not_do_are_told_by_what_names_them(self):
        """What the batch file or an option names wrongly is no trouble of the disk (74)."""
        self.refused(64, "check: the name of the batch file is empty", arguments=("check", ""))
        self.refused(64, "--threads is given twice", arguments=("run", "--threads", "1", "--threads", "2", self.ini))
        long = "batch.state=" + "s" * 300
        for command in ("run", "plan", "status", "report"):
            self.refused(78, "too long", arguments=(command, "--set", long, self.ini))
        for command in ("run", "status"):
            self.refused(78, "users.csv/state", arguments=(command, "--set", "batch.state=users.csv/state", self.ini))
        self.refused(78, "the key ledger of [batch] names it",
                     arguments=("run", "--set", "batch.ledger=users.csv", self.ini))


class Servers(Case):
    def pair(self, users=("anna",), **options):
        source = self.dovecot(users, format="maildir", separator=".", **options)
        for i, user in enumerate(users):
            source.seed(user, {("INBOX",): [mail.tiny(i * 10 + j) for j in range(5)]})
        return source, self.target_for(users)

    def test_wrong_password_fails_one_user_only(self):
        source, target = self.pair(("anna", "ben", "carl"))
        batch = self.batch(source, target, ["anna", "ben", "carl"])
        batch.passwords = {"ben": "totally wrong"}
        done = self.ends(batch.call("run"), 3)
        self.assertNotIn("totally wrong", done.out + done.err)
        self.assertIn("user=ben@%s side=source type=LoginFailed" % DOMAIN, done.err)
        users = {u["user_name"]: u for u in self.balanced(batch.report())["users"]}
        self.assertEqual([users[u]["state"] for u in ("anna", "ben", "carl")],
                         ["Synced", "Failed", "Synced"])
        self.assertEqual(users["ben"]["failure"], "LoginFailed")
        self.assertIn("LoginFailed", [f["type"] for f in users["ben"]["failures"]])
        # With the right password, `retry` brings the failed one home.
        batch.passwords = {}
        self.ends(batch.call("retry"), 0)
        self.moved(batch)

    def test_no_password_is_written_anywhere(self):
        source, target = self.pair()
        batch = self.batch(source, target, ["anna"])
        log = os.path.join(batch.folder, "log.txt")
        done = batch.call("run", "--log", log, "--log-level", "debug")
        self.ends(done, 0)
        secrets = [source.users["anna"], target.users["anna@" + DOMAIN]]
        texts = [done.out, done.err, batch.call("report", "--json").out]
        for name in [log] + [os.path.join(f, n) for f, _, ns in os.walk(batch.state) for n in ns]:
            with open(name, "rb") as f:
                texts.append(f.read().decode("utf-8", "replace"))
        for secret in secrets:
            for text in texts:
                self.assertNotIn(secret, text)

    @core
    def test_source_down(self):
        source, target = self.pair()
        batch = self.batch(source, target, ["anna"])
        source.halt()
        self.ends(batch.call("run"), 69)
        self.ends(batch.call("check"), 69)
        source.start()
        self.ends(batch.call("run"), 0)
        self.moved(batch)

    def test_target_down(self):
        source, target = self.pair()
        batch = self.batch(source, target, ["anna"])
        target.halt()
        self.ends(batch.call("run"), 69)
        target.start()
        self.ends(batch.call("run"), 0)
        self.moved(batch)

    def test_name_that_does_not_resolve(self):
        source, target = self.pair()
        batch = self.batch(source, target, ["anna"])
        batch.set("source", "url", "imaps://no-such-host.invalid:993")
        done = self.ends(batch.call("check"), 69)
        self.assertIn("no-such-host.invalid", done.out + done.err)

    def test_all_logins_refused(self):
        source, target = self.pair()
        batch = self.batch(source, target, ["anna"])
        batch.passwords = {"anna": "totally wrong"}
        done = self.ends(batch.call("check"), 77)
        self.assertIn("LoginFailed", self.ends(batch.call("check", "--json"), 77).out)
        self.assertNotIn("totally wrong", done.out + done.err)

    @core
    def test_certificate_of_an_unknown_authority(self):
        source, target = self.pair()
        other = servers.Authority("Another CA")
        batch = self.batch(source, target, ["anna"])
        batch.set("source", "tls-ca", other.ca)
        done = self.ends(batch.call("run"), 69)
        self.assertRegex((done.out + done.err).lower(), "certificate|issuer|authority")
        check = self.ends(batch.call("check", "--json"), 69).json()
        step = [s for s in check["steps"] if not s["ok"]][0]
        self.assertEqual((step["step"], step["type"], step["side"]), ("tls", "TlsFailed", "source"))
        self.assertIn("Test CA", str(step), "the issuer that is not trusted is named")
        self.assertTrue(step["cause"] and step["remedy"])

    def test_certificate_for_another_name(self):
        source, target = self.pair(names="DNS:other.example")
        batch = self.batch(source, target, ["anna"])
        check = self.ends(batch.call("check", "--json"), 69).json()
        step = [s for s in check["steps"] if not s["ok"]][0]
        self.assertEqual((step["step"], step["type"]), ("tls", "TlsFailed"))

    def test_fingerprint_in_place_of_an_authority(self):
        source, target = self.pair()
        text = subprocess.run(["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in",
                               source.folder + "/server.pem"], stdout=subprocess.PIPE,
                              text=True, check=True).stdout
        print_of = text.strip().split("=")[1].replace(":", "").lower()
        batch = self.batch(source, target, ["anna"])
        del batch.sections["source"]["tls-ca"]
        batch.set("source", "tls-fingerprint", "0" * 64)
        self.ends(batch.call("run"), 69)
        batch.set("source", "tls-fingerprint", print_of)
        self.ends(batch.call("run"), 0)
        self.moved(batch)

    def test_plain_connection_on_demand_warns(self):
        source, target = self.pair()
        batch = self.batch(source, target, ["anna"], source_tls=False)
        del batch.sections["source"]["tls-ca"]
        self.ends(batch.call("run"), 69)  # STARTTLS, whose certificate nobody vouches for
        batch.set("source", "tls", "none")
        done = self.ends(batch.call("run"), 0)
        self.assertRegex(done.err.lower(), "warn.*(not encrypted|plain|unencrypted|without tls)")
        self.moved(batch)

    def test_no_password_goes_to_a_server_without_starttls(self):
        source, target = self.pair()
        heard, listener = [], socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def serve():
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer, peer.makefile("rb") as lines:
                    peer.sendall(b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] ready\r\n")
                    for line in lines:
                        heard.append(line)
                        words = line.split() + [b"", b""]  # the tag comes back as it went
                        text = {b"CAPABILITY": b"* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\n",
                                b"LOGOUT": b"* BYE\r\n"}.get(words[1].upper(), b"")
                        known = words[1].upper() in (b"CAPABILITY", b"NOOP", b"LOGOUT")
                        peer.sendall(text + words[0] + (b" OK" if known else b" BAD") + b" it\r\n")

        threading.Thread(target=serve, daemon=True).start()
        batch = self.batch(source, target, ["anna"])
        batch.set("source", "url", "imap://127.0.0.1:%d" % listener.getsockname()[1])
        done = self.ends(batch.call("run"), 69)
        self.assertIn("starttls", (done.out + done.err).lower())
        self.assertTrue(heard, "the server was asked for its capabilities")
        self.assertNotRegex(b"".join(heard).upper(), b"LOGIN|AUTHENTICATE")

    def test_quota_of_the_target_is_reported(self):
        source = self.dovecot(["anna", "ben"], format="maildir", separator=".")
        source.seed("anna", {("INBOX",): [mail.tiny(i, extra=b"x" * 20000 + b"\r\n")
                                          for i in range(30)]})
        source.seed("ben", {("INBOX",): [mail.tiny(77)]})
        target = self.target_for(["anna", "ben"], quota=200000)
        batch = self.batch(source, target, ["anna", "ben"])
        self.ends(batch.call("run"), 3)
        report = self.balanced(batch.report())
        users = {u["user_name"]: u for u in report["users"]}
        self.assertEqual(users["ben"]["state"], "Synced")
        self.assertEqual(users["anna"]["state"], "Failed")
        self.assertIn("QuotaExceeded", [f["type"] for f in users["anna"]["failures"]])
        # Nothing may have been given up for good: with room, the rest arrives.
        target.halt()
        target.quota = 10 ** 9
        target.start()
        self.ends(batch.call("retry"), 0)
        self.moved(batch)

    def test_users_file_that_others_may_read_is_warned_about(self):
        source, target = self.pair()
        batch = self.batch(source, target, ["anna"])
        batch.write()
        os.chmod(os.path.join(batch.folder, "users.csv"), 0o644)
        done = self.ends(batch.call("run", write=False), 0)
        self.assertRegex(done.err.lower(), r"warn[^\n]*users\.csv|users\.csv[^\n]*warn")


class Disk(Case):
    def test_state_folder_is_for_its_owner_only(self):
        source = self.dovecot(["anna"])
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        self.ends(batch.call("run"), 0)
        self.assertEqual(stat.S_IMODE(os.stat(batch.state).st_mode), 0o700)
        for folder, _, names in os.walk(batch.state):
            for name in names:
                mode = stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode)
                self.assertEqual(mode & 0o077, 0, name)

    def test_state_folder_that_cannot_be_made(self):
        source = self.dovecot(["anna"])
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        with open(os.path.join(batch.folder, "file"), "w"):
            pass
        batch.set("batch", "state", "file/state")  # also root cannot make a folder in a file
        done = self.ends(batch.call("run"), 78)
        self.assertIn("file/state", done.err)

    def test_a_folder_of_other_things_is_no_state_folder(self):
        source = self.dovecot(["anna"])
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        home = os.path.join(batch.folder, "home")
        os.mkdir(home)
        os.chmod(home, 0o755)
        os.mkdir(os.path.join(home, "letters"))
        batch.set("batch", "state", home)
        for command in ("run", "fetch", "upload", "plan", "retry", "verify"):
            done = self.ends(batch.call(command), 64 if command == "verify" else 78)
            if command != "verify":
                self.assertIn("holds other things than a run's (letters)", done.err, command)
        self.assertEqual(stat.S_IMODE(os.stat(home).st_mode), 0o755)
        self.assertEqual(os.listdir(home), ["letters"])
        users = os.path.join(batch.folder, "users.csv")
        batch.set("batch", "state", users)
        done = self.ends(batch.call("run"), 78)
        self.assertIn("is not a folder", done.err)

    def test_state_folder_that_may_not_be_written(self):
        if os.geteuid() == 0:
            self.skipTest("root may write everywhere")
        source = self.dovecot(["anna"])
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        os.mkdir(batch.state, 0o500)
        self.ends(batch.call("run"), 74)

    def test_a_full_disk_is_told_at_once_with_amounts(self):
        source = self.dovecot(["anna"], format="maildir", separator=".")
        source.seed("anna", {("INBOX",): [mail.big(i, 300000) for i in range(4)]})
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        disk = os.path.join(self.folder, "disk")
        os.mkdir(disk)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", disk],
                          stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("no tmpfs can be mounted here (needs root)")
        self.addCleanup(subprocess.run, ["umount", disk], check=True)
        batch.state = os.path.join(disk, "state")
        batch.set("batch", "state", batch.state)
        done = self.ends(batch.call("run"), 74)
        self.assertRegex(done.err, r"the disk of %s is full \(.* free; the spool holds .*\)" %
                         re.escape(batch.state))
        self.assertRegex(done.err, r"\d+ KB free, \d+ KB wait to be written; free at least \d+ MB for %s" %
                         re.escape(batch.state))
        self.assertNotIn("Under way", done.err)
        self.assertIn("could not write any more", done.err)
        report = batch.report()
        self.assertIs(report["batch"]["running"], False)
        # The time in which room was waited for is no idle one. Where not a page was left, it could not be written.
        waited = report["totals"]["stalled_by"]["target"].get("DiskFull", 0)
        self.assertLessEqual(report["totals"]["time"]["idle_s"], waited)
        if waited:
            self.assertRegex(done.err, r"\n +\S+.* here: the disk of the state folder is full \(DiskFull\)\n")
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        self.ends(batch.call("run"), 0)
        self.moved(batch)

    def test_file_size_limit_ends_as_a_disk_error(self):
        """RLIMIT_FSIZE makes writes fail as a full disk does, also for root."""
        import resource
        import signal
        source = self.dovecot(["anna"], format="maildir", separator=".")
        source.seed("anna", mail.mailbox(1, 400))
        target = self.target_for(["anna"])
        batch = self.batch(source, target, ["anna"])

        def limits():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (700000, 700000))

        done = batch.call("run", limits=limits)
        self.assertIn(done.code, (74, 2), str(done))
        self.ends(batch.call("run"), 0)
        self.moved(batch)
