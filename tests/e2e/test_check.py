"""`check`: the token, the three steps from registration to mailbox, and what many users tell."""

import os
import socket
import threading
import time

import exchange
import mail
import servers
from haul import DOMAIN, Case

PRINCIPAL = "5e0f9d1c-2b34-4c56-8d78-9a0b1c2d3e4f"  # the oid of the simulated application's tokens


class Strangers(Case):
    def test_who_answers_instead_of_an_imap_server_is_shown(self):
        """A mail server's other port, or a web server: its own words, made printable and cut."""
        source = self.dovecot(["anna"])
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        for said, shown in ((b"220 mail.example ESMTP ready\r\n", '"220 mail.example ESMTP ready"'),
                            (b"HTTP/1.1 400 Bad " + b"\x1b" * 200 + b"\r\n", '"HTTP/1.1 400 Bad .')):
            with socket.create_server(("127.0.0.1", 0)) as server:
                batch.sections["source"] = {"url": "imap://127.0.0.1:%d" % server.getsockname()[1],
                                            "tls": "none"}
                server.settimeout(20)
                run = batch.start("check", "--source")
                connection = server.accept()[0]
                with connection:
                    connection.sendall(said)
                    done = self.ends(run.wait(), 69)
            self.assertIn(shown, done.out)
            self.assertNotIn("\x1b", done.out)
            self.assertLess(max(map(len, done.out.split("\n"))), 200)


    def test_a_server_that_says_nothing_is_told_while_it_is_waited_for(self):
        batch = self.batch(self.dovecot(["anna"]), self.target_for(["anna"]), ["anna"])
        with socket.create_server(("127.0.0.1", 0)) as server:
            batch.sections["source"] = {"url": "imap://127.0.0.1:%d" % server.getsockname()[1], "tls": "none"}
            server.settimeout(20)
            run = batch.start("check", "--source")
            with server.accept()[0]:
                while "waiting for its greeting" not in run.text() and not run.ended():
                    time.sleep(0.05)
        done = self.ends(run.wait(), 69)
        self.assertRegex(done.err, r"source 127\.0\.0\.1:\d+ as anna: no answer for \d+ s; waiting for its greeting")

    def test_a_user_root_that_holds_no_folder_fails_here_as_in_a_run(self):
        source = self.dovecot(["anna"])
        source.seed("anna", {("Work",): [mail.tiny(1)]})
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        for root, code, run in (("../../x", 69, 3), ("Work", 0, 0)):
            batch.extra_columns = {"UserRoot": {"anna": root}}
            done = self.ends(batch.call("check", "--json"), code)
            lists = [s for s in done.json()["steps"] if s["step"] == "list"]
            self.assertEqual([s["type"] for s in lists], [None if code == 0 else "InvalidMailboxName", None])
            if code:
                self.assertIn('no folder lies in the UserRoot "%s" of users.csv line 2' % root, lists[0]["detail"])
            self.ends(batch.call("run", *(["--set", "batch.state=other"] if code == 0 else [])), run)


