"""The results for people (a table) and for programs (JSON)."""

import os
import pathlib
import platform
import subprocess

COLUMNS = (
    f"{'operation':<17}{'keys':>5}{'conn':>6}{'req/s':>10}{'p50 µs':>9}{'p99 µs':>9}{'CPU µs':>8}"
    f"{'nginx/s':>10}{'p50 µs':>9}{'p99 µs':>9}{'CPU µs':>8}{'ratio':>8}   spread  not 200"
)


def _side(side):
    if side is None:
        return f"{'-':>10}{'-':>9}{'-':>9}{'-':>8}"
    latency = side["latency_us"]
    return f"{side['requests_per_second']:>10,.0f}{latency['p50']:>9,.0f}{latency['p99']:>9,.0f}{side['server_cpu_us_per_request']:>8,.0f}"


def table(rows):
    lines = [COLUMNS]
    for row in rows:
        own, nginx = row.get("qkmsd"), row["nginx"]
        connections = f"{row['connections']}{'n' if row['new_connections'] else ''}"
        ratio = f"{row['ratio']:.2f}" if own else "-"
        spread = f"{(own or nginx)['spread']:.0%}"
        not_200 = (own or nginx)["not_200"]
        lines.append(
            f"{row['operation']:<17}{row['keys']:>5}{connections:>6}{_side(own)}{_side(nginx)}{ratio:>8}{spread:>9}{not_200:>9,}"
        )
    lines.append(
        "conn 'n': a new TLS connection for each request. CPU: of the server, per request. spread: (max - min) / median of req/s."
    )
    return "\n".join(lines)


def first_line(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        return (done.stdout or done.stderr).strip().splitlines()[0]
    except (OSError, IndexError, subprocess.TimeoutExpired):
        return "not known"


def _field(path, name):
    for line in pathlib.Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "not known"


def _file_system_of(folder):
    best = ("", "not known")
    for line in pathlib.Path("/proc/mounts").read_text().splitlines():
        _device, place, kind = line.split()[:3]
        inside = os.path.commonpath([place, folder]) == place
        if inside and len(place) >= len(best[0]):
            best = (place, kind)
    return best[1]


def machine(folder):
    return {
        "cpu": _field("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "memory": _field("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "file_system": _file_system_of(str(folder)),
        "load_before": os.getloadavg(),
    }


def versions(nginx, qkmsd, source):
    found = {
        "nginx": first_line([nginx, "-v"]),
        "openssl": first_line(["openssl", "version"]),
        "python": platform.python_version(),
        "commit": first_line(["git", "-C", source, "rev-parse", "HEAD"]),
    }
    if qkmsd is not None:
        found["qkmsd"] = first_line([qkmsd, "--version"])
    return found
