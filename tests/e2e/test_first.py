"""The first hour with a batch: who is chosen, how passwords, proxies and limits are told, where folders go."""

import os
import pty
import re
import resource
import signal
import subprocess
import time

import haul
import mail
import proxy

USERS = ("anna", "ben", "cleo")


class First(haul.Case):
    def two(self, users=USERS, messages=2):
        source = self.dovecot(users)
        for i, user in enumerate(users):
            source.seed(user, {("INBOX",): [mail.tiny(10 * i + k) for k in range(messages)]})
        return self.batch(source, self.target_for(users), users)

    def states(self, batch):
        return {u["user_name"]: u["state"] for u in batch.report()["users"]}


class Choose(First):
    def test_waves_files_and_exclusions(self):
        batch = self.two()
        batch.extra_columns["Wave"] = {"anna": "1", "ben": "2", "cleo": "2"}
        names = os.path.join(batch.folder, "some.txt")
        with open(names, "w", encoding="utf-8-sig", newline="") as f:
            f.write("# first\r\nANNA@%s\r\nbne\r\n" % haul.DOMAIN)
        done = self.ends(batch.call("run", "--users-from", names), 64)
        self.assertRegex(done.err, r"some\.txt:3: bne: no such EmailAddress or UserName in .*users\.csv")
        self.assertFalse(os.path.exists(batch.state))
        self.ends(batch.call("run", "--wave", "2", "--exclude-user", "cleo"), 0)
        self.assertEqual(self.states(batch), {"ben": "Synced"})
        with open(names, "w") as f:
            f.write("anna # only\n")
        done = self.ends(batch.call("run", "--users-from", names), 0)
        self.assertIn("Asked for               1 user: 1 done", done.err)
        self.assertEqual(self.states(batch), {"ben": "Synced", "anna": "Synced"})
        for command in ("status", "report"):
            text = self.ends(batch.call(command, "--wave", "2", "--json"), 0).json()
            self.assertEqual([u["address"].split("@")[0] for u in text["users"]], ["ben"], command)
            text = self.ends(batch.call(command, "--exclude-user", "ben", "--json"), 0).json()
            self.assertEqual([u["address"].split("@")[0] for u in text["users"]], ["anna"], command)
        done = self.ends(batch.call("run", "--exclude-user", "anna", "--wave", "1"), 64)
        self.assertRegex(done.err, r"no user of .*users\.csv is left")

    def test_the_smallest_go_first(self):
        source = self.dovecot(USERS)
        for user, messages in (("anna", 3), ("ben", 1), ("cleo", 2)):
            source.seed(user, {("INBOX",): [mail.tiny(100 + i) for i in range(messages)]})
        batch = self.batch(source, self.target_for(USERS), USERS)
        batch.set("batch", "user-order", "smallest-first").set("batch", "threads", "1")
        batch.set("source", "connections", "1").set("target", "connections", "1")
        self.ends(batch.call("plan", "--source"), 0)
        self.ends(batch.call("run", "--log", "run.log", "--log-level", "debug"), 0)
        with open(os.path.join(batch.folder, "run.log")) as f:
            ready = re.findall(r"link\.ready .*?source.*?user=(\w+)", f.read())
        self.assertEqual(list(dict.fromkeys(ready)), ["ben", "cleo", "anna"])


class Passwords(First):
    def test_a_program_tells_each_users_password(self):
        batch = self.two()
        keys = os.path.join(batch.folder, "keys")
        os.makedirs(keys)
        for user in USERS:
            with open(os.path.join(keys, user), "w") as f:
                f.write(batch.source.users[user] + "\nnot this\n")
        batch.passwords = {user: "" for user in USERS}
        batch.set("source", "password-command", "cat '%s/{user}'" % keys)
        done = self.ends(batch.call("run", "--log", "run.log", "--log-level", "trace"), 0)
        with open(os.path.join(batch.folder, "run.log")) as f:
            log = f.read()
        for user in USERS:
            self.assertNotIn(batch.source.users[user], log + done.out + done.err)
        self.moved(batch)
        os.remove(os.path.join(keys, "ben"))
        os.remove(os.path.join(keys, "cleo"))
        done = self.ends(batch.call("check"), 78)
        self.assertIn("[source] password-command for ben@%s: ended with exit code 1; run it by hand to see why" % haul.DOMAIN,
                      done.err)
        self.assertIn("for cleo@", done.err)
        self.ends(batch.call("status"), 0)  # asks for none


