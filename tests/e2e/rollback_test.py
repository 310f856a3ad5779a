#!/usr/bin/env python3
"""A store that is put back to an earlier state, as a restored backup or a copied folder does it (threat T25): none of the keys that were
delivered since is delivered again, new keys flow, and the log says why."""

import http.client
import json
import shutil
import sqlite3
import unittest

from lab_case import LabCase
from sites import wait_for

SLAVES = ("SAE-B1", "SAE-B3", "SAE-B4")


class PutBack(LabCase):
    more_saes = {"SAE-B3": "KME-B", "SAE-B4": "KME-B"}
    # It follows the lab's [timing]: whoever is asked too early waits longer than any of these tests.
    more = 'reconcile_ms = 600000\n[[allow]]\nmaster = "SAE-B1"\nslaves = ["SAE-B3", "SAE-B4"]\n'

    def setUp(self):
        self.a, self.b = self.lab.kmes["KME-A"], self.lab.kmes["KME-B"]
        self.saes = {}
        self.kept = self.lab.folder / "copy of the state"

    def sae(self, name):
        if name not in self.saes:
            self.saes[name] = self.lab.client(name)
        return self.saes[name]

    def start(self, kme):
        kme.start().wait_until_up()
        for client in self.saes.values():
            client.close()

    def give(self, master, slave, number):
        code, given = self.sae(master).get_key(slave, number)
        self.assertEqual(code, 200, given)
        return given["keys"]

    def fetch(self, master, slave, ids):
        """As a client does that takes 503, or no answer, for later."""
        def answered():
            try:
                answer = self.sae(slave).get_by_ids(master, ids)
                return answer[0] != 503 and answer
            except (OSError, http.client.HTTPException):
                return False

        return wait_for(answered, f"an answer for {slave}", 30)

    def deliver_100_keys_after_a_copy(self):
        """Of 80 keys, B holds the slaves' halves when the copy is made; 20 are taken from B's own part of the reservoir afterwards."""
        waiting = [("SAE-A1", slave, key) for slave in SLAVES for key in self.give("SAE-A1", slave, 20)]
        waiting += [("SAE-B1", slave, key) for slave in SLAVES[1:] for key in self.give("SAE-B1", slave, 10)]
        self.assertEqual(self.b.stop(), 0)
        shutil.copytree(self.b.state, self.kept)
        self.start(self.b)
        for master, slave, key in waiting:
            code, fetched = self.fetch(master, slave, [key["key_ID"]])
            self.assertEqual((code, fetched and fetched["keys"]), (200, [key]))
        self.delivered = [key for _, _, key in waiting] + self.give("SAE-B1", "SAE-A1", 20)
        self.assertEqual(len({key["key"] for key in self.delivered}), 100)
        self.wait_until_a_has_heard()
        self.waiting = waiting

    def wait_until_a_has_heard(self):
        """The mark of what was given out last leaves with the next tick; one more round trip is behind it."""
        key = self.give("SAE-A1", "SAE-B1", 1)[0]
        self.assertEqual(self.fetch("SAE-A1", "SAE-B1", [key["key_ID"]])[0], 200)

    def put_the_copy_back(self):
        self.assertEqual(self.b.stop(), 0)
        shutil.rmtree(self.b.state)
        shutil.copytree(self.kept, self.b.state)

    def notices(self):
        lines = [json.loads(line) for line in self.b.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if "store_rolled_back" in json.dumps(line)]

    def expect_none_again(self):
        for master, slave, key in self.waiting:
            self.assertEqual(self.fetch(master, slave, [key["key_ID"]])[0], 400, (master, slave))

    def expect_new_keys(self):
        def flow(master, slave):
            try:
                code, given = self.sae(master).get_key(slave, 20)
                return code == 200 and given["keys"]
            except (OSError, http.client.HTTPException):
                return False

        old = {key["key"] for key in self.delivered}, {key["key_ID"] for key in self.delivered}
        for master, slave in (("SAE-A1", "SAE-B1"), ("SAE-B1", "SAE-A1"), ("SAE-B1", "SAE-B3")):
            given = wait_for(lambda m=master, s=slave: flow(m, s), f"new keys of {master} for {slave}", 60)
            self.assertFalse(old[0] & {key["key"] for key in given} or old[1] & {key["key_ID"] for key in given})
            self.assertEqual(self.fetch(master, slave, [key["key_ID"] for key in given]), (200, {"keys": given}))

    def expect_one_reason_in_the_log(self):
        notices = wait_for(self.notices, "a reason in the log", 20)
        self.assertEqual(len(notices), 1, notices)
        self.assertIn("put back to an earlier state", json.dumps(notices[0]))
        self.assertEqual(notices[0]["level"], "error", notices)


class WithItsPeer(PutBack):
    def test_none_of_100_keys_is_given_again(self):
        self.deliver_100_keys_after_a_copy()
        self.put_the_copy_back()
        self.start(self.b)
        self.expect_none_again()
        self.expect_new_keys()
        self.expect_one_reason_in_the_log()


class WhileItsPeerIsAway(PutBack):
    def test_none_of_100_keys_is_given_again(self):
        self.deliver_100_keys_after_a_copy()
        self.assertEqual(self.a.stop(), 0)
        self.put_the_copy_back()
        self.start(self.b)
        for master, slave, key in self.waiting:
            code, answer = self.sae(slave).get_by_ids(master, [key["key_ID"]])
            self.assertEqual((code, answer["details"][0]["qkms_reason"]), (503, "sealed"))
        self.assertEqual(self.notices(), [])
        self.start(self.a)
        self.expect_none_again()
        self.expect_new_keys()
        self.expect_one_reason_in_the_log()


class MarkedAsRestored(PutBack):
    def test_none_of_100_keys_is_given_again_whoever_is_away(self):
        self.deliver_100_keys_after_a_copy()
        self.assertEqual(self.a.stop(), 0)
        self.put_the_copy_back()
        (store,) = self.b.state.glob("*.db")
        with sqlite3.connect(store) as database:
            database.execute("UPDATE node SET restored = 1")
        database.close()
        self.start(self.b)
        for master, slave, key in self.waiting:
            self.assertEqual(self.sae(slave).get_by_ids(master, [key["key_ID"]])[0], 400)
        self.expect_one_reason_in_the_log()
        self.start(self.a)
        self.expect_new_keys()
        self.expect_one_reason_in_the_log()


if __name__ == "__main__":
    unittest.main()
