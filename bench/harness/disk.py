"""What the disk under the stores can do: single-row commits of SQLite as qkmsd opens it, and bare fdatasync."""

import os
import sqlite3
import time


def _per_second(step, seconds):
    for warm in range(20):
        step(warm)
    count, began = 0, time.monotonic()
    while (elapsed := time.monotonic() - began) < seconds:
        step(count)
        count += 1
    return round(count / elapsed, 1)


def sqlite_commits_per_second(folder, seconds):
    """WAL, synchronous=FULL, sequential rows of 100 bytes, one transaction each."""
    path = folder / "commits.db"
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, bytes BLOB)")
        row = os.urandom(100)
        return _per_second(lambda _: connection.execute("INSERT INTO rows (bytes) VALUES (?)", (row,)), seconds)
    finally:
        connection.close()
        for left in folder.glob("commits.db*"):
            left.unlink()


def fdatasyncs_per_second(folder, seconds):
    """Appends of 4 KiB, each followed by fdatasync, as a write-ahead log does."""
    path = folder / "fdatasync"
    file = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        page = os.urandom(4096)

        def append(_):
            os.write(file, page)
            os.fdatasync(file)

        return _per_second(append, seconds)
    finally:
        os.close(file)
        path.unlink()


def measure(folder, seconds):
    return {
        "sqlite_commits_per_second": sqlite_commits_per_second(folder, seconds),
        "fdatasyncs_per_second": fdatasyncs_per_second(folder, seconds),
    }
