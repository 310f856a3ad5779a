#!/usr/bin/env python3
"""qkmsctl conformance: our own daemon passes every check, and a wrong little server shows that every check can fail."""

import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from faults import FAULTS  # noqa: E402
from lab_case import BUILD, SOURCE, LabCase  # noqa: E402
from wrong_server import WrongServer  # noqa: E402

QKMSCTL = BUILD / "cli" / "qkmsctl"
MASTER, SLAVE, SECOND = SAES = ("SAE-A1", "SAE-B1", "SAE-B3")
MOST_KEYS = 256  # what --help promises


def conformance(pki, url, *more):
    """Runs the tool; returns its exit status, its report and what it printed."""
    def sae(prefix, name):
        return [f"--{prefix}id" if prefix else "--master-id", name, f"--{prefix}cert", pki / "sae" / f"{name}.crt",
                f"--{prefix}key", pki / "sae" / f"{name}.key"]

    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.json"
        command = [QKMSCTL, "conformance", "--url", url, "--ca", pki / "sae-ca.crt", *sae("", MASTER), *sae("slave-", SLAVE),
                   *sae("second-slave-", SECOND), "--json", report, *more]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120, check=False)
        return done.returncode, json.loads(report.read_text()) if report.exists() else None, done.stdout + done.stderr


def listed():
    """{check: level} of --list."""
    done = subprocess.run([QKMSCTL, "conformance", "--list"], capture_output=True, text=True, timeout=30, check=True)
    return {line.split()[0]: line.split()[1] for line in done.stdout.splitlines()}


def having(report, result):
    return {check["id"] for check in report["checks"] if check["result"] == result}


def unlike_qkms(report):
    return {check["id"] for check in report["checks"] if check.get("as_qkms") is False}


def run_with(pki, name):
    """A fault's exit status, failed checks and decisions that were not met; in a process of its own."""
    fault = FAULTS.get(name)
    only = [word for check in (fault.only if fault else ()) for word in ("--only", check)]
    with WrongServer(pki, SAES, name) as server:
        status, report, text = conformance(pki, f"https://127.0.0.1:{server.port}", "--timeout", "5", *only)
    if report is None:
        return status, text, text
    return status, having(report, "fail"), unlike_qkms(report)


class OurDaemon(LabCase):
    more_saes = {SECOND: "KME-B"}

    def run_it(self, *more):
        a, b = (self.lab.kmes[name].ports["sae"] for name in ("KME-A", "KME-B"))
        return conformance(self.lab.pki, f"https://127.0.0.1:{a}", "--slave-url", f"https://127.0.0.1:{b}", *more)

    def test_passes_every_check_and_the_page_in_docs_says_so(self):
        page = pathlib.Path(self.scratch.name) / "conformance.md"
        junit = pathlib.Path(self.scratch.name) / "conformance.xml"
        status, report, text = self.run_it("--markdown", page, "--junit", junit)
        self.assertEqual(status, 0, text)
        self.assertEqual({check["id"] for check in report["checks"]}, set(listed()))
        for result in ("fail", "skipped"):
            self.assertEqual(having(report, result), set(), text)
        self.assertEqual(unlike_qkms(report), set(), text)
        self.assertLessEqual(report["summary"]["keys_taken"], MOST_KEYS)
        self.check_junit(junit, report)
        committed = SOURCE / "docs" / "conformance.md"
        if "QKMS_WRITE_DOCS" in os.environ:
            committed.write_text(page.read_text())
        self.assertEqual(committed.read_text(), page.read_text(), "make it anew: QKMS_WRITE_DOCS=1 tests/conformance/conformance_test.py")

    def check_junit(self, file, report):
        import xml.etree.ElementTree as xml
        suite = xml.parse(file).getroot()
        self.assertEqual([case.get("name") for case in suite.iter("testcase")], [check["id"] for check in report["checks"]])
        self.assertEqual((suite.get("failures"), suite.get("skipped")), ("0", "0"))

    def test_no_key_is_in_what_the_tool_says(self):
        _, report, text = self.run_it("--only", "014-5.4", "--only", "014-5.3")
        everything = text + json.dumps(report)
        self.assertIn("1 key of 256 bits, base64 valid", everything)
        self.assertNotRegex(everything, r"[A-Za-z0-9+/]{42}[A-Za-z0-9+/=]=")  # 256 bits in base64
        self.assertNotIn('"key":', everything)


