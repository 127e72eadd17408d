#!/usr/bin/python3
"""How fast the HTML report of a large batch is written and opened.

    bench/report_page.py [--users N] [--rounds N]

Makes the journal of a batch with mailhaul-journal, writes its report and opens that in headless
Chromium with an empty profile each time. The page is the report itself but for its policy, which is
taken out so that a script may tell what the browser measured: milliseconds from the start of the
navigation until the first contentful paint, until the page's script has filled it (its end) and
until the load event. The browser's own start does not count. Prints one JSON line of medians.
"""

import argparse
import http.server
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))

import browser  # noqa: E402
import haul  # noqa: E402
from haul import BINARY  # noqa: E402

TELL = """<script>
var filled = performance.now();
addEventListener('load', function () {
  var look = function () {
    var paint = performance.getEntriesByName('first-contentful-paint')[0];
    if (!paint) { setTimeout(look, 20); return; }
    fetch('http://127.0.0.1:PORT/', { method: 'POST', mode: 'no-cors', body: JSON.stringify({
      first_paint_ms: paint.startTime, filled_ms: filled,
      load_ms: performance.getEntriesByType('navigation')[0].loadEventStart }) });
  };
  look();
});
</script></body>"""


class Answers(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.answers.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def opened(path, server):
    profile = tempfile.mkdtemp(prefix="mhchromium")
    before = len(server.answers)
    chromium = subprocess.Popen(
        [browser.program(), *browser.options(profile), "--window-size=1280,900",
         "--remote-debugging-port=0", "file://" + path],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        limit = time.monotonic() + 120
        while len(server.answers) == before:
            if time.monotonic() > limit:
                sys.exit("the browser did not tell anything within two minutes")
            time.sleep(0.02)
    finally:
        chromium.kill()
        chromium.wait()
        shutil.rmtree(profile, True)
    return server.answers[-1]


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--users", type=int, default=5000)
    options.add_argument("--rounds", type=int, default=5)
    options = options.parse_args()
    if not browser.program():
        sys.exit("there is no chromium here (scripts/packages browser)")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.answers = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="mhpage") as folder:
        state, page = os.path.join(folder, "night.state"), os.path.join(folder, "report.html")
        maker = haul.program("mailhaul-journal")
        subprocess.run([maker, state, "--users", str(options.users)], check=True)
        writing = []
        for _ in range(options.rounds):
            began = time.monotonic()
            subprocess.run([BINARY, "report", "--html", page, state], check=True)
            writing.append(time.monotonic() - began)
        size = os.path.getsize(page)
        with open(page, encoding="utf-8") as f:
            text = browser.CSP.sub("", f.read())
        with open(page, "w", encoding="utf-8") as f:
            f.write(text.replace("</body>", TELL.replace("PORT", str(server.server_port))))
        answers = [opened(page, server) for _ in range(options.rounds)]
    server.shutdown()
    print(json.dumps({
        "scenario": "report_page", "users": options.users, "rounds": options.rounds,
        "machine": "%s, %d processors" % (platform.machine(), os.cpu_count()),
        "page_bytes": size, "write_s": round(statistics.median(writing), 3),
        **{key: round(statistics.median(a[key] for a in answers)) for key in answers[0]},
        "load_ms_worst": round(max(a["load_ms"] for a in answers))}))


main()
