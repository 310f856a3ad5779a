#!/usr/bin/env python3
"""Threat T23: somebody puts old rows back into the store of a KME that does not run. It is found, nothing is given out twice, and the pair goes on."""

import contextlib
import shutil
import sqlite3
import subprocess
import unittest

from lab_case import LabCase
from sites import wait_for


class TamperedStore(LabCase):
    def setUp(self):
        self.a = self.lab.kmes["KME-A"]
        self.store = self.a.state / "store.db"
        self.master = self.lab.client("SAE-B1")
        self.slave = self.lab.client("SAE-A1")

    def verify(self):
        done = subprocess.run([self.lab.qkmsctl, "verify", "--config", self.a.configuration], capture_output=True, text=True, timeout=60,
                              check=False)
        return done.returncode, done.stdout + done.stderr

    def start(self):
        self.a.start().wait_until_up()
        self.slave.close()  # what it was connected to is gone

    def new_key(self):
        """The ID of a key that waits at KME-A for SAE-A1."""
        def ask():
            status, answer = self.master.get_key("SAE-A1")
            return answer["keys"][0]["key_ID"] if status == 200 else None

        return wait_for(ask, "a key of SAE-B1 for SAE-A1")

    def test_old_rows_put_back(self):
        returned, text = self.verify()
        self.assertEqual(returned, 1)
        self.assertIn("in use", text)

        key = self.new_key()
        self.assertEqual(self.a.stop(), 0)
        self.assertEqual(self.verify()[0], 0, self.verify()[1])
        old = self.store.with_name("old.db")
        shutil.copy(self.store, old)

        self.start()
        self.assertEqual(self.answer(lambda: self.slave.get_by_ids("SAE-B1", [key]))[0], 200)
        self.assertEqual(self.a.stop(), 0)
        with contextlib.closing(sqlite3.connect(self.store)) as database:
            database.execute("ATTACH ? AS old", (str(old),))
            database.execute("INSERT OR REPLACE INTO assignment SELECT * FROM old.assignment")
            database.commit()
        returned, text = self.verify()
        self.assertEqual(returned, 1)
        self.assertIn("KME-B", text)

        self.start()
        self.assertIn("the store's rows of KME-B are not those that were written last", self.a.log.read_text())
        self.assertEqual(self.answer(lambda: self.slave.get_by_ids("SAE-B1", [key]))[0], 400)
        key = self.new_key()  # the pair has started afresh
        self.assertEqual(self.slave.get_by_ids("SAE-B1", [key])[0], 200)
        self.assertEqual(self.a.stop(), 0)
        self.assertEqual(self.verify()[0], 0, self.verify()[1])
        self.start()


if __name__ == "__main__":
    unittest.main()
