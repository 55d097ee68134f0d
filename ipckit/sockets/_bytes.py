"""What stream sockets have in common: bytes, or framed messages, both ways, by socket calls."""

from __future__ import annotations

import socket
from functools import partial
from typing import TYPE_CHECKING

from ipckit._framing import Framing, at_least_one
from ipckit._retry import failure
from ipckit._stream_reading import ByteReading, reading_lane_of
from ipckit._wait import Deadline
from ipckit._writing_lane import LaneWriting
from ipckit.sockets._base import NOW, SEND_NOW, Connection

if TYPE_CHECKING:
    from typing_extensions import Buffer

_COPIED = 16384  # bytes; up to here it is cheaper to copy header and message together than to call sendmsg(2)
_NOW, _SEND_NOW = (NOW,), (SEND_NOW,)  # for map()
_LOOK = NOW | int(socket.MSG_PEEK)


class StreamSocket(ByteReading, LaneWriting, Connection):
    """One end of a connection that carries bytes both ways, in order, without boundaries."""

    __slots__ = ("_framing", "_reading", "_recv", "_send")

    _kind = socket.SOCK_STREAM

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._reading = reading_lane_of(self._fd, socket=True)
        self._framing = Framing(self._largest, self._reading, self._lane)
        self._recv = self._view.recv
        self._send = self._view.send

    def _release(self) -> None:
        if self._reading is not None:
            self._reading.close()
        super()._release()

    def read(self, size: int = 65536, timeout: float | None = None) -> bytes:
        if timeout is None:  # the usual way with a call less; whatever else may happen, the base class knows
            try:
                recv = self._recv  # two steps: CPython caches where a slot is for these, and not for a call of it
                data = recv(size, NOW)
            except BlockingIOError:
                data = b""
            except OSError as error:
                raise failure(self, error, "read") from None
            if data:
                return data
        return ByteReading.read(self, size, timeout)

    def peek(self, size: int = 65536, timeout: float | None = None) -> bytes:
        """What `read` would give, left where it is: MSG_PEEK of recv(2). Of a message it shows the header, too.

        Raises:
            TimeoutExpired: nothing came (ETIMEDOUT).
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        at_least_one(size)
        look = partial(self._recv, size, _LOOK)
        try:
            return look()
        except BlockingIOError:
            data: bytes = self._wait_and_pull(look, deadline)
            return data
        except OSError as error:
            raise failure(self, error, "recv") from None

    def _pull(self, size: int) -> bytes:
        data = self._recv(size, NOW)
        if not data:
            at_least_one(size)
        return data

    def _pull_to(self, pieces: list[bytes], size: int) -> None:
        pieces += map(self._recv, (size,), _NOW)

    def _pull_into(self, buffer: Buffer) -> int:
        count = self._view.recv_into(buffer, 0, NOW)
        if not count:
            at_least_one(memoryview(buffer).nbytes)
        return count

    def _push(self, data: Buffer) -> int:
        return self._send(data, SEND_NOW)

    def _push_to(self, outs: list[int], data: Buffer) -> None:
        outs += map(self._send, (data,), _SEND_NOW)

    def _push_both(self, outs: list[int], header: bytes, data: bytes | memoryview) -> None:
        if len(data) <= _COPIED:
            outs += map(self._send, (header + data,), _SEND_NOW)
        else:
            outs += map(self._view.sendmsg, ((header, data),), ((),), _SEND_NOW)