class Token(Case):
    def checking(self, users=("anna",), person=False, **options):
        source = self.dovecot(list(users))
        target = self._started(exchange.Exchange(
            ["%s@%s" % (u, DOMAIN) for u in users],
            **{"device-polls": 0, "device-user": "admin@" + DOMAIN, **options}))
        batch = self.batch(source, target, users)
        if person:
            target.take_person(batch)
            self.ends(batch.call("sign-in"), 0)
        else:
            target.take(batch)
        return batch, target

    def steps(self, batch, code, *arguments):
        done = self.ends(batch.call("check", "--target", "--json", *arguments), code)
        self.assertNotIn("eyJ", done.out + done.err, "a token was printed")
        self.assertNotIn(exchange.SECRET, done.out + done.err)
        self.all = done.json()
        return {s["step"]: s for s in self.all["steps"]}

    def test_a_good_one_in_words(self):
        batch, _ = self.checking()
        steps = self.steps(batch, 0)
        self.assertEqual(list(steps), ["dns", "tcp", "tls", "greeting", "capability", "token", "login",
                                       "namespace", "list", "select"])
        detail = steps["token"]["detail"]
        for word in ("https://outlook.office365.com", "IMAP.AccessAsApp", "expires 20", "in 59 min",
                     "clock agrees"):
            self.assertIn(word, detail)
        plain = self.ends(batch.call("check", "--target"), 0)
        self.assertIn("IMAP.AccessAsApp", plain.out)

    def test_a_person(self):
        batch, _ = self.checking(person=True)
        detail = self.steps(batch, 0)["token"]["detail"]
        self.assertIn("IMAP.AccessAsUser.All", detail)
        self.assertIn("of admin@" + DOMAIN, detail)

    def test_a_clock_that_is_wrong(self):
        batch, target = self.checking(**{"date-ahead-s": 900})
        detail = self.steps(batch, 0)["token"]["detail"]
        self.assertRegex(detail, r"this clock is (899|900|901) s behind the server's \(set it\)")
        target.set("token-aadsts", 700027)
        target.set("token-errors", 1000)
        step = self.steps(batch, 77)["token"]
        self.assertIn("set it first", step["cause"] + step["remedy"])

    def test_step_1_registration(self):
        batch, target = self.checking()
        for aadsts, words in ((7000215, "Add-MgApplicationPassword"), (7000222, "new secret"),
                              (65001, "adminconsent?client_id=" + exchange.CLIENT),
                              (700016, "Get-MgServicePrincipal"), (90002, "tenant"),
                              (700027, "Upload the certificate")):
            with self.subTest(aadsts):
                target.set("token-aadsts", aadsts)
                target.set("token-errors", 1)
                steps = self.steps(batch, 77)
                self.assertTrue(steps["capability"]["ok"], "the server itself is shown all the same")
                step = steps["token"]
                self.assertEqual((step["ok"], step["type"]), (False, "TokenFailed"))
                self.assertIn("AADSTS%d" % aadsts, step["detail"])
                self.assertRegex(step["detail"], r"correlation id [0-9a-f]{8}-")
                self.assertIn("Step 1 of 3", step["cause"])
                self.assertIn(words, step["remedy"])
                self.assertNotIn("login", steps)

    def test_step_2_a_token_for_another_service(self):
        batch, _ = self.checking(**{"token-audience": "https://graph.microsoft.com"})
        steps = self.steps(batch, 77)
        self.assertIn("Step 2 of 3", steps["token"]["cause"])
        self.assertIn("https://graph.microsoft.com", steps["token"]["cause"])
        self.assertIn("outlook.office365.com/.default", steps["token"]["remedy"])
        self.assertFalse(steps["login"]["ok"])

    def test_step_2_without_the_right(self):
        batch, target = self.checking(**{"token-role": "Mail.Read"})
        step = self.steps(batch, 77)["token"]
        self.assertIn("lacks IMAP.AccessAsApp and has only Mail.Read", step["cause"])
        self.assertIn("admin consent", step["remedy"])
        target.set("token-role", "none")
        self.assertIn("lacks IMAP.AccessAsApp:", self.steps(batch, 77)["token"]["cause"])

    def test_step_2_an_application_that_exchange_does_not_know(self):
        batch, _ = self.checking(principal="no")
        steps = self.steps(batch, 77)
        self.assertTrue(steps["token"]["ok"])
        step = steps["login"]
        self.assertEqual(step["type"], "LoginFailed")
        self.assertIn("Step 2 of 3", step["cause"])
        self.assertIn("New-ServicePrincipal -AppId %s -ObjectId %s " % (exchange.CLIENT, PRINCIPAL),
                      step["remedy"])
        self.assertIn("Get-Mailbox anna@" + DOMAIN, step["remedy"])

    def test_step_3_no_right_to_the_mailbox_or_imap_off(self):
        batch, target = self.checking(["anna", "ben", "cleo"])
        target.set("mailbox", "ben@%s,permitted=no" % DOMAIN)
        target.set("mailbox", "cleo@%s,enabled=no" % DOMAIN)
        self.steps(batch, 77, "--all")
        failed = {s["user"].split("@")[0]: s for s in self.all["steps"] if not s["ok"]}
        self.assertEqual(set(failed), {"ben", "cleo"})
        for user, step in failed.items():
            self.assertEqual(step["type"], "PermissionMissing")
            self.assertIn("Step 3 of 3", step["cause"])
            address = "%s@%s" % (user, DOMAIN)
            self.assertIn("Add-MailboxPermission -Identity %s -User %s -AccessRights FullAccess"
                          % (address, PRINCIPAL), step["remedy"])
            self.assertIn("Set-CASMailbox %s -ImapEnabled $true" % address, step["remedy"])
        summary, = self.all["summary"]
        self.assertEqual((summary["ok"], summary["failed"], summary["server_fault"]), (1, 2, False))

    def test_step_3_a_persons_own_mailbox_can_only_be_switched_off(self):
        batch, target = self.checking(person=True, **{"device-user": "anna@" + DOMAIN})
        target.set("mailbox", "anna@%s,enabled=no" % DOMAIN)
        failed = [s for s in self.steps(batch, 77).values() if not s["ok"]]
        self.assertEqual(failed[0]["type"], "ImapDisabled")
        self.assertEqual(failed[0]["remedy"], "Set-CASMailbox anna@%s -ImapEnabled $true" % DOMAIN)

    def test_a_token_server_that_is_away(self):
        batch, target = self.checking(**{"token-status": 503, "token-errors": 100000})
        step = self.steps(batch, 69)["token"]
        self.assertIn("HTTP 503", step["detail"])


