"""A server that has a part of a processor: its processes of one name run for a moment and are halted for a longer one, in
turn, as a limit of a container does it."""

import os
import signal
import threading
import time


def named(server, name):
    """The server's processes that are called so."""
    found = []
    for pid in server.processes():
        try:
            with open("/proc/%d/comm" % pid) as f:
                called = f.read().strip()
        except OSError:
            continue
        if called == name:
            found.append(pid)
    return found


class Slowed:
    def __init__(self, server, name, runs_s, halts_s):
        self.server, self.name, self.runs_s, self.halts_s = server, name, runs_s, halts_s
        self.ends, self.thread = threading.Event(), None

    def start(self):
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        return self

    def stop(self):
        self.ends.set()
        if self.thread:
            self.thread.join()
        self.thread = None

    def run(self):
        pids, looked = [], 0.0
        while not self.ends.is_set():
            if time.monotonic() - looked > 0.3:
                pids, looked = named(self.server, self.name), time.monotonic()
            for number, wait in ((signal.SIGSTOP, self.halts_s), (signal.SIGCONT, self.runs_s)):
                for pid in pids:
                    try:
                        os.kill(pid, number)
                    except OSError:
                        pass
                time.sleep(wait)
