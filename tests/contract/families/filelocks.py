"""Locks on files."""

from __future__ import annotations

import os
from operator import methodcaller
from typing import TYPE_CHECKING, Any

from ipckit.filelock import FileRWLock, Flock, OfdLock, PidFile, RecordLock
from tests.contract.shapes import PATHS, Made, Subject, Wait

if TYPE_CHECKING:
    from collections.abc import Callable


class LockFile:
    """The path of a lock; the file goes with it."""

    def __init__(self) -> None:
        self.path = PATHS.new()

    def close(self) -> None:
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass


def file_lock(cls: type[Any], *further: str, rival: type[Any] | None = None) -> Subject:
    """A lock on a file of its own, and another owner that excludes it."""

    def made() -> Made:
        file = LockFile()
        return [cls(file.path), (rival or cls)(file.path), file]

    calls: dict[str, Callable[[Any], object]] = {
        "acquire": lambda h: h.acquire(),
        "try_acquire": lambda h: h.try_acquire(),
        "release": lambda h: h.release(),
        **{name: methodcaller(name) for name in further},
    }
    for name in ("shared", "reading", "writing"):
        if name in further:
            calls[name] = lambda h, name=name: getattr(h, name)().__enter__()
    return Subject(
        cls.__name__,
        cls,
        make=made,
        calls=calls,
        waits=(
            Wait(
                "acquire",
                lambda made, timeout: made[0].acquire(timeout=timeout),
                lambda made: made[1].acquire(),
                lambda made: made[1].release(),
                ("fcntl", "flock"),
            ),
        ),
        never_waits=frozenset(further) & {"shared", "reading", "writing"},  # they are `acquire`
        constants=frozenset({"held"} if "fileno" in further else ()),
        rival=lambda made: made[1],
        addressed=True,
        there=lambda h: h.try_acquire(),
        here=lambda made, result: result is True,  # noqa: ARG005
    )


SUBJECTS: tuple[Subject, ...] = (
    file_lock(RecordLock, "holder", "fileno", "shared", rival=OfdLock),
    file_lock(OfdLock, "holder", "fileno", "shared"),
    file_lock(Flock, "holder", "fileno", "shared"),
    file_lock(FileRWLock, "holder", "fileno", "shared", "reading", "writing"),
    file_lock(PidFile, "holder_pid", "adopt"),
)
