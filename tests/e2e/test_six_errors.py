"""The six errors that an administrator meets (C1 to C6): each is detected, named in the report by its
type, worded for a person, remedied where that can be done, and the rest of the mailbox migrated all the
same. Real Dovecot where it can be provoked, tests/support/quirky.py otherwise."""

import os
import re

import mail
import servers
from haul import DOMAIN
from quirky import Folder
from test_quirks import Odd, message, messages


class Six(Odd):
    def one(self, report, type, folder=None):
        """The only problem of that type in the report."""
        found = [p for f in report["users"][0]["folders"] for p in f["problems"]
                 if p["type"] == type and folder in (None, f["source"])]
        self.assertEqual(len(found), 1, "%s: %s" % (type, found))
        return found[0]

    def worded(self, report, type):
        """The failures of a type; each says what the server said and what to do."""
        found = [f for u in report["users"] for f in u["failures"] if f["type"] == type]
        self.assertTrue(found, report["users"][0]["failures"])
        for failure in found:
            self.assertTrue(failure["advice"] and failure["server_text"] and failure["side"])
        return found


class C1(Six):
    """NO Invalid mailbox name: Junk/"""

    def test_opened_without_its_delimiter(self):
        junk = messages(5)
        source = self.source({"INBOX": messages(3), "Junk/": junk, "Work": messages(2)},
                             bad_names=True)
        done, report = self.run_to(self.job(source))
        self.assertEqual(self.failures(report), [])
        self.arrived(self.last, ("Junk",), junk)
        self.arrived(self.last, ("Work",), messages(2))
        problem = self.one(report, "TrailingDelimiter")
        self.assertIn("Invalid mailbox name: Junk/", problem["text"])
        self.assertIn('opened as "Junk" instead', problem["text"])
        self.assertEqual(source.asked(r"^EXAMINE \"?Junk/"), 1, source.log_text())
        # The next pass knows nothing new, doubles nothing, and finds what came since.
        junk.append(message(9))
        source.messages["anna"]["Junk/"].mails.append(junk[-1])
        _, report = self.run_to(self.last)
        self.arrived(self.last, ("Junk",), junk)
        verify = self.ends(self.last.call("verify", "--json"), 0).json()
        self.assertEqual(verify["users"][0]["grade"], "Perfect", verify)

    def test_a_look_and_an_export_open_it_so_too(self):
        source = self.source({"INBOX": messages(3), "Junk/": messages(4) + [message(5, 9000)]},
                             bad_names=True)
        batch = self.job(source, policy__max_message_size="5KB",
                         policy__large_item_limit="unlimited")
        tree = self.ends(batch.call("folders", "--json"), 0).json()
        junk = [f for f in tree["folders"] if f["target"] == "Junk"][0]
        self.assertEqual(junk["messages"], 5)
        self.assertIn("TrailingDelimiter", [p["type"] for p in junk["problems"]])
        _, report = self.run_to(batch)
        self.assertEqual(report["totals"]["skipped"], 1)
        to = os.path.join(self.folder, "out")
        self.ends(batch.call("export", "--what", "skipped", "--to", to), 0)
        found = [os.path.join(folder, f) for folder, _, files in os.walk(to) for f in files]
        with open([f for f in found if os.path.getsize(f) > 5000][0], "rb") as f:
            self.assertIn(b"message 5, and it says nothing", f.read())

    def test_listed_twice_and_copied_once(self):
        junk = messages(4)
        source = self.source({"INBOX": messages(3), "Junk": junk, "Junk/": Folder(junk)},
                             bad_names=True)
        _, report = self.run_to(self.job(source))
        self.arrived(self.last, ("Junk",), junk)
        self.assertEqual(report["totals"]["found"], 7, [f for f in report["users"][0]["folders"]])
        self.assertEqual([f["source"] for f in report["users"][0]["folders"]].count("Junk"), 1)
        self.assertEqual(self.failures(report), [])

    def test_excluded_or_mapped_by_either_spelling(self):
        for spelling in ("Junk/", "Junk", "junk/"):
            source = self.source({"INBOX": messages(3), "Junk/": messages(5)},
                                 examine={"Junk/": "NO Invalid mailbox name: Junk/", "Junk": "NO Invalid mailbox name"})
            done, report = self.run_to(self.job(source, policy__exclude_folders=spelling))
            self.assertNotIn("matches no folder", done.err)
            self.assertEqual(self.failures(report), [])
            self.arrived(self.last, ("INBOX",), messages(3))
        batch = self.job(self.source({"INBOX": messages(3), "Junk/": messages(5)}))
        batch.set("folders", "Junk/", "Werbung")
        done, report = self.run_to(batch)
        self.assertNotIn("matches no folder", done.err)
        self.arrived(batch, ("Werbung",), messages(5))

    def test_not_opened_at_all(self):
        source = self.source({"INBOX": messages(3), "Junk/": messages(5), "Work": messages(2)},
                             examine={"Junk/": "NO Invalid mailbox name: Junk/",
                                      "Junk": "NO Invalid mailbox name: Junk"})
        _, report = self.run_to(self.job(source), 3)
        self.arrived(self.last, ("INBOX",), messages(3))
        self.arrived(self.last, ("Work",), messages(2))
        failure, = self.worded(report, "InvalidMailboxName")
        self.assertEqual(failure["class"], "permanent")
        self.assertIn("exclude-folders", failure["advice"])
        self.assertEqual(report["users"][0]["failure"], "InvalidMailboxName")

    def job(self, source, users=("anna",), **keys):
        self.last = super().job(source, users, **keys)
        return self.last


