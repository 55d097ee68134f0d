"""Data into and out of pipes that user memory never sees: splice(2), tee(2), vmsplice(2)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ipckit._framing import at_least_one, byte_view
from ipckit._queued import queued
from ipckit._sides import Source, Target
from ipckit._stream_reading import ByteReading
from ipckit._stream_writing import ByteWriting
from ipckit._transfer import Transfer, check_size
from ipckit._wait import Deadline

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from typing_extensions import Buffer

    from ipckit._sides import HasFileno

_MOST_SPANS = 1024  # UIO_MAXIOV
_NOW = os.SPLICE_F_NONBLOCK


class SplicesOut(ByteReading):
    """The end of a pipe that the kernel moves data out of."""

    __slots__ = ()

    def splice_to(self, target: int | HasFileno, size: int | None = None, timeout: float | None = None) -> int:
        """Move *size* bytes to *target* inside the kernel, waiting on both sides; return how many: splice(2).

        Fewer only where the stream ends. What went is gone from this pipe. Python's own bytes are not touched, so a
        large transfer costs neither memory nor copies between a pipe and a pipe.

        Args:
            target: a pipe's writing end, a stream socket, or a file that is open for writing without O_APPEND, at its
                position; ours, a file object (which is flushed), a socket, or a descriptor.
            size: bytes; None: all until the end of the stream.
            timeout: seconds for the whole; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired: there was not so much, or no room for it, in time (ETIMEDOUT); ``completed`` says how many
                bytes went.
            BrokenPeerError: nobody reads the target any more (EPIPE); ``completed`` as above.
            BusyError: part of a message was received already (EBUSY): `receive` the rest of it first.
            SyscallError: *target* is none of those (EINVAL), or not open for writing (EBADF).
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        check_size(size)
        source, to = Source(self), Target(target)

        def attempt(count: int) -> int:
            return os.splice(source.fd, to.fd, count, flags=_NOW) or len(self._nothing(1))

        return Transfer(source, to, "splice", attempt).run(size, deadline)

    def tee_to(self, target: int | HasFileno, size: int = 65536, timeout: float | None = None) -> int:
        """Duplicate what is there, at most *size* bytes, into the pipe *target*, and leave it here: tee(2).

        The next call begins with the same bytes again: take them out in between, with `read` or `splice_to`.

        Args:
            target: the writing end of another pipe, ours or a descriptor.
            size: 1 or more bytes.
            timeout: seconds; None waits for ever, 0 never waits.

        Returns:
            How many bytes; 0 at the end of the stream.

        Raises:
            TimeoutExpired: nothing came, or there was no room for it (ETIMEDOUT).
            BrokenPeerError: nobody reads the target any more (EPIPE).
            BusyError: part of a message was received already (EBUSY): `receive` the rest of it first.
            SyscallError: *target* is no pipe, or this one (EINVAL).
        """
        from ipckit._native_quick import lib

        deadline = None if timeout is None else Deadline.after(timeout)
        at_least_one(size)
        source, to = Source(self), Target(target)

        def attempt(count: int) -> int:
            return _checked(lib.ipk_tee(source.fd, to.fd, count)) or len(self._nothing(1))

        return Transfer(source, to, "tee", attempt).run(size, deadline, once=True)

    def _nothing(self, size: int) -> bytes:
        """Nothing was read: b"" if that is the end, BlockingIOError if not."""
        raise NotImplementedError


