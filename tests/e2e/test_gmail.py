"""Gmail as a source: each message is copied once, whatever its labels (tests/support/gmail.py)."""

import hashlib
import os
import random
import signal
import time

from gmail import ALL, DRAFTS, IMPORTANT, SENT, SPAM, STARRED, TRASH, Gmail, Labelled
from haul import Case

MSGID = 1278455344230334865
# Where Gmail's own folders end, on a target whose folders have these names.
PLACES = {ALL: "Archive", SENT: "Sent", DRAFTS: "Drafts", SPAM: "Junk", TRASH: "Trash"}
ORDER = ["INBOX", DRAFTS, SENT]


def labelled(n, *labels, size=400):
    body = ("From: anna@gmail.example\r\nSubject: number %d\r\nMessage-ID: <g%d@gmail.example>\r\n"
            "Date: Wed, 01 Jan 2020 12:00:00 +0000\r\n\r\n" % (n, n)).encode()
    body += b"".join(b"line %05d of message %d\r\n" % (i, n) for i in range(size // 30))
    return Labelled(MSGID + n * 7, body, *labels, date=1577880000 + n)


def place(labels):
    """The folder that has the copy, by the rank that docs/man tells."""
    for name in ORDER:
        if name in labels:
            return name
    own = [n for n in labels if not n.startswith("[Gmail]/")]
    if own:
        return min(own, key=lambda n: (-n.count("/"), n))
    return next((n for n in (TRASH, SPAM) if n in labels), ALL)


class GmailSource(Case):
    def job(self, mails, labels=(), **quirks):
        self.mails = mails
        source = self._started(Gmail({"anna": mails}, labels, **quirks))
        target = self.target_for(["anna"])
        batch = self.batch(source, target, ["anna"])
        del batch.sections["source"]["tls-ca"]
        batch.set("source", "tls", "none")
        batch.set("policy", "retry-wait", "20ms")
        return batch

    def there(self, batch):
        """{folder: [digest]} of the target, empty folders too."""
        with batch.target.connect("anna@target.example") as mailbox:
            return {"/".join(path): sorted(i.digest for i in mailbox.read(path))
                    for path in mailbox.folders()}

    def expected(self, places):
        wanted = {}
        for m, name in places:
            wanted.setdefault(PLACES.get(name, name), []).append(
                hashlib.sha256(m.body).hexdigest())
        return {name: sorted(digests) for name, digests in wanted.items()}

    def arrived(self, batch, places=None):
        """Each message is there once, in its place; places: [(Labelled, folder)]."""
        if places is None:
            places = [(m, place(m.labels)) for m in self.mails]
        there = {n: d for n, d in self.there(batch).items() if d}
        self.assertEqual(there, self.expected(places), batch.source.log_text())

    def counts(self, report, name):
        return next(f for f in report["users"][0]["folders"] if f["source"] == name)

    def mailbox(self):
        kinds = [("INBOX",), ("INBOX", "Work"), ("Work",), ("Work", "Work/Deep"), (), (SENT,),
                 (SENT, "INBOX"), (SENT, "Work"), (DRAFTS,), (STARRED,), ("Family", IMPORTANT),
                 ("Family", "Work", "INBOX", STARRED, IMPORTANT), (SPAM,), (TRASH,)]
        return [labelled(n, *kinds[n % len(kinds)]) for n in range(140)]

    def test_one_copy_a_message(self):
        batch = self.job(self.mailbox(), labels=("Empty",))
        self.ends(batch.call("run"), 0)
        report = self.balanced(batch.report())
        self.arrived(batch)
        user = report["users"][0]
        self.assertEqual(user["state"], "Synced")
        self.assertEqual(user["uploaded"], 140)
        shown = sum(len(m.folders()) for m in self.mails)
        self.assertEqual((user["found"], user["skipped"]), (shown, shown - 140))
        self.assertEqual(report["totals"]["skipped_by_reason"]["Duplicate"], shown - 140)
        # All Mail gave what no label has, and no message was fetched twice.
        self.assertEqual(self.counts(report, ALL)["uploaded"],
                         sum(place(m.labels) == ALL for m in self.mails))
        # A label is a folder, also without mail; what shows other folders' mail is none.
        names = self.there(batch)
        self.assertIn("Empty", names)
        self.assertNotIn("[Gmail]/Starred", names)
        self.assertNotIn("[Gmail]/Important", names)
        done = self.ends(batch.call("verify", "--json"), 0)
        self.assertEqual(done.json()["users"][0]["missing"], 0)

    def test_a_second_run_has_nothing_to_do_and_finds_new_mail(self):
        batch = self.job(self.mailbox())
        self.ends(batch.call("run"), 0)
        self.ends(batch.call("run"), 0)
        self.arrived(batch)
        # A label more is no message more; a new message goes to its place.
        batch.source.relabel("anna", self.mails[0], ["INBOX", "Family"])
        new = [labelled(900, "INBOX", "Work"), labelled(901), labelled(902, "Work")]
        for m in new:
            batch.source.deliver("anna", m)
        self.ends(batch.call("run"), 0)
        report = self.balanced(batch.report())
        self.mails += new
        self.arrived(batch)
        self.assertEqual(report["users"][0]["state"], "IncrementalSynced")

    def test_priority_is_the_users(self):
        batch = self.job(self.mailbox())
        batch.set("policy", "label-priority", "Family, Work/*, #Inbox#")
        self.ends(batch.call("run"), 0)
        places = []
        for m in self.mails:
            first = [n for n in ("Family", "Work/Deep") if n in m.labels]
            places.append((m, first[0] if first else place(m.labels)))
        self.arrived(batch, places)

    def test_every_folder_when_asked_for(self):
        batch = self.job([labelled(1, "INBOX", "Work"), labelled(2)])
        batch.set("policy", "gmail-labels", "every-folder")
        self.ends(batch.call("run"), 0)
        self.balanced(batch.report())
        one, two = self.mails
        self.arrived(batch, [(one, "INBOX"), (one, "Work"), (one, ALL), (two, ALL)])

    def test_a_message_that_leaves_its_label_comes_from_another(self):
        """It is gone from the folder where it was listed before its body was asked for."""
        mails = [labelled(n, *(("INBOX", "Work") if n % 3 else ("INBOX",))) for n in range(60)]
        moves = {m.msgid: [n for n in m.labels if n != "INBOX"] for m in mails[10:40]}
        batch = self.job(mails, moves=moves)
        self.ends(batch.call("run"), 0)
        report = self.balanced(batch.report())
        self.arrived(batch)
        self.assertEqual(report["users"][0]["uploaded"], 60)
        # What each label has is told where it was found.
        self.assertEqual(self.counts(report, "INBOX")["uploaded"], 30)

    def test_mail_that_comes_meanwhile_is_not_taken_from_the_wrong_label(self):
        """It comes when All Mail is opened: INBOX is listed already, and has it."""
        new = labelled(900, "INBOX")
        batch = self.job(self.mailbox(), arrives={ALL: new})
        self.ends(batch.call("run"), 0)
        self.balanced(batch.report())
        self.arrived(batch)
        self.ends(batch.call("run"), 0)
        self.balanced(batch.report())
        self.mails.append(new)
        self.arrived(batch)

    def test_a_label_that_imap_does_not_show_costs_no_mail(self):
        batch = self.job(self.mailbox(), hidden_labels={"Work", "Work/Deep"})
        self.ends(batch.call("run"), 0)
        self.balanced(batch.report())
        self.arrived(batch, [(m, place([n for n in m.labels if not n.startswith("Work")]))
                             for m in self.mails])

    def test_a_label_left_out_later_or_deleted_leaves_its_mail_to_all_mail(self):
        batch = self.job([labelled(n, "Work") for n in range(20)])
        self.ends(batch.call("fetch"), 0)
        self.ends(batch.call("plan"), 0)
        with batch.source.lock:
            del batch.source.messages["anna"]["Work"]
        for m in self.mails:
            m.labels = []
        more = [labelled(900 + n, "Family") for n in range(5)]
        for m in more:
            batch.source.deliver("anna", m)
        self.ends(batch.call("run"), 0)
        self.balanced(batch.report())
        # Fetched while the label was there: they keep it.
        self.arrived(batch, [(m, "Work") for m in self.mails] + [(m, "Family") for m in more])

    def test_a_label_deleted_after_it_was_listed(self):
        batch = self.job([labelled(n, "Work") for n in range(20)] + [labelled(50, TRASH)])
        self.ends(batch.call("plan"), 0)  # lists, and fetches nothing
        with batch.source.lock:
            del batch.source.messages["anna"]["Work"]
        for m in self.mails[:20]:
            m.labels = []
        self.ends(batch.call("run"), 0)
        report = self.balanced(batch.report())
        self.arrived(batch)
        self.assertEqual(report["users"][0]["pending"], 0)

    def test_a_folder_excluded_and_included_again(self):
        batch = self.job(self.mailbox())
        batch.set("policy", "exclude-folders", "Work, Work/*")
        self.ends(batch.call("run"), 0)
        places = [(m, place([n for n in m.labels if not n.startswith("Work")]))
                  for m in self.mails]
        self.arrived(batch, places)
        del batch.sections["policy"]["exclude-folders"]
        self.ends(batch.call("run"), 0)
        self.balanced(batch.report())
        self.arrived(batch, places)  # nothing twice

    def test_a_large_message_counts_once(self):
        mails = [labelled(1, "INBOX", "Work", size=60000), labelled(2, "Work")]
        batch = self.job(mails)
        batch.set("policy", "max-message-size", "20KB")
        batch.set("policy", "large-item-limit", "1")
        self.ends(batch.call("run"), 0)
        self.balanced(batch.report())
        self.arrived(batch, [(mails[1], "Work")])
        batch.set("policy", "max-message-size", "1MB")
        self.ends(batch.call("run"), 0)
        self.balanced(batch.report())
        self.arrived(batch)

    def test_a_new_uidvalidity_doubles_nothing(self):
        batch = self.job(self.mailbox())
        self.ends(batch.call("run"), 0)
        folder = batch.source.messages["anna"]["Work"]
        folder.uidvalidity += 1
        for i, m in enumerate(folder.mails):
            m.uid += 1000
        batch.source.next_uid["anna", "Work"] += 1000
        self.ends(batch.call("run"), 0)
        self.balanced(batch.report())
        self.arrived(batch)
        self.ends(batch.call("run"), 0)
        self.balanced(batch.report())
        self.arrived(batch)

    def test_killed_at_any_instant_and_gone_on_with(self):
        kills = int(os.environ.get("MAILHAUL_KILLS", "30")) // 3 or 1
        seed = int(os.environ.get("MAILHAUL_KILL_SEED", "0")) or random.SystemRandom().randrange(
            1 << 30)
        rng = random.Random(seed)
        mails = self.mailbox() + [labelled(n, "INBOX", "Work") for n in range(200, 600)]
        moves = {m.msgid: [n for n in m.labels if n != "INBOX"] for m in mails if
                 "INBOX" in m.labels and m.msgid % 5 == 0}
        batch = self.job(mails, moves=moves)
        for _ in range(kills):
            running = batch.start("run")
            limit = time.monotonic() + rng.uniform(0.02, 0.6)
            while time.monotonic() < limit and not running.ended():
                time.sleep(0.005)
            running.signal(signal.SIGKILL)
            running.wait()
        self.ends(batch.call("run"), 0)
        self.balanced(batch.report())
        there = sorted(d for digests in self.there(batch).values() for d in digests)
        self.assertEqual(there, sorted(hashlib.sha256(m.body).hexdigest() for m in mails),
                         "seed %d" % seed)