class C2(Six):
    """Mailbox folder hierarchy contains multiple roots"""

    def test_a_parent_that_is_not_shown(self):
        source = self.source({"INBOX": messages(2), "Projects/Alpha": messages(3),
                              "Projects/Beta": messages(4),
                              "Hidden": Folder(messages(1), listed=False)})
        batch = self.job(source)
        before = self.ends(batch.call("folders", "--json"), 0).json()
        self.assertIn("Projects/Alpha", [f["source"] for f in before["folders"]
                                         for p in f["problems"] if p["type"] == "MultipleRoots"],
                      "told before anything moves")
        _, report = self.run_to(batch)
        self.arrived(batch, ("Projects", "Alpha"), messages(3))
        self.arrived(batch, ("Projects", "Beta"), messages(4))
        problem = self.one(report, "MultipleRoots", "Projects/Alpha")
        self.assertIn('"Projects" is not shown', problem["text"])
        self.assertIn("IMAP", problem["remedy"])

    def hidden(self, listed):
        """A parent with mail that the list of all does not show: its children and its mail arrive."""
        source = self.source({"INBOX": messages(2), "Projects": Folder(messages(5), listed=listed),
                              "Projects/Alpha": messages(3), "Projects/Beta/Deep": messages(4)})
        batch = self.job(source)
        _, report = self.run_to(batch)
        for path, count in ((("Projects",), 5), (("Projects", "Alpha"), 3), (("Projects", "Beta", "Deep"), 4)):
            self.arrived(batch, path, messages(count))
        problem = self.one(report, "MultipleRoots", "Projects/Beta/Deep")
        self.assertIn('"Projects/Beta" is not shown', problem["text"])
        return source

    def test_a_parent_that_is_shown_by_its_name_alone(self):
        source = self.hidden("by name")
        self.assertEqual(source.asked('^STATUS "Projects"'), 0)

    def test_a_parent_that_may_be_read_and_not_seen(self):
        """RFC 4314: the right l is for LIST, r for the mail."""
        source = self.hidden(False)
        for name in ("Projects", "Projects/Beta"):
            self.assertEqual((source.asked('^LIST "" "%s"' % name), source.asked('^STATUS "%s"' % name)), (1, 1))

    def test_an_excluded_parent_keeps_its_place(self):
        """On a real Dovecot: excluding a parent does not exclude what is below it by accident."""
        source = self.dovecot(["anna"], format="maildir", separator="/")
        source.seed("anna", {("Projects",): [mail.tiny(1)], ("Projects", "Alpha"): [mail.tiny(2)]})
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        batch.set("policy", "exclude-folders", "Projects")
        self.ends(batch.call("run"), 0)
        with batch.target.connect("anna@" + DOMAIN) as mailbox:
            self.assertEqual(len(list(mailbox.read(("Projects", "Alpha")))), 1)


