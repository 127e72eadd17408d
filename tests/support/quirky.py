"""An IMAP source that misbehaves on purpose, for what no package's server does.

A small but whole server (login, NAMESPACE, LIST, LSUB, STATUS, EXAMINE, UID FETCH, UID SEARCH) in
this process, on a free port of 127.0.0.1. Without quirks it is a good one. A quirk is switched on by
its name; the rows of docs/quirks.md are behind the names:

    with Quirky({"anna": {"INBOX": [Mail(1, body), ...]}}, nil={3}) as server: ...

messages: {user: {raw name: [Mail] or Folder}}. quirks, all optional:

greeting=TEXT          in place of "ready"
capability=WORDS       in place of the usual words, after login
login={user: TEXT}     answer to the login in place of OK ("NO [ALERT] ..."); a list: one a login
not_connected={user}   lets in, and answers BAD User is authenticated but not connected. (L01)
drop_namespace=True    the connection goes at NAMESPACE (L02)
limit=N                more than N sessions of a user are refused with Dovecot's words (T11)
list_return_empty=True LIST with RETURN gives no rows, and OK (N07)
list_return_bad=True   LIST with RETURN is BAD (N09)
list_whole=TEXT        answer to LIST "" "*": NO LIST failed, or BYE ... and the connection goes (N08)
list_below={name: TEXT} likewise to LIST "" "name/%"
list_first=N           LIST "" "*" shows the first N folders, and OK
bad_names=True         EXAMINE of a name that ends in the delimiter: NO Invalid mailbox name (C1)
serverbug={name: N}    N EXAMINEs of the folder: NO [SERVERBUG] ... (-1: always) (C6)
serverbug_bye={name: N} the same with BYE Internal error (C6)
gone_from={name: N}    after N EXAMINEs or SELECTs of the folder each further one ends the connection
renewed_from={name: N} after N of them the folder is another: UIDVALIDITY, and all UIDs
deleted_listed={name}  the folder is deleted once it was listed
deleted_at={uid: name} the folder is deleted when this body is asked for, and the connection goes
expunged={uid}         the message is deleted once it was listed
messagelimit=N         FETCH or SEARCH of more does the N highest, and OK [MESSAGELIMIT N uid] (RFC 9738)
examine={name: TEXT}   any other answer to EXAMINE
no_examine=True        EXAMINE is no command of this server
new_validity={name}    EXAMINE tells another UIDVALIDITY each time; SELECT the same (S03)
no_uidnext={name}, no_uidvalidity={name}   not told (S02, F20)
view=N                 only the newest N messages are seen, and EXISTS says so (S19)
uidonly=WORD           ENABLE of that word shows them all, and answers by UIDFETCH (RFC 9586, S19)
hide_in_ranges=N       every N-th message is left out of listings of more than one (S11)
reorder=True           rows come newest first (S12)
listing_bad={uid}      UID FETCH of more than flags with this UID: BAD, nothing sent (C5)
row={uid: TEXT}        what stands between the brackets of its listing row (F23, C5)
size={uid: BYTES}      RFC822.SIZE lies (B11)
date={uid: TEXT}       what stands for its INTERNALDATE (F24)
short={uid: N}         the body's literal announces N bytes too few (B01)
long={uid: N}          N too many; the tagged OK is inside (B02)
junk={uid: TEXT}       this stands between the literal and its bracket
nil={uid}              BODY[] NIL (B07)
empty={uid}            BODY[] "" and INTERNALDATE 1970, as Zimbra for what is gone (B15)
nothing={uid}          OK, and no response (B07)
refuse={uid: TEXT}     tagged answer in place of the body
batch_no={uid}         NO Some messages could not be FETCHed, for sets of more than one (B24)
bye_above=N            BYE at a FETCH of more than N bodies (B26)
stall={uid: N}         N bytes of the body, and then silence (B06)
trickle={uid: N}       after N bytes one byte a second
close={uid: N}         N bytes of the body, and the connection goes
placeholder={uid}      Exchange's 736 octets in place of the message (B10)
other={uid: UID}       the body of another message (S10)
whole_for_part=True    a part is answered by the whole (B16)
answers={uid: {form: TEXT}}  what stands behind the section in the answer to this form, in place of the
                       body; None: no response at all; forms as below, and text
cut={uid: N}           the body ends N bytes early, the literal is well
small_parts=N          a part holds no more than N bytes, whatever was asked for (B18)
section={uid: WORD}    the answer names this section, and gives it: HEADER or TEXT
told_uid={uid: TEXT}   what stands for this UID in rows and in SEARCH
exists={name: TEXT}    what stands for the number of EXISTS; None: no EXISTS at all
uidnext={name: TEXT}   likewise of UIDNEXT
silent={uid}           no FETCH of this message is answered by a row, whatever is asked for
blind_bodies={name}    under EXAMINE no body of this folder comes, with OK
silent_alone={uid}     likewise where it is asked for alone
blind={name}           under EXAMINE nothing of this folder is answered but by OK
search={TEXT}          SEARCH is answered by this line; None: by none; BAD...: refused
forms={WORD}           all the above about bodies hold for these forms only: peek partial header
                       rfc822.peek body rfc822; default all
once=True              each body quirk happens once a message, then all is well
throttle=[N, MS]       after N FETCHes: BAD Request is throttled. Suggested Backoff Time, once
bye_every=N            BYE after each N commands of a session
"""

