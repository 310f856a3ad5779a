#!/usr/bin/env python3
"""The audit log as an operator and an auditor see it: what is in it after keys went out, that an export can be followed without any key,
and that a daemon whose log was tampered with does not start."""

import hashlib
import contextlib
import json
import socket
import sqlite3
import subprocess
import unittest

from lab_case import BUILD, LabCase
from sites import wait_for


class AuditLog(LabCase):
    def qkmsctl(self, *arguments, expected=0):
        pki, port = self.lab.pki, self.lab.kmes["KME-A"].ports["operator"]
        command = [BUILD / "cli" / "qkmsctl", "audit", *arguments, "--url", f"https://127.0.0.1:{port}", "--ca", pki / "operator-ca.crt",
                   "--cert", pki / "operator" / "admin.crt", "--key", pki / "operator" / "admin.key", "--timeout", "30"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, expected, done.stdout + done.stderr)
        return done.stdout if expected == 0 else done.stderr

    def records(self, **members):
        lines = [json.loads(line) for line in self.qkmsctl("export").splitlines()]
        return [one for one in lines if all(one.get(name) == value for name, value in members.items())]

    def test_every_key_is_in_the_log_before_its_master_has_it(self):
        master = self.lab.client("SAE-A1")
        given = [key["key_ID"] for _ in range(20) for key in master.get_key("SAE-B1", number=3)[1]["keys"]]
        logged = [key for record in self.records(action="keys_to_master", actor="SAE-A1") for key in record["keys"]]
        self.assertEqual(logged[-len(given):], given)
        self.assertTrue(self.records(action="start"))
        self.assertTrue(self.records(action="ingest"))

    def test_refusals_are_counted(self):
        for _ in range(3):
            self.assertEqual(self.lab.client("SAE-A1").get_key("SAE-NOBODY")[0], 400)
        wait_for(lambda: sum(one["count"] for one in self.records(action="refusal", actor="SAE-A1")) >= 3, "refusals in the log")

    def test_a_reload_is_in_the_log_with_who_asked(self):
        kme = self.lab.kmes["KME-A"]
        kme.metrics()  # it serves
        pki, port = self.lab.pki, kme.ports["operator"]
        subprocess.run([BUILD / "cli" / "qkmsctl", "reload", "--url", f"https://127.0.0.1:{port}", "--ca", pki / "operator-ca.crt",
                        "--cert", pki / "operator" / "admin.crt", "--key", pki / "operator" / "admin.key"], check=True, timeout=60)
        digest = hashlib.sha256(kme.configuration.read_bytes()).hexdigest()
        wait_for(lambda: self.records(action="configuration", actor="admin", reason=f"in force; sha256 {digest}"), "the reload in the log")

    def test_an_export_can_be_followed_without_any_key(self):
        self.lab.client("SAE-A1").get_key("SAE-B1")
        text = self.qkmsctl("export")
        previous = "0" * 64
        for number, line in enumerate(text.splitlines(), 1):
            record = json.loads(line)
            self.assertEqual((record["n"], record["previous"], record["node"]), (number, previous, "KME-A"))
            previous = hashlib.sha256(line.encode()).hexdigest()
        export = self.lab.folder / "export.jsonl"
        export.write_text(text)
        self.assertIn("each follows the one before it", self.qkmsctl("verify", "--file", export))
        lines = text.splitlines(keepends=True)
        for wrong, words in ((lines[:3] + lines[4:], "removed"), (lines[:2] + [lines[3], lines[2]] + lines[4:], "removed, repeated or moved"),
                             ([lines[0].replace("KME-A", "KME-B")] + lines[1:], "it was changed")):
            export.write_text("".join(wrong))
            self.assertIn(words, self.qkmsctl("verify", "--file", export, expected=1))

    def test_tail_and_verify(self):
        self.assertEqual(len(self.qkmsctl("tail", "--lines", "3").splitlines()), 3)
        self.assertIn("each follows the one before it", self.qkmsctl("verify"))
        self.assertIn("none of: tail, export, verify", self.qkmsctl("eat", expected=1))

    def test_no_key_bit_is_in_it(self):
        keys = self.lab.client("SAE-A1").get_key("SAE-B1", number=5)[1]["keys"]
        text = self.qkmsctl("export")
        for key in keys:
            self.assertNotIn(key["key"], text)


class ATamperedLog(LabCase):
    def test_keeps_the_daemon_from_starting(self):
        kme = self.lab.kmes["KME-B"]
        self.assertEqual(kme.stop(), 0)
        store = sqlite3.connect(kme.state / "store.db")
        with store:
            store.execute("DELETE FROM audit WHERE first = (SELECT max(first) FROM audit)")
        store.close()
        kme.start()
        self.assertEqual(kme.process.wait(timeout=30), 74)
        self.assertIn("audit log does not end where its sealed head says", kme.log.read_text())


class ACopyForSyslog(LabCase):
    """Each record as one datagram to a socket that we listen on; while nobody does, service goes on and nothing is lost."""

    @classmethod
    def prepare(cls):
        cls.kme = cls.lab.kmes["KME-A"]
        cls.place = cls.kme.folder / "log"
        cls.kme.configuration.write_text(cls.kme.configuration.read_text() + "[audit]\nsyslog = \"log\"\n")
        cls.listen()

    @classmethod
    def listen(cls):
        cls.place.unlink(missing_ok=True)
        cls.listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        cls.listener.bind(str(cls.place))
        cls.listener.settimeout(30)

    def receive(self):
        header, brace, line = self.listener.recv(1 << 18).decode().partition("{")
        self.assertRegex(header, r"^<85>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \S+ qkmsd \d+ audit - $")
        self.got.append(json.loads(brace + line))

    def receive_until(self, last):
        while not self.got or self.got[-1]["n"] < last:
            self.receive()

    def stop_listening(self):
        """What the socket has taken is read: to the daemon it is copied."""
        self.listener.shutdown(socket.SHUT_RD)
        self.listener.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.receive()
        self.listener.close()
        self.place.unlink()

    def exported(self):
        pki, port = self.lab.pki, self.kme.ports["operator"]
        command = [BUILD / "cli" / "qkmsctl", "audit", "export", "--url", f"https://127.0.0.1:{port}", "--ca", pki / "operator-ca.crt",
                   "--cert", pki / "operator" / "admin.crt", "--key", pki / "operator" / "admin.key", "--timeout", "30"]
        return [json.loads(line) for line in subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()]

    def test_every_record_is_there_also_after_an_outage(self):
        self.got = []
        client = self.lab.client("SAE-A1")
        self.assertEqual(client.get_key("SAE-B1")[0], 200)
        self.receive_until(self.exported()[-1]["n"])
        self.stop_listening()
        for _ in range(20):
            self.assertEqual(client.get_key("SAE-B1")[0], 200)
        wait_for(lambda: "the audit log is not copied to the syslog" in self.kme.log.read_text(), "it says so", 30)
        self.listen()
        log = self.exported()
        self.receive_until(log[-1]["n"])
        self.assertEqual([record for record in self.got if record["n"] <= log[-1]["n"]], log)
        wait_for(lambda: "copied to the syslog again; 0 records were not copied" in self.kme.log.read_text(), "it says so", 30)
        self.assertEqual(self.kme.log.read_text().count("is not copied to the syslog"), 1)


if __name__ == "__main__":
    unittest.main()
