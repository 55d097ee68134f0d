"""What a server has answered to datagrams, so that a call that comes twice is made once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from ipckit.rpc._server.port import now_ns

if TYPE_CHECKING:
    from ipckit.rpc._server.answer import Reply

MOST_REPLIES = 1024
MOST_BYTES = 4 << 20
KEPT_NS = 60_000_000_000
"""For so long after its reply a client may send a call again. Later the same number is taken for a new call."""

_HEAD = 24  # bytes: xid, CALL, 2, program, version, procedure


class InProgress:
    """Stands for the reply of a call that is being made."""


IN_PROGRESS = InProgress()


class DuplicateCache:
    """The latest replies, bounded in number, bytes and age, and the calls that are being made. Threads may share it.

    A call is known by its sender and its bytes: clients count their calls, and one that begins anew may come to a
    number that it used before, with other arguments.
    """

    __slots__ = ("_begun", "_bytes", "_entries", "_lock", "_most", "_most_bytes")

    def __init__(self, most: int = MOST_REPLIES, most_bytes: int = MOST_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self._lock = threading.Lock()
        self._begun: set[Any] = set()  # never forgotten before they are finished, whatever else is answered
        self._entries: OrderedDict[Any, tuple[Reply, int]] = OrderedDict()

    @staticmethod
    def key(message: bytes, address: Any) -> Any:
        """By what the call in *message* from *address* is known."""
        return address, message[:_HEAD], hash(message)

    def begin(self, key: Any) -> Reply | InProgress | None:
        """None if the call is new, and is now in progress; otherwise its reply, or `IN_PROGRESS`."""
        with self._lock:
            if key in self._begun:
                return IN_PROGRESS
            entry = self._entries.get(key)
            if entry is not None and now_ns() - entry[1] < KEPT_NS:
                return entry[0] or b""
            self._begun.add(key)
            return None

    def finish(self, key: Any, reply: Reply) -> None:
        """Keep *reply*; None: none was sent, and none is to be sent when the call comes again."""
        with self._lock:
            self._begun.discard(key)
            self._put(key, reply)

    def _put(self, key: Any, reply: Reply) -> None:
        entries = self._entries
        self._bytes -= _size(entries.pop(key, (None, 0))[0])
        entries[key] = reply, now_ns()
        self._bytes += _size(reply)
        while len(entries) > self._most or self._bytes > self._most_bytes:
            self._bytes -= _size(entries.popitem(last=False)[1][0])

    def __len__(self) -> int:
        return len(self._entries)


def _size(reply: Reply) -> int:
    return 0 if reply is None else len(reply)
