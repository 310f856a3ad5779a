#!/usr/bin/env python3
"""kill -9 of either daemon at random moments under load, again and again; then the history must hold and the bits must add up (T38).

Each round: encryptors ask and fetch on several connections, one daemon is killed, started again, and everyone goes on. At the end the
history that the encryptors wrote down is checked without any help of the daemons, and the daemons' accounts are compared.
"""

import argparse
import hashlib
import http.client
import base64
import pathlib
import random
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lab"))
from sites import SOURCE, Lab, LabError, wait_for  # noqa: E402

UNKNOWN = (OSError, http.client.HTTPException, ValueError)
MAX_KEYS = 4
KEY_BITS = 256


class Encryptors(threading.Thread):
    """A master and its slave at the other site: asks for keys, then fetches them, and writes down what happened."""

    def __init__(self, lab, master, slave, seed):
        super().__init__(daemon=True)
        self.at_master, self.at_slave = lab.client(master), lab.client(slave)
        self.master, self.slave = master, slave
        self.random = random.Random(seed)
        self.running = True
        self.keys = {}  # key ID -> digest of its bits, of every 200 of Get key
        self.fetched = {}  # key ID -> digests that Get key with key IDs gave
        self.doubtful = set()  # key IDs of fetches whose answer was lost
        self.refused = 0
        self.lost_answers = 0
        self.windows = []  # 8-byte windows of all keys, to see bits that come twice
        self.faults = []

    def run(self):
        while self.running:
            try:
                self.one()
            except LabError as error:
                self.faults.append(str(error))
                return

    def one(self):
        try:
            code, answer = self.at_master.get_key(self.slave, self.random.randint(1, MAX_KEYS))
        except UNKNOWN:
            self.lost_answers += 1
            time.sleep(0.01)
            return
        if code == 503:
            self.refused += 1
            time.sleep(0.01)
            return
        if code != 200:
            raise LabError(f"Get key answered {code}: {answer}")
        ids = []
        for key in answer["keys"]:
            bits = base64.b64decode(key["key"], validate=True)
            if key["key_ID"] in self.keys:
                raise LabError(f"key ID {key['key_ID']} was given out twice")
            self.keys[key["key_ID"]] = hashlib.sha256(bits).hexdigest()
            self.windows += [bits[i:i + 8] for i in range(0, len(bits), 8)]
            ids.append(key["key_ID"])
        self.fetch(ids)

    def fetch(self, ids):
        """A 200 of Get key promises that the slave can fetch, whatever is killed meanwhile: tries until there is an answer."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                code, answer = self.at_slave.get_by_ids(self.master, ids)
            except UNKNOWN:
                self.doubtful.update(ids)
                time.sleep(0.01)
                continue
            if code == 503:
                time.sleep(0.01)
                continue
            if code == 400 and self.doubtful.issuperset(ids):
                return  # the answer that was lost had them
            if code != 200:
                raise LabError(f"keys of a 200 cannot be fetched: {code} {answer}")
            for key in answer["keys"]:
                digest = hashlib.sha256(base64.b64decode(key["key"], validate=True)).hexdigest()
                self.fetched.setdefault(key["key_ID"], []).append(digest)
            return
        raise LabError("keys of a 200 could not be fetched for a minute")


def check_history(encryptors):
    faults = [fault for one in encryptors for fault in one.faults]
    owners, windows = {}, set()
    for one in encryptors:
        for key_id, digest in one.keys.items():
            if key_id in owners:
                faults.append(f"key ID {key_id} was given to two masters")
            owners[key_id] = digest
        for window in one.windows:
            if window in windows:
                faults.append("eight bytes of key material came twice")
            windows.add(window)
    for one in encryptors:
        for key_id, digests in one.fetched.items():
            if len(digests) > 1:
                faults.append(f"{key_id} was fetched {len(digests)} times")
            if any(digest != owners.get(key_id) for digest in digests):
                faults.append(f"{key_id} has different bits at the two sites")
        missing = set(one.keys) - set(one.fetched) - one.doubtful
        if missing and not one.faults:
            faults.append(f"{len(missing)} keys were never fetched")
    return faults


SPENT = ("macs", "quarantined", "in_flight", "held", "delivered", "pads", "burned", "expired")


def check_accounts(a, b, most_burned):
    faults = []
    for name, one in (("KME-A", a), ("KME-B", b)):
        total = sum(one[category] for category in SPENT) + one["available_own"] + one["available_peer"]
        if total != one["in"]:
            faults.append(f"{name}: {one['in']} bits came in, {total} are accounted for: {one}")
        if one["in_flight"]:
            faults.append(f"{name}: {one['in_flight']} bits are still in flight")
        lost = one["burned"] + one["expired"]
        if lost > most_burned:
            faults.append(f"{name}: {lost} bits were burned, at most {most_burned} were in flight")
    for mine, theirs in (("in", "in"), ("macs", "macs"), ("quarantined", "quarantined"), ("available_own", "available_peer"),
                         ("available_peer", "available_own")):
        if a[mine] != b[theirs]:
            faults.append(f"the two ends do not agree: {mine} {a[mine]} and {theirs} {b[theirs]}")
    return faults


def quiet_accounts(lab):
    """Both ledgers, once nothing moves any more. The devices go on, so the two are read until they fit."""
    last = {}

    def settled():
        a, b = lab.kmes["KME-A"].ledger("KME-B"), lab.kmes["KME-B"].ledger("KME-A")
        last.update(a=a, b=b)
        return a and b and not check_accounts(a, b, sys.maxsize) and (a, b)

    try:
        return wait_for(settled, "the two ends agree", 30)
    except LabError:
        return last["a"], last["b"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--build", type=pathlib.Path, default=SOURCE / "build" / "release")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(folder, options.build, rate_bps=8_000_000, request_deadline_ms=800)
        try:
            faults = play(lab, options.rounds, chance)
        finally:
            lab.close()
    for fault in faults[:20]:
        print("FAULT:", fault)
    print(f"kill test: {'FAILED' if faults else 'passed'}, seed {options.seed}")
    sys.exit(1 if faults else 0)


def play(lab, rounds, chance):
    lab.start()
    lab.wait_for_keys()
    pairs = [("SAE-A1", "SAE-B1"), ("SAE-B1", "SAE-A1"), ("SAE-A2", "SAE-B1"), ("SAE-B1", "SAE-A2"), ("SAE-B2", "SAE-A1"), ("SAE-A1", "SAE-B1")]
    encryptors = [Encryptors(lab, master, slave, chance.random()) for master, slave in pairs]
    for one in encryptors:
        one.start()
    for number in range(1, rounds + 1):
        time.sleep(chance.uniform(0.05, 0.4))  # the random moment is what this test is about
        victim = lab.kmes[chance.choice(sorted(lab.kmes))]
        victim.kill()
        victim.start().wait_until_up()
        if number % 20 == 0:
            granted = sum(len(one.keys) for one in encryptors)
            print(f"{number} kills, {granted} keys, {sum(one.lost_answers for one in encryptors)} answers lost, "
                  f"{sum(one.refused for one in encryptors)} refusals", flush=True)
        if any(one.faults for one in encryptors):
            break
    lab.wait_for_keys(1)
    for one in encryptors:
        one.running = False
    for one in encryptors:
        one.join(90)
    # In flight at a kill: at most one request of each encryptor, and one more whose fetch was lost.
    most_burned = rounds * len(encryptors) * MAX_KEYS * KEY_BITS
    a, b = quiet_accounts(lab)
    print(f"keys given out {sum(len(one.keys) for one in encryptors)}, fetched {sum(len(one.fetched) for one in encryptors)}, "
          f"fetches in doubt {sum(len(one.doubtful) for one in encryptors)}")
    print("accounts of KME-A in bits:", a)
    print("accounts of KME-B in bits:", b)
    return check_history(encryptors) + check_accounts(a, b, most_burned)


if __name__ == "__main__":
    main()
