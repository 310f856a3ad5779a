#!/usr/bin/env python3
"""An operator seals a KME and unseals it: nothing goes out meanwhile, nothing is lost, nothing comes twice, whatever becomes of its files."""

import json
import os
import shutil
import signal
import unittest

from lab_case import LabCase
from memory_test import all_sleep, take_core
from secret_search import Search
from sites import wait_for

PASSPHRASE = "A walrus sealed this, 0x5ea1."


class SealCase(LabCase):
    def setUp(self):
        self.a, self.b = self.lab.kmes["KME-A"], self.lab.kmes["KME-B"]
        self.master, self.slave = self.lab.client("SAE-A1"), self.lab.client("SAE-B1")
        self.addCleanup(self.open_again)

    def open_again(self):
        """For the next test, whatever became of this one."""
        if self.b.process.poll() is not None:
            self.b.start().wait_until_up()
        self.slave.close()
        wait_for(lambda: self.b.ask_operator("/unseal", "POST")[0] == 200, "KME-B is open")
        self.answer(lambda: self.master.get_key("SAE-B1"))

    def seal(self):
        self.assertIn("no key goes out", self.operate(self.b, "seal"))

    def unseal(self):
        self.assertIn("unsealed", self.operate(self.b, "unseal"))

    def new_keys(self, number=3):
        code, given = self.answer(lambda: self.master.get_key("SAE-B1", number))
        self.assertEqual(code, 200, given)
        return given

    def fetch(self, given):
        return self.answer(lambda: self.slave.get_by_ids("SAE-A1", [key["key_ID"] for key in given["keys"]]))


