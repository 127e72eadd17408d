"""Every failure type of the report is driven end to end by some test: TYPES says by which."""

import imaplib
import csv
import os
import random
import re
import shutil
import socket

import exchange
import mail
import quirky
from haul import Case
from meddler import Meddler, Rule
from test_quirks import Odd, messages

# type: a test module or class or test whose text names the type
TYPES = {
    "LoginFailed": "test_errors", "LoginUnavailable": "test_six_errors", "AppPasswordRequired": "test_types.Logins",
    "AccountLocked": "test_types.Logins", "WebLoginRequired": "test_types.Logins",
    "ImapDisabled": "test_types.Logins", "PrivacyRequired": "test_types.Logins",
    "ConnectFailed": "test_types.Elsewhere", "TlsFailed": "test_errors",
    "ConnectionLimit": "test_login", "TokenFailed": "test_exchange",
    "InvalidMailboxName": "test_types.Folders", "SelectFailed": "test_six_errors",
    "ServerBug": "test_types.Folders", "UidValidityChanged": "test_types.Folders",
    "HiddenMessages": "test_types.Folders", "MayBeIncomplete": "test_quirks", "FolderListIncomplete": "test_listing",
    "ParseError": "test_quirks", "WrongMessage": "test_quirks", "TruncatedMessage": "test_types.Bodies",
    "SourceThrottled": "test_types.Bodies",
    "TooManyLargeItems": "test_policy", "TooManyBadItems": "test_policy",
    "TooManyTransientFailures": "test_policy",
    "TargetThrottled": "test_types.Target", "TargetUnavailable": "test_types.Target",
    "QuotaExceeded": "test_errors", "MessageTooLarge": "test_types.Target",
    "PermissionMissing": "test_types.Target",
    "TargetCountDiffers": "test_account", "TargetNotCounted": "test_account",
    "TargetHoldsLess": "test_account", "LateCopy": "test_once", "LateCopyRemoved": "test_tidy", "CopiesUnclear": "test_pairing",
    "SourceHoldsLess": "test_mishaps", "TwoSenders": "test_once", "MailboxHeld": "test_once", "MovedAgain": "test_account",
    "SpoolError": "test_types.Elsewhere",
    "MailboxNotFound": "test_types.Target", "MaildirUnreadable": "test_maildir", "MboxUnreadable": "test_mbox", "FolderGone": "test_types.Gone",
    "MessageVanished": "test_types.Gone", "MessageUnreadable": "test_quirks", "ReservedName": "test_plan",
    "DailyLimit": "test_pace", "MultipleRoots": "test_six_errors", "TrailingDelimiter": "test_six_errors",
    "OpenedForWriting": "test_quirks", "SizeDiffers": "test_quirks", "NamesLeftOut": "test_quirks",
    "KeywordsDropped": "test_hostile", "ListTooLarge": "test_attacks", "FlagsNotKept": "test_refusals",
    "TargetUidsWrong": "test_pairing", "TargetDatesOwn": "test_pairing",
    "NotFollowed": "test_follow", "ChangedOnTarget": "test_follow",
    "DeletedAtSource": "test_follow", "DeletionsFollowed": "test_follow", "DeletionsHeld": "test_follow",
    "FolderNameClash": "test_plan", "FolderRenamed": "test_plan", "MessageRejected": "test_repair",
}
# NotSelectable is said by `folders` alone, Canceled by `verify`, InternalError by a fault of the program, More by a
# list that grew too long.
NOT_OF_A_RUN = {"NotSelectable", "Canceled", "InternalError", "More"}
# Doubts that no scenario of a whole run brings about yet.
WITHOUT_A_SCENARIO = set()


