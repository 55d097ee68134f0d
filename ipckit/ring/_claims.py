"""The claims of a handle: messages of its ring that somebody here writes or reads where they lie.

How a ring takes part. Its handle keeps one `Claims`, made of the pointer to its memory. When the core has made room
for a message, or has lent one, the handle asks `Claims.reservation` or `Claims.loan` for the object to return, and says
how to end the claim, with two callables:

* ``commit(length)`` publishes the first *length* bytes, ``release()`` takes the message out of the ring. They raise
  what the caller of the method of that name is to get, or return what is true where the core knows nothing of the
  claim; it has ended in any case.
* ``abort()``, ``put_back()`` undo the claim. They raise nothing, and do nothing where the core has forgotten the claim.

Of the two one is called, once, by any thread, and never in a forked child; but where ``release()`` raises,
``put_back()`` comes after it, for it may not have begun. Where ``close`` of the handle comes, it calls `Claims.end`
first. Nothing else is asked of a ring.

Where a lane has the calls for messages in place, `Claims.reserve` and `Claims.lend` do all that. They make the record
of the claim before the claim, ``[*NEW, abort]``, and have the lane append the offset as soon as there is one: so no
exception can come between the two. A lane in C makes the whole object, in `Claims.compiled`.
"""

from __future__ import annotations

import os
import weakref
from functools import partial
from sys import getrefcount
from typing import TYPE_CHECKING, Any

from ipckit._compiled import address_of
from ipckit._native import ffi
from ipckit.ring._inplace import ENDED, GIVE_UP, HELD, NEW, OUTCOME, VIEW, Loan, Reservation, views_are_alive

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipckit.ring._inplace import Record
    from ipckit.ring._inplace_lane import Receiving, Sending

_CLOSED = "gone: its ring was closed"
_FORKED = "the parent's: this process was forked since"

_all: weakref.WeakSet[Claims] = weakref.WeakSet()


