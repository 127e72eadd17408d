"""Much mail and large mail, in little memory."""

import os

import mail
from haul import Case, lasting

MB = 1000 * 1000
RSS_MAX = 150 * MB


def many(count):
    return (mail.tiny(i) for i in range(count))


class Large(Case):
    def small_memory(self, done):
        print("     peak RSS %.0f MB" % (done.peak_rss / 1e6), flush=True)
        # AddressSanitizer's shadow and quarantine are not the program's own memory.
        if not os.environ.get("MAILHAUL_SANITIZED"):
            self.assertGreater(done.peak_rss, 0, "the peak RSS was never read")
            self.assertLessEqual(done.peak_rss, RSS_MAX, "peak RSS in bytes")
        return done

    def test_message_of_149_megabytes(self):
        source = self.dovecot(["anna"], format="maildir", separator=".")
        source.seed("anna", {("INBOX",): [mail.tiny(1), mail.big(5, 149 * MB), mail.tiny(2)]})
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        batch.set("policy", "max-message-size", "150MB")
        self.small_memory(self.ends(batch.call("run"), 0))
        self.moved(batch)

    @lasting
    def test_folder_of_200000_messages(self):
        count = int(os.environ.get("MAILHAUL_MANY", "200000"))
        # mdbox: the other formats make a file a message, which would take longer than the move.
        source = self.dovecot(["anna"], format="mdbox")
        source.seed("anna", {("INBOX",): many(count)})
        batch = self.batch(source, self.target_for(["anna"], format="mdbox"), ["anna"])
        self.small_memory(self.ends(batch.call("run"), 0))
        self.assertEqual(self.moved(batch).source, count)
        self.small_memory(self.ends(batch.call("run"), 0))
        self.balanced(batch.report())

    def test_small_spool_makes_fetching_wait(self):
        source = self.dovecot(["anna", "ben"], format="maildir", separator=".")
        for seed, user in enumerate(("anna", "ben")):
            source.seed(user, mail.mailbox(seed, 300, "mixed"))
        batch = self.batch(source, self.target_for(["anna", "ben"]), ["anna", "ben"])
        batch.set("batch", "spool-max", "8MB")
        self.ends(batch.call("run"), 0)
        self.moved(batch)
        self.balanced(batch.report())

    def test_fetch_into_a_full_spool_stops_clean_and_goes_on(self):
        source = self.dovecot(["anna"], format="maildir", separator=".")
        source.seed("anna", mail.mailbox(4, 300, "mixed"))
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        batch.set("batch", "spool-max", "4MB")
        done = self.ends(batch.call("fetch"), 2)
        self.assertIn("spool", done.err.lower())
        for _ in range(40):
            self.assertIn(batch.call("upload").code, (0, 2))
            if self.assertAllowed(batch.call("fetch")) == 0:
                break
        self.ends(batch.call("upload"), 0)
        self.moved(batch)

    def assertAllowed(self, done):
        self.assertIn(done.code, (0, 2), str(done))
        return done.code

    def test_many_users(self):
        users = ["u%03d" % i for i in range(60)]
        source = self.dovecot(users, format="maildir", separator=".")
        for i, user in enumerate(users):
            source.seed(user, {("INBOX",): [mail.tiny(i * 100 + j) for j in range(20)],
                               ("Sent",): [mail.tiny(50000 + i * 100)]})
        batch = self.batch(source, self.target_for(users), users)
        self.small_memory(self.ends(batch.call("run"), 0))
        self.moved(batch)
        self.assertEqual(self.balanced(batch.report())["totals"]["synced"], len(users))
