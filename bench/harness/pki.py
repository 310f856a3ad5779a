"""Throw-away P-256 certificates, made with the openssl command: a CA, and leaves that it signs."""

import pathlib

from .processes import run

EXTENSIONS = """basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth,clientAuth
subjectAltName=DNS:localhost,IP:127.0.0.1
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
"""

NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


class Authority:
    def __init__(self, folder, name):
        self.folder = pathlib.Path(folder)
        self.name = name
        self.certificate = self.folder / f"{name}-ca.crt"
        self.key = self.folder / f"{name}-ca.key"
        run(
            [
                "openssl",
                "req",
                "-x509",
                *NEW_KEY,
                "-days",
                "2",
                "-subj",
                f"/CN=bench {name} CA",
                "-keyout",
                self.key,
                "-out",
                self.certificate,
                "-addext",
                "basicConstraints=critical,CA:TRUE",
                "-addext",
                "keyUsage=critical,keyCertSign,cRLSign",
            ]
        )

    def issue(self, common_name):
        """(certificate file, key file) of a new leaf."""
        base = self.folder / f"{self.name}-{common_name}"
        certificate, key, request, extensions = (base.with_suffix(end) for end in (".crt", ".key", ".csr", ".ext"))
        extensions.write_text(EXTENSIONS)
        run(["openssl", "req", *NEW_KEY, "-subj", f"/CN={common_name}", "-keyout", key, "-out", request])
        run(
            [
                "openssl",
                "x509",
                "-req",
                "-in",
                request,
                "-CA",
                self.certificate,
                "-CAkey",
                self.key,
                "-CAcreateserial",
                "-days",
                "2",
                "-extfile",
                extensions,
                "-out",
                certificate,
            ]
        )
        key.chmod(0o600)
        return certificate, key
