"""What `ipckit ls` lists, once or again and again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ipckit.cli.failure import Failure
from ipckit.cli.objects.kinds import GROUPS, NAMED, expanded
from ipckit.cli.objects.record_columns import RECORD_COLUMNS
from ipckit.cli.objects.unseen import footer
from ipckit.cli.terminal.progress import progress
from ipckit.cli.terminal.table import Table
from ipckit.inspect import KINDS, Look

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from ipckit.inspect import Record

LISTING = Table("ls", "objects", RECORD_COLUMNS)


def take(arguments: argparse.Namespace) -> Look:
    """Look at the kinds that the options name.

    Raises:
        Failure: wrong usage, or there is no process of a number that was asked for.
    """
    kinds = expanded(arguments.kinds)
    if not kinds:
        kinds = list(KINDS if arguments.all or arguments.pid else GROUPS["ipckit"] if arguments.stale else NAMED)
    elif arguments.all:
        raise Failure("--all is all kinds: name none beside it", status=2)
    for pid in arguments.pid or ():
        if not os.path.exists(f"/proc/{pid}"):
            raise Failure(f"there is no process {pid}")
    if arguments.watch is not None:  # progress would be in the way of what is drawn
        return Look(kinds)
    with progress("looking at processes") as show:
        return Look(kinds, progress=show)


def chosen(look: Look, arguments: argparse.Namespace) -> Iterator[Record]:
    """The records that the options want."""
    pids = frozenset(arguments.pid or ())
    for record in look:
        if arguments.stale and record.verdict.state != "stale":
            continue
        if pids and pids.isdisjoint(record.pids):
            continue
        if arguments.user is not None and not _belongs(record, arguments.user):
            continue
        yield record


def remarks(look: Look, arguments: argparse.Namespace) -> Iterator[str]:
    """What could not be seen, in sentences."""
    seen = {process.pid for process in look.processes}
    yield from (f"Process {pid} could not be looked into." for pid in arguments.pid or () if pid not in seen)
    yield from footer(look)


def _belongs(record: Record, uid: int) -> bool:
    """Whether it is that user's: its owner's or, where it has none, of who has it."""
    if record.uid is not None:
        return record.uid == uid
    return any(holder.process.uid == uid for holder in record.holders)
