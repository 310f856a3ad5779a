"""Calls the package etsi-qkd-014-client as its users would; runs in the virtual environment, where it is.

Usage: etsi_qkd_014_driver.py HOST:PORT CERT KEY CA METHOD JSON-ARGUMENTS. Prints [status code, [[key ID, key in base64], ...] or message].
"""

import json
import sys

from etsi_qkd_014_client import QKD014Client

host, cert, key, ca, method, arguments = sys.argv[1:]
code, data = getattr(QKD014Client(host, cert, key, ca), method)(**json.loads(arguments))
keys = [[one.key_id, one.key] for one in getattr(data, "keys", [])]
print(json.dumps([code, keys or getattr(data, "message", None) or vars(data)]))