class AWrongServer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.pki = pathlib.Path(cls.scratch.name) / "pki"
        names = [word for sae in SAES for word in ("--sae", sae)]
        subprocess.run([QKMSCTL, "dev-pki", "--out", cls.pki, "--kme", "KME-A", *names], check=True, capture_output=True, timeout=60)

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def test_without_a_fault_passes_every_check(self):
        with WrongServer(self.pki, SAES) as server:
            status, report, text = conformance(self.pki, f"https://127.0.0.1:{server.port}")
        self.assertEqual((status, having(report, "fail"), having(report, "skipped"), unlike_qkms(report)), (0, set(), set(), set()), text)

    def test_that_gives_one_key_of_one_size_fails_nothing(self):
        small = {"max_key_per_request": 1, "max_key_size": 256, "min_key_size": 256, "max_SAE_ID_count": 0}
        with WrongServer(self.pki, SAES, limits=small) as server:
            status, report, text = conformance(self.pki, f"https://127.0.0.1:{server.port}")
        self.assertEqual((status, having(report, "fail")), (0, set()), text)
        why = {check["id"]: check["why"] for check in report["checks"] if check["result"] == "skipped"}
        self.assertEqual(why["014-5.4-post-several"], "max_key_per_request is lower than 3")
        self.assertEqual(why["014-5.3-get-size"], "the KME has one key size")
        self.assertEqual(why["014-6.2-additional-slaves"], "max_SAE_ID_count is 0")

    def test_with_each_fault_fails_the_checks_of_that_statement_alone(self):
        with concurrent.futures.ProcessPoolExecutor(max_workers=os.cpu_count() or 2) as pool:
            found = dict(zip(FAULTS, pool.map(run_with, [self.pki] * len(FAULTS), FAULTS)))
        levels = listed()
        for name, fault in FAULTS.items():
            with self.subTest(name):
                status, failed, unlike = found[name]
                self.assertEqual(failed, set(fault.fails))
                self.assertEqual(status, 1 if any(levels[check] == "shall" for check in fault.fails) else 0)
                if not fault.fails:
                    self.assertEqual(unlike, set(fault.unlike))

    def test_that_nobody_runs_fails_whatever_was_asked_for(self):
        with WrongServer(self.pki, SAES) as server:
            port = server.port
        status, report, text = conformance(self.pki, f"https://127.0.0.1:{port}", "--only", "014-6.5")
        self.assertEqual((status, having(report, "fail"), having(report, "pass")), (1, {"014-5.1-https"}, set()), text)

    def test_has_a_fault_for_every_check(self):
        shown = {check for fault in FAULTS.values() for check in fault.fails + fault.unlike}
        self.assertEqual(shown, set(listed()))


class TheCommandLine(unittest.TestCase):
    def test_is_refused_with_2_when_it_is_wrong(self):
        cases = {
            "nothing": [],
            "an unknown check": ["--list", "--only", "014-9.9"],
            "an unknown option": ["--what"],
            "a URL without https": ["--url", "http://localhost:1", *"--ca a --master-id m --cert c --key k --slave-id s --slave-cert c --slave-key k".split()],
            "half a second slave": ["--url", "https://localhost:1", *"--ca a --master-id m --cert c --key k --slave-id s --slave-cert c --slave-key k".split(),
                                    "--second-slave-id", "x"],
        }
        for name, words in cases.items():
            with self.subTest(name):
                done = subprocess.run([QKMSCTL, "conformance", *words], capture_output=True, text=True, timeout=30, check=False)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn("--help", done.stderr)


if __name__ == "__main__":
    unittest.main()
