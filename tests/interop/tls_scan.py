#!/usr/bin/env python3
"""What sslscan, testssl.sh and openssl find at the three listeners, compared with the tables here (T09, T11 of the threats).

sslscan and openssl bring a client certificate. testssl.sh 3.0 has none to give: what it cannot test without one is in ACCEPTED with the
reason, and the openssl checks do it instead. A finding that is neither good nor named here fails. The names are those of testssl.sh 3.0.
"""

import concurrent.futures
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

import scratch

import sites  # noqa: E402  (scratch puts lab/ in the path)

LIMIT_S = 240

TLS13_SUITES = {"TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"}
TLS12_SUITES = {"ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"}  # its certificate is ECDSA
SUITES = {"sae": {"TLSv1.3": TLS13_SUITES, "TLSv1.2": TLS12_SUITES}, "peer": {"TLSv1.3": TLS13_SUITES}, "operator": {"TLSv1.3": TLS13_SUITES}}
GROUPS = {"x25519", "secp256r1 (NIST P-256)", "secp384r1 (NIST P-384)"}  # the hybrid group is unknown to sslscan

# testssl.sh: finding -> regular expression, for all listeners; then what differs.
WANTED = {
    "SSLv2": "not offered", "SSLv3": "not offered", "TLS1": "not offered", "TLS1_1": "not offered", "TLS1_3": "offered.*",
    "ALPN": "http/1.1", "NPN": "not offered",
    "cipherlist_NULL": "not offered", "cipherlist_aNULL": "not offered", "cipherlist_EXPORT": "not offered", "cipherlist_LOW": "not offered",
    "cipherlist_3DES_IDEA": "not offered", "cipherlist_AVERAGE": "not offered", "cipherlist_STRONG": "offered",
    "PFS": "offered", "PFS_ECDHE_curves": r"((prime256v1|secp384r1|X25519|X25519MLKEM768) ?)+",
    "cipher_order": "server.*", "TLS_session_ticket": "no .*", "SSL_sessionID_support": "no", "sessionresumption_ticket": "not supported",
    "sessionresumption_ID": ".*no resumption", "heartbleed": "not vulnerable.*", "CCS": "not vulnerable.*", "ticketbleed": "no session ticket.*",
    "ROBOT": "not vulnerable.*", "CRIME_TLS": "not vulnerable.*|TLS 1.3 only server", "POODLE_SSL": "not vulnerable.*", "FREAK": "not vulnerable.*",
    "DROWN": "not vulnerable.*", "LOGJAM": "not vulnerable.*", "BEAST": "not vulnerable.*", "LUCKY13": "not vulnerable.*", "RC4": "not vulnerable.*",
    "cert_signatureAlgorithm": "ECDSA with SHA256", "cert_keySize": "EC 256 bits", "cert_extKeyUsage": "TLS Web Server Authentication",
    "cert_trust": "Ok via SAN",
}
WANTED_OF = {
    "sae": {"TLS1_2": "offered", "secure_renego": "supported", "SWEET32": "not vulnerable", "fallback_SCSV": "no protocol below TLS 1.2 offered"},
    "peer": {"TLS1_2": "not offered", "secure_renego": "TLS 1.3 only server", "fallback_SCSV": "only TLS 1.3 supported",
             "cert_extKeyUsage": "TLS Web Server Authentication, TLS Web Client Authentication"},  # it connects with the same certificate
    "operator": {"TLS1_2": "not offered", "secure_renego": "TLS 1.3 only server", "fallback_SCSV": "only TLS 1.3 supported"},
}

# testssl.sh finds these worse than OK. Accepted, with the reason.
DEVELOPMENT = "a fact of the development certificates, which last 30 days, not of the daemon"
ACCEPTED = {
    "engine_problem": "about the openssl that testssl.sh uses",
    "optimal_proto": "in TLS 1.3 a client without a certificate is refused after its handshake; it is a race whether testssl.sh sees it connected",
    "cert_chain_of_trust": "testssl.sh does not have the site's own CA in its stores",
    "cert_expirationStatus": DEVELOPMENT,
    "cert_notAfter": DEVELOPMENT,
    "cert_revocation": "certificates name no URL for revocation: nothing is ever fetched because a certificate says so; lists are files",
    "secure_client_renego": "not testable without a client certificate; openssl_findings tests it",
    "BREACH": "not testable without a client certificate; no answer is ever compressed, the API has no Content-Encoding",
}


class Listener:
    def __init__(self, lab, name):
        self.name = name
        self.port = lab.kmes["KME-A"].ports[name]
        self.ca = lab.pki / f"{name}-ca.crt"
        stem = {"sae": lab.pki / "sae" / "SAE-A1", "peer": lab.pki / "kme" / "KME-B" / "peer", "operator": lab.pki / "operator" / "admin"}[name]
        self.cert, self.key = f"{stem}.crt", f"{stem}.key"


def differences(what, found, wanted):
    return [] if found == wanted else [f"{what}: found {found}, wanted {wanted}"]


