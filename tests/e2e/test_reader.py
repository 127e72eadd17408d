"""A message that the server gives in a later form only is had by all that read: run, verify, export and bench."""

import os

import mail
from haul import DOMAIN, Case
from quirky import Quirky
from test_quirks import messages


class Reader(Case):
    def job(self, mails, **quirks):
        self.mails = mails
        source = self._started(Quirky({"anna": {"INBOX": mails}}, **quirks))
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        del batch.sections["source"]["tls-ca"]
        batch.set("source", "tls", "none").set("policy", "retry-wait", "20ms")
        return batch

    def exported(self, batch, *arguments):
        to = os.path.join(self.folder, "out%d" % len(os.listdir(self.folder)))
        self.ends(batch.call("export", "--to", to, *arguments), 0)
        bodies = []
        for folder, _, files in os.walk(to):
            for name in files:
                if name != "index.csv":
                    with open(os.path.join(folder, name), "rb") as f:
                        bodies.append(f.read())
        return sorted(bodies)

    def all_have_it(self, **quirks):
        batch = self.job(messages(6), **quirks)
        self.ends(batch.call("run"), 0)
        self.assertEqual(self.balanced(batch.report())["totals"]["uploaded"], 6)
        whole = sorted(m.body for m in self.mails)
        self.assertEqual(self.exported(batch, "--what", "all", "--format", "eml"), whole)
        return batch

    def test_export_gives_what_a_part_or_another_form_gives(self):
        for quirks in ({"nil": {3}, "forms": {"peek"}},
                       {"refuse": {3: "NO [SERVERBUG] Internal error"}, "forms": {"peek", "partial", "header"}},
                       {"cut": {3: 10}, "forms": {"peek"}}):
            with self.subTest(quirks=quirks):
                self.all_have_it(**quirks)

    def test_verify_compares_it(self):
        """Its copy was changed on the target: the source has to be read again."""
        batch = self.all_have_it(nil={3}, forms={"peek"})
        with batch.target.connect("anna@" + DOMAIN) as mailbox:
            old = self.mails[2]
            mailbox.append(("INBOX",), [mail.Message(old.body.replace(b"nothing", b"it all"), old.date, old.flags)])
            mailbox.imap.select("INBOX")
            uids = mailbox.imap.uid("SEARCH", None, "HEADER", "Message-ID", "m3@")[1][0].split()
            mailbox.imap.uid("STORE", min(uids, key=int).decode(), "+FLAGS", "(\\Deleted)")
            mailbox.imap.expunge()
        verify = self.ends(batch.call("verify", "--json"), 3).json()["users"][0]
        self.assertEqual((verify["differing"], verify["missing"]), (1, 0), verify)
        self.assertEqual([d["what"] for d in verify["differences"]], ["content"])

    def test_bench_counts_it(self):
        batch = self.job(messages(6), nil={1, 2, 3, 4, 5, 6}, forms={"peek"})
        step, = self.ends(batch.call("bench", "--connections", "1", "--seconds", "1", "--json"), 0).json()["steps"]
        self.assertGreater(step["messages"], 0)
        self.assertGreater(step["bytes"], 0)
        self.assertEqual(step["errors"], 0)
