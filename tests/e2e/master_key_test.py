#!/usr/bin/env python3
"""The master key comes from another place while keys flow: a passphrase, a key in a token (SoftHSM 2), a file. What was typed is in no file
and no core. Threats T22, T37."""

import os
import pathlib
import subprocess
import unittest

from lab_case import BUILD, LabCase, sites
from memory_test import all_sleep, take_core
from secret_search import Search

QKMSCTL = BUILD / "cli" / "qkmsctl"
MODULE = "/usr/lib/softhsm/libsofthsm2.so"
PASSPHRASE = "Seven dwarves typed this, 0x51ed."
PIN = "a-pin-of-22-characters"


class MasterKeyCase(LabCase):
    def setUp(self):
        self.kme = self.lab.kmes["KME-B"]
        self.master, self.slave = self.lab.client("SAE-A1"), self.lab.client("SAE-B1")

    def qkmsctl(self, *arguments, typed="", expected=0):
        done = subprocess.run([QKMSCTL, *arguments], input=typed, capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, expected, done.stdout + done.stderr)
        for secret in (PASSPHRASE, PIN):
            self.assertNotIn(secret, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def ask(self, *command, typed="", expected=0):
        pki = self.lab.pki
        return self.qkmsctl(*command, "--config", self.kme.configuration, "--cert", pki / "operator" / "admin.crt", "--key",
                            pki / "operator" / "admin.key", "--timeout", "60", typed=typed, expected=expected)

    def verify(self, typed="", expected=0):
        return self.qkmsctl("verify", "--config", self.kme.configuration, typed=typed, expected=expected)

    def configure(self, source):
        lines = self.kme.configuration.read_text().splitlines(keepends=True)
        lines = [f'master_key = "{source}"\n' if line.startswith("master_key") else line for line in lines]
        self.kme.configuration.write_text("".join(lines))
        self.assertEqual(self.ask("reload"), "reloaded\n")

    def deliver(self):
        code, given = self.answer(lambda: self.master.get_key("SAE-B1"))
        self.assertEqual(code, 200, given)
        return given

    def fetch(self, given):
        code, fetched = self.answer(lambda: self.slave.get_by_ids("SAE-A1", [given["keys"][0]["key_ID"]]))
        self.assertEqual((code, fetched), (200, given))

    def expect_nowhere(self, secret):
        search = Search({"what was typed": secret.encode()})
        self.assertEqual(search.in_folder(self.kme.folder), [])
        self.assertEqual(search.in_bytes(self.ask("audit", "export").encode()), [])
        if os.geteuid() != 0 or os.environ.get("QKMS_SANITIZE"):
            return  # reading another process needs root; a sanitizer's heap is dumped
        sites.wait_for(lambda: all_sleep(self.kme.process.pid), "the daemon is idle")
        core = self.lab.folder / "core"
        try:
            take_core(self.kme.process.pid, core, everything=True)
            self.assertEqual(search.in_file(core), [])
        finally:
            core.unlink(missing_ok=True)


class FromAFileToAPassphrase(MasterKeyCase):
    more = '[log]\nlevel = "trace"\n'

    def test_while_keys_flow(self):
        given = self.deliver()
        self.qkmsctl("new-master-key", f"passphrase:{self.kme.folder}/passphrase", typed=PASSPHRASE + "\n")
        self.configure("passphrase:passphrase")
        self.assertIn("nothing was typed", self.ask("rotate-master", expected=1))
        self.assertIn("is not the passphrase of", self.ask("rotate-master", typed=PASSPHRASE[:-1] + "\n", expected=1))
        self.assertIn("old one opens nothing", self.ask("rotate-master", typed=PASSPHRASE + "\n"))
        self.assertIn("in use already", self.ask("rotate-master", typed=PASSPHRASE + "\n", expected=1))
        self.expect_nowhere(PASSPHRASE)
        self.assertIn(f'"subject":"the passphrase of {self.kme.folder}/passphrase"', self.ask("audit", "export"))
        self.fetch(given)
        self.assertEqual(self.kme.stop(), 0)
        self.assertIn("is not the passphrase of", self.verify(typed="something quite else\n", expected=1))
        self.assertIn("each follows the one before it", self.verify(typed=PASSPHRASE + "\n"))


class FromAFileToAToken(MasterKeyCase):
    @classmethod
    def prepare(cls):
        folder = pathlib.Path(cls.scratch.name)
        (folder / "tokens").mkdir()
        (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n")
        os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")  # of the daemons, too
        subprocess.run(["softhsm2-util", "--init-token", "--free", "--label", "site", "--so-pin", "5678", "--pin", PIN], check=True,
                       capture_output=True, timeout=60)

    def test_while_keys_flow(self):
        given = self.deliver()
        typed = f"pkcs11:token=site;object=master?module-path={MODULE}"
        self.assertIn("made", self.qkmsctl("new-master-key", typed, typed=PIN + "\n"))
        self.configure(typed)
        self.assertIn("does not take this PIN", self.ask("rotate-master", typed="another\n", expected=1))
        self.assertIn("old one opens nothing", self.ask("rotate-master", typed=PIN + "\n"))
        self.expect_nowhere(PIN)
        self.assertIn('"subject":"the key master of the token site"', self.ask("audit", "export"))
        self.fetch(given)
        self.start_with_the_pin_in_a_file(typed)

    def start_with_the_pin_in_a_file(self, source):
        given = self.deliver()
        pin = self.kme.folder / "pin"
        pin.touch(mode=0o600)
        pin.write_text(PIN + "\n")
        self.configure(f"{source}&pin-source=file:{pin}")
        self.assertIn("in use already", self.ask("rotate-master", expected=1))
        self.assertEqual(self.kme.stop(), 0)
        self.assertIn("each follows the one before it", self.verify())
        pin.chmod(0o644)  # T37
        self.kme.start()
        self.assertEqual(self.kme.process.wait(timeout=30), 78)
        self.assertIn("open to its group or to others", self.kme.log.read_text())
        pin.chmod(0o600)
        self.kme.start().wait_until_up()
        self.slave.close()
        self.fetch(given)


if __name__ == "__main__":
    unittest.main()
