#!/usr/bin/python3
"""A batch against a tenant whose budget nobody told it: how much of it is used, and how politely.

    bench/budget.py [--mailboxes 64] [--minutes 20] [--settle 5] [--rate 40] [--burst 1200]
                    [--no-warning] [--processes N] [--set KEY=VALUE]... [--plot FILE.svg] [--check]

The source is a Dovecot with more mail than the run can move, the target is the simulated Exchange
Online (mailhaul-exo) with a hidden budget of --rate cost a second for the whole tenant. A message
costs 1 + bytes / 150,000 there; mailhaul reckons with 100,000, so its idea of the budget is wrong
by design. The run is stopped after --minutes. What comes before --settle minutes is convergence;
the figures after it are those of the rest:

    use             accepted cost over what the budget gave
    replies_per_min throttle replies a minute
    jain            fairness over the mailboxes' accepted cost, 1 is even; of the whole run
    t80_s           from the first APPEND until five seconds together ran at 80 % of the budget
    failures        what the report names, but for throttling: 0, also with --set token-life-s=60
    violations      APPENDs inside a back-off, of a mailbox or of the tenant; 0 or a fault
    witnesses       APPENDs that asked whether a cut is the tenant's: three a cut at most are no violation

--no-warning: answers do not get slower before the cut. --processes: so many share the batch as
shards, with a ledger folder. --plot draws the run. --check: exit code 1 unless use >= 0.95,
replies_per_min <= 0.5, jain >= 0.95, t80_s <= 60, failures = 0 and violations = 0. Prints one JSON line.
"""

import argparse
import json
import math
import os
import random
import shutil
import signal
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))

import exchange  # noqa: E402
import haul  # noqa: E402
import mail  # noqa: E402
import servers  # noqa: E402

COST_BYTES = 150000


