#!/usr/bin/env python3
"""How fast qkmsd is, as a ratio to nginx serving a static answer of the same size, in one run on one machine. See README.md.

Everything runs on loopback in a folder of its own, and everything that was started is ended.
"""

import argparse
import json
import pathlib
import shutil
import signal
import sys
import tempfile
import time

from harness import disk, matrix, report
from harness.loadgen import Loadgen
from harness.nginx import Nginx
from harness.pki import Authority
from harness.processes import BenchError
from harness.qkms import MOST_KEYS_TO_WAIT_FOR, Sites

SOURCE = pathlib.Path(__file__).resolve().parent.parent
FILL_DEADLINE_S = 20  # to wait for keys before a measurement


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--build", type=pathlib.Path, default=SOURCE / "build/release", help="where the programs were built"
    )
    parser.add_argument("--repeats", type=int, help="of each point (default 3)")
    parser.add_argument("--seconds", type=float, help="of each measurement (default 3)")
    parser.add_argument("--quick", action="store_true", help="one repeat of fewer, shorter points: under a minute")
    parser.add_argument("--only-nginx", action="store_true", help="the baseline and the disk alone, without qkmsd")
    parser.add_argument(
        "--million", action="store_true", help="also the memory of both daemons with a million unfetched assignments"
    )
    parser.add_argument("--rate-bps", type=int, default=20_000_000, help="secret bits a second of the simulated link")
    parser.add_argument(
        "--dir",
        type=pathlib.Path,
        default=pathlib.Path("/var/tmp"),
        help="where the stores are for the time of the run: on the disk to be measured (default /var/tmp)",
    )
    parser.add_argument("--keep", action="store_true", help="leave that folder, with logs and configurations, as it is")
    parser.add_argument("--json", type=pathlib.Path, help="write all results there")
    options = parser.parse_args()
    options.repeats = options.repeats or (1 if options.quick else 3)
    options.seconds = options.seconds or (1.0 if options.quick else 3.0)
    options.warmup = 0.3 if options.quick else 0.5
    return options


def say(text):
    print(text, file=sys.stderr, flush=True)


class Bench:
    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.authority = Authority(folder, "sae")
        self.identity_a = self.authority.issue("SAE-A")
        self.identity_b = self.authority.issue("SAE-B")
        self.points = matrix.points(options.quick)
        self.nginx = Nginx(folder, self.authority, sorted({point.keys for point in self.points}))
        self.sites = None
        self.notes = []

    def stop(self):
        if self.sites is not None:
            self.sites.stop()
        self.nginx.server.stop()

    def generator(self, identity):
        return Loadgen(program(self.options.build, "bench/qkms-loadgen"), *identity, self.authority.certificate)

    def start(self):
        self.nginx.wait()
        if self.options.only_nginx:
            return
        self.sites = Sites(
            self.folder, self.authority, program(self.options.build, "server/qkmsd"), self.options.rate_bps
        )
        self.sites.start(*self.identity_a, self.authority.certificate)
        stored = self.sites.wait_for_keys(1, FILL_DEADLINE_S)
        if stored == 0:
            raise BenchError(f"no keys after {FILL_DEADLINE_S} s:\n{self.sites.a.server.last_words()}")

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)
            say(f"note: {text}")

    # --- one measurement each ---

    def load(self, identity, server, port, point, scenario, sae, extra=()):
        return self.generator(identity).run(
            server,
            port,
            scenario=scenario,
            sae=sae,
            keys=point.keys,
            connections=point.connections,
            seconds=self.options.seconds,
            warmup=self.options.warmup,
            new_connections=point.new_connections,
            extra=extra,
        )

    def measure_nginx(self, point):
        scenario = matrix.STATUS if matrix.STATUS in point.operations else matrix.GET_KEY
        return self.load(
            self.identity_a, self.nginx.server, self.nginx.port, point, scenario, self.nginx.sae(point.keys)
        )

    def measure_get_key(self, point, expected_rate, ids):
        wanted = min(
            int(expected_rate * (self.options.seconds + self.options.warmup) * point.keys), MOST_KEYS_TO_WAIT_FOR
        )
        stored = self.sites.wait_for_keys(wanted, FILL_DEADLINE_S)
        result = self.load(
            self.identity_a, self.sites.a.server, self.sites.port_a, point, matrix.GET_KEY, "SAE-B", ["--ids-out", ids]
        )
        result["stored_keys_before"], result["stored_keys_after"] = stored, self.sites.stored_keys()
        if result["stored_keys_after"] is None:
            self.note(f"{point.label()}: KME-A answers Status no more after Get key")
        elif result["stored_keys_after"] < point.keys * point.connections:
            result["starved"] = True
            self.note(f"{point.label()}: keys ran out ({stored:,} before); the figure is the link's, not the daemon's")
        return result

    def measure_get_key_with_ids(self, point, ids):
        result = self.load(
            self.identity_b,
            self.sites.b.server,
            self.sites.port_b,
            point,
            matrix.GET_KEY_WITH_IDS,
            "SAE-A",
            ["--ids-in", ids],
        )
        if result["seconds"] < self.options.seconds / 3:
            self.note(f"{point.label()}: Get key with key IDs used up its key IDs after {result['seconds']:.1f} s")
        return result

    def measure_point(self, point, runs):
        nginx = self.measure_nginx(point)
        runs.setdefault("nginx", []).append(nginx)
        if self.sites is None:
            return
        ids = self.folder / "key-ids"
        for operation in point.operations:
            if operation == matrix.GET_KEY:
                result = self.measure_get_key(point, nginx["requests_per_second"], ids)
            elif operation == matrix.GET_KEY_WITH_IDS and ids.stat().st_size == 0:
                self.note(f"{point.label()}: Get key gave no key IDs to fetch")
                continue
            elif operation == matrix.GET_KEY_WITH_IDS:
                result = self.measure_get_key_with_ids(point, ids)
            else:
                result = self.load(self.identity_a, self.sites.a.server, self.sites.port_a, point, operation, "SAE-B")
            runs.setdefault(operation, []).append(result)
            self.check_like_nginx(point, operation, result, nginx)

    def check_like_nginx(self, point, operation, result, nginx):
        if result["ok"] != result["requests"]:
            self.note(
                f"{operation}, {point.label()}: not all were answered 200: {result['statuses']} {result['failures']}"
            )
        if result["ok"] == 0:
            return
        own, base = (round(run["body_bytes"] / run["ok"]) for run in (result, nginx))
        if operation != matrix.STATUS and own != base:
            self.note(f"{operation}, {point.label()}: answers of {own} bytes, nginx {base}")
        if result["tls"] != nginx["tls"]:
            self.note(f"{operation}, {point.label()}: {result['tls']}, nginx {nginx['tls']}")

    # --- the whole ---

    def run_matrix(self):
        measured = {point: {} for point in self.points}
        total, done = self.options.repeats * len(self.points), 0
        for _ in range(self.options.repeats):  # interleaved: a slow minute of the machine meets every point once
            for point, runs in measured.items():
                done += 1
                say(f"[{done}/{total}] {point.label()}")
                self.measure_point(point, runs)
        return measured

    def run_million(self):
        """One key a request, fetched by nobody, until there are a million assignments or twenty minutes are over."""
        before = self.sites.memory()
        made, end = 0, time.monotonic() + 1200
        point = matrix.Point(1, 64, (matrix.GET_KEY,))
        while made < 1_000_000 and time.monotonic() < end:
            self.sites.wait_for_keys(100_000, FILL_DEADLINE_S)
            limit = min(1_000_000 - made, 100_000)
            result = self.generator(self.identity_a).run(
                self.sites.a.server,
                self.sites.port_a,
                scenario=matrix.GET_KEY,
                sae="SAE-B",
                keys=1,
                connections=point.connections,
                seconds=30,
                warmup=0,
                extra=["--requests", limit],
            )
            made += result["ok"]
            say(f"{made:,} unfetched assignments")
            if result["ok"] == 0:
                break
        if made < 1_000_000:
            self.note(f"only {made:,} unfetched assignments were made in the time allowed")
        return {"assignments": made, "before": before, "after": self.sites.memory()}


