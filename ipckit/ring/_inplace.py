"""Messages written and read where they lie in a ring: what `reserve` and `peek` of every ring return."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, ClassVar

from ipckit._arguments import check_int
from ipckit._views import Views
from ipckit.errors import ClosedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import TypeAlias

    from typing_extensions import Self

    from ipckit.ring._claims import Claims

# What is to be known of a claim by others than its owner: a list, as that is what C fills, and one thread can take the
# last item of. While the claim is open, that is where its bytes are: the offset in the ring's memory, or less than 0.
Record: TypeAlias = "list[Any]"
OUTCOME, VIEW, HELD, GIVE_UP, ENDED = range(5)
NEW = ("", None, None)  # and then what undoes the claim


class _Claim(Views):
    """Bytes of a ring that are this object's until one of two calls ends that. Made by `Claims` alone.

    native/lane/claim.c has a type on top that does all this without a record; the methods that it calls say so.
    """

    __slots__ = ("__weakref__", "_claims", "_finish", "_length", "_record")

    _READONLY: ClassVar[bool]
    _WHAT: ClassVar[str]
    _DONE: ClassVar[str]
    _UNDONE: ClassVar[str]

    _claims: Claims
    _finish: Callable[..., object]
    _length: int
    _record: Record

    @property
    def buf(self) -> memoryview:
        """The bytes. The end of the claim ends this view, too; slices and arrays made of it must be gone by then.

        Raises:
            ClosedError: the claim has ended, or is that of the process that this one was forked from.
        """
        record = self._record
        view: memoryview | None = record[VIEW]
        if view is None or len(record) == ENDED:
            held = record[HELD]
            if held is None:
                record[HELD] = held = self._claims.exporter()
            try:
                start = record[ENDED]
            except IndexError:
                raise self._ended() from None
            view = memoryview(held[0])[start : start + self._length] if start >= 0 else memoryview(held[0])
            record[VIEW] = view = view.toreadonly() if self._READONLY else view
            if len(record) == ENDED:  # the ring was closed meanwhile, perhaps before there was a view to be seen
                view.release()
                raise self._ended()
        return view

    _array = Views.array  # called by the type in C for what it does not make itself

    @property
    def _outcome(self) -> str | None:
        """How it ended; None while it is open, and ``""`` while a thread is ending it."""
        return None if len(self._record) > ENDED else self._record[OUTCOME]

    def _ended(self) -> ClosedError:
        """Why nothing can be done with it; called by the type in C, too."""
        return ClosedError(f"the {self._WHAT} is {self._outcome or 'being ended by another thread'}")

    @staticmethod
    def _viewed(action: str, what: str) -> BufferError:
        """Why it can't be ended; called by the type in C, too."""
        return views_are_alive(f"{action} the {what}")

    def _warn(self) -> None:
        """Say that it was collected; called by the type in C, too."""
        warnings.warn(f"{self!r} was not ended; it is {self._UNDONE}", ResourceWarning, source=self, stacklevel=2)

    def __enter__(self) -> Self:
        if len(self._record) == ENDED:
            raise self._ended()
        return self

    def __del__(self) -> None:
        try:
            if len(self._record) == ENDED:
                return
        except AttributeError:  # an exception came while it was made
            return
        try:
            self._warn()
        finally:  # the warning may be an exception
            self._claims.abandon(self._record, self._UNDONE)

    def __repr__(self) -> str:
        state = "" if self._outcome is None else f" {self._outcome}"
        return f"<{type(self).__name__} of {self._length} bytes{state}>"