import bisect
import functools
import os
import re
import socket
import ssl
import threading
import time

import servers

CAPABILITY = "IMAP4rev1 UIDPLUS NAMESPACE UNSELECT ID LITERAL+ AUTH=PLAIN SASL-IR"
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


@functools.lru_cache(1000)
def date_text(seconds):
    t = time.gmtime(seconds)
    return "%2d-%s-%04d %02d:%02d:%02d +0000" % (
        t.tm_mday, MONTHS[t.tm_mon - 1], t.tm_year, t.tm_hour, t.tm_min, t.tm_sec)


class Mail:
    def __init__(self, uid, body, date=1577880000, flags=("\\Seen",)):
        self.uid, self.body, self.date, self.flags = uid, body, date, tuple(flags)

    def date_text(self):
        return date_text(self.date)


class Folder:
    """attributes and delimiter as LIST tells them; delimiter None: NIL. listed: shown by LIST; "by name": only
    where its name is the pattern."""

    def __init__(self, mails=(), attributes=(), delimiter="/", uidvalidity=1000, listed=True):
        self.mails, self.attributes, self.delimiter = list(mails), tuple(attributes), delimiter
        self.uidvalidity, self.listed = uidvalidity, listed

    def uidnext(self):
        return max([m.uid for m in self.mails], default=0) + 1


class Vast(Folder):
    """As many messages as wanted, which are one; made when they are asked for. Their UIDs are 1, 2, ..."""

    class Mails:
        def __init__(self, count, body):
            self.count, self.body = count, body

        def __len__(self):
            return self.count

        def __getitem__(self, at):
            if isinstance(at, slice):
                return [self[i] for i in range(*at.indices(self.count))]
            if not -self.count <= at < self.count:
                raise IndexError
            return Mail(at % self.count + 1, self.body)

    def __init__(self, count, body, **more):
        super().__init__(**more)
        self.mails = self.Mails(count, body)

    def uidnext(self):
        return len(self.mails) + 1


class Gone(Exception):
    """The connection ends."""


def placeholder(real):
    """What Exchange sends for a message that it cannot convert: 736 octets."""
    subject = re.search(rb"(?im)^Subject: *(.*?)\r$", real)
    text = (b"Subject: Retrieval using the IMAP4 protocol failed for the following message: 20004\r\n"
            b"From: Microsoft Exchange Server\r\nMIME-Version: 1.0\r\n"
            b"Content-Type: text/plain; charset=\"us-ascii\"\r\n\r\n"
            b"The server couldn't retrieve the following message:\r\n\r\nSubject: \""
            + (subject.group(1) if subject else b"") +
            b"\"\r\nFrom: \"Anna\" (\"anna@source.example\")\r\nSent date: 1/2/2020 3:04:05 PM\r\n\r\n"
            b"The message hasn't been deleted. You might be able to view it using either Outlook or "
            b"Outlook Web App. You can also contact the sender to find out what the message says.\r\n")
    return text + b" " * (734 - len(text)) + b"\r\n"


