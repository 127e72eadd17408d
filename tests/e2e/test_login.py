"""Signing in: mechanisms, administrators, client certificates, on real servers."""

import base64
import hashlib
import hmac
import os
import re
import ssl
import time

import mail
import quirky
import servers
from haul import Case, DOMAIN


class Login(Case):
    """What the server's own log says about each login is the proof."""

    def source(self, users=("anna",), **options):
        server = self.dovecot(list(users), format="maildir", separator=".", **options)
        for i, user in enumerate(users):
            server.seed(user, {("INBOX",): [mail.tiny(i * 10 + j) for j in range(3)]})
        return server

    def log(self, server):
        with open(os.path.join(server.folder, "server.log"), errors="replace") as f:
            return f.read()

    def methods(self, server):
        """[(user, mechanism)] of the logins so far."""
        return re.findall(r"Login: user=<([^>]*)>, method=([A-Z0-9-]+)", self.log(server))

    def refusals(self, server, least=0):
        """How many logins the server's log refuses; waits until it has written of `least`."""
        limit = time.monotonic() + 10
        while True:
            count = len(re.findall(r"imap-login: .*\(auth failed, \d+ attempts", self.log(server)))
            if count >= least or time.monotonic() > limit:
                return count
            time.sleep(0.05)

    def moved_from(self, batch):
        """Compares both sides; who judges logs in by PLAIN, so the source has to allow that now."""
        source = batch.source
        source.halt()
        source.mechanisms, source.extra, source.tls_required = "plain", "", False
        source.start()
        self.moved(batch)

    def secret(self, batch, name, text):
        path = os.path.join(batch.folder, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
            f.write(text + "\n")
        return path

    def checked(self, batch, code=0, side="--source"):
        """The steps of a check of one side."""
        done = self.ends(batch.call("check", "--json", side), code)
        return {s["step"]: s for s in done.json()["steps"]}


class Mechanisms(Login):
    def test_each_one(self):
        source = self.source(mechanisms="plain login cram-md5 scram-sha-1 scram-sha-256")
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        for word in ("plain", "login", "cram-md5", "scram-sha-1", "scram-sha-256"):
            with self.subTest(word):
                batch.set("source", "auth", word)
                before = len(self.methods(source))
                self.assertTrue(self.checked(batch)["login"]["ok"])
                # LOGIN, the command, is logged as PLAIN.
                self.assertEqual(self.methods(source)[before:],
                                 [("anna", "PLAIN" if word == "login" else word.upper())])
        batch.set("source", "auth", "auto")
        self.ends(batch.call("run"), 0)
        self.assertEqual(self.methods(source)[-1], ("anna", "SCRAM-SHA-256"))
        self.moved(batch)

    def test_login_by_sasl_where_the_command_is_disabled(self):
        source = self.source(mechanisms="login", tls_required=True)
        batch = self.batch(source, self.target_for(["anna"]), ["anna"], source_tls=False)
        self.ends(batch.call("run"), 0)
        self.moved_from(batch)

    def test_hashed_passwords_behind_scram(self):
        """The server offers SCRAM and cannot do it for a user whose password it keeps as a hash: no
        password was judged, so the next mechanism is right."""
        source = self.source(mechanisms="plain scram-sha-1 scram-sha-256")
        hashed = source.doveadm("pw", "-s", "SHA512-CRYPT", "-p", source.users["anna"]).strip()
        servers.hand_over(source.write("passwords", "anna:%s\n" % hashed))
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        self.ends(batch.call("run", "--threads", "1"), 0)
        self.assertIn(("anna", "PLAIN"), self.methods(source))
        self.assertLessEqual(self.refusals(source), 2, self.log(source))
        self.moved(batch)

    def test_a_wrong_password_is_one_attempt(self):
        source = self.source(mechanisms="plain login cram-md5")
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        batch.passwords = {"anna": "wrong"}
        step = self.checked(batch, 77)["login"]
        self.assertEqual(step["type"], "LoginFailed")
        self.assertEqual(self.refusals(source, 1), 1, self.log(source))
        self.ends(batch.call("run"), 77)
        self.assertEqual(self.refusals(source, 2), 2, "one more in the run, and only one")

    def test_a_mechanism_that_is_not_offered(self):
        source = self.source(mechanisms="plain")
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        batch.set("source", "auth", "scram-sha-256")
        step = self.checked(batch, 77)["login"]
        self.assertEqual(step["type"], "LoginFailed")
        self.assertIn("AUTH=PLAIN", step["detail"], "what it offers is told")

    def test_external_with_a_client_certificate(self):
        authority = servers.Authority("Client CA")
        source = self.source(["anna", "ben"], mechanisms="external", extra="""
ssl_ca = <%s
ssl_verify_client_cert = yes
ssl_require_crl = no
auth_ssl_username_from_cert = yes
ssl_cert_username_field = commonName
passdb {
  driver = static
  args = nopassword=y
}
""" % authority.ca)
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        certificate = os.path.join(batch.folder, "anna.pem")
        key = os.path.join(batch.folder, "anna.key")
        request = os.path.join(batch.folder, "anna.csr")
        servers.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-subj", "/CN=anna", "-keyout", key, "-out", request)
        servers.openssl("x509", "-req", "-in", request, "-CA", authority.ca, "-CAkey",
                        authority.key, "-CAcreateserial", "-days", "10", "-out", certificate)
        batch.set("source", "auth", "external").set("source", "tls-certificate", certificate)
        batch.set("source", "tls-key", key)
        batch.passwords = {"anna": ""}
        self.ends(batch.call("run"), 0)
        self.assertIn(("anna", "EXTERNAL"), self.methods(source))
        # The certificate is anna's, and does not open ben's mailbox.
        other = self.batch(source, self.target_for(["ben"]), ["ben"])
        other.sections["source"] = dict(batch.sections["source"])
        other.passwords = {"ben": ""}
        self.ends(other.call("run"), 77)
        self.moved_from(batch)


class Admin(Login):
    def move(self, source, target, users, **keys):
        batch = self.batch(source, target, users)
        batch.passwords = {u: "" for u in users}
        batch.set("source", "admin-user", "root")
        batch.set("source", "admin-password-file", self.secret(batch, "admin", "gruß an alle"))
        for key, value in keys.items():
            batch.set("source", key.replace("_", "-"), value)
        self.ends(batch.call("run"), 0)
        if source.kind == "dovecot":
            self.assertEqual({u for u, _ in self.methods(source)[-len(users):]}, set(users))
            return self.moved_from(batch)
        return self.moved(batch)

    def test_dovecot_by_authorization_identity(self):
        source = self.source(["anna", "ben"], masters={"root": "gruß an alle"})
        self.move(source, self.target_for(["anna", "ben"]), ["anna", "ben"])
        self.assertEqual({m for _, m in self.methods(source)}, {"PLAIN"})

    def test_dovecot_by_combined_name(self):
        source = self.source(["anna", "ben"], masters={"root": "gruß an alle"})
        self.move(source, self.target_for(["anna", "ben"]), ["anna", "ben"],
                  login_form="{user}*{admin}")

    def test_dovecot_as_target(self):
        source = self.source(["anna", "ben"])
        target = self.target_for(["anna", "ben"], masters={"root": "gruß an alle"})
        batch = self.batch(source, target, ["anna", "ben"])
        batch.set("target", "admin-user", "root")
        batch.set("target", "admin-password-file", self.secret(batch, "admin", "gruß an alle"))
        self.ends(batch.call("run"), 0)
        self.moved(batch)

    def test_cyrus_by_authorization_identity(self):
        source = self.cyrus(["anna", "ben"])
        for i, user in enumerate(("anna", "ben")):
            source.seed(user, {("INBOX",): [mail.tiny(i * 10 + j) for j in range(3)]})
        self.move(source, self.target_for(["anna", "ben"]), ["anna", "ben"],
                  admin_user="cyradmin")

    def test_cyrus_refuses_who_is_no_proxy(self):
        source = self.cyrus(["anna", "ben"])
        source.seed("anna", {("INBOX",): [mail.tiny(1)]})
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        batch.passwords = {"anna": ""}
        batch.set("source", "admin-user", "ben")
        batch.set("source", "admin-password-file", self.secret(batch, "admin", "x"))
        self.ends(batch.call("run"), 77)

    def test_a_wrong_administrator_is_tried_three_times_not_once_a_user(self):
        users = ["u%d" % i for i in range(8)]
        source = self.source(users, masters={"root": "right"})
        batch = self.batch(source, self.target_for(users), users)
        batch.passwords = {u: "" for u in users}
        batch.set("source", "admin-user", "root")
        batch.set("source", "admin-password-file", self.secret(batch, "admin", "wrong"))
        done = self.ends(batch.call("run", "--threads", "2"), 77)
        self.assertIn("administrator", done.err)
        self.assertEqual(self.refusals(source, 3), 3, self.log(source))
        states = [u["state"] for u in batch.report()["users"]]
        self.assertEqual(states.count("Failed"), 3, states)
        self.secret(batch, "admin", "right")
        self.ends(batch.call("retry"), 0)
        self.moved(batch)


class Limits(Login):
    def test_the_pool_shrinks_to_what_the_server_allows(self):
        """Dovecot refuses the third connection of a user: the others carry on, nothing waits."""
        source = self.dovecot(["anna"], format="maildir", separator=".", connections_per_user=2)
        source.seed("anna", {("INBOX",): [mail.tiny(j) for j in range(20000)]})
        batch = self.batch(source, self.target_for(["anna"], format="mdbox"), ["anna"])
        batch.set("source", "connections-per-user", "6")
        done = self.ends(batch.call("run", "--log-level", "debug"), 0)
        self.assertIn("Maximum number of connections", self.log(source))
        self.assertIn("connections.user", done.err)
        report = self.balanced(batch.report())
        self.assertIn("ConnectionLimit", [f["type"] for f in report["users"][0]["failures"]])
        self.assertEqual(report["users"][0]["time"]["throttled_s"], 0)
        self.assertEqual(report["totals"]["uploaded"], 20000)

    def test_tls_that_fails_for_all_is_told_once_and_leaves_the_others_alone(self):
        users = ["u%d" % i for i in range(12)]
        source = self.dovecot(users, names="DNS:other.example")
        batch = self.batch(source, self.target_for(users), users)
        batch.set("source", "connections", "2")
        done = self.ends(batch.call("run", "--threads", "1"), 69)
        self.assertIn("TLS fails for all users", done.err)
        report = batch.report()
        failed = [u for u in report["users"] if u["state"] == "Failed"]
        self.assertTrue(3 <= len(failed) <= 6, [u["state"] for u in report["users"]])
        self.assertEqual({u["failure"] for u in failed}, {"TlsFailed"})


class BoundSession(quirky.Session):
    """SCRAM-SHA-256 and -PLUS (RFC 5802, 7677, 5929) of a server whose binding is that of its own TLS
    connection, as a man in the middle's would not be."""

    def do_authenticate(self, rest):
        mechanism, _, first = rest.partition(" ")
        server = self.server
        server.mechanisms.append(mechanism)
        if not mechanism.startswith("SCRAM-SHA-256"):
            return "NO no such mechanism"
        if not first:
            self.line("+ ")
            first = self.command()
        header, _, bare = re.match(r"((p=[^,]*|[yn]),[^,]*,)(.*)", base64.b64decode(first).decode()).groups()
        server.headers.append(header)
        if server.stripped and header.startswith("y"):
            self.line("+ " + base64.b64encode(b"e=server-does-support-channel-binding").decode())
            self.command()
            return "NO [AUTHENTICATIONFAILED] Authentication failed."
        user = re.search(r"n=([^,]*)", bare).group(1)
        nonce = re.search(r"r=([^,]*)", bare).group(1) + "server"
        salt, rounds = b"salt of the test", server.rounds
        challenge = "r=%s,s=%s,i=%d" % (nonce, base64.b64encode(salt).decode(), rounds)
        self.line("+ " + base64.b64encode(challenge.encode()).decode())
        final = base64.b64decode(self.command()).decode()
        without, _, proof = final.rpartition(",p=")
        binding = base64.b64decode(re.search(r"c=([^,]*)", without).group(1))
        expected = header.encode()
        if mechanism.endswith("-PLUS"):
            expected += server.binding or self.peer.get_channel_binding("tls-unique")
        salted = hashlib.pbkdf2_hmac("sha256", server.users[user].encode(), salt, rounds)
        key = hmac.digest(salted, b"Client Key", "sha256")
        text = ",".join((bare, challenge, without)).encode()
        signature = hmac.digest(hashlib.sha256(key).digest(), text, "sha256")
        good = bytes(a ^ b for a, b in zip(base64.b64decode(proof), signature)) == key
        if not good or binding != expected:
            return "NO [AUTHENTICATIONFAILED] Authentication failed."
        if server.forged:
            text += b"forged"
        verifier = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), text, "sha256")
        self.line("+ " + base64.b64encode(b"v=" + base64.b64encode(verifier)).decode())
        self.command()
        with server.lock:
            server.open[user] = server.open.get(user, 0) + 1
        self.user = user
        return "OK in"

    def let_in(self, user, password):
        self.server.mechanisms.append("LOGIN")
        return super().let_in(user, password)


