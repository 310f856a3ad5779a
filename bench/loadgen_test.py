"""The load generator against a server that misbehaves on purpose: every request must end up in the right place of the report.

Run by ctest with the generator as its argument.
"""

import json
import pathlib
import socket
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse
import uuid

from harness.pki import Authority

GENERATOR = None


def answer(status, body, extra=""):
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{extra}\r\n{body}".encode()


class Behaviour:
    """Decides on each request. Counts what the server saw, for comparison with what the generator says."""

    def __init__(self):
        self.lock = threading.Lock()
        self.seen = {}
        self.issued = set()
        self.connections = 0

    def reply(self, method, target, body):
        """The answer's pieces, to be sent one by one, and whether the connection stays open."""
        url = urllib.parse.urlsplit(target)
        action = url.path.split("/")[-1]
        with self.lock:
            number = self.seen[action] = self.seen.get(action, 0) + 1
            return getattr(self, f"on_{action}")(number, urllib.parse.parse_qs(url.query), method, body)

    def on_mixed(self, number, *_):
        return [answer(503 if number % 3 == 0 else 200, "{}")], True

    def on_slow_pieces(self, *_):
        whole = answer(200, "x" * 50)
        return [whole[:10], whole[10:30], whole[30:70], whole[70:]], True

    def on_polite_close(self, *_):
        return [answer(200, "{}", "Connection: close\r\n")], False

    def on_cut(self, *_):
        return [answer(200, "x" * 100)[:-1]], False

    def on_garbage(self, *_):
        return [b"what?\r\n"], False

    def on_silence(self, *_):
        return [], True

    def on_enc_keys(self, _number, query, *_):
        ids = [str(uuid.uuid4()) for _ in range(int(query["number"][0]))]
        self.issued.update(ids)
        return [answer(200, json.dumps({"keys": [{"key_ID": one, "key": "AAAA"} for one in ids]}))], True

    def on_dec_keys(self, _number, query, method, body):
        asked = query["key_ID"] if method == "GET" else [one["key_ID"] for one in json.loads(body)["key_IDs"]]
        if not self.issued.issuperset(asked):
            return [answer(400, "{}")], True
        self.issued.difference_update(asked)
        return [answer(200, json.dumps({"keys": [{"key_ID": one, "key": "AAAA"} for one in asked]}))], True


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        try:
            with self.server.tls.wrap_socket(self.request, server_side=True) as self.tls, self.tls.makefile(
                "rb"
            ) as self.lines:
                with self.server.behaviour.lock:
                    self.server.behaviour.connections += 1
                while self.serve_one():
                    pass
        except OSError:
            pass  # the client went away, or its certificate was refused

    def serve_one(self):
        words = self.lines.readline().split()
        if not words:
            return False
        length = 0
        while (line := self.lines.readline().strip()) != b"":
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        pieces, stays = self.server.behaviour.reply(words[0].decode(), words[1].decode(), self.lines.read(length))
        for piece in pieces:
            self.tls.sendall(piece)
        return stays


class TlsServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128


class LoadgenTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.place.name)
        cls.authority = Authority(cls.folder, "test")
        cls.identity = cls.authority.issue("client")
        cls.stranger = Authority(cls.folder, "stranger")
        cls.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        cls.tls.load_cert_chain(*cls.authority.issue("server"))
        cls.tls.load_verify_locations(cls.authority.certificate)
        cls.tls.verify_mode = ssl.CERT_REQUIRED

    @classmethod
    def tearDownClass(cls):
        cls.place.cleanup()

    def setUp(self):
        self.server = TlsServer(("127.0.0.1", 0), Handler)
        self.server.tls = self.tls
        self.behaviour = self.server.behaviour = Behaviour()
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def tearDown(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def generate(self, *words, identity=None, ca=None, port=None):
        certificate, key = identity or self.identity
        command = [
            GENERATOR,
            "--target",
            f"127.0.0.1:{port or self.server.server_address[1]}",
            "--cert",
            certificate,
            "--key",
            key,
        ]
        command += ["--ca", ca or self.authority.certificate, "--warmup", 0, *words]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(done.stdout)
        counted = sum(report["statuses"].values()) + sum(report["failures"].values())
        self.assertEqual(report["requests"], counted)
        return report

    def test_counts_each_status_as_the_server_sent_it(self):
        report = self.generate("--path", "/mixed", "--requests", 300, "--connections", 4, "--threads", 2)
        self.assertEqual(report["statuses"], {"200": 200, "503": 100})
        self.assertEqual(report["ok"], 200)
        self.assertEqual(report["failures"], {})
        self.assertEqual(self.behaviour.seen["mixed"], 300)
        self.assertEqual(self.behaviour.connections, 4)

    def test_counts_the_warm_up_apart(self):
        report = self.generate("--path", "/mixed", "--requests", 30, "--warmup", 0.2)
        self.assertEqual(self.behaviour.seen["mixed"], report["requests"] + report["warmup_requests"])
        self.assertGreater(report["warmup_errors"], 0)

    def test_puts_an_answer_together_from_pieces(self):
        report = self.generate("--path", "/slow_pieces", "--requests", 20)
        self.assertEqual((report["statuses"], report["body_bytes"]), ({"200": 20}, 1000))

    def test_opens_a_connection_for_each_request_when_told(self):
        report = self.generate("--path", "/mixed", "--requests", 12, "--connections", 3, "--new-connection-per-request")
        self.assertEqual((report["requests"], report["connections_opened"]), (12, 12))
        self.assertEqual(self.behaviour.connections, 12)

    def test_connects_again_after_a_goodbye(self):
        report = self.generate("--path", "/polite_close", "--requests", 5)
        self.assertEqual((report["statuses"], report["failures"]), ({"200": 5}, {}))

    def test_counts_answers_that_never_became_whole(self):
        for path, failure in (("/cut", "closed"), ("/garbage", "malformed")):
            with self.subTest(path):
                report = self.generate("--path", path, "--requests", 6, "--connections", 2)
                self.assertEqual((report["ok"], report["failures"]), (0, {failure: 6}))

    def test_gives_a_silent_server_up_after_the_timeout(self):
        began = time.monotonic()
        report = self.generate("--path", "/silence", "--requests", 2, "--connections", 2, "--timeout-ms", 300)
        self.assertEqual(report["failures"], {"timeout": 2})
        self.assertLess(time.monotonic() - began, 10)

    def test_counts_refused_connections(self):
        with socket.socket() as bound_but_deaf:
            bound_but_deaf.bind(("127.0.0.1", 0))
            report = self.generate("--requests", 3, port=bound_but_deaf.getsockname()[1])
        self.assertEqual(report["failures"], {"connect": 3})

    def test_trusts_no_server_of_another_ca(self):
        report = self.generate("--path", "/mixed", "--requests", 3, ca=self.stranger.certificate)
        self.assertEqual(report["failures"], {"handshake": 3})
        self.assertEqual(self.behaviour.seen, {})

    def test_counts_a_refused_client_certificate(self):
        report = self.generate("--path", "/mixed", "--requests", 3, identity=self.stranger.issue("client"))
        self.assertEqual((report["ok"], sum(report["failures"].values())), (0, 3))

    def test_fetches_each_key_that_it_got_once(self):
        for keys in (1, 3):
            with self.subTest(keys=keys):
                ids = self.folder / f"ids-{keys}"
                common = ["--sae", "X", "--keys", keys, "--connections", 4, "--threads", 2]
                got = self.generate("--scenario", "get_key", *common, "--requests", 40, "--ids-out", ids)
                self.assertEqual((got["statuses"], len(self.behaviour.issued)), ({"200": 40}, 40 * keys))
                fetched = self.generate("--scenario", "get_key_with_ids", *common, "--ids-in", ids)
                self.assertEqual((fetched["statuses"], fetched["ran_out"]), ({"200": 40}, True))
                self.assertEqual(self.behaviour.issued, set())

    def test_keeps_the_beat_of_an_open_loop(self):
        report = self.generate("--path", "/mixed", "--rate", 100, "--seconds", 0.5, "--connections", 4)
        self.assertEqual(report["requests"] + report["unsent"], 50)


if __name__ == "__main__":
    GENERATOR = sys.argv.pop(1)
    unittest.main()
