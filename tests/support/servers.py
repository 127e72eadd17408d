"""Throw-away IMAP servers for the tests and the demo: Dovecot and Cyrus on 127.0.0.1.

Each server keeps everything in one temporary folder, listens on free ports, and is gone after
stop(). It runs as the user who calls, or as `nobody` when that is root, so that one and the same
configuration serves both; mail is written without fsync, for these servers' mail is not precious.

    with Dovecot(users={"anna": "secret"}) as server:
        server.seed("anna", mail.mailbox(1, 300))
        with server.connect("anna") as mailbox: ...

Every server has .host .port_tls .port_plain (STARTTLS) .ca .users {name: password}.
"""

import atexit
import grp
import os
import pwd
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import imap
import maildir

HOST = "127.0.0.1"
START_LIMIT_S = 30
NAMES, DAYS = "DNS:localhost,IP:127.0.0.1", 30  # what a certificate is for, and how long

# What Dovecot 2.3 announces after login; capability_drop takes words out of it.
DOVECOT_CAPABILITY = (
    "IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE SORT THREAD=REFERENCES MULTIAPPEND "
    "URL-PARTIAL CATENATE UNSELECT CHILDREN NAMESPACE UIDPLUS LIST-EXTENDED I18NLEVEL=1 CONDSTORE "
    "QRESYNC ESEARCH ESORT SEARCHRES WITHIN CONTEXT=SEARCH LIST-STATUS BINARY MOVE STATUS=SIZE "
    "SAVEDATE LITERAL+ SPECIAL-USE")
# Where scripts/packages unpacks the servers that cannot be installed beside Dovecot.
UNPACKED = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "mailhaul")
CYRUS_IMAPD = ["/usr/lib/cyrus/bin/imapd", UNPACKED + "/cyrus-imapd/usr/lib/cyrus/bin/imapd"]

_running = []
_ca = None
_killed_s = 0.0  # processor seconds of servers' processes that nobody waited for


def processor_s():
    """What this process, all that it waited for and the servers that it ended have used so far."""
    for server in list(_running):
        server.stop()
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used) + _killed_s


class ServerError(Exception):
    pass


def _stop_all():
    for server in list(_running):
        server.stop()


atexit.register(_stop_all)


def account():
    """(user, group) the servers run as."""
    if os.geteuid() == 0:
        user = pwd.getpwnam("nobody")
    else:
        user = pwd.getpwuid(os.geteuid())
    return user.pw_name, grp.getgrgid(user.pw_gid).gr_name


def identity():
    """(uid, gid) of that account."""
    user, group = account()
    return pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid


def hand_over(path):
    """Gives a file or a whole folder to the account the servers run as."""
    if os.geteuid() != 0:
        return
    user = pwd.getpwnam("nobody")
    os.lchown(path, user.pw_uid, user.pw_gid)
    for folder, folders, files in os.walk(path):
        for name in folders + files:
            os.lchown(os.path.join(folder, name), user.pw_uid, user.pw_gid)


def new_folder(prefix):
    """A temporary folder whose path is short enough for a Unix socket within it."""
    base = tempfile.gettempdir()
    if len(base) > 40 or os.geteuid() == 0 and not os.stat(base).st_mode & 0o001:
        base = "/tmp"
    return tempfile.mkdtemp(prefix=prefix, dir=base)


_ports_given = set()


def free_port():
    """A port nobody listens on. Taken below the range from which the kernel picks the local ports
    of outgoing connections: those would take it between this moment and the server's start."""
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
            low = int(f.read().split()[0])
    except OSError:
        low = 32768
    first = low - 20000 if low > 22000 else 1100
    start = first + os.getpid() * 37 % 10000
    for i in range(15000):
        port = first + (start - first + i) % 15000
        if port in _ports_given:
            continue
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind((HOST, port))
            except OSError:
                continue
        _ports_given.add(port)
        return port
    raise ServerError("no free port")


def listens(port):
    try:
        socket.create_connection((HOST, port), 5).close()
        return True
    except OSError:
        return False


def openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise ServerError("openssl %s: %s" % (arguments[0], done.stdout.decode()))


def processor_of(pid):
    """Processor seconds of a process and of its children that have ended."""
    try:
        with open("/proc/%d/stat" % pid, "rb") as f:
            fields = f.read().rsplit(b")", 1)[1].split()
    except OSError:
        return 0.0
    return sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")


class Authority:
    """A certificate authority in a folder of its own. .ca is its certificate's file."""

    def __init__(self, name="Test CA"):
        self.folder = new_folder("mhca")
        self.issued, self.maker = {}, os.getpid()
        atexit.register(self.remove)
        os.chmod(self.folder, 0o755)
        self.ca, self.key = self.folder + "/ca.pem", self.folder + "/ca.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-days", "30", "-subj", "/CN=" + name, "-keyout", self.key, "-out", self.ca,
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, folder, names=NAMES, days=DAYS):
        """Writes folder/server.pem and server.key for these names. The same for the same names and days: to make
        them costs more than to start many a server."""
        made = self.issued.get((names, days)) or self.make(names, days)
        self.issued[names, days] = made
        shutil.copy(made + ".pem", folder + "/server.pem")
        shutil.copy(made + ".key", folder + "/server.key")
        os.chmod(folder + "/server.key", 0o600)

    def make(self, names, days):
        made = "%s/%d-%d" % (self.folder, os.getpid(), len(self.issued))
        with open(made + ".ext", "w") as f:
            f.write("subjectAltName=%s\nextendedKeyUsage=serverAuth\n" % names)
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-subj", "/CN=localhost", "-keyout", made + ".key", "-out", made + ".csr")
        # Its number is drawn: a file of numbers would be written by several processes at once.
        openssl("x509", "-req", "-in", made + ".csr", "-CA", self.ca, "-CAkey", self.key,
                "-set_serial", "0x" + os.urandom(8).hex(), "-days", str(days), "-extfile", made + ".ext",
                "-out", made + ".pem")
        os.chmod(made + ".key", 0o600)
        return made

    def remove(self):
        if os.getpid() == self.maker:  # not in a process that was forked off
            shutil.rmtree(self.folder, True)


def authority():
    """The authority all servers of this process, and of those that it forks off, share."""
    global _ca
    if _ca is None:
        _ca = Authority()
        _ca.issued[NAMES, DAYS] = _ca.make(NAMES, DAYS)
    return _ca


