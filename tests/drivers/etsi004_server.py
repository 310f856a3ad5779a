"""A key manager that speaks ETSI GS QKD 004 V2.1.1 over TLS, in both encodings that are in use, for tests.

Written from the standard's table of calls alone; it shares no code and no author's notes with the driver. One object is the key managers of both
sites: a client says by its source URI at which end it is, and both ends' clients get the same bytes under the same index of a key stream. It can be
told to misbehave once, at a chosen call of a chosen end (Fault).

Shared between threads: everything under self.lock, which is also the condition that tests wait on.
"""

import dataclasses
import os
import socket
import ssl
import struct
import threading
import time

VERSION = b"\x01\x00\x01"
ERROR, OPEN, OPENED, GET, GOT, CLOSE, CLOSED = 0x00, 0x02, 0x03, 0x04, 0x05, 0x08, 0x09
NAMES = {OPEN: "open", GET: "get", CLOSE: "close"}
NOBODY = bytes(16)
OK, PEER_NOT_YET_THERE, NOT_ENOUGH, PEER_NOT_CONNECTED, NO_QKD, IN_USE, TIME_OUT, QOS, METADATA = range(9)


class Gone(Exception):
    """The connection is to end here, without another word."""


@dataclasses.dataclass
class Fault:
    """Once, at the call `call` of end `end`: `what` happens, with the argument `value`."""
    end: str
    call: str
    what: str
    value: object = None
    fired: threading.Event = dataclasses.field(default_factory=threading.Event)
    go_on: threading.Event = dataclasses.field(default_factory=threading.Event)


@dataclasses.dataclass
class Qos:
    chunk: int
    max_bps: int
    min_bps: int
    jitter: int
    priority: int
    timeout: int
    ttl: int
    mimetype: bytes

    @classmethod
    def read(cls, dialect, data):
        numbers = struct.unpack(">7I", data[:28])
        if dialect == "fixed-mime":
            field, rest = data[28:284], data[284:]
            assert len(field) == 256
            return cls(*numbers, field.rstrip(b"\0")), rest
        end = data.index(b"\0", 28)
        assert end - 28 < 256
        return cls(*numbers, data[28:end]), data[end + 1:]

    def write(self, dialect):
        numbers = struct.pack(">7I", self.chunk, self.max_bps, self.min_bps, self.jitter, self.priority, self.timeout, self.ttl)
        return numbers + (self.mimetype.ljust(256, b"\0") if dialect == "fixed-mime" else self.mimetype + b"\0")


class Stream:
    """Chunks come at `rate` a second; each end has its own position, which only moves forward."""

    def __init__(self, qos, rate):
        self.qos = qos
        self.rate = rate
        self.began = time.monotonic()
        self.chunks = {}
        self.position = {}  # of the ends that have opened it

    def chunk(self, index):
        if index not in self.chunks:
            self.chunks[index] = os.urandom(self.qos.chunk)
        return self.chunks[index]

    def made(self):
        return int((time.monotonic() - self.began) * self.rate)


