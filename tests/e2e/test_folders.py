"""The `folders` command: a user's tree, what it maps to, what is wrong with it."""

import exchange
import mail
from haul import DOMAIN, Case
from test_quirks import Odd, message, messages
from quirky import CAPABILITY, Folder, Mail, Quirky


class Folders(Case):
    def tree(self, batch, *arguments, code=0):
        return self.ends(batch.call("folders", "--json", *arguments), code).json()

    def test_the_tree_is_what_a_run_then_makes(self):
        source = self.dovecot(["anna"], format="maildir", separator=".", prefix="INBOX.")
        source.seed("anna", {("INBOX",): [mail.tiny(1), mail.tiny(2)], ("Sent",): [mail.tiny(3)],
                             ("Projects", "a", "b"): [mail.tiny(4)], ("Entw\u00fcrfe",): []})
        target = self.target_for(["anna"])
        batch = self.batch(source, target, ["anna"])
        tree = self.tree(batch)
        self.assertEqual(tree["user"], "anna@" + DOMAIN)
        self.assertIs(tree["target_known"], True)
        mapped = {f["target"]: f["messages"] for f in tree["folders"] if f["messages"]}
        self.ends(batch.call("run"), 0)
        with target.connect("anna@" + DOMAIN) as mailbox:
            held = {"/".join(p): len(mailbox.uids(p)) for p in mailbox.folders()}
        self.assertEqual(mapped, {name: n for name, n in held.items() if n})
        self.assertFalse([f for f in tree["folders"] if f["largest"] > f["bytes"]])

    def test_what_is_wrong_is_told_with_a_remedy(self):
        source = self.dovecot(["anna"], format="maildir", separator=".")
        source.seed("anna", {("INBOX",): [mail.tiny(1)], ("a", "b"): [mail.tiny(2)]})
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        batch.set("policy", "exclude-folders", "a/*")
        for folder in self.tree(batch)["folders"]:
            for problem in folder["problems"]:
                self.assertTrue(problem["type"] and problem["text"] and problem["remedy"])
        excluded = [f for f in self.tree(batch)["folders"] if f["excluded"]]
        self.assertEqual([f["source"] for f in excluded], ["a/b"])
        plain = self.ends(batch.call("folders"), 0).out
        self.assertIn("excluded by policy", plain)

    def odd(self, inbox=None, **quirks):
        """The tree of a source that misbehaves; INBOX and Work hold a message each."""
        mails = [Mail(1, mail.tiny(1).body, 1577880000)]
        source = self._started(Quirky({"anna": {
            "INBOX": Folder(mails, **(inbox or {})), "Work": mails}}, **quirks))
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        del batch.sections["source"]["tls-ca"]
        batch.set("source", "tls", "none")
        return {f["source"]: f["messages"] for f in self.tree(batch)["folders"]}

    def test_an_extended_list_that_shows_nothing_is_asked_for_plainly(self):
        tree = self.odd(list_return_empty=True, capability=CAPABILITY + " LIST-EXTENDED")
        self.assertEqual(tree, {"INBOX": 1, "Work": 1})

    def test_an_inbox_that_no_list_shows_is_there_all_the_same(self):
        self.assertEqual(self.odd(inbox={"listed": False}), {"INBOX": 1, "Work": 1})

    def test_a_wrong_password_says_what_to_do(self):
        source = self.dovecot(["anna"])
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        batch.passwords["anna"] = "wrong"
        done = self.ends(batch.call("folders"), 77)
        self.assertIn("anna@" + DOMAIN, done.err)
        self.assertNotIn("wrong", done.err.replace("wrong password", ""))

    def test_a_target_that_is_away_costs_its_names_only(self):
        source = self.dovecot(["anna"])
        source.seed("anna", {("INBOX",): [mail.tiny(1)]})
        target = self.target_for(["anna"])
        batch = self.batch(source, target, ["anna"])
        target.halt()
        tree = self.tree(batch)
        self.assertIs(tree["target_known"], False)
        self.assertEqual([f["messages"] for f in tree["folders"] if f["source"] == "INBOX"], [1])

    def test_roles_are_asked_for_whatever_the_target_is(self):
        """Exchange takes no RETURN; that is no reason to spare the source the question."""
        source = self._started(Quirky({"anna": {"INBOX": [], "Ablage 7": Folder(
            [Mail(1, mail.tiny(1).body)], ("\\Sent",))}},
            capability=CAPABILITY + " LIST-EXTENDED SPECIAL-USE"))
        target = self._started(exchange.Exchange(["anna@" + DOMAIN]))
        batch = target.take(self.batch(source, target, ["anna"]))
        del batch.sections["source"]["tls-ca"]
        batch.set("source", "tls", "none")
        tree = {f["source"]: f["target"] for f in self.tree(batch)["folders"]}
        self.assertEqual(tree["Ablage 7"], "Sent Items")
        self.assertEqual(source.asked(r"^LIST .* RETURN .*SPECIAL-USE"), 1)

    def test_a_folder_in_two_spellings_is_not_called_another_users(self):
        source = self._started(Quirky({"anna": {
            "INBOX": [Mail(1, mail.tiny(1).body)], "Inbox": [], "Junk": [], "Junk/": []}}))
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        del batch.sections["source"]["tls-ca"]
        batch.set("source", "tls", "none")
        told = [p["type"] for f in self.tree(batch)["folders"] for p in f["problems"]]
        self.assertNotIn("NotOwned", told)
        self.assertIn("MultipleRoots", told)


class Refused(Odd):
    """Names that the target refuses although its delimiter is another sign: a real Dovecot that keeps folders as
    Maildir++, whatever its delimiter is."""

    def test_another_name_is_tried_and_told(self):
        names = ["v1.2", "~backup", "a.b/c", "a&ICQ-b", "plain/deep.er/~x", "plain"]
        source = self.source({"INBOX": messages(1), **{n: [message(i + 10)] for i, n in enumerate(names)}})
        target = self.target_for(["anna"], format="maildir")
        batch = self.batch(source, target, ["anna"])
        del batch.sections["source"]["tls-ca"]
        batch.set("source", "tls", "none")
        for _ in range(2):
            self.ends(batch.call("run"), 0)
            user = self.balanced(batch.report())["users"][0]
            self.assertEqual((user["state"][-6:], user["found"], user["uploaded"]), ("Synced", 7, 7))
            renamed = {f["source"]: f["target"] for f in user["folders"]
                       if "FolderRenamed" in [p["type"] for p in f["problems"]]}
            self.assertEqual(renamed, {"v1.2": "v1\u20242", "~backup": "\u223cbackup", "a.b/c": "a\u2024b/c",
                                       "plain/deep.er/~x": "plain/deep\u2024er/\u223cx"})
        with target.connect("anna@" + DOMAIN) as mailbox:
            there = {p: len(mailbox.uids(p)) for p in mailbox.folders()}
        self.assertEqual(there[("a\u2024b",)], 1)
        self.assertEqual(there[("plain", "deep\u2024er", "\u223cx")], 1)
        # Found again when nothing is known of it.
        batch.drop_state()
        self.ends(batch.call("run"), 0)
        self.assertEqual(self.balanced(batch.report())["totals"]["present"], 7)
