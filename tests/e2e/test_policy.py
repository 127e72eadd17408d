"""Each policy and each limit: what is left behind, who fails for it, and that a policy changed later
moves only the difference."""

import hashlib
import os
import re

import mail
from haul import Case
from test_quirks import Odd, message, messages

OLD, NEW = 1262304000, 1609459200  # 2010 and 2021


def large(serial, date=NEW):
    return mail.tiny(serial, date, extra=(b"x" * 76 + b"\r\n") * 2000)


class Returned(Case):
    def test_a_folder_that_was_moved_excluded_and_wanted_again_is_not_doubled(self):
        source = self.dovecot(["anna"], format="maildir", separator=".")
        source.seed("anna", {("INBOX",): [mail.tiny(1)], ("Junk",): [mail.tiny(2), mail.tiny(3)]})
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        self.ends(batch.call("run"), 0)
        for pattern in ("Junk", "#JunkEmail#"):
            batch.set("policy", "exclude-folders", pattern)
            self.ends(batch.call("run"), 0)
            del batch.sections["policy"]
            self.ends(batch.call("run"), 0)
            self.assertEqual(self.balanced(batch.report())["totals"]["present"], 2)
            self.moved(batch)


class Again(Case):
    def test_what_is_excluded_is_no_news_each_night(self):
        source = self.dovecot(["anna"], format="maildir", separator=".")
        source.seed("anna", {("INBOX",): [mail.tiny(1)], ("Trash",): [mail.tiny(2), mail.tiny(3)]})
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        batch.set("policy", "exclude-folders", "Trash")
        self.ends(batch.call("plan"), 0)
        self.assertRegex(self.ends(batch.call("run"), 0).err, r"\n +0 new messages at the source;")
        source.seed("anna", {("Trash",): [mail.tiny(4)]})
        self.assertRegex(self.ends(batch.call("run"), 0).err, r"\n +1 new message at the source;")
        with source.connect("anna") as mailbox:
            mailbox.imap.select("Trash")
            mailbox.imap.uid("STORE", "1:2", "+FLAGS", "(\\Deleted)")
            mailbox.imap.expunge()
        self.assertRegex(self.ends(batch.call("run"), 0).err, r"\n +0 new messages at the source;")
        self.assertEqual(self.balanced(batch.report())["totals"]["found"], 2)
        done = self.ends(batch.call("export", "--what", "skipped", "--to", os.path.join(self.folder, "out")), 0)
        self.assertIn("but for 1 in excluded folders that were only counted", done.err)


class Slips(Case):
    def test_patterns_that_no_folder_answers_to_are_told(self):
        source = self.dovecot(["anna", "ben"], format="maildir", separator=".")
        source.seed("anna", {("INBOX",): [mail.tiny(1)], ("Trash",): [mail.tiny(2)]})
        source.seed("ben", {("INBOX",): [mail.tiny(1)], ("Archive", "2020"): [mail.tiny(2)]})
        batch = self.batch(source, self.target_for(["anna", "ben"]), ["anna", "ben"])
        batch.set("policy", "exclude-folders", "Trsh, Trash/*, Archive/20*")
        batch.set("policy", "include-folders", "*")
        batch.set("folders", "Archiv", "Old")
        said = ['exclude-folders: "Trsh"', '[folders]: "Archiv"']
        # Before anything moves; what one mailbox lacks is no slip.
        check = self.ends(batch.call("check", "--all", "--json"), 0)
        self.assertEqual([w.split(" matches")[0] for w in check.json()["warnings"]], said)
        self.assertIn(said[0] + " matches no folder of any mailbox", check.err)
        for arguments in ((), ("--all", "--target"), ("--user", "ben")):
            self.assertNotIn("matches no folder", self.ends(batch.call("check", *arguments), 0).err)
        batch.passwords["anna"] = "wrong"
        check = self.ends(batch.call("check", "--all", "--json"), 77)
        self.assertIn('"Trsh" matches no folder of the 1 of 2 mailboxes that could be listed', check.err)
        del batch.passwords["anna"]
        plan = self.ends(batch.call("plan", "--json"), 0)
        self.assertEqual([w.split(" matches")[0] for w in plan.json()["warnings"]], said)
        done = self.ends(batch.call("run"), 0)
        self.assertEqual([w.split(" matches")[0] for w in batch.report()["batch"]["warnings"]], said)
        for text in (plan.err, done.err):
            for words in said:
                self.assertIn(words + " matches no folder", text)
            self.assertEqual(text.count("matches no folder"), 2)
        # Mended: nothing more is said of it.
        del batch.sections["policy"], batch.sections["folders"]
        self.ends(batch.call("run"), 0)
        self.assertEqual(batch.report()["batch"]["warnings"], [])


