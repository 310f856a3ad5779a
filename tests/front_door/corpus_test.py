#!/usr/bin/env python3
"""The corpus of the front door, played against two daemons over TLS: a line for each case, JUnit XML, and the state of the daemons after all.

corpus_test.py [PART OF A NAME]...     plays all cases, or those whose file or name has one of the parts
corpus_test.py --seeds FOLDER          writes the cases' small bodies and targets in the layout of fuzz/corpus; starts nothing
"""

import argparse
import collections
import json
import pathlib
import sys
import time
from http.client import HTTPException

import corpus
from door import BUILD, UNKNOWN_KEY_ID, Door
from report import Report
from runner import Runner

# libFuzzer's own default for an input's size is as small; larger ones cost speed and teach little.
SEED_BYTES = 4096


def check_log_lines(text):
    """The log is JSON lines, none of them an error."""
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            yield f"no JSON line in the log: {line[:200]!r}"
            continue
        if not {"time", "level", "message"} <= set(entry):
            yield f"a log line without time, level or message: {line[:200]!r}"
        elif entry["level"] in ("error", "critical") or "internal" in entry["message"]:
            yield f"an error in the log: {entry['message'][:200]!r}"


def check_afterwards(door):
    """[(name, complaints)] about the daemons after all cases."""
    log = door.log_since({})
    found = {"both daemons run": [], "both daemons serve": [], "no connection ended by a mistake of ours": []}
    found["the log is JSON lines without an error"] = list(check_log_lines(log))
    found["no key is in the log"] = ["a key is in the log"] if any(key.encode() in log for key in door.given.values()) else []
    for name, kme in door.lab.kmes.items():
        if kme.process.poll() is not None:
            found["both daemons run"].append(f"{name} ended with {kme.process.returncode}")
            continue
        errors = sum(value for (metric, _), value in kme.metrics().items() if metric == "qkms_internal_errors_total")
        if errors:
            found["no connection ended by a mistake of ours"].append(f"{name}: qkms_internal_errors_total is {errors}")
    for master, slave in (("SAE-A1", "SAE-B1"), ("SAE-B1", "SAE-A1")):
        status, _ = door.fetch(slave, master, [door.get_key(master, slave)])
        if status != 200:
            found["both daemons serve"].append(f"{slave} asks for a new key of {master}: {status}")
    return found.items()


def play(cases, site, report):
    door = Door(site)
    try:
        runner = Runner(door)
        for case in cases:
            begin = time.monotonic()
            try:
                complaints = runner.run(case)
            except (AssertionError, OSError, HTTPException) as error:
                complaints = [f"the case could not be played: {error!r}"]
            report.add(case.file, case.name, time.monotonic() - begin, complaints, runner.note)
        report.add(f"afterwards, {site}", "nothing was executed late", 0, runner.check_late())
        for name, complaints in check_afterwards(door):
            report.add(f"afterwards, {site}", name, 0, complaints)
    finally:
        door.close()


def write_seeds(folder):
    """A file for each small body and target, named after its case."""
    values = collections.defaultdict(lambda: UNKNOWN_KEY_ID, slave="SAE-B1", own="SAE-A1", host="kme.example", smuggled="")
    values.update({name: f"/api/v1/keys/SAE-B1/{name}" for name in ("status", "enc_keys", "dec_keys")})
    values["FRESH_KEY_ID"] = UNKNOWN_KEY_ID.upper()
    written = 0
    for case in corpus.load():
        seeds = {"fuzz_json_bodies": case.body} if case.file in ("json", "key_requests", "key_ids", "clients") else {}
        if case.file == "targets":
            seeds["fuzz_target"] = case.target
        for fuzzer, field in seeds.items():
            content = corpus.to_bytes(field, values) if field else b""
            if 0 < len(content) <= SEED_BYTES:
                path = folder / fuzzer / "".join(c if c.isalnum() or c in "-_." else "_" for c in case.name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
                written += 1
    print(f"{written} seeds in {folder}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*")
    parser.add_argument("--seeds", type=pathlib.Path, metavar="FOLDER")
    arguments = parser.parse_args()
    if arguments.seeds:
        return write_seeds(arguments.seeds)
    wanted = [case for case in corpus.load()
              if not arguments.parts or any(part in f"{case.file}: {case.name}" for part in arguments.parts)]
    report = Report("front_door")
    for site in dict.fromkeys(case.site for case in wanted):
        play([case for case in wanted if case.site == site], site, report)
    print(f"{len(report.entries)} entries, {len(report.failed())} failed; {report.write(BUILD)}")
    return 1 if report.failed() or not wanted else 0


if __name__ == "__main__":
    sys.exit(main())
