"""Connections are spread over mailboxes before one of them gets a second one."""

import os
import re
import signal
import threading
import time

import exchange
import mail
from distant import Distant
from haul import DOMAIN, Case
from meddler import Meddler, Rule


def address(user):
    return "%s@%s" % (user, DOMAIN)


def tiny(seed, count):
    return [mail.tiny(seed * 10000 + k) for k in range(count)]


class Spread(Case):
    def logins(self, server):
        """Users in the order of their logins, as the server logged them."""
        with open(os.path.join(server.folder, "server.log"), errors="replace") as f:
            return re.findall(r"imap-login: Info: Login: user=<([^>]*)>", f.read())

    def another(self, batch):
        """[(user, side, connections by then, why)] of mailboxes that got one more."""
        with open(os.path.join(batch.folder, "log")) as f:
            return [(user, side, int(now), why) for user, side, now, why in re.findall(
                r"connections.another user=(\S+)@\S+ side=(\S+) now=(\d+) why=(\w+)", f.read())]

    def run_logged(self, batch, command="run", *arguments):
        return batch.call(command, "--log", "log", "--log-level", "info", *arguments)

    def exchange_for(self, counts, **options):
        target = self._started(exchange.Exchange(map(address, counts), **{
            "plain-auth": "yes", "plain-password": "secret", "literal-plus": "no", **options}))
        target.users = {address(user): "secret" for user in counts}
        source = self.dovecot(counts, format="maildir", separator=".")
        for i, (user, count) in enumerate(counts.items()):
            source.seed(user, {("INBOX",): tiny(i, count)})
        batch = self.batch(source, target, list(counts))
        batch.set("policy", "retry-wait", "20ms")
        return batch, target

    def most(self, target):
        """{address: its connections at once, at most}"""
        return {m["address"]: m["connections_max"] for m in target.stats()["by_mailbox"]}

    def test_as_many_mailboxes_as_connections(self):
        users = ["u%d" % i for i in range(7)]
        source = self.dovecot(users, format="maildir", separator=".")
        for i, user in enumerate(users):
            source.seed(user, {("INBOX",): tiny(i, 60), ("Sent",): tiny(100 + i, 30)})
        target = self.target_for(users, capability_drop=("MULTIAPPEND",))
        batch = self.batch(source, target, users)
        for side in ("source", "target"):
            batch.set(side, "connections", 3)
        self.ends(self.run_logged(batch, "run", "--threads", "1"), 0)
        # When the last two begin, another may be alone.
        for seen in (self.logins(source), self.logins(target)):
            self.assertEqual(len(set(seen[:5])), 5, seen)
        self.moved(batch)

    def test_more_connections_than_mailboxes(self):
        """The last ones may have several, up to four in all, as the last one alone may."""
        counts = {"u%d" % i: 400 for i in range(9)}
        batch, target = self.exchange_for(counts, **{"append-ms": 3, "literal-plus": "yes"})
        self.ends(self.run_logged(batch), 0)
        several = [n for n in self.most(target).values() if n > 1]
        self.assertLessEqual(len(several), 3, self.another(batch))
        source = self.logins(batch.source)
        self.assertLessEqual(len(source), len(counts) + 3, source)

    def test_a_far_mailbox_of_many_folders_gets_several(self):
        source = self.dovecot(["anna"], format="maildir", separator=".")
        source.seed("anna", {("INBOX",) if i == 0 else ("Box %d" % i,): tiny(i, 2) for i in range(50)})
        target = self.target_for(["anna"])
        far = [self._started(Distant(server, 0.02)) for server in (source, target)]
        before = len(self.logins(source))
        batch = self.batch(*far, ["anna"])
        self.ends(self.run_logged(batch), 0)
        self.assertGreater(len(self.logins(source)) - before, 1, self.another(batch))
        self.assertIn(("anna", "source", 2, "waits"), self.another(batch))
        self.moved(self.batch(source, target, ["anna"]))

    def test_the_last_large_mailbox_gets_several(self):
        counts = {"big": 500, **{"u%d" % i: 5 for i in range(6)}}
        batch, target = self.exchange_for(counts, **{"append-ms": 12, "literal-plus": "yes"})
        # All of it waits: on a busy machine mail may come no faster than one connection takes it.
        self.ends(batch.call("fetch"), 0)
        self.ends(self.run_logged(batch, "upload"), 0)
        most = self.most(target)
        self.assertGreater(most[address("big")], 1, self.another(batch))
        self.assertLessEqual(most[address("big")], 4)
        self.assertTrue(all(len(target.messages(address(u))) == n for u, n in counts.items()))

    def test_late_answers_are_waited_for_on_several(self):
        counts = {"u%d" % i: 60 for i in range(3)}
        batch, target = self.exchange_for(counts, **{"append-ms": 60})
        batch.set("target", "connections-per-mailbox", 3)
        self.ends(self.run_logged(batch), 0)
        self.assertTrue(all(1 < n <= 3 for n in self.most(target).values()), self.most(target))

    def test_who_tells_no_uids_gets_one_connection_a_folder(self):
        """Answers are so late that a second connection is opened: it has nothing to do in the only folder."""
        source = self.dovecot(["anna"], format="maildir", separator=".")
        source.seed("anna", {("Big",): tiny(1, 80)})
        target = self.target_for(["anna"], capability_drop=("MULTIAPPEND", "LITERAL+", "UIDPLUS"))
        lock, now, most = threading.Lock(), [], []

        def late():
            with lock:
                now.append(None)
                most.append(len(now))
            time.sleep(0.06)
            with lock:
                now.pop()
            return True

        meddler = self._started(Meddler(target, [Rule("^APPEND", until=late)]))
        batch = self.batch(source, meddler, ["anna"])
        batch.sections["target"] = {"preset": "imap", "url": meddler.url(), "tls": "none", "connections-per-mailbox": "3"}
        self.ends(batch.call("fetch"), 0)
        self.ends(self.run_logged(batch, "upload"), 0)
        self.assertEqual((len(most), max(most)), (80, 1))
        self.moved(batch)

    def test_one_is_given_back_to_a_mailbox_that_waits(self):
        """The server lets fewer in when a mailbox comes back after its connection was lost: another mailbox,
        which has several, does with one less."""
        counts = {"small": 60, "big": 600}
        batch, target = self.exchange_for(counts, **{"append-ms": 40})
        batch.set("target", "connections", 3).set("source", "connections", 3)
        self.ends(batch.call("fetch"), 0)
        upload = batch.start("upload", "--threads", "1", "--log", "log", "--log-level", "info")
        there = lambda user: len(target.messages(address(user)))
        try:
            while not upload.ended() and self.most(target)[address("big")] < 2:
                time.sleep(0.02)
            target.set("fault", "point=greeting action=bye limit=1 text=Too many simultaneous sessions")
            target.set("fault", "point=before-plus action=close limit=1 mailbox=" + address("small"))
            while not upload.ended() and there("small") < 60:
                time.sleep(0.05)
            left = 600 - there("big")
            upload.signal(signal.SIGTERM)
        finally:
            done = upload.wait()
        self.assertGreater(left, 0, "the small one waited for the end of the large one")
        self.assertEqual(target.stats()["faults"], 2)
        with open(os.path.join(batch.folder, "log")) as f:
            self.assertIn("connections.back user=big", f.read())
        self.ends(done, 2)
        target.set("append-ms", 0)
        self.ends(batch.call("upload"), 0)
        for user, count in counts.items():
            self.assertEqual(there(user), count)