class Table(Case):
    def test_the_table_is_true(self):
        here = os.path.dirname(os.path.abspath(__file__))
        for name, where in TYPES.items():
            with open(os.path.join(here, where.split(".")[0] + ".py"), encoding="utf-8") as f:
                text = f.read().partition("\nclass ")[2]
            self.assertIn('"%s"' % name, text, "%s does not look for it" % where)

    def test_every_type_has_a_test_and_a_line_in_the_manual(self):
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        with open(os.path.join(root, "engine", "failure", "advice.c"), encoding="utf-8") as f:
            types = set(re.findall(r'^    \{ "([A-Z]\w+)"', f.read(), re.M))
        self.assertEqual(types, set(TYPES) | NOT_OF_A_RUN | WITHOUT_A_SCENARIO)
        with open(os.path.join(root, "docs", "man", "mailhaul.1"), encoding="utf-8") as f:
            manual = f.read().partition(".SH FAILURE TYPES")[2].partition(".SH EXIT")[0]
        self.assertEqual(set(re.findall(r"^\.B ([A-Z]\w+)$", manual, re.M)), types)


class Typed(Odd):
    def failed(self, batch, code, type_, state="Failed"):
        """The one user fails with this type, which is told with advice."""
        _, report = self.run_to(batch, code)
        user = report["users"][0]
        self.assertEqual((user["state"], user["failure"]), (state, type_))
        return self.told(report, type_)

    def told(self, report, type_):
        found = [f for f in report["users"][0]["failures"] if f["type"] == type_]
        self.assertTrue(found, report["users"][0]["failures"])
        for failure in found:
            self.assertTrue(failure["advice"])
            self.assertTrue(failure["server_text"])
            self.assertRegex(failure["time"], r"^\d{4}-\d\d-\d\dT")
        return found[0]


class Logins(Typed):
    def test_words_that_name_the_trouble(self):
        cases = [
            ("AppPasswordRequired", "NO [ALERT] Application-specific password required: "
             "https://support.google.com/accounts/answer/185833 (Failure)"),
            ("WebLoginRequired", "NO [WEBALERT https://accounts.example/] Web login required."),
            ("ImapDisabled", "NO [ALERT] Your account is not enabled for IMAP use."),
            ("PrivacyRequired", "NO [PRIVACYREQUIRED] Plaintext authentication disallowed on "
             "non-secure (SSL/TLS) connections."),
        ]
        for type_, words in cases:
            with self.subTest(type_):
                source = self.source({"INBOX": messages(2)}, login={"anna": words})
                failure = self.failed(self.job(source), 77, type_)
                self.assertEqual(failure["side"], "source")


    def test_a_locked_account_is_waited_for(self):
        source = self.source({"INBOX": messages(2)},
                             login={"anna": "NO [AUTHENTICATIONFAILED] Account is locked"})
        batch = self.job(source, batch__time_limit="3s")
        _, report = self.run_to(batch, 2)
        self.told(report, "AccountLocked")


class Folders(Typed):
    def test_a_name_that_the_server_refuses(self):
        source = self.source({"INBOX": messages(2), "Junk/": messages(1)},
                             examine={"Junk/": "NO Invalid mailbox name: Junk/",
                                      "Junk": "NO Invalid mailbox name: Junk"})
        failure = self.failed(self.job(source), 3, "InvalidMailboxName")
        self.assertEqual(failure["class"], "permanent")

    def test_a_bug_of_the_server(self):
        source = self.source({"INBOX": messages(2), "Broken": messages(2)},
                             serverbug={"Broken": -1})
        failure = self.failed(self.job(source), 3, "ServerBug")
        self.assertEqual(failure["folder"], "Broken")
        self.assertIn("Internal error occurred", failure["server_text"])

    def test_messages_that_are_hidden_from_a_later_run(self):
        folder = quirky.Folder(messages(6))
        source = self.source({"INBOX": folder})
        batch = self.job(source)
        self.run_to(batch)
        folder.mails += messages(7)[6:]
        source.quirks["exists"] = {"INBOX": "17"}
        _, report = self.run_to(batch, 4)
        self.assertEqual([(d["type"], d["folder"]) for d in report["users"][0]["doubts"]],
                         [("HiddenMessages", "INBOX")])

    def test_new_message_numbers_and_hidden_messages_are_remarks(self):
        folder = quirky.Folder(messages(20))
        source = self.source({"INBOX": folder}, hide_in_ranges=5, no_search=True)
        batch = self.job(source)
        _, report = self.run_to(batch, 4)
        self.assertIn("HiddenMessages", self.problems(report))
        self.assertEqual((report["batch"]["state"], report["users"][0]["state"]),
                         ("SyncedWithErrors", "SyncedWithDoubts"))
        self.assertEqual([(d["type"], d["folder"]) for d in report["users"][0]["doubts"]],
                         [("HiddenMessages", "INBOX")])
        source.quirks.clear()
        folder.uidvalidity += 1
        _, report = self.run_to(batch)
        self.assertIn("UidValidityChanged", self.problems(report))
        self.assertEqual((report["users"][0]["state"], report["users"][0]["doubts"]), ("IncrementalSynced", []))
        self.arrived(batch, ("INBOX",), messages(20))

    def run_to(self, batch, code=0, limit_s=120):
        if code is None:
            done = batch.call("run", limit_s=limit_s)
            return done, self.balanced(batch.report())
        return super().run_to(batch, code, limit_s)


