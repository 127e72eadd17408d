"""How the folders of a source are had: lists that are refused, cut short, or end the connection
(quirks L02, N06, N08, C2), and mailboxes with very many folders."""

import os
import re

import mail
from quirky import CAPABILITY, Folder
from test_quirks import Odd, messages

CHILDREN = ("\\HasChildren",)


class Lists(Odd):
    TREE = {"INBOX": 3, "Sent": 2, "Work": 1, "Work/2019": 2, "Work/2019/May": 1, "Share": 1}

    def tree(self, attributes=(), **more):
        """Folders with that many messages; attributes: {name: words}."""
        return {name: Folder(messages(n), dict(attributes).get(name, ()))
                for name, n in {**self.TREE, **more}.items()}

    def synced(self, source, names=None, **keys):
        """Everything arrives; returns the report."""
        batch = self.job(source, **keys)
        _, report = self.run_to(batch)
        for name in names or self.TREE:
            self.arrived(batch, tuple(name.split("/")), messages(self.TREE[name]))
        self.assertEqual(self.failures(report), [])
        return report

    def test_a_list_that_is_refused_is_walked_level_by_level(self):
        source = self.source(self.tree(), list_whole="NO LIST failed")
        self.synced(source)
        self.assertEqual(source.asked(r'^LIST "" "?Work/2019/May/%'), 1)

    def test_extended_forms_are_tried_first(self):
        source = self.source(self.tree(), list_whole="NO LIST failed",
                             capability=CAPABILITY + " LIST-EXTENDED")
        self.synced(source)
        self.assertEqual(source.asked(r'^LIST "" "?\*"? RETURN'), 1)
        self.assertEqual(source.asked(r'^LIST "" "?\*"?$'), 1)

    def test_a_list_that_ends_the_connection_is_walked_level_by_level(self):
        source = self.source(self.tree(), list_whole="BYE closing connection")
        batch = self.job(source)
        _, report = self.run_to(batch)
        self.arrived(batch, ("Work", "2019", "May"), messages(1))
        self.assertEqual(source.asked(r'^LIST "" "?\*'), 2)
        self.assertEqual(report["users"][0]["state"], "Synced")

    def test_a_parent_that_denies_its_children_is_walked_all_the_same(self):
        source = self.source(self.tree({"Work": ("\\HasNoChildren",)}), list_whole="NO LIST failed")
        self.synced(source)

    def lacks(self, below, text, whole):
        """One branch cannot be listed: that branch is told, and all else arrives."""
        source = self.source(self.tree(), list_whole=whole, list_below={below: text})
        batch = self.job(source)
        _, report = self.run_to(batch, 3)
        user = report["users"][0]
        self.assertEqual((user["state"], user["failure"]), ("Failed", "FolderListIncomplete"))
        self.assertEqual([f["type"] for f in user["failures"] if f["class"] != "transient" or
                          f["type"] == "FolderListIncomplete"], ["FolderListIncomplete"])
        failure = [f for f in user["failures"] if f["type"] == "FolderListIncomplete"][0]
        self.assertEqual(failure["doing"], "LIST below " + below)
        self.assertTrue(failure["advice"])
        self.arrived(batch, ("INBOX",), messages(3))
        self.arrived(batch, ("Work", "2019"), messages(2))
        return batch, source

    def test_a_branch_that_is_refused_costs_that_branch(self):
        batch, _ = self.lacks("Share", "NO LIST failed", "NO LIST failed")
        # `folders` tells it at that folder, and `verify` does not call what it cannot see Perfect.
        tree = self.ends(batch.call("folders", "--json"), 0).json()["folders"]
        told = {f["source"]: [p["type"] for p in f["problems"]] for f in tree if f["problems"]}
        self.assertEqual(told, {"Share": ["FolderListIncomplete"]})
        checked = self.ends(batch.call("verify", "--json"), 3).json()["users"][0]
        self.assertEqual((checked["grade"], checked["missing"]), ("Investigate", 0))

    def test_a_branch_that_ends_the_connection_costs_that_branch(self):
        self.lacks("Share", "BYE closing connection", "NO LIST failed")

    def test_a_branch_that_ends_the_connection_after_a_list_that_did(self):
        self.lacks("Share", "BYE closing connection", "BYE closing connection")

    def test_a_list_that_stops_early_is_completed_where_it_shows(self):
        source = self.source(self.tree({"Work": CHILDREN, "Work/2019": CHILDREN}), list_first=3)
        report = self.synced(source, [n for n in self.TREE if n != "Share"])
        self.assertEqual(report["users"][0]["state"], "Synced")
        self.assertEqual(source.asked(r'^LIST "" "?Work/%'), 1)

    def test_a_list_that_is_whole_is_not_asked_for_again(self):
        source = self.source(self.tree({"Work": CHILDREN, "Work/2019": CHILDREN,
                                        "Sent": ("\\HasNoChildren",)}))
        self.synced(source)
        self.assertEqual(source.asked(r"^LIST"), 1)

    def test_a_server_that_cannot_list_at_all(self):
        source = self.source(self.tree(), list_whole="NO LIST failed",
                             list_below={"": "NO LIST failed"})
        batch = self.job(source, policy__transient_failure_limit=3)
        _, report = self.run_to(batch, 3)
        self.assertEqual(report["users"][0]["failure"], "TooManyTransientFailures")

    def test_a_server_that_closes_at_namespace(self):
        source = self.source(self.tree(), drop_namespace=True)
        batch = self.job(source)
        _, report = self.run_to(batch)
        self.arrived(batch, ("Work", "2019", "May"), messages(1))
        self.assertEqual(source.asked(r"^NAMESPACE"), 1)
        self.assertEqual(report["users"][0]["state"], "Synced")

    def test_folders_within_a_role_are_excluded_and_only_counted(self):
        """What a folder lies within is told by the other rows: a row by itself cannot be judged."""
        source = self.source(self.tree(Junk=4, **{"Junk/old": 2}))
        batch = self.job(source)
        batch.set("policy", "exclude-folders", "#JunkEmail#/*")
        _, report = self.run_to(batch)
        self.assertEqual(self.counts(report, "Junk/old")["skipped"], 2)
        self.assertEqual(source.asked(r'^EXAMINE "?Junk'), 0)
        # Nothing is new there for verify either.
        source.messages["anna"]["Junk/new"] = Folder(messages(5))
        checked = self.ends(batch.call("verify", "--json"), 0).json()["users"][0]
        self.assertEqual((checked["grade"], checked["source"], checked.get("new", 0)),
                         ("Perfect", sum(self.TREE.values()), 0))

    def test_what_others_share_is_nothing_new(self):
        source = self.source(self.tree(**{"Shared/Team": 3}),
                             namespace='(("" "/")) NIL (("Shared/" "/"))')
        batch = self.job(source)
        _, report = self.run_to(batch)
        self.assertNotIn("Shared/Team", [f["source"] for f in report["users"][0]["folders"]])
        checked = self.ends(batch.call("verify", "--json"), 0).json()["users"][0]
        self.assertEqual((checked["grade"], checked["source"]),
                         ("Perfect", sum(self.TREE.values())))


