"""Opens a page in headless Chromium (Debian's package `chromium`) and tells what became of it."""

import json
import os
import re
import shutil
import subprocess
import tempfile

CSP = re.compile(r"<meta http-equiv='Content-Security-Policy'[^>]*>")


def program():
    return shutil.which("chromium") or shutil.which("chromium-browser")


def options(profile):
    return ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
            "--no-first-run", "--hide-scrollbars", "--user-data-dir=" + profile]


def dom(path, width=1280, height=900):
    """The document after its scripts have run, as HTML."""
    with tempfile.TemporaryDirectory(prefix="mhchromium", ignore_cleanup_errors=True) as profile:
        done = subprocess.run(
            [program(), *options(profile), "--window-size=%d,%d" % (width, height),
             "--dump-dom", "file://" + os.path.abspath(path)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=180)
    if done.returncode != 0:
        raise AssertionError("chromium: %s" % done.stderr.decode("utf-8", "replace")[-2000:])
    return done.stdout.decode("utf-8")


def dom_of(url, width=1280, height=900, wait_ms=4000):
    """The document at url once its timers and requests have had wait_ms of their own time."""
    with tempfile.TemporaryDirectory(prefix="mhchromium", ignore_cleanup_errors=True) as profile:
        done = subprocess.run(
            [program(), *options(profile), "--window-size=%d,%d" % (width, height), "--no-proxy-server",
             "--virtual-time-budget=%d" % wait_ms, "--dump-dom", url],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=180)
    if done.returncode != 0:
        raise AssertionError("chromium: %s" % done.stderr.decode("utf-8", "replace")[-2000:])
    return done.stdout.decode("utf-8")


def evaluate(path, script, width=1280, height=900):
    """What the function body returns, run in a copy of the page after the page's own script. The copy
    has no Content-Security-Policy: that would refuse it, and hide what else it has to refuse."""
    with open(path, encoding="utf-8") as f:
        page, n = CSP.subn("", f.read())
    if n != 1:
        raise AssertionError("the page has %d policies" % n)
    page = page.replace("</body>", """<script>
        (function () {
          var e = document.createElement('pre'), value;
          try { value = (function () { %s })(); } catch (x) { value = { error: String(x) }; }
          e.id = 'answer';
          e.textContent = encodeURIComponent(JSON.stringify(value));
          document.body.appendChild(e);
        })();
        </script></body>""" % script)
    with tempfile.NamedTemporaryFile("w", suffix=".html", encoding="utf-8") as copy:
        copy.write(page)
        copy.flush()
        text = dom(copy.name, width, height)
    answer = re.search(r'<pre id="answer">([^<]*)</pre>', text)
    if not answer:
        raise AssertionError("the page's script did not come to its end")
    from urllib.parse import unquote
    return json.loads(unquote(answer.group(1)))
