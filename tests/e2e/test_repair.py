"""Messages that a target refuses as they are: mended only then, only as far as needed, and told."""

import signal

import csv
import os
import signal
import time

import exchange
from haul import DOMAIN, Case
from meddler import Meddler, Rule
from quirky import Mail, Quirky

HEAD = b"Message-ID: <%s@odd.example>\r\nDate: Mon, 1 Jan 2024 10:00:00 +0000\r\nFrom: <a@odd.example>\r\n"


def odd(name, rest):
    return HEAD % name.encode() + rest


class Odd(Case):
    """Dovecot hands out no NUL and no bare LF: the simulated source does."""

    def source(self, bodies):
        return self._started(Quirky({"anna": {"INBOX": [], "Odd": [
            Mail(i + 1, body, 1704103200 + i) for i, body in enumerate(bodies)]}}))

    def plain(self, batch):
        del batch.sections["source"]["tls-ca"]
        batch.set("source", "tls", "none")
        batch.set("policy", "retry-wait", "20ms")
        return batch


class Refused(Odd):
    def into(self, bodies, **options):
        self.address = "anna@" + DOMAIN
        target = self._started(exchange.Exchange([self.address], **{"keep": "body", **options}))
        return self.plain(target.take(self.batch(self.source(bodies), target, ["anna"]))), target

    def told(self, report):
        """{message-id: repairs}"""
        return {item["message_id"].strip("<>").split("@")[0]: item["repairs"]
                for item in report["users"][0]["repaired_items"]}

    def test_each_message_is_mended_by_what_it_needs_and_told(self):
        long = b"Subject: long\r\n\r\n" + b"word " * 6000 + b"\r\n"
        bodies = [
            odd("long", long), odd("nul", b"Subject: nul\r\n\r\na\0b\r\n"),
            odd("high", "Subject: Prüfung\r\n\r\nüber\r\n".encode()),
            odd("both", b"Subject: both\r\n\r\n\0" + b"x" * 30000 + b"\r\n"),
            odd("bare", b"Subject: bare\r\n\r\na\nb\r\n"),
            odd("fine", "Subject: fine\r\n\r\nüber\r\n".encode())]
        batch, target = self.into(bodies, **{"body-line-max": 10239, "bare-refused": "yes",
                                             "header-bytes-refused": "yes"})
        done = self.ends(batch.call("run"), 0)
        report = self.balanced(batch.report())
        self.assertEqual(report["totals"]["failed"], 0)
        self.assertEqual(report["totals"]["uploaded"], report["totals"]["found"])
        told = self.told(report)
        self.assertEqual(told["long"], ["long-lines"])
        self.assertEqual(told["nul"], ["nul"])
        self.assertEqual(told["bare"], ["line-ends"])
        self.assertEqual(told["high"], ["header-bytes"])
        self.assertEqual(sorted(told["both"]), ["long-lines", "nul"])
        self.assertNotIn("fine", told)
        self.assertEqual(report["users"][0]["repaired"], len(told))
        # Told wherever the account is.
        self.assertEqual(report["totals"]["repaired"], len(told))
        out = os.path.join(batch.folder, "report")
        self.ends(batch.call("report", "--csv", out + ".csv", "--html", out + ".html"), 0)
        with open(out + ".csv", newline="") as f:
            row = next(csv.DictReader(f))
        self.assertEqual(row["repaired"], str(len(told)))
        with open(out + ".html") as f:
            self.assertIn('"repaired":%d' % len(told), f.read())
        self.assertRegex(done.out + done.err, r"of them mended +%d " % len(told))
        # Nothing moves again, and verify knows them.
        before = target.stats()["appends"]
        self.ends(batch.call("run"), 0)
        self.assertEqual(target.stats()["appends"], before)
        self.assertEqual(self.told(batch.report()), told)
        verify = self.ends(batch.call("verify", "--json"), 0).json()["users"][0]
        self.assertEqual((verify["missing"], verify["doubled"]), (0, 0), verify)

    def test_what_no_repair_helps_fails_alone(self):
        bodies = [odd("a", b"Subject: s\r\n\r\nx\r\n"), odd("b", b"Subject: s\r\n\r\n" + b"x\r\n" * 5000),
                  odd("c", b"Subject: s\r\n\r\nx\r\n")]
        batch, target = self.into(bodies, fault="point=before-plus action=reply over=10000 "
                                        "text=BAD Command Argument Error. 11")
        self.ends(batch.call("run"), 3)
        user = self.balanced(batch.report())["users"][0]
        self.assertEqual((user["failed"], user["uploaded"]), (1, 2))
        self.assertEqual(user["failure"], "TooManyBadItems")
        self.assertIn("MessageRejected", [f["type"] for f in user["failures"]])

    def test_a_mended_message_is_known_again_after_a_lost_answer(self):
        named = [odd("high%d" % i, "Subject: Prüfung\r\n\r\nüber\r\n".encode()) for i in range(4)]
        nameless = [("Date: Mon, 1 Jan 2024 10:00:0%d +0000\r\nSubject: ü\r\n\r\nx\r\n" % i).encode()
                    for i in range(3)]
        batch, target = self.into(named + nameless,
                                  **{"header-bytes-refused": "yes",
                                     "fault": "point=stored action=reset every=3 limit=2"})
        batch.set("target", "settle-time", "1s")
        self.ends(batch.call("run"), 0)
        report = self.balanced(batch.report())
        self.assertEqual(report["totals"]["uploaded"], 7)
        self.assertEqual(len(target.messages(self.address)), 7)
        self.assertEqual(target.stats()["faults"], 2)

    def test_a_kill_between_the_repair_and_the_answer_doubles_nothing(self):
        """The mended APPEND is on its way, or stored and not answered, when the run is killed."""
        bodies = [odd("high", "Subject: Prüfung\r\n\r\nüber\r\n".encode()),
                  "Date: Mon, 1 Jan 2024 10:00:00 +0000\r\nSubject: ü\r\n\r\nx\r\n".encode()]
        for point in ("last-byte", "stored"):  # which only a mended one comes to
            with self.subTest(point=point):
                batch, target = self.into(bodies, **{"header-bytes-refused": "yes", "fault":
                                                     "point=%s action=hang limit=1" % point})
                batch.set("target", "settle-time", "1s")
                running = batch.start("run")
                while not target.stats()["faults"]:
                    self.assertFalse(running.ended())
                    time.sleep(0.02)
                running.signal(signal.SIGKILL)
                running.wait()
                self.ends(batch.call("run"), 0)
                report = self.balanced(batch.report())
                self.assertEqual(report["totals"]["uploaded"], 2)
                self.assertEqual(len(target.messages(self.address)), 2)
                self.assertEqual(report["totals"]["repaired"], 2)

    def test_no_session_comes_to_its_tenth_refusal(self):
        bodies = [odd("nul%d" % i, b"Subject: nul\r\n\r\na\0b\r\n") for i in range(40)]
        batch, target = self.into(bodies)
        self.ends(batch.call("run"), 0)
        report = self.balanced(batch.report())
        self.assertEqual(report["totals"]["uploaded"], 40)
        stats = target.stats()
        self.assertGreaterEqual(stats["errors"], 40)
        self.assertEqual(stats["byes"], 0, stats)

    def test_read_receipts_are_disarmed_only_when_asked(self):
        asks = odd("asks", b"Disposition-Notification-To: <a@odd.example>\r\nSubject: asks\r\n\r\nx\r\n")
        for wanted in ("no", "yes"):
            with self.subTest(wanted=wanted):
                batch, target = self.into([asks, odd("b", b"Subject: b\r\n\r\nx\r\n")])
                batch.set("policy", "disarm-read-receipts", wanted)
                self.ends(batch.call("run"), 0)
                self.assertEqual(self.told(batch.report()),
                                 {"asks": ["read-receipt"]} if wanted == "yes" else {})
                sizes = sorted(m["size"] for m in target.messages(self.address))
                self.assertEqual(max(sizes), len(asks) + (2 if wanted == "yes" else 0))

    def test_a_disarmed_message_that_nothing_names_is_known_again_after_a_kill(self):
        """By its size alone, and that is in the journal before the message is on its way."""
        asks = b"Disposition-Notification-To: <a@odd.example>\r\nX-Any: 1\r\n\r\nx\r\n"
        running = []
        killed = Rule("APPEND", after=True, times=1,
                      then=lambda: running[0].signal(signal.SIGKILL))
        target = self.target_for(["anna"])
        meddler = self._started(Meddler(target, [killed]))
        batch = self.plain(self.batch(self.source([asks]), meddler, ["anna"]))
        batch.sections["target"] = {"preset": "imap", "url": meddler.url(), "tls": "none"}
        batch.set("policy", "disarm-read-receipts", "yes")
        running.append(batch.start("run"))
        self.ends(running[0].wait(), -signal.SIGKILL)
        self.ends(batch.call("run"), 0)
        report = self.balanced(batch.report())
        self.assertEqual(report["totals"]["uploaded"], 1)
        self.assertEqual([i["repairs"] for i in report["users"][0]["repaired_items"]],
                         [["read-receipt"]])
        with target.connect("anna@" + DOMAIN) as there:
            self.assertEqual(there.uids(("Odd",)), [1])