class Gone(Typed):
    """What its owner deletes at the source while it is copied is no loss of ours, and is told."""

    def remarks(self, report, type_):
        return [(f["source"], p["text"]) for f in report["users"][0]["folders"]
                for p in f["problems"] if p["type"] == type_]

    def test_a_folder_deleted_before_it_is_opened(self):
        source = self.source({"INBOX": messages(5), "Old": messages(3), "Zeta": messages(2)},
                             deleted_listed={"Old"})
        batch = self.job(source)
        failure = self.failed(batch, 3, "FolderGone")
        self.assertEqual((failure["class"], failure["side"], failure["folder"]),
                         ("transient", "source", "Old"))
        self.assertEqual(source.asked(r'^LIST "" "?Old"?$'), 1)
        self.arrived(batch, ("INBOX",), messages(5))
        self.arrived(batch, ("Zeta",), messages(2))
        # The list is read anew, and is as it should be.
        _, report = self.run_to(batch)
        self.assertEqual(report["users"][0]["failures"], [])

    def test_a_folder_deleted_while_its_bodies_are_fetched(self):
        mails = messages(60, size=60000)
        folder = quirky.Folder(mails)
        source = self.source({"INBOX": messages(5), "Old": folder}, deleted_at={30: "Old"})
        batch = self.job(source)
        failure = self.failed(batch, 3, "FolderGone")
        self.assertEqual(failure["folder"], "Old")
        before = self.counts(batch.report(), "Old")
        self.assertGreater(before["uploaded"], 0)
        self.assertGreater(before["pending"], 0)
        # Nobody has it any more: what had come over stays, the rest vanished.
        _, report = self.run_to(batch)
        old = self.counts(report, "Old")
        self.assertEqual((old["uploaded"], old["skipped"], old["pending"]),
                         (before["uploaded"], before["pending"], 0))
        self.assertEqual({i["reason"] for i in report["users"][0]["skipped_items"]}, {"Vanished"})
        (name, text), = self.remarks(report, "MessageVanished")
        self.assertEqual((name, text.split()[0]), ("Old", str(before["pending"])))
        # Its owner had it restored: all of it comes over, and nothing twice.
        source.quirks.clear()
        source.messages["anna"]["Old"] = folder
        _, report = self.run_to(batch)
        self.arrived(batch, ("Old",), mails)
        self.assertEqual(self.counts(report, "Old")["skipped"], 0)

    def test_a_folder_that_is_listed_is_not_gone(self):
        source = self.source({"INBOX": messages(5), "Old": messages(3)},
                             examine={"Old": "NO [NONEXISTENT] Unknown Mailbox: Old (Failure)"})
        failure = self.failed(self.job(source), 3, "SelectFailed")
        self.assertEqual(failure["folder"], "Old")

    def test_a_message_deleted_before_it_is_fetched(self):
        source = self.source({"INBOX": messages(30), "Sent": messages(3)}, expunged={7, 9})
        batch = self.job(source)
        _, report = self.run_to(batch)
        self.arrived(batch, ("INBOX",), [m for m in messages(30) if m.uid not in (7, 9)])
        self.assertEqual(self.counts(report, "INBOX")["skipped"], 2)
        self.assertEqual([(i["uid"], i["reason"]) for i in report["users"][0]["skipped_items"]],
                         [(7, "Vanished"), (9, "Vanished")])
        self.assertEqual(self.remarks(report, "MessageVanished"),
                         [("INBOX", "2 messages were deleted at the source before they were fetched")])
        self.assertEqual(report["users"][0]["failures"], [])