class Device:
    def __init__(self, dialect, certificate, key, ca, rate=300):
        self.dialect = dialect
        self.rate = rate
        self.lock = threading.Condition()
        self.streams = {}
        self.faults = []
        self.calls = []  # (end, name, index or status), for tests
        self.metadata = b'{"age": 7, "hops": 0}'
        self.granted_chunk = None  # whatever is asked for
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.context.load_verify_locations(ca)
        self.context.load_cert_chain(certificate, key)
        self.port = 0
        self.connections = set()
        self.listener = None
        self.listen()

    # --- being there, and not

    def listen(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def stop(self):
        """All connections end as those of a process that dies; what the device knows stays."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()

    def cut(self, end=None):
        with self.lock:
            gone = [one for one in self.connections if end in (None, one.end)]
            self.connections.difference_update(gone)
        for one in gone:
            one.die()

    def restart(self):
        self.stop()
        self.listen()

    def inject(self, end, call, what, value=None):
        fault = Fault(end, call, what, value)
        with self.lock:
            self.faults.append(fault)
        return fault

    def fault_for(self, end, call):
        for fault in self.faults:
            if fault.end == end and fault.call == call:
                self.faults.remove(fault)
                return fault
        return None

    # --- serving

    def serve(self, raw):
        client = Client(raw)
        with self.lock:
            self.connections.add(client)
        try:
            client.socket = self.context.wrap_socket(raw, server_side=True)
            while True:
                self.serve_one(client)
        except (Gone, OSError, ssl.SSLError, struct.error, AssertionError, ValueError):
            client.die()
        with self.lock:
            self.connections.discard(client)

    def serve_one(self, client):
        head = client.read(8)
        version, service, size = head[:3], head[3], struct.unpack(">I", head[4:])[0]
        assert version == VERSION and service in NAMES and size < 100000
        payload = client.read(size)
        if service == OPEN:
            client.end = payload[:payload.index(b"\0")].decode()[-1]
        with self.lock:
            fault = None
            if service != GET or self.has_chunk(client, payload):
                fault = self.fault_for(client.end, NAMES[service])
        try:
            if fault and fault.what == "before":  # it came, and nothing has been done
                fault.fired.set()
                fault.go_on.wait(30)
                raise Gone
            with self.lock:
                answer = {OPEN: self.open, GET: self.get, CLOSE: self.close}[service](client, payload, fault)
                self.lock.notify_all()
            whole = VERSION + bytes([service + 1]) + struct.pack(">I", len(answer)) + answer
            self.send(client, whole, fault)
        finally:
            if fault:
                fault.fired.set()

    def send(self, client, whole, fault):
        what = fault.what if fault else None
        if what == "lost":
            raise Gone
        if what == "after":  # done, and not answered
            fault.fired.set()
            fault.go_on.wait(30)
            raise Gone
        if what == "cut":
            client.socket.sendall(whole[:min(fault.value, len(whole) - 1)])
            raise Gone
        if what == "hang":
            client.read(1)
        if what == "closed":
            client.socket.unwrap()
            raise Gone
        if what == "restart":
            threading.Thread(target=self.restart, daemon=True).start()
            raise Gone
        if what == "bytes":  # fault.value stands at the beginning instead of what should be there
            whole = fault.value + whole[len(fault.value):]
        if what == "error message":
            whole = VERSION + bytes([ERROR]) + struct.pack(">II", 4, 99)
        if what == "drip":
            for at in range(len(whole)):
                client.socket.sendall(whole[at:at + 1])
            return
        client.socket.sendall(whole)

    # --- the calls; self.lock is held

    def open(self, client, payload, fault):
        source, destination, rest = payload.split(b"\0", 2)
        assert source and destination
        qos, rest = Qos.read(self.dialect, rest)
        assert len(rest) == 16
        name = rest
        self.calls.append((client.end, "open", name))
        if fault and fault.what == "status":
            if fault.value == QOS:
                name = os.urandom(16) if name == NOBODY else name
                return struct.pack(">I", QOS) + self.proposal(qos).write(self.dialect) + name
            return self.error(fault.value, qos.write(self.dialect) + name)
        if fault and fault.what == "qos":  # granted as told, or with status 7 as a proposal
            status, changes = fault.value
            return struct.pack(">I", status) + dataclasses.replace(qos, **changes).write(self.dialect) + (name if name != NOBODY else os.urandom(16))
        if fault and fault.what == "another stream":
            return struct.pack(">I", OK) + qos.write(self.dialect) + os.urandom(16)
        if name == NOBODY:
            name = os.urandom(16)
        if self.granted_chunk:
            qos.chunk = self.granted_chunk
        stream = self.streams.setdefault(name, Stream(qos, self.rate))
        stream.position.setdefault(client.end, 0)
        status = OK if len(stream.position) == 2 else PEER_NOT_YET_THERE
        return struct.pack(">I", status) + stream.qos.write(self.dialect) + name

    @staticmethod
    def proposal(qos):
        return dataclasses.replace(qos, max_bps=qos.max_bps // 2, min_bps=1000)

    def error(self, status, rest):
        return struct.pack(">I", status) + (rest if self.dialect == "etsi-c" else b"")

    def get(self, client, payload, fault):
        name, (asked, room) = payload[:16], struct.unpack(">II", payload[16:24])
        assert len(payload) == (24 + room if self.dialect == "etsi-c" else 24)
        self.calls.append((client.end, "get", asked))
        stream = self.streams.get(name)
        none = struct.pack(">III", asked, 0, 0)
        if stream is None or client.end not in stream.position:
            return self.error(NO_QKD, none)
        if fault and fault.what == "status":
            return self.refuse_get(fault.value, asked, room)
        if fault and fault.what == "consumed, status 6":
            stream.position[client.end] = max(asked, stream.position[client.end]) + 1
            return self.error(TIME_OUT, none)
        if len(stream.position) < 2:
            return self.error(PEER_NOT_CONNECTED, none)
        index = max(asked, stream.position[client.end])
        if index >= stream.made():
            return self.error(NOT_ENOUGH, none)
        if len(self.metadata) > room:
            if self.dialect == "etsi-c":
                return struct.pack(">IIII", METADATA, asked, 0, len(self.metadata))
            return struct.pack(">II", METADATA, len(self.metadata))
        if fault and fault.what == "gap":
            index += fault.value
        key, said = stream.chunk(index), index
        stream.position[client.end] = index + 1
        if fault and fault.what == "again":
            said, key = index - 1, stream.chunk(index - 1)
        if fault and fault.what == "size":
            key = os.urandom(fault.value)
        return struct.pack(">III", OK, said, len(key)) + key + struct.pack(">I", len(self.metadata)) + self.metadata

    def has_chunk(self, client, payload):
        """Whether there is one for this GET_KEY: faults wait for such a call."""
        stream = self.streams.get(payload[:16])
        if stream is None or client.end not in stream.position or len(stream.position) < 2:
            return False
        return max(struct.unpack(">I", payload[16:20])[0], stream.position[client.end]) < stream.made()

    def refuse_get(self, status, asked, room):
        if status != METADATA:
            return self.error(status, struct.pack(">III", asked, 0, 0))
        if self.dialect == "etsi-c":
            return struct.pack(">IIII", METADATA, asked, 0, room + 1)
        return struct.pack(">II", METADATA, room + 1)

    def close(self, client, payload, fault):
        assert len(payload) == 16
        self.calls.append((client.end, "close", payload))
        if fault and fault.what == "status":
            return struct.pack(">I", fault.value)
        return struct.pack(">I", OK if payload in self.streams else NO_QKD)


class Client:
    def __init__(self, raw):
        self.raw = raw
        self.socket = raw
        self.end = "?"

    def read(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise Gone
            data += more
        return data

    def die(self):
        for one in (self.socket, self.raw):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            try:
                one.close()
            except OSError:
                pass
