#!/usr/bin/env python3
"""The daemon as it ships on disks that fail and disks that are full: system calls fail under strace, file systems are small.

Mounting needs root or a user namespace of our own; tracing needs ptrace. Where the system refuses either, the tests fail and say so.
"""

import contextlib
import fcntl
import http.client
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(SOURCE / "lab"), str(SOURCE / "tests" / "kill")]
import run as kill  # noqa: E402
from sites import Lab, parse_metrics, wait_for  # noqa: E402

BUILD = pathlib.Path(os.environ.get("QKMS_BUILD", SOURCE / "build" / "release"))
EXIT_IO, EXIT_CONFIG = 74, 78
PAIRS = [("SAE-A1", "SAE-B1"), ("SAE-B1", "SAE-A1")]
STORE_FILES = ("store.db", "store.db-wal", "keyring")
NO_LEAK_CHECK = {"ASAN_OPTIONS": "detect_leaks=0"}  # it cannot work while somebody else traces the process


def be_root_or_seem_so():
    if os.geteuid() != 0:
        os.execvp("unshare", ["unshare", "--map-root-user", "--mount", sys.executable, *sys.argv])


class LabTest(unittest.TestCase):
    rate_bps = 4_000_000

    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.addCleanup(self.scratch.cleanup)
        self.lab = Lab(self.scratch.name, BUILD, rate_bps=self.rate_bps, request_deadline_ms=800)
        self.addCleanup(self.lab.close)
        self.a = self.lab.kmes["KME-A"]

    def refusal(self):
        done = subprocess.run([self.lab.qkmsd, "--config", self.a.configuration], capture_output=True, text=True, timeout=30, check=False)
        return done.returncode, done.stderr


