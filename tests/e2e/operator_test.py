#!/usr/bin/env python3
"""What an operator does with a store: back it up while it runs, restore it, and change the key that wraps its keyring. Threat T25: none of
the keys that were delivered after a backup is delivered again from it."""

import stat
import unittest

from lab_case import LabCase


class Operator(LabCase):
    def setUp(self):
        self.kme = self.lab.kmes["KME-B"]
        self.master, self.slave = self.lab.client("SAE-A1"), self.lab.client("SAE-B1")

    def ask(self, command, *arguments, expected=0):
        return self.operate(self.kme, command, *arguments, expected=expected)

    def restart(self):
        self.kme.start().wait_until_up()
        self.slave.close()

    def test_none_of_100_keys_comes_again_from_a_backup(self):
        ids = [key["key_ID"] for _ in range(10) for key in self.master.get_key("SAE-B1", number=10)[1]["keys"]]
        backup = self.ask("backup").strip()
        self.assertEqual(stat.S_IMODE((self.kme.state / "backups" / backup).stat().st_mode), 0o600)
        for first in range(0, 100, 10):
            self.assertEqual(self.slave.get_by_ids("SAE-A1", ids[first:first + 10])[0], 200)
        self.assertIn("in use", self.qkmsctl("restore", "--config", self.kme.configuration, "--from", backup, expected=1))
        self.assertEqual(self.kme.stop(), 0)
        self.assertIn("restored", self.qkmsctl("restore", "--config", self.kme.configuration, "--from", backup))
        self.assertIn("each follows the one before it", self.qkmsctl("verify", "--config", self.kme.configuration))
        self.restart()
        codes = [self.answer(lambda key=key: self.slave.get_by_ids("SAE-A1", [key]))[0] for key in ids]
        self.assertEqual(codes, [400] * 100)
        code, given = self.answer(lambda: self.master.get_key("SAE-B1"))
        self.assertEqual(code, 200, given)
        self.assertEqual(self.slave.get_by_ids("SAE-A1", [given["keys"][0]["key_ID"]])[0], 200)
        self.assertIn("store_put_back", self.ask("audit export"))
        self.assertIn("marked as restored", self.kme.log.read_text())

    def test_the_master_key_changes_while_keys_flow(self):
        file = self.kme.folder / "master.key"
        old = file.read_bytes()
        self.assertIn("in use already", self.ask("rotate-master", expected=1))
        code, given = self.master.get_key("SAE-B1")
        file.rename(file.with_suffix(".old"))
        self.qkmsctl("new-master-key", f"file:{file}")
        new = file.read_bytes()
        self.assertIn("old one opens nothing", self.ask("rotate-master"))
        self.assertEqual(self.kme.stop(), 0)
        file.write_bytes(old)
        self.kme.start()
        self.assertEqual(self.kme.process.wait(timeout=30), 78)
        self.assertIn("master key", self.kme.log.read_text())
        file.write_bytes(new)
        self.restart()
        code, fetched = self.answer(lambda: self.slave.get_by_ids("SAE-A1", [given["keys"][0]["key_ID"]]))
        self.assertEqual((code, fetched), (200, given))
        self.assertIn('"action":"master_key","actor":"admin"', self.ask("audit export"))


if __name__ == "__main__":
    unittest.main()
