"""The program as it was built: what the build promises of hardening is in the file."""

import platform
import re
import subprocess
import unittest

from haul import BINARY


def read(*arguments):
    return subprocess.run(["readelf", "-W", *arguments, BINARY], capture_output=True, text=True, check=True).stdout


class Build(unittest.TestCase):
    def test_the_program_is_hardened(self):
        symbols = read("--dyn-syms")
        if re.search(r"__(asan|tsan)_init", symbols):
            self.skipTest("a build for a sanitizer")
        self.assertIn("Type:                              DYN", read("-h"))
        segments, dynamic = read("-l"), read("-d")
        self.assertIn("GNU_RELRO", segments)
        self.assertRegex(segments, r"GNU_STACK .* RW +0x")
        self.assertRegex(dynamic, r"BIND_NOW|FLAGS_1.*NOW")
        self.assertRegex(dynamic, r"FLAGS_1.*PIE")
        self.assertIn("__stack_chk_fail", symbols)
        self.assertGreaterEqual(len(re.findall(r"__\w+_chk@", symbols)), 5, "FORTIFY_SOURCE")
        if platform.machine() == "x86_64":
            # The note of the whole says so only where the C library's own objects were made for it too.
            with open(BINARY, "rb") as f:
                self.assertGreater(f.read().count(b"\xf3\x0f\x1e\xfa"), 500, "endbr64: -fcf-protection")