class FailedCalls(LabTest):
    """One system call of KME-A fails under load. What was in doubt does not leave, the daemon ends with 74, and a service manager's
    restart goes on: nothing twice, the accounts equal."""

    def traced(self, call, error, when, only=()):
        """`only` are names of files in the state folder: calls on others do not count."""
        if shutil.which("strace") is None:
            self.fail("strace is not installed: ./dev deps test")
        trial = subprocess.run(["strace", "-e", "trace=none", "true"], capture_output=True, text=True, timeout=30, check=False)
        if trial.returncode != 0:
            self.fail(f"this system does not let processes be traced: {trial.stderr}")
        trace = self.a.folder / "trace"
        return trace, ["strace", "-f", "--seccomp-bpf", "-o", trace, *(word for name in only for word in ("-P", self.a.state / name)),
                       "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={when}"]

    def start_under_load(self, under):
        self.a.start(under, NO_LEAK_CHECK)
        self.lab.kmes["KME-B"].start().wait_until_up()
        self.a.wait_until_up()
        encryptors = [kill.Encryptors(self.lab, master, slave, random.random()) for master, slave in PAIRS]
        for one in encryptors:
            one.start()
        return encryptors

    def judge(self, encryptors, most_burned):
        """Once keys are given out again."""
        asked = [len(one.keys) for one in encryptors]
        wait_for(lambda: all(len(one.keys) > before + 5 for one, before in zip(encryptors, asked)), "keys are given out", 60)
        for one in encryptors:
            one.running = False
        for one in encryptors:
            one.join(90)
        a, b = kill.quiet_accounts(self.lab)
        self.assertEqual(kill.check_history(encryptors) + kill.check_accounts(a, b, most_burned), [])

    def fail_call(self, call, error, when):
        trace, under = self.traced(call, error, when)
        encryptors = self.start_under_load(under)
        code = self.a.process.wait(timeout=90)  # strace's is its tracee's
        self.assertEqual(code, EXIT_IO, self.a.log.read_text()[-2000:])
        self.assertEqual(trace.read_text().count("(INJECTED)"), 1)
        self.assertIn("the outcome of a commit is unknown", self.a.log.read_text())
        self.a.start().wait_until_up()
        self.judge(encryptors, 2 * len(encryptors) * kill.MAX_KEYS * kill.KEY_BITS)

    def test_a_failed_sync_is_final(self):
        self.fail_call("fdatasync", "EIO", random.randint(60, 120))

    def test_a_failed_write_is_final(self):
        self.fail_call("pwrite64", "EIO", random.randint(300, 600))

    def test_a_file_system_that_became_read_only_is_final(self):
        self.fail_call("pwrite64", "EROFS", random.randint(300, 600))

    def test_a_failed_read_refuses_a_start_or_passes(self):
        """Reads are made in starts; while it runs, the pages that it needs are in memory. Each of a start fails once, with growing steps."""
        self.lab.start()
        self.lab.wait_for_keys(50)
        client = self.lab.client("SAE-A1")
        given = [client.get_key("SAE-B1")[1]["keys"][0] for _ in range(3)]
        when, refused = 1, 0
        while True:
            self.a.kill()
            trace, under = self.traced("pread64", "EIO", when, STORE_FILES)
            self.a.log.write_text("")
            self.a.start(under, NO_LEAK_CHECK)
            wait_for(lambda: self.a.process.poll() is not None or self.serves(), f"it starts or refuses, read {when}", 60)
            if self.a.process.poll() is not None:
                refused += 1
                self.assertEqual(self.a.process.returncode, EXIT_IO, self.a.log.read_text())
                self.assertRegex(self.a.log.read_text(), "cannot open the store|the outcome of a commit is unknown")
            else:
                self.end_tracee()
            if "(INJECTED)" not in trace.read_text():
                break
            when += 1 + when // 3
        self.assertGreater(refused, 3)
        self.a.start().wait_until_up()
        wait_for(self.serves, "it serves", 30)
        slave = self.lab.client("SAE-B1")
        for key in given:
            self.assertEqual(slave.get_by_ids("SAE-A1", [key["key_ID"]])[1]["keys"], [key])

    def serves(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.lab.client("SAE-A1").get_key("SAE-B1")[0] == 200
        return False

    def test_calls_that_are_interrupted_are_made_again(self):
        for call, when, least in (("pwrite64", "20+10", 20), ("pread64", "2+3", 3)):
            with self.subTest(call):
                self.interrupt(call, when, least)

    def test_a_sync_that_is_interrupted_is_a_failed_one(self):
        self.fail_call("fdatasync", "EINTR", random.randint(60, 120))

    def interrupt(self, call, when, least):
        trace, under = self.traced(call, "EINTR", when, STORE_FILES)
        encryptors = self.start_under_load(under)
        wait_for(lambda: trace.read_text().count("(INJECTED)") >= least, f"{call} is interrupted", 60)
        self.judge(encryptors, 0)
        self.assertIsNone(self.a.process.poll())
        self.end_tracee()
        self.lab.kmes["KME-B"].stop()

    def end_tracee(self):
        """Strace alone would leave it behind."""
        children = pathlib.Path(f"/proc/{self.a.process.pid}/task/{self.a.process.pid}/children").read_text().split()
        for child in children:
            os.kill(int(child), signal.SIGTERM)
        self.assertEqual(self.a.process.wait(timeout=20), 0)


class SmallDisk(LabTest):
    rate_bps = 500_000

    def setUp(self):
        super().setUp()
        self.a.state.mkdir(mode=0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=80m,mode=0700", "tmpfs", self.a.state], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", self.a.state], check=True)
        self.filler = self.a.state / "filler"

    def fill(self):
        with self.filler.open("wb", buffering=0) as out, contextlib.suppress(OSError):
            while out.write(b"x" * 4096) == 4096:
                pass

    def listens(self):
        with contextlib.suppress(OSError):
            return self.readiness()
        return None

    def readiness(self):
        return self.a.ask_operator("/readyz?verbose")

    def test_stops_hand_out_loses_nothing_and_ends_by_itself(self):
        self.lab.start()
        self.lab.wait_for_keys(50)
        self.assertIn("[+]disk ok", self.readiness()[1])
        client, slave = self.lab.client("SAE-A1"), self.lab.client("SAE-B1")
        code, given = client.get_key("SAE-B1")
        self.assertEqual(code, 200)
        self.fill()
        wait_for(lambda: client.get_key("SAE-B1")[0] == 503, "hand-out stops", 60)
        code, error = client.get_key("SAE-B1")
        self.assertEqual((code, error["details"][0].get("qkms_reason")), (503, "sealed"))
        code, text = self.readiness()
        self.assertEqual(code, 503)
        self.assertIn(f"[-]disk failed: only 0 MiB left in {self.a.state}", text)
        self.assertIsNone(self.a.process.poll())
        self.filler.unlink()
        wait_for(lambda: client.get_key("SAE-B1")[0] == 200, "hand-out resumes by itself", 30)
        wait_for(lambda: self.readiness()[0] == 200, "it says so", 30)
        self.assertEqual(slave.get_by_ids("SAE-A1", [given["keys"][0]["key_ID"]])[1]["keys"], given["keys"])

    def test_starts_on_it_or_refuses_with_a_sentence(self):
        """Whether the few pages of an opening fit depends on what room there is inside the log."""
        self.lab.start()
        self.lab.wait_for_keys(50)
        client, slave = self.lab.client("SAE-A1"), self.lab.client("SAE-B1")
        code, given = client.get_key("SAE-B1")
        self.assertEqual(code, 200)
        self.a.kill()
        self.fill()
        self.a.log.unlink()
        self.a.start()
        wait_for(lambda: self.a.process.poll() is not None or self.listens(), "it starts or refuses")
        if self.a.process.poll() is None:
            self.assertIn(f"[-]disk failed: only 0 MiB left in {self.a.state}", self.readiness()[1])
        else:
            self.assertEqual(self.a.process.returncode, EXIT_IO)
            said = self.a.log.read_text()
            self.assertIn(f"cannot open the store {self.a.state}/store.db: ", said)
            self.assertRegex(said, "database or disk is full|No space left on device")  # the store itself, or its keyring
        self.filler.unlink()
        if self.a.process.poll() is not None:
            self.a.start().wait_until_up()
        wait_for(lambda: self.lab.client("SAE-A1").get_key("SAE-B1")[0] == 200, "it serves", 30)
        self.assertEqual(slave.get_by_ids("SAE-A1", [given["keys"][0]["key_ID"]])[1]["keys"], given["keys"])

    def test_refuses_to_start_on_one_that_is_read_only(self):
        self.a.start().wait_until_up()
        self.assertEqual(self.a.stop(), 0)
        subprocess.run(["mount", "-o", "remount,ro", self.a.state], check=True)
        code, text = self.refusal()
        self.assertEqual(code, EXIT_CONFIG, text)
        self.assertIn(f"{self.a.state}: its file system is read-only", text)


