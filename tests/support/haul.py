"""Runs mailhaul for the end-to-end tests: batch files, commands, limits, reports.

A Case has servers, batches and folders that are gone after the test; Batch is one migration.
"""

import atexit
import csv
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import compare
import mail
import servers
import unpacked

BINARY = os.environ.get("MAILHAUL_BINARY") or os.path.join(mail.ROOT, "build", "mailhaul")
RUN_LIMIT_S = int(os.environ.get("MAILHAUL_RUN_LIMIT_S", "300"))
MOVING = ("run", "fetch", "upload", "retry")
DOMAIN = "target.example"
_running = set()


def program(name):
    """A program that is built beside mailhaul, for tests and benchmarks."""
    return os.path.join(os.path.dirname(BINARY), "bench", "programs", name)


def kill_leftovers():
    """Ends what a failed test left running."""
    for running in list(_running):
        running.signal(signal.SIGKILL)
        running.wait()


atexit.register(kill_leftovers)


class Done:
    """A finished command: code (negative: killed by that signal), out, err, peak_rss in bytes."""

    def __init__(self, code, out, err, peak_rss, seconds):
        self.code, self.out, self.err = code, out, err
        self.peak_rss, self.seconds = peak_rss, seconds

    def json(self):
        return json.loads(self.out)

    def __str__(self):
        return "exit code %d after %.1f s\n%s\n%s" % (
            self.code, self.seconds, self.out[-3000:], self.err[-6000:])


def crowd():
    """How many want each processor, at least 1: what hangs is told from what only waits its turn."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


class Running:
    """A command on its way. Its output goes to files, so that it never waits for a reader."""

    def __init__(self, arguments, folder, environment=None, wrapper=(), limits=None):
        self.folder = folder
        self.out = tempfile.TemporaryFile(dir=folder)
        self.err = tempfile.TemporaryFile(dir=folder)
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [*wrapper, BINARY, *arguments], stdin=subprocess.DEVNULL, stdout=self.out,
            stderr=self.err, cwd=folder, preexec_fn=limits,
            env={**os.environ, "TZ": "UTC", "LANG": "C.UTF-8", **(environment or {})})
        self.pid = self.process.pid
        self.account = None  # called after its end
        _running.add(self)

    def memory(self):
        """Peak RSS in bytes so far, 0 when it has ended. Not ru_maxrss: the kernel counts there what
        the process had before exec, which is this Python with all its mail."""
        try:
            with open("/proc/%d/status" % self.pid) as f:
                found = re.search(r"^VmHWM:\s*(\d+) kB$", f.read(), re.M)
        except OSError:
            found = None
        return int(found.group(1)) * 1024 if found else 0

    def ended(self):
        """True when it is over; wait() still finds its end and what it used."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def signal(self, number):
        os.kill(self.pid, number)

    def text(self):
        """Standard output and error so far."""
        return "".join(self._read(f) for f in (self.out, self.err))

    @staticmethod
    def _read(file):
        return os.pread(file.fileno(), 1 << 26, 0).decode("utf-8", "replace")

    def wait(self, limit_s=RUN_LIMIT_S):
        """Done when it ended by itself; kills it and raises when it takes too long. Whatever its
        end was, the account it leaves must balance."""
        done = self._wait(limit_s)
        if self.account:
            self.account()
        return done

    def _wait(self, limit_s):
        began = time.monotonic()
        peak = 0
        while True:
            peak = max(peak, self.memory())
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() - began > limit_s * crowd():
                os.kill(self.pid, signal.SIGABRT)  # its stack may tell where it hangs
                _, status = os.waitpid(self.pid, 0)
                _running.discard(self)
                self.process.returncode = os.waitstatus_to_exitcode(status)
                raise AssertionError("mailhaul did not end within %d s\n%s" % (
                    time.monotonic() - began, self.text()[-6000:]))
            time.sleep(0.01)
        _running.discard(self)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        done = Done(self.process.returncode, self._read(self.out), self._read(self.err),
                    peak, time.monotonic() - self.began)
        self.out.close()
        self.err.close()
        return done


