#!/usr/bin/env python3
"""A daemon dies, fails or meets a full disk at each named failpoint under load; then the history must hold and the bits must add up.

Each round arms one failpoint at one of two daemons, waits until it was reached, and starts the daemon anew. Encryptors ask and fetch all the
while; what they wrote down is judged as in tests/kill/run.py (T38). A failpoint that no round reaches is a fault of its own.
"""

import argparse
import contextlib
import http.client
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(SOURCE / "lab"), str(SOURCE / "tests" / "kill")]
import run as kill  # noqa: E402
from sites import Lab, LabError, wait_for  # noqa: E402

EXIT_IO = 74
# Where the code at the point answers for an error, and where for a full disk; elsewhere a point is for dying only.
FILLS = {"store.begin", "store.before_commit", "store.checkpoint", "ingest.before_commit", "get_key.before_commit", "get_by_id.before_commit"}
ERRS = FILLS | {"store.after_commit", "ingest.after_commit", "get_key.after_commit", "get_by_id.after_commit"}
# What comes about once in the life of a daemon, or seldom.
ONCE = ("shutdown.", "reload.", "store.open", "store.checkpoint", "keyring.", "backup.", "rotate_master.")
# What an operator has to ask for.
ASKED = {"backup": "/backup", "rotate_master": "/rotate-master"}
# A start that dies at each step of finding out what the crash before has left, one after the other.
RECOVERY = ("store.open", "keyring.before_write", "keyring.after_write", "store.begin", "store.before_commit", "store.after_commit")
PAIRS = [("SAE-A1", "SAE-B1"), ("SAE-B1", "SAE-A1"), ("SAE-A2", "SAE-B1"), ("SAE-B1", "SAE-A2")]


