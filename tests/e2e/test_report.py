"""The JSON outputs have the shape that interface.md promises."""

import csv
import datetime
import fcntl
import glob
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time

import haul
import mail
from haul import Case, DOMAIN, core

NUMBER, TEXT, TRUTH = (int, float), str, bool
ITEM_COUNTS = {"found": int, "uploaded": int, "present": int, "skipped": int, "failed": int,
               "pending": int}
PROBLEM = {"type": TEXT, "text": TEXT, "remedy": TEXT}
STATES = {"Created", "Syncing", "Synced", "SyncedWithErrors", "IncrementalSyncing", "Stopping",
          "Stopped", "Completed", "CompletedWithErrors", "Failed"}
USER_STATES = {"Queued", "Validating", "Syncing", "Synced", "IncrementalSyncing",
               "IncrementalSynced", "Stopped", "Failed"}
REPORT = {
    "schema": TEXT,
    "batch": {"name": TEXT, "state": TEXT, "started": TEXT, "finished": TEXT, "seconds": NUMBER,
              "exit_code": int},
    "totals": {"users": int, "synced": int, "failed_users": int, **ITEM_COUNTS,
               "bytes_found": int, "bytes_fetched": int, "bytes_uploaded": int, "throttled": int,
               "reconnects": int, "balanced": TRUTH},
    "users": [{
        "address": TEXT, "user_name": TEXT, "state": TEXT, "failure": (TEXT, type(None)),
        **ITEM_COUNTS, "bytes_found": int, "bytes_fetched": int, "bytes_uploaded": int,
        "balanced": TRUTH,
        "time": {"source_s": NUMBER, "target_s": NUMBER, "throttled_s": NUMBER,
                 "stalled_source_s": NUMBER, "stalled_target_s": NUMBER, "idle_s": NUMBER},
        "folders": [{"source": TEXT, "target": TEXT, "role": TEXT, **ITEM_COUNTS,
                     "problems": [PROBLEM]}],
        "skipped_items": [{"folder": TEXT, "uid": int, "bytes": int, "date": TEXT,
                           "subject": TEXT, "message_id": TEXT, "reason": TEXT}],
        "failures": [{"time": TEXT, "type": TEXT, "class": TEXT, "side": TEXT, "folder": TEXT,
                      "uid": int, "doing": TEXT, "server_text": TEXT, "advice": TEXT,
                      "count": int}]}]}
CHECK = {"schema": TEXT, "ok": TRUTH, "steps": [{
    "side": TEXT, "user": TEXT, "step": TEXT, "ok": TRUTH, "ms": NUMBER, "detail": TEXT,
    "type": (TEXT, type(None)), "cause": TEXT, "remedy": TEXT}]}
FOLDERS = {"schema": TEXT, "user": TEXT, "folders": [{
    "source": TEXT, "target": TEXT, "role": TEXT, "messages": int, "bytes": int, "largest": int,
    "selectable": TRUTH, "problems": [PROBLEM]}]}
PLAN = {"schema": TEXT,
        "totals": {"users": int, "found": int, "move": int, "skip": int, "bytes_move": int,
                   "seconds": NUMBER, "nights": NUMBER},
        "users": [{"address": TEXT, "found": int, "move": int, "bytes_move": int, "skip": {},
                   "warnings": [{"type": TEXT, "text": TEXT}]}]}
STATUS = {"schema": TEXT, "batch": {"name": TEXT, "state": TEXT}, "users": [{
    "address": TEXT, "state": TEXT, **ITEM_COUNTS, "bytes_per_s": NUMBER,
    "eta_s": (int, float, type(None)), "throttled_until": (TEXT, type(None)),
    "failure": (TEXT, type(None))}]}
VERIFY = {"schema": TEXT, "users": [{
    "address": TEXT, "grade": TEXT, "source": int, "target": int, "missing": int, "doubled": int,
    "differing": int, "differences": [{"folder": TEXT, "uid": int, "message_id": TEXT,
                                       "what": TEXT, "type": (TEXT, type(None))}]}]}