class Reservation(_Claim):
    """Room for a message in a ring, to be written in place; nobody else sees it before `commit`.

    What `reserve` of a ring returns. `buf` is the room, exactly as long as was asked for, and holds whatever was there
    before; `view`, `structure` and `array` show it as numbers, a ctypes structure, a numpy array. A ``with`` block
    commits at its end; an exception in it aborts. One that is collected without either is aborted, with a
    ResourceWarning.

    While slices or arrays of `buf` are alive, `commit`, `abort` and the ring's `close` raise BufferError, and the room
    stays claimed: nobody else gets it as long as somebody here can write it. (What an exception or the garbage
    collector ends is then aborted when the last of them goes.) One thread at a time. fork(2): the reservation is the
    parent's; every use of the child's copy raises ClosedError. Views that the child inherited show the ring's memory:
    it must not write them.
    """

    __slots__ = ()

    _READONLY = False
    _WHAT = "reservation"
    _DONE = "committed"
    _UNDONE = "aborted"

    def commit(self, length: int | None = None) -> None:
        """Send what was written.

        Args:
            length: bytes from the start on; None for all.

        Raises:
            BufferError: views of `buf` are alive; the reservation is as before, but `buf` is a new view.
            ClosedError: it was committed or aborted, or its ring closed.
        """
        length = self._length if length is None else self._checked_length(length)
        record = self._record
        claims = self._claims
        try:
            key = record[ENDED]
            del record[ENDED]  # no signal handler raises before the next jump or call
            if record[HELD] is not None:
                claims.take_memory(record, key, "commit the reservation")
            record[OUTCOME] = self._DONE
            del claims.open[key]
        except IndexError:
            raise self._ended() from None
        except BaseException:
            record.append(key)
            raise
        if self._finish(length):
            raise self._gone()

    def abort(self) -> None:
        """Give the room back: there never was a message.

        Raises:
            BufferError, ClosedError: as `commit`.
        """
        record = self._record
        if len(record) == ENDED:
            raise self._ended()
        self._claims.undo(record, f"abort the {self._WHAT}", self._UNDONE)

    def _checked_length(self, length: int) -> int:
        """What `commit` was given; called by the type in C, too."""
        check_int(length, "length", 0, self._length, "bytes")
        return length

    @staticmethod
    def _gone() -> ClosedError:
        """Why there was nothing to commit; called by the type in C, too."""
        return ClosedError("the reservation is gone: others took this process for dead, or it was forked since")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._claims.abandon(self._record, self._UNDONE)
        elif len(self._record) > ENDED or self._record[OUTCOME] not in _ENDED_BY_OWNER:
            self.commit()


class Loan(_Claim):
    """A message that lies in a ring, to be read in place; it stays there, unchanged, until `release`.

    What `peek` of a ring returns. `buf` is the message, read-only; `view` and `array` show it as numbers. A ``with``
    block releases at its end, and the message is received; after an exception in it the message stays in the ring. One
    that is collected without being released is returned to the ring, too, with a ResourceWarning.

    While slices or arrays of `buf` are alive, `release` and the ring's `close` raise BufferError, and the message stays
    claimed: nobody overwrites what somebody here can read. One thread at a time. fork(2): the loan is the parent's;
    every use of the child's copy raises ClosedError, and views that the child inherited may change under its eyes.
    """

    __slots__ = ()

    _READONLY = True
    _WHAT = "loan"
    _DONE = "released"
    _UNDONE = "returned to the ring"

    def release(self) -> None:
        """Take the message out of the ring: it is received.

        Raises:
            BufferError: views of `buf` are alive; the loan is as before, but `buf` is a new view.
            ClosedError: it was released, or its ring closed.
        """
        record = self._record
        claims = self._claims
        try:
            key = record[ENDED]
            del record[ENDED]  # no signal handler raises before the next jump or call
            if record[HELD] is not None:
                claims.take_memory(record, key, "release the loan")
            record[OUTCOME] = self._DONE
            del claims.open[key]
        except IndexError:
            raise self._ended() from None
        except BaseException:
            record.append(key)
            raise
        try:
            self._finish()
        except BaseException:  # of a signal handler, perhaps, before it was done
            record[GIVE_UP]()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._claims.abandon(self._record, self._UNDONE)
        elif len(self._record) > ENDED or self._record[OUTCOME] not in _ENDED_BY_OWNER:
            self.release()


def views_are_alive(action: str) -> BufferError:
    """Why *action* can't be done."""
    return BufferError(f"cannot {action} while views of its buf are alive; release its slices and arrays first")


_ENDED_BY_OWNER = {how for kind in (Reservation, Loan) for how in (kind._DONE, kind._UNDONE)}
