#!/usr/bin/env python3
"""slowhttptest against the SAE listener: slow headers, slow body, slow read and Range, each bounded (T12 of the threats).

slowhttptest has no client certificate to give. So each mode runs twice: straight at the listener, which shows that connections without a
certificate do not get past the handshake; and through a little tunnel in this process that brings the certificate, which shows the deadlines of
the phases after it. Each time the daemon must have no connection left when the tool ends, and the tool's own probe must find the service
available all the while. The tool itself ends early because no connection is left, but for slow read with a certificate: at 5 bytes a second it
does not come to the end of what its own kernel holds.
"""

import asyncio
import contextlib
import pathlib
import re
import subprocess
import sys
import tempfile
import threading

import scratch
from crowd import ADDRESSES, context

import sites  # noqa: E402  (scratch puts lab/ in the path)

CONNECTIONS = 200
LIMITS = "[limits]\nhandshake_ms = 4000\nheader_ms = 4000\nbody_ms = 4000\nidle_ms = 4000\nwrite_ms = 4000\nfailed_handshakes_per_s = 0\n"
TEST_S = 16  # slowhttptest's own limit; the deadlines above must end it long before
MODES = {"-H": "slow headers", "-B": "slow body", "-X": "slow read", "-R": "range"}
PATH = "/api/v1/keys/SAE-B1/status"


class Tunnel:
    """Plain TCP in, TLS with a client certificate out; runs in a thread until closed."""

    def __init__(self, port, tls):
        self.target, self.tls, self.count = port, tls, 0
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        server = asyncio.run_coroutine_threadsafe(asyncio.start_server(self.serve, "127.0.0.1", 0), self.loop).result(10)
        self.port = server.sockets[0].getsockname()[1]

    async def serve(self, reader, writer):
        self.count += 1
        source = (ADDRESSES[self.count % len(ADDRESSES)], 0)
        try:
            far = await asyncio.open_connection("127.0.0.1", self.target, ssl=self.tls, server_hostname="localhost", local_addr=source)
        except OSError:
            writer.close()
            return
        directions = [asyncio.ensure_future(self.pump(reader, far[1])), asyncio.ensure_future(self.pump(far[0], writer))]
        await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        for one in (writer, far[1]):
            one.transport.abort()  # what the daemon has closed is closed for the tool as well
        for one in directions:
            one.cancel()

    @staticmethod
    async def pump(reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(4096):
                writer.write(data)
                await writer.drain()

    def close(self):
        async def end():
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await asyncio.sleep(0)

        asyncio.run_coroutine_threadsafe(end(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


def attack(tool, mode, url):
    """How the tool ended, and whether it ever found the service not available."""
    command = [tool, mode, "-c", str(CONNECTIONS), "-r", "100", "-l", str(TEST_S), "-i", "3", "-p", "3", "-n", "1", "-w", "1", "-y", "64", "-z", "5",
               "-k", "10", "-u", url + PATH]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TEST_S + 60, check=False, stdin=subprocess.DEVNULL)
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", done.stdout)
    status = re.search(r"Exit status:\s*(.+)", text)
    seconds = re.search(r"Test ended on (\d+)", text)
    return (status.group(1).strip() if status else f"none, code {done.returncode}"), int(seconds.group(1)) if seconds else None, \
        re.findall(r"service available:\s+(\w+)", text)


def connections(kme):
    return sum(value for (name, labels), value in kme.metrics().items() if name == "qkms_connections" and dict(labels)["listener"] == "sae")


def main():
    failed = 0
    try:
        tool = scratch.program("slowhttptest", "slowhttptest")
    except scratch.Unavailable as problem:
        print(f"FAIL  {problem}")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        lab = sites.Lab(pathlib.Path(folder) / "lab", scratch.BUILD, more=LIMITS, request_deadline_ms=800)
        tunnel = None
        try:
            lab.start().wait_for_keys(100)
            kme = lab.kmes["KME-A"]
            port, pki = kme.ports["sae"], lab.pki / "sae"
            tunnel = Tunnel(port, context(lab.pki / "sae-ca.crt", pki / "SAE-A2.crt", pki / "SAE-A2.key"))
            for way, url in (("no certificate", f"https://127.0.0.1:{port}"), ("certificate", f"http://127.0.0.1:{tunnel.port}")):
                for mode, name in MODES.items():
                    status, seconds, available = attack(tool, mode, url)
                    left = connections(kme)
                    healthy = lab.client("SAE-A1")
                    code, _ = healthy.get_key("SAE-B1")
                    healthy.close()
                    ends = {"No open connections left"} | ({"Hit test time limit"} if (mode, way) == ("-X", "certificate") else set())
                    good = status in ends and left == 0 and available and set(available) == {"YES"} and code == 200
                    failed += not good
                    print(f"{'ok' if good else 'FAIL':5} {name}, {way}: ended after {seconds} s: {status}; the daemon has {left:.0f} left; available: "
                          f"{' '.join(available)}; the healthy SAE is answered {code}", flush=True)
            counted = {name: sum(value for (one, labels), value in kme.metrics().items() if one == name and dict(labels).get("listener") == "sae")
                       for name in ("qkms_failed_handshakes_total", "qkms_timed_out_connections_total", "qkms_internal_errors_total")}
            good = counted["qkms_failed_handshakes_total"] >= 4 * CONNECTIONS and counted["qkms_timed_out_connections_total"] >= CONNECTIONS
            good = good and counted["qkms_internal_errors_total"] == 0
            failed += not good
            print(f"{'ok' if good else 'FAIL':5} the daemon counts {counted}")
        finally:
            if tunnel is not None:
                tunnel.close()
            lab.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