class Round:
    """One failpoint at one daemon."""

    def __init__(self, victim, point, action, nth):
        self.victim, self.point, self.action, self.nth = victim, point, action, nth
        self.hit = victim.folder / "failpoint.hit"
        self.was_hit = False

    def __str__(self):
        return f"{self.point}={self.action}@{self.nth} at {self.victim.name}"

    def start(self):
        self.hit.unlink(missing_ok=True)
        if self.victim.process is not None and not self.ended():
            self.victim.kill()
        self.victim.start(environment={"QKMS_FAILPOINT": f"{self.point}={self.action}@{self.nth}", "QKMS_FAILPOINT_HIT": str(self.hit)})

    def ended(self):
        return self.victim.process.poll() is not None

    def play(self):
        """Runs it to its end; the daemon serves again after it. Gives what went otherwise than it should."""
        faults = self.crash()
        if self.point == "rotate_master.begin":  # what an operator does when the machine fails in between
            os.replace(self.old_key(), self.master_key())
        self.victim.start().wait_until_up()
        return faults

    def crash(self):
        self.start()
        try:
            self.provoke()
            wait_for(lambda: self.hit.exists() or self.ended(), f"{self} is reached", 30)
            self.was_hit = self.hit.exists()
            faults = self.judge_end()
        except LabError as error:
            faults = [str(error)]
        if not self.ended():
            self.victim.kill()
        return faults

    def master_key(self):
        return self.victim.folder / "master.key"

    def old_key(self):
        return self.victim.folder / "master.key.old"

    def provoke(self):
        """What traffic alone does not bring about."""
        signals = {"shutdown": signal.SIGTERM, "reload": signal.SIGHUP}
        step = self.point.split(".")[0]
        if step in signals:
            self.victim.wait_until_up()
            self.victim.process.send_signal(signals[step])
        elif step in ASKED:
            self.victim.wait_until_up()
            if step == "rotate_master":
                os.replace(self.master_key(), self.old_key())
                self.victim.lab.run(self.victim.lab.qkmsctl, "new-master-key", f"file:{self.master_key()}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.victim.ask_operator(ASKED[step], "POST")

    def store_open(self):
        try:
            return self.victim.metrics()[("qkms_store_open", ())] == 1
        except OSError:
            return False  # on its way down

    def judge_end(self):
        """A kill is a kill, an error ends the daemon with its exit code, a full disk passes by itself or refuses a start."""
        if self.action == "full":
            wait_for(lambda: self.ended() or self.store_open(), f"{self}: open again")
            refused = self.ended() and self.victim.process.returncode == EXIT_IO and "the store cannot be written" in self.last_words()
            return [f"{self}: ended with {self.victim.process.returncode}: {self.last_words()}"] if self.ended() and not refused else []
        wanted = -signal.SIGKILL if self.action == "kill" else EXIT_IO
        wait_for(self.ended, f"{self}: ends")
        code = self.victim.process.returncode
        return [] if code == wanted and self.hit.exists() else [f"{self}: ended with {code}, not {wanted}: {self.last_words()}"]

    def last_words(self):
        return self.victim.log.read_text(errors="replace").splitlines()[-1]


def actions_of(point, quick):
    if quick:
        return ["kill"]
    return ["kill"] + ["error"] * (point in ERRS) + ["full"] * (point in FILLS)


def rounds_of(lab, points, options, chance):
    """Every point and action at both daemons; in a quick run each point once, at either."""
    for point in points:
        for action in actions_of(point, options.quick):
            names = sorted(lab.kmes)
            for name in [chance.choice(names)] if options.quick else names * options.repeat:
                yield Round(lab.kmes[name], point, action, 1 if point.startswith(ONCE) else chance.randint(1, 12))


def crash_while_recovering(lab, options, chance, points, played):
    """kill -9 under load, and then at each step of the starts after it; none of them gets to serve."""
    faults = []
    names = sorted(lab.kmes)
    for name in [chance.choice(names)] if options.quick else names * options.repeat:
        lab.kmes[name].kill()
        for point in (point for point in RECOVERY if point in points):
            played.append(Round(lab.kmes[name], point, "kill", 1))
            faults += played[-1].crash()
        lab.kmes[name].start().wait_until_up()
    return faults


def play(lab, options, chance, points):
    faults, played = [], []
    # A store is made once in a daemon's life: its points come first.
    for name in sorted(lab.kmes):
        played.append(Round(lab.kmes[name], "store.migrate", "kill", 1))
        faults += played[-1].play()
    lab.wait_for_keys()
    encryptors = [kill.Encryptors(lab, master, slave, chance.random()) for master, slave in PAIRS]
    for one in encryptors:
        one.start()
    others = [point for point in points if point != "store.migrate"]
    for one in rounds_of(lab, others, options, chance):
        played.append(one)
        faults += one.play()
        if faults or any(encryptor.faults for encryptor in encryptors):
            break
    faults += crash_while_recovering(lab, options, chance, points, played)
    for kme in lab.kmes.values():
        if (code := kme.stop()) != 0:
            faults.append(f"{kme.name}: SIGTERM under load ended it with {code}")
        kme.start().wait_until_up()
    lab.wait_for_keys(1)
    for one in encryptors:
        one.running = False
    for one in encryptors:
        one.join(90)
    a, b = kill.quiet_accounts(lab)
    most_burned = 2 * len(played) * len(encryptors) * kill.MAX_KEYS * kill.KEY_BITS
    print(f"{len(played)} rounds, keys given out {sum(len(one.keys) for one in encryptors)}, fetched {sum(len(one.fetched) for one in encryptors)}, "
          f"answers lost {sum(one.lost_answers for one in encryptors)}, burned at KME-A {a['burned'] + a['expired']} bits")
    missed = sorted(set(points) - {one.point for one in played if one.was_hit})
    return faults + [f"{point} was never reached" for point in missed] + kill.check_history(encryptors) + kill.check_accounts(a, b, most_burned)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="each point once, kills only")
    parser.add_argument("--only", default="", help="points whose names begin like this")
    parser.add_argument("--repeat", type=int, default=1, help="how often at each daemon")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path(os.environ.get("QKMS_BUILD", SOURCE / "build" / "release")))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(folder, options.build, rate_bps=4_000_000, request_deadline_ms=800)
        for kme in lab.kmes.values():  # a reservoir that is never full, so that blocks come in all the while
            kme.configuration.write_text(kme.configuration.read_text().replace("[[links]]", "reservoir_capacity_bytes = 1000000000\n[[links]]", 1))
        lab.qkmsd = options.build / "server" / "qkmsd_failpoints"
        listed = subprocess.run([lab.qkmsd], env={"QKMS_FAILPOINT": "list"}, capture_output=True, text=True, timeout=30, check=True)
        shipped = (options.build / "server" / "qkmsd").read_bytes()
        switch = ["the daemon that ships has a switch for failpoints"] if b"QKMS_FAILPOINT" in shipped else []
        try:
            points = [point for point in listed.stdout.split() if point.startswith(options.only)]
            faults = switch + play(lab, options, random.Random(options.seed), points)
        finally:
            lab.close()
    for fault in faults[:20]:
        print("FAULT:", fault)
    print(f"failpoints: {'FAILED' if faults else 'passed'} in {time.monotonic() - started:.0f} s, seed {options.seed}")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
