"""The measure: nginx serving static answers, byte for byte as long as those of Get key, over the same mutual TLS.

The surprise: the files lie at the paths of ETSI GS QKD 014, with the number of keys as the SAE's name, so that the generator sends
nginx the same request line and does the same work with the answer as it does for qkmsd.
"""

import base64
import json
import os
import shutil
import uuid

from .processes import BenchError, Server, free_ports

CONFIGURATION = """
{user}
worker_processes auto;
daemon off;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  default_type application/json;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  tcp_nodelay on;
  open_file_cache max=64 inactive=1h;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} ssl backlog=4096;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_client_certificate {ca};
    ssl_verify_client {verify};
    ssl_protocols TLSv1.3;
    ssl_ecdh_curve prime256v1;
    ssl_session_cache off;
    ssl_session_tickets off;
    root {folder}/www;
  }}
}}
"""


def key_container(keys, key_bits=256):
    entries = [
        {"key_ID": str(uuid.uuid4()), "key": base64.b64encode(os.urandom(key_bits // 8)).decode()} for _ in range(keys)
    ]
    return json.dumps({"keys": entries}, separators=(",", ":"))


def status_answer():
    answer = {
        "source_KME_ID": "KME-A",
        "target_KME_ID": "KME-B",
        "master_SAE_ID": "SAE-A",
        "slave_SAE_ID": "SAE-B",
        "key_size": 256,
        "stored_key_count": 1000000,
        "max_key_count": 2147483647,
        "max_key_per_request": 128,
        "max_key_size": 4096,
        "min_key_size": 64,
        "max_SAE_ID_count": 8,
    }
    return json.dumps(answer, separators=(",", ":"))


class Nginx:
    def __init__(self, folder, authority, key_counts, verify_client="on"):
        binary = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if binary is None:
            raise BenchError("nginx is not installed; on Debian: apt-get install nginx-light")
        self.binary = binary
        self.folder = folder / "nginx"
        for keys in key_counts:
            place = self.folder / "www/api/v1/keys" / str(keys)
            place.mkdir(parents=True)
            (place / "enc_keys").write_text(key_container(keys))
            (place / "status").write_text(status_answer())
        [self.port] = free_ports(1)
        certificate, key = authority.issue("nginx")
        configuration = self.folder / "nginx.conf"
        configuration.write_text(
            CONFIGURATION.format(
                user="user root;" if os.geteuid() == 0 else "",
                folder=self.folder,
                port=self.port,
                certificate=certificate,
                key=key,
                ca=authority.certificate,
                verify=verify_client,
            )
        )
        self.server = Server(
            "nginx", [binary, "-c", configuration, "-p", self.folder, "-e", "stderr"], self.folder / "log"
        )

    def wait(self):
        self.server.wait_for_port(self.port)

    @staticmethod
    def sae(keys):
        return str(keys)
