"""The account of a batch is true: nobody is Synced unproven, and no run leaves an account that does
not balance (haul.Batch checks that after every run of every test)."""

import mail
from haul import Case, DOMAIN
from meddler import Meddler, Rule


class Account(Case):
    def meddled_target(self, *rules, messages=6):
        """(batch, meddler): anna's mail through a meddler into a Dovecot."""
        source = self.dovecot(["anna"], format="maildir", separator=".")
        source.seed("anna", {("INBOX",): [mail.tiny(i) for i in range(1, messages + 1)],
                             ("Work",): [mail.tiny(100)]})
        meddler = Meddler(self.target_for(["anna"]), list(rules)).start()
        self.addCleanup(meddler.stop)
        batch = self.batch(source, meddler, ["anna"])
        batch.sections["target"] = {"preset": "imap", "url": meddler.url(), "tls": "none"}
        batch.set("policy", "retry-wait", "20ms")
        return batch, meddler

    def user(self, batch):
        return self.balanced(batch.report())["users"][0]


class Proof(Account):
    """After the last upload the target is asked for its own count."""

    # The listing at the start asks LIST with STATUS in it; a STATUS command is the proof.
    ASKS = r"^STATUS .*\(MESSAGES\)$"

    def test_a_lost_connection_is_no_proof(self):
        batch, meddler = self.meddled_target(Rule(self.ASKS, close=True, times=1))
        self.ends(batch.call("run"), 0)
        self.assertEqual(meddler.rules[0].done, 1)
        self.assertGreaterEqual(meddler.asked(self.ASKS), 2, "it was asked again")
        self.assertEqual(self.user(batch)["state"], "Synced")
        self.moved(batch)

    def test_a_target_that_never_answers_leaves_the_user_unproven(self):
        batch, meddler = self.meddled_target(Rule(self.ASKS, close=True))
        batch.set("policy", "transient-failure-limit", "5")
        self.ends(batch.call("run"), 3)
        user = self.user(batch)
        self.assertEqual((user["state"], user["failure"]), ("Failed", "TooManyTransientFailures"))
        self.assertEqual(user["uploaded"], 7, "everything arrived all the same")
        meddler.rules.clear()
        # What an earlier run uploaded is proven by the next one, which has nothing to send.
        self.ends(batch.call("run"), 0)
        self.assertEqual(meddler.asked(self.ASKS), 5 + 2)
        self.assertEqual(self.user(batch)["state"], "Synced")
        self.moved(batch)
        # And once proven, it is not asked again.
        self.ends(batch.call("run"), 0)
        self.assertEqual(meddler.asked(self.ASKS), 5 + 2)

    def test_a_refused_question_is_asked_in_another_way(self):
        batch, meddler = self.meddled_target(Rule(self.ASKS, "NO STATUS is switched off"))
        self.ends(batch.call("run"), 0)
        self.assertGreaterEqual(meddler.asked("^EXAMINE"), 2)

    def test_an_answer_without_a_number_is_no_proof(self):
        batch, _ = self.meddled_target(Rule(self.ASKS, "OK nothing to say"),
                                       Rule("^EXAMINE Work$|^EXAMINE \"Work\"$", "NO not today"))
        self.ends(batch.call("run"), 3)
        user = self.user(batch)
        self.assertEqual((user["state"], user["failure"]), ("Failed", "TargetNotCounted"))
        self.assertEqual({f["folder"] for f in user["failures"]}, {"Work"})

    def test_a_busy_target_is_asked_again(self):
        batch, meddler = self.meddled_target(
            Rule(self.ASKS, "NO [UNAVAILABLE] busy, try again", times=3),
            Rule("^EXAMINE", "NO [UNAVAILABLE] busy, try again", times=3))
        self.ends(batch.call("run"), 0)
        self.assertEqual([r.done for r in meddler.rules], [3, 3])

    def test_a_target_that_counts_fewer_is_told_until_a_person_says_so(self):
        batch, meddler = self.meddled_target()
        few = ["* STATUS INBOX (MESSAGES 4)"]
        meddler.rules += [Rule(r"^STATUS \"?INBOX\"? \(MESSAGES\)", "OK done", untagged=few),
                          Rule(r"^EXAMINE \"?INBOX", "OK done", untagged=["* 4 EXISTS"])]
        for _ in range(2):
            self.ends(batch.call("run"), 3)
            user = self.user(batch)
            self.assertEqual(user["failure"], "TargetCountDiffers")
            self.assertIn("counts 4 messages, 6 were", user["failures"][0]["server_text"])
        self.ends(batch.call("retry"), 0)
        self.assertEqual(self.user(batch)["state"], "Synced")
        self.assertEqual(batch.target.server.connect("anna@" + DOMAIN).uids(("INBOX",)),
                         [1, 2, 3, 4, 5, 6])

    def test_a_run_stopped_before_the_proof_is_proven_by_the_next(self):
        import signal
        batch, meddler = self.meddled_target()
        meddler.rules += [Rule(self.ASKS, "NO [UNAVAILABLE] busy"),
                          Rule("^EXAMINE", "NO [UNAVAILABLE] busy")]
        batch.set("policy", "retry-wait", "1s")
        run = batch.start("run")
        while not run.ended() and not meddler.asked(self.ASKS):
            pass
        run.signal(signal.SIGTERM)
        self.ends(run.wait(), 2)
        user = self.user(batch)
        self.assertEqual((user["state"], user["uploaded"]), ("Stopped", 7))
        meddler.rules.clear()
        before = meddler.asked(self.ASKS)
        self.ends(batch.call("run"), 0)
        self.assertEqual(meddler.asked(self.ASKS) - before, 2)
        self.moved(batch)
