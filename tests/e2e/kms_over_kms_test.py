#!/usr/bin/env python3
"""KMS over KMS: two daemons whose device is ETSI GS QKD 014 (driver `etsi014`), and below each, as its device, another daemon, fed by a
simulated link. Shows that the two above agree on every key, whoever is killed in between, and that the accounts of all four add up (T29, T30)."""

import json
import tempfile
import unittest

import lab_case
from lab_case import sites

# Who the daemon above is to the one below: an SAE of it.
SAE_OF = {"KME-A": "SAE-A1", "KME-B": "SAE-B1"}


class KmsOverKms(lab_case.LabCase):
    below = None

    @classmethod
    def setUpClass(cls):
        cls.scratch_below = tempfile.TemporaryDirectory()
        cls.below = sites.Lab(cls.scratch_below.name, lab_case.BUILD, rate_bps=4_000_000)
        try:
            cls.below.start()
            cls.below.wait_for_keys(200)
            super().setUpClass()
        except Exception:
            cls.tear_down_below()
            raise

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.tear_down_below()

    @classmethod
    def tear_down_below(cls):
        cls.below.close()
        cls.scratch_below.cleanup()

    @staticmethod
    def link(kme):
        below, own = KmsOverKms.below, SAE_OF[kme.name]
        twin = next(sae for name, sae in SAE_OF.items() if name != kme.name)
        return ['driver = "etsi014"', "silence_alarm_ms = 0", "block_wait_ms = 5000", "[links.etsi014]", f'url = "https://127.0.0.1:{below.kmes[kme.name].ports["sae"]}"',
                f'twin_sae = "{twin}"', f'certificate = "{below.pki}/sae/{own}.crt"', f'key = "{below.pki}/sae/{own}.key"',
                f'ca = "{below.pki}/sae-ca.crt"', "poll_ms = 200", "fetch_ms = 5000"]

    def link_of(self, kme):
        status, text = self.lab.kmes[kme].ask_operator("/links")
        self.assertEqual(status, 200, text)
        return json.loads(text)[0]

    def mismatched(self, kme):
        return self.lab.kmes[kme].metrics().get(("qkms_link_blocks_total", (("link", "link-ab"), ("outcome", "mismatched"))), 0)

    def exchange(self, count):
        """`count` keys that are the same at both sites above."""
        master, slave = self.lab.client("SAE-A1"), self.lab.client("SAE-B1")
        for _ in range(count):
            code, made = self.answer(lambda: master.get_key("SAE-B1"))
            self.assertEqual(code, 200, made)
            code, fetched = self.answer(lambda made=made: slave.get_by_ids("SAE-A1", [key["key_ID"] for key in made["keys"]]))
            self.assertEqual((code, fetched), (200, made))

    def more_blocks(self):
        """The link above brings new blocks in."""
        before = self.lab.kmes["KME-A"].ledger("KME-B")["in"]
        sites.wait_for(lambda: self.lab.kmes["KME-A"].ledger("KME-B").get("in", 0) > before, "a block", 90)

    def restart(self, kme):
        kme.kill()
        kme.start().wait_until_up()

    def test_1_keys_are_the_same_at_both_sites_above(self):
        self.exchange(100)
        self.accounts()
        for kme in self.lab.kmes:
            self.assertEqual(self.mismatched(kme), 0)

    def test_2_what_is_above_was_delivered_below(self):
        above, _ = self.accounts()
        delivered = self.below.kmes["KME-A"].ledger("KME-B")["delivered"]
        self.assertGreater(above["in"], 0)
        self.assertGreaterEqual(delivered, above["in"])

    def test_3_the_device_is_killed_and_comes_back(self):
        for name in self.below.kmes:
            self.restart(self.below.kmes[name])
            self.more_blocks()
            self.exchange(5)
        self.accounts()

    def test_4_either_end_is_killed_and_comes_back(self):
        for name in self.lab.kmes:
            self.restart(self.lab.kmes[name])
            self.more_blocks()
            self.exchange(5)
        self.accounts()
        for kme in self.lab.kmes:
            self.assertEqual(self.mismatched(kme), 0)

    def test_5_an_operator_can_look_whether_the_device_is_there(self):
        status, text = self.lab.kmes["KME-A"].ask_operator("/test-link?link=link-ab", "POST")
        self.assertEqual(status, 200, text)
        self.assertIn("the device offers keys of 64 to 4096 bits", text)


if __name__ == "__main__":
    unittest.main()
