"""T28: strangers at the peer listener who never prove who they are take up little, and keep no peer out."""

import os
import pathlib
import socket
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from lab_case import LabCase, sites  # noqa: E402

STRANGERS = 2000
WAVE = 200
# A sanitizer keeps freed memory back for a while. All strangers let in would take 200 MiB in either case.
MOST_KIB = (64 if os.environ.get("QKMS_SANITIZE") else 16) * 1024


class PeerCrowd(LabCase):
    more = "[limits]\nhandshake_ms = 3000\n"

    def resident_kib(self):
        status = pathlib.Path(f"/proc/{self.lab.kmes['KME-B'].process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])

    def test_is_bounded_and_keeps_no_peer_out(self):
        """KME-B listens for KME-A. The strangers come from another address than KME-A, as they would."""
        kme = self.lab.kmes["KME-B"]
        before_kib = self.resident_kib()
        refused = kme.metrics()[("qkms_peer_refused_total", ())]
        crowd = []
        try:
            for _ in range(STRANGERS // WAVE):
                for _ in range(WAVE):
                    one = socket.create_connection(("127.0.0.1", kme.ports["peer"]), timeout=5, source_address=("127.0.0.2", 0))
                    crowd.append(one)
                self.assertEqual(self.lab.client("SAE-A1").get_key("SAE-B1")[0], 200)
            self.assertLess(self.resident_kib() - before_kib, MOST_KIB)
            sites.wait_for(lambda: kme.metrics()[("qkms_peer_refused_total", ())] - refused >= STRANGERS - 64, "strangers are refused")
            # The peer's session breaks in the middle of it, and comes back.
            other = self.lab.kmes["KME-A"]
            other.kill()
            other.start().wait_until_up()
            sites.wait_for(lambda: self.lab.client("SAE-A1").get_key("SAE-B1")[0] == 200, "the peer is back", 10)
        finally:
            for one in crowd:
                one.close()


if __name__ == "__main__":
    unittest.main()
