#!/usr/bin/env python3
"""What the store of qkmsd costs beside bare SQLite in the same run on the same disk. See README.md, "The store".

Runs qkms-store-bench in a folder of its own, which is removed, and shows tables; --svg draws what it found.
"""

import argparse
import json
import os
import pathlib
import platform
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile

from harness import plot, report

SOURCE = pathlib.Path(__file__).resolve().parent.parent
OPERATIONS = ("put", "deliver", "deliver_scattered", "take", "ingest_mb")
TARGET_RATIO, TARGET_START_S = 0.6, 2.0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=SOURCE / "build/release", help="where it was built")
    parser.add_argument("--quick", action="store_true", help="fewer and smaller points: under a minute")
    parser.add_argument("--seconds", type=int, help="begin nothing more after so long (default 900; quick: 50)")
    parser.add_argument("--only", help="one scenario or operation: qkms-store-bench --help names them")
    parser.add_argument(
        "--dir", type=pathlib.Path, default=pathlib.Path("/var/tmp"), help="where the stores are (default /var/tmp)"
    )
    parser.add_argument("--json", type=pathlib.Path, help="write all results there")
    parser.add_argument("--svg", type=pathlib.Path, help="draw the picture of docs/performance.md there")
    parser.add_argument("--from", dest="saved", type=pathlib.Path, help="show what --json wrote, and measure nothing")
    return parser.parse_args()


def measure(options):
    program = options.build / "bench/qkms-store-bench"
    if not program.exists():
        sys.exit(f"store.py: {program} is not built; build it, or say --build")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="qkms-store-bench-", dir=options.dir))
    command = [program.resolve(), "--dir", folder]
    command += ["--quick"] if options.quick else []
    command += ["--seconds", str(options.seconds)] if options.seconds else []
    command += ["--only", options.only] if options.only else []
    machine = report.machine(folder)
    process = None
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        output, _ = process.communicate()
        if process.returncode != 0:
            sys.exit(1)
    finally:
        if process is not None and process.poll() is None:
            process.terminate()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)
    machine["load_after"] = os.getloadavg()
    versions = {
        "sqlite": sqlite3.sqlite_version,
        "openssl": report.first_line(["openssl", "version"]),
        "python": platform.python_version(),
        "commit": report.first_line(["git", "-C", SOURCE, "rev-parse", "HEAD"]),
    }
    return {"machine": machine, "versions": versions, "rows": json.loads(output)}


# --- what the rows say


def rows_of(results, scenario):
    """{(stored, who): row} of one scenario, by size."""
    return {(row.get("stored"), row["who"]): row for row in results["rows"] if row["scenario"] == scenario}


def spread(values):
    return (max(values) - min(values)) / statistics.median(values)


def ratio(own, bare, field):
    """Speed over speed, the median over the rounds, each with the bare round next to it."""
    return statistics.median(other / mine for mine, other in zip(own[field], bare[field]))


def compared(results, operation):
    """One line for each size: our figures, and how they stand to the two bare ones."""
    rows = rows_of(results, operation)
    for stored in sorted({stored for stored, _ in rows}):
        own, bare, same = (rows[stored, who] for who in ("qkms", "bare", "bare_all"))
        yield {
            "stored": stored,
            "per_s": 1e6 / statistics.median(own["wall_us"]),
            "bare_per_s": 1e6 / statistics.median(bare["wall_us"]),
            "wall_us": statistics.median(own["wall_us"]),
            "cpu_us": statistics.median(own["cpu_us"]),
            "bare_cpu_us": statistics.median(bare["cpu_us"]),
            "written": statistics.median(own["written_bytes"]),
            "ratio": ratio(own, bare, "wall_us"),
            "cpu_ratio": ratio(own, bare, "cpu_us"),
            "ratio_all": ratio(own, same, "wall_us"),
            "cpu_ratio_all": ratio(own, same, "cpu_us"),
            "spread": spread(own["wall_us"]),
        }


