"""The target's size limit: learnt from the first refusal, then larger messages are not even fetched."""

import exchange
import haul
import hostile
from quirky import Mail, Quirky

ANNA = "anna@" + haul.DOMAIN
MB = 1000000


def message(number, size):
    head = ("Message-ID: <size.%d@odd.example>\r\nDate: Mon, 1 Jan 2024 10:00:00 +0000\r\n"
            "From: <a@odd.example>\r\nSubject: %d bytes\r\n\r\n" % (number, size)).encode()
    return head + (b"x" * 70 + b"\r\n") * ((size - len(head)) // 72)


class Sizes(haul.Case):
    def into(self, sizes, limit, **options):
        """Folders A, B, ... with one message each; a fetched body is a BODY.PEEK at the source."""
        self.source = self._started(Quirky({"anna": {"INBOX": [], **{
            name: [Mail(1, message(i, size), 1704103200 + i)]
            for i, (name, size) in enumerate(sizes)}}}))
        target = self._started(exchange.Exchange([ANNA], **{"message-bytes-max": limit, **options}))
        batch = target.take(self.batch(self.source, target, ["anna"]))
        del batch.sections["source"]["tls-ca"]
        batch.set("source", "tls", "none").set("source", "connections-per-user", 1)
        return batch.set("policy", "bad-item-limit", 100), target

    def run_once(self, batch, command="run", code=0):
        self.ends(batch.call(command), code)
        return self.balanced(batch.report())["users"][0]

    def limits(self, batch, command):
        learnt = [s for s in batch.call(command, "--json").json()["servers"] if s["side"] == "target"]
        return [m["refuses_bytes"] for m in learnt[0]["mailboxes"] if m["refuses_bytes"]]

    @haul.lasting
    def test_learnt_kept_told_and_lifted(self):
        batch, target = self.into([("A", 2 * MB), ("B", 1200000)], 1500000)
        user = self.run_once(batch)
        self.assertEqual((user["failed"], user["uploaded"]), (1, 1))
        for command in ("report", "status"):
            limits = self.limits(batch, command)
            self.assertEqual(len(limits), 1)
            self.assertTrue(1990000 <= limits[0] <= 2 * MB, limits)
        failure = next(f for f in user["failures"] if f["type"] == "MessageTooLarge")
        self.assertIn("Set-Mailbox %s -MaxReceiveSize" % ANNA, failure["advice"])
        self.assertIn("refuses messages of 2.0 MB and more", batch.call("status").out)

        # Larger ones that come later are left alone, smaller ones are not.
        folders = self.source.messages["anna"]
        for name, size in (("A", 3 * MB), ("B", 2100000), ("INBOX", 1300000), ("INBOX", 1700000)):
            mails = folders[name].mails
            mails.append(Mail(len(mails) + 1, message(100 + size, size), 1704103300 + size))
        before = target.stats()["errors"]
        user = self.run_once(batch)
        self.assertEqual((user["failed"], user["uploaded"]), (4, 2))
        # One was tried, since it is below what was refused; and the limit is that one now.
        self.assertEqual(target.stats()["errors"], before + 1)
        self.assertTrue(1690000 <= self.limits(batch, "status")[0] <= 1700000)
        asked = [line for _, line in self.source.commands if "BODY.PEEK[]" in line]
        self.assertEqual(len(asked), 4, asked)
        words = [f["server_text"] for f in user["failures"] if f["type"] == "MessageTooLarge"]
        self.assertTrue(any("not fetched" in w for w in words), words)

        # The limit is raised: retry tries all of them, and there is none any more.
        target.set("message-bytes-max", 150 * MB)
        user = self.run_once(batch, "retry")
        self.assertEqual((user["failed"], user["uploaded"]), (0, 6))
        self.assertEqual(self.limits(batch, "report"), [])
        self.assertEqual(len(target.messages(ANNA)), 6)

    def test_a_larger_one_that_is_taken_lifts_it(self):
        # Refused once by mistake; the other, larger, is in the spool by then or is tried by retry.
        batch, target = self.into([("A", 2 * MB), ("B", 3 * MB)], 150 * MB)
        target.set("fault", "point=before-plus action=reply limit=1 "
                            "text=NO Maximum size of appendable message has been exceeded")
        user = self.run_once(batch)
        self.assertEqual(user["failed"] + user["uploaded"], 2)
        user = self.run_once(batch, "retry")
        self.assertEqual((user["failed"], user["uploaded"]), (0, 2))
        self.assertEqual(self.limits(batch, "status"), [])

    def test_a_small_message_teaches_nothing(self):
        batch, target = self.into([("A", 5000), ("B", 6000)], 4000)
        user = self.run_once(batch)
        self.assertEqual(user["failed"], 2)
        self.assertEqual(self.limits(batch, "status"), [])

    def test_appendlimit_is_obeyed_without_a_refusal(self):
        batch, target = self.into([("A", 2 * MB), ("B", 3 * MB)], 2500000, **{"appendlimit": "yes"})
        # The source makes us wait: the target's capabilities are known before a body is asked for.
        self.source.quirks["throttle"] = [0, 4000]
        user = self.run_once(batch)
        self.assertEqual((user["failed"], user["uploaded"]), (1, 1))
        self.assertEqual(target.stats()["errors"], 0)
        failure = next(f for f in user["failures"] if f["type"] == "MessageTooLarge")
        self.assertIn("takes 2500000 bytes at most", failure["server_text"])

    def test_the_limit_of_each_mailbox_is_asked_for(self):
        """A bare APPENDLIMIT (RFC 7889 2.2): STATUS tells, and what is larger is not fetched."""
        batch, target = self.into([("Drafts", 2 * MB), ("Sent", 3 * MB)], 2500000,
                                  **{"appendlimit": "bare"})
        self.source.quirks["throttle"] = [0, 4000]
        user = self.run_once(batch)
        self.assertEqual((user["failed"], user["uploaded"]), (1, 1))
        self.assertEqual(target.stats()["errors"], 0)
        failure = next(f for f in user["failures"] if f["type"] == "MessageTooLarge")
        self.assertEqual(failure["folder"], "Sent")
        self.assertIn("takes 2500000 bytes at most", failure["server_text"])
        # Raised: the next retry moves what was left behind.
        target.set("message-bytes-max", 150 * MB)
        user = self.run_once(batch, "retry")
        self.assertEqual((user["failed"], user["uploaded"]), (0, 2))

    def test_what_all_refused_have_in_common(self):
        """A target that never says what it refuses a message for: all that it refused are larger than all it took."""
        class Mute(hostile.Attacked):
            def do_append(self, rest):
                return super().do_append(rest) if len(rest) < 1500000 else "NO Invalid message"

        sizes = [1000 + i for i in range(12)] + [1700000, 2 * MB, 1600000, 3 * MB]
        self.source = self._started(Quirky({"anna": {"INBOX": [
            Mail(i + 1, message(i, size), 1704103200 + i) for i, size in enumerate(sizes)]}}))
        target = hostile.Hostile([ANNA], mails=0)
        target.session = Mute
        batch = self.batch(self.source, self._started(target), ["anna"])
        for side in ("source", "target"):
            del batch.sections[side]["tls-ca"]
            batch.set(side, "tls", "none").set(side, "connections-per-%s" % ("user" if side == "source" else "mailbox"), 1)
        batch.set("policy", "bad-item-limit", 100)
        user = self.run_once(batch)
        self.assertEqual((user["failed"], user["uploaded"]), (4, 12))
        failures = {f["type"]: f for f in user["failures"]}
        self.assertIn("MessageTooLarge", failures, user["failures"])
        self.assertRegex(failures["MessageTooLarge"]["server_text"], "all [34] that it refused so have .* all 12 that it took")
        limits = self.limits(batch, "report")
        self.assertEqual(len(limits), 1)
        self.assertTrue(1500000 <= limits[0] <= 1700000, limits)
