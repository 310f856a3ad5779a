"""A certification authority for tests: certificates and revocation lists of any shape, made with the openssl command.

Good and bad ones come from the same code, so that a bad one is bad for the one reason that its test names.
"""

import datetime
import pathlib
import subprocess

CONFIGURATION = """[ca]
default_ca = this
[this]
database = {folder}/index.txt
serial = {folder}/serial
crlnumber = {folder}/crlnumber
new_certs_dir = {folder}
default_md = sha256
unique_subject = no
policy = anything
email_in_dn = no
[anything]
countryName = optional
organizationName = optional
organizationalUnitName = optional
commonName = optional
[req]
distinguished_name = empty
string_mask = utf8only
[empty]
"""

CLIENT = {"basicConstraints": "critical,CA:FALSE", "keyUsage": "critical,digitalSignature", "extendedKeyUsage": "clientAuth"}
SERVER = {**CLIENT, "extendedKeyUsage": "serverAuth"}
PEER = {**CLIENT, "extendedKeyUsage": "serverAuth,clientAuth"}
CA = {"basicConstraints": "critical,CA:TRUE", "keyUsage": "critical,keyCertSign,cRLSign"}

KEYS = {"P-256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "RSA-1024": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"]}


def openssl(*words):
    done = subprocess.run(["openssl", *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise AssertionError(f"openssl {' '.join(map(str, words))}\n{done.stderr}")
    return done.stdout


def in_days(days):
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    return when.strftime("%Y%m%d%H%M%SZ")


class Credential:
    """A certificate file, which may have its intermediates behind it, and the file with its key."""

    def __init__(self, certificate, key):
        self.certificate = pathlib.Path(certificate)
        self.key = pathlib.Path(key)

    @classmethod
    def at(cls, stem):
        return cls(f"{stem}.crt", f"{stem}.key")

    def followed_by(self, *others):
        """The same with a chain: the certificates of `others` behind its own."""
        chain = self.certificate.with_name(f"{self.certificate.stem}-and-{len(others)}.crt")
        chain.write_text("".join(one.certificate.read_text() for one in (self, *others)))
        return Credential(chain, self.key)


class Authority(Credential):
    """A CA with files of its own in `folder`. Without `credential` it is a new root of the name `subject`."""

    def __init__(self, folder, subject=None, credential=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        (self.folder / "index.txt").write_text("")
        (self.folder / "crlnumber").write_text("01")
        self.configuration = self.folder / "ca.cnf"
        self.configuration.write_text(CONFIGURATION.format(folder=self.folder))
        self.count = 0
        if credential is None:
            credential = Credential.at(self.folder / "root")
            self._make(credential, subject, CA, [])
        super().__init__(credential.certificate, credential.key)

    def issue(self, subject, extensions=None, from_days=-1.0, to_days=30.0, key="P-256", digest="sha256", serial=None):
        """A certificate; `subject` as in "/CN=SAE-A1", `extensions` as a dict of OpenSSL's names."""
        self.count += 1
        made = Credential.at(self.folder / f"issued-{self.count}")
        by = ["-cert", self.certificate, "-keyfile", self.key]
        self._make(made, subject, extensions or CLIENT, by, from_days, to_days, key, digest, serial)
        return made

    def self_signed(self, subject, extensions=None):
        self.count += 1
        made = Credential.at(self.folder / f"self-signed-{self.count}")
        self._make(made, subject, extensions or CLIENT, [])
        return made

    def sub_authority(self, subject, **how):
        made = self.issue(subject, {**CA, **how.pop("extensions", {})}, **how)
        return Authority(made.certificate.with_suffix(".ca"), credential=made)

    def revocation_list(self, revoked=(), from_days=-1.0, to_days=7.0):
        """The text of a list. It replaces what was revoked by earlier ones."""
        (self.folder / "index.txt").write_text("")
        for one in revoked:
            openssl("ca", "-config", self.configuration, "-batch", "-revoke", one.certificate, "-cert", self.certificate, "-keyfile", self.key)
        return openssl("ca", "-config", self.configuration, "-gencrl", "-crl_lastupdate", in_days(from_days), "-crl_nextupdate", in_days(to_days),
                       "-cert", self.certificate, "-keyfile", self.key)

    def _make(self, made, subject, extensions, by, from_days=-1.0, to_days=30.0, key="P-256", digest="sha256", serial=None):
        request, wanted = made.key.with_suffix(".csr"), made.key.with_suffix(".ext")
        wanted.write_text("".join(f"{name} = {value}\n" for name, value in extensions.items()))
        (self.folder / "index.txt").write_text("")  # else it refuses a serial number that it has given before
        openssl("genpkey", *KEYS[key], "-out", made.key)
        made.key.chmod(0o600)
        openssl("req", "-new", "-config", self.configuration, "-key", made.key, "-subj", subject, "-out", request)
        (self.folder / "serial").write_text(f"{serial:04x}" if serial else openssl("rand", "-hex", "12").strip())
        openssl("ca", "-config", self.configuration, "-batch", "-notext", "-preserveDN", "-in", request, "-out", made.certificate, "-extfile", wanted,
                "-startdate", in_days(from_days), "-enddate", in_days(to_days), "-md", digest,
                *(by or ["-selfsign", "-keyfile", made.key]))