class Bound(quirky.Quirky):
    session = BoundSession
    binding, forged, stripped, rounds = None, False, False, 4096

    def start(self):
        self.mechanisms, self.headers = [], []
        super().start()
        # Python tells the binding of TLS 1.2 only.
        self.context.maximum_version = ssl.TLSVersion.TLSv1_2
        return self


class ChannelBinding(Login):
    def job(self, **options):
        mails = [quirky.Mail(uid, b"Subject: %d\r\n\r\nbody\r\n" % uid) for uid in range(1, 5)]
        server = Bound({"anna": {"INBOX": mails}}, tls=True, **{
            "greeting": "[CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=SCRAM-SHA-256 "
                        "AUTH=SCRAM-SHA-256-PLUS] ready", **options})
        source = self._started(server)
        return source, self.batch(source, self.target_for(["anna"]), ["anna"])

    def test_scram_plus_is_preferred_and_bound_to_the_connection(self):
        source, batch = self.job()
        self.ends(batch.call("run"), 0)
        self.assertEqual(set(source.mechanisms), {"SCRAM-SHA-256-PLUS"})
        self.assertEqual(self.balanced(batch.report())["totals"]["uploaded"], 4)

    def test_another_connections_binding_is_refused_and_not_tried_without(self):
        """The password would be right; falling back would give it to whoever is in between."""
        source, batch = self.job()
        source.binding = b"not this connection"
        step = self.checked(batch, 77)["login"]
        self.assertEqual(step["type"], "LoginFailed")
        self.assertEqual(source.mechanisms, ["SCRAM-SHA-256-PLUS"])

    def test_a_server_that_does_not_know_the_password_is_not_believed(self):
        source, batch = self.job()
        source.forged = True
        self.assertFalse(self.checked(batch, 77)["login"]["ok"])
        self.assertNotIn("LOGIN", source.mechanisms)

    def test_a_server_that_offers_no_binding_is_told_that_we_can(self):
        """Signed by the password: who took the offer out on its way is found out. As many rounds as are computed, so
        that they are computed beside the loop."""
        source, batch = self.job(greeting="[CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=SCRAM-SHA-256] ready")
        source.rounds = 1000000
        self.ends(batch.call("run"), 0)
        self.assertEqual(set(source.mechanisms), {"SCRAM-SHA-256"})
        self.assertEqual(set(source.headers), {"y,,"})

    def test_an_offer_that_was_taken_out_ends_the_login(self):
        source, batch = self.job(greeting="[CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=SCRAM-SHA-256] ready")
        source.stripped = True
        step = self.checked(batch, 69)["tls"]
        self.assertEqual(step["type"], "TlsFailed")
        self.assertIn("taken it out", step["detail"])
        self.assertEqual(source.mechanisms, ["SCRAM-SHA-256"])