def mailboxes(count, messages, seed):
    """{user: folders}, tiny messages with now and then some weight."""
    sizes = random.Random(seed)
    serial = 0
    for i in range(count):
        box = []
        for _ in range(messages):
            serial += 1
            weight = min(60000, int(math.exp(sizes.gauss(6.5, 1.4))))
            box.append(mail.tiny(serial, extra=b"x" * 70 + b"\r\n" + b"0123456789 abcdef\r\n" *
                                 (weight // 19)))
        yield "user%03d" % (i + 1), {("INBOX",): box[: messages // 2],
                                    ("Archive",): box[messages // 2:]}


def figures(stats, options):
    """The measures, and the accepted cost of each second since the first APPEND."""
    seconds = stats["by_second"]
    first = next(i for i, s in enumerate(seconds) if s["appends"])
    last = max(i for i, s in enumerate(seconds) if s["appends"])
    rows = seconds[first:min(last, first + options.minutes * 60 - 1) + 1]
    settle = options.settle * 60
    after = rows[settle:]
    t80 = next((i for i in range(5, len(rows) + 1)
                if sum(r["cost"] for r in rows[i - 5:i]) / 5 >= 0.8 * options.rate), None)
    costs = [m["cost"] for m in stats["by_mailbox"]]
    return rows, {
        "seconds": len(rows),
        "use": round(sum(r["cost"] for r in after) / (options.rate * len(after)), 4),
        "replies_per_min": round(sum(r["throttled"] for r in after) / (len(after) / 60), 3),
        "replies_before": sum(r["throttled"] for r in rows[:settle]),
        "jain": round(sum(costs) ** 2 / (len(costs) * sum(c * c for c in costs)), 4),
        "t80_s": t80,
        "violations": stats["violations"] + stats["violations_tenant"],
        "witnesses": stats["witnesses"],
        "connects_per_s_max": stats["connects_per_s_max"],
        "appends": stats["appends"],
        "tokens": stats["tokens"],
        "failures": stats["run_failures"],
    }


def run(options, folder):
    users = {}
    source = servers.Dovecot({"user%03d" % (i + 1): "password" for i in range(options.mailboxes)},
                             format="maildir", separator=".")
    source.start()
    each = int(options.rate * options.minutes * 60 * 1.3 / options.mailboxes) + 50
    for user, folders in mailboxes(options.mailboxes, each, 1):
        source.seed(user, folders)
        users[user] = "%s@%s" % (user, haul.DOMAIN)
    settings = {
        "tenant-rate": options.rate, "tenant-burst": options.burst,
        "tenant-cutoff": options.burst / 10, "cost-bytes": COST_BYTES, "append-ms": 80,
        "jitter-percent": 30, "keep": "id", "delay-max-ms": 0 if options.no_warning else 400,
        "hint-word": "both"}
    settings.update(pair.split("=", 1) for pair in options.set)
    target = exchange.Exchange(users.values(), **settings)
    target.start()
    try:
        batch = target.take(haul.Batch(os.path.join(folder, "b"), source, target, list(users)))
        if options.processes > 1:
            os.makedirs(os.path.join(batch.folder, "ledger"))
            batch.set("batch", "ledger", "ledger")
        batch.write()
        words = ["--log", os.path.abspath(options.log), "--log-level", "debug"] if options.log else []
        shards = [batch.start("run", *words, *(["--shard", "%d/%d" % (i + 1, options.processes)]
                                       if options.processes > 1 else []), write=False)
                  for i in range(options.processes)]
        limit = time.monotonic() + options.minutes * 60 + 30
        while time.monotonic() < limit and not any(s.ended() for s in shards):
            time.sleep(0.5)
        stats = target.stats()
        early = any(s.ended() for s in shards)
        for s in shards:
            if not s.ended():
                s.signal(signal.SIGTERM)
        for s in shards:
            done = s.wait(30)
            if early or done.code != 2:
                raise SystemExit("mailhaul: %s" % done)
        stats["run_failures"] = sum(
            f["count"] for u in batch.report()["users"] for f in u["failures"]
            if f["class"] != "throttled")
        return stats
    finally:
        target.stop()
        source.stop()


# ---- the plot ------------------------------------------------------------------------------------

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 800, 300, 52, 12, 34, 36


def plot(path, rows, result, options):
    """Accepted cost a second (means of 5 s), the hidden budget, and each throttle reply."""
    means = [sum(r["cost"] for r in rows[i:i + 5]) / len(rows[i:i + 5])
             for i in range(0, len(rows), 5)]
    top = max(max(means), options.rate) * 1.1
    across = WIDTH - LEFT - RIGHT
    down = HEIGHT - TOP - BOTTOM

    def x(second):
        return LEFT + across * second / len(rows)

    def y(value):
        return TOP + down * (1 - value / top)

    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" '
           'font-size="11">' % (WIDTH, HEIGHT),
           '<rect width="100%" height="100%" fill="#fff"/>',
           '<text x="%d" y="18" font-size="13">%d mailboxes, hidden budget %g cost/s: %.1f %% used, '
           '%.2f throttle replies a minute, Jain %.3f, 80 %% after %s s</text>' % (
               LEFT, options.mailboxes, options.rate, 100 * result["use"],
               result["replies_per_min"], result["jain"], result["t80_s"])]
    step = 10 ** math.floor(math.log10(top / 2))
    step = next(s for s in (step, 2 * step, 5 * step, 10 * step) if top / s <= 6)
    for i in range(int(top / step) + 1):
        out.append('<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%g'
                   '</text>' % (LEFT, y(i * step), WIDTH - RIGHT, LEFT - 6, y(i * step) + 4,
                                i * step))
    every = next(m for m in (1, 2, 5, 10, 30, 60, 240) if len(rows) / 60 / m <= 12)
    for minute in range(0, len(rows) // 60 + 1, every):
        out.append('<text x="%.1f" y="%d" text-anchor="middle">%d</text>' % (
            x(minute * 60), HEIGHT - BOTTOM + 16, minute))
    out.append('<text x="%d" y="%d" text-anchor="end">minutes since the first APPEND</text>' % (
        WIDTH - RIGHT, HEIGHT - 5))
    out.append('<rect x="%d" y="%d" width="%.1f" height="%d" fill="#000" opacity="0.05"/>' % (
        LEFT, TOP, x(min(options.settle * 60, len(rows))) - LEFT, down))
    out.append('<path d="M%s" fill="none" stroke="#06c" stroke-width="1.3"/>' % "L".join(
        "%.1f %.1f" % (x(5 * i + 2.5), y(v)) for i, v in enumerate(means)))
    out.append('<path d="M%d %.1fH%d" stroke="#080" stroke-dasharray="6 4" stroke-width="1.5"/>' % (
        LEFT, y(options.rate), WIDTH - RIGHT))
    for i, r in enumerate(rows):
        if r["throttled"]:
            out.append('<path d="M%.1f %d v%.1f" stroke="#c00" stroke-width="1.5"><title>%d throttle '
                       'replies</title></path>' % (x(i + 0.5), TOP + down,
                                                   -min(40, 4 + 2 * r["throttled"]),
                                                   r["throttled"]))
    for place, (color, text) in enumerate((("#06c", "accepted cost/s"), ("#080", "hidden budget"),
                                           ("#c00", "throttle replies"))):
        out.append('<text x="%d" y="%d" fill="%s">%s</text>' % (LEFT + 4 + 120 * place,
                                                                HEIGHT - 5, color, text))
    out.append("</svg>\n")
    with open(path, "w") as f:
        f.write("\n".join(out))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mailboxes", type=int, default=64)
    parser.add_argument("--minutes", type=int, default=20)
    parser.add_argument("--settle", type=int, default=5)
    parser.add_argument("--rate", type=float, default=40)
    parser.add_argument("--burst", type=float, default=1200)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--no-warning", action="store_true")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--log", help="mailhaul's own log, with the pace's state every 15 s")
    parser.add_argument("--plot")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if options.settle >= options.minutes:
        parser.error("--settle must be shorter than --minutes")
    folder = tempfile.mkdtemp(prefix="mhbudget")
    try:
        rows, result = figures(run(options, folder), options)
    finally:
        haul.kill_leftovers()
        shutil.rmtree(folder, True)
    if options.plot:
        plot(options.plot, rows, result, options)
    print(json.dumps({"mailboxes": options.mailboxes, "rate": options.rate, "burst": options.burst,
                      "processes": options.processes, "warning": not options.no_warning, **result}))
    good = (result["use"] >= 0.95 and result["replies_per_min"] <= 0.5 and
            result["jain"] >= 0.95 and (result["t80_s"] or 1e9) <= 60 and
            result["violations"] == 0 and result["failures"] == 0)
    sys.exit(1 if options.check and not good else 0)


if __name__ == "__main__":
    main()