class Server:
    kind = ""

    def __init__(self, users, authority_used=None, names=NAMES):
        self.users = dict(users)
        self.host = "localhost"
        self.folder = new_folder("mh" + self.kind[0])
        self.port_tls, self.port_plain = free_port(), free_port()
        self.authority = authority_used or authority()
        self.ca = self.authority.ca
        self.process = None
        self.authority.issue(self.folder, names)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def spawn(self, command):
        hand_over(self.folder)
        extra = {}
        if os.geteuid() == 0:
            extra = {"user": "nobody", "group": grp.getgrgid(pwd.getpwnam("nobody").pw_gid).gr_gid,
                     "extra_groups": []}
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TZ": "UTC", "LANG": "C.UTF-8"}
        with open(self.folder + "/output.log", "ab") as output:
            try:
                return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                                        stderr=output, cwd=self.folder, env=environment,
                                        start_new_session=True, **extra)
            except PermissionError as error:
                raise ServerError("%s: %s may not run it or stand in %s: is each folder on the way "
                                  "open to others (also /)?" % (error, extra.get("user", "you"),
                                                                self.folder)) from error

    def command(self):
        raise NotImplementedError

    def start(self):
        self.process = self.spawn(self.command())
        _running.append(self)
        limit = time.monotonic() + START_LIMIT_S
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > limit:
                text = self.log_text()
                self.stop()
                raise ServerError("%s did not start:\n%s" % (self.kind, text))
            time.sleep(0.05)
        return self

    def answers(self):
        try:
            with socket.create_connection((HOST, self.port_plain), 5) as s:
                return s.recv(4) == b"* OK"
        except OSError:
            return False

    def halt(self, gently=True):
        """Stops the processes and keeps the mail; start() brings the server back."""
        global _killed_s
        if self.process is None:
            return
        if gently and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                pass
        # Children of the session that outlived their master would keep the port.
        for pid in self.processes():
            try:
                if pid != self.process.pid:
                    _killed_s += processor_of(pid)
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        self.process = None
        if self in _running:
            _running.remove(self)

    def processes(self):
        """Live processes of this server's session."""
        found = []
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    with open("/proc/%s/stat" % name, "rb") as f:
                        fields = f.read().rsplit(b")", 1)[1].split()
                except OSError:
                    continue
                if int(fields[3]) == self.process.pid and fields[0] != b"Z":
                    found.append(int(name))
        return found

    def stop(self):
        self.halt(gently=False)  # nothing of it is needed any more, and this takes no second
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        if kind is not None and not issubclass(kind, KeyboardInterrupt):
            sys.stderr.write("--- log of %s\n%s\n" % (self.kind, self.log_text()))
        self.stop()

    def log_text(self, lines=40):
        text = []
        for name in ("output.log", "server.log"):
            try:
                with open(os.path.join(self.folder, name), errors="replace") as f:
                    text += f.read().splitlines()[-lines:]
            except OSError:
                pass
        return "\n".join(text)

    def connect(self, user):
        return imap.Mailbox(self.host, self.port_tls, user, self.users[user], self.ca)

    def url(self, tls=True):
        return "imaps://%s:%d" % (self.host, self.port_tls) if tls else (
            "imap://%s:%d" % (self.host, self.port_plain))

    def seed(self, user, folders):
        """Puts {path: [messages]} into a user's mailbox over IMAP."""
        with self.connect(user) as mailbox:
            there = mailbox.folders()
            for path, messages in folders.items():
                if path != ("INBOX",) and path not in there:
                    mailbox.create(path)
                mailbox.append(path, messages)


