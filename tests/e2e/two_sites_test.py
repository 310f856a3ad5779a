#!/usr/bin/env python3
"""Two daemons as encryptors see them: keys in lockstep, a peer that stops, and one that comes back."""

import http.client
import os
import signal
import time
import unittest

from lab_case import LabCase
from sites import wait_for


class TwoSites(LabCase):
    def test_500_keys_without_a_pause_are_equal_at_both_sites(self):
        master, slave = self.lab.client("SAE-A1"), self.lab.client("SAE-B1")
        refused = unequal = 0
        for _ in range(500):
            code, given = master.get_key("SAE-B1")
            fetched_code, fetched = slave.get_by_ids("SAE-A1", [given["keys"][0]["key_ID"]]) if code == 200 else (None, None)
            refused += code != 200 or fetched_code != 200
            unequal += fetched_code == 200 and given["keys"] != fetched["keys"]
        print(f"\n500 times Get key at A, Get key with key IDs at B: {refused} refused, {unequal} unequal")
        self.assertEqual((refused, unequal), (0, 0))
        self.accounts()

    def test_get_forms_do_what_post_forms_do(self):
        master, slave = self.lab.client("SAE-A1"), self.lab.client("SAE-B1")
        code, given = master.ask("GET", "SAE-B1/enc_keys?number=2&size=512")
        self.assertEqual((code, len(given["keys"])), (200, 2))
        code, fetched = slave.ask("GET", f"SAE-A1/dec_keys?key_ID={given['keys'][1]['key_ID']}")
        self.assertEqual((code, fetched["keys"]), (200, given["keys"][1:]))

    def test_a_key_is_handed_out_once_and_to_its_slave_alone(self):
        code, given = self.lab.client("SAE-A1").get_key("SAE-B1")
        self.assertEqual(code, 200)
        ids = [given["keys"][0]["key_ID"]]
        self.assertEqual(self.lab.client("SAE-B2").get_by_ids("SAE-A1", ids), (401, None))
        slave = self.lab.client("SAE-B1")
        self.assertEqual(slave.get_by_ids("SAE-A1", ids)[0], 200)
        code, error = slave.get_by_ids("SAE-A1", ids)
        self.assertEqual((code, error["message"]), (400, "one or more keys specified are not found on KME"))

    def test_several_slaves_at_both_sites_each_get_the_key(self):
        code, given = self.lab.client("SAE-A1").get_key("SAE-B1", additional_slave_SAE_IDs=[])
        self.assertEqual(code, 200)
        code, error = self.lab.client("SAE-A1").get_key("SAE-B1", additional_slave_SAE_IDs=["SAE-B1"])
        self.assertEqual(code, 400, error)


class AFaultyLink(LabCase):
    link_more = "lose = 0.1\ndelay = 0.1\nreorder = 0.2\ncorrupt = 0.1\nrepeat = 0.1\ndelay_ms = 300\n"

    def test_poisons_no_reservoir(self):
        master, slave = self.lab.client("SAE-A1"), self.lab.client("SAE-B1")
        links = wait_for(self.mismatches, "blocks that differ", 60)
        for _ in range(50):
            code, given = master.get_key("SAE-B1")
            self.assertEqual(code, 200, given)
            self.assertEqual(slave.get_by_ids("SAE-A1", [key["key_ID"] for key in given["keys"]]), (200, given))
        a, b = self.accounts()
        self.assertGreater(a["quarantined"], 0)
        self.assertEqual(a["quarantined"], b["quarantined"])
        self.assertEqual(links[("qkms_link_simulated", (("link", "link-ab"),))], 1)

    def mismatches(self):
        metrics = self.lab.kmes["KME-A"].metrics()
        return metrics if metrics[("qkms_link_blocks_total", (("link", "link-ab"), ("outcome", "mismatched")))] >= 3 else None


class APeerThatStops(LabCase):
    request_deadline_ms = 800  # the default

    def ask_while_it_is_away(self):
        master = self.lab.client("SAE-A1")
        started = time.monotonic()
        code, error = master.get_key("SAE-B1")
        self.assertEqual(code, 503, error)
        self.assertTrue(error["message"])
        return time.monotonic() - started

    def expect_keys_again(self):
        master, slave = self.lab.client("SAE-A1"), self.lab.client("SAE-B1")

        def granted():
            try:
                code, given = master.get_key("SAE-B1")
                return code == 200 and given
            except (OSError, http.client.HTTPException):
                return False

        given = wait_for(granted, "keys again", 15)
        code, fetched = slave.get_by_ids("SAE-A1", [given["keys"][0]["key_ID"]])
        self.assertEqual((code, fetched["keys"]), (200, given["keys"]))

    def test_killed_means_503_at_once_and_keys_again_without_a_restart(self):
        before, _ = self.accounts()
        b = self.lab.kmes["KME-B"]
        b.kill()
        wait_for(lambda: not self.lab.kmes["KME-A"].metrics()[("qkms_peer_session_up", (("peer", "KME-B"),))], "A notices")
        slowest = max(self.ask_while_it_is_away() for _ in range(100))
        print(f"\npeer killed: 100 times 503, the slowest after {slowest:.3f} s")
        self.assertLess(slowest, 1.0)  # the promise itself, an order of magnitude above what it takes
        away = self.lab.kmes["KME-A"].ledger("KME-B")
        self.assertEqual(away["burned"], before["burned"])
        self.assertEqual(away["delivered"], before["delivered"])
        started = time.monotonic()
        b.start().wait_until_up()
        self.expect_keys_again()
        print(f"keys again {time.monotonic() - started:.2f} s after its start")
        self.accounts()

    def test_frozen_means_503_in_time_and_what_was_in_doubt_is_burned_at_both_ends(self):
        b = self.lab.kmes["KME-B"]
        before, _ = self.accounts()
        b.process.send_signal(signal.SIGSTOP)
        try:
            took = self.ask_while_it_is_away()
        finally:
            b.process.send_signal(signal.SIGCONT)
        print(f"\npeer frozen: 503 after {took:.3f} s")
        self.assertLess(took, 4.0 if os.environ.get("QKMS_SANITIZE") else 1.0)  # the promise; a sanitizer on a busy machine is not held to it
        self.expect_keys_again()
        a, b_side = self.accounts()
        self.assertEqual(a["burned"] - before["burned"], 256)
        self.assertEqual(b_side["held"], 0)


if __name__ == "__main__":
    unittest.main()
