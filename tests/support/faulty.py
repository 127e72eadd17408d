"""A target that fails by plan: stands before a real server on plain TCP and has a fault for each APPEND.

    proxy = Faulty(server, Plan(seed, ...)).start()
    ... proxy.still() ... proxy.release() ... proxy.stop()

What is stored, and when, is in its own hands and not in the clock's: a look (EXAMINE, STATUS, FETCH) goes on only
once whatever connections that have gone were still to store is stored; what is to be stored late is kept until the
looks were seen. So however slow the machine, only what the plan says is late is late. The choice for a message comes
from the seed, the message and the number of the try, not from the order in which threads run.
"""

import base64
import collections
import hashlib
import random
import re
import select
import socket
import threading
import time

import servers

# Refusals in words of real servers; after the last byte each may stand for a message that is stored all the same.
REFUSALS = ["NO Server Unavailable. 15", "NO [SERVERBUG] Internal error occurred.", "NO [UNAVAILABLE] Busy.",
            "NO That went wrong.", "BAD Command Error. 10"]

# What may become of an APPEND. The first word is what the server does with it, the second what the client hears.
ACTS = ["stored-cut", "never-cut", "half-cut", "amid-cut", "stored-refused", "never-refused", "stored-silent", "never-silent",
        "part-refused", "part-cut", "never-ok", "late-cut", "late-silent"]
# When what is late is stored: before the second look begins, after it when more is sent, just before the message
# itself comes again, or when the run has ended.
LATE = ["between", "after", "again", "ended"]

# So many answers take answer_s: a program that opens more connections to a slow server has seen it then.
SLOW_ANSWERS = 120

# So many connections are cut within a message: the tries of one are not counted, since it is not known then.
HALF_CUTS_MAX = 6

Append = collections.namedtuple("Append", "folder items tag raw")  # items: [(arguments, body)]


class Plan:
    """How the server behaves. shares: {act: how many of 1,000 APPENDs}; chosen: {digest of the first message of an
    APPEND: act} for the first time it comes, or a list of acts for each time, where a test has its own mind."""

    def __init__(self, seed=0, shares=None, drops=(), uids="true", own_dates=False, answer_s=0.0, tries=2, chosen=None):
        self.seed, self.shares, self.drops = seed, shares or {}, frozenset(drops)
        self.chosen = chosen or {}
        self.uids = uids  # true, absent, high, other (of another folder), next (message's), some (are high), once, last (before the loss)
        self.late = None  # one of LATE for all that is late
        self.own_dates, self.answer_s, self.tries = own_dates, answer_s, tries

    def chance(self, *words):
        return random.Random("%d %s" % (self.seed, " ".join(str(w) for w in words)))

    def act(self, digest, number):
        """For the message's number-th try: (act, its own chance), act None for nothing."""
        chance = self.chance(digest, number)
        chosen = self.chosen.get(digest)
        if isinstance(chosen, list):  # the first time, the second, ...
            return (chosen[number - 1] if number <= len(chosen) else None), chance
        if chosen and number == 1:
            return chosen, chance
        if number > self.tries:
            return None, chance
        at = chance.random() * 1000
        for act, share in self.shares.items():
            if at < share:
                return act, chance
            at -= share
        return None, chance


def digest_of(body):
    return hashlib.sha256(body).hexdigest()


class Late:
    """An APPEND that the server is given later."""

    def __init__(self, user, append, when):
        self.user, self.append, self.when = user, append, when
        self.looks = 0
        self.digests = [digest_of(body) for _, body in append.items]