def sslscan_findings(listener, folder):
    """(number of facts compared, what is wrong)"""
    report = folder / f"sslscan-{listener.name}.xml"
    command = [scratch.program("sslscan", "sslscan"), "--no-colour", f"--xml={report}", f"--certs={listener.cert}", f"--pk={listener.key}",
               f"127.0.0.1:{listener.port}"]
    subprocess.run(command, stdout=subprocess.DEVNULL, timeout=LIMIT_S, check=True)
    test = xml.etree.ElementTree.parse(report).getroot().find("ssltest")
    wanted = SUITES[listener.name]
    versions = {f"{one.get('type').upper()}v{one.get('version')}" for one in test.iter("protocol") if one.get("enabled") == "1"}
    suites = {version: {one.get("cipher") for one in test.iter("cipher") if one.get("sslversion") == version} for version in versions}
    groups = {one.get("name") for one in test.iter("group")}
    problems = differences("versions", versions, set(wanted)) + differences("cipher suites", suites, wanted)
    problems += differences("groups", groups, GROUPS)
    problems += differences("renegotiation", [one.get("supported") for one in test.iter("renegotiation")], ["0"])
    problems += differences("compression", [one.get("supported") for one in test.iter("compression") if one.get("supported") != "0"], [])
    problems += differences("heartbleed", {one.get("vulnerable") for one in test.iter("heartbleed")}, {"0"})
    problems += differences("weak ciphers", [one.get("cipher") for one in test.iter("cipher") if one.get("strength") in ("weak", "null", "anonymous")], [])
    return 7, problems


def testssl_findings(listener, folder):
    report = folder / f"testssl-{listener.name}.json"
    command = [scratch.program("testssl", "testssl.sh"), "--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--assume-http",
               "--jsonfile", str(report), "-p", "-s", "-f", "-S", "-P", "-U", f"127.0.0.1:{listener.port}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False, stdin=subprocess.DEVNULL)
    if not report.exists():
        return 0, [f"testssl ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}"]
    found = json.loads(report.read_text())
    wanted = {**WANTED, **WANTED_OF[listener.name]}
    problems = [f"{name} is missing" for name in wanted if name not in {one["id"] for one in found}]
    for one in found:
        name, finding, severity = one["id"], one["finding"].strip(), one["severity"]
        if name in wanted and not re.fullmatch(wanted[name], finding):
            problems.append(f"{name}: found {finding!r}, wanted {wanted[name]!r}")
        elif name not in ACCEPTED and severity not in ("OK", "INFO", "DEBUG"):
            problems.append(f"{name} ({severity}): {finding}")
    return len(wanted), problems


def s_client(listener, *words, typed=""):
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{listener.port}", "-cert", listener.cert, "-key", listener.key,
               "-CAfile", str(listener.ca), "-verify_return_error", *words]
    shell = f"(sleep 0.7; printf '%s' '{typed}'; sleep 0.7) | exec \"$@\" 2>&1"
    return subprocess.run(["sh", "-c", shell, "sh", *command], capture_output=True, text=True, timeout=60, check=False).stdout


def openssl_findings(listener, folder):
    """What needs a client certificate: resumption, tickets, early data, compression, renegotiation."""
    problems = []
    again = s_client(listener, "-reconnect")
    problems += differences("sessions resumed, of 6", (again.count("Reused, TLS"), again.count("New, TLS")), (0, 6))
    messages = s_client(listener, "-msg")
    problems += differences("NewSessionTicket", messages.count("NewSessionTicket"), 0)
    problems += differences("the handshake was whole", "Verify return code: 0 (ok)" in messages, True)
    problems += differences("compression", "Compression: NONE" in messages, True)
    for group in ("P-521", "ffdhe2048", "X448"):
        problems += differences(f"{group} offered alone", "New, TLS" in s_client(listener, "-tls1_3", "-groups", group), False)
    if listener.name == "sae":
        answer = s_client(listener, "-tls1_2", typed="R\n")
        problems += differences("renegotiation in TLS 1.2", ("RENEGOTIATING" in answer, "no renegotiation" in answer), (True, True))
    else:
        problems += differences("a handshake of TLS 1.2", "New, TLS" in s_client(listener, "-tls1_2"), False)
    return 8, problems


def main():
    try:
        for name, package in (("sslscan", "sslscan"), ("testssl", "testssl.sh"), ("openssl", "openssl")):
            scratch.program(name, package)
    except scratch.Unavailable as problem:
        print(f"FAIL  {problem}")
        return 1
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        lab = sites.Lab(folder / "lab", scratch.BUILD, more="[limits]\nfailed_handshakes_per_s = 0\n")
        try:
            lab.start()
            work = [(listener, tool) for tool in (testssl_findings, sslscan_findings, openssl_findings)
                    for listener in (Listener(lab, name) for name in sites.LISTENERS)]
            with concurrent.futures.ThreadPoolExecutor(3) as pool:
                for (listener, tool), (facts, problems) in zip(work, pool.map(lambda one: one[1](one[0], folder), work)):
                    failed += bool(problems)
                    print(f"{'FAIL' if problems else 'ok':5} {listener.name:9} {tool.__name__}: {facts} facts", flush=True)
                    for problem in problems:
                        print(f"      {problem}")
        finally:
            lab.close()
    print("\naccepted, of testssl.sh:")
    for finding, reason in ACCEPTED.items():
        print(f"  {finding:22} {reason}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
