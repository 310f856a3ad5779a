#!/usr/bin/env python3
"""T32: the wall clock of one node jumps, before its start and while it runs. Keys neither expire nor come back, certificates that had
expired do not become valid, and the daemon goes on.

libfaketime turns the wall clock of KME-B and leaves CLOCK_BOOTTIME and CLOCK_MONOTONIC alone, which nobody can set on a real machine
either. Not built with sanitizers: AddressSanitizer wants to be the first library that is loaded.
"""

import base64
import glob
import http.client
import os
import pathlib
import ssl
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "certificates"))

from authority import CLIENT, Authority  # noqa: E402
from lab_case import LabCase  # noqa: E402
from sites import wait_for  # noqa: E402

(LIBRARY,) = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
REFUSED = (ssl.SSLError, OSError, http.client.HTTPException)
SET = "the wall clock was set by"


class Case(LabCase):
    """`clock()` turns KME-B's wall clock while it runs."""

    @classmethod
    def prepare(cls):
        cls.b = cls.lab.kmes["KME-B"]
        cls.b.state.mkdir(mode=0o700)
        cls.floor = cls.b.state / "wall-clock"
        cls.floor.write_text(f"{int(time.time()) - 60}\n")  # as a daemon leaves it that has run for hours
        cls.timestamp = cls.lab.folder / "clock"
        cls.turn("+0")
        cls.b.how = {"env": {**os.environ, "LD_PRELOAD": LIBRARY, "FAKETIME_TIMESTAMP_FILE": str(cls.timestamp), "FAKETIME_NO_CACHE": "1",
                             "DONT_FAKE_MONOTONIC": "1"}}

    @classmethod
    def tearDownClass(cls):
        if cls.b.process is not None and cls.b.process.poll() is None:
            cls.b.stop()  # libfaketime cleans up after itself only then
        super().tearDownClass()

    @classmethod
    def turn(cls, offset):
        aside = cls.timestamp.with_suffix(".new")
        aside.write_text(offset + "\n")
        aside.rename(cls.timestamp)

    def clock(self, offset):
        """Returns when the daemon has noticed."""
        before = self.b.log.read_text().count(SET)
        self.turn(offset)
        wait_for(lambda: self.b.log.read_text().count(SET) > before, f"KME-B notices {offset}")

    def setUp(self):
        self.master = self.lab.client("SAE-A1")
        self.addCleanup(self.turn, "+0")

    def get_keys(self, number):
        code, answer = self.master.get_key("SAE-B1", number)
        self.assertEqual(code, 200, answer)
        return answer["keys"]

    def fetch(self, keys, client=None):
        """Over a new connection, unless `client` has one."""
        code, answer = (client or self.lab.client("SAE-B1")).get_by_ids("SAE-A1", [key["key_ID"] for key in keys])
        self.assertEqual((code, answer.get("keys")), (200, keys))

    def as_with(self, credential):
        client = self.lab.client("SAE-B1")
        client.context.load_cert_chain(credential.certificate, credential.key)
        return client

    def expect_no_expiry(self):
        self.assertEqual([kme.ledger(peer)["expired"] for kme, peer in ((self.lab.kmes["KME-A"], "KME-B"), (self.b, "KME-A"))], [0, 0])


