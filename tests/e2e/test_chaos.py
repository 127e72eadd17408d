"""Everything at once: both servers cut, refuse and hang at random, tokens end, budgets are met, and
the process is killed at random instants. In the end every message is there once, none is lost.

The target is the simulated Exchange Online: as such with few lost connections, since after one a
mailbox rests for seconds and all rest for a minute; as any IMAP server with many.

A short campaign is part of every run of the tests. MAILHAUL_CHAOS=100 makes it that many rounds;
MAILHAUL_SEED=N repeats one."""

import collections
import hashlib
import os
import random
import re
import signal
import time

import exchange
import mail
from haul import DOMAIN, crowd, lasting
from meddler import Meddler, Rule

ROUNDS = int(os.environ.get("MAILHAUL_CHAOS", "1"))
SEED = int(os.environ.get("MAILHAUL_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 30)
LOGGED = ("--log", "log", "--log-level", "debug")
LOG_LINES = 60
USERS = ["anna", "ben", "carla"]
TREE = [(5, ("INBOX",)), (2, ("Archive", "2020")), (2, ("Sent",)), (1, ("Übung",))]


class Odds(Rule):
    """A rule that acts by chance, at most `times` times."""

    def __init__(self, chance, share, pattern, **more):
        super().__init__(pattern, **more)
        self.chance, self.share = chance, share

    def takes(self, line):
        return self.chance.random() < self.share and super().takes(line)


def source_rules(chance):
    """What a source does now and then, a few times each."""
    kinds = [
        {"pattern": r"FETCH .*BODY", "close": True},
        {"pattern": r"FETCH", "answer": "NO [UNAVAILABLE] try again later"},
        {"pattern": r"SELECT|EXAMINE", "answer": "NO [INUSE] mailbox is locked"},
        {"pattern": r"SELECT|EXAMINE|LIST|STATUS", "close": True},
        {"pattern": r"FETCH", "untagged": ["* BYE shutting down"], "answer": "NO bye"},
        {"pattern": r"LOGIN|AUTHENTICATE", "close": True},
    ]
    return [Odds(chance, 0.05, times=chance.randrange(4), **kind) for kind in kinds]


def target_faults(chance):
    """What the target does now and then."""
    faults = []
    for point in ("before-plus", "mid-literal", "last-byte", "stored", "delayed", "ok"):
        action = chance.choice(["close", "reset", "garbage", "bye"])
        faults.append("point=%s action=%s share=0.04 limit=%d delay=%d" % (
            point, action, chance.randrange(1, 5), chance.randrange(50, 600)))
    for text in ("NO Server Unavailable. 15", "NO [UNAVAILABLE] busy",
                 "BAD Request is throttled. Suggested Backoff Time: 700 milliseconds"):
        faults.append("point=last-byte action=reply share=0.04 limit=%d text=%s" % (
            chance.randrange(1, 4), text))
    for command in ("SELECT", "LIST", "CREATE", "STATUS", "FETCH"):
        faults.append("point=command command=%s action=%s share=0.05 limit=%d" % (
            command, chance.choice(["close", "reset"]), chance.randrange(3)))
    faults.append("point=greeting action=close share=0.1 limit=3")
    return faults


def few(chance, faults):
    return [re.sub(r"limit=\d+", "limit=1", fault) for fault in chance.sample(faults, 4)]


class Chaos(exchange.Into):
    def setting(self, chance, preset):
        """(batch, target, {address: Counter of digests})"""
        users = USERS if preset == "imap" else USERS[:2]
        faults = target_faults(chance)
        inner = self.dovecot(users, format="maildir", separator=".")
        wanted = {}
        for user in users:
            boxes = mail.mailbox(chance.randrange(1 << 30), 40, tree=TREE)
            if preset == "imap" and user == users[0]:
                # Enough for several connections into one folder.
                boxes[("INBOX",)] += [mail.tiny(800000 + i) for i in range(250)]
            inner.seed(user, boxes)
            wanted["%s@%s" % (user, DOMAIN)] = collections.Counter(
                hashlib.sha256(m.body).hexdigest() for box in boxes.values() for m in box)
        source = self._started(Meddler(inner, source_rules(chance)))
        target = self._started(exchange.Exchange(wanted, **{
            "keep": "body", "append-ms": chance.choice([1, 20]), "seed": chance.randrange(1 << 30),
            "appenduid": chance.choice(["yes", "no"]), "literal-plus": chance.choice(["yes", "no"]),
            "token-life-s": chance.choice([5, 3600]),
            "plain-auth": "yes", "plain-password": "secret",
            "fault": faults if preset == "imap" else few(chance, faults),
            **chance.choice([{}, {"mailbox-rate": 20, "mailbox-burst": 10, "hint-ms": 800}])}))
        target.users = dict.fromkeys(wanted, "secret")
        batch = self.batch(source, target, users)
        if preset == "exchange-online":
            target.take(batch)
        del batch.sections["source"]["tls-ca"]
        batch.set("source", "tls", "none")
        batch.set("target", "connections-per-mailbox", chance.choice([1, 4]))
        batch.set("source", "stall-limit", "3s").set("target", "stall-limit", "3s")
        # What a killed run had sent lies in the target's sockets for as long as that gets no processor.
        batch.set("target", "settle-time", "%dms" % (1000 * crowd()))
        batch.set("policy", "retry-wait", "20ms")
        return batch, target, wanted

    def round(self, seed, preset):
        chance = random.Random(seed)
        batch, target, wanted = self.setting(chance, preset)
        self.one = batch
        for _ in range(chance.randrange(2, 6)):
            running = batch.start("run", *LOGGED)
            limit = time.monotonic() + chance.choice([0.3, 1, 4]) * chance.random()
            while time.monotonic() < limit and not running.ended():
                time.sleep(0.002)
            running.signal(chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
            running.wait()
        done = batch.call("run", *LOGGED)
        for _ in range(3):  # what stopped a user by mere accumulation of accidents
            if done.code == 0:
                break
            done = batch.call("retry", *LOGGED)
        self.ends(done, 0)
        report = self.balanced(batch.report())
        self.assertEqual(report["totals"]["failed"] + report["totals"]["pending"], 0)
        for address, digests in wanted.items():
            there = collections.Counter(m["sha256"] for m in target.messages(address))
            self.assertEqual((there - digests, digests - there), ({}, {}),
                             "%s: MAILHAUL_SEED=%d" % (address, seed))
        before = target.stats()["appends"]
        self.ends(batch.call("run"), 0)
        self.assertEqual(target.stats()["appends"], before, "a last run moved mail again")
        target.stop()

    def rounds(self, preset):
        for number in range(ROUNDS):
            with self.subTest(seed=SEED + number):
                try:
                    self.round(SEED + number, preset)
                except Exception as error:
                    raise AssertionError("MAILHAUL_SEED=%d, the end of its log:\n%s" % (
                        SEED + number, "".join(self.log_end()))) from error

    def log_end(self):
        """The last lines of the round's log, which goes with its folder."""
        try:
            with open(os.path.join(self.one.folder, "log"), errors="replace") as f:
                return f.readlines()[-LOG_LINES:]
        except (OSError, AttributeError) as error:
            return [str(error)]

    def test_nothing_is_lost_or_doubled_at_exchange(self):
        self.rounds("exchange-online")

    @lasting
    def test_nothing_is_lost_or_doubled_at_any_server(self):
        self.rounds("imap")
