"""The rings of ipckit: whichever a segment holds, its header tells."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit._segment import no_segment, open_segment
from ipckit.cli.transfer.endpoints import Endpoint, How
from ipckit.errors import LayoutError, NotFoundError

if TYPE_CHECKING:
    from ipckit.ring import BroadcastRing, Latest, MpmcRing, SpscRing

_HOMES = {"spsc": "SpscRing", "mpmc": "MpmcRing", "broadcast": "BroadcastRing", "latest": "Latest"}
_WORDS = {
    lib.IPK_KIND_SPSC: "spsc",
    lib.IPK_KIND_MPMC: "mpmc",
    lib.IPK_KIND_BROADCAST: "broadcast",
    lib.IPK_KIND_LATEST: "latest",
}


class Ring(Endpoint):
    """A ring of any kind."""

    handle: SpscRing | MpmcRing | BroadcastRing

    def send(self, message: bytes, timeout: float | None) -> None:
        """Append the message."""
        self.handle.send(message, timeout)

    def receive(self, timeout: float | None) -> bytes:
        """Take the oldest message."""
        return self.handle.receive(timeout)

    def unlink(self) -> None:
        """Remove its name."""
        self.handle.unlink()


class Newest(Ring):
    """A `Latest`: a value instead of messages."""

    handle: Latest  # type: ignore[assignment]  # its `send` waits for nobody

    def send(self, message: bytes, timeout: float | None) -> None:  # noqa: ARG002
        """Replace the value."""
        self.handle.send(message)


def sender(_kind: str, name: str, how: How) -> Endpoint:
    """A ring, opened to send."""
    return _opened(name, how)


def receiver(_kind: str, name: str, how: How) -> Endpoint:
    """A ring, opened to receive."""
    end = _opened(name, how)
    if how.history:
        subscribe = getattr(end.handle, "subscribe", None)
        if subscribe is None:
            end.close()
            raise ValueError("--history is for broadcast rings: the others keep no message that was received")
        subscribe(how.history, how.timeout)
    return end


def _opened(name: str, how: How) -> Endpoint:
    try:
        word = _word(name)
    except NotFoundError:
        if not how.create:
            raise
        word = how.ring
    home = _class(word)
    handle = home.open_or_create(name, **_sizes(word, how)) if how.create else home.open(name)
    return Newest(handle) if word == "latest" else Ring(handle)


def _word(name: str) -> str:
    """Which kind of ring the segment of that name holds."""
    fd = open_segment(name)
    try:
        info = ffi.new("struct ipk_segment_info *")
        if quick.ipk_segment_inspect(fd, info) < 0:
            raise no_segment(name, info)
    finally:
        os.close(fd)
    if info.kind not in _WORDS:
        raise LayoutError(f"{name!r} is no ring, but a segment of kind {info.kind}; is it sync:{name}?")
    return _WORDS[info.kind]


def _class(word: str) -> Any:
    return getattr(import_module(f"ipckit.ring.{word}"), _HOMES[word])


def _sizes(word: str, how: How) -> dict[str, Any]:
    if word == "latest":
        return {"mode": how.mode, "max_size": how.max_size or 4096}
    if word == "mpmc":
        return {"mode": how.mode, "capacity": how.capacity, "max_messages": how.max_messages}
    return {"mode": how.mode, "capacity": how.capacity}
