"""Rounds of faults: a migration into a target that fails by plan, stopped and killed and gone on with; then both
sides are compared by digest, and with the account. All of a round comes from one seed.

    with Arena(folder) as arena:
        result = arena.play(seed)     # result.verdicts is empty when all is well

Servers are started once; each round has users of its own.
"""

import collections
import json
import os
import random
import shutil
import signal
import tempfile
import threading
import time

import exchange
import faulty
import haul
import imap
import mail
import servers
from faulty import Append, Faulty, Plan
from meddler import Meddler, Rule

PASSWORD = "secret"
SETTLE_MS = 120
STALL_MS = 500
STATIC = "passdb {\n  driver = static\n  args = password=%s\n}\n" % PASSWORD

# Shares are of 1,000 APPENDs; each round draws some kinds. Losses cost a look each, silence costs STALL_MS besides.
WEIGHTS = {"stored-cut": 6, "never-cut": 3, "half-cut": 3, "stored-refused": 6, "never-refused": 3, "stored-silent": 2,
           "never-silent": 1, "part-refused": 4, "part-cut": 4, "never-ok": 1, "late-cut": 4, "late-silent": 1}


class Result:
    def __init__(self, seed):
        self.seed, self.verdicts, self.seconds = seed, [], 0.0
        self.setting, self.acts = {}, {}
        self.together = self.kills = self.runs = self.messages = self.lost = self.doubled = self.named = self.late = 0
        self.removed_and_named = 0
        self.foreign = self.removed = self.alike = self.swapped = self.unrecognised = 0
        self.arrived = self.deleted = self.renumbered = self.source_cuts = 0
        self.states = []
        self.kept = None

    def row(self):
        return json.dumps(self.__dict__, sort_keys=True)


# ---- mail

def odd(serial, date, extra, message_id=True):
    """Messages that differ in `extra` alone have one key: date, Message-ID, From and Subject."""
    name = b"Message-ID: <odd.%d@mail.example>\r\n" % serial if message_id else b""
    body = (b"From: <a@mail.example>\r\nTo: <b@mail.example>\r\nSubject: Odd %d\r\n%s"
            b"Date: Thu, 02 Jan 2014 00:00:00 +0000\r\n\r\nText.\r\n%s\r\n" % (serial, name, extra))
    return mail.Message(body, date, ("\\Seen",))


def messages_of(chance, count):
    """Mostly unlike one another; some are equal, have no Message-ID, or one key with another content."""
    base = chance.randrange(1, 1 << 28)
    found, serial = [], base
    while len(found) < count:
        serial += 1
        date = mail.FIRST_S + serial % (9 * mail.YEAR_S)
        kind = chance.random()
        if kind < 0.88:
            found.append(mail.tiny(serial, date, extra=b"x" * chance.randrange(200)))
        elif kind < 0.91:
            found += [odd(serial, date, b"same")] * chance.choice([2, 2, 3])
        elif kind < 0.93:
            found += [odd(serial, date + i, b"same") for i in range(2)]
        elif kind < 0.96:
            found.append(odd(serial, date, b"no name", False))
        elif kind < 0.97:
            found += [odd(serial, date, b"no name, twice", False)] * 2
        elif kind < 0.99:
            found += [odd(serial, date, b"list copy" + b"y" * 30 * i) for i in range(2)]
        else:
            found += [odd(serial, date, b"size alike %d" % i) for i in range(2)]
    found = found[:count]
    chance.shuffle(found)
    return found


def told_apart_by_content_alone(messages):
    """Digests of messages that differ from another of one header and date, and of their very size, in content alone."""
    groups = collections.defaultdict(set)
    for m in messages:
        groups[m.body.partition(b"\r\n\r\n")[0], m.date, len(m.body)].add(faulty.digest_of(m.body))
    return {digest for group in groups.values() if len(group) > 1 for digest in group}


def not_recognised(messages, own_dates):
    """Digests of mail that may be there twice after a lost answer, and then has to be named: without Message-ID, on a
    target that gives dates of its own."""
    return {faulty.digest_of(m.body) for m in messages
            if own_dates and b"\nmessage-id:" not in m.body.partition(b"\r\n\r\n")[0].lower()}


