"""`bench` as a measurement: the same mail in each step, what limits is named, nothing is written, and what the figures do
not carry is not said. No test here looks at how fast anything was."""

import json
import os
import re
import signal
import time

import browser
import mail
import quirky
from haul import Case
from shaped import Shaped
from slowed import Slowed

SMALL_AND_LARGE = [3000] * 300 + [60000] * 30
KINDS = ("connect", "tls", "login", "list", "select", "first_byte", "message")


def big(uid, size):
    return b"Subject: %d\r\nMessage-ID: <%d@big>\r\n\r\n" % (uid, uid) + (b"y" * 76 + b"\r\n") * (size // 78)


def files(folder):
    """Every file below with its content, but for what a server notes of its own connections."""
    found = {}
    for path, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(path, name), "rb") as f:
                found[os.path.join(path, name)] = f.read()
    return found


class Study(Case):
    def source_of(self, users=3, messages=40, **options):
        names = ["u%d" % i for i in range(users)]
        source = self.dovecot(names, **options)
        for i, name in enumerate(names):
            source.seed(name, mail.mailbox(i, messages))
        return source, self.batch(source, self.target_for(names), names)

    def quirky_source(self, sizes, **options):
        source = self._started(quirky.Quirky(
            {"u0": {"INBOX": [quirky.Mail(i + 1, big(i, n), 1704103200 + i) for i, n in enumerate(sizes)]}}, **options))
        batch = self.batch(source, self.target_for(["u0"]), ["u0"])
        del batch.sections["source"]["tls-ca"]
        return batch.set("source", "tls", "none")

    def bench(self, batch, *arguments, code=0):
        return self.ends(batch.call("bench", "--json", *arguments), code).json()

    def test_each_step_reads_the_same_mail_once_a_pass(self):
        _, batch = self.source_of()
        b = self.bench(batch, "--connections", "1,2,5", "--seconds", "30", "--repeats", "2", "--seed", "7")
        of_set = b["corpus"]["set"]
        self.assertGreater(of_set["messages"], 0)
        self.assertGreater(of_set["folders"], 3)
        self.assertEqual((b["seed"], b["partial"], b["ended"]), (7, False, None))
        for step in b["steps"]:
            self.assertEqual(len(step["passes"]), 2)
            for p in step["passes"]:
                self.assertEqual((p["messages"], p["missed"], p["ended_by"], p["again"], p["errors"]),
                                 (of_set["messages"], 0, "set", of_set["messages"], 0), (step["name"], p))
        # Those that calibrating has read are told from those read for the first time.
        self.assertEqual(b["cold"]["messages"], of_set["messages"])
        self.assertLess(b["cold"]["again"], of_set["messages"])
        # The steps are not in the order in which they were asked for, but each repeat has each of them.
        orders = sorted((p["order"], p["repeat"], s["connections"]) for s in b["steps"] for p in s["passes"])
        self.assertEqual([r for _, r, _ in orders], [0, 0, 0, 1, 1, 1])
        for kind in KINDS:
            said = b["steps"][0]["latency_ms"][kind]
            self.assertGreater(said["count"], 0, kind)
            self.assertGreater(said["max"], 0, kind)
            self.assertLessEqual(said["p99"], said["p99.9"])
        self.assertEqual(sum(c["count"] for c in b["steps"][0]["latency_by_size_ms"].values()), 2 * of_set["messages"])
        self.assertEqual(sum(n for _, n in b["steps"][0]["histogram_message_ms"]), 2 * of_set["messages"])

    def test_the_seed_draws_the_same(self):
        _, batch = self.source_of(users=4, messages=25)
        arguments = ("--connections", "2", "--seconds", "20", "--repeats", "1", "--accounts", "2")
        one, two = (self.bench(batch, *arguments, "--seed", "11") for _ in range(2))
        self.assertEqual(one["corpus"]["found"], two["corpus"]["found"])
        self.assertEqual(one["accounts"], {"in_batch": 4, "drawn": 2, "listed": 2, "failed": 0})
        self.assertEqual(self.bench(batch, *arguments, "--all")["accounts"]["drawn"], 4)

    def test_one_step_recommends_what_it_measured_and_no_more(self):
        _, batch = self.source_of(users=1, messages=20)
        b = self.bench(batch, "--connections", "3", "--seconds", "2", "--repeats", "2")
        self.assertEqual((b["knee"]["connections"], b["knee"]["known"]), (3, False))
        self.assertIn("no other number was measured", b["knee"]["reason"])
        self.assertFalse(os.path.exists(batch.path[:-4] + ".bench.json") and
                         os.path.getsize(batch.path[:-4] + ".bench.json"), "what is not known is not kept")
        # The same number twice is one step.
        self.assertEqual(len(self.bench(batch, "--connections", "2,2", "--seconds", "1", "--repeats", "1")["steps"]), 1)

    def test_a_limit_at_the_first_step_is_named(self):
        batch = self.quirky_source([500] * 60, limit=4)
        b = self.bench(batch, "--connections", "6", "--seconds", "1", "--repeats", "2")
        self.assertIn(b["knee"]["connections"], (3, 4), b["knee"])
        self.assertEqual(b["limit"]["kind"], "connections")
        self.assertGreater(b["steps"][0]["turned_away"], 0)
        self.assertEqual(b["recommendation"]["source.connections"], b["knee"]["connections"])

    def test_an_interrupt_tells_what_there_is(self):
        _, batch = self.source_of(users=2, messages=30)
        running = batch.start("bench", "--json", "--max-rate", "40/s", "--connections", "1,2", "--seconds", "60",
                              "--progress", "always")
        while "bench: " not in running.text() and not running.ended():
            time.sleep(0.05)
        running.signal(signal.SIGINT)
        b = self.ends(running.wait(), 2).json()
        self.assertEqual((b["partial"], b["ended"], b["knee"]["known"]), (True, "interrupted", False))
        self.assertNotIn("faster than the one before", b["knee"]["reason"])

    def test_bounds(self):
        _, batch = self.source_of(users=2, messages=30)
        b = self.bench(batch, "--connections", "1,2", "--seconds", "20", "--max-bytes", "200KB")
        self.assertEqual((b["partial"], b["ended"]), (True, "max-bytes"))
        b = self.bench(batch, "--connections", "1", "--seconds", "20", "--max-rate", "20/s", "--max-time", "1s")
        self.assertEqual((b["partial"], b["ended"]), (True, "max-time"))
        for wrong in (("--max-rate", "fast"), ("--max-rate", "20"), ("--latency-limit", "0"), ("--max-time", "x"),
                      ("--depth", "9"), ("--depth", "1,"), ("--seed", "-1"), ("--per-user", "0")):
            self.assertIn(wrong[0], self.ends(batch.call("bench", *wrong), 64).err)

    def test_a_latency_limit_holds_it_back(self):
        _, batch = self.source_of(users=1, messages=60)
        # Each SELECT takes longer than a microsecond's limit allows; one a piece of work is measured.
        b = self.bench(batch, "--connections", "4", "--seconds", "1", "--repeats", "2", "--latency-limit", "1ms",
                       "--max-time", "20s")
        steps = [p["held_back_s"] for p in b["steps"][0]["passes"]]
        self.assertTrue(any(s > 0 for s in steps), b["steps"][0]["passes"])
        self.assertEqual(b["limit"]["kind"], "own", (b["limit"], b["knee"], b["ended"], b["steps"][0]["passes"]))

    def test_an_open_loop_counts_from_when_a_message_was_due(self):
        _, batch = self.source_of(users=1, messages=60)
        b = self.bench(batch, "--connections", "1", "--seconds", "2", "--repeats", "1", "--rate", "20")
        step = b["steps"][0]
        self.assertEqual(step["per_fetch"], 1)
        self.assertEqual(step["latency_ms"]["own_delay"]["count"], step["latency_ms"]["message"]["count"])
        self.assertGreaterEqual(step["latency_ms"]["message"]["max"], step["latency_ms"]["own_delay"]["p50"])
        # Far more than the line can carry: what was due and not served is counted, not left out.
        source, batch = self.source_of(users=1, messages=60)
        line = self._started(Shaped(source, bytes_per_s=60000))
        batch.set("source", "url", line.url())
        step = self.bench(batch, "--connections", "1", "--seconds", "2", "--repeats", "1", "--rate", "500")["steps"][0]
        self.assertGreater(step["not_served"], 0)

    def test_effects_are_told_beside_the_same_connections(self):
        _, batch = self.source_of(users=2, messages=30)
        b = self.bench(batch, "--connections", "1,2", "--depth", "4,1", "--compress", "both", "--seconds", "1",
                       "--repeats", "2")
        self.assertEqual(len(b["steps"]), 8)
        self.assertEqual({e["of"] for e in b["effects"]}, {"depth", "compress"})
        for e in b["effects"]:
            self.assertEqual(b["steps"][e["step"]]["connections"], b["steps"][e["beside"]]["connections"])
        compressed = [s for s in b["steps"] if s["compress"]]
        self.assertTrue(all(s["messages"] > 0 and s["errors"] == 0 for s in b["steps"]))
        self.assertEqual(len(compressed), 4)

    def test_the_text_has_units_and_80_columns(self):
        _, batch = self.source_of(users=2, messages=30)
        done = self.ends(batch.call("bench", "--connections", "1,2", "--seconds", "1", "--repeats", "2"), 0)
        for line in done.out.splitlines():
            self.assertLessEqual(len(line), 80, line)
        for heading in ("MB/s ± 95 %", "SELECT ms", "message ms", "latency in ms", "p99.9", "First reading", "seed",
                        "Limit: "):
            self.assertIn(heading, done.out)
        self.assertNotIn("\033", done.out + done.err)

    def test_the_page_on_a_phone(self):
        if not browser.program():
            self.skipTest("no Chromium here (scripts/packages browser)")
        _, batch = self.source_of(users=2, messages=30)
        page = os.path.join(self.folder, "bench.html")
        self.ends(batch.call("bench", "--connections", "1,2", "--seconds", "1", "--repeats", "2", "--html", page), 0)
        seen = browser.evaluate(page, """
            var plots = Array.from(document.querySelectorAll('svg')), text = document.querySelector('svg text');
            return { wide: document.documentElement.scrollWidth - window.innerWidth, plots: plots.length,
                     titles: plots.map(function (p) { return p.getAttribute('aria-label'); }),
                     letters: text.getBoundingClientRect().height,
                     rows: document.querySelectorAll('table tr').length };""", width=500)
        self.assertLessEqual(seen["wide"], 0, "nothing but the tables' own boxes is wider than the screen")
        self.assertGreaterEqual(seen["plots"], 3, seen)
        self.assertIn("Throughput, mean and 95 % interval", seen["titles"])
        self.assertGreater(seen["letters"], 10, "letters of a plot stay readable")

    def test_the_limit_of_connections_of_a_real_server(self):
        source, batch = self.source_of(users=1, messages=60, connections_per_user=2)
        b = self.bench(batch, "--connections", "1,6", "--seconds", "2", "--repeats", "3")
        # Those that log in within the same moment may all pass Dovecot's limit; not 6 of 6, three times.
        six = b["steps"][1]
        self.assertGreater(six["turned_away"], 0, six)
        if b["knee"]["connections"] > 1:
            self.assertEqual(b["limit"]["kind"], "connections", (b["knee"], b["limit"]))

    def limits(self, b, kind):
        """No other limit is named. On a machine that others keep busy it may be the client's own, or not be known:
        MAILHAUL_QUIET=1 says that this one is not."""
        kinds = (kind,) if os.environ.get("MAILHAUL_QUIET") else (kind, "client", "not known", "not reached")
        self.assertIn(b["limit"]["kind"], kinds, (b["limit"], b["knee"]))

    def seed_sizes(self, source, sizes):
        with source.connect("u0") as mailbox:
            mailbox.append(("INBOX",), [mail.Message(big(i, size), 1704103200 + i) for i, size in enumerate(sizes)])

    def test_a_narrow_line_is_named(self):
        source = self.dovecot(["u0"])
        self.seed_sizes(source, SMALL_AND_LARGE)
        batch = self.batch(source, self.target_for(["u0"]), ["u0"])
        line = self._started(Shaped(source, bytes_per_s=1000000))
        batch.set("source", "url", line.url())
        b = self.bench(batch, "--connections", "1,2", "--seconds", "1", "--repeats", "2")
        self.limits(b, "line")

    def test_a_long_line_is_named(self):
        source = self.dovecot(["u0"])
        self.seed_sizes(source, [300] * 400)
        batch = self.batch(source, self.target_for(["u0"]), ["u0"])
        line = self._started(Shaped(source, delay_s=0.05))
        batch.set("source", "url", line.url())
        b = self.bench(batch, "--connections", "1,4", "--seconds", "2", "--repeats", "3", "--depth", "1",
                       "--per-fetch", "5")
        self.limits(b, "round trip")
        self.assertGreaterEqual(b["server"]["round_trip_ms"], 100)


    def test_a_slow_server_is_named(self):
        # One process for all connections, as busy as it is allowed to be.
        source = self.dovecot(["u0"], extra="service imap {\n  process_limit = 1\n  client_limit = 100\n}\n")
        self.seed_sizes(source, [300] * 1500 + [60000] * 60)
        batch = self.batch(source, self.target_for(["u0"]), ["u0"])
        slowed = self._started(Slowed(source, "imap", runs_s=0.002, halts_s=0.02))
        b = self.bench(batch, "--connections", "2,4", "--seconds", "1", "--repeats", "2")
        slowed.stop()
        self.limits(b, "server")


