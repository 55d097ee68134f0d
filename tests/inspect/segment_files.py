"""Segments as files: where they are, and what is told of one that nobody could look into."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from ipckit._names import unique_name
from ipckit.inspect._processes.scan import Scan
from ipckit.inspect.segments import Segment, collect

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = 4096
NAME = unique_name


def path_of(name: str) -> str:
    return f"/dev/shm/ipckit.{name[1:]}"


@contextlib.contextmanager
def a_name() -> Iterator[str]:
    """A name for a segment, whose file is removed at the end if it is there."""
    name = NAME()
    yield name
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path_of(name))


def unscanned(name: str, kind: str = "ring") -> Segment | None:
    """The record where no process could be looked into, but none is known to have refused either."""
    found = [record for record in collect(Scan(), kind) if record.name == name]
    assert len(found) <= 1
    assert all(isinstance(record, Segment) for record in found)
    return found[0] if found else None
