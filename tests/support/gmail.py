"""A source like Gmail (X-GM-EXT-1): folders are labels, and a message lies in each of its own and in
All Mail. The server is quirky.py's; what is Gmail's here is what its documentation and public wire
traces show (developers.google.com/workspace/gmail/imap/imap-extensions).

    with Gmail({"anna": [Labelled(1, body, "INBOX", "Work"), ...]}) as server: ...

quirks, besides quirky.py's:

moves={msgid: labels}   the message gets these labels in place of its own when its body is first asked
                        for: it is gone from the folder where it was listed
arrives={name: Labelled} the message comes when that folder is opened first
hidden_labels={name}    folders that LIST does not show ("Show in IMAP" is off)
"""

from quirky import Folder, Mail, Quirky, Session

ROOT = "[Gmail]"
ALL, SENT, DRAFTS, SPAM, TRASH, STARRED, IMPORTANT = (
    ROOT + "/" + n for n in ("All Mail", "Sent Mail", "Drafts", "Spam", "Trash", "Starred",
                             "Important"))
SPECIAL = {ALL: "\\All", SENT: "\\Sent", DRAFTS: "\\Drafts", SPAM: "\\Junk", TRASH: "\\Trash",
           STARRED: "\\Flagged", IMPORTANT: "\\Important"}
SYSTEM = {"INBOX": "\\Inbox", SENT: "\\Sent", DRAFTS: "\\Draft", STARRED: "\\Starred",
          IMPORTANT: "\\Important"}
CAPABILITY = ("IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 UIDPLUS MOVE "
              "LIST-EXTENDED LIST-STATUS LITERAL- SPECIAL-USE AUTH=PLAIN SASL-IR")


class Labelled:
    """A message: its body and the folders it is shown in besides All Mail (not with SPAM or TRASH)."""

    def __init__(self, msgid, body, *labels, date=1577880000):
        self.msgid, self.body, self.labels, self.date = msgid, body, list(labels), date

    def folders(self):
        if SPAM in self.labels or TRASH in self.labels:
            return [n for n in self.labels if n in (SPAM, TRASH)]
        return self.labels + [ALL]


class Shown(Mail):
    """A message in one folder."""

    def __init__(self, uid, labelled):
        super().__init__(uid, labelled.body, labelled.date,
                         ("\\Seen", "\\Flagged") if STARRED in labelled.labels else ("\\Seen",))
        self.labelled = labelled


class GmailSession(Session):
    def do_list(self, rest, word="LIST"):
        answer = super().do_list(rest, word)
        if answer.startswith("OK") and "STATUS (" in rest:
            for name, folder in self.mailboxes().items():
                if folder.listed and "\\Noselect" not in folder.attributes:
                    self.do_status('"%s"' % name)
        return answer

    def do_examine(self, rest, verb="EXAMINE"):
        name, server = self.words(rest)[0], self.server
        arrives = server.q("arrives", {}).get(name)
        if arrives and server.once(("arrives", name)):
            server.deliver(self.user, arrives)
        return super().do_examine(rest, verb)

    def more(self, mail, items):
        if "X-GM-MSGID" not in items:
            return []
        # The folder at hand is not among the labels that are told.
        labels = [SYSTEM.get(n, '"%s"' % n) for n in mail.labelled.labels
                  if self.mailboxes()[n] is not self.folder]
        return ["X-GM-MSGID %d" % mail.labelled.msgid, "X-GM-THRID %d" % mail.labelled.msgid,
                "X-GM-LABELS (%s)" % " ".join(
                    '"\\%s"' % n if n.startswith("\\") else n for n in labels)]

    def bodies(self, chosen, items):
        server = self.server
        for _, mail in chosen:
            labels = server.q("moves", {}).get(mail.labelled.msgid)
            if labels is not None and server.once(("moves", mail.labelled.msgid)):
                server.relabel(self.user, mail.labelled, labels)
        gone = [c for c in chosen if c[1] not in self.folder.mails]
        return super().bodies([c for c in chosen if c not in gone], items)


class Gmail(Quirky):
    kind = "gmail"
    session = GmailSession

    def __init__(self, mailboxes, labels=(), **quirks):
        """mailboxes: {user: [Labelled]}; labels: folders that are there without a message."""
        quirks.setdefault("capability", CAPABILITY)
        hidden = quirks.get("hidden_labels", ())
        self.next_uid = {}
        folders = {}
        for user, mails in mailboxes.items():
            names = ["INBOX"] + sorted({n for m in mails for n in m.labels} - {"INBOX", *SPECIAL}
                                       | set(labels))
            mine = {n: Folder(uidvalidity=100 + i, listed=n not in hidden)
                    for i, n in enumerate(names)}
            mine[ROOT] = Folder(attributes=("\\HasChildren", "\\Noselect"))
            for i, (name, attribute) in enumerate(SPECIAL.items()):
                mine[name] = Folder(attributes=("\\HasNoChildren", attribute), uidvalidity=10 + i,
                                    listed=name not in hidden)
            folders[user] = mine
        super().__init__(folders, **quirks)
        for user, mails in mailboxes.items():
            for m in mails:
                self.deliver(user, m)

    def once(self, key):
        with self.lock:
            if key in self.happened:
                return False
            self.happened.add(key)
            return True

    def show(self, user, labelled, name):
        folder = self.messages[user].setdefault(name, Folder())
        uid = self.next_uid[user, name] = self.next_uid.get((user, name), 0) + 1
        folder.mails.append(Shown(uid, labelled))
        folder.uidnext = lambda: self.next_uid[user, name] + 1

    def deliver(self, user, labelled):
        with self.lock:
            for name in labelled.folders():
                self.show(user, labelled, name)

    def relabel(self, user, labelled, labels):
        """A person gives the message other labels."""
        with self.lock:
            before = labelled.folders()
            labelled.labels = list(labels)
            after = labelled.folders()
            for name in before:
                if name not in after:
                    folder = self.messages[user][name]
                    folder.mails = [m for m in folder.mails if m.labelled is not labelled]
            for name in after:
                if name not in before:
                    self.show(user, labelled, name)
