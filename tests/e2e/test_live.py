"""What a run tells of itself while it works: JSON lines, the status file, and --listen with its page, metrics and refusals.
Prometheus and Chromium are the real ones; where they are missing those tests are skipped."""

import base64
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time

import browser
import mail
import servers
from haul import Case, DOMAIN

METRICS = {"mailhaul_users", "mailhaul_messages", "mailhaul_spool_bytes", "mailhaul_connections",
           "mailhaul_no_answer_seconds", "mailhaul_fetched_messages_total", "mailhaul_build_info"}


def until(what, limit_s=120):
    """what() until it gives something; refused and broken connections are tried again."""
    end = time.monotonic() + limit_s
    while True:
        try:
            got = what()
            if got:
                return got
            problem = "nothing"
        except (OSError, http.client.HTTPException) as e:
            problem = e
        if time.monotonic() > end:
            raise AssertionError("not within %d s: %s" % (limit_s, problem))
        time.sleep(0.05)


def lines_of(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f if line.endswith("\n")]


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Live(Case):
    def setUp(self):
        super().setUp()
        self.source = self.dovecot(["anna", "ben"])
        for seed, user in enumerate(("anna", "ben")):
            self.source.seed(user, {("INBOX",): [mail.tiny(100 * seed + n) for n in range(20)]})
        self.log = os.path.join(self.folder, "log.jsonl")

    def mute(self):
        """A target that takes connections and never says a word."""
        target = socket.socket()
        self.addCleanup(target.close)
        target.bind(("127.0.0.1", 0))
        target.listen(64)
        return target.getsockname()[1]

    def to_a_mute_target(self):
        one = self.batch(self.source, self.source, ["anna", "ben"])
        one.sections["target"] = {"preset": "imap", "url": "imap://127.0.0.1:%d" % self.mute(), "tls": "none",
                                  "stall-limit": "1h"}
        one.target_logins = {"anna": "anna", "ben": "ben"}
        one.extra_columns = {"TargetUserName": one.target_logins}
        return one

    def begin(self, *arguments, **sections):
        """A run whose target is mute: it reads all there is, and then waits. Gives (running, what listen.on says)."""
        one = self.to_a_mute_target()
        one.sections["batch"].update(sections)
        running = one.start("run", "--log", self.log, "--log-format", "json", *arguments)

        def on():
            self.assertFalse(running.ended(), running.text())
            return next((x for x in lines_of(self.log) if x["event"].startswith("listen.")), None)

        return running, until(on)

    def get(self, path, headers=None, method="GET", connection=None):
        c = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        c.request(method, path, headers=headers or {})
        answer = c.getresponse()
        body = answer.read().decode()
        c.close()
        return answer.status, body, dict(answer.getheaders())

    def live(self, **more):
        return json.loads(self.get("/live.json", **more)[1])

    def end(self, running):
        running.signal(signal.SIGTERM)
        return self.ends(running.wait(), 2)

    def test_json_lines_tell_begin_users_and_end(self):
        target = self.target_for(["anna", "ben"])
        one = self.batch(self.source, target, ["anna", "ben"])
        one.passwords["ben"] = "wrong"
        status = os.path.join(one.folder, "status.json")
        one.set("batch", "status-file", "status.json")
        done = self.ends(one.call("run", "--progress", "json", "--log", self.log, "--log-format", "json"), 3)
        told = [json.loads(line) for line in done.err.splitlines() if line.startswith("{")]
        self.assertEqual({x["schema"] for x in told}, {"mailhaul.progress.v1"})
        self.assertIn("progress", [x["type"] for x in told[:-1]])
        last = told[-1]
        self.assertEqual((last["type"], last["exit_code"], last["batch"], last["command"]), ("end", 3, "night-1", "run"))
        totals = one.report()["totals"]
        for name in ("users", "synced", "failed_users", "found", "uploaded", "present", "skipped", "failed", "pending"):
            self.assertEqual(last[name], totals[name], name)
        self.assertEqual(last["failures"], [{"type": "LoginFailed", "users": 1}])
        with open(status, encoding="utf-8") as f:
            kept = json.load(f)
        self.assertEqual((kept["type"], kept["exit_code"], kept["uploaded"]), ("end", 3, 20))
        self.assertEqual([n for n in os.listdir(one.folder) if n.startswith(".status")], [], "no part of one is left")

        log = lines_of(self.log)
        events = [x["event"] for x in log]
        self.assertEqual((events.count("run.start"), events.count("run.end")), (1, 1))
        users = {x["user"]: x for x in log if x["event"] == "user.end"}
        self.assertEqual(set(users), {"anna@" + DOMAIN, "ben@" + DOMAIN})
        anna, ben = users["anna@" + DOMAIN], users["ben@" + DOMAIN]
        self.assertEqual((anna["state"], anna["found"], anna["uploaded"], anna["failure"]), ("Synced", 20, 20, ""))
        self.assertEqual((ben["state"], ben["failure"]), ("Failed", "LoginFailed"))
        ended = log[events.index("run.end")]
        self.assertEqual((ended["exit_code"], ended["synced"], ended["failed_users"], ended["uploaded"]), (3, 1, 1, 20))
        trouble = next(x for x in log if x["event"] == "trouble")
        self.assertEqual((trouble["user"], trouble["side"], trouble["type"], trouble["level"]),
                         ("ben@" + DOMAIN, "source", "LoginFailed", "warn"))
        for x in log:
            self.assertTrue(x["time"].endswith("Z") and x["level"] in ("error", "warn", "info"), x)

        # What is no status file stays.
        with open(status, "w", encoding="utf-8") as f:
            f.write("the only copy of something\n")
        self.assertIn("is no status file", self.ends(one.call("run"), 78).err)

    def test_page_metrics_and_what_is_refused(self):
        running, on = self.begin("--listen", "127.0.0.1:0")
        self.assertEqual(on["event"], "listen.on", on)
        self.port = int(on["url"].rsplit(":", 1)[1].strip("/"))

        def waits():
            told = self.live()
            return told if told["found"] == 40 and told["pending"] == 40 and told["no_answer_s"]["target"] else None

        told = until(waits)
        self.assertEqual((told["schema"], told["users"], told["working"], told["type"], told["exit_code"]),
                         ("mailhaul.progress.v1", 2, 2, "progress", None))
        self.assertEqual({a["address"] for a in told["active"]}, {"anna@" + DOMAIN, "ben@" + DOMAIN})
        self.assertGreaterEqual(told["no_answer_s"]["target"], 5)
        self.assertEqual(told["no_answer_s"]["source"], 0)
        until(lambda: all(u["no_answer_s"]["target"] >= 5
                          for u in self.ends(self.status(running), 0).json()["users"]))
        self.assertEqual(self.get("/healthz")[:2], (200, "ok\n"))

        code, text, headers = self.get("/metrics")
        self.assertEqual(code, 200)
        self.assertTrue(headers["Content-Type"].startswith("text/plain; version=0.0.4"), headers)
        self.assertIn('mailhaul_messages{state="pending"} 40\n', text)
        self.assertEqual(METRICS - {line.split("{")[0].split(" ")[0] for line in text.splitlines()}, set())
        self.assertNotIn("anna", text, "no user is a label")

        code, page, headers = self.get("/")
        self.assertEqual(code, 200)
        self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
        for path in ("/", "/live.js", "/live.css"):
            self.assertEqual(self.get(path, method="HEAD")[:2], (200, ""))
        self.assertEqual(self.get("/etc/passwd")[0], 404)
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            self.assertEqual(self.get("/live.json", method=method)[0], 405, method)
        # A page of somebody else's whose name was let point here (DNS rebinding).
        for host, expected in (("evil.example", 421), ("127.0.0.1.evil.example:%d" % self.port, 421), ("[::1]", 200),
                               ("localhost:%d" % self.port, 200), ("LOCALHOST", 200), ("", 421), ("x:y", 421)):
            self.assertEqual(self.get("/live.json", headers={"Host": host})[0], expected, host)
        with open(os.path.join(mail.ROOT, "docs", "grafana", "mailhaul.json"), encoding="utf-8") as f:
            asked = set(re.findall(r"\b(?:mailhaul|process)_[a-z_]+", f.read()))
        self.assertEqual({name for name in asked if "# TYPE %s " % name not in text}, set(), "of the dashboard")
        self.bounded()
        missing = [what for what, try_it in (("promtool", lambda: self.promtool(text)), ("prometheus", self.prometheus),
                                             ("chromium", self.chromium)) if try_it() == "missing"]
        self.end(running)
        with self.assertRaises(OSError):
            self.get("/healthz")
        if missing:
            self.skipTest("all but what needs %s (scripts/packages metrics browser)" % " and ".join(missing))

    def status(self, running):
        """mailhaul status --json beside it."""
        import haul
        return haul.Running(["status", "--json", os.path.join(running.folder, "night-1.ini")], running.folder).wait()

    def bounded(self):
        """Clients that only connect are let go; others get their answers all the same."""
        idle = [socket.create_connection(("127.0.0.1", self.port)) for _ in range(64)]
        for s in idle:
            s.close()
        until(lambda: self.get("/healthz")[0] == 200)

    def promtool(self, text):
        tool = shutil.which("promtool")
        if not tool:
            return "missing"
        done = subprocess.run([tool, "check", "metrics"], input=text.encode(), capture_output=True, timeout=120)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, b""))

    def prometheus(self):
        program = shutil.which("prometheus")
        if not program:
            return "missing"
        port = servers.free_port()
        config = os.path.join(self.folder, "prometheus.yml")
        with open(config, "w") as f:
            f.write("scrape_configs:\n- job_name: m\n  scrape_interval: 1s\n  scrape_timeout: 1s\n"
                    "  static_configs:\n  - targets: ['127.0.0.1:%d']\n" % self.port)
        with open(os.path.join(self.folder, "prometheus.log"), "w") as log:
            server = subprocess.Popen([program, "--config.file=" + config,
                                       "--storage.tsdb.path=" + os.path.join(self.folder, "tsdb"),
                                       "--web.listen-address=127.0.0.1:%d" % port],
                                      stdout=log, stderr=log)

        def scraped():
            c = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            c.request("GET", "/api/v1/query?query=mailhaul_messages")
            answer = c.getresponse()
            if answer.status != 200:
                return None  # it is not ready yet
            found = json.loads(answer.read())["data"]["result"]
            return {r["metric"]["state"]: r["value"][1] for r in found}

        try:
            self.assertEqual(until(scraped)["pending"], "40")
        finally:
            server.terminate()
            server.wait()

    def chromium(self):
        if not browser.program():
            return "missing"
        def shown():
            page = browser.dom_of("http://127.0.0.1:%d/" % self.port)
            return page if "no answer from the target for" in page else None
        page = until(shown)
        for words in ("<h1 id=\"name\">night-1</h1>", "anna@" + DOMAIN, "messages pending", "of 2 users synced", "40 messages"):
            self.assertIn(words, page)
        self.assertNotIn("no connection", page)

    def test_a_socket_is_for_its_owner_and_a_token_is_asked_for(self):
        path = os.path.join(self.folder, "s")
        token = os.path.join(self.folder, "token")
        with open(os.open(token, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
            f.write("a token of some length\n")
        with socket.socket(socket.AF_UNIX) as left:  # as a run that was killed leaves it
            left.bind(path)
        running, on = self.begin(**{"listen": "unix:" + path, "listen-token-file": token})
        self.assertEqual((on["event"], on["socket"]), ("listen.on", path))
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        basic = base64.b64encode(b"anybody:a token of some length").decode()
        for said, expected in ((None, 401), ("Bearer wrong", 401), ("Bearer ", 401), ("Bearer a token of some length", 200),
                               ("Basic " + basic, 200), ("Basic " + basic[:-4], 401), ("Basic !", 401), ("Basic ====", 401)):
            code, _, headers = self.get("/healthz", {"Authorization": said} if said else {}, connection=Unix(path))
            self.assertEqual(code, expected, said)
            self.assertEqual("WWW-Authenticate" in headers, expected == 401)
        self.end(running)

    def test_beyond_this_computer_only_with_token_and_tls(self):
        authority = servers.authority()
        authority.issue(self.folder)
        certificate, key = self.folder + "/server.pem", self.folder + "/server.key"
        one = self.to_a_mute_target()
        token = os.path.join(one.folder, "token")
        for address in ("0.0.0.0:0", "[::]:0", "192.0.2.1:9099"):
            done = one.call("run", "--listen", address)
            self.assertEqual(done.code, 64, done)
            self.assertIn("needs listen-token-file and listen-certificate", done.err)
        for address in ("9099", "example.org:80", "127.0.0.1:99999", "unix:", "127.0.0.1"):
            self.assertIn("expected 127.0.0.1:PORT" if address != "unix:" else "a socket's path",
                          self.ends(one.call("run", "--listen", address), 64).err)
        with open(os.open(token, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
            f.write("secret\n")
        running, on = self.begin(**{"listen": "0.0.0.0:0", "listen-token-file": token, "listen-certificate": certificate,
                                    "listen-key": key})
        self.assertEqual(on["event"], "listen.on", on)
        port = int(on["url"].rsplit(":", 1)[1].strip("/"))
        context = ssl.create_default_context(cafile=authority.ca)
        for headers, expected in (({}, 401), ({"Authorization": "Bearer secret"}, 200)):
            c = http.client.HTTPSConnection("localhost", port, context=context, timeout=20)
            self.assertEqual(self.get("/live.json", headers, connection=c)[0], expected)
        self.end(running)