# ---- the target, whichever it is

class DovecotTarget:
    def __init__(self, server):
        self.server, self.port_plain, self.ca, self.users = server, server.port_plain, server.ca, server.users

    def mailbox(self, user):
        return imap.Mailbox("127.0.0.1", self.port_plain, user, PASSWORD)

    def there(self, user, folder):
        with self.mailbox(user) as mailbox:
            path = tuple(folder.split("/"))
            if path not in mailbox.folders():
                return collections.Counter()
            return collections.Counter(item.digest for item in mailbox.read(path))

    def remove(self, user, folder):
        with self.mailbox(user) as mailbox:
            mailbox.imap.delete(folder)

    def end(self, users):
        for user in users:
            shutil.rmtree(self.server.home(user), True)


class CyrusTarget(DovecotTarget):
    """One of the round's own."""

    def __init__(self, users):
        super().__init__(servers.Cyrus(dict.fromkeys(users, PASSWORD), separator="/", altnamespace=True,
                                       extra="virtdomains: userid").start())

    def end(self, users):
        self.server.stop()


class ExoTarget:
    def __init__(self, seed, users, options):
        self.exo = exchange.Exchange(users, **{
            "keep": "body", "plain-auth": "yes", "plain-password": PASSWORD, "imap-plain-port": 0, "seed": seed,
            "append-ms": 0, "errors-max": 0, **options})
        self.exo.start()
        self.port_plain, self.ca = self.exo.plain_port, self.exo.ca
        self.users = dict.fromkeys(users, PASSWORD)

    def mailbox(self, user):
        return imap.Mailbox("127.0.0.1", self.port_plain, user, PASSWORD)

    def there(self, user, folder):
        return collections.Counter(m["sha256"] for m in self.exo.messages(user) if m["folder"] == folder)

    def remove(self, user, folder):
        with self.mailbox(user) as mailbox:
            mailbox.imap.delete(folder)

    def end(self, users):
        self.exo.stop()


# ---- a round

def draw(seed, overrides=None):
    """What the round is, as plain values."""
    chance = random.Random(seed)
    few = chance.random() < 0.3
    s = {
        "target": chance.choice(["dovecot", "exo"]),
        "preset": "imap",
        "users": 3 if few else 1,
        "messages": chance.randrange(100, 201) if few else chance.randrange(100, 601),
        "folder": chance.choice(["INBOX", "Box"]),
        "connections": chance.choice([1, 4, 4, 4]),
        "drops": [],
        "uids": chance.choice(["true"] * 6 + ["absent", "absent", "high", "other"]),
        "own_dates": chance.random() < 0.08,
        "view": chance.choice(["noop", "command"]),
        "answer_ms": chance.choice([0, 12, 15]),
        "prefilled": chance.choice([0, 0, 0, 0.3]),
        "foreign": chance.choice([0, 0, 3]),
        "stops": chance.randrange(0, 5),
        "first": chance.choice(["run", "run", "run", "fetch", "fetch+upload"]),
    }
    if chance.random() < 0.03 and s["target"] == "exo":
        # Its waits after trouble are in minutes at most: few of these rounds, and small ones.
        s["preset"], s["messages"] = "exchange-online", 100
    if s["target"] == "exo":
        s["drops"] = [] if chance.random() < 0.7 else ["LITERAL+"]
    else:
        s["drops"] = chance.choice([[], ["MULTIAPPEND"], ["MULTIAPPEND"], ["MULTIAPPEND", "LITERAL+"],
                                    ["MULTIAPPEND", "UIDPLUS"]])
    if s["connections"] == 4 and chance.random() < 0.8:
        s["answer_ms"] = chance.choice([12, 15])
    s["removed"] = s["folder"] == "Box" and chance.random() < 0.1
    kinds = chance.sample(list(WEIGHTS), chance.randrange(1, 6))
    commands = s["messages"] * s["users"] / (20 if s["target"] == "dovecot" and not s["drops"] else 1)
    wanted = chance.uniform(1, 8 if s["preset"] == "imap" else 2)
    whole = sum(WEIGHTS[k] for k in kinds)
    s["shares"] = {k: round(min(300, 1000 * wanted * WEIGHTS[k] / whole / commands), 2) for k in kinds}
    if not any(k.startswith("late") for k in kinds) and s["uids"] == "true" and not s["own_dates"] and \
            chance.random() < 0.15:
        s["state_lost"] = True
    s.update(draw_source(seed))
    s.update(overrides or {})
    if "MULTIAPPEND" not in s["drops"] and random.Random("amid %d" % seed).random() < 0.4:
        s["shares"]["amid-cut"] = 60  # likewise
    if s["own_dates"]:
        s["prefilled"] = 0  # whoever filled it before would have got other dates, too
        s["state_lost"] = s["renumbered"] = False  # what is not recognised then is not promised to be named
    return s


