"""KMEs on this machine, for scenarios and tests: each a qkmsd process of its own with a store, certificates and a simulated link.

Lab makes a folder with a development PKI and a configuration per KME; Lab.start(), .kill(), .stop() run the daemons; Client asks as an
SAE over one kept connection. Loopback only; everything that was started is ended by Lab.close().
"""

import http.client
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import time

SOURCE = pathlib.Path(__file__).resolve().parent.parent

CONFIGURATION = """[kme]
id = "{name}"
state_dir = "{state}"
master_key = "file:master.key"
[sae]
listen = "127.0.0.1:{sae_port}"
{sae_files}
[peer]
listen = "127.0.0.1:{peer_port}"
{peer_files}
[operator]
listen = "127.0.0.1:{operator_port}"
{operator_files}
allowed = ["admin"]
"""

LISTENERS = ("sae", "peer", "operator")


class LabError(Exception):
    pass


def free_ports(count):
    """Ports that were free a moment ago: a peer's address must be known before the peer runs."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def wait_for(condition, what, deadline_s=20.0):
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise LabError(f"{what}: not within {deadline_s} s")
        time.sleep(0.02)


class Kme:
    def __init__(self, lab, name, ports):
        self.lab = lab
        self.name = name
        self.folder = lab.folder / name
        self.state = self.folder / "state"
        self.ports = dict(zip(LISTENERS, ports))
        self.configuration = self.folder / "qkmsd.toml"
        self.log = self.folder / "log.json"
        self.process = None
        self.how = {}  # further arguments of subprocess.Popen

    def write_configuration(self, sections):
        files = {}
        for listener in LISTENERS:
            stem = self.lab.pki / "kme" / self.name / listener
            files[f"{listener}_files"] = f'certificate = "{stem}.crt"\nkey = "{stem}.key"\nca = "{self.lab.pki}/{listener}-ca.crt"'
        ports = {f"{listener}_port": port for listener, port in self.ports.items()}
        text = CONFIGURATION.format(name=self.name, state=self.state, **ports, **files)
        self.configuration.write_text(text + sections)

    def start(self, under=(), environment=None):
        """`under` is a command that runs the daemon, for example strace; `environment` are variables besides those there are."""
        with self.log.open("ab") as log:
            command = [*under, self.lab.qkmsd, "--config", self.configuration]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **{"env": {**os.environ, **(environment or {})}, **self.how})
        return self

    def wait_until_up(self):
        def listens():
            if self.process.poll() is not None:
                raise LabError(f"{self.name} ended with {self.process.returncode}:\n{self.log.read_text(errors='replace')[-2000:]}")
            try:
                socket.create_connection(("127.0.0.1", self.ports["sae"]), timeout=1).close()
                return True
            except OSError:
                return False

        wait_for(listens, f"{self.name} listens")
        return self

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)

    def metrics(self):
        """{(metric, labels as sorted tuple): value} of the operator listener."""
        status, text = self.ask_operator("/metrics")
        if status != 200:
            raise LabError(f"/metrics answered {status}")
        return parse_metrics(text)

    def ask_operator(self, path, method="GET"):
        """(status, text) of the operator listener."""
        context = ssl.create_default_context(cafile=str(self.lab.pki / "operator-ca.crt"))
        context.load_cert_chain(self.lab.pki / "operator" / "admin.crt", self.lab.pki / "operator" / "admin.key")
        connection = http.client.HTTPSConnection("127.0.0.1", self.ports["operator"], context=context, timeout=10)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def ledger(self, peer):
        """{category: bits} of the reservoir shared with `peer`."""
        found = {}
        for (name, labels), value in self.metrics().items():
            labels = dict(labels)
            if name == "qkms_reservoir_bits" and labels.get("peer") == peer:
                found[labels["category"]] = int(value)
        return found


def parse_metrics(text):
    found = {}
    for line in text.splitlines():
        match = re.fullmatch(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)(?: \d+)?", line)
        if match:
            labels = tuple(sorted(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match.group(2) or "")))
            found[(match.group(1), labels)] = float(match.group(3))
    return found


class Client:
    """An SAE that talks to one KME over one connection, opened again when it has broken."""

    def __init__(self, lab, sae, kme, timeout_s=10):
        self.sae = sae
        self.port = lab.kmes[kme].ports["sae"]
        self.timeout_s = timeout_s
        self.context = ssl.create_default_context(cafile=str(lab.pki / "sae-ca.crt"))
        self.context.load_cert_chain(lab.pki / "sae" / f"{sae}.crt", lab.pki / "sae" / f"{sae}.key")
        self.connection = None

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def ask(self, method, path, body=None):
        """(status, decoded body or None). OSError or HTTPException: nobody knows what became of it."""
        if self.connection is None:
            self.connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context, timeout=self.timeout_s)
        try:
            payload = None if body is None else (body if isinstance(body, (bytes, str)) else json.dumps(body))
            headers = {"Content-Type": "application/json"} if payload is not None else {}
            self.connection.request(method, f"/api/v1/keys/{path}", payload, headers)
            answer = self.connection.getresponse()
            text = answer.read()
            if answer.will_close:
                self.close()
            return answer.status, (json.loads(text) if text else None)
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def status(self, slave):
        return self.ask("GET", f"{slave}/status")

    def get_key(self, slave, number=1, **more):
        return self.ask("POST", f"{slave}/enc_keys", {"number": number, **more})

    def get_by_ids(self, master, key_ids):
        return self.ask("POST", f"{master}/dec_keys", {"key_IDs": [{"key_ID": key_id} for key_id in key_ids]})


class Lab:
    """KME-A and KME-B with a simulated link; SAE-A1, SAE-A2 at A, SAE-B1, SAE-B2 at B. Everybody may ask keys for everybody at the other
    site, but nobody for SAE-B2. `more_saes` are further ones: {SAE: its KME}. The deadline of Get key is ten times the product's default: a
    build with a sanitizer on a busy machine is not what a scenario is about. `link(kme)` gives the lines of another link's settings, from
    its driver on."""

    def __init__(self, folder, build=SOURCE / "build" / "release", rate_bps=2_000_000, more="", link_more="", more_saes=None,
                 request_deadline_ms=8_000, link=None):
        self.folder = pathlib.Path(folder)
        self.qkmsd = build / "server" / "qkmsd"
        self.qkmsctl = build / "cli" / "qkmsctl"
        self.pki = self.folder / "pki"
        self.clients = []
        self.saes = {"SAE-A1": "KME-A", "SAE-A2": "KME-A", "SAE-B1": "KME-B", "SAE-B2": "KME-B", **(more_saes or {})}
        names = ["KME-A", "KME-B"]
        self.run(self.qkmsctl, "dev-pki", "--out", self.pki, "--operator", "admin", *[w for n in names for w in ("--kme", n)],
                 *[w for s in self.saes for w in ("--sae", s)])
        ports = free_ports(6)
        self.kmes = {name: Kme(self, name, ports[3 * i:3 * i + 3]) for i, name in enumerate(names)}
        for name, kme in self.kmes.items():
            kme.folder.mkdir()
            self.run(self.qkmsctl, "new-master-key", f"file:{kme.folder}/master.key")
            other = next(one for one in names if one != name)
            timing = f"[timing]\nrequest_deadline_ms = {request_deadline_ms}\n"
            simulated = ['driver = "simulated"', "[links.simulated]", 'seed = "lab"', f"rate_bps = {rate_bps}", "burst_ms = 200", link_more]
            kme.write_configuration(self._sections(other, link(kme) if link else simulated) + timing + more)

    def _sections(self, other, link):
        lines = ["[[peers]]", f'id = "{other}"', f'address = "127.0.0.1:{self.kmes[other].ports["peer"]}"',
                 "[[links]]", 'id = "link-ab"', f'peer = "{other}"', *link]
        for sae, home in self.saes.items():
            lines += ["[[saes]]", f'id = "{sae}"', f'kme = "{home}"']
            slaves = [slave for slave, at in self.saes.items() if at != home and slave != "SAE-B2"]
            lines += ["[[allow]]", f'master = "{sae}"', f"slaves = {json.dumps(slaves)}"]
        return "\n".join(lines) + "\n"

    @staticmethod
    def run(*command):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise LabError(f"{' '.join(map(str, command))}\n{done.stderr}")
        return done.stdout

    def start(self):
        for kme in self.kmes.values():
            kme.start()
        for kme in self.kmes.values():
            kme.wait_until_up()
        return self

    def client(self, sae, kme=None, timeout_s=10):
        self.clients.append(Client(self, sae, kme or self.saes[sae], timeout_s))
        return self.clients[-1]

    def wait_for_keys(self, wanted=100, master="SAE-A1", slave="SAE-B1"):
        client = self.client(master)
        last = None

        def enough():
            nonlocal last
            try:
                last = code, answer = client.status(slave)
                return code == 200 and answer["stored_key_count"] >= wanted
            except (OSError, http.client.HTTPException) as error:
                last = error
                return False

        try:
            wait_for(enough, f"{wanted} keys for {master}", 60)
        except LabError as error:
            logs = "\n".join(f"--- {name}\n" + kme.log.read_text(errors="replace")[-4000:] for name, kme in self.kmes.items())
            raise LabError(f"{error}; the last answer: {last}\n{logs}") from None
        client.close()

    def close(self):
        for client in self.clients:
            client.close()
        for kme in self.kmes.values():
            if kme.process is not None and kme.process.poll() is None:
                kme.process.kill()
                kme.process.wait()
