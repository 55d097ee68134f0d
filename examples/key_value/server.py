"""A key-value service: python server.py [PORT]."""

from __future__ import annotations

import sys

from kv import KeyValueV1, KvEntry, KvFound

from ipckit import rpc


class Store(KeyValueV1):
    """A dictionary."""

    def __init__(self) -> None:
        self._entries: dict[str, KvEntry] = {}

    def kv_put(self, name: str, data: bytes) -> int:
        old = self._entries.get(name)
        self._entries[name] = KvEntry(data, old.revision + 1 if old else 1)
        return self._entries[name].revision

    def kv_get(self, name: str) -> KvFound:
        entry = self._entries.get(name)
        return KvFound(entry is not None, entry)

    def kv_remove(self, name: str) -> bool:
        return self._entries.pop(name, None) is not None

    def kv_list(self, prefix: str) -> list[str]:
        return sorted(name for name in self._entries if name.startswith(prefix))


if __name__ == "__main__":
    server = rpc.Server(Store(), mode="asyncio")  # one thread: the dictionary needs no lock
    address = server.listen_tcp("127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 0)
    print(f"listening on port {address[1]}", flush=True)
    with server.stop_on_signals():
        server.serve_forever()