class Dovecot(Server):
    """format: maildir, mbox, sdbox, or mdbox (by far the fastest to fill). separator and prefix: of the one private namespace.
    special_use: {role without backslash: folder}. capability_drop: words not announced.
    masters: {name: password}, log in as user*name or by SASL PLAIN with an authzid.
    quota: bytes a user. extra: more lines of dovecot.conf."""

    kind = "dovecot"

    def __init__(self, users, format="sdbox", separator="/", prefix="", special_use=None,
                 capability_drop=(), masters=None, connections_per_user=100, quota=None,
                 tls_required=False, mechanisms="plain login cram-md5 scram-sha-256", extra="",
                 **more):
        super().__init__(users, **more)
        self.format, self.separator, self.prefix = format, separator, prefix
        self.special_use = special_use if special_use is not None else {
            "Drafts": "Drafts", "Sent": "Sent", "Trash": "Trash", "Junk": "Junk"}
        self.capability_drop, self.masters = capability_drop, dict(masters or {})
        self.connections_per_user, self.quota = connections_per_user, quota
        self.tls_required, self.mechanisms, self.extra = tls_required, mechanisms, extra

    def home(self, user):
        return os.path.join(self.folder, "mail", user)

    def command(self):
        os.makedirs(self.folder + "/mail", exist_ok=True)
        user, group = account()
        location = {"maildir": "maildir:~/Maildir", "sdbox": "sdbox:~/sdbox",
                    "mdbox": "mdbox:~/mdbox", "mbox": "mbox:~/mbox"}[self.format]
        passwords = "".join("%s:{PLAIN}%s\n" % pair for pair in self.users.items())
        masters = "".join("%s:{PLAIN}%s\n" % pair for pair in self.masters.items())
        folders = "".join(
            '  mailbox "%s" {\n    auto = create\n    special_use = \\%s\n  }\n' % (name, role)
            for role, name in self.special_use.items())
        announced = ""
        if self.capability_drop:
            announced = "imap_capability = " + " ".join(
                word for word in DOVECOT_CAPABILITY.split() if word not in self.capability_drop)
        quota = ""
        if self.quota:
            quota = ("protocol imap {\n  mail_plugins = quota imap_quota\n}\n"
                     "plugin {\n  quota = count:User quota\n  quota_vsizes = yes\n"
                     "  quota_grace = 0\n  quota_rule = *:bytes=%d\n}\n" % self.quota)
        text = """
protocols = imap
listen = %(host)s
base_dir = %(folder)s/run
state_dir = %(folder)s/state
log_path = %(folder)s/server.log
instance_name = %(folder)s
default_internal_user = %(user)s
default_internal_group = %(group)s
default_login_user = %(user)s
shutdown_clients = yes
ssl = %(ssl)s
ssl_cert = <%(folder)s/server.pem
ssl_key = <%(folder)s/server.key
ssl_min_protocol = TLSv1.2
disable_plaintext_auth = %(disable_plain)s
auth_mechanisms = %(mechanisms)s
auth_master_user_separator = *
auth_verbose = yes
# All characters: names may be UTF-8.
auth_username_chars =
auth_failure_delay = 0
# A burst of logins from one address is what a migration is; the penalty would only slow tests.
service anvil {
  chroot =
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
mail_location = %(location)s
mail_fsync = never
# Otherwise Dovecot's own formats drop one CR of CR CR LF, and broken mail would not compare.
mail_save_crlf = yes
mail_max_userip_connections = %(connections)d
mail_max_keyword_length = 100
maildir_stat_dirs = no
first_valid_uid = 1
%(announced)s
passdb {
  driver = passwd-file
  args = %(folder)s/masters
  master = yes
  result_success = continue
}
passdb {
  driver = passwd-file
  args = username_format=%%u %(folder)s/passwords
}
userdb {
  driver = static
  args = uid=%(user)s gid=%(group)s home=%(folder)s/mail/%%u
}
namespace inbox {
  inbox = yes
  separator = %(separator)s
  prefix = %(prefix)s
%(folders)s}
service imap-login {
  chroot =
  service_count = 0
  process_min_avail = 1
  process_limit = 4
  client_limit = 2000
  inet_listener imap {
    port = %(port_plain)d
  }
  inet_listener imaps {
    port = %(port_tls)d
    ssl = yes
  }
}
# A process is used again for the next login: starting one costs more than a short session.
service imap {
  service_count = 1000
  process_limit = 2000
}
service auth {
  client_limit = 20000
}
service stats {
  chroot =
}
%(quota)s
%(extra)s
""" % {"host": HOST, "folder": self.folder, "user": user, "group": group,
            "ssl": "required" if self.tls_required else "yes",
            "disable_plain": "yes" if self.tls_required else "no", "mechanisms": self.mechanisms,
            "location": location, "connections": self.connections_per_user,
            "announced": announced, "separator": self.separator, "prefix": self.prefix,
            "folders": folders, "port_plain": self.port_plain, "port_tls": self.port_tls,
            "quota": quota, "extra": self.extra}
        self.write("dovecot.conf", text)
        self.write("passwords", passwords)
        self.write("masters", masters)
        return ["dovecot", "-F", "-c", self.folder + "/dovecot.conf"]

    def add_user(self, user, password):
        """Users may be added while the server runs."""
        self.users[user] = password
        path = self.write("passwords",
                          "".join("%s:{PLAIN}%s\n" % pair for pair in self.users.items()))
        hand_over(path)
        # Dovecot looks at the file at most once a second, and a login just now may have been that.
        time.sleep(1.1)

    def seed(self, user, folders):
        """As Server.seed; straight to disk for a Maildir user without mail yet."""
        home = self.home(user)
        if self.format != "maildir" or os.path.exists(home + "/Maildir"):
            return super().seed(user, folders)
        os.makedirs(home, mode=0o700)
        maildir.write(home + "/Maildir", folders)
        hand_over(home)

    def doveadm(self, *arguments, data=None):
        done = subprocess.run(["doveadm", "-c", self.folder + "/dovecot.conf", *arguments],
                              input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode != 0:
            raise ServerError("doveadm %s: %s" % (" ".join(arguments), done.stderr.decode()))
        return done.stdout.decode()


class Cyrus(Server):
    """separator: "/" or ".". User names must not hold the separator's other meaning: keep to
    letters and digits. The INBOX namespace is Cyrus's own (INBOX.Sent) unless altnamespace. Without
    autocreate a user has no mailbox before somebody makes it."""

    kind = "cyrus"

    def __init__(self, users, separator=".", altnamespace=False, autocreate=True, extra="", **more):
        super().__init__(users, **more)
        self.separator, self.altnamespace, self.extra = separator, altnamespace, extra
        self.autocreate = autocreate

    @staticmethod
    def available():
        return os.path.exists("/usr/sbin/cyrmaster") and any(
            os.access(path, os.X_OK) for path in CYRUS_IMAPD)

    def command(self):
        for name in ("conf", "conf/db", "conf/socket", "conf/log", "conf/msg", "conf/proc",
                     "conf/lock", "conf/sieve", "conf/quota", "conf/user", "mail"):
            os.makedirs(os.path.join(self.folder, name), exist_ok=True)
        # The account the server runs as may not be allowed to look into the cache folder.
        source = next(path for path in CYRUS_IMAPD if os.access(path, os.X_OK))
        shutil.copy(source, self.folder + "/imapd")
        user, _ = account()
        self.write("imapd.conf", """
cyrus_user: %(user)s
configdirectory: %(folder)s/conf
partition-default: %(folder)s/mail
defaultpartition: default
proc_path: %(folder)s/conf/proc
mboxname_lockpath: %(folder)s/conf/lock
idlesocket: %(folder)s/conf/socket/idle
notifysocket: %(folder)s/conf/socket/notify
lmtpsocket: %(folder)s/conf/socket/lmtp
sievedir: %(folder)s/conf/sieve
admins: cyradmin
proxyservers: cyradmin
unixhierarchysep: %(unix)s
altnamespace: %(alt)s
allowplaintext: yes
sasl_mech_list: PLAIN LOGIN
# The password is not what these tests try; libsasl's own store would need another package.
sasl_pwcheck_method: alwaystrue
tls_server_cert: %(folder)s/server.pem
tls_server_key: %(folder)s/server.key
tls_client_ca_file: %(ca)s
tls_client_certs: off
autocreate_quota: %(autocreate)d
autocreate_users: anyone
autocreate_inbox_folders: Sent | Drafts | Trash | Junk
autocreate_subscribe_folders: Sent | Drafts | Trash | Junk
xlist-sent: Sent
xlist-drafts: Drafts
xlist-trash: Trash
xlist-junk: Junk
conversations: no
duplicatesuppression: no
maxlogins_per_host: 0
popminpoll: 0
syslog_prefix: mhcyrus
%(extra)s
""" % {"user": user, "folder": self.folder, "ca": self.ca, "extra": self.extra,
            "autocreate": 0 if self.autocreate else -1,
            "unix": "yes" if self.separator == "/" else "no",
            "alt": "yes" if self.altnamespace else "no"})
        self.write("cyrus.conf", """
START {
  recover cmd="/usr/lib/cyrus/bin/ctl_cyrusdb -C %(folder)s/imapd.conf -r"
}
SERVICES {
  imap cmd="%(folder)s/imapd -C %(folder)s/imapd.conf" listen="%(host)s:%(plain)d" prefork=1
  imaps cmd="%(folder)s/imapd -C %(folder)s/imapd.conf -s" listen="%(host)s:%(tls)d" prefork=1
}
EVENTS {
}
""" % {"folder": self.folder, "host": HOST, "plain": self.port_plain, "tls": self.port_tls})
        return ["/usr/sbin/cyrmaster", "-C", self.folder + "/imapd.conf",
                "-M", self.folder + "/cyrus.conf", "-p", self.folder + "/master.pid"]