def operations_table(results):
    print(
        f"{'operation':<18}{'stored':>11}{'/s':>9}{'bare/s':>9}{'us':>10}{'CPU us':>9}{'bare CPU':>9}{'written':>10}"
        f"{'ratio':>8}{'CPU':>6}{'ratio*':>8}{'CPU*':>6}{'spread':>8}"
    )
    for operation in OPERATIONS:
        for line in compared(results, operation):
            print(
                f"{operation:<18}{line['stored']:>11,.0f}{line['per_s']:>9,.0f}{line['bare_per_s']:>9,.0f}"
                f"{line['wall_us']:>10,.1f}{line['cpu_us']:>9,.1f}{line['bare_cpu_us']:>9,.1f}{line['written']:>10,.0f}"
                f"{line['ratio']:>8.2f}{line['cpu_ratio']:>6.2f}{line['ratio_all']:>8.2f}{line['cpu_ratio_all']:>6.2f}"
                f"{line['spread']:>8.0%}"
            )
    print("  a unit is a key (ingest_mb: a megabyte); ratio: ours over bare SQLite's; *: bare with head and audit rows too")


def other_tables(results):
    for (stored, who), row in sorted(rows_of(results, "size").items()):
        print(f"size   {stored:>11,.0f} {who:<9}{row['bytes_per_key']:>6.0f} bytes on disk a stored key, in one row")
    for (stored, who), row in sorted(rows_of(results, "start").items()):
        print(
            f"start  {stored:>11,.0f} {who:<9}{row['warm_s']:>6.2f} s, cold {row['cold_s']:.2f} s; anonymous memory "
            f"{row['rss_anon_opened_bytes'] / 2**20:.1f} MiB, after {row['work_keys']:,.0f} keys {row['rss_anon_worked_bytes'] / 2**20:.1f} MiB"
        )
    for kind in ("commit", "checkpoint"):
        for (stored, who), row in sorted(rows_of(results, kind).items()):
            print(
                f"{kind:<11}{stored:>11,.0f} {who:<9}{row['commits']:>5.0f}: p50 {row['p50_ms']:.2f} ms, "
                f"p99 {row['p99_ms']:.2f} ms, max {row['max_ms']:.2f} ms"
            )
    for (_, who), row in rows_of(results, "churn").items():
        print(
            f"churn  {row['keys'][-1]:>11,.0f} {who:<9}came and went, {row['window']:,.0f} at a time: largest "
            f"{max(row['store_bytes']) / 1e6:.1f} MB, at the end {row['store_bytes'][-1] / 1e6:.1f} MB"
        )


def verdicts(results):
    for line in compared(results, "deliver"):
        met = "met" if line["ratio"] >= TARGET_RATIO else "MISSED"
        print(f"target: deliveries at {line['stored']:,.0f} stored: {line['ratio']:.2f} of bare SQLite, {TARGET_RATIO} asked for: {met}")
    for (stored, who), row in rows_of(results, "start").items():
        if who == "qkms" and stored <= 1_000_000:
            met = "met" if row["warm_s"] < TARGET_START_S else "MISSED"
            print(f"target: start with {stored:,.0f} assignments: {row['warm_s']:.2f} s, under {TARGET_START_S:.0f} s asked for: {met}")


# --- the picture


def draw(results, path):
    names = {"qkms": "qkms", "bare": "bare SQLite", "bare_all": "bare SQLite, head and audit rows too"}
    panels = []
    for field, title in (("wall_us", "Deliveries a second, 64 a commit"), ("cpu_us", "Deliveries a second of CPU")):
        lines = []
        for who, name in names.items():
            found = sorted((key[0], row) for key, row in rows_of(results, "deliver").items() if key[1] == who)
            lines.append((name, [(stored, 1e6 / statistics.median(row[field])) for stored, row in found]))
        panels.append(plot.Panel(title, "stored assignments", lines, log_x=True))
    lines = [
        (f"{names[who]}", [(k / 1e6, b / 1e6) for k, b in zip(row["keys"], row["store_bytes"])])
        for (_, who), row in rows_of(results, "churn").items()
    ]
    panels.append(plot.Panel("Size of the file, MB", "million keys come and gone", lines))
    path.write_text(plot.svg([panel for panel in panels if any(points for _, points in panel.lines)]))


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as an exception, so that the folder is removed
    results = json.loads(options.saved.read_text()) if options.saved else measure(options)
    operations_table(results)
    other_tables(results)
    verdicts(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    if options.svg:
        draw(results, options.svg)
    return 0


if __name__ == "__main__":
    sys.exit(main())
