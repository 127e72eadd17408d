"""A small IMAP client for the tests: reads whole folders and fills them quickly.

It rests on imaplib for connecting, logging in and tags, so that what judges mailhaul shares no
code with it. Folder names are tuples of plain text, ("Projekte", "Übung"); the server's prefix,
separator and modified UTF-7 are dealt with here.
"""

import base64
import calendar
import hashlib
import imaplib
import re
import ssl
import time
from collections import namedtuple

# digest: sha256 of the body, hex. flags: frozenset of lower-case system flags and keywords,
# without \Recent. date: INTERNALDATE in seconds since 1970.
Item = namedtuple("Item", "uid size digest flags date")

imaplib._MAXLINE = 64 * 1024 * 1024

MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
TIMEOUT_S = 120


def utf7_encode(text):
    """Modified UTF-7, RFC 3501 5.1.3."""
    out, pending = [], []

    def flush():
        if pending:
            raw = "".join(pending).encode("utf-16-be")
            out.append("&" + base64.b64encode(raw).decode().rstrip("=").replace("/", ",") + "-")
            pending.clear()

    for c in text:
        if " " <= c <= "~":
            flush()
            out.append("&-" if c == "&" else c)
        else:
            pending.append(c)
    flush()
    return "".join(out)


def utf7_decode(text):
    def plain(match):
        code = match.group(1).replace(",", "/")
        if not code:
            return "&"
        return base64.b64decode(code + "=" * (-len(code) % 4)).decode("utf-16-be")

    return re.sub(r"&([^-]*)-", plain, text)


def quoted(name):
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def date_text(seconds):
    t = time.gmtime(seconds)
    return '"%02d-%s-%04d %02d:%02d:%02d +0000"' % (
        t.tm_mday, MONTHS[t.tm_mon - 1], t.tm_year, t.tm_hour, t.tm_min, t.tm_sec)


def date_seconds(text):
    m = re.match(r"\s*(\d+)-(\w+)-(\d+) (\d+):(\d+):(\d+) ([+-])(\d\d)(\d\d)", text)
    day, month, year, hour, minute, second = (
        m.group(1), m.group(2), m.group(3), m.group(4), m.group(5), m.group(6))
    seconds = calendar.timegm((int(year), MONTHS.index(month) + 1, int(day),
                               int(hour), int(minute), int(second)))
    zone = int(m.group(8)) * 3600 + int(m.group(9)) * 60
    return seconds - zone if m.group(7) == "+" else seconds + zone


