"""io_uring refused by the system: mailhaul goes on with epoll."""

import os
import sys

import mail
from haul import Case

WRAPPER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support",
                       "deny_uring.py")


class Loop(Case):
    def move(self, **more):
        source = self.dovecot(["anna"], format="maildir", separator=".")
        source.seed("anna", mail.mailbox(1, 100))
        batch = self.batch(source, self.target_for(["anna"]), ["anna"])
        batch.environment = more.pop("environment", {})
        done = self.ends(batch.call("run", **more), 0)
        self.moved(batch)
        return done

    def test_seccomp_says_eperm(self):
        self.move(wrapper=[sys.executable, WRAPPER, "EPERM"])

    def test_seccomp_says_enosys(self):
        self.move(wrapper=[sys.executable, WRAPPER, "ENOSYS"])

    def test_no_locked_memory(self):
        import resource
        self.move(limits=lambda: resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0)))

    def test_few_file_descriptors(self):
        import resource
        self.move(limits=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))

    def test_one_thread_and_three(self):
        for threads in ("1", "3"):
            with self.subTest(threads):
                source = self.dovecot(["anna"], format="maildir", separator=".")
                source.seed("anna", mail.mailbox(1, 60))
                batch = self.batch(source, self.target_for(["anna"]), ["anna"])
                self.ends(batch.call("run", "--threads", threads), 0)
                self.moved(batch)