class Batch:
    """One batch file with its users.csv and state folder, in a folder of its own.

    users: [(source user, target address)] or source users. Sections are plain dictionaries; change
    them before the next command."""

    def __init__(self, folder, source, target, users, name="night-1", tls=True, source_tls=None):
        self.folder, self.source, self.target, self.name = folder, source, target, name
        os.makedirs(folder, exist_ok=True)
        self.users = [u if isinstance(u, tuple) else (u, "%s@%s" % (u, DOMAIN)) for u in users]
        self.state = os.path.join(folder, name + ".state")
        self.path = os.path.join(folder, name + ".ini")
        source_tls = tls if source_tls is None else source_tls
        self.sections = {
            "batch": {"name": name, "users": "users.csv", "state": name + ".state"},
            "source": {"url": source.url(source_tls), "tls-ca": source.ca},
            "target": {"preset": "imap", "url": target.url(tls), "tls-ca": target.ca},
        }
        self.passwords = {}  # {source user: password} instead of the right one
        self.extra_columns = {}  # {column: {source user: value}}
        self.target_logins = {}  # {source user: target login} where that is not the address
        self.environment = {}

    def login(self, user, address):
        return self.target_logins.get(user, address)

    def set(self, section, key, value):
        self.sections.setdefault(section, {})[key] = value
        return self

    def write(self):
        with open(self.path, "w") as f:
            for section, pairs in self.sections.items():
                f.write("[%s]\n" % section)
                f.writelines("%s = %s\n" % pair for pair in pairs.items())
        path = os.path.join(self.folder, "users.csv")
        columns = ["EmailAddress", "UserName", "Password", "TargetPassword", *self.extra_columns]
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w",
                  newline="", encoding="utf-8") as f:
            rows = csv.writer(f)
            rows.writerow(columns)
            for user, address in self.users:
                rows.writerow([address, user,
                               self.passwords.get(user, self.source.users.get(user, "")),
                               self.target.users.get(self.login(user, address), "")] +
                              [column.get(user, "") for column in self.extra_columns.values()])

    def start(self, command, *arguments, wrapper=(), limits=None, write=True):
        if write:
            self.write()
        quiet = ["--progress", "never"] if command in MOVING and "--progress" not in arguments else []
        running = Running([command, *quiet, *arguments, self.path], self.folder, self.environment,
                          wrapper, limits)
        if command in MOVING:
            running.account = self.balance
        return running

    def balance(self):
        """Raises when the account of what runs left does not balance: the invariant of every test,
        however broken its servers are and however the run was ended."""
        states = [p for p in glob.glob(glob.escape(self.state) + "*")
                  if os.path.exists(os.path.join(p, "data.mdb"))]
        if not states:
            return
        done = Running(["report", "--json", *states], self.folder, self.environment).wait()
        if done.code == 64 and "nothing has run yet" in done.err:
            return  # killed before its first commit
        if done.code != 0:
            raise AssertionError("report: %s" % done)
        check_balance(done.json())

    def call(self, command, *arguments, limit_s=RUN_LIMIT_S, **more):
        return self.start(command, *arguments, **more).wait(limit_s)

    def report(self):
        done = self.call("report", "--json")
        if done.code != 0:
            raise AssertionError("report: %s" % done)
        return done.json()

    def drop_state(self):
        shutil.rmtree(self.state)

    def compare(self, **options):
        return compare.compare_users([
            (lambda u=user: self.source.connect(u),
             lambda a=self.login(user, address): self.target.connect(a))
            for user, address in self.users], **options)


def check_balance(report):
    """Raises unless found = uploaded + present + skipped + failed + pending holds for every folder,
    every user and in all, and a user is Synced only with nothing pending and no failure."""
    parts = ("uploaded", "present", "skipped", "failed", "pending")

    def check(holds, what, name):
        if not holds:
            raise AssertionError("the account does not balance: %s: %s" % (name, what))

    def sums(what, name):
        check(what["found"] == sum(what[p] for p in parts), what, name)

    sums(report["totals"], "totals")
    check(report["totals"]["balanced"] is True, report["totals"], "totals")
    for user in report["users"]:
        sums(user, user["address"])
        check(user["balanced"] is True, user, user["address"])
        for folder in user["folders"]:
            sums(folder, folder["source"])
        for part in ("found",) + parts:
            check(user[part] == sum(f[part] for f in user["folders"]), user,
                  "%s of %s" % (part, user["address"]))
        if user["state"] in ("Synced", "IncrementalSynced"):
            check(user["pending"] == 0 and user["failure"] is None, user, user["address"])
        if user["state"] == "Failed":
            check(user["failure"], user, user["address"] + " failed without a type")
    for part in ("found",) + parts:
        check(report["totals"][part] == sum(u[part] for u in report["users"]), report["totals"],
              part)
    return report


def core(test):
    """Marks a test class or function that is run on every loop back-end."""
    test.core = True
    return test


def lasting(test):
    """Marks a test that takes a minute or more, mostly by waiting: it is begun first, so that the suite does not end
    with it alone."""
    test.lasting = True
    return test


class Case(unittest.TestCase):
    """A test with servers and batches. One whose binary is missing fails, it does not skip."""

    maxDiff = None

    def setUp(self):
        self.assertTrue(os.access(BINARY, os.X_OK), "there is no %s; build it first" % BINARY)
        self.folder = tempfile.mkdtemp(prefix="mhe2e")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.batches = 0
        self.addCleanup(kill_leftovers)  # first of all: a folder in use cannot be removed

    def dovecot(self, users, **options):
        return self._started(servers.Dovecot({u: "pässword %s" % u for u in users}, **options))

    def cyrus(self, users, **options):
        if not servers.Cyrus.available():
            self.skipTest("no Cyrus here (scripts/packages unpacks one)")
        return self._started(servers.Cyrus({u: "password %s" % u for u in users}, **options))

    def courier(self, users, **options):
        return self._unpacked(unpacked.Courier, users, options)

    def mailutils(self, users, **options):
        return self._unpacked(unpacked.Mailutils, users, options)

    def _unpacked(self, kind, users, options):
        if not kind.available():
            self.skipTest("no %s here (scripts/packages unpacks one)" % kind.__name__)
        return self._started(kind({u: "password %s" % u for u in users}, **options))

    def _started(self, server):
        self.addCleanup(server.stop)
        return server.start()

    def target_for(self, users, **options):
        return self.dovecot(["%s@%s" % (u, DOMAIN) for u in users], **options)

    def batch(self, source, target, users, **options):
        self.batches += 1
        return Batch(os.path.join(self.folder, "b%d" % self.batches), source, target, users,
                     **options)

    def ends(self, done, code):
        """The command ended with this exit code."""
        self.assertEqual(done.code, code, str(done))
        return done

    def moved(self, batch, **options):
        """Both sides are equal."""
        result = batch.compare(**options)
        self.assertTrue(result.equal(), str(result))
        return result

    def balanced(self, report):
        """found = uploaded + present + skipped + failed + pending, everywhere."""
        return check_balance(report)
