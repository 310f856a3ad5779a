"""A toy KME that does right by ETSI GS QKD 014 V1.1.1 and by qkms's decisions, unless it is given a fault: then it does one thing wrong.

It is its own judge of nothing: what each fault breaks is in faults.py. A rule of the toy is written `unless(fault)`, and a fault is the
name of the rule that it breaks. Keys are random, never printed, and live in memory only. No sockets here: wrong_server.py has those.
"""

import base64
import json
import os
import threading
import urllib.parse
import uuid

NOT_FOUND = "one or more keys specified are not found on KME"
COUNTS = ("key_size", "stored_key_count", "max_key_count", "max_key_per_request", "max_key_size", "min_key_size", "max_SAE_ID_count")
NAMES = ("source_KME_ID", "target_KME_ID", "master_SAE_ID", "slave_SAE_ID")

# What a fault does to an otherwise good Status object.
STATUS_FAULTS = {
    **{f"status-no-{name}": lambda status, name=name: status.pop(name) for name in NAMES},
    **{f"status-text-{name}": lambda status, name=name: status.update({name: str(status[name])}) for name in COUNTS},
    "status-extension-list": lambda status: status.update(status_extension=[]),
    "status-other-master": lambda status: status.update(master_SAE_ID="SAE-other"),
    "status-other-slave": lambda status: status.update(slave_SAE_ID="SAE-other"),
    "status-min-above-default": lambda status: status.update(min_key_size=status["key_size"] + 8),
    "status-max-below-default": lambda status: status.update(max_key_size=status["key_size"] - 8),
    "status-stored-above-max": lambda status: status.update(stored_key_count=status["max_key_count"] + 1),
    "status-no-keys-per-request": lambda status: status.update(max_key_per_request=0),
    "status-size-no-bytes": lambda status: status.update(key_size=257),
    "status-64-bits": lambda status: status.update(max_key_count=2**31),
}


class Refused(Exception):
    def __init__(self, status, message=None):
        super().__init__(status)
        self.status = status
        self.body = None if message is None else {"message": message}
        self.headers = {}


class WithoutMessage(Refused):
    def __init__(self):
        super().__init__(400)
        self.body = {"error": "bad request"}


class Repeated(ValueError):
    pass


def strict_object(pairs):
    if len({name for name, _ in pairs}) < len(pairs):
        raise Repeated("a member is given twice")
    return dict(pairs)


