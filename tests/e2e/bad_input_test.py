#!/usr/bin/env python3
"""Bad input from every side gets a clear error, and nothing is lost."""

import contextlib
import hashlib
import http.client
import os
import shutil
import sqlite3
import ssl
import subprocess
import tempfile
import unittest

from lab_case import BUILD, LabCase
from sites import Lab


class BadRequests(LabCase):
    def setUp(self):
        self.client = self.lab.client("SAE-A1")

    def test_each_gets_its_error_and_the_connection_goes_on(self):
        cases = [  # name, method, path, body, status, part of the message
            ("broken JSON", "POST", "SAE-B1/enc_keys", "{", 400, ""),
            ("number is text", "POST", "SAE-B1/enc_keys", '{"number":"3"}', 400, "number"),
            ("number twice", "POST", "SAE-B1/enc_keys", '{"number":1,"number":2}', 400, "two members"),
            ("number is 0", "POST", "SAE-B1/enc_keys", '{"number":0}', 400, "number"),
            ("size is not a multiple of 8", "GET", "SAE-B1/enc_keys?size=257", None, 400, "size shall be a multiple of 8"),
            ("size in bytes, it seems", "GET", "SAE-B1/enc_keys?size=32", None, 400, "bits"),
            ("mandatory extension", "POST", "SAE-B1/enc_keys", '{"extension_mandatory":[{"x_y":1}]}', 400,
             "not all extension_mandatory parameters are supported"),
            ("own ID", "POST", "SAE-A1/enc_keys", "{}", 400, ""),
            ("unknown slave", "POST", "SAE-X/enc_keys", "{}", 400, ""),
            ("key ID is no UUID", "GET", "SAE-B1/dec_keys?key_ID=1", None, 400, "key_ID"),
            ("unknown key", "GET", "SAE-B1/dec_keys?key_ID=00000000-0000-4000-8000-000000000000", None, 400,
             "one or more keys specified are not found on KME"),
            ("NUL in an ID", "GET", "a%00b/status", None, 400, ""),
            ("unknown path", "GET", "SAE-B1/keys", None, 404, ""),
            ("wrong method", "DELETE", "SAE-B1/enc_keys", None, 405, ""),
            ("body too large", "POST", "SAE-B1/enc_keys", " " * 100_000, 413, ""),
        ]
        for name, method, path, body, status, part in cases:
            with self.subTest(name):
                code, error = self.client.ask(method, path, body)
                self.assertEqual(code, status, error)
                self.assertIn(part, error["message"])
        self.assertEqual(self.client.get_key("SAE-B1")[0], 200)

    def connect(self, certificate, ca="sae-ca.crt", listener="sae", path="/api/v1/keys/SAE-B1/status"):
        context = ssl.create_default_context(cafile=str(self.lab.pki / ca))
        if certificate is not None:
            context.load_cert_chain(f"{self.lab.pki}/{certificate}.crt", f"{self.lab.pki}/{certificate}.key")
        connection = http.client.HTTPSConnection("127.0.0.1", self.lab.kmes["KME-A"].ports[listener], context=context, timeout=10)
        self.addCleanup(connection.close)
        connection.request("GET", path)
        return connection.getresponse().status

    def test_wrong_certificates_get_no_further_than_tls(self):
        for name, certificate in (("none", None), ("an operator's", "operator/admin"), ("a peer's", "kme/KME-B/peer")):
            with self.subTest(name), self.assertRaises((ssl.SSLError, OSError, http.client.HTTPException)):
                self.connect(certificate)
        with self.assertRaises((ssl.SSLError, OSError, http.client.HTTPException)):
            self.connect("sae/SAE-A1", "operator-ca.crt", "operator", "/livez")
        self.assertEqual(self.connect("sae/SAE-A1"), 200)
        self.assertEqual(self.connect("operator/admin", "operator-ca.crt", "operator", "/livez"), 200)

    def test_an_sae_of_the_other_site_is_not_served_here(self):
        self.assertEqual(self.connect("sae/SAE-B1", path="/api/v1/keys/SAE-A1/status"), 401)


class BadStarts(unittest.TestCase):
    """One KME that cannot start says why in one line, with the exit code that docs/operations.md names."""

    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.lab = Lab(self.scratch.name, BUILD)
        self.a = self.lab.kmes["KME-A"]

    def tearDown(self):
        self.lab.close()
        self.scratch.cleanup()

    def refusal(self, **how):
        done = subprocess.run([self.lab.qkmsd, "--config", self.a.configuration], capture_output=True, text=True, timeout=30, check=False, **how)
        return done.returncode, done.stderr

    def expect(self, code, *parts):
        returned, text = self.refusal()
        self.assertEqual(returned, code, text)
        for part in parts:
            self.assertIn(part, text)

    def test_a_configuration_with_a_mistake(self):
        self.a.configuration.write_text(self.a.configuration.read_text().replace("[operator]", "[operators]"))
        self.expect(78, str(self.a.configuration) + ":", "operators", "operator")

    def test_a_missing_configuration(self):
        self.a.configuration.unlink()
        self.expect(78, str(self.a.configuration))

    def test_a_key_file_that_others_can_read(self):
        key = self.lab.pki / "kme" / "KME-A" / "sae.key"
        key.chmod(0o644)
        self.expect(78, str(key))

    def test_a_key_file_that_is_not_there(self):
        key = self.lab.pki / "kme" / "KME-A" / "sae.key"
        key.unlink()
        self.expect(78, str(key))

    def test_a_certificate_of_another_key(self):
        pki = self.lab.pki / "kme"
        shutil.copy(pki / "KME-B" / "sae.crt", pki / "KME-A" / "sae.crt")
        self.expect(78, "sae.crt")

    def test_a_master_key_that_is_too_short(self):
        (self.a.folder / "master.key").write_bytes(b"short")
        self.expect(78, "master.key")

    def test_another_master_key_than_before(self):
        self.a.start().wait_until_up()
        self.assertEqual(self.a.stop(), 0)
        (self.a.folder / "master.key").write_bytes(os.urandom(32))
        returned, text = self.refusal()
        self.assertNotEqual(returned, 0)
        self.assertIn("master key", text)

    def test_a_store_of_a_newer_version(self):
        self.a.start().wait_until_up()
        self.assertEqual(self.a.stop(), 0)
        (store,) = [file for file in self.a.state.iterdir() if file.read_bytes()[:6] == b"SQLite"]
        with contextlib.closing(sqlite3.connect(store)) as database:
            database.execute("PRAGMA user_version = 99")
        changed = hashlib.sha256(store.read_bytes()).hexdigest()
        self.expect(78, "99", "newer")
        self.assertEqual(hashlib.sha256(store.read_bytes()).hexdigest(), changed)

    def test_two_daemons_on_one_store(self):
        self.a.start().wait_until_up()
        self.expect(75, "in use")
        self.assertIsNone(self.a.process.poll())


if __name__ == "__main__":
    unittest.main()
