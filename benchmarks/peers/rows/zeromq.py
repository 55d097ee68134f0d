"""pyzmq over ipc://, on abstract Unix sockets, so that no file is left behind.

Its best mode: sockets of one purpose (PUSH and PULL), the default high-water mark, no copy at the sender from 64 KiB on
(where pyzmq's own threshold is). What it receives is copied once, into the `bytes` that the caller gets.
"""

# mypy: disable-error-code="no-any-return, import-not-found"

from __future__ import annotations

import uuid
from functools import partial
from typing import TYPE_CHECKING, Any

import zmq

from benchmarks.peers.rows._arrays import fresh, last_of_bytes
from ipckit.bench.loads import Arrays, Fan, Objects
from ipckit.bench.row import Channel

if TYPE_CHECKING:
    from collections.abc import Callable

NO_COPY_FROM = 1 << 16  # bytes
FAN_MARK = 10_000  # messages: a burst must fit


class Sockets:
    """An address; each process makes its socket when it first needs it, for a context does not travel."""

    socket: zmq.Socket[bytes]

    def __init__(self) -> None:
        self.address = f"ipc://@ipckit-{uuid.uuid4().hex}"

    def pull(self) -> zmq.Socket[bytes]:
        """The receiving end."""
        return self._made(zmq.PULL, zmq.Socket.bind)

    def push(self) -> zmq.Socket[bytes]:
        """The sending end."""
        return self._made(zmq.PUSH, zmq.Socket.connect)

    def _made(self, kind: int, attach: Callable[..., object]) -> zmq.Socket[bytes]:
        if "socket" not in vars(self):
            self.socket = zmq.Context.instance().socket(kind)
            attach(self.socket, self.address)
        return self.socket


class Bytes(Sockets, Channel):
    """A thread in each process does the transfer."""

    name = "pyzmq"
    about = "zmq PUSH and PULL over ipc://, default high-water mark, no copy at the sender from 64 KiB on"
    family = "pyzmq"

    def __init__(self, _size: int, /) -> None:
        super().__init__()

    def sender(self, size: int, /) -> Callable[[Any], object]:
        send = self.push().send
        return partial(send, copy=False) if size >= NO_COPY_FROM else send

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        return self.pull().recv


class Dicts(Sockets, Objects):
    """Pickles by itself."""

    name = "pyzmq"
    about = "zmq PUSH and PULL over ipc://: send_pyobj and recv_pyobj"
    family = "pyzmq"

    def __init__(self, _size: int, /) -> None:
        super().__init__()

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        return self.push().send_pyobj

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        return self.pull().recv_pyobj


class Frames(Sockets, Arrays):
    """The sender's memory goes to the socket as it is; the receiver reads the frame that zmq received into."""

    name = "pyzmq"
    about = "zmq PUSH and PULL over ipc://: send of the array without copy, numpy.frombuffer of the frame"
    family = "pyzmq"

    def __init__(self, _size: int, /) -> None:
        super().__init__()

    def giver(self, size: int, /) -> Callable[[int], Callable[[], object]]:
        return fresh(size, partial(self.push().send, copy=False))

    def taker(self, _size: int, /) -> Callable[[], int]:
        receive: Callable[[], Any] = partial(self.pull().recv, copy=False)
        return lambda: last_of_bytes(receive().buffer)


class Published(Fan):
    """A publisher that waits for slow subscribers instead of dropping."""

    name = "pyzmq"
    about = f"zmq XPUB with XPUB_NODROP and SUB over ipc://, high-water mark {FAN_MARK}"
    family = "pyzmq"
    socket: zmq.Socket[bytes]

    def __init__(self, _size: int, _most: int, /) -> None:
        self.address = f"ipc://@ipckit-{uuid.uuid4().hex}"
        self.subscribed = 0

    def writer(self, _size: int, readers: int, /) -> Callable[[bytes], object]:
        if "socket" not in vars(self):
            self.socket = zmq.Context.instance().socket(zmq.XPUB)
            self.socket.set(zmq.XPUB_NODROP, 1)
            self.socket.set(zmq.XPUB_VERBOSE, 1)  # else only the first subscription to a topic is told
            self.socket.set(zmq.SNDHWM, FAN_MARK)
            self.socket.bind(self.address)
        while self.subscribed < readers:
            self.socket.recv()
            self.subscribed += 1
        return self.socket.send

    def reader(self, _size: int, _index: int, /) -> Callable[[], Any]:
        if "socket" not in vars(self):
            self.socket = zmq.Context.instance().socket(zmq.SUB)
            self.socket.set(zmq.RCVHWM, FAN_MARK)
            self.socket.set(zmq.SUBSCRIBE, b"")
            self.socket.connect(self.address)
        return self.socket.recv
