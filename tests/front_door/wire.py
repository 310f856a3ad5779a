"""Requests as raw bytes over TLS, and answers read by the letter of RFC 9112: what the daemon sends must be beyond doubt, so this reader is
stricter than any client. A connection that ends without close_notify is told apart from one that is closed in order.
"""

import dataclasses
import re
import select
import socket
import ssl

DEADLINE_S = 10
CHUNK = 16384

STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5]\d\d) [ -~]*")
HEADER_LINE = re.compile(rb"([A-Za-z0-9-]+): ([ -~]*)")


class WireError(Exception):
    """What came over the wire is not what a server may send."""


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict
    body: bytes

    def header(self, name):
        return self.headers.get(name.lower())


def parse_head(head):
    """(status, headers) of the bytes up to the empty line."""
    lines = head.split(b"\r\n")
    first = STATUS_LINE.fullmatch(lines[0])
    if not first:
        raise WireError(f"no status line: {lines[0][:80]!r}")
    headers = {}
    for line in lines[1:]:
        found = HEADER_LINE.fullmatch(line)
        if not found:
            raise WireError(f"no header line: {line[:80]!r}")
        name = found.group(1).decode().lower()
        if name in headers:
            raise WireError(f"header {name} twice")
        headers[name] = found.group(2).decode()
    return int(first.group(1)), headers


def body_size(status, headers, to_head):
    """How many bytes follow. Answers carry Content-Length and are never chunked (issue: Clients as they are)."""
    if "transfer-encoding" in headers:
        raise WireError("Transfer-Encoding in an answer")
    if 100 <= status < 200:
        return 0
    length = headers.get("content-length")
    if length is None or not re.fullmatch(r"\d+", length):
        raise WireError(f"Content-Length is {length!r}")
    return 0 if to_head else int(length)


def connect(port, context, server_hostname="127.0.0.1"):
    """A Connection with TLS up. An ssl.SSLError or OSError when the other side refuses; with TLS 1.3 that may come with the first read only."""
    plain = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        return Connection(context.wrap_socket(plain, server_hostname=server_hostname, suppress_ragged_eofs=False))
    except BaseException:
        plain.close()
        raise


class Connection:
    def __init__(self, tls_socket):
        self.socket = tls_socket
        self.buffer = b""
        self.ended = False

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def send(self, data, split=0):
        """Sends all, or until the other side has refused: a client that goes on then may lose the answer to a reset (RFC 9112 §9.6).
        With `split`, so many bytes a TLS record."""
        step = split or CHUNK
        for start in range(0, len(data), step):
            if start and self._refused_already():
                return
            try:
                self.socket.sendall(data[start:start + step])
            except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
                return

    def _refused_already(self):
        if not self.ended and (self.socket.pending() or select.select([self.socket], [], [], 0)[0]):
            self._read_some()
        return self.ended or self.buffer[9:10] in (b"4", b"5")

    def _read_some(self):
        try:
            data = self.socket.recv(65536)
        except ssl.SSLEOFError as error:
            raise WireError("the connection ends without close_notify") from error
        except TimeoutError as error:
            raise WireError("nothing comes within the deadline") from error
        except ConnectionResetError as error:
            raise WireError("the connection was reset") from error
        self.ended = not data
        self.buffer += data

    def read_answer(self, to_head=False):
        """The next answer; None when the connection was closed in order instead."""
        while b"\r\n\r\n" not in self.buffer:
            if self.ended:
                if self.buffer:
                    raise WireError(f"closed within an answer: {self.buffer[:80]!r}")
                return None
            self._read_some()
        head, rest = self.buffer.split(b"\r\n\r\n", 1)
        status, headers = parse_head(head)
        size = body_size(status, headers, to_head)
        self.buffer = rest
        while len(self.buffer) < size:
            if self.ended:
                raise WireError(f"Content-Length says {size}, closed after {len(self.buffer)}")
            self._read_some()
        body, self.buffer = self.buffer[:size], self.buffer[size:]
        return Answer(status, headers, body)

    def expect_end(self):
        """WireError unless the other side closes now, in order and without another byte."""
        while not self.ended and not self.buffer:
            self._read_some()
        if self.buffer:
            raise WireError(f"more than was expected: {self.buffer[:80]!r}")
