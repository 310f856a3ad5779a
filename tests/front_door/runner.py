"""Plays one case against the sites and says what is wrong. Everything a case does is on a TLS connection of its own.

What may surprise: the daemons' own count of granted requests is compared with the answers that the client saw, for every case. So a
request that was smuggled in and executed is found even if its answer went nowhere.
"""

import os
import ssl
import time

import checks
import corpus
import door as doors
import wire

MEGABYTE = 1 << 20
GOOD_REQUEST = "GET {status} HTTP/1.1\r\nHost: {host}\r\n\r\n"
# What a bomb may cost the daemon.
BOMB_LIMIT_BYTES = 2 * MEGABYTE


class Runner:
    def __init__(self, door):
        self.door = door
        self.note = ""  # what was measured in the last case
        self.granted_at_end = None
        self.sent_at = self.answer_s = 0.0
        self.sanitized = bool(os.environ.get("QKMS_SANITIZE"))  # such a build keeps memory of its own: nothing to judge by

    def values(self, case):
        """What the placeholders of a case mean; keys are made only for those that occur."""
        text = repr(case)
        kme = self.door.kme_of(case.caller)
        peer = self.door.peer_of[kme.name]
        base = f"/api/v1/keys/{peer}"
        values = {"slave": peer, "own": case.caller, "host": f"127.0.0.1:{kme.ports[case.listener]}", "status": f"{base}/status",
                  "enc_keys": f"{base}/enc_keys", "dec_keys": f"{base}/dec_keys", "unknown_key_id": doors.UNKNOWN_KEY_ID}
        values["smuggled"] = f"GET {base}/enc_keys HTTP/1.1\r\nHost: {values['host']}\r\n\r\n"
        owner = self.door.peer_of[self.door.lab.saes[peer]]
        for name, slave in (("fresh_key_id", owner), ("fresh_key_id_2", owner), ("fetched_key_id", owner),
                            ("foreign_key_id", doors.FOREIGN_SLAVE)):
            if f"{{{name}}}" in text or f"{{{name.upper()}}}" in text:
                values[name] = self.door.get_key(peer, slave)
        if "fetched_key_id" in values and self.door.fetch(owner, peer, [values["fetched_key_id"]])[0] != 200:
            raise AssertionError("a key that was just given cannot be fetched")
        values["FRESH_KEY_ID"] = values.get("fresh_key_id", "").upper()
        return values

    def run(self, case):
        """A list of complaints, empty when all is as expected."""
        self.note = ""
        complaints = self.check_late()
        values = self.values(case)
        request = corpus.request_bytes(case, values)
        kme = self.door.kme_of(case.caller)
        granted, log_size = self.door.granted(), self.door.log_size()
        memory = self.start_measuring(case, kme)
        answers, more = self.play(case, values, request)
        complaints += more
        complaints += self.check_memory(case, kme, memory, len(request))
        complaints += self.check_granted(kme, granted, answers)
        complaints += self.check_log(case, self.door.log_since(log_size), values)
        complaints += self.check_fresh_keys(case, values)
        self.granted_at_end = self.door.granted()
        return complaints

    def check_late(self):
        """A list: whether something was executed since the last case ended."""
        if self.granted_at_end in (None, self.door.granted()):
            return []
        return ["a request of an earlier case was executed after that case had ended"]

    def play(self, case, values, request):
        """(answers, complaints) of the exchange."""
        answers, complaints = [], []
        context = self.door.context_of(case.caller, case.listener)
        try:
            with wire.connect(self.door.kme_of(case.caller).ports[case.listener], context) as connection:
                connection.send(request, case.split)
                self.sent_at = time.monotonic()
                complaints += self.read_answers(case, values, connection, answers, request.startswith(b"HEAD "))
                if not complaints:
                    complaints += self.check_end(case, values, connection, answers)
        except wire.WireError as error:
            complaints.append(str(error))
        except (ssl.SSLError, OSError) as error:
            if case.then != "refused":
                complaints.append(f"the connection failed: {error}")
            return answers, complaints
        if case.then == "refused":
            complaints.append("the TLS handshake should have been refused")
        return answers, complaints

    def read_answers(self, case, values, connection, answers, to_head):
        for expected in case.statuses():
            answer = connection.read_answer(to_head)
            if answer is None:
                yield f"closed without an answer, expected {expected}"
                return
            self.answer_s = time.monotonic() - self.sent_at
            answers.append(answer)
            if answer.status not in expected:
                # The body of a 200 may hold keys: those are nothing for a report.
                said = "" if answer.status == 200 else f": {answer.body[:120]!r}"
                yield f"status {answer.status}, expected {' or '.join(map(str, expected))}{said}"
            yield from checks.check_answer(answer, to_head)
            yield from self.check_bits(answer)
        if answers:
            yield from checks.check_expected(case, answers[-1], lambda text: corpus.fill(text, values))

    def check_granted(self, kme, before, answers):
        """Nothing was executed but what the client saw, at either site."""
        self.door.settle(kme)
        seen = sum(b'"keys"' in answer.body for answer in answers)
        for name, now in self.door.granted().items():
            granted = now - before[name] - (name == kme.name)
            if granted != (seen if name == kme.name else 0):
                yield f"{name} granted {granted} requests, the client saw {seen}"

    def check_bits(self, answer):
        """The same bits under one key ID; none in an error."""
        if answer.status != 200:
            if any(key.encode() in answer.body for key in self.door.given.values()):
                yield "key bits in an error"
            return
        if b'"keys"' not in answer.body:
            return
        try:
            entries = checks.decode(answer.body)["keys"]
        except (ValueError, KeyError):
            return
        for entry in entries:
            if self.door.given.setdefault(entry["key_ID"], entry["key"]) != entry["key"]:
                yield f"{entry['key_ID']} has other bits than its master got"

    def check_end(self, case, values, connection, answers):
        says_close = bool(answers) and answers[-1].header("connection") == "close"
        if case.then == "in step":
            if says_close:
                yield "says Connection: close, expected to stay in step"
            connection.send(corpus.fill(GOOD_REQUEST, values).encode())
            answer = connection.read_answer()
            if answer is None:
                yield "closed, expected to stay in step"
            elif answer.status != 200 or b"source_KME_ID" not in answer.body:
                yield f"not in step: a good status request gets {answer.status} {answer.header('content-type')}"
        elif case.then == "closed":
            if answers and not says_close:
                yield "does not say Connection: close"
            else:
                connection.expect_end()
        elif case.then == "refused":
            connection.expect_end()

    def check_log(self, case, text, values):
        for part in case.log_has:
            if corpus.to_bytes(part, values) not in text:
                yield f"the log does not have {part!r}"
        for part in case.log_has_not:
            if corpus.to_bytes(part, values) in text:
                yield f"the log has {part!r}"

    def check_fresh_keys(self, case, values):
        if not case.fresh_keys:
            return
        peer = values["slave"]
        owner = self.door.peer_of[self.door.lab.saes[peer]]
        for name in ("fresh_key_id", "fresh_key_id_2"):
            if name in values:
                status, answer = self.door.fetch(owner, peer, [values[name]])
                if status != (200 if case.fresh_keys == "kept" else 400):
                    yield f"{name} afterwards: {status}, so it was not {case.fresh_keys}"
                elif status == 200 and answer["keys"][0]["key"] != self.door.given[values[name]]:
                    yield f"{name} afterwards has other bits"

    def start_measuring(self, case, kme):
        if not case.bomb:
            return 0
        self.door.reset_peak(kme)
        return self.door.memory_bytes(kme)[0]

    def check_memory(self, case, kme, before, sent_bytes):
        if not case.bomb:
            return
        now, peak = self.door.memory_bytes(kme)
        grown = (peak - before) / MEGABYTE
        self.note = f"answered after {1000 * self.answer_s:.1f} ms; memory {grown:+.2f} MiB at the peak, {(now - before) / MEGABYTE:+.2f} MiB after"
        limit = BOMB_LIMIT_BYTES
        if case.site == "large bodies":
            # The operator has allowed the body itself, and its text may be copied once; what is measured is that nothing multiplies.
            limit += 2 * sent_bytes
        if peak - before > limit and not self.sanitized:
            yield f"the daemon grew by {grown:.2f} MiB, allowed are {limit / MEGABYTE:.2f}"