class Claims:
    """The claims of one handle that have not ended, and the memory that they show.

    Views of a claim keep the memory mapped and the claim alive: as long as somebody can touch the bytes, the ring gives
    them to nobody else. Safe to share between threads.
    """

    __slots__ = ("__weakref__", "_base", "_orphans", "_size", "_spare", "compiled", "open")

    def __init__(self, ring: object, data: Any, size: int, lane: object = None) -> None:
        """Lend parts of the *size* bytes at *data*, a cffi pointer; they are mapped as long as *ring* is referenced.

        Those of a *lane* in C are entered in `compiled`, where this Python has that.
        """
        self.compiled: Any = _open_claims(address_of(data)) if type(lane).__module__ == "ipckit._lane" else None
        self._base: Any = ffi.gc(ffi.cast("char *", data), _Keeper(ring))
        self._size = size
        # A claim has an exporter of the memory for itself, so that only its own views are counted.
        self._spare: list[list[Any]] = []
        # By what is last in the record. Not the claims themselves, which are to be collected when nobody wants them.
        self.open: dict[int, Record] = {}
        self._orphans: list[weakref.finalize[..., Any]] = []
        _all.add(self)

    def reservation(
        self,
        offset: int,
        length: int,
        commit: Callable[[int], object],
        abort: Callable[[], object],
        *,
        memory: bytearray | None = None,
    ) -> Reservation:
        """The claim on *length* bytes of room, which begins *offset* bytes into the memory, or is all that given."""
        return self.reserved(_claimed(offset, abort, memory), length, commit)

    def loan(
        self,
        offset: int,
        length: int,
        release: Callable[[], object],
        put_back: Callable[[], object],
        *,
        memory: bytes | bytearray | None = None,
    ) -> Loan:
        """The claim on the message of *length* bytes that lies *offset* bytes into the memory, or is all that given."""
        return self.lent(_claimed(offset, put_back, memory), length, release)

    def reserved(self, record: Record, length: int, commit: Callable[[int], object]) -> Reservation:
        """The claim of that record on *length* bytes of room."""
        claim = Reservation()  # without __init__, which would be half of its price
        claim._claims = self
        claim._length = length
        claim._finish = commit
        self.open[record[ENDED]] = record
        claim._record = record
        return claim

    def lent(self, record: Record, length: int, release: Callable[[], object]) -> Loan:
        """The claim of that record on a message of *length* bytes."""
        claim = Loan()
        claim._claims = self
        claim._length = length
        claim._finish = release
        self.open[record[ENDED]] = record
        claim._record = record
        return claim

    def reserve(self, lane: Sending, n: int, deadline_ns: int) -> Reservation | int:
        """Reserve room for *n* bytes by a lane, waiting for it; or what the lane says, which is not 0."""
        compiled = self.compiled
        if compiled is not None:
            return lane.reserve(n, deadline_ns, compiled)  # it makes the object
        record = [*NEW, lane.abort]
        try:
            rc = lane.reserve(n, deadline_ns, record)
            return rc or self.reserved(record, n, lane.commit)
        except BaseException:
            undo_record(record)
            raise

    def lend(self, lane: Receiving, deadline_ns: int) -> Loan | int:
        """Lend the next message by a lane, waiting for one; or what the lane says, which is less than 0."""
        compiled = self.compiled
        if compiled is not None:
            return lane.lend(deadline_ns, compiled)
        record = [*NEW, lane.put_back]
        try:
            length = lane.lend(deadline_ns, record)
            return length if length < 0 else self.lent(record, length, lane.release)
        except BaseException:
            undo_record(record)
            raise

    def end(self, action: str = "close") -> None:
        """Undo all claims, before the handle gives up its part in the ring.

        Raises:
            BufferError: views of one are alive. That one, and those not yet looked at, stay as they are.
        """
        for record in list(self.open.values()):
            self.undo(record, f"{action} the ring", _CLOSED)
        viewed = self.compiled is not None and self.compiled.end(action, "ring", _CLOSED)
        self._orphans = [orphan for orphan in self._orphans if orphan.alive]
        if self._orphans or viewed:
            raise BufferError(f"cannot {action} the ring while views of a message are alive; release them first")

    def undo(self, record: Record, action: str, outcome: str) -> None:
        """End a claim, unless it has ended, without a trace in the ring.

        Raises:
            BufferError: views are alive; all is as before.
        """
        try:
            key = record[ENDED]
            del record[ENDED]  # no signal handler raises before the next jump or call
            if record[HELD] is not None:
                self.take_memory(record, key, action)
            record[OUTCOME] = outcome
            del self.open[key]
        except IndexError:
            return
        except BaseException:
            record.append(key)
            raise
        record[GIVE_UP]()

    def abandon(self, record: Record, outcome: str) -> None:
        """Undo a claim now, or when the last of its views is gone."""
        try:
            self.undo(record, "undo", outcome)
        except BufferError:
            del self.open[record.pop(ENDED)]
            record[OUTCOME] = outcome
            orphan = weakref.finalize(record[HELD][0], record[GIVE_UP])
            orphan.atexit = False
            self._orphans.append(orphan)
            record[HELD] = record[VIEW] = None

    def exporter(self) -> list[Any]:
        """What a claim makes its views of, alone in a list; `take_memory` takes it back."""
        try:
            return self._spare.pop()
        except IndexError:
            return [ffi.buffer(self._base, self._size)]

    def take_memory(self, record: Record, key: int, action: str) -> None:
        """Take the memory from a claim that is being ended; *key* has been taken from its record.

        Raises:
            BufferError: views are alive; all is as before, but there is to be a new view.
        """
        held: list[Any] = record[HELD]
        try:
            if record[VIEW] is not None:
                record[VIEW].release()  # refuses where an array was made of it
                record[VIEW] = None
            viewed = getrefcount(held[0]) > _ALONE
        except BufferError:
            viewed = True
        if viewed:
            raise views_are_alive(action)
        record[HELD] = None
        if key >= 0:
            self._spare.append(held)

    def forked(self) -> None:
        """In the child: no claim is this process's."""
        for record in self.open.values():
            del record[ENDED:]
            record[OUTCOME] = _FORKED
        self.open.clear()
        if self.compiled is not None:
            self.compiled.forked(_FORKED)
        for orphan in self._orphans:
            orphan.detach()
        self._orphans.clear()


class _Keeper:
    """Keeps an object as long as there is the pointer that this is the destructor of."""

    __slots__ = ("_kept",)

    def __init__(self, kept: object) -> None:
        self._kept = kept

    def __call__(self, pointer: object) -> None:
        """There is nothing to destroy."""


def _no_claims_in_c(_address: int) -> None:
    """What a lane has without the extension, or without a GIL."""


try:
    from ipckit._lane import OpenClaims, Window, claim_type
except ImportError:
    _open_claims: Callable[[int], Any] = _no_claims_in_c
else:
    _open_claims = partial(OpenClaims, Window, claim_type(Reservation), claim_type(Loan))


def undo_record(record: Record) -> None:
    """Undo the claim of that record, if it was made and has not ended."""
    if len(record) > ENDED:
        del record[ENDED]
        record[GIVE_UP]()


def _claimed(offset: int, give_up: Callable[[], object], memory: bytes | bytearray | None) -> Record:
    record: Record = [*NEW, give_up]
    if memory is not None:
        record[HELD] = [ffi.buffer(ffi.from_buffer(memory))]
        offset = -id(memory)  # as none in the ring has
    record.append(offset)
    return record


def _alone() -> int:
    """What `sys.getrefcount` tells of an exporter that only a list holds."""
    held = [ffi.buffer(ffi.new("char[]", 1))]
    return getrefcount(held[0])


_ALONE = _alone()


def _after_fork_in_child() -> None:
    for claims in list(_all):
        claims.forked()


os.register_at_fork(after_in_child=_after_fork_in_child)
