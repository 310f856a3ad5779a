"""What every answer of the key delivery API must be, and what a case says beyond that. Each check yields sentences about what is wrong."""

import base64
import binascii
import json
import re

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
PRINTABLE = re.compile(r"[ -~]+")
INT_MAX = 2**31 - 1  # clients read the integers of Status as 32 bits (shared decision 13)

STATUS_TEXTS = ("source_KME_ID", "target_KME_ID", "master_SAE_ID", "slave_SAE_ID")
STATUS_INTEGERS = ("key_size", "stored_key_count", "max_key_count", "max_key_per_request", "max_key_size", "min_key_size", "max_SAE_ID_count")


def no_duplicates(pairs):
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("two members of one name")
    return members


def decode(body):
    """The JSON of an answer. ValueError unless it is UTF-8 and no member occurs twice."""
    return json.loads(body.decode("utf-8"), object_pairs_hook=no_duplicates)


def check_answer(answer, to_head=False):
    """Independent of the case: status codes and the shape of the body belong together."""
    if 100 <= answer.status < 200:
        return
    if answer.status == 401:
        if answer.header("content-length") != "0" or answer.header("content-type"):
            yield "401 has no body: Content-Length: 0 and no Content-Type"
        return
    if answer.header("content-type") != "application/json":
        yield f"Content-Type is {answer.header('content-type')!r}"
    if answer.header("content-encoding"):
        yield "an answer in a Content-Encoding that nobody asked for"
    if answer.status == 405 and not answer.header("allow"):
        yield "405 without Allow"
    if to_head:
        return
    try:
        body = decode(answer.body)
    except ValueError as error:
        yield f"the body is not JSON: {error}"
        return
    if not isinstance(body, dict):
        yield "the body is no JSON object"
    elif answer.status == 200:
        yield from check_granted(body)
    else:
        yield from check_error(body)


def check_error(body):
    """ETSI GS QKD 014 V1.1.1 §6.5: `message`, and `details` as an array of objects."""
    message = body.get("message")
    if not isinstance(message, str) or not PRINTABLE.fullmatch(message):
        yield f"an Error body has a printable message: {message!r}"
    details = body.get("details", [{}])
    if not isinstance(details, list) or not details or not all(isinstance(one, dict) for one in details):
        yield "details is no array of objects"
    if set(body) - {"message", "details"}:
        yield f"members that are not of an Error: {sorted(set(body) - {'message', 'details'})}"


def check_granted(body):
    if "keys" in body:
        yield from check_container(body)
    elif "source_KME_ID" in body:
        yield from check_status(body)
    else:
        yield f"200 with neither Status nor Key container: {sorted(body)}"


def check_status(body):
    """§6.1: all members mandatory."""
    for name in STATUS_TEXTS:
        if not isinstance(body.get(name), str):
            yield f"Status: {name} is {body.get(name)!r}"
    for name in STATUS_INTEGERS:
        if type(body.get(name)) is not int or not 0 <= body[name] <= INT_MAX:
            yield f"Status: {name} is {body.get(name)!r}"


def check_container(body):
    """§6.3. Never says what a key is."""
    if not isinstance(body["keys"], list) or not body["keys"]:
        yield "keys is no array with something in it"
        return
    for i, entry in enumerate(body["keys"]):
        if not UUID.fullmatch(entry.get("key_ID", "")):
            yield f"keys[{i}].key_ID is no UUID of version 4 in lower case: {entry.get('key_ID')!r}"
        if key_bits(entry) is None:
            yield f"keys[{i}].key is no base64 with padding"
    if len({entry.get("key_ID") for entry in body["keys"]}) != len(body["keys"]):
        yield "one key_ID twice"


def key_bits(entry):
    """The size of a key in bits; None when it is not base64 by RFC 4648 §4."""
    try:
        return 8 * len(base64.b64decode(entry["key"], validate=True))
    except (KeyError, TypeError, binascii.Error):
        return None


def check_expected(case, answer, fill):
    """What the case says about its last answer."""
    for name, value in case.header.items():
        if answer.header(name) != value:
            yield f"{name} is {answer.header(name)!r}, expected {value!r}"
    body = {}
    if answer.body:
        try:
            body = decode(answer.body)
        except ValueError:
            return
    yield from check_message(case, body)
    yield from check_keys(case, body, fill)
    for name, value in case.members.items():
        wanted = fill(value) if isinstance(value, str) else value
        if body.get(name) != wanted:
            yield f"{name} is {body.get(name)!r}, expected {wanted!r}"


def check_message(case, body):
    message = body.get("message", "")
    if case.message is not None and message != case.message:
        yield f"message is {message!r}, expected {case.message!r}"
    for part in case.message_has:
        if part not in message:
            yield f"message {message!r} does not say {part!r}"
    for part in case.message_lacks:
        if part in message:
            yield f"message {message!r} says {part!r}"
    if case.detail is not None and case.detail not in json.dumps(body.get("details", [])):
        yield f"details {body.get('details')!r} has no {case.detail!r}"


def check_keys(case, body, fill):
    entries = body.get("keys", [])
    if case.keys is not None and len(entries) != case.keys:
        yield f"{len(entries)} keys, expected {case.keys}"
    if case.key_bits is not None:
        sizes = {key_bits(entry) for entry in entries}
        if sizes != {case.key_bits}:
            yield f"keys of {sizes} bits, expected {case.key_bits}"
    if case.key_ids is not None:
        got, wanted = [entry["key_ID"] for entry in entries], [fill(one) for one in case.key_ids]
        if got != wanted:
            yield f"key IDs {got}, expected {wanted} in this order"