class Mailbox:
    """One logged-in connection. Raises imaplib.IMAP4.error when the server says NO or BAD."""

    # Compiled pattern of header lines that a server keeps its own books in and that do not count.
    books = None

    def __init__(self, host, port, user, password, ca=None, sasl=True):
        if ca:
            context = ssl.create_default_context(cafile=ca)
            self.imap = imaplib.IMAP4_SSL(host, port, ssl_context=context, timeout=TIMEOUT_S)
        else:
            self.imap = imaplib.IMAP4(host, port, timeout=TIMEOUT_S)
        # LOGIN cannot carry a password that is not ASCII.
        self._ok(self.imap.authenticate(
            "PLAIN", lambda _: b"\0%s\0%s" % (user.encode(), password.encode()))
            if sasl else self.imap.login(user, password))
        # The capabilities after login are the ones that count, and imaplib does not ask again.
        self.capabilities = set(self._ok(self.imap.capability())[0].decode().upper().split())
        self.prefix, self.separator = self._namespace()

    def close(self):
        try:
            self.imap.logout()
        except (OSError, imaplib.IMAP4.error):
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @staticmethod
    def _ok(answer):
        kind, data = answer
        if kind != "OK":
            raise imaplib.IMAP4.error("%s %s" % (kind, data))
        return data

    def _namespace(self):
        text = self._ok(self.imap.namespace())[0].decode()
        m = re.match(r'\(\("((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"', text)
        return (utf7_decode(m.group(1)), m.group(2).replace("\\\\", "\\")) if m else ("", "/")

    def wire_name(self, path):
        if path == ("INBOX",):
            return "INBOX"
        return utf7_encode(self.prefix + self.separator.join(path))

    def path(self, wire_name):
        name = utf7_decode(wire_name)
        if name.upper() == "INBOX":
            return ("INBOX",)
        if self.prefix and name.startswith(self.prefix):
            name = name[len(self.prefix):]
        return tuple(name.split(self.separator))

    def folders(self, all_names=False):
        """{path: set of lower-case attributes} of the selectable folders (or of all)."""
        found = {}
        for line in self._ok(self.imap.list('""', '"*"')):
            if line is None:
                continue
            if isinstance(line, tuple):  # the name came as a literal
                attributes, name = line[0], line[1]
            else:
                m = re.match(rb'\(([^)]*)\) (?:"(?:[^"\\]|\\.)*"|NIL) (.*)$', line)
                attributes, name = m.group(1), m.group(2)
                if name.startswith(b'"'):
                    name = re.sub(rb"\\(.)", rb"\1", name[1:-1])
            m = re.match(rb"\(?([^)]*)", attributes)
            words = set(m.group(1).decode().lower().split())
            if all_names or not words & {"\\noselect", "\\nonexistent"}:
                found[self.path(name.decode())] = words
        return found

    def create(self, path):
        self._ok(self.imap.create(quoted(self.wire_name(path))))

    def ensure(self, path):
        if path != ("INBOX",) and path not in self.folders():
            self.create(path)

    def uids(self, path):
        self._ok(self.imap.select(quoted(self.wire_name(path)), readonly=True))
        return [int(u) for u in self._ok(self.imap.uid("SEARCH", "ALL"))[0].split()]

    def read(self, path, window_bytes=8 * 1024 * 1024):
        """Yields an Item for each message of a folder, in the order of the UIDs."""
        name = quoted(self.wire_name(path))
        count = int(self._ok(self.imap.select(name, readonly=True))[0])
        if count == 0:
            return
        sizes = []
        for line in self._ok(self.imap.uid("FETCH", "1:*", "(RFC822.SIZE)")):
            m = re.search(rb"UID (\d+)", line)
            s = re.search(rb"RFC822.SIZE (\d+)", line)
            sizes.append((int(m.group(1)), int(s.group(1))))
        sizes.sort()
        first = 0
        while first < len(sizes):
            last, total = first, 0
            while last < len(sizes) and (last == first or total + sizes[last][1] <= window_bytes):
                total += sizes[last][1] + 1000
                last += 1
            yield from self._read_window(sizes[first][0], sizes[last - 1][0])
            first = last

    def _read_window(self, uid_first, uid_last):
        data = self._ok(self.imap.uid("FETCH", "%d:%d" % (uid_first, uid_last),
                                      "(UID FLAGS INTERNALDATE BODY.PEEK[])"))
        head, body = b"", None
        for part in data:
            # A message is the tuple (text before the literal, literal) and the text after it.
            if isinstance(part, tuple):
                head, body = part
                continue
            if part is None:
                continue
            text = head + part
            head = b""
            if body is None and b'BODY[] ""' not in text and b"BODY[] NIL" not in text:
                continue
            raw = body or b""
            body = None
            if self.books:
                header, empty, rest = raw.partition(b"\r\n\r\n")
                raw = self.books.sub(b"", header + b"\r\n") + empty[2:] + rest
            flags = re.search(rb"FLAGS \(([^)]*)\)", text).group(1).decode().lower().split()
            yield Item(int(re.search(rb"UID (\d+)", text).group(1)), len(raw),
                       hashlib.sha256(raw).hexdigest(),
                       frozenset(f for f in flags if f != "\\recent"),
                       date_seconds(re.search(rb'INTERNALDATE "([^"]*)"', text).group(1).decode()))

    def append(self, path, messages):
        """Adds messages in order, many in one command where the server has MULTIAPPEND.

        messages: objects with .body (bytes), .flags (words) and .date (seconds).
        """
        batch, size = [], 0
        for message in messages:
            batch.append(message)
            size += len(message.body)
            if len(batch) >= 200 or size > 4 * 1024 * 1024:
                self._append_batch(path, batch)
                batch, size = [], 0
        if batch:
            self._append_batch(path, batch)

    def _append_batch(self, path, batch):
        if "MULTIAPPEND" in self.capabilities:
            self._append_command(path, batch)
        else:
            for message in batch:
                self._append_command(path, [message])

    def _append_command(self, path, batch):
        imap = self.imap
        tag = imap._new_tag()
        plus = "+" if "LITERAL+" in self.capabilities else ""
        text = tag + b" APPEND " + quoted(self.wire_name(path)).encode()
        pieces = [text]
        for message in batch:
            pieces.append((' (%s) %s {%d%s}\r\n' % (" ".join(message.flags),
                                                   date_text(message.date), len(message.body),
                                                   plus)).encode())
            if not plus:
                imap.send(b"".join(pieces))
                line = imap.readline()
                if not line.startswith(b"+"):
                    raise imaplib.IMAP4.error(line.decode("utf-8", "replace"))
                pieces = []
            pieces.append(message.body)
        pieces.append(b"\r\n")
        imap.send(b"".join(pieces))
        imap.tagged_commands.pop(tag, None)
        while True:
            line = imap.readline()
            if not line:
                raise imaplib.IMAP4.abort("connection lost in APPEND")
            if line.startswith(tag):
                if not line.startswith(tag + b" OK"):
                    raise imaplib.IMAP4.error(line.decode("utf-8", "replace"))
                return