class Policy(Case):
    def job(self, folders, users=("anna",), **policy):
        source = self.dovecot(list(users), format="maildir", separator=".")
        for user in users:
            source.seed(user, folders)
        self.numbers = {hashlib.sha256(m.body).hexdigest():
                        int(re.search(rb"<tiny\.(\d+)@", m.body).group(1))
                        for box in folders.values() for m in box}
        batch = self.batch(source, self.target_for(users), list(users))
        for key, value in policy.items():
            batch.set("policy", key.replace("_", "-"), value)
        return batch

    def user(self, batch, name="anna"):
        return next(u for u in self.balanced(batch.report())["users"] if u["user_name"] == name)

    def there(self, batch, path=("INBOX",), name="anna"):
        """The numbers of the messages in the target folder, in the order in which they came."""
        with batch.target.connect("%s@target.example" % name) as mailbox:
            if path not in mailbox.folders():
                return []
            return [self.numbers[item.digest] for item in mailbox.read(path)]

    def reasons(self, user):
        return sorted(item["reason"] for item in user["skipped_items"])

    # -- size

    def test_a_larger_size_later_moves_only_what_was_left_behind(self):
        batch = self.job({("INBOX",): [mail.tiny(1, NEW), large(2), mail.tiny(3, NEW)]},
                         max_message_size="100KB", large_item_limit="unlimited")
        self.ends(batch.call("run"), 0)
        self.assertEqual(sorted(self.there(batch)), [1, 3])
        fetched = self.user(batch)["bytes_fetched"]
        batch.set("policy", "max-message-size", "1MB")
        self.ends(batch.call("run"), 0)
        self.assertEqual(sorted(self.there(batch)), [1, 2, 3])
        user = self.user(batch)
        self.assertEqual((user["uploaded"], user["skipped"]), (3, 0))
        self.assertEqual(user["bytes_fetched"] - fetched, len(large(2).body), "only that was read")

    def test_a_smaller_size_later_leaves_what_is_there(self):
        batch = self.job({("INBOX",): [mail.tiny(1, NEW), large(2)]}, max_message_size="1MB")
        self.ends(batch.call("run"), 0)
        batch.set("policy", "max-message-size", "100KB")
        self.ends(batch.call("run"), 0)
        self.assertEqual(sorted(self.there(batch)), [1, 2])

    def test_a_smaller_size_holds_for_what_is_in_the_spool(self):
        batch = self.job({("INBOX",): [mail.tiny(1, NEW), large(2)]}, max_message_size="1MB",
                         large_item_limit="1")
        self.ends(batch.call("fetch"), 0)
        batch.set("policy", "max-message-size", "100KB")
        self.ends(batch.call("upload"), 0)
        self.assertEqual(self.there(batch), [1])
        self.assertEqual(self.reasons(self.user(batch)), ["LargerThanLimit"])
        # And a wider one later is fetched again.
        batch.set("policy", "max-message-size", "1MB")
        self.ends(batch.call("run"), 0)
        self.assertEqual(sorted(self.there(batch)), [1, 2])

    def test_a_user_may_have_a_size_of_its_own(self):
        batch = self.job({("INBOX",): [mail.tiny(1, NEW), large(2)]}, users=("anna", "ben"),
                         max_message_size="100KB", large_item_limit="unlimited")
        batch.extra_columns["MaxMessageSize"] = {"ben": "1MB"}
        self.ends(batch.call("run"), 0)
        self.assertEqual(sorted(self.there(batch)), [1])
        self.assertEqual(sorted(self.there(batch, name="ben")), [1, 2])

    def test_the_reason_is_that_of_the_rules_of_today(self):
        batch = self.job({("INBOX",): [mail.tiny(1, NEW), large(2)], ("Work",): [mail.tiny(3, NEW), large(4)]},
                         max_message_size="100KB", large_item_limit="2")
        self.ends(batch.call("run"), 0)
        self.assertEqual(self.reasons(self.user(batch)), ["LargerThanLimit"] * 2)
        # Too old now, and whatever is in Work is left out: neither is a large item any more.
        batch.set("policy", "before", "2019-01-01")
        batch.set("policy", "exclude-folders", "Work")
        batch.set("policy", "large-item-limit", "0")
        self.ends(batch.call("run"), 0)
        user = self.user(batch)
        self.assertEqual({i["folder"]: i["reason"] for i in user["skipped_items"]},
                         {"INBOX": "OutsideDates", "Work": "ExcludedFolder"})
        # What it is called is still known; an excluded folder is told as a whole.
        self.assertEqual([i["subject"] for i in user["skipped_items"] if i["folder"] == "INBOX"],
                         ["Message 2"])
        self.assertEqual((user["uploaded"], user["skipped"]), (2, 2))

    # -- limits

    def test_more_large_items_than_allowed_fail_the_user_until_the_limit_is_raised(self):
        batch = self.job({("INBOX",): [mail.tiny(1, NEW), large(2), large(3)]},
                         max_message_size="100KB", large_item_limit="1")
        for _ in range(2):  # the second run lists nothing new, and is no better for it
            self.ends(batch.call("run"), 3)
            user = self.user(batch)
            self.assertEqual((user["state"], user["failure"]), ("Failed", "TooManyLargeItems"))
            self.assertEqual(user["uploaded"], 1, "everything else was moved")
            failure = next(f for f in user["failures"] if f["type"] == "TooManyLargeItems")
            self.assertIn("2 messages larger than max-message-size", failure["server_text"])
            self.assertIn("max-message-size", failure["advice"])
        batch.set("policy", "large-item-limit", "2")
        self.ends(batch.call("run"), 0)
        user = self.user(batch)
        self.assertEqual((user["state"], user["failure"]), ("Synced", None))
        self.assertEqual(user["failures"], [])
        self.assertEqual(self.there(batch), [1])

    # -- dates and order

    def test_since_and_before(self):
        batch = self.job({("INBOX",): [mail.tiny(1, OLD), mail.tiny(2, NEW),
                                       mail.tiny(3, NEW + 2 * 365 * 86400)]},
                         since="2020-01-01", before="2022-01-01")
        self.ends(batch.call("run"), 0)
        self.assertEqual(self.there(batch), [2])
        user = self.user(batch)
        self.assertEqual(self.reasons(user), ["OutsideDates"] * 2)
        # Wider dates later: only the difference.
        del batch.sections["policy"]["since"]
        self.ends(batch.call("run"), 0)
        self.assertEqual(sorted(self.there(batch)), [1, 2])
        self.assertEqual(self.user(batch)["uploaded"], 2)

    def test_order(self):
        inbox = [mail.tiny(i, NEW + i * 3600) for i in range(1, 41)]
        for order in ("newest-first", "oldest-first"):
            with self.subTest(order):
                batch = self.job({("INBOX",): inbox}, order=order)
                batch.set("source", "connections-per-user", "1")
                batch.set("target", "connections-per-mailbox", "1")
                self.ends(batch.call("run"), 0)
                there = self.there(batch)
                self.assertEqual(sorted(there), list(range(1, 41)))
                # A command asks for some at once, which come as they stand.
                newest, oldest = there.index(40), there.index(1)
                self.assertEqual(newest < oldest, order == "newest-first", there)

    # -- folders

    TREE = {("INBOX",): [mail.tiny(1, NEW)], ("Trash",): [mail.tiny(2, NEW)],
            ("Work", "Old"): [mail.tiny(3, NEW)], ("Work", "New"): [mail.tiny(4, NEW)],
            ("Other",): [mail.tiny(5, NEW)]}

    def moved_numbers(self, batch):
        with batch.target.connect("anna@target.example") as mailbox:
            return sorted(self.numbers[item.digest]
                          for path in mailbox.folders() for item in mailbox.read(path))

    def test_exclude_and_include(self):
        cases = [("exclude-folders", "trash", [1, 3, 4, 5]),
                 ("exclude-folders", "Work/*", [1, 2, 5]),
                 ("exclude-folders", "WORK/o*, #Trash#", [1, 4, 5]),
                 ("include-folders", "#Inbox#, Work/New", [1, 4])]
        for key, value, numbers in cases:
            with self.subTest(value):
                batch = self.job(self.TREE, **{key: value})
                self.ends(batch.call("run"), 0)
                self.assertEqual(self.moved_numbers(batch), numbers)
                user = self.user(batch)
                self.assertEqual(user["found"], 5)
                self.assertEqual(user["skipped"], 5 - len(numbers))
                self.assertEqual(set(self.reasons(user)), {"ExcludedFolder"})

    def test_a_user_may_exclude_other_folders(self):
        batch = self.job(self.TREE, users=("anna", "ben"), exclude_folders="Trash")
        batch.extra_columns["ExcludeFolders"] = {"anna": "Work/*"}
        self.ends(batch.call("run"), 0)
        self.assertEqual(self.moved_numbers(batch), [1, 2, 5])
        self.assertEqual(self.user(batch, "ben")["uploaded"], 4)

    def test_an_exclusion_taken_back_moves_that_folder_alone(self):
        batch = self.job(self.TREE, exclude_folders="Trash, Other")
        self.ends(batch.call("run"), 0)
        batch.set("policy", "exclude-folders", "Other")
        self.ends(batch.call("run"), 0)
        self.assertEqual(self.moved_numbers(batch), [1, 2, 3, 4])
        user = self.user(batch)
        self.assertEqual((user["uploaded"], user["skipped"]), (4, 1))

    def test_a_folder_excluded_while_half_of_it_waits(self):
        batch = self.job(self.TREE)
        self.ends(batch.call("fetch"), 0)
        batch.set("policy", "exclude-folders", "Other")
        self.ends(batch.call("run"), 0)
        self.assertEqual(self.moved_numbers(batch), [1, 2, 3, 4])
        user = self.user(batch)
        self.assertEqual((user["state"], user["uploaded"], user["skipped"]), ("Synced", 4, 1))


