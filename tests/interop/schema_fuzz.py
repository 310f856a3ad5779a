#!/usr/bin/env python3
"""schemathesis, driven by api/etsi014.yaml, against a running daemon: no 5xx but the documented 503, no answer that the schema does not have.

Two daemons run; the fuzzer is SAE-A1 at KME-A, with its client certificate. Bounded in examples and time; the seed is printed and can be given:
schema_fuzz.py [SEED]. Afterwards the daemon must still serve, and its log must have no error.
"""

import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import scratch

import sites  # noqa: E402  (scratch puts lab/ in the path)

DEFAULT_SEED = 20190214
EXAMPLES = 500  # for each operation
LIMIT_S = 170
CALLER, OTHER, ADDITIONAL = "SAE-A1", "SAE-B1", "SAE-B2"

# At least so many answers of each kind, or the fuzzer has not come where the keys are.
FLOORS = {
    "GET /{slave_SAE_ID}/status": {200: 20, 400: 5, 405: 5},
    "GET /{slave_SAE_ID}/enc_keys": {200: 50, 400: 50},
    "POST /{slave_SAE_ID}/enc_keys": {200: 50, 400: 50, 405: 5},
    "GET /{master_SAE_ID}/dec_keys": {200: 20, 400: 20},
    "POST /{master_SAE_ID}/dec_keys": {200: 50, 400: 50, 405: 5},
}


def run_schemathesis(lab, folder, seed):
    kme = lab.kmes["KME-A"]
    pki = lab.pki / "sae"
    record = folder / "record.jsonl"
    told = {"seed": seed, "record": str(record), "caller": CALLER, "other": OTHER, "additional": ADDITIONAL, "ca": str(lab.pki / "sae-ca.crt"),
            "other_port": lab.kmes["KME-B"].ports["sae"], "other_cert": str(pki / f"{OTHER}.crt"), "other_key": str(pki / f"{OTHER}.key")}
    command = [scratch.python_programs() / "st", "--config-file", scratch.HERE / "schemathesis.toml", "run", scratch.SOURCE / "api" / "etsi014.yaml",
               "--url", f"https://127.0.0.1:{kme.ports['sae']}/api/v1/keys", "--tls-verify", lab.pki / "sae-ca.crt",
               "--request-cert", pki / f"{CALLER}.crt", "--request-cert-key", pki / f"{CALLER}.key", "--request-timeout", 10,
               "--seed", seed, "--max-examples", EXAMPLES, "--phases", "examples,coverage,fuzzing",
               "--continue-on-failure", "--generation-allow-x00", "false", "--generation-database", "none", "--suppress-health-check", "all", "--no-color"]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "schema_hooks", "PYTHONPATH": str(scratch.HERE), "QKMS_FUZZ_LAB": json.dumps(told),
                   "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        code = subprocess.run([str(word) for word in command], cwd=folder, env=environment, timeout=LIMIT_S, check=False).returncode
    except subprocess.TimeoutExpired:
        code = f"nothing within {LIMIT_S} s"
    lines = record.read_text().splitlines() if record.exists() else []
    return code, [json.loads(line) for line in lines]


def missed_floors(calls):
    found = collections.Counter((call["operation"], call["status"]) for call in calls)
    print("\nanswers by operation:")
    for operation in sorted({call["operation"] for call in calls}):
        counts = {status: number for (one, status), number in sorted(found.items()) if one == operation}
        must = sum(call["must_work"] for call in calls if call["operation"] == operation)
        print(f"  {operation:32} {counts}, of which {must} had to be 200")
    return [f"{operation} was answered {status} only {found[operation, status]} times, not {least}"
            for operation, floors in FLOORS.items() for status, least in floors.items() if found[operation, status] < least]


def problems_of(kme):
    """What a daemon that has run all this must not show."""
    problems = []
    if kme.process.poll() is not None:
        return [f"{kme.name} ended with {kme.process.returncode}"]
    for line in kme.log.read_text(errors="replace").splitlines():
        try:
            level = json.loads(line).get("level")
        except (ValueError, AttributeError):
            level = "not a JSON line"
        if level not in ("trace", "debug", "info", "warn", "warning"):
            problems.append(f"{kme.name}'s log: {line[:300]}")
    for (name, labels), value in kme.metrics().items():
        if name == "qkms_internal_errors_total" and value:
            problems.append(f"{kme.name}: {name}{labels} is {value}")
    return problems


def main():
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_SEED
    print(f"seed {seed}", flush=True)
    more = f'[[allow]]\nmaster = "{CALLER}"\nslaves = ["{ADDITIONAL}"]\n'
    with tempfile.TemporaryDirectory() as scratch_folder:
        folder = pathlib.Path(scratch_folder)
        lab = sites.Lab(folder / "lab", scratch.BUILD, rate_bps=50_000_000, more=more)
        try:
            lab.start().wait_for_keys(2000)
            code, calls = run_schemathesis(lab, folder, seed)
            problems = missed_floors(calls)
            if code != 0:
                problems.insert(0, f"schemathesis ended with {code}: see above")
            problems += [problem for kme in lab.kmes.values() for problem in problems_of(kme)]
            status, _ = lab.client(CALLER).get_key(OTHER)
            if status != 200:
                problems.append(f"afterwards Get key is answered {status}")
        except scratch.Unavailable as problem:
            problems, calls = [str(problem)], []
        finally:
            lab.close()
    for problem in problems:
        print(f"FAIL  {problem}")
    print(f"{len(calls)} requests, seed {seed}: " + ("failed" if problems else "ok"))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
