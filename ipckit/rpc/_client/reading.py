"""Threads that wait for replies on one socket take turns in reading for all of them.

The thread that reads gives each reply to the call whose xid it has; when its own has come, another one that still
waits goes on. So there is no thread besides those that call.
"""

from __future__ import annotations

import copy
import select
import socket
import struct
from _queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from ipckit._turn import Turn
from ipckit._wait import SLICE_NS, Deadline, wait_fd
from ipckit.errors import IPCError
from ipckit.rpc._client.turns import settle
from ipckit.rpc._wire.message import unpack_xid
from ipckit.rpc._wire.spinning import Allowance, Spin

if TYPE_CHECKING:
    import threading
    from types import CodeType

    from ipckit.sockets.inet import Datagram
    from ipckit.sockets.inet import Stream as TcpStream
    from ipckit.sockets.unix import Stream as UnixStream

SocketT = TypeVar("SocketT", bound="TcpStream | UnixStream | Datagram")

# What is put into the box of a call: its reply, why there will be none, or None: nobody reads any more.
Box = SimpleQueue  # of Union[bytes, IPCError, None]

_SLICE = struct.pack("@ll", 0, SLICE_NS // 1000)  # struct timeval; each read waits so long at most
_WAITING = (0,)
_NOW = (int(socket.MSG_DONTWAIT),)


class Reading(Generic[SocketT]):
    """The side of a link that replies come in by; threads share it."""

    entrances: ClassVar[frozenset[CodeType]]

    def __init__(self, handle: SocketT) -> None:
        self.handle = handle
        self.broken: IPCError | None = None  # why no reply will come any more
        self._pending: dict[int, Box[Any]] = {}
        self._waiting: dict[int, Box[Any]] = {}  # of those that neither read nor have their reply
        self._reading = Turn()
        self._chunks: list[bytes] = []  # read, and not yet looked at
        self._sizes = (65536,)
        sock = handle.socket
        sock.settimeout(None)  # whatever its user had set: an end of waiting would be taken for that of the connection
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _SLICE)
        self._fd = handle.fileno()
        self.spin = Spin(Allowance())
        self._recv = sock.recv

    def _deliver(self, xid: int | None) -> bytes | None:
        """Look at the chunks: the reply to *xid*, or None; other calls get theirs."""
        raise NotImplementedError

    def _lost(self, error: OSError, syscall: str) -> IPCError:
        """The exception for *error*, seen by all calls in flight if it concerns them."""
        raise NotImplementedError

    def _await(self, xid: int, box: Box[Any], until: Deadline | None) -> bytes | None:
        """The reply to *xid*, which this thread reads, or another one; None if the time is up."""
        while True:
            lock = self._try_to_lead()
            if lock is not None:
                try:
                    return self._lead(xid, box, until)
                finally:
                    self._reading.give_back(lock)
                    if self._waiting:
                        self._pass_on()
            reply = self._follow(xid, box, until)
            if reply is not None:
                return reply
            if until is not None and until.expired:
                self._pass_on()
                return None

    def _try_to_lead(self) -> threading.RLock | None:
        """Begin to read for all, unless another thread does; return what ends it."""
        turn = self._reading
        lock = turn.lock
        if not lock.acquire(False):
            return None
        if turn.inside:
            settle(self, turn, lock, "recv")
        turn.inside = True
        return lock

    def _pass_on(self) -> None:
        """Have one of those that wait read, if nobody does.

        Whoever began to wait before the last reader ended is in the table; who comes later finds that nobody reads.
        """
        while self._waiting and not self._reading.inside:
            try:
                _, box = self._waiting.popitem()
            except KeyError:
                return
            if box.empty():
                box.put(None)
                return

    def _lead(self, xid: int, box: Box[Any], until: Deadline | None) -> bytes | None:
        """Read for all, until the reply to *xid* comes."""
        while not box.empty():
            item = box.get_nowait()
            if item is not None:
                return _opened(item)
        while True:
            if self.broken is not None and not self._chunks and not self._fetch_there():
                raise copy.copy(self.broken)
            if not self._chunks and not self._fetch(until):
                return None
            reply = self._deliver(xid)
            if reply is not None:
                return reply

    def _follow(self, xid: int, box: Box[Any], until: Deadline | None) -> bytes | None:
        """Wait while another thread reads; None if it is our turn, or the time is up."""
        self._waiting[xid] = box
        try:
            while True:
                if not self._reading.inside:
                    return None
                try:
                    item = box.get(timeout=(SLICE_NS if until is None else min(until.remaining_ns(), SLICE_NS)) / 1e9)
                except Empty:
                    self.handle._check_open()
                    if until is not None and until.expired:
                        return None
                else:
                    return None if item is None else _opened(item)
        finally:
            self._waiting.pop(xid, None)

    def _fetch(self, until: Deadline | None) -> bool:
        """Read once, waiting; False if the time is up. What was read is in the chunks, even if a signal comes then."""
        handle = self.handle
        try:
            if self.spin.pays() and self.spin.until_readable(self._fd) and self._fetch_now():
                return True
            # A wait that signals interrupt more often than every slice begins anew each time. So it is for those that
            # wait for ever; the others pay for a poll(2).
            while until is None:
                try:
                    # All in C: no signal handler can raise between the system call and the list.
                    self._chunks.extend(map(self._recv, self._sizes, _WAITING))
                except BlockingIOError:  # a slice is over
                    handle._check_open()
                else:
                    return True
            while wait_fd(handle, self._fd, select.POLLIN, until):
                if self._fetch_now():
                    return True
        except IPCError:
            raise
        except OSError as error:
            raise self._lost(error, "recv") from None
        return False

    def _fetch_there(self) -> bool:
        """Read once, without waiting; what the kernel refuses is `_lost`."""
        try:
            return self._fetch_now()
        except OSError as error:
            raise self._lost(error, "recv") from None

    def _fetch_now(self) -> bool:
        try:
            self._chunks.extend(map(self._recv, self._sizes, _NOW))
        except BlockingIOError:
            return False
        return True

    def _look(self) -> None:
        """Read what is there, without waiting, while no other thread reads."""
        if self._chunks or self._fetch_there():
            self._deliver(None)

    def _give(self, message: bytes, xid: int | None) -> bytes | None:
        """Return *message* if it is the reply to *xid*; else give it to the call that waits for it, if there is one."""
        if len(message) >= 4:
            its = unpack_xid(message)[0]
            if its == xid:
                return message
            box = self._pending.pop(its, None)
            if box is not None:
                box.put(message)
        return None


def _opened(item: Any) -> bytes:
    if isinstance(item, IPCError):
        raise copy.copy(item)
    reply: bytes = item
    return reply
