"""An object in prose: what it is, who has it, what the verdict means, how to remove it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit.bench.units import about, age_text
from ipckit.cli import explanations
from ipckit.cli.objects.record_columns import mode_text, user_name
from ipckit.errors import NotFoundError
from ipckit.inspect import KINDS, find

if TYPE_CHECKING:
    from ipckit.inspect import Holder, Record

Section = tuple[str, list[str]]
"""A label, and the paragraphs behind it."""

_STATES = {
    "in use": "Leave it alone: whoever has it would go on with something that nobody else finds any more.",
    "idle": "Nobody has it, but whoever made it or used it last still runs, and may come back to it.",
    "stale": "It is ipckit's own, and its maker and all who held it are provably gone: it may be removed.",
    "unused": "Nobody is seen to have it. Whether a program will want it again, no kernel can tell: its program knows.",
    "foreign": "It belongs to another namespace: look at it from there.",
    "unknown": "Not everything could be looked at; ask as root.",
}
_MOST_HOLDERS = 20


def object_sections(address: str) -> tuple[str, list[Section]]:
    """The title and the sections for the object at *address*.

    Raises:
        Failure: the address is none, or there is no such object.
    """
    from ipckit.cli.failure import Failure
    from ipckit.cli.objects.looked_up import missing
    from ipckit.cli.terminal.screen import printable

    try:
        record = find(address)
    except ValueError as error:
        raise Failure(f"explain: {error}", status=2) from None
    except NotFoundError:
        raise Failure(printable(missing(address))) from None
    kind = KINDS[record.kind]
    topic = explanations.PRIMITIVES[record.kind]
    sections: list[Section] = [("What", [f"One of the {kind.title}. {topic.what}"])]
    if facts := _facts(record):
        sections.append(("Now", [facts]))
    sections.append(("Who has it", _holders(record)))
    sections.append(("Verdict", [f"{record.verdict.state}: {record.verdict.reason}.", _STATES[record.verdict.state]]))
    sections.append(("To remove", [_removal(record, transient=kind.transient)]))
    sections.append(("Limits", [topic.limits, "`ipckit limits` shows what is in use of them."]))
    sections.append(("At a crash", [topic.crash]))
    return f"{record.address}: one of the {kind.title}", sections


def _facts(record: Record) -> str:
    facts = [record.use]
    if record.size is not None:
        facts.append(about(record.size))
    if record.uid is not None:
        facts.append(f"owned by {user_name(record.uid)}")
    if record.mode is not None:
        facts.append(f"mode {mode_text(record.mode)}")
    if record.age is not None:
        facts.append(f"{age_text(record.age)} old")
    if record.aliases:
        facts.append(f"also {', '.join(record.aliases)}")
    return "; ".join(fact for fact in facts if fact)


def _holders(record: Record) -> list[str]:
    lines = [_holder(holder) for holder in record.holders[:_MOST_HOLDERS]]
    if len(record.holders) > _MOST_HOLDERS:
        lines.append(f"and {len(record.holders) - _MOST_HOLDERS} more processes: `ipckit show {record.address}`")
    if record.unseen:
        who = "1 process" if record.unseen == 1 else f"{record.unseen} processes"
        lines.append(f"{who} could not be looked into, and may have it, too.")
    return lines or ["no process"]


def _holder(holder: Holder) -> str:
    parts = [f"process {holder.process.pid} ({holder.process.command}) of {user_name(holder.process.uid)}"]
    if holder.descriptors:
        word = "descriptor" if len(holder.descriptors) == 1 else "descriptors"
        parts.append(f"{word} {', '.join(map(str, holder.descriptors))}")
    if holder.mapped:
        parts.append("mapped")
    if holder.access:
        parts.append({"r": "to read", "w": "to write", "rw": "to read and write"}.get(holder.access, holder.access))
    return ", ".join(parts)


def _removal(record: Record, *, transient: bool) -> str:
    if transient:
        return "It goes with the last process that has it. To be rid of it, end them, or have them close it."
    remove = f"`ipckit rm {record.address}`"
    if record.verdict.state == "stale":
        return f"`ipckit clean` shows what it would remove, `ipckit clean --yes` does it; or {remove}."
    if record.kind in ("sysv-mq", "sysv-sem"):
        return f"{remove}. Whoever waits for it is woken with EIDRM, and what was in it is gone at once."
    if record.kind == "sysv-shm":
        return f"{remove}. Whoever has it attached keeps it until the last one detaches."
    return f"{remove} takes its name away. Whoever has it open goes on with it; new ones find none, or make another."
