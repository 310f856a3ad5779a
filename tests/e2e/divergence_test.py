#!/usr/bin/env python3
"""One of two KMEs loses its disk (threat T29, and what an operator sees): both ends say the same reason in the log, in the audit log and in
the metrics, what they shared is burned, and keys flow again. While both are well their accounts are compared, and nothing is found."""

import json
import shutil
import subprocess
import unittest

from lab_case import BUILD, LabCase
from sites import wait_for


class ALostDisk(LabCase):
    # It follows the lab's [timing].
    more = "compare_ms = 200\n"

    def setUp(self):
        self.a, self.b = self.lab.kmes["KME-A"], self.lab.kmes["KME-B"]

    @staticmethod
    def comparisons(kme, peer):
        return kme.metrics().get(("qkms_pair_comparisons_total", (("peer", peer),)), 0)

    @staticmethod
    def logged(kme, kind):
        lines = [json.loads(line) for line in kme.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["message"].startswith(kind + ": ")]

    def audited(self, kme):
        pki, port = self.lab.pki, kme.ports["operator"]
        command = [BUILD / "cli" / "qkmsctl", "audit", "export", "--url", f"https://127.0.0.1:{port}", "--ca", pki / "operator-ca.crt",
                   "--cert", pki / "operator" / "admin.crt", "--key", pki / "operator" / "admin.key"]
        lines = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.splitlines()
        return [record for record in map(json.loads, lines) if record["action"] == "pair_afresh" and ": " in record["reason"]]

    def reasons(self, kme, peer):
        found = {}
        for (name, labels), value in kme.metrics().items():
            if name == "qkms_pair_divergences_total" and dict(labels)["peer"] == peer and value > 0:
                found[dict(labels)["reason"]] = value
        return found

    def expect_reported(self, kme, peer, reason, text):
        wait_for(lambda: self.reasons(kme, peer), f"{kme.name} has started afresh", 60)
        self.assertEqual(self.reasons(kme, peer), {reason: 1.0})
        (line,) = self.logged(kme, "pair_reset")
        (record,) = self.audited(kme)
        for told in (line["message"], record["reason"]):
            self.assertIn(f"{reason}: ", told)
            self.assertIn(text, told)
            self.assertIn("bits that were available are burned, pair epoch 2", told)
        self.assertEqual(record["subject"], peer)
        self.assertEqual(self.logged(kme, "link_divergence"), [])

    def test_is_reported_at_both_ends(self):
        for kme, peer in ((self.a, "KME-B"), (self.b, "KME-A")):
            wait_for(lambda k=kme, p=peer: self.comparisons(k, p) > 0, "a comparison", 60)
            self.assertEqual(self.reasons(kme, peer), {})
        self.assertEqual(self.b.stop(), 0)
        shutil.rmtree(self.b.state)
        self.b.log.write_text("")
        self.b.start().wait_until_up()
        self.expect_reported(self.a, "KME-B", "peer_store_lost", "the store of KME-B is new")
        self.expect_reported(self.b, "KME-A", "own_store_lost", "our store is new, and KME-A remembers an earlier one")
        self.lab.wait_for_keys(20)
        before = self.comparisons(self.a, "KME-B")
        wait_for(lambda: self.comparisons(self.a, "KME-B") > before, "another comparison", 60)
        self.assertEqual(self.reasons(self.a, "KME-B"), {"peer_store_lost": 1.0})


if __name__ == "__main__":
    unittest.main()
