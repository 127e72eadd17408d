"""Nights of a migration against a model: at the source mail comes, changes its flags and is deleted, on the target people
change flags and delete, and the program is killed now and then. After each night the target is what the model says.

    Nights(case, source, target, seed).play(4)

The model knows of each message what the source has, what the target was last brought to (base) and what it has.
"""

import random
import re
import signal
import time

import imap
import mail

FLAGS = ("\\seen", "\\flagged", "\\answered", "\\draft")
WORDS = ("work", "home", "later")
FOLDERS = (("INBOX",), ("Sent",), ("Old mail",))
TRASH = ("Trash",)


class Letter:
    def __init__(self, number, path, flags):
        self.number, self.path, self.flags = number, path, flags
        self.at_source = True
        self.copied = False
        self.base = self.there = None  # flags; there None: it is not in its folder on the target
        self.trashed = self.kept = False

    def __repr__(self):
        return "%d in %s: source %s base %s target %s%s" % (
            self.number, self.path, sorted(self.flags) if self.at_source else "gone", self.base and sorted(self.base),
            self.there is not None and sorted(self.there), " trashed" if self.trashed else "")


class Nights:
    def __init__(self, case, batch, address, seed, say=None):
        self.case, self.batch, self.address = case, batch, address
        self.source, self.target = batch.source, batch.target
        self.random = random.Random(seed)
        # After a run that was killed the account looks for what it moved, and takes what a person removed on the target
        # for a loss: so one or the other is played.
        self.kills = self.random.random() < 0.7
        self.letters, self.next, self.say = [], 1, say or (lambda text: None)
        batch.set("policy", "follow-deletions", "yes").set("policy", "deletions-max", "unlimited")
        with self.source.connect(batch.users[0][0]) as mailbox:
            for path in FOLDERS + (TRASH,):
                mailbox.ensure(path)
        for path in FOLDERS:
            self.comes(path, 4)
        with self.source.connect(batch.users[0][0]) as mailbox:
            mailbox.append(TRASH, [mail.tiny(100000)])

    # ---- what is on a server

    @staticmethod
    def rows(mailbox, path):
        """{number in the subject: (uid, flags)}"""
        rows, head = {}, b""
        if path not in mailbox.folders():
            return rows
        count = int(mailbox.imap.select(imap.quoted(mailbox.wire_name(path)), readonly=True)[1][0])
        if count == 0:
            return rows
        for part in mailbox.imap.uid("FETCH", "1:*", "(UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]:
            head = b" ".join(part) if isinstance(part, tuple) else head + (part or b"")
            uid, subject = re.search(rb"UID (\d+)", head), re.search(rb"Message (\d+)", head)
            flags = re.search(rb"FLAGS \(([^)]*)\)", head)
            if uid and subject and flags and not isinstance(part, tuple):
                number = int(subject.group(1))
                assert number not in rows, "%d is there twice in %s" % (number, path)
                rows[number] = int(uid.group(1)), frozenset(flags.group(1).decode().lower().split()) - {"\\recent"}
        return rows

    def change(self, server, user, path, letters, what, flags=""):
        with server.connect(user) as mailbox:
            rows = self.rows(mailbox, path)
            mailbox.imap.select(imap.quoted(mailbox.wire_name(path)))
            for letter in letters:
                answer = mailbox.imap.uid("STORE", str(rows[letter.number][0]), what, "(%s)" % " ".join(flags))
                self.case.assertEqual(answer[0], "OK", answer)
            if "\\deleted" in flags:
                mailbox.imap.expunge()

    # ---- what people do

    def comes(self, path, count):
        new = []
        for _ in range(count):
            flags = frozenset(self.random.sample(FLAGS, self.random.randrange(3)))
            new.append(Letter(self.next, path, flags))
            self.next += 1
        with self.source.connect(self.batch.users[0][0]) as mailbox:
            mailbox.append(path, [mail.tiny(l.number, flags=tuple(l.flags)) for l in new])
        self.letters += new

    def some(self, letters, most):
        return self.random.sample(letters, min(len(letters), self.random.randrange(most + 1)))

    def other_flags(self):
        return frozenset(self.random.sample(FLAGS + WORDS, self.random.randrange(4)))

    def day(self):
        user = self.batch.users[0][0]
        for path in FOLDERS:
            alive = [l for l in self.letters if l.path == path and l.at_source]
            for letter in self.some(alive, 4):
                letter.flags = self.other_flags()
                self.change(self.source, user, path, [letter], "FLAGS", letter.flags)
            going = self.some(alive[:-1], 2)
            if going:
                self.change(self.source, user, path, going, "+FLAGS", ("\\deleted",))
            for letter in going:
                letter.at_source = False
            self.comes(path, self.random.randrange(3))
            there = [l for l in self.letters if l.path == path and l.there is not None and not l.kept]
            for letter in self.some(there, 3):
                letter.there = self.other_flags()
                self.change(self.target, self.address, path, [letter], "FLAGS", letter.there)
            if not self.kills and self.random.random() < 0.3:
                removed = self.some(there, 1)
                if removed:
                    self.change(self.target, self.address, path, removed, "+FLAGS", ("\\deleted",))
                for letter in removed:
                    letter.there = None

    # ---- what the program must make of it

    def night(self):
        for letter in self.letters:
            if not letter.copied:
                letter.copied = letter.at_source
                if letter.copied:
                    letter.base = letter.there = letter.flags
                continue
            if letter.at_source:
                if letter.there is not None:
                    changed = letter.base ^ letter.flags
                    letter.there = (letter.there - changed) | (letter.flags & changed)
                letter.base = letter.flags
            elif letter.there is not None and not letter.kept:
                letter.kept = letter.there != letter.base
                letter.trashed = not letter.kept
                if letter.trashed:
                    letter.there = None

    def runs(self):
        for _ in range(self.random.choice((0, 0, 1, 1, 2)) if self.kills else 0):
            running = self.batch.start("run")
            time.sleep(self.random.uniform(0.02, 0.4))
            running.signal(signal.SIGKILL)
            running.wait()
        done = self.batch.call("run")
        self.case.assertIn(done.code, (0, 4), str(done))
        user = self.batch.report()["users"][0]
        # What a person removed on the target is told as TargetHoldsLess, as ever.
        self.case.assertEqual({d["type"] for d in user["doubts"]} - {"TargetHoldsLess"}, set(), user["doubts"])

    def compare(self):
        with self.target.connect(self.address) as mailbox:
            for path in FOLDERS:
                shown = {number: flags for number, (_, flags) in self.rows(mailbox, path).items()}
                wanted = {l.number: l.there for l in self.letters if l.path == path and l.there is not None}
                self.case.assertEqual(shown, wanted, "\n".join(
                    map(repr, (l for l in self.letters if l.path == path and shown.get(l.number) != wanted.get(l.number)))))
            shown = set(self.rows(mailbox, TRASH)) - {100000}
            self.case.assertEqual(shown, {l.number for l in self.letters if l.trashed})

    def play(self, nights):
        for night in range(nights):
            if night:
                self.day()
            self.runs()
            self.night()
            self.say("night %d: %d letters, %d at the source, %d in the deleted items, %d kept" % (
                night + 1, len(self.letters), sum(l.at_source for l in self.letters),
                sum(l.trashed for l in self.letters), sum(l.kept for l in self.letters)))
            self.compare()
