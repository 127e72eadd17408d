#!/usr/bin/python3
"""Runs the end-to-end tests, one line each: run.py [--core] [--list] [--jobs N] [NAME ...]

NAME is part of a test's name (test_move, test_move.Move.test_starttls). --core: only those that
are repeated on every loop back-end. --counts FILE: writes "passed failed skipped" there.
--jobs N: so many at once, each in a process of its own; the tests of a class that shares a
set-up stay together. Exit code 0 when none failed and at least one ran.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "support")]


class Lines(unittest.TestResult):
    def __init__(self, label):
        super().__init__()
        self.label, self.passed, self.outcome = label, 0, None
        self.broken_setups = 0

    def startTest(self, test):
        super().startTest(test)
        self.began, self.outcome = time.monotonic(), "ok"

    def stopTest(self, test):
        super().stopTest(test)
        word, detail = self.outcome, ""
        if isinstance(word, tuple):
            word, detail = word
        self.passed += word == "ok"
        print("%-4s %s%s (%.1f s)%s" % (word, test.id(), self.label,
                                        time.monotonic() - self.began,
                                        detail if word == "skip" else ""), flush=True)
        if word == "FAIL":
            print("     " + detail.rstrip().replace("\n", "\n     "), flush=True)

    def _failed(self, test, error):
        text = self._exc_info_to_string(error, test)
        if not isinstance(test, unittest.TestCase):  # a setUpClass that broke has no own test
            self.broken_setups += 1
            print("FAIL %s\n     %s" % (test, text.rstrip().replace("\n", "\n     ")), flush=True)
        earlier = self.outcome[1] if isinstance(self.outcome, tuple) else ""
        self.outcome = ("FAIL", earlier + text)

    def addError(self, test, err):
        super().addError(test, err)
        self._failed(test, err)

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.outcome = ("FAIL", "it passes, and is marked as one that cannot: take the mark away")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._failed(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._failed(test, err)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.outcome = ("skip", ": " + reason)

    def counts(self, total):
        skipped = len(self.skipped)
        return self.passed, max(total - self.passed - skipped, self.broken_setups), skipped


def every_test(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from every_test(item)
        else:
            yield item


def found(options):
    """The tests to choose from. Of a process that runs a few by their whole names only those: to load all of
    the suite costs more than many a test. A module that does not load is looked at with the others."""
    loader = unittest.TestLoader()
    if options.exact and not any("FailedTest" in name for name in options.names):
        return every_test(loader.loadTestsFromNames(options.names))
    return every_test(loader.discover(HERE, "test_*.py", HERE))


def is_core(test):
    method = getattr(test, test._testMethodName, None)
    return getattr(method, "core", False) or getattr(type(test), "core", False)


def shares_setup(kind):
    return kind.setUpClass.__func__ is not unittest.TestCase.setUpClass.__func__


def pieces(tests):
    """What one process runs: lists of whole names."""
    together = {}
    for test in tests:
        kind = type(test)
        key = kind if shares_setup(kind) else test.id()
        together.setdefault(key, []).append(test.id())
    return list(together.values())


class Crew:
    """Runs pieces in processes side by side; prints each one's lines when it has ended."""

    def __init__(self, work, jobs):
        self.work, self.lock, self.running = list(reversed(work)), threading.Lock(), set()
        self.sums = [0, 0, 0]
        self.threads = [threading.Thread(target=self.member) for _ in range(min(jobs, len(work)))]

    def member(self):
        while True:
            with self.lock:
                if not self.work:
                    return
                names = self.work.pop()
            self.one(names)

    def one(self, names):
        with tempfile.NamedTemporaryFile("r") as counts:
            process = subprocess.Popen(
                [sys.executable, os.path.abspath(__file__), "--exact", "--counts", counts.name,
                 *names], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, errors="replace")
            self.running.add(process)
            text = process.communicate()[0]
            self.running.discard(process)
            numbers = counts.read().split()
        lines = [line for line in text.splitlines() if not line.startswith("end-to-end")]
        with self.lock:
            print("\n".join(lines), flush=True)
            if len(numbers) != 3:
                print("FAIL %s: its process ended with %s before it had counted" % (
                    " ".join(names), process.returncode), flush=True)
                numbers = [0, len(names), 0]
            self.sums = [a + int(b) for a, b in zip(self.sums, numbers)]

    def run(self):
        for thread in self.threads:
            thread.start()
        try:
            for thread in self.threads:
                thread.join()
        except BaseException:
            with self.lock:
                self.work.clear()
            for process in list(self.running):
                process.terminate()
            for thread in self.threads:
                thread.join()
            raise
        return tuple(self.sums)


def main():
    parser = argparse.ArgumentParser(description="end-to-end tests of mailhaul")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--core", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--exact", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--counts")
    options = parser.parse_args()

    # Names that fit nothing and modules that do not load stay in: they are failures.
    chosen = [t for t in found(options)
              if (not options.core or is_core(t) or "FailedTest" in t.id())
              and (t.id() in options.names if options.exact else
                   not options.names or any(n in t.id() for n in options.names)
                   or "FailedTest" in t.id())]
    if options.list:
        print("\n".join(t.id() for t in chosen))
        return 0
    # Ctrl-C and a time limit's SIGTERM both end the servers on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    loop = os.environ.get("MAILHAUL_LOOP")
    result = Lines(" [%s]" % loop if loop else "")
    began = time.monotonic()
    if options.jobs > 1:
        passed, failed, skipped = Crew(pieces(chosen), options.jobs).run()
    else:
        unittest.TestSuite(chosen).run(result)
        passed, failed, skipped = result.counts(len(chosen))
    if options.counts:
        with open(options.counts, "w") as f:
            f.write("%d %d %d\n" % (passed, failed, skipped))
    print("end-to-end%s: %d ok, %d not, %d left out, in %.0f s" % (
        result.label, passed, failed, skipped, time.monotonic() - began))
    if not chosen:
        print("no test is called " + " or ".join(options.names), file=sys.stderr)
    return 0 if chosen and failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
