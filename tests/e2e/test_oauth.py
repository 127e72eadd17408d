"""Sign-in by access token: a token server on 127.0.0.1, and Dovecot that asks it about each token."""

import base64
import http.server
import json
import os
import signal
import ssl
import subprocess
import threading
import time
import urllib.parse

import mail
import servers
from haul import Case


def unpack(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


class TokenServer:
    """Gives tokens for signed assertions (RFC 7523) and refresh tokens over HTTPS, and tells Dovecot over
    plain HTTP whose they are (RFC 7662). What it saw is in .requests."""

    def __init__(self, folder, public_key=None):
        self.folder, self.public_key = folder, public_key
        self.requests, self.tokens, self.refusal = [], {}, None
        self.asked, self.talks = threading.Event(), threading.Event()
        self.talks.set()  # cleared: requests for a token wait
        self.refresh = {}  # refresh token: user
        self.scopes = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                length = int(self.headers.get("Content-Length", 0))
                if not self.path.startswith("/introspect"):
                    outer.asked.set()
                    outer.talks.wait()
                form = dict(urllib.parse.parse_qsl(self.rfile.read(length).decode()))
                status, answer = (outer.introspect(form.get("token", ""))
                                  if self.path.startswith("/introspect") else outer.give(form))
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    pass  # who asked has gone

            def log_message(self, *_):
                pass

        servers.authority().issue(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder + "/server.pem", folder + "/server.key")
        self.secure = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.secure.socket = context.wrap_socket(self.secure.socket, server_side=True)
        self.plain = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        for server in (self.secure, self.plain):
            threading.Thread(target=server.serve_forever, daemon=True).start()

    def stop(self):
        self.talks.set()
        for server in (self.secure, self.plain):
            server.shutdown()
            server.server_close()

    @property
    def url(self):
        return "https://localhost:%d/token" % self.secure.server_address[1]

    @property
    def introspection(self):
        return "http://127.0.0.1:%d/introspect" % self.plain.server_address[1]

    def introspect(self, token):
        user = self.tokens.get(token)
        return 200, {"active": True, "username": user} if user else {"active": False}

    def signed(self, jwt):
        head, body, signature = jwt.split(".")
        path = os.path.join(self.folder, "signature.%d" % threading.get_ident())
        with open(path, "wb") as f:
            f.write(unpack(signature))
        done = subprocess.run(["openssl", "dgst", "-sha256", "-verify", self.public_key,
                               "-signature", path], input=(head + "." + body).encode(),
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return done.returncode == 0, json.loads(unpack(head)), json.loads(unpack(body))

    def give(self, form):
        self.requests.append(form)
        if self.refusal:
            return self.refusal
        if form.get("grant_type") == "urn:ietf:params:oauth:grant-type:jwt-bearer":
            good, head, claims = self.signed(form["assertion"])
            if not good or head["alg"] != "RS256" or claims["aud"] != self.url or not (
                    claims["iat"] <= time.time() + 60 and claims["exp"] - claims["iat"] <= 3600):
                return 400, {"error": "invalid_grant", "error_description": "Bad assertion"}
            self.scopes.append(claims["scope"])
            user = claims["sub"]
        elif form.get("grant_type") == "refresh_token" and form["refresh_token"] in self.refresh:
            user = self.refresh[form["refresh_token"]]
        else:
            return 400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
        token = "ya29.%s.%d" % (user, len(self.tokens))
        self.tokens[token] = user
        return 200, {"access_token": token, "expires_in": 3600, "token_type": "Bearer"}


class OAuth(Case):
    USERS = ["anna@school.example", "ben@school.example"]

    def setUp(self):
        super().setUp()
        self.key = os.path.join(self.folder, "account.key")
        public = os.path.join(self.folder, "account.pub")
        servers.openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out",
                        self.key)
        servers.openssl("pkey", "-in", self.key, "-pubout", "-out", public)
        self.tokens = TokenServer(self.folder, public)
        self.addCleanup(self.tokens.stop)
        oauth = os.path.join(self.folder, "oauth.conf")
        with open(oauth, "w") as f:
            f.write("introspection_mode = post\nintrospection_url = %s\nusername_attribute = username\n"
                    "active_attribute = active\nactive_value = true\n" % self.tokens.introspection)
        os.chmod(self.folder, 0o755)
        os.chmod(oauth, 0o644)
        self.source = self.dovecot(self.USERS, format="maildir", separator=".",
                                   mechanisms="plain xoauth2 oauthbearer", extra="""
passdb {
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = %s
}
""" % oauth)
        for i, user in enumerate(self.USERS):
            self.source.seed(user, {("INBOX",): [mail.tiny(i * 10 + j) for j in range(4)]})

    def made(self):
        batch = self.batch(self.source, self.dovecot(self.USERS), [(u, u) for u in self.USERS])
        batch.passwords = {u: "" for u in self.USERS}
        return batch.set("source", "token-url", self.tokens.url)

    def service_account(self, batch):
        with open(self.key) as f:
            account = {"type": "service_account", "client_email": "mover@project.example",
                       "private_key_id": "k1", "private_key": f.read(), "token_uri": self.tokens.url}
        path = os.path.join(batch.folder, "account.json")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
            json.dump(account, f)
        return batch.set("source", "service-account-file", path)

    def log(self):
        with open(self.source.folder + "/server.log", errors="replace") as f:
            return f.read()

    def test_service_account_for_a_whole_domain(self):
        batch = self.service_account(self.made())
        done = self.ends(batch.call("run", "--log-level", "debug"), 0)
        self.assertEqual(set(self.tokens.tokens.values()), set(self.USERS), "a token a user")
        self.assertEqual(set(self.tokens.scopes), {"https://mail.google.com/"})
        self.assertIn("method=XOAUTH2", self.log())
        self.assertNotIn("ya29", done.out + done.err)
        self.moved(batch)

    def test_oauthbearer(self):
        batch = self.service_account(self.made()).set("source", "auth", "oauthbearer")
        self.ends(batch.call("run"), 0)
        self.assertIn("method=OAUTHBEARER", self.log())
        self.moved(batch)

    def test_a_refresh_token_a_user(self):
        self.tokens.refresh = {"1//%s" % u: u for u in self.USERS}
        batch = self.made().set("source", "client-id", "app-1")
        batch.passwords = {u: "1//%s" % u for u in self.USERS}
        self.ends(batch.call("run"), 0)
        self.assertEqual({r["client_id"] for r in self.tokens.requests}, {"app-1"})
        self.moved(batch)

    def test_a_refresh_token_that_is_no_longer_good_costs_its_user(self):
        self.tokens.refresh = {"1//%s" % self.USERS[0]: self.USERS[0]}
        batch = self.made().set("source", "client-id", "app-1")
        batch.passwords = {u: "1//%s" % u for u in self.USERS}
        self.ends(batch.call("run"), 3)
        users = {u["user_name"]: u for u in self.balanced(batch.report())["users"]}
        self.assertEqual(users[self.USERS[0]]["state"], "Synced")
        self.assertEqual(users[self.USERS[1]]["failure"], "TokenFailed")
        self.assertIn("expired or revoked", str(users[self.USERS[1]]["failures"]))

    def test_a_stop_while_a_token_is_on_its_way(self):
        """The answer comes when the loop that asked is gone."""
        batch = self.service_account(self.made())
        self.ends(batch.call("run"), 0)
        self.tokens.talks.clear()
        self.tokens.asked.clear()
        running = batch.start("verify")
        self.assertTrue(self.tokens.asked.wait(60), running.text())
        running.signal(signal.SIGTERM)
        done = running.wait(60)
        self.assertGreaterEqual(done.code, 0, str(done))
        self.assertNotIn("Sanitizer", done.err)

    def test_the_token_server_is_verified(self):
        other = servers.Authority("Another CA")
        batch = self.service_account(self.made())
        # The pin lets the mail server through, so only the token server's issuer is in question.
        text = subprocess.run(["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in",
                               self.source.folder + "/server.pem"], stdout=subprocess.PIPE,
                              text=True, check=True).stdout
        batch.set("source", "tls-ca", other.ca)
        batch.set("source", "tls-fingerprint", text.strip().split("=")[1].replace(":", ""))
        done = batch.call("run")
        self.assertNotEqual(done.code, 0)
        self.assertEqual(self.tokens.requests, [], "nothing was sent to a server nobody vouches for")
        self.assertIn("TokenFailed", done.err)

    def test_a_token_for_somebody_else_is_refused(self):
        self.tokens.refresh = {"1//%s" % u: "somebody@school.example" for u in self.USERS}
        batch = self.made().set("source", "client-id", "app-1")
        batch.passwords = {u: "1//%s" % u for u in self.USERS}
        self.ends(batch.call("run"), 77)
        self.assertEqual({u["failure"] for u in batch.report()["users"]}, {"LoginFailed"})

    def test_check_tells_a_missing_delegation(self):
        batch = self.service_account(self.made())
        steps = {s["step"]: s for s in
                 self.ends(batch.call("check", "--source", "--json"), 0).json()["steps"]}
        self.assertIn("service account", steps["token"]["detail"])
        self.assertTrue(steps["login"]["ok"])
        self.tokens.refusal = 401, {"error": "unauthorized_client", "error_description":
                                    "Client is unauthorized to retrieve access tokens using this method"}
        step = {s["step"]: s for s in self.ends(batch.call("check", "--source", "--json"),
                                                77).json()["steps"]}["token"]
        self.assertEqual(step["type"], "TokenFailed")
        self.assertIn("Domain-wide delegation", step["remedy"])
        self.assertIn("https://mail.google.com/", step["remedy"])

    def test_check_never_sends_a_refresh_token_as_a_password(self):
        batch = self.made().set("source", "client-id", "app-1")
        batch.passwords = {u: "1//" + u for u in self.USERS}
        done = self.ends(batch.call("check", "--source", "--json"), 77)
        self.assertEqual([s["step"] for s in done.json()["steps"] if not s["ok"]], ["token"])
        self.assertNotRegex(self.log(), r"auth failed, \d+ attempts.*user=<anna@school")
