"""Whole migrations between two Dovecots: everything arrives as it was, and only once."""

import base64
import collections
import os
import random
import re
import shutil
import signal
import time

import mail
from haul import DOMAIN, Case, core
from meddler import Meddler, Rule


def box(seed, count=120, kind="small"):
    return mail.mailbox(seed, count, kind)


def total(folders):
    return sum(len(messages) for messages in folders.values())


class Move(Case):
    def move(self, source_options, target_options, tls=True, count=150, kind="small"):
        """Two users from one server to the other; returns (batch, messages)."""
        users = ["anna", "joerg"]
        source = self.dovecot(users, **source_options)
        target = self.target_for(users, **target_options)
        messages = 0
        for seed, user in enumerate(users):
            folders = box(seed, count, kind)
            messages += total(folders)
            source.seed(user, folders)
        batch = self.batch(source, target, users, tls=tls)
        self.ends(batch.call("run"), 0)
        result = self.moved(batch)
        self.assertEqual(result.source, messages)
        self.assertEqual(result.missing, [], "empty folders arrive as well")
        return batch, messages

    @core
    def test_maildir_to_sdbox_over_tls(self):
        batch, messages = self.move({"format": "maildir", "separator": ".", "prefix": "INBOX."},
                                    {"format": "sdbox", "separator": "/"})
        report = self.balanced(batch.report())
        self.assertEqual(report["totals"]["found"], messages)
        self.assertEqual(report["totals"]["uploaded"], messages)
        self.assertEqual(report["totals"]["synced"], 2)

    @core
    def test_sdbox_to_maildir_over_starttls(self):
        self.move({"format": "sdbox", "separator": "/", "tls_required": True},
                  {"format": "maildir", "separator": ".", "prefix": "INBOX.",
                   "tls_required": True}, tls=False)

    @core
    def test_mixed_sizes(self):
        self.move({"format": "maildir", "separator": "."}, {"format": "sdbox"}, count=250,
                  kind="mixed")

    def test_target_without_multiappend(self):
        self.move({"format": "maildir", "separator": "."}, {"capability_drop": ("MULTIAPPEND",)})

    def test_target_with_synchronizing_literals_only(self):
        self.move({"format": "maildir", "separator": "."},
                  {"capability_drop": ("MULTIAPPEND", "LITERAL+")})

    def test_target_without_uidplus(self):
        self.move({"format": "maildir", "separator": "."}, {"capability_drop": ("UIDPLUS",)})

    def test_bare_imap4rev1_on_both_sides(self):
        import servers
        drop = tuple(w for w in servers.DOVECOT_CAPABILITY.split() if w != "IMAP4rev1")
        self.move({"format": "maildir", "separator": ".", "capability_drop": drop},
                  {"capability_drop": drop})

    def test_few_connections_allowed(self):
        self.move({"format": "maildir", "separator": ".", "connections_per_user": 1},
                  {"connections_per_user": 1})


class Made(Case):
    """Folders that are missing on the target are made together."""

    NAMES = ["Box %d" % i for i in range(6)]

    def made(self, *rules):
        """A run whose target is meddled with; what the target was asked."""
        source = self.dovecot(["anna"])
        source.seed("anna", {("INBOX",): [mail.tiny(1)], ("Box 0", "Below"): [mail.tiny(2)],
                             **{(name,): [mail.tiny(10 + i)] for i, name in enumerate(self.NAMES)}})
        target = self.target_for(["anna"])
        meddler = self._started(Meddler(target, list(rules)))
        batch = self.batch(source, meddler, ["anna"])
        batch.sections["target"] = {"preset": "imap", "url": meddler.url(), "tls": "none",
                                    "settle-time": "1s", "connections-per-mailbox": "1"}
        batch.set("policy", "retry-wait", "1s")
        self.ends(batch.call("run"), 0)
        self.assertEqual(self.moved(batch).missing, [])
        self.balanced(batch.report())
        return meddler

    def test_all_are_asked_for_before_the_first_is_used(self):
        asked = self.made().lines
        lines = [line.split(" ")[0].upper() for line in asked]
        first = lines.index("SUBSCRIBE")
        self.assertGreaterEqual(lines[:first].count("CREATE"), len(self.NAMES))
        # INBOX is there from the start: its mail waits for nobody.
        self.assertEqual([line for line in asked[:first] if re.match("(?i)APPEND (?!\"?INBOX)", line)], [])
        self.assertEqual(lines.count("CREATE"), lines.count("SUBSCRIBE"))

    def test_one_that_is_refused_among_them_is_made_alone(self):
        plain, meddler = self.made(), self.made(Rule("^CREATE", "NO [SERVERBUG] not now", skip=2, times=1))
        self.assertEqual(meddler.asked("^CREATE"), plain.asked("^CREATE") + 1)

    def test_a_connection_lost_among_them_loses_nothing(self):
        meddler = self.made(Rule("^CREATE", close=True, skip=2, times=1))
        self.assertEqual(meddler.asked("^(LOGIN|AUTHENTICATE)"), 2)

    def test_one_that_was_made_without_an_answer_is_taken_as_it_is(self):
        meddler = self.made(Rule("^CREATE", after=True, skip=2, times=1))
        self.assertEqual(meddler.asked("^(LOGIN|AUTHENTICATE)"), 2)

    def test_numbers_that_are_refused_are_asked_for_again(self):
        self.made(Rule("^STATUS", "NO not now", skip=1, times=1),
                  Rule("^SUBSCRIBE", "NO never", skip=1, times=2))


