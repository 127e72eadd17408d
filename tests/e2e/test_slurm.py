"""The job script of scripts/slurm, run as Slurm would run its tasks: nights, kills, nodes, places.

The real thing is scripts/slurm/test; here bash runs the script with what Slurm puts into its environment, and sinfo and
scontrol are stand-ins that write down what they are asked for.
"""

import collections
import csv
import glob
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time

import haul
import mail
from haul import Case, DOMAIN, check_balance
from meddler import Meddler, Rule

SCRIPT = os.path.join(mail.ROOT, "scripts", "slurm", "mailhaul-array.sbatch")
USERS = ["u%02d" % k for k in range(20)]
SHARES = 4
# Slurm's commands: sinfo knows the nodes of the file "up", scontrol only writes down.
STAND_INS = {
    "sinfo": 'while [ "$1" != -n ]; do shift; done; ! grep -qx "$2" "$SLURM_UP" || echo idle',
    "scontrol": 'echo "$*" >>"$SLURM_CALLS"',
}


def share_of(user, shares=SHARES):
    """As settings_user_in_shard divides them."""
    digest = hashlib.sha256(("%s@%s" % (user, DOMAIN)).encode()).digest()
    return int.from_bytes(digest[:8], "big") % shares + 1


class Task:
    """One task of a job array on its way; its output is that of Slurm's --output file."""

    def __init__(self, test, batch, share, shares=SHARES, job=1, words=(), node="n1", restarts=0, **environment):
        self.output = os.path.join(test.folder, "mailhaul-%d-%d.out" % (job, share))
        self.at = os.path.getsize(self.output) if os.path.exists(self.output) else 0
        with open(self.output, "a") as out:
            self.process = subprocess.Popen(
                ["bash", SCRIPT, batch.path, str(shares), *words], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                cwd=test.folder, start_new_session=True,
                env={**os.environ, "TZ": "UTC", "LANG": "C.UTF-8", "MAILHAUL": haul.BINARY, "SPOOL": test.spool,
                     "PATH": test.bin + ":" + os.environ["PATH"], "TMPDIR": os.path.join(test.folder, "tmp-%d" % job),
                     "SLURM_ARRAY_JOB_ID": str(job), "SLURM_ARRAY_TASK_ID": str(share),
                     "SLURM_ARRAY_TASK_COUNT": str(shares), "SLURM_JOB_ID": str(100 * job + share),
                     "SLURM_RESTART_COUNT": str(restarts), "SLURMD_NODENAME": node,
                     "SLURM_UP": test.up, "SLURM_CALLS": test.calls, **environment})
        test.addCleanup(self.end)

    def text(self):
        with open(self.output) as f:
            f.seek(self.at)
            return f.read()

    def program(self):
        """The process number of mailhaul itself, 0 while there is none."""
        for line in subprocess.run(["ps", "-o", "pid=,args=", "-g", str(self.process.pid)],
                                   stdout=subprocess.PIPE, text=True).stdout.splitlines():
            pid, words = line.split(None, 1)
            if words.startswith(haul.BINARY + " run "):
                return int(pid), words
        return 0, ""

    def wait(self):
        self.process.wait(haul.RUN_LIMIT_S * haul.crowd())
        return self

    def end(self):
        """Whatever it left, and the reports that its keeper is about to write."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


class Slurm(Case):
    def setUp(self):
        super().setUp()
        self.spool = os.path.join(self.folder, "spool")
        self.bin = os.path.join(self.folder, "bin")
        self.up, self.calls = (os.path.join(self.folder, name) for name in ("up", "calls"))
        for folder in (self.spool, self.bin):
            os.mkdir(folder)
        for name, text in STAND_INS.items():
            path = os.path.join(self.bin, name)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o755), "w") as f:
                f.write("#!/bin/sh\n%s\n" % text)
        for path in (self.up, self.calls):
            open(path, "w").close()

    def place(self, batch, name=None):
        return os.path.join(self.spool, "mailhaul-" + haul_user(), name or batch.name)

    def over(self, task, code, *words):
        task.wait()
        self.assertEqual(task.process.returncode, code, task.text())
        for word in words:
            self.assertIn(word, task.text())
        return task.text()

    def report(self, *inputs, code=0):
        done = haul.Running(["report", "--json", *inputs], self.folder).wait()
        self.ends(done, code)
        return done

    def account(self, batch):
        """All shares' reports in one, which must balance."""
        done = self.report(*sorted(glob.glob(glob.escape(batch.path[:-4]) + ".share-*.json")))
        self.assertEqual(done.err, "")
        return check_balance(done.json())