class TheLog(LabTest):
    def test_a_full_disk_under_it_does_not_stop_service(self):
        self.a.log = pathlib.Path("/dev/full")
        self.lab.start()
        self.lab.wait_for_keys(50)
        client, slave = self.lab.client("SAE-A1"), self.lab.client("SAE-B1")
        code, given = client.get_key("SAE-B1")
        self.assertEqual(code, 200)
        self.assertEqual(slave.get_by_ids("SAE-A1", [given["keys"][0]["key_ID"]])[1]["keys"], given["keys"])
        self.assertEqual(self.a.ask_operator("/reload", "POST")[0], 200)
        self.assertEqual(self.a.stop(), 0)


    def test_a_reader_that_hangs_does_not_stop_service(self):
        fifo = self.a.folder / "log.fifo"
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
        self.a.log = fifo
        self.lab.start()
        self.lab.wait_for_keys(50)
        for _ in range(60):  # more lines than a pipe of a page takes
            self.assertEqual(self.a.ask_operator("/reload", "POST")[0], 200)
        client, slave = self.lab.client("SAE-A1"), self.lab.client("SAE-B1")
        code, given = client.get_key("SAE-B1")
        self.assertEqual(code, 200)
        self.assertEqual(slave.get_by_ids("SAE-A1", [given["keys"][0]["key_ID"]])[1]["keys"], given["keys"])
        text = b""

        def complete():
            nonlocal text
            with contextlib.suppress(BlockingIOError):
                while part := os.read(reader, 65536):
                    text += part
            return text.count(b"the configuration is reloaded") >= 60

        wait_for(complete, "all lines, once somebody reads", 30)
        for line in text.decode().splitlines():
            json.loads(line)
        self.assertEqual(self.a.metrics()[("qkms_log_lines_lost_total", ())], 0)
        for _ in range(60):
            self.assertEqual(self.a.ask_operator("/reload", "POST")[0], 200)
        self.assertEqual(self.a.stop(), 0)  # nobody reads: it ends all the same