class Again(Case):
    """What a second run does."""

    def setUp(self):
        super().setUp()
        self.source = self.dovecot(["anna"], format="maildir", separator=".", prefix="INBOX.")
        self.target = self.target_for(["anna"])
        self.folders = box(7)
        self.source.seed("anna", self.folders)
        self.one = self.batch(self.source, self.target, ["anna"])

    def target_box(self):
        return self.target.connect("anna@target.example")

    def target_uids(self):
        with self.target_box() as mailbox:
            return {path: mailbox.uids(path) for path in mailbox.folders()}

    @core
    def test_second_run_moves_nothing(self):
        self.ends(self.one.call("run"), 0)
        before = self.target_uids()
        self.ends(self.one.call("run"), 0)
        self.assertEqual(self.target_uids(), before)
        self.moved(self.one)
        self.balanced(self.one.report())

    @core
    def test_new_mail_alone_moves_afterwards(self):
        self.ends(self.one.call("run"), 0)
        before = self.target_uids()
        new = [mail.tiny(900001, flags=("\\Flagged",)), mail.tiny(900002)]
        with self.source.connect("anna") as mailbox:
            mailbox.append(("INBOX",), new)
            mailbox.create(("New folder", "Später"))
            mailbox.append(("New folder", "Später"), [mail.tiny(900003)])
        self.ends(self.one.call("run"), 0)
        self.moved(self.one)
        after = self.target_uids()
        self.assertEqual(after[("INBOX",)][:-2], before[("INBOX",)])
        del after[("INBOX",)], before[("INBOX",)], after[("New folder", "Später")]
        after.pop(("New folder",), None)
        self.assertEqual(after, before)
        self.balanced(self.one.report())

    @core
    def test_source_may_be_switched_off_after_fetch(self):
        done = self.ends(self.one.call("upload"), 2)
        self.assertIn("was fetched into the spool yet: fetch comes first", done.err)
        self.ends(self.one.call("fetch"), 0)
        with self.target_box() as mailbox:
            self.assertEqual(mailbox.uids(("INBOX",)), [], "fetch does not touch the target")
        self.source.halt()
        self.ends(self.one.call("upload"), 0)
        self.source.start()
        self.moved(self.one)
        self.balanced(self.one.report())

    @core
    def test_lost_state_folder_doubles_nothing(self):
        self.ends(self.one.call("run"), 0)
        self.one.drop_state()
        before = self.target_uids()
        self.ends(self.one.call("run"), 0)
        self.assertEqual(self.target_uids(), before)
        totals = self.balanced(self.one.report())["totals"]
        self.assertEqual((totals["uploaded"], totals["present"]), (0, total(self.folders)))

    def test_lost_state_folder_after_half_a_migration(self):
        half = {path: messages[::2] for path, messages in self.folders.items()}
        self.target.seed("anna@target.example", half)
        self.ends(self.one.call("run"), 0)
        self.moved(self.one)
        totals = self.balanced(self.one.report())["totals"]
        self.assertEqual(totals["present"], total(half))

    def stale(self, target):
        """Two nights, then the state folder of before the second one again, and mail that it does not know:
        what the second night moved is found, and somebody's own mail on the target is left alone."""
        batch = self.batch(self.source, target, ["anna"])
        batch.set("target", "settle-time", "0")
        self.ends(batch.call("run"), 0)
        old = batch.state + ".old"
        shutil.copytree(batch.state, old)
        with self.source.connect("anna") as mailbox:
            mailbox.append(("INBOX",), [mail.tiny(910000 + i) for i in range(20)])
        self.ends(batch.call("run"), 0)
        with target.connect("anna@target.example") as mailbox:
            mailbox.append(("INBOX",), [mail.tiny(920000)])
        shutil.rmtree(batch.state)
        os.rename(old, batch.state)
        with self.source.connect("anna") as mailbox:
            mailbox.append(("INBOX",), [mail.tiny(930000 + i) for i in range(5)])
        return batch

    def one_of_each(self, batch):
        totals = self.balanced(batch.report())["totals"]
        with batch.target.connect("anna@target.example") as mailbox:
            there = collections.Counter(i.digest for i in mailbox.read(("INBOX",)))
        with self.source.connect("anna") as mailbox:
            wanted = collections.Counter(i.digest for i in mailbox.read(("INBOX",)))
        self.assertEqual(sum((there - wanted).values()), 1)  # somebody's own
        self.assertEqual(wanted - there, collections.Counter())
        return totals

    @core
    def test_an_older_copy_of_the_state_folder_doubles_nothing(self):
        batch = self.stale(self.target)
        self.ends(batch.call("run"), 0)
        self.assertEqual(self.one_of_each(batch)["present"], 20)
        self.assertNotIn("folder.scanned", self.ends(self.again(batch), 0).err)

    def test_an_older_copy_of_the_state_folder_doubles_nothing_without_uidplus(self):
        batch = self.stale(self.target_for(["anna"], capability_drop=("UIDPLUS",)))
        self.ends(batch.call("run"), 0)
        self.assertEqual(self.one_of_each(batch)["present"], 20)
        # The night after knows what the folder holds, although no UID was ever told.
        self.assertNotIn("folder.scanned", self.ends(self.again(batch), 0).err)

    def again(self, batch):
        with self.source.connect("anna") as mailbox:
            mailbox.append(("INBOX",), [mail.tiny(940000)])
        return batch.call("run", "--log-level", "debug")

    def test_a_kill_amid_what_an_older_copy_of_the_state_folder_finds(self):
        batch = self.stale(self.target)
        running = batch.start("run", "--log-level", "debug")
        while "folder.scanned" not in running.text() and not running.ended():
            time.sleep(0.001)
        running.signal(signal.SIGKILL)
        running.wait()
        self.ends(batch.call("run"), 0)
        # Killed before it said what it would send, they may be what it sent: there once, whatever they are called.
        totals = self.one_of_each(batch)
        self.assertEqual(totals["present"] + totals["uploaded"], totals["found"])

    def test_two_state_folders_in_turn_double_nothing(self):
        """As where a job goes from one host to another and back, or from shards to none and back."""
        other = self.batch(self.source, self.target, ["anna"])
        for night in range(4):
            with self.source.connect("anna") as mailbox:
                mailbox.append(("INBOX",), [mail.tiny(950000 + 10 * night + i) for i in range(3)])
            self.ends((self.one, other)[night % 2].call("run"), 0)
            self.moved(self.one)

    def test_true_duplicates_and_mail_without_message_id_all_arrive(self):
        date = mail.FIRST_S
        twin = mail.tiny(1, date)
        bare = mail.Message(b"Subject: no ident\r\n\r\nText.\r\n", date)
        empty = mail.Message(b"\r\n", date)
        with self.source.connect("anna") as mailbox:
            mailbox.create(("Twins",))
            mailbox.append(("Twins",), [twin, twin, twin, bare, bare, empty, empty])
        self.ends(self.one.call("run"), 0)
        self.moved(self.one)
        self.one.drop_state()
        self.ends(self.one.call("run"), 0)
        self.moved(self.one)

    def test_uidvalidity_changed_doubles_nothing(self):
        self.ends(self.one.call("run"), 0)
        before = self.target_uids()
        # Without its index and UID list a Maildir folder gets new UIDs and a new UIDVALIDITY.
        self.source.halt()
        import glob
        import os
        import time
        for name in glob.glob(self.source.home("anna") + "/Maildir/**/dovecot*", recursive=True) + \
                glob.glob(self.source.home("anna") + "/Maildir/.*/dovecot*"):
            if "keywords" not in name and os.path.exists(name):
                os.unlink(name)
        # UIDVALIDITY is the second of creation: it must not be the one of before.
        time.sleep(1.1)
        self.source.start()
        self.ends(self.one.call("run"), 0)
        self.assertEqual(self.target_uids(), before)
        self.balanced(self.one.report())


