"""Every fault text of Exchange Online's that is known, said once at its place: nothing is lost, and the
report calls it what it is. tests/unit/test_target_texts.c has the same list as a table of pure
reactions; docs/exchange-online.md shows it to people."""

import imaplib
import ssl
import time

import exchange
import mail
from haul import DOMAIN, lasting
from quirky import Mail, Quirky

THROTTLE = "Request is throttled. Suggested Backoff Time: 1100 milliseconds"
ANNA = "anna@" + DOMAIN


def said(text, point="before-plus", command="", limit=1, every=0, action="reply"):
    return "point=%s action=%s limit=%d%s%s%s" % (
        point, action, limit, " every=%d" % every if every else "",
        " command=" + command if command else "", " text=" + text if text else "")


TREE = [(2, ("INBOX",)), (1, ("Empty? no",)), (1, ("Sent",))]


class Texts(exchange.Into):
    def into(self, users, messages=4, **options):
        """(batch, exchange, {address: how many messages}), from a source that is quick to start."""
        self.seeded = {user: mail.mailbox(i, messages, tree=TREE) for i, user in enumerate(users)}
        source = self._started(Quirky({user: {
            "/".join(name): [Mail(uid + 1, m.body, m.date, m.flags) for uid, m in enumerate(box)]
            for name, box in folders.items()} for user, folders in self.seeded.items()}))
        counts = {"%s@%s" % (user, DOMAIN): sum(len(box) for box in folders.values())
                  for user, folders in self.seeded.items()}
        target = self._started(exchange.Exchange(counts, **options))
        batch = target.take(self.batch(source, target, users))
        del batch.sections["source"]["tls-ca"]
        batch.set("source", "tls", "none").set("policy", "retry-wait", "20ms")
        return batch.set("target", "settle-time", "1s"), target, counts

    def said(self, fault, messages=4, **options):
        """(report, target) of a run in which the target said so, and all mail arrived all the same."""
        batch, target, counts = self.into(["anna"], messages, fault=fault, **options)
        self.ends(batch.call("run"), 0)
        report = self.balanced(batch.report())
        self.assertEqual(report["users"][0]["state"], "Synced")
        self.assertEqual(report["totals"]["uploaded"], report["totals"]["found"])
        self.each_once(target, counts)
        self.assertGreater(target.stats()["faults"], 0, "it was never said")
        return report, target

    def types(self, report):
        return {f["type"] for f in report["users"][0]["failures"]}

    def test_throttled_whatever_was_asked(self):
        for text, point, command in (("NO " + THROTTLE, "before-plus", ""),
                                     ("BAD " + THROTTLE, "before-plus", ""),
                                     ("BAD " + THROTTLE, "command", "LIST"),
                                     ("BAD " + THROTTLE, "command", "CREATE"),
                                     ("BAD " + THROTTLE, "command", "STATUS")):
            with self.subTest(text=text, command=command or point):
                report, _ = self.said(said(text, point, command))
                self.assertEqual(self.types(report), {"TargetThrottled"})
                self.assertEqual(report["totals"]["throttled"], 1)
                advice = report["users"][0]["failures"][0]["advice"]
                self.assertIn("Nothing to do", advice)

    @lasting
    def test_the_connection_is_ended(self):
        for text in ("Connection closed. 14", "Connection is closed. 13"):
            for point, command in (("command", "STATUS"), ("before-plus", ""), ("last-byte", "")):
                with self.subTest(text=text, point=point):
                    report, target = self.said(said(text, point, command, action="bye"))
                    self.assertEqual(self.types(report), {"TargetUnavailable"})
                    self.assertGreaterEqual(target.stats()["logins"], 2)

    def test_words_without_a_tag_and_the_end(self):
        for point, command in (("command", "STATUS"), ("before-plus", "")):
            with self.subTest(point=point):
                report, _ = self.said(said("", point, command, action="garbage"))
                self.assertEqual(self.types(report), {"TargetUnavailable"})
                self.assertIn("Server Unavailable. 15", report["users"][0]["failures"][0]["server_text"])

    @lasting
    def test_the_session_is_over_and_another_goes_on(self):
        for text, point, command in (
                ("BAD Command Error. 10", "before-plus", ""),
                ("BAD Command Error. 10", "command", "CREATE"),
                ("BAD Command Error. 12", "command", "STATUS"),
                ("BAD Command Argument Error. 12", "command", "STATUS"),
                ("BAD Command received in Invalid state.", "command", "STATUS"),
                ("NO [SERVERBUG] Internal server error", "command", "LIST")):
            with self.subTest(text=text, command=command or point):
                report, target = self.said(said(text, point, command))
                self.assertEqual(self.types(report), {"TargetUnavailable"})
                self.assertGreaterEqual(target.stats()["logins"], 2)

    def test_the_token_ends_or_is_taken_back(self):
        for text, types in (("Session invalidated - AccessTokenExpired", set()),
                            ("Session invalidated - Invalid", {"TargetUnavailable"})):
            with self.subTest(text=text):
                report, target = self.said(said(text, action="bye"))
                self.assertEqual(self.types(report), types)
                self.assertEqual(target.stats()["tokens"], 2, "no new token was taken")

    def test_a_login_that_is_refused_once_is_tried_with_a_new_token(self):
        for text in ("NO AUTHENTICATE failed.", "BAD Command Error. 10"):
            with self.subTest(text=text):
                report, target = self.said(said(text, "command", "AUTHENTICATE"))
                self.assertEqual(self.types(report), set())
                self.assertEqual(target.stats()["tokens"], 2)

    def test_a_login_that_stays_refused_ends_with_advice(self):
        for text in ("NO AUTHENTICATE failed.", "BAD Command Error. 10"):
            with self.subTest(text=text):
                batch, target, _ = self.into(["anna"],
                                             fault=said(text, "command", "AUTHENTICATE", limit=0))
                self.ends(batch.call("run"), 77)
                user = self.balanced(batch.report())["users"][0]
                self.assertEqual(user["failure"], "LoginFailed")
                self.assertEqual(target.stats()["tokens"], 2)

    def test_a_basic_login_that_is_refused_is_tried_once(self):
        batch, target, _ = self.into(["anna"], **{"plain-auth": "yes", "plain-password": "other",
                                                 "front-end": "classic"})
        batch.sections["target"] = {"preset": "imap", "url": target.url(), "tls-ca": target.ca, "auth": "login"}
        target.users[ANNA] = "not that"
        self.ends(batch.call("run"), 77)
        failure = self.balanced(batch.report())["users"][0]["failures"][0]
        self.assertEqual((failure["type"], failure["server_text"]), ("LoginFailed", "LOGIN failed."))
        self.assertEqual(target.stats()["logins_refused"], 1)

    def test_not_connected_at_first_is_a_missing_right(self):
        batch, target, _ = self.into(["anna"])
        target.set("mailbox", ANNA + ",enabled=no")
        self.ends(batch.call("run"), 3)
        failure = self.balanced(batch.report())["users"][0]["failures"][0]
        self.assertEqual(failure["type"], "PermissionMissing")
        self.assertIn("Add-MailboxPermission", failure["advice"])

    def test_not_connected_on_a_second_session_is_no_missing_right(self):
        report, target = self.said([said("Connection closed. 14", action="bye"),
                                    said("BAD User is authenticated but not connected.")])
        self.assertEqual(self.types(report), {"TargetUnavailable", "ConnectionLimit"})
        self.assertGreaterEqual(target.stats()["logins"], 3)

    def test_not_connected_amid_the_work_is_no_end(self):
        report, target = self.said(said("BAD User is authenticated but not connected.", "command", "CREATE"))
        self.assertEqual(self.types(report), {"ConnectionLimit"})
        self.assertGreaterEqual(target.stats()["logins"], 2)

    def test_server_unavailable_once_is_an_outage(self):
        for point, command in (("before-plus", ""), ("command", "STATUS"), ("command", "CREATE")):
            with self.subTest(point=point, command=command):
                report, _ = self.said(said("NO Server Unavailable. 15", point, command))
                self.assertEqual(self.types(report), {"TargetUnavailable"})

    def test_server_unavailable_to_everything_is_an_outage(self):
        report, _ = self.said([said("NO Server Unavailable. 15", "before-plus", limit=4),
                               said("NO Server Unavailable. 15", "command", "STATUS", limit=4)])
        self.assertEqual(self.types(report), {"TargetUnavailable"})

    def test_one_message_that_is_always_answered_so_fails_alone(self):
        batch, target, counts = self.into(["anna"], 30)
        batch.set("policy", "bad-item-limit", 1)
        sizes = sorted(len(m.body) for box in self.seeded["anna"].values() for m in box)
        target.set("fault", "point=before-plus action=reply over=%d text=NO Server Unavailable. 15" % sizes[-2])
        self.ends(batch.call("run"), 0)
        anna = self.balanced(batch.report())["users"][0]
        self.assertEqual((anna["failed"], anna["uploaded"]), (1, counts[ANNA] - 1))
        self.assertEqual(self.types({"users": [anna]}), {"TargetUnavailable", "MessageRejected"})

    def test_a_full_mailbox_is_known_by_its_appends(self):
        batch, target, counts = self.into(["anna", "ben"], 30)
        target.set("mailbox", ANNA + ",quota=40000")
        self.ends(batch.call("run"), 3)
        report = self.balanced(batch.report())
        users = {u["address"]: u for u in report["users"]}
        anna, ben = users[ANNA], users["ben@" + DOMAIN]
        self.assertEqual(anna["failure"], "QuotaExceeded")
        self.assertEqual(anna["failed"], 0, "a full mailbox is no fault of its messages")
        self.assertGreater(anna["uploaded"], 0)
        self.assertGreater(anna["pending"], 0)
        failure = next(f for f in anna["failures"] if f["type"] == "QuotaExceeded")
        self.assertIn("Set-Mailbox " + ANNA, failure["advice"])
        self.assertIn("Server Unavailable. 15", failure["server_text"])
        self.assertEqual(ben["state"], "Synced")
        # With room again the next run goes on.
        target.set("mailbox", ANNA + ",quota=0")
        self.ends(batch.call("run"), 0)
        self.balanced(batch.report())
        self.each_once(target, counts)

    def test_a_full_mailbox_for_its_only_message(self):
        batch, target, _ = self.into(["anna"], 1)
        target.set("mailbox", ANNA + ",quota=10")
        self.ends(batch.call("run"), 3)
        anna = self.balanced(batch.report())["users"][0]
        self.assertEqual((anna["failure"], anna["failed"]), ("QuotaExceeded", 0))

    def test_argument_error_at_append_that_does_not_stay_costs_nothing(self):
        """It is believed of a message only when another was taken meanwhile, and it is refused again."""
        _, target = self.said(said("BAD Command Argument Error. 11"))
        self.assertEqual(target.stats()["byes"], 0)

    def test_argument_error_at_create_costs_that_folder(self):
        """By its name, and by the one that looks the same."""
        batch, target, counts = self.into(["anna"],
                                          fault=said("BAD Command Argument Error. 11", "command", "CREATE", limit=2))
        self.ends(batch.call("run"), 3)
        anna = self.balanced(batch.report())["users"][0]
        self.assertEqual(anna["failure"], "InvalidMailboxName")
        self.assertEqual(anna["failed"], 0)
        self.assertGreater(anna["uploaded"], 0)

    def test_too_large_costs_that_message_with_the_line_that_mends_it(self):
        batch, target, counts = self.into(
            ["anna"], fault=said("NO Maximum size of appendable message has been exceeded"))
        self.ends(batch.call("run"), 3)
        anna = self.balanced(batch.report())["users"][0]
        failure = next(f for f in anna["failures"] if f["type"] == "MessageTooLarge")
        self.assertIn("Set-Mailbox %s -MaxReceiveSize" % ANNA, failure["advice"])
        self.assertEqual(anna["uploaded"], counts[ANNA] - 1)

    def test_a_folder_that_somebody_made_meanwhile_is_used(self):
        batch, target, counts = self.into(
            ["anna"], fault=said("NO Request is throttled. Suggested Backoff Time: 5000 milliseconds",
                                     "command", "CREATE"),
            **{"plain-auth": "yes", "plain-password": "pw", "front-end": "classic"})
        running = batch.start("run")
        while not target.stats()["faults"]:
            self.assertFalse(running.ended())
            time.sleep(0.02)
        imap = imaplib.IMAP4_SSL("localhost", target.imap_port, ssl_context=ssl._create_unverified_context())
        imap.login(ANNA, "pw")
        # One of them was refused; the other was asked for together with it, and is there.
        made = ["Empty? no", "Nothing here"]
        self.assertIn("OK", [imap.create('"%s"' % name)[0] for name in made])
        imap.logout()
        self.ends(running.wait(), 0)
        report = self.balanced(batch.report())
        self.each_once(target, counts)
        self.assertEqual(self.types(report), {"TargetThrottled"})
        self.assertEqual(target.stats()["errors"], 1 + len(made), "nobody was in its way")

    def test_codes_that_were_never_seen_on_this_wire_mean_what_they_mean(self):
        for text in ("NO [OVERQUOTA] no room",
                     "NO This mailbox is full. Please free up some space so that email can be downloaded."):
            with self.subTest(text=text):
                batch, _, _ = self.into(["anna"], fault=said(text))
                self.ends(batch.call("run"), 3)
                self.assertEqual(self.balanced(batch.report())["users"][0]["failure"], "QuotaExceeded")
        # Words that nobody knows are believed of a message only while others are taken.
        for text in ("NO [UNAVAILABLE] later", "NO APPEND failed"):
            with self.subTest(text=text):
                report, _ = self.said(said(text, limit=2))
                self.assertLessEqual(self.types(report), {"TargetUnavailable"})
