#!/usr/bin/env python3
"""Certificates as attackers and careless CAs make them, shown to all three listeners over real TLS (threats T04, T06, T07, T08, T11, T13)."""

import json
import unittest

from authority import SERVER, Credential
from certificate_lab import LISTENERS, MAX_INTERMEDIATES, NAMES, REFUSED, REQUESTS, WELCOME, CertificateCase, ask, connect


class EachListener(CertificateCase):
    def bad_for(self, trust):
        """{name: credential}: all with the name that the listener knows."""
        issue = trust.issue
        return {
            "T04 none": None,
            "T04 expired": issue(from_days=-3, to_days=-1),
            "T04 not yet valid": issue(from_days=1),
            "T04 self-signed": trust.development.self_signed(trust.subject, trust.extensions),
            "T04 of another CA of the same name": trust.impostor.issue(trust.subject, trust.extensions),
            "T04 of another CA of the same name, which is sent along":
                trust.issue_below(trust.impostor, trust.impostor),
            "T06 for servers only": issue(extensions=SERVER),
            "T06 without extended key usage": trust.development.issue(
                trust.subject, {name: value for name, value in trust.extensions.items() if name != "extendedKeyUsage"}),
            "T06 a CA": issue(extensions={"basicConstraints": "critical,CA:TRUE"}),
            "T06 issued by a leaf": self.issued_by_a_leaf(trust),
            "T08 revoked": trust.revoked,
            "T08 of a revoked intermediate": trust.issue_below(trust.revoked_middle, trust.revoked_middle),
            "T08 of an intermediate without a list": trust.issue_below(trust.silent_middle, trust.silent_middle),
            "T11 RSA-1024": issue(key="RSA-1024"),
            "T11 signed with SHA-1": issue(digest="sha1"),
            "T13 one intermediate too many": trust.chain_of(MAX_INTERMEDIATES + 1),
            "T13 a chain of 40 kB": issue(extensions={"nsComment": "x" * 40_000}),
        }

    @staticmethod
    def issued_by_a_leaf(trust):
        leaf = trust.root.sub_authority("/CN=a leaf", extensions={"basicConstraints": "critical,CA:FALSE"})
        return trust.issue_below(leaf, leaf)

    def test_a_bad_certificate_gets_no_answer_and_a_healthy_sae_goes_on(self):
        """T04, T06, T08, T11, T13."""
        for listener in LISTENERS:
            for name, credential in self.bad_for(self.trusts[listener]).items():
                self.expect(listener, name, credential)

    def test_a_good_one_of_the_same_makers_does(self):
        """The control of the table above: what is refused there is so for its fault."""
        for listener in LISTENERS:
            trust = self.trusts[listener]
            good = {
                "of the development CA": trust.issue(),
                "of an intermediate": trust.issue_below(trust.middle, trust.middle),
                "of an intermediate that the listener has itself": trust.issue_below(trust.middle),
                "of as many intermediates as are allowed": trust.chain_of(MAX_INTERMEDIATES),
                "of the root": trust.issue_below(trust.root),
            }
            for name, credential in good.items():
                with self.subTest(name, listener=listener):
                    self.assertEqual(ask(self.lab, listener, credential), WELCOME[listener])
        self.wait_until_well()

    def test_a_certificate_is_good_on_its_own_listener_alone(self):
        """T06: all pairs."""
        kme = self.lab.pki / "kme" / "KME-A"
        certificates = {
            "sae": [self.lab.pki / "sae" / "SAE-B1", kme / "sae"],
            "peer": [kme / "peer"],
            "operator": [self.lab.pki / "operator" / "admin", kme / "operator"],
        }
        for of, stems in certificates.items():
            for stem in stems:
                for listener in set(LISTENERS) - {of}:
                    self.expect(listener, f"{stem.relative_to(self.lab.pki)} on {listener}", Credential.at(stem))

    def test_a_certificate_of_the_right_ca_that_names_somebody_else_is_nobody(self):
        """T06: the contract's 401; a KME that is no configured peer is closed without a word."""
        names = {
            "unknown": {"subject": "/CN=KME-C"},
            "T19 another letter case": {},
            "T06 two common names": {"subject": "/CN={0}/CN={0}"},
            "T06 two URIs": {"extensions": {"subjectAltName": "URI:{0},URI:{0}"}},
            "T06 right CN, another URI": {"extensions": {"subjectAltName": "URI:urn:other"}},
            "T06 a wildcard": {"subject": "/CN=*"},
            "T06 name with a blank": {"subject": "/CN={0} "},
            "T06 no name": {"subject": "/O={0}"},
            "T06 name in an other name": {"subject": "/O=x", "extensions": {"subjectAltName": "otherName:1.3.6.1.4.1.311.20.2.3;UTF8:{0}"}},
            "T06 name in a DNS name": {"subject": "/O=x", "extensions": {"subjectAltName": "DNS:{0}"}},
        }
        for listener in LISTENERS:
            for name, how in names.items():
                own = NAMES[listener].swapcase() if name.startswith("T19") else NAMES[listener]
                how = {"subject": how.get("subject", "/CN={0}").format(own),
                       "extensions": {key: value.format(own) for key, value in how.get("extensions", {}).items()}}
                self.expect(listener, name, self.trusts[listener].issue(**how), REFUSED if listener == "peer" else 401)

    def test_a_peer_that_names_this_kme_is_refused(self):
        """T04: a certificate of our own, shown to us."""
        self.expect("peer", "its own", Credential.at(self.lab.pki / "kme" / "KME-B" / "peer"))

    def test_a_subject_of_10_kB_names_nobody(self):
        """T06, T13."""
        huge = "/".join(["", *[f"OU={number:03}{'x' * 60}" for number in range(160)]])
        self.expect("sae", "subject of 10 kB, no CN", self.trusts["sae"].issue(huge), 401)
        self.expect("operator", "subject of 10 kB, no CN", self.trusts["operator"].issue(huge), 401)
        self.expect("peer", "subject of 10 kB, no CN", self.trusts["peer"].issue(huge))

    def test_equal_serial_numbers_of_two_cas_are_two_identities(self):
        """T07."""
        trust = self.trusts["sae"]
        self.assertEqual(self.caller(trust.development.issue("/CN=SAE-B1", serial=5)), "SAE-B1")
        self.assertEqual(self.caller(trust.root.issue("/CN=SAE-B2", serial=5)), "SAE-B2")
        self.assertEqual(self.caller(trust.development.issue("/CN=SAE-B1", serial=5)), "SAE-B1")

    def caller(self, credential):
        """Whom KME-B takes the caller for: Get status says it (ETSI GS QKD 014 V1.1.1 clause 6.1)."""
        with connect(self.lab, "sae", credential) as connection:
            connection.sendall(REQUESTS["sae"].replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").encode())
            answer = b""
            while part := connection.recv(4096):
                answer += part
        return json.loads(answer.split(b"\r\n\r\n", 1)[1])["master_SAE_ID"]


if __name__ == "__main__":
    unittest.main()