class Proxies(First):
    def through(self, batch, **options):
        p = proxy.Proxy(**options)
        self.addCleanup(p.stop)
        return p

    def test_both_kinds_and_both_sides(self):
        batch = self.two(users=("anna",))
        socks = self.through(batch, login=("job", "s3cret:x"))
        http = self.through(batch)
        batch.set("source", "proxy", socks.url("socks5", ("job", "s3cret%3Ax")))
        batch.set("target", "proxy", http.url("http"))
        done = self.ends(batch.call("check", "--log", "check.log", "--log-level", "trace"), 0)
        self.assertRegex(done.out, r"source  proxy +ok .*the SOCKS 5 proxy 127\.0\.0\.1:%d opened the way" % socks.port)
        self.assertRegex(done.out, r"target  proxy +ok .*the HTTP proxy")
        with open(os.path.join(batch.folder, "check.log")) as f:
            self.assertNotIn("s3cret", f.read() + done.out + done.err)
        self.ends(batch.call("run"), 0)
        self.moved(batch)
        self.assertTrue(socks.opened and http.opened)
        self.assertTrue(all(o.endswith(":%s" % batch.source.url(True).rsplit(":", 1)[1].strip("/")) for o in socks.opened))

    def test_what_it_refuses_is_told(self):
        batch = self.two(users=("anna",))
        for scheme in ("socks5", "http"):
            for options, login, words in (
                    ({"login": ("job", "right")}, ("job", "wrong"), "refuses the user or the password"),
                    ({"login": ("job", "right")}, None, "wants a login"),
                    ({"refuses": True}, None, "Check that the proxy allows"),
                    ({"hostile": "noise"}, None, "does not speak")):
                p = self.through(batch, **options)
                batch.set("source", "proxy", p.url(scheme, login))
                done = self.ends(batch.call("check", "--source"), 69)
                self.assertRegex(done.out, r"source  proxy +FAIL", "%s %s" % (scheme, options))
                self.assertIn(words, done.out, "%s %s" % (scheme, options))
                p.stop()
        p = self.through(batch, hostile="endless")
        batch.set("source", "proxy", p.url("http"))
        self.assertIn("a header that does not end", self.ends(batch.call("check", "--source"), 69).out)


class Folders(First):
    def test_patterns_move_a_tree(self):
        batch = self.two(users=("anna",))
        batch.source.seed("anna", {tuple(name.split("/")): [mail.tiny(20 + i)] for i, name in enumerate(
            ("Archive/2018", "Archive/2019/deep", "Mine", "Other"))})
        batch.sections["folders"] = {"Archive/*": "Old mail/*", "Other": "Old mail/2018"}
        done = self.ends(batch.call("folders", "--user", "anna", "--json"), 0).json()
        to = {f["source"]: f["target"] for f in done["folders"]}
        self.assertEqual(to["Archive/2019/deep"], "Old mail/2019/deep")
        self.assertEqual(to["Mine"], "Mine")
        self.assertEqual(sorted((to["Archive/2018"], to["Other"])), ["Old mail/2018", "Old mail/2018 (2)"])
        self.assertIn("FolderNameClash", [p["type"] for f in done["folders"] for p in f["problems"]])
        self.ends(batch.call("run"), 0)
        with batch.target.connect("anna@" + haul.DOMAIN) as c:
            self.assertIn(("Old mail", "2019", "deep"), [tuple(f) for f in c.folders()])
        batch.sections["folders"] = {"Archive/*": "Old mail"}
        done = self.ends(batch.call("check"), 78)
        self.assertIn("a pattern needs a * in its target too", done.err)


class Limits(First):
    def test_a_limited_run_gets_through_and_status_tells_the_limit(self):
        batch = self.two(users=("anna",), messages=0)
        batch.source.seed("anna", {("INBOX",): [mail.big(1, 300000), mail.tiny(2)]})
        batch.set("batch", "bandwidth-max", "400KB")
        running = batch.start("run", "--log", "run.log")
        told = set()
        while not running.ended():
            done = batch.call("status", "--json", write=False)
            if done.code == 0:
                told.add(done.json()["batch"]["bandwidth_max"])
        self.ends(running.wait(), 0)
        self.assertLessEqual(told, {0, 400000})  # 0: before it begins, or when it has ended
        with open(os.path.join(batch.folder, "run.log")) as f:
            self.assertIn("bandwidth.now bytes_per_s=400000", f.read())
        self.moved(batch)


