#!/usr/bin/env python3
"""T21, T22: no key bit in a log, a metric, a file, or a core of the daemons, of which the search is first shown to find them.

Not built with sanitizers: there, secrets are on the sanitizer's own heap (base/secret.cc), which is dumped.
"""

import base64
import hmac
import os
import pathlib
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

from lab_case import BUILD, LabCase, sites
from secret_search import Search, forms
from sites import wait_for

TRACE = '[log]\nlevel = "trace"\n'
PR_CAPBSET_DROP, CAP_IPC_LOCK = 24, 14


def take_core(pid, file, everything=False):
    """`everything`: with the mappings that the process asked to leave out."""
    wishes = ["set use-coredump-filter off", "set dump-excluded-mappings on"] if everything else []
    command = ["gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off", "-iex", "set auto-load off", "-iex", "set auto-solib-add off",
               "-p", str(pid)]
    for wish in (*wishes, f"gcore {file}"):
        command += ["-ex", wish]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    if not pathlib.Path(file).is_file():
        raise AssertionError(f"no core of process {pid}:\n{done.stdout}\n{done.stderr}")


def keyring_secrets(kme):
    """{name: bytes}: the master key, and all that the keyring holds (docs/store-format.md, "The keyring")."""
    master = bytes.fromhex((kme.folder / "master.key").read_text())
    ring = (kme.state / "keyring").read_bytes()
    salt, sealed = ring[28:60], ring[92:-16]
    wrap = hmac.digest(hmac.digest(salt, master, "sha256"), b"qkms keyring wrap 1\x01", "sha256")  # HKDF, RFC 5869
    # AES-256-GCM encrypts as counter mode does that begins at 2 (NIST SP 800-38D §7.1).
    body = subprocess.run(["openssl", "enc", "-d", "-aes-256-ctr", "-K", wrap.hex(), "-iv", f"{2:032x}"], input=sealed, capture_output=True,
                          timeout=20, check=True).stdout
    found = {"master key": master, "census key": body[:32], "other census key": body[32:64], "root key": body[64:96]}
    entries = body[108:]
    if len(entries) != 36 * int.from_bytes(body[104:108], "big"):
        raise AssertionError("this is no keyring, or the master key of another")
    for at in range(0, len(entries), 36):
        found[f"data key {int.from_bytes(entries[at:at + 4], 'big')}"] = entries[at + 4:at + 36]
    return found


def keyring_names(secrets):
    """Of those, what is no key of an SAE."""
    return {name: secret for name, secret in secrets.items() if "key" in name}


def all_sleep(pid):
    """No thread of the process is at work: what it did is done."""
    states = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        states.append((task / "stat").read_text().rsplit(")", 1)[1].split()[0])
    return all(state == "S" for state in states)


