"""The HTML report in a real browser: it renders, sorts, filters and opens details, loads nothing from
anywhere, and what other people wrote stays text."""

import os
import re
import subprocess

import browser
import exchange
import haul
import mail
from haul import Case


class Page(Case):
    def setUp(self):
        super().setUp()
        if not browser.program():
            self.skipTest("there is no chromium here (scripts/packages browser)")

    def page(self, *arguments):
        """A report of a batch made by mailhaul-journal; (path of the page, the JSON report)."""
        state = os.path.join(self.folder, "night.state")
        maker = haul.program("mailhaul-journal")
        subprocess.run([maker, state, *arguments], check=True, timeout=120)
        path = os.path.join(self.folder, "report.html")
        self.ends(haul.Running(["report", "--html", path, state], self.folder).wait(), 0)
        report = self.ends(haul.Running(["report", "--json", state], self.folder).wait(), 0).json()
        return path, self.balanced(report)

    ROWS = """
        var rows = function () { return [].map.call(document.querySelectorAll('#users tr.row'), function (r) {
          return [].map.call(r.cells, function (c) { return c.textContent; }); }); };
        var head = function (name) { return [].filter.call(document.querySelectorAll('#users th'),
          function (h) { return h.textContent === name; })[0]; };
        var text = function (id) { return document.getElementById(id).textContent; };
        """

    def test_it_renders_sorts_and_filters(self):
        path, report = self.page("--users", "1000")
        got = browser.evaluate(path, self.ROWS + """
            var out = { title: document.title, verdict: text('verdict'), pager: text('page') };
            out.tiles = [].map.call(document.querySelectorAll('#tiles .tile'), function (t) {
              return t.textContent; });
            out.first = rows();
            head('Found').firstChild.click();
            out.found = rows().map(function (r) { return +r[3].replace(/,/g, ''); });
            out.sort = head('Found').getAttribute('aria-sort');
            head('Found').firstChild.click();
            out.up = rows().map(function (r) { return +r[3].replace(/,/g, ''); });
            document.getElementById('next').click();
            out.second = text('page');
            var find = document.getElementById('find'), state = document.getElementById('state');
            find.value = 'QUOTAexceeded';
            find.dispatchEvent(new Event('input'));
            out.quota = rows();
            find.value = '';
            state.value = 'Stopped';
            state.dispatchEvent(new Event('change'));
            out.stopped = text('page');
            find.value = 'nobody at all';
            find.dispatchEvent(new Event('input'));
            out.none = [rows().length, text('page')];
            find.value = '';
            state.value = '';
            state.dispatchEvent(new Event('change'));
            document.querySelector('#users tr.row').click();
            out.detail = document.querySelector('#users td.detail').textContent;
            var open = document.querySelector('#failures details');
            open.open = true;
            out.plots = [].map.call(document.querySelectorAll('.plot h3'), function (h) {
              return h.firstChild.textContent; });
            out.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
            out.cards = [].map.call(document.querySelectorAll('#failures h3'), function (h) {
              return h.firstChild.textContent; });
            out.map = text('map');
            out.skipped = document.querySelectorAll('#skipped tbody tr').length;
            return out;
            """)
        users, totals = report["users"], report["totals"]
        self.assertNotIn("error", got)
        self.assertEqual(got["title"], "Migration report")
        self.assertIn(report["verdict"], got["verdict"])
        self.assertEqual(got["pager"], "1 to 50 of 1,000")
        self.assertIn("%sof 1,000 users synced" % format(totals["synced"], ","), got["tiles"])
        self.assertIn("%smessages found" % format(totals["found"], ","), got["tiles"])
        states = [r[1] for r in got["first"]]
        self.assertEqual(states.count("Failed"), min(50, totals["failed_users"]))
        self.assertEqual(states[:totals["failed_users"]].count("Failed"), states.count("Failed"),
                         "what failed stands first")
        self.assertEqual(got["sort"], "descending")
        by_found = sorted((u["found"] for u in users), reverse=True)
        self.assertEqual(got["found"], by_found[:50])
        self.assertEqual(got["up"], by_found[::-1][:50])
        self.assertEqual(got["second"], "51 to 100 of 1,000")
        self.assertEqual(len(got["quota"]),
                         sum(u["failure"] == "QuotaExceeded" for u in users))
        self.assertTrue(all(r[2] == "QuotaExceeded" for r in got["quota"]))
        self.assertTrue(got["stopped"].endswith(
            " of %d" % sum(u["state"] == "Stopped" for u in users)), got["stopped"])
        self.assertEqual(got["none"], [0, "No user matches"])
        self.assertIn("Where the time went", got["detail"])
        self.assertEqual(got["plots"], ["Rate", "Messages", "Throttling", "Connections", "Spool (of at most 200 GB)"])
        self.assertEqual(got["wide"], 0, "nothing stands out of the page")
        self.assertEqual(set(got["cards"]), {u["failure"] for u in users if u["failure"]}
                         | {"ParseError", "TruncatedMessage"})
        self.assertIn("Junk Email", got["map"])
        self.assertEqual(got["skipped"], totals["skipped_by_reason"]["LargerThanLimit"])

    def test_on_a_phone_nothing_is_wider_than_the_screen(self):
        path, _ = self.page("--users", "200")
        wide = browser.evaluate(path, """
            document.querySelector('#users tr.row').click();
            return [document.documentElement.clientWidth,
                    document.documentElement.scrollWidth, getComputedStyle(
                      document.querySelector('.tiles')).gridTemplateColumns.split(' ').length];
            """, width=500, height=900)
        self.assertEqual(wide[0], wide[1])
        self.assertEqual(wide[2], 2)

    def test_hostile_texts_are_only_text(self):
        path, report = self.page("--users", "40", "--hostile")
        with open(path, encoding="utf-8") as f:
            text = f.read()
        # The name space of SVG is no address that anything is asked at.
        addresses = set(re.findall(r"(?:https?:)?//[\w.-]+[^\s'\"<>]*", text)) - {
            "http://www.w3.org/2000/svg"}
        self.assertEqual({a for a in addresses if a.startswith("http")}, set())
        # What other people wrote is in the data alone, where nothing can begin or end an element.
        before, _, rest = text.partition("id='data'>")
        data, _, after = rest.partition("</script>")
        self.assertNotIn("<", data)
        self.assertIsNone(re.search(r"(?i)@import|url\(|<link|<iframe|<img|\ssrc\s*=|\shref\s*=",
                                    before + after))
        hostile = next(u for u in report["users"] if "<script>" in u["address"])
        self.assertTrue(hostile["failures"] and hostile["skipped_items"])
        whole = browser.dom(path)
        self.assertEqual(len(re.findall("<script", whole)), 2)
        # Without its policy too: it is not the policy that keeps the page.
        got = browser.evaluate(path, self.ROWS + """
            var find = document.getElementById('find');
            find.value = '<SCRIPT>';
            find.dispatchEvent(new Event('input'));
            var found = rows();
            document.querySelector('#users tr.row').click();
            [].forEach.call(document.querySelectorAll('details'), function (d) {
              d.open = true;
              d.dispatchEvent(new Event('toggle'));
            });
            var shown = document.body.innerText;
            return { title: document.title, found: found, name: text('name'),
                     images: document.querySelectorAll('img,iframe,object,embed,link').length,
                     scripts: document.scripts.length, handlers: document.querySelectorAll(
                       '[onerror],[onclick],[onload],[style*=url]').length,
                     times: shown.split("document.title='owned'").length,
                     turned: /[\\u202a-\\u202e\\u2066-\\u2069]/.test(shown) };
            """)
        self.assertNotIn("error", got)
        self.assertEqual(got["title"], "Migration report")
        self.assertEqual(len(got["found"]), 1)
        self.assertTrue(got["found"][0][0].startswith("</script><script>"))
        self.assertTrue(got["name"].startswith("</script><script>"))
        self.assertEqual((got["images"], got["handlers"], got["scripts"]), (0, 0, 3))
        self.assertGreater(got["times"], 8, "they are shown, as text")
        self.assertIs(got["turned"], False, "no text turns the direction of what follows it")

    def test_what_was_mended_is_listed_when_it_is_asked_for(self):
        """Hostile subjects too; and the page stays as wide as a narrow window."""
        address = "anna@" + haul.DOMAIN
        evil = "<img src=x onerror=alert(1)>"
        mails = [mail.Message(b"Message-ID: <long%d@source.example>\r\nSubject: %s %d\r\n\r\n" % (
            i, evil.encode(), i) + b"x" * 30000 + b"\r\n", mail.FIRST_S + i, ()) for i in range(3)]
        source = self.dovecot(["anna"], format="maildir", separator=".")
        source.seed("anna", {("INBOX",): [mail.tiny(9)], ("Work",): mails})
        target = self._started(exchange.Exchange([address]))
        batch = target.take(self.batch(source, target, ["anna"]))
        self.ends(batch.call("run"), 0)
        path = os.path.join(self.folder, "mended.html")
        self.ends(batch.call("report", "--html", path), 0)
        items = batch.report()["users"][0]["repaired_items"]
        self.assertEqual(len(items), 3)
        got = browser.evaluate(path, """
            var d = document.querySelector('#mended details'), out = { open: d.open, before: d.querySelectorAll('tr').length };
            out.head = d.querySelector('summary').textContent;
            d.open = true;
            d.dispatchEvent(new Event('toggle'));
            out.rows = [].map.call(d.querySelectorAll('tbody tr'), function (r) {
              return [].map.call(r.cells, function (c) { return c.textContent; }); });
            out.images = document.images.length;
            out.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
            return out;
            """, width=500)
        self.assertEqual((got["open"], got["before"], got["images"], got["wide"]), (False, 0, 0, 0))
        self.assertEqual(got["head"], "3 messages")
        self.assertEqual({(r[0], r[1], r[3], r[4]) for r in got["rows"]},
                         {(address, "Work", "%s %d" % (evil, i), "<long%d@source.example>" % i) for i in range(3)})
        for row in got["rows"]:
            self.assertIn("line", row[5])