def program(build, path):
    file = build / path
    if not file.exists():
        raise BenchError(f"{file} is not built; build it, or say --build")
    return file.resolve()


def mebibytes(memory):
    return ", ".join(f"{name} {figures['rss_bytes'] / 2**20:.1f} MiB" for name, figures in memory.items())


def show(results):
    print(report.table(results["rows"]))
    figures = results["disk"]
    print(
        f"disk ({results['machine']['file_system']}): {figures['sqlite_commits_per_second']:,.0f} SQLite commits/s, "
        f"{figures['fdatasyncs_per_second']:,.0f} fdatasync/s"
    )
    if "memory_idle" in results:
        print(
            f"memory, idle: {mebibytes(results['memory_idle'])}; after the load: {mebibytes(results['memory_after'])}"
        )
    if "million" in results:
        print(
            f"memory with {results['million']['assignments']:,} more unfetched assignments: {mebibytes(results['million']['after'])}"
        )
    for note in results["notes"]:
        print(f"note: {note}")


def measure(options, folder):
    bench = Bench(options, folder)
    try:
        bench.start()
        results = {
            "machine": report.machine(folder),
            "versions": report.versions(bench.nginx.binary, bench.sites and bench.sites.binary, SOURCE),
            "settings": {name: str(value) for name, value in vars(options).items()},
        }
        results["disk"] = disk.measure(folder, options.seconds)
        if bench.sites:
            results["memory_idle"] = bench.sites.memory()
        measured = bench.run_matrix()
        if bench.sites:
            results["memory_after"] = bench.sites.memory()
            if options.million:
                results["million"] = bench.run_million()
        results["rows"] = matrix.rows_of(measured)
        results["runs"] = [{"point": vars(point), "runs": runs} for point, runs in measured.items()]
        results["notes"] = bench.notes
        return results
    finally:
        bench.stop()


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as an exception, so that what was started is ended
    folder = pathlib.Path(tempfile.mkdtemp(prefix="qkms-bench-", dir=options.dir)).resolve()
    try:
        results = measure(options, folder)
        show(results)
        if options.json:
            options.json.write_text(json.dumps(results, indent=1) + "\n")
        return 0
    except BenchError as error:
        say(f"bench: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if options.keep:
            say(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
