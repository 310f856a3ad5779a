"""Limits as clients meet them: rates, quotas, reserves, guessing. T01 and T26 of the threats (docs/threats.md)."""

import base64
import concurrent.futures
import json
import os
import pathlib
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from lab_case import BUILD, LabCase, sites  # noqa: E402


class Greed(LabCase):
    """KME-A limits SAE-A1 as a master; SAE-A2 has a reserve towards SAE-B1."""

    rate_bps = 50_000
    more_saes = {"SAE-A3": "KME-A"}
    reserve_keys = 100

    @classmethod
    def prepare(cls):
        kme = cls.lab.kmes["KME-A"]
        text = kme.configuration.read_text()
        text = text.replace('id = "SAE-A1"\nkme = "KME-A"\n', 'id = "SAE-A1"\nkme = "KME-A"\n[saes.quota]\nkeys_per_s = 20\n')
        end = text.find("[[saes]]", text.index('[[allow]]\nmaster = "SAE-A2"'))
        kme.configuration.write_text(text[:end] + f"[allow.quota]\nreserve_bytes = {cls.reserve_keys * 32}\n" + text[end:])

    def key(self, master, slave):
        """As soon as there is one: other tests have taken all they could."""
        client = self.lab.client(master)
        return sites.wait_for(lambda: client.get_key(slave)[1].get("keys"), f"a key for {master}", 60)[0]

    def limited(self, sae):
        return self.lab.kmes["KME-A"].metrics().get(("qkms_sae_limited_total", (("sae", sae),)), 0)

    def test_stops_an_sae_at_its_rate_and_says_when_to_come_back(self):
        """T01: one SAE asks for ten times its rate; it is told 429 with Retry-After, it is counted, and meanwhile the other one is served. The
        flood is a process of its own, so that it does not slow the measuring client down."""
        calm = self.times_of_keys("SAE-A2", 100)
        began = time.monotonic()
        # Under a sanitizer, beside other tests, a hundred keys may take a while.
        flood = self.flood("SAE-A1", per_s=200, seconds=30 if os.environ.get("QKMS_SANITIZE") else 12)
        sites.wait_for(lambda: self.limited("SAE-A1") > 100, "the flood is refused")
        flooded = self.times_of_keys("SAE-A2", 100)
        self.assertIsNone(flood.poll(), "the flood went on all the time")
        statuses = json.loads(flood.communicate(timeout=60)[0])["statuses"]
        self.assertEqual(set(statuses), {"200", "429"})
        lasted = time.monotonic() - began
        self.assertLessEqual(statuses["200"], 20 * (lasted + 1) + 200 + 1)  # the rate, ten seconds' worth at once, one that overdraws
        self.assertGreaterEqual(self.limited("SAE-A1"), statuses["429"])
        self.assertEqual(self.limited("SAE-A2"), 0)
        self.assertGreaterEqual(int(self.first_refusal("SAE-A1").getheader("Retry-After")), 1)
        print(f"greedy SAE: {statuses}; the other one's p50 {calm[50]:.1f} ms calm, {flooded[50]:.1f} ms meanwhile; p99 {calm[98]:.1f} and {flooded[98]:.1f} ms")

    def first_refusal(self, sae):
        """What little the rate has brought since the flood is soon used up."""
        client = self.lab.client(sae)
        client.status("SAE-B1")
        for _ in range(300):
            client.connection.request("POST", "/api/v1/keys/SAE-B1/enc_keys", "{}")
            answer = client.connection.getresponse()
            answer.read()
            if answer.status == 429:
                return answer
        self.fail("it was never refused")

    def flood(self, sae, per_s, seconds):
        pki = self.lab.pki
        command = [BUILD / "bench" / "qkms-loadgen", "--target", f"127.0.0.1:{self.lab.kmes['KME-A'].ports['sae']}", "--ca", pki / "sae-ca.crt",
                   "--cert", pki / "sae" / f"{sae}.crt", "--key", pki / "sae" / f"{sae}.key", "--scenario", "get_key", "--sae", "SAE-B1",
                   "--keys", 1, "--connections", 4, "--threads", 1, "--warmup", 0, "--rate", per_s, "--seconds", seconds]
        return subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True)

    def times_of_keys(self, sae, count):
        """Milliseconds of each request, in order of size."""
        client, times = self.lab.client(sae), []
        client.status("SAE-B1")
        for _ in range(count):
            began = time.perf_counter()
            status, body = client.get_key("SAE-B1")
            times.append(1e3 * (time.perf_counter() - began))
            self.assertEqual(status, 200, body)
        return sorted(times)

    def test_keeps_a_reserve_that_nobody_else_can_drain(self):
        """T01: an SAE without any limit takes all that it can get, over several connections at once."""
        def drain(_):
            client, taken = self.lab.client("SAE-A3"), 0
            for _ in range(2000):
                status, body = client.get_key("SAE-B1", 32)  # far faster than the link brings new ones
                if status == 429:
                    self.assertEqual(body["details"], [{"qkms_reason": "reserved"}])
                    return taken
                self.assertEqual(status, 200, body)
                taken += 32
            self.fail("the reservoir has no end")

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            taken = sum(pool.map(drain, range(4)))
        reserved = self.lab.client("SAE-A2")
        status, body = reserved.status("SAE-B1")
        self.assertEqual(status, 200)
        self.assertGreaterEqual(body["stored_key_count"], self.reserve_keys)
        status, body = reserved.get_key("SAE-B1", self.reserve_keys)
        self.assertEqual((status, len(body["keys"])), (200, self.reserve_keys))
        print(f"an SAE without limits took {taken} keys; the {self.reserve_keys} kept for the other one were there")

    def test_slows_down_whoever_guesses_key_ids_and_nobody_else(self):
        guesser, other = self.lab.client("SAE-B2"), self.lab.client("SAE-B1")
        unknown = ["00000000-0000-4000-8000-000000000000"]
        before = self.misses("SAE-B2")
        began = time.monotonic()
        guesses = 0
        while time.monotonic() - began < 8:
            status, _ = guesser.get_by_ids("SAE-A1", unknown)
            self.assertEqual(status, 400)
            guesses += 1
        # Without the brake it would be thousands. 20 are free, and then two a second.
        self.assertLess(guesses, 80)
        key = self.key("SAE-A2", "SAE-B1")
        status, fetched = other.get_by_ids("SAE-A2", [key["key_ID"]])
        self.assertEqual((status, fetched["keys"][0]["key"]), (200, key["key"]))
        self.assertEqual(self.misses("SAE-B2"), before + guesses)

    def misses(self, sae):
        return self.lab.kmes["KME-B"].metrics().get(("qkms_sae_misses_total", (("sae", sae),)), 0)

    def test_refuses_a_foreign_key_as_the_standard_says_and_gives_no_key_byte(self):
        """T02: four SAEs, all pairs: only the named slave gets the key."""
        masters = {"SAE-A1": "SAE-B1", "SAE-A2": "SAE-B1"}
        for master, slave in masters.items():
            key = self.key(master, slave)
            for caller in ("SAE-A1", "SAE-A2", "SAE-B1", "SAE-B2"):
                if caller == slave:
                    continue
                client = self.lab.client(caller)
                status, body = client.get_by_ids(master, [key["key_ID"]])
                self.assertIn(status, (400, 401), (master, caller))
                self.assertNotIn(key["key"], str(body))
                if caller == "SAE-B2":
                    self.assertEqual((status, body), (401, None))
            status, fetched = self.lab.client(slave).get_by_ids(master, [key["key_ID"]])
            self.assertEqual(status, 200)
            self.assertEqual(len(base64.b64decode(fetched["keys"][0]["key"])), 32)


