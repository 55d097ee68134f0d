"""Calls the key-value service: python client.py PORT."""

from __future__ import annotations

import sys

from kv import KeyValueV1Client

with KeyValueV1Client.connect_tcp("127.0.0.1", int(sys.argv[1]), timeout=5) as client:
    print("revision", client.kv_put("coffee", b"beans", timeout=5))
    found = client.kv_get("coffee", timeout=5)
    if found.value is not None:
        print(found.value.data.decode(), "is revision", found.value.revision)
    print(client.kv_list("", timeout=5))
