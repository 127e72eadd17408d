"""Real and broken messages survive byte for byte."""

import mail
from haul import Case, core


class Corpus(Case):
    @core
    def test_corpus_survives(self):
        if mail.corpus_path() is None:
            self.skipTest("no corpus; set MAILHAUL_CORPUS to its folder or archive")
        folders = {}
        for i, (name, data) in enumerate(mail.corpus()):
            part = name.lstrip("./").split("/")[0]
            flags = ("\\Seen",) if i % 3 else ("\\Flagged", "$Forwarded")
            folders.setdefault((part,), []).append(mail.Message(data, mail.FIRST_S + i, flags))
        source = self.dovecot(["anna"], format="maildir", separator=".")
        source.seed("anna", folders)
        # Dovecot's own formats lose a CR that is a message's last byte; its Maildir does not.
        target = self.target_for(["anna"], format="maildir", separator=".")
        batch = self.batch(source, target, ["anna"])
        self.ends(batch.call("run"), 0)
        result = self.moved(batch)
        self.assertEqual(result.source, sum(len(m) for m in folders.values()))
        # Found again by what identifies them, also those without Message-ID or Date.
        batch.drop_state()
        self.ends(batch.call("run"), 0)
        self.moved(batch)

    def test_made_oddities_survive(self):
        """What the corpus has none of: long lines, all bytes, no header, huge headers."""
        every = bytes(b for b in range(1, 256) if b not in (10, 13))
        date = mail.FIRST_S
        odd = [
            b"Subject: long line\r\n\r\n" + b"x" * 200000 + b"\r\n",
            b"Subject: all bytes\r\n\r\n" + every + b"\r\n",
            b"Subject: no line end at the end\r\n\r\ntext",
            b"Subject: bare CR\r\n\r\na\rb\rc\r\n",
            b"\r\nbody without any header\r\n",
            b"X-Long: " + b"y" * 100000 + b"\r\n\r\nlong header\r\n",
            b"".join(b"X-%d: z\r\n" % i for i in range(3000)) + b"\r\nmany headers\r\n",
            b"Subject: looks like IMAP\r\n\r\n)\r\na1 OK done\r\n* BYE\r\n{5}\r\n+ go\r\n",
            b"Subject: header only\r\n",
            b"x",
            b"Subject: 0000\r\n\r\n" + b"0" * 65535 + b"\r\n",
            b"Subject: 0000\r\n\r\n" + b"0" * 65536 + b"\r\n",
            b"Subject: 1 MiB\r\n\r\n" + b"ab\r\n" * 262144,
        ]
        extremes = [mail.tiny(1, 0), mail.tiny(2, 1), mail.tiny(3, 951782400)]  # 29 February 2000
        source = self.dovecot(["anna"], format="maildir", separator=".")
        source.seed("anna", {("INBOX",): [mail.Message(b, date + i) for i, b in enumerate(odd)],
                             ("Dates",): extremes})
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        self.ends(batch.call("run"), 0)
        self.moved(batch)

    def test_odd_folder_names_survive(self):
        names = ["a&b", "100%", "star*", "quote\"d", "back\\slash", " lead", "trail ", "x" * 60,
                 "emoji 📬", "e\u0301 decomposed", "\u00e9 composed", "#hash", "{5}",
                 "(paren)", "NIL", "Ünïcödé", "日本語のフォルダ"]
        source = self.dovecot(["anna"], format="sdbox", separator="/")
        source.seed("anna", {(name,): [mail.tiny(i)] for i, name in enumerate(names)})
        target = self.target_for(["anna"])
        batch = self.batch(source, target, ["anna"])
        self.ends(batch.call("run"), 0)
        self.moved(batch)
