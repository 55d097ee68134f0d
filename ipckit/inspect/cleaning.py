"""Objects are removed: what a person names, and what was provably left behind.

What `clean` promises of ipckit's own segments: one that a process has is never removed, whatever others do meanwhile.
Each is judged once more under a lock that nobody gets while a process has it, and that keeps others from opening it
(native/include/ipckit/life.h). What other programs made has no such lock: see `clean`.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ipckit.errors import BusyError, NotFoundError, SyscallError, syscall_error
from ipckit.inspect._kinds import KINDS
from ipckit.inspect._looking import Look, find
from ipckit.inspect._removal.objects import remove_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ipckit.inspect.records import Record

_OURS = ("ring", "sync", "file")
_SEGMENTS = ("ring", "sync")


@dataclass(frozen=True)
class Outcome:
    """What became of an object.

    Attributes:
        record: as it was seen last.
        removed: whether it was removed.
        reason: why, or why not, in a few words.
    """

    record: Record
    removed: bool
    reason: str


def remove(what: Record | str, *, force: bool = False) -> None:
    """Remove one object, whatever its verdict, unless somebody has it.

    A name goes at once, and the object with the last process that has it; a System V object goes at once, and waits at
    it end with an error. With a ring go its long messages. Of a segment of ipckit locks tell whether somebody has it,
    now; of anything else *what* tells, as it was seen.

    Args:
        what: an address, which is looked for, or the record of an object: another one that has its place now is left
            alone, as far as the kernel tells them apart (POSIX objects and what has a path: not always).
        force: also if somebody has it.

    Raises:
        BusyError: somebody has it (EBUSY); the message tells who.
        NotFoundError: there is none (ENOENT).
        AccessError: it is another user's (EACCES, EPERM).
        ValueError: it has no name, or belongs to another namespace.
    """
    record = find(what) if isinstance(what, str) else what
    if record.verdict.state == "foreign":
        raise ValueError(f"{record.address} must be removed where it belongs: {record.verdict.reason}")
    if not force:
        _check_unused(record)
    try:
        remove_object(record, _check_unused, force=force)
    except SyscallError as error:
        if error.errno == errno.EBUSY and error.filename != record.address:
            raise _busy(record, "a process has it that could not be looked into, or that came just now") from None
        raise


def clean(
    *,
    older_than: float = 0.0,
    foreign: bool = False,
    kinds: Iterable[str] | None = None,
    dry_run: bool = True,
    shown: Iterable[Record] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Outcome]:
    """Remove what was left behind, or only tell what that is: objects of ipckit whose verdict is "stale".

    A segment that a process has, in this container or another one, stopped or not, is never removed.

    With *foreign* also what other programs made and nobody is seen to have ("unused"). No lock protects that: between
    the look at the processes and the removal, which is some tenths of a second, a process may open it; and nobody can
    know whether somebody wants to find it there tomorrow. Name the kinds, and an age beyond doubt.

    Args:
        older_than: seconds that an object must be old, or for which it must not have changed, as its record says.
        foreign: needs *older_than*.
        kinds: names from `KINDS`; None: those of ipckit, and with *foreign* all.
        dry_run: remove nothing; the outcomes tell what would be removed.
        shown: only these, as they were shown; one that changed since is reported, and kept.
        progress: as for `Look`.

    Returns:
        An outcome for each object that is, or would be, removed; and for one that should, and could not be.

    Raises:
        ValueError: *foreign* without *older_than*; there is no kind of that name.
        UnsupportedError: /proc is not mounted (ENOSYS).
    """
    if not older_than >= 0:
        raise ValueError(f"older_than must be seconds, 0 or more, not {older_than!r}")
    if foreign and not older_than:
        raise ValueError("foreign needs older_than: nobody can tell whether an unused object of others is still wanted")
    states = ("stale", "unused") if foreign else ("stale",)
    if kinds is None:
        kinds = [kind.name for kind in KINDS.values() if not kind.transient]
    chosen = [kind for kind in kinds if foreign or kind in _OURS or kind not in KINDS]
    look = Look(chosen, progress=progress)
    wanted = None if shown is None else {record.address: record for record in shown}
    return _Cleaning(states, older_than, wanted).run(look, chosen, dry_run=dry_run)


class _Cleaning:
    """One run of `clean`."""

    def __init__(self, states: tuple[str, ...], older_than: float, shown: dict[str, Record] | None) -> None:
        self._states = states
        self._older_than = older_than
        self._shown = shown

    def run(self, look: Look, kinds: list[str], *, dry_run: bool) -> Iterator[Outcome]:
        unprotected = []
        for record in look:
            if self._shown is not None:
                before = self._shown.pop(record.address, None)
                if before is None:
                    continue
                if change := _change(before, record):
                    yield Outcome(record, removed=False, reason=change)
                    continue
            if not self._is_left(record):
                continue
            if dry_run:
                yield Outcome(record, removed=False, reason=f"would be removed: {record.verdict.reason}")
            elif record.kind in _SEGMENTS:
                yield from self._remove(record, record)
            else:
                unprotected.append(record)
        for record in (self._shown or {}).values():
            gone = record.kind in kinds
            reason = (
                "changed since it was shown: it is gone" if gone else f"{record.kind} is not among the kinds to clean"
            )
            yield Outcome(record, removed=False, reason=reason)
        if unprotected:
            yield from self._remove_unprotected(unprotected, kinds)

    def _is_left(self, record: Record) -> bool:
        if record.verdict.state not in self._states:
            return False
        age = record.age
        if self._older_than and (age is None or age < self._older_than):
            return False
        # A message that its ring has not got past goes with the ring, under the ring's lock.
        return getattr(record, "passed", None) is not False

    def _remove_unprotected(self, records: list[Record], kinds: list[str]) -> Iterator[Outcome]:
        """Look at the processes again, and remove each that has not changed as soon as it is seen."""
        before = {record.address: record for record in records}
        for record in Look([kind for kind in kinds if kind not in _SEGMENTS]):
            seen = before.pop(record.address, None)
            if seen is not None:
                yield from self._remove(seen, record)

    def _remove(self, before: Record, now: Record) -> Iterator[Outcome]:
        """Remove an object, unless it is not any more what it was."""

        def check(record: Record) -> None:
            if change := _change(before, record):
                raise _Kept(change)

        try:
            check(now)
            remove_object(now, check, force=False)
        except NotFoundError as error:
            if error.filename == now.address:  # else it just went by itself, or another cleaner was faster
                yield Outcome(now, removed=False, reason=f"changed meanwhile: {error}")
        except _Kept as kept:
            yield Outcome(now, removed=False, reason=str(kept))
        except BusyError as error:
            just_now = "somebody has opened it just now, or another process is removing it"
            yield Outcome(now, removed=False, reason=str(error) if error.filename == now.address else just_now)
        except SyscallError as error:
            yield Outcome(now, removed=False, reason=str(error))
        else:
            yield Outcome(now, removed=True, reason=now.verdict.reason)


class _Kept(Exception):
    """Why an object is not removed."""


def _change(before: Record, now: Record) -> str:
    """How an object has changed; "" if it has not."""
    if before.verdict.state != now.verdict.state:
        return f"changed since it was shown: {now.verdict.state}, {now.verdict.reason}"
    if _facts(before) != _facts(now):
        return "changed since it was shown: somebody has used it, or it is another one"
    return ""


def _facts(record: Record) -> tuple[Any, ...]:
    """What does not change of an object that nobody uses."""
    own = [getattr(record, field, None) for field in ("id", "key", "inode")]
    taking_part = [(who.role, who.pid, who.held) for who in getattr(record, "participants", ())]
    common = (record.address, record.uid, record.gid, record.mode, record.size, record.since, record.use)
    return (*common, own, taking_part)


def _check_unused(record: Record) -> None:
    if record.verdict.state == "in use":
        raise _busy(record, record.verdict.reason)


def _busy(record: Record, why: str) -> SyscallError:
    if len(record.holders) > 1:
        who = ", ".join(f"{holder.process.pid} ({holder.process.command})" for holder in record.holders)
        why = f"{why}; held by {who}"
    return syscall_error(errno.EBUSY, "remove", record.address, remedy=why)