class Ways(Case):
    """Logins and policies."""

    def test_master_user_by_sasl(self):
        source = self.dovecot(["anna"], format="maildir", separator=".",
                              masters={"boss": "mästér"})
        source.seed("anna", box(1, 30))
        target = self.target_for(["anna"])
        batch = self.batch(source, target, ["anna"])
        with open(batch.folder + "/boss.txt", "w") as f:
            f.write("mästér\n")
        batch.passwords = {"anna": ""}
        batch.set("source", "admin-user", "boss").set("source", "admin-password-file", "boss.txt")
        self.ends(batch.call("run"), 0)
        self.moved(batch)

    def test_master_user_by_login_form(self):
        source = self.dovecot(["anna"], format="maildir", separator=".", masters={"boss": "pw"})
        source.seed("anna", box(1, 30))
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        with open(batch.folder + "/boss.txt", "w") as f:
            f.write("pw\n")
        batch.passwords = {"anna": ""}
        batch.set("source", "admin-user", "boss").set("source", "admin-password-file", "boss.txt")
        batch.set("source", "login-form", "{user}*{admin}")
        self.ends(batch.call("run"), 0)
        self.moved(batch)

    def test_each_mechanism(self):
        source = self.dovecot(["anna"], format="maildir", separator=".",
                              mechanisms="plain login cram-md5 scram-sha-1 scram-sha-256")
        source.seed("anna", {("INBOX",): [mail.tiny(1)]})
        names = ("plain", "login", "cram-md5", "scram-sha-1", "scram-sha-256")
        target = self.dovecot(["%s@target.example" % n for n in names])
        for name in names:
            with self.subTest(name):
                batch = self.batch(source, target, [("anna", "%s@target.example" % name)])
                batch.set("source", "auth", name)
                self.ends(batch.call("run"), 0)
                self.moved(batch)

    def test_login_names_and_passwords_in_utf8(self):
        source = self.dovecot(["jörg müller"], format="maildir", separator=".")
        source.seed("jörg müller", box(1, 30))
        batch = self.batch(source, self.target_for(["joerg"]),
                           [("jörg müller", "joerg@target.example")])
        self.ends(batch.call("run"), 0)
        self.moved(batch)

    def test_policies_skip_and_say_so(self):
        source = self.dovecot(["anna"], format="maildir", separator=".")
        old, new = 1262304000, 1609459200  # 2010 and 2021
        source.seed("anna", {
            ("INBOX",): [mail.tiny(1, new), mail.tiny(2, old),
                         mail.tiny(3, new, extra=(b"x" * 76 + b"\r\n") * 2000)],
            ("Sent",): [mail.tiny(4, new)], ("Trash",): [mail.tiny(5, new), mail.tiny(6, new)]})
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        batch.set("policy", "since", "2020-01-01").set("policy", "exclude-folders", "Trash")
        batch.set("policy", "max-message-size", "100KB")
        batch.set("policy", "large-item-limit", "unlimited")
        self.ends(batch.call("run"), 0)
        report = self.balanced(batch.report())
        self.assertEqual(report["totals"]["uploaded"], 2)
        reasons = sorted(item["reason"] for item in report["users"][0]["skipped_items"])
        self.assertIn("LargerThanLimit", reasons)
        self.assertEqual(report["totals"]["skipped"] + report["totals"]["uploaded"],
                         report["totals"]["found"])
        with batch.target.connect("anna@target.example") as mailbox:
            self.assertEqual(len(mailbox.uids(("INBOX",))), 1)
            self.assertEqual(len(mailbox.uids(("Sent",))), 1)
            if ("Trash",) in mailbox.folders():
                self.assertEqual(mailbox.uids(("Trash",)), [])

    def test_too_many_large_items_fail_the_user(self):
        source = self.dovecot(["anna"], format="maildir", separator=".")
        large = mail.tiny(3, extra=(b"x" * 76 + b"\r\n") * 2000)
        source.seed("anna", {("INBOX",): [mail.tiny(1), large]})
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        batch.set("policy", "max-message-size", "100KB")
        self.ends(batch.call("run"), 3)
        user = self.balanced(batch.report())["users"][0]
        self.assertEqual((user["state"], user["failure"]), ("Failed", "TooManyLargeItems"))

    def test_special_use_folders_meet_their_roles(self):
        source = self.dovecot(["anna"], format="maildir", separator=".", special_use={
            "Sent": "Gesendet", "Trash": "Papierkorb", "Drafts": "Entwürfe", "Junk": "Spam"})
        source.seed("anna", {("Gesendet",): [mail.tiny(1)], ("Papierkorb",): [mail.tiny(2)],
                             ("Entwürfe",): [mail.tiny(3)], ("Spam",): [mail.tiny(4)]})
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        self.ends(batch.call("run"), 0)
        roles = {("Gesendet",): ("Sent",), ("Papierkorb",): ("Trash",),
                 ("Entwürfe",): ("Drafts",), ("Spam",): ("Junk",)}
        self.moved(batch, target_path=lambda path: roles.get(path, path))

    def test_folder_map_beats_the_automatic_one(self):
        source = self.dovecot(["anna"], format="maildir", separator=".")
        source.seed("anna", {("Old name",): [mail.tiny(1)], ("Sent",): [mail.tiny(2)]})
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        batch.set("folders", "Old name", "New name").set("folders", "Sent", "Sent before")
        self.ends(batch.call("run"), 0)
        names = {("Old name",): ("New name",), ("Sent",): ("Sent before",)}
        self.moved(batch, target_path=lambda path: names.get(path, path))

    def test_a_user_root_keeps_the_mail_of_others_out(self):
        """One account that sees the mailboxes of many: each user gets what is below the root."""
        source = self.dovecot(["admin"], format="maildir", separator=".")
        source.seed("admin", {
            ("INBOX",): [mail.tiny(1)], ("users", "anna"): [mail.tiny(2)],
            ("users", "anna", "Projects"): [mail.tiny(3)], ("users", "annabel"): [mail.tiny(4)],
            ("users", "ben"): [mail.tiny(5)]})
        users = [("admin", "anna@" + DOMAIN)]
        target = self.target_for(["anna"])
        batch = self.batch(source, target, users)
        batch.extra_columns["UserRoot"] = {"admin": "/users/anna"}
        self.ends(batch.call("run"), 0)
        report = self.balanced(batch.report())
        self.assertEqual({(f["source"], f["found"]) for f in report["users"][0]["folders"]},
                         {("INBOX", 1), ("Projects", 1)})
        with target.connect("anna@" + DOMAIN) as mailbox:
            held = {path: len(mailbox.uids(path)) for path in mailbox.folders()}
        self.assertEqual({path: n for path, n in held.items() if n},
                         {("INBOX",): 1, ("Projects",): 1})
        batch.extra_columns["UserRoot"] = {"admin": "/users/nobody"}
        batch.drop_state()
        done = self.ends(batch.call("run"), 3)
        self.assertIn("users/nobody", done.out + done.err)

    def test_a_hook_gets_the_summary(self):
        source = self.dovecot(["anna"])
        source.seed("anna", {("INBOX",): [mail.tiny(1)]})
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        hook = "ls -l /proc/$$/fd > open.txt; " \
               "{ echo $MAILHAUL_EXIT_CODE $MAILHAUL_BATCH $MAILHAUL_COMMAND; cat; } > hook.txt"
        self.ends(batch.call("run", "--notify-command", hook), 0)
        with open(batch.folder + "/hook.txt") as f:
            lines = f.read()
        self.assertTrue(lines.startswith("0 night-1 run\n"), lines)
        self.assertIn("Messages uploaded       1", lines)
        with open(batch.folder + "/open.txt") as f:
            self.assertNotRegex(f.read(), r"\.mdb|\.state")
        done = self.ends(batch.call("run", "--notify-command", "exit 7"), 0)
        self.assertIn("exit code 7", done.err)

    def test_shards_share_the_users(self):
        users = ["u%02d" % i for i in range(12)]
        source = self.dovecot(users, format="maildir", separator=".")
        for i, user in enumerate(users):
            source.seed(user, {("INBOX",): [mail.tiny(i)]})
        target = self.target_for(users)
        done = []
        for shard in ("1/2", "2/2"):
            batch = self.batch(source, target, users)
            self.assertNotIn("this batch was run", self.ends(batch.call("run", "--shard", shard), 0).err)
            report = self.ends(batch.call("report", "--json", "--shard", shard), 0).json()
            done.append({u["address"] for u in report["users"] if u["found"]})
        self.assertEqual(done[0] | done[1], {"%s@target.example" % u for u in users})
        self.assertEqual(done[0] & done[1], set())
        self.moved(batch)
        # In another division the journal of this one is not looked at, and that is said.
        for arguments, before in (((), "in shards before: "),
                                  (("--shard", "1/3"), "without --shard, or in another number of shards,")):
            done = self.ends(batch.call("run", *arguments), 0)
            self.assertIn("this batch was run " + before, done.err)
            self.assertIn("night-1.state.2-of-2", done.err)
        self.moved(batch)

    def test_a_user_alone_is_told_apart_from_the_batch(self):
        source = self.dovecot(["anna", "ben"])
        for user in ("anna", "ben"):
            source.seed(user, {("INBOX",): [mail.tiny(1)]})
        batch = self.batch(source, self.target_for(["anna", "ben"]), ["anna", "ben"])
        batch.passwords = {"ben": "wrong"}
        self.assertNotIn("Asked for", self.ends(batch.call("run"), 3).err)
        done = self.ends(batch.call("run", "--user", "anna"), 0)
        self.assertIn("1 of 2 users failed", done.err)
        self.assertIn("1 user: 1 done; the exit code 0 speaks of this user alone", done.err)
        batch.passwords = {}
        done = self.ends(batch.call("retry", "--user", "ben@" + DOMAIN), 0)
        self.assertIn("1 user: 1 done; the exit code 0", done.err)