class Quirky:
    kind = "quirky"
    session = None  # Session, or one that can do more

    def __init__(self, messages, passwords=None, tls=False, **quirks):
        self.messages = {user: {name: f if isinstance(f, Folder) else Folder(f)
                                for name, f in folders.items()}
                         for user, folders in messages.items()}
        self.users = passwords or {user: "secret " + user for user in messages}
        self.quirks, self.tls = quirks, tls
        self.host, self.ca = "localhost", servers.authority().ca
        self.lock = threading.Lock()
        self.commands = []  # (session number, line), as they came
        self.sessions = 0
        self.open = {}      # user: sessions
        self.happened = set()
        self.counts = {}
        self.running = True
        self.listener = None
        self.peers = set()

    # -- life

    def start(self):
        self.listener = socket.create_server((servers.HOST, 0), backlog=100)
        self.port = self.port_tls = self.port_plain = self.listener.getsockname()[1]
        if self.tls:
            self.folder = servers.new_folder("mhq")
            servers.authority().issue(self.folder)
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(self.folder + "/server.pem", self.folder + "/server.key")
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def stop(self):
        self.running = False
        if self.listener:
            self.listener.close()
        for peer in list(self.peers):
            try:
                peer.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def url(self, tls=True):
        return "%s://%s:%d" % ("imaps" if self.tls else "imap", self.host, self.port)

    def log_text(self):
        return "\n".join("%d %s" % c for c in self.commands[-60:])

    def serve(self, peer):
        session = None
        try:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                peer = self.context.wrap_socket(peer, server_side=True)
            self.peers.add(peer)
            with self.lock:
                self.sessions += 1
                session = (self.session or Session)(self, peer, self.sessions)
            session.run()
        except (OSError, Gone, ValueError):
            pass
        finally:
            if session and session.user:
                with self.lock:
                    self.open[session.user] -= 1
            self.peers.discard(peer)
            peer.close()

    # -- what is asked by quirks

    def q(self, name, default=None):
        return self.quirks.get(name, default)

    def hits(self, name, key):
        """The quirk's value for this key, or None; with `once` only the first time."""
        table = self.q(name)
        if not table or key not in table:
            return None
        if self.q("once"):
            with self.lock:
                if (name, key) in self.happened:
                    return None
                self.happened.add((name, key))
        return table[key] if isinstance(table, dict) else True

    def spends(self, name, key):
        """One of the N times of the quirk {key: N}; -1 never ends."""
        table = self.q(name) or {}
        with self.lock:
            used = self.counts.get((name, key), 0)
            if key not in table or 0 <= table[key] <= used:
                return False
            self.counts[(name, key)] = used + 1
        return True

    def renew(self, name, folder):
        """Once: the same mail under other numbers."""
        with self.lock:
            if ("renewed", name) not in self.happened:
                self.happened.add(("renewed", name))
                folder.uidvalidity += 5000
                folder.mails = [Mail(m.uid + 1000, m.body, m.date, m.flags) for m in folder.mails]

    def asked(self, pattern):
        """How many commands match."""
        return sum(1 for _, line in self.commands if re.search(pattern, line))


def sets(text, last):
    """"1:3,9:*" as ranges; * is the highest there is."""
    for part in text.split(","):
        ends = [last if e == "*" else int(e) for e in part.split(":")]
        yield min(ends), max(ends)


