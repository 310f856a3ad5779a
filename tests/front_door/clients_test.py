#!/usr/bin/env python3
"""Clients as they are, where it takes more than bytes: TLS versions, certificates, SNI, ALPN, connections that stay, rest, end or half end."""

import contextlib
import json
import pathlib
import re
import select
import socket
import ssl
import subprocess
import sys
import time
import unittest
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

from lab_case import LabCase  # noqa: E402
from sites import wait_for  # noqa: E402

import checks  # noqa: E402
import wire  # noqa: E402

STATUS = "/api/v1/keys/SAE-B1/status"
ENC_KEYS = "/api/v1/keys/SAE-B1/enc_keys"
LEAF = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\n"
ISSUER = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"
REFUSED = (ssl.SSLError, ConnectionError, wire.WireError)


def request(target=STATUS, headers=(), body=None, method=None, version="1.1"):
    lines = [f"{method or ('GET' if body is None else 'POST')} {target} HTTP/{version}", "Host: kme.example", *headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


class FrontDoor(LabCase):
    @classmethod
    def files(cls, name):
        return cls.made / f"{name}.crt", cls.made / f"{name}.key"

    @classmethod
    def issue(cls, name, kind, subject, extensions, ca=None):
        """A key of this kind and its certificate, by `ca` (its certificate and key) or by itself, as `name` in the folder `made`."""
        certificate, key = cls.files(name)
        signing_request, extension_file = certificate.with_suffix(".csr"), certificate.with_suffix(".ext")
        extension_file.write_text(extensions)
        options = [word for option in kind[1:] for word in ("-pkeyopt", option)]
        common_name = re.sub(r"([/+\\])", r"\\\1", subject)
        cls.lab.run("openssl", "req", "-new", "-newkey", kind[0], *options, "-nodes", "-utf8", "-keyout", key, "-out", signing_request,
                    "-subj", f"/CN={common_name}")
        signer = ["-signkey", key] if ca is None else ["-CA", ca[0], "-CAkey", ca[1], "-CAcreateserial"]
        cls.lab.run("openssl", "x509", "-req", "-in", signing_request, "-out", certificate, "-days", "2", "-extfile", extension_file, *signer)

    @classmethod
    def prepare_folder(cls):
        cls.made = cls.lab.folder / "made"
        cls.made.mkdir()
        return cls.lab.pki / "sae-ca.crt", cls.lab.pki / "sae-ca.key"

    def context(self, certificate="SAE-A1", folder=None):
        stem = (folder or self.lab.pki / "sae") / certificate
        context = ssl.create_default_context(cafile=str(self.lab.pki / "sae-ca.crt"))
        context.load_cert_chain(f"{stem}.crt", f"{stem}.key")
        return context

    def connect(self, context=None, **more):
        connection = wire.connect(self.lab.kmes["KME-A"].ports["sae"], context or self.context(), **more)
        self.addCleanup(connection.close)
        return connection

    def expect(self, connection, keys=0):
        """The next answer is 200, and all that an answer must be."""
        answer = connection.read_answer()
        self.assertIsNotNone(answer, "closed without an answer")
        self.assertEqual((answer.status, list(checks.check_answer(answer))), (200, []))
        self.assertEqual(len(checks.decode(answer.body).get("keys", [])), keys)
        return answer

    def expect_served(self, context, **more):
        connection = self.connect(context, **more)
        connection.send(request())
        self.expect(connection)
        return connection

    def expect_refused(self, context, **more):
        with self.assertRaises(REFUSED):
            self.expect_served(context, **more)


class Tls(FrontDoor):
    @classmethod
    def prepare(cls):
        """Certificates that the development PKI does not make: of other kinds, and with a CA between (the PKI's own CA allows none)."""
        lab_ca = cls.prepare_folder()
        for name, *kind in (("rsa-2048", "rsa:2048"), ("rsa-4096", "rsa:4096"), ("p-256", "ec", "ec_paramgen_curve:P-256"),
                            ("p-384", "ec", "ec_paramgen_curve:P-384")):
            cls.issue(name, kind, "SAE-A1", LEAF, lab_ca)
        cls.issue("root", ["rsa:2048"], "root", ISSUER)
        cls.issue("between", ["ec", "ec_paramgen_curve:P-256"], "between", ISSUER, cls.files("root"))
        cls.issue("below", ["rsa:2048"], "SAE-A1", LEAF, cls.files("between"))
        for name, parts in (("chain", ("below", "between")), ("chain-with-root", ("below", "between", "root"))):
            (cls.made / f"{name}.crt").write_bytes(b"".join((cls.made / f"{part}.crt").read_bytes() for part in parts))
            (cls.made / f"{name}.key").write_bytes((cls.made / "below.key").read_bytes())
        with lab_ca[0].open("ab") as bundle:
            bundle.write((cls.made / "root.crt").read_bytes())

    def test_versions_1_2_and_1_3_are_spoken_and_nothing_older(self):
        for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
            with self.subTest(name):
                context = self.context()
                context.minimum_version = context.maximum_version = version
                self.assertEqual(self.expect_served(context).socket.version(), name)
        old = self.context()
        old.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        with self.assertRaisesRegex(ssl.SSLError, "alert protocol version"):  # the daemon's alert: it is not our own library that refuses
            self.connect(old)

    def test_client_certificates_may_be_rsa_or_ecdsa_in_either_version(self):
        for name in ("rsa-2048", "rsa-4096", "p-256", "p-384"):
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                with self.subTest(f"{name} {version.name}"):
                    context = self.context(name, self.made)
                    context.minimum_version = context.maximum_version = version
                    self.expect_served(context)

    def test_a_chain_in_the_clients_file_is_used(self):
        self.expect_served(self.context("chain", self.made))
        self.expect_served(self.context("chain-with-root", self.made))
        self.expect_refused(self.context("below", self.made))

    def test_sni_may_be_absent_or_of_another_host(self):
        context = self.context()
        context.check_hostname = False
        for name in (None, "localhost", "kme.vendor.example", "kme_under.score", "xn--kme-bcher-kva.example", ".".join(["x" * 60] * 4)):
            with self.subTest(str(name)):
                self.expect_served(context, server_hostname=name)

    def test_alpn_may_be_absent_and_http_1_1_is_chosen(self):
        self.assertIsNone(self.expect_served(self.context()).socket.selected_alpn_protocol())
        for offer in (["http/1.1"], ["h2", "http/1.1"], ["http/1.1", "h2"], ["spdy/3", "http/1.1"]):
            with self.subTest(str(offer)):
                context = self.context()
                context.set_alpn_protocols(offer)
                self.assertEqual(self.expect_served(context).socket.selected_alpn_protocol(), "http/1.1")

    def test_T15_a_client_that_speaks_h2_only_is_refused(self):
        for offer in (["h2"], ["h2c", "h3"]):
            with self.subTest(str(offer)):
                context = self.context()
                context.set_alpn_protocols(offer)
                self.expect_refused(context)

    def test_plain_http_gets_no_answer(self):
        with socket.create_connection(("127.0.0.1", self.lab.kmes["KME-A"].ports["sae"]), timeout=wire.DEADLINE_S) as plain:
            plain.sendall(request())
            received = b""
            with contextlib.suppress(ConnectionResetError):
                while data := plain.recv(4096):
                    received += data
        self.assertNotIn(b"HTTP", received)


class Names(FrontDoor):
    """T19: one name in the configuration, the certificate and the path, compared exactly."""

    KNOWN = ("SAE+A1", "SAE A1", "sae-a1", "a/b", "a%2Fb", "back\\slash", 'O="Example, Inc."', "SAE;x=1", "%", "-", "<b>", "N" * 64)
    UNKNOWN = ("Sae-A1", "SAE-A1 ", " SAE-A1", "SAE-A1.", "SAE%2DA1", "SAE-A1\\", "\uff33AE-A1", "SAE\u2010A1", "SAE-A1\u200b", "caf\u00e9", "KME-A")
    more = "\n".join(f'[[saes]]\nid = {json.dumps(name)}\nkme = "KME-A"\n[[allow]]\nmaster = {json.dumps(name)}\nslaves = ["SAE-B1"]'
                     for name in KNOWN)

    @classmethod
    def prepare(cls):
        lab_ca = cls.prepare_folder()
        for i, name in enumerate(cls.KNOWN + cls.UNKNOWN):
            cls.issue(str(i), ["ec", "ec_paramgen_curve:P-256"], name, LEAF, lab_ca)

    def test_a_known_one_is_itself_and_nobody_else(self):
        for i, name in enumerate(self.KNOWN):
            with self.subTest(name):
                connection = self.connect(self.context(str(i), self.made))
                connection.send(request())
                self.assertEqual(checks.decode(self.expect(connection).body)["master_SAE_ID"], name)

    def test_one_that_only_looks_known_is_not_served(self):
        for i, name in enumerate(self.UNKNOWN, len(self.KNOWN)):
            with self.subTest(ascii(name)), contextlib.suppress(*REFUSED):
                connection = self.connect(self.context(str(i), self.made))
                connection.send(request())
                self.assertEqual(connection.read_answer().status, 401)


class Connections(FrontDoor):
    def open_connections(self):
        return self.lab.kmes["KME-A"].metrics()["qkms_connections", (("listener", "sae"),)]

    def test_a_new_connection_for_each_of_100_requests(self):
        context = self.context()
        for _ in range(100):
            with wire.connect(self.lab.kmes["KME-A"].ports["sae"], context) as connection:
                connection.send(request(ENC_KEYS))
                self.expect(connection, keys=1)
        wait_for(lambda: self.open_connections() <= 1, "the connections are gone")

    def test_one_connection_for_500_requests(self):
        connection = self.connect()
        for _ in range(500):
            connection.send(request())
            self.expect(connection)

    def test_http_1_0_and_connection_close_end_after_one_answer(self):
        for name, text in (("HTTP/1.0", request(version="1.0")), ("Connection: close", request(headers=["Connection: close"]))):
            with self.subTest(name):
                connection = self.connect()
                connection.send(text)
                self.expect(connection)
                connection.expect_end()

    def test_expect_100_continue_is_answered_before_the_body_comes(self):
        for length in ("Content-Length: 12", "Transfer-Encoding: chunked"):
            with self.subTest(length):
                connection = self.connect()
                connection.send(request(ENC_KEYS, ["Expect: 100-continue", length], method="POST"))
                self.assertEqual(connection.read_answer().status, 100)
                self.assertEqual(select.select([connection.socket], [], [], 0.3)[0], [], "an answer before the body")
                connection.send(b'{"number":2}' if "12" in length else b'c\r\n{"number":2}\r\n0\r\n\r\n')
                self.expect(connection, keys=2)
                connection.send(request())
                self.expect(connection)

    def test_a_request_may_come_a_byte_at_a_time(self):
        connection = self.connect()
        for byte in request(ENC_KEYS, body=b'{"number":2}'):
            self.assertEqual(select.select([connection.socket], [], [], 0.005)[0], [], "an answer before the end of the request")
            connection.send(bytes([byte]))
        self.expect(connection, keys=2)

    def test_a_client_that_ends_its_half_of_tcp_gets_its_answer(self):
        connection = self.connect()
        connection.send(request(ENC_KEYS))
        socket.socket.shutdown(connection.socket, socket.SHUT_WR)
        self.expect(connection, keys=1)

    def test_a_client_that_ends_its_half_of_tls_gets_its_answer(self):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.context().wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
        with socket.create_connection(("127.0.0.1", self.lab.kmes["KME-A"].ports["sae"]), timeout=wire.DEADLINE_S) as plain:
            def drive(step, wait=True):
                while True:
                    try:
                        result = step()
                        plain.sendall(outgoing.read())
                        return result
                    except ssl.SSLWantReadError:
                        plain.sendall(outgoing.read())
                        if not wait:
                            return None
                        data = plain.recv(65536)
                        incoming.write(data) if data else incoming.write_eof()

            drive(tls.do_handshake)
            drive(lambda: tls.write(request(ENC_KEYS)))
            drive(tls.unwrap, wait=False)  # close_notify goes out; reading goes on
            self.assertRegex(drive(lambda: tls.read(65536)), rb"^HTTP/1\.1 200 ")

    def test_a_client_that_leaves_in_the_middle_of_a_request_executes_nothing(self):
        granted = ("qkms_requests_total", (("method", "enc_keys"), ("status", "200")))
        before = self.lab.kmes["KME-A"].metrics()[granted]
        whole = request(ENC_KEYS, body=b'{"number":2}')
        for size in (1, 20, whole.index(b"\r\n\r\n") + 2, len(whole) - 12, len(whole) - 1):
            with wire.connect(self.lab.kmes["KME-A"].ports["sae"], self.context()) as connection:
                connection.send(whole[:size])
        wait_for(lambda: self.open_connections() <= 1, "the connections are gone")
        self.assertEqual(self.lab.kmes["KME-A"].metrics()[granted], before)

    def test_curl_as_people_call_it(self):
        url = f"https://127.0.0.1:{self.lab.kmes['KME-A'].ports['sae']}{ENC_KEYS}"
        stem = self.lab.pki / "sae" / "SAE-A1"
        for name, options in (("-d", ["-d", '{"number":2}']), ("-G -d", ["-G", "-d", "number=2"]), ("--http2", ["--http2", "-d", '{"number":2}']),
                              ("--http1.0", ["--http1.0", "-d", '{"number":2}']), ("--tls-max 1.2", ["--tls-max", "1.2", "-d", '{"number":2}']),
                              ("chunked", ["-H", "Transfer-Encoding: chunked", "-d", '{"number":2}']),
                              ("--json", ["--json", '{"number":2}']), ("Expect", ["-H", "Expect: 100-continue", "-d", '{"number":2}'])):
            with self.subTest(name):
                text = self.lab.run("curl", "--silent", "--show-error", "--fail", "--max-time", 20, "--cacert", self.lab.pki / "sae-ca.crt",
                                    "--cert", f"{stem}.crt", "--key", f"{stem}.key", *options, url)
                self.assertEqual(len(json.loads(text)["keys"]), 2)


class Deadlines(FrontDoor):
    """T12: each phase has a deadline, and a byte now and then does not prolong it."""

    idle_s = 3
    more = "[limits]\nidle_ms = 3000\nheader_ms = 2000\nbody_ms = 2000\nhandshake_ms = 2000\n"

    def test_a_connection_that_rested_is_used_again(self):
        connection = self.connect()
        for _ in range(3):
            connection.send(request())
            self.expect(connection)
            self.assertEqual(select.select([connection.socket], [], [], self.idle_s / 4)[0], [], "closed too early")

    def test_a_connection_that_rests_too_long_is_closed_in_order(self):
        connection = self.connect()
        connection.send(request())
        self.expect(connection)
        since = time.monotonic()
        connection.expect_end()
        self.assertGreater(time.monotonic() - since, 0.9 * self.idle_s)

    def expect_cut_off(self, connection):
        """Sends a byte now and then until the daemon has had enough: it closes, perhaps after a 408."""
        end = time.monotonic() + wire.DEADLINE_S
        while not select.select([connection.socket], [], [], 0.1)[0]:
            self.assertLess(time.monotonic(), end, "still open")
            connection.send(b"x")
        with contextlib.suppress(wire.WireError):
            answer = connection.read_answer()
            self.assertIn(answer and answer.status, (None, 408))

    def test_a_slow_header_ends_the_connection(self):
        connection = self.connect()
        connection.send(b"GET /")
        self.expect_cut_off(connection)

    def test_a_slow_body_ends_the_connection(self):
        connection = self.connect()
        connection.send(request(ENC_KEYS, ["Content-Length: 1000"], method="POST"))
        self.expect_cut_off(connection)

    def test_a_slow_body_that_was_asked_for_ends_the_connection(self):
        connection = self.connect()
        connection.send(request(ENC_KEYS, ["Expect: 100-continue", "Content-Length: 1000"], method="POST"))
        self.assertEqual(connection.read_answer().status, 100)
        self.expect_cut_off(connection)

    def test_a_handshake_that_does_not_begin_ends_the_connection(self):
        with socket.create_connection(("127.0.0.1", self.lab.kmes["KME-A"].ports["sae"]), timeout=wire.DEADLINE_S) as plain:
            with contextlib.suppress(ConnectionResetError):
                self.assertEqual(plain.recv(1), b"")


if __name__ == "__main__":
    unittest.main()