class Sealed(SealCase):
    def test_gives_nothing_until_it_is_unsealed_and_everything_once_after(self):
        given = self.new_keys()
        self.seal()
        self.assertIn("sealed already", self.operate(self.b, "seal"))
        code, answer = self.slave.get_by_ids("SAE-A1", [given["keys"][0]["key_ID"]])
        self.assertEqual((code, answer["message"], answer["details"]), (503, "the KME is sealed: an operator has to unseal it", [{"qkms_reason": "sealed"}]))
        self.assertEqual(self.slave.status("SAE-A1")[0], 503)
        code, answer = self.master.get_key("SAE-B1")
        self.assertEqual((code, answer["details"]), (503, [{"qkms_reason": "peer-unreachable"}]))
        self.unseal()
        self.assertIn("not sealed", self.operate(self.b, "unseal"))
        self.assertEqual(self.fetch(given), (200, given))
        self.assertEqual(self.fetch(given)[0], 400)
        again = self.new_keys()
        self.assertEqual(self.fetch(again), (200, again))
        self.accounts()

    def test_tells_operators_and_takes_what_they_say_meanwhile(self):
        self.seal()
        self.assertEqual(self.b.ask_operator("/livez")[0], 200)
        code, text = self.b.ask_operator("/readyz")
        self.assertEqual(code, 503)
        self.assertIn("[-]store failed: it is sealed", text)
        metrics = self.b.metrics()
        self.assertEqual((metrics[("qkms_sealed", ())], metrics[("qkms_store_open", ())]), (1, 0))
        for command in ("backup", "rotate-master", "audit tail"):
            self.operate(self.b, command, expected=1)
        self.assertIn("the store is sealed", self.operate(self.b, "backup", expected=1))
        self.assertIn("in use", self.qkmsctl("verify", "--config", self.b.configuration, expected=1))
        self.assertIn("reloaded", self.operate(self.b, "reload"))
        self.b.process.send_signal(signal.SIGHUP)
        wait_for(lambda: self.b.metrics()[("qkms_reloads_total", (("outcome", "applied"),))] >= 2, "SIGHUP reloads")
        wait_for(lambda: self.b.metrics()[("qkms_link_held", (("link", "link-ab"),))] == 1, "the device's block waits")
        self.unseal()
        metrics = self.b.metrics()
        self.assertEqual((metrics[("qkms_sealed", ())], metrics[("qkms_store_open", ())]), (0, 1))
        records = [json.loads(line) for line in self.operate(self.b, "audit export").splitlines()]
        told = [(record["action"], record["actor"]) for record in records if record.get("action") in ("seal", "unseal", "configuration", "master_key")]
        self.assertEqual(told[-5:], [("seal", "admin"), ("master_key", "admin"), ("configuration", "admin"), ("configuration", "SIGHUP"), ("unseal", "admin")])
        self.assertIn("each follows the one before it", self.operate(self.b, "audit verify"))
        self.assertIn('admin has sealed the KME', self.b.log.read_text())

    def test_is_left_alone_by_its_peer(self):
        self.seal()
        wait_for(lambda: self.a.metrics()[("qkms_peer_session_up", (("peer", "KME-B"),))] == 0, "the session ends")
        sessions = self.a.metrics()[("qkms_peer_sessions_total", ())]
        attempts = self.a.metrics()[("qkms_peer_failed_attempts_total", ())]
        wait_for(lambda: self.a.metrics()[("qkms_peer_failed_attempts_total", ())] >= attempts + 4, "KME-A knocks, less and less often")
        self.assertEqual(self.a.metrics()[("qkms_peer_sessions_total", ())], sessions)
        self.assertGreaterEqual(self.b.metrics()[("qkms_peer_refused_total", ())], 4)

    def test_knocks_at_no_peer_itself(self):
        self.assertIn("no key goes out", self.operate(self.a, "seal"))
        attempts = self.a.metrics()[("qkms_peer_failed_attempts_total", ())]
        sessions = self.a.metrics()[("qkms_peer_sessions_total", ())]
        received = ("qkms_link_blocks_total", (("link", "link-ab"), ("outcome", "received")))
        blocks = self.b.metrics()[received]
        wait_for(lambda: self.b.metrics()[received] >= blocks + 5, "a second or so passes")
        metrics = self.a.metrics()
        self.assertEqual((metrics[("qkms_peer_failed_attempts_total", ())], metrics[("qkms_peer_sessions_total", ())]), (attempts, sessions))
        self.assertIn("unsealed", self.operate(self.a, "unseal"))
        wait_for(lambda: self.a.metrics()[("qkms_peer_session_up", (("peer", "KME-B"),))] == 1, "it connects again")

    def test_stops_and_starts_again(self):
        given = self.new_keys()
        self.seal()
        self.assertEqual(self.b.stop(), 0)
        self.assertIn("each follows the one before it", self.qkmsctl("verify", "--config", self.b.configuration))
        self.b.start().wait_until_up()
        self.slave.close()
        self.assertEqual(self.fetch(given), (200, given))

    def test_stays_sealed_without_its_keyring(self):
        given = self.new_keys()
        self.seal()
        keyring = self.b.state / "keyring"
        keyring.rename(keyring.with_suffix(".away"))
        self.assertIn("is missing", self.operate(self.b, "unseal", expected=1))
        self.assertIn("the last attempt was refused", self.operate(self.b, "unseal", expected=1))
        self.assertEqual(self.b.ask_operator("/readyz")[0], 503)
        keyring.with_suffix(".away").rename(keyring)
        wait_for(lambda: self.b.ask_operator("/unseal", "POST") == (200, "unsealed; keys that were stored go out when all peers have been heard\n"),
                 "a later attempt is heard")
        self.assertEqual(self.fetch(given), (200, given))
        self.assertEqual(self.b.metrics()[("qkms_unseals_refused_total", ())], 1)
        self.assertIn('"action":"unseal","actor":"admin"', self.operate(self.b, "audit export"))

    def test_ends_a_backup_that_is_under_way_or_comes_after_it(self):
        for _ in range(3):
            self.seal()
            self.operate(self.b, "backup", expected=1)
            self.unseal()
            self.assertIn("store-", self.operate(self.b, "backup"))