def draw_source(seed):
    """What the source does meanwhile. A chance of its own: what else a seed means stays as it is."""
    chance = random.Random("source %d" % seed)
    return {
        "arrives": chance.choice([0] * 4 + [3, 20]),  # at most so many messages between two runs
        "deletes": chance.choice([0] * 5 + [5]),
        "renumbered": chance.random() < 0.05,  # UIDVALIDITY changes between two runs
        "source_cuts": chance.choice([0] * 4 + [1, 4]),  # connections that go at a FETCH, a run
    }


class Round:
    def __init__(self, arena, seed, overrides=None):
        self.arena, self.seed = arena, seed
        self.setting = draw(seed, overrides)
        self.chance = random.Random("round %d" % seed)
        self.result = Result(seed)
        self.result.setting = self.setting
        self.folder = tempfile.mkdtemp(prefix="seed%d-" % seed, dir=arena.folder)
        self.log = open(os.path.join(self.folder, "proxy.log"), "w")
        self.sides = []  # threads that meddle with the target
        self.foreign = collections.defaultdict(collections.Counter)
        self.gone = collections.defaultdict(collections.Counter)  # deleted at the source: there or not
        self.source = None  # what stands before the source, if anything does

    # ---- setting up

    def set_up(self):
        s, chance = self.setting, self.chance
        names = ["u%d-%d" % (self.seed, i) for i in range(s["users"])]
        self.names, self.addresses = names, ["%s@%s" % (n, haul.DOMAIN) for n in names]
        self.mail = {}
        for name, address in zip(names, self.addresses):
            self.arena.source.users[name] = PASSWORD
            self.mail[address] = messages_of(chance, s["messages"])
            self.arena.source.seed(name, {("INBOX",): [], self.path: self.mail[address]})
        self.result.messages = s["messages"] * s["users"]
        if s["target"] == "dovecot":
            self.target = DovecotTarget(self.arena.dovecot)
            self.arena.dovecot.users.update(dict.fromkeys(self.addresses, PASSWORD))
        elif s["target"] == "cyrus":
            self.target = CyrusTarget(self.addresses)
        else:
            self.target = ExoTarget(self.seed, self.addresses, {"view": s["view"]})
        self.plan = Plan(self.seed, s["shares"], s["drops"], s["uids"], s["own_dates"], s["answer_ms"] / 1000)
        self.proxy = Faulty(self.target, self.plan, self.log).start()
        for address in self.addresses:
            if s["prefilled"]:
                with self.target.mailbox(address) as mailbox:
                    mailbox.ensure((s["folder"],))
                    mailbox.append((s["folder"],), chance.sample(
                        self.mail[address], int(s["messages"] * s["prefilled"])))
        source = self.arena.source
        if s["source_cuts"]:
            source = self.source = Meddler(source, []).start()
        self.batch = haul.Batch(os.path.join(self.folder, "batch"), source, self.proxy,
                                list(zip(names, self.addresses)))
        sections = self.batch.sections
        sections["batch"]["spool-max"] = "16MB"
        sections["source"] = {"url": source.url(False), "tls": "none"}
        sections["target"] = {"preset": s["preset"], "url": self.proxy.url(), "tls": "none",
                              "connections-per-mailbox": s["connections"], "settle-time": "%dms" % SETTLE_MS,
                              "stall-limit": "%dms" % STALL_MS}
        if s["preset"] != "imap":
            own = sections["target"]
            self.target.exo.take(self.batch)
            sections["target"].update(own, preset=s["preset"])
        sections["policy"] = {"retry-wait": "10ms"}

    @property
    def path(self):
        return (self.setting["folder"],)

    # ---- the source, between two runs

    def arrive(self, name, address):
        """New mail, some of it equal to what is there."""
        count = self.chance.randrange(1, 1 + self.setting["arrives"])
        new = messages_of(self.chance, count)
        new = [self.chance.choice(self.mail[address]) if self.chance.random() < 0.1 else m for m in new]
        self.arena.source.seed(name, {self.path: new})
        self.mail[address] += new
        self.result.arrived += len(new)
        self.log.write("%.3f arrived %s\n" % (time.time(), " ".join(faulty.digest_of(m.body)[:12] for m in new)))

    def delete(self, name, address):
        path = self.path
        with self.arena.source.connect(name) as mailbox:
            uids = mailbox.uids(path)
            chosen = set(self.chance.sample(uids, min(len(uids), self.setting["deletes"])))
            digests = [item.digest for uid, item in zip(uids, mailbox.read(path)) if uid in chosen]
            if chosen:
                mailbox.imap.select(path[0])
                mailbox.imap.uid("STORE", ",".join(map(str, chosen)), "+FLAGS", "(\\Deleted)")
                mailbox.imap.expunge()
        self.gone[address].update(digests)
        self.result.deleted += len(digests)
        self.log.write("%.3f deleted %s\n" % (time.time(), " ".join(d[:12] for d in digests)))

    def renumber(self, name):
        """The folder has another UIDVALIDITY from now on."""
        self.result.renumbered += 1
        self.arena.source.doveadm("mailbox", "update", "-u", name, "--uid-validity",
                                  str(1700000000 + self.seed % 1000000 + self.result.renumbered),
                                  self.setting["folder"])
        self.log.write("%.3f renumbered\n" % time.time())

    def between_runs(self):
        s, chance = self.setting, self.chance
        for name, address in zip(self.names, self.addresses):
            if s["arrives"] and chance.random() < 0.5:
                self.arrive(name, address)
            if s["deletes"] and chance.random() < 0.5:
                self.delete(name, address)
            if s["renumbered"] and chance.random() < 0.3:
                self.renumber(name)

    def aside(self, event, work):
        def go():
            if event.wait(20) and not self.over:
                try:
                    work()
                except Exception as error:  # pylint: disable=broad-except
                    self.log.write("aside: %r\n" % error)
        thread = threading.Thread(target=go, daemon=True)
        self.sides.append(thread)
        thread.start()

    def deliver(self, address, serial):
        body = b"From: <other@mail.example>\r\nMessage-ID: <foreign.%d@x>\r\nSubject: Other\r\n\r\nOf somebody else %d.\r\n" % (
            serial, serial)
        if self.proxy.store(address, Append(self.setting["folder"].encode(), [(b"", body)], b"", None)):
            self.foreign[address][faulty.digest_of(body)] += 1
            self.result.foreign += 1

    def remove(self, address):
        self.target.remove(address, self.setting["folder"])
        self.log.write("%.3f removed %s\n" % (time.time(), self.setting["folder"]))
        self.result.removed += 1

    def meddlers(self):
        s, chance = self.setting, self.chance
        for i in range(s["foreign"]):
            address = chance.choice(self.addresses)
            self.aside(self.proxy.when("append", chance.randrange(1, s["messages"])),
                       lambda a=address, n=i: self.deliver(a, self.seed * 10 + n))
        if s["removed"]:
            self.aside(self.proxy.when("append", chance.randrange(2, max(3, s["messages"] // 2))),
                       lambda: self.remove(self.addresses[0]))

    # ---- runs

    def command(self, word):
        self.result.runs += 1
        self.log.write("%.3f === %s\n" % (time.time(), word))
        if self.source:
            self.source.rules[:] = [
                Rule("^UID FETCH .*BODY", close=True, after=self.chance.random() < 0.5, times=1, skip=self.chance.randrange(30))
                for _ in range(self.setting["source_cuts"])]
        return self.batch.start(word, "--log", os.path.join(self.folder, "mailhaul.log"), "--log-level", "debug")

    def ended(self, running):
        done = running.wait(60)
        self.log.write("%.3f === ends with %s\n%s%s" % (time.time(), done.code, done.out, done.err))
        if done.code not in (0, 2, 3, 4, -signal.SIGKILL, -signal.SIGTERM):
            self.verdict("exit code %d" % done.code)
        self.proxy.all_gone()
        return done

    def stop_at(self, word):
        """Begins a run and stops it at a point that the seed draws."""
        chance = self.chance
        what = chance.choice(["append", "append", "append", "look", "act", "time"])
        event = self.proxy.when(what, chance.randrange(1, {"append": self.result.messages, "look": 8, "act": 5,
                                                           "time": 2}[what])) if what != "time" else None
        number = chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
        later = chance.choice([0, 0, chance.random() * 0.05])
        running = self.command(word)
        limit = time.monotonic() + (chance.random() * 0.6 if event is None else 4)
        while time.monotonic() < limit and not running.ended():
            if event and event.wait(0.002):
                time.sleep(later)
                break
            if not event:
                time.sleep(0.002)
        if not running.ended():
            self.result.kills += 1
        running.signal(number)
        return self.ended(running)

    def until_done(self):
        done = self.ended(self.command("run"))
        for _ in range(6):
            if done.code in (0, 4):
                break
            done = self.ended(self.command("retry" if done.code == 3 else "run"))
        return done

    def runs(self):
        s, chance = self.setting, self.chance
        words = s["first"].split("+")
        for word in words if s["stops"] else ["run"]:
            if word != "run" and chance.random() < 0.5:
                self.ended(self.command(word))
            elif s["stops"]:
                self.stop_at(word)
        for _ in range(s["stops"]):
            if self.stop_at(chance.choice(["run", "run", "run", "upload"])).code in (0, 4):
                break  # it was done before it could be stopped
            self.between_runs()
            if s.get("state_lost") and chance.random() < 0.5:
                self.log.write("%.3f state lost\n" % time.time())
                if os.path.exists(self.batch.state):
                    self.batch.drop_state()
        done = self.until_done()
        # What is still to come comes now; the next run has to see it.
        self.over = True
        comes = bool(self.proxy.held)
        self.proxy.release()
        if comes:
            done = self.until_done()
        if done.code not in (0, 4):
            self.verdict("not finished: exit code %d" % done.code)
        self.done = done
        if not comes and chance.random() < 0.3:
            before = self.proxy.messages
            self.done = self.ended(self.command("run"))
            if self.proxy.messages != before:
                self.verdict("a last run moved mail again")

    # ---- the verdict

    def verdict(self, text):
        self.result.verdicts.append(text)
        self.log.write("%.3f VERDICT %s\n" % (time.time(), text))

    def judge(self):
        if self.proxy.broken:
            self.verdict("the proxy broke: " + self.proxy.broken)
        report = haul.check_balance(self.batch.report())
        users = {u["address"]: u for u in report["users"]}
        for address in self.addresses:
            self.judge_user(address, users[address])
        states = set(self.result.states)
        expected = 3 if "Failed" in states else 4 if "SyncedWithDoubts" in states else 0
        if self.done.code != expected:
            self.verdict("exit code %d with %s" % (self.done.code, ", ".join(sorted(states))))

    def judge_user(self, address, user):
        wanted = collections.Counter(faulty.digest_of(m.body) for m in self.mail[address])
        there = self.target.there(address, self.setting["folder"])
        there.subtract(self.foreign[address])
        gone = self.gone[address]
        # Others' mail may have gone with the folder.
        missing = {d: n - gone[d] - there[d] for d, n in wanted.items() if there[d] < n - gone[d]}
        surplus = {d: n - wanted[d] for d, n in there.items() if n > wanted[d]}
        alike = told_apart_by_content_alone(self.mail[address])
        doubled = sum(n for d, n in surplus.items() if d not in alike)
        in_doubt = sum(surplus.values()) - doubled
        # One of them may have been taken for the other: then that one is there twice.
        swapped = min(in_doubt, sum(n for d, n in missing.items() if d in alike))
        lost = sum(missing.values()) - swapped
        named = sum(d["count"] or 0 for d in user["doubts"] if d["type"] == "LateCopy")
        state, result = user["state"], self.result
        result.lost += lost
        result.doubled += doubled
        result.alike += in_doubt
        result.swapped += swapped
        result.named += named
        result.states.append(state)
        for word, counts in (("lost", missing), ("doubled", surplus)):
            for digest, count in counts.items():
                self.log.write("%s: %s %s x%d%s\n" % (word, address, digest[:12], count,
                                                     " alike" if digest in alike else ""))
        unrecognised = not_recognised(self.mail[address], self.setting["own_dates"])
        for digest, count in surplus.items():
            too_late = self.proxy.too_late[(self.setting["folder"], digest)]
            if count > too_late and digest in unrecognised:
                result.unrecognised += count - too_late
            elif count > too_late and digest not in alike:
                self.verdict("doubled, and not for being late: %s" % digest[:12])
        # Who was Synced when somebody removed his folder is told what it held; a run moves none of it again.
        told = sum(d["count"] or 0 for d in user["doubts"] if d["type"] == "TargetHoldsLess")
        if lost and self.result.removed and told >= lost:
            self.result.removed_and_named += lost
            self.result.lost -= lost
        elif lost:
            self.verdict("%d lost, %s" % (lost, state))
        if doubled > named:
            self.verdict("%d doubled, %d named, %s" % (doubled, named, state))
        if named > doubled + in_doubt + sum(gone.values()):
            self.verdict("%d named as doubled, %d are" % (named, doubled))
        if (lost or doubled) and state in ("Synced", "IncrementalSynced"):
            self.verdict("false %s" % state)

    def tell_target(self):
        """What the target shows of the folder, for whoever looks into a round that failed."""
        for address in self.addresses:
            with self.target.mailbox(address) as mailbox:
                for item in mailbox.read(self.path) if self.path in mailbox.folders() else ():
                    self.log.write("there: %s uid %d %s %d bytes %s\n" % (address, item.uid, item.digest[:12], item.size,
                                                                         item.date))

    def play(self):
        began = time.monotonic()
        self.over = False
        try:
            self.set_up()
            self.meddlers()
            self.runs()
            for thread in self.sides:
                thread.join(0.1)
            self.judge()
            if self.result.verdicts or os.environ.get("ONCE_KEEP"):
                self.tell_target()
        except Exception as error:  # pylint: disable=broad-except
            self.verdict("%s: %s" % (type(error).__name__, str(error)[:2000]))
        finally:
            self.over = True
            haul.kill_leftovers()
        result = self.result
        result.seconds = round(time.monotonic() - began, 2)
        if hasattr(self, "proxy"):
            result.together, result.acts = self.proxy.together, dict(self.proxy.acts)
            result.late = sum(self.proxy.too_late.values())
            self.proxy.stop()
        if self.source:
            result.source_cuts = sum(rule.done for rule in self.source.rules)
            self.source.stop()
        if hasattr(self, "target"):
            self.target.end(self.addresses)
        for name in self.names:
            shutil.rmtree(self.arena.source.home(name), True)
        self.log.close()
        if result.verdicts or os.environ.get("ONCE_KEEP"):
            result.kept = self.folder
            with open(os.path.join(self.folder, "result.json"), "w") as f:
                f.write(result.row() + "\n")
        else:
            shutil.rmtree(self.folder)
        return result


class Arena:
    """The servers of many rounds. folder: where a round that fails leaves its logs and state folder."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)

    def __enter__(self):
        self.source = servers.Dovecot({}, format="maildir", separator="/", mechanisms="plain", extra=STATIC).start()
        self.dovecot = servers.Dovecot({}, format="maildir", separator="/", mechanisms="plain", extra=STATIC).start()
        return self

    def __exit__(self, *_):
        self.source.stop()
        self.dovecot.stop()

    def play(self, seed, overrides=None):
        return Round(self, seed, overrides).play()
