"""`rehearse`: the batch into a simulated tenant; neither the real target nor the batch's state is
touched."""

import json
import os

import mail
from haul import DOMAIN, Case


class Rehearse(Case):
    def test_a_night_without_a_tenant(self):
        source = self.dovecot(["anna", "ben"], format="maildir", separator=".")
        counts = 0
        for i, user in enumerate(("anna", "ben")):
            folders = mail.mailbox(i, 25)
            source.seed(user, folders)
            counts += sum(len(box) for box in folders.values())
        target = self.target_for(["anna", "ben"])
        batch = self.batch(source, target, ["anna", "ben"])
        batch.set("rehearse", "append-ms", "5")
        done = self.ends(batch.call("rehearse", "--json", "--progress", "never"), 0)
        told = json.loads(done.out)
        self.assertEqual(told["schema"], "mailhaul.rehearse.v1")
        self.assertEqual(told["messages"], counts)
        self.assertEqual(told["violations"], 0)
        self.assertFalse(os.path.exists(batch.state), "the batch's own state was not touched")
        for user in ("anna", "ben"):
            with target.connect("%s@%s" % (user, DOMAIN)) as mailbox:
                self.assertEqual(sum(len(mailbox.uids(p)) for p in mailbox.folders()), 0)

    def test_keys_of_the_simulated_server_are_judged(self):
        source = self.dovecot(["anna"])
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        batch.set("rehearse", "appendms", "5")
        done = self.ends(batch.call("rehearse"), 78)
        self.assertIn("appendms", done.err)
        self.assertIn("night-1.ini:", done.err)
        del batch.sections["rehearse"]
        done = self.ends(batch.call("rehearse", "--set", "rehearse.append-ms=soon"), 64)
        self.assertIn("[rehearse] append-ms: not a number", done.err)
        done = self.ends(batch.call("rehearse", "--progress", "never"), 0)
        self.assertNotIn("TargetPassword", done.err)