class Descriptors(LabTest):
    """There are none left while it runs, and then there are some again (EMFILE)."""

    def allow(self, most):
        hard = resource.prlimit(self.a.process.pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(self.a.process.pid, resource.RLIMIT_NOFILE, (most, hard))

    def operator(self):
        """A connection that is open already."""
        context = ssl.create_default_context(cafile=str(self.lab.pki / "operator-ca.crt"))
        context.load_cert_chain(self.lab.pki / "operator" / "admin.crt", self.lab.pki / "operator" / "admin.key")
        connection = http.client.HTTPSConnection("127.0.0.1", self.a.ports["operator"], context=context, timeout=10)
        self.addCleanup(connection.close)
        connection.connect()
        return connection

    @staticmethod
    def ask(connection, path, method):
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    @unittest.skipIf("undefined" in os.environ.get("QKMS_SANITIZE", ""),
                     "without a descriptor UBSan cannot look at the type of an object, and calls it wrong")
    def test_whoever_is_connected_is_served_and_nothing_is_lost(self):
        self.lab.start()
        self.lab.wait_for_keys(50)
        client, slave, operator = self.lab.client("SAE-A1"), self.lab.client("SAE-B1"), self.operator()
        code, given = client.get_key("SAE-B1")
        self.assertEqual((code, self.ask(operator, "/livez", "GET")[0]), (200, 200))
        before = resource.prlimit(self.a.process.pid, resource.RLIMIT_NOFILE)[0]
        self.allow(3)  # what is open stays open
        turned_away = socket.create_connection(("127.0.0.1", self.a.ports["sae"]), timeout=10)
        self.addCleanup(turned_away.close)
        pauses = ("qkms_accept_pauses_total", (("listener", "sae"),))
        wait_for(lambda: parse_metrics(self.ask(operator, "/metrics", "GET")[1])[pauses] > 0, "it waits before it accepts again", 30)
        self.assertEqual(client.get_key("SAE-B1")[0], 200)
        key_file, kept = self.a.folder / "master.key", self.a.folder / "master.key.old"
        os.replace(key_file, kept)
        self.lab.run(self.lab.qkmsctl, "new-master-key", f"file:{key_file}")
        for path in ("/backup", "/rotate-master"):
            code, text = self.ask(operator, path, "POST")
            self.assertGreaterEqual(code, 400, path)
            self.assertIn("Too many open files", text, path)
        self.assertEqual(client.get_key("SAE-B1")[0], 200)
        self.assertIsNone(self.a.process.poll())
        self.allow(before)
        self.assertEqual(self.ask(operator, "/backup", "POST")[0], 200)
        os.replace(kept, key_file)  # it was refused, so the old one is in use
        wait_for(lambda: self.lab.client("SAE-A2").get_key("SAE-B1")[0] == 200, "new connections", 30)
        self.a.kill()
        self.a.start().wait_until_up()
        wait_for(lambda: self.lab.client("SAE-A2").get_key("SAE-B1")[0] == 200, "it serves", 30)
        self.assertEqual(slave.get_by_ids("SAE-A1", [given["keys"][0]["key_ID"]])[1]["keys"], given["keys"])


class TheStoresFile(LabTest):
    """Somebody removes or replaces the store while the daemon runs: no key goes out that the next start would not know of."""

    def expect_end(self):
        client = self.lab.client("SAE-A1")

        def ended():
            with contextlib.suppress(*kill.UNKNOWN):
                client.get_key("SAE-B1")
            return self.a.process.poll() is not None

        wait_for(ended, "the daemon notices", 30)
        self.assertEqual(self.a.process.returncode, EXIT_IO)
        self.assertIn("removed or replaced", self.a.log.read_text())

    def setUp(self):
        super().setUp()
        self.lab.start()
        self.lab.wait_for_keys(50)
        self.store = self.a.state / "store.db"

    def test_removed(self):
        self.store.unlink()
        self.expect_end()
        code, text = self.refusal()
        self.assertEqual(code, EXIT_IO, text)
        self.assertIn("write-ahead log", text)

    def test_replaced_by_an_older_copy(self):
        copy = self.a.folder / "copy"
        shutil.copy(self.store, copy)
        os.replace(copy, self.store)
        self.expect_end()

    def test_its_log_removed(self):
        (self.a.state / "store.db-wal").unlink()
        self.expect_end()


if __name__ == "__main__":
    be_root_or_seem_so()
    unittest.main()