class Memory(Login):
    """What of a password is left in the process once it has logged in: what the settings hold, and no copy as it went
    out, which would be in the next core file, swap or leak."""

    PASSWORD = "a password, long as tokens are, " * 20 + "that is like no other 4711"

    def held(self, pid, what):
        count = 0
        with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "rb", 0) as memory:
            for line in maps:
                span, rights = line.split()[:2]
                if not rights.startswith("rw") or "[v" in line:
                    continue
                first, last = (int(x, 16) for x in span.split("-"))
                try:
                    memory.seek(first)
                    count += memory.read(last - first).count(what)
                except OSError:
                    pass
        return count

    def test_no_copy_of_a_password_that_was_sent(self):
        if os.geteuid() != 0:
            self.skipTest("the process lets nobody but root read its memory")
        if os.environ.get("MAILHAUL_SANITIZED"):
            self.skipTest("a sanitizer's memory is too large to be read, and keeps what was freed")
        user = "anna"
        # Later commands are shorter, so it is the ends that would be left.
        sent = [base64.b64encode(("\0%s\0%s" % (user, self.PASSWORD)).encode())[-24:],
                base64.b64encode(self.PASSWORD.encode())[-24:], b'no other 4711"']
        for tls, way in ((True, "plain"), (True, "login"), (False, "plain"), (False, "login")):
            with self.subTest(tls=tls, way=way):
                mails = [quirky.Mail(1, b"Subject: s\r\n\r\n" + b"x" * 5000)]
                source = self._started(quirky.Quirky({user: {"INBOX": mails}}, tls=tls, stall={1: 10}))
                source.users[user] = self.PASSWORD
                batch = self.batch(source, self.target_for([user]), [user])
                batch.set("source", "auth", way)
                if not tls:
                    batch.set("source", "tls", "none")
                    batch.sections["source"].pop("tls-ca", None)
                run = batch.start("run")
                limit = time.monotonic() + 30
                while source.asked(r"BODY") == 0 and time.monotonic() < limit and not run.ended():
                    time.sleep(0.02)
                self.assertFalse(run.ended(), run.text())
                time.sleep(0.2)
                self.assertGreater(self.held(run.pid, self.PASSWORD.encode()), 0)  # so it can be seen
                copies = [self.held(run.pid, text) for text in sent]
                run.signal(15)
                run.wait()
                self.assertEqual(copies, [0, 0, 0])
