"""What the tests of the built programs share: a fresh pair of KMEs for each class of tests."""

import http.client
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("QKMS_BUILD", SOURCE / "build" / "release"))
sys.path.insert(0, str(SOURCE / "lab"))

import sites  # noqa: E402


class LabCase(unittest.TestCase):
    """Two daemons that run for all tests of the class. `more` is appended to both configurations, `link_more` to the link's settings;
    `more_saes` are SAEs besides those of the lab."""

    more = ""
    link_more = ""
    more_saes = {}
    rate_bps = 4_000_000
    request_deadline_ms = 8_000
    link = None  # see sites.Lab

    @classmethod
    def prepare(cls):
        """Before the daemons start; the lab has its files already."""

    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.lab = sites.Lab(cls.scratch.name, BUILD, rate_bps=cls.rate_bps, more=cls.more, link_more=cls.link_more,
                             more_saes=cls.more_saes, request_deadline_ms=cls.request_deadline_ms, link=cls.link)
        try:
            cls.prepare()
            cls.lab.start()
            cls.lab.wait_for_keys(200)
        except Exception:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.lab.close()
        cls.scratch.cleanup()

    def answer(self, ask):
        """The first (code, body) that is not 503 from a daemon that may just have started: what it held at its start waits for its peers."""
        def answered():
            try:
                code, body = ask()
                return code != 503 and (code, body)
            except (OSError, http.client.HTTPException):
                return False

        return sites.wait_for(answered, "an answer", 60)

    def qkmsctl(self, *arguments, expected=0, typed=""):
        """What it printed; `typed` is its standard input."""
        done = subprocess.run([self.lab.qkmsctl, *arguments], input=typed, capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, expected, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def operate(self, kme, command, *arguments, expected=0, typed=""):
        """A command of qkmsctl to that daemon, by the operator "admin"."""
        pki = self.lab.pki
        return self.qkmsctl(*command.split(), *arguments, "--url", f"https://127.0.0.1:{kme.ports['operator']}", "--ca", pki / "operator-ca.crt",
                            "--cert", pki / "operator" / "admin.crt", "--key", pki / "operator" / "admin.key", "--timeout", "60",
                            expected=expected, typed=typed)

    def accounts(self):
        """Both ledgers once they agree; fails the test when they never do."""
        a_side, b_side = self.lab.kmes["KME-A"], self.lab.kmes["KME-B"]

        def agree():
            a, b = a_side.ledger("KME-B"), b_side.ledger("KME-A")
            same = a and b and all(a[m] == b[t] for m, t in (("in", "in"), ("available_own", "available_peer"), ("available_peer", "available_own")))
            return same and (a, b)

        a, b = sites.wait_for(agree, "the two ends agree", 30)
        for one in (a, b):
            self.assertEqual(one["in"], sum(bits for category, bits in one.items() if category != "in"), one)
        return a, b