class Bodies(Case):
    """What the spool holds, once for equal mail, and damaged."""

    @staticmethod
    def large(count):
        """Messages whose bodies the spool shares when they are equal, and that do not compress."""
        noise = random.Random(5)
        return [mail.tiny(i, extra=base64.encodebytes(noise.randbytes(30000)).replace(b"\n", b"\r\n"))
                for i in range(1, count + 1)]

    def equal(self, users):
        """Everybody has the same mail, in two folders."""
        box = self.large(60)
        source = self.dovecot(sorted({login for login, _ in users}), format="maildir", separator=".")
        for login in source.users:
            source.seed(login, {("INBOX",): box[:40], ("Again",): box})
        batch = self.batch(source, self.target_for([address.split("@")[0] for _, address in users]),
                           users)
        self.ends(batch.call("run"), 0)
        self.moved(batch)
        self.assertEqual(self.balanced(batch.report())["totals"]["uploaded"], 100 * len(users))

    def test_the_same_mail_in_two_folders(self):
        self.equal([("anna", "anna@" + DOMAIN)])

    def test_the_same_mail_for_several_users(self):
        self.equal([(u, "%s@%s" % (u, DOMAIN)) for u in ("anna", "ben", "carla")])

    def test_one_login_in_two_rows(self):
        self.equal([("anna", "anna@" + DOMAIN), ("anna", "copy@" + DOMAIN)])

    def damaged(self, **target):
        """Three bodies of the spool are damaged: those messages have failed, the others arrive once."""
        box = self.large(60)
        source = self.dovecot(["anna"], format="maildir", separator=".")
        source.seed("anna", {("INBOX",): box})
        server = self.target_for(["anna"], **target)
        batch = self.batch(source, server, ["anna"])
        self.ends(batch.call("fetch"), 0)
        with open(os.path.join(batch.state, "data.mdb"), "r+b") as f:
            data = f.read()
            frames = [m.start() for m in re.finditer(re.escape(b"\x28\xb5\x2f\xfd"), data)
                      if data[m.start() + 10000:m.start() + 10004] != bytes(4)]
            for at in (frames[5], frames[25], frames[26]):
                f.seek(at + 10000)
                f.write(bytes(16))
        self.ends(batch.call("upload"), 3)
        report = self.balanced(batch.report())
        self.assertEqual((report["totals"]["uploaded"], report["totals"]["failed"]), (57, 3))
        failures = report["users"][0]["failures"]
        self.assertEqual(len([f for f in failures if f["type"] == "SpoolError" and f["uid"]]), 3)
        with server.connect("anna@" + DOMAIN) as there:
            digests = [item.digest for item in there.read(("INBOX",))]
        self.assertEqual(len(digests), 57)
        self.assertEqual(len(set(digests)), 57)
        # They are at the source still.
        self.ends(batch.call("retry"), 0)
        self.moved(batch)

    def test_damaged_bodies_cost_only_themselves_by_multiappend(self):
        self.damaged()

    def test_damaged_bodies_cost_only_themselves_by_pipelined_appends(self):
        self.damaged(capability_drop=("MULTIAPPEND",))

    def test_damaged_bodies_cost_only_themselves_one_by_one(self):
        self.damaged(capability_drop=("MULTIAPPEND", "LITERAL+"))
