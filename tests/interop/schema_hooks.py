"""Hooks of schemathesis for schema_fuzz.py: they put known SAEs and real key IDs into generated requests, and check what a schema cannot say.

Loaded by schemathesis itself, in the virtual environment. Without them nearly every request would end at "the slave SAE is not known".
A part that was generated wrong on purpose stays as it is, and one in eight right ones too.
"""

import base64
import http.client
import json
import os
import random
import ssl

import schemathesis

LAB = json.loads(os.environ["QKMS_FUZZ_LAB"])
RANDOM = random.Random(LAB["seed"])
REASONS = {"pool-exhausted", "peer-unreachable", "no-route", "overloaded", "sealed", "rate-limited", "over-quota", "reserved"}
CAN_BE_MET = ([{}], [{"qkms_route_type": "direct"}, {}], [{"qkms_route_type": "any", "qkms_max_age_ms": 31622400000}])


class OtherSide:
    """The SAE at the other KME: it gets the keys that the fuzzer's SAE then asks for by their IDs."""

    def __init__(self):
        context = ssl.create_default_context(cafile=LAB["ca"])
        context.load_cert_chain(LAB["other_cert"], LAB["other_key"])
        self.connection = http.client.HTTPSConnection("127.0.0.1", LAB["other_port"], context=context, timeout=20)

    def new_ids(self, number):
        self.connection.request("POST", f"/api/v1/keys/{LAB['caller']}/enc_keys", json.dumps({"number": number, "size": 64}))
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"the other side was answered {answer.status} {text[:200]!r}")
        return [one["key_ID"] for one in json.loads(text)["keys"]]


OTHER_SIDE = OtherSide()
MUST_WORK = set()  # IDs of cases that the daemon has no reason to refuse


def mostly():
    return RANDOM.random() < 0.875


def is_right(case, container):
    """Whether that part of the request was generated to be valid."""
    components = {location.name.lower(): component.mode for location, component in case.meta.components.items()}
    return not components.get(container, case.meta.generation.mode).is_negative


def fill_ids(case):
    """Real key IDs in place of generated ones. True if all were replaced."""
    if case.operation.method.upper() == "GET":
        if not is_right(case, "query") or "key_ID" not in (case.query or {}) or not mostly():
            return False
        case.query["key_ID"] = OTHER_SIDE.new_ids(1)[0]
        return True
    entries = case.body.get("key_IDs") if isinstance(case.body, dict) else None
    if not is_right(case, "body") or not isinstance(entries, list) or not 0 < len(entries) <= 100 or not mostly():
        return False
    for entry, key_id in zip(entries, OTHER_SIDE.new_ids(len(entries))):
        entry["key_ID"] = RANDOM.choice([key_id, key_id.upper()])
    return True


def fill_key_request(case):
    """Slaves that there are, and extensions that can be met. True if the request is one that can be met."""
    if case.operation.method.upper() == "GET":
        return is_right(case, "query")
    if not is_right(case, "body") or not mostly():
        return False
    if not isinstance(case.body, dict):
        return False
    if case.body.get("additional_slave_SAE_IDs"):
        case.body["additional_slave_SAE_IDs"] = [LAB["additional"]]
    if case.body.get("extension_mandatory"):
        case.body["extension_mandatory"] = RANDOM.choice(CAN_BE_MET)
    return True


@schemathesis.hook
def before_call(context, case, kwargs):
    MUST_WORK.discard(case.id)
    if case.meta is None:
        return
    names = [name for name in (case.path_parameters or {}) if name.endswith("SAE_ID")]
    known = bool(names) and is_right(case, "path") and mostly()
    if known:
        case.path_parameters[names[0]] = LAB["other"]
    path = case.operation.path
    met = fill_ids(case) if path.endswith("dec_keys") else fill_key_request(case) if path.endswith("enc_keys") else True
    if known and met and not case.meta.generation.mode.is_negative:
        MUST_WORK.add(case.id)


@schemathesis.hook
def after_call(context, case, response):
    mode = "negative" if case.meta is not None and case.meta.generation.mode.is_negative else "positive"
    line = {"operation": case.operation.label, "sent": case.method, "mode": mode, "status": response.status_code, "must_work": case.id in MUST_WORK}
    with open(LAB["record"], "a", encoding="utf-8") as record:
        record.write(json.dumps(line) + "\n")


def header(response, name):
    values = response.headers.get(name.lower()) or []
    return values[0] if values else None


@schemathesis.check
def every_answer_has_its_form(context, response, case):
    assert header(response, "Transfer-Encoding") is None, "an answer is chunked"
    assert case.method.upper() == "HEAD" or header(response, "Content-Length") == str(len(response.content)), "no right Content-Length"
    assert header(response, "Cache-Control") == "no-store", "an answer may be cached"
    if response.status_code == 401:
        assert response.content == b"", "401 with a body"
    elif response.status_code >= 400 and case.method.upper() != "HEAD":
        assert response.json()["message"], "an Error without a message"


@schemathesis.check
def no_answer_hides_an_internal_error(context, response, case):
    if response.status_code < 500 or case.method.upper() == "HEAD":
        return
    assert response.status_code == 503, f"status {response.status_code}"
    details = response.json().get("details") or [{}]
    assert details[0].get("qkms_reason") in REASONS, f"503 without a documented reason: {response.json()}"


@schemathesis.check
def what_can_be_met_is_met(context, response, case):
    if case.id in MUST_WORK:
        assert response.status_code == 200, f"a valid request of SAEs that may is answered {response.status_code} {response.text[:200]}"


@schemathesis.check
def keys_are_as_asked(context, response, case):
    if response.status_code != 200 or not case.operation.path.endswith("_keys"):
        return
    keys = response.json()["keys"]
    sizes = {len(base64.b64decode(one["key"], validate=True)) * 8 for one in keys}
    assert len({one["key_ID"] for one in keys}) == len(keys), "a key ID twice"
    if case.operation.path.endswith("dec_keys"):
        asked = [case.query["key_ID"]] if case.method == "GET" else [one["key_ID"] for one in case.body["key_IDs"]]
        assert [one["key_ID"] for one in keys] == [one.lower() for one in asked], "not the key IDs that were asked for, in their order"
        return
    wish = (case.query if case.method == "GET" else case.body) if isinstance(case.query if case.method == "GET" else case.body, dict) else {}
    assert len(keys) == int(wish.get("number") or 1), "not as many keys as asked for"
    assert sizes == {int(wish.get("size") or 256)}, "not the size that was asked for"