def haul_user():
    return subprocess.run(["id", "-un"], stdout=subprocess.PIPE, text=True).stdout.strip()


class Nights(Slurm):
    """Two nights of an array, one task killed in each, and another array at the same time."""

    def setUp(self):
        super().setUp()
        # One message at a time, so that a kill finds one under way.
        self.source = self.dovecot(USERS, format="maildir", separator=".")
        self.target = self.target_for(USERS, capability_drop=("MULTIAPPEND", "LITERAL+"))
        self.meddler = self._started(Meddler(self.target, []))
        self.one = self.batch(self.source, self.meddler, USERS)
        self.one.sections["target"] = {"preset": "imap", "url": self.meddler.url(), "tls": "none", "settle-time": "1s"}
        self.one.write()
        self.victim = share_of(USERS[0])
        self.seeded = collections.Counter()

    def new_mail(self, large):
        for k, user in enumerate(USERS):
            count = large if k == 0 else 6
            first = 1000 * k + self.seeded[user]
            self.source.seed(user, {("Large" if k == 0 else "INBOX",): [mail.tiny(first + i) for i in range(count)]})
            self.seeded[user] += count

    def night(self, job, large):
        """Returns what each share said of its own night."""
        self.new_mail(large)
        # The target does not get it before the task was killed: what is to be killed cannot be over before.
        killed = threading.Event()
        self.held = Rule('^APPEND "?Large', skip=20, times=1, until=killed.is_set)
        self.meddler.rules[:] = [self.held]
        self.addCleanup(killed.set)
        tasks = {share: Task(self, self.one, share, job=job) for share in range(1, SHARES + 1)}
        self.kill(tasks.pop(self.victim), job)
        killed.set()
        said = {share: self.over(task, 0, "share %d of 4: exit code 0" % share, "synced") for share, task in tasks.items()}
        said[self.victim] = self.over(Task(self, self.one, self.victim, job=10 * job), 0)
        return said

    def kill(self, task, job):
        limit = time.monotonic() + 60 * haul.crowd()
        while not self.held.done:
            self.assertIsNone(task.process.poll(), task.text())
            self.assertLess(time.monotonic(), limit, task.text())
            time.sleep(0.02)
        pid, words = task.program()
        self.assertGreater(pid, 0, task.text())
        self.assertNotIn("--progress never", words, "hours without a sign of life")
        os.kill(pid, signal.SIGSTOP)
        self.over(Task(self, self.one, self.victim, job=job + 500), 75, "another task is at work with it", str(pid))
        os.kill(pid, signal.SIGKILL)
        self.over(task, 137, "killed by signal 9", "--array=%d it goes on where it was" % self.victim)
        with open(self.one.path[:-4] + ".share-%d.json" % self.victim) as f:
            self.assertIn("was killed", json.load(f)["verdict"])

    def this_night(self, text):
        found = re.search(r"This run +([\d,]+) messages? fetched .*?, ([\d,]+) uploaded .*?, ([\d,]+) present", text)
        return [int(number.replace(",", "")) for number in found.groups()]

    def test_two_nights(self):
        self.night(1, large=300)
        first = self.account(self.one)
        self.assertEqual((first["totals"]["users"], first["totals"]["synced"], first["totals"]["found"]),
                         (20, 20, sum(self.seeded.values())))
        before = dict(self.seeded)
        said = self.night(2, large=200)
        for share, text in said.items():
            new = sum(self.seeded[u] - before[u] for u in USERS if share_of(u) == share)
            fetched, uploaded, present = self.this_night(text)
            if share == self.victim:  # what the killed task had done is not done again, but for what was under way
                self.assertLess(fetched, new)
                self.assertLessEqual(uploaded + present, new)
            else:
                self.assertEqual((fetched, uploaded, present), (new, new, 0), "share %d" % share)
        self.moved(self.one)
        account = self.account(self.one)
        self.assertIn("All 20 users are synced and every folder balances", account["verdict"])
        self.assertEqual(account["totals"]["found"], sum(self.seeded.values()))
        self.assertEqual(account["totals"]["bytes_fetched"], account["totals"]["bytes_found"], "nothing was read twice")
        self.assertEqual([s["shard"] for s in account["batch"]["states"]], ["%d/4" % k for k in range(1, 5)])
        # The same from the state folders, and from some of each.
        states = sorted(glob.glob(self.place(self.one) + "/state.*"))
        self.assertEqual(len(states), SHARES)
        self.same(account, states)
        self.same(account, states[:2] + [self.one.path[:-4] + ".share-%d.json" % k for k in (3, 4)])
        table, page = (os.path.join(self.folder, "all." + ending) for ending in ("csv", "html"))
        self.report("--csv", table, "--html", page, *glob.glob(self.one.path[:-4] + ".share-*.json"))
        with open(table, newline="") as f:
            self.assertEqual(sum(int(row["found"]) for row in csv.DictReader(f)), account["totals"]["found"])
        with open(page) as f:
            self.assertIn("u07@" + DOMAIN, f.read())
        # Half of it is not all.
        half = self.report(self.one.path[:-4] + ".share-1.json", self.one.path[:-4] + ".share-3.json").json()
        self.assertIn("Shards 2, 4 of 4 are not among what was named", half["verdict"])

    def same(self, account, inputs):
        other = check_balance(self.report(*inputs).json())
        self.assertEqual(other["totals"], account["totals"])
        key = lambda user: user["address"]
        self.assertEqual([{**u, "state_index": 0} for u in sorted(other["users"], key=key)],
                         [{**u, "state_index": 0} for u in sorted(account["users"], key=key)])


