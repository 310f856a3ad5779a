#!/usr/bin/env python3
"""Whom we connect to must be the right one too: a KME that dials its peer, and qkmsctl that asks a daemon (threat T04)."""

import contextlib
import socket
import ssl
import subprocess
import tempfile
import unittest

from authority import CLIENT, SERVER, Credential
from certificate_lab import BUILD, Lab, Trust, trust_in
from sites import wait_for

DEADLINE_S = 30
LOCAL = {"subjectAltName": "DNS:localhost,IP:127.0.0.1"}


class Stranger:
    """A TLS server at a port of the lab that shows a certificate and takes note of what callers say after the handshake."""

    def __init__(self, port, credential):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.set_ciphers("DEFAULT:@SECLEVEL=0")
        self.context.load_cert_chain(credential.certificate, credential.key)
        self.listener = socket.create_server(("127.0.0.1", port))
        self.listener.settimeout(DEADLINE_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def hear(self):
        """What the next caller says, up to the end of a header or of the connection; b"" when it turns away."""
        raw, _ = self.listener.accept()
        raw.settimeout(DEADLINE_S)
        heard = b""
        with contextlib.suppress(ssl.SSLError, ConnectionError), self.context.wrap_socket(raw, server_side=True) as caller:
            while b"\r\n\r\n" not in heard:
                part = caller.recv(4096)
                if not part:
                    break
                heard += part
        raw.close()
        return heard


class Connecting(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.addCleanup(self.scratch.cleanup)
        self.lab = Lab(self.scratch.name, BUILD)
        self.addCleanup(self.lab.close)

    def test_a_kme_speaks_to_its_peer_alone(self):
        """T04: KME-A dials KME-B and meets somebody else. A KME is known by the KME ID that the peers' CA certified for it; the host name by
        which it was found says nothing about it, so that of the certificate is not compared."""
        a, port = self.lab.kmes["KME-A"], self.lab.kmes["KME-B"].ports["peer"]
        trust = Trust(self.lab, "peer")
        trust_in(a, {"peer": trust})
        by_ca, name = trust.development, "/CN=KME-B"
        peer = trust.extensions
        revoked = by_ca.issue(name, peer)
        trust.write_lists([revoked])
        good = Credential.at(self.lab.pki / "kme" / "KME-B" / "peer")
        cases = {
            "another KME": (by_ca.issue("/CN=KME-C", peer), False),
            "itself": (Credential.at(self.lab.pki / "kme" / "KME-A" / "peer"), False),
            "the right KME's URI, and another": (by_ca.issue(name, {**peer, "subjectAltName": "URI:KME-B,URI:KME-C"}), False),
            "expired": (by_ca.issue(name, peer, from_days=-3, to_days=-1), False),
            "not yet valid": (by_ca.issue(name, peer, from_days=1), False),
            "self-signed": (by_ca.self_signed(name, peer), False),
            "another CA of the same name": (trust.impostor.issue(name, peer), False),
            "for clients only": (by_ca.issue(name, CLIENT), False),
            "a CA": (by_ca.issue(name, {**peer, "basicConstraints": "critical,CA:TRUE"}), False),
            "the right KME's SAE listener": (Credential.at(self.lab.pki / "kme" / "KME-B" / "sae"), False),
            "T08 revoked": (revoked, False),
            "T08 of a revoked intermediate": (trust.revoked_middle.issue(name, peer).followed_by(trust.revoked_middle), False),
            "T08 of an intermediate without a list": (trust.silent_middle.issue(name, peer).followed_by(trust.silent_middle), False),
            "T11 RSA-1024": (by_ca.issue(name, peer, key="RSA-1024"), False),
            "T11 SHA-1": (by_ca.issue(name, peer, digest="sha1"), False),
            "the right KME, from another host": (by_ca.issue(name, {**peer, "subjectAltName": "DNS:elsewhere.test"}), True),
            "the right KME": (good, True),
            "the right KME, of an intermediate": (trust.middle.issue(name, peer).followed_by(trust.middle), True),
        }
        for case, (credential, expected) in cases.items():
            with self.subTest(case), Stranger(port, credential) as stranger:
                a.start().wait_until_up()
                heard = stranger.hear()
                self.assertEqual(a.stop(), 0)
                self.assertEqual(heard.startswith(b"GET /qkms/peer HTTP/1.1\r\n"), expected, heard)
                self.assertEqual(heard != b"", expected, "not a byte for a stranger")

    def test_a_kme_is_not_dialled_by_a_stranger_in_vain(self):
        """The stranger's answer above is not for want of a daemon that works: with the true KME-B the link comes up."""
        self.lab.start()
        wait_for(lambda: self.lab.kmes["KME-A"].ledger("KME-B").get("available_own", 0) > 0, "the two meet", 60)

    def test_qkmsctl_speaks_to_its_daemon_alone(self):
        """T04: for an operator's tool the host name is what is compared."""
        port = self.lab.kmes["KME-B"].ports["operator"]
        trust = Trust(self.lab, "operator")
        by_ca, name = trust.development, "/CN=KME-B"
        server = {**SERVER, **LOCAL}
        cases = {
            "another host": (by_ca.issue(name, {**SERVER, "subjectAltName": "DNS:elsewhere.test"}), False),
            "no host": (by_ca.issue("/CN=127.0.0.1", SERVER), False),
            "expired": (by_ca.issue(name, server, from_days=-3, to_days=-1), False),
            "self-signed": (by_ca.self_signed(name, server), False),
            "another CA of the same name": (trust.impostor.issue(name, server), False),
            "for clients only": (by_ca.issue(name, {**CLIENT, **LOCAL}), False),
            "the right one": (by_ca.issue(name, server), True),
        }
        operator = self.lab.pki / "operator" / "admin"
        for case, (credential, expected) in cases.items():
            with self.subTest(case), Stranger(port, credential) as stranger:
                command = [self.lab.qkmsctl, "live", "--url", f"https://127.0.0.1:{port}", "--cert", f"{operator}.crt", "--key", f"{operator}.key",
                           "--ca", self.lab.pki / "operator-ca.crt"]
                with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as tool:
                    heard = stranger.hear()
                    self.assertNotEqual(tool.wait(timeout=DEADLINE_S), 0, "nobody answers it")
                self.assertEqual(heard.startswith(b"GET /livez"), expected, heard)
                self.assertEqual(heard != b"", expected, "not a byte for a stranger")


if __name__ == "__main__":
    unittest.main()