LATENCY = {"p50": NUMBER, "p90": NUMBER, "p99": NUMBER, "max": NUMBER}
BENCH = {"schema": TEXT, "server": {"greeting": TEXT, "capabilities": [TEXT], "tls": TEXT},
         "steps": [{"connections": int, "seconds": NUMBER, "messages": int, "bytes": int,
                    "messages_per_s": NUMBER, "mb_per_s": NUMBER, "errors": int,
                    "latency_ms": {"login": LATENCY, "select": LATENCY, "first_byte": LATENCY,
                                   "message": LATENCY}}],
         "knee": {"connections": int, "reason": TEXT},
         "recommendation": {"source.connections": int, "source.connections-per-user": int}}
SKIP_REASONS = {"LargerThanLimit", "ExcludedFolder", "OutsideDates", "Duplicate"}


def faults(value, shape, where="$"):
    """What of the shape the value does not have; more fields than promised are allowed."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return ["%s is no object" % where]
        found = []
        for key, part in shape.items():
            if key not in value:
                found.append("%s.%s is missing" % (where, key))
            else:
                found += faults(value[key], part, "%s.%s" % (where, key))
        return found
    if isinstance(shape, list):
        if not isinstance(value, list):
            return ["%s is no list" % where]
        return [f for i, item in enumerate(value)
                for f in faults(item, shape[0], "%s[%d]" % (where, i))]
    right = isinstance(value, shape) and (shape is bool or not isinstance(value, bool))
    return [] if right else ["%s is %r" % (where, value)]


class Report(Case):
    def setUp(self):
        super().setUp()
        self.source = self.dovecot(["anna", "ben"], format="maildir", separator=".",
                                   prefix="INBOX.")
        self.target = self.target_for(["anna", "ben"])
        self.folders = mail.mailbox(1, 100)
        self.source.seed("anna", self.folders)
        large = mail.tiny(5, extra=(b"y" * 76 + b"\r\n") * 3000)
        self.source.seed("ben", {("INBOX",): [mail.tiny(1), large], ("Übung",): [mail.tiny(2)]})
        self.one = self.batch(self.source, self.target, ["anna", "ben"])
        self.one.set("policy", "max-message-size", "200KB")

    def test_export_takes_a_user_by_either_name(self):
        self.ends(self.one.call("run"), 3)
        for k, name in enumerate(("anna", "ANNA@target.example")):
            to = os.path.join(self.folder, "out%d" % k)
            done = self.ends(self.one.call("export", "--what", "all", "--format", "eml", "--user", name,
                                           "--to", to), 0)
            self.assertIn(" of 1 of 1 user ", done.err)
        done = self.one.start("export", "--user", "nobody", "--to", os.path.join(self.folder, "none"),
                              "--what", "all").wait()
        self.assertEqual(done.code, 64, done)
        self.assertIn("nobody", done.err)
        # A state folder alone: its users are the ones that are known.
        done = haul.Running(["export", "--user", "nobody", "--user", "ben", "--what", "failed", "--to",
                             os.path.join(self.folder, "some"), self.one.state], self.folder).wait()
        self.ends(done, 64)
        self.assertIn("nobody: the state folder knows no user", done.err)
        self.assertIn("nothing to export: no message of this user failed", done.err)

    def test_a_look_at_the_source_leaves_who_is_synced(self):
        self.one.set("policy", "large-item-limit", "unlimited")
        self.ends(self.one.call("run"), 0)
        states = {u["address"]: u["state"] for u in self.one.report()["users"]}
        self.assertEqual(set(states.values()), {"Synced"})
        for command in ("plan", "fetch"):
            self.ends(self.one.call(command), 0)
            report = self.balanced(self.one.report())
            self.assertEqual({u["address"]: u["state"] for u in report["users"]}, states, command)
            self.assertIn("synced and every folder balances", report["verdict"], command)
            self.assertEqual(report["batch"]["state"], "Synced")
        self.source.seed("ben", {("INBOX",): [mail.tiny(77)]})
        self.ends(self.one.call("fetch"), 0)
        report = self.balanced(self.one.report())
        self.assertEqual([u["state"] for u in report["users"]], ["Synced", "Queued"])
        self.assertIn("1 user still has mail to move", report["verdict"])
        self.assertNotIn("Stopped", report["verdict"])
        self.assertEqual(report["batch"]["state"], "Stopped", "mail waits in the spool")
        done = self.ends(self.one.call("upload"), 0)
        self.assertRegex(done.err, r"This run +0 messages fetched \(0 B\), 1 uploaded \(")
        report = self.balanced(self.one.report())
        self.assertEqual((report["totals"]["synced"], report["batch"]["state"]), (2, "Synced"))
        done = self.ends(self.one.call("run"), 0)
        self.assertRegex(done.err, r"This run +0 messages fetched \(0 B\), 0 uploaded \(0 B\)")
        self.assertRegex(done.err, r"Messages uploaded +%d " % report["totals"]["uploaded"])

    def test_the_batch_is_what_its_users_are(self):
        self.one.set("policy", "large-item-limit", "unlimited")
        for command, arguments, state in (
                ("plan", (), "Created"), ("fetch", (), "Stopped"), ("plan", (), "Stopped"),
                ("run", ("--user", "anna"), "Stopped"), ("upload", (), "Synced"),
                ("plan", (), "Synced")):
            self.ends(self.one.call(command, *arguments), 0)
            self.assertEqual(self.balanced(self.one.report())["batch"]["state"], state, command)

    def test_who_left_the_list_is_named_beside_the_sums(self):
        self.one.set("policy", "large-item-limit", "unlimited")
        self.assertNotIn("No longer in users.csv", self.ends(self.one.call("run"), 0).err)
        gone = self.one.users.pop()
        done = self.ends(self.one.call("run"), 0)
        self.assertRegex(done.err, r"No longer in users.csv +1 user, none of them failed, .*: %s; the exit code 0 does not "
                                   % re.escape(gone[1]))
        self.assertNotIn("No longer in", self.ends(self.one.call("run", "--user", self.one.users[0][0]), 0).err)

    def shaped(self, value, shape, schema):
        self.assertEqual(faults(value, shape), [])
        self.assertEqual(value["schema"], "mailhaul.%s.v1" % schema)
        return value

    def on_a_terminal(self, *arguments):
        """What the command writes to a terminal of 90 columns that is its standard output."""
        inside, outside = pty.openpty()
        fcntl.ioctl(outside, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 90, 0, 0))
        process = subprocess.Popen([haul.BINARY, *arguments], stdin=subprocess.DEVNULL, stdout=outside,
                                   stderr=subprocess.PIPE, cwd=self.folder,
                                   env={**os.environ, "NO_COLOR": "1", "LANG": "C.UTF-8"})
        os.close(outside)
        text = b""
        while True:
            try:
                data = os.read(inside, 65536)
            except OSError:  # how a terminal says that nobody writes any more
                break
            if not data:
                break
            text += data
        os.close(inside)
        with process.stderr as err:
            self.assertEqual((process.wait(60), err.read()), (0, b""))
        return text.decode().replace("\r\n", "\n")

    def test_report_on_a_terminal_is_for_a_person(self):
        self.ends(self.one.call("run"), 3)
        piped = self.ends(self.one.call("report"), 0)
        text = self.on_a_terminal("report", self.one.path)
        self.assertTrue(" ".join(text.split()).startswith(piped.json()["verdict"]), text)
        mail = self.ends(self.one.call("report", "--text"), 0).out
        self.assertEqual(mail.split(), text.split(), "into a pipe the same words")
        self.assertEqual([line for line in mail.splitlines() if len(line) > 80 and "<mailbox>" not in line], [])
        self.assertIn("only one of them can be", self.ends(self.one.call("report", "--text", "--json"), 64).err)
        for words in ("What needs you", "TooManyLargeItems  1 user, 1 failed by it", "-> ",
                      "Set-Mailbox <mailbox> -MaxReceiveSize", "Users: ben@target.example",
                      "Users that are not done", "--json everything"):
            self.assertIn(words, text)
        row = next(line for line in text.splitlines() if line.startswith("  ben@target.example"))
        self.assertRegex(row, r"Failed +3 +0 +0 +TooManyLargeItems$")
        self.assertNotIn("anna@", text, "who is Synced is no news")
        self.assertNotIn("\x1b", text)
        self.assertEqual([line for line in text.splitlines()
                          if len(line) > 90 and "<mailbox>" not in line], [])
        self.assertEqual(self.on_a_terminal("report", "--json", self.one.path)[:1], "{")

    def test_no_line_is_wider_than_the_terminal(self):
        for command, code in (("plan", 0), ("check", 0), ("run", 3), ("verify", 0), ("folders", 0)):
            inside, outside = pty.openpty()
            fcntl.ioctl(outside, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
            self.one.write()
            process = subprocess.Popen([haul.BINARY, command, "--progress", "never", self.one.path], stdin=outside,
                                       stdout=outside, stderr=outside, env={**os.environ, "TERM": "xterm", "LANG": "C.UTF-8"})
            os.close(outside)
            text = b""
            try:
                while data := os.read(inside, 65536):
                    text += data
            except OSError:
                pass  # nobody has the terminal any more
            os.close(inside)
            lines = text.decode().replace("\r\n", "\n").split("\n")
            self.assertEqual(process.wait(60), code, text)
            self.assertEqual([line for line in lines if len(line) > 80 and " " in line.strip()
                              and not line.startswith(("mailhaul: ", "20"))], [], command)

    @core
    def test_report(self):
        self.ends(self.one.call("run"), 3)  # ben has one large item and none is allowed
        report = self.balanced(self.shaped(self.one.report(), REPORT, "report"))
        batch, totals = report["batch"], report["totals"]
        self.assertEqual((batch["name"], batch["exit_code"]), ("night-1", 3))
        self.assertIn(batch["state"], STATES)
        begin, end = (datetime.datetime.fromisoformat(batch[k].replace("Z", "+00:00"))
                      for k in ("started", "finished"))
        self.assertLessEqual(begin, end)
        self.assertEqual((totals["users"], totals["synced"], totals["failed_users"]), (2, 1, 1))
        users = {u["user_name"]: u for u in report["users"]}
        self.assertEqual(users["ben"]["failure"], "TooManyLargeItems")
        self.assertIsNone(users["anna"]["failure"])
        self.assertEqual(users["anna"]["address"], "anna@" + DOMAIN)
        self.assertEqual(users["anna"]["found"],
                         sum(len(messages) for messages in self.folders.values()))
        self.assertEqual(users["anna"]["bytes_found"],
                         sum(len(m.body) for messages in self.folders.values() for m in messages))
        names = {f["source"]: f for f in users["anna"]["folders"]}
        self.assertTrue(any("Übung & Prüfung" in name for name in names), sorted(names))
        for user in report["users"]:
            self.assertIn(user["state"], USER_STATES)
            for item in user["skipped_items"]:
                self.assertIn(item["reason"], SKIP_REASONS)
        item = users["ben"]["skipped_items"][0]
        self.assertEqual((item["reason"], item["subject"]), ("LargerThanLimit", "Message 5"))
        self.assertGreater(item["bytes"], 200000)

        page = os.path.join(self.folder, "report.html")
        self.ends(self.one.call("report", "--html", page), 0)
        with open(page, encoding="utf-8") as f:
            text = f.read()
        self.assertIn("ben@" + DOMAIN, text)
        self.assertNotRegex(text, r'(src|href)\s*=\s*"?https?:', "the page is self-contained")
        table = os.path.join(self.folder, "report.csv")
        self.ends(self.one.call("report", "--csv", table), 0)
        with open(table, encoding="utf-8-sig", newline="") as f:
            rows = list(csv.reader(f))
        self.assertGreaterEqual(len(rows), 3)
        self.assertEqual({len(row) for row in rows}, {len(rows[0])})
        self.assertIn("ben@" + DOMAIN, str(rows))

    def test_report_of_two_shards_is_one(self):
        for shard in ("1/2", "2/2"):
            self.assertIn(self.one.call("run", "--shard", shard).code, (0, 3))
        # Each shard has a state folder of its own beside the one named; any of them may be given.
        states = glob.glob(glob.escape(self.one.state) + ".*")
        self.assertEqual(len(states), 2, states)
        done = haul.Running(["report", "--json", *states], self.one.folder).wait()
        self.ends(done, 0)
        report = self.balanced(self.shaped(done.json(), REPORT, "report"))
        self.assertEqual(sorted(u["user_name"] for u in report["users"]), ["anna", "ben"])
        self.assertEqual(report["totals"]["users"], 2)
        # The batch file stands for all of its shards.
        whole = self.ends(self.one.call("report", "--json"), 0).json()
        self.assertEqual(whole["totals"], report["totals"])

    def test_the_batch_file_stands_for_all_its_shards(self):
        self.one.set("policy", "large-item-limit", "unlimited")
        self.ends(self.one.call("plan"), 0)  # leaves a state folder without a shard
        done = self.ends(self.one.call("run", "--shard", "1/3"), 0)
        self.assertNotIn("this batch was run", done.err)
        first = self.ends(self.one.call("report", "--json", "--shard", "1/3"), 0).json()
        done = self.ends(self.one.call("report", "--json"), 0)
        report = self.balanced(self.shaped(done.json(), {**REPORT, "batch": {"states": [{
            "folder": TEXT, "shard": TEXT, "state": (TEXT, type(None)), "running": TRUTH, "users": int,
            "exit_code": (int, type(None))}]}}, "report"))
        self.assertEqual(done.err, "", "a plan is no news")
        self.assertEqual(report["totals"], first["totals"])
        self.assertIn("Shards 2, 3 of 3 have no state folder here: their users are in none of these numbers.",
                      report["verdict"])
        self.assertNotIn("no state folder", first["verdict"], "one shard was asked for")
        self.assertEqual((report["batch"]["exit_code"], report["batch"]["state"]), (None, "Stopped"))
        self.assertEqual([(s["shard"], s["state"]) for s in report["batch"]["states"]],
                         [("1/3", "Synced"), ("2/3", None), ("3/3", None)])
        self.assertIn("Shards 3: 1 ended, 2 without a state folder (2, 3)",
                      self.ends(self.one.call("status"), 0).out)
        done = self.call_export("--what", "all")
        self.assertIn("2 shards are not exported", done.err)
        watch = self.one.start("status", "--watch", "--json", write=False)
        for shard in ("2/3", "3/3"):
            self.ends(self.one.call("run", "--shard", shard), 0)
        self.shows_all_shards(watch)
        report = self.balanced(self.one.report())
        self.assertEqual((report["batch"]["exit_code"], report["batch"]["state"], report["totals"]["synced"]),
                         (0, "Synced", 2))
        self.assertIn("All 2 users are synced", report["verdict"])
        self.assertEqual(sum(s["users"] for s in report["batch"]["states"]), 2)
        # Both sides are compared by what every shard left.
        for fixed in (0, 3):
            self.one.set("batch", "shards", fixed)
            verify = self.ends(self.one.call("verify", "--json"), 0)
            self.assertEqual([(u["grade"], u["bodies_compared"] > 0) for u in verify.json()["users"]],
                             [("Perfect", True)] * 2)
        self.ends(self.one.call("check", "--all"), 0)
        self.assertIn("say which one with --shard I/3", self.ends(self.one.call("run"), 64).err)
        # Whoever goes on without shards means that from then on, and is told what is left out.
        self.one.set("batch", "shards", 0)
        self.ends(self.one.call("run"), 0)
        done = self.ends(self.one.call("report", "--json"), 0)
        report = self.balanced(done.json())
        self.assertEqual((report["totals"]["present"], report["totals"]["skipped"]),
                         (report["totals"]["found"] - 1, 1), "nothing is doubled")
        self.assertRegex(done.err, r"night-1\.state\.1-of-3 and the other shards of 3 are left out: the batch was "
                                   r"run without --shard since")
        self.assertEqual([s["shard"] for s in report["batch"]["states"]], [None])

    def shows_all_shards(self, watch):
        """Those that came while it went on, too."""
        limit = time.monotonic() + 60
        states = []
        while states != ["Synced"] * 3 and time.monotonic() < limit and not watch.ended():
            time.sleep(0.2)
            lines = watch.text().splitlines()[:-1]  # the last may not be whole
            states = [s["state"] for s in json.loads(lines[-1])["batch"]["states"]] if lines else []
        watch.signal(signal.SIGINT)  # unless it has ended by itself, all being done
        lines = self.ends(watch.wait(), 0).out.splitlines()
        self.assertEqual([s["state"] for s in json.loads(lines[-1])["batch"]["states"]], ["Synced"] * 3)

    def call_export(self, *arguments):
        self.exports = getattr(self, "exports", 0) + 1
        return self.ends(self.one.call("export", *arguments, "--to",
                                       os.path.join(self.folder, "export%d" % self.exports)), 0)

    def test_status(self):
        self.one.set("policy", "large-item-limit", "unlimited")
        self.ends(self.one.call("run"), 0)
        status = self.shaped(self.ends(self.one.call("status", "--json"), 0).json(), STATUS,
                             "status")
        self.assertEqual({u["state"] for u in status["users"]}, {"Synced"})
        for user in status["users"]:
            self.assertEqual(user["found"], sum(user[k] for k in ITEM_COUNTS if k != "found"))
        plain = self.ends(self.one.call("status"), 0).out
        self.assertIn("anna@" + DOMAIN, plain)

        # --user is the same here as with the commands that move.
        one = self.ends(self.one.call("status", "--json", "--user", "anna"), 0).json()
        self.assertEqual([u["address"] for u in one["users"]], ["anna@" + DOMAIN])
        plain = self.ends(self.one.call("status", "--user", "Anna@" + DOMAIN), 0).out
        self.assertIn("anna@" + DOMAIN, plain)
        self.assertNotIn("ben@" + DOMAIN, plain)
        done = self.ends(self.one.call("report", "--json", "--user", "ben"), 0)
        self.assertEqual([u["address"] for u in done.json()["users"]], ["ben@" + DOMAIN])
        self.assertEqual(done.json()["totals"]["users"], 1)
        self.assertIn("of 1 user only", done.err)
        for command in ("status", "report"):
            done = self.ends(self.one.call(command, "--user", "nobody"), 64)
            self.assertIn("nobody: the state folder knows no user", done.err)
            self.assertEqual(done.out, "")
        rows = self.ends(self.one.call("report", "--csv", "-"), 0).out.splitlines()
        self.assertEqual(len(rows), 1 + 2)
        self.assertFalse(os.path.exists(os.path.join(self.one.folder, "-")))

    def test_check(self):
        done = self.ends(self.one.call("check", "--all", "--json"), 0)
        check = self.shaped(done.json(), CHECK, "check")
        self.assertIs(check["ok"], True)
        for side in ("source", "target"):
            steps = {s["step"] for s in check["steps"] if s["side"] == side}
            self.assertGreaterEqual(steps, {"dns", "tcp", "tls", "greeting", "capability", "login",
                                            "namespace", "list", "select"})
        for side in ("source", "target"):
            self.assertEqual({s["user"] for s in check["steps"]
                              if s["step"] == "login" and s["side"] == side},
                             {"anna@" + DOMAIN, "ben@" + DOMAIN})
        plain = self.ends(self.one.call("check"), 0)
        self.assertGreater(len(plain.out.splitlines()), 8)

    def test_folders(self):
        done = self.ends(self.one.call("folders", "--user", "anna", "--json"), 0)
        folders = self.shaped(done.json(), FOLDERS, "folders")["folders"]
        by_name = {f["source"]: f for f in folders}
        self.assertEqual(sum(f["messages"] for f in folders),
                         sum(len(messages) for messages in self.folders.values()))
        inbox = by_name["INBOX"]
        self.assertEqual(inbox["messages"], len(self.folders[("INBOX",)]))
        self.assertEqual(inbox["bytes"], sum(len(m.body) for m in self.folders[("INBOX",)]))
        self.assertEqual(inbox["largest"], max(len(m.body) for m in self.folders[("INBOX",)]))

    def test_plan(self):
        plan = self.shaped(self.ends(self.one.call("plan", "--json"), 0).json(), PLAN, "plan")
        users = {u["address"]: u for u in plan["users"]}
        ben = users["ben@" + DOMAIN]
        self.assertEqual((ben["found"], ben["move"]), (3, 2))
        self.assertEqual(ben["skip"].get("LargerThanLimit"), 1)
        self.assertTrue(ben["warnings"], "a large item over the limit is warned about early")
        totals = plan["totals"]
        for key in ("found", "move", "bytes_move"):
            self.assertEqual(totals[key], sum(u[key] for u in plan["users"]))
        self.assertEqual(totals["found"], totals["move"] + totals["skip"])
        with self.target.connect("anna@" + DOMAIN) as mailbox:
            self.assertEqual(mailbox.uids(("INBOX",)), [], "a plan moves nothing")

    def test_verify_finds_what_is_wrong(self):
        self.one.set("policy", "large-item-limit", "unlimited")
        self.ends(self.one.call("run"), 0)
        verify = self.shaped(self.ends(self.one.call("verify", "--json"), 0).json(), VERIFY,
                             "verify")
        self.assertEqual({u["address"]: u["grade"] for u in verify["users"]}["anna@" + DOMAIN],
                         "Perfect")
        twice = self.folders[("INBOX",)][0]
        with self.target.connect("anna@" + DOMAIN) as mailbox:
            mailbox.append(("INBOX",), [twice])
            mailbox.imap.select('"Archive/2019"')
            mailbox.imap.uid("STORE", "1", "+FLAGS", "(\\Deleted)")
            mailbox.imap.expunge()
        done = self.ends(self.one.call("verify", "--json", "--user", "anna@" + DOMAIN), 3)
        anna = self.shaped(done.json(), VERIFY, "verify")["users"][0]
        self.assertEqual(anna["doubled"], 1)
        # \Deleted messages that were in the folder left together with the one marked here.
        self.assertGreaterEqual(anna["missing"], 1)
        self.assertLessEqual({d["what"] for d in anna["differences"]},
                             {"missing", "doubled", "flags", "date", "content"})

    def test_export_of_skipped_mail(self):
        self.one.call("run")
        to = os.path.join(self.folder, "out")
        self.ends(self.one.call("export", "--what", "skipped", "--user", "ben@" + DOMAIN,
                                "--to", to), 0)
        found = [open(p, "rb").read() for p in glob.glob(to + "/**/*", recursive=True)
                 if os.path.isfile(p)]
        self.assertTrue(any(b"This is message 5." in data.replace(b"\r\n", b"\n") and
                            len(re.findall(rb"y{76}", data)) == 3000 for data in found),
                        "the large message is there, whole")

    def test_bench_reads_only(self):
        with self.source.connect("anna") as mailbox:
            flags = {path: [i.flags for i in mailbox.read(path)] for path in mailbox.folders()}
        done = self.ends(self.one.call("bench", "--connections", "1,2", "--seconds", "1",
                                       "--json"), 0)
        bench = self.shaped(done.json(), BENCH, "bench")
        self.assertEqual([s["connections"] for s in bench["steps"]], [1, 2])
        self.assertTrue(all(s["messages"] > 0 and s["bytes"] > 0 for s in bench["steps"]))
        with self.source.connect("anna") as mailbox:
            self.assertEqual({path: [i.flags for i in mailbox.read(path)]
                              for path in mailbox.folders()}, flags)
