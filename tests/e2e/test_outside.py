"""What people's servers say at the door, of a source's bandwidth, and what a refused upload may cost."""

import signal
import time

from hostile import Attacked, Hostile
from quirky import Gone, Quirky, Session
from test_quirks import Odd, message, messages


class Turning(Session):
    """The first connections are turned away, each by the next of server.greetings, the last one for ever if it is
    to be."""

    def run(self):
        with self.server.lock:
            said = self.server.greetings.pop(0) if self.server.greetings else self.server.always
        if said:
            self.line(said)
            raise Gone
        super().run()


class Door(Quirky):
    session = Turning
    always = None
    greetings = ()


class Greetings(Odd):
    def door(self, greetings, always=None):
        source = Door({"anna": {"INBOX": messages(3)}})
        source.greetings, source.always = list(greetings), always
        return self._started(source)

    def test_a_busy_server_is_waited_for(self):
        source = self.door(["421 Server is busy, try again later"])
        _, report = self.run_to(self.job(source))
        self.assertEqual(report["users"][0]["state"], "Synced")
        self.assertEqual(source.greetings, [])

    def test_one_judgement_of_a_door_that_is_shut(self):
        # Nobody was asked for a password, so none is wrong.
        source = self.door([], "* BYE come to port 1993")
        batch = self.job(source, policy__transient_failure_limit="2")
        steps = self.ends(batch.call("check", "--source", "--json"), 69).json()["steps"]
        _, report = self.run_to(batch, 3)
        types = {s["type"] for s in steps if s["type"]}
        self.assertEqual(types, {"ConnectFailed"})
        self.assertEqual({f["type"] for f in report["users"][0]["failures"]} - {"TooManyTransientFailures"}, types)


class Bandwidth(Odd):
    WORDS = "NO [OVERQUOTA] Account exceeded command or bandwidth limits. (Failure)"

    def test_a_source_without_bandwidth_is_no_full_mailbox(self):
        # Whatever it is told to: a body, a folder, a login. What it says is waited for, so the run is ended.
        for more in ({"refuse": {2: self.WORDS}}, {"examine": {"INBOX": self.WORDS}}, {"login": {"anna": self.WORDS}}):
            source = self.source({"INBOX": messages(3)}, **more)
            batch = self.job(source)
            run = batch.start("run")
            while not run.ended() and not self.failures_now(batch):
                time.sleep(0.1)
            run.signal(signal.SIGTERM)
            self.ends(run.wait(), 2)
            failures = self.balanced(batch.report())["users"][0]["failures"]
            self.assertEqual({(f["type"], f["side"]) for f in failures}, {("SourceThrottled", "source")}, more)

    @staticmethod
    def failures_now(batch):
        done = batch.call("report", "--json")
        users = done.json()["users"] if done.code in (0, 2, 3, 4) else []
        return users and users[0]["failures"]


class Literals(Attacked):
    """Notes of each literal how large it is, and whether it was waited for."""

    def command(self):
        read, seen = self.lines, self.server.literals

        class Lines:
            @staticmethod
            def readline(most):
                line = read.readline(most)
                if line.rstrip().endswith(b"}"):
                    size = line.rstrip().rpartition(b"{")[2].rstrip(b"}")
                    seen.append((int(size.rstrip(b"+")), not size.endswith(b"+")))
                return line

            @staticmethod
            def read(size):
                return read.read(size)
        self.lines = Lines
        try:
            return super().command()
        finally:
            self.lines = read


class Taking(Hostile):
    session = Literals

    def __init__(self, users):
        super().__init__(users)
        self.literals = []


class Uploads(Odd):
    def test_what_is_large_waits_for_the_go_ahead(self):
        # A refusal of what was announced by LITERAL+ costs all of its bytes.
        mails = [message(1), message(2, 1_300_000), message(3, 900_000)]
        source = self.source({"INBOX": mails})
        target = self._started(Taking(["anna@target.example"]))
        target.messages["anna@target.example"] = {"INBOX": type(target.messages["anna@target.example"]["INBOX"])()}
        batch = self.batch(source, target, ["anna"])
        for side in ("source", "target"):
            batch.sections[side].pop("tls-ca", None)
            batch.set(side, "tls", "none")
        self.run_to(batch)
        waited = dict(target.literals)
        self.assertEqual([waited[len(m.body)] for m in mails], [False, True, False])
