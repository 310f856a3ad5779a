#!/usr/bin/env python3
"""Who gets an answer from the operator listener: all its routes for all kinds of callers (threat T27)."""

import re
import unittest

from authority import Credential
from certificate_lab import REFUSED, CertificateCase, ask
from lab_case import SOURCE

METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS")


def routes():
    """All paths in the source of the listener, so that no new one is forgotten here."""
    source = (SOURCE / "server" / "operator_routes.cc").read_text()
    return sorted(set(re.findall(r'"(/[\w/.-]+)"', source)))


class OperatorRoutes(CertificateCase):
    def callers(self):
        """{name: (credential, what it gets)}; None: an answer of whatever status but 401."""
        pki, issue = self.lab.pki, self.trusts["operator"].issue
        return {
            "no certificate": (None, REFUSED),
            "an SAE": (Credential.at(pki / "sae" / "SAE-B1"), REFUSED),
            "a peer": (Credential.at(pki / "kme" / "KME-A" / "peer"), REFUSED),
            "this KME's own listener": (Credential.at(pki / "kme" / "KME-B" / "operator"), REFUSED),
            "an operator who is not allowed": (issue("/CN=former-admin"), 401),
            "an operator": (Credential.at(pki / "operator" / "admin"), None),
        }

    def test_only_operators_get_an_answer(self):
        """T27."""
        paths = routes()
        self.assertLessEqual({"/livez", "/readyz", "/metrics", "/rotate-master"}, set(paths))  # the last one: the same key is refused
        for caller, (credential, expected) in self.callers().items():
            for path in [*paths, "/", "/api/v1/keys/SAE-A1/status", "/none"]:
                for method in METHODS if path in ("/livez", "/metrics") else ("GET", "POST"):
                    with self.subTest(caller, path=path, method=method):
                        request = f"{method} {path} HTTP/1.1\r\nHost: kme\r\nContent-Length: 0\r\n\r\n"
                        answer = ask(self.lab, "operator", credential, request=request)
                        if expected is None:
                            self.assertNotIn(answer, (REFUSED, 401))
                            reads = path in ("/livez", "/metrics", "/readyz", "/audit", "/links") and method == "GET"
                            does = path in ("/reload", "/backup", "/seal", "/unseal") and method == "POST"
                            self.assertEqual(answer == 200, reads or does, answer)
                        else:
                            self.assertEqual(answer, expected)


if __name__ == "__main__":
    unittest.main()
