"""A server that attacks who talks to it, each user in another way: the user's name is the name of the attack (ATTACKS),
whatever domain stands behind it. Any other user is served well, as source and as target.

    with Hostile(flood_bytes=4 << 20) as server: ...

An attack is a command and what is done in place of its answer. What has no end breaks off after flood_bytes; None: not at
all. The server counts what it sent in `sent`, and the attacks that were carried out in `tried`.
"""

import re
import time
import zlib

from quirky import CAPABILITY, Folder, Gone, Mail, Quirky, Session

CHUNK = 1 << 16
HUGE = ("4294967296", "9223372036854775807", "9223372036854775808", "18446744073709551616", "-1", "0" * 5000 + "1")


def message(uid, size=300):
    head = ("From: a@source.example\r\nTo: b@source.example\r\nSubject: number %d\r\nDate: Wed, 01 Jan 2020 12:00:00 "
            "+0000\r\nMessage-ID: <h%d@source.example>\r\n\r\n" % (uid, uid)).encode()
    return Mail(uid, head + b"A line.\r\n" * (size // 9), 1577880000 + uid)


def forever(piece):
    """The same again and again."""
    piece = piece.encode() if isinstance(piece, str) else piece

    def attack(s, rest):
        many = piece * max(1, CHUNK // len(piece))
        while True:
            s.flood(many)
    return attack


def numbered(form, start=1):
    """Something new each time: form has one %d, or two."""
    two = form.count("%d") == 2

    def attack(s, rest):
        number = start
        while True:
            s.flood("".join(form % ((i, i) if two else i) for i in range(number, number + 500)).encode("utf-8", "surrogateescape"))
            number += 500
    return attack


def begun(head, piece):
    """A line that has no end."""
    def attack(s, rest):
        s.send(head)
        forever(piece)(s, rest)
    return attack


def once(*lines, answer="OK done", ends=False):
    def attack(s, rest):
        for line in lines:
            s.flood(line if isinstance(line, bytes) else line.encode("utf-8", "surrogateescape"))
        if ends:
            raise Gone
        return answer
    return attack


def before(*lines):
    """Said first; then the command is served well."""
    def attack(s, rest):
        for line in lines:
            s.flood(line.encode("utf-8", "surrogateescape"))
        return None
    return attack


def silence(s, rest):
    while s.server.running:
        time.sleep(0.1)
    raise Gone


def trickling(head, bytes_at_once=1):
    """Never silent, and never at an end."""
    def attack(s, rest):
        s.send(head)
        while s.server.running:
            s.send("x" * bytes_at_once)
            time.sleep(0.5)
        raise Gone
    return attack


def half_close(s, rest):
    import socket
    s.peer.shutdown(socket.SHUT_WR)
    silence(s, rest)


def bomb(s, rest):
    s.line(s.tag + " OK")
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = deflate.compress(b"\0" * (16 << 20)) + deflate.flush(zlib.Z_FULL_FLUSH)
    while True:
        s.flood(piece)


def compressed(piece):
    """Much of the same, in few bytes."""
    def attack(s, rest):
        s.line(s.tag + " OK")
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        many = piece * (4 * CHUNK // len(piece))
        while True:
            s.flood(deflate.compress(many) + deflate.flush(zlib.Z_SYNC_FLUSH), len(many))
    return attack


def no_deflate(s, rest):
    s.line(s.tag + " OK")
    s.flood(b"\xff" * 100000)
    raise Gone


def row(uid, flags="", size="300", date='"01-Jan-2020 12:00:00 +0000"', more=""):
    return "* 1 FETCH (UID %s FLAGS (%s) INTERNALDATE %s RFC822.SIZE %s%s)\r\n" % (uid, flags, date, size, more)


def body(announced, sent, end=")\r\n"):
    return b"* 1 FETCH (UID 1 BODY[] {" + announced.encode() + b"}\r\n" + sent + end.encode()


INJECTED = "x\r\na5 OK\r\nz1 DELETE INBOX\r\nz2 NOOP"
WORDS = "IMAP4rev1 " + " ".join("X-WORD-%d=VALUE" % i for i in range(20000))

# name: (command, what is done); commands are Session's methods without do_ and uid_; "rows" and "bodies" are FETCHes
ATTACKS = {
    # at and behind the login
    "login-words": ("let_in", lambda s, rest: "OK [CAPABILITY %s] in" % WORDS),
    "login-alerts": ("let_in", numbered("* NO [ALERT] number %d\r\n")),
    "login-plus": ("let_in", forever("+ \r\n")),
    "login-refused-long": ("let_in", lambda s, rest: "NO [ALERT] " + "\x1b[2J\u202e" * 20000),
    "login-tags": ("let_in", before("".join("a%d OK\r\n" % i for i in range(3, 60)))),
    "capability-flood": ("capability", forever("* CAPABILITY IMAP4rev1 A=B C=D\r\n")),
    "capability-long": ("capability", once("* CAPABILITY " + WORDS + "\r\n")),
    "id-long": ("id", once("* ID (" + '"a" "b" ' * 30000 + ")\r\n")),
    "id-nested": ("id", once("* ID " + "(" * 100000 + "\r\n")),
    "compress-bomb": ("compress", bomb),
    "compress-rubbish": ("compress", no_deflate),
    "compress-lines": ("compress", compressed(b"* OK Still here\r\n")),
    "compress-rows": ("compress", compressed(b'* LIST () "/" INBOX\r\n')),
    "login-elsewhere": ("let_in", lambda s, rest: "NO [REFERRAL imap://anna@127.0.0.1:9/] there, please"),
    "login-referred": ("let_in", lambda s, rest: "OK [REFERRAL imap://anna@127.0.0.1:9/] better there"),
    "login-capabilities": ("let_in", numbered("* CAPABILITY IMAP4rev1 X-%d\r\n* OK [CAPABILITY IMAP4rev1 LITERAL+ Y%d] x\r\n")),
    "login-injected": ("let_in", before("* OK [CAPABILITY IMAP4rev1 {20}\r\na4 OK\r\na5 OK\r\na6 OK]\r\n")),
    "capability-changes": ("capability", before("* CAPABILITY IMAP4rev1 UTF8=ONLY UIDONLY MESSAGELIMIT=1 OBJECTID QRESYNC\r\n")),
    "enabled-unasked": ("capability", before("* ENABLED UTF8=ACCEPT UIDONLY X-UIDONLY QRESYNC\r\n")),
    "logout-flood": ("logout", numbered("* OK still %d things to do\r\n")),
    "logout-silence": ("logout", silence),
    # namespaces and lists
    "namespace-many": ("namespace", once("* NAMESPACE (" + "".join('("n%d/" "/")' % i for i in range(12000)) + ") NIL NIL\r\n")),
    "namespace-foreign": ("namespace", once(*("* NAMESPACE NIL (" + "".join('("u%d%d/" "/")' % (k, i) for i in range(12000)) + ") NIL\r\n"
                                              for k in range(5)))),
    "namespace-line": ("namespace", begun("* NAMESPACE (", '("a/" "/")')),
    "list-new": ("list", numbered('* LIST () "/" "folder number %d"\r\n')),
    "list-new-long": ("list", numbered('* LIST () "/" "' + "n" * 900 + '%d"\r\n')),
    "list-same": ("list", forever('* LIST () "/" INBOX\r\n')),
    "list-deep": ("list", once(*('* LIST () "/" "%s"\r\n' % "/".join(["d%d" % i] * 1900) for i in range(300)))),
    "list-parents": ("list", once('* LIST () "/" "%s/child"\r\n' % ("p" * 9000), '* LIST () "/" "%s"\r\n' % ("q" * 60000))),
    "list-quotes": ("list", once('* LIST () "/" "%s/child"\r\n' % ('\\"' * 40000))),
    "list-literal": ("list", once("* LIST () \"/\" {%d}\r\n%s\r\n" % (len(INJECTED), INJECTED))),
    "list-literals": ("list", numbered('* LIST () "/" {7}\r\n%07d\r\n')),
    "list-literal-huge": ("list", once(*('* LIST () "/" {%s}\r\nx\r\n' % n for n in HUGE), ends=True)),
    "list-line": ("list", begun('* LIST () "/" "', "x")),
    "list-nul": ("list", once(b'* LIST () "/" "a\0b"\r\n', b"\0" * 100000 + b'* LIST () "/" c\r\n')),
    "list-escapes": ("list", once('* LIST () "/" "\x1b]52;c;eA==\x07"\r\n', '* LIST () "/" "&IC4-x"\r\n')),
    "list-delimiters": ("list", once('* LIST () "\0" a\r\n', '* LIST () "\r" "a\rb"\r\n', '* LIST () """ b\r\n', "* LIST () {1}\r\n\n c\r\n")),
    "list-bye": ("list", once('* LIST () "/" INBOX\r\n* BYE x\r\n* BYE y\r\n', ends=True)),
    "list-tags": ("list", numbered("a%d OK nobody asked\r\n", start=500)),
    "list-plus": ("list", forever("+ go on\r\n")),
    "list-notices": ("list", numbered("* NO notice %d with some words to fill the line and the log\r\n")),
    "list-alerts": ("list", numbered("* OK [ALERT] number %d\r\n")),
    "list-still-here": ("list", forever("* OK Still here\r\n")),
    "list-unknown": ("list", forever("what is this\r\n")),
    "list-empty-lines": ("list", forever("\r\n")),
    "list-silence": ("list", silence),
    "list-half-close": ("list", half_close),
    "list-status": ("list", forever('* STATUS "somewhere else" (MESSAGES 5)\r\n')),
    # a folder that is opened
    "open-exists": ("examine", once("* 4294967295 EXISTS\r\n* OK [UIDVALIDITY 1]\r\n* OK [UIDNEXT 4294967295]\r\n")),
    "open-exists-flood": ("examine", forever("* 3 EXISTS\r\n")),
    "open-exists-none": ("examine", once(*("* %s EXISTS\r\n* OK [UIDVALIDITY %s]\r\n* OK [UIDNEXT %s]\r\n" % (n, n, n) for n in HUGE))),
    "open-flags": ("examine", before("* FLAGS (%s)\r\n" % " ".join("kw%d" % i for i in range(30000)),
                                     "* OK [PERMANENTFLAGS (%s \\*)]\r\n" % " ".join("kw%d" % i for i in range(30000)))),
    "open-validity": ("examine", numbered("* OK [UIDVALIDITY %d] new\r\n")),
    "open-expunged": ("examine", forever("* 1 EXPUNGE\r\n* VANISHED 1:4294967295\r\n")),
    "open-bye": ("examine", once("* BYE [SERVERBUG] gone\r\n", ends=True)),
    "open-grows-and-shrinks": ("examine", forever("* 3 EXISTS\r\n* 0 EXISTS\r\n* 4000000000 EXISTS\r\n* 1 EXPUNGE\r\n")),
    "open-injected": ("examine", before("* FLAGS (a {%d}\r\n%s b)\r\n" % (len(INJECTED), INJECTED),
                                        "* OK [PERMANENTFLAGS (a {%d}\r\n%s \\*)] b\r\n" % (len(INJECTED), INJECTED))),
    "open-another": ("examine", before('* OK [CLOSED] x\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 1] x\r\n* OK [HIGHESTMODSEQ %s] x\r\n'
                                       % HUGE[2])),
    # rows
    "rows-structure": ("rows", once("* 1 FETCH (UID 1 RFC822.SIZE 300 BODYSTRUCTURE " + "(" * 50000 + '"text" "plain" NIL' + ")" * 50000
                                    + ' FLAGS () INTERNALDATE "01-Jan-2020 12:00:00 +0000")\r\n')),
    "rows-date-literal": ("rows", once('* 1 FETCH (UID 1 FLAGS () INTERNALDATE {%d}\r\n%s RFC822.SIZE 300)\r\n'
                                       % (len(INJECTED), INJECTED))),
    "rows-down": ("rows", once(*(row(n) for n in range(200000, 100000, -1)))),
    "rows-flags-flap": ("rows", forever(row(1) + row(1, flags="\\Deleted") + row(2, size="0") + row(2, size="4294967295"))),
    "rows-same": ("rows", forever(row(1))),
    "rows-new": ("rows", numbered(row("%d"))),
    "rows-far": ("rows", numbered(row("%d"), start=4200000000)),
    "rows-no-uid": ("rows", once(*(row(n) for n in HUGE))),
    "rows-sizes": ("rows", once(*(row(1 + i, size=n) for i, n in enumerate(HUGE)))),
    "rows-dates": ("rows", once(row(1, date='"99-Foo-99999 99:99:99 +9999"'), row(2, date="NIL"), row(3, date='"' + "9" * 5000 + '"'))),
    "rows-keywords": ("rows", numbered(row("%d", flags=" ".join("keyword-%d" % i for i in range(2000))))),
    "rows-injection": ("rows", once("* 1 FETCH (UID 1 FLAGS (a {%d}\r\n%s b) RFC822.SIZE 300)\r\n" % (len(INJECTED), INJECTED))),
    "rows-literals": ("rows", begun("* 1 FETCH (UID 1 FLAGS (", "{1}\r\na ")),
    "rows-nested": ("rows", once("* 1 FETCH " + "(" * 100000 + "\r\n", "* 1 FETCH (UID 1 X " + "(" * 100000 + ")" * 100000 + ")\r\n")),
    "rows-line": ("rows", begun("* 1 FETCH (UID 1 FLAGS (", "kw ")),
    "rows-unasked": ("rows", numbered("* %d FETCH (FLAGS (\\Seen))\r\n")),
    "search-line": ("search", begun("* SEARCH", " 1 3 5 7 9")),
    "search-down": ("search", once("* SEARCH" + "".join(" %d" % n for n in range(400000, 1, -2)) + "\r\n")),
    "search-huge": ("search", once(*("* SEARCH %s\r\n* ESEARCH UID ALL %s:%s COUNT %s\r\n" % (n, n, n, n) for n in HUGE))),
    "search-flood": ("search", forever("* SEARCH 1 2 3\r\n")),
    "search-all": ("search", forever('* ESEARCH (TAG "a9") UID ALL 1:4294967294\r\n')),
    # bodies
    "body-endless": ("bodies", begun("* 1 FETCH (UID 1 BODY[] {100000000000}\r\n", b"\0" * 4096)),
    "body-huge": ("bodies", once(*(body(n, b"x") for n in HUGE), ends=True)),
    "body-again": ("bodies", forever(body("10", b"0123456789"))),
    "body-unasked": ("bodies", numbered("* 1 FETCH (UID %d BODY[] {5}\r\nabcde)\r\n", start=1000)),
    "body-nil": ("bodies", forever("* 1 FETCH (UID 1 BODY[] NIL)\r\n")),
    "body-short": ("bodies", once(body("1", b"From: x\r\n\r\nmore than that"))),
    "body-two": ("bodies", once(b"* 1 FETCH (UID 1 BODY[] {3}\r\nabc BODY[] {3}\r\ndef)\r\n")),
    "body-silence": ("bodies", silence),
    "body-trickle": ("bodies", trickling("* 1 FETCH (UID 1 BODY[] {1000000}\r\n")),
    "crawl-body": ("bodies", trickling("* 1 FETCH (UID 1 BODY[] {2000000000}\r\n")),
    "crawl-rows": ("rows", trickling("* 1 FETCH (UID 1 FLAGS (", 7)),
    "crawl-list": ("list", trickling('* LIST () "/" {30000}\r\n')),
    "body-cut": ("bodies", once(b"* 1 FETCH (UID 1 BODY[] {1000}\r\nabc", ends=True)),
    "body-origins": ("bodies", once(*("* 1 FETCH (UID 1 BODY[]<%s> {3}\r\nabc)\r\n" % n for n in HUGE))),
    "body-sections": ("bodies", once(*("* 1 FETCH (UID 1 BODY[%s] {3}\r\nabc)\r\n" % ("1." * n + "MIME") for n in (1, 100, 20000)))),
    "body-of-others": ("bodies", numbered("* 1 FETCH (UID %d BODY[] {5}\r\nabcde)\r\n* 2 FETCH (UID %d FLAGS (\\Deleted))\r\n", start=2)),
    # a target
    "create-elsewhere": ("create", lambda s, rest: "OK [REFERRAL imap://127.0.0.1:9/x] made there"),
    "append-uid-ranges": ("append", lambda s, rest: "OK [APPENDUID 1 %s] done" % ",".join("%d" % n for n in range(1, 30000, 2))),
    "append-again": ("append", numbered("a%d NO not this one\r\n")),
    "create-flood": ("create", numbered("* NO no %d\r\n")),
    "create-long": ("create", lambda s, rest: "NO " + "\x9b31m" * 30000),
    "append-plus": ("append", forever("+ more\r\n")),
    "append-long": ("append", lambda s, rest: "NO [TOOBIG] " + "x" * 200000),
    "append-uids": ("append", lambda s, rest: "OK [APPENDUID %s %s] done" % (HUGE[2], HUGE[3])),
    "append-uid-set": ("append", lambda s, rest: "OK [APPENDUID 1 1:4294967294] done"),
    "append-flood": ("append", numbered("* %d EXISTS\r\n")),
    "append-bye": ("append", once("* BYE enough\r\n", ends=True)),
    "append-silence": ("append", silence),
}


# Well within their bounds they take minutes.
SLOW = {"body-trickle", "body-silence", "crawl-body", "crawl-rows", "crawl-list"}


class Attacked(Session):
    def __getattribute__(self, name):
        """The attack in place of the command, where its time has come."""
        real = super().__getattribute__(name) if not name.startswith("do_compress") else self.compress
        short = name.removeprefix("do_").removeprefix("uid_")
        if name not in ("let_in", "rows", "bodies") and short == name:
            return real
        return lambda *rest: self.attacked(short, real, rest)

    def attacked(self, verb, real, rest):
        name = (rest[0] if verb == "let_in" else self.user or "").partition("@")[0]
        command, attack = ATTACKS.get(name, (None, None))
        if verb != command and not (command == "examine" and verb == "select"):
            return real(*rest)
        self.server.tried.add(name)
        answer = attack(self, rest)
        if verb == "let_in" and answer and not answer.startswith("OK"):
            return answer
        return real(*rest) if answer is None or verb == "let_in" and real(*rest) is None else answer

    def flood(self, data, inflated=0):
        most = self.server.flood_bytes
        if most is not None and self.given > most:
            raise Gone
        self.given = self.given + (inflated or len(data))
        self.server.sent += inflated or len(data)
        self.peer.sendall(data)

    given = 0

    def compress(self, _):
        return "NO not here"

    # -- as a target

    def do_create(self, rest):
        self.mailboxes().setdefault(self.words(rest)[0], Folder())
        return "OK made"

    def do_subscribe(self, _):
        return "OK done"

    def do_append(self, rest):
        found = re.match(r'(?:"((?:[^"\\]|\\.)*)"|(\S+)) (?:\(([^)]*)\) )?(?:"([^"]*)" )?"(.*)"$', rest, re.S)
        name = re.sub(r"\\(.)", r"\1", found.group(1) or found.group(2))
        folder = self.mailboxes().get(name)
        if folder is None:
            return "NO [TRYCREATE] not here"
        text = re.sub(r"\\(.)", r"\1", found.group(5)).encode("utf-8", "surrogateescape")
        with self.server.lock:
            uid = folder.uidnext()
            folder.mails.append(Mail(uid, text))
        return "OK [APPENDUID %d %d] stored" % (folder.uidvalidity, uid)


class Hostile(Quirky):
    session = Attacked

    def __init__(self, users, passwords=None, mails=3, flood_bytes=None, **quirks):
        """users: names; each has INBOX and Other with `mails` messages."""
        super().__init__({user: {"INBOX": [message(i + 1) for i in range(mails)],
                                 "Other": [message(100 + i) for i in range(mails)]} for user in users},
                         passwords, capability=CAPABILITY + " COMPRESS=DEFLATE", **quirks)
        self.flood_bytes, self.sent, self.tried = flood_bytes, 0, set()