class Machine(First):
    def local(self, batch, *arguments):
        return {s["step"]: s for s in batch.call("check", "--json", *arguments).json()["steps"] if s["side"] == "local"}

    def test_what_a_run_could_not_begin_with(self):
        batch = self.two(users=("anna",))
        steps = self.local(batch)
        self.assertEqual(list(steps), ["state", "disk", "files", "memory", "clock", "proxy"])
        self.assertTrue(all(s["ok"] for s in steps.values()), steps)
        self.assertFalse(os.path.exists(batch.state))
        self.ends(batch.call("check"), 0)
        other = os.path.join(batch.folder, "other")
        os.makedirs(other)
        with open(os.path.join(other, "letter.txt"), "w") as f:
            f.write("x")
        batch.set("batch", "state", "other")
        done = batch.call("check")
        self.assertEqual(done.code, batch.call("run").code, str(done))
        self.assertRegex(done.out, r"local   state       FAIL .*other.*holds other things")
        self.assertEqual(os.listdir(other), ["letter.txt"])
        batch.set("batch", "state", batch.name + ".state")
        self.ends(batch.call("plan", "--source"), 0)
        self.assertIn("of mail are still to come", self.local(batch)["disk"]["detail"])
        self.assertIn("earlier runs", self.local(batch)["state"]["detail"])

    def test_what_a_run_gets_through_with_is_a_warning(self):
        batch = self.two(users=("anna",))
        for limit, least, step in ((resource.RLIMIT_NOFILE, 64, "files"), (resource.RLIMIT_AS, 700 << 20, "memory")):
            if limit == resource.RLIMIT_AS and os.environ.get("MAILHAUL_SANITIZED"):
                continue  # its shadow needs more addresses than any limit leaves
            limits = lambda: resource.setrlimit(limit, (least, least))  # noqa: E731
            told = self.ends(batch.call("check", "--json", limits=limits), 0).json()
            self.assertTrue(told["ok"])
            local = {s["step"]: s for s in told["steps"] if s["side"] == "local"}
            self.assertTrue(local[step]["ok"])
            self.assertIsNone(local[step]["type"])
            self.assertIn("ulimit", local[step]["remedy"])
            self.assertEqual([s for s in local if local[s]["cause"]], [step])
            done = self.ends(batch.call("check", limits=limits), 0)
            self.assertRegex(done.out, r"local   %-10s  WARN .*\n +why: .*\n +do: " % step)


class SetAside(First):
    """user pause, resume and drop, while a run works. Who is at work is held by a proxy, not by time."""

    def held(self, holds):
        batch = self.two(users=("anna", "ben"), messages=3)
        self.ends(batch.call("plan", "--source"), 0)
        p = proxy.Proxy(holds=holds)
        self.addCleanup(p.stop)
        batch.set("source", "proxy", p.url("socks5")).set("batch", "threads", "1")
        return batch, p

    def user(self, batch, what, name, code=0):
        batch.write()
        return self.ends(haul.Running(["user", what, name, batch.path], batch.folder).wait(), code)

    def until(self, running, what):
        while not what():
            self.assertFalse(running.ended(), running.text())
            time.sleep(0.05)

    def state(self, batch, user):
        done = batch.call("status", "--json", write=False)
        return {u["address"].split("@")[0]: u["state"] for u in done.json()["users"]}[user] if done.code == 0 else ""

    def test_a_user_is_paused_at_work_and_resumed_in_the_next_run(self):
        batch, p = self.held(1)
        batch.set("source", "connections", "1").set("target", "connections", "1")
        running = batch.start("run")
        self.until(running, lambda: p.opened)
        done = self.user(batch, "pause", "anna")
        self.assertIn("the run at work follows within seconds", done.out)
        done = self.ends(running.wait(), 2)
        self.assertIn("1 user is paused, and all else that was asked for is done", done.err)
        self.assertEqual((self.state(batch, "anna"), self.state(batch, "ben")), ("Paused", "Synced"))
        self.assertEqual([u["state"] for u in batch.report()["users"]], ["Paused", "Synced"])
        self.ends(batch.call("run"), 2)  # it holds over runs
        self.user(batch, "nobody", "anna", 64)
        self.user(batch, "pause", "anan", 64)
        p.release()
        self.assertIn("in the batch again", self.user(batch, "resume", "anna").out)
        self.assertIn("already", self.user(batch, "resume", "anna").out)
        self.ends(batch.call("run"), 0)
        self.moved(batch)

    def test_a_user_is_resumed_while_another_one_works(self):
        batch, p = self.held(1)
        self.user(batch, "pause", "anna")
        running = batch.start("run")
        self.until(running, lambda: p.opened)  # ben's
        self.user(batch, "resume", "anna")
        self.until(running, lambda: self.state(batch, "anna") == "Synced")
        p.release()
        self.ends(running.wait(), 0)
        self.moved(batch)

    def test_who_is_dropped_is_not_waited_for(self):
        batch, p = self.held(0)
        self.user(batch, "drop", "ben@" + haul.DOMAIN)
        self.ends(batch.call("run"), 0)
        report = batch.report()
        self.assertEqual([u["state"] for u in report["users"]], ["Synced", "Stopped"])
        self.assertEqual(report["batch"]["state"], "Synced")
        self.user(batch, "resume", "ben")
        self.ends(batch.call("run"), 0)
        self.moved(batch)