class SplicesIn(ByteWriting):
    """The end of a pipe that the kernel moves data into."""

    __slots__ = ()

    _lent: dict[int, list[memoryview]]

    @property
    def unread(self) -> int:
        """How many bytes are in the pipe, not yet read: FIONREAD of ioctl_pipe(2).

        At 0 this handle lets go of the buffers of `vmsplice`.
        """
        lent = list(self._lent)
        count = queued(self)
        if not count:
            for batch in lent:
                self._lent.pop(batch, None)
        return count

    def splice_from(self, source: int | HasFileno, size: int | None = None, timeout: float | None = None) -> int:
        """Move *size* bytes out of *source* into this pipe inside the kernel, waiting on both sides: splice(2).

        Args:
            source: a pipe's reading end, a stream socket, or a file, from its position on; ours, a file object, a
                socket, or a descriptor.
            size: bytes; None: all until the source ends.
            timeout: seconds for the whole; None waits for ever, 0 never waits.

        Returns:
            How many bytes; fewer than *size* only where the source ends.

        Raises:
            TimeoutExpired: there was not so much, or no room for it, in time (ETIMEDOUT); ``completed`` says how many
                bytes went.
            BrokenPeerError: nobody reads this pipe any more (EPIPE); ``completed`` as above.
            BusyError: part of a message was received from *source* already (EBUSY).
            SyscallError: *source* is none of those (EINVAL), or not open for reading (EBADF).
        """
        if isinstance(source, SplicesOut):
            self._check_open()
            return source.splice_to(self, size, timeout)
        deadline = None if timeout is None else Deadline.after(timeout)
        check_size(size)
        to, come_from = Target(self), Source(source)

        def attempt(count: int) -> int:
            try:
                went = self._push_file(come_from.fd, count, come_from.offset)
            except BlockingIOError:
                if not come_from.is_at_mark():
                    raise
                went = 0
            return went or (come_from.pass_mark(to.fd) if come_from.is_at_mark() else 0)

        return Transfer(come_from, to, "splice", attempt).run(size, deadline)

    def vmsplice(self, buffers: Sequence[Buffer], timeout: float | None = None) -> int:
        """Put the memory of *buffers* into the pipe, the pages themselves and no copy: man 2 vmsplice.

        **Leave the bytes as they are until the reader has taken them out.** The pipe refers to your pages: what you
        change, the reader sees changed. `unread` tells when all is out; where the reader moves the pages on with
        `splice_to` or `tee_to`, only the last one to read them knows. Until `unread` has told so, this handle keeps
        the buffers from being freed and resized; `close` lets them go. The pages are no gift (SPLICE_F_GIFT): they
        stay yours. It pays for whole pages, many of them.

        Args:
            buffers: bytes go in, one buffer after the other; each page that they touch takes a page of `capacity`.
            timeout: seconds; None waits for ever, 0 never waits.

        Returns:
            How many bytes: all.

        Raises:
            TimeoutExpired: there was no room in time (ETIMEDOUT); ``completed`` says how many bytes are in.
            BrokenPeerError: nobody reads any more (EPIPE); ``completed`` as above.
        """
        from ipckit._native import ffi, lib  # to touch the pages of a mapped file may take as long as its disk

        deadline = None if timeout is None else Deadline.after(timeout)
        views = [view for view in map(byte_view, buffers) if view]
        to = Target(self)
        self.unread  # noqa: B018  lets go of what has been read
        memory = [ffi.from_buffer(view) for view in views]
        spans = ffi.new("struct ipk_span[]", len(views))
        for span, piece, view in zip(spans, memory, views, strict=True):
            span.base, span.size = piece, len(view)
        first = 0

        def attempt(_: int) -> int:
            nonlocal first
            went = _checked(lib.ipk_vmsplice(to.fd, spans + first, min(len(views) - first, _MOST_SPANS)))
            first = _consume(spans, first, went)
            return went

        try:
            return Transfer(None, to, "vmsplice", attempt).run(sum(map(len, views)), deadline)
        finally:
            self._lent[id(views)] = views
            if self._closed:  # while it waited: then `close` has let go of what was lent, and will not do so again
                self._lent.clear()
            for piece in memory:
                # Not left to the garbage collector: it breaks where it meets a memoryview that cffi still exports.
                ffi.release(piece)

    def _push_file(self, fd: int, count: int, offset: int | None) -> int:
        if offset is None:
            return os.splice(fd, self._fd, count, flags=_NOW)
        return os.splice(fd, self._fd, count, offset_src=offset, flags=_NOW)


def _consume(spans: Any, first: int, went: int) -> int:
    """Take *went* bytes off the front of *spans*; return which one is the first now."""
    while went:
        span = spans[first]
        step = min(went, span.size)
        span.base += step
        span.size -= step
        went -= step
        first += not span.size
    return first


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result