class Untouched(Case):
    """Read-only by construction, proved by the server's own files."""

    ARGUMENTS = ("--json", "--connections", "1,3", "--seconds", "1", "--repeats", "2")

    def flags(self, source, user):
        with source.connect(user) as mailbox:
            return {path: [(i.uid, i.flags) for i in mailbox.read(path)] for path in mailbox.folders()}

    def test_dovecot(self):
        source = self.dovecot(["u0"], format="maildir")
        source.seed("u0", mail.mailbox(3, 60))
        before_flags = self.flags(source, "u0")
        names = lambda: {p: d for p, d in files(source.home("u0")).items()
                         if not re.search(r"dovecot[.-]|maildirfolder|subscriptions|\.cache|\.log", p)}
        before = names()
        self.assertGreater(len(before), 50)
        batch = self.batch(source, self.target_for(["u0"]), ["u0"])
        b = self.ends(batch.call("bench", *self.ARGUMENTS), 0).json()
        self.assertGreater(b["steps"][0]["messages"], 0)
        self.assertEqual(names(), before, "a message's file has its flags in its name")
        self.assertEqual(self.flags(source, "u0"), before_flags)

    def test_cyrus(self):
        source = self.cyrus(["u0"])
        source.seed("u0", mail.mailbox(3, 40))
        before = self.flags(source, "u0")
        batch = self.batch(source, self.target_for(["u0"]), ["u0"])
        stored = lambda: {p: d for p, d in files(source.folder + "/mail").items() if re.search(r"/\d+\.$", p)}
        bodies = stored()
        b = self.ends(batch.call("bench", *self.ARGUMENTS), 0).json()
        self.assertGreater(b["steps"][0]["messages"], 0)
        self.assertEqual(stored(), bodies)
        self.assertGreater(len(bodies), 30)
        self.assertEqual(self.flags(source, "u0"), before)


