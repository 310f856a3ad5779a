"""Reads tests/corpus/front_door/*.toml: the cases of the front door as data. The notation is explained in the README.md beside them.

A text stands for bytes: each character is the byte of its number, so "\\u0000" is NUL and "\\u00FF" is 0xff; a character above
U+00FF is a mistake. Placeholders such as {own} are filled when a case runs.
"""

import dataclasses
import pathlib
import re
import tomllib

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "corpus" / "front_door"
FILES = ("clients", "framing", "json", "targets", "key_requests", "key_ids", "media")

PLACEHOLDERS = ("slave", "own", "status", "enc_keys", "dec_keys", "host", "smuggled", "fresh_key_id", "fresh_key_id_2", "fetched_key_id",
                "foreign_key_id", "unknown_key_id", "FRESH_KEY_ID")
PLACEHOLDER = re.compile(r"\{(" + "|".join(PLACEHOLDERS) + r")\}")


class CorpusError(Exception):
    pass


@dataclasses.dataclass
class Case:
    """One entry of a file. What may be left out has its meaning here; the README.md says what each is for."""
    name: str
    file: str = ""
    threat: str = ""
    # What is sent, and by whom.
    site: str = "default"
    caller: str = "SAE-A1"
    listener: str = "sae"
    raw: object = None
    method: str = ""
    target: str = ""
    headers: list = dataclasses.field(default_factory=list)
    body: object = None
    split: int = 0
    # What is expected.
    status: object = None
    either: list = None
    then: str = "in step"
    header: dict = dataclasses.field(default_factory=dict)
    message: str = None
    message_has: list = dataclasses.field(default_factory=list)
    message_lacks: list = dataclasses.field(default_factory=list)
    detail: str = None
    keys: int = None
    key_bits: int = None
    key_ids: list = None
    members: dict = dataclasses.field(default_factory=dict)
    fresh_keys: str = ""
    log_has: list = dataclasses.field(default_factory=list)
    log_has_not: list = dataclasses.field(default_factory=list)
    bomb: bool = False

    def statuses(self):
        """The statuses of the answers in their order, each a tuple of what is allowed."""
        if self.either is not None:
            return [tuple(self.either)]
        return [(one,) for one in (self.status if isinstance(self.status, list) else [self.status])]

    def check(self):
        """Refuses an entry that expects nothing or contradicts itself."""
        def require(good, what):
            if not good:
                raise CorpusError(f"{self.file}: {self.name}: {what}")

        require((self.status is None) != (self.either is None), "needs either `status` or `either`")
        require(self.then in ("in step", "closed", "any", "refused"), f"`then` is {self.then!r}")
        require((self.raw is None) != (not self.target), "needs either `raw` or `target`")
        require(self.fresh_keys in ("", "kept", "gone"), f"`fresh_keys` is {self.fresh_keys!r}")
        require(self.site in ("default", "large bodies"), f"`site` is {self.site!r}")
        require(self.raw is None or not (self.method or self.headers or self.body), "`raw` has all of the request")
        return self


def fill(text, values):
    """Puts values in the place of placeholders."""
    return PLACEHOLDER.sub(lambda found: values[found.group(1)], text)


def to_bytes(field, values):
    """A text, or a list of texts and {repeat = text, count = n}, as the bytes that it stands for. {i} in a repeated text is its
    index, with zeros to one width."""
    parts = field if isinstance(field, list) else [field]
    out = []
    for part in parts:
        if isinstance(part, str):
            out.append(fill(part, values))
        elif "{i}" in part["repeat"]:
            width = len(str(part["count"] - 1))
            out += [part["repeat"].replace("{i}", f"{i:0{width}}") for i in range(part["count"])]
        else:
            out.append(fill(part["repeat"], values) * part["count"])
    try:
        return "".join(out).encode("latin-1")
    except UnicodeEncodeError as error:
        raise CorpusError(f"a character above U+00FF stands for no byte: {error.object[error.start]!r}") from error


def request_bytes(case, values):
    """What goes over the wire. An ordinary request gets Host, and Content-Length when it has a body, unless the case brings its own."""
    if case.raw is not None:
        return to_bytes(case.raw, values)
    lines = [fill(line, values) for line in case.headers]
    names = {line.split(":", 1)[0].lower() for line in lines}
    body = b"" if case.body is None else to_bytes(case.body, values)
    if "host" not in names:
        lines.insert(0, fill("Host: {host}", values))
    if case.body is not None and not names & {"content-length", "transfer-encoding"}:
        lines.append(f"Content-Length: {len(body)}")
    method = case.method or ("GET" if case.body is None else "POST")
    head = "\r\n".join([f"{method} {fill(case.target, values)} HTTP/1.1", *lines, "", ""])
    return to_bytes(head, {}) + body


def load_file(path):
    with path.open("rb") as file:
        content = tomllib.load(file)
    defaults = content.pop("defaults", {})
    cases = []
    for entry in content.pop("case"):
        merged = {**defaults, **entry}
        if "either" in entry:
            merged.pop("status", None)
        if "raw" in entry:
            for name in ("method", "target", "headers", "body"):
                merged.pop(name, None)
        try:
            cases.append(Case(file=path.stem, **merged).check())
        except TypeError as error:
            raise CorpusError(f"{path.name}: {entry.get('name')}: {error}") from error
    if content:
        raise CorpusError(f"{path.name}: unknown: {', '.join(content)}")
    return cases


def load(folder=FOLDER):
    """All cases, in the order of FILES. Names are unique."""
    cases = [case for name in FILES for case in load_file(folder / f"{name}.toml")]
    unread = {path.stem for path in folder.glob("*.toml")} - set(FILES)
    names = [case.name for case in cases]
    twice = {name for name in names if names.count(name) > 1}
    if twice or unread:
        raise CorpusError(f"names that occur twice: {sorted(twice)}; files that nobody reads: {sorted(unread)}")
    return cases
