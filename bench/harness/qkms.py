"""Two qkmsd daemons, KME-A and KME-B, on loopback, joined by a simulated link. SAE-A asks at A, SAE-B fetches at B."""

import http.client
import json
import os
import ssl
import time

from .pki import Authority
from .processes import BenchError, Server, free_ports

CONFIGURATION = """
[kme]
id = "{name}"
state_dir = "{folder}/state"
master_key = "file:{folder}/master.key"
[sae]
listen = "127.0.0.1:{sae_port}"
{sae_files}
[peer]
listen = "127.0.0.1:{peer_port}"
{peer_files}
[operator]
listen = "127.0.0.1:{operator_port}"
{operator_files}
allowed = ["operator"]
[keys]
max_count = 2147483647
[log]
level = "error"
[[peers]]
id = "{other}"
address = "127.0.0.1:{other_peer_port}"
reservoir_capacity_bytes = {capacity_bytes}
[[links]]
id = "link-ab"
peer = "{other}"
driver = "simulated"
max_pending_bytes = 268435456
[links.simulated]
seed = "bench"
rate_bps = {rate_bps}
burst_ms = {burst_ms}
[[saes]]
id = "SAE-A"
kme = "KME-A"
[[saes]]
id = "SAE-B"
kme = "KME-B"
[[allow]]
master = "SAE-A"
slaves = ["SAE-B"]
"""

LISTENERS = ("sae", "peer", "operator")
BURST_MS = 10
CAPACITY_BYTES = 256 << 20
# Half of what is shared is the other side's to use; the rest is never quite full.
MOST_KEYS_TO_WAIT_FOR = CAPACITY_BYTES // 32 // 2 * 3 // 4


class Site:
    def __init__(self, name, folder, ports, other, other_ports, authorities, rate_bps):
        self.name = name
        self.folder = folder / name
        self.ports = dict(zip(LISTENERS, ports))
        (self.folder / "state").mkdir(parents=True, mode=0o700)
        master_key = self.folder / "master.key"
        master_key.touch(mode=0o600)
        master_key.write_bytes(os.urandom(32))
        files = {listener: self._files(authorities[listener], name) for listener in LISTENERS}
        self.configuration = self.folder / "qkmsd.toml"
        self.configuration.write_text(
            CONFIGURATION.format(
                name=name,
                folder=self.folder,
                other=other,
                other_peer_port=other_ports[1],
                capacity_bytes=CAPACITY_BYTES,
                rate_bps=rate_bps,
                burst_ms=BURST_MS,
                **{f"{listener}_port": port for listener, port in self.ports.items()},
                **{f"{listener}_files": text for listener, text in files.items()},
            )
        )
        self.server = None

    @staticmethod
    def _files(authority, name):
        certificate, key = authority.issue(name)
        return f'certificate = "{certificate}"\nkey = "{key}"\nca = "{authority.certificate}"'

    def start(self, binary):
        self.server = Server(f"qkmsd {self.name}", [binary, "--config", self.configuration], self.folder / "log")


class Sites:
    """Both daemons. stop() ends them."""

    def __init__(self, folder, sae_authority, binary, rate_bps):
        self.binary = binary
        authorities = {
            "sae": sae_authority,
            "peer": Authority(folder, "peer"),
            "operator": Authority(folder, "operator"),
        }
        ports = free_ports(6)
        a_ports, b_ports = ports[:3], ports[3:]
        self.a = Site("KME-A", folder, a_ports, "KME-B", b_ports, authorities, rate_bps)
        self.b = Site("KME-B", folder, b_ports, "KME-A", a_ports, authorities, rate_bps)
        self.port_a, self.port_b = a_ports[0], b_ports[0]

    def start(self, sae_certificate, sae_key, ca):
        self.tls = ssl.create_default_context(cafile=str(ca))
        self.tls.load_cert_chain(sae_certificate, sae_key)
        for site in (self.a, self.b):
            site.start(self.binary)
        self.a.server.wait_for_port(self.port_a)
        self.b.server.wait_for_port(self.port_b)

    def stop(self):
        for site in (self.a, self.b):
            if site.server is not None:
                site.server.stop()

    def stored_keys(self):
        """stored_key_count of Status at A for SAE-B; None while A cannot say."""
        connection = http.client.HTTPSConnection("127.0.0.1", self.port_a, context=self.tls, timeout=5)
        try:
            connection.request("GET", "/api/v1/keys/SAE-B/status")
            answer = connection.getresponse()
            body = answer.read()
            return json.loads(body)["stored_key_count"] if answer.status == 200 else None
        except OSError:
            return None
        finally:
            connection.close()

    def wait_for_keys(self, wanted, deadline_s):
        """Waits for that many keys; returns how many there are at the end, be it fewer."""
        end = time.monotonic() + deadline_s
        while True:
            self.a.server.check()
            self.b.server.check()
            stored = self.stored_keys()
            if (stored or 0) >= wanted or time.monotonic() > end:
                break
            time.sleep(0.1)
        if stored is None:
            raise BenchError(f"KME-A does not answer Status:\n{self.a.server.last_words()}")
        return stored

    def memory(self):
        return {site.name: site.server.memory() for site in (self.a, self.b)}
