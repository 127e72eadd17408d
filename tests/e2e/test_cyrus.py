"""Cyrus on either side: the second opinion on the protocol."""

import mail
from haul import Case, core


class FromCyrus(Case):
    def move(self, **options):
        source = self.cyrus(["anna", "ben"], **options)
        messages = 0
        for seed, user in enumerate(("anna", "ben")):
            folders = mail.mailbox(seed, 100)
            messages += sum(len(m) for m in folders.values())
            source.seed(user, folders)
        batch = self.batch(source, self.target_for(["anna", "ben"]), ["anna", "ben"])
        self.ends(batch.call("run"), 0)
        self.assertEqual(self.moved(batch).source, messages)
        self.ends(batch.call("run"), 0)
        self.moved(batch)
        self.balanced(batch.report())

    def test_dots_under_inbox(self):
        self.move(separator=".")

    @core
    def test_slashes_beside_inbox(self):
        self.move(separator="/", altnamespace=True)

    def test_slashes_under_inbox(self):
        self.move(separator="/")


class ToCyrus(Case):
    def move(self, **options):
        source = self.dovecot(["anna", "ben"], format="maildir", separator=".")
        for seed, user in enumerate(("anna", "ben")):
            source.seed(user, mail.mailbox(seed, 100))
        target = self.cyrus(["annat", "bent"], **options)
        batch = self.batch(source, target, [("anna", "annat@target.example"),
                                            ("ben", "bent@target.example")])
        batch.extra_columns = {"TargetUserName": {"anna": "annat", "ben": "bent"}}
        batch.target_logins = {"anna": "annat", "ben": "bent"}
        self.ends(batch.call("run"), 0)
        self.moved(batch)
        self.ends(batch.call("run"), 0)
        self.moved(batch)
        batch.drop_state()
        self.ends(batch.call("run"), 0)
        self.moved(batch)

    @core
    def test_dots_under_inbox(self):
        self.move(separator=".")

    def test_slashes_beside_inbox(self):
        self.move(separator="/", altnamespace=True)