class Faulty:
    def __init__(self, server, plan, log=None):
        self.uids_told = 0  # answers with an APPENDUID
        self.server, self.plan, self.users = server, plan, server.users
        self.host, self.ca = "127.0.0.1", server.ca
        self.inner_port = server.port_plain
        self.lock = threading.RLock()
        self.talks = set()
        self.tries = collections.Counter()
        self.held = []
        self.acts = collections.Counter()
        self.too_late = collections.Counter()  # digests stored when no look could find them any more
        self.looks = self.appends = self.messages = 0
        self.together = 0  # most connections with an unanswered APPEND into one folder
        self.slow = SLOW_ANSWERS
        self.waits_for = []  # [(what, number, event)]: see when()
        self.log_file = log
        self.over = False
        self.before_act = None  # is called with (act, user, append) as soon as the APPEND has come
        self.broken = None  # a fault of this proxy, for the test to fail with

    def url(self, tls=False):
        return "imap://%s:%d" % (self.host, self.port)

    def connect(self, user, **options):
        return self.server.connect(user, **options)

    def start(self):
        self.listener = socket.create_server((servers.HOST, 0), backlog=100)
        self.port = self.listener.getsockname()[1]
        self.inner_port = self.server.port_plain
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def stop(self):
        self.over = True
        self.listener.close()
        with self.lock:
            talks = list(self.talks)
        for talk in talks:
            talk.cut()
            end(talk.inner)

    def log(self, format, *words):
        if self.log_file:
            self.log_file.write("%.3f %s\n" % (time.time(), format % words))
            self.log_file.flush()

    def accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            try:
                inner = socket.create_connection((servers.HOST, self.inner_port))
            except OSError:
                peer.close()
                continue
            for one in (peer, inner):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            talk = Talk(self, peer, inner)
            with self.lock:
                self.talks.add(talk)
            threading.Thread(target=talk.client, daemon=True).start()
            threading.Thread(target=talk.replies, daemon=True).start()

    # ---- what is seen, told to whoever waits for it

    def when(self, what, number):
        """An event that is set once so many appends, looks or acts were seen from now on."""
        event = threading.Event()
        with self.lock:
            self.waits_for.append([what, number, event])
        return event

    def saw(self, what):
        with self.lock:
            for wait in list(self.waits_for):
                if wait[0] == what:
                    wait[1] -= 1
                    if wait[1] <= 0:
                        self.waits_for.remove(wait)
                        wait[2].set()

    # ---- order

    def still(self, but=None, limit_s=20):
        """Waits until connections that have gone, but this one, have nothing left to store."""
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            with self.lock:
                busy = [t for t in self.talks if t is not but and t.has_gone() and not t.drained]
            # Nobody hears a look whose own client has gone; two of them would wait for one another.
            if not busy or but and but.has_gone():
                return
            time.sleep(0.003)
        raise AssertionError("the server did not end a connection within %d s" % limit_s)

    def all_gone(self, limit_s=20):
        """Waits until there is no connection any more."""
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            with self.lock:
                if not self.talks:
                    return
            time.sleep(0.003)
        raise AssertionError("connections are left after %d s" % limit_s)

    def look_begins(self, user, folder):
        """The folder is about to be opened: what is to come between the looks comes now."""
        with self.lock:
            self.looks += 1
            due = []
            for late in self.held:
                if (late.user, late.append.folder) == (user, folder):
                    late.looks += 1
                    if late.when == "between" and late.looks == 2:
                        due.append(late)
        self.store_late(due, False)
        self.saw("look")

    def append_comes(self, user, append):
        digests = {digest_of(body) for _, body in append.items}
        with self.lock:
            due = [late for late in self.held if (late.user, late.append.folder) == (user, append.folder) and
                   late.looks >= 2 and
                   (late.when == "after" or late.when == "again" and digests & set(late.digests))]
        self.store_late(due, True)

    def release(self):
        """Stores now whatever is still held."""
        with self.lock:
            due = list(self.held)
        self.store_late(due, True)

    def store_late(self, due, too_late):
        for late in due:
            with self.lock:
                if late not in self.held:
                    continue
                self.held.remove(late)
            self.log("late %s %s %s", late.when, late.append.folder, " ".join(d[:12] for d in late.digests))
            if too_late:
                with self.lock:
                    self.too_late.update((late.append.folder.strip(b'"').decode(), d) for d in late.digests)
            self.store(late.user, late.append)

    def store(self, user, append):
        """Gives the server the APPEND on a connection of its own. False when it refuses: the folder is gone."""
        stored = True
        with socket.create_connection((servers.HOST, self.inner_port)) as s:
            file = s.makefile("rb")
            file.readline()
            plain = base64.b64encode(b"\0%s\0%s" % (user.encode(), self.users[user].encode())).decode()
            s.sendall(b"l AUTHENTICATE PLAIN\r\n")
            file.readline()
            s.sendall(plain.encode() + b"\r\n")
            self.answer(file, b"l")
            for arguments, body in append.items:
                s.sendall(b"a APPEND %s%s {%d+}\r\n%s\r\n" % (append.folder, arguments, len(body), body))
                stored &= self.answer(file, b"a")
            s.sendall(b"q LOGOUT\r\n")
            file.read()
        return stored

    @staticmethod
    def answer(file, tag):
        """Whether it is OK."""
        while True:
            line = file.readline()
            if line.startswith(tag + b" "):
                return line.startswith(tag + b" OK")
            if not line:
                raise AssertionError("the server ended a connection")

    # ---- one APPEND

    def number_of(self, append):
        """Which try of its first message this is."""
        key = (append.folder, digest_of(append.items[0][1]))
        with self.lock:
            self.tries[key] += 1
            return self.tries[key]


