"""Two KMEs whose devices leave files (driver `files`), and what an operator sees of their link (T30)."""

import json
import os
import subprocess
import unittest
import uuid

import lab_case
from lab_case import sites


def folder_of(kme):
    return kme.folder / "device"


def files_link(kme):
    folder_of(kme).mkdir(parents=True, exist_ok=True)
    return ['driver = "files"', "silence_alarm_ms = 0", "[links.files]", f'folder = "{folder_of(kme)}"', "settle_ms = 100", "look_ms = 100"]


class FilesLink(lab_case.LabCase):
    link = staticmethod(files_link)

    @classmethod
    def prepare(cls):
        cls.deliver(os.urandom(65536))

    @classmethod
    def deliver(cls, bits, other_bits=None, name=None):
        """Both devices leave a file; the one of KME-B may have other bits in it."""
        name = name or f"{uuid.uuid4()}.key"
        for kme, content in zip(cls.lab.kmes.values(), (bits, other_bits or bits)):
            (folder_of(kme) / (name + ".part")).write_bytes(content)
            os.rename(folder_of(kme) / (name + ".part"), folder_of(kme) / name)

    def links(self, kme):
        status, text = self.lab.kmes[kme].ask_operator("/links")
        self.assertEqual(status, 200, text)
        return {link["link"]: link for link in json.loads(text)}

    def alarms(self, kme):
        return {alarm["alarm"] for alarm in self.links(kme)["link-ab"]["alarms"]}

    def qkmsctl(self, *words):
        pki = self.lab.pki
        return subprocess.run([self.lab.qkmsctl, *words, "--url", f"https://127.0.0.1:{self.lab.kmes['KME-A'].ports['operator']}",
                               "--ca", pki / "operator-ca.crt", "--cert", pki / "operator" / "admin.crt", "--key", pki / "operator" / "admin.key"],
                              capture_output=True, text=True, timeout=60, check=False)

    def test_1_keys_come_from_files_and_nothing_is_left_of_them(self):
        master, slave = self.lab.client("SAE-A1"), self.lab.client("SAE-B1")
        code, made = master.get_key("SAE-B1", number=10)
        self.assertEqual(code, 200, made)
        code, fetched = slave.get_by_ids("SAE-A1", [key["key_ID"] for key in made["keys"]])
        self.assertEqual(code, 200, fetched)
        self.assertEqual(made["keys"], fetched["keys"])
        for kme in self.lab.kmes.values():
            self.assertEqual([path for path in folder_of(kme).rglob("*") if path.is_file()], [])
        self.accounts()

    def test_2_an_operator_sees_the_link(self):
        listed = self.qkmsctl("link", "list")
        self.assertEqual(listed.returncode, 0, listed.stderr)
        self.assertRegex(listed.stdout, r"link-ab +KME-B +files +running .* ok\n")
        shown = self.qkmsctl("link", "show", "--link", "link-ab")
        self.assertRegex(shown.stdout, r"accepted +1\n")
        tested = self.qkmsctl("link", "test", "--link", "link-ab")
        self.assertIn("is there; 0 files wait in it", tested.stdout)
        missing = self.qkmsctl("link", "test", "--link", "nobody")
        self.assertEqual(missing.returncode, 1)
        self.assertIn("no link has this name", missing.stderr)
        self.assertEqual(self.qkmsctl("link", "show").returncode, 2)

    def test_3_halves_that_differ_never_reach_the_reservoir(self):
        before, _ = self.accounts()
        self.deliver(os.urandom(4096), os.urandom(4096))
        for kme in self.lab.kmes:
            sites.wait_for(lambda kme=kme: "mismatch" in self.alarms(kme), f"an alarm at {kme}", 30)
        after, _ = self.accounts()
        self.assertEqual(after["available_own"] + after["available_peer"], before["available_own"] + before["available_peer"])
        self.assertEqual(after["quarantined"] - before["quarantined"], 4096 * 8 - 256)

    def test_4_a_device_that_repeats_itself_is_kept_out(self):
        bits = os.urandom(4096)
        self.deliver(bits)
        sites.wait_for(lambda: self.links("KME-A")["link-ab"]["accepted"] >= 2, "the block", 30)
        before, _ = self.accounts()
        self.deliver(bits)
        self.deliver(bytes(4096))
        for kme in self.lab.kmes:
            sites.wait_for(lambda kme=kme: self.links(kme)["link-ab"]["quarantined"] >= 2 and "unhealthy" in self.alarms(kme), "the alarm", 30)
        after, _ = self.accounts()
        self.assertEqual(after["in"], before["in"])
        _, log = self.lab.kmes["KME-A"].ask_operator("/audit")
        reasons = [line["reason"] for line in map(json.loads, log.splitlines()) if line.get("action") == "quarantine" and line["actor"] == "link-ab"]
        self.assertIn("its bits came before under another ID", reasons)

    def test_5_what_is_no_key_file_is_put_aside(self):
        self.deliver(b"short", name="short")
        for name, kme in self.lab.kmes.items():
            sites.wait_for(lambda kme=kme: (folder_of(kme) / "refused" / "short").exists(), "it is put aside", 30)
            self.assertEqual(self.links(name)["link-ab"]["rejected"], 1)

    def test_6_a_folder_that_goes_is_an_alarm_and_comes_back(self):
        kme = self.lab.kmes["KME-A"]
        os.rename(folder_of(kme), kme.folder / "elsewhere")
        sites.wait_for(lambda: "failed" in self.alarms("KME-A"), "the alarm", 30)
        self.assertNotEqual(self.qkmsctl("link", "test", "--link", "link-ab").returncode, 0)
        os.rename(kme.folder / "elsewhere", folder_of(kme))
        sites.wait_for(lambda: "failed" not in self.alarms("KME-A"), "the end of the alarm", 30)


if __name__ == "__main__":
    unittest.main()
