#!/usr/bin/env python3
"""The etsi004 driver at both ends of a link, against etsi004_server.py, in both dialects: every status at every call, and faults at every step.

After each fault the two ends have never had different bits under one ID, and go on. Threats T29 and T30; 4F.
"""

import collections
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "certificates")]

import authority  # noqa: E402
import etsi004_server as server  # noqa: E402

PROGRAM = pathlib.Path(os.environ.get("QKMS_BUILD", HERE.parents[1] / "build" / "release")) / "tests" / "drivers" / "etsi004_ends"
DEADLINE_S = 30


class Ends:
    """The two drivers' process, and what it says."""

    def __init__(self, test, folder, port, **options):
        self.test = test
        self.changed = threading.Condition()
        self.blocks = {"a": {}, "b": {}}
        self.other = collections.deque(maxlen=1000)
        self.wrong = []
        words = [f"{name}={value}" for name, value in options.items()]
        self.process = subprocess.Popen([PROGRAM, folder, str(port), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            end, kind, rest = line.rstrip("\n").split(" ", 2)
            with self.changed:
                if kind == "block":
                    self.note_block(end, *rest.split())
                else:
                    self.other.append((end, kind, rest))
                self.changed.notify_all()

    def note_block(self, end, block, digest, size):
        if block in self.blocks[end]:
            self.wrong.append(f"{end} gives {block} a second time")
        self.blocks[end][block] = digest
        other = self.blocks["b" if end == "a" else "a"]
        if other.get(block, digest) != digest:
            self.wrong.append(f"{block} has other bits at {end}")
        if int(size) < 64:
            self.wrong.append(f"{block} has {size} bytes")

    def tell(self, *words):
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()

    def ask(self, command, end):
        with self.changed:
            self.other.clear()
        self.tell(command, end)
        with self.changed:
            if not self.changed.wait_for(lambda: any(one[:2] == (end, command) for one in self.other), DEADLINE_S):
                self.test.fail(f"no answer to {command} {end}")
            return next(rest for at, kind, rest in self.other if (at, kind) == (end, command))

    def ask_to_stop(self, end):
        with self.changed:
            self.other.clear()
        self.tell("stop", end)
        with self.changed:
            stopped = self.changed.wait_for(lambda: any(one[:2] == (end, "stopped") for one in self.other), DEADLINE_S)
        self.test.assertTrue(stopped)
        self.test.assertIn((end, "stopped", "stopped"), self.other)

    def common(self):
        return self.blocks["a"].keys() & self.blocks["b"].keys()

    def go_on(self, why, count=5):
        """Waits until both ends have more blocks in common than now."""
        with self.changed:
            wanted = len(self.common()) + count
            there = self.changed.wait_for(lambda: len(self.common()) >= wanted, DEADLINE_S)
            self.test.assertEqual(self.wrong, [], why)
        if not there:
            self.test.fail(f"{why}: they do not go on.\na: {self.ask('status', 'a')}\nb: {self.ask('status', 'b')}")

    def wait_for_status(self, end, text, why):
        until = time.monotonic() + DEADLINE_S
        while text not in (said := self.ask("status", end)):
            if time.monotonic() > until:
                self.test.fail(f"{why}: {text!r} is not in: {said}")

    def close(self):
        self.process.stdin.close()
        self.process.wait(DEADLINE_S)
        self.reader.join(DEADLINE_S)
        self.process.stdout.close()


class Pki:
    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        root = pathlib.Path(self.folder.name)
        ca = authority.Authority(root / "authority", "/CN=Device CA")
        names = {**authority.SERVER, "subjectAltName": "DNS:device.test,IP:127.0.0.1"}
        self.device = ca.issue("/CN=device", names)
        self.other_name = ca.issue("/CN=other", {**authority.SERVER, "subjectAltName": "DNS:other.test"})
        self.stranger = authority.Authority(root / "stranger", "/CN=Another CA").issue("/CN=device", names)
        client = ca.issue("/CN=KME-A")
        for source, name in ((client.certificate, "client.crt"), (client.key, "client.key"), (ca.certificate, "ca.crt")):
            (root / name).write_bytes(source.read_bytes())
        (root / "client.key").chmod(0o600)
        self.root = root


class Case:
    dialect = None

    @classmethod
    def setUpClass(cls):
        cls.pki = Pki()
        cls.addClassCleanup(cls.pki.folder.cleanup)

    def device(self, certificate=None, **options):
        certificate = certificate or self.pki.device
        device = server.Device(self.dialect, certificate.certificate, certificate.key, self.pki.root / "ca.crt", **options)
        self.addCleanup(device.stop)
        return device

    def ends(self, device, **options):
        ends = Ends(self, self.pki.root, device.port, dialect=self.dialect, **options)
        self.addCleanup(ends.close)
        ends.tell("start", "a")
        ends.tell("start", "b")
        return ends

    def pair(self, **options):
        device = self.device()
        ends = self.ends(device, **options)
        ends.go_on("at the start")
        return device, ends

    def provoke(self, device, ends, end, call, what, value=None):
        """The fault happens, and after it both ends go on."""
        why = f"{call} {what} {value} at {end}"
        fault = device.inject(end, call, what, value)
        if call != "get":
            device.cut(end)  # so that it opens again
        if call == "close":
            device.inject(end, "open", "status", server.IN_USE)
        self.assertTrue(fault.fired.wait(DEADLINE_S), why)
        ends.go_on(why)

    def wait_for_another_stream(self, device, before):
        with device.lock:
            self.assertTrue(device.lock.wait_for(lambda: len(device.streams) > before, DEADLINE_S))

    # --- tests

    def test_both_ends_get_the_same(self):
        device, ends = self.pair()
        ends.go_on("undisturbed", 100)
        missed = {end: len(ends.blocks[end].keys() - ends.common()) for end in "ab"}
        self.assertLess(max(missed.values()), 30, missed)
        self.assertIn("the certificate that it should have", ends.ask("probe", "a"))
        self.assertIn("0 missed; the last one was 7 ms old, after 0 hops", ends.ask("probe", "a"))
        self.assertIn("rejected=0", ends.ask("status", "a"))

    def test_short_chunks_are_grouped_alike(self):
        device, ends = self.pair(chunk=32)
        for end, size in (("a", 1), ("b", 3), ("a", 9), ("b", 64)):
            self.provoke(device, ends, end, "get", "gap", size)
        for end in "ab":
            self.provoke(device, ends, end, "get", "lost")
            ends.tell("stop", end)
            ends.tell("start", end)
            ends.go_on(f"restart of {end}")

    def test_every_status_of_get(self):
        device, ends = self.pair()
        for status in (1, 2, 3, 4, 5, 6, 7, 8, 9, 0xffffffff):
            for end in "ab":
                with self.subTest(status=status, end=end):
                    self.provoke(device, ends, end, "get", "status", status)

    def test_every_status_of_open(self):
        device, ends = self.pair()
        for status in (2, 3, 4, 5, 6, 7, 8, 9, 0xffffffff):
            for end in "ab":
                with self.subTest(status=status, end=end):
                    self.provoke(device, ends, end, "open", "status", status)

    def test_every_status_of_close(self):
        device, ends = self.pair()
        for status in range(10):
            with self.subTest(status=status):
                self.provoke(device, ends, "a", "close", "status", status)

    FAULTS = (("lost", None), ("hang", None), ("closed", None), ("restart", None), ("drip", None), ("error message", None), ("cut", 1), ("cut", 7),
              ("cut", 8), ("cut", 12), ("cut", 1000000), ("bytes", b"\x09"), ("bytes", b"\x01\x00\x01\x04"), ("bytes", b"\x01\x00\x01\x7f"),
              ("bytes", server.VERSION + b"\x05\xff\xff\xff\xff"), ("bytes", server.VERSION + b"\x03\x80\x00\x00\x00"), ("bytes", bytes(8)))

    def test_faults_of_every_answer(self):
        device, ends = self.pair()
        for call in ("open", "get", "close"):
            for what, value in self.FAULTS:
                with self.subTest(call=call, what=what, value=value):
                    self.provoke(device, ends, "b" if what in ("lost", "restart") else "a", call, what, value)

    def test_faults_of_chunks(self):
        device, ends = self.pair()
        for end in "ab":
            for what, value in (("gap", 1), ("gap", 40), ("size", 0), ("size", 63), ("size", 65), ("size", 1 << 20), ("again", None),
                                ("consumed, status 6", None)):
                with self.subTest(end=end, what=what, value=value):
                    self.provoke(device, ends, end, "get", what, value)
        self.assertIn("missed", ends.ask("probe", "a"))
        ends.wait_for_status("a", "the device gives chunk", "an index that comes again")

    def test_an_answer_that_was_lost_is_not_asked_for_again(self):
        device, ends = self.pair()
        for end in "ab":
            for what in ("lost", "before", "hang"):
                fault = device.inject(end, "get", what)
                fault.go_on.set()
                self.assertTrue(fault.fired.wait(DEADLINE_S))
                ends.go_on(what)
        with device.lock:
            calls = list(device.calls)
        for end in "ab":
            asked = [value for at, call, value in calls if (at, call) == (end, "get")]
            self.assertEqual(asked, sorted(asked))

    def test_restart_of_either_end_at_every_step(self):
        device, ends = self.pair()
        for call in ("open", "get", "close"):
            for what in ("before", "after"):
                for end in "ab":
                    with self.subTest(call=call, what=what, end=end):
                        fault = device.inject(end, call, what)
                        if call != "get":
                            device.cut(end)
                        if call == "close":
                            device.inject(end, "open", "status", server.IN_USE)
                        self.assertTrue(fault.fired.wait(DEADLINE_S))
                        ends.ask_to_stop(end)
                        fault.go_on.set()
                        ends.tell("start", end)
                        ends.go_on(f"{end} was started anew, {what} {call}")

    def test_device_gone_and_back(self):
        device, ends = self.pair()
        device.stop()
        ends.wait_for_status("a", "failed: 127.0.0.1 port", "the device is gone")
        self.assertIn("error: 127.0.0.1 port", ends.ask("probe", "b"))
        device.listen()
        ends.go_on("it is back")
        self.assertNotIn("| failed", ends.ask("status", "a"))

    def test_wrong_certificates(self):
        for certificate, why in ((self.pki.stranger, "certificate"), (self.pki.other_name, "certificate")):
            device = self.device(certificate)
            ends = self.ends(device)
            ends.wait_for_status("a", why, "a wrong certificate")
            self.assertIn("error", ends.ask("probe", "a"))
            self.assertEqual(ends.blocks, {"a": {}, "b": {}})
            self.assertEqual(device.calls, [])

    def test_quality_that_is_offered(self):
        device, ends = self.pair(min=1500, least=500)
        self.provoke(device, ends, "a", "open", "status", server.QOS)  # proposes 1000
        for status in (0, 7):
            for changes in ({"min_bps": 499}, {"chunk": 0}, {"chunk": (1 << 20) + 1}, {"chunk": 0xffffffff}):
                with self.subTest(status=status, changes=changes):
                    self.provoke(device, ends, "b", "open", "qos", (status, changes))
        ends.wait_for_status("b", "the device offers chunks of 64 bytes and at least 499 bits a second", "too little")
        self.provoke(device, ends, "a", "open", "another stream")
        for _ in range(3):
            device.inject("a", "open", "status", server.QOS)
        self.provoke(device, ends, "a", "open", "status", server.QOS)
        ends.wait_for_status("a", "one counter-proposal after the other", "without end")

    def test_another_chunk_size_than_wished(self):
        device = self.device()
        device.granted_chunk = 100
        ends = self.ends(device, chunk=64)
        ends.go_on("with the device's size")

    def test_metadata(self):
        device, ends = self.pair(direct="yes")
        cases = ((b'{"age": 1, "hops": 3}', "device: its keys come over 3 other nodes"), (b"x" * 2000, None), (b'{"hops": "many"}', None),
                 (b'{"hops": -1}', None), (b"[" * 1000, None), (b"", None), (b"\0\0\0", None), (bytes(range(256)), None), (b"y" * 4096, None))
        for metadata, alarm in cases:
            with self.subTest(metadata=metadata[:20]):
                device.metadata = metadata
                ends.go_on("metadata")
                if alarm:
                    ends.wait_for_status("a", alarm, "hops")
        self.assertNotIn("| device", ends.ask("status", "a"))
        device.metadata = b"z" * 4097
        ends.wait_for_status("a", "needs 4097 bytes for metadata", "too much of it")

    # --- the device names the stream

    def test_a_stream_that_the_device_names(self):
        device, ends = self.pair(stream="assigned")
        for end in "ab":
            for call, what, value in (("get", "lost", None), ("get", "gap", 9), ("open", "lost", None), ("open", "status", 4), ("get", "restart", None)):
                with self.subTest(end=end, call=call, what=what):
                    self.provoke(device, ends, end, call, what, value)
        for end in "abab":
            ends.ask_to_stop(end)
            ends.tell("start", end)
            ends.go_on(f"{end} was started anew")

    def test_a_stream_that_became_useless_is_replaced(self):
        device, ends = self.pair(stream="assigned")
        for end in "ab":
            before = len(device.streams)
            device.inject(end, "get", "again")
            self.wait_for_another_stream(device, before)
            ends.go_on(f"{end} was given a chunk again")
        before = len(device.streams)
        ends.ask_to_stop("b")  # it learns the stream from its twin, and may not take it
        device.inject("b", "open", "status", server.IN_USE)
        ends.tell("start", "b")
        self.wait_for_another_stream(device, before)
        ends.go_on("in use")

    def test_notes_that_are_lost(self):
        device, ends = self.pair(stream="assigned")
        for end in "ab":
            ends.tell("deaf", end)
            ends.ask_to_stop("a")
            fault = device.inject("a", "open", "drip")
            ends.tell("start", "a")
            self.assertTrue(fault.fired.wait(DEADLINE_S))
            ends.tell("hearing", end)
            ends.go_on(f"{end} hears again")
        ends.tell("deaf", "b")
        ends.ask_to_stop("b")
        ends.tell("start", "b")
        ends.wait_for_status("b", "device: the other end does not tell", "nobody tells it the stream")
        ends.tell("hearing", "b")
        ends.go_on("b hears again")


class EtsiC(Case, unittest.TestCase):
    dialect = "etsi-c"


class FixedMime(Case, unittest.TestCase):
    dialect = "fixed-mime"


if __name__ == "__main__":
    unittest.main()
