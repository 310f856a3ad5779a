#!/usr/bin/env python3
"""The house rules that a compiler does not check: which folder may include which, how coroutines may be written, and that the page of
threats names tests that are there.

check.py ROOT checks the tree; check.py --self-test shows that each rule can fail. Prints each breach and exits 1 if there is one.
"""

import pathlib
import re
import sys
import tempfile

# Folder -> folders of ours that it may include (docs/architecture.md, "The house").
MAY_INCLUDE = {
    "base": {"base"},
    "api": {"api", "base"},
    "kms": {"kms", "api", "base"},
    "storage": {"storage", "kms", "api", "base"},
    "certs": {"certs", "base"},
    "drivers": {"drivers", "certs", "api", "base"},
    "server": {"server", "drivers", "storage", "certs", "kms", "api", "base"},
    "cli": {"cli", "api", "certs", "storage", "server/config.h", "base"},
    "sim": {"sim", "storage", "kms", "api", "base"},
    "bench": {"bench", "base"},
    "fuzz": {"fuzz", "server/config.h", "server/http", "drivers", "api", "base"},
    "tests": {"tests", "server", "storage", "certs", "drivers", "kms", "api", "base"},
}
# Folders that set up tests, or measure a part of the house, may reach one step further.
TEST_SUPPORT = {"kms/testing": {"storage"}, "bench/store": {"storage", "kms", "api"}}

# What the engine must not know: sockets, files, threads, clocks, databases.
FORBIDDEN_IN = {
    "kms": r"<(thread|mutex|condition_variable|chrono|fstream|iostream|sys/\w+\.h|boost/.*|sqlite3\.h|openssl/ssl\.h|spdlog/.*)>",
    "api": r"<(thread|mutex|chrono|fstream|iostream|sys/\w+\.h|boost/asio.*|boost/beast.*|sqlite3\.h|openssl/.*)>",
    "base": r"<(thread|mutex|chrono|fstream|iostream|boost/.*|sqlite3\.h|openssl/.*)>",
}
# The one part of base/ that threads share: the heap of secrets.
EXCEPTED = {("base/secret_heap.h", "<mutex>")}
# The checker of histories must not share a thought with the engine.
FORBIDDEN_FILES = {"sim/checker.h": r'"kms/', "sim/checker.cc": r'"kms/'}

INCLUDE = re.compile(r'^\s*#include\s+([<"][^>"]+[>"])')

# g++ 12 miscompiles other forms (house style): the awaited call is a whole statement or the whole right-hand side of one.
AWAIT_STATEMENT = re.compile(
    r"^(?:\}?\s*else\s+)?(?:(?:if|while|for)\s*\([^;]*\)\s*)?"  # a controlled statement may be one
    r"(?:(?:const\s+)?[\w:<>,&*\s]+\s+\w+\s*=\s*|(?:const\s+)?auto\s*&?\s*\[[\w\s,]+\]\s*=\s*|[\w.\->\[\]]+\s*=\s*|)"
    r"co_await\s+[^?{}]*;$")
AWAIT_IN_CONDITION = re.compile(r"\b(?:if|while|switch|for)\s*\([^()]*(?:\([^()]*\)[^()]*)*co_await")
AWAIT_TEMPORARY = re.compile(r"co_await[^;]*\{|co_await[^;]*\[[&=\w\s,]*\]\s*[({]|\)\s*\.\s*\w+\s*;\s*//\s*after-await|\(co_await")


def folder_of(path):
    return path.parts[0]


def allowed(path, include):
    name = include.strip('"')
    targets = set(MAY_INCLUDE[folder_of(path)])
    for folder, extra in TEST_SUPPORT.items():
        if str(path).startswith(folder):
            targets |= extra
    if path.stem.endswith("_test"):
        targets |= {"kms/testing", "certs", "storage"} if folder_of(path) in ("kms", "server", "cli", "drivers", "storage") else set()
    return any(name == target or name.startswith(target + "/") for target in targets)


def check_includes(path, text):
    for number, line in enumerate(text.splitlines(), 1):
        found = INCLUDE.match(line)
        if not found:
            continue
        include = found.group(1)
        if include.startswith('"') and not allowed(path, include):
            yield f"{path}:{number}: {folder_of(path)}/ may not include {include}"
        pattern = FORBIDDEN_IN.get(folder_of(path))
        is_test = path.stem.endswith("_test") or "testing" in path.parts
        if pattern and not is_test and re.search(pattern, include) and (str(path), include) not in EXCEPTED:
            yield f"{path}:{number}: {folder_of(path)}/ does no I/O and knows no threads or clocks: {include}"
        pattern = FORBIDDEN_FILES.get(str(path))
        if pattern and re.search(pattern, include):
            yield f"{path}:{number}: the checker knows nothing of the engine: {include}"