class Cyrus(Odd):
    """A real server that refuses: NUL bytes and bare line ends, by MULTIAPPEND."""

    def test_refused_messages_cost_only_themselves_and_arrive_mended(self):
        clean = [odd("c%d" % i, b"Subject: c\r\n\r\nx\r\n") for i in range(40)]
        source = self.source(clean[:20] + [odd("nul", b"Subject: nul\r\n\r\na\0b\r\n"),
                                           odd("bare", b"Subject: bare\r\n\r\na\nb\r\n")]
                             + clean[20:])
        batch = self.batch(source, self.cyrus(["annat"]), [("anna", "annat@target.example")])
        batch.extra_columns = {"TargetUserName": {"anna": "annat"}}
        batch.target_logins = {"anna": "annat"}
        self.plain(batch)
        self.ends(batch.call("run"), 0)
        report = self.balanced(batch.report())
        self.assertEqual(report["totals"]["uploaded"], 42)
        told = {i["message_id"][1:-len("@odd.example>")]: i["repairs"]
                for i in report["users"][0]["repaired_items"]}
        self.assertEqual(told, {"nul": ["nul"], "bare": ["line-ends"]})
        verify = self.ends(batch.call("verify", "--json"), 0).json()["users"][0]
        self.assertEqual(verify["grade"], "Perfect", verify)
