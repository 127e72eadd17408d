"""Courier and GNU Mailutils' imap4d: servers that Debian does not let stand beside Dovecot.

scripts/packages unpacks their packages; here they are copied into the folder of each server, run
from there as any other (servers.py), and find their libraries and, by elsewhere.c, their folders
below it. Nothing of them is installed and nothing of this machine is touched.
"""

import glob
import os
import shutil
import subprocess

import imap
import servers
from servers import HOST, Server, ServerError

HERE = os.path.dirname(os.path.abspath(__file__))


def crypted(password):
    """As crypt(3) takes it."""
    return subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=password.encode(), check=True,
                          stdout=subprocess.PIPE).stdout.decode().strip()


class Unpacked(Server):
    witness = ""  # a file that shows that the package is there

    def __init__(self, users, extra="", **more):
        super().__init__(users, **more)
        self.extra = extra
        # The account the server runs as may not be allowed to look into the cache folder.
        shutil.copytree(os.path.join(servers.UNPACKED, self.kind), self.folder + "/root",
                        symlinks=True)
        root = self.folder + "/root"
        self.libraries = ":".join(glob.glob(root + "/usr/lib/*-linux-gnu") +
                                  glob.glob(root + "/lib/*-linux-gnu") + [
                                      root + "/usr/lib", root + "/usr/lib/courier-authlib"])
        with open(self.folder + "/both.pem", "wb") as both:
            for name in ("server.key", "server.pem"):
                with open(os.path.join(self.folder, name), "rb") as f:
                    both.write(f.read())
        os.chmod(self.folder + "/both.pem", 0o600)

    @classmethod
    def available(cls):
        return os.path.exists(os.path.join(servers.UNPACKED, cls.kind, cls.witness))

    def tool(self, name, *arguments, data=""):
        """Runs a program of the package; its output."""
        done = subprocess.run([self.folder + "/root" + name, *arguments], input=data.encode(),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env={"LD_LIBRARY_PATH": self.libraries, "PATH": "/usr/bin:/bin"})
        if done.returncode != 0:
            raise ServerError("%s: %s" % (name, done.stderr.decode()))
        return done.stdout.decode().strip()


class Courier(Unpacked):
    """INBOX. before all names, the delimiter a dot. Logins: PLAIN, CRAM-MD5, LOGIN; capability
    replaces its words. per_address: connections from one address."""

    kind = "courier"
    witness = "usr/bin/imapd"
    WORDS = ("IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT THREAD=REFERENCES SORT "
             "QUOTA IDLE AUTH=CRAM-MD5 AUTH=PLAIN")

    def __init__(self, users, capability=WORDS, per_address=200, **more):
        super().__init__(users, **more)
        self.capability, self.per_address = capability, per_address

    def home(self, user):
        return os.path.join(self.folder, "mail", user)

    def table(self, name, rows):
        """A GDBM file of userdb."""
        path = self.folder + "/elsewhere/etc/courier/" + name
        self.tool("/usr/lib/courier/courier-authlib/makedatprog", "-", path + ".tmp", path,
                  data="".join("%s\t%s\n" % row for row in rows) + ".\n")

    def command(self):
        folder = self.folder
        for name in ("etc/courier", "run/courier/authdaemon", "usr/lib"):
            os.makedirs(os.path.join(folder, "elsewhere", name), exist_ok=True)
        modules = folder + "/elsewhere/usr/lib/courier-authlib"
        if not os.path.lexists(modules):
            os.symlink(folder + "/root/usr/lib/courier-authlib", modules)
        done = subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", "-U_FORTIFY_SOURCE",
                               HERE + "/elsewhere.c", "-o", folder + "/elsewhere.so"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            raise ServerError("elsewhere.c: " + done.stdout.decode())
        uid, gid = servers.identity()
        accounts, secrets = [], []
        for name, password in self.users.items():
            for part in ("cur", "new", "tmp"):
                os.makedirs(self.home(name) + "/Maildir/" + part, mode=0o700, exist_ok=True)
            accounts.append((name, "uid=%d|gid=%d|home=%s|mail=%s/Maildir" % (
                uid, gid, self.home(name), self.home(name))))
            secrets.append((name, "systempw=%s|hmac-md5pw=%s" % (crypted(password), self.tool(
                "/usr/sbin/userdbpw", "-hmac-md5", data=password + "\n"))))
        self.table("userdb.dat", accounts)
        self.table("userdbshadow.dat", secrets)
        self.write("elsewhere/etc/courier/authdaemonrc", 'authmodulelist="authuserdb"\n'
                   'authmodulelistorig="authuserdb"\ndaemons=5\n'
                   'authdaemonvar=/run/courier/authdaemon\nDEBUG_LOGIN=0\nDEFAULTOPTIONS=""\n')
        # What Debian's imapd and imapd-ssl set, where it is not their default.
        self.write("start", """
set -a
PATH=/usr/sbin:/usr/bin:/sbin:/bin
. %(folder)s/elsewhere/etc/courier/authdaemonrc
IMAP_CAPABILITY="%(words)s"
IMAP_CAPABILITY_TLS="%(words)s"
IMAP_KEYWORDS=1
IMAP_ACL=1
IMAP_IDLE_TIMEOUT=60
IMAP_MAILBOX_SANITY_CHECK=1
IMAP_CHECK_ALL_FOLDERS=0
IMAP_OBSOLETE_CLIENT=0
IMAP_USELOCKS=1
IMAP_ENHANCEDIDLE=0
IMAP_TRASHFOLDERNAME=Trash
IMAP_MOVE_EXPUNGE_TO_TRASH=0
MAXDAEMONS=2000
COURIERTLS=%(folder)s/root/usr/bin/couriertls
TLS_CERTFILE=%(folder)s/both.pem
TLS_VERIFYPEER=NONE
%(extra)s
LD_LIBRARY_PATH=%(libraries)s
ELSEWHERE=%(folder)s/elsewhere
LD_PRELOAD=%(folder)s/elsewhere.so
%(folder)s/root/usr/lib/courier/courier-authlib/authdaemond &
tcpd="%(folder)s/root/usr/sbin/couriertcpd -address=%(host)s -maxprocs=2000 -maxperip=%(limit)d
 -nodnslookup -noidentlookup"
imapd="%(folder)s/root/usr/lib/courier/courier/imaplogin %(folder)s/root/usr/bin/imapd Maildir"
IMAP_STARTTLS=YES $tcpd %(plain)d $imapd &
IMAP_TLS=1 $tcpd %(tls)d $COURIERTLS -server -tcpd $imapd &
wait
""" % {"folder": folder, "words": self.capability, "extra": self.extra, "host": HOST,
            "libraries": self.libraries, "limit": self.per_address, "plain": self.port_plain,
            "tls": self.port_tls})
        return ["/bin/sh", folder + "/start"]

    def answers(self):
        return (os.path.exists(self.folder + "/elsewhere/run/courier/authdaemon/socket") and
                super().answers() and servers.listens(self.port_tls))


