"""Compares two IMAP servers message by message, and says what is lost, doubled or different.

    compare.py --source imaps://localhost:1 --target imaps://localhost:2 --ca ca.pem users.csv

Folders are compared as multisets: which bodies (sha256), how often, with which flags, keywords and
INTERNALDATE. UIDs and the order of messages do not matter. Exit 0 when both sides are equal.
"""

import argparse
import csv
import sys
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from imap import Mailbox


class Result:
    """lost, doubled, foreign: [(path, digest, count)]. differing: [(path, digest, source, target)],
    the two being (flags, date). missing: folders that the target does not have."""

    def __init__(self):
        self.source = self.target = 0
        self.lost, self.doubled, self.foreign = [], [], []
        self.differing, self.missing = [], []

    def equal(self):
        return not (self.lost or self.doubled or self.foreign or self.differing)

    def add(self, other):
        self.source += other.source
        self.target += other.target
        for name in ("lost", "doubled", "foreign", "differing", "missing"):
            getattr(self, name).extend(getattr(other, name))

    def __str__(self):
        lines = ["source %d, target %d messages: %d lost, %d doubled, %d foreign, %d differing" % (
            self.source, self.target, sum(c for _, _, c in self.lost),
            sum(c for _, _, c in self.doubled), sum(c for _, _, c in self.foreign),
            len(self.differing))]
        for name in ("lost", "doubled", "foreign"):
            for path, digest, count in getattr(self, name)[:10]:
                lines.append("  %s: %s %s x%d" % (name, "/".join(path), digest[:16], count))
        for path, digest, source, target in self.differing[:10]:
            lines.append("  differs: %s %s source %s %s, target %s %s" % (
                "/".join(path), digest[:16], source[1], " ".join(sorted(source[0])) or "-",
                target[1], " ".join(sorted(target[0])) or "-"))
        for path in self.missing[:10]:
            lines.append("  folder missing on the target: " + "/".join(path))
        return "\n".join(lines)


def gather(mailbox, path, ignore_flags=frozenset()):
    """{digest: Counter of (flags, date)}"""
    found = defaultdict(Counter)
    for item in mailbox.read(path):
        found[item.digest][(item.flags - ignore_flags, item.date)] += 1
    return found


def compare_folder(result, path, source, target):
    for digest, versions in source.items():
        there = target.get(digest, Counter())
        want, have = sum(versions.values()), sum(there.values())
        result.source += want
        if have < want:
            result.lost.append((path, digest, want - have))
        if have > want:
            result.doubled.append((path, digest, have - want))
        if have == want and versions != there:
            left = sorted((versions - there).elements(), key=repr)
            right = sorted((there - versions).elements(), key=repr)
            for a, b in zip(left, right):
                result.differing.append((path, digest, a, b))
    for digest, versions in target.items():
        result.target += sum(versions.values())
        if digest not in source:
            result.foreign.append((path, digest, sum(versions.values())))


def compare(source, target, target_path=lambda path: path, ignore_flags=frozenset(), only=None):
    """source and target are Mailboxes. target_path: source path -> target path, several may share
    one, None when the folder is not moved. only: folders to look at, default all of the source;
    then folders of the target alone must be empty."""
    result = Result()
    ignore_flags = frozenset(ignore_flags)
    there = target.folders()
    wanted = defaultdict(lambda: defaultdict(Counter))
    for path in source.folders():
        goal = target_path(path)
        if goal is None or only is not None and path not in only:
            continue
        for digest, versions in gather(source, path, ignore_flags).items():
            wanted[goal][digest].update(versions)
        wanted[goal]  # an empty folder counts as well
    for goal, bodies in wanted.items():
        found = {}
        if goal in there:
            found = gather(target, goal, ignore_flags)
        else:
            result.missing.append(goal)
        compare_folder(result, goal, bodies, found)
    if only is None:
        for path in there:
            if path not in wanted:
                compare_folder(result, path, {}, gather(target, path, ignore_flags))
    return result


def compare_users(pairs, **options):
    """pairs: [(connect to source, connect to target)], functions that return Mailboxes."""
    def one(pair):
        with pair[0]() as source, pair[1]() as target:
            return compare(source, target, **options)

    result = Result()
    with ThreadPoolExecutor(2) as pool:
        for part in pool.map(one, pairs):
            result.add(part)
    return result


def opener(url, user, password, ca):
    parts = urlsplit(url)
    return lambda: Mailbox(parts.hostname, parts.port, user, password,
                           ca if parts.scheme == "imaps" else None)


def main():
    parser = argparse.ArgumentParser(description="compare two IMAP servers")
    parser.add_argument("--source", required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--ca", required=True)
    parser.add_argument("users", help="users.csv, as mailhaul takes it")
    options = parser.parse_args()
    pairs = []
    with open(options.users, encoding="utf-8-sig", newline="") as f:
        for row in csv.DictReader(f):
            pairs.append((
                opener(options.source, row["UserName"], row["Password"], options.ca),
                opener(options.target, row.get("TargetUserName") or row["EmailAddress"],
                       row["TargetPassword"], options.ca)))
    result = compare_users(pairs)
    print(result)
    sys.exit(0 if result.equal() and not result.missing else 1)


if __name__ == "__main__":
    main()