class Bad(Odd):
    """What cannot be read: limits, and causes that are counted each by itself."""

    def test_more_bad_items_than_allowed_fail_the_user_and_retry_mends_it(self):
        inbox = messages(10)
        source = self.source({"INBOX": inbox}, nothing={3, 7})
        batch = self.job(source, policy__bad_item_limit="1")
        for _ in range(2):
            _, report = self.run_to(batch, 3)
            user = report["users"][0]
            self.assertEqual((user["state"], user["failure"]), ("Failed", "TooManyBadItems"))
            self.assertEqual((user["uploaded"], user["failed"]), (8, 2))
        self.arrived(batch, ("INBOX",), [m for m in inbox if m.uid not in (3, 7)])
        # The server is healed: retry brings what had failed, and nothing twice.
        source.quirks.clear()
        self.ends(batch.call("retry"), 0)
        user = self.balanced(batch.report())["users"][0]
        self.assertEqual((user["state"], user["uploaded"], user["failed"]), ("Synced", 10, 0))
        self.assertEqual(user["failures"], [])
        self.arrived(batch, ("INBOX",), inbox)

    def test_as_many_bad_items_as_allowed_are_told_and_the_user_is_synced(self):
        source = self.source({"INBOX": messages(10)}, nothing={3, 7})
        _, report = self.run_to(self.job(source, policy__bad_item_limit="2"))
        self.assertEqual(report["users"][0]["state"], "Synced")
        self.assertEqual([uid for _, _, uid in self.failures(report)], [3, 7])
        self.assertEqual([i["uid"] for i in report["users"][0]["failed_items"]], [3, 7])

    def test_sixty_one_messages_that_each_end_the_connection(self):
        """No form of asking helps, so each costs several connections and fails in the end; the limit
        of transient failures is for one cause, and each of them is a cause of its own."""
        bad = {uid: 100 for uid in range(2, 63)}
        inbox = messages(65)
        sent = [message(uid) for uid in (101, 102)]
        source = self.source({"INBOX": inbox, "Sent": sent}, close=bad)
        batch = self.job(source, policy__bad_item_limit="unlimited",
                         policy__retry_wait="1ms", policy__transient_failure_limit="20")
        _, report = self.run_to(batch, 0)
        self.assertEqual(self.counts(report, "INBOX")["failed"], 61)
        self.arrived(batch, ("INBOX",), [m for m in inbox if m.uid not in bad])
        self.arrived(batch, ("Sent",), sent)

    def test_a_folder_that_ends_every_connection_costs_that_folder(self):
        source = self.source({"INBOX": messages(20), "Broken": messages(3), "Zeta": messages(2)},
                             serverbug_bye={"Broken": -1})
        batch = self.job(source, policy__transient_failure_limit="10")
        _, report = self.run_to(batch, 3)
        user = report["users"][0]
        self.assertEqual((user["failure"], user["uploaded"]), ("ServerBug", 22))
        self.assertIn(("ServerBug", "Broken", 0), self.failures(report))

    def test_one_cause_without_end_is_given_up(self):
        source = self.source({"INBOX": messages(3)}, serverbug_bye={"INBOX": -1})
        batch = self.job(source, policy__transient_failure_limit="6", policy__retry_wait="1ms")
        _, report = self.run_to(batch, 3)
        self.assertEqual(report["users"][0]["failure"], "TooManyTransientFailures")
        self.assertLessEqual(source.sessions, 8)
