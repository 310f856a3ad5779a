#!/usr/bin/env python3
"""Checks the source: nothing that is installed can switch the verification of certificates off (threat T04).

verification_check.py ROOT | --self-test. The TLS settings are made in one file; elsewhere nobody makes a context of his own.
Tests, and the load generator of bench/, may be as careless as the attackers and clients that they play.
"""

import pathlib
import re
import sys

THE_ONE_FILE = "certs/tls_context.cc"
# The conformance tool plays clients without a certificate and with old versions of TLS. It verifies the KME in every disguise.
THE_ACTOR = "cli/conformance/session.cc"

FORBIDDEN = [  # (what, pattern, files where it is right)
    ("no verification",
     re.compile(r"SSL_VERIFY_NONE|\bverify_none\b|CERT_NONE|check_hostname\s*=\s*False|verify\s*=\s*False|_create_unverified"), ()),
    ("a TLS context of its own", re.compile(r"\bSSL_CTX_new(?:_ex)?\b|\bssl::context\b"), (THE_ONE_FILE, THE_ACTOR)),
    ("a verification setting",
     re.compile(r"\bSSL(?:_CTX)?_set_(?:verify(?!_depth)|cert_verify_callback)\w*|\bset_verify_(?:mode|callback)\b"), (THE_ONE_FILE, THE_ACTOR)),
    ("a verdict overruled", re.compile(r"\bSSL_set_verify_result\b|X509_STORE_CTX_set_error\([^;]*X509_V_OK"), ()),
    ("an insecure client",
     re.compile(r"\bcurl\b[^\n|;]*\s(?:-[a-zA-Z]*k[a-zA-Z]*|--insecure)\b|--no-check-certificate|\bverify(?:_peer)?\s*[:=]\s*(?:off|no)\b"), ()),
]
# Where a context is made, it is made to ask for the other side's certificate, and a server's to insist on one.
REQUIRED = {
    THE_ONE_FILE: [
        r"SSL_CTX_set_verify\(context->get\(\), SSL_VERIFY_PEER \| SSL_VERIFY_FAIL_IF_NO_PEER_CERT, verify_client\)",
        r"SSL_CTX_set_verify\(context->get\(\), SSL_VERIFY_PEER, verify_server\)",
        r"int verify_at_judged_time\([^)]*\) \{\n  X509_STORE_CTX_set_time\(context, 0, judged_time\(\)\);\n  return X509_verify_cert\(context\);\n\}",
    ],
    THE_ACTOR: [r"SSL_CTX_set_verify\(context->get\(\), SSL_VERIFY_PEER, nullptr\)"],
}

SUFFIXES = {".cc", ".h", ".py", ".sh", ".toml", ".yml", ".yaml", ".service", ""}
SKIPPED_FOLDERS = {".git", "build", "tests", "bench", "fuzz", "docs", "node_modules"}


def is_test(path):
    return path.stem.endswith("_test") or path.name.startswith("test_") or "testing" in path.parts


def breaches_in(path, text):
    name = path.as_posix()
    for what, pattern, allowed in FORBIDDEN:
        if name in allowed:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if pattern.search(line):
                yield f"{name}:{number}: {what}: {line.strip()}"
    for pattern in REQUIRED.get(name, ()):
        if not re.search(pattern, text):
            yield f"{name}: expected: {pattern}"


def sources(root):
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root)
        if inside.parts[0] in SKIPPED_FOLDERS or is_test(inside) or path.suffix not in SUFFIXES or not path.is_file():
            continue
        yield inside, path.read_text(errors="replace")


SELF_TEST = [  # (path, text, is a breach)
    ("server/a.cc", "SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr);", True),
    ("server/a.cc", "SSL_set_verify(ssl, mode, nullptr);", True),
    ("server/a.cc", "context.set_verify_mode(asio::ssl::verify_none);", True),
    ("server/a.cc", "asio::ssl::context context(asio::ssl::context::tls);", True),
    ("cli/a.cc", "const SslContextPtr context(SSL_CTX_new(TLS_client_method()));", True),
    ("server/a.cc", "SSL_set_verify_result(ssl, X509_V_OK);", True),
    ("server/a.cc", "SSL_CTX_set_cert_verify_callback(context, yes, nullptr);", True),
    ("lab/a.py", "context.verify_mode = ssl.CERT_NONE", True),
    ("lab/a.py", "requests.get(url, verify=False)", True),
    ("lab/demo.sh", 'curl -sk "$url"', True),
    ("lab/demo.sh", 'curl --insecure "$url"', True),
    ("lab/demo.sh", 'curl --cacert ca.crt --key a.key "$url"', False),
    ("server/a.cc", "const auto tls = certs::make_server_context(files, minimum);", False),
    ("server/a.cc", "SSL_CTX_set_verify_depth(raw, 4);", False),
    (THE_ACTOR, "SSL_CTX_set_verify(context->get(), SSL_VERIFY_PEER, nullptr);", False),
    (THE_ACTOR, "SSL_CTX_set_verify(context->get(), SSL_VERIFY_NONE, nullptr);", True),
    (THE_ACTOR, "SSL_CTX_new(method)", True),
    (THE_ONE_FILE, "SSL_CTX_new(method)", True),  # what is required is missing
]


def self_test():
    wrong = [case for case in SELF_TEST if bool(list(breaches_in(pathlib.PurePosixPath(case[0]), case[1]))) != case[2]]
    for case in wrong:
        print("self-test: judged wrongly:", case)
    return not wrong


def main():
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(0 if self_test() else 1)
    root = pathlib.Path(sys.argv[1])
    files = list(sources(root))
    breaches = [breach for path, text in files for breach in breaches_in(path, text)]
    if THE_ONE_FILE not in {path.as_posix() for path, _ in files}:
        breaches.append(f"{THE_ONE_FILE}: not found")
    print("\n".join(breaches) or f"verification cannot be switched off in {len(files)} files")
    sys.exit(1 if breaches else 0)


if __name__ == "__main__":
    main()