class Cutover(First):
    def states_of(self, batch):
        done = self.ends(batch.call("status", "--json"), 0).json()
        return done["batch"]["state"], [u["state"] for u in done["users"]]

    def test_who_is_proved_is_completed(self):
        batch = self.two(users=("anna", "ben"))
        batch.passwords["ben"] = "wrong"
        done = self.ends(batch.call("cutover"), 3)
        self.assertRegex(done.out, r"anna@\S+ +Completed +Perfect +2 messages")
        self.assertRegex(done.out, r"ben@\S+ +not completed .*Failed: LoginFailed")
        self.assertEqual(self.states_of(batch), ("CompletedWithErrors", ["Completed", "Failed"]))
        told = self.ends(batch.call("cutover", "--json"), 3).json()
        self.assertEqual([(u["completed"], u["state"], u["failure"]) for u in told["users"]],
                         [(True, "Completed", None), (False, "Failed", "LoginFailed")])
        batch.passwords = {}
        self.ends(batch.call("retry", "--user", "ben"), 0)
        told = self.ends(batch.call("cutover", "--json"), 0).json()
        self.assertEqual((told["schema"], told["exit_code"], told["totals"]),
                         ("mailhaul.cutover.v1", 0, {"users": 2, "completed": 2}))
        self.assertEqual(told["users"][1], {"address": "ben@" + haul.DOMAIN, "completed": True, "grade": "Perfect",
                                            "state": "Completed", "failure": None, "messages": 2})
        done = self.ends(batch.call("cutover", "--user", "ben"), 0)
        self.assertIn("1 of 1 user is Completed", done.out)
        self.assertEqual(self.states_of(batch), ("Completed", ["Completed", "Completed"]))
        batch.source.seed("anna", {("INBOX",): [mail.tiny(77)]})  # it arrived late
        self.ends(batch.call("run"), 0)
        self.moved(batch)
        self.assertEqual(self.states_of(batch), ("Completed", ["Completed", "Completed"]))

    def test_who_was_not_begun_with_is_told_of(self):
        batch = self.two(users=("anna", "ben"))
        self.ends(batch.call("run", "--user", "anna"), 0)
        hour = time.localtime().tm_hour
        batch.set("batch", "window", "%02d:00-%02d:00" % ((hour + 4) % 24, (hour + 5) % 24))  # closed
        told = self.ends(batch.call("cutover", "--json"), 2).json()
        self.assertEqual([(u["completed"], u["state"], u["grade"]) for u in told["users"]],
                         [(True, "Completed", "Perfect"), (False, "Queued", None)])
        self.assertEqual(told["totals"], {"users": 2, "completed": 1})
        done = self.ends(batch.call("cutover"), 2)
        self.assertRegex(done.out, r"ben@\S+ +not completed +not judged +Queued")

    def test_runs_again_and_again_until_then(self):
        batch = self.two(users=("anna",))
        running = batch.start("run", "--every", "1s")
        while running.text().count("the next one begins") < 2:
            self.assertFalse(running.ended(), running.text())
            time.sleep(0.05)
        running.signal(signal.SIGTERM)
        self.assertIn(running.wait().code, (0, 2))  # 2: it came amid a run
        running = batch.start("run", "--every", "24h", "--until-cutover")
        while "the next one begins" not in running.text():
            self.assertFalse(running.ended(), running.text())
            time.sleep(0.05)
        self.ends(batch.call("cutover", write=False), 0)
        done = self.ends(running.wait(), 0)
        self.assertIn("all users are Completed", done.err)
        self.ends(batch.call("run", "--until-cutover"), 64)


