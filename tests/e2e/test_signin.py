"""Signing in by a code that a person types: device code and refresh tokens, against the simulated
Exchange Online, whose refresh tokens are good for one use only."""

import glob
import os
import pty
import re
import stat

import exchange
import mail
from haul import BINARY, Case, DOMAIN, lasting


class SignIn(Case):
    def into(self, users=("anna", "ben"), messages=6, **options):
        source = self.dovecot(list(users), format="maildir", separator=".")
        for i, user in enumerate(users):
            source.seed(user, {("INBOX",): [mail.tiny(i * 100 + j) for j in range(messages)]})
        addresses = ["%s@%s" % (u, DOMAIN) for u in users]
        target = self._started(exchange.Exchange(
            addresses, **{"device-polls": 1, "device-user": "admin@" + DOMAIN, **options}))
        batch = target.take_person(self.batch(source, target, users))
        return batch, target, {a: messages for a in addresses}

    def kept(self, batch):
        return os.path.join(batch.state, "refresh-token.target")

    def read(self, path):
        with open(path, "rb") as f:
            return f.read()

    def arrived(self, batch, target, counts):
        report = self.balanced(batch.report())
        for address, count in counts.items():
            self.assertEqual(len(target.messages(address)), count, address)
        return report

    def test_sign_in_then_nights_without_a_person(self):
        batch, target, counts = self.into()
        done = self.ends(batch.call("sign-in", "--log-level", "trace"), 0)
        self.assertIn("https://microsoft.com/devicelogin", done.err)
        self.assertIn("EXOSIM123", done.err)
        self.assertIn("admin@" + DOMAIN, done.out)
        first = self.read(self.kept(batch))
        self.assertEqual(stat.S_IMODE(os.stat(self.kept(batch)).st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(os.stat(batch.state).st_mode), 0o700)
        run = self.ends(batch.call("run", "--threads", "2", "--log-level", "trace"), 0)
        self.arrived(batch, target, counts)
        second = self.read(self.kept(batch))
        self.assertNotEqual(first, second, "the rotated token was not kept")
        for token in (first, second):
            self.assertNotIn(token.decode().strip(), done.err + done.out + run.err + run.out)
        self.ends(batch.call("run"), 0)
        self.assertEqual(target.stats()["device_polls_early"], 0)

    @lasting
    def test_tokens_that_rotate_and_end_amid_a_run_with_several_loops(self):
        batch, target, counts = self.into(messages=16, **{"token-life-s": 5, "append-ms": 300})
        self.ends(batch.call("sign-in"), 0)
        self.ends(batch.call("run", "--threads", "4"), 0)
        report = self.arrived(batch, target, counts)
        self.assertGreater(target.stats()["tokens"], 3, "nothing was renewed")
        self.assertEqual([u["failures"] for u in report["users"]], [[], []])

    def test_the_kept_token_is_sealed_where_the_spool_is(self):
        batch, target, counts = self.into(["anna"])
        key = os.path.join(batch.folder, "spool.key")
        with open(os.open(key, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
            f.write("k" * 40 + "\n")
        batch.set("batch", "spool-key-file", "spool.key")
        self.ends(batch.call("sign-in"), 0)
        self.assertTrue(self.read(self.kept(batch)).startswith(b"mailhaul sealed 1\n"))
        self.ends(batch.call("run"), 0)
        self.arrived(batch, target, counts)
        self.assertTrue(self.read(self.kept(batch)).startswith(b"mailhaul sealed 1\n"))
        with open(key, "w") as f:
            f.write("w" * 40 + "\n")
        done = batch.call("check", "--target")
        self.assertEqual(done.code, 77, str(done))
        self.assertIn("spool-key-file", done.out)

    def test_a_server_that_asks_to_slow_down_is_obeyed(self):
        batch, target, _ = self.into(["anna"], **{"device-slow": 1})
        self.ends(batch.call("sign-in"), 0)
        stats = target.stats()
        self.assertEqual(stats["device_polls"], 3, "slow_down, pending, approved")
        self.assertEqual(stats["device_polls_early"], 0)

    def test_a_person_who_declines(self):
        batch, target, _ = self.into(["anna"], **{"device-declined": "yes"})
        done = self.ends(batch.call("sign-in"), 77)
        self.assertIn("declined", done.err)
        self.assertFalse(os.path.exists(self.kept(batch)))

    def test_a_code_that_nobody_types(self):
        batch, target, _ = self.into(["anna"], **{"device-polls": 1000, "device-life-s": 2})
        done = self.ends(batch.call("sign-in"), 77)
        self.assertIn("nobody typed the code in time", done.err)

    def test_an_application_that_is_not_there(self):
        batch, target, _ = self.into(["anna"])
        batch.set("target", "client-id", "99999999-2222-3333-4444-555555555555")
        done = self.ends(batch.call("sign-in"), 77)
        self.assertIn("AADSTS700016", done.err)
        self.assertIn("correlation id", done.err)

    def test_without_sign_in_a_job_says_what_to_do(self):
        batch, target, _ = self.into(["anna"])
        done = self.ends(batch.call("run"), 77)
        failure = batch.report()["users"][0]["failures"][0]
        self.assertEqual(failure["type"], "TokenFailed")
        self.assertIn("mailhaul sign-in", failure["server_text"])
        self.assertEqual(target.stats()["device_polls"], 0, "nobody is there to type a code")
        self.ends(batch.call("sign-in"), 0)
        self.ends(batch.call("retry"), 0)

    def test_a_dead_refresh_token_says_to_sign_in_again(self):
        batch, target, _ = self.into(["anna"])
        self.ends(batch.call("sign-in"), 0)
        with open(self.kept(batch), "w") as f:
            f.write("no-longer-good\n")
        self.ends(batch.call("run"), 77)
        failure = batch.report()["users"][0]["failures"][0]
        self.assertEqual(failure["type"], "TokenFailed")
        self.assertIn("AADSTS70008", failure["server_text"])
        self.assertIn("sign-in", failure["server_text"])

    def test_shards_share_one_sign_in(self):
        batch, target, counts = self.into(["anna", "ben", "cleo"])
        self.ends(batch.call("sign-in"), 0)
        running = [batch.start("run", "--shard", "%d/2" % i, write=i == 1) for i in (1, 2)]
        for one in running:
            self.ends(one.wait(), 0)
        for address, count in counts.items():
            self.assertEqual(len(target.messages(address)), count, address)
        report = self.balanced(batch.report())
        self.assertEqual(report["totals"]["users"], 3, "the sign-in's folder hides no shard")

    def test_a_refresh_token_file_of_the_administrators_own(self):
        batch, target, counts = self.into(["anna"])
        self.ends(batch.call("sign-in"), 0)
        own = os.path.join(batch.folder, "refresh-token")
        os.rename(self.kept(batch), own)
        del batch.sections["target"]["device-code"]
        batch.set("target", "refresh-token-file", "refresh-token")
        before = self.read(own)
        self.ends(batch.call("run"), 0)
        self.arrived(batch, target, counts)
        self.assertNotEqual(self.read(own), before, "a rotated token is written back")

    def test_a_run_on_a_terminal_asks_by_itself(self):
        batch, target, counts = self.into(["anna"])
        batch.write()
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(batch.folder)
            os.execv(BINARY, [BINARY, "run", "--progress", "never", batch.path])
        text = b""
        while True:
            try:
                some = os.read(terminal, 65536)
            except OSError:  # the other end is closed
                break
            if not some:
                break
            text += some
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
        self.assertEqual(os.waitstatus_to_exitcode(status), 0, text.decode())
        self.assertIn(b"EXOSIM123", text)
        self.arrived(batch, target, counts)

    def test_a_source_whose_users_have_refresh_tokens_that_rotate(self):
        """users.csv holds each user's first one; what it was rotated to is kept for the next run."""
        people = self._started(exchange.Exchange(
            ["anna@" + DOMAIN], **{"device-polls": 0, "device-user": "anna@" + DOMAIN}))
        to = self.target_for(["anna"])
        batch = self.batch(people, to, [("anna@" + DOMAIN, "anna@" + DOMAIN)])
        people.take_person(batch, "source")
        self.ends(batch.call("sign-in"), 0)
        kept = os.path.join(batch.state, "refresh-token.source")
        batch.passwords = {"anna@" + DOMAIN: self.read(kept).decode().strip()}
        os.remove(kept)
        del batch.sections["source"]["device-code"]
        for _ in range(2):
            self.ends(batch.call("check", "--source"), 0)
        self.ends(batch.call("run"), 0)
        names = [os.path.basename(p) for p in glob.glob(batch.state + "/refresh-token.source.*")]
        names = [n for n in names if not n.endswith(".lock")]
        self.assertEqual(len(names), 1, names)
        self.assertTrue(re.fullmatch(r"refresh-token\.source\.[0-9a-f]{16}", names[0]), names)