class Bodies(Typed):
    def test_a_body_that_always_breaks_off(self):
        source = self.source({"INBOX": messages(5)}, stall={3: 100})
        batch = self.job(source, policy__bad_item_limit="unlimited", source__stall_limit="200ms")
        _, report = self.run_to(batch)
        self.assertEqual(self.told(report, "TruncatedMessage")["uid"], 3)

    def test_a_source_that_throttles_is_no_failure(self):
        source = self.source({"INBOX": messages(60)}, throttle=[2, 1200])
        _, report = self.run_to(self.job(source))
        failure = self.told(report, "SourceThrottled")
        self.assertEqual((failure["class"], failure["side"]), ("throttled", "source"))
        self.assertEqual(report["totals"]["throttled"], failure["count"])
        self.assertEqual(report["users"][0]["state"], "Synced")


class Target(Typed):
    def into(self, messages_, **options):
        source = self.dovecot(["anna"], format="maildir", separator=".")
        source.seed("anna", {("INBOX",): messages_})
        target = self._started(exchange.Exchange(["anna@target.example"], **options))
        return target.take(self.batch(source, target, ["anna"])), target

    def test_throttle_answers_are_one_record(self):
        batch, target = self.into(
            [mail.tiny(i) for i in range(60)],
            **{"mailbox-rate": 3, "mailbox-burst": 5, "mailbox-cutoff": 2, "hint-ms": 1500,
               "hint-word": "both"})
        _, report = self.run_to(batch)
        failure = self.told(report, "TargetThrottled")
        self.assertEqual((failure["class"], failure["side"]), ("throttled", "target"))
        stats = target.stats()
        self.assertGreater(stats["throttled"], 0)
        self.assertEqual(failure["count"], stats["throttled"])

    def test_a_message_that_is_too_large_for_the_mailbox(self):
        batch, target = self.into([mail.tiny(1), mail.tiny(2, extra=b"x" * 76 + b"\r\n" * 2000)],
                                  **{"message-bytes-max": 3000})
        failure = self.failed(batch, 3, "TooManyBadItems")
        failure = self.told(batch.report(), "MessageTooLarge")
        self.assertEqual(failure["side"], "target")
        self.assertEqual(len(target.messages("anna@target.example")), 1)
        # What was refused waits in the spool for whoever takes it out.
        to = os.path.join(self.folder, "out")
        done = self.ends(batch.call("export", "--what", "failed", "--format", "eml", "--to", to), 0)
        self.assertIn("1 message (", done.err)
        found = [os.path.join(at, n) for at, _, names in os.walk(to) for n in names if n.endswith(".eml")]
        self.assertEqual(len(found), 1)
        with open(found[0], "rb") as f:
            self.assertEqual(f.read(), mail.tiny(2, extra=b"x" * 76 + b"\r\n" * 2000).body)

    def test_no_right_on_the_mailbox(self):
        batch, target = self.into([mail.tiny(1)])
        target.set("mailbox", "anna@target.example,permitted=no")
        done = batch.call("run")
        self.assertNotEqual(done.code, 0)
        self.told(batch.report(), "PermissionMissing")

    def behind(self, *rules, folders=("INBOX", "Work")):
        """A target of which some answers are another server's."""
        batch = self.job(self.source({name: messages(3) for name in folders}))
        meddler = self._started(Meddler(batch.target, rules))
        batch.sections["target"] = {"preset": "imap", "url": meddler.url(), "tls": "none",
                                    "connections-per-mailbox": "1"}
        return batch, meddler

    def test_a_login_for_a_mailbox_that_does_not_exist(self):
        batch, _ = self.behind(Rule("^(AUTHENTICATE|LOGIN)", answer="NO user does not exist"))
        self.assertEqual(self.failed(batch, 3, "MailboxNotFound")["side"], "target")

    def test_a_mailbox_that_does_not_exist(self):
        gone = "NO [NONEXISTENT] Mailbox does not exist"
        # Where several are there, any of them may be opened first, and an APPEND works here after all.
        batch, meddler = self.behind(Rule('^(STATUS|SELECT|EXAMINE) "?INBOX', answer=gone), folders=("INBOX",))
        failure = self.failed(batch, 3, "MailboxNotFound")
        self.assertEqual((failure["side"], failure["folder"]), ("target", "INBOX"))
        self.assertEqual(meddler.asked('^APPEND "?INBOX'), 0)

    def test_a_cyrus_user_who_has_no_mailbox(self):
        """It lets in whoever has a password; the mailbox is another matter."""
        source = self.source({"INBOX": messages(3), "Work": messages(2)})
        target = self.cyrus(["annat"], separator=".", autocreate=False)
        batch = self.job(source)
        batch.target, batch.users = target, [("anna", "annat@target.example")]
        batch.extra_columns = {"TargetUserName": {"anna": "annat"}}
        batch.target_logins = {"anna": "annat"}
        batch.sections["target"] = {"preset": "imap", "url": target.url(), "tls-ca": target.ca}
        failure = self.failed(batch, 3, "MailboxNotFound")
        self.assertIn("does not exist", failure["server_text"])
        self.assertEqual(batch.report()["users"][0]["uploaded"], 0)
        # Somebody makes it.
        with imaplib.IMAP4("127.0.0.1", target.port_plain) as there:
            there.login("annat", '"password annat"')
            self.assertEqual(there.create("INBOX")[0], "OK")
        self.ends(batch.call("retry"), 0)
        with target.connect("annat") as mailbox:
            self.assertEqual({path: len(mailbox.uids(path)) for path in mailbox.folders()},
                             {("INBOX",): 3, ("Work",): 2})

    def test_a_target_that_breaks_off(self):
        source = self.source({"INBOX": messages(3)})
        batch = self.job(source)
        meddler = self._started(Meddler(batch.target, [Rule("^APPEND", close=True, times=1)]))
        batch.sections["target"] = {"preset": "imap", "url": meddler.url(), "tls": "none",
                                    "settle-time": "1s"}
        _, report = self.run_to(batch)
        self.assertEqual(self.told(report, "TargetUnavailable")["side"], "target")
        self.arrived(batch, ("INBOX",), messages(3))