class Many(Case):
    """What fails for all is the server's; what fails for one is that user's."""

    def judged(self, batch, code, *arguments):
        done = self.ends(batch.call("check", "--all", "--source", "--json", *arguments), code)
        self.steps = done.json()["steps"]
        summary, = done.json()["summary"]
        plain = self.ends(batch.call("check", "--all", "--source", *arguments), code)
        self.assertIn(summary["text"], plain.out)
        self.plain = plain.out
        return summary

    def users(self, count):
        return ["u%02d" % i for i in range(count)]

    def test_all_well(self):
        users = self.users(6)
        source = self.dovecot(users)
        batch = self.batch(source, self.target_for(users), users)
        summary = self.judged(batch, 0)
        self.assertEqual((summary["users"], summary["ok"]), (6, 6))

    def test_one_wrong_password(self):
        users = self.users(7)
        source = self.dovecot(users)
        batch = self.batch(source, self.target_for(users), users)
        batch.passwords = {"u03": "wrong"}
        summary = self.judged(batch, 77)
        self.assertEqual((summary["ok"], summary["failed"], summary["not_tried"]), (6, 1, 0))
        self.assertFalse(summary["server_fault"])
        self.assertIn("passwords", summary["text"])
        self.assertIn("LoginFailed (login), 1: u03@" + DOMAIN, self.plain)

    def test_a_certificate_fails_for_all_and_is_told_once(self):
        users = self.users(20)
        source = self.dovecot(users, names="DNS:other.example")
        batch = self.batch(source, self.target_for(users), users)
        summary = self.judged(batch, 69)
        self.assertTrue(summary["server_fault"])
        self.assertIn("certificate", summary["text"])
        self.assertGreater(summary["not_tried"], 10, "the rest is left alone")
        self.assertEqual(summary["ok"], 0)

    def test_all_passwords_wrong_is_probably_the_login_name(self):
        users = self.users(6)
        source = self.dovecot(users)
        batch = self.batch(source, self.target_for(users), users)
        batch.passwords = {u: "wrong" for u in users}
        summary = self.judged(batch, 77)
        self.assertTrue(summary["server_fault"])
        self.assertEqual(summary["failed"], 6, "each has a password of its own")
        self.assertIn("form of the login name", summary["text"])
        self.assertEqual((self.plain.count("  FAIL  "), self.plain.count("why: "), self.plain.count("(as above)")),
                         (6, 1, 5), "what to do is told once")

    def test_an_administrator_who_is_refused_is_tried_three_times(self):
        users = self.users(12)
        source = self.dovecot(users, masters={"root": "right"})
        batch = self.batch(source, self.target_for(users), users)
        batch.passwords = {u: "" for u in users}
        path = os.path.join(batch.folder, "admin")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
            f.write("wrong\n")
        batch.set("source", "admin-user", "root").set("source", "admin-password-file", "admin")
        summary = self.judged(batch, 77)
        self.assertEqual((summary["failed"], summary["not_tried"]), (3, 9))
        self.assertIn("administrator", summary["text"])
        with open(path, "w") as f:
            f.write("right\n")
        summary = self.judged(batch, 0)
        self.assertEqual(summary["ok"], 12)

    def test_a_polite_rate(self):
        """Never more than four connections at once, whatever the number of users."""
        open_now, most, lock = [0], [0], threading.Lock()
        server = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.addCleanup(server.close)

        def talk(peer):
            with lock:
                open_now[0] += 1
                most[0] = max(most[0], open_now[0])
            with peer:
                peer.sendall(b"* OK [CAPABILITY IMAP4rev1] hello\r\n")
                for line in peer.makefile("rb"):
                    tag = line.split()[0]
                    if b"LOGOUT" in line.upper():
                        break
                    peer.sendall(tag + b" NO [AUTHENTICATIONFAILED] no\r\n")
            with lock:
                open_now[0] -= 1

        def accept():
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=talk, args=(peer,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        users = self.users(15)
        batch = self.batch(self.dovecot(users), self.target_for(users), users)
        batch.sections["source"] = {"url": "imap://localhost:%d" % server.getsockname()[1],
                                    "tls": "none"}
        done = self.ends(batch.call("check", "--all", "--source", "--json"), 77)
        summary, = done.json()["summary"]
        self.assertEqual(summary["failed"], 15)
        self.assertLessEqual(most[0], 4)

    def test_one_side_alone_needs_no_password_of_the_other(self):
        target = self.target_for(["anna"])
        batch = self.batch(self.dovecot(["anna"]), target, ["anna"])
        kept = dict(target.users)
        target.users.clear()
        self.ends(batch.call("check", "--source"), 0)
        self.assertIn("TargetPassword", self.ends(batch.call("check"), 65).err)
        target.users.update(kept)
        batch.passwords["anna"] = ""
        self.ends(batch.call("check", "--target"), 0)
