"""Verdicts on ipckit's own objects, whose makers are recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit.inspect._verdicts import judge
from ipckit.inspect.records import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipckit.inspect._own.segment_records import Creator, Participant
    from ipckit.inspect.records import Holder

_HIDDEN = "somebody has it open: a process that could not be looked into, or that came just now"
_NOBODY = "nobody has it open"


def judge_unread(holders: tuple[Holder, ...], unseen: int, problem: str) -> Verdict:
    """What can be said of a segment that could not be read, for that reason."""
    if holders:
        return judge(holders, unseen, also=problem)
    return Verdict("unknown", problem)


def judge_segment(
    holders: tuple[Holder, ...],
    *,
    held: bool | None,
    creator: Creator | None,
    participants: tuple[Participant, ...],
    may_run: Callable[[int], bool],
) -> Verdict:
    """What can be said of a segment.

    Args:
        holders: who is seen to have it.
        held: whether locks tell that somebody has it, seen or not; None: that could not be asked.
        creator, participants: as recorded in it.
        may_run: whether processes of the pid namespace of that number may run where we cannot look.
    """
    if holders:
        return judge(holders, 0)
    if held:
        return Verdict("in use", _HIDDEN)
    living = [who for who in participants if who.alive]
    if living:
        who = f"process {living[0].pid}" if living[0].pid else "a process"
        return Verdict("in use", f"{who} takes part in it ({living[0].role}), though it has closed the file")
    if held is None:
        return Verdict("unknown", "nobody is seen to have it, and the kernel would not tell whether it is locked")
    return _judge_unused(creator, participants, may_run)


def _judge_unused(
    creator: Creator | None, participants: tuple[Participant, ...], may_run: Callable[[int], bool]
) -> Verdict:
    """What can be said of a segment that nobody has."""
    if creator is None:
        return Verdict("unknown", f"{_NOBODY}; who made it is not recorded")
    if creator.alive:
        return Verdict("idle", f"{_NOBODY}; process {creator.pid}, which made it, still runs")
    known = [("made by", creator.pid, creator.pid_namespace)]
    known += [("used by", who.pid, who.pid_namespace) for who in participants if who.pid and who.pid_namespace]
    for what, pid, namespace in known:
        if may_run(namespace):
            where = f"process {pid} of another pid namespace, pid:[{namespace}]"
            return Verdict("unknown", f"{what} {where}, where it may still run; {_NOBODY}")
    elsewhere = " with its pid namespace" if creator.alive is None else ""
    return Verdict("stale", f"made by process {creator.pid}, which is gone{elsewhere}; {_NOBODY}")
