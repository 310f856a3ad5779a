#!/usr/bin/env python3
"""Slow and greedy clients with valid certificates, while a healthy SAE goes on asking for keys (T12, T13 of the threats).

slow:        2 000 TLS connections that send a byte every 10 s, half in the header, half in a body; further ones that never begin TLS. All are
             closed by their deadlines, no healthy request fails, descriptors come back, and further rounds need no further memory.
read:        clients that ask and ask and never read: closed by the deadline of writing.
descriptors: the daemon has 64 descriptors and more clients than that: it pauses, does not spin, and serves again when they have gone.
flood:       TLS handshakes with chains of 10 certificates, as fast as they go.

Usage: slow_clients.py [--rounds N] [slow|read|descriptors|flood ...]. The ratio of the healthy SAE's p99 under attack to its calm one is the
median over rounds that take turns; it is printed, with a warning above 2, but what decides is whether everything worked.
"""

import argparse
import json
import os
import pathlib
import resource
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import scratch
from crowd import CA, LEAF, Crowd, Member, context, issue

import sites  # noqa: E402  (scratch puts lab/ in the path)

CONNECTIONS = 2000
RATE = 100
MEASURE_S = 10
DEADLINE_MS = 20_000
LIMITS = f"[limits]\nheader_ms = {DEADLINE_MS}\nbody_ms = {DEADLINE_MS}\nhandshake_ms = 5000\nwrite_ms = 3000\n"
RSS_BOUND_MB = 64
CONNECTION_KB = 160  # at most, in the daemon's memory. What it has once had it may keep for the next ones
SLOW_SAES = ["SAE-S1", "SAE-S2", "SAE-S3", "SAE-S4"]

HEADER = b"GET /api/v1/keys/SAE-B1/status HTTP/1.1\r\nHost: localhost\r\n"
BODY = b"POST /api/v1/keys/SAE-B1/enc_keys HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"


class Failed(Exception):
    pass


def expect(what, holds):
    if not holds:
        raise Failed(what)


class Process:
    """What the system says about the daemon."""

    def __init__(self, pid):
        self.pid = pid

    def rss_mb(self):
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def cpu_s(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def healthy(lab, seconds=MEASURE_S):
    """What the load generator measured as SAE-A1: Get key at a fixed rate over two connections. Fails if any request did."""
    pki = lab.pki / "sae"
    command = [scratch.BUILD / "bench" / "qkms-loadgen", "--target", f"127.0.0.1:{lab.kmes['KME-A'].ports['sae']}", "--cert", pki / "SAE-A1.crt",
               "--key", pki / "SAE-A1.key", "--ca", lab.pki / "sae-ca.crt", "--scenario", "get_key", "--sae", "SAE-B1", "--connections", 2,
               "--rate", RATE, "--seconds", seconds, "--warmup", 1]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=seconds + 60, check=False)
    expect(f"the generator ended with {done.returncode}: {done.stderr[-300:]}", done.returncode == 0)
    report = json.loads(done.stdout)
    expect(f"healthy requests failed: {report}", report["ok"] == report["requests"] > 0 and not report["warmup_errors"])
    return report


def healthy_beside(lab, crowd, seconds=MEASURE_S):
    """The same, while the crowd goes on in this thread."""
    result = []

    def measure():
        try:
            result.append(healthy(lab, seconds))
        except (Failed, subprocess.SubprocessError, OSError, ValueError) as problem:
            result.append(problem)

    thread = threading.Thread(target=measure)
    thread.start()
    crowd.run(lambda: bool(result), seconds + 60)
    thread.join()
    if isinstance(result[0], Exception):
        raise Failed(str(result[0]))
    return result[0]


def metric(kme, name, **labels):
    return sum(value for (one, found), value in kme.metrics().items() if one == name and labels.items() <= dict(found).items())


class Site:
    """Two KMEs; the attacked one is KME-A. Its slow SAEs have certificates of the right CA."""

    def __init__(self, folder, descriptors=None):
        more = LIMITS + "".join(f'[[saes]]\nid = "{name}"\nkme = "KME-A"\n' for name in SLOW_SAES)
        self.lab = sites.Lab(folder / "lab", scratch.BUILD, rate_bps=20_000_000, more=more, request_deadline_ms=800)
        self.kme = self.lab.kmes["KME-A"]
        if descriptors is not None:
            wrapper = folder / "qkmsd"
            wrapper.write_text(f'#!/bin/sh\ncase "$*" in *KME-A*) ulimit -n {descriptors};; esac\nexec "{self.lab.qkmsd}" "$@"\n')
            wrapper.chmod(0o755)
            self.lab.qkmsd = wrapper
        self.ca = (self.lab.pki / "sae-ca.crt", self.lab.pki / "sae-ca.key")
        self.contexts = [context(self.ca[0], *issue(folder, name, self.ca, LEAF)) for name in SLOW_SAES]
        self.folder = folder

    def __enter__(self):
        self.lab.start().wait_for_keys(3000)
        self.process = Process(self.kme.process.pid)
        return self

    def __exit__(self, *_):
        self.lab.close()

    def crowd(self, contexts=None):
        return Crowd(self.kme.ports["sae"], contexts or self.contexts)

    def serves(self):
        client = self.lab.client("SAE-A1")
        status, _ = client.get_key("SAE-B1")
        client.close()
        return status == 200

    def no_internal_error(self):
        expect("qkms_internal_errors_total", metric(self.kme, "qkms_internal_errors_total") == 0)