def user_of(answer):
    """Whom SASL PLAIN or XOAUTH2 logs in."""
    plain = base64.b64decode(answer)
    found = re.match(rb"user=([^\x01]*)\x01", plain)
    return (found.group(1) if found else plain.split(b"\0")[1]).decode()


def end(*peers):
    for peer in peers:
        try:
            peer.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class Talk:
    """One connection of the client and its own to the server."""

    def __init__(self, proxy, peer, inner):
        self.proxy, self.peer, self.inner = proxy, peer, inner
        self.user = self.folder = None
        self.cut_off = self.drained = self.reading_ended = False
        self.sending = threading.Lock()  # of whole lines to the client
        self.awaited = {}  # {tag: what becomes of its answer}: only APPENDs
        self.answered = threading.Condition()
        self.unanswered = collections.Counter()  # {folder}: APPENDs

    def has_gone(self):
        """The client is not there any more, whatever of it is still to be read."""
        if self.cut_off or self.reading_ended:
            return True
        poll = select.poll()
        try:
            poll.register(self.peer, select.POLLRDHUP)
        except ValueError:
            return True
        return bool(poll.poll(0))

    def cut(self):
        """The client's connection ends here."""
        self.cut_off = True
        end(self.peer)

    # ---- from the client

    def client(self):
        try:
            self.commands(self.peer.makefile("rb"))
        except (OSError, ValueError):
            pass
        except Exception as error:  # pylint: disable=broad-except
            self.proxy.broken = self.proxy.broken or repr(error)
            self.cut()
        self.reading_ended = True
        # What the server was given whole it is let finish.
        with self.answered:
            self.answered.wait_for(lambda: not self.awaited or self.proxy.over, 20)
        try:
            self.inner.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def commands(self, file):
        while True:
            line = file.readline()
            if not line.endswith(b"\n"):
                return
            tag, _, rest = line.rstrip(b"\r\n").partition(b" ")
            words = rest.split(b" ")
            verb = words[0].upper()
            if verb == b"APPEND":
                if not self.append(file, tag, rest, line):
                    return
                continue
            if verb in (b"SELECT", b"EXAMINE"):
                self.proxy.still(self)
                self.folder = words[1]
                self.proxy.look_begins(self.user, self.folder)
            elif verb in (b"STATUS", b"UID", b"NOOP", b"CHECK"):
                self.proxy.still(self)
            elif verb == b"LOGIN":
                self.user = words[1].strip(b'"').decode()
            elif verb == b"AUTHENTICATE" and len(words) > 2:
                self.user = user_of(words[2])
            elif verb == b"AUTHENTICATE":
                self.inner.sendall(line)
                line = file.readline()
                self.user = user_of(line)
            self.proxy.log("C %x %s", id(self) & 0xffff, line.rstrip()[:150].decode("utf-8", "replace")
                           if verb not in (b"LOGIN", b"AUTHENTICATE") else verb.decode())
            self.inner.sendall(line)

    def tell(self, data):
        with self.sending:
            if not self.cut_off:
                self.peer.sendall(data)

    def append(self, file, tag, rest, line):
        """Reads the whole of it and does what the plan says. False: this connection has ended."""
        proxy, items = self.proxy, []
        match = re.match(rb'APPEND ("(?:[^"\\]|\\.)*"|[^ ]+)(.*)$', rest, re.I)
        folder, arguments = match.group(1), match.group(2)
        while True:
            literal = re.match(rb"(.*) \{(\d+)(\+?)\}$", arguments)
            if not literal:
                break
            size = int(literal.group(2))
            amid = self.amid(folder, items)
            if amid:
                return self.stores_first(amid, Append(folder, items, tag, None))
            if not literal.group(3):
                self.tell(b"+ go on\r\n")
            half = not items and proxy.plan.chance(folder, size, proxy.appends).random() * 1000 < \
                proxy.plan.shares.get("half-cut", 0) and proxy.acts["half-cut"] < HALF_CUTS_MAX
            body = file.read(size // 2 if half else size)
            if half:
                self.act_is("half-cut", folder, [])
                self.cut_off = True
                self.inner.sendall(b"%s APPEND %s%s {%d+}\r\n%s" % (tag, folder, self.dated(literal.group(1)), size, body))
                self.cut()
                return False
            if len(body) < size:
                return False
            items.append((self.dated(literal.group(1)), body))
            arguments = file.readline().rstrip(b"\r\n")
        append = Append(folder, items, tag, None)
        with proxy.lock:
            proxy.appends += 1
            proxy.messages += len(items)
        proxy.log("C %x %s APPEND %s x%d %s", id(self) & 0xffff, tag.decode(), folder.decode(), len(items),
                  " ".join(digest_of(b)[:12] for _, b in items))
        proxy.append_comes(self.user, append)
        proxy.saw("append")
        act, chance = proxy.plan.act(digest_of(items[0][1]), proxy.number_of(append))
        if act in ("part-refused", "part-cut") and len(items) < 2:
            act = "stored-" + act.split("-")[1]
        if act in ("half-cut", "amid-cut", "amid-refused"):
            act = None  # it came whole
        return self.perform(act, chance, append)

    def amid(self, folder, items):
        """What becomes of a MULTIAPPEND of which these came, and more is to come; None: it goes on. It takes all or
        nothing only where RFC 3502 is kept."""
        plan = self.proxy.plan
        if not items:
            return None
        digest = digest_of(items[0][1])
        act = plan.chosen.get(digest)
        if act in ("amid-cut", "amid-refused"):
            return act if not self.proxy.tries[(folder, digest)] else None
        chance = plan.chance(folder, digest, "amid")
        if chance.random() * 1000 < plan.shares.get("amid-cut", 0) and len(items) == chance.randrange(1, 5):
            return "amid-cut" if self.proxy.acts["amid-cut"] < HALF_CUTS_MAX else None
        return None

    def stores_first(self, act, append):
        """What is whole of a MULTIAPPEND is stored; in place of the rest its client hears NO, or nothing any more."""
        chance = self.proxy.plan.chance(digest_of(append.items[0][1]), self.proxy.number_of(append))
        self.act_is(act, append.folder, [digest_of(b) for _, b in append.items])
        self.forward(append, "cut" if act == "amid-cut" else chance.choice(REFUSALS).encode())
        return act != "amid-cut"

    def dated(self, arguments):
        if self.proxy.plan.own_dates:
            return re.sub(rb' *"[^"]*"$', b"", arguments)
        return arguments

    def act_is(self, act, folder, digests):
        with self.proxy.lock:
            self.proxy.acts[act] += 1
        self.proxy.log("ACT %x %s %s %s", id(self) & 0xffff, act, folder.decode(), " ".join(d[:12] for d in digests))
        self.proxy.saw("act")

    def perform(self, act, chance, append):
        proxy, tag = self.proxy, append.tag
        refusal = chance.choice(REFUSALS).encode()
        if act:
            self.act_is(act, append.folder, [digest_of(b) for _, b in append.items])
            if self.proxy.before_act:
                self.proxy.before_act(act, self.user, append)
        done, _, heard = (act or "stored-ok").partition("-")
        if done == "never":
            if heard == "cut":
                self.cut()
            elif heard == "refused":
                self.tell(b"%s %s\r\n" % (tag, refusal))
            elif heard == "ok":
                self.tell(b"%s OK APPEND completed.\r\n" % tag)
        elif done == "late":
            with proxy.lock:
                proxy.held.append(Late(self.user, append, proxy.plan.late or chance.choice(LATE)))
            if heard == "cut":
                self.cut()
        elif done == "part":
            append = append._replace(items=append.items[:chance.randrange(1, len(append.items))])
            self.forward(append, {"refused": refusal, "cut": "cut"}[heard])
        else:
            self.forward(append, {"ok": None, "cut": "cut", "silent": "silent", "refused": refusal}[heard])
        return not self.cut_off

    def forward(self, append, answer):
        """Gives it to the server; answer: None for the server's own, "cut", "silent", or other words."""
        with self.answered:
            self.awaited[append.tag] = (answer, append.folder)
        with self.proxy.lock:
            self.unanswered[append.folder] += 1
            self.proxy.together = max(self.proxy.together, sum(
                1 for t in self.proxy.talks if t.user == self.user and t.unanswered[append.folder] > 0))
        parts = [b"%s APPEND %s" % (append.tag, append.folder)]
        for arguments, body in append.items:
            parts.append(b"%s {%d+}\r\n%s" % (arguments, len(body), body))
        self.inner.sendall(b"".join(parts) + b"\r\n")

    # ---- from the server

    def replies(self):
        try:
            self.lines(self.inner.makefile("rb"))
        except (OSError, ValueError):
            pass
        except Exception as error:  # pylint: disable=broad-except
            self.proxy.broken = self.proxy.broken or repr(error)
        self.cut()
        with self.answered:
            self.awaited.clear()
            self.answered.notify_all()
        self.drained = True
        end(self.inner)
        with self.proxy.lock:
            self.proxy.talks.discard(self)

    def lines(self, file):
        while True:
            line = file.readline()
            if not line:
                return
            whole = line
            while True:
                literal = re.search(rb"\{(\d+)\}\r?\n$", line)
                if not literal:
                    break
                line = file.read(int(literal.group(1)))
                whole += line
                line = file.readline()
                whole += line
            try:
                self.reply(whole)
            except OSError:
                self.cut()  # and the server is heard to its end

    def reply(self, line):
        tag = line.partition(b" ")[0]
        if tag not in self.awaited:
            if self.proxy.plan.drops and b"CAPABILITY" in line:
                line = self.capabilities(line)
            self.tell(line)
            return
        answer, folder = self.awaited[tag]
        line = self.uids(line)
        self.proxy.log("S %x %s%s", id(self) & 0xffff, line.rstrip().decode("utf-8", "replace"),
                       " but %s" % (answer,) if answer else "")
        if self.proxy.plan.answer_s and self.proxy.slow > 0 and not self.has_gone():
            self.proxy.slow -= 1
            time.sleep(self.proxy.plan.answer_s)
        try:
            if answer == "cut":
                self.cut()
            elif answer is None or b" OK" not in line[:len(tag) + 4]:
                self.tell(line)
            elif answer != "silent":
                self.tell(b"%s %s\r\n" % (tag, answer))
        finally:
            with self.proxy.lock:
                self.unanswered[folder] -= 1
            with self.answered:
                del self.awaited[tag]
                self.answered.notify_all()

    def capabilities(self, line):
        words = line.rstrip(b"\r\n").split(b" ")
        return b" ".join(w for w in words if w.rstrip(b"]").decode() not in self.proxy.plan.drops or
                         w.endswith(b"]")) + b"\r\n"

    def uids(self, line):
        kind = self.proxy.plan.uids
        if kind == "absent":
            return re.sub(rb"\[APPENDUID [^]]*\] ", b"", line)
        found = re.search(rb"\[APPENDUID (\d+) ([\d:,]+)\]", line)
        if not found or kind == "true":
            return line
        if kind == "other":
            new = b"[APPENDUID %d %s]" % (int(found.group(1)) + 7, found.group(2))
        else:
            with self.proxy.lock:
                self.proxy.uids_told += 1
                some, once = self.proxy.uids_told % 4 == 2, self.proxy.uids_told == 2
                last = self.proxy.uids_told == 8
            add = {"high": 1000, "next": 1, "some": 3 * some, "once": 3 * once, "last": last}[kind]
            new = b"[APPENDUID %s %s]" % (found.group(1), re.sub(
                rb"\d+", lambda n: b"%d" % (int(n.group(0)) + add), found.group(2)))
        return line.replace(found.group(0), new)
