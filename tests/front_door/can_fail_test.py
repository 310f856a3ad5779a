#!/usr/bin/env python3
"""The runner of the corpus can fail: fed a wrong expectation of each kind, or an answer that no server may give, it complains."""

import ssl
import unittest

import checks
import corpus
import wire
from corpus_test import check_log_lines
from door import Door
from runner import Runner

OWN = "/api/v1/keys/{own}/status"
TWO = "GET {status} HTTP/1.1\r\nHost: {host}\r\n\r\nGET {enc_keys} HTTP/1.1\r\nHost: {host}\r\n\r\n"

# (what is wrong, the case, what the complaint says)
WRONG = (
    ("the status", dict(target="{status}", status=400), "status 200, expected 400"),
    ("the status, when several are allowed", dict(target="{status}", either=[400, 501]), "expected 400 or 501"),
    ("the status of the second answer", dict(raw=TWO, status=[200, 400]), "status 200, expected 400"),
    ("in step, but it closes", dict(target="{status}", headers=["Connection: close"], status=200), "expected to stay in step"),
    ("an answer too few", dict(raw=TWO, status=200), "not in step"),
    ("an answer too many", dict(target="{status}", headers=["Connection: close"], status=[200, 200], then="closed"), "closed without an answer"),
    ("closed, but it stays", dict(target=OWN, status=400, then="closed"), "does not say Connection: close"),
    ("closed, but another answer comes", dict(raw=TWO, status=200, then="closed"), "does not say Connection: close"),
    ("refused, but TLS goes through", dict(raw="nonsense\r\n\r\n", status=400, then="refused"), "should have been refused"),
    ("served, but TLS refuses", dict(target="{status}", caller="nobody", status=200), "the connection failed"),
    ("the message", dict(target=OWN, status=400, message="another"), "expected 'another'"),
    ("a part of the message", dict(target=OWN, status=400, message_has=["another"]), "does not say 'another'"),
    ("a part that the message must lack", dict(target="{enc_keys}?size=257", status=400, message_lacks=["multiple"]), "says '"),
    ("a detail", dict(target=OWN, status=400, detail="reason"), "has no 'reason'"),
    ("a header", dict(target="{status}", method="DELETE", status=405, header={"Allow": "PUT"}), "expected 'PUT'"),
    ("the count of keys", dict(target="{enc_keys}", status=200, keys=2), "1 keys, expected 2"),
    ("the size of keys", dict(target="{enc_keys}", status=200, key_bits=128), "expected 128"),
    ("the IDs of keys", dict(target="{enc_keys}", status=200, key_ids=["x"]), "in this order"),
    ("a member", dict(target="{status}", status=200, members={"slave_SAE_ID": "{own}"}), "slave_SAE_ID is 'SAE-B1', expected 'SAE-A1'"),
    ("a key that is gone is not kept", dict(caller="SAE-B1", target="{dec_keys}?key_ID={fresh_key_id}", status=200, fresh_keys="kept"), "not kept"),
    ("a key that is kept is not gone", dict(caller="SAE-B1", target="{dec_keys}?x={fresh_key_id}", status=400, fresh_keys="gone"), "not gone"),
)

RIGHT = (
    dict(target="{enc_keys}?number=2", status=200, keys=2, key_bits=256),
    dict(target=OWN, status=400),
    dict(target="{status}", headers=["Connection: close"], status=200, then="closed"),
    dict(target="{status}", caller="nobody", status=[], then="refused"),
    dict(caller="SAE-B1", target="{dec_keys}?key_ID={fresh_key_id}", status=200, key_ids=["{fresh_key_id}"], fresh_keys="gone"),
)