class Compare(Case):
    """`bench compare` on results that are made up."""

    def made(self, name, rates, seed=1, **more):
        steps = [{"connections": n, "name": str(n), "depth": 4, "per_fetch": 20, "per_user": None, "compress": False,
                  "messages": 10, "mb_per_s": sum(r) / len(r), "latency_ms": {"message": {"p99": 3.0}},
                  "passes": [{"ended_by": "set", "messages": 10, "mb_per_s": x} for x in r]} for n, r in rates.items()]
        path = os.path.join(self.folder, name)
        with open(path, "w") as f:
            json.dump({"schema": "mailhaul.bench.v1", "seed": seed, "partial": False, "server": {"host": "h"},
                       "asked": {"rate": 0}, "corpus": {"set": {"messages": 10, "bytes": 5}}, "steps": steps, **more}, f)
        return path

    def call(self, *arguments):
        from haul import Running
        return Running(["bench", *arguments], self.folder).wait()

    def test_what_differs_and_what_may_be_chance(self):
        a = self.made("a.json", {1: [10.0, 10.2, 9.8], 2: [20, 20.5, 19.5], 4: [30, 31, 29]})
        b = self.made("b.json", {1: [10.1, 9.9, 10.0], 2: [30, 30.5, 29.5], 8: [1, 2, 3]}, seed=2)
        c = self.made("c.json", {1: [5.0, 5.2, 4.9], 2: [21]})
        found = self.ends(self.call("compare", "--json", a, b, c), 0).json()["comparisons"]
        self.assertEqual([s["verdict"] for s in found[0]["steps"]], ["no difference shown", "faster"])
        self.assertEqual([s["verdict"] for s in found[1]["steps"]], ["slower", "not known"])
        self.assertTrue(any("seeds differ" in w for w in found[0]["warnings"]))
        self.assertEqual(found[1]["warnings"], [])
        text = self.ends(self.call("compare", a, b), 0).out
        self.assertIn("± ", text)
        self.assertTrue(all(len(line) <= 80 for line in text.splitlines() if "beside" not in line), text)

    def test_what_is_no_result(self):
        a = self.made("a.json", {1: [10.0, 10.2]})
        with open(os.path.join(self.folder, "x.json"), "w") as f:
            f.write("{}")
        self.assertIn("two or more results", self.ends(self.call("compare", a), 64).err)
        self.assertIn("x.json", self.ends(self.call("compare", a, os.path.join(self.folder, "x.json")), 64).err)
        self.ends(self.call("compare", a, "/nowhere.json"), 64)


