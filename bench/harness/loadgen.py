"""Runs qkms-loadgen and adds what the server and the rest of the machine did in the meantime."""

import json
import os
import subprocess
import time

from .processes import BenchError, machine_busy_seconds


class Loadgen:
    def __init__(self, binary, certificate, key, ca):
        self.binary = binary
        self.identity = ["--cert", certificate, "--key", key, "--ca", ca]

    def run(self, server, port, *, scenario, sae, keys, connections, seconds, warmup, new_connections=False, extra=()):
        command = [
            self.binary,
            "--target",
            f"127.0.0.1:{port}",
            *self.identity,
            "--scenario",
            scenario,
            "--sae",
            sae,
            "--keys",
            keys,
            "--connections",
            connections,
            "--seconds",
            seconds,
            "--warmup",
            warmup,
            *extra,
        ]
        if new_connections:
            command.append("--new-connection-per-request")
        return self._measure([str(word) for word in command], server, seconds + warmup + 60)

    @staticmethod
    def _measure(command, server, deadline_s):
        cpu_before, busy_before, began = server.cpu_seconds(), machine_busy_seconds(), time.monotonic()
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                out, err = process.communicate(timeout=deadline_s)
            except subprocess.TimeoutExpired:
                raise BenchError(f"the load generator did not end in {deadline_s} s") from None
            finally:
                process.kill()  # does nothing to a process that has ended
        server.check()
        if process.returncode != 0:
            raise BenchError(f"the load generator failed: {err.strip()}")
        result = json.loads(out)
        everything = result["requests"] + result["warmup_requests"]
        wall = time.monotonic() - began
        server_cpu = server.cpu_seconds() - cpu_before
        result["server_cpu_us_per_request"] = round(server_cpu / max(everything, 1) * 1e6, 2)
        result["machine_busy_share"] = round((machine_busy_seconds() - busy_before) / (wall * os.cpu_count()), 3)
        return result
