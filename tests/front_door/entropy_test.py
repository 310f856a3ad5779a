"""T33: without the system's randomness there is no daemon. Getrandom fails for the built qkmsd by a seccomp filter that is put on before it starts."""

import ctypes
import errno
import json
import pathlib
import platform
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from lab_case import BUILD, sites  # noqa: E402

# getrandom's number, by machine (linux/arch/*/include).
GETRANDOM = {"x86_64": 318, "aarch64": 278}
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
BPF_LOAD_WORD, BPF_JUMP_IF_EQUAL, BPF_RETURN = 0x20, 0x15, 0x06
SECCOMP_ALLOW, SECCOMP_ERRNO = 0x7FFF0000, 0x00050000


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]


def refuse_getrandom():
    """Runs in the child, before qkmsd is executed; seccomp(2), classic BPF over struct seccomp_data."""
    def instruction(code, if_true, if_false, operand):
        return struct.pack("HBBI", code, if_true, if_false, operand)

    code = b"".join((
        instruction(BPF_LOAD_WORD, 0, 0, 0),  # the number of the system call
        instruction(BPF_JUMP_IF_EQUAL, 0, 1, GETRANDOM[platform.machine()]),
        instruction(BPF_RETURN, 0, 0, SECCOMP_ERRNO | errno.EIO),
        instruction(BPF_RETURN, 0, 0, SECCOMP_ALLOW),
    ))
    buffer = ctypes.create_string_buffer(code, len(code))
    program = Program(len(code) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")


class Entropy(unittest.TestCase):
    def test_starts_only_with_randomness(self):
        with tempfile.TemporaryDirectory() as folder:
            lab = sites.Lab(folder, BUILD)
            kme = lab.kmes["KME-A"]
            command = [str(lab.qkmsd), "--config", str(kme.configuration)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, preexec_fn=refuse_getrandom)
            self.assertEqual(done.returncode, 74, done.stderr)
            said = done.stderr.strip().splitlines()[-1]
            self.assertIn("random", said)
            self.assertFalse((kme.state / "ports.json").exists())
            try:
                kme.start().wait_until_up()  # with randomness the same folder is good
                self.assertTrue(all(json.loads(line) for line in kme.log.read_text().splitlines()))
            finally:
                lab.close()


if __name__ == "__main__":
    unittest.main()