class Elsewhere(Typed):
    def test_nobody_there(self):
        batch = self.job(self.source({"INBOX": messages(3)}))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        batch.set("source", "url", "imap://127.0.0.1:%d" % port)
        self.ends(batch.call("run"), 69)
        self.told(batch.report(), "ConnectFailed")

    def test_the_index_of_an_export_has_subjects_for_people(self):
        batch = self.job(self.source({"INBOX": [quirky.Mail(
            1, b"Subject: =?iso-8859-1?Q?Gr=FC=DFe?=\r\n =?utf-8?B?IGF1cyBLw7Zsbg==?=\r\n\r\nx\r\n")]}))
        self.ends(batch.call("fetch"), 0)
        to = os.path.join(self.folder, "out")
        self.ends(batch.call("export", "--what", "all", "--to", to), 0)
        with open(os.path.join(to, "index.csv"), newline="", encoding="utf-8-sig") as f:
            self.assertEqual([row["subject"] for row in csv.DictReader(f)], ["Grüße aus Köln"])

    def changed(self, data, number):
        """The spool's file as something else than mailhaul may leave it; one way for each number."""
        chance = random.Random(number)
        page = chance.randrange(len(data) // 4096) * 4096
        other = chance.randrange(len(data) // 4096) * 4096
        at = chance.randrange(len(data))
        return (data[:at],
                data[:page] + bytes(4096) + data[page + 4096:],
                data[:page] + data[other:other + 4096] + data[page + 4096:],
                data[:page + 16] + data[other + 16:other + 4096] + data[page + 4096:],
                data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1:],
                data[:page + 12] + chance.randbytes(2) + data[page + 14:],
                data[:page + 16] + chance.randbytes(60) + data[page + 76:],
                data[:at] + chance.randbytes(9000) + data[at + 9000:])[number % 8]

    def test_a_state_folder_that_something_else_changed(self):
        """Pages of data.mdb are zeroed, swapped, cut off, overwritten: a clear error or, where nothing
        that counts was hit, the run as ever; never a signal, and no message twice."""
        number = 30
        batch = self.job(self.source({"INBOX": messages(number), "Work": messages(3)}))
        self.ends(batch.call("fetch"), 0)
        path = os.path.join(batch.state, "data.mdb")
        with open(path, "rb") as f:
            data = f.read()
        refused = 0
        for i in range(40):
            with open(path, "wb") as f:
                f.write(self.changed(data, i))
            for command in ("status", "report", "upload"):
                run = batch.start(command)
                run.account = None  # there is none where the file is refused
                done = run.wait()
                # 2: an upload to which the older state, in which nothing was fetched, is left
                self.assertIn(done.code, (0, 2, 3, 74) if command == "upload" else (0, 3, 74),
                              "%d: %s: %s" % (i, command, done))
                if done.code == 74:
                    self.assertRegex(done.err, r"/data\.mdb is damaged", "%d" % i)
                    self.assertRegex(done.err, "put it aside", "%d" % i)
                    refused += 1
        self.assertGreater(refused, 20)
        with open(path, "wb") as f:
            f.write(data[:len(data) // 2])
        for command in ("status", "report", "upload", "spool-check"):
            run = batch.start(command)
            run.account = None
            self.assertIn("cut short", self.ends(run.wait(), 74).err, command)
        # An empty file, as a full disk or a broken copy leaves it, and none: it is no new folder.
        for words in ("is empty, though a run began here", "is missing, though a run began here"):
            if "empty" in words:
                os.truncate(path, 0)
            else:
                os.unlink(path)
            for command in ("status", "report", "verify", "run"):
                run = batch.start(command)
                run.account = None
                done = self.ends(run.wait(), 74)
                self.assertIn(words, done.err, command)
                self.assertIn("put it aside and run again", done.err, command)
        shutil.move(batch.state, os.path.join(self.folder, "aside"))
        self.ends(batch.call("run"), 0)
        self.assertEqual(self.balanced(batch.report())["totals"]["found"], number + 3)
        self.arrived(batch, ("INBOX",), messages(number))

    def test_a_body_that_the_disk_changed(self):
        """A byte of a spooled body is another one: its checksum tells, and it alone is lost until
        `retry` reads it from the source again."""
        source = self.source({"INBOX": messages(4) + [quirky.Mail(
            5, b"Subject: random\r\n\r\n" + os.urandom(60000).hex().encode() + b"\r\n")]})
        batch = self.job(source)
        self.ends(batch.call("fetch"), 0)
        path = os.path.join(batch.state, "data.mdb")
        with open(path, "r+b") as f:
            data = f.read()
            frames = [m.start() for m in re.finditer(rb"\x28\xb5\x2f\xfd", data)]
            at = max(frames, key=lambda p: len(data[p + 5000:p + 5200].strip(b"\0"))) + 5000
            f.seek(at)
            f.write(bytes([data[at] ^ 0x55]))
        _, report = self.run_to(batch, 3)
        failure = self.told(report, "SpoolError")
        self.assertEqual((failure["side"], failure["uid"]), ("local", 5))
        self.assertEqual(report["users"][0]["uploaded"], 4)
        self.ends(batch.call("retry"), 0)
        self.assertEqual(self.balanced(batch.report())["users"][0]["uploaded"], 5)
