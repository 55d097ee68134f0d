"""Calls over a connection: TCP, or a Unix stream socket."""

from __future__ import annotations

import copy
import errno
import select
import socket

from ipckit._retry import failure
from ipckit._wait import PASSED, SLICE_NS, Deadline, wait_fd
from ipckit.errors import BrokenPeerError, ClosedError, IPCError, SyscallError, syscall_error
from ipckit.rpc._client.link import SEND_NOW, Link, NotSent
from ipckit.rpc._client.turns import settle, take
from ipckit.rpc._wire.record import LAST, RecordReader, pack_mark
from ipckit.sockets.inet import Stream as TcpStream
from ipckit.sockets.unix import Stream as UnixStream

_COPIED = 16384  # bytes; up to here it is cheaper to copy head and data together than to call sendmsg(2)
_LARGE = 1 << 20  # bytes that one read asks for at most
_NOTHING = memoryview(b"")


class StreamLink(Link[TcpStream | UnixStream]):
    """A connection and its calls.

    What a call that ran out of time had not yet sent is kept, and goes out before the next one: the stream stays in
    step. Where that cannot be, the connection is broken, for all.
    """

    def __init__(self, handle: TcpStream | UnixStream, max_size: int) -> None:
        super().__init__(handle)
        self._reader = RecordReader(max_size)
        self._rest = _NOTHING
        self._sendmsg = handle.socket.sendmsg

    def stale(self) -> bool:
        """Whether the connection has come to its end while nobody used it."""
        if self.broken is None and not self._pending and wait_fd(self.handle, self._fd, select.POLLIN, PASSED):
            lock = self._try_to_lead()
            if lock is not None:
                try:
                    with self.handle._in_use():
                        self._look()
                except SyscallError:
                    pass  # it is in `broken`
                finally:
                    self._reading.give_back(lock)
                    self._pass_on()
        return self.broken is not None

    def _transmit(self, head: bytes, data: bytes, deadline: Deadline | None) -> None:
        head = pack_mark((len(head) + len(data)) | LAST) + head
        if len(data) <= _COPIED:
            head, data = head + data, b""
        turn = self._sending
        lock = turn.lock
        if not lock.acquire(False):
            lock = self._turn_to_send(deadline)
        elif turn.inside:
            settle(self, turn, lock, "send")
        turn.inside = True
        try:
            if self.broken is not None or self._rest or not self._push(head, data):
                self._begin(head, data, deadline)
            if self._rest:
                self._flush(deadline)
        finally:
            turn.inside = False
            lock.release()

    def _begin(self, head: bytes, data: bytes, deadline: Deadline | None) -> None:
        """Send the first bytes of a message, perhaps all of them, when there is room for them."""
        try:
            if self.broken is not None:
                raise copy.copy(self.broken)
            self._flush(deadline)
            while not self._push(head, data):
                self._wait_for_room(deadline)
        except BrokenPeerError as error:
            raise NotSent(error) from None
        except ClosedError:
            raise self._gone() from None

    def _push(self, head: bytes, data: bytes) -> bool:
        """Send once, and keep what did not fit; False if nothing did."""
        sent: list[int] = []
        try:
            # All in C: no signal handler can raise between the system call and the list.
            if data:
                sent.extend(map(self._sendmsg, ((head, data),), ((),), SEND_NOW))
            else:
                sent.extend(map(self._send, (head,), SEND_NOW))
        except BlockingIOError:
            return False
        except OSError as error:
            raise NotSent(self._lost(error, "send")) from None
        finally:
            if sent and sent[0] != len(head) + len(data):
                at = sent[0] - len(head)
                self._rest = memoryview(data)[at:] if at >= 0 else memoryview(head[at:] + data)
        return True

    def _flush(self, deadline: Deadline | None) -> None:
        """Send what an earlier attempt had to leave."""
        while rest := self._rest:
            if self._push_rest(rest):
                continue
            self._wait_for_room(deadline)

    def _push_rest(self, rest: memoryview) -> bool:
        sent: list[int] = []
        try:
            sent.extend(map(self._send, (rest,), SEND_NOW))
        except BlockingIOError:
            return False
        except OSError as error:
            raise self._lost(error, "send") from None
        finally:
            if sent:
                self._rest = rest[sent[0] :]
        return True

    def _deliver(self, xid: int | None) -> bytes | None:
        reply = None
        reader = self._reader
        chunks = self._chunks
        if len(chunks) == 1 and (record := reader.alone(chunks[0])) is not None:
            reply = self._give(record, xid)
            chunks.clear()  # now: what a signal interrupts is given twice rather than never
            return reply
        try:
            while True:
                if not self._chunks:
                    break
                chunk = self._chunks.pop(0)
                if not chunk:
                    self.handle._check_open()
                    raise _ended(self.handle, reader)
                reader.feed(chunk)
                for record in reader.records():
                    reply = self._give(record, xid) or reply
            wanted = reader.wanted
            self._sizes = (min(wanted + 4, _LARGE),) if wanted > 65536 else (65536,)
        except BaseException as error:
            for record in reader.records():
                reply = self._give(record, xid) or reply
            if not isinstance(error, IPCError):  # a signal handler's, in the middle of a record
                self._break(_given_up(self.handle, "a signal handler interrupted the reading"))
                raise
            self._break(error)
            if reply is None:
                raise
        return reply

    def _lost(self, error: OSError, syscall: str) -> IPCError:
        lost = failure(self.handle, error, syscall)
        if not self.handle._closed:
            if syscall != "send" or self._read_out():
                self._break(lost)
            else:
                self._refuse(lost)
        return lost

    def _read_out(self) -> bool:
        """Give others the replies that had come before it turned out that nothing can be sent any more.

        Returns:
            False if another thread reads, or this one where it was interrupted: it comes to that end, and tells all.
        """
        self._shut_down()  # what has come can still be read, and then there is an end
        try:
            lock = take(self, self._reading, Deadline.after(SLICE_NS / 1e9), "recv")
        except IPCError:
            return False
        try:
            while True:
                if self.broken is not None or not (self._chunks or self._fetch_now()):
                    break
                self._deliver(None)
        except (IPCError, OSError):
            pass  # the end
        finally:
            self._reading.give_back(lock)
        return True

    def _refuse(self, error: IPCError) -> None:
        """Have all calls to come fail with *error*."""
        self.broken = error if isinstance(error, BrokenPeerError) else _given_up(self.handle, str(error))

    def _break(self, error: IPCError) -> None:
        """Have all calls in flight fail with *error*, and those to come; tell the other side that nobody reads."""
        self._refuse(error)
        while self._pending:
            try:
                _, box = self._pending.popitem()
            except KeyError:
                break
            box.put(error)
        self._shut_down()

    def _shut_down(self) -> None:
        try:
            self.handle.socket.shutdown(socket.SHUT_RDWR)
        except (OSError, ClosedError):
            pass


def _ended(handle: TcpStream | UnixStream, reader: RecordReader) -> IPCError:
    where = "in the middle of a reply" if reader.begun else "without a reply"
    return _given_up(handle, f"the server closed the connection {where}")


def _given_up(handle: TcpStream | UnixStream, reason: str) -> IPCError:
    return syscall_error(errno.ECONNRESET, "recv", repr(handle), remedy=reason)
