"""Finds keys in files: as they are, whole and in pieces, in hexadecimal, and in both kinds of base64 at each of the three places where a group can begin."""

import base64
import mmap
import pathlib

PAGE_BYTES = 4096
PIECE_BYTES = 16  # what a vector register holds at least


def forms(key):
    """{name: bytes} of everything that shows `key`, a piece of it, or all but the two digits at its ends that base64 shares with neighbours."""
    found = {"raw": key, "hex": key.hex().encode(), "HEX": key.hex().upper().encode()}
    for at in (0, len(key) - PIECE_BYTES):
        found[f"raw piece at {at}"] = key[at:at + PIECE_BYTES]
    for offset in range(3):
        text = base64.b64encode(bytes(offset) + key)
        first, last = (8 * offset + 5) // 6, 8 * (offset + len(key)) // 6
        found[f"base64 at {offset}"] = text[first:last]
        found[f"base64url at {offset}"] = text[first:last].translate(bytes.maketrans(b"+/", b"-_"))
    return found


def without_empty_pages(content):
    """Most of a core is stacks that nobody has used. No key is that many zeroes."""
    empty = bytes(PAGE_BYTES)
    pages = (content[at:at + PAGE_BYTES] for at in range(0, len(content), PAGE_BYTES))
    return b"".join(page for page in pages if page != empty)


class Search:
    """For all forms of all `keys`: {name: bytes}. Names and forms are reported, never keys."""

    def __init__(self, keys):
        self.patterns = {}
        for name, key in keys.items():
            for form, pattern in forms(key).items():
                self.patterns.setdefault(pattern, f"{name} ({form})")

    def in_bytes(self, content):
        return [name for pattern, name in self.patterns.items() if content.find(pattern) >= 0]

    def in_file(self, path):
        path = pathlib.Path(path)
        if path.stat().st_size == 0:
            return []
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return self.in_bytes(without_empty_pages(content))

    def in_folder(self, folder):
        """[(file, what)] of all files below."""
        return [(str(path), what) for path in sorted(pathlib.Path(folder).rglob("*")) if path.is_file() for what in self.in_file(path)]
