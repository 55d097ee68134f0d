"""Verdicts on objects that are not ipckit's own, whose makers nobody recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit.inspect.records import Verdict

if TYPE_CHECKING:
    from ipckit.inspect.records import Holder

_NAMED = 3


def judge(holders: tuple[Holder, ...], unseen: int, *, also: str = "") -> Verdict:
    """What can be said of an object from who has it.

    Args:
        holders: the processes that have it.
        unseen: how many processes could not be looked into.
        also: what else is known, such as "3 messages wait".
    """
    more = f"; {also}" if also else ""
    if holders:
        return Verdict("in use", f"{told(holders, 'has it', 'have it')}{more}")
    if unseen:
        who = "one process" if unseen == 1 else f"{unseen} processes"
        return Verdict("unknown", f"nobody who can be seen has it, but {who} could not be looked into{more}")
    return Verdict("unused", f"no process has it{more}")


def told(holders: tuple[Holder, ...], one: str, several: str) -> str:
    """Who it is, in words.

    Args:
        holders: one or more.
        one, several: what they do, such as "has it" and "have it".
    """
    if len(holders) == 1:
        return f"process {holders[0].process.pid} ({holders[0].process.command}) {one}"
    named = ", ".join(str(holder.process.pid) for holder in holders[:_NAMED])
    rest = len(holders) - _NAMED
    return f"{len(holders)} processes {several}: {named}{f' and {rest} more' if rest > 0 else ''}"