class C3(Six):
    """TooManyLargeItems"""

    def test_large_items_cost_themselves_and_are_listed(self):
        inbox = [message(uid, 400) for uid in range(1, 8)] + [message(8, 9000), message(9, 9000)]
        source = self.source({"INBOX": inbox, "Sent": messages(2)})
        batch = self.job(source, policy__max_message_size="5000B")
        _, report = self.run_to(batch, 3)
        user = report["users"][0]
        self.assertEqual(user["failure"], "TooManyLargeItems")
        self.assertEqual((user["skipped"], user["uploaded"]), (2, 9))
        self.arrived(batch, ("INBOX",), inbox[:7])
        for item in user["skipped_items"]:
            self.assertEqual(item["reason"], "LargerThanLimit")
            self.assertTrue(item["subject"].startswith("number ") and item["date"])
            self.assertGreater(item["bytes"], 5000)
        self.assertIn("-MaxReceiveSize 150MB",
                      self.worded(report, "TooManyLargeItems")[0]["advice"])
        # Within one run the answer would not change; a later pass with a higher limit takes those two.
        self.assertEqual(source.asked(r"^UID FETCH \S+ \(?BODY.PEEK\[\].*"), source.asked(
            r"^UID FETCH [0-7:,]+ \(?BODY.PEEK\[\].*"), "no body of a large one was asked for")
        batch.set("policy", "max-message-size", "20000B")
        self.ends(batch.call("retry"), 0)
        self.arrived(batch, ("INBOX",), inbox)


class C4(Six):
    """LOGIN failed: different causes, one text each."""

    def told(self, answer, type, *words, code=77):
        users = ("anna", "ben")
        folders = {"INBOX": messages(2)}
        source = self._started(self.quirky({u: dict(folders) for u in users},
                                           login={"ben": answer}))
        batch = self.job(source, users)
        _, report = self.run_to(batch, 3)
        states = {u["address"].split("@")[0]: u for u in report["users"]}
        self.assertEqual(states["anna"]["state"], "Synced", "the others are not concerned")
        self.assertEqual(states["ben"]["failure"], type)
        failure = [f for f in states["ben"]["failures"] if f["type"] == type][0]
        for word in words:
            self.assertIn(word, failure["advice"])
        tries = [line for _, line in source.commands if re.match("LOGIN|AUTHENTICATE", line)]
        return len(tries)

    @staticmethod
    def quirky(*arguments, **quirks):
        from quirky import Quirky
        return Quirky(*arguments, **quirks)

    def test_a_login_that_could_not_be_judged_is_tried_again(self):
        words = "NO Temporary authentication failure. [host:2026-11-30 07:00:00]"
        source = self._started(self.quirky({"anna": {"INBOX": messages(2)}}, login={"anna": [words, words]}))
        batch = self.job(source)
        _, report = self.run_to(batch)
        self.arrived(batch, ("INBOX",), messages(2))
        told = [f for f in report["users"][0]["failures"] if f["type"] == "LoginUnavailable"]
        self.assertIn("may well be right", told[0]["advice"])

    def test_a_wrong_password_is_tried_once(self):
        self.told("NO [AUTHENTICATIONFAILED] Authentication failed.", "LoginFailed", "users.csv")

    def test_imap_is_off(self):
        self.told("NO [ALERT] Your account is not enabled for IMAP use.", "ImapDisabled",
                  "Switch IMAP on")

    def test_an_app_password(self):
        self.told("NO [ALERT] Application-specific password required: "
                  "https://support.google.com/accounts/answer/185833 (Failure)",
                  "AppPasswordRequired", "app password")

    def test_a_person_must_log_in(self):
        self.told("NO [WEBALERT https://x.example] Web login required.", "WebLoginRequired", "webmail")


class C5(Six):
    """An answer that breaks the protocol costs its message."""

    def test_a_row_and_a_body_that_cannot_be_read(self):
        inbox = messages(40)
        source = self.source({"INBOX": inbox, "Sent": messages(3)}, short={7: 100}, nothing={9})
        batch = self.job(source, policy__bad_item_limit="unlimited")
        _, report = self.run_to(batch, 0)
        self.arrived(batch, ("INBOX",), [m for m in inbox if m.uid not in (7, 9)])
        self.arrived(batch, ("Sent",), messages(3))
        self.assertEqual({f["uid"] for f in self.worded(report, "ParseError")}, {7, 9})

    def test_read_in_another_form(self):
        inbox = messages(20)
        source = self.source({"INBOX": inbox}, short={7: 100}, forms={"peek"})
        batch = self.job(source)
        _, report = self.run_to(batch)
        self.arrived(batch, ("INBOX",), inbox)
        self.assertEqual(report["totals"]["failed"], 0)


