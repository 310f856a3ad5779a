"""Very many TLS clients in one thread: they connect from several loopback addresses, send a byte now and then, and note when they are closed.

Several addresses, so that a limit for each address does not decide what a test is about. Standard library only; nothing here waits on a single
connection, so the crowd costs the machine little beside the daemon.
"""

import collections
import selectors
import socket
import ssl
import subprocess
import time

ADDRESSES = [f"127.0.0.{last}" for last in range(2, 12)]
HANDSHAKES_AT_ONCE = 60

LEAF = ["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature", "extendedKeyUsage=clientAuth"]
CA = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"]


def issue(folder, name, issuer, extensions):
    """(certificate file, key file) signed by the issuer, which is such a pair too."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={name}",
               "-keyout", key, "-out", certificate, "-CA", issuer[0], "-CAkey", issuer[1]]
    command += [word for one in extensions for word in ("-addext", one)]
    subprocess.run([str(word) for word in command], capture_output=True, check=True, timeout=30)
    return certificate, key


def context(ca, certificate, key):
    made = ssl.create_default_context(cafile=str(ca))
    made.load_cert_chain(certificate, key)
    return made


class Member:
    """One connection: `pieces` are sent one by one, each `period_s` after the one before, once the crowd begins to send."""

    def __init__(self, pieces=(), period_s=10.0):
        self.pieces = collections.deque(pieces)
        self.period_s = period_s
        self.socket = None
        self.due = None
        self.up = False


class Crowd:
    def __init__(self, port, contexts):
        self.port = port
        self.contexts = contexts
        self.selector = selectors.DefaultSelector()
        self.waiting = collections.deque()
        self.members = set()
        self.shaking = 0
        self.started = self.completed = self.closed = 0

    def add(self, member):
        self.waiting.append(member)

    def up(self):
        return sum(member.up for member in self.members)

    def _connect(self, member):
        plain = socket.socket()
        plain.setblocking(False)
        plain.bind((ADDRESSES[self.started % len(ADDRESSES)], 0))
        plain.connect_ex(("127.0.0.1", self.port))
        chosen = self.contexts[self.started % len(self.contexts)]
        member.socket = chosen.wrap_socket(plain, do_handshake_on_connect=False, server_hostname="localhost") if chosen else plain
        self.started += 1
        self.shaking += chosen is not None
        member.up = chosen is None
        self.members.add(member)
        self.selector.register(member.socket, selectors.EVENT_WRITE if chosen else selectors.EVENT_READ, member)

    def _drop(self, member):
        if not member.up:
            self.shaking -= 1
        self.members.discard(member)
        self.selector.unregister(member.socket)
        member.socket.close()
        member.up = False
        self.closed += 1

    def _shake(self, member):
        try:
            member.socket.do_handshake()
        except ssl.SSLWantReadError:
            self.selector.modify(member.socket, selectors.EVENT_READ, member)
            return
        except ssl.SSLWantWriteError:
            self.selector.modify(member.socket, selectors.EVENT_WRITE, member)
            return
        member.up = True
        self.shaking -= 1
        self.completed += 1
        self.selector.modify(member.socket, selectors.EVENT_READ, member)

    def _on_event(self, member):
        try:
            if not member.up:
                self._shake(member)
            elif not member.socket.recv(4096):
                self._drop(member)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError:  # ssl.SSLError is one
            self._drop(member)

    def _send_due(self):
        now = time.monotonic()
        for member in [one for one in self.members if one.up and one.pieces and one.due is not None and one.due <= now]:
            member.due = now + member.period_s
            try:
                member.socket.send(member.pieces.popleft())
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
            except OSError:
                self._drop(member)

    def run(self, until, limit_s):
        """Until the condition holds; False when the time is over first."""
        end = time.monotonic() + limit_s
        next_due = 0.0
        while not until():
            now = time.monotonic()
            if now > end:
                return False
            while self.waiting and self.shaking < HANDSHAKES_AT_ONCE:
                self._connect(self.waiting.popleft())
            for key, _ in self.selector.select(0.02):
                self._on_event(key.data)
            if now >= next_due:
                self._send_due()
                next_due = now + 0.1
        return True

    def begin_to_send(self, spread_s):
        """Who is up sends the first piece within that time, and so not all at once."""
        now = time.monotonic()
        for place, member in enumerate(self.members):
            member.due = now + spread_s * place / len(self.members)

    def leave(self):
        self.waiting.clear()
        for member in list(self.members):
            self._drop(member)
