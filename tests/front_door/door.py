"""The two sites that the corpus is played against, seen from outside: their callers, metrics, logs and memory.

More SAEs live at KME-B than in the plain lab, with names that are legal and awkward: a name that is mangled on its way from the target to
the engine would be unknown there, or another's.
"""

import http.client
import json
import pathlib
import ssl
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

from lab_case import BUILD  # noqa: E402
from sites import Lab, parse_metrics  # noqa: E402

AWKWARD_SAES = ("SAE+B1", "SAE B1", "sae-b1", "a/b", "a%2Fb", "back\\slash", 'CN=enc 1,O="Example, Inc."', "https://sae.example/b?x=1#f",
                "SAE;x=1", "enc_keys", "status", "-", "_", "%", "{brace}", "L" * 320)
# For requests with as many additional slaves as are allowed (8) and one more.
SEVERAL_SAES = tuple(f"SAE-M{i}" for i in range(1, 10))

FOREIGN_SLAVE = "SAE+B1"
UNKNOWN_KEY_ID = "0189b6c2-5a1e-4f3d-8c7b-001122334455"

SITES = {"default": "", "large bodies": "max_body_bytes = 16777216\n"}


def more_configuration(limits):
    lines = []
    for sae in AWKWARD_SAES + SEVERAL_SAES:
        lines += ["[[saes]]", f"id = {json.dumps(sae)}", 'kme = "KME-B"']
    lines += ["[[allow]]", 'master = "SAE-A1"', f"slaves = {json.dumps(AWKWARD_SAES + SEVERAL_SAES)}"]
    return "\n".join(lines) + '\n[log]\nlevel = "trace"\n' + (f"[limits]\n{limits}" if limits else "")


class Door:
    def __init__(self, site="default", build=BUILD):
        self.scratch = tempfile.TemporaryDirectory()
        self.lab = Lab(self.scratch.name, build, rate_bps=20_000_000, more=more_configuration(SITES[site]))
        self.contexts = {}
        self.operators = {}
        self.settlers = {"KME-A": self.lab.client("SAE-A1"), "KME-B": self.lab.client("SAE-B1")}
        self.given = {}  # key ID -> base64 text, of all keys that masters got
        self.peer_of = {"KME-A": "SAE-B1", "KME-B": "SAE-A1"}  # whom a caller at this KME asks keys for, or from
        try:
            self.lab.start()
            self.lab.wait_for_keys(10_000)
            self.lab.wait_for_keys(1_000, "SAE-B1", "SAE-A1")
        except BaseException:
            self.close()
            raise

    def close(self):
        for connection in self.operators.values():
            connection.close()
        self.lab.close()
        self.scratch.cleanup()

    def kme_of(self, caller):
        return self.lab.kmes[self.lab.saes.get(caller, "KME-A")]

    def context_of(self, caller, listener):
        """TLS settings of an SAE by its name, of any other certificate by its path in the PKI, or of `nobody`."""
        if (caller, listener) not in self.contexts:
            context = ssl.create_default_context(cafile=str(self.lab.pki / f"{listener}-ca.crt"))
            if caller != "nobody":
                stem = self.lab.pki / (f"sae/{caller}" if caller in self.lab.saes else caller)
                context.load_cert_chain(f"{stem}.crt", f"{stem}.key")
            self.contexts[caller, listener] = context
        return self.contexts[caller, listener]

    def get_key(self, master, slave):
        """A new key's ID."""
        client = self.lab.client(master)
        status, answer = client.get_key(slave)
        client.close()
        if status != 200:
            raise AssertionError(f"Get key for a case: {master} for {slave}: {status} {answer}")
        (key,) = answer["keys"]
        self.given[key["key_ID"]] = key["key"]
        return key["key_ID"]

    def fetch(self, slave, master, key_ids):
        client = self.lab.client(slave)
        status, answer = client.get_by_ids(master, key_ids)
        client.close()
        return status, answer

    def granted(self):
        """{KME: how many requests it has answered with keys}."""
        return {name: self._granted_by(kme) for name, kme in self.lab.kmes.items()}

    def _granted_by(self, kme):
        if kme.name not in self.operators:
            context = self.context_of("operator/admin", "operator")
            self.operators[kme.name] = http.client.HTTPSConnection("127.0.0.1", kme.ports["operator"], context=context, timeout=10)
        connection = self.operators[kme.name]
        connection.request("GET", "/metrics")
        metrics = parse_metrics(connection.getresponse().read().decode())
        return sum(int(metrics["qkms_requests_total", (("method", method), ("status", "200"))]) for method in ("enc_keys", "dec_keys"))

    def settle(self, kme):
        """A Get key of our own. The engine handles requests in the order of their arrival, so what came before is done afterwards."""
        master = self.settlers[kme.name]
        status, answer = master.get_key(self.peer_of[kme.name])
        if status != 200:
            raise AssertionError(f"Get key after a case: {status} {answer}")

    def log_size(self):
        return {name: kme.log.stat().st_size for name, kme in self.lab.kmes.items()}

    def log_since(self, sizes):
        return b"".join(kme.log.read_bytes()[sizes.get(name, 0):] for name, kme in self.lab.kmes.items())

    def memory_bytes(self, kme):
        """(resident now, the most since reset_peak)."""
        fields = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{kme.process.pid}/status").read_text().splitlines())
        return tuple(1024 * int(fields[name].split()[0]) for name in ("VmRSS", "VmHWM"))

    def reset_peak(self, kme):
        pathlib.Path(f"/proc/{kme.process.pid}/clear_refs").write_text("5")