class Mailutils(Unpacked):
    """imap4d. Users are NAME@DOMAIN. format: mbox (its own) or maildir, of all mailboxes. inbox:
    each user has one, as when mail has come; without it imap4d takes none by APPEND."""

    kind = "mailutils"
    witness = "usr/sbin/imap4d"

    def __init__(self, users, format="mbox", inbox=True, **more):
        super().__init__(users, **more)
        self.format, self.inbox = format, inbox

    def home(self, user):
        return os.path.join(self.folder, "mail", user)

    def command(self):
        folder = self.folder
        uid, gid = servers.identity()
        os.makedirs(folder + "/domains", exist_ok=True)
        domains = {}
        for user, password in self.users.items():
            name, _, domain = user.partition("@")
            os.makedirs(self.home(user), mode=0o700, exist_ok=True)
            if self.inbox:
                self.make_inbox(self.home(user) + "/INBOX")
            domains.setdefault(domain, []).append("%s:%s:%d:%d::%s:/bin/false\n" % (
                name, crypted(password), uid, gid, self.home(user)))
        for domain, rows in domains.items():
            self.write("domains/" + domain, "".join(rows))
        self.write("imap4d.conf", """
foreground yes;
mode daemon;
max-children 2000;
pidfile %(folder)s/pid;
logging { syslog no; print-severity yes; };
tcp-wrappers { enable no; };
auth { authentication "virtdomain:generic"; authorization "virtdomain"; };
virtdomain { passwd-dir %(folder)s/domains; };
mailbox { mailbox-type %(format)s; };
namespace personal { prefix "" {
  directory "$home/mail"; delimiter "/"; mailbox-type %(format)s; }; };
tls {
  ssl-certificate-file %(folder)s/server.pem;
  ssl-key-file %(folder)s/server.key;
  ssl-ca-file %(ca)s;
};
%(extra)s
server %(host)s:%(plain)d { tls-mode ondemand; };
server %(host)s:%(tls)d { tls-mode connection; };
""" % {"folder": folder, "format": self.format, "ca": self.ca, "extra": self.extra, "host": HOST,
            "plain": self.port_plain, "tls": self.port_tls})
        return ["/usr/bin/env", "LD_LIBRARY_PATH=" + self.libraries,
                folder + "/root/usr/sbin/imap4d", "--config-file=%s/imap4d.conf" % folder]

    def make_inbox(self, path):
        if self.format == "mbox":
            open(path, "a").close()
        else:
            for part in ("cur", "new", "tmp"):
                os.makedirs(os.path.join(path, part), mode=0o700, exist_ok=True)

    def connect(self, user):
        # Its OK to AUTHENTICATE ends in a bare LF, which is more than imaplib can bear.
        return imap.Mailbox(self.host, self.port_tls, user, self.users[user], self.ca, sasl=False)

    def answers(self):
        return super().answers() and servers.listens(self.port_tls)