class AClockThatIsTurnedWhileTheDaemonRuns(Case):
    @classmethod
    def prepare(cls):
        """KME-B also knows a CA that is a day old: two hours ago its certificates were good, but for what is wrong with them."""
        super().prepare()
        cls.authority = Authority(cls.lab.folder / "authority", "/CN=a CA since yesterday")
        of_lab, both = cls.lab.pki / "sae-ca.crt", cls.lab.folder / "both-cas.crt"
        both.write_text(of_lab.read_text() + cls.authority.certificate.read_text())
        cls.b.configuration.write_text(cls.b.configuration.read_text().replace(f'"{of_lab}"', f'"{both}"'))

    def test_back_by_two_hours(self):
        expired = self.as_with(self.authority.issue("/CN=SAE-B1", CLIENT, to_days=-1 / 24))  # an hour ago
        good = self.as_with(self.authority.issue("/CN=SAE-B1", CLIENT, to_days=1 / 24))
        keys = self.get_keys(6)
        with self.assertRaises(REFUSED):
            expired.status("SAE-A1")
        self.clock("-2h")
        with self.assertRaises(REFUSED):
            expired.status("SAE-A1")
        self.assertEqual(good.status("SAE-A1")[0], 200)
        self.fetch(keys[:3])
        code, text = self.b.ask_operator("/readyz?verbose")
        self.assertEqual(code, 503)
        self.assertIn("[-]clock failed: the wall clock is", text)
        self.assertGreater(self.b.metrics()[("qkms_wall_clock_behind_seconds", ())], 7000)
        self.fetch(self.get_keys(1))
        self.expect_no_expiry()
        self.clock("+0")
        self.assertIn("[+]clock ok", self.b.ask_operator("/readyz?verbose")[1])
        self.fetch(keys[3:])
        self.expect_no_expiry()

    def test_forward_by_400_days_and_back(self):
        keys = self.get_keys(6)
        kept = self.lab.client("SAE-B1")
        self.fetch(keys[:2], kept)
        floor = self.floor.read_text()
        self.clock("+400d")
        self.fetch(keys[2:4], kept)
        self.fetch(self.get_keys(1), kept)
        with self.assertRaises(REFUSED):  # its certificate has expired, by all that the node can know
            self.lab.client("SAE-B1").status("SAE-A1")
        self.clock("+0")
        self.fetch(keys[4:])
        self.fetch(self.get_keys(1))
        self.expect_no_expiry()
        self.assertEqual(self.floor.read_text(), floor)  # nothing was learned from the future
        self.assertIn("[+]clock ok", self.b.ask_operator("/readyz?verbose")[1])

    def test_again_and_again(self):
        keys = self.get_keys(4)
        for key, offset in zip(keys, ("+1h", "-1h", "+1h", "+0")):
            self.clock(offset)
            self.fetch([key])
        self.expect_no_expiry()


class AClockThatIsWrongAtTheStart(Case):
    def test_is_not_believed(self):
        for offset in ("-2h", "-2300d"):
            with self.subTest(offset):
                keys = self.get_keys(4)
                self.assertEqual(self.b.stop(), 0)
                self.turn(offset)
                self.b.start().wait_until_up()
                wait_for(lambda: self.b.metrics()[("qkms_peer_session_up", (("peer", "KME-A"),))], "the peers meet again")
                self.fetch(keys)
                wait_for(lambda: self.master.get_key("SAE-B1")[0] == 200, "new keys")
                self.expect_no_expiry()
                self.assertIn("[-]clock", self.b.ask_operator("/readyz?verbose")[1])

    def test_is_not_started_with_when_the_floor_is_no_time(self):
        self.assertEqual(self.b.stop(), 0)
        floor = self.floor.read_text()
        self.floor.write_text("tomorrow\n")
        self.assertEqual(self.b.start().process.wait(timeout=30), 78)
        self.assertIn(str(self.floor), self.b.log.read_text())
        self.floor.write_text(floor)
        self.turn("+0")
        self.b.start().wait_until_up()


class KeysThatHaveExpired(Case):
    more = "[keys]\nlife_ms = 1500\n"

    def test_do_not_come_back_with_the_clock(self):
        keys = self.get_keys(2)
        bits = 8 * sum(len(base64.b64decode(key["key"])) for key in keys)
        wait_for(lambda: self.b.ledger("KME-A")["expired"] == bits, "they expire")
        self.clock("-2h")
        code, answer = self.lab.client("SAE-B1").get_by_ids("SAE-A1", [key["key_ID"] for key in keys])
        self.assertEqual(code, 400, answer)


if __name__ == "__main__":
    unittest.main()
