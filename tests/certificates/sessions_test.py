#!/usr/bin/env python3
"""No session outlives its connection, and nothing but HTTP/1.1 is agreed on (threats T09, T15)."""

import contextlib
import ssl
import subprocess
import unittest

from authority import Credential, openssl
from certificate_lab import LISTENERS, REQUESTS, WELCOME, CertificateCase, ask, connect
from sites import free_ports, wait_for

VERSIONS = {"sae": ("tls1_2", "tls1_3"), "peer": ("tls1_3",), "operator": ("tls1_3",)}


def s_client(port, credential, version, session, ca, request, *more):
    """What `openssl s_client` says of a connection: how the session came about, and each ticket that arrives before the answer."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", f"-{version}", "-cert", credential.certificate, "-key", credential.key,
               "-CAfile", ca, "-sess_out", session, "-msg", *more]
    with subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
        client.stdin.write(request.encode())
        client.stdin.flush()
        said = b""
        while b"HTTP/1.1 " not in said and b"HTTP/1.0 " not in said:
            part = client.stdout.read1(65536)
            if not part:
                break
            said += part
        client.kill()
        return said.decode(errors="replace")


def tickets(said):
    return said.count("NewSessionTicket")


class Sessions(CertificateCase):
    def credential(self, listener):
        stem = {"sae": "sae/SAE-B1", "peer": "kme/KME-A/peer", "operator": "operator/admin"}[listener]
        return Credential.at(self.lab.pki / stem)

    def visit(self, listener, version, session, *more):
        said = s_client(self.lab.kmes["KME-B"].ports[listener], self.credential(listener), version, session, self.lab.pki / f"{listener}-ca.crt",
                        REQUESTS[listener], *more)
        self.assertIn(f"HTTP/1.1 {WELCOME[listener]}", said)
        return said

    def test_there_are_no_tickets_and_no_resumption_on_any_listener(self):
        """T09: an old session is offered to the listener that it comes from and to each other one, with both versions of TLS."""
        sessions = {}
        for listener in LISTENERS:
            for version in VERSIONS[listener]:
                with self.subTest("the first visit", listener=listener, version=version):
                    sessions[listener, version] = self.lab.folder / f"{listener}-{version}.session"
                    said = self.visit(listener, version, sessions[listener, version])
                    self.assertEqual(tickets(said), 0)
                    self.assertIn("New, TLSv1", said)
                    if version == "tls1_3":
                        self.assertFalse(sessions[listener, version].exists(), "a session of TLS 1.3 comes with a ticket only")
        offered = [(of, version, file) for (of, version), file in sessions.items() if file.exists()]
        for of, version, file in offered:
            for listener in LISTENERS:
                if version not in VERSIONS[listener]:
                    continue
                with self.subTest("a session is offered", of=of, to=listener, version=version):
                    said = self.visit(listener, version, self.lab.folder / "unused", "-sess_in", file)
                    self.assertNotIn("Reused, ", said)
                    self.assertIn("New, TLSv1", said)
        self.wait_until_well()

    def test_a_listener_does_not_take_a_session_that_it_did_not_give(self):
        """T09: a session of TLS 1.3 with a ticket, made by another server, in the hope that ours has its key."""
        session = self.lab.folder / "foreign.session"
        with self.plain_server() as (port, ca):
            said = s_client(port, self.credential("sae"), "tls1_3", session, ca, "GET / HTTP/1.0\r\n\r\n")
            self.assertGreater(tickets(said), 0, "the control: tickets are seen where there are some")
            self.assertTrue(session.exists())
            said = s_client(port, self.credential("sae"), "tls1_3", self.lab.folder / "unused", ca, "GET / HTTP/1.0\r\n\r\n", "-sess_in", session)
            self.assertIn("Reused, ", said, "the control: resumption is seen where there is some")
        for listener in LISTENERS:
            with self.subTest(listener=listener):
                said = self.visit(listener, "tls1_3", self.lab.folder / "unused", "-sess_in", session)
                self.assertNotIn("Reused, ", said)
                self.assertEqual(tickets(said), 0)
        self.wait_until_well()

    @contextlib.contextmanager
    def plain_server(self):
        """`openssl s_server`, which gives tickets and resumes."""
        (port,) = free_ports(1)
        stem = self.lab.pki / "kme" / "KME-B" / "sae"
        command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", f"{stem}.crt", "-key", f"{stem}.key", "-www", "-quiet"]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
            try:
                wait_for(lambda: self.is_open(port), "s_server listens")
                yield port, self.lab.pki / "sae-ca.crt"
            finally:
                server.kill()

    @staticmethod
    def is_open(port):
        with contextlib.suppress(AssertionError):
            return bool(openssl("s_client", "-connect", f"127.0.0.1:{port}"))
        return False

    def test_the_only_protocol_is_http_1(self):
        """T15: no HTTP/2, so no rapid reset and no CONTINUATION flood."""
        cases = {"h2 and http/1.1": (["h2", "http/1.1"], "http/1.1"), "http/1.1": (["http/1.1"], "http/1.1"),
                 "http/1.0": (["http/1.0"], "http/1.0"), "none": ([], None)}
        for listener in LISTENERS:
            for name, (offered, chosen) in cases.items():
                with self.subTest(name, listener=listener), connect(self.lab, listener, self.credential(listener), alpn=offered) as connection:
                    self.assertEqual(connection.selected_alpn_protocol(), chosen)
            for offered in (["h2"], ["h2c"], ["http/0.9", "h3"]):
                with self.subTest("refused", listener=listener, offered=offered), self.assertRaises(ssl.SSLError) as refusal:
                    connect(self.lab, listener, self.credential(listener), alpn=offered)
                self.assertIn("no application protocol", str(refusal.exception).lower().replace("_", " "))
        self.assertEqual(ask(self.lab, "sae", self.credential("sae"), request="PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 400)

    def test_old_versions_of_tls_are_refused(self):
        """T11: TLS 1.2 at least for SAEs, 1.3 for peers and operators."""
        old = [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1]
        for listener in LISTENERS:
            for version in old if "tls1_2" in VERSIONS[listener] else [*old, ssl.TLSVersion.TLSv1_2]:
                with self.subTest(listener=listener, version=version.name), self.assertRaises(ssl.SSLError) as refusal:
                    connect(self.lab, listener, self.credential(listener), version=version)
                self.assertIn("protocol version", str(refusal.exception).lower().replace("_", " "))


if __name__ == "__main__":
    unittest.main()
