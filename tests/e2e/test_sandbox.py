"""What code that got into the process could do: tests/support/intruder.c tries it where the process talks to its
first server. And what the commands and the hook may still do all the same."""

import errno
import glob
import os
import re
import subprocess
import time
import unittest

import mail
from haul import BINARY, Case

DENIED = {"other_file", "new_file", "remove", "run", "listen"}


def abi():
    told = subprocess.run([BINARY, "--version"], capture_output=True, text=True, check=True).stdout
    return int((re.search(r"Landlock \(ABI (\d+)\)", told) or [0, 0])[1])


@unittest.skipIf(not abi(), "this kernel has no Landlock")
class Sandbox(Case):
    def setUp(self):
        super().setUp()
        if os.environ.get("MAILHAUL_SANITIZED"):
            self.skipTest("a sanitizer wants to be loaded first")
        self.library = os.path.join(self.folder, "intruder.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-o", self.library,
                        os.path.join(mail.ROOT, "tests", "support", "intruder.c")], check=True)
        source = self.dovecot(["anna"])
        source.seed("anna", {("INBOX",): [mail.tiny(i) for i in range(3)]})
        self.job = self.batch(source, self.target_for(["anna"]), ["anna"])

    def tried(self, command, *options, code=0):
        """{what was tried: errno}"""
        told, victim = os.path.join(self.folder, "told"), os.path.join(self.folder, "victim")
        for name in (told, victim):
            with open(name, "w"):
                pass
        words = {"LD_PRELOAD": self.library, "INTRUDER_TOLD": told, "INTRUDER_FILE": victim,
                 "INTRUDER_NEW": os.path.join(self.job.folder, "new")}
        done = self.job.call(command, *options, wrapper=["env", *("%s=%s" % word for word in words.items())])
        self.ends(done, code)
        with open(told) as f:
            return {word: int(number) for word, number in map(str.split, f)}

    def is_confined(self, outcome):
        self.assertEqual(outcome["no_new_privs"], 1, outcome)
        self.assertEqual(outcome["read"], 0, outcome)
        for word in DENIED - ({"listen"} if abi() < 4 else set()):
            self.assertEqual(outcome[word], errno.EACCES, outcome)

    def test_every_command_that_talks_to_a_server(self):
        page, log = os.path.join(self.folder, "page.html"), os.path.join(self.folder, "log")
        for command in (["check"], ["folders"], ["plan"], ["run", "--log", log], ["verify"],
                        ["bench", "--connections", "1", "--seconds", "1", "--html", page],
                        ["export", "--what", "all", "--to", os.path.join(self.folder, "out")]):
            with self.subTest(command[0]):
                self.is_confined(self.tried(*command))
        with open(log) as f:
            self.assertIn("sandbox.on", f.read())
        with open(page) as f:
            self.assertIn("</html>", f.read())
        self.assertEqual(len(glob.glob(os.path.join(self.folder, "out", "**", "cur", "*"), recursive=True)), 3)

    def test_a_rehearsal_leaves_nothing_in_tmp(self):
        before = set(glob.glob("/tmp/mailhaul-rehearse-*"))
        self.is_confined(self.tried("rehearse", "--progress", "never"))
        left = set(glob.glob("/tmp/mailhaul-rehearse-*")) - before
        # Other tests' may be under way, and go.
        for _ in range(300):
            if not any(map(os.path.exists, left)):
                break
            time.sleep(0.1)
        self.assertEqual({folder for folder in left if os.path.exists(folder)}, set())

    def test_the_switch(self):
        outcome = self.tried("run", "--no-sandbox")
        self.assertEqual({word: outcome[word] for word in DENIED}, dict.fromkeys(DENIED, 0))
        self.assertEqual(outcome["no_new_privs"], 1)

    def test_the_hook_may_what_the_run_may_not(self):
        hook = "grep NoNewPrivs /proc/self/status > hook.txt; cat >> hook.txt"
        self.is_confined(self.tried("run", "--notify-command", hook))
        with open(os.path.join(self.job.folder, "hook.txt")) as f:
            told = f.read()
        self.assertRegex(told, r"NoNewPrivs:\s+0")
        self.assertIn("Messages uploaded", told)

    def test_a_ledger_beside_the_batch(self):
        self.job.set("batch", "ledger", "ledger")
        self.is_confined(self.tried("run"))
        self.assertTrue(os.listdir(os.path.join(self.job.folder, "ledger")))
