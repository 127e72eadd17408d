"""What is installed beside the program: completions, manual pages, units, examples. The package itself is tried by
scripts/package test, which takes minutes."""

import glob
import os
import re
import shutil
import subprocess
import unittest

import haul
import mail

MADE = os.path.join(os.path.dirname(haul.BINARY), "packaging")
PACKAGING = os.path.join(mail.ROOT, "scripts", "packaging")


def run(*command, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, **more)


class Package(unittest.TestCase):
    def setUp(self):
        if not os.path.isdir(MADE):
            self.skipTest("no completions were made beside %s" % haul.BINARY)

    def bash(self, *words):
        """What bash offers for the last of the words."""
        script = "source %s/mailhaul.bash; COMP_WORDS=(%s); COMP_CWORD=%d; compopt() { :; }; _mailhaul; printf '%%s\\n' \"${COMPREPLY[@]}\"" % (
            MADE, " ".join("'%s'" % w for w in words), len(words) - 1)
        done = run("bash", "-c", script, cwd=os.path.join(PACKAGING, "examples"))
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout.split()

    def test_bash_offers_what_the_command_takes(self):
        commands = self.bash("mailhaul", "")
        helped = re.findall(r"^  ([a-z-]+)  +\S", run(haul.BINARY, "--help").stdout.split("Options")[0], re.M)
        self.assertGreater(len(helped), 10)
        self.assertEqual(set(commands), set(helped) | {"--help", "--version"})
        for command in helped:
            told = set(re.findall(r"^  (--[a-z-]+)", run(haul.BINARY, command, "--help").stdout, re.M))
            self.assertEqual(set(self.bash("mailhaul", command, "--")), told, command)
        self.assertEqual(self.bash("mailhaul", "run", "--progress", "j"), ["json"])
        self.assertEqual(self.bash("mailhaul", "run", "--progress", "=", "n"), ["never"])
        self.assertEqual(self.bash("mailhaul", "run", "--set", "batch.wi"), ["batch.window="])
        self.assertEqual(self.bash("mailhaul", "run", "night"), ["night-1.ini"])
        self.assertEqual(self.bash("mailhaul", "run", "users"), [], "a users.csv is no batch file")

    def test_zsh_and_fish_read_theirs(self):
        missing = []
        for shell in ("zsh", "fish"):
            if not shutil.which(shell):
                missing.append(shell)
                continue
            done = run(shell, "-n", os.path.join(MADE, "mailhaul." + shell))
            self.assertEqual((done.returncode, done.stdout), (0, ""))
        if shutil.which("fish"):
            offered = run("fish", "-N", "-c", "source %s/mailhaul.fish; complete -C 'mailhaul run --progress '" % MADE).stdout
            self.assertEqual({line.split("\t")[0] for line in offered.split("\n") if line},
                             {"auto", "always", "never", "json"}, offered)
            offered = run("fish", "-N", "-c", "source %s/mailhaul.fish; complete -C 'mailhaul report --'" % MADE).stdout
            self.assertIn("--text\t", offered)
            self.assertNotIn("--listen", offered)
        if missing:
            self.skipTest("all but %s (scripts/packages package)" % " and ".join(missing))

    def test_pages_split_the_manual_and_lose_nothing(self):
        with open(os.path.join(mail.ROOT, "docs", "man", "mailhaul.1"), encoding="utf-8") as f:
            whole = f.read()
        pages = [run("sh", PACKAGING + "/pages", part, os.path.join(mail.ROOT, "docs", "man", "mailhaul.1")).stdout
                 for part in ("commands", "batch-file")]
        for line in whole.splitlines():
            if not line.startswith((".TH", '.\\"')):
                self.assertTrue(any(line in page for page in pages), line)
        self.assertIn('.BI window " = "', pages[1])
        self.assertNotIn('.BI window " = "', pages[0])
        self.assertIn("\n.BR mailhaul.ini (5)", pages[0])
        if not shutil.which("man"):
            self.skipTest("all but how man sets them")
        for name in ("mailhaul.1.gz", "mailhaul.ini.5.gz"):
            done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", os.path.join(MADE, name)],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120,
                                  env={**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8"})
            self.assertEqual((done.returncode, done.stderr), (0, b""), name)

    def test_units_are_right_and_hardened(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("no systemd-analyze here (scripts/packages package)")
        with haul.tempfile.TemporaryDirectory(prefix="mhunits") as folder:
            for path in glob.glob(PACKAGING + "/systemd/*"):
                with open(path, encoding="utf-8") as f, open(os.path.join(folder, os.path.basename(path)), "w") as to:
                    to.write(f.read().replace("/usr/bin/mailhaul", haul.BINARY))
            done = run("systemd-analyze", "verify", "--man=no", folder + "/mailhaul@night.service", folder + "/mailhaul@night.timer")
            self.assertEqual((done.returncode, done.stdout), (0, ""))
            done = run("systemd-analyze", "security", "--offline=true", "--threshold=20", folder + "/mailhaul@.service")
            self.assertEqual(done.returncode, 0, done.stdout)
        with open(PACKAGING + "/systemd/mailhaul@.service", encoding="utf-8") as f:
            unit = f.read()
        command = re.search(r"^ExecStart=/usr/bin/mailhaul (.*)", unit, re.M).group(1)
        for name, value in (("%i", "night"), ("${CREDENTIALS_DIRECTORY}", "."), ("${STATE_DIRECTORY}", ".")):
            command = command.replace(name, value)
        done = run(haul.BINARY, *command.split())
        self.assertIn("batch.ini", done.stdout)
        self.assertEqual(done.returncode, 78, "the options are right, the batch file is not there: " + done.stdout)

    def test_examples_are_batch_files(self):
        with haul.tempfile.TemporaryDirectory(prefix="mhexamples") as folder:
            for path in glob.glob(PACKAGING + "/examples/*"):
                shutil.copy(path, folder)
            os.chmod(folder + "/users.csv", 0o600)
            with open(os.open(folder + "/client-secret", os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
                f.write("a secret\n")
            for name in ("night-1.ini", "exchange-online.ini"):
                done = run(haul.BINARY, "status", folder + "/" + name)
                self.assertEqual(done.returncode, 64, done.stdout)  # it reads well; nothing was run yet
                self.assertIn("nothing has been run yet", done.stdout)

    def test_the_program_names_what_it_is_built_with(self):
        done = run(haul.BINARY, "--version", "-v")
        line = next(x for x in done.stdout.splitlines() if x.startswith("SBOM: "))
        for name in ("mailhaul", "openssl", "lmdb", "zstd", "curl", "libmicrohttpd"):
            self.assertRegex(line, r"pkg:generic/%s@[0-9]+\.[0-9]" % name)
        self.assertNotIn("SBOM", run(haul.BINARY, "--version").stdout)
        self.assertEqual(run(haul.BINARY, "run", "-v", "x.ini").returncode, 64)