class Session:
    def __init__(self, server, peer, number):
        self.server, self.peer, self.number = server, peer, number
        self.lines = peer.makefile("rb")
        self.user, self.name, self.folder = None, None, None
        self.fetches = self.count = 0
        self.uidonly = self.blind = False
        self.held = None  # what is to go in one piece

    def send(self, data):
        data = data if isinstance(data, bytes) else data.encode("utf-8", "surrogateescape")
        if self.held is None:
            self.peer.sendall(data)
        else:
            self.held += data

    def line(self, text):
        self.send(text)
        self.send(b"\r\n")

    def run(self):
        self.line("* OK %s" % self.server.q("greeting", "ready"))
        while True:
            command = self.command()
            if command is None:
                return
            tag, _, rest = command.partition(" ")
            verb, _, rest = rest.partition(" ")
            self.server.commands.append((self.number, "%s %s" % (verb, rest) if verb.upper() not in
                                         ("LOGIN", "AUTHENTICATE") else verb))
            self.count += 1
            every = self.server.q("bye_every")
            if every and self.count > every:
                self.line("* BYE Session is over, please come again")
                raise Gone
            answer = getattr(self, "do_" + verb.lower().replace("-", "_"), None)
            if verb.upper() == "UID":
                verb, _, rest = rest.partition(" ")
                answer = getattr(self, "uid_" + verb.lower(), None)
            self.tag = tag
            self.line("%s %s" % (tag, answer(rest) if answer else "BAD unknown command"))
            if verb.upper() == "LOGOUT":
                return

    def command(self):
        """A command with its literals in place."""
        text = b""
        while True:
            line = self.lines.readline(1 << 20)
            if not line:
                return None
            literal = re.search(rb"\{(\d+)(\+?)\}\r?\n$", line)
            if not literal:
                return (text + line).rstrip(b"\r\n").decode("utf-8", "surrogateescape")
            if not literal.group(2):
                self.line("+ go")
            data = self.lines.read(int(literal.group(1)))
            text += line[:literal.start()] + b'"' + data.replace(b"\\", b"\\\\").replace(
                b'"', b'\\"') + b'"'

    @staticmethod
    def words(text):
        """Quoted strings and atoms."""
        return [re.sub(r"\\(.)", r"\1", q) if q or not a else a for q, a in
                re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', text)]

    # -- any state

    def do_capability(self, _):
        self.line("* CAPABILITY " + self.server.q("capability", CAPABILITY))
        return "OK done"

    def do_enable(self, rest):
        self.uidonly = self.server.q("uidonly") == rest
        self.line("* ENABLED" + (" " + rest if self.uidonly else ""))
        return "OK done"

    def do_noop(self, _):
        return "OK done"

    def do_id(self, _):
        self.line('* ID ("name" "Quirky")')
        return "OK done"

    def do_logout(self, _):
        self.line("* BYE bye")
        return "OK done"

    def do_authenticate(self, rest):
        import base64
        mechanism, _, first = rest.partition(" ")
        if mechanism.upper() != "PLAIN":
            return "NO no such mechanism"
        if not first:
            self.line("+ ")
            first = self.command()
        _, user, password = base64.b64decode(first).decode().split("\0")
        return self.let_in(user, password)

    def do_login(self, rest):
        return self.let_in(*self.words(rest)[:2])

    def let_in(self, user, password):
        words = (self.server.q("login") or {}).get(user)
        if isinstance(words, list):
            words = words.pop(0) if words else None
        if words:
            return words
        if self.server.users.get(user) != password:
            return "NO [AUTHENTICATIONFAILED] Authentication failed."
        with self.server.lock:
            there = self.server.open.get(user, 0)
            limit = self.server.q("limit")
            if limit and there >= limit:
                return ("NO [UNAVAILABLE] Maximum number of connections from user+IP exceeded "
                        "(mail_max_userip_connections=%d)" % limit)
            self.server.open[user] = there + 1
        self.user = user
        return "OK [CAPABILITY %s] in" % self.server.q("capability", CAPABILITY)

    # -- folders

    def refused(self):
        if not self.user:
            return "BAD log in first"
        if self.user in self.server.q("not_connected", ()):
            return "BAD User is authenticated but not connected."
        return None

    def mailboxes(self):
        return self.server.messages[self.user]

    def do_namespace(self, _):
        if self.refused():
            return self.refused()
        if self.server.q("drop_namespace"):
            raise Gone
        folders = self.mailboxes()
        delimiter = folders["INBOX"].delimiter if "INBOX" in folders else "/"
        self.line("* NAMESPACE %s NIL NIL" % self.server.q(
            "namespace", '(("" %s))' % ('"%s"' % delimiter if delimiter else "NIL")))
        return "OK done"

    def do_list(self, rest, word="LIST"):
        if self.refused():
            return self.refused()
        if "RETURN" in rest.upper():
            if self.server.q("list_return_bad"):
                return "BAD unknown argument"
            if self.server.q("list_return_empty"):
                return "OK done"
        pattern = self.words(rest)[1]
        if pattern == "":
            self.line('* %s (\\Noselect) "/" ""' % word)
            return "OK done"
        refused = (self.server.q("list_whole") if pattern == "*" else
                   self.server.q("list_below", {}).get(pattern[:-2]))
        if refused:
            if refused.startswith("BYE"):
                self.line("* " + refused)
                raise Gone
            return refused
        left = self.server.q("list_first") if pattern == "*" else None
        match = re.compile(re.escape(pattern).replace(r"\*", ".*").replace("\\%", "%").replace(
            "%", "[^/]*") + "$", re.S)
        for name, folder in list(self.mailboxes().items()):
            if (pattern == name if folder.listed == "by name" else folder.listed) and match.match(name):
                if left is not None:
                    if left == 0:
                        break
                    left -= 1
                self.line("* %s (%s) %s %s" % (
                    word, " ".join(folder.attributes),
                    '"%s"' % folder.delimiter.replace("\\", "\\\\") if folder.delimiter else "NIL",
                    self.server.q("raw_names", {}).get(
                        name, '"%s"' % name.replace("\\", "\\\\").replace('"', '\\"'))))
        for name in self.server.q("deleted_listed", ()):
            self.mailboxes().pop(name, None)
        return "OK done"

    def do_lsub(self, rest):
        return self.do_list(rest, "LSUB")

    def do_xlist(self, rest):
        return self.do_list(rest, "XLIST")

    def do_status(self, rest):
        if self.refused():
            return self.refused()
        name = self.words(rest)[0]
        folder, problem = self.find(name)
        if problem:
            return problem
        self.line('* STATUS "%s" (MESSAGES %d UIDNEXT %d UIDVALIDITY %d)' % (
            name, len(self.seen(folder)), folder.uidnext(), folder.uidvalidity))
        return "OK done"

    def find(self, name):
        """(folder, None) or (None, what is said)."""
        server = self.server
        folder = self.mailboxes().get(name)
        if name.upper() == "INBOX":
            folder = next((f for n, f in self.mailboxes().items() if n.upper() == "INBOX"), None)
        if server.q("bad_names") and name.endswith("/"):
            return None, "NO Invalid mailbox name: " + name
        if server.q("bad_names") and folder is None:
            folder = self.mailboxes().get(name + "/")
        if folder is None:
            return None, "NO [NONEXISTENT] Mailbox doesn't exist: " + name
        if "\\Noselect" in folder.attributes or "\\NonExistent" in folder.attributes:
            return None, "NO [CANNOT] Mailbox isn't selectable"
        return folder, None

    def seen(self, folder):
        view = None if self.uidonly else self.server.q("view")
        return folder.mails[-view:] if view else folder.mails

    def do_examine(self, rest, verb="EXAMINE"):
        if self.refused():
            return self.refused()
        server, name = self.server, self.words(rest)[0]
        self.folder = None
        with server.lock:
            opened = server.counts[("opened", name)] = server.counts.get(("opened", name), 0) + 1
        if opened > (server.q("gone_from") or {}).get(name, opened):
            raise Gone
        if opened > (server.q("renewed_from") or {}).get(name, opened):
            server.renew(name, self.mailboxes()[name])
        stamp = time.strftime("[%Y-%m-%d %H:%M:%S]", time.gmtime())
        if server.spends("serverbug_bye", name):
            self.line("* BYE Internal error occurred. Refer to server log for more information. "
                      + stamp)
            raise Gone
        if server.spends("serverbug", name):
            return ("NO [SERVERBUG] Internal error occurred. Refer to server log for more "
                    "information. " + stamp)
        if verb == "EXAMINE" and server.spends("serverbug_examine", name):
            return "NO [SERVERBUG] Internal error occurred."
        if verb == "EXAMINE" and server.q("no_examine"):
            return "BAD Unknown command"
        if name in server.q("examine", {}):
            return server.q("examine")[name]
        folder, problem = self.find(name)
        if problem:
            return problem
        self.name, self.folder = name, folder
        validity = folder.uidvalidity
        if verb == "EXAMINE" and name in server.q("new_validity", ()):
            with server.lock:
                server.counts["validity"] = server.counts.get("validity", 0) + 1
                validity += server.counts["validity"]
        elif name in server.q("always_new_validity", ()):
            with server.lock:
                server.counts["validity"] = server.counts.get("validity", 0) + 1
                validity += server.counts["validity"]
        self.line("* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)")
        exists = server.q("exists", {}).get(name, "%d" % len(self.seen(folder)))
        if exists is not None:
            self.line("* %s EXISTS" % exists)
        self.writable = verb == "SELECT"
        self.blind = verb == "EXAMINE" and name in server.q("blind", ())
        self.line("* 0 RECENT")
        if name not in server.q("no_uidvalidity", ()):
            self.line("* OK [UIDVALIDITY %d] valid" % validity)
        if name not in server.q("no_uidnext", ()):
            self.line("* OK [UIDNEXT %s] next" % server.q("uidnext", {}).get(name, folder.uidnext()))
        return "OK [%s] done" % ("READ-ONLY" if verb == "EXAMINE" else "READ-WRITE")

    def do_select(self, rest):
        return self.do_examine(rest, "SELECT")

    def do_unselect(self, _):
        self.folder = None
        return "OK done"

    # -- messages

    def chosen(self, text):
        seen = self.seen(self.folder)
        found = {}
        for low, high in sets(text, seen[-1].uid if seen else 0):
            first = bisect.bisect_left(seen, low, key=lambda m: m.uid)
            last = bisect.bisect_right(seen, high, key=lambda m: m.uid)
            found.update(zip(range(first + 1, last + 1), seen[first:last]))
        return sorted(found.items())

    def uid_search(self, rest):
        if self.folder is None:
            return "BAD no mailbox"
        if self.server.q("no_search"):
            return "BAD command not supported"
        if "search" in self.server.quirks:
            line = self.server.q("search")
            if line is not None and line.startswith("BAD"):
                return line
            if line is not None:
                self.line(line)
            return "OK done"
        uids = [m.uid for m in self.seen(self.folder)]
        m = re.match(r"(?:.* )?UID (\S+)$", rest)
        if m:
            uids = [mail.uid for _, mail in self.chosen(m.group(1))]
        limit, code = self.server.q("messagelimit"), ""
        if limit and len(uids) > limit:
            uids = uids[-limit:]
            code = "[MESSAGELIMIT %d %d] " % (limit, uids[0])
        told = self.server.q("told_uid", {})
        self.line("* SEARCH" + "".join(" %s" % told.get(u, u) for u in uids))
        return "OK %sdone" % code

    def uid_fetch(self, rest):
        server = self.server
        if self.folder is None:
            return "BAD no mailbox"
        text, _, items = rest.partition(" ")
        items = items.strip("()")
        self.fetches += 1
        throttle = server.q("throttle")
        if throttle and self.fetches > throttle[0] and not server.counts.get("throttled"):
            server.counts["throttled"] = 1
            return ("BAD Request is throttled. Suggested Backoff Time: %d milliseconds"
                    % throttle[1])
        if not self.seen(self.folder):
            return "BAD Invalid messageset"
        chosen, limit = self.chosen(text), server.q("messagelimit")
        if len(chosen) == 1 and chosen[0][1].uid in server.q("silent_alone", ()):
            chosen = []
        chosen = [] if self.blind else [(n, m) for n, m in chosen if m.uid not in server.q("silent", ())]
        if limit and len(chosen) > limit:
            chosen = chosen[-limit:]
            answer = (self.bodies if items.startswith("BODY.PEEK[]") else self.rows)(chosen, items)
            return answer.replace("OK ", "OK [MESSAGELIMIT %d %d] " % (limit, chosen[0][1].uid), 1)
        if re.match(r"(BODY\.PEEK\[(?:HEADER|TEXT)?\]|RFC822|BODY\[\])", items):
            return self.bodies(chosen, items)
        return self.rows(chosen, items)

    def numbered(self, number, uid):
        return "%d UIDFETCH" % uid if self.uidonly else "%d FETCH" % number

    def rows(self, chosen, items):
        self.held = bytearray()
        try:
            answer = self.rows_held(chosen, items)
        finally:
            held, self.held = self.held, None
            self.send(bytes(held))
        return answer

    def rows_held(self, chosen, items):
        server = self.server
        alone = len(chosen) == 1
        if "SIZE" in items and any(server.hits("listing_bad", m.uid) for _, m in chosen):
            return "BAD internal parser error"
        if server.q("hide_in_ranges") and not alone:
            chosen = [(n, m) for n, m in chosen if m.uid % server.q("hide_in_ranges")]
        hidden = server.q("hidden", ())
        chosen = [(n, m) for n, m in chosen if m.uid not in hidden or alone]
        if server.q("reorder"):
            chosen.reverse()
        for number, mail in chosen:
            row = server.hits("row", mail.uid)
            if row is not None and "SIZE" in items:
                self.line("* %s (%s)" % (self.numbered(number, mail.uid), row))
                continue
            parts = ["UID %s" % server.q("told_uid", {}).get(mail.uid, mail.uid), "FLAGS (%s)" % " ".join(mail.flags)]
            if "INTERNALDATE" in items:
                told = server.hits("date", mail.uid)
                parts.append('INTERNALDATE ' + ('"%s"' % mail.date_text() if told is None else told))
            if "RFC822.SIZE" in items:
                size = server.hits("size", mail.uid)
                parts.append("RFC822.SIZE %s" % (len(mail.body) if size is None else size))
            parts += self.more(mail, items)
            self.send("* %s (%s" % (self.numbered(number, mail.uid), " ".join(parts)))
            fields = re.search(r"BODY\.PEEK\[(HEADER(?:\.FIELDS \(([^)]*)\))?)\]", items)
            if fields:
                header = mail.body.split(b"\r\n\r\n")[0] + b"\r\n\r\n"
                if fields.group(2):
                    wanted = fields.group(2).encode().lower().split()
                    header = b"".join(
                        f for f in re.findall(rb"(?m)^\S[^\n]*\n(?:[ \t][^\n]*\n)*", header)
                        if f.split(b":")[0].strip().lower() in wanted) + b"\r\n"
                self.send(" BODY[%s] {%d}\r\n" % (fields.group(1), len(header)))
                self.send(header)
            self.line(")")
        if "SIZE" in items and server.q("expunged"):
            with server.lock:
                self.folder.mails = [m for m in self.folder.mails
                                     if m.uid not in server.q("expunged")]
        return "OK done"

    def more(self, mail, items):
        """What else a row tells; for servers that have more to tell."""
        return []

    @staticmethod
    def form_of(items, part):
        return ("partial" if part else "header" if "HEADER" in items else "text"
                if "TEXT" in items else "peek" if items.startswith("BODY.PEEK") else
                "body" if items.startswith("BODY") else items.lower())

    def bodies(self, chosen, items):
        server = self.server
        part = re.search(r"<(\d+)\.(\d+)>", items)
        form = self.form_of(items, part)
        if self.name in server.q("blind_bodies", ()) and not self.writable:
            return "OK done"
        strange = (form if form != "text" else "header") in server.q("forms", {form, "header"})
        if form == "rfc822.peek" and not server.q("rfc822_peek"):
            return "BAD unknown item"
        if server.q("bye_above") and len(chosen) > server.q("bye_above"):
            self.line("* BYE too much at once")
            raise Gone
        if strange and len(chosen) > 1 and any(server.hits("batch_no", m.uid) for _, m in chosen):
            for number, mail in chosen:
                if mail.uid not in server.q("batch_no"):
                    self.body(number, mail, items, part, False)
            return "NO Some messages could not be FETCHed (Failure)"
        for number, mail in chosen:
            name = server.hits("deleted_at", mail.uid)
            if name is not None:
                self.mailboxes().pop(name, None)
                raise Gone
            answer = self.body(number, mail, items, part, strange)
            if answer:
                return answer
        return "OK done"

    def body(self, number, mail, items, part, strange):
        server, uid = self.server, mail.uid

        def hits(name):
            return server.hits(name, uid) if strange else None

        body = mail.body
        form = self.form_of(items, part)
        scripted = (server.q("answers", {}).get(uid) or {})
        other = hits("other")
        if other is not None:
            body = next(m.body for m in self.folder.mails if m.uid == other)
        if hits("placeholder"):
            body = placeholder(body)
        head = "* %s (UID %d %s" % (self.numbered(number, uid), uid, items.replace(".PEEK", "").split("<")[0])
        body = body[:max(0, len(body) - (hits("cut") or 0))]
        section = hits("section")
        if section:
            head = "* %s (UID %d BODY[%s]" % (self.numbered(number, uid), uid, section)
            body = body.split(b"\r\n\r\n")[0] + b"\r\n\r\n" if section == "HEADER" else body.partition(b"\r\n\r\n")[2]
        elif "HEADER" in items:
            body = body.split(b"\r\n\r\n")[0] + b"\r\n\r\n"
        elif "TEXT" in items:
            body = body.partition(b"\r\n\r\n")[2]
        elif part and not server.q("whole_for_part"):
            start, count = int(part.group(1)), int(part.group(2))
            body = body[start:start + min(count, server.q("small_parts", count))]
            head += "<%d>" % start
        if form in scripted:
            if scripted[form] is not None:
                self.line(head + " " + scripted[form] + ")")
            return None
        text = hits("refuse")
        if text is not None:
            return text
        if hits("nothing"):
            return None
        if hits("nil"):
            self.line(head + " NIL)")
            return None
        if hits("empty"):
            self.line(head + ' "" INTERNALDATE "01-Jan-1970 00:00:00 +0000" RFC822.SIZE 0)')
            return None
        short, long = hits("short"), hits("long")
        self.send("%s {%d}\r\n" % (head, len(body) - (short or 0) + (long or 0)))
        for name in ("stall", "trickle", "close"):
            at = hits(name)
            if at is None:
                continue
            self.send(body[:at])
            if name == "close":
                raise Gone
            for byte in body[at:]:
                if name == "trickle":
                    self.send(bytes([byte]))
                time.sleep(1)
                while name == "stall" and server.running and self.peer_is_there():
                    time.sleep(0.05)
                if not server.running or not self.peer_is_there():
                    raise Gone
        self.send(body)
        self.line((hits("junk") or "") + ")")
        if long:
            self.line("%s OK FETCH done" % self.tag)
            while server.running and self.peer_is_there():
                time.sleep(0.05)
            raise Gone
        return None

    def peer_is_there(self):
        if self.server.tls:
            return True
        try:
            self.peer.setblocking(False)
            return self.peer.recv(1, socket.MSG_PEEK) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            try:
                self.peer.setblocking(True)
            except OSError:
                pass
