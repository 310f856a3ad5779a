#!/usr/bin/env python3
"""Every file that decides whom we trust or who we are, in every bad shape: refused at the start with its name (threats T36, T37)."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from authority import Authority
from certificate_lab import BUILD, Lab, Trust, trust_in

NOBODY = 65534


def empty(file):
    file.write_text("")


def gone(file):
    file.unlink()


def folder(file):
    file.unlink()
    file.mkdir()


def fifo(file):
    file.unlink()
    os.mkfifo(file, 0o600)


def gigabyte(file):
    os.truncate(file, 1 << 30)


def text(file):
    file.write_text("hello\n")


def cut(file):
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def writable_by_all(file):
    file.chmod(0o666)


def link(file):
    moved = file.with_name("moved-" + file.name)
    file.rename(moved)
    file.symlink_to(moved)


def endless(file):
    file.unlink()
    file.symlink_to("/dev/zero")


def given_away(file):
    os.chown(file, NOBODY, NOBODY)


SHAPES = (empty, gone, folder, fifo, gigabyte, text, cut, writable_by_all, endless, link, given_away)
# A public file is judged by what a link leads to: certificate managers work with links.
ACCEPTED = {(name, link) for name in ("certificate", "ca", "crl")}


class Files(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.scratch.cleanup)
        cls.lab = Lab(pathlib.Path(cls.scratch.name), BUILD)
        cls.kme = cls.lab.kmes["KME-B"]
        cls.trust = Trust(cls.lab, "sae")
        trust_in(cls.kme, {"sae": cls.trust})
        stem = cls.lab.pki / "kme" / "KME-B"
        cls.files = {"certificate": stem / "sae.crt", "key": stem / "sae.key", "ca": cls.trust.ca_file, "crl": cls.trust.crl_file,
                     "master key": cls.kme.folder / "master.key"}

    def check(self):
        done = subprocess.run([self.lab.qkmsd, "check", "--config", self.kme.configuration], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr

    def test_a_bad_file_is_named(self):
        """T36, T37."""
        self.assertEqual(self.check()[0], 0, "the control: all is well with the files as they are")
        for name, file in self.files.items():
            for shape in SHAPES:
                if shape is given_away and os.geteuid() != 0:
                    continue
                with self.subTest(name, shape=shape.__name__):
                    self.try_shape(name, file, shape)

    def try_shape(self, name, file, shape):
        saved = file.with_name("saved-" + file.name)
        shutil.copy2(file, saved)
        try:
            shape(file)
            code, said = self.check()
        finally:
            if file.is_dir():
                file.rmdir()
            file.unlink(missing_ok=True)
            saved.rename(file)
        if (name, shape) in ACCEPTED:
            self.assertEqual(code, 0, said)
        else:
            self.assertEqual(code, 78, said)
            self.assertIn(file.name, said)

    def test_a_daemon_does_not_start_with_a_bad_list(self):
        """T08, T37: `qkmsd check` and the start look at the same things."""
        forged = Authority(self.lab.folder / "forger", "/CN=qkms DEVELOPMENT sae CA").revocation_list()
        good = self.trust.crl_file.read_text()
        for name, content, part in (("forged", good + forged, "is not signed by one of the CAs"),
                                    ("stale", good + self.trust.root.revocation_list(from_days=-9, to_days=-1), "ended on "),
                                    ("of too few CAs", self.trust.root.revocation_list(), "has no revocation list of")):
            with self.subTest(name):
                self.trust.crl_file.write_text(content)
                done = subprocess.run([self.lab.qkmsd, "--config", self.kme.configuration], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                      timeout=60, check=False)
                self.trust.crl_file.write_text(good)
                self.assertEqual(done.returncode, 78, done.stderr)
                self.assertIn(part, done.stderr)
                self.assertIn(self.trust.crl_file.name, done.stderr)


if __name__ == "__main__":
    unittest.main()