def statements(text):
    """Yields (line number, statement on one line) of code without comments and string contents."""
    text = re.sub(r"//[^\n]*", "", text)
    text = re.sub(r'"(?:\\.|[^"\\\n])*"', '""', text)
    line = 1
    start = None
    current = ""
    for character in text:
        if start is None and not character.isspace():
            start = line
        current += character
        if character == "\n":
            line += 1
        if character in ";{}":
            yield start or line, " ".join(current.split())
            current, start = "", None


def check_coroutines(path, text):
    for number, statement in statements(text):
        if "co_await" not in statement:
            continue
        if statement.count("co_await") > 1:
            yield f"{path}:{number}: one co_await per statement: {statement}"
        elif AWAIT_IN_CONDITION.search(statement):
            yield f"{path}:{number}: co_await in a condition: {statement}"
        elif AWAIT_TEMPORARY.search(statement) or not AWAIT_STATEMENT.match(statement):
            yield f"{path}:{number}: co_await is a whole statement or a whole right-hand side, with named arguments: {statement}"


def check_file(path, text):
    yield from check_includes(path, text)
    if folder_of(path) not in ("server", "cli", "drivers", "bench", "tests") and re.search(r"\bco_(await|return|yield)\b", text):
        yield f"{path}: coroutines live in the I/O folders only"
    yield from check_coroutines(path, text)


THREAT = re.compile(r"^\| (T\d\d) \|")


def check_threats(root):
    """Each row of docs/threats.md names files that are there, and one of them speaks of the number."""
    page = root / "docs" / "threats.md"
    for number, line in enumerate(page.read_text().splitlines(), 1):
        threat = THREAT.match(line)
        if not threat:
            continue
        shown_by = re.findall(r"`([\w./-]+)`", line.rsplit("|", 2)[1])
        missing = [name for name in shown_by if not (root / name).is_file()]
        for name in missing:
            yield f"docs/threats.md:{number}: there is no {name}"
        for name in shown_by:
            if name not in missing and threat.group(1) not in (root / name).read_text():
                yield f"docs/threats.md:{number}: {name} does not speak of {threat.group(1)}"
        if not shown_by:
            yield f"docs/threats.md:{number}: nothing shows {threat.group(1)}"


def check_tree(root):
    for folder in MAY_INCLUDE:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".cc", ".h"):
                yield from check_file(path.relative_to(root), path.read_text())


SELF_TEST = [  # (path, text, is a breach)
    ("kms/a.cc", '#include "api/peer/message.h"\n', False),
    ("kms/a.cc", '#include "storage/sqlite_store.h"\n', True),
    ("kms/a_test.cc", '#include "kms/testing/sites.h"\n', False),
    ("kms/a.cc", "#include <thread>\n", True),
    ("api/a.h", '#include "kms/types.h"\n', True),
    ("sim/checker.cc", '#include "kms/types.h"\n', True),
    ("base/a.h", "#include <mutex>\n", True),
    ("base/secret_heap.h", "#include <mutex>\n", False),
    ("kms/a.cc", "void f() { co_return; }\n", True),
    ("server/a.cc", "const auto [error, n] = co_await stream.async_read_some(buffer, token);", False),
    ("server/a.cc", "co_await wait(std::move(x));", False),
    ("server/a.cc", "Result<void> done = co_await session->go();", False),
    ("server/a.cc", "while (goes_on) goes_on = co_await serve_one();", False),
    ("server/a.cc", "if (co_await ready()) go();", True),
    ("server/a.cc", "go(co_await ready());", True),
    ("server/a.cc", "auto n = (co_await read()).size;", True),
    ("server/a.cc", "auto n = ok ? co_await read() : 0;", True),
    ("server/a.cc", "co_await write(Frame{1, 2});", True),
    ("server/a.cc", "co_await run([&] { go(); });", True),
    ("server/a.cc", "return co_await a() + co_await b();", True),
]


def self_test():
    wrong = [case for case in SELF_TEST if bool(list(check_file(pathlib.Path(case[0]), case[1]))) != case[2]]
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "docs").mkdir()
        (root / "a_test.py").write_text("T01")
        for row, breaches in (("| T01 | x | `a_test.py` |", 0), ("| T02 | x | `a_test.py` |", 1), ("| T01 | x | `b.py` |", 1), ("| T01 | x | - |", 1)):
            (root / "docs" / "threats.md").write_text(row + "\n")
            if len(list(check_threats(root))) != breaches:
                wrong.append(row)
    for case in wrong:
        print("self-test: judged wrongly:", case)
    return not wrong


def main():
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(0 if self_test() else 1)
    root = pathlib.Path(sys.argv[1])
    breaches = [*check_tree(root), *check_threats(root)]
    print("\n".join(breaches) or "the house is in order")
    sys.exit(1 if breaches else 0)


if __name__ == "__main__":
    main()