class Init(First):
    def call(self, *arguments, **more):
        return haul.Running(["init", *arguments, os.path.join(self.folder, "m.ini")], self.folder, **more).wait()

    def text(self, name):
        with open(os.path.join(self.folder, name)) as f:
            return f.read()

    def test_exchange_online(self):
        done = self.ends(self.call("--source-url", "imaps://imap.example.edu", "--tenant", "contoso.onmicrosoft.com",
                                   "--client-id", "1111-22"), 0)
        for line in ("url = imaps://imap.example.edu", "preset = exchange-online", "tenant = contoso.onmicrosoft.com",
                     "client-id = 1111-22", "client-secret-file = client-secret", ";connections-per-user = 4"):
            self.assertIn("\n%s\n" % line, self.text("m.ini"))
        self.assertNotIn("admin-password-file = \n", self.text("m.ini"))
        self.assertEqual(self.text("users.csv"), "EmailAddress,UserName,Password\n")
        self.assertIn("New-ServicePrincipal -AppId $application", done.out)
        self.assertIn("$application = '1111-22'", self.text("m.ps1"))
        for name in ("m.ini", "users.csv", "m.ps1"):
            self.assertEqual(os.stat(os.path.join(self.folder, name)).st_mode & 0o777, 0o600)
        before = self.text("m.ini")
        done = self.ends(self.call("--source-url", "imaps://other.example.edu", "--tenant", "x.y", "--client-id", "1"), 64)
        self.assertIn("init writes over nothing", done.err)
        self.assertEqual(self.text("m.ini"), before)
        with open(os.path.join(self.folder, "users.csv"), "a") as f:
            f.write("ann@contoso.example,ann,secret\n")
        with open(os.path.join(self.folder, "client-secret"), "w") as f:
            f.write("s3cret\n")
        # Each key as a comment is one that can be set.
        self.ends(haul.Running(["check", "--source", os.path.join(self.folder, "m.ini"), "--set", "source.url=imaps://127.0.0.1:1"],
                               self.folder).wait(), 69)

    def test_what_is_missing_or_wrong(self):
        for arguments, words in ((("--tenant", "a.b"), "--source-url is missing"),
                                 (("--source-url", "http://x", "--tenant", "a.b", "--client-id", "1"), "url: http://x: expected a server"),
                                 (("--source-url", "imaps://x"), "--preset is missing"),
                                 (("--source-url", "imaps://x", "--preset", "imap"), "--target-url is missing")):
            self.assertIn(words, self.ends(self.call(*arguments), 64).err)
        self.assertEqual(os.listdir(self.folder), [])

    def test_it_asks_and_ends_with_check(self):
        source = self.dovecot(["anna"])
        target = self.target_for(["anna"])
        batch = self.batch(source, target, ["anna"])
        batch.write()
        leader, follower = pty.openpty()
        path = os.path.join(batch.folder, "asked.ini")
        with subprocess.Popen([haul.BINARY, "init", path], stdin=follower, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              cwd=batch.folder, env={**os.environ, "SSL_CERT_FILE": source.ca}) as asked:
            os.close(follower)
            os.write(leader, ("nonsense\n%s\nimap\n%s\n\n" % (source.url(True), target.url(True))).encode())
            out = asked.communicate(timeout=120)[0].decode()
        os.close(leader)
        self.assertIn("Source server", out)
        self.assertIn("nonsense: expected a server", out)
        self.assertIn("users.csv is there already: left as it is", out)
        self.assertRegex(out, r"local   state       ok")
        self.assertRegex(out, r"source  tls")
        self.assertIn(asked.returncode, (0, 69), out)  # by whether both certificates have one issuer


class Faults(First):
    def test_all_faults_at_once(self):
        batch = self.two(users=("anna",), messages=0)
        batch.write()
        with open(os.path.join(batch.folder, "users.csv"), "w") as f:
            f.write("EmailAddress;UserName;Password\n" + "".join("u%d;u;p\n" % i for i in range(30)))
        done = self.ends(batch.start("check", write=False).wait(), 65)
        self.assertEqual(len(re.findall(r"users\.csv:\d+:1: EmailAddress", done.err)), 20)
        self.assertIn("and 10 more faults", done.err)
        with open(batch.path, "a") as f:
            f.write("[policy]\nsince = never\n[batsh]\nx = y\n")
        done = self.ends(batch.start("check", write=False).wait(), 78)
        self.assertIn("since: never: expected a date", done.err)
        self.assertIn("[batsh]: unknown section; did you mean [batch]?", done.err)


if __name__ == "__main__":
    import unittest
    unittest.main()