def ratio_text(ratios):
    median = statistics.median(ratios)
    if median > 2:
        print(f"      WARNING: the healthy SAE's p99 is more than twice its calm value: {median:.2f}")
    return f"p99 under attack / calm: median {median:.2f} of {[round(one, 2) for one in ratios]}"


def slow_members(count):
    for i in range(count):
        pieces = [b"G", b"E", b"T", b" ", b"/"] if i % 4 == 0 else [HEADER, b"X", b"-", b"Y", b":"] if i % 2 == 0 else [BODY, b"{", b" ", b" ", b" "]
        yield Member(pieces)


def slow_round(site):
    calm = healthy(site.lab)
    before = site.process.descriptors()
    crowd, silent = site.crowd(), site.crowd([None])
    for member in slow_members(CONNECTIONS):
        crowd.add(member)
    begin = time.monotonic()
    expect("not all slow clients could connect", crowd.run(lambda: crowd.completed == CONNECTIONS, 60))
    ramp_s = time.monotonic() - begin
    for _ in range(100):
        silent.add(Member())
    silent.run(lambda: not silent.waiting, 5)
    crowd.begin_to_send(2.0)
    attacked = healthy_beside(site.lab, crowd)
    held, rss = crowd.up(), site.process.rss_mb()
    expect(f"only {held} of {CONNECTIONS} were held while measured", held == CONNECTIONS)
    expect("silent connections are left after the handshake's deadline", silent.run(lambda: not silent.members, 30))
    expect("slow connections are left after their deadline", crowd.run(lambda: not crowd.members, DEADLINE_MS / 1000 + 30))
    sites.wait_for(lambda: site.process.descriptors() <= before + 4, "the descriptors come back", 30)
    return calm["latency_us"], attacked["latency_us"], ramp_s, rss, site.process.rss_mb()


def slow(folder, rounds):
    with Site(folder) as site:
        first_rss = site.process.rss_mb()
        peaks, ratios = [], []
        for number in range(rounds):
            calm, attacked, ramp_s, rss, rss_after = slow_round(site)
            peaks.append(rss)
            ratios.append(attacked["p99"] / calm["p99"])
            print(f"      round {number + 1}: calm p50 {calm['p50']:.0f} p99 {calm['p99']:.0f} us; beside {CONNECTIONS} slow clients (connected in "
                  f"{ramp_s:.1f} s) p50 {attacked['p50']:.0f} p99 {attacked['p99']:.0f} us; memory {rss:.0f} MB then, {rss_after:.0f} MB after",
                  flush=True)
        bound = first_rss + CONNECTIONS * CONNECTION_KB / 1024
        expect(f"memory was {first_rss:.0f} MB and is {max(peaks):.0f} MB beside {CONNECTIONS} connections", max(peaks) < bound)
        expect(f"memory grows from round to round: {peaks} MB", max(peaks) < peaks[0] + RSS_BOUND_MB)
        timed_out = metric(site.kme, "qkms_timed_out_connections_total", listener="sae")
        expect(f"only {timed_out} deadlines counted", timed_out >= rounds * (CONNECTIONS + 100))
        expect("it does not serve afterwards", site.serves())
        site.no_internal_error()
    return f"{ratio_text(ratios)}; {timed_out:.0f} closed by deadlines"


def read(folder, _rounds):
    """Requests until the daemon takes no more, and no answer is read."""
    with Site(folder) as site:
        before = site.process.descriptors()
        greedy = []
        for number in range(5):
            plain = socket.socket()
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            plain.bind((f"127.0.0.{2 + number}", 0))
            plain.connect(("127.0.0.1", site.kme.ports["sae"]))
            greedy.append(site.contexts[number % len(site.contexts)].wrap_socket(plain, server_hostname="localhost"))
            greedy[-1].setblocking(False)
        asked = (HEADER + b"\r\n") * 100
        closed, sent, end = set(), 0, time.monotonic() + 60
        while len(closed) < len(greedy) and time.monotonic() < end:
            for one in greedy:
                if one in closed:
                    continue
                try:
                    sent += one.send(asked)
                except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                    pass
                except OSError:
                    closed.add(one)
            time.sleep(0.005)  # a pause between attempts, not a wait for anything
        expect(f"only {len(closed)} of {len(greedy)} clients that do not read were closed", len(closed) == len(greedy))
        for one in greedy:
            one.close()
        sites.wait_for(lambda: site.process.descriptors() <= before + 4, "the descriptors come back", 30)
        expect("memory", site.process.rss_mb() < 300)
        expect("it does not serve afterwards", site.serves())
        site.no_internal_error()
        return f"{len(closed)} clients closed, after {sent / 1e6:.1f} MB of requests; memory {site.process.rss_mb():.0f} MB"


