"""`rehearse`: the batch into a simulated tenant; neither the real target nor the batch's state is
touched."""

import http.client
import json
import os
import re
import signal
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request

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


def listening(pid):
    """Ports of 127.0.0.1 that the process listens on."""
    sockets = set()
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            found = re.match(r"socket:\[(\d+)\]", os.readlink("/proc/%d/fd/%s" % (pid, fd)))
        except OSError:
            continue
        sockets.add(found.group(1) if found else None)
    with open("/proc/net/tcp", encoding="ascii") as f:
        rows = [line.split() for line in f.readlines()[1:]]
    return [int(r[1].split(":")[1], 16) for r in rows if r[3] == "0A" and r[9] in sockets]


class Neighbours(Case):
    """Everybody on the computer can reach the simulated tenant while it stands."""

    def token(self, port, client, secret):
        """What its token endpoint answers; None: it is no such port."""
        data = urllib.parse.urlencode({"grant_type": "client_credentials", "client_id": client, "client_secret": secret,
                                       "scope": "https://outlook.office365.com/.default"}).encode()
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        for scheme in ("http", "https"):
            try:
                with urllib.request.urlopen("%s://127.0.0.1:%d/rehearsal.onmicrosoft.com/oauth2/v2.0/token" % (scheme, port),
                                            data, 5, context=context) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as e:
                return json.load(e)
            except (OSError, ValueError, http.client.HTTPException):
                continue
        return None

    def test_what_stands_in_the_source_text_opens_nothing(self):
        source = self.dovecot(["anna"])
        source.seed("anna", {("INBOX",): [mail.tiny(i) for i in range(30)]})
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        batch.set("rehearse", "append-ms", "2000")
        running = batch.start("rehearse", "--progress", "never")
        answers, end = [], time.monotonic() + 30
        while not answers and not running.ended() and time.monotonic() < end:
            answers = [a for a in (self.token(port, "11111111-2222-3333-4444-555555555555", "only for this rehearsal")
                                   for port in listening(running.pid)) if a]
        running.signal(signal.SIGTERM)
        running.wait()
        self.assertTrue(answers, "no token endpoint was found")
        for answer in answers:
            self.assertNotIn("access_token", answer)
            self.assertIn("error", answer)
