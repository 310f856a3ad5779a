"""The toy KME of toy_kme.py behind TLS and HTTP, which have faults of their own. Listens on loopback."""

import json
import ssl
import threading
import urllib.parse
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from toy_kme import Kme, Refused

JSON = "application/json"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 64 * 1024  # head and body in one piece: in two, the second would wait for the client's TCP
    kme = None

    def log_message(self, *_):
        pass

    # What BaseHTTPRequestHandler does by itself, this time as a rule that can be broken.
    def handle_expect_100(self):
        return self.kme.unless("expect") and super().handle_expect_100()

    def read_body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def caller(self):
        if not self.kme.unless("caller-by-header") and "X-SAE-ID" in self.headers:
            return self.headers["X-SAE-ID"]
        certificate = self.connection.getpeercert() or {}
        names = [value for part in certificate.get("subject", ()) for name, value in part if name == "commonName"]
        return names[0] if names else self.kme.saes[0]

    def check_http(self, body):
        kind, unless = self.headers.get("Content-Type"), self.kme.unless
        rules = [  # fault, when it shows, what it answers
            ("http-charset", kind and "charset" in kind, 415),
            ("http-other-type", kind and "form" in kind, 415),
            ("http-no-type", body == b"{}" and not kind, 415),
            ("http-chunks", "Transfer-Encoding" in self.headers, 411),
            ("http-accept", "html" in self.headers.get("Accept", ""), 406),
            ("http-get-type", self.command == "GET" and kind, 400),
            ("http-1.0", self.request_version == "HTTP/1.0", 505),
            ("http-absolute", self.path.startswith("https:"), 400),
        ]
        for fault, shows, status in rules:
            if shows and not unless(fault):
                raise Refused(status, "not this way")

    def answer(self, body):
        self.check_http(body)
        target = urllib.parse.urlsplit(self.path)
        parts = target.path.split("/")
        if parts[:4] != ["", "api", "v1", "keys"] or len(parts) != 6 or parts[5] not in ("status", "enc_keys", "dec_keys"):
            raise Refused(404 if self.kme.unless("unknown-path") else 400, "no such path")
        sae = urllib.parse.unquote(parts[4]) if self.kme.unless("path-raw") else parts[4]
        method = parts[5]
        if self.command == "DELETE" or (self.command == "POST" and method == "status" and self.kme.unless("status-post")):
            refused = Refused(405, "no such verb")
            refused.headers = {"Allow": "GET"} if self.kme.unless("no-allow") else {}
            raise refused
        return method, getattr(self, method)(self.caller(), sae, target.query, body)

    def status(self, caller, sae, _query, _body):
        return self.kme.status(caller, sae)

    def enc_keys(self, caller, sae, query, body):
        is_get = self.command == "GET"
        request = self.kme.key_request_of_query(query) if is_get else self.kme.key_request_of_body(body)
        return self.kme.get_key(caller, sae, {**request, "by_get": is_get})

    def dec_keys(self, caller, sae, query, body):
        is_get = self.command == "GET"
        ids = self.kme.ids_of_query(query) if is_get else self.kme.ids_of_body(body)
        return self.kme.get_by_ids(caller, sae, ids, "get" if is_get else "post")

    def handle_any(self):
        body, method, headers = self.read_body(), None, {}
        try:
            with self.kme.lock:
                method, content = self.answer(body)
            status = 404 if method == "status" and not self.kme.unless("status-404") else 200
        except Refused as refused:
            status, content, headers = refused.status, refused.body, refused.headers
            if content is not None and not self.kme.unless("details-text"):
                content["details"] = "text"
        self.send(status, content, method, headers)

    do_GET = do_POST = do_DELETE = handle_any

    def content_type(self, status, method):
        is_wrong = not self.kme.unless(f"content-type-{method}") if status == 200 else not self.kme.unless("content-type-error")
        return "text/html" if is_wrong else JSON

    def send(self, status, content, method, headers):
        payload = b"" if content is None else json.dumps(content).encode()
        if method == "status" and not self.kme.unless("status-latin-1"):
            payload = payload[:-1] + b', "note": "\xe4"}'
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if payload:
            self.send_header("Content-Type", self.content_type(status, method))
        if (status == 200 and not self.kme.unless("closes")) or (status == 400 and not self.kme.unless("closes-after-error")):
            self.send_header("Connection", "close")
        if self.kme.unless("chunked"):
            self.send_header("Content-Length", str(len(payload)))
        else:
            self.send_header("Transfer-Encoding", "chunked")
            payload = b"%x\r\n%b\r\n0\r\n\r\n" % (len(payload), payload) if payload else b"0\r\n\r\n"
        self.end_headers()
        self.wfile.write(payload)


def tls_context(pki, fault):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    listener = "operator" if fault == "other-ca" else "sae"
    context.load_cert_chain(pki / "kme" / "KME-A" / f"{listener}.crt", pki / "kme" / "KME-A" / f"{listener}.key")
    context.load_verify_locations(pki / "sae-ca.crt")
    context.verify_mode = {"no-certificate": ssl.CERT_OPTIONAL, "any-certificate": ssl.CERT_NONE}.get(fault, ssl.CERT_REQUIRED)
    if fault == "old-tls":
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1_1
    if fault == "no-tls-1.3":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


class WrongServer(ThreadingHTTPServer):
    """`with WrongServer(pki, saes, fault) as server` serves at server.port until the end of the block; `saes` begins with the master."""

    daemon_threads = True

    def __init__(self, pki, saes, fault=None, limits=None):
        handler = type("HandlerOfOne", (Handler,), {"kme": Kme(saes, fault, limits)})
        super().__init__(("127.0.0.1", 0), handler)
        self.context = tls_context(pki, fault)
        self.port = self.server_address[1]
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,))

    def finish_request(self, request, client_address):
        """In the connection's own thread, so that a slow handshake holds up nobody."""
        request.settimeout(20)
        try:
            with self.context.wrap_socket(request, server_side=True, do_handshake_on_connect=False) as secured:
                secured.do_handshake()
                super().finish_request(secured, client_address)
        except OSError:
            pass  # a client that was turned away, or has gone

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.thread.join()
        self.server_close()
