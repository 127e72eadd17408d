"""The `bench` command on real servers: it measures, and changes nothing."""

import json
import os

import mail
import quirky
from haul import Case
from meddler import Meddler, Rule


class Bench(Case):
    def one(self, users=2, messages=60, **options):
        names = ["u%d" % i for i in range(users)]
        source = self.dovecot(names, **options)
        for i, name in enumerate(names):
            source.seed(name, mail.mailbox(i, messages))
        return self.batch(source, self.target_for(names), names)

    def test_every_connection_reads_and_the_page_is_written(self):
        batch = self.one()
        page = os.path.join(self.folder, "bench.html")
        done = self.ends(batch.call("bench", "--connections", "1,3", "--seconds", "1", "--json",
                                    "--html", page), 0)
        bench = done.json()
        for step, connections in zip(bench["steps"], (1, 3)):
            self.assertEqual(step["connected"], connections)
            self.assertEqual(step["errors"], 0, step)
            self.assertGreater(step["messages"], 0)
            for kind in step["latency_ms"].values():
                self.assertLessEqual(kind["p50"], kind["p90"])
                self.assertLessEqual(kind["p90"], kind["max"] * 1.04 + 0.1)
        self.assertIn("Dovecot", bench["server"]["greeting"])
        self.assertIn("IMAP4rev1", bench["server"]["capabilities"])
        self.assertIn("TLS", bench["server"]["tls"])
        with open(page) as f:
            text = f.read()
        self.assertIn("<svg", text)
        self.assertNotIn("http:", text, "the page asks for nothing from elsewhere")
        self.assertNotIn("https:", text)

    def test_a_servers_limit_is_a_result(self):
        # Not Dovecot's own limit: six that log in within the same millisecond all pass it.
        source = self._started(quirky.Quirky(
            {"u0": {"INBOX": [quirky.Mail(i + 1, mail.tiny(i).body, 1704103200 + i)
                              for i in range(60)]}}, limit=2))
        batch = self.batch(source, self.target_for(["u0"]), ["u0"])
        del batch.sections["source"]["tls-ca"]
        batch.set("source", "tls", "none")
        bench = self.ends(batch.call("bench", "--connections", "1,2,6", "--seconds", "1", "--json"),
                          0).json()
        last = bench["steps"][-1]
        self.assertGreater(last["errors"], 0)
        self.assertGreater(last["messages"], 0, "those that got in went on")
        self.assertEqual(bench["knee"]["connections"] <= 2, True)

    def test_a_slow_login_is_no_limit(self):
        """The step's time begins when each connection has had its answer."""
        source = self.dovecot(["u0"])
        source.seed("u0", mail.mailbox(0, 60))
        # The second to ask is let in after the time that the step would take.
        meddler = self._started(Meddler(source, [Rule("^(LOGIN|AUTHENTICATE)", skip=1, times=1, wait=2.5)]))
        batch = self.batch(meddler, self.target_for(["u0"]), ["u0"])
        batch.sections["source"] = {"url": meddler.url(), "tls": "none"}
        step = self.ends(batch.call("bench", "--connections", "2", "--seconds", "1", "--json"), 0).json()["steps"][0]
        self.assertEqual((meddler.rules[0].done, step["connected"], step["errors"]), (1, 2, 0), step)
        self.assertGreater(step["messages"], 0)

    def test_rows_that_come_twice_and_in_disorder(self):
        mails = [quirky.Mail(uid, mail.tiny(uid).body, 1704103200 + uid)
                 for uid in (3, 1, 2, 2, 9, 3, 1, 9, 5)]
        source = self._started(quirky.Quirky({"u0": {"INBOX": mails}}))
        batch = self.batch(source, self.target_for(["u0"]), ["u0"])
        del batch.sections["source"]["tls-ca"]
        batch.set("source", "tls", "none")
        bench = self.ends(batch.call("bench", "--connections", "1", "--seconds", "1", "--json"), 0).json()
        self.assertEqual(bench["steps"][0]["errors"], 0, bench)
        self.assertGreater(bench["steps"][0]["messages"], 0)

    def test_a_wrong_password_is_told(self):
        batch = self.one(users=1, messages=3)
        batch.passwords["u0"] = "wrong"
        done = self.ends(batch.call("bench", "--connections", "1", "--seconds", "1"), 77)
        self.assertIn("password", done.err)

    def test_no_mail_is_told(self):
        source = self.dovecot(["u0"])
        batch = self.batch(source, self.target_for(["u0"]), ["u0"])
        done = batch.call("bench", "--connections", "1", "--seconds", "1", "--json")
        self.assertEqual(done.code, 0, str(done))
        self.assertEqual(json.loads(done.out)["steps"][0]["last_error"]["type"], "NoMail")