class Places(Slurm):
    """Where the state folders lie, and what may be in their way."""

    def setUp(self):
        super().setUp()
        self.names = USERS[:3]
        self.source, self.target = self.dovecot(self.names), self.target_for(self.names)
        for k, user in enumerate(self.names):
            self.source.seed(user, {("INBOX",): [mail.tiny(10 * k), mail.tiny(10 * k + 1)]})
        self.one = self.batch(self.source, self.target, self.names)
        self.one.write()

    def test_what_is_not_ours_is_not_used(self):
        home, elsewhere = os.path.join(self.spool, "mailhaul-" + haul_user()), os.path.join(self.folder, "elsewhere")
        os.mkdir(elsewhere, 0o700)
        os.symlink(elsewhere, home)
        self.over(Task(self, self.one, 1), 73, "is not ours")
        self.assertEqual(os.listdir(elsewhere), [])
        os.unlink(home)
        os.mkdir(home, 0o700)
        os.chmod(home, 0o770)
        self.over(Task(self, self.one, 1), 73, "is open to others")
        os.chmod(home, 0o700)
        os.symlink(elsewhere, self.place(self.one))
        self.over(Task(self, self.one, 1), 73, "is not ours")
        os.unlink(self.place(self.one))
        if os.geteuid() == 0:
            os.chown(home, 65534, 65534)
            self.over(Task(self, self.one, 1), 73, "is not ours")
            os.chown(home, 0, 0)
        os.chmod(self.spool, 0o777)
        self.over(Task(self, self.one, 1), 73, "others can rename")
        os.chmod(self.spool, 0o1777)
        self.over(Task(self, self.one, 1), 0)
        self.assertEqual(os.listdir(elsewhere), [])
        # A relative place is beside the folder that sbatch was called in, not beside the batch file.
        self.over(Task(self, self.one, 1, job=2, SPOOL="spool"), 0, self.place(self.one) + "/state.1-of-4")
        self.over(Task(self, self.one, 1, SPOOL="nowhere"), 73, "there is no folder nowhere")
        self.over(Task(self, self.one, 5), 64, "there is no such share")
        self.over(Task(self, self.one, 1, shares="four"), 64, "no number of shares")
        self.over(Task(self, self.one, 1, words=["cleen"]), 64, "neither run nor clean")
        self.over(Task(self, self.one, 1, MAILHAUL="/nowhere/mailhaul"), 127, "is not in PATH")

    def test_two_batches_of_one_name(self):
        two = self.batch(self.source, self.target, self.names)
        two.write()
        self.over(Task(self, self.one, 1), 0)
        text = self.over(Task(self, two, 1), 0, "is of another batch file, " + self.one.path)
        other = re.search(r"the state is in (\S+)\.", text).group(1)
        self.assertRegex(other, r"/night-1-[0-9a-f]{8}$")
        self.over(Task(self, two, 1, job=2), 0, other)
        # Both had the same users: each counts once, and is named.
        done = self.report(*(b.path[:-4] + ".share-1.json" for b in (self.one, two)))
        report = check_balance(done.json())
        mine = [u for u in self.names if share_of(u) == 1]
        self.assertEqual(report["totals"]["users"], len(mine))
        for user in mine:
            self.assertIn("%s@%s" % (user, DOMAIN), done.err)
        self.assertEqual(len(report["batch"]["duplicates"]), len(mine))

    def test_another_number_of_shares(self):
        accounts = [self.one.path[:-4] + ".share-%d.json" % k for k in (1, 2)]
        for share in (1, 2):
            self.over(Task(self, self.one, share, shares=2), 0)
        self.over(Task(self, self.one, 1, shares=1, job=2), 0, "the number of shares was another one before",
                  "state.2-of-2 count no more")
        # The second report is of before.
        done = self.report(*accounts)
        self.assertIn("night-1.share-2.json is left out: of shards of 2", done.err)
        report = check_balance(done.json())
        self.assertEqual((report["totals"]["users"], report["totals"]["found"]), (3, 6))
        self.assertEqual(report["totals"]["present"], 6, "looked at, not sent twice")
        self.assertEqual(report["batch"]["warnings"], done.err.replace("mailhaul: warning: ", "").splitlines())
        self.moved(self.one)
        # Two divisions at work at once would double mail.
        with open(accounts[1]) as f:
            running = f.read().replace('"running": false', '"running": true')
        with open(accounts[1], "w") as f:
            f.write(running)
        self.over(Task(self, self.one, 1, shares=5), 75, "share 2/2 is at work (night-1.share-2.json)")
        # Whoever cleans removes those of before, too. The account stays.
        os.utime(accounts[1], (time.time() - 9000, time.time() - 9000))
        self.assertEqual(sorted(os.listdir(self.place(self.one))), ["batch", "state", "state.1-of-2", "state.2-of-2"])
        self.over(Task(self, self.one, 1, shares=1, words=["clean"]), 0, "/state is removed", "state.2-of-2 is removed",
                  "night-1.share-1.json: All 3 users are synced")
        self.assertFalse(os.path.exists(self.place(self.one)))
        self.assertEqual(self.report(accounts[0]).json()["totals"], report["totals"])

    def hesitant(self, name):
        """A mailhaul that does not begin before the file "go" is there: whoever starts meanwhile finds no state of it."""
        path = os.path.join(self.bin, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o755), "w") as f:
            f.write('#!/bin/sh\nif [ "$1" = run ]; then touch %s.begun; while [ ! -e %s/go ]; do sleep 0.1; done; fi\n'
                    'exec %s "$@"\n' % (path, self.bin, haul.BINARY))
        return path

    def at_once(self, one, other):
        """Of two tasks at most one begins."""
        paths = [self.hesitant("first"), self.hesitant("second")]
        tasks = [Task(self, self.one, job=job, MAILHAUL=path, **words)
                 for job, path, words in zip((1, 2), paths, (one, other))]
        while not any(task.process.poll() is not None for task in tasks):
            self.assertFalse(all(os.path.exists(path + ".begun") for path in paths), "both began")
            time.sleep(0.02)
        with open(os.path.join(self.bin, "go"), "w"):
            pass
        codes = [task.wait().process.returncode for task in tasks]
        self.assertTrue(75 in codes and set(codes) <= {0, 75}, codes)
        self.assertRegex(tasks[codes.index(75)].text(),
                         r"another task is at work with it \(night-1.share-\d-of-\d.task: \d_\d n\d\)")
        self.assertEqual(glob.glob(os.path.join(self.one.folder, "*.task")), [])
        for path in glob.glob(os.path.join(self.bin, "*.begun")) + [os.path.join(self.bin, "go")]:
            os.unlink(path)

    def test_two_arrays_that_start_at_once(self):
        """Neither sees anything of the other yet, and both would put the same mail into the same mailboxes."""
        elsewhere = os.path.join(self.folder, "spool2")
        os.mkdir(elsewhere)
        self.at_once({"share": 1, "shares": 1}, {"share": 1, "shares": 1, "node": "n2", "SPOOL": elsewhere})
        for path in glob.glob(os.path.join(self.one.folder, "*.json")):
            os.unlink(path)
        self.at_once({"share": 1, "shares": 1}, {"share": share_of(self.names[0], 2), "shares": 2})
        for path in glob.glob(os.path.join(self.one.folder, "*.json")):
            os.unlink(path)
        self.over(Task(self, self.one, 1, shares=1), 0)
        self.moved(self.one)
        # The mark of a task that was killed is in the way for a while, and never for the same share on its node.
        mark = self.one.path[:-4] + ".share-1-of-1.task"
        for node, code, words in (("n1", 0, "synced"), ("n2", 75, "if it was killed, remove " + mark)):
            os.symlink("7_1 " + node, mark)
            self.over(Task(self, self.one, 1, shares=1, job=3), code, words)
        self.over(Task(self, self.one, 1, shares=5, job=3), 75, "night-1.share-1-of-1.task: 7_1 n2")
        os.utime(mark, (time.time() - 9000, time.time() - 9000), follow_symlinks=False)
        self.over(Task(self, self.one, 1, shares=1, job=3), 0)

    def test_a_state_that_is_not_in_its_place_is_told(self):
        moved = os.path.join(self.folder, "spool2")
        account = self.one.path[:-4] + ".share-1.json"
        self.over(Task(self, self.one, 1, shares=1), 0)
        os.mkdir(moved)
        self.over(Task(self, self.one, 1, shares=1, SPOOL=moved), 73, "its state is in " + self.place(self.one) + "/state: submit")
        shutil.rmtree(os.path.join(moved, "mailhaul-" + haul_user()))
        os.rename(os.path.join(self.spool, "mailhaul-" + haul_user()), os.path.join(moved, "mailhaul-" + haul_user()))
        self.over(Task(self, self.one, 1, shares=1, SPOOL=moved), 0, " 0 messages fetched")
        shutil.rmtree(os.path.join(moved, "mailhaul-" + haul_user()))
        self.over(Task(self, self.one, 1, shares=1, job=2), 0, "/state and is not there any more: it begins anew")
        # Another name.
        was, self.one.path = self.one.path, os.path.join(self.one.folder, "night-9.ini")
        os.rename(was, self.one.path)
        self.over(Task(self, self.one, 1, shares=1, job=3), 0,
                  self.place(self.one) + " is of " + was + ", which is not there any more")
        self.assertTrue(os.path.exists(account))
        self.moved(self.one)

    def test_what_else_is_beside_the_batch_file_stays(self):
        mine = self.one.path[:-4] + ".share-1.json.backup"
        with open(mine, "w") as f:
            f.write("kept")
        task = Task(self, self.one, 1, shares=1)
        while not task.program()[0] and task.process.poll() is None:
            time.sleep(0.01)
        task.end()  # the node is lost: whatever it had begun lies about
        for name in (".batch.abcdef", "batch"):
            with open(os.path.join(self.place(self.one), name), "a"):
                pass
        # A report that cannot be written, the disk being full, is told, and costs the night nothing.
        mute = os.path.join(self.bin, "mute")
        with open(os.open(mute, os.O_WRONLY | os.O_CREAT, 0o755), "w") as f:
            f.write('#!/bin/sh\n[ "$1" != report ] || exit 74\nexec %s "$@"\n' % haul.BINARY)
        self.over(Task(self, self.one, 1, shares=1, job=2, MAILHAUL=mute), 0, "exit code 0, but its report cannot be written")
        self.over(Task(self, self.one, 1, shares=1, job=2), 0)
        self.over(Task(self, self.one, 1, shares=1, job=3, words=["clean"]), 0)
        self.assertEqual(sorted(os.listdir(self.one.folder)),
                         ["night-1.ini", "night-1.share-1.json", "night-1.share-1.json.backup", "users.csv"])
        self.assertFalse(os.path.exists(self.place(self.one)))

    def test_a_share_goes_back_to_the_node_of_its_state(self):
        self.over(Task(self, self.one, 1, shares=1, node="n1"), 0)
        here = self.spool
        self.spool = os.path.join(self.folder, "spool2")  # another node's disk
        os.mkdir(self.spool)
        with open(self.up, "w") as f:
            f.write("n1\n")
        self.over(Task(self, self.one, 1, shares=1, node="n2", job=2), 2, "its state is on node n1 and this is n2: back into")
        with open(self.calls) as f:
            self.assertEqual(f.read().splitlines(), ["requeue 201", "update JobId=201 ReqNodeList=n1"])
        # Slurm did not do as told: once is enough. And a node that is down is not waited for.
        for restarts, job in ((1, 2), (0, 3)):
            text = self.over(Task(self, self.one, 1, shares=1, node="n2", job=job, restarts=restarts), 0)
            self.assertEqual("it begins anew here" in text, job == 2, text)
        self.assertIn('"host": "n2"', open(self.one.path[:-4] + ".share-1.json").read())
        # A report that says "at work" on a node that is not there any more is believed for a while.
        self.spool, account = here, self.one.path[:-4] + ".share-1.json"
        os.rename(self.place(self.one), self.place(self.one) + ".gone")
        with open(account) as f:
            text = f.read().replace('"running": false', '"running": true')
        with open(account, "w") as f:
            f.write(text)
        self.over(Task(self, self.one, 1, shares=1, node="n1", job=4), 75, "at work on node n2", "or remove")
        os.utime(account, (time.time() - 9000, time.time() - 9000))
        self.over(Task(self, self.one, 1, shares=1, node="n1", job=4), 0, "it begins anew here")
        self.moved(self.one)

    def test_reports_that_are_none_are_named(self):
        self.over(Task(self, self.one, 1, shares=1), 0)
        account = self.one.path[:-4] + ".share-1.json"
        with open(account) as f:
            text = f.read()
        for name, text, code, words in (
                ("cut.json", text[:-200], 74, "ends in the middle"), ("empty.json", "", 74, "is empty"),
                ("package.json", '{"name":"left-pad"}', 78, "is no report"),
                ("new.json", text.replace("report.v1", "report.v9", 1), 78,
                 "is a report in a form that this version cannot read (mailhaul.report.v9)")):
            path = os.path.join(self.folder, name)
            with open(path, "w") as f:
                f.write(text)
            done = self.report(account, path, code=code)
            self.assertIn(name + ": " + words, done.err)
            self.assertEqual(done.out, "")
        done = haul.Running(["status", account], self.folder).wait()
        self.assertIn("only `report` reads those", self.ends(done, 64).err)
        done = self.report(account, "--user", "nobody", code=64)
        self.assertIn("nobody", done.err)
        done = self.report(account, os.path.join(self.one.folder, ".", os.path.basename(account)))
        self.assertEqual((done.err, done.json()["totals"]["users"]), ("", 3), "named twice, counted once")
        users = self.report(account, "--user", self.names[1]).json()["users"]
        self.assertEqual([u["user_name"] for u in users], [self.names[1]])
