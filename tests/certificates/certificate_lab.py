"""Two KMEs whose KME-B trusts, on each listener, the development CA and a second one with intermediates, all with revocation lists."""

import pathlib
import re
import socket
import ssl
import sys
import tempfile
import unittest
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from authority import CLIENT, PEER, Authority, Credential  # noqa: E402
from lab_case import BUILD  # noqa: E402
from sites import LISTENERS, Lab, wait_for  # noqa: E402

# Whom each listener of KME-B knows. KME-A, of the lower ID, is the one that connects to the other.
NAMES = {"sae": "SAE-B1", "peer": "KME-A", "operator": "admin"}
EXTENSIONS = {"sae": CLIENT, "peer": PEER, "operator": CLIENT}
WELCOME = {"sae": 200, "peer": 101, "operator": 200}
REQUESTS = {
    "sae": "GET /api/v1/keys/SAE-A1/status HTTP/1.1\r\nHost: kme\r\n\r\n",
    "peer": "GET /qkms/peer HTTP/1.1\r\nHost: kme\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n",
    "operator": "GET /livez HTTP/1.1\r\nHost: kme\r\n\r\n",
}
MAX_INTERMEDIATES = 4  # certs::kMaxChainDepth
REFUSED = "refused"  # in the handshake, or closed right after it: not a byte of HTTP


class Trust:
    """What a listener of KME-B trusts, and what looks like it."""

    def __init__(self, lab, listener):
        folder = lab.folder / "authorities" / listener
        self.subject = f"/CN={NAMES[listener]}"
        self.extensions = EXTENSIONS[listener]
        self.development = Authority(folder / "development", credential=Credential.at(lab.pki / f"{listener}-ca"))
        self.root = Authority(folder / "root", f"/CN=root for {listener}")
        self.middle = self.root.sub_authority("/CN=middle")
        self.revoked_middle = self.root.sub_authority("/CN=revoked middle")
        self.silent_middle = self.root.sub_authority("/CN=middle without a list")
        self.links = self.make_links(MAX_INTERMEDIATES + 1)
        self.impostor = Authority(folder / "impostor", f"/CN=qkms DEVELOPMENT {listener} CA")
        self.revoked = self.issue()
        self.ca_file = lab.folder / f"{listener}-cas.crt"
        known = (self.development, self.root, self.middle, self.revoked_middle, *self.links)
        self.ca_file.write_text("".join(one.certificate.read_text() for one in known))
        self.crl_file = lab.folder / f"{listener}-crl.pem"
        self.write_lists([self.revoked])

    def write_lists(self, revoked):
        """The file of revocation lists, with `revoked` in that of the development CA."""
        lists = [self.development.revocation_list(revoked), self.root.revocation_list([self.revoked_middle])]
        lists += [one.revocation_list() for one in (self.middle, self.revoked_middle, *self.links)]
        self.crl_file.write_text("".join(lists))

    def issue(self, subject=None, extensions=None, **how):
        """By the development CA: good unless told otherwise."""
        return self.development.issue(subject or self.subject, {**self.extensions, **(extensions or {})}, **how)

    def issue_below(self, authority, *chain):
        return authority.issue(self.subject, self.extensions).followed_by(*chain)

    def make_links(self, count):
        chain = [self.root]
        for number in range(count):
            chain.append(chain[-1].sub_authority(f"/CN=link {number + 1}"))
        return chain[1:]

    def chain_of(self, intermediates):
        return self.issue_below(self.links[intermediates - 1], *reversed(self.links[:intermediates]))


def trust_in(kme, trusts):
    """Writes the CAs and revocation lists of `trusts` (listener: Trust) into a configuration."""
    text = kme.configuration.read_text()
    for listener, trust in trusts.items():
        old = f'ca = "{kme.lab.pki}/{listener}-ca.crt"\n'
        assert old in text
        text = text.replace(old, f'ca = "{trust.ca_file}"\ncrl = "{trust.crl_file}"\n')
    kme.configuration.write_text(text)


def connect(lab, listener, credential=None, kme="KME-B", alpn=(), version=None):
    """A TLS connection by a client that would send any certificate."""
    context = ssl.create_default_context(cafile=str(lab.pki / f"{listener}-ca.crt"))
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    if version is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = version
    if alpn:
        context.set_alpn_protocols(alpn)
    if credential is not None:
        context.load_cert_chain(credential.certificate, credential.key)
    raw = socket.create_connection(("127.0.0.1", lab.kmes[kme].ports[listener]), timeout=20)
    try:
        return context.wrap_socket(raw, server_hostname="127.0.0.1")
    except OSError:
        raw.close()
        raise


def ask(lab, listener, credential=None, request=None, **how):
    """The status of the answer, or REFUSED. No answer within 20 s is an error."""
    try:
        with connect(lab, listener, credential, **how) as connection:
            connection.sendall((request or REQUESTS[listener]).encode())
            head = connection.recv(4096)
    except TimeoutError:
        raise
    except OSError:  # alerts are such
        return REFUSED
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", head)
    return int(found.group(1)) if found else REFUSED


class CertificateCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.lab = Lab(cls.scratch.name, BUILD)
        try:
            cls.trusts = {listener: Trust(cls.lab, listener) for listener in LISTENERS}
            trust_in(cls.lab.kmes["KME-B"], cls.trusts)
            cls.lab.start()
            cls.lab.wait_for_keys(50, "SAE-B1", "SAE-A1")
        except Exception:
            cls.tearDownClass()
            raise
        cls.healthy = cls.lab.client("SAE-B1")

    @classmethod
    def tearDownClass(cls):
        cls.lab.close()
        cls.scratch.cleanup()

    def expect(self, listener, name, credential, expected=REFUSED, **how):
        with self.subTest(name, listener=listener):
            self.assertEqual(ask(self.lab, listener, credential, **how), expected)
            self.assertEqual(self.healthy.get_key("SAE-A1")[0], 200, "a healthy SAE goes on")

    def wait_until_well(self):
        """After someone took the peer's session over: until it is back."""
        wait_for(lambda: self.healthy.get_key("SAE-A1")[0] == 200, "keys again", 60)