class Kept(Case):
    """The newest bench is what plan and run go by where the batch file does not say."""

    def setUp(self):
        super().setUp()
        self.source = self.dovecot(["u0"])
        self.source.seed("u0", mail.mailbox(0, 20))
        self.one = self.batch(self.source, self.target_for(["u0"]), ["u0"])
        self.path = self.one.path[:-4] + ".bench.json"

    def keep(self, port, known=True):
        with open(self.path, "w") as f:
            json.dump({"schema": "mailhaul.bench.v1", "began": "2026-01-02T03:04:05Z",
                       "server": {"host": "localhost", "port": port},
                       "steps": [{"mb_per_s": 7.0, "messages_per_s": 70.0}], "knee": {"step": 0, "known": known},
                       "recommendation": {"source.connections": 3, "source.connections-per-user": 2}}, f)

    def test_plan_and_run_say_so(self):
        self.keep(self.source.port_tls)
        done = self.ends(self.one.call("plan", "--source"), 0)
        self.assertIn("connections = 3, connections-per-user = 2: as measured by the bench of 2026-01-02", done.err)
        self.assertIn("7.0 MB and 70 messages a second (measured by bench", done.out)
        self.assertIn("as measured by the bench", self.ends(self.one.call("run"), 0).err)
        self.one.set("source", "connections", "5")
        done = self.ends(self.one.call("plan", "--source"), 0)
        self.assertIn("[source] connections-per-user = 2: as measured", done.err)
        self.assertNotIn("connections = 3", done.err)

    def test_what_is_not_gone_by(self):
        for keep in (lambda: self.keep(1), lambda: self.keep(self.source.port_tls, known=False),
                     lambda: open(self.path, "w").write("{ no json")):
            keep()
            done = self.ends(self.one.call("plan", "--source"), 0)
            self.assertNotIn("bench", done.err + done.out)
        # What is no result of bench is not written over.
        with open(self.path, "w") as f:
            f.write("mine")
        self.ends(self.one.call("bench", "--connections", "1,2", "--seconds", "1", "--repeats", "2"), 0)
        with open(self.path) as f:
            self.assertEqual(f.read(), "mine")