class C6(Six):
    """NO [SERVERBUG] Internal error occurred."""

    def tries(self, source, name):
        return [(session, line.split()[0]) for session, line in source.commands
                if re.match(r"(EXAMINE|SELECT) \"?%s" % name, line)]

    def test_examine_and_select_take_turns_on_new_connections(self):
        source = self.source({"INBOX": messages(5), "Archive": messages(4)},
                             serverbug={"Archive": 3})
        batch = self.job(source)
        _, report = self.run_to(batch)
        self.arrived(batch, ("Archive",), messages(4))
        tries = self.tries(source, "Archive")
        self.assertEqual([verb for _, verb in tries[:4]], ["EXAMINE", "SELECT", "EXAMINE", "SELECT"])
        self.assertEqual(len({session for session, _ in tries[:4]}), 4, "a new connection each time")
        self.assertEqual({f["type"] for f in report["users"][0]["failures"]}, {"ServerBug"})
        self.assertEqual(source.asked(r"^(STORE|UID STORE|CLOSE|EXPUNGE)"), 0)

    def test_bye_in_place_of_an_answer(self):
        """* BYE Internal error occurred: the same fault, and the connection with it."""
        source = self.source({"Archive": messages(4), "INBOX": messages(30), "Zeta": messages(3)},
                             serverbug_bye={"Archive": -1})
        batch = self.job(source, policy__transient_failure_limit="20")
        _, report = self.run_to(batch, 3)
        self.arrived(batch, ("INBOX",), messages(30))
        self.arrived(batch, ("Zeta",), messages(3))
        self.assertEqual(report["users"][0]["failure"], "ServerBug")
        self.one(report, "ServerBug", "Archive")
        self.assertLess(len(self.tries(source, "Archive")), 10)
        source.quirks["serverbug_bye"] = {}
        self.ends(batch.call("retry"), 0)
        self.arrived(batch, ("Archive",), messages(4))

    def test_only_select_works_and_nothing_is_marked(self):
        source = self.source({"INBOX": messages(5), "Archive": messages(4)},
                             serverbug_examine={"Archive": -1}, nothing={2})
        batch = self.job(source, policy__bad_item_limit="unlimited")
        self.run_to(batch)
        self.arrived(batch, ("Archive",), [m for m in messages(4) if m.uid != 2])
        open_by = {session: verb for session, verb in self.tries(source, "Archive")}
        for session, line in source.commands:
            if open_by.get(session) == "SELECT":
                self.assertNotRegex(line, r"BODY\[|RFC822[ )]*$", "this would set \\Seen")

    def test_waits_grow_and_the_other_folders_go_on(self):
        source = self.source({"Archive": messages(4), "INBOX": messages(30), "Zeta": messages(3)},
                             serverbug={"Archive": -1})
        batch = self.job(source)
        done = batch.call("run", "--log-level", "info")
        self.ends(done, 3)
        waits = [int(w) for w in re.findall(r"folder\.parked .*wait_ms=(\d+)", done.err)]
        self.assertEqual(waits, [100, 1200, 12000], "5 s, 60 s, 10 min with retry-wait = 1s")
        report = self.balanced(batch.report())
        self.arrived(batch, ("INBOX",), messages(30))
        self.arrived(batch, ("Zeta",), messages(3))
        self.assertEqual(len(self.tries(source, "Archive")), 4)
        self.assertEqual(report["users"][0]["failure"], "ServerBug")
        problem = self.one(report, "ServerBug", "Archive")
        self.assertRegex(problem["text"], r'to the administrator of localhost: opening "Archive" as '
                         r"user anna .* cause at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d, our clock \d{4}-")
        self.assertIn("doveadm force-resync -u anna", problem["remedy"])
        # The next pass tries again.
        source.quirks["serverbug"] = {}
        self.ends(batch.call("retry"), 0)
        self.arrived(batch, ("Archive",), messages(4))

    def test_a_real_dovecot_whose_folder_is_broken(self):
        source = self.dovecot(["anna"], format="mdbox", separator="/")
        source.seed("anna", {("INBOX",): [mail.tiny(j) for j in range(5)],
                             ("Broken",): [mail.tiny(j) for j in range(10, 13)]})
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        batch.set("policy", "retry-wait", "5ms")
        broken = None
        for folder, names, files in os.walk(source.folder):
            if os.path.basename(folder) == "dbox-Mails" and os.path.basename(
                    os.path.dirname(folder)) == "Broken":
                broken = folder
        self.assertTrue(broken, "no folder of that name below " + source.folder)
        source.halt()
        for name in os.listdir(broken):
            os.remove(os.path.join(broken, name))
        os.rmdir(broken)
        with open(broken, "w") as f:
            f.write("not a folder\n")
        servers.hand_over(broken)
        source.start()
        done = batch.call("run", "--log-level", "info")
        report = self.balanced(batch.report())
        self.assertEqual(self.counts(report, "INBOX")["uploaded"], 5, str(done))
        self.assertEqual(done.code, 3, str(done))
        self.assertIn(report["users"][0]["failure"], ("ServerBug", "SelectFailed"))
