"""Processes that the benchmark starts: started, measured and ended one by one, never by name."""

import os
import pathlib
import signal
import socket
import subprocess
import time

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """Something that ends the benchmark, in words for the one who runs it."""


def free_ports(count):
    """Ports that were free a moment ago: nginx and a peer's address cannot be told 0."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class Server:
    """A server process and its children. Its output goes to a file in the benchmark's folder."""

    def __init__(self, name, command, log):
        self.name = name
        self.log = pathlib.Path(log)
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def wait_for_port(self, port, deadline_s=10):
        end = time.monotonic() + deadline_s
        while time.monotonic() < end:
            self.check()
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise BenchError(f"{self.name} does not listen on port {port}:\n{self.last_words()}")

    def check(self):
        if self.process.poll() is not None:
            raise BenchError(f"{self.name} ended with {self.process.returncode}:\n{self.last_words()}")

    def last_words(self):
        return self.log.read_text(errors="replace")[-2000:]

    def pids(self):
        pid = self.process.pid
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *map(int, children)]

    def cpu_seconds(self):
        return sum(_cpu_seconds(pid) for pid in self.pids())

    def memory(self):
        """Resident bytes, now and at most, of the main process."""
        fields = {}
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name in ("VmRSS", "VmHWM"):
                fields[name] = int(value.split()[0]) * 1024
        return {"rss_bytes": fields["VmRSS"], "peak_rss_bytes": fields["VmHWM"]}

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _cpu_seconds(pid):
    # proc(5): utime and stime are fields 14 and 15; field 2 may hold blanks and ends with the last ')'.
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def machine_busy_seconds():
    """CPU seconds that all processes of the machine have used."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(
        int, pathlib.Path("/proc/stat").read_text().split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND


def run(command, deadline_s=60):
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=deadline_s, check=False
    )
    if done.returncode != 0:
        raise BenchError(f"{' '.join(map(str, command))}\n{done.stderr.strip()[-2000:]}")
    return done.stdout
