"""Sources that misbehave (docs/quirks.md): what one message, one folder or one session costs, and
what the report says of it. The server is tests/support/quirky.py."""

import hashlib
import time

import mail
from haul import Case
from quirky import CAPABILITY, Folder, Mail, Quirky


def message(uid, size=400):
    """A message that knows its UID."""
    head = ("From: anna@source.example\r\nTo: ben@source.example\r\nSubject: number %d\r\n"
            "Date: Wed, 01 Jan 2020 12:00:00 +0000\r\nMessage-ID: <m%d@source.example>\r\n\r\n"
            % (uid, uid)).encode()
    line = ("This is line number %04d of message %d, and it says nothing.\r\n")
    text = "".join(line % (i, uid) for i in range(max(1, (size - len(head)) // 60)))
    return Mail(uid, head + text.encode(), 1577880000 + uid)


def messages(count, size=400):
    return [message(uid, size) for uid in range(1, count + 1)]


class Odd(Case):
    def source(self, folders, **quirks):
        """One user, anna, with these folders: {raw name: [Mail] or Folder}."""
        return self._started(Quirky({"anna": folders}, **quirks))

    def job(self, source, users=("anna",), **keys):
        batch = self.batch(source, self.target_for(users), users)
        del batch.sections["source"]["tls-ca"]
        batch.set("source", "tls", "none")
        batch.set("policy", "retry-wait", "20ms")
        batch.set("source", "stall-limit", "2s")
        for key, value in keys.items():
            section, _, name = key.partition("__")
            batch.set(section, name.replace("_", "-"), value)
        return batch

    def run_to(self, batch, code=0, limit_s=120):
        done = self.ends(batch.call("run", limit_s=limit_s), code)
        return done, self.balanced(batch.report())

    def arrived(self, batch, path, mails, user="anna"):
        """The target folder holds exactly these."""
        with batch.target.connect(batch.login(user, "%s@target.example" % user)) as mailbox:
            there = sorted(i.digest for i in mailbox.read(path)) if path in mailbox.folders() else []
        self.assertEqual(there, sorted(hashlib.sha256(m.body).hexdigest() for m in mails),
                         batch.source.log_text())

    def failures(self, report, user=0):
        return [(f["type"], f["folder"], f["uid"]) for f in report["users"][user]["failures"]]

    def problems(self, report):
        return [p["type"] for f in report["users"][0]["folders"] for p in f["problems"]]

    def counts(self, report, name):
        return next(f for f in report["users"][0]["folders"] if f["source"] == name)


class Good(Odd):
    def test_without_quirks_everything_arrives(self):
        inbox, sent = messages(30), messages(4)
        source = self.source({"INBOX": inbox, "Sent": sent, "Empty": []})
        batch = self.job(source)
        _, report = self.run_to(batch)
        self.arrived(batch, ("INBOX",), inbox)
        self.arrived(batch, ("Sent",), sent)
        self.assertEqual(self.failures(report), [])
        # Nothing was written, and nothing was marked as seen.
        self.assertEqual(source.asked(r"^(SELECT|STORE|UID STORE|EXPUNGE|CLOSE|DELETE)"), 0)
        self.assertEqual(source.asked(r"BODY\[|RFC822[ )]|HEADER"), 0)


    def test_what_comes_over_is_read_once_and_whole(self):
        """B17: where the whole is given no part is asked for. B13: a header that a server adds to what was
        flagged later is no other message."""
        inbox = [message(uid, 300000 if uid == 3 else 400) for uid in range(1, 8)]
        before = list(inbox)
        source = self.source({"INBOX": inbox})
        batch = self.job(source)
        self.run_to(batch)
        self.assertEqual(source.asked(r"BODY\.PEEK\[\]<"), 0)
        asked = source.asked(r"BODY\.PEEK\[\]")
        mails = source.messages["anna"]["INBOX"].mails
        mails[4] = Mail(5, b"X-Message-Flag: Follow up\r\n" + mails[4].body, mails[4].date, ("\\Flagged",))
        _, report = self.run_to(batch)
        self.arrived(batch, ("INBOX",), before)
        self.assertEqual((source.asked(r"BODY\.PEEK\[\]"), self.counts(report, "INBOX")["found"]), (asked, 7))


class Bodies(Odd):
    """The FETCH ladder (C5): one bad message costs that message, in the end."""

    def one_bad(self, count=30, **quirks):
        """One message of INBOX is odd; everything must arrive all the same."""
        inbox = messages(count)
        source = self.source({"INBOX": inbox, "Sent": messages(3)}, **quirks)
        batch = self.job(source)
        done, report = self.run_to(batch)
        self.arrived(batch, ("INBOX",), inbox)
        self.arrived(batch, ("Sent",), messages(3))
        return source, report

    def one_lost(self, code=0, lost=(7,), count=30, **quirks):
        """The odd messages do not come in any form: they alone have failed."""
        inbox = messages(count)
        source = self.source({"INBOX": inbox, "Sent": messages(3)}, **quirks)
        batch = self.job(source, policy__bad_item_limit="unlimited")
        done, report = self.run_to(batch, code)
        self.arrived(batch, ("INBOX",), [m for m in inbox if m.uid not in lost])
        self.arrived(batch, ("Sent",), messages(3))
        self.assertEqual(self.counts(report, "INBOX")["failed"], len(lost))
        return source, report

    def test_a_message_without_a_date_gets_that_of_its_header(self):
        """And keeps it: one whose answer is lost is known again by it."""
        inbox = [Mail(i, b"Message-ID: <d%d@odd.example>\r\n%sSubject: d\r\n\r\nx\r\n" % (
            i, b"Date: Wed, 01 Jan 2014 12:00:0%d +0100\r\n" % i if i < 4 else b""))
            for i in range(1, 6)]
        source = self.source({"INBOX": inbox}, date={1: "NIL", 2: '"00-Jan-0000 00:00:00 +0000"',
                                                     3: '""', 4: "NIL"})
        batch = self.job(source)
        begun = time.time()
        self.run_to(batch, 0)
        address = batch.users[0][1]
        with batch.target.connect(address) as there:
            by_digest = {item.digest: item.date for item in there.read(("INBOX",))}
        dates = [by_digest[hashlib.sha256(m.body).hexdigest()] for m in inbox]
        self.assertEqual(dates[:3], [1388574001, 1388574002, 1388574003])
        self.assertGreaterEqual(dates[3], int(begun))
        self.assertEqual(dates[4], inbox[4].date)
        verify = self.ends(batch.call("verify", "--json"), 0).json()["users"][0]
        self.assertEqual(verify["grade"], "Perfect", verify)
        batch.drop_state()  # the journal is lost, the dates of the header are not
        self.run_to(batch, 0)
        with batch.target.connect(address) as there:
            # Nothing tells when the one without any was read the first time.
            self.assertIn(len(there.uids(("INBOX",))), (5, 6))

    def test_nil_for_a_body(self):
        self.one_bad(nil={7}, forms={"peek"})

    def test_ok_and_no_response(self):
        self.one_bad(nothing={7}, forms={"peek"})

    def test_a_literal_announced_too_short(self):
        self.one_bad(short={7: 100}, forms={"peek"})

    def test_a_literal_announced_too_long(self):
        self.one_bad(long={7: 50}, forms={"peek"})

    def test_silence_amid_a_body(self):
        self.one_bad(stall={7: 100}, forms={"peek"})

    def test_a_body_that_trickles(self):
        self.one_bad(trickle={7: 100}, forms={"peek"})

    def test_the_connection_goes_amid_a_body(self):
        self.one_bad(close={7: 100}, forms={"peek"})

    def test_a_batch_is_refused_for_one_of_it(self):
        self.one_bad(batch_no={7})

    def test_large_batches_end_the_session(self):
        self.one_bad(bye_above=3)

    def test_only_the_last_form_works(self):
        self.one_bad(nothing={7}, forms={"peek", "partial", "header", "rfc822.peek", "body"})

    def test_a_part_is_answered_by_the_whole(self):
        self.one_bad(nil={7}, forms={"peek"}, whole_for_part=True)

    def test_no_form_works(self):
        # C5 counts OK without data among the answers that break the protocol.
        _, report = self.one_lost(nothing={7})
        self.assertIn(("ParseError", "INBOX", 7), self.failures(report))

    def test_every_form_breaks_the_framing(self):
        _, report = self.one_lost(short={7: 100})
        self.assertIn(("ParseError", "INBOX", 7), self.failures(report))

    def test_junk_behind_a_body_costs_no_connection(self):
        """The literal had its size, as the next line shows: that message alone is the cost, in no time."""
        source, report = self.one_lost(lost=(7, 19), junk={7: "'' >>''", 19: '"x'})
        self.assertEqual(sorted(self.failures(report)), [("ParseError", "INBOX", 7), ("ParseError", "INBOX", 19)])
        self.assertLessEqual(source.sessions, 3, source.log_text())

    def test_junk_behind_a_body_in_one_form(self):
        source, _ = self.one_bad(junk={7: "'' >>''"}, forms={"peek"})
        self.assertLessEqual(source.sessions, 3, source.log_text())

    def test_every_form_is_refused(self):
        _, report = self.one_lost(refuse={7: "NO malformed MIME header"})
        self.assertIn(("MessageUnreadable", "INBOX", 7), self.failures(report))

    def test_sixty_one_bad_messages_do_not_end_a_mailbox(self):
        """The classic end: "too many transient failures (61) and is quitting"."""
        bad = {uid: 100 for uid in range(2, 64)}
        self.one_bad(count=70, close=bad, forms={"peek"})

    def test_an_empty_body_is_no_message(self):
        """Zimbra's stub for what was expunged meanwhile (B15); here the row is still listed."""
        self.one_lost(empty={7})

    def test_a_placeholder_is_no_message(self):
        _, report = self.one_lost(placeholder={7})
        text = [f for f in report["users"][0]["failures"] if f["uid"] == 7][0]
        self.assertEqual(text["type"], "MessageUnreadable")
        self.assertIn("placeholder", text["server_text"])
        self.assertIn("number 7", text["server_text"], "the real subject is told")

    ALL_NIL = {form: "NIL" for form in ("peek", "partial", "rfc822.peek", "body", "rfc822")}

    def torn(self, **answers):
        """No form of the whole gives message 7; its parts answer as told."""
        source, report = self.one_lost(answers={7: dict(self.ALL_NIL, **answers)})
        self.assertEqual(self.failures(report), [("TruncatedMessage", "INBOX", 7)])
        return report

    def test_a_header_without_its_text_is_no_message(self):
        """The header comes and the text is NIL, as with an item that a store has lost."""
        report = self.torn(text="NIL")
        self.assertIn("144 of 388 bytes", report["users"][0]["failures"][0]["server_text"])

    def test_a_header_whose_text_is_not_answered_is_no_message(self):
        self.torn(text=None)

    def test_a_header_with_an_empty_text_is_no_message(self):
        self.torn(text='""')

    def test_a_header_with_a_part_of_its_text_is_no_message(self):
        self.torn(text='"the first line"')

    def test_a_text_without_its_header_is_no_message(self):
        for header in ("NIL", '""'):
            with self.subTest(header=header):
                _, report = self.one_lost(answers={7: dict(self.ALL_NIL, header=header)})
                self.assertEqual(self.failures(report), [("ParseError", "INBOX", 7)])

    def test_a_torn_message_counts_as_a_bad_item(self):
        source = self.source({"INBOX": messages(9)}, answers={7: dict(self.ALL_NIL, text="NIL")})
        batch = self.job(source, policy__bad_item_limit="0")
        _, report = self.run_to(batch, 3)
        self.assertEqual(report["users"][0]["failure"], "TooManyBadItems")

    def test_another_section_is_no_message(self):
        self.one_lost(section={7: "HEADER"}, forms={"peek", "partial", "body", "rfc822"},
                      answers={7: {"header": "NIL"}})
        self.one_bad(section={7: "TEXT"}, forms={"peek"})

    def test_a_server_that_gives_small_parts(self):
        """B18: a part that is shorter than asked for is not the end."""
        inbox = [message(uid, 300000 if uid == 7 else 400) for uid in range(1, 12)]
        source = self.source({"INBOX": inbox}, nil={7}, forms={"peek"}, small_parts=65536)
        batch = self.job(source)
        self.run_to(batch)
        self.arrived(batch, ("INBOX",), inbox)

    def test_parts_that_stop_early_are_no_message(self):
        _, report = self.one_lost(cut={7: 60}, forms={"partial"},
                                  answers={7: {form: "NIL" for form in ("peek", "header", "body", "rfc822")}})
        self.assertEqual(self.failures(report), [("TruncatedMessage", "INBOX", 7)])

    def test_a_message_that_is_there_and_never_answered(self):
        """OK and no row, for a UID that SEARCH and EXISTS know: it has failed, it is not gone."""
        others = " ".join(str(uid) for uid in range(1, 31) if uid != 7)
        for quirks in ({"silent": {7}}, {"silent_alone": {7}, "search": "* SEARCH"},
                       {"silent_alone": {7}, "search": None},
                       # As many as there are, for one is named twice.
                       {"silent_alone": {7}, "search": "* SEARCH %s 30" % others},
                       {"silent_alone": {7}, "search": "* ESEARCH UID ALL 1:6,8:30,25"}):
            with self.subTest(**quirks):
                _, report = self.one_lost(nothing={7}, **quirks)
                self.assertIn(("ParseError", "INBOX", 7), self.failures(report))
                self.assertEqual(report["users"][0]["skipped_items"], [])

    def test_messages_that_went_while_others_are_silent(self):
        """One that is there no more is skipped, whatever another one does."""
        inbox = messages(30)
        source = self.source({"INBOX": inbox}, nothing={7}, expunged={3, 9, 28})
        batch = self.job(source, policy__bad_item_limit="unlimited")
        _, report = self.run_to(batch)
        self.arrived(batch, ("INBOX",), [m for m in inbox if m.uid not in (3, 7, 9, 28)])
        self.assertEqual(self.failures(report), [("ParseError", "INBOX", 7)])
        self.assertEqual(sorted(i["uid"] for i in report["users"][0]["skipped_items"]), [3, 9, 28])
        # What one look at all UIDs told is not asked again.
        self.assertLessEqual(source.asked(r"UID SEARCH ALL"), 4)

    def test_a_folder_that_shows_nothing_read_only(self):
        """EXAMINE answers OK to everything and gives nothing; SELECT does, as other tools open it."""
        inbox = messages(30)
        source = self.source({"INBOX": inbox, "Sent": messages(3)}, blind={"INBOX", "Sent"})
        batch = self.job(source)
        _, report = self.run_to(batch)
        self.arrived(batch, ("INBOX",), inbox)
        self.arrived(batch, ("Sent",), messages(3))
        self.assertEqual(self.failures(report), [])
        self.assertIn("OpenedForWriting", self.problems(report))
        self.assertEqual(source.asked(r"BODY\[|RFC822[ )]"), 0)  # nothing is marked as seen
        self.assertEqual(source.asked(r"^SELECT"), 2)

    def test_a_server_that_knows_no_examine(self):
        inbox = messages(5)
        source = self.source({"INBOX": inbox, "Sent": messages(3)}, no_examine=True)
        batch = self.job(source)
        _, report = self.run_to(batch)
        self.arrived(batch, ("INBOX",), inbox)
        self.arrived(batch, ("Sent",), messages(3))
        self.assertEqual(self.failures(report), [])
        self.assertEqual(self.problems(report), ["OpenedForWriting"] * 2)
        self.assertEqual(source.asked(r"BODY\[|RFC822[ )]"), 0)  # nothing is marked as seen
        self.assertEqual(source.asked(r"^EXAMINE"), 2)

    def test_a_folder_that_shows_rows_and_no_bodies_read_only(self):
        inbox = messages(30)
        source = self.source({"INBOX": inbox}, blind_bodies={"INBOX"})
        batch = self.job(source)
        _, report = self.run_to(batch)
        self.arrived(batch, ("INBOX",), inbox)
        self.assertEqual(self.failures(report), [])
        self.assertIn("OpenedForWriting", self.problems(report))

    def test_a_folder_that_shows_nothing_at_all(self):
        inbox = messages(5)
        source = self.source({"INBOX": inbox}, silent={1, 2, 3, 4, 5})
        batch = self.job(source, policy__bad_item_limit="unlimited")
        _, report = self.run_to(batch)
        self.arrived(batch, ("INBOX",), [])
        self.assertEqual(self.counts(report, "INBOX")["failed"], 5)
        self.assertLessEqual({t for t, _, _ in self.failures(report)}, {"ParseError", "MessageUnreadable", "ServerBug"})

    def test_a_body_of_another_size_than_all_others_is_told(self):
        """Shorter or longer than listed, in every form, where this server's sizes are exact."""
        inbox = messages(40)
        source = self.source({"INBOX": inbox}, size={7: 300, 19: 5000})
        batch = self.job(source)
        _, report = self.run_to(batch, 4)
        self.arrived(batch, ("INBOX",), inbox)
        doubts = report["users"][0]["doubts"]
        self.assertEqual([(d["type"], d["count"]) for d in doubts], [("SizeDiffers", 2)])
        self.assertEqual(self.failures(report), [])

    def test_a_body_that_is_short_in_one_form_is_taken_from_another(self):
        self.one_bad(cut={7: 60}, forms={"peek"})

    def test_a_body_that_is_short_where_no_other_form_gives_it(self):
        inbox = messages(40)
        source = self.source({"INBOX": inbox}, cut={7: 60}, forms={"peek"}, answers={7: {
            form: "NIL" for form in ("partial", "header", "body", "rfc822")}})
        batch = self.job(source)
        _, report = self.run_to(batch, 4)
        self.assertEqual([d["type"] for d in report["users"][0]["doubts"]], ["SizeDiffers"])
        self.assertIn("UID 7", report["users"][0]["doubts"][0]["text"])

    def test_the_size_that_comes_counts_for_the_limits(self):
        """RFC822.SIZE says less: the limit is for what would be sent."""
        inbox = [message(uid, 400 if uid != 7 else 30000) for uid in range(1, 21)]
        source = self.source({"INBOX": inbox}, size={7: 400})
        batch = self.job(source, policy__max_message_size="20KB", policy__large_item_limit="unlimited")
        _, report = self.run_to(batch)
        self.arrived(batch, ("INBOX",), [m for m in inbox if m.uid != 7])
        self.assertEqual([(i["uid"], i["reason"]) for i in report["users"][0]["skipped_items"]],
                         [(7, "LargerThanLimit")])

    def test_sizes_that_lie(self):
        """An estimate is no sign of anything else (B11): so many are asked about, and no more."""
        source, report = self.one_bad(count=90, size={uid: uid * 7919 % 2000 + 1 for uid in range(1, 91)})
        self.assertEqual(self.failures(report), [])
        self.assertEqual(source.asked(r"HEADER\.FIELDS"), 20)

    @staticmethod
    def of_many_sizes(count):
        return [message(uid, 400 + uid % 10 * 60) for uid in range(1, count + 1)]

    def test_the_body_of_another_message(self):
        """S10, S09: found by its size, asked for again on a new connection, in another form."""
        inbox = self.of_many_sizes(30)
        source = self.source({"INBOX": inbox}, other={7: 19}, forms={"peek"})
        batch = self.job(source)
        _, report = self.run_to(batch)
        self.arrived(batch, ("INBOX",), inbox)
        self.assertEqual(self.failures(report), [])
        self.assertGreaterEqual(source.sessions, 3)
        sessions = {n for n, line in source.commands if "HEADER.FIELDS" in line}
        self.assertGreater(len(sessions), 1, source.log_text())

    def test_a_message_that_never_comes_but_another_does(self):
        inbox = self.of_many_sizes(200)
        # 7 and 17 are of one size: nothing but the header tells, and that is asked for since 190 was caught.
        source = self.source({"INBOX": inbox}, other={190: 151, 7: 17})
        batch = self.job(source, policy__bad_item_limit="unlimited")
        _, report = self.run_to(batch)
        self.arrived(batch, ("INBOX",), [m for m in inbox if m.uid not in (7, 190)])
        self.assertEqual(sorted(self.failures(report)), [("WrongMessage", "INBOX", 7), ("WrongMessage", "INBOX", 190)])
        text = [f for f in report["users"][0]["failures"] if f["uid"] == 190][0]["server_text"]
        self.assertIn("m151@source.example in place of m190@source.example", text)

    def test_a_body_of_another_size_without_any_header_to_compare(self):
        inbox = [Mail(i, b"Subject: %d\r\n\r\n%s\r\n" % (i, b"x" * i)) for i in range(1, 10)]
        source = self.source({"INBOX": inbox}, size={5: 4000})
        batch = self.job(source)
        _, report = self.run_to(batch)
        self.arrived(batch, ("INBOX",), inbox)
        self.assertEqual(self.failures(report), [])


class Listing(Odd):
    """What a folder says of itself, and what of it is not so."""

    def whole(self, mails, code=0, policy=(), **quirks):
        source = self.source({"INBOX": mails, "Sent": messages(3)}, **quirks)
        batch = self.job(source)
        for key, value in policy:
            batch.set("policy", key, value)
        _, report = self.run_to(batch, code)
        self.arrived(batch, ("INBOX",), mails)
        self.arrived(batch, ("Sent",), messages(3))
        return batch, source, report

    def test_rows_that_ranges_leave_out_are_asked_for_alone(self):
        """Yahoo gives some 70 % of a range, and says nothing of the rest (S11)."""
        _, _, report = self.whole(messages(300), hide_in_ranges=3)
        self.assertEqual(self.counts(report, "INBOX")["found"], 300)
        self.assertEqual(self.problems(report), [])

    def test_hidden_messages_are_told_where_nothing_finds_them(self):
        inbox = messages(30)
        source = self.source({"INBOX": inbox}, hide_in_ranges=3, no_search=True)
        batch = self.job(source)
        _, report = self.run_to(batch, 4)
        self.arrived(batch, ("INBOX",), [m for m in inbox if m.uid % 3])
        self.assertIn("HiddenMessages", self.problems(report))

    def test_hidden_messages_that_show_later_are_copied_then(self):
        inbox = messages(30)
        source = self.source({"INBOX": inbox}, hide_in_ranges=3, no_search=True)
        batch = self.job(source)
        self.run_to(batch, 4)
        self.run_to(batch, 4)
        source.quirks.pop("hide_in_ranges")
        _, report = self.run_to(batch)
        self.arrived(batch, ("INBOX",), inbox)
        self.assertEqual(report["users"][0]["doubts"], [])

    def test_new_messages_that_are_hidden_are_told(self):
        batch, source, _ = self.whole(messages(9), no_search=True)
        source.messages["anna"]["INBOX"].mails += [message(uid) for uid in range(10, 31)]
        source.quirks["hide_in_ranges"] = 3
        _, report = self.run_to(batch, 4)
        self.assertEqual([d["type"] for d in report["users"][0]["doubts"]], ["HiddenMessages"])

    def test_a_damaged_row_is_asked_for_again(self):
        """F23: the row is lost, its message is not."""
        _, _, report = self.whole(messages(30), row={7: "UID, NIL RFC822.SIZE 9537"}, once=True)
        self.assertEqual(self.failures(report), [])

    def test_a_row_that_is_damaged_in_every_form_costs_its_date_only(self):
        inbox = messages(30)
        source = self.source({"INBOX": inbox}, row={7: "UID, NIL RFC822.SIZE 9537"})
        batch = self.job(source)
        _, report = self.run_to(batch)
        self.arrived(batch, ("INBOX",), inbox)
        # Nor does verify, which cannot list it, take it for compared.
        user = self.ends(batch.call("verify", "--json"), 3).json()["users"][0]
        self.assertEqual((user["grade"], user["source"], user["target"]), ("Investigate", 30, 30))
        self.assertEqual([d["what"] for d in user["differences"]], ["not judged"])

    def test_a_set_that_is_refused_for_one_of_it_is_halved(self):
        """C5: the listing is refused while a message is in it, also alone."""
        _, source, report = self.whole(messages(200), listing_bad={77})
        self.assertEqual(self.counts(report, "INBOX")["found"], 200)
        self.assertLess(source.asked(r"UID FETCH \S+ \(UID FLAGS"), 60)

    def test_a_message_whose_uid_is_none(self):
        """Above 2^32-1, below 1 or no number: what cannot be asked for is told, and the rest is copied."""
        sent = [message(uid) for uid in (101, 102)]
        for count, told in ((1, "4294967296"), (9, "99999999999999999999"), (9, "4294967295")):
            with self.subTest(told=told, count=count):
                inbox = messages(count)
                source = self.source({"INBOX": inbox, "Sent": sent}, told_uid={count: told},
                                     uidnext={"INBOX": "4294967297"})
                batch = self.job(source)
                for _ in range(2):  # a later run does not take it for done
                    _, report = self.run_to(batch, 3)
                    self.assertEqual(report["users"][0]["failure"], "ParseError")
                    self.assertIn(("ParseError", "INBOX", 0), self.failures(report))
                self.arrived(batch, ("INBOX",), inbox[:-1])
                self.arrived(batch, ("Sent",), sent)

    def test_a_new_message_whose_uid_is_none(self):
        """Found by a later run, whose listing begins behind the others."""
        batch, source, _ = self.whole(messages(9))
        source.messages["anna"]["INBOX"].mails.append(message(10))
        source.quirks["told_uid"] = {10: "4294967296"}
        _, report = self.run_to(batch, 3)
        self.assertIn(("ParseError", "INBOX", 0), self.failures(report))

    def test_how_many_there_are_is_told_in_no_number(self):
        """As little as an EXISTS that does not come is it one of 0."""
        for exists in (None, "4294967296"):
            with self.subTest(exists=exists):
                _, _, report = self.whole(messages(9), exists={"INBOX": exists})
                self.assertEqual(self.failures(report), [])

    def test_how_many_there_are_is_told_in_no_number_and_nothing_else_tells(self):
        source = self.source({"INBOX": messages(9)}, exists={"INBOX": "4294967296"}, no_search=True)
        _, report = self.run_to(self.job(source), 3)
        self.assertIn(("ParseError", "INBOX", 0), self.failures(report))

    def test_an_empty_folder_that_does_not_say_so(self):
        _, _, report = self.whole([], exists={"INBOX": None}, no_uidnext={"INBOX"})
        self.assertEqual(self.failures(report), [])

    def test_a_uidnext_that_is_none_or_too_low(self):
        for uidnext in ("4294967297", "1"):
            with self.subTest(uidnext=uidnext):
                inbox = messages(9)
                batch, source, report = self.whole(inbox, uidnext={"INBOX": uidnext})
                source.messages["anna"]["INBOX"].mails.append(message(10))
                _, report = self.run_to(batch)
                self.arrived(batch, ("INBOX",), inbox + [message(10)])

    def test_sizes_that_are_none(self):
        inbox = messages(7)
        self.whole(inbox, size=dict(enumerate((-1, 2 ** 70, 0, "NIL", "1e6", "null", "00012"), 1)))

    def test_folders_whose_names_are_too_long_are_told(self):
        inbox = messages(3)
        source = self.source({"INBOX": inbox, **{"x" * 4100 + c: messages(2) for c in "ab"}})
        batch = self.job(source)
        _, report = self.run_to(batch, 4)
        self.arrived(batch, ("INBOX",), inbox)
        user = report["users"][0]
        self.assertEqual((user["state"], [(d["type"], d["count"]) for d in user["doubts"]]),
                         ("SyncedWithDoubts", [("NamesLeftOut", 2)]))
        for c in "ab":
            del source.messages["anna"]["x" * 4100 + c]
        _, report = self.run_to(batch, 0)
        self.assertEqual(report["users"][0]["doubts"], [])

    def test_rows_in_any_order(self):
        _, _, report = self.whole(messages(100), reorder=True)
        self.assertEqual(self.failures(report), [])

    def test_a_view_of_the_newest_is_told(self):
        """Yahoo shows 10,000 without UIDONLY; Gmail what a user's setting allows (S18, S19)."""
        inbox = [Mail(uid, b"Subject: %d\r\n\r\nx\r\n" % uid) for uid in range(1, 1201)]
        source = self.source({"INBOX": inbox}, view=1000)
        batch = self.job(source)
        _, report = self.run_to(batch)
        self.arrived(batch, ("INBOX",), inbox[-1000:])
        self.assertIn("MayBeIncomplete", self.problems(report))

    def beyond_the_view(self, words="UIDONLY X-UIDONLY", enabled="UIDONLY", **quirks):
        """A mailbox of which the newest 1,000 are shown, 300 a command, until UIDONLY is on (Yahoo)."""
        inbox = [Mail(uid * 3 + uid // 500 * 7000, b"Subject: %d\r\n\r\nx\r\n" % uid)
                 for uid in range(1, 2501)]
        _, source, report = self.whole(inbox, view=1000, messagelimit=300, uidonly=enabled,
                                       capability="%s ENABLE %s PARTIAL MESSAGELIMIT=300" % (CAPABILITY, words),
                                       **quirks)
        self.assertEqual(self.counts(report, "INBOX")["found"], 2500)
        self.assertEqual((self.problems(report), self.failures(report)), ([], []))
        return source

    def test_more_than_the_view_by_uidonly(self):
        """Each window of UIDs holds about as many as a command may, however the UIDs lie."""
        source = self.beyond_the_view()
        self.assertLess(source.asked(r"UID FETCH \S+ \(UID FLAGS"), 60, source.log_text())
        self.assertEqual(source.asked("SEARCH"), 0)

    def test_more_than_the_view_by_its_older_name(self):
        self.beyond_the_view("X-UIDONLY", "X-UIDONLY")

    def test_rows_left_out_where_a_search_does_so_many_a_command(self):
        """S11 with RFC 9738: SEARCH is asked on downwards from where it broke off."""
        source = self.beyond_the_view(hide_in_ranges=50)
        self.assertGreaterEqual(source.asked("SEARCH"), 9)

    def test_a_view_that_cannot_be_left_is_told(self):
        """The server says that UIDONLY is on and it is not (L21)."""
        inbox = [Mail(uid, b"Subject: %d\r\n\r\nx\r\n" % uid) for uid in range(1, 1201)]
        source = self.source({"INBOX": inbox}, view=1000, uidonly="never",
                             capability=CAPABILITY + " ENABLE UIDONLY MESSAGELIMIT=5000")
        batch = self.job(source)
        _, report = self.run_to(batch)
        self.arrived(batch, ("INBOX",), inbox[-1000:])
        self.assertIn("MayBeIncomplete", self.problems(report))
        # A later run with nothing new tells it again: it is as true as before.
        _, report = self.run_to(batch)
        self.assertIn("MayBeIncomplete", self.problems(report))

    def test_a_uidvalidity_that_examine_makes_up(self):
        """Courier (S03): SELECT tells the one that is kept; nothing is copied twice."""
        inbox = messages(200)
        batch, source, report = self.whole(inbox, new_validity={"INBOX"}, bye_every=25)
        for _ in range(2):
            inbox.append(message(len(inbox) + 1))
            source.messages["anna"]["INBOX"].mails.append(inbox[-1])
            _, report = self.run_to(batch)
            self.arrived(batch, ("INBOX",), inbox)

    def test_a_uidvalidity_that_is_never_the_same(self):
        inbox = messages(100)
        batch, source, report = self.whole(inbox, always_new_validity={"INBOX"}, bye_every=20)
        _, report = self.run_to(batch)
        self.arrived(batch, ("INBOX",), inbox)

    def test_strictly_read_only(self):
        """[source] read-only = strict: nothing is opened for writing, whatever that costs, and it is told."""
        inbox = messages(60)
        for quirks in ({"always_new_validity": {"INBOX"}}, {"no_examine": True}, {"blind": {"INBOX"}},
                       {"new_validity": {"INBOX"}}):
            with self.subTest(**quirks):
                source = self.source({"INBOX": inbox, "Sent": messages(3)}, **quirks)
                batch = self.job(source, source__read_only="strict", policy__bad_item_limit="unlimited",
                                 policy__transient_failure_limit="2")
                batch.call("run")
                done = batch.call("run")  # it is in the second night that a UIDVALIDITY is another one
                report = batch.report()
                self.balanced(report)
                self.assertEqual(source.asked(r"^SELECT"), 0, source.log_text())
                self.assertNotIn("OpenedForWriting", self.problems(report))
                if "blind" in quirks:
                    self.assertEqual(self.counts(report, "INBOX")["failed"], 60)
                else:
                    self.assertEqual(done.code, 3, str(done))
                    self.assertIn("SelectFailed", [f[0] for f in self.failures(report)])

    def test_a_server_that_does_so_many_messages_a_command(self):
        """RFC 9738: an OK with MESSAGELIMIT has done a part, of the listing and of the bodies."""
        capability = CAPABILITY + " MESSAGELIMIT=7"
        _, source, report = self.whole(messages(60), messagelimit=7, capability=capability)
        self.assertEqual(self.failures(report), [])
        self.assertEqual(self.counts(report, "INBOX")["found"], 60)
        self.assertEqual(self.problems(report), [])

    def test_all_uids_change_amid_the_bodies(self):
        """The folder was made anew while we were away: what came over is recognised."""
        inbox = messages(120)
        source = self.source({"INBOX": inbox, "Sent": messages(3)}, close={60: 100}, once=True,
                             renewed_from={"INBOX": 1})
        batch = self.job(source)
        _, report = self.run_to(batch, 3)
        self.assertIn(("SelectFailed", "INBOX", 0), self.failures(report))
        for _ in range(2):
            _, report = self.run_to(batch)
        self.arrived(batch, ("INBOX",), inbox)
        self.arrived(batch, ("Sent",), messages(3))
        self.assertEqual(self.counts(report, "INBOX")["found"], 120)

    def test_a_folder_that_ends_the_session_when_it_is_opened_again(self):
        """It can be listed once, and never again be opened: that folder alone is the cost."""
        source = self.source({"INBOX": messages(20), "Old": messages(40), "Sent": messages(3)},
                             close={30: 100}, gone_from={"Old": 1})
        batch = self.job(source, policy__transient_failure_limit="12")
        _, report = self.run_to(batch, 3)
        self.arrived(batch, ("INBOX",), messages(20))
        self.arrived(batch, ("Sent",), messages(3))
        self.assertEqual({f["source"] for f in report["users"][0]["folders"] if f["pending"]},
                         {"Old"})

    def test_bye_at_any_point(self):
        self.whole(messages(150), bye_every=7)

    def test_a_server_that_asks_for_patience_amid_a_listing(self):
        _, _, report = self.whole(messages(30), throttle=[0, 50])
        self.assertEqual(report["totals"]["throttled"], 1)