class PutBack(SealCase):
    def test_gives_nothing_twice_from_a_copy_that_was_put_back_meanwhile(self):
        given = self.new_keys()
        store, copy = self.b.state / "store.db", self.lab.folder / "copy of the store"
        self.seal()
        shutil.copy(store, copy)
        self.unseal()
        self.assertEqual(self.fetch(given), (200, given))
        self.seal()
        shutil.copy(copy, store)
        self.unseal()
        self.assertEqual(self.fetch(given)[0], 400)
        self.assertIn("store_put_back", self.operate(self.b, "audit export"))
        again = self.new_keys()
        self.assertEqual(self.fetch(again), (200, again))


class WithAPassphrase(SealCase):
    """A daemon that nobody can start alone."""

    more = '[log]\nlevel = "trace"\n'

    def open_again(self):
        pass

    def wrap_under_a_passphrase(self):
        self.assertIn("passphrase", self.qkmsctl("new-master-key", f"passphrase:{self.b.folder}/passphrase", typed=PASSPHRASE + "\n"))
        text = self.b.configuration.read_text()
        self.b.configuration.write_text(text.replace("file:master.key", "passphrase:passphrase"))
        self.assertIn("reloaded", self.operate(self.b, "reload"))
        self.assertIn("old one opens nothing", self.operate(self.b, "rotate-master", typed=PASSPHRASE + "\n"))
        (self.b.folder / "master.key").unlink()

    def expect_sealed(self):
        code, text = self.b.ask_operator("/readyz")
        self.assertEqual(code, 503)
        self.assertIn("it is sealed", text)
        self.assertEqual(self.slave.status("SAE-A1")[0], 503)

    def expect_passphrase_nowhere(self):
        search = Search({"the passphrase": PASSPHRASE.encode()})
        self.assertEqual(search.in_folder(self.b.folder), [])
        if os.geteuid() != 0 or os.environ.get("QKMS_SANITIZE"):
            return  # reading another process needs root; a sanitizer's heap is dumped
        wait_for(lambda: all_sleep(self.b.process.pid), "KME-B is idle")
        core = self.lab.folder / "core"
        self.addCleanup(core.unlink)
        take_core(self.b.process.pid, core, everything=True)
        self.assertEqual(search.in_file(core), [])

    def test_starts_sealed_and_waits_for_it(self):
        self.wrap_under_a_passphrase()
        given = self.new_keys()
        self.assertEqual(self.b.stop(), 0)
        self.b.start().wait_until_up()
        self.slave.close()
        self.expect_sealed()
        self.assertIn("the KME starts sealed: qkmsctl unseal will ask for the passphrase", self.b.log.read_text())
        self.assertIn("nothing was typed", self.operate(self.b, "unseal", expected=1))
        self.assertIn("is not the passphrase of", self.operate(self.b, "unseal", typed=PASSPHRASE[:-1] + "\n", expected=1))
        self.assertIn("the last attempt was refused", self.operate(self.b, "unseal", typed=PASSPHRASE + "\n", expected=1))
        self.expect_sealed()
        self.assertEqual(self.b.metrics()[("qkms_unseals_refused_total", ())], 1)
        wait_for(lambda: self.b.ask_operator("/unseal", "POST")[0] == 403, "attempts are heard again")
        self.assertIn("unsealed", self.operate(self.b, "unseal", typed=PASSPHRASE + "\n"))
        self.assertEqual(self.fetch(given), (200, given))
        self.expect_passphrase_nowhere()
        records = [json.loads(line) for line in self.operate(self.b, "audit export").splitlines()]
        told = [(record["action"], record.get("reason", "")[:7]) for record in records if record.get("action") in ("start", "unseal")]
        self.assertEqual(told[-3:], [("start", "qkmsd 0"), ("unseal", "refused"), ("unseal", "")])
        self.seal()
        self.expect_sealed()
        self.assertIn("unsealed", self.operate(self.b, "unseal", typed=PASSPHRASE + "\n"))
        again = self.new_keys()
        self.assertEqual(self.fetch(again), (200, again))
        self.accounts()


if __name__ == "__main__":
    unittest.main()