class Canaries(unittest.TestCase):
    """The search can find."""

    def test_each_form_in_a_file(self):
        key = os.urandom(32)
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "planted"
            for before in range(3):
                for text in (key, key.hex().encode(), key.hex().upper().encode(), base64.b64encode(bytes(before) + key + b"more"),
                             base64.urlsafe_b64encode(bytes(before) + key + b"more")):
                    file.write_bytes(b"\0" * 5000 + text + b"\0" * 5000)
                    self.assertTrue(Search({"planted": key}).in_file(file), text)
                    self.assertEqual(Search({"another": os.urandom(32)}).in_file(file), [])
        self.assertEqual(len(forms(key)), 11)

    @unittest.skipUnless(os.geteuid() == 0, "reading another process needs root")
    def test_a_key_in_a_process(self):
        holder = "import sys; key = bytes.fromhex(sys.stdin.readline()); print('ready', flush=True); sys.stdin.readline()"
        key = os.urandom(32)
        with tempfile.TemporaryDirectory() as folder:
            process = subprocess.Popen([sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            try:
                process.stdin.write(key.hex() + "\n")
                process.stdin.flush()
                self.assertEqual(process.stdout.readline(), "ready\n")
                take_core(process.pid, f"{folder}/core")
            finally:
                process.kill()
                process.communicate()
            self.assertIn("canary (raw)", Search({"canary": key}).in_file(f"{folder}/core"))


class TwoSilentDaemons(LabCase):
    more = TRACE

    def setUp(self):
        self.given = {}
        self.lab.wait_for_keys(1000)
        self.master, self.slave = self.lab.client("SAE-A1"), self.lab.client("SAE-B1")

    def get_keys(self, number, size):
        """{name: bits} of keys that the master has; the slave may fetch them."""
        code, answer = self.master.get_key("SAE-B1", number, size=size)
        self.assertEqual(code, 200, answer)
        return {key["key_ID"]: base64.b64decode(key["key"]) for key in answer["keys"]}

    def fetch(self, keys):
        code, answer = self.slave.get_by_ids("SAE-A1", list(keys))
        self.assertEqual(code, 200, answer)
        self.assertEqual({key["key_ID"]: base64.b64decode(key["key"]) for key in answer["keys"]}, keys)

    def deliver(self):
        """Keys of several sizes, one by one and many at once, all fetched; the answer of the largest takes several TLS records."""
        for number, size in (*[(1, 256)] * 6, (32, 4096), (2, 1024), (4, 256), (1, 256)):
            keys = self.get_keys(number, size)
            self.fetch(keys)
            self.given.update(keys)

    def processes(self):
        return {name: kme.process.pid for name, kme in self.lab.kmes.items()}

    def cores(self, when="", **how):
        """{KME: file}, of both daemons once they have nothing to do. `when` tells files of one test apart."""
        files = {}
        for name, pid in self.processes().items():
            wait_for(lambda pid=pid: all_sleep(pid), f"{name} is idle")
            files[name] = self.lab.folder / f"core-{name}{'-everything' if how else ''}{when}"
            self.addCleanup(files[name].unlink)
            take_core(pid, files[name], **how)
        return files

    @unittest.skipUnless(os.geteuid() == 0, "reading another process needs root")
    def test_have_no_key_in_a_core_whether_it_was_delivered_or_is_still_to_be(self):
        self.deliver()
        cores = self.cores()
        everything = self.cores(everything=True)
        wait_for(lambda: self.master.get_key("SAE-B1")[0] == 200, "the daemons find each other again after they were stopped")
        later = self.get_keys(8, 256)  # these were in the reservoirs when the cores were taken
        for name, core in cores.items():
            self.assertEqual(Search({**self.given, **later}).in_file(core), [], f"{name}, without what it left out")
        for name, core in everything.items():
            self.assertEqual(Search(self.given).in_file(core), [], f"{name}, delivered keys")
            found = Search(later).in_file(core)
            self.assertEqual(len([what for what in found if what.endswith("(raw)")]), len(later), f"{name}: the search finds what is there")

    @unittest.skipUnless(os.geteuid() == 0, "reading another process needs root")
    def test_have_neither_stored_keys_nor_what_opens_them_in_a_core_once_they_are_sealed(self):
        self.deliver()
        waiting = self.get_keys(8, 256)  # on KME-B's disk
        opening = {name: {**keyring_secrets(kme), **self.given} for name, kme in self.lab.kmes.items()}
        before = self.cores("-before", everything=True)
        for kme in self.lab.kmes.values():
            self.assertIn("sealed", self.operate(kme, "seal"))
        after = self.cores("-after", everything=True)
        for kme in self.lab.kmes.values():
            self.assertIn("unsealed", self.operate(kme, "unseal"))
        self.assertEqual(self.answer(lambda: self.slave.get_by_ids("SAE-A1", list(waiting)))[0], 200)
        self.answer(lambda: self.master.get_key("SAE-B1"))
        later = self.get_keys(8, 256)  # these were in the reservoirs when the cores were taken
        for name in self.lab.kmes:
            found = [what for what in Search({**keyring_names(opening[name]), **later}).in_file(before[name]) if what.endswith("(raw)")]
            self.assertIn("master key (raw)", found, f"{name}: the search finds what is there")
            self.assertIn("census key (raw)", found)
            self.assertTrue(any(what.startswith("data key") for what in found), found)
            self.assertTrue(any(what.split()[0] in later for what in found), f"{name}: keys that are still to be delivered")
            self.assertEqual(Search({**opening[name], **waiting, **later}).in_file(after[name]), [], f"{name} is sealed")

    def test_have_no_key_in_logs_metrics_and_files_not_even_after_a_crash(self):
        self.deliver()
        waiting = self.get_keys(5, 256)  # held for the slave on KME-B's disk
        search = Search({**self.given, **waiting})
        for kme in self.lab.kmes.values():
            for path in ("/metrics", "/readyz?verbose", "/livez"):
                code, text = kme.ask_operator(path)
                self.assertEqual((code, search.in_bytes(text.encode())), (200, []), path)
            self.assertEqual(search.in_folder(kme.state), [], "while it runs")
        for kme in self.lab.kmes.values():
            kme.kill()
        for kme in self.lab.kmes.values():
            self.assertEqual(search.in_folder(kme.folder), [], "after kill -9")
            self.assertGreater(kme.log.stat().st_size, 500)
        self.slave.close()
        self.master.close()
        self.lab.start()
        self.lab.wait_for_keys(50)
        self.fetch(waiting)  # they were there

    def test_lock_memory_and_say_how_much(self):
        for kme in self.lab.kmes.values():
            status = pathlib.Path(f"/proc/{kme.process.pid}/status").read_text()
            locked_kib = int(status.split("VmLck:")[1].split()[0])
            metrics = kme.metrics()
            self.assertGreater(locked_kib, 0)
            self.assertEqual(metrics[("qkms_secret_memory_bytes", (("state", "locked"),))] // 1024, locked_kib)
            self.assertGreater(metrics[("qkms_secret_memory_bytes", (("state", "used"),))], 0)


class OneProcess(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.lab = sites.Lab(scratch.name, BUILD)
        self.addCleanup(self.lab.close)
        self.kme = self.lab.kmes["KME-A"]

    def abort(self, process):
        """Whether the system says that it wrote a core."""
        process.send_signal(signal.SIGABRT)
        _, status = os.waitpid(process.pid, 0)
        process.returncode = -signal.SIGABRT  # it is waited for
        self.assertEqual(os.WTERMSIG(status), signal.SIGABRT)
        return os.WCOREDUMP(status)

    def test_leaves_no_core_when_it_aborts(self):
        how = {"cwd": self.lab.folder, "preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)}
        if resource.getrlimit(resource.RLIMIT_CORE)[1] != resource.RLIM_INFINITY and os.geteuid() != 0:
            del how["preexec_fn"]
        careless = subprocess.Popen(["cat"], stdin=subprocess.PIPE, **how)
        self.addCleanup(careless.stdin.close)
        wait_for(lambda: pathlib.Path(f"/proc/{careless.pid}/comm").read_text() == "cat\n", "cat runs")
        if not self.abort(careless):
            self.skipTest("this system writes no cores at all")
        self.kme.how = how
        self.kme.start().wait_until_up()
        self.assertFalse(self.abort(self.kme.process), "qkmsd")
        with socket.create_server(("127.0.0.1", 0)) as silent:
            stem = self.lab.pki / "operator" / "admin"
            tool = subprocess.Popen([self.lab.qkmsctl, "live", "--url", f"https://127.0.0.1:{silent.getsockname()[1]}",
                                     "--ca", self.lab.pki / "operator-ca.crt", "--cert", f"{stem}.crt", "--key", f"{stem}.key"], **how)
            silent.settimeout(20)
            with silent.accept()[0]:  # it is at work by now
                self.assertFalse(self.abort(tool), "qkmsctl")

    @unittest.skipUnless(os.geteuid() == 0, "only root has a capability to drop")
    def test_says_that_memory_is_not_locked_when_the_system_does_not_let_it(self):
        def no_locks():
            import ctypes  # in the child
            if ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_IPC_LOCK, 0, 0, 0) != 0:
                raise OSError("prctl")
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))

        self.kme.how = {"preexec_fn": no_locks}
        self.kme.start().wait_until_up()
        self.assertIn("RLIMIT_MEMLOCK", self.kme.log.read_text())
        self.assertIn("[!]memory", self.kme.ask_operator("/readyz?verbose")[1])
        self.assertGreater(self.kme.metrics()[("qkms_secret_memory_bytes", (("state", "unlocked"),))], 0)


if __name__ == "__main__":
    unittest.main()