def descriptors(folder, _rounds):
    with Site(folder, descriptors=64) as site:
        limit = resource.prlimit(site.kme.process.pid, resource.RLIMIT_NOFILE)[0]
        expect(f"the daemon has {limit} descriptors, not 64", limit == 64)
        steady = site.lab.client("SAE-A1")
        expect("the healthy SAE before", steady.get_key("SAE-B1")[0] == 200)
        crowd = site.crowd()
        for _ in range(150):
            crowd.add(Member())
        crowd.run(lambda: False, 2)
        full = site.process.descriptors()
        begin_cpu, begin = site.process.cpu_s(), time.monotonic()
        crowd.run(lambda: False, 4)
        cpu = (site.process.cpu_s() - begin_cpu) / (time.monotonic() - begin)
        expect("the healthy SAE's kept connection while there are none left", steady.get_key("SAE-B1")[0] == 200)
        expect(f"only {full} descriptors were in use", full >= 63)
        expect(f"it spins: {cpu:.2f} of a processor without a request", cpu < 0.5)
        crowd.leave()
        steady.close()

        def again():
            try:
                return site.serves()
            except OSError:
                return False

        sites.wait_for(again, "a new connection is served after the crowd has left", 30)
        pauses = metric(site.kme, "qkms_accept_pauses_total", listener="sae")
        expect("qkms_accept_pauses_total is 0", pauses > 0)
        site.no_internal_error()
        return f"{full} of {limit} descriptors in use, {pauses:.0f} pauses, {100 * cpu:.1f} % of a processor meanwhile"


def long_chain(folder, ca):
    """A leaf under nine intermediate CAs, and its file with all ten certificates."""
    chain, issuer = [], ca
    for number in range(9):
        issuer = issue(folder, f"intermediate-{number}", issuer, CA)
        chain.insert(0, issuer[0].read_text())
    certificate, key = issue(folder, "SAE-S9", issuer, LEAF)
    whole = folder / "chain.crt"
    whole.write_text(certificate.read_text() + "".join(chain))
    expect("the chain's length", whole.read_text().count("BEGIN CERTIFICATE") == 10)
    return whole, key


def flood_round(site, flooder):
    calm = healthy(site.lab, 6)
    crowd = site.crowd([flooder])
    for _ in range(40_000):
        crowd.add(Member())
    begin, begin_cpu = time.monotonic(), site.process.cpu_s()
    attacked = healthy_beside(site.lab, crowd, 6)
    seconds = time.monotonic() - begin
    cpu, rss, done = (site.process.cpu_s() - begin_cpu) / seconds, site.process.rss_mb(), crowd.closed
    crowd.leave()
    return calm["latency_us"], attacked["latency_us"], done / seconds, cpu, rss


def flood(folder, rounds):
    with Site(folder) as site:
        flooder = context(site.ca[0], *long_chain(folder, site.ca))
        first_rss, ratios = site.process.rss_mb(), []
        for number in range(rounds):
            calm, attacked, rate, cpu, rss = flood_round(site, flooder)
            ratios.append(attacked["p99"] / calm["p99"])
            print(f"      round {number + 1}: {rate:.0f} handshakes a second refused; the daemon takes {100 * cpu:.0f} % of a processor, {rss:.0f} MB; "
                  f"p99 calm {calm['p99']:.0f}, then {attacked['p99']:.0f} us", flush=True)
        failed = metric(site.kme, "qkms_failed_handshakes_total", listener="sae")
        expect(f"only {failed} failed handshakes counted", failed > 100)
        expect(f"memory: {first_rss:.0f} MB before, {site.process.rss_mb():.0f} MB after", site.process.rss_mb() < first_rss + RSS_BOUND_MB)
        expect("it does not serve afterwards", site.serves())
        site.no_internal_error()
        return f"{ratio_text(ratios)}; {failed:.0f} handshakes with 10 certificates refused"


SCENARIOS = {"slow": slow, "read": read, "descriptors": descriptors, "flood": flood}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"of {', '.join(SCENARIOS)}; all when none is given")
    options = parser.parse_args()
    if unknown := set(options.scenarios) - set(SCENARIOS):
        parser.error(f"unknown: {', '.join(unknown)}")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
    failed = 0
    for name in options.scenarios or SCENARIOS:
        with tempfile.TemporaryDirectory() as folder:
            try:
                print(f"ok    {name}: {SCENARIOS[name](pathlib.Path(folder), options.rounds)}", flush=True)
            except (Failed, sites.LabError) as problem:
                failed += 1
                print(f"FAIL  {name}: {problem}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
