"""Reload without a break, from outside: what a SIGHUP or POST /reload changes, what it leaves alone, and that nobody notices.

Threats of the table (docs/threats.md): T10 (eviction on open connections)."""

import http.client
import pathlib
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from lab_case import LabCase, sites  # noqa: E402

RELOADS = 100
CLIENTS = 4


class Reload(LabCase):
    more = '[log]\nlevel = "info"\n'

    def setUp(self):
        self.kme = self.lab.kmes["KME-A"]
        self.written = self.kme.configuration.read_text()

    def tearDown(self):
        self.kme.configuration.write_text(self.written)
        self.assertEqual(self.reload()[0], 200)

    def operator(self, method, path):
        context = ssl.create_default_context(cafile=str(self.lab.pki / "operator-ca.crt"))
        context.load_cert_chain(self.lab.pki / "operator" / "admin.crt", self.lab.pki / "operator" / "admin.key")
        connection = http.client.HTTPSConnection("127.0.0.1", self.kme.ports["operator"], context=context, timeout=20)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def reload(self):
        return self.operator("POST", "/reload")

    def rewrite(self, old, new, count=-1):
        text = self.kme.configuration.read_text()
        self.assertIn(old, text)
        self.kme.configuration.write_text(text.replace(old, new, count))

    def metric(self, name, **labels):
        return self.kme.metrics().get((name, tuple(sorted(labels.items()))), 0)

    # --- nobody notices

    def test_drops_no_request_in_a_hundred_reloads(self):
        """Keys are asked for, fetched at the other side, and connections made anew, while the configuration is reloaded by signal, with
        good and bad contents in turn and another certificate each time."""
        stop, failures, done = threading.Event(), [], [0] * CLIENTS
        certificate = self.lab.pki / "kme" / "KME-A" / "sae.crt"
        original = certificate.read_bytes()

        def work(index):
            try:
                master, slave = self.lab.client("SAE-A1"), self.lab.client("SAE-B1")
                while not stop.is_set():
                    status, body = master.get_key("SAE-B1")
                    if status != 200:
                        failures.append((status, body))
                        continue
                    status, fetched = slave.get_by_ids("SAE-A1", [body["keys"][0]["key_ID"]])
                    if status != 200 or fetched["keys"] != body["keys"]:
                        failures.append((status, "fetch"))
                    done[index] += 1
                    if done[index] % 10 == 0:
                        master.close()  # a new connection, perhaps in the middle of a reload
            except (OSError, http.client.HTTPException) as error:
                failures.append(repr(error))

        workers = [threading.Thread(target=work, args=(i,)) for i in range(CLIENTS)]
        for worker in workers:
            worker.start()
        try:
            for i in range(RELOADS):
                if i % 2 == 0:
                    certificate.write_bytes(original + original)  # the same leaf, another file
                else:
                    self.rewrite('level = "info"', 'level = "loud"')
                before = self.metric("qkms_reloads_total", outcome="applied") + self.metric("qkms_reloads_total", outcome="refused")
                self.kme.process.send_signal(signal.SIGHUP)
                sites.wait_for(lambda: self.metric("qkms_reloads_total", outcome="applied")
                               + self.metric("qkms_reloads_total", outcome="refused") > before, "the reload")
                certificate.write_bytes(original)
                self.kme.configuration.write_text(self.written)
        finally:
            stop.set()
            for worker in workers:
                worker.join()
        self.assertEqual(failures, [])
        self.assertGreater(min(done), 20)
        self.assertGreaterEqual(self.metric("qkms_reloads_total", outcome="applied"), RELOADS // 2)
        self.assertGreaterEqual(self.metric("qkms_reloads_total", outcome="refused"), RELOADS // 2)
        print(f"{sum(done)} keys asked for and fetched during {RELOADS} reloads, none lost")

    # --- what takes effect

    def test_denies_a_removed_sae_on_its_open_connection_within_a_second(self):
        """T10."""
        asking, idle, other = self.lab.client("SAE-A1"), self.lab.client("SAE-A1"), self.lab.client("SAE-A2")
        for client in (asking, idle, other):
            self.assertEqual(client.status("SAE-B1")[0], 200)
        block = '[[saes]]\nid = "SAE-A1"\nkme = "KME-A"\n'
        self.rewrite(block, "")
        text = self.kme.configuration.read_text()
        start = text.index('[[allow]]\nmaster = "SAE-A1"')
        end = text.find("[[saes]]", start)
        text = text[:start] + text[end:]
        self.kme.configuration.write_text(text.replace('"SAE-A1", ', ""))
        self.assertEqual(self.reload()[0], 200)

        connection = asking.connection
        connection.request("GET", "/api/v1/keys/SAE-B1/status")
        answer = connection.getresponse()
        self.assertEqual((answer.status, answer.read(), answer.will_close), (401, b"", True))
        idle.connection.sock.settimeout(1)
        self.assertEqual(idle.connection.sock.recv(1), b"", "the idle connection is closed within a second")
        self.assertEqual(other.status("SAE-B1")[0], 200)
        self.assertGreaterEqual(self.metric("qkms_evicted_connections_total", listener="sae"), 2)

    def test_lets_a_new_sae_in(self):
        """An SAE that the file did not name before; its certificate is of the same CA."""
        client = self.lab.client("SAE-A1")
        text = self.written.replace('id = "SAE-A1"', 'id = "SAE-Z"').replace('"SAE-A1"', '"SAE-Z"')
        self.kme.configuration.write_text(text)
        self.assertEqual(self.reload()[0], 200)
        self.assertEqual(client.status("SAE-B1")[0], 401)
        self.kme.configuration.write_text(self.written)
        self.assertEqual(self.reload()[0], 200)
        self.assertEqual(client.status("SAE-B1")[0], 200)

    def test_shows_a_new_certificate_to_new_connections(self):
        folder = self.lab.pki / "kme" / "KME-A"
        kept = {name: (folder / name).read_bytes() for name in ("sae.crt", "sae.key")}
        before = self.certificate_shown()
        for suffix in ("crt", "key"):
            shutil.copy(self.lab.pki / "kme" / "KME-B" / f"sae.{suffix}", folder / f"sae.{suffix}")
        try:
            self.assertEqual(self.certificate_shown(), before)
            self.assertEqual(self.reload()[0], 200)
            self.assertNotEqual(self.certificate_shown(), before)
        finally:
            for name, content in kept.items():
                (folder / name).write_bytes(content)

    def certificate_shown(self):
        client = self.lab.client("SAE-A1")
        client.status("SAE-B1")
        shown = client.connection.sock.getpeercert(binary_form=True)
        client.close()
        return shown

    def test_closes_connections_whose_ca_is_not_believed_any_more(self):
        client = self.lab.client("SAE-A1")
        self.assertEqual(client.status("SAE-B1")[0], 200)
        stranger = self.lab.folder / "stranger"
        if not stranger.exists():
            self.lab.run(self.lab.qkmsctl, "dev-pki", "--out", stranger, "--kme", "KME-A", "--operator", "x", "--sae", "SAE-A1")
        self.rewrite(f'{self.lab.pki}/sae-ca.crt', f"{stranger}/sae-ca.crt")
        self.assertEqual(self.reload()[0], 200)
        client.connection.sock.settimeout(2)
        self.assertEqual(client.connection.sock.recv(1), b"")

    def test_puts_limits_in_force_and_lifts_them(self):
        client = self.lab.client("SAE-A1")
        self.kme.configuration.write_text(self.written + "[quota]\nkeys_per_s = 1\n")
        self.assertEqual(self.reload()[0], 200)
        statuses = [client.get_key("SAE-B1")[0] for _ in range(15)]
        self.assertEqual(statuses[:10], [200] * 10)
        self.assertIn(429, statuses[10:])
        self.kme.configuration.write_text(self.written)
        self.assertEqual(self.reload()[0], 200)
        self.assertEqual(client.get_key("SAE-B1")[0], 200)

    def test_takes_a_peer_away_and_back(self):
        client = self.lab.client("SAE-A1")
        text = self.written
        start, end = text.index("[[peers]]"), text.index("[[saes]]")
        without = text[:start] + text[end:]
        without = "\n".join(self.drop_entries(without, "KME-B"))
        self.kme.configuration.write_text(without)
        status, said = self.reload()
        self.assertEqual(status, 200, said)
        status, _ = client.get_key("SAE-B1")
        self.assertEqual(status, 400)
        self.kme.configuration.write_text(self.written)
        self.assertEqual(self.reload()[0], 200)
        sites.wait_for(lambda: client.get_key("SAE-B1")[0] == 200, "keys again")

    @staticmethod
    def drop_entries(text, kme):
        """The lines of `text` without the SAEs of a KME and everything that names them."""
        entries = text.replace("\n[[", "\n\0[[").split("\0")
        gone = {line.split('"')[1] for entry in entries if f'kme = "{kme}"' in entry for line in entry.splitlines() if line.startswith("id")}
        for entry in entries:
            if f'kme = "{kme}"' in entry or any(f'"{sae}"' in entry for sae in gone):
                continue
            yield from entry.splitlines()

    # --- what is refused

    def test_keeps_the_old_configuration_on_any_error_and_says_why(self):
        client = self.lab.client("SAE-A1")
        cases = {
            "not TOML": ("[kme]", "[kme", "not TOML"),
            "an unknown option": ('level = "info"', 'levle = "info"', "Did you mean 'log.level'?"),
            "a certificate that is not there": ("sae.crt", "missing.crt", "missing.crt"),
            "a key of another certificate": ("KME-A/sae.key", "KME-A/peer.key", "not the key of"),
        }
        for name, (old, new, said) in cases.items():
            with self.subTest(name):
                self.rewrite(old, new)
                status, body = self.reload()
                self.assertEqual(status, 400)
                self.assertIn(said, body)
                self.assertEqual(client.get_key("SAE-B1")[0], 200)
                self.kme.configuration.write_text(self.written)

    def test_says_what_waits_for_the_next_start(self):
        self.rewrite(f'listen = "127.0.0.1:{self.kme.ports["sae"]}"', 'listen = "127.0.0.1:1"')
        status, said = self.reload()
        self.assertEqual((status, said), (200, "reloaded; these options wait for the next start: sae.listen\n"))
        self.assertEqual(self.lab.client("SAE-A1").status("SAE-B1")[0], 200)

    def test_is_the_operators_alone(self):
        status, _ = self.operator("GET", "/reload")
        self.assertEqual(status, 405)
        context = ssl.create_default_context(cafile=str(self.lab.pki / "sae-ca.crt"))
        context.load_cert_chain(self.lab.pki / "sae" / "SAE-A1.crt", self.lab.pki / "sae" / "SAE-A1.key")
        connection = http.client.HTTPSConnection("127.0.0.1", self.kme.ports["sae"], context=context, timeout=20)
        connection.request("POST", "/reload")
        self.assertEqual(connection.getresponse().status, 404)
        connection.close()

    def test_can_be_asked_for_with_qkmsctl(self):
        operator = self.lab.pki / "operator" / "admin"
        command = [self.lab.qkmsctl, "reload", "--config", self.kme.configuration, "--cert", f"{operator}.crt", "--key", f"{operator}.key"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, "reloaded\n"), done.stderr)


if __name__ == "__main__":
    unittest.main()
