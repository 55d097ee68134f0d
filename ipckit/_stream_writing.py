"""The end of a byte stream that data goes into, written once for pipes, FIFOs and stream sockets."""

from __future__ import annotations

import errno
import os
import select
from functools import partial
from typing import TYPE_CHECKING

from ipckit._framing import HEADER_SIZE, Framed, byte_view, bytes_out, pack_header, too_large
from ipckit._retry import failure, retry
from ipckit._sides import Source, Target
from ipckit._transfer import Transfer, check_size
from ipckit._wait import Deadline
from ipckit.errors import IPCError, SyscallError, TimeoutExpired

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from ipckit._sides import HasFileno


class ByteWriting(Framed):
    """The end of a byte stream that data goes into."""

    __slots__ = ()

    def _push(self, data: Buffer) -> int:
        """Write once; BlockingIOError where that would wait, fewer bytes than given where it would have to."""
        raise NotImplementedError

    def _push_to(self, outs: list[int], data: Buffer) -> None:
        """Write as `_push` does, and append how many bytes are out; no signal handler can raise between the two."""
        raise NotImplementedError

    def _push_both(self, outs: list[int], header: bytes, data: bytes | memoryview) -> None:
        """As `_push_to`, of the two as one."""
        raise NotImplementedError

    def _push_waiting(self, outs: list[int], data: memoryview, deadline: Deadline | None) -> None:
        """Wait for room, and write as `_push_to` does; one byte at least."""
        retry(self, select.POLLOUT, deadline, partial(self._push_to, outs, data), "write")

    def _push_file(self, fd: int, count: int, offset: int | None) -> int:
        """Write once from the file *fd*, *offset* None being its position; else as `_push`."""
        return os.sendfile(self._fd, fd, offset, count)

    def write(self, data: Buffer, timeout: float | None = None) -> int:
        """Write all of *data*, waiting while there is no room; return its size in bytes.

        Raises:
            TimeoutExpired: there was no room in time (ETIMEDOUT); its ``completed`` says how many bytes went out.
            BrokenPeerError: nobody reads any more (EPIPE); ``completed`` as above.
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        if self._framing.outgoing:
            self._flush_in_turn(deadline)
        try:
            written = self._push(data)
        except BlockingIOError:
            written = 0
        except OSError as error:
            raise failure(self, error, "write") from None
        size = len(data) if type(data) is bytes else memoryview(data).nbytes
        return written if written == size else self._write_rest([written], byte_view(data)[written:], deadline)

    def try_write(self, data: Buffer) -> int:
        """Write what there is room for, without waiting; return how many bytes, 0 if there is no room."""
        if self._framing.outgoing and not self._flushed():
            return 0
        try:
            return self._push(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise failure(self, error, "write") from None

    def send(self, data: Buffer, timeout: float | None = None) -> None:
        """Send *data* as one message, which the other side's `receive` gets whole.

        Where the time is up when part of the message is out, its rest stays here and goes first with the next
        `send`, `write` or `flush`: do not send it again. ``completed`` of the exception is then not 0.

        Args:
            data: at most `max_message_size` bytes; an empty message is one, too.
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired: there was no room in time (ETIMEDOUT); nothing was sent if its ``completed`` is 0.
            BrokenPeerError: nobody reads any more (EPIPE).
            MessageTooLargeError: *data* exceeds `max_message_size` (EMSGSIZE).
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        if type(data) is not bytes:
            data = byte_view(data)
        size = len(data)
        framing = self._framing
        if size > framing.limit:
            raise too_large(size, framing.limit, "send")
        outs: list[int] = []
        turn = framing.sending
        lock = turn.lock
        try:
            if not lock.acquire(False) or turn.inside:
                turn.contend(lock, self, deadline, "send")
        except BaseException:
            turn.let_go(lock)
            raise
        turn.inside = True
        try:
            if framing.outgoing:
                self._flush(deadline)
            framing.outgoing = outs, data, self._here
            first = framing.send
            out = -errno.EAGAIN if first is None or type(data) is not bytes else first(outs, data)
            if out != HEADER_SIZE + size:
                self._go_on(out, outs, data, deadline)
            framing.outgoing = None
        except BaseException as error:
            self._keep_rest(outs, data)
            if isinstance(error, OSError) and not isinstance(error, IPCError):
                raise failure(self, error, "write") from None
            raise
        finally:
            turn.inside = False
            lock.release()

    def try_send(self, data: Buffer) -> bool:
        """Send *data* as one message if there is room now; False, with nothing sent, if there is none.

        Raises:
            TimeoutExpired: there was room for a part only, which is out; the rest follows as `send` says.
            BrokenPeerError, MessageTooLargeError: as `send`.
        """
        try:
            self.send(data, 0)
        except TimeoutExpired as error:
            if error.completed:
                raise
            return False
        return True

    def sendfile(
        self, file: int | HasFileno, size: int | None = None, *, offset: int | None = None, timeout: float | None = None
    ) -> int:
        """Write *size* bytes of *file*, which the kernel fetches itself: man 2 sendfile, splice(2).

        Args:
            file: a regular file that is open for reading: a file object, a handle, or a descriptor.
            size: bytes; None: all until the end of the file.
            offset: where in the file, in bytes; its position then stays. None: at its position, which moves on.
            timeout: seconds for the whole; None waits for ever, 0 never waits.

        Returns:
            How many bytes; fewer than *size* only where the file ends.

        Raises:
            TimeoutExpired: there was no room in time (ETIMEDOUT); ``completed`` says how many bytes went out.
            BrokenPeerError: nobody reads any more (EPIPE, ECONNRESET); ``completed`` as above. Unlike the other ways
                of writing to a socket, this kills a program that has restored the default action of SIGPIPE.
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        check_size(size)
        if offset is not None and offset < 0:
            raise ValueError(f"offset must be 0 or more bytes, or None for the file's position, not {offset}")
        target, source = Target(self), Source(file, offset)
        if source.waits:
            raise ValueError(f"file must be a regular file: {file!r} is none")

        def attempt(count: int) -> int:
            return self._push_file(source.fd, count, source.offset)

        return Transfer(source, target, "sendfile", attempt).run(size, deadline)

    def flush(self, timeout: float | None = None) -> None:
        """Write the rest of a message that an earlier `send` had no time for; nearly always there is none.

        Raises:
            TimeoutExpired: there was no room in time (ETIMEDOUT).
        """
        self._flush_in_turn(None if timeout is None else Deadline.after(timeout))

    def _flushed(self) -> bool:
        try:
            self.flush(0)
        except TimeoutExpired:
            return False
        return True

    def _flush_in_turn(self, deadline: Deadline | None) -> None:
        self._check_open()
        turn = self._framing.sending
        lock = turn.lock
        try:
            if not lock.acquire(False) or turn.inside:
                turn.contend(lock, self, deadline, "flush")
        except BaseException:
            turn.let_go(lock)
            raise
        turn.inside = True
        try:
            self._flush(deadline)
        finally:
            turn.inside = False
            lock.release()

    def _flush(self, deadline: Deadline | None) -> None:
        framing = self._framing
        if framing.outgoing and (rest := framing.unsent):
            try:
                self._write_rest(framing.outgoing[0], rest, deadline)
            except SyscallError as error:
                error.completed = 0  # the caller asks how much of its own data is out
                raise
        framing.outgoing = None

    def _go_on(self, out: int, outs: list[int], data: bytes | memoryview, deadline: Deadline | None) -> None:
        """Send what of the message that is outgoing is not out yet, after a first attempt that returned *out*."""
        if out < 0 and out != -errno.EAGAIN:
            raise OSError(-out, os.strerror(-out))
        if not outs:
            header = pack_header(len(data))
            try:
                self._push_both(outs, header, data)
            except BlockingIOError:
                retry(self, select.POLLOUT, deadline, partial(self._push_both, outs, header, data), "write")
        self._write_rest(outs, self._framing.unsent, deadline)

    def _keep_rest(self, outs: list[int], data: bytes | memoryview) -> None:
        """Of the message that was outgoing, have no more than the rest of one that has begun."""
        framing = self._framing
        if framing.outgoing and framing.outgoing[0] is outs:
            # A copy, for the caller may change its buffer.
            framing.outgoing = (outs, bytes(data), None) if framing.unsent else None

    def _write_rest(self, outs: list[int], rest: memoryview, deadline: Deadline | None) -> int:
        """Write *rest*, *outs* being what earlier writes took, where the others are noted, too; return their sum."""
        done = 0
        try:
            while done < len(rest):
                self._push_waiting(outs, rest[done:], deadline)
                done += outs[-1]
        except OSError as error:
            broken = error if isinstance(error, IPCError) else failure(self, error, "write")
            if isinstance(broken, SyscallError):
                broken.completed = bytes_out(outs)
            raise broken from None
        return bytes_out(outs)