class Kme:
    """The keys and the three methods. `saes` are those that it knows."""

    LIMITS = {"key_size": 256, "stored_key_count": 1000, "max_key_count": 1000, "max_key_per_request": 8, "max_key_size": 1024,
              "min_key_size": 64, "max_SAE_ID_count": 2}

    def __init__(self, saes, fault=None, limits=None):
        self.saes = saes
        self.fault = fault
        self.limits = {**self.LIMITS, **(limits or {})}
        self.keys = {}  # key ID: its master, the slaves that wait for it, its bits, the request that it came with
        self.gone = set()
        self.lock = threading.Lock()
        self.requests = 0
        self.last_id = None

    def unless(self, fault):
        """True for a KME that does right; False for the one that has this fault."""
        return self.fault != fault

    def refuse_unless(self, fault, condition, message="bad request"):
        if condition and self.unless(fault):
            raise Refused(400, message)

    # --- Get status

    def status(self, caller, slave):
        self.refuse_unless("status-own-id", slave == caller)
        self.refuse_unless("status-unknown-slave", slave not in self.saes)
        status = dict(source_KME_ID="KME-1", target_KME_ID="KME-2", master_SAE_ID=caller, slave_SAE_ID=slave, **self.limits)
        STATUS_FAULTS.get(self.fault, lambda _: None)(status)
        return status

    # --- Get key

    def key_request_of_query(self, query):
        parameters = urllib.parse.parse_qsl(query, keep_blank_values=True)
        names = [name for name, _ in parameters]
        self.refuse_unless("get-repeated", len(set(names)) < len(names))
        self.refuse_unless("get-additional-slaves", "additional_slave_SAE_IDs" in names)
        self.refuse_unless("get-extension-mandatory", "extension_mandatory" in names)
        if not parameters and not self.unless("get-bare"):
            raise Refused(400, "no parameters")
        known = [(name, value) for name, value in parameters if name in ("number", "size")]
        if len(known) < len(parameters) and not self.unless("get-unknown-parameter"):
            raise Refused(400, "unknown parameter")
        if len(known) == 2 and not self.unless("get-one-parameter"):
            known.pop()
        request = {}
        for name, value in known:
            if not value.isdecimal():
                if self.fault == "get-number-500":
                    raise Refused(500, "oh")
                self.refuse_unless("get-number-text", True)
                continue
            request[name] = int(value)
        if not self.unless("get-ignores-number"):
            request.pop("number", None)
        if not self.unless("get-ignores-size") and request.get("size", 1) % 8 == 0:
            request.pop("size")
        return request

    def key_request_of_body(self, body):
        if not body:
            if not self.unless("empty-body"):
                raise Refused(400, "no body")
            return {}
        request = self.read_json(body, "enc")
        if not isinstance(request, dict):
            self.refuse_unless("array", True)
            return {}
        if not request and not self.unless("post-empty-object"):
            raise Refused(400, "empty")
        if None in request.values() and not self.unless("null"):
            raise Refused(400, "null")
        request = {name: value for name, value in request.items() if value is not None}
        if "qkmsconformance_unknown" in request and not self.unless("unknown-member"):
            raise Refused(400, "unknown member")
        if "number" in request and not self.unless("post-ignores-number"):
            request.pop("number")
        size = request.get("size")
        if isinstance(size, int) and size % 8 == 0 and not self.unless("post-ignores-size"):
            request.pop("size")
        if "number" in request and "size" in request and not self.unless("post-one-member"):
            request.pop("size")
        return request

    def read_json(self, body, method):
        try:
            return json.loads(body, object_pairs_hook=strict_object)
        except Repeated:
            self.refuse_unless("repeated-member", True)
            return json.loads(body)
        except ValueError:
            if self.fault == f"{method}-error-without-message":
                raise WithoutMessage from None
            if self.fault == "dec-broken-json" and method == "dec":
                raise Refused(401) from None
            if self.fault == "enc-broken-json":
                return {}
            raise Refused(400, "no JSON") from None

    def integer(self, request, name, low, high):
        value = request.get(name)
        if value is None:
            return None
        if isinstance(value, str):
            self.refuse_unless(f"{name}-text", True)
            value = int(value)
        if isinstance(value, float):
            self.refuse_unless(f"{name}-fraction", True)
            value = int(value)
        if name == "size" and value % 8 != 0:
            self.check_multiple_of_8(request)
            value += -value % 8
        rule = "-0" if value == 0 else "-negative" if value < 0 else "-above-max" if value > high else "-below-min"
        self.refuse_unless(name + rule, not low <= value <= high)
        for fault, refused in ((f"{name}-max-refused", high), (f"{name}-min-refused", low)):
            if value == refused and self.fault == fault:
                raise Refused(400, "not that much")
        return value

    def check_multiple_of_8(self, request):
        form = "get" if request.get("by_get") else "post"
        message = "size shall be a multiple of 8" if self.unless("size-message") else "Size shall be a multiple of 8."
        self.refuse_unless(f"size-odd-{form}", True, message)

    def check_extensions(self, request):
        mandatory, optional = request.get("extension_mandatory"), request.get("extension_optional")
        if mandatory == [] and not self.unless("extensions-empty"):
            raise Refused(400, "empty")
        if mandatory is not None and not isinstance(mandatory, list):
            self.refuse_unless("extensions-object", True)
            mandatory = None
        message = "not all extension_mandatory parameters are supported" if self.unless("mandatory-message") else "unsupported"
        self.refuse_unless("mandatory-unknown", mandatory, message)
        if optional and not self.unless("optional-unknown"):
            raise Refused(400, "unknown extension")

    def slaves_of(self, caller, slave, request):
        more = request.get("additional_slave_SAE_IDs")
        if more == [] and not self.unless("slaves-empty"):
            raise Refused(400, "empty")
        more = more or []
        if len(more) > self.limits["max_SAE_ID_count"]:
            self.refuse_unless("slaves-too-many", True)
            return [slave]
        self.refuse_unless("slaves-caller", caller in more)
        self.refuse_unless("slaves-slave", slave in more)
        self.refuse_unless("slaves-unknown", any(one not in self.saes for one in more))
        if any(one in self.saes and one not in (caller, slave) for one in more) and not self.unless("slaves-refused"):
            raise Refused(400, "no multicast")
        return [slave, *more]

    def get_key(self, caller, slave, request):
        self.refuse_unless("get-key-own-id", slave == caller)
        if slave not in self.saes and self.fault == "unknown-slave-without-message":
            raise WithoutMessage
        self.refuse_unless("get-key-unknown-slave", slave not in self.saes)
        self.check_extensions(request)
        slaves = self.slaves_of(caller, slave, request)
        limits = self.limits
        size = self.integer(request, "size", limits["min_key_size"], limits["max_key_size"]) or limits["key_size"]
        number = self.integer(request, "number", 1, limits["max_key_per_request"])
        number = 1 if number is None or number < 1 else number
        self.requests += 1
        bits = [os.urandom(size // 8) for _ in range(number)]
        ids = [str(uuid.uuid4()) for _ in range(number)]
        self.spoil_keys(ids, bits, request)
        for key_id, key in zip(ids, bits):
            self.keys[key_id] = {"master": caller, "waiting": set(slaves), "slave": slave, "bits": key, "request": self.requests}
        return self.container(zip(ids, bits), "enc")

    def spoil_keys(self, ids, bits, request):
        plain = len(bits) == 1 and len(bits[0]) == 32
        if self.fault == "old-bits" and plain:
            bits[0] = b"12345678" * 4
        if self.fault == "old-ids" and plain and request.get("by_get"):
            self.last_id = ids[0] = self.last_id or ids[0]
            self.gone.discard(ids[0])
        if self.fault == "ids-no-uuid":
            ids[:] = [f"key-{self.requests}-{i}" for i in range(len(ids))]
        if self.fault == "ids-capitals":
            ids[:] = ["F" + key_id[1:].upper() for key_id in ids]
        if self.fault == "same-ids":
            ids[:] = ids[:1] * len(ids)
        if self.fault == "same-bits":
            bits[:] = bits[:1] * len(bits)

    def container(self, keys, method):
        encode = base64.b64encode if self.unless("no-base64") else lambda bits: base64.urlsafe_b64encode(bits).rstrip(b"=") + b"-"
        keys = [{"key_ID": key_id, "key": encode(bits).decode()} for key_id, bits in keys]
        if self.fault == f"{method}-extension-text":
            keys[0]["key_ID_extension" if method == "dec" else "key_extension"] = "x"
        return {"keys": keys if self.unless("keys-object") or method == "dec" else {"key": keys}}

    # --- Get key with key IDs

    def ids_of_query(self, query):
        ids = [value for name, value in urllib.parse.parse_qsl(query) if name == "key_ID"]
        self.refuse_unless("dec-get-nothing", not ids)
        return ids

    def ids_of_body(self, body):
        request = self.read_json(body, "dec")
        if not isinstance(request, dict):
            raise Refused(400, "no object")
        if "key_IDs" not in request:
            self.refuse_unless("key-ids-absent", True)
            return []
        if "key_IDs_extension" in request and not self.unless("dec-extensions"):
            raise Refused(400, "extension")
        if "qkmsconformance_unknown" in request and not self.unless("dec-unknown-member"):
            raise Refused(400, "unknown member")
        entries = request["key_IDs"]
        self.refuse_unless("key-ids-empty", not entries)
        self.refuse_unless("key-ids-strings", any(isinstance(entry, str) for entry in entries))
        return [entry["key_ID"] for entry in entries if isinstance(entry, dict)]

    def checked_ids(self, ids):
        if self.unless("ids-no-uuid"):
            if any(len(key_id) != 36 for key_id in ids):
                self.refuse_unless("key-id-no-uuid", True)
                return []
            if self.unless("key-id-case") and self.unless("ids-capitals"):
                ids = [key_id.lower() for key_id in ids]
        self.refuse_unless("key-id-repeated", len(set(ids)) < len(ids))
        return list(dict.fromkeys(ids))

    def get_by_ids(self, caller, master, ids, form):
        ids = self.checked_ids(ids)
        found = [self.keys[key_id] for key_id in ids if key_id in self.keys]
        self.check_entitled(caller, master, found, form)
        ids = self.check_found(caller, ids, form)
        if ids and form == "get" and not self.unless("dec-get"):
            raise Refused(400, "POST, please")
        if len(ids) == 1 and form == "post" and not self.unless("dec-post-one"):
            return {"keys": []}
        if not self.unless("dec-post-several"):
            ids = ids[:1]
        given = [(key_id, self.bits_for(caller, self.keys[key_id], form)) for key_id in ids]
        for key_id in ids:
            self.forget(caller, key_id)
        if not self.unless("dec-order"):
            given.reverse()
        return self.container(given, "dec")

    def check_entitled(self, caller, master, found, form):
        for key in found:
            served = caller in key["waiting"] or caller in key.get("served", ())
            self.refuse_master(caller, key)
            if not served and caller != key["master"] and self.unless(f"unnamed-{form}"):
                if not self.unless("unnamed-takes"):
                    key["waiting"].clear()
                if self.unless("401-body"):
                    raise Refused(401)
                raise Refused(401, "not yours")
            if key["master"] != master and self.unless("another-master"):
                raise Refused(401)

    def refuse_master(self, caller, key):
        if caller == key["master"] and self.unless("own-key"):
            raise Refused(401)

    def check_found(self, caller, ids, form):
        unknown = [key_id for key_id in ids if key_id not in self.keys and key_id not in self.gone]
        gone = [key_id for key_id in ids if key_id in self.gone or (key_id in self.keys and self.is_gone_for(caller, self.keys[key_id]))]
        if gone:
            raise Refused(400, NOT_FOUND if self.unless("gone-message") else "gone")
        if unknown and len(unknown) < len(ids):
            if not self.unless("mix-takes"):
                for key_id in set(ids) - set(unknown):
                    self.forget(caller, key_id)
            self.refuse_unless("mix", True, NOT_FOUND)
        elif unknown:
            self.refuse_unless(f"unknown-{form}", True, NOT_FOUND if self.unless("unknown-message") else "unknown key ID")
        return [key_id for key_id in ids if key_id not in unknown]

    def is_gone_for(self, caller, key):
        return caller in key.get("served", ()) or not key["waiting"]

    def bits_for(self, caller, key, form):
        other = bytes(len(key["bits"]))
        if self.fault == f"other-bits-{form}" or (self.fault == "slaves-other-bits" and caller != key["slave"] and len(key["waiting"]) > 1):
            return other
        return key["bits"]

    def forget(self, caller, key_id):
        key = self.keys[key_id]
        if len(key["waiting"]) + len(key.get("served", ())) == 1 and not self.unless("never-gone"):
            return
        if caller != key["slave"] and not self.unless("slaves-never-gone"):
            return
        key["waiting"].discard(caller)
        key.setdefault("served", set()).add(caller)
        if not self.unless("takes-all"):
            for other in self.keys.values():
                if other is not key and other["request"] == key["request"]:
                    other["waiting"].clear()
