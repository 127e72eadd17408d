#!/usr/bin/python3
"""Runs the end-to-end tests, one line each: run.py [--core] [--list] [--jobs N] [NAME ...]

NAME is part of a test's name (test_move, test_move.Move.test_starttls). --core: only those that
are repeated on every loop back-end. --counts FILE: writes "passed failed skipped" there. --failures FILE: adds
what failed there, so that whoever starts several runs can tell it at the end once more. --lag SEED: servers
behind lines of random lag (tests/support/lag.py).
--jobs N: so many at once, each in a process of its own, forked off when all of the suite is loaded: to start a
Python and load it costs more processor time than many a test. The tests of a class that shares a set-up stay
together; it ends with what took most of the processors. Exit code 0 when none failed and at least one ran.
"""

import argparse
import atexit
import os
import re
import signal
import sys
import tempfile
import time
import traceback
import unittest

DEAREST = 12
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "support")]

import lag  # noqa: E402
import servers  # noqa: E402


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


def found():
    return every_test(unittest.TestLoader().discover(HERE, "test_*.py", HERE))


def is_core(test):
    method = getattr(test, test._testMethodName, None)
    return getattr(method, "core", False) or getattr(type(test), "core", False)


def is_lasting(test):
    return getattr(getattr(test, test._testMethodName, None), "lasting", False)


def shares_setup(kind):
    return kind.setUpClass.__func__ is not unittest.TestCase.setUpClass.__func__


def pieces(tests):
    """What one process runs: lists of tests, those that take longest first."""
    together = {}
    for test in tests:
        kind = type(test)
        together.setdefault(kind if shares_setup(kind) else test.id(), []).append(test)
    return sorted(together.values(), key=lambda tests: not any(is_lasting(t) for t in tests))


def failures_of(text):
    """Each FAIL of a piece's output, with the lines that belong to it."""
    return [m.group().rstrip("\n") for m in re.finditer(r"^FAIL .*\n?(?:^ .*\n?)*", text, re.MULTILINE)]


class Piece:
    """Tests in a process of their own; what it prints and counts goes to files."""

    def __init__(self, tests, label):
        self.names = [t.id() for t in tests]
        self.output, self.counts = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self._be(tests, label)

    def _be(self, tests, label):
        code = 1
        try:
            for number, file in ((0, open(os.devnull, "rb")), (1, self.output), (2, self.output)):
                os.dup2(file.fileno(), number)
            result = Lines(label)
            unittest.TestSuite(tests).run(result)
            numbers = result.counts(len(tests))
            self.counts.write(b"%d %d %d %.2f" % (*numbers, servers.processor_s()))
            self.counts.flush()
            code = 0
        except BaseException:  # no more of the parent's than its memory is to be run here
            traceback.print_exc()
        finally:
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def ended(self, status):
        """([passed, failed, skipped], processor seconds); prints its lines."""
        self.output.seek(0)
        self.counts.seek(0)
        text, numbers = self.output.read().decode("utf-8", "replace"), self.counts.read().split()
        self.output.close()
        self.counts.close()
        print(text.rstrip("\n"), flush=True)
        self.failures = failures_of(text)
        if len(numbers) != 4:
            self.failures.append("FAIL %s: its process ended with %s before it had counted" % (
                " ".join(self.names), os.waitstatus_to_exitcode(status)))
            print(self.failures[-1], flush=True)
            return [0, len(self.names), 0], 0.0
        return [int(n) for n in numbers[:3]], float(numbers[3])


class Crew:
    """Runs pieces side by side. One thread alone: it forks."""

    def __init__(self, work, jobs, label):
        self.work, self.jobs, self.label = work, jobs, label
        self.sums, self.used, self.failures = [0, 0, 0], [], []

    def run(self):
        servers.authority()  # one for all of them
        running, waiting = {}, list(reversed(self.work))
        try:
            while waiting or running:
                while waiting and len(running) < self.jobs:
                    piece = Piece(waiting.pop(), self.label)
                    running[piece.pid] = piece
                pid, status = os.wait()
                piece = running.pop(pid, None)
                if piece:
                    numbers, seconds = piece.ended(status)
                    self.sums = [a + b for a, b in zip(self.sums, numbers)]
                    self.used.append((seconds, piece.names))
                    self.failures += piece.failures
        finally:
            for pid in running:
                os.kill(pid, signal.SIGTERM)
            for pid in running:
                os.waitpid(pid, 0)
        return tuple(self.sums)

    def dearest(self):
        """Processor seconds, servers and children with it: in all, and of the dearest pieces."""
        self.used.sort(reverse=True)
        print("processor seconds: %.0f in all, of it" % sum(s for s, _ in self.used))
        for seconds, names in self.used[:DEAREST]:
            print("  %6.1f  %s%s" % (seconds, os.path.commonprefix(names).rstrip("."),
                                     " (%d tests)" % len(names) if len(names) > 1 else ""))


def main():
    parser = argparse.ArgumentParser(description="end-to-end tests of mailhaul")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--core", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--counts")
    parser.add_argument("--failures")
    parser.add_argument("--lag", type=int)
    options = parser.parse_args()

    # Names that fit nothing and modules that do not load stay in: they are failures.
    chosen = [t for t in found()
              if "FailedTest" in t.id() or
              (not options.core or is_core(t)) and
              (not options.names or any(n in t.id() for n in options.names))]
    if options.list:
        print("\n".join(t.id() for t in chosen))
        return 0
    if options.lag is not None:
        lag.install(options.lag)
    # Ctrl-C and a time limit's SIGTERM both end the servers on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    loop = os.environ.get("MAILHAUL_LOOP")
    label = " [%s]" % loop if loop else ""
    began = time.monotonic()
    crew = Crew(pieces(chosen), max(options.jobs, 1), label)
    passed, failed, skipped = crew.run()
    crew.dearest()
    if options.failures and crew.failures:
        with open(options.failures, "a") as f:
            f.write("\n".join(crew.failures) + "\n")
    if options.counts:
        with open(options.counts, "w") as f:
            f.write("%d %d %d\n" % (passed, failed, skipped))
    print("end-to-end%s: %d ok, %d not, %d left out, in %.0f s" % (
        label, passed, failed, skipped, time.monotonic() - began))
    if not chosen:
        print("no test is called " + " or ".join(options.names), file=sys.stderr)
    return 0 if chosen and failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
