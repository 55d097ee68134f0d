"""The two ends of pipes and FIFOs, as descriptors tell who has which: pipe(7)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ipckit.inspect._verdicts import judge

if TYPE_CHECKING:
    from ipckit.inspect.records import Holder, Verdict


def having(holders: tuple[Holder, ...], access: str) -> tuple[int, ...]:
    """The processes with a reading ("r") or a writing ("w") end."""
    return tuple(holder.process.pid for holder in holders if access in holder.access)


def ends_in_words(readers: tuple[int, ...], writers: tuple[int, ...]) -> str:
    """How many have which end.

    >>> ends_in_words((12,), ())
    '1 reader, no writer'
    """
    return f"{_number(len(readers), 'reader')}, {_number(len(writers), 'writer')}"


def judge_ends(holders: tuple[Holder, ...], unseen: int, *, alone: tuple[str, str]) -> Verdict:
    """A verdict that says so where one end is all there is.

    Args:
        holders: the processes that have an end.
        unseen: how many processes could not be looked into.
        alone: what is to be said of readers without a writer, and of writers without a reader.
    """
    readers, writers = having(holders, "r"), having(holders, "w")
    also = ""
    if bool(readers) != bool(writers):
        also = f"{alone[not readers]}, as far as can be seen" if unseen else alone[not readers]
    return judge(holders, unseen, also=also)


def own_descriptor(holders: tuple[Holder, ...]) -> int | None:
    """One of this process's own descriptors of it."""
    for holder in holders:
        if holder.process.pid == os.getpid() and holder.descriptors:
            return holder.descriptors[0]
    return None


def _number(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'s' if count > 1 else ''}"
