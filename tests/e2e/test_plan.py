"""The `plan` command: what would move, what stands against it, and how long it takes."""

import os
import time

import exchange
import mail
from haul import DOMAIN, Case
from quirky import CAPABILITY, Quirky, Vast
from test_quirks import message, messages


class Plan(Case):
    def plan(self, batch, *arguments, code=0):
        return self.ends(batch.call("plan", "--json", *arguments), code).json()

    def told(self, user, type_):
        """The texts of this user's warnings of a type."""
        return [w["text"] for w in user["warnings"] if w["type"] == type_]

    def job(self, seed=None, **target):
        source = self.dovecot(["anna"], format="maildir", separator=".")
        source.seed("anna", seed or {("INBOX",): [mail.tiny(i) for i in range(20)],
                                     ("Work",): [mail.tiny(i) for i in range(20, 25)]})
        return self.batch(source, self.target_for(["anna"], **target), ["anna"])

    def test_a_quota_that_is_too_small_is_told_before_anything_moves(self):
        batch = self.job(quota=3072)
        user = self.plan(batch)["users"][0]
        self.assertGreater(user["bytes_move"], 3072)
        self.assertEqual(user["target_free_bytes"], 3072)
        text, = self.told(user, "QuotaExceeded")
        self.assertIn("quota leaves room for", text)
        # And it is true.
        self.ends(batch.call("run"), 3)
        self.assertEqual(batch.report()["users"][0]["failure"], "QuotaExceeded")

    def test_a_quota_with_room_is_no_warning(self):
        user = self.plan(self.job(quota=50000000))["users"][0]
        self.assertEqual(self.told(user, "QuotaExceeded"), [])
        self.assertGreater(user["target_free_bytes"], 40000000)

    def test_a_dry_run_is_a_plan(self):
        batch = self.job()
        self.assertEqual(self.ends(batch.call("run", "--dry-run"), 0).out, self.ends(batch.call("plan"), 0).out)
        with batch.target.connect("anna@" + DOMAIN) as mailbox:
            self.assertEqual(mailbox.uids(("INBOX",)), [])
        self.assertIn("not an option of retry", self.ends(batch.call("retry", "--dry-run"), 64).err)

    def test_no_quota_is_no_number(self):
        batch = self.job()
        self.assertIsNone(self.plan(batch)["users"][0]["target_free_bytes"])

    def test_what_the_target_holds_is_counted_there(self):
        batch = self.job()
        batch.target.seed("anna@" + DOMAIN, {("INBOX",): [mail.tiny(90)],
                                             ("Old",): [mail.tiny(91), mail.tiny(92)]})
        user = self.plan(batch)["users"][0]
        self.assertEqual((user["target_known"], user["target_messages"], user["done"]), (True, 3, 0))
        self.ends(batch.call("run"), 0)
        user = self.plan(batch)["users"][0]
        self.assertEqual((user["target_messages"], user["done"], user["move"]), (28, 25, 0))
        plain = self.ends(batch.call("plan"), 0).out
        self.assertIn("Nothing to move.", plain)
        self.assertRegex(plain, r"moved before +25  on the target +28\n")

    def test_a_target_without_list_status_is_counted_folder_by_folder(self):
        batch = self.job(capability_drop=["LIST-STATUS", "LIST-EXTENDED"])
        batch.target.seed("anna@" + DOMAIN, {("INBOX",): [mail.tiny(90)], ("Old",): [mail.tiny(91)]})
        self.assertEqual(self.plan(batch)["users"][0]["target_messages"], 2)

    def test_the_users_are_divided_by_what_they_have(self):
        """Shards of like work, and nobody changes his when it is done again."""
        names = ["u%d" % i for i in range(6)]
        source = self.dovecot(names + ["late"])
        for i, name in enumerate(names):  # 40, 20, 20, 10, 10, 10
            source.seed(name, {("INBOX",): [mail.tiny(100 * i + k) for k in range((40, 20, 20, 10, 10, 10)[i])]})
        batch = self.batch(source, self.target_for(names + ["late"]), names)
        rows = self.plan(batch, "--split", "3")["shards"]
        self.assertEqual([row["shard"] for row in rows], [1, 2, 3])
        self.assertEqual((sum(r["users"] for r in rows), sum(r["move"] for r in rows)), (6, 110))
        self.assertLessEqual(max(r["move"] for r in rows), 40)
        first = self.shards_of(batch)
        self.assertEqual(sorted(first), [n + "@" + DOMAIN for n in names])
        moved = 0
        for shard in (1, 2, 3):
            self.ends(batch.call("run", "--shard", "%d/3" % shard), 0)
            users = self.ends(batch.call("report", "--json", "--shard", "%d/3" % shard), 0).json()["users"]
            self.assertEqual({u["address"] for u in users}, {a for a, s in first.items() if s == shard})
            moved += sum(u["uploaded"] for u in users)
        self.assertEqual(moved, 110)
        batch.users.append(("late", "late@" + DOMAIN))
        plain = self.ends(batch.call("plan", "--split", "3"), 0).out
        self.assertIn("6 users had a shard already and stay in it", plain)
        again = self.shards_of(batch)
        self.assertEqual({a: again.pop(a) for a in first}, first)
        self.assertEqual(list(again), ["late@" + DOMAIN])
        for arguments in (("run", "--shard", "1/4"), ("plan", "--split", "4"), ("plan", "--split", "3", "--shard", "1/3"),
                          ("plan", "--split", "3", "--user", "u0")):
            self.ends(batch.call(*arguments), 64)
        self.assertEqual(self.shards_of(batch), {**first, **again})

    def shards_of(self, batch):
        """{address: its shard} as it is written down."""
        with open(batch.path[:-len(".ini")] + ".shards") as f:
            header, *lines = f.read().splitlines()
        self.assertEqual(header, "EmailAddress,Shard,Of")
        return {line.split(",")[0]: int(line.split(",")[1]) for line in lines}

    def test_what_was_not_planned_whole_divides_nobody(self):
        batch = self.job()
        batch.source.stop()
        done = batch.call("plan", "--split", "2")
        self.ends(done, 69)
        self.assertIn("the users are not divided", done.err)
        path = batch.path[:-len(".ini")] + ".shards"
        self.assertEqual(os.path.exists(path) and os.path.getsize(path), 0, "an empty file divides nobody")

    def test_assumed_at_first_and_measured_afterwards(self):
        batch = self.job({("INBOX",): [mail.tiny(i) for i in range(70)]})
        before = self.plan(batch)
        self.assertEqual([before["rates"][s]["basis"] for s in ("source", "target")],
                         ["assumed", "assumed"])
        self.assertIs(before["totals"]["rate_assumed"], True)
        self.assertEqual(before["totals"]["nights"], 1)
        plain = self.ends(batch.call("plan"), 0).out
        self.assertIn("(assumed: nothing was measured yet)", plain)
        self.assertNotIn("0.0 hours", plain)
        # Twenty messages a second at most keep the target busy for some seconds.
        slow = self._started(exchange.Exchange(["anna@" + DOMAIN], **{"append-ms": 200}))
        slow.take(batch)
        batch.set("target", "connections-per-mailbox", "4")
        self.ends(batch.call("run"), 0)
        batch.source.seed("anna", {("More",): [mail.tiny(i) for i in range(300, 400)]})
        after = self.plan(batch)
        rate = after["rates"]["target"]
        self.assertIn(rate["basis"], ("measured", "learnt"))
        if rate["basis"] == "measured":
            self.assertGreater(rate["measured_s"], 2)
            self.assertLess(rate["messages_per_s"], 25)  # four connections, 200 ms an answer
            self.assertAlmostEqual(rate["seconds"], max(
                100 / rate["messages_per_s"],
                after["totals"]["bytes_move"] / rate["bytes_per_s"]), delta=0.01)
        self.assertGreaterEqual(after["totals"]["seconds"], rate["seconds"])

    def test_windows_and_daily_limits_become_nights(self):
        batch = self.job({("INBOX",): [mail.tiny(i) for i in range(40)]})
        total = self.plan(batch)["users"][0]["bytes_move"]
        batch.set("source", "bytes-per-day", "%dB" % (total // 3 + 1))
        plan = self.plan(batch)
        self.assertEqual((plan["totals"]["nights"], plan["totals"]["days_by_limit"]), (3, 3))
        text, = self.told(plan["users"][0], "DailyLimit")
        self.assertIn("over 3 days", text)
        self.assertIn("over 3 days", self.ends(batch.call("plan"), 0).out)
        # Also while the window is closed, which is when one plans.
        hour = (time.gmtime().tm_hour + 12) % 24
        batch.set("batch", "window", "%02d:00-%02d:00" % (hour, (hour + 4) % 24))
        done = self.ends(batch.call("plan", "--json"), 0)
        self.assertEqual(done.json()["totals"]["night_seconds"], 14400)
        self.assertEqual(done.json()["totals"]["move"], 40)
        self.assertNotIn("stopped early", done.err)
        batch.set("batch", "time-limit", "2h")
        self.assertEqual(self.plan(batch)["totals"]["night_seconds"], 7200)

    def odd(self, folders, target):
        source = self._started(Quirky({"anna": folders}))
        batch = self.batch(source, target, ["anna"])
        del batch.sections["source"]["tls-ca"]
        batch.set("source", "tls", "none")
        return batch

    def test_names_that_change_and_roots_that_are_missing(self):
        target = self._started(exchange.Exchange(["anna@" + DOMAIN]))
        batch = self.odd({"INBOX": messages(2), "Work": messages(1), "WORK": messages(1),
                          "Calendar": [], " blank": [], "Hidden/a": [], "Hidden/b": []}, target)
        target.take(batch)
        user = self.plan(batch)["users"][0]
        clash, = self.told(user, "FolderNameClash")
        self.assertRegex(clash, r'^folder "W(ork|ORK)": another folder has that name')
        renamed, = self.told(user, "FolderRenamed")
        self.assertEqual(renamed.split('"')[1], " blank")
        reserved, = self.told(user, "ReservedName")
        self.assertEqual(reserved.split('"')[1], "Calendar")
        root, = self.told(user, "MultipleRoots")
        self.assertIn('"Hidden"', root)
        self.ends(batch.call("run"), 0)
        # The names that were given are told again by each later run, and by plan.
        for _ in range(2):
            problems = [p["type"] for f in batch.report()["users"][0]["folders"] for p in f["problems"]]
            self.assertEqual(sorted(problems), ["FolderNameClash", "FolderRenamed", "MultipleRoots",
                                                "ReservedName"])
            self.ends(batch.call("run"), 0)
        user = self.plan(batch)["users"][0]
        self.assertEqual([self.told(user, t) for t in ("FolderNameClash", "FolderRenamed", "ReservedName")],
                         [[clash], [renamed], [reserved]])

    def test_hundreds_of_remarks_are_counted(self):
        target = self.target_for(["anna"], separator=".")
        batch = self.odd({"INBOX": [], **{"a.%d" % i: [] for i in range(60)}}, target)
        told = self.told(self.plan(batch)["users"][0], "FolderRenamed")
        self.assertEqual(len(told), 11)
        self.assertEqual(told[-1], "and 50 more of this kind")

    def test_very_large_folders_and_mailboxes(self):
        """100,000 a folder, 500,000 a mailbox, 1,000,000 a folder: what is just so many is no warning."""
        body = message(1).body
        folders = {"INBOX": Vast(1, body), "Full": Vast(100000, body), "Large": Vast(399999, body),
                   "Huge": Vast(1000001, body)}
        batch = self.odd(folders, self.target_for(["anna"]))
        batch.set("policy", "exclude-folders", "Huge")
        user = self.plan(batch)["users"][0]
        text, = self.told(user, "FolderLarge")
        self.assertIn('folder "Large" has 399,999 messages', text)
        self.assertEqual((user["move"], user["skip"]["ExcludedFolder"]), (500000, 1000001))
        self.assertEqual((self.told(user, "ManyItems"), self.told(user, "FolderTooLarge")), ([], []))
        folders["INBOX"].mails.count += 1
        text, = self.told(self.plan(batch)["users"][0], "ManyItems")
        self.assertRegex(text, "^500,001 messages")
        del batch.sections["policy"]["exclude-folders"]
        batch.set("policy", "include-folders", "Huge")
        user = self.plan(batch)["users"][0]
        text, = self.told(user, "FolderTooLarge")
        self.assertIn('folder "Huge" has 1,000,001 messages', text)
        self.assertEqual(user["move"], 1000001)

    def test_messages_above_what_the_target_takes(self):
        batch = self.odd({"INBOX": [message(1, 400), message(2, 9000)]}, self._started(
            Quirky({"anna@" + DOMAIN: {"INBOX": []}}, capability=CAPABILITY + " APPENDLIMIT=5000")))
        del batch.sections["target"]["tls-ca"]
        batch.set("target", "tls", "none")
        text, = self.told(self.plan(batch)["users"][0], "MessageTooLarge")
        self.assertIn("5.0 KB", text)
        self.assertIn("; 1 that", text)

    def test_a_target_that_is_not_asked_or_not_there_is_no_hindrance(self):
        batch = self.job()
        target = batch.target
        batch.target_logins["anna"] = "nobody"
        target.users["nobody"] = "wrong"
        user = self.plan(batch)["users"][0]
        self.assertEqual((user["target_known"], user["target_messages"], user["move"]),
                         (False, None, 25))
        self.assertTrue(self.told(user, "LoginFailed"))
        del target.users["nobody"]
        user = self.plan(batch)["users"][0]
        self.assertEqual((user["target_known"], user["warnings"]), (False, []))
        target.halt()
        user = self.plan(batch, "--source")["users"][0]
        self.assertEqual((user["target_known"], user["warnings"]), (False, []))

    def seen(self, batch):
        """What status and report make of the users and of the batch; no plan may change it."""
        status = self.ends(batch.call("status", "--json"), 0).json()
        report = self.balanced(batch.report())
        del report["batch"]["made"]  # the report's own time
        for state in report["batch"]["states"]:
            del state["updated"]  # a plan writes too
        return (status["batch"]["state"], [(u["address"], u["state"], u["failure"]) for u in status["users"]],
                report["batch"], report["verdict"], report["totals"],
                [(u["failures"], u["time"], u["found"], u["pending"]) for u in report["users"]])

    def test_a_plan_leaves_who_is_synced_and_who_failed(self):
        source = self.dovecot(["anna", "ben", "cleo"])
        for i, name in enumerate(("anna", "ben", "cleo")):
            source.seed(name, {("INBOX",): [mail.tiny(i)]})
        batch = self.batch(source, self.target_for(["anna", "ben", "cleo"]), ["anna", "ben", "cleo"])
        batch.passwords["cleo"] = "wrong"
        self.ends(batch.call("run"), 3)
        before = self.seen(batch)
        self.assertEqual([u[1:] for u in before[1]], [("Synced", None)] * 2 + [("Failed", "LoginFailed")])

        # Whom a plan cannot read it names, and its exit code tells; the verdicts stand.
        batch.passwords["ben"] = "wrong"
        done = self.ends(batch.call("plan", "--json"), 3)
        self.assertIn("2 users could not be planned", done.err)
        plan = done.json()
        self.assertEqual([(u["planned"], u["found"]) for u in plan["users"]],
                         [(True, 1), (False, 1), (False, 0)])
        self.assertEqual(plan["totals"]["unplanned"], 2)
        for user, words in ((plan["users"][1], "those of an earlier look"), (plan["users"][2], "not planned")):
            text, = self.told(user, "LoginFailed")
            self.assertIn(words, text)
            self.assertIn("mailhaul check --user %s" % user["address"], text)
        self.assertEqual(plan["users"][0]["warnings"], [])
        self.assertEqual(self.seen(batch), before)
        self.assertRegex(self.ends(batch.call("plan"), 3).out, "2 of them could not be planned")

        # Nor does a plan that all are well in undo what failed.
        batch.passwords.clear()
        self.assertEqual(self.plan(batch)["totals"]["unplanned"], 0)
        after = self.seen(batch)
        self.assertEqual((after[:2], after[5][2][0]), (before[:2], before[5][2][0]))
        self.assertEqual(after[5][2][2:], (1, 1), "what it found waits")

        for name in ("anna", "ben", "cleo"):
            batch.passwords[name] = "wrong"
        done = self.ends(batch.call("plan", "--json"), 77)
        self.assertEqual([len(self.told(u, "LoginFailed")) for u in done.json()["users"]], [1] * 3)
        batch.set("policy", "retry-wait", "1ms")
        source.halt()
        done = self.ends(batch.call("plan", "--json"), 69)
        self.assertEqual([len(self.told(u, "ConnectFailed")) for u in done.json()["users"]], [1] * 3)
        self.assertEqual(self.seen(batch), after)

    def test_new_mail_that_a_plan_finds_makes_a_synced_user_wait(self):
        batch = self.job()
        self.ends(batch.call("run"), 0)
        batch.source.seed("anna", {("INBOX",): [mail.tiny(77)]})
        self.assertEqual(self.plan(batch)["totals"]["move"], 1)
        state, users = self.seen(batch)[:2]
        self.assertEqual((state, users[0][1]), ("Stopped", "Queued"))
        self.ends(batch.call("run"), 0)
        self.assertEqual(self.seen(batch)[1][0][1], "IncrementalSynced")

    def test_a_plan_before_all_else_leaves_a_queued_user(self):
        batch = self.job()
        batch.passwords["anna"] = "wrong"
        self.ends(batch.call("plan"), 77)
        state, users, told, verdict = self.seen(batch)[:4]
        self.assertEqual((state, users[0][1:]), ("Created", ("Queued", None)))
        self.assertEqual((told["started"], told["finished"]), ("", ""))
        self.assertIn("Nothing has been moved yet", verdict)

    def test_too_many_large_items_are_a_warning_of_a_plan(self):
        batch = self.job({("INBOX",): [mail.tiny(1, extra=(b"y" * 76 + b"\r\n") * 300)]})
        batch.set("policy", "max-message-size", "10KB")
        user = self.plan(batch)["users"][0]
        self.assertEqual(len(user["warnings"]), 1)
        self.assertIn("1 message is larger than the limit", self.told(user, "TooManyLargeItems")[0])
        self.assertEqual(self.seen(batch)[1][0][1:], ("Queued", None))

    def test_a_folder_that_cannot_be_opened_is_what_a_plan_finds(self):
        source = self._started(Quirky({"anna": {"INBOX": messages(2), "Odd": messages(1)}},
                                      examine={"Odd": "NO [CANNOT] Mailbox isn't a valid mbox file"}))
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        del batch.sections["source"]["tls-ca"]
        batch.set("source", "tls", "none")
        batch.set("policy", "retry-wait", "1ms")
        user = self.plan(batch)["users"][0]
        self.assertEqual((user["planned"], user["move"]), (True, 2))
        text, = self.told(user, "SelectFailed")
        self.assertRegex(text, "the inventory is not complete: .*Odd.*valid mbox")
        self.assertEqual(self.seen(batch)[1][0][1:], ("Queued", None))

    def test_a_target_that_is_away_is_not_tried_for_every_user(self):
        names = ["u%d" % i for i in range(6)]
        source = self.dovecot(names)
        for i, name in enumerate(names):
            source.seed(name, {("INBOX",): [mail.tiny(i)]})
        target = self.target_for(names)
        batch = self.batch(source, target, names)
        batch.set("target", "connections", "1")
        batch.set("policy", "retry-wait", "20ms")
        target.halt()
        plan = self.plan(batch)
        self.assertEqual(plan["totals"]["move"], 6)
        self.assertEqual([len(self.told(u, "ConnectFailed")) for u in plan["users"]], [1] * 6)
