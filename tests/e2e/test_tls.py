"""What can be wrong with TLS: each fault named by `check`, with what to do, and nothing sent."""

import os
import ssl
import socket
import threading
import time

import servers
from haul import Case, Running

CONFIG = """[ca]
default_ca = d
[d]
database = %(f)s/index.txt
serial = %(f)s/serial
new_certs_dir = %(f)s
certificate = %(ca)s
private_key = %(key)s
default_md = sha256
default_crl_days = 5
policy = p
unique_subject = no
copy_extensions = copy
[p]
commonName = supplied
"""


def day(offset):
    return time.strftime("%Y%m%d000000Z", time.gmtime(time.time() + offset * 86400))


class Tls(Case):
    def setUp(self):
        super().setUp()
        self.heard = []
        self.authority = servers.authority()
        with open(self.folder + "/index.txt", "w"), open(self.folder + "/serial", "w") as serial:
            serial.write("1000\n")
        self.config = self.folder + "/ca.conf"
        with open(self.config, "w") as f:
            f.write(CONFIG % {"f": self.folder, "ca": self.authority.ca, "key": self.authority.key})

    def certificate(self, name, alt="DNS:localhost,IP:127.0.0.1", from_day=-1, to_day=10, own=False):
        """(certificate file, key file)."""
        base = os.path.join(self.folder, name)
        request = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                   "/CN=" + name, "-addext", "subjectAltName=" + alt, "-keyout", base + ".key"]
        if own:
            servers.openssl(*request, "-x509", "-days", "10", "-out", base + ".pem")
        else:
            servers.openssl(*request, "-out", base + ".csr")
            servers.openssl("ca", "-batch", "-config", self.config, "-in", base + ".csr", "-out",
                            base + ".pem", "-notext", "-startdate", day(from_day), "-enddate",
                            day(to_day))
        return base + ".pem", base + ".key"

    def serve(self, pair, newest=None, weak=None):
        """The port of a TLS server that greets and keeps what it hears behind the handshake."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        if newest:
            context.maximum_version = newest
        if weak:
            context.set_ciphers("DHE-RSA-AES256-GCM-SHA384:@SECLEVEL=0")
            context.load_dh_params(weak)
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def talk(peer):
            try:
                with context.wrap_socket(peer, server_side=True) as tls:
                    tls.sendall(b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hello\r\n")
                    for line in tls.makefile("rb"):
                        self.heard.append(line)
                        tls.sendall(line.split()[0] + b" NO [AUTHENTICATIONFAILED] no\r\n")
            except (OSError, ValueError):
                pass

        def accept():
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=talk, args=(peer,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return listener.getsockname()[1]

    def failed_step(self, port, code=69, host="localhost", **keys):
        path = self.folder + "/batch.ini"
        keys = {"tls-ca": self.authority.ca, **{k.replace("_", "-"): v for k, v in keys.items()}}
        with open(path, "w") as f:
            f.write("[batch]\nusers = users.csv\n[source]\nurl = imaps://%s:%d\n" % (host, port))
            f.writelines("%s = %s\n" % pair for pair in keys.items() if pair[1])
            f.write("[target]\npreset = imap\nurl = imaps://localhost:1\n")
        with open(os.open(self.folder + "/users.csv", os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
            f.write("EmailAddress,UserName,Password,TargetPassword\na@x.example,a,pw-1,pw-2\n")
        done = self.ends(Running(["check", "--source", "--json", path], self.folder).wait(60), code)
        return [s for s in done.json()["steps"] if not s["ok"]][0]

    def refused(self, port, *words, **keys):
        step = self.failed_step(port, **keys)
        self.assertEqual((step["step"], step["type"]), ("tls", "TlsFailed"), step)
        for word in words:
            self.assertIn(word, step["detail"])
        self.assertTrue(step["cause"] and step["remedy"])
        self.assertEqual(self.heard, [], "nothing was said to a server that is not verified")

    def test_expired(self):
        self.refused(self.serve(self.certificate("late", from_day=-20, to_day=-10)), "CN=late",
                     "expired on " + time.strftime("%Y", time.gmtime(time.time() - 864000)), "renew")

    def test_not_yet_valid(self):
        self.refused(self.serve(self.certificate("early", from_day=5)), "not valid before", "clocks")

    def test_for_another_name(self):
        self.refused(self.serve(self.certificate("other", alt="DNS:mail.example,DNS:imap.example")),
                     "not for localhost", "mail.example, imap.example")

    def test_of_an_unknown_issuer(self):
        other = servers.Authority("Another CA")
        self.refused(self.serve(self.certificate("a")), "CN=Test CA", "tls-ca", tls_ca=other.ca)

    def test_self_signed(self):
        self.refused(self.serve(self.certificate("own", own=True)), "self-signed", "tls-fingerprint",
                     "administrator")

    def test_the_fingerprint_told_is_the_one_to_trust(self):
        port = self.serve(self.certificate("own", own=True))
        told = self.failed_step(port)["detail"].split("SHA-256 ")[1][:64]
        step = self.failed_step(port, code=77, tls_ca="", tls_fingerprint=told)
        self.assertEqual(step["step"], "login")
        self.assertTrue(self.heard)

    def test_revoked(self):
        pair = self.certificate("revoked")
        crl = self.folder + "/crl.pem"
        servers.openssl("ca", "-config", self.config, "-gencrl", "-out", crl)
        self.assertEqual(self.failed_step(self.serve(pair), code=77, tls_crl=crl)["step"], "login")
        self.heard.clear()
        servers.openssl("ca", "-config", self.config, "-revoke", pair[0])
        servers.openssl("ca", "-config", self.config, "-gencrl", "-out", crl)
        self.refused(self.serve(pair), "CN=revoked", "revoked", tls_crl=crl)

    def test_a_revocation_list_of_somebody_else(self):
        other = servers.Authority("Another CA")
        crl = self.folder + "/crl.pem"
        servers.openssl("ca", "-config", self.config, "-cert", other.ca, "-keyfile", other.key,
                        "-gencrl", "-out", crl)
        self.refused(self.serve(self.certificate("a")), "no revocation list", "Test CA", tls_crl=crl)

    def test_too_old_a_version(self):
        port = self.serve(self.certificate("old"), newest=ssl.TLSVersion.TLSv1_2)
        self.refused(port, "tls-min", tls_min="1.3")
        self.assertEqual(self.failed_step(port, code=77, tls_min="1.2")["step"], "login")

    def test_an_exchange_of_keys_that_is_too_weak(self):
        """The way out that is told works."""
        base, parameters = os.path.join(self.folder, "rsa"), os.path.join(self.folder, "dh.pem")
        servers.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "10", "-subj", "/CN=old", "-addext",
                        "subjectAltName=DNS:localhost", "-keyout", base + ".key", "-out", base + ".pem")
        servers.openssl("genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:modp_1536", "-out", parameters)
        port = self.serve((base + ".pem", base + ".key"), newest=ssl.TLSVersion.TLSv1_2, weak=parameters)
        words = ["too weak", "dh key too small", "tls-security-level"]
        self.refused(port, *words, tls_ca=base + ".pem", tls_security_level="2")
        step = self.failed_step(port, code=77, tls_ca=base + ".pem", tls_security_level="1")
        self.assertEqual(step["step"], "login")

    def test_no_tls_at_all(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def greet():
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer:
                    peer.sendall(b"* OK IMAP4rev1 ready\r\n")
                    peer.recv(1000)

        threading.Thread(target=greet, daemon=True).start()
        self.refused(listener.getsockname()[1], "STARTTLS")


class Scheme(Case):
    """imap:// where the port wants imaps://, and the other way round: said within seconds, by both."""

    def tried(self, url, words):
        batch = self.batch(self.source, self.target, ["anna"])
        batch.sections["source"]["url"] = url
        check = self.ends(batch.call("check", "--source", "--json"), 69).json()
        failed = [s for s in check["steps"] if not s["ok"]]
        self.assertEqual([(s["step"], s["type"]) for s in failed], [("tls", "TlsFailed")])
        self.assertIn(words, failed[0]["detail"])
        self.assertIn("imaps:// or imap://", failed[0]["remedy"])
        self.assertIn(words, self.ends(batch.call("run"), 69).err)

    def setUp(self):
        super().setUp()
        self.source, self.target = self.dovecot(["anna"]), self.target_for(["anna"])

    def test_imap_on_a_port_that_waits_for_tls(self):
        self.tried("imap://localhost:%d" % self.source.port_tls,
                   "port %d wants imaps:// in the url" % self.source.port_tls)

    def test_imaps_on_a_port_that_greets_in_plain_text(self):
        self.tried("imaps://localhost:%d" % self.source.port_plain, "this port may want imap://")