class WrongExpectations(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.door = Door()

    @classmethod
    def tearDownClass(cls):
        cls.door.close()

    def setUp(self):
        self.runner = Runner(self.door)

    def run_case(self, fields):
        return self.runner.run(corpus.Case(name="a case", **fields).check())

    def test_each_is_noticed(self):
        for what, fields, complaint in WRONG:
            with self.subTest(what):
                self.assertIn(complaint, "\n".join(self.run_case(fields)))

    def test_right_ones_are_not(self):
        for fields in RIGHT:
            with self.subTest(str(fields)):
                self.assertEqual(self.run_case(fields), [])

    def test_a_request_that_nobody_saw_answered_is_noticed(self):
        kme, before = self.door.kme_of("SAE-A1"), self.door.granted()
        self.assertEqual(list(self.runner.check_granted(kme, before, [])), [])
        before = self.door.granted()
        self.door.get_key("SAE-A1", "SAE-B1")
        self.assertEqual(list(self.runner.check_granted(kme, before, [])), ["KME-A granted 1 requests, the client saw 0"])
        self.run_case(dict(target="{status}", status=200))
        self.assertEqual(self.runner.check_late(), [])
        self.door.get_key("SAE-A1", "SAE-B1")
        self.assertEqual(len(self.runner.check_late()), 1)

    def test_what_the_log_has_is_noticed(self):
        case = corpus.Case(name="a case", log_has=["two"], log_has_not=["one"])
        self.assertEqual(len(list(self.runner.check_log(case, b"one", {}))), 2)
        self.assertEqual(list(self.runner.check_log(case, b"two", {})), [])

    def test_other_bits_under_a_known_key_id_are_noticed(self):
        key_id = self.door.get_key("SAE-A1", "SAE-B1")
        container = b'{"keys":[{"key_ID":"%s","key":"AAAA"}]}' % key_id.encode()
        self.assertEqual(len(list(self.runner.check_bits(wire.Answer(200, {}, container)))), 1)
        error = b'{"message":"%s"}' % self.door.given[key_id].encode()
        self.assertEqual(len(list(self.runner.check_bits(wire.Answer(400, {}, error)))), 1)

    def test_a_daemon_that_grows_is_noticed(self):
        case = corpus.Case(name="a case", bomb=True)
        kme = self.door.kme_of("SAE-A1")
        self.assertEqual(list(self.runner.check_memory(case, kme, self.door.memory_bytes(kme)[1], 0)), [])
        complaints = list(self.runner.check_memory(case, kme, 0, 0))
        self.assertEqual(bool(complaints), not self.runner.sanitized)


class AnswersThatNoServerMayGive(unittest.TestCase):
    JSON = {"content-type": "application/json", "content-length": "2"}
    STATUS = (b'{"source_KME_ID":"A","target_KME_ID":"B","master_SAE_ID":"a","slave_SAE_ID":"b","key_size":256,"stored_key_count":%d,'
              b'"max_key_count":1,"max_key_per_request":1,"max_key_size":1,"min_key_size":1,"max_SAE_ID_count":0}')
    KEYS = b'{"keys":[{"key_ID":"%s","key":"%s"}]}'
    KEY_ID = b"0189b6c2-5a1e-4f3d-8c7b-001122334455"

    def complaints(self, status, body, headers=None):
        return list(checks.check_answer(wire.Answer(status, self.JSON if headers is None else headers, body)))

    def test_are_noticed(self):
        cases = (
            ("a body with 401", 401, b"{}", None),
            ("no media type", 400, b'{"message":"x"}', {"content-length": "15"}),
            ("another media type", 400, b'{"message":"x"}', {"content-type": "text/plain"}),
            ("compressed", 400, b'{"message":"x"}', {**self.JSON, "content-encoding": "gzip"}),
            ("405 without Allow", 405, b'{"message":"x"}', None),
            ("no JSON", 400, b"{", None),
            ("no object", 400, b"[]", None),
            ("no UTF-8", 400, b'{"message":"\xff"}', None),
            ("an Error without a body", 503, b"", None),
            ("an Error without a message", 400, b"{}", None),
            ("an empty message", 400, b'{"message":""}', None),
            ("a message with a control character", 400, b'{"message":"\\u001b"}', None),
            ("details that are no array", 400, b'{"message":"x","details":{}}', None),
            ("details that are strings", 400, b'{"message":"x","details":["y"]}', None),
            ("a member twice", 400, b'{"message":"x","message":"y"}', None),
            ("keys in an Error", 400, b'{"message":"x","keys":[]}', None),
            ("200 with an Error", 200, b'{"message":"x"}', None),
            ("a Status that is not whole", 200, b'{"source_KME_ID":"A"}', None),
            ("an integer above 2^31 - 1", 200, self.STATUS % 2**31, None),
            ("no keys", 200, b'{"keys":[]}', None),
            ("a key ID in capitals", 200, self.KEYS % (self.KEY_ID.upper(), b"AAAA"), None),
            ("a key ID that is no UUID", 200, self.KEYS % (b"1", b"AAAA"), None),
            ("base64 without padding", 200, self.KEYS % (self.KEY_ID, b"AAA"), None),
            ("base64url", 200, self.KEYS % (self.KEY_ID, b"__8="), None),
        )
        for name, status, body, headers in cases:
            with self.subTest(name):
                self.assertTrue(self.complaints(status, body, headers))

    def test_good_ones_are_not(self):
        self.assertEqual(self.complaints(401, b"", {"content-length": "0"}), [])
        self.assertEqual(self.complaints(400, b'{"message":"x","details":[{"a":1}]}'), [])
        self.assertEqual(self.complaints(200, self.STATUS % 0), [])
        self.assertEqual(self.complaints(200, self.KEYS % (self.KEY_ID, b"AAA=")), [])


class CannedSocket:
    """What a server sends, in these pieces; then close_notify, or something worse."""

    def __init__(self, pieces, end=None):
        self.pieces, self.end = list(pieces), end

    def recv(self, _):
        if not self.pieces and self.end is not None:
            raise self.end
        return self.pieces.pop(0) if self.pieces else b""


class BytesThatNoServerMaySend(unittest.TestCase):
    HEAD = b"HTTP/1.1 200 OK\r\n"

    def read(self, text, end=None):
        connection = wire.Connection(CannedSocket([text] if text else [], end))
        answer = connection.read_answer()
        connection.expect_end()
        return answer

    def test_are_noticed(self):
        cases = (
            ("no status line", b"200 OK\r\nContent-Length: 0\r\n\r\n"),
            ("another version", b"HTTP/2 200\r\nContent-Length: 0\r\n\r\n"),
            ("no Content-Length", self.HEAD + b"\r\n"),
            ("a Content-Length that is none", self.HEAD + b"Content-Length: 0x0\r\n\r\n"),
            ("Content-Length twice", self.HEAD + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n"),
            ("chunked", self.HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            ("a blank before the colon", self.HEAD + b"Content-Length : 0\r\n\r\n"),
            ("a control character in a header", self.HEAD + b"X: \x1b\r\nContent-Length: 0\r\n\r\n"),
            ("a body that is too short", self.HEAD + b"Content-Length: 3\r\n\r\n{}"),
            ("a body that is too long", self.HEAD + b"Content-Length: 1\r\n\r\n{}"),
            ("a second answer", 2 * (self.HEAD + b"Content-Length: 0\r\n\r\n")),
            ("an answer that is cut", self.HEAD),
        )
        for name, text in cases:
            with self.subTest(name), self.assertRaises(wire.WireError):
                self.read(text)

    def test_an_end_out_of_order_is_noticed(self):
        good = self.HEAD + b"Content-Length: 0\r\n\r\n"
        self.assertEqual(self.read(good).status, 200)
        self.assertIsNone(self.read(b""))
        for end in (ssl.SSLEOFError(), ConnectionResetError(), TimeoutError()):
            with self.subTest(repr(end)), self.assertRaises(wire.WireError):
                self.read(good, end)


class Lines(unittest.TestCase):
    def test_of_a_log_that_are_wrong_are_noticed(self):
        good = b'{"time":"t","level":"info","message":"m"}\n'
        self.assertEqual(list(check_log_lines(good)), [])
        for line in (b"m", b'{"fake":1}', b'{"time":"t","level":"error","message":"m"}', b'{"time":"t","level":"info","message":"internal error"}'):
            with self.subTest(line):
                self.assertEqual(len(list(check_log_lines(good + line))), 1)


class Entries(unittest.TestCase):
    def test_that_contradict_themselves_are_refused(self):
        for fields in (dict(target="/"), dict(status=200), dict(target="/", status=200, either=[400]), dict(target="/", raw="x", status=200),
                       dict(raw="x", headers=["a: b"], status=200), dict(target="/", status=200, then="maybe"),
                       dict(target="/", status=200, fresh_keys="maybe"), dict(target="/", status=200, site="elsewhere")):
            with self.subTest(str(fields)), self.assertRaises(corpus.CorpusError):
                corpus.Case(name="a case", **fields).check()

    def test_a_text_is_bytes(self):
        self.assertEqual(corpus.to_bytes("\x00\xff{own}", {"own": "A"}), b"\x00\xffA")
        self.assertEqual(corpus.to_bytes(["[", {"repeat": "x", "count": 3}, {"repeat": "{i},", "count": 11}], {})[:10], b"[xxx00,01,")
        with self.assertRaises(corpus.CorpusError):
            corpus.to_bytes("\u20ac", {})


if __name__ == "__main__":
    unittest.main()
