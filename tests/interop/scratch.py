"""Where these tests keep what they fetch from registries: a virtual environment and a cargo folder, made once and used again.

The folder is $QKMS_INTEROP_CACHE, or build/interop. Versions and hashes are pinned in requirements.txt and rust/Cargo.lock. When a registry
cannot be reached, that is said and is a failure: nothing passes because it was left out.
"""

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parents[1]
BUILD = pathlib.Path(os.environ.get("QKMS_BUILD", SOURCE / "build" / "release"))
CACHE = pathlib.Path(os.environ.get("QKMS_INTEROP_CACHE", SOURCE / "build" / "interop"))
sys.path.insert(0, str(SOURCE / "lab"))

INSTALL_LIMIT_S = 900


class Unavailable(Exception):
    """Something that the test needs is not there. The text says what."""


def _run(what, *command, **more):
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=INSTALL_LIMIT_S, check=False, **more)
    if done.returncode != 0:
        raise Unavailable(f"{what} failed: {' '.join(words)}\n{done.stdout[-1000:]}{done.stderr[-3000:]}")


def program(name, package):
    """The path of a program that a Debian package brings, or rustup, which puts its programs into a folder of their own."""
    found = shutil.which(name) or shutil.which(name, path=pathlib.Path.home() / ".cargo" / "bin")
    if found is None:
        raise Unavailable(f"{name} is not installed: it comes with the Debian package {package}")
    return found


def python_programs():
    """The bin folder of a virtual environment that has what requirements.txt says, and nothing else that was installed by us."""
    requirements = HERE / "requirements.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:16]
    folder = CACHE / f"venv-{digest}"
    done = folder / "installed"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        _run("making a virtual environment", sys.executable, "-m", "venv", folder)
        _run("installing from PyPI", folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes",
             "-r", requirements)
        done.touch()
    return folder / "bin"


def rust_driver():
    """The program of rust/, built with the crates of rust/Cargo.lock."""
    cargo = program("cargo", "cargo (Debian 13; the crate needs Rust 1.85)")
    places = {"CARGO_HOME": str(CACHE / "cargo"), "CARGO_TARGET_DIR": str(CACHE / "cargo-target")}
    _run("building with crates from crates.io", cargo, "build", "--quiet", "--locked", cwd=HERE / "rust", env={**os.environ, **places})
    return CACHE / "cargo-target" / "debug" / "etsi014-driver"