class Connections(LabCase):
    """T12, T13: what connections may use up, by name and by address."""

    more = "[limits]\nmax_connections_per_name = 5\nfailed_handshakes_per_s = 3\n"

    def open_one(self, sae, address="127.0.0.1"):
        """A connection that has been answered, or None when it was closed instead."""
        client = self.lab.client(sae)
        connection = socket.create_connection(("127.0.0.1", client.port), timeout=5, source_address=(address, 0))
        try:
            connection = client.context.wrap_socket(connection, server_hostname="127.0.0.1")
            connection.sendall(b"GET /api/v1/keys/SAE-B1/status HTTP/1.1\r\nHost: kme\r\n\r\n")
            if connection.recv(12) == b"HTTP/1.1 200":
                return connection
        except OSError:
            pass
        connection.close()
        return None

    def test_of_one_sae_are_limited(self):
        opened = [self.open_one("SAE-A1") for _ in range(8)]
        self.assertEqual([one is not None for one in opened], [True] * 5 + [False] * 3)
        other = self.open_one("SAE-A2")
        self.assertIsNotNone(other, "another SAE has its own limit")
        opened[0].close()
        again = sites.wait_for(lambda: self.open_one("SAE-A1"), "a place is free again")
        for one in (other, again, *opened[1:5]):
            one.close()

    def test_that_fail_again_and_again_cost_their_address_the_next_ones(self):
        kme = self.lab.kmes["KME-A"]
        for _ in range(60):
            try:
                with socket.create_connection(("127.0.0.1", kme.ports["sae"]), timeout=5, source_address=("127.0.0.3", 0)) as stranger:
                    stranger.sendall(b"this is no TLS\r\n\r\n")
                    stranger.recv(100)
            except OSError:
                pass
        failed = kme.metrics()[("qkms_failed_handshakes_total", (("listener", "sae"),))]
        self.assertLess(failed, 50)
        self.assertIsNone(self.open_one("SAE-A1", "127.0.0.3"))
        good = self.open_one("SAE-A1", "127.0.0.4")
        self.assertIsNotNone(good)
        good.close()
        late = sites.wait_for(lambda: self.open_one("SAE-A1", "127.0.0.3"), "it is let in again", 30)
        late.close()


class LimitedClients(LabCase):
    """For clients that know the standard's codes alone, and for operators who tell nothing about foreign keys."""

    @classmethod
    def prepare(cls):
        for kme in cls.lab.kmes.values():
            text = kme.configuration.read_text()
            text = text.replace("[peer]\n", 'limited_answer = "503"\nforeign_key_answer = "400"\n[peer]\n', 1)
            kme.configuration.write_text(text + "[quota]\nkeys_per_s = 1\n")

    def test_hears_503_with_retry_after(self):
        client = self.lab.client("SAE-A1")
        answers = [client.get_key("SAE-B1") for _ in range(14)]
        self.assertEqual({status for status, _ in answers}, {200, 503})
        refusal = next(body for status, body in answers if status == 503)
        self.assertEqual(refusal["details"], [{"qkms_reason": "rate-limited"}])

    def test_cannot_tell_a_foreign_key_from_an_unknown_one(self):
        """T26, what is said; when it is said is shown by AnswersNoMissBeforeTheTick in kms/policy_test.cc."""
        asking = self.lab.client("SAE-A2")
        key = sites.wait_for(lambda: asking.get_key("SAE-B1")[1].get("keys"), "a key", 60)[0]
        client = self.lab.client("SAE-B2")
        foreign = client.get_by_ids("SAE-A2", [key["key_ID"]])
        unknown = client.get_by_ids("SAE-A2", ["00000000-0000-4000-8000-000000000000"])
        self.assertEqual(foreign, unknown)
        self.assertEqual(foreign[0], 400)


if __name__ == "__main__":
    unittest.main()
