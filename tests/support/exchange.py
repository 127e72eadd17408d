"""The simulated Exchange Online (bench/programs/mailhaul-exo) as a target for end-to-end tests.

    exchange = Exchange(users, **{"mailbox-rate": 5}).start()
    exchange.stats()["appends"], exchange.messages(address), exchange.set("append-ms", 10)
"""

import collections
import json
import os
import subprocess
import tempfile
import shutil
import urllib.request

import haul
import mail
import servers

SECRET = "a secret of the application"
CLIENT = "11111111-2222-3333-4444-555555555555"


class Exchange:
    def __init__(self, addresses, **options):
        self.users = {address: "" for address in addresses}
        self.options = {"client-id": CLIENT, "client-secret": SECRET, "append-ms": 2, "login-ms": 1, **options}
        self.process = None

    def start(self):
        self.folder = tempfile.mkdtemp(prefix="mhexo")
        arguments = ["--folder", self.folder]
        for key, value in self.options.items():
            for one in value if isinstance(value, (list, tuple)) else [value]:
                arguments += ["--" + key, str(one)]
        for address in self.users:
            arguments += ["--mailbox", address]
        self.process = subprocess.Popen([haul.program("mailhaul-exo"), *arguments], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        servers._running.append(self)
        line = self.process.stdout.readline()
        if not line:
            raise servers.ServerError("mailhaul-exo did not start")
        ready = json.loads(line)
        self.ca, self.imap_port = ready["ca"], ready["imap_port"]
        self.plain_port = ready["imap_plain_port"]
        self.token_port, self.control_port = ready["token_port"], ready["control_port"]
        return self

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self in servers._running:
            servers._running.remove(self)
        shutil.rmtree(self.folder, True)

    def url(self, tls=True):
        return "imaps://localhost:%d" % self.imap_port

    def _ask(self, path, body=None):
        request = urllib.request.Request("http://127.0.0.1:%d%s" % (self.control_port, path),
                                         data=None if body is None else body.encode())
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def stats(self):
        return self._ask("/stats")

    def messages(self, address):
        return self._ask("/messages?mailbox=" + address)["messages"]

    def set(self, key, value):
        self._ask("/set", "%s=%s\n" % (key, value))

    def _keys(self):
        return {"tenant": "contoso.onmicrosoft.com", "client-id": CLIENT, "url": self.url(),
                "tls-ca": self.ca,
                "token-url": "https://localhost:%d/contoso.onmicrosoft.com/oauth2/v2.0/token"
                             % self.token_port}

    def take(self, batch):
        """Makes a Batch's target this one, signed in as an application."""
        path = os.path.join(batch.folder, "client-secret")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
            f.write(SECRET + "\n")
        batch.sections["target"] = {"preset": "exchange-online",
                                    "client-secret-file": "client-secret", **self._keys()}
        return batch

    def take_person(self, batch, side="target"):
        """Makes a Batch's target (or source) this one, signed in to as a person by code."""
        keys = {"device-code": "yes", **self._keys()}
        batch.sections[side] = {"preset": "exchange-online", **keys} if side == "target" else keys
        return batch


class Into(haul.Case):
    """Tests of moves from a Dovecot into it."""

    def into(self, users, messages, kind="small", **options):
        """(batch, exchange, {address: how many messages}) from a Dovecot with that mail."""
        source = self.dovecot(users, format="maildir", separator=".")
        counts = {}
        for i, user in enumerate(users):
            folders = mail.mailbox(i, messages, kind)
            source.seed(user, folders)
            counts["%s@%s" % (user, haul.DOMAIN)] = sum(len(box) for box in folders.values())
        target = self._started(Exchange(counts, **options))
        return target.take(self.batch(source, target, users)), target, counts

    def each_once(self, target, counts):
        """The target has as many messages as were to come, and none twice."""
        for address, count in counts.items():
            there = target.messages(address)
            self.assertEqual(len(there), count, address)
            doubled = [k for k, n in collections.Counter(
                (m["folder"], m["uid"]) for m in there).items() if n > 1]
            self.assertEqual(doubled, [])