class Many(Odd):
    def test_the_work_grows_with_the_folders_and_no_faster(self):
        """Counted in table slots that are looked at, not in seconds."""
        count = 20000
        folders = {"Lists/%05d" % i: [] for i in range(count)}
        source = self.source({"INBOX": messages(2), **folders})
        batch = self.job(source)
        batch.set("policy", "include-folders", "INBOX")
        del batch.sections["source"]["stall-limit"]  # nobody hangs here; a list this long takes its time
        log = batch.folder + "/log"
        for run in range(2):
            self.ends(batch.call("run", "--log", log, "--log-level", "debug"), 0)
            with open(log, encoding="utf-8") as f:
                looks = [int(n) for n in re.findall(
                    r"folders.listed .*side=source count=%d looks=(\d+)" % (count + 1), f.read())]
            self.assertEqual(len(looks), run + 1)
            # Each folder is put into two tables and looked for three times. Work that grew with the
            # square would be 200 million.
            self.assertLess(looks[run], 25 * count)

    def looks(self, batch, command, folders):
        """How often the target side looked at a folder in this command, which must end well."""
        log = "%s/%s.log" % (batch.folder, command)
        self.ends(batch.call(command, "--log", log, "--log-level", "debug"), 0)
        with open(log, encoding="utf-8") as f:
            found = [int(n) for n in re.findall(
                r"folders.pushed .*count=%d looks=(\d+)" % folders, f.read())]
        os.unlink(log)
        self.assertEqual(len(found), 1)
        return found[0]

    def test_what_is_chosen_on_the_target_costs_no_walk(self):
        """Each step asks which folder goes on and whether all is done."""
        count = 200
        folders = {"INBOX": [], "Public": [], **{"Public/%03d" % i: messages(2) for i in range(count)}}
        source = self.source(folders)
        batch = self.job(source)
        for run in range(3):
            # One for each thing that happens to a folder: listed, made, opened, sent to, answered. A walk
            # at each of these would be 200,000.
            self.assertLess(self.looks(batch, "run", count + 2), 40 * (count + 2))
            if run == 1:
                for folder in source.messages["anna"].values():
                    folder.mails += messages(3)[2:]
        totals = self.balanced(batch.report())["totals"]
        self.assertEqual(totals["uploaded"], 2 * count + count + 2)

    def test_what_lies_within_one_folder_is_made_together(self):
        """That folder goes first, though it has no mail and all others have: each of them would be made as it
        is opened, one by one, with a look at all that wait for it each time."""
        count = 150
        source = self.source({"INBOX": [], "Public": [],
                              **{"Public/%03d" % i: messages(1) for i in range(count)}})
        batch = self.job(source)
        self.ends(batch.call("fetch"), 0)
        self.assertLess(self.looks(batch, "upload", count + 2), 30 * (count + 2))
        self.assertEqual(self.balanced(batch.report())["totals"]["uploaded"], count)
